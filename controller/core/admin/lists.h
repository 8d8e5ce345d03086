/*
 * lists - what keeps a request with long lists from costing more than it is long: twins are found
 * by sorting, and a list in a message to the client ends where the message does.
 *
 * Ownership:  a brief is the caller's; marks belong to the arena.
 */
#ifndef CONTROLLER_CORE_ADMIN_LISTS_H
#define CONTROLLER_CORE_ADMIN_LISTS_H

#include "common/base/arena.h"
#include "common/base/str.h"
#include "controller/core/core_int.h"

struct list_key {
    int type; /* of what the name is; whatever tells them apart */
    struct str name;
};

/* For each of the n keys: is it there more than once? */
bool *list_twins(struct arena *arena, const struct list_key *keys, size_t n);

struct brief { /* { .len = 0 } is an empty one */
    char text[JOB_WHY_BYTES];
    size_t len;
};

/* One more word, as far as there is room. */
void brief_add(struct brief *brief, struct str word);
/* "1, 2, 3" */
void brief_add_ids(struct brief *brief, struct ids ids);
struct str brief_text(const struct brief *brief);

#endif
