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
#include "tests/kit/unit.h" /* unit_run */

static struct reactor *reactor;
static struct probes *probes;
static int n_done;
static enum core_probe_result results[8];

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
    probes = probes_new(reactor);
    n_done = 0;
}

static void wait_for(int wanted)
{
    for (int i = 0; i < 10000 && n_done < wanted; i++) {
        reactor_turn(reactor, false);
        usleep(500);
    }
    ck_assert_int_eq(n_done, wanted);
}

static void finish(void)
{
    probes_free(&probes);
    reactor_free(&reactor);
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

static void ask(struct str host, int port, int64_t timeout_ms, uint64_t number)
{
    probes_run(probes, host, port, timeout_ms, 7, number, on_done, &n_done);
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
    wait_for(3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(results[i], PROBE_SILENT);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    finish();
}
END_TEST

/* As the kernel of a dying process does: it accepts, resets, and refuses from then on. */
START_TEST(a_connection_that_is_reset_at_once_is_no_answer)
{
    int dying;
    int port = port_of(&dying);

    start();
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

START_TEST(what_runs_may_be_given_up)
{
    int open;
    int port = port_of(&open);

    start();
    ask(STR("127.0.0.1"), port, 5000, 0);
    ask(STR("localhost"), port, 5000, 1);
    probes_free(&probes);
    for (int i = 0; i < 20; i++)
        reactor_turn(reactor, false); /* what comes back from the look-up */
    ck_assert_int_eq(n_done, 0);
    reactor_free(&reactor);
    close(open);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("probes");

    tcase_add_test(tc, a_listener_answers_and_a_closed_port_refuses);
    tcase_add_test(tc, what_does_not_come_from_the_host_is_silence);
    tcase_add_test(tc, a_connection_that_is_reset_at_once_is_no_answer);
    tcase_add_test(tc, what_runs_may_be_given_up);
    return unit_run(tc);
}
