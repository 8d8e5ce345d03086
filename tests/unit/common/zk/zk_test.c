/*
 * zk and its fake: calls answer once and in order, multis are all or nothing, watches fire once,
 * sessions end cleanly with all that was open, closing ends everything wherever it is called from.
 */
#include "common/zk/zk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;

static void set_up(void)
{
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    zk = fake_zk_open(fake, &mailbox);
    mailbox_run(&mailbox);
}

static void tear_down(void)
{
    zk_close(&zk);
    mailbox_run(&mailbox);
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

struct result {
    int calls;
    enum err err, part[4];
    struct zk_stat stat;
    char data[64];
    size_t n_children;
};

static void note(void *arg, const struct zk_answer *answer)
{
    struct result *result = arg;

    result->calls++;
    result->err = answer->err;
    result->stat = answer->stat;
    result->n_children = answer->n_children;
    snprintf(result->data, sizeof result->data, "%.*s",
             STR_ARG(str_is_null(answer->data) ? answer->path : answer->data));
    for (size_t i = 0; i < answer->n_results && i < ARRAY_LEN(result->part); i++)
        result->part[i] = answer->results[i].err;
}

START_TEST(a_call_is_answered_from_the_mailbox)
{
    struct result created = { 0 }, got = { 0 }, missing = { 0 };

    zk_create(zk, "/a", STR("one"), ZK_PERSISTENT, note, &created);
    zk_get(zk, "/a", false, note, &got);
    zk_get(zk, "/b", false, note, &missing);
    ck_assert_int_eq(created.calls + got.calls, 0);
    mailbox_run(&mailbox);
    ck_assert_int_eq(created.err, ERR_OK);
    ck_assert_str_eq(got.data, "one");
    ck_assert_int_eq(missing.err, ERR_NOT_FOUND);
    ck_assert_int_eq(created.calls + got.calls + missing.calls, 3);
}
END_TEST

START_TEST(a_multi_is_all_or_nothing)
{
    struct result bad = { 0 }, good = { 0 };
    struct zk_op ops[] = {
        zk_op_create("/a", STR("x"), ZK_PERSISTENT),
        zk_op_create("/a/b", STR_NULL, ZK_EPHEMERAL),
        zk_op_set("/a", STR("y"), 7),
    };

    zk_multi(zk, ops, 3, note, &bad);
    mailbox_run(&mailbox);
    ck_assert_int_eq(bad.err, ERR_BAD_VERSION);
    ck_assert_int_eq(bad.part[2], ERR_BAD_VERSION);
    ck_assert_int_eq(bad.part[0], ERR_OPERATION_NOT_ATTEMPTED);
    ck_assert_ptr_null(fake_zk_data(fake, "/a"));
    ops[2].version = 0;
    zk_multi(zk, ops, 3, note, &good);
    mailbox_run(&mailbox);
    ck_assert_int_eq(good.err, ERR_OK);
    ck_assert_str_eq(fake_zk_data(fake, "/a"), "y");
    ck_assert_int_eq((int)fake_zk_writes(fake), 1);
}
END_TEST

START_TEST(a_path_is_created_with_all_above_it)
{
    struct result made = { 0 }, again = { 0 };

    fake_zk_put(fake, "/a", NULL);
    zk_create_path(zk, "/a/b/c/d", note, &made);
    mailbox_run(&mailbox);
    while (made.calls == 0)
        mailbox_run(&mailbox);
    ck_assert_int_eq(made.err, ERR_OK);
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/a/b/c/d"));
    zk_create_path(zk, "/a/b/c/d", note, &again);
    while (again.calls == 0)
        mailbox_run(&mailbox);
    ck_assert_int_eq(again.err, ERR_OK);
}
END_TEST

START_TEST(too_large_is_not_sent)
{
    struct result result = { 0 };
    char *big = xcalloc(1, ZK_REQUEST_BYTES_MAX + 1);

    memset(big, 'x', ZK_REQUEST_BYTES_MAX);
    zk_create(zk, "/big", str_of(big), ZK_PERSISTENT, note, &result);
    mailbox_run(&mailbox);
    ck_assert_int_eq(result.err, ERR_TOO_LARGE);
    ck_assert_ptr_null(fake_zk_data(fake, "/big"));
    free(big);
}
END_TEST

struct ear {
    struct zk_listener listener;
    int connected, suspended, expired, nodes;
    char path[64];
    enum zk_event event;
    struct zk **close; /* close it when something is heard */
};

static void hear_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct ear *ear = container_of(listener, struct ear, listener);

    ear->connected += session->state == ZK_CONNECTED;
    ear->suspended += session->state == ZK_SUSPENDED;
    ear->expired += session->state == ZK_EXPIRED;
}

static void hear_node(struct zk_listener *listener, struct str path, enum zk_event event)
{
    struct ear *ear = container_of(listener, struct ear, listener);

    ear->nodes++;
    ear->event = event;
    snprintf(ear->path, sizeof ear->path, "%.*s", STR_ARG(path));
    if (ear->close != NULL)
        zk_close(ear->close);
}

static struct ear ear_new(void)
{
    return (struct ear){ .listener = { .on_session = hear_session, .on_node = hear_node } };
}

START_TEST(a_watch_fires_once)
{
    struct ear ear = ear_new();
    struct result result = { 0 };

    zk_listen(zk, &ear.listener);
    zk_exists(zk, "/a", true, note, &result);
    fake_zk_put(fake, "/a", "1");
    fake_zk_put(fake, "/a", "2");
    mailbox_run(&mailbox);
    ck_assert_int_eq(ear.nodes, 1);
    ck_assert_int_eq(ear.event, ZK_NODE_CREATED);
    ck_assert_str_eq(ear.path, "/a");
    zk_unlisten(zk, &ear.listener);
}
END_TEST

START_TEST(what_waits_for_a_connection_is_sent_when_it_is_back)
{
    struct ear ear = ear_new();
    struct result result = { 0 };

    zk_listen(zk, &ear.listener);
    fake_zk_suspend(zk);
    zk_create(zk, "/a", STR_NULL, ZK_EPHEMERAL, note, &result);
    mailbox_run(&mailbox);
    ck_assert_int_eq(result.calls, 0);
    ck_assert_int_eq(ear.suspended, 1);
    fake_zk_resume(zk);
    mailbox_run(&mailbox);
    ck_assert_int_eq(result.err, ERR_OK);
    ck_assert_int_eq(ear.connected, 1);
    zk_unlisten(zk, &ear.listener);
}
END_TEST

START_TEST(an_expiry_ends_what_is_open_before_it_is_told)
{
    struct ear ear = ear_new();
    struct result result = { 0 }, late = { 0 };
    int64_t id = zk_session(zk)->id;

    zk_listen(zk, &ear.listener);
    zk_create(zk, "/mine", STR_NULL, ZK_EPHEMERAL, NULL, NULL);
    mailbox_run(&mailbox);
    ck_assert(fake_zk_owner(fake, "/mine") == id);
    fake_zk_hold(zk);
    zk_create(zk, "/a", STR_NULL, ZK_PERSISTENT, note, &result);
    fake_zk_expire(zk);
    fake_zk_release(zk);
    zk_get(zk, "/a", false, note, &late); /* made before the expiry was heard of */
    fake_zk_resume(zk);
    mailbox_run(&mailbox);
    ck_assert_int_eq(result.err, ERR_SESSION_EXPIRED);
    ck_assert_int_eq(late.err, ERR_SESSION_EXPIRED);
    ck_assert_int_eq(ear.expired, 1);
    ck_assert_int_eq(ear.connected, 1);
    ck_assert_ptr_null(fake_zk_data(fake, "/mine"));
    ck_assert(zk_session(zk)->id != id);
    zk_unlisten(zk, &ear.listener);
}
END_TEST

START_TEST(closing_ends_every_call_once)
{
    struct result waiting = { 0 }, delivered = { 0 };

    zk_get(zk, "/", false, note, &delivered); /* answered, not heard yet */
    fake_zk_suspend(zk);
    zk_get(zk, "/", false, note, &waiting);
    zk_create_path(zk, "/a/b/c", note, &waiting);
    zk_close(&zk);
    ck_assert_ptr_null(zk);
    ck_assert_int_eq(waiting.calls, 2);
    ck_assert_int_eq(waiting.err, ERR_CLOSED);
    ck_assert_int_eq(delivered.err, ERR_CLOSED);
    mailbox_run(&mailbox);
    ck_assert_int_eq(waiting.calls, 2);
}
END_TEST

START_TEST(closing_is_fine_inside_a_callback)
{
    struct ear ear = ear_new();
    struct result after = { 0 };

    ear.close = &zk;
    zk_listen(zk, &ear.listener);
    zk_exists(zk, "/a", true, NULL, NULL);
    mailbox_run(&mailbox);
    fake_zk_put(fake, "/a", NULL);
    zk_get(zk, "/a", false, note, &after);
    mailbox_run(&mailbox);
    ck_assert_ptr_null(zk);
    ck_assert_int_eq(after.err, ERR_CLOSED);
    ck_assert_int_eq(ear.nodes, 1);
}
END_TEST

START_TEST(a_lost_write_may_have_been_done)
{
    struct result done = { 0 }, not_done = { 0 };

    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    zk_create(zk, "/a", STR_NULL, ZK_PERSISTENT, note, &done);
    fake_zk_lose_write(zk, 0, FAKE_LOSS_NOT_APPLIED);
    zk_create(zk, "/b", STR_NULL, ZK_PERSISTENT, note, &not_done);
    mailbox_run(&mailbox);
    ck_assert_int_eq(done.err, ERR_CONNECTION_LOSS);
    ck_assert_int_eq(not_done.err, ERR_CONNECTION_LOSS);
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/a"));
    ck_assert_ptr_null(fake_zk_data(fake, "/b"));
}
END_TEST

START_TEST(servers_that_cannot_be_right_are_refused)
{
    static const char *const bad[] = { "", ",", "h:1,", "h:1,,h:2", "/chroot", "h:1//a", "h :1" };
    struct zk *real;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct zk_options options = { .servers = bad[i],
                                      .session_timeout_ms = 1000,
                                      .mailbox = &mailbox };

        ck_assert_int_eq(zk_open(&options, &real), ERR_INVALID_CONFIG);
        ck_assert_ptr_null(real);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_call_is_answered_from_the_mailbox);
    tcase_add_test(tc, a_multi_is_all_or_nothing);
    tcase_add_test(tc, a_path_is_created_with_all_above_it);
    tcase_add_test(tc, too_large_is_not_sent);
    tcase_add_test(tc, a_watch_fires_once);
    tcase_add_test(tc, what_waits_for_a_connection_is_sent_when_it_is_back);
    tcase_add_test(tc, an_expiry_ends_what_is_open_before_it_is_told);
    tcase_add_test(tc, closing_ends_every_call_once);
    tcase_add_test(tc, closing_is_fine_inside_a_callback);
    tcase_add_test(tc, a_lost_write_may_have_been_done);
    tcase_add_test(tc, servers_that_cannot_be_right_are_refused);
    return unit_run(tc);
}
