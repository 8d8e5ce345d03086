/*
 * config_change: settings of topics and brokers at run time, what is refused and in which words,
 * and that an unclean election is held as soon as it is allowed, by whomever.
 */
#include "controller/core/admin/config_change.h"

#include <check.h>
#include <stdio.h>

#include "gen/wire/alter_configs.h"
#include "gen/wire/apis.h"
#include "gen/wire/incremental_alter_configs.h"
#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static void two_brokers(void)
{
    toy_up(&toy, 2);
    toy_create(&toy, "t", 1, IDS(1, 2));
}

static struct incremental_alter_configs_request_config edits[2];

/* Through broker 1, or 2 when it is gone; the second edit counts when it has a name. */
static int alter2(int8_t type, const char *name)
{
    static struct incremental_alter_configs_request_resource resource;
    static struct incremental_alter_configs_request req;

    incremental_alter_configs_request_init(&req);
    incremental_alter_configs_request_resource_init(&resource);
    resource.resource_type = type;
    resource.resource_name = str_of(name);
    resource.configs = edits;
    resource.configs_len = str_is_null(edits[1].name) ? 1 : 2;
    req.resources = &resource;
    req.resources_len = 1;
    toy.errors[0] = -99;
    toy_step(&toy, (struct core_event){ .kind = CORE_ADMIN,
                                        .admin = { .id = ++toy.requests,
                                                   .stream = toy.brokers[1].stream != 0
                                                                 ? toy.brokers[1].stream
                                                                 : toy.brokers[2].stream,
                                                   .api_key = API_INCREMENTAL_ALTER_CONFIGS,
                                                   .api_version = 1,
                                                   .request = &req } });
    incremental_alter_configs_request_config_init(&edits[1]);
    edits[1].name = STR_NULL;
    return toy.errors[0];
}

static int alter(int8_t type, const char *name, int8_t operation, const char *key,
                 const char *value)
{
    incremental_alter_configs_request_config_init(&edits[0]);
    edits[0].name = str_of(key);
    edits[0].value = str_of(value);
    edits[0].config_operation = operation;
    return alter2(type, name);
}

#define BROKER(name, op, key, value) alter(CONFIG_OF_BROKER, name, op, key, value)
#define TOPIC(op, key, value)        alter(CONFIG_OF_TOPIC, "t", op, key, value)
#define SAYS(text)                   ck_assert_str_eq(toy.message, text)

static const char *stored(const char *type, const char *name, const char *key)
{
    static char text[128];
    struct str value =
        image_config_value(image_config(toy.configs, str_of(type), str_of(name)), str_of(key));

    if (str_is_null(value))
        return NULL;
    snprintf(text, sizeof text, "%.*s", STR_ARG(value));
    return text;
}

START_TEST(brokers_settings_are_stored_where_kafka_has_them)
{
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "log.cleaner.threads", "2"), 0);
    ck_assert_str_eq(stored("brokers", "1", "log.cleaner.threads"), "2");
    ck_assert_int_eq(BROKER("", CONFIG_SET, "message.max.bytes", "1048588"), 0);
    ck_assert_str_eq(stored("brokers", "<default>", "message.max.bytes"), "1048588");
    ck_assert_int_eq(BROKER("1", CONFIG_DELETE, "log.cleaner.threads", NULL), 0);
    ck_assert_ptr_null(stored("brokers", "1", "log.cleaner.threads"));
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "leader.replication.throttled.rate", "1000"), 0);
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "my.plugin.key", "x"), 0); /* as Kafka does */
    ck_assert_str_eq(stored("brokers", "1", "my.plugin.key"), "x");
}
END_TEST

START_TEST(refusals_for_brokers)
{
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "broker.id", "5"), ERR_INVALID_REQUEST);
    SAYS("Cannot update these configs dynamically: Set(broker.id)");
    ck_assert_int_eq(BROKER("", CONFIG_SET, "log.dirs", "/x"), ERR_INVALID_REQUEST);
    SAYS("Cannot update these configs dynamically: Set(log.dirs)");
    ck_assert_int_eq(BROKER("", CONFIG_SET, "leader.replication.throttled.rate", "1"),
                     ERR_INVALID_REQUEST);
    SAYS("Cannot update these configs at default cluster level, broker id must be specified: "
         "Set(leader.replication.throttled.rate)");
    ck_assert_int_eq(BROKER("2", CONFIG_SET, "log.cleaner.threads", "2"), ERR_INVALID_REQUEST);
    SAYS("Unexpected broker id, expected 1, but received 2");
    ck_assert_int_eq(BROKER("x", CONFIG_SET, "log.cleaner.threads", "2"), ERR_INVALID_REQUEST);
    SAYS("Node id must be an integer, but it is: x");
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "message.max.bytes", "many"), ERR_INVALID_REQUEST);
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "log.cleaner.threads", NULL), ERR_INVALID_REQUEST);
    SAYS("Null value not supported for : log.cleaner.threads");
    ck_assert_int_eq(BROKER("1", CONFIG_APPEND, "log.cleaner.threads", "2"), ERR_INVALID_CONFIG);
    SAYS("Config value append is not allowed for config key: log.cleaner.threads");
    ck_assert_int_eq(BROKER("1", CONFIG_SUBTRACT, "no.such", "2"), ERR_INVALID_CONFIG);
    SAYS("Unknown config name: no.such");
    ck_assert_int_eq(BROKER("1", 9, "log.cleaner.threads", "2"), ERR_INVALID_REQUEST);
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "", "2"), ERR_INVALID_REQUEST);
    SAYS("A setting must have a name");
    ck_assert_int_eq(BROKER("", CONFIG_SET, "", "2"), ERR_INVALID_REQUEST);
    ck_assert_int_eq(alter(16, "x", CONFIG_SET, "a", "b"), ERR_INVALID_REQUEST);
    incremental_alter_configs_request_config_init(&edits[1]);
    edits[1].name = STR("message.max.bytes");
    edits[1].value = STR("1");
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "message.max.bytes", "2"), ERR_INVALID_REQUEST);
    SAYS("Error due to duplicate config keys");
    ck_assert_ptr_null(stored("brokers", "1", "message.max.bytes"));
}
END_TEST

START_TEST(refusals_for_topics)
{
    ck_assert_int_eq(TOPIC(CONFIG_SET, "nope", "1"), ERR_INVALID_CONFIG);
    SAYS("Unknown topic config name: nope");
    ck_assert_int_eq(TOPIC(CONFIG_SET, "segment.bytes", "1"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(alter(CONFIG_OF_TOPIC, "u", CONFIG_SET, "segment.bytes", "1"),
                     ERR_UNKNOWN_TOPIC_OR_PARTITION);
    ck_assert_int_eq(alter(CONFIG_OF_TOPIC, "", CONFIG_SET, "segment.bytes", "1"),
                     ERR_INVALID_REQUEST);
    ck_assert_int_eq(TOPIC(CONFIG_APPEND, "segment.bytes", "1"), ERR_INVALID_CONFIG);
}
END_TEST

/* It would be stored as JSON that nobody can read, and all other settings of the entity with it. */
START_TEST(what_is_no_text_is_refused)
{
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "my.plugin.key", "\xff"), ERR_INVALID_REQUEST);
    SAYS("Names and values of settings are UTF-8 without NUL");
    ck_assert_int_eq(BROKER("", CONFIG_SET, "my\xc3.key", "x"), ERR_INVALID_REQUEST);
    ck_assert_int_eq(TOPIC(CONFIG_SET, "message.format.version", "3.0\xff"), ERR_INVALID_REQUEST);
    incremental_alter_configs_request_config_init(&edits[0]);
    edits[0].name = STR("my.plugin.key");
    edits[0].value = STR("x\0y");
    ck_assert_int_eq(alter2(CONFIG_OF_BROKER, "1"), ERR_INVALID_REQUEST);
    ck_assert_ptr_null(stored("brokers", "1", "my.plugin.key"));
    ck_assert_int_eq(BROKER("1", CONFIG_SET, "my.plugin.key", "\xe2\x82\xac"), 0);
}
END_TEST

START_TEST(lists_are_edited_word_by_word)
{
    ck_assert_int_eq(TOPIC(CONFIG_APPEND, "cleanup.policy", "compact"), 0);
    ck_assert_str_eq(stored("topics", "t", "cleanup.policy"), "delete,compact");
    ck_assert_int_eq(TOPIC(CONFIG_APPEND, "cleanup.policy", "compact"), 0);
    ck_assert_str_eq(stored("topics", "t", "cleanup.policy"), "delete,compact");
    ck_assert_int_eq(TOPIC(CONFIG_SUBTRACT, "cleanup.policy", "delete"), 0);
    ck_assert_str_eq(stored("topics", "t", "cleanup.policy"), "compact");
    ck_assert_int_eq(TOPIC(CONFIG_APPEND, "leader.replication.throttled.replicas", "0:1,0:2"), 0);
    ck_assert_int_eq(TOPIC(CONFIG_SUBTRACT, "leader.replication.throttled.replicas", "0:1"), 0);
    ck_assert_str_eq(stored("topics", "t", "leader.replication.throttled.replicas"), "0:2");
    ck_assert_int_eq(BROKER("", CONFIG_APPEND, "log.cleanup.policy", "compact"), 0);
    ck_assert_str_eq(stored("brokers", "<default>", "log.cleanup.policy"), "delete,compact");
}
END_TEST

START_TEST(what_somebody_else_put_there_stays)
{
    toy_set_config(&toy, "topics", "t", "of.a.newer.version", "x");
    ck_assert_int_eq(TOPIC(CONFIG_SET, "retention.ms", "5"), 0);
    ck_assert_str_eq(stored("topics", "t", "of.a.newer.version"), "x");
    ck_assert_str_eq(stored("topics", "t", "retention.ms"), "5");
    ck_assert_int_eq(TOPIC(CONFIG_SET, "of.a.newer.version", "y"), ERR_INVALID_CONFIG);
}
END_TEST

static void leave_2_alone_out_of_sync(void)
{
    toy_kill(&toy, 2);
    toy_kill(&toy, 1);
    toy_start(&toy, 2);
    SHOWS("t", 0, "-1/1 2 2");
}

static int unclean(int8_t type, const char *name, const char *value)
{
    return alter(type, name, CONFIG_SET, "unclean.leader.election.enable", value);
}

START_TEST(unclean_election_of_a_topic_at_once)
{
    leave_2_alone_out_of_sync();
    ck_assert_int_eq(unclean(CONFIG_OF_TOPIC, "t", "true"), 0);
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

START_TEST(unclean_election_for_all_at_once)
{
    leave_2_alone_out_of_sync();
    ck_assert_int_eq(unclean(CONFIG_OF_BROKER, "", "true"), 0);
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

START_TEST(the_topics_own_no_is_stronger)
{
    ck_assert_int_eq(TOPIC(CONFIG_SET, "unclean.leader.election.enable", "false"), 0);
    leave_2_alone_out_of_sync();
    ck_assert_int_eq(unclean(CONFIG_OF_BROKER, "", "true"), 0);
    SHOWS("t", 0, "-1/1 2 2");
}
END_TEST

START_TEST(unclean_election_allowed_by_another_hand)
{
    leave_2_alone_out_of_sync();
    toy_set_config(&toy, "brokers", "<default>", "unclean.leader.election.enable", "true");
    SHOWS("t", 0, "2/2 3 3");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("config_change");

    tcase_add_checked_fixture(tc, two_brokers, core_kit_end);
    tcase_add_test(tc, brokers_settings_are_stored_where_kafka_has_them);
    tcase_add_test(tc, refusals_for_brokers);
    tcase_add_test(tc, refusals_for_topics);
    tcase_add_test(tc, what_is_no_text_is_refused);
    tcase_add_test(tc, lists_are_edited_word_by_word);
    tcase_add_test(tc, what_somebody_else_put_there_stays);
    tcase_add_test(tc, unclean_election_of_a_topic_at_once);
    tcase_add_test(tc, unclean_election_for_all_at_once);
    tcase_add_test(tc, the_topics_own_no_is_stronger);
    tcase_add_test(tc, unclean_election_allowed_by_another_hand);
    return unit_run(tc);
}
