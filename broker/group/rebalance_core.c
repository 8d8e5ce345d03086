/*
 * A rebalance: somebody comes, goes or changes what he can do -> rebalance_prepare(): Preparing,
 * and every member is expected to join again (heartbeats tell them) -> all have joined, or time is
 * up: rebalance_complete(): a new generation, everybody is answered, the leader with all members ->
 * Completing: the leader syncs with the assignment, it is stored, everybody's sync is answered ->
 * Stable.
 *
 * Who does not come: in Preparing dynamic members that have not joined are dropped at the deadline;
 * static ones stay until their session ends, and if nobody at all joined the wait begins anew. In
 * Completing and Stable whoever has not synced a rebalance time-out after the join is dropped.
 * Sessions run all the time but for members that wait for an answer of ours.
 *
 * Where Kafka leaves a request without an answer for ever (its place was taken by a retry on
 * another connection, or its member left while it waited), it gets a retriable error here.
 */
#include "broker/group/rebalance_core.h"

#include <assert.h>

/* ---- answers ---- */

struct group_answer *rebalance_answer(struct group_effects *out, void *who)
{
    array_reserve(&out->answers, &out->answers_cap, out->answers_len, sizeof *out->answers);
    struct group_answer *to = &out->answers[out->answers_len++];
    *to = (struct group_answer){ .who = who,
                                 .member = STR_EMPTY,
                                 .generation = GROUP_NO_GENERATION,
                                 .protocol_type = STR_NULL,
                                 .protocol = STR_NULL,
                                 .leader = STR_EMPTY,
                                 .assignment = STR_EMPTY };
    return to;
}

void rebalance_refuse(struct group_effects *out, void *who, struct str member, enum err err)
{
    struct group_answer *to = rebalance_answer(out, who);

    to->err = err;
    to->member = arena_str(&out->arena, member);
}

void rebalance_admit(const struct group *group, struct group_effects *out, void *who,
                     struct str member, struct str leader, bool with_members, bool skip)
{
    struct group_answer *to = rebalance_answer(out, who);

    to->member = arena_str(&out->arena, member);
    to->generation = group->generation;
    to->protocol_type = arena_str(&out->arena, group->protocol_type);
    to->protocol = arena_str(&out->arena, group->protocol);
    to->leader = arena_str(&out->arena, leader);
    to->with_members = with_members;
    to->skip = skip;
}

void rebalance_assign(const struct group *group, struct group_effects *out, void *who, enum err err,
                      struct str assignment)
{
    struct group_answer *to = rebalance_answer(out, who);

    to->is_sync = true;
    to->err = err;
    if (err != ERR_OK)
        return;
    to->protocol_type = arena_str(&out->arena, group->protocol_type);
    to->protocol = arena_str(&out->arena, group->protocol);
    to->assignment = assignment;
}

struct str rebalance_leader(const struct group *group)
{
    return group->leader != NULL ? group->leader->id : STR_EMPTY;
}

/* ---- waiting in join and sync ---- */

void rebalance_set_join(struct group *group, struct group_member *member, void *who,
                        struct group_effects *out)
{
    if (member->join_who != NULL)
        rebalance_refuse(out, member->join_who, member->id, ERR_REBALANCE_IN_PROGRESS);
    else
        group->joined++;
    member->join_who = who;
}

/* Whoever waits in join ceases to; NULL when nobody does. */
void *rebalance_take_join(struct group *group, struct group_member *member)
{
    void *who = member->join_who;

    if (who != NULL)
        group->joined--;
    member->join_who = NULL;
    return who;
}

void rebalance_fail_join(struct group *group, struct group_member *member, struct str id,
                         enum err err, struct group_effects *out)
{
    void *who = rebalance_take_join(group, member);

    if (who != NULL)
        rebalance_refuse(out, who, id, err);
}

/* False when nobody waits. */
bool rebalance_end_sync(const struct group *group, struct group_member *member, enum err err,
                        struct group_effects *out)
{
    void *who = member->sync_who;

    member->sync_who = NULL;
    if (who != NULL)
        rebalance_assign(group, out, who, err, member->assignment);
    return who != NULL;
}

void rebalance_start_session(struct group *group, struct group_member *member, int64_t now_ms)
{
    group_set_deadline(group, &member->deadline_ms, now_ms + member->session_ms);
}

void rebalance_set_pending_sync(struct group *group, struct group_member *member, bool pending)
{
    if (pending != member->pending_sync)
        group->pending_syncs += pending ? 1 : (size_t)-1;
    member->pending_sync = pending;
}

void rebalance_end_pending_syncs(struct group *group)
{
    for (size_t i = 0; group->pending_syncs > 0 && i < group->members_len; i++)
        rebalance_set_pending_sync(group, group->members[i], false);
    group->sync_deadline_ms = GROUP_NEVER;
}

/* Everybody who waits in sync is answered with what is set, or with the error. */
void rebalance_propagate(struct group *group, enum err err, int64_t now_ms,
                         struct group_effects *out)
{
    for (size_t i = 0; i < group->members_len; i++)
        if (rebalance_end_sync(group, group->members[i], err, out))
            rebalance_start_session(group, group->members[i], now_ms);
}

void rebalance_reset_assignment(struct group *group, enum err err, int64_t now_ms,
                                struct group_effects *out)
{
    for (size_t i = 0; i < group->members_len; i++) {
        text_free(&group->members[i]->assignment);
        group->members[i]->assignment = STR_EMPTY;
    }
    rebalance_propagate(group, err, now_ms, out);
}

/* ---- pending ids ---- */

size_t rebalance_find_pending(const struct group *group, struct str id)
{
    size_t i = 0;

    while (i < group->pending_len && !str_eq(group->pending[i].id, id))
        i++;
    return i;
}

static void drop_pending_at(struct group *group, size_t i)
{
    text_free(&group->pending[i].id);
    for (group->pending_len--; i < group->pending_len; i++)
        group->pending[i] = group->pending[i + 1];
}

bool rebalance_drop_pending(struct group *group, struct str id)
{
    size_t i = rebalance_find_pending(group, id);

    if (i == group->pending_len)
        return false;
    drop_pending_at(group, i);
    return true;
}

bool rebalance_expire_pending(struct group *group, int64_t now_ms)
{
    size_t kept = 0, before = group->pending_len;

    for (size_t i = 0; i < before; i++) {
        if (group->pending[i].deadline_ms > now_ms)
            group->pending[kept++] = group->pending[i];
        else
            text_free(&group->pending[i].id);
    }
    group->pending_len = kept;
    return kept < before;
}

void rebalance_add_pending(struct group *group, struct str id, int64_t deadline_ms)
{
    if (group->pending_len == GROUP_PENDING_MAX)
        drop_pending_at(group, 0);
    array_reserve(&group->pending, &group->pending_cap, group->pending_len, sizeof *group->pending);
    struct group_pending *pending = &group->pending[group->pending_len++];
    pending->id = text_dup(id);
    group_set_deadline(group, &pending->deadline_ms, deadline_ms);
}

/* ---- members come and go ---- */

/* Out of the group with whatever it has; who waits for it is told UNKNOWN_MEMBER_ID and may come
 * again. */
void rebalance_remove(struct group *group, struct group_member *member, struct group_effects *out)
{
    rebalance_fail_join(group, member, STR_EMPTY, ERR_UNKNOWN_MEMBER_ID, out);
    rebalance_end_sync(group, member, ERR_UNKNOWN_MEMBER_ID, out);
    rebalance_set_pending_sync(group, member, false);
    group_set_protocols(group, member, NULL, 0);
    group_take_out(group, member);
    if (group->leader == member)
        group->leader = group->members_len > 0 ? group->members[0] : NULL;
    group_member_free(&member);
}

static bool all_joined(const struct group *group)
{
    return group->joined == group->members_len && group->pending_len == 0;
}

void rebalance_try_complete(struct group *group, int64_t wall_ms, int64_t now_ms,
                            struct group_effects *out)
{
    if (group->state != GROUP_PREPARING)
        return;
    if (!group->is_initial && all_joined(group))
        rebalance_complete(group, wall_ms, now_ms, false, out);
}

static bool can_rebalance(const struct group *group)
{
    return group->state == GROUP_STABLE || group->state == GROUP_COMPLETING ||
           group->state == GROUP_EMPTY;
}

void rebalance_maybe_prepare(struct group *group, int64_t wall_ms, int64_t now_ms,
                             struct group_effects *out, struct str reason)
{
    if (can_rebalance(group))
        rebalance_prepare(group, wall_ms, now_ms, out, reason);
}

void rebalance_remove_and_update(struct group *group, struct group_member *member, int64_t wall_ms,
                                 int64_t now_ms, struct group_effects *out, struct str reason)
{
    rebalance_remove(group, member, out);
    if (group->state == GROUP_STABLE || group->state == GROUP_COMPLETING)
        rebalance_maybe_prepare(group, wall_ms, now_ms, out, reason);
    else
        rebalance_try_complete(group, wall_ms, now_ms, out);
}

/* The same member under another id; who waits under the old one is fenced. */
void rebalance_rename(struct group *group, struct group_member *member, struct str id,
                      struct group_effects *out)
{
    rebalance_fail_join(group, member, member->id, ERR_FENCED_INSTANCE_ID, out);
    rebalance_end_sync(group, member, ERR_FENCED_INSTANCE_ID, out);
    group_take_out(group, member);
    text_set(&member->id, id);
    group_insert(group, member);
}

/* ---- the rebalance ---- */

void rebalance_prepare(struct group *group, int64_t wall_ms, int64_t now_ms,
                       struct group_effects *out, struct str reason)
{
    int64_t wait_ms = group_rebalance_ms(group);

    if (group->state == GROUP_COMPLETING)
        rebalance_reset_assignment(group, ERR_REBALANCE_IN_PROGRESS, now_ms, out);
    rebalance_end_pending_syncs(group);
    group->assign_seq = 0; /* what is being stored of it comes too late */
    group->is_initial = group->state == GROUP_EMPTY;
    if (group->is_initial) {
        int64_t step_ms = group->conf->initial_delay_ms > 0 ? group->conf->initial_delay_ms : 0;

        group->initial_step_ms = step_ms;
        group->initial_left_ms = wait_ms > step_ms ? wait_ms - step_ms : 0;
        wait_ms = step_ms;
    }
    group_set_state(group, GROUP_PREPARING, wall_ms);
    group_set_deadline(group, &group->join_deadline_ms, now_ms + wait_ms);
    SAY(out, "rebalances group=%.*s generation=%d members=%zu why=\"%.*s\"", STR_ARG(group->id),
        group->generation, group->members_len, STR_ARG(reason));
    if (wait_ms <= 0)
        rebalance_complete(group, wall_ms, now_ms, true, out);
    else
        rebalance_try_complete(group, wall_ms, now_ms, out);
}

/* Keeps the leader if it has joined, else takes one that has. False when nobody has. */
static bool elect_leader(struct group *group)
{
    if (group->leader == NULL || group->leader->join_who != NULL)
        return group->leader != NULL;
    for (size_t i = 0; i < group->members_len; i++) {
        if (group->members[i]->join_who != NULL) {
            group->leader = group->members[i];
            return true;
        }
    }
    return false;
}

/* The first that the member lists of those that all know: its place among them. */
static size_t choice_of(const struct group_member *member, const struct group_vote *const *known,
                        size_t len)
{
    for (int32_t i = 0; i < member->protocols_len; i++)
        for (size_t k = 0; k < len; k++)
            if (str_eq(known[k]->name, member->protocols[i].name))
                return k;
    return len;
}

struct str rebalance_choose_protocol(const struct group *group)
{
    const struct group_vote *known[GROUP_PROTOCOLS_MAX];
    size_t counts[GROUP_PROTOCOLS_MAX + 1] = { 0 };
    size_t len = 0, best = 0;

    for (size_t k = 0; k < group->votes_len; k++)
        if (group->votes[k].members == group->members_len) {
            assert(len < GROUP_PROTOCOLS_MAX); /* each is in the list of each member */
            known[len++] = &group->votes[k];
        }
    for (size_t i = 0; i < group->members_len; i++)
        counts[choice_of(group->members[i], known, len)]++;
    for (size_t k = 1; k < len; k++)
        if (counts[k] > counts[best])
            best = k;
    assert(len > 0);
    assert(counts[best] > 0);
    return known[best]->name;
}

void rebalance_ask_store(struct group *group, struct group_effects *out)
{
    assert(!out->store); /* one step changes one thing */
    out->store = true;
    out->store_seq = ++group->store_seq;
}

static void become_empty(struct group *group, int64_t wall_ms, struct group_effects *out)
{
    group->generation++;
    text_free(&group->protocol);
    group_set_state(group, GROUP_EMPTY, wall_ms);
    rebalance_ask_store(group, out);
    SAY(out, "is empty group=%.*s generation=%d", STR_ARG(group->id), group->generation);
}

static void begin_generation(struct group *group, int64_t wall_ms, int64_t now_ms,
                             struct group_effects *out)
{
    group->generation++;
    text_set(&group->protocol, rebalance_choose_protocol(group));
    group_set_state(group, GROUP_COMPLETING, wall_ms);
    for (size_t i = 0; i < group->members_len; i++) {
        struct group_member *member = group->members[i];
        void *who = rebalance_take_join(group, member);

        if (who != NULL)
            rebalance_admit(group, out, who, member->id, rebalance_leader(group),
                            member == group->leader, false);
        rebalance_start_session(group, member, now_ms);
        member->is_new = false;
        rebalance_set_pending_sync(group, member, true);
    }
    group_set_deadline(group, &group->sync_deadline_ms, now_ms + group_rebalance_ms(group));
    SAY(out, "has joined group=%.*s generation=%d members=%zu protocol=%.*s", STR_ARG(group->id),
        group->generation, group->members_len, STR_ARG(group->protocol));
}

static void drop_absent(struct group *group, struct group_effects *out)
{
    size_t dropped = 0;

    for (size_t i = group->members_len; i-- > 0;) {
        struct group_member *member = group->members[i];

        if (member->join_who != NULL || !str_is_null(member->instance))
            continue;
        rebalance_remove(group, member, out);
        dropped++;
    }
    if (dropped > 0)
        SAY(out, "dropped members that did not join in time group=%.*s members=%zu",
            STR_ARG(group->id), dropped);
}

/* Kafka's InitialDelayedJoin waits on as long as somebody new has come during the last step. */
static bool wait_for_more(struct group *group, int64_t now_ms)
{
    int64_t step_ms = group->conf->initial_delay_ms;

    if (!group->is_initial || !group->new_member_added || group->initial_left_ms <= 0)
        return false;
    if (step_ms > group->initial_left_ms)
        step_ms = group->initial_left_ms;
    group->new_member_added = false;
    group->initial_left_ms = group->initial_left_ms > group->initial_step_ms
                                 ? group->initial_left_ms - group->initial_step_ms
                                 : 0;
    group->initial_step_ms = step_ms;
    group_set_deadline(group, &group->join_deadline_ms, now_ms + step_ms);
    return true;
}

void rebalance_complete(struct group *group, int64_t wall_ms, int64_t now_ms, bool by_timer,
                        struct group_effects *out)
{
    assert(group->state == GROUP_PREPARING);
    if (by_timer && wait_for_more(group, now_ms))
        return;
    drop_absent(group, out);
    if (group->members_len > 0 && !elect_leader(group)) {
        int64_t again_ms = group_rebalance_ms(group);

        SAY(out, "nobody joined, waiting on group=%.*s members=%zu", STR_ARG(group->id),
            group->members_len);
        group->is_initial = false;
        group_set_deadline(group, &group->join_deadline_ms, now_ms + (again_ms > 0 ? again_ms : 1));
        return;
    }
    group->join_deadline_ms = GROUP_NEVER;
    group->is_initial = false;
    group->new_member_added = false;
    rebalance_end_pending_syncs(group);
    if (group->members_len > 0)
        begin_generation(group, wall_ms, now_ms, out);
    else
        become_empty(group, wall_ms, out);
}
