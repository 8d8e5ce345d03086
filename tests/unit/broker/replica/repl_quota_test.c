/*
 * repl_quota: nobody waits without a limit, a raised limit is seen soon, and no wait is so short
 * that looking again and again would keep a thread busy.
 */
#include "broker/replica/repl_quota.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct repl_quota *quota;
static int64_t limit;
static int asked;

static int64_t limit_now(void *ctx)
{
    (void)ctx;
    asked++;
    return limit;
}

static void setup(void)
{
    struct repl_quota_conf conf = { .samples = 11, .span_s = 1, .limit = limit_now };

    quota = repl_quota_new(&conf);
    limit = INT64_MAX;
    asked = 0;
}

static void teardown(void)
{
    repl_quota_free(&quota);
}

START_TEST(without_a_limit_nobody_waits)
{
    repl_quota_add(quota, 1u << 30, 1000);
    ck_assert_int_eq(repl_quota_wait_ms(quota, 1000), 0);
    ck_assert_int_eq(repl_quota_rate(quota, 1000), 1 << 30);
}
END_TEST

START_TEST(waits_are_neither_short_nor_long)
{
    limit = 1000;
    ck_assert_int_eq(repl_quota_wait_ms(quota, 1000), 0);
    repl_quota_add(quota, 1001, 1000);
    ck_assert_int_eq(repl_quota_wait_ms(quota, 1999), 10);
    ck_assert_int_eq(repl_quota_wait_ms(quota, 2002), 0);
    repl_quota_add(quota, 1000000, 2002);
    ck_assert_int_eq(repl_quota_wait_ms(quota, 2002), 500);
}
END_TEST

START_TEST(a_limit_that_changes_is_seen_soon_and_not_asked_for_each_time)
{
    limit = 1000;
    repl_quota_add(quota, 5000, 1000);
    for (int ms = 0; ms < 100; ms++)
        ck_assert_int_gt(repl_quota_wait_ms(quota, 1000 + ms), 0);
    ck_assert_int_eq(asked, 1);
    limit = 6000;
    ck_assert_int_eq(repl_quota_wait_ms(quota, 1100), 0);
    ck_assert_int_eq(asked, 2);
}
END_TEST

START_TEST(the_time_of_two_threads_may_differ)
{
    limit = 1000;
    repl_quota_add(quota, 3000, 5000);
    repl_quota_add(quota, 3000, 4990);
    ck_assert_int_eq(repl_quota_rate(quota, 4980), 6000);
    ck_assert_int_gt(repl_quota_wait_ms(quota, 4970), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("repl_quota");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, without_a_limit_nobody_waits);
    tcase_add_test(tc, waits_are_neither_short_nor_long);
    tcase_add_test(tc, a_limit_that_changes_is_seen_soon_and_not_asked_for_each_time);
    tcase_add_test(tc, the_time_of_two_threads_may_differ);
    return unit_run(tc);
}
