/*
 * pool - threads for what may block; the result comes back to a reactor as a message.
 *
 * Ownership: a job is part of whatever it is about; it is the pool's from pool_post() until done()
 *            is called (run(), when there is no done).
 * Threads:   pool_post() from any; run() on a T_IO thread, in no order; done() on the reactor.
 */
#ifndef COMMON_IO_POOL_H
#define COMMON_IO_POOL_H

#include <stddef.h>
#include <sys/queue.h>

#include "common/base/mailbox.h"
#include "common/io/reactor.h"

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job);  /* on a thread of the pool */
    void (*done)(struct pool_job *job); /* on the reactor, afterwards; NULL: nothing follows */
    struct reactor *reactor;            /* where done() runs */
    struct msg msg;                     /* the pool's */
    STAILQ_ENTRY(pool_job) link;        /* the pool's */
};

/* Starts threads (at least 1) of kind T_IO. */
struct pool *pool_start(int threads);
/* From now on so many (at least 1); one thread at a time calls it, and never with pool_stop(). Does
 * not wait: who is one too many runs its job to the end. */
void pool_resize(struct pool *pool, int threads);
/* Runs what has been posted, joins the threads. */
void pool_stop(struct pool **pool_ptr);

void pool_post(struct pool *pool, struct pool_job *job);
/* Jobs that no thread has taken yet. */
size_t pool_waiting(struct pool *pool);

/* Jobs that run one after the other, in the order in which they were posted, on one thread of the
 * pool at a time: however slow they are, the others are left alone. */
struct lane;

struct lane *lane_new(struct pool *pool);
/* What was posted has been run: after pool_stop(). */
void lane_free(struct lane **lane);
/* Any thread; as pool_post(). */
void lane_post(struct lane *lane, struct pool_job *job);

#endif
