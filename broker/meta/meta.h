/*
 * meta - what this broker knows of the cluster: the latest image, published to all threads.
 *
 * Ownership:  meta_get_ref() hands out a reference: image_unref() it.
 * Threads:    any; meta_publish() by the control thread.
 */
#ifndef BROKER_META_META_H
#define BROKER_META_META_H

#include <stdint.h>

#include "common/model/image.h"

struct meta;

struct meta *meta_new(void);
void meta_free(struct meta **meta);

/* Takes a reference of its own. */
void meta_publish(struct meta *meta, const struct image *image);
/* NULL before the first one. */
struct image *meta_get_ref(struct meta *meta);

#endif
