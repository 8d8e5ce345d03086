/*
 * The cores of a group, thousands of histories long: clients as Java's behave join, sync, beat,
 * commit, leave, die, lose requests and answers, while the log commits late and the coordinator
 * fails over to a replay of whatever part of the log survived. Checked after every step:
 *
 *   - each request is answered once, none is forgotten when the coordinator goes
 *   - in one generation of one coordinator there is one leader, and nobody is told another protocol
 *   - a commit is only taken from a member of the generation that was last formed
 *   - what is shown as committed is what the log has committed last; a fail-over shows the log
 *   - once nothing breaks any more, the group is stable with exactly those who live, soon
 *
 * A failure names its seed: MODEL_SEED=n runs that history alone.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/group/group_record.h"
#include "broker/group/group_replay.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

#define CLIENTS      6
#define SHOWN        64 /* members that a leader may be shown: the dead ones too */
#define PARTITIONS   8
#define STEPS        250
#define HISTORIES    2000
#define SESSION_MS   6000
#define REBALANCE_MS 8000
#define REQUEST_MS   12000 /* a client gives an answer up */
#define QUIET_MS     120000
#define LOG_MAX      4096
#define STORE_MS     5000 /* offsets.commit.timeout.ms */

enum phase { ABSENT, OUT, JOINING, SYNCING, MEMBER };

struct client {
    enum phase phase;
    bool is_static;
    char id[96];
    char instance[16];
    int32_t generation;
    bool leads;
    char members[SHOWN][96]; /* that it was shown as the leader */
    int members_len;
    struct call *call; /* it waits for this one */
    int64_t call_ms;   /* since then */
    int64_t beat_ms;
    unsigned owned; /* partitions, as bits */
};

struct call {
    struct client *client; /* NULL: nobody waits any more */
    bool is_sync;
};

/* An append that is not committed yet. */
struct append {
    uint64_t life;
    int64_t at, end;
    int64_t since_ms;
    uint64_t store_seq; /* 0: a commit */
    struct offset_item item;
};

static struct group_conf conf;
static struct group *group; /* NULL: the coordinator knows none */
static uint64_t life;
static struct rand chance;
static uint64_t seed;
static int64_t now_ms;
static bool faults;

static struct {
    uint8_t *batch;
    size_t size;
    int32_t partition; /* of a commit; -1 the group's record */
    int64_t value;
    bool given_up; /* its committer was told that time was up: seen before a fail-over or not */
} log_[LOG_MAX];
static int64_t leo, hw;
static struct append appends[LOG_MAX];
static size_t appends_len;

static struct client clients[CLIENTS];
static size_t open_calls;
static int64_t next_value;
static int32_t formed; /* the generation last answered to a joining member, in this life */
static char formed_leader[96];
static int ids_made;

#define MUST(what, ...)                                                                            \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "MODEL_SEED=%llu: ", (unsigned long long)seed);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            ck_abort_msg("a promise was broken, see above");                                       \
        }                                                                                          \
    } while (0)

static bool one_in(uint64_t n)
{
    return rand_below(&chance, n) == 0;
}

/* ---- the log ---- */

static void append_batch(struct str key, struct str value, int32_t partition, int64_t number)
{
    struct batch_conf how = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    uint8_t *batch;
    size_t size;

    MUST(leo < LOG_MAX, "the log is full");
    how.base_offset = leo;
    batch_builder_init(&builder, &how);
    batch_builder_add(&builder, 1, key, value, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    log_[leo].batch = xmemdup(batch, size);
    log_[leo].size = size;
    log_[leo].partition = partition;
    log_[leo].value = number;
    log_[leo].given_up = false;
    leo++;
    batch_builder_fini(&builder);
}

static void cut_log(int64_t to)
{
    while (leo > to)
        free(log_[--leo].batch);
}

/* The last commit of a partition below end; -1 none. */
static int64_t last_in_log(int32_t partition, int64_t end, bool with_given_up)
{
    for (int64_t i = end; i-- > 0;)
        if (log_[i].partition == partition && (with_given_up || !log_[i].given_up))
            return log_[i].value;
    return -1;
}

/* Is it what the log says of the partition, at its high watermark or at its end? */
static bool is_in_log(int32_t partition, int64_t shown)
{
    return shown == last_in_log(partition, hw, true) ||
           shown == last_in_log(partition, leo, true) ||
           shown == last_in_log(partition, hw, false) ||
           shown == last_in_log(partition, leo, false);
}

static void check_offsets(bool in_flight)
{
    for (int32_t p = 0; p < PARTITIONS; p++) {
        struct offset_value value;
        bool unstable = false;
        int64_t shown = -1;

        if (group != NULL && offsets_get(group, STR("t"), p, &value, &unstable))
            shown = value.offset;
        if (!in_flight)
            MUST(shown == last_in_log(p, leo, true), "partition %d shows %lld, the log has %lld", p,
                 (long long)shown, (long long)last_in_log(p, leo, true));
        else if (!unstable)
            MUST(is_in_log(p, shown), "partition %d shows %lld, the log has %lld", p,
                 (long long)shown, (long long)last_in_log(p, hw, true));
    }
}

/* ---- the coordinator ---- */

static void on_answer(struct client *client, const struct group_answer *answer);

static void carry_out(struct group_effects *out)
{
    struct arena arena;

    if (out->store) {
        arena_init(&arena, SIZE_MAX);
        append_batch(group_record_write_group_key(&arena, STR("g")),
                     group_record_write_group(&arena, group), -1, 0);
        arena_fini(&arena);
        appends[appends_len++] = (struct append){
            .life = life, .at = leo - 1, .end = leo, .since_ms = now_ms, .store_seq = out->store_seq
        };
    }
    for (size_t i = 0; i < out->answers_len; i++) {
        struct call *call = out->answers[i].who;
        struct client *client = call->client;

        MUST(call->is_sync == out->answers[i].is_sync, "an answer of the wrong kind");
        free(call);
        open_calls--;
        if (client == NULL)
            continue; /* the connection is gone */
        client->call = NULL;
        if (!faults || !one_in(20))
            on_answer(client, &out->answers[i]);
        else if (client->phase != ABSENT)
            client->phase = OUT; /* the answer was lost */
    }
}

static enum err step(struct group_event *ev)
{
    struct group_effects out;

    ev->wall_ms = now_ms;
    group_effects_init(&out);
    group_step(group, ev, now_ms, &out);
    enum err err = out.err;
    carry_out(&out);
    group_effects_fini(&out);
    return err;
}

static void close_coordinator(void)
{
    struct group_event ev = { .kind = GROUP_EV_CLOSE };

    if (group == NULL)
        return;
    step(&ev);
    MUST(open_calls == 0, "%zu requests were forgotten", open_calls);
    group_free(&group);
}

/* Another broker takes over with at least what was committed. */
static void fail_over(void)
{
    struct group_replay replay;
    struct group_table table;
    size_t used, offsets;

    close_coordinator();
    cut_log(hw + (int64_t)rand_below(&chance, (uint64_t)(leo - hw + 1)));
    life++;
    appends_len = 0;
    formed = -1;
    group_replay_init(&replay, &conf, now_ms);
    for (int64_t i = 0; i < leo; i++)
        ck_assert_int_eq(group_replay_bytes(&replay, log_[i].batch, log_[i].size, &used), ERR_OK);
    MUST(replay.skipped == 0, "a record of ours is not known to us");
    group_replay_end(&replay, now_ms, &table, &offsets);
    struct group_slot *slot = group_table_find(&table, STR("g"));
    if (slot != NULL) {
        group = slot->group;
        slot->group = group_new(&conf, STR("other"), 0); /* the table frees that one */
    }
    group_table_fini(&table);
    group_replay_fini(&replay);
    hw = leo; /* what the new leader has, it commits */
    check_offsets(false);
}

/* An append is committed, or its time is up. */
static void settle(size_t i, enum err err)
{
    struct append append = appends[i];

    appends[i] = appends[--appends_len];
    if (append.store_seq == 0) {
        log_[append.at].given_up = err != ERR_OK;
        offsets_end(group, &append.item, 1, err, append.at);
        return;
    }
    struct group_event ev = { .kind = GROUP_EV_STORED,
                              .stored = { .seq = append.store_seq, .err = err } };
    step(&ev);
}

static void move_hw(void)
{
    if (hw < leo)
        hw += 1 + (int64_t)rand_below(&chance, (uint64_t)(leo - hw));
    for (size_t i = 0; i < appends_len;) {
        if (appends[i].end <= hw)
            settle(i, ERR_OK);
        else if (now_ms - appends[i].since_ms > STORE_MS)
            settle(i,
                   appends[i].store_seq == 0 ? ERR_REQUEST_TIMED_OUT : ERR_REBALANCE_IN_PROGRESS);
        else
            i++;
    }
}

/* ---- the clients ---- */

static void forget_id(struct client *client)
{
    client->id[0] = '\0';
    client->generation = -1;
    client->owned = 0;
}

static struct call *call_of(struct client *client, bool is_sync)
{
    struct call *call = xcalloc(1, sizeof *call);

    call->client = client;
    call->is_sync = is_sync;
    open_calls++;
    client->call = call;
    client->call_ms = now_ms;
    return call;
}

static struct str instance_of(const struct client *client)
{
    return client->is_static ? str_of(client->instance) : STR_NULL;
}

static void join(struct client *client)
{
    struct group_protocol protocols[] = { { STR("range"), STR("m") }, { STR("sticky"), STR("m") } };
    struct group_event ev = { .kind = GROUP_EV_JOIN };
    char uuid[16];

    if (group == NULL && client->id[0] != '\0') {
        forget_id(client); /* UNKNOWN_MEMBER_ID of a group that is not there */
        return;
    }
    if (group == NULL)
        group = group_new(&conf, STR("g"), now_ms);
    snprintf(uuid, sizeof uuid, "%d", ids_made++);
    client->phase = JOINING;
    client->owned = 0;
    ev.join.who = call_of(client, false);
    ev.join.member = str_of(client->id);
    ev.join.instance = instance_of(client);
    ev.join.client_id = STR("c");
    ev.join.client_host = STR("/h");
    ev.join.protocol_type = STR("consumer");
    ev.join.reason = STR_NULL;
    ev.join.protocols = protocols;
    ev.join.protocols_len = 2;
    ev.join.session_ms = SESSION_MS;
    ev.join.rebalance_ms = REBALANCE_MS;
    ev.join.need_known_id = !client->is_static;
    ev.join.can_skip = client->is_static;
    ev.join.uuid = str_of(uuid);
    step(&ev);
}

static void on_error(struct client *client, enum err err);

static void sync(struct client *client)
{
    struct group_assigned assigned[SHOWN];
    char bytes[SHOWN][PARTITIONS + 1];
    struct group_event ev = { .kind = GROUP_EV_SYNC };

    if (group == NULL) {
        on_error(client, ERR_UNKNOWN_MEMBER_ID);
        return;
    }
    for (int i = 0; client->leads && i < client->members_len; i++) {
        size_t n = 0;

        for (int p = 0; p < PARTITIONS; p++)
            if (p % client->members_len == i)
                bytes[i][n++] = (char)('0' + p);
        bytes[i][n] = '\0';
        assigned[i] = (struct group_assigned){ str_of(client->members[i]), str_of(bytes[i]) };
    }
    client->phase = SYNCING;
    ev.sync.who = call_of(client, true);
    ev.sync.member = str_of(client->id);
    ev.sync.instance = instance_of(client);
    ev.sync.generation = client->generation;
    ev.sync.protocol_type = STR_NULL;
    ev.sync.protocol = STR_NULL;
    ev.sync.assigned = assigned;
    ev.sync.assigned_len = client->leads ? client->members_len : 0;
    step(&ev);
}

/* What Java's consumer makes of an error. */
static void on_error(struct client *client, enum err err)
{
    client->phase = OUT;
    client->owned = 0;
    switch (err) {
    case ERR_UNKNOWN_MEMBER_ID:
        forget_id(client);
        break;
    case ERR_ILLEGAL_GENERATION:
        client->generation = -1;
        break;
    case ERR_FENCED_INSTANCE_ID: /* only another life of itself can be who took its place */
        forget_id(client);
        break;
    default:
        break;
    }
}

static void on_joined(struct client *client, const struct group_answer *answer)
{
    struct group_member_info info;

    MUST(answer->generation == group_generation(group), "joined a generation that is not");
    MUST(str_is(answer->protocol, "range"), "another protocol than all want");
    snprintf(client->id, sizeof client->id, "%.*s", STR_ARG(answer->member));
    client->generation = answer->generation;
    client->leads = answer->with_members && !answer->skip;
    client->members_len = 0;
    for (size_t i = 0; answer->with_members && i < group_size(group); i++) {
        group_member_at(group, i, &info);
        MUST(i < SHOWN, "%zu members of %d clients", group_size(group), CLIENTS);
        MUST(info.is_leader == str_eq(info.id, answer->leader), "two leaders");
        snprintf(client->members[client->members_len++], sizeof client->members[0], "%.*s",
                 STR_ARG(info.id));
    }
    if (formed == answer->generation && !client->is_static)
        MUST(str_is(answer->leader, formed_leader) || answer->skip || group_size(group) > 0,
             "another leader in the same generation");
    formed = answer->generation;
    snprintf(formed_leader, sizeof formed_leader, "%.*s", STR_ARG(answer->leader));
    client->phase = SYNCING;
}

static void on_answer(struct client *client, const struct group_answer *answer)
{
    if (client->phase == ABSENT)
        return;
    if (!answer->is_sync && answer->err == ERR_MEMBER_ID_REQUIRED) {
        MUST(client->id[0] == '\0', "asked for an id though it has one");
        snprintf(client->id, sizeof client->id, "%.*s", STR_ARG(answer->member));
        client->phase = OUT;
    } else if (answer->err != ERR_OK) {
        on_error(client, answer->err);
    } else if (!answer->is_sync) {
        on_joined(client, answer);
    } else {
        client->phase = MEMBER;
        client->owned = 0;
        for (size_t i = 0; i < answer->assignment.len; i++)
            client->owned |= 1u << (answer->assignment.ptr[i] - '0');
        client->beat_ms = now_ms;
    }
}

static void beat(struct client *client)
{
    enum err err = group == NULL ? ERR_UNKNOWN_MEMBER_ID
                                 : group_heartbeat(group, client->generation, str_of(client->id),
                                                   instance_of(client), now_ms);

    client->beat_ms = now_ms;
    if (err != ERR_OK)
        on_error(client, err);
}

static void commit(struct client *client, int32_t partition, int32_t generation)
{
    struct offset_item item = {
        .topic = STR("t"),
        .partition = partition,
        .value = { .offset = ++next_value,
                   .leader_epoch = -1,
                   .metadata = STR_EMPTY,
                   .commit_ms = now_ms,
                   .expire_ms = -1 },
    };
    struct arena arena;
    enum err err = group == NULL ? ERR_ILLEGAL_GENERATION
                                 : offsets_check(group, generation, str_of(client->id),
                                                 instance_of(client), false, now_ms);

    if (err != ERR_OK) {
        if (generation == client->generation)
            on_error(client, err);
        return;
    }
    MUST(generation == group_generation(group), "a commit of generation %d in generation %d",
         generation, group_generation(group));
    MUST(group_check_member(group, str_of(client->id), instance_of(client)) == ERR_OK,
         "a commit of somebody who is not in the group");
    offsets_begin(group, &item, 1);
    arena_init(&arena, SIZE_MAX);
    append_batch(group_record_write_offset_key(&arena, STR("g"), item.topic, partition),
                 group_record_write_offset(&arena, &item.value), partition, item.value.offset);
    arena_fini(&arena);
    appends[appends_len++] = (struct append){
        .life = life, .at = leo - 1, .end = leo, .since_ms = now_ms, .item = item
    };
}

static void leave(struct client *client)
{
    struct group_event ev = { .kind = GROUP_EV_LEAVE,
                              .leave = { .member = str_of(client->id),
                                         .instance = instance_of(client),
                                         .reason = STR_NULL } };

    if (group != NULL)
        step(&ev);
}

static void hang_up(struct client *client)
{
    if (client->call != NULL)
        client->call->client = NULL;
    client->call = NULL;
}

static void act(struct client *client)
{
    switch (client->phase) {
    case ABSENT:
        if (faults && one_in(10)) {
            forget_id(client);
            client->phase = OUT;
        }
        break;
    case OUT:
        join(client);
        break;
    case JOINING:
    case SYNCING:
        if (client->call == NULL) {
            sync(client); /* it has joined */
        } else if (now_ms - client->call_ms > REQUEST_MS) {
            hang_up(client);
            client->phase = OUT;
        }
        break;
    case MEMBER:
        if (now_ms - client->beat_ms >= SESSION_MS / 3)
            beat(client);
        else if (client->owned != 0 && one_in(3))
            commit(client, __builtin_ctz(client->owned),
                   faults && one_in(10) ? client->generation - 1 : client->generation);
        break;
    }
}

static void misbehave(struct client *client)
{
    switch (rand_below(&chance, 12)) {
    case 0: /* dies without a word */
        hang_up(client);
        client->phase = ABSENT;
        break;
    case 1:
        if (client->phase == MEMBER) {
            leave(client);
            hang_up(client);
            client->phase = ABSENT;
        }
        break;
    case 2: /* is restarted at once */
        hang_up(client);
        forget_id(client);
        client->phase = OUT;
        break;
    case 3: /* pauses: nobody hears of it */
        if (client->phase == MEMBER)
            client->beat_ms = now_ms + (int64_t)rand_below(&chance, 2 * SESSION_MS);
        break;
    case 4: /* asks again on another connection */
        if (client->call != NULL) {
            hang_up(client);
            client->phase = OUT;
        }
        break;
    case 5:
        fail_over();
        break;
    default:
        break;
    }
}

/* ---- a history ---- */

static void tick(int64_t ms)
{
    now_ms += ms;
    for (int i = 0; group != NULL && group_wake_ms(group) <= now_ms; i++) {
        struct group_event ev = { .kind = GROUP_EV_TICK };

        MUST(i < 1000, "the group never rests");
        step(&ev);
    }
}

static bool is_settled(void)
{
    size_t live = 0;

    for (int i = 0; i < CLIENTS; i++) {
        live += clients[i].phase != ABSENT;
        if (clients[i].phase != ABSENT &&
            (clients[i].phase != MEMBER || clients[i].generation != group_generation(group)))
            return false;
    }
    if (group == NULL)
        return live == 0;
    return group_size(group) == live &&
           group_state(group) == (live > 0 ? GROUP_STABLE : GROUP_EMPTY);
}

static void check_owners(void)
{
    unsigned owned = 0;

    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i].phase != MEMBER)
            continue;
        MUST((owned & clients[i].owned) == 0, "a partition has two owners");
        owned |= clients[i].owned;
        for (int k = 0; k < i; k++)
            MUST(clients[k].phase != MEMBER || strcmp(clients[i].id, clients[k].id) != 0,
                 "two members have one id");
    }
}

static void run_history(uint64_t number)
{
    seed = number;
    rand_seed(&chance, seed);
    conf = (struct group_conf){ .session_min_ms = 1000,
                                .session_max_ms = 1000000,
                                .initial_delay_ms = one_in(2) ? 0 : 3000,
                                .size_max = INT32_MAX,
                                .metadata_max = 4096 };
    now_ms = 1000000;
    leo = hw = 0;
    appends_len = 0;
    next_value = 0;
    formed = -1;
    faults = true;
    memset(clients, 0, sizeof clients);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].is_static = one_in(3);
        snprintf(clients[i].instance, sizeof clients[i].instance, "i%d", i);
    }
    for (int i = 0; i < STEPS; i++) {
        struct client *client = &clients[rand_below(&chance, CLIENTS)];

        tick((int64_t)rand_below(&chance, one_in(20) ? 10000 : 500));
        act(client);
        misbehave(client);
        if (one_in(2))
            move_hw();
        check_offsets(true);
    }
    faults = false;
    int64_t until_ms = now_ms + QUIET_MS;
    while (!is_settled() || appends_len > 0) {
        MUST(now_ms < until_ms, "not stable %d s after the last fault", QUIET_MS / 1000);
        tick(200);
        for (int i = 0; i < CLIENTS; i++)
            act(&clients[i]);
        move_hw();
    }
    check_owners();
    fail_over();
    cut_log(0);
    if (group != NULL)
        group_free(&group);
}

START_TEST(promises_hold_in_thousands_of_histories)
{
    const char *only = getenv("MODEL_SEED"), *more = getenv("MODEL_HISTORIES");
    uint64_t histories = more != NULL ? strtoull(more, NULL, 10) : HISTORIES;

    if (only != NULL) {
        run_history(strtoull(only, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= histories; i++)
        run_history(i);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group_model");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, promises_hold_in_thousands_of_histories);
    return unit_run(tc);
}
