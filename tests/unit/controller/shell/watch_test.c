/*
 * watch: every kind of change becomes its event, changes of one registration included, whatever
 * another one is; notes are read once and removed when old; stopped it is silent.
 */
#include "controller/shell/watch.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct loader *loader;
static struct cluster_watch *watch;

static struct {
    int events[CORE_N_EVENTS];
    size_t n;
    char name[64];
    int32_t port;
    bool there;
    int32_t broker, partition;
    uint32_t n_replicas;
} got;

static void on_event(void *arg, const struct core_event *event)
{
    (void)arg;
    got.events[event->kind]++;
    if (event->kind == CORE_BROKER_NODES) {
        got.n = event->broker_nodes.n;
        if (got.n > 0)
            got.port = event->broker_nodes.nodes[0].endpoints[0].port;
    } else if (event->kind == CORE_CONFIG_READ) {
        snprintf(got.name, sizeof got.name, "%.*s/%.*s", STR_ARG(event->config_read.config.type),
                 STR_ARG(event->config_read.config.name));
    } else if (event->kind == CORE_MOVES_WANTED || event->kind == CORE_ELECTIONS_WANTED) {
        got.there = event->wishes.there;
        got.n = event->wishes.parts.n;
        if (got.n > 0) {
            got.partition = event->wishes.parts.at[0].partition;
            got.n_replicas = event->wishes.parts.at[0].replicas.n;
        }
    } else if (event->kind == CORE_ISR_CHANGED) {
        got.n = event->named_parts.n;
        got.partition = event->named_parts.at[0].partition;
    } else if (event->kind == CORE_DIR_EVENT) {
        got.broker = event->dir_event.broker;
    } else {
        got.n = event->names.n;
        if (got.n > 0)
            snprintf(got.name, sizeof got.name, "%.*s", STR_ARG(event->names.names[0]));
    }
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void put_broker(int id, int port)
{
    char path[64], data[256];

    snprintf(path, sizeof path, "/brokers/ids/%d", id);
    snprintf(data, sizeof data,
             "{\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\"},\"endpoints\":"
             "[\"A://h:%d\"],\"version\":5,\"moldau\":\"1\"}",
             port);
    fake_zk_put(fake, path, data);
}

static void set_up(void)
{
    struct sink sink = { .on_event = on_event };
    struct loader_hooks hooks = { 0 };

    memset(&got, 0, sizeof got);
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    fake_zk_put(fake, "/brokers/ids", NULL);
    fake_zk_put(fake, "/brokers/topics/t", NULL);
    fake_zk_put(fake, "/admin/delete_topics", NULL);
    fake_zk_put(fake, "/config/changes", NULL);
    fake_zk_put(fake, "/isr_change_notification", NULL);
    fake_zk_put(fake, "/log_dir_event_notification", NULL);
    put_broker(1, 9092);
    zk = fake_zk_open(fake, &mailbox);
    loader = loader_new(zk, &sink, &hooks);
    watch = cluster_watch_new(zk, loader, &sink);
    run();
}

static void tear_down(void)
{
    cluster_watch_free(&watch);
    loader_free(&loader);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

START_TEST(brokers_come_go_and_change)
{
    cluster_watch_start(watch);
    run();
    ck_assert_int_eq(got.events[CORE_BROKER_NODES], 1);
    ck_assert_uint_eq(got.n, 1);
    put_broker(2, 9093);
    run();
    ck_assert_uint_eq(got.n, 2);
    fake_zk_drop(fake, "/brokers/ids/2");
    run();
    ck_assert_uint_eq(got.n, 1);
    put_broker(1, 9999);
    run();
    ck_assert_int_eq(got.port, 9999);
    fake_zk_drop(fake, "/brokers/ids/1");
    run();
    ck_assert_uint_eq(got.n, 0);
}
END_TEST

/* _i: 0: what is there means nothing, 1: it must not be read; there from the start, or made so. */
START_TEST(a_registration_that_cannot_be_read_keeps_no_other_waiting)
{
    bool late = _i / 2 == 1;

    if (late) {
        put_broker(2, 9093);
        cluster_watch_start(watch);
        run();
        ck_assert_uint_eq(got.n, 2);
    }
    fake_zk_put(fake, "/brokers/ids/2", "{\"version\":");
    if (_i % 2 == 1) {
        fake_zk_forbid(fake, "/brokers/ids/2", true);
        put_broker(2, 9093); /* which is a change, and not to be read */
    }
    if (!late)
        cluster_watch_start(watch);
    run();
    ck_assert_uint_eq(got.n, 1);
    put_broker(1, 9999); /* the others are followed */
    run();
    ck_assert_int_eq(got.port, 9999);
    put_broker(3, 9094);
    run();
    ck_assert_uint_eq(got.n, 2);
    fake_zk_drop(fake, "/brokers/ids/3");
    run();
    ck_assert_uint_eq(got.n, 1);
    fake_zk_forbid(fake, "/brokers/ids/2", false); /* and this one, once it is written anew */
    put_broker(2, 9095);
    run();
    ck_assert_uint_eq(got.n, 2);
    fake_zk_put(fake, "/brokers/ids/2", "nonsense");
    run();
    ck_assert_uint_eq(got.n, 1);
    fake_zk_drop(fake, "/brokers/ids/2");
    put_broker(2, 9095);
    run();
    ck_assert_uint_eq(got.n, 2);
}
END_TEST

START_TEST(topics_and_marks_are_told_by_name)
{
    cluster_watch_start(watch);
    run();
    ck_assert_int_eq(got.events[CORE_TOPIC_NAMES], 1);
    fake_zk_put(fake, "/admin/delete_topics/t", NULL);
    run();
    ck_assert_int_eq(got.events[CORE_DELETE_MARKS], 2);
    ck_assert_str_eq(got.name, "t");
    fake_zk_put(fake, "/brokers/topics/u", NULL);
    run();
    ck_assert_int_eq(got.events[CORE_TOPIC_NAMES], 2);
    ck_assert_uint_eq(got.n, 2);
}
END_TEST

START_TEST(notes_of_settings_are_followed_once)
{
    fake_zk_put(fake, "/config/changes/config_change_0000000004",
                "{\"version\":2,\"entity_path\":\"topics/old\"}");
    cluster_watch_start(watch);
    run();
    cluster_watch_loaded(watch);
    run();
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 0); /* the load has it */
    fake_zk_put(fake, "/config/changes/config_change_0000000005",
                "{\"version\":2,\"entity_path\":\"topics/t\"}");
    run();
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 1);
    ck_assert_str_eq(got.name, "topics/t");
    fake_zk_put(fake, "/config/changes/config_change_0000000006",
                "{\"version\":1,\"entity_type\":\"clients\",\"entity_name\":\"c\"}");
    run();
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 2);
    ck_assert_str_eq(got.name, "clients/c");
    /* the fake's clock stands in 2023: all of them are old */
    ck_assert_uint_eq(fake_zk_count(fake, "/config/changes"), 0);
}
END_TEST

static void note_of_path(int number, const char *path)
{
    char at[64], data[256];

    snprintf(at, sizeof at, "/config/changes/config_change_%010d", number);
    snprintf(data, sizeof data, "{\"version\":2,\"entity_path\":\"%s\"}", path);
    fake_zk_put(fake, at, data);
    run();
}

/* ZooKeeper's library refuses such paths, and what cannot be read costs the seat. */
START_TEST(a_note_that_names_no_entity_is_passed_over)
{
    static const char *const none[] = {
        "topics/a/",
        "topics//a",
        "topics/.",
        "topics/..",
        "topics/a\\nb",
        "topics/a/b",
        "users//clients/x",
        "users/u/clients/",
        "users/u/c/x",
        "users/u/clients",
        "users/u/clients/x/y",
        "users/./clients/x",
        "users/u/clients/..",
        "colours/red",
        "topics",
        "/t",
    };
    static const char *const some[] = {
        "topics/a.b",
        "topics/..a",
        "users/u",
        "users/u/clients/x",
        "users/<default>/clients/%2F",
        "clients/..%2F..",
        "ips/::1",
        "brokers/<default>",
    };
    int number = 0;

    cluster_watch_start(watch);
    run();
    cluster_watch_loaded(watch);
    run();
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        note_of_path(++number, none[i]);
    fake_zk_put(fake, "/config/changes/config_change_0000000100",
                "{\"version\":1,\"entity_type\":\"clients\",\"entity_name\":\"\"}");
    run();
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 0);
    ck_assert_uint_eq(fake_zk_count(fake, "/config/changes"), 0); /* gone with the old ones */
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        note_of_path(200 + (int)i, some[i]);
        ck_assert_int_eq(got.events[CORE_CONFIG_READ], (int)i + 1);
        ck_assert_str_eq(got.name, some[i]);
    }
}
END_TEST

/* _i: so many reads after the change the answer is lost. */
START_TEST(a_note_whose_answer_is_lost_is_read_again)
{
    cluster_watch_start(watch);
    run();
    cluster_watch_loaded(watch);
    run();
    fake_zk_lose_read(zk, (unsigned)_i);
    fake_zk_put(fake, "/config/changes/config_change_0000000005",
                "{\"version\":2,\"entity_path\":\"topics/t\"}");
    run();
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 1);
    fake_zk_lose_read(zk, (unsigned)_i);
    fake_zk_put(fake, "/isr_change_notification/isr_change_0000000001",
                "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0}]}");
    run();
    ck_assert_int_eq(got.events[CORE_ISR_CHANGED], 1);
    fake_zk_lose_read(zk, (unsigned)_i);
    fake_zk_put(fake, "/log_dir_event_notification/log_dir_event_0000000001",
                "{\"version\":1,\"broker\":1,\"event\":1}");
    run();
    ck_assert_int_eq(got.events[CORE_DIR_EVENT], 1);
}
END_TEST

/* The load has read all names by then, and is reading states; the core takes nothing before it. */
START_TEST(what_changes_during_the_load_is_told_after_it)
{
    cluster_watch_start(watch);
    run();
    put_broker(1, 9092);
    fake_zk_put(fake, "/brokers/topics/late", "{}");
    fake_zk_put(fake, "/admin/delete_topics/gone", "");
    fake_zk_put(fake, "/config/changes/config_change_0000000001",
                "{\"version\":2,\"entity_path\":\"topics/t\"}");
    run();
    ck_assert_uint_eq(fake_zk_count(fake, "/config/changes"), 1);
    memset(&got, 0, sizeof got);
    cluster_watch_loaded(watch);
    run();
    ck_assert_int_ge(got.events[CORE_BROKER_NODES], 1);
    ck_assert_int_ge(got.events[CORE_TOPIC_NAMES], 1);
    ck_assert_int_ge(got.events[CORE_DELETE_MARKS], 1);
    ck_assert_int_eq(got.events[CORE_CONFIG_READ], 1);
    ck_assert_uint_eq(fake_zk_count(fake, "/config/changes"), 0);
}
END_TEST

START_TEST(notes_of_states_and_directories_are_told_and_removed)
{
    cluster_watch_start(watch);
    run();
    fake_zk_put(fake, "/isr_change_notification/isr_change_0000000001",
                "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":3}]}");
    fake_zk_put(fake, "/log_dir_event_notification/log_dir_event_0000000001",
                "{\"version\":1,\"broker\":2,\"event\":1}");
    fake_zk_put(fake, "/isr_change_notification/isr_change_0000000002", "nonsense");
    run();
    ck_assert_int_eq(got.events[CORE_ISR_CHANGED], 0); /* nobody to tell yet */
    cluster_watch_loaded(watch);
    run();
    ck_assert_int_eq(got.events[CORE_ISR_CHANGED], 1);
    ck_assert_int_eq(got.partition, 3);
    ck_assert_int_eq(got.events[CORE_DIR_EVENT], 1);
    ck_assert_int_eq(got.broker, 2);
    ck_assert_uint_eq(fake_zk_count(fake, "/isr_change_notification"), 0);
    ck_assert_uint_eq(fake_zk_count(fake, "/log_dir_event_notification"), 0);
}
END_TEST

START_TEST(wishes_are_told_once_there_is_somebody_to_tell)
{
    fake_zk_put(fake, "/admin/reassign_partitions",
                "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":1,"
                "\"replicas\":[3,1]}]}");
    cluster_watch_start(watch);
    run();
    ck_assert_int_eq(got.events[CORE_MOVES_WANTED], 0);
    cluster_watch_loaded(watch);
    run();
    ck_assert_int_ge(got.events[CORE_MOVES_WANTED], 1);
    ck_assert_int_ge(got.events[CORE_ELECTIONS_WANTED], 1);
    fake_zk_put(fake, "/admin/reassign_partitions", "nonsense");
    run();
    ck_assert(got.there);
    ck_assert_uint_eq(got.n, 0);
    fake_zk_drop(fake, "/admin/reassign_partitions");
    run();
    ck_assert(!got.there);
    fake_zk_put(fake, "/admin/preferred_replica_election",
                "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":7}]}");
    run();
    ck_assert(got.there);
    ck_assert_int_eq(got.partition, 7);
}
END_TEST

START_TEST(stopped_it_is_silent_and_can_be_started_again)
{
    cluster_watch_start(watch);
    run();
    memset(&got, 0, sizeof got);
    fake_zk_put(fake, "/config/changes/config_change_0000000001",
                "{\"version\":2,\"entity_path\":\"topics/t\"}");
    put_broker(1, 1);
    cluster_watch_stop(watch);
    loader_reset(loader);
    put_broker(3, 9094);
    run();
    for (int i = 0; i < CORE_N_EVENTS; i++)
        ck_assert_int_eq(got.events[i], 0);
    cluster_watch_start(watch);
    run();
    ck_assert_int_eq(got.events[CORE_BROKER_NODES], 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("watch");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, brokers_come_go_and_change);
    tcase_add_loop_test(tc, a_registration_that_cannot_be_read_keeps_no_other_waiting, 0, 4);
    tcase_add_test(tc, topics_and_marks_are_told_by_name);
    tcase_add_test(tc, notes_of_settings_are_followed_once);
    tcase_add_test(tc, a_note_that_names_no_entity_is_passed_over);
    tcase_add_loop_test(tc, a_note_whose_answer_is_lost_is_read_again, 0, 3);
    tcase_add_test(tc, what_changes_during_the_load_is_told_after_it);
    tcase_add_test(tc, notes_of_states_and_directories_are_told_and_removed);
    tcase_add_test(tc, wishes_are_told_once_there_is_somebody_to_tell);
    tcase_add_test(tc, stopped_it_is_silent_and_can_be_started_again);
    return unit_run(tc);
}
