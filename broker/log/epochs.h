/*
 * epochs - leader epoch to first offset: which leadership wrote which part of a log, and where two
 * histories part (KIP-101, KIP-279).
 *
 * Both columns strictly increase. The rules are those of Kafka's LeaderEpochFileCache.
 *
 * Units:    an epoch counts leaderships, an offset records. -1 is "undefined" for both.
 * Threads:  one at a time; the log guards it.
 */
#ifndef BROKER_LOG_EPOCHS_H
#define BROKER_LOG_EPOCHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EPOCH_NONE  (-1)
#define OFFSET_NONE (-1)

struct epoch_entry {
    int32_t epoch;
    int64_t start_offset;
};

struct epochs {
    struct epoch_entry *entries; /* [o] oldest first */
    size_t count;
    size_t cap;
};

/* The answer to OffsetForLeaderEpoch. */
struct epoch_end {
    int32_t epoch;      /* the largest known epoch that is not above the one asked for, or -1 */
    int64_t end_offset; /* where it ended, or -1 */
};

void epochs_init(struct epochs *epochs);
void epochs_fini(struct epochs *epochs);

/* True when something changed (and the file is to be written): entries with epoch >= this one or
 * start >= offset go first. epoch >= 0, offset >= 0. */
bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t offset);

/* epoch -1 of a query gives undefined; leo ends the latest epoch. */
struct epoch_end epochs_end_of(const struct epochs *epochs, int32_t epoch, int64_t leo);

/* -1 when none is known. */
int32_t epochs_latest(const struct epochs *epochs);
/* The epoch that the record at offset was written in, -1 when not known. */
int32_t epochs_at(const struct epochs *epochs, int64_t offset);

/* Drops entries that start at offset or later. True when something changed. */
bool epochs_truncate_from_end(struct epochs *epochs, int64_t offset);
/* Drops entries that start at offset or earlier, and puts the last of them back, now starting at
 * offset. True when something changed. */
bool epochs_truncate_from_start(struct epochs *epochs, int64_t offset);
void epochs_clear(struct epochs *epochs);

#endif
