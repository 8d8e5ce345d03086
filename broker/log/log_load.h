/*
 * log_load - open one log's directory, recovering it when it was not closed; close it.
 *
 * Threads: one per log at a time; nobody else has the log yet, or any more.
 */
#ifndef BROKER_LOG_LOG_LOAD_H
#define BROKER_LOG_LOG_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/log/log.h"

/* What a log needs of the directory of logs that it is in. */
struct log_env {
    struct disk *disk;             /* [I] */
    struct files *files;           /* [I] */
    const char *dir;               /* [I] */
    atomic_bool failed;            /* [a] an I/O error has met one of its files */
    atomic_bool appended;          /* [a] to some log, since the last look */
    atomic_bool gathered;          /* [a] likewise, and it has much that is to be written out */
    _Atomic int64_t slow_until_ms; /* [a] see log_is_slow(); 0 never was */
    _Atomic int32_t append_avg_us; /* [a] moving average */
    /* All may be NULL. */
    void (*on_failed)(struct log_env *env);
    void (*flush_later)(struct log_env *env, struct log *log);
    /* The log was truncated: the recovery point in the directory's file must not be too high. */
    enum err (*lower_recovery_point)(struct log_env *env, struct log *log);
    void (*remove_later)(struct log_env *env, const char *path, int64_t delay_ms);
    /* While a log is opened: so much more was read anew. */
    void (*on_recovered)(struct log_env *env, int64_t bytes);
    /* While one that was not closed is opened, now and then: is a stop asked for? */
    bool (*gives_up)(struct log_env *env);
};

struct log_load {
    bool is_clean;          /* the directory was stopped cleanly */
    int64_t recovery_point; /* from the checkpoint, -1 none */
    int64_t start_offset;   /* from the checkpoint, -1 none */
    int64_t now_ms;
};

/* name: of the directory in env->dir, which is made if it is missing. *out is one reference.
 * ERR_SHUTTING_DOWN: env->gives_up() has said so, and the files are as after a crash, for the next
 * start to recover; nothing else is amiss. */
MUST_USE enum err log_open(struct log_env *env, const char *name, const char *topic,
                           int32_t partition, const struct log_conf *conf,
                           const struct log_load *load, struct log **out);
/* Flushes, writes a snapshot, completes and trims the indexes. The log must not be appended to
 * after. */
MUST_USE enum err log_close(struct log *log);
/* The same without a sync, for many logs that are synced together; then, when they have been and
 * is_synced, or could not be, the rest. */
MUST_USE enum err log_close_unsynced(struct log *log);
MUST_USE enum err log_close_rest(struct log *log, bool is_synced);
/* A close has something to sync. */
bool log_wants_close(struct log *log);
/* [append] Gives the directory another name. */
MUST_USE enum err log_rename(struct log *log, const char *name);
/* [append] Removes the directory; of a log that was abandoned. It then goes by that name, which no
 * directory has: who still holds it meets no other log that gets the old one. */
MUST_USE enum err log_remove(struct log *log, const char *name);
/* Nothing of it is written any more. */
void log_abandon(struct log *log);
/* After that: its files are open only while somebody reads them, so that their room is free when
 * they are removed. */
void log_keep_closed(struct log *log);
/* The recovery point for the directory's file, and what log_point_saved() wants to know once it is
 * there, or about to be. */
int64_t log_point_to_save(struct log *log, int64_t *bytes);
void log_point_saved(struct log *log, int64_t offset, int64_t bytes);
/* Bytes that a crash of the machine may take, and bytes that a start after a crash has to read. */
void log_unscanned(struct log *log, int64_t *unflushed, int64_t *unsaved);
/* True when the start is above the first segment, so that a file must say it. */
bool log_start_needs_saving(struct log *log);

#endif
