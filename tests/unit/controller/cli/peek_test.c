/* peek: when a record was written, out of the bytes of a fetch, whatever their format. */
#include "controller/cli/peek.h"

#include <check.h>
#include <string.h>

#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

#define T0 1700000000000

/* Records 10, 11, 12 at T0, T0 + 5, T0 + 10, appended to out. */
static void put_batch(struct buf *out, int64_t base, enum codec codec)
{
    struct batch_builder builder = { 0 };
    struct batch_conf conf = BATCH_CONF_PLAIN;
    uint8_t *batch;
    size_t size;

    conf.base_offset = base;
    conf.codec = codec;
    batch_builder_init(&builder, &conf);
    for (int i = 0; i < 3; i++)
        batch_builder_add(&builder, T0 + 5 * i, STR_NULL, STR("value"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    buf_put(out, batch, size);
    batch_builder_fini(&builder);
}

START_TEST(the_record_at_an_offset)
{
    struct buf bytes = BUF_EMPTY;
    int64_t found, at;

    put_batch(&bytes, 10, _i == 0 ? CODEC_NONE : CODEC_ZSTD);
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 11, &found, &at), ERR_OK);
    ck_assert_int_eq(found, 11);
    ck_assert_int_eq(at, T0 + 5);
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 3, &found, &at), ERR_OK);
    ck_assert_int_eq(found, 10);
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 13, &found, &at), ERR_NOT_FOUND);
    buf_fini(&bytes);
}
END_TEST

START_TEST(the_next_batch_when_the_record_was_compacted_away)
{
    struct buf bytes = BUF_EMPTY;
    int64_t found, at;

    put_batch(&bytes, 10, CODEC_NONE);
    put_batch(&bytes, 100, CODEC_NONE);
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 50, &found, &at), ERR_OK);
    ck_assert_int_eq(found, 100);
    ck_assert_int_eq(at, T0);
    buf_fini(&bytes);
}
END_TEST

START_TEST(a_cut_batch_says_nothing)
{
    struct buf bytes = BUF_EMPTY;
    int64_t found, at;

    put_batch(&bytes, 10, CODEC_NONE);
    for (size_t len = 0; len < bytes.len; len++)
        ck_assert_int_eq(peek_records(bytes.bytes, len, 10, &found, &at), ERR_NOT_FOUND);
    bytes.bytes[bytes.len - 1] ^= 1;
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 10, &found, &at), ERR_CORRUPT_MESSAGE);
    buf_fini(&bytes);
}
END_TEST

START_TEST(old_messages_have_times_too)
{
    struct buf bytes = BUF_EMPTY;
    int64_t found, at;

    legacy_put(&bytes, 1, 7, T0, false, STR_NULL, STR("a"));
    legacy_put(&bytes, 1, 8, T0 + 9, false, STR_NULL, STR("b"));
    ck_assert_int_eq(peek_records(bytes.bytes, bytes.len, 8, &found, &at), ERR_OK);
    ck_assert_int_eq(found, 8);
    ck_assert_int_eq(at, T0 + 9);
    buf_fini(&bytes);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("peek");

    tcase_add_loop_test(tc, the_record_at_an_offset, 0, 2);
    tcase_add_test(tc, the_next_batch_when_the_record_was_compacted_away);
    tcase_add_test(tc, a_cut_batch_says_nothing);
    tcase_add_test(tc, old_messages_have_times_too);
    return unit_run(tc);
}
