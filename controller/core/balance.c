/*
 * Leadership back to the first replicas: every so often, for every broker that is missing more than
 * the allowed share of the partitions it should lead, those that it can take over are moved.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

struct share {
    int32_t should, others;
};

static size_t index_of(const struct core *core, int32_t id)
{
    for (size_t i = 0; i < core->n_brokers; i++) {
        if (core->brokers[i]->id == id)
            return i;
    }
    return core->n_brokers;
}

static void count(const struct core *core, struct share *shares)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);

            if (part == NULL || part->replicas.n == 0)
                continue;

            struct share *share = &shares[index_of(core, part->replicas.at[0])];

            share->should++;
            share->others += part->leader != part->replicas.at[0];
        }
    }
}

static void move(struct core *core, const bool *chosen)
{
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    struct arena scratch;
    size_t moved = 0;

    arena_init(&scratch, SIZE_MAX);
    while ((topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t i = 0; i < topic->n_parts; i++) {
            const struct image_part *part = image_topic_part(topic, i);
            struct leader_isr next;

            if (part == NULL || part->replicas.n == 0 ||
                !chosen[index_of(core, part->replicas.at[0])] ||
                plan_find(core->making, topic->id, i) != NULL || repair_waits(core, topic->id, i) ||
                yields_has(core, topic->id, i, part->replicas.at[0]))
                continue;
            if (part_prefer(core, part, &scratch, &next)) {
                plan_state(core, topic, part, &next);
                moved++;
            }
            arena_reset(&scratch);
        }
    }
    arena_fini(&scratch);
    if (moved > 0)
        core_say(core, CORE_SAY_INFO, "moving leadership to preferred replicas partitions=%zu",
                 moved);
}

void balance_plan(struct core *core)
{
    if (!core->settings.auto_leader_rebalance_enable || core->now_ms < core->balance_ms ||
        core->making->has_settings)
        return;
    core->balance_ms = core->now_ms + core->settings.leader_imbalance_check_interval_ms;

    struct share *shares = xcalloc(core->n_brokers + 1, sizeof *shares);
    bool *chosen = xcalloc(core->n_brokers + 1, sizeof *chosen), any = false;

    count(core, shares);
    for (size_t i = 0; i < core->n_brokers; i++) {
        /* strictly above, in whole numbers */
        chosen[i] =
            core->brokers[i]->state == NODE_LIVE &&
            (int64_t)shares[i].others * 100 >
                (int64_t)shares[i].should * core->settings.leader_imbalance_per_broker_percentage;
        any |= chosen[i];
    }
    if (any)
        move(core, chosen);
    free(shares);
    free(chosen);
}
