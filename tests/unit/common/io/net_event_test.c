/*
 * net_event: addresses as text and back, a listener on both families, connecting to somebody and to
 * nobody, bytes and file ranges across.
 */
#include "common/io/net.h"

#include <check.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

START_TEST(addresses_are_printed_as_people_write_them)
{
    struct net_addr addr;
    char text[NET_ADDR_TEXT];
    uint8_t v4[16], mapped[16];

    ck_assert_int_eq(net_addr_find("127.0.0.1", 9092, &addr), ERR_OK);
    ck_assert_str_eq(net_addr_print(&addr, text), "127.0.0.1:9092");
    ck_assert_int_eq(net_addr_port(&addr), 9092);
    net_addr_host_key(&addr, v4);
    ck_assert_int_eq(net_addr_find("::1", 1, &addr), ERR_OK);
    ck_assert_str_eq(net_addr_print(&addr, text), "[::1]:1");
    ck_assert_str_eq(net_addr_print_host(&addr, text), "::1");
    ck_assert_int_eq(net_addr_find("::ffff:127.0.0.1", 80, &addr), ERR_OK);
    ck_assert_str_eq(net_addr_print(&addr, text), "127.0.0.1:80");
    net_addr_host_key(&addr, mapped);
    ck_assert_mem_eq(v4, mapped, 16);
    ck_assert_int_ne(net_addr_find("no.such.host.invalid", 80, &addr), ERR_OK);
    addr = (struct net_addr){ 0 };
    ck_assert_str_eq(net_addr_print_host(&addr, text), "unknown");
}
END_TEST

START_TEST(a_literal_is_told_from_a_name)
{
    struct net_addr addr;
    char text[NET_ADDR_TEXT];
    const char *why = "";

    ck_assert_int_eq(net_addr_literal("localhost", 80, &addr), ERR_NOT_FOUND);
    ck_assert_int_eq(net_addr_literal("::1", 80, &addr), ERR_OK);
    net_addr_set_port(&addr, 81);
    ck_assert_str_eq(net_addr_print(&addr, text), "[::1]:81");
    ck_assert_int_eq(net_addr_literal("127.0.0.1", 80, &addr), ERR_OK);
    net_addr_set_port(&addr, 81);
    ck_assert_str_eq(net_addr_print(&addr, text), "127.0.0.1:81");
    ck_assert_int_eq(net_addr_find_why("127.0.0.1", 80, &addr, &why), ERR_OK);
    ck_assert_ptr_null(why);
    ck_assert_int_ne(net_addr_find_why("no.such.host.invalid", 80, &addr, &why), ERR_OK);
    ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(a_silent_name_server_is_told_from_a_name_that_nobody_has)
{
    static const int nobodys[] = { EAI_NONAME, EAI_NODATA, EAI_ADDRFAMILY, EAI_IDN_ENCODE };
    static const int not_known[] = { EAI_AGAIN, EAI_FAIL, EAI_SYSTEM, EAI_MEMORY };

    for (size_t i = 0; i < ARRAY_LEN(nobodys); i++)
        ck_assert_int_eq(net_addr_find_err(nobodys[i]), ERR_NOT_FOUND);
    for (size_t i = 0; i < ARRAY_LEN(not_known); i++)
        ck_assert_int_eq(net_addr_find_err(not_known[i]), ERR_REQUEST_TIMED_OUT);
}
END_TEST

struct pair {
    struct reactor *reactor;
    struct net_sock *server, *client;
    struct net_addr peer;
    bool decided;
    unsigned server_saw;
};

static void on_server(void *arg, unsigned what)
{
    struct pair *pair = arg;

    pair->server_saw |= what;
}

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    struct pair *pair = arg;

    ck_assert_int_ge(accepted->fd, 0);
    pair->peer = accepted->peer;
    pair->server = net_adopt(pair->reactor, accepted->fd, NULL, on_server, pair);
}

static void on_client(void *arg, unsigned what)
{
    struct pair *pair = arg;

    ck_assert_uint_eq(what, NET_WRITE);
    pair->decided = true;
    net_want(pair->client, 0);
}

static void listen_on(struct pair *pair, const char *host, struct net_listener **listener,
                      struct net_addr *addr)
{
    ck_assert_int_eq(net_addr_find(host, 0, addr), ERR_OK);
    ck_assert_int_eq(net_listen(pair->reactor, addr, 0, on_accept, pair, listener), ERR_OK);
    net_listener_addr(*listener, addr);
    ck_assert_int_gt(net_addr_port(addr), 0);
}

static size_t read_all(struct net_sock *sock, uint8_t *into, size_t len)
{
    size_t have = 0, got;

    while (have < len) {
        ck_assert_int_eq(net_read(sock, into + have, len - have, &got), ERR_OK);
        have += got;
    }
    return have;
}

START_TEST(bytes_and_files_go_across)
{
    static const char *const hosts[] = { "127.0.0.1", "" };

    for (int i = 0; i < 2; i++) {
        struct pair pair = { .reactor = reactor_new() };
        struct net_listener *listener;
        struct net_addr addr, to;
        uint8_t got[16];
        size_t sent;
        char path[] = "/tmp/moldau-net-XXXXXX";
        int fd = mkstemp(path);

        unlink(path);
        ck_assert_int_eq(write(fd, "0123456789", 10), 10);
        listen_on(&pair, hosts[i], &listener, &addr);
        ck_assert_int_eq(net_addr_find("127.0.0.1", net_addr_port(&addr), &to), ERR_OK);
        ck_assert_int_eq(net_connect(pair.reactor, &to, NULL, on_client, &pair, &pair.client),
                         ERR_OK);
        while (!pair.decided || pair.server == NULL)
            reactor_turn(pair.reactor, true);
        ck_assert_int_eq(net_connected(pair.client), ERR_OK);
        char text[NET_ADDR_TEXT];
        ck_assert_str_eq(net_addr_print_host(&pair.peer, text), "127.0.0.1");
        net_local(pair.client, &to);
        ck_assert_int_eq(net_addr_port(&to), net_addr_port(&pair.peer));

        struct iovec iov[2] = { { .iov_base = (void *)(uintptr_t) "ab", .iov_len = 2 },
                                { .iov_base = (void *)(uintptr_t) "c", .iov_len = 1 } };
        ck_assert_int_eq(net_writev(pair.client, iov, 2, true, &sent), ERR_OK);
        ck_assert_uint_eq(sent, 3);
        ck_assert_int_eq(net_send_file(pair.client, fd, 2, 5, &sent), ERR_OK);
        ck_assert_uint_eq(sent, 5);
        read_all(pair.server, got, 8);
        ck_assert_mem_eq(got, "abc23456", 8);
        ck_assert_int_eq(net_send_file(pair.client, fd, 10, 5, &sent), ERR_IO); /* past its end */
        ck_assert_int_eq(net_peer_state(pair.server), NET_PEER_THERE);

        net_want(pair.server, NET_READ);
        net_close(&pair.client);
        while (!(pair.server_saw & NET_READ))
            reactor_turn(pair.reactor, true);
        ck_assert_int_eq(net_peer_state(pair.server), NET_PEER_SENDS_NO_MORE);
        ck_assert_int_eq(net_read(pair.server, got, 1, &sent), ERR_CLOSED);
        net_close(&pair.server);
        net_listener_close(&listener);
        reactor_free(&pair.reactor);
        close(fd);
    }
}
END_TEST

START_TEST(nobody_there_is_refused)
{
    struct pair pair = { .reactor = reactor_new() };
    struct net_listener *listener;
    struct net_addr addr;

    listen_on(&pair, "127.0.0.1", &listener, &addr);
    struct net_listener *second;
    ck_assert_int_eq(net_listen(pair.reactor, &addr, 0, on_accept, &pair, &second), ERR_EXISTS);
    net_listener_close(&listener);
    enum err err = net_connect(pair.reactor, &addr, NULL, on_client, &pair, &pair.client);
    if (err == ERR_OK) {
        while (!pair.decided)
            reactor_turn(pair.reactor, true);
        err = net_connected(pair.client);
        net_close(&pair.client);
    }
    ck_assert_int_eq(err, ERR_REFUSED);
    reactor_free(&pair.reactor);
}
END_TEST

START_TEST(a_paused_listener_leaves_them_waiting)
{
    struct pair pair = { .reactor = reactor_new() };
    struct net_listener *listener;
    struct net_addr addr;

    listen_on(&pair, "127.0.0.1", &listener, &addr);
    net_listener_pause(listener, true);
    ck_assert_int_eq(net_connect(pair.reactor, &addr, NULL, on_client, &pair, &pair.client),
                     ERR_OK);
    while (!pair.decided)
        reactor_turn(pair.reactor, true);
    ck_assert_int_eq(net_connected(pair.client), ERR_OK); /* the kernel answered */
    for (int i = 0; i < 10; i++)
        reactor_turn(pair.reactor, false);
    ck_assert_ptr_null(pair.server);
    net_listener_pause(listener, false);
    while (pair.server == NULL)
        reactor_turn(pair.reactor, true);
    net_close(&pair.server);
    net_close(&pair.client);
    net_listener_close(&listener);
    reactor_free(&pair.reactor);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("net_event");

    tcase_add_test(tc, addresses_are_printed_as_people_write_them);
    tcase_add_test(tc, a_literal_is_told_from_a_name);
    tcase_add_test(tc, a_silent_name_server_is_told_from_a_name_that_nobody_has);
    tcase_add_test(tc, bytes_and_files_go_across);
    tcase_add_test(tc, nobody_there_is_refused);
    tcase_add_test(tc, a_paused_listener_leaves_them_waiting);
    return unit_run(tc);
}
