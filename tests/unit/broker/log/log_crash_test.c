/*
 * A log on a disk that loses power: a run of appends by plain, idempotent and transactional
 * producers, of syncs alone and in company, rolls, truncations, starting over, moved starts,
 * retention, checkpoints, write-behind, and of another log that is made, deleted and made again, is
 * stopped before every operation that changes the disk, in turn, and what was not synced is lost,
 * kept or torn. After each: what was flushed is there, what is there was written, nothing is out of
 * its place, producers, transactions and epochs are what the records say, and the log goes on.
 *
 * Compaction has a crash test of its own (clean/clean_crash_test).
 *
 * MOLDAU_CRASH_ROUNDS: how many seeds each point is tried with (1); MOLDAU_CRASH_SEED: the first
 * one (1). tests/crash has both tests come to 100,000 points and more.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "broker/log/logs.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/logs_kit.h"
#include "tests/kit/unit.h"

#define OFFSETS_MAX 4000
#define STEPS       120
#define NOW_MS      1700000000000

/* What the log must and may hold. */
struct model {
    int generation[OFFSETS_MAX]; /* of the record written at an offset, 0 none */
    int old[OFFSETS_MAX];        /* what a truncation under way is about to drop */
    int64_t end;                 /* after the last record that may be there */
    int64_t safe;                /* all below was flushed */
    int now;                     /* the generation of records written now */
    bool was_made;
    int other;     /* which life of the other log is the last that may be there, 0 none */
    int other_was; /* the one before, while it is being deleted */
};

static struct model model;

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = 1200;
    conf->index_interval_bytes = 200;
    conf->producer_expiration_ms = LOGS_KIT_NEVER;
    conf->file_delete_delay_ms = 0;
    conf->retention_ms = -1;
    conf->retention_bytes = 4000;
}

static enum err open_logs(struct logs **logs)
{
    struct logs_options options = logs_kit_options(conf_of);

    options.unscanned_max_bytes = 6000;
    options.producer_check_ms = 1000;
    options.sync_few = 1;
    return logs_open(&options, logs);
}

static enum err append_by(struct log *log, int count, int64_t producer, bool is_txn)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct producer_entry entry;
    struct log_appended out;
    int64_t first = log_leo(log);
    uint8_t *bytes;
    size_t size;

    ck_assert_int_lt(first + count, OFFSETS_MAX);
    if (producer >= 0) {
        conf.producer_id = producer;
        conf.base_sequence = log_producer(log, producer, &entry) ? entry.last_seq + 1 : 0;
        conf.producer_epoch = 0;
        conf.transactional = is_txn;
    }
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < count; i++) {
        char value[64];

        snprintf(value, sizeof value, "%" PRId64 " %d", first + i, model.now);
        batch_builder_add(&builder, NOW_MS + first + i, STR("k"), str_of(value), NULL, 0);
        model.generation[first + i] = model.now;
    }
    model.end = first + count;
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    enum err err = log_append_leader(log, bytes, size, model.now, LOG_FROM_CLIENT, NOW_MS, &out);

    batch_builder_fini(&builder);
    /* What the producers are believed to have done is what they did: no other error. */
    ck_assert(err == ERR_OK || err == ERR_NO_SPACE || err == ERR_IO ||
              err == ERR_KAFKA_STORAGE_ERROR);
    if (err == ERR_NO_SPACE)
        model.end = first;
    return err;
}

static enum err append(struct log *log, int count)
{
    return append_by(log, count, -1, false);
}

/* A transactional record, or the end of the transaction. */
static enum err transact(struct log *log, int64_t producer)
{
    uint8_t batch[BATCH_MARKER_BYTES];
    struct producer_entry entry;
    struct log_appended out;

    if (!log_producer(log, producer, &entry) || entry.txn_first_offset < 0 ||
        logs_kit_chance(3) > 0)
        return append_by(log, 1 + (int)logs_kit_chance(3), producer, true);
    batch_marker_write(batch, logs_kit_chance(2) == 0, producer, 0, 0, NOW_MS);
    model.generation[log_leo(log)] = model.now;
    model.end = log_leo(log) + 1;
    return log_append_leader(log, batch, sizeof batch, model.now, LOG_FROM_COORDINATOR, NOW_MS,
                             &out);
}

static enum err truncate(struct log *log, int64_t to)
{
    memcpy(model.old, model.generation, sizeof model.old);
    if (to < log->segments[0]->base_offset)
        model.safe = 0; /* it starts over */
    else if (to < model.safe)
        model.safe = to > 4 ? to - 4 : 0; /* a batch goes whole */
    enum err err = log_truncate_to(log, to);

    if (err != ERR_OK)
        return err;
    model.end = log_leo(log);
    model.safe = model.safe < model.end ? model.safe : model.end;
    memset(model.old, 0, sizeof model.old);
    for (int64_t i = model.end; i < OFFSETS_MAX; i++)
        model.generation[i] = 0;
    model.now++;
    return ERR_OK;
}

static enum err start_over(struct log *log)
{
    int64_t at = log_leo(log) + (int64_t)logs_kit_chance(30);

    memcpy(model.old, model.generation, sizeof model.old);
    model.safe = 0;
    enum err err = log_truncate_fully_and_start_at(log, at);

    if (err != ERR_OK)
        return err;
    memset(model.old, 0, sizeof model.old);
    memset(model.generation, 0, sizeof model.generation);
    model.end = model.safe = at;
    model.now++;
    return ERR_OK;
}

/* A leader that is none any more before it has written a record: its epoch goes, and the records of
 * the one that leads take its place. */
static enum err lead_for_nothing(struct log *log)
{
    enum err err = log_assign_epoch(log, model.now + 1, log_leo(log));

    return err == ERR_OK ? log_truncate_to(log, log_leo(log)) : err;
}

static int64_t hw_of(void *ctx, struct log *log)
{
    (void)ctx;
    return log_leo(log);
}

struct wait {
    struct sync_wait base; /* first */
    enum err err;
    bool done;
};

static void on_synced(struct sync_wait *base, enum err err)
{
    struct wait *wait = (struct wait *)base;

    wait->done = true;
    wait->err = err;
}

/* Three appends that wait for one sync. */
static enum err commit_together(struct logs *logs, struct log *log)
{
    struct wait waits[3];
    enum err err = ERR_OK;
    size_t n = 0;

    for (; n < ARRAY_LEN(waits) && err == ERR_OK; n++) {
        err = append(log, 1);
        waits[n] =
            (struct wait){ .base = { .log = log, .upto_offset = log_leo(log), .done = on_synced } };
        group_commit_post(logs_group_commit(logs, log), &waits[n].base);
    }
    int64_t upto = log_leo(log);

    group_commit_turn(logs_group_commit(logs, log));
    for (size_t i = 0; i < n; i++) {
        ck_assert(waits[i].done);
        err = err == ERR_OK ? waits[i].err : err;
    }
    if (err == ERR_OK)
        model.safe = upto;
    return err;
}

/* A topic that comes and goes; each of its records names the life that it was written in. */
static enum err live_beside(struct logs *logs)
{
    const struct uuid id = { .bytes = { 2, (uint8_t)model.other } };
    struct log *log = logs_get_ref(logs, "u", 0);
    enum err err = ERR_OK;

    if (log == NULL) {
        model.other_was = 0;
        model.other++;
        err = logs_create(logs, "u", 0, id, true, NULL, &log);
    } else if (logs_kit_chance(3) == 0) {
        log_unref(&log);
        model.other_was = model.other;
        return logs_kit_chance(4) == 0 ? logs_park(logs, "u", 0) : logs_delete(logs, "u", 0);
    }
    if (err == ERR_OK) {
        struct batch_conf conf = BATCH_CONF_PLAIN;
        struct batch_builder builder;
        struct log_appended out;
        char value[32];
        uint8_t *bytes;
        size_t size;

        snprintf(value, sizeof value, "%d", model.other);
        batch_builder_init(&builder, &conf);
        batch_builder_add(&builder, NOW_MS, STR("k"), str_of(value), NULL, 0);
        ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
        err = log_append_leader(log, bytes, size, 0, LOG_FROM_CLIENT, NOW_MS, &out);
        batch_builder_fini(&builder);
    }
    log_unref(&log);
    return err;
}

/* One of everything that a log meets; ends with the first error. */
static enum err one_step(struct logs *logs, struct log *log, int step)
{
    enum err err = ERR_OK;

    log_on_hw(log, log_leo(log));
    if (step % 17 == 16)
        err = truncate(log, log_leo(log) - (int64_t)logs_kit_chance(20));
    else if (step % 23 == 22)
        log_retain(log, log_leo(log), NOW_MS);
    else if (step % 97 == 96)
        err = start_over(log);
    else if (step % 29 == 28)
        log_advance_start(log, log_start_offset(log) + (int64_t)logs_kit_chance(10));
    else if (step % 7 == 6) {
        err = log_flush(log);
        if (err == ERR_OK)
            model.safe = log_leo(log);
    } else if (step % 19 == 18)
        err = commit_together(logs, log);
    else if (step % 11 == 10)
        logs_checkpoint(logs);
    else if (step % 13 == 12)
        logs_tick(logs, NOW_MS + step * 1000, clock_mono_ms() + step * 1000);
    else if (step % 31 == 30)
        logs_checkpoint_hw(logs, hw_of, NULL);
    else if (step % 37 == 36)
        err = log_roll(log, NOW_MS);
    else if (step % 41 == 39)
        err = lead_for_nothing(log);
    else if (step % 10 == 9)
        err = live_beside(logs);
    else if (step % 4 == 3)
        err = transact(log, 10 + (int64_t)logs_kit_chance(2));
    else if (step % 4 == 1)
        err = append_by(log, 1 + (int)logs_kit_chance(4), 1 + (int64_t)logs_kit_chance(2), false);
    else
        err = append(log, 1 + (int)logs_kit_chance(4));
    return log_is_offline(log) ? ERR_IO : err;
}

static void live(void)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };

    if (open_logs(&logs) != ERR_OK)
        return;
    if (logs_create(logs, "t", 0, id, true, NULL, &log) == ERR_OK) {
        model.was_made = true;
        for (int step = 0; step < STEPS; step++)
            if (one_step(logs, log, step) != ERR_OK)
                break;
    }
    log_unref(&log);
    logs_close(&logs);
}

static void check_record(const struct record *record)
{
    char want[64];
    char old[64];
    char have[64];

    ck_assert_int_lt(record->offset, OFFSETS_MAX);
    snprintf(want, sizeof want, "%" PRId64 " %d", record->offset, model.generation[record->offset]);
    snprintf(old, sizeof old, "%" PRId64 " %d", record->offset, model.old[record->offset]);
    snprintf(have, sizeof have, "%.*s", STR_ARG(record->value));
    ck_assert_msg(strcmp(have, want) == 0 || strcmp(have, old) == 0,
                  "have \"%s\" want \"%s\" or \"%s\"", have, want, old);
}

/* What the records say of a producer and of its transactions. */
struct seen {
    int32_t last_seq;                 /* -1 none */
    int64_t txn_first;                /* -1 none open */
    int64_t aborted[OFFSETS_MAX / 4]; /* first offsets of those that were */
    size_t aborted_count;
};

static struct seen seen[16];

static void see_batch(const uint8_t *batch, size_t size)
{
    struct batch_info info;
    struct record_iter iter;
    struct record record;
    enum record_control kind;
    int32_t coordinator;

    batch_info_read(batch, &info);
    if (info.producer_id < 0)
        return;
    ck_assert_int_lt(info.producer_id, 16);
    struct seen *one = &seen[info.producer_id];

    if (!info.control) {
        one->last_seq = info.last_sequence;
        if (info.transactional && one->txn_first < 0)
            one->txn_first = info.base_offset;
        return;
    }
    ck_assert_int_eq(record_iter_init(&iter, batch, size, size, NULL), ERR_OK);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    ck_assert_int_eq(record_control_read(&record, &kind, &coordinator), ERR_OK);
    if (kind == RECORD_ABORT && one->txn_first >= 0)
        one->aborted[one->aborted_count++] = one->txn_first;
    one->txn_first = -1;
}

static int64_t check_batch(struct log *log, const uint8_t *batch, size_t size, int64_t next)
{
    struct record_iter iter;
    struct record record;
    struct batch_info info;

    ck_assert_int_eq(batch_check(batch, size), ERR_OK);
    ck_assert_int_le(batch_base_offset(batch), next);
    batch_info_read(batch, &info);
    if (info.base_offset >= log_start_offset(log))
        ck_assert_int_eq(log_epoch_at(log, info.base_offset), info.leader_epoch);
    ck_assert_int_eq(log_epoch_at(log, info.last_offset), info.leader_epoch);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, size, NULL), ERR_OK);
    while (!info.control && record_next(&iter, &record) == ERR_OK)
        check_record(&record);
    see_batch(batch, size);
    return batch_last_offset(batch) + 1;
}

static bool has_aborted(const struct log_aborted *list, size_t count, int64_t producer,
                        int64_t first)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].producer_id == producer && list[i].first_offset == first)
            return true;
    return false;
}

/* Of a log from its first record on the records tell all; else a transaction may have begun, and a
 * producer have written, below the start. */
static void check_producers(struct log *log)
{
    bool is_whole = log_start_offset(log) == 0;
    struct log_aborted *aborted;
    int64_t stable = log_leo(log);
    size_t wanted = 0;
    size_t count;

    ck_assert_int_eq(log_aborted_txns(log, log_start_offset(log), INT64_MAX, &aborted, &count),
                     ERR_OK);
    for (int64_t id = 0; id < (int64_t)ARRAY_LEN(seen); id++) {
        const struct seen *one = &seen[id];
        struct producer_entry entry;

        for (size_t i = is_whole ? 0 : 1; i < one->aborted_count; i++)
            ck_assert_msg(has_aborted(aborted, count, id, one->aborted[i]), "producer %d at %d",
                          (int)id, (int)one->aborted[i]);
        wanted += one->aborted_count;
        if (one->txn_first >= 0 && one->txn_first < stable)
            stable = one->txn_first;
        if (one->last_seq < 0)
            continue;
        ck_assert(log_producer(log, id, &entry));
        ck_assert_int_eq(entry.last_seq, one->last_seq);
        if (is_whole)
            ck_assert_int_eq(entry.txn_first_offset, one->txn_first);
    }
    if (is_whole)
        ck_assert_uint_eq(count, wanted);
    free(aborted);
    log_on_hw(log, log_leo(log));
    int64_t have = log_last_stable_offset(log, log_leo(log));

    if (stable < log_start_offset(log))
        stable = log_start_offset(log); /* the start is inside of the batch that began it */

    ck_assert_int_le(have, stable);
    if (is_whole)
        ck_assert_int_eq(have, stable);
}

static void check_log(struct log *log)
{
    int64_t next = log_start_offset(log);
    static uint8_t bytes[1 << 16];

    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        seen[i] = (struct seen){ .last_seq = -1, .txn_first = -1 };

    ck_assert_msg(log_leo(log) >= model.safe, "leo %lld, flushed %lld", (long long)log_leo(log),
                  (long long)model.safe);
    while (next < log_leo(log)) {
        struct log_range range;
        int64_t before = next;
        size_t got;

        ck_assert_int_eq(log_read(log, next, INT64_MAX, sizeof bytes, true, &range), ERR_OK);
        ck_assert_uint_gt(range.len, 0);
        ck_assert_int_eq(log_range_read(&range, 0, bytes, range.len, &got), ERR_OK);
        ck_assert_uint_eq(got, range.len);
        log_range_done(&range);
        for (size_t at = 0; at < got; at += batch_size(bytes + at))
            next = check_batch(log, bytes + at, batch_size(bytes + at), next);
        ck_assert_int_gt(next, before);
    }
    check_producers(log);
}

static void check_other(struct logs *logs)
{
    struct log *log = logs_get_ref(logs, "u", 0);
    struct buf buf = BUF_EMPTY;

    if (log == NULL)
        return;
    for (int64_t at = log_start_offset(log); at < log_leo(log); at++) {
        struct record_iter iter;
        struct record record;
        int64_t life;

        ck_assert_int_eq(log_kit_read(log, at, at + 1, &buf), ERR_OK);
        ck_assert_int_eq(record_iter_init(&iter, buf.bytes, buf.len, buf.len, NULL), ERR_OK);
        ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
        ck_assert(str_to_i64(record.value, &life));
        ck_assert_msg(life == model.other || life == model.other_was, "life %d, now %d was %d",
                      (int)life, model.other, model.other_was);
    }
    buf_fini(&buf);
    log_unref(&log);
}

/* Opens what is there, checks it, goes on, stops cleanly and checks once more. */
static void expect_good(void)
{
    struct logs *logs;
    struct log *log;

    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(open_logs(&logs), ERR_OK);
        check_other(logs);
        log = logs_get_ref(logs, "t", 0);
        if (log == NULL) {
            ck_assert_int_eq(model.safe, 0);
            logs_close(&logs);
            return;
        }
        check_log(log);
        if (round == 0) {
            model.now = 1000;
            for (int i = 0; i < 10; i++) {
                ck_assert_int_eq(append_by(log, 3, 1, false), ERR_OK);
                ck_assert_int_eq(transact(log, 10), ERR_OK);
            }
            check_log(log);
            ck_assert_int_eq(log_flush(log), ERR_OK);
            model.safe = log_leo(log);
        }
        log_unref(&log);
        logs_close(&logs);
    }
}

static void reset(void)
{
    memset(&model, 0, sizeof model);
    model.now = 1;
}

static void begin(void)
{
    logs_kit_begin(1);
    reset();
}

static const struct crash_work work = { .reset = reset, .live = live, .check = expect_good };

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

START_TEST(a_full_disk_refuses_and_recovers)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };
    int refused = 0;

    begin();
    ck_assert_int_eq(open_logs(&logs), ERR_OK);
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &log), ERR_OK);
    for (int i = 0; i < 300; i++) {
        fake_disk_set_room(logs_kit_disk(), i % 60 < 30 ? INT64_MAX : 2000 + 80 * i);
        enum err err = append(log, 2);

        ck_assert(err == ERR_OK || err == ERR_NO_SPACE);
        refused += err == ERR_NO_SPACE;
        ck_assert(!log_is_offline(log));
        ck_assert_int_eq(log_leo(log), model.end);
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_lt(refused, 200);
    fake_disk_set_room(logs_kit_disk(), INT64_MAX);
    check_log(log);
    ck_assert_int_eq(log_flush(log), ERR_OK);
    model.safe = log_leo(log);
    log_unref(&log);
    logs_abandon(&logs);
    fake_disk_crash(logs_kit_disk(), FAKE_DISK_LOSE_ALL, 1);
    expect_good();
    logs_kit_end();
}
END_TEST

START_TEST(a_failed_sync_is_final)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };

    begin();
    ck_assert_int_eq(open_logs(&logs), ERR_OK);
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &log), ERR_OK);
    ck_assert_int_eq(append(log, 2), ERR_OK);
    fake_disk_fail_syncs(logs_kit_disk(), true);
    ck_assert_int_eq(log_flush(log), ERR_IO);
    fake_disk_fail_syncs(logs_kit_disk(), false);
    ck_assert(log_is_offline(log));
    ck_assert_int_eq(log_flush(log), ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(append(log, 2), ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(log_recovery_point(log), 0);
    log_unref(&log);
    logs_close(&logs);
    logs_kit_end();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_crash");

    say_set_level(getenv("MOLDAU_CRASH_SAY") != NULL ? SAY_INFO : SAY_ERROR);
    tcase_add_test(tc, what_was_not_synced_is_lost);
    tcase_add_test(tc, what_was_not_synced_is_there);
    tcase_add_test(tc, what_was_not_synced_is_torn);
    tcase_add_test(tc, a_full_disk_refuses_and_recovers);
    tcase_add_test(tc, a_failed_sync_is_final);
    return unit_run_within(tc, 3600); /* with many rounds */
}
