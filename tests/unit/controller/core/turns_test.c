/*
 * turns: whoever wants something of the controller gets it although others never cease to keep it
 * writing.
 */
#include <check.h>
#include <stdio.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

#define SOON 4 /* writes */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2));
}

static void end(void)
{
    toy.hold_next = false;
    if (toy.held != NULL)
        toy_release(&toy);
    toy_advance(&toy, 100);
    core_kit_end();
}

static void want_pids(void)
{
    toy_step(&toy,
             (struct core_event){ .kind = CORE_PID_BLOCK_WANTED,
                                  .pid_block_wanted = { .stream = toy.brokers[1].stream,
                                                        .number = 1,
                                                        .broker_epoch = toy.brokers[1].epoch } });
}

static void want_settings(void)
{
    static char value[16];
    static int n;

    snprintf(value, sizeof value, "%d", 1000 + n++);
    toy_alter(&toy, "u", "retention.ms", value);
}

/* From now on a WRITE is out, and what comes waits for its end. */
static void keep_writing(void (*want)(void))
{
    toy.hold = toy.hold_next = true;
    want();
    ck_assert_ptr_nonnull(toy.held);
}

/* It ends, and something waits for the next one already. */
static void end_one(void (*want)(void))
{
    want();
    toy_release(&toy);
    ck_assert_ptr_nonnull(toy.held);
}

static void check_image(void (*want)(void))
{
    toy_kill(&toy, 3);
    keep_writing(want);
    toy_start(&toy, 3);
    for (int i = 0; i < SOON; i++)
        end_one(want);
    ck_assert_ptr_nonnull(toy.brokers[3].image);
    IS(3, NODE_LIVE);
}

START_TEST(an_image_is_sent_between_blocks_of_producer_ids)
{
    check_image(want_pids);
}
END_TEST

START_TEST(an_image_is_sent_between_settings)
{
    check_image(want_settings);
}
END_TEST

/* The leave of the earlier process is stored before. */
START_TEST(an_image_waits_for_the_leave_all_the_same)
{
    keep_writing(want_pids);
    toy_start(&toy, 1);
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert_ptr_null(toy.brokers[1].image);
    for (int i = 0; i < SOON && toy.brokers[1].image == NULL; i++)
        end_one(want_pids);
    ck_assert_ptr_nonnull(toy.brokers[1].image);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy_known(&toy, 1, "t", 0)->leader, 2);
}
END_TEST

static void check_shutdown(void (*want)(void))
{
    keep_writing(want);
    toy_want_shutdown(&toy, 1);
    for (int i = 0; i < SOON; i++)
        end_one(want);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 1);
    ck_assert_int_eq(toy.brokers[1].still_led, 0);
}

START_TEST(who_wants_to_stop_is_told_between_blocks_of_producer_ids)
{
    check_shutdown(want_pids);
}
END_TEST

START_TEST(who_wants_to_stop_is_told_between_settings)
{
    check_shutdown(want_settings);
}
END_TEST

/* Not before all that it led has been taken over: that needs the word of who stays. */
START_TEST(who_wants_to_stop_is_told_when_the_others_lead)
{
    toy.brokers[2].acks = toy.brokers[3].acks = false;
    keep_writing(want_pids);
    toy_want_shutdown(&toy, 1);
    for (int i = 0; i < SOON; i++)
        end_one(want_pids);
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 0);
    toy.brokers[2].acks = toy.brokers[3].acks = true;
    toy_ack(&toy, 2);
    toy_ack(&toy, 3);
    for (int i = 0; i < SOON; i++)
        end_one(want_pids);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 1);
    ck_assert_int_eq(toy.brokers[1].still_led, 0);
}
END_TEST

START_TEST(a_proposal_is_decided_between_settings)
{
    keep_writing(want_settings);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    for (int i = 0; i < SOON; i++)
        end_one(want_settings);
    SHOWS("t", 0, "1/1,2 0 1");
    ck_assert_int_eq(toy.brokers[1].n_alters, 1);
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
}
END_TEST

/* Of another hand: they are published with a plan that may have nothing to store. */
START_TEST(a_proposal_is_decided_between_settings_that_are_read)
{
    keep_writing(want_settings);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    toy_set_config(&toy, "topics", "t", "retention.ms", "7");
    end_one(want_settings);
    toy_set_config(&toy, "topics", "t", "retention.ms", "8");
    end_one(want_settings);
    SHOWS("t", 0, "1/1,2 0 1");
    ck_assert_int_eq(toy.brokers[1].alter_err, ERR_OK);
}
END_TEST

START_TEST(settings_are_changed_between_states)
{
    int answers = toy.n_answers;

    keep_writing(want_pids);
    want_settings();
    for (int i = 0; i < SOON; i++) {
        /* a follower that comes and goes */
        toy_propose(&toy, 1, "t", 0, i % 2 == 0 ? IDS(1, 2) : IDS(1, 2, 3));
        end_one(want_pids);
    }
    ck_assert_int_eq(toy.n_answers, answers + 1);
    ck_assert_int_eq(toy.errors[0], ERR_OK);
}
END_TEST

/* With nobody else there, what waited for a turn is done at once. */
START_TEST(settings_wait_for_nothing_but_states)
{
    int answers = toy.n_answers;

    toy.hold = true;
    want_settings();
    want_settings();
    toy_release(&toy);
    ck_assert_int_eq(toy.n_answers, answers + 2);
    ck_assert_ptr_null(toy.held);
}
END_TEST

/* 1 leads "e" alone and does not answer, 2 would be eligible beside it. */
static void silent_leader(void)
{
    toy_create(&toy, "e", 1, IDS(1, 2));
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "2"), ERR_OK);
    toy_kill(&toy, 2);
    ck_assert_str_eq(toy_eligible(&toy, "e", 0), "2");
    toy.brokers[1].acks = toy.brokers[1].beats = false;
    toy.brokers[1].probe = PROBE_SILENT; /* its session lives */
    toy_advance(&toy, 5000);
    IS(1, NODE_DEAD);
    SHOWS("e", 0, "1/1 1 1");
    SHOWS("t", 0, "3/3 2 2");
}

START_TEST(a_silent_leader_holds_up_no_other_settings)
{
    silent_leader();
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "2"), ERR_OK);
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), ERR_OK);
    ck_assert_int_eq(toy_alter(&toy, "e", "retention.ms", "77"), ERR_OK);
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "3"), ERR_OK);
    toy_set_config(&toy, "topics", "t", "retention.ms", "78");
    ck_assert(str_is(toy_setting(&toy, 3, "t", "retention.ms"), "78"));
    ck_assert_str_eq(toy_eligible(&toy, "e", 0), "2");
}
END_TEST

/* It is on a stream again, and says nothing of what it is sent. */
static void mute_leader(void)
{
    silent_leader();
    toy.brokers[1].beats = true;
    toy_hello(&toy, 1, false, false);
}

START_TEST(a_mute_leader_holds_up_nobody_who_stops)
{
    mute_leader();
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "1"), -99);
    toy_want_shutdown(&toy, 3);
    ck_assert_int_eq(toy.brokers[3].n_shutdowns, 1);
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
}
END_TEST

/* Its own entry is not given up on the strength of what was heard of it before; nobody waits for
 * ever either, and what is stored is told some time. */
START_TEST(what_needs_the_word_of_a_mute_leader_is_told_when_it_speaks)
{
    int answers;

    mute_leader();
    answers = toy.n_answers;
    ck_assert_int_eq(toy_alter(&toy, "e", "min.insync.replicas", "1"), -99);
    toy_advance(&toy, 29000);
    ck_assert_int_eq(toy.n_answers, answers);
    toy_advance(&toy, 1000);
    ck_assert_int_eq(toy.n_answers, answers + 1);
    ck_assert_int_eq(toy.errors[0], err_to_wire(ERR_REQUEST_TIMED_OUT));
    ck_assert_str_eq(toy_eligible(&toy, "e", 0), "2");
    ck_assert(str_is(toy_setting(&toy, 0, "e", "min.insync.replicas"), "2"));
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ck_assert_str_eq(toy_eligible(&toy, "e", 0), "");
    ck_assert(str_is(toy_setting(&toy, 0, "e", "min.insync.replicas"), "1"));
    ck_assert_int_eq(toy.n_answers, answers + 1);
}
END_TEST

/* A request that comes while a WRITE does not end. */
START_TEST(a_request_that_cannot_be_begun_is_given_up)
{
    keep_writing(want_pids);
    want_settings();
    toy_advance(&toy, 30000);
    ck_assert_int_eq(toy.answer_err, ERR_REQUEST_TIMED_OUT);
    toy_release(&toy);
    ck_assert_ptr_null(toy.held);
    ck_assert(str_is_null(toy_setting(&toy, 0, "u", "retention.ms")));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("turns");

    tcase_add_checked_fixture(tc, three_brokers, end);
    tcase_add_test(tc, an_image_is_sent_between_blocks_of_producer_ids);
    tcase_add_test(tc, an_image_is_sent_between_settings);
    tcase_add_test(tc, an_image_waits_for_the_leave_all_the_same);
    tcase_add_test(tc, who_wants_to_stop_is_told_between_blocks_of_producer_ids);
    tcase_add_test(tc, who_wants_to_stop_is_told_between_settings);
    tcase_add_test(tc, who_wants_to_stop_is_told_when_the_others_lead);
    tcase_add_test(tc, a_proposal_is_decided_between_settings);
    tcase_add_test(tc, a_proposal_is_decided_between_settings_that_are_read);
    tcase_add_test(tc, settings_are_changed_between_states);
    tcase_add_test(tc, settings_wait_for_nothing_but_states);
    tcase_add_test(tc, a_silent_leader_holds_up_no_other_settings);
    tcase_add_test(tc, a_mute_leader_holds_up_nobody_who_stops);
    tcase_add_test(tc, what_needs_the_word_of_a_mute_leader_is_told_when_it_speaks);
    tcase_add_test(tc, a_request_that_cannot_be_begun_is_given_up);
    return unit_run(tc);
}
