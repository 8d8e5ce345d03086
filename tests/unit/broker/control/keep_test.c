/*
 * keep: what was kept is there for the next process, also when it could not be written over.
 */
#include "broker/control/keep.h"

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/kit/unit.h"

START_TEST(it_is_read_back)
{
    const char *dir = unit_temp_dir();
    char got[8] = "";

    ck_assert_int_eq(keep_read(dir, "f", got, sizeof got), -1);
    ck_assert(keep_write(dir, "f", "abcdef", 6, true));
    ck_assert_int_eq(keep_read(dir, "f", got, sizeof got), 6);
    ck_assert_mem_eq(got, "abcdef", 6);
    ck_assert(keep_write(dir, "f", "xy", 2, false));
    ck_assert_int_eq(keep_read(dir, "f", got, sizeof got), 2);
    ck_assert_mem_eq(got, "xy", 2);
    ck_assert(!keep_write("/nowhere/at/all", "f", "xy", 2, false));
}
END_TEST

START_TEST(what_cannot_be_written_over_stays)
{
    const char *dir = unit_temp_dir();
    struct rlimit none = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
    char got[8] = "";

    ck_assert(keep_write(dir, "f", "abcdef", 6, false));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0); /* as a full disk */
    ck_assert(!keep_write(dir, "f", "ghijkl", 6, false));
    ck_assert_int_eq(keep_read(dir, "f", got, sizeof got), 6);
    ck_assert_mem_eq(got, "abcdef", 6);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("keep");

    tcase_add_test(tc, it_is_read_back);
    tcase_add_test(tc, what_cannot_be_written_over_stays);
    return unit_run(tc);
}
