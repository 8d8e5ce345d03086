/*
 * arena - memory of one request, freed in one step.
 *
 * A decoded request, its answer and whatever a handler needs meanwhile are bumped out of a few
 * blocks and go together. The first block is part of the arena, so a small request costs no malloc
 * at all.
 *
 * Ownership:  everything handed out belongs to the arena; arena_fini() ends it all.
 * Threads:    one at a time.
 * Errors:     arena_alloc() never fails (xmalloc). arena_try() honours the limit given at init.
 */
#ifndef COMMON_BASE_ARENA_H
#define COMMON_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

#define ARENA_INLINE_BYTES 2048

struct arena_block;

struct arena {
    uint8_t *next;              /* [o] first free byte of the current block */
    uint8_t *end;               /* [o] one past it */
    struct arena_block *blocks; /* [o] further blocks, newest first */
    size_t total;               /* [o] bytes in further blocks */
    size_t limit;               /* [o] arena_try() refuses beyond this many bytes in all */
    _Alignas(16) uint8_t first[ARENA_INLINE_BYTES];
};

/* limit: most bytes that arena_try() will hold in all; SIZE_MAX for none. */
void arena_init(struct arena *arena, size_t limit);
void arena_fini(struct arena *arena);
/* As after init, keeping nothing. */
void arena_reset(struct arena *arena);

/* Uninitialised, aligned to 16. size 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);
/* Zeroed array; NULL when count * size overflows or the limit would be passed. */
void *arena_try(struct arena *arena, size_t count, size_t size);
void *arena_zalloc(struct arena *arena, size_t count, size_t size);
void *arena_dup(struct arena *arena, const void *bytes, size_t len);
struct str arena_str(struct arena *arena, struct str text);
/* NUL-terminated copy. */
char *arena_cstr(struct arena *arena, struct str text);
struct str arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
