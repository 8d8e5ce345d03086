/*
 * Bump allocation. A block is at least 4 KiB and at least as large as what was asked, and doubles
 * with the arena, so a large decoded message costs a handful of mallocs.
 */
#include "common/base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define BLOCK_MIN 4096

struct arena_block {
    struct arena_block *older;
    size_t size;
    _Alignas(16) uint8_t bytes[];
};

void arena_init(struct arena *arena, size_t limit)
{
    arena->next = arena->first;
    arena->end = arena->first + sizeof arena->first;
    arena->blocks = NULL;
    arena->total = 0;
    arena->limit = limit;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->older;
        free(block);
    }
}

void arena_reset(struct arena *arena)
{
    size_t limit = arena->limit;

    arena_fini(arena);
    arena_init(arena, limit);
}

static void add_block(struct arena *arena, size_t need)
{
    size_t size = arena->total < BLOCK_MIN ? BLOCK_MIN : arena->total;

    if (size < need)
        size = need;
    struct arena_block *block = xmalloc(sizeof *block + size);
    block->older = arena->blocks;
    block->size = size;
    arena->blocks = block;
    arena->total += size;
    arena->next = block->bytes;
    arena->end = block->bytes + size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    assert(size <= SIZE_MAX / 2);
    size_t rounded = (size + 15) & ~(size_t)15;

    if ((size_t)(arena->end - arena->next) < rounded)
        add_block(arena, rounded);
    void *ptr = arena->next;
    arena->next += rounded;
    return ptr;
}

void *arena_try(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX / 4) / size)
        return NULL;
    if (count * size > arena->limit || arena->total > arena->limit - count * size)
        return NULL;
    return arena_zalloc(arena, count, size);
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size)
{
    void *ptr = arena_alloc(arena, count * size);

    memset(ptr, 0, count * size);
    return ptr;
}

void *arena_dup(struct arena *arena, const void *bytes, size_t len)
{
    void *copy = arena_alloc(arena, len);

    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

char *arena_cstr(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.len + 1);

    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct str arena_str(struct arena *arena, struct str text)
{
    if (text.ptr == NULL)
        return text;
    return (struct str){ .ptr = arena_cstr(arena, text), .len = text.len };
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(len >= 0);

    char *text = arena_alloc(arena, (size_t)len + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    return (struct str){ .ptr = text, .len = (size_t)len };
}
