/*
 * repair: states that another hand has set back, removed or made unreadable. What stands in
 * ZooKeeper is written over in an epoch above all that was seen, nobody ever goes back in one, and
 * no write is repeated for ever; a partition that cannot be stored keeps nobody waiting but its
 * own.
 */
#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(2, 3, 1));
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
}

static struct toy_part *part_of(const char *topic)
{
    return &toy_topic(&toy, topic)->parts[0];
}

/* By hand: with the next version, unless that is set after it. */
static void set_state(const char *topic, int32_t leader, struct ids isr, int32_t leader_epoch)
{
    struct toy_part *part = part_of(topic);

    part->state.leader = leader;
    part->state.leader_epoch = leader_epoch;
    part->state.partition_epoch++;
    for (uint32_t i = 0; i < isr.n; i++)
        part->isr[i] = isr.at[i];
    part->state.isr = (struct ids){ part->isr, isr.n };
}

static void propose_at(int32_t leader, const char *topic, struct ids isr, int32_t leader_epoch,
                       int32_t partition_epoch)
{
    struct core_member members[3];
    struct core_proposal p = { .topic_id = toy_topic(&toy, topic)->id,
                               .proposal_id = 8,
                               .leader_epoch = leader_epoch,
                               .partition_epoch = partition_epoch,
                               .n_isr = isr.n,
                               .isr = members };

    for (uint32_t i = 0; i < isr.n; i++)
        members[i] = (struct core_member){ isr.at[i], toy.brokers[isr.at[i]].epoch };
    toy_send_proposal(&toy, leader, &p);
}

/* By the epochs that the leader knows, not those in ZooKeeper. */
static void propose(int32_t leader, const char *topic, struct ids isr)
{
    const struct image_part *known = toy_known(&toy, leader, topic, 0);

    propose_at(leader, topic, isr, known->leader_epoch, known->partition_epoch);
}

START_TEST(a_state_that_is_set_back_is_adopted_in_a_later_epoch)
{
    size_t writes = toy.n_writes;

    set_state("t", 2, IDS(2, 1), 0);
    toy_start(&toy, 3); /* finds nothing to write of it */
    JOINS(2, "u", 0, IDS(2, 3, 1));
    propose(1, "t", IDS(1));
    SHOWS("t", 0, "2/2,1 2 3");
    ck_assert_uint_lt(toy.n_writes - writes, 8);
}
END_TEST

START_TEST(what_is_to_be_decided_is_decided_on_top_of_it)
{
    set_state("t", 2, IDS(2, 1), 0);
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 2 3");
    ck_assert_uint_lt(toy.n_writes, 12);
}
END_TEST

/* A ZooKeeper that has lost its last writes knows less than we do. */
START_TEST(a_state_of_an_earlier_version_is_written_over_with_what_is_known)
{
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 2 2");
    toy_start(&toy, 2);
    set_state("t", 2, IDS(1, 2), 0);
    part_of("t")->state.partition_epoch = 1;
    propose(1, "t", IDS(1, 2));
    SHOWS("t", 0, "1/1 3 2");
    JOINS(1, "t", 0, IDS(1, 2));
}
END_TEST

START_TEST(one_epoch_has_one_leader)
{
    set_state("t", 2, IDS(1, 2), 1);
    toy_kill(&toy, 1); /* it is still thought to lead */
    SHOWS("t", 0, "2/2 2 3");
    ck_assert_int_eq(toy_known(&toy, 2, "t", 0)->leader_epoch, 2);
}
END_TEST

START_TEST(a_newer_state_is_taken_as_it_is)
{
    set_state("t", 2, IDS(1, 2), 7);
    propose(1, "t", IDS(1));
    SHOWS("t", 0, "2/1,2 7 2");
    ck_assert_int_eq(toy_known(&toy, 1, "t", 0)->leader_epoch, 7);
}
END_TEST

START_TEST(members_that_can_be_none_are_passed_over)
{
    set_state("t", 9, IDS(9, 2), 0);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2 2 3");
}
END_TEST

START_TEST(a_state_that_is_removed_is_made_again)
{
    size_t writes;

    toy_start(&toy, 3);
    JOINS(1, "t", 0, IDS(1, 2, 3));
    part_of("t")->has_state = false;
    writes = toy.n_writes;
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 2 0");
    ck_assert_uint_lt(toy.n_writes - writes, 8);
    toy_start(&toy, 3);
    JOINS(1, "t", 0, IDS(1, 2, 3));
}
END_TEST

START_TEST(a_load_finds_it_too)
{
    set_state("t", 2, IDS(2, 1), 0);
    part_of("u")->has_state = false;
    toy.lose = TOY_LOSE_BEFORE;
    toy_create(&toy, "v", 1, IDS(1));
    SHOWS("t", 0, "2/2,1 2 3");
    SHOWS("u", 0, "2/2,1 2 0");
}
END_TEST

/* A controller that is new cannot know what was there before. */
START_TEST(what_a_broker_has_met_counts)
{
    struct core_failure failure = { .topic_id = toy_topic(&toy, "t")->id,
                                    .leader_epoch = 6,
                                    .partition_epoch = 9,
                                    .err = ERR_STALE_CONTROLLER_EPOCH };

    toy_next_controller(&toy);
    toy_ack_failure(&toy, 2, &failure);
    SHOWS("t", 0, "1/1,2 7 2");
    toy_ack_failure(&toy, 2, &failure); /* an old word */
    SHOWS("t", 0, "1/1,2 7 2");
}
END_TEST

START_TEST(and_so_does_another_leader_that_it_has_met)
{
    struct core_failure failure = { .topic_id = toy_topic(&toy, "t")->id,
                                    .leader_epoch = 1,
                                    .partition_epoch = 1,
                                    .err = ERR_STALE_CONTROLLER_EPOCH };

    toy_next_controller(&toy);
    toy_ack_failure(&toy, 2, &failure);
    SHOWS("t", 0, "1/1,2 2 2");
}
END_TEST

/* All epochs there are have been used up: nothing is written, and nothing aborts. */
START_TEST(the_last_epoch_of_all)
{
    struct core_failure failure = { .topic_id = toy_topic(&toy, "t")->id,
                                    .leader_epoch = INT32_MAX,
                                    .partition_epoch = 9,
                                    .err = ERR_STALE_CONTROLLER_EPOCH };

    toy_ack_failure(&toy, 2, &failure);
    SHOWS("t", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(what_cannot_be_stored_is_tried_less_and_less)
{
    size_t writes = toy.n_writes;

    toy.stuck = "t";
    toy_kill(&toy, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 8);
    writes = toy.n_writes;
    toy_advance(&toy, 60000);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 24);
    toy.stuck = NULL;
    toy_advance(&toy, 11000);
    SHOWS("t", 0, "1/1 2 2");
    writes = toy.n_writes;
    toy_advance(&toy, 60000);
    ck_assert_uint_eq(toy.n_writes, writes);
}
END_TEST

START_TEST(it_keeps_only_its_own_waiting)
{
    toy_start(&toy, 3);
    toy.stuck = "t";
    toy_start(&toy, 2); /* a new process: in sync with t, whose states cannot be written */
    ck_assert_int_ne(toy_state(&toy, 2), NODE_LIVE);
    toy_start(&toy, 3);
    IS(3, NODE_LIVE);
    toy_create(&toy, "v", 1, IDS(3, 1));
    SHOWS("v", 0, "3/3,1 0 0");
    toy.stuck = NULL;
    toy_advance(&toy, 11000);
    IS(2, NODE_LIVE);
    SHOWS("t", 0, "1/1 2 2");
}
END_TEST

START_TEST(a_move_of_it_waits_too)
{
    size_t writes;

    toy_start(&toy, 3);
    MOVES("t", 0, IDS(3, 1));
    toy.stuck = "t";
    writes = toy.n_writes;
    propose(1, "t", IDS(1, 2, 3));
    toy_advance(&toy, 1000);
    ck_assert_uint_lt(toy.n_writes - writes, 8);
    toy.stuck = NULL;
    toy_advance(&toy, 11000);
    JOINS(1, "t", 0, IDS(1, 2, 3));
    toy_advance(&toy, 11000);
    ASSIGNS("t", 0, "3,1");
}
END_TEST

/* ---- states that cannot be read ---- */

static void garble(const char *topic)
{
    part_of(topic)->is_garbled = true;
    part_of(topic)->state.partition_epoch++;
}

/* By hand, so that it can be read again. */
static void restore(const char *topic, int32_t leader, struct ids isr, int32_t leader_epoch)
{
    set_state(topic, leader, isr, leader_epoch);
    part_of(topic)->has_state = true;
    part_of(topic)->is_garbled = false;
}

static void another_controller(void)
{
    toy_new_core(&toy);
    toy_next_controller(&toy);
}

/* Nothing is known of it: not to a client, nor to a broker. */
static void is_blind(const char *topic)
{
    ck_assert_int_eq(toy_known(&toy, 0, topic, 0)->leader, LEADER_NONE);
    ck_assert_int_eq(toy_known(&toy, 0, topic, 0)->leader_epoch, -1);
    ck_assert_uint_eq(toy_known(&toy, 0, topic, 0)->isr.n, 0);
}

START_TEST(what_is_known_is_written_over_a_state_that_cannot_be_read)
{
    size_t writes = toy.n_writes;

    garble("t");
    propose(1, "t", IDS(1));
    SHOWS("t", 0, "1/1,2 2 3");
    ck_assert(!part_of("t")->is_garbled);
    ck_assert_int_eq(toy_known(&toy, 1, "t", 0)->leader_epoch, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 8);
}
END_TEST

/* _i: a leader that no broker can be, or an epoch that no other can follow. */
START_TEST(what_no_controller_writes_is_no_state)
{
    int32_t leader = _i == 0 ? -2 : 2, leader_epoch = _i == 0 ? 2 : INT32_MAX;
    struct core_named_part part = { .topic = STR("t"), .partition = 0 };

    set_state("t", leader, IDS(2, 1), leader_epoch);
    toy_step(&toy, (struct core_event){ .kind = CORE_ISR_CHANGED,
                                        .named_parts = { .n = 1, .at = &part } });
    SHOWS("t", 0, "1/1,2 2 3");
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2 3 4");
    set_state("t", leader, IDS(2, 1), leader_epoch);
    another_controller();
    is_blind("t");
    toy_advance(&toy, 60000);
    is_blind("t");
}
END_TEST

START_TEST(and_so_it_is_when_everything_is_read_once_more)
{
    garble("t");
    toy.lose = TOY_LOSE_BEFORE;
    toy_create(&toy, "v", 1, IDS(1));
    SHOWS("t", 0, "1/1,2 2 3");
    ck_assert(!part_of("t")->is_garbled);
}
END_TEST

/* Whoever was in sync is not known to a new controller: neither deaths nor returns, clients nor
 * time make it guess, and all else goes on. */
START_TEST(a_new_controller_decides_nothing_of_a_state_that_it_cannot_read)
{
    size_t writes;

    garble("t");
    another_controller();
    is_blind("t");
    toy_start(&toy, 3);
    IS(3, NODE_LIVE);
    JOINS(2, "u", 0, IDS(2, 1, 3));
    toy_kill(&toy, 2);
    SHOWS("u", 0, "3/1,3 2 3");
    toy_start(&toy, 2);
    IS(2, NODE_LIVE);
    writes = toy.n_writes;
    propose_at(1, "t", IDS(1), 1, 1); /* it leads as before */
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(2)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ASSIGNS("t", 0, "1,2,3");
    toy_elect(&toy, 1, "t");
    toy_advance(&toy, 60000);
    ck_assert_uint_eq(toy.n_writes, writes);
    ck_assert(part_of("t")->is_garbled);
    is_blind("t");
    part_of("t")->has_state = false; /* which says as little */
    toy_advance(&toy, 60000);
    ck_assert(!part_of("t")->has_state);
    is_blind("t");
}
END_TEST

/* _i: the state was removed before somebody wrote one again. */
START_TEST(it_goes_on_from_one_that_it_can_read)
{
    garble("t");
    another_controller();
    if (_i == 1) {
        part_of("t")->has_state = false;
        toy_advance(&toy, 11000);
        part_of("t")->state.partition_epoch = -1;
    }
    restore("t", 2, IDS(2, 1), 1);
    toy_advance(&toy, 11000);
    SHOWS("t", 0, _i == 1 ? "2/2,1 2 1" : "2/2,1 2 4"); /* in an epoch that no process has had */
    JOINS(2, "t", 0, IDS(1, 2));
    toy_start(&toy, 3);
    JOINS(2, "t", 0, IDS(1, 2, 3));
}
END_TEST

/* What was seen for a moment does not make it one that is known. */
START_TEST(one_that_goes_before_it_is_written_over_leaves_it_blind)
{
    garble("t");
    another_controller();
    toy.stuck = "t";
    restore("t", 1, IDS(1, 2), 1);
    toy_advance(&toy, 11000);
    part_of("t")->has_state = false;
    toy.stuck = NULL;
    toy_advance(&toy, 60000);
    SHOWS("t", 0, "none");
    is_blind("t");
}
END_TEST

static void read_everything_again(const char *topic)
{
    toy.lose = TOY_LOSE_BEFORE;
    toy_create(&toy, topic, 1, IDS(1));
}

START_TEST(it_is_still_blind_when_everything_is_read_once_more)
{
    garble("t");
    another_controller();
    part_of("t")->has_state = false;
    read_everything_again("v");
    SHOWS("t", 0, "none");
    is_blind("t");
    restore("t", 1, IDS(1, 2), 1);
    read_everything_again("w");
    SHOWS("t", 0, "1/1,2 2 4");
}
END_TEST

START_TEST(what_brokers_have_met_of_it_counts)
{
    struct core_failure failure = { .topic_id = toy_topic(&toy, "t")->id,
                                    .leader_epoch = 6,
                                    .partition_epoch = 9,
                                    .err = ERR_STALE_CONTROLLER_EPOCH };

    garble("t");
    another_controller();
    toy_ack_failure(&toy, 2, &failure);
    is_blind("t");
    restore("t", 1, IDS(1, 2), 1);
    toy_advance(&toy, 11000);
    SHOWS("t", 0, "1/1,2 7 4");
}
END_TEST

START_TEST(a_state_that_names_nobody_helps_nobody)
{
    garble("t");
    another_controller();
    restore("t", 9, IDS(9), 1);
    toy_advance(&toy, 11000);
    SHOWS("t", 0, "9/9 1 3");
    is_blind("t");
    restore("t", 1, IDS(1), 1);
    toy_advance(&toy, 11000);
    SHOWS("t", 0, "1/1 2 5");
}
END_TEST

START_TEST(the_next_controller_can_read_it_or_not)
{
    garble("t");
    another_controller();
    another_controller();
    is_blind("t");
    restore("t", 1, IDS(1, 2), 3);
    another_controller();
    SHOWS("t", 0, "1/1,2 3 3");
    ck_assert_int_eq(toy_known(&toy, 1, "t", 0)->leader_epoch, 3);
}
END_TEST

/* Also a move that was under way. */
START_TEST(a_move_of_it_does_not_arrive)
{
    toy_start(&toy, 3);
    MOVES("t", 0, IDS(3, 1));
    ASSIGNS("t", 0, "3,1,2 -2");
    garble("t");
    another_controller();
    toy_advance(&toy, 60000);
    is_blind("t");
    ASSIGNS("t", 0, "3,1,2 -2");
    restore("t", 1, IDS(1, 2), 2);
    toy_advance(&toy, 11000);
    JOINS(1, "t", 0, IDS(1, 2, 3));
    toy_advance(&toy, 11000);
    ASSIGNS("t", 0, "3,1");
}
END_TEST

START_TEST(its_topic_can_go_with_all_its_files)
{
    garble("t");
    another_controller();
    ck_assert_int_eq(toy_delete(&toy, "t"), ERR_OK);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 3);
    for (size_t i = 0; i < toy.n_stones; i++)
        ck_assert_int_eq(toy.stones[i].leader_epoch, INT32_MAX);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("repair");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, a_state_that_is_set_back_is_adopted_in_a_later_epoch);
    tcase_add_test(tc, what_is_to_be_decided_is_decided_on_top_of_it);
    tcase_add_test(tc, a_state_of_an_earlier_version_is_written_over_with_what_is_known);
    tcase_add_test(tc, one_epoch_has_one_leader);
    tcase_add_test(tc, a_newer_state_is_taken_as_it_is);
    tcase_add_test(tc, members_that_can_be_none_are_passed_over);
    tcase_add_test(tc, a_state_that_is_removed_is_made_again);
    tcase_add_test(tc, a_load_finds_it_too);
    tcase_add_test(tc, what_a_broker_has_met_counts);
    tcase_add_test(tc, and_so_does_another_leader_that_it_has_met);
    tcase_add_test(tc, the_last_epoch_of_all);
    tcase_add_test(tc, what_cannot_be_stored_is_tried_less_and_less);
    tcase_add_test(tc, it_keeps_only_its_own_waiting);
    tcase_add_test(tc, a_move_of_it_waits_too);
    tcase_add_test(tc, what_is_known_is_written_over_a_state_that_cannot_be_read);
    tcase_add_loop_test(tc, what_no_controller_writes_is_no_state, 0, 2);
    tcase_add_test(tc, and_so_it_is_when_everything_is_read_once_more);
    tcase_add_test(tc, a_new_controller_decides_nothing_of_a_state_that_it_cannot_read);
    tcase_add_loop_test(tc, it_goes_on_from_one_that_it_can_read, 0, 2);
    tcase_add_test(tc, one_that_goes_before_it_is_written_over_leaves_it_blind);
    tcase_add_test(tc, it_is_still_blind_when_everything_is_read_once_more);
    tcase_add_test(tc, what_brokers_have_met_of_it_counts);
    tcase_add_test(tc, a_state_that_names_nobody_helps_nobody);
    tcase_add_test(tc, the_next_controller_can_read_it_or_not);
    tcase_add_test(tc, a_move_of_it_does_not_arrive);
    tcase_add_test(tc, its_topic_can_go_with_all_its_files);
    return unit_run(tc);
}
