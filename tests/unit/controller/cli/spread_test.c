/* spread: plans that move as little as can be, keep racks apart, and are the same for the same
 * cluster. */
#include "controller/cli/spread.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define ROOM 8

static struct spread_broker brokers[ROOM];
static struct spread_part parts[64];
static int32_t lists[64][ROOM];
static struct spread spread;

/* Brokers 1 to n; racks "a", "b", ... one after the other, or none. */
static void begin(int n, int racks)
{
    static const char *const names[] = { "a", "b", "c", "d" };

    memset(brokers, 0, sizeof brokers);
    for (int i = 0; i < n; i++)
        brokers[i] = (struct spread_broker){
            .id = i + 1,
            .rack = racks > 0 ? str_of(names[i % racks]) : STR_NULL,
            .gets = true,
            .gives = true,
        };
    spread = (struct spread){ .brokers = brokers, .brokers_len = n, .parts = parts };
}

static struct spread_part *add(int64_t bytes, int32_t a, int32_t b, int32_t c)
{
    struct spread_part *part = &parts[spread.parts_len];
    int32_t *to = lists[spread.parts_len++];

    memcpy(to, ((int32_t[]){ a, b, c }), 3 * sizeof *to);
    *part = (struct spread_part){ .bytes = bytes, .to = to, .to_len = c > 0 ? 3 : b > 0 ? 2 : 1 };
    return part;
}

static void drain(int32_t id)
{
    brokers[id - 1].is_drained = true;
    brokers[id - 1].gets = brokers[id - 1].gives = false;
}

static void is(const struct spread_part *part, int32_t a, int32_t b, int32_t c)
{
    ck_assert_int_eq(part->to_len, c > 0 ? 3 : b > 0 ? 2 : 1);
    ck_assert_int_eq(part->to[0], a);
    if (b > 0)
        ck_assert_int_eq(part->to[1], b);
    if (c > 0)
        ck_assert_int_eq(part->to[2], c);
}

START_TEST(draining_touches_nothing_else)
{
    begin(4, 0);
    add(10, 1, 2, 0);
    add(10, 3, 1, 0);
    add(10, 2, 3, 0);
    drain(3);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    is(&parts[0], 1, 2, 0);
    is(&parts[1], 4, 1, 0); /* the emptiest, at the same place */
    is(&parts[2], 2, 4, 0);
}
END_TEST

START_TEST(draining_keeps_racks_apart)
{
    begin(4, 2); /* 1 and 3 are in a, 2 and 4 in b */
    add(10, 1, 2, 0);
    add(10, 3, 2, 0);
    add(10, 3, 2, 0);
    drain(1);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    is(&parts[0], 3, 2, 0); /* 4 has less, but its rack has 2 */
}
END_TEST

START_TEST(a_rack_that_is_lost_is_no_reason_to_fail)
{
    begin(3, 2); /* 1 and 3 are in a, 2 in b */
    add(10, 1, 2, 0);
    drain(2);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    is(&parts[0], 1, 3, 0);
}
END_TEST

START_TEST(there_must_be_enough_brokers)
{
    begin(3, 0);
    add(10, 1, 2, 3);
    drain(3);
    ck_assert_int_eq(spread_drain(&spread), ERR_INVALID_REPLICATION_FACTOR);
    begin(2, 0);
    add(10, 1, 2, 0);
    ck_assert_int_eq(spread_factor(&spread, 3), ERR_INVALID_REPLICATION_FACTOR);
}
END_TEST

START_TEST(what_is_fixed_counts_but_stays)
{
    begin(3, 0);
    add(10, 2, 0, 0)->is_fixed = true;
    add(10, 2, 0, 0)->is_fixed = true;
    add(10, 1, 0, 0);
    drain(1);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    is(&parts[0], 2, 0, 0);
    is(&parts[2], 3, 0, 0);
}
END_TEST

START_TEST(a_broker_that_is_down_gets_nothing)
{
    begin(3, 0);
    brokers[2].gets = brokers[2].gives = false;
    add(10, 1, 3, 0);
    add(10, 2, 0, 0);
    drain(2);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    is(&parts[1], 1, 0, 0);
    is(&parts[0], 1, 3, 0); /* nor is it emptied */
}
END_TEST

START_TEST(new_brokers_get_their_share_of_the_smallest)
{
    begin(3, 0);
    for (int i = 0; i < 6; i++)
        add(10 * (i + 1), 1, 2, 0);
    brokers[0].gets = brokers[1].gets = brokers[2].gives = false;
    spread_even(&spread);
    ck_assert_int_eq(brokers[0].replicas, 4);
    ck_assert_int_eq(brokers[1].replicas, 4);
    ck_assert_int_eq(brokers[2].replicas, 4);
    ck_assert_int_eq(brokers[2].bytes, 10 + 20 + 30 + 40);
    is(&parts[5], 1, 2, 0);
}
END_TEST

START_TEST(an_even_cluster_stays)
{
    begin(3, 0);
    add(10, 1, 2, 0);
    add(500, 2, 3, 0);
    add(10, 3, 1, 0);
    add(10, 1, 0, 0);
    spread_even(&spread);
    is(&parts[0], 1, 2, 0);
    is(&parts[1], 2, 3, 0);
    is(&parts[2], 3, 1, 0);
    is(&parts[3], 1, 0, 0);
}
END_TEST

START_TEST(evening_makes_no_rack_worse)
{
    begin(3, 2); /* 1 and 3 are in a, 2 in b */
    for (int i = 0; i < 4; i++)
        add(10, 1, 2, 0);
    spread_even(&spread);
    for (int i = 0; i < 4; i++)
        ck_assert(ids_has((struct ids){ .at = parts[i].to, .n = 2 }, 2));
    ck_assert_int_eq(brokers[2].replicas, 2); /* all of 1's, none of 2's */
}
END_TEST

START_TEST(more_replicas_go_to_other_racks)
{
    begin(4, 2);
    add(10, 1, 0, 0);
    add(10, 2, 4, 0);
    ck_assert_int_eq(spread_factor(&spread, 2), ERR_OK);
    ck_assert_int_eq(parts[0].to[0], 1);
    ck_assert(parts[0].to[1] == 2 || parts[0].to[1] == 4);
    is(&parts[1], 2, 4, 0);
}
END_TEST

START_TEST(fewer_replicas_keep_the_first_and_the_racks)
{
    begin(4, 2); /* 1 and 3 are in a */
    add(10, 1, 3, 2);
    ck_assert_int_eq(spread_factor(&spread, 2), ERR_OK);
    is(&parts[0], 1, 2, 0);
    ck_assert_int_eq(spread_factor(&spread, 1), ERR_OK);
    is(&parts[0], 1, 0, 0);
}
END_TEST

/* Whatever the cluster: nothing twice, nothing left on the drained one, as many as before. */
START_TEST(plans_are_sound)
{
    unsigned seed = (unsigned)_i;

    begin(3 + _i % 5, _i % 4);
    for (int i = 0; i < 60; i++) {
        int32_t a = 1 + (int32_t)((unsigned)rand_r(&seed) % (unsigned)spread.brokers_len);
        int32_t b = 1 + (a + rand_r(&seed) % (spread.brokers_len - 1)) % spread.brokers_len;

        add(rand_r(&seed) % 1000, a, b != a ? b : 0, 0);
    }
    drain(1);
    ck_assert_int_eq(spread_drain(&spread), ERR_OK);
    spread_even(&spread);
    for (size_t p = 0; p < spread.parts_len; p++) {
        struct ids ids = { .at = parts[p].to, .n = (uint32_t)parts[p].to_len };

        ck_assert(ids_unique(ids));
        ck_assert(!ids_has(ids, 1));
    }
    if (_i % 4 == 0) { /* no racks that forbid it */
        for (int i = 2; i < spread.brokers_len; i++)
            ck_assert_int_le(llabs(brokers[i].replicas - brokers[1].replicas), 1);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("spread");

    tcase_add_test(tc, draining_touches_nothing_else);
    tcase_add_test(tc, draining_keeps_racks_apart);
    tcase_add_test(tc, a_rack_that_is_lost_is_no_reason_to_fail);
    tcase_add_test(tc, there_must_be_enough_brokers);
    tcase_add_test(tc, what_is_fixed_counts_but_stays);
    tcase_add_test(tc, a_broker_that_is_down_gets_nothing);
    tcase_add_test(tc, new_brokers_get_their_share_of_the_smallest);
    tcase_add_test(tc, an_even_cluster_stays);
    tcase_add_test(tc, evening_makes_no_rack_worse);
    tcase_add_test(tc, more_replicas_go_to_other_racks);
    tcase_add_test(tc, fewer_replicas_keep_the_first_and_the_racks);
    tcase_add_loop_test(tc, plans_are_sound, 0, 200);
    return unit_run(tc);
}
