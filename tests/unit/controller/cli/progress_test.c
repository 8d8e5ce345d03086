/* progress: rate and time left out of looks that come at odd moments. */
#include "controller/cli/progress.h"

#include <check.h>
#include <stdlib.h>

#include "tests/kit/unit.h"

START_TEST(the_first_look_knows_no_rate)
{
    struct progress progress = PROGRESS_NONE;

    progress_step(&progress, 1000, 100, 5000);
    ck_assert_int_eq(progress.rate, -1);
    ck_assert_int_eq(progress.left_ms, -1);
    progress_step(&progress, 1000, 300, 7000);
    ck_assert_int_eq(progress.rate, 100);
    ck_assert_int_eq(progress.left_ms, 7000);
}
END_TEST

START_TEST(a_rate_forgets)
{
    struct progress progress = PROGRESS_NONE;

    progress_step(&progress, 100000, 0, 0);
    progress_step(&progress, 100000, 1000, 1000);
    for (int i = 2; i < 10; i++)
        progress_step(&progress, 100000, 1000 + 100 * (i - 1), 1000 * i);
    ck_assert_int_ge(progress.rate, 100);
    ck_assert_int_le(progress.rate, 105);
}
END_TEST

START_TEST(standing_still_has_no_end)
{
    struct progress progress = PROGRESS_NONE;

    progress_step(&progress, 1000, 10, 0);
    progress_step(&progress, 1000, 10, 1000);
    ck_assert_int_eq(progress.rate, 0);
    ck_assert_int_eq(progress.left_ms, -1);
    progress_step(&progress, 1000, 5, 2000); /* a replica was begun anew */
    ck_assert_int_eq(progress.rate, 0);
}
END_TEST

START_TEST(the_end_is_the_end)
{
    struct progress progress = PROGRESS_NONE;

    progress_step(&progress, 0, 0, 0);
    ck_assert_int_eq(progress.left_ms, 0);
    ck_assert_int_eq(progress_permille(0, 0), 1000);
    ck_assert_int_eq(progress_permille(3, 1), 333);
    ck_assert_int_eq(progress_permille(3, 4), 1000);
    ck_assert_int_eq(progress_permille(INT64_MAX, INT64_MAX / 2), 500);
}
END_TEST

START_TEST(a_bar_fills_from_the_left)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    progress_bar(out, 500, 4);
    fclose(out);
    ck_assert_str_eq(text, "[██░░]");
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("progress");

    tcase_add_test(tc, the_first_look_knows_no_rate);
    tcase_add_test(tc, a_rate_forgets);
    tcase_add_test(tc, standing_still_has_no_end);
    tcase_add_test(tc, the_end_is_the_end);
    tcase_add_test(tc, a_bar_fills_from_the_left);
    return unit_run(tc);
}
