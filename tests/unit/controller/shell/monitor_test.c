/*
 * monitor: when a holder counts as dead that does not refuse connections, and that its name may
 * take long to be looked up. What is followed is shown by warm_test, the question by question_test.
 */
#include "controller/shell/monitor.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/stream/stream.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/names.h"
#include "tests/kit/unit.h"

#define HOLDER     3001
#define BEAT_MS    100
#define FILLERS    4
#define VERDICT_MS 3500 /* silence, question, rank, and connections that time out */

static struct reactor *reactor;
static struct names *names;
static struct resolver *resolver;
static struct fake_zk *fake;
static struct zk *zk;
static struct standby *standby;
static struct monitor *monitor;
static int64_t now_us;
static int deaths;

/* The holder. */
static struct net_listener *door;
static struct stream *stream;
static struct reactor_timer beat;
static uint32_t cut_off_ms;

static int64_t clock_us(void *arg)
{
    (void)arg;
    return now_us;
}

static void run_ms(int64_t ms)
{
    int64_t end_us = now_us + ms * 1000;

    for (; now_us <= end_us; now_us += 5000) {
        for (int i = 0; i < 5; i++)
            reactor_turn(reactor, false);
    }
}

static void on_dead(void *arg, int32_t holder)
{
    (void)arg;
    ck_assert_int_eq(holder, HOLDER);
    deaths++;
}

static void say_standing(void)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Standing standing = CONTROL__STANDING__INIT;

    standing.has_cut_off_ms = cut_off_ms > 0;
    standing.cut_off_ms = cut_off_ms;
    frame.standing = &standing;
    stream_send(stream, &frame);
}

static void on_beat(struct reactor_timer *timer)
{
    say_standing();
    if (cut_off_ms > 0)
        cut_off_ms += BEAT_MS;
    reactor_timer_set_ms(reactor, timer, BEAT_MS);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    Control__Frame answer = CONTROL__FRAME__INIT;
    Control__Welcome welcome = CONTROL__WELCOME__INIT;

    (void)ctx;
    ck_assert_ptr_nonnull(frame->hello);
    answer.welcome = &welcome;
    stream_send(stream, &answer);
    on_beat(&beat);
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    static const struct stream_handler handler = { .on_frame = on_frame };

    (void)arg;
    ck_assert_ptr_null(stream);
    stream = stream_accept(reactor, accepted->fd, NULL, &handler, NULL);
}

static void set_up(void)
{
    struct monitor_conf conf = { .controller_id = 3002, .on_dead = on_dead };

    now_us = 10 * 1000 * 1000;
    deaths = 0;
    cut_off_ms = 0;
    stream = NULL;
    reactor = conf.reactor = reactor_new();
    reactor_set_clock(reactor, clock_us, NULL);
    names = names_new();
    resolver = conf.resolver = resolver_new(names_look, names);
    reactor_timer_init(&beat, on_beat);
    fake = fake_zk_new();
    fake_zk_put(fake, "/controllers/ids/3001", NULL);
    zk = conf.zk = fake_zk_open(fake, reactor_mailbox(reactor));
    standby = conf.standby = standby_new();
    run_ms(10);
    monitor = monitor_new(&conf);
}

static void tear_down(void)
{
    reactor_timer_cancel(reactor, &beat);
    monitor_free(&monitor);
    stream_close(&stream);
    if (door != NULL)
        net_listener_close(&door);
    zk_close(&zk);
    run_ms(10);
    standby_free(&standby);
    fake_zk_free(&fake);
    reactor_free(&reactor);
    names_let_go(names, true);
    resolver_free(&resolver);
    names_free(&names);
}

static void watch(struct str host, int port)
{
    struct seat_holder holder = { .id = HOLDER, .is_listed = true, .host = host, .port = port };

    monitor_watch(monitor, &holder);
}

static int open_door(void)
{
    struct net_addr addr;

    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(net_listen(reactor, &addr, 0, on_accept, NULL, &door), ERR_OK);
    net_listener_addr(door, &addr);
    return net_addr_port(&addr);
}

static void watch_door(void)
{
    watch(STR("127.0.0.1"), open_door());
    run_ms(500);
    ck_assert_ptr_nonnull(stream);
}

START_TEST(a_holder_that_is_cut_off_from_zookeeper_is_replaced)
{
    watch_door();
    run_ms(3000);
    ck_assert_int_eq(deaths, 0);
    cut_off_ms = 1;
    run_ms(1500);
    ck_assert_int_eq(deaths, 0); /* it may find another server */
    run_ms(1500);
    ck_assert_int_ge(deaths, 1);
}
END_TEST

START_TEST(a_holder_that_finds_zookeeper_again_stays)
{
    watch_door();
    run_ms(3000);
    cut_off_ms = 1;
    run_ms(1500);
    cut_off_ms = 0;
    run_ms(5000);
    ck_assert_int_eq(deaths, 0);
}
END_TEST

/* Nobody reaches it then, or did until a moment ago. */
START_TEST(who_is_cut_off_from_zookeeper_as_well_replaces_nobody)
{
    watch_door();
    run_ms(3000);
    fake_zk_suspend(zk);
    cut_off_ms = 1;
    run_ms(5000);
    ck_assert_int_eq(deaths, 0);
    fake_zk_resume(zk);
    run_ms(1000);
    cut_off_ms = 0;
    run_ms(5000);
    ck_assert_int_eq(deaths, 0);
}
END_TEST

/* A listener whose queue is full answers like a machine that is gone: not at all. */
START_TEST(a_machine_that_was_never_heard_is_asked_through_zookeeper)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof address;
    int fillers[FILLERS];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 0), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    for (int i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    watch(STR("127.0.0.1"), ntohs(address.sin_port));
    run_ms(VERDICT_MS);
    ck_assert_int_ge(deaths, 1);
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    close(fd);
}
END_TEST

static void await_look_ups(int count)
{
    while (names_count(names) < count) {
        run_ms(5);
        sched_yield(); /* to who looks the name up */
    }
}

static void await_stream(void)
{
    while (stream == NULL) {
        run_ms(5);
        sched_yield();
    }
}

START_TEST(a_holder_is_found_by_its_name)
{
    watch(STR("a.test"), open_door());
    await_stream();
    run_ms(3000);
    ck_assert_int_eq(deaths, 0);
}
END_TEST

START_TEST(a_name_that_hangs_says_nothing_of_its_holder)
{
    watch(STR("hang.test"), open_door());
    await_look_ups(1);
    names_await_hanging(names, 1);
    run_ms(30000);
    ck_assert_int_eq(deaths, 0);
    names_let_go(names, true);
    await_stream();
    ck_assert_int_eq(names_count(names), 1);
}
END_TEST

START_TEST(the_next_holder_is_heard_of_while_the_name_of_the_last_hangs)
{
    int port = open_door();

    watch(STR("hang.test"), port);
    await_look_ups(1);
    names_await_hanging(names, 1);
    watch(STR("127.0.0.1"), port);
    run_ms(500);
    ck_assert_ptr_nonnull(stream);
}
END_TEST

START_TEST(a_name_that_nobody_has_is_asked_for_again)
{
    watch(STR("no.test"), 1);
    await_look_ups(3);
    ck_assert_int_eq(deaths, 0);
}
END_TEST

START_TEST(a_holder_without_a_port_is_not_taken_for_dead)
{
    watch(STR("127.0.0.1"), 70000);
    run_ms(5000);
    ck_assert_int_eq(deaths, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("monitor");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_holder_that_is_cut_off_from_zookeeper_is_replaced);
    tcase_add_test(tc, a_holder_that_finds_zookeeper_again_stays);
    tcase_add_test(tc, who_is_cut_off_from_zookeeper_as_well_replaces_nobody);
    tcase_add_test(tc, a_machine_that_was_never_heard_is_asked_through_zookeeper);
    tcase_add_test(tc, a_holder_is_found_by_its_name);
    tcase_add_test(tc, a_name_that_hangs_says_nothing_of_its_holder);
    tcase_add_test(tc, the_next_holder_is_heard_of_while_the_name_of_the_last_hangs);
    tcase_add_test(tc, a_name_that_nobody_has_is_asked_for_again);
    tcase_add_test(tc, a_holder_without_a_port_is_not_taken_for_dead);
    return unit_run(tc);
}
