/*
 * What was touched is gathered in sorted lists, made once by the judgement. Names of partitions in
 * the ring are looked up in the known image: a topic that is not in it, or that has another id by
 * now, is not believed in the first place. Topics are touched by name: one that was deleted and
 * created anew is another one.
 */
#include "controller/core/standby.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"

struct touched_part {
    struct uuid topic_id;
    int32_t index;
};

struct names { /* sorted; texts in the arena */
    struct str *at;
    size_t n, cap;
};

struct standby {
    struct image *image;
    bool has_position;
    uint64_t number; /* of the last multi that is part of the image */
    bool believed;
    bool names_topics;          /* all that was written since would tell of topics */
    struct touched_part *parts; /* sorted */
    size_t n_parts, cap_parts;
    struct names topics, configs;
    struct arena arena;
};

struct standby *standby_new(void)
{
    struct standby *standby = xcalloc(1, sizeof *standby);

    arena_init(&standby->arena, SIZE_MAX);
    return standby;
}

void standby_forget(struct standby *standby)
{
    image_unref(&standby->image);
    standby->has_position = standby->believed = false;
    standby->number = 0;
    standby->n_parts = standby->topics.n = standby->configs.n = 0;
    arena_reset(&standby->arena);
}

void standby_free(struct standby **standby_ptr)
{
    struct standby *standby = *standby_ptr;

    *standby_ptr = NULL;
    if (standby == NULL)
        return;
    standby_forget(standby);
    free(standby->parts);
    free(standby->topics.at);
    free(standby->configs.at);
    arena_fini(&standby->arena);
    free(standby);
}

/* ---- following ------------------------------------------------------------------------------- */

void standby_on_image(struct standby *standby, struct image **image)
{
    standby_forget(standby);
    standby->image = *image;
    *image = NULL;
}

bool standby_on_delta(struct standby *standby, const struct image_delta *delta)
{
    struct image *next;

    if (standby->image == NULL)
        return false;
    if (delta->controller_epoch != image_controller_epoch(standby->image) ||
        delta->version != image_version(standby->image) + 1) {
        standby_forget(standby);
        return false;
    }
    next = image_apply(standby->image, delta);
    image_unref(&standby->image);
    standby->image = next;
    return true;
}

void standby_on_position(struct standby *standby, int32_t epoch, uint64_t version, uint64_t number)
{
    if (standby->image == NULL || image_controller_epoch(standby->image) != epoch ||
        image_version(standby->image) != version)
        return;
    standby->has_position = true;
    standby->number = number;
}

const struct image *standby_image(const struct standby *standby)
{
    return standby->image;
}

/* ---- the judgement --------------------------------------------------------------------------- */

static int by_part(const void *a, const void *b)
{
    const struct touched_part *x = a, *y = b;
    int order = memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof x->topic_id.bytes);

    if (order != 0)
        return order;
    return (x->index > y->index) - (x->index < y->index);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool is_news(const struct standby *standby, const struct zk_touched *touched)
{
    return touched->epoch == image_controller_epoch(standby->image) &&
           touched->number > standby->number;
}

/* Every number from the last that is known to the last that was written is there, once. */
static bool is_whole(const struct standby *standby, size_t n, const struct zk_touched *touched)
{
    uint64_t last = standby->number;
    bool whole = standby->number == 0;
    size_t n_news = 0;
    bool *seen;

    for (size_t i = 0; i < n; i++) {
        whole = whole || (touched[i].epoch == image_controller_epoch(standby->image) &&
                          touched[i].number == standby->number);
        if (!is_news(standby, &touched[i]))
            continue;
        n_news++;
        if (touched[i].number > last)
            last = touched[i].number;
    }
    if (last - standby->number != n_news)
        return false;
    seen = xcalloc(n_news + 1, sizeof *seen);
    for (size_t i = 0; i < n; i++) {
        uint64_t at = touched[i].number - standby->number - 1;

        if (!is_news(standby, &touched[i]))
            continue;
        whole = whole && !seen[at];
        seen[at] = true;
    }
    free(seen);
    return whole;
}

static void doubt_part(struct standby *standby, struct str name, int32_t index)
{
    const struct image_topic *topic = image_topic_named(standby->image, name);

    if (topic == NULL)
        return;
    array_reserve(&standby->parts, &standby->cap_parts, standby->n_parts, sizeof *standby->parts);
    standby->parts[standby->n_parts++] =
        (struct touched_part){ .topic_id = topic->id, .index = index };
}

static void doubt_name(struct standby *standby, struct names *names, struct str name)
{
    array_reserve(&names->at, &names->cap, names->n, sizeof *names->at);
    names->at[names->n++] = arena_str(&standby->arena, name);
}

static bool is_doubted(const struct names *names, struct str name)
{
    return names->n > 0 && bsearch(&name, names->at, names->n, sizeof name, by_text) != NULL;
}

static void sort_names(struct names *names)
{
    if (names->n > 0)
        qsort(names->at, names->n, sizeof *names->at, by_text);
}

static void doubt_all(struct standby *standby, const struct zk_touched *touched)
{
    for (size_t i = 0; i < touched->n_parts; i++)
        doubt_part(standby, touched->parts[i].topic, touched->parts[i].partition);
    for (size_t i = 0; i < touched->n_configs; i++)
        doubt_name(standby, &standby->configs, touched->configs[i]);
    for (size_t i = 0; i < touched->n_topics; i++)
        doubt_name(standby, &standby->topics, touched->topics[i]);
    standby->names_topics &= touched->has_topics;
}

const char *standby_judge(struct standby *standby, int32_t epoch, size_t n,
                          const struct zk_touched *touched)
{
    standby->believed = false;
    standby->n_parts = standby->topics.n = standby->configs.n = 0;
    standby->names_topics = true;
    if (standby->image == NULL)
        return "nothing is known";
    if (!standby->has_position)
        return "how far the active controller's writes are known was never said";
    if (image_controller_epoch(standby->image) != epoch - 1)
        return "another controller was active in between";
    if (!is_whole(standby, n, touched))
        return "the ring has lost what was written since";
    for (size_t i = 0; i < n; i++) {
        if (is_news(standby, &touched[i]))
            doubt_all(standby, &touched[i]);
    }
    if (standby->n_parts > 0)
        qsort(standby->parts, standby->n_parts, sizeof *standby->parts, by_part);
    sort_names(&standby->topics);
    sort_names(&standby->configs);
    standby->believed = true;
    return NULL;
}

void standby_doubt_config(struct standby *standby, struct str config)
{
    doubt_name(standby, &standby->configs, config);
    sort_names(&standby->configs);
}

const struct image_topic *standby_topic(const struct standby *standby, struct str name)
{
    const struct image_topic *topic;

    if (!standby->believed || !standby->names_topics || is_doubted(&standby->topics, name))
        return NULL;
    topic = image_topic_named(standby->image, name);
    return topic != NULL && topic->version >= 0 ? topic : NULL;
}

const struct image_part *standby_part(const struct standby *standby, struct uuid topic_id,
                                      int32_t index)
{
    struct touched_part key = { .topic_id = topic_id, .index = index };
    const struct image_part *part;

    if (!standby->believed)
        return NULL;
    part = image_part(standby->image, topic_id, index);
    if (part == NULL || part->leader_epoch < 0) /* its state may have come since */
        return NULL;
    if (standby->n_parts > 0 &&
        bsearch(&key, standby->parts, standby->n_parts, sizeof key, by_part) != NULL)
        return NULL;
    return part;
}

bool standby_config(const struct standby *standby, struct str type, struct str name,
                    const struct image_config **config)
{
    char text[1024];
    struct str key = { .ptr = text, .len = type.len + 1 + name.len };

    if (!standby->believed || key.len > sizeof text)
        return false;
    memcpy(text, type.ptr, type.len);
    text[type.len] = '/';
    memcpy(text + type.len + 1, name.ptr, name.len);
    if (is_doubted(&standby->configs, key))
        return false;
    if (str_is(type, "topics") && image_topic_named(standby->image, name) == NULL)
        return false;
    *config = image_config(standby->image, type, name);
    return true;
}
