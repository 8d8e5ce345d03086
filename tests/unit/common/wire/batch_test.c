/*
 * batch: walking entries cut anywhere, the checksum over exactly its bytes, stamping without and
 * with a new checksum. The vectors come from Kafka's own client library.
 */
#include "common/wire/batch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static const char one_record[] =
    "00000000000000000000003affffffff02e99b8dd80000000000000000018bcfe568000000018bcfe568"
    "00ffffffffffffffffffffffffffff0000000110000000026b027600";
static const char two_records[] =
    "000000000000000000000045ffffffff02436a6ba20000000000010000018bcfe568000000018bcfe568"
    "05ffffffffffffffffffffffffffff000000020e0000000102760016000a02026b010202680278";
static const char commit_marker[] =
    "000000000000000000000042ffffffff02fc84b0340030000000000000018bcfe568000000018bcfe568"
    "0000000000000003e80000ffffffff000000012000000008000000010c00000000000500";

#define T0 INT64_C(1700000000000)

static size_t from_hex(const char *hex, uint8_t *to)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char digits[3] = { hex[2 * i], hex[2 * i + 1], 0 };
        to[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len;
}

START_TEST(crc_is_the_common_one)
{
    ck_assert_uint_eq(batch_crc32c("123456789", 9), 0xe3069283u);
    ck_assert_uint_eq(batch_crc32c("", 0), 0);
}
END_TEST

START_TEST(vectors_pass)
{
    const char *const all[] = { one_record, two_records, commit_marker };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        uint8_t bytes[128];
        size_t len = from_hex(all[i], bytes), size;

        ck_assert_int_eq(batch_peek(bytes, len, &size), ERR_OK);
        ck_assert_uint_eq(size, len);
        ck_assert_int_eq(batch_check(bytes, size), ERR_OK);
    }
}
END_TEST

START_TEST(any_flipped_bit_under_the_checksum_is_seen)
{
    uint8_t bytes[128];
    size_t len = from_hex(two_records, bytes);

    for (size_t pos = BATCH_POS_CRC; pos < len; pos++) {
        bytes[pos] ^= 0x10;
        ck_assert_int_eq(batch_check(bytes, len), ERR_CORRUPT_MESSAGE);
        bytes[pos] ^= 0x10;
    }
}
END_TEST

START_TEST(info_tells_the_header)
{
    uint8_t bytes[128];
    struct batch_info info;

    from_hex(two_records, bytes);
    batch_stamp(bytes, 41, 7);
    batch_info_read(bytes, &info);
    ck_assert_uint_eq(info.size, 81);
    ck_assert_int_eq(info.base_offset, 41);
    ck_assert_int_eq(info.last_offset, 42);
    ck_assert_int_eq(info.leader_epoch, 7);
    ck_assert_int_eq(info.max_timestamp, T0 + 5);
    ck_assert_int_eq(info.base_timestamp, T0);
    ck_assert_int_eq(info.count, 2);
    ck_assert_int_eq(info.producer_id, -1);
    ck_assert_int_eq(info.last_sequence, -1);
    ck_assert(!info.control && !info.transactional && !info.append_time);

    from_hex(commit_marker, bytes);
    batch_info_read(bytes, &info);
    ck_assert_int_eq(info.producer_id, 1000);
    ck_assert_int_eq(info.producer_epoch, 0);
    ck_assert(info.control && info.transactional);
}
END_TEST

START_TEST(a_cut_batch_is_not_found_and_tells_what_it_needs)
{
    uint8_t bytes[128];
    size_t len = from_hex(one_record, bytes), size;

    for (size_t cut = 0; cut < len; cut++) {
        ck_assert_int_eq(batch_peek(bytes, cut, &size), ERR_NOT_FOUND);
        ck_assert_uint_eq(size, cut < BATCH_PEEK_BYTES ? 0 : len);
    }
}
END_TEST

START_TEST(what_cannot_be_a_batch_is_corrupt)
{
    uint8_t bytes[128];
    size_t len = from_hex(one_record, bytes), size;

    bytes[BATCH_POS_MAGIC] = 3;
    ck_assert_int_eq(batch_peek(bytes, len, &size), ERR_CORRUPT_MESSAGE);
    bytes[BATCH_POS_MAGIC] = 2;
    store_i32(bytes + BATCH_POS_LENGTH, 48);
    ck_assert_int_eq(batch_peek(bytes, len, &size), ERR_CORRUPT_MESSAGE);
    store_i32(bytes + BATCH_POS_LENGTH, -1);
    ck_assert_int_eq(batch_peek(bytes, len, &size), ERR_CORRUPT_MESSAGE);
    memset(bytes, 0, sizeof bytes); /* the tail of a preallocated file */
    ck_assert_int_eq(batch_peek(bytes, len, &size), ERR_CORRUPT_MESSAGE);
}
END_TEST

START_TEST(a_stamp_leaves_the_checksum_valid)
{
    uint8_t bytes[128];
    size_t len = from_hex(one_record, bytes);

    batch_stamp(bytes, INT64_C(1) << 40, 12);
    ck_assert_int_eq(batch_check(bytes, len), ERR_OK);
    ck_assert_int_eq(batch_base_offset(bytes), INT64_C(1) << 40);
    ck_assert_int_eq(batch_leader_epoch(bytes), 12);
}
END_TEST

START_TEST(a_new_time_brings_a_new_checksum_and_the_same_time_none)
{
    uint8_t bytes[128];
    size_t len = from_hex(one_record, bytes);
    uint32_t crc = batch_crc(bytes);

    batch_set_max_timestamp(bytes, len, false, T0);
    ck_assert_uint_eq(batch_crc(bytes), crc);
    batch_set_max_timestamp(bytes, len, true, T0);
    ck_assert_uint_ne(batch_crc(bytes), crc);
    ck_assert(batch_is(bytes, BATCH_APPEND_TIME));
    ck_assert_int_eq(batch_check(bytes, len), ERR_OK);
    batch_set_max_timestamp(bytes, len, false, T0);
    ck_assert_uint_eq(batch_crc(bytes), crc);
}
END_TEST

START_TEST(sequences_wrap_to_zero)
{
    ck_assert_int_eq(batch_sequence_add(INT32_MAX, 1), 0);
    ck_assert_int_eq(batch_sequence_add(INT32_MAX - 1, 1), INT32_MAX);
    ck_assert_int_eq(batch_sequence_add(INT32_MAX, 10), 9);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("batch");

    tcase_add_test(tc, crc_is_the_common_one);
    tcase_add_test(tc, vectors_pass);
    tcase_add_test(tc, any_flipped_bit_under_the_checksum_is_seen);
    tcase_add_test(tc, info_tells_the_header);
    tcase_add_test(tc, a_cut_batch_is_not_found_and_tells_what_it_needs);
    tcase_add_test(tc, what_cannot_be_a_batch_is_corrupt);
    tcase_add_test(tc, a_stamp_leaves_the_checksum_valid);
    tcase_add_test(tc, a_new_time_brings_a_new_checksum_and_the_same_time_none);
    tcase_add_test(tc, sequences_wrap_to_zero);
    return unit_run(tc);
}
