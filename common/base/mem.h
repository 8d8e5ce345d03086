/*
 * mem - small memory that never fails, and budgets for memory whose size a client chooses.
 *
 * Errors: the x-functions say that memory ran out and abort; a budget says no.
 * Threads: any. A budget is one atomic counter, and one flag.
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))

/* The struct of type that holds *ptr as its member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
void *xmemdup(const void *bytes, size_t len);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Grows *array (of elem_size elements, *cap of them) so that index want fits; doubles. */
void array_reserve(void *array_ptr, size_t *cap, size_t want, size_t elem_size);

struct budget {
    atomic_size_t used; /* [a] bytes given out */
    size_t limit;       /* [I] bytes */
    atomic_bool lent;   /* [a] somebody may overdraw */
};

void budget_init(struct budget *budget, size_t limit_bytes);
/* True and counted when size fits in what is left; else false and nothing has changed. */
bool budget_take(struct budget *budget, size_t size);
/* Counted although it may not fit: what is there already. Who asks later finds less, or nothing. */
void budget_overdraw(struct budget *budget, size_t size);
void budget_give(struct budget *budget, size_t size);
/* Where many hold a part of what they need, and nothing is left, one at a time may overdraw until
 * it has ended: or all would wait for ever. False: another may. */
bool budget_borrow(struct budget *budget);
/* By who was lent to, once it has given all back. */
void budget_settle(struct budget *budget);
size_t budget_used(const struct budget *budget);

#endif
