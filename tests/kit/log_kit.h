/*
 * log_kit - what tests of the log stand on: a directory with a log in it, batches to append.
 */
#ifndef TESTS_KIT_LOG_KIT_H
#define TESTS_KIT_LOG_KIT_H

#include "broker/log/log_load.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"

struct log_kit {
    struct log_env env;
    struct log_conf conf;
    struct log *log;
    int64_t now_ms;
};

/* disk NULL: the real one, in a fresh folder. */
void log_kit_init(struct log_kit *kit, struct disk *disk, const char *dir);
/* Lets go without closing, as a crash would. */
void log_kit_fini(struct log_kit *kit);
/* "t-0", clean or as after a crash with this recovery point. */
enum err log_kit_open(struct log_kit *kit, bool is_clean, int64_t recovery_point);
/* Lets go of the log, closing it or not. */
void log_kit_shut(struct log_kit *kit, bool close);

/* A batch of records of value_bytes each; each record is a ms newer than the one before. */
struct kit_batch {
    int count; /* 0: one */
    size_t value_bytes;
    int64_t timestamp_ms; /* of the first record; 0: some */
    int64_t producer_id;  /* 0: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    bool transactional;
};

void kit_batch_put(struct buf *into, const struct kit_batch *batch);
/* Appends one as leader in this epoch. */
enum err log_kit_append(struct log_kit *kit, const struct kit_batch *batch, int32_t epoch,
                        struct log_appended *out);
enum err log_kit_marker(struct log_kit *kit, bool commit, int64_t producer_id, int16_t epoch);
/* The bytes from offset up to the end of the segment or upper; *into is emptied first. */
enum err log_kit_read(struct log *log, int64_t offset, int64_t upper, struct buf *into);
/* Reads from start to end, checks every batch, and that offsets are dense when asked. Returns the
 * number of records, -1 when something is wrong. */
int64_t log_kit_check(struct log *log, bool dense);

#endif
