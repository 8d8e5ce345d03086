/*
 * slice: the window's edges, and that bytes live exactly as long as their last slice. Leaks and
 * late reads are the sanitizer's half of this test: make test SAN=address.
 */
#include "common/base/slice.h"

#include <check.h>
#include <signal.h>
#include <string.h>

#include "tests/kit/unit.h" /* unit_run */

static struct slice hello(void)
{
    uint8_t *fill;
    struct slice s = slice_new(5, &fill);

    memcpy(fill, "hello", 5);
    return s;
}

START_TEST(bytes_outlive_the_first_holder)
{
    struct slice whole = hello();
    struct slice tail = slice_cut(&whole, 3, 2);

    ck_assert_ptr_eq(tail.base, whole.base + 3); /* shared, not copied */
    ck_assert(!slice_is_sole(&tail));
    slice_unref(&whole);
    ck_assert(slice_is_sole(&tail));
    ck_assert_mem_eq(tail.base, "lo", 2);
    slice_unref(&tail);
}
END_TEST

START_TEST(cut_past_the_end_is_a_bug)
{
    struct slice whole = hello();

    slice_cut(&whole, 4, SIZE_MAX); /* aborts here */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("slice");

    tcase_add_test(tc, bytes_outlive_the_first_holder);
    tcase_add_test_raise_signal(tc, cut_past_the_end_is_a_bug, SIGABRT);
    return unit_run(tc);
}
