/*
 * A delta on its way to brokers: one copy for all streams, gone with the last that holds it.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

void delta_msg_drop(void *ptr)
{
    struct delta_msg *msg = ptr;

    if (--msg->refs > 0)
        return;
    arena_fini(&msg->arena);
    free(msg);
}

static struct ids copy_ids(struct arena *arena, struct ids ids)
{
    return (struct ids){ .at = arena_dup(arena, ids.at, ids.n * sizeof ids.at[0]), .n = ids.n };
}

static struct image_setting *copy_settings(struct arena *arena, const struct image_config *from)
{
    struct image_setting *settings =
        arena_dup(arena, from->settings, from->n_settings * sizeof *settings);

    for (size_t i = 0; i < from->n_settings; i++) {
        settings[i].key = arena_str(arena, settings[i].key);
        settings[i].value = arena_str(arena, settings[i].value);
    }
    return settings;
}

static void copy_configs(struct delta_msg *msg, const struct image_delta *delta)
{
    struct image_config *configs =
        arena_dup(&msg->arena, delta->configs, delta->n_configs * sizeof *configs);

    for (size_t i = 0; i < delta->n_configs; i++) {
        configs[i].type = arena_str(&msg->arena, configs[i].type);
        configs[i].name = arena_str(&msg->arena, configs[i].name);
        configs[i].settings = copy_settings(&msg->arena, &configs[i]);
    }
    msg->delta.configs = configs;
}

/* All of the one name. */
static struct image_tombstone *copy_stones(struct arena *arena, const struct image_tombstone *from,
                                           size_t n)
{
    struct image_tombstone *stones = arena_dup(arena, from, n * sizeof *stones);

    for (size_t i = 0; i < n; i++)
        stones[i].topic = SIM_TOPIC;
    return stones;
}

/* Endpoints and texts of nodes are ours and static. */
struct delta_msg *delta_msg_new(const struct image_delta *delta)
{
    struct delta_msg *msg = xcalloc(1, sizeof *msg);
    struct arena *arena = &msg->arena;
    struct image_topic_change *topics;
    struct node *nodes;

    arena_init(arena, SIZE_MAX);
    msg->refs = 1;
    msg->delta = *delta;
    nodes = arena_dup(arena, delta->brokers, delta->n_brokers * sizeof *nodes);
    for (size_t i = 0; i < delta->n_brokers; i++)
        nodes[i].endpoints = &boss_endpoints[nodes[i].id - 1];
    msg->delta.brokers = nodes;
    msg->delta.brokers_gone = copy_ids(arena, delta->brokers_gone);
    topics = arena_dup(arena, delta->topics, delta->n_topics * sizeof *topics);
    for (size_t t = 0; t < delta->n_topics; t++) {
        struct image_part *parts =
            arena_dup(arena, topics[t].parts, topics[t].n_parts * sizeof *parts);

        topics[t].name = SIM_TOPIC;
        topics[t].parts = parts;
        for (size_t i = 0; i < topics[t].n_parts; i++) {
            parts[i].replicas = copy_ids(arena, parts[i].replicas);
            parts[i].isr = copy_ids(arena, parts[i].isr);
            parts[i].adding = copy_ids(arena, parts[i].adding);
            parts[i].removing = copy_ids(arena, parts[i].removing);
            parts[i].offline = copy_ids(arena, parts[i].offline);
        }
    }
    msg->delta.topics = topics;
    msg->delta.topics_gone =
        arena_dup(arena, delta->topics_gone, delta->n_topics_gone * sizeof delta->topics_gone[0]);
    copy_configs(msg, delta);
    msg->delta.tombstones = copy_stones(arena, delta->tombstones, delta->n_tombstones);
    msg->delta.tombstones_gone =
        copy_stones(arena, delta->tombstones_gone, delta->n_tombstones_gone);
    return msg;
}
