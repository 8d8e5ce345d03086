/*
 * zk_enroll: a broker registers as Kafka's do, again after an expiry with a new epoch, recognises
 * its own traces and respects those of others.
 */
#include "common/zk/zk_enroll.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/zk/zk_tree.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct zk_enroll *enroll;

static struct {
    int enrolled, gone, failed, ids;
    int64_t epoch, session;
    enum err err;
    char text[200], cluster_id[32];
    bool foreign;
} got;

static bool on_cluster_id(void *arg, struct str id)
{
    (void)arg;
    got.ids++;
    snprintf(got.cluster_id, sizeof got.cluster_id, "%.*s", STR_ARG(id));
    return !got.foreign;
}

static void on_enrolled(void *arg, int64_t epoch, const struct zk_session *session)
{
    (void)arg;
    got.enrolled++;
    got.epoch = epoch;
    got.session = session->id;
}

static void on_gone(void *arg)
{
    (void)arg;
    got.gone++;
}

static void on_failed(void *arg, enum err err, const char *text)
{
    (void)arg;
    got.failed++;
    got.err = err;
    snprintf(got.text, sizeof got.text, "%s", text);
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void start(void)
{
    static const struct endpoint endpoint = { STR("PLAINTEXT"), STR("PLAINTEXT"), STR("h1"), 9092,
                                              false };
    struct node node = { .id = 1, .rack = STR("r1"), .n_endpoints = 1, .endpoints = &endpoint };
    struct zk_enroll_hooks hooks = { on_cluster_id, on_enrolled, on_gone, on_failed };

    enroll = zk_enroll_new(zk, &node, "0.1.0", &hooks, NULL);
    run();
}

static void set_up(void)
{
    memset(&got, 0, sizeof got);
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    zk = fake_zk_open(fake, &mailbox);
}

static void tear_down(void)
{
    zk_enroll_free(&enroll);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

START_TEST(a_first_broker_makes_the_cluster)
{
    start();
    ck_assert_int_eq(got.enrolled, 1);
    ck_assert(got.epoch == fake_zk_czxid(fake, "/brokers/ids/1"));
    ck_assert(zk_enroll_epoch(enroll) == got.epoch);
    ck_assert_int_eq(fake_zk_version(fake, "/brokers/ids/1"), 1); /* as Kafka's */
    ck_assert(fake_zk_owner(fake, "/brokers/ids/1") == got.session);
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/brokers/ids/1"),
                                 "\"rack\":\"r1\",\"jmx_port\":-1,\"port\":9092,\"host\":\"h1\","
                                 "\"version\":5"));
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/brokers/ids/1"), ",\"moldau\":\"0.1.0\"}"));
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/cluster/id"), got.cluster_id));
    for (const char *const *path = zk_tree_start_paths; *path != NULL; path++)
        ck_assert_ptr_nonnull(fake_zk_data(fake, *path));
}
END_TEST

START_TEST(after_an_expiry_it_registers_with_a_new_epoch)
{
    int64_t first;

    start();
    first = got.epoch;
    fake_zk_expire(zk);
    run();
    ck_assert_int_eq(got.gone, 1);
    ck_assert(zk_enroll_epoch(enroll) == -1);
    fake_zk_resume(zk);
    run();
    ck_assert_int_eq(got.enrolled, 2);
    ck_assert(got.epoch > first);
}
END_TEST

START_TEST(a_lost_answer_is_our_own)
{
    start();
    fake_zk_expire(zk);
    fake_zk_resume(zk);
    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    run();
    ck_assert_int_eq(got.enrolled, 2);
    ck_assert(got.epoch == fake_zk_czxid(fake, "/brokers/ids/1"));
    ck_assert_int_eq(got.failed, 0);
}
END_TEST

START_TEST(another_with_our_id_is_respected)
{
    fake_zk_put(fake, "/brokers/ids/1", "{\"version\":5}");
    start();
    ck_assert_int_eq(got.enrolled, 0);
    ck_assert_int_eq(got.err, ERR_DUPLICATE_BROKER_REGISTRATION);
    fake_zk_drop(fake, "/brokers/ids/1");
    zk_enroll_again(enroll);
    run();
    ck_assert_int_eq(got.enrolled, 1);
}
END_TEST

START_TEST(another_with_our_endpoint_is_respected)
{
    fake_zk_put(fake, "/brokers/ids/7",
                "{\"version\":5,\"endpoints\":[\"A://h2:9092\",\"B://h1:9092\"],"
                "\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\",\"B\":\"SSL\"}}");
    start();
    ck_assert_int_eq(got.failed, 1);
    ck_assert_ptr_nonnull(strstr(got.text, "broker=7 endpoint=h1:9092"));
    ck_assert_ptr_null(fake_zk_data(fake, "/brokers/ids/1"));
}
END_TEST

START_TEST(another_cluster_is_left_alone)
{
    got.foreign = true;
    fake_zk_put(fake, "/cluster/id", "{\"version\":\"1\",\"id\":\"4ZrT5R2hTGC0Q9e8mB1x3w\"}");
    start();
    ck_assert_str_eq(got.cluster_id, "4ZrT5R2hTGC0Q9e8mB1x3w");
    ck_assert_int_eq(got.enrolled, 0);
    ck_assert_ptr_null(fake_zk_data(fake, "/brokers/ids/1"));
}
END_TEST

START_TEST(freed_on_its_way_it_is_silent)
{
    struct zk_enroll_hooks hooks = { on_cluster_id, on_enrolled, on_gone, on_failed };
    struct node node = { .id = 1 };

    mailbox_run(&mailbox); /* connected */
    enroll = zk_enroll_new(zk, &node, "0.1.0", &hooks, NULL);
    mailbox_run(&mailbox);
    zk_enroll_free(&enroll);
    run();
    ck_assert_int_eq(got.enrolled, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_enroll");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_first_broker_makes_the_cluster);
    tcase_add_test(tc, after_an_expiry_it_registers_with_a_new_epoch);
    tcase_add_test(tc, a_lost_answer_is_our_own);
    tcase_add_test(tc, another_with_our_id_is_respected);
    tcase_add_test(tc, another_with_our_endpoint_is_respected);
    tcase_add_test(tc, another_cluster_is_left_alone);
    tcase_add_test(tc, freed_on_its_way_it_is_silent);
    return unit_run(tc);
}
