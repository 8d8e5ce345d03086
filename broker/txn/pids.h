/*
 * pids - producer ids out of blocks that the controller gives, never one twice.
 *
 * A new block is asked for when the present one is used up; who comes meanwhile waits.
 *
 * Ownership:  a waiter is the caller's, in place until done() was called.
 * Threads:    any; done() on the waiter's reactor.
 */
#ifndef BROKER_TXN_PIDS_H
#define BROKER_TXN_PIDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/err.h"
#include "common/base/mailbox.h"
#include "common/io/reactor.h"

struct pids;

struct pids_waiter {
    struct reactor *reactor;
    void (*done)(struct pids_waiter *waiter); /* with pid, or -1 when no block could be had */
    int64_t pid;
    struct msg msg;                 /* the module's */
    STAILQ_ENTRY(pids_waiter) link; /* the module's */
};

/* want: ask the controller for a block, then pids_give() or pids_fail(); any thread, no lock held.
 */
struct pids *pids_new(void (*want)(void *ctx), void *ctx);
/* Nobody may wait any more. */
void pids_free(struct pids **pids);

/* True with *pid at once; else the waiter has been queued. */
bool pids_take(struct pids *pids, struct pids_waiter *waiter, int64_t *pid);

void pids_give(struct pids *pids, int64_t first, int32_t count);
/* No block: everybody who waits is told -1. */
void pids_fail(struct pids *pids);

#endif
