/*
 * seek - find the active controller, open the stream, say hello; again whenever it ends.
 *
 * Addresses of all controllers come from ZooKeeper (/controllers/ids) and are kept, so that a
 * stream that ends is followed by the next attempt at once, without waiting for a watch: the one
 * that ZooKeeper or a standby names as active first, the others in turn. Only listed controllers
 * are connected to.
 *
 * Threads:    all on the control reactor.
 */
#ifndef BROKER_CONTROL_SEEK_H
#define BROKER_CONTROL_SEEK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/io/reactor.h"
#include "common/io/resolver.h"
#include "common/stream/stream.h"
#include "common/zk/zk.h"

struct seek;

struct seek_conf {
    struct reactor *reactor;
    struct resolver *resolver; /* of controllers' names */
    struct zk *zk;
    /* Fills the hello; false: not now (not registered yet). */
    bool (*hello)(void *ctx, Control__Hello *hello);
    /* The stream is up when a Welcome has come. */
    void (*on_up)(void *ctx, const Control__Welcome *welcome);
    void (*on_down)(void *ctx);
    void (*on_frame)(void *ctx, const Control__Frame *frame);
    void *ctx;
};

struct seek *seek_new(const struct seek_conf *conf);
void seek_free(struct seek **seek);

/* A new session: read and watch the controllers again. */
void seek_on_session(struct seek *seek);
/* A watch of ZooKeeper's fired. */
void seek_on_node(struct seek *seek, struct str path);
/* The hello can be said now, or says something else now. */
void seek_begin(struct seek *seek);

bool seek_is_up(const struct seek *seek);
/* Dropped when the stream is not up. */
void seek_send(struct seek *seek, const Control__Frame *frame);
/* What came does not fit: end the stream and begin anew. */
void seek_restart(struct seek *seek, const char *why);
/* Where the present stream goes, for the heartbeats' connection; false while it is not up. */
bool seek_addr(const struct seek *seek, struct net_addr *out);

#endif
