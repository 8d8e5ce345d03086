/*
 * log_conf - the settings of one log: a topic's values over the broker's defaults.
 *
 * A value; the log keeps its own copy and takes a new one at any time (log_set_conf).
 *
 * Units: as named. INT64_MAX means never, -1 (retention) means no limit, as in Kafka.
 */
#ifndef BROKER_LOG_LOG_CONF_H
#define BROKER_LOG_LOG_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct log_conf {
    int64_t segment_bytes;     /* segment.bytes */
    int64_t segment_ms;        /* segment.ms */
    int64_t segment_jitter_ms; /* segment.jitter.ms */
    int64_t index_max_bytes;   /* segment.index.bytes */
    int64_t index_interval_bytes;
    int64_t retention_ms;    /* -1: for ever */
    int64_t retention_bytes; /* -1: any size */
    int64_t flush_messages;
    int64_t flush_ms;
    int64_t max_message_bytes;
    int64_t file_delete_delay_ms;
    int64_t producer_expiration_ms; /* producer.id.expiration.ms, the broker's */
    int64_t delete_retention_ms;    /* compaction: */
    int64_t min_compaction_lag_ms;
    int64_t max_compaction_lag_ms;
    double min_cleanable_dirty_ratio;
    bool preallocate;
    bool cleanup_delete;  /* cleanup.policy contains delete */
    bool cleanup_compact; /* cleanup.policy contains compact */
    bool log_append_time; /* message.timestamp.type=LogAppendTime */
    bool unclean_leader_election;
    bool down_conversion; /* message.downconversion.enable */
};

/* Kafka 3.9's defaults. */
#define LOG_CONF_DEFAULT                                                                           \
    ((struct log_conf){                                                                            \
        .segment_bytes = 1 << 30,                                                                  \
        .segment_ms = INT64_C(604800000),                                                          \
        .segment_jitter_ms = 0,                                                                    \
        .index_max_bytes = 10 << 20,                                                               \
        .index_interval_bytes = 4096,                                                              \
        .retention_ms = INT64_C(604800000),                                                        \
        .retention_bytes = -1,                                                                     \
        .flush_messages = INT64_MAX,                                                               \
        .flush_ms = INT64_MAX,                                                                     \
        .max_message_bytes = 1048588,                                                              \
        .file_delete_delay_ms = 60000,                                                             \
        .producer_expiration_ms = 86400000,                                                        \
        .delete_retention_ms = 86400000,                                                           \
        .min_compaction_lag_ms = 0,                                                                \
        .max_compaction_lag_ms = INT64_MAX,                                                        \
        .min_cleanable_dirty_ratio = 0.5,                                                          \
        .cleanup_delete = true,                                                                    \
        .down_conversion = true,                                                                   \
    })

#endif
