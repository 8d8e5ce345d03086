/*
 * api: of names that a request has several times only the first counts, however many there are.
 */
#include "broker/api/api.h"

#include <check.h>
#include <stdio.h>

#include "tests/kit/unit.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
}

static void teardown(void)
{
    arena_fini(&arena);
}

START_TEST(nothing_repeats_where_all_differ)
{
    const struct str names[] = { STR("b"), STR("a"), STR("ab"), STR_EMPTY };

    ck_assert_ptr_null(api_repeats(&arena, names, 4));
    ck_assert_ptr_null(api_repeats(&arena, names, 1));
    ck_assert_ptr_null(api_repeats(&arena, names, 0));
}
END_TEST

START_TEST(all_but_the_first_repeat)
{
    const struct str names[] = { STR("b"), STR("a"), STR("b"), STR_NULL,
                                 STR("c"), STR("b"), STR_NULL };
    const bool *repeats = api_repeats(&arena, names, 7);

    for (int i = 0; i < 7; i++)
        ck_assert_int_eq(repeats[i], i == 2 || i == 5 || i == 6);
}
END_TEST

#define MANY 200000

START_TEST(very_many_are_no_trouble)
{
    struct str *names = arena_alloc(&arena, MANY * sizeof *names);

    for (int i = 0; i < MANY; i++)
        names[i] = arena_printf(&arena, "topic-%d", i % (MANY / 2));
    const bool *repeats = api_repeats(&arena, names, MANY);
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(repeats[i], i >= MANY / 2);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("api");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_repeats_where_all_differ);
    tcase_add_test(tc, all_but_the_first_repeat);
    tcase_add_test(tc, very_many_are_no_trouble);
    return unit_run(tc);
}
