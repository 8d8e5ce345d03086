/*
 * parts - every partition hosted here, and the roles that the image gives them.
 *
 * Ownership:  the table holds a reference on each; a lookup lends out of a table snapshot.
 * Threads:    lookups: any. parts_apply(): the control thread; parts_close(): when that has been
 *             stopped. The rest as said.
 *
 * Nothing is deleted by absence: a replica's files go only on a tombstone of the same topic id and
 * a leader epoch not below ours. What is here and neither assigned nor tombstoned is parked as
 * -stray; when more than a small share of the logs would be, the image is refused, for a wrong or
 * wiped ZooKeeper must not cost data.
 */
#ifndef BROKER_REPLICA_PARTS_H
#define BROKER_REPLICA_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/logs.h"
#include "broker/replica/fetchers.h"
#include "broker/replica/moves.h"
#include "broker/replica/part.h"
#include "common/base/err.h"
#include "common/model/image.h"

struct parts;
struct parts_table;

/* Settings of one topic, as partitions and logs want them. */
struct part_conf {
    struct log_conf log;
    struct validate_conf validate;
    int32_t min_isr;
    struct str throttled_leaders, throttled_followers; /* lists; borrowed from the image */
};

struct parts_conf {
    int32_t broker_id;
    int64_t lag_max_ms; /* replica.lag.time.max.ms */
    struct logs *logs;
    struct fetchers *fetchers; /* NULL: nobody follows (tests) */
    struct moves *moves;       /* NULL: nothing is moved (tests) */
    /* Settings of a topic by this image, over the broker's own. */
    void (*conf_of)(void *ctx, const struct image *image, struct str topic, struct part_conf *out);
    /* A leader wants another ISR. Any thread, no lock held; members are borrowed. */
    void (*propose)(void *ctx, struct part *part, const struct part_proposal *proposal);
    void *ctx;
};

struct parts *parts_new(const struct parts_conf *conf);
/* The broker stops: every partition is closed, and whoever waits for one is told that it is not
 * led here any more. Nothing is applied afterwards. */
void parts_close(struct parts *parts);
/* High watermarks are written, then every partition is closed and let go of. */
void parts_free(struct parts **parts);

/* Asks for the sync that an append to part with flush_due waits for; wait->done is set. The caller
 * has a reference on part until that was called. Any thread. */
struct sync_wait;
void parts_post_sync(struct parts *parts, struct part *part, struct sync_wait *wait);

/* ---- lookups ---- */

/* A snapshot; NULL never. */
const struct parts_table *parts_get_table(struct parts *parts);
void parts_put_table(const struct parts_table **table);
/* Lent as long as the table is held; part_ref() to keep. */
struct part *parts_find(const struct parts_table *table, struct str topic, int32_t partition);
struct part *parts_find_id(const struct parts_table *table, struct uuid topic_id,
                           int32_t partition);
size_t parts_count(const struct parts_table *table);
struct part *parts_at(const struct parts_table *table, size_t i);

/* ---- what the image says ---- */

struct parts_failure {
    struct uuid topic_id;
    int32_t partition;
    int32_t leader_epoch, partition_epoch; /* what we hold, -1 nothing */
    enum err err; /* ERR_OK: it was told as failed before, and is served now */
    bool yields;  /* with ERR_OK: it leads and would rather not, for its disk is full */
};

struct parts_result {
    enum err err; /* not OK: nothing was applied, raise an alarm and apply nothing more */
    struct parts_failure *failures;
    size_t failures_len, failures_cap;
    struct image_tombstone *deleted; /* names borrowed from the delta or image */
    size_t deleted_len, deleted_cap;
};
void parts_result_fini(struct parts_result *result);

/* Takes over what changed between two images. delta NULL: look at everything, for an image came.
 * What fails for one partition is in the result, the others go on. */
void parts_apply(struct parts *parts, const struct image *after, const struct image_delta *delta,
                 int64_t now_ms, struct parts_result *out);

/* Tries once more to open what a full disk had no room for; the control thread, now and then. *out
 * has an ERR_OK for each that is served now, with its role; nothing when there is still no room. */
void parts_retry(struct parts *parts, int64_t now_ms, struct parts_result *out);
/* Adds to *out what is led here and could not append since this was asked last: it would rather be
 * led by another one. */
void parts_tell_full(struct parts *parts, struct parts_result *out);

/* ---- the rest of their life; any thread ---- */

/* A log directory has failed: who waits for its partitions is told, nothing is fetched for them any
 * more. From then on whatever image names them is answered with KAFKA_STORAGE_ERROR. */
void parts_on_dir_failed(struct parts *parts, const char *dir);
/* Lag, pending proposals; by the control thread. Returns after how many ms it is to be called
 * again. */
int64_t parts_tick(struct parts *parts, int64_t now_ms);
/* A new stream to a controller: pending proposals go again. */
void parts_resend(struct parts *parts, int64_t now_ms);
/* Controlled shutdown has begun: no new proposals. */
void parts_stop(struct parts *parts, int64_t now_ms);
/* replication-offset-checkpoint; nothing before the first image was applied, so that a file of a
 * half-loaded set does not replace the one that was there (KAFKA-1647). */
void parts_checkpoint_hw(struct parts *parts);
/* Deletes segments that the settings no longer keep. */
void parts_retain(struct parts *parts, int64_t wall_ms, int64_t now_ms);
/* The same for one log; nothing when it is no partition's. */
void parts_retain_log(struct parts *parts, const struct log *log, int64_t wall_ms, int64_t now_ms);
/* The last stable offset of the partition that has this log; -1 when none has. */
int64_t parts_stable_offset(struct parts *parts, const struct log *log);

struct parts_info {
    size_t parts, leading, under_min_isr, under_replicated, strays;
};
void parts_get_info(struct parts *parts, struct parts_info *out);

#endif
