#include "tests/kit/group_kit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

void group_kit_init(struct group_kit *kit)
{
    memset(kit, 0, sizeof *kit);
    kit->conf = (struct group_conf){ .session_min_ms = 6000,
                                     .session_max_ms = 1800000,
                                     .size_max = INT32_MAX,
                                     .metadata_max = 4096 };
    kit->now_ms = 1000000;
    kit->wall_ms = 1700000000000;
    kit->group = group_new(&kit->conf, STR("g"), kit->wall_ms);
}

void group_kit_fini(struct group_kit *kit)
{
    group_kit_close(kit);
    group_free(&kit->group);
}

static void copy(char *to, size_t cap, struct str from)
{
    ck_assert(from.len < cap);
    snprintf(to, cap, "%.*s", STR_ARG(from));
}

static void take(struct group_kit *kit, struct group_effects *out)
{
    for (size_t i = 0; i < out->answers_len; i++) {
        const struct group_answer *answer = &out->answers[i];
        struct kit_call *call = answer->who;

        ck_assert_msg(!call->answered, "a request was answered twice");
        call->answered = true;
        ck_assert(call->is_sync == answer->is_sync);
        call->err = answer->err;
        call->generation = answer->generation;
        call->members_len = answer->with_members ? group_size(kit->group) : 0;
        call->skip = answer->skip;
        copy(call->member, sizeof call->member, answer->member);
        copy(call->leader, sizeof call->leader, answer->leader);
        copy(call->protocol, sizeof call->protocol, answer->protocol);
        copy(call->assignment, sizeof call->assignment, answer->assignment);
    }
    if (out->store) {
        kit->store_seq = out->store_seq;
        kit->stores++;
    }
    if (out->said_len > 0)
        copy(kit->said, sizeof kit->said, out->said[out->said_len - 1]);
}

static enum err step(struct group_kit *kit, struct group_event *ev)
{
    struct group_effects out;

    ev->wall_ms = kit->wall_ms;
    group_effects_init(&out);
    group_step(kit->group, ev, kit->now_ms, &out);
    take(kit, &out);
    enum err err = out.err;
    group_effects_fini(&out);
    return err;
}

static struct kit_call *new_call(struct group_kit *kit, bool is_sync)
{
    ck_assert_int_lt(kit->calls_len, KIT_CALLS);
    struct kit_call *call = &kit->calls[kit->calls_len++];
    *call = (struct kit_call){ .is_sync = is_sync };
    return call;
}

static struct str or_else(const char *text, const char *otherwise)
{
    return str_of(text != NULL ? text : otherwise);
}

int group_kit_join(struct group_kit *kit, const struct kit_join *join)
{
    struct group_protocol protocols[GROUP_PROTOCOLS_MAX + 1];
    char uuid[16];
    struct str rest = or_else(join->protocols, "range");
    struct group_event ev = { .kind = GROUP_EV_JOIN };
    int32_t n = 0;

    while (!str_is_null(rest) && n < (int32_t)ARRAY_LEN(protocols)) {
        struct str next;
        struct str name = str_split(rest, ',', &next);

        if (name.len > 0)
            protocols[n++] = (struct group_protocol){ name, or_else(join->metadata, "m") };
        rest = next;
    }
    snprintf(uuid, sizeof uuid, "u%d", kit->uuids++);
    ev.join.who = new_call(kit, false);
    ev.join.member = or_else(join->member, "");
    ev.join.instance = join->instance != NULL ? str_of(join->instance) : STR_NULL;
    ev.join.client_id = or_else(join->client, "c");
    ev.join.client_host = STR("/127.0.0.1");
    ev.join.protocol_type = or_else(join->type, "consumer");
    ev.join.reason = STR_NULL;
    ev.join.protocols = protocols;
    ev.join.protocols_len = n;
    ev.join.session_ms = join->session_ms != 0 ? join->session_ms : 10000;
    ev.join.rebalance_ms = join->rebalance_ms != 0 ? join->rebalance_ms : 60000;
    ev.join.need_known_id = join->need_id;
    ev.join.can_skip = join->can_skip;
    ev.join.uuid = str_of(uuid);
    step(kit, &ev);
    return kit->calls_len - 1;
}

int group_kit_sync_as(struct group_kit *kit, const char *member, const char *instance,
                      int32_t generation, const char *type, const char *protocol,
                      const char *assigned)
{
    struct group_assigned list[KIT_MEMBERS];
    struct group_event ev = { .kind = GROUP_EV_SYNC };
    struct str rest = assigned != NULL ? str_of(assigned) : STR_NULL;
    int32_t n = 0;

    while (!str_is_null(rest)) {
        struct str next, bytes;
        struct str pair = str_split(rest, ',', &next);
        struct str id = str_split(pair, '=', &bytes);

        ck_assert_int_lt(n, KIT_MEMBERS);
        list[n++] = (struct group_assigned){ id, bytes };
        rest = next;
    }
    ev.sync.who = new_call(kit, true);
    ev.sync.member = str_of(member);
    ev.sync.instance = instance != NULL ? str_of(instance) : STR_NULL;
    ev.sync.protocol_type = type != NULL ? str_of(type) : STR_NULL;
    ev.sync.protocol = protocol != NULL ? str_of(protocol) : STR_NULL;
    ev.sync.assigned = list;
    ev.sync.assigned_len = n;
    ev.sync.generation = generation;
    step(kit, &ev);
    return kit->calls_len - 1;
}

int group_kit_sync(struct group_kit *kit, const char *member, int32_t generation,
                   const char *assigned)
{
    return group_kit_sync_as(kit, member, NULL, generation, NULL, NULL, assigned);
}

enum err group_kit_leave(struct group_kit *kit, const char *member, const char *instance)
{
    struct group_event ev = {
        .kind = GROUP_EV_LEAVE,
        .leave = { .member = str_of(member),
                   .instance = instance != NULL ? str_of(instance) : STR_NULL },
    };

    return step(kit, &ev);
}

enum err group_kit_heartbeat(struct group_kit *kit, const char *member, int32_t generation)
{
    return group_heartbeat(kit->group, generation, str_of(member), STR_NULL, kit->now_ms);
}

void group_kit_stored_seq(struct group_kit *kit, uint64_t seq, enum err err)
{
    struct group_event ev = { .kind = GROUP_EV_STORED, .stored = { .seq = seq, .err = err } };

    step(kit, &ev);
}

void group_kit_stored(struct group_kit *kit, enum err err)
{
    uint64_t seq = kit->store_seq;

    ck_assert_msg(seq != 0, "nothing was to be stored");
    kit->store_seq = 0;
    group_kit_stored_seq(kit, seq, err);
}

void group_kit_close(struct group_kit *kit)
{
    struct group_event ev = { .kind = GROUP_EV_CLOSE };

    step(kit, &ev);
}

void group_kit_pass(struct group_kit *kit, int64_t ms)
{
    int64_t until_ms = kit->now_ms + ms;

    for (int i = 0; group_wake_ms(kit->group) <= until_ms; i++) {
        struct group_event ev = { .kind = GROUP_EV_TICK };
        int64_t wake_ms = group_wake_ms(kit->group);

        ck_assert_msg(i < 100000, "the group never rests");
        if (wake_ms > kit->now_ms) {
            kit->wall_ms += wake_ms - kit->now_ms;
            kit->now_ms = wake_ms;
        }
        step(kit, &ev);
    }
    kit->wall_ms += until_ms - kit->now_ms;
    kit->now_ms = until_ms;
}

int group_kit_join_all(struct group_kit *kit, int n)
{
    int32_t delay_ms = kit->conf.initial_delay_ms;
    int first = kit->calls_len;

    kit->conf.initial_delay_ms = 1000; /* for the first: the others come in that time */
    for (int i = 0; i < n; i++) {
        char client[16];

        snprintf(client, sizeof client, "c%d", i);
        group_kit_join(kit, &(struct kit_join){ .client = client });
    }
    kit->conf.initial_delay_ms = delay_ms;
    group_kit_pass(kit, 2000);
    for (int i = 0; i < n; i++) {
        ck_assert(kit->calls[first + i].answered);
        ck_assert_int_eq(kit->calls[first + i].err, ERR_OK);
        ck_assert_int_eq(kit->calls[first + i].generation, group_generation(kit->group));
    }
    return first;
}

int group_kit_make_stable(struct group_kit *kit, int n)
{
    int first = group_kit_join_all(kit, n);
    int32_t generation = kit->calls[first].generation;
    char assigned[KIT_MEMBERS * 140] = "";

    for (int i = 0; i < n; i++)
        snprintf(assigned + strlen(assigned), sizeof assigned - strlen(assigned), "%s%s=a%d",
                 i > 0 ? "," : "", kit->calls[first + i].member, i);
    for (int i = n; i-- > 0;) {
        const char *member = kit->calls[first + i].member;
        bool leads = strcmp(member, kit->calls[first].leader) == 0;

        group_kit_sync(kit, member, generation, leads ? assigned : NULL);
    }
    group_kit_stored(kit, ERR_OK);
    ck_assert_int_eq(group_state(kit->group), GROUP_STABLE);
    return first;
}
