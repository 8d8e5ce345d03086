/*
 * What the connections of one reactor share: the pools, the order of silence, the counts.
 *
 * Blocks to read into are kept by holding a ref on the last few that were used; one whose only ref
 * that is may be used again. So nobody has to say when he is done with record bytes, on whatever
 * thread that is, and a steady load allocates nothing.
 */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/net/conn_int.h"

#define OPEN_MAX_DEFAULT   64
#define OUTPUT_MAX_DEFAULT (4 * 1024 * 1024)

static void on_idle(struct reactor_timer *timer);

struct conns *conns_new(struct reactor *reactor, const struct conns_conf *conf,
                        const struct dispatch *dispatch)
{
    struct conns *conns = xcalloc(1, sizeof *conns);

    conns->reactor = reactor;
    conns->conf = *conf;
    if (conns->conf.open_max <= 0)
        conns->conf.open_max = OPEN_MAX_DEFAULT;
    if (conns->conf.output_max_bytes == 0)
        conns->conf.output_max_bytes = OUTPUT_MAX_DEFAULT;
    if (conns->conf.request_max_bytes > INT32_MAX)
        conns->conf.request_max_bytes = INT32_MAX;
    conns->dispatch = dispatch;
    TAILQ_INIT(&conns->active);
    TAILQ_INIT(&conns->spare);
    STAILQ_INIT(&conns->spare_pieces);
    reactor_timer_init(&conns->idle_timer, on_idle);
    return conns;
}

void conns_close_all(struct conns *conns)
{
    struct conn *conn;

    assert(reactor_is_here(conns->reactor));
    conns->closed = true;
    while ((conn = TAILQ_FIRST(&conns->active)) != NULL)
        conn_close(conn, "the broker is stopping");
    reactor_timer_cancel(conns->reactor, &conns->idle_timer);
}

void conns_free(struct conns **conns_ptr)
{
    struct conns *conns = *conns_ptr;
    struct request *req;

    *conns_ptr = NULL;
    if (conns == NULL)
        return;
    assert(TAILQ_EMPTY(&conns->active));
    assert(conns->open_requests == 0);
    assert(conns->blocks_out == 0);
    reactor_timer_cancel(conns->reactor, &conns->idle_timer);
    while ((req = TAILQ_FIRST(&conns->spare)) != NULL) {
        TAILQ_REMOVE(&conns->spare, req, link);
        arena_fini(&req->arena);
        free(req);
    }
    for (int i = 0; i < BLOCKS_KEPT; i++)
        slice_unref(&conns->blocks[i].slice);
    out_fini(conns);
    free(conns);
}

size_t conns_open_requests(const struct conns *conns)
{
    return conns->open_requests;
}

int conns_count(const struct conns *conns)
{
    return atomic_load_explicit(&conns->count, memory_order_relaxed);
}

void conns_totals(const struct conns *conns, struct conns_totals *out)
{
    *out = (struct conns_totals){
        .accepted = atomic_load_explicit(&conns->accepted, memory_order_relaxed),
        .closed = atomic_load_explicit(&conns->gone, memory_order_relaxed),
        .requests = atomic_load_explicit(&conns->requests, memory_order_relaxed),
        .refused = atomic_load_explicit(&conns->refused, memory_order_relaxed),
        .bytes_in = atomic_load_explicit(&conns->bytes_in, memory_order_relaxed),
        .bytes_out = atomic_load_explicit(&conns->bytes_out, memory_order_relaxed),
    };
}

/* ---- coming and going ---- */

static void add(struct conns *conns, int fd, const struct net_addr *peer,
                const struct listener_info *listener, struct door *door)
{
    if (conns->closed) {
        close(fd);
        atomic_fetch_sub_explicit(&conns->count, 1, memory_order_relaxed);
        if (door != NULL)
            door_leave(door, peer);
        return;
    }
    struct conn *conn = conn_new(conns, fd, peer, listener, door);
    TAILQ_INSERT_TAIL(&conns->active, conn, link);
    CONN_BUMP(conns, accepted, 1);
    if (conns->conf.idle_max_ms > 0 && !reactor_timer_is_set(&conns->idle_timer))
        reactor_timer_set_ms(conns->reactor, &conns->idle_timer, conns->conf.idle_max_ms);
}

void conns_add(struct conns *conns, int fd, const struct net_addr *peer,
               const struct listener_info *listener, struct door *door)
{
    assert(reactor_is_here(conns->reactor));
    atomic_fetch_add_explicit(&conns->count, 1, memory_order_relaxed);
    add(conns, fd, peer, listener, door);
}

struct handover {
    struct msg msg;
    struct conns *conns;
    int fd;
    struct net_addr peer;
    const struct listener_info *listener;
    struct door *door;
};

static void on_handover(struct msg *msg)
{
    struct handover *over = container_of(msg, struct handover, msg);

    add(over->conns, over->fd, &over->peer, over->listener, over->door);
    free(over);
}

void conns_hand_over(struct conns *conns, int fd, const struct net_addr *peer,
                     const struct listener_info *listener, struct door *door)
{
    struct handover *over = xmalloc(sizeof *over);

    *over = (struct handover){ .msg = { .run = on_handover },
                               .conns = conns,
                               .fd = fd,
                               .peer = *peer,
                               .listener = listener,
                               .door = door };
    /* At once, so that the next in a burst of connections goes elsewhere. */
    atomic_fetch_add_explicit(&conns->count, 1, memory_order_relaxed);
    reactor_post(conns->reactor, &over->msg);
}

void conns_touch(struct conn *conn)
{
    struct conns *conns = conn->conns;
    int64_t now_us = reactor_now_us(conns->reactor);

    if (conn->active_us == now_us)
        return; /* has been this turn */
    conn->active_us = now_us;
    TAILQ_REMOVE(&conns->active, conn, link);
    TAILQ_INSERT_TAIL(&conns->active, conn, link);
}

static void on_idle(struct reactor_timer *timer)
{
    struct conns *conns = container_of(timer, struct conns, idle_timer);
    int64_t max_us = conns->conf.idle_max_ms * 1000;
    struct conn *conn;

    while ((conn = TAILQ_FIRST(&conns->active)) != NULL) {
        int64_t silent_us = reactor_now_us(conns->reactor) - conn->active_us;

        if (silent_us < max_us) {
            reactor_timer_set_us(conns->reactor, timer, max_us - silent_us);
            return;
        }
        if (conn->open > 0) /* it is we who are silent */
            conns_touch(conn);
        else
            conn_close(conn, "idle");
    }
}

/* ---- requests ---- */

struct request *conns_take_request(struct conns *conns, struct conn *conn)
{
    struct request *req = TAILQ_FIRST(&conns->spare);

    if (req != NULL) {
        TAILQ_REMOVE(&conns->spare, req, link);
        conns->spare_count--;
    } else {
        req = xmalloc(sizeof *req);
        arena_init(&req->arena, 0);
    }
    req->conn = conn;
    conn->refs++;
    req->listener = conn->listener;
    req->principal = "User:ANONYMOUS";
    req->peer = &conn->peer;
    req->reactor = conns->reactor;
    req->received_us = reactor_now_us(conns->reactor);
    req->state = NULL;
    req->on_drop = NULL;
    req->frame = SLICE_EMPTY;
    STAILQ_INIT(&req->out);
    req->charged = 0;
    req->is_lent = false;
    req->phase = REQUEST_OPEN;
    req->is_silent = false;
    req->is_follower = false;
    conns->open_requests++;
    return req;
}

void conns_end_request(struct request *req)
{
    struct conn *conn = req->conn;
    struct conns *conns = conn->conns;

    assert(req->phase != REQUEST_SPARE);
    req->phase = REQUEST_SPARE;
    slice_unref(&req->frame);
    arena_reset(&req->arena);
    if (req->charged > 0)
        budget_give(conns->conf.memory, req->charged);
    if (req->is_lent)
        budget_settle(conns->conf.memory);
    out_clear(conns, &req->out);
    if (conns->spare_count < REQUESTS_KEPT) {
        TAILQ_INSERT_HEAD(&conns->spare, req, link); /* the one whose memory is warm */
        conns->spare_count++;
    } else {
        arena_fini(&req->arena);
        free(req);
    }
    conns->open_requests--;
    conn_unref(conn);
}

/* ---- blocks ---- */

size_t conns_block_size(size_t size)
{
    size_t cap = BLOCK_BYTES;

    while (cap < size)
        cap *= 2;
    return cap;
}

struct block_buf conns_take_block(struct conns *conns, size_t size)
{
    size_t cap = conns_block_size(size);
    struct block_buf block;

    conns->blocks_out++;
    for (int i = 0; i < BLOCKS_KEPT; i++) {
        if (conns->blocks[i].slice.len == cap && slice_is_sole(&conns->blocks[i].slice)) {
            block = conns->blocks[i];
            conns->blocks[i] = (struct block_buf){ 0 };
            conns->blocks_bytes -= cap;
            return block;
        }
    }
    block.slice = slice_new(cap, &block.fill);
    return block;
}

struct block_buf conns_small_block(size_t len)
{
    struct block_buf block;
    size_t cap = 256;

    while (cap < len)
        cap *= 2;
    assert(cap < BLOCK_BYTES);
    block.slice = slice_new(cap, &block.fill);
    return block;
}

static void forget_block(struct conns *conns, struct block_buf *kept)
{
    conns->blocks_bytes -= kept->slice.len;
    slice_unref(&kept->slice);
}

void conns_give_block(struct conns *conns, struct block_buf *block)
{
    struct block_buf *place = NULL;
    size_t len = block->slice.len;

    if (len == 0)
        return;
    if (len < BLOCK_BYTES) {
        slice_unref(&block->slice);
        *block = (struct block_buf){ 0 };
        return;
    }
    conns->blocks_out--;
    for (int i = 0; i < BLOCKS_KEPT && place == NULL; i++)
        if (conns->blocks[i].slice.len == 0)
            place = &conns->blocks[i];
    if (place == NULL)
        place = &conns->blocks[conns->blocks_next++ % BLOCKS_KEPT];
    if (place->slice.len > 0)
        forget_block(conns, place);
    for (int i = 0; i < BLOCKS_KEPT && conns->blocks_bytes + len > BLOCKS_KEPT_MAX; i++)
        if (conns->blocks[i].slice.len > 0)
            forget_block(conns, &conns->blocks[i]);
    if (len > BLOCKS_KEPT_MAX) {
        slice_unref(&block->slice);
    } else {
        *place = *block;
        conns->blocks_bytes += len;
    }
    *block = (struct block_buf){ 0 };
}
