/*
 * silent: a broker that falls silent is missed wherever it is on its way: between its hello and its
 * first acknowledgement, too, and when we have ended its stream ourselves.
 */
#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
}

static void hang(int32_t id)
{
    toy.brokers[id].acks = toy.brokers[id].beats = false;
}

/* A new process, of which nothing is heard after its hello. */
static void start_and_hang(int32_t id)
{
    toy_register(&toy, id);
    toy.brokers[id].incarnation.bytes[15]++;
    toy.brokers[id].probe = PROBE_SILENT;
    hang(id);
    toy_nodes(&toy);
    toy_hello(&toy, id, true, false);
}

START_TEST(who_comes_back_and_hangs_is_fenced)
{
    toy_lose_stream(&toy, 1);
    hang(1);
    toy_hello(&toy, 1, false, false);
    ck_assert_ptr_nonnull(toy.brokers[1].image);
    IS(1, NODE_UNKNOWN);
    toy_advance(&toy, 1400);
    SHOWS("t", 0, "1/1,2,3 0 0");
    toy_advance(&toy, 200);
    IS(1, NODE_DEAD);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_FENCED);
}
END_TEST

START_TEST(who_hangs_at_a_fail_over_is_fenced)
{
    toy_win(&toy);
    hang(1);
    toy_all_hello(&toy);
    IS(1, NODE_UNKNOWN);
    toy_advance(&toy, 1600);
    IS(1, NODE_DEAD);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

START_TEST(beats_are_enough_while_an_image_is_being_applied)
{
    toy_win(&toy);
    toy.brokers[1].acks = false;
    toy_all_hello(&toy);
    toy_start(&toy, 3);
    toy_kill(&toy, 3);
    toy_start(&toy, 3);
    toy_advance(&toy, 60000);
    IS(1, NODE_UNKNOWN);
    IS(3, NODE_LIVE);
    ck_assert_int_eq(toy.brokers[1].goodbye, 0);
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    IS(1, NODE_LIVE);
    ck_assert_int_eq(toy_known(&toy, 2, "t", 0)->leader, 1);
}
END_TEST

START_TEST(a_new_process_may_take_its_time_as_long_as_it_beats)
{
    toy_kill(&toy, 1);
    start_and_hang(1);
    toy.brokers[1].beats = true;
    toy_advance(&toy, 60000);
    ck_assert_int_eq(toy.brokers[1].goodbye, 0);
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    IS(1, NODE_LIVE);
}
END_TEST

START_TEST(beats_that_come_back_end_the_doubt)
{
    toy_lose_stream(&toy, 1);
    hang(1);
    toy_hello(&toy, 1, false, false);
    toy_kill(&toy, 3);
    start_and_hang(3);
    toy_advance(&toy, 1200);
    toy.brokers[1].beats = toy.brokers[3].beats = true;
    toy_advance(&toy, 5000);
    IS(1, NODE_UNKNOWN);
    ck_assert_int_eq(toy.brokers[1].goodbye, 0);
    ck_assert_int_eq(toy.brokers[3].goodbye, 0);
    hang(1);
    hang(3);
    toy_advance(&toy, 1600); /* and it begins anew */
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_FENCED);
    ck_assert_int_eq(toy.brokers[3].goodbye, GOODBYE_FENCED);
}
END_TEST

/* 1 alone is in sync, and an unclean election is allowed. */
static void alone_and_unclean(void)
{
    JOINS(1, "t", 0, IDS(1));
    toy_kill(&toy, 1);
    start_and_hang(1);
    ck_assert_ptr_nonnull(toy.brokers[1].image);
    toy_alter(&toy, "t", "unclean.leader.election.enable", "true");
    ck_assert_int_eq(toy_known(&toy, 0, "t", 0)->isr.at[0], 1); /* it may be waited for */
}

START_TEST(a_new_process_that_hangs_is_not_waited_for)
{
    alone_and_unclean();
    toy_advance(&toy, 1600);
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_FENCED);
    ck_assert_int_eq(toy_known(&toy, 0, "t", 0)->leader, 2);
}
END_TEST

START_TEST(a_new_process_whose_stream_ends_is_not_waited_for)
{
    alone_and_unclean();
    toy_lose_stream(&toy, 1);
    ck_assert_int_eq(toy_known(&toy, 0, "t", 0)->leader, 2);
}
END_TEST

/* Who was eligible beside it takes over then, with the word of nobody: it is not in the ISR. */
START_TEST(who_is_eligible_leads_when_a_new_process_hangs)
{
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "3"), ERR_OK);
    JOINS(1, "t", 0, IDS(1));
    ck_assert_str_eq(toy_eligible(&toy, "t", 0), "2,3");
    start_and_hang(1); /* before its end was noticed */
    SHOWS("t", 0, "1/1 1 2");
    toy_advance(&toy, 1600);
    SHOWS("t", 0, "2/2 2 3");
}
END_TEST

START_TEST(a_hello_of_an_earlier_life_ends_no_stream)
{
    uint64_t stream = toy.brokers[1].stream;

    toy_step(&toy, (struct core_event){ .kind = CORE_HELLO,
                                        .hello = { .stream = 9999,
                                                   .broker = 1,
                                                   .broker_epoch = toy.brokers[1].epoch - 1,
                                                   .incarnation = { .bytes = { 7 } } } });
    ck_assert_uint_eq(toy.brokers[1].stream, stream);
    ck_assert_int_eq(toy.brokers[1].goodbye, 0);
    toy_advance(&toy, 5000);
    IS(1, NODE_LIVE);
    SHOWS("t", 0, "1/1,2,3 0 0");
    JOINS(1, "t", 0, IDS(1, 2)); /* and what it says is heard */
}
END_TEST

/* Registered anew, and gone again by the time that is looked up. */
START_TEST(whose_registration_is_not_found_does_not_live)
{
    struct toy_broker *b = &toy.brokers[1];

    toy_register(&toy, 1);
    b->registered = false;
    hang(1);
    toy_hello(&toy, 1, false, false);
    ck_assert_int_eq(b->goodbye, GOODBYE_NOT_REGISTERED);
    IS(1, NODE_UNKNOWN);
    toy_advance(&toy, 1100);
    IS(1, NODE_DEAD);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

/* It says so again and again: that is no sign of life. */
START_TEST(hellos_that_are_refused_put_nothing_off)
{
    struct toy_broker *b = &toy.brokers[1];

    toy_register(&toy, 1);
    b->registered = false;
    hang(1);
    for (int i = 0; i < 4; i++) {
        toy_hello(&toy, 1, false, false);
        toy_advance(&toy, 300);
    }
    IS(1, NODE_DEAD);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

/* The way to it takes longer than we wait between two probes. */
START_TEST(a_refusal_that_takes_its_time_counts)
{
    struct toy_broker *b = &toy.brokers[1];
    uint64_t number;

    b->probe_lasts = true;
    toy_kill(&toy, 1);
    number = b->probe_number;
    ck_assert_uint_ne(number, 0);
    toy_advance(&toy, 300);
    IS(1, NODE_UNKNOWN);
    ck_assert_uint_eq(b->probe_number, number); /* no other has begun since */
    toy_probed(&toy, 1, number);
    IS(1, NODE_DEAD);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

/* Nor after its death that is not certain, unless its answer is long overdue. */
START_TEST(one_probe_is_out_at_a_time)
{
    struct toy_broker *b = &toy.brokers[1];
    uint64_t number;

    b->probe_lasts = true;
    toy_kill(&toy, 1);
    number = b->probe_number;
    toy_advance(&toy, 4900);
    IS(1, NODE_DEAD);
    ck_assert_uint_eq(b->probe_number, number);
    toy_advance(&toy, 1200);
    ck_assert_uint_eq(b->probe_number, number + 1);
    b->probe = PROBE_SILENT;
    toy_probed(&toy, 1, number); /* of the one that was given up */
    toy_advance(&toy, 1000);
    ck_assert_uint_eq(b->probe_number, number + 1);
    toy_probed(&toy, 1, number + 1);
    toy_advance(&toy, 1000);
    ck_assert_uint_eq(b->probe_number, number + 2);
}
END_TEST

static void restart_with_two_listeners(bool says_not)
{
    struct toy_broker *b = &toy.brokers[1];

    toy_kill(&toy, 1);
    b->has_outer = true;
    b->says_not = says_not;
    toy_start(&toy, 1);
    b->probe = PROBE_SILENT;
    toy_lose_stream(&toy, 1);
    IS(1, NODE_UNKNOWN);
}

/* The address for clients may not lead there from inside. */
START_TEST(a_broker_is_probed_where_brokers_find_it)
{
    restart_with_two_listeners(false);
    ck_assert_uint_eq(toy.brokers[1].n_asked, 1);
}
END_TEST

START_TEST(who_does_not_say_where_is_probed_everywhere)
{
    restart_with_two_listeners(true);
    ck_assert_uint_eq(toy.brokers[1].n_asked, 2);
}
END_TEST

/* It has said hello since: what was found is of before. */
START_TEST(a_refusal_from_before_a_hello_does_not_count)
{
    struct toy_broker *b = &toy.brokers[1];
    uint64_t number;

    b->probe_lasts = true;
    toy_kill(&toy, 1);
    number = b->probe_number;
    b->acks = false;
    toy_hello(&toy, 1, false, false);
    IS(1, NODE_UNKNOWN);
    toy_probed(&toy, 1, number);
    IS(1, NODE_UNKNOWN);
    ck_assert_int_eq(b->goodbye, 0);
    b->acks = true;
    toy_ack(&toy, 1);
    IS(1, NODE_LIVE);
    toy_lose_stream(&toy, 1); /* nor when it is looked for anew */
    toy_probed(&toy, 1, number);
    IS(1, NODE_UNKNOWN);
    toy_hello(&toy, 1, false, false);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("silent");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, who_comes_back_and_hangs_is_fenced);
    tcase_add_test(tc, who_hangs_at_a_fail_over_is_fenced);
    tcase_add_test(tc, beats_are_enough_while_an_image_is_being_applied);
    tcase_add_test(tc, a_new_process_may_take_its_time_as_long_as_it_beats);
    tcase_add_test(tc, beats_that_come_back_end_the_doubt);
    tcase_add_test(tc, a_new_process_that_hangs_is_not_waited_for);
    tcase_add_test(tc, a_new_process_whose_stream_ends_is_not_waited_for);
    tcase_add_test(tc, who_is_eligible_leads_when_a_new_process_hangs);
    tcase_add_test(tc, a_hello_of_an_earlier_life_ends_no_stream);
    tcase_add_test(tc, whose_registration_is_not_found_does_not_live);
    tcase_add_test(tc, hellos_that_are_refused_put_nothing_off);
    tcase_add_test(tc, a_refusal_that_takes_its_time_counts);
    tcase_add_test(tc, one_probe_is_out_at_a_time);
    tcase_add_test(tc, a_broker_is_probed_where_brokers_find_it);
    tcase_add_test(tc, who_does_not_say_where_is_probed_everywhere);
    tcase_add_test(tc, a_refusal_from_before_a_hello_does_not_count);
    return unit_run(tc);
}
