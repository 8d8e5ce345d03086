/*
 * parts: what becomes of the logs of topics that are gone. Files go on a tombstone and on nothing
 * else, a topic that is made anew begins empty, and a wrong ZooKeeper is not believed.
 */
#include <check.h>
#include <stdio.h>

#include "broker/replica/parts.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/parts_kit.h"
#include "tests/kit/unit.h"

START_TEST(files_go_on_a_tombstone)
{
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 3);
    pk_drop_topic(0, true);
    ck_assert(!pk_find("a", NULL));
    ck_assert(pk_has_log("a")); /* not by absence */
    pk_bury(pk_stone_of("a", 0, 2, 1), true);
    ck_assert(pk_has_log("a")); /* of another broker */
    ck_assert_uint_eq(pk.result.deleted_len, 0);
    pk_bury(pk_stone_of("a", 0, 1, 1), true);
    ck_assert(!pk_has_log("a"));
    ck_assert_uint_eq(pk.result.deleted_len, 1);
    pk_bury(pk_stone_of("a", 0, 1, 1), true); /* once more: it is gone, and that is told again */
    ck_assert_uint_eq(pk.result.deleted_len, 1);
    ck_assert_uint_eq(pk.result.failures_len, 0);
}
END_TEST

START_TEST(a_tombstone_waits_for_an_absent_broker)
{
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_stop();
    pk_drop_topic(0, false);
    pk_bury(pk_stone_of("a", 0, 1, 1), false);
    pk_start();
    ck_assert(pk_has_log("a"));
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert(!pk_has_log("a"));
    ck_assert_int_eq(pk_folders("-stray"), 0);
    ck_assert_uint_eq(pk.result.deleted_len, 1);
}
END_TEST

START_TEST(an_old_tombstone_deletes_nothing)
{
    pk_set("a", 0, pk_state(1, 5, 0));
    pk_produce("a", 1);
    pk_bury(pk_stone_of("a", 0, 1, 4), true);
    ck_assert(pk_has_log("a")); /* it is assigned */
    pk_drop_topic(0, true);
    pk_bury(pk_stone_of("a", 0, 1, 4), true);
    ck_assert(pk_has_log("a"));
    ck_assert_uint_eq(pk.result.deleted_len, 0);
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_FENCED_LEADER_EPOCH);
    pk_bury(pk_stone_of("a", 7, 1, 9), true); /* another topic that had this name */
    ck_assert(pk_has_log("a"));
    pk_bury(pk_stone_of("a", 0, 1, 5), true);
    ck_assert(!pk_has_log("a"));
}
END_TEST

START_TEST(another_topic_of_the_same_name_begins_empty)
{
    struct part_info info;

    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 3);
    pk_stop();
    pk_drop_topic(0, false);
    struct image_part part = pk_state(1, 0, 0);
    pk_set_as("a", 9, &part, false);
    pk_start();
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(pk_folders("-stray"), 1);
}
END_TEST

START_TEST(the_same_by_deltas_alone)
{
    struct part_info info;

    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 3);
    pk_drop_topic(0, true);
    pk_set("a", 9, pk_state(1, 0, 0));
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(pk_folders("-stray"), 1);
}
END_TEST

/* When much is known at once, in one delta: nothing of the old one is kept as a stray. */
START_TEST(the_same_by_one_delta_with_a_tombstone)
{
    struct part_info info;
    struct image_part part = pk_state(1, 0, 0);
    struct uuid gone = pk_id_of(0);
    struct image_tombstone stone = pk_stone_of("a", 0, 1, 0);
    struct image_topic_change topic = {
        .id = pk_id_of(9), .name = STR("a"), .n_parts = 1, .parts = &part
    };

    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 3);
    ck_assert_int_eq(pk_change((struct image_delta){ .n_topics_gone = 1,
                                                     .topics_gone = &gone,
                                                     .n_topics = 1,
                                                     .topics = &topic,
                                                     .n_tombstones = 1,
                                                     .tombstones = &stone },
                               true),
                     ERR_OK);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert_uint_eq(pk.result.deleted_len, 1);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.leo, 0);
    ck_assert_int_eq(pk_folders("-stray"), 0);
    pk_produce("a", 2);
    pk_bury(pk_stone_of("a", 9, 1, 0), true); /* assigned */
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.leo, 2);
}
END_TEST

/* Syncs of making a topic of many partitions anew, whose former logs the files name or do not. */
static uint64_t syncs_of_making_anew(bool is_saved)
{
    static const char *const dirs[] = { "/d" };
    struct fake_disk *fake = fake_disk_new();
    struct image_part many[30];

    pk_stop();
    pk.disk = fake_disk_base(fake);
    pk_start_on(dirs, 1);
    for (int i = 0; i < (int)ARRAY_LEN(many); i++) {
        many[i] = pk_state(1, 0, 0);
        many[i].index = i;
    }
    struct image_topic_change topic = {
        .id = pk_id_of(0), .name = STR("a"), .n_parts = ARRAY_LEN(many), .parts = many
    };
    struct image_delta delta = { .n_topics = 1, .topics = &topic };

    ck_assert_int_eq(pk_change(delta, true), ERR_OK);
    if (is_saved) {
        logs_checkpoint(pk.logs);
        ck_assert_int_eq(pk_tell_image(), ERR_OK);
        parts_checkpoint_hw(pk.parts);
    }
    pk_drop_topic(0, true);
    topic.id = pk_id_of(9);
    uint64_t before = fake_disk_syncs(fake);

    ck_assert_int_eq(pk_change(delta, true), ERR_OK);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    uint64_t syncs = fake_disk_syncs(fake) - before;

    pk_drop_topic(9, false);
    pk_stop();
    fake_disk_free(&fake);
    pk.disk = NULL;
    pk_start();
    return syncs;
}

START_TEST(many_made_anew_have_the_files_written_once)
{
    uint64_t unnamed = syncs_of_making_anew(false);

    ck_assert_uint_le(syncs_of_making_anew(true), unnamed + 4);
}
END_TEST

START_TEST(a_few_strays_are_parked)
{
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_set("b", 1, pk_state(1, 0, 0));
    pk_stop();
    pk_drop_topic(0, false);
    pk_start();
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert(!pk_has_log("a") && pk_has_log("b") && pk_find("b", NULL));
    ck_assert_int_eq(pk_folders("-stray"), 1);
    struct parts_info info;
    parts_get_info(pk.parts, &info);
    ck_assert_uint_eq(info.strays, 1);
}
END_TEST

START_TEST(a_wiped_zookeeper_is_not_believed)
{
    char name[16];

    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "w%d", i);
        pk_set(name, i, pk_state(1, 0, 0));
    }
    struct image *empty = image_new(9, 1, 3001, STR("kit"));
    parts_result_fini(&pk.result);
    parts_apply(pk.parts, empty, NULL, clock_mono_ms(), &pk.result);
    ck_assert_int_eq(pk.result.err, ERR_INCONSISTENT_CLUSTER_ID);
    image_unref(&empty);
    ck_assert_int_eq(pk_folders("-stray"), 0);
    ck_assert(pk_find("w0", NULL) && pk_find("w29", NULL));
    pk_stop(); /* and not by one that has just started either */
    pk_start();
    empty = image_new(9, 1, 3001, STR("kit"));
    parts_result_fini(&pk.result);
    parts_apply(pk.parts, empty, NULL, clock_mono_ms(), &pk.result);
    ck_assert_int_eq(pk.result.err, ERR_INCONSISTENT_CLUSTER_ID);
    image_unref(&empty);
    ck_assert_int_eq(pk_folders("-stray"), 0);
    ck_assert(pk_has_log("w0"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parts_gone");

    tcase_add_checked_fixture(tc, pk_setup, pk_teardown);
    tcase_add_test(tc, files_go_on_a_tombstone);
    tcase_add_test(tc, a_tombstone_waits_for_an_absent_broker);
    tcase_add_test(tc, an_old_tombstone_deletes_nothing);
    tcase_add_test(tc, another_topic_of_the_same_name_begins_empty);
    tcase_add_test(tc, the_same_by_deltas_alone);
    tcase_add_test(tc, the_same_by_one_delta_with_a_tombstone);
    tcase_add_test(tc, many_made_anew_have_the_files_written_once);
    tcase_add_test(tc, a_few_strays_are_parked);
    tcase_add_test(tc, a_wiped_zookeeper_is_not_believed);
    return unit_run(tc);
}
