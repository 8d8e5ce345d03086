/*
 * A log that is compacted on a disk that loses power: appends, flushes, rolls, truncations,
 * compactions, retention and checkpoints are stopped before every operation that changes the disk,
 * in turn, and what was not synced is lost, kept or torn. After each: the newest record of every
 * key is there, what is there was written, the producer's sequence goes on, nothing of a swap is
 * left half done, and the log goes on and can be compacted again.
 *
 * MOLDAU_CRASH_ROUNDS: how many seeds each point is tried with (1); MOLDAU_CRASH_SEED: the first
 * one (1).
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/clean/cleaner.h"
#include "broker/log/log_swap.h"
#include "broker/log/logs.h"
#include "broker/log/scan.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/record.h"
#include "tests/kit/logs_kit.h"
#include "tests/kit/unit.h"

#define OFFSETS_MAX 3000
#define KEYS        12
#define NOW_MS      1700000000000
#define PRODUCER    7
#define STEPS       160

/* What the log must and may hold. */
struct model {
    int key[OFFSETS_MAX];        /* of the record written at an offset */
    int generation[OFFSETS_MAX]; /* of that record, 0 none */
    int old_key[OFFSETS_MAX];    /* what a truncation under way is about to drop */
    int old_generation[OFFSETS_MAX];
    int64_t safe; /* all below was flushed, and is committed */
    int now;      /* the generation of records written now */
};

static struct model model;
static int64_t compactions;

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = 1000;
    conf->index_interval_bytes = 150;
    conf->producer_expiration_ms = LOGS_KIT_NEVER;
    conf->file_delete_delay_ms = 0;
    conf->min_cleanable_dirty_ratio = 0.3;
    conf->cleanup_delete = false;
    conf->cleanup_compact = true;
}

static enum err open_logs(struct logs **logs)
{
    struct logs_options options = logs_kit_options(conf_of);

    return logs_open(&options, logs);
}

/* Only what is committed is compacted, and only what is flushed here counts as committed. */
static int64_t stable_of(void *ctx, struct log *log)
{
    (void)ctx;
    return log_last_stable_offset(log, model.safe);
}

static struct cleaner *start_cleaner(struct logs *logs)
{
    struct cleaner_conf conf = { .logs = logs,
                                 .dedupe_bytes = 1 << 16,
                                 .load_factor = 0.9,
                                 .io_bytes = 8192,
                                 .stable_of = stable_of };
    struct cleaner *cleaner;

    ck_assert_int_eq(cleaner_start(&conf, &cleaner), ERR_OK);
    return cleaner;
}

static enum err append(struct log *log, int count)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct log_appended out;
    int64_t first = log_leo(log);
    uint8_t *bytes;
    size_t size;

    ck_assert_int_lt(first + count, OFFSETS_MAX);
    conf.producer_id = PRODUCER;
    conf.producer_epoch = 0;
    conf.base_sequence = (int32_t)first; /* sequences are offsets */
    conf.codec = logs_kit_chance(3) == 0 ? CODEC_LZ4 : CODEC_NONE;
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < count; i++) {
        char key[16];
        char value[64];

        model.key[first + i] = (int)logs_kit_chance(KEYS);
        model.generation[first + i] = model.now;
        snprintf(key, sizeof key, "k%d", model.key[first + i]);
        snprintf(value, sizeof value, "%" PRId64 " %d", first + i, model.now);
        batch_builder_add(&builder, NOW_MS + first + i, str_of(key),
                          logs_kit_chance(6) == 0 ? STR_NULL : str_of(value), NULL, 0);
    }
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    enum err err = log_append_leader(log, bytes, size, model.now, LOG_FROM_CLIENT, NOW_MS, &out);

    batch_builder_fini(&builder);
    return err;
}

static enum err truncate(struct log *log)
{
    int64_t leo = log_leo(log);
    int64_t to = leo > model.safe
                     ? model.safe + (int64_t)logs_kit_chance((uint64_t)(leo - model.safe) + 1)
                     : leo;

    memcpy(model.old_key, model.key, sizeof model.key);
    memcpy(model.old_generation, model.generation, sizeof model.generation);
    enum err err = log_truncate_to(log, to);

    if (err != ERR_OK)
        return err;
    memset(model.old_generation, 0, sizeof model.old_generation);
    for (int64_t i = log_leo(log); i < OFFSETS_MAX; i++)
        model.generation[i] = 0;
    model.now++;
    return ERR_OK;
}

static enum err flush(struct log *log)
{
    enum err err = log_flush(log);

    if (err == ERR_OK)
        model.safe = log_leo(log);
    return err;
}

static enum err one_step(struct logs *logs, struct cleaner *cleaner, struct log *log, int step)
{
    enum err err = ERR_OK;

    if (step % 8 == 7) {
        compactions += cleaner_turn(cleaner, NOW_MS + step * 1000);
    } else if (step % 19 == 18)
        err = truncate(log);
    else if (step % 23 == 22) {
        log_advance_start(log, model.safe / 3);
        log_retain(log, model.safe, NOW_MS);
    } else if (step % 5 == 4)
        err = flush(log);
    else if (step % 11 == 10)
        logs_checkpoint(logs);
    else if (step % 13 == 12)
        logs_tick(logs, NOW_MS + step * 1000, clock_mono_ms() + step * 1000);
    else
        err = append(log, 1 + (int)logs_kit_chance(8));
    return log_is_offline(log) ? ERR_IO : err;
}

static void live(void)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };

    if (open_logs(&logs) != ERR_OK)
        return;
    struct cleaner *cleaner = start_cleaner(logs);

    if (logs_create(logs, "t", 0, id, true, NULL, &log) == ERR_OK)
        for (int step = 0; step < STEPS; step++)
            if (one_step(logs, cleaner, log, step) != ERR_OK)
                break;
    log_unref(&log);
    cleaner_stop(&cleaner);
    logs_close(&logs);
}

static bool is_as_written(const struct record *record, const int *keys, const int *generations)
{
    char key[16];
    char value[64];

    snprintf(key, sizeof key, "k%d", keys[record->offset]);
    snprintf(value, sizeof value, "%" PRId64 " %d", record->offset, generations[record->offset]);
    return generations[record->offset] > 0 && str_eq(record->key, str_of(key)) &&
           (str_is_null(record->value) || str_eq(record->value, str_of(value)));
}

static void note_batch(const uint8_t *batch, bool there[OFFSETS_MAX], struct buf *scratch)
{
    struct record_iter iter;
    struct record record;

    ck_assert_int_eq(batch_check(batch, batch_size(batch)), ERR_OK);
    ck_assert_int_eq(record_iter_init(&iter, batch, batch_size(batch), 1 << 20, scratch), ERR_OK);
    while (record_next(&iter, &record) == ERR_OK) {
        ck_assert_int_lt(record.offset, OFFSETS_MAX);
        ck_assert_msg(is_as_written(&record, model.key, model.generation) ||
                          is_as_written(&record, model.old_key, model.old_generation),
                      "offset %" PRId64 " is not as written", record.offset);
        there[record.offset] = true;
    }
}

/* The newest record of each key below the end must be there, if it is not below the start. */
static void check_newest(struct log *log, const bool there[OFFSETS_MAX])
{
    bool seen[KEYS] = { false };

    for (int64_t o = log_leo(log) - 1; o >= log_start_offset(log); o--) {
        int key = there[o] || o < model.safe || model.old_generation[o] == 0 ? model.key[o] : -1;

        if (key < 0 || seen[key])
            continue;
        seen[key] = true;
        ck_assert_msg(there[o],
                      "newest of k%d at %" PRId64 " is lost, end %" PRId64 " safe %" PRId64, key, o,
                      log_leo(log), model.safe);
    }
}

/* What a segment holds lies below the next one's base. */
static void check_segments(struct log *log)
{
    struct log_closed closed;

    log_closed_get(log, &closed);
    for (size_t i = 0; i < closed.count; i++) {
        int64_t bound =
            i + 1 < closed.count ? closed.segments[i + 1]->base_offset : closed.active_base;
        struct batch_info info;
        struct scan scan;
        int64_t pos;

        scan_init(&scan, closed.segments[i]->file, 0, closed.segments[i]->size);
        while (scan_next(&scan, &info, &pos) == ERR_OK)
            ck_assert_int_lt(info.last_offset, bound);
    }
    log_closed_done(&closed);
}

static void check_log(struct log *log)
{
    static uint8_t bytes[1 << 16];
    static bool there[OFFSETS_MAX];
    struct buf scratch = BUF_EMPTY;
    struct producer_entry producer;

    ck_assert_int_ge(log_leo(log), model.safe);
    memset(there, 0, sizeof there);
    for (int64_t next = log_start_offset(log); next < log_leo(log);) {
        struct log_range range;
        int64_t before = next;
        size_t got;

        ck_assert_int_eq(log_read(log, next, INT64_MAX, sizeof bytes, true, &range), ERR_OK);
        ck_assert_uint_gt(range.len, 0);
        ck_assert_int_eq(log_range_read(&range, 0, bytes, range.len, &got), ERR_OK);
        log_range_done(&range);
        for (size_t at = 0; at < got; at += batch_size(bytes + at)) {
            note_batch(bytes + at, there, &scratch);
            ck_assert_int_ge(batch_last_offset(bytes + at), next);
            next = batch_last_offset(bytes + at) + 1;
        }
        ck_assert_int_gt(next, before);
    }
    check_newest(log, there);
    check_segments(log);
    if (log_leo(log) > log_start_offset(log)) {
        ck_assert(log_producer(log, PRODUCER, &producer));
        ck_assert_int_eq(producer.last_seq, log_leo(log) - 1);
    }
    buf_fini(&scratch);
}

static void expect_no_leftover(void *ctx, const char *name, bool is_dir)
{
    (void)ctx;
    (void)is_dir;
    ck_assert_msg(strstr(name, ".cleaned") == NULL && strstr(name, ".swap") == NULL, "%s", name);
}

/* Opens what is there, checks it, goes on, stops cleanly and checks once more. */
static void expect_good(void)
{
    struct logs *logs;

    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(open_logs(&logs), ERR_OK);
        struct log *log = logs_get_ref(logs, "t", 0);

        if (log == NULL) {
            ck_assert_int_eq(model.safe, 0);
            logs_close(&logs);
            return;
        }
        struct cleaner *cleaner = start_cleaner(logs);

        check_log(log);
        ck_assert_int_eq(
            disk_list(fake_disk_base(logs_kit_disk()), "/d/t-0", expect_no_leftover, NULL), ERR_OK);
        if (round == 0) {
            /* From here on what is there is what was written. */
            for (int64_t o = log_leo(log); o < OFFSETS_MAX; o++)
                model.generation[o] = 0;
            model.now = 1000;
            for (int i = 0; i < 12; i++)
                ck_assert_int_eq(append(log, 3), ERR_OK);
            ck_assert_int_eq(flush(log), ERR_OK);
            while (cleaner_turn(cleaner, NOW_MS + 1000000))
                check_log(log);
            check_log(log);
        }
        log_unref(&log);
        cleaner_stop(&cleaner);
        logs_close(&logs);
    }
}

static void reset(void)
{
    memset(&model, 0, sizeof model);
    model.now = 1;
    compactions = 0;
}

static void begin(void)
{
    logs_kit_begin(1);
    reset();
}

static void expect_compactions(void)
{
    ck_assert_int_ge(compactions, 3);
}

static const struct crash_work work = {
    .reset = reset, .live = live, .check = expect_good, .whole = expect_compactions
};

START_TEST(what_was_not_synced_is_lost)
{
    crash_everywhere(&work, FAKE_DISK_LOSE_ALL);
}
END_TEST

START_TEST(what_was_not_synced_is_there)
{
    crash_everywhere(&work, FAKE_DISK_KEEP_ALL);
}
END_TEST

START_TEST(what_was_not_synced_is_torn)
{
    crash_everywhere(&work, FAKE_DISK_LOSE_SOME);
}
END_TEST

/* Only one operation fails, for want of room: the log goes on and loses nothing. */
START_TEST(a_full_disk_in_any_step)
{
    uint64_t count = crash_count(&work, 1);

    for (uint64_t number = 1; number <= count; number += 3) {
        struct logs *logs;
        struct log *log;
        const struct uuid id = { .bytes = { 1 } };

        begin();
        ck_assert_int_eq(open_logs(&logs), ERR_OK);
        struct cleaner *cleaner = start_cleaner(logs);

        ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &log), ERR_OK);
        for (int i = 0; i < 60; i++)
            ck_assert_int_eq(append(log, 4), ERR_OK);
        ck_assert_int_eq(flush(log), ERR_OK);
        uint64_t before = fake_disk_count(logs_kit_disk());

        fake_disk_fail_at(logs_kit_disk(), before + number, ERR_NO_SPACE);
        bool done = cleaner_turn(cleaner, NOW_MS);
        bool was_reached = fake_disk_count(logs_kit_disk()) >= before + number;

        if (!log_is_offline(log)) { /* half way through a swap it is given up, as any directory */
            check_log(log);
            ck_assert(!log_is_uncleanable(log));
            while (cleaner_turn(cleaner, NOW_MS + 100000))
                done = true;
            ck_assert(done);
            check_log(log);
        }
        log_unref(&log);
        cleaner_stop(&cleaner);
        logs_close(&logs);
        expect_good();
        logs_kit_end();
        if (!was_reached)
            break;
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("clean_crash");

    say_set_level(SAY_ERROR);
    tcase_add_test(tc, what_was_not_synced_is_lost);
    tcase_add_test(tc, what_was_not_synced_is_there);
    tcase_add_test(tc, what_was_not_synced_is_torn);
    tcase_add_test(tc, a_full_disk_in_any_step);
    return unit_run_within(tc, 3600); /* with many rounds */
}
