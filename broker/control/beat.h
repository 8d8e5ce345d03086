/*
 * beat - heartbeats to the controller from a thread of their own, on a connection of their own.
 *
 * The control thread may be busy with a large image and must not look dead for it; the reactors
 * that serve clients may be stuck and must: a beat says whether every one of them has made
 * progress.
 *
 * Threads:    beat_aim() from the control reactor; the rest by main.
 */
#ifndef BROKER_CONTROL_BEAT_H
#define BROKER_CONTROL_BEAT_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/uuid.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

struct beat;

struct beat_conf {
    int32_t broker_id;
    struct uuid incarnation;
    const char *cluster_id;          /* copied */
    struct reactor *const *reactors; /* that must make progress; borrowed */
    size_t reactors_len;
    int64_t stall_ms; /* a turn that takes longer is a stall */
};

struct beat *beat_start(const struct beat_conf *conf);
void beat_stop(struct beat **beat);

/* Beat there every interval_ms under this broker epoch. addr NULL: nowhere. */
void beat_aim(struct beat *beat, const struct net_addr *addr, int64_t broker_epoch,
              int64_t interval_ms);

#endif
