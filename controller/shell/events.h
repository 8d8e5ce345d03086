/*
 * events - the thread that owns the core: what comes from ZooKeeper, from streams and from time
 * goes in, one event at a time; what the core wants done is done, in order, before the next one.
 *
 * Ownership:  owns the reactor, the ZooKeeper session, the seat, all streams and the core.
 * Threads:    events_start(), events_stop() and events_look() from any other thread but its own.
 */
#ifndef CONTROLLER_SHELL_EVENTS_H
#define CONTROLLER_SHELL_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/model/image.h"
#include "controller/core/core.h"
#include "controller/shell/streams.h"

struct events;

struct events_conf {
    struct core_settings core;     /* controller_id and time-outs, too; borrowed during start */
    const char *host;              /* of controller.listener, as others reach it */
    int32_t port;                  /* 0: any free one */
    const char *zookeeper_connect; /* what texts point to outlives events_stop() */
    int32_t session_timeout_ms;    /* of our session */
    uint32_t heartbeat_interval_ms;
    uint64_t seed;
};

/* Listens, starts the thread; the seat is sought as soon as ZooKeeper answers. Why it failed has
 * been said. */
enum err events_start(const struct events_conf *conf, struct events **out) MUST_USE;
/* Gives the seat up, ends the session, says goodbye to all, joins the thread. */
void events_stop(struct events **events);
int events_port(const struct events *events);

/* What the status page shows, at one moment. */
struct events_view {
    int32_t controller_id;
    bool is_active;               /* loaded, and the core at work */
    bool is_holder;               /* of the seat */
    int32_t holder;               /* who is active as far as known; -1 nobody */
    int32_t epoch;                /* while is_holder */
    bool is_connected;            /* to ZooKeeper */
    bool is_busy;                 /* is_active, and something is being written or waits to be */
    bool is_loading;              /* is_holder, and reading what ZooKeeper holds: */
    size_t load_parts, load_done; /* partitions found so far, and those read or known of them */
    bool is_warm;                 /* a standby that follows the active controller */
    uint64_t steps, writes, deltas;
    struct streams_counts streams;
    struct image *image; /* the viewer's reference; a standby's is what it follows; NULL: none */
};
void events_look(struct events *events, struct events_view *out);

#endif
