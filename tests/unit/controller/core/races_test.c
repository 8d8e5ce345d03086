/*
 * races: what went wrong in Kafka's ZooKeeper mode over the years, by the number of the issue, and
 * that it cannot here. Those that are not about the controller's decisions are shown elsewhere.
 *
 *   2729, 3042, 8836, 9212   cached state differs from ZooKeeper's        below
 *   3143                     dead at fail-over, in the ISR for ever       below
 *   4443                     leaders named before their endpoints         below
 *   4447                     events of before a resignation               below
 *   5028                     threads that share a controller's state      one thread
 *   5502, 5879               acting on what was true when a watch fired   below
 *   5473, 6517, 6879, 8121   sessions that expire                         seat_test, zk_enroll_test
 *   6082                     a deposed controller goes on writing         below; sim no_seat_check
 *   6193                     a wish removed before it came true           below
 *   6526, 6835               unclean election needs another controller    config_change_test
 *   6612                     growing brings a deleted topic back          below
 *   6650                     partitions without a state block             below
 *   7165, 7235               a quick restart goes unnoticed (KIP-380)     below; sim resumes
 *   7482                     who stops is told nothing any more           below
 *   7128, 9672               an ISR with who must not be in it            below
 *   9089                     one bad partition stops a reassignment       below
 *   7299, 9499, 10794, 17061 a request or a look at all for each of many below (as many writes and
 *                            messages for many as for one; the time: tests/bench/scale)
 *   9539                     a late deletion of a replica that is back    below (KIP-570)
 *   9769                     epoch moved although the log failed          parts_test: no room
 *   9866                     balance by who is not in sync                below
 *   9946, B5                 deletion that is not awaited                 topics_, reassign_test
 *   10193                    requests that nobody answers                 below
 *   10314                    a newcomer and an offline directory          parts_test
 *   12686, 12751, 13091, 13254  answers to ISR proposals                  part_core_test, below
 *   12835, 14190             a topic loses its id                         below
 *   13225                    nobody hears of a death                      below
 *   13572                    a count of imbalance below zero              none is kept
 *   14140                    who stops or is dead joins an ISR            below
 *   14144                    a lost answer fences a leader for ever       below
 *   14154                    an outdated controller answers               below
 *   15221                    joins by what an earlier life had (KIP-903)  below
 *   15583, last replica      committed records lost with the last one     elr_test, sim
 */
#include <check.h>
#include <stdio.h>

#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/delete_topics.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
}

START_TEST(kafka_2729_cached_state_differs)
{
    struct toy_part *part = &toy_topic(&toy, "t")->parts[0];

    part->state.partition_epoch = 5; /* written by another hand */
    part->state.isr.n = 2;
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 0 5"); /* read again, and there was nothing left to do */
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 1 6");
}
END_TEST

START_TEST(kafka_3143_dead_at_fail_over)
{
    toy_vanish(&toy, 3);
    toy_next_controller(&toy);
    toy_advance(&toy, 4000);
    SHOWS("t", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(kafka_4443_leaders_are_never_named_without_their_endpoints)
{
    toy_next_controller(&toy);
    for (int32_t id = 1; id <= 3; id++) {
        int32_t id_of_leader = toy_known(&toy, id, "t", 0)->leader;
        const struct node *leader = image_node(toy.brokers[id].image, id_of_leader);

        ck_assert_ptr_nonnull(leader);
        ck_assert_uint_gt(leader->n_endpoints, 0);
    }
}
END_TEST

START_TEST(kafka_4447_nothing_is_done_after_a_resignation)
{
    uint64_t stream = toy.brokers[1].stream;
    size_t writes = toy.n_writes;
    struct core_member member = { 1, toy.brokers[1].epoch };
    struct core_proposal p = { .topic_id = toy_topic(&toy, "t")->id, .n_isr = 1, .isr = &member };

    toy_step(&toy, (struct core_event){ .kind = CORE_RESIGNED });
    toy_step(&toy, (struct core_event){ .kind = CORE_ALTER_PARTITION,
                                        .alter_partition = { .stream = stream,
                                                             .broker_epoch = toy.brokers[1].epoch,
                                                             .n = 1,
                                                             .proposals = &p } });
    toy_step(&toy, (struct core_event){ .kind = CORE_TICK });
    ck_assert_int_eq(toy_grow(&toy, "t", 3), -99);
    ck_assert_int_eq(toy.answer_err, ERR_NOT_CONTROLLER);
    ck_assert_uint_eq(toy.n_writes, writes);
}
END_TEST

START_TEST(kafka_5879_what_a_watch_named_is_gone_when_it_is_read)
{
    struct str name = STR("ghost");

    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 1, &name } });
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 1);
    toy_step(&toy, (struct core_event){ .kind = CORE_DELETE_MARKS, .names = { 1, &name } });
    ck_assert_uint_eq(toy.n_marks, 0);
}
END_TEST

START_TEST(kafka_6082_a_deposed_controller_writes_nothing)
{
    toy.fenced = true;
    toy_kill(&toy, 1);
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert(!core_is_active(toy.core));
}
END_TEST

START_TEST(kafka_6193_a_wish_outlives_its_controller)
{
    toy_create(&toy, "u", 1, IDS(1, 2));
    toy_want_move(&toy, "u", 0, IDS(3, 2));
    ASSIGNS("u", 0, "3,2,1 +3 -1");
    ck_assert(toy.moves.there);
    toy_next_controller(&toy);
    toy_want_move(&toy, "u", 0, IDS(3, 2));
    ck_assert(toy.moves.there);
    toy_propose(&toy, 1, "u", 0, IDS(1, 2, 3));
    ASSIGNS("u", 0, "3,2");
    ck_assert(!toy.moves.there);
}
END_TEST

START_TEST(kafka_6612_growing_does_not_bring_a_deleted_topic_back)
{
    toy.hold = true;
    toy_delete(&toy, "t"); /* its write is out */
    ck_assert_int_eq(toy_grow(&toy, "t", 3), -99);
    toy_release(&toy);
    ck_assert_int_eq(toy.n_answers, 3); /* of the creation, the deletion and the growth */
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_uint_eq(image_n_topics(core_image(toy.core)), 0);
}
END_TEST

START_TEST(kafka_6650_partitions_without_a_state_come_to_life)
{
    struct toy_topic *t = toy_topic(&toy, "t");

    t->parts[0].has_state = false; /* the controller died between assignment and states */
    toy_next_controller(&toy);
    SHOWS("t", 0, "1/1 0 0"); /* the first to say hello */
}
END_TEST

START_TEST(kafka_7235_a_quick_restart_is_a_death_and_a_birth)
{
    uint64_t old = toy.brokers[1].stream;
    int64_t old_epoch = toy.brokers[1].epoch;

    toy_start(&toy, 1); /* nobody has seen its registration go */
    SHOWS("t", 0, "2/2,3 1 1");
    toy_step(&toy,
             (struct core_event){
                 .kind = CORE_SHUTDOWN_WANTED,
                 .shutdown_wanted = { .stream = old, .number = 1, .broker_epoch = old_epoch } });
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 0);
    IS(1, NODE_LIVE);
}
END_TEST

/* It may lead still, and has to know with whom. */
START_TEST(kafka_7482_who_stops_is_told_until_it_is_gone)
{
    toy_create(&toy, "u", 1, IDS(3, 1));
    toy_kill(&toy, 1);
    toy_want_shutdown(&toy, 3);
    ck_assert_int_eq(toy.brokers[3].still_led, 1); /* u has nobody else */
    toy_start(&toy, 1);
    JOINS(3, "u", 0, IDS(3, 1)); /* taken from one who stops, and answered */
    ck_assert_uint_eq(toy_known(&toy, 3, "u", 0)->isr.n, 2);
    ck_assert_int_eq(image_node(toy.brokers[3].image, 1)->state, NODE_LIVE);
    toy_create(&toy, "v", 1, IDS(2, 1));
    ck_assert_int_eq(toy_known(&toy, 3, "v", 0)->leader, 2);
    toy_kill(&toy, 3);
    SHOWS("u", 0, "1/1 2 3");
}
END_TEST

START_TEST(kafka_9672_who_was_moved_away_does_not_join_again)
{
    MOVES("t", 0, IDS(3, 1));
    SHOWS("t", 0, "1/1,3 1 1");
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_INVALID_REQUEST);
    SHOWS("t", 0, "1/1,3 1 1");
}
END_TEST

START_TEST(kafka_9089_one_bad_partition_stops_no_other)
{
    static int32_t bad[] = { 9 }, good[] = { 3, 1 };
    static struct alter_partition_reassignments_request_partition parts[2];
    static struct alter_partition_reassignments_request_topic topics[2];
    static struct alter_partition_reassignments_request req;

    toy_create(&toy, "u", 1, IDS(1, 2));
    alter_partition_reassignments_request_init(&req);
    for (int i = 0; i < 2; i++) {
        alter_partition_reassignments_request_topic_init(&topics[i]);
        alter_partition_reassignments_request_partition_init(&parts[i]);
        topics[i].partitions = &parts[i];
        topics[i].partitions_len = 1;
    }
    topics[0].name = STR("u");
    parts[0].replicas = bad;
    parts[0].replicas_len = 1;
    topics[1].name = STR("t");
    parts[1].replicas = good;
    parts[1].replicas_len = 2;
    req.topics = topics;
    req.topics_len = 2;
    req.timeout_ms = 30000;
    toy_ask(&toy, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req);
    ck_assert_int_eq(toy.errors[0], ERR_INVALID_REPLICA_ASSIGNMENT);
    ck_assert_int_eq(toy.errors[1], 0);
    ASSIGNS("t", 0, "3,1");
}
END_TEST

START_TEST(kafka_9539_a_replica_that_is_back_is_not_deleted)
{
    MOVES("t", 0, IDS(1, 2));
    STONES("t", "3:0@1");
    MOVES("t", 0, IDS(1, 2, 3));
    STONES("t", "");
    ck_assert_uint_eq(image_n_tombstones(toy.brokers[3].image), 0);
}
END_TEST

START_TEST(kafka_12686_the_delta_comes_before_the_answer)
{
    int deltas = toy.brokers[1].n_deltas;

    JOINS(1, "t", 0, IDS(1, 3));
    ck_assert_int_eq(toy.brokers[1].n_deltas, deltas + 1);
    ck_assert_uint_eq(toy_known(&toy, 1, "t", 0)->isr.n, 2);
}
END_TEST

START_TEST(kafka_14190_a_topic_that_lost_its_id_keeps_it)
{
    struct toy_topic *t = toy_topic(&toy, "t");
    struct uuid id = t->id;
    struct core_read_part part = { .index = 0, .replicas = IDS(1, 2, 3) };
    struct core_read_topic read = { .name = STR("t"), .version = 1, .n_parts = 1, .parts = &part };

    memset(&t->id, 0, sizeof t->id); /* rewritten by a tool of before 2.8 */
    t->version = 1;
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_READ,
                                        .topic_read = { .name = STR("t"), .topic = &read } });
    ck_assert(uuid_eq(toy_topic(&toy, "t")->id, id));
}
END_TEST

START_TEST(kafka_12835_a_topic_without_an_id_gets_one_for_good)
{
    struct toy_topic *t = toy_topic(&toy, "t");
    struct uuid id;

    memset(&t->id, 0, sizeof t->id); /* of Kafka before 2.8 */
    toy_next_controller(&toy);
    id = t->id;
    ck_assert(!uuid_is_zero(id));
    ck_assert_ptr_nonnull(image_topic(toy.brokers[1].image, id));
    toy_next_controller(&toy);
    ck_assert(uuid_eq(t->id, id));
    ck_assert_ptr_nonnull(image_topic(toy.brokers[1].image, id));
}
END_TEST

START_TEST(kafka_13225_everybody_hears_of_a_death_without_partitions)
{
    toy_create(&toy, "u", 1, IDS(1));
    toy_delete(&toy, "t");
    toy_kill(&toy, 3);
    ck_assert_int_eq(image_node(toy.brokers[1].image, 3)->state, NODE_DEAD);
}
END_TEST

START_TEST(kafka_14140_who_stops_or_is_dead_does_not_join)
{
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_INELIGIBLE_REPLICA);
    toy_start(&toy, 3);
    toy_want_shutdown(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_INELIGIBLE_REPLICA);
    SHOWS("t", 0, "1/1,2 1 1");
}
END_TEST

START_TEST(kafka_14144_a_proposal_whose_answer_was_lost_is_answered_again)
{
    struct core_member members[] = { { 1, toy.brokers[1].epoch }, { 2, toy.brokers[2].epoch } };
    struct core_proposal p = {
        .topic_id = toy_topic(&toy, "t")->id, .proposal_id = 3, .n_isr = 2, .isr = members
    };

    toy_send_proposal(&toy, 1, &p);
    SHOWS("t", 0, "1/1,2 0 1");
    toy_send_proposal(&toy, 1, &p); /* still on partition epoch 0 */
    ck_assert_int_eq(toy.brokers[1].n_alters, 2);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
    SHOWS("t", 0, "1/1,2 0 1");
}
END_TEST

START_TEST(kafka_14154_who_knows_less_than_the_leader_does_not_judge)
{
    struct core_member member = { 1, toy.brokers[1].epoch };
    struct core_proposal p = { .topic_id = toy_topic(&toy, "t")->id,
                               .proposal_id = 3,
                               .leader_epoch = 4, /* from a younger controller */
                               .partition_epoch = 7,
                               .n_isr = 1,
                               .isr = &member };

    toy_send_proposal(&toy, 1, &p);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_NOT_CONTROLLER);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(kafka_15221_what_an_earlier_life_had_does_not_count)
{
    int64_t old = toy.brokers[3].epoch;
    struct core_member members[] = { { 1, toy.brokers[1].epoch },
                                     { 2, toy.brokers[2].epoch },
                                     { 3, old } };
    struct core_proposal p = { .topic_id = toy_topic(&toy, "t")->id,
                               .proposal_id = 3,
                               .leader_epoch = 1,
                               .partition_epoch = 1,
                               .n_isr = 3,
                               .isr = members };

    toy_start(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
    toy_send_proposal(&toy, 1, &p);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_INELIGIBLE_REPLICA);
}
END_TEST

START_TEST(growth_and_moves_of_one_topic_do_not_overwrite_each_other)
{
    toy.hold = true;
    toy_create(&toy, "u", 1, IDS(1)); /* a write is out: both come into the next plan */
    (void)toy_grow(&toy, "t", 3);
    (void)toy_reassign(&toy, "t", 0, IDS(1, 2));
    toy_release(&toy);
    ck_assert_uint_eq(toy_topic(&toy, "t")->n_parts, 3);
    ASSIGNS("t", 0, "1,2");
}
END_TEST

START_TEST(shutdown_is_asked_for_again_after_a_fail_over)
{
    toy_want_shutdown(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    toy_next_controller(&toy);
    toy_want_shutdown(&toy, 1);
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 2);
    ck_assert_int_eq(toy.brokers[1].still_led, 0);
}
END_TEST

/* ---- many at once ---- */

#define MANY (TOY_TOPICS - 1) /* topics; as many partitions each as the toy has */

struct cost {
    size_t writes, ops;
    int deltas, images; /* that broker 2 was sent */
};

static struct cost cost_so_far(void)
{
    return (struct cost){ toy.n_writes, toy.n_ops, toy.brokers[2].n_deltas,
                          toy.brokers[2].n_images };
}

static struct cost cost_since(struct cost before)
{
    struct cost now = cost_so_far();

    return (struct cost){ now.writes - before.writes, now.ops - before.ops,
                          now.deltas - before.deltas, now.images - before.images };
}

/* As many writes and messages for many as for one, and operations in proportion. */
static void assert_shared(struct cost one, struct cost many, size_t times)
{
    ck_assert_uint_eq(many.writes, one.writes);
    ck_assert_int_eq(many.deltas, one.deltas);
    ck_assert_int_eq(many.images, one.images);
    ck_assert_uint_gt(one.ops, 0);
    ck_assert_uint_le(many.ops, one.ops * times);
}

/* A new cluster of these brokers, in which the first controller looks after the balance. */
static void begin_anew(int32_t brokers)
{
    core_kit_end();
    toy_up_balancing(&toy, brokers);
}

static void fill(int topics, size_t parts)
{
    for (int i = 0; i < topics; i++) {
        char name[16];

        snprintf(name, sizeof name, "m%d", i);
        toy_create(&toy, name, parts, IDS(1, 2, 3));
    }
}

/* 10794: electing for each partition looked at every partition that had a leader. */
static struct cost cost_of_a_death(int topics, size_t parts)
{
    begin_anew(3);
    fill(topics, parts);

    struct cost before = cost_so_far();

    toy_kill(&toy, 1);
    SHOWS("m0", 0, "2/2,3 1 1");
    return cost_since(before);
}

START_TEST(kafka_10794_a_death_is_one_write_and_one_delta_for_any_number)
{
    struct cost one = cost_of_a_death(1, 1), many = cost_of_a_death(MANY, TOY_PARTS);

    assert_shared(one, many, (size_t)MANY * TOY_PARTS);
    ck_assert_uint_eq(many.writes, 1);
}
END_TEST

/* 7299: each leadership that went back was a round of requests of its own. */
static struct cost cost_of_balance(int topics, size_t parts)
{
    begin_anew(3);
    fill(topics, parts);
    toy_advance(&toy, 6000); /* the first look is over */
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    for (int i = 0; i < topics; i++)
        for (size_t p = 0; p < parts; p++) {
            char name[16];

            snprintf(name, sizeof name, "m%d", i);
            toy_propose(&toy, 2, name, (int32_t)p, IDS(1, 2, 3));
        }
    SHOWS("m0", 0, "2/1,2,3 1 2");

    struct cost before = cost_so_far();

    toy_advance(&toy, 300000);
    SHOWS("m0", 0, "1/1,2,3 2 3");
    return cost_since(before);
}

START_TEST(kafka_7299_leaderships_go_back_together)
{
    struct cost one = cost_of_balance(1, 1), many = cost_of_balance(MANY, TOY_PARTS);

    assert_shared(one, many, (size_t)MANY * TOY_PARTS);
    ck_assert_uint_eq(many.writes, 1);
}
END_TEST

/* 9499: each topic's deletion looked at every other topic, and was a round of requests. */
static struct cost cost_of_deletion(int topics)
{
    static struct delete_topics_request_topic named[MANY];
    static struct delete_topics_request req;
    static char names[MANY][16];

    begin_anew(3);
    fill(topics, 4);
    delete_topics_request_init(&req);
    for (int i = 0; i < topics; i++) {
        delete_topics_request_topic_init(&named[i]);
        snprintf(names[i], sizeof names[i], "m%d", i);
        named[i].name = str_of(names[i]);
    }
    req.topics = named;
    req.topics_len = topics;
    req.timeout_ms = 30000;

    struct cost before = cost_so_far();

    ck_assert_int_eq(toy_ask(&toy, API_DELETE_TOPICS, 6, &req), 0);
    ck_assert_ptr_null(toy_topic(&toy, "m0"));
    ck_assert_ptr_null(toy_topic(&toy, names[topics - 1]));
    ck_assert_uint_eq(toy.n_stones, (size_t)topics * 4 * 3);
    return cost_since(before);
}

START_TEST(kafka_9499_topics_go_together)
{
    assert_shared(cost_of_deletion(1), cost_of_deletion(MANY), MANY);
}
END_TEST

/* 17061: a new broker was told of, and told, one thing at a time of a large cluster. */
static struct cost cost_of_a_newcomer(int topics, size_t parts)
{
    begin_anew(3);
    fill(topics, parts);

    struct cost before = cost_so_far();

    toy_start(&toy, 4);
    ck_assert_int_eq(toy.brokers[4].n_images, 1);
    ck_assert_int_le(toy.brokers[4].n_deltas, 1); /* that it is live */
    return cost_since(before);
}

START_TEST(kafka_17061_a_newcomer_is_told_all_at_once)
{
    struct cost few = cost_of_a_newcomer(1, 1), many = cost_of_a_newcomer(MANY, TOY_PARTS);

    ck_assert_uint_eq(many.writes, few.writes);
    ck_assert_uint_eq(many.ops, few.ops);
    ck_assert_int_eq(many.deltas, few.deltas);
    ck_assert_int_eq(many.images, 0);
}
END_TEST

/* ---- balance ---- */

/* 9866: leadership was moved to, or tried for, who is not in sync. 10149: and nothing was balanced
 * while any partition moved. */
START_TEST(kafka_9866_leadership_goes_back_to_who_is_in_sync_though_others_move)
{
    begin_anew(3);
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2));
    toy_advance(&toy, 6000);
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    toy_propose(&toy, 2, "t", 0, IDS(1, 2, 3)); /* t-1 is behind */
    MOVES("u", 0, IDS(3, 2));
    toy_advance(&toy, 600000);
    SHOWS("t", 0, "1/1,2,3 2 3");
    SHOWS("t", 1, "2/2,3 1 1");
    ASSIGNS("u", 0, "3,2,1 +3 -1");
    toy_propose(&toy, 2, "t", 1, IDS(1, 2, 3));
    toy_advance(&toy, 300000);
    SHOWS("t", 1, "1/1,2,3 2 3");
}
END_TEST

/* 10193: what waited when the seat was lost was never answered, and its client hung. */
START_TEST(kafka_10193_what_waits_at_a_resignation_is_answered)
{
    toy.hold = true;
    toy_create(&toy, "u", 1, IDS(1));              /* its write is out */
    ck_assert_int_eq(toy_grow(&toy, "t", 3), -99); /* waits behind it */

    int answers = toy.n_answers;

    toy_step(&toy, (struct core_event){ .kind = CORE_RESIGNED });
    ck_assert_int_eq(toy.n_answers, answers + 2);
    ck_assert_int_eq(toy.answer_err, ERR_NOT_CONTROLLER);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("races");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end_anyhow);
    tcase_add_test(tc, kafka_2729_cached_state_differs);
    tcase_add_test(tc, kafka_3143_dead_at_fail_over);
    tcase_add_test(tc, kafka_4443_leaders_are_never_named_without_their_endpoints);
    tcase_add_test(tc, kafka_4447_nothing_is_done_after_a_resignation);
    tcase_add_test(tc, kafka_5879_what_a_watch_named_is_gone_when_it_is_read);
    tcase_add_test(tc, kafka_6082_a_deposed_controller_writes_nothing);
    tcase_add_test(tc, kafka_6193_a_wish_outlives_its_controller);
    tcase_add_test(tc, kafka_6612_growing_does_not_bring_a_deleted_topic_back);
    tcase_add_test(tc, kafka_6650_partitions_without_a_state_come_to_life);
    tcase_add_test(tc, kafka_7235_a_quick_restart_is_a_death_and_a_birth);
    tcase_add_test(tc, kafka_7482_who_stops_is_told_until_it_is_gone);
    tcase_add_test(tc, kafka_9672_who_was_moved_away_does_not_join_again);
    tcase_add_test(tc, kafka_9089_one_bad_partition_stops_no_other);
    tcase_add_test(tc, kafka_9539_a_replica_that_is_back_is_not_deleted);
    tcase_add_test(tc, kafka_12686_the_delta_comes_before_the_answer);
    tcase_add_test(tc, kafka_14190_a_topic_that_lost_its_id_keeps_it);
    tcase_add_test(tc, kafka_12835_a_topic_without_an_id_gets_one_for_good);
    tcase_add_test(tc, kafka_13225_everybody_hears_of_a_death_without_partitions);
    tcase_add_test(tc, kafka_14140_who_stops_or_is_dead_does_not_join);
    tcase_add_test(tc, kafka_14144_a_proposal_whose_answer_was_lost_is_answered_again);
    tcase_add_test(tc, kafka_14154_who_knows_less_than_the_leader_does_not_judge);
    tcase_add_test(tc, kafka_15221_what_an_earlier_life_had_does_not_count);
    tcase_add_test(tc, growth_and_moves_of_one_topic_do_not_overwrite_each_other);
    tcase_add_test(tc, shutdown_is_asked_for_again_after_a_fail_over);
    tcase_add_test(tc, kafka_10794_a_death_is_one_write_and_one_delta_for_any_number);
    tcase_add_test(tc, kafka_7299_leaderships_go_back_together);
    tcase_add_test(tc, kafka_9499_topics_go_together);
    tcase_add_test(tc, kafka_17061_a_newcomer_is_told_all_at_once);
    tcase_add_test(tc, kafka_9866_leadership_goes_back_to_who_is_in_sync_though_others_move);
    tcase_add_test(tc, kafka_10193_what_waits_at_a_resignation_is_answered);
    return unit_run(tc);
}
