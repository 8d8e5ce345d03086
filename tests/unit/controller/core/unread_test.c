/*
 * unread: topics whose own znode cannot be read. What is known of one goes on, and is written over
 * the znode; of one that nothing is known of nobody hears, nobody takes its name, and it comes when
 * it can be read. None of them keeps another waiting.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(2, 3, 1));
}

static void garble(const char *name)
{
    toy_topic(&toy, name)->is_garbled = true;
    toy_topic(&toy, name)->version++;
}

/* Another hand gives it an ACL: the data may be what they were. */
static void forbid(const char *name)
{
    toy_topic(&toy, name)->is_forbidden = true;
}

static int32_t shown_version(const char *name)
{
    return image_topic_named(core_image(toy.core), str_of(name))->version;
}

static bool is_shown(const char *name)
{
    return image_topic_named(core_image(toy.core), str_of(name)) != NULL;
}

static void read_everything_again(const char *topic)
{
    toy.lose = TOY_LOSE_BEFORE;
    toy_create(&toy, topic, 1, IDS(1));
}

START_TEST(what_is_known_is_written_over_it)
{
    size_t writes = toy.n_writes;

    garble("t");
    toy_look(&toy, "t");
    ck_assert(!toy_topic(&toy, "t")->is_garbled);
    ck_assert_int_eq(toy_topic(&toy, "t")->version, 2);
    ck_assert_int_eq(shown_version("t"), 2);
    ASSIGNS("t", 0, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 0 0"); /* nothing has happened to its states */
    ck_assert_uint_eq(toy.n_writes, writes + 1);
}
END_TEST

/* _i: it leaves a partition no replica, or names one that no broker can be. */
START_TEST(what_no_image_can_hold_is_as_good_as_garbage)
{
    struct toy_part *part = &toy_topic(&toy, "t")->parts[0];

    if (_i == 0)
        part->n_replicas = 0;
    else
        part->replicas[0] = -1;
    toy_topic(&toy, "t")->version++;
    toy_look(&toy, "t");
    ASSIGNS("t", 0, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

/* Nobody has looked before a write of ours meets another version. */
START_TEST(a_write_finds_out)
{
    garble("t");
    ck_assert_int_ne(toy_grow(&toy, "t", 2), ERR_OK);
    ck_assert(!toy_topic(&toy, "t")->is_garbled);
    ck_assert_uint_eq(toy_topic(&toy, "t")->n_parts, 1);
    ck_assert_int_eq(toy_grow(&toy, "t", 2), ERR_OK);
    SHOWS("t", 1, "2/2,3,1 0 0");
}
END_TEST

/* _i: found when everything is read once more. */
START_TEST(a_move_that_is_under_way_is_kept)
{
    toy_create(&toy, "v", 1, IDS(1, 2));
    MOVES("v", 0, IDS(3, 1));
    ASSIGNS("v", 0, "3,1,2 +3 -2");
    garble("v");
    if (_i == 0)
        toy_look(&toy, "v");
    else
        read_everything_again("w");
    ck_assert(!toy_topic(&toy, "v")->is_garbled);
    ASSIGNS("v", 0, "3,1,2 +3 -2");
    JOINS(1, "v", 0, IDS(1, 2, 3));
    toy_advance(&toy, 11000);
    ASSIGNS("v", 0, "3,1");
}
END_TEST

START_TEST(all_goes_on_while_it_cannot_be_written)
{
    size_t writes;

    toy.fails[OP_TOPIC_SET] = true;
    garble("t");
    toy_look(&toy, "t");
    ck_assert_int_eq(shown_version("t"), 0); /* a standby goes by what could be read */
    ck_assert_int_eq(core_topic_version(toy.core, toy_topic(&toy, "t")->id), 1);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    SHOWS("u", 0, "2/2,3 1 1");
    writes = toy.n_writes;
    toy_advance(&toy, 60000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 24);
    toy.fails[OP_TOPIC_SET] = false;
    toy_advance(&toy, 11000);
    ck_assert(!toy_topic(&toy, "t")->is_garbled);
    ASSIGNS("t", 0, "1,2,3");
}
END_TEST

/* Whoever has given it an ACL wants nobody to touch it. */
START_TEST(one_that_must_not_be_read_is_left_as_it_is)
{
    size_t writes = toy.n_writes;

    forbid("t");
    toy_look(&toy, "t");
    read_everything_again("v");
    toy_advance(&toy, 60000);
    ck_assert_int_eq(toy_topic(&toy, "t")->version, 0);
    ck_assert_int_eq(shown_version("t"), 0);
    ck_assert_uint_lt(toy.n_writes - writes, 8);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy_known(&toy, 2, "t", 0)->leader, 2);
}
END_TEST

START_TEST(it_goes_on_when_everything_is_read_once_more)
{
    struct toy_part *part = &toy_topic(&toy, "t")->parts[0];

    garble("t");
    part->state.leader_epoch = 5; /* and a state is another one by now */
    part->state.partition_epoch++;
    read_everything_again("v");
    ck_assert(!toy_topic(&toy, "t")->is_garbled);
    ASSIGNS("t", 0, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 5 1");
    ck_assert_int_eq(toy_known(&toy, 2, "t", 0)->leader_epoch, 5);
}
END_TEST

/* ---- what nothing is known of ---- */

/* A topic that no controller has led: another hand has written something. */
static void put_garbage(const char *name)
{
    struct toy_topic *topic = toy.topics;

    while (topic->there)
        topic++;
    memset(topic, 0, sizeof *topic);
    topic->there = topic->is_garbled = true;
    topic->id = (struct uuid){ .bytes = { 7 } };
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->n_parts = 1;
    topic->parts[0].replicas[0] = 3;
    topic->parts[0].n_replicas = 1;
}

static void tell_names(void)
{
    struct str names[] = { STR("t"), STR("u"), STR("g") };

    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 3, names } });
}

static void tell_marks(void)
{
    struct str name = STR("g");

    toy_step(&toy, (struct core_event){ .kind = CORE_DELETE_MARKS, .names = { 1, &name } });
}

/* _i: it was there before the controller came, which must not matter. */
static void meet_garbage(int there_before)
{
    put_garbage("g");
    if (there_before == 0)
        tell_names();
    else
        toy_next_controller(&toy);
    ck_assert(!is_shown("g"));
    ck_assert(is_shown("t"));
}

START_TEST(nobody_hears_of_it_and_all_goes_on)
{
    size_t writes;

    meet_garbage(_i);
    writes = toy.n_writes;
    toy_advance(&toy, 60000);
    ck_assert_uint_eq(toy.n_writes, writes);
    ck_assert(toy_topic(&toy, "g")->is_garbled);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    toy_start(&toy, 1);
    JOINS(2, "t", 0, IDS(2, 3, 1));
}
END_TEST

START_TEST(nobody_takes_its_name)
{
    meet_garbage(_i);
    toy_create(&toy, "g", 1, IDS(1));
    ck_assert_int_eq(toy.errors[0], ERR_TOPIC_ALREADY_EXISTS);
    ck_assert(toy_topic(&toy, "g")->is_garbled);
    toy_advance(&toy, 11000); /* it is still looked for */
    toy_create(&toy, "g", 1, IDS(1));
    ck_assert_int_eq(toy.errors[0], ERR_TOPIC_ALREADY_EXISTS);
    toy_topic(&toy, "g")->there = false;
    toy_advance(&toy, 11000);
    toy_create(&toy, "g", 1, IDS(1));
    ck_assert_int_eq(toy.errors[0], ERR_OK);
    SHOWS("g", 0, "1/1 0 0");
}
END_TEST

START_TEST(it_comes_when_it_can_be_read)
{
    meet_garbage(_i);
    toy_topic(&toy, "g")->is_garbled = false;
    toy_topic(&toy, "g")->version++;
    toy_advance(&toy, 11000);
    SHOWS("g", 0, "3/3 0 0");
    toy_create(&toy, "g", 1, IDS(1));
    ck_assert_int_eq(toy.errors[0], ERR_TOPIC_ALREADY_EXISTS);
}
END_TEST

START_TEST(a_mark_takes_it_away)
{
    meet_garbage(_i);
    snprintf(toy.marks[toy.n_marks++], sizeof toy.marks[0], "g");
    tell_marks();
    ck_assert_ptr_null(toy_topic(&toy, "g"));
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(a_mark_means_nothing_where_no_topic_is_deleted)
{
    toy.settings.delete_topic_enable = false;
    toy_new_core(&toy);
    toy_next_controller(&toy);
    meet_garbage(_i);
    snprintf(toy.marks[toy.n_marks++], sizeof toy.marks[0], "g");
    tell_marks();
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert(toy_topic(&toy, "g")->is_garbled);
}
END_TEST

/* ---- what has the id of another ---- */

/* Another hand copies the znode of t, with the states or without. */
static void copy_t(const char *name, bool with_states)
{
    struct toy_topic *topic = toy.topics;

    while (topic->there)
        topic++;
    *topic = *toy_topic(&toy, "t");
    snprintf(topic->name, sizeof topic->name, "%s", name);
    topic->parts[0].state.isr.at = topic->parts[0].isr;
    topic->parts[0].has_state = with_states;
}

static void t_is_shown_alone(const char *copy)
{
    ck_assert(is_shown("t"));
    ck_assert(!is_shown(copy));
    toy_create(&toy, copy, 1, IDS(1));
    ck_assert_int_eq(toy.errors[0], ERR_TOPIC_ALREADY_EXISTS);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_ptr_null(image_topic_named(toy.brokers[2].image, str_of(copy)));
    toy_advance(&toy, 30000);
    ck_assert(!is_shown(copy));
    toy_topic(&toy, copy)->there = false;
    toy_advance(&toy, 11000);
    toy_create(&toy, copy, 1, IDS(2));
    ck_assert_int_eq(toy.errors[0], ERR_OK);
}

START_TEST(a_copy_of_a_known_topic_is_left_out)
{
    copy_t("g", _i == 1);
    tell_names();
    t_is_shown_alone("g");
}
END_TEST

/* _i: who is known, when everything is read once more; who has states; who is the first. */
START_TEST(of_two_with_one_id_that_are_loaded_one_is_left_out)
{
    const char *copy = _i == 2 ? "x" : "a";

    copy_t(copy, _i != 1);
    if (_i == 0)
        read_everything_again("v");
    else
        toy_new_core(&toy);
    if (_i > 0)
        toy_next_controller(&toy);
    t_is_shown_alone(copy);
}
END_TEST

/* Renamed by hand: the old name goes. */
START_TEST(a_copy_takes_the_place_of_one_that_is_gone)
{
    struct str names[] = { STR("u"), STR("g") };

    copy_t("g", true);
    tell_names();
    toy_topic(&toy, "t")->there = false;
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 2, names } });
    toy_advance(&toy, 11000);
    ck_assert(is_shown("g"));
    SHOWS("g", 0, "1/1,2,3 0 0");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("unread");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, what_is_known_is_written_over_it);
    tcase_add_loop_test(tc, what_no_image_can_hold_is_as_good_as_garbage, 0, 2);
    tcase_add_test(tc, a_write_finds_out);
    tcase_add_loop_test(tc, a_move_that_is_under_way_is_kept, 0, 2);
    tcase_add_test(tc, all_goes_on_while_it_cannot_be_written);
    tcase_add_test(tc, one_that_must_not_be_read_is_left_as_it_is);
    tcase_add_test(tc, it_goes_on_when_everything_is_read_once_more);
    tcase_add_loop_test(tc, nobody_hears_of_it_and_all_goes_on, 0, 2);
    tcase_add_loop_test(tc, nobody_takes_its_name, 0, 2);
    tcase_add_loop_test(tc, it_comes_when_it_can_be_read, 0, 2);
    tcase_add_loop_test(tc, a_mark_takes_it_away, 0, 2);
    tcase_add_loop_test(tc, a_mark_means_nothing_where_no_topic_is_deleted, 0, 2);
    tcase_add_loop_test(tc, a_copy_of_a_known_topic_is_left_out, 0, 2);
    tcase_add_loop_test(tc, of_two_with_one_id_that_are_loaded_one_is_left_out, 0, 3);
    tcase_add_test(tc, a_copy_takes_the_place_of_one_that_is_gone);
    return unit_run(tc);
}
