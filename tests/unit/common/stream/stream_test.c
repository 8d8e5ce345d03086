/*
 * stream: frames arrive whole and in order however the bytes are cut; garbage, long frames and slow
 * readers end a stream once and with the right reason; a goodbye arrives before the end; closing
 * inside any callback is safe.
 */
#include "common/stream/stream.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "tests/kit/unit.h" /* unit_run */

struct end_of_it {
    struct stream *stream;
    int frames, ends, opens;
    uint64_t last_number;
    char text[64];
    enum stream_end reason;
    bool close_on_frame;
    bool close_on_end;
    bool answer;
};

static int64_t now_us;

static int64_t told_us(void *arg)
{
    (void)arg;
    return now_us;
}

static void beat(struct stream *stream, uint64_t number)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Heartbeat message = CONTROL__HEARTBEAT__INIT;

    message.has_number = 1;
    message.number = number;
    frame.heartbeat = &message;
    stream_send(stream, &frame);
}

static void on_open(void *ctx)
{
    struct end_of_it *e = ctx;

    e->opens++;
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct end_of_it *e = ctx;

    e->frames++;
    if (frame->heartbeat != NULL) {
        ck_assert_uint_eq(frame->heartbeat->number, e->last_number + 1);
        e->last_number = frame->heartbeat->number;
    }
    if (frame->goodbye != NULL)
        strncpy(e->text, frame->goodbye->text, sizeof e->text - 1);
    if (e->answer)
        beat(e->stream, e->last_number);
    if (e->close_on_frame)
        stream_close(&e->stream);
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct end_of_it *e = ctx;

    e->ends++;
    e->reason = reason;
    if (e->close_on_end)
        stream_close(&e->stream);
}

static const struct stream_handler handler = { on_open, on_frame, on_end };

static struct reactor *reactor;
static struct end_of_it left, right;

static void pass_ms(int64_t ms)
{
    now_us += ms * 1000;
}

static void settle(void)
{
    for (int i = 0; i < 50; i++)
        reactor_turn(reactor, false);
}

static void start(void)
{
    now_us = 1000000;
    left = right = (struct end_of_it){ 0 };
    reactor = reactor_new();
    reactor_set_clock(reactor, told_us, NULL);
}

static void pair(int fds[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

/* left is a stream, the other end is the test's. */
static int half(const struct stream_conf *conf)
{
    int fds[2];

    start();
    pair(fds);
    left.stream = stream_accept(reactor, fds[0], conf, &handler, &left);
    return fds[1];
}

static void both(const struct stream_conf *conf)
{
    int fds[2];

    start();
    pair(fds);
    left.stream = stream_accept(reactor, fds[0], conf, &handler, &left);
    right.stream = stream_accept(reactor, fds[1], conf, &handler, &right);
}

static void finish(void)
{
    stream_close(&left.stream);
    stream_close(&right.stream);
    reactor_free(&reactor);
}

static size_t packed_beat(uint8_t *into, uint64_t number)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Heartbeat message = CONTROL__HEARTBEAT__INIT;

    message.has_number = 1;
    message.number = number;
    frame.heartbeat = &message;

    struct slice packed = stream_pack(&frame);
    size_t len = packed.len;

    memcpy(into, packed.base, len);
    slice_unref(&packed);
    return len;
}

START_TEST(frames_arrive_in_order_both_ways)
{
    both(NULL);
    right.answer = true;
    for (uint64_t i = 1; i <= 3000; i++)
        beat(left.stream, i);
    settle();
    ck_assert_int_eq(right.frames, 3000);
    ck_assert_int_eq(left.frames, 3000);
    ck_assert_uint_eq(stream_backlog(left.stream), 0);
    finish();
}
END_TEST

START_TEST(frames_come_out_of_single_bytes)
{
    int fd = half(NULL);
    uint8_t bytes[64];

    for (uint64_t number = 1; number <= 3; number++) {
        size_t len = packed_beat(bytes, number);

        for (size_t i = 0; i < len; i++) {
            ck_assert_int_eq(left.frames, (int)number - 1);
            ck_assert_int_eq(write(fd, bytes + i, 1), 1);
            settle();
        }
    }
    ck_assert_int_eq(left.frames, 3);
    close(fd);
    settle();
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_CLOSED);
    finish();
}
END_TEST

START_TEST(who_reads_by_hand_hears_when_he_looks)
{
    both(NULL);
    left.close_on_end = true;
    right.answer = true;
    stream_read_by_hand(left.stream);
    for (uint64_t i = 1; i <= 3; i++) {
        beat(left.stream, i);
        settle();
        ck_assert_int_eq(right.frames, (int)i);
        ck_assert_int_eq(left.frames, (int)i - 1);
        stream_read(left.stream);
        ck_assert_int_eq(left.frames, (int)i);
    }
    stream_read(left.stream); /* nothing there */
    stream_close(&right.stream);
    settle();
    ck_assert_int_eq(left.ends, 0);
    stream_read(left.stream);
    ck_assert_int_eq(left.ends, 1);
    ck_assert_ptr_null(left.stream);
    finish();
}
END_TEST

START_TEST(garbage_ends_it_once)
{
    int fd = half(NULL);
    uint8_t bytes[64];
    size_t len = packed_beat(bytes, 1);

    memset(bytes + len, 0xff, 10);
    store_be32(bytes + len, 6);
    ck_assert_int_eq(write(fd, bytes, len + 10), (ssize_t)len + 10);
    settle();
    ck_assert_int_eq(left.frames, 1); /* what came before it is good */
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_GARBAGE);
    beat(left.stream, 1); /* no harm */
    settle();
    ck_assert_int_eq(left.ends, 1);
    close(fd);
    finish();
}
END_TEST

START_TEST(a_long_frame_ends_it_before_it_has_come)
{
    struct stream_conf conf = { .frame_bytes_max = 100 };
    int fd = half(&conf);
    uint8_t bytes[4];

    store_be32(bytes, 101);
    ck_assert_int_eq(write(fd, bytes, 4), 4);
    settle();
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_GARBAGE);
    close(fd);
    finish();
}
END_TEST

/* Two bytes each on the wire, some hundred in memory. */
START_TEST(a_small_frame_cannot_become_a_large_message)
{
    int fd = half(NULL);
    size_t n = 60000, len = 4 + 2 * n;
    uint8_t *bytes = xmalloc(4 + 4 + len);

    /* Frame.image, length, then empty Image.brokers */
    store_be32(bytes, (uint32_t)(2 + 3 + 2 * n));
    bytes[4] = 0xb2;
    bytes[5] = 0x01;
    bytes[6] = (uint8_t)(0x80 | (2 * n & 0x7f));
    bytes[7] = (uint8_t)(0x80 | (2 * n >> 7 & 0x7f));
    bytes[8] = (uint8_t)(2 * n >> 14);
    for (size_t i = 0; i < n; i++) {
        bytes[9 + 2 * i] = 0x2a;
        bytes[10 + 2 * i] = 0;
    }
    for (size_t pos = 0; pos < 9 + 2 * n;) {
        ssize_t sent = write(fd, bytes + pos, 9 + 2 * n - pos);

        if (sent > 0)
            pos += (size_t)sent;
        settle();
    }
    free(bytes);
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_GARBAGE);
    ck_assert_int_eq(left.frames, 0);
    close(fd);
    finish();
}
END_TEST

START_TEST(who_does_not_read_is_given_up)
{
    struct stream_conf conf = { .backlog_bytes_max = 100000 };
    int fd = half(&conf);
    uint64_t number = 0;

    while (left.ends == 0 && number < 10000000) {
        for (int i = 0; i < 1000; i++)
            beat(left.stream, ++number);
        reactor_turn(reactor, false);
        ck_assert_uint_lt(stream_backlog(left.stream), 200000);
    }
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_TOO_SLOW);
    close(fd);
    finish();
}
END_TEST

START_TEST(what_was_sent_before_finishing_arrives)
{
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Goodbye goodbye = CONTROL__GOODBYE__INIT;
    char text[] = "not me";

    both(NULL);
    right.close_on_end = true;
    for (uint64_t i = 1; i <= 100; i++)
        beat(right.stream, i); /* left will never read these */
    goodbye.text = text;
    frame.goodbye = &goodbye;
    stream_send(left.stream, &frame);
    stream_finish(left.stream, 1000);
    settle();
    ck_assert_str_eq(right.text, "not me");
    ck_assert_int_eq(right.ends, 1);
    ck_assert_int_eq(right.reason, STREAM_CLOSED);
    ck_assert_int_eq(left.frames, 0);
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_FINISHED);
    finish();
}
END_TEST

START_TEST(finishing_does_not_wait_for_ever)
{
    int fd = half(NULL);

    beat(left.stream, 1);
    stream_finish(left.stream, 1000);
    settle();
    ck_assert_int_eq(left.ends, 0);
    pass_ms(1001);
    settle();
    ck_assert_int_eq(left.ends, 1);
    ck_assert_int_eq(left.reason, STREAM_FINISHED);
    close(fd);
    finish();
}
END_TEST

START_TEST(it_may_be_closed_in_its_callbacks)
{
    both(NULL);
    right.close_on_frame = true;
    left.close_on_end = true;
    for (uint64_t i = 1; i <= 10; i++)
        beat(left.stream, i);
    settle();
    ck_assert_int_eq(right.frames, 1);
    ck_assert_int_eq(right.ends, 0);
    ck_assert_ptr_null(right.stream);
    ck_assert_int_eq(left.ends, 1);
    ck_assert_ptr_null(left.stream);
    finish();
}
END_TEST

static struct net_listener *listener;

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    (void)arg;
    ck_assert_int_ge(accepted->fd, 0);
    right.stream = stream_accept(reactor, accepted->fd, NULL, &handler, &right);
}

START_TEST(connecting_sends_what_waited_and_tells_who_refuses)
{
    struct net_addr addr, bound;

    start();
    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(net_listen(reactor, &addr, 0, on_accept, NULL, &listener), ERR_OK);
    net_listener_addr(listener, &bound);
    left.stream = stream_connect(reactor, &bound, NULL, &handler, &left);
    beat(left.stream, 1);
    for (int i = 0; i < 2000 && right.frames == 0; i++) {
        reactor_turn(reactor, false);
        usleep(1000);
    }
    ck_assert_int_eq(right.frames, 1);
    ck_assert_int_eq(left.opens, 1);
    net_listener_close(&listener);
    stream_close(&left.stream);
    left = (struct end_of_it){ 0 };
    left.stream = stream_connect(reactor, &bound, NULL, &handler, &left);
    ck_assert_int_eq(left.ends, 0);
    for (int i = 0; i < 2000 && left.ends == 0; i++) {
        reactor_turn(reactor, false);
        usleep(1000);
    }
    ck_assert_int_eq(left.reason, STREAM_REFUSED);
    ck_assert_int_eq(left.opens, 0);
    finish();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stream");

    tcase_add_test(tc, frames_arrive_in_order_both_ways);
    tcase_add_test(tc, frames_come_out_of_single_bytes);
    tcase_add_test(tc, who_reads_by_hand_hears_when_he_looks);
    tcase_add_test(tc, garbage_ends_it_once);
    tcase_add_test(tc, a_long_frame_ends_it_before_it_has_come);
    tcase_add_test(tc, a_small_frame_cannot_become_a_large_message);
    tcase_add_test(tc, who_does_not_read_is_given_up);
    tcase_add_test(tc, what_was_sent_before_finishing_arrives);
    tcase_add_test(tc, finishing_does_not_wait_for_ever);
    tcase_add_test(tc, it_may_be_closed_in_its_callbacks);
    tcase_add_test(tc, connecting_sends_what_waited_and_tells_who_refuses);
    return unit_run(tc);
}
