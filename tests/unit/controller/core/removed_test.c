/*
 * removed: topics whose znodes another hand took away without a mark. They go from the image, with
 * nothing said of their files; nobody is kept waiting for them; what was being written of them does
 * not bring them back; and a ZooKeeper that has lost everything takes nothing from a cluster that
 * runs.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2, 3));
}

/* 0: the controller's. */
static const struct image *image_of(int32_t id)
{
    return id == 0 ? core_image(toy.core) : toy.brokers[id].image;
}

static void remove_by_hand(const char *name)
{
    toy_topic(&toy, name)->there = false;
}

/* What the watch on the names finds. */
static void tell_names(void)
{
    struct str names[TOY_TOPICS];
    size_t n = 0;

    for (size_t i = 0; i < TOY_TOPICS; i++) {
        if (toy.topics[i].there)
            names[n++] = str_of(toy.topics[i].name);
    }
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { n, names } });
}

START_TEST(it_goes_from_the_image_and_no_file_is_deleted)
{
    struct uuid id = toy_topic(&toy, "t")->id;

    ck_assert_int_eq(toy_alter(&toy, "t", "retention.ms", "5"), ERR_OK);
    remove_by_hand("t");
    tell_names();
    for (int32_t i = 0; i <= 3; i++) {
        ck_assert_ptr_null(image_topic(image_of(i), id));
        ck_assert_ptr_null(image_config(image_of(i), STR("topics"), STR("t")));
        ck_assert_uint_eq(image_n_tombstones(image_of(i)), 0);
    }
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

/* Nothing has told of it before a state cannot be stored. */
START_TEST(a_write_finds_out)
{
    remove_by_hand("t");
    toy_kill(&toy, 3);
    SHOWS("u", 0, "1/1,2 1 1");
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 1);
    ck_assert_uint_lt(toy.n_writes, 20);
}
END_TEST

START_TEST(who_starts_again_is_not_kept_waiting)
{
    size_t writes;

    remove_by_hand("t");
    toy_kill(&toy, 3);
    writes = toy.n_writes;
    toy_start(&toy, 3);
    IS(3, NODE_LIVE);
    toy_start(&toy, 1); /* nobody has missed the one before */
    IS(1, NODE_LIVE);
    SHOWS("u", 0, "2/2 2 2");
    ck_assert_uint_lt(toy.n_writes - writes, 10);
}
END_TEST

START_TEST(it_can_be_made_again)
{
    struct uuid id = toy_topic(&toy, "t")->id;

    remove_by_hand("t");
    tell_names();
    toy_create(&toy, "t", 1, IDS(2, 3));
    ck_assert_int_eq(toy.errors[0], ERR_OK);
    SHOWS("t", 0, "2/2,3 0 0");
    ck_assert(!uuid_eq(toy_topic(&toy, "t")->id, id));
}
END_TEST

/* It was read before the topic was made. */
START_TEST(a_list_without_it_takes_nothing_away)
{
    struct str u = STR("u");

    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 1, &u } });
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 2);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(who_is_eligible_goes_with_it)
{
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "3"), ERR_OK);
    JOINS(1, "t", 0, IDS(1));
    remove_by_hand("t");
    tell_names();
    toy_kill(&toy, 3);
    SHOWS("u", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(a_zookeeper_that_has_lost_everything_is_not_believed)
{
    char name[16];

    for (int i = 2; i < TOY_TOPICS; i++) {
        snprintf(name, sizeof name, "x%d", i);
        toy_create(&toy, name, 1, IDS(1, 2, 3));
    }
    for (size_t i = 0; i < TOY_TOPICS; i++)
        toy.topics[i].there = false;
    tell_names();
    for (int32_t i = 0; i <= 3; i++)
        ck_assert_uint_eq(image_n_topics(image_of(i)), TOY_TOPICS);
    for (size_t i = 0; i < TOY_TOPICS; i++)
        toy.topics[i].there = true;
    tell_names();
}
END_TEST

START_TEST(one_now_and_then_is_believed_for_ever)
{
    for (int i = 0; i < 12; i++) {
        toy_create(&toy, "x", 1, IDS(1, 2, 3));
        ck_assert_int_eq(toy.errors[0], ERR_OK);
        remove_by_hand("x");
        toy_look(&toy, "x");
        ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 2);
        toy_advance(&toy, 3600000);
    }
}
END_TEST

/* The WRITE that is held is carried out, and its end is not told yet. */
static struct core_op_result results[64];

static void carry_out(void)
{
    ck_assert_ptr_nonnull(toy.held);
    ck_assert_uint_le(toy.held->n, ARRAY_LEN(results));
    for (size_t i = 0; i < toy.held->n; i++) {
        results[i] = toy_do(&toy, &toy.held->ops[i]);
        ck_assert_int_eq(results[i].err, ERR_OK);
    }
}

static void tell_results(void)
{
    struct core_write *write = toy.held;
    struct core_event ev = {
        .kind = CORE_WRITE_DONE,
        .write_done = { .batch = write->batch, .n = write->n, .results = results },
    };

    toy.held = NULL;
    free(write);
    toy_step(&toy, ev);
}

/* After what is held has been written, and before that is told. */
static void remove_meanwhile(const char *name)
{
    size_t n = image_n_topics(core_image(toy.core)) - 1;

    carry_out();
    remove_by_hand(name);
    tell_names();
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), n);
    tell_results();
    for (int32_t id = 0; id <= 2; id++)
        ck_assert_uint_eq(image_n_topics(image_of(id)), n);
    toy.hold = false;
    if (toy.held != NULL)
        toy_release(&toy);
}

START_TEST(a_state_that_was_written_does_not_bring_it_back)
{
    toy.hold = true;
    toy_kill(&toy, 3);
    remove_meanwhile("t");
    SHOWS("u", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(who_was_made_eligible_by_it_goes)
{
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "3"), ERR_OK);
    toy.hold = true;
    toy_propose(&toy, 1, "t", 0, IDS(1));
    remove_meanwhile("t");
    toy_kill(&toy, 3);
    SHOWS("u", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(a_move_that_was_written_does_not_bring_it_back)
{
    toy.hold = true;
    toy_reassign(&toy, "t", 1, IDS(3, 2));
    remove_meanwhile("t");
}
END_TEST

START_TEST(a_move_of_what_was_never_born_does_not_bring_it_back)
{
    toy_vanish(&toy, 3);
    toy_create(&toy, "v", 1, IDS(3));
    toy_topic(&toy, "v")->parts[0].has_state = false;
    toy_next_controller(&toy);
    toy.hold = true;
    toy_reassign(&toy, "v", 0, IDS(1));
    remove_meanwhile("v");
}
END_TEST

START_TEST(partitions_that_were_written_do_not_bring_it_back)
{
    toy.hold = true;
    ck_assert_int_eq(toy_grow(&toy, "t", 4), -99);
    remove_meanwhile("t");
}
END_TEST

/* As another hand does that knows nothing of us. */
static void make_by_hand(const char *name)
{
    struct toy_topic *made = toy_topic(&toy, "u"), *free_one = NULL;

    for (size_t i = 0; i < TOY_TOPICS && free_one == NULL; i++) {
        if (!toy.topics[i].there)
            free_one = &toy.topics[i];
    }
    ck_assert_ptr_nonnull(free_one);
    *free_one = *made;
    snprintf(free_one->name, sizeof free_one->name, "%s", name);
    free_one->id.bytes[0]++;
    free_one->parts[0].has_state = false;
}

/* The list of names that has it comes while the end of the old one is not told yet. */
START_TEST(a_topic_made_while_one_of_its_name_is_deleted_is_found)
{
    toy.hold = toy.hold_next = true;
    ck_assert_int_eq(toy_delete(&toy, "t"), -99);
    toy_release(&toy);
    toy.hold_next = false;
    carry_out();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    make_by_hand("t");
    tell_names();
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 1);
    toy.hold = false;
    tell_results();
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 2);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("removed");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, it_goes_from_the_image_and_no_file_is_deleted);
    tcase_add_test(tc, a_write_finds_out);
    tcase_add_test(tc, who_starts_again_is_not_kept_waiting);
    tcase_add_test(tc, it_can_be_made_again);
    tcase_add_test(tc, a_list_without_it_takes_nothing_away);
    tcase_add_test(tc, who_is_eligible_goes_with_it);
    tcase_add_test(tc, a_state_that_was_written_does_not_bring_it_back);
    tcase_add_test(tc, who_was_made_eligible_by_it_goes);
    tcase_add_test(tc, a_move_that_was_written_does_not_bring_it_back);
    tcase_add_test(tc, a_move_of_what_was_never_born_does_not_bring_it_back);
    tcase_add_test(tc, partitions_that_were_written_do_not_bring_it_back);
    tcase_add_test(tc, a_topic_made_while_one_of_its_name_is_deleted_is_found);
    tcase_add_test(tc, a_zookeeper_that_has_lost_everything_is_not_believed);
    tcase_add_test(tc, one_now_and_then_is_believed_for_ever);
    return unit_run(tc);
}
