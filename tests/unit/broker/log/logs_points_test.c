/*
 * logs_points: a change of roles writes nothing; the epochs of many logs are written for a few
 * syncs, before a recovery point moves and no later; what the points' file says is true after a
 * crash; a clean stop of many logs costs a few syncs, too.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define LOGS   100
#define NEVER  (INT64_MAX / 4)
#define NOW_MS 1700000000000

static struct fake_disk *fake;
static struct logs *logs;
static struct log *all[LOGS];

static void open_all(void)
{
    static const char *const dirs[] = { "/d" };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA",
                                    .no_threads = true,
                                    .disk = fake_disk_base(fake),
                                    .flush_check_ms = NEVER,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };
    const struct uuid id = { .bytes = { 1 } };

    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(logs_create(logs, "t", i, id, true, NULL, &all[i]), ERR_OK);
}

static void begin(void)
{
    fake = fake_disk_new();
    open_all();
}

static void let_go(void)
{
    for (int i = 0; i < LOGS; i++)
        log_unref(&all[i]);
}

static void crash(enum fake_disk_loss loss)
{
    let_go();
    logs_abandon(&logs);
    fake_disk_crash(fake, loss, 1);
}

static void append(int i, int32_t epoch)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    kit_batch_put(&buf, &(struct kit_batch){ .value_bytes = 10 });
    ck_assert_int_eq(
        log_append_leader(all[i], buf.bytes, buf.len, epoch, LOG_FROM_CLIENT, NOW_MS, &out),
        ERR_OK);
    buf_fini(&buf);
}

/* Each log leads in an epoch of its own, and writes a record in it. */
static void lead(int32_t epoch)
{
    for (int i = 0; i < LOGS; i++) {
        ck_assert_int_eq(log_assign_epoch(all[i], epoch + i, log_leo(all[i])), ERR_OK);
        append(i, epoch + i);
    }
}

static void flush(void)
{
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(log_flush(all[i]), ERR_OK);
}

static int64_t saved_point(int partition)
{
    struct checkpoint points;

    ck_assert_int_eq(checkpoint_read(fake_disk_base(fake), "/d/" RECOVERY_POINT_FILE, &points),
                     ERR_OK);
    int64_t point = checkpoint_find(&points, "t", partition);

    checkpoint_fini(&points);
    return point;
}

START_TEST(a_change_of_roles_writes_nothing)
{
    begin();
    lead(1);
    uint64_t before = fake_disk_count(fake);

    for (int i = 0; i < LOGS; i++) {
        ck_assert_int_eq(log_assign_epoch(all[i], 1000, log_leo(all[i])), ERR_OK);
        ck_assert_int_eq(log_truncate_to(all[i], log_leo(all[i])), ERR_OK);
        ck_assert_int_eq(log_assign_epoch(all[i], 2000, log_leo(all[i])), ERR_OK);
    }
    ck_assert_uint_eq(fake_disk_count(fake), before);
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(epochs_below_a_saved_point_are_there_after_a_crash)
{
    for (int one_by_one = 0; one_by_one < 2; one_by_one++) {
        begin();
        fake_disk_sync_one_by_one(fake, one_by_one);
        lead(1);
        lead(1000);
        flush();
        uint64_t before = fake_disk_syncs(fake);

        logs_checkpoint(logs);
        if (!one_by_one)
            ck_assert_uint_lt(fake_disk_syncs(fake), before + 10);
        lead(2000); /* recovery finds these in the batches */
        crash(FAKE_DISK_LOSE_ALL);
        for (int i = 0; i < LOGS; i++)
            ck_assert_int_eq(saved_point(i), 2);
        open_all();
        for (int i = 0; i < LOGS; i++) {
            ck_assert_int_eq(log_epoch_at(all[i], 0), 1 + i);
            ck_assert_int_eq(log_epoch_at(all[i], 1), 1000 + i);
            if (log_leo(all[i]) > 2)
                ck_assert_int_eq(log_epoch_at(all[i], 2), 2000 + i);
        }
        let_go();
        logs_close(&logs);
        fake_disk_free(&fake);
    }
}
END_TEST

START_TEST(epochs_that_were_never_written_are_found_in_the_batches)
{
    begin();
    lead(1);
    lead(1000);
    crash(FAKE_DISK_KEEP_ALL);
    open_all();
    for (int i = 0; i < LOGS; i++) {
        ck_assert_int_eq(log_leo(all[i]), 2);
        ck_assert_int_eq(log_epoch_at(all[i], 0), 1 + i);
        ck_assert_int_eq(log_epoch_end(all[i], 1 + i).end_offset, 1);
        ck_assert_int_eq(log_latest_epoch(all[i]), 1000 + i);
    }
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_point_stays_where_it_is_without_its_epochs)
{
    begin();
    lead(1);
    flush();
    logs_checkpoint(logs);
    lead(1000);
    flush();
    uint64_t syncs = fake_disk_syncs(fake);

    /* Neither the common sync nor those of the files after it work. */
    fake_disk_fail_syncs(fake, true);
    logs_checkpoint(logs);
    ck_assert_uint_gt(fake_disk_syncs(fake), syncs);
    ck_assert(log_is_offline(all[0]));
    crash(FAKE_DISK_LOSE_ALL);
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(saved_point(i), 1);
    open_all();
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(log_epoch_at(all[i], 1), 1000 + i);
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

/* What the file of epochs of a log says of an offset, after a crash. */
static int32_t epoch_on_file(int i, int64_t offset)
{
    struct epochs epochs;
    char path[64];

    epochs_init(&epochs);
    snprintf(path, sizeof path, "/d/t-%d/" EPOCHS_FILE, i);
    ck_assert_int_eq(epochs_file_read(fake_disk_base(fake), path, &epochs), ERR_OK);
    int32_t epoch = epochs_at(&epochs, offset);

    epochs_fini(&epochs);
    return epoch;
}

/* The files are then synced one by one, or the points stay. */
START_TEST(a_common_sync_that_fails_moves_no_point_by_itself)
{
    begin();
    lead(1);
    flush();
    logs_checkpoint(logs);
    lead(1000);
    flush();
    fake_disk_fail_sync_all(fake);
    logs_checkpoint(logs);
    crash(FAKE_DISK_LOSE_ALL);
    for (int i = 0; i < LOGS; i++) {
        ck_assert_int_eq(epoch_on_file(i, 0), 1 + i);
        if (saved_point(i) > 1)
            ck_assert_int_eq(epoch_on_file(i, 1), 1000 + i);
    }
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_truncation_lowers_its_own_point_and_moves_no_other)
{
    begin();
    lead(1);
    flush();
    logs_checkpoint(logs);
    lead(1000);
    flush();
    ck_assert_int_eq(log_truncate_to(all[7], 0), ERR_OK);
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(saved_point(i), i == 7 ? 0 : 1);
    crash(FAKE_DISK_LOSE_ALL);
    open_all();
    for (int i = 0; i < LOGS; i++)
        if (i != 7)
            ck_assert_int_eq(log_epoch_at(all[i], 1), 1000 + i);
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

/* Neither by its points nor by its epochs; and the point is lowered where it stands, or the file
 * goes: no record above the truncation is trusted after a crash. */
START_TEST(a_truncation_on_a_full_disk_is_no_failure)
{
    for (int over = 0; over < 2; over++) {
        begin();
        lead(1);
        lead(1000);
        flush();
        logs_checkpoint(logs);
        fake_disk_set_room(fake, 0);
        for (int i = 0; i < LOGS; i++)
            ck_assert_int_eq(over ? log_truncate_fully_and_start_at(all[i], 1)
                                  : log_truncate_to(all[i], 1),
                             ERR_OK);
        for (int i = 0; i < LOGS; i++) {
            ck_assert(!log_is_offline(all[i]));
            ck_assert_int_eq(log_leo(all[i]), 1);
            ck_assert_int_le(saved_point(i), 1);
        }
        fake_disk_set_room(fake, INT64_MAX);
        for (int i = 0; i < LOGS; i++) {
            append(i, 3000 + i); /* not synced: torn, where a record was that had been */
            append(i, 3000 + i);
        }
        crash(FAKE_DISK_LOSE_SOME);
        open_all();
        for (int i = 0; i < LOGS; i++) {
            ck_assert_int_ge(log_kit_check(all[i], true), 0);
            if (log_leo(all[i]) > 1)
                ck_assert_int_eq(log_epoch_at(all[i], 1), 3000 + i);
            if (!over)
                ck_assert_int_eq(log_epoch_at(all[i], 0), 1 + i);
        }
        let_go();
        logs_close(&logs);
        fake_disk_free(&fake);
    }
}
END_TEST

START_TEST(a_stop_syncs_once_for_all)
{
    begin();
    lead(1);
    uint64_t before = fake_disk_syncs(fake);

    let_go();
    logs_close(&logs);
    ck_assert_uint_lt(fake_disk_syncs(fake), before + 15);
    fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 1);
    open_all();
    struct logs_dir_info info;

    logs_dir_info(logs, 0, &info);
    ck_assert(info.was_clean);
    for (int i = 0; i < LOGS; i++) {
        ck_assert_int_eq(log_leo(all[i]), 1);
        ck_assert_int_eq(log_latest_epoch(all[i]), 1 + i);
    }
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_stop_whose_sync_fails_is_not_clean)
{
    begin();
    lead(1);
    let_go();
    fake_disk_fail_syncs(fake, true);
    logs_close(&logs);
    fake_disk_crash(fake, FAKE_DISK_KEEP_ALL, 1);
    open_all();
    struct logs_dir_info info;

    logs_dir_info(logs, 0, &info);
    ck_assert(!info.was_clean);
    for (int i = 0; i < LOGS; i++)
        ck_assert_int_eq(log_latest_epoch(all[i]), 1 + i);
    let_go();
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("logs_points");

    tcase_add_test(tc, a_change_of_roles_writes_nothing);
    tcase_add_test(tc, epochs_below_a_saved_point_are_there_after_a_crash);
    tcase_add_test(tc, epochs_that_were_never_written_are_found_in_the_batches);
    tcase_add_test(tc, a_point_stays_where_it_is_without_its_epochs);
    tcase_add_test(tc, a_common_sync_that_fails_moves_no_point_by_itself);
    tcase_add_test(tc, a_truncation_lowers_its_own_point_and_moves_no_other);
    tcase_add_test(tc, a_truncation_on_a_full_disk_is_no_failure);
    tcase_add_test(tc, a_stop_syncs_once_for_all);
    tcase_add_test(tc, a_stop_whose_sync_fails_is_not_clean);
    return unit_run(tc);
}
