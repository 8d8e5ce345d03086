/*
 * JoinGroup: who is new and who is not, who is static, who must ask again with an id, who is
 * answered at once because nothing has changed. And the one entry of all events.
 */
#include "broker/group/rebalance_core.h"

/* ---- JoinGroup ---- */

static bool accepts(const struct group *group, struct str id)
{
    const struct group_member *known = group_find(group, id);
    size_t max = (size_t)group->conf->size_max;

    switch (group->state) {
    case GROUP_PREPARING:
        /* Those who wait are counted, not the members: if there are too many of these, because the
         * bound was lowered, the last to join are turned away. */
        return (known != NULL && known->join_who != NULL) || group->joined < max;
    case GROUP_COMPLETING:
    case GROUP_STABLE:
        return known != NULL || group->members_len < max;
    case GROUP_EMPTY:
    case GROUP_DEAD:
        break;
    }
    return true;
}

static bool fits_protocols(const struct group *group, const struct group_event *ev)
{
    if (ev->join.protocols_len > GROUP_PROTOCOLS_MAX)
        return false;
    if (group->state == GROUP_EMPTY)
        return ev->join.protocol_type.len > 0 && ev->join.protocols_len > 0;
    if (str_is_null(group->protocol_type) || !str_eq(group->protocol_type, ev->join.protocol_type))
        return false;
    for (int32_t i = 0; i < ev->join.protocols_len; i++)
        for (size_t k = 0; k < group->votes_len; k++)
            if (group->votes[k].members == group->members_len &&
                str_eq(group->votes[k].name, ev->join.protocols[i].name))
                return true;
    return group->members_len == 0 && ev->join.protocols_len > 0;
}

static bool is_same(const struct group_member *member, const struct group_event *ev)
{
    if (member->protocols_len != ev->join.protocols_len)
        return false;
    for (int32_t i = 0; i < member->protocols_len; i++)
        if (!str_eq(member->protocols[i].name, ev->join.protocols[i].name) ||
            !str_eq(member->protocols[i].metadata, ev->join.protocols[i].metadata))
            return false;
    return true;
}

static struct str why(struct group_effects *out, const char *what, struct str id,
                      const struct group_event *ev)
{
    return ev->join.reason.len > 0 ? arena_printf(&out->arena, "%s %.*s: %.*s", what, STR_ARG(id),
                                                  STR_ARG(ev->join.reason))
                                   : arena_printf(&out->arena, "%s %.*s", what, STR_ARG(id));
}

static void add_member(struct group *group, const struct group_event *ev, struct str id,
                       int64_t now_ms, struct group_effects *out)
{
    struct group_member *member =
        group_member_new(id, ev->join.instance, ev->join.client_id, ev->join.client_host);

    if (group->members_len == 0)
        text_set(&group->protocol_type, ev->join.protocol_type);
    member->session_ms = ev->join.session_ms;
    member->rebalance_ms = ev->join.rebalance_ms;
    member->is_new = true;
    if (group->state == GROUP_PREPARING && group->generation == 0)
        group->new_member_added = true;
    group_insert(group, member);
    group_set_protocols(group, member, ev->join.protocols, ev->join.protocols_len);
    if (group->leader == NULL)
        group->leader = member;
    rebalance_drop_pending(group, id);
    rebalance_set_join(group, member, ev->join.who, out);
    /* It cannot send heartbeats before it knows its id, and a client that is gone is not noticed
     * while it waits: this bounds how long such members pile up. */
    group_set_deadline(group, &member->deadline_ms, now_ms + GROUP_NEW_MEMBER_MS);
    rebalance_maybe_prepare(group, ev->wall_ms, now_ms, out, why(out, "new member", id, ev));
}

static void update_member(struct group *group, struct group_member *member,
                          const struct group_event *ev, struct group_effects *out)
{
    group_set_protocols(group, member, ev->join.protocols, ev->join.protocols_len);
    member->session_ms = ev->join.session_ms;
    member->rebalance_ms = ev->join.rebalance_ms;
    rebalance_set_join(group, member, ev->join.who, out);
}

static void replace_static(struct group *group, struct group_member *member,
                           const struct group_event *ev, struct str id, int64_t now_ms,
                           struct group_effects *out)
{
    struct str old_id = arena_str(&out->arena, member->id);
    int32_t old_session_ms = member->session_ms, old_rebalance_ms = member->rebalance_ms;

    rebalance_rename(group, member, id, out);
    rebalance_start_session(group, member, now_ms);
    update_member(group, member, ev, out);
    if (group->state == GROUP_COMPLETING) {
        /* The leader may be assigning to the old id already, and the new one would get nothing. */
        rebalance_prepare(group, ev->wall_ms, now_ms, out,
                          why(out, "static member came back as", id, ev));
    } else if (group->state == GROUP_STABLE &&
               str_eq(rebalance_choose_protocol(group), group->protocol)) {
        rebalance_ask_store(group, out);
        member->replace_seq = out->store_seq;
        text_set(&member->old_id, old_id);
        member->old_session_ms = old_session_ms;
        member->old_rebalance_ms = old_rebalance_ms;
        member->can_skip = ev->join.can_skip;
    } else {
        rebalance_maybe_prepare(
            group, ev->wall_ms, now_ms, out,
            why(out, "another protocol is best since static member came back as", id, ev));
    }
}

static void join_new(struct group *group, const struct group_event *ev, int64_t now_ms,
                     struct group_effects *out)
{
    if (group->state == GROUP_DEAD) {
        rebalance_refuse(out, ev->join.who, STR_EMPTY, ERR_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    if (!fits_protocols(group, ev)) {
        rebalance_refuse(out, ev->join.who, STR_EMPTY, ERR_INCONSISTENT_GROUP_PROTOCOL);
        return;
    }
    bool is_static = !str_is_null(ev->join.instance);
    struct str id = arena_printf(&out->arena, "%.*s-%.*s",
                                 STR_ARG(is_static ? ev->join.instance : ev->join.client_id),
                                 STR_ARG(ev->join.uuid));
    struct group_member *known = is_static ? group_find_instance(group, ev->join.instance) : NULL;

    if (known != NULL) {
        replace_static(group, known, ev, id, now_ms, out);
    } else if (!is_static && ev->join.need_known_id) {
        rebalance_add_pending(group, id, now_ms + ev->join.session_ms);
        rebalance_refuse(out, ev->join.who, id, ERR_MEMBER_ID_REQUIRED);
    } else {
        add_member(group, ev, id, now_ms, out);
    }
}

static void rejoin(struct group *group, struct group_member *member, const struct group_event *ev,
                   int64_t now_ms, struct group_effects *out, const char *what)
{
    update_member(group, member, ev, out);
    rebalance_maybe_prepare(group, ev->wall_ms, now_ms, out, why(out, what, member->id, ev));
}

static void join_again(struct group *group, struct group_member *member,
                       const struct group_event *ev, int64_t now_ms, struct group_effects *out)
{
    bool is_leader = member == group->leader, same = is_same(member, ev);

    switch (group->state) {
    case GROUP_PREPARING:
        rejoin(group, member, ev, now_ms, out, "joining");
        break;
    case GROUP_COMPLETING:
        /* Unchanged, it has probably not got the first answer: here it is again. */
        if (same)
            rebalance_admit(group, out, ev->join.who, member->id, rebalance_leader(group),
                            is_leader, false);
        else
            rejoin(group, member, ev, now_ms, out, "new metadata of");
        break;
    case GROUP_STABLE:
        /* A leader that joins wants a new assignment: a topic has grown, say. */
        if (is_leader)
            rejoin(group, member, ev, now_ms, out, "leader joins again:");
        else if (!same)
            rejoin(group, member, ev, now_ms, out, "new metadata of");
        else
            rebalance_admit(group, out, ev->join.who, member->id, rebalance_leader(group), false,
                            false);
        break;
    case GROUP_EMPTY:
    case GROUP_DEAD:
        rebalance_refuse(out, ev->join.who, ev->join.member, ERR_UNKNOWN_MEMBER_ID);
        break;
    }
}

static void join_known(struct group *group, const struct group_event *ev, int64_t now_ms,
                       struct group_effects *out)
{
    enum err err = ERR_OK;

    if (group->state == GROUP_DEAD)
        err = ERR_COORDINATOR_NOT_AVAILABLE;
    else if (!fits_protocols(group, ev))
        err = ERR_INCONSISTENT_GROUP_PROTOCOL;
    else if (rebalance_find_pending(group, ev->join.member) < group->pending_len) {
        /* Ids are only handed out to dynamic members: somebody made this up. */
        if (str_is_null(ev->join.instance)) {
            add_member(group, ev, ev->join.member, now_ms, out);
            return;
        }
        err = ERR_UNKNOWN_SERVER_ERROR;
    } else {
        err = group_check_member(group, ev->join.member, ev->join.instance);
    }
    if (err != ERR_OK)
        rebalance_refuse(out, ev->join.who, ev->join.member, err);
    else
        join_again(group, group_find(group, ev->join.member), ev, now_ms, out);
}

static void join(struct group *group, const struct group_event *ev, int64_t now_ms,
                 struct group_effects *out)
{
    if (!accepts(group, ev->join.member)) {
        struct group_member *member = group_find(group, ev->join.member);

        rebalance_drop_pending(group, ev->join.member);
        if (member != NULL)
            rebalance_remove(group, member, out);
        rebalance_refuse(out, ev->join.who, STR_EMPTY, ERR_GROUP_MAX_SIZE_REACHED);
    } else if (ev->join.member.len == 0) {
        join_new(group, ev, now_ms, out);
    } else {
        join_known(group, ev, now_ms, out);
    }
    rebalance_try_complete(group, ev->wall_ms, now_ms, out);
}

/* ---- the entry ---- */

void join_step(struct group *group, const struct group_event *ev, int64_t now_ms,
               struct group_effects *out)
{
    switch (ev->kind) {
    case GROUP_EV_JOIN:
        join(group, ev, now_ms, out);
        break;
    case GROUP_EV_SYNC:
        sync_step(group, ev, now_ms, out);
        break;
    case GROUP_EV_LEAVE:
        out->err = leave_step(group, ev, now_ms, out);
        break;
    case GROUP_EV_STORED:
        stored_step(group, ev, now_ms, out);
        break;
    case GROUP_EV_TICK:
        tick_step(group, ev->wall_ms, now_ms, out);
        break;
    case GROUP_EV_LOADED:
        loaded_step(group, ev, now_ms, out);
        break;
    case GROUP_EV_CLOSE:
        closed_step(group, ev->wall_ms, out);
        break;
    }
}
