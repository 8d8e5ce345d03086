/*
 * What tools of Kafka before 2.4 write into ZooKeeper is honoured as Kafka's controller does:
 *
 *   /admin/reassign_partitions          begun as a client's request would be; an entry leaves the
 *                                       znode when it has arrived or cannot be done, and the znode
 *                                       goes with the last: that is how those tools see the end
 *   /admin/preferred_replica_election   elections to preferred replicas; the znode goes at once
 *   isr_change_notification             states are read again
 *   log_dir_event_notification          that broker is sent the whole image, and its answer says
 *                                       what it cannot serve
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

static void clear(struct wanted_move **at, size_t *n, size_t *cap)
{
    for (size_t i = 0; i < *n; i++) {
        free((*at)[i].topic);
        free((*at)[i].target);
    }
    free(*at);
    *at = NULL;
    *n = *cap = 0;
}

static int by_part(const struct core_named_part *x, const struct core_named_part *y)
{
    int order = str_cmp(x->topic, y->topic);

    return order != 0 ? order : (x->partition > y->partition) - (x->partition < y->partition);
}

static int by_part_and_place(const void *a, const void *b)
{
    const struct core_named_part *const *x = a, *const *y = b;
    int order = by_part(*x, *y);

    return order != 0 ? order : (*x > *y) - (*x < *y);
}

/* Which of them are named once more after it: the last counts, as in the map that Kafka makes of
 * them. */
static bool *find_outdated(const struct core_named_parts *parts)
{
    bool *outdated = xcalloc(parts->n + 1, sizeof *outdated);
    const struct core_named_part **sorted = xcalloc(parts->n + 1, sizeof(sorted[0]));

    for (size_t i = 0; i < parts->n; i++)
        sorted[i] = &parts->at[i];
    qsort(sorted, parts->n, sizeof(sorted[0]), by_part_and_place);
    for (size_t i = 1; i < parts->n; i++)
        outdated[sorted[i - 1] - parts->at] = by_part(sorted[i - 1], sorted[i]) == 0;
    free(sorted);
    return outdated;
}

static void copy(const struct core_named_parts *parts, struct wanted_move **at, size_t *n,
                 size_t *cap)
{
    bool *outdated = find_outdated(parts);

    for (size_t i = 0; i < parts->n; i++) {
        const struct core_named_part *part = &parts->at[i];

        if (outdated[i])
            continue;
        array_reserve(at, cap, *n, sizeof **at);
        (*at)[(*n)++] = (struct wanted_move){
            .topic = xstrndup(part->topic.ptr, part->topic.len),
            .partition = part->partition,
            .target = xmemdup(part->replicas.at, part->replicas.n * sizeof(int32_t)),
            .n = part->replicas.n,
        };
    }
    free(outdated);
}

static bool same_moves(const struct wishes *wishes, const struct core_named_parts *parts)
{
    if (wishes->n_moves != parts->n)
        return false;
    for (size_t i = 0; i < parts->n; i++) {
        const struct wanted_move *m = &wishes->moves[i];

        if (!str_is(parts->at[i].topic, m->topic) || parts->at[i].partition != m->partition ||
            !ids_eq(parts->at[i].replicas, (struct ids){ m->target, m->n }))
            return false;
    }
    return true;
}

void wishes_on_moves(struct core *core, const struct core_wishes *said)
{
    struct wishes *wishes = &core->wishes;

    if (said->there == wishes->moves_there && same_moves(wishes, &said->parts))
        return; /* what we write ourselves comes back */
    clear(&wishes->moves, &wishes->n_moves, &wishes->cap_moves);
    copy(&said->parts, &wishes->moves, &wishes->n_moves, &wishes->cap_moves);
    wishes->moves_there = said->there;
    wishes->moves_changed = false;
    if (said->there)
        core_say(core, CORE_SAY_INFO, "a tool wants reassignments partitions=%zu", wishes->n_moves);
}

void wishes_on_elections(struct core *core, const struct core_wishes *said)
{
    struct wishes *wishes = &core->wishes;

    clear(&wishes->elections, &wishes->n_elections, &wishes->cap_elections);
    copy(&said->parts, &wishes->elections, &wishes->n_elections, &wishes->cap_elections);
    wishes->elections_there = said->there;
}

void wishes_forget(struct core *core)
{
    struct wishes *wishes = &core->wishes;

    clear(&wishes->moves, &wishes->n_moves, &wishes->cap_moves);
    clear(&wishes->elections, &wishes->n_elections, &wishes->cap_elections);
    *wishes = (struct wishes){ 0 };
}

void wishes_on_isr_changed(struct core *core, const struct core_named_parts *parts)
{
    for (size_t i = 0; i < parts->n; i++) {
        const struct image_topic *topic = image_topic_named(core->image, parts->at[i].topic);

        if (topic != NULL && image_topic_part(topic, parts->at[i].partition) != NULL)
            core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                                    .topic = topic->name,
                                                    .topic_id = topic->id,
                                                    .partition = parts->at[i].partition });
    }
}

void wishes_on_dir_event(struct core *core, const struct core_dir_event *event)
{
    struct broker *b = broker_get(core, event->broker);

    core_say(core, CORE_SAY_WARN, "a broker lost a log directory broker=%d", event->broker);
    if (b != NULL && b->phase >= STREAM_IMAGE_SENT)
        b->image_wanted = true;
}

/* ---- reassignments ------------------------------------------------------------------------- */

static void drop_move(struct wishes *wishes, size_t i)
{
    free(wishes->moves[i].topic);
    free(wishes->moves[i].target);
    memmove(&wishes->moves[i], &wishes->moves[i + 1],
            (wishes->n_moves - i - 1) * sizeof wishes->moves[0]);
    wishes->n_moves--;
    wishes->moves_changed = true;
}

void wishes_drop_move(struct core *core, struct str topic, int32_t partition)
{
    struct wishes *wishes = &core->wishes;

    for (size_t i = wishes->n_moves; i > 0; i--) {
        if (wishes->moves[i - 1].partition == partition &&
            str_is(topic, wishes->moves[i - 1].topic))
            drop_move(wishes, i - 1);
    }
}

/* It may be begun: each newcomer lives, nobody is named twice. */
static bool may_begin(const struct core *core, const struct image_part *part, struct ids target)
{
    if (target.n == 0 || !ids_valid(target))
        return false;
    for (uint32_t i = 0; i < target.n; i++) {
        if (!ids_has(part->replicas, target.at[i]) && !broker_is_live(core, target.at[i]))
            return false;
    }
    return true;
}

enum turn { TURN_WAIT, TURN_BEGIN, TURN_DROP };

static enum turn turn_of(struct core *core, struct wanted_move *wanted, struct move *move)
{
    const struct image_topic *topic = image_topic_named(core->image, str_of(wanted->topic));
    const struct image_part *part =
        topic != NULL ? image_topic_part(topic, wanted->partition) : NULL;
    struct ids target = { .at = wanted->target, .n = wanted->n };

    if (part == NULL || topics_is_doomed(core, topic->name))
        return TURN_DROP;
    if (plan_sets_topic(core, topic->id) ||
        plan_find(core->making, topic->id, wanted->partition) != NULL ||
        repair_topic_waits(core, topic->id) || repair_waits(core, topic->id, wanted->partition)) {
        wanted->word = 0;
        return TURN_WAIT;
    }
    if (ids_eq(reassign_target(part, &core->making->arena), target))
        return part->adding.n == 0 && part->removing.n == 0 ? TURN_DROP : TURN_WAIT;
    if (!may_begin(core, part, target) ||
        reassign_aim(core, topic, part, target, &core->making->arena, move) != ERR_OK) {
        core_say(core, CORE_SAY_WARN, "a reassignment cannot be done partition=%s-%d",
                 wanted->topic, wanted->partition);
        return TURN_DROP;
    }
    return reassign_has_word(core, move, &wanted->word) ? TURN_BEGIN : TURN_WAIT;
}

static void plan_reassignments(struct core *core)
{
    struct wishes *wishes = &core->wishes;
    struct move *moves = xcalloc(wishes->n_moves + 1, sizeof *moves);
    size_t n = 0;

    for (size_t i = 0; i < wishes->n_moves;) {
        enum turn turn = turn_of(core, &wishes->moves[i], &moves[n]);

        if (turn == TURN_DROP) {
            drop_move(wishes, i);
            continue;
        }
        n += turn == TURN_BEGIN;
        i++;
    }
    reassign_plan_all(core, moves, n);
    free(moves);
}

static struct core_named_parts what_is_left(const struct wishes *wishes, struct plan *plan)
{
    struct core_named_part *at = arena_zalloc(&plan->arena, wishes->n_moves + 1, sizeof *at);

    for (size_t i = 0; i < wishes->n_moves; i++) {
        const struct wanted_move *m = &wishes->moves[i];

        at[i].topic = plan_str(plan, str_of(m->topic));
        at[i].partition = m->partition;
        at[i].replicas = plan_ids(plan, (struct ids){ m->target, m->n });
    }
    return (struct core_named_parts){ .n = wishes->n_moves, .at = at };
}

/* ---- elections ----------------------------------------------------------------------------- */

static void plan_elections(struct core *core)
{
    struct wishes *wishes = &core->wishes;

    for (size_t i = 0; i < wishes->n_elections; i++) {
        const struct wanted_move *wanted = &wishes->elections[i];
        const struct image_topic *topic = image_topic_named(core->image, str_of(wanted->topic));
        const struct image_part *part =
            topic != NULL ? image_topic_part(topic, wanted->partition) : NULL;
        struct leader_isr next;

        if (part == NULL || topics_is_doomed(core, topic->name) ||
            plan_find(core->making, topic->id, part->index) != NULL ||
            repair_waits(core, topic->id, part->index) ||
            !part_prefer(core, part, &core->making->arena, &next))
            continue;
        plan_state(core, topic, part, &next);
    }
    clear(&wishes->elections, &wishes->n_elections, &wishes->cap_elections);
}

void wishes_plan(struct core *core)
{
    struct wishes *wishes = &core->wishes;
    struct plan_item *item;
    struct core_op *op;

    /* nobody is live before the brokers had their time to say hello */
    if (wishes->in_plan || core->making->has_settings || !brokers_settled(core)) {
        for (size_t i = 0; i < wishes->n_moves; i++)
            wishes->moves[i].word = 0; /* it would be old by the time of a later plan */
        return;
    }
    if (wishes->n_moves > 0)
        plan_reassignments(core);
    wishes->moves_changed |= wishes->moves_there && wishes->n_moves == 0;
    if (wishes->moves_changed && core->now_ms >= wishes->after_ms) {
        item = plan_item(core->making, PLAN_WISHES);
        op = plan_op(core->making, OP_MOVES_SET, STR_NULL, true);
        op->moves = what_is_left(wishes, core->making);
        item->n_ops = 1;
        wishes->in_plan = true;
    }
    if (wishes->elections_there) {
        plan_elections(core);
        item = plan_item(core->making, PLAN_WISHES);
        plan_op(core->making, OP_ELECTIONS_DONE, STR_NULL, true);
        item->n_ops = 1;
        wishes->elections_there = false;
    }
}

int64_t wishes_next_ms(const struct core *core)
{
    return core->wishes.n_failures > 0 ? core->wishes.after_ms : NEVER_MS;
}

void wishes_done(struct core *core, const struct plan *plan, const struct plan_item *item)
{
    struct wishes *wishes = &core->wishes;

    if (plan->ops[item->first_op].kind != OP_MOVES_SET)
        return; /* gone, or the next controller sees it */
    wishes->in_plan = false;
    wishes->moves_changed = item->err != ERR_OK;
    wishes->n_failures = item->err != ERR_OK ? wishes->n_failures + 1 : 0;
    wishes->after_ms = core->now_ms;
    if (item->err != ERR_OK)
        wishes->after_ms += back_off_ms(wishes->n_failures);
    if (item->err == ERR_OK && plan->ops[item->first_op].moves.n == 0)
        wishes->moves_there = false;
}
