/*
 * The oracle asked about this world. What is cheap is asked at every step that can break it: a high
 * watermark that moves is compared from where it was, and the ISR's members from there too.
 *
 * A machine that lost its page cache, whatever was in it, is excused as a member of an ISR until it
 * has joined one anew; it may only lose it while another member of the stored ISR, or an eligible
 * leader beside it, has everything, which is the precondition of the promise. When a partition is
 * handed to such machines alone, the controller must at least have heard of one of them after it
 * knew that the others were gone: then that one was the last with everything when it lost its tail,
 * which breaks the precondition, and the partition's records prove nothing any more. Without that
 * word the controller is at fault.
 */
#include <stdio.h>

#include "tests/sim/sim.h"

static const char *name_of(const struct bro *b)
{
    return node_name(b->node);
}

struct oracle_log promise_log(const struct disk_log *log)
{
    return (struct oracle_log){ .recs = log->recs, .len = log->leo };
}

static void check(struct world *w)
{
    if (w->oracle.broken)
        world_fail(w, "%s", w->oracle.text);
}

static void check_member(struct world *w, struct bro *b, int p, int64_t from)
{
    if (!b->damaged[p])
        oracle_in_sync(&w->oracle, p, name_of(b), promise_log(&b->logs[p]), from);
}

static void check_isr(struct world *w, int p, int64_t from)
{
    const struct zoo_state *state = &w->zoo->states[p];
    struct ids eligible = zoo_eligible(w, p);

    if (w->forfeited[p])
        return;
    for (uint32_t i = 0; state->there && i < state->n_isr; i++)
        check_member(w, &w->bros[state->isr[i] - 1], p, from);
    /* who may lead beside the ISR is held to the same */
    for (uint32_t i = 0; i < eligible.n; i++)
        check_member(w, &w->bros[eligible.at[i] - 1], p, from);
    check(w);
}

void promise_hw(struct world *w, struct bro *b, int p, int64_t from)
{
    const struct part_core *core = &b->reps[p].core;
    int64_t known = w->oracle.parts[p].len;
    bool extended;

    if (w->forfeited[p])
        return;
    if (from > core->hw) /* a cut log's */
        from = core->hw > 4 ? core->hw - 4 : 0;
    oracle_high_watermark(&w->oracle, p, name_of(b), core->role == PART_LEADER,
                          promise_log(&b->logs[p]), from, core->hw, &extended);
    if (extended)
        check_isr(w, p, known);
    check(w);
}

void promise_leads(struct world *w, struct bro *b, int p)
{
    const struct part_core *core = &b->reps[p].core;

    oracle_one_leader(&w->oracle, p, name_of(b), core->leader_epoch,
                      (int64_t)b->id * 1000000 + w->procs[b->node].life);
    /* one that takes over late has lost its seat already: it proves nothing */
    if (core->leader_epoch == w->zoo->states[p].leader_epoch && !w->forfeited[p])
        oracle_leads(&w->oracle, p, name_of(b), promise_log(&b->logs[p]));
    check(w);
}

/* Had a controller heard of this very process when the state was decided on? */
static bool was_known(const struct world *w, int node)
{
    const struct bro *b = &w->bros[node];

    return w->procs[node].running && b->introduced != 0 && b->introduced <= w->decided;
}

/* Nobody in the ISR has everything, and no controller can know it yet. */
static bool is_forfeited(const struct world *w, int p)
{
    const struct zoo_state *state = &w->zoo->states[p];
    struct ids eligible = zoo_eligible(w, p);

    for (uint32_t i = 0; i < state->n_isr; i++) {
        const struct bro *b = &w->bros[state->isr[i] - 1];

        if (!b->damaged[p] || was_known(w, b->node))
            return false;
    }
    for (uint32_t i = 0; i < eligible.n; i++)
        if (!w->bros[eligible.at[i] - 1].damaged[p])
            return false;
    return true;
}

/* Did one of those who are left lose its tail only after the others were known to be gone? */
static bool was_last(const struct world *w, int p, struct ids before)
{
    const struct zoo_state *state = &w->zoo->states[p];
    struct ids now = { .at = state->isr, .n = state->n_isr };
    int64_t gone_ms = 0, lost_ms = 0;

    for (uint32_t i = 0; i < before.n; i++) {
        int at = before.at[i] - 1;

        if (!ids_has(now, before.at[i]) && !w->bros[at].damaged[p] && w->gone_ms[at] > gone_ms)
            gone_ms = w->gone_ms[at];
    }
    for (uint32_t i = 0; i < now.n; i++)
        if (w->bros[now.at[i] - 1].lost_ms[p] > lost_ms)
            lost_ms = w->bros[now.at[i] - 1].lost_ms[p];
    return lost_ms >= gone_ms;
}

void promise_state(struct world *w, int p, struct ids before, int32_t epoch_before)
{
    const struct zoo_state *state = &w->zoo->states[p];

    /* who joins anew has shown its leader that it is whole */
    for (uint32_t i = 0; i < state->n_isr; i++)
        if (!ids_has(before, state->isr[i]) && was_known(w, state->isr[i] - 1))
            w->bros[state->isr[i] - 1].damaged[p] = false;

    oracle_stored(&w->oracle, p, state->leader, state->leader_epoch, state->version,
                  state->boss_epoch);
    check(w);
    if (!w->forfeited[p] && is_forfeited(w, p)) {
        w->forfeited[p] = true;
        /* what a leader proposes itself, in its own epoch, is its word */
        if (state->leader_epoch != epoch_before && !was_last(w, p, before))
            world_fail(w, "5: partition %d is left to a machine that was gone before the others",
                       p);
        TRACE(w, "p%d is left to a machine that has lost its tail, and nobody can know", p);
    }
    check_isr(w, p, 0);
}

void promise_cut(struct world *w, struct bro *b, int p, int64_t to)
{
    const struct zoo_state *state = &w->zoo->states[p];
    struct ids isr = { .at = state->isr, .n = state->n_isr };

    if (!w->forfeited[p] && to < w->oracle.parts[p].len && ids_has(isr, b->id) && !b->damaged[p])
        world_fail(w,
                   "5: %s is in the ISR of partition %d and cuts its log to %lld, committed=%lld",
                   name_of(b), p, (long long)to, (long long)w->oracle.parts[p].len);
}

void promise_acked(struct world *w, struct bro *b, int p, int64_t offset, int64_t value)
{
    (void)b;
    if (!w->forfeited[p])
        oracle_acked(&w->oracle, p, offset, value);
    w->acked++;
}

/* ---- machines that lose their tail ---- */

static bool another_has_all(const struct world *w, const struct bro *b, int p)
{
    const struct zoo_state *state = &w->zoo->states[p];
    struct ids eligible = zoo_eligible(w, p);

    for (uint32_t i = 0; i < state->n_isr; i++) {
        const struct bro *other = &w->bros[state->isr[i] - 1];

        if (other != b && !other->damaged[p] &&
            oracle_has_all(&w->oracle, p, promise_log(&other->logs[p])))
            return true;
    }
    for (uint32_t i = 0; i < eligible.n; i++) {
        const struct bro *other = &w->bros[eligible.at[i] - 1];

        if (other != b && !other->damaged[p])
            return true;
    }
    return false;
}

void promise_loses(struct world *w, struct bro *b)
{
    for (int p = 0; p < w->conf.parts; p++) {
        if (b->clean_marker || b->damaged[p])
            continue;
        b->damaged[p] = true;
        b->lost_ms[p] = world_ms(w);
    }
}

bool promise_may_lose(struct world *w, struct bro *b)
{
    for (int p = 0; p < w->conf.parts; p++) {
        const struct zoo_state *state = &w->zoo->states[p];
        struct ids isr = { .at = state->isr, .n = state->n_isr };

        if (state->there && !w->forfeited[p] &&
            (ids_has(isr, b->id) || ids_has(zoo_eligible(w, p), b->id)) &&
            !another_has_all(w, b, p))
            return false;
    }
    return true;
}

/* ---- in the end ---- */

static bool part_is_whole(struct world *w, int p, const char **missing)
{
    const struct zoo_state *state = &w->zoo->states[p];
    const struct bro *leader;

    *missing = "a leader";
    if (!state->there || state->leader < 0)
        return false;
    *missing = "a full ISR";
    if ((int)state->n_isr != w->conf.rf)
        return false;
    leader = &w->bros[state->leader - 1];
    *missing = "a leader that knows";
    if (!leader->reps[p].open || leader->reps[p].core.role != PART_LEADER ||
        leader->reps[p].core.leader_epoch != state->leader_epoch ||
        leader->reps[p].core.partition_epoch != state->version)
        return false;
    for (int i = 0; i < w->conf.rf; i++) {
        const struct bro *b = &w->bros[w->zoo->replicas[p][i] - 1];

        *missing = "replicas that have everything";
        if (!b->reps[p].open || b->logs[p].leo != leader->logs[p].leo ||
            b->reps[p].core.hw != leader->logs[p].leo)
            return false;
    }
    return true;
}

bool promise_is_whole(struct world *w, const char **missing)
{
    const struct image *image = NULL;

    *missing = "a controller";
    for (int i = 0; i < w->conf.bosses; i++)
        if (w->procs[NODE_BOSS + i].running && w->bosses[i].held &&
            core_is_active(w->bosses[i].core) && w->zoo->holder == i)
            image = core_image(w->bosses[i].core);
    if (image == NULL)
        return false;
    for (int p = 0; p < w->conf.parts; p++)
        if (!part_is_whole(w, p, missing))
            return false;
    *missing = "brokers that know the same as the controller";
    for (int i = 0; i < w->conf.brokers; i++)
        if (w->bros[i].image == NULL || !image_eq(w->bros[i].image, image))
            return false;
    return true;
}

void promise_end(struct world *w)
{
    for (int p = 0; p < w->conf.parts && !w->failed; p++)
        for (int i = 0; i < w->conf.rf && !w->failed; i++) {
            struct bro *b = &w->bros[w->zoo->replicas[p][i] - 1];
            struct oracle_log log = promise_log(&b->logs[p]);

            if (w->forfeited[p])
                continue;
            oracle_leads(&w->oracle, p, name_of(b), log);
            oracle_in_order(&w->oracle, p, name_of(b), log);
            if (log.len != w->oracle.parts[p].len)
                oracle_break(&w->oracle, "2: the log of %s of partition %d is not all committed",
                             name_of(b), p);
            check(w);
        }
}
