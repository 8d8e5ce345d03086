/*
 * part_core: the rules that keep what was acknowledged. The high watermark counts the maximal ISR
 * and stands still below min.insync.replicas; epochs never go back; an earlier life of a follower
 * counts for nothing.
 */
#include "broker/replica/part_core.h"

#include <check.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define LAG_MS 30000

static struct part_core core;
static struct part_effects effects;
static int64_t now_ms;
static struct part_live live[3];

static const int32_t ids[] = { 1, 2, 3 };

static void setup(void)
{
    now_ms = 1000000;
    part_core_init(&core, 1, 0, 100, 90, 1, LAG_MS);
    for (int32_t i = 0; i < 3; i++)
        live[i] = (struct part_live){ .id = ids[i], .broker_epoch = 10 + i, .live = true };
}

static void teardown(void)
{
    part_core_fini(&core);
}

static void step(const struct part_event *ev)
{
    part_step(&core, ev, now_ms, &effects);
}

static void role_of(int32_t leader, int32_t leader_epoch, int32_t partition_epoch,
                    const int32_t *replicas, int32_t replicas_len, const int32_t *isr,
                    int32_t isr_len)
{
    step(&(struct part_event){ .kind = PART_EV_ROLE,
                               .role = { .leader = leader,
                                         .leader_epoch = leader_epoch,
                                         .partition_epoch = partition_epoch,
                                         .replicas = replicas,
                                         .replicas_len = replicas_len,
                                         .isr = isr,
                                         .isr_len = isr_len,
                                         .live = live,
                                         .my_epoch = 10 } });
}

static void role(int32_t leader, int32_t leader_epoch, int32_t partition_epoch, int32_t isr_len)
{
    role_of(leader, leader_epoch, partition_epoch, ids, 3, ids, isr_len);
}

static void appended(int64_t leo)
{
    step(&(struct part_event){ .kind = PART_EV_APPENDED, .appended = { .leo = leo } });
}

static enum err fetched_as(int32_t replica, int64_t broker_epoch, int64_t offset)
{
    step(&(struct part_event){ .kind = PART_EV_FETCHED,
                               .fetched = { .replica = replica,
                                            .broker_epoch = broker_epoch,
                                            .offset = offset,
                                            .log_start = 0,
                                            .leader_leo = core.leo } });
    return effects.refused;
}

static void fetched(int32_t replica, int64_t offset)
{
    ck_assert_int_eq(fetched_as(replica, 9 + replica, offset), ERR_OK);
}

static void followed(int64_t leo, int64_t leader_hw)
{
    step(&(struct part_event){ .kind = PART_EV_FOLLOWED,
                               .followed = { .leo = leo, .leader_hw = leader_hw } });
}

static void alive(int32_t id, int64_t epoch, bool is_live)
{
    step(&(struct part_event){ .kind = PART_EV_LIVE,
                               .live = { .id = id, .broker_epoch = epoch, .live = is_live } });
}

static void min_isr(int32_t n)
{
    step(&(struct part_event){ .kind = PART_EV_CONF,
                               .conf = { .min_isr = n, .lag_max_ms = LAG_MS } });
}

/* ---- the high watermark ---- */

START_TEST(hw_is_the_least_of_the_isr)
{
    role(1, 5, 7, 3);
    ck_assert_int_eq(core.hw, 90); /* the others are not heard of yet */
    fetched(2, 100);
    ck_assert_int_eq(core.hw, 90);
    fetched(3, 97);
    ck_assert_int_eq(core.hw, 97);
    ck_assert(effects.hw_moved);
    appended(110);
    ck_assert_int_eq(core.hw, 97);
    fetched(2, 110);
    fetched(3, 105);
    ck_assert_int_eq(core.hw, 105);
}
END_TEST

START_TEST(a_leader_alone_commits_at_once)
{
    role(1, 5, 7, 1);
    for (int32_t id = 2; id <= 3; id++)
        alive(id, 9 + id, false);
    ck_assert_int_eq(core.hw, 100);
    appended(101);
    ck_assert_int_eq(core.hw, 101);
}
END_TEST

START_TEST(hw_never_goes_back_at_a_leader)
{
    role(1, 5, 7, 2);
    fetched(2, 100);
    ck_assert_int_eq(core.hw, 100);
    fetched(2, 95);
    ck_assert_int_eq(core.hw, 100);
    ck_assert(!effects.hw_moved);
}
END_TEST

/* KAFKA-15583: what a consumer was shown must be on min.insync.replicas. */
START_TEST(hw_stands_still_below_min_isr)
{
    min_isr(2);
    role(1, 5, 7, 1);
    alive(2, 11, false);
    alive(3, 12, false);
    appended(120);
    ck_assert_int_eq(core.hw, 90);
    min_isr(1);
    ck_assert_int_eq(core.hw, 120);
}
END_TEST

START_TEST(min_isr_above_the_replicas_means_all_of_them)
{
    min_isr(5);
    role_of(1, 5, 7, ids, 2, ids, 2);
    fetched(2, 100);
    ck_assert_int_eq(core.hw, 100);
    ck_assert_int_eq(part_check_produce(&core, -1), ERR_OK);
}
END_TEST

/* An outsider that keeps up holds the high watermark, so that it can join; a dead or slow one does
 * not. */
START_TEST(who_keeps_up_counts_while_it_lives)
{
    role(1, 5, 7, 2);
    fetched(3, 100);
    step(&(struct part_event){
        .kind = PART_EV_DECIDED,
        .decided = { .proposal_id = core.proposal.id, .err = ERR_INELIGIBLE_REPLICA } });
    fetched(2, 100);
    ck_assert_int_eq(core.hw, 100);
    appended(110);
    fetched(2, 110);
    ck_assert_int_eq(core.hw, 100);
    alive(3, 12, false);
    ck_assert_int_eq(core.hw, 110);
    alive(3, 12, true);
    appended(120);
    now_ms += LAG_MS + 1;
    fetched(2, 120);
    ck_assert_int_eq(core.hw, 120); /* 3 has lagged for too long */
}
END_TEST

START_TEST(a_proposed_member_counts_at_once)
{
    role(1, 5, 7, 2);
    fetched(2, 100);
    fetched(3, 100);
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert(part_in_maximal_isr(&core, 3));
    ck_assert(!part_in_isr(&core, 3));
    appended(110);
    now_ms += 10 * LAG_MS; /* no longer for keeping up */
    fetched(2, 110);
    ck_assert_int_eq(core.hw, 100);
    role(1, 5, 8, 3);
    ck_assert_int_eq(core.hw, 100);
    fetched(3, 110);
    ck_assert_int_eq(core.hw, 110);
}
END_TEST

START_TEST(a_member_proposed_away_counts_until_that_is_decided)
{
    role(1, 5, 7, 2);
    fetched(2, 100);
    alive(3, 12, false);
    appended(110);
    now_ms += LAG_MS + 1;
    step(&(struct part_event){ .kind = PART_EV_TICK });
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_int_eq(effects.propose->members_len, 1);
    ck_assert_int_eq(core.hw, 100);
    role(1, 5, 8, 1);
    ck_assert_int_eq(core.hw, 110);
}
END_TEST

/* ---- roles ---- */

START_TEST(roles_follow_the_image)
{
    role(1, 0, 0, 3);
    ck_assert_int_eq(core.role, PART_LEADER);
    ck_assert(effects.role_changed && effects.assign_epoch && !effects.start_fetching);
    role(2, 1, 1, 3);
    ck_assert_int_eq(core.role, PART_FOLLOWER);
    ck_assert(effects.lost_leadership && effects.start_fetching && !effects.assign_epoch);
    role(2, 2, 2, 3);
    ck_assert(effects.start_fetching && effects.role_changed); /* the same leader in a new epoch */
    role(2, 2, 3, 2);
    ck_assert(!effects.start_fetching && !effects.role_changed && effects.isr_changed);
    role(PART_NO_LEADER, 3, 4, 2);
    ck_assert_int_eq(core.role, PART_IDLE);
    ck_assert(effects.stop_fetching);
    role(1, 4, 5, 2);
    ck_assert(effects.assign_epoch && !effects.lost_leadership);
    role(1, 4, 6, 2);
    ck_assert(!effects.assign_epoch && !effects.role_changed);
    role_of(1, 4, 7, ids + 1, 2, ids + 1, 2); /* not one of the replicas any more */
    ck_assert_int_eq(core.role, PART_IDLE);
    ck_assert(effects.lost_leadership);
}
END_TEST

START_TEST(epochs_never_go_back)
{
    role(1, 5, 7, 3);
    role(2, 4, 9, 3);
    ck_assert_int_eq(effects.refused, ERR_STALE_CONTROLLER_EPOCH);
    role(1, 5, 6, 2);
    ck_assert_int_eq(effects.refused, ERR_STALE_CONTROLLER_EPOCH);
    role(2, 5, 8, 2); /* another leader in the same epoch */
    ck_assert_int_eq(effects.refused, ERR_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(core.role, PART_LEADER);
    ck_assert_int_eq(core.partition_epoch, 7);
    ck_assert_int_eq(core.isr_len, 3);
    role(1, 5, 7, 3); /* the same once more, as in a fresh image */
    ck_assert_int_eq(effects.refused, ERR_OK);
}
END_TEST

START_TEST(a_new_leader_knows_nothing_of_its_followers)
{
    role(1, 5, 7, 3);
    fetched(2, 100);
    fetched(3, 100);
    role(2, 6, 8, 3);
    followed(110, 100);
    role(1, 7, 9, 3);
    ck_assert_int_eq(core.epoch_start, 110);
    ck_assert_int_eq(part_other(&core, 2)->leo, -1);
    ck_assert(!part_hw_is_known(&core));
    fetched(2, 110);
    ck_assert_int_eq(core.hw, 100);
    fetched(3, 110);
    ck_assert(part_hw_is_known(&core));
    role(1, 8, 10, 3); /* led before: what is known stays */
    ck_assert_int_eq(part_other(&core, 2)->leo, 110);
}
END_TEST

static void lead_unsynced(int32_t leader_epoch, int64_t unsynced)
{
    step(&(struct part_event){ .kind = PART_EV_ROLE,
                               .role = { .leader = 1,
                                         .leader_epoch = leader_epoch,
                                         .partition_epoch = leader_epoch,
                                         .replicas = ids,
                                         .replicas_len = 3,
                                         .isr = ids,
                                         .isr_len = 3,
                                         .live = live,
                                         .my_epoch = 10,
                                         .unsynced = unsynced } });
}

static void synced(int32_t leader_epoch, int64_t upto)
{
    step(&(struct part_event){ .kind = PART_EV_SYNCED,
                               .synced = { .leader_epoch = leader_epoch, .upto = upto } });
}

static void appended_due(int64_t leo)
{
    step(&(struct part_event){ .kind = PART_EV_APPENDED,
                               .appended = { .leo = leo, .flush_due = true } });
}

START_TEST(a_leader_commits_what_is_synced)
{
    role(1, 5, 7, 3);
    fetched(2, 100);
    fetched(3, 100);
    ck_assert_int_eq(core.hw, 100);
    appended_due(105);
    appended_due(110);
    fetched(2, 110);
    fetched(3, 110);
    ck_assert_int_eq(core.hw, 100);
    synced(5, 105);
    ck_assert(effects.hw_moved);
    ck_assert_int_eq(core.hw, 105);
    synced(4, 110); /* of another leadership */
    ck_assert_int_eq(core.hw, 105);
    appended(112); /* fewer than are wanted together */
    fetched(2, 112);
    fetched(3, 112);
    synced(5, 110);
    ck_assert_int_eq(core.hw, 112);
    appended_due(120);
    fetched(2, 120);
    fetched(3, 120);
    synced(5, 110); /* of the one before, late */
    ck_assert_int_eq(core.hw, 112);
    synced(5, 130); /* more than that */
    ck_assert_int_eq(core.hw, 120);
}
END_TEST

START_TEST(a_new_leader_commits_its_tail_when_it_is_synced)
{
    role(2, 5, 5, 3);
    synced(5, 100); /* nobody's business */
    lead_unsynced(6, 4);
    ck_assert(effects.assign_epoch && effects.sync_tail);
    appended(110);
    fetched(2, 110);
    fetched(3, 110);
    ck_assert_int_eq(core.hw, 96);
    synced(5, 110); /* of another leadership */
    ck_assert_int_eq(core.hw, 96);
    role(1, 6, 7, 3);
    ck_assert(!effects.sync_tail);
    ck_assert_int_eq(core.hw, 96);
    synced(6, 100);
    ck_assert(effects.hw_moved);
    ck_assert_int_eq(core.hw, 110);
    lead_unsynced(8, 3); /* a new epoch of its own: what is committed stays so */
    ck_assert(effects.sync_tail);
    ck_assert_int_eq(core.hw, 110);
    role(2, 9, 9, 3);
    role(1, 10, 10, 3);
    ck_assert(!effects.sync_tail); /* all is on the disk by now */
    appended(120);
    fetched(2, 120);
    fetched(3, 120);
    ck_assert_int_eq(core.hw, 120);
}
END_TEST

/* It did not hear of the leader of 6, which had 3 cut its log to 100 and died. */
START_TEST(a_leader_that_missed_an_epoch_begins_anew)
{
    static const int32_t others[] = { 1, 3 };
    enum err err;

    role(1, 5, 7, 3);
    appended(105);
    fetched(2, 100);
    fetched(3, 105);
    ck_assert_int_eq(core.hw, 100);
    role_of(1, 7, 9, ids, 3, others, 2);
    ck_assert_int_eq(core.hw, 100);
    ck_assert_int_eq(part_other(&core, 3)->leo, -1);
    fetched(3, 105);
    ck_assert_int_eq(core.hw, 105);
    ck_assert_int_eq(part_acked(&core, 105, 5, &err), PART_ACK_FAILED);
    ck_assert_int_eq(err, ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

/* ---- followers' fetches ---- */

START_TEST(an_earlier_life_of_a_follower_is_refused)
{
    role(1, 5, 7, 3);
    fetched(2, 100);
    ck_assert_int_eq(fetched_as(2, 50, 40), ERR_OK); /* it came back with less */
    ck_assert_int_eq(part_other(&core, 2)->leo, 40);
    ck_assert_int_eq(fetched_as(2, 11, 100), ERR_STALE_BROKER_EPOCH);
    ck_assert_int_eq(part_other(&core, 2)->leo, 40);
    alive(3, 60, true);
    ck_assert_int_eq(fetched_as(3, 12, 100), ERR_STALE_BROKER_EPOCH);
}
END_TEST

START_TEST(a_new_life_in_the_image_resets_what_is_known)
{
    role(1, 5, 7, 2);
    fetched(2, 100);
    alive(2, 50, true);
    ck_assert_int_eq(part_other(&core, 2)->leo, -1);
    appended(110);
    ck_assert_int_eq(core.hw, 100);
    ck_assert_int_eq(fetched_as(2, 50, 110), ERR_OK);
    alive(3, 12, false);
    ck_assert_int_eq(core.hw, 110);
}
END_TEST

/* After a hiccup of ZooKeeper its fetch in the old epoch may still be parked. */
START_TEST(a_member_that_registers_anew_stays_as_long_as_any)
{
    bool fetches_first = _i == 1, by_role = _i == 2;

    role(1, 5, 7, 3);
    fetched(2, 100);
    fetched(3, 100);
    now_ms += 10 * LAG_MS;
    fetched(3, 100);
    if (by_role) {
        live[1].broker_epoch = 50;
        role(1, 5, 8, 3);
    } else if (fetches_first) {
        appended(110);
        ck_assert_int_eq(fetched_as(2, 50, 100), ERR_OK); /* a little behind */
        fetched(3, 110);
    } else {
        alive(2, 11, false);
        alive(2, 50, true);
    }
    step(&(struct part_event){ .kind = PART_EV_TICK });
    ck_assert_ptr_null(effects.propose);
    if (!fetches_first)
        appended(110);
    ck_assert_int_eq(core.hw, 100); /* it counts, and has not fetched */
    now_ms += LAG_MS;
    fetched(3, 110);
    step(&(struct part_event){ .kind = PART_EV_TICK });
    ck_assert_ptr_null(effects.propose);
    now_ms++;
    step(&(struct part_event){ .kind = PART_EV_TICK });
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert_int_eq(effects.propose->members_len, 2);
    ck_assert_int_eq(effects.propose->members[1].id, 3);
}
END_TEST

/* It has lost its tail: what it had in its former life holds nobody up. */
START_TEST(who_leaves_the_isr_is_not_waited_for_on_trust)
{
    static const int32_t others[] = { 1, 3 };

    role(1, 5, 7, 3);
    fetched(2, 100);
    fetched(3, 100);
    alive(2, 50, true);
    live[1].broker_epoch = 50;
    if (_i == 1)
        ck_assert_int_eq(fetched_as(2, 50, 10), ERR_OK);
    role_of(1, 5, 8, ids, 3, others, 2);
    appended(110);
    fetched(3, 110);
    ck_assert_int_eq(core.hw, 110);
}
END_TEST

START_TEST(who_may_fetch_is_checked_in_order)
{
    role_of(1, 5, 7, ids, 2, ids, 2);
    ck_assert_int_eq(part_check_follower(&core, 3, 12, true), ERR_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(part_check_follower(&core, 3, 12, false), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(part_check_epoch(&core, 4, true), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(part_check_epoch(&core, 6, true), ERR_UNKNOWN_LEADER_EPOCH);
    ck_assert_int_eq(part_check_epoch(&core, -1, true), ERR_OK);
    role_of(2, 6, 8, ids, 2, ids, 2);
    ck_assert_int_eq(part_check_epoch(&core, 5, true), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(part_check_epoch(&core, 6, true), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(part_check_epoch(&core, 6, false), ERR_OK);
    ck_assert_int_eq(part_check_follower(&core, 2, 11, true), ERR_NOT_LEADER_OR_FOLLOWER);
    role_of(PART_NO_LEADER, 7, 9, ids, 2, ids, 2);
    ck_assert_int_eq(part_check_epoch(&core, 7, false), ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

/* ---- produce ---- */

START_TEST(produce_needs_leader_and_min_isr)
{
    ck_assert_int_eq(part_check_produce(&core, 1), ERR_NOT_LEADER_OR_FOLLOWER);
    min_isr(2);
    role(1, 5, 7, 1);
    ck_assert_int_eq(part_check_produce(&core, -1), ERR_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(part_check_produce(&core, 1), ERR_OK);
    role(1, 5, 8, 2);
    ck_assert_int_eq(part_check_produce(&core, -1), ERR_OK);
}
END_TEST

START_TEST(acked_means_committed_by_enough)
{
    enum err err;

    min_isr(2);
    role(1, 5, 7, 2);
    appended(110);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_WAIT);
    fetched(2, 110);
    alive(3, 12, false);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_DONE);
    role(1, 5, 8, 1);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_FAILED);
    ck_assert_int_eq(err, ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    ck_assert_int_eq(part_acked(&core, 111, 5, &err), PART_ACK_WAIT);
    role(1, 6, 9, 2);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_DONE);
    role(2, 7, 10, 2);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_FAILED);
    ck_assert_int_eq(err, ERR_NOT_LEADER_OR_FOLLOWER);
    /* it leads again: what it appended then may have been replaced */
    role(1, 8, 11, 2);
    fetched(2, 110);
    ck_assert_int_eq(part_acked(&core, 110, 5, &err), PART_ACK_FAILED);
    ck_assert_int_eq(err, ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

/* ---- a follower's side ---- */

START_TEST(a_follower_takes_over_the_leaders_hw_as_far_as_it_has_it)
{
    role(2, 5, 7, 3);
    followed(105, 120);
    ck_assert_int_eq(core.hw, 105);
    followed(130, 122);
    ck_assert_int_eq(core.hw, 122);
    followed(131, 100); /* a new leader that does not know yet takes nothing back */
    ck_assert_int_eq(core.hw, 122);
}
END_TEST

START_TEST(a_cut_log_takes_its_hw_along)
{
    role(2, 5, 7, 3);
    followed(120, 110);
    step(&(struct part_event){ .kind = PART_EV_TRUNCATED,
                               .truncated = { .leo = 105, .log_start = 0 } });
    ck_assert_int_eq(core.hw, 105);
    ck_assert(effects.hw_moved);
    step(&(struct part_event){ .kind = PART_EV_TRUNCATED,
                               .truncated = { .leo = 500, .log_start = 500 } });
    ck_assert_int_eq(core.hw, 500); /* begun anew: KAFKA-9491 */
}
END_TEST

START_TEST(time_means_something_to_a_leader_with_somebody_behind)
{
    role(2, 4, 6, 3);
    ck_assert(!part_is_restless(&core));
    role(1, 5, 7, 3);
    ck_assert(part_is_restless(&core)); /* nobody has fetched yet */
    fetched(2, 100);
    ck_assert(part_is_restless(&core));
    fetched(3, 100);
    ck_assert(!part_is_restless(&core));
    appended(101);
    ck_assert(part_is_restless(&core));
    fetched(2, 101);
    alive(3, 12, false); /* dead, but it counts still */
    ck_assert(part_is_restless(&core));
    now_ms += LAG_MS + 1;
    step(&(struct part_event){ .kind = PART_EV_TICK });
    ck_assert_ptr_nonnull(effects.propose);
    ck_assert(part_is_restless(&core)); /* the proposal may have to go again */
    live[2].live = false;
    role(1, 5, 8, 2);
    ck_assert(!part_is_restless(&core)); /* a dead outsider */
    alive(3, 13, true);
    ck_assert(part_is_restless(&core)); /* it counts while it keeps up */
}
END_TEST

START_TEST(low_watermark_is_of_the_living)
{
    role(1, 5, 7, 3);
    step(&(struct part_event){ .kind = PART_EV_LOG_START, .log_start = { .log_start = 50 } });
    ck_assert_int_eq(part_low_watermark(&core), -1); /* nobody has said */
    step(&(struct part_event){ .kind = PART_EV_FETCHED, .fetched = { 2, 11, 100, 50, 100 } });
    ck_assert(effects.log_start_moved);
    step(&(struct part_event){ .kind = PART_EV_FETCHED, .fetched = { 3, 12, 100, 20, 100 } });
    ck_assert_int_eq(part_low_watermark(&core), 20);
    alive(3, 12, false);
    ck_assert_int_eq(part_low_watermark(&core), 50);
}
END_TEST

START_TEST(a_checkpoint_beyond_the_log_is_clamped)
{
    struct part_core other;

    part_core_init(&other, 1, 10, 100, 500, 1, LAG_MS);
    ck_assert_int_eq(other.hw, 100);
    part_core_fini(&other);
    part_core_init(&other, 1, 10, 100, 0, 1, LAG_MS);
    ck_assert_int_eq(other.hw, 10);
    part_core_fini(&other);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_core");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, hw_is_the_least_of_the_isr);
    tcase_add_test(tc, a_leader_alone_commits_at_once);
    tcase_add_test(tc, hw_never_goes_back_at_a_leader);
    tcase_add_test(tc, hw_stands_still_below_min_isr);
    tcase_add_test(tc, min_isr_above_the_replicas_means_all_of_them);
    tcase_add_test(tc, who_keeps_up_counts_while_it_lives);
    tcase_add_test(tc, a_proposed_member_counts_at_once);
    tcase_add_test(tc, a_member_proposed_away_counts_until_that_is_decided);
    tcase_add_test(tc, roles_follow_the_image);
    tcase_add_test(tc, epochs_never_go_back);
    tcase_add_test(tc, a_new_leader_knows_nothing_of_its_followers);
    tcase_add_test(tc, a_leader_commits_what_is_synced);
    tcase_add_test(tc, a_new_leader_commits_its_tail_when_it_is_synced);
    tcase_add_test(tc, a_leader_that_missed_an_epoch_begins_anew);
    tcase_add_test(tc, an_earlier_life_of_a_follower_is_refused);
    tcase_add_test(tc, a_new_life_in_the_image_resets_what_is_known);
    tcase_add_loop_test(tc, a_member_that_registers_anew_stays_as_long_as_any, 0, 3);
    tcase_add_loop_test(tc, who_leaves_the_isr_is_not_waited_for_on_trust, 0, 2);
    tcase_add_test(tc, who_may_fetch_is_checked_in_order);
    tcase_add_test(tc, produce_needs_leader_and_min_isr);
    tcase_add_test(tc, acked_means_committed_by_enough);
    tcase_add_test(tc, a_follower_takes_over_the_leaders_hw_as_far_as_it_has_it);
    tcase_add_test(tc, a_cut_log_takes_its_hw_along);
    tcase_add_test(tc, time_means_something_to_a_leader_with_somebody_behind);
    tcase_add_test(tc, low_watermark_is_of_the_living);
    tcase_add_test(tc, a_checkpoint_beyond_the_log_is_clamped);
    return unit_run(tc);
}
