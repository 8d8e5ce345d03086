/*
 * err: Kafka's codes are its wire codes, ours become one of them.
 */
#include "common/base/err.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/kit/unit.h"

START_TEST(kafkas_codes_are_wire_codes)
{
    ck_assert_int_eq(ERR_UNKNOWN_TOPIC_OR_PARTITION, 3);
    ck_assert_int_eq(ERR_NOT_CONTROLLER, 41);
    ck_assert_int_eq(ERR_FENCED_LEADER_EPOCH, 74);
    ck_assert_int_eq(err_to_wire(ERR_OK), 0);
    ck_assert_int_eq(err_to_wire(ERR_UNKNOWN_SERVER_ERROR), -1);
    ck_assert_int_eq(err_to_wire(ERR_NOT_CONTROLLER), 41);
}
END_TEST

START_TEST(ours_become_one_of_kafkas)
{
#define ERR(name, code, text)
#define ERR_OURS(name, wire, text)                                                                 \
    ck_assert_int_gt(ERR_##name, 999);                                                             \
    ck_assert_int_lt(err_to_wire(ERR_##name), 1000);                                               \
    ck_assert_int_ne(err_to_wire(ERR_##name), 0);
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    ck_assert_int_eq(err_to_wire(ERR_TOO_LARGE), ERR_INVALID_REQUEST);
}
END_TEST

START_TEST(every_error_has_a_name_and_a_sentence)
{
#define ERR(name, code, text)                                                                      \
    ck_assert_str_eq(err_name(ERR_##name), #name);                                                 \
    ck_assert_uint_gt(strlen(err_text(ERR_##name)), 5);                                            \
    ck_assert_int_ne(err_text(ERR_##name)[strlen(err_text(ERR_##name)) - 1], '.');
#define ERR_OURS(name, wire, text) ERR(name, 0, text)
#include "common/base/err.def"
#undef ERR
#undef ERR_OURS
    ck_assert_str_eq(err_name(ERR_OK), "NONE");
    ck_assert_str_eq(err_name((enum err)900), "UNKNOWN");
}
END_TEST

START_TEST(errno_is_translated)
{
    ck_assert_int_eq(err_from_errno(0), ERR_OK);
    ck_assert_int_eq(err_from_errno(ENOSPC), ERR_NO_SPACE);
    ck_assert_int_eq(err_from_errno(ENOENT), ERR_NOT_FOUND);
    ck_assert_int_eq(err_from_errno(ECONNREFUSED), ERR_REFUSED);
    ck_assert_int_eq(err_from_errno(EIO), ERR_IO);
    ck_assert_int_eq(err_from_errno(EBADF), ERR_IO);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("err");

    tcase_add_test(tc, kafkas_codes_are_wire_codes);
    tcase_add_test(tc, ours_become_one_of_kafkas);
    tcase_add_test(tc, every_error_has_a_name_and_a_sentence);
    tcase_add_test(tc, errno_is_translated);
    return unit_run(tc);
}
