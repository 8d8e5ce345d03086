/*
 * lock - a mutex with a rank and an owner.
 *
 * Threads: taking a lock whose rank is not below every rank held by this thread aborts. The table
 *          locks.def is the lock-order document.
 */
#ifndef COMMON_BASE_LOCK_H
#define COMMON_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum lock_rank {
    LOCK_NONE,
#define LOCK(rank, guards) rank,
#include "common/base/locks.def"
#undef LOCK
};

struct lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;      /* [I] */
    _Atomic(uintptr_t) owner; /* [a] mark of the thread inside, 0 when free */
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_fini(struct lock *lock);
void lock_take(struct lock *lock);
/* True when it was free and is now ours. */
bool lock_try(struct lock *lock);
void lock_drop(struct lock *lock);
bool lock_is_mine(const struct lock *lock);
#define lock_assert_held(lock) assert(lock_is_mine(lock))

struct cond {
    pthread_cond_t cond; /* on the monotonic clock */
};

void cond_init(struct cond *cond);
void cond_fini(struct cond *cond);
/* Lets go of the lock meanwhile; it must be the only one held. */
void cond_wait(struct cond *cond, struct lock *lock);
/* False when timeout_ms have passed. */
bool cond_wait_ms(struct cond *cond, struct lock *lock, int64_t timeout_ms);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

#endif
