/*
 * Members are an array of pointers sorted by id: lookups are a few comparisons, the order is the
 * same in every run, and a group of one costs one pointer. Which protocols all of them know is
 * counted as they come and go (votes), so that a join does not ask everybody.
 *
 * Deadlines lie where they belong: in members, in pending ids, in the group. wake_ms is a lower
 * bound of them all. Setting one can only lower it; a heartbeat moves its deadline up and leaves
 * wake_ms alone, so it touches nothing but its member. The tick that then comes too early computes
 * the bound anew (join_core).
 */
#include "broker/group/group_core.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/group/group_int.h"
#include "common/wire/prim.h"
#include "gen/records/group_metadata.h"

/* ---- texts ---- */

struct str text_dup(struct str text)
{
    if (str_is_null(text))
        return STR_NULL;
    if (text.len == 0)
        return STR_EMPTY;
    return (struct str){ .ptr = xmemdup(text.ptr, text.len), .len = text.len };
}

void text_free(struct str *text)
{
    if (text->len > 0)
        free((void *)(uintptr_t)text->ptr);
    *text = STR_NULL;
}

void text_set(struct str *text, struct str to)
{
    struct str copy = text_dup(to); /* first: it may be a part of what was there */

    text_free(text);
    *text = copy;
}

/* ---- states ---- */

static const char *const state_names[] = {
    [GROUP_EMPTY] = "Empty",   [GROUP_PREPARING] = "PreparingRebalance",
    [GROUP_STABLE] = "Stable", [GROUP_COMPLETING] = "CompletingRebalance",
    [GROUP_DEAD] = "Dead",
};

const char *group_state_name(enum group_state state)
{
    return state_names[state];
}

#define FROM(state) (1u << (state))

/* Whence a state may be entered (Kafka's validPreviousStates). */
static const unsigned legal_from[] = {
    [GROUP_EMPTY] = FROM(GROUP_PREPARING),
    [GROUP_PREPARING] = FROM(GROUP_STABLE) | FROM(GROUP_COMPLETING) | FROM(GROUP_EMPTY),
    [GROUP_COMPLETING] = FROM(GROUP_PREPARING),
    [GROUP_STABLE] = FROM(GROUP_COMPLETING),
    [GROUP_DEAD] = FROM(GROUP_STABLE) | FROM(GROUP_COMPLETING) | FROM(GROUP_PREPARING) |
                   FROM(GROUP_EMPTY) | FROM(GROUP_DEAD),
};

void group_set_state(struct group *group, enum group_state state, int64_t wall_ms)
{
    assert(legal_from[state] & FROM(group->state));
    group->state = state;
    group->state_wall_ms = wall_ms;
}

void group_set_deadline(struct group *group, int64_t *deadline_ms, int64_t to_ms)
{
    *deadline_ms = to_ms;
    if (to_ms < group->wake_ms)
        group->wake_ms = to_ms;
}

/* ---- members ---- */

/* Where id is, or would be. */
static size_t place_of(const struct group *group, struct str id, bool *found)
{
    size_t low = 0, high = group->members_len;

    while (low < high) {
        size_t mid = (low + high) / 2;
        int diff = str_cmp(group->members[mid]->id, id);

        if (diff == 0) {
            *found = true;
            return mid;
        }
        if (diff < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

struct group_member *group_find(const struct group *group, struct str id)
{
    bool found;
    size_t at = place_of(group, id, &found);

    return found ? group->members[at] : NULL;
}

struct group_member *group_find_instance(const struct group *group, struct str instance)
{
    for (size_t i = 0; i < group->members_len; i++) {
        struct group_member *member = group->members[i];

        if (!str_is_null(member->instance) && str_eq(member->instance, instance))
            return member;
    }
    return NULL;
}

void group_insert(struct group *group, struct group_member *member)
{
    bool found;
    size_t at = place_of(group, member->id, &found);

    assert(!found);
    array_reserve(&group->members, &group->members_cap, group->members_len, sizeof(void *));
    for (size_t i = group->members_len; i > at; i--)
        group->members[i] = group->members[i - 1];
    group->members[at] = member;
    group->members_len++;
}

void group_take_out(struct group *group, struct group_member *member)
{
    bool found;
    size_t at = place_of(group, member->id, &found);

    assert(found);
    group->members_len--;
    for (size_t i = at; i < group->members_len; i++)
        group->members[i] = group->members[i + 1];
}

struct group_member *group_member_new(struct str id, struct str instance, struct str client_id,
                                      struct str client_host)
{
    struct group_member *member = xcalloc(1, sizeof *member);

    member->id = text_dup(id);
    member->instance = text_dup(instance);
    member->client_id = text_dup(client_id);
    member->client_host = text_dup(client_host);
    member->assignment = STR_EMPTY;
    member->next_assignment = STR_EMPTY;
    member->old_id = STR_NULL;
    member->deadline_ms = GROUP_NEVER;
    return member;
}

void group_member_free(struct group_member **member_ptr)
{
    struct group_member *member = *member_ptr;

    *member_ptr = NULL;
    assert(member->join_who == NULL);
    assert(member->sync_who == NULL);
    text_free(&member->id);
    text_free(&member->instance);
    text_free(&member->client_id);
    text_free(&member->client_host);
    text_free(&member->assignment);
    text_free(&member->next_assignment);
    text_free(&member->old_id);
    free(member->protocols);
    free(member);
}

int32_t group_rebalance_ms(const struct group *group)
{
    int32_t longest = 0;

    for (size_t i = 0; i < group->members_len; i++)
        if (group->members[i]->rebalance_ms > longest)
            longest = group->members[i]->rebalance_ms;
    return longest;
}

/* ---- protocols ---- */

static void vote(struct group *group, struct str name, bool more)
{
    for (size_t i = 0; i < group->votes_len; i++) {
        if (str_cmp(group->votes[i].name, name) != 0)
            continue;
        group->votes[i].members += more ? 1 : (size_t)-1;
        if (group->votes[i].members == 0) {
            text_free(&group->votes[i].name);
            group->votes[i] = group->votes[--group->votes_len];
        }
        return;
    }
    assert(more);
    array_reserve(&group->votes, &group->votes_cap, group->votes_len, sizeof *group->votes);
    group->votes[group->votes_len++] = (struct group_vote){ .name = text_dup(name), .members = 1 };
}

static bool is_repeated(const struct group_protocol *protocols, int32_t at)
{
    for (int32_t i = 0; i < at; i++)
        if (str_eq(protocols[i].name, protocols[at].name))
            return true;
    return false;
}

static void vote_all(struct group *group, const struct group_member *member, bool more)
{
    for (int32_t i = 0; i < member->protocols_len; i++)
        if (!is_repeated(member->protocols, i))
            vote(group, member->protocols[i].name, more);
}

/* One block: the array, then the bytes. */
static struct group_protocol *copy_protocols(const struct group_protocol *protocols, int32_t len)
{
    size_t size = (size_t)len * sizeof *protocols;

    for (int32_t i = 0; i < len; i++)
        size += protocols[i].name.len + protocols[i].metadata.len;
    struct group_protocol *copy = xmalloc(size > 0 ? size : 1);
    char *bytes = (char *)&copy[len];
    for (int32_t i = 0; i < len; i++) {
        struct str from[2] = { protocols[i].name, protocols[i].metadata };
        struct str *to[2] = { &copy[i].name, &copy[i].metadata };

        for (int k = 0; k < 2; k++) {
            *to[k] = (struct str){ .ptr = bytes, .len = from[k].len };
            if (from[k].len > 0)
                memcpy(bytes, from[k].ptr, from[k].len);
            bytes += from[k].len;
        }
    }
    return copy;
}

/* Of a member that is in the list. */
void group_set_protocols(struct group *group, struct group_member *member,
                         const struct group_protocol *protocols, int32_t len)
{
    struct group_protocol *copy = copy_protocols(protocols, len);

    vote_all(group, member, false);
    free(member->protocols);
    member->protocols = copy;
    member->protocols_len = len;
    vote_all(group, member, true);
}

struct str group_member_metadata(const struct group_member *member, struct str protocol)
{
    for (int32_t i = 0; i < member->protocols_len; i++)
        if (str_eq(member->protocols[i].name, protocol))
            return member->protocols[i].metadata;
    return STR_NULL;
}

/* ---- life ---- */

struct group *group_new(const struct group_conf *conf, struct str id, int64_t wall_ms)
{
    struct group *group = xcalloc(1, sizeof *group);

    group->conf = conf;
    group->id = text_dup(id);
    group->state_wall_ms = wall_ms;
    group->join_deadline_ms = GROUP_NEVER;
    group->sync_deadline_ms = GROUP_NEVER;
    group->wake_ms = GROUP_NEVER;
    return group;
}

void group_free(struct group **group_ptr)
{
    struct group *group = *group_ptr;

    *group_ptr = NULL;
    offsets_fini(group);
    for (size_t i = 0; i < group->members_len; i++)
        group_member_free(&group->members[i]);
    for (size_t i = 0; i < group->pending_len; i++)
        text_free(&group->pending[i].id);
    for (size_t i = 0; i < group->votes_len; i++)
        text_free(&group->votes[i].name);
    free(group->members);
    free(group->pending);
    free(group->votes);
    text_free(&group->id);
    text_free(&group->protocol_type);
    text_free(&group->protocol);
    free(group);
}

void group_effects_init(struct group_effects *out)
{
    arena_init(&out->arena, SIZE_MAX);
    out->answers = NULL;
    out->answers_len = 0;
    out->answers_cap = 0;
    out->store = false;
    out->store_seq = 0;
    out->err = ERR_OK;
    out->said_len = 0;
}

void group_effects_fini(struct group_effects *out)
{
    free(out->answers);
    out->answers = NULL;
    arena_fini(&out->arena);
}

static void check_invariants(const struct group *group)
{
    size_t joined = 0, pending_syncs = 0;

    for (size_t i = 0; i < group->members_len; i++) {
        const struct group_member *member = group->members[i];

        joined += member->join_who != NULL;
        pending_syncs += member->pending_sync;
        assert(i == 0 || str_cmp(group->members[i - 1]->id, member->id) < 0);
    }
    assert(joined == group->joined);
    assert(pending_syncs == group->pending_syncs);
    assert((group->leader == NULL) == (group->members_len == 0));
    assert(group->state != GROUP_EMPTY || group->members_len == 0);
    assert(group->state != GROUP_STABLE || !str_is_null(group->protocol));
}

/* What a look at every member of a large group would cost at every event. */
#define CHECKED_MEMBERS 64

void group_step(struct group *group, const struct group_event *ev, int64_t now_ms,
                struct group_effects *out)
{
    join_step(group, ev, now_ms, out);
    if (group->members_len <= CHECKED_MEMBERS)
        check_invariants(group);
}

int64_t group_wake_ms(const struct group *group)
{
    return group->wake_ms;
}

enum err group_delete(struct group *group, int64_t wall_ms)
{
    if (group->state != GROUP_EMPTY)
        return ERR_NON_EMPTY_GROUP;
    group_set_state(group, GROUP_DEAD, wall_ms);
    return ERR_OK;
}

/* ---- checks ---- */

enum err group_check_session(const struct group_conf *conf, int32_t session_ms)
{
    return session_ms < conf->session_min_ms || session_ms > conf->session_max_ms
               ? ERR_INVALID_SESSION_TIMEOUT
               : ERR_OK;
}

enum err group_check_member(const struct group *group, struct str member, struct str instance)
{
    const struct group_member *known = group_find(group, member);

    if (str_is_null(instance))
        return known != NULL ? ERR_OK : ERR_UNKNOWN_MEMBER_ID;
    if (known != NULL && !str_is_null(known->instance) && str_eq(known->instance, instance))
        return ERR_OK;
    return group_find_instance(group, instance) != NULL ? ERR_FENCED_INSTANCE_ID
                                                        : ERR_UNKNOWN_MEMBER_ID;
}

enum err group_heartbeat(struct group *group, int32_t generation, struct str member,
                         struct str instance, int64_t now_ms)
{
    enum err err = group->state == GROUP_DEAD ? ERR_COORDINATOR_NOT_AVAILABLE
                                              : group_check_member(group, member, instance);

    if (err != ERR_OK)
        return err;
    if (generation != group->generation)
        return ERR_ILLEGAL_GENERATION;

    struct group_member *known = group_find(group, member);
    /* Members are sent word of their session only with the end of their first rebalance. */
    group_set_deadline(group, &known->deadline_ms, now_ms + known->session_ms);
    return group->state == GROUP_PREPARING ? ERR_REBALANCE_IN_PROGRESS : ERR_OK;
}

/* ---- looking ---- */

struct str group_id(const struct group *group)
{
    return group->id;
}

enum group_state group_state(const struct group *group)
{
    return group->state;
}

int32_t group_generation(const struct group *group)
{
    return group->generation;
}

struct str group_protocol_type(const struct group *group)
{
    return group->protocol_type;
}

struct str group_protocol(const struct group *group)
{
    return group->protocol;
}

int64_t group_state_wall_ms(const struct group *group)
{
    return group->state_wall_ms;
}

bool group_is_consumer(const struct group *group)
{
    return !str_is_null(group->protocol_type) && str_is(group->protocol_type, "consumer");
}

size_t group_size(const struct group *group)
{
    return group->members_len;
}

void group_member_at(const struct group *group, size_t i, struct group_member_info *out)
{
    const struct group_member *member = group->members[i];
    struct str metadata =
        str_is_null(group->protocol) ? STR_EMPTY : group_member_metadata(member, group->protocol);

    *out = (struct group_member_info){ .id = member->id,
                                       .instance = member->instance,
                                       .client_id = member->client_id,
                                       .client_host = member->client_host,
                                       .metadata = str_is_null(metadata) ? STR_EMPTY : metadata,
                                       .assignment = member->assignment,
                                       .session_ms = member->session_ms,
                                       .rebalance_ms = member->rebalance_ms,
                                       .is_leader = member == group->leader };
}

/* Version, then topics: what all versions of a consumer's subscription begin with (KIP-211). */
static bool has_topic(struct str subscription, struct str topic, bool *parses)
{
    struct wire_in in = wire_in_of(subscription.ptr, subscription.len, NULL);
    bool has = false;

    wire_get_i16(&in);
    int32_t count = wire_get_i32(&in);
    for (int32_t i = 0; i < count && in.err == ERR_OK; i++) {
        struct str name = wire_get_str(&in, false, false);

        has = has || (in.err == ERR_OK && str_eq(name, topic));
    }
    *parses = in.err == ERR_OK && count >= 0;
    return has;
}

bool group_knows_subscriptions(const struct group *group)
{
    bool parses =
        group_is_consumer(group) && (group->members_len == 0 || !str_is_null(group->protocol));

    for (size_t i = 0; parses && i < group->members_len; i++) {
        struct str metadata = group_member_metadata(group->members[i], group->protocol);

        if (str_is_null(metadata))
            return false;
        has_topic(metadata, STR_EMPTY, &parses);
    }
    return parses;
}

bool group_subscribes(const struct group *group, struct str topic)
{
    bool has = false, parses = group_is_consumer(group) &&
                               (group->members_len == 0 || !str_is_null(group->protocol));

    for (size_t i = 0; parses && !has && i < group->members_len; i++) {
        struct str metadata = group_member_metadata(group->members[i], group->protocol);

        if (str_is_null(metadata))
            return true;
        has = has_topic(metadata, topic, &parses);
    }
    return has || !parses;
}

/* ---- from the log ---- */

static struct str text_of_bytes(struct wire_bytes bytes)
{
    return bytes.len > 0 ? (struct str){ .ptr = (const char *)bytes.data, .len = (size_t)bytes.len }
                         : STR_EMPTY;
}

static void restore_member(struct group *group,
                           const struct group_metadata_value_member_metadata *from, int16_t version)
{
    struct group_protocol protocol = { .name = group->protocol,
                                       .metadata = text_of_bytes(from->subscription) };

    if (group_find(group, from->member_id) != NULL)
        return; /* no writer of such records puts one in twice */
    struct group_member *member = group_member_new(from->member_id, from->group_instance_id,
                                                   from->client_id, from->client_host);
    member->session_ms = from->session_timeout;
    member->rebalance_ms = version == 0 ? from->session_timeout : from->rebalance_timeout;
    member->assignment = text_dup(text_of_bytes(from->assignment));
    group_insert(group, member);
    group_set_protocols(group, member, &protocol, 1);
}

void group_unrestore(struct group *group)
{
    while (group->members_len > 0) {
        struct group_member *last = group->members[--group->members_len];

        group_set_protocols(group, last, NULL, 0);
        group_member_free(&last);
    }
    text_free(&group->protocol_type);
    text_free(&group->protocol);
    group->leader = NULL;
    group->generation = 0;
    group->state = GROUP_EMPTY;
}

void group_restore(struct group *group, const struct group_metadata_value *value, int16_t version)
{
    assert(group->state == GROUP_EMPTY);
    assert(group->members_len == 0);

    text_set(&group->protocol_type,
             value->protocol_type.len == 0 ? STR_NULL : value->protocol_type);
    text_set(&group->protocol, value->protocol);
    group->generation = value->generation;
    group->state_wall_ms = value->current_state_timestamp;
    if (value->members_len > 0 && str_is_null(group->protocol))
        group->protocol = STR_EMPTY; /* no writer does that, but a stable group has one */
    for (int32_t i = 0; i < value->members_len; i++)
        restore_member(group, &value->members[i], version);
    if (value->members_len <= 0)
        return;
    group->state = GROUP_STABLE;
    group->leader = str_is_null(value->leader) ? NULL : group_find(group, value->leader);
    if (group->leader == NULL)
        group->leader = group->members[0];
}
