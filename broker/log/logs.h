/*
 * logs - every log of a broker by directory: loading, placing, losing a directory, flushing,
 * deleting.
 *
 * Ownership:  the set holds one reference on each log; get_ref and create hand out another.
 * Threads:    any; logs_open() and logs_close() once, by main. on_dir_failed() is called on
 * whatever thread met the failure, with no lock of this module held; it must not wait. Errors: a
 * directory that cannot be used is said, marked offline and left out; logs_open() fails only when
 * none is left, or when something protects us (foreign ids, a lock, a newer version), or when a
 * stop is asked for before all is recovered.
 */
#ifndef BROKER_LOG_LOGS_H
#define BROKER_LOG_LOGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/group_commit.h"
#include "broker/log/log.h"
#include "common/base/uuid.h"

struct logs;

/* How far a directory is at the start. */
struct logs_progress {
    const char *dir;
    size_t index;       /* of the directory */
    bool is_clean;      /* it was stopped cleanly: nothing has to be read anew */
    size_t loaded;      /* logs that are open */
    size_t total;       /* logs that there are */
    int64_t read_bytes; /* anew, so far */
};

struct logs_options {
    const char *const *dirs; /* log.dirs */
    size_t dir_count;
    int32_t broker_id;           /* -1: take the one in meta.properties */
    const char *cluster_id;      /* 22 characters; NULL: take the one in meta.properties */
    int32_t recovery_threads;    /* num.recovery.threads.per.data.dir */
    size_t max_open_files;       /* 0: half of the soft limit of open files */
    int64_t flush_check_ms;      /* log.flush.scheduler.interval.ms */
    int64_t checkpoint_ms;       /* log.flush.offset.checkpoint.interval.ms */
    int64_t start_checkpoint_ms; /* log.flush.start.offset.checkpoint.interval.ms */
    int64_t write_out_ms;        /* early write-out of dirty pages; 0: 100 */
    int64_t producer_check_ms;   /* producer.id.expiration.check.interval.ms; 0: never */
    int64_t unscanned_max_bytes; /* log.unflushed.max.bytes, of each directory; 0: any */
    size_t sync_few;             /* that many files are synced one by one, more together; 0: 16 */
    bool no_threads;   /* tests and simulation: nothing runs by itself, call logs_tick() */
    struct disk *disk; /* NULL: disk_posix() */
    /* Settings of a topic; called at load and at create. NULL: defaults. */
    void (*conf_of)(void *ctx, const char *topic, struct log_conf *out);
    /* A directory has failed: its logs are offline. */
    void (*on_dir_failed)(void *ctx, const char *dir);
    /* While loading, by any of the threads that do. May be NULL. */
    void (*on_progress)(void *ctx, const struct logs_progress *progress);
    /* Is a stop asked for? By the same threads, before each log that has to be recovered, every few
     * MiB of one, and while a full disk is waited for. May be NULL. */
    bool (*is_stopping)(void *ctx);
    /* The directories are locked and say whose they are, nothing is loaded yet. May be NULL. */
    void (*on_locked)(void *ctx, int32_t broker_id);
    void *ctx;
};

/* Locks, checks and loads every directory; waits until all logs are recovered, and for the room
 * that this takes. ERR_SHUTTING_DOWN: a stop was asked for before that; each directory is as clean
 * or unclean as it was found. */
MUST_USE enum err logs_open(const struct logs_options *options, struct logs **out);
/* Clean stop: flushes and closes every log, writes the checkpoints and the clean-shutdown marker.
 * All references must have been given back. logs_checkpoint_hw() comes before. */
void logs_close(struct logs **logs);
/* As a crash: lets go of everything without writing a byte. For tests. */
void logs_abandon(struct logs **logs);

/* The cluster id found in the directories, "" when none had one. */
const char *logs_cluster_id(const struct logs *logs);
/* The one asked for or found in the directories, -1 when none had one: set it before the cluster
 * id. */
int32_t logs_broker_id(const struct logs *logs);
void logs_set_broker_id(struct logs *logs, int32_t broker_id);
/* Writes meta.properties where it is missing. ERR_INCONSISTENT_CLUSTER_ID. */
MUST_USE enum err logs_set_cluster_id(struct logs *logs, const char *cluster_id);

/* NULL when there is none (or its directory is offline). */
struct log *logs_get_ref(struct logs *logs, const char *topic, int32_t partition);
struct log *logs_get_future_ref(struct logs *logs, const char *topic, int32_t partition);
/* The log, made if it is not there. is_new: the partition is being created; otherwise none is made
 * while a directory is offline (it may be there): ERR_KAFKA_STORAGE_ERROR. dir: where to make it,
 * NULL: where it was wished for (logs_prefer_dir), else in the directory with the fewest. topic_id
 * is written to partition.metadata; a log that has another one gives ERR_INCONSISTENT_TOPIC_ID and
 * *out a reference to it. */
MUST_USE enum err logs_create(struct logs *logs, const char *topic, int32_t partition,
                              struct uuid topic_id, bool is_new, const char *dir, struct log **out);

struct logs_wanted {
    const char *topic;
    int32_t partition;
    struct uuid topic_id;
    bool is_new;
};

/* Many at once, on several threads, as most of the time is spent waiting for a disk. What fails is
 * not told: logs_create() meets it again. */
void logs_create_ahead(struct logs *logs, const struct logs_wanted *wanted, size_t n);
/* Renames the directory to -delete; its files go after file.delete.delay.ms. The set forgets it. */
MUST_USE enum err logs_delete(struct logs *logs, const char *topic, int32_t partition);
/* Renames it to -stray: kept, reported, not served. */
MUST_USE enum err logs_park(struct logs *logs, const char *topic, int32_t partition);

/* ---- moving a log to another directory ---- */

/* LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR, or OK: a log could be made in it. */
MUST_USE enum err logs_check_dir(const struct logs *logs, const char *dir);
/* When this log is made it is made there. */
void logs_prefer_dir(struct logs *logs, const char *topic, int32_t partition, const char *dir);
/* Makes the future log, empty. None is made while any directory is offline, for another may lie
 * there: ERR_KAFKA_STORAGE_ERROR. */
MUST_USE enum err logs_create_future(struct logs *logs, const char *topic, int32_t partition,
                                     struct uuid topic_id, const char *dir, struct log **out);
/* [append] The future log, which holds all that the current one does, becomes the current one; the
 * former is deleted. A crash anywhere leaves one of them, or both, which the next start settles. */
MUST_USE enum err logs_swap_future(struct logs *logs, struct log *future);
/* How many have become current so far. */
uint32_t logs_swapped_count(const struct logs *logs);
/* Its files go at once; ERR_NOT_FOUND when it is not the future log any more. */
MUST_USE enum err logs_delete_future(struct logs *logs, struct log *future);

/* Visits a snapshot of all logs, each lent during the visit. */
void logs_each(struct logs *logs, void (*each)(void *ctx, struct log *log), void *ctx);
size_t logs_count(struct logs *logs);

struct logs_dir_info {
    const char *path;
    bool is_offline;
    bool was_clean; /* stopped cleanly before this start */
    bool is_new;    /* was without a meta.properties then: another one may have been there */
    size_t logs;
    int64_t free_bytes; /* -1 unknown */
    int64_t total_bytes;
};
/* A directory has failed, now or at the start; logs that are missed may be there. */
bool logs_any_offline(const struct logs *logs);
/* None has been left: nothing can be served. */
bool logs_all_offline(const struct logs *logs);
size_t logs_dir_count(const struct logs *logs);
void logs_dir_info(struct logs *logs, size_t index, struct logs_dir_info *out);
/* Visits the logs of one directory, each lent during the visit. */
void logs_each_in(struct logs *logs, size_t index,
                  void (*each)(void *ctx, struct log *log, bool is_future), void *ctx);
/* Marks a directory failed, as an I/O error of ours would. */
void logs_fail_dir(struct logs *logs, const char *dir);

/* Settings of a topic have changed. */
void logs_set_conf(struct logs *logs, const char *topic, const struct log_conf *conf);

/* The high watermark that the directory's file has for this log; -1 when none. */
int64_t logs_saved_hw(struct logs *logs, const struct log *log);
/* Writes replication-offset-checkpoint of every directory: hw_of says each log's, for -1 the file
 * goes on saying what it does. */
void logs_checkpoint_hw(struct logs *logs, int64_t (*hw_of)(void *ctx, struct log *log), void *ctx);
/* Writes recovery-point-offset-checkpoint and log-start-offset-checkpoint now. */
void logs_checkpoint(struct logs *logs);
/* How far cleaner-offset-checkpoint of its directory says that it was compacted; -1 when it says
 * nothing. */
int64_t logs_saved_mark(struct logs *logs, const struct log *log);
/* Writes that file of a directory: log_cleaned_upto() of each log. */
MUST_USE enum err logs_save_marks(struct logs *logs, const char *dir);

/* Which of its directories, as logs_dir_info() counts them. */
size_t logs_dir_index(const struct logs *logs, const struct log *log);
/* Where an append with flush_due waits. */
struct group_commit *logs_group_commit(struct logs *logs, const struct log *log);
/* What is due at now_ms, of the clock that only goes on: flush.ms, checkpoints, write-out, removal
 * of deleted files; producers expire by wall_ms. Its own thread calls it unless no_threads.
 * Retention is the caller's (log_retain needs the append lock). */
void logs_tick(struct logs *logs, int64_t wall_ms, int64_t now_ms);
struct files *logs_files(struct logs *logs);
struct disk *logs_disk(const struct logs *logs);

#endif
