/*
 * mem: growing arrays, copies, and a budget that says no exactly when it must.
 */
#include "common/base/mem.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/thread.h"
#include "tests/kit/unit.h"

/* The sanitizers' malloc ends the process instead of saying no. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define MALLOC_SAYS_NO
#endif

START_TEST(copies_are_whole_and_end_in_nul)
{
    char *a = xstrdup("hello"), *b = xstrndup("hello", 2), *c = xasprintf("%d-%s", 7, "x");
    void *d = xmemdup("\0\1", 2), *e = xmemdup(NULL, 0);

    ck_assert_str_eq(a, "hello");
    ck_assert_str_eq(b, "he");
    ck_assert_str_eq(c, "7-x");
    ck_assert_mem_eq(d, "\0\1", 2);
    ck_assert_ptr_nonnull(e);
    free(a), free(b), free(c), free(d), free(e);
}
END_TEST

START_TEST(an_array_grows_and_keeps_what_is_in_it)
{
    int *array = NULL;
    size_t cap = 0;

    for (int i = 0; i < 1000; i++) {
        array_reserve(&array, &cap, (size_t)i, sizeof *array);
        ck_assert_uint_gt(cap, (size_t)i);
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(array[i], i);
    array_reserve(&array, &cap, 100000, sizeof *array); /* further than double */
    ck_assert_uint_gt(cap, 100000);
    ck_assert_int_eq(array[999], 999);
    free(array);
}
END_TEST

START_TEST(an_array_too_large_to_count_is_a_bug)
{
    int *array = NULL;
    size_t cap = 0;

    array_reserve(&array, &cap, SIZE_MAX / 2, sizeof *array); /* aborts here */
}
END_TEST

#ifdef MALLOC_SAYS_NO
START_TEST(memory_that_is_not_there_aborts)
{
    free(xmalloc((size_t)1 << 62)); /* aborts here */
}
END_TEST
#endif

START_TEST(a_budget_gives_no_byte_too_many)
{
    struct budget budget;

    budget_init(&budget, 100);
    ck_assert(budget_take(&budget, 60));
    ck_assert(!budget_take(&budget, 41));
    ck_assert(!budget_take(&budget, SIZE_MAX));
    ck_assert_uint_eq(budget_used(&budget), 60);
    ck_assert(budget_take(&budget, 40));
    ck_assert(budget_take(&budget, 0));
    ck_assert(!budget_take(&budget, 1));
    budget_give(&budget, 100);
    ck_assert_uint_eq(budget_used(&budget), 0);
}
END_TEST

START_TEST(a_budget_that_is_overdrawn_gives_nothing)
{
    struct budget budget;

    budget_init(&budget, 100);
    budget_overdraw(&budget, 150);
    ck_assert(!budget_take(&budget, 0));
    budget_give(&budget, 51);
    ck_assert(budget_take(&budget, 1));
    ck_assert_uint_eq(budget_used(&budget), 100);
}
END_TEST

START_TEST(a_budget_lends_to_one_at_a_time)
{
    struct budget budget;

    budget_init(&budget, 100);
    ck_assert(budget_borrow(&budget));
    ck_assert(!budget_borrow(&budget));
    budget_settle(&budget);
    ck_assert(budget_borrow(&budget));
}
END_TEST

START_TEST(giving_back_more_than_was_taken_is_a_bug)
{
    struct budget budget;

    budget_init(&budget, 100);
    ck_assert(budget_take(&budget, 1));
    budget_give(&budget, 2); /* aborts here */
}
END_TEST

static void take_and_give(void *arg)
{
    struct budget *budget = arg;

    for (int i = 0; i < 10000; i++) {
        if (budget_take(budget, 3)) {
            ck_assert_uint_le(budget_used(budget), 7);
            budget_give(budget, 3);
        }
    }
}

START_TEST(threads_share_a_budget)
{
    struct budget budget;
    struct thread threads[3];

    budget_init(&budget, 7);
    for (int i = 0; i < 3; i++)
        thread_start(&threads[i], T_IO, i, take_and_give, &budget);
    for (int i = 0; i < 3; i++)
        thread_join(&threads[i]);
    ck_assert_uint_eq(budget_used(&budget), 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mem");

    tcase_add_test(tc, copies_are_whole_and_end_in_nul);
    tcase_add_test(tc, an_array_grows_and_keeps_what_is_in_it);
    tcase_add_test_raise_signal(tc, an_array_too_large_to_count_is_a_bug, SIGABRT);
#ifdef MALLOC_SAYS_NO
    tcase_add_test_raise_signal(tc, memory_that_is_not_there_aborts, SIGABRT);
#endif
    tcase_add_test(tc, a_budget_gives_no_byte_too_many);
    tcase_add_test(tc, a_budget_that_is_overdrawn_gives_nothing);
    tcase_add_test(tc, a_budget_lends_to_one_at_a_time);
    tcase_add_test_raise_signal(tc, giving_back_more_than_was_taken_is_a_bug, SIGABRT);
    tcase_add_test(tc, threads_share_a_budget);
    return unit_run(tc);
}
