/*
 * core: the whole of it against a toy ZooKeeper and toy brokers. The states that each story ends in
 * are those that Kafka 3.9 was seen to write in the same story ("leader/isr leader-epoch
 * partition-epoch"), but where our rules differ on purpose; there the reason stands beside it.
 */
#include "controller/core/core.h"

#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void three_brokers(void)
{
    toy_up(&toy, 3);
    for (int32_t id = 1; id <= 3; id++)
        IS(id, NODE_LIVE);
}

START_TEST(creation_starts_at_nothing)
{
    toy_create(&toy, "t", 3, IDS(1, 2, 3));
    ck_assert_int_eq(toy.n_answers, 1);
    ck_assert_int_eq(toy.errors[0], 0);
    SHOWS("t", 2, "1/1,2,3 0 0");
    ck_assert_uint_eq(toy.n_writes, 1);
}
END_TEST

START_TEST(a_new_controller_changes_nothing)
{
    toy_create(&toy, "t", 2, IDS(1, 2, 3));
    toy_win(&toy);
    for (int32_t id = 1; id <= 3; id++)
        IS(id, NODE_UNKNOWN);
    toy_all_hello(&toy);
    for (int32_t id = 1; id <= 3; id++)
        IS(id, NODE_LIVE);
    toy_advance(&toy, 60000);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(killed_leader)
{
    toy_create(&toy, "t", 5, IDS(1, 2, 3));
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    SHOWS("t", 4, "2/2,3 1 1");
    ck_assert_uint_eq(toy.last_ops, 5); /* together */
    IS(1, NODE_DEAD);
    toy_expire(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

START_TEST(killed_follower_leaves_in_the_same_batch)
{
    toy_create(&toy, "led", 1, IDS(1, 2, 3));
    toy_create(&toy, "followed", 1, IDS(2, 3, 1));
    size_t writes = toy.n_writes;

    toy_kill(&toy, 1);
    SHOWS("led", 0, "2/2,3 1 1");
    SHOWS("followed", 0, "2/2,3 1 1");
    ck_assert_uint_eq(toy.n_writes, writes + 1);
}
END_TEST

START_TEST(killed_leader_and_controller)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.brokers[1].stream = 0;
    toy.brokers[1].probe = PROBE_REFUSED;
    toy_win(&toy);
    SHOWS("t", 0, "1/1,2,3 0 0"); /* nobody has said hello: the fault may be ours */
    toy_hello(&toy, 2, false, false);
    toy_hello(&toy, 3, false, false);
    /* Kafka: 2 2, for its new controller takes the dead leader out first and elects then */
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

START_TEST(controlled_shutdown_and_return)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "f", 1, IDS(2, 3, 1));
    toy_want_shutdown(&toy, 1);
    ck_assert_int_eq(toy.brokers[1].n_shutdowns, 1);
    ck_assert_int_eq(toy.brokers[1].still_led, 0);
    SHOWS("t", 0, "2/2,3 1 1");
    SHOWS("f", 0, "2/2,3 1 1");
    IS(1, NODE_STOPPING);
    toy_kill(&toy, 1);
    toy_expire(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");

    toy_start(&toy, 1);
    IS(1, NODE_LIVE);
    SHOWS("t", 0, "2/2,3 1 1");
    JOINS(2, "t", 0, IDS(2, 3, 1));
    SHOWS("t", 0, "2/2,3,1 1 2");
}
END_TEST

START_TEST(shutdown_of_the_last_one_in_sync_leaves_it_leading)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 1 1");
    toy_want_shutdown(&toy, 1);
    ck_assert_int_eq(toy.brokers[1].still_led, 1);
    SHOWS("t", 0, "1/1 1 1");
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 2 2");
}
END_TEST

START_TEST(shutdown_of_everybody_waits_for_nobody)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    for (int32_t id = 1; id <= 3; id++) {
        toy_want_shutdown(&toy, id);
        ck_assert_int_eq(toy.brokers[id].n_shutdowns, 1);
        ck_assert_int_eq(toy.brokers[id].still_led, 0);
    }
    SHOWS("t", 0, "3/3 2 2");
}
END_TEST

/* Its beats may be older than the other's death. */
START_TEST(nobody_leaves_an_isr_before_a_stayer_has_spoken)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy.brokers[1].acks = false;
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1,2 0 0");
    IS(2, NODE_UNKNOWN); /* as clients are told */
    ck_assert(core_is_busy(toy.core));
    toy_ack(&toy, 1);
    SHOWS("t", 0, "1/1 1 1");
    IS(2, NODE_DEAD);
    ck_assert(!core_is_busy(toy.core));
}
END_TEST

/* The directory may come back with all it has, and who stays may have lost its machine. */
START_TEST(nobody_leaves_an_isr_for_a_failed_directory_before_a_stayer_has_spoken)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy.brokers[1].acks = false;
    toy_fail_dir(&toy, 2, "t", 0);
    SHOWS("t", 0, "1/1,2 0 0");
    ck_assert(core_is_busy(toy.core));
    toy_ack(&toy, 1);
    SHOWS("t", 0, "1/1 1 1");
    ck_assert(!core_is_busy(toy.core));
}
END_TEST

/* A replica that a full disk had no room for counts as one of a failed directory, until its broker
 * says that it has found some. */
START_TEST(a_replica_that_found_room_may_come_back)
{
    struct core_failure failure = { .err = ERR_KAFKA_STORAGE_ERROR };

    toy_create(&toy, "t", 1, IDS(1, 2));
    failure.topic_id = toy_topic(&toy, "t")->id;
    toy_ack_failure(&toy, 2, &failure);
    SHOWS("t", 0, "1/1 1 1");
    ck_assert(ids_has(toy_known(&toy, 1, "t", 0)->offline, 2));
    failure.err = ERR_OK;
    toy_ack_failure(&toy, 2, &failure);
    ck_assert(!ids_has(toy_known(&toy, 1, "t", 0)->offline, 2));
    toy_ack_failure(&toy, 2, &failure); /* once more is once */
    ck_assert_uint_eq(toy_known(&toy, 1, "t", 0)->offline.n, 0);
}
END_TEST

START_TEST(a_leader_and_its_follower_that_go_silent_together_keep_the_isr)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    toy.brokers[1].acks = toy.brokers[1].beats = false;
    toy_kill(&toy, 2);
    toy_advance(&toy, 30000);
    SHOWS("t", 0, "1/1,2 0 0");
    toy.brokers[1].stream = 0;
    toy_start(&toy, 1); /* whole: leads on in a new epoch, and then may go on alone */
    SHOWS("t", 0, "1/1 2 2");
}
END_TEST

START_TEST(a_new_leader_waits_for_one_word_only)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.brokers[2].acks = false;
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1"); /* 3 has spoken: whatever became of 2, one has everything */
}
END_TEST

START_TEST(all_die_and_one_returns)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 2 2");
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 3 3");
    toy_start(&toy, 2); /* not in sync: no leader */
    SHOWS("t", 0, "-1/1 3 3");
    toy_start(&toy, 1);
    SHOWS("t", 0, "1/1 4 4");
}
END_TEST

START_TEST(cold_start_in_any_order_keeps_the_isr)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    for (int32_t id = 1; id <= 3; id++)
        toy_vanish(&toy, id);
    toy_win(&toy);
    SHOWS("t", 0, "1/1,2,3 0 0"); /* they may be on their way */
    toy_advance(&toy, 4000);
    SHOWS("t", 0, "-1/1,2,3 1 1");
    toy_start(&toy, 3);
    /* Kafka would have shrunk the ISR to whoever was taken for the last; here all are still in it,
     * and the dead leave with the write that elects */
    SHOWS("t", 0, "3/3 2 2");
    toy_start(&toy, 1);
    SHOWS("t", 0, "3/3 2 2");
}
END_TEST

START_TEST(a_quick_restart_never_leads_in_the_old_epoch)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "alone", 1, IDS(1));
    toy.brokers[1].probe = PROBE_ANSWERED;
    /* it is back, with a new registration, before anybody noticed */
    toy_start(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 1");
    SHOWS("alone", 0, "1/1 1 1"); /* nobody else: the same one, in a new epoch */
    IS(1, NODE_LIVE);
    ck_assert_int_eq(toy_known(&toy, 1, "t", 0)->leader, 2);
}
END_TEST

START_TEST(the_image_waits_for_the_leave)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_register(&toy, 1);
    toy_nodes(&toy);
    toy.brokers[1].incarnation.bytes[3] = 99;
    toy.brokers[1].n_images = 0;
    toy.hold = true;
    toy_hello(&toy, 1, true, false);
    ck_assert_int_eq(toy.brokers[1].n_images, 0);
    toy_release(&toy);
    ck_assert_int_eq(toy.brokers[1].n_images, 1);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

START_TEST(an_unclean_return_leaves_the_isr)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    for (int32_t id = 1; id <= 3; id++)
        toy_kill(&toy, id);
    SHOWS("t", 0, "-1/3 3 3");
    toy_fini(&toy);
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2));
    for (int32_t id = 1; id <= 2; id++) {
        toy.brokers[id].stream = 0;
        toy.brokers[id].registered = false;
    }
    toy_win(&toy);
    toy_hello(&toy, 3, false, false);
    toy_advance(&toy, 4000);
    SHOWS("t", 0, "-1/1,2 1 1");
    toy_register(&toy, 2);
    toy_nodes(&toy);
    toy_hello(&toy, 2, true, true);
    SHOWS("t", 0, "-1/1 2 2"); /* 1 may have what 2 has lost */
    toy_register(&toy, 1);
    toy_nodes(&toy);
    toy_hello(&toy, 1, true, true);
    SHOWS("t", 0, "1/1 3 3"); /* never the last one */
}
END_TEST

START_TEST(a_hung_broker_is_moved_but_not_written_off)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "alone", 1, IDS(1));
    toy.brokers[1].beats = false;
    toy.brokers[1].probe = PROBE_SILENT;
    toy_advance(&toy, 1100);
    IS(1, NODE_UNKNOWN);
    SHOWS("t", 0, "1/1,2,3 0 0");
    toy_advance(&toy, 600);
    IS(1, NODE_DEAD);
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_FENCED);
    SHOWS("t", 0, "2/2,3 1 1");
    SHOWS("alone", 0, "1/1 0 0");
    toy_expire(&toy, 1);
    SHOWS("alone", 0, "-1/1 1 1");
}
END_TEST

START_TEST(beats_that_come_back_change_nothing)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.brokers[1].beats = false;
    toy_advance(&toy, 1100);
    IS(1, NODE_UNKNOWN);
    toy.brokers[1].beats = true;
    toy_advance(&toy, 5000);
    IS(1, NODE_LIVE);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(a_controller_that_was_held_up_fences_nobody)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.now_ms += 10000;
    toy_step(&toy, (struct core_event){ .kind = CORE_TICK });
    toy_advance(&toy, 3000);
    for (int32_t id = 1; id <= 3; id++)
        IS(id, NODE_LIVE);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(a_zookeeper_hiccup_is_no_bounce)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    for (int32_t id = 1; id <= 3; id++)
        toy.brokers[id].registered = false;
    toy_nodes(&toy);
    toy_advance(&toy, 10000);
    for (int32_t id = 1; id <= 3; id++)
        toy_register(&toy, id);
    toy_nodes(&toy);
    toy_advance(&toy, 60000);
    SHOWS("t", 0, "1/1,2,3 0 0");
    ck_assert_int_eq(image_node(core_image(toy.core), 1)->epoch, toy.brokers[1].epoch);
    /* and it may join again under its new epoch */
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
}
END_TEST

/* ZooKeeper stood still past every session, and the first controller to come back was another one:
 * the brokers register one after the other, the same processes as before. */
START_TEST(a_hiccup_that_moves_the_seat_changes_no_role)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    for (int32_t id = 1; id <= 3; id++) {
        toy.brokers[id].registered = false;
        toy.brokers[id].stream = 0;
    }
    toy_win(&toy);
    for (int32_t id = 3; id >= 1; id--) {
        toy_register(&toy, id);
        toy_nodes(&toy);
        toy_hello(&toy, id, false, false);
        toy_advance(&toy, 300);
    }
    toy_advance(&toy, 60000);
    SHOWS("t", 0, "1/1,2,3 0 0");
}
END_TEST

START_TEST(a_registration_that_stays_away_fences)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_expire(&toy, 1);
    toy_advance(&toy, 17000);
    SHOWS("t", 0, "1/1,2,3 0 0");
    toy_advance(&toy, 2000);
    SHOWS("t", 0, "2/2,3 1 1");
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_NOT_REGISTERED);
}
END_TEST

START_TEST(a_fenced_controller_resigns)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy.fenced = true;
    toy_kill(&toy, 1);
    ck_assert(!toy.active);
    ck_assert(!core_is_active(toy.core));
    SHOWS("t", 0, "1/1,2,3 0 0");
    toy_hello(&toy, 1, false, false);
    ck_assert_int_eq(toy.brokers[1].goodbye, GOODBYE_NOT_ACTIVE);
    toy_create(&toy, "u", 1, IDS(1, 2, 3));
    ck_assert_int_eq(toy.answer_err, ERR_NOT_CONTROLLER);
    toy_win(&toy);
    toy_hello(&toy, 2, false, false);
    toy_hello(&toy, 3, false, false);
    SHOWS("t", 0, "2/2,3 1 1");
}
END_TEST

START_TEST(a_state_that_is_not_as_known_is_read_again)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_topic(&toy, "t")->parts[0].state.partition_epoch = 5; /* another hand */
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2,3 1 6");
}
END_TEST

START_TEST(events_during_a_write_share_the_next)
{
    toy_create(&toy, "a", 3, IDS(1, 2, 3));
    toy_create(&toy, "b", 3, IDS(2, 3, 1));
    toy.hold = true;
    toy_propose(&toy, 1, "a", 0, IDS(1, 2));
    toy_propose(&toy, 1, "a", 1, IDS(1, 2));
    toy_propose(&toy, 1, "a", 2, IDS(1, 2));
    size_t writes = toy.n_writes;

    toy_release(&toy);
    ck_assert_uint_eq(toy.n_writes, writes + 2);
    ck_assert_uint_eq(toy.last_ops, 2);
    ck_assert_int_eq(toy.brokers[1].n_alters, 3);
    SHOWS("a", 2, "1/1,2 0 1");
}
END_TEST

START_TEST(unclean_election_when_switched_on)
{
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_kill(&toy, 2);
    toy_kill(&toy, 3);
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 3 3");
    toy_start(&toy, 3);
    SHOWS("t", 0, "-1/1 3 3");
    toy_set_config(&toy, "topics", "t", "unclean.leader.election.enable", "true");
    SHOWS("t", 0, "3/3 4 4");
    ck_assert(toy_part(&toy, "t", 0)->state.recovering);
}
END_TEST

START_TEST(leadership_goes_back_to_the_preferred)
{
    toy_fini(&toy);
    toy_up_balancing(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_advance(&toy, 6000); /* the first look finds nothing to do */
    toy_kill(&toy, 1);
    toy_start(&toy, 1);
    toy_propose(&toy, 2, "t", 0, IDS(2, 3, 1));
    SHOWS("t", 0, "2/2,3,1 1 2");
    toy_advance(&toy, 290000);
    SHOWS("t", 0, "2/2,3,1 1 2");
    toy_advance(&toy, 10000);
    SHOWS("t", 0, "1/2,3,1 2 3");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("core");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end);
    tcase_add_test(tc, creation_starts_at_nothing);
    tcase_add_test(tc, a_new_controller_changes_nothing);
    tcase_add_test(tc, killed_leader);
    tcase_add_test(tc, killed_follower_leaves_in_the_same_batch);
    tcase_add_test(tc, killed_leader_and_controller);
    tcase_add_test(tc, controlled_shutdown_and_return);
    tcase_add_test(tc, shutdown_of_the_last_one_in_sync_leaves_it_leading);
    tcase_add_test(tc, shutdown_of_everybody_waits_for_nobody);
    tcase_add_test(tc, nobody_leaves_an_isr_before_a_stayer_has_spoken);
    tcase_add_test(tc, nobody_leaves_an_isr_for_a_failed_directory_before_a_stayer_has_spoken);
    tcase_add_test(tc, a_replica_that_found_room_may_come_back);
    tcase_add_test(tc, a_leader_and_its_follower_that_go_silent_together_keep_the_isr);
    tcase_add_test(tc, a_new_leader_waits_for_one_word_only);
    tcase_add_test(tc, all_die_and_one_returns);
    tcase_add_test(tc, cold_start_in_any_order_keeps_the_isr);
    tcase_add_test(tc, a_quick_restart_never_leads_in_the_old_epoch);
    tcase_add_test(tc, the_image_waits_for_the_leave);
    tcase_add_test(tc, an_unclean_return_leaves_the_isr);
    tcase_add_test(tc, a_hung_broker_is_moved_but_not_written_off);
    tcase_add_test(tc, beats_that_come_back_change_nothing);
    tcase_add_test(tc, a_controller_that_was_held_up_fences_nobody);
    tcase_add_test(tc, a_zookeeper_hiccup_is_no_bounce);
    tcase_add_test(tc, a_hiccup_that_moves_the_seat_changes_no_role);
    tcase_add_test(tc, a_registration_that_stays_away_fences);
    tcase_add_test(tc, a_fenced_controller_resigns);
    tcase_add_test(tc, a_state_that_is_not_as_known_is_read_again);
    tcase_add_test(tc, events_during_a_write_share_the_next);
    tcase_add_test(tc, unclean_election_when_switched_on);
    tcase_add_test(tc, leadership_goes_back_to_the_preferred);
    return unit_run(tc);
}
