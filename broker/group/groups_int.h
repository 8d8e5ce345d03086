/*
 * groups_int - the insides of the coordinator's shell: shards, their queues of appends, what is to
 * be done once a lock is dropped.
 */
#ifndef BROKER_GROUP_GROUPS_INT_H
#define BROKER_GROUP_GROUPS_INT_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "broker/delay/purgatory.h"
#include "broker/group/group_table.h"
#include "broker/group/groups.h"
#include "broker/log/sync_wait.h"
#include "common/base/lock.h"

enum shard_state { SHARD_AWAY, SHARD_LOADING, SHARD_OURS };

/* What a shard wants appended, from being asked for until it is committed. */
struct groups_append {
    STAILQ_ENTRY(groups_append) link;     /* [m] in the shard's queue */
    TAILQ_ENTRY(groups_append) wait_link; /* [m] in the shard's list of those that wait */
    struct group_shard *shard;            /* [I] */
    uint64_t life, number;                /* [I] of shard and slot, as they were */
    struct str group_id;                  /* [I] */
    struct group_record_pair *records;    /* [I] */
    size_t records_len;                   /* [I] */
    int16_t acks;                         /* [I] */
    struct offset_commit *commit;         /* [I] NULL: a group's record, or tombstones */
    uint64_t store_seq;                   /* [I] 0: nobody is told */
    struct arena *own;                    /* [I] a commit has its call's */

    /* of whoever has it in hand: first who drains, then its reactor */
    struct part *part; /* a reference while it waits */
    int64_t first, end;
    int32_t leader_epoch;
    enum err err;
    int64_t deadline_ms;
    bool flush_due;   /* flush.messages is reached: to be synced first */
    bool waits;       /* [m] in the list */
    bool is_watching; /* its delayed is at work */
    struct reactor *reactor;
    struct delayed delayed;
    struct watch_node watch;
    struct sync_wait sync;
    struct msg msg;
};

struct group_record_pair {
    struct str key, value; /* value null: a tombstone */
};

STAILQ_HEAD(append_queue, groups_append);
TAILQ_HEAD(append_waits, groups_append);

/*
 * One partition of __consumer_offsets.
 *
 * Who may touch what:  [I] set before anyone else can see it, then never changed
 *                      [m] under lock   [h] the home reactor only
 */
struct group_shard {
    struct groups *groups;     /* [I] */
    int32_t partition;         /* [I] */
    struct reactor *home;      /* [I] runs the timer */
    struct lock lock;          /* rank LOCK_GROUP */
    enum shard_state state;    /* [m] */
    int32_t epoch;             /* [m] leader epoch of the role it has, -1 none yet */
    int32_t led_since;         /* [m] see part_core: while it lasts, nobody else has written */
    uint64_t life;             /* [m] another with each coming and going */
    struct part *part;         /* [m] a reference, unless away */
    struct group_table table;  /* [m] */
    struct append_queue queue; /* [m] in the order the cores asked for them */
    bool draining;             /* [m] somebody is at it */
    struct topics_owed *owed;  /* [m] topics that went while it was loading */
    struct append_waits waits; /* [m] appended, not synced or not committed yet */

    LIST_HEAD(, group_load) loads; /* [h] that wait until what they have read is committed */
    struct reactor_timer timer;    /* [h] */
    int64_t armed_ms;              /* [m] when the timer is, or will be, due */
    struct msg arm_msg;
    bool arm_posted; /* [m] */
};

struct shard_list {
    struct shard_list *older; /* kept until the end: readers take no reference */
    int32_t len;              /* partitions of the topic: what groups are spread over */
    int32_t made;             /* shards, at least len: the topic may have had more once */
    struct group_shard *at[];
};

/* A load of many partitions, as the operator sees it. */
struct load_report {
    int64_t started_ms, said_ms;
    size_t running, partitions, groups, offsets, records, skipped;
};

struct groups {
    struct groups_conf conf;             /* [I] */
    _Atomic(struct shard_list *) shards; /* [a] release by the control thread */
    atomic_bool stopped;                 /* [a] */
    struct lock report_lock;             /* rank LOCK_LEAF */
    struct load_report report;           /* [m] of report_lock */
    atomic_size_t jobs;                  /* [a] of ours in the pool */
    atomic_size_t syncs;                 /* [a] of appends, twice each; see post_sync() */
};

/* What was decided under a shard's lock and is done when it is dropped. */
struct group_after {
    struct group_call *ready;
    struct group_call **ready_last;
    struct arena arena; /* of what is said */
    struct str *said;
    size_t said_len, said_cap;
};

void after_init(struct group_after *after);
/* Appends what is queued, answers who is ready, says what is to be said. No lock is held. */
void after_do(struct group_after *after, struct group_shard *shard);
/* The same without appending. */
void after_end(struct group_after *after);
void after_ready(struct group_after *after, struct group_call *call);
/* Effects of a step into what is to be done, the heap and the queue; ends them. */
void after_step_locked(struct group_after *after, struct group_shard *shard,
                       struct group_slot *slot, struct group_effects *effects);

/* NULL when there is no such partition. */
struct group_shard *groups_shard(struct groups *groups, int32_t partition);
/* Of the group; NULL when it is not known how many partitions there are. */
struct group_shard *groups_shard_of(struct groups *groups, struct str group_id);
/* Locked and OURS; else an error and nothing is locked. */
enum err groups_enter(struct groups *groups, struct str group_id, bool may_be_empty,
                      struct group_shard **shard) MUST_USE;
void shard_arm_locked(struct group_shard *shard);

/* ---- groups_admin.c ---- */

/* Offsets of topics that after has not any more, and groups that had no others. delta: what has
 * changed, NULL: it may be anything. */
void groups_forget_topics(struct groups *groups, const struct image *before,
                          const struct image *after, const struct image_delta *delta);

/* What went while a shard was loading; drain it when it was any. */
bool groups_forget_owed_locked(struct group_shard *shard);
void groups_drop_owed_locked(struct group_shard *shard);

/* ---- groups_append.c ---- */

/* Queues; shard_drain() once the lock is dropped. */
void append_commit_locked(struct group_shard *shard, struct group_slot *slot,
                          struct offset_commit *commit);
void append_group_locked(struct group_shard *shard, struct group_slot *slot, uint64_t store_seq);
/* Tombstones, which nobody waits for: what is lost of them is written again. */
void append_gone_locked(struct group_shard *shard, struct str group_id,
                        const struct offsets_gone *gone, bool whole_group);
void shard_drain(struct group_shard *shard);
/* Those that wait are given up, on their reactors; when this returns no sync is waited for. */
void groups_cancel_appends(struct groups *groups);
/* What an append's error is to a commit, and to who stores a group's record. */
enum err append_commit_err(enum err err);
enum err append_store_err(enum err err);

#endif
