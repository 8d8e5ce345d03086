/*
 * reassign: from the request to the last tombstone, with controllers that die between the
 * steps, cancelled and replaced moves, and what tools of before 2.4 write into znodes. States are
 * "leader/isr leader-epoch partition-epoch"; Kafka needs more leader epochs for the same, because
 * it takes replicas out of the ISR one by one.
 */
#include <check.h>
#include <stdio.h>

#include "gen/wire/apis.h"
#include "gen/wire/list_partition_reassignments.h"
#include "tests/kit/toy_core.h"
#include "tests/kit/unit.h" /* unit_run */

static const int32_t r12[] = { 1, 2 }, r123[] = { 1, 2, 3 }, r31[] = { 3, 1 }, r32[] = { 3, 2 },
                     r213[] = { 2, 1, 3 }, r456[] = { 4, 5, 6 }, r14[] = { 1, 4 }, r4[] = { 4 },
                     r1[] = { 1 }, r99[] = { 99 }, r11[] = { 1, 1 }, r9[] = { -9 },
                     r21[] = { 2, 1 }, r123456[] = { 1, 2, 3, 4, 5, 6 }, r1234[] = { 1, 2, 3, 4 },
                     r124[] = { 1, 2, 4 }, r125[] = { 1, 2, 5 }, r143[] = { 1, 4, 3 };
static struct toy toy;

#define SHOWS(topic, partition, text)   ck_assert_str_eq(toy_show(&toy, topic, partition), text)
#define ASSIGNS(topic, partition, text) ck_assert_str_eq(toy_assigned(&toy, topic, partition), text)
#define STONES(topic, text)             ck_assert_str_eq(toy_stones(&toy, topic), text)
#define CANCEL                          IDS_NONE

static void six_brokers(void)
{
    toy_up(&toy, 6);
}

static void teardown(void)
{
    toy_agree(&toy);
    toy_fini(&toy);
}

static void say_deleted(int32_t broker, const char *topic, int32_t partition, int32_t leader_epoch)
{
    struct image_tombstone stone = { .broker = broker,
                                     .topic_id = toy_topic(&toy, topic)->id,
                                     .partition = partition,
                                     .leader_epoch = leader_epoch };
    struct toy_broker *b = &toy.brokers[broker];

    toy_step(&toy, (struct core_event){ .kind = CORE_ACKED,
                                        .acked = { .stream = b->stream,
                                                   .controller_epoch = toy.controller_epoch,
                                                   .version = image_version(b->image),
                                                   .n_deleted = 1,
                                                   .deleted = &stone } });
}

static const char *list(void)
{
    static struct list_partition_reassignments_request req;

    list_partition_reassignments_request_init(&req);
    req.topics_len = -1;
    toy_step(&toy, (struct core_event){ .kind = CORE_ADMIN,
                                        .admin = { .id = ++toy.requests,
                                                   .stream = 1,
                                                   .api_key = API_LIST_PARTITION_REASSIGNMENTS,
                                                   .request = &req } });
    return toy.listed;
}

START_TEST(from_beginning_to_end)
{
    toy_create(&toy, "t", 2, IDS_OF(r123));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r456)), 0);
    ASSIGNS("t", 0, "4,5,6,1,2,3 +4,5,6 -1,2,3");
    ASSIGNS("t", 1, "1,2,3");
    SHOWS("t", 0, "1/1,2,3 1 1");
    STONES("t", "");
    ck_assert_str_eq(list(), "t-0 4,5,6,1,2,3 +4 +5 +6 -1 -2 -3;");

    toy_propose(&toy, 1, "t", 0, IDS_OF(r1234));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
    SHOWS("t", 0, "1/1,2,3,4 1 2");
    ASSIGNS("t", 0, "4,5,6,1,2,3 +4,5,6 -1,2,3");

    /* the write that completes the ISR is followed by the one that ends it */
    toy_propose(&toy, 1, "t", 0, IDS_OF(r123456));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
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
    toy_create(&toy, "t", 1, IDS_OF(r123));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r31)), 0);
    ASSIGNS("t", 0, "3,1");
    SHOWS("t", 0, "1/1,3 1 1"); /* the leader stays */
    STONES("t", "2:0@1");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r31)), 0);
    ASSIGNS("t", 0, "3,1");
    SHOWS("t", 0, "1/1,3 2 2");
    STONES("t", "2:0@1");
}
END_TEST

START_TEST(a_leader_that_leaves_hands_over)
{
    toy_create(&toy, "t", 1, IDS_OF(r123));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r32)), 0);
    ASSIGNS("t", 0, "3,2");
    SHOWS("t", 0, "3/2,3 1 1");
    STONES("t", "1:0@1");
}
END_TEST

/* Their machines may be gone, and nobody knows yet: then those who are to leave have the last copy.
 */
START_TEST(nobody_is_dropped_before_a_stayer_has_spoken)
{
    toy_create(&toy, "t", 1, IDS_OF(r123));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r31)), -99);
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
    toy_create(&toy, "t", 1, IDS_OF(r1));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r4)), 0);
    toy.brokers[4].acks = false;
    toy_propose(&toy, 1, "t", 0, IDS_OF(r14));
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
    struct core_failure failure = { .err = ERR_KAFKA_STORAGE_ERROR };

    toy_create(&toy, "t", 1, IDS_OF(r14));
    failure.topic_id = toy_topic(&toy, "t")->id;
    toy_step(&toy,
             (struct core_event){
                 .kind = CORE_DIR_FAILED,
                 .dir_failed = { .stream = toy.brokers[4].stream, .n = 1, .parts = &failure } });
    SHOWS("t", 0, "1/1 1 1");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r1)), 0);
    toy_kill(&toy, 4);
    toy_start(&toy, 4);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r14)), 0);
    toy_propose(&toy, 1, "t", 0, IDS_OF(r14));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
}
END_TEST

START_TEST(refusals)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r99)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r11)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r9)), ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), ERR_NO_REASSIGNMENT_IN_PROGRESS);
    ck_assert_int_eq(toy_reassign(&toy, "t", 1, IDS_OF(r12)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(toy_reassign(&toy, "u", 0, IDS_OF(r12)), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    toy_kill(&toy, 4);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r14)), ERR_INVALID_REPLICA_ASSIGNMENT);
    SHOWS("t", 0, "1/1,2 0 0");
    ASSIGNS("t", 0, "1,2");
}
END_TEST

START_TEST(cancel)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r32)), 0);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    SHOWS("t", 0, "1/1,2 1 1");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), 0);
    /* as in Kafka the order of before is lost: 2 is in both lists */
    ASSIGNS("t", 0, "2,1");
    SHOWS("t", 0, "1/1,2 2 2");
    STONES("t", "3:0@2");
}
END_TEST

START_TEST(cancel_takes_a_newcomer_out_of_the_isr)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r456)), 0);
    toy_propose(&toy, 1, "t", 0, IDS_OF(r124));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "4/2,4 2 3"); /* the replicas wanted come first */
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, CANCEL), 0);
    ASSIGNS("t", 0, "1,2");
    SHOWS("t", 0, "2/2 3 4");
    STONES("t", "4:0@3 5:0@3 6:0@3");
}
END_TEST

START_TEST(cancel_never_throws_away_the_only_ones_in_sync)
{
    toy_create(&toy, "t", 1, IDS_OF(r1));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r456)), 0);
    toy_propose(&toy, 1, "t", 0, IDS_OF(r14));
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
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r14)), 0);
    ASSIGNS("t", 0, "1,4,2 +4 -2");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r125)), 0);
    ASSIGNS("t", 0, "1,2,5 +5");
    STONES("t", "4:0@2");
    SHOWS("t", 0, "1/1,2 2 2");
    /* wanted again before it has deleted anything: the tombstone goes */
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r124)), 0);
    ASSIGNS("t", 0, "1,2,4 +4");
    STONES("t", "5:0@3");
}
END_TEST

START_TEST(the_next_controller_goes_on)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r32)), 0);
    toy_next_controller(&toy);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    ck_assert_str_eq(list(), "t-0 3,2,1 +3 -1;");
    toy_propose(&toy, 1, "t", 0, IDS_OF(r123));
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

        toy_create(&toy, name, 1, IDS_OF(r12));
        ck_assert_int_eq(toy_reassign(&toy, name, 0, IDS_OF(r32)), 0);
        toy_propose(&toy, 1, name, 0, IDS_OF(r123));
        ASSIGNS(name, 0, "3,2");
        ck_assert_int_eq(toy_reassign(&toy, name, 0, IDS_OF(r12)), 0);
        toy.lose = carried_out ? TOY_LOSE_AFTER : TOY_LOSE_BEFORE;
        toy_propose(&toy, 3, name, 0, IDS_OF(r123));
        toy_next_controller(&toy);
        if (toy_part(&toy, name, 0)->n_adding > 0)
            toy_propose(&toy, 3, name, 0, IDS_OF(r123));
        ASSIGNS(name, 0, "1,2");
        ck_assert_int_ne(toy_part(&toy, name, 0)->state.leader, 3);
    }
}
END_TEST

START_TEST(waits_for_everybody_wanted)
{
    toy_create(&toy, "t", 1, IDS_OF(r123));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r143)), 0);
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 2 2");
    toy_propose(&toy, 1, "t", 0, IDS_OF(r124));
    ASSIGNS("t", 0, "1,4,3,2 +4 -2"); /* 3 is wanted and dead */
    toy_start(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS_OF(r1234));
    ASSIGNS("t", 0, "1,4,3");
    SHOWS("t", 0, "1/1,3,4 3 5");
    STONES("t", "2:0@3");
}
END_TEST

START_TEST(the_leader_is_dead_when_all_are_there)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r4)), 0);
    toy.hold = true; /* the proposal's write is out when the leader dies */
    toy_propose(&toy, 1, "t", 0, IDS_OF(r124));
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
    toy_create(&toy, "t", 1, IDS_OF(r1));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 1 1");
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r4)), 0);
    ASSIGNS("t", 0, "4,1 +4 -1");
    toy_start(&toy, 1);
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, 1);
    toy_propose(&toy, 1, "t", 0, IDS_OF(r14));
    ASSIGNS("t", 0, "4");
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, 4);
}
END_TEST

START_TEST(deletion_ends_a_move)
{

    toy_create(&toy, "t", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r32)), 0);
    toy_delete(&toy, "t");
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(toy.n_stones, 3); /* newcomers too */
    ck_assert_str_eq(list(), "");
}
END_TEST

START_TEST(a_tombstone_of_a_move_outlives_the_topic)
{

    toy_create(&toy, "t", 2, IDS_OF(r123));
    toy_kill(&toy, 2);
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r31)), 0);
    STONES("t", "2:0@2");
    toy_delete(&toy, "t");
    ck_assert_uint_eq(toy.n_stones, 6); /* 1 and 3 both partitions, 2 both as well */
}
END_TEST

static void want_moves(const char *topic, int32_t partition, struct ids target)
{
    struct core_named_part part = { .topic = str_of(topic), .partition = partition };

    part.replicas = target;
    toy.moves.there = true;
    toy_step(&toy,
             (struct core_event){ .kind = CORE_MOVES_WANTED,
                                  .wishes = { .there = true, .parts = { .n = 1, .at = &part } } });
}

/* A move has the word it asked for, and then has to wait for a write that its topic's znode or its
 * partition is part of. By the time that this is done, who gave the word may be gone. */

/* The proposal's is out; the next one is kept, too. */
static void hold_two_writes(void)
{
    toy.hold = toy.hold_next = true;
    toy_propose(&toy, 1, "u", 0, IDS_OF(r1));
}

static void release_both(void)
{
    toy_release(&toy);
    toy.hold_next = false;
    toy_release(&toy);
}

START_TEST(the_end_of_a_move_that_had_to_wait_needs_a_younger_word)
{
    toy_create(&toy, "t", 2, IDS_OF(r1));
    toy_create(&toy, "u", 1, IDS_OF(r12));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r4)), 0);
    toy.brokers[4].acks = false;
    toy_propose(&toy, 1, "t", 0, IDS_OF(r14));
    hold_two_writes();
    toy_ack(&toy, 4);
    want_moves("t", 1, IDS_OF(r12)); /* the second write is of the topic's znode */
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
    toy_create(&toy, "t", 2, IDS_OF(r123));
    toy_create(&toy, "u", 1, IDS_OF(r12));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r31)), -99);
    hold_two_writes();
    toy_ack(&toy, 3);
    want_moves("t", 1, IDS_OF(r1234));
    release_both();
    ASSIGNS("t", 1, "1,2,3,4 +4");
    ASSIGNS("t", 0, "1,2,3");
    toy_ack(&toy, 3);
    ASSIGNS("t", 0, "3,1");
}
END_TEST

START_TEST(a_wish_that_had_to_wait_needs_a_younger_word)
{
    toy_create(&toy, "t", 1, IDS_OF(r123));
    toy.brokers[1].acks = toy.brokers[3].acks = false;
    want_moves("t", 0, IDS_OF(r1));
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
    toy_create(&toy, "t", 1, IDS_OF(r12));
    want_moves("t", 0, IDS_OF(r32));
    ASSIGNS("t", 0, "3,2,1 +3 -1");
    ck_assert(toy.moves.there); /* old tools look whether it is */
    toy_propose(&toy, 1, "t", 0, IDS_OF(r123));
    ASSIGNS("t", 0, "3,2");
    ck_assert(!toy.moves.there);
    want_moves("t", 0, IDS_OF(r32)); /* done already */
    ck_assert(!toy.moves.there);
    want_moves("t", 0, IDS_OF(r99)); /* cannot be done */
    ck_assert(!toy.moves.there);
    want_moves("nothing", 7, IDS_OF(r12));
    ck_assert(!toy.moves.there);
    ASSIGNS("t", 0, "3,2");
}
END_TEST

START_TEST(a_request_is_newer_than_a_wish)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    want_moves("t", 0, IDS_OF(r32));
    ck_assert_int_eq(toy_reassign(&toy, "t", 0, IDS_OF(r14)), 0);
    ASSIGNS("t", 0, "1,4,2 +4 -2");
    ck_assert(!toy.moves.there);
}
END_TEST

START_TEST(wishes_wait_for_the_brokers_to_say_hello)
{
    toy_create(&toy, "t", 1, IDS_OF(r12));
    toy_win(&toy);
    want_moves("t", 0, IDS_OF(r32));
    ASSIGNS("t", 0, "1,2");
    for (int32_t id = 1; id <= 6; id++)
        toy_hello(&toy, id, false, false);
    ASSIGNS("t", 0, "3,2,1 +3 -1");
}
END_TEST

START_TEST(a_znode_of_elections_is_carried_out)
{
    struct core_named_part parts[] = { { .topic = STR("t"), .partition = 0 },
                                       { .topic = STR("t"), .partition = 9 },
                                       { .topic = STR("u"), .partition = 0 } };

    toy_create(&toy, "t", 1, IDS_OF(r12));
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    toy_propose(&toy, 2, "t", 0, IDS_OF(r21));
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

    toy_create(&toy, "t", 1, IDS_OF(r123));
    t = toy_topic(&toy, "t");
    t->parts[0].state.isr.n = 2;
    t->parts[0].state.partition_epoch = 1;
    toy_step(&toy, (struct core_event){ .kind = CORE_ISR_CHANGED,
                                        .named_parts = { .n = 1, .at = &part } });
    SHOWS("t", 0, "1/1,2 0 1"); /* and toy_agree() holds everybody to it */
}
END_TEST

START_TEST(moves_of_many_partitions_share_multis)
{
    toy_create(&toy, "t", 40, IDS_OF(r12));
    size_t writes = toy.n_writes;
    struct core_named_part parts[16];

    for (int32_t i = 0; i < 16; i++)
        parts[i] = (struct core_named_part){ STR("t"), i, IDS_OF(r213) };
    toy_step(&toy,
             (struct core_event){ .kind = CORE_MOVES_WANTED,
                                  .wishes = { .there = true, .parts = { .n = 16, .at = parts } } });
    ck_assert_uint_eq(toy.n_writes, writes + 1);
    ck_assert_uint_eq(toy.last_ops, 17);
    ASSIGNS("t", 15, "2,1,3 +3");
    ASSIGNS("t", 16, "1,2");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("reassign");

    tcase_add_checked_fixture(tc, six_brokers, teardown);
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
    tcase_add_test(tc, a_request_is_newer_than_a_wish);
    tcase_add_test(tc, wishes_wait_for_the_brokers_to_say_hello);
    tcase_add_test(tc, a_znode_of_elections_is_carried_out);
    tcase_add_test(tc, a_state_that_another_hand_changed_is_read_again);
    tcase_add_test(tc, moves_of_many_partitions_share_multis);
    return unit_run(tc);
}
