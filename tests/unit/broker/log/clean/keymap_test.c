/*
 * keymap: the newest offset of every key, whatever the memory; and which offsets are the newest.
 */
#include "broker/log/clean/keymap.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define KEYS 60000

static const uint8_t secret[16] = "a secret of 16 b";
static struct keymap *map;

static struct str key_of(int i)
{
    static char text[32];

    snprintf(text, sizeof text, "key-%d", i);
    return str_of(text);
}

static void end(void)
{
    keymap_free(&map);
}

/* A stream of puts against an array, in any size of map that holds them. */
static void put_and_compare(size_t memory)
{
    static int64_t newest[KEYS];
    uint64_t seed = memory;

    map = keymap_new(memory, 0.9);
    keymap_clear(map, secret, 1000);
    memset(newest, -1, sizeof newest);
    for (int64_t offset = 1000; offset < 1000 + 4 * KEYS; offset++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        int key = (int)((seed >> 33) % KEYS);

        ck_assert(keymap_put(map, key_of(key), offset));
        newest[key] = offset;
    }
    static uint8_t is_newest[4 * KEYS];
    size_t count = 0;

    memset(is_newest, 0, sizeof is_newest);
    for (int i = 0; i < KEYS; i++) {
        ck_assert_int_eq(keymap_get(map, key_of(i)), newest[i]);
        count += newest[i] >= 0;
        if (newest[i] >= 0)
            is_newest[newest[i] - 1000] = 1;
    }
    ck_assert_uint_eq(keymap_count(map), count);
    ck_assert(keymap_knows_newest(map));
    for (int i = 0; i < 4 * KEYS; i++)
        ck_assert_int_eq(keymap_has_newest(map, 1000 + i, 1000 + i), is_newest[i]);
    for (int i = 0; i + 200 < 4 * KEYS; i += 7) {
        bool any = memchr(is_newest + i, 1, 130) != NULL;

        ck_assert_int_eq(keymap_has_newest(map, 1000 + i, 1000 + i + 129), any);
    }
    ck_assert_int_eq(keymap_get(map, STR("nobody")), -1);
}

START_TEST(every_key_has_its_newest_offset)
{
    put_and_compare(32 << 20);
    keymap_free(&map);
    put_and_compare((size_t)(KEYS / 0.89 * 24)); /* barely enough */
}
END_TEST

START_TEST(a_full_map_takes_known_keys_only)
{
    int fit = 0;

    map = keymap_new(100 * 24, 0.5);
    keymap_clear(map, secret, 0);
    while (keymap_put(map, key_of(fit), fit))
        fit++;
    ck_assert_int_eq(fit, 50);
    ck_assert_uint_eq(keymap_room(map), 50);
    ck_assert_uint_eq(keymap_count(map), 50);
    ck_assert(keymap_put(map, key_of(7), 1000));
    ck_assert_int_eq(keymap_get(map, key_of(7)), 1000);
    ck_assert_int_eq(keymap_get(map, key_of(50)), -1);
    ck_assert(!keymap_has_newest(map, 7, 7));
    ck_assert(keymap_has_newest(map, 1000, 1000));
}
END_TEST

START_TEST(nearly_all_of_a_large_memory_is_used)
{
    size_t memory = 20 << 20;
    int fit = 0;

    map = keymap_new(memory, 0.9);
    keymap_clear(map, secret, 0);
    while (keymap_put(map, key_of(fit), fit))
        fit++;
    size_t slots = memory / 24;
    double kafkas = (double)slots * 0.9;

    ck_assert_msg(fit > kafkas * 0.93 && fit <= kafkas, "%d of %f", fit, kafkas);
    ck_assert(keymap_use(map) > 0.8 && keymap_use(map) <= 1);
}
END_TEST

START_TEST(two_keys_fit_always)
{
    map = keymap_new(1, 0.9);
    keymap_clear(map, secret, 0);
    ck_assert(keymap_put(map, STR("a"), 1));
    ck_assert(keymap_put(map, STR(""), 2));
    ck_assert_int_eq(keymap_get(map, STR("a")), 1);
    ck_assert_int_eq(keymap_get(map, STR("")), 2);
}
END_TEST

START_TEST(a_cleared_map_is_empty_and_hashes_anew)
{
    static const uint8_t other[16] = "another secret..";

    map = keymap_new(1 << 20, 0.9);
    keymap_clear(map, secret, 0);
    ck_assert(keymap_put(map, STR("a"), 1));
    keymap_clear(map, other, 5);
    ck_assert_int_eq(keymap_get(map, STR("a")), -1);
    ck_assert_uint_eq(keymap_count(map), 0);
    ck_assert(keymap_put(map, STR("a"), 5));
    ck_assert(keymap_has_newest(map, 5, 5));
}
END_TEST

START_TEST(offsets_far_apart_are_not_remembered)
{
    map = keymap_new(1 << 20, 0.9);
    keymap_clear(map, secret, 0);
    ck_assert(keymap_put(map, STR("a"), 1));
    ck_assert(keymap_put(map, STR("b"), INT64_C(1) << 40));
    ck_assert(!keymap_knows_newest(map));
    ck_assert(keymap_put(map, STR("a"), (INT64_C(1) << 40) + 1));
    ck_assert_int_eq(keymap_get(map, STR("a")), (INT64_C(1) << 40) + 1);
    keymap_clear(map, secret, 0);
    ck_assert(keymap_knows_newest(map));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("keymap");

    tcase_add_checked_fixture(tc, NULL, end);
    tcase_add_test(tc, every_key_has_its_newest_offset);
    tcase_add_test(tc, a_full_map_takes_known_keys_only);
    tcase_add_test(tc, nearly_all_of_a_large_memory_is_used);
    tcase_add_test(tc, two_keys_fit_always);
    tcase_add_test(tc, a_cleared_map_is_empty_and_hashes_anew);
    tcase_add_test(tc, offsets_far_apart_are_not_remembered);
    return unit_run(tc);
}
