/*
 * settings: what is known of them is what ZooKeeper has, however requests, deletions and notes of
 * changes meet; a topic that is made again inherits nothing from the one of before.
 */
#include <check.h>

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

int main(void)
{
    TCase *tc = tcase_create("settings");

    tcase_add_checked_fixture(tc, two_topics, core_kit_end);
    tcase_add_test(tc, what_is_read_while_a_topic_goes_is_not_kept);
    tcase_add_test(tc, a_change_and_the_deletion_in_one_plan_leave_nothing);
    tcase_add_test(tc, settings_that_were_there_before_the_topic_go_when_it_is_created);
    return unit_run(tc);
}
