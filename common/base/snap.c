#include "common/base/snap.h"

#include <assert.h>
#include <stddef.h>

void snap_head_init(struct snap_head *head, void (*free)(struct snap_head *))
{
    atomic_init(&head->refs, 1);
    head->free = free;
}

void snap_init(struct snap *snap)
{
    lock_init(&snap->lock, LOCK_SNAP);
    snap->current = NULL;
    atomic_init(&snap->turn, 0);
}

void snap_fini(struct snap *snap)
{
    if (snap->current != NULL)
        snap_unref(&snap->current);
    lock_fini(&snap->lock);
}

void snap_publish(struct snap *snap, struct snap_head **head)
{
    lock_take(&snap->lock);
    struct snap_head *old = snap->current;
    snap->current = *head;
    /* Release pairs with the acquire in snap_cache_get: who sees the turn finds the object. */
    atomic_fetch_add_explicit(&snap->turn, 1, memory_order_release);
    lock_drop(&snap->lock);
    *head = NULL;
    if (old != NULL)
        snap_unref(&old);
}

struct snap_head *snap_ref(struct snap_head *head)
{
    atomic_fetch_add_explicit(&head->refs, 1,
                              memory_order_relaxed); /* the caller keeps it above 0 */
    return head;
}

struct snap_head *snap_get_ref(struct snap *snap)
{
    struct snap_head *head = NULL;

    lock_take(&snap->lock);
    if (snap->current != NULL)
        head = snap_ref(snap->current);
    lock_drop(&snap->lock);
    return head;
}

void snap_unref(struct snap_head **head)
{
    struct snap_head *old = *head;

    *head = NULL;
    /* Release our reads; the last holder acquires everyone else's before freeing. */
    size_t before = atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        old->free(old);
}

struct snap_head *snap_cache_get(struct snap_cache *cache, struct snap *snap)
{
    uint_fast64_t turn = atomic_load_explicit(&snap->turn, memory_order_acquire);

    if (cache->head == NULL || cache->turn != turn) {
        snap_cache_fini(cache);
        cache->head = snap_get_ref(snap);
        cache->turn = turn;
    }
    return cache->head;
}

void snap_cache_fini(struct snap_cache *cache)
{
    if (cache->head != NULL)
        snap_unref(&cache->head);
}
