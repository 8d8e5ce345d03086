/*
 * pmap - an immutable map of counted items by 64-bit hash: a changed map shares all but one path
 * with the map it was made from.
 *
 * An item starts with a struct pmap_item and says, through the map's kind, how it is compared and
 * freed.
 *
 * Ownership:  a map holds a reference on its items; putting takes over the caller's. A struct pmap
 * is a value with one reference on its content: pmap_copy() makes another, pmap_fini() ends it.
 * Threads:    counts are atomic; a map is changed only by its one holder.
 */
#ifndef COMMON_MODEL_PMAP_H
#define COMMON_MODEL_PMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/image.h" /* struct image_cursor */

struct pmap_item {
    atomic_size_t refs;
    uint64_t hash;
};

struct pmap_kind {
    bool (*same)(struct pmap_item *item, const void *key);
    const void *(*key)(struct pmap_item *item);
    void (*free)(struct pmap_item *item);
};

struct pmap {
    const struct pmap_kind *kind;
    void *root; /* private */
    size_t n;
};

void pmap_init(struct pmap *map, const struct pmap_kind *kind);
void pmap_fini(struct pmap *map);
struct pmap pmap_copy(const struct pmap *map);

struct pmap_item *pmap_get(const struct pmap *map, uint64_t hash, const void *key);
/* Takes the caller's reference on item; one with the same key is replaced. */
void pmap_put(struct pmap *map, struct pmap_item *item);
/* False when it was not there. */
bool pmap_del(struct pmap *map, uint64_t hash, const void *key);
struct pmap_item *pmap_next(const struct pmap *map, struct image_cursor *at);

void pmap_item_ref(struct pmap_item *item);
void pmap_item_unref(const struct pmap_kind *kind, struct pmap_item *item);

#endif
