/*
 * dispatch - which function handles which request; the table is given by broker.c.
 *
 * Ownership: table and context outlive every connection.
 * Threads:   the table is constant; handlers run on the connection's reactor.
 */
#ifndef BROKER_NET_DISPATCH_H
#define BROKER_NET_DISPATCH_H

#include <stddef.h>
#include <stdint.h>

struct request;

/* body: the API's decoded request struct, in the request's arena, borrowing from its frame.
 * context: the table's. The request is the handler's to end: see request.h. */
typedef void handler_fn(struct request *req, void *body, void *context);

enum {
    /* Taken up while earlier ones are open, answered in order all the same. Produce and Fetch. */
    HANDLER_PIPELINED = 1,
    /* Called with body NULL for versions outside min..max as well. ApiVersions. */
    HANDLER_ANY_VERSION = 2,
};

struct handler {
    int16_t key;
    int16_t min_version; /* what is advertised, and all that is accepted */
    int16_t max_version;
    unsigned flags;
    handler_fn *fn; /* NULL: no such row */
};

#define DISPATCH_KEYS 128

struct dispatch {
    struct handler by_key[DISPATCH_KEYS]; /* row k is for key k */
    void *context;
};

/* Puts rows[0..count) in their places; a key twice or a version that no schema has is our bug. */
void dispatch_init(struct dispatch *dispatch, const struct handler *rows, size_t count,
                   void *context);
/* NULL when there is none. */
const struct handler *dispatch_find(const struct dispatch *dispatch, int16_t key);

#endif
