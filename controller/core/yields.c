/*
 * Leaders that would rather not lead: the disk under their log is full, and what is written is
 * refused. Another member of the ISR that lives leads instead. The ISR stays, for who is full has
 * all that is committed; if it cannot follow, its new leader will propose it away.
 *
 * Who has said so is passed over for a while, so that leadership does not wander among full disks:
 * when everybody in sync has said it, the last one stays, for reading. An election that is needed
 * does not ask.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "controller/core/choose.h"
#include "controller/core/core_int.h"

#define PASSED_OVER_MS 300000

struct yield_key {
    struct uuid topic_id;
    int32_t partition, broker;
};

struct yield {
    UT_hash_handle hh;
    struct yield_key key;
    int64_t until_ms;
    bool due; /* not decided on yet */
};

static struct yield *find(const struct core *core, struct uuid topic_id, int32_t partition,
                          int32_t broker)
{
    struct yield_key key;
    struct yield *yield;

    memset(&key, 0, sizeof key);
    key.topic_id = topic_id;
    key.partition = partition;
    key.broker = broker;
    HASH_FIND(hh, core->yields, &key, sizeof key, yield);
    return yield;
}

void yields_note(struct core *core, int32_t broker, struct uuid topic_id, int32_t partition)
{
    struct yield *yield = find(core, topic_id, partition, broker);

    if (yield == NULL) {
        yield = xcalloc(1, sizeof *yield);
        yield->key.topic_id = topic_id;
        yield->key.partition = partition;
        yield->key.broker = broker;
        HASH_ADD(hh, core->yields, key, sizeof yield->key, yield);
    }
    yield->until_ms = core->now_ms + PASSED_OVER_MS;
    yield->due = true;
    core->yields_due = true;
}

bool yields_has(const struct core *core, struct uuid topic_id, int32_t partition, int32_t broker)
{
    const struct yield *yield =
        core->yields != NULL ? find(core, topic_id, partition, broker) : NULL;

    return yield != NULL && core->now_ms < yield->until_ms;
}

/* False: it is to be looked at once more. */
static bool plan_one(struct core *core, const struct yield_key *key)
{
    const struct image_topic *topic = image_topic(core->image, key->topic_id);
    const struct image_part *part = view_part(core, key->topic_id, key->partition);
    struct arena *arena = &core->making->arena;
    struct choice choice = { .part = part };
    struct leader_isr next;
    uint8_t *are;

    if (topic == NULL || part == NULL || part->leader != key->broker ||
        topics_is_doomed(core, topic->name) || repair_waits(core, key->topic_id, key->partition))
        return true;
    if (plan_find(core->making, key->topic_id, key->partition) != NULL)
        return false;
    choice.replicas = are =
        arena_dup(arena, part_replicas_are(core, part, arena), part->replicas.n * sizeof *are);
    for (uint32_t i = 0; i < part->replicas.n; i++) {
        if (yields_has(core, key->topic_id, key->partition, part->replicas.at[i]))
            are[i] |= REPLICA_YIELDS;
    }
    if (!choose_other(&choice, &next))
        return true;
    core_say(core, CORE_SAY_WARN,
             "a leader has no room, another one takes over partition=%.*s-%d leader=%d was=%d",
             STR_ARG(topic->name), key->partition, next.leader, part->leader);
    plan_state(core, topic, part, &next);
    return true;
}

void yields_plan(struct core *core)
{
    struct yield *yield, *next;

    if (!core->yields_due || core->making->has_settings)
        return;
    core->yields_due = false;
    HASH_ITER (hh, core->yields, yield, next) {
        if (core->now_ms >= yield->until_ms) {
            HASH_DEL(core->yields, yield);
            free(yield);
        } else if (yield->due) {
            yield->due = !plan_one(core, &yield->key);
            core->yields_due |= yield->due;
        }
    }
}

void yields_forget(struct core *core)
{
    struct yield *yield, *next;

    HASH_ITER (hh, core->yields, yield, next) {
        HASH_DEL(core->yields, yield);
        free(yield);
    }
    core->yields = NULL;
    core->yields_due = false;
}
