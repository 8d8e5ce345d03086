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
 *
 * With flush.messages=1 a page cache holds nothing that counts: then nobody is excused, and all
 * machines may lose theirs at once. A controller cannot know that, and takes who was whole before
 * who was not; so there no disk fails or is replaced beside it.
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

/* Is that topic there, and not marked to go? */
static bool stands(const struct world *w, int gen)
{
    const struct tree *tree = &w->zoo->tree;

    return tree->topic.there && tree->topic.gen == gen && !tree->mark;
}

/* The log of that topic's partition; another topic's, or none, is an empty one. */
static struct oracle_log log_of(const struct bro *b, int gen, int p)
{
    if (b->logs[p].gen != gen)
        return (struct oracle_log){ .len = 0 };
    return promise_log(&b->logs[p]);
}

static void check_member(struct world *w, struct bro *b, int p, int64_t from)
{
    int gen = w->zoo->tree.topic.gen;

    if (!b->damaged[p])
        oracle_in_sync(&w->oracle, part_of_gen(gen, p), name_of(b), log_of(b, gen, p), from);
}

static void check_isr(struct world *w, int p, int64_t from)
{
    const struct tree *tree = &w->zoo->tree;
    const struct zoo_state *state = &tree->states[p];
    struct ids eligible;

    if (!stands(w, tree->topic.gen) || !state->there ||
        w->forfeited[part_of_gen(tree->topic.gen, p)])
        return;
    eligible = zoo_eligible(tree, p);
    for (uint32_t i = 0; i < state->n_isr; i++)
        check_member(w, &w->bros[state->isr[i] - 1], p, from);
    /* who may lead beside the ISR is held to the same */
    for (uint32_t i = 0; i < eligible.n; i++)
        check_member(w, &w->bros[eligible.at[i] - 1], p, from);
    check(w);
}

void promise_hw(struct world *w, struct bro *b, int p, int64_t from)
{
    const struct part_core *core = &b->reps[p].core;
    int gen = b->reps[p].gen, at = part_of_gen(gen, p);
    int64_t known = w->oracle.parts[at].len;
    bool extended;

    if (w->forfeited[at])
        return;
    if (from > core->hw) /* a cut log's */
        from = core->hw > 4 ? core->hw - 4 : 0;
    oracle_high_watermark(&w->oracle, at, name_of(b), core->role == PART_LEADER,
                          promise_log(&b->logs[p]), from, core->hw, &extended);
    if (extended && gen == w->zoo->tree.topic.gen)
        check_isr(w, p, known);
    check(w);
}

void promise_leads(struct world *w, struct bro *b, int p)
{
    const struct part_core *core = &b->reps[p].core;
    const struct tree *tree = &w->zoo->tree;
    int gen = b->reps[p].gen, at = part_of_gen(gen, p);

    oracle_one_leader(&w->oracle, at, name_of(b), core->leader_epoch,
                      (int64_t)b->id * 1000000 + w->procs[b->node].life);
    /* one that takes over late has lost its seat already: it proves nothing */
    if (stands(w, gen) && core->leader_epoch == tree->states[p].leader_epoch && !w->forfeited[at])
        oracle_leads(&w->oracle, at, name_of(b), promise_log(&b->logs[p]));
    check(w);
}

/* Had a controller heard of this very process when the state was decided on? */
static bool was_known(const struct world *w, int node)
{
    const struct bro *b = &w->bros[node];

    return w->procs[node].running && b->introduced != 0 && b->introduced <= w->decision.step;
}

/* Nobody in the ISR has everything, and no controller can know it yet. */
static bool is_forfeited(const struct world *w, int p)
{
    const struct zoo_state *state = &w->zoo->tree.states[p];
    struct ids eligible = zoo_eligible(&w->zoo->tree, p);

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

/* Did one of those who are left lose its tail only after it was asked whether it lives, because the
 * others were to go? Who is gone leaves from the moment in which that was known, and the question
 * comes with the next version. Who lives leaves because it was asked for, by a move: the question
 * is a version that no stayer had acknowledged when the last plan was made, for whoever had, and
 * was not acted on, has to be asked anew. Who is moved away and gone as well leaves for whichever
 * of the two was first. Its machine may be gone again before its answer has been read, or what was
 * decided upon it been stored: that nobody can see. */
static bool was_last(const struct world *w, int p, struct ids before)
{
    struct ids now = zoo_isr(&w->zoo->tree, p);
    const struct decision *decision = &w->decision;
    int64_t known_ms = 0, lost_ms = 0, asked_ms = 0;

    for (uint32_t i = 0; i < now.n; i++) {
        int at = now.at[i] - 1;

        if (w->bros[at].lost_ms[p] > lost_ms)
            lost_ms = w->bros[at].lost_ms[p];
        if (decision->asked_ms[at] > asked_ms)
            asked_ms = decision->asked_ms[at];
    }
    for (uint32_t i = 0; i < before.n; i++) {
        int at = before.at[i] - 1;
        bool lives = decision->gone_ms[at] == INT64_MAX;
        bool is_moved = !ids_has(zoo_replicas(&w->zoo->tree, p), before.at[i]);
        int64_t since_ms = lives ? asked_ms : decision->gone_ms[at];

        if (is_moved && asked_ms < since_ms)
            since_ms = asked_ms;
        if (!ids_has(now, before.at[i]) && !w->bros[at].damaged[p] && since_ms > known_ms)
            known_ms = since_ms;
    }
    return lost_ms >= known_ms;
}

/* Who was eligible is put into an ISR for what it had then, and has shown nothing to anybody. It
 * may have lost its tail since and still be to say so: it says it at every return until it has been
 * admitted, and then it is eligible no more. */
static bool is_put_in(const struct tree *before, const struct zoo_state *state, int p, int32_t id)
{
    return state->leader_epoch != before->states[p].leader_epoch &&
           (ids_has(zoo_eligible(before, p), id) || ids_has(zoo_voided(before, p), id));
}

/* Who joins has shown its leader that it is whole: the process that the controller knew did. What
 * its machine has lost since that one began is lost, though. */
static void has_joined(struct world *w, int node, int p)
{
    struct bro *b = &w->bros[node];

    if (w->decision.born_ms[node] == INT64_MAX)
        return;
    b->damaged[p] = false;
    for (int i = 0; i < b->n_losses[p] && !b->damaged[p]; i++) {
        b->damaged[p] = b->losses[p][i] >= w->decision.born_ms[node];
        b->lost_ms[p] = b->losses[p][i];
    }
}

/* A leader that may lack what was committed: only with the operator's leave, who takes the loss.
 * Who was eligible until settings voided that may lead when the leader went before it was told of
 * them; whether it has everything is another promise. */
static void note_unclean(struct world *w, int p, const struct tree *before)
{
    const struct tree *tree = &w->zoo->tree;
    int32_t leader = tree->states[p].leader;

    if (!before->states[p].there || leader < 0 ||
        tree->states[p].leader_epoch == before->states[p].leader_epoch ||
        ids_has(zoo_isr(before, p), leader) || ids_has(zoo_eligible(before, p), leader))
        return;

    bool is_allowed = before->config.unclean == 1 || tree->config.unclean == 1;

    if (!is_allowed && ids_has(zoo_voided(before, p), leader))
        return;
    if (!is_allowed)
        world_fail(w,
                   "1: %s was made the leader of partition %d out of the ISR, which is not allowed",
                   node_name(leader - 1), p);
    w->n_unclean++;
    w->forfeited[part_of_gen(tree->topic.gen, p)] = true;
}

void promise_state(struct world *w, int p, const struct tree *before)
{
    const struct tree *tree = &w->zoo->tree;
    const struct zoo_state *state = &tree->states[p];
    struct ids isr_before = before->states[p].there ? zoo_isr(before, p) : IDS_NONE;
    int at = part_of_gen(tree->topic.gen, p);

    note_unclean(w, p, before);
    for (uint32_t i = 0; i < state->n_isr; i++)
        if (!ids_has(isr_before, state->isr[i]) && !is_put_in(before, state, p, state->isr[i]))
            has_joined(w, state->isr[i] - 1, p);

    oracle_stored(&w->oracle, at, state->leader, state->leader_epoch, state->version,
                  state->boss_epoch);
    check(w);
    if (!w->forfeited[at] && w->oracle.parts[at].len > 0 && is_forfeited(w, p)) {
        w->forfeited[at] = true;
        /* what a leader proposes itself, in its own epoch, is its word */
        if (state->leader_epoch != before->states[p].leader_epoch && !was_last(w, p, isr_before))
            world_fail(w, "5: partition %d is left to a machine that was gone before the others",
                       p);
        TRACE(w, "p%d is left to a machine that has lost its tail, and nobody can know", p);
    }
    check_isr(w, p, 0);
}

static void check_part(struct world *w, const struct tree *tree, int p)
{
    const struct zoo_state *state = &tree->states[p];
    const struct zoo_part *part = &tree->topic.parts[p];
    struct ids replicas = zoo_replicas(tree, p), isr = zoo_isr(tree, p);
    struct ids adding = { .at = part->adding, .n = part->n_adding };
    struct ids removing = { .at = part->removing, .n = part->n_removing };

    if (replicas.n == 0 || !ids_within(adding, replicas) || !ids_within(removing, replicas))
        world_fail(w, "5: the assignment of partition %d is not sound", p);
    if (!state->there)
        return;
    if (isr.n == 0 || !ids_within(isr, replicas))
        world_fail(w, "5: the ISR of partition %d is not among its replicas", p);
    if (state->leader >= 0 && !ids_has(isr, state->leader))
        world_fail(w, "5: the leader of partition %d is not in its ISR", p);
}

void promise_tree(struct world *w)
{
    const struct tree *tree = &w->zoo->tree;

    for (int p = 0; tree->topic.there && p < tree->topic.n_parts; p++)
        check_part(w, tree, p);
}

void promise_deletes(struct world *w, struct bro *b, int p)
{
    const struct tree *tree = &w->zoo->tree;
    const struct disk_log *log = &b->logs[p];
    int32_t buried = w->zoo->buried[b->node][log->gen][p];

    if (buried == NO_STONE || buried < epochs_latest(&log->epochs))
        world_fail(w, "%s deletes its log of partition %d without a tombstone", name_of(b), p);
    if (stands(w, log->gen) && tree->states[p].there && log->leo > 0 &&
        ids_has(zoo_isr(tree, p), b->id))
        world_fail(w, "5: %s is in the ISR of partition %d and deletes its log", name_of(b), p);
}

/* Its controller is the one that decides, and nothing of it is on its way. */
void promise_relieved(struct world *w, const struct boss *boss, int node)
{
    const struct tree *tree = &w->zoo->tree;

    if (!stands(w, tree->topic.gen) || boss->epoch != w->zoo->epoch)
        return;
    for (int p = 0; p < tree->topic.n_parts; p++) {
        const struct zoo_state *state = &tree->states[p];
        bool others = false;

        for (uint32_t i = 0; i < state->n_isr; i++) {
            const struct node *known = image_node(core_image(boss->core), state->isr[i]);

            others |= state->isr[i] != node + 1 && known != NULL && known->state == NODE_LIVE;
        }
        if (state->there && state->leader == node + 1 && others)
            world_fail(w, "%s is let go and still leads partition %d, which others could",
                       node_name(node), p);
    }
}

void promise_cut(struct world *w, struct bro *b, int p, int64_t to)
{
    const struct tree *tree = &w->zoo->tree;
    int at = part_of_gen(b->logs[p].gen, p);

    if (!w->forfeited[at] && to < w->oracle.parts[at].len && stands(w, b->logs[p].gen) &&
        tree->states[p].there && ids_has(zoo_isr(tree, p), b->id) && !b->damaged[p])
        world_fail(w,
                   "5: %s is in the ISR of partition %d and cuts its log to %lld, committed=%lld",
                   name_of(b), p, (long long)to, (long long)w->oracle.parts[at].len);
}

/* min.insync.replicas as the leader goes by it: so many have the record. Who lost it with its
 * machine, or is no replica any more, had it. */
static void check_copies(struct world *w, struct bro *b, int p, int64_t offset)
{
    const struct part_core *core = &b->reps[p].core;
    const struct image_config *config;
    int64_t min_isr = bro_min_isr(w);
    int want, have = 0;

    if (!b->reps[p].open || b->image == NULL)
        return;
    config = image_config(b->image, STR("topics"), SIM_TOPIC);
    if (config != NULL)
        str_to_i64(image_config_value(config, STR("min.insync.replicas")), &min_isr);
    want = min_isr < core->replicas_len ? (int)min_isr : core->replicas_len;
    for (int i = 0; i < w->conf.brokers; i++) {
        const struct disk_log *log = &w->bros[i].logs[p];
        bool counts = w->bros[i].id == b->id || part_other(core, w->bros[i].id) != NULL;

        have += counts && (w->bros[i].damaged[p] || w->n_moved > 0 ||
                           (log->gen == b->reps[p].gen && log->leo > offset));
    }
    if (have < want)
        world_fail(w, "1: acks=all of partition %d is answered with %d copies, wanted=%d", p, have,
                   want);
}

void promise_acked(struct world *w, struct bro *b, int p, int64_t offset, int64_t value)
{
    int at = part_of_gen(b->reps[p].gen, p);

    if (!w->forfeited[at])
        oracle_acked(&w->oracle, at, offset, value);
    if (!w->forfeited[at] && stands(w, b->reps[p].gen))
        check_copies(w, b, p, offset);
    w->acked++;
}

/* ---- machines that lose their tail ---- */

/* Has it lost its log, or may the log be lost with its directory? Who is eligible is not any more.
 */
static bool may_lack(const struct bro *b, int p)
{
    return b->damaged[p] || (b->logs[p].gen >= 0 && b->bad_dir[b->logs[p].dir]);
}

static bool another_has_all(const struct world *w, const struct bro *b, int p)
{
    const struct tree *tree = &w->zoo->tree;
    const struct zoo_state *state = &tree->states[p];
    struct ids eligible = zoo_eligible(tree, p);

    for (uint32_t i = 0; i < state->n_isr; i++) {
        const struct bro *other = &w->bros[state->isr[i] - 1];

        if (other != b && !may_lack(other, p) &&
            oracle_has_all(&w->oracle, part_of_gen(tree->topic.gen, p),
                           log_of(other, tree->topic.gen, p)))
            return true;
    }
    for (uint32_t i = 0; i < eligible.n; i++) {
        const struct bro *other = &w->bros[eligible.at[i] - 1];

        if (other != b && !may_lack(other, p))
            return true;
    }
    return false;
}

void promise_loses_log(struct world *w, struct bro *b, int p)
{
    if (!b->damaged[p])
        b->lost_ms[p] = world_ms(w);
    b->damaged[p] = true;
    b->lost_gen[p] = b->logs[p].gen;
    if (b->n_losses[p] < SIM_LOSSES)
        b->losses[p][b->n_losses[p]++] = world_ms(w);
}

void promise_loses(struct world *w, struct bro *b)
{
    for (int p = 0; p < SIM_PARTS && !b->clean_marker; p++)
        if (b->logs[p].gen >= 0)
            promise_loses_log(w, b, p);
}

bool promise_may_lose(struct world *w, struct bro *b)
{
    const struct tree *tree = &w->zoo->tree;

    for (int p = 0; stands(w, tree->topic.gen) && p < tree->topic.n_parts; p++)
        if (tree->states[p].there && !w->forfeited[part_of_gen(tree->topic.gen, p)] &&
            (ids_has(zoo_isr(tree, p), b->id) || ids_has(zoo_eligible(tree, p), b->id)) &&
            !another_has_all(w, b, p))
            return false;
    return true;
}

bool promise_may_lose_tail(struct world *w, struct bro *b)
{
    return w->conf.flush || promise_may_lose(w, b);
}

void promise_loses_tail(struct world *w, struct bro *b)
{
    if (!w->conf.flush)
        promise_loses(w, b);
}

/* ---- in the end ---- */

static bool part_is_whole(struct world *w, int p, const char **missing)
{
    const struct tree *tree = &w->zoo->tree;
    const struct zoo_state *state = &tree->states[p];
    const struct zoo_part *part = &tree->topic.parts[p];
    const struct bro *leader;

    *missing = "end of a reassignment";
    if (part->n_adding + part->n_removing > 0)
        return false;
    *missing = "leader";
    if (!state->there || state->leader < 0)
        return false;
    *missing = "full ISR";
    if (state->n_isr != part->n_replicas)
        return false;
    leader = &w->bros[state->leader - 1];
    *missing = "leader that knows";
    if (!bro_serves(leader, p) || leader->reps[p].gen != tree->topic.gen ||
        leader->reps[p].core.role != PART_LEADER ||
        leader->reps[p].core.leader_epoch != state->leader_epoch ||
        leader->reps[p].core.partition_epoch != state->version)
        return false;
    for (uint32_t i = 0; i < part->n_replicas; i++) {
        const struct bro *b = &w->bros[part->replicas[i] - 1];

        *missing = "replicas that have everything";
        if (!bro_serves(b, p) || b->reps[p].gen != tree->topic.gen ||
            b->logs[p].leo != leader->logs[p].leo || b->reps[p].core.hw != leader->logs[p].leo)
            return false;
    }
    return true;
}

/* Nothing of what was deleted, or has moved away, is left. */
static bool is_tidy(struct world *w, const char **missing)
{
    const struct tree *tree = &w->zoo->tree;

    *missing = "broker without files of others";
    for (int i = 0; i < w->conf.brokers; i++)
        for (int p = 0; p < SIM_PARTS; p++)
            if (w->bros[i].logs[p].gen >= 0 &&
                (w->bros[i].logs[p].gen != tree->topic.gen || p >= tree->topic.n_parts ||
                 !ids_has(zoo_replicas(tree, p), i + 1)))
                return false;
    *missing = "end of tombstones";
    for (int i = 0; i < w->conf.brokers; i++)
        for (int at = 0; at < w->n_gens * SIM_PARTS; at++)
            if (tree->stones[i][at / SIM_PARTS][at % SIM_PARTS] != NO_STONE)
                return false;
    return true;
}

bool promise_is_whole(struct world *w, const char **missing)
{
    const struct image *image = NULL;

    *missing = "controller";
    for (int i = 0; i < w->conf.bosses; i++)
        if (w->procs[NODE_BOSS + i].running && w->bosses[i].held &&
            core_is_active(w->bosses[i].core) && w->zoo->holder == i)
            image = core_image(w->bosses[i].core);
    if (image == NULL)
        return false;
    *missing = "answer to an operator";
    if (w->n_asked > 0)
        return false;
    *missing = "stable group";
    if (!crowd_is_settled(w))
        return false;
    *missing = "topic";
    if (!w->zoo->tree.topic.there || w->zoo->tree.mark)
        return false;
    for (int p = 0; p < w->zoo->tree.topic.n_parts; p++)
        if (!part_is_whole(w, p, missing))
            return false;
    if (!is_tidy(w, missing))
        return false;
    *missing = "brokers that know the same as the controller";
    for (int i = 0; i < w->conf.brokers; i++)
        if (w->bros[i].image == NULL || !image_eq(w->bros[i].image, image))
            return false;
    return true;
}

/* Also where nothing was promised any more, all replicas agree. */
static void check_same(struct world *w, int p, struct oracle_log log, const struct bro *first,
                       const struct bro *b)
{
    const struct disk_log *other = &first->logs[p];

    for (int64_t i = 0; i < log.len && i < other->leo; i++)
        if (log.recs[i].value != other->recs[i].value || log.recs[i].epoch != other->recs[i].epoch)
            oracle_break(&w->oracle, "2: the logs of %s and %s of partition %d differ at %lld",
                         name_of(first), name_of(b), p, (long long)i);
}

void promise_end(struct world *w)
{
    const struct tree *tree = &w->zoo->tree;

    for (int p = 0; p < tree->topic.n_parts && !w->failed; p++) {
        struct ids replicas = zoo_replicas(tree, p);

        for (uint32_t i = 0; i < replicas.n && !w->failed; i++) {
            int at = part_of_gen(tree->topic.gen, p);
            struct bro *b = &w->bros[replicas.at[i] - 1];
            struct oracle_log log = promise_log(&b->logs[p]);

            oracle_in_order(&w->oracle, at, name_of(b), log);
            check_same(w, p, log, &w->bros[replicas.at[0] - 1], b);
            if (!w->forfeited[at]) {
                oracle_leads(&w->oracle, at, name_of(b), log);
                if (log.len != w->oracle.parts[at].len)
                    oracle_break(&w->oracle,
                                 "2: the log of %s of partition %d is not all committed",
                                 name_of(b), p);
            }
            check(w);
        }
    }
}
