/*
 * retain: oldest first, nothing uncommitted, never an empty active segment.
 */
#include "broker/log/retain.h"

#include <check.h>

#include "tests/kit/unit.h"

/* Four segments of ten records and 100 bytes each; the last is the active one. */
static struct retain_segment segments[4];
static struct retain_rules rules;

static void start(void)
{
    for (int i = 0; i < 4; i++)
        segments[i] = (struct retain_segment){ .base_offset = 10 * i,
                                               .size = 100,
                                               .largest_timestamp = 1000 * i };
    rules = (struct retain_rules){ .high_watermark = 40,
                                   .log_start = 0,
                                   .leo = 40,
                                   .now_ms = 3500,
                                   .retention_ms = -1,
                                   .retention_bytes = -1 };
}

START_TEST(without_rules_all_stay)
{
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 0);
}
END_TEST

START_TEST(what_is_below_the_start_goes)
{
    rules.log_start = 19;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 1);
    rules.log_start = 20;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 2);
    rules.log_start = 40;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 3);
}
END_TEST

START_TEST(the_log_never_drops_below_its_size)
{
    rules.retention_bytes = 250;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 1);
    rules.retention_bytes = 200;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 2);
    rules.retention_bytes = 0;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 4);
}
END_TEST

START_TEST(old_ones_go_and_the_first_young_one_stops)
{
    rules.retention_ms = 1500;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 2);
    segments[0].largest_timestamp = 9000; /* from the future */
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 0);
}
END_TEST

START_TEST(what_is_not_committed_stays)
{
    rules.retention_bytes = 0;
    rules.high_watermark = 19;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 1);
}
END_TEST

START_TEST(an_empty_active_segment_stays)
{
    rules.retention_bytes = 0;
    rules.retention_ms = 0;
    rules.leo = 30;
    segments[3].size = 0;
    ck_assert_uint_eq(retain_count(&rules, segments, 4), 3);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("retain");

    tcase_add_checked_fixture(tc, start, NULL);
    tcase_add_test(tc, without_rules_all_stay);
    tcase_add_test(tc, what_is_below_the_start_goes);
    tcase_add_test(tc, the_log_never_drops_below_its_size);
    tcase_add_test(tc, old_ones_go_and_the_first_young_one_stops);
    tcase_add_test(tc, what_is_not_committed_stays);
    tcase_add_test(tc, an_empty_active_segment_stays);
    return unit_run(tc);
}
