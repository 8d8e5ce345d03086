/*
 * log: what is appended can be read at its offset, however segments and indexes fall; what was
 * closed opens as it was; what was not closed is found again.
 */
#include "broker/log/log.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;

static void start(void)
{
    log_kit_init(&kit, NULL, NULL);
    kit.conf.index_interval_bytes = 300;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
}

static void stop(void)
{
    log_kit_fini(&kit);
}

static void append_many(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(log_kit_append(&kit,
                                        &(struct kit_batch){ .count = 1 + i % 3,
                                                             .value_bytes = (size_t)(i % 50),
                                                             .timestamp_ms = 1700000000000 + i },
                                        0, NULL),
                         ERR_OK);
}

/* Every offset is found in the batch that holds it. */
static void expect_every_offset(void)
{
    struct buf buf = BUF_EMPTY;

    for (int64_t offset = log_start_offset(kit.log); offset < log_leo(kit.log); offset++) {
        struct batch_info info;

        ck_assert_int_eq(log_kit_read(kit.log, offset, INT64_MAX, &buf), ERR_OK);
        ck_assert_uint_ge(buf.len, BATCH_HEADER_BYTES);
        batch_info_read(buf.bytes, &info);
        ck_assert_int_le(info.base_offset, offset);
        ck_assert_int_ge(info.last_offset, offset);
    }
    buf_fini(&buf);
}

START_TEST(an_empty_log_has_nothing)
{
    struct log_range range;

    ck_assert_int_eq(log_leo(kit.log), 0);
    ck_assert_int_eq(log_read(kit.log, 0, INT64_MAX, 100, true, &range), ERR_OK);
    ck_assert_uint_eq(range.len, 0);
    ck_assert_int_eq(log_read(kit.log, 1, INT64_MAX, 100, true, &range), ERR_OFFSET_OUT_OF_RANGE);
}
END_TEST

START_TEST(offsets_are_assigned_in_order)
{
    struct log_appended out;

    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 3 }, 5, &out), ERR_OK);
    ck_assert_int_eq(out.first_offset, 0);
    ck_assert_int_eq(out.last_offset, 2);
    ck_assert(out.epoch_changed);
    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 2 }, 5, &out), ERR_OK);
    ck_assert_int_eq(out.first_offset, 3);
    ck_assert_int_eq(out.leo, 5);
    ck_assert(!out.epoch_changed);
    ck_assert_int_eq(log_latest_epoch(kit.log), 5);
    ck_assert_int_eq(log_epoch_end(kit.log, 5).end_offset, 5);
}
END_TEST

START_TEST(every_offset_is_found)
{
    kit.conf.segment_bytes = 3000;
    log_set_conf(kit.log, &kit.conf);
    append_many(300);
    ck_assert_uint_gt(log_segment_count(kit.log), 5);
    expect_every_offset();
    ck_assert_int_eq(log_kit_check(kit.log, true), log_leo(kit.log));
}
END_TEST

START_TEST(a_read_stops_at_its_bounds)
{
    struct log_range range;

    append_many(60);
    for (int64_t upper = 1; upper <= log_leo(kit.log); upper++) {
        struct buf buf = BUF_EMPTY;
        size_t size;
        struct batch_info info = { 0 };

        ck_assert_int_eq(log_kit_read(kit.log, 0, upper, &buf), ERR_OK);
        for (size_t at = 0; at < buf.len; at += size) {
            ck_assert_int_eq(batch_peek(buf.bytes + at, buf.len - at, &size), ERR_OK);
            batch_info_read(buf.bytes + at, &info);
            ck_assert_int_lt(info.base_offset, upper);
        }
        buf_fini(&buf);
    }
    ck_assert_int_eq(log_read(kit.log, 0, INT64_MAX, 1, false, &range), ERR_OK);
    ck_assert_uint_eq(range.len, 0);
    ck_assert(range.was_cut);
    ck_assert_int_eq(log_read(kit.log, 0, INT64_MAX, 1, true, &range), ERR_OK);
    ck_assert_uint_eq(range.len, 61 + 8);
    log_range_done(&range);
}
END_TEST

START_TEST(a_closed_log_opens_as_it_was)
{
    kit.conf.segment_bytes = 3000;
    log_set_conf(kit.log, &kit.conf);
    append_many(200);
    int64_t leo = log_leo(kit.log);
    size_t segments = log_segment_count(kit.log);

    log_kit_shut(&kit, true);
    ck_assert_int_eq(log_kit_open(&kit, true, leo), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), leo);
    ck_assert_int_eq(log_recovery_point(kit.log), leo);
    ck_assert_uint_eq(log_segment_count(kit.log), segments);
    expect_every_offset();
    append_many(200);
    expect_every_offset();
}
END_TEST

START_TEST(an_unclosed_log_is_found_again)
{
    kit.conf.segment_bytes = 3000;
    log_set_conf(kit.log, &kit.conf);
    append_many(200);
    int64_t leo = log_leo(kit.log);

    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), leo);
    ck_assert_int_eq(log_recovery_point(kit.log), 0);
    expect_every_offset();
    ck_assert_int_eq(log_latest_epoch(kit.log), 0);
}
END_TEST

START_TEST(truncation_cuts_whole_batches)
{
    kit.conf.segment_bytes = 3000;
    log_set_conf(kit.log, &kit.conf);
    append_many(200);
    for (int64_t to = log_leo(kit.log); to >= 0; to -= 7) {
        ck_assert_int_eq(log_truncate_to(kit.log, to), ERR_OK);
        ck_assert_int_le(log_leo(kit.log), to);
        ck_assert_int_gt(log_leo(kit.log), to - 3);
        ck_assert_int_eq(log_kit_check(kit.log, true), log_leo(kit.log));
    }
    append_many(50);
    expect_every_offset();
    ck_assert_int_eq(log_truncate_fully_and_start_at(kit.log, 1000), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), 1000);
    ck_assert_int_eq(log_start_offset(kit.log), 1000);
    append_many(50);
    expect_every_offset();
}
END_TEST

/* It led in an epoch and wrote nothing; the next leader has more of the epoch before. */
START_TEST(an_epoch_cut_at_the_end_does_not_come_back_after_a_crash)
{
    struct log_appended out;
    struct kit_batch batch = { .count = 3, .value_bytes = 10 };

    ck_assert_int_eq(log_kit_append(&kit, &batch, 5, &out), ERR_OK);
    ck_assert_int_eq(log_assign_epoch(kit.log, 7, log_leo(kit.log)), ERR_OK);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK); /* now it is in the file */
    ck_assert_int_eq(log_truncate_to(kit.log, log_leo(kit.log)), ERR_OK);
    ck_assert_int_eq(log_latest_epoch(kit.log), 5);
    ck_assert_int_eq(log_kit_append(&kit, &batch, 5, &out), ERR_OK);
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), 6);
    ck_assert_int_eq(log_latest_epoch(kit.log), 5);
    ck_assert_int_eq(log_epoch_end(kit.log, 5).end_offset, 6);
}
END_TEST

START_TEST(a_range_from_before_a_truncation_is_invalid)
{
    struct log_range range;

    append_many(10);
    ck_assert_int_eq(log_read(kit.log, 0, INT64_MAX, 1000, true, &range), ERR_OK);
    ck_assert(log_range_is_valid(&range));
    ck_assert_int_eq(log_truncate_to(kit.log, 3), ERR_OK);
    ck_assert(!log_range_is_valid(&range));
    log_range_done(&range);
}
END_TEST

START_TEST(a_follower_takes_bytes_as_they_are)
{
    struct log_kit other;
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    append_many(40);
    ck_assert_int_eq(log_kit_read(kit.log, 0, INT64_MAX, &buf), ERR_OK);
    log_kit_init(&other, NULL, NULL);
    other.conf.segment_bytes = 1000;
    ck_assert_int_eq(log_kit_open(&other, true, -1), ERR_OK);
    /* The last batch is cut short: it is left away. */
    ck_assert_int_eq(log_append_follower(other.log, buf.bytes, buf.len - 1, 0, &out), ERR_OK);
    ck_assert_int_lt(log_leo(other.log), log_leo(kit.log));
    ck_assert_int_eq(log_kit_check(other.log, true), log_leo(other.log));
    ck_assert_int_eq(log_append_follower(other.log, buf.bytes, buf.len, 0, &out),
                     ERR_OFFSET_OUT_OF_RANGE);
    buf.bytes[buf.len - 1] ^= 1;
    int64_t leo = log_leo(other.log);
    struct buf rest = BUF_EMPTY;

    ck_assert_int_eq(log_kit_read(kit.log, leo, INT64_MAX, &rest), ERR_OK);
    rest.bytes[rest.len - 1] ^= 1;
    ck_assert_int_eq(log_append_follower(other.log, rest.bytes, rest.len, 0, &out),
                     ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(log_leo(other.log), leo);
    buf_fini(&buf);
    buf_fini(&rest);
    log_kit_fini(&other);
}
END_TEST

static struct kit_batch produced(int32_t seq, int16_t epoch)
{
    return (struct kit_batch){ .producer_id = 7, .producer_epoch = epoch, .base_sequence = seq };
}

START_TEST(a_repeated_batch_gets_its_old_offsets)
{
    struct log_appended out;

    append_many(1);
    for (int32_t seq = 0; seq < 5; seq++) {
        struct kit_batch batch = produced(seq, 0);

        ck_assert_int_eq(log_kit_append(&kit, &batch, 0, &out), ERR_OK);
        ck_assert(!out.is_duplicate);
    }
    int64_t leo = log_leo(kit.log);
    struct kit_batch again = produced(0, 0);

    ck_assert_int_eq(log_kit_append(&kit, &again, 0, &out), ERR_OK);
    ck_assert(out.is_duplicate);
    ck_assert_int_eq(out.first_offset, 1);
    ck_assert_int_eq(log_leo(kit.log), leo);
    struct kit_batch gap = produced(7, 0);

    ck_assert_int_eq(log_kit_append(&kit, &gap, 0, &out), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    /* After a crash the last batch of a producer is still known. */
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    struct kit_batch last = produced(4, 0);

    ck_assert_int_eq(log_kit_append(&kit, &last, 0, &out), ERR_OK);
    ck_assert(out.is_duplicate);
}
END_TEST

START_TEST(transactions_hold_back_the_stable_offset)
{
    struct kit_batch batch = produced(0, 0);
    struct log_aborted *aborted;
    size_t count;

    append_many(1);
    batch.transactional = true;
    ck_assert_int_eq(log_kit_append(&kit, &batch, 0, NULL), ERR_OK);
    append_many(1);
    ck_assert_int_eq(log_last_stable_offset(kit.log, log_leo(kit.log)), 1);
    ck_assert_int_eq(log_kit_marker(&kit, false, 7, 0), ERR_OK);
    /* The marker itself must be below the high watermark first. */
    ck_assert_int_eq(log_last_stable_offset(kit.log, log_leo(kit.log) - 1), 1);
    log_on_hw(kit.log, log_leo(kit.log));
    ck_assert_int_eq(log_last_stable_offset(kit.log, log_leo(kit.log)), log_leo(kit.log));
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(log_aborted_txns(kit.log, 0, log_leo(kit.log), &aborted, &count), ERR_OK);
        ck_assert_uint_eq(count, 1);
        ck_assert_int_eq(aborted[0].producer_id, 7);
        ck_assert_int_eq(aborted[0].first_offset, 1);
        free(aborted);
        log_kit_shut(&kit, round == 0);
        ck_assert_int_eq(log_kit_open(&kit, round == 0, 0), ERR_OK);
    }
}
END_TEST

START_TEST(old_segments_go_by_size_and_time)
{
    kit.conf.segment_bytes = 1000;
    kit.conf.retention_bytes = 3000;
    kit.conf.retention_ms = -1;
    log_set_conf(kit.log, &kit.conf);
    append_many(100);
    int64_t leo = log_leo(kit.log);

    ck_assert_uint_eq(log_retain(kit.log, 0, kit.now_ms), 0);
    ck_assert_uint_gt(log_retain(kit.log, leo, kit.now_ms), 0);
    ck_assert_int_ge(log_size_bytes(kit.log), 3000);
    ck_assert_int_lt(log_size_bytes(kit.log), 4000 + 1000);
    ck_assert_int_gt(log_start_offset(kit.log), 0);
    expect_every_offset();
    kit.conf.retention_ms = 1000;
    log_set_conf(kit.log, &kit.conf);
    ck_assert_uint_gt(log_retain(kit.log, leo, kit.now_ms + 100000), 0);
    ck_assert_int_eq(log_start_offset(kit.log), leo);
    ck_assert_int_eq(log_size_bytes(kit.log), 0);
    append_many(3);
    expect_every_offset();
}
END_TEST

/* Records without a time age by their file, which is young as long as something is appended. */
START_TEST(records_without_a_time_age_by_their_file)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct log_appended out;
    uint8_t *bytes;
    size_t size;
    const int64_t day_ms = 86400000;
    int64_t wall_ms = clock_wall_ms();

    ck_assert_int_lt(kit.now_ms, wall_ms - 30 * day_ms); /* the segment was made long ago */
    kit.conf.retention_ms = 7 * day_ms;
    log_set_conf(kit.log, &kit.conf);
    batch_builder_init(&builder, &conf);
    batch_builder_add(&builder, -1, STR("k"), STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    ck_assert_int_eq(log_append_leader(kit.log, bytes, size, 0, LOG_FROM_CLIENT, wall_ms, &out),
                     ERR_OK);
    batch_builder_fini(&builder);
    ck_assert_uint_eq(log_retain(kit.log, 1, wall_ms + day_ms), 0);
    ck_assert_int_eq(log_roll(kit.log, wall_ms), ERR_OK);
    ck_assert_uint_eq(log_retain(kit.log, 1, wall_ms + 6 * day_ms), 0);
    ck_assert_uint_eq(log_retain(kit.log, 1, wall_ms + 8 * day_ms), 1);
}
END_TEST

static char removed[8][256];
static int64_t removed_delay_ms;
static size_t removed_count;

static void note_removal(struct log_env *env, const char *path, int64_t delay_ms)
{
    (void)env;
    ck_assert_uint_lt(removed_count, 8);
    snprintf(removed[removed_count++], sizeof removed[0], "%s", path);
    removed_delay_ms = delay_ms;
}

START_TEST(old_files_are_renamed_at_once_and_removed_later)
{
    struct log_range range;
    struct disk_stat st;
    uint8_t bytes[64];
    size_t got;

    kit.env.remove_later = note_removal;
    kit.conf.file_delete_delay_ms = 12345;
    kit.conf.retention_ms = 1000;
    log_set_conf(kit.log, &kit.conf);
    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 3 }, 0, NULL), ERR_OK);
    ck_assert_int_eq(log_read(kit.log, 0, 3, 1000, true, &range), ERR_OK);
    /* The active segment is too old: it is rolled, and goes. */
    ck_assert_uint_eq(log_retain(kit.log, 3, kit.now_ms + 5000), 1);
    ck_assert_uint_eq(log_segment_count(kit.log), 1);
    ck_assert_int_eq(log_active_base(kit.log), 3);
    ck_assert_int_eq(removed_delay_ms, 12345);
    ck_assert_uint_eq(removed_count, 4);
    ck_assert_ptr_nonnull(strstr(removed[0], "00000000000000000000.log.deleted"));
    ck_assert_int_eq(disk_stat(kit.env.disk, removed[0], &st), ERR_OK);
    ck_assert_int_eq(log_range_read(&range, 0, bytes, sizeof bytes, &got),
                     ERR_OK); /* still there */
    ck_assert_uint_eq(got, sizeof bytes);
    log_range_done(&range);
    ck_assert_uint_eq(log_retain(kit.log, 3, kit.now_ms + 500000), 0); /* empty: it stays */
}
END_TEST

/* Kafka takes a segment without its index for damaged. */
START_TEST(a_new_segment_has_its_indexes_at_once)
{
    static const char *const files[] = { "00000000000000000000.index",
                                         "00000000000000000000.timeindex",
                                         "00000000000000000001.index",
                                         "00000000000000000001.timeindex" };
    struct disk_stat st;

    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .count = 1 }, 0, NULL), ERR_OK);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    ck_assert_int_eq(log_active_base(kit.log), 1);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = xasprintf("%s/t-0/%s", kit.env.dir, files[i]);

        ck_assert_msg(disk_stat(kit.env.disk, path, &st) == ERR_OK, "%s is missing", files[i]);
        free(path);
    }
}
END_TEST

START_TEST(segments_roll_by_the_records_time)
{
    kit.conf.segment_ms = 1000;
    log_set_conf(kit.log, &kit.conf);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .timestamp_ms = 1700000000000 + i * 600 }, 0,
                           NULL),
            ERR_OK);
    ck_assert_uint_eq(log_segment_count(kit.log), 2);
    ck_assert_int_eq(log_active_base(kit.log), 2);
}
END_TEST

START_TEST(a_compacted_log_rolls_when_compaction_may_wait_no_longer)
{
    kit.conf.max_compaction_lag_ms = 1000;
    for (int compact = 0; compact < 2; compact++) {
        kit.conf.cleanup_compact = compact == 1;
        log_set_conf(kit.log, &kit.conf);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(
                log_kit_append(&kit, &(struct kit_batch){ .timestamp_ms = 1700000000000 + i * 900 },
                               0, NULL),
                ERR_OK);
        ck_assert_uint_eq(log_segment_count(kit.log), compact == 1 ? 2 : 1);
    }
}
END_TEST

/* Records a ms apart: how long each segment that is full has waited. */
static void expect_rolls_between(int64_t least_ms, int64_t most_ms, bool all_alike)
{
    int64_t first_ms = 0, shortest = INT64_MAX, longest = 0;
    size_t segments = log_segment_count(kit.log);

    for (int64_t at_ms = 0; log_segment_count(kit.log) < segments + 40; at_ms++) {
        size_t before = log_segment_count(kit.log);

        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .timestamp_ms = 1700000000000 + at_ms }, 0,
                           NULL),
            ERR_OK);
        if (log_segment_count(kit.log) == before)
            continue;
        if (before > segments) { /* the first one began earlier */
            int64_t waited = at_ms - first_ms;

            shortest = waited < shortest ? waited : shortest;
            longest = waited > longest ? waited : longest;
        }
        first_ms = at_ms;
    }
    ck_assert_int_ge(shortest, least_ms);
    ck_assert_int_le(longest, most_ms);
    ck_assert(all_alike == (shortest == longest));
}

/* So that segments of many logs do not roll all at once (log.roll.jitter.ms). */
START_TEST(jitter_has_segments_roll_earlier)
{
    kit.conf.segment_ms = 100;
    log_set_conf(kit.log, &kit.conf);
    expect_rolls_between(101, 101, true);
    kit.conf.segment_jitter_ms = 60;
    log_set_conf(kit.log, &kit.conf);
    expect_rolls_between(42, 101, false);
    kit.conf.segment_jitter_ms = 1000; /* at most all of it */
    log_set_conf(kit.log, &kit.conf);
    expect_rolls_between(1, 101, false);
}
END_TEST

START_TEST(segments_roll_when_an_index_is_full)
{
    struct log_kit own;

    log_kit_init(&own, NULL, NULL);
    own.conf.index_interval_bytes = 1;
    own.conf.index_max_bytes = 8 * 10;
    ck_assert_int_eq(log_kit_open(&own, true, -1), ERR_OK);
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(
            log_kit_append(&own, &(struct kit_batch){ .timestamp_ms = 1700000000000 + i }, 0, NULL),
            ERR_OK);
    ck_assert_uint_ge(log_segment_count(own.log), 5);
    ck_assert_int_eq(log_kit_check(own.log, true), 50);
    log_kit_shut(&own, true);
    ck_assert_int_eq(log_kit_open(&own, true, 50), ERR_OK);
    ck_assert_int_eq(log_kit_check(own.log, true), 50);
    log_kit_fini(&own);
}
END_TEST

/* An index has 31 bits for an offset: what lies further from the segment's first begins another. */
START_TEST(segments_roll_when_offsets_are_too_far_apart)
{
    static const int64_t offsets[] = { 0, INT32_MAX, (int64_t)INT32_MAX + 1, INT64_C(9000000000) };
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    for (size_t i = 0; i < 4; i++) {
        buf.len = 0;
        kit_batch_put(&buf, &(struct kit_batch){ .count = 1 });
        store_i64(buf.bytes, offsets[i]);
        ck_assert_int_eq(log_append_follower(kit.log, buf.bytes, buf.len, 0, &out), ERR_OK);
        ck_assert_uint_eq(log_segment_count(kit.log), i < 2 ? 1 : i);
    }
    ck_assert_int_eq(log_active_base(kit.log), offsets[3]);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(log_kit_read(kit.log, offsets[i], INT64_MAX, &buf), ERR_OK);
        ck_assert_int_eq(batch_base_offset(buf.bytes), offsets[i]);
    }
    buf_fini(&buf);
}
END_TEST

/* Only one that grows takes room ahead; it gives back what it did not use, when the next begins and
 * after a crash as well. */
START_TEST(a_growing_segment_reserves_room)
{
    struct fake_disk *fake = fake_disk_new();
    const char *path = "/d/t-0/00000000000000000000.log";
    struct kit_batch batch = { .value_bytes = 1000000 };
    struct log_kit own;

    log_kit_init(&own, fake_disk_base(fake), "/d");
    own.conf.segment_bytes = 64 << 20;
    ck_assert_int_eq(log_kit_open(&own, true, -1), ERR_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(log_kit_append(&own, &batch, 0, NULL), ERR_OK);
    ck_assert_int_eq(fake_disk_reserved(fake, path), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(log_kit_append(&own, &batch, 0, NULL), ERR_OK);
    ck_assert_int_gt(fake_disk_reserved(fake, path), 10 << 20);
    ck_assert_int_eq(log_roll(own.log, own.now_ms), ERR_OK);
    ck_assert_int_eq(fake_disk_reserved(fake, path), 0);

    path = "/d/t-0/00000000000000000007.log";
    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(log_kit_append(&own, &batch, 0, NULL), ERR_OK);
    log_kit_shut(&own, false);
    ck_assert_int_gt(fake_disk_reserved(fake, path), 10 << 20);
    ck_assert_int_eq(log_kit_open(&own, false, 0), ERR_OK);
    log_kit_shut(&own, true);
    ck_assert_int_eq(fake_disk_reserved(fake, path), 0);
    log_kit_fini(&own);
    fake_disk_free(&fake);
}
END_TEST

static enum err follow_at(struct log_kit *own, int64_t offset)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;

    kit_batch_put(&buf, &(struct kit_batch){ .count = 10, .value_bytes = 100 });
    batch_stamp(buf.bytes, offset, 3);
    enum err err = log_append_follower(own->log, buf.bytes, buf.len, own->now_ms, &out);

    buf_fini(&buf);
    return err;
}

/* A disk with ever more room: at some point there is enough for the segment that a batch behind a
 * gap begins, and not for the batch. The one that leads then appends into the gap. */
START_TEST(a_roll_over_a_gap_that_came_to_nothing_is_undone)
{
    struct log_kit own;
    int found = 0;

    for (int64_t room = 0; room < 4000; room += 50) {
        struct fake_disk *fake = fake_disk_new();

        log_kit_init(&own, fake_disk_base(fake), "/d");
        own.conf.segment_bytes = 2000;
        ck_assert_int_eq(log_kit_open(&own, true, 0), ERR_OK);
        ck_assert_int_eq(follow_at(&own, 0), ERR_OK);
        fake_disk_set_room(fake, room);
        enum err err = follow_at(&own, 100);

        fake_disk_set_room(fake, INT64_MAX);
        if (err != ERR_OK && log_active(own.log)->base_offset > log_leo(own.log)) {
            const struct kit_batch batch = { .count = 4, .value_bytes = 10 };

            found++;
            ck_assert_int_eq(log_leo(own.log), 10);
            for (int i = 0; i < 30; i++) /* up to where the other began, and further */
                ck_assert_int_eq(log_kit_append(&own, &batch, 4, NULL), ERR_OK);
            ck_assert_int_eq(log_kit_check(own.log, true), 130);
            ck_assert_int_eq(log_flush(own.log), ERR_OK);
            log_kit_shut(&own, false);
            files_free(&own.env.files);
            fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 1);
            log_kit_init(&own, fake_disk_base(fake), "/d");
            ck_assert_int_eq(log_kit_open(&own, false, 0), ERR_OK);
            ck_assert_int_eq(log_kit_check(own.log, true), 130);
        }
        log_kit_fini(&own);
        fake_disk_free(&fake);
    }
    ck_assert_int_gt(found, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, an_empty_log_has_nothing);
    tcase_add_test(tc, offsets_are_assigned_in_order);
    tcase_add_test(tc, every_offset_is_found);
    tcase_add_test(tc, a_read_stops_at_its_bounds);
    tcase_add_test(tc, a_closed_log_opens_as_it_was);
    tcase_add_test(tc, an_unclosed_log_is_found_again);
    tcase_add_test(tc, truncation_cuts_whole_batches);
    tcase_add_test(tc, an_epoch_cut_at_the_end_does_not_come_back_after_a_crash);
    tcase_add_test(tc, a_range_from_before_a_truncation_is_invalid);
    tcase_add_test(tc, a_follower_takes_bytes_as_they_are);
    tcase_add_test(tc, a_repeated_batch_gets_its_old_offsets);
    tcase_add_test(tc, transactions_hold_back_the_stable_offset);
    tcase_add_test(tc, old_segments_go_by_size_and_time);
    tcase_add_test(tc, records_without_a_time_age_by_their_file);
    tcase_add_test(tc, old_files_are_renamed_at_once_and_removed_later);
    tcase_add_test(tc, a_new_segment_has_its_indexes_at_once);
    tcase_add_test(tc, segments_roll_by_the_records_time);
    tcase_add_test(tc, a_compacted_log_rolls_when_compaction_may_wait_no_longer);
    tcase_add_test(tc, jitter_has_segments_roll_earlier);
    tcase_add_test(tc, segments_roll_when_an_index_is_full);
    tcase_add_test(tc, segments_roll_when_offsets_are_too_far_apart);
    tcase_add_test(tc, a_growing_segment_reserves_room);
    tcase_add_test(tc, a_roll_over_a_gap_that_came_to_nothing_is_undone);
    return unit_run(tc);
}
