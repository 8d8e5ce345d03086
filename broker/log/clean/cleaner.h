/*
 * cleaner - the threads that compact logs: each looks for the dirtiest log, compacts it, and when
 * there is none waits a while (Kafka: LogCleaner, LogCleanerManager).
 *
 * How far each log was compacted stands in cleaner-offset-checkpoint of its directory. Logs that
 * are compacted and have old segments to delete as well are given to retain() on the way, as
 * Kafka's cleaner does.
 *
 * Units:      sizes are bytes, times ms.
 * Ownership:  the caller of cleaner_start() stops it before the set of logs closes.
 * Threads:    any. The hooks are called on the cleaner's threads without locks.
 * Errors:     what fails is said; a log with damage in it is marked and left alone, a full disk
 *             puts a log off, an error of the disk ends its directory.
 */
#ifndef BROKER_LOG_CLEAN_CLEANER_H
#define BROKER_LOG_CLEAN_CLEANER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/logs.h"

struct cleaner;

struct cleaner_conf {
    struct logs *logs;
    int32_t threads;             /* log.cleaner.threads; 0: none, call cleaner_turn() */
    int64_t dedupe_bytes;        /* log.cleaner.dedupe.buffer.size, of all threads together */
    double load_factor;          /* log.cleaner.io.buffer.load.factor */
    int64_t io_bytes;            /* log.cleaner.io.buffer.size, of all threads together */
    double max_bytes_per_second; /* log.cleaner.io.max.bytes.per.second */
    int64_t backoff_ms;          /* log.cleaner.backoff.ms */
    /* The last stable offset of a log, -1 when it is not to be compacted now. */
    int64_t (*stable_of)(void *ctx, struct log *log);
    /* Deletes what is too old. May be NULL. */
    void (*retain)(void *ctx, struct log *log);
    void *ctx;
};

/* Goes on from what the checkpoint files say. ERR_INVALID_CONFIG, with the reason said. */
MUST_USE enum err cleaner_start(const struct cleaner_conf *conf, struct cleaner **out);
/* Other numbers from now on (Kafka: LogCleaner.reconfigure): threads, sizes, rate and pause; the
 * rest of conf is not looked at. What is under way is broken off when threads or sizes change, and
 * begun again. Does not wait. ERR_INVALID_CONFIG, with the reason said: nothing was changed. */
MUST_USE enum err cleaner_reconfigure(struct cleaner *cleaner, const struct cleaner_conf *conf);
/* Threads that compact now. */
size_t cleaner_threads(struct cleaner *cleaner);
/* Breaks off what is under way; waits no longer than for one read, write or sync. */
void cleaner_stop(struct cleaner **cleaner);
/* What a thread does between two waits; false when there was nothing to compact. */
bool cleaner_turn(struct cleaner *cleaner, int64_t now_ms);

/* Under the names of Kafka's metrics. */
struct cleaner_info {
    double max_buffer_utilization; /* 0 to 1, of each thread's last compaction the largest */
    double recopy;                 /* bytes written by bytes read in them */
    double max_clean_seconds;
    double max_delay_seconds; /* behind max.compaction.lag.ms, in the last look */
    double max_dirty_ratio;   /* likewise */
    int64_t since_last_run_ms;
    int64_t cleaning; /* logs being compacted now */
};
void cleaner_get_info(struct cleaner *cleaner, struct cleaner_info *out);
/* Logs of a directory (its place in the set) that are left alone, and what could be compacted in
 * them. */
void cleaner_get_uncleanable(struct cleaner *cleaner, size_t dir, int64_t *logs, int64_t *bytes);

#endif
