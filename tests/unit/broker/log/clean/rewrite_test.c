/*
 * rewrite: what Kafka's cleaner made of the recorded logs, byte for byte; and on logs of our own
 * that every read is what a model of compaction says, whatever is going on meanwhile.
 */
#include "broker/log/clean/rewrite.h"

#include <check.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_swap.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define NEVER (INT64_MAX / 4)

static struct log_kit kit;
static struct fake_disk *fake;

static bool always(void *ctx, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    return true;
}

static struct rewrite_conf small = {
    .map_bytes = 1 << 20, .load_factor = 0.9, .io_bytes = 4096, .go_on = always
};

/* Compacts everything below the active segment, from the log's mark on. */
static enum err compact(const struct rewrite_conf *conf, int64_t now_ms,
                        struct rewrite_stats *stats)
{
    struct rewrite *rewrite = rewrite_new(conf);
    int64_t from = log_cleaned_upto(kit.log);
    struct rewrite_range range = { .first_dirty = from >= 0 ? from : log_start_offset(kit.log),
                                   .first_uncleanable = log_active_base(kit.log),
                                   .now_ms = now_ms,
                                   .secret = "0123456789abcde" };
    enum err err = rewrite_log(rewrite, kit.log, &range, stats);

    rewrite_free(&rewrite);
    return err;
}

/* --- recorded ------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
    char command[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_int_eq(system(command), 0);
}

static void unpack(const char *data, const char *topic, const char *dir)
{
    run("mkdir -p '%s' && tar xzf '%s' -C '%s' ./%s-0", dir, unit_data(data), dir, topic);
    run("mv '%s/%s-0' '%s/t-0'", dir, topic, dir);
}

/* The delete horizon in the recorded result tells when the pass was made. */
static int64_t recorded_now(const char *dir, int64_t delete_retention_ms)
{
    struct log_kit want;
    struct buf buf = BUF_EMPTY;
    int64_t horizon = -1;

    log_kit_init(&want, NULL, dir);
    want.conf.producer_expiration_ms = NEVER;
    ck_assert_int_eq(log_kit_open(&want, false, 0), ERR_OK);
    for (int64_t at = log_start_offset(want.log); at < log_leo(want.log);) {
        ck_assert_int_eq(log_kit_read(want.log, at, INT64_MAX, &buf), ERR_OK);
        for (size_t pos = 0; pos < buf.len; pos += batch_size(buf.bytes + pos)) {
            at = batch_last_offset(buf.bytes + pos) + 1;
            if (batch_is(buf.bytes + pos, BATCH_DELETE_HORIZON))
                horizon = batch_base_timestamp(buf.bytes + pos);
        }
    }
    buf_fini(&buf);
    log_kit_fini(&want);
    ck_assert_int_ge(horizon, 0);
    return horizon - delete_retention_ms;
}

static void compare_with(const char *dir, const char *want)
{
    run("cd '%s/t-0' && for f in *.log *.txnindex; do [ -e $f ] || continue; "
        "cmp $f '%s/t-0'/$f || exit 1; done",
        want, dir);
    run("cd '%s/t-0' && for f in *.log; do [ -e '%s/t-0'/$f ] || { echo $f; exit 1; }; done", dir,
        want);
}

static void check_recorded(const char *topic, int64_t segment_bytes, int64_t delete_retention_ms)
{
    char before[256];
    char after[256];
    char scratch[256];
    struct rewrite_stats stats;
    const char *temp = unit_temp_dir();

    snprintf(before, sizeof before, "%s/before", temp);
    snprintf(after, sizeof after, "%s/after", temp);
    snprintf(scratch, sizeof scratch, "%s/scratch", temp);
    unpack("logs/compact-1-before.tar.gz", topic, before);
    unpack("logs/compact-2-after-first-pass.tar.gz", topic, after);
    run("cp -r '%s' '%s'", after, scratch); /* opening it changes its indexes */
    int64_t now_ms = recorded_now(scratch, delete_retention_ms);

    log_kit_init(&kit, NULL, before);
    kit.conf.segment_bytes = segment_bytes;
    kit.conf.delete_retention_ms = delete_retention_ms;
    kit.conf.producer_expiration_ms = NEVER;
    kit.conf.index_interval_bytes = 300;
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    ck_assert_int_eq(compact(&small, now_ms, &stats), ERR_OK);
    ck_assert_int_eq(stats.upto, log_active_base(kit.log));
    compare_with(before, after);
    log_kit_fini(&kit);
}

/* The second pass has left what it took away as .deleted beside the active segment. */
static void check_second_pass(const char *topic, int64_t active, int64_t delete_retention_ms)
{
    char before[256];
    char after[256];
    char scratch[256];
    struct rewrite_stats stats;
    const char *temp = unit_temp_dir();

    snprintf(before, sizeof before, "%s/before", temp);
    snprintf(after, sizeof after, "%s/after", temp);
    snprintf(scratch, sizeof scratch, "%s/scratch", temp);
    unpack("logs/compact-3-after-second-pass.tar.gz", topic, before);
    unpack("logs/compact-3-after-second-pass.tar.gz", topic, after);
    run("cd '%s/t-0' && for f in *.log *index; do [ $(expr ${f%%%%.*} + 0) -ge %" PRId64
        " ] || rm $f; done; for f in *.deleted; do mv $f ${f%%.deleted}; done",
        before, active);
    run("rm '%s'/t-0/*.deleted; cp -r '%s' '%s'", after, after, scratch);
    int64_t now_ms = recorded_now(scratch, delete_retention_ms);

    log_kit_init(&kit, NULL, before);
    kit.conf.segment_bytes = 3000;
    kit.conf.delete_retention_ms = delete_retention_ms;
    kit.conf.producer_expiration_ms = NEVER;
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    log_set_cleaned_upto(kit.log, 135);
    ck_assert_int_eq(log_active_base(kit.log), active);
    ck_assert_int_eq(compact(&small, now_ms, &stats), ERR_OK);
    compare_with(before, after);
    log_kit_fini(&kit);
}

START_TEST(second_pass_of_the_recorded_logs)
{
    check_second_pass("g-compact", 255, 86400000);
    check_second_pass("g-compact-shortdr", 270, 100);
}
END_TEST

START_TEST(recorded_log_gives_the_recorded_survivors)
{
    check_recorded("g-compact", 3000, 86400000);
}
END_TEST

START_TEST(recorded_log_with_short_delete_retention)
{
    check_recorded("g-compact-shortdr", 3000, 100);
}
END_TEST

START_TEST(recorded_log_with_transactions)
{
    check_recorded("g-compact-txn", 1500, 100);
}
END_TEST

/* Messages of magic 0, compacted by Kafka 3.9 once. */
START_TEST(recorded_log_of_the_old_format)
{
    char before[256];
    char after[256];
    struct rewrite_stats stats;
    const char *temp = unit_temp_dir();

    snprintf(before, sizeof before, "%s/before", temp);
    snprintf(after, sizeof after, "%s/after", temp);
    unpack("logs/message-formats-v0-v1.tar.gz", "m-v0-compact", before);
    unpack("logs/message-formats-v0-v1.tar.gz", "m-v0-compact", after);
    run("cd '%s/t-0' && for f in *.deleted; do mv $f ${f%%.deleted}; done", before);
    run("rm '%s'/t-0/*.deleted", after);
    log_kit_init(&kit, NULL, before);
    kit.conf.segment_bytes = 1100;
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    ck_assert_int_eq(stats.upto, log_active_base(kit.log));
    ck_assert_int_gt(stats.records_read, 2 * stats.records_written);
    compare_with(before, after);
    log_kit_fini(&kit);
}
END_TEST

/* --- our own, against a model --------------------------------------------------------------------
 */

#define KEYS    40
#define RECORDS 3000

/* Every record that was ever appended, by offset. */
struct model_record {
    int key; /* -1: no data record, or of an aborted transaction */
    bool is_delete;
    int version; /* of the value */
};

static struct model_record model[2 * RECORDS];
static uint64_t seed;

static uint64_t chance(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static void begin(uint64_t with_seed)
{
    fake = fake_disk_new();
    log_kit_init(&kit, fake_disk_base(fake), "/d");
    kit.conf.segment_bytes = 4000;
    kit.conf.index_interval_bytes = 200;
    kit.conf.producer_expiration_ms = NEVER;
    kit.conf.file_delete_delay_ms = 0;
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    seed = with_seed;
    for (int i = 0; i < 2 * RECORDS; i++)
        model[i].key = -1;
}

static void end(bool close)
{
    if (close)
        log_kit_shut(&kit, true);
    log_kit_fini(&kit);
    fake_disk_free(&fake);
}

static void append_batch(int count, enum codec codec, int64_t producer_id, int sequence,
                         bool transactional)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct log_appended out;
    uint8_t *bytes;
    size_t size;

    conf.codec = codec;
    conf.producer_id = producer_id;
    conf.producer_epoch = producer_id >= 0 ? 0 : -1;
    conf.base_sequence = producer_id >= 0 ? sequence : -1;
    conf.transactional = transactional;
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < count; i++) {
        struct model_record *record = &model[log_leo(kit.log) + i];
        char key[16];
        char value[32];

        *record = (struct model_record){ (int)chance(KEYS), chance(5) == 0, (int)chance(1000000) };
        snprintf(key, sizeof key, "key-%d", record->key);
        snprintf(value, sizeof value, "value-%d", record->version);
        batch_builder_add(&builder, kit.now_ms + (int64_t)chance(1000), str_of(key),
                          record->is_delete ? STR_NULL : str_of(value), NULL, 0);
    }
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    ck_assert_int_eq(log_append_leader(kit.log, bytes, size, 1, LOG_FROM_CLIENT, kit.now_ms, &out),
                     ERR_OK);
    batch_builder_fini(&builder);
}

static void append_some(int records)
{
    static const enum codec codecs[] = { CODEC_NONE,   CODEC_NONE, CODEC_GZIP,
                                         CODEC_SNAPPY, CODEC_LZ4,  CODEC_ZSTD };

    for (int64_t end = log_leo(kit.log) + records; log_leo(kit.log) < end;)
        append_batch(1 + (int)chance(20), codecs[chance(6)], -1, -1, false);
}

/* Data of a transaction of this producer and its end. */
static void append_txn(int64_t producer_id, int *sequence, bool commit)
{
    int64_t first = log_leo(kit.log);
    int batches = 1 + (int)chance(4);

    for (int i = 0; i < batches; i++) {
        int count = 1 + (int)chance(8);

        append_batch(count, CODEC_NONE, producer_id, *sequence, true);
        *sequence += count;
        if (chance(2) == 0)
            append_some(1);
    }
    ck_assert_int_eq(log_kit_marker(&kit, commit, producer_id, 0), ERR_OK);
    if (commit)
        return;
    /* Only records of this producer are taken back; the others between have a key of their own. */
    struct buf buf = BUF_EMPTY;

    for (int64_t at = first; at < log_leo(kit.log);) {
        ck_assert_int_eq(log_kit_read(kit.log, at, INT64_MAX, &buf), ERR_OK);
        for (size_t pos = 0; pos < buf.len; pos += batch_size(buf.bytes + pos)) {
            struct batch_info info;

            batch_info_read(buf.bytes + pos, &info);
            at = info.last_offset + 1;
            if (info.producer_id == producer_id && !info.control && info.base_offset >= first)
                for (int64_t o = info.base_offset; o <= info.last_offset; o++)
                    model[o].key = -1;
        }
    }
    buf_fini(&buf);
}

/* The offset of the newest record of each key below end. */
static void newest_below(int64_t end, int64_t newest[KEYS])
{
    for (int i = 0; i < KEYS; i++)
        newest[i] = -1;
    for (int64_t o = 0; o < end; o++)
        if (model[o].key >= 0)
            newest[model[o].key] = o;
}

static void check_one(const struct record *record, bool *there)
{
    const struct model_record *want = &model[record->offset];
    char key[16];
    char value[32];

    there[record->offset] = true;
    snprintf(key, sizeof key, "key-%d", want->key);
    snprintf(value, sizeof value, "value-%d", want->version);
    if (want->key < 0)
        return;
    ck_assert(str_eq(record->key, str_of(key)));
    ck_assert_int_eq(str_is_null(record->value), want->is_delete);
    ck_assert(want->is_delete || str_eq(record->value, str_of(value)));
}

/* Which offsets of data records are in the log; all of them are as they were written. */
static void read_all(struct log *log, bool there[2 * RECORDS])
{
    struct buf buf = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;

    memset(there, 0, 2 * RECORDS * sizeof *there);
    for (int64_t at = log_start_offset(log); at < log_leo(log);) {
        ck_assert_int_eq(log_kit_read(log, at, INT64_MAX, &buf), ERR_OK);
        ck_assert_uint_gt(buf.len, 0);
        for (size_t pos = 0; pos < buf.len; pos += batch_size(buf.bytes + pos)) {
            const uint8_t *batch = buf.bytes + pos;
            struct record_iter iter;
            struct record record;

            ck_assert_int_eq(batch_check(batch, batch_size(batch)), ERR_OK);
            at = batch_last_offset(batch) + 1;
            ck_assert_int_eq(record_iter_init(&iter, batch, batch_size(batch), 1 << 20, &scratch),
                             ERR_OK);
            while (!batch_is(batch, BATCH_CONTROL) && record_next(&iter, &record) == ERR_OK)
                check_one(&record, there);
        }
    }
    buf_fini(&buf);
    buf_fini(&scratch);
}

/* Below end: the newest of every key, and nothing else that is older than the map knew. Delete
 * markers may be gone when they are gone for good. */
static void expect_compacted(int64_t end, bool deletes_may_go)
{
    static bool there[2 * RECORDS];
    int64_t newest[KEYS];

    newest_below(end, newest);
    read_all(kit.log, there);
    for (int64_t o = 0; o < log_leo(kit.log); o++) {
        bool should = model[o].key >= 0 && (o >= end || newest[model[o].key] == o);

        if (o < end && deletes_may_go && model[o].is_delete && !there[o])
            continue;
        ck_assert_msg(there[o] == should || (o >= end && model[o].key < 0),
                      "offset %" PRId64 " key %d there %d", o, model[o].key, there[o]);
    }
}

static void for_each_name(disk_name_fn each)
{
    ck_assert_int_eq(disk_list(kit.env.disk, "/d/t-0", each, NULL), ERR_OK);
}

static void remove_snapshot(void *ctx, const char *name, bool is_dir)
{
    char path[256];

    (void)ctx;
    (void)is_dir;
    snprintf(path, sizeof path, "/d/t-0/%s", name);
    if (strstr(name, ".snapshot") != NULL)
        ck_assert_int_eq(disk_unlink(kit.env.disk, path), ERR_OK);
}

static void expect_no_leftover(void *ctx, const char *name, bool is_dir)
{
    (void)ctx;
    (void)is_dir;
    ck_assert_msg(strstr(name, "cleaned") == NULL && strstr(name, "swap") == NULL &&
                      strstr(name, "deleted") == NULL,
                  "%s", name);
}

static void reopen(bool clean)
{
    log_kit_shut(&kit, clean);
    ck_assert_int_eq(log_kit_open(&kit, clean, 0), ERR_OK);
}

START_TEST(the_newest_of_every_key_stays)
{
    struct rewrite_stats stats;

    for (uint64_t round = 1; round <= 5; round++) {
        begin(round);
        append_some(RECORDS);
        int64_t upto = log_active_base(kit.log);

        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
        ck_assert_int_eq(stats.upto, upto);
        ck_assert_int_eq(log_cleaned_upto(kit.log), upto);
        ck_assert_int_eq(stats.map_keys, KEYS);
        ck_assert_int_eq(stats.records_read, upto);
        expect_compacted(upto, false);
        log_set_cleaned_upto(kit.log, 0); /* the small segments that are left become one */
        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
        ck_assert_uint_le(log_segment_count(kit.log), 3);
        expect_compacted(upto, false);
        reopen(true);
        expect_compacted(upto, false);
        reopen(false); /* indexes are made anew */
        expect_compacted(upto, false);
        end(true);
    }
}
END_TEST

START_TEST(pass_after_pass_while_it_grows)
{
    struct rewrite_stats stats;

    begin(7);
    for (int pass = 0; pass < 6; pass++) {
        append_some(RECORDS / 4);
        int64_t upto = log_active_base(kit.log);

        kit.now_ms += 1000;
        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
        expect_compacted(upto, false);
        if (pass % 2 == 1)
            reopen(pass == 3);
        log_set_cleaned_upto(kit.log, upto); /* a reopened log has forgotten it */
    }
    /* A day later the delete markers go. */
    append_some(200);
    kit.now_ms += kit.conf.delete_retention_ms + 1;
    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    expect_compacted(log_active_base(kit.log), true);
    end(true);
}
END_TEST

START_TEST(a_small_map_takes_several_passes)
{
    struct rewrite_conf tiny = small;
    struct rewrite_stats stats;
    int64_t last = 0;
    int passes = 0;

    begin(3);
    tiny.map_bytes = 20 * 24; /* 18 of 40 keys */
    append_some(RECORDS / 2);
    int64_t upto = log_active_base(kit.log);

    for (; last < upto; passes++) {
        ck_assert_int_eq(compact(&tiny, kit.now_ms, &stats), ERR_OK);
        ck_assert_int_gt(stats.upto, last);
        ck_assert_int_le(stats.map_keys, 18);
        last = stats.upto;
    }
    ck_assert_int_gt(passes, 3);
    /* Each pass drops what it knew to be old; one with room for all does the rest. */
    log_set_cleaned_upto(kit.log, 0);
    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    expect_compacted(upto, false);
    end(true);
}
END_TEST

START_TEST(transactions_lose_what_was_aborted_and_their_markers_later)
{
    struct rewrite_stats stats;
    int sequences[3] = { 0 };

    begin(11);
    kit.conf.delete_retention_ms = 1000;
    log_set_conf(kit.log, &kit.conf);
    for (int i = 0; i < 60; i++) {
        int which = (int)chance(3);

        append_txn(100 + which, &sequences[which], chance(2) == 0);
        append_some((int)chance(10));
    }
    log_on_hw(kit.log, log_leo(kit.log));
    int64_t upto = log_active_base(kit.log);

    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    expect_compacted(upto, false);
    /* Producers go on where they were, also when their state is found anew. */
    for (int i = 0; i < 3; i++) {
        struct producer_entry entry;

        ck_assert(log_producer(kit.log, 100 + i, &entry));
        ck_assert_int_eq(entry.last_seq, sequences[i] - 1);
    }
    reopen(false);
    for_each_name(remove_snapshot);
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    for (int i = 0; i < 3; i++) {
        struct producer_entry entry;

        ck_assert(log_producer(kit.log, 100 + i, &entry));
        ck_assert_int_eq(entry.last_seq, sequences[i] - 1);
    }
    expect_compacted(upto, false);
    int64_t with_markers = log_size_bytes(kit.log);

    for (int pass = 0; pass < 3; pass++) {
        kit.now_ms += 2000;
        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    }
    expect_compacted(upto, true);
    ck_assert_int_lt(log_size_bytes(kit.log), with_markers - 30 * BATCH_MARKER_BYTES);
    end(true);
}
END_TEST

START_TEST(a_batch_larger_than_the_buffer)
{
    struct rewrite_stats stats;

    begin(5);
    kit.conf.segment_bytes = 1 << 20;
    log_set_conf(kit.log, &kit.conf);
    append_batch(900, CODEC_NONE, -1, -1, false);
    append_batch(500, CODEC_ZSTD, -1, -1, false);
    append_batch(3, CODEC_NONE, -1, -1, false);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    expect_compacted(log_active_base(kit.log), false);
    end(true);
}
END_TEST

START_TEST(what_changes_nothing_writes_nothing)
{
    struct rewrite_stats stats;

    begin(9);
    append_some(RECORDS / 3);
    kit.conf.segment_bytes = 100; /* no merging */
    log_set_conf(kit.log, &kit.conf);
    for (int pass = 0; pass < 2; pass++) { /* the second puts empty segments together */
        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
        log_set_cleaned_upto(kit.log, 0);
    }
    size_t count = log_segment_count(kit.log);

    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    ck_assert_int_eq(stats.bytes_written, 0);
    ck_assert_uint_eq(log_segment_count(kit.log), count);
    expect_compacted(log_active_base(kit.log), false);
    for_each_name(expect_no_leftover);
    end(true);
}
END_TEST

START_TEST(a_range_from_before_two_passes_is_not_fresh)
{
    struct rewrite_stats stats;
    struct log_range range;
    int sequence = 0;

    begin(17);
    append_txn(100, &sequence, false);
    int64_t after = log_leo(kit.log);

    append_txn(100, &sequence, true); /* whose last batch then stays, not that of the aborted one */
    append_some(300);
    log_on_hw(kit.log, log_leo(kit.log));
    ck_assert_int_eq(log_read(kit.log, 0, log_leo(kit.log), 4000, true, &range), ERR_OK);
    ck_assert(log_range_is_fresh(&range));
    for (int pass = 0; pass < 2; pass++) {
        log_set_cleaned_upto(kit.log, 0);
        ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    }
    struct log_aborted *list;
    size_t count;

    ck_assert_int_eq(log_aborted_txns(kit.log, 0, after, &list, &count), ERR_OK);
    ck_assert_uint_eq(count, 0); /* the entry is gone, the range still has the records */
    ck_assert(!log_range_is_fresh(&range));
    ck_assert(log_range_is_valid(&range));
    log_range_done(&range);
    end(true);
}
END_TEST

/* --- while other things happen -------------------------------------------------------------------
 */

struct meddler {
    int at; /* before which call it strikes */
    void (*strike)(void);
};

static bool meddle(void *ctx, size_t bytes)
{
    struct meddler *meddler = ctx;

    (void)bytes;
    if (meddler->at-- == 0)
        meddler->strike();
    return true;
}

static void truncate_some(void)
{
    ck_assert_int_eq(log_truncate_to(kit.log, log_active_base(kit.log) - 30), ERR_OK);
}

static void start_over(void)
{
    ck_assert_int_eq(log_truncate_fully_and_start_at(kit.log, 5), ERR_OK);
}

static void grow(void)
{
    append_some(300);
}

static void cut_start(void)
{
    log_advance_start(kit.log, 400);
    log_retain(kit.log, log_leo(kit.log), kit.now_ms);
}

static void rename_log(void)
{
    log_abandon(kit.log);
    ck_assert_int_eq(log_rename(kit.log, "t-0.1234-delete"), ERR_OK);
}

/* Strikes at every step in turn; the log is whole after each. */
static void strike_everywhere(void (*strike)(void), bool gone)
{
    for (int at = 0;; at += 3) {
        struct meddler meddler = { .at = at, .strike = strike };
        struct rewrite_conf conf = small;
        struct rewrite_stats stats;

        begin(21);
        append_some(RECORDS / 3);
        conf.go_on = meddle;
        conf.ctx = &meddler;
        enum err err = compact(&conf, kit.now_ms, &stats);

        ck_assert_msg(err == ERR_OK || err == ERR_CLOSED, "%s", err_name(err));
        ck_assert(!log_is_offline(kit.log));
        if (!gone) {
            static bool there[2 * RECORDS];

            ck_assert_int_ge(log_kit_check(kit.log, false), 0);
            if (strike != start_over)
                read_all(kit.log, there);
            for_each_name(expect_no_leftover);
        }
        end(!gone);
        if (meddler.at >= 0)
            return; /* it was over before */
    }
}

START_TEST(a_truncation_meanwhile)
{
    strike_everywhere(truncate_some, false);
    strike_everywhere(start_over, false);
}
END_TEST

START_TEST(appends_and_rolls_meanwhile)
{
    strike_everywhere(grow, false);
}
END_TEST

START_TEST(a_new_start_meanwhile)
{
    strike_everywhere(cut_start, false);
}
END_TEST

START_TEST(deletion_meanwhile)
{
    strike_everywhere(rename_log, true);
}
END_TEST

static void flip(int fd, int at)
{
    uint8_t byte;
    size_t got;

    ck_assert_int_eq(disk_pread(kit.env.disk, fd, &byte, 1, at, &got), ERR_OK);
    byte ^= (uint8_t)(1 + at % 255);
    ck_assert_int_eq(disk_pwrite(kit.env.disk, fd, &byte, 1, at), ERR_OK);
}

START_TEST(a_damaged_batch_is_not_rewritten)
{
    struct rewrite_stats stats;
    struct buf buf = BUF_EMPTY;
    char path[64];
    int fd;

    begin(13);
    append_some(RECORDS / 3);
    ck_assert_int_eq(log_kit_read(kit.log, 0, INT64_MAX, &buf), ERR_OK);
    snprintf(path, sizeof path, "/d/t-0/%020d.log", 0);
    ck_assert_int_eq(disk_open(kit.env.disk, path, DISK_WRITE, &fd), ERR_OK);
    for (int at = 0; at < (int)batch_size(buf.bytes); at++) {
        if (at >= BATCH_POS_LEADER_EPOCH && at < BATCH_POS_MAGIC)
            continue; /* any will do */
        flip(fd, at);
        enum err err = compact(&small, kit.now_ms, &stats);

        ck_assert_msg(err == ERR_CORRUPT_MESSAGE || err == ERR_INVALID_RECORD, "byte %d: %s", at,
                      err_name(err));
        ck_assert_int_eq(log_cleaned_upto(kit.log), -1);
        flip(fd, at);
    }
    ck_assert_int_eq(compact(&small, kit.now_ms, &stats), ERR_OK);
    for_each_name(expect_no_leftover);
    disk_close(kit.env.disk, fd);
    buf_fini(&buf);
    end(true);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rewrite");

    say_set_level(SAY_ERROR);
    tcase_add_test(tc, recorded_log_gives_the_recorded_survivors);
    tcase_add_test(tc, recorded_log_with_short_delete_retention);
    tcase_add_test(tc, recorded_log_with_transactions);
    tcase_add_test(tc, second_pass_of_the_recorded_logs);
    tcase_add_test(tc, recorded_log_of_the_old_format);
    tcase_add_test(tc, the_newest_of_every_key_stays);
    tcase_add_test(tc, pass_after_pass_while_it_grows);
    tcase_add_test(tc, a_small_map_takes_several_passes);
    tcase_add_test(tc, transactions_lose_what_was_aborted_and_their_markers_later);
    tcase_add_test(tc, a_batch_larger_than_the_buffer);
    tcase_add_test(tc, what_changes_nothing_writes_nothing);
    tcase_add_test(tc, a_range_from_before_two_passes_is_not_fresh);
    tcase_add_test(tc, a_truncation_meanwhile);
    tcase_add_test(tc, appends_and_rolls_meanwhile);
    tcase_add_test(tc, a_new_start_meanwhile);
    tcase_add_test(tc, deletion_meanwhile);
    tcase_add_test(tc, a_damaged_batch_is_not_rewritten);
    return unit_run(tc);
}
