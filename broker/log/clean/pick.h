/*
 * pick - how dirty a log is, from where and up to where it can be compacted, and whether it is time
 * (Kafka: LogCleanerManager.cleanableOffsets, LogToClean; KIP-58, KIP-354).
 *
 * Units:   offsets count records, sizes are bytes, times ms.
 */
#ifndef BROKER_LOG_CLEAN_PICK_H
#define BROKER_LOG_CLEAN_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pick_segment {
    int64_t base_offset;
    int64_t size;
    int64_t largest_timestamp;
    int64_t first_timestamp; /* largest of the first batch; -1 none, or not needed */
};

struct pick_log {
    const struct pick_segment *closed; /* all but the active one, oldest first */
    size_t closed_count;
    int64_t active_base;
    int64_t cleaned_upto; /* as it was left, -1 never */
    int64_t start;
    int64_t leo;
    int64_t stable; /* last stable offset, which is not above the high watermark */
    int64_t now_ms;
    int64_t min_lag_ms;
    int64_t max_lag_ms;
    double min_ratio;
};

struct pick {
    int64_t first_dirty;
    int64_t first_uncleanable; /* base of a segment */
    int64_t clean_bytes;       /* below first_dirty */
    int64_t cleanable_bytes;
    int64_t delay_ms; /* how long it should have been compacted by max.compaction.lag.ms */
    bool was_reset;   /* cleaned_upto was not in the log: begun at the start again */
    bool is_due;
};

struct pick pick_log(const struct pick_log *log);
/* Share of the bytes that are not compacted yet; 0 for an empty log. */
double pick_ratio(const struct pick *pick);

#endif
