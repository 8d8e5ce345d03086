/*
 * enroll: who stands in the way of a registration is left alone when he answers, and is out of the
 * way at once when he does not and his session can be ended.
 */
#include "broker/control/enroll.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/io/net.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/names.h"
#include "tests/kit/unit.h"

#define REGISTERED "/brokers/ids/1"
#define READS      6  /* more than it takes to hear of him */
#define TURNS      20 /* until it is known that somebody stands in the way */

static struct reactor *reactor;
static struct names *names;
static struct resolver *resolver;
static struct fake_zk *fake;
static struct zk *zk, *earlier;
static struct enroll *enroll;
static struct net_listener *door;
static int64_t now_us;
static int port;
static struct {
    int registered, refused, standing;
    bool ends; /* the earlier session can be ended */
} told;

static int64_t clock_us(void *arg)
{
    (void)arg;
    return now_us;
}

static void run_ms(int64_t ms)
{
    int64_t end_us = now_us + ms * 1000;

    for (; now_us <= end_us; now_us += 1000) {
        for (int i = 0; i < 20; i++)
            reactor_turn(reactor, false);
    }
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    (void)arg;
    close(accepted->fd);
}

static void on_cluster_id(void *ctx, const char *cluster_id)
{
    (void)ctx;
    (void)cluster_id;
}

static void on_registered(void *ctx, int64_t broker_epoch)
{
    (void)ctx;
    (void)broker_epoch;
    told.registered++;
}

static void on_refused(void *ctx, const char *why)
{
    (void)ctx;
    ck_assert_ptr_nonnull(strstr(why, "answers on its endpoint"));
    told.refused++;
}

static bool on_standing(void *ctx)
{
    bool ends = told.ends;

    (void)ctx;
    told.standing++;
    told.ends = false;
    if (ends)
        fake_zk_bury(earlier);
    return ends;
}

/* The registration of a process whose session lives. */
static void put_earlier(const char *host)
{
    char data[256];

    snprintf(data, sizeof data,
             "{\"listener_security_protocol_map\":{\"A\":\"PLAINTEXT\"},\"endpoints\":"
             "[\"A://%s:%d\"],\"version\":5,\"moldau\":\"1\"}",
             host, port);
    earlier = fake_zk_open(fake, reactor_mailbox(reactor));
    run_ms(1);
    fake_zk_put(fake, "/brokers/ids", NULL);
    zk_create(earlier, REGISTERED, str_of(data), ZK_EPHEMERAL, NULL, NULL);
    run_ms(1);
    fake_zk_kill(earlier);
}

static void set_up(void)
{
    struct net_addr addr;

    now_us = 1000000;
    memset(&told, 0, sizeof told);
    reactor = reactor_new();
    reactor_set_clock(reactor, clock_us, NULL);
    names = names_new();
    resolver = resolver_new(names_look, names);
    fake = fake_zk_new();
    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(net_listen(reactor, &addr, 0, on_accept, NULL, &door), ERR_OK);
    net_listener_addr(door, &addr);
    port = net_addr_port(&addr);
}

static void begin(void)
{
    static struct endpoint endpoint = { .port = 1 };
    static struct node self = { .id = 1, .n_endpoints = 1, .endpoints = &endpoint };
    struct enroll_conf conf = { .reactor = reactor,
                                .resolver = resolver,
                                .zk = zk = fake_zk_open(fake, reactor_mailbox(reactor)),
                                .self = &self,
                                .software = "1",
                                .on_cluster_id = on_cluster_id,
                                .on_registered = on_registered,
                                .on_refused = on_refused,
                                .on_standing = on_standing };

    endpoint.listener = endpoint.protocol = STR("PLAINTEXT");
    endpoint.host = STR("127.0.0.1");
    enroll = enroll_new(&conf);
    enroll_allow(enroll);
}

static void tear_down(void)
{
    enroll_free(&enroll);
    zk_close(&zk);
    zk_close(&earlier);
    if (door != NULL)
        net_listener_close(&door);
    run_ms(5);
    fake_zk_free(&fake);
    reactor_free(&reactor);
    names_let_go(names, true);
    resolver_free(&resolver);
    names_free(&names);
}

START_TEST(who_answers_is_left_alone)
{
    put_earlier("127.0.0.1");
    told.ends = true;
    begin();
    run_ms(300);
    ck_assert_int_eq(told.refused, 1);
    ck_assert_int_eq(told.standing, 0);
    ck_assert_int_eq(told.registered, 0);
}
END_TEST

/* _i: so many reads later the answer is lost. */
START_TEST(a_lost_read_makes_nobody_dead)
{
    put_earlier("127.0.0.1");
    begin();
    fake_zk_lose_read(zk, (unsigned)_i);
    run_ms(300);
    ck_assert_int_eq(told.standing, 0);
    ck_assert_int_eq(told.refused, 1);
}
END_TEST

/* _i: so many turns later the session expires, and the new one does not come yet. */
START_TEST(a_lost_session_makes_nobody_dead)
{
    put_earlier("127.0.0.1");
    begin();
    for (int i = 0; i < _i; i++)
        reactor_turn(reactor, false);
    if (told.refused == 0)
        fake_zk_expire(zk);
    run_ms(300);
    ck_assert_int_eq(told.standing, 0);
    fake_zk_resume(zk);
    run_ms(300);
    ck_assert_int_eq(told.standing, 0);
    ck_assert_int_ge(told.refused, 1);
}
END_TEST

START_TEST(who_is_dead_is_out_of_the_way_at_once)
{
    put_earlier("127.0.0.1");
    told.ends = true;
    net_listener_close(&door);
    begin();
    run_ms(30);
    ck_assert_int_eq(told.standing, 1);
    ck_assert_int_eq(told.registered, 1);
    ck_assert_int_eq(told.refused, 0);
}
END_TEST

START_TEST(a_session_that_cannot_be_ended_is_waited_for)
{
    put_earlier("127.0.0.1");
    net_listener_close(&door);
    begin();
    run_ms(1000);
    ck_assert_int_eq(told.registered, 0);
    ck_assert_int_ge(told.standing, 5);
    ck_assert_int_le(told.standing, 15);
    fake_zk_bury(earlier);
    run_ms(200);
    ck_assert_int_eq(told.registered, 1);
}
END_TEST

/* Meanwhile the loop goes on, but not the verdict. */
START_TEST(a_slow_name_makes_nobody_dead)
{
    put_earlier("hang.test");
    told.ends = true;
    begin();
    run_ms(5);
    names_await_hanging(names, 1);
    run_ms(5000);
    ck_assert_int_eq(told.refused + told.standing + told.registered, 0);
    names_let_go(names, true);
    while (told.refused == 0) {
        run_ms(5);
        sched_yield(); /* to who looks the name up */
    }
    ck_assert_int_eq(told.standing, 0);
}
END_TEST

/* getaddrinfo() waits for half a minute at most. */
START_TEST(a_name_server_that_does_not_answer_makes_nobody_dead)
{
    put_earlier("mute.test");
    told.ends = true;
    begin();
    while (names_count(names) < 3) {
        run_ms(5);
        ck_assert_int_eq(told.refused + told.standing + told.registered, 0);
        sched_yield();
    }
    names_let_go(names, true);
    while (told.refused == 0) {
        run_ms(5);
        sched_yield();
    }
    ck_assert_int_eq(told.standing, 0);
}
END_TEST

static void on_found(void *arg, enum err err, const struct net_addr *addr)
{
    (void)addr;
    ck_assert_int_eq(err, ERR_OK);
    *(bool *)arg = true;
}

/* The name is found when it does not matter any more who has it. */
START_TEST(who_has_registered_asks_no_more_who_stood_in_the_way)
{
    struct lookup also;
    bool is_found = false;

    put_earlier("hang.test");
    begin();
    run_ms(5);
    names_await_hanging(names, 1);
    fake_zk_bury(earlier);
    fake_zk_expire(zk);
    fake_zk_resume(zk);
    run_ms(5);
    ck_assert_int_eq(told.registered, 1);
    lookup_init(&also, resolver, reactor, on_found, &is_found);
    lookup_find(&also, "hang.test", 1);
    names_let_go(names, true);
    while (!is_found) {
        run_ms(5);
        sched_yield();
    }
    run_ms(1000);
    ck_assert_int_eq(told.refused + told.standing, 0);
}
END_TEST

START_TEST(who_cannot_be_found_does_not_answer)
{
    put_earlier("no.test");
    told.ends = true;
    begin();
    while (told.registered == 0) {
        run_ms(5);
        sched_yield();
    }
    ck_assert_int_eq(told.standing, 1);
    ck_assert_int_eq(told.refused, 0);
}
END_TEST

/* As a broker of Kafka's registers that has no plain listener. */
START_TEST(who_tells_no_port_does_not_answer)
{
    port = -1;
    put_earlier("127.0.0.1");
    told.ends = true;
    begin();
    run_ms(30);
    ck_assert_int_eq(told.standing, 1);
    ck_assert_int_eq(told.registered, 1);
}
END_TEST

/* _i: so many turns after the beginning, wherever it is then; at the last it waits for the other's
 * session. The reactor does not come to deliver what was asked of ZooKeeper last. */
START_TEST(an_end_finds_what_was_asked_unanswered)
{
    put_earlier("127.0.0.1");
    net_listener_close(&door);
    begin();
    for (int i = 0; i < _i; i++)
        reactor_turn(reactor, false);
    if (_i == TURNS - 1)
        ck_assert_int_gt(told.standing, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("enroll");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, who_answers_is_left_alone);
    tcase_add_loop_test(tc, a_lost_read_makes_nobody_dead, 0, READS);
    tcase_add_loop_test(tc, a_lost_session_makes_nobody_dead, 0, TURNS);
    tcase_add_test(tc, who_is_dead_is_out_of_the_way_at_once);
    tcase_add_test(tc, a_session_that_cannot_be_ended_is_waited_for);
    tcase_add_test(tc, a_slow_name_makes_nobody_dead);
    tcase_add_test(tc, a_name_server_that_does_not_answer_makes_nobody_dead);
    tcase_add_test(tc, who_has_registered_asks_no_more_who_stood_in_the_way);
    tcase_add_test(tc, who_cannot_be_found_does_not_answer);
    tcase_add_test(tc, who_tells_no_port_does_not_answer);
    tcase_add_loop_test(tc, an_end_finds_what_was_asked_unanswered, 0, TURNS);
    return unit_run(tc);
}
