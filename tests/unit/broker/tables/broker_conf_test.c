/*
 * broker_conf: the table against Kafka 3.9.2's own, and what several settings come to: listeners,
 * priorities between units, refusals.
 */
#include "broker/tables/broker_conf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/unit.h"

static struct broker_conf values;
static struct conf *conf;

static size_t load(const char *text)
{
    conf_free(&conf);
    conf = conf_new(&broker_conf_table, &values);
    conf_read_text(conf, "f", STR("zookeeper.connect=z:1\n"));
    conf_read_text(conf, "f", str_of(text));
    conf_finish(conf);
    broker_conf_derive(conf, &values);
    return conf_n_problems(conf);
}

static bool is_told(const char *words)
{
    for (size_t i = 0; i < conf_n_problems(conf); i++) {
        if (strstr(conf_problem_at(conf, i), words) != NULL)
            return true;
    }
    return false;
}

static void teardown(void)
{
    conf_free(&conf);
}

static const char *kafka_type(const struct conf_key *key)
{
    static const char *const names[] = {
        [CONF_BOOL] = "BOOLEAN",  [CONF_INT16] = "SHORT",   [CONF_INT32] = "INT",
        [CONF_INT64] = "LONG",    [CONF_DOUBLE] = "DOUBLE", [CONF_STRING] = "STRING",
        [CONF_CLASS] = "CLASS",   [CONF_LIST] = "LIST",     [CONF_PASSWORD] = "PASSWORD",
        [CONF_CHOICE] = "STRING",
    };
    return names[key->type];
}

START_TEST(every_key_of_kafka_is_there_as_kafka_has_it)
{
    size_t len, lines = 0;
    char *text = unit_read_file(unit_data("configs/broker-keys.tsv"), &len);

    for (struct str rest = str_of(text); !str_is_null(rest);) {
        struct str type, def, scope, internal, line = str_split(rest, '\n', &rest);

        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        struct str name = str_split(line, '\t', &type);
        type = str_split(type, '\t', &def);
        def = str_split(def, '\t', &scope);
        scope = str_split(scope, '\t', &internal);
        const struct conf_key *key = conf_find(&broker_conf_table, name);
        ck_assert_msg(key != NULL, "%.*s is missing", STR_ARG(name));
        ck_assert_msg(str_is(type, kafka_type(key)), "type of %s", key->name);
        ck_assert_msg(key->text == NULL ? str_is(def, "NULL") : str_is(def, key->text),
                      "default of %s", key->name);
        ck_assert_msg(*scope.ptr == (key->scope == CONF_RESTART      ? 'R'
                                     : key->scope == CONF_PER_BROKER ? 'P'
                                                                     : 'C'),
                      "scope of %s", key->name);
        bool is_internal = key->state == CONF_HIDDEN || key->state == CONF_INNER;
        ck_assert_msg(str_is(internal, "true") == is_internal, "state of %s", key->name);
        lines++;
    }
    ck_assert_uint_eq(lines, 329);
    free(text);
}
END_TEST

START_TEST(the_table_is_in_order)
{
    for (size_t i = 1; i < BROKER_CONF_N; i++)
        ck_assert_int_lt(
            strcasecmp(broker_conf_table.keys[i - 1].name, broker_conf_table.keys[i].name), 0);
}
END_TEST

START_TEST(defaults_are_kafkas)
{
    ck_assert_uint_eq(load(""), 0);
    ck_assert_int_eq(values.id, -1);
    ck_assert_uint_eq(values.n_dirs, 1);
    ck_assert_str_eq(values.dirs[0], "/tmp/kafka-logs");
    ck_assert_int_eq(values.retention_ms, 604800000);
    ck_assert_int_eq(values.roll_ms, 604800000);
    ck_assert_int_eq(values.roll_jitter_ms, 0);
    ck_assert_int_eq(values.flush_ms, INT64_MAX);
    ck_assert_int_eq(values.zookeeper_connect_ms, 18000);
    ck_assert_uint_eq(values.n_listeners, 1);
    ck_assert_str_eq(values.bind[0].name, "PLAINTEXT");
    ck_assert_str_eq(values.bind[0].host, "");
    ck_assert_int_eq(values.bind[0].port, 9092);
    ck_assert_int_eq(values.bind[0].advertised_port, 9092);
    ck_assert(values.bind[0].is_inter_broker);
}
END_TEST

START_TEST(the_finer_unit_wins)
{
    load("log.retention.hours=1\nlog.retention.minutes=2\n");
    ck_assert_int_eq(values.retention_ms, 120000);
    load("log.retention.ms=-1\nlog.retention.minutes=2\n");
    ck_assert_int_eq(values.retention_ms, -1);
    load("log.retention.hours=-1\nlog.roll.hours=3\nlog.dirs=/a, /b\nlog.dir=/c\n");
    ck_assert_int_eq(values.retention_ms, -1);
    ck_assert_int_eq(values.roll_ms, 3 * 3600000);
    ck_assert_uint_eq(values.n_dirs, 2);
    ck_assert_str_eq(values.dirs[1], "/b");
    ck_assert_uint_eq(load("log.retention.ms=0\n"), 1);
    ck_assert_uint_eq(load("log.dirs=/a,/a\n"), 1);
    ck_assert_uint_eq(load("log.dirs=/a,\n"), 1);
}
END_TEST

START_TEST(listeners_by_name)
{
    ck_assert_uint_eq(load("listeners=internal://[::1]:1, CLIENT://h:2,EXTRA://:3\n"
                           "advertised.listeners=CLIENT://out.example:4,INTERNAL://in:5\n"
                           "listener.security.protocol.map=INTERNAL:PLAINTEXT,client:plaintext,"
                           "EXTRA:PLAINTEXT\n"
                           "inter.broker.listener.name=INTERNAL\n"),
                      0);
    ck_assert_uint_eq(values.n_listeners, 3);
    ck_assert_str_eq(values.bind[0].name, "INTERNAL");
    ck_assert_str_eq(values.bind[0].host, "::1");
    ck_assert_str_eq(values.bind[0].advertised_host, "in");
    ck_assert_int_eq(values.bind[1].advertised_port, 4);
    ck_assert_ptr_null(values.bind[2].advertised_host);
    ck_assert_uint_eq(values.inter_broker, 0);
    ck_assert_uint_eq(load("listeners=nonsense\n"), 2);
    ck_assert(is_told("must be NAME://host:port"));
    load("listeners=A://h:1\n");
    ck_assert(is_told("A has no protocol"));
    load("listeners=PLAINTEXT://0.0.0.0:1\n");
    ck_assert(is_told("clients cannot connect to 0.0.0.0"));
    load("listeners=PLAINTEXT://h:1,PLAINTEXT://h:2\n");
    ck_assert(is_told("not PLAINTEXT twice"));
    load("listeners=PLAINTEXT://h:1\nadvertised.listeners=OTHER://h:1\n");
    ck_assert(is_told("OTHER is not among the listeners"));
    load("inter.broker.listener.name=NOBODY\n");
    ck_assert(is_told("NOBODY must be among"));
}
END_TEST

START_TEST(what_protects_is_never_ignored)
{
    static const char *const lines[] = {
        "authorizer.class.name=kafka.security.authorizer.AclAuthorizer\n",
        "zookeeper.set.acl=true\n",
        "zookeeper.ssl.client.enable=true\n",
        "process.roles=broker\n",
        "remote.log.storage.system.enable=true\n",
        "zookeeper.metadata.migration.enable=true\n",
        "listeners=PLAINTEXT://h:1,SSL://h:2\n",
        "listeners=PLAINTEXT://h:1,SASL_PLAINTEXT://h:2\n",
        "listener.security.protocol.map=PLAINTEXT:SASL_SSL\n",
    };

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        ck_assert_msg(load(lines[i]) > 0, "%s", lines[i]);
    /* and all of them together */
    ck_assert_uint_ge(load("authorizer.class.name=x\nzookeeper.set.acl=true\nprocess.roles=broker\n"
                           "num.io.threads=0\n"),
                      4);
}
END_TEST

START_TEST(ids_agree)
{
    ck_assert_uint_eq(load("broker.id=3\n"), 0);
    ck_assert_int_eq(values.id, 3);
    ck_assert_uint_eq(load("node.id=4\n"), 0);
    ck_assert_int_eq(values.id, 4);
    ck_assert_uint_eq(load("broker.id=3\nnode.id=4\n"), 1);
    ck_assert_uint_eq(load("broker.id=1001\n"), 1);
    ck_assert_uint_eq(load("broker.id=1001\nbroker.id.generation.enable=false\n"), 0);
    ck_assert_uint_eq(load("broker.id.generation.enable=false\n"), 1);
}
END_TEST

START_TEST(rules_between_settings)
{
    ck_assert_uint_eq(load("replica.fetch.wait.max.ms=700\nreplica.lag.time.max.ms=600\n"), 1);
    ck_assert_uint_eq(load("queued.max.request.bytes=5\n"), 1);
    ck_assert_uint_eq(load("compression.gzip.level=0\n"), 1);
    ck_assert_uint_eq(load("metrics.listener=nowhere\n"), 1);
    ck_assert_uint_eq(load("metrics.listener=127.0.0.1:9392\n"), 0);
    ck_assert_uint_eq(load("zookeeper.connect=\n"), 1);
}
END_TEST

START_TEST(load_gives_nothing_when_anything_is_wrong)
{
    const char *const good[] = { "zookeeper.connect=z:1", "broker.id=5" };
    const char *const bad[] = { "zookeeper.connect=z:1", "num.io.threads=0" };

    ck_assert_int_eq(broker_conf_load(NULL, 2, good, &values, &conf), ERR_OK);
    ck_assert_int_eq(values.id, 5);
    conf_free(&conf);
    ck_assert_int_eq(broker_conf_load(NULL, 2, bad, &values, &conf), ERR_INVALID_CONFIG);
    ck_assert_ptr_null(conf);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("broker_conf");

    tcase_add_checked_fixture(tc, NULL, teardown);
    tcase_add_test(tc, every_key_of_kafka_is_there_as_kafka_has_it);
    tcase_add_test(tc, the_table_is_in_order);
    tcase_add_test(tc, defaults_are_kafkas);
    tcase_add_test(tc, the_finer_unit_wins);
    tcase_add_test(tc, listeners_by_name);
    tcase_add_test(tc, what_protects_is_never_ignored);
    tcase_add_test(tc, ids_agree);
    tcase_add_test(tc, rules_between_settings);
    tcase_add_test(tc, load_gives_nothing_when_anything_is_wrong);
    return unit_run(tc);
}
