/*
 * log_time: the first record so new is found, and the special timestamps mean what Kafka means by
 * them.
 */
#include <check.h>

#include "broker/log/log.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;

/* 200 batches of two records; record n has time 1000 * n. */
static void start(void)
{
    log_kit_init(&kit, NULL, NULL);
    kit.conf.index_interval_bytes = 300;
    kit.conf.segment_bytes = 3000;
    kit.conf.segment_ms = INT64_MAX;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .count = 2, .timestamp_ms = 1 + 1000 * i }, 3,
                           NULL),
            ERR_OK);
}

static void stop(void)
{
    log_kit_fini(&kit);
}

static void expect(int64_t timestamp_ms, int64_t offset, int64_t found_ms)
{
    struct log_found found;

    ck_assert_int_eq(log_find_timestamp(kit.log, timestamp_ms, &found), ERR_OK);
    ck_assert_int_eq(found.offset, offset);
    ck_assert_int_eq(found.timestamp_ms, found_ms);
    ck_assert_int_eq(found.leader_epoch, offset < 0 ? -1 : 3);
}

static void expect_all(void)
{
    expect(0, 0, 1);
    for (int i = 0; i < 200; i++) {
        expect(1 + 1000 * i, 2 * i, 1 + 1000 * i);
        expect(2 + 1000 * i, 2 * i + 1, 2 + 1000 * i);
        if (i > 0)
            expect(1000 * i, 2 * i, 1 + 1000 * i);
    }
    expect(199003, -1, -1);
    expect(LOG_MAX_TIMESTAMP, 399, 199002);
}

START_TEST(every_time_is_found)
{
    expect_all();
    log_kit_shut(&kit, true);
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    expect_all();
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    expect_all();
}
END_TEST

START_TEST(special_timestamps)
{
    expect(LOG_LATEST, 400, -1);
    expect(LOG_EARLIEST, 0, -1);
    expect(LOG_EARLIEST_LOCAL, 0, -1);
    expect(LOG_LATEST_TIERED, -1, -1);
    ck_assert(log_advance_start(kit.log, 101));
    expect(LOG_EARLIEST, 101, -1);
    expect(0, 101, 50002); /* nothing below the start */
}
END_TEST

START_TEST(an_empty_log_has_no_times)
{
    ck_assert_int_eq(log_truncate_fully_and_start_at(kit.log, 7), ERR_OK);
    expect(0, -1, -1);
    expect(LOG_MAX_TIMESTAMP, -1, -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_time");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, every_time_is_found);
    tcase_add_test(tc, special_timestamps);
    tcase_add_test(tc, an_empty_log_has_no_times);
    return unit_run(tc);
}
