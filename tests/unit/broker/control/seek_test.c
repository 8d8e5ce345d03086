/*
 * seek: finds the controllers in ZooKeeper and stays on the stream of the active one, whatever read
 * of ZooKeeper is lost with a connection, and however long a name takes to be looked up.
 */
#include "broker/control/seek.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "common/io/net.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/names.h"
#include "tests/kit/unit.h"

#define READS 6 /* more than a start takes */

static struct reactor *reactor;
static struct names *names;
static struct resolver *resolver;
static struct fake_zk *fake;
static struct zk *zk;
static struct zk_listener listener;
static struct seek *seek;
static int64_t now_us;

/* A controller that listens; what is said to it is not answered. */
static struct door {
    struct net_listener *listener;
    int connected;
    bool is_hung; /* it does not even close */
    int fd;
} doors[2];

static int64_t clock_us(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    struct door *door = arg;

    door->connected++;
    if (door->is_hung)
        door->fd = accepted->fd;
    else
        close(accepted->fd);
}

static bool hello(void *ctx, Control__Hello *out)
{
    (void)ctx;
    (void)out;
    return true;
}

static void on_up(void *ctx, const Control__Welcome *welcome)
{
    (void)ctx;
    (void)welcome;
}

static void on_down(void *ctx)
{
    (void)ctx;
}

static void on_session(struct zk_listener *at, const struct zk_session *session)
{
    (void)at;
    if (session->state == ZK_CONNECTED && session->is_new)
        seek_on_session(seek);
}

static void on_node(struct zk_listener *at, struct str path, enum zk_event event)
{
    (void)at;
    (void)event;
    seek_on_node(seek, path);
}

static void run_ms(int64_t ms)
{
    int64_t end_us = now_us + ms * 1000;

    for (; now_us <= end_us; now_us += 5000) {
        for (int i = 0; i < 10; i++)
            reactor_turn(reactor, false);
    }
}

static void open_door(struct door *door)
{
    struct net_addr addr;

    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(net_listen(reactor, &addr, 0, on_accept, door, &door->listener), ERR_OK);
    door->connected = 0;
    door->is_hung = false;
    door->fd = -1;
}

static void close_door(struct door *door)
{
    net_listener_close(&door->listener);
    if (door->fd >= 0)
        close(door->fd);
}

static void list_port(int id, const char *host, int port)
{
    char path[64], data[128];

    snprintf(path, sizeof path, "/controllers/ids/%d", id);
    snprintf(data, sizeof data, "{\"version\":1,\"host\":\"%s\",\"port\":%d,\"timestamp\":\"1\"}",
             host, port);
    fake_zk_put(fake, path, data);
}

static void list_host(const struct door *door, int id, const char *host)
{
    struct net_addr addr;

    net_listener_addr(door->listener, &addr);
    list_port(id, host, net_addr_port(&addr));
}

static void list(const struct door *door, int id)
{
    list_host(door, id, "127.0.0.1");
}

static void put_holder(int id)
{
    char data[128];

    snprintf(data, sizeof data,
             "{\"version\":2,\"brokerid\":%d,\"timestamp\":\"1\",\"kraftControllerEpoch\":-1}", id);
    fake_zk_put(fake, "/controller", data);
}

static void set_up(void)
{
    now_us = 1000000;
    reactor = reactor_new();
    reactor_set_clock(reactor, clock_us, NULL);
    names = names_new();
    resolver = resolver_new(names_look, names);
    fake = fake_zk_new();
    open_door(&doors[0]);
    open_door(&doors[1]);
}

static void begin(void)
{
    struct seek_conf conf = { .reactor = reactor,
                              .resolver = resolver,
                              .zk = zk = fake_zk_open(fake, reactor_mailbox(reactor)),
                              .hello = hello,
                              .on_up = on_up,
                              .on_down = on_down };

    seek = seek_new(&conf);
    listener = (struct zk_listener){ .on_session = on_session, .on_node = on_node };
    zk_listen(zk, &listener);
    seek_begin(seek);
}

static void end(void)
{
    zk_unlisten(zk, &listener);
    seek_free(&seek);
    zk_close(&zk);
    run_ms(10);
}

static void tear_down(void)
{
    end();
    close_door(&doors[0]);
    close_door(&doors[1]);
    fake_zk_free(&fake);
    reactor_free(&reactor);
    names_let_go(names, true);
    resolver_free(&resolver);
    names_free(&names);
}

START_TEST(it_connects_to_who_is_listed)
{
    list(&doors[0], 3001);
    begin();
    run_ms(100);
    ck_assert_int_gt(doors[0].connected, 0);
}
END_TEST

/* _i: so many reads later the answer is lost. */
START_TEST(a_lost_read_is_made_again)
{
    list(&doors[0], 3001);
    put_holder(3001);
    begin();
    fake_zk_lose_read(zk, (unsigned)_i);
    run_ms(100);
    ck_assert_int_gt(doors[0].connected, 0);
}
END_TEST

START_TEST(who_comes_later_is_found_although_a_read_was_lost)
{
    fake_zk_put(fake, "/controllers/ids", NULL);
    begin();
    run_ms(100);
    fake_zk_lose_read(zk, (unsigned)_i);
    list(&doors[1], 3002);
    run_ms(1000);
    ck_assert_int_gt(doors[1].connected, 0);
}
END_TEST

/* Its kernel still takes connections. */
START_TEST(a_controller_that_hangs_is_left_for_the_one_that_has_its_seat)
{
    doors[0].is_hung = true;
    list(&doors[0], 3001);
    list(&doors[1], 3002);
    put_holder(3001);
    begin();
    for (int i = 0; doors[0].connected == 0; i++) { /* the other one is tried in turn */
        ck_assert_int_lt(i, 100);
        run_ms(10);
    }
    run_ms(10);
    doors[1].connected = 0;
    put_holder(3002);
    run_ms(100);
    ck_assert_int_gt(doors[1].connected, 0);
}
END_TEST

static void await_connection(const struct door *door)
{
    while (door->connected == 0) {
        run_ms(5);
        sched_yield(); /* to who looks the name up */
    }
}

/* Another controller may be tried before. */
static void await_hanging(void)
{
    while (names_count(names) == 0) {
        run_ms(5);
        sched_yield();
    }
    names_await_hanging(names, 1);
}

/* The first of two controllers has it, and the seat. */
static void begin_at_a_name_that_hangs(void)
{
    list_host(&doors[0], 3001, "hang.test");
    list(&doors[1], 3002);
    put_holder(3001);
    begin();
    await_hanging();
    doors[1].connected = 0;
}

START_TEST(a_name_is_looked_up)
{
    list_host(&doors[0], 3001, "a.test");
    begin();
    await_connection(&doors[0]);
}
END_TEST

/* The loop goes on, and so does the search; ZooKeeper may even say that it is the active one. */
START_TEST(a_name_that_hangs_is_left_for_the_next_controller)
{
    begin_at_a_name_that_hangs();
    run_ms(3000);
    ck_assert_int_eq(doors[0].connected, 0);
    ck_assert_int_gt(doors[1].connected, 0);
    ck_assert_int_eq(names_count(names), 1);
}
END_TEST

/* It takes longer than is ever waited for it. */
START_TEST(a_slow_name_is_found_in_the_end)
{
    list_host(&doors[0], 3001, "hang.test");
    begin();
    await_hanging();
    run_ms(5000);
    names_let_go(names, true);
    await_connection(&doors[0]);
    ck_assert_int_eq(names_count(names), 1);
}
END_TEST

START_TEST(a_name_that_nobody_has_is_asked_for_again)
{
    list_host(&doors[0], 3001, "no.test");
    begin();
    while (names_count(names) < 3) {
        run_ms(5);
        sched_yield();
    }
    list(&doors[0], 3001);
    seek_on_session(seek);
    await_connection(&doors[0]);
}
END_TEST

START_TEST(a_name_that_hangs_is_left_when_another_holds_the_seat)
{
    begin_at_a_name_that_hangs();
    put_holder(3002);
    run_ms(50);
    ck_assert_int_gt(doors[1].connected, 0);
}
END_TEST

START_TEST(an_end_does_not_wait_for_a_name_that_hangs)
{
    list_host(&doors[0], 3001, "hang.test");
    begin();
    await_hanging();
}
END_TEST

START_TEST(a_controller_without_a_port_is_passed_over)
{
    list_port(9, "127.0.0.1", 70000);
    put_holder(9);
    list(&doors[0], 3001);
    begin();
    run_ms(500);
    ck_assert_int_gt(doors[0].connected, 0);
}
END_TEST

/* A process lives long, and who runs the cluster may number its controllers anew each time. */
START_TEST(who_is_no_longer_listed_makes_room)
{
    begin();
    for (int id = 1; id <= 40; id++) {
        char path[64];

        snprintf(path, sizeof path, "/controllers/ids/%d", id);
        list(&doors[0], id);
        run_ms(20);
        fake_zk_drop(fake, path);
        run_ms(20);
    }
    ck_assert_int_eq(doors[1].connected, 0);
    list(&doors[1], 3001);
    run_ms(500);
    ck_assert_int_gt(doors[1].connected, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("seek");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, it_connects_to_who_is_listed);
    tcase_add_loop_test(tc, a_lost_read_is_made_again, 0, READS);
    tcase_add_loop_test(tc, who_comes_later_is_found_although_a_read_was_lost, 0, READS);
    tcase_add_test(tc, a_controller_that_hangs_is_left_for_the_one_that_has_its_seat);
    tcase_add_test(tc, a_name_is_looked_up);
    tcase_add_test(tc, a_name_that_hangs_is_left_for_the_next_controller);
    tcase_add_test(tc, a_slow_name_is_found_in_the_end);
    tcase_add_test(tc, a_name_that_nobody_has_is_asked_for_again);
    tcase_add_test(tc, a_name_that_hangs_is_left_when_another_holds_the_seat);
    tcase_add_test(tc, an_end_does_not_wait_for_a_name_that_hangs);
    tcase_add_test(tc, a_controller_without_a_port_is_passed_over);
    tcase_add_test(tc, who_is_no_longer_listed_makes_room);
    return unit_run(tc);
}
