/*
 * peer - a connection to another broker: requests out, answers in, in order.
 *
 * Just big enough for what brokers ask one another: it connects, asks once what the other side
 * speaks, sends requests with correlation ids and hands each answer to who asked for it.
 *
 *     peer_connect()  ->  on_open  ->  peer_send() ... on_answer ...  ->  on_close
 *
 * To connect again is the caller's: when, and whether.
 *
 * Units:      sizes are bytes, times are monotonic ms.
 * Ownership:  a peer owns its socket and buffers. The bytes of an answer are lent to on_answer.
 * Threads:    its reactor's; callbacks run there.
 * Errors:     ERR_REFUSED, ERR_TIMED_OUT, ERR_CLOSED, ERR_NETWORK_EXCEPTION, ERR_IO for the
 * connection; ERR_BAD_FORMAT, ERR_TOO_LARGE for what was sent to us; ERR_UNSUPPORTED_VERSION.
 */
#ifndef BROKER_REPLICA_PEER_H
#define BROKER_REPLICA_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

struct peer;

struct peer_conf {
    const char *client_id;      /* of every request; copied */
    size_t frame_max_bytes;     /* a longer answer ends the connection */
    int64_t connect_timeout_ms; /* until on_open */
    struct net_sock_conf sock;
    /* It may be asked now. Called once per peer_connect() that gets there. */
    void (*on_open)(void *ctx);
    /* The connection is gone, or never came to be; every open request was answered with the same
     * error before. Not called after peer_close(). */
    void (*on_close)(void *ctx, enum err why);
    void *ctx;
};

/* What came: the response without its header, in the version that was asked in. */
struct peer_answer {
    int16_t key, version;
    const uint8_t *bytes; /* NULL with an error */
    size_t len;
};

/* Once per request, with ERR_OK or the reason why there is no answer. It may send, close and
 * connect, but not free the peer. */
typedef void peer_on_answer(void *ctx, enum err err, const struct peer_answer *answer);

struct peer *peer_new(struct reactor *reactor, const struct peer_conf *conf);
/* Closes first. */
void peer_free(struct peer **peer_ptr);

/* Begins to connect; it must be closed. What fails at once comes as an error, without on_close. */
enum err peer_connect(struct peer *peer, const struct net_addr *addr) MUST_USE;
/* Ends the connection; open requests are answered with ERR_CLOSED, on_close is not called. Nothing
 * when it is closed already. */
void peer_close(struct peer *peer);

/* Neither opening nor open. */
bool peer_is_closed(const struct peer *peer);
/* on_open was called, nothing has ended it since. */
bool peer_is_open(const struct peer *peer);
/* Bytes of an answer that is not whole yet are there. */
bool peer_is_receiving(const struct peer *peer);
/* How many bytes of it: grows while the other side is heard. */
size_t peer_received(const struct peer *peer);
size_t peer_open_requests(const struct peer *peer);
/* The highest version up to `highest` that the other side serves; -1 when it serves none. */
int16_t peer_version(const struct peer *peer, int16_t key, int16_t highest);

/* Sends body, the API's request struct as its generated header declares it. It must be open.
 * Without an answer within timeout_ms the connection ends with ERR_TIMED_OUT: what came later could
 * not be told apart. */
void peer_send(struct peer *peer, int16_t key, int16_t version, const void *body,
               int64_t timeout_ms, peer_on_answer *on_answer, void *ctx);

#endif
