/* scope: how people name partitions. */
#include "controller/cli/scope.h"

#include <check.h>

#include "tests/kit/unit.h"

START_TEST(a_partition_stands_behind_the_last_dash)
{
    struct str topic;
    int32_t partition;

    ck_assert(scope_split(STR("orders-7"), &topic, &partition));
    ck_assert(str_is(topic, "orders"));
    ck_assert_int_eq(partition, 7);
    ck_assert(scope_split(STR("a-b-12"), &topic, &partition));
    ck_assert(str_is(topic, "a-b"));
    ck_assert_int_eq(partition, 12);
}
END_TEST

START_TEST(what_has_no_number_is_a_topic)
{
    struct str topic;
    int32_t partition;

    ck_assert(!scope_split(STR("orders"), &topic, &partition));
    ck_assert(!scope_split(STR("orders-"), &topic, &partition));
    ck_assert(!scope_split(STR("-7"), &topic, &partition));
    ck_assert(!scope_split(STR("orders-x"), &topic, &partition));
    ck_assert(!scope_split(STR("orders-99999999999"), &topic, &partition));
}
END_TEST

START_TEST(ids_are_different_numbers)
{
    struct arena arena;
    int32_t *ids;
    int len;

    arena_init(&arena, SIZE_MAX);
    ck_assert(scope_ids(&arena, "3, 1,2", &ids, &len));
    ck_assert_int_eq(len, 3);
    ck_assert_int_eq(ids[0], 3);
    ck_assert_int_eq(ids[2], 2);
    ck_assert(!scope_ids(&arena, "1,1", &ids, &len));
    ck_assert(!scope_ids(&arena, "", &ids, &len));
    ck_assert(!scope_ids(&arena, "1,-2", &ids, &len));
    ck_assert(!scope_ids(&arena, "1,x", &ids, &len));
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("scope");

    tcase_add_test(tc, a_partition_stands_behind_the_last_dash);
    tcase_add_test(tc, what_has_no_number_is_a_topic);
    tcase_add_test(tc, ids_are_different_numbers);
    return unit_run(tc);
}
