/*
 * enroll - the ephemeral node that says we live (C1): /brokers/ids/N.
 *
 * common/zk/zk_enroll does the registering; here stands what a broker makes of it: it reads the
 * cluster id first, registers only when it is allowed to, and when somebody else's registration is
 * in its way, waits for that one's session to expire if nobody answers on its endpoint, and gives
 * up if somebody does: two brokers with one id must never both serve.
 *
 * Ownership:  borrows the zk and what the conf points to.
 * Threads:    all on the control reactor.
 */
#ifndef BROKER_CONTROL_ENROLL_H
#define BROKER_CONTROL_ENROLL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/uuid.h"
#include "common/io/reactor.h"
#include "common/io/resolver.h"
#include "common/model/node.h"
#include "common/zk/zk.h"

struct enroll;

struct enroll_conf {
    struct reactor *reactor;
    struct resolver *resolver; /* of the name in a registration that stands in the way */
    struct zk *zk;
    const struct node *self; /* id, rack, endpoints as advertised */
    const char *software;    /* goes into the registration: it is one of ours */
    /* The cluster's id, read or just made. Once per session; never changes. */
    void (*on_cluster_id)(void *ctx, const char *cluster_id);
    void (*on_registered)(void *ctx, int64_t broker_epoch);
    /* Somebody else has our id and answers, or the tree cannot be used: why. */
    void (*on_refused)(void *ctx, const char *why);
    /* A registration stands in the way whose owner does not answer. True: it may be gone now, so it
     * is tried again at once. */
    bool (*on_standing)(void *ctx);
    void *ctx;
};

struct enroll *enroll_new(const struct enroll_conf *conf);
void enroll_free(struct enroll **enroll);

/* May the registration be made? From the first call on it is, in every session. */
void enroll_allow(struct enroll *enroll);
/* -1 while not registered. */
int64_t enroll_epoch(const struct enroll *enroll);

#endif
