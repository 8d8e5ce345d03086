/*
 * groups - the group coordinator: every consumer group whose partition of __consumer_offsets is led
 * here.
 *
 * The shell around group_core and offsets_core: it finds the group, feeds the core, appends what
 * the core wants kept, and answers. Each partition of __consumer_offsets is a shard with a lock of
 * its own; its groups are read back from the log when its leadership comes here and let go when it
 * leaves.
 *
 * Units:      times are ms; now and wall as everywhere.
 * Ownership:  calls are the caller's, in place until done() was called.
 * Threads:    requests from any reactor, done() on the call's reactor, exactly once. groups_apply()
 *             by the control thread, groups_start() and groups_stop() by main.
 * Errors:     Kafka's codes: INVALID_GROUP_ID, COORDINATOR_NOT_AVAILABLE (stopping),
 *             COORDINATOR_LOAD_IN_PROGRESS, NOT_COORDINATOR, and those of the cores.
 */
#ifndef BROKER_GROUP_GROUPS_H
#define BROKER_GROUP_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/group/group_core.h"
#include "broker/group/offsets_core.h"
#include "broker/replica/parts.h"
#include "common/base/mailbox.h"
#include "common/io/pool.h"
#include "common/io/reactor.h"
#include "common/model/image.h"

#define GROUPS_TOPIC "__consumer_offsets"

struct groups;

struct groups_conf {
    struct parts *parts;
    struct pool *pool;
    struct reactor *const *reactors; /* that answer; shards' timers run there */
    size_t reactors_len;
    struct group_conf group;
    int16_t commit_acks;       /* offsets.commit.required.acks */
    int32_t commit_timeout_ms; /* offsets.commit.timeout.ms */
    int32_t load_bytes;        /* offsets.load.buffer.size */
    int64_t retention_ms;      /* offsets.retention.minutes */
    int codec;                 /* offsets.topic.compression.codec: an enum codec */
};

struct groups *groups_start(const struct groups_conf *conf);
/* Everybody who waits is answered, nothing is served any more. The reactors still run. */
void groups_stop(struct groups *groups);
void groups_free(struct groups **groups);

/* ---- whose groups are here ---- */

/* Roles have been applied: takes up and lets go of partitions, forgets offsets of topics that are
 * gone. before: NULL at first; delta NULL: look at everything. */
void groups_apply(struct groups *groups, const struct image *before, const struct image *after,
                  const struct image_delta *delta);
/* A marker has been appended to this partition of __consumer_offsets. Any thread. */
void groups_end_txn(struct groups *groups, int32_t partition, int64_t producer_id, bool commit);
/* offsets.retention.check.interval.ms has passed. Any thread; the work is the pool's. */
void groups_expire(struct groups *groups);

struct groups_info {
    size_t owned, loading; /* partitions */
    size_t groups, offsets;
    size_t in_state[GROUP_DEAD + 1];
};
/* Looks at every group. Any thread. */
void groups_get_info(struct groups *groups, struct groups_info *out);

/* ---- calls that may wait ---- */

struct group_call {
    struct reactor *reactor; /* where done() runs */
    struct arena *arena;     /* what the answer holds is put there */
    void (*done)(struct group_call *call);
    struct msg msg;                /* the module's */
    struct group_call *next_ready; /* the module's */
};

struct group_joined_member {
    struct str id, instance, metadata;
};

struct group_join {
    struct group_call call;
    struct str group_id;
    struct group_event ev; /* join, all but who and uuid */
    /* out */
    enum err err;
    struct str member; /* "" none */
    int32_t generation;
    struct str protocol_type, protocol; /* null none */
    struct str leader;                  /* "" none */
    bool skip;
    struct group_joined_member *members; /* the leader's */
    size_t members_len;
};
void groups_join(struct groups *groups, struct group_join *join);

struct group_sync {
    struct group_call call;
    struct str group_id;
    struct group_event ev; /* sync, all but who */
    /* out */
    enum err err;
    struct str protocol_type, protocol; /* null none */
    struct str assignment;
};
void groups_sync(struct groups *groups, struct group_sync *sync);

struct groups_append;

struct offset_commit {
    struct group_call call;
    struct str group_id, member, instance;
    int32_t generation;
    struct offset_item *items; /* out: their err */
    size_t len;
};
void groups_commit(struct groups *groups, struct offset_commit *commit);

/* ---- calls that do not ---- */

enum err groups_heartbeat(struct groups *groups, struct str group_id, int32_t generation,
                          struct str member, struct str instance);

struct group_leaving {
    struct str member, instance, reason;
    enum err err; /* out */
};
/* What it returns is the whole request's error; members then have none of their own. */
enum err groups_leave(struct groups *groups, struct str group_id, struct group_leaving *members,
                      size_t len);

struct offset_asked {
    struct str topic;
    int32_t partition;
    /* out */
    enum err err;              /* UNSTABLE_OFFSET_COMMIT, or OK */
    bool found;                /* else value is not set */
    struct offset_value value; /* the metadata is the arena's */
};
enum err groups_fetch(struct groups *groups, struct str group_id, bool require_stable,
                      struct offset_asked *asked, size_t len, struct arena *arena);
/* All that the group has committed, by topic and partition; out of the arena. */
enum err groups_fetch_all(struct groups *groups, struct str group_id, bool require_stable,
                          struct arena *arena, struct offset_asked **out, size_t *len);

struct group_described {
    struct str id;
    bool exists; /* else state is Dead and the rest is empty */
    enum group_state state;
    struct str protocol_type;
    struct str protocol; /* "" unless Stable */
    struct group_member_info *members;
    size_t members_len;
};
enum err groups_describe(struct groups *groups, struct str group_id, struct arena *arena,
                         struct group_described *out);
/* All groups here, without members. COORDINATOR_LOAD_IN_PROGRESS: not all of them yet. */
enum err groups_list(struct groups *groups, struct arena *arena, struct group_described **out,
                     size_t *len);
enum err groups_delete(struct groups *groups, struct str group_id);

struct offset_unwanted {
    struct str topic;
    int32_t partition;
    enum err err; /* out: GROUP_SUBSCRIBED_TO_TOPIC, or OK */
};
enum err groups_delete_offsets(struct groups *groups, struct str group_id,
                               struct offset_unwanted *unwanted, size_t len);

#endif
