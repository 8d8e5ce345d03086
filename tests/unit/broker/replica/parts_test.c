/*
 * parts: images and deltas against real log directories. What is older is refused, settings and
 * time have their effect, and failed or full directories are told.
 */
#include "broker/replica/parts.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/io/reactor.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/parts_kit.h"
#include "tests/kit/unit.h"

START_TEST(roles_come_from_image_and_deltas)
{
    struct part_info info;
    struct image_part foreign = pk_state(2, 0, 0);
    const struct parts_table *table;

    foreign.replicas = foreign.isr = IDS_OF(pk_others);
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_set("b", 1, pk_state(2, 0, 0));
    pk_set("c", 2, foreign);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    ck_assert(pk_find("b", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert(!pk_find("c", NULL) && !pk_has_log("c"));
    table = parts_get_table(pk.parts);
    ck_assert_uint_eq(parts_count(table), 2);
    ck_assert_ptr_eq(parts_find_id(table, pk_id_of(0), 0), parts_find(table, STR("a"), 0));
    ck_assert_ptr_null(parts_find(table, STR("a"), 1));
    parts_put_table(&table);
    pk_set("b", 1, pk_state(1, 1, 1));
    ck_assert(pk_find("b", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    struct parts_info sums;
    parts_get_info(pk.parts, &sums);
    ck_assert_uint_eq(sums.leading, 2);
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert_uint_eq(pk.result.failures_len, 0);
}
END_TEST

START_TEST(older_states_are_refused_and_reported)
{
    struct image_part old = pk_state(2, 3, 3);
    struct part_info info;

    pk_set("a", 0, pk_state(1, 5, 7));
    struct image_topic_change topic = {
        .id = pk_id_of(0), .name = STR("a"), .n_parts = 1, .parts = &old
    };
    struct image_delta delta = {
        .controller_epoch = 2, .version = 1, .n_topics = 1, .topics = &topic
    };
    /* A controller that lost its memory: its image knows only the older state. */
    struct image *wrong = image_new(2, 1, 3002, STR("kit"));
    image_add(wrong, &delta);
    parts_result_fini(&pk.result);
    parts_apply(pk.parts, wrong, NULL, clock_mono_ms(), &pk.result);
    ck_assert_int_eq(pk.result.err, ERR_OK);
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_STALE_CONTROLLER_EPOCH);
    ck_assert_int_eq(pk.result.failures[0].leader_epoch, 5);
    ck_assert_int_eq(pk.result.failures[0].partition_epoch, 7);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_LEADER);
    image_unref(&wrong);
}
END_TEST

START_TEST(who_is_no_replica_any_more_stops_and_keeps_its_files)
{
    struct image_part part = pk_state(2, 1, 1);

    pk_set("a", 0, pk_state(1, 0, 0));
    part.replicas = part.isr = IDS_OF(pk_others);
    pk_set("a", 0, part);
    ck_assert(!pk_find("a", NULL));
    ck_assert(pk_has_log("a"));
    pk_set("a", 0, pk_state(1, 2, 2)); /* and is one again */
    ck_assert(pk_find("a", NULL));
}
END_TEST

START_TEST(settings_reach_the_partition)
{
    const struct image_setting two[] = { { STR("min.insync.replicas"), STR("2") } };
    struct image_config config = {
        .type = STR("topics"), .name = STR("a"), .n_settings = 1, .settings = two
    };
    struct image_part alone = pk_state(1, 0, 0);
    struct part_info info;

    alone.isr = (struct ids){ .at = pk_mine, .n = 1 };
    pk_set("a", 0, alone);
    ck_assert(pk_find("a", &info) && !info.is_under_min_isr);
    ck_assert_int_eq(pk_change((struct image_delta){ .n_configs = 1, .configs = &config }, true),
                     ERR_OK);
    ck_assert(pk_find("a", &info) && info.is_under_min_isr);
    struct parts_info sums;
    parts_get_info(pk.parts, &sums);
    ck_assert_uint_eq(sums.under_min_isr, 1);
    ck_assert_uint_eq(sums.under_replicated, 1);
}
END_TEST

/* It was held up while another was elected, and hears of that and of a smaller min.insync.replicas
 * at once: what it appended alone must not become committed by the way. */
START_TEST(a_smaller_min_isr_is_not_for_the_role_that_is_lost)
{
    struct image_setting min = { STR("min.insync.replicas"), STR("2") };
    struct image_config config = {
        .type = STR("topics"), .name = STR("a"), .n_settings = 1, .settings = &min
    };
    struct image_part alone = pk_state(1, 1, 1), lost = pk_state(2, 2, 2);
    struct part_info info;

    alone.isr = (struct ids){ .at = pk_mine, .n = 1 };
    lost.isr = (struct ids){ .at = &pk_mine[1], .n = 1 };
    pk_change((struct image_delta){ .n_configs = 1, .configs = &config }, true);
    pk_set("a", 0, alone);
    pk_produce("a", 3);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.hw, 0);
    pk_set_as("a", 0, &lost, false);
    min.value = STR("1");
    pk_change((struct image_delta){ .n_configs = 1, .configs = &config }, false);
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.hw, 0);
    ck_assert_int_eq(info.min_isr, 1);
}
END_TEST

START_TEST(high_watermarks_survive_a_restart)
{
    struct image_part alone = pk_state(1, 0, 0);
    struct part_info info;

    alone.isr = (struct ids){ .at = pk_mine, .n = 1 };
    parts_checkpoint_hw(pk.parts); /* nothing is known yet: nothing is written */
    pk_set("a", 0, alone);
    pk_produce("a", 7);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.hw, 7);
    pk_stop();
    pk_start();
    parts_checkpoint_hw(pk.parts); /* must not replace the file by an empty one */
    pk_stop();
    pk_start();
    struct image_part led = pk_state(2, 1, 1);
    pk_set_as("a", 0, &led, false);
    ck_assert_int_eq(pk_tell_image(), ERR_OK);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.hw, 7);
}
END_TEST

START_TEST(a_table_outlives_what_it_shows)
{
    pk_set("a", 0, pk_state(1, 0, 0));
    const struct parts_table *table = parts_get_table(pk.parts);
    pk_drop_topic(0, true);
    pk_bury(pk_stone_of("a", 0, 1, 1), true);
    ck_assert_uint_eq(parts_count(table), 1);
    ck_assert_str_eq(part_name(parts_at(table, 0)), "a-0");
    parts_put_table(&table);
}
END_TEST

static enum err why_not_acked(size_t at, const struct parts_table *table)
{
    enum err err;

    ck_assert_int_eq(part_check_acked(parts_at(table, at), 100, 0, &err), PART_ACK_FAILED);
    return err;
}

START_TEST(who_waits_is_told_whether_the_topic_is_gone_or_only_we)
{
    struct image_part moved = pk_state(2, 1, 1);

    moved.replicas = moved.isr = IDS_OF(pk_others);
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_set("b", 1, pk_state(1, 0, 0));
    const struct parts_table *table = parts_get_table(pk.parts);
    pk_drop_topic(0, true);
    pk_set("b", 1, moved);
    ck_assert_str_eq(part_name(parts_at(table, 0)), "a-0");
    ck_assert_int_eq(why_not_acked(0, table), ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(why_not_acked(1, table), ERR_NOT_LEADER_OR_FOLLOWER);
    parts_put_table(&table);
}
END_TEST

START_TEST(lag_and_proposals_follow_the_clock)
{
    int64_t now_ms = clock_mono_ms();

    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 1);
    parts_tick(pk.parts, now_ms + 10);
    ck_assert_int_eq(pk.proposals, 0);
    parts_tick(pk.parts, now_ms + 40000);
    ck_assert_int_eq(pk.proposals, 1);
    parts_resend(pk.parts, now_ms + 40001);
    ck_assert_int_eq(pk.proposals, 2);
}
END_TEST

static void fetch_as_2(const char *name, int64_t offset)
{
    const struct parts_table *table = parts_get_table(pk.parts);
    struct part_read read = { .offset = offset,
                              .max_bytes = 1 << 20,
                              .current_leader_epoch = -1,
                              .isolation = PART_READ_LOG_END,
                              .replica = 2,
                              .replica_epoch = -1,
                              .last_fetched_epoch = -1,
                              .note_follower = true };

    ck_assert_int_eq(part_read(parts_find(table, str_of(name), 0), &read, clock_mono_ms()), ERR_OK);
    parts_put_table(&table);
}

START_TEST(ticks_are_slow_while_nobody_waits_for_time_to_pass)
{
    int64_t now_ms = clock_mono_ms();

    int64_t calm_ms = parts_tick(pk.parts, now_ms);
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_set("b", 1, pk_state(2, 0, 0));
    int64_t busy_ms = parts_tick(pk.parts, now_ms);
    ck_assert_int_lt(busy_ms, calm_ms);
    ck_assert_int_eq(parts_tick(pk.parts, now_ms), busy_ms); /* the follower has yet to fetch */
    fetch_as_2("a", 0);
    parts_tick(pk.parts, now_ms);
    ck_assert_int_eq(parts_tick(pk.parts, now_ms), calm_ms);
    pk_produce("a", 1);
    ck_assert_int_eq(parts_tick(pk.parts, now_ms), busy_ms);
    pk_drop_topic(0, true);
    parts_tick(pk.parts, now_ms);
    ck_assert_int_eq(parts_tick(pk.parts, now_ms), calm_ms); /* it is gone */
    ck_assert_int_eq(pk.proposals, 0);
}
END_TEST

START_TEST(a_failed_directory_is_answered_with_a_storage_error)
{
    struct part_info info;

    pk_set("a", 0, pk_state(1, 0, 0));
    pk_produce("a", 3);
    logs_fail_dir(pk.logs, pk.dir);
    parts_on_dir_failed(pk.parts, pk.dir);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_IDLE);
    parts_tick(pk.parts, clock_mono_ms() + 60000); /* nobody proposes an ISR any more */
    ck_assert_int_eq(pk.proposals, 0);
    pk_set("a", 0, pk_state(2, 1, 1)); /* others lead now; we do not follow */
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_IDLE);
    pk_set("b", 1, pk_state(1, 0, 0));
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!pk_find("b", NULL));
    pk_drop_topic(0, true);
    pk_bury(pk_stone_of("a", 0, 1, 9), true); /* the files are still there and may come back */
    ck_assert_uint_eq(pk.result.deleted_len, 0);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
}
END_TEST

/* KAFKA-10314, and what the first state of a partition does not say: it may be years old, and the
 * records on the directory that cannot be read. */
START_TEST(a_log_is_not_made_anew_while_it_may_lie_on_a_failed_directory)
{
    const char *dirs[] = { unit_temp_dir(), unit_temp_dir() };
    struct image_part part = pk_state(2, 0, 0);

    pk_stop();
    pk_start_on(dirs, 2);
    logs_fail_dir(pk.logs, dirs[1]);
    pk_set_as("a", 0, &part, false);
    pk_tell_image(); /* as a new process hears of it */
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!pk_find("a", NULL));
    part.offline = (struct ids){ .at = pk_mine, .n = 1 };
    pk_set("a", 0, part); /* so that was heard; it is no newer for that */
    ck_assert(!pk_find("a", NULL));
    pk_set("b", 1, pk_state(2, 0, 0)); /* is being created */
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert(pk_find("b", NULL));
    part = pk_state(2, 3, 7);
    part.adding = (struct ids){ .at = pk_mine, .n = 1 };
    part.isr = (struct ids){ .at = &pk_mine[1], .n = 1 };
    pk_set_as("c", 2, &part, false);
    pk_tell_image(); /* it may have caught up before */
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    part.partition_epoch = 8;
    pk_set("c", 2, part);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    part.partition_epoch = 9;
    part.replicas = IDS_OF(pk_others);
    part.adding = IDS_NONE;
    pk_set("c", 2, part);
    part.replicas = IDS_OF(pk_mine);
    part.partition_epoch = 10;
    pk_set("c", 2, part); /* is added now */
    ck_assert_uint_eq(pk.result.failures_len, 0);
    ck_assert(pk_find("c", NULL));
}
END_TEST

/* What a full disk has no room for is told as failed, so that others lead, tried again, and told
 * as served when there is. */
START_TEST(what_found_no_room_is_opened_when_there_is_some)
{
    struct fake_disk *fake = fake_disk_new();
    const char *dirs[] = { "/d" };
    struct image_part part = pk_state(1, 0, 0);
    struct part_info info;

    pk_stop();
    pk.disk = fake_disk_base(fake);
    pk_start_on(dirs, 1);
    fake_disk_set_room(fake, 0);
    pk_set("a", 0, part);
    pk_set("b", 1, part);
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_KAFKA_STORAGE_ERROR);
    ck_assert(!pk_find("a", NULL) && !pk_find("b", NULL) && !logs_any_offline(pk.logs));
    part = pk_state(2, 1, 1); /* as it is heard back: another one leads */
    part.offline = (struct ids){ .at = pk_mine, .n = 1 };
    pk_set("a", 0, part);
    pk_drop_topic(1, true);
    parts_result_fini(&pk.result);
    parts_retry(pk.parts, clock_mono_ms(), &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 0); /* still none, which is known */
    fake_disk_set_room(fake, INT64_MAX);
    parts_result_fini(&pk.result);
    parts_retry(pk.parts, clock_mono_ms(), &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_OK);
    ck_assert(pk_find("a", &info));
    ck_assert_int_eq(info.role, PART_FOLLOWER);
    ck_assert_int_eq(info.leader_epoch, 1);
    ck_assert(!pk_find("b", NULL) && !pk_has_log("b"));
    parts_result_fini(&pk.result);
    parts_retry(pk.parts, clock_mono_ms(), &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    pk_set("a", 0, part); /* the word of it was lost with a stream: it is said again */
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_OK);
    pk_tell_image();
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_OK);
    part.offline = IDS_NONE;
    pk_set("a", 0, part);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    pk_stop();
    fake_disk_free(&fake);
    pk.disk = NULL;
    pk_start();
}
END_TEST

START_TEST(a_leader_that_finds_no_room_would_rather_not_lead)
{
    struct fake_disk *fake = fake_disk_new();
    const char *dirs[] = { "/d" };

    pk_stop();
    pk.disk = fake_disk_base(fake);
    pk_start_on(dirs, 1);
    pk_set("a", 0, pk_state(1, 0, 0));
    pk_set("b", 1, pk_state(1, 0, 0));
    pk_produce("a", 3);
    fake_disk_set_room(fake, 0);
    ck_assert_int_eq(pk_try_produce("b", 3), ERR_NO_SPACE);
    parts_result_fini(&pk.result);
    parts_tell_full(pk.parts, &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 1);
    ck_assert(uuid_eq(pk.result.failures[0].topic_id, pk_id_of(1)));
    ck_assert(pk.result.failures[0].yields);
    ck_assert_int_eq(pk.result.failures[0].err, ERR_OK);
    parts_result_fini(&pk.result);
    parts_tell_full(pk.parts, &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 0); /* nobody has tried since */
    ck_assert_int_eq(pk_try_produce("b", 3), ERR_NO_SPACE);
    pk_set("b", 1, pk_state(2, 1, 1)); /* it has been relieved */
    parts_result_fini(&pk.result);
    parts_tell_full(pk.parts, &pk.result);
    ck_assert_uint_eq(pk.result.failures_len, 0);
    fake_disk_set_room(fake, INT64_MAX);
    pk_stop();
    fake_disk_free(&fake);
    pk.disk = NULL;
    pk_start();
}
END_TEST

#define LONG_MS 300

static int64_t busy_ms[2]; /* while the first partition is opened, and the second one */
static int n_busy;

static void be_long(void)
{
    if (n_busy == 2)
        return;
    do
        busy_ms[n_busy] = reactor_busy_ms(reactor_current());
    while (n_busy == 0 && busy_ms[0] < LONG_MS);
    n_busy++;
}

static void make_two(void *arg)
{
    struct image_part part = pk_state(1, 0, 0);
    struct image_topic_change topics[] = {
        { .id = pk_id_of(0), .name = STR("a"), .n_parts = 1, .parts = &part },
        { .id = pk_id_of(1), .name = STR("b"), .n_parts = 1, .parts = &part },
    };

    (void)arg;
    ck_assert_int_eq(pk_change((struct image_delta){ .n_topics = 2, .topics = topics }, true),
                     ERR_OK);
}

/* So its thread does not seem stuck, and the broker is not fenced for it. */
START_TEST(a_long_change_gets_on_with_each_partition)
{
    struct reactor *reactor = reactor_new();

    pk.on_conf = be_long;
    reactor_start(reactor, T_CONTROL, -1);
    reactor_call(reactor, make_two, NULL);
    reactor_stop(reactor);
    reactor_free(&reactor);
    pk.on_conf = NULL;
    ck_assert_int_eq(n_busy, 2);
    ck_assert_int_lt(busy_ms[1], busy_ms[0]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("parts");

    tcase_add_checked_fixture(tc, pk_setup, pk_teardown);
    tcase_add_test(tc, roles_come_from_image_and_deltas);
    tcase_add_test(tc, older_states_are_refused_and_reported);
    tcase_add_test(tc, what_found_no_room_is_opened_when_there_is_some);
    tcase_add_test(tc, a_leader_that_finds_no_room_would_rather_not_lead);
    tcase_add_test(tc, who_is_no_replica_any_more_stops_and_keeps_its_files);
    tcase_add_test(tc, settings_reach_the_partition);
    tcase_add_test(tc, a_smaller_min_isr_is_not_for_the_role_that_is_lost);
    tcase_add_test(tc, high_watermarks_survive_a_restart);
    tcase_add_test(tc, a_table_outlives_what_it_shows);
    tcase_add_test(tc, who_waits_is_told_whether_the_topic_is_gone_or_only_we);
    tcase_add_test(tc, lag_and_proposals_follow_the_clock);
    tcase_add_test(tc, ticks_are_slow_while_nobody_waits_for_time_to_pass);
    tcase_add_test(tc, a_failed_directory_is_answered_with_a_storage_error);
    tcase_add_test(tc, a_log_is_not_made_anew_while_it_may_lie_on_a_failed_directory);
    tcase_add_test(tc, a_long_change_gets_on_with_each_partition);
    return unit_run(tc);
}
