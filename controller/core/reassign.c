/*
 * Reassignment (KIP-455). A partition that moves says so in its topic's znode, and nowhere else:
 *
 *   replicas = the wanted ones, then those it has and is to lose;  adding, removing: the difference
 *
 *   begin    that assignment, and a leader epoch more
 *   wait     until every wanted replica is in sync
 *   arrive   the wanted replicas alone, the ISR without the others, a leader among them, a leader
 *            epoch more, and tombstones for those that are out
 *
 * Each of the two steps is one multi, so that there is nothing in between for a controller to die
 * in: whoever takes the seat reads from the assignment where the partition is. What Kafka writes in
 * up to five leader epochs (one for each replica taken out of the ISR) is one here.
 *
 * Whoever leaves the ISR takes a copy away that may be the last whole one, when those who stay have
 * just lost their machines and nobody knows. So before a step that takes members out, one of those
 * who stay has to acknowledge a version that was published after the step was decided on.
 *
 * To cancel is to begin a move back to the replicas it had. To begin another move while one is
 * under way drops the newcomers that are not wanted any more, in the same write. Neither is done
 * when it would throw away the only replicas that have all that is committed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/choose.h"
#include "controller/core/core_int.h"

#define MULTI_MOVES 200 /* most partitions of one topic that share a multi */

static bool is_moving(const struct image_part *part)
{
    return part->adding.n > 0 || part->removing.n > 0;
}

/* ---- what it takes ------------------------------------------------------------------------- */

/* Those of a that are not in b, into room. */
static struct ids minus(struct ids a, struct ids b, int32_t *room)
{
    struct ids left = { .at = room, .n = 0 };

    for (uint32_t i = 0; i < a.n; i++) {
        if (!ids_has(b, a.at[i]))
            room[left.n++] = a.at[i];
    }
    return left;
}

static int32_t *room_for(struct arena *arena, uint32_t n)
{
    return arena_alloc(arena, ((size_t)n + 1) * sizeof(int32_t));
}

struct ids reassign_origin(const struct image_part *part, struct arena *arena)
{
    return minus(part->replicas, part->adding, room_for(arena, part->replicas.n));
}

struct ids reassign_target(const struct image_part *part, struct arena *arena)
{
    return minus(part->replicas, part->removing, room_for(arena, part->replicas.n));
}

static struct choice choice_of(const struct core *core, const struct image_part *part,
                               struct arena *arena)
{
    return (struct choice){ .part = part, .replicas = part_replicas_are(core, part, arena) };
}

/* The last step: the target alone. */
static bool arrive(const struct choice *choice, struct ids target, struct arena *arena,
                   struct move *out)
{
    const struct image_part *part = choice->part;

    if (target.n == 0)
        return false; /* another hand wants all removed: no partition is without replicas */
    out->replicas = target;
    out->adding = out->removing = IDS_NONE;
    out->dropped = minus(part->replicas, target, room_for(arena, part->replicas.n));
    out->stores = part->leader_epoch >= 0;
    if (!out->stores)
        return true; /* it was never born, so there is nothing to wait for */
    return choose_has_all(choice, target) &&
           choose_among(choice, target, &out->next, room_for(arena, part->isr.n)) &&
           out->next.leader != LEADER_NONE;
}

enum err reassign_aim(const struct core *core, const struct image_topic *topic,
                      const struct image_part *part, struct ids target, struct arena *arena,
                      struct move *out)
{
    struct choice choice = choice_of(core, part, arena);
    struct ids origin = reassign_origin(part, arena), rest;
    int32_t *all = room_for(arena, target.n + origin.n);

    *out = (struct move){ .topic = topic, .part = part };
    if (target.n == 0 || repair_is_blind(core, topic->id, part->index))
        return ERR_INVALID_REPLICA_ASSIGNMENT; /* who knows who has what is committed */
    target.at = arena_dup(arena, target.at, target.n * sizeof target.at[0]);
    if (arrive(&choice, target, arena, out))
        return ERR_OK;
    rest = minus(origin, target, room_for(arena, origin.n));
    for (uint32_t i = 0; i < target.n; i++)
        all[i] = target.at[i];
    for (uint32_t i = 0; i < rest.n; i++)
        all[target.n + i] = rest.at[i];
    out->replicas = (struct ids){ .at = all, .n = target.n + rest.n };
    out->adding = minus(out->replicas, origin, room_for(arena, out->replicas.n));
    out->removing = minus(out->replicas, target, room_for(arena, out->replicas.n));
    out->dropped = minus(part->replicas, out->replicas, room_for(arena, part->replicas.n));
    out->stores = true;
    if (!choose_among(&choice, out->replicas, &out->next, room_for(arena, part->isr.n)))
        return ERR_INVALID_REPLICA_ASSIGNMENT;
    return ERR_OK;
}

bool reassign_has_word(struct core *core, const struct move *move, uint64_t *word)
{
    bool takes = false;

    for (uint32_t i = 0; i < move->dropped.n; i++)
        takes |= ids_has(move->part->isr, move->dropped.at[i]);
    if (!takes)
        return true;
    if (*word == 0) {
        *word = core->version + 1;
        core->word_wanted = true;
    }
    for (uint32_t i = 0; i < move->next.isr.n; i++) {
        const struct broker *b = broker_get(core, move->next.isr.at[i]);

        if (b != NULL && b->acked_version >= *word)
            return true;
    }
    core->waits_word = true;
    if (*word > core->word_version)
        core->word_version = *word;
    return false;
}

static bool has_arrived(struct core *core, const struct image_topic *topic,
                        const struct image_part *part, struct moving *moving, struct move *out)
{
    struct arena *arena = &core->making->arena;
    struct choice choice = choice_of(core, part, arena);

    *out = (struct move){ .topic = topic, .part = part };
    if (repair_is_blind(core, topic->id, part->index))
        return false; /* it only looks as if it was never born */
    if (arrive(&choice, reassign_target(part, arena), arena, out))
        return reassign_has_word(core, out, &moving->word);
    moving->word = 0;
    return false;
}

/* ---- planning ------------------------------------------------------------------------------ */

static void plan_part_move(struct core *core, struct plan_item *item, struct move *move)
{
    struct image_part moved = *move->part;
    int32_t leader_epoch = move->stores ? move->next.leader_epoch : moved.leader_epoch;

    moved.replicas = move->replicas;
    moved.adding = move->adding;
    moved.removing = move->removing;
    move->planned = plan_move(core, item, move->topic, &moved, move->stores ? &move->next : NULL);
    for (uint32_t i = 0; i < move->dropped.n; i++)
        stones_bury(core, item, move->dropped.at[i], moved.index, leader_epoch);
    for (uint32_t i = 0; i < move->replicas.n; i++)
        stones_lift(core, item, move->replicas.at[i], moved.index);
}

/* Of one topic, n at most MULTI_MOVES. */
static void plan_some(struct core *core, struct move *moves, size_t n)
{
    struct plan *plan = core->making;
    const struct image_topic *topic = moves[0].topic;
    struct plan_item *item = plan_item(plan, PLAN_MOVE);
    struct core_op *op;
    size_t at = plan->n_ops;

    item->topic_id = topic->id;
    item->topic = plan_str(plan, topic->name);
    plan_op(plan, OP_TOPIC_SET, item->topic, true);
    stones_open(plan, item);
    for (size_t i = 0; i < n; i++)
        plan_part_move(core, item, &moves[i]);
    stones_close(core, item);
    op = &plan->ops[at];
    op->version = plan_topic_version(core, topic->id);
    op->topic_node.id = topic->id;
    op->topic_node.parts = topics_assignment(plan, topic, 0, NULL, &op->topic_node.n_parts);
    item->n_ops = plan->n_ops - at;
}

static int by_topic(const void *a, const void *b)
{
    const struct move *x = a, *y = b;
    int order = memcmp(x->topic->id.bytes, y->topic->id.bytes, sizeof x->topic->id.bytes);

    if (order != 0)
        return order;
    return (x->part->index > y->part->index) - (x->part->index < y->part->index);
}

void reassign_sort(struct move *moves, size_t n)
{
    if (n > 0)
        qsort(moves, n, sizeof *moves, by_topic);
}

/* One that was noted twice in a step: two writes of one state in a multi would never be done. */
static size_t drop_twins(struct move *moves, size_t n)
{
    size_t n_left = 0;

    for (size_t i = 0; i < n; i++) {
        if (n_left == 0 || by_topic(&moves[n_left - 1], &moves[i]) != 0)
            moves[n_left++] = moves[i];
    }
    return n_left;
}

void reassign_plan_all(struct core *core, struct move *moves, size_t n)
{
    reassign_sort(moves, n);
    n = drop_twins(moves, n);
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && to - from < MULTI_MOVES; to++) {
            if (!uuid_eq(moves[to].topic->id, moves[from].topic->id))
                break;
        }
        plan_some(core, &moves[from], to - from);
    }
}

void reassign_note(struct core *core, struct uuid topic_id, const struct image_part *part)
{
    const struct image_part *known = image_part(core->image, topic_id, part->index);

    if (!is_moving(part))
        return;
    core->moves_due = true;
    if (known != NULL && is_moving(known))
        return; /* noted before */
    array_reserve(&core->moving, &core->cap_moving, core->n_moving, sizeof *core->moving);
    core->moving[core->n_moving++] =
        (struct moving){ .topic_id = topic_id, .partition = part->index };
}

void reassign_forget(struct core *core)
{
    free(core->moving);
    core->moving = NULL;
    core->n_moving = core->cap_moving = 0;
    core->moves_due = false;
}

/* Those that have arrived. */
void reassign_plan(struct core *core)
{
    struct move *moves;
    size_t n = 0, n_left = 0;

    if (core->making->has_settings) { /* the next plan, with younger words */
        for (size_t i = 0; i < core->n_moving; i++)
            core->moving[i].word = 0;
        core->moves_due |= core->n_moving > 0;
        return;
    }
    if (!core->moves_due)
        return;
    core->moves_due = false;
    moves = xcalloc(core->n_moving + 1, sizeof *moves);
    for (size_t i = 0; i < core->n_moving; i++) {
        struct moving moving = core->moving[i];
        const struct image_topic *topic = image_topic(core->image, moving.topic_id);
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, moving.partition) : NULL;

        if (part == NULL || !is_moving(part))
            continue;
        core->moving[n_left++] = moving;
        if (topics_is_doomed(core, topic->name) || repair_topic_waits(core, topic->id) ||
            repair_waits(core, topic->id, part->index))
            continue;
        if (plan_sets_topic(core, topic->id) ||
            plan_find(core->making, topic->id, part->index) != NULL) {
            core->moves_due = true;            /* it is being written: the next plan looks again, */
            core->moving[n_left - 1].word = 0; /* and a word would be old by then */
        } else if (has_arrived(core, topic, part, &core->moving[n_left - 1], &moves[n]))
            n++;
    }
    core->n_moving = n_left;
    reassign_plan_all(core, moves, n);
    free(moves);
}

/* ---- results ------------------------------------------------------------------------------- */

static void say_move(struct core *core, const struct plan_part *part)
{
    const struct image_part *to = &part->part;
    const char *what =
        is_moving(to) ? "moves to other replicas" : "has the replicas it should have";

    core_say(core, CORE_SAY_INFO, "%s partition=%.*s-%d adding=%u removing=%u leader=%d", what,
             STR_ARG(part->topic), to->index, to->adding.n, to->removing.n, to->leader);
}

void reassign_done(struct core *core, struct plan *plan, struct plan_item *item,
                   const struct core_op_result *results)
{
    bool is_gone = image_topic(core->image, item->topic_id) == NULL; /* by another hand */

    view_sets_done(core, item->topic_id, item->topic,
                   item->err == ERR_OK && !is_gone ? results[item->first_op].version : -1);
    core->moves_due = true;
    if (item->err != ERR_OK) {
        repair_topic_failed(core, item->topic_id);
        core_reload(core, (struct core_reload){ .what = RELOAD_TOPIC, .topic = item->topic });
        return;
    }
    repair_topic_stored(core, item->topic_id);
    stones_stored(core, plan, item);
    for (size_t i = 0; i < plan->n_parts; i++) {
        const struct plan_part *part = plan->parts[i];
        struct image_part moved;
        const struct image_part *now;

        if (part->item != item || is_gone)
            continue;
        say_move(core, part);
        if (part->op != SIZE_MAX)
            continue; /* pending with its state */
        moved = part->part;
        now = image_part(core->image, part->topic_id, moved.index);
        if (now != NULL) {
            moved.leader = now->leader;
            moved.leader_epoch = now->leader_epoch;
            moved.partition_epoch = now->partition_epoch;
            moved.recovering = now->recovering;
            moved.isr = now->isr;
            moved.offline = now->offline;
        }
        view_pend_part(core, part->topic_id, part->topic, &moved);
    }
    core->scan = true; /* who was never born may be now; brokers may have died meanwhile */
}
