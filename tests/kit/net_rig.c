#include "tests/kit/net_rig.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/api/api_versions.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/frame.h"

static void hold(struct request *req, void *body, void *context)
{
    struct net_rig *rig = context;

    ck_assert_ptr_nonnull(body);
    rig->handled++;
    if (rig->answer_at_once) {
        request_answer(req, net_rig_response(req));
        return;
    }
    ck_assert_int_lt(rig->held_count, RIG_HELD_MAX);
    rig->held[rig->held_count++] = req;
}

static int64_t told_time(void *arg)
{
    return ((struct net_rig *)arg)->now_us;
}

struct net_rig *net_rig_new(const struct conns_conf *conf)
{
    static const struct handler rows[] = {
        { API_PRODUCE, 0, 11, HANDLER_PIPELINED, hold },
        { API_FETCH, 4, 17, HANDLER_PIPELINED, hold },
        { API_METADATA, 0, 12, 0, hold },
        { API_HEARTBEAT, 0, 4, 0, hold },
        { API_API_VERSIONS, 0, 4, HANDLER_ANY_VERSION, api_versions_handle },
    };
    static struct net_rig rig_storage;
    struct net_rig *rig = &rig_storage;
    struct conns_conf defaults = { .request_max_bytes = 100 * 1024 * 1024, .idle_max_ms = 600000 };

    say_setup(SAY_ERROR, SAY_TEXT, "test");
    memset(rig, 0, sizeof *rig);
    rig->now_us = 1000000;
    rig->listener = (struct listener_info){ .name = "PLAINTEXT", .protocol = "PLAINTEXT" };
    rig->reactor = reactor_new();
    reactor_set_clock(rig->reactor, told_time, rig);
    dispatch_init(&rig->dispatch, rows, ARRAY_LEN(rows), rig);
    if (conf != NULL)
        defaults = *conf;
    if (defaults.memory == NULL) {
        budget_init(&rig->memory, 256 * 1024 * 1024);
        defaults.memory = &rig->memory;
    }
    rig->conns = conns_new(rig->reactor, &defaults, &rig->dispatch);
    rig->client = net_rig_connect(rig);
    return rig;
}

void net_rig_end(struct net_rig *rig)
{
    conns_close_all(rig->conns);
    for (int i = 0; i < rig->held_count; i++)
        if (rig->held[i] != NULL)
            net_rig_answer(rig, i);
    net_rig_run(rig);
    ck_assert_uint_eq(conns_open_requests(rig->conns), 0);
    ck_assert_int_eq(conns_count(rig->conns), 0);
    ck_assert_uint_eq(budget_used(&rig->memory), 0);
    conns_free(&rig->conns);
    reactor_free(&rig->reactor);
    if (rig->client >= 0)
        close(rig->client);
}

int net_rig_connect(struct net_rig *rig)
{
    struct net_addr peer = { 0 };
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    conns_add(rig->conns, pair[0], &peer, &rig->listener, NULL);
    return pair[1];
}

void net_rig_run(struct net_rig *rig)
{
    for (int i = 0; i < 40; i++)
        reactor_turn(rig->reactor, false);
}

void net_rig_pass_ms(struct net_rig *rig, int64_t ms)
{
    rig->now_us += ms * 1000;
    net_rig_run(rig);
}

size_t net_rig_frame(uint8_t *into, int16_t key, int16_t version, int32_t correlation_id)
{
    const struct wire_api *api = wire_api(key);
    struct frame_request_header header = { .api_key = key,
                                           .api_version = version,
                                           .correlation_id = correlation_id,
                                           .client_id = STR("rig") };
    void *body = xcalloc(1, api->request_size);

    api->request.init(body);
    size_t len = frame_request_header_size(&header) + api->request.size(body, version);
    struct wire_out out = wire_out_of(into, FRAME_LEN_BYTES + len);
    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    api->request.encode(body, &out, version);
    free(body);
    return out.pos;
}

void net_rig_send_bytes(struct net_rig *rig, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = send(rig->client, at, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            net_rig_run(rig);
            continue;
        }
        ck_assert_int_gt(n, 0);
        at += n;
        len -= (size_t)n;
    }
}

void net_rig_send(struct net_rig *rig, int16_t key, int32_t correlation_id)
{
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, key, 4, correlation_id);

    net_rig_send_bytes(rig, frame, len);
}

void *net_rig_response(struct request *req)
{
    void *resp = arena_alloc(&req->arena, req->api->response_size);

    req->api->response.init(resp);
    return resp;
}

void net_rig_answer(struct net_rig *rig, int index)
{
    struct request *req = rig->held[index];

    ck_assert_ptr_nonnull(req);
    rig->held[index] = NULL;
    request_answer(req, net_rig_response(req));
}

bool net_rig_read(struct net_rig *rig)
{
    for (;;) {
        ssize_t n = recv(rig->client, rig->got + rig->got_len, sizeof rig->got - rig->got_len, 0);

        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return true;
        if (n < 0 && errno == EAGAIN)
            return false;
        ck_assert_int_gt(n, 0);
        rig->got_len += (size_t)n;
    }
}

int32_t net_rig_next(struct net_rig *rig, const uint8_t **frame, size_t *len)
{
    static uint8_t copy[sizeof rig->got];

    net_rig_run(rig);
    net_rig_read(rig);
    if (rig->got_len < FRAME_LEN_BYTES)
        return -1;
    size_t size = load_be32(rig->got);
    if (rig->got_len - FRAME_LEN_BYTES < size)
        return -1;
    memcpy(copy, rig->got + FRAME_LEN_BYTES, size);
    rig->got_len -= FRAME_LEN_BYTES + size;
    memmove(rig->got, rig->got + FRAME_LEN_BYTES + size, rig->got_len);
    if (frame != NULL) {
        *frame = copy;
        *len = size;
    }
    return load_i32(copy);
}

bool net_rig_is_closed(struct net_rig *rig)
{
    net_rig_run(rig);
    return net_rig_read(rig);
}

int net_rig_dial(int port)
{
    struct net_addr addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(net_addr_find("127.0.0.1", port, &addr), ERR_OK);
    ck_assert_int_eq(connect(fd, &addr.at.any, addr.len), 0);
    return fd;
}

void net_rig_send_to(int fd, int16_t key, int32_t correlation_id)
{
    uint8_t frame[512];
    size_t len = net_rig_frame(frame, key, 4, correlation_id);

    ck_assert_int_eq(send(fd, frame, len, MSG_NOSIGNAL), (ssize_t)len);
}

int32_t net_rig_receive_from(int fd)
{
    uint8_t head[8], rest[65536];

    if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head)
        return -1;
    size_t left = load_be32(head) - 4;
    ck_assert_uint_le(left, sizeof rest);
    if (left > 0)
        ck_assert_int_eq(recv(fd, rest, left, MSG_WAITALL), (ssize_t)left);
    return load_i32(head + 4);
}
