/*
 * Answers come in the order of the requests, so the oldest open request is the one that is being
 * answered; a correlation id that says otherwise ends the connection.
 *
 * What is received lands in one buffer. It grows to the size of a whole answer before that is
 * handed out, so that an answer of megabytes is decoded, and its records are appended, where they
 * lie. A buffer that was large once is let go of when it has been too large for a while.
 *
 * Any callback may close the connection, or close and open it: whoever calls one looks at `life`
 * afterwards, which counts connections.
 */
#include "broker/replica/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/codec.h"
#include "common/wire/frame.h"
#include "gen/wire/api_versions.h"
#include "gen/wire/apis.h"

#define IN_FIRST_BYTES       (64u * 1024)
#define IN_SHRINK_AFTER      256 /* answers that would have fitted into a quarter */
#define API_VERSIONS_VERSION 3

enum peer_state { PEER_CLOSED, PEER_CONNECTING, PEER_ASKING, PEER_OPEN };

struct peer_request {
    STAILQ_ENTRY(peer_request) link;
    int16_t key, version;
    int32_t correlation_id;
    int64_t deadline_ms;
    peer_on_answer *on_answer;
    void *ctx;
};

/* [I] as set by peer_new()   [o] the reactor's thread */
struct peer {
    struct reactor *reactor;          /* [I] */
    struct peer_conf conf;            /* [I] */
    char *client_id;                  /* [I] */
    enum peer_state state;            /* [o] */
    uint64_t life;                    /* [o] counts connections */
    struct net_sock *sock;            /* [o] NULL when closed */
    int32_t correlation_id;           /* [o] of the next request */
    STAILQ_HEAD(, peer_request) open; /* [o] oldest first */
    size_t open_count;                /* [o] */
    struct reactor_timer timer;       /* [o] the earliest deadline, or one before it */
    int64_t timer_ms;                 /* [o] what it is set to */
    uint8_t *in;                      /* [o] */
    size_t in_len, in_cap;            /* [o] */
    int in_small;                     /* [o] answers in a row that wanted far less than in_cap */
    struct buf out;                   /* [o] */
    size_t out_sent;                  /* [o] */
    struct reactor_task flush;        /* [o] deferred when there is something to send */
    int16_t max_version[API_KEY_MAX + 1]; /* [o] -1: not served */
    int16_t min_version[API_KEY_MAX + 1]; /* [o] */
};

static void on_ready(void *arg, unsigned what);

static void on_timer(struct reactor_timer *timer);

static void on_flush(struct reactor_task *task);

struct peer *peer_new(struct reactor *reactor, const struct peer_conf *conf)
{
    struct peer *peer = xcalloc(1, sizeof *peer);

    peer->reactor = reactor;
    peer->conf = *conf;
    peer->client_id = xstrdup(conf->client_id);
    STAILQ_INIT(&peer->open);
    reactor_timer_init(&peer->timer, on_timer);
    reactor_task_init(&peer->flush, on_flush);
    return peer;
}

void peer_free(struct peer **peer_ptr)
{
    struct peer *peer = *peer_ptr;

    *peer_ptr = NULL;
    peer_close(peer);
    free(peer->in);
    buf_fini(&peer->out);
    free(peer->client_id);
    free(peer);
}

bool peer_is_closed(const struct peer *peer)
{
    return peer->state == PEER_CLOSED;
}

bool peer_is_open(const struct peer *peer)
{
    return peer->state == PEER_OPEN;
}

bool peer_is_receiving(const struct peer *peer)
{
    return peer->in_len > 0;
}

size_t peer_received(const struct peer *peer)
{
    return peer->in_len;
}

size_t peer_open_requests(const struct peer *peer)
{
    return peer->open_count;
}

int16_t peer_version(const struct peer *peer, int16_t key, int16_t highest)
{
    int16_t max = peer->max_version[key];

    if (max > highest)
        max = highest;
    return max < peer->min_version[key] ? -1 : max;
}

/* ---- the end ---- */

/* A request that is sent in one of the callbacks belongs to the next connection already. */
static void end(struct peer *peer, enum err why, bool tell)
{
    STAILQ_HEAD(, peer_request) lost = STAILQ_HEAD_INITIALIZER(lost);
    struct peer_request *req;
    uint64_t life = ++peer->life;

    assert(reactor_is_here(peer->reactor));
    if (peer->state == PEER_CLOSED)
        return;
    peer->state = PEER_CLOSED;
    reactor_timer_cancel(peer->reactor, &peer->timer);
    reactor_undefer(peer->reactor, &peer->flush);
    net_close(&peer->sock);
    peer->in_len = 0;
    peer->out.len = 0;
    peer->out_sent = 0;
    STAILQ_CONCAT(&lost, &peer->open);
    peer->open_count = 0;
    while ((req = STAILQ_FIRST(&lost)) != NULL) {
        struct peer_answer none = { .key = req->key, .version = req->version };

        STAILQ_REMOVE_HEAD(&lost, link);
        req->on_answer(req->ctx, why, &none);
        free(req);
    }
    if (tell && peer->life == life && peer->conf.on_close != NULL)
        peer->conf.on_close(peer->conf.ctx, why);
}

void peer_close(struct peer *peer)
{
    end(peer, ERR_CLOSED, false);
}

/* ---- time ---- */

static void wake_by(struct peer *peer, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - reactor_now_ms(peer->reactor);

    if (reactor_timer_is_set(&peer->timer) && peer->timer_ms <= deadline_ms)
        return;
    peer->timer_ms = deadline_ms;
    reactor_timer_set_ms(peer->reactor, &peer->timer, left_ms > 0 ? left_ms : 0);
}

static void on_timer(struct reactor_timer *timer)
{
    struct peer *peer = container_of(timer, struct peer, timer);
    int64_t now_ms = reactor_now_ms(peer->reactor), next_ms = INT64_MAX;
    struct peer_request *req;

    if (peer->state == PEER_CONNECTING) {
        end(peer, ERR_TIMED_OUT, true);
        return;
    }
    STAILQ_FOREACH (req, &peer->open, link) {
        if (req->deadline_ms <= now_ms) {
            end(peer, ERR_TIMED_OUT, true);
            return;
        }
        if (req->deadline_ms < next_ms)
            next_ms = req->deadline_ms;
    }
    if (next_ms != INT64_MAX)
        wake_by(peer, next_ms);
}

/* ---- sending ---- */

/* False when the connection has ended. */
static bool flush(struct peer *peer)
{
    while (peer->out_sent < peer->out.len) {
        struct iovec piece = { .iov_base = peer->out.bytes + peer->out_sent,
                               .iov_len = peer->out.len - peer->out_sent };
        size_t sent = 0;
        enum err err = net_writev(peer->sock, &piece, 1, false, &sent);

        if (err != ERR_OK) {
            end(peer, err, true);
            return false;
        }
        if (sent == 0) {
            net_want(peer->sock, NET_READ | NET_WRITE);
            return true;
        }
        peer->out_sent += sent;
    }
    peer->out.len = 0;
    peer->out_sent = 0;
    net_want(peer->sock, NET_READ);
    return true;
}

static void on_flush(struct reactor_task *task)
{
    flush(container_of(task, struct peer, flush));
}

static void put_frame(struct peer *peer, const struct peer_request *req, const void *body)
{
    const struct wire_codec *codec = &wire_api(req->key)->request;
    const struct frame_request_header header = {
        .api_key = req->key,
        .api_version = req->version,
        .correlation_id = req->correlation_id,
        .client_id = str_of(peer->client_id),
    };
    size_t len = frame_request_header_size(&header) + codec->size(body, req->version);
    uint8_t *at = buf_reserve(&peer->out, FRAME_LEN_BYTES + len);
    struct wire_out out = wire_out_of(at, FRAME_LEN_BYTES + len);

    wire_put_i32(&out, (int32_t)len);
    frame_request_header_encode(&header, &out);
    codec->encode(body, &out, req->version);
    assert(out.pos == FRAME_LEN_BYTES + len);
    peer->out.len += out.pos;
}

static void send_now(struct peer *peer, int16_t key, int16_t version, const void *body,
                     int64_t timeout_ms, peer_on_answer *on_answer, void *ctx)
{
    struct peer_request *req = xcalloc(1, sizeof *req);

    req->key = key;
    req->version = version;
    req->correlation_id = peer->correlation_id++;
    req->deadline_ms = reactor_now_ms(peer->reactor) + timeout_ms;
    req->on_answer = on_answer;
    req->ctx = ctx;
    STAILQ_INSERT_TAIL(&peer->open, req, link);
    peer->open_count++;
    wake_by(peer, req->deadline_ms);
    put_frame(peer, req, body);
    /* At the end of the turn: callers need not expect on_answer before peer_send() returns. */
    reactor_defer(peer->reactor, &peer->flush);
}

void peer_send(struct peer *peer, int16_t key, int16_t version, const void *body,
               int64_t timeout_ms, peer_on_answer *on_answer, void *ctx)
{
    assert(reactor_is_here(peer->reactor));
    assert(peer->state == PEER_OPEN);
    send_now(peer, key, version, body, timeout_ms, on_answer, ctx);
}

/* ---- receiving ---- */

/* Hands one whole answer out; false when the connection is not what it was. */
static bool take_answer(struct peer *peer, const uint8_t *frame, size_t len)
{
    struct peer_request *req = STAILQ_FIRST(&peer->open);
    struct wire_in in = wire_in_of(frame, len, NULL);
    int32_t correlation_id;
    uint64_t life = peer->life;

    if (req == NULL || frame_response_header_decode(&correlation_id, &in, req->key, req->version) ||
        correlation_id != req->correlation_id) {
        end(peer, ERR_BAD_FORMAT, true);
        return false;
    }
    struct peer_answer answer = {
        .key = req->key, .version = req->version, .bytes = in.pos, .len = wire_left(&in)
    };
    STAILQ_REMOVE_HEAD(&peer->open, link);
    peer->open_count--;
    req->on_answer(req->ctx, ERR_OK, &answer);
    free(req);
    return peer->life == life;
}

static void note_size(struct peer *peer, size_t wanted)
{
    if (wanted > peer->in_cap / 4)
        peer->in_small = 0;
    else
        peer->in_small++;
}

/* Room for what is known to come; at the start, a guess. */
static void make_room(struct peer *peer, size_t want)
{
    if (peer->in_len == 0 && peer->in_small > IN_SHRINK_AFTER && peer->in_cap > IN_FIRST_BYTES) {
        free(peer->in);
        peer->in = NULL;
        peer->in_cap = 0;
        peer->in_small = 0;
    }
    if (want <= peer->in_cap)
        return;
    peer->in = xrealloc(peer->in, want);
    peer->in_cap = want;
}

/* Whole answers out of the buffer; false when the connection is not what it was. */
static bool take_answers(struct peer *peer, size_t *wanted)
{
    size_t pos = 0;

    *wanted = IN_FIRST_BYTES;
    while (peer->in_len - pos >= FRAME_LEN_BYTES) {
        int32_t len = load_i32(peer->in + pos);

        if (len < 4 || (size_t)len > peer->conf.frame_max_bytes) {
            say_limited(SAY_WARN, "a broker's answer has an impossible length, closing bytes=%d",
                        len);
            end(peer, len < 4 ? ERR_BAD_FORMAT : ERR_TOO_LARGE, true);
            return false;
        }
        size_t whole = FRAME_LEN_BYTES + (size_t)len;
        if (peer->in_len - pos < whole) {
            if (whole > *wanted)
                *wanted = whole;
            break;
        }
        note_size(peer, whole);
        if (!take_answer(peer, peer->in + pos + FRAME_LEN_BYTES, (size_t)len))
            return false;
        pos += whole;
    }
    peer->in_len -= pos;
    if (pos > 0 && peer->in_len > 0)
        memmove(peer->in, peer->in + pos, peer->in_len);
    return true;
}

static void receive(struct peer *peer)
{
    size_t wanted;

    make_room(peer, IN_FIRST_BYTES);
    for (int turn = 0; turn < 16; turn++) {
        size_t got = 0;
        size_t room = peer->in_cap - peer->in_len;
        enum err err = net_read(peer->sock, peer->in + peer->in_len, room, &got);
        if (err != ERR_OK) {
            end(peer, err, true);
            return;
        }
        peer->in_len += got;
        if (got == 0 || !take_answers(peer, &wanted))
            return;
        make_room(peer, wanted);
        if (got < room)
            return;
    }
}

/* ---- connecting ---- */

static void on_versions(void *ctx, enum err err, const struct peer_answer *answer)
{
    struct peer *peer = ctx;
    struct api_versions_response resp;
    struct arena arena;

    if (err != ERR_OK)
        return; /* on_close tells */
    arena_init(&arena, 1 << 20);
    struct wire_in in = wire_in_of(answer->bytes, answer->len, &arena);
    err = api_versions_response_decode(&resp, &in, answer->version);
    if (err == ERR_OK)
        err = (enum err)resp.error_code;
    memset(peer->max_version, 0xff, sizeof peer->max_version);
    memset(peer->min_version, 0, sizeof peer->min_version);
    for (int32_t i = 0; err == ERR_OK && i < resp.api_keys_len; i++) {
        const struct api_versions_response_api_key *api = &resp.api_keys[i];

        if (api->api_key < 0 || api->api_key > API_KEY_MAX)
            continue;
        peer->max_version[api->api_key] = api->max_version;
        peer->min_version[api->api_key] = api->min_version;
    }
    arena_fini(&arena);
    if (err != ERR_OK) {
        end(peer, err, true);
        return;
    }
    peer->state = PEER_OPEN;
    if (peer->conf.on_open != NULL)
        peer->conf.on_open(peer->conf.ctx);
}

/* A port of the ephemeral range that nobody listens on can be given to the very socket that wants
 * to connect to it, which then is connected to itself. */
static bool is_ourselves(const struct peer *peer)
{
    struct net_addr here, there;
    uint8_t here_key[16], there_key[16];

    net_local(peer->sock, &here);
    net_peer(peer->sock, &there);
    if (here.len == 0 || there.len == 0 || net_addr_port(&here) != net_addr_port(&there))
        return false;
    net_addr_host_key(&here, here_key);
    net_addr_host_key(&there, there_key);
    return memcmp(here_key, there_key, sizeof here_key) == 0;
}

static void on_connected(struct peer *peer)
{
    enum err err = net_connected(peer->sock);
    struct api_versions_request body;

    if (err == ERR_OK && is_ourselves(peer))
        err = ERR_REFUSED;

    if (err != ERR_OK) {
        end(peer, err, true);
        return;
    }
    net_want(peer->sock, NET_READ);
    peer->state = PEER_ASKING;
    api_versions_request_init(&body);
    body.client_software_name = STR("moldau");
    body.client_software_version = STR(MOLDAU_VERSION);
    send_now(peer, API_API_VERSIONS, API_VERSIONS_VERSION, &body, peer->conf.connect_timeout_ms,
             on_versions, peer);
}

static void on_ready(void *arg, unsigned what)
{
    struct peer *peer = arg;

    if (peer->state == PEER_CONNECTING) {
        on_connected(peer);
        return;
    }
    if ((what & NET_WRITE) != 0 && !flush(peer))
        return;
    if ((what & NET_READ) != 0)
        receive(peer);
}

enum err peer_connect(struct peer *peer, const struct net_addr *addr)
{
    assert(reactor_is_here(peer->reactor));
    assert(peer->state == PEER_CLOSED);
    enum err err = net_connect(peer->reactor, addr, &peer->conf.sock, on_ready, peer, &peer->sock);
    if (err != ERR_OK)
        return err;
    peer->life++;
    peer->state = PEER_CONNECTING;
    peer->correlation_id = 0;
    wake_by(peer, reactor_now_ms(peer->reactor) + peer->conf.connect_timeout_ms);
    return ERR_OK;
}
