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
/* Runs what has been posted, joins the threads. */
void pool_stop(struct pool **pool_ptr);

void pool_post(struct pool *pool, struct pool_job *job);
/* Jobs that no thread has taken yet. */
size_t pool_waiting(struct pool *pool);

#endif
