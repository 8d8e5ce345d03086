/*
 * dump_int - the insides of `moldau log dump`: one run over some files. The lines on stdout are
 * those of Kafka's own DumpLogSegments 3.9, byte for byte; so are the complaints about indexes and
 * gaps on stderr. With -o json or ndjson the same facts are rows, complaints included. Where
 * Kafka's tool dies of an exception, ours says what is wrong and ends with the same exit code.
 *
 * Threads:    one.
 */
#ifndef CONTROLLER_CLI_DUMP_INT_H
#define CONTROLLER_CLI_DUMP_INT_H

#include "common/wire/record.h"
#include "controller/cli/cli.h"
#include "controller/cli/log_file.h"

enum dump_decoder { DUMP_TEXT, DUMP_INT, DUMP_LONG, DUMP_BYTES };
enum dump_parser { DUMP_PLAIN, DUMP_OFFSETS, DUMP_TRANSACTIONS };

/* What is told at the end, in the order in which Kafka tells it. */
enum dump_remark {
    REMARK_INDEX,     /* offset of an index entry, offset in the log */
    REMARK_TIME,      /* timestamp of an entry, of the batch */
    REMARK_DISORDER,  /* timestamp of an entry, of the entry before */
    REMARK_NOT_FOUND, /* offset of a time index entry, offset found in the log or -1 */
    REMARK_GAP,       /* offset of a record, of the next one */
    REMARKS
};

struct remark {
    enum dump_remark kind;
    const char *path; /* what the heading says */
    int64_t first, second;
};

struct dump {
    struct cli *cli;
    bool print_data;
    bool deep;
    bool skip_metadata;
    bool verify_only; /* indexes: complain only */
    bool sanity_only; /* indexes: what a start checks */
    int32_t max_message_bytes;
    int32_t max_bytes;
    enum dump_decoder key, value;
    enum dump_parser parser;
    struct arena scratch; /* for one record */
    struct remark *remarks;
    size_t remarks_len, remarks_cap;
    size_t rows; /* printed so far */
};

/* One file of the run: as it is named on stdout, and absolute. */
struct dump_file {
    const char *path, *absolute, *name;
};

/* Says it, with what it means for the file; returns false. */
bool dump_fail(struct dump *dump, const struct dump_file *file, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void dump_remark(struct dump *dump, enum dump_remark kind, const char *path, int64_t first,
                 int64_t second);

/* Each prints one file; false when it cannot be read to its end, and said. */
bool dump_log(struct dump *dump, const struct dump_file *file);
bool dump_index(struct dump *dump, const struct dump_file *file);
bool dump_time_index(struct dump *dump, const struct dump_file *file);
bool dump_txn_index(struct dump *dump, const struct dump_file *file);
bool dump_snapshot(struct dump *dump, const struct dump_file *file);

/* dump_rows.c: rows for programs instead of Kafka's lines. */
bool dump_has_rows(const struct dump *dump);
void dump_row_begin(struct dump *dump, const char *kind);
void dump_row_int(const char *key, int64_t value);
/* null unless given */
void dump_row_optional(const char *key, bool given, int64_t value);
void dump_row_bool(const char *key, bool value);
/* STR_NULL: null */
void dump_row_text(const char *key, struct str value);
void dump_row_end(struct dump *dump);
/* All of it, if there was any row or none. */
void dump_rows_end(struct dump *dump);

/* The number before the first dot of the name. */
bool dump_base_offset(struct dump *dump, const struct dump_file *file, int64_t *base);

/* A record's key and value as text; a null one: nothing is printed. False: they cannot be told, and
 * Kafka's tool would end here, with this reason. */
bool dump_decode(struct dump *dump, int64_t offset, struct str key, struct str value,
                 struct str *key_text, struct str *value_text, const char **why_not);

#endif
