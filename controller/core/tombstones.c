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
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

#define NO_STONE INT32_MIN

/* Where the plan's stones of a topic begin. */
struct stone_topic {
    UT_hash_handle hh;
    struct uuid id;
    size_t first;
};

/* SIZE_MAX: it has none. */
static size_t first_stone(const struct plan *plan, struct uuid topic_id)
{
    struct stone_topic *topic;

    HASH_FIND(hh, plan->stone_topics, &topic_id, sizeof topic_id, topic);
    return topic != NULL ? topic->first : SIZE_MAX;
}

static void note_topic(struct plan *plan, struct uuid topic_id)
{
    struct stone_topic *topic;

    if (first_stone(plan, topic_id) != SIZE_MAX)
        return;
    topic = xcalloc(1, sizeof *topic);
    topic->id = topic_id;
    topic->first = plan->n_stones;
    HASH_ADD(hh, plan->stone_topics, id, sizeof topic->id, topic);
}

void stones_free(struct plan *plan)
{
    struct stone_topic *topic, *next;

    HASH_ITER (hh, plan->stone_topics, topic, next) {
        HASH_DEL(plan->stone_topics, topic);
        free(topic);
    }
}

void stones_open(struct plan *plan, struct plan_item *item)
{
    item->first_stone = plan->n_stones;
}

static void add(struct plan *plan, struct plan_item *item, struct image_tombstone stone, bool gone)
{
    note_topic(plan, stone.topic_id);
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
    for (size_t i = first_stone(plan, item->topic_id); i < plan->n_stones; i++) {
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

/* By broker and topic, which share a znode, then partition. */
static int by_znode(const struct image_tombstone *x, const struct image_tombstone *y)
{
    if (x->broker != y->broker)
        return x->broker < y->broker ? -1 : 1;
    return memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof x->topic_id.bytes);
}

static int by_place(const void *a, const void *b)
{
    const struct image_tombstone *x = a, *y = b;
    int order = by_znode(x, y);

    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

/* The younger of one place first. */
static int by_age(const void *a, const void *b)
{
    const struct image_tombstone *x = a, *y = b;
    int order = by_place(a, b);

    return order != 0 ? order
                      : (x->leader_epoch < y->leader_epoch) - (x->leader_epoch > y->leader_epoch);
}

static int is_of_znode(const void *a, const void *b)
{
    return by_znode(a, b);
}

struct acked {
    struct image_tombstone *at; /* by place, one for each */
    size_t n;
};

/* Those of topics that the plan is about otherwise stay in the list. */
static struct acked take_acked(struct core *core)
{
    struct acked_tombstones later = STAILQ_HEAD_INITIALIZER(later);
    struct acked acked = { 0 };
    struct acked_tombstone *one;
    size_t cap = 0, n = 0;

    while ((one = STAILQ_FIRST(&core->acked_tombstones)) != NULL) {
        STAILQ_REMOVE_HEAD(&core->acked_tombstones, link);
        if (first_stone(core->making, one->tombstone.topic_id) != SIZE_MAX) {
            STAILQ_INSERT_TAIL(&later, one, link);
            continue;
        }
        array_reserve(&acked.at, &cap, acked.n, sizeof *acked.at);
        acked.at[acked.n++] = one->tombstone;
        free(one);
    }
    STAILQ_CONCAT(&core->acked_tombstones, &later);
    if (acked.n > 0)
        qsort(acked.at, acked.n, sizeof *acked.at, by_age);
    for (size_t i = 0; i < acked.n; i++) {
        if (n == 0 || by_place(&acked.at[n - 1], &acked.at[i]) != 0)
            acked.at[n++] = acked.at[i];
    }
    acked.n = n;
    return acked;
}

/* A tombstone that was put there after the one that is acknowledged stays. */
static bool is_acked(const struct acked *acked, const struct image_tombstone *stone)
{
    const struct image_tombstone *found =
        bsearch(stone, acked->at, acked->n, sizeof *acked->at, by_place);

    return found != NULL && found->leader_epoch >= stone->leader_epoch;
}

/* All that are there of what the acknowledged ones share a znode with, by place. */
static struct image_tombstone *those_beside(struct core *core, const struct acked *acked, size_t *n)
{
    struct image_tombstone *at =
        arena_alloc(&core->making->arena, (image_n_tombstones(core->image) + 1) * sizeof *at);
    struct image_cursor cursor = { 0 };
    const struct image_tombstone *stone;

    *n = 0;
    while ((stone = image_next_tombstone(core->image, &cursor)) != NULL) {
        if (bsearch(stone, acked->at, acked->n, sizeof *acked->at, is_of_znode) != NULL)
            at[(*n)++] = *stone;
    }
    if (*n > 0)
        qsort(at, *n, sizeof *at, by_place);
    return at;
}

/* Of one znode: what a broker has acknowledged leaves it; what is left is stored again. */
static void plan_acked(struct core *core, const struct acked *acked,
                       const struct image_tombstone *stones, size_t n)
{
    struct plan *plan = core->making;
    struct core_tombstone_part *left = arena_zalloc(&plan->arena, n + 1, sizeof *left);
    struct plan_item *item = NULL;
    size_t n_left = 0;

    for (size_t i = 0; i < n; i++) {
        const struct image_tombstone *stone = &stones[i];

        if (!is_acked(acked, stone)) {
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

    op->tombstones = (struct core_tombstones){ .broker = stones[0].broker,
                                               .topic_id = item->topic_id,
                                               .topic = item->topic,
                                               .n = n_left,
                                               .parts = left };
    item->n_ops = 1;
}

void stones_plan_acked(struct core *core)
{
    struct acked acked = take_acked(core);
    const struct image_tombstone *stones;
    size_t n = 0;

    if (acked.n == 0)
        return;
    stones = those_beside(core, &acked, &n);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && by_znode(&stones[from], &stones[to]) == 0; to++)
            continue;
        plan_acked(core, &acked, &stones[from], to - from);
    }
    free(acked.at);
}
