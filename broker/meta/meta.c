/*
 * A pointer under a lock that is held for a few instructions; images are immutable.
 */
#include "broker/meta/meta.h"

#include <stdlib.h>

#include "common/base/lock.h"
#include "common/base/mem.h"

struct meta {
    struct lock lock;    /* rank LOCK_SNAP */
    struct image *image; /* [m] a reference */
};

struct meta *meta_new(void)
{
    struct meta *meta = xcalloc(1, sizeof *meta);

    lock_init(&meta->lock, LOCK_SNAP);
    return meta;
}

void meta_free(struct meta **meta_ptr)
{
    struct meta *meta = *meta_ptr;

    *meta_ptr = NULL;
    image_unref(&meta->image);
    lock_fini(&meta->lock);
    free(meta);
}

void meta_publish(struct meta *meta, const struct image *image)
{
    struct image *mine = image_ref(image);

    lock_take(&meta->lock);
    struct image *old = meta->image;
    meta->image = mine;
    lock_drop(&meta->lock);
    image_unref(&old);
}

struct image *meta_get_ref(struct meta *meta)
{
    struct image *image;

    lock_take(&meta->lock);
    image = meta->image != NULL ? image_ref(meta->image) : NULL;
    lock_drop(&meta->lock);
    return image;
}
