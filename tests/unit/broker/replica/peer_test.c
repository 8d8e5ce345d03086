/*
 * peer: against a scripted server on loopback. Answers come back in order to who asked, whole or in
 * pieces; whatever the other side does wrong ends the connection and tells everybody once.
 */
#include "broker/replica/peer.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/frame.h"
#include "gen/wire/api_versions.h"
#include "gen/wire/apis.h"
#include "gen/wire/heartbeat.h"
#include "tests/kit/unit.h"

#define FRAME_MAX (1 << 20)

static struct reactor *reactor;
static struct peer *peer;
static int64_t now_us;
static int listener, server; /* descriptors of the scripted side */
static int port;

static int opened, closed, answers;
static enum err close_why, answer_errs[16];
static int answer_tags[16];
static size_t answer_lens[16];
static int16_t throttles[16];
static bool close_in_answer, connect_in_close;

static int64_t told_time(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_open(void *ctx)
{
    (void)ctx;
    opened++;
}

static void address(struct net_addr *addr)
{
    ck_assert_int_eq(net_addr_find("127.0.0.1", port, addr), ERR_OK);
}

static void on_close(void *ctx, enum err why)
{
    struct net_addr addr;

    (void)ctx;
    closed++;
    close_why = why;
    if (!connect_in_close)
        return;
    connect_in_close = false;
    address(&addr);
    ck_assert_int_eq(peer_connect(peer, &addr), ERR_OK);
}

static int tags[16];

static void on_answer(void *ctx, enum err err, const struct peer_answer *answer)
{
    answer_errs[answers] = err;
    answer_tags[answers] = *(int *)ctx;
    answer_lens[answers] = answer->len;
    ck_assert_int_eq(answer->key, API_HEARTBEAT);
    ck_assert_int_eq(answer->version, 4);
    ck_assert((answer->bytes == NULL) == (err != ERR_OK));
    if (err == ERR_OK && answer->len >= 6)
        throttles[answers] = (int16_t)load_be32(answer->bytes);
    answers++;
    if (close_in_answer)
        peer_close(peer);
}

static void setup(void)
{
    struct sockaddr_in addr = { .sin_family = AF_INET };
    socklen_t len = sizeof addr;

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(listen(listener, 8), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    port = ntohs(addr.sin_port);
    server = -1;
    now_us = 1000000;
    opened = closed = answers = 0;
    for (int i = 0; i < 16; i++)
        tags[i] = i;
    reactor = reactor_new();
    reactor_set_clock(reactor, told_time, NULL);
    peer = peer_new(reactor, &(struct peer_conf){ .client_id = "test",
                                                  .frame_max_bytes = FRAME_MAX,
                                                  .connect_timeout_ms = 1000,
                                                  .on_open = on_open,
                                                  .on_close = on_close });
}

static void teardown(void)
{
    peer_free(&peer);
    reactor_turn(reactor, false);
    reactor_free(&reactor);
    if (server >= 0)
        close(server);
    if (listener >= 0)
        close(listener);
}

static void run(void)
{
    for (int i = 0; i < 10; i++) {
        reactor_turn(reactor, false);
        poll(NULL, 0, i < 5 ? 0 : 1); /* loopback delivers at once, nearly */
    }
}

/* Turns until it is so; the test's time-out is the bound. */
#define run_until(condition)                                                                       \
    do                                                                                             \
        run();                                                                                     \
    while (!(condition))

static void dial(void)
{
    struct net_addr addr;

    address(&addr);
    ck_assert_int_eq(peer_connect(peer, &addr), ERR_OK);
    ck_assert(!peer_is_closed(peer));
    run();
    server = accept(listener, NULL, NULL);
    ck_assert_int_ge(server, 0);
}

/* The next request's header, its body skipped. */
static struct frame_request_header hear(void)
{
    static uint8_t frame[4096];
    struct frame_request_header header;
    uint8_t prefix[4];
    struct pollfd ready = { .fd = server, .events = POLLIN };

    while (poll(&ready, 1, 0) == 0)
        run();
    ck_assert_int_eq(recv(server, prefix, 4, MSG_WAITALL), 4);
    size_t len = load_be32(prefix);
    ck_assert_uint_le(len, sizeof frame);
    ck_assert_int_eq(recv(server, frame, len, MSG_WAITALL), (ssize_t)len);
    struct wire_in in = wire_in_of(frame, len, NULL);
    ck_assert_int_eq(frame_request_header_decode(&header, &in), ERR_OK);
    ck_assert(str_is(header.client_id, "test"));
    return header;
}

static size_t put_answer(uint8_t *into, const struct frame_request_header *header, const void *body)
{
    const struct wire_codec *codec = &wire_api(header->api_key)->response;
    struct wire_out out = wire_out_of(into, 4096);

    wire_put_i32(&out, 0);
    frame_response_header_encode(header->correlation_id, &out, header->api_key,
                                 header->api_version);
    codec->encode(body, &out, header->api_version);
    store_be32(into, (uint32_t)out.pos - 4);
    return out.pos;
}

static void say(const void *bytes, size_t len)
{
    ck_assert_int_eq(send(server, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void answer_versions(int16_t error)
{
    struct frame_request_header header = hear();
    struct api_versions_response_api_key keys[2] = { 0 };
    struct api_versions_response resp;
    uint8_t frame[4096];

    ck_assert_int_eq(header.api_key, API_API_VERSIONS);
    ck_assert_int_eq(header.api_version, 3);
    api_versions_response_init(&resp);
    keys[0] = (struct api_versions_response_api_key){ API_HEARTBEAT, 2, 4 };
    keys[1] = (struct api_versions_response_api_key){ 1000, 0, 1 };
    resp.api_keys = keys;
    resp.api_keys_len = 2;
    resp.error_code = error;
    say(frame, put_answer(frame, &header, &resp));
}

static void open_peer(void)
{
    dial();
    answer_versions(0);
    run_until(opened > 0);
    ck_assert(peer_is_open(peer));
}

static void ask(int tag)
{
    struct heartbeat_request req;

    heartbeat_request_init(&req);
    req.group_id = STR("g");
    req.member_id = STR("m");
    peer_send(peer, API_HEARTBEAT, 4, &req, 5000, on_answer, &tags[tag]);
}

static size_t heartbeat_answer(uint8_t *into, const struct frame_request_header *header, int mark)
{
    struct heartbeat_response resp;

    heartbeat_response_init(&resp);
    resp.throttle_time_ms = mark;
    return put_answer(into, header, &resp);
}

START_TEST(it_learns_versions_once)
{
    open_peer();
    ck_assert_int_eq(peer_version(peer, API_HEARTBEAT, 9), 4);
    ck_assert_int_eq(peer_version(peer, API_HEARTBEAT, 3), 3);
    ck_assert_int_eq(peer_version(peer, API_HEARTBEAT, 1), -1);
    ck_assert_int_eq(peer_version(peer, API_FETCH, 17), -1);
    ck_assert_int_eq(closed, 0);
}
END_TEST

START_TEST(a_peer_that_knows_no_versions_is_of_no_use)
{
    dial();
    answer_versions(35);
    run_until(closed > 0);
    ck_assert_int_eq(opened, 0);
    ck_assert_int_eq(close_why, ERR_UNSUPPORTED_VERSION);
    ck_assert(peer_is_closed(peer));
}
END_TEST

START_TEST(answers_go_to_who_asked_in_order)
{
    uint8_t frames[4096];
    size_t len = 0;

    open_peer();
    for (int i = 0; i < 5; i++)
        ask(i);
    ck_assert_uint_eq(peer_open_requests(peer), 5);
    for (int i = 0; i < 5; i++) {
        struct frame_request_header header = hear();

        len += heartbeat_answer(frames + len, &header, 100 + i);
    }
    say(frames, len); /* all at once */
    run_until(answers == 5);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(answer_tags[i], i);
        ck_assert_int_eq(answer_errs[i], ERR_OK);
        ck_assert_int_eq(throttles[i], 100 + i);
    }
    ck_assert(!peer_is_receiving(peer));
}
END_TEST

START_TEST(an_answer_may_come_byte_by_byte)
{
    uint8_t frame[4096];

    open_peer();
    ask(0);
    struct frame_request_header header = hear();
    size_t len = heartbeat_answer(frame, &header, 7);
    for (size_t i = 0; i < len; i++) {
        ck_assert_int_eq(answers, 0);
        say(frame + i, 1);
        run();
        ck_assert(i == len - 1 || peer_is_receiving(peer));
    }
    run_until(answers == 1);
    ck_assert_int_eq(throttles[0], 7);
}
END_TEST

START_TEST(a_large_answer_is_handed_out_whole)
{
    uint8_t *frame = xcalloc(1, FRAME_MAX + 4);

    open_peer();
    ask(0);
    struct frame_request_header header = hear();
    store_be32(frame, FRAME_MAX);
    store_i32(frame + 4, header.correlation_id);
    for (size_t sent = 0; sent < FRAME_MAX + 4;) {
        ssize_t n = send(server, frame + sent, FRAME_MAX + 4 - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0)
            sent += (size_t)n;
        run();
    }
    run_until(answers == 1);
    ck_assert_int_eq(answer_errs[0], ERR_OK);
    ck_assert_uint_eq(answer_lens[0], FRAME_MAX - 5); /* correlation id, no tags */
    free(frame);
}
END_TEST

START_TEST(impossible_lengths_end_it)
{
    static const uint32_t lens[] = { 3, FRAME_MAX + 1, UINT32_MAX };
    static const enum err errs[] = { ERR_BAD_FORMAT, ERR_TOO_LARGE, ERR_BAD_FORMAT };
    uint8_t frame[16] = { 0 };

    open_peer();
    ask(0);
    ask(1);
    store_be32(frame, lens[_i]);
    say(frame, sizeof frame);
    run_until(closed > 0);
    ck_assert_int_eq(close_why, errs[_i]);
    ck_assert_int_eq(answers, 2);
    ck_assert_int_eq(answer_errs[1], errs[_i]);
}
END_TEST

START_TEST(a_wrong_correlation_id_ends_it)
{
    uint8_t frame[4096];

    open_peer();
    ask(0);
    struct frame_request_header header = hear();
    header.correlation_id++;
    say(frame, heartbeat_answer(frame, &header, 0));
    run_until(closed > 0);
    ck_assert_int_eq(close_why, ERR_BAD_FORMAT);
    ck_assert_int_eq(answer_errs[0], ERR_BAD_FORMAT);
}
END_TEST

START_TEST(an_answer_that_nobody_asked_for_ends_it)
{
    uint8_t frame[16] = { 0, 0, 0, 12 };

    open_peer();
    say(frame, sizeof frame);
    run_until(closed > 0);
    ck_assert_int_eq(close_why, ERR_BAD_FORMAT);
}
END_TEST

START_TEST(silence_ends_it)
{
    open_peer();
    ask(0);
    hear();
    now_us += 4999 * 1000;
    run();
    ck_assert_int_eq(closed, 0);
    now_us += 2000;
    run_until(closed > 0);
    ck_assert_int_eq(close_why, ERR_TIMED_OUT);
    ck_assert_int_eq(answer_errs[0], ERR_TIMED_OUT);
}
END_TEST

START_TEST(silence_before_versions_ends_it)
{
    dial();
    now_us += 1001 * 1000;
    run_until(closed > 0);
    ck_assert_int_eq(close_why, ERR_TIMED_OUT);
    ck_assert_int_eq(opened, 0);
}
END_TEST

START_TEST(a_hang_up_is_told_once)
{
    open_peer();
    ask(0);
    hear();
    close(server);
    server = -1;
    run_until(closed > 0);
    ck_assert_int_eq(closed, 1);
    ck_assert_int_eq(answers, 1);
    ck_assert_int_ne(answer_errs[0], ERR_OK);
}
END_TEST

START_TEST(nobody_listening_is_refused)
{
    struct net_addr addr;

    close(listener);
    listener = -1;
    address(&addr);
    enum err err = peer_connect(peer, &addr);
    if (err == ERR_OK) {
        run_until(closed > 0);
        err = close_why;
    }
    ck_assert_int_eq(err, ERR_REFUSED);
    ck_assert(peer_is_closed(peer));
}
END_TEST

START_TEST(closing_answers_what_is_open_and_nothing_more)
{
    open_peer();
    ask(0);
    ask(1);
    peer_close(peer);
    ck_assert_int_eq(answers, 2);
    ck_assert_int_eq(answer_errs[0], ERR_CLOSED);
    ck_assert_int_eq(closed, 0);
    peer_close(peer);
    ck_assert_int_eq(answers, 2);
}
END_TEST

START_TEST(an_answer_may_close)
{
    uint8_t frames[4096];
    size_t len = 0;

    open_peer();
    ask(0);
    ask(1);
    for (int i = 0; i < 2; i++) {
        struct frame_request_header header = hear();

        len += heartbeat_answer(frames + len, &header, i);
    }
    close_in_answer = true;
    say(frames, len);
    run_until(answers == 2);
    ck_assert_int_eq(answer_errs[0], ERR_OK);
    ck_assert_int_eq(answer_errs[1], ERR_CLOSED);
    ck_assert(peer_is_closed(peer));
}
END_TEST

START_TEST(it_connects_again_from_its_own_end)
{
    open_peer();
    connect_in_close = true;
    close(server);
    run_until(closed == 1);
    server = accept(listener, NULL, NULL);
    answer_versions(0);
    run_until(opened == 2);
    ask(3);
    ck_assert_int_eq(hear().api_key, API_HEARTBEAT);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("peer");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, it_learns_versions_once);
    tcase_add_test(tc, a_peer_that_knows_no_versions_is_of_no_use);
    tcase_add_test(tc, answers_go_to_who_asked_in_order);
    tcase_add_test(tc, an_answer_may_come_byte_by_byte);
    tcase_add_test(tc, a_large_answer_is_handed_out_whole);
    tcase_add_loop_test(tc, impossible_lengths_end_it, 0, 3);
    tcase_add_test(tc, a_wrong_correlation_id_ends_it);
    tcase_add_test(tc, an_answer_that_nobody_asked_for_ends_it);
    tcase_add_test(tc, silence_ends_it);
    tcase_add_test(tc, silence_before_versions_ends_it);
    tcase_add_test(tc, a_hang_up_is_told_once);
    tcase_add_test(tc, nobody_listening_is_refused);
    tcase_add_test(tc, closing_answers_what_is_open_and_nothing_more);
    tcase_add_test(tc, an_answer_may_close);
    tcase_add_test(tc, it_connects_again_from_its_own_end);
    return unit_run(tc);
}
