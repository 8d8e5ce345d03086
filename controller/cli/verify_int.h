/*
 * verify_int - the insides of `moldau log verify`: what was found where, and the checks of a
 * directory of logs, of one partition, of one segment. Nothing is written, not even a lock.
 *
 * Units:      a pos counts bytes in a file, an offset records; -1 is "none".
 * Ownership:  a part's findings are its own until it is released.
 * Threads:    one per part; parts are checked by several at once.
 */
#ifndef CONTROLLER_CLI_VERIFY_INT_H
#define CONTROLLER_CLI_VERIFY_INT_H

#include "broker/log/checkpoint.h"
#include "broker/log/producers.h"
#include "broker/log/txnindex.h"
#include "common/wire/batch.h"
#include "controller/cli/log_file.h"

enum verify_level { VERIFY_NOTE, VERIFY_MENDED, VERIFY_HARM, VERIFY_LOSS, VERIFY_LEVELS };

enum flaw {
#define FLAW(id, level, meaning, on_start) FLAW_##id,
#include "controller/cli/verify.def"
#undef FLAW
    FLAWS
};

#define FLAW_MOST 5 /* findings of a kind that are told of one file; the rest is counted */

struct finding {
    enum flaw flaw;
    char *file; /* path as a person would type it */
    int64_t pos, offset;
    char *what;
    const char *on_start; /* NULL: as the table says */
};

struct findings {
    struct finding *list;
    size_t len, cap;
};

/* What is known of a directory of logs before its partitions are looked at. */
struct verify_dir {
    const char *path;
    bool is_data_dir; /* false: one partition was named, and this is what it lies in */
    bool was_clean;
    bool in_use;
    bool has_recovery, has_starts, has_hws;
    struct checkpoint recovery, starts, hws, cleaned;
    struct findings findings;
};

struct verify_part {
    struct verify_dir *dir;
    char *path; /* of the partition's directory */
    char *topic;
    int32_t partition;
    bool is_future;
    bool headers_only; /* records are not decoded */
    bool is_compacted;
    int64_t recovery_point, start_offset; /* -1 not listed */
    struct findings findings;
    int64_t segments, bytes, batches, records;
    /* while it is checked */
    int64_t next_offset; /* after the last record so far, -1 before the first */
    int32_t last_epoch;
    struct epochs epochs;
    bool has_epochs;
    struct producers *producers; /* as the batches so far have left them */
    bool producers_known;        /* from the beginning on */
    int64_t *snapshots;          /* offsets, ascending */
    size_t snapshots_len, snapshots_next;
    struct buf plain;
};

/* printf-like: what is wrong. file NULL: the partition's directory itself. */
void verify_find(struct findings *findings, enum flaw flaw, const char *file, int64_t pos,
                 int64_t offset, const char *format, ...) __attribute__((format(printf, 6, 7)));
void findings_fini(struct findings *findings);
enum verify_level flaw_level(enum flaw flaw);
const char *flaw_name(enum flaw flaw);
const char *flaw_meaning(enum flaw flaw);
const char *flaw_on_start(enum flaw flaw);

/* "topic-3", "topic-3.<32 hex>-future"; *topic is malloc'ed. */
bool verify_parse_name(const char *name, char **topic, int32_t *partition, bool *is_future);
/* Reads marks and checkpoints, and says what is wrong with them. */
void verify_dir_init(struct verify_dir *dir, const char *path, bool is_data_dir);
void verify_dir_fini(struct verify_dir *dir);

/* All of one partition. */
void verify_part_run(struct verify_part *part);
void verify_part_fini(struct verify_part *part);

/* One segment, in order of their offsets; next_base -1: the last one. later_bytes: of the segments
 * behind it. */
struct verify_segment {
    int64_t base, next_base;
    int64_t later_bytes;
    bool has_index, has_times, has_txns;
};
void verify_segment_run(struct verify_part *part, const struct verify_segment *segment);
/* Holds the snapshots up to offset against what the batches have told. */
void verify_snapshots_upto(struct verify_part *part, int64_t offset);
char *verify_path(const struct verify_part *part, int64_t base, const char *ending);

/* An index is about to be held against batches as these go by. */
struct verify_indexes {
    struct verify_part *part;
    const struct verify_segment *segment;
    char *index_path, *times_path, *txns_path;
    char *index, *times; /* content */
    size_t index_len, index_at, times_len, times_at;
    struct aborted_txn *txns;
    size_t txns_len, txns_at;
    bool is_stale; /* the next start builds them anew */
    int64_t last_index_offset, last_index_pos;
    int64_t last_time, last_time_offset;
    int64_t max_timestamp, max_timestamp_offset; /* of the batches so far */
};
void verify_indexes_open(struct verify_indexes *indexes, struct verify_part *part,
                         const struct verify_segment *segment);
/* The next good batch stands at pos. */
void verify_indexes_batch(struct verify_indexes *indexes, const struct batch_info *info,
                          int64_t pos);
void verify_indexes_abort(struct verify_indexes *indexes, const struct producer_txn_end *end);
/* The file has ended here. */
void verify_indexes_close(struct verify_indexes *indexes, int64_t end);

#endif
