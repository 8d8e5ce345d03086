/*
 * legacy: what is inside old entries, also where producers differ, and the way down from magic 2
 * and back up. That recorded sets are read right is golden_records_test's part.
 */
#include "common/wire/legacy.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

#define T0    INT64_C(1700000000000)
#define LIMIT ((size_t)1 << 20)

enum { RECORDS = 5 };

/* Five records at 100..104, key k (null every other), value v, one header each. */
static void build(struct batch_builder *builder, enum codec codec, uint8_t **batch, size_t *size)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct record_header header = { STR("h"), STR("x") };

    conf.codec = codec;
    conf.base_offset = 100;
    batch_builder_init(builder, &conf);
    for (int i = 0; i < RECORDS; i++)
        batch_builder_add(builder, T0 + i, i % 2 ? STR_NULL : STR("k"), STR("v"), &header, 1);
    ck_assert_int_eq(batch_builder_finish(builder, -1, batch, size), ERR_OK);
}

/* Walks all entries; they must hold offsets first..104 of the batch above. */
static void assert_holds(const struct buf *set, int magic, int64_t first)
{
    struct buf scratch = BUF_EMPTY;
    int64_t offset = first;

    for (size_t pos = 0, size; pos < set->len; pos += size) {
        struct legacy_iter iter;
        struct legacy_message message;
        ck_assert_int_eq(batch_peek(set->bytes + pos, set->len - pos, &size), ERR_OK);
        ck_assert_int_eq(batch_check(set->bytes + pos, size), ERR_OK);
        ck_assert_int_eq(batch_magic(set->bytes + pos), magic);
        ck_assert_int_eq(legacy_iter_init(&iter, set->bytes + pos, size, LIMIT, &scratch), ERR_OK);
        while (legacy_next(&iter, &message) == ERR_OK) {
            ck_assert_int_eq(message.offset, offset);
            ck_assert_int_eq(message.timestamp, magic == 0 ? -1 : T0 + offset - 100);
            ck_assert_int_eq(str_is_null(message.key), offset % 2);
            ck_assert(str_is(message.value, "v"));
            offset++;
        }
        ck_assert_int_eq(batch_last_offset(set->bytes + pos), offset - 1);
    }
    ck_assert_int_eq(offset, 100 + RECORDS);
    buf_fini(&scratch);
}

START_TEST(goes_down_to_both_formats)
{
    for (enum codec codec = CODEC_NONE; codec <= CODEC_LZ4; codec++) {
        struct batch_builder builder;
        struct buf down = BUF_EMPTY, twice = BUF_EMPTY;
        uint8_t *batch;
        size_t size;

        build(&builder, codec, &batch, &size);
        ck_assert_int_eq(legacy_down(batch, size, 1, 100, LIMIT, &down), ERR_OK);
        assert_holds(&down, 1, 100);
        ck_assert_int_eq(legacy_down(down.bytes, down.len, 0, 100, LIMIT, &twice), ERR_OK);
        assert_holds(&twice, 0, 100);
        down.len = 0;
        ck_assert_int_eq(legacy_down(batch, size, 0, 100, LIMIT, &down), ERR_OK);
        ck_assert_uint_eq(down.len, twice.len);
        ck_assert_mem_eq(down.bytes, twice.bytes, down.len);
        buf_fini(&twice);
        buf_fini(&down);
        batch_builder_fini(&builder);
    }
}
END_TEST

START_TEST(plain_messages_before_the_first_offset_stay_out)
{
    struct batch_builder builder;
    struct buf down = BUF_EMPTY;
    uint8_t *batch;
    size_t size;

    build(&builder, CODEC_NONE, &batch, &size);
    ck_assert_int_eq(legacy_down(batch, size, 1, 103, LIMIT, &down), ERR_OK);
    assert_holds(&down, 1, 103);
    batch_builder_fini(&builder);
    build(&builder, CODEC_GZIP, &batch, &size);
    down.len = 0;
    ck_assert_int_eq(legacy_down(batch, size, 1, 103, LIMIT, &down), ERR_OK);
    assert_holds(&down, 1, 100); /* a compressed one stays whole */
    buf_fini(&down);
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(control_batches_go_zstd_cannot_old_stays)
{
    struct batch_builder builder;
    struct buf down = BUF_EMPTY, set = BUF_EMPTY;
    uint8_t marker[BATCH_MARKER_BYTES];
    uint8_t *batch;
    size_t size;

    batch_marker_write(marker, true, 1, 0, 0, T0);
    ck_assert_int_eq(legacy_down(marker, sizeof marker, 1, 0, LIMIT, &down), ERR_OK);
    ck_assert_uint_eq(down.len, 0);
    build(&builder, CODEC_ZSTD, &batch, &size);
    ck_assert_int_eq(legacy_down(batch, size, 1, 0, LIMIT, &down),
                     ERR_UNSUPPORTED_COMPRESSION_TYPE);
    batch_builder_fini(&builder);
    legacy_put(&set, 0, 7, -1, false, STR("k"), STR("v"));
    ck_assert_int_eq(legacy_down(set.bytes, set.len, 1, 9, LIMIT, &down), ERR_OK);
    ck_assert_uint_eq(down.len, set.len);
    ck_assert_mem_eq(down.bytes, set.bytes, set.len);
    buf_fini(&set);
    buf_fini(&down);
}
END_TEST

START_TEST(what_stands_before_zstd_is_given_first)
{
    struct batch_builder builder;
    struct buf both = BUF_EMPTY, down = BUF_EMPTY;
    uint8_t *batch;
    size_t size;

    build(&builder, CODEC_GZIP, &batch, &size);
    buf_put(&both, batch, size);
    batch_builder_fini(&builder);
    build(&builder, CODEC_ZSTD, &batch, &size);
    buf_put(&both, batch, size);
    batch_builder_fini(&builder);
    ck_assert_int_eq(legacy_down(both.bytes, both.len, 1, 0, LIMIT, &down), ERR_OK);
    assert_holds(&down, 1, 100);
    buf_fini(&both);
    buf_fini(&down);
}
END_TEST

/* A wrapper of magic 1 at this offset around messages at 0 and 1 of this magic. */
static void wrap(int64_t offset, int inner_magic, struct buf *out)
{
    struct buf inner = BUF_EMPTY, packed = BUF_EMPTY;

    legacy_put(&inner, inner_magic, 0, T0, false, STR_NULL, STR("a"));
    legacy_put(&inner, inner_magic, 1, T0 + 1, false, STR_NULL, STR("b"));
    ck_assert_int_eq(
        codec_compress(CODEC_GZIP, CODEC_LEVEL_DEFAULT, 1, inner.bytes, inner.len, &packed),
        ERR_OK);
    legacy_put(out, 1, offset, T0 + 1, false, STR_NULL,
               (struct str){ (const char *)packed.bytes, packed.len });
    out->bytes[17] |= CODEC_GZIP;
    buf_fini(&packed);
    buf_fini(&inner);
}

static enum err first_of(const struct buf *set, struct legacy_message *message)
{
    struct buf scratch = BUF_EMPTY;
    struct legacy_iter iter;
    enum err err = legacy_iter_init(&iter, set->bytes, set->len, LIMIT, &scratch);

    if (err == ERR_OK)
        err = legacy_next(&iter, message);
    buf_fini(&scratch);
    return err;
}

START_TEST(relative_offsets_meet_the_wrappers)
{
    struct legacy_message message;
    struct buf set = BUF_EMPTY;

    wrap(50, 1, &set);
    ck_assert_int_eq(first_of(&set, &message), ERR_OK);
    ck_assert_int_eq(message.offset, 49);
    set.len = 0;
    wrap(0, 1, &set); /* a producer that did not say */
    ck_assert_int_eq(first_of(&set, &message), ERR_OK);
    ck_assert_int_eq(message.offset, 0);
    buf_fini(&set);
}
END_TEST

START_TEST(wrong_insides_are_refused)
{
    struct legacy_message message;
    struct buf set = BUF_EMPTY;

    wrap(50, 0, &set); /* another magic inside */
    ck_assert_int_eq(first_of(&set, &message), ERR_INVALID_RECORD);
    set.len = 0;
    legacy_put(&set, 1, 5, T0, false, STR_NULL, STR_NULL);
    set.bytes[17] |= CODEC_GZIP; /* compressed nothing */
    ck_assert_int_eq(first_of(&set, &message), ERR_INVALID_RECORD);
    set.bytes[17] = CODEC_ZSTD; /* younger than the format */
    ck_assert_int_eq(first_of(&set, &message), ERR_INVALID_RECORD);
    set.len = 0;
    legacy_put(&set, 1, 5, T0, false, STR("key"), STR("value"));
    store_i32(set.bytes + 26, 4); /* a key one byte longer */
    ck_assert_int_eq(first_of(&set, &message), ERR_INVALID_RECORD);
    buf_fini(&set);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("legacy");

    tcase_add_test(tc, goes_down_to_both_formats);
    tcase_add_test(tc, plain_messages_before_the_first_offset_stay_out);
    tcase_add_test(tc, control_batches_go_zstd_cannot_old_stays);
    tcase_add_test(tc, what_stands_before_zstd_is_given_first);
    tcase_add_test(tc, relative_offsets_meet_the_wrappers);
    tcase_add_test(tc, wrong_insides_are_refused);
    return unit_run(tc);
}
