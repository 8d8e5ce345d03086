/*
 * request - one request's life: its header, its memory, the bytes it came in; answered exactly
 * once.
 *
 * A handler gets it on its connection's reactor and ends it there, at once or later, with exactly
 * one of request_answer(), request_answer_none(), request_fail_close(). Until then arena, decoded
 * body, client_id and the frame's bytes stay where they are, also when the connection is gone
 * meanwhile: the answer is then thrown away.
 *
 * From another thread: keep the pointer, touch nothing of it that is [o], and request_post() a
 * function that ends it.
 *
 * Ownership: the request belongs to its reactor's pool; the call that ends it gives it back, with
 *            everything in its arena. Bytes that must outlive it: request_bytes_ref().
 * Threads:   all functions on the request's reactor, asserted; request_post() from any.
 * Errors:    none: what goes wrong with a connection ends the connection.
 */
#ifndef BROKER_NET_REQUEST_H
#define BROKER_NET_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/arena.h"
#include "common/base/mailbox.h"
#include "common/base/slice.h"
#include "common/base/str.h"
#include "common/io/net.h"

STAILQ_HEAD(out_list, out_piece);

struct conn;
struct dispatch;
struct wire_api;

#define RANGE_OWN_BYTES 64

/*
 * Record bytes of an answer that are not in its struct: a part of a file, sent with sendfile, or
 * counted memory. The generated struct's records field has len and ext = struct range_ref *, with
 * data NULL; the range_ref itself is copied out of the arena when the answer is encoded.
 */
struct range_ref {
    const struct range_ops *ops; /* NULL: nothing to check, nothing to let go */
    int fd;                      /* -1: the bytes are in memory, in bytes */
    int64_t pos;                 /* first byte in the file */
    size_t len;                  /* > 0; what the answer's field says */
    struct slice bytes;          /* with fd -1: len bytes, a ref of the range's own */
    _Alignas(
        8) uint8_t own[RANGE_OWN_BYTES]; /* for ops: whatever names file and truncation count */
};

struct range_ops {
    /* False when the file no longer holds what it held: the connection is closed. May be NULL.
     * Asked before and after each part that is sent, on the reactor. */
    bool (*is_valid)(const struct range_ref *range);
    /* Called exactly once for each range handed over with an answer, sent or not; on the reactor.
     * May be NULL. */
    void (*release)(struct range_ref *range);
};

/* What a listener is to the requests that came by it. Outlives them all. */
struct listener_info {
    const char *name;     /* [I] "PLAINTEXT", "INTERNAL" */
    const char *protocol; /* [I] "PLAINTEXT" */
    bool is_inter_broker; /* [I] */
    int port;             /* [I] */
};

/*
 * [I] set before the handler sees it   [o] its reactor only   [n] of broker/net only
 */
struct request {
    int16_t key;                          /* [I] of the API */
    int16_t version;                      /* [I] */
    int32_t correlation_id;               /* [I] */
    struct str client_id;                 /* [I] null in the header is "" here */
    const struct wire_api *api;           /* [I] its functions */
    const struct listener_info *listener; /* [I] */
    const char *principal;                /* [I] "User:ANONYMOUS"; lives as long as the request */
    const struct net_addr *peer;          /* [I] the client's address */
    struct reactor *reactor;              /* [I] where it is answered */
    int64_t received_us;                  /* [I] reactor time of the turn that took it up */
    size_t size;                          /* [I] bytes of the frame, without its length prefix */
    struct arena arena; /* [o] the handler's to use; a helper thread that was given the request
                               may, while the reactor leaves it alone */
    void *state;        /* [o] the handler's own, NULL at first */

    struct msg msg;                    /* [n] request_post() */
    void (*posted)(struct request *);  /* [n] */
    void (*on_drop)(struct request *); /* [n] */
    struct conn *conn;                 /* [n] a ref */
    struct slice frame;        /* [n] the block that holds the frame; empty: it is in arena */
    const uint8_t *bytes;      /* [n] the frame */
    TAILQ_ENTRY(request) link; /* [n] in one of the connection's lists, or in the pool */
    struct out_list out;       /* [n] the answer, while earlier ones are open */
    size_t charged;            /* [n] bytes taken from the budget */
    bool is_lent;              /* [n] the budget is overdrawn for it */
    uint8_t phase;             /* [n] enum request_phase */
    bool is_silent;            /* [n] request_expect_none() */
    bool in_ring;              /* [n] */
    bool is_pipelined;         /* [n] */
    bool is_follower;          /* [o] for the metrics: a fetch of another broker */
};

/* Ends it with resp, the API's response struct as the generated header declares it, encoded in
 * the request's version. Ranges in it are taken. What no frame can hold ends the connection. */
void request_answer(struct request *req, const void *resp);
/* The same in another version: ApiVersions' answer to a version that is not known. */
void request_answer_in(struct request *req, const void *resp, int16_t version);
/* Ends it with nothing: a produce with acks=0 that went well. */
void request_answer_none(struct request *req);
/* Ends it by closing the connection: nothing more is read, the answers that are open are awaited
 * and flushed (of a request with a slot, only those before it), then the connection is closed.
 * why: a sentence fragment for the operator, said rate-limited. */
void request_fail_close(struct request *req, const char *why);

/* Says early that it will be answered with nothing (acks=0), so that answers behind it do not wait
 * while it is at work. It must still be ended. */
void request_expect_none(struct request *req);

/* Nothing behind this request is taken up until it is ended or released: its work goes on elsewhere
 * and must not be overtaken. */
void request_hold(struct request *req);
void request_release(struct request *req);

/* From any thread: runs fn(req) on its reactor. One at a time per request. */
void request_post(struct request *req, void (*fn)(struct request *));
/* fn is called once if the connection goes before the request is ended; it may end it, then or
 * later. NULL takes it back. */
void request_on_drop(struct request *req, void (*fn)(struct request *));
/* The connection is gone: work only done for the answer's sake may stop. */
bool request_is_dropped(const struct request *req);

/* A ref on len bytes at ptr inside the request's frame, good beyond the request. Copies when the
 * frame is small. */
struct slice request_bytes_ref(const struct request *req, const void *ptr, size_t len);

/* Nothing is read from the client until delay_ms from now (a quota). Answers still go out. */
void request_mute_conn(struct request *req, int64_t delay_ms);

/* The table it was dispatched by. */
const struct dispatch *request_dispatch(const struct request *req);

#endif
