/*
 * load: a tree that Kafka left is read whole; what is missing is made; what must not be served is
 * refused; single things come as their events; a lost connection is waited out.
 */
#include "controller/shell/load.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct loader *loader;
static const char *known; /* the topic that the core knows, in epoch 9 */

static struct {
    int events, refused;
    enum core_event_kind kind;
    char text[256];
    size_t n_nodes, n_topics, n_garbled, n_parts, n_replicas, n_states, n_unreadable, n_configs,
        n_marks, n_tombstones, n_settings;
    int64_t node_epoch;
    char cluster_id[32], user[64];
    struct core_pid_block pid_block;
    int32_t epoch, leader, partition_epoch, topic_version;
    bool there;
    size_t n_eligible, n_unread_configs;
    int32_t eligible, ours_since;
} got;

static void note_topic(const struct core_read_topic *topic)
{
    got.n_garbled += topic->is_unreadable;
    ck_assert(!topic->is_unreadable || (topic->n_parts == 0 && uuid_is_zero(topic->id)));
    got.n_parts += topic->n_parts;
    for (size_t i = 0; i < topic->n_parts; i++) {
        got.n_states += topic->parts[i].has_state;
        got.n_replicas += topic->parts[i].replicas.n;
        got.n_unreadable += topic->parts[i].is_unreadable;
        ck_assert(!topic->parts[i].has_state || !topic->parts[i].is_unreadable);
        got.leader = topic->parts[i].state.leader;
        ck_assert(!topic->parts[i].has_state || topic->parts[i].state.partition_epoch >= 0);
    }
}

static void note_loaded(const struct core_loaded *loaded)
{
    got.epoch = loaded->controller_epoch;
    got.n_nodes = loaded->n_nodes;
    got.n_topics = loaded->n_topics;
    got.n_configs = loaded->n_configs;
    got.n_marks = loaded->n_delete_marks;
    got.n_tombstones = loaded->n_tombstones;
    got.pid_block = loaded->pid_block;
    got.n_eligible = loaded->n_eligible;
    got.n_unread_configs = loaded->n_unread_configs;
    got.ours_since = loaded->ours_since;
    if (got.n_eligible > 0)
        got.eligible = loaded->eligible[0].replicas.at[0];
    snprintf(got.cluster_id, sizeof got.cluster_id, "%.*s", STR_ARG(loaded->cluster_id));
    for (size_t i = 0; i < loaded->n_topics; i++)
        note_topic(&loaded->topics[i]);
    for (size_t i = 0; i < loaded->n_configs; i++) {
        if (str_is(loaded->configs[i].type, "users") &&
            memchr(loaded->configs[i].name.ptr, '/', loaded->configs[i].name.len) != NULL)
            snprintf(got.user, sizeof got.user, "%.*s", STR_ARG(loaded->configs[i].name));
    }
    if (loaded->n_nodes > 0)
        got.node_epoch = loaded->nodes[0].epoch;
}

static void on_event(void *arg, const struct core_event *event)
{
    (void)arg;
    got.events++;
    got.kind = event->kind;
    switch (event->kind) {
    case CORE_LOADED:
        note_loaded(&event->loaded);
        break;
    case CORE_BROKER_NODES:
        got.n_nodes = event->broker_nodes.n;
        break;
    case CORE_TOPIC_READ:
        got.there = event->topic_read.topic != NULL;
        got.n_settings = event->topic_read.n_settings;
        if (got.there)
            note_topic(event->topic_read.topic);
        got.topic_version = got.there ? event->topic_read.topic->version : -1;
        break;
    case CORE_STATE_READ:
        got.there = event->state_read.part != NULL;
        got.n_unreadable = got.there && event->state_read.part->is_unreadable;
        if (got.there)
            got.partition_epoch = event->state_read.part->state.partition_epoch;
        break;
    case CORE_CONFIG_READ:
        got.n_settings = event->config_read.config.n_settings;
        break;
    case CORE_PID_BLOCK_READ:
        got.pid_block = event->pid_block_read.block;
        break;
    default:
        ck_abort_msg("%s", core_event_name(event->kind));
    }
}

static void on_refused(void *arg, const char *text)
{
    (void)arg;
    got.refused++;
    snprintf(got.text, sizeof got.text, "%s", text);
}

static bool knows(void *arg, struct str topic, int32_t epoch)
{
    (void)arg;
    return known != NULL && str_is(topic, known) && epoch == 9;
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void set_up(void)
{
    struct sink sink = { .on_event = on_event };
    struct loader_hooks hooks = { .on_refused = on_refused, .knows = knows };

    memset(&got, 0, sizeof got);
    known = NULL;
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    zk = fake_zk_open(fake, &mailbox);
    loader = loader_new(zk, &sink, &hooks);
    run();
}

static void tear_down(void)
{
    loader_free(&loader);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

static void load(void)
{
    loader_run(loader, &(struct core_reload){ .what = RELOAD_ALL }, 9);
}

START_TEST(an_empty_zookeeper_becomes_an_empty_cluster)
{
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_int_eq(got.epoch, 9);
    ck_assert_uint_eq(strlen(got.cluster_id), 22);
    ck_assert_uint_eq(got.n_topics + got.n_nodes, 0);
    ck_assert(got.pid_block.last == -1 && got.pid_block.version == 0);
    ck_assert_str_eq(fake_zk_data(fake, "/feature"),
                     "{\"features\":{},\"version\":2,\"status\":1}");
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/controllers/tombstones"));
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/log_dir_event_notification"));
}
END_TEST

START_TEST(what_kafka_left_is_read_whole)
{
    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_drop(fake, "/brokers/ids/1");
    fake_zk_drop(fake, "/brokers/ids/3");
    fake_zk_put(fake, "/brokers/ids/1",
                "{\"features\":{},\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\"},"
                "\"endpoints\":[\"A://h:1\"],\"jmx_port\":-1,\"port\":1,\"host\":\"h\","
                "\"version\":5,\"timestamp\":\"1\",\"moldau\":\"1\"}");
    fake_zk_put(fake, "/isr_change_notification/isr_change_0000000001", "{}");
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_eq(got.n_nodes, 1); /* 2 is not one of ours */
    ck_assert(got.node_epoch == fake_zk_czxid(fake, "/brokers/ids/1"));
    ck_assert_uint_eq(got.n_topics, fake_zk_count(fake, "/brokers/topics"));
    ck_assert_uint_ge(got.n_parts, 40);
    ck_assert_uint_eq(got.n_states, got.n_parts);
    ck_assert_uint_ge(got.n_configs, 20);
    ck_assert_str_eq(got.user, "alice/clients/app%201%2A%2B");
    ck_assert_str_eq(got.cluster_id, "AW6T_lL_R4iq6IuFZW4UEA");
    ck_assert_int_eq((int)(got.pid_block.last % 1000), 999);
    ck_assert_uint_eq(fake_zk_count(fake, "/isr_change_notification"), 0);
}
END_TEST

START_TEST(a_load_tells_how_far_it_is)
{
    static char text[64 * 1024] = "{\"partitions\":{";
    size_t parts = 0, done = 0, last = 0, len = strlen(text);
    bool is_between = false;

    for (int i = 0; i < 2500; i++) /* more than are asked for at once */
        len += (size_t)snprintf(text + len, sizeof text - len, "%s\"%d\":[1]", i > 0 ? "," : "", i);
    snprintf(text + len, sizeof text - len,
             "},\"topic_id\":\"AW6T_lL_R4iq6IuFZW4UEA\",\"adding_replicas\":{},"
             "\"removing_replicas\":{},\"version\":3}");
    ck_assert(!loader_progress(loader, &parts, &done));
    fake_zk_put(fake, "/brokers/topics", NULL);
    fake_zk_put(fake, "/brokers/topics/large", text);
    load();
    while (mailbox_run(&mailbox) > 0) {
        if (!loader_progress(loader, &parts, &done))
            continue;
        ck_assert_uint_le(done, parts);
        ck_assert_uint_ge(done, last);
        is_between |= done > 0 && done < parts;
        last = done;
    }
    ck_assert_int_eq(got.events, 1);
    ck_assert(is_between);
    ck_assert_uint_eq(parts, 2500);
    ck_assert_uint_eq(got.n_parts, 2500);
    ck_assert(!loader_progress(loader, &parts, &done));
}
END_TEST

START_TEST(a_tree_of_older_brokers_is_read)
{
    fake_zk_load(fake, "tree-ibp-2.6.jsonl");
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_ge(got.n_topics, 10);
}
END_TEST

START_TEST(deletions_and_tombstones_are_read)
{
    fake_zk_load(fake, "tree-deleting.jsonl");
    fake_zk_put(fake, "/controllers/tombstones/2-AQIDAAAAAAAAAAAAAAAAAA",
                "{\"version\":1,\"topic\":\"gone\",\"partitions\":{\"0\":3,\"1\":2}}");
    load();
    run();
    ck_assert_uint_eq(got.n_marks, 1);
    ck_assert_uint_eq(got.n_tombstones, 1);
}
END_TEST

START_TEST(eligible_leaders_are_read)
{
    fake_zk_put(fake, "/controllers/eligible/AQIDAAAAAAAAAAAAAAAAAA-3",
                "{\"version\":1,\"controller_epoch\":3,\"leader_epoch\":1,\"partition_epoch\":2,"
                "\"min_isr\":2,\"replicas\":[7]}");
    fake_zk_put(fake, "/controllers/eligible/AQIDAAAAAAAAAAAAAAAAAA-4", "nonsense");
    fake_zk_put(fake, "/controllers/ids", "{\"version\":1,\"first\":2,\"last\":5}");
    loader_run(loader, &(struct core_reload){ .what = RELOAD_ALL }, 5);
    run();
    ck_assert_uint_eq(got.n_eligible, 1);
    ck_assert_int_eq(got.eligible, 7);
    ck_assert_int_eq(got.ours_since, 2);
    loader_run(loader, &(struct core_reload){ .what = RELOAD_ALL }, 6);
    run();
    ck_assert_int_eq(got.ours_since, 6); /* what is said there is not about this seat */
}
END_TEST

START_TEST(acls_are_refused)
{
    fake_zk_load(fake, "tree-acls.jsonl");
    load();
    run();
    ck_assert_int_eq(got.events, 0);
    ck_assert_int_eq(got.refused, 1);
    ck_assert_ptr_nonnull(strstr(got.text, "ACLs"));
}
END_TEST

#define PLAIN "/brokers/topics/plain"

/* It has records. _i: it means nothing, or must not be read, or what is below it must not. */
START_TEST(a_topic_that_was_led_and_cannot_be_read_is_refused)
{
    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_put(fake, PLAIN, "{\"partitions\":");
    fake_zk_forbid(fake, _i == 2 ? PLAIN "/partitions" : PLAIN, _i > 0);
    load();
    run();
    ck_assert_int_eq(got.events, 0);
    ck_assert_int_eq(got.refused, 1);
    ck_assert_ptr_nonnull(strstr(got.text, PLAIN));
}
END_TEST

/* _i: it means nothing, or must not be read. In another epoch the core will have forgotten it. */
START_TEST(one_that_the_core_knows_is_told_as_unreadable)
{
    size_t n_parts;

    fake_zk_load(fake, "tree-busy.jsonl");
    load();
    run();
    n_parts = got.n_parts;
    got.n_parts = 0;
    fake_zk_put(fake, PLAIN, "{\"partitions\":");
    fake_zk_forbid(fake, PLAIN, _i == 1);
    known = "plain";
    load();
    run();
    ck_assert_int_eq(got.events, 2);
    ck_assert_uint_eq(got.n_garbled, 1);
    ck_assert_uint_eq(got.n_topics, fake_zk_count(fake, "/brokers/topics"));
    ck_assert_uint_lt(got.n_parts, n_parts);
    loader_run(loader, &(struct core_reload){ .what = RELOAD_ALL }, 10);
    run();
    ck_assert_int_eq(got.events, 2);
    ck_assert_int_eq(got.refused, 1);
}
END_TEST

START_TEST(one_that_was_never_led_is_told_as_unreadable)
{
    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_put(fake, "/brokers/topics/a", "{\"partitions\":");
    fake_zk_put(fake, "/brokers/topics/b", NULL);
    fake_zk_put(fake, "/brokers/topics/b/partitions", NULL);
    fake_zk_put(fake, "/brokers/topics/c", "{}");
    fake_zk_forbid(fake, "/brokers/topics/c", true);
    load();
    run();
    ck_assert_int_eq(got.refused, 0);
    ck_assert_uint_eq(got.n_garbled, 3);
    ck_assert_uint_eq(got.n_topics, fake_zk_count(fake, "/brokers/topics"));
    ck_assert_uint_eq(got.n_states, got.n_parts);
}
END_TEST

/* What is refused by whoever reads it from a stream must not be published. */
START_TEST(a_topic_that_no_image_can_hold_is_told_as_unreadable)
{
    static const char *const values[] = {
        "{\"partitions\":{\"0\":[]}}",
        "{\"partitions\":{\"0\":[1],\"1\":[1,-1]}}",
        "{\"partitions\":{\"1048576\":[1]}}",
        "{\"partitions\":{\"0\":[1],\"00\":[2]}}",
        "{\"partitions\":{\"0\":[1]},\"adding_replicas\":{\"0\":[-2]}}",
    };

    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_put(fake, "/brokers/topics/a", values[_i]);
    load();
    run();
    ck_assert_int_eq(got.refused, 0);
    ck_assert_uint_eq(got.n_garbled, 1);
    ck_assert_uint_eq(got.n_topics, fake_zk_count(fake, "/brokers/topics"));
}
END_TEST

START_TEST(who_is_named_twice_is_meant_once)
{
    fake_zk_put(fake, "/brokers/topics/a",
                "{\"partitions\":{\"0\":[2,1,2,1],\"1\":[3]},\"adding_replicas\":{\"0\":[1,1]}}");
    load();
    run();
    ck_assert_uint_eq(got.n_garbled, 0);
    ck_assert_uint_eq(got.n_parts, 2);
    ck_assert_uint_eq(got.n_replicas, 3);
}
END_TEST

/* The second could be made with Kafka before 0.10. */
START_TEST(a_topic_with_a_name_that_none_can_have_is_left_out)
{
    static const char topic[] = "{\"partitions\":{\"0\":[1]}}";
    char path[300];
    int len = snprintf(path, sizeof path, "/brokers/topics/");

    memset(&path[len], 'x', 250);
    path[len + 250] = '\0';
    fake_zk_put(fake, "/brokers/topics/a b", topic);
    fake_zk_put(fake, path, topic);
    fake_zk_put(fake, "/brokers/topics/good", topic);
    load();
    run();
    ck_assert_int_eq(got.refused, 0);
    ck_assert_uint_eq(got.n_topics, 1);
    ck_assert_uint_eq(got.n_parts, 1);
    loader_run(loader, &(struct core_reload){ .what = RELOAD_TOPIC, .topic = STR("a b") }, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_TOPIC_READ);
    ck_assert(!got.there);
}
END_TEST

START_TEST(what_else_no_image_can_hold_is_left_out)
{
    fake_zk_put(fake, "/config/topics/t", "{\"version\":1,\"config\":{\"\":\"x\",\"a\":\"b\"}}");
    fake_zk_put(fake, "/controllers/tombstones/2-AQIDAAAAAAAAAAAAAAAAAA",
                "{\"version\":1,\"topic\":\"a b\",\"partitions\":{\"0\":3}}");
    fake_zk_put(fake, "/brokers/ids/1",
                "{\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\"},"
                "\"endpoints\":[\"A://h:-1\"],\"version\":5,\"moldau\":\"1\"}");
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_eq(got.n_tombstones, 0);
    ck_assert_uint_eq(got.n_nodes, 0);
    ck_assert_uint_eq(got.n_configs, 1);
    loader_run_config(loader, STR("topics"), STR("t"));
    run();
    ck_assert_uint_eq(got.n_settings, 1);
}
END_TEST

/* A controller that runs never gives its seat up for one. */
START_TEST(a_topic_that_cannot_be_read_comes_as_its_event)
{
    struct core_reload reload = { .what = RELOAD_TOPIC, .topic = STR("plain") };

    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_put(fake, PLAIN, "{\"partitions\":");
    for (int forbids = 0; forbids < 2; forbids++) {
        fake_zk_forbid(fake, PLAIN, forbids == 1);
        loader_run(loader, &reload, 0);
        run();
        ck_assert_int_eq(got.events, forbids + 1);
        ck_assert_int_eq(got.kind, CORE_TOPIC_READ);
        ck_assert(got.there);
        ck_assert_uint_eq(got.n_garbled, (size_t)forbids + 1);
        ck_assert_int_eq(got.topic_version, forbids == 1 ? -1 : fake_zk_version(fake, PLAIN));
    }
    ck_assert_int_eq(got.refused, 0);
}
END_TEST

/* _i: must not be read, means nothing, or says what no controller writes: the last two would leave
 * no later epoch, and no leader to name. */
START_TEST(a_state_that_cannot_be_read_is_told_alone)
{
    static const char *const values[] = {
        "",
        "{\"leader\":",
        "{\"leader\":1,\"leader_epoch\":-3,\"isr\":[1],\"controller_epoch\":1}",
        "{\"leader\":1,\"leader_epoch\":3,\"isr\":[1,1],\"controller_epoch\":1}",
        "{\"leader\":1,\"leader_epoch\":3,\"isr\":[1,-1],\"controller_epoch\":1}",
        "{\"leader\":1,\"leader_epoch\":2147483647,\"isr\":[1],\"controller_epoch\":1}",
        "{\"leader\":-2,\"leader_epoch\":3,\"isr\":[1],\"controller_epoch\":1}",
    };
    static const char *const path = "/brokers/topics/plain/partitions/0/state";
    struct core_reload reload = { .what = RELOAD_STATE, .topic = STR("plain") };

    fake_zk_load(fake, "tree-busy.jsonl");
    fake_zk_put(fake, path, values[_i]);
    fake_zk_forbid(fake, path, _i == 0);
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_ge(got.n_parts, 40);
    ck_assert_uint_eq(got.n_unreadable, 1);
    ck_assert_uint_eq(got.n_states, got.n_parts - 1);
    loader_run(loader, &reload, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_STATE_READ);
    ck_assert_uint_eq(got.n_unreadable, 1);
    ck_assert_int_eq(got.partition_epoch, _i == 0 ? -1 : fake_zk_version(fake, path));
    fake_zk_drop(fake, path);
    loader_run(loader, &reload, 0);
    run();
    ck_assert(!got.there);
    ck_assert_int_eq(got.refused, 0);
}
END_TEST

START_TEST(a_registration_that_cannot_be_read_is_left_out)
{
    static const char *const good = "{\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\"},"
                                    "\"endpoints\":[\"A://h:1\"],\"version\":5,\"moldau\":\"1\"}";

    fake_zk_put(fake, "/brokers/ids/1", "{\"version\":");
    fake_zk_put(fake, "/brokers/ids/2", good);
    fake_zk_put(fake, "/brokers/ids/3", good);
    fake_zk_put(fake, "/brokers/ids/4", NULL);
    fake_zk_forbid(fake, "/brokers/ids/2", true);
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_eq(got.n_nodes, 1);
    ck_assert(got.node_epoch == fake_zk_czxid(fake, "/brokers/ids/3"));
    fake_zk_forbid(fake, "/brokers/ids/2", false);
    loader_run(loader, &(struct core_reload){ .what = RELOAD_BROKERS }, 0);
    run();
    ck_assert_uint_eq(got.n_nodes, 2);
}
END_TEST

/* What is known of them must not fall back to defaults. */
START_TEST(settings_that_cannot_be_read_are_no_news)
{
    fake_zk_put(fake, "/config/topics/t", "{\"version\":1,\"config\":{\"cleanup.policy\":");
    loader_run_config(loader, STR("topics"), STR("t"));
    run();
    ck_assert_int_eq(got.events, 0);
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_eq(got.n_configs, 0);
    ck_assert_uint_eq(got.n_unread_configs, 1);
    fake_zk_drop(fake, "/config/topics/t");
    loader_run_config(loader, STR("topics"), STR("t"));
    run();
    ck_assert_int_eq(got.events, 2);
    ck_assert_int_eq(got.kind, CORE_CONFIG_READ);
    ck_assert_int_eq(got.refused, 0);
}
END_TEST

START_TEST(a_standby_goes_on_with_the_settings_it_knows)
{
    struct image_setting setting = { STR("cleanup.policy"), STR("compact") };
    struct image_config config = { STR("topics"), STR("t"), 1, &setting };
    struct image *image = image_new(8, 1, 3001, STR("c"));
    struct standby *standby = standby_new();

    image_add(image, &(struct image_delta){ .n_configs = 1, .configs = &config });
    standby_on_image(standby, &image);
    fake_zk_put(fake, "/config/topics/t", "{\"version\":1,\"config\":{\"cleanup.policy\":");
    loader_believe(loader, standby);
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    ck_assert_uint_eq(got.n_configs, 1);
    ck_assert_uint_eq(got.n_unread_configs, 0);
    standby_free(&standby);
}
END_TEST

START_TEST(a_migration_is_refused)
{
    fake_zk_put(fake, "/migration", "{}");
    load();
    run();
    ck_assert_int_eq(got.refused, 1);
}
END_TEST

START_TEST(single_things_come_as_their_events)
{
    struct core_reload reload = { .what = RELOAD_TOPIC, .topic = STR("plain") };

    fake_zk_load(fake, "tree-busy.jsonl");
    loader_run(loader, &reload, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_TOPIC_READ);
    ck_assert(got.there && got.n_states > 0);
    reload.topic = STR("with.config");
    loader_run(loader, &reload, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_TOPIC_READ);
    ck_assert(got.there);
    ck_assert_uint_eq(got.n_settings, 2);
    reload.topic = STR("nowhere");
    loader_run(loader, &reload, 0);
    run();
    ck_assert(!got.there);
    reload = (struct core_reload){ .what = RELOAD_STATE, .topic = STR("plain"), .partition = 0 };
    loader_run(loader, &reload, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_STATE_READ);
    ck_assert_int_eq(got.partition_epoch,
                     fake_zk_version(fake, "/brokers/topics/plain/partitions/0/state"));
    reload = (struct core_reload){ .what = RELOAD_PID_BLOCK };
    loader_run(loader, &reload, 0);
    run();
    ck_assert_int_eq(got.kind, CORE_PID_BLOCK_READ);
    loader_run_config(loader, STR("topics"), STR("with.config"));
    run();
    ck_assert_int_eq(got.kind, CORE_CONFIG_READ);
    ck_assert_uint_eq(got.n_settings, 2);
    ck_assert_int_eq(got.events, 6);
}
END_TEST

/* Whoever wrote meanwhile may have been heard already, and what is told must not be older. */
START_TEST(a_topic_that_changes_while_it_is_read_is_read_again)
{
    static const char topic[] =
        "{\"partitions\":{\"0\":[%d]},\"topic_id\":\"AW6T_lL_R4iq6IuFZW4UEA\","
        "\"adding_replicas\":{},\"removing_replicas\":{},\"version\":3}";
    char text[256];

    for (int changes = 0; changes < 3; changes++) {
        snprintf(text, sizeof text, topic, 1);
        fake_zk_put(fake, "/brokers/topics/t", text);
        loader_run(loader, &(struct core_reload){ .what = RELOAD_TOPIC, .topic = STR("t") }, 0);
        for (int i = 0; i < changes; i++) {
            ck_assert_int_gt(mailbox_run(&mailbox), 0); /* the topic has come, its state has not */
            snprintf(text, sizeof text, topic, 2 + i);
            fake_zk_put(fake, "/brokers/topics/t", text);
            ck_assert_int_eq(got.events, changes);
        }
        run();
        ck_assert_int_eq(got.events, changes + 1);
        ck_assert_int_eq(got.topic_version, fake_zk_version(fake, "/brokers/topics/t"));
    }
    loader_run(loader, &(struct core_reload){ .what = RELOAD_TOPIC, .topic = STR("t") }, 0);
    ck_assert_int_gt(mailbox_run(&mailbox), 0);
    fake_zk_drop(fake, "/brokers/topics/t");
    run();
    ck_assert(!got.there);
    ck_assert_int_eq(got.events, 4);
}
END_TEST

START_TEST(started_over_or_reset_it_tells_once_or_never)
{
    fake_zk_load(fake, "tree-busy.jsonl");
    load();
    load();
    run();
    ck_assert_int_eq(got.events, 1);
    load();
    loader_reset(loader);
    run();
    ck_assert_int_eq(got.events, 1);
    load();
    fake_zk_expire(zk);
    fake_zk_resume(zk);
    run();
    ck_assert_int_eq(got.events, 1);
    fake_zk_suspend(zk);
    load();
    run();
    fake_zk_resume(zk);
    run();
    ck_assert_int_eq(got.events, 2);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("load");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, an_empty_zookeeper_becomes_an_empty_cluster);
    tcase_add_test(tc, what_kafka_left_is_read_whole);
    tcase_add_test(tc, a_load_tells_how_far_it_is);
    tcase_add_test(tc, a_tree_of_older_brokers_is_read);
    tcase_add_test(tc, deletions_and_tombstones_are_read);
    tcase_add_test(tc, eligible_leaders_are_read);
    tcase_add_test(tc, acls_are_refused);
    tcase_add_loop_test(tc, a_topic_that_was_led_and_cannot_be_read_is_refused, 0, 3);
    tcase_add_loop_test(tc, one_that_the_core_knows_is_told_as_unreadable, 0, 2);
    tcase_add_test(tc, one_that_was_never_led_is_told_as_unreadable);
    tcase_add_loop_test(tc, a_topic_that_no_image_can_hold_is_told_as_unreadable, 0, 5);
    tcase_add_test(tc, who_is_named_twice_is_meant_once);
    tcase_add_test(tc, a_topic_with_a_name_that_none_can_have_is_left_out);
    tcase_add_test(tc, what_else_no_image_can_hold_is_left_out);
    tcase_add_test(tc, a_topic_that_cannot_be_read_comes_as_its_event);
    tcase_add_loop_test(tc, a_state_that_cannot_be_read_is_told_alone, 0, 7);
    tcase_add_test(tc, a_registration_that_cannot_be_read_is_left_out);
    tcase_add_test(tc, settings_that_cannot_be_read_are_no_news);
    tcase_add_test(tc, a_standby_goes_on_with_the_settings_it_knows);
    tcase_add_test(tc, a_migration_is_refused);
    tcase_add_test(tc, single_things_come_as_their_events);
    tcase_add_test(tc, a_topic_that_changes_while_it_is_read_is_read_again);
    tcase_add_test(tc, started_over_or_reset_it_tells_once_or_never);
    return unit_run(tc);
}
