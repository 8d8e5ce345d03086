/*
 * str: null is not empty, splitting gives every piece once, numbers are read whole or not at all.
 */
#include "common/base/str.h"

#include <check.h>

#include "tests/kit/unit.h"

START_TEST(null_equals_only_null)
{
    ck_assert(str_eq(STR_NULL, STR_NULL));
    ck_assert(!str_eq(STR_NULL, STR_EMPTY));
    ck_assert(str_eq(STR_EMPTY, STR("")));
    ck_assert(str_is(STR("ab"), "ab"));
    ck_assert(!str_is(STR("ab"), "abc"));
    ck_assert(str_is_null(str_of(NULL)));
}
END_TEST

START_TEST(text_is_utf8_without_nul)
{
    static const char *const good[] = { "", "a", "h\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    static const char *const bad[] = { "\xff",         "h\xc3",        "\xc0\xaf",
                                       "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80" };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert(str_is_text(str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert(!str_is_text(str_of(bad[i])));
    ck_assert(!str_is_text(STR("a\0b")));
    ck_assert_uint_eq(str_utf8_char(STR("\xe2\x82\xac!")), 3);
    ck_assert_uint_eq(str_utf8_char(STR_EMPTY), 0);
}
END_TEST

START_TEST(order_is_by_bytes)
{
    ck_assert_int_lt(str_cmp(STR("a"), STR("b")), 0);
    ck_assert_int_lt(str_cmp(STR("a"), STR("ab")), 0);
    ck_assert_int_gt(str_cmp(STR("\xff"), STR("a")), 0);
    ck_assert_int_eq(str_cmp(STR("a"), STR("a")), 0);
    ck_assert_int_lt(str_cmp(STR_NULL, STR_EMPTY), 0);
}
END_TEST

START_TEST(prefixes)
{
    ck_assert(str_starts_with(STR("abc"), STR("ab")));
    ck_assert(str_starts_with(STR("abc"), STR("")));
    ck_assert(!str_starts_with(STR("ab"), STR("abc")));
}
END_TEST

START_TEST(white_space_goes_from_both_ends)
{
    ck_assert(str_is(str_trim(STR(" \t a b\r\n")), "a b"));
    ck_assert_uint_eq(str_trim(STR("  ")).len, 0);
    ck_assert(str_is(str_trim(STR("x")), "x"));
}
END_TEST

START_TEST(split_gives_every_piece_once)
{
    struct str rest = STR("a,,b,");

    ck_assert(str_is(str_split(rest, ',', &rest), "a"));
    ck_assert(str_is(str_split(rest, ',', &rest), ""));
    ck_assert(str_is(str_split(rest, ',', &rest), "b"));
    ck_assert(!str_is_null(rest)); /* the piece behind the last comma */
    ck_assert(str_is(str_split(rest, ',', &rest), ""));
    ck_assert(str_is_null(rest));
}
END_TEST

START_TEST(numbers_are_read_whole_or_not_at_all)
{
    int64_t number = 77;

    ck_assert(str_to_i64(STR("-9223372036854775808"), &number));
    ck_assert_int_eq(number, INT64_MIN);
    ck_assert(str_to_i64(STR("9223372036854775807"), &number));
    ck_assert_int_eq(number, INT64_MAX);
    ck_assert(str_to_i64(STR("0"), &number));
    number = 77;
    ck_assert(!str_to_i64(STR("9223372036854775808"), &number));
    ck_assert(!str_to_i64(STR("-9223372036854775809"), &number));
    ck_assert(!str_to_i64(STR("99999999999999999999999"), &number));
    ck_assert(!str_to_i64(STR(""), &number));
    ck_assert(!str_to_i64(STR("-"), &number));
    ck_assert(!str_to_i64(STR("1 "), &number));
    ck_assert(!str_to_i64(STR("1x"), &number));
    ck_assert(!str_to_i64(STR_NULL, &number));
    ck_assert_int_eq(number, 77);
}
END_TEST

START_TEST(equal_texts_have_equal_hashes)
{
    ck_assert_uint_eq(str_hash(STR("abc")), str_hash((struct str){ .ptr = "abcd", .len = 3 }));
    ck_assert_uint_ne(str_hash(STR("abc")), str_hash(STR("abd")));
}
END_TEST

START_TEST(java_hashes_are_those_of_java)
{
    ck_assert_int_eq(str_java_hash(STR("")), 0);
    ck_assert_int_eq(str_java_hash(STR("orders")), -1008770331);
    ck_assert_int_eq(str_java_hash(STR("00000000000000000000.log")), -1605547946);
    ck_assert_int_eq(str_java_hash(STR("gr\xc3\xbcppe")), -1233264812);
    ck_assert_int_eq(str_java_hash(STR("polygenelubricants")), INT32_MIN);
    /* U+1F600 is two units, a byte that belongs to nothing is U+FFFD */
    ck_assert_int_eq(str_java_hash(STR("\xf0\x9f\x98\x80")), 31 * 0xd83d + 0xde00);
    ck_assert_int_eq(str_java_hash(STR("\xff")), 0xfffd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("str");

    tcase_add_test(tc, null_equals_only_null);
    tcase_add_test(tc, text_is_utf8_without_nul);
    tcase_add_test(tc, order_is_by_bytes);
    tcase_add_test(tc, prefixes);
    tcase_add_test(tc, white_space_goes_from_both_ends);
    tcase_add_test(tc, split_gives_every_piece_once);
    tcase_add_test(tc, numbers_are_read_whole_or_not_at_all);
    tcase_add_test(tc, equal_texts_have_equal_hashes);
    tcase_add_test(tc, java_hashes_are_those_of_java);
    return unit_run(tc);
}
