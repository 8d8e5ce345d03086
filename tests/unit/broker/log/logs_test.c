/*
 * logs: directories are locked, checked and loaded; what was stopped cleanly is trusted once;
 * deleted, parked and foreign directories are told apart.
 */
#include "broker/log/logs.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define CLUSTER "AW6T_lL_R4iq6IuFZW4UEA"

static const char *paths[2];
static struct logs_options options;
static struct logs *logs;
static const struct uuid topic_id = { .bytes = { 1, 2, 3 } };

static void start(void)
{
    paths[0] = xstrdup(unit_temp_dir());
    paths[1] = xstrdup(unit_temp_dir());
    options = (struct logs_options){ .dirs = paths,
                                     .dir_count = 2,
                                     .broker_id = 1,
                                     .cluster_id = CLUSTER,
                                     .recovery_threads = 2,
                                     .flush_check_ms = INT64_MAX,
                                     .checkpoint_ms = 60000,
                                     .start_checkpoint_ms = 60000 };
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}

static void stop(void)
{
    logs_close(&logs);
    for (int i = 0; i < 2; i++)
        free((void *)(uintptr_t)paths[i]);
}

static void append(struct log *log, int count)
{
    struct log_appended out;

    for (int i = 0; i < count; i++) {
        struct buf buf = BUF_EMPTY;

        kit_batch_put(&buf, &(struct kit_batch){ .count = 2 });
        ck_assert_int_eq(
            log_append_leader(log, buf.bytes, buf.len, 0, LOG_FROM_CLIENT, 1700000000000, &out),
            ERR_OK);
        buf_fini(&buf);
    }
}

static struct log *make(const char *topic, int32_t partition)
{
    struct log *log;

    ck_assert_int_eq(logs_create(logs, topic, partition, topic_id, true, NULL, &log), ERR_OK);
    return log;
}

static bool exists(const char *dir, const char *name)
{
    char path[DISK_PATH_MAX];
    struct disk_stat st;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return disk_stat(disk_posix(), path, &st) == ERR_OK;
}

static int64_t hw_of(void *ctx, struct log *log)
{
    (void)ctx;
    return log_leo(log) - 1;
}

START_TEST(logs_survive_a_clean_stop)
{
    for (int i = 0; i < 4; i++) {
        struct log *log = make("a-topic", i);

        append(log, 10 + i);
        log_unref(&log);
    }
    struct logs_dir_info info;

    logs_dir_info(logs, 0, &info);
    ck_assert_uint_eq(info.logs, 2); /* spread evenly */
    logs_checkpoint_hw(logs, hw_of, NULL);
    logs_close(&logs);
    ck_assert(exists(paths[0], CLEAN_MARK_FILE));
    ck_assert(!exists(paths[0], LOCK_FILE));
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    ck_assert(!exists(paths[0], CLEAN_MARK_FILE));
    ck_assert(exists(paths[0], LOCK_FILE));
    ck_assert_uint_eq(logs_count(logs), 4);
    for (int i = 0; i < 4; i++) {
        struct log *log = logs_get_ref(logs, "a-topic", i);

        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log_leo(log), 20 + 2 * i);
        ck_assert_int_eq(log_recovery_point(log), log_leo(log));
        ck_assert_int_eq(logs_saved_hw(logs, log), log_leo(log) - 1);
        ck_assert(uuid_eq(log_topic_id(log), topic_id));
        log_unref(&log);
    }
}
END_TEST

START_TEST(logs_survive_a_crash)
{
    struct log *log = make("t", 0);

    append(log, 10);
    log_unref(&log);
    logs_abandon(&logs);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_leo(log), 20);
    ck_assert_int_eq(log_recovery_point(log), 0);
    ck_assert_int_eq(log_kit_check(log, true), 20);
    log_unref(&log);
}
END_TEST

/* A disk that was replaced, or is not mounted, is an empty directory. */
START_TEST(a_directory_in_the_place_of_another_is_new)
{
    struct logs_dir_info info;
    char path[DISK_PATH_MAX];

    logs_dir_info(logs, 0, &info);
    ck_assert(info.is_new);
    logs_close(&logs);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    logs_dir_info(logs, 0, &info);
    ck_assert(!info.is_new && info.was_clean);
    logs_close(&logs);
    snprintf(path, sizeof path, "%s/%s", paths[1], META_FILE);
    ck_assert_int_eq(disk_unlink(disk_posix(), path), ERR_OK);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    logs_dir_info(logs, 0, &info);
    ck_assert(!info.is_new);
    logs_dir_info(logs, 1, &info);
    ck_assert(info.is_new);
}
END_TEST

START_TEST(what_protects_us_ends_the_start)
{
    struct logs *other;

    ck_assert_int_eq(logs_open(&options, &other), ERR_LOCKED);
    logs_close(&logs);
    options.cluster_id = "BW6T_lL_R4iq6IuFZW4UEA";
    ck_assert_int_eq(logs_open(&options, &other), ERR_INCONSISTENT_CLUSTER_ID);
    options.cluster_id = NULL;
    options.broker_id = 2;
    ck_assert_int_eq(logs_open(&options, &other), ERR_INVALID_CONFIG);
    options.broker_id = 1;
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    ck_assert_str_eq(logs_cluster_id(logs), CLUSTER);
    ck_assert_int_eq(logs_set_cluster_id(logs, "BW6T_lL_R4iq6IuFZW4UEA"),
                     ERR_INCONSISTENT_CLUSTER_ID);
}
END_TEST

START_TEST(a_deleted_log_is_renamed_then_removed)
{
    struct log *log = make("t", 0);

    append(log, 3);
    char *dir = xstrdup(log_parent_dir(log));

    ck_assert_int_eq(logs_delete(logs, "t", 0), ERR_OK);
    ck_assert(!exists(dir, "t-0"));
    ck_assert_ptr_null(logs_get_ref(logs, "t", 0));
    char *name = xstrdup(log_name(log));

    ck_assert(exists(dir, name));
    ck_assert_int_eq(log_kit_check(log, true), 6); /* who holds it goes on reading */
    log_unref(&log);
    log = make("t", 0); /* a new one of that name is another one */
    ck_assert_int_eq(log_leo(log), 0);
    log_unref(&log);
    logs_tick(logs, clock_wall_ms(), clock_mono_ms() + 100000);
    ck_assert(!exists(dir, name));
    free(name);
    free(dir);
}
END_TEST

static void flushed_each_minute(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    *conf = LOG_CONF_DEFAULT;
    conf->flush_ms = 60000;
}

static int64_t saved_point(const char *dir, const char *topic, int32_t partition)
{
    struct checkpoint points;
    char *path = xasprintf("%s/" RECOVERY_POINT_FILE, dir);

    ck_assert_int_eq(checkpoint_read(disk_posix(), path, &points), ERR_OK);
    int64_t point = checkpoint_find(&points, topic, partition);

    checkpoint_fini(&points);
    free(path);
    return point;
}

START_TEST(a_time_of_day_that_is_set_back_holds_up_nothing)
{
    int64_t wall_ms = clock_wall_ms();

    logs_close(&logs);
    options.no_threads = true;
    options.flush_check_ms = 1000;
    options.conf_of = flushed_each_minute;
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    struct log *log = make("t", 0);
    struct log *gone = make("t", 1);

    ck_assert_int_eq(logs_delete(logs, "t", 1), ERR_OK);
    append(log, 3);
    int64_t now_ms = clock_mono_ms();

    logs_tick(logs, wall_ms, now_ms);
    ck_assert(exists(log_parent_dir(gone), log_name(gone)));
    ck_assert_int_eq(log_recovery_point(log), 6);
    append(log, 3);
    logs_tick(logs, wall_ms - 3600000, now_ms + 100000);
    ck_assert(!exists(log_parent_dir(gone), log_name(gone)));
    ck_assert_int_eq(log_recovery_point(log), 12);
    ck_assert_int_eq(saved_point(log_parent_dir(log), "t", 0), 12);
    log_unref(&gone);
    log_unref(&log);
}
END_TEST

START_TEST(a_parked_log_is_kept)
{
    struct log *log = make("t", 0);

    append(log, 3);
    char *dir = xstrdup(log_parent_dir(log));

    ck_assert_int_eq(logs_park(logs, "t", 0), ERR_OK);
    char *name = xstrdup(log_name(log));

    log_unref(&log);
    logs_close(&logs);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    ck_assert(exists(dir, name));
    ck_assert_uint_eq(logs_count(logs), 0);
    free(name);
    free(dir);
}
END_TEST

START_TEST(another_topic_id_is_refused)
{
    struct log *log = make("t", 0);
    const struct uuid other = { .bytes = { 9 } };

    log_unref(&log);
    ck_assert_int_eq(logs_create(logs, "t", 0, other, true, NULL, &log), ERR_INCONSISTENT_TOPIC_ID);
    ck_assert_ptr_nonnull(log);
    log_unref(&log);
}
END_TEST

static _Atomic int dirs_failed;

static void on_failed(void *ctx, const char *dir)
{
    (void)ctx;
    (void)dir;
    atomic_fetch_add(&dirs_failed, 1);
}

START_TEST(a_failed_directory_takes_its_logs_along)
{
    logs_close(&logs);
    options.on_dir_failed = on_failed;
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    struct log *one = make("t", 0);
    struct log *two = make("t", 1);
    struct log_appended out;
    struct buf buf = BUF_EMPTY;

    logs_fail_dir(logs, log_parent_dir(one));
    ck_assert_int_eq(atomic_load(&dirs_failed), 1);
    ck_assert(log_is_offline(one));
    ck_assert_ptr_null(logs_get_ref(logs, "t", 0));
    kit_batch_put(&buf, &(struct kit_batch){ .count = 1 });
    ck_assert_int_eq(log_append_leader(one, buf.bytes, buf.len, 0, LOG_FROM_CLIENT, 0, &out),
                     ERR_KAFKA_STORAGE_ERROR);
    append(two, 1);
    struct log *three;

    ck_assert_int_eq(logs_create(logs, "t", 2, topic_id, false, NULL, &three),
                     ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(logs_create(logs, "t", 2, topic_id, true, NULL, &three), ERR_OK);
    ck_assert_str_eq(log_parent_dir(three), log_parent_dir(two));
    buf_fini(&buf);
    log_unref(&one);
    log_unref(&two);
    log_unref(&three);
}
END_TEST

struct waiter {
    struct sync_wait wait; /* first */
    _Atomic int done;
};

/* A copy of the log in the other directory, as a crash in the middle of a move leaves it. */
static void copy_log(const char *from, const char *to, const char *name)
{
    char command[3 * DISK_PATH_MAX];

    snprintf(command, sizeof command, "cp -rp %s/%s %s/%s", from, name, to, name);
    ck_assert_int_eq(system(command), 0);
}

static int count_strays(const char *dir)
{
    char command[2 * DISK_PATH_MAX];

    snprintf(command, sizeof command, "exit $(ls %s | grep -c -- -stray)", dir);
    return WEXITSTATUS(system(command));
}

START_TEST(of_two_copies_the_longer_is_served_and_the_other_kept)
{
    struct log *log = make("twin", 0);
    int from = strcmp(log_parent_dir(log), paths[0]) == 0 ? 0 : 1;

    append(log, 5);
    log_unref(&log);
    logs_close(&logs);
    copy_log(paths[from], paths[1 - from], "twin-0");
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    ck_assert_int_eq(count_strays(paths[0]) + count_strays(paths[1]), 1);
    log = logs_get_ref(logs, "twin", 0);
    ck_assert_int_eq(log_leo(log), 10);
    append(log, 3);
    from = strcmp(log_parent_dir(log), paths[0]) == 0 ? 0 : 1;
    log_unref(&log);
    logs_close(&logs);

    char command[2 * DISK_PATH_MAX];
    snprintf(command, sizeof command, "mv %s/twin-0.*-stray %s/twin-0", paths[1 - from],
             paths[1 - from]);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    log = logs_get_ref(logs, "twin", 0);
    ck_assert_int_eq(log_leo(log), 16);
    ck_assert_str_eq(log_parent_dir(log), paths[from]);
    ck_assert_int_eq(count_strays(paths[1 - from]), 1);
    log_unref(&log);
}
END_TEST

START_TEST(a_log_lost_with_its_directory_makes_room_for_a_new_one)
{
    struct log *old = make("gone", 0);
    struct log *log;
    struct uuid other = { .bytes = { 9 } };

    append(old, 5);
    logs_fail_dir(logs, log_parent_dir(old));
    ck_assert(logs_any_offline(logs));
    ck_assert(!logs_all_offline(logs));
    ck_assert_int_eq(logs_create(logs, "gone", 0, topic_id, false, NULL, &log),
                     ERR_KAFKA_STORAGE_ERROR); /* it may come back */
    ck_assert_int_eq(logs_create(logs, "gone", 0, other, true, NULL, &log), ERR_OK);
    ck_assert_ptr_ne(log, old);
    ck_assert_int_eq(log_leo(log), 0);
    ck_assert_int_eq(log_leo(old), 10); /* who holds it may still look */
    log_unref(&old);
    log_unref(&log);
    log = logs_get_ref(logs, "gone", 0);
    ck_assert_ptr_nonnull(log);
    logs_fail_dir(logs, log_parent_dir(log));
    ck_assert(logs_all_offline(logs));
    log_unref(&log);
}
END_TEST

static void on_synced(struct sync_wait *wait, enum err err)
{
    struct waiter *waiter = container_of(wait, struct waiter, wait);

    ck_assert_int_eq(err, ERR_OK);
    atomic_store(&waiter->done, 1);
}

START_TEST(waits_are_told_when_synced)
{
    struct log *log = make("t", 0);
    struct waiter waiters[10] = { 0 };

    for (int i = 0; i < 10; i++) {
        append(log, 1);
        waiters[i].wait =
            (struct sync_wait){ .log = log, .upto_offset = log_leo(log), .done = on_synced };
        group_commit_post(logs_group_commit(logs, log), &waiters[i].wait);
    }
    for (int i = 0; i < 10; i++)
        while (!atomic_load(&waiters[i].done))
            sched_yield();
    ck_assert_int_eq(log_recovery_point(log), 20);
    log_unref(&log);
}
END_TEST

/* Many at once are as many made one by one: shared between the directories, each with its id; one
 * that is there already, also under another id, is left as it is. */
START_TEST(many_are_made_at_once)
{
    struct logs_wanted wanted[200];
    struct uuid other = { .bytes = { 9 } };
    struct logs_dir_info info;
    struct log *log = make("many", 7);

    log_unref(&log);
    for (int32_t i = 0; i < 200; i++)
        wanted[i] = (struct logs_wanted){
            .topic = "many", .partition = i, .topic_id = i == 7 ? other : topic_id, .is_new = true
        };
    logs_create_ahead(logs, wanted, ARRAY_LEN(wanted));
    ck_assert_uint_eq(logs_count(logs), 200);
    for (int32_t i = 0; i < 200; i++) {
        log = logs_get_ref(logs, "many", i);
        ck_assert_ptr_nonnull(log);
        ck_assert(uuid_eq(log_topic_id(log), topic_id));
        log_unref(&log);
    }
    for (size_t i = 0; i < 2; i++) {
        logs_dir_info(logs, i, &info);
        ck_assert_uint_gt(info.logs, 80);
    }
}
END_TEST

/* ---- a stop that is asked for while logs are loaded ---- */

static _Atomic int loads_before_stop;

static bool is_stopping(void *ctx)
{
    (void)ctx;
    return atomic_fetch_sub(&loads_before_stop, 1) <= 0;
}

static enum err open_and_stop_after(int loads)
{
    struct logs_options stopping = options;

    atomic_store(&loads_before_stop, loads);
    stopping.is_stopping = is_stopping;
    stopping.no_threads = true; /* the first directory first */
    return logs_open(&stopping, &logs);
}

static void make_six(void)
{
    for (int32_t i = 0; i < 6; i++) {
        struct log *log = make("six", i);

        append(log, 5);
        log_unref(&log);
    }
}

static void check_six(void)
{
    ck_assert_uint_eq(logs_count(logs), 6);
    for (int32_t i = 0; i < 6; i++) {
        struct log *log = logs_get_ref(logs, "six", i);

        ck_assert_ptr_nonnull(log);
        ck_assert_int_eq(log_leo(log), 10);
        log_unref(&log);
    }
}

static void forget_clean_mark(const char *dir)
{
    char path[DISK_PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", dir, CLEAN_MARK_FILE);
    ck_assert_int_eq(disk_unlink(disk_posix(), path), ERR_OK);
}

/* Also the directory that is recovered whole: that records of it may be lost is not on record
 * anywhere else yet. */
START_TEST(a_recovery_that_is_stopped_marks_nothing_clean)
{
    make_six();
    logs_abandon(&logs);
    for (int loads = 0; loads < 6; loads++) {
        ck_assert_int_eq(open_and_stop_after(loads), ERR_SHUTTING_DOWN);
        ck_assert_ptr_null(logs);
        ck_assert(!exists(paths[0], CLEAN_MARK_FILE));
        ck_assert(!exists(paths[1], CLEAN_MARK_FILE));
    }
    ck_assert_int_eq(open_and_stop_after(6), ERR_OK); /* too late: all are there */
    check_six();
}
END_TEST

static void small_segments(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    *conf = LOG_CONF_DEFAULT;
    conf->segment_bytes = 3 << 20;
    conf->index_interval_bytes = 1 << 20;
}

/* So many bytes a batch, of which every fourth one ends a transaction that is aborted. */
static void append_long(struct log *log, int count, size_t value_bytes)
{
    struct log_appended out;

    for (int i = 0; i < count; i++) {
        struct buf buf = BUF_EMPTY;
        uint8_t marker[BATCH_MARKER_BYTES];

        kit_batch_put(&buf, &(struct kit_batch){ .value_bytes = value_bytes,
                                                 .producer_id = 7,
                                                 .base_sequence = i,
                                                 .transactional = true });
        ck_assert_int_eq(
            log_append_leader(log, buf.bytes, buf.len, 0, LOG_FROM_CLIENT, 1700000000000, &out),
            ERR_OK);
        buf_fini(&buf);
        if (i % 4 != 3)
            continue;
        batch_marker_write(marker, false, 7, 0, 0, 1700000000000);
        ck_assert_int_eq(log_append_leader(log, marker, sizeof marker, 0, LOG_FROM_COORDINATOR,
                                           1700000000000, &out),
                         ERR_OK);
    }
}

static size_t count_aborted(struct log *log)
{
    struct log_aborted *txns;
    size_t count;

    ck_assert_int_eq(log_aborted_txns(log, 0, log_leo(log), &txns, &count), ERR_OK);
    free(txns);
    return count;
}

/* Wherever the stop comes, nothing is cut, failed or marked clean, and what is built by then is not
 * in the way of the next start. */
START_TEST(the_recovery_of_one_log_is_stopped)
{
    struct log *log;
    int64_t leo;

    options.conf_of = small_segments;
    logs_close(&logs);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    log = make("long", 0);
    append_long(log, 32, 1 << 19);
    leo = log_leo(log);
    ck_assert_uint_eq(count_aborted(log), 8);
    log_unref(&log);
    logs_abandon(&logs);
    for (int looks = 1; looks <= 4; looks++) { /* one before the log, and then every 4 MiB */
        ck_assert_int_eq(open_and_stop_after(looks), ERR_SHUTTING_DOWN);
        ck_assert_ptr_null(logs);
        ck_assert(!exists(paths[0], CLEAN_MARK_FILE));
        ck_assert(!exists(paths[1], CLEAN_MARK_FILE));
    }
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    for (int i = 0; i < 2; i++) { /* as recovered, and as closed then */
        log = logs_get_ref(logs, "long", 0);
        ck_assert_int_eq(log_leo(log), leo);
        ck_assert_int_eq(log_kit_check(log, true), leo);
        ck_assert_uint_eq(count_aborted(log), 8);
        log_unref(&log);
        logs_close(&logs);
        ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    }
}
END_TEST

START_TEST(a_recovery_by_many_threads_is_stopped)
{
    struct logs_options stopping = options;

    make_six();
    logs_abandon(&logs);
    atomic_store(&loads_before_stop, 2);
    stopping.is_stopping = is_stopping;
    ck_assert_int_eq(logs_open(&stopping, &logs), ERR_SHUTTING_DOWN);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    check_six();
}
END_TEST

/* It is soon loaded, and must not pass for one that may have lost records. */
START_TEST(a_clean_directory_stays_clean_when_the_start_is_stopped)
{
    make_six();
    logs_close(&logs);
    ck_assert_int_eq(open_and_stop_after(0), ERR_OK); /* nothing is recovered, nothing stops */
    check_six();
    logs_close(&logs);
    for (int unclean = 0; unclean < 2; unclean++) {
        forget_clean_mark(paths[unclean]);
        ck_assert_int_eq(open_and_stop_after(0), ERR_SHUTTING_DOWN);
        ck_assert(!exists(paths[unclean], CLEAN_MARK_FILE));
        ck_assert(exists(paths[1 - unclean], CLEAN_MARK_FILE));
        ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
        check_six();
        logs_close(&logs);
    }
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("logs");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, logs_survive_a_clean_stop);
    tcase_add_test(tc, logs_survive_a_crash);
    tcase_add_test(tc, a_directory_in_the_place_of_another_is_new);
    tcase_add_test(tc, what_protects_us_ends_the_start);
    tcase_add_test(tc, a_deleted_log_is_renamed_then_removed);
    tcase_add_test(tc, a_time_of_day_that_is_set_back_holds_up_nothing);
    tcase_add_test(tc, a_parked_log_is_kept);
    tcase_add_test(tc, another_topic_id_is_refused);
    tcase_add_test(tc, a_failed_directory_takes_its_logs_along);
    tcase_add_test(tc, of_two_copies_the_longer_is_served_and_the_other_kept);
    tcase_add_test(tc, a_log_lost_with_its_directory_makes_room_for_a_new_one);
    tcase_add_test(tc, waits_are_told_when_synced);
    tcase_add_test(tc, many_are_made_at_once);
    tcase_add_test(tc, a_recovery_that_is_stopped_marks_nothing_clean);
    tcase_add_test(tc, the_recovery_of_one_log_is_stopped);
    tcase_add_test(tc, a_recovery_by_many_threads_is_stopped);
    tcase_add_test(tc, a_clean_directory_stays_clean_when_the_start_is_stopped);
    return unit_run(tc);
}
