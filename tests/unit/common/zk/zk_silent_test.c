/*
 * zk and servers that are silent: they are left for others within a second or two, whatever the
 * session's time-out, and the session lives on. Against servers of our own, over the real library.
 */
#include <arpa/inet.h>
#include <check.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/thread.h"
#include "common/zk/zk.h"
#include "common/zk/zk_lib_int.h"
#include "tests/kit/unit.h"
#include "tests/kit/zk_double.h"

#define SESSION_MS 60000 /* the library leaves a silent server after 40 s */
#define SOON_MS    20000 /* a second or two, on a machine that has much else to do */
#define CLIENTS    8

static struct zk_double *twins[2];
static struct mailbox mailbox;
static char servers[64];
static bool watchful;

static struct ear {
    struct zk_listener listener;
    int connected, fresh, suspended, expired, changed;
} ears[CLIENTS];
static struct zk *zks[CLIENTS];

static void hear_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct ear *ear = container_of(listener, struct ear, listener);

    ear->connected += session->state == ZK_CONNECTED;
    ear->fresh += session->state == ZK_CONNECTED && session->is_new;
    ear->suspended += session->state == ZK_SUSPENDED;
    ear->expired += session->state == ZK_EXPIRED;
}

static void hear_node(struct zk_listener *listener, struct str path, enum zk_event event)
{
    struct ear *ear = container_of(listener, struct ear, listener);

    ear->changed += str_is(path, "/watched") && event == ZK_NODE_CHANGED;
}

static void set_up(void)
{
    mailbox_init(&mailbox);
    memset(ears, 0, sizeof ears);
    watchful = false;
    twins[0] = zk_double_start();
    twins[1] = zk_double_start();
    snprintf(servers, sizeof servers, "127.0.0.1:%d,127.0.0.1:%d", zk_double_port(twins[0]),
             zk_double_port(twins[1]));
}

static void open_one(int i)
{
    struct zk_options options = { .servers = servers,
                                  .session_timeout_ms = SESSION_MS,
                                  .mailbox = &mailbox,
                                  .watchful = watchful };

    ck_assert_int_eq(zk_open(&options, &zks[i]), ERR_OK);
    ears[i].listener.on_session = hear_session;
    ears[i].listener.on_node = hear_node;
    zk_listen(zks[i], &ears[i].listener);
}

static void tear_down(void)
{
    for (int i = 0; i < CLIENTS; i++)
        zk_close(&zks[i]);
    while (mailbox_run(&mailbox) > 0) {
    }
    zk_double_stop(&twins[0]);
    zk_double_stop(&twins[1]);
    mailbox_fini(&mailbox);
}

/* Runs the mailbox until it is so, which has to be soon. */
#define soon(condition)                                                                            \
    do {                                                                                           \
        int64_t end_ms = clock_mono_ms() + SOON_MS;                                                \
        while (!(condition)) {                                                                     \
            ck_assert_msg(clock_mono_ms() < end_ms, "waited in vain: %s", #condition);             \
            mailbox_wait(&mailbox, 20);                                                            \
        }                                                                                          \
    } while (0)

static bool all_connected(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (ears[i].connected == 0)
            return false;
    }
    return true;
}

/* The one that has let the first client in. */
static int server_of_first(void)
{
    int64_t session;

    soon(ears[0].connected == 1);
    return zk_double_let_in(twins[0], &session) > 0 ? 0 : 1;
}

static void note(void *arg, const struct zk_answer *answer)
{
    *(enum err *)arg = answer->err;
}

START_TEST(who_connects_leaves_a_silent_server_for_the_next)
{
    zk_double_mute(twins[0], true);
    for (int i = 0; i < CLIENTS; i++) /* some of them meet the silent one first */
        open_one(i);
    soon(all_connected());
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(ears[i].fresh, 1);
}
END_TEST

START_TEST(who_reconnects_leaves_a_silent_server_with_the_session)
{
    enum err absent = ERR_OK;
    int64_t id, session;
    int home;

    open_one(0);
    home = server_of_first();
    id = zk_session(zks[0])->id;
    zk_exists(zks[0], "/watched", true, note, &absent);
    soon(absent == ERR_NOT_FOUND);
    zk_double_mute(twins[1 - home], true);
    zk_double_hang_up(twins[home]);
    soon(ears[0].connected == 2);
    ck_assert_int_eq(ears[0].fresh, 1);
    ck_assert_int_eq(ears[0].expired, 0);
    ck_assert_int_eq(zk_double_let_in(twins[home], &session), 2);
    ck_assert(session == id);
    ck_assert(zk_session(zks[0])->id == id);
    soon(ears[0].changed == 1); /* the watch is not known there */
}
END_TEST

START_TEST(who_waits_for_an_answer_leaves_a_silent_server_with_the_session)
{
    enum err asked = ERR_OK, again = ERR_OK;
    int64_t id, session;
    int home;

    open_one(0);
    home = server_of_first();
    id = zk_session(zks[0])->id;
    zk_double_mute(twins[home], true);
    zk_exists(zks[0], "/a", false, note, &asked);
    soon(asked == ERR_CONNECTION_LOSS);
    zk_exists(zks[0], "/a", false, note, &again);
    soon(again == ERR_NOT_FOUND);
    ck_assert_int_eq(zk_double_let_in(twins[1 - home], &session), 1);
    ck_assert(session == id);
    ck_assert_int_eq(ears[0].fresh, 1);
    ck_assert_int_eq(ears[0].expired, 0);
    ck_assert_uint_eq(zk_double_closed(twins[0]) + zk_double_closed(twins[1]), 0);
}
END_TEST

/* A standby that has to act does not begin by finding out that nobody hears it. */
START_TEST(who_is_watchful_leaves_a_silent_server_before_anything_is_asked)
{
    int64_t id, session;
    int home;

    watchful = true;
    open_one(0);
    home = server_of_first();
    id = zk_session(zks[0])->id;
    zk_double_mute(twins[home], true);
    soon(ears[0].connected == 2);
    ck_assert_int_eq(zk_double_let_in(twins[1 - home], &session), 1);
    ck_assert(session == id);
    ck_assert_int_eq(ears[0].fresh, 1);
}
END_TEST

/* The library's own state, which is ahead of what it tells. */
static atomic_bool is_ahead;

/* In front of the library's. */
int zoo_state(zhandle_t *handle)
{
    int (*of_library)(zhandle_t *) = (int (*)(zhandle_t *))dlsym(RTLD_NEXT, "zoo_state");

    return atomic_load(&is_ahead) ? ZOO_CONNECTING_STATE : of_library(handle);
}

/* The handle is left before its word has come that the connection is lost. */
START_TEST(who_moves_on_is_told_that_the_connection_is_lost)
{
    int home;

    watchful = true;
    open_one(0);
    home = server_of_first();
    zk_double_mute(twins[home], true);
    atomic_store(&is_ahead, true);
    soon(ears[0].connected == 2);
    atomic_store(&is_ahead, false);
    ck_assert_int_eq(ears[0].fresh, 1);
    ck_assert_int_eq(ears[0].suspended, 1);
    ck_assert_int_eq(ears[0].expired, 0);
}
END_TEST

/* Slower than who is given up at first: from then on they are waited for. */
START_TEST(servers_that_are_slow_are_given_more_time)
{
    enum err asked = ERR_CONNECTION_LOSS;

    zk_double_slow(twins[0], 1500);
    zk_double_slow(twins[1], 1500);
    open_one(0);
    soon(ears[0].connected == 1);
    for (int tries = 0; asked == ERR_CONNECTION_LOSS; tries++) {
        ck_assert_int_lt(tries, 4);
        asked = ERR_OK;
        zk_exists(zks[0], "/a", false, note, &asked);
        soon(asked != ERR_OK);
    }
    ck_assert_int_eq(asked, ERR_NOT_FOUND);
    ck_assert_int_eq(ears[0].expired, 0);
    zk_double_slow(twins[0], 0);
    zk_double_slow(twins[1], 0);
}
END_TEST

START_TEST(the_only_server_is_given_more_time)
{
    enum err asked = ERR_OK;
    int64_t resume_ms;

    *strchr(servers, ',') = '\0';
    watchful = true;
    open_one(0);
    soon(ears[0].connected == 1);
    zk_double_mute(twins[0], true);
    zk_exists(zks[0], "/a", false, note, &asked);
    for (resume_ms = clock_mono_ms() + 2000; clock_mono_ms() < resume_ms;)
        mailbox_wait(&mailbox, 20);
    zk_double_mute(twins[0], false);
    soon(asked != ERR_OK);
    ck_assert_int_eq(asked, ERR_NOT_FOUND);
    ck_assert_int_eq(ears[0].connected, 1);
}
END_TEST

/* How long a call waits until it fails that is made when the server has been silent for 3 s: of the
 * 4 s that the only server is given, or 5 where the question of who is watchful came last, that
 * leaves 1 or 2. */
static int64_t late_call_ms(int i)
{
    enum err asked = ERR_OK;
    int64_t call_ms;

    open_one(i);
    soon(ears[i].connected == 1);
    zk_double_mute(twins[0], true);
    for (call_ms = clock_mono_ms() + 3000; clock_mono_ms() < call_ms;)
        mailbox_wait(&mailbox, 20);
    call_ms = clock_mono_ms();
    zk_exists(zks[i], "/a", false, note, &asked);
    soon(asked != ERR_OK);
    ck_assert_int_eq(asked, ERR_CONNECTION_LOSS);
    call_ms = clock_mono_ms() - call_ms;
    zk_double_mute(twins[0], false);
    zk_close(&zks[i]);
    return call_ms;
}

/* Tried more than once, for a machine that holds us up has the wait begin anew. */
START_TEST(a_call_does_not_prolong_the_wait_for_a_silent_server)
{
    int64_t took_ms = INT64_MAX;

    *strchr(servers, ',') = '\0';
    watchful = true;
    for (int tries = 0; tries < 3 && took_ms >= 3500; tries++)
        took_ms = late_call_ms(tries);
    ck_assert_int_lt(took_ms, 3500);
}
END_TEST

/* A start that takes an earlier session for closed meets its registration, for as long as the
 * session lives. */
START_TEST(a_session_is_closed_only_when_a_server_knows_it_no_more)
{
    static const uint8_t password[16];
    char *one = xasprintf("127.0.0.1:%d", zk_double_port(twins[0]));

    zk_double_lose_close(twins[0]);
    ck_assert_int_eq(zk_close_session(one, 77, password, SOON_MS, NULL), ERR_OK);
    ck_assert_uint_eq(zk_double_closed(twins[0]), 1);
    ck_assert_int_eq(zk_close_session(one, 77, password, SOON_MS, NULL), ERR_OK); /* gone already */
    ck_assert_uint_eq(zk_double_closed(twins[0]), 1);
    zk_double_mute(twins[0], true);
    ck_assert_int_eq(zk_close_session(one, 78, password, 500, NULL), ERR_TIMED_OUT);
    free(one);
}
END_TEST

/* A server that is silent, on a port of its own. */
struct ambush {
    int fd;
    atomic_bool met; /* somebody waits for it */
};

static void meet(void *arg)
{
    struct ambush *ambush = arg;
    int fd = accept(ambush->fd, NULL, NULL);

    ck_assert_int_ge(fd, 0);
    atomic_store(&ambush->met, true);
}

/* A stop does not wait for the session of a process before. */
START_TEST(who_closes_a_session_is_let_go)
{
    static const uint8_t password[16];
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    struct ambush ambush = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    struct thread thread = { 0 };
    char *one;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(ambush.fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(ambush.fd, 1), 0);
    ck_assert_int_eq(getsockname(ambush.fd, (struct sockaddr *)&address, &len), 0);
    one = xasprintf("127.0.0.1:%d", ntohs(address.sin_port));
    thread_start(&thread, T_ANY, -1, meet, &ambush);
    ck_assert_int_eq(zk_close_session(one, 77, password, 10 * SOON_MS, &ambush.met),
                     ERR_SHUTTING_DOWN);
    thread_join(&thread);
    close(ambush.fd);
    free(one);
}
END_TEST

START_TEST(the_list_of_servers_is_turned)
{
    static const struct {
        const char *servers;
        unsigned by;
        const char *turned;
    } all[] = { { "a:1", 0, "a:1" },
                { "a:1", 5, "a:1" },
                { "a:1,b:2,c:3", 0, "a:1,b:2,c:3" },
                { "a:1,b:2,c:3", 1, "b:2,c:3,a:1" },
                { "a:1,b:2,c:3/root/x", 2, "c:3,a:1,b:2/root/x" },
                { "a:1,b:2/x,y", 3, "b:2,a:1/x,y" } };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char *turned = zk_lib_turn(all[i].servers, all[i].by);

        ck_assert_str_eq(turned, all[i].turned);
        free(turned);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("silent");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, who_connects_leaves_a_silent_server_for_the_next);
    tcase_add_test(tc, who_reconnects_leaves_a_silent_server_with_the_session);
    tcase_add_test(tc, who_waits_for_an_answer_leaves_a_silent_server_with_the_session);
    tcase_add_test(tc, who_is_watchful_leaves_a_silent_server_before_anything_is_asked);
    tcase_add_test(tc, who_moves_on_is_told_that_the_connection_is_lost);
    tcase_add_test(tc, servers_that_are_slow_are_given_more_time);
    tcase_add_test(tc, the_only_server_is_given_more_time);
    tcase_add_test(tc, a_call_does_not_prolong_the_wait_for_a_silent_server);
    tcase_add_test(tc, a_session_is_closed_only_when_a_server_knows_it_no_more);
    tcase_add_test(tc, who_closes_a_session_is_let_go);
    tcase_add_test(tc, the_list_of_servers_is_turned);
    return unit_run_within(tc, 120);
}
