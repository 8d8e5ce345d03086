/*
 * part_isr: who is proposed, who is proposed away, and that a proposal stays as it is until it is
 * decided.
 */
#include "broker/replica/part_isr.h"

#include <check.h>

#include "tests/kit/unit.h"

#define LAG_MS 30000

static struct part_core core;
static struct part_effects effects;
static int64_t now_ms;
static struct part_live live[3];

static const int32_t ids[] = { 1, 2, 3 };

static void step(struct part_event ev)
{
    part_step(&core, &ev, now_ms, &effects);
}

static void role(int32_t leader_epoch, int32_t partition_epoch, const int32_t *isr, int32_t isr_len)
{
    step((struct part_event){ .kind = PART_EV_ROLE,
                              .role = { .leader = 1,
                                        .leader_epoch = leader_epoch,
                                        .partition_epoch = partition_epoch,
                                        .replicas = ids,
                                        .replicas_len = 3,
                                        .isr = isr,
                                        .isr_len = isr_len,
                                        .live = live,
                                        .my_epoch = 10 } });
}

static void setup(void)
{
    now_ms = 1000000;
    part_core_init(&core, 1, 0, 100, 80, 1, LAG_MS);
    for (int32_t i = 0; i < 3; i++)
        live[i] = (struct part_live){ .id = ids[i], .broker_epoch = 10 + i, .live = true };
    role(5, 7, ids, 2);
}

static void teardown(void)
{
    part_core_fini(&core);
}

static void fetched_as(int32_t replica, int64_t broker_epoch, int64_t offset)
{
    step((struct part_event){ .kind = PART_EV_FETCHED,
                              .fetched = { replica, broker_epoch, offset, 0, core.leo } });
}

static void fetched(int32_t replica, int64_t offset)
{
    fetched_as(replica, 9 + replica, offset);
}

static void tick(void)
{
    step((struct part_event){ .kind = PART_EV_TICK });
}

static void decided(uint64_t id, enum err err)
{
    step((struct part_event){ .kind = PART_EV_DECIDED,
                              .decided = { .proposal_id = id, .err = err } });
}

static void appended(int64_t leo)
{
    step((struct part_event){ .kind = PART_EV_APPENDED, .appended = { .leo = leo } });
}

START_TEST(who_has_caught_up_is_proposed_with_epochs)
{
    fetched(2, 100);
    ck_assert_ptr_null(effects.propose);
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
    const struct part_proposal *p = effects.propose;
    ck_assert_int_eq(p->leader_epoch, 5);
    ck_assert_int_eq(p->partition_epoch, 7);
    ck_assert_int_eq(p->members_len, 3);
    for (int32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(p->members[i].id, i + 1);
        ck_assert_int_eq(p->members[i].broker_epoch, 10 + i);
    }
}
END_TEST

START_TEST(below_the_hw_nobody_joins)
{
    fetched(2, 100);
    step((struct part_event){ .kind = PART_EV_LIVE,
                              .live = { .id = 3, .broker_epoch = 12, .live = false } });
    ck_assert_int_eq(core.hw, 100);
    step((struct part_event){ .kind = PART_EV_LIVE,
                              .live = { .id = 3, .broker_epoch = 12, .live = true } });
    fetched(3, 99);
    ck_assert_ptr_null(effects.propose);
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
}
END_TEST

/* It may have everything committed and still lack the start of this leadership. */
START_TEST(before_the_epoch_start_nobody_joins)
{
    ck_assert_int_eq(core.hw, 80);
    ck_assert_int_eq(core.epoch_start, 100);
    fetched(3, 90);
    ck_assert_ptr_null(effects.propose);
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
}
END_TEST

START_TEST(only_the_live_and_known_join)
{
    fetched_as(3, -1, 100); /* does not say its epoch */
    ck_assert_ptr_null(effects.propose);
    fetched_as(3, 50, 100); /* an epoch that no image has shown yet */
    ck_assert_ptr_null(effects.propose);
    step((struct part_event){ .kind = PART_EV_LIVE,
                              .live = { .id = 3, .broker_epoch = 50, .live = false } });
    fetched_as(3, 50, 100);
    ck_assert_ptr_null(effects.propose);
    step((struct part_event){ .kind = PART_EV_LIVE,
                              .live = { .id = 3, .broker_epoch = 50, .live = true } });
    fetched_as(3, 50, 100);
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_int_eq(effects.propose->members[2].broker_epoch, 50);
}
END_TEST

START_TEST(one_proposal_at_a_time)
{
    role(6, 8, ids, 1);
    fetched(2, 100);
    ck_assert_ptr_nonnull(effects.propose);
    uint64_t id = effects.propose->id;
    fetched(3, 100);
    ck_assert_ptr_null(effects.propose);
    role(6, 9, ids, 2);
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_uint_gt(effects.propose->id, id);
    ck_assert_int_eq(effects.propose->partition_epoch, 9);
}
END_TEST

START_TEST(who_lags_is_proposed_away)
{
    fetched(2, 100);
    appended(110);
    now_ms += LAG_MS;
    tick();
    ck_assert_ptr_null(effects.propose);
    now_ms++;
    tick();
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_int_eq(effects.propose->members_len, 1);
    ck_assert_int_eq(effects.propose->members[0].id, 1);
    ck_assert_int_eq(core.pending, PART_SHRINKING);
}
END_TEST

/* KAFKA-7152 */
START_TEST(who_has_all_is_in_sync_however_long_ago_it_fetched)
{
    fetched(2, 100);
    now_ms += 100 * LAG_MS;
    tick();
    ck_assert_ptr_null(effects.propose);
}
END_TEST

/* It never reaches the end of a busy log, but keeps up with where that was one fetch ago. */
START_TEST(who_keeps_up_with_a_busy_leader_stays)
{
    int64_t leo = 100;

    fetched(2, leo);
    for (int i = 0; i < 20; i++) {
        int64_t asks = leo;

        leo += 1000;
        appended(leo);
        now_ms += LAG_MS / 4;
        fetched(2, asks);
        tick();
        ck_assert_ptr_null(effects.propose);
    }
    for (int i = 0; i < 12; i++) { /* and now it falls behind */
        leo += 1000;
        appended(leo);
        now_ms += LAG_MS / 4;
        fetched(2, 25000 + i);
    }
    tick();
    ck_assert_ptr_nonnull(effects.propose);
}
END_TEST

START_TEST(pending_stays_unchanged_and_goes_again)
{
    fetched(3, 100);
    uint64_t id = core.proposal.id;

    for (enum err err = ERR_UNKNOWN_SERVER_ERROR; err < 110; err++) {
        if (err == ERR_INELIGIBLE_REPLICA || err == ERR_OPERATION_NOT_ATTEMPTED)
            continue;
        decided(id, err);
        ck_assert_int_eq(core.pending, PART_EXPANDING);
    }
    now_ms += 999;
    tick();
    ck_assert_ptr_null(effects.propose);
    now_ms += 1;
    tick();
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_uint_eq(effects.propose->id, id);
    step((struct part_event){ .kind = PART_EV_RESEND });
    ck_assert_uint_eq(effects.propose->id, id);
    ck_assert_int_eq(effects.propose->members_len, 3);
}
END_TEST

START_TEST(a_refusal_ends_it_for_a_while)
{
    fetched(3, 100);
    uint64_t id = core.proposal.id;

    decided(id + 1, ERR_INELIGIBLE_REPLICA); /* of another */
    ck_assert_int_eq(core.pending, PART_EXPANDING);
    decided(id, ERR_INELIGIBLE_REPLICA);
    ck_assert_int_eq(core.pending, PART_SETTLED);
    ck_assert(!part_in_maximal_isr(&core, 3));
    fetched(3, 100);
    ck_assert_ptr_null(effects.propose);
    now_ms += 500;
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_uint_ne(core.proposal.id, id);
    decided(id, ERR_INELIGIBLE_REPLICA); /* late */
    ck_assert_int_eq(core.pending, PART_EXPANDING);
}
END_TEST

START_TEST(a_later_epoch_ends_what_is_pending)
{
    fetched(3, 100);
    role(5, 7, ids, 2); /* no news */
    ck_assert_int_eq(core.pending, PART_EXPANDING);
    role(5, 8, ids, 3);
    ck_assert_int_eq(core.pending, PART_SETTLED);
    step((struct part_event){ .kind = PART_EV_RESEND });
    ck_assert_ptr_null(effects.propose);
}
END_TEST

START_TEST(who_stops_proposes_nothing_more)
{
    step((struct part_event){ .kind = PART_EV_STOP });
    fetched(3, 100);
    ck_assert_ptr_null(effects.propose);
    now_ms += 10 * LAG_MS;
    appended(200);
    tick();
    ck_assert_ptr_null(effects.propose);
}
END_TEST

START_TEST(a_member_that_is_no_replica_goes)
{
    static const int32_t odd[] = { 1, 9 };

    role(6, 8, odd, 2);
    tick();
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_int_eq(effects.propose->members_len, 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_isr");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, who_has_caught_up_is_proposed_with_epochs);
    tcase_add_test(tc, below_the_hw_nobody_joins);
    tcase_add_test(tc, before_the_epoch_start_nobody_joins);
    tcase_add_test(tc, only_the_live_and_known_join);
    tcase_add_test(tc, one_proposal_at_a_time);
    tcase_add_test(tc, who_lags_is_proposed_away);
    tcase_add_test(tc, who_has_all_is_in_sync_however_long_ago_it_fetched);
    tcase_add_test(tc, who_keeps_up_with_a_busy_leader_stays);
    tcase_add_test(tc, pending_stays_unchanged_and_goes_again);
    tcase_add_test(tc, a_refusal_ends_it_for_a_while);
    tcase_add_test(tc, a_later_epoch_ends_what_is_pending);
    tcase_add_test(tc, who_stops_proposes_nothing_more);
    tcase_add_test(tc, a_member_that_is_no_replica_goes);
    return unit_run(tc);
}
