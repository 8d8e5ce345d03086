/*
 * rules: what the design says of streams, brokers that come back and controllers that are outlived,
 * where no test of one duty would miss it.
 */
#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void four_brokers(void)
{
    toy_up(&toy, 4);
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_create(&toy, "other", 1, IDS(3, 4));
}

/* Something is being written, and what comes meanwhile waits. */
static void hold_a_write(void)
{
    toy.hold = true;
    toy_propose(&toy, 3, "other", 0, IDS(3));
}

/* Its next process, before anybody has missed the one before. */
static void come_back(int32_t id, bool unclean)
{
    toy_register(&toy, id);
    toy.brokers[id].incarnation.bytes[3]++;
    toy.brokers[id].n_images = 0;
    toy_nodes(&toy);
    toy_hello(&toy, id, true, unclean);
}

START_TEST(what_waits_of_a_stream_that_has_ended_is_dropped)
{
    uint64_t old = toy.brokers[1].stream;

    hold_a_write();
    toy_propose(&toy, 1, "t", 0, IDS(1));
    toy_hello(&toy, 1, false, false); /* it will send again what still holds */
    toy_step(&toy, (struct core_event){ .kind = CORE_STREAM_ENDED, .stream_ended = { old } });
    toy_release(&toy);
    SHOWS("t", 0, "1/1,2 0 0");
    ck_assert_int_eq(toy.brokers[1].n_alters, 0);
}
END_TEST

/* All that a new controller finds refused may be its own fault. */
START_TEST(a_refusal_counts_when_somebody_has_said_hello)
{
    for (int32_t id = 1; id <= 4; id++) {
        toy.brokers[id].stream = 0;
        toy.brokers[id].probe = PROBE_REFUSED;
    }
    toy_win(&toy);
    toy_advance(&toy, 1000);
    SHOWS("t", 0, "1/1,2 0 0");
    toy.brokers[2].probe = PROBE_ANSWERED;
    toy_hello(&toy, 2, false, false);
    SHOWS("t", 0, "2/2 1 1");
}
END_TEST

START_TEST(who_is_outlived_resigns)
{
    struct toy_broker *b = &toy.brokers[1];

    b->stream = ++toy.streams;
    toy_step(&toy,
             (struct core_event){ .kind = CORE_HELLO,
                                  .hello = { .stream = b->stream,
                                             .broker = 1,
                                             .broker_epoch = b->epoch,
                                             .incarnation = b->incarnation,
                                             .seen_controller_epoch = toy.controller_epoch + 1 } });
    ck_assert_int_eq(b->goodbye, GOODBYE_STALE_CONTROLLER);
    ck_assert(!toy.active);
}
END_TEST

/* Its heart beats in a thread of its own, but none of its reactors moves. */
START_TEST(beats_without_progress_do_not_count)
{
    struct toy_broker *b = &toy.brokers[1];

    b->beats = false;
    for (int i = 0; i < 40; i++) {
        toy_advance(&toy, 200);
        toy_step(&toy, (struct core_event){ .kind = CORE_HEARTBEAT,
                                            .heartbeat = { .broker = 1,
                                                           .broker_epoch = b->epoch,
                                                           .incarnation = b->incarnation,
                                                           .stalled = true } });
    }
    SHOWS("t", 0, "2/2 1 1");
}
END_TEST

START_TEST(a_state_that_a_broker_refuses_as_old_is_read_again)
{
    struct toy_part *part = &toy_topic(&toy, "t")->parts[0];
    struct core_failure failure = { .topic_id = toy_topic(&toy, "t")->id,
                                    .leader_epoch = 5,
                                    .partition_epoch = 9,
                                    .err = ERR_FENCED_LEADER_EPOCH };

    part->state.leader_epoch = 5;
    part->state.partition_epoch = 9;
    toy_ack_failure(&toy, 1, &failure);
    ck_assert_int_eq(toy_known(&toy, 0, "t", 0)->leader_epoch, 5);
    ck_assert_int_eq(toy_known(&toy, 0, "t", 0)->partition_epoch, 9);
}
END_TEST

/* What it led before is taken from it first, however often that takes. */
START_TEST(the_image_waits_for_a_leave_that_could_not_be_stored)
{
    toy.hold = toy.hold_next = true;
    come_back(1, false);
    toy_topic(&toy, "t")->parts[0].state.partition_epoch++; /* another hand's write */
    toy_release(&toy);
    ck_assert_int_eq(toy.brokers[1].n_images, 0);
    SHOWS("t", 0, "1/1,2 0 1");
    toy.hold_next = false;
    toy_release(&toy);
    SHOWS("t", 0, "2/2 1 2");
    ck_assert_int_eq(toy.brokers[1].n_images, 1);
}
END_TEST

/* Of t, 1 leads on as a new process, but only with all else that it leaves, and u waits for 3. As
 * long as 2 is in the ISR of t without its tail, it must not be live: it could be elected. */
START_TEST(nobody_is_taken_back_whose_place_in_an_isr_is_undecided)
{
    toy_create(&toy, "u", 1, IDS(1, 3));
    toy.brokers[3].acks = false;
    hold_a_write();
    come_back(1, false);
    come_back(2, true);
    toy_release(&toy);
    SHOWS("t", 0, "1/1,2 0 0");
    ck_assert_int_eq(toy.brokers[1].n_images + toy.brokers[2].n_images, 0);
    toy_ack(&toy, 3);
    SHOWS("u", 0, "3/3 1 1");
    SHOWS("t", 0, "1/1 1 1");
    ck_assert_int_eq(toy.brokers[2].n_images, 1);
}
END_TEST

/* ---- full disks ----------------------------------------------------------------------------- */

static void yield(int32_t broker, const char *topic)
{
    struct core_failure failure = { .topic_id = toy_topic(&toy, topic)->id, .yields = true };

    toy_ack_failure(&toy, broker, &failure);
}

START_TEST(a_leader_without_room_is_relieved)
{
    toy_create(&toy, "u", 1, IDS(1, 2, 3));
    yield(1, "u");
    SHOWS("u", 0, "2/1,2,3 1 1"); /* it keeps its place in the ISR */
    ck_assert_uint_eq(toy_known(&toy, 0, "u", 0)->offline.n, 0);
    yield(3, "u"); /* it does not lead, but is passed over */
    SHOWS("u", 0, "2/1,2,3 1 1");
    yield(2, "u"); /* all of them are full: nobody would be better */
    SHOWS("u", 0, "2/1,2,3 1 1");
    toy_kill(&toy, 2); /* an election that must be does not ask */
    SHOWS("u", 0, "1/1,3 2 2");
    toy_advance(&toy, 300000);
    yield(1, "u");
    SHOWS("u", 0, "3/1,3 3 3");
}
END_TEST

START_TEST(a_leader_without_room_stays_where_nobody_else_can_lead)
{
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 1 1");
    yield(1, "t");
    SHOWS("t", 0, "1/1 1 1");
    toy_start(&toy, 2); /* lives, but is not in sync */
    yield(1, "t");
    SHOWS("t", 0, "1/1 1 1");
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    yield(1, "t");
    SHOWS("t", 0, "2/1,2 2 3");
}
END_TEST

START_TEST(who_has_no_room_is_not_preferred)
{
    toy_fini(&toy);
    toy_up_balancing(&toy, 4);
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_advance(&toy, 200000);
    yield(1, "t");
    SHOWS("t", 0, "2/1,2 1 1");
    toy_advance(&toy, 290000); /* in between leadership is balanced */
    SHOWS("t", 0, "2/1,2 1 1");
    toy_advance(&toy, 310000);
    SHOWS("t", 0, "1/1,2 2 2");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rules");

    tcase_add_checked_fixture(tc, four_brokers, core_kit_end_anyhow);
    tcase_add_test(tc, what_waits_of_a_stream_that_has_ended_is_dropped);
    tcase_add_test(tc, a_refusal_counts_when_somebody_has_said_hello);
    tcase_add_test(tc, who_is_outlived_resigns);
    tcase_add_test(tc, beats_without_progress_do_not_count);
    tcase_add_test(tc, a_state_that_a_broker_refuses_as_old_is_read_again);
    tcase_add_test(tc, the_image_waits_for_a_leave_that_could_not_be_stored);
    tcase_add_test(tc, nobody_is_taken_back_whose_place_in_an_isr_is_undecided);
    tcase_add_test(tc, a_leader_without_room_is_relieved);
    tcase_add_test(tc, a_leader_without_room_stays_where_nobody_else_can_lead);
    tcase_add_test(tc, who_has_no_room_is_not_preferred);
    return unit_run(tc);
}
