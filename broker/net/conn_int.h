/*
 * conn_int - the insides of connections, shared by conn.c, conns.c, out.c and request.c only.
 *
 * Threads: everything here belongs to the reactor of its struct conns, [a] apart.
 */
#ifndef BROKER_NET_CONN_INT_H
#define BROKER_NET_CONN_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/net/conn.h"
#include "broker/net/listener.h"
#include "broker/net/request.h"
#include "common/base/slice.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

#define TURN_BYTES      (256 * 1024) /* a connection's share of a loop turn, each way */
#define TURN_FRAMES     16
#define BLOCK_BYTES     (64 * 1024)   /* what is read into at first */
#define BLOCK_FIRST_MAX (1024 * 1024) /* of a large frame; more when that has really come */
#define BLOCKS_OUT_MAX  64 /* beyond this many in use, unfinished frames move to smaller ones */
#define BLOCKS_KEPT     16
#define BLOCKS_KEPT_MAX (8 * 1024 * 1024) /* bytes */
#define CHUNK_BYTES     (16 * 1024)
#define CHUNKS_KEPT     16
#define REQUESTS_KEPT   256
#define PIECES_KEPT     256

/* ---- output ---- */

/* Encoded bytes of answers. The reactor's current one is filled by all its connections. */
struct chunk {
    struct chunk *next; /* while kept */
    uint32_t refs;      /* pieces on it, and being current */
    uint32_t cap;
    uint32_t used;
    uint8_t bytes[];
};

struct out_piece {
    STAILQ_ENTRY(out_piece) link;
    struct chunk *chunk;    /* a ref; NULL: a range */
    size_t pos;             /* in the chunk; in a range: what has been sent */
    size_t len;             /* still to be sent */
    struct range_ref range; /* without a chunk */
};

/* ---- input ---- */

struct block_buf {
    struct slice slice; /* the whole block, our ref; empty: none */
    uint8_t *fill;      /* the same bytes, to be written */
};

/* ---- the set ---- */

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(request_list, request);

/* [I] set at the start   [a] atomic, written by the reactor, apart from count   the rest: the
 * reactor's */
struct conns {
    struct reactor *reactor;         /* [I] */
    struct conns_conf conf;          /* [I] */
    const struct dispatch *dispatch; /* [I] */
    struct conn_list active;         /* all; the one that was silent longest first */
    struct reactor_timer idle_timer; /* when that one has been silent too long */
    struct request_list spare;       /* requests to be used again */
    struct out_list spare_pieces;
    struct chunk *spare_chunks;
    struct chunk *chunk;                  /* current */
    struct block_buf blocks[BLOCKS_KEPT]; /* free when ours is the only ref */
    size_t blocks_bytes;
    int blocks_out;       /* connections hold them */
    unsigned blocks_next; /* to be replaced next */
    int spare_count, spare_pieces_count, spare_chunks_count;
    size_t open_requests;
    bool closed;      /* conns_close_all() was called */
    atomic_int count; /* [a] connections, incremented by who hands over */
    _Atomic uint64_t accepted, gone, requests, refused, bytes_in, bytes_out; /* [a] relaxed */
};

enum request_phase {
    REQUEST_SPARE,    /* in the pool */
    REQUEST_OPEN,     /* the handler's */
    REQUEST_ANSWERED, /* its answer waits for earlier ones */
    REQUEST_FAILED,   /* its connection ends when earlier ones are sent */
};

struct conn {
    struct conns *conns;                  /* [I] */
    const struct listener_info *listener; /* [I] */
    struct door *door;                    /* [I] may be NULL */
    struct net_addr peer;                 /* [I] */
    struct net_sock *sock;                /* NULL once closed */
    TAILQ_ENTRY(conn) link;               /* in conns->active */
    int64_t active_us;                    /* bytes last moved */
    uint32_t refs;                        /* its requests, being open, being at work */

    /* requests taken up */
    struct request_list ring;   /* with a slot, oldest first */
    struct request_list silent; /* without: acks=0 still at work */
    int open;                   /* in either */
    struct request *holder;     /* one of them, behind which nothing is taken up; or NULL */

    /* input: bytes [start, end) of the block are not taken up yet */
    struct block_buf block;
    size_t start, end;
    size_t charged;     /* of the budget, for the block */
    int64_t lent_by_us; /* 0: may not overdraw it; else its request must have come by then */

    /* output */
    struct out_list out;
    size_t out_bytes;

    struct reactor_task input_task; /* take up more */
    struct reactor_task flush_task; /* send; end what is finished */
    struct reactor_timer timer;     /* whatever of the next comes first */
    int64_t muted_until_us;         /* 0: not muted */
    int64_t finish_by_us;           /* 0: no hurry; else closed then at the latest */
    bool exclusive;                 /* the one in the ring is of a kind that goes alone */
    bool stalled;                   /* a whole frame is there and cannot be taken up yet */
    bool short_of_memory;           /* stalled for the budget's sake */
    bool paused;                    /* READ is not watched */
    bool ended;                     /* the client sends no more */
    bool closing;                   /* nothing more is read; closed once all is sent */
    bool cut;                       /* nothing more is answered either */
    bool taking;                    /* take_up() is on the stack */
};

#define CONN_BUMP(conns, what, n)                                                                  \
    atomic_store_explicit(&(conns)->what,                                                          \
                          atomic_load_explicit(&(conns)->what, memory_order_relaxed) +             \
                              (uint64_t)(n),                                                       \
                          memory_order_relaxed)

/* conns.c */
struct request *conns_take_request(struct conns *conns, struct conn *conn);
/* Lets go of all it holds, its connection included. */
void conns_end_request(struct request *req);
/* A block of at least size bytes, not more than twice that above BLOCK_BYTES. */
struct block_buf conns_take_block(struct conns *conns, size_t size);
void conns_give_block(struct conns *conns, struct block_buf *block);
/* A block for the len bytes of a frame that has only begun: its own, not of the pool. */
struct block_buf conns_small_block(size_t len);
/* How many bytes conns_take_block(size) gives. */
size_t conns_block_size(size_t size);
void conns_touch(struct conn *conn);

/* conn.c */
struct conn *conn_new(struct conns *conns, int fd, const struct net_addr *peer,
                      const struct listener_info *listener, struct door *door);
void conn_close(struct conn *conn, const char *why);
void conn_unref(struct conn *conn);
/* The ring's first are answered: their bytes follow those that are there. */
void conn_advance(struct conn *conn);
/* Takes a request out of ring or silent list. */
void conn_unlink(struct conn *conn, struct request *req);
/* Its holder holds no more. */
void conn_release(struct conn *conn);
/* Sends at the end of the turn. */
void conn_flush_later(struct conn *conn);
/* Nothing more is read; closed when what is open has been sent. */
void conn_finish(struct conn *conn, const char *why);

/* out.c */
enum out_end { OUT_EMPTY, OUT_MORE, OUT_BLOCKED, OUT_FAILED };

/* Encodes the answer of req at the end of list; returns how many bytes, those of ranges included.
 * 0: no frame can hold so many; then its ranges are let go of and nothing is added. */
size_t out_encode(struct conns *conns, struct request *req, const void *resp, int16_t version,
                  struct out_list *list);
/* Sends a turn's share. *sent: bytes moved. */
enum out_end out_send(struct conns *conns, struct net_sock *sock, struct out_list *list,
                      size_t *sent);
/* list will stay for long: its bytes move out of the chunks shared with others. */
void out_settle(struct conns *conns, struct out_list *list);
void out_clear(struct conns *conns, struct out_list *list);
/* The pools' end. */
void out_fini(struct conns *conns);

#endif
