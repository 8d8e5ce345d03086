/*
 * read_replica: the choices of Kafka's RackAwareReplicaSelector.
 */
#include "broker/replica/read_replica.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct reader readers[3];

static void setup(void)
{
    readers[0] = (struct reader){ .id = 2, .leo = 100, .rack = STR("b") };
    readers[1] = (struct reader){ .id = 3, .leo = 100, .rack = STR("c") };
    readers[2] = (struct reader){ .id = 4, .leo = 100, .rack = STR("b") };
}

static int32_t choose(const char *rack)
{
    return read_replica_choose(str_of(rack), STR("a"), readers, 3);
}

START_TEST(who_does_not_say_where_he_stands_reads_from_the_leader)
{
    readers[0].rack = STR_NULL;
    ck_assert_int_eq(choose(""), READ_FROM_LEADER);
    ck_assert_int_eq(read_replica_choose(STR_NULL, STR_NULL, readers, 3), READ_FROM_LEADER);
}
END_TEST

START_TEST(the_leader_is_preferred_in_its_rack_and_where_nobody_is)
{
    ck_assert_int_eq(choose("a"), READ_FROM_LEADER);
    ck_assert_int_eq(choose("d"), READ_FROM_LEADER);
    readers[2].rack = STR("a");
    ck_assert_int_eq(choose("a"), READ_FROM_LEADER);
    ck_assert_int_eq(read_replica_choose(STR("b"), STR("a"), readers, 0), READ_FROM_LEADER);
}
END_TEST

START_TEST(the_furthest_of_the_rack_is_chosen)
{
    ck_assert_int_eq(choose("c"), 3);
    ck_assert_int_eq(choose("b"), 4);
    readers[2].behind_ms = 1;
    ck_assert_int_eq(choose("b"), 2);
    readers[2].leo = 101;
    ck_assert_int_eq(choose("b"), 4);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("read_replica");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, who_does_not_say_where_he_stands_reads_from_the_leader);
    tcase_add_test(tc, the_leader_is_preferred_in_its_rack_and_where_nobody_is);
    tcase_add_test(tc, the_furthest_of_the_rack_is_chosen);
    return unit_run(tc);
}
