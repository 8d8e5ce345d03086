/*
 * listener: real sockets, real threads. Who is let in, who waits, who is turned away, and that a
 * broker's worth of threads starts and stops with connections at work.
 */
#include "broker/net/listener.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/api/api_versions.h"
#include "common/base/say.h"
#include "common/wire/frame.h"
#include "gen/wire/apis.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h"

#define REACTORS 2

struct server {
    struct reactor *reactors[REACTORS];
    struct conns *conns[REACTORS];
    struct dispatch dispatch;
    struct door *door;
    struct listener *listener;
    struct budget memory;
};

static void answer(struct request *req, void *body, void *context)
{
    (void)body;
    (void)context;
    assert_on(T_REACTOR);
    request_answer(req, net_rig_response(req));
}

static void server_start(struct server *server, struct door_conf door)
{
    static const struct handler rows[] = {
        { API_PRODUCE, 0, 11, HANDLER_PIPELINED, answer },
        { API_METADATA, 0, 12, 0, answer },
        { API_API_VERSIONS, 0, 4, HANDLER_ANY_VERSION, api_versions_handle },
    };
    struct listener_conf conf = { .name = "PLAINTEXT", .protocol = "PLAINTEXT", .backlog = 50 };
    struct conns_conf conns_conf = { .request_max_bytes = 1 << 20,
                                     .idle_max_ms = 60000,
                                     .memory = &server->memory };

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    budget_init(&server->memory, 1 << 26);
    dispatch_init(&server->dispatch, rows, ARRAY_LEN(rows), NULL);
    server->door = door_new(&door);
    for (int i = 0; i < REACTORS; i++) {
        server->reactors[i] = reactor_new();
        server->conns[i] = conns_new(server->reactors[i], &conns_conf, &server->dispatch);
    }
    ck_assert_int_eq(listener_open(server->reactors[0], &conf, server->door, server->conns,
                                   REACTORS, &server->listener),
                     ERR_OK);
    for (int i = 0; i < REACTORS; i++)
        reactor_start(server->reactors[i], T_REACTOR, i);
    listener_start(server->listener);
}

static void close_all(void *conns)
{
    conns_close_all(conns);
}

static void server_stop(struct server *server)
{
    listener_stop(server->listener);
    for (int i = 0; i < REACTORS; i++) {
        reactor_call(server->reactors[i], close_all, server->conns[i]);
        reactor_stop(server->reactors[i]);
    }
    for (int i = 0; i < REACTORS; i++) {
        reactor_turn(server->reactors[i], false); /* handed over as it stopped */
        ck_assert_int_eq(conns_count(server->conns[i]), 0);
        conns_free(&server->conns[i]);
    }
    ck_assert_int_eq(door_count(server->door), 0);
    listener_free(&server->listener);
    door_free(&server->door);
    for (int i = 0; i < REACTORS; i++)
        reactor_free(&server->reactors[i]);
    ck_assert_uint_eq(budget_used(&server->memory), 0);
}

START_TEST(connections_are_spread_and_served)
{
    struct server server;
    int fds[20];

    server_start(&server, (struct door_conf){ 0 });
    for (int i = 0; i < 20; i++) {
        fds[i] = net_rig_dial(listener_port(server.listener));
        net_rig_send_to(fds[i], API_API_VERSIONS, i);
    }
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < 20; i++) {
            ck_assert_int_eq(net_rig_receive_from(fds[i]), i + round);
            net_rig_send_to(fds[i], round % 2 == 0 ? API_PRODUCE : API_METADATA, i + round + 1);
        }
    ck_assert_int_eq(conns_count(server.conns[0]), 10);
    ck_assert_int_eq(conns_count(server.conns[1]), 10);
    server_stop(&server);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
}
END_TEST

START_TEST(too_many_of_one_address_are_closed)
{
    struct server server;
    int fds[3];

    server_start(&server, (struct door_conf){ .per_ip_max = 2 });
    for (int i = 0; i < 3; i++)
        fds[i] = net_rig_dial(listener_port(server.listener));
    ck_assert_int_eq(net_rig_receive_from(fds[2]), -1);
    net_rig_send_to(fds[0], API_METADATA, 5);
    ck_assert_int_eq(net_rig_receive_from(fds[0]), 5);
    close(fds[1]); /* makes room */
    for (;;) {
        int fd = net_rig_dial(listener_port(server.listener));
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

        net_rig_send_to(fd, API_METADATA, 6);
        poll(&poll_fd, 1, -1);
        int32_t got = net_rig_receive_from(fd);
        close(fd);
        if (got == 6)
            break;
    }
    close(fds[0]);
    close(fds[2]);
    server_stop(&server);
}
END_TEST

static void expect_the_third_waits(struct door_conf door)
{
    struct server server;
    int fds[3];

    server_start(&server, door);
    for (int i = 0; i < 3; i++) {
        fds[i] = net_rig_dial(listener_port(server.listener));
        net_rig_send_to(fds[i], API_METADATA, i);
    }
    ck_assert_int_eq(net_rig_receive_from(fds[0]), 0);
    ck_assert_int_eq(net_rig_receive_from(fds[1]), 1);
    ck_assert_int_eq(door_count(server.door), 2);
    close(fds[0]);
    ck_assert_int_eq(net_rig_receive_from(fds[2]), 2); /* as soon as one is gone */
    close(fds[1]);
    close(fds[2]);
    server_stop(&server);
}

START_TEST(beyond_the_most_they_wait)
{
    expect_the_third_waits((struct door_conf){ .max = 2 });
}
END_TEST

START_TEST(where_files_would_run_out_they_wait)
{
    expect_the_third_waits((struct door_conf){ .max = INT32_MAX, .files_max = 2 });
}
END_TEST

/* The first image may come while a broker stops. */
START_TEST(a_start_after_the_stop_opens_nothing)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct server server;
    struct net_addr addr;

    server_start(&server, (struct door_conf){ 0 });
    listener_stop(server.listener);
    listener_start(server.listener);
    ck_assert_int_eq(net_addr_find("127.0.0.1", listener_port(server.listener), &addr), ERR_OK);
    ck_assert_int_eq(connect(fd, &addr.at.any, addr.len), -1);
    ck_assert_int_eq(errno, ECONNREFUSED);
    close(fd);
    server_stop(&server);
}
END_TEST

static void nothing(void *arg)
{
    (void)arg;
}

START_TEST(a_crowd_that_comes_and_goes_leaves_nothing)
{
    struct server server;
    int fds[200];

    server_start(&server, (struct door_conf){ .per_ip_max = 1000, .max = 10000 });
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 200; i++) {
            fds[i] = net_rig_dial(listener_port(server.listener));
            if (i % 2 == 0)
                net_rig_send_to(fds[i], API_METADATA, i);
        }
        for (int i = 0; i < 200; i++)
            close(fds[i]);
    }
    while (door_count(server.door) > 0)
        reactor_call(server.reactors[0], nothing, NULL);
    server_stop(&server);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("listener");

    tcase_add_test(tc, connections_are_spread_and_served);
    tcase_add_test(tc, too_many_of_one_address_are_closed);
    tcase_add_test(tc, beyond_the_most_they_wait);
    tcase_add_test(tc, where_files_would_run_out_they_wait);
    tcase_add_test(tc, a_start_after_the_stop_opens_nothing);
    tcase_add_test(tc, a_crowd_that_comes_and_goes_leaves_nothing);
    return unit_run(tc);
}
