/*
 * logs: a start after a crash on a disk that is full, or becomes so meanwhile: nothing is given up,
 * and all is served once there is room.
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "broker/log/logs.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define LOGS    3
#define BATCHES 60
#define STEP    4 /* not each, for each may cost a wait */
#define NEVER   (INT64_MAX / 4)
#define NOW_MS  1700000000000

static struct fake_disk *fake;
static struct logs *logs;
static int looks, room_after = INT_MAX, stop_after = INT_MAX;

static bool is_stopping(void *ctx)
{
    (void)ctx;
    if (++looks == room_after)
        fake_disk_set_room(fake, INT64_MAX);
    return looks >= stop_after;
}

static void small_segments(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    *conf = LOG_CONF_DEFAULT;
    conf->segment_bytes = 8000;
    conf->index_interval_bytes = 100;
}

static enum err open_logs(void)
{
    static const char *const dirs[] = { "/d" };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA",
                                    .no_threads = true,
                                    .conf_of = small_segments,
                                    .disk = fake_disk_base(fake),
                                    .is_stopping = is_stopping,
                                    .flush_check_ms = NEVER,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };

    looks = 0;
    return logs_open(&options, &logs);
}

static void append(struct log *log, int i)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    kit_batch_put(&buf,
                  &(struct kit_batch){ .value_bytes = 300, .producer_id = 7, .base_sequence = i });
    ck_assert_int_eq(
        log_append_leader(log, buf.bytes, buf.len, i / 20, LOG_FROM_CLIENT, NOW_MS, &out), ERR_OK);
    buf_fini(&buf);
}

/* A broker that was killed: some of what it had is flushed. */
static void leave_killed(void)
{
    const struct uuid id = { .bytes = { 1 } };

    fake = fake_disk_new();
    ck_assert_int_eq(open_logs(), ERR_OK);
    for (int p = 0; p < LOGS; p++) {
        struct log *log;

        ck_assert_int_eq(logs_create(logs, "t", p, id, true, NULL, &log), ERR_OK);
        for (int i = 0; i < BATCHES; i++) {
            append(log, i);
            if (i == 10 * p)
                ck_assert_int_eq(log_flush(log), ERR_OK);
        }
        log_unref(&log);
    }
    logs_abandon(&logs);
    fake_disk_crash(fake, FAKE_DISK_KEEP_ALL, 1);
}

static void expect_all(void)
{
    for (int p = 0; p < LOGS; p++) {
        struct log *log = logs_get_ref(logs, "t", p);

        ck_assert_ptr_nonnull(log);
        ck_assert(!log_is_offline(log));
        ck_assert_int_eq(log_leo(log), BATCHES);
        log_unref(&log);
    }
}

/* Opened on a disk without room, until it has been asked so often whether a stop is wanted. */
START_TEST(a_start_waits_for_room)
{
    leave_killed();
    fake_disk_set_room(fake, 0);
    room_after = 3;
    ck_assert_int_eq(open_logs(), ERR_OK);
    ck_assert_int_gt(looks, room_after);
    expect_all();
    logs_abandon(&logs);
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_stop_ends_the_wait_for_room)
{
    leave_killed();
    fake_disk_set_room(fake, 0);
    stop_after = 3;
    ck_assert_int_eq(open_logs(), ERR_SHUTTING_DOWN);
    ck_assert_ptr_null(logs);
    fake_disk_set_room(fake, INT64_MAX);
    stop_after = INT_MAX;
    ck_assert_int_eq(open_logs(), ERR_OK);
    expect_all();
    logs_abandon(&logs);
    fake_disk_free(&fake);
}
END_TEST

/* Whatever it is that finds none. */
START_TEST(room_is_missing_once)
{
    uint64_t before, all;

    leave_killed();
    before = fake_disk_count(fake);
    ck_assert_int_eq(open_logs(), ERR_OK);
    all = fake_disk_count(fake) - before;
    logs_abandon(&logs);
    fake_disk_free(&fake);
    ck_assert_uint_gt(all, 3 * STEP);
    for (uint64_t i = 1; i <= all; i += STEP) {
        leave_killed();
        fake_disk_fail_at(fake, fake_disk_count(fake) + i, ERR_NO_SPACE);
        ck_assert_int_eq(open_logs(), ERR_OK);
        expect_all();
        logs_abandon(&logs);
        fake_disk_free(&fake);
    }
}
END_TEST

/* Where records were deleted by request, and the directory was stopped cleanly. */
static void leave_starts(void)
{
    const struct uuid id = { .bytes = { 1 } };

    fake = fake_disk_new();
    ck_assert_int_eq(open_logs(), ERR_OK);
    for (int p = 0; p < LOGS; p++) {
        struct log *log;

        ck_assert_int_eq(logs_create(logs, "t", p, id, true, NULL, &log), ERR_OK);
        for (int i = 0; i < BATCHES; i++)
            append(log, i);
        ck_assert(log_advance_start(log, 5 + p));
        log_unref(&log);
    }
    logs_close(&logs);
}

static void expect_starts(void)
{
    for (int p = 0; p < LOGS; p++) {
        struct log *log = logs_get_ref(logs, "t", p);

        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log_start_offset(log), 5 + p);
        log_unref(&log);
    }
}

/* With and without room for the mark of the clean stop, in the end. */
START_TEST(a_stop_while_a_clean_directory_waits_for_room_changes_nothing)
{
    for (int room = 0; room < 2; room++) {
        struct logs_dir_info info;

        leave_starts();
        for (int p = 0; p < LOGS; p++) {
            char path[64];

            snprintf(path, sizeof path, "/d/t-%d/00000000000000000000.index", p);
            ck_assert_int_eq(disk_unlink(fake_disk_base(fake), path), ERR_OK);
        }
        fake_disk_set_room(fake, 0);
        stop_after = 3;
        room_after = room ? stop_after : INT_MAX;
        ck_assert_int_eq(open_logs(), ERR_SHUTTING_DOWN);
        fake_disk_set_room(fake, INT64_MAX);
        stop_after = room_after = INT_MAX;
        ck_assert_int_eq(open_logs(), ERR_OK);
        logs_dir_info(logs, 0, &info);
        ck_assert_int_eq(info.was_clean, room);
        expect_all();
        expect_starts();
        logs_close(&logs);
        fake_disk_free(&fake);
    }
}
END_TEST

static void flip_byte(const char *path, int64_t pos)
{
    struct disk *disk = fake_disk_base(fake);
    uint8_t byte;
    size_t got;
    int file;

    ck_assert_int_eq(disk_open(disk, path, DISK_WRITE, &file), ERR_OK);
    ck_assert_int_eq(disk_pread(disk, file, &byte, 1, pos, &got), ERR_OK);
    byte ^= 1;
    ck_assert_int_eq(disk_pwrite(disk, file, &byte, 1, pos), ERR_OK);
    disk_close(disk, file);
}

#define DAMAGED "00000000000000000000.log.damaged"

static void count_damaged(void *ctx, const char *name, bool is_dir)
{
    int *count = ctx;

    (void)is_dir;
    *count += strncmp(name, DAMAGED, strlen(DAMAGED)) == 0;
}

/* Good batches lie behind it: they are set aside, as often as there is no room for that. */
START_TEST(damage_is_set_aside_once)
{
    int damaged = 0;

    leave_killed();
    flip_byte("/d/t-0/00000000000000000000.log", 1000);
    fake_disk_set_room(fake, 0);
    room_after = 5;
    ck_assert_int_eq(open_logs(), ERR_OK);
    ck_assert_int_ge(looks, room_after);
    ck_assert_int_eq(disk_list(fake_disk_base(fake), "/d/t-0", count_damaged, &damaged), ERR_OK);
    ck_assert_int_eq(damaged, 1);
    logs_abandon(&logs);
    fake_disk_free(&fake);
}
END_TEST

/* The new name under which a log waits for its removal finds no room; another one may get the old
 * name at once, and who still holds the log does not see that one's files. */
START_TEST(a_log_can_be_deleted_without_room_for_a_name)
{
    const struct uuid id = { .bytes = { 2 } };
    struct log *log;
    struct log *other;
    struct disk_stat st;
    struct buf buf = BUF_EMPTY;

    leave_starts();
    ck_assert_int_eq(open_logs(), ERR_OK);
    log = logs_get_ref(logs, "t", 0);
    fake_disk_refuse_names(fake, true);
    ck_assert_int_eq(logs_delete(logs, "t", 0), ERR_OK);
    fake_disk_refuse_names(fake, false);
    ck_assert_int_eq(disk_stat(fake_disk_base(fake), "/d/t-0", &st), ERR_NOT_FOUND);
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &other), ERR_OK);
    ck_assert_int_eq(log_leo(other), 0);
    append(other, 0);
    ck_assert_int_ne(log_kit_read(log, 5, INT64_MAX, &buf), ERR_OK);
    buf_fini(&buf);
    log_unref(&log);
    log_unref(&other);
    logs_close(&logs);
    fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 1);
    ck_assert_int_eq(open_logs(), ERR_OK);
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_leo(log), 1);
    log_unref(&log);
    logs_abandon(&logs);
    fake_disk_free(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("full");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_start_waits_for_room);
    tcase_add_test(tc, a_stop_ends_the_wait_for_room);
    tcase_add_test(tc, room_is_missing_once);
    tcase_add_test(tc, damage_is_set_aside_once);
    tcase_add_test(tc, a_log_can_be_deleted_without_room_for_a_name);
    tcase_add_test(tc, a_stop_while_a_clean_directory_waits_for_room_changes_nothing);
    return unit_run(tc);
}
