/*
 * verified: only whole blocks that were checked count; what this process wrote needs no check.
 */
#include "broker/log/verified.h"

#include <check.h>

#include "tests/kit/unit.h"

#define B VERIFIED_BLOCK

static struct verified verified;

static void start(void)
{
    verified_init(&verified, 10 * B + 500);
}

static void stop(void)
{
    verified_fini(&verified);
}

START_TEST(what_was_there_needs_a_check_and_what_comes_does_not)
{
    ck_assert(!verified_has(&verified, 0, 1));
    ck_assert(!verified_has(&verified, 10 * B + 400, 10 * B + 600));
    ck_assert(verified_has(&verified, 10 * B + 500, 20 * B));
    ck_assert(verified_has(&verified, 3 * B, 3 * B)); /* nothing */
}
END_TEST

START_TEST(only_whole_blocks_are_noted)
{
    verified_add(&verified, B / 2, 3 * B + B / 2);
    ck_assert(!verified_has(&verified, B / 2, B));
    ck_assert(verified_has(&verified, B, 3 * B));
    ck_assert(!verified_has(&verified, B, 3 * B + 1));
    ck_assert(verified_has(&verified, 2 * B + 7, 2 * B + 9));
    verified_add(&verified, 3 * B, 4 * B - 1);
    ck_assert(!verified_has(&verified, 3 * B, 3 * B + 1));
}
END_TEST

START_TEST(the_last_block_is_short)
{
    verified_add(&verified, 10 * B, 10 * B + 499);
    ck_assert(!verified_has(&verified, 10 * B, 10 * B + 1));
    verified_add(&verified, 10 * B, 10 * B + 500);
    ck_assert(verified_has(&verified, 10 * B, 30 * B));
    ck_assert(!verified_has(&verified, 9 * B, 30 * B));
}
END_TEST

START_TEST(when_all_is_checked_nothing_is_remembered)
{
    for (int64_t at = 0; at < 11; at++) {
        ck_assert(!verified_has(&verified, 0, 11 * B));
        verified_add(&verified, at * B, (at + 1) * B);
        verified_add(&verified, at * B, (at + 1) * B); /* twice is once */
    }
    ck_assert(verified_has(&verified, 0, 11 * B));
    ck_assert_ptr_null(verified.bits);
}
END_TEST

START_TEST(an_empty_file_is_good)
{
    stop();
    verified_init(&verified, 0);
    ck_assert(verified_has(&verified, 0, 100));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("verified");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, what_was_there_needs_a_check_and_what_comes_does_not);
    tcase_add_test(tc, only_whole_blocks_are_noted);
    tcase_add_test(tc, the_last_block_is_short);
    tcase_add_test(tc, when_all_is_checked_nothing_is_remembered);
    tcase_add_test(tc, an_empty_file_is_good);
    return unit_run(tc);
}
