/*
 * rand: one seed, one history; bounds hold; the system's bytes differ.
 */
#include "common/base/rand.h"

#include <check.h>
#include <signal.h>
#include <string.h>

#include "tests/kit/unit.h"

START_TEST(one_seed_is_one_history)
{
    struct rand a, b, c;

    rand_seed(&a, 42);
    rand_seed(&b, 42);
    rand_seed(&c, 43);
    uint64_t first = rand_u64(&a);
    ck_assert_uint_eq(first, rand_u64(&b));
    ck_assert_uint_ne(first, rand_u64(&c));
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(rand_u64(&a), rand_u64(&b));
}
END_TEST

START_TEST(bounds_hold_and_everything_comes_up)
{
    struct rand rand;
    int seen[7] = { 0 };

    rand_seed(&rand, 1);
    for (int i = 0; i < 7000; i++) {
        double unit = rand_unit(&rand);

        seen[rand_below(&rand, 7)]++;
        ck_assert(unit >= 0 && unit < 1);
    }
    for (int i = 0; i < 7; i++)
        ck_assert_int_gt(seen[i], 800);
    ck_assert_uint_eq(rand_below(&rand, 1), 0);
}
END_TEST

START_TEST(below_nothing_is_a_bug)
{
    struct rand rand;

    rand_seed(&rand, 1);
    rand_below(&rand, 0); /* aborts here */
}
END_TEST

START_TEST(the_systems_bytes_differ)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 };
    struct rand c, d;

    rand_bytes_os(a, sizeof a);
    rand_bytes_os(b, sizeof b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    rand_seed_os(&c);
    rand_seed_os(&d);
    ck_assert_uint_ne(rand_u64(&c), rand_u64(&d));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rand");

    tcase_add_test(tc, one_seed_is_one_history);
    tcase_add_test(tc, bounds_hold_and_everything_comes_up);
    tcase_add_test_raise_signal(tc, below_nothing_is_a_bug, SIGABRT);
    tcase_add_test(tc, the_systems_bytes_differ);
    return unit_run(tc);
}
