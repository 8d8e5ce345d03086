/*
 * log_time: the first record so new is found, and the special timestamps mean what Kafka means by
 * them.
 */
#include <check.h>
#include <stdlib.h>

#include "broker/log/log.h"
#include "common/base/mem.h"
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

static void expect_old(int64_t timestamp_ms, int64_t now_ms, int32_t max, size_t n,
                       const int64_t *wanted)
{
    int64_t *offsets;
    size_t count;

    ck_assert_int_eq(log_offsets_before(kit.log, timestamp_ms, now_ms, max, &offsets, &count),
                     ERR_OK);
    ck_assert_uint_eq(count, n);
    for (size_t i = 0; i < n; i++)
        ck_assert_int_eq(offsets[i], wanted[i]);
    free(offsets);
}

static void change_at(int64_t base_offset, int64_t mtime_ms)
{
    char *path = xasprintf("%s/t-0/%020lld.log", kit.env.dir, (long long)base_offset);

    ck_assert_int_eq(disk_set_mtime(kit.env.disk, path, mtime_ms), ERR_OK);
    free(path);
}

/* Segments at 0, 2, 4, 6 and 8, which were changed at 1000, 2000, ...; the end is of now. */
START_TEST(old_clients_are_told_segments)
{
    const int64_t all[] = { 9, 8, 6, 4, 2, 2 }; /* the first begins below the start */
    int64_t *offsets;
    size_t count;

    ck_assert_int_eq(log_truncate_fully_and_start_at(kit.log, 0), ERR_OK);
    kit.conf.segment_bytes = 160;
    log_set_conf(kit.log, &kit.conf);
    expect_old(LOG_LATEST, 5000, 10, 1, (int64_t[]){ 0 }); /* empty: only where it begins */
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .count = 1, .value_bytes = 1 }, 3, NULL),
            ERR_OK);
    ck_assert(log_advance_start(kit.log, 2));
    for (int64_t base = 0; base < 10; base += 2)
        change_at(base, 1000 + 500 * base);
    expect_old(LOG_LATEST, 9000, 10, 6, all);
    expect_old(LOG_LATEST, 9000, 2, 2, all);
    expect_old(LOG_LATEST, 9000, 0, 0, all);
    expect_old(LOG_EARLIEST, 9000, 10, 1, &all[5]);
    expect_old(9000, 9000, 10, 6, all);
    expect_old(8999, 9000, 10, 5, &all[1]);
    expect_old(3000, 9000, 10, 3, &all[3]);
    expect_old(2999, 9000, 1, 1, &all[4]);
    expect_old(999, 9000, 10, 0, all);
    ck_assert_int_eq(log_offsets_before(kit.log, LOG_LATEST, 0, -1, &offsets, &count),
                     ERR_UNKNOWN_SERVER_ERROR);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_time");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, every_time_is_found);
    tcase_add_test(tc, special_timestamps);
    tcase_add_test(tc, an_empty_log_has_no_times);
    tcase_add_test(tc, old_clients_are_told_segments);
    return unit_run(tc);
}
