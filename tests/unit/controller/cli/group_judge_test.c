/*
 * group_judge: each trouble from the two looks that show it, and which of several is told.
 */
#include "controller/cli/group_judge.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct part_look before, after;

static void set_up(void)
{
    before = (struct part_look){
        .at = { .committed = 40, .first = 0, .end = 100, .at_time = -1 },
        .is_there = true,
        .has_leader = true,
        .has_member = true,
    };
    after = before;
    after.at.committed = 90;
    after.at.end = 120;
}

static enum group_trouble judged(void)
{
    return group_judge_part(&before, &after, true, false);
}

START_TEST(a_member_that_catches_up_is_fine)
{
    ck_assert_int_eq(judged(), TROUBLE_NONE);
    before.at.committed = before.at.end = after.at.committed = after.at.end = 100;
    ck_assert_int_eq(judged(), TROUBLE_NONE); /* nothing came, nothing was to do */
    after.at.end = 130;
    ck_assert_int_eq(judged(), TROUBLE_NONE); /* what came since may still be on its way */
}
END_TEST

START_TEST(no_commit_with_records_unread_is_a_stall)
{
    after.at.committed = before.at.committed;
    ck_assert_int_eq(judged(), TROUBLE_STALLED);
    before.has_member = false; /* it has the partition since a moment only */
    ck_assert_int_eq(judged(), TROUBLE_NONE);
}
END_TEST

START_TEST(more_to_read_than_before_is_growth)
{
    after.at.end = 151;
    ck_assert_int_eq(judged(), TROUBLE_GROWING);
    after.at.end = 150;
    ck_assert_int_eq(judged(), TROUBLE_NONE);
}
END_TEST

START_TEST(a_partition_without_member)
{
    after.has_member = false;
    ck_assert_int_eq(judged(), TROUBLE_NO_MEMBER);
    ck_assert_int_eq(group_judge_part(&before, &after, false, false), TROUBLE_NONE);
    ck_assert_int_eq(group_judge_part(&before, &after, false, true), TROUBLE_ABANDONED);
    after.at.committed = after.at.end;
    ck_assert_int_eq(group_judge_part(&before, &after, false, true), TROUBLE_NONE);
}
END_TEST

START_TEST(what_is_wrong_with_the_log_comes_first)
{
    after.at.committed = before.at.committed;
    after.at.first = 41;
    ck_assert_int_eq(judged(), TROUBLE_LOST);
    after.at.first = 0;
    after.at.end = 39;
    ck_assert_int_eq(judged(), TROUBLE_BEYOND);
    after.has_leader = false;
    ck_assert_int_eq(judged(), TROUBLE_NO_LEADER);
    after.is_there = false;
    ck_assert_int_eq(judged(), TROUBLE_GONE);
}
END_TEST

START_TEST(loss_is_grave_and_lateness_is_not)
{
    ck_assert(group_trouble_is_grave(TROUBLE_LOST) && group_trouble_is_grave(TROUBLE_NO_LEADER));
    ck_assert(!group_trouble_is_grave(TROUBLE_STALLED) && !group_trouble_is_grave(TROUBLE_GONE));
    ck_assert_str_eq(group_trouble_word(TROUBLE_LOST), "lost");
    ck_assert_str_eq(group_trouble_word(TROUBLE_GONE), "gone");
    ck_assert_str_eq(group_trouble_word(TROUBLE_NONE), "none");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group_judge");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, a_member_that_catches_up_is_fine);
    tcase_add_test(tc, no_commit_with_records_unread_is_a_stall);
    tcase_add_test(tc, more_to_read_than_before_is_growth);
    tcase_add_test(tc, a_partition_without_member);
    tcase_add_test(tc, what_is_wrong_with_the_log_comes_first);
    tcase_add_test(tc, loss_is_grave_and_lateness_is_not);
    return unit_run(tc);
}
