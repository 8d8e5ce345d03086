/*
 * probes: refused is only what a host itself refuses; an open listener answers; names are looked up
 * without blocking; nobody's address and lost time are silence; what runs may be given up.
 */
#include "controller/shell/probes.h"

#include <check.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/net.h"
#include "tests/kit/names.h"
#include "tests/kit/unit.h" /* unit_run */

static struct reactor *reactor;
static struct names *names;
static struct resolver *resolver;
static struct probes *probes;
static int n_done;
static enum core_probe_result results[8];
static int64_t now_us; /* where time is told */

static int64_t told_time(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_done(void *arg, int32_t broker, uint64_t number, enum core_probe_result result)
{
    ck_assert_ptr_eq(arg, &n_done);
    ck_assert_int_eq(broker, 7);
    results[number] = result;
    n_done++;
}

static void start(void)
{
    reactor = reactor_new();
    names = names_new();
    resolver = resolver_new(names_look, names);
    probes = probes_new(reactor, resolver);
    n_done = 0;
}

static void wait_for(int wanted)
{
    for (int i = 0; i < 10000 && n_done < wanted; i++) {
        reactor_turn(reactor, false);
        usleep(500);
        now_us += 500;
    }
    ck_assert_int_eq(n_done, wanted);
}

static void finish(void)
{
    if (probes != NULL)
        probes_free(&probes);
    reactor_free(&reactor);
    names_let_go(names, true);
    resolver_free(&resolver);
    names_free(&names);
}

/* A port of the loopback; *fd listens on it. */
static int port_of(int *fd)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof addr;

    *fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(*fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(*fd, 5), 0);
    ck_assert_int_eq(getsockname(*fd, (struct sockaddr *)&addr, &len), 0);
    return ntohs(addr.sin_port);
}

static void ask_all(size_t n, const struct endpoint *endpoints, int64_t timeout_ms, uint64_t number)
{
    struct core_probe probe = { .broker = 7, .probe = number, .n = n, .endpoints = endpoints };

    probes_run(probes, &probe, timeout_ms, on_done, &n_done);
}

static void ask(struct str host, int port, int64_t timeout_ms, uint64_t number)
{
    struct endpoint endpoint = { .host = host, .port = port };

    ask_all(1, &endpoint, timeout_ms, number);
}

START_TEST(a_listener_answers_and_a_closed_port_refuses)
{
    int open, closed;
    int open_port = port_of(&open), closed_port = port_of(&closed);

    close(closed);
    start();
    ask(STR("127.0.0.1"), open_port, 5000, 0);
    ask(STR("127.0.0.1"), closed_port, 5000, 1);
    ask(STR("localhost"), open_port, 5000, 2);
    ask(STR("localhost"), closed_port, 5000, 3);
    ck_assert_int_eq(n_done, 0); /* never inside the call */
    wait_for(4);
    ck_assert_int_eq(results[0], PROBE_ANSWERED);
    ck_assert_int_eq(results[1], PROBE_REFUSED);
    ck_assert_int_eq(results[2], PROBE_ANSWERED);
    ck_assert_int_eq(results[3], PROBE_REFUSED);
    close(open);
    finish();
}
END_TEST

/* A listener that accepts nothing and whose backlog is full: its kernel says nothing to a SYN. */
static int silent_port(int fds[4])
{
    int port = port_of(&fds[0]);
    struct sockaddr_in addr = { .sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    ck_assert_int_eq(listen(fds[0], 0), 0);
    for (int i = 1; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&addr, sizeof addr);
    }
    return port;
}

START_TEST(what_does_not_come_from_the_host_is_silence)
{
    int fds[4];
    int port = silent_port(fds);

    start();
    ask(STR(""), 1, 5000, 0);                /* no address */
    ask(STR("255.255.255.255"), 1, 5000, 1); /* our own kernel says no */
    ask(STR("127.0.0.1"), port, 100, 2);     /* no word in time */
    ask(STR("127.0.0.1"), -1, 5000, 3);      /* no address either */
    ask(STR("127.0.0.1"), 0, 5000, 4);
    ask(STR("127.0.0.1"), 65536, 5000, 5);
    wait_for(6);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(results[i], PROBE_SILENT);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    finish();
}
END_TEST

/* As the kernel of a dying process does: it accepts, resets, and refuses from then on. Time stands
 * still until it resets, so that the connection has not lasted yet. */
START_TEST(a_connection_that_is_reset_at_once_is_no_answer)
{
    int dying;
    int port = port_of(&dying);

    start();
    now_us = 1000000;
    reactor_set_clock(reactor, told_time, NULL);
    ask(STR("127.0.0.1"), port, 5000, 0);
    for (int i = 0; i < 5; i++)
        reactor_turn(reactor, false); /* connected */
    ck_assert_int_eq(n_done, 0);
    close(dying);
    wait_for(1);
    ck_assert_int_eq(results[0], PROBE_REFUSED);
    finish();
}
END_TEST

static void ask_two(struct endpoint a, struct endpoint b, uint64_t number)
{
    struct endpoint both[] = { a, b };

    ask_all(2, both, 100, number);
}

START_TEST(many_endpoints_refuse_together)
{
    int open, closed, fds[4];
    struct endpoint listens = { .host = STR("127.0.0.1"), .port = port_of(&open) };
    struct endpoint refuses = { .host = STR("127.0.0.1"), .port = port_of(&closed) };
    struct endpoint is_silent = { .host = STR("127.0.0.1"), .port = silent_port(fds) };
    struct endpoint is_named = { .host = STR("localhost"), .port = listens.port };

    close(closed);
    start();
    ask_two(refuses, refuses, 0);
    ask_two(refuses, listens, 1);
    ask_two(listens, refuses, 2);
    ask_two(refuses, is_silent, 3);
    ask_two(is_silent, listens, 4);
    ask_two(is_named, refuses, 5);
    wait_for(6);
    ck_assert_int_eq(results[0], PROBE_REFUSED);
    ck_assert_int_eq(results[1], PROBE_ANSWERED);
    ck_assert_int_eq(results[2], PROBE_ANSWERED);
    ck_assert_int_eq(results[3], PROBE_SILENT);
    ck_assert_int_eq(results[4], PROBE_ANSWERED);
    ck_assert_int_eq(results[5], PROBE_ANSWERED);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    close(open);
    finish();
}
END_TEST

START_TEST(what_runs_may_be_given_up)
{
    int open;
    int port = port_of(&open);

    start();
    ask(STR("127.0.0.1"), port, 5000, 0);
    ask(STR("localhost"), port, 5000, 1);
    ask_two((struct endpoint){ .host = STR("localhost"), .port = port },
            (struct endpoint){ .host = STR("127.0.0.1"), .port = port }, 2);
    probes_free(&probes);
    for (int i = 0; i < 20; i++)
        reactor_turn(reactor, false); /* what comes back from the look-up */
    ck_assert_int_eq(n_done, 0);
    finish();
    close(open);
}
END_TEST

START_TEST(a_name_that_hangs_holds_no_other_probe_up)
{
    int open, closed;
    int open_port = port_of(&open), closed_port = port_of(&closed);

    close(closed);
    start();
    ask(STR("hang.test"), open_port, 5000, 0);
    names_await_hanging(names, 1);
    ask(STR("a.test"), open_port, 5000, 1);
    ask(STR("b.test"), closed_port, 5000, 2);
    ask(STR("no.test"), open_port, 5000, 3);
    wait_for(3);
    ck_assert_int_eq(results[1], PROBE_ANSWERED);
    ck_assert_int_eq(results[2], PROBE_REFUSED);
    ck_assert_int_eq(results[3], PROBE_SILENT);
    names_let_go(names, true);
    wait_for(4);
    ck_assert_int_eq(results[0], PROBE_ANSWERED);
    close(open);
    finish();
}
END_TEST

START_TEST(an_end_does_not_wait_for_a_name_that_hangs)
{
    start();
    ask(STR("hang.test"), 1, 5000, 0);
    names_await_hanging(names, 1);
    probes_free(&probes);
    ck_assert_int_eq(n_done, 0);
    finish();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("probes");

    tcase_add_test(tc, a_listener_answers_and_a_closed_port_refuses);
    tcase_add_test(tc, what_does_not_come_from_the_host_is_silence);
    tcase_add_test(tc, a_connection_that_is_reset_at_once_is_no_answer);
    tcase_add_test(tc, many_endpoints_refuse_together);
    tcase_add_test(tc, what_runs_may_be_given_up);
    tcase_add_test(tc, a_name_that_hangs_holds_no_other_probe_up);
    tcase_add_test(tc, an_end_does_not_wait_for_a_name_that_hangs);
    return unit_run(tc);
}
