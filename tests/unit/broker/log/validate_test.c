/*
 * validate: each rule by a batch that breaks it alone, which error wins when two are broken, and
 * what becomes of a good batch: untouched, stamped, transcoded, converted.
 */
#include "broker/log/validate.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

#define NOW  INT64_C(1700000000000)
#define HOUR INT64_C(3600000)

static struct arena arena;
static struct validate_conf conf;
static struct batch_conf shape;
static struct validated validated;
static struct batch_builder builder;
static uint8_t *batch;
static size_t size;

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
    conf = VALIDATE_CONF_DEFAULT;
    shape = BATCH_CONF_PLAIN;
    batch_builder_init(&builder, &shape);
}

static void teardown(void)
{
    batch_builder_fini(&builder);
    arena_fini(&arena);
}

/* Three records of keys a, b, c, a second apart, the last one NOW. */
static void build(enum codec codec)
{
    shape.codec = codec;
    batch_builder_reset(&builder, &shape);
    batch_builder_add(&builder, NOW - 2000, STR("a"), STR("one"), NULL, 0);
    batch_builder_add(&builder, NOW - 1000, STR("b"), STR_NULL, NULL, 0);
    batch_builder_add(&builder, NOW, STR("c"), STR("three"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
}

static enum err validate_as(int version, uint8_t *bytes, size_t len)
{
    enum err err = validate_batches(bytes, len, (int16_t)version, &conf, NOW, &arena, &validated);

    if (err != ERR_OK) {
        ck_assert(!str_is_null(validated.error_message));
        ck_assert_ptr_null(validated.bytes);
    }
    return err;
}

static enum err validate(void)
{
    return validate_as(9, batch, size);
}

/* Seals what a test has changed, as a client would that means it. */
static enum err validate_sealed(void)
{
    batch_seal(batch, size);
    return validate();
}

/* The result holds the three records of build(). */
static void assert_holds_three(enum codec codec)
{
    static const char *const keys[] = { "a", "b", "c" };
    struct buf scratch = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    size_t got;
    int i = 0;

    ck_assert_int_eq(batch_peek(validated.bytes, validated.len, &got), ERR_OK);
    ck_assert_uint_eq(got, validated.len);
    ck_assert_int_eq(batch_check(validated.bytes, validated.len), ERR_OK);
    ck_assert_int_eq(batch_codec(validated.bytes), codec);
    ck_assert_int_eq(record_iter_init(&iter, validated.bytes, validated.len, 1 << 20, &scratch),
                     ERR_OK);
    for (; record_next(&iter, &record) == ERR_OK; i++) {
        ck_assert_int_eq(record.offset_delta, i);
        ck_assert(str_is(record.key, keys[i]));
    }
    ck_assert_int_eq(i, 3);
    buf_fini(&scratch);
}

START_TEST(a_good_batch_stays_in_place_bit_by_bit)
{
    build((enum codec)_i);
    uint8_t *before = xmemdup(batch, size);

    ck_assert_int_eq(validate(), ERR_OK);
    ck_assert(validated.in_place);
    ck_assert_ptr_eq(validated.bytes, batch);
    ck_assert_mem_eq(batch, before, size);
    ck_assert_int_eq(validated.info.last_offset, 2);
    ck_assert_int_eq(validated.info.max_timestamp, NOW);
    validate_stamp(&validated, 1000, 5, NOW + 50);
    ck_assert_mem_eq(batch + 16, before + 16, size - 16);
    ck_assert_int_eq(batch_base_offset(batch), 1000);
    ck_assert_int_eq(batch_leader_epoch(batch), 5);
    ck_assert_int_eq(validated.info.last_offset, 1002);
    assert_holds_three((enum codec)_i);
    free(before);
}
END_TEST

START_TEST(append_time_is_the_time_of_the_stamp)
{
    conf.append_time = true;
    build(CODEC_GZIP);
    ck_assert_int_eq(validate(), ERR_OK);
    ck_assert(validated.in_place);
    validate_stamp(&validated, 7, 1, NOW + 50);
    ck_assert_int_eq(batch_max_timestamp(batch), NOW + 50);
    ck_assert(batch_is(batch, BATCH_APPEND_TIME));
    ck_assert_int_eq(validated.info.max_timestamp, NOW + 50);
    assert_holds_three(CODEC_GZIP);
}
END_TEST

START_TEST(a_wrong_max_timestamp_is_corrected)
{
    build(CODEC_NONE);
    store_i64(batch + BATCH_POS_MAX_TIMESTAMP, NOW + 123);
    ck_assert_int_eq(validate_sealed(), ERR_OK);
    ck_assert_int_eq(batch_max_timestamp(batch), NOW);
    assert_holds_three(CODEC_NONE);
}
END_TEST

START_TEST(transcodes_to_the_topics_codec_and_keeps_the_producer)
{
    for (enum codec from = CODEC_NONE; from < CODEC_COUNT; from++) {
        for (enum codec to = CODEC_NONE; to < CODEC_COUNT; to++) {
            conf.compression = (int)to;
            shape.producer_id = 77;
            shape.producer_epoch = 3;
            shape.base_sequence = 10;
            shape.transactional = true;
            build(from);
            ck_assert_int_eq(validate(), ERR_OK);
            ck_assert_int_eq(validated.in_place, from == to);
            assert_holds_three(to);
            ck_assert_int_eq(validated.info.producer_id, 77);
            ck_assert_int_eq(validated.info.producer_epoch, 3);
            ck_assert_int_eq(validated.info.last_sequence, 12);
            ck_assert(validated.info.transactional);
            ck_assert_int_eq(validated.info.max_timestamp, NOW);
        }
    }
}
END_TEST

/* Bytes of many records that are compressed anew by the conf. */
static size_t compressed_bytes(enum codec codec)
{
    char value[200];
    unsigned word = 1;

    conf.compression = (int)codec;
    batch_builder_reset(&builder, &shape);
    for (int i = 0; i < 2000; i++) {
        for (size_t at = 0; at < sizeof value; at++) { /* words of a small vocabulary */
            if (at % 5 == 0)
                word = word * 1103515245 + 12345;
            value[at] = (char)('a' + (word >> 16) % 37 * (at % 5 + 1) % 26);
        }
        batch_builder_add(&builder, NOW, STR("k"), (struct str){ value, sizeof value }, NULL, 0);
    }
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    ck_assert_int_eq(validate(), ERR_OK);
    ck_assert_int_eq(batch_codec(validated.bytes), codec);
    return validated.len;
}

/* compression.gzip.level and its like: more effort, fewer bytes, and each codec has its own. */
START_TEST(every_codec_has_a_level_of_its_own)
{
    conf.gzip_level = 1;
    conf.lz4_level = 1;
    conf.zstd_level = 1;
    size_t gzip = compressed_bytes(CODEC_GZIP);
    size_t lz4 = compressed_bytes(CODEC_LZ4);
    size_t zstd = compressed_bytes(CODEC_ZSTD);

    conf.gzip_level = 9;
    ck_assert_uint_lt(compressed_bytes(CODEC_GZIP), gzip);
    ck_assert_uint_eq(compressed_bytes(CODEC_LZ4), lz4);
    conf.lz4_level = 12;
    ck_assert_uint_lt(compressed_bytes(CODEC_LZ4), lz4);
    ck_assert_uint_eq(compressed_bytes(CODEC_ZSTD), zstd);
    conf.zstd_level = 15;
    ck_assert_uint_lt(compressed_bytes(CODEC_ZSTD), zstd);
}
END_TEST

START_TEST(offset_deltas_that_do_not_count_are_mended)
{
    struct record_iter iter;
    struct record record;
    struct batch_builder other;

    build(CODEC_NONE);
    shape.codec = (enum codec)_i;
    batch_builder_init(&other, &shape);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, 0, NULL), ERR_OK);
    for (int32_t delta = 4; record_next(&iter, &record) == ERR_OK; delta += 2)
        batch_builder_copy(&other, delta, &record);
    ck_assert_int_eq(batch_builder_finish(&other, -1, &batch, &size), ERR_OK);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 2);
    ck_assert_int_eq(validate_sealed(), ERR_OK);
    ck_assert(!validated.in_place);
    assert_holds_three((enum codec)_i);
    batch_builder_fini(&other);
}
END_TEST

START_TEST(the_request_must_hold_one_whole_batch_of_format_2)
{
    struct buf two = BUF_EMPTY;

    build(CODEC_NONE);
    ck_assert_int_eq(validate_as(9, NULL, 0), ERR_INVALID_RECORD);
    ck_assert_int_eq(validate_as(9, batch, 0), ERR_INVALID_RECORD);
    ck_assert_int_eq(validate_as(9, batch, size - 1), ERR_INVALID_RECORD);
    buf_put(&two, batch, size);
    buf_put(&two, batch, size);
    ck_assert_int_eq(validate_as(9, two.bytes, two.len), ERR_INVALID_RECORD);
    ck_assert_int_eq(validate_as(9, two.bytes, two.len - 1), ERR_OK); /* the tail is ignored */
    ck_assert_int_eq(validate_as(2, two.bytes, two.len), ERR_INVALID_RECORD);
    two.len = 0;
    legacy_put(&two, 1, 0, NOW, false, STR("k"), STR("v"));
    ck_assert_int_eq(validate_as(3, two.bytes, two.len), ERR_INVALID_RECORD);
    ck_assert_int_eq(validate_as(2, two.bytes, two.len), ERR_OK);
    buf_fini(&two);
    batch[BATCH_POS_MAGIC] = 9;
    ck_assert_int_eq(validate(), ERR_CORRUPT_MESSAGE);
}
END_TEST

START_TEST(zstd_needs_version_7)
{
    build(CODEC_ZSTD);
    ck_assert_int_eq(validate_as(6, batch, size), ERR_UNSUPPORTED_COMPRESSION_TYPE);
    ck_assert_int_eq(validate_as(7, batch, size), ERR_OK);
}
END_TEST

START_TEST(base_offset_before_size_before_checksum)
{
    build(CODEC_NONE);
    batch[size - 1] ^= 1;
    ck_assert_int_eq(validate(), ERR_CORRUPT_MESSAGE);
    conf.max_message_bytes = (int32_t)size - 1;
    ck_assert_int_eq(validate(), ERR_MESSAGE_TOO_LARGE);
    store_i64(batch, 1);
    ck_assert_int_eq(validate(), ERR_INVALID_RECORD);
    batch[size - 1] ^= 1;
    conf.max_message_bytes = (int32_t)size;
    store_i64(batch, 0);
    ck_assert_int_eq(validate(), ERR_OK);
}
END_TEST

START_TEST(header_fields_must_make_sense)
{
    build(CODEC_NONE);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 3);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, -1);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_COUNT, 0);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    build(CODEC_NONE);
    store_i16(batch + BATCH_POS_ATTRIBUTES, BATCH_CONTROL);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    conf.ours = true;
    ck_assert_int_eq(validate_sealed(), ERR_OK);
    conf.ours = false;
    build(CODEC_NONE);
    store_i64(batch + BATCH_POS_PRODUCER_ID, 5);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    build(CODEC_NONE);
    store_i16(batch + BATCH_POS_ATTRIBUTES, 5); /* no such codec */
    ck_assert_int_eq(validate_sealed(), ERR_UNKNOWN_SERVER_ERROR);
}
END_TEST

START_TEST(records_must_fill_the_batch)
{
    build(CODEC_NONE);
    store_i32(batch + BATCH_POS_COUNT, 4);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 3);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_COUNT, 2);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 1);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    conf.compacted = true;
    batch_builder_reset(&builder, &shape);
    batch_builder_add(&builder, NOW, STR_NULL, STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    store_i32(batch + BATCH_POS_COUNT, 2);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 1);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
    ck_assert_uint_eq(validated.record_error_count, 0); /* though the key is missing, too */
    conf.compacted = false;
    build(CODEC_LZ4);
    store_i32(batch + BATCH_POS_COUNT, 4);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, 3);
    ck_assert_int_eq(validate_sealed(), ERR_INVALID_RECORD);
}
END_TEST

START_TEST(damaged_compression_is_no_reason_to_send_again)
{
    build(CODEC_ZSTD);
    batch[BATCH_HEADER_BYTES] ^= 0xff;
    ck_assert_int_eq(validate_sealed(), ERR_UNKNOWN_SERVER_ERROR);
    build(CODEC_GZIP);
    conf.plain_bytes_max = 8;
    ck_assert_int_eq(validate(), ERR_MESSAGE_TOO_LARGE);
}
END_TEST

START_TEST(compacted_topics_need_keys_and_every_lack_is_listed)
{
    conf.compacted = true;
    build((enum codec)_i);
    ck_assert_int_eq(validate(), ERR_OK);
    batch_builder_reset(&builder, &shape);
    for (int i = 0; i < 40; i++)
        batch_builder_add(&builder, NOW, i % 2 ? STR_NULL : STR("k"), STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    ck_assert_int_eq(validate(), ERR_INVALID_RECORD);
    ck_assert_uint_eq(validated.record_error_count, 20);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(validated.record_errors[i].batch_index, 2 * i + 1);
        ck_assert_uint_gt(validated.record_errors[i].message.len, 0);
    }
}
END_TEST

START_TEST(of_many_bad_records_the_first_are_listed_and_all_counted)
{
    conf.append_time = _i == 1;
    conf.compacted = _i == 2;
    conf.errors_max = 100;
    batch_builder_reset(&builder, &shape);
    for (int i = 0; i < 1000; i++)
        batch_builder_add(&builder, NOW + 2 * HOUR, STR_NULL, STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    if (_i == 1)
        batch_set_max_timestamp(batch, size, true, NOW);
    ck_assert_int_eq(validate(), _i == 2 ? ERR_INVALID_RECORD : ERR_INVALID_TIMESTAMP);
    if (_i == 2)
        ck_assert(str_eq(validated.error_message, STR("1000 records of the batch are not "
                                                      "acceptable")));
    ck_assert_uint_eq(validated.record_error_count, 100);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(validated.record_errors[i].batch_index, i);
        ck_assert_uint_gt(validated.record_errors[i].message.len, 0);
    }
    conf.errors_max = 0;
    ck_assert_int_eq(validate(), _i == 2 ? ERR_INVALID_RECORD : ERR_INVALID_TIMESTAMP);
    ck_assert_uint_eq(validated.record_error_count, 0);
}
END_TEST

/* One record of this time, null key. */
static enum err validate_time(int64_t timestamp)
{
    batch_builder_reset(&builder, &shape);
    batch_builder_add(&builder, timestamp, STR_NULL, STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    return validate();
}

START_TEST(times_must_be_near_the_brokers)
{
    ck_assert_int_eq(validate_time(0), ERR_OK); /* before.max is unlimited by default */
    ck_assert_int_eq(validate_time(-1), ERR_OK);
    ck_assert_int_eq(validated.info.max_timestamp, -1);
    ck_assert_int_eq(validate_time(NOW + HOUR), ERR_OK);
    ck_assert_int_eq(validate_time(NOW + HOUR + 1), ERR_INVALID_TIMESTAMP);
    ck_assert_uint_eq(validated.record_error_count, 1);
    ck_assert_int_eq(validate_time(INT64_MAX), ERR_INVALID_TIMESTAMP);
    conf.before_max_ms = HOUR;
    ck_assert_int_eq(validate_time(NOW - HOUR), ERR_OK);
    ck_assert_int_eq(validate_time(NOW - HOUR - 1), ERR_INVALID_TIMESTAMP);
    ck_assert_int_eq(validate_time(INT64_MIN), ERR_INVALID_TIMESTAMP);
    ck_assert_int_eq(validate_time(-1), ERR_OK);
    conf.append_time = true;
    ck_assert_int_eq(validate_time(0), ERR_OK);
}
END_TEST

START_TEST(a_timestamp_error_outranks_a_key_error)
{
    conf.compacted = true;
    batch_builder_reset(&builder, &shape);
    batch_builder_add(&builder, NOW, STR_NULL, STR("v"), NULL, 0);
    batch_builder_add(&builder, NOW + 2 * HOUR, STR("k"), STR("v"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    ck_assert_int_eq(validate(), ERR_INVALID_TIMESTAMP);
    ck_assert_uint_eq(validated.record_error_count, 2);
}
END_TEST

START_TEST(only_the_leader_sets_append_time)
{
    build(CODEC_NONE);
    batch_set_max_timestamp(batch, size, true, NOW);
    ck_assert_int_eq(validate(), ERR_OK); /* within range on a CreateTime topic: the bit goes */
    ck_assert(!batch_is(batch, BATCH_APPEND_TIME));
    batch_set_max_timestamp(batch, size, true, NOW);
    conf.append_time = true;
    ck_assert_int_eq(validate(), ERR_INVALID_TIMESTAMP);
    ck_assert_uint_eq(validated.record_error_count, 3);
}
END_TEST

START_TEST(a_batch_that_grows_is_measured_again)
{
    build(CODEC_NONE);
    conf.max_message_bytes = (int32_t)size;
    conf.compression = CODEC_GZIP; /* too little to gain */
    ck_assert_int_eq(validate(), ERR_MESSAGE_TOO_LARGE);
}
END_TEST

START_TEST(old_formats_are_converted)
{
    struct buf set = BUF_EMPTY;

    for (int magic = 0; magic <= 1; magic++) {
        for (int target = VALIDATE_KEEP_CODEC; target < CODEC_COUNT; target++) {
            conf.compression = target;
            build((enum codec)_i);
            set.len = 0;
            ck_assert_int_eq(legacy_down(batch, size, magic, 0, 1 << 20, &set), ERR_OK);
            ck_assert_int_eq(validate_as(magic + 1, set.bytes, set.len), ERR_OK);
            ck_assert(!validated.in_place);
            assert_holds_three(target == VALIDATE_KEEP_CODEC ? (enum codec)_i : (enum codec)target);
            ck_assert_int_eq(validated.info.max_timestamp, magic == 0 ? -1 : NOW);
            ck_assert_int_eq(validated.info.count, 3);
        }
    }
    buf_fini(&set);
}
END_TEST

/* Who has no time for it: nothing is done, and what it becomes is known to have been too much. */
static void refuse_and_take(int version, uint8_t *bytes, size_t len)
{
    uint8_t *before = arena_dup(&arena, bytes, len);
    size_t packed = conf.unpack_max;

    ck_assert_int_eq(validate_batches(bytes, len, (int16_t)version, &conf, NOW, &arena, &validated),
                     ERR_NOT_READY);
    ck_assert_mem_eq(bytes, before, len);
    ck_assert_ptr_null(validated.bytes);
    conf.unpack_max = 0;
    ck_assert_int_eq(validate_as(version, bytes, len), ERR_OK);
    ck_assert_uint_gt(validated.unpacked, packed);
    conf.unpack_max = validated.unpacked;
    ck_assert_int_eq(validate_as(version, bytes, len), ERR_OK);
    conf.unpack_max = packed;
}

START_TEST(what_would_take_long_to_unpack_is_left_alone)
{
    struct buf set = BUF_EMPTY;

    conf.unpack_max = 8;
    build(CODEC_NONE);
    ck_assert_int_eq(validate(), ERR_OK);
    build((enum codec)_i);
    for (int magic = 0; magic <= 1; magic++) {
        set.len = 0;
        ck_assert_int_eq(legacy_down(batch, size, magic, 0, 1 << 20, &set), ERR_OK);
        refuse_and_take(magic + 1, set.bytes, set.len);
    }
    refuse_and_take(9, batch, size);
    conf.plain_bytes_max = 4; /* it is too large for whoever has time, too */
    ck_assert_int_eq(validate(), ERR_MESSAGE_TOO_LARGE);
    buf_fini(&set);
}
END_TEST

START_TEST(damage_costs_what_was_unpacked_before_it)
{
    static char noise[200000];
    uint32_t seed = 1;

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)((seed = seed * 1664525 + 1013904223) >> 24);
    shape.codec = (enum codec)_i;
    batch_builder_reset(&builder, &shape);
    batch_builder_add(&builder, NOW, STR("k"), (struct str){ noise, sizeof noise }, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    size -= 100; /* what is compressed ends too early */
    store_be32(batch + BATCH_POS_LENGTH, (uint32_t)(size - BATCH_PREFIX_BYTES));
    ck_assert_int_eq(validate_sealed(), ERR_UNKNOWN_SERVER_ERROR);
    ck_assert_uint_gt(validated.unpacked, sizeof noise / 2);
}
END_TEST

START_TEST(old_formats_do_not_mix)
{
    struct buf set = BUF_EMPTY;

    legacy_put(&set, 0, 0, -1, false, STR("k"), STR("v"));
    legacy_put(&set, 1, 1, NOW, false, STR("k"), STR("v"));
    ck_assert_int_eq(validate_as(2, set.bytes, set.len), ERR_INVALID_RECORD);
    ck_assert_int_eq(validate_as(2, NULL, 0), ERR_OK); /* nothing to append */
    ck_assert_ptr_null(validated.bytes);
    buf_fini(&set);
}
END_TEST

static void add_all(TCase *tc)
{
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_good_batch_stays_in_place_bit_by_bit, CODEC_NONE, CODEC_COUNT);
    tcase_add_test(tc, append_time_is_the_time_of_the_stamp);
    tcase_add_test(tc, a_wrong_max_timestamp_is_corrected);
    tcase_add_test(tc, transcodes_to_the_topics_codec_and_keeps_the_producer);
    tcase_add_test(tc, every_codec_has_a_level_of_its_own);
    tcase_add_loop_test(tc, offset_deltas_that_do_not_count_are_mended, CODEC_NONE, CODEC_COUNT);
    tcase_add_test(tc, the_request_must_hold_one_whole_batch_of_format_2);
    tcase_add_test(tc, zstd_needs_version_7);
    tcase_add_test(tc, base_offset_before_size_before_checksum);
    tcase_add_test(tc, header_fields_must_make_sense);
    tcase_add_test(tc, records_must_fill_the_batch);
    tcase_add_test(tc, damaged_compression_is_no_reason_to_send_again);
    tcase_add_loop_test(tc, of_many_bad_records_the_first_are_listed_and_all_counted, 0, 3);
    tcase_add_loop_test(tc, compacted_topics_need_keys_and_every_lack_is_listed, CODEC_NONE,
                        CODEC_COUNT);
    tcase_add_test(tc, times_must_be_near_the_brokers);
    tcase_add_test(tc, a_timestamp_error_outranks_a_key_error);
    tcase_add_test(tc, only_the_leader_sets_append_time);
    tcase_add_test(tc, a_batch_that_grows_is_measured_again);
    tcase_add_loop_test(tc, old_formats_are_converted, CODEC_NONE, CODEC_ZSTD);
    tcase_add_loop_test(tc, what_would_take_long_to_unpack_is_left_alone, CODEC_GZIP, CODEC_ZSTD);
    tcase_add_loop_test(tc, damage_costs_what_was_unpacked_before_it, CODEC_GZIP, CODEC_COUNT);
    tcase_add_test(tc, old_formats_do_not_mix);
}

int main(void)
{
    TCase *tc = tcase_create("validate");

    add_all(tc);
    return unit_run(tc);
}
