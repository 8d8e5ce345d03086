/*
 * A log on a disk that has no room for one thing, whichever it is: what is said to be cut is cut,
 * what is refused leaves nothing, and the next start finds what was there and no more.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "broker/log/log_swap.h"
#include "common/base/say.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define OFFSETS 64
#define NEVER   0

static struct fake_disk *fake;
static struct log_kit kit;
static int32_t epochs[OFFSETS]; /* in which the record there was written, -1 none */

static void open_log(void)
{
    log_kit_init(&kit, fake_disk_base(fake), "/d");
    kit.conf.segment_bytes = 1000;
    kit.conf.index_interval_bytes = 150;
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
}

static void begin(void)
{
    fake = fake_disk_new();
    for (int i = 0; i < OFFSETS; i++)
        epochs[i] = -1;
    open_log();
}

static void end(void)
{
    log_kit_fini(&kit);
    fake_disk_free(&fake);
}

/* A batch of one record, a seventh of a segment or so. */
static enum err append(int32_t epoch, size_t value_bytes)
{
    struct log_appended out;
    enum err err =
        log_kit_append(&kit, &(struct kit_batch){ .value_bytes = value_bytes }, epoch, &out);

    if (err == ERR_OK)
        epochs[out.first_offset] = epoch;
    return err;
}

static void append_many(int32_t epoch, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(append(epoch, 60), ERR_OK);
}

/* What is not there any more, or never was. */
static void forget_from(int64_t offset)
{
    for (int64_t i = offset; i < OFFSETS; i++)
        epochs[i] = -1;
}

static void expect_record(struct log *log, int64_t offset)
{
    struct batch_info info;
    struct buf buf = BUF_EMPTY;

    ck_assert_int_eq(log_kit_read(log, offset, offset + 1, &buf), ERR_OK);
    ck_assert_uint_ge(buf.len, BATCH_HEADER_BYTES);
    batch_info_read(buf.bytes, &info);
    ck_assert_int_eq(info.base_offset, offset);
    ck_assert_int_eq(info.leader_epoch, epochs[offset]);
    buf_fini(&buf);
}

/* The log is what was written, and nothing else. */
static void expect_log(void)
{
    int64_t start = log_start_offset(kit.log);
    int64_t leo = log_leo(kit.log);

    for (int64_t i = 0; i < OFFSETS; i++)
        ck_assert_msg((epochs[i] >= 0) == (i >= start && i < leo),
                      "offset %" PRId64 " of [%" PRId64 ", %" PRId64 ")", i, start, leo);
    ck_assert_int_eq(log_kit_check(kit.log, true), leo - start);
    for (int64_t i = start; i < leo; i++)
        expect_record(kit.log, i);
}

/* Killed, or the power went. */
static void expect_log_after_crash(enum fake_disk_loss loss)
{
    log_kit_fini(&kit);
    fake_disk_crash(fake, loss, 1);
    open_log();
    expect_log();
}

static uint64_t count_of(void (*prepare)(void), enum err (*work)(void))
{
    begin();
    prepare();
    uint64_t before = fake_disk_count(fake);

    ck_assert_int_eq(work(), ERR_OK);
    uint64_t count = fake_disk_count(fake) - before;

    end();
    return count;
}

/* Another leader goes on: with a batch that fits where the next one of the usual size would not. */
static void go_on(int more)
{
    ck_assert_int_eq(append(7, 1), ERR_OK);
    append_many(7, more - 1);
    expect_log();
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
}

/* Without room for the operation of that number, or for any new name (0): what then was done all
 * the same must have been done whole, what was refused not at all. True when the log goes on. */
static bool run_out_at(uint64_t number, void (*prepare)(void), enum err (*work)(void), int more,
                       enum fake_disk_loss loss)
{
    begin();
    prepare();
    fake_disk_refuse_names(fake, number == 0);
    fake_disk_fail_at(fake, number == 0 ? NEVER : fake_disk_count(fake) + number, ERR_NO_SPACE);
    enum err err = work();

    fake_disk_refuse_names(fake, false);
    fake_disk_fail_at(fake, NEVER, ERR_OK);
    ck_assert(err == ERR_OK || err == ERR_NO_SPACE || log_is_offline(kit.log));
    bool goes_on = !log_is_offline(kit.log);

    if (goes_on) {
        go_on(more);
        expect_log_after_crash(loss);
    }
    end();
    return goes_on;
}

static void run_out_everywhere(void (*prepare)(void), enum err (*work)(void), int more)
{
    uint64_t count = count_of(prepare, work);
    uint64_t going = 0;

    for (uint64_t number = 0; number <= count; number++) {
        going += run_out_at(number, prepare, work, more, FAKE_DISK_KEEP_ALL);
        going += run_out_at(number, prepare, work, more, FAKE_DISK_LOSE_ALL);
    }
    ck_assert_uint_gt(going, count); /* of two for each */
}

static void three_segments(void)
{
    append_many(5, 20);
    ck_assert_uint_ge(log_segment_count(kit.log), 3);
}

static enum err truncate(void)
{
    enum err err = log_truncate_to(kit.log, 5);

    forget_from(5);
    return err;
}

START_TEST(what_is_truncated_does_not_come_back)
{
    run_out_everywhere(three_segments, truncate, 1);
    run_out_everywhere(three_segments, truncate, 20);
}
END_TEST

static enum err start_over(void)
{
    enum err err = log_truncate_fully_and_start_at(kit.log, 30);

    forget_from(0);
    return err;
}

static enum err start_over_in_the_middle(void)
{
    enum err err = log_truncate_fully_and_start_at(kit.log, 7);

    forget_from(0);
    return err;
}

START_TEST(a_log_that_starts_over_has_nothing_of_before)
{
    run_out_everywhere(three_segments, start_over, 1);
    run_out_everywhere(three_segments, start_over, 20);
    run_out_everywhere(three_segments, start_over_in_the_middle, 1);
}
END_TEST

static enum err retain(void)
{
    struct log_conf conf = kit.conf;

    conf.retention_bytes = 1000;
    log_set_conf(kit.log, &conf);
    log_retain(kit.log, log_leo(kit.log), kit.now_ms);
    for (int64_t i = 0; i < log_start_offset(kit.log); i++)
        epochs[i] = -1;
    return log_is_offline(kit.log) ? ERR_IO : ERR_OK;
}

START_TEST(what_retention_has_dropped_does_not_come_back)
{
    run_out_everywhere(three_segments, retain, 1);
}
END_TEST

/* A reader was led astray in the first segment and in the one that is appended to. */
static void three_segments_two_marked(void)
{
    three_segments();
    atomic_store(&kit.log->segments[0]->index_damaged, true);
    atomic_store(&log_active(kit.log)->index_damaged, true);
}

static enum err mend(void)
{
    log_retain(kit.log, log_leo(kit.log), kit.now_ms); /* nothing is old yet */
    return log_is_offline(kit.log) ? ERR_IO : ERR_OK;
}

static enum err mend_and_truncate(void)
{
    enum err err = mend();

    return err == ERR_OK ? truncate() : err;
}

/* Whatever of the indexes is missing then, the log goes on without. */
START_TEST(an_index_that_is_not_mended_is_no_failure)
{
    run_out_everywhere(three_segments_two_marked, mend, 20);
    run_out_everywhere(three_segments_two_marked, mend_and_truncate, 20);
}
END_TEST

static enum err follow_at_30(void)
{
    struct log_appended out;
    struct buf buf = BUF_EMPTY;

    kit_batch_put(&buf, &(struct kit_batch){ .value_bytes = 60 });
    batch_stamp(buf.bytes, 30, 5);
    enum err err = log_append_follower(kit.log, buf.bytes, buf.len, kit.now_ms, &out);

    buf_fini(&buf);
    return err;
}

static uint64_t write_at; /* the operation of the append that is the write behind a roll */

/* A segment has been begun behind a gap, and is empty. */
static void roll_for_nothing(void)
{
    append_many(5, 7);
    fake_disk_fail_at(fake, fake_disk_count(fake) + write_at, ERR_NO_SPACE);
    ck_assert_int_eq(follow_at_30(), ERR_NO_SPACE);
    fake_disk_fail_at(fake, NEVER, ERR_OK);
}

static bool is_rolled_for_nothing(uint64_t at)
{
    begin();
    write_at = at;
    roll_for_nothing();
    bool is_rolled = log_active_base(kit.log) > log_leo(kit.log);

    end();
    return is_rolled;
}

static enum err append_into_the_gap(void)
{
    return append(6, 60);
}

START_TEST(a_roll_that_is_undone_leaves_nothing)
{
    for (uint64_t at = 1; !is_rolled_for_nothing(at); at++)
        ck_assert_uint_lt(at, 20);
    run_out_everywhere(roll_for_nothing, append_into_the_gap, 1);
    run_out_everywhere(roll_for_nothing, append_into_the_gap, 30);
}
END_TEST

/* One that compacts has found the first segment closed, before it was appended to again. */
START_TEST(a_segment_that_was_reopened_is_not_swapped_out)
{
    struct log_closed closed;
    struct segment *cleaned;

    for (uint64_t at = 1; !is_rolled_for_nothing(at); at++)
        ck_assert_uint_lt(at, 20);
    begin();
    roll_for_nothing();
    log_closed_get(kit.log, &closed);
    ck_assert_uint_eq(closed.count, 1);
    ck_assert_int_eq(log_cleaned_new(kit.log, 0, &cleaned), ERR_OK);
    ck_assert_int_eq(append(6, 1), ERR_OK);
    ck_assert_int_eq(log_active_base(kit.log), 0);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    ck_assert_int_eq(log_swap(kit.log, &cleaned, closed.segments, 1), ERR_CLOSED);
    ck_assert_ptr_null(cleaned);
    log_closed_done(&closed);
    expect_log();
    end();
}
END_TEST

static void full_segment(void)
{
    append_many(5, 7);
}

static enum err append_behind(void)
{
    return append(5, 60);
}

START_TEST(a_roll_that_finds_no_room_leaves_nothing)
{
    run_out_everywhere(full_segment, append_behind, 1);
    run_out_everywhere(full_segment, append_behind, 20);
}
END_TEST

static void make_empty_file(const char *path)
{
    int file;

    ck_assert_int_eq(
        disk_open(fake_disk_base(fake), path, DISK_WRITE | DISK_CREATE | DISK_EXCLUSIVE, &file),
        ERR_OK);
    disk_close(fake_disk_base(fake), file);
}

/* As a roll that came to nothing has left them, of a broker that did not clear up behind it. */
START_TEST(an_empty_segment_in_the_midst_of_another_is_no_segment)
{
    for (int clean = 0; clean < 2; clean++)
        for (int more = 0; more < 20; more += 10) {
            begin();
            append_many(5, 6 + more);
            log_kit_shut(&kit, clean);
            make_empty_file("/d/t-0/00000000000000000003.log");
            make_empty_file("/d/t-0/00000000000000000003.index");
            ck_assert_int_eq(log_kit_open(&kit, clean, 0), ERR_OK);
            expect_log();
            go_on(5);
            expect_log_after_crash(FAKE_DISK_LOSE_ALL);
            end();
        }
}
END_TEST

/* --- indexes built anew --- */

#define INDEXED  600 /* batches: more index entries than are kept in memory */
#define SEGMENT  "/d/t-0/00000000000000000000"
#define INDEXES  3
#define NO_ROOM  (FAKE_DISK_LOSE_SOME + 1)
#define ALL_WAYS (NO_ROOM + 1)

static const char *const indexes[INDEXES] = { SEGMENT ".index", SEGMENT ".timeindex",
                                              SEGMENT ".txnindex" };

static void open_indexed(void)
{
    log_kit_init(&kit, fake_disk_base(fake), "/d");
    kit.conf.segment_bytes = 100000;
    kit.conf.index_interval_bytes = 1;
}

/* Two segments, both closed cleanly; in the first are two transactions that were aborted. */
static void leave_indexed(void)
{
    fake = fake_disk_new();
    open_indexed();
    ck_assert_int_eq(log_kit_open(&kit, true, 0), ERR_OK);
    for (int i = 0; i < INDEXED; i++) {
        bool in_txn = i == 10 || i == INDEXED - 10;

        ck_assert_int_eq(log_kit_append(&kit,
                                        &(struct kit_batch){ .value_bytes = 1,
                                                             .timestamp_ms = kit.now_ms + i,
                                                             .producer_id = in_txn ? 7 : 0,
                                                             .base_sequence = i == 10 ? 0 : 1,
                                                             .transactional = in_txn },
                                        0, NULL),
                         ERR_OK);
        if (in_txn)
            ck_assert_int_eq(log_kit_marker(&kit, false, 7, 0), ERR_OK);
    }
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 1 }, 0, NULL), ERR_OK);
    log_kit_shut(&kit, true);
    log_kit_fini(&kit);
}

static void read_index(int i, struct buf *into)
{
    struct disk *disk = fake_disk_base(fake);
    struct disk_stat st;
    size_t got;
    int file;

    into->len = 0;
    ck_assert_int_eq(disk_stat(disk, indexes[i], &st), ERR_OK);
    ck_assert_int_eq(disk_open(disk, indexes[i], 0, &file), ERR_OK);
    ck_assert_int_eq(
        disk_pread(disk, file, buf_reserve(into, (size_t)st.size), (size_t)st.size, 0, &got),
        ERR_OK);
    into->len = got;
    disk_close(disk, file);
}

static void take_index_away(int i)
{
    ck_assert_int_eq(disk_unlink(fake_disk_base(fake), indexes[i]), ERR_OK);
}

/* As a torn write would. */
static void damage_index(int i)
{
    struct disk *disk = fake_disk_base(fake);
    int file;

    ck_assert_int_eq(disk_open(disk, indexes[i], DISK_WRITE, &file), ERR_OK);
    ck_assert_int_eq(disk_truncate(disk, file, 13), ERR_OK);
    ck_assert_int_eq(disk_sync(disk, file), ERR_OK);
    disk_close(disk, file);
}

/* A start that is ended by a full disk or a crash before an operation, and the one after it; true
 * when the first came through. */
static bool start_twice(uint64_t number, int way, bool is_clean)
{
    int64_t point = INDEXED + 2;

    open_indexed();
    if (way == NO_ROOM)
        fake_disk_fail_at(fake, fake_disk_count(fake) + number, ERR_NO_SPACE);
    else
        fake_disk_stop_at(fake, fake_disk_count(fake) + number);
    enum err err = log_kit_open(&kit, is_clean, point);

    if (way == NO_ROOM) {
        ck_assert(err == ERR_OK || err == ERR_NO_SPACE);
        log_unref(&kit.log);
        fake_disk_fail_at(fake, NEVER, ERR_OK);
    } else {
        log_kit_fini(&kit);
        fake_disk_stop_at(fake, 0);
        fake_disk_crash(fake, (enum fake_disk_loss)way, number);
        open_indexed();
    }
    /* After a crash the directory is not clean any more, but for what is below the point. */
    ck_assert_int_eq(log_kit_open(&kit, is_clean && way == NO_ROOM, point), ERR_OK);
    log_kit_fini(&kit);
    return err == ERR_OK;
}

static void build_anew_everywhere(void (*spoil)(int), int which, int way, bool is_clean)
{
    bool is_through = false;

    for (uint64_t number = 1; !is_through; number++) {
        struct buf want[INDEXES] = { BUF_EMPTY, BUF_EMPTY, BUF_EMPTY };
        struct buf have = BUF_EMPTY;

        ck_assert_uint_lt(number, 200);
        leave_indexed();
        for (int i = 0; i < INDEXES; i++)
            read_index(i, &want[i]);
        spoil(which);
        is_through = start_twice(number, way, is_clean);
        for (int i = 0; i < INDEXES; i++) {
            read_index(i, &have);
            ck_assert_msg(have.len == want[i].len &&
                              memcmp(have.bytes, want[i].bytes, have.len) == 0,
                          "%s of %zu bytes, not %zu, at %" PRIu64 " way %d", indexes[i], have.len,
                          want[i].len, number, way);
            buf_fini(&want[i]);
        }
        buf_fini(&have);
        fake_disk_free(&fake);
    }
}

START_TEST(indexes_that_were_built_in_part_are_built_anew)
{
    for (int clean = 0; clean < 2; clean++) {
        build_anew_everywhere(take_index_away, 0, _i, clean);
        for (int which = 0; which < INDEXES; which++)
            build_anew_everywhere(damage_index, which, _i, clean);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_full");

    say_set_level(SAY_ERROR);
    tcase_add_test(tc, what_is_truncated_does_not_come_back);
    tcase_add_test(tc, a_log_that_starts_over_has_nothing_of_before);
    tcase_add_test(tc, a_roll_that_is_undone_leaves_nothing);
    tcase_add_test(tc, a_segment_that_was_reopened_is_not_swapped_out);
    tcase_add_test(tc, a_roll_that_finds_no_room_leaves_nothing);
    tcase_add_test(tc, an_empty_segment_in_the_midst_of_another_is_no_segment);
    tcase_add_test(tc, an_index_that_is_not_mended_is_no_failure);
    tcase_add_loop_test(tc, indexes_that_were_built_in_part_are_built_anew, 0, ALL_WAYS);
    tcase_add_test(tc, what_retention_has_dropped_does_not_come_back);
    return unit_run(tc);
}
