/*
 * disorder: of two batches that do not go up the damaged one is found, in a dense log always, in
 * one with gaps when a neighbour of the two touches one of them; where nothing tells, neither is
 * trusted.
 */
#include "broker/log/disorder.h"

#include <check.h>

#include "tests/kit/unit.h"

/* Batches of ten records: 0 to 9, 10 to 19, 20 to 29, then 30. */
static struct disorder_case dense(void)
{
    return (struct disorder_case){ .before = 9,
                                   .first_base = 10,
                                   .first_last = 19,
                                   .second_base = 20,
                                   .second_last = 29,
                                   .behind = 30 };
}

static struct disorder_case moved(int64_t first_by, int64_t second_by)
{
    struct disorder_case it = dense();

    it.first_base += first_by;
    it.first_last = (int64_t)((uint64_t)it.first_last + (uint64_t)first_by); /* may wrap */
    it.second_base += second_by;
    it.second_last += second_by;
    return it;
}

static enum disorder judged(struct disorder_case it)
{
    return disorder_judge(&it);
}

START_TEST(neighbours_that_go_up_are_in_order)
{
    ck_assert_int_eq(judged(dense()), DISORDER_NONE);
    ck_assert_int_eq(judged(moved(-1, 0)), DISORDER_NONE); /* that is for the pair in front */
    ck_assert_int_eq(judged(moved(0, 1000)), DISORDER_NONE);
}
END_TEST

START_TEST(in_a_dense_log_the_damaged_one_is_found)
{
    for (int64_t by = 1; by < 100; by++) {
        ck_assert_int_eq(judged(moved(by, 0)), DISORDER_FIRST);
        ck_assert_int_eq(judged(moved(0, -by)), DISORDER_SECOND);
    }
    ck_assert_int_eq(judged(moved(INT64_MAX - 10, 0)),
                     DISORDER_NONE); /* it wraps: see log_verify */
    ck_assert_int_eq(judged(moved(INT64_MAX - 20, 0)), DISORDER_FIRST);
    ck_assert_int_eq(judged(moved(0, INT64_MIN)), DISORDER_SECOND);
}
END_TEST

START_TEST(without_what_is_in_front_what_is_behind_tells)
{
    struct disorder_case raised = moved(5, 0);
    struct disorder_case lowered = moved(0, -5);

    raised.before = DISORDER_NOT_KNOWN;
    lowered.before = DISORDER_NOT_KNOWN;
    ck_assert_int_eq(judged(raised), DISORDER_FIRST);
    ck_assert_int_eq(judged(lowered), DISORDER_EITHER);
    raised.behind = DISORDER_NOT_KNOWN;
    ck_assert_int_eq(judged(raised), DISORDER_EITHER);
}
END_TEST

START_TEST(without_what_is_behind_what_is_in_front_tells)
{
    struct disorder_case raised = moved(5, 0);
    struct disorder_case lowered = moved(0, -5);

    raised.behind = DISORDER_NOT_KNOWN;
    lowered.behind = DISORDER_NOT_KNOWN;
    ck_assert_int_eq(judged(raised), DISORDER_FIRST);
    ck_assert_int_eq(judged(lowered), DISORDER_SECOND);
}
END_TEST

START_TEST(gaps_on_both_sides_leave_it_open)
{
    struct disorder_case raised = moved(5, 0);
    struct disorder_case lowered = moved(0, -5);

    raised.before = lowered.before = 7;
    ck_assert_int_eq(judged(raised), DISORDER_FIRST); /* the second one touches what is behind */
    raised.behind = lowered.behind = 35;
    ck_assert_int_eq(judged(raised), DISORDER_EITHER);
    ck_assert_int_eq(judged(lowered), DISORDER_EITHER);
    lowered = moved(0, -15);
    lowered.before = 7;
    ck_assert_int_eq(judged(lowered), DISORDER_SECOND); /* below what is in front of both */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("disorder");

    tcase_add_test(tc, neighbours_that_go_up_are_in_order);
    tcase_add_test(tc, in_a_dense_log_the_damaged_one_is_found);
    tcase_add_test(tc, without_what_is_in_front_what_is_behind_tells);
    tcase_add_test(tc, without_what_is_behind_what_is_in_front_tells);
    tcase_add_test(tc, gaps_on_both_sides_leave_it_open);
    return unit_run(tc);
}
