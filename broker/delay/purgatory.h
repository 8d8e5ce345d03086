/*
 * purgatory - what waits for a partition to get somewhere, or for its time to run out.
 *
 * A waiting request is a struct delayed on its reactor with one watch per partition. Whoever moves
 * a partition's bound (a high watermark, a log end) looks at the partition's watch list; a watch
 * whose need is met leaves the list, and the operation that has none left to wait for (or, for a
 * fetch, any that was met) is told to its reactor by a message. The timer belongs to the reactor.
 * Whoever is first, a mover or the timer, completes it: exactly once.
 *
 * The lost wake-up is closed by the waiter: it adds its watches first and then looks once more. Who
 * waits for all of several looks at each, since those that were there first are not heard of again.
 *
 * Units:      need and bound are offsets.
 * Ownership:  struct delayed and its watches are the waiter's, usually in a request's arena; they
 * must stay until complete() was called. Threads:    lists: any. A delayed belongs to its reactor:
 * delayed_* there, complete() is called there.
 */
#ifndef BROKER_DELAY_PURGATORY_H
#define BROKER_DELAY_PURGATORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/lock.h"
#include "common/base/mailbox.h"
#include "common/io/reactor.h"

struct delayed;

struct watch_node {
    TAILQ_ENTRY(watch_node) link; /* [m] of the list's lock */
    struct watch_list *list;      /* [o] where it was added */
    struct delayed *op;           /* [I] */
    int64_t need;                 /* [I] met when the bound is at least this */
    bool linked;                  /* [m] of the list's lock */
};

struct watch_list {
    struct lock lock; /* rank LOCK_PURGATORY */
    TAILQ_HEAD(, watch_node) nodes;
    _Atomic int64_t
        smallest; /* [a] smallest need inside, INT64_MAX when empty: a cheap first look */
};

enum delayed_why { DELAYED_MET, DELAYED_TIMED_OUT, DELAYED_CANCELLED };

/* [I] set before the first watch   [a] atomic   [o] its reactor */
struct delayed {
    struct reactor *reactor;                                    /* [I] */
    void (*complete)(struct delayed *op, enum delayed_why why); /* [I] on the reactor, once */
    struct watch_node *watches;                                 /* [I] array */
    int watches_len;                                            /* [o] added so far */
    atomic_int open;            /* [a] watches that must still be met */
    atomic_bool done;           /* [a] somebody completes it */
    struct delayed *next_met;   /* whoever has set done, until he posts */
    struct reactor_timer timer; /* [o] */
    struct msg msg;             /* the completer's */
};

void watch_list_init(struct watch_list *list);
/* It must be empty. */
void watch_list_fini(struct watch_list *list);
/* The bound is there now: watches with need <= bound are met. Cheap when there are none. */
void watch_list_reach(struct watch_list *list, int64_t bound);
/* Every watch is met, whatever it needs: a lost leadership, a cut log, a deletion. */
void watch_list_flush(struct watch_list *list);
bool watch_list_is_empty(const struct watch_list *list);

/* watches: room for as many as will be added. all: complete when all are met, else when one is. */
void delayed_init(struct delayed *op, struct reactor *reactor,
                  void (*complete)(struct delayed *, enum delayed_why), struct watch_node *watches);
/* To be called for each watch, before delayed_start(). */
void delayed_watch(struct delayed *op, struct watch_list *list, int64_t need);
/*
 * The watch that was added last is met: its bound was there before the watch was, and nobody may
 * move it again. To be called before delayed_start().
 */
void delayed_met(struct delayed *op);
/*
 * Begins waiting, at most timeout_ms. all: until every watch is met, else until one is. Then the
 * caller looks once more whether it need wait at all, and if not calls delayed_finish().
 */
void delayed_start(struct delayed *op, bool all, int64_t timeout_ms);
/* Ends it now with `why`, unless somebody has already: complete() is called from here, or comes
 * later from him. */
void delayed_finish(struct delayed *op, enum delayed_why why);
/* The same with DELAYED_MET, but in the reactor's next turn: for who may find, when he has looked,
 * that he has to wait again. Time goes on, and others are served, between two looks. */
void delayed_finish_later(struct delayed *op);

#endif
