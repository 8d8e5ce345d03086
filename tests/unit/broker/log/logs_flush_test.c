/*
 * logs_flush: whatever comes in, a start after a crash has a bounded number of bytes to read, and
 * finds the producers of what it does not read.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/logs.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define BOUND (256 << 10)
#define NEVER (INT64_MAX / 4)
#define LOGS  3

static struct logs *logs;
static struct logs_options options;
static const char *path;
static int64_t wall_ms, now_ms;

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->producer_expiration_ms = 60000;
}

static void start(int64_t bound)
{
    path = unit_temp_dir();
    wall_ms = clock_wall_ms();
    now_ms = clock_mono_ms(); /* what is due is counted from the start */
    options = (struct logs_options){ .dirs = &path,
                                     .dir_count = 1,
                                     .broker_id = 1,
                                     .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA",
                                     .no_threads = true,
                                     .conf_of = conf_of,
                                     .flush_check_ms = NEVER,
                                     .checkpoint_ms = NEVER,
                                     .start_checkpoint_ms = NEVER,
                                     .producer_check_ms = 1000,
                                     .unscanned_max_bytes = bound };
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}

static struct log *make(int partition)
{
    const struct uuid id = { .bytes = { 1 } };
    struct log *log;

    ck_assert_int_eq(logs_create(logs, "t", partition, id, true, NULL, &log), ERR_OK);
    return log;
}

static void append(struct log *log, int64_t producer, int sequence)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    kit_batch_put(&buf, &(struct kit_batch){ .value_bytes = 4000,
                                             .timestamp_ms = wall_ms,
                                             .producer_id = producer,
                                             .base_sequence = sequence });
    ck_assert_int_eq(log_append_leader(log, buf.bytes, buf.len, 0, LOG_FROM_CLIENT, wall_ms, &out),
                     ERR_OK);
    buf_fini(&buf);
}

static void tick(int64_t ms)
{
    wall_ms += ms;
    now_ms += ms;
    logs_tick(logs, wall_ms, now_ms);
}

static int64_t unsaved_bytes(struct log *const *all)
{
    int64_t sum = 0;

    for (int i = 0; i < LOGS; i++) {
        int64_t unflushed;
        int64_t unsaved;

        log_unscanned(all[i], &unflushed, &unsaved);
        ck_assert_int_le(unflushed, unsaved);
        sum += unsaved;
    }
    return sum;
}

static int64_t saved_point(int partition)
{
    struct checkpoint points;
    char *file = xasprintf("%s/" RECOVERY_POINT_FILE, path);

    ck_assert_int_eq(checkpoint_read(disk_posix(), file, &points), ERR_OK);
    int64_t point = checkpoint_find(&points, "t", partition);

    checkpoint_fini(&points);
    free(file);
    return point;
}

START_TEST(what_a_start_has_to_read_is_bounded)
{
    struct log *all[LOGS];
    int sequences[LOGS] = { 0 };
    int64_t most = 0;

    start(BOUND);
    for (int i = 0; i < LOGS; i++)
        all[i] = make(i);
    for (int i = 0; i < 1500; i++) {
        int which = i % 10 == 0 ? i / 10 % LOGS : 0;

        append(all[which], 7, sequences[which]++);
        if (i % 5 == 4)
            tick(300);
        if (unsaved_bytes(all) > most)
            most = unsaved_bytes(all);
    }
    ck_assert_int_le(most, BOUND);
    ck_assert_int_gt(most, BOUND / 4); /* and not by syncing all the time */
    ck_assert_int_gt(saved_point(0), log_leo(all[0]) / 2);
    for (int i = 0; i < LOGS; i++)
        log_unref(&all[i]);
    logs_close(&logs);
}
END_TEST

START_TEST(without_a_bound_nothing_is_synced)
{
    struct log *log;

    start(0);
    log = make(0);
    for (int i = 0; i < 300; i++)
        append(log, -1, -1);
    tick(300);
    ck_assert_int_eq(log_recovery_point(log), 0);
    log_unref(&log);
    logs_close(&logs);
}
END_TEST

START_TEST(producers_below_the_recovery_point_are_known_after_a_crash)
{
    struct log *log;
    struct producer_entry entry;

    start(BOUND);
    log = make(0);
    for (int i = 0; i < 200; i++)
        append(log, 7 + i % 2, i / 2);
    tick(300);
    tick(300);
    int64_t point = saved_point(0);

    ck_assert_int_eq(point, 200);
    for (int i = 200; i < 210; i++)
        append(log, 7 + i % 2, i / 2);
    log_unref(&log);
    logs_abandon(&logs);
    /* Below the recovery point nothing is read: what is known of it comes from the snapshot. */
    char *file = xasprintf("%s/t-0/%020d.snapshot", path, 200);
    struct disk_stat st;

    ck_assert_int_eq(disk_stat(disk_posix(), file, &st), ERR_OK);
    free(file);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_leo(log), 210);
    for (int i = 0; i < 2; i++) {
        ck_assert(log_producer(log, 7 + i, &entry));
        ck_assert_int_eq(entry.last_seq, 104);
        ck_assert_int_eq(entry.last_offset, 208 + i);
    }
    log_unref(&log);
    logs_close(&logs);
}
END_TEST

START_TEST(silent_producers_are_forgotten)
{
    struct log *log;
    struct producer_entry entry;

    start(0);
    log = make(0);
    append(log, 7, 0);
    tick(30000);
    append(log, 8, 0);
    ck_assert(log_producer(log, 7, &entry));
    tick(31000);
    ck_assert(!log_producer(log, 7, &entry));
    ck_assert(log_producer(log, 8, &entry));
    log_unref(&log);
    logs_close(&logs);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("logs_flush");

    tcase_add_test(tc, what_a_start_has_to_read_is_bounded);
    tcase_add_test(tc, without_a_bound_nothing_is_synced);
    tcase_add_test(tc, producers_below_the_recovery_point_are_known_after_a_crash);
    tcase_add_test(tc, silent_producers_are_forgotten);
    return unit_run(tc);
}
