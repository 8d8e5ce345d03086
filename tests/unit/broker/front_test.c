/*
 * front: real sockets, real threads. Who comes early waits, connections are dealt out to all
 * reactors, a port that is taken is no start, and a stop tells requests that are at work.
 */
#include "broker/front.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/apis.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h" /* unit_run */

#define ENDS_MS 20

static struct conf *conf;
static struct broker_conf settings;
static struct dispatch dispatch;
static struct front *front;
/* of a Heartbeat, which is kept until a while after its connection has gone */
static struct request *kept;
static struct reactor_timer ends;
static atomic_bool is_kept, was_dropped;

static void answer(struct request *req, void *body, void *context)
{
    (void)body;
    (void)context;
    request_answer(req, net_rig_response(req));
}

static void on_end(struct reactor_timer *timer)
{
    (void)timer;
    request_answer(kept, net_rig_response(kept));
}

static void on_drop(struct request *req)
{
    reactor_timer_init(&ends, on_end);
    reactor_timer_set_ms(front_reactors(front)[0], &ends, ENDS_MS);
    atomic_store(&was_dropped, req == kept);
}

static void keep(struct request *req, void *body, void *context)
{
    (void)body;
    (void)context;
    kept = req;
    request_on_drop(req, on_drop);
    atomic_store(&is_kept, true);
}

static enum err open_at(const char *listeners, const char *threads, struct front **out)
{
    const char *overrides[] = { "zookeeper.connect=z:1",
                                "log.dirs=/d",
                                "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
                                "inter.broker.listener.name=A",
                                listeners,
                                threads };

    conf_free(&conf);
    ck_assert_int_eq(broker_conf_load(NULL, ARRAY_LEN(overrides), overrides, &settings, &conf),
                     ERR_OK);
    return front_open(conf, &settings, &dispatch, out);
}

static void opened(const char *threads)
{
    ck_assert_int_eq(open_at("listeners=A://127.0.0.1:0,B://127.0.0.1:0", threads, &front), ERR_OK);
    front_start(front);
}

static int connections(void)
{
    int n = 0;

    for (size_t i = 0; i < front_len(front); i++)
        n += conns_count(front_conns(front)[i]);
    return n;
}

static void setup(void)
{
    static const struct handler rows[] = {
        { API_METADATA, 0, 12, 0, answer },
        { API_HEARTBEAT, 0, 4, 0, keep },
    };

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    dispatch_init(&dispatch, rows, ARRAY_LEN(rows), NULL);
}

static void stop(void)
{
    front_close(front);
    ck_assert_int_eq(connections(), 0);
    front_stop(&front);
    ck_assert_ptr_null(front);
}

static void teardown(void)
{
    conf_free(&conf);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void count_open(void *arg)
{
    *(size_t *)arg = conns_open_requests(front_conns(front)[0]);
}

static size_t open_requests(void)
{
    size_t open;

    reactor_call(front_reactors(front)[0], count_open, &open);
    return open;
}

START_TEST(who_comes_early_waits)
{
    int fd;

    opened("num.network.threads=1");
    fd = net_rig_dial(front_port(front, 1));
    net_rig_send_to(fd, API_METADATA, 7);
    reactor_call(front_reactors(front)[0], nothing, NULL);
    ck_assert_int_eq(connections(), 0);
    front_serve(front);
    ck_assert_int_eq(net_rig_receive_from(fd), 7);
    close(fd);
    stop();
}
END_TEST

START_TEST(connections_are_dealt_out_to_all_reactors)
{
    int fds[6];

    opened("num.network.threads=3");
    front_serve(front);
    for (int i = 0; i < 6; i++) {
        fds[i] = net_rig_dial(front_port(front, 0));
        net_rig_send_to(fds[i], API_METADATA, i);
        ck_assert_int_eq(net_rig_receive_from(fds[i]), i);
    }
    ck_assert_uint_eq(front_len(front), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(conns_count(front_conns(front)[i]), 2);
    stop();
    for (int i = 0; i < 6; i++) {
        ck_assert_int_eq(net_rig_receive_from(fds[i]), -1);
        close(fds[i]);
    }
}
END_TEST

START_TEST(a_port_that_is_taken_is_no_start)
{
    struct front *other = front;
    char listeners[80];

    opened("num.network.threads=1");
    snprintf(listeners, sizeof listeners, "listeners=A://127.0.0.1:0,B://127.0.0.1:%d",
             front_port(front, 0));
    ck_assert_int_eq(open_at(listeners, "num.network.threads=2", &other), ERR_EXISTS);
    ck_assert_ptr_null(other);
    stop();
}
END_TEST

START_TEST(a_request_at_work_is_told_and_may_end_later)
{
    int fd;

    opened("num.network.threads=1");
    front_serve(front);
    fd = net_rig_dial(front_port(front, 0));
    net_rig_send_to(fd, API_HEARTBEAT, 1);
    while (!atomic_load(&is_kept))
        reactor_call(front_reactors(front)[0], nothing, NULL);
    front_close(front);
    ck_assert(atomic_load(&was_dropped));
    ck_assert_uint_eq(open_requests(), 1);
    while (open_requests() > 0) /* its timer ends it */
        ;
    front_stop(&front);
    close(fd);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("front");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, who_comes_early_waits);
    tcase_add_test(tc, connections_are_dealt_out_to_all_reactors);
    tcase_add_test(tc, a_port_that_is_taken_is_no_start);
    tcase_add_test(tc, a_request_at_work_is_told_and_may_end_later);
    return unit_run(tc);
}
