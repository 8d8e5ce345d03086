/*
 * A hash trie: sixteen ways by four bits of the hash a level, empty ways left out. A way is an
 * inner node or an item; items whose hashes are wholly equal end in a list of items at the depth
 * where the hash is used up. A node with one reference, reached through nodes with one reference,
 * is ours alone and is changed in place; any other is copied first. So filling a fresh map
 * allocates what it holds, and changing a shared one copies the nodes on one path.
 *
 * Ways carry their tag in the lowest bit of the pointer: 1 is an item.
 */
#include "common/model/pmap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define WAY_BITS  4
#define MAX_DEPTH 16

struct trie {
    atomic_size_t refs;
    uint16_t used; /* ways that are there; 0 in a list of equal hashes */
    uint16_t n;    /* of ways */
    uintptr_t ways[];
};

static bool is_item(uintptr_t way)
{
    return (way & 1) != 0;
}

static struct pmap_item *to_item(uintptr_t way)
{
    return (struct pmap_item *)(way & ~(uintptr_t)1);
}

static struct trie *to_trie(uintptr_t way)
{
    return (struct trie *)way;
}

static uintptr_t of_item(struct pmap_item *item)
{
    return (uintptr_t)item | 1;
}

void pmap_item_ref(struct pmap_item *item)
{
    atomic_fetch_add_explicit(&item->refs, 1, memory_order_relaxed);
}

void pmap_item_unref(const struct pmap_kind *kind, struct pmap_item *item)
{
    /* pairs with the other holders' decrements: their last reads come before the free */
    if (atomic_fetch_sub_explicit(&item->refs, 1, memory_order_acq_rel) == 1)
        kind->free(item);
}

static void way_ref(uintptr_t way)
{
    if (is_item(way))
        pmap_item_ref(to_item(way));
    else
        atomic_fetch_add_explicit(&to_trie(way)->refs, 1, memory_order_relaxed);
}

static void trie_unref(const struct pmap_kind *kind, struct trie *trie)
{
    if (trie == NULL || atomic_fetch_sub_explicit(&trie->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < trie->n; i++) {
        if (is_item(trie->ways[i]))
            pmap_item_unref(kind, to_item(trie->ways[i]));
        else
            trie_unref(kind, to_trie(trie->ways[i]));
    }
    free(trie);
}

static struct trie *trie_new(unsigned n)
{
    struct trie *trie = xmalloc(sizeof *trie + n * sizeof trie->ways[0]);

    atomic_init(&trie->refs, 1);
    trie->used = 0;
    trie->n = (uint16_t)n;
    return trie;
}

/* Ours alone: the same when it is, else a copy; takes one reference on trie either way. */
static struct trie *trie_own(const struct pmap_kind *kind, struct trie *trie)
{
    if (atomic_load_explicit(&trie->refs, memory_order_acquire) == 1)
        return trie;

    struct trie *copy = trie_new(trie->n);

    copy->used = trie->used;
    for (unsigned i = 0; i < trie->n; i++) {
        copy->ways[i] = trie->ways[i];
        way_ref(copy->ways[i]);
    }
    trie_unref(kind, trie);
    return copy;
}

static unsigned way_bit(uint64_t hash, int depth)
{
    return 1U << (hash >> (depth * WAY_BITS) & 15);
}

static unsigned way_index(const struct trie *trie, unsigned bit)
{
    return (unsigned)__builtin_popcount(trie->used & (bit - 1));
}

/* trie is ours alone; the way goes in before index i. */
static struct trie *trie_insert(struct trie *trie, unsigned i, unsigned bit, uintptr_t way)
{
    trie = xrealloc(trie, sizeof *trie + (trie->n + 1U) * sizeof trie->ways[0]);
    memmove(&trie->ways[i + 1], &trie->ways[i], (trie->n - i) * sizeof trie->ways[0]);
    trie->ways[i] = way;
    trie->n++;
    trie->used |= (uint16_t)bit;
    return trie;
}

void pmap_init(struct pmap *map, const struct pmap_kind *kind)
{
    *map = (struct pmap){ .kind = kind };
}

void pmap_fini(struct pmap *map)
{
    trie_unref(map->kind, map->root);
    map->root = NULL;
    map->n = 0;
}

struct pmap pmap_copy(const struct pmap *map)
{
    if (map->root != NULL)
        way_ref((uintptr_t)map->root);
    return *map;
}

struct pmap_item *pmap_get(const struct pmap *map, uint64_t hash, const void *key)
{
    const struct trie *trie = map->root;

    for (int depth = 0; trie != NULL && depth < MAX_DEPTH; depth++) {
        unsigned bit = way_bit(hash, depth);

        if ((trie->used & bit) == 0)
            return NULL;

        uintptr_t way = trie->ways[way_index(trie, bit)];

        if (is_item(way)) {
            struct pmap_item *item = to_item(way);

            return item->hash == hash && map->kind->same(item, key) ? item : NULL;
        }
        trie = to_trie(way);
    }
    for (unsigned i = 0; trie != NULL && i < trie->n; i++) {
        if (map->kind->same(to_item(trie->ways[i]), key))
            return to_item(trie->ways[i]);
    }
    return NULL;
}

/* Both items under a new node of that depth. */
static struct trie *trie_of_two(struct pmap_item *a, struct pmap_item *b, int depth)
{
    struct trie *trie;

    if (depth == MAX_DEPTH) {
        trie = trie_new(2);
        trie->ways[0] = of_item(a);
        trie->ways[1] = of_item(b);
        return trie;
    }

    unsigned bit_a = way_bit(a->hash, depth), bit_b = way_bit(b->hash, depth);

    if (bit_a == bit_b) {
        trie = trie_new(1);
        trie->ways[0] = (uintptr_t)trie_of_two(a, b, depth + 1);
    } else {
        trie = trie_new(2);
        trie->ways[bit_a > bit_b] = of_item(a);
        trie->ways[bit_a < bit_b] = of_item(b);
    }
    trie->used = (uint16_t)(bit_a | bit_b);
    return trie;
}

static void replace_item(struct pmap *map, uintptr_t *way, struct pmap_item *item)
{
    pmap_item_unref(map->kind, to_item(*way));
    *way = of_item(item);
}

static struct trie *put(struct pmap *map, struct trie *trie, struct pmap_item *item, int depth)
{
    const void *key = map->kind->key(item);

    trie = trie_own(map->kind, trie);
    if (depth == MAX_DEPTH) {
        for (unsigned i = 0; i < trie->n; i++) {
            if (map->kind->same(to_item(trie->ways[i]), key)) {
                replace_item(map, &trie->ways[i], item);
                return trie;
            }
        }
        map->n++;
        return trie_insert(trie, trie->n, 0, of_item(item));
    }

    unsigned bit = way_bit(item->hash, depth), i = way_index(trie, bit);

    if ((trie->used & bit) == 0) {
        map->n++;
        return trie_insert(trie, i, bit, of_item(item));
    }
    if (!is_item(trie->ways[i])) {
        trie->ways[i] = (uintptr_t)put(map, to_trie(trie->ways[i]), item, depth + 1);
        return trie;
    }

    struct pmap_item *there = to_item(trie->ways[i]);

    if (there->hash == item->hash && map->kind->same(there, key)) {
        replace_item(map, &trie->ways[i], item);
    } else {
        map->n++;
        trie->ways[i] = (uintptr_t)trie_of_two(there, item, depth + 1);
    }
    return trie;
}

void pmap_put(struct pmap *map, struct pmap_item *item)
{
    if (map->root == NULL)
        map->root = trie_new(0);
    map->root = put(map, map->root, item, 0);
}

/* Takes way i out; NULL when nothing is left. */
static struct trie *trie_remove(struct trie *trie, unsigned i, unsigned bit)
{
    memmove(&trie->ways[i], &trie->ways[i + 1], (trie->n - i - 1U) * sizeof trie->ways[0]);
    trie->n--;
    trie->used &= (uint16_t)~bit;
    if (trie->n > 0)
        return trie;
    free(trie);
    return NULL;
}

/* The item is there. A node with one item left gives it to its parent, so that equal content has
 * equal shape, whatever its history. */
static uintptr_t del(struct pmap *map, struct trie *trie, uint64_t hash, const void *key, int depth)
{
    unsigned i = 0, bit = 0;

    trie = trie_own(map->kind, trie);
    if (depth == MAX_DEPTH) {
        while (!map->kind->same(to_item(trie->ways[i]), key))
            i++;
    } else {
        bit = way_bit(hash, depth);
        i = way_index(trie, bit);
    }
    if (is_item(trie->ways[i])) {
        pmap_item_unref(map->kind, to_item(trie->ways[i]));
        trie = trie_remove(trie, i, bit);
        map->n--;
    } else {
        trie->ways[i] = del(map, to_trie(trie->ways[i]), hash, key, depth + 1);
        if (trie->ways[i] == 0)
            trie = trie_remove(trie, i, bit);
    }
    if (trie != NULL && depth > 0 && trie->n == 1 && is_item(trie->ways[0])) {
        uintptr_t way = trie->ways[0];

        free(trie);
        return way;
    }
    return (uintptr_t)trie;
}

bool pmap_del(struct pmap *map, uint64_t hash, const void *key)
{
    if (pmap_get(map, hash, key) == NULL)
        return false;
    map->root = to_trie(del(map, map->root, hash, key, 0));
    return true;
}

struct pmap_item *pmap_next(const struct pmap *map, struct image_cursor *at)
{
    if (at->depth == 0) {
        if (map->root == NULL)
            return NULL;
        at->stack[0] = map->root;
        at->next[0] = 0;
        at->depth = 1;
    }
    while (at->depth > 0) {
        const struct trie *trie = at->stack[at->depth - 1];

        if (at->next[at->depth - 1] == trie->n) {
            at->depth--;
            continue;
        }

        uintptr_t way = trie->ways[at->next[at->depth - 1]++];

        if (is_item(way))
            return to_item(way);
        assert(at->depth <= MAX_DEPTH);
        at->stack[at->depth] = to_trie(way);
        at->next[at->depth++] = 0;
    }
    at->depth = -1;
    return NULL;
}
