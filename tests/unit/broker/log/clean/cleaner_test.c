/*
 * cleaner: which log comes first and which not at all, what is kept in cleaner-offset-checkpoint,
 * what becomes of failures; with threads, that they share the work and stop at once.
 */
#include "broker/log/clean/cleaner.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_swap.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/record.h"
#include "tests/kit/logs_kit.h"
#include "tests/kit/unit.h"

#define NOW_MS 1700000000000

static struct logs *logs;
static struct cleaner *cleaner;
static int64_t bound; /* of the last stable offset */
static int retained;  /* how often retain() was called */
static struct log_conf topic_conf;

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    *conf = topic_conf;
    if (strcmp(topic, "plain") == 0)
        conf->cleanup_compact = false;
}

static int64_t stable_of(void *ctx, struct log *log)
{
    (void)ctx;
    return bound < log_leo(log) ? bound : log_leo(log);
}

static void retain(void *ctx, struct log *log)
{
    (void)ctx;
    retained++;
    log_retain(log, log_leo(log), NOW_MS);
}

/* In "/d" unless it is said where. */
static void open_logs(const char *const *dirs, size_t count)
{
    struct logs_options options = logs_kit_options(conf_of);

    if (dirs != NULL) {
        options.dirs = dirs;
        options.dir_count = count;
    }
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
}

static struct cleaner_conf cleaner_conf(int threads)
{
    return (struct cleaner_conf){ .logs = logs,
                                  .threads = threads,
                                  .dedupe_bytes = 1 << 20,
                                  .load_factor = 0.9,
                                  .io_bytes = 1 << 16,
                                  .max_bytes_per_second = 1.7976931348623157E308,
                                  .backoff_ms = 20,
                                  .stable_of = stable_of,
                                  .retain = retain };
}

static void start_cleaner(void)
{
    struct cleaner_conf conf = cleaner_conf(0);

    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
}

static void begin(void)
{
    topic_conf = LOG_CONF_DEFAULT;
    topic_conf.segment_bytes = 1000;
    topic_conf.cleanup_delete = false;
    topic_conf.cleanup_compact = true;
    topic_conf.file_delete_delay_ms = 0;
    bound = LOGS_KIT_NEVER;
    retained = 0;
    logs_kit_begin(1);
    open_logs(NULL, 0);
    start_cleaner();
}

static void end(void)
{
    cleaner_stop(&cleaner);
    logs_close(&logs);
    logs_kit_end();
}

static struct log *make_log(const char *topic)
{
    struct log *log;

    ck_assert_int_eq(logs_create(logs, topic, 0, (struct uuid){ .bytes = { 1 } }, true, NULL, &log),
                     ERR_OK);
    return log;
}

/* So many batches of one record, with so many keys in turn. */
static void fill(struct log *log, int batches, int keys)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;

    for (int i = 0; i < batches; i++) {
        struct batch_builder builder;
        struct log_appended out;
        char key[16];
        uint8_t *bytes;
        size_t size;

        snprintf(key, sizeof key, "k%d", i % keys);
        batch_builder_init(&builder, &conf);
        batch_builder_add(&builder, NOW_MS, str_of(key), STR("a value of some length, no more"),
                          NULL, 0);
        ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
        ck_assert_int_eq(log_append_leader(log, bytes, size, 0, LOG_FROM_CLIENT, NOW_MS, &out),
                         ERR_OK);
        batch_builder_fini(&builder);
    }
}

static char *read_marks(void)
{
    char *text;
    size_t len;

    ck_assert_int_eq(
        disk_read_file(logs_disk(logs), "/d/cleaner-offset-checkpoint", 1 << 16, &text, &len),
        ERR_OK);
    return text;
}

START_TEST(the_dirtiest_comes_first_and_each_is_marked)
{
    struct log *little = make_log("little");
    struct log *much = make_log("much");
    struct log *plain = make_log("plain");
    struct cleaner_info info;

    fill(little, 40, 4);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    fill(little, 40, 4); /* part of it is clean */
    fill(much, 100, 4);
    fill(plain, 100, 4);
    int64_t mark = log_cleaned_upto(little);

    ck_assert_int_gt(mark, 0);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_eq(log_cleaned_upto(much), log_active_base(much));
    ck_assert_int_eq(log_cleaned_upto(little), mark);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_eq(log_cleaned_upto(little), log_active_base(little));
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_eq(log_cleaned_upto(plain), -1);
    ck_assert_uint_gt(log_segment_count(plain), 5);
    cleaner_get_info(cleaner, &info);
    ck_assert(info.max_dirty_ratio < 0.5);
    ck_assert_int_eq(info.cleaning, 0);
    ck_assert_int_eq(retained, 8); /* two compacted ones in four turns */

    char *text = read_marks();
    char one[64];
    char other[64];

    snprintf(one, sizeof one, "much 0 %" PRId64 "\n", log_active_base(much));
    snprintf(other, sizeof other, "little 0 %" PRId64 "\n", log_active_base(little));
    ck_assert_msg(strncmp(text, "0\n2\n", 4) == 0 && strstr(text, one) != NULL &&
                      strstr(text, other) != NULL,
                  "%s", text);
    free(text);
    log_unref(&little);
    log_unref(&much);
    log_unref(&plain);
}
END_TEST

START_TEST(marks_are_found_again)
{
    struct log *log = make_log("t");

    fill(log, 100, 4);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    int64_t mark = log_cleaned_upto(log);

    log_unref(&log);
    cleaner_stop(&cleaner);
    logs_close(&logs);
    open_logs(NULL, 0);
    start_cleaner();
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_cleaned_upto(log), mark);
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    /* A truncation takes the mark along; a damaged file means to begin anew. */
    ck_assert_int_eq(log_truncate_to(log, 2), ERR_OK);
    ck_assert_int_le(log_cleaned_upto(log), 2);
    log_unref(&log);
    cleaner_stop(&cleaner);
    logs_close(&logs);
    ck_assert_int_eq(disk_replace_file(fake_disk_base(logs_kit_disk()),
                                       "/d/cleaner-offset-checkpoint", "x\n", 2, true),
                     ERR_OK);
    open_logs(NULL, 0);
    start_cleaner();
    log = logs_get_ref(logs, "t", 0);
    ck_assert_int_eq(log_cleaned_upto(log), -1);
    log_unref(&log);
}
END_TEST

START_TEST(nothing_above_the_stable_offset_is_compacted)
{
    struct log *log = make_log("t");

    fill(log, 100, 1);
    bound = -1; /* no partition has it */
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    bound = 30;
    topic_conf.min_cleanable_dirty_ratio = 0;
    log_set_conf(log, &topic_conf);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_gt(log_cleaned_upto(log), 0);
    ck_assert_int_le(log_cleaned_upto(log), 30);
    log_unref(&log);
}
END_TEST

static void damage(const char *path)
{
    int fd;
    uint8_t byte = 0xff;

    ck_assert_int_eq(disk_open(logs_disk(logs), path, DISK_WRITE, &fd), ERR_OK);
    ck_assert_int_eq(disk_pwrite(logs_disk(logs), fd, &byte, 1, 70), ERR_OK);
    disk_close(logs_disk(logs), fd);
}

START_TEST(a_damaged_log_is_left_alone_and_the_others_go_on)
{
    struct log *bad = make_log("bad");
    struct log *good = make_log("good");
    int64_t count;
    int64_t bytes;

    fill(bad, 200, 1);
    damage("/d/bad-0/00000000000000000000.log");
    ck_assert(!cleaner_turn(cleaner, NOW_MS)); /* good is empty yet */
    ck_assert(log_is_uncleanable(bad));
    fill(good, 100, 1);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_gt(log_cleaned_upto(good), 0);
    ck_assert_int_eq(log_cleaned_upto(bad), -1);
    ck_assert(!log_is_offline(bad));
    cleaner_get_uncleanable(cleaner, 0, &count, &bytes);
    ck_assert_int_eq(count, 1);
    ck_assert_int_gt(bytes, 1000);
    log_unref(&bad);
    log_unref(&good);
}
END_TEST

START_TEST(a_full_disk_puts_it_off)
{
    struct log *log = make_log("t");

    fill(log, 100, 50);
    fake_disk_set_room(logs_kit_disk(), 0);
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    ck_assert(!log_is_offline(log) && !log_is_uncleanable(log));
    fake_disk_set_room(logs_kit_disk(), INT64_MAX);
    ck_assert(!cleaner_turn(cleaner, NOW_MS + 1000)); /* not again at once */
    ck_assert(cleaner_turn(cleaner, NOW_MS + 61000));
    log_unref(&log);
}
END_TEST

START_TEST(an_error_of_the_disk_ends_the_directory)
{
    struct log *log = make_log("t");

    fill(log, 100, 50);
    fake_disk_fail_syncs(logs_kit_disk(), true);
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    ck_assert(log_is_offline(log));
    ck_assert(!cleaner_turn(cleaner, NOW_MS));
    fake_disk_fail_syncs(logs_kit_disk(), false);
    log_unref(&log);
}
END_TEST

START_TEST(compacted_and_deleted)
{
    topic_conf.cleanup_delete = true;
    topic_conf.retention_bytes = 2500;
    struct log *log = make_log("t");

    fill(log, 100, 100); /* nothing to compact: every key once */
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_gt(log_start_offset(log), 0);
    ck_assert_int_lt(log_size_bytes(log), 4000);
    /* The start has moved past the mark of a compaction that was never: it begins there. */
    log_set_cleaned_upto(log, 1);
    fill(log, 100, 100);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    ck_assert_int_eq(log_cleaned_upto(log), log_active_base(log));
    ck_assert_int_lt(log_size_bytes(log), 4000);
    log_unref(&log);
}
END_TEST

START_TEST(settings_that_cannot_work_are_refused)
{
    struct cleaner *none;

    struct cleaner_conf conf = cleaner_conf(0);

    conf.load_factor = 0;
    ck_assert_int_eq(cleaner_start(&conf, &none), ERR_INVALID_CONFIG);
    conf.load_factor = 1.5;
    ck_assert_int_eq(cleaner_start(&conf, &none), ERR_INVALID_CONFIG);
    conf.load_factor = 0.9;
    conf.dedupe_bytes = 30;
    ck_assert_int_eq(cleaner_start(&conf, &none), ERR_INVALID_CONFIG);
}
END_TEST

/* --- threads, on a real disk ---------------------------------------------------------------------
 */

static bool wait_for(bool (*holds)(void))
{
    for (int64_t until = clock_mono_ms() + 20000; clock_mono_ms() < until; usleep(2000))
        if (holds())
            return true;
    return false;
}

static bool all_are_compacted(void)
{
    bool all = true;

    for (int i = 0; i < 6; i++) {
        char topic[16];

        snprintf(topic, sizeof topic, "t%d", i);
        struct log *log = logs_get_ref(logs, topic, 0);

        all = all && log_cleaned_upto(log) > 0;
        log_unref(&log);
    }
    return all;
}

static void begin_threads(void)
{
    struct logs_options options = logs_kit_options(conf_of);
    const char *dirs[] = { unit_temp_dir() };

    cleaner_stop(&cleaner);
    logs_close(&logs);
    options.dirs = dirs;
    options.disk = NULL;
    ck_assert_int_eq(logs_open(&options, &logs), ERR_OK);
    for (int i = 0; i < 6; i++) {
        char topic[16];

        snprintf(topic, sizeof topic, "t%d", i);
        struct log *log = make_log(topic);

        fill(log, 200, 5);
        log_unref(&log);
    }
}

START_TEST(threads_share_the_logs)
{
    begin_threads();
    struct cleaner_conf conf = cleaner_conf(3);

    conf.retain = NULL; /* needs an append lock here, which nobody has */
    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
    ck_assert(wait_for(all_are_compacted));
}
END_TEST

static bool one_is_running(void)
{
    struct cleaner_info info;

    cleaner_get_info(cleaner, &info);
    return info.cleaning > 0;
}

START_TEST(a_throttled_compaction_stops_at_once)
{
    begin_threads();
    struct cleaner_conf conf = cleaner_conf(2);

    conf.retain = NULL;
    conf.max_bytes_per_second = 1000; /* minutes for these logs */
    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
    ck_assert(wait_for(one_is_running));
    int64_t before = clock_mono_ms();

    cleaner_stop(&cleaner);
    ck_assert_int_lt(clock_mono_ms() - before, 5000);
    ck_assert(!all_are_compacted());
}
END_TEST

static bool has_three_threads(void)
{
    return cleaner_threads(cleaner) == 3;
}

START_TEST(a_rate_that_changes_counts_at_once)
{
    begin_threads();
    struct cleaner_conf conf = cleaner_conf(2);

    conf.retain = NULL;
    conf.max_bytes_per_second = 1000; /* minutes for these logs */
    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
    ck_assert(wait_for(one_is_running));
    conf.max_bytes_per_second = 1e9;
    ck_assert_int_eq(cleaner_reconfigure(cleaner, &conf), ERR_OK);
    ck_assert(wait_for(all_are_compacted));
    ck_assert_uint_eq(cleaner_threads(cleaner), 2);
}
END_TEST

START_TEST(threads_and_memory_change_while_logs_are_compacted)
{
    begin_threads();
    struct cleaner_conf conf = cleaner_conf(1);

    conf.retain = NULL;
    conf.max_bytes_per_second = 1000;
    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
    ck_assert(wait_for(one_is_running));
    conf.threads = 3; /* what is under way is broken off */
    ck_assert_int_eq(cleaner_reconfigure(cleaner, &conf), ERR_OK);
    ck_assert(wait_for(has_three_threads));
    ck_assert(wait_for(one_is_running));
    conf.dedupe_bytes = 1 << 22;
    conf.max_bytes_per_second = 1e9;
    ck_assert_int_eq(cleaner_reconfigure(cleaner, &conf), ERR_OK);
    ck_assert(wait_for(all_are_compacted));
    conf.threads = 0;
    ck_assert_int_eq(cleaner_reconfigure(cleaner, &conf), ERR_INVALID_CONFIG);
    conf.threads = 3;
    conf.dedupe_bytes = 30;
    ck_assert_int_eq(cleaner_reconfigure(cleaner, &conf), ERR_INVALID_CONFIG);
    ck_assert_uint_eq(cleaner_threads(cleaner), 3);
}
END_TEST

/* Batch by batch, as the mover does. */
static void copy_log(struct log *from, struct log *to)
{
    static uint8_t bytes[1 << 16];
    struct log_appended out;

    while (log_leo(to) < log_leo(from)) {
        struct log_range range;
        size_t got;

        ck_assert_int_eq(log_read(from, log_leo(to), INT64_MAX, sizeof bytes, true, &range),
                         ERR_OK);
        ck_assert_int_eq(log_range_read(&range, 0, bytes, range.len, &got), ERR_OK);
        log_range_done(&range);
        ck_assert_int_eq(log_append_follower(to, bytes, got, NOW_MS, &out), ERR_OK);
    }
}

static int64_t saved_mark(const char *dir)
{
    struct checkpoint marks;
    char *path = xasprintf("%s/" CLEANER_FILE, dir);

    ck_assert_int_eq(checkpoint_read(logs_disk(logs), path, &marks), ERR_OK);
    int64_t mark = checkpoint_find(&marks, "t", 0);

    checkpoint_fini(&marks);
    free(path);
    return mark;
}

START_TEST(the_mark_goes_with_a_log_that_is_moved)
{
    const char *dirs[] = { "/d/a", "/d/b" };
    const struct uuid id = { .bytes = { 1 } };
    struct log *log, *future;

    cleaner_stop(&cleaner);
    logs_close(&logs);
    open_logs(dirs, 2);
    start_cleaner();
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, "/d/a", &log), ERR_OK);
    fill(log, 100, 4);
    ck_assert(cleaner_turn(cleaner, NOW_MS));
    int64_t mark = log_cleaned_upto(log);

    ck_assert_int_eq(saved_mark("/d/a"), mark);
    ck_assert_int_eq(logs_create_future(logs, "t", 0, id, "/d/b", &future), ERR_OK);
    copy_log(log, future);
    ck_assert_int_eq(logs_swap_future(logs, future), ERR_OK);
    ck_assert(!cleaner_turn(cleaner, NOW_MS)); /* nothing is dirty that was clean before */
    ck_assert_int_eq(log_cleaned_upto(future), mark);
    ck_assert_int_eq(saved_mark("/d/a"), -1);
    ck_assert_int_eq(saved_mark("/d/b"), mark);
    log_unref(&log);
    log_unref(&future);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cleaner");

    say_set_level(SAY_ERROR);
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_test(tc, the_dirtiest_comes_first_and_each_is_marked);
    tcase_add_test(tc, marks_are_found_again);
    tcase_add_test(tc, nothing_above_the_stable_offset_is_compacted);
    tcase_add_test(tc, a_damaged_log_is_left_alone_and_the_others_go_on);
    tcase_add_test(tc, a_full_disk_puts_it_off);
    tcase_add_test(tc, an_error_of_the_disk_ends_the_directory);
    tcase_add_test(tc, compacted_and_deleted);
    tcase_add_test(tc, settings_that_cannot_work_are_refused);
    tcase_add_test(tc, threads_share_the_logs);
    tcase_add_test(tc, a_throttled_compaction_stops_at_once);
    tcase_add_test(tc, a_rate_that_changes_counts_at_once);
    tcase_add_test(tc, threads_and_memory_change_while_logs_are_compacted);
    tcase_add_test(tc, the_mark_goes_with_a_log_that_is_moved);
    return unit_run(tc);
}
