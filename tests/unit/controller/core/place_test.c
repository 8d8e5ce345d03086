/*
 * place: Kafka's own examples (AdminUtilsTest's brokers and racks, and the sequence of its
 * documentation), and that every placement is sound.
 */
#include "controller/core/place.h"

#include <check.h>
#include <string.h>

#include "tests/kit/unit.h" /* unit_run */

START_TEST(without_racks)
{
    const struct place_broker brokers[] = {
        { 0, STR_NULL }, { 1, STR_NULL }, { 2, STR_NULL }, { 3, STR_NULL }, { 4, STR_NULL }
    };
    const struct place place = { 5, brokers, 0, 0, 0, 10, 3 };
    const int32_t expected[] = { 0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 0, 4, 0, 1,
                                 0, 2, 3, 1, 3, 4, 2, 4, 0, 3, 0, 1, 4, 1, 2 };
    int32_t out[30];

    ck_assert_int_eq(place_replicas(&place, out), ERR_OK);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(with_racks)
{
    const struct place_broker brokers[] = { { 0, STR("r1") }, { 1, STR("r3") }, { 2, STR("r3") },
                                            { 3, STR("r2") }, { 4, STR("r2") }, { 5, STR("r1") } };
    const struct place place = { 6, brokers, 0, 0, 0, 7, 3 };
    /* arranged: 0,3,1,5,4,2 */
    const int32_t expected[] = { 0, 3, 1, 3, 1, 5, 1, 5, 4, 5, 4, 2, 4, 2, 0, 2, 0, 3, 0, 4, 2 };
    int32_t out[21];

    ck_assert_int_eq(place_replicas(&place, out), ERR_OK);
    ck_assert_mem_eq(out, expected, sizeof out);
}
END_TEST

START_TEST(racks_count_only_when_all_have_one)
{
    const struct place_broker some[] = { { 1, STR("a") }, { 2, STR_NULL }, { 3, STR("a") } };
    const struct place_broker none[] = { { 1, STR_NULL }, { 2, STR_NULL }, { 3, STR_NULL } };
    struct place place = { 3, some, 1, 2, 0, 6, 2 };
    int32_t a[12], b[12];

    ck_assert_int_eq(place_replicas(&place, a), ERR_OK);
    place.brokers = none;
    ck_assert_int_eq(place_replicas(&place, b), ERR_OK);
    ck_assert_mem_eq(a, b, sizeof a);
}
END_TEST

START_TEST(added_partitions_go_on_where_the_topic_ended)
{
    const struct place_broker brokers[] = { { 1, STR_NULL }, { 2, STR_NULL }, { 3, STR_NULL } };
    struct place place = { 3, brokers, 1, 1, 0, 3, 2 };
    const struct place more = { 3, brokers, 1, 1, 2, 1, 2 };
    int32_t all[6], one[2];

    ck_assert_int_eq(place_replicas(&place, all), ERR_OK);
    ck_assert_int_eq(place_replicas(&more, one), ERR_OK);
    ck_assert_mem_eq(&all[4], one, sizeof one);
}
END_TEST

START_TEST(too_few_brokers)
{
    const struct place_broker brokers[] = { { 7, STR("r") } };
    struct place place = { 1, brokers, 0, 0, 0, 3, 1 };
    int32_t out[6];

    ck_assert_int_eq(place_replicas(&place, out), ERR_OK);
    ck_assert_int_eq(out[2], 7);
    place.replication_factor = 2;
    ck_assert_int_eq(place_replicas(&place, out), ERR_INVALID_REPLICATION_FACTOR);
    place.n_brokers = 0;
    ck_assert_int_eq(place_replicas(&place, out), ERR_INVALID_REPLICATION_FACTOR);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("place");

    tcase_add_test(tc, without_racks);
    tcase_add_test(tc, with_racks);
    tcase_add_test(tc, racks_count_only_when_all_have_one);
    tcase_add_test(tc, added_partitions_go_on_where_the_topic_ended);
    tcase_add_test(tc, too_few_brokers);
    return unit_run(tc);
}
