/*
 * write: effects become Kafka's tree; a group that fails leaves the others alone; a moved epoch
 * stops everything; a lost connection is found out about and never doubles anything.
 */
#include "controller/shell/write.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/zk/zk_tree.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct writer *writer;

static struct {
    int events, fenced;
    uint64_t batch;
    size_t n;
    struct core_op_result results[6000];
} got;

static void on_event(void *arg, const struct core_event *event)
{
    (void)arg;
    ck_assert_int_eq(event->kind, CORE_WRITE_DONE);
    got.events++;
    got.batch = event->write_done.batch;
    got.n = event->write_done.n;
    memcpy(got.results, event->write_done.results, got.n * sizeof got.results[0]);
}

static void on_fenced(void *arg)
{
    (void)arg;
    got.fenced++;
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void set_up(void)
{
    struct sink sink = { .on_event = on_event };
    struct writer_hooks hooks = { .on_fenced = on_fenced };

    memset(&got, 0, sizeof got);
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    fake_zk_put(fake, "/controller_epoch", "4"); /* version 0 */
    fake_zk_put(fake, "/brokers/topics", NULL);
    fake_zk_put(fake, "/config/topics", NULL);
    fake_zk_put(fake, "/config/users", NULL);
    fake_zk_put(fake, "/config/changes", NULL);
    fake_zk_put(fake, "/admin/delete_topics", NULL);
    fake_zk_put(fake, "/controllers/tombstones", NULL);
    fake_zk_put(fake, "/latest_producer_id_block", NULL);
    zk = fake_zk_open(fake, &mailbox);
    writer = writer_new(zk, &sink, &hooks);
    run();
}

static void tear_down(void)
{
    writer_free(&writer);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

/* ---- operations -------------------------------------------------------------------------------
 */

static struct core_op ops[6000];
static struct core_op_part parts[1200];
static size_t n_ops;
static const int32_t replicas[] = { 1, 2 };

static struct core_op *op(enum core_op_kind kind, const char *topic, uint32_t group)
{
    ops[n_ops] =
        (struct core_op){ .kind = kind, .group = group, .version = -1, .topic = str_of(topic) };
    return &ops[n_ops++];
}

static void op_state(enum core_op_kind kind, const char *topic, uint32_t group, int32_t partition,
                     int32_t version, int32_t leader_epoch)
{
    struct core_op *o = op(kind, topic, group);

    o->version = version;
    o->state.partition = partition;
    o->state.state =
        (struct leader_isr){ .leader = 1, .leader_epoch = leader_epoch, .isr = IDS_OF(replicas) };
}

static void op_topic(enum core_op_kind kind, const char *topic, uint32_t group, size_t n)
{
    struct core_op *o = op(kind, topic, group);

    for (size_t i = 0; i < n; i++)
        parts[i] = (struct core_op_part){ .index = (int32_t)i, .replicas = IDS_OF(replicas) };
    o->topic_node.id = (struct uuid){ .bytes = { 1, 2, 3 } };
    o->topic_node.n_parts = n;
    o->topic_node.parts = parts;
}

static void op_config(const char *type, const char *name, uint32_t group,
                      const struct image_setting *setting)
{
    struct core_op *o = op(OP_CONFIG_SET, NULL, group);

    o->config = (struct image_config){ .type = str_of(type),
                                       .name = str_of(name),
                                       .n_settings = setting != NULL,
                                       .settings = setting };
}

static void create_topic(const char *topic, uint32_t group, size_t n)
{
    op_config("topics", topic, group, NULL);
    op_topic(OP_TOPIC_CREATE, topic, group, n);
    for (size_t i = 0; i < n; i++)
        op_state(OP_STATE_CREATE, topic, group, (int32_t)i, -1, 0);
}

static void start(void)
{
    struct core_write write = { .batch = 77, .controller_epoch = 4, .n = n_ops, .ops = ops };

    writer_run(writer, &write, 0);
    memset(ops, 0, sizeof ops); /* the writer has what it needs */
    n_ops = 0;
}

static void all(enum err err)
{
    ck_assert_int_eq(got.events, 1);
    for (size_t i = 0; i < got.n; i++)
        ck_assert_msg(got.results[i].err == err, "%zu: %s", i, err_name(got.results[i].err));
}

/* ---- tests ------------------------------------------------------------------------------------
 */

START_TEST(a_topic_is_created_whole)
{
    create_topic("t", 1, 2);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq((int)got.batch, 77);
    ck_assert_int_eq(got.results[1].version, 0);
    ck_assert_str_eq(fake_zk_data(fake, "/config/topics/t"), "{\"version\":1,\"config\":{}}");
    ck_assert_str_eq(fake_zk_data(fake, "/brokers/topics/t/partitions/1/state"),
                     "{\"controller_epoch\":4,\"leader\":1,\"version\":1,\"leader_epoch\":0,"
                     "\"isr\":[1,2]}");
    ck_assert_str_eq(fake_zk_data(fake, "/brokers/topics/t"),
                     "{\"partitions\":{\"0\":[1,2],\"1\":[1,2]},\"topic_id\":"
                     "\"AQIDAAAAAAAAAAAAAAAAAA\",\"adding_replicas\":{},\"removing_replicas\":{},"
                     "\"version\":3}");
    ck_assert_int_eq(fake_zk_version(fake, "/controller_epoch"), 0);
}
END_TEST

START_TEST(a_topic_with_traces_of_an_earlier_one_is_created)
{
    fake_zk_put(fake, "/config/topics/t", "{}"); /* left by a creation that crashed */
    create_topic("t", 1, 1);
    start();
    run();
    all(ERR_OK);
    ck_assert_str_eq(fake_zk_data(fake, "/config/topics/t"), "{\"version\":1,\"config\":{}}");
}
END_TEST

START_TEST(a_group_that_fails_leaves_the_others_alone)
{
    create_topic("old", 1, 1);
    start();
    run();
    got.events = 0;
    op_state(OP_STATE_SET, "old", 1, 0, 7, 3); /* is at version 0 */
    create_topic("old", 2, 1);
    create_topic("new", 3, 1);
    op_state(OP_STATE_SET, "old", 4, 0, 0, 1);
    start();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_int_eq(got.results[0].err, ERR_BAD_VERSION);
    ck_assert_int_eq(got.results[1].err, ERR_CLOSED); /* its settings: replaced by nobody */
    ck_assert_int_eq(got.results[2].err, ERR_EXISTS);
    ck_assert_int_eq(got.results[3].err, ERR_CLOSED);
    ck_assert_int_eq(got.results[4].err, ERR_OK);
    ck_assert_int_eq(got.results[7].err, ERR_OK);
    ck_assert_int_eq(got.results[7].version, 1);
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/brokers/topics/new/partitions/0/state"));
}
END_TEST

START_TEST(partitions_are_added_whatever_is_there_of_them)
{
    create_topic("t", 1, 1);
    start();
    run();
    got.events = 0;
    fake_zk_put(fake, "/brokers/topics/t/partitions/1", NULL); /* Kafka's multis are smaller */
    op_state(OP_STATE_CREATE, "t", 1, 1, -1, 0);
    op_state(OP_STATE_CREATE, "t", 2, 2, -1, 0);
    fake_zk_put(fake, "/brokers/topics/bare", "{}"); /* not even .../partitions */
    op_state(OP_STATE_CREATE, "bare", 3, 0, -1, 0);
    op_state(OP_STATE_CREATE, "bare", 3, 1, -1, 0);
    start();
    run();
    all(ERR_OK);
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/brokers/topics/t/partitions/2/state"));
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/brokers/topics/bare/partitions/1/state"));
}
END_TEST

START_TEST(a_moved_epoch_stops_everything)
{
    fake_zk_put(fake, "/controller_epoch", "5");
    create_topic("t", 1, 1);
    start();
    run();
    all(ERR_FENCED);
    ck_assert_int_eq(got.fenced, 1);
    ck_assert_ptr_null(fake_zk_data(fake, "/brokers/topics/t"));
}
END_TEST

START_TEST(a_lost_answer_is_found_out)
{
    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    create_topic("t", 1, 2);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq((int)fake_zk_count(fake, "/brokers/topics/t/partitions"), 2);
    got.events = 0;
    fake_zk_lose_write(zk, 0, FAKE_LOSS_NOT_APPLIED);
    op_state(OP_STATE_SET, "t", 1, 0, 0, 1);
    op_state(OP_STATE_SET, "t", 2, 1, 0, 1);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq(fake_zk_version(fake, "/brokers/topics/t/partitions/0/state"), 1);
    got.events = 0;
    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    op_state(OP_STATE_SET, "t", 1, 0, 1, 2);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq(got.results[0].version, 2);
    ck_assert_int_eq(fake_zk_version(fake, "/brokers/topics/t/partitions/0/state"), 2);
}
END_TEST

START_TEST(an_outcome_that_cannot_be_found_out_is_said_so)
{
    struct core_op *o = op(OP_PID_BLOCK_SET, NULL, 1);
    uint64_t number;

    o->version = 0;
    o->pid_block = (struct core_pid_block){ .broker = 2, .first = 0, .last = 999 };
    fake_zk_lose_write(zk, 0, FAKE_LOSS_NOT_APPLIED);
    start();
    fake_zk_put(fake, "/latest_producer_id_block", "{}"); /* by somebody else */
    run();
    all(ERR_CONNECTION_LOSS);
    ck_assert(!writer_position(writer, &number));
    writer_is_known(writer);
    ck_assert(writer_position(writer, &number));
}
END_TEST

/* What the ring says of that number; false when it has no such entry. */
static bool in_ring(uint64_t number, struct zk_touched *out, struct arena *arena)
{
    const char *data = fake_zk_data(fake, zk_path_ring(arena, number));

    return data != NULL && zk_parse_touched(arena, str_of(data), out) == ERR_OK &&
           out->number == number;
}

START_TEST(every_multi_leaves_its_mark_in_the_ring)
{
    struct zk_touched touched;
    struct arena arena;
    uint64_t number;

    arena_init(&arena, SIZE_MAX);
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 0);
    create_topic("t", 1, 3);
    start();
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 0); /* not before the results are told */
    run();
    all(ERR_OK);
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 1);
    ck_assert(in_ring(1, &touched, &arena));
    ck_assert_int_eq(touched.epoch, 4);
    ck_assert_uint_eq(touched.n_parts, 3);
    ck_assert(str_is(touched.parts[2].topic, "t"));
    ck_assert_int_eq(touched.parts[2].partition, 2);
    ck_assert_uint_eq(touched.n_configs, 1);
    ck_assert(str_is(touched.configs[0], "topics/t"));
    ck_assert(touched.has_topics);
    ck_assert_uint_eq(touched.n_topics, 1);
    ck_assert(str_is(touched.topics[0], "t"));

    /* what all are read of in any case has no number */
    got.events = 0;
    op(OP_MARK_DELETE, "u", 1);
    start();
    run();
    all(ERR_OK);
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 1);

    /* a group that fails is in no entry, and costs no number */
    got.events = 0;
    op_state(OP_STATE_SET, "t", 1, 0, 7, 1);
    op_state(OP_STATE_SET, "t", 2, 1, 0, 1);
    start();
    run();
    ck_assert_int_eq(got.results[0].err, ERR_BAD_VERSION);
    ck_assert_int_eq(got.results[1].err, ERR_OK);
    ck_assert(in_ring(2, &touched, &arena));
    ck_assert_uint_eq(touched.n_parts, 1);
    ck_assert_int_eq(touched.parts[0].partition, 1);
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 2);

    /* a new seat counts anew */
    writer_reset(writer);
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 0);
    arena_fini(&arena);
}
END_TEST

/* A topic's znode alone has an entry, and so has a mark, also one that is there already: the topic
 * and its settings go after it. */
START_TEST(topics_are_named_in_the_ring)
{
    struct zk_touched touched;
    struct arena arena;
    uint64_t number;

    arena_init(&arena, SIZE_MAX);
    create_topic("t", 1, 1);
    start();
    run();
    got.events = 0;
    op_topic(OP_TOPIC_SET, "t", 1, 2);
    ops[0].version = 0;
    start();
    run();
    all(ERR_OK);
    ck_assert(in_ring(2, &touched, &arena));
    ck_assert_uint_eq(touched.n_topics, 1);
    ck_assert(str_is(touched.topics[0], "t"));
    ck_assert_uint_eq(touched.n_parts + touched.n_configs, 0);
    for (int there = 0; there < 2; there++) {
        got.events = 0;
        op(OP_MARK_CREATE, "t", 1);
        start();
        run();
        all(ERR_OK);
        ck_assert(in_ring((uint64_t)(3 + there), &touched, &arena));
        ck_assert_uint_eq(touched.n_topics, 1);
        ck_assert(str_is(touched.topics[0], "t"));
        ck_assert_uint_eq(touched.n_configs, 1);
        ck_assert(str_is(touched.configs[0], "topics/t"));
    }
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_eq(number, 4);
    arena_fini(&arena);
}
END_TEST

/* Whoever dies in the middle of many multis leaves no gap, also the first time round. */
START_TEST(known_slots_leave_no_gaps)
{
    static const bool none[ZK_RING_SLOTS];
    struct zk_touched touched;
    struct arena arena;
    uint64_t number;

    arena_init(&arena, SIZE_MAX);
    fake_zk_put(fake, ZK_RING, NULL);
    writer_set_slots(writer, none);
    create_topic("t", 1, 1);
    for (uint32_t i = 1; i < 1150; i++)
        op_state(OP_STATE_CREATE, "t", 1 + i, (int32_t)i, -1, 0);
    start();
    run();
    for (int32_t version = 0; version < 3; version++) {
        got.events = 0;
        for (uint32_t i = 0; i < 1150; i++)
            op_state(OP_STATE_SET, "t", 1 + i, (int32_t)i, version, 1);
        start();
        run();
        all(ERR_OK);
    }
    ck_assert(writer_position(writer, &number));
    ck_assert_uint_ge(number, 12);
    for (uint64_t i = 1; i <= number; i++)
        ck_assert_msg(in_ring(i, &touched, &arena), "%d is missing", (int)i);
    arena_fini(&arena);
}
END_TEST

/* Several multis out at once, some lost with their answers: what was done is known of each. */
START_TEST(lost_multis_are_told_apart)
{
    for (unsigned skip = 0; skip < 3; skip++) {
        for (int loss = FAKE_LOSS_APPLIED; loss <= FAKE_LOSS_NOT_APPLIED; loss++) {
            struct arena arena;
            struct zk_touched touched;
            uint64_t before, number;
            char topic[16];

            arena_init(&arena, SIZE_MAX);
            snprintf(topic, sizeof topic, "t%u-%d", skip, loss);
            create_topic(topic, 1, 1);
            for (uint32_t i = 1; i < 1150; i++)
                op_state(OP_STATE_CREATE, topic, 1 + i, (int32_t)i, -1, 0);
            start();
            run();
            ck_assert(writer_position(writer, &before));
            got.events = 0;
            fake_zk_lose_write(zk, skip, (enum fake_loss)loss);
            for (uint32_t i = 0; i < 1150; i++)
                op_state(OP_STATE_SET, topic, 1 + i, (int32_t)i, 0, 1);
            start();
            run();
            all(ERR_OK);
            for (size_t i = 0; i < got.n; i++)
                ck_assert_int_eq(got.results[i].version, 1);
            ck_assert(writer_position(writer, &number));
            ck_assert(in_ring(number, &touched, &arena));
            got.events = 0;
            arena_fini(&arena);
        }
    }
}
END_TEST

START_TEST(much_goes_in_several_multis)
{
    create_topic("t", 1, 1);
    for (uint32_t i = 1; i < 1000; i++)
        op_state(OP_STATE_CREATE, "t", 1 + i, (int32_t)i, -1, 0);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq((int)fake_zk_count(fake, "/brokers/topics/t/partitions"), 1000);
    ck_assert_int_ge((int)fake_zk_writes(fake), 8 + 4); /* 8: set_up */
    ck_assert_int_le((int)fake_zk_writes(fake), 12 + 8);
}
END_TEST

START_TEST(a_topic_is_deleted_with_all_that_is_left_of_it)
{
    create_topic("t", 1, 300);
    op(OP_MARK_CREATE, "t", 2);
    start();
    run();
    all(ERR_OK);
    got.events = 0;
    fake_zk_drop(fake, "/brokers/topics/t/partitions/7/state"); /* a deletion that crashed */
    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    op(OP_TOPIC_DELETE, "t", 1)->topic_node.n_parts = 300;
    op(OP_TOPIC_DELETE, "never", 2)->topic_node.n_parts = 1;
    op(OP_MARK_DELETE, "never", 3);
    start();
    run();
    all(ERR_OK);
    ck_assert_ptr_null(fake_zk_data(fake, "/brokers/topics/t"));
    ck_assert_ptr_null(fake_zk_data(fake, "/config/topics/t"));
    ck_assert_ptr_null(fake_zk_data(fake, "/admin/delete_topics/t"));
}
END_TEST

START_TEST(marks_and_settings_are_as_wanted_afterwards)
{
    struct image_setting setting = { STR("producer_byte_rate"), STR("512") };

    fake_zk_put(fake, "/admin/delete_topics/t", NULL);
    op(OP_MARK_CREATE, "t", 1);
    op_config("users", "alice/clients/app", 2, &setting);
    op(OP_CONFIG_NOTIFY, NULL, 2)->config =
        (struct image_config){ .type = STR("users"), .name = STR("alice/clients/app") };
    op_config("users", "bob", 3, NULL);
    op_config("users", "alice", 4, NULL); /* emptied, but there are clients below */
    start();
    run();
    all(ERR_OK);
    ck_assert_str_eq(fake_zk_data(fake, "/config/users/alice/clients/app"),
                     "{\"version\":1,\"config\":{\"producer_byte_rate\":\"512\"}}");
    ck_assert_str_eq(fake_zk_data(fake, "/config/changes/config_change_0000000000"),
                     "{\"version\":2,\"entity_path\":\"users/alice/clients/app\"}");
    ck_assert_str_eq(fake_zk_data(fake, "/config/users/alice"), "{\"version\":1,\"config\":{}}");
    got.events = 0;
    op_config("users", "alice/clients/app", 1, NULL);
    start();
    run();
    all(ERR_OK);
    ck_assert_ptr_null(fake_zk_data(fake, "/config/users/alice/clients/app"));
}
END_TEST

START_TEST(tombstones_and_producer_ids_are_stored)
{
    struct core_tombstone_part stones[] = { { 0, 3 } };
    struct core_op *o = op(OP_TOMBSTONES_SET, "t", 1);

    o->tombstones = (struct core_tombstones){ .broker = 2,
                                              .topic_id = { .bytes = { 1, 2, 3 } },
                                              .topic = STR("t"),
                                              .n = 1,
                                              .parts = stones };
    o = op(OP_PID_BLOCK_SET, NULL, 2);
    o->version = 0;
    o->pid_block = (struct core_pid_block){ .broker = 2, .first = 0, .last = 999 };
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq(got.results[1].version, 1);
    ck_assert_str_eq(fake_zk_data(fake, "/controllers/tombstones/2-AQIDAAAAAAAAAAAAAAAAAA"),
                     "{\"version\":1,\"topic\":\"t\",\"partitions\":{\"0\":3}}");
    ck_assert_str_eq(fake_zk_data(fake, "/latest_producer_id_block"),
                     "{\"version\":1,\"broker\":2,\"block_start\":\"0\",\"block_end\":\"999\"}");
    got.events = 0;
    op(OP_TOMBSTONES_SET, "t", 1)->tombstones =
        (struct core_tombstones){ .broker = 2, .topic_id = { .bytes = { 1, 2, 3 } } };
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq((int)fake_zk_count(fake, "/controllers/tombstones"), 0);
}
END_TEST

static void op_pids(int32_t version, int64_t first)
{
    struct core_op *o = op(OP_PID_BLOCK_SET, NULL, 1);

    o->version = version;
    o->pid_block = (struct core_pid_block){ .broker = 2, .first = first, .last = first + 999 };
}

START_TEST(a_block_of_producer_ids_that_another_hand_removed_is_made_again)
{
    fake_zk_drop(fake, "/latest_producer_id_block");
    op_pids(7, 3000);
    start();
    run();
    all(ERR_OK);
    ck_assert_int_eq(got.results[0].version, 0);
    ck_assert_str_eq(fake_zk_data(fake, "/latest_producer_id_block"),
                     "{\"version\":1,\"broker\":2,\"block_start\":\"3000\","
                     "\"block_end\":\"3999\"}");
    /* nobody overwrites what came meanwhile */
    got.events = 0;
    fake_zk_drop(fake, "/latest_producer_id_block");
    fake_zk_lose_write(zk, 1, FAKE_LOSS_APPLIED); /* that it was made */
    op_pids(7, 4000);
    start();
    run();
    all(ERR_BAD_VERSION);
    ck_assert_int_eq(fake_zk_version(fake, "/latest_producer_id_block"), 0);
}
END_TEST

START_TEST(eligible_leaders_are_written_with_their_state)
{
    static const int32_t ids[] = { 2, 3 };
    struct core_eligible eligible = { .topic_id = { .bytes = { 1, 2, 3 } },
                                      .partition = 5,
                                      .leader_epoch = 1,
                                      .partition_epoch = 2,
                                      .min_isr = 2 };

    fake_zk_put(fake, "/controllers/eligible", NULL);
    eligible.replicas = IDS_OF(ids);
    op(OP_ELIGIBLE_SET, NULL, 1)->eligible = eligible;
    start();
    run();
    all(ERR_OK);
    ck_assert_str_eq(fake_zk_data(fake, "/controllers/eligible/AQIDAAAAAAAAAAAAAAAAAA-5"),
                     "{\"version\":1,\"controller_epoch\":4,\"leader_epoch\":1,"
                     "\"partition_epoch\":2,\"min_isr\":2,\"replicas\":[2,3]}");
    got.events = 0;
    eligible.replicas = IDS_NONE;
    op(OP_ELIGIBLE_SET, NULL, 1)->eligible = eligible;
    op(OP_ELIGIBLE_SET, NULL, 2)->eligible = eligible; /* gone already: fine */
    start();
    run();
    all(ERR_OK);
    ck_assert_uint_eq(fake_zk_count(fake, "/controllers/eligible"), 0);
}
END_TEST

/* What the core puts together at most, beside the largest settings that brokers take. */
START_TEST(a_group_that_is_as_large_as_it_may_be_fits)
{
    struct core_settings settings;
    static char value[256 * 1024];
    struct image_setting setting = { STR("leader.replication.throttled.replicas"), STR_NULL };
    char path[80];

    memset(value, 'x', sizeof value - 1);
    setting.value = str_of(value);
    core_settings_init(&settings);
    fake_zk_put(fake, "/controllers/eligible", NULL);
    op_config("topics", "t", 1, &setting);
    for (size_t i = 0; i < settings.together_max; i++) {
        snprintf(path, sizeof path, "/controllers/eligible/AQIDAAAAAAAAAAAAAAAAAA-%zu", i);
        fake_zk_put(fake, path, "x");
        op(OP_ELIGIBLE_SET, NULL, 1)->eligible =
            (struct core_eligible){ .topic_id = { .bytes = { 1, 2, 3 } }, .partition = (int32_t)i };
    }
    start();
    run();
    all(ERR_OK);
    ck_assert_uint_eq(fake_zk_count(fake, "/controllers/eligible"), 0);
}
END_TEST

START_TEST(wishes_of_old_tools_are_rewritten_and_go)
{
    static const int32_t target[] = { 3, 1 };
    struct core_named_part part = { .topic = STR("t"), .partition = 4 };

    part.replicas = IDS_OF(target);
    op(OP_MOVES_SET, NULL, 1)->moves = (struct core_named_parts){ .n = 1, .at = &part };
    op(OP_ELECTIONS_DONE, NULL, 2); /* it is not there */
    start();
    run();
    ck_assert_int_eq(got.results[0].err, ERR_OK);
    ck_assert_int_eq(got.results[1].err, ERR_OK);
    ck_assert_str_eq(fake_zk_data(fake, "/admin/reassign_partitions"),
                     "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":4,"
                     "\"replicas\":[3,1]}]}");
    got.events = 0;
    op(OP_MOVES_SET, NULL, 1);
    start();
    run();
    ck_assert_int_eq(got.results[0].err, ERR_OK);
    ck_assert_ptr_null(fake_zk_data(fake, "/admin/reassign_partitions"));
}
END_TEST

START_TEST(after_a_reset_nothing_is_told)
{
    create_topic("t", 1, 1);
    start();
    writer_reset(writer);
    ck_assert(!writer_is_busy(writer));
    create_topic("u", 1, 1);
    start();
    run();
    ck_assert_int_eq(got.events, 1);
    got.events = 0;
    create_topic("v", 1, 1);
    fake_zk_suspend(zk);
    start();
    fake_zk_expire(zk);
    run();
    ck_assert_int_eq(got.events, 0); /* the seat is lost with the session: reset follows */
    writer_reset(writer);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("write");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_topic_is_created_whole);
    tcase_add_test(tc, a_topic_with_traces_of_an_earlier_one_is_created);
    tcase_add_test(tc, a_group_that_fails_leaves_the_others_alone);
    tcase_add_test(tc, partitions_are_added_whatever_is_there_of_them);
    tcase_add_test(tc, a_moved_epoch_stops_everything);
    tcase_add_test(tc, a_lost_answer_is_found_out);
    tcase_add_test(tc, an_outcome_that_cannot_be_found_out_is_said_so);
    tcase_add_test(tc, every_multi_leaves_its_mark_in_the_ring);
    tcase_add_test(tc, topics_are_named_in_the_ring);
    tcase_add_test(tc, known_slots_leave_no_gaps);
    tcase_add_test(tc, lost_multis_are_told_apart);
    tcase_add_test(tc, much_goes_in_several_multis);
    tcase_add_test(tc, a_topic_is_deleted_with_all_that_is_left_of_it);
    tcase_add_test(tc, marks_and_settings_are_as_wanted_afterwards);
    tcase_add_test(tc, tombstones_and_producer_ids_are_stored);
    tcase_add_test(tc, a_block_of_producer_ids_that_another_hand_removed_is_made_again);
    tcase_add_test(tc, eligible_leaders_are_written_with_their_state);
    tcase_add_test(tc, a_group_that_is_as_large_as_it_may_be_fits);
    tcase_add_test(tc, wishes_of_old_tools_are_rewritten_and_go);
    tcase_add_test(tc, after_a_reset_nothing_is_told);
    return unit_run(tc);
}
