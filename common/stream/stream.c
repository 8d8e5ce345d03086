/*
 * Bytes are read into one buffer that grows with what has really come, never with what a length
 * claims. Each whole frame is unpacked into an arena whose bound is a multiple of the frame's size,
 * so that a small frame cannot become a large message. Sending packs a frame into a counted slice
 * and queues it; the queue is written at the end of the turn, all that was sent meanwhile in one
 * system call, and again when the socket has room.
 *
 * Finishing writes the queue out, says that no more comes (FIN) and reads on, to throw away:
 * closing with unread bytes would reset the connection and could overtake the last frame, a
 * goodbye.
 *
 * A callback may close the stream: while one runs, closing only marks it, and whoever made the
 * outermost call frees it.
 */
#include "common/stream/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define PREFIX_BYTES       4
#define READ_BYTES_MIN     (16 * 1024)
#define READ_BYTES_KEPT    (256 * 1024) /* a larger buffer is given back once it is empty */
#define READ_BYTES_A_TURN  (4 * 1024 * 1024)
#define WRITE_PIECES       64
#define UNPACK_FACTOR      32 /* structs and pointers of the smallest fields that make sense */
#define UNPACK_BYTES_MIN   (64 * 1024)
#define CONNECT_TIMEOUT_MS 3000

enum state { CONNECTING, OPEN, FINISHING, ENDED };

struct piece {
    STAILQ_ENTRY(piece) link;
    struct slice bytes;
};

struct stream {
    struct reactor *reactor;              /* [I] */
    const struct stream_handler *handler; /* [I] */
    void *ctx;                            /* [I] */
    struct net_sock *sock;                /* NULL once ended, and when connecting failed at once */
    enum state state;
    enum stream_end pending; /* what the timer ends it with */
    bool said_fin;
    bool by_hand; /* reading is left to stream_read() */
    bool dead;    /* closed inside a callback */
    int depth;    /* callbacks that are running */
    size_t frame_bytes_max;
    size_t backlog_bytes_max;

    uint8_t *in;
    size_t in_pos, in_len, in_cap; /* taken up to, filled up to */

    STAILQ_HEAD(, piece) out;
    size_t sent; /* of the first piece */
    size_t backlog;

    struct reactor_timer timer;
    struct reactor_task flush;
    char peer[NET_ADDR_TEXT];
};

static void flush(struct stream *s);
static void want(const struct stream *s, bool to_write);

/* ---- the end --------------------------------------------------------------------------------- */

static void drop_all(struct stream *s)
{
    struct piece *piece;

    while ((piece = STAILQ_FIRST(&s->out)) != NULL) {
        STAILQ_REMOVE_HEAD(&s->out, link);
        slice_unref(&piece->bytes);
        free(piece);
    }
    s->backlog = 0;
    if (s->sock != NULL)
        net_close(&s->sock);
    reactor_timer_cancel(s->reactor, &s->timer);
    reactor_undefer(s->reactor, &s->flush);
    s->state = ENDED;
}

static void enter(struct stream *s)
{
    s->depth++;
}

static void leave(struct stream *s)
{
    if (--s->depth > 0 || !s->dead)
        return;
    free(s->in);
    free(s);
}

static void end(struct stream *s, enum stream_end reason)
{
    if (s->state == ENDED)
        return;
    drop_all(s);
    if (s->handler->on_end != NULL) {
        enter(s);
        s->handler->on_end(s->ctx, reason);
        leave(s);
    }
}

void stream_close(struct stream **stream_ptr)
{
    struct stream *s = *stream_ptr;

    *stream_ptr = NULL;
    if (s == NULL)
        return;
    assert(reactor_is_here(s->reactor));
    drop_all(s);
    s->dead = true;
    enter(s);
    leave(s);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void *unpack_alloc(void *arena, size_t size)
{
    return arena_try(arena, 1, size);
}

static void unpack_free(void *arena, void *ptr)
{
    (void)arena;
    (void)ptr;
}

static bool take_frame(struct stream *s, const uint8_t *bytes, size_t len)
{
    struct arena arena;
    ProtobufCAllocator allocator = { .alloc = unpack_alloc,
                                     .free = unpack_free,
                                     .allocator_data = &arena };

    arena_init(&arena, UNPACK_BYTES_MIN + len * UNPACK_FACTOR);

    Control__Frame *frame = control__frame__unpack(&allocator, len, bytes);
    bool good = frame != NULL;

    if (good && s->handler->on_frame != NULL)
        s->handler->on_frame(s->ctx, frame);
    arena_fini(&arena);
    if (!good)
        say_limited(SAY_WARN, "control stream got what is no message, closing peer=%s bytes=%zu",
                    s->peer, len);
    return good;
}

/* Gives all whole frames on; false when the stream is to end as garbage. */
static bool take_frames(struct stream *s)
{
    while (s->state == OPEN && s->in_len - s->in_pos >= PREFIX_BYTES) {
        size_t len = load_be32(s->in + s->in_pos);

        if (len > s->frame_bytes_max) {
            say_limited(SAY_WARN,
                        "control stream got a frame that is too long, closing peer=%s bytes=%zu "
                        "max=%zu",
                        s->peer, len, s->frame_bytes_max);
            return false;
        }
        if (s->in_len - s->in_pos - PREFIX_BYTES < len)
            return true;
        if (!take_frame(s, s->in + s->in_pos + PREFIX_BYTES, len))
            return false;
        s->in_pos += PREFIX_BYTES + len;
    }
    return true;
}

static void make_room(struct stream *s)
{
    if (s->in_pos > 0) {
        memmove(s->in, s->in + s->in_pos, s->in_len - s->in_pos);
        s->in_len -= s->in_pos;
        s->in_pos = 0;
    }
    if (s->in_len == 0 && s->in_cap > READ_BYTES_KEPT) {
        free(s->in);
        s->in = NULL;
        s->in_cap = 0;
    }
    if (s->in_cap - s->in_len < READ_BYTES_MIN) {
        s->in_cap = s->in_cap < READ_BYTES_MIN ? READ_BYTES_MIN * 2 : s->in_cap * 2;
        s->in = xrealloc(s->in, s->in_cap);
    }
}

static void read_some(struct stream *s)
{
    for (size_t total = 0; s->state == OPEN && total < READ_BYTES_A_TURN;) {
        size_t got = 0;

        make_room(s);

        size_t room = s->in_cap - s->in_len;
        enum err err = net_read(s->sock, s->in + s->in_len, room, &got);

        if (err != ERR_OK) {
            end(s, err == ERR_CLOSED ? STREAM_CLOSED : STREAM_LOST);
            return;
        }
        if (got == 0)
            return;
        s->in_len += got;
        total += got;
        if (!take_frames(s)) {
            end(s, STREAM_GARBAGE);
            return;
        }
        if (got < room)
            return; /* there was no more */
    }
}

void stream_read_by_hand(struct stream *s)
{
    assert(reactor_is_here(s->reactor));
    s->by_hand = true;
    if (s->state == OPEN)
        want(s, s->backlog > 0);
}

void stream_read(struct stream *s)
{
    enter(s);
    if (s->state == OPEN)
        read_some(s);
    leave(s);
}

static void discard_some(struct stream *s)
{
    uint8_t waste[READ_BYTES_MIN];
    size_t got = 0;
    enum err err = net_read(s->sock, waste, sizeof waste, &got);

    if (err != ERR_OK)
        end(s, STREAM_FINISHED);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void sent_bytes(struct stream *s, size_t n)
{
    assert(n <= s->backlog);
    s->backlog -= n;
    n += s->sent;

    struct piece *piece;

    while ((piece = STAILQ_FIRST(&s->out)) != NULL && n >= piece->bytes.len) {
        n -= piece->bytes.len;
        STAILQ_REMOVE_HEAD(&s->out, link);
        slice_unref(&piece->bytes);
        free(piece);
    }
    s->sent = n;
}

static enum err write_some(struct stream *s, size_t *sent)
{
    struct iovec iov[WRITE_PIECES];
    struct piece *piece;
    int count = 0;

    STAILQ_FOREACH (piece, &s->out, link) {
        size_t skip = count == 0 ? s->sent : 0;

        if (count == WRITE_PIECES)
            break;
        iov[count].iov_base = (uint8_t *)(uintptr_t)piece->bytes.base + skip;
        iov[count].iov_len = piece->bytes.len - skip;
        count++;
    }
    return net_writev(s->sock, iov, count, false, sent);
}

static void want(const struct stream *s, bool to_write)
{
    bool to_read = !s->by_hand || s->state == FINISHING;

    net_want(s->sock, (to_read ? (unsigned)NET_READ : 0) | (to_write ? (unsigned)NET_WRITE : 0));
}

/* The peer may be told that no more comes, once nothing is queued any more. */
static void after_writing(struct stream *s)
{
    bool blocked = s->backlog > 0;

    if (s->state == FINISHING && !blocked && !s->said_fin) {
        s->said_fin = true;
        (void)shutdown(s->sock->fd, SHUT_WR);
    }
    want(s, blocked);
}

static void flush(struct stream *s)
{
    while (s->backlog > 0) {
        size_t sent = 0;
        enum err err = write_some(s, &sent);

        if (err != ERR_OK) {
            end(s, s->state == FINISHING ? STREAM_FINISHED : STREAM_LOST);
            return;
        }
        if (sent == 0)
            break;
        sent_bytes(s, sent);
    }
    if (s->backlog > s->backlog_bytes_max) {
        say_limited(SAY_WARN, "control stream is read too slowly, closing peer=%s queued_bytes=%zu",
                    s->peer, s->backlog);
        end(s, STREAM_TOO_SLOW);
        return;
    }
    after_writing(s);
}

static void on_flush(struct reactor_task *task)
{
    struct stream *s = container_of(task, struct stream, flush);

    if (s->state == OPEN || s->state == FINISHING) {
        flush(s);
    } else if (s->state == CONNECTING && s->backlog > s->backlog_bytes_max) {
        end(s, STREAM_TOO_SLOW);
    }
}

struct slice stream_pack(const Control__Frame *frame)
{
    size_t len = control__frame__get_packed_size(frame);
    uint8_t *fill;
    struct slice packed;

    assert(len <= UINT32_MAX - PREFIX_BYTES);
    packed = slice_new(PREFIX_BYTES + len, &fill);
    store_be32(fill, (uint32_t)len);
    control__frame__pack(frame, fill + PREFIX_BYTES);
    return packed;
}

void stream_send_packed(struct stream *s, const struct slice *packed)
{
    assert(reactor_is_here(s->reactor));
    if (s->state != OPEN && s->state != CONNECTING)
        return;

    struct piece *piece = xmalloc(sizeof *piece);

    piece->bytes = slice_ref(packed);
    STAILQ_INSERT_TAIL(&s->out, piece, link);
    s->backlog += packed->len;
    if (!reactor_task_is_deferred(&s->flush))
        reactor_defer(s->reactor, &s->flush);
}

void stream_send(struct stream *s, const Control__Frame *frame)
{
    if (s->state != OPEN && s->state != CONNECTING)
        return;

    struct slice packed = stream_pack(frame);

    stream_send_packed(s, &packed);
    slice_unref(&packed);
}

void stream_finish(struct stream *s, int64_t within_ms)
{
    assert(reactor_is_here(s->reactor));
    if (s->state == ENDED || s->state == FINISHING)
        return;
    s->pending = STREAM_FINISHED;
    reactor_timer_set_ms(s->reactor, &s->timer, s->state == CONNECTING ? 0 : within_ms);
    s->state = FINISHING;
    if (s->sock != NULL && !reactor_task_is_deferred(&s->flush))
        reactor_defer(s->reactor, &s->flush);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void opened(struct stream *s)
{
    enum err err = net_connected(s->sock);

    if (err != ERR_OK) {
        end(s, err == ERR_REFUSED ? STREAM_REFUSED : STREAM_TIMED_OUT);
        return;
    }
    reactor_timer_cancel(s->reactor, &s->timer);
    s->state = OPEN;
    want(s, false);
    if (s->backlog > 0 && !reactor_task_is_deferred(&s->flush))
        reactor_defer(s->reactor, &s->flush);
    if (s->handler->on_open != NULL)
        s->handler->on_open(s->ctx);
}

static void on_ready(void *arg, unsigned what)
{
    struct stream *s = arg;

    enter(s);
    if (s->state == CONNECTING)
        opened(s);
    if ((what & NET_READ) != 0 && s->state == OPEN)
        read_some(s);
    if ((what & NET_READ) != 0 && s->state == FINISHING)
        discard_some(s);
    if ((what & NET_WRITE) != 0 && (s->state == OPEN || s->state == FINISHING))
        flush(s);
    leave(s);
}

static void on_timer(struct reactor_timer *timer)
{
    struct stream *s = container_of(timer, struct stream, timer);

    end(s, s->pending);
}

static struct stream *make(struct reactor *reactor, const struct stream_conf *conf,
                           const struct stream_handler *handler, void *ctx)
{
    struct stream *s = xcalloc(1, sizeof *s);

    s->reactor = reactor;
    s->handler = handler;
    s->ctx = ctx;
    s->frame_bytes_max = STREAM_FRAME_BYTES_MAX;
    s->backlog_bytes_max = STREAM_BACKLOG_BYTES_MAX;
    if (conf != NULL && conf->frame_bytes_max > 0)
        s->frame_bytes_max = conf->frame_bytes_max;
    if (conf != NULL && conf->backlog_bytes_max > 0)
        s->backlog_bytes_max = conf->backlog_bytes_max;
    STAILQ_INIT(&s->out);
    reactor_timer_init(&s->timer, on_timer);
    reactor_task_init(&s->flush, on_flush);
    return s;
}

struct stream *stream_accept(struct reactor *reactor, int fd, const struct stream_conf *conf,
                             const struct stream_handler *handler, void *ctx)
{
    struct stream *s = make(reactor, conf, handler, ctx);
    struct net_addr addr;

    s->sock = net_adopt(reactor, fd, NULL, on_ready, s);
    s->state = OPEN;
    net_peer(s->sock, &addr);
    net_addr_print(&addr, s->peer);
    net_want(s->sock, NET_READ);
    return s;
}

struct stream *stream_connect(struct reactor *reactor, const struct net_addr *addr,
                              const struct stream_conf *conf, const struct stream_handler *handler,
                              void *ctx)
{
    struct stream *s = make(reactor, conf, handler, ctx);
    int64_t timeout_ms = conf != NULL && conf->connect_timeout_ms > 0 ? conf->connect_timeout_ms
                                                                      : CONNECT_TIMEOUT_MS;

    net_addr_print(addr, s->peer);
    s->state = CONNECTING;
    s->pending = STREAM_TIMED_OUT;

    enum err err = net_connect(reactor, addr, NULL, on_ready, s, &s->sock);

    if (err != ERR_OK) {
        s->pending = err == ERR_REFUSED ? STREAM_REFUSED : STREAM_TIMED_OUT;
        s->sock = NULL;
        timeout_ms = 0;
    }
    reactor_timer_set_ms(reactor, &s->timer, timeout_ms);
    return s;
}

/* ---- looking in ------------------------------------------------------------------------------ */

void stream_set_frame_max(struct stream *s, size_t frame_bytes_max)
{
    s->frame_bytes_max = frame_bytes_max;
}

void stream_set_backlog_max(struct stream *s, size_t backlog_bytes_max)
{
    s->backlog_bytes_max = backlog_bytes_max;
}

size_t stream_backlog(const struct stream *s)
{
    return s->backlog;
}

bool stream_is_open(const struct stream *s)
{
    return s->state == OPEN;
}

const char *stream_peer(const struct stream *s)
{
    return s->peer;
}

const char *stream_end_name(enum stream_end reason)
{
    switch (reason) {
    case STREAM_CLOSED:
        return "closed";
    case STREAM_LOST:
        return "lost";
    case STREAM_REFUSED:
        return "refused";
    case STREAM_TIMED_OUT:
        return "timed out";
    case STREAM_GARBAGE:
        return "garbage";
    case STREAM_TOO_SLOW:
        return "too slow";
    case STREAM_FINISHED:
        return "finished";
    }
    return "unknown";
}
