/*
 * Topics whose own znode cannot be read: garbage of another hand, or an ACL.
 *
 *   known      goes on as it is known. What nobody can read is written over with that, as a state
 *              would be; what must not be read is left to whoever made it so. The image keeps the
 *              version of what could be read last: a standby goes by that, too, and reads nothing.
 *   not known  nobody hears of it, and its name is not free. It is read again every ten seconds,
 *              until it can be or is gone. None of these was ever led, the loader makes sure of it:
 *              a broker that has records of one and is told of none would park them.
 */
#include <stdlib.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define LOOK_MS 10000

/* ---- what is not known ---------------------------------------------------------------------- */

struct unread {
    UT_hash_handle hh; /* by name */
    struct str name;
    char text[];
};

static struct unread *find(const struct core *core, struct str name)
{
    struct unread *unread;

    HASH_FIND(hh, core->unreads, name.ptr, name.len, unread);
    return unread;
}

bool unread_has(const struct core *core, struct str name)
{
    return find(core, name) != NULL;
}

static void look_later(struct core *core)
{
    if (core->unread_ms == NEVER_MS)
        core->unread_ms = core->now_ms + LOOK_MS;
}

void unread_note(struct core *core, struct str name)
{
    struct unread *unread = find(core, name);

    look_later(core);
    if (unread != NULL)
        return;
    unread = xmalloc(sizeof *unread + name.len);
    memcpy(unread->text, name.ptr, name.len);
    unread->name = (struct str){ .ptr = unread->text, .len = name.len };
    HASH_ADD_KEYPTR(hh, core->unreads, unread->text, name.len, unread);
    core_say(core, CORE_SAY_ERROR,
             "a topic is left out until its znode can be read topic=%.*s path=/brokers/topics/%.*s",
             STR_ARG(name), STR_ARG(name));
}

static void drop(struct core *core, struct unread *unread)
{
    HASH_DEL(core->unreads, unread);
    free(unread);
}

void unread_drop(struct core *core, struct str name)
{
    struct unread *unread = find(core, name);

    if (unread != NULL)
        drop(core, unread);
}

void unread_on_time(struct core *core)
{
    struct unread *unread, *next;

    if (core->now_ms < core->unread_ms)
        return;
    core->unread_ms = NEVER_MS;
    HASH_ITER (hh, core->unreads, unread, next) {
        look_later(core);
        core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = unread->name });
    }
}

void unread_forget(struct core *core)
{
    struct unread *unread, *next;

    HASH_ITER (hh, core->unreads, unread, next)
        drop(core, unread);
    core->unreads = NULL;
    core->unread_ms = NEVER_MS;
}

/* ---- what is known -------------------------------------------------------------------------- */

void unread_known(struct core *core, const struct image_topic *known, int32_t version)
{
    core_say(core, version < 0 ? CORE_SAY_ERROR : CORE_SAY_WARN,
             "%s topic=%.*s path=/brokers/topics/%.*s",
             version < 0 ? "a topic's znode cannot be read, going on with what is known"
                         : "another hand left a topic's znode that cannot be read, writing over it",
             STR_ARG(known->name), STR_ARG(known->name));
    if (version >= 0)
        view_extra_read(core, known->id, version, true, true);
}

/* States may be others by now: they are read for themselves. */
void unread_load(struct core *core, struct image *image, const struct image *old,
                 const struct core_read_topic *read)
{
    const struct image_topic *known = old != NULL ? image_topic_named(old, read->name) : NULL;
    struct image_topic_change change = { .name = read->name };
    struct image_part *parts;

    if (known == NULL) {
        unread_note(core, read->name);
        return;
    }
    parts = xcalloc((size_t)known->n_parts + 1, sizeof *parts);
    for (int32_t i = 0; i < known->n_parts; i++) {
        const struct image_part *part = image_topic_part(known, i);

        if (part == NULL)
            continue;
        parts[change.n_parts++] = *part;
        reassign_note(core, known->id, part);
        core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                                .topic = known->name,
                                                .topic_id = known->id,
                                                .partition = i });
    }
    change.id = known->id;
    change.parts = parts;
    change.has_version = known->version >= 0;
    change.version = known->version;
    image_add(image, &(struct image_delta){ .n_topics = 1, .topics = &change });
    unread_known(core, known, read->version);
    free(parts);
}
