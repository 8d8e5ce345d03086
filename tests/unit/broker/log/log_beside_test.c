/*
 * A log in the middle of one thing when another thread does the next: a snapshot of producers or an
 * index of aborts that a truncation has overtaken, files that are written, opened or synced while
 * their directory gets another name, two who sync names at once. The disk calls out where the other
 * one is to come.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;
static struct disk_ops ops;
static struct disk disk = { &ops };

/* Called once, before the next such call reaches the disk. */
static void (*before_open)(void);
static void (*before_sync)(void);
static void (*before_sync_dir)(void);
static const char *opens; /* the ending of the name that is waited for */
static int dir_syncs, data_syncs;

static void call(void (**hook)(void))
{
    void (*now)(void) = *hook;

    *hook = NULL;
    if (now != NULL)
        now();
}

static enum err open_file(struct disk *unused, const char *path, int flags, int *file)
{
    size_t len = strlen(path);

    (void)unused;
    if (opens != NULL && len > strlen(opens) && strcmp(path + len - strlen(opens), opens) == 0)
        call(&before_open);
    return disk_open(disk_posix(), path, flags, file);
}

static enum err sync_file(struct disk *unused, int file)
{
    (void)unused;
    call(&before_sync);
    return disk_sync(disk_posix(), file);
}

static enum err sync_data(struct disk *unused, int file)
{
    (void)unused;
    data_syncs++;
    return disk_sync_data(disk_posix(), file);
}

static enum err sync_dir(struct disk *unused, const char *path)
{
    (void)unused;
    call(&before_sync_dir);
    dir_syncs++;
    return disk_sync_dir(disk_posix(), path);
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    ops = *disk_posix()->ops;
    ops.open = open_file;
    ops.sync = sync_file;
    ops.sync_data = sync_data;
    ops.sync_dir = sync_dir;
    before_open = before_sync = before_sync_dir = NULL;
    opens = NULL;
    log_kit_init(&kit, &disk, unit_temp_dir());
    ck_assert_int_eq(log_kit_open(&kit, true, 0), ERR_OK);
}

static void teardown(void)
{
    log_kit_fini(&kit);
}

static void fill(int count)
{
    ck_assert_int_eq(
        log_kit_append(&kit, &(struct kit_batch){ .count = count, .value_bytes = 10 }, 3, NULL),
        ERR_OK);
}

/* ---- another thread ---- */

static void (*others)(void);
static pthread_t other;
static _Atomic int other_tid; /* 0 before it runs, -1 after */

static void *run_other(void *unused)
{
    (void)unused;
    atomic_store(&other_tid, gettid());
    others();
    atomic_store(&other_tid, -1);
    return NULL;
}

/* Does it on another thread, to its end. */
static void aside(void (*what)(void))
{
    others = what;
    ck_assert_int_eq(pthread_create(&other, NULL, run_other, NULL), 0);
    pthread_join(other, NULL);
}

/* It sleeps: nothing that it does here does, but to wait for a lock. */
static bool is_waiting(int tid)
{
    char path[64];
    char text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *file = fopen(path, "r");

    if (file == NULL)
        return false;
    size_t len = fread(text, 1, sizeof text - 1, file);

    fclose(file);
    text[len] = '\0';
    const char *state = strrchr(text, ')');

    return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/* Has it begin on another thread, and go on until it ends or has to wait for us. */
static void begin_aside(void (*what)(void))
{
    int tid;

    others = what;
    atomic_store(&other_tid, 0);
    ck_assert_int_eq(pthread_create(&other, NULL, run_other, NULL), 0);
    while ((tid = atomic_load(&other_tid)) == 0 || (tid > 0 && !is_waiting(tid)))
        sched_yield();
}

/* ---- truncation ---- */

static void cut(void)
{
    ck_assert_int_eq(log_truncate_to(kit.log, 10), ERR_OK);
}

static void cut_aside(void)
{
    aside(cut);
}

START_TEST(a_snapshot_of_what_was_cut_does_not_stay)
{
    const struct kit_batch batch = {
        .count = 5, .value_bytes = 10, .producer_id = 77, .base_sequence = 0
    };
    struct producer_entry entry;
    struct log_appended out;

    fill(10);
    ck_assert_int_eq(log_kit_append(&kit, &batch, 3, NULL), ERR_OK);
    opens = ".snapshot";
    before_open = cut_aside; /* what is about to be written was copied before */
    ck_assert_int_eq(log_flush_far(kit.log), ERR_OK);
    ck_assert(before_open == NULL);
    for (int i = 0; i < 10; i++) /* so much that recovery need not begin below it */
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .count = 10, .value_bytes = 1000 }, 4, NULL),
            ERR_OK);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 110), ERR_OK);
    ck_assert(!log_producer(kit.log, 77, &entry));
    ck_assert_int_eq(log_kit_append(&kit, &batch, 5, &out), ERR_OK);
    ck_assert(!out.is_duplicate);
    ck_assert_int_eq(out.first_offset, 110);
}
END_TEST

static void cut_all(void)
{
    ck_assert_int_eq(log_truncate_to(kit.log, 0), ERR_OK);
}

static void cut_all_aside(void)
{
    aside(cut_all);
}

/* In the second of two segments; nothing has its index open. */
static void abort_one(void)
{
    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 10 }, 0, NULL), ERR_OK);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    ck_assert_int_eq(log_kit_append(&kit,
                                    &(struct kit_batch){ .producer_id = 77, .transactional = true },
                                    0, NULL),
                     ERR_OK);
    ck_assert_int_eq(log_kit_marker(&kit, false, 77, 0), ERR_OK);
    log_kit_shut(&kit, true);
    ck_assert_int_eq(log_kit_open(&kit, true, 12), ERR_OK);
    file_keep_closed(kit.log->segments[1]->txn_file);
}

START_TEST(an_index_of_aborts_that_is_cut_away_fails_no_directory)
{
    struct log_aborted *list;
    size_t count;

    abort_one();
    opens = ".txnindex";
    before_open = cut_all_aside;
    ck_assert_int_eq(log_aborted_txns(kit.log, 0, 12, &list, &count), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert(before_open == NULL && !log_is_offline(kit.log));
    ck_assert_int_eq(log_aborted_txns(kit.log, 0, 12, &list, &count), ERR_OK);
    ck_assert_uint_eq(count, 0);
    free(list);
}
END_TEST

START_TEST(a_damaged_index_of_aborts_fails_its_log_alone)
{
    struct log_aborted *list;
    size_t count;
    int file;

    abort_one();
    char *path = log_file_path(kit.log, 10, ".txnindex");

    ck_assert_int_eq(disk_open(&disk, path, DISK_WRITE, &file), ERR_OK);
    ck_assert_int_eq(disk_pwrite(&disk, file, "\377", 1, 0), ERR_OK);
    ck_assert_int_eq(disk_close(&disk, file), ERR_OK);
    ck_assert_int_eq(log_aborted_txns(kit.log, 0, 12, &list, &count), ERR_CORRUPT_FILE);
    ck_assert(!log_is_offline(kit.log));
    free(path);
}
END_TEST

/* ---- another name ---- */

static void rename_log(void)
{
    ck_assert_int_eq(log_rename(kit.log, "t-0.new"), ERR_OK);
}

static void rename_aside(void)
{
    aside(rename_log);
}

static void begin_to_rename(void)
{
    begin_aside(rename_log);
}

START_TEST(epochs_that_are_being_written_go_with_the_log)
{
    struct epochs epochs;

    ck_assert_int_eq(log_assign_epoch(kit.log, 7, 0), ERR_OK);
    before_sync = begin_to_rename; /* the new file is complete, and has not its name yet */
    ck_assert_int_eq(log_save_epochs(kit.log), ERR_OK);
    pthread_join(other, NULL);
    ck_assert(before_sync == NULL);
    ck_assert_str_eq(log_name(kit.log), "t-0.new");
    char *path = xasprintf("%s/" EPOCHS_FILE, kit.log->path);

    epochs_init(&epochs);
    ck_assert_int_eq(epochs_file_read(&disk, path, &epochs), ERR_OK);
    ck_assert_int_eq(epochs_latest(&epochs), 7);
    epochs_fini(&epochs);
    free(path);
}
END_TEST

START_TEST(a_snapshot_is_written_where_the_log_is_now)
{
    struct disk_stat st;

    fill(10);
    opens = ".snapshot";
    before_open = rename_aside;
    ck_assert_int_eq(log_flush_far(kit.log), ERR_OK);
    ck_assert(before_open == NULL && !log_is_offline(kit.log));
    char *path = log_file_path(kit.log, 10, ".snapshot");

    ck_assert_int_eq(disk_stat(&disk, path, &st), ERR_OK);
    free(path);
}
END_TEST

START_TEST(a_snapshot_is_synced_where_the_log_is_now)
{
    fill(10);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK); /* with a snapshot */
    fill(10);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    fill(10);
    data_syncs = 0;
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    int wanted = data_syncs;

    fill(10);
    data_syncs = 0;
    opens = ".snapshot";
    before_open = rename_aside;
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert(before_open == NULL);
    ck_assert_int_eq(data_syncs, wanted);
}
END_TEST

static void look_elsewhere(void)
{
    before_sync_dir = NULL; /* those of the rename itself */
    aside(rename_log);
}

START_TEST(names_are_synced_where_the_log_is_now)
{
    fill(10);
    before_sync_dir = look_elsewhere;
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert(before_sync_dir == NULL && !log_is_offline(kit.log));
    ck_assert_int_eq(log_recovery_point(kit.log), 10);
}
END_TEST

/* ---- two at once ---- */

static int synced_by_other;

static void flush(void)
{
    int before = dir_syncs;

    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert_int_eq(log_recovery_point(kit.log), 10);
    synced_by_other = dir_syncs - before;
}

static void flush_aside(void)
{
    aside(flush);
}

START_TEST(names_are_not_durable_before_somebody_has_synced_them)
{
    fill(10);
    dir_syncs = 0;
    before_sync_dir = flush_aside; /* nothing is synced yet, and the other one is done before us */
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert(before_sync_dir == NULL);
    ck_assert_int_eq(synced_by_other, 1);
    dir_syncs = 0;
    fill(10);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert_int_eq(dir_syncs, 0); /* there are no new ones */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_beside");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_snapshot_of_what_was_cut_does_not_stay);
    tcase_add_test(tc, an_index_of_aborts_that_is_cut_away_fails_no_directory);
    tcase_add_test(tc, a_damaged_index_of_aborts_fails_its_log_alone);
    tcase_add_test(tc, epochs_that_are_being_written_go_with_the_log);
    tcase_add_test(tc, a_snapshot_is_written_where_the_log_is_now);
    tcase_add_test(tc, a_snapshot_is_synced_where_the_log_is_now);
    tcase_add_test(tc, names_are_synced_where_the_log_is_now);
    tcase_add_test(tc, names_are_not_durable_before_somebody_has_synced_them);
    return unit_run(tc);
}
