/*
 * A plan is the list of operations of one WRITE with what each is for: parts (a partition's new
 * state), items (everything else) and answers that hang on parts. plan_finish() turns results into
 * what is pending, and asks for what must be read again.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/tp.h"
#include "controller/core/core_int.h"

struct plan *plan_new(struct core *core)
{
    struct plan *plan = xcalloc(1, sizeof *plan);

    (void)core;
    arena_init(&plan->arena, SIZE_MAX);
    return plan;
}

void plan_free(struct plan **planp)
{
    struct plan *plan = *planp;

    *planp = NULL;
    if (plan == NULL)
        return;
    names_free(plan);
    stones_free(plan);
    arena_fini(&plan->arena);
    free(plan->ops);
    free(plan->parts);
    free(plan->buckets);
    free(plan->items);
    free(plan->answers);
    free(plan->stones);
    free(plan);
}

struct ids plan_ids(struct plan *plan, struct ids ids)
{
    return (struct ids){ .at = arena_dup(&plan->arena, ids.at, ids.n * sizeof ids.at[0]),
                         .n = ids.n };
}

struct str plan_str(struct plan *plan, struct str text)
{
    return arena_str(&plan->arena, text);
}

struct core_op *plan_op(struct plan *plan, enum core_op_kind kind, struct str topic, bool new_group)
{
    array_reserve(&plan->ops, &plan->cap_ops, plan->n_ops, sizeof *plan->ops);

    struct core_op *op = &plan->ops[plan->n_ops++];

    memset(op, 0, sizeof *op);
    plan->n_groups += new_group;
    assert(plan->n_groups > 0);
    op->kind = kind;
    op->group = plan->n_groups;
    op->version = -1;
    op->topic = topic;
    return op;
}

struct plan_item *plan_item(struct plan *plan, enum plan_kind kind)
{
    struct plan_item *item = arena_zalloc(&plan->arena, 1, sizeof *item);

    item->kind = kind;
    item->first_op = plan->n_ops;
    item->first_state_op = SIZE_MAX;
    array_reserve(&plan->items, &plan->cap_items, plan->n_items, sizeof(plan->items[0]));
    plan->items[plan->n_items++] = item;
    return item;
}

/* ---- parts, by topic id and partition
 * ------------------------------------------------------------- */

static void rehash(struct plan *plan)
{
    size_t n = plan->n_buckets == 0 ? 64 : plan->n_buckets * 4;

    free(plan->buckets);
    plan->buckets = xcalloc(n, sizeof(plan->buckets[0]));
    plan->n_buckets = n;
    for (size_t i = 0; i < plan->n_parts; i++) {
        struct plan_part *part = plan->parts[i];
        size_t at = tp_hash(part->topic_id, part->part.index) & (n - 1);

        part->next_in_bucket = plan->buckets[at];
        plan->buckets[at] = part;
    }
}

struct plan_part *plan_find(const struct plan *plan, struct uuid topic_id, int32_t index)
{
    if (plan == NULL || plan->n_buckets == 0)
        return NULL;

    struct plan_part *part = plan->buckets[tp_hash(topic_id, index) & (plan->n_buckets - 1)];

    while (part != NULL && (part->part.index != index || !uuid_eq(part->topic_id, topic_id)))
        part = part->next_in_bucket;
    return part;
}

static struct plan_part *part_add(struct plan *plan, struct uuid topic_id, struct str topic,
                                  const struct image_part *part)
{
    struct plan_part *added = arena_zalloc(&plan->arena, 1, sizeof *added);

    added->topic_id = topic_id;
    added->topic = topic;
    added->part = *part;
    added->op = SIZE_MAX;
    array_reserve(&plan->parts, &plan->cap_parts, plan->n_parts, sizeof(plan->parts[0]));
    plan->parts[plan->n_parts++] = added;
    if (plan->n_parts > plan->n_buckets / 2) {
        rehash(plan);
    } else {
        size_t at = tp_hash(topic_id, part->index) & (plan->n_buckets - 1);

        added->next_in_bucket = plan->buckets[at];
        plan->buckets[at] = added;
    }
    return added;
}

/* The image that holds the part's texts and lists may go before the plan does. */
static struct plan_part *part_copy(struct plan *plan, const struct image_topic *topic,
                                   const struct image_part *part)
{
    struct plan_part *added = part_add(plan, topic->id, plan_str(plan, topic->name), part);
    struct image_part *to = &added->part;

    to->isr = plan_ids(plan, part->isr);
    to->replicas = plan_ids(plan, part->replicas);
    to->adding = plan_ids(plan, part->adding);
    to->removing = plan_ids(plan, part->removing);
    to->offline = plan_ids(plan, part->offline);
    return added;
}

static void part_store(struct core *core, struct plan_part *part, const struct leader_isr *next,
                       bool new_group)
{
    struct plan *plan = core->making;
    struct image_part *to = &part->part, before = part->part;
    bool create = to->partition_epoch < 0;
    struct core_op *op =
        plan_op(plan, create ? OP_STATE_CREATE : OP_STATE_SET, part->topic, new_group);

    assert(next->isr.n > 0);
    assert(create || next->leader_epoch >= to->leader_epoch);
    assert(create || to->leader_epoch >= 0);
    op->version = create ? -1 : to->partition_epoch;
    to->leader = next->leader;
    to->leader_epoch = next->leader_epoch;
    to->partition_epoch = create ? 0 : to->partition_epoch + 1; /* as ZooKeeper will count */
    to->recovering = next->recovering;
    to->isr = plan_ids(plan, next->isr);
    part->op = plan->n_ops - 1;
    op->state.partition = to->index;
    op->state.state = image_part_state(to);
    elr_plan(core, part, &before);
}

struct plan_part *plan_state(struct core *core, const struct image_topic *topic,
                             const struct image_part *part, const struct leader_isr *next)
{
    struct plan_part *added = part_copy(core->making, topic, part);

    part_store(core, added, next, true);
    return added;
}

struct plan_part *plan_move(struct core *core, struct plan_item *item,
                            const struct image_topic *topic, const struct image_part *part,
                            const struct leader_isr *next)
{
    struct plan_part *added = part_copy(core->making, topic, part);

    added->moves = true;
    added->item = item;
    if (next != NULL)
        part_store(core, added, next, false);
    return added;
}

int32_t plan_topic_version(struct core *core, struct uuid topic_id)
{
    int32_t version = core_topic_version(core, topic_id), n_sets = view_n_sets(core, topic_id);

    view_count_set(core, topic_id);
    /* one that is not known must not become "any": with this the write fails, and it is read */
    return version >= 0 ? version + n_sets : INT32_MAX - 1;
}

bool plan_sets_topic(struct core *core, struct uuid topic_id)
{
    return view_n_sets(core, topic_id) > 0;
}

/* ---- results
 * ---------------------------------------------------------------------------------------- */

/* True when nothing more is to be made of the results: we are not the controller, or do not know.
 */
static bool is_over(struct core *core, const struct plan *plan,
                    const struct core_op_result *results)
{
    bool lost = false;

    for (size_t i = 0; i < plan->n_ops; i++) {
        if (results[i].err == ERR_FENCED || results[i].err == ERR_SESSION_EXPIRED) {
            core->resigning = true;
            core_say(core, CORE_SAY_WARN, "another controller has taken over, resigning epoch=%d",
                     core->controller_epoch);
            emit(core, CORE_DO_RESIGN)->resign.reason = "another controller has taken over";
            return true;
        }
        lost |= results[i].err == ERR_CONNECTION_LOSS;
    }
    if (lost) {
        core_say(core, CORE_SAY_WARN, "the outcome of a write is not known, loading again");
        core_reload(core, (struct core_reload){ .what = RELOAD_ALL });
    }
    return false;
}

static void part_done(struct core *core, const struct plan_part *part,
                      const struct core_op_result *result)
{
    const struct image_part *now = image_part(core->image, part->topic_id, part->part.index);
    struct image_part next = part->part;

    if (result->err != ERR_OK) {
        if (now != NULL) {
            brokers_hold_back(core, now->isr);
            brokers_hold_back(core, elr_of(core, part->topic_id, now));
        }
        repair_failed(core, part->topic_id, part->part.index);
        core_say(core, CORE_SAY_WARN,
                 "state is not as known, reading it again partition=%.*s-%d err=%s",
                 STR_ARG(part->topic), part->part.index, err_name(result->err));
        core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                                .topic = part->topic,
                                                .topic_id = part->topic_id,
                                                .partition = part->part.index });
        return;
    }
    repair_stored(core, part->topic_id, part->part.index);
    next.partition_epoch = result->version;
    elr_stored(core, part, result->version); /* or nobody would know that the entry is there */
    if (now == NULL)
        return; /* another hand has removed the topic meanwhile */
    /* the write was of the state alone: what else is known may have changed meanwhile */
    if (!part->moves) {
        next.replicas = now->replicas;
        next.adding = now->adding;
        next.removing = now->removing;
    }
    next.offline = now->offline;
    view_pend_part(core, part->topic_id, part->topic, &next);
}

static void item_done(struct core *core, struct plan *plan, struct plan_item *item,
                      const struct core_op_result *results)
{
    item->err = ERR_OK;
    for (size_t i = 0; i < item->n_ops && item->err == ERR_OK; i++)
        item->err = results[item->first_op + i].err;
    switch (item->kind) {
    case PLAN_PID_BLOCK:
        pids_done(core, item, results);
        break;
    case PLAN_CONFIG:
        if (item->err == ERR_OK)
            settings_stored(core, item);
        break;
    case PLAN_ELIGIBLE:
        elr_done(core, plan, item);
        break;
    case PLAN_MOVE:
        reassign_done(core, plan, item, results);
        break;
    case PLAN_WISHES:
        wishes_done(core, plan, item);
        break;
    default:
        topics_done(core, plan, item, results);
        break;
    }
    if (item->job != NULL)
        job_item_done(core, item->job, item->job_item, item->err, NULL);
}

void plan_finish(struct core *core, struct plan **planp, const struct core_op_result *results)
{
    struct plan *plan = *planp;

    if (plan->n_ops > 0 && is_over(core, plan, results)) {
        core_retire_plan(core, planp);
        return;
    }
    for (size_t i = 0; i < plan->n_parts; i++) {
        if (plan->parts[i]->op != SIZE_MAX)
            part_done(core, plan->parts[i], &results[plan->parts[i]->op]);
    }
    for (size_t i = 0; i < plan->n_items; i++)
        item_done(core, plan, plan->items[i], results);
    if (plan->has_deleted)
        jobs_on_deleted(core);
    if (plan->has_elections)
        jobs_on_elected(core, plan, results);
    if (plan->all) {
        brokers_left(core);
        shutdowns_moved(core);
    }
    view_publish(core); /* the delta goes before the answers */
    isr_answer(core, plan, results);
    core_retire_plan(core, planp);
}
