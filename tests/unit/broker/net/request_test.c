/*
 * request: the ways in which one ends, and what each does to its neighbours on the connection; file
 * ranges in answers.
 */
#include "broker/net/request.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/bytes.h"
#include "common/wire/frame.h"
#include "gen/wire/fetch.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h"

START_TEST(no_answer_takes_no_slot)
{
    struct net_rig *rig = net_rig_new(NULL);

    for (int32_t i = 0; i < 4; i++)
        net_rig_send(rig, API_PRODUCE, i);
    net_rig_run(rig);
    request_answer_none(rig->held[0]);
    rig->held[0] = NULL;
    net_rig_answer(rig, 1);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    request_expect_none(rig->held[2]); /* still at work */
    net_rig_answer(rig, 3);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 3);
    net_rig_send(rig, API_METADATA, 4); /* does not wait for it either */
    net_rig_run(rig);
    net_rig_answer(rig, 4);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 4);
    request_answer_none(rig->held[2]);
    rig->held[2] = NULL;
    ck_assert(!net_rig_is_closed(rig));
    net_rig_end(rig);
}
END_TEST

START_TEST(a_failure_without_a_slot_flushes_what_is_open_and_closes)
{
    for (int silent = 0; silent < 2; silent++) {
        struct net_rig *rig = net_rig_new(NULL);

        net_rig_send(rig, API_FETCH, 1);
        net_rig_send(rig, API_PRODUCE, 2);
        net_rig_run(rig);
        if (silent)
            request_expect_none(rig->held[1]);
        request_fail_close(rig->held[1], "test");
        rig->held[1] = NULL;
        net_rig_send(rig, API_PRODUCE, 3);
        net_rig_run(rig);
        ck_assert_int_eq(rig->held_count, 2); /* nothing more is read */
        net_rig_answer(rig, 0);
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
        ck_assert(net_rig_is_closed(rig));
        net_rig_end(rig);
    }
}
END_TEST

static int dropped;

static void answer_when_dropped(struct request *req)
{
    dropped++;
    request_answer(req, net_rig_response(req));
}

START_TEST(a_failure_drops_what_is_behind_it)
{
    struct net_rig *rig = net_rig_new(NULL);

    dropped = 0;
    for (int32_t i = 0; i < 4; i++)
        net_rig_send(rig, API_FETCH, i);
    net_rig_run(rig);
    request_on_drop(rig->held[3], answer_when_dropped);
    rig->held[3] = NULL;
    net_rig_answer(rig, 2);
    request_fail_close(rig->held[1], "test");
    rig->held[1] = NULL;
    ck_assert(!net_rig_is_closed(rig));
    net_rig_answer(rig, 0);
    ck_assert_int_eq(dropped, 1);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 0);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), -1);
    ck_assert(net_rig_is_closed(rig));
    net_rig_end(rig);
}
END_TEST

START_TEST(ending_twice_is_a_bug)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_FETCH, 1);
    net_rig_send(rig, API_FETCH, 2);
    net_rig_run(rig);
    request_answer(rig->held[1], net_rig_response(rig->held[1]));
    request_answer(rig->held[1], net_rig_response(rig->held[1])); /* aborts here */
}
END_TEST

static void finish_elsewhere(struct request *req)
{
    request_answer(req, net_rig_response(req));
}

START_TEST(a_post_ends_it_on_its_reactor)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_FETCH, 1);
    net_rig_run(rig);
    request_post(rig->held[0], finish_elsewhere);
    rig->held[0] = NULL;
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    net_rig_end(rig);
}
END_TEST

START_TEST(bytes_may_outlive_the_request)
{
    struct net_rig *rig = net_rig_new(NULL);
    uint8_t *frame = calloc(1, 20000);
    size_t head = net_rig_frame(frame, API_METADATA, 0, 5);

    memset(frame + head, 0xcd, 20000 - head);
    for (int i = 0; i < 2; i++) { /* borrowed from the block, copied */
        size_t len = i == 0 ? 20000 : 200;

        store_be32(frame, (uint32_t)len - 4);
        net_rig_send_bytes(rig, frame, len);
        net_rig_run(rig);
        struct request *req = rig->held[i];
        struct slice kept = request_bytes_ref(req, req->bytes + 100, 96);
        net_rig_answer(rig, i);
        net_rig_next(rig, NULL, NULL);
        for (size_t j = 0; j < kept.len; j++)
            ck_assert_int_eq(kept.base[j], 0xcd);
        slice_unref(&kept);
        ck_assert_int_eq(rig->held_count, i + 1);
    }
    free(frame);
    net_rig_end(rig);
}
END_TEST

/* ---- ranges ---- */

static int released;
static bool is_cut;

static bool file_is_valid(const struct range_ref *range)
{
    ck_assert_int_eq(range->own[0], 42);
    return !is_cut;
}

static void file_release(struct range_ref *range)
{
    ck_assert_int_eq(range->own[0], 42);
    released++;
}

static const struct range_ops file_ops = { .is_valid = file_is_valid, .release = file_release };

static int file_of(const uint8_t *bytes, size_t len)
{
    char path[] = "/tmp/moldau-range-XXXXXX";
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    unlink(path);
    ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

/* A fetch's answer of parts ranges of the file, each len bytes from pos 3 on. */
static struct fetch_response *answer_of(struct request *req, int fd, int parts, size_t len)
{
    struct fetch_response *resp = net_rig_response(req);
    struct fetch_response_topic *topic = arena_alloc(&req->arena, sizeof *topic);

    fetch_response_topic_init(topic);
    topic->topic = STR("t");
    topic->partitions = arena_alloc(&req->arena, (size_t)parts * sizeof *topic->partitions);
    topic->partitions_len = parts;
    for (int i = 0; i < parts; i++) {
        struct range_ref *range = arena_zalloc(&req->arena, 1, sizeof *range);

        range->ops = &file_ops;
        range->fd = fd;
        range->pos = 3;
        range->len = len;
        range->own[0] = 42;
        fetch_response_partition_init(&topic->partitions[i]);
        topic->partitions[i].partition_index = i;
        topic->partitions[i].records = (struct wire_records){ .len = (int32_t)len, .ext = range };
    }
    resp->responses = topic;
    resp->responses_len = 1;
    return resp;
}

static uint8_t *noise(size_t len)
{
    uint8_t *bytes = xmalloc(len);
    uint32_t x = 12345;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return bytes;
}

START_TEST(ranges_of_a_file_are_where_the_answer_has_them)
{
    struct net_rig *rig = net_rig_new(NULL);
    size_t len = 300000;
    uint8_t *bytes = noise(len + 3);
    int fd = file_of(bytes, len + 3);
    struct arena arena;
    const uint8_t *frame;
    size_t frame_len;

    is_cut = false;
    released = 0;
    arena_init(&arena, SIZE_MAX);
    for (int32_t i = 0; i < 2; i++)
        net_rig_send(rig, API_FETCH, i);
    net_rig_run(rig);
    for (int i = 1; i >= 0; i--) { /* the second one waits, with its ranges */
        request_answer(rig->held[i], answer_of(rig->held[i], fd, 11, len));
        rig->held[i] = NULL;
    }
    for (int32_t i = 0; i < 2; i++) {
        struct fetch_response resp;

        while (net_rig_next(rig, &frame, &frame_len) != i)
            ;
        struct wire_in in = wire_in_of(frame + 4, frame_len - 4, &arena);
        fetch_response_init(&resp);
        ck_assert_int_eq(fetch_response_decode(&resp, &in, 4), ERR_OK);
        ck_assert_int_eq(resp.responses[0].partitions_len, 11);
        for (int p = 0; p < 11; p++) {
            ck_assert_int_eq(resp.responses[0].partitions[p].records.len, (int32_t)len);
            ck_assert_mem_eq(resp.responses[0].partitions[p].records.data, bytes + 3, len);
        }
    }
    ck_assert_int_eq(released, 22);
    arena_fini(&arena);
    free(bytes);
    close(fd);
    net_rig_end(rig);
}
END_TEST

START_TEST(a_range_in_memory_is_sent_as_well)
{
    struct net_rig *rig = net_rig_new(NULL);
    const uint8_t *frame;
    size_t frame_len;
    uint8_t *fill;

    is_cut = false;
    released = 0;
    net_rig_send(rig, API_FETCH, 1);
    net_rig_run(rig);
    struct fetch_response *resp = answer_of(rig->held[0], -1, 1, 100000);
    struct range_ref *range = resp->responses[0].partitions[0].records.ext;
    range->bytes = slice_new(100000, &fill);
    memset(fill, 0x5a, 100000);
    request_answer(rig->held[0], resp);
    rig->held[0] = NULL;
    ck_assert_int_eq(net_rig_next(rig, &frame, &frame_len), 1);
    for (size_t i = frame_len - 100000; i < frame_len; i++)
        ck_assert_int_eq(frame[i], 0x5a);
    ck_assert_int_eq(released, 1);
    net_rig_end(rig);
}
END_TEST

START_TEST(a_truncated_log_closes_the_connection)
{
    for (int shorter = 0; shorter < 2;
         shorter++) { /* found by the check, found by the file's end */
        struct net_rig *rig = net_rig_new(NULL);
        size_t len = 4000000; /* more than fits the socket */
        uint8_t *bytes = noise(len + 3);
        int fd = file_of(bytes, len + 3);

        is_cut = false;
        released = 0;
        net_rig_send(rig, API_FETCH, 1);
        net_rig_run(rig);
        request_answer(rig->held[0], answer_of(rig->held[0], fd, 1, len));
        rig->held[0] = NULL;
        net_rig_run(rig);
        ck_assert_int_eq(released, 0);
        if (shorter)
            ck_assert_int_eq(ftruncate(fd, 100), 0);
        else
            is_cut = true;
        for (int i = 0; i < 100 && !net_rig_is_closed(rig); i++)
            ;
        ck_assert(net_rig_is_closed(rig));
        ck_assert_uint_lt(rig->got_len, len);
        ck_assert_int_eq(released, 1);
        free(bytes);
        close(fd);
        net_rig_end(rig);
    }
}
END_TEST

START_TEST(ranges_for_a_dead_client_are_released)
{
    struct net_rig *rig = net_rig_new(NULL);
    int fd = file_of((const uint8_t *)"abcdef", 6);

    released = 0;
    net_rig_send(rig, API_FETCH, 1);
    net_rig_run(rig);
    close(rig->client);
    rig->client = -1;
    net_rig_run(rig);
    net_rig_pass_ms(rig, 6000);
    ck_assert_int_eq(conns_count(rig->conns), 0);
    request_answer(rig->held[0], answer_of(rig->held[0], fd, 1, 3));
    rig->held[0] = NULL;
    ck_assert_int_eq(released, 1);
    close(fd);
    net_rig_end(rig);
}
END_TEST

/* A client that asks for more than a frame can hold harms nobody but itself. */
START_TEST(an_answer_larger_than_a_frame_ends_the_connection)
{
    for (int i = 0; i < 2; i++) {
        struct net_rig *rig = net_rig_new(NULL);
        int fd = file_of((const uint8_t *)"abcdef", 6);

        released = 0;
        net_rig_send(rig, API_FETCH, 1);
        net_rig_send(rig, API_FETCH, 2);
        net_rig_run(rig);
        request_answer(rig->held[i], answer_of(rig->held[i], fd, 3, (size_t)1 << 30));
        rig->held[i] = NULL;
        ck_assert_int_eq(released, 3);
        if (i == 1) { /* what was asked before is answered */
            net_rig_answer(rig, 0);
            ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
        }
        ck_assert(net_rig_is_closed(rig));
        if (i == 0) {
            request_answer(rig->held[1], net_rig_response(rig->held[1]));
            rig->held[1] = NULL;
        }
        close(fd);
        net_rig_end(rig);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("request");

    tcase_add_test(tc, no_answer_takes_no_slot);
    tcase_add_test(tc, a_failure_without_a_slot_flushes_what_is_open_and_closes);
    tcase_add_test(tc, a_failure_drops_what_is_behind_it);
    tcase_add_test_raise_signal(tc, ending_twice_is_a_bug, SIGABRT);
    tcase_add_test(tc, a_post_ends_it_on_its_reactor);
    tcase_add_test(tc, bytes_may_outlive_the_request);
    tcase_add_test(tc, ranges_of_a_file_are_where_the_answer_has_them);
    tcase_add_test(tc, a_range_in_memory_is_sent_as_well);
    tcase_add_test(tc, a_truncated_log_closes_the_connection);
    tcase_add_test(tc, ranges_for_a_dead_client_are_released);
    tcase_add_test(tc, an_answer_larger_than_a_frame_ends_the_connection);
    return unit_run(tc);
}
