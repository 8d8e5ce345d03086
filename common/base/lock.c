/*
 * The ranks that a thread holds stand in a small array of its own, so the check costs two compares
 * and is always on: a broken order would otherwise be found by a dead-lock at a customer's.
 */
#include "common/base/lock.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#define HELD_MAX 16

static __thread enum lock_rank held[HELD_MAX];
static __thread int held_count;
static __thread char thread_mark; /* its address tells threads apart */

static uintptr_t self_mark(void)
{
    return (uintptr_t)&thread_mark;
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
    assert(rank != LOCK_NONE);
    pthread_mutex_init(&lock->mutex, NULL);
    lock->rank = rank;
    atomic_init(&lock->owner, 0);
}

void lock_fini(struct lock *lock)
{
    assert(atomic_load_explicit(&lock->owner, memory_order_relaxed) == 0);
    pthread_mutex_destroy(&lock->mutex);
}

static void note_taken(struct lock *lock)
{
    assert(held_count < HELD_MAX);
    held[held_count++] = lock->rank;
    /* Relaxed: only the owner itself compares it with its own mark. */
    atomic_store_explicit(&lock->owner, self_mark(), memory_order_relaxed);
}

void lock_take(struct lock *lock)
{
    assert(held_count == 0 || held[held_count - 1] < lock->rank);
    pthread_mutex_lock(&lock->mutex);
    note_taken(lock);
}

bool lock_try(struct lock *lock)
{
    assert(held_count == 0 || held[held_count - 1] < lock->rank);
    if (pthread_mutex_trylock(&lock->mutex) != 0)
        return false;
    note_taken(lock);
    return true;
}

void lock_drop(struct lock *lock)
{
    int at = held_count - 1;

    assert(lock_is_mine(lock));
    while (at >= 0 && held[at] != lock->rank)
        at--;
    assert(at >= 0);
    for (; at < held_count - 1; at++)
        held[at] = held[at + 1];
    held_count--;
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    pthread_mutex_unlock(&lock->mutex);
}

bool lock_is_mine(const struct lock *lock)
{
    return atomic_load_explicit(&lock->owner, memory_order_relaxed) == self_mark();
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&cond->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void cond_fini(struct cond *cond)
{
    pthread_cond_destroy(&cond->cond);
}

void cond_wait(struct cond *cond, struct lock *lock)
{
    assert(lock_is_mine(lock) && held_count == 1);
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    pthread_cond_wait(&cond->cond, &lock->mutex);
    atomic_store_explicit(&lock->owner, self_mark(), memory_order_relaxed);
}

bool cond_wait_ms(struct cond *cond, struct lock *lock, int64_t timeout_ms)
{
    struct timespec until;

    assert(lock_is_mine(lock) && held_count == 1);
    if (timeout_ms < 0)
        timeout_ms = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
    int failed = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
    atomic_store_explicit(&lock->owner, self_mark(), memory_order_relaxed);
    return failed != ETIMEDOUT;
}

void cond_signal(struct cond *cond)
{
    pthread_cond_signal(&cond->cond);
}

void cond_broadcast(struct cond *cond)
{
    pthread_cond_broadcast(&cond->cond);
}
