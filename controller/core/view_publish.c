/*
 * All that became true in a step, from what is pending to one delta: what was told of a partition
 * twice is told once, nothing brings back a topic that goes in the same step, and whoever has been
 * sent an image is sent the delta.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

static int by_topic(const void *a, const void *b)
{
    const struct pend_part *x = a, *y = b;
    int order = memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof x->topic_id.bytes);

    if (order != 0)
        return order;
    if (x->part == NULL ||
        y->part == NULL) { /* the topic's version, or versions, before its parts */
        if ((x->part == NULL) != (y->part == NULL))
            return x->part == NULL ? -1 : 1;
        return (x->number > y->number) - (x->number < y->number);
    }
    if (x->part->index != y->part->index)
        return x->part->index < y->part->index ? -1 : 1;

    /* twice in one step: the newer last, where applying it wins */
    struct leader_isr s = image_part_state(x->part), t = image_part_state(y->part);

    order = leader_isr_cmp(&s, &t);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* What was decided in the same plan as the topic's end must not bring it back. They are sorted. */
static bool is_going(const struct pend *pend, struct uuid topic_id)
{
    return pend->n_topics_gone > 0 && bsearch(&topic_id, pend->topics_gone, pend->n_topics_gone,
                                              sizeof topic_id, by_bytes) != NULL;
}

/* The version as it is known before what is pending. */
static struct image_topic_change change_of(const struct core *core, const struct pend_part *pending)
{
    const struct image_topic *known = image_topic(core->image, pending->topic_id);

    return (struct image_topic_change){ .id = pending->topic_id,
                                        .name = pending->topic,
                                        .has_version = known != NULL && known->version >= 0,
                                        .version = known != NULL ? known->version : -1 };
}

static void gather_topics(struct core *core, struct image_delta *delta)
{
    struct pend *pend = &core->pend;
    struct arena *arena = &core->out->arena;
    struct image_part *parts = arena_zalloc(arena, pend->n_parts, sizeof *parts);
    struct image_topic_change *topics = arena_zalloc(arena, pend->n_parts, sizeof *topics);
    size_t n = 0, n_parts = 0;

    if (pend->n_parts > 0)
        qsort(pend->parts, pend->n_parts, sizeof pend->parts[0], by_topic);
    if (pend->n_topics_gone > 0)
        qsort(pend->topics_gone, pend->n_topics_gone, sizeof pend->topics_gone[0], by_bytes);
    for (size_t i = 0; i < pend->n_parts; i++) {
        const struct pend_part *at = &pend->parts[i];

        if (is_going(pend, at->topic_id))
            continue;
        if (n == 0 || !uuid_eq(topics[n - 1].id, at->topic_id)) {
            topics[n] = change_of(core, at);
            topics[n++].parts = &parts[n_parts];
        }
        if (at->part == NULL) {
            topics[n - 1].has_version = at->version >= 0;
            topics[n - 1].version = at->version;
            continue;
        }
        parts[n_parts] = *at->part;
        reassign_note(core, at->topic_id, &parts[n_parts++]);
        topics[n - 1].n_parts++;
    }
    delta->topics = topics;
    delta->n_topics = n;
}

static void gather_brokers(struct core *core, struct image_delta *delta, struct node *nodes)
{
    struct arena *arena = &core->out->arena;
    int32_t *gone = arena_zalloc(arena, image_n_nodes(core->image), sizeof *gone);

    for (size_t i = 0; i < core->n_brokers; i++) {
        const struct broker *b = core->brokers[i];
        const struct node *known = image_node(core->image, b->id);
        struct node node = broker_node(b);

        if (b->state == NODE_DEAD && !b->held && !b->registered && b->phase == STREAM_NONE) {
            if (known != NULL)
                gone[delta->brokers_gone.n++] = b->id;
        } else if (known == NULL || !node_eq(known, &node)) {
            nodes[delta->n_brokers++] = node;
        }
    }
    delta->brokers = nodes;
    delta->brokers_gone.at = gone;
}

void view_publish(struct core *core)
{
    struct pend *pend = &core->pend;
    struct arena *arena = &core->out->arena;
    struct image_delta *delta = arena_zalloc(arena, 1, sizeof *delta);
    struct node *nodes = arena_zalloc(arena, core->n_brokers, sizeof *nodes);
    uint64_t *streams = arena_zalloc(arena, core->n_brokers, sizeof *streams);
    size_t n_streams = 0;

    gather_brokers(core, delta, nodes);
    gather_topics(core, delta);
    delta->n_topics_gone = pend->n_topics_gone;
    delta->topics_gone =
        arena_dup(arena, pend->topics_gone, pend->n_topics_gone * sizeof pend->topics_gone[0]);
    delta->n_configs = pend->n_configs;
    delta->configs = arena_dup(arena, pend->configs, pend->n_configs * sizeof pend->configs[0]);
    delta->n_tombstones = pend->n_tombstones;
    delta->tombstones =
        arena_dup(arena, pend->tombstones, pend->n_tombstones * sizeof pend->tombstones[0]);
    delta->n_tombstones_gone = pend->n_tombstones_gone;
    delta->tombstones_gone = arena_dup(arena, pend->tombstones_gone,
                                       pend->n_tombstones_gone * sizeof pend->tombstones_gone[0]);
    view_clear(core);
    if (image_delta_is_empty(delta) && !core->word_wanted)
        return;

    core->word_wanted = false;
    delta->controller_epoch = core->controller_epoch;
    delta->version = ++core->version;

    struct image *old = core->image;

    core->image = image_apply(old, delta);
    core_hold_image(core, &old);
    /* what a registration lends may be replaced before the delta is sent; the image's copy stays */
    for (size_t i = 0; i < delta->n_brokers; i++)
        nodes[i] = *image_node(core->image, nodes[i].id);
    for (size_t i = 0; i < core->n_brokers; i++) {
        if (core->brokers[i]->phase >= STREAM_IMAGE_SENT && !core->brokers[i]->image_wanted)
            streams[n_streams++] = core->brokers[i]->stream;
    }
    emit(core, CORE_DO_SEND_DELTA)->send_delta = (struct core_send_delta){
        .n_streams = n_streams, .streams = streams, .delta = delta, .image = core->image
    };
}
