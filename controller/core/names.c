/*
 * Names of topics that differ in '.' and '_' alone, of which there may be only one: by a hash of
 * what they have in common, since a request may name as many topics as there are. It holds what the
 * plan creates; the topics that there are join it when a plan asks often enough to make up for it.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define NAME_MAX_LEN 249
#define ASKED_FEW    8 /* times that all topics are looked through instead */

struct name {
    UT_hash_handle hh;
    struct str name; /* of the plan, or of the image */
    char alike[];    /* with '_' for '.' */
};

static char alike(char c)
{
    return c == '.' ? '_' : c;
}

static struct name *find(const struct plan *plan, struct str name)
{
    char text[NAME_MAX_LEN];
    struct name *found = NULL;

    if (name.len > sizeof text)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        text[i] = alike(name.ptr[i]);
    HASH_FIND(hh, plan->names, text, name.len, found);
    return found;
}

void names_add(struct plan *plan, struct str name)
{
    struct name *added = xmalloc(sizeof *added + name.len);

    added->name = name;
    for (size_t i = 0; i < name.len; i++)
        added->alike[i] = alike(name.ptr[i]);
    HASH_ADD_KEYPTR(hh, plan->names, added->alike, name.len, added);
}

void names_free(struct plan *plan)
{
    struct name *name, *next;

    HASH_ITER (hh, plan->names, name, next) {
        HASH_DEL(plan->names, name);
        free(name);
    }
}

static bool may_collide(struct str name)
{
    return memchr(name.ptr, '.', name.len) != NULL || memchr(name.ptr, '_', name.len) != NULL;
}

static bool are_alike(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (alike(a.ptr[i]) != alike(b.ptr[i]))
            return false;
    }
    return true;
}

/* Of the image's, when it is not worth while to have them all in the hash. */
static struct str look_through(const struct core *core, struct str name)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        if (are_alike(topic->name, name))
            return topic->name;
    }
    return STR_NULL;
}

static void add_all(struct core *core)
{
    struct plan *plan = core->making;
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    plan->has_all_names = true;
    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        if (may_collide(topic->name))
            names_add(plan, topic->name);
    }
}

struct str names_like(struct core *core, struct str name)
{
    struct plan *plan = core->making;
    struct name *found = find(plan, name);

    if (found != NULL || !may_collide(name) || plan->has_all_names)
        return found != NULL ? found->name : STR_NULL;
    if (++plan->n_names_asked <= ASKED_FEW)
        return look_through(core, name);
    add_all(core);
    found = find(plan, name);
    return found != NULL ? found->name : STR_NULL;
}
