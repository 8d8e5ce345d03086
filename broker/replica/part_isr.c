/*
 * A follower that fetches and has reached both the high watermark and the start of the leader epoch
 * is proposed; one that has not had all of our log within lag_max_ms is proposed away. A follower
 * whose leo equals ours is in sync however long ago it fetched (KAFKA-7152).
 */
#include "broker/replica/part_isr.h"

#include <stdlib.h>

#include "common/base/mem.h"

#define RESEND_MS        1000 /* a lost answer costs at most this much more */
#define AFTER_REFUSAL_MS 500  /* an ineligible follower fetches on; do not ask at each fetch */

bool part_is_caught_up(const struct part_core *core, const struct part_replica *r, int64_t now_ms)
{
    if (r->leo == core->leo)
        return true;
    return r->caught_up_at_all && now_ms - r->last_caught_up_ms <= core->lag_max_ms;
}

static bool may_propose(const struct part_core *core, int64_t now_ms)
{
    return core->role == PART_LEADER && core->pending == PART_SETTLED && !core->stopping &&
           now_ms >= core->refused_until_ms;
}

static int64_t member_epoch(const struct part_core *core, int32_t id)
{
    const struct part_replica *r = part_other(core, id);

    if (r == NULL)
        return core->my_epoch;
    /* An ISR member that has not fetched from us yet is the one that the image shows. */
    return r->fetch_epoch >= 0 ? r->fetch_epoch : r->live_epoch;
}

static void propose(struct part_core *core, enum part_pending kind, const int32_t *ids, int32_t len,
                    int64_t now_ms, struct part_effects *out)
{
    struct part_proposal *proposal = &core->proposal;

    free(proposal->members);
    *proposal = (struct part_proposal){
        .id = ++core->last_proposal_id,
        .leader_epoch = core->leader_epoch,
        .partition_epoch = core->partition_epoch,
        .members = xcalloc((size_t)len, sizeof *proposal->members),
        .members_len = len,
    };
    for (int32_t i = 0; i < len; i++)
        proposal->members[i] =
            (struct part_member){ .id = ids[i], .broker_epoch = member_epoch(core, ids[i]) };
    core->pending = kind;
    core->proposed_ms = now_ms;
    out->propose = proposal;
}

void part_isr_expand(struct part_core *core, const struct part_replica *r, int64_t now_ms,
                     struct part_effects *out)
{
    if (!may_propose(core, now_ms) || part_in_isr(core, r->id))
        return;
    if (!r->live || r->fetch_epoch < 0 || r->fetch_epoch != r->live_epoch)
        return;
    if (r->leo < core->hw || r->leo < core->epoch_start)
        return;

    int32_t *ids = xmalloc(((size_t)core->isr_len + 1) * sizeof *ids);
    for (int32_t i = 0; i < core->isr_len; i++)
        ids[i] = core->isr[i];
    ids[core->isr_len] = r->id;
    propose(core, PART_EXPANDING, ids, core->isr_len + 1, now_ms, out);
    free(ids);
}

static void shrink(struct part_core *core, int64_t now_ms, struct part_effects *out)
{
    int32_t *ids = xmalloc(((size_t)core->isr_len + 1) * sizeof *ids);
    int32_t len = 0;

    for (int32_t i = 0; i < core->isr_len; i++) {
        const struct part_replica *r = part_other(core, core->isr[i]);

        if (core->isr[i] == core->me || (r != NULL && part_is_caught_up(core, r, now_ms)))
            ids[len++] = core->isr[i];
    }
    if (len < core->isr_len && len > 0)
        propose(core, PART_SHRINKING, ids, len, now_ms, out);
    free(ids);
}

void part_isr_resend(struct part_core *core, int64_t now_ms, struct part_effects *out)
{
    if (core->role != PART_LEADER || core->pending == PART_SETTLED)
        return;
    core->proposed_ms = now_ms;
    out->propose = &core->proposal;
}

void part_isr_tick(struct part_core *core, int64_t now_ms, struct part_effects *out)
{
    if (core->role == PART_LEADER && core->pending != PART_SETTLED) {
        if (now_ms - core->proposed_ms >= RESEND_MS)
            part_isr_resend(core, now_ms, out);
        return;
    }
    if (may_propose(core, now_ms))
        shrink(core, now_ms, out);
}

void part_isr_decided(struct part_core *core, const struct part_event *ev, int64_t now_ms)
{
    if (core->pending == PART_SETTLED || ev->decided.proposal_id != core->proposal.id)
        return;
    /* Only these two say that the proposal was not and will not be applied. Success shows as a
     * later partition epoch, which came before this answer; after anything else we cannot know, so
     * the maximal ISR stays and the proposal goes again. */
    if (ev->decided.err == ERR_INELIGIBLE_REPLICA ||
        ev->decided.err == ERR_OPERATION_NOT_ATTEMPTED) {
        core->pending = PART_SETTLED;
        core->refused_until_ms = now_ms + AFTER_REFUSAL_MS;
    }
}
