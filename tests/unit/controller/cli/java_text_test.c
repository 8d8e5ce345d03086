/*
 * java_text: malformed UTF-8 as Java 17 replaces it, the order of Scala's and Java's hash
 * tables. Expected
 * values were printed by them.
 */
#include "controller/cli/java_text.h"

#include <check.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define BAD "\xef\xbf\xbd"

static const struct {
    const char *bytes, *text;
} decoded[] = {
    { "", "" },
    { "abc\xc3\xa9", "abc\xc3\xa9" },
    { "\xc3", BAD },
    { "\xc3z", BAD "z" },
    { "\x80\x80", BAD BAD },
    { "\xc0\xaf", BAD BAD },
    { "\xe2\x82", BAD },
    { "\xe2\x82z", BAD "z" },
    { "\xe0\x80\x80", BAD BAD BAD },
    { "\xed\xa0\x80", BAD },
    { "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80" },
    { "\xf0\x9f\x98", BAD },
    { "\xf0\x80\x80\x80", BAD BAD BAD BAD },
    { "\xf5\x80", BAD BAD },
    { "\xff\xff", BAD BAD },
};

START_TEST(malformed_bytes_are_replaced_as_java_does)
{
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(decoded); i++) {
        struct str text = java_utf8(&arena, str_of(decoded[i].bytes));

        ck_assert_msg(str_is(text, decoded[i].text), "%zu: %.*s", i, STR_ARG(text));
    }
    arena_fini(&arena);
}
END_TEST

START_TEST(a_partition_hashes_as_in_java)
{
    ck_assert_int_eq(java_tp_hash(STR("orders"), 3), 31 * (31 + 3) - 1008770331);
}
END_TEST

START_TEST(buckets_then_hashes_give_the_order)
{
    /* 18 and 2 share a bucket of 16; 17 belongs before both. */
    static const int32_t few[] = { 18, 17, 2 };
    size_t order[13];

    scala_hash_order(few, NULL, ARRAY_LEN(few), order);
    ck_assert_uint_eq(order[0], 1);
    ck_assert_uint_eq(order[1], 2);
    ck_assert_uint_eq(order[2], 0);
}
END_TEST

START_TEST(tables_double_before_they_are_three_quarters_full)
{
    int32_t hashes[12] = { 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };
    size_t hints[12] = { 0 }, order[12];

    scala_hash_order(hashes, NULL, 11, order);
    ck_assert_uint_eq(order[0], 0); /* 16 is in bucket 0 of 16 */
    scala_hash_order(hashes, NULL, 12, order);
    ck_assert_uint_eq(order[11], 0); /* and in bucket 16 of 32 */
    hints[0] = 12;                   /* told beforehand */
    scala_hash_order(hashes, hints, 2, order);
    ck_assert_uint_eq(order[1], 0);
}
END_TEST

START_TEST(buckets_of_java_are_walked_in_order_of_insertion)
{
    static const int32_t few[] = { 18, 17, 2 };
    int32_t hashes[13] = { 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    size_t order[13];

    java_hash_order(few, ARRAY_LEN(few), order);
    ck_assert_uint_eq(order[0], 1);
    ck_assert_uint_eq(order[1], 0); /* 18 came before 2 */
    ck_assert_uint_eq(order[2], 2);
    java_hash_order(hashes, 12, order);
    ck_assert_uint_eq(order[0], 0); /* 16 is in bucket 0 of 16 */
    java_hash_order(hashes, 13, order);
    ck_assert_uint_eq(order[12], 0); /* and in bucket 16 of 32 */
}
END_TEST

START_TEST(groups_stand_in_the_order_of_java)
{
    static const char *const names[] = { "grp-active", "grp-active-static", "grp-java",
                                         "grp-rdk",    "grp-static",        "grp-txn" };
    static const size_t want[] = { 2, 1, 5, 4, 3, 0 };
    int32_t hashes[ARRAY_LEN(names)];
    size_t order[ARRAY_LEN(names)];

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        hashes[i] = str_java_hash(str_of(names[i]));
    java_hash_order(hashes, ARRAY_LEN(names), order);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_uint_eq(order[i], want[i]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("java_text");

    tcase_add_test(tc, malformed_bytes_are_replaced_as_java_does);
    tcase_add_test(tc, a_partition_hashes_as_in_java);
    tcase_add_test(tc, buckets_then_hashes_give_the_order);
    tcase_add_test(tc, tables_double_before_they_are_three_quarters_full);
    tcase_add_test(tc, buckets_of_java_are_walked_in_order_of_insertion);
    tcase_add_test(tc, groups_stand_in_the_order_of_java);
    return unit_run(tc);
}
