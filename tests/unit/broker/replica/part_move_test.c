/*
 * part_move and moves: a copy is filled, cut where the log was cut, and takes its place with all
 * that the log knew; nothing is lost of what is appended meanwhile.
 */
#include <check.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log/files.h"
#include "broker/replica/moves.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/part_kit.h"
#include "tests/kit/unit.h"

static const char *dirs[2];
static struct logs *logs;
static struct part *part;
static struct part_env env;
static struct buf buffer;
static struct part_copy copy;
static const struct uuid topic_id = { .bytes = { 7 } };

/* ---- a disk at which something happens ---- */

static struct disk_ops told_ops;
static struct disk told_disk = { &told_ops };
static void (*before_read)(void); /* once */

static enum err told_pread(struct disk *disk, int file, void *into, size_t len, int64_t pos,
                           size_t *got)
{
    void (*happens)(void) = before_read;

    before_read = NULL;
    if (happens != NULL)
        happens();
    return disk_posix()->ops->pread(disk, file, into, len, pos, got);
}

/* ---- a partition in the first of two directories ---- */

/* Whoever leads is alone. */
static void role(int32_t leader, int32_t epoch)
{
    struct part_effects effects;

    part_kit_role(part,
                  &(struct part_kit_role){ .leader = leader,
                                           .epoch = epoch,
                                           .partition_epoch = epoch,
                                           .isr = { .at = &leader, .n = 1 },
                                           .is_alone = true },
                  clock_mono_ms(), &effects);
}

static struct log *log_in(int dir, const char *topic)
{
    struct log *log;

    ck_assert_int_eq(logs_create(logs, topic, 0, topic_id, true, dirs[dir], &log), ERR_OK);
    return log;
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    told_ops = *disk_posix()->ops;
    told_ops.pread = told_pread;
    dirs[0] = xstrdup(unit_temp_dir());
    dirs[1] = xstrdup(unit_temp_dir());
    ck_assert_int_eq(logs_open(&(struct logs_options){ .dirs = dirs,
                                                       .dir_count = 2,
                                                       .broker_id = 1,
                                                       .recovery_threads = 1,
                                                       .disk = &told_disk,
                                                       .no_threads = true },
                               &logs),
                     ERR_OK);
    struct log *log = log_in(0, "t");

    env = (struct part_env){ .broker_id = 1, .propose = part_kit_propose };
    part = part_new(&env, "t", topic_id, 0, &log, -1, 1, 30000);
    buffer = BUF_EMPTY;
}

static void teardown(void)
{
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    part_unref(&part);
    buf_fini(&buffer);
    logs_close(&logs);
    free((void *)(uintptr_t)dirs[0]);
    free((void *)(uintptr_t)dirs[1]);
}

static enum err append(int count)
{
    struct log_appended appended;
    int32_t epoch;

    return part_kit_append(part, &(struct kit_batch){ .count = count, .value_bytes = 100 }, 1,
                           clock_wall_ms(), clock_mono_ms(), &appended, &epoch);
}

/* Records of `epoch`, from the leader of led_in. */
static void follow_in(int32_t led_in, int32_t epoch, int64_t offset, int count)
{
    struct part_fetch_start start;
    struct buf buf = BUF_EMPTY;

    part_kit_put(&buf, &(struct kit_batch){ .count = count, .value_bytes = 100 }, offset, epoch);
    ck_assert_int_eq(part_follow(part, led_in, buf.bytes, buf.len, offset, 0, clock_wall_ms(),
                                 clock_mono_ms(), &start),
                     ERR_OK);
    buf_fini(&buf);
}

static void follow(int32_t epoch, int64_t offset, int count)
{
    follow_in(epoch, epoch, offset, count);
}

/* The leader of led_in has told where our epochs part; the log ends at offset then. */
static void diverge(int32_t led_in, int32_t epoch, int64_t end, int64_t offset)
{
    struct part_fetch_start start;

    ck_assert_int_eq(part_follow_diverged(part, led_in, epoch, end, clock_mono_ms(), &start),
                     ERR_OK);
    ck_assert_int_eq(start.offset, offset);
}

static struct log *begin(void)
{
    struct log *future;

    ck_assert_int_eq(logs_create_future(logs, "t", 0, topic_id, dirs[1], &future), ERR_OK);
    struct log *lent = future;

    part_set_future(part, &future);
    return lent;
}

static enum err copy_once(size_t max)
{
    copy = (struct part_copy){
        .buffer = &buffer, .max_bytes = max, .wall_ms = clock_wall_ms(), .now_ms = clock_mono_ms()
    };
    return part_copy(part, &copy);
}

static enum err swap(void)
{
    copy.copied = 0;
    return part_swap(part, logs, &copy);
}

START_TEST(a_copy_takes_the_place_of_the_log)
{
    role(1, 3);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(append(5), ERR_OK);
    struct log *former = log_ref(part_log(part));
    struct log *future = begin();

    ck_assert(log_is_future(future));
    ck_assert_int_eq(copy_once(2000), ERR_OK);
    ck_assert(copy.copied > 0 && copy.copied <= 2000);
    ck_assert_int_eq(append(5), ERR_OK); /* between the last chunk and the swap */
    role(1, 4);                          /* an epoch in which nothing is appended */
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    ck_assert_ptr_eq(part_log(part), future);
    ck_assert_str_eq(log_parent_dir(future), dirs[1]);
    ck_assert_str_eq(log_name(future), "t-0");
    ck_assert_int_eq(log_leo(future), 105);
    ck_assert_int_eq(log_latest_epoch(future), 4);
    ck_assert_int_eq(log_kit_check(future, true), 105);
    ck_assert_int_eq(append(1), ERR_OK);
    ck_assert_int_eq(log_leo(future), 106);
    ck_assert_int_eq(log_leo(former), 105);
    ck_assert_int_eq(log_kit_check(former, true), 105); /* who still has it reads on */
    struct log *found = logs_get_ref(logs, "t", 0);
    ck_assert_ptr_eq(found, future);
    ck_assert_ptr_null(logs_get_future_ref(logs, "t", 0));
    log_unref(&found);
    log_unref(&former);
}
END_TEST

START_TEST(a_copy_is_cut_where_the_log_was)
{
    role(2, 3);
    follow(3, 0, 10);
    follow(3, 10, 10);
    struct log *future = begin();
    struct part_fetch_start start;

    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(log_leo(future), 20);
    role(2, 5);
    ck_assert_int_eq(part_follow_diverged(part, 5, 3, 10, clock_mono_ms(), &start), ERR_OK);
    follow(5, 10, 15); /* longer than what was cut: offsets alone would not tell */
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    ck_assert_int_eq(log_leo(part_log(part)), 25);
    ck_assert_int_eq(log_epoch_end(future, 3).end_offset, 10);
    ck_assert_int_eq(log_latest_epoch(future), 5);
}
END_TEST

START_TEST(a_copy_is_cut_as_often_as_epochs_part)
{
    struct log *future;

    role(2, 3);
    follow(3, 0, 90);
    role(2, 4);
    follow(4, 90, 10);
    role(2, 6);
    follow(6, 100, 10);
    future = begin();
    while (log_leo(future) < 110)
        ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    role(2, 7); /* its leader has records of 5 where we have those of 4 and 6 */
    diverge(7, 5, 105, 100);
    diverge(7, 3, 90, 90);
    for (int i = 0; i < 3; i++)
        follow_in(7, 5, 90 + 5 * i, 5);
    follow_in(7, 7, 105, 10);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(log_epoch_at(future, 95), 5);
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    ck_assert_int_eq(log_epoch_at(part_log(part), 95), 5);
    ck_assert_int_eq(log_epoch_end(part_log(part), 3).end_offset, 90);
    ck_assert_int_eq(log_kit_check(part_log(part), true), 115);
}
END_TEST

static void cut_and_go_on(void)
{
    role(2, 5);
    diverge(5, 3, 50, 50);
    for (int i = 0; i < 150; i++)
        follow(5, 50 + i, 1);
}

START_TEST(what_a_cut_log_has_anew_is_not_appended_to_an_uncut_copy)
{
    role(2, 3);
    for (int i = 0; i < 100; i++)
        follow(3, i, 1);
    struct log *future = begin();

    while (log_leo(future) < 60)
        ck_assert_int_eq(copy_once(1000), ERR_OK);
    before_read = cut_and_go_on; /* they have agreed; the next chunk is being looked up */
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert(before_read == NULL);
    while (log_leo(future) < 200)
        ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(log_epoch_end(future, 3).end_offset, 50);
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    ck_assert_int_eq(log_epoch_at(part_log(part), 55), 5);
}
END_TEST

START_TEST(a_copy_begins_anew_with_its_log)
{
    struct part_fetch_start start;

    role(2, 3);
    follow(3, 0, 10);
    struct log *future = begin();
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(part_follow_reset(part, 3, 50, 60, clock_mono_ms(), &start), ERR_OK);
    follow(3, 50, 5);
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(log_start_offset(future), 50);
    ck_assert_int_eq(log_leo(future), 55);
}
END_TEST

START_TEST(a_copy_follows_the_log_start_and_is_waited_for)
{
    int64_t offset = 10, low;

    role(1, 3);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(append(5), ERR_OK);
    struct log *future = begin();
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(part_delete_records(part, &offset, clock_mono_ms(), &low), ERR_OK);
    ck_assert_int_eq(low, 0);
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_int_eq(log_start_offset(future), 10);
    ck_assert_int_eq(part_get_low_watermark(part, &low), ERR_OK);
    ck_assert_int_eq(low, 10);
}
END_TEST

START_TEST(a_failed_directory_ends_the_copy_not_the_log)
{
    role(1, 3);
    ck_assert_int_eq(append(5), ERR_OK);
    begin();
    logs_fail_dir(logs, dirs[1]);
    ck_assert_int_eq(copy_once(1 << 20), ERR_KAFKA_STORAGE_ERROR);
    ck_assert(part_future_is_offline(part) && !part_is_offline(part));
    struct log *future = part_take_future(part);
    log_unref(&future);
    ck_assert_int_eq(append(5), ERR_OK);
    ck_assert_int_eq(logs_create_future(logs, "t", 0, topic_id, dirs[1], &future),
                     ERR_KAFKA_STORAGE_ERROR);
}
END_TEST

/* Files that have no name any more, and whose room this process keeps. */
static int nameless_open(void)
{
    static const char deleted[] = " (deleted)";
    DIR *fds = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0;

    while ((entry = readdir(fds)) != NULL) {
        char link[300], target[4096];

        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        ssize_t len = readlink(link, target, sizeof target - 1);

        if (len < (ssize_t)sizeof deleted || strncmp(target, dirs[0], strlen(dirs[0])) != 0)
            continue;
        target[len] = '\0';
        count += strcmp(target + len - strlen(deleted), deleted) == 0;
    }
    closedir(fds);
    return count;
}

START_TEST(what_was_moved_away_from_takes_no_room)
{
    struct log_conf conf;

    log_get_conf(part_log(part), &conf);
    conf.segment_bytes = 20000;
    log_set_conf(part_log(part), &conf);
    role(2, 3);
    for (int i = 0; i < 50; i++)
        follow(3, i * 50, 50);
    ck_assert_uint_gt(log_segment_count(part_log(part)), 10);
    struct log *future = begin();

    while (log_leo(future) < log_leo(part_log(part)))
        ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    struct log *former = log_ref(part_log(part));
    struct log_range range;
    int fd;

    ck_assert_int_eq(log_read(former, 0, 2500, 4096, true, &range), ERR_OK);
    ck_assert_int_eq(file_pin(range.file, &fd), ERR_OK); /* on its way to a slow client */
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    logs_tick(logs, clock_wall_ms(), clock_mono_ms() + conf.file_delete_delay_ms + 1000);
    ck_assert_int_eq(nameless_open(), 1);
    file_unpin(range.file);
    log_range_done(&range);
    ck_assert_int_eq(nameless_open(), 0);
    log_unref(&former);
}
END_TEST

static int count_deleted(const char *path)
{
    static const char ending[] = ".deleted";
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name);

        count += len >= strlen(ending) && strcmp(entry->d_name + len - strlen(ending), ending) == 0;
    }
    closedir(dir);
    return count;
}

/* Under the copy's first name, which it has left by the time when a log's files are removed. */
START_TEST(what_a_copy_has_deleted_is_gone_when_it_takes_its_place)
{
    struct log_conf conf;
    int64_t low, offset = 2400;

    log_get_conf(part_log(part), &conf);
    conf.segment_bytes = 20000;
    log_set_conf(part_log(part), &conf);
    role(1, 3);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(append(50), ERR_OK);
    struct log *future = begin();

    while (log_leo(future) < log_leo(part_log(part)))
        ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    size_t segments = log_segment_count(future);

    ck_assert_int_eq(part_delete_records(part, &offset, clock_mono_ms(), &low), ERR_OK);
    ck_assert_int_eq(copy_once(1 << 20), ERR_OK);
    ck_assert_uint_lt(log_segment_count(future), segments);
    ck_assert_int_eq(swap(), ERR_OK);
    ck_assert(copy.is_swapped);
    logs_tick(logs, clock_wall_ms(), clock_mono_ms() + conf.file_delete_delay_ms + 1000);
    char *path = xasprintf("%s/t-0", dirs[1]);

    ck_assert_int_eq(count_deleted(path), 0);
    free(path);
}
END_TEST

static void wait_for(struct moves *moves)
{
    struct moves_info info;

    do {
        sched_yield();
        moves_get_info(moves, &info);
    } while (info.moving > 0);
}

START_TEST(threads_move_while_others_append)
{
    struct moves *moves = moves_start(
        &(struct moves_conf){ .threads = 2, .chunk_bytes = 4096, .backoff_ms = 10, .logs = logs });

    role(1, 3);
    for (int round = 0; round < 4; round++) {
        const char *to = dirs[(round + 1) % 2];

        for (int i = 0; i < 50; i++)
            ck_assert_int_eq(append(5), ERR_OK);
        ck_assert_int_eq(moves_begin(moves, part, to), ERR_OK);
        for (int i = 0; i < 50; i++)
            ck_assert_int_eq(append(5), ERR_OK);
        wait_for(moves);
        ck_assert_str_eq(log_parent_dir(part_log(part)), to);
        ck_assert_int_eq(log_kit_check(part_log(part), true), (round + 1) * 500);
    }
    ck_assert_int_eq(moves_begin(moves, part, dirs[0]), ERR_OK); /* there already */
    ck_assert_int_eq(moves_begin(moves, part, "/nowhere"), ERR_LOG_DIR_NOT_FOUND);
    moves_forget(moves, part);
    moves_stop(&moves);
}
END_TEST

static bool has_copy(void)
{
    struct log *future = logs_get_future_ref(logs, "t", 0);
    bool has = future != NULL;

    log_unref(&future);
    return has;
}

START_TEST(what_is_gone_is_not_moved)
{
    struct moves *moves = moves_start(
        &(struct moves_conf){ .threads = 1, .chunk_bytes = 4096, .backoff_ms = 10, .logs = logs });
    struct moves_info info;

    role(2, 3);
    follow(3, 0, 10);
    /* It goes between the lookup of a request and the request's turn. */
    part_close(part, ERR_UNKNOWN_TOPIC_OR_PARTITION);
    moves_forget(moves, part);
    ck_assert_int_eq(moves_begin(moves, part, dirs[1]), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(moves_begin(moves, part, dirs[1]), ERR_REPLICA_NOT_AVAILABLE);
    moves_get_info(moves, &info);
    ck_assert_int_eq(info.moving, 0);
    ck_assert(!has_copy());
    moves_stop(&moves);
}
END_TEST

START_TEST(a_move_of_what_is_closed_rests_until_it_is_forgotten)
{
    struct moves *moves = moves_start(
        &(struct moves_conf){ .threads = 1, .chunk_bytes = 4096, .backoff_ms = 10, .logs = logs });

    role(2, 3);
    follow(3, 0, 10);
    begin();
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    /* An error, as distinct from nothing to do: the thread would look again at once. */
    ck_assert_int_eq(copy_once(1 << 20), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(swap(), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert(!copy.is_swapped);
    struct log *future = part_take_future(part);

    log_unref(&future);
    moves_adopt(moves, part); /* as one that was under way */
    moves_forget(moves, part);
    while (has_copy())
        sched_yield();
    wait_for(moves);
    moves_stop(&moves);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_move");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_copy_takes_the_place_of_the_log);
    tcase_add_test(tc, a_copy_is_cut_where_the_log_was);
    tcase_add_test(tc, a_copy_is_cut_as_often_as_epochs_part);
    tcase_add_test(tc, what_a_cut_log_has_anew_is_not_appended_to_an_uncut_copy);
    tcase_add_test(tc, a_copy_begins_anew_with_its_log);
    tcase_add_test(tc, a_copy_follows_the_log_start_and_is_waited_for);
    tcase_add_test(tc, a_failed_directory_ends_the_copy_not_the_log);
    tcase_add_test(tc, what_was_moved_away_from_takes_no_room);
    tcase_add_test(tc, what_a_copy_has_deleted_is_gone_when_it_takes_its_place);
    tcase_add_test(tc, threads_move_while_others_append);
    tcase_add_test(tc, what_is_gone_is_not_moved);
    tcase_add_test(tc, a_move_of_what_is_closed_rests_until_it_is_forgotten);
    return unit_run(tc);
}
