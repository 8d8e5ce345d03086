/*
 * drain - the end of the requests that are open when the broker stops.
 *
 * Their connections are closed already: nobody hears the answers. What they borrow, a reactor, a
 * partition, an arena, must not go before they do.
 *
 * Threads:    the one that stops the broker.
 */
#ifndef BROKER_DRAIN_H
#define BROKER_DRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/net/conn.h"
#include "broker/replica/parts.h"
#include "broker/txn/pids.h"
#include "common/io/reactor.h"

struct drain {
    struct reactor **reactors;  /* they run, or have never run */
    struct conns *const *conns; /* one per reactor; conns_close_all() has been called */
    size_t len;
    struct parts *parts; /* NULL: there are none yet */
    struct pids *pids;   /* the same */
};

/* Lets requests end by themselves, at most within_ms; false when some are still open. */
bool drain_wait_ms(const struct drain *drain, int64_t within_ms);
/* Ends what waits for others: for replicas that may never answer, for ids of a controller that may
 * not be there. Returns when no request is open; that may take as long as a disk does. After what
 * still appends, fetches or changes roles has been stopped, and the pool. */
void drain_end(const struct drain *drain);

#endif
