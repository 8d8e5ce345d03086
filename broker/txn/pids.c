#include "broker/txn/pids.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/lock.h"
#include "common/base/mem.h"

STAILQ_HEAD(waiters, pids_waiter);

struct pids {
    struct lock lock;       /* rank LOCK_LEAF */
    int64_t next, end;      /* [m] what is left of the block */
    bool asked;             /* [m] a block is on its way */
    struct waiters waiters; /* [m] */
    void (*want)(void *ctx);
    void *ctx;
};

static void tell(struct msg *msg)
{
    struct pids_waiter *waiter = container_of(msg, struct pids_waiter, msg);

    waiter->done(waiter);
}

struct pids *pids_new(void (*want)(void *ctx), void *ctx)
{
    struct pids *pids = xcalloc(1, sizeof *pids);

    lock_init(&pids->lock, LOCK_LEAF);
    STAILQ_INIT(&pids->waiters);
    pids->want = want;
    pids->ctx = ctx;
    return pids;
}

void pids_free(struct pids **pids_ptr)
{
    struct pids *pids = *pids_ptr;

    *pids_ptr = NULL;
    assert(STAILQ_EMPTY(&pids->waiters));
    lock_fini(&pids->lock);
    free(pids);
}

bool pids_take(struct pids *pids, struct pids_waiter *waiter, int64_t *pid)
{
    bool taken = false, ask = false;

    lock_take(&pids->lock);
    if (pids->next < pids->end) {
        *pid = pids->next++;
        taken = true;
    } else {
        STAILQ_INSERT_TAIL(&pids->waiters, waiter, link);
        ask = !pids->asked;
        pids->asked = true;
    }
    lock_drop(&pids->lock);
    if (ask)
        pids->want(pids->ctx);
    return taken;
}

/* Hands out what there is; true when more must be asked for. */
static bool serve_locked(struct pids *pids, struct waiters *served)
{
    struct pids_waiter *waiter;

    while (pids->next < pids->end && (waiter = STAILQ_FIRST(&pids->waiters)) != NULL) {
        STAILQ_REMOVE_HEAD(&pids->waiters, link);
        waiter->pid = pids->next++;
        STAILQ_INSERT_TAIL(served, waiter, link);
    }
    pids->asked = !STAILQ_EMPTY(&pids->waiters);
    return pids->asked;
}

static void tell_all(struct waiters *served)
{
    struct pids_waiter *waiter;

    while ((waiter = STAILQ_FIRST(served)) != NULL) {
        STAILQ_REMOVE_HEAD(served, link);
        waiter->msg.run = tell;
        reactor_post(waiter->reactor, &waiter->msg);
    }
}

void pids_give(struct pids *pids, int64_t first, int32_t count)
{
    struct waiters served = STAILQ_HEAD_INITIALIZER(served);

    lock_take(&pids->lock);
    /* An answer that was given up on may come after all: what is left of the other block is lost,
     * which costs nothing; ids need not be dense. */
    pids->next = first;
    pids->end = first + count;
    bool more = serve_locked(pids, &served);
    lock_drop(&pids->lock);
    tell_all(&served);
    if (more)
        pids->want(pids->ctx);
}

void pids_fail(struct pids *pids)
{
    struct waiters served = STAILQ_HEAD_INITIALIZER(served);
    struct pids_waiter *waiter;

    lock_take(&pids->lock);
    STAILQ_CONCAT(&served, &pids->waiters);
    pids->asked = false;
    STAILQ_FOREACH (waiter, &served, link)
        waiter->pid = -1;
    lock_drop(&pids->lock);
    tell_all(&served);
}
