/*
 * A log on a disk that loses power: a run of appends, flushes, rolls, truncations, retention and
 * checkpoints is stopped before every operation that changes the disk, in turn, and what was not
 * synced is lost, kept or torn. After each: what was flushed is there, what is there was written,
 * nothing is out of its place, and the log goes on.
 *
 * MOLDAU_CRASH_ROUNDS: how many seeds each point is tried with (1).
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/logs.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/unit.h"

#define OFFSETS_MAX 4000
#define NEVER       (INT64_MAX / 4)
#define NOW_MS      1700000000000

/* What the log must and may hold. */
struct model {
    int generation[OFFSETS_MAX]; /* of the record written at an offset, 0 none */
    int old[OFFSETS_MAX];        /* what a truncation under way is about to drop */
    int64_t end;                 /* after the last record that may be there */
    int64_t safe;                /* all below was flushed */
    int now;                     /* the generation of records written now */
    bool was_made;
};

static struct fake_disk *fake;
static struct model model;
static uint64_t seed;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = 1200;
    conf->index_interval_bytes = 200;
    conf->producer_expiration_ms = NEVER;
    conf->file_delete_delay_ms = 0;
    conf->retention_ms = -1;
    conf->retention_bytes = 4000;
}

static enum err open_logs(struct logs **logs)
{
    static const char *const dirs[] = { "/d" };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .cluster_id = "AW6T_lL_R4iq6IuFZW4UEA",
                                    .no_threads = true,
                                    .max_open_files = 16,
                                    .disk = fake_disk_base(fake),
                                    .conf_of = conf_of,
                                    .flush_check_ms = NEVER,
                                    .checkpoint_ms = NEVER,
                                    .start_checkpoint_ms = NEVER };

    return logs_open(&options, logs);
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
    if (err == ERR_NO_SPACE)
        model.end = first;
    return err;
}

static enum err truncate(struct log *log, int64_t to)
{
    memcpy(model.old, model.generation, sizeof model.old);
    if (to < model.safe)
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

/* One of everything that a log meets; ends with the first error. */
static enum err one_step(struct logs *logs, struct log *log, int step)
{
    enum err err = ERR_OK;

    if (step % 17 == 16)
        err = truncate(log, log_leo(log) - (int64_t)chance(20));
    else if (step % 23 == 22)
        log_retain(log, log_leo(log), NOW_MS);
    else if (step % 7 == 6) {
        err = log_flush(log);
        if (err == ERR_OK)
            model.safe = log_leo(log);
    } else if (step % 11 == 10)
        logs_checkpoint(logs);
    else if (step % 13 == 12)
        logs_tick(logs, NOW_MS + step * 1000);
    else
        err = append(log, 1 + (int)chance(4));
    return log_is_offline(log) ? ERR_IO : err;
}

static void live(int steps, bool clean)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };

    if (open_logs(&logs) != ERR_OK)
        return;
    if (logs_create(logs, "t", 0, id, true, NULL, &log) == ERR_OK) {
        model.was_made = true;
        for (int step = 0; step < steps; step++)
            if (one_step(logs, log, step) != ERR_OK)
                break;
    }
    log_unref(&log);
    if (clean)
        logs_close(&logs);
    else
        logs_abandon(&logs);
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

static int64_t check_batch(const uint8_t *batch, size_t size, int64_t next)
{
    struct record_iter iter;
    struct record record;

    ck_assert_int_eq(batch_check(batch, size), ERR_OK);
    ck_assert_int_le(batch_base_offset(batch), next);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, size, NULL), ERR_OK);
    while (record_next(&iter, &record) == ERR_OK)
        check_record(&record);
    return batch_last_offset(batch) + 1;
}

static void check_log(struct log *log)
{
    int64_t next = log_start_offset(log);
    static uint8_t bytes[1 << 16];

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
            next = check_batch(bytes + at, batch_size(bytes + at), next);
        ck_assert_int_gt(next, before);
    }
}

/* Opens what is there, checks it, goes on, stops cleanly and checks once more. */
static void expect_good(void)
{
    struct logs *logs;
    struct log *log;

    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(open_logs(&logs), ERR_OK);
        log = logs_get_ref(logs, "t", 0);
        if (log == NULL) {
            ck_assert_int_eq(model.safe, 0);
            logs_close(&logs);
            return;
        }
        check_log(log);
        if (round == 0) {
            model.now = 1000;
            for (int i = 0; i < 10; i++)
                ck_assert_int_eq(append(log, 3), ERR_OK);
            check_log(log);
            ck_assert_int_eq(log_flush(log), ERR_OK);
            model.safe = log_leo(log);
        }
        log_unref(&log);
        logs_close(&logs);
    }
}

static void begin(uint64_t with_seed)
{
    fake = fake_disk_new();
    memset(&model, 0, sizeof model);
    model.now = 1;
    seed = with_seed;
}

static void crash_at(uint64_t number, int steps, enum fake_disk_loss loss, uint64_t with_seed)
{
    begin(with_seed);
    fake_disk_stop_at(fake, number);
    live(steps, true);
    fake_disk_crash(fake, loss, with_seed);
    expect_good();
    fake_disk_free(&fake);
}

static uint64_t count_operations(int steps, uint64_t with_seed)
{
    begin(with_seed);
    live(steps, true);
    uint64_t count = fake_disk_count(fake);

    expect_good();
    fake_disk_free(&fake);
    return count;
}

static uint64_t rounds(void)
{
    const char *text = getenv("MOLDAU_CRASH_ROUNDS");
    int64_t value = 1;

    return text != NULL && str_to_i64(str_of(text), &value) && value > 0 ? (uint64_t)value : 1;
}

static void crash_everywhere(enum fake_disk_loss loss)
{
    uint64_t points = 0;

    for (uint64_t round = 1; round <= rounds(); round++) {
        uint64_t count = count_operations(120, round);

        for (uint64_t number = 1; number <= count; number++, points++)
            crash_at(number, 120, loss, round);
    }
    printf("crash points: %" PRIu64 "\n", points);
}

START_TEST(what_was_not_synced_is_lost)
{
    crash_everywhere(FAKE_DISK_LOSE_ALL);
}
END_TEST

START_TEST(what_was_not_synced_is_there)
{
    crash_everywhere(FAKE_DISK_KEEP_ALL);
}
END_TEST

START_TEST(what_was_not_synced_is_torn)
{
    crash_everywhere(FAKE_DISK_LOSE_SOME);
}
END_TEST

START_TEST(a_full_disk_refuses_and_recovers)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };
    int refused = 0;

    begin(1);
    ck_assert_int_eq(open_logs(&logs), ERR_OK);
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &log), ERR_OK);
    for (int i = 0; i < 300; i++) {
        fake_disk_set_room(fake, i % 60 < 30 ? INT64_MAX : 2000 + 80 * i);
        enum err err = append(log, 2);

        ck_assert(err == ERR_OK || err == ERR_NO_SPACE);
        refused += err == ERR_NO_SPACE;
        ck_assert(!log_is_offline(log));
        ck_assert_int_eq(log_leo(log), model.end);
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_lt(refused, 200);
    fake_disk_set_room(fake, INT64_MAX);
    check_log(log);
    ck_assert_int_eq(log_flush(log), ERR_OK);
    model.safe = log_leo(log);
    log_unref(&log);
    logs_abandon(&logs);
    fake_disk_crash(fake, FAKE_DISK_LOSE_ALL, 1);
    expect_good();
    fake_disk_free(&fake);
}
END_TEST

START_TEST(a_failed_sync_is_final)
{
    struct logs *logs;
    struct log *log;
    const struct uuid id = { .bytes = { 1 } };

    begin(1);
    ck_assert_int_eq(open_logs(&logs), ERR_OK);
    ck_assert_int_eq(logs_create(logs, "t", 0, id, true, NULL, &log), ERR_OK);
    ck_assert_int_eq(append(log, 2), ERR_OK);
    fake_disk_fail_syncs(fake, true);
    ck_assert_int_eq(log_flush(log), ERR_IO);
    fake_disk_fail_syncs(fake, false);
    ck_assert(log_is_offline(log));
    ck_assert_int_eq(log_flush(log), ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(append(log, 2), ERR_KAFKA_STORAGE_ERROR);
    ck_assert_int_eq(log_recovery_point(log), 0);
    log_unref(&log);
    logs_close(&logs);
    fake_disk_free(&fake);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_crash");

    say_set_level(SAY_ERROR);
    tcase_add_test(tc, what_was_not_synced_is_lost);
    tcase_add_test(tc, what_was_not_synced_is_there);
    tcase_add_test(tc, what_was_not_synced_is_torn);
    tcase_add_test(tc, a_full_disk_refuses_and_recovers);
    tcase_add_test(tc, a_failed_sync_is_final);
    return unit_run_within(tc, 3600); /* with many rounds */
}
