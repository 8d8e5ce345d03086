/*
 * part_int - the insides of a partition, shared by part*.c and nobody else.
 */
#ifndef BROKER_REPLICA_PART_INT_H
#define BROKER_REPLICA_PART_INT_H

#include <assert.h>
#include <stdatomic.h>

#include "broker/replica/part.h"
#include "common/base/lock.h"

/*
 * Who may touch what:  [I] set before anyone else can see it, then never changed
 *                      [a] atomic   [s] under state   [p] under append
 */
struct part {
    atomic_size_t refs;         /* [a] */
    const struct part_env *env; /* [I] */
    char *topic;                /* [I] */
    char *name;                 /* [I] */
    struct uuid topic_id;       /* [I] */
    int32_t partition;          /* [I] */
    _Atomic(struct log *) log;  /* [a] a reference; another one after a move, under both locks */
    struct log *future;  /* [s] a reference, NULL unless it is being moved; see part_move.c */
    struct log **former; /* [s] references: logs that were moved away from */
    size_t former_len, former_cap;

    struct lock append;            /* rank LOCK_PART_APPEND */
    struct lock state;             /* rank LOCK_PART_STATE */
    struct part_core core;         /* [s]; role and epochs change under both */
    struct validate_conf validate; /* [s] */
    enum err closed; /* [s] what everybody is told; ERR_OK: it is not; written under both */
    _Atomic uint64_t changes;                         /* [a] moved under state */
    atomic_bool throttled_leader, throttled_follower; /* [a] relaxed */
    atomic_bool is_full;                              /* [a] relaxed; see part_take_full() */
    enum err refusal;                                 /* under append: why the last was refused */
    int64_t refused_ms;
    bool is_restless;           /* [s] in the list, or about to join it */
    struct part *next_restless; /* the list's */

    struct watch_list committed; /* bound: high watermark */
    struct watch_list grown;     /* bound: log end */
    struct watch_list stable;    /* bound: last stable offset */
    struct watch_list cleared;   /* bound: low watermark */
};

/* A proposal leaves the core by copy: the core may have moved on when it is sent. */
struct aftermath {
    struct part_effects effects;
    struct part_proposal proposal;
    int64_t hw;
    int64_t leo;
    int64_t low_watermark; /* -1: nobody waits for it */
    bool becomes_restless; /* by one of the steps */
};

/* One step of the core; what it asks for is in *after. */
void part_step_locked(struct part *part, const struct part_event *ev, int64_t now_ms,
                      struct aftermath *after);
/* What the effects ask for that may call out: with no lock held. */
void part_see_to(struct part *part, struct aftermath *after);
/* What part_changes() counts has changed. */
void part_note_change_locked(struct part *part);
/* One step with all that comes of it; nothing when the partition is gone or offline. */
void part_step_and_see_to(struct part *part, const struct part_event *ev, int64_t now_ms);
/* The log's start has moved. Under append from before it did, so that no cut comes between the
 * log's new start and the core's. */
void part_note_start(struct part *part, int64_t now_ms, struct aftermath *after);
/* part_time.c: after a step; then, without a lock. */
void part_look_at_time_locked(struct part *part, struct aftermath *after);
void part_join_restless(struct part *part);
/* Tells who waits for the low watermark when it is there. */
void part_look_at_low_watermark(struct part *part);

#endif
