/*
 * controller_conf: what must be set, what addresses may look like, which settings become the
 * topics' defaults, that protection which is not built refuses the start, and who is warned of.
 */
#include "controller/tables/controller_conf.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h" /* unit_run */

static struct controller_conf values;
static struct conf *conf;

/* Settings over those that suffice. */
static enum err load(const char *one, const char *two)
{
    const char *overrides[] = { "controller.id=3001", "controller.listener=h1:9190",
                                "zookeeper.connect=z1:2181/kafka", one, two };

    size_t n = one == NULL ? 3 : two == NULL ? 4 : 5;

    return controller_conf_load(NULL, n, overrides, &values, &conf);
}

START_TEST(three_settings_suffice)
{
    ck_assert_int_eq(load(NULL, NULL), ERR_OK);
    ck_assert_int_eq(values.controller_id, 3001);
    ck_assert_str_eq(values.host, "h1");
    ck_assert_int_eq(values.port, 9190);
    ck_assert_ptr_null(values.metrics_host);
    ck_assert_int_eq(values.zookeeper_session_timeout_ms, 18000);
    ck_assert_int_eq(values.grace_ms, 18000);
    ck_assert_int_eq(values.default_replication_factor, 1);
    ck_assert_uint_eq(values.n_topic_defaults, 0);
    conf_free(&conf);
    for (int i = 0; i < 3; i++) {
        const char *two[] = { i == 0 ? "zookeeper.connect=z" : "controller.id=1",
                              i == 2 ? "zookeeper.connect=z" : "controller.listener=h:1" };

        ck_assert_int_eq(controller_conf_load(NULL, 2, two, &values, &conf), ERR_INVALID_CONFIG);
        ck_assert_ptr_null(conf);
    }
}
END_TEST

START_TEST(addresses_are_hosts_and_ports)
{
    static const char *const bad[] = {
        "controller.listener=h1",     "controller.listener=h1:x",
        "controller.listener=:9190",  "controller.listener=h1:70000",
        "controller.listener=::1:9",  "controller.listener=0.0.0.0:9",
        "controller.listener=[::]:9", "metrics.listener=nowhere",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(load(bad[i], NULL) == ERR_INVALID_CONFIG, "%s passed", bad[i]);
    ck_assert_int_eq(load("controller.listener=CONTROLLER://[::1]:9", "metrics.listener=m:1"),
                     ERR_OK);
    ck_assert_str_eq(values.host, "::1");
    ck_assert_str_eq(values.metrics_host, "m");
    ck_assert_int_eq(values.metrics_port, 1);
    conf_free(&conf);
}
END_TEST

START_TEST(what_is_set_for_topics_becomes_their_default)
{
    ck_assert_int_eq(load("min.insync.replicas=2", "log.retention.hours=5"), ERR_OK);
    ck_assert_uint_eq(values.n_topic_defaults, 2);
    for (size_t i = 0; i < 2; i++) {
        struct str key = values.topic_defaults[i].key;

        ck_assert(
            str_is(values.topic_defaults[i].value, str_is(key, "min.insync.replicas") ? "2" : "5"));
    }
    conf_free(&conf);
    ck_assert_int_eq(load("min.insync.replicas=0", NULL), ERR_INVALID_CONFIG);
}
END_TEST

START_TEST(protection_that_is_not_built_refuses_the_start)
{
    static const char *const refused[] = { "zookeeper.set.acl=true",
                                           "zookeeper.ssl.client.enable=true",
                                           "zookeeper.metadata.migration.enable=true",
                                           "process.roles=controller" };

    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        ck_assert_msg(load(refused[i], NULL) == ERR_INVALID_CONFIG, "%s passed", refused[i]);
    ck_assert_int_eq(load("zookeeper.set.acl=false", NULL), ERR_OK);
    conf_free(&conf);
}
END_TEST

START_TEST(brokers_keys_pass_silently_and_unknown_ones_do_not)
{
    ck_assert_int_eq(load("num.io.threads=3", "listeners=PLAINTEXT://h:9092"), ERR_OK);
    ck_assert_uint_eq(conf_n_warnings(conf), 0);
    conf_free(&conf);
    ck_assert_int_eq(load("controler.id=3", NULL), ERR_OK);
    ck_assert_uint_eq(conf_n_warnings(conf), 1);
    ck_assert_ptr_nonnull(strstr(conf_warning_at(conf, 0), "controler.id"));
    conf_free(&conf);
}
END_TEST

START_TEST(a_heartbeat_may_be_missed_once)
{
    ck_assert_int_eq(load("controller.heartbeat.interval.ms=600", NULL), ERR_INVALID_CONFIG);
    ck_assert_int_eq(load("controller.heartbeat.interval.ms=500", "controller.grace.ms=0"), ERR_OK);
    ck_assert_int_eq(values.grace_ms, 0);
    conf_free(&conf);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("controller_conf");

    tcase_add_test(tc, three_settings_suffice);
    tcase_add_test(tc, addresses_are_hosts_and_ports);
    tcase_add_test(tc, what_is_set_for_topics_becomes_their_default);
    tcase_add_test(tc, protection_that_is_not_built_refuses_the_start);
    tcase_add_test(tc, brokers_keys_pass_silently_and_unknown_ones_do_not);
    tcase_add_test(tc, a_heartbeat_may_be_missed_once);
    return unit_run(tc);
}
