/*
 * One queue under one lock. A thread is signalled per job; the result goes back through the
 * reactor's mailbox. A thread that is one too many ends when it has run its job; it is joined when
 * its place is taken again, or at the end, so that nobody waits for a job.
 */
#include "common/io/pool.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/thread.h"

struct worker {
    struct pool *pool;    /* [I] */
    int number;           /* [I] */
    struct thread thread; /* [r] */
    bool has_ended;       /* [m] */
};

/* [r]: who resizes and stops the pool */
struct pool {
    struct lock lock;              /* rank LOCK_POOL */
    struct cond cond;              /* a job, fewer threads, or the end */
    STAILQ_HEAD(, pool_job) queue; /* [m] */
    size_t waiting;                /* [m] */
    bool stopping;                 /* [m] */
    int wanted;                    /* [m] threads */
    int count;                     /* [r] workers that were ever started */
    struct worker **workers;       /* [r] */
};

static void on_done(struct msg *msg)
{
    struct pool_job *job = container_of(msg, struct pool_job, msg);

    job->done(job);
}

static void run_jobs(void *arg)
{
    struct worker *worker = arg;
    struct pool *pool = worker->pool;

    lock_take(&pool->lock);
    for (;;) {
        struct pool_job *job = STAILQ_FIRST(&pool->queue);

        if (worker->number >= pool->wanted || (job == NULL && pool->stopping))
            break;
        if (job == NULL) {
            cond_wait(&pool->cond, &pool->lock);
            continue;
        }
        STAILQ_REMOVE_HEAD(&pool->queue, link);
        pool->waiting--;
        lock_drop(&pool->lock);
        bool answers = job->done != NULL;
        job->run(job);
        if (answers)
            reactor_post(job->reactor, &job->msg);
        lock_take(&pool->lock);
    }
    worker->has_ended = true;
    lock_drop(&pool->lock);
}

struct pool *pool_start(int threads)
{
    struct pool *pool = xcalloc(1, sizeof *pool);

    lock_init(&pool->lock, LOCK_POOL);
    cond_init(&pool->cond);
    STAILQ_INIT(&pool->queue);
    pool_resize(pool, threads);
    return pool;
}

static void start_worker(struct pool *pool, int number)
{
    struct worker *worker = pool->workers[number];

    worker->has_ended = false;
    thread_start(&worker->thread, T_IO, number, run_jobs, worker);
}

void pool_resize(struct pool *pool, int threads)
{
    assert(threads >= 1);
    lock_take(&pool->lock);
    assert(!pool->stopping);
    pool->wanted = threads;
    cond_broadcast(&pool->cond);
    lock_drop(&pool->lock);
    for (int i = 0; i < threads && i < pool->count; i++) {
        lock_take(&pool->lock);
        bool has_ended = pool->workers[i]->has_ended;

        lock_drop(&pool->lock);
        if (!has_ended)
            continue;
        thread_join(&pool->workers[i]->thread);
        start_worker(pool, i);
    }
    if (threads <= pool->count)
        return;
    pool->workers = xrealloc(pool->workers, (size_t)threads * sizeof *pool->workers);
    for (; pool->count < threads; pool->count++) {
        struct worker *worker = xcalloc(1, sizeof *worker);

        *worker = (struct worker){ .pool = pool, .number = pool->count };
        pool->workers[pool->count] = worker;
        start_worker(pool, pool->count);
    }
}

void pool_stop(struct pool **pool_ptr)
{
    struct pool *pool = *pool_ptr;

    *pool_ptr = NULL;
    if (pool == NULL)
        return;
    lock_take(&pool->lock);
    pool->stopping = true;
    cond_broadcast(&pool->cond);
    lock_drop(&pool->lock);
    for (int i = 0; i < pool->count; i++) {
        thread_join(&pool->workers[i]->thread);
        free(pool->workers[i]);
    }
    assert(STAILQ_EMPTY(&pool->queue));
    cond_fini(&pool->cond);
    lock_fini(&pool->lock);
    free(pool->workers);
    free(pool);
}

void pool_post(struct pool *pool, struct pool_job *job)
{
    assert(job->run != NULL);
    assert(job->done == NULL || job->reactor != NULL);
    job->msg.run = on_done;
    lock_take(&pool->lock);
    STAILQ_INSERT_TAIL(&pool->queue, job, link);
    pool->waiting++;
    cond_signal(&pool->cond);
    lock_drop(&pool->lock);
}

size_t pool_waiting(struct pool *pool)
{
    lock_take(&pool->lock);
    size_t waiting = pool->waiting;
    lock_drop(&pool->lock);
    return waiting;
}

/* ---- lanes ---- */

struct lane {
    struct pool *pool;             /* [I] */
    struct lock lock;              /* rank LOCK_LEAF; guards [m] */
    STAILQ_HEAD(, pool_job) queue; /* [m] */
    bool is_running;               /* [m] its own job is the pool's */
    struct pool_job own;           /* runs the queue */
};

static void run_lane(struct pool_job *own)
{
    struct lane *lane = container_of(own, struct lane, own);
    struct pool_job *job;

    lock_take(&lane->lock);
    while ((job = STAILQ_FIRST(&lane->queue)) != NULL) {
        STAILQ_REMOVE_HEAD(&lane->queue, link);
        lock_drop(&lane->lock);
        bool answers = job->done != NULL;
        job->run(job);
        if (answers)
            reactor_post(job->reactor, &job->msg);
        lock_take(&lane->lock);
    }
    lane->is_running = false;
    lock_drop(&lane->lock);
}

struct lane *lane_new(struct pool *pool)
{
    struct lane *lane = xcalloc(1, sizeof *lane);

    lane->pool = pool;
    lane->own.run = run_lane;
    lock_init(&lane->lock, LOCK_LEAF);
    STAILQ_INIT(&lane->queue);
    return lane;
}

void lane_free(struct lane **lane_ptr)
{
    struct lane *lane = *lane_ptr;

    *lane_ptr = NULL;
    if (lane == NULL)
        return;
    assert(STAILQ_EMPTY(&lane->queue) && !lane->is_running);
    lock_fini(&lane->lock);
    free(lane);
}

void lane_post(struct lane *lane, struct pool_job *job)
{
    assert(job->run != NULL);
    job->msg.run = on_done;
    lock_take(&lane->lock);
    STAILQ_INSERT_TAIL(&lane->queue, job, link);
    bool starts = !lane->is_running;
    lane->is_running = true;
    lock_drop(&lane->lock);
    if (starts)
        pool_post(lane->pool, &lane->own);
}
