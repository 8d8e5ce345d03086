/*
 * What follows a join: the leader's assignment and everybody's part of it, leaving, the stored
 * record, the deadlines, and a coordinator that comes or goes.
 */
#include "broker/group/rebalance_core.h"

#include <assert.h>

/* ---- SyncGroup ---- */

static enum err check_sync(const struct group *group, const struct group_event *ev)
{
    if (group->state == GROUP_DEAD)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    enum err err = group_check_member(group, ev->sync.member, ev->sync.instance);
    if (err != ERR_OK)
        return err;
    if (ev->sync.generation != group->generation)
        return ERR_ILLEGAL_GENERATION;
    if (!str_is_null(ev->sync.protocol_type) &&
        !str_eq(ev->sync.protocol_type, group->protocol_type))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    if (!str_is_null(ev->sync.protocol) && !str_eq(ev->sync.protocol, group->protocol))
        return ERR_INCONSISTENT_GROUP_PROTOCOL;
    return ERR_OK;
}

static void set_next_assignments(struct group *group, const struct group_event *ev,
                                 struct group_effects *out)
{
    size_t missing = group->members_len;

    for (size_t i = 0; i < group->members_len; i++) {
        text_free(&group->members[i]->next_assignment);
        group->members[i]->next_assignment = STR_NULL;
    }
    for (int32_t i = 0; i < ev->sync.assigned_len; i++) {
        struct group_member *member = group_find(group, ev->sync.assigned[i].member);

        if (member == NULL)
            continue;
        missing -= str_is_null(member->next_assignment);
        text_set(&member->next_assignment, ev->sync.assigned[i].bytes);
    }
    for (size_t i = 0; missing > 0 && i < group->members_len; i++)
        if (str_is_null(group->members[i]->next_assignment))
            group->members[i]->next_assignment = STR_EMPTY;
    if (missing > 0)
        SAY(out, "leader assigned nothing to some group=%.*s generation=%d members=%zu",
            STR_ARG(group->id), group->generation, missing);
}

static void end_pending_sync(struct group *group, struct group_member *member)
{
    rebalance_set_pending_sync(group, member, false);
    if (group->pending_syncs == 0)
        group->sync_deadline_ms = GROUP_NEVER;
}

void sync_step(struct group *group, const struct group_event *ev, int64_t now_ms,
               struct group_effects *out)
{
    enum err err = check_sync(group, ev);
    struct group_member *member = err == ERR_OK ? group_find(group, ev->sync.member) : NULL;

    if (err == ERR_OK && group->state == GROUP_PREPARING)
        err = ERR_REBALANCE_IN_PROGRESS;
    if (err != ERR_OK) {
        rebalance_assign(group, out, ev->sync.who, err, STR_EMPTY);
        return;
    }
    end_pending_sync(group, member);
    if (group->state == GROUP_STABLE) {
        rebalance_assign(group, out, ev->sync.who, ERR_OK, member->assignment);
        rebalance_start_session(group, member, now_ms);
        return;
    }
    assert(group->state == GROUP_COMPLETING);
    rebalance_end_sync(group, member, ERR_REBALANCE_IN_PROGRESS, out);
    member->sync_who = ev->sync.who;
    if (member == group->leader) {
        set_next_assignments(group, ev, out);
        rebalance_ask_store(group, out);
        group->assign_seq = out->store_seq;
    }
}

/* ---- LeaveGroup ---- */

enum err leave_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                    struct group_effects *out)
{
    struct group_member *member;

    if (group->state == GROUP_DEAD)
        return ERR_COORDINATOR_NOT_AVAILABLE;
    if (ev->leave.member.len > 0 && rebalance_drop_pending(group, ev->leave.member)) {
        rebalance_try_complete(group, ev->wall_ms, now_ms, out);
        return ERR_OK;
    }
    if (ev->leave.member.len > 0) {
        enum err err = group_check_member(group, ev->leave.member, ev->leave.instance);

        if (err != ERR_OK)
            return err;
        member = group_find(group, ev->leave.member);
    } else { /* an operator removes a static member by its name */
        member =
            str_is_null(ev->leave.instance) ? NULL : group_find_instance(group, ev->leave.instance);
        if (member == NULL)
            return ERR_UNKNOWN_MEMBER_ID;
    }
    struct str reason =
        arena_printf(&out->arena, "%.*s leaves%s%.*s", STR_ARG(member->id),
                     ev->leave.reason.len > 0 ? ": " : "", STR_ARG(ev->leave.reason));
    rebalance_remove_and_update(group, member, ev->wall_ms, now_ms, out, reason);
    return ERR_OK;
}

/* ---- a record was stored ---- */

static void assigned(struct group *group, const struct group_event *ev, int64_t now_ms,
                     struct group_effects *out)
{
    if (ev->stored.err != ERR_OK) {
        rebalance_reset_assignment(group, ev->stored.err, now_ms, out);
        rebalance_maybe_prepare(group, ev->wall_ms, now_ms, out,
                                arena_printf(&out->arena, "the assignment could not be stored: %s",
                                             err_name(ev->stored.err)));
        return;
    }
    for (size_t i = 0; i < group->members_len; i++) {
        struct group_member *member = group->members[i];

        text_free(&member->assignment);
        member->assignment = member->next_assignment;
        member->next_assignment = STR_EMPTY;
    }
    rebalance_propagate(group, ERR_OK, now_ms, out);
    group_set_state(group, GROUP_STABLE, ev->wall_ms);
}

static void replaced(struct group *group, struct group_member *member, const struct group_event *ev,
                     int64_t now_ms, struct group_effects *out)
{
    bool is_leader = member == group->leader;
    struct str old_id = arena_str(&out->arena, member->old_id);

    member->replace_seq = 0;
    text_free(&member->old_id);
    if (group->state != GROUP_STABLE || member->join_who == NULL)
        return; /* a rebalance has begun: it waits in that, as everybody */
    if (ev->stored.err != ERR_OK) {
        struct group_answer *to = rebalance_answer(out, rebalance_take_join(group, member));

        to->err = ev->stored.err;
        to->generation = group->generation;
        to->protocol_type = arena_str(&out->arena, group->protocol_type);
        to->protocol = arena_str(&out->arena, group->protocol);
        to->leader = is_leader ? old_id : arena_str(&out->arena, rebalance_leader(group));
        rebalance_rename(group, member, old_id, out);
        member->session_ms = member->old_session_ms;
        member->rebalance_ms = member->old_rebalance_ms;
        rebalance_start_session(group, member, now_ms);
        return;
    }
    void *who = rebalance_take_join(group, member);
    if (member->can_skip)
        rebalance_admit(group, out, who, member->id, rebalance_leader(group), is_leader, is_leader);
    else /* with the old id as leader it does not take itself for one, and assigns nothing */
        rebalance_admit(group, out, who, member->id, is_leader ? old_id : rebalance_leader(group),
                        false, false);
}

void stored_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                 struct group_effects *out)
{
    for (size_t i = 0; i < group->members_len; i++) {
        if (group->members[i]->replace_seq == ev->stored.seq) {
            replaced(group, group->members[i], ev, now_ms, out);
            return;
        }
    }
    if (ev->stored.seq == group->assign_seq && group->state == GROUP_COMPLETING)
        assigned(group, ev, now_ms, out);
    else if (ev->stored.err != ERR_OK)
        SAY(out, "record of the group could not be stored group=%.*s generation=%d err=%s",
            STR_ARG(group->id), group->generation, err_name(ev->stored.err));
}

/* ---- time ---- */

static void expire_pending(struct group *group, int64_t wall_ms, int64_t now_ms,
                           struct group_effects *out)
{
    if (rebalance_expire_pending(group, now_ms))
        rebalance_try_complete(group, wall_ms, now_ms, out);
}

/* A member that waits for an answer of ours is excused, but not one that waits in its first join:
 * that deadline is for it. */
static bool is_excused(const struct group_member *member)
{
    return !member->is_new && (member->join_who != NULL || member->sync_who != NULL);
}

static void expire_members(struct group *group, int64_t wall_ms, int64_t now_ms,
                           struct group_effects *out)
{
    size_t i = 0;

    while (i < group->members_len) {
        struct group_member *member = group->members[i];

        if (member->deadline_ms > now_ms) {
            i++;
        } else if (is_excused(member)) {
            member->deadline_ms = GROUP_NEVER; /* its answer starts it anew */
            i++;
        } else {
            struct str reason = arena_printf(
                &out->arena, "%.*s is gone, nothing heard of it for %d ms", STR_ARG(member->id),
                member->is_new ? GROUP_NEW_MEMBER_MS : member->session_ms);

            /* may take others along; whom that moves is looked at in the next tick */
            rebalance_remove_and_update(group, member, wall_ms, now_ms, out, reason);
        }
    }
}

static void expire_syncs(struct group *group, int64_t wall_ms, int64_t now_ms,
                         struct group_effects *out)
{
    size_t dropped = 0;

    group->sync_deadline_ms = GROUP_NEVER;
    if (group->state != GROUP_COMPLETING && group->state != GROUP_STABLE)
        return;
    for (size_t i = group->members_len; i-- > 0;) {
        if (!group->members[i]->pending_sync)
            continue;
        rebalance_remove(group, group->members[i], out);
        dropped++;
    }
    if (dropped > 0)
        rebalance_prepare(
            group, wall_ms, now_ms, out,
            arena_printf(&out->arena, "%zu members joined and did not sync in time", dropped));
}

static void set_wake(struct group *group)
{
    int64_t wake_ms = group->join_deadline_ms < group->sync_deadline_ms ? group->join_deadline_ms
                                                                        : group->sync_deadline_ms;

    for (size_t i = 0; i < group->members_len; i++)
        if (group->members[i]->deadline_ms < wake_ms)
            wake_ms = group->members[i]->deadline_ms;
    for (size_t i = 0; i < group->pending_len; i++)
        if (group->pending[i].deadline_ms < wake_ms)
            wake_ms = group->pending[i].deadline_ms;
    group->wake_ms = wake_ms;
}

/* One thing at a time: what it leaves over is due at once again. */
void tick_step(struct group *group, int64_t wall_ms, int64_t now_ms, struct group_effects *out)
{
    enum group_state before = group->state;

    if (group->join_deadline_ms <= now_ms)
        rebalance_complete(group, wall_ms, now_ms, true, out);
    else if (group->sync_deadline_ms <= now_ms)
        expire_syncs(group, wall_ms, now_ms, out);
    if (group->state == before)
        expire_pending(group, wall_ms, now_ms, out);
    if (group->state == before)
        expire_members(group, wall_ms, now_ms, out);
    set_wake(group);
}

/* ---- a coordinator comes and goes ---- */

void loaded_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                 struct group_effects *out)
{
    if (group->members_len > (size_t)group->conf->size_max)
        rebalance_prepare(group, ev->wall_ms, now_ms, out, STR("more members than group.max.size"));
    for (size_t i = 0; i < group->members_len; i++)
        rebalance_start_session(group, group->members[i], now_ms);
}

void closed_step(struct group *group, int64_t wall_ms, struct group_effects *out)
{
    for (size_t i = 0; i < group->members_len; i++) {
        struct group_member *member = group->members[i];

        rebalance_fail_join(group, member, member->id, ERR_NOT_COORDINATOR, out);
        rebalance_end_sync(group, member, ERR_NOT_COORDINATOR, out);
    }
    rebalance_end_pending_syncs(group);
    group->join_deadline_ms = GROUP_NEVER;
    group->wake_ms = GROUP_NEVER;
    group_set_state(group, GROUP_DEAD, wall_ms);
}
