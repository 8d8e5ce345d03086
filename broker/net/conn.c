/*
 * One connection: bytes to frames to requests, and the ring of those that are open.
 *
 * In.   READ stays watched. What comes is read into a block of 64 KiB, or into one of the frame's
 *       own size when a large frame has begun, so every frame is contiguous. take_up() cuts frames
 *       off the front until there is none whole, the connection's share of the turn is used up, or
 *       the next one has to wait: for the ring to be empty, for room in it, for the client to read
 *       its answers, for memory, for a quota. Then the connection is stalled; should more bytes
 * come meanwhile, READ is given up until it is not. A small frame is copied beside its request, a
 *       large one is borrowed from the block, so that a request that waits for minutes does not
 * hold a block for a few bytes. A connection that has nothing to say holds no block at all.
 *
 * Out.  Answers go out in the ring's order, all of a turn in one send at its end; WRITE is watched
 *       only while the socket is full.
 *
 * End.  After the client's last byte or a failure, what is open is awaited and sent, within a grace
 *       where the client may be gone; then the connection is closed. Requests that are open when it
 *       closes are told; their answers are thrown away. While READ is given up the peer's going is
 *       looked for once a second.
 */
#include "broker/net/conn.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/net/conn_int.h"
#include "common/base/bytes.h"
#include "common/base/say.h"
#include "common/wire/frame.h"
#include "common/wire/prim.h"
#include "gen/wire/apis.h"

#define COPY_MAX        4096 /* frames up to this many bytes are copied */
#define FREE_OF_CHARGE  8    /* open requests of a connection that need no budget if small */
#define GRACE_US        (5 * 1000 * 1000)
#define LOOK_US         (1000 * 1000)
#define MEMORY_RETRY_US (10 * 1000)
#define LENT_US         (60 * 1000 * 1000) /* even 100 MB come in that time */

/* What a request may be decoded to: so much, and so many times its own size, and never more than
 * the most. Names of one letter make up to 14.5 times their bytes, those of eight up to 7 times.
 * The most is what a million topics or partitions need. */
#define ARENA_BASE_BYTES (1024 * 1024)
#define ARENA_FACTOR     16
#define ARENA_MOST_BYTES (64 * 1024 * 1024)
#define DECODED_FREE     (128 * 1024) /* bytes that are not charged beside the frame */

static void on_ready(void *arg, unsigned what);
static void on_input_task(struct reactor_task *task);
static void on_flush_task(struct reactor_task *task);
static void on_timer(struct reactor_timer *timer);

struct conn *conn_new(struct conns *conns, int fd, const struct net_addr *peer,
                      const struct listener_info *listener, struct door *door)
{
    struct conn *conn = xcalloc(1, sizeof *conn);

    conn->conns = conns;
    conn->listener = listener;
    conn->door = door;
    conn->peer = *peer;
    conn->refs = 1;
    conn->active_us = reactor_now_us(conns->reactor);
    TAILQ_INIT(&conn->ring);
    TAILQ_INIT(&conn->silent);
    STAILQ_INIT(&conn->out);
    reactor_task_init(&conn->input_task, on_input_task);
    reactor_task_init(&conn->flush_task, on_flush_task);
    reactor_timer_init(&conn->timer, on_timer);
    conn->sock = net_adopt(conns->reactor, fd, &conns->conf.sock, on_ready, conn);
    net_want(conn->sock, NET_READ);
    return conn;
}

void conn_unref(struct conn *conn)
{
    assert(conn->refs > 0);
    if (--conn->refs == 0) {
        assert(conn->sock == NULL);
        free(conn);
    }
}

/* ---- the end ---- */

static void say_end(const struct conn *conn, enum say_level level, const char *why)
{
    char peer[NET_ADDR_TEXT];

    if (level == SAY_DEBUG) {
        say_debug("connection closed peer=%s listener=%s why=\"%s\"",
                  net_addr_print(&conn->peer, peer), conn->listener->name, why);
        return;
    }
    say_limited(level, "closing connection peer=%s listener=%s why=\"%s\"",
                net_addr_print(&conn->peer, peer), conn->listener->name, why);
}

/* The open requests of a list lose their connection. */
static void drop_all(struct conn *conn, struct request_list *list)
{
    struct request *req;

    while ((req = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, req, link);
        req->in_ring = false;
        conn->open--;
        if (req->phase != REQUEST_OPEN) {
            conns_end_request(req);
        } else if (req->on_drop != NULL) {
            void (*on_drop)(struct request *) = req->on_drop;

            req->on_drop = NULL;
            on_drop(req);
        }
    }
}

static void drop_block(struct conn *conn)
{
    conns_give_block(conn->conns, &conn->block);
    conn->start = conn->end = 0;
    if (conn->charged > 0)
        budget_give(conn->conns->conf.memory, conn->charged);
    conn->charged = 0;
}

/* The block, and the right to have more than there is. */
static void give_up_block(struct conn *conn)
{
    drop_block(conn);
    if (conn->lent_by_us != 0)
        budget_settle(conn->conns->conf.memory);
    conn->lent_by_us = 0;
}

void conn_close(struct conn *conn, const char *why)
{
    struct conns *conns = conn->conns;

    if (conn->sock == NULL)
        return;
    say_end(conn, SAY_DEBUG, why);
    net_close(&conn->sock);
    reactor_timer_cancel(conns->reactor, &conn->timer);
    reactor_undefer(conns->reactor, &conn->input_task);
    reactor_undefer(conns->reactor, &conn->flush_task);
    TAILQ_REMOVE(&conns->active, conn, link);
    give_up_block(conn);
    out_clear(conns, &conn->out);
    drop_all(conn, &conn->ring);
    drop_all(conn, &conn->silent);
    CONN_BUMP(conns, gone, 1);
    atomic_fetch_sub_explicit(&conns->count, 1, memory_order_relaxed);
    if (conn->door != NULL)
        door_leave(conn->door, &conn->peer);
    conn_unref(conn);
}

/* One timer for all that a connection may wait for. */
static void set_timer(struct conn *conn)
{
    struct reactor *reactor = conn->conns->reactor;
    int64_t now_us = reactor_now_us(reactor);
    int64_t due_us = INT64_MAX;

    if (conn->sock == NULL)
        return;
    if (conn->muted_until_us != 0)
        due_us = conn->muted_until_us;
    if (conn->finish_by_us != 0 && conn->finish_by_us < due_us)
        due_us = conn->finish_by_us;
    if (conn->lent_by_us != 0 && conn->lent_by_us < due_us)
        due_us = conn->lent_by_us;
    if (conn->paused && !conn->closing && now_us + LOOK_US < due_us)
        due_us = now_us + LOOK_US;
    if (conn->short_of_memory && now_us + MEMORY_RETRY_US < due_us)
        due_us = now_us + MEMORY_RETRY_US;
    if (due_us == INT64_MAX)
        reactor_timer_cancel(reactor, &conn->timer);
    else
        reactor_timer_set_us(reactor, &conn->timer, due_us - now_us);
}

static void pause_reading(struct conn *conn)
{
    if (conn->paused)
        return;
    conn->paused = true;
    net_want(conn->sock, net_wanted(conn->sock) & ~(unsigned)NET_READ);
    set_timer(conn);
}

static void hurry(struct conn *conn)
{
    if (conn->finish_by_us == 0)
        conn->finish_by_us = reactor_now_us(conn->conns->reactor) + GRACE_US;
    set_timer(conn);
}

void conn_finish(struct conn *conn, const char *why)
{
    if (conn->closing || conn->sock == NULL)
        return;
    say_end(conn, SAY_WARN, why);
    conn->closing = true;
    pause_reading(conn);
    conn_flush_later(conn);
}

/* The client sent what it must not. */
static void refuse(struct conn *conn, const char *why)
{
    CONN_BUMP(conn->conns, refused, 1);
    conn_finish(conn, why);
    hurry(conn);
}

static bool is_finished(const struct conn *conn)
{
    if (!STAILQ_EMPTY(&conn->out))
        return false;
    if (conn->cut)
        return true;
    if (!TAILQ_EMPTY(&conn->ring))
        return false;
    return conn->closing ||
           (conn->ended && !conn->stalled && !reactor_task_is_deferred(&conn->input_task));
}

/* ---- the ring ---- */

static void take_up_later(struct conn *conn)
{
    reactor_defer(conn->conns->reactor, &conn->input_task);
}

void conn_release(struct conn *conn)
{
    conn->holder = NULL;
    if (conn->stalled && conn->sock != NULL)
        take_up_later(conn);
}

void conn_unlink(struct conn *conn, struct request *req)
{
    if (!req->in_ring)
        return;
    TAILQ_REMOVE(req->is_silent ? &conn->silent : &conn->ring, req, link);
    req->in_ring = false;
    conn->open--;
    if (!req->is_pipelined)
        conn->exclusive = false;
    if (conn->holder == req)
        conn->holder = NULL;
    if (conn->stalled && conn->sock != NULL)
        take_up_later(conn);
}

void conn_advance(struct conn *conn)
{
    struct request *req;

    while ((req = TAILQ_FIRST(&conn->ring)) != NULL && req->phase != REQUEST_OPEN) {
        bool failed = req->phase == REQUEST_FAILED;

        if (!failed) {
            struct out_piece *piece;

            STAILQ_FOREACH (piece, &req->out, link)
                conn->out_bytes += piece->len;
            STAILQ_CONCAT(&conn->out, &req->out);
        }
        conn_unlink(conn, req);
        conns_end_request(req);
        if (failed) {
            conn->cut = true;
            drop_all(conn, &conn->ring);
            drop_all(conn, &conn->silent);
            break;
        }
    }
}

/* ---- out ---- */

void conn_flush_later(struct conn *conn)
{
    if (conn->sock == NULL)
        return;
    if (net_wanted(conn->sock) & NET_WRITE)
        return; /* the socket is full, and tells when it is not */
    reactor_defer(conn->conns->reactor, &conn->flush_task);
}

static void flush(struct conn *conn)
{
    struct conns *conns = conn->conns;
    unsigned wanted = net_wanted(conn->sock);
    size_t sent;
    enum out_end end = out_send(conns, conn->sock, &conn->out, &sent);

    assert(sent <= conn->out_bytes);
    conn->out_bytes -= sent;
    if (sent > 0) {
        CONN_BUMP(conns, bytes_out, sent);
        conns_touch(conn);
        if (conn->stalled && conn->out_bytes < conns->conf.output_max_bytes)
            take_up_later(conn);
    }
    switch (end) {
    case OUT_FAILED:
        conn_close(conn, "cannot send");
        return;
    case OUT_BLOCKED:
        if (!(wanted & NET_WRITE)) {
            net_want(conn->sock, wanted | NET_WRITE);
            out_settle(conns, &conn->out);
        }
        return;
    case OUT_MORE: /* more than its share: the others first; a full socket calls by itself */
        if (!(wanted & NET_WRITE))
            reactor_defer_next(conns->reactor, &conn->flush_task);
        return;
    case OUT_EMPTY:
        break;
    }
    if (wanted & NET_WRITE)
        net_want(conn->sock, wanted & ~(unsigned)NET_WRITE);
    if (is_finished(conn))
        conn_close(conn, "finished");
}

static void on_flush_task(struct reactor_task *task)
{
    flush(container_of(task, struct conn, flush_task));
}

/* ---- taking up ---- */

static bool may_take(struct conn *conn, int16_t key, size_t size)
{
    const struct conns_conf *conf = &conn->conns->conf;
    const struct handler *handler = dispatch_find(conn->conns->dispatch, key);
    bool is_pipelined = handler != NULL && (handler->flags & HANDLER_PIPELINED);

    if (conn->out_bytes >= conf->output_max_bytes || conn->open >= conf->open_max ||
        conn->holder != NULL)
        return false;
    if (is_pipelined ? conn->exclusive : !TAILQ_EMPTY(&conn->ring))
        return false;
    if (conf->memory == NULL || conn->charged > 0 ||
        (size <= COPY_MAX && conn->open < FREE_OF_CHARGE))
        return true;
    /* A frame keeps its whole block, most likely. */
    size_t charge = size > COPY_MAX && size < BLOCK_BYTES ? BLOCK_BYTES : size;
    if (budget_take(conf->memory, charge)) {
        conn->charged = charge;
        return true;
    }
    conn->short_of_memory = true;
    return false;
}

static void set_bytes(struct request *req, struct conn *conn, size_t size)
{
    const uint8_t *at = conn->block.fill + conn->start + FRAME_LEN_BYTES;
    size_t most = ARENA_BASE_BYTES + ARENA_FACTOR * size;

    req->size = size;
    req->arena.limit = most < ARENA_MOST_BYTES ? most : ARENA_MOST_BYTES;
    req->charged = conn->charged;
    conn->charged = 0;
    req->is_lent = conn->lent_by_us != 0;
    conn->lent_by_us = 0;
    if (size <= COPY_MAX) {
        req->bytes = arena_dup(&req->arena, at, size);
    } else {
        req->frame = slice_cut(&conn->block.slice, conn->start + FRAME_LEN_BYTES, size);
        req->bytes = at;
    }
}

/* It is there, and cannot wait any more: the budget may be overdrawn by it. */
static void charge_decoded(struct conn *conn, struct request *req)
{
    struct budget *memory = conn->conns->conf.memory;
    size_t size = req->arena.total;

    if (memory == NULL || size <= DECODED_FREE)
        return;
    budget_overdraw(memory, size);
    req->charged += size;
}

/* Decodes and handles the frame in req->bytes; what is wrong with it, or NULL. */
static const char *dispatch(struct conn *conn, struct request *req)
{
    const struct dispatch *table = conn->conns->dispatch;
    struct wire_in in = wire_in_of(req->bytes, req->size, &req->arena);
    struct frame_request_header header;
    void *body = NULL;

    if (frame_request_header_decode(&header, &in) != ERR_OK)
        return "the request header cannot be parsed";
    const struct handler *handler = dispatch_find(table, header.api_key);
    if (handler == NULL)
        return "unknown api key";
    req->key = header.api_key;
    req->version = header.api_version;
    req->correlation_id = header.correlation_id;
    req->client_id = str_is_null(header.client_id) ? STR_EMPTY : header.client_id;
    req->api = wire_api(req->key);
    req->is_pipelined = handler->flags & HANDLER_PIPELINED;
    if (req->version >= handler->min_version && req->version <= handler->max_version) {
        body = arena_alloc(&req->arena, req->api->request_size);
        req->api->request.init(body);
        if (req->api->request.decode(body, &in, req->version) != ERR_OK)
            return "the request cannot be parsed";
        charge_decoded(conn, req);
    } else if (!(handler->flags & HANDLER_ANY_VERSION) || req->version < 0) {
        return "unsupported version of an api";
    }
    TAILQ_INSERT_TAIL(&conn->ring, req, link);
    req->in_ring = true;
    conn->open++;
    conn->exclusive = !req->is_pipelined;
    CONN_BUMP(conn->conns, requests, 1);
    handler->fn(req, body, table->context);
    return NULL;
}

static void take_one(struct conn *conn, size_t size)
{
    struct request *req = conns_take_request(conn->conns, conn);

    req->in_ring = false;
    set_bytes(req, conn, size);
    conn->start += FRAME_LEN_BYTES + size;
    const char *wrong = dispatch(conn, req);
    if (wrong != NULL) {
        conns_end_request(req);
        refuse(conn, wrong);
    }
}

/* What is wrong with the beginning of a frame, of which have bytes are there. */
static const char *judge(const struct conn *conn, const uint8_t *at, size_t have)
{
    int32_t size = load_i32(at);

    if (size < 0)
        return "negative request size";
    if ((size_t)size > conn->conns->conf.request_max_bytes)
        return "request larger than socket.request.max.bytes";
    if (size < 8)
        return "request too short for a header";
    /* Before waiting for all of what may be a hundred megabytes of nonsense. */
    if (have >= FRAME_LEN_BYTES + 2 &&
        dispatch_find(conn->conns->dispatch, load_i16(at + FRAME_LEN_BYTES)) == NULL)
        return "unknown api key";
    return NULL;
}

static void take_up(struct conn *conn)
{
    size_t bytes = 0;
    int frames = 0;

    if (conn->taking)
        return;
    conn->taking = true;
    conn->stalled = conn->muted_until_us != 0;
    conn->short_of_memory = false;
    while (!conn->closing && !conn->cut && !conn->stalled) {
        size_t have = conn->end - conn->start;
        const uint8_t *at = conn->block.fill + conn->start;

        if (have < FRAME_LEN_BYTES)
            break;
        const char *wrong = judge(conn, at, have);
        if (wrong != NULL) {
            refuse(conn, wrong);
            break;
        }
        size_t size = (size_t)load_i32(at);
        if (have - FRAME_LEN_BYTES < size)
            break;
        if (frames == TURN_FRAMES || bytes >= TURN_BYTES) {
            reactor_defer_next(conn->conns->reactor, &conn->input_task);
            break;
        }
        if (!may_take(conn, load_i16(at + FRAME_LEN_BYTES), size)) {
            conn->stalled = true;
            break;
        }
        take_one(conn, size);
        frames++;
        bytes += size;
        conn->stalled = conn->muted_until_us != 0; /* its handler may have asked for that */
    }
    conn->taking = false;
    if (conn->start == conn->end || conn->closing || conn->cut)
        give_up_block(conn);
}

static bool may_read(const struct conn *conn)
{
    return !conn->closing && !conn->cut && !conn->ended && !conn->stalled &&
           !conn->short_of_memory && !reactor_task_is_deferred(&conn->input_task);
}

static void after_input(struct conn *conn)
{
    if (conn->paused && may_read(conn)) {
        conn->paused = false;
        net_want(conn->sock, net_wanted(conn->sock) | NET_READ);
    }
    if (conn->ended || conn->closing || conn->cut)
        conn_flush_later(conn);
    if (conn->short_of_memory || conn->muted_until_us != 0 || reactor_timer_is_set(&conn->timer))
        set_timer(conn);
}

static void on_input_task(struct reactor_task *task)
{
    struct conn *conn = container_of(task, struct conn, input_task);

    take_up(conn);
    after_input(conn);
}

/* ---- in ---- */

/* Large frames are given memory as they come, so when all is used up each of them may have a part
 * and none the rest. One of them at a time goes on all the same, until its request has ended. */
static bool take_memory(struct conn *conn, size_t size)
{
    struct budget *memory = conn->conns->conf.memory;

    if (budget_take(memory, size))
        return true;
    if (conn->charged == 0) /* it waits with empty hands */
        return false;
    if (conn->lent_by_us == 0) {
        if (!budget_borrow(memory))
            return false;
        conn->lent_by_us = reactor_now_us(conn->conns->reactor) + LENT_US;
        set_timer(conn);
    }
    budget_overdraw(memory, size);
    return true;
}

/* Moves what is there to the front of a block of at least size bytes. */
static bool move_block(struct conn *conn, size_t size)
{
    struct conns *conns = conn->conns;
    struct budget *memory = conns->conf.memory;
    size_t have = conn->end - conn->start;
    size_t cap = conns_block_size(size);
    size_t charge = cap > BLOCK_BYTES && memory != NULL ? cap : 0;

    if (charge > 0 && !take_memory(conn, charge)) {
        say_limited(SAY_WARN, "memory for requests is used up, reading waits used=%zu",
                    budget_used(memory));
        return false;
    }
    struct block_buf block = conns_take_block(conns, cap);
    if (have > 0)
        memcpy(block.fill, conn->block.fill + conn->start, have);
    drop_block(conn);
    conn->block = block;
    conn->end = have;
    conn->charged = charge;
    return true;
}

/* Makes sure that there is room for more of the frame that has begun; how much to read, 0 when
 * there is no memory for it. */
static size_t make_room(struct conn *conn)
{
    size_t have = conn->end - conn->start;
    size_t cap = conn->block.slice.len;
    size_t need = BLOCK_BYTES;

    if (have >= FRAME_LEN_BYTES)
        need = FRAME_LEN_BYTES + (size_t)load_i32(conn->block.fill + conn->start);
    if (need > BLOCK_FIRST_MAX) { /* it gets as much as it has sent, and as much again */
        size_t deserved = have * 2 > BLOCK_FIRST_MAX ? have * 2 : BLOCK_FIRST_MAX;

        need = need < deserved ? need : deserved;
    }
    bool fits = cap >= BLOCK_BYTES &&
                (have < FRAME_LEN_BYTES ? conn->end < cap : conn->start + need <= cap);
    if (!fits && !move_block(conn, need))
        return 0;
    cap = conn->block.slice.len;
    /* A large frame's block holds that frame alone, else its neighbour would have to be moved. */
    if (cap > BLOCK_BYTES && conn->start + need < cap)
        cap = conn->start + need;
    return cap - conn->end;
}

/* The rest of the frame may come in a minute or never: with many such clients, each is left with
 * hardly more memory than it has sent bytes. */
static void shrink(struct conn *conn)
{
    size_t have = conn->end - conn->start;

    if (conn->conns->blocks_out <= BLOCKS_OUT_MAX || conn->block.slice.len != BLOCK_BYTES ||
        have >= BLOCK_BYTES / 2)
        return;
    struct block_buf block = conns_small_block(have);
    memcpy(block.fill, conn->block.fill + conn->start, have);
    give_up_block(conn);
    conn->block = block;
    conn->end = have;
}

static void on_end_of_input(struct conn *conn, enum err err)
{
    if (err != ERR_CLOSED) {
        conn_close(conn, err_text(err));
        return;
    }
    conn->ended = true;
    pause_reading(conn);
    hurry(conn);
    after_input(conn);
}

static void on_readable(struct conn *conn)
{
    size_t total = 0;

    while (may_read(conn) && total < TURN_BYTES) {
        size_t got, room = make_room(conn);

        if (room == 0) {
            conn->short_of_memory = true;
            break;
        }
        enum err err = net_read(conn->sock, conn->block.fill + conn->end, room, &got);
        if (err != ERR_OK) {
            if (conn->start == conn->end)
                give_up_block(conn);
            on_end_of_input(conn, err);
            return;
        }
        if (got == 0)
            break;
        conn->end += got;
        total += got;
        take_up(conn);
        if (got < room || conn->block.slice.len <= BLOCK_BYTES)
            break; /* there is no more, or let others have their turn */
    }
    if (conn->start == conn->end)
        give_up_block(conn);
    else
        shrink(conn);
    if (total > 0) {
        CONN_BUMP(conn->conns, bytes_in, total);
        conns_touch(conn);
    } else if (!may_read(conn) && !reactor_task_is_deferred(&conn->input_task)) {
        pause_reading(conn);
    }
    after_input(conn);
}

static void on_ready(void *arg, unsigned what)
{
    struct conn *conn = arg;

    if (what & NET_READ)
        on_readable(conn);
    else if (what & NET_WRITE)
        flush(conn);
}

/* ---- time ---- */

static void on_timer(struct reactor_timer *timer)
{
    struct conn *conn = container_of(timer, struct conn, timer);
    int64_t now_us = reactor_now_us(conn->conns->reactor);

    if (conn->finish_by_us != 0 && now_us >= conn->finish_by_us) {
        conn_close(conn, "the client left answers behind");
        return;
    }
    if (conn->lent_by_us != 0 && now_us >= conn->lent_by_us) {
        static const char why[] = "its request does not come while memory for requests is used up";

        say_end(conn, SAY_WARN, why);
        conn_close(conn, why);
        return;
    }
    if (conn->paused && !conn->ended) {
        enum net_peer_state state = net_peer_state(conn->sock);

        if (state == NET_PEER_GONE) {
            conn_close(conn, "reset by the client");
            return;
        }
        if (state == NET_PEER_SENDS_NO_MORE)
            hurry(conn);
    }
    if (conn->muted_until_us != 0 && now_us >= conn->muted_until_us)
        conn->muted_until_us = 0;
    take_up(conn);
    after_input(conn);
    set_timer(conn);
}

void conn_mute(struct conn *conn, int64_t delay_ms)
{
    int64_t until_us;

    assert(reactor_is_here(conn->conns->reactor));
    if (conn->sock == NULL || delay_ms <= 0)
        return;
    if (delay_ms > INT32_MAX)
        delay_ms = INT32_MAX;
    until_us = reactor_now_us(conn->conns->reactor) + delay_ms * 1000;
    if (until_us > conn->muted_until_us)
        conn->muted_until_us = until_us;
    conn->stalled = true;
    set_timer(conn);
}
