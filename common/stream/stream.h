/*
 * stream - one connection of the control stream: frames of control.proto behind a 32-bit big-endian
 * length, in order, both ways. What the messages mean is the business of whoever holds it.
 *
 * Units:      sizes in bytes, times in milliseconds.
 * Ownership:  the holder closes it; no callback is made after that. on_end() is made once at most,
 *             and the stream, which does nothing any more, still wants to be closed then.
 * Threads:    everything on its reactor's thread. Callbacks may send, finish and close.
 * Errors:     whatever ends it comes as a reason through on_end(), never from inside a send. What
 * is not a frame, or too long for one, is said to the operator here.
 */
#ifndef COMMON_STREAM_STREAM_H
#define COMMON_STREAM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/slice.h"
#include "common/io/net.h"
#include "common/io/reactor.h"
#include "gen/control.pb-c.h"

#define STREAM_PROTOCOL          1 /* what we say and expect in Hello and Welcome */
#define STREAM_FRAME_BYTES_MAX   (16 * 1024 * 1024)
#define STREAM_BACKLOG_BYTES_MAX (64 * 1024 * 1024)

struct stream;

enum stream_end {
    STREAM_CLOSED,    /* the peer closed it */
    STREAM_LOST,      /* it was reset, or the network failed */
    STREAM_REFUSED,   /* connecting: nobody listens there */
    STREAM_TIMED_OUT, /* connecting: no answer in time, or no way there */
    STREAM_GARBAGE,   /* the peer sent what is no frame, or a frame too long */
    STREAM_TOO_SLOW,  /* more was queued than its bound */
    STREAM_FINISHED,  /* stream_finish() is done */
};

/* Any of them may be NULL. */
struct stream_handler {
    void (*on_open)(void *ctx); /* connecting has succeeded; not called for accepted ones */
    /* frame and all in it are lent until it returns */
    void (*on_frame)(void *ctx, const Control__Frame *frame);
    void (*on_end)(void *ctx, enum stream_end reason);
};

struct stream_conf {
    size_t frame_bytes_max;     /* 0: STREAM_FRAME_BYTES_MAX; of what the peer sends */
    size_t backlog_bytes_max;   /* 0: STREAM_BACKLOG_BYTES_MAX */
    int64_t connect_timeout_ms; /* 0: 3000 */
};

/* Takes fd. conf may be NULL, the handler is borrowed as long as the stream lives. */
struct stream *stream_accept(struct reactor *reactor, int fd, const struct stream_conf *conf,
                             const struct stream_handler *handler, void *ctx);
/* Begins to connect; what is sent meanwhile waits. on_open() or on_end() follows, never from inside
 * this call. */
struct stream *stream_connect(struct reactor *reactor, const struct net_addr *addr,
                              const struct stream_conf *conf, const struct stream_handler *handler,
                              void *ctx);
/* At once, whatever is queued. Leaves NULL behind; NULL inside is fine. */
void stream_close(struct stream **stream_ptr);
/* No frame is taken any more; what is queued is sent, then the peer is given until within_ms from
 * now to have read it and close. Then on_end(). */
void stream_finish(struct stream *stream, int64_t within_ms);

/* From now on what comes waits until stream_read() is called, and with it the news that the peer
 * has closed: for who sends regularly, and for whom it is soon enough to hear then. Each wake-up
 * that an answer does not cause is saved. */
void stream_read_by_hand(struct stream *stream);
/* Reads what is there; on_frame() and on_end() are called from inside it. */
void stream_read(struct stream *stream);

/* Queues a frame; nothing once it has ended. */
void stream_send(struct stream *stream, const Control__Frame *frame);
/* The same in two steps, so that one packing serves many streams. */
struct slice stream_pack(const Control__Frame *frame);
void stream_send_packed(struct stream *stream, const struct slice *packed);

/* Other bounds from now on: more for who has said who he is, more for who is sent a large image. */
void stream_set_frame_max(struct stream *stream, size_t frame_bytes_max);
void stream_set_backlog_max(struct stream *stream, size_t backlog_bytes_max);

/* Queued and not yet taken by the kernel. */
size_t stream_backlog(const struct stream *stream);
bool stream_is_open(const struct stream *stream);
/* "127.0.0.1:41234" */
const char *stream_peer(const struct stream *stream);
const char *stream_end_name(enum stream_end reason);

#endif
