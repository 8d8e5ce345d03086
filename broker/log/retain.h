/*
 * retain - which segments are below the start, too many or too old (Kafka: deleteOldSegments).
 *
 * Units:   sizes are bytes, times ms, offsets records.
 */
#ifndef BROKER_LOG_RETAIN_H
#define BROKER_LOG_RETAIN_H

#include <stddef.h>
#include <stdint.h>

struct retain_segment {
    int64_t base_offset;
    int64_t size;
    int64_t largest_timestamp;
};

struct retain_rules {
    int64_t high_watermark;
    int64_t log_start;
    int64_t leo;
    int64_t now_ms;
    int64_t retention_ms;    /* -1 for ever */
    int64_t retention_bytes; /* -1 any */
};

/* How many of the oldest segments may go; all of them when the active one may go, too, and is not
 * empty: a new one has to be started before. */
size_t retain_count(const struct retain_rules *rules, const struct retain_segment *segments,
                    size_t count);

#endif
