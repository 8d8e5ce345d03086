/*
 * filter: what stays of one batch, for every reason that a record, a marker or a batch has to stay
 * or to go; old formats included.
 */
#include "broker/log/clean/filter.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/wire/legacy.h"
#include "tests/kit/unit.h"

#define NOW_MS    1700000100000
#define STAMP_MS  1700000000000
#define RETAIN_MS 1000

static const uint8_t secret[16] = "a secret of 16 b";
static struct filter filter;
static struct keymap *map;
static struct txns txns;
static struct buf in;
static struct buf out;
static struct aborted_txn aborted;

static void start(void)
{
    map = keymap_new(1 << 16, 0.9);
    keymap_clear(map, secret, 0);
    txns_init(&txns);
    filter_init(&filter);
    filter.map = map;
    filter.txns = &txns;
    filter.now_ms = NOW_MS;
    filter.delete_retention_ms = RETAIN_MS;
    filter.map_end = 1000;
    in = out = BUF_EMPTY;
}

static void end(void)
{
    filter_fini(&filter);
    txns_fini(&txns);
    keymap_free(&map);
    buf_fini(&in);
    buf_fini(&out);
}

/* A batch of records "a1" (key a, value 1), "b-" (a delete marker), ".1" (no key). */
static void make(struct batch_conf conf, const char *const *records, int count)
{
    struct batch_builder builder;
    uint8_t *bytes;
    size_t size;

    batch_builder_init(&builder, &conf);
    for (int i = 0; i < count; i++)
        batch_builder_add(
            &builder, STAMP_MS + i, records[i][0] == '.' ? STR_NULL : (struct str){ records[i], 1 },
            records[i][1] == '-' ? STR_NULL : (struct str){ records[i] + 1, 1 }, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &bytes, &size), ERR_OK);
    in.len = 0;
    buf_put(&in, bytes, size);
    batch_builder_fini(&builder);
}

static struct batch_conf at(int64_t base_offset)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;

    conf.base_offset = base_offset;
    conf.leader_epoch = 4;
    return conf;
}

static struct batch_info pass(void)
{
    struct batch_info info;

    batch_info_read(in.bytes, &info);
    out.len = 0;
    ck_assert_int_eq(filter_batch(&filter, in.bytes, &info, &out, &aborted), ERR_OK);
    if (out.len == 0)
        return (struct batch_info){ .count = -1 };
    ck_assert_int_eq(batch_check(out.bytes, out.len), ERR_OK);
    batch_info_read(out.bytes, &info);
    ck_assert_uint_eq(info.size, out.len);
    return info;
}

/* What is in out: "0:a1 2:b-". */
static const char *left(void)
{
    static char text[256];
    struct record_iter iter;
    struct record record;
    struct buf scratch = BUF_EMPTY;

    text[0] = '\0';
    ck_assert_int_eq(record_iter_init(&iter, out.bytes, out.len, 1 << 20, &scratch), ERR_OK);
    while (record_next(&iter, &record) == ERR_OK) {
        size_t len = strlen(text);

        ck_assert_int_eq(record.timestamp, STAMP_MS + record.offset_delta);
        snprintf(text + len, sizeof text - len, "%s%d:%.*s%.*s", len > 0 ? " " : "",
                 (int)record.offset, STR_ARG(record.key),
                 str_is_null(record.value) ? 1 : (int)record.value.len,
                 str_is_null(record.value) ? "-" : record.value.ptr);
    }
    buf_fini(&scratch);
    return text;
}

static void map_in(void)
{
    struct batch_info info;

    batch_info_read(in.bytes, &info);
    filter_map_begin(&filter);
    ck_assert_int_eq(filter_map_batch(&filter, in.bytes, &info), ERR_OK);
    ck_assert_int_eq(filter_map_finish(&filter), ERR_OK);
}

#define MAKE(conf, ...)                                                                            \
    make(conf, (const char *const[]){ __VA_ARGS__ },                                               \
         (int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)))

START_TEST(a_batch_that_keeps_all_is_not_touched)
{
    struct batch_conf conf = at(10);

    conf.codec = CODEC_LZ4;
    MAKE(conf, "a1", "b2", "c3");
    map_in();
    pass();
    ck_assert_uint_eq(out.len, in.len);
    ck_assert_mem_eq(out.bytes, in.bytes, in.len);
}
END_TEST

START_TEST(older_records_of_a_key_go_and_the_batch_keeps_its_bounds)
{
    struct batch_conf conf = at(10);

    for (int codec = 0; codec < CODEC_COUNT; codec++) {
        conf.codec = (enum codec)codec;
        conf.producer_id = 9;
        conf.producer_epoch = 2;
        conf.base_sequence = 77;
        conf.transactional = false;
        MAKE(conf, "a1", "b2", "a3", "a4", "c5");
        keymap_clear(map, secret, 0);
        map_in();
        struct batch_info info = pass();

        ck_assert_str_eq(left(), "11:b2 13:a4 14:c5");
        ck_assert_int_eq(info.base_offset, 10);
        ck_assert_int_eq(info.last_offset, 14);
        ck_assert_int_eq(info.leader_epoch, 4);
        ck_assert_int_eq(info.producer_id, 9);
        ck_assert_int_eq(info.producer_epoch, 2);
        ck_assert_int_eq(info.base_sequence, 77);
        ck_assert_int_eq(info.last_sequence, 81);
        ck_assert_int_eq(info.codec, codec);
        ck_assert_int_eq(info.base_timestamp, STAMP_MS + 1);
        ck_assert_int_eq(info.max_timestamp, STAMP_MS + 4);
        ck_assert(!info.delete_horizon);
    }
}
END_TEST

START_TEST(below_the_dirty_part_the_map_is_asked_by_key)
{
    filter.first_dirty = 100;
    keymap_clear(map, secret, 100);
    MAKE(at(100), "a9");
    map_in();
    MAKE(at(10), "a1", "b2");
    pass();
    ck_assert_str_eq(left(), "11:b2");
}
END_TEST

START_TEST(beyond_the_map_everything_stays)
{
    filter.map_end = 11;
    MAKE(at(10), "a1", "a2", ".3");
    ck_assert(keymap_put(map, STR("a"), 10));
    struct batch_info info = pass();

    ck_assert_int_eq(info.count, 3);
    ck_assert_mem_eq(out.bytes, in.bytes, in.len);
    ck_assert_int_eq(filter.keyless, 0);
}
END_TEST

START_TEST(records_without_a_key_go)
{
    MAKE(at(10), ".1", "a2", ".3");
    map_in();
    pass();
    ck_assert_str_eq(left(), "11:a2");
    ck_assert_int_eq(filter.keyless, 2);
}
END_TEST

START_TEST(nothing_left_is_nothing_written)
{
    MAKE(at(20), "a1");
    map_in();
    MAKE(at(10), "a1", "a2");
    ck_assert_int_eq(pass().count, -1);
}
END_TEST

START_TEST(a_delete_marker_gets_a_horizon_and_goes_when_it_has_passed)
{
    MAKE(at(10), "a-", "b2");
    map_in();
    struct batch_info info = pass();

    ck_assert_str_eq(left(), "10:a- 11:b2");
    ck_assert(info.delete_horizon);
    ck_assert_int_eq(info.base_timestamp, NOW_MS + RETAIN_MS);
    ck_assert_int_eq(info.max_timestamp, STAMP_MS + 1);
    in.len = 0;
    buf_put(&in, out.bytes, out.len);
    filter.now_ms += RETAIN_MS - 1; /* not yet; the horizon does not move */
    pass();
    ck_assert_uint_eq(out.len, in.len);
    ck_assert_mem_eq(out.bytes, in.bytes, in.len);
    filter.now_ms++;
    info = pass();
    ck_assert_str_eq(left(), "11:b2");
    ck_assert_int_eq(info.base_timestamp, NOW_MS + RETAIN_MS); /* as Kafka keeps it */
    ck_assert_int_eq(info.base_offset, 10);
}
END_TEST

START_TEST(log_append_time_is_kept)
{
    struct batch_conf conf = at(10);

    conf.append_time = STAMP_MS + 500;
    MAKE(conf, "a1", "a2");
    map_in();
    struct batch_info info = pass();

    ck_assert(info.append_time);
    ck_assert_int_eq(info.count, 1);
    ck_assert_int_eq(info.max_timestamp, STAMP_MS + 500);
}
END_TEST

START_TEST(a_producers_last_batch_stays_empty)
{
    static const struct filter_producer producers[] = { { 3, 40, 0 }, { 9, 11, 1 }, { 12, -1, 5 } };
    struct batch_conf conf = at(10);

    filter.producers = producers;
    filter.producer_count = 3;
    MAKE(at(20), "a1");
    map_in();
    conf.producer_id = 9;
    conf.producer_epoch = 1;
    conf.base_sequence = 4;
    conf.codec = CODEC_ZSTD;
    MAKE(conf, "a1", "a2");
    struct batch_info info = pass();

    ck_assert_int_eq(info.count, 0);
    ck_assert_uint_eq(info.size, BATCH_HEADER_BYTES);
    ck_assert_int_eq(info.base_offset, 10);
    ck_assert_int_eq(info.last_offset, 11);
    ck_assert_int_eq(info.last_sequence, 5);
    ck_assert_int_eq(info.max_timestamp, STAMP_MS + 1);
    ck_assert_int_eq(info.codec, CODEC_NONE);
    in.len = 0;
    buf_put(&in, out.bytes, out.len); /* and again */
    ck_assert_int_eq(pass().count, 0);
    conf.base_offset = 8; /* not its last */
    MAKE(conf, "a1", "a2");
    ck_assert_int_eq(pass().count, -1);
}
END_TEST

START_TEST(damage_is_not_passed_on)
{
    struct batch_info info;

    MAKE(at(10), "a1", "a2");
    map_in();
    in.bytes[in.len - 2] ^= 1;
    batch_info_read(in.bytes, &info);
    ck_assert_int_eq(filter_batch(&filter, in.bytes, &info, &out, &aborted), ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(filter_map_batch(&filter, in.bytes, &info), ERR_CORRUPT_MESSAGE);
}
END_TEST

START_TEST(a_full_map_ends_in_the_middle_of_a_batch)
{
    struct batch_info info;
    struct keymap *tiny = keymap_new(3 * 24, 0.9);

    keymap_clear(tiny, secret, 0);
    filter.map = tiny;
    MAKE(at(10), "a1", "b2", "a3", "c4", "a5");
    batch_info_read(in.bytes, &info);
    filter_map_begin(&filter);
    enum err err = filter_map_batch(&filter, in.bytes, &info);

    if (err == ERR_OK)
        err = filter_map_finish(&filter);
    ck_assert_int_eq(err, ERR_EXISTS);
    ck_assert_int_eq(filter.map_end, 13);
    pass();
    ck_assert_str_eq(left(), "11:b2 12:a3 13:c4 14:a5");
    keymap_free(&tiny);
}
END_TEST

/* --- magic 0 and 1 -------------------------------------------------------------------------------
 */

static void make_legacy(int magic, enum codec codec, int64_t base)
{
    struct buf inner = BUF_EMPTY;

    in.len = 0;
    for (int i = 0; i < 4; i++) {
        char key[2] = { "aba."[i], 0 };

        legacy_put(codec == CODEC_NONE ? &in : &inner, magic,
                   codec != CODEC_NONE && magic == 1 ? i : base + i, STAMP_MS + i, false,
                   key[0] == '.' ? STR_NULL : str_of(key), i == 1 ? STR_NULL : STR("value"));
    }
    if (codec != CODEC_NONE)
        ck_assert_int_eq(legacy_wrap(&in, magic, codec, base + 3, STAMP_MS + 3, false, &inner),
                         ERR_OK);
    buf_fini(&inner);
}

static const char *pass_legacy(void)
{
    static char text[256];
    struct buf scratch = BUF_EMPTY;
    size_t size;

    text[0] = '\0';
    out.len = 0;
    for (size_t pos = 0; pos < in.len; pos += size) {
        struct batch_info info;

        ck_assert_int_eq(batch_peek(in.bytes + pos, in.len - pos, &size), ERR_OK);
        batch_info_read(in.bytes + pos, &info);
        ck_assert_int_eq(filter_batch(&filter, in.bytes + pos, &info, &out, &aborted), ERR_OK);
    }
    for (size_t pos = 0; pos < out.len; pos += size) {
        struct legacy_iter iter;
        struct legacy_message message;

        ck_assert_int_eq(batch_peek(out.bytes + pos, out.len - pos, &size), ERR_OK);
        ck_assert_int_eq(batch_check(out.bytes + pos, size), ERR_OK);
        ck_assert_int_eq(legacy_iter_init(&iter, out.bytes + pos, size, 1 << 20, &scratch), ERR_OK);
        while (legacy_next(&iter, &message) == ERR_OK) {
            size_t len = strlen(text);

            snprintf(text + len, sizeof text - len, "%s%d:%.*s%s", len > 0 ? " " : "",
                     (int)message.offset, STR_ARG(message.key),
                     str_is_null(message.value) ? "-" : "");
            ck_assert(batch_magic(out.bytes + pos) == 0 ||
                      message.timestamp == STAMP_MS + message.offset - 10);
        }
    }
    buf_fini(&scratch);
    return text;
}

START_TEST(old_formats_are_compacted_in_their_own)
{
    static const enum codec codecs[] = { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4 };

    for (int magic = 0; magic < 2; magic++)
        for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
            struct batch_info info;
            size_t size;

            make_legacy(magic, codecs[i], 10);
            keymap_clear(map, secret, 0);
            filter_map_begin(&filter);
            for (size_t pos = 0; pos < in.len; pos += size) {
                ck_assert_int_eq(batch_peek(in.bytes + pos, in.len - pos, &size), ERR_OK);
                batch_info_read(in.bytes + pos, &info);
                ck_assert_int_eq(filter_map_batch(&filter, in.bytes + pos, &info), ERR_OK);
            }
            ck_assert_int_eq(filter_map_finish(&filter), ERR_OK);
            filter.keep_legacy_deletes = true;
            ck_assert_str_eq(pass_legacy(), "11:b- 12:a");
            filter.keep_legacy_deletes = false;
            ck_assert_str_eq(pass_legacy(), "12:a");
        }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("filter");

    tcase_add_checked_fixture(tc, start, end);
    tcase_add_test(tc, a_batch_that_keeps_all_is_not_touched);
    tcase_add_test(tc, older_records_of_a_key_go_and_the_batch_keeps_its_bounds);
    tcase_add_test(tc, below_the_dirty_part_the_map_is_asked_by_key);
    tcase_add_test(tc, beyond_the_map_everything_stays);
    tcase_add_test(tc, records_without_a_key_go);
    tcase_add_test(tc, nothing_left_is_nothing_written);
    tcase_add_test(tc, a_delete_marker_gets_a_horizon_and_goes_when_it_has_passed);
    tcase_add_test(tc, log_append_time_is_kept);
    tcase_add_test(tc, a_producers_last_batch_stays_empty);
    tcase_add_test(tc, damage_is_not_passed_on);
    tcase_add_test(tc, a_full_map_ends_in_the_middle_of_a_batch);
    tcase_add_test(tc, old_formats_are_compacted_in_their_own);
    return unit_run(tc);
}
