/*
 * elr: who may lead beside the ISR. With min.insync.replicas=2 nothing that was acknowledged is
 * lost when the last one in sync loses its tail; entries are void as soon as they could be wrong.
 */
#include <check.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

#define ELIGIBLE(text) ck_assert_str_eq(toy_eligible(&toy, "t", 0), text)

static void set_min_isr(const char *type, const char *name, const char *value)
{
    toy_set_config(&toy, type, name, "min.insync.replicas", value);
}

/* The machine of a broker that is down was restarted: what it had not flushed is gone. */
static void start_unclean(int32_t id)
{
    struct toy_broker *b = &toy.brokers[id];

    toy_register(&toy, id);
    b->incarnation.bytes[15]++;
    b->probe = PROBE_ANSWERED;
    b->beats = b->acks = true;
    toy_nodes(&toy);
    toy_hello(&toy, id, true, true);
}

static void only_1_is_left(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    set_min_isr("topics", "t", "2");
    toy_kill(&toy, 3);
    SHOWS("t", 0, "1/1,2 1 1");
    ELIGIBLE(""); /* enough are in sync: the high watermark goes on without 3 */
    toy_kill(&toy, 2);
    SHOWS("t", 0, "1/1 2 2");
    ELIGIBLE("2");
}

START_TEST(the_last_one_loses_its_tail_and_comes_back_first)
{
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 3 3");
    ELIGIBLE("2");
    start_unclean(1);
    /* 2 stands in the ISR instead, so that Kafka would not lead 1 either */
    SHOWS("t", 0, "-1/2 4 4");
    toy_start(&toy, 3);
    SHOWS("t", 0, "-1/2 4 4");
    toy_start(&toy, 2);
    SHOWS("t", 0, "2/2 5 5");
}
END_TEST

START_TEST(the_last_one_is_gone_and_an_eligible_one_comes_back)
{
    toy_kill(&toy, 1);
    toy_start(&toy, 3);
    SHOWS("t", 0, "-1/1 3 3"); /* 3 was not in sync when the high watermark last moved */
    toy_start(&toy, 2);
    SHOWS("t", 0, "2/2 4 4");
    ELIGIBLE("1"); /* it had all of it as well, wherever it is */
    toy_start(&toy, 1);
    toy_propose(&toy, 2, "t", 0, IDS(2, 1));
    SHOWS("t", 0, "2/2,1 4 5");
    ELIGIBLE("");
}
END_TEST

/* 2 may have gone before it, with what it had not flushed. */
START_TEST(the_last_one_is_gone_and_an_eligible_one_is_silent)
{
    toy_start(&toy, 2);
    toy.brokers[2].acks = false;
    toy_kill(&toy, 1);
    SHOWS("t", 0, "1/1 2 2");
    toy.brokers[2].acks = true;
    toy_ack(&toy, 2);
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

START_TEST(all_in_sync_leave_in_one_write)
{
    toy_start(&toy, 2);
    toy_start(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    ELIGIBLE("");
    toy.hold = true;
    toy_kill(&toy, 3);
    toy_kill(&toy, 2);
    toy_release(&toy);
    ck_assert_uint_eq(toy_part(&toy, "t", 0)->state.isr.n, 1);
    ck_assert(toy_part(&toy, "t", 0)->has_eligible);
}
END_TEST

START_TEST(an_eligible_one_that_loses_its_tail_is_none)
{
    start_unclean(2);
    SHOWS("t", 0, "1/1 2 2"); /* without a new state */
    ELIGIBLE("");
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 3 3");
    start_unclean(1);
    SHOWS("t", 0, "1/1 4 4"); /* nobody is better: as in Kafka */
}
END_TEST

START_TEST(both_lose_it)
{
    toy_kill(&toy, 1);
    start_unclean(1);
    SHOWS("t", 0, "-1/2 4 4");
    start_unclean(2);
    SHOWS("t", 0, "2/2 5 5"); /* nobody is better */
}
END_TEST

START_TEST(less_is_wanted_in_sync)
{
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), 0);
    ELIGIBLE(""); /* from now on 1 may go on alone */
    toy_kill(&toy, 1);
    SHOWS("t", 0, "-1/1 3 3");
    toy_start(&toy, 2);
    SHOWS("t", 0, "-1/1 3 3");
}
END_TEST

/* Its machine may have gone already: then 2 is the one that has everything. */
START_TEST(less_is_wanted_only_when_the_last_one_is_known_to_live)
{
    toy.brokers[1].acks = false;
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), -99);
    ELIGIBLE("2");
    toy_ack(&toy, 1);
    ELIGIBLE("");
}
END_TEST

/* It loses its tail while the settings are written that make 2 none: nobody went by them yet. */
START_TEST(less_is_wanted_and_the_last_one_is_gone_before_it_is_told)
{
    toy.hold = true;
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_kill(&toy, 1);
    if (_i == 1)
        start_unclean(1);
    toy.hold = false;
    toy_release(&toy);
    if (_i == 0) {
        SHOWS("t", 0, "-1/1 3 3");
        ELIGIBLE("2");
        start_unclean(1);
    }
    SHOWS("t", 0, _i == 0 ? "-1/2 4 4" : "-1/2 3 3");
    toy_start(&toy, 2);
    SHOWS("t", 0, _i == 0 ? "2/2 5 5" : "2/2 4 4");
    ELIGIBLE("");
}
END_TEST

/* It was not gone after all, and is heard of while the entry is being written again. */
START_TEST(less_is_wanted_and_the_last_one_comes_back_as_it_was)
{
    toy.hold = true;
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_lose_stream(&toy, 1);
    toy.hold_next = true;
    toy_release(&toy);
    toy_hello(&toy, 1, false, false);
    toy.hold = toy.hold_next = false;
    toy_release(&toy);
    ELIGIBLE("");
}
END_TEST

/* The controller is gone with the last one, and 2 comes back to the next. */
static void next_controller_finds_2(void)
{
    toy_new_core(&toy);
    toy_win(&toy);
    toy_start(&toy, 2);
    toy_kill(&toy, 1);
    toy_advance(&toy, 100);
}

/* What is stored is nothing that the last one went by. */
START_TEST(less_is_wanted_and_the_controller_is_gone_with_the_last_one)
{
    toy.hold = toy.hold_next = true;
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_release(&toy);
    ELIGIBLE("2");
    next_controller_finds_2();
    SHOWS("t", 0, "2/2 3 3");
    start_unclean(1);
    SHOWS("t", 0, "2/2 3 3");
    ck_assert_str_eq(toy_setting(&toy, 2, "t", "min.insync.replicas").ptr, "1");
}
END_TEST

START_TEST(another_hand_wants_less_and_the_controller_is_gone_with_the_last_one)
{
    struct image_setting setting = { STR("min.insync.replicas"), STR("1") };
    struct image_config config = {
        .type = STR("topics"), .name = STR("t"), .n_settings = 1, .settings = &setting
    };

    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &config });
    next_controller_finds_2();
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

/* The last one hangs: it is not told, so nobody waits for it; when it goes on, it is told last. */
START_TEST(less_is_wanted_and_the_last_one_hangs)
{
    toy.brokers[1].acks = toy.brokers[1].beats = false;
    toy.brokers[1].probe = PROBE_SILENT;
    toy_advance(&toy, 5000);
    IS(1, NODE_DEAD);
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), 0);
    ELIGIBLE("2");
    toy.brokers[1].acks = toy.brokers[1].beats = true;
    toy.hold = true;
    toy_hello(&toy, 1, false, false);
    ck_assert_ptr_null(toy.brokers[1].image);
    toy_release(&toy);
    ELIGIBLE("");
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "1");
}
END_TEST

/* It had no stream when that was decided, and has one when it is to be published. */
START_TEST(less_is_wanted_and_the_last_one_is_back_before_it_is_published)
{
    toy_lose_stream(&toy, 1);
    toy.hold = true;
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_hello(&toy, 1, false, false);
    toy.hold_next = true;
    toy_release(&toy);
    ELIGIBLE("2");
    ck_assert(!str_is(toy_setting(&toy, 1, "t", "min.insync.replicas"), "1"));
    toy.hold_next = false;
    toy_ack(&toy, 1);
    if (toy.held != NULL)
        toy_release(&toy);
    ELIGIBLE("");
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "1");
}
END_TEST

static struct str default_min_isr(void)
{
    return image_config_value(image_config(core_image(toy.core), STR("brokers"), STR("<default>")),
                              STR("min.insync.replicas"));
}

/* Each alone changes nothing for the last one, which is back when both are to be published. */
START_TEST(two_changes_together_want_less)
{
    set_min_isr("brokers", "<default>", "2");
    toy_create(&toy, "u", 1, IDS(1));
    toy_lose_stream(&toy, 1);
    toy.hold = toy.hold_next = true;
    toy_alter(&toy, "u", "retention.ms", "1");
    set_min_isr("topics", "t", NULL);
    set_min_isr("brokers", "<default>", "1");
    toy_alter(&toy, "u", "retention.ms", "2");
    toy_release(&toy); /* both are in the next write */
    toy.brokers[1].acks = false;
    toy_hello(&toy, 1, false, false);
    toy.hold_next = false;
    toy_release(&toy);
    ELIGIBLE("2");
    ck_assert(str_is_null(toy_setting(&toy, 0, "t", "min.insync.replicas")));
    ck_assert(str_is(default_min_isr(), "2"));
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ELIGIBLE("");
    ck_assert(str_is(default_min_isr(), "1"));
}
END_TEST

START_TEST(as_much_is_wanted_as_before)
{
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "2"), 0);
    ELIGIBLE("2");
    set_min_isr("brokers", "<default>", "1"); /* the topic's own counts */
    ELIGIBLE("2");
    set_min_isr("topics", "other", "1");
    ELIGIBLE("2");
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "3"), 0);
    ELIGIBLE("2");
}
END_TEST

START_TEST(another_hand_wants_less)
{
    toy.hold = true;
    set_min_isr("topics", "t", "1");
    /* brokers hear of it when the entry is gone from ZooKeeper */
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "2");
    ELIGIBLE("2");
    toy_release(&toy);
    ELIGIBLE("");
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "1");
}
END_TEST

START_TEST(another_hand_wants_less_and_is_heard_when_the_entry_can_go)
{
    size_t writes;

    toy.fails[OP_ELIGIBLE_SET] = true;
    set_min_isr("topics", "t", "1");
    writes = toy.n_writes;
    toy_advance(&toy, 5500);
    ck_assert_uint_gt(toy.n_writes - writes, 2);
    ck_assert_uint_lt(toy.n_writes - writes, 10);
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "2");
    ELIGIBLE("2");
    toy.fails[OP_ELIGIBLE_SET] = false;
    toy_advance(&toy, 1500);
    ELIGIBLE("");
    ck_assert_str_eq(toy_setting(&toy, 1, "t", "min.insync.replicas").ptr, "1");
}
END_TEST

START_TEST(another_hand_wants_less_and_the_last_one_is_known_to_live)
{
    toy.brokers[1].acks = false;
    set_min_isr("topics", "t", "1");
    ELIGIBLE("2");
    toy_ack(&toy, 1);
    ELIGIBLE("");
}
END_TEST

/* 1 has spoken, but before a write that the change has to wait for: it may be gone since. */
static void a_write_comes_between(void)
{
    toy_kill(&toy, 3);
    toy.hold = true;
    toy_ack(&toy, 1); /* that 3 leaves u is written first */
    toy_release(&toy);
    ELIGIBLE("2");
    toy_ack(&toy, 1);
    ELIGIBLE("");
}

static void share_a_topic_with_3(void)
{
    toy_start(&toy, 3);
    toy_create(&toy, "u", 1, IDS(1, 3));
    toy.brokers[1].acks = false;
}

START_TEST(a_request_for_less_that_had_to_wait_needs_a_younger_word)
{
    share_a_topic_with_3();
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), -99);
    a_write_comes_between();
}
END_TEST

START_TEST(less_of_another_hand_that_had_to_wait_needs_a_younger_word)
{
    share_a_topic_with_3();
    set_min_isr("topics", "t", "1");
    a_write_comes_between();
}
END_TEST

START_TEST(another_hand_wanted_less_between_controllers)
{
    struct image_setting setting = { STR("min.insync.replicas"), STR("1") };
    struct image_config config = {
        .type = STR("topics"), .name = STR("t"), .n_settings = 1, .settings = &setting
    };

    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &config });
    toy.hold = true;
    toy_win(&toy);
    toy_hello(&toy, 1, false, false);
    ck_assert_int_eq(toy.brokers[1].n_images, 1); /* none of this controller */
    toy_release(&toy);
    ELIGIBLE("");
    ck_assert_int_eq(toy.brokers[1].n_images, 2);
}
END_TEST

START_TEST(the_next_controller_knows)
{
    toy_next_controller(&toy);
    ELIGIBLE("2");
    toy_kill(&toy, 1);
    toy_start(&toy, 2);
    SHOWS("t", 0, "2/2 4 4");
}
END_TEST

START_TEST(a_controller_that_is_not_ours_makes_it_void)
{
    toy.ours_since = toy.controller_epoch + 1; /* whatever it did */
    toy_next_controller(&toy);
    ELIGIBLE("");
    toy_kill(&toy, 1);
    toy_start(&toy, 2);
    SHOWS("t", 0, "-1/1 3 3");
}
END_TEST

START_TEST(a_state_written_by_another_makes_it_void)
{
    toy_part(&toy, "t", 0);
    toy_topic(&toy, "t")->parts[0].state.partition_epoch++;
    toy_next_controller(&toy);
    ELIGIBLE("");
    toy_kill(&toy, 1);
    toy_start(&toy, 2);
    ck_assert_int_eq(toy_part(&toy, "t", 0)->state.leader, -1);
}
END_TEST

START_TEST(a_leader_that_wants_less_in_its_own_file)
{
    set_min_isr("topics", "t", NULL); /* its leader's file says nothing: 1 */
    ELIGIBLE("");
    toy_start(&toy, 2);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    toy_kill(&toy, 2);
    ELIGIBLE("");
}
END_TEST

/* From now on min.insync.replicas stands in the brokers' own files only. */
static void only_files_say(int32_t min_isr)
{
    for (int32_t id = 1; id <= 3; id++)
        toy.brokers[id].min_isr = min_isr;
    toy_all_hello(&toy); /* the same processes again */
    set_min_isr("topics", "t", NULL);
}

START_TEST(the_next_controller_waits_for_what_the_leaders_file_says)
{
    only_files_say(2);
    ELIGIBLE("2");
    toy_win(&toy);
    ELIGIBLE("2");
    toy_hello(&toy, 1, false, false);
    ELIGIBLE("2");
    toy_kill(&toy, 1);
    toy_start(&toy, 2);
    SHOWS("t", 0, "2/2 4 4");
    start_unclean(1);
    SHOWS("t", 0, "2/2 4 4");
}
END_TEST

START_TEST(the_leader_dies_before_it_is_heard_of)
{
    only_files_say(2);
    toy_win(&toy);
    toy_start(&toy, 2);
    toy_kill(&toy, 1);
    toy_advance(&toy, 100);
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

/* The leader goes by its file as soon as it is sent the image. */
START_TEST(the_leader_is_told_when_what_its_file_makes_void_is_gone)
{
    struct image_config none = { .type = STR("topics"), .name = STR("t") };

    toy.brokers[1].min_isr = 1;
    toy_all_hello(&toy);
    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &none });
    toy_win(&toy);
    toy.hold = true;
    toy_hello(&toy, 1, false, false);
    ELIGIBLE("2");
    ck_assert_int_eq(toy.brokers[1].n_images, 2); /* none of this controller */
    toy_release(&toy);
    ELIGIBLE("");
    ck_assert_int_eq(toy.brokers[1].n_images, 3);
}
END_TEST

/* The old one went by 2, and what it acknowledged is on 2. */
START_TEST(a_new_process_with_another_file_takes_nothing_from_who_is_eligible)
{
    only_files_say(2);
    toy_win(&toy);
    toy.brokers[1].min_isr = 1;
    start_unclean(1);
    SHOWS("t", 0, "-1/2 3 3");
    toy_start(&toy, 2);
    SHOWS("t", 0, "2/2 4 4");
}
END_TEST

START_TEST(a_state_without_the_leaders_word_keeps_them)
{
    toy_start(&toy, 2);
    toy_start(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    set_min_isr("topics", "t", "3");
    only_files_say(3);
    toy_kill(&toy, 2);
    ELIGIBLE("2");
    toy_win(&toy);
    toy.brokers[3].stream = 0;
    start_unclean(3); /* leaves the ISR of a leader that is not heard of yet */
    ck_assert_uint_eq(toy_part(&toy, "t", 0)->state.isr.n, 1);
    ELIGIBLE("2");
}
END_TEST

START_TEST(who_is_moved_away_is_none)
{
    toy_start(&toy, 3);
    MOVES("t", 0, IDS(1));
    ELIGIBLE("");
    ASSIGNS("t", 0, "1");
}
END_TEST

START_TEST(a_move_begins_and_keeps_them)
{
    toy_start(&toy, 2);
    toy_start(&toy, 3);
    MOVES("t", 0, IDS(3, 2));
    ASSIGNS("t", 0, "3,2,1 -1");
    ELIGIBLE("2");
    toy_kill(&toy, 1);
    SHOWS("t", 0, "2/2 4 4");
}
END_TEST

START_TEST(a_failed_directory_holds_nothing)
{
    toy_start(&toy, 2);
    ELIGIBLE("2");
    toy_fail_dir(&toy, 2, "t", 0);
    ELIGIBLE("");
}
END_TEST

/* The state that makes 2 eligible and the setting that voids it are wanted at the same time. */
START_TEST(nobody_becomes_eligible_under_settings_that_go)
{
    toy_start(&toy, 2);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2));
    ELIGIBLE("");
    toy.hold = true;
    toy_alter(&toy, "t", "min.insync.replicas", "2"); /* a WRITE that is out */
    toy_kill(&toy, 2);
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_release(&toy);
    toy_advance(&toy, 100);
    SHOWS("t", 0, "1/1 3 4");
    ELIGIBLE("");
}
END_TEST

/* Its entry shrinks in the plan in which the partition gets another state. */
START_TEST(who_comes_back_without_its_tail_as_a_move_begins)
{
    toy_start(&toy, 4);
    toy_create(&toy, "u", 1, IDS(1));
    toy_start(&toy, 2);
    toy_start(&toy, 3);
    toy_propose(&toy, 1, "t", 0, IDS(1, 2, 3));
    set_min_isr("topics", "t", "3");
    toy_kill(&toy, 3);
    toy_kill(&toy, 2);
    ELIGIBLE("2,3");
    toy.hold = toy.hold_next = true;
    toy_alter(&toy, "u", "retention.ms", "5");
    start_unclean(2);
    toy_reassign(&toy, "t", 0, IDS(1, 2, 3, 4));
    toy_release(&toy);
    ck_assert_uint_ge(toy.held->n, 3); /* the entry, and the move with an entry of its own */
    toy.hold_next = false;
    toy_release(&toy);
    ASSIGNS("t", 0, "1,2,3,4 +4");
    ELIGIBLE("3");
    toy_kill(&toy, 4); /* it is looked again */
    toy_advance(&toy, 100);
    ELIGIBLE("3");
}
END_TEST

START_TEST(it_goes_with_the_topic)
{
    struct toy_part *part = &toy_topic(&toy, "t")->parts[0];

    toy_delete(&toy, "t");
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert(!part->has_eligible);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("elr");

    tcase_add_checked_fixture(tc, only_1_is_left, core_kit_end);
    tcase_add_test(tc, the_last_one_loses_its_tail_and_comes_back_first);
    tcase_add_test(tc, nobody_becomes_eligible_under_settings_that_go);
    tcase_add_test(tc, the_last_one_is_gone_and_an_eligible_one_comes_back);
    tcase_add_test(tc, the_last_one_is_gone_and_an_eligible_one_is_silent);
    tcase_add_test(tc, all_in_sync_leave_in_one_write);
    tcase_add_test(tc, an_eligible_one_that_loses_its_tail_is_none);
    tcase_add_test(tc, both_lose_it);
    tcase_add_test(tc, less_is_wanted_in_sync);
    tcase_add_test(tc, less_is_wanted_only_when_the_last_one_is_known_to_live);
    tcase_add_test(tc, less_is_wanted_and_the_last_one_comes_back_as_it_was);
    tcase_add_loop_test(tc, less_is_wanted_and_the_last_one_is_gone_before_it_is_told, 0, 2);
    tcase_add_test(tc, less_is_wanted_and_the_controller_is_gone_with_the_last_one);
    tcase_add_test(tc, another_hand_wants_less_and_the_controller_is_gone_with_the_last_one);
    tcase_add_test(tc, less_is_wanted_and_the_last_one_hangs);
    tcase_add_test(tc, less_is_wanted_and_the_last_one_is_back_before_it_is_published);
    tcase_add_test(tc, two_changes_together_want_less);
    tcase_add_test(tc, as_much_is_wanted_as_before);
    tcase_add_test(tc, another_hand_wants_less);
    tcase_add_test(tc, another_hand_wants_less_and_is_heard_when_the_entry_can_go);
    tcase_add_test(tc, another_hand_wants_less_and_the_last_one_is_known_to_live);
    tcase_add_test(tc, a_request_for_less_that_had_to_wait_needs_a_younger_word);
    tcase_add_test(tc, less_of_another_hand_that_had_to_wait_needs_a_younger_word);
    tcase_add_test(tc, another_hand_wanted_less_between_controllers);
    tcase_add_test(tc, the_next_controller_knows);
    tcase_add_test(tc, a_controller_that_is_not_ours_makes_it_void);
    tcase_add_test(tc, a_state_written_by_another_makes_it_void);
    tcase_add_test(tc, a_leader_that_wants_less_in_its_own_file);
    tcase_add_test(tc, the_next_controller_waits_for_what_the_leaders_file_says);
    tcase_add_test(tc, the_leader_dies_before_it_is_heard_of);
    tcase_add_test(tc, the_leader_is_told_when_what_its_file_makes_void_is_gone);
    tcase_add_test(tc, a_new_process_with_another_file_takes_nothing_from_who_is_eligible);
    tcase_add_test(tc, a_state_without_the_leaders_word_keeps_them);
    tcase_add_test(tc, who_is_moved_away_is_none);
    tcase_add_test(tc, a_move_begins_and_keeps_them);
    tcase_add_test(tc, a_failed_directory_holds_nothing);
    tcase_add_test(tc, who_comes_back_without_its_tail_as_a_move_begins);
    tcase_add_test(tc, it_goes_with_the_topic);
    return unit_run(tc);
}
