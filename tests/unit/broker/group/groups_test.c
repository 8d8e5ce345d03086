/*
 * groups: the shell on real logs, reactors and pool threads. Leadership comes and goes: groups are
 * read back, who waits is told, what comes home late counts for nothing; commits are answered when
 * they are committed and not before.
 */
#include "broker/group/groups.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/group/groups_int.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define REACTORS 2
#define WAIT_MS  20000

static const char *dir;
static struct logs *logs;
static struct parts *parts;
static struct pool *pool;
static struct reactor *reactors[REACTORS];
static struct groups *groups;
static struct image *image;
static uint64_t version;
static const int32_t us[] = { 1 }, both[] = { 1, 2 };
static int64_t flush_messages;

static void conf_of(void *ctx, const struct image *from, struct str topic, struct part_conf *out)
{
    (void)ctx;
    (void)from;
    (void)topic;
    *out = (struct part_conf){ .log = LOG_CONF_DEFAULT,
                               .validate = VALIDATE_CONF_DEFAULT,
                               .min_isr = 1 };
    out->log.flush_messages = flush_messages;
}

static void on_propose(void *ctx, struct part *part, const struct part_proposal *proposal)
{
    (void)ctx;
    (void)part;
    (void)proposal;
}

static int16_t commit_acks = -1;

static void start_groups(int64_t commit_timeout_ms)
{
    groups = groups_start(&(struct groups_conf){
        .parts = parts,
        .pool = pool,
        .reactors = reactors,
        .reactors_len = REACTORS,
        .group = { .session_min_ms = 100,
                   .session_max_ms = 1000000,
                   .size_max = INT32_MAX,
                   .metadata_max = 4096 },
        .commit_acks = commit_acks,
        .commit_timeout_ms = (int32_t)commit_timeout_ms,
        .load_bytes = 1000, /* many reads */
        .retention_ms = 1000,
    });
}

/* ---- a disk ---- */

static struct disk_ops ops;
static struct disk disk = { &ops };
static _Atomic int64_t damaged_pos; /* of a batch that is read otherwise than it was written */
static atomic_int gone;             /* so many large reads find no file any more */

#define MAGIC_AT 16

static enum err disk_pread_here(struct disk *self, int file, void *into, size_t len, int64_t pos,
                                size_t *got)
{
    enum err err = disk_posix()->ops->pread(self, file, into, len, pos, got);
    int64_t at = atomic_load(&damaged_pos) + MAGIC_AT;

    if (len < 200)
        return err;
    if (at >= MAGIC_AT && at >= pos && at < pos + (int64_t)len)
        ((uint8_t *)into)[at - pos] = 99;
    if (atomic_load(&gone) == 0)
        return err;
    atomic_fetch_sub(&gone, 1);
    return ERR_NOT_FOUND;
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    dir = unit_temp_dir();
    flush_messages = INT64_MAX;
    version = 1;
    ops = *disk_posix()->ops;
    ops.pread = disk_pread_here;
    atomic_store(&damaged_pos, -1);
    atomic_store(&gone, 0);
    image = image_new(1, version, 3001, STR("kit"));
    ck_assert_int_eq(logs_open(&(struct logs_options){ .dirs = &dir,
                                                       .dir_count = 1,
                                                       .broker_id = 1,
                                                       .recovery_threads = 1,
                                                       .disk = &disk,
                                                       .no_threads = true },
                               &logs),
                     ERR_OK);
    parts = parts_new(&(struct parts_conf){ .broker_id = 1,
                                            .lag_max_ms = 30000,
                                            .logs = logs,
                                            .conf_of = conf_of,
                                            .propose = on_propose });
    pool = pool_start(2);
    for (int i = 0; i < REACTORS; i++) {
        reactors[i] = reactor_new();
        reactor_start(reactors[i], T_REACTOR, i);
    }
    start_groups(5000);
}

static void teardown(void)
{
    groups_stop(groups);
    pool_stop(&pool);
    for (int i = 0; i < REACTORS; i++) {
        reactor_stop(reactors[i]);
        reactor_free(&reactors[i]);
    }
    groups_free(&groups);
    parts_free(&parts);
    logs_close(&logs);
    image_unref(&image);
}

/* ---- the image ---- */

static void apply(const struct image_delta *delta)
{
    struct parts_result result;
    struct image_delta next = *delta;

    next.controller_epoch = 1;
    next.version = ++version;
    struct image *after = image_apply(image, &next);
    parts_apply(parts, after, &next, clock_mono_ms(), &result);
    ck_assert_int_eq(result.err, ERR_OK);
    ck_assert_uint_eq(result.failures_len, 0);
    parts_result_fini(&result);
    groups_apply(groups, image, after, &next);
    image_unref(&image);
    image = after;
}

static void set_topic(const char *name, uint8_t id, int32_t leader, int32_t epoch,
                      struct ids replicas)
{
    struct image_part part = { .leader = leader,
                               .leader_epoch = epoch,
                               .partition_epoch = epoch,
                               .replicas = replicas,
                               .isr = replicas };
    struct image_topic_change change = {
        .id = { .bytes = { [15] = id } }, .name = str_of(name), .n_parts = 1, .parts = &part
    };

    apply(&(struct image_delta){ .n_topics = 1, .topics = &change });
}

static void lead(int32_t leader, int32_t epoch)
{
    set_topic(GROUPS_TOPIC, 1, leader, epoch,
              leader == 1 ? (struct ids){ us, 1 } : (struct ids){ both, 2 });
}

/* ---- calls ---- */

struct done {
    struct arena arena;
    atomic_bool is;
};

static void await(struct done *done)
{
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; !atomic_load(&done->is); usleep(200))
        ck_assert_msg(clock_mono_ms() < until_ms, "no answer");
}

struct commit_call {
    struct offset_commit commit;
    struct offset_item item;
    struct done done;
};

static void on_committed(struct group_call *call)
{
    struct commit_call *mine =
        container_of(container_of(call, struct offset_commit, call), struct commit_call, commit);

    ck_assert(reactor_is_here(call->reactor));
    atomic_store(&mine->done.is, true);
}

static void run_commit(void *arg)
{
    struct commit_call *call = arg;

    groups_commit(groups, &call->commit);
}

static void commit_begin(struct commit_call *call, int reactor, const char *group,
                         int32_t partition, int64_t offset)
{
    arena_init(&call->done.arena, SIZE_MAX);
    atomic_init(&call->done.is, false);
    call->item = (struct offset_item){ .topic = STR("t"),
                                       .partition = partition,
                                       .value = { .offset = offset,
                                                  .leader_epoch = -1,
                                                  .metadata = STR_EMPTY,
                                                  .commit_ms = clock_wall_ms(),
                                                  .expire_ms = -1 } };
    call->commit = (struct offset_commit){
        .call = { .reactor = reactors[reactor], .arena = &call->done.arena, .done = on_committed },
        .group_id = str_of(group),
        .member = STR_EMPTY,
        .instance = STR_NULL,
        .generation = -1,
        .items = &call->item,
        .len = 1
    };
    reactor_call(reactors[reactor], run_commit, call);
}

static enum err commit_end(struct commit_call *call)
{
    await(&call->done);
    arena_fini(&call->done.arena);
    return call->item.err;
}

static enum err commit(const char *group, int32_t partition, int64_t offset)
{
    struct commit_call call;

    commit_begin(&call, partition % REACTORS, group, partition, offset);
    return commit_end(&call);
}

/* The offset, -1 none; or minus the error and 1000. */
static int64_t fetch(const char *group, int32_t partition)
{
    struct offset_asked asked = { .topic = STR("t"), .partition = partition };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    enum err err = groups_fetch(groups, str_of(group), false, &asked, 1, &arena);
    arena_fini(&arena);
    return err != ERR_OK ? -1000 - (int64_t)err : asked.found ? asked.value.offset : -1;
}

static void await_loaded(void)
{
    struct groups_info info;
    int64_t until_ms = clock_mono_ms() + WAIT_MS;

    do {
        ck_assert_msg(clock_mono_ms() < until_ms, "never loaded");
        usleep(200);
        groups_get_info(groups, &info);
    } while (info.loading > 0 || info.owned == 0);
}

struct join_call {
    struct group_join join;
    struct group_protocol protocol;
    struct done done;
};

static void on_joined(struct group_call *call)
{
    atomic_store(
        &container_of(container_of(call, struct group_join, call), struct join_call, join)->done.is,
        true);
}

static void run_join(void *arg)
{
    groups_join(groups, arg);
}

static int32_t rebalance_ms = 300; /* for the other members to come; each test has a process */

static void join_begin(struct join_call *call, const char *group, const char *member)
{
    arena_init(&call->done.arena, SIZE_MAX);
    atomic_init(&call->done.is, false);
    call->protocol = (struct group_protocol){ STR("range"), STR("m") };
    call->join = (struct group_join){
        .call = { .reactor = reactors[0], .arena = &call->done.arena, .done = on_joined },
        .group_id = str_of(group)
    };
    call->join.ev.join.member = str_of(member);
    call->join.ev.join.instance = STR_NULL;
    call->join.ev.join.client_id = STR("c");
    call->join.ev.join.client_host = STR("/h");
    call->join.ev.join.protocol_type = STR("consumer");
    call->join.ev.join.reason = STR_NULL;
    call->join.ev.join.protocols = &call->protocol;
    call->join.ev.join.protocols_len = 1;
    call->join.ev.join.session_ms = 10000;
    call->join.ev.join.rebalance_ms = rebalance_ms;
    reactor_call(reactors[0], run_join, &call->join);
}

static enum err join_end(struct join_call *call)
{
    await(&call->done);
    arena_fini(&call->done.arena);
    return call->join.err;
}

/* ---- */

START_TEST(who_does_not_lead_does_not_coordinate)
{
    ck_assert_int_eq(commit("g", 0, 1), ERR_NOT_COORDINATOR);
    lead(2, 0);
    ck_assert_int_eq(commit("g", 0, 1), ERR_NOT_COORDINATOR);
    lead(1, 1);
    await_loaded();
    ck_assert_int_eq(commit("g", 0, 1), ERR_OK);
    ck_assert_int_eq(fetch("g", 0), 1);
    ck_assert_int_eq(groups_heartbeat(groups, STR("g"), 1, STR("x"), STR_NULL),
                     ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(groups_heartbeat(groups, STR_EMPTY, 1, STR("x"), STR_NULL),
                     ERR_INVALID_GROUP_ID);
}
END_TEST

START_TEST(groups_come_back_with_the_leadership)
{
    lead(1, 0);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(commit(i % 2 == 0 ? "even" : "odd", i % 10, i), ERR_OK);
    lead(2, 1);
    ck_assert_int_eq(fetch("even", 0), -1000 - ERR_NOT_COORDINATOR);
    lead(1, 2);
    await_loaded();
    for (int p = 0; p < 10; p++)
        ck_assert_int_eq(fetch(p % 2 == 0 ? "even" : "odd", p), 290 + p);
}
END_TEST

START_TEST(a_new_epoch_of_the_same_leader_changes_nothing)
{
    struct join_call first, second;

    lead(1, 0);
    join_begin(&first, "g", "");
    ck_assert_int_eq(join_end(&first), ERR_OK);
    lead(1, 1);
    ck_assert_int_eq(commit("other", 0, 1), ERR_OK);
    join_begin(&second, "g", ""); /* the group, which no record has, is still there */
    ck_assert_int_eq(join_end(&second), ERR_OK);
    ck_assert_int_eq(second.join.generation, 2);
}
END_TEST

static atomic_bool is_blocked, may_go;

static void block(struct pool_job *job)
{
    (void)job;
    atomic_store(&is_blocked, true);
    while (!atomic_load(&may_go))
        usleep(200);
}

/* What the operator is shown of a load. */
static void progress_is(size_t owned, size_t loading)
{
    struct groups_info info;

    groups_get_info(groups, &info);
    ck_assert_uint_eq(info.owned, owned);
    ck_assert_uint_eq(info.loading, loading);
}

START_TEST(a_late_load_never_wins_over_a_newer_role)
{
    struct pool_job jobs[2] = { { .run = block }, { .run = block } };

    lead(1, 0);
    ck_assert_int_eq(commit("g", 0, 7), ERR_OK);
    lead(2, 1);
    atomic_store(&may_go, false);
    for (int i = 0; i < 2; i++)
        pool_post(pool, &jobs[i]); /* nothing is read from here on */
    lead(1, 2);
    progress_is(0, 1);
    ck_assert_int_eq(fetch("g", 0), -1000 - ERR_COORDINATOR_LOAD_IN_PROGRESS);
    ck_assert_int_eq(groups_heartbeat(groups, STR("g"), 1, STR("x"), STR_NULL), ERR_OK);
    lead(2, 3);
    ck_assert_int_eq(fetch("g", 0), -1000 - ERR_NOT_COORDINATOR);
    lead(1, 4);
    ck_assert_int_eq(commit("g", 0, 8), ERR_COORDINATOR_LOAD_IN_PROGRESS);
    atomic_store(&may_go, true);
    await_loaded();
    progress_is(1, 0);
    ck_assert_int_eq(fetch("g", 0), 7);
    ck_assert_int_eq(commit("g", 0, 9), ERR_OK);
    ck_assert_int_eq(fetch("g", 0), 9);
    lead(2, 5);
    progress_is(0, 0);
    ck_assert_int_eq(fetch("g", 0), -1000 - ERR_NOT_COORDINATOR);
}
END_TEST

START_TEST(who_waits_when_the_leadership_goes_is_told)
{
    struct join_call first, second;

    rebalance_ms = 60000;
    lead(1, 0);
    join_begin(&first, "g", "");
    ck_assert_int_eq(join_end(&first), ERR_OK);
    join_begin(&second, "g", ""); /* waits for the first to come again */
    usleep(1000);
    ck_assert(!atomic_load(&second.done.is));
    lead(2, 1);
    ck_assert_int_eq(join_end(&second), ERR_NOT_COORDINATOR);
}
END_TEST

START_TEST(time_outs_ring_without_anybody_asking)
{
    struct join_call first, second;

    lead(1, 0);
    join_begin(&first, "g", "");
    ck_assert_int_eq(join_end(&first), ERR_OK);
    int64_t began_ms = clock_mono_ms();
    join_begin(&second, "g", "");
    ck_assert_int_eq(join_end(&second), ERR_OK); /* the first did not come in time */
    ck_assert_int_ge(clock_mono_ms() - began_ms, 290);
    ck_assert_uint_eq(second.join.members_len, 1);
}
END_TEST

START_TEST(a_commit_is_answered_when_it_is_committed_or_time_is_up)
{
    groups_stop(groups);
    groups_free(&groups);
    start_groups(300);
    set_topic(GROUPS_TOPIC, 1, 1, 0, (struct ids){ both, 2 }); /* 2 never fetches */
    await_loaded();
    int64_t began_ms = clock_mono_ms();
    ck_assert_int_eq(commit("g", 0, 1), ERR_REQUEST_TIMED_OUT);
    ck_assert_int_ge(clock_mono_ms() - began_ms, 290);
    ck_assert_int_eq(fetch("g", 0), -1);
}
END_TEST

START_TEST(a_commit_that_waits_is_given_up_at_a_stop_and_with_the_role)
{
    struct commit_call one, two;

    set_topic(GROUPS_TOPIC, 1, 1, 0, (struct ids){ both, 2 });
    await_loaded();
    commit_begin(&one, 0, "g", 0, 1);
    set_topic(GROUPS_TOPIC, 1, 2, 1, (struct ids){ both, 2 });
    ck_assert_int_eq(commit_end(&one), ERR_NOT_COORDINATOR);
    lead(1, 2);
    await_loaded();
    set_topic(GROUPS_TOPIC, 1, 1, 3, (struct ids){ both, 2 });
    commit_begin(&two, 1, "g", 0, 1);
    groups_stop(groups);
    ck_assert_int_eq(commit_end(&two), ERR_NOT_COORDINATOR);
    ck_assert_int_eq(commit("g", 0, 1), ERR_COORDINATOR_NOT_AVAILABLE);
}
END_TEST

static void note_run(struct pool_job *job)
{
    (void)job;
    atomic_store(&may_go, true);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* What the pool and the reactors hand to each other has gone to and fro. */
static void let_all_run(void)
{
    for (int i = 0; i < 30; i++) {
        struct pool_job job = { .run = note_run };

        atomic_store(&may_go, false);
        pool_post(pool, &job);
        while (!atomic_load(&may_go))
            usleep(200);
        for (int k = 0; k < REACTORS; k++)
            reactor_call(reactors[k], nothing, NULL);
    }
}

/* ---- flush.messages ---- */

/* One replica, so that nothing but the disk is waited for. */
static void lead_and_sync(void)
{
    flush_messages = 1;
    lead(1, 0);
    await_loaded();
}

static void sync_now(void)
{
    logs_tick(logs, clock_wall_ms(), clock_mono_ms());
}

START_TEST(a_commit_is_answered_when_it_is_synced)
{
    struct commit_call call;

    groups_stop(groups);
    groups_free(&groups);
    commit_acks = (int16_t)_i; /* all, or one */
    start_groups(5000);
    lead_and_sync();
    commit_begin(&call, 0, "g", 0, 1);
    let_all_run();
    ck_assert(!atomic_load(&call.done.is));
    sync_now();
    ck_assert_int_eq(commit_end(&call), ERR_OK);
    ck_assert_int_eq(fetch("g", 0), 1);
}
END_TEST

START_TEST(a_commit_that_cannot_be_synced_fails)
{
    struct commit_call call;

    lead_and_sync();
    commit_begin(&call, 0, "g", 0, 1);
    logs_fail_dir(logs, dir);
    sync_now();
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
    ck_assert_int_eq(fetch("g", 0), -1);
}
END_TEST

START_TEST(a_commit_that_waits_for_its_sync_is_given_up_with_the_role)
{
    struct commit_call call;

    lead_and_sync();
    commit_begin(&call, 0, "g", 0, 1);
    set_topic(GROUPS_TOPIC, 1, 2, 1, (struct ids){ both, 2 });
    sync_now();
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
}
END_TEST

static void *stop_groups(void *is_over)
{
    groups_stop(groups);
    atomic_store((atomic_bool *)is_over, true);
    return NULL;
}

START_TEST(a_stop_waits_for_syncs)
{
    struct commit_call call;
    atomic_bool is_over = false;
    pthread_t stop;

    lead_and_sync();
    commit_begin(&call, 0, "g", 0, 1);
    ck_assert_int_eq(pthread_create(&stop, NULL, stop_groups, &is_over), 0);
    let_all_run();
    ck_assert(!atomic_load(&is_over));
    sync_now();
    ck_assert_int_eq(pthread_join(stop, NULL), 0);
    ck_assert(atomic_load(&call.done.is));
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
}
END_TEST

START_TEST(what_may_yet_be_lost_is_not_served)
{
    struct commit_call call;

    set_topic(GROUPS_TOPIC, 1, 1, 0, (struct ids){ both, 2 }); /* 2 never fetches */
    await_loaded();
    commit_begin(&call, 0, "g", 0, 1);
    set_topic(GROUPS_TOPIC, 1, 2, 1, (struct ids){ both, 2 });
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
    set_topic(GROUPS_TOPIC, 1, 1, 2, (struct ids){ both, 2 });
    let_all_run();
    ck_assert_int_eq(fetch("g", 0), -1000 - ERR_COORDINATOR_LOAD_IN_PROGRESS);
    lead(1, 3); /* alone: it is committed */
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), 1);
}
END_TEST

START_TEST(a_load_that_waits_is_given_up_at_a_stop_and_with_the_role)
{
    struct commit_call call;

    set_topic(GROUPS_TOPIC, 1, 1, 0, (struct ids){ both, 2 });
    await_loaded();
    commit_begin(&call, 0, "g", 0, 1);
    for (int epoch = 1; epoch < 5; epoch += 2) {
        set_topic(GROUPS_TOPIC, 1, 2, epoch, (struct ids){ both, 2 });
        set_topic(GROUPS_TOPIC, 1, 1, epoch + 1, (struct ids){ both, 2 });
        let_all_run();
        ck_assert_int_eq(fetch("g", 0), -1000 - ERR_COORDINATOR_LOAD_IN_PROGRESS);
    }
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
    groups_stop(groups); /* and teardown finds that nothing is left of it */
}
END_TEST

static void set_draining(struct group_shard *shard, bool draining)
{
    lock_take(&shard->lock);
    shard->draining = draining;
    lock_drop(&shard->lock);
}

static void drain(void *arg)
{
    shard_drain(arg);
}

/* Whoever drains the queue stands before a slow disk while the leadership goes and comes back. */
START_TEST(what_an_earlier_leadership_asked_for_is_not_written_in_a_later_one)
{
    struct commit_call call;

    lead(1, 0);
    await_loaded();
    ck_assert_int_eq(commit("g", 0, 1), ERR_OK);
    struct group_shard *shard = groups_shard(groups, 0);
    set_draining(shard, true);
    commit_begin(&call, 0, "g", 0, 2);
    lead(2, 1);
    lead(1, 2);
    await_loaded();
    set_draining(shard, false);
    reactor_call(reactors[1], drain, shard);
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
    ck_assert_int_eq(fetch("g", 0), 1);
    lead(2, 3);
    lead(1, 4);
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), 1);
}
END_TEST

START_TEST(a_load_reads_again_where_files_have_moved)
{
    lead(1, 0);
    await_loaded();
    for (int32_t p = 0; p < 20; p++)
        ck_assert_int_eq(commit("g", p, p), ERR_OK);
    lead(2, 1);
    atomic_store(&gone, 3);
    lead(1, 2);
    await_loaded();
    ck_assert_int_eq(atomic_load(&gone), 0);
    for (int32_t p = 0; p < 20; p++)
        ck_assert_int_eq(fetch("g", p), p);
    lead(2, 3);
    atomic_store(&gone, INT32_MAX); /* for good: what is left is served all the same */
    lead(1, 4);
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), -1);
    atomic_store(&gone, 0);
}
END_TEST

static int64_t bytes_written(void)
{
    const struct parts_table *table = parts_get_table(parts);
    int64_t bytes = log_size_bytes(part_log(parts_find(table, STR(GROUPS_TOPIC), 0)));

    parts_put_table(&table);
    return bytes;
}

START_TEST(what_stands_behind_damage_is_loaded)
{
    lead(1, 0);
    await_loaded();
    for (int32_t p = 0; p < 20; p++)
        ck_assert_int_eq(commit("g", p, p), ERR_OK);
    int64_t pos = bytes_written();
    ck_assert_int_eq(commit("g", 7, 700), ERR_OK);
    ck_assert_int_eq(commit("g", 8, 800), ERR_OK);
    lead(2, 1);
    atomic_store(&damaged_pos, pos);
    lead(1, 2);
    await_loaded();
    for (int32_t p = 0; p < 20; p++)
        ck_assert_int_eq(fetch("g", p), p == 8 ? 800 : p);
}
END_TEST

/* Tombstones are not waited for by those who ask for them, but by whoever moves the leadership. */
static void await_leo(int64_t leo)
{
    const struct parts_table *table = parts_get_table(parts);
    struct part *part = parts_find(table, STR(GROUPS_TOPIC), 0);

    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; log_leo(part_log(part)) < leo; usleep(200))
        ck_assert_int_lt(clock_mono_ms(), until_ms);
    parts_put_table(&table);
}

START_TEST(offsets_of_a_topic_that_goes_are_forgotten_for_good)
{
    struct uuid id = { .bytes = { [15] = 2 } };

    lead(1, 0);
    set_topic("t", 2, 2, 0, (struct ids){ both, 2 });
    ck_assert_int_eq(commit("g", 0, 5), ERR_OK);
    apply(&(struct image_delta){ .n_topics_gone = 1, .topics_gone = &id });
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; fetch("g", 0) != -1; usleep(200))
        ck_assert_int_lt(clock_mono_ms(), until_ms);
    struct groups_info info;
    groups_get_info(groups, &info);
    ck_assert_uint_eq(info.groups, 0); /* nothing is left of a group that had only those */
    await_leo(2);
    lead(2, 1);
    lead(1, 2);
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), -1);
}
END_TEST

START_TEST(offsets_of_a_new_topic_of_the_name_stay)
{
    struct pool_job jobs[2] = { { .run = block }, { .run = block } };
    struct uuid id = { .bytes = { [15] = 2 } };

    lead(1, 0);
    await_loaded();
    set_topic("t", 2, 2, 0, (struct ids){ both, 2 });
    for (int32_t p = 0; p < 2; p++)
        ck_assert_int_eq(commit("g", p, 1000), ERR_OK);
    atomic_store(&may_go, false);
    for (int i = 0; i < 2; i++)
        pool_post(pool, &jobs[i]); /* disks are slow, say */
    apply(&(struct image_delta){ .n_topics_gone = 1, .topics_gone = &id });
    set_topic("t", 3, 2, 0, (struct ids){ both, 2 });
    ck_assert_int_eq(commit("g", 0, 5), ERR_OK);
    atomic_store(&may_go, true);
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; fetch("g", 1) != -1; usleep(200))
        ck_assert_int_lt(clock_mono_ms(), until_ms);
    ck_assert_int_eq(fetch("g", 0), 5);
    lead(2, 1);
    lead(1, 2);
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), 5);
}
END_TEST

START_TEST(offsets_of_a_topic_that_goes_during_a_load_are_forgotten)
{
    struct uuid id = { .bytes = { [15] = 2 } };
    struct commit_call call;

    lead(1, 0);
    await_loaded();
    set_topic("t", 2, 2, 0, (struct ids){ both, 2 });
    ck_assert_int_eq(commit("g", 0, 1000), ERR_OK);
    set_topic(GROUPS_TOPIC, 1, 1, 1, (struct ids){ both, 2 }); /* 2 never fetches */
    commit_begin(&call, 0, "g", 1, 1000);
    set_topic(GROUPS_TOPIC, 1, 2, 2, (struct ids){ both, 2 });
    ck_assert_int_eq(commit_end(&call), ERR_NOT_COORDINATOR);
    set_topic(GROUPS_TOPIC, 1, 1, 3, (struct ids){ both, 2 }); /* waits for the second */
    apply(&(struct image_delta){ .n_topics_gone = 1, .topics_gone = &id });
    let_all_run();
    ck_assert_int_eq(fetch("g", 0), -1000 - ERR_COORDINATOR_LOAD_IN_PROGRESS);
    lead(1, 4); /* alone: it is committed */
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), -1);
    ck_assert_int_eq(fetch("g", 1), -1);
    await_leo(4);
    lead(2, 5);
    lead(1, 6);
    await_loaded();
    ck_assert_int_eq(fetch("g", 0), -1);
}
END_TEST

START_TEST(old_offsets_expire_and_leave_tombstones)
{
    lead(1, 0);
    ck_assert_int_eq(commit("g", 0, 5), ERR_OK);
    for (int64_t until_ms = clock_mono_ms() + WAIT_MS; fetch("g", 0) != -1; usleep(50000)) {
        ck_assert_int_lt(clock_mono_ms(), until_ms);
        groups_expire(groups);
    }
    await_leo(2);
    lead(2, 1);
    lead(1, 2);
    await_loaded();
    struct groups_info info;
    groups_get_info(groups, &info);
    ck_assert_uint_eq(info.groups, 0);
}
END_TEST

#define MANY 400

START_TEST(commits_from_all_sides_are_kept_in_order)
{
    struct commit_call *calls = xcalloc(MANY, sizeof *calls);

    lead(1, 0);
    for (int i = 0; i < MANY; i++)
        commit_begin(&calls[i], i % REACTORS, "g", i % 4, i);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(commit_end(&calls[i]), ERR_OK);
    free(calls);
    for (int p = 0; p < 4; p++)
        ck_assert_int_eq(fetch("g", p), MANY - 4 + p);
    lead(2, 1);
    lead(1, 2);
    await_loaded();
    for (int p = 0; p < 4; p++)
        ck_assert_int_eq(fetch("g", p), MANY - 4 + p);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("groups");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, who_does_not_lead_does_not_coordinate);
    tcase_add_test(tc, groups_come_back_with_the_leadership);
    tcase_add_test(tc, a_new_epoch_of_the_same_leader_changes_nothing);
    tcase_add_test(tc, a_late_load_never_wins_over_a_newer_role);
    tcase_add_test(tc, who_waits_when_the_leadership_goes_is_told);
    tcase_add_test(tc, time_outs_ring_without_anybody_asking);
    tcase_add_test(tc, a_commit_is_answered_when_it_is_committed_or_time_is_up);
    tcase_add_test(tc, a_commit_that_waits_is_given_up_at_a_stop_and_with_the_role);
    tcase_add_loop_test(tc, a_commit_is_answered_when_it_is_synced, -1, 2);
    tcase_add_test(tc, a_commit_that_cannot_be_synced_fails);
    tcase_add_test(tc, a_commit_that_waits_for_its_sync_is_given_up_with_the_role);
    tcase_add_test(tc, a_stop_waits_for_syncs);
    tcase_add_test(tc, what_may_yet_be_lost_is_not_served);
    tcase_add_test(tc, a_load_that_waits_is_given_up_at_a_stop_and_with_the_role);
    tcase_add_test(tc, what_an_earlier_leadership_asked_for_is_not_written_in_a_later_one);
    tcase_add_test(tc, a_load_reads_again_where_files_have_moved);
    tcase_add_test(tc, what_stands_behind_damage_is_loaded);
    tcase_add_test(tc, offsets_of_a_topic_that_goes_are_forgotten_for_good);
    tcase_add_test(tc, offsets_of_a_new_topic_of_the_name_stay);
    tcase_add_test(tc, offsets_of_a_topic_that_goes_during_a_load_are_forgotten);
    tcase_add_test(tc, old_offsets_expire_and_leave_tombstones);
    tcase_add_test(tc, commits_from_all_sides_are_kept_in_order);
    return unit_run(tc);
}
