/*
 * rewrite - one compaction of one log: make the map of its dirty part, then copy what stays of all
 * that is below, and swap that in (Kafka: Cleaner.doClean).
 *
 * Units:      offsets count records, sizes are bytes, times are ms since 1970.
 * Ownership:  a struct rewrite holds the memory for compaction and serves one log at a time.
 * Threads:    one at a time.
 * Errors:     ERR_CLOSED: the log went away or changed, or we were told to stop; ERR_NO_SPACE: not
 *             now; ERR_IO: the directory has failed; others: the log holds something damaged. What
 *             was swapped in before stays, and is no harm.
 */
#ifndef BROKER_LOG_CLEAN_REWRITE_H
#define BROKER_LOG_CLEAN_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/log.h"

struct rewrite;

struct rewrite_conf {
    size_t map_bytes;   /* memory for keys */
    double load_factor; /* how full that may get */
    size_t io_bytes;    /* read at once; grows for a larger batch */
    /* So many bytes were read or written: may wait; false: stop. */
    bool (*go_on)(void *ctx, size_t bytes);
    void *ctx;
};

struct rewrite_range {
    int64_t first_dirty;
    int64_t first_uncleanable; /* base of a segment, or of the active one */
    int64_t now_ms;
    uint8_t secret[16]; /* random */
};

struct rewrite_stats {
    int64_t upto; /* all below is compacted now */
    int64_t map_bytes_read, map_keys;
    int64_t bytes_read, bytes_written;
    int64_t records_read, records_written;
    int64_t keyless; /* records dropped for want of a key */
    int64_t segments_in, segments_out;
    int64_t map_us, total_us;
    double map_use; /* share of the memory for keys */
};

struct rewrite *rewrite_new(const struct rewrite_conf *conf);
void rewrite_free(struct rewrite **rewrite);

MUST_USE enum err rewrite_log(struct rewrite *rewrite, struct log *log,
                              const struct rewrite_range *range, struct rewrite_stats *stats);

#endif
