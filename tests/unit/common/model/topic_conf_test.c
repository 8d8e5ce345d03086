/*
 * topic_conf: the table's own defaults are valid and print as they are written; bounds, choices and
 * lists; which broker-wide setting wins.
 */
#include "common/model/topic_conf.h"

#include <check.h>

#include "tests/kit/unit.h" /* unit_run */

static enum err set(const char *name, const char *value)
{
    struct topic_conf conf;
    char why[TOPIC_CONF_WHY] = "";
    enum err err;

    topic_conf_init(&conf);
    err = topic_conf_set(&conf, str_of(name), str_of(value), why);
    ck_assert_int_eq(err == ERR_OK, why[0] == '\0');
    return err;
}

START_TEST(defaults_print_as_written)
{
    struct topic_conf conf;
    char buf[64];

    topic_conf_init(&conf);
    for (int at = 0; at < TOPIC_CONF_N; at++) {
        struct str text = topic_conf_text(&conf, (enum topic_conf_index)at, buf, sizeof buf);

        ck_assert_msg(str_is(text, topic_conf_keys[at].text), "%s", topic_conf_keys[at].name);
        ck_assert_int_eq(set(topic_conf_keys[at].name, topic_conf_keys[at].text), ERR_OK);
    }
    ck_assert_int_eq(conf.max_message_bytes, 1048588);
    ck_assert_int_eq(conf.cleanup_policy, TOPIC_CLEANUP_DELETE);
    ck_assert_int_eq(conf.compression_type, TOPIC_COMPRESSION_PRODUCER);
    ck_assert_int_eq(topic_conf_check(&conf, NULL), ERR_OK);
}
END_TEST

START_TEST(bad_values_are_refused)
{
    ck_assert_int_eq(set("segment.bytes", "13"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("segment.bytes", "2147483648"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("segment.bytes", "14"), ERR_OK);
    ck_assert_int_eq(set("retention.ms", "soon"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("retention.ms", "-2"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("retention.ms", NULL), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("cleanup.policy", "compact, delete"), ERR_OK);
    ck_assert_int_eq(set("cleanup.policy", "shred"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("cleanup.policy", ""), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("compression.type", "brotli"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("compression.gzip.level", "0"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("min.cleanable.dirty.ratio", "1.1"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("preallocate", "yes"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("preallocate", "TRUE"), ERR_OK);
    ck_assert_int_eq(set("leader.replication.throttled.replicas", "0:1,1:2"), ERR_OK);
    ck_assert_int_eq(set("leader.replication.throttled.replicas", "0:x"), ERR_INVALID_CONFIG);
    ck_assert_int_eq(set("no.such.setting", "1"), ERR_INVALID_CONFIG);
}
END_TEST

START_TEST(throttled_replicas_are_found_in_their_list)
{
    ck_assert(!topic_conf_is_throttled(STR(""), 0, 1));
    ck_assert(topic_conf_is_throttled(STR(" * "), 7, 9));
    ck_assert(topic_conf_is_throttled(STR("0:1,3:2"), 3, 2));
    ck_assert(topic_conf_is_throttled(STR("0:1, 3:2,"), 3, 2));
    ck_assert(!topic_conf_is_throttled(STR("0:1,3:2"), 3, 1));
    ck_assert(!topic_conf_is_throttled(STR("0:1,3:2"), 2, 3));
    ck_assert(!topic_conf_is_throttled(STR("10:1"), 1, 1));
    ck_assert_int_eq(set("leader.replication.throttled.replicas", "0:1,,1:2,"), ERR_OK);
}
END_TEST

START_TEST(rules_between_settings)
{
    struct topic_conf conf;
    char why[TOPIC_CONF_WHY];

    topic_conf_init(&conf);
    ck_assert_int_eq(topic_conf_set(&conf, STR("max.compaction.lag.ms"), STR("5"), why), ERR_OK);
    ck_assert_int_eq(topic_conf_set(&conf, STR("min.compaction.lag.ms"), STR("6"), why), ERR_OK);
    ck_assert_int_eq(topic_conf_check(&conf, why), ERR_INVALID_CONFIG);
    topic_conf_init(&conf);
    ck_assert_int_eq(topic_conf_set(&conf, STR("remote.storage.enable"), STR("true"), why), ERR_OK);
    ck_assert_int_eq(topic_conf_check(&conf, why), ERR_INVALID_CONFIG);
}
END_TEST

START_TEST(the_topics_own_wins_then_the_finer_unit)
{
    const struct image_setting defaults[] = {
        { STR("log.retention.ms"), STR("7") },    { STR("log.retention.hours"), STR("1") },
        { STR("log.roll.hours"), STR("2") },      { STR("log.segment.bytes"), STR("garbage") },
        { STR("min.insync.replicas"), STR("2") }, { STR("num.partitions"), STR("3") }
    };
    const struct image_setting own[] = { { STR("min.insync.replicas"), STR("3") },
                                         { STR("flush.messages"), STR("never") } };
    const struct image_config config = { STR("topics"), STR("t"), 2, own };
    struct topic_conf conf;

    topic_conf_load(&conf, 6, defaults, &config);
    ck_assert_int_eq(conf.retention_ms, 7);
    ck_assert_int_eq(conf.segment_ms, 7200000);
    ck_assert_int_eq(conf.segment_bytes, 1073741824);
    ck_assert_int_eq(conf.min_insync_replicas, 3);
    ck_assert_int_eq(conf.flush_messages, INT64_MAX);
    ck_assert_int_eq(conf.source[TOPIC_CONF_AT_min_insync_replicas], TOPIC_CONF_OF_TOPIC);
    ck_assert_int_eq(conf.source[TOPIC_CONF_AT_retention_ms], TOPIC_CONF_OF_FILE);
    ck_assert_int_eq(conf.source[TOPIC_CONF_AT_flush_messages], TOPIC_CONF_DEFAULT);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("topic_conf");

    tcase_add_test(tc, defaults_print_as_written);
    tcase_add_test(tc, bad_values_are_refused);
    tcase_add_test(tc, throttled_replicas_are_found_in_their_list);
    tcase_add_test(tc, rules_between_settings);
    tcase_add_test(tc, the_topics_own_wins_then_the_finer_unit);
    return unit_run(tc);
}
