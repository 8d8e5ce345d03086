/*
 * reassign: from the request to the last tombstone, with controllers that die between the
 * steps, cancelled and replaced moves, and what tools of before 2.4 write into znodes. States are
 * "leader/isr leader-epoch partition-epoch"; Kafka needs more leader epochs for the same, because
 * it takes replicas out of the ISR one by one.
 */
#include <check.h>

#include "gen/wire/apis.h"
#include "gen/wire/list_partition_reassignments.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void six_brokers(void)
{
    toy_up(&toy, 6);
}

static void say_deleted(int32_t broker, const char *topic, int32_t partition, int32_t leader_epoch)
{
    struct image_tombstone stone = { .broker = broker,
                                     .topic_id = toy_topic(&toy, topic)->id,
                                     .partition = partition,
                                     .leader_epoch = leader_epoch };

    toy_ack_deleted(&toy, broker, 1, &stone);
}

static const char *list(void)
{
    static struct list_partition_reassignments_request req;

    list_partition_reassignments_request_init(&req);
    req.topics_len = -1;
    toy_ask(&toy, API_LIST_PARTITION_REASSIGNMENTS, 0, &req);
    return toy.listed;
}

START_TEST(from_beginning_to_end)
{
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    MOVES("t", 0, IDS(4, 5, 6));
    ASSIGNS("t", 0, "4,5,6,1,2,3 +4,5,6 -1,2,3");
    ASSIGNS("t", 1, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 1 1");
    STONES("t", "");
    ck_assert_str_eq(list(), "t-0 4,5,6,1,2,3 +4 +5 +6 -1 -2 -3;");

    JOINS(1, "t", 0, IDS(1, 2, 3, 4));
    SHOWS("t", 0, "1/1,2,3,4 1 2");
    ASSIGNS("t", 0, "4,5,6,1,2,3 +4,5,6 -1,2,3");

    /* the write that completes the ISR is followed by the one that ends it */
    JOINS(1, "t", 0, IDS(1, 2, 3, 4, 5, 6));
    SHOWS("t", 0, "4/4,5,6 2 4");
    ASSIGNS("t", 0, "4,5,6");
    STONES("t", "1:0@2 2:0@2 3:0@2");
    ck_assert_str_eq(list(), "");

    say_deleted(2, "t", 0, 2);
    STONES("t", "1:0@2 3:0@2");
    say_deleted(1, "t", 0, 2);
    say_deleted(3, "t", 0, 2);
    STONES("t", "");
    ck_assert_uint_eq(image_n_tombstones(core_image(toy.core)), 0);
}
END_TEST

START_TEST(what_is_in_sync_already_is_done_at_once)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    MOVES("t", 0, IDS(3, 1));
    ASSIGNS("t", 0, "3,1");
    SHOWS("t", 0, "1/1,3 1 1"); /* the leader stays */
    STONES("t", "2:0@1");
    MOVES("t", 0, IDS(3, 1));
    ASSIGNS("t", 0, "3,1");
    SHOWS("t", 0, "1/1,3 2 2");
    STONES("t", "2:0@1");
}
END_TEST

START_TEST(a_leader_that_leaves_hands_over)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    MOVES("t", 0, IDS(3, 2));
    ASSIGNS("t", 0, "3,2");
    SHOWS("t", 0, "3/2,3 1 1");
    STONES("t", "1:0@1");
}
END_TEST

/* Their machines may be gone, and nobody knows yet: then those who are to leave have the last copy.
 */
START_TEST(nobody_is_dropped_before_a_stayer_has_spoken)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(3, 1)), -99);
    ASSIGNS("t", 0, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert(core_is_busy(toy.core));
    toy_ack(&toy, 3);
    ASSIGNS("t", 0, "3,1");
    SHOWS("t", 0, "1/1,3 1 1");
    STONES("t", "2:0@1");
}
END_TEST

START_TEST(nobody_is_dropped_in_the_end_before_a_newcomer_has_spoken)
{
    toy_create(&toy, "t", 1, IDS(1));
    MOVES("t", 0, IDS(4));
    toy.brokers[4].acks = false;
    toy_propose(&toy, 1, "t", 0, IDS(1, 4));
    ASSIGNS("t", 0, "4,1 +4 -1");
    SHOWS("t", 0, "1/1,4 1 2");
    toy_ack(&toy, 4);
    ASSIGNS("t", 0, "4");
    SHOWS("t", 0, "4/4 2 3");
}
END_TEST

/* It was no replica when it came back with all its directories, and then it is one again. */
START_TEST(an_old_failure_of_a_directory_is_forgotten_with_the_replica)
{
    toy_create(&toy, "t", 1, IDS(1, 4));
    toy_fail_dir(&toy, 4, "t", 0);
    SHOWS("t", 0, "1/1 1 1");
    MOVES("t", 0, IDS(1));
    toy_kill(&toy, 4);
    toy_start(&toy, 4);
    MOVES("t", 0, IDS(1, 4));
    JOINS(1, "t", 0, IDS(1, 4));
}
END_TEST

START_TEST(refusals)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(99)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(1, 1)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(-9)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), ERR_NO_REASSIGNMENT_IN_PROGRESS);
    ck_assert_int_eq(toy_reassign(&toy, "t", 1, IDS(1, 2)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(toy_reassign(&toy, "u", 0, IDS(1, 2)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    toy_kill(&toy, 4);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(1, 4)), ERR_INVALID_REPLICA_ASSIGNMENT);
    SHOWS("t", 0, "1/1,2 0 0");
    ASSIGNS("t", 0, "1,2");
}
END_TEST

START_TEST(cancel)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(3, 2));
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    SHOWS("t", 0, "1/1,2 1 1");
    MOVES("t", 0, CANCEL);
    /* as in Kafka the order of before is lost: 2 is in both lists */
    ASSIGNS("t", 0, "2,1");
    SHOWS("t", 0, "1/1,2 2 2");
    STONES("t", "3:0@2");
}
END_TEST

START_TEST(cancel_takes_a_newcomer_out_of_the_isr)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(4, 5, 6));
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 4));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "4/2,4 2 3"); /* the replicas wanted come first */
    MOVES("t", 0, CANCEL);
    ASSIGNS("t", 0, "1,2");
    SHOWS("t", 0, "2/2 3 4");
    STONES("t", "4:0@3 5:0@3 6:0@3");
}
END_TEST

START_TEST(cancel_never_throws_away_the_only_ones_in_sync)
{
    toy_create(&toy, "t", 1, IDS(1));
    MOVES("t", 0, IDS(4, 5, 6));
    toy_propose(&toy, 1, "t", 0, IDS(1, 4));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "4/4 2 3");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), ERR_INVALID_REPLICA_ASSIGNMENT);
    ASSIGNS("t", 0, "4,5,6,1 +4,5,6 -1");
    SHOWS("t", 0, "4/4 2 3");
    STONES("t", "");
}
END_TEST

START_TEST(another_move_replaces_the_one_under_way)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(1, 4));
    ASSIGNS("t", 0, "1,4,2 +4 -2");
    MOVES("t", 0, IDS(1, 2, 5));
    ASSIGNS("t", 0, "1,2,5 +5");
    STONES("t", "4:0@2");
    SHOWS("t", 0, "1/1,2 2 2");
    /* wanted again before it has deleted anything: the tombstone goes */
    MOVES("t", 0, IDS(1, 2, 4));
    ASSIGNS("t", 0, "1,2,4 +4");
    STONES("t", "5:0@3");
}
END_TEST

START_TEST(the_next_controller_goes_on)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(3, 2));
    toy_next_controller(&toy);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    ck_assert_str_eq(list(), "t-0 3,2,1 +3 -1;");
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    SHOWS("t", 0, "3/2,3 2 3");
    ASSIGNS("t", 0, "3,2");
    toy_next_controller(&toy);
    STONES("t", "1:0@2");
    say_deleted(1, "t", 0, 2);
    STONES("t", "");
}
END_TEST

START_TEST(the_controller_dies_with_the_last_write)
{
    for (int carried_out = 0; carried_out < 2; carried_out++) {
        const char *name = carried_out ? "b" : "a";

        toy_create(&toy, name, 1, IDS(1, 2));
        MOVES(name, 0, IDS(3, 2));
        toy_propose(&toy, 1, name, 0, IDS(1, 2, 3));
        ASSIGNS(name, 0, "3,2");
        MOVES(name, 0, IDS(1, 2));
        toy.lose = carried_out ? TOY_LOSE_AFTER : TOY_LOSE_BEFORE;
        toy_propose(&toy, 3, name, 0, IDS(1, 2, 3));
        toy_next_controller(&toy);
        if (toy_part(&toy, name, 0)->n_adding > 0)
            toy_propose(&toy, 3, name, 0, IDS(1, 2, 3));
        ASSIGNS(name, 0, "1,2");
        ck_assert_int_ne(toy_part(&toy, name, 0)->state.leader, 3);
    }
}
END_TEST

START_TEST(waits_for_everybody_wanted)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    MOVES("t", 0, IDS(1, 4, 3));
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 2 2");
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 4));
    ASSIGNS("t", 0, "1,4,3,2 +4 -2"); /* 3 is wanted and dead */
    toy_start(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3, 4));
    ASSIGNS("t", 0, "1,4,3");
    SHOWS("t", 0, "1/1,3,4 3 5");
    STONES("t", "2:0@3");
}
END_TEST

START_TEST(the_leader_is_dead_when_all_are_there)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(4));
    toy.hold = true; /* the proposal's write is out when the leader dies */
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 4));
    toy_kill(&toy, 1);
    toy_release(&toy);
    ASSIGNS("t", 0, "4");
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, 4);
    ck_assert_uint_eq(toy_part(&toy, "t", 0)->state.isr.n, 1);
    STONES("t", "1:0@3 2:0@3"); /* 1 is told when it comes back */
}
END_TEST

START_TEST(a_partition_without_a_leader_begins_to_move)
{
    toy_create(&toy, "t", 1, IDS(1));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 1 1");
    MOVES("t", 0, IDS(4));
    ASSIGNS("t", 0, "4,1 +4 -1");
    toy_start(&toy, 1);
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, 1);
    toy_propose(&toy, 1, "t", 0, IDS(1, 4));
    ASSIGNS("t", 0, "4");
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, 4);
}
END_TEST

START_TEST(deletion_ends_a_move)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(3, 2));
    toy_delete(&toy, "t");
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 3); /* newcomers too */
    ck_assert_str_eq(list(), "");
}
END_TEST

START_TEST(a_tombstone_of_a_move_outlives_the_topic)
{
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy_kill(&toy, 2);
    MOVES("t", 0, IDS(3, 1));
    STONES("t", "2:0@2");
    toy_delete(&toy, "t");
    ck_assert_uint_eq(toy.n_stones, 6); /* 1 and 3 both partitions, 2 both as well */
}
END_TEST

/* A move has the word it asked for, and then has to wait for a write that its topic's znode or its
 * partition is part of. By the time that this is done, who gave the word may be gone. */

/* The proposal's is out; the next one is kept, too. */
static void hold_two_writes(void)
{
    toy.hold = toy.hold_next = true;
    toy_propose(&toy, 1, "u", 0, IDS(1));
}

static void release_both(void)
{
    toy_release(&toy);
    toy.hold_next = false;
    toy_release(&toy);
}

START_TEST(the_end_of_a_move_that_had_to_wait_needs_a_younger_word)
{
    toy_create(&toy, "t", 2, IDS(1));
    toy_create(&toy, "u", 1, IDS(1, 2));
    MOVES("t", 0, IDS(4));
    toy.brokers[4].acks = false;
    toy_propose(&toy, 1, "t", 0, IDS(1, 4));
    hold_two_writes();
    toy_ack(&toy, 4);
    toy_want_move(&toy, "t", 1, IDS(1, 2)); /* the second write is of the topic's znode */
    release_both();
    ASSIGNS("t", 1, "1,2 +2");
    ASSIGNS("t", 0, "4,1 +4 -1");
    SHOWS("t", 0, "1/1,4 1 2");
    toy_ack(&toy, 4);
    ASSIGNS("t", 0, "4");
    SHOWS("t", 0, "4/4 2 3");
}
END_TEST

START_TEST(a_request_that_had_to_wait_needs_a_younger_word)
{
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS(3, 1)), -99);
    hold_two_writes();
    toy_ack(&toy, 3);
    toy_want_move(&toy, "t", 1, IDS(1, 2, 3, 4));
    release_both();
    ASSIGNS("t", 1, "1,2,3,4 +4");
    ASSIGNS("t", 0, "1,2,3");
    toy_ack(&toy, 3);
    ASSIGNS("t", 0, "3,1");
}
END_TEST

START_TEST(a_wish_that_had_to_wait_needs_a_younger_word)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    toy_want_move(&toy, "t", 0, IDS(1));
    toy_kill(&toy, 2);
    ASSIGNS("t", 0, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 0 0");
    toy.hold = true;
    toy_ack(&toy, 1); /* that 2 leaves is written first */
    toy_release(&toy);
    SHOWS("t", 0, "1/1,3 1 1");
    ASSIGNS("t", 0, "1,2,3");
    toy_ack(&toy, 1);
    ASSIGNS("t", 0, "1");
    SHOWS("t", 0, "1/1 2 2");
}
END_TEST

START_TEST(a_znode_of_wishes_is_carried_out)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_want_move(&toy, "t", 0, IDS(3, 2));
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    ck_assert(toy.moves.there); /* old tools look whether it is */
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    ASSIGNS("t", 0, "3,2");
    ck_assert(!toy.moves.there);
    toy_want_move(&toy, "t", 0, IDS(3, 2)); /* done already */
    ck_assert(!toy.moves.there);
    toy_want_move(&toy, "t", 0, IDS(99)); /* cannot be done */
    ck_assert(!toy.moves.there);
    toy_want_move(&toy, "nothing", 7, IDS(1, 2));
    ck_assert(!toy.moves.there);
    ASSIGNS("t", 0, "3,2");
}
END_TEST

START_TEST(of_what_is_wished_twice_the_last_counts)
{
    struct core_named_part parts[] = { { STR("t"), 0, IDS(1, 2, 4) },
                                       { STR("t"), 1, IDS(2, 1) },
                                       { STR("t"), 0, IDS(3, 2) } };

    toy_create(&toy, "t", 2, IDS(1, 2));
    toy_want_moves(&toy, 3, parts);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    ASSIGNS("t", 1, "2,1");
    JOINS(1, "t", 0, IDS(1, 2, 3));
    ASSIGNS("t", 0, "3,2");
    ck_assert(!toy.moves.there);
}
END_TEST

START_TEST(a_request_is_newer_than_a_wish)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_want_move(&toy, "t", 0, IDS(3, 2));
    MOVES("t", 0, IDS(1, 4));
    ASSIGNS("t", 0, "1,4,2 +4 -2");
    ck_assert(!toy.moves.there);
}
END_TEST

START_TEST(wishes_wait_for_the_brokers_to_say_hello)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_win(&toy);
    toy_want_move(&toy, "t", 0, IDS(3, 2));
    ASSIGNS("t", 0, "1,2");
    toy_all_hello(&toy);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
}
END_TEST

START_TEST(a_znode_of_elections_is_carried_out)
{
    struct core_named_part parts[] = { { .topic = STR("t"), .partition = 0 },
                                       { .topic = STR("t"), .partition = 9 },
                                       { .topic = STR("u"), .partition = 0 } };

    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    toy_propose(&toy, 2, "t", 0, IDS(2, 1));
    SHOWS("t", 0, "2/2,1 1 2");
    toy.elections_there = true;
    toy_step(&toy,
             (struct core_event){ .kind = CORE_ELECTIONS_WANTED,
                                  .wishes = { .there = true, .parts = { .n = 3, .at = parts } } });
    SHOWS("t", 0, "1/2,1 2 3");
    ck_assert(!toy.elections_there);
}
END_TEST

START_TEST(a_state_that_another_hand_changed_is_read_again)
{
    struct core_named_part part = { .topic = STR("t"), .partition = 0 };
    struct toy_topic *t;

    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    t = toy_topic(&toy, "t");
    t->parts[0].state.isr.n = 2;
    t->parts[0].state.partition_epoch = 1;
    toy_step(&toy, (struct core_event){ .kind = CORE_ISR_CHANGED,
                                        .named_parts = { .n = 1, .at = &part } });
    SHOWS("t", 0, "1/1,2 0 1"); /* and toy_agree() holds everybody to it */
}
END_TEST

/* Another hand removes a state, begins a move and makes the state again: when it is read, both are
 * news of the same partition. */
START_TEST(a_move_that_is_noted_twice_ends_once)
{
    struct core_event gone = { .kind = CORE_STATE_READ };
    struct toy_topic *topic;

    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    topic = toy_topic(&toy, "t");
    topic->version++;
    topic->parts[0].removing[0] = 3;
    topic->parts[0].n_removing = 1;
    gone.state_read.topic_id = topic->id;
    toy_step(&toy, gone);
    ASSIGNS("t", 0, "1,2");
    SHOWS("t", 0, "1/1,2 1 1");
}
END_TEST

/* Nobody of it lives, so that there is nothing to wait for. */
START_TEST(no_move_ends_without_replicas)
{
    struct toy_topic *topic;
    struct str name = STR("t");

    toy_create(&toy, "t", 1, IDS(1));
    topic = toy_topic(&toy, "t");
    topic->parts[0] =
        (struct toy_part){ .replicas = { 8 }, .n_replicas = 1, .removing = { 8 }, .n_removing = 1 };
    toy_new_core(&toy);
    toy_next_controller(&toy);
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 1, &name } });
    ASSIGNS("t", 0, "8 -8");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), ERR_OK);
    ASSIGNS("t", 0, "8");
}
END_TEST

START_TEST(moves_of_many_partitions_share_multis)
{
    toy_create(&toy, "t", 40, IDS(1, 2));
    size_t writes = toy.n_writes;
    const struct ids target = IDS(2, 1, 3);
    struct core_named_part parts[16];

    for (int32_t i = 0; i < 16; i++)
        parts[i] = (struct core_named_part){ STR("t"), i, target };
    toy_want_moves(&toy, 16, parts);
    ck_assert_uint_eq(toy.n_writes, writes + 1);
    ck_assert_uint_eq(toy.last_ops, 17);
    ASSIGNS("t", 15, "2,1,3 +3");
    ASSIGNS("t", 16, "1,2");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("reassign");

    tcase_add_checked_fixture(tc, six_brokers, core_kit_end);
    tcase_add_test(tc, from_beginning_to_end);
    tcase_add_test(tc, what_is_in_sync_already_is_done_at_once);
    tcase_add_test(tc, a_leader_that_leaves_hands_over);
    tcase_add_test(tc, nobody_is_dropped_before_a_stayer_has_spoken);
    tcase_add_test(tc, nobody_is_dropped_in_the_end_before_a_newcomer_has_spoken);
    tcase_add_test(tc, an_old_failure_of_a_directory_is_forgotten_with_the_replica);
    tcase_add_test(tc, refusals);
    tcase_add_test(tc, cancel);
    tcase_add_test(tc, cancel_takes_a_newcomer_out_of_the_isr);
    tcase_add_test(tc, cancel_never_throws_away_the_only_ones_in_sync);
    tcase_add_test(tc, another_move_replaces_the_one_under_way);
    tcase_add_test(tc, the_next_controller_goes_on);
    tcase_add_test(tc, the_controller_dies_with_the_last_write);
    tcase_add_test(tc, waits_for_everybody_wanted);
    tcase_add_test(tc, the_leader_is_dead_when_all_are_there);
    tcase_add_test(tc, a_partition_without_a_leader_begins_to_move);
    tcase_add_test(tc, deletion_ends_a_move);
    tcase_add_test(tc, a_tombstone_of_a_move_outlives_the_topic);
    tcase_add_test(tc, the_end_of_a_move_that_had_to_wait_needs_a_younger_word);
    tcase_add_test(tc, a_request_that_had_to_wait_needs_a_younger_word);
    tcase_add_test(tc, a_wish_that_had_to_wait_needs_a_younger_word);
    tcase_add_test(tc, a_znode_of_wishes_is_carried_out);
    tcase_add_test(tc, of_what_is_wished_twice_the_last_counts);
    tcase_add_test(tc, a_request_is_newer_than_a_wish);
    tcase_add_test(tc, wishes_wait_for_the_brokers_to_say_hello);
    tcase_add_test(tc, a_znode_of_elections_is_carried_out);
    tcase_add_test(tc, a_state_that_another_hand_changed_is_read_again);
    tcase_add_test(tc, a_move_that_is_noted_twice_ends_once);
    tcase_add_test(tc, no_move_ends_without_replicas);
    tcase_add_test(tc, moves_of_many_partitions_share_multis);
    return unit_run(tc);
}
