/*
 * choose: what an entry of who is eligible says of brokers that are no replicas, for it was edited
 * or the replicas were shortened by hand, comes into no ISR.
 */
#include "controller/core/choose.h"

#include <check.h>
#include <stdlib.h>

#include "tests/kit/unit.h" /* unit_run */

/* All in sync may have lost records, and is a new process. */
#define LOST (REPLICA_LIVE | REPLICA_LEAVING | REPLICA_UNCLEAN)

START_TEST(an_isr_of_the_eligible_has_replicas_only)
{
    static const int32_t replicas[] = { 1, 2, 3 }, isr[] = { 1 };
    static const int32_t eligible[] = { 9, 8, 3, 3, 7, 6, 3, 5 };
    static const uint8_t are[] = { LOST, REPLICA_GONE, REPLICA_GONE };
    struct image_part part = {
        .leader = LEADER_NONE, .leader_epoch = 4, .replicas = IDS_OF(replicas), .isr = IDS_OF(isr)
    };
    struct choice choice = { .part = &part, .replicas = are, .eligible = IDS_OF(eligible) };
    int32_t *room = calloc(part.replicas.n + part.isr.n, sizeof *room); /* and no more */
    struct leader_isr next;

    ck_assert(choose_leader(&choice, &next, room));
    ck_assert_int_eq(next.leader, LEADER_NONE);
    ck_assert_uint_eq(next.isr.n, 1);
    ck_assert_int_eq(next.isr.at[0], 3);
    free(room);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("choose");

    tcase_add_test(tc, an_isr_of_the_eligible_has_replicas_only);
    return unit_run(tc);
}
