/*
 * Tombstones: which files a broker may delete, until it has said that it did. ZooKeeper has one
 * znode for each broker and topic with all of these, so that what an item of a plan adds or takes
 * is laid over what is stored and over what the same plan did before, and the znode is written
 * whole.
 *
 * What brokers acknowledge leaves in a group of its own, and only when nothing else in the plan is
 * about that topic: such a group could be carried out although the other was not.
 */
#include <limits.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define NO_STONE INT32_MIN

void stones_open(struct plan *plan, struct plan_item *item)
{
    item->first_stone = plan->n_stones;
}

static void add(struct plan *plan, struct plan_item *item, struct image_tombstone stone, bool gone)
{
    array_reserve(&plan->stones, &plan->cap_stones, plan->n_stones, sizeof *plan->stones);
    plan->stones[plan->n_stones++] = (struct plan_stone){ stone, gone };
    item->n_stones = plan->n_stones - item->first_stone;
}

/* Not in a lower epoch than before: the state that says it may be gone already, when a deletion was
 * interrupted, and a broker deletes nothing that is younger than its stone. */
void stones_bury(struct core *core, struct plan_item *item, int32_t broker, int32_t partition,
                 int32_t leader_epoch)
{
    const struct image_tombstone *old =
        image_tombstone(core->image, broker, item->topic_id, partition);

    if (old != NULL && old->leader_epoch > leader_epoch)
        leader_epoch = old->leader_epoch;
    add(core->making, item,
        (struct image_tombstone){ .broker = broker,
                                  .topic_id = item->topic_id,
                                  .topic = item->topic,
                                  .partition = partition,
                                  .leader_epoch = leader_epoch },
        false);
}

void stones_lift(struct core *core, struct plan_item *item, int32_t broker, int32_t partition)
{
    const struct image_tombstone *stone =
        image_tombstone(core->image, broker, item->topic_id, partition);

    if (stone == NULL)
        return;
    add(core->making, item,
        (struct image_tombstone){ .broker = broker,
                                  .topic_id = item->topic_id,
                                  .topic = item->topic,
                                  .partition = partition,
                                  .leader_epoch = stone->leader_epoch },
        true);
}

/* All tombstones of one broker and topic, as the plan leaves them. */
static void plan_znode(struct core *core, const struct plan_item *item, int32_t broker,
                       bool new_group)
{
    struct plan *plan = core->making;
    const struct image_topic *topic = image_topic(core->image, item->topic_id);
    size_t n = topic != NULL ? (size_t)topic->n_parts : 0;
    int32_t *epochs = arena_alloc(&plan->arena, (n + 1) * sizeof *epochs);
    struct core_tombstone_part *parts = arena_zalloc(&plan->arena, n + 1, sizeof *parts);
    struct core_op *op = plan_op(plan, OP_TOMBSTONES_SET, item->topic, new_group);

    for (size_t i = 0; i < n; i++) {
        const struct image_tombstone *stone =
            image_tombstone(core->image, broker, item->topic_id, (int32_t)i);

        epochs[i] = stone != NULL ? stone->leader_epoch : NO_STONE;
    }
    for (size_t i = 0; i < plan->n_stones; i++) {
        const struct plan_stone *s = &plan->stones[i];

        if (s->stone.broker == broker && uuid_eq(s->stone.topic_id, item->topic_id))
            epochs[s->stone.partition] = s->gone ? NO_STONE : s->stone.leader_epoch;
    }
    op->tombstones = (struct core_tombstones){
        .broker = broker, .topic_id = item->topic_id, .topic = item->topic, .parts = parts
    };
    for (size_t i = 0; i < n; i++) {
        if (epochs[i] != NO_STONE)
            parts[op->tombstones.n++] =
                (struct core_tombstone_part){ .partition = (int32_t)i, .leader_epoch = epochs[i] };
    }
}

static void plan_znodes(struct core *core, struct plan_item *item, bool apart)
{
    struct plan *plan = core->making;
    int32_t *done = arena_alloc(&plan->arena, (item->n_stones + 1) * sizeof *done);
    struct ids brokers = { .at = done, .n = 0 };

    for (size_t i = 0; i < item->n_stones; i++) {
        int32_t broker = plan->stones[item->first_stone + i].stone.broker;

        if (ids_has(brokers, broker))
            continue;
        done[brokers.n++] = broker;
        plan_znode(core, item, broker, apart);
    }
}

void stones_close(struct core *core, struct plan_item *item)
{
    plan_znodes(core, item, false);
}

void stones_close_apart(struct core *core, struct plan_item *item)
{
    plan_znodes(core, item, true);
}

void stones_stored(struct core *core, const struct plan *plan, const struct plan_item *item)
{
    for (size_t i = 0; i < item->n_stones; i++) {
        const struct plan_stone *s = &plan->stones[item->first_stone + i];

        view_pend_tombstone(core, &s->stone, s->gone);
    }
}

/* ---- what goes again ------------------------------------------------------------------------ */

static void goes(struct core *core, const struct image_tombstone *stone)
{
    struct acked_tombstone *acked = xcalloc(1, sizeof *acked);

    acked->tombstone = *stone;
    acked->tombstone.topic = STR_NULL;
    STAILQ_INSERT_TAIL(&core->acked_tombstones, acked, link);
}

/* A large topic's mark is stored before its tombstones, and these not all at once: the controller
 * that comes after may be one that deletes no topics. Brokers delete nothing that is assigned to
 * them, but they need not be asked. */
void stones_loaded(struct core *core)
{
    struct image_cursor at = { 0 };
    const struct image_tombstone *stone;

    while ((stone = image_next_tombstone(core->image, &at)) != NULL) {
        const struct image_topic *topic = image_topic(core->image, stone->topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, stone->partition) : NULL;

        if (part != NULL && ids_has(part->replicas, stone->broker) &&
            !topics_goes(core, topic->name))
            goes(core, stone);
    }
}

void stones_on_deleted(struct core *core, struct broker *b, size_t n,
                       const struct image_tombstone *deleted)
{
    for (size_t i = 0; i < n; i++) {
        struct image_tombstone stone = deleted[i];

        stone.broker = b->id; /* nobody speaks for another */
        goes(core, &stone);
    }
}

/* Among the first n stones of the plan, which are not from here. */
static bool is_busy(const struct plan *plan, size_t n, struct uuid topic_id)
{
    for (size_t i = 0; i < n; i++) {
        if (uuid_eq(plan->stones[i].stone.topic_id, topic_id))
            return true;
    }
    return false;
}

/* A tombstone that was put there after the one that is acknowledged stays. */
static bool is_acked(const struct core *core, const struct image_tombstone *stone)
{
    const struct acked_tombstone *a;

    STAILQ_FOREACH (a, &core->acked_tombstones, link) {
        if (a->tombstone.broker == stone->broker && a->tombstone.partition == stone->partition &&
            a->tombstone.leader_epoch >= stone->leader_epoch &&
            uuid_eq(a->tombstone.topic_id, stone->topic_id))
            return true;
    }
    return false;
}

/* What a broker has acknowledged of a topic leaves its znode; what is left is stored again. */
static void plan_acked(struct core *core, const struct image_tombstone *first)
{
    struct plan *plan = core->making;
    size_t n = image_n_tombstones(core->image);
    struct core_tombstone_part *left = arena_zalloc(&plan->arena, n + 1, sizeof *left);
    struct plan_item *item = NULL;
    struct image_cursor at = { 0 };
    const struct image_tombstone *stone;
    size_t n_left = 0;

    while ((stone = image_next_tombstone(core->image, &at)) != NULL) {
        if (stone->broker != first->broker || !uuid_eq(stone->topic_id, first->topic_id))
            continue;
        if (!is_acked(core, stone)) {
            left[n_left++] = (struct core_tombstone_part){ .partition = stone->partition,
                                                           .leader_epoch = stone->leader_epoch };
            continue;
        }
        if (item == NULL) {
            item = plan_item(plan, PLAN_TOMBSTONES);
            item->topic_id = stone->topic_id;
            item->topic = plan_str(plan, stone->topic);
            stones_open(plan, item);
        }
        stones_lift(core, item, stone->broker, stone->partition);
    }
    if (item == NULL)
        return;

    struct core_op *op = plan_op(plan, OP_TOMBSTONES_SET, item->topic, true);

    op->tombstones = (struct core_tombstones){ .broker = first->broker,
                                               .topic_id = item->topic_id,
                                               .topic = item->topic,
                                               .n = n_left,
                                               .parts = left };
    item->n_ops = 1;
}

static void drop_acked(struct core *core, const struct image_tombstone *like)
{
    struct acked_tombstone *acked, *next;

    for (acked = STAILQ_FIRST(&core->acked_tombstones); acked != NULL; acked = next) {
        next = STAILQ_NEXT(acked, link);
        if (acked->tombstone.broker != like->broker ||
            !uuid_eq(acked->tombstone.topic_id, like->topic_id))
            continue;
        STAILQ_REMOVE(&core->acked_tombstones, acked, acked_tombstone, link);
        free(acked);
    }
}

void stones_plan_acked(struct core *core)
{
    struct acked_tombstones later = STAILQ_HEAD_INITIALIZER(later);
    struct acked_tombstone *acked;
    struct plan *plan = core->making;
    size_t n_busy = plan->n_stones;

    while ((acked = STAILQ_FIRST(&core->acked_tombstones)) != NULL) {
        struct image_tombstone like = acked->tombstone;

        if (is_busy(plan, n_busy, like.topic_id)) {
            STAILQ_REMOVE_HEAD(&core->acked_tombstones, link);
            STAILQ_INSERT_TAIL(&later, acked, link);
            continue;
        }
        plan_acked(core, &like);
        drop_acked(core, &like);
    }
    STAILQ_CONCAT(&core->acked_tombstones, &later);
}
