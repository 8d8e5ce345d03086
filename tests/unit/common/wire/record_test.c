/*
 * record: the reference's batches built byte for byte, and every way in which the bytes of records
 * can disagree with what the header or a length says.
 */
#include "common/wire/record.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "tests/kit/unit.h"

#define T0 INT64_C(1700000000000)

static const char two_records[] =
    "000000000000000000000045ffffffff02436a6ba20000000000010000018bcfe568000000018bcfe568"
    "05ffffffffffffffffffffffffffff000000020e0000000102760016000a02026b010202680278";
static const char commit_marker[] =
    "000000000000000000000042ffffffff02fc84b0340030000000000000018bcfe568000000018bcfe568"
    "0000000000000003e80000ffffffff000000012000000008000000010c00000000000500";

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    ck_assert_uint_eq(len, strlen(hex) / 2);
    for (size_t i = 0; i < len; i++) {
        char digits[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        ck_assert_msg(bytes[i] == strtoul(digits, NULL, 16), "byte %zu differs", i);
    }
}

/* The second vector in any codec: (null, v), then (k, null) with header h=x, 5 ms later. */
static void build_two(struct batch_builder *builder, enum codec codec, uint8_t **batch,
                      size_t *size)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct record_header header = { STR("h"), STR("x") };

    conf.codec = codec;
    batch_builder_init(builder, &conf);
    batch_builder_add(builder, T0, STR_NULL, STR("v"), NULL, 0);
    batch_builder_add(builder, T0 + 5, STR("k"), STR_NULL, &header, 1);
    ck_assert_int_eq(batch_builder_finish(builder, -1, batch, size), ERR_OK);
}

START_TEST(builds_the_vectors)
{
    struct batch_builder builder;
    uint8_t marker[BATCH_MARKER_BYTES];
    uint8_t *batch;
    size_t size;

    build_two(&builder, CODEC_NONE, &batch, &size);
    assert_hex(batch, size, two_records);
    batch_builder_fini(&builder);
    batch_marker_write(marker, true, 1000, 0, 5, T0);
    assert_hex(marker, sizeof marker, commit_marker);
}
END_TEST

START_TEST(reads_back_what_was_built)
{
    struct batch_builder builder;
    struct buf scratch = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    struct record_header header;
    uint8_t *batch;
    size_t size;

    build_two(&builder, (enum codec)_i, &batch, &size);
    ck_assert_int_eq(batch_check(batch, size), ERR_OK);
    batch_stamp(batch, 100, 1);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, 1024, &scratch), ERR_OK);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    ck_assert_int_eq(record.offset, 100);
    ck_assert_int_eq(record.timestamp, T0);
    ck_assert(str_is_null(record.key));
    ck_assert(str_is(record.value, "v"));
    ck_assert_int_eq(record.header_count, 0);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    ck_assert_int_eq(record.offset, 101);
    ck_assert_int_eq(record.timestamp, T0 + 5);
    ck_assert(str_is_null(record.value));
    ck_assert_int_eq(record.header_count, 1);
    ck_assert(record_header_next(&record.headers, &header));
    ck_assert(str_is(header.key, "h") && str_is(header.value, "x"));
    ck_assert(!record_header_next(&record.headers, &header));
    ck_assert_int_eq(record_next(&iter, &record), ERR_NOT_FOUND);
    buf_fini(&scratch);
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(append_time_overrides_every_record)
{
    struct batch_builder builder;
    struct record_iter iter;
    struct record record;
    uint8_t *batch;
    size_t size;

    build_two(&builder, CODEC_NONE, &batch, &size);
    batch_set_max_timestamp(batch, size, true, T0 + 77);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, 0, NULL), ERR_OK);
    while (record_next(&iter, &record) == ERR_OK)
        ck_assert_int_eq(record.timestamp, T0 + 77);
    batch_builder_fini(&builder);
}
END_TEST

static enum err read_to_the_end(const uint8_t *batch, size_t size)
{
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, size, 0, NULL);

    while (err == ERR_OK)
        err = record_next(&iter, &record);
    return err;
}

START_TEST(no_changed_length_gets_through)
{
    /* Positions of lengths and counts in the second vector, after the header. */
    static const size_t lengths[] = { 0, 4, 5, 7, 8, 12, 14, 15, 16, 18 };
    struct batch_builder builder;
    uint8_t *batch;
    size_t size;

    build_two(&builder, CODEC_NONE, &batch, &size);
    ck_assert_int_eq(read_to_the_end(batch, size), ERR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        uint8_t *at = batch + BATCH_HEADER_BYTES + lengths[i];
        uint8_t was = *at;
        for (unsigned to = 0; to < 256; to++) {
            /* A longer key or value may leave a shape that is right again: only the total must fit.
             */
            *at = (uint8_t)to;
            enum err err = read_to_the_end(batch, size);
            ck_assert(err == ERR_NOT_FOUND || err == ERR_INVALID_RECORD);
            if (to == 0x7f || to == 0x80 || to == 0xff || to == (unsigned)was + 2)
                ck_assert_msg(err == ERR_INVALID_RECORD, "position %zu byte %u", lengths[i], to);
        }
        *at = was;
    }
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(count_and_bytes_must_agree)
{
    struct batch_builder builder;
    uint8_t *batch;
    size_t size;

    build_two(&builder, CODEC_NONE, &batch, &size);
    store_i32(batch + BATCH_POS_COUNT, 1); /* bytes left over */
    ck_assert_int_eq(read_to_the_end(batch, size), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_COUNT, 3); /* too few */
    ck_assert_int_eq(read_to_the_end(batch, size), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_COUNT, -1);
    ck_assert_int_eq(read_to_the_end(batch, size), ERR_INVALID_RECORD);
    store_i32(batch + BATCH_POS_COUNT, 2);
    for (size_t cut = BATCH_HEADER_BYTES; cut < size; cut++)
        ck_assert_int_eq(read_to_the_end(batch, cut), ERR_INVALID_RECORD);
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(compaction_keeps_gaps_and_the_end)
{
    struct batch_builder builder, copy;
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct record_iter iter;
    struct record record;
    uint8_t *batch, *copied;
    size_t size, copied_size;

    build_two(&builder, CODEC_NONE, &batch, &size);
    conf.base_offset = 10;
    conf.delete_horizon = T0 + 1000;
    batch_builder_init(&copy, &conf);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, 0, NULL), ERR_OK);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    batch_builder_copy(&copy, 1, &record);
    ck_assert_int_eq(batch_builder_finish(&copy, 4, &copied, &copied_size), ERR_OK);
    ck_assert_int_eq(batch_last_offset(copied), 14);
    ck_assert_int_eq(batch_base_timestamp(copied), T0 + 1000);
    ck_assert_int_eq(record_iter_init(&iter, copied, copied_size, 0, NULL), ERR_OK);
    ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
    ck_assert_int_eq(record.offset, 11);
    ck_assert_int_eq(record.timestamp, T0 + 5);
    ck_assert(str_is(record.key, "k"));

    batch_builder_reset(&copy, &conf); /* nothing left but the producer's place */
    ck_assert_int_eq(batch_builder_finish(&copy, 4, &copied, &copied_size), ERR_OK);
    ck_assert_uint_eq(copied_size, BATCH_HEADER_BYTES);
    ck_assert_int_eq(read_to_the_end(copied, copied_size), ERR_NOT_FOUND);
    batch_builder_fini(&copy);
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(markers_tell_kind_and_epoch)
{
    uint8_t marker[BATCH_MARKER_BYTES];
    struct record_iter iter;
    struct record record;
    enum record_control kind;
    int32_t epoch;

    for (int commit = 0; commit <= 1; commit++) {
        batch_marker_write(marker, commit == 1, 7, 3, 42, T0);
        ck_assert_int_eq(record_iter_init(&iter, marker, sizeof marker, 0, NULL), ERR_OK);
        ck_assert_int_eq(record_next(&iter, &record), ERR_OK);
        ck_assert_int_eq(record_control_read(&record, &kind, &epoch), ERR_OK);
        ck_assert_int_eq(kind, commit == 1 ? RECORD_COMMIT : RECORD_ABORT);
        ck_assert_int_eq(epoch, 42);
    }
    record.key.len = 3;
    ck_assert_int_eq(record_control_read(&record, &kind, NULL), ERR_INVALID_RECORD);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("record");

    tcase_add_test(tc, builds_the_vectors);
    tcase_add_loop_test(tc, reads_back_what_was_built, CODEC_NONE, CODEC_COUNT);
    tcase_add_test(tc, append_time_overrides_every_record);
    tcase_add_test(tc, no_changed_length_gets_through);
    tcase_add_test(tc, count_and_bytes_must_agree);
    tcase_add_test(tc, compaction_keeps_gaps_and_the_end);
    tcase_add_test(tc, markers_tell_kind_and_epoch);
    return unit_run(tc);
}
