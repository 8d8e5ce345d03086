/*
 * snap - publish an immutable object that many threads read: readers hold a counted reference, the
 * writer swaps in a new object.
 *
 * Ownership:  the holder of a reference may read the object until snap_unref(); the last one frees
 * it. Threads:    any. snap_publish() by one writer at a time.
 */
#ifndef COMMON_BASE_SNAP_H
#define COMMON_BASE_SNAP_H

#include <stdatomic.h>

#include "common/base/lock.h"

/* Head of a published object: its first member. */
struct snap_head {
    atomic_size_t refs;               /* [a] */
    void (*free)(struct snap_head *); /* [I] */
};

struct snap {
    struct lock lock;          /* rank LOCK_SNAP, held for a few instructions */
    struct snap_head *current; /* [m] */
    atomic_uint_fast64_t
        turn; /* [a] counts publications, so that a reader can keep its reference */
};

void snap_head_init(struct snap_head *head, void (*free)(struct snap_head *)); /* one reference */

void snap_init(struct snap *snap);
void snap_fini(struct snap *snap);
/* Takes the caller's reference on head. */
void snap_publish(struct snap *snap, struct snap_head **head);
/* NULL before the first publication. */
struct snap_head *snap_get_ref(struct snap *snap);
struct snap_head *snap_ref(struct snap_head *head);
void snap_unref(struct snap_head **head);

/* A reader's own kept reference, refreshed only when something new was published: one relaxed load
 * in the common case. Cache belongs to one thread; start it zeroed, end it with snap_cache_fini().
 */
struct snap_cache {
    struct snap_head *head;
    uint_fast64_t turn;
};
/* Lent until the next call on this cache. */
struct snap_head *snap_cache_get(struct snap_cache *cache, struct snap *snap);
void snap_cache_fini(struct snap_cache *cache);

#endif
