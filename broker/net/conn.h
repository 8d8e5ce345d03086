/*
 * conn - the client connections of one reactor: bytes to frames to requests, answers to bytes.
 *
 * Produce and Fetch are taken up as they come and answered in order; every other kind waits until
 * all before it are answered, and holds back what follows until it is. A client that sends more
 * than it may, or reads less than it is sent, is not read from until that has changed.
 *
 * Units:     sizes are bytes.
 * Ownership: struct conns owns its connections and the pools they draw on; connections belong to
 *            their reactor for life.
 * Threads:   [reactor] for all but conns_count(), conns_totals() and conns_hand_over(), which are
 *            for any.
 * Errors:    none to the caller: garbage, silence and resets end a connection, with a line for the
 *            operator that is rate-limited where a client can cause it.
 */
#ifndef BROKER_NET_CONN_H
#define BROKER_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/net/dispatch.h"
#include "broker/net/request.h"
#include "common/base/mem.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

struct conns;
struct door;

struct conns_conf {
    size_t request_max_bytes; /* socket.request.max.bytes */
    int64_t idle_max_ms;      /* connections.max.idle.ms; <= 0: never */
    int open_max;             /* requests taken up and not answered, per connection; 0: a default */
    size_t output_max_bytes;  /* answers not yet sent beyond which nothing more is taken up; 0: a
                                 default */
    struct net_sock_conf sock;
    /* Request bytes of all connections of the process; at least four times request_max_bytes, or a
     * large request may wait for ever. NULL: no bound. */
    struct budget *memory;
};

/* conf is copied; dispatch is borrowed for life. */
struct conns *conns_new(struct reactor *reactor, const struct conns_conf *conf,
                        const struct dispatch *dispatch);
/* Closes all connections. Requests that are at work are told (request_on_drop) and live on until
 * they are ended. */
void conns_close_all(struct conns *conns);
/* After conns_close_all(), once every request has been ended: conns_open_requests() is 0. */
void conns_free(struct conns **conns_ptr);
size_t conns_open_requests(const struct conns *conns);

/* A connection on fd, a stream socket, which it takes. door may be NULL; it is told when the
 * connection ends. */
void conns_add(struct conns *conns, int fd, const struct net_addr *peer,
               const struct listener_info *listener, struct door *door);
/* From any thread: conns_add() on the reactor. */
void conns_hand_over(struct conns *conns, int fd, const struct net_addr *peer,
                     const struct listener_info *listener, struct door *door);

/* Connections, those handed over included. */
int conns_count(const struct conns *conns);

struct conns_totals {
    uint64_t accepted, closed, requests, refused; /* refused: closed for what they sent */
    uint64_t bytes_in, bytes_out;
};
void conns_totals(const struct conns *conns, struct conns_totals *out);

/* ---- one connection ---- */

/* Nothing is read until delay_ms from now. */
void conn_mute(struct conn *conn, int64_t delay_ms);

#endif
