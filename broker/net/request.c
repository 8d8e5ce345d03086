/*
 * How a request ends. The first of the ring is encoded straight onto the connection's output; one
 * whose elders are still open keeps its encoded answer until they are answered. An answer for a
 * connection that is gone is encoded all the same: that is how the ranges in it are found and let
 * go.
 */
#include "broker/net/request.h"

#include <assert.h>
#include <string.h>

#include "broker/net/conn_int.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

static const char too_large[] = "an answer is larger than a frame can be";

static void check_open(const struct request *req)
{
    assert(reactor_is_here(req->reactor));
    assert(req->phase == REQUEST_OPEN); /* else it is ended twice */
}

static bool is_gone(const struct conn *conn)
{
    return conn->sock == NULL || conn->cut;
}

static void count(const struct request *req)
{
    unsigned kind = stats_request(req->key, req->is_follower);

    STAT_ADD_AT(requests, kind, 1);
    STAT_ADD_AT(request_bytes, kind, req->size);
    STAT_TIME_AT(request_time, kind, clock_mono_us() - req->received_us);
}

static void fail_close(struct request *req, const char *why)
{
    struct conn *conn = req->conn;

    if (is_gone(conn)) {
        if (req->in_ring)
            conn_unlink(conn, req);
        conns_end_request(req);
        return;
    }
    conn_finish(conn, why);
    if (req->is_silent) {
        conn_unlink(conn, req);
        conns_end_request(req);
        return;
    }
    req->phase = REQUEST_FAILED;
    if (TAILQ_FIRST(&conn->ring) == req)
        conn_advance(conn);
}

void request_answer(struct request *req, const void *resp)
{
    request_answer_in(req, resp, req->version);
}

void request_answer_in(struct request *req, const void *resp, int16_t version)
{
    struct conn *conn = req->conn;
    struct conns *conns = conn->conns;

    check_open(req);
    assert(!req->is_silent);
    count(req);
    if (is_gone(conn)) {
        out_encode(conns, req, resp, version, &req->out);
        if (req->in_ring)
            conn_unlink(conn, req);
        conns_end_request(req);
        return;
    }
    if (TAILQ_FIRST(&conn->ring) != req) {
        if (out_encode(conns, req, resp, version, &req->out) > 0)
            req->phase = REQUEST_ANSWERED;
        else
            fail_close(req, too_large);
        return;
    }
    size_t bytes = out_encode(conns, req, resp, version, &conn->out);
    if (bytes == 0) {
        fail_close(req, too_large);
        return;
    }
    conn->out_bytes += bytes;
    conn_unlink(conn, req);
    conns_end_request(req); /* the connection stays: it is open */
    conn_advance(conn);
    conn_flush_later(conn);
}

void request_answer_none(struct request *req)
{
    struct conn *conn = req->conn;

    check_open(req);
    count(req);
    bool was_first = TAILQ_FIRST(&conn->ring) == req;
    conn_unlink(conn, req);
    if (!is_gone(conn)) {
        if (was_first)
            conn_advance(conn);
        conn_flush_later(conn); /* it may be the last that a closing connection waited for */
    }
    conns_end_request(req);
}

void request_expect_none(struct request *req)
{
    struct conn *conn = req->conn;

    check_open(req);
    assert(!req->is_silent);
    if (!req->in_ring) {
        req->is_silent = true; /* dropped */
        return;
    }
    bool was_first = TAILQ_FIRST(&conn->ring) == req;
    conn_unlink(conn, req);
    TAILQ_INSERT_TAIL(&conn->silent, req, link);
    req->is_silent = true;
    req->in_ring = true;
    conn->open++;
    if (was_first && !is_gone(conn)) {
        conn_advance(conn);
        conn_flush_later(conn);
    }
}

void request_fail_close(struct request *req, const char *why)
{
    check_open(req);
    fail_close(req, why);
}

void request_hold(struct request *req)
{
    check_open(req);
    assert(req->conn->holder == NULL);
    if (req->in_ring)
        req->conn->holder = req;
}

void request_release(struct request *req)
{
    check_open(req);
    if (req->conn->holder == req)
        conn_release(req->conn);
}

static void run_posted(struct msg *msg)
{
    struct request *req = container_of(msg, struct request, msg);

    req->posted(req);
}

void request_post(struct request *req, void (*fn)(struct request *))
{
    req->posted = fn;
    req->msg.run = run_posted;
    reactor_post(req->reactor, &req->msg);
}

void request_on_drop(struct request *req, void (*fn)(struct request *))
{
    assert(reactor_is_here(req->reactor));
    req->on_drop = fn;
}

bool request_is_dropped(const struct request *req)
{
    return is_gone(req->conn);
}

struct slice request_bytes_ref(const struct request *req, const void *ptr, size_t len)
{
    const uint8_t *at = ptr;
    uint8_t *fill;

    if (len == 0)
        return SLICE_EMPTY;
    assert(at >= req->bytes);
    assert(len <= req->size - (size_t)(at - req->bytes));
    if (req->frame.len > 0)
        return slice_cut(&req->frame, (size_t)(at - req->bytes), len);
    struct slice copy = slice_new(len, &fill);
    memcpy(fill, at, len);
    return copy;
}

void request_mute_conn(struct request *req, int64_t delay_ms)
{
    assert(reactor_is_here(req->reactor));
    if (!is_gone(req->conn))
        conn_mute(req->conn, delay_ms);
}

const struct dispatch *request_dispatch(const struct request *req)
{
    return req->conn->conns->dispatch;
}
