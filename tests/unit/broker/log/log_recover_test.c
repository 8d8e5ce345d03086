/*
 * log_recover: what a start makes of damage. What is below the recovery point is not read and not
 * cut; a torn end goes; what follows damage is set aside, whole; indexes, epochs and ids that are
 * missing or wrong are found again, and never at the cost of a record.
 */
#include "broker/log/log_recover.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/log/log_int.h"
#include "common/base/mem.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define RECORDS 400 /* one a batch */

static struct log_kit kit;

static void fill(int first, int count)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(
            log_kit_append(&kit,
                           &(struct kit_batch){ .value_bytes = 100,
                                                .timestamp_ms = 1700000000000 + 10 * (first + i) },
                           first + i < 200 ? 3 : 5, NULL),
            ERR_OK);
}

/* One log of several segments, not closed; all below `flushed` is on stable storage. */
static void begin(int64_t segment_bytes, int flushed)
{
    log_kit_init(&kit, NULL, NULL);
    kit.conf.segment_bytes = segment_bytes;
    kit.conf.index_interval_bytes = 1000;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    fill(0, flushed);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    fill(flushed, RECORDS - flushed);
}

static void stop(bool clean)
{
    log_kit_shut(&kit, clean);
}

static char *path_of(int64_t base, const char *ending)
{
    return xasprintf("%s/t-0/%020" PRId64 "%s", kit.env.dir, base, ending);
}

static int64_t size_of(int64_t base, const char *ending)
{
    char *path = path_of(base, ending);
    struct stat st;
    int64_t size = stat(path, &st) == 0 ? st.st_size : -1;

    free(path);
    return size;
}

static void poke(int64_t base, const char *ending, int64_t pos, const char *bytes, size_t len)
{
    char *path = path_of(base, ending);
    int fd = open(path, O_WRONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, len, pos), (ssize_t)len);
    close(fd);
    free(path);
}

static void cut(int64_t base, const char *ending, int64_t size)
{
    char *path = path_of(base, ending);

    ck_assert_int_eq(truncate(path, size), 0);
    free(path);
}

static void take_away(int64_t base, const char *ending)
{
    char *path = path_of(base, ending);

    ck_assert_int_eq(unlink(path), 0);
    free(path);
}

static int64_t base_of(size_t i)
{
    ck_assert_uint_lt(i, kit.log->segment_count);
    return kit.log->segments[i]->base_offset;
}

/* Every record is found and is the one that was written there. */
static void expect_all(int64_t upto)
{
    ck_assert_int_eq(log_leo(kit.log), upto);
    ck_assert_int_eq(log_kit_check(kit.log, true), upto - log_start_offset(kit.log));
    for (int64_t offset = 0; offset < upto; offset += 7) {
        struct log_range range;

        ck_assert_int_eq(log_read(kit.log, offset, INT64_MAX, 1, true, &range), ERR_OK);
        ck_assert_int_eq(range.base_offset, offset);
        log_range_done(&range);
    }
}

static void done(void)
{
    stop(true);
    log_kit_fini(&kit);
}

START_TEST(a_torn_end_is_cut)
{
    begin(1 << 20, 100);
    int64_t size = kit.log->segments[0]->size;

    stop(false);
    cut(0, ".log", size - 20);
    ck_assert_int_eq(log_kit_open(&kit, false, 100), ERR_OK);
    expect_all(RECORDS - 1);
    ck_assert_int_eq(size_of(0, ".log.damaged"), -1);
    ck_assert_int_eq(size_of(0, ".log"), kit.log->segments[0]->size);
    fill(RECORDS - 1, 1);
    expect_all(RECORDS);
    done();
}
END_TEST

START_TEST(zeros_at_the_end_are_a_torn_end)
{
    begin(1 << 20, 100);
    int64_t size = kit.log->segments[0]->size;

    stop(false);
    cut(0, ".log", size + 5000);
    ck_assert_int_eq(log_kit_open(&kit, false, 100), ERR_OK);
    expect_all(RECORDS);
    ck_assert_int_eq(size_of(0, ".log.damaged"), -1);
    done();
}
END_TEST

START_TEST(what_follows_damage_is_set_aside)
{
    begin(1 << 20, 100);
    int64_t size = kit.log->segments[0]->size;
    int64_t pos = size / RECORDS * 250; /* batches are all of one size */

    ck_assert_int_eq(size % RECORDS, 0);
    stop(false);
    poke(0, ".log", pos + 80, "damage", 6);
    ck_assert_int_eq(log_kit_open(&kit, false, 100), ERR_OK);
    expect_all(250);
    ck_assert_int_eq(size_of(0, ".log.damaged"), size - pos);
    fill(250, 50);
    expect_all(300);
    /* A second time takes nothing of the first. */
    stop(false);
    poke(0, ".log", pos + 80, "damage", 6);
    ck_assert_int_eq(log_kit_open(&kit, false, 100), ERR_OK);
    expect_all(250);
    ck_assert_int_eq(size_of(0, ".log.damaged"), size - pos);
    ck_assert_int_eq(size_of(0, ".log.damaged2"), size / RECORDS * 50);
    done();
}
END_TEST

START_TEST(later_segments_are_set_aside_whole)
{
    begin(8000, 0);
    ck_assert_uint_gt(kit.log->segment_count, 4);
    int64_t bases[3] = { base_of(1), base_of(2), base_of(3) };
    int64_t sizes[3] = { kit.log->segments[1]->size, kit.log->segments[2]->size,
                         kit.log->segments[3]->size };

    stop(false);
    cut(bases[0], ".log", sizes[0] - 10); /* torn, but others come behind it */
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    expect_all(bases[1] - 1);
    ck_assert_uint_eq(kit.log->segment_count, 2);
    ck_assert_int_gt(size_of(bases[0], ".log.damaged"), 0);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(size_of(bases[i], ".log.damaged"), sizes[i]);
        ck_assert_int_eq(size_of(bases[i], ".log"), -1);
        ck_assert_int_eq(size_of(bases[i], ".index"), -1);
    }
    done();
}
END_TEST

START_TEST(below_the_recovery_point_nothing_is_read)
{
    begin(1 << 20, 300);
    int64_t size = kit.log->segments[0]->size;

    stop(false);
    /* A look at it would end the log there. */
    poke(0, ".log", size / RECORDS * 100 + 80, "damage", 6);
    ck_assert_int_eq(log_kit_open(&kit, false, 300), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), RECORDS);
    ck_assert_int_eq(size_of(0, ".log"), size);
    done();
}
END_TEST

/* All is below the recovery point, and the file of epochs was never written. */
START_TEST(the_segment_before_an_empty_one_tells_the_epochs)
{
    begin(1 << 20, RECORDS);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    int32_t first = log_epoch_at(kit.log, 0);
    int32_t last = log_latest_epoch(kit.log);

    stop(false);
    ck_assert_int_eq(log_kit_open(&kit, false, RECORDS), ERR_OK);
    ck_assert_uint_eq(kit.log->segment_count, 2);
    ck_assert_int_eq(log_epoch_at(kit.log, 0), first);
    ck_assert_int_eq(log_epoch_at(kit.log, RECORDS - 1), last);
    done();
}
END_TEST

START_TEST(recovery_can_do_without_the_index)
{
    static const char *const ways[] = { "gone", "short", "zeros", "nonsense" };

    for (size_t way = 0; way < ARRAY_LEN(ways); way++) {
        begin(1 << 20, 300);
        stop(false);
        ck_assert_int_gt(size_of(0, ".index"), 100);
        if (way == 0)
            take_away(0, ".index");
        else if (way == 1)
            cut(0, ".index", 41);
        else if (way == 2)
            cut(0, ".index", 1 << 16);
        else
            poke(0, ".index", 80, "nonsense, all of it", 19);
        ck_assert_int_eq(log_kit_open(&kit, false, 300), ERR_OK);
        expect_all(RECORDS);
        done();
    }
}
END_TEST

START_TEST(an_index_is_built_anew_and_nothing_is_cut)
{
    begin(8000, 0);
    int64_t base = base_of(2);
    int64_t size = kit.log->segments[2]->size;

    stop(true);
    int64_t index = size_of(base, ".index");
    int64_t times = size_of(base, ".timeindex");

    take_away(base, ".index");
    poke(base, ".log", 400, "damage", 6); /* of a record: the frames are right */
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), RECORDS);
    ck_assert_int_eq(size_of(base, ".log"), size);
    ck_assert_int_eq(size_of(base, ".index"), index);
    ck_assert_int_eq(size_of(base, ".timeindex"), times);
    done();
}
END_TEST

START_TEST(an_index_is_built_around_broken_frames)
{
    struct log_range range;

    begin(1 << 20, 0);
    int64_t one = kit.log->segments[0]->size / RECORDS;

    stop(true);
    take_away(0, ".index");
    poke(0, ".log", one * 100 + 8, "\xff\xff\xff\xff", 4); /* its length */
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    ck_assert_int_eq(log_leo(kit.log), RECORDS);
    ck_assert_int_eq(log_read(kit.log, 300, INT64_MAX, 1, true, &range), ERR_OK);
    ck_assert_int_eq(range.base_offset, 300);
    log_range_done(&range);
    ck_assert_int_eq(log_read(kit.log, 100, INT64_MAX, 1, true, &range), ERR_CORRUPT_MESSAGE);
    done();
}
END_TEST

START_TEST(an_index_that_lies_is_not_believed)
{
    struct log_range range;

    begin(1 << 20, 0);
    int64_t one = kit.log->segments[0]->size / RECORDS;

    stop(true);
    /* Entries point at later batches than they say: record 100 would be passed over. */
    for (int64_t at = 0; at < size_of(0, ".index") - 8; at += 8) {
        uint8_t pos[4] = { 0, 0, (uint8_t)(one * 390 >> 8), (uint8_t)(one * 390) };

        poke(0, ".index", at + 4, (char *)pos, 4);
    }
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    for (int64_t offset = 0; offset < RECORDS; offset += 3) {
        ck_assert_int_eq(log_read(kit.log, offset, INT64_MAX, 1, true, &range), ERR_OK);
        ck_assert_int_eq(range.base_offset, offset);
        log_range_done(&range);
    }
    ck_assert(atomic_load(&kit.log->segments[0]->index_damaged));
    kit.conf.retention_ms = -1;
    log_set_conf(kit.log, &kit.conf);
    log_retain(kit.log, 0, kit.now_ms);
    ck_assert(!atomic_load(&kit.log->segments[0]->index_damaged));
    expect_all(RECORDS);
    ck_assert(!atomic_load(&kit.log->segments[0]->index_damaged));
    fill(RECORDS, 100);
    expect_all(RECORDS + 100);
    done();
}
END_TEST

/* Reads offset alone or all from it on; how many whole batches the range has, -1 for damage. */
static int64_t batches_from(int64_t offset)
{
    struct log_range range;
    enum err err = log_read(kit.log, offset, INT64_MAX, 1 << 20, true, &range);
    int64_t count = (int64_t)range.len * RECORDS / kit.log->segments[0]->size;

    ck_assert(err == ERR_OK || err == ERR_CORRUPT_MESSAGE);
    log_range_done(&range);
    return err == ERR_OK ? count : -1;
}

START_TEST(a_damaged_batch_is_not_served)
{
    begin(1 << 20, 0);
    int64_t one = kit.log->segments[0]->size / RECORDS;

    stop(true);
    poke(0, ".log", one * 100 + 80, "damage", 6);
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(batches_from(0), 100);
        ck_assert_int_eq(batches_from(99), 1);
        ck_assert_int_eq(batches_from(100), -1);
        ck_assert_int_eq(batches_from(101), RECORDS - 101);
    }
    ck_assert(!atomic_load(&kit.log->segments[0]->index_damaged));
    done();
}
END_TEST

/* Offset 100 in the file becomes another one, with the log clean or read anew from 0 on. */
static void forge(int64_t offset)
{
    begin(1 << 20, 0);
    int64_t one = kit.log->segments[0]->size / RECORDS;
    char byte = (char)offset;

    stop(true);
    poke(0, ".log", one * 100 + 7, &byte, 1);
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
}

/* It alone is refused, whoever comes from where, and again. */
static void expect_only_100_refused(void)
{
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(batches_from(0), 100);
        ck_assert_int_eq(batches_from(99), 1);
        ck_assert_int_eq(batches_from(100), -1);
        for (int64_t offset = 101; offset < RECORDS; offset++)
            ck_assert_int_eq(batches_from(offset), RECORDS - offset);
    }
    done();
}

START_TEST(a_batch_whose_offset_was_raised_is_refused_alone)
{
    forge(101);
    expect_only_100_refused();
    forge(112);
    expect_only_100_refused();
    forge(255);
    expect_only_100_refused();
}
END_TEST

START_TEST(a_batch_whose_offset_was_lowered_is_refused_alone)
{
    forge(99);
    expect_only_100_refused();
    forge(50);
    expect_only_100_refused();
    forge(0);
    expect_only_100_refused();
}
END_TEST

START_TEST(where_there_is_no_index_a_wrong_offset_is_refused_alone)
{
    for (int64_t offset = 50; offset < 200; offset += 75) {
        forge(offset);
        atomic_store(&kit.log->segments[0]->index_damaged, true);
        expect_only_100_refused();
    }
}
END_TEST

/* What is read anew after a crash: the log ends before what cannot be believed. */
START_TEST(recovery_ends_before_a_batch_whose_offset_was_raised)
{
    static const char offsets[] = { 101, 112, (char)255 };

    for (size_t i = 0; i < sizeof offsets; i++) {
        begin(1 << 20, 50);
        int64_t one = kit.log->segments[0]->size / RECORDS;

        stop(false);
        poke(0, ".log", one * 100 + 7, &offsets[i], 1);
        ck_assert_int_eq(log_kit_open(&kit, false, 50), ERR_OK);
        expect_all(100);
        ck_assert_int_eq(size_of(0, ".log.damaged"), one * (RECORDS - 100));
        done();
    }
}
END_TEST

START_TEST(an_index_is_built_around_a_batch_whose_offset_was_raised)
{
    begin(1 << 20, 0);
    int64_t one = kit.log->segments[0]->size / RECORDS;

    stop(true);
    poke(0, ".log", one * 100 + 5, "\x7f", 1);
    take_away(0, ".index");
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    int64_t entries = index_count(&kit.log->segments[0]->offsets);

    ck_assert_int_gt(entries, kit.log->segments[0]->size / 2000); /* behind it, too */
    expect_only_100_refused();
}
END_TEST

/* Whoever comes to it past the batch before it has only that one to see it by. */
START_TEST(a_batch_with_a_lowered_offset_is_not_served_to_who_begins_there)
{
    struct log_range range;

    log_kit_init(&kit, NULL, NULL);
    kit.conf.index_interval_bytes = 1000;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .count = 3, .value_bytes = 100 }, 0, NULL),
            ERR_OK);
    int64_t one = kit.log->segments[0]->size / 100;

    stop(true);
    poke(0, ".log", one * 10 + 7, "\x1d", 1); /* 29, not 30 */
    ck_assert_int_eq(log_kit_open(&kit, true, 300), ERR_OK);
    ck_assert_int_eq(log_read(kit.log, 30, INT64_MAX, 1000, true, &range), ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(log_read(kit.log, 31, INT64_MAX, 1000, true, &range), ERR_CORRUPT_MESSAGE);
    /* It is passed over by who looks for its last one, but not in silence. */
    ck_assert_int_eq(log_read(kit.log, 32, INT64_MAX, 1000, true, &range), ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(log_read(kit.log, 33, INT64_MAX, 1000, true, &range), ERR_OK);
    ck_assert_int_eq(range.base_offset, 33);
    log_range_done(&range);
    ck_assert_int_eq(log_read(kit.log, 27, INT64_MAX, 1000, true, &range), ERR_OK);
    ck_assert_uint_eq(range.len, (size_t)one); /* the one before it */
    log_range_done(&range);
    done();
}
END_TEST

START_TEST(what_was_verified_is_not_read_again)
{
    begin(1 << 20, 0);
    stop(true);
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    ck_assert(!verified_has(&kit.log->segments[0]->verified, 0, 1));
    ck_assert_int_eq(batches_from(0), RECORDS);
    ck_assert(verified_has(&kit.log->segments[0]->verified, 0, 1 << 20));
    fill(RECORDS, 10);
    ck_assert(verified_has(&kit.log->segments[0]->verified, 0, 1 << 20));
    done();
}
END_TEST

START_TEST(a_time_index_that_lies_deletes_nothing)
{
    static const char old[8] = { 0, 0, 0, 1 };

    begin(8000, 0);
    kit.conf.retention_ms = 86400000;
    size_t segments = kit.log->segment_count;

    stop(true);
    poke(0, ".timeindex", size_of(0, ".timeindex") - 12, old, sizeof old); /* long ago */
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    for (int round = 0; round < 2; round++) {
        log_retain(kit.log, RECORDS, 1700000000000);
        ck_assert_uint_eq(kit.log->segment_count, segments);
    }
    ck_assert_int_eq(kit.log->segments[0]->max_timestamp / 1000, 1700000000);
    log_retain(kit.log, RECORDS, 1700000000000 + 2 * 86400000); /* but what is old goes */
    ck_assert_uint_eq(kit.log->segment_count, 1);
    done();
}
END_TEST

START_TEST(a_clean_log_that_lost_its_end_is_recovered)
{
    begin(1 << 20, 0);
    int64_t size = kit.log->segments[0]->size;

    stop(true);
    cut(0, ".log", size - 10);
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    expect_all(RECORDS - 1);
    ck_assert_int_eq(log_recovery_point(kit.log), RECORDS - 1);
    done();
}
END_TEST

static void damage_epochs(const char *text)
{
    char *path = xasprintf("%s/t-0/leader-epoch-checkpoint", kit.env.dir);

    if (text == NULL) {
        ck_assert_int_eq(unlink(path), 0);
    } else {
        FILE *file = fopen(path, "w");

        fputs(text, file);
        fclose(file);
    }
    free(path);
}

START_TEST(epochs_are_found_again)
{
    static const char *const files[] = { NULL,          "", "0\n2\n3 0\n", "0\n2\n5 200\n3 0\n",
                                         "0\n1\n3 0\n", "x" };

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        for (int clean = 0; clean < 2; clean++) {
            begin(8000, 300);
            ck_assert_int_eq(log_save_epochs(kit.log), ERR_OK);
            stop(clean);
            damage_epochs(files[i]);
            ck_assert_int_eq(log_kit_open(&kit, clean, 300), ERR_OK);
            ck_assert_int_eq(log_epoch_at(kit.log, 199), 3);
            ck_assert_int_eq(log_epoch_at(kit.log, 200), 5);
            ck_assert_int_eq(log_epoch_end(kit.log, 3).end_offset, 200);
            ck_assert_int_eq(log_latest_epoch(kit.log), 5);
            done();
        }
}
END_TEST

/* What a start may have to go through of a long log, batch for batch or by their headers. */
enum long_way { NOT_FLUSHED, NO_EPOCHS, NO_SNAPSHOT, NO_INDEX, LONG_WAYS };

#define LONG_RECORDS 24
#define LONG_BYTES   (1 << 19)

static bool is_stopping;
static int looks;

static bool gives_up(struct log_env *env)
{
    (void)env;
    looks++;
    return is_stopping;
}

/* A log of 12 MiB in two segments, of a process that was killed. */
static void leave_long(enum long_way way)
{
    log_kit_init(&kit, NULL, NULL);
    kit.conf.segment_bytes = 16 * LONG_BYTES;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    for (int i = 0; i < LONG_RECORDS; i++)
        ck_assert_int_eq(log_kit_append(&kit,
                                        &(struct kit_batch){ .value_bytes = LONG_BYTES,
                                                             .producer_id = 7,
                                                             .base_sequence = i },
                                        3, NULL),
                         ERR_OK);
    if (way != NOT_FLUSHED)
        ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    if (way != NO_EPOCHS)
        ck_assert_int_eq(log_save_epochs(kit.log), ERR_OK);
    if (way == NO_EPOCHS || way == NO_INDEX)
        ck_assert_int_eq(log_snapshot(kit.log, LONG_RECORDS, false), ERR_OK);
    int64_t second = base_of(1);

    stop(false);
    if (way == NO_SNAPSHOT)
        take_away(second, ".snapshot");
}

/* Nothing of it is lost, and the next start does what this one did not. */
START_TEST(a_stop_ends_the_recovery_of_a_long_log)
{
    leave_long((enum long_way)_i);
    kit.env.gives_up = gives_up;
    is_stopping = true;
    looks = 0;
    for (int starts = 0; starts < 2; starts++) {
        if (_i == NO_INDEX)
            take_away(0, ".index"); /* which the first start has built anew before it stopped */
        ck_assert_int_eq(log_kit_open(&kit, false, _i == NOT_FLUSHED ? -1 : LONG_RECORDS),
                         ERR_SHUTTING_DOWN);
        ck_assert_int_eq(looks, starts + 1);
        ck_assert_int_ge(size_of(0, ".log"), 15 * LONG_BYTES);
    }
    is_stopping = false;
    ck_assert_int_eq(log_kit_open(&kit, false, _i == NOT_FLUSHED ? -1 : LONG_RECORDS), ERR_OK);
    expect_all(LONG_RECORDS);
    ck_assert_int_eq(log_epoch_at(kit.log, 0), 3);
    ck_assert_int_eq(kit.log->producers_upto, LONG_RECORDS);
    stop(true);
    is_stopping = true; /* who was closed is not recovered, and not stopped */
    ck_assert_int_eq(log_kit_open(&kit, true, LONG_RECORDS), ERR_OK);
    expect_all(LONG_RECORDS);
    done();
}
END_TEST

START_TEST(a_damaged_topic_id_is_forgotten)
{
    const struct uuid id = { .bytes = { 1 } };

    begin(1 << 20, 0);
    ck_assert_int_eq(log_adopt_topic_id(kit.log, id), ERR_OK);
    stop(true);
    char *path = xasprintf("%s/t-0/partition.metadata", kit.env.dir);

    ck_assert_int_eq(truncate(path, 15), 0);
    free(path);
    ck_assert_int_eq(log_kit_open(&kit, true, RECORDS), ERR_OK);
    ck_assert(uuid_is_zero(log_topic_id(kit.log)));
    ck_assert_int_eq(log_adopt_topic_id(kit.log, id), ERR_OK);
    expect_all(RECORDS);
    done();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_recover");

    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_torn_end_is_cut);
    tcase_add_test(tc, zeros_at_the_end_are_a_torn_end);
    tcase_add_test(tc, what_follows_damage_is_set_aside);
    tcase_add_test(tc, later_segments_are_set_aside_whole);
    tcase_add_test(tc, below_the_recovery_point_nothing_is_read);
    tcase_add_test(tc, the_segment_before_an_empty_one_tells_the_epochs);
    tcase_add_test(tc, recovery_can_do_without_the_index);
    tcase_add_test(tc, an_index_is_built_anew_and_nothing_is_cut);
    tcase_add_test(tc, an_index_is_built_around_broken_frames);
    tcase_add_test(tc, an_index_that_lies_is_not_believed);
    tcase_add_test(tc, a_damaged_batch_is_not_served);
    tcase_add_test(tc, a_batch_whose_offset_was_raised_is_refused_alone);
    tcase_add_test(tc, a_batch_whose_offset_was_lowered_is_refused_alone);
    tcase_add_test(tc, where_there_is_no_index_a_wrong_offset_is_refused_alone);
    tcase_add_test(tc, recovery_ends_before_a_batch_whose_offset_was_raised);
    tcase_add_test(tc, an_index_is_built_around_a_batch_whose_offset_was_raised);
    tcase_add_test(tc, a_batch_with_a_lowered_offset_is_not_served_to_who_begins_there);
    tcase_add_test(tc, what_was_verified_is_not_read_again);
    tcase_add_test(tc, a_time_index_that_lies_deletes_nothing);
    tcase_add_test(tc, a_clean_log_that_lost_its_end_is_recovered);
    tcase_add_test(tc, epochs_are_found_again);
    tcase_add_test(tc, a_damaged_topic_id_is_forgotten);
    tcase_add_loop_test(tc, a_stop_ends_the_recovery_of_a_long_log, NOT_FLUSHED, LONG_WAYS);
    return unit_run(tc);
}
