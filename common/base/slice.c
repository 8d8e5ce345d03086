/*
 * Count and bytes are one allocation: a request's bytes cost one malloc in their whole life, and
 * the count sits on the cache line of the request header, which is read next anyway.
 */
#include "common/base/slice.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mem.h" /* xmalloc */

struct block {
    atomic_size_t refs; /* [a] slices on this block */
    uint8_t bytes[];    /* [I] once a second slice exists */
};

struct slice slice_new(size_t len, uint8_t **fill)
{
    assert(len > 0);
    assert(len <= SIZE_MAX - sizeof(struct block));

    struct block *block = xmalloc(sizeof *block + len);
    atomic_init(&block->refs, 1);
    *fill = block->bytes;
    return (struct slice){ .block = block, .base = block->bytes, .len = len };
}

struct slice slice_cut(const struct slice *s, size_t pos, size_t len)
{
    assert(pos <= s->len);
    assert(len <= s->len - pos); /* not pos + len, which can wrap */

    if (len == 0)
        return SLICE_EMPTY;
    atomic_fetch_add_explicit(&s->block->refs, 1, memory_order_relaxed); /* *s keeps it above 0 */
    return (struct slice){ .block = s->block, .base = s->base + pos, .len = len };
}

bool slice_is_sole(const struct slice *s)
{
    /* Acquire: what the last other holder read is done before we write the bytes anew. */
    return s->block != NULL && atomic_load_explicit(&s->block->refs, memory_order_acquire) == 1;
}

void slice_unref(struct slice *s)
{
    struct block *block = s->block;

    *s = SLICE_EMPTY;
    /* Release our reads to the last holder; if that is us, acquire everyone else's before freeing.
     */
    if (block != NULL && atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) == 1)
        free(block);
}
