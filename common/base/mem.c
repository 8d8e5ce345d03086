/*
 * Small allocations abort when memory is gone: no caller could do better than stop, and a replica
 * that stops is safe. What a client can make large goes through a budget first.
 */
#include "common/base/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *ptr, size_t size)
{
    if (ptr == NULL && size > 0) {
        fprintf(stderr, "out of memory: %zu bytes\n", size);
        abort();
    }
    return ptr;
}

void *xmalloc(size_t size)
{
    return checked(malloc(size), size);
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count, size), count > 0 ? size : 0);
}

void *xrealloc(void *ptr, size_t size)
{
    assert(size > 0);
    return checked(realloc(ptr, size), size);
}

char *xstrndup(const char *text, size_t len)
{
    char *copy = xmalloc(len + 1);

    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

void *xmemdup(const void *bytes, size_t len)
{
    void *copy = xmalloc(len > 0 ? len : 1);

    if (len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return checked(len < 0 ? NULL : text, 1);
}

void array_reserve(void *array_ptr, size_t *cap, size_t want, size_t elem_size)
{
    void **array = array_ptr;

    if (want < *cap)
        return;
    size_t grown = *cap < 8 ? 8 : *cap * 2;
    if (grown <= want)
        grown = want + 1;
    assert(grown <= SIZE_MAX / elem_size);
    *array = xrealloc(*array, grown * elem_size);
    *cap = grown;
}

void budget_init(struct budget *budget, size_t limit_bytes)
{
    atomic_init(&budget->used, 0);
    budget->limit = limit_bytes;
    atomic_init(&budget->lent, false);
}

bool budget_take(struct budget *budget, size_t size)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);

    /* Relaxed is enough: the counter guards no other memory. */
    do {
        if (size > budget->limit || used > budget->limit - size)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + size,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void budget_overdraw(struct budget *budget, size_t size)
{
    atomic_fetch_add_explicit(&budget->used, size, memory_order_relaxed);
}

void budget_give(struct budget *budget, size_t size)
{
    size_t before = atomic_fetch_sub_explicit(&budget->used, size, memory_order_relaxed);

    assert(before >= size);
}

bool budget_borrow(struct budget *budget)
{
    /* Relaxed, as above. */
    return !atomic_exchange_explicit(&budget->lent, true, memory_order_relaxed);
}

void budget_settle(struct budget *budget)
{
    bool lent = atomic_exchange_explicit(&budget->lent, false, memory_order_relaxed);

    assert(lent);
}

size_t budget_used(const struct budget *budget)
{
    return atomic_load_explicit(&budget->used, memory_order_relaxed);
}
