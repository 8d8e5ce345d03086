/*
 * epochs: both columns stay strictly increasing, and the end of an epoch is found as Kafka finds
 * it.
 */
#include "broker/log/epochs.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct epochs epochs;

static void start(void)
{
    epochs_init(&epochs);
    ck_assert(epochs_assign(&epochs, 2, 0));
    ck_assert(epochs_assign(&epochs, 4, 10));
    ck_assert(epochs_assign(&epochs, 7, 25));
}

static void stop(void)
{
    epochs_fini(&epochs);
}

static void expect_end(int32_t epoch, int32_t want_epoch, int64_t want_offset)
{
    struct epoch_end end = epochs_end_of(&epochs, epoch, 40);

    ck_assert_int_eq(end.epoch, want_epoch);
    ck_assert_int_eq(end.end_offset, want_offset);
}

START_TEST(ends_are_where_the_next_epoch_starts)
{
    expect_end(-1, -1, -1);
    expect_end(1, 1, 0); /* its data is gone: go on from the first that is known */
    expect_end(2, 2, 10);
    expect_end(3, 2, 10); /* the largest below */
    expect_end(4, 4, 25);
    expect_end(7, 7, 40);  /* the latest ends with the log */
    expect_end(8, -1, -1); /* above all */
}
END_TEST

START_TEST(assigning_again_changes_nothing)
{
    ck_assert(!epochs_assign(&epochs, 7, 30));
    ck_assert_uint_eq(epochs.count, 3);
}
END_TEST

START_TEST(an_assignment_drops_what_contradicts_it)
{
    ck_assert(
        epochs_assign(&epochs, 8, 10)); /* at the start of 4: 4 and 7 wrote nothing that is left */
    ck_assert_uint_eq(epochs.count, 2);
    ck_assert(epochs_assign(&epochs, 3, 12));
    ck_assert_uint_eq(epochs.count, 2);
    ck_assert_int_eq(epochs_latest(&epochs), 3);
}
END_TEST

START_TEST(both_ends_can_be_cut)
{
    ck_assert(!epochs_truncate_from_end(&epochs, 26));
    ck_assert(epochs_truncate_from_end(&epochs, 25));
    ck_assert_int_eq(epochs_latest(&epochs), 4);
    ck_assert(!epochs_truncate_from_start(&epochs, 0));
    ck_assert(epochs_truncate_from_start(&epochs, 5));
    ck_assert_int_eq(epochs.entries[0].epoch, 2);
    ck_assert_int_eq(epochs.entries[0].start_offset, 5);
    ck_assert(epochs_truncate_from_start(&epochs, 12));
    ck_assert_uint_eq(epochs.count, 1);
    ck_assert_int_eq(epochs.entries[0].epoch, 4);
    ck_assert_int_eq(epochs.entries[0].start_offset, 12);
}
END_TEST

START_TEST(an_offset_knows_its_epoch)
{
    ck_assert_int_eq(epochs_at(&epochs, 9), 2);
    ck_assert_int_eq(epochs_at(&epochs, 10), 4);
    ck_assert_int_eq(epochs_at(&epochs, 1000), 7);
    epochs_clear(&epochs);
    ck_assert_int_eq(epochs_at(&epochs, 0), -1);
    ck_assert_int_eq(epochs_latest(&epochs), -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("epochs");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, ends_are_where_the_next_epoch_starts);
    tcase_add_test(tc, assigning_again_changes_nothing);
    tcase_add_test(tc, an_assignment_drops_what_contradicts_it);
    tcase_add_test(tc, both_ends_can_be_cut);
    tcase_add_test(tc, an_offset_knows_its_epoch);
    return unit_run(tc);
}
