/*
 * DescribeConfigs against what Kafka's own tool printed of a Kafka 3.9.2 broker and topic: the same
 * settings in the file and in the image must give the same names, values and synonyms. Then what
 * the captures do not show: filters, the cluster's defaults, secrets, refusals.
 */
#include "broker/api/describe_configs.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "broker/tables/settings.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/unit.h"

#define SETTINGS_MAX 64

static struct arena arena;
static struct conf *conf;
static struct broker_conf values;
static struct settings *settings;
static struct image *image;
static struct api api;

static struct image_setting changed_here[SETTINGS_MAX], changed_all[SETTINGS_MAX],
    changed_topic[SETTINGS_MAX];
static size_t n_here, n_all, n_topic;

static void change(struct image_setting *list, size_t *n, const char *key, const char *value)
{
    ck_assert_uint_lt(*n, SETTINGS_MAX);
    list[(*n)++] = (struct image_setting){ .key = str_of(key), .value = str_of(value) };
}

static void build_image(void)
{
    struct image_config configs[] = {
        { STR("brokers"), STR("1"), n_here, changed_here },
        { STR("brokers"), STR("<default>"), n_all, changed_all },
        { STR("topics"), STR("plain"), n_topic, changed_topic },
    };
    struct image_part part = { .leader = 1 };
    struct image_topic_change topic = {
        .id = { { 1 } }, .name = STR("plain"), .n_parts = 1, .parts = &part
    };
    struct image_delta delta = {
        .n_configs = 3, .configs = configs, .n_topics = 1, .topics = &topic
    };

    image = image_new(1, 1, 3001, STR("cluster"));
    image_add(image, &delta);
}

static void start(const char *file)
{
    conf = conf_new(&broker_conf_table, &values);
    conf_read_text(conf, "test", str_of(file));
    conf_finish(conf);
    broker_conf_derive(conf, &values);
    settings = settings_new(conf, &values, 1);
    build_image();
    api = (struct api){ .broker_id = 1, .settings = settings };
}

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
    n_here = n_all = n_topic = 0;
}

static void teardown(void)
{
    image_unref(&image);
    settings_free(&settings);
    conf_free(&conf);
    arena_fini(&arena);
}

static struct describe_configs_response_result ask(int8_t type, const char *name, const char *key)
{
    struct str keys[1] = { str_of(key) };
    struct describe_configs_request_resource resource = {
        .resource_type = type,
        .resource_name = str_of(name),
        .configuration_keys = keys,
        .configuration_keys_len = key == NULL ? -1 : 1,
    };
    struct describe_configs_request req = { .resources = &resource,
                                            .resources_len = 1,
                                            .include_synonyms = true,
                                            .include_documentation = true };
    struct describe_configs_response resp;

    describe_configs_answer(&api, image, &req, &arena, &resp);
    ck_assert_int_eq(resp.results_len, 1);
    return resp.results[0];
}

static const struct describe_configs_response_config *
find(const struct describe_configs_response_result *result, const char *name)
{
    for (int32_t i = 0; i < result->configs_len; i++) {
        if (str_is(result->configs[i].name, name))
            return &result->configs[i];
    }
    return NULL;
}

/* ---- the captures ---- */

static const char *source_name(int8_t source)
{
    static const char *const names[] = { "?",
                                         "DYNAMIC_TOPIC_CONFIG",
                                         "DYNAMIC_BROKER_CONFIG",
                                         "DYNAMIC_DEFAULT_BROKER_CONFIG",
                                         "STATIC_BROKER_CONFIG",
                                         "DEFAULT_CONFIG" };
    return names[source];
}

static const char *text_of(struct str text)
{
    return str_is_null(text) ? "null" : arena_cstr(&arena, text);
}

/* As kafka-configs prints a setting. */
static struct str print(const struct describe_configs_response_config *config)
{
    struct str line = arena_printf(&arena, "  %s=%s sensitive=%s synonyms={", text_of(config->name),
                                   text_of(config->value), config->is_sensitive ? "true" : "false");

    for (int32_t i = 0; i < config->synonyms_len; i++)
        line = arena_printf(&arena, "%s%s%s:%s=%s", line.ptr, i > 0 ? ", " : "",
                            source_name(config->synonyms[i].source),
                            text_of(config->synonyms[i].name), text_of(config->synonyms[i].value));
    return arena_printf(&arena, "%s}", line.ptr);
}

/* What a capture says was set at this source. */
static void gather(const char *capture, const char *source,
                   void (*take)(const char *key, const char *value, void *arg), void *arg)
{
    struct str mark = arena_printf(&arena, "%s:", source);

    for (struct str rest = str_of(capture); !str_is_null(rest);) {
        struct str line = str_split(rest, '\n', &rest);
        const char *from = line.len > 0 ? memmem(line.ptr, line.len, "synonyms={", 10) : NULL;
        const char *at =
            from == NULL ? NULL
                         : memmem(from, (size_t)(line.ptr + line.len - from), mark.ptr, mark.len);
        struct str value;

        if (at == NULL || (at[-1] != '{' && at[-1] != ' '))
            continue;
        at += mark.len;
        struct str pair = { .ptr = at, .len = (size_t)(line.ptr + line.len - 1 - at) };
        /* a list's own commas have no space behind them */
        const char *end = memmem(pair.ptr, pair.len, ", ", 2);
        if (end != NULL)
            pair.len = (size_t)(end - pair.ptr);
        struct str key = str_split(pair, '=', &value);
        take(text_of(key), text_of(value), arg);
    }
}

static void take_file(const char *key, const char *value, void *arg)
{
    struct str *file = arg;

    /* node.id follows from broker.id: that is part of what is tested */
    if (strcmp(key, "node.id") != 0)
        *file = arena_printf(&arena, "%s%s=%s\n", file->ptr, key, value);
}

static void take_here(const char *key, const char *value, void *arg)
{
    (void)arg;
    change(changed_here, &n_here, key, value);
}

static void take_all(const char *key, const char *value, void *arg)
{
    (void)arg;
    change(changed_all, &n_all, key, value);
}

static void take_topic(const char *key, const char *value, void *arg)
{
    (void)arg;
    change(changed_topic, &n_topic, key, value);
}

/* Each line of the capture is one of ours, and there are no more. */
static void compare(const char *capture, const struct describe_configs_response_result *result)
{
    int32_t lines = 0;

    for (struct str rest = str_of(capture); !str_is_null(rest);) {
        struct str name, line = str_split(rest, '\n', &rest);

        if (!str_starts_with(line, STR("  ")) || line.len < 3)
            continue;
        name = str_split((struct str){ .ptr = line.ptr + 2, .len = line.len - 2 }, '=', &name);
        const struct describe_configs_response_config *config = find(result, text_of(name));
        ck_assert_msg(config != NULL, "%s is missing", text_of(name));
        ck_assert_str_eq(print(config).ptr, text_of(line));
        lines++;
    }
    ck_assert_int_gt(lines, 30);
    for (int32_t i = 0; i < result->configs_len; i++) {
        const struct conf_key *key = conf_find(&broker_conf_table, result->configs[i].name);

        if (key != NULL && key->state == CONF_OURS)
            lines++;
    }
    ck_assert_int_eq(lines, result->configs_len);
}

START_TEST(a_broker_is_described_as_kafka_does)
{
    size_t len;
    char *capture = unit_read_file(unit_data("configs/configs-broker-describe-all.txt"), &len);
    struct str file = STR("");

    gather(capture, "STATIC_BROKER_CONFIG", take_file, &file);
    gather(capture, "DYNAMIC_BROKER_CONFIG", take_here, NULL);
    gather(capture, "DYNAMIC_DEFAULT_BROKER_CONFIG", take_all, NULL);
    start(file.ptr);
    ck_assert_uint_eq(conf_n_problems(conf), 0);

    struct describe_configs_response_result result = ask(4, "1", NULL);

    ck_assert_int_eq(result.error_code, 0);
    compare(capture, &result);
    free(capture);
}
END_TEST

START_TEST(a_topic_is_described_as_kafka_does)
{
    size_t len;
    char *capture = unit_read_file(unit_data("configs/configs-topic-describe-all.txt"), &len);
    struct str file = STR("zookeeper.connect=z:1\n");

    gather(capture, "STATIC_BROKER_CONFIG", take_file, &file);
    gather(capture, "DYNAMIC_TOPIC_CONFIG", take_topic, NULL);
    start(file.ptr);

    struct describe_configs_response_result result = ask(2, "plain", NULL);

    ck_assert_int_eq(result.error_code, 0);
    compare(capture, &result);
    free(capture);
}
END_TEST

/* ---- the rest ---- */

START_TEST(types_and_texts_go_with_it)
{
    start("zookeeper.connect=z:1\n");

    struct describe_configs_response_result broker = ask(4, "1", NULL);
    struct describe_configs_response_result topic = ask(2, "plain", NULL);

    ck_assert_int_eq(find(&broker, "log.preallocate")->config_type, 1);
    ck_assert_int_eq(find(&broker, "listeners")->config_type, 2);
    ck_assert_int_eq(find(&broker, "num.io.threads")->config_type, 3);
    ck_assert_int_eq(find(&broker, "offsets.topic.replication.factor")->config_type, 4);
    ck_assert_int_eq(find(&broker, "log.retention.ms")->config_type, 5);
    ck_assert_int_eq(find(&broker, "log.cleaner.min.cleanable.ratio")->config_type, 6);
    ck_assert_int_eq(find(&broker, "log.cleanup.policy")->config_type, 7);
    ck_assert_int_eq(find(&broker, "principal.builder.class")->config_type, 8);
    ck_assert_int_eq(find(&broker, "ssl.keystore.password")->config_type, 9);
    ck_assert(find(&broker, "ssl.keystore.password")->is_sensitive);
    ck_assert(find(&broker, "broker.id")->read_only);
    ck_assert(!find(&broker, "num.io.threads")->read_only);
    ck_assert(find(&broker, "num.io.threads")->is_default);
    ck_assert(find(&broker, "num.io.threads")->documentation.len > 0);
    ck_assert_ptr_null(find(&broker, "log.initial.task.delay.ms")); /* internal */
    ck_assert_int_eq(find(&topic, "compression.type")->config_type, 2);
    ck_assert_int_eq(find(&topic, "cleanup.policy")->config_type, 7);
    ck_assert_int_eq(find(&topic, "max.message.bytes")->config_type, 3);
    ck_assert(!find(&topic, "max.message.bytes")->read_only);
}
END_TEST

START_TEST(only_what_is_asked_for)
{
    start("zookeeper.connect=z:1\n");

    struct describe_configs_response_result result = ask(2, "plain", "retention.ms");

    ck_assert_int_eq(result.configs_len, 1);
    ck_assert(str_is(result.configs[0].value, "604800000"));
    ck_assert_int_eq(ask(4, "1", "no.such.key").configs_len, 0);
}
END_TEST

START_TEST(brokers_wide_changes_reach_topics)
{
    change(changed_all, &n_all, "message.max.bytes", "5000");
    change(changed_all, &n_all, "log.retention.ms", "7");
    change(changed_all, &n_all, "listeners", "A://h:1"); /* each broker's own: not for all */
    change(changed_all, &n_all, "num.partitions", "9");  /* not at run time */
    change(changed_here, &n_here, "message.max.bytes", "6000");
    start("zookeeper.connect=z:1\nlog.retention.hours=1\nmessage.max.bytes=4000\n");

    struct describe_configs_response_result topic = ask(2, "plain", "max.message.bytes");

    ck_assert(str_is(topic.configs[0].value, "6000"));
    ck_assert_int_eq(topic.configs[0].config_source, SETTINGS_OF_BROKER);
    ck_assert_int_eq(topic.configs[0].synonyms_len, 4);
    ck_assert(str_is(topic.configs[0].synonyms[2].value, "4000"));
    topic = ask(2, "plain", "retention.ms");
    ck_assert(str_is(topic.configs[0].value, "7"));

    struct describe_configs_response_result broker = ask(4, "1", "listeners");

    ck_assert(str_is(broker.configs[0].value, "PLAINTEXT://:9092"));
    ck_assert(str_is(ask(4, "1", "num.partitions").configs[0].value, "1"));
    ck_assert_int_eq(settings_number(settings, image, BROKER_CONF_message_max_bytes), 6000);
}
END_TEST

START_TEST(the_empty_name_is_the_clusters_defaults)
{
    change(changed_all, &n_all, "message.max.bytes", "5000");
    change(changed_all, &n_all, "my.own", "secret");
    start("zookeeper.connect=z:1\nmessage.max.bytes=4000\n");

    struct describe_configs_response_result result = ask(4, "", NULL);

    ck_assert_int_eq(result.configs_len, 2);
    ck_assert_int_eq(result.configs[0].synonyms_len, 1);
    ck_assert_int_eq(result.configs[0].config_source, SETTINGS_OF_CLUSTER);
    ck_assert(result.configs[1].is_sensitive);
    ck_assert(str_is_null(result.configs[1].value));
}
END_TEST

START_TEST(secrets_are_not_told)
{
    start("zookeeper.connect=z:1\nssl.key.password=hush\nmy.own=hush\n");

    struct describe_configs_response_result result = ask(4, "1", NULL);
    const char *const names[] = { "ssl.key.password", "my.own" };

    for (size_t i = 0; i < 2; i++) {
        const struct describe_configs_response_config *config = find(&result, names[i]);

        ck_assert(config->is_sensitive);
        ck_assert(str_is_null(config->value));
        ck_assert_int_eq(config->synonyms_len, 1);
        ck_assert(str_is_null(config->synonyms[0].value));
    }
}
END_TEST

START_TEST(what_cannot_be_described_is_refused)
{
    start("zookeeper.connect=z:1\n");
    ck_assert_int_eq(ask(2, "nosuch", NULL).error_code, 3);
    ck_assert_int_eq(ask(2, "no/such", NULL).error_code, 17);
    ck_assert_int_eq(ask(4, "2", NULL).error_code, 42);
    ck_assert_int_eq(ask(4, "x", NULL).error_code, 42);
    ck_assert_int_eq(ask(16, "x", NULL).error_code, 42);
    ck_assert_int_eq(ask(8, "", NULL).error_code, 42);
    image_unref(&image);
    ck_assert_int_eq(ask(2, "plain", NULL).error_code, 3);
}
END_TEST

START_TEST(the_one_logger_tells_its_level)
{
    start("zookeeper.connect=z:1\n");
    say_set_level(SAY_WARN);

    struct describe_configs_response_result result = ask(8, "1", NULL);

    ck_assert_int_eq(result.configs_len, 1);
    ck_assert(str_is(result.configs[0].name, "root"));
    ck_assert(str_is(result.configs[0].value, "WARN"));
    ck_assert_int_eq(result.configs[0].config_source, 6);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("describe_configs");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_broker_is_described_as_kafka_does);
    tcase_add_test(tc, a_topic_is_described_as_kafka_does);
    tcase_add_test(tc, types_and_texts_go_with_it);
    tcase_add_test(tc, only_what_is_asked_for);
    tcase_add_test(tc, brokers_wide_changes_reach_topics);
    tcase_add_test(tc, the_empty_name_is_the_clusters_defaults);
    tcase_add_test(tc, secrets_are_not_told);
    tcase_add_test(tc, what_cannot_be_described_is_refused);
    tcase_add_test(tc, the_one_logger_tells_its_level);
    return unit_run(tc);
}
