/*
 * logs_saved: a log that is made under the name of a deleted one has nothing of what the files said
 * of that one, wherever a crash comes; and forgetting costs a rewrite of each file, however many
 * logs go and come.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/log_swap.h"
#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/logs_kit.h"
#include "tests/kit/unit.h"

#define NOW_MS 1700000000000

static struct logs *logs;
static struct uuid topic_id = { .bytes = { 1 } };

static void setup(void)
{
    struct logs_options options;

    logs_kit_begin(1);
    options = logs_kit_options(NULL);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}

static void teardown(void)
{
    logs_close(&logs);
    logs_kit_end();
}

static void crash(enum fake_disk_loss loss)
{
    struct logs_options options = logs_kit_options(NULL);

    logs_abandon(&logs);
    fake_disk_crash(logs_kit_disk(), loss, 1);
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}

static struct log *make(const char *topic, int32_t partition)
{
    struct log *log;

    ck_assert_int_eq(logs_create(logs, topic, partition, topic_id, true, NULL, &log), ERR_OK);
    return log;
}

/* Ten records. */
static enum err append(struct log *log)
{
    struct log_appended out;
    struct buf buf = BUF_EMPTY;

    kit_batch_put(&buf, &(struct kit_batch){ .count = 10, .value_bytes = 10 });
    enum err err = log_append_leader(log, buf.bytes, buf.len, 1, LOG_FROM_CLIENT, NOW_MS, &out);

    buf_fini(&buf);
    return err;
}

static void fill(struct log *log, int batches)
{
    for (int i = 0; i < batches; i++)
        ck_assert_int_eq(append(log), ERR_OK);
}

static int64_t hw_of(void *ctx, struct log *log)
{
    (void)ctx;
    return log_leo(log);
}

static int64_t no_hw(void *ctx, struct log *log)
{
    (void)ctx;
    (void)log;
    return -1;
}

static void save_all(void)
{
    logs_checkpoint(logs);
    logs_checkpoint_hw(logs, hw_of, NULL);
    ck_assert_int_eq(logs_save_marks(logs, "/d"), ERR_OK);
}

/* 200 records, the first 100 deleted by request, all synced and said in all files. */
static void fill_and_save(struct log *log)
{
    fill(log, 20);
    ck_assert(log_advance_start(log, 100));
    ck_assert_int_eq(log_flush(log), ERR_OK);
    log_set_cleaned_upto(log, 150);
    save_all();
}

static int64_t on_file(const char *name, const char *topic, int32_t partition)
{
    char *path = xasprintf("/d/%s", name);
    struct checkpoint file;

    ck_assert_int_eq(checkpoint_read(logs_disk(logs), path, &file), ERR_OK);
    int64_t offset = checkpoint_find(&file, topic, partition);

    checkpoint_fini(&file);
    free(path);
    return offset;
}

static void delete_and_make_anew(bool crash_between)
{
    ck_assert_int_eq(logs_delete(logs, "t", 0), ERR_OK);
    if (crash_between)
        crash(FAKE_DISK_LOSE_ALL);
    struct log *log = make("t", 0);

    ck_assert_int_eq(logs_saved_hw(logs, log), -1);
    ck_assert_int_eq(logs_saved_mark(logs, log), -1);
    log_unref(&log);
}

/* It ends behind the start of the one before, and before its end. */
static void make_one_that_is_whole(void)
{
    struct log *log = make("t", 0);

    fill(log, 15);
    log_unref(&log);
    crash(FAKE_DISK_KEEP_ALL);
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_start_offset(log), 0);
    ck_assert_int_eq(log_leo(log), 150);
    log_unref(&log);
}

/* Records up to before the former log's start, behind it, and behind its end. */
START_TEST(a_log_made_anew_has_its_own_start_and_end)
{
    static const int batches[] = { 5, 15, 25 };

    for (size_t i = 0; i < 2 * ARRAY_LEN(batches); i++) {
        struct log *log = make("t", 0);
        int count = batches[i / 2];

        fill_and_save(log);
        log_unref(&log);
        delete_and_make_anew(i % 2 == 1);
        log = logs_get_ref(logs, "t", 0);
        fill(log, count);
        log_unref(&log);
        crash(FAKE_DISK_KEEP_ALL);
        log = logs_get_ref(logs, "t", 0);
        ck_assert_int_eq(log_start_offset(log), 0);
        ck_assert_int_eq(log_leo(log), 10 * count);
        ck_assert_int_eq(log_recovery_point(log), 0); /* all of it was read */
        ck_assert_int_eq(log_kit_check(log, true), 10 * count);
        ck_assert_int_eq(logs_saved_hw(logs, log), -1);
        ck_assert_int_eq(logs_saved_mark(logs, log), -1);
        log_unref(&log);
        ck_assert_int_eq(logs_delete(logs, "t", 0), ERR_OK);
    }
}
END_TEST

START_TEST(a_parked_log_leaves_nothing_to_the_next_one)
{
    struct log *log = make("t", 0);

    fill_and_save(log);
    log_unref(&log);
    ck_assert_int_eq(logs_park(logs, "t", 0), ERR_OK);
    make_one_that_is_whole();
}
END_TEST

START_TEST(others_keep_what_is_said_of_them)
{
    struct log *log = make("t", 0);
    struct log *other = make("t", 1);

    fill_and_save(log);
    fill_and_save(other);
    log_unref(&log);
    log_unref(&other);
    delete_and_make_anew(false);
    crash(FAKE_DISK_LOSE_ALL);
    other = logs_get_ref(logs, "t", 1);
    ck_assert_int_eq(log_start_offset(other), 100);
    ck_assert_int_eq(on_file(RECOVERY_POINT_FILE, "t", 1), 200);
    ck_assert_int_eq(logs_saved_hw(logs, other), 200);
    ck_assert_int_eq(logs_saved_mark(logs, other), 150);
    ck_assert_int_eq(on_file(RECOVERY_POINT_FILE, "t", 0), -1);
    ck_assert_int_eq(on_file(LOG_START_FILE, "t", 0), -1);
    log_unref(&other);
}
END_TEST

#define MANY 50

static uint64_t syncs_of_making(const char *topic)
{
    uint64_t before = fake_disk_syncs(logs_kit_disk());

    for (int i = 0; i < MANY; i++) {
        struct log *log = make(topic, i);

        log_unref(&log);
    }
    return fake_disk_syncs(logs_kit_disk()) - before;
}

START_TEST(of_many_that_go_and_come_each_file_is_written_once)
{
    uint64_t fresh = syncs_of_making("t");

    for (int i = 0; i < MANY; i++) {
        struct log *log = logs_get_ref(logs, "t", i);

        fill(log, 2);
        log_advance_start(log, 10);
        log_set_cleaned_upto(log, 20);
        ck_assert_int_eq(log_flush(log), ERR_OK);
        log_unref(&log);
    }
    save_all();
    uint64_t before = fake_disk_syncs(logs_kit_disk());

    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(logs_delete(logs, "t", i), ERR_OK);
    ck_assert_uint_eq(fake_disk_syncs(logs_kit_disk()) - before, MANY); /* the new names */
    uint64_t anew = syncs_of_making("t");

    ck_assert_uint_gt(anew, fresh);     /* or it would not be seen here */
    ck_assert_uint_le(anew, fresh + 8); /* four files, each and its name */
}
END_TEST

/* A directory without room for its files has none for a log. */
START_TEST(without_room_to_forget_none_is_made)
{
    struct log *log = make("t", 0);

    fill_and_save(log);
    log_unref(&log);
    ck_assert_int_eq(logs_delete(logs, "t", 0), ERR_OK);
    fake_disk_set_room(logs_kit_disk(), 0);
    ck_assert_int_eq(logs_create(logs, "t", 0, topic_id, true, NULL, &log), ERR_NO_SPACE);
    ck_assert(!logs_any_offline(logs));
    fake_disk_set_room(logs_kit_disk(), INT64_MAX);
    make_one_that_is_whole();
}
END_TEST

START_TEST(a_log_without_a_partition_keeps_its_high_watermark)
{
    struct log *log = make("t", 0);

    fill(log, 3);
    logs_checkpoint_hw(logs, hw_of, NULL);
    fill(log, 3);
    logs_checkpoint_hw(logs, no_hw, NULL);
    ck_assert_int_eq(logs_saved_hw(logs, log), 30);
    ck_assert_int_eq(on_file(HW_FILE, "t", 0), 30);
    log_unref(&log);
}
END_TEST

/* ---- a file that is being written meanwhile ---- */

static void *make_anew(void *unused)
{
    (void)unused;
    delete_and_make_anew(false);
    return NULL;
}

static int64_t hw_and_make_anew(void *ctx, struct log *log)
{
    bool *is_made = ctx;
    int64_t hw = log_leo(log);
    pthread_t thread;

    if (!*is_made && strcmp(log_topic(log), "t") == 0) {
        *is_made = true;
        ck_assert_int_eq(pthread_create(&thread, NULL, make_anew, NULL), 0);
        pthread_join(thread, NULL);
    }
    return hw;
}

START_TEST(a_file_under_way_does_not_name_a_log_that_left)
{
    struct log *log = make("t", 0);
    bool is_made = false;

    fill_and_save(log);
    logs_checkpoint_hw(logs, hw_and_make_anew, &is_made);
    ck_assert(is_made);
    ck_assert_int_eq(on_file(HW_FILE, "t", 0), -1);
    log_unref(&log);
}
END_TEST

/* ---- crashes ---- */

static struct life {
    int64_t start; /* at most */
    int64_t safe;  /* flushed */
    int64_t end;   /* at most */
} lives[2];
static bool was_deleted;

static void reset(void)
{
    memset(lives, 0, sizeof lives);
    was_deleted = false;
}

static bool live_one(struct life *life, uint8_t number, int count, int64_t start)
{
    const struct uuid id = { .bytes = { number } };
    struct log *log;
    enum err err = logs_create(logs, "t", 0, id, true, NULL, &log);

    for (int i = 0; i < count && err == ERR_OK; i++) {
        life->end += 10;
        err = append(log);
    }
    if (err == ERR_OK)
        err = log_flush(log);
    if (err == ERR_OK) {
        life->safe = life->end;
        life->start = start;
        log_advance_start(log, start);
        logs_checkpoint(logs);
        logs_checkpoint_hw(logs, hw_of, NULL);
        err = log_is_offline(log) ? ERR_IO : ERR_OK;
    }
    if (log != NULL)
        log_unref(&log);
    return err == ERR_OK;
}

static void live(void)
{
    struct logs_options options = logs_kit_options(NULL);

    if (logs_open(&options, &logs) != ERR_OK)
        return;
    if (live_one(&lives[0], 1, 20, 100)) {
        was_deleted = true;
        if (logs_delete(logs, "t", 0) == ERR_OK)
            (void)live_one(&lives[1], 2, (int)(logs_kit_chance(3) + 1) * 10 - 5, 0);
    }
    logs_abandon(&logs);
}

static void check(void)
{
    struct logs_options options = logs_kit_options(NULL);

    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    struct log *log = logs_get_ref(logs, "t", 0);

    if (log == NULL) {
        ck_assert(lives[1].safe == 0 && (was_deleted || lives[0].safe == 0));
    } else {
        int number = log_topic_id(log).bytes[0];
        const struct life *life = &lives[number > 0 ? number - 1 : was_deleted];

        ck_assert(life == &lives[1] || lives[1].safe == 0);
        ck_assert_int_le(log_start_offset(log), life->start);
        ck_assert_int_ge(log_leo(log), life->safe);
        ck_assert_int_le(log_leo(log), life->end);
        ck_assert_int_eq(log_kit_check(log, true), log_leo(log) - log_start_offset(log));
        log_unref(&log);
    }
    logs_close(&logs);
}

static const struct crash_work work = { .reset = reset, .live = live, .check = check };

START_TEST(no_crash_gives_a_log_what_was_said_of_the_former)
{
    teardown();
    for (int loss = FAKE_DISK_LOSE_ALL; loss <= FAKE_DISK_LOSE_SOME; loss++)
        crash_everywhere(&work, loss);
    setup();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("logs_saved");

    say_set_level(SAY_ERROR);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_log_made_anew_has_its_own_start_and_end);
    tcase_add_test(tc, a_parked_log_leaves_nothing_to_the_next_one);
    tcase_add_test(tc, others_keep_what_is_said_of_them);
    tcase_add_test(tc, of_many_that_go_and_come_each_file_is_written_once);
    tcase_add_test(tc, without_room_to_forget_none_is_made);
    tcase_add_test(tc, a_log_without_a_partition_keeps_its_high_watermark);
    tcase_add_test(tc, a_file_under_way_does_not_name_a_log_that_left);
    tcase_add_test(tc, no_crash_gives_a_log_what_was_said_of_the_former);
    return unit_run(tc);
}
