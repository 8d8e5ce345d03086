/*
 * pick: how dirty, from where and up to where, and when it is time, as Kafka's cleaner decides.
 */
#include "broker/log/clean/pick.h"

#include <check.h>

#include "tests/kit/unit.h"

/* Four closed segments of ten records and 100 bytes, a second apart; the active one from 40 on. */
static struct pick_segment segments[4];
static struct pick_log input;

static void start(void)
{
    for (int i = 0; i < 4; i++)
        segments[i] = (struct pick_segment){ .base_offset = 10 * i,
                                             .size = 100,
                                             .largest_timestamp = 1000 * i + 900,
                                             .first_timestamp = 1000 * i + 100 };
    input = (struct pick_log){ .closed = segments,
                               .closed_count = 4,
                               .active_base = 40,
                               .cleaned_upto = -1,
                               .start = 0,
                               .leo = 45,
                               .stable = 45,
                               .now_ms = 10000,
                               .max_lag_ms = INT64_MAX,
                               .min_ratio = 0.5 };
}

START_TEST(a_log_never_compacted_is_all_dirty_but_the_active_segment)
{
    struct pick pick = pick_log(&input);

    ck_assert_int_eq(pick.first_dirty, 0);
    ck_assert_int_eq(pick.first_uncleanable, 40);
    ck_assert_int_eq(pick.clean_bytes, 0);
    ck_assert_int_eq(pick.cleanable_bytes, 400);
    ck_assert(pick.is_due && !pick.was_reset);
}
END_TEST

START_TEST(the_ratio_must_be_exceeded)
{
    input.cleaned_upto = 20;
    struct pick pick = pick_log(&input);

    ck_assert_int_eq(pick.clean_bytes, 200);
    ck_assert_int_eq(pick.cleanable_bytes, 200);
    ck_assert(!pick.is_due); /* one half is not more than one half */
    input.min_ratio = 0.49;
    ck_assert(pick_log(&input).is_due);
    input.cleaned_upto = 40;
    input.min_ratio = 0;
    pick = pick_log(&input);
    ck_assert(!pick.is_due); /* nothing to compact */
    ck_assert(pick_ratio(&pick) == 0);
}
END_TEST

START_TEST(nothing_unstable_is_compacted)
{
    input.stable = 25; /* in the middle of the third */
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 20);
    input.stable = 0;
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 0);
    ck_assert(!pick_log(&input).is_due);
    input.stable = 30;
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 30);
}
END_TEST

START_TEST(young_segments_wait)
{
    input.min_lag_ms = 10000 - 2000; /* up to 2000 is old enough */
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 20);
    segments[0].largest_timestamp = 9999; /* one young record holds up all behind it */
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 0);
    input.cleaned_upto = 10; /* in the clean part it does not count */
    ck_assert_int_eq(pick_log(&input).first_uncleanable, 20);
}
END_TEST

START_TEST(old_records_do_not_wait_for_the_ratio)
{
    input.cleaned_upto = 30;
    ck_assert(!pick_log(&input).is_due);
    input.max_lag_ms = 7000; /* due what is older than 3000; the dirty segment began at 3100 */
    ck_assert(!pick_log(&input).is_due);
    input.max_lag_ms = 6800;
    struct pick pick = pick_log(&input);

    ck_assert_int_eq(pick.delay_ms, 100);
    ck_assert(pick.is_due);
    input.stable = 30; /* overdue, but nothing may be touched */
    ck_assert(!pick_log(&input).is_due);
}
END_TEST

START_TEST(a_mark_outside_the_log_is_not_believed)
{
    input.start = 15;
    input.cleaned_upto = 10;
    struct pick pick = pick_log(&input);

    ck_assert(pick.was_reset);
    ck_assert_int_eq(pick.first_dirty, 15);
    ck_assert_int_eq(pick.clean_bytes, 200); /* the segment with the start in it counts for both */
    ck_assert_int_eq(pick.cleanable_bytes, 300);
    input.cleaned_upto = 46;
    pick = pick_log(&input);
    ck_assert(pick.was_reset);
    ck_assert_int_eq(pick.first_dirty, 15);
    input.cleaned_upto = 45;
    ck_assert(!pick_log(&input).was_reset);
}
END_TEST

START_TEST(a_log_with_only_an_active_segment_is_left_alone)
{
    input.closed_count = 0;
    input.active_base = 0;
    input.min_ratio = 0;
    struct pick pick = pick_log(&input);

    ck_assert_int_eq(pick.cleanable_bytes, 0);
    ck_assert_int_eq(pick.first_uncleanable, 0);
    ck_assert(!pick.is_due);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pick");

    tcase_add_checked_fixture(tc, start, NULL);
    tcase_add_test(tc, a_log_never_compacted_is_all_dirty_but_the_active_segment);
    tcase_add_test(tc, the_ratio_must_be_exceeded);
    tcase_add_test(tc, nothing_unstable_is_compacted);
    tcase_add_test(tc, young_segments_wait);
    tcase_add_test(tc, old_records_do_not_wait_for_the_ratio);
    tcase_add_test(tc, a_mark_outside_the_log_is_not_believed);
    tcase_add_test(tc, a_log_with_only_an_active_segment_is_left_alone);
    return unit_run(tc);
}
