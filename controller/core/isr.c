/*
 * Leaders' proposals of ISRs, by compare-and-set of epochs. Proposals wait until no WRITE is out
 * and are then decided together; the answer goes out when the state is stored and the delta sent.
 *
 * The checks are Kafka's, in Kafka's order, and three more that its ZooKeeper mode never had: the
 * sender leads, the ISR is within the replicas, and every member is the process that the leader
 * meant.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/core/core_int.h"

void isr_on_alter(struct core *core, const struct core_alter_partition *alter)
{
    struct wait_alter *wait = xcalloc(1, sizeof *wait);

    arena_init(&wait->arena, SIZE_MAX);
    wait->stream = alter->stream;
    wait->broker_epoch = alter->broker_epoch;
    wait->n = alter->n;
    wait->proposals =
        arena_dup(&wait->arena, alter->proposals, alter->n * sizeof *alter->proposals);
    for (size_t i = 0; i < alter->n; i++)
        wait->proposals[i].isr = arena_dup(&wait->arena, alter->proposals[i].isr,
                                           alter->proposals[i].n_isr * sizeof(struct core_member));
    STAILQ_INSERT_TAIL(&core->alters, wait, link);
}

static void wait_free(struct wait_alter *wait)
{
    arena_fini(&wait->arena);
    free(wait);
}

/* ---- refusals are for good
 * ---------------------------------------------------------------------------- */

/* A leader that is refused gives up who was to join, and counts only the others. But it may have
 * sent the proposal twice: the second copy must not find the newcomer eligible. */
static struct refused_proposal *find_refused(struct core *core, uint64_t stream,
                                             const struct core_proposal *p)
{
    for (size_t i = 0; i < core->n_refused; i++) {
        struct refused_proposal *r = &core->refused[i];

        if (r->stream == stream && r->partition == p->partition &&
            uuid_eq(r->topic_id, p->topic_id))
            return r;
    }
    return NULL;
}

static bool was_refused(struct core *core, uint64_t stream, const struct core_proposal *p)
{
    const struct refused_proposal *r = find_refused(core, stream, p);

    return r != NULL && r->leader_epoch == p->leader_epoch &&
           r->partition_epoch == p->partition_epoch && p->proposal_id <= r->proposal_id;
}

static void note_refused(struct core *core, uint64_t stream, const struct core_proposal *p)
{
    struct refused_proposal *r = find_refused(core, stream, p);

    if (r == NULL) {
        array_reserve(&core->refused, &core->cap_refused, core->n_refused, sizeof *r);
        r = &core->refused[core->n_refused++];
    }
    *r = (struct refused_proposal){ .stream = stream,
                                    .topic_id = p->topic_id,
                                    .partition = p->partition,
                                    .leader_epoch = p->leader_epoch,
                                    .partition_epoch = p->partition_epoch,
                                    .proposal_id = p->proposal_id };
}

static void forget_refused(struct core *core, uint64_t stream)
{
    size_t n = 0;

    for (size_t i = 0; i < core->n_refused; i++) {
        if (stream != 0 && core->refused[i].stream != stream)
            core->refused[n++] = core->refused[i];
    }
    core->n_refused = n;
    if (n > 0)
        return;
    free(core->refused);
    core->refused = NULL;
    core->cap_refused = 0;
}

/* stream 0: all */
void isr_drop_stream(struct core *core, uint64_t stream)
{
    struct wait_alter *wait, *next;

    forget_refused(core, stream);

    for (wait = STAILQ_FIRST(&core->alters); wait != NULL; wait = next) {
        next = STAILQ_NEXT(wait, link);
        if (stream != 0 && wait->stream != stream)
            continue;
        STAILQ_REMOVE(&core->alters, wait, wait_alter, link);
        wait_free(wait);
    }
}

static bool same_isr(const struct core_proposal *p, struct ids isr)
{
    if (p->n_isr != isr.n)
        return false;
    for (size_t i = 0; i < p->n_isr; i++) {
        if (!ids_has(isr, p->isr[i].id))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (p->isr[j].id == p->isr[i].id)
                return false;
        }
    }
    return true;
}

static bool isr_is_sound(const struct core_proposal *p, const struct image_part *part)
{
    bool has_leader = false;

    for (size_t i = 0; i < p->n_isr; i++) {
        if (!ids_has(part->replicas, p->isr[i].id))
            return false;
        for (size_t j = 0; j < i; j++) {
            if (p->isr[j].id == p->isr[i].id)
                return false;
        }
        has_leader |= p->isr[i].id == part->leader;
    }
    return has_leader;
}

/* Who joins must be live and the very process that caught up; who is in already must not be
 * another. */
static bool member_is_eligible(const struct core *core, const struct core_member *member,
                               const struct image_part *part)
{
    const struct broker *b = broker_get(core, member->id);
    bool joins = !ids_has(part->isr, member->id);

    if (b == NULL || ids_has(part->offline, member->id) || b->stopping)
        return !joins && b != NULL && b->stopping && b->state != NODE_DEAD;
    if (joins)
        return b->state == NODE_LIVE && b->epoch == member->broker_epoch;
    return b->state != NODE_DEAD && (member->broker_epoch < 0 || b->epoch == member->broker_epoch);
}

static enum err check(const struct core *core, const struct broker *sender,
                      const struct core_proposal *p, bool *already)
{
    const struct image_part *part;

    *already = false;
    if (image_topic(core->image, p->topic_id) == NULL)
        return ERR_UNKNOWN_TOPIC_ID;
    if ((part = view_part(core, p->topic_id, p->partition)) == NULL)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (p->partition_epoch > part->partition_epoch || p->leader_epoch > part->leader_epoch)
        return ERR_NOT_CONTROLLER; /* it knows more than we do */
    if (p->leader_epoch < part->leader_epoch)
        return ERR_FENCED_LEADER_EPOCH;
    if (part->leader != sender->id)
        return ERR_INVALID_REQUEST;
    if (same_isr(p, part->isr) && p->recovering == part->recovering) {
        *already = true; /* a repeated proposal whose answer was lost */
        return ERR_OK;
    }
    if (p->partition_epoch < part->partition_epoch)
        return ERR_INVALID_UPDATE_VERSION;
    if (!isr_is_sound(p, part))
        return ERR_INVALID_REQUEST;
    if (p->recovering && (p->n_isr > 1 || !part->recovering))
        return ERR_INVALID_REQUEST;
    for (size_t i = 0; i < p->n_isr; i++) {
        if (!member_is_eligible(core, &p->isr[i], part))
            return ERR_INELIGIBLE_REPLICA;
    }
    return ERR_OK;
}

static void plan_one(struct core *core, const struct broker *sender, const struct core_proposal *p,
                     struct core_alter_answer *answer, const struct plan_part **planned)
{
    bool already;

    answer->topic_id = p->topic_id;
    answer->partition = p->partition;
    answer->proposal_id = p->proposal_id;
    answer->err = check(core, sender, p, &already);
    if (answer->err == ERR_OK && !already && was_refused(core, sender->stream, p))
        answer->err = ERR_INELIGIBLE_REPLICA;
    if (answer->err == ERR_INELIGIBLE_REPLICA)
        note_refused(core, sender->stream, p);
    if (answer->err == ERR_NOT_CONTROLLER) {
        const struct image_topic *topic = image_topic(core->image, p->topic_id);

        core_reload(core, (struct core_reload){ .what = RELOAD_STATE,
                                                .topic = topic->name,
                                                .topic_id = topic->id,
                                                .partition = p->partition });
    }
    if (answer->err != ERR_OK)
        return;
    if (already) {
        /* it may be this very plan that stores it */
        *planned = plan_find(core->making, p->topic_id, p->partition);
        return;
    }

    const struct image_part *part = view_part(core, p->topic_id, p->partition);
    struct leader_isr next = image_part_state(part);
    int32_t *isr = arena_alloc(&core->making->arena, p->n_isr * sizeof *isr);

    for (size_t i = 0; i < p->n_isr; i++)
        isr[i] = p->isr[i].id;
    next.isr = (struct ids){ .at = isr, .n = (uint32_t)p->n_isr };
    next.recovering = p->recovering;
    *planned = plan_state(core, image_topic(core->image, p->topic_id), part, &next);
}

void isr_plan(struct core *core)
{
    struct plan *plan = core->making;
    struct wait_alter *wait;

    if (plan->has_settings)
        return; /* the next plan */
    while ((wait = STAILQ_FIRST(&core->alters)) != NULL) {
        struct broker *sender = broker_of_stream(core, wait->stream);
        struct plan_answer answer = { .stream = wait->stream, .n = wait->n };

        STAILQ_REMOVE_HEAD(&core->alters, link);
        answer.answers = arena_zalloc(&plan->arena, wait->n, sizeof *answer.answers);
        answer.parts = arena_zalloc(&plan->arena, wait->n, sizeof *answer.parts);
        for (size_t i = 0; i < wait->n; i++) {
            const struct core_proposal *p = &wait->proposals[i];

            if (sender != NULL && sender->epoch == wait->broker_epoch) {
                plan_one(core, sender, p, &answer.answers[i], &answer.parts[i]);
                continue;
            }
            answer.answers[i] = (struct core_alter_answer){ .topic_id = p->topic_id,
                                                            .partition = p->partition,
                                                            .proposal_id = p->proposal_id,
                                                            .err = ERR_STALE_BROKER_EPOCH };
        }
        array_reserve(&plan->answers, &plan->cap_answers, plan->n_answers, sizeof answer);
        plan->answers[plan->n_answers++] = answer;
        wait_free(wait);
    }
}

void isr_answer(struct core *core, struct plan *plan, const struct core_op_result *results)
{
    for (size_t i = 0; i < plan->n_answers; i++) {
        struct plan_answer *answer = &plan->answers[i];

        for (size_t j = 0; j < answer->n; j++) {
            const struct plan_part *part = answer->parts[j];

            if (part == NULL || results[part->op].err == ERR_OK)
                continue;
            answer->answers[j].err = results[part->op].err == ERR_BAD_VERSION
                                         ? ERR_INVALID_UPDATE_VERSION
                                         : ERR_UNKNOWN_SERVER_ERROR;
        }
        if (broker_of_stream(core, answer->stream) == NULL)
            continue; /* it has gone meanwhile */
        emit(core, CORE_DO_ANSWER_ALTER)->answer_alter = (struct core_answer_alter){
            .stream = answer->stream, .n = answer->n, .answers = answer->answers
        };
    }
}
