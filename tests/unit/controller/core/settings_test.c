/*
 * settings: what is known of them is what ZooKeeper has, however requests, deletions and notes of
 * changes meet; a topic that is made again inherits nothing from the one of before.
 */
#include <check.h>
#include <stdio.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void two_topics(void)
{
    toy_up(&toy, 3);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    toy_create(&toy, "u", 1, IDS(1, 2, 3));
}

/* The write that is out is carried out, and all that it held up. */
static void let_go(void)
{
    toy_release(&toy);
    while (toy.held != NULL)
        toy_release(&toy);
    toy.hold = toy.hold_next = false;
}

/* A setting of a topic, as ZooKeeper, the controller and a broker have it; NULL: none. */
static void has(const char *topic, const char *key, const char *value)
{
    struct str stored =
        image_config_value(image_config(toy.configs, STR("topics"), str_of(topic)), str_of(key));

    ck_assert(str_eq(stored, str_of(value)));
    ck_assert(str_eq(toy_setting(&toy, 0, topic, key), stored));
    ck_assert(str_eq(toy_setting(&toy, 2, topic, key), stored));
}

/* ---- topics that go and come again ---- */

START_TEST(what_is_read_while_a_topic_goes_is_not_kept)
{
    toy_alter(&toy, "t", "retention.ms", "1000");
    toy.hold = true;
    toy_delete(&toy, "t"); /* mark and tombstones are out */
    toy_note_config(&toy, "topics", "t");
    let_go();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    has("t", "retention.ms", NULL);
    toy_create(&toy, "t", 1, IDS(1, 2, 3));
    has("t", "retention.ms", NULL);
}
END_TEST

START_TEST(a_change_and_the_deletion_in_one_plan_leave_nothing)
{
    toy.hold = true;
    toy_alter(&toy, "u", "retention.ms", "5"); /* a write is out: both come into the next plan */
    toy_alter(&toy, "t", "retention.ms", "1000");
    toy_delete(&toy, "t");
    let_go();
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    has("t", "retention.ms", NULL);
    has("u", "retention.ms", "5");
}
END_TEST

START_TEST(settings_that_were_there_before_the_topic_go_when_it_is_created)
{
    struct image_setting setting = { STR("retention.ms"), STR("1000") };
    struct image_config left = { STR("topics"), STR("v"), 1, &setting };

    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &left });
    toy_next_controller(&toy); /* which loads them */
    toy_create(&toy, "v", 1, IDS(1, 2, 3));
    has("v", "retention.ms", NULL);
}
END_TEST

/* ---- changes that meet ---- */

START_TEST(changes_in_one_plan_are_all_kept)
{
    toy.hold = true;
    toy_alter(&toy, "u", "retention.ms", "5"); /* a write is out: the rest comes after it */
    toy_alter(&toy, "t", "retention.ms", "1111");
    toy_alter(&toy, "t", "segment.ms", "2222");
    toy_edit(&toy, "t", 2, "cleanup.policy", "compact");
    toy_edit(&toy, "t", 1, "segment.ms", NULL);
    let_go();
    ck_assert_int_eq(toy.errors[0], 0);
    has("t", "retention.ms", "1111");
    has("t", "segment.ms", NULL);
    has("t", "cleanup.policy", "delete,compact");
}
END_TEST

START_TEST(a_change_is_not_taken_back_by_the_note_of_the_one_before)
{
    toy_alter(&toy, "t", "unclean.leader.election.enable", "true");
    toy_alter(&toy, "t", "retention.ms", "1111");
    toy.hold = true;
    toy_alter(&toy, "t", "unclean.leader.election.enable", "false");
    toy_note_config(&toy, "topics", "t"); /* that it was switched on */
    let_go();
    has("t", "unclean.leader.election.enable", "false");
    toy_alter(&toy, "t", "segment.ms", "3333");
    has("t", "unclean.leader.election.enable", "false");
    has("t", "retention.ms", "1111");
    has("t", "segment.ms", "3333");
}
END_TEST

/* A change that lets the leader go by less has to wait until it has shown that it lives, for
 * somebody is eligible beside it. */
static void keep_waiting(void)
{
    toy_alter(&toy, "t", "min.insync.replicas", "2");
    toy_kill(&toy, 3);
    toy_kill(&toy, 2);
    ck_assert_str_eq(toy_eligible(&toy, "t", 0), "2");
    toy.brokers[1].acks = false;
}

static bool controller_has(const char *topic, const char *key, const char *value)
{
    return str_eq(toy_setting(&toy, 0, topic, key), str_of(value));
}

START_TEST(a_change_is_made_to_what_another_hand_has_just_written)
{
    keep_waiting();
    toy_set_config(&toy, "topics", "t", "min.insync.replicas", "1");
    ck_assert_int_eq(toy_alter(&toy, "t", "retention.ms", "1111"), -99);
    ck_assert(controller_has("t", "min.insync.replicas", "2"));
    ck_assert(controller_has("t", "retention.ms", NULL));
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ck_assert_int_eq(toy.errors[0], 0);
    ck_assert(controller_has("t", "min.insync.replicas", "1"));
    ck_assert(controller_has("t", "retention.ms", "1111"));
}
END_TEST

/* Both are in one write, and must wait when it is done, for the leader is back. */
START_TEST(a_change_is_made_to_what_waits_from_then_on)
{
    keep_waiting();
    toy_lose_stream(&toy, 1);
    toy.hold = toy.hold_next = true;
    toy_alter(&toy, "u", "retention.ms", "5");
    toy_set_config(&toy, "topics", "t", "min.insync.replicas", "1");
    toy_alter(&toy, "t", "retention.ms", "1111");
    toy_release(&toy);
    ck_assert_ptr_nonnull(toy.held);
    toy_hello(&toy, 1, false, false);
    toy.hold_next = false;
    toy_release(&toy);
    ck_assert(controller_has("t", "min.insync.replicas", "2"));
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ck_assert(controller_has("t", "min.insync.replicas", "1"));
    ck_assert(controller_has("t", "retention.ms", "1111"));
}
END_TEST

static void set_defaults(const char *min_isr, const char *unclean)
{
    struct image_setting settings[] = { { STR("min.insync.replicas"), str_of(min_isr) },
                                        { STR("unclean.leader.election.enable"),
                                          str_of(unclean) } };
    struct image_config config = { STR("brokers"), STR("<default>"), 2, settings };

    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &config });
    toy_note_config(&toy, "brokers", "<default>");
}

/* Of t somebody is eligible; of v 4 alone was in sync, and is gone. Settings that let t's leader go
 * by less have to wait for it. */
static void keep_waiting_while_v_has_nobody(const char *unclean)
{
    toy_start(&toy, 4);
    toy_start(&toy, 5);
    toy_create(&toy, "v", 1, IDS(4, 5));
    toy_alter(&toy, "v", "min.insync.replicas", "1");
    set_defaults("2", unclean);
    toy_kill(&toy, 3);
    toy_kill(&toy, 2);
    ck_assert_str_eq(toy_eligible(&toy, "t", 0), "2");
    toy_kill(&toy, 5);
    toy_kill(&toy, 4);
    ck_assert_str_eq(toy_eligible(&toy, "v", 0), "");
    SHOWS("v", 0, "-1/4 2 2");
    toy.brokers[1].acks = false;
}

static void is_withheld(bool is)
{
    const struct image_config *known =
        image_config(core_image(toy.core), STR("brokers"), STR("<default>"));

    ck_assert_str_eq(image_config_value(known, STR("min.insync.replicas")).ptr, is ? "2" : "1");
}

START_TEST(no_election_is_unclean_once_it_is_forbidden)
{
    keep_waiting_while_v_has_nobody("true");
    set_defaults("1", "false");
    is_withheld(true);
    toy_start(&toy, 5);
    SHOWS("v", 0, "-1/4 2 2");
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    is_withheld(false);
    SHOWS("v", 0, "-1/4 2 2");
}
END_TEST

START_TEST(an_election_is_unclean_as_soon_as_it_is_allowed)
{
    keep_waiting_while_v_has_nobody("false");
    toy_start(&toy, 5);
    SHOWS("v", 0, "-1/4 2 2");
    set_defaults("1", "true");
    is_withheld(true);
    SHOWS("v", 0, "5/5 3 3");
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    is_withheld(false);
}
END_TEST

/* Its note has it read while it waits. */
START_TEST(a_change_that_waits_is_answered_when_it_is_known)
{
    int answers;

    keep_waiting();
    answers = toy.n_answers;
    ck_assert_int_eq(toy_alter(&toy, "t", "min.insync.replicas", "1"), -99);
    toy_note_config(&toy, "topics", "t");
    toy_advance(&toy, 2000);
    ck_assert_int_eq(toy.n_answers, answers);
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ck_assert_int_eq(toy.n_answers, answers + 1);
    ck_assert_int_eq(toy.errors[0], 0);
    ck_assert(controller_has("t", "min.insync.replicas", "1"));
}
END_TEST

START_TEST(changes_that_wait_are_all_answered)
{
    int answers;

    keep_waiting();
    answers = toy.n_answers;
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_alter(&toy, "t", "retention.ms", "1111");
    toy_note_config(&toy, "topics", "t");
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    toy_advance(&toy, 2000);
    ck_assert_int_eq(toy.n_answers, answers + 2);
    ck_assert(controller_has("t", "min.insync.replicas", "1"));
    ck_assert(controller_has("t", "retention.ms", "1111"));
}
END_TEST

/* Nobody may believe the image that does not have it, nor lose it to a change that is not stored.
 */
START_TEST(a_change_that_waits_is_withheld_until_it_is_known)
{
    keep_waiting();
    ck_assert(!core_withholds(toy.core));
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    ck_assert(core_withholds(toy.core));
    toy_note_config(&toy, "topics", "t");
    ck_assert(core_withholds(toy.core));
    toy.fails[OP_CONFIG_SET] = true;
    ck_assert_int_ne(toy_alter(&toy, "t", "retention.ms", "1111"), 0);
    toy.fails[OP_CONFIG_SET] = false;
    ck_assert(core_withholds(toy.core));
    toy.hold = true;
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1); /* the entry goes */
    ck_assert_ptr_nonnull(toy.held);
    ck_assert(core_withholds(toy.core));
    toy_release(&toy);
    ck_assert(!core_withholds(toy.core));
    ck_assert(controller_has("t", "min.insync.replicas", "1"));
}
END_TEST

START_TEST(a_change_that_waits_holds_up_no_others)
{
    keep_waiting();
    toy_alter(&toy, "t", "min.insync.replicas", "1");
    toy_set_config(&toy, "topics", "u", "retention.ms", "5");
    ck_assert(controller_has("u", "retention.ms", "5"));
    ck_assert(controller_has("t", "min.insync.replicas", "2"));
    toy_delete(&toy, "t"); /* and nobody waits for it any more */
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    ck_assert_ptr_null(toy_topic(&toy, "t"));
    ck_assert_int_eq(toy.errors[0], 0);
}
END_TEST

START_TEST(what_waits_while_everything_is_loaded_again_is_read_again)
{
    struct image_setting setting = { STR("retention.ms"), STR("2222") };
    struct image_config younger = { STR("topics"), STR("t"), 1, &setting };

    keep_waiting();
    toy_set_config(&toy, "topics", "t", "retention.ms", "1111");
    ck_assert(controller_has("t", "retention.ms", NULL));
    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &younger });
    toy.lose = TOY_LOSE_AFTER;
    toy_create(&toy, "v", 1, IDS(1)); /* is not known to have been done: all is loaded */
    toy.brokers[1].acks = true;
    toy_ack(&toy, 1);
    toy_advance(&toy, 1000);
    ck_assert(controller_has("t", "retention.ms", "2222"));
}
END_TEST

/* ---- topics of another hand ---- */

/* As AdminZkClient does: settings, then the topic, and no note of either. */
static void another_hand_creates(const char *name)
{
    struct image_setting setting = { STR("cleanup.policy"), STR("compact") };
    struct image_config config = { STR("topics"), str_of(name), 1, &setting };
    struct toy_topic *t = &toy.topics[TOY_TOPICS - 1];

    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &config });
    t->there = true;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->id.bytes[3] = 9;
    t->n_parts = 1;
    t->parts[0].n_replicas = 2;
    t->parts[0].replicas[0] = 1;
    t->parts[0].replicas[1] = 2;
}

START_TEST(a_topic_of_another_hand_comes_with_its_settings)
{
    struct str name = STR("hand");

    another_hand_creates("hand");
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 1, &name } });
    SHOWS("hand", 0, "1/1,2 0 0");
    has("hand", "cleanup.policy", "compact");
    toy_next_controller(&toy);
    has("hand", "cleanup.policy", "compact");
}
END_TEST

START_TEST(settings_of_a_topic_that_is_not_known_yet_bring_it)
{
    another_hand_creates("hand");
    toy_note_config(&toy, "topics", "hand"); /* sooner than its name is told */
    SHOWS("hand", 0, "1/1,2 0 0");
    has("hand", "cleanup.policy", "compact");
}
END_TEST

START_TEST(what_waits_while_its_topic_is_read_is_read_again)
{
    struct str name = STR("hand");
    struct image_setting setting = { STR("cleanup.policy"), STR("delete") };
    struct image_config younger = { STR("topics"), name, 1, &setting };

    another_hand_creates("hand");
    toy.hold = true;
    toy_alter(&toy, "u", "retention.ms", "5");
    toy_note_config(&toy, "topics", "hand"); /* waits for the write */
    image_add(toy.configs, &(struct image_delta){ .n_configs = 1, .configs = &younger });
    toy_step(&toy, (struct core_event){ .kind = CORE_TOPIC_NAMES, .names = { 1, &name } });
    let_go();
    has("hand", "cleanup.policy", "delete");
}
END_TEST

/* Another hand has left garbage, and a note. */
START_TEST(what_is_known_goes_on_where_settings_cannot_be_read)
{
    toy_alter(&toy, "t", "cleanup.policy", "compact");
    toy.unread = "t";
    toy.lose = TOY_LOSE_BEFORE; /* all is loaded again */
    toy_create(&toy, "v", 1, IDS(1));
    has("t", "cleanup.policy", "compact");
    toy_alter(&toy, "t", "retention.ms", "5"); /* writes over it */
    has("t", "cleanup.policy", "compact");
    has("t", "retention.ms", "5");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("settings");

    tcase_add_checked_fixture(tc, two_topics, core_kit_end);
    tcase_add_test(tc, what_is_read_while_a_topic_goes_is_not_kept);
    tcase_add_test(tc, a_change_and_the_deletion_in_one_plan_leave_nothing);
    tcase_add_test(tc, settings_that_were_there_before_the_topic_go_when_it_is_created);
    tcase_add_test(tc, changes_in_one_plan_are_all_kept);
    tcase_add_test(tc, a_change_is_not_taken_back_by_the_note_of_the_one_before);
    tcase_add_test(tc, a_change_is_made_to_what_another_hand_has_just_written);
    tcase_add_test(tc, a_change_is_made_to_what_waits_from_then_on);
    tcase_add_test(tc, no_election_is_unclean_once_it_is_forbidden);
    tcase_add_test(tc, an_election_is_unclean_as_soon_as_it_is_allowed);
    tcase_add_test(tc, a_change_that_waits_is_answered_when_it_is_known);
    tcase_add_test(tc, changes_that_wait_are_all_answered);
    tcase_add_test(tc, a_change_that_waits_is_withheld_until_it_is_known);
    tcase_add_test(tc, a_change_that_waits_holds_up_no_others);
    tcase_add_test(tc, what_waits_while_everything_is_loaded_again_is_read_again);
    tcase_add_test(tc, a_topic_of_another_hand_comes_with_its_settings);
    tcase_add_test(tc, settings_of_a_topic_that_is_not_known_yet_bring_it);
    tcase_add_test(tc, what_waits_while_its_topic_is_read_is_read_again);
    tcase_add_test(tc, what_is_known_goes_on_where_settings_cannot_be_read);
    return unit_run(tc);
}
