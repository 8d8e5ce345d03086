/*
 * arena: aligned, separate, gone in one step; the limit holds. Overlaps and leaks are the
 * sanitizer's half.
 */
#include "common/base/arena.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

#include "tests/kit/unit.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, 10000);
}

static void teardown(void)
{
    arena_fini(&arena);
}

START_TEST(pieces_are_aligned_and_do_not_overlap)
{
    uint8_t *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&arena, i);
        ck_assert_uint_eq((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 1; i < 200; i++) {
        ck_assert_uint_eq(pieces[i][0], i);
        ck_assert_uint_eq(pieces[i][i - 1], i);
    }
}
END_TEST

START_TEST(small_requests_cost_no_malloc)
{
    arena_alloc(&arena, ARENA_INLINE_BYTES);
    ck_assert_ptr_null(arena.blocks);
    arena_alloc(&arena, 1);
    ck_assert_ptr_nonnull(arena.blocks);
    arena_reset(&arena);
    ck_assert_ptr_null(arena.blocks);
    ck_assert_uint_eq(arena.limit, 10000);
}
END_TEST

START_TEST(large_pieces_fit)
{
    uint8_t *piece = arena_zalloc(&arena, 100, 10000);

    ck_assert_uint_eq(piece[0], 0);
    ck_assert_uint_eq(piece[999999], 0);
}
END_TEST

START_TEST(try_honours_the_limit_and_overflow)
{
    ck_assert_ptr_null(arena_try(&arena, 10001, 1));
    ck_assert_ptr_null(arena_try(&arena, SIZE_MAX / 2, 4));
    ck_assert_ptr_null(arena_try(&arena, SIZE_MAX, SIZE_MAX));
    ck_assert_ptr_nonnull(arena_try(&arena, 0, SIZE_MAX));
    ck_assert_ptr_nonnull(arena_try(&arena, 6000, 1));
    ck_assert_ptr_null(arena_try(&arena, 6000, 1));
}
END_TEST

START_TEST(texts_are_copied)
{
    struct str text = arena_printf(&arena, "%s-%d", "abc", 5);

    ck_assert(str_is(text, "abc-5"));
    ck_assert_str_eq(text.ptr, "abc-5");
    ck_assert_str_eq(arena_cstr(&arena, (struct str){ .ptr = "abcdef", .len = 3 }), "abc");
    ck_assert_str_eq(arena_cstr(&arena, STR_NULL), "");
    ck_assert(str_is_null(arena_str(&arena, STR_NULL)));
    ck_assert(!str_is_null(arena_str(&arena, STR_EMPTY)));
    ck_assert_mem_eq(arena_dup(&arena, "x\0y", 3), "x\0y", 3);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("arena");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, pieces_are_aligned_and_do_not_overlap);
    tcase_add_test(tc, small_requests_cost_no_malloc);
    tcase_add_test(tc, large_pieces_fit);
    tcase_add_test(tc, try_honours_the_limit_and_overflow);
    tcase_add_test(tc, texts_are_copied);
    return unit_run(tc);
}
