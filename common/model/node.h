/*
 * node - a broker as the cluster knows it: id, epoch, process, endpoints, rack, and whether it is
 * there.
 *
 * Ownership:  a struct node borrows its texts and endpoints; node_dup() makes one that owns them.
 */
#ifndef COMMON_MODEL_NODE_H
#define COMMON_MODEL_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/base/uuid.h"

/* The numbers are those of the control stream. */
enum node_state {
    NODE_LIVE = 0,     /* on the stream, roles applied: may be elected and join an ISR */
    NODE_UNKNOWN = 1,  /* not heard of for a moment: keeps what it has, gets nothing new */
    NODE_DEAD = 2,     /* fenced: not shown to clients, leads nothing that another could lead */
    NODE_STOPPING = 3, /* controlled shutdown: shown and fetched from, gets nothing new */
};

struct endpoint {
    struct str listener; /* "PLAINTEXT", "INTERNAL", ... */
    struct str protocol; /* "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL" */
    struct str host;
    int32_t port;
    bool is_inter_broker; /* where other brokers find it, and the controller; one at most */
};

/* In an image; another is in none. */
static inline bool endpoint_valid(const struct endpoint *endpoint)
{
    return endpoint->listener.len > 0 && endpoint->protocol.len > 0 &&
           !str_is_null(endpoint->host) && endpoint->port >= 0 && endpoint->port <= UINT16_MAX;
}

struct node {
    int32_t id;
    enum node_state state;
    int64_t epoch;           /* czxid of its registration; -1 when it has none */
    struct uuid incarnation; /* of its process; zero when not known */
    struct str rack;         /* null when it has none */
    size_t n_endpoints;
    const struct endpoint *endpoints;
};

/* One allocation that holds the node and all it points to; free() ends it. */
struct node *node_dup(const struct node *node);
bool node_eq(const struct node *a, const struct node *b);
/* NULL when the broker has no such listener. */
const struct endpoint *node_endpoint(const struct node *node, struct str listener);
/* NULL when it is not known which one that is. */
const struct endpoint *node_inter_broker(const struct node *node);

/* Shown to clients, fetched from: everything but the dead. */
static inline bool node_is_visible(const struct node *node)
{
    return node->state != NODE_DEAD;
}

#endif
