/*
 * moves - replicas on their way from one log directory of this broker to another.
 *
 * A move copies the log into a future one ("topic-3.<32 hex>-future") while the replica goes on
 * serving; when the copy has caught up it takes the log's place under the partition's append lock,
 * and what was there before is deleted. A move survives a restart: a future log that is found when
 * its partition is opened goes on where it was. It ends without effect when the partition is moved
 * elsewhere (or back), goes away, or one of the two directories fails.
 *
 * Ownership:  holds a reference on each partition that is being moved.
 * Threads:    num.replica.alter.log.dirs.threads of kind T_MOVER; each partition is one's, so
 * nobody else changes its future log. Calls: as said. Errors:     Kafka's codes for
 * AlterReplicaLogDirs.
 */
#ifndef BROKER_REPLICA_MOVES_H
#define BROKER_REPLICA_MOVES_H

#include <stddef.h>
#include <stdint.h>

#include "broker/log/logs.h"
#include "broker/replica/part.h"
#include "broker/replica/repl_quota.h"

struct moves;

struct moves_conf {
    int32_t threads;    /* num.replica.alter.log.dirs.threads */
    size_t chunk_bytes; /* copied at a time: replica.fetch.max.bytes */
    int64_t backoff_ms; /* after a failure that may pass: replica.fetch.backoff.ms */
    struct logs *logs;
    struct repl_quota *quota; /* for all threads together; NULL: none */
};

struct moves *moves_start(const struct moves_conf *conf);
/* What is not finished goes on at the next start. */
void moves_stop(struct moves **moves);

/* Any thread that may wait for a disk. Moves the replica to dir, or ends its move when it is there
 * already; returns when the future log is there. LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR (also while
 * any directory is offline: there might be another copy in it), and when the partition has been
 * closed REPLICA_NOT_AVAILABLE or UNKNOWN_TOPIC_OR_PARTITION. */
MUST_USE enum err moves_begin(struct moves *moves, struct part *part, const char *dir);
/* Any thread, at once: goes on with the future log that lies in a directory, if there is one. */
void moves_adopt(struct moves *moves, struct part *part);
/* Any thread, at once: the partition, closed already, is not served here any more; its copy is
 * deleted. */
void moves_forget(struct moves *moves, struct part *part);

struct moves_info {
    int32_t moving;
    int64_t bytes; /* copied since the start */
};
void moves_get_info(struct moves *moves, struct moves_info *out);

#endif
