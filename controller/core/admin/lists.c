/*
 * A table of the keys is sorted and neighbours are compared: requests may name hundreds of
 * thousands of things, and are looked at on the one thread that decides everything.
 */
#include "controller/core/admin/lists.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

static int compare(const struct list_key *x, const struct list_key *y)
{
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static int by_key(const void *a, const void *b)
{
    const struct list_key *const *x = a, *const *y = b;

    return compare(*x, *y);
}

bool *list_twins(struct arena *arena, const struct list_key *keys, size_t n)
{
    bool *twins = arena_zalloc(arena, n + 1, sizeof *twins);
    const struct list_key **sorted = xcalloc(n + 1, sizeof(sorted[0]));

    for (size_t i = 0; i < n; i++)
        sorted[i] = &keys[i];
    qsort(sorted, n, sizeof(sorted[0]), by_key);
    for (size_t i = 1; i < n; i++) {
        if (compare(sorted[i - 1], sorted[i]) == 0)
            twins[sorted[i - 1] - keys] = twins[sorted[i] - keys] = true;
    }
    free(sorted);
    return twins;
}

void brief_add(struct brief *brief, struct str word)
{
    const char *comma = brief->len > 0 ? ", " : "";
    size_t room = sizeof brief->text - brief->len;
    int len = snprintf(&brief->text[brief->len], room, "%s%.*s", comma, STR_ARG(word));

    if (len > 0)
        brief->len += (size_t)len < room ? (size_t)len : room - 1;
}

void brief_add_ids(struct brief *brief, struct ids ids)
{
    char word[16];

    for (uint32_t i = 0; i < ids.n && brief->len + 1 < sizeof brief->text; i++) {
        snprintf(word, sizeof word, "%d", ids.at[i]);
        brief_add(brief, str_of(word));
    }
}

struct str brief_text(const struct brief *brief)
{
    return (struct str){ .ptr = brief->text, .len = brief->len };
}
