/*
 * fetcher_int - the insides of a fetch loop, shared by fetcher*.c; nobody else includes it.
 */
#ifndef BROKER_REPLICA_FETCHER_INT_H
#define BROKER_REPLICA_FETCHER_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/replica/fetch_core.h"
#include "broker/replica/fetcher.h"
#include "broker/replica/peer.h"
#include "common/base/arena.h"
#include "common/base/rand.h"
#include "common/io/reactor.h"

/* A partition that is followed: the owner in the core. */
struct follow {
    struct part *part; /* a reference */
    int64_t lag;
};

/* A partition whose log does not meet the leader's; found again by id and epoch. */
struct reset {
    struct uuid topic_id;
    struct str topic; /* the arena's */
    int32_t partition, leader_epoch;
    enum err err;
    int64_t leader_start, leader_end;
};

struct sync_crowd;

enum flight { FLIGHT_NONE, FLIGHT_FETCH, FLIGHT_OFFSETS };

/* [I] set before the thread starts   [o] the loop's thread   [a] atomic */
struct fetcher {
    struct fetchers_conf conf; /* [I] */
    int32_t leader, index;     /* [I] */
    struct reactor *reactor;   /* [I] */
    struct peer *peer;         /* [I] used by [o] */
    struct fetch_core core;    /* [o] */
    struct rand rand;          /* [o] */

    struct lookup lookup; /* [o] of host, before it is connected to */
    char *host;           /* [o] NULL: not known */
    int32_t port;
    struct uuid incarnation; /* [o] */
    int64_t broker_epoch;    /* [o] ours */

    enum flight flight;          /* [o] */
    bool resets_due;             /* [o] some partition is in FETCH_RESET and not asked about */
    int open_lists;              /* [o] ListOffsets not answered yet */
    struct reset *resets;        /* [o] in arena, while flight is FLIGHT_OFFSETS */
    int32_t resets_len;          /* [o] */
    int16_t fetch_version;       /* [o] */
    int16_t list_version;        /* [o] */
    bool unreachable;            /* [o] and said so */
    struct sync_crowd *gathered; /* [o] syncs that are to be asked for, one per directory */
    int crowds;                  /* [o] that are asked for and not back */
    atomic_int posters;          /* [a] of those, whose thread may still be at our mailbox */
    int64_t retry_ms;            /* [o] the next back-off's upper bound */
    int64_t broke_ms;            /* [o] when a wait was last broken off */
    int64_t sent_ms;             /* [o] when the fetch in flight was sent, or was last heard of */
    int64_t patience_ms;        /* [o] what an answer may take beyond the wait that was asked for */
    size_t received;            /* [o] of its answer when silence was last looked for */
    int64_t counted_ms;         /* [o] when count() last went over all partitions */
    bool count_due;             /* [o] it is to do so at the end of this turn */
    struct reactor_timer retry; /* [o] connect again */
    struct reactor_timer wake;  /* [o] a delayed partition is ready; nothing to do for long */
    struct reactor_timer silence;  /* [o] looks whether the answer is overdue */
    struct reactor_timer newcomer; /* [o] break off the wait */
    struct reactor_task pump;      /* [o] */
    struct arena arena;            /* [o] of the request in flight */
    struct arena answer_arena;     /* [o] of the answer being looked at */
    struct fetch_part **scratch;   /* [o] fetch_core_ask()'s */
    size_t scratch_cap;

    _Atomic int64_t
        lost_ms; /* [a] when the connection broke, 0 while there is one or none wanted */
    _Atomic int32_t partitions; /* [a] these for fetcher_get_info(), relaxed */
    _Atomic int32_t failed;
    _Atomic int64_t lag_max;
    _Atomic uint64_t fetches;
    _Atomic uint64_t bytes;
};

/* ---- fetcher.c ---- */

/* A request has been sent, or was answered: its leader is heard. */
void fetcher_sent(struct fetcher *fetcher);
void fetcher_heard(struct fetcher *fetcher);
/* Does what is to be done next, if anything: to be called when something has changed. */
void fetcher_pump(struct fetcher *fetcher);
/* The same at the end of this turn. */
void fetcher_pump_later(struct fetcher *fetcher);
/* For fetcher_get_info(); now: also what takes a walk over all partitions. */
void fetcher_count(struct fetcher *fetcher, bool now);
/* The connection is gone or of no use: say so, try again later. */
void fetcher_failed(struct fetcher *fetcher, enum err why);
/* The leader sent what cannot be read. */
void fetcher_garbage(struct fetcher *fetcher, enum err err);

/* ---- fetcher_fetch.c ---- */

void fetcher_send_fetch(struct fetcher *fetcher, const struct fetch_ask *ask, int64_t wake_ms);
const char *fetcher_part_name(const struct fetch_part *at);
/* The log took it: go on from there. */
void fetcher_go_on(struct fetcher *fetcher, struct fetch_part *at,
                   const struct part_fetch_start *start, bool got_records);
/* Our own log did not take what the leader said. */
void fetcher_refused(struct fetcher *fetcher, struct fetch_part *at,
                     const struct part_fetch_start *start, enum err err);

/* ---- fetcher_sync.c ---- */

/* What the partition has is to be on the disk before it is named. */
void fetcher_sync(struct fetcher *fetcher, struct fetch_part *at);
/* Asks for all those syncs. */
void fetcher_post_syncs(struct fetcher *fetcher);
/* Returns when those that were asked for are done; the loop has ended. */
void fetcher_await_syncs(struct fetcher *fetcher);

/* ---- fetcher_offsets.c ---- */

/* Asks the leader where the logs of those in FETCH_RESET begin and end. False when there was
 * nothing to ask. */
bool fetcher_ask_offsets(struct fetcher *fetcher);

#endif
