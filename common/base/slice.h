/*
 * slice - a window onto counted bytes.
 *
 * A request is read from its socket once. Its strings, its record batches and the write that
 * appends them all look at those bytes through slices; nothing in between copies.
 *
 * Units:      lengths and positions are bytes.
 * Ownership:  a slice is one ref on its block; the last unref frees it. An empty slice holds none.
 * Threads:    a block may be shared by threads, a struct slice may not: give others a slice_ref().
 * Errors:     none. Cutting outside the window is our bug; check a client's lengths before this.
 */
#ifndef COMMON_BASE_SLICE_H
#define COMMON_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct block;

struct slice {
    struct block *block; /* [o] our ref, NULL when empty */
    const uint8_t *base; /* [o] first byte of the window */
    size_t len;          /* [o] bytes in the window */
};

#define SLICE_EMPTY ((struct slice){ 0 })

/* Fresh bytes, len > 0. Write them through *fill, before anyone else is given a ref. */
struct slice slice_new(size_t len, uint8_t **fill);

/* The same bytes from pos on, len of them, with a ref of their own. A cut of nothing holds none. */
struct slice slice_cut(const struct slice *s, size_t pos, size_t len);

static inline struct slice slice_ref(const struct slice *s)
{
    return slice_cut(s, 0, s->len);
}

/* True when this is the only ref on its block: nobody else reads the bytes any more. */
bool slice_is_sole(const struct slice *s);

/* Gives the ref back and leaves *s empty; an empty slice is fine. */
void slice_unref(struct slice *s);

#endif
