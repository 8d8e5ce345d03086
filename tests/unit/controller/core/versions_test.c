/*
 * The version of a topic's znode is told with the topic, as soon as it moves, and only while the
 * znode says what the image does: a standby takes the one for the other.
 */
#include <check.h>
#include <string.h>

#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "tests/kit/toy_core.h"
#include "tests/kit/unit.h" /* unit_run */

static const int32_t r123[] = { 1, 2, 3 }, r213[] = { 2, 1, 3 }, r12[] = { 1, 2 };
static struct toy toy;

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 2, IDS_OF(r123));
}

static void teardown(void)
{
    toy_agree(&toy);
    toy_fini(&toy);
}

/* Of a broker, whose image is that of a standby. */
static int32_t told(void)
{
    return image_topic_named(toy.brokers[1].image, STR("t"))->version;
}

static int32_t known(void)
{
    return core_topic_version(toy.core, image_topic_named(core_image(toy.core), STR("t"))->id);
}

static int grow(int32_t count)
{
    static struct create_partitions_request_topic topic;
    static struct create_partitions_request req;

    create_partitions_request_init(&req);
    create_partitions_request_topic_init(&topic);
    topic.name = STR("t");
    topic.count = count;
    topic.assignments_len = -1;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    toy_ask(&toy, API_CREATE_PARTITIONS, 3, &req);
    return toy.errors[0];
}

/* What another hand has made of the znode is read; n of its partitions are left. */
static void read_again(size_t n, bool with_id)
{
    const struct toy_topic *t = toy_topic(&toy, "t");
    struct core_read_part parts[TOY_PARTS];
    struct core_read_topic read = { .name = STR("t"),
                                    .id = with_id ? t->id : UUID_ZERO,
                                    .version = t->version,
                                    .n_parts = n,
                                    .parts = parts };

    for (size_t i = 0; i < n; i++)
        parts[i] = (struct core_read_part){ .index = (int32_t)i,
                                            .replicas = { .at = t->parts[i].replicas,
                                                          .n = t->parts[i].n_replicas },
                                            .has_state = t->parts[i].has_state,
                                            .state = t->parts[i].state };
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_READ,
                                        .topic_read = { .name = STR("t"), .topic = &read } });
}

START_TEST(every_write_of_the_znode_tells_its_version)
{
    ck_assert_int_eq(told(), 0);
    ck_assert_int_eq(grow(4), 0);
    ck_assert_int_eq(told(), 1);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r213)), 0);
    ck_assert_int_eq(told(), 2);
    toy_kill(&toy, 3); /* states alone */
    toy_advance(&toy, 1000);
    ck_assert_int_eq(told(), 2);
    toy_next_controller(&toy);
    ck_assert_int_eq(told(), 2);
    ck_assert_int_eq(known(), 2);
}
END_TEST

/* A write that begins with one that moves, both of one plan. */
START_TEST(the_last_of_two_writes_counts)
{
    toy.hold = true;
    toy_propose(&toy, 1, "t", 0, IDS_OF(r12)); /* keeps the plan open */
    grow(3);
    toy_reassign(&toy, "t", 1, IDS_OF(r12));
    toy.hold = false;
    toy_release(&toy);
    ck_assert_int_ge(toy_topic(&toy, "t")->version, 2);
    ck_assert_int_eq(told(), toy_topic(&toy, "t")->version);
}
END_TEST

START_TEST(a_version_that_moves_alone_is_told)
{
    int deltas = toy.brokers[1].n_deltas;

    toy_topic(&toy, "t")->version = 7; /* rewritten as it was */
    read_again(2, true);
    ck_assert_int_eq(toy.brokers[1].n_deltas, deltas + 1);
    ck_assert_int_eq(told(), 7);
    ck_assert_int_eq(grow(3), 0);
    ck_assert_int_eq(told(), 8);
}
END_TEST

/* What the znode has lost stays in the image: whoever believed both would miss the loss. */
START_TEST(a_znode_that_lost_partitions_is_not_vouched_for)
{
    toy_topic(&toy, "t")->version = 3;
    read_again(1, true);
    ck_assert_int_eq(told(), -1);
    ck_assert_int_eq(known(), 3);
    toy_kill(&toy, 3);
    toy_advance(&toy, 1000);
    ck_assert_int_eq(told(), -1);
    toy_start(&toy, 3);
    ck_assert_int_eq(grow(3), 0); /* which writes all that is known */
    ck_assert_int_eq(told(), 4);
    toy_topic(&toy, "t")->version = 5;
    read_again(2, true);
    ck_assert_int_eq(told(), -1);
    read_again(3, true); /* all is there again */
    ck_assert_int_eq(told(), 5);
}
END_TEST

START_TEST(a_znode_without_an_id_is_not_vouched_for)
{
    struct toy_topic *t = toy_topic(&toy, "t");
    struct uuid id = t->id;

    t->version = 1; /* rewritten by a tool of before 2.8 */
    toy.hold = true;
    read_again(2, false);
    memset(&t->id, 0, sizeof t->id);
    ck_assert_int_eq(told(), -1);
    ck_assert_int_eq(known(), 1);
    toy.hold = false;
    toy_release(&toy); /* the id is written */
    ck_assert(uuid_eq(t->id, id));
    ck_assert_int_eq(t->version, 2);
    ck_assert_int_eq(told(), 2);

    memset(&t->id, 0, sizeof t->id);
    toy.hold = true;
    toy_next_controller(&toy);
    ck_assert_int_eq(known(), 2);
    ck_assert_int_eq(image_topic_named(core_image(toy.core), STR("t"))->version, -1);
    toy.hold = false;
    toy_release(&toy);
    toy_advance(&toy, 1000);
    ck_assert_int_eq(told(), t->version);
}
END_TEST

/* Whoever takes over is to read it. */
START_TEST(a_name_that_was_taken_by_another_topic_is_not_vouched_for)
{
    struct toy_topic *t = toy_topic(&toy, "t");
    struct uuid id = t->id;
    int deltas;

    t->id.bytes[3] ^= 1;
    t->version = 1;
    read_again(2, true);
    ck_assert(uuid_eq(image_topic_named(core_image(toy.core), STR("t"))->id, id));
    ck_assert_int_eq(told(), -1);
    ck_assert_int_eq(known(), 0);
    deltas = toy.brokers[1].n_deltas;
    read_again(2, true);
    ck_assert_int_eq(toy.brokers[1].n_deltas, deltas);
    ck_assert_int_ne(grow(3), 0);
    ck_assert_uint_eq(t->n_parts, 2);
    toy_next_controller(&toy);
    ck_assert(uuid_eq(image_topic_named(core_image(toy.core), STR("t"))->id, t->id));
    ck_assert_int_eq(told(), 1);
}
END_TEST

/* Another hand was faster: nothing is overwritten, and what it wrote is read. */
START_TEST(a_write_names_the_version_it_knows)
{
    toy_topic(&toy, "t")->version = 9;
    (void)grow(3);
    ck_assert_int_eq(told(), 9);
    ck_assert_uint_eq(toy_topic(&toy, "t")->n_parts, 2);
    ck_assert_int_eq(grow(3), 0);
    ck_assert_int_eq(told(), 10);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("versions");

    tcase_add_checked_fixture(tc, three_brokers, teardown);
    tcase_add_test(tc, every_write_of_the_znode_tells_its_version);
    tcase_add_test(tc, the_last_of_two_writes_counts);
    tcase_add_test(tc, a_version_that_moves_alone_is_told);
    tcase_add_test(tc, a_znode_that_lost_partitions_is_not_vouched_for);
    tcase_add_test(tc, a_znode_without_an_id_is_not_vouched_for);
    tcase_add_test(tc, a_name_that_was_taken_by_another_topic_is_not_vouched_for);
    tcase_add_test(tc, a_write_names_the_version_it_knows);
    return unit_run(tc);
}
