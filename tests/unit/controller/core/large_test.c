/*
 * large: what does not fit into one request to ZooKeeper. A large topic's mark is stored before its
 * tombstones, whoever dies in between; many entries of eligible leaders go one by one before
 * anybody is told of the settings that void them; and what cannot be written at all is not tried
 * without end.
 */
#include <check.h>

#include "gen/wire/apis.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void little_room(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 3, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2, 3));
    toy.settings.together_max = 4;
    toy_new_core(&toy);
    toy_next_controller(&toy);
}

/* Of the WRITE that is held. */
static size_t ops_of(enum core_op_kind kind)
{
    size_t n = 0;

    ck_assert_ptr_nonnull(toy.held);
    for (size_t i = 0; i < toy.held->n; i++)
        n += toy.held->ops[i].kind == kind;
    return n;
}

static size_t groups(void)
{
    size_t n = 0;

    for (size_t i = 0; i < toy.held->n; i++)
        n += i == 0 || toy.held->ops[i].group != toy.held->ops[i - 1].group;
    return n;
}

static void hold_each(void)
{
    toy.hold = toy.hold_next = true;
}

static void let_go(void)
{
    toy.hold_next = false;
    toy_release(&toy);
}

static void delete_files(void)
{
    for (int32_t id = 1; id <= 3; id++)
        toy_delete_files(&toy, id);
}

/* ---- topics --------------------------------------------------------------------------------- */

START_TEST(the_mark_comes_first)
{
    hold_each();
    toy_delete(&toy, "t");
    ck_assert_uint_eq(toy.held->n, 1);
    ck_assert_uint_eq(ops_of(OP_MARK_CREATE), 1);
    toy_release(&toy);
    ck_assert_uint_eq(ops_of(OP_TOMBSTONES_SET), 3);
    ck_assert_uint_eq(groups(), 3); /* none of them larger than what one broker has of it */
    ck_assert_ptr_nonnull(image_topic_named(toy.brokers[1].image, STR("t")));
    toy_release(&toy);
    STONES("t", "1:0@0 1:1@0 1:2@0 2:0@0 2:1@0 2:2@0 3:0@0 3:1@0 3:2@0");
    ck_assert_ptr_null(image_topic_named(toy.brokers[1].image, STR("t")));
    ck_assert_uint_eq(ops_of(OP_TOPIC_DELETE), 1);
    let_go();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_marks, 0);
    delete_files();
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(what_fits_is_stored_at_once)
{
    hold_each();
    toy_delete(&toy, "u");
    ck_assert_uint_eq(ops_of(OP_MARK_CREATE), 1);
    ck_assert_uint_eq(ops_of(OP_TOMBSTONES_SET), 3);
    ck_assert_uint_eq(groups(), 1);
    let_go();
    ck_assert_ptr_null(toy_topic(&toy, "u"));
    delete_files();
}
END_TEST

/* The controller dies with some of it stored. */
static void delete_in_part(size_t groups_done)
{
    toy.hold_next = true;
    toy.hold = true;
    toy_delete(&toy, "t");
    if (groups_done > 0) {
        toy_release(&toy);
        toy.cut = groups_done;
    }
    toy_release(&toy);
    toy_new_core(&toy);
}

START_TEST(the_next_controller_goes_on_from_the_mark)
{
    delete_in_part(0);
    ck_assert_uint_eq(toy.n_marks, 1);
    ck_assert_uint_eq(toy.n_stones, 0);
    toy_next_controller(&toy);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 9);
    delete_files();
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(the_next_controller_goes_on_from_some_tombstones)
{
    struct uuid id = toy_topic(&toy, "t")->id;

    delete_in_part(1);
    STONES("t", "1:0@0 1:1@0 1:2@0");
    toy.hold = true;
    toy_next_controller(&toy); /* all live that are to go: no image without all of it stored */
    toy_delete_files(&toy, 1); /* and nobody deletes what the image still gives to it */
    ck_assert_ptr_nonnull(image_topic(core_image(toy.core), id));
    let_go();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(toy.n_stones, 9);
    delete_files();
    ck_assert_uint_eq(toy.n_stones, 0);
}
END_TEST

START_TEST(a_controller_that_deletes_none_takes_them_back)
{
    delete_in_part(2);
    STONES("t", "1:0@0 1:1@0 1:2@0 2:0@0 2:1@0 2:2@0");
    toy.settings.delete_topic_enable = false;
    toy_new_core(&toy);
    toy_next_controller(&toy);
    SHOWS("t", 2, "1/1,2,3 0 0");
    ck_assert_uint_eq(toy.n_marks, 0);
    ck_assert_uint_eq(toy.n_stones, 0);
    for (int32_t id = 1; id <= 3; id++)
        ck_assert_uint_eq(image_n_tombstones(toy.brokers[id].image), 0);
}
END_TEST

START_TEST(tombstones_that_cannot_be_stored_are_not_tried_without_end)
{
    size_t writes;

    toy.fails[OP_TOMBSTONES_SET] = true;
    toy_delete(&toy, "t");
    writes = toy.n_writes;
    toy_advance(&toy, 20000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 12);
    ck_assert_ptr_nonnull(image_topic_named(toy.brokers[1].image, STR("t")));
    toy.fails[OP_TOMBSTONES_SET] = false;
    toy_advance(&toy, 11000);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    delete_files();
}
END_TEST

START_TEST(znodes_that_do_not_go_are_not_tried_without_end)
{
    size_t writes;

    toy.fails[OP_TOPIC_DELETE] = true;
    toy_delete(&toy, "u");
    writes = toy.n_writes;
    toy_advance(&toy, 20000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 12);
    toy.fails[OP_TOPIC_DELETE] = false;
    toy_advance(&toy, 11000);
    ck_assert_ptr_null(toy_topic(&toy, "u"));
    delete_files();
}
END_TEST

START_TEST(a_wish_that_does_not_go_is_not_tried_without_end)
{
    size_t writes;

    toy.fails[OP_MOVES_SET] = true;
    toy_want_move(&toy, "nobody", 0, IDS(1));
    writes = toy.n_writes;
    toy_advance(&toy, 20000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 12);
    toy.fails[OP_MOVES_SET] = false;
    toy_advance(&toy, 11000);
    ck_assert(!toy.moves.there);
}
END_TEST

/* ---- eligible leaders ----------------------------------------------------------------------- */

#define ENTRIES(text)                                                                              \
    for (int32_t p_ = 0; p_ < 5; p_++)                                                             \
    ck_assert_str_eq(toy_eligible(&toy, "e", p_), text)

static void many_entries(void)
{
    toy_create(&toy, "e", 5, IDS(1, 2));
    toy_set_config(&toy, "topics", "e", "min.insync.replicas", "2");
    toy_kill(&toy, 2);
    ENTRIES("2");
}

/* What is stored was not told to anybody: who becomes the controller in between may still go by
 * the entries. */
START_TEST(many_entries_go_when_the_settings_are_stored)
{
    many_entries();
    hold_each();
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "1"), -99);
    ck_assert_uint_eq(ops_of(OP_CONFIG_SET), 1);
    ck_assert_uint_eq(ops_of(OP_ELIGIBLE_SET), 0);
    toy_release(&toy);
    ENTRIES("2");
    ck_assert_str_eq(toy_setting(&toy, 1, "e", "min.insync.replicas").ptr, "2");
    ck_assert_uint_eq(ops_of(OP_ELIGIBLE_SET), 5);
    ck_assert_uint_eq(toy.held->n, 5);
    ck_assert_uint_eq(groups(), 5);
    let_go();
    ENTRIES("");
    ck_assert_int_eq(toy.errors[0], ERR_OK);
    ck_assert_str_eq(toy_setting(&toy, 1, "e", "min.insync.replicas").ptr, "1");
}
END_TEST

START_TEST(a_request_that_is_refused_takes_no_entries)
{
    many_entries();
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "x"), ERR_INVALID_CONFIG);
    ENTRIES("2");
}
END_TEST

START_TEST(and_when_another_hand_has_stored_them)
{
    many_entries();
    toy_set_config(&toy, "topics", "e", "min.insync.replicas", "1");
    ENTRIES("");
    ck_assert_str_eq(toy_setting(&toy, 1, "e", "min.insync.replicas").ptr, "1");
}
END_TEST

START_TEST(entries_that_do_not_go_hold_the_settings_up)
{
    size_t writes;

    many_entries();
    toy.fails[OP_ELIGIBLE_SET] = true;
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "1"), -99);
    writes = toy.n_writes;
    toy_advance(&toy, 10000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 16);
    ck_assert_str_eq(toy_setting(&toy, 1, "e", "min.insync.replicas").ptr, "2");
    toy_create(&toy, "v", 1, IDS(1)); /* nobody else waits */
    ck_assert_int_eq(toy.errors[0], ERR_OK);
    toy.fails[OP_ELIGIBLE_SET] = false;
    toy_advance(&toy, 2000);
    ENTRIES("");
    ck_assert_str_eq(toy_setting(&toy, 1, "e", "min.insync.replicas").ptr, "1");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("large");

    tcase_add_checked_fixture(tc, little_room, core_kit_end);
    tcase_add_test(tc, the_mark_comes_first);
    tcase_add_test(tc, what_fits_is_stored_at_once);
    tcase_add_test(tc, the_next_controller_goes_on_from_the_mark);
    tcase_add_test(tc, the_next_controller_goes_on_from_some_tombstones);
    tcase_add_test(tc, a_controller_that_deletes_none_takes_them_back);
    tcase_add_test(tc, tombstones_that_cannot_be_stored_are_not_tried_without_end);
    tcase_add_test(tc, znodes_that_do_not_go_are_not_tried_without_end);
    tcase_add_test(tc, a_wish_that_does_not_go_is_not_tried_without_end);
    tcase_add_test(tc, many_entries_go_when_the_settings_are_stored);
    tcase_add_test(tc, a_request_that_is_refused_takes_no_entries);
    tcase_add_test(tc, and_when_another_hand_has_stored_them);
    tcase_add_test(tc, entries_that_do_not_go_hold_the_settings_up);
    return unit_run(tc);
}
