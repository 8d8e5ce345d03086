/*
 * conn: frames out of any pieces, the order of taking up and of answering, what ends a connection,
 * and that nothing a client does makes memory grow.
 */
#include "broker/net/conn.h"

#include <check.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/wire/frame.h"
#include "gen/wire/metadata.h"
#include "tests/kit/net_rig.h"
#include "tests/kit/unit.h"

START_TEST(frames_come_out_of_single_bytes)
{
    struct net_rig *rig = net_rig_new(NULL);
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, API_METADATA, 4, 7);

    rig->answer_at_once = true;
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < len; i++) {
            ck_assert_int_eq(rig->handled, round);
            net_rig_send_bytes(rig, frame + i, 1);
            net_rig_run(rig);
        }
    ck_assert_int_eq(rig->handled, 3);
    for (int round = 0; round < 3; round++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 7);
    net_rig_end(rig);
}
END_TEST

START_TEST(a_thousand_frames_at_once_come_back_in_order)
{
    struct net_rig *rig = net_rig_new(NULL);

    rig->answer_at_once = true;
    for (int32_t i = 0; i < 1000; i++)
        net_rig_send(rig, i % 3 == 0 ? API_METADATA : API_PRODUCE, i);
    for (int32_t i = 0; i < 1000; i++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), i);
    net_rig_end(rig);
}
END_TEST

START_TEST(produce_and_fetch_overlap_and_are_answered_in_order)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_PRODUCE, 1);
    net_rig_send(rig, API_FETCH, 2);
    net_rig_send(rig, API_PRODUCE, 3);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 3);
    net_rig_answer(rig, 2);
    net_rig_answer(rig, 1);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), -1);
    net_rig_answer(rig, 0);
    for (int32_t i = 1; i <= 3; i++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), i);
    net_rig_end(rig);
}
END_TEST

START_TEST(other_kinds_go_alone)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_PRODUCE, 1);
    net_rig_send(rig, API_METADATA, 2);
    net_rig_send(rig, API_PRODUCE, 3);
    net_rig_send(rig, API_HEARTBEAT, 4);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 1); /* Metadata waits for the produce */
    net_rig_answer(rig, 0);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 2); /* and holds back the next */
    net_rig_answer(rig, 1);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 3);
    net_rig_answer(rig, 2);
    net_rig_run(rig);
    net_rig_answer(rig, 3);
    for (int32_t i = 1; i <= 4; i++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), i);
    net_rig_end(rig);
}
END_TEST

START_TEST(nothing_overtakes_one_that_holds)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_PRODUCE, 1);
    net_rig_run(rig);
    request_hold(rig->held[0]);
    net_rig_send(rig, API_PRODUCE, 2);
    net_rig_send(rig, API_FETCH, 3);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 1);
    request_release(rig->held[0]);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 3); /* it is not answered yet, they may wait beside it */
    request_hold(rig->held[2]);
    net_rig_send(rig, API_PRODUCE, 4);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 3);
    net_rig_answer(rig, 2); /* its end lets go as well, once it is out */
    net_rig_answer(rig, 0);
    net_rig_answer(rig, 1);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 4);
    net_rig_answer(rig, 3);
    for (int32_t i = 1; i <= 4; i++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), i);
    net_rig_end(rig);
}
END_TEST

START_TEST(open_requests_are_bounded)
{
    struct conns_conf conf = { .request_max_bytes = 1 << 20, .open_max = 5 };
    struct net_rig *rig = net_rig_new(&conf);

    for (int32_t i = 0; i < 100; i++)
        net_rig_send(rig, API_FETCH, i);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 5);
    for (int32_t i = 0; i < 100; i++) {
        net_rig_answer(rig, i);
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), i);
        ck_assert_int_le(rig->held_count, i + 6);
    }
    net_rig_end(rig);
}
END_TEST

START_TEST(who_does_not_read_is_not_read_from)
{
    struct conns_conf conf = { .request_max_bytes = 1 << 20, .output_max_bytes = 65536 };
    struct net_rig *rig = net_rig_new(&conf);
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, API_PRODUCE, 4, 1);
    int sent = 0;

    rig->answer_at_once = true;
    for (;; sent++) { /* until the socket towards the server is full */
        ssize_t n = send(rig->client, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        net_rig_run(rig);
        if (n < 0)
            break;
        ck_assert_int_eq(n, (ssize_t)len);
        ck_assert_int_lt(sent, 1000000);
    }
    ck_assert_int_lt(rig->handled, sent);
    int handled = rig->handled;
    net_rig_pass_ms(rig, 2500); /* and goes on waiting */
    ck_assert_int_eq(rig->handled, handled);
    for (int i = 0; i < sent; i++)
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    ck_assert_int_eq(rig->handled, sent);
    net_rig_end(rig);
}
END_TEST

/* Sends bytes, expects to be closed without anything being handled. */
static void refused(const void *bytes, size_t len)
{
    struct net_rig *rig = net_rig_new(NULL);
    struct conns_totals totals;

    net_rig_send_bytes(rig, bytes, len);
    ck_assert(net_rig_is_closed(rig));
    conns_totals(rig->conns, &totals);
    ck_assert_uint_eq(totals.refused, 1);
    ck_assert_uint_eq(totals.closed, 1);
    ck_assert_int_eq(rig->handled, 0);
    net_rig_end(rig);
}

START_TEST(garbage_closes_the_connection)
{
    uint8_t frame[512];

    refused("\xff\xff\xff\xff", 4); /* negative size */
    refused("\x7f\xff\xff\xff", 4); /* 2 GB */
    refused("\0\0\0\0", 4);         /* nothing */
    refused("\0\0\0\7", 4);         /* too short for a header */
    refused("\0\0\1\0\x12\x34", 6); /* unknown key, told by its first bytes */
    refused("GET / HTTP/1.0\r\n\r\n", 18);
    size_t len = net_rig_frame(frame, API_METADATA, 4, 1);
    store_be16(frame + 6, 99); /* unknown version */
    refused(frame, len);
    store_be16(frame + 6, 0xffff);
    refused(frame, len);
    len = net_rig_frame(frame, API_METADATA, 4, 1);
    store_be32(frame, (uint32_t)len - 4 - 2); /* a body cut short */
    refused(frame, len - 2);
    len = net_rig_frame(frame, API_METADATA, 4, 1);
    store_be16(frame + 12, 30000); /* client id beyond the frame */
    refused(frame, len);
}
END_TEST

START_TEST(garbage_after_a_request_lets_it_be_answered)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_PRODUCE, 1);
    net_rig_send_bytes(rig, "\xff\xff\xff\xff", 4);
    ck_assert(!net_rig_is_closed(rig));
    net_rig_answer(rig, 0);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    ck_assert(net_rig_is_closed(rig));
    net_rig_end(rig);
}
END_TEST

START_TEST(an_unknown_api_versions_is_told_what_is_known)
{
    static const uint8_t want[] = { 0, 0, 0, 9, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4 };
    struct net_rig *rig = net_rig_new(NULL);
    const uint8_t *answer;
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, API_API_VERSIONS, 3, 9);

    store_be16(frame + 6, 9);
    net_rig_send_bytes(rig, frame, len);
    ck_assert_int_eq(net_rig_next(rig, &answer, &len), 9);
    ck_assert_uint_eq(len, sizeof want);
    ck_assert_mem_eq(answer, want, sizeof want);
    net_rig_end(rig);
}
END_TEST

START_TEST(half_closed_clients_get_their_answers)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_FETCH, 1);
    net_rig_send(rig, API_METADATA, 2);
    shutdown(rig->client, SHUT_WR);
    ck_assert(!net_rig_is_closed(rig));
    net_rig_answer(rig, 0);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    net_rig_answer(rig, 1);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 2);
    ck_assert(net_rig_is_closed(rig));
    net_rig_end(rig);
}
END_TEST

static int dropped;

static void count_drop(struct request *req)
{
    ck_assert(request_is_dropped(req));
    dropped++;
}

START_TEST(a_dead_client_drops_its_requests)
{
    struct net_rig *rig = net_rig_new(NULL);

    dropped = 0;
    for (int32_t i = 0; i < 3; i++)
        net_rig_send(rig, API_FETCH, i);
    net_rig_run(rig);
    for (int i = 0; i < 3; i++)
        request_on_drop(rig->held[i], count_drop);
    net_rig_answer(rig, 1);
    close(rig->client);
    rig->client = -1;
    net_rig_run(rig);
    net_rig_pass_ms(rig, 5001); /* it might have been half closed */
    ck_assert_int_eq(dropped, 2);
    ck_assert_int_eq(conns_count(rig->conns), 0);
    ck_assert_uint_eq(conns_open_requests(rig->conns), 2);
    net_rig_answer(rig, 2); /* into the void */
    net_rig_end(rig);
}
END_TEST

START_TEST(a_client_that_dies_while_not_read_from_is_noticed)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_METADATA, 1);
    for (int32_t i = 0; i < 100; i++)
        net_rig_send(rig, API_HEARTBEAT, i); /* stalls behind it */
    net_rig_run(rig);
    close(rig->client);
    rig->client = -1;
    net_rig_pass_ms(rig, 1100);
    net_rig_pass_ms(rig, 5100);
    ck_assert_int_eq(conns_count(rig->conns), 0);
    net_rig_end(rig);
}
END_TEST

START_TEST(idle_connections_are_closed)
{
    struct conns_conf conf = { .request_max_bytes = 1 << 20, .idle_max_ms = 1000 };
    struct net_rig *rig = net_rig_new(&conf);
    int other = net_rig_connect(rig);

    net_rig_pass_ms(rig, 600);
    net_rig_send(rig, API_FETCH, 1);
    net_rig_pass_ms(rig, 600);
    ck_assert_int_eq(conns_count(rig->conns), 1); /* the other */
    net_rig_pass_ms(rig, 5000);
    ck_assert_int_eq(conns_count(rig->conns), 1); /* it is we who are silent */
    net_rig_answer(rig, 0);
    net_rig_run(rig);
    net_rig_pass_ms(rig, 1001);
    ck_assert_int_eq(conns_count(rig->conns), 0);
    close(other);
    net_rig_end(rig);
}
END_TEST

START_TEST(a_muted_connection_is_answered_but_not_read)
{
    struct net_rig *rig = net_rig_new(NULL);

    net_rig_send(rig, API_PRODUCE, 1);
    net_rig_run(rig);
    request_mute_conn(rig->held[0], 500);
    net_rig_send(rig, API_PRODUCE, 2);
    net_rig_answer(rig, 0);
    ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 1);
    net_rig_pass_ms(rig, 499);
    ck_assert_int_eq(rig->held_count, 1);
    net_rig_pass_ms(rig, 2);
    ck_assert_int_eq(rig->held_count, 2);
    net_rig_end(rig);
}
END_TEST

/* A produce of one partition with len bytes of records. */
static uint8_t *big_frame(size_t len, size_t *frame_len)
{
    size_t head = net_rig_frame((uint8_t[512]){ 0 }, API_METADATA, 0, 5);
    uint8_t *frame = calloc(1, head + len);

    net_rig_frame(frame, API_METADATA, 0, 5); /* what follows the body is not looked at */
    memset(frame + head, 0xab, len);
    store_be32(frame, (uint32_t)(head + len - 4));
    *frame_len = head + len;
    return frame;
}

START_TEST(large_frames_are_contiguous_and_paid_for)
{
    static const size_t sizes[] = { 4000, 5000, 65520, 65540, 100000, 1 << 20, 5000000, 20000000 };
    struct net_rig *rig = net_rig_new(NULL);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t len;
        uint8_t *frame = big_frame(sizes[i], &len);

        net_rig_send_bytes(rig, frame, len);
        net_rig_run(rig);
        ck_assert_int_eq(rig->held_count, (int)i + 1);
        struct request *req = rig->held[i];
        ck_assert_uint_eq(req->size, len - 4);
        ck_assert_mem_eq(req->bytes, frame + 4, len - 4);
        ck_assert(sizes[i] < 65536 || budget_used(&rig->memory) >= sizes[i]);
        net_rig_answer(rig, (int)i);
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 5);
        ck_assert_uint_eq(budget_used(&rig->memory), 0);
        free(frame);
    }
    net_rig_end(rig);
}
END_TEST

/* A Metadata that asks for so many topics, all of that name. */
static uint8_t *names_frame(int32_t count, struct str name, size_t *frame_len)
{
    struct frame_request_header header = {
        .api_key = API_METADATA, .api_version = 9, .correlation_id = 5, .client_id = STR("rig")
    };
    struct metadata_request body;

    metadata_request_init(&body);
    body.topics = calloc((size_t)count, sizeof *body.topics);
    body.topics_len = count;
    for (int32_t i = 0; i < count; i++)
        body.topics[i].name = name;
    size_t len = frame_request_header_size(&header) + metadata_request_size(&body, 9);
    struct wire_out out = wire_out_of(calloc(1, FRAME_LEN_BYTES + len), FRAME_LEN_BYTES + len);
    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    metadata_request_encode(&body, &out, 9);
    free(body.topics);
    *frame_len = out.pos;
    return out.base;
}

START_TEST(what_a_frame_is_decoded_to_is_paid_for)
{
    static const struct {
        int32_t count;
        const char *name;
    } asked[] = { { 20000, "a-topic-of-some-service" }, { 500000, "a-topic" }, { 500000, "t" } };
    struct net_rig *rig = net_rig_new(NULL);

    for (int i = 0; i < (int)ARRAY_LEN(asked); i++) {
        size_t len, decoded = (size_t)asked[i].count * sizeof(struct metadata_request_topic);
        uint8_t *frame = names_frame(asked[i].count, str_of(asked[i].name), &len);

        net_rig_send_bytes(rig, frame, len);
        net_rig_run(rig);
        ck_assert_int_eq(rig->held_count, i + 1);
        ck_assert_uint_ge(budget_used(&rig->memory), len + decoded);
        net_rig_answer(rig, i);
        ck_assert_int_eq(net_rig_next(rig, NULL, NULL), 5);
        ck_assert_uint_eq(budget_used(&rig->memory), 0);
        free(frame);
    }
    net_rig_end(rig);
}
END_TEST

START_TEST(a_frame_that_would_be_decoded_to_very_much_is_refused)
{
    size_t len;
    uint8_t *frame = names_frame(2200000, STR("t"), &len);

    ck_assert_uint_lt(len, 7 << 20);
    refused(frame, len);
    free(frame);
}
END_TEST

/* What a frame has been decoded to is there, whether memory is left or not; who comes later waits.
 */
START_TEST(what_is_decoded_may_pass_the_bound_and_holds_others_back)
{
    struct budget memory;
    struct conns_conf conf = { .request_max_bytes = 1 << 24, .memory = &memory };
    size_t len, large_len;
    uint8_t *frame = names_frame(100000, STR("t"), &len), *large = big_frame(100000, &large_len);

    budget_init(&memory, 2 << 20);
    struct net_rig *rig = net_rig_new(&conf);
    net_rig_send_bytes(rig, frame, len);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 1);
    ck_assert_uint_gt(budget_used(&memory), memory.limit);
    int other = net_rig_connect(rig);
    ck_assert_int_gt(send(other, large, large_len, MSG_DONTWAIT), 65536);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 1);
    net_rig_answer(rig, 0);
    net_rig_pass_ms(rig, 100);
    ck_assert_int_eq(rig->held_count, 2);
    net_rig_answer(rig, 1);
    net_rig_run(rig);
    ck_assert_uint_eq(budget_used(&memory), 0);
    close(other);
    free(frame);
    free(large);
    net_rig_end(rig);
}
END_TEST

START_TEST(without_memory_reading_waits)
{
    struct budget memory;
    struct conns_conf conf = { .request_max_bytes = 1 << 24, .memory = &memory };
    size_t len;
    uint8_t *frame = big_frame(100000, &len);

    budget_init(&memory, 100000); /* less than the frame's block */
    struct net_rig *rig = net_rig_new(&conf);
    ck_assert_int_gt(send(rig->client, frame, len, MSG_DONTWAIT), 65536);
    net_rig_run(rig);
    net_rig_pass_ms(rig, 100);
    ck_assert_int_eq(rig->held_count, 0);
    ck_assert_int_eq(conns_count(rig->conns), 1);
    memory.limit = 1 << 20;
    net_rig_pass_ms(rig, 100);
    net_rig_run(rig);
    ck_assert_int_eq(rig->held_count, 1);
    net_rig_answer(rig, 0);
    ck_assert_uint_eq(budget_used(&memory), 0);
    free(frame);
    net_rig_end(rig);
}
END_TEST

#define CROWD 8

/* Clients whose frames of 3 MB have begun to come, when memory for a third of them is there. */
struct crowd {
    struct budget memory;
    struct net_rig *rig;
    uint8_t *frame;
    size_t len;
    int fds[CROWD];
    size_t sent[CROWD];
};

static void crowd_start(struct crowd *crowd)
{
    struct conns_conf conf = { .request_max_bytes = 1 << 22, .memory = &crowd->memory };

    budget_init(&crowd->memory, CROWD << 20);
    crowd->frame = big_frame(3 << 20, &crowd->len);
    crowd->rig = net_rig_new(&conf);
    crowd->rig->answer_at_once = true;
    for (int i = 0; i < CROWD; i++) {
        crowd->fds[i] = i == 0 ? crowd->rig->client : net_rig_connect(crowd->rig);
        crowd->sent[i] = 0;
    }
}

/* Everyone sends until so many of its bytes have gone, or nothing more goes. */
static void crowd_send(struct crowd *crowd, size_t upto)
{
    for (int round = 0; round < 500; round++) {
        for (int i = 0; i < CROWD; i++) {
            ssize_t n = crowd->sent[i] >= upto
                            ? 0
                            : send(crowd->fds[i], crowd->frame + crowd->sent[i],
                                   upto - crowd->sent[i], MSG_NOSIGNAL | MSG_DONTWAIT);

            crowd->sent[i] += n > 0 ? (size_t)n : 0;
        }
        net_rig_pass_ms(crowd->rig, 10);
    }
}

static void crowd_end(struct crowd *crowd)
{
    net_rig_end(crowd->rig);
    ck_assert_uint_eq(budget_used(&crowd->memory), 0);
    ck_assert(budget_borrow(&crowd->memory)); /* nobody has kept that right */
    for (int i = 1; i < CROWD; i++)
        close(crowd->fds[i]);
    free(crowd->frame);
}

START_TEST(many_large_frames_that_come_at_once_are_all_taken_up)
{
    struct crowd crowd;

    crowd_start(&crowd);
    crowd_send(&crowd, 1 << 20); /* now each has a part, and nothing is left */
    ck_assert_int_eq(crowd.rig->handled, 0);
    crowd_send(&crowd, crowd.len);
    ck_assert_int_eq(crowd.rig->handled, CROWD);
    ck_assert_int_eq(conns_count(crowd.rig->conns), CROWD);
    crowd_end(&crowd);
}
END_TEST

START_TEST(one_large_frame_at_a_time_is_lent_memory)
{
    struct crowd crowd;

    crowd_start(&crowd);
    crowd.rig->answer_at_once = false;
    crowd_send(&crowd, crowd.len);
    ck_assert_int_eq(crowd.rig->held_count, 1); /* and keeps it until it has been answered */
    ck_assert_uint_le(budget_used(&crowd.memory), (CROWD << 20) + (4 << 20));
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_gt(crowd.rig->held_count, i);
        net_rig_answer(crowd.rig, i);
        crowd_send(&crowd, crowd.len);
    }
    crowd_end(&crowd);
}
END_TEST

START_TEST(who_was_lent_memory_and_does_not_come_on_is_closed)
{
    struct crowd crowd;

    crowd_start(&crowd);
    crowd_send(&crowd, 3 << 19); /* one has been read, and sends no more */
    ck_assert_int_eq(conns_count(crowd.rig->conns), CROWD);
    net_rig_pass_ms(crowd.rig, 50 * 1000);
    ck_assert_int_eq(conns_count(crowd.rig->conns), CROWD);
    net_rig_pass_ms(crowd.rig, 10 * 1000);
    ck_assert_int_eq(conns_count(crowd.rig->conns), CROWD - 1);
    crowd_send(&crowd, crowd.len);
    ck_assert_int_eq(crowd.rig->handled, CROWD - 1);
    ck_assert_int_eq(conns_count(crowd.rig->conns), CROWD - 1);
    crowd_end(&crowd);
}
END_TEST

START_TEST(unfinished_frames_hold_little)
{
    struct net_rig *rig = net_rig_new(NULL);
    static int fds[1000];
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, API_METADATA, 4, 1);

    rig->answer_at_once = true;
    malloc_trim(0);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) {
        fds[i] = net_rig_connect(rig);
        ck_assert_int_eq(send(fds[i], frame, len - 1 - (size_t)(i % 20), MSG_NOSIGNAL),
                         (ssize_t)len - 1 - i % 20);
        reactor_turn(rig->reactor, false);
    }
    net_rig_run(rig);
    /* 64 whole blocks, and 1000 times what a connection takes anyway */
    ck_assert_uint_lt(mallinfo2().uordblks - before, 64 * 65536 + 1000 * 2000 + (1 << 20));
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(send(fds[i], frame + len - 1 - i % 20, 1 + (size_t)(i % 20), MSG_NOSIGNAL),
                         1 + i % 20);
    net_rig_run(rig);
    ck_assert_int_eq(rig->handled, 1000);
    for (int i = 0; i < 1000; i++)
        close(fds[i]);
    net_rig_end(rig);
}
END_TEST

/* Any bytes after a plausible head; the seed is fixed, so that a failure comes back. */
START_TEST(random_frames_never_hurt)
{
    struct net_rig *rig = net_rig_new(NULL);
    static const int16_t keys[] = { API_PRODUCE, API_FETCH, API_METADATA, API_HEARTBEAT,
                                    API_API_VERSIONS };
    struct conns_totals totals;
    uint8_t frame[600];

    rig->answer_at_once = true;
    srandom(42);
    for (int i = 0; i < 20000; i++) {
        size_t len = 12 + (size_t)random() % 500;

        for (size_t j = 0; j < len; j++)
            frame[j] = (uint8_t)(random() % 4 == 0 ? random() : 0);
        store_be32(frame, (uint32_t)len - 4);
        store_be16(frame + 4, (uint16_t)keys[(size_t)random() % ARRAY_LEN(keys)]);
        store_be16(frame + 6, (uint16_t)(random() % 13));
        net_rig_send_bytes(rig, frame, len);
        reactor_turn(rig->reactor, false);
        reactor_turn(rig->reactor, false);
        rig->got_len = 0;
        if (net_rig_read(rig)) {
            close(rig->client);
            rig->client = net_rig_connect(rig);
        }
    }
    conns_totals(rig->conns, &totals);
    ck_assert_uint_gt(totals.refused, 5000);
    ck_assert_uint_gt(totals.requests, 2000);
    net_rig_end(rig);
}
END_TEST

START_TEST(many_connections_leave_nothing_behind)
{
    struct net_rig *rig = net_rig_new(NULL);
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, API_METADATA, 4, 1);

    rig->answer_at_once = true;
    for (int i = 0; i < 10000; i++) {
        int fd = net_rig_connect(rig);

        ck_assert_int_eq(send(fd, frame, len - (size_t)(i % 10), MSG_NOSIGNAL),
                         (ssize_t)len - i % 10);
        reactor_turn(rig->reactor, false);
        close(fd);
        reactor_turn(rig->reactor, false);
    }
    net_rig_run(rig);
    net_rig_pass_ms(rig, 6000);
    ck_assert_int_eq(conns_count(rig->conns), 1);
    net_rig_end(rig);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("conn");

    tcase_add_test(tc, frames_come_out_of_single_bytes);
    tcase_add_test(tc, a_thousand_frames_at_once_come_back_in_order);
    tcase_add_test(tc, produce_and_fetch_overlap_and_are_answered_in_order);
    tcase_add_test(tc, other_kinds_go_alone);
    tcase_add_test(tc, nothing_overtakes_one_that_holds);
    tcase_add_test(tc, open_requests_are_bounded);
    tcase_add_test(tc, who_does_not_read_is_not_read_from);
    tcase_add_test(tc, garbage_closes_the_connection);
    tcase_add_test(tc, garbage_after_a_request_lets_it_be_answered);
    tcase_add_test(tc, an_unknown_api_versions_is_told_what_is_known);
    tcase_add_test(tc, half_closed_clients_get_their_answers);
    tcase_add_test(tc, a_dead_client_drops_its_requests);
    tcase_add_test(tc, a_client_that_dies_while_not_read_from_is_noticed);
    tcase_add_test(tc, idle_connections_are_closed);
    tcase_add_test(tc, a_muted_connection_is_answered_but_not_read);
    tcase_add_test(tc, large_frames_are_contiguous_and_paid_for);
    tcase_add_test(tc, what_a_frame_is_decoded_to_is_paid_for);
    tcase_add_test(tc, a_frame_that_would_be_decoded_to_very_much_is_refused);
    tcase_add_test(tc, what_is_decoded_may_pass_the_bound_and_holds_others_back);
    tcase_add_test(tc, without_memory_reading_waits);
    tcase_add_test(tc, many_large_frames_that_come_at_once_are_all_taken_up);
    tcase_add_test(tc, one_large_frame_at_a_time_is_lent_memory);
    tcase_add_test(tc, who_was_lent_memory_and_does_not_come_on_is_closed);
    tcase_add_test(tc, unfinished_frames_hold_little);
    tcase_add_test(tc, random_frames_never_hurt);
    tcase_add_test(tc, many_connections_leave_nothing_behind);
    return unit_run(tc);
}
