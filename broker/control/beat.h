/*
 * beat - heartbeats to the controller from a thread of their own, on a connection of their own.
 *
 * The reactors that serve clients may be stuck, and the broker must look dead then: a beat says
 * whether every one of them has made progress. So may the control thread, which is given longer: it
 * makes files for a large image, and says itself with each of them that it gets on.
 *
 * Every beat is answered. When no answer comes any more, the network has taken the controller away
 * without a word: TCP would go on trying, after twice as long each time, and notice that the cut is
 * over only then.
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
    int64_t stall_ms;        /* a turn that takes longer is a stall */
    struct reactor *control; /* that must, too; NULL: none */
    int64_t control_stall_ms;
    /* No answer for as long as the aim allows; once per aim, on the thread of the beats. */
    void (*on_silent)(void *ctx, uint64_t aim);
    void *ctx;
};

struct beat_aim {
    struct net_addr addr;
    int64_t broker_epoch;
    int64_t interval_ms;
    int64_t silence_ms;
    uint64_t number; /* what on_silent() is told */
};

struct beat *beat_start(const struct beat_conf *conf);
void beat_stop(struct beat **beat);

/* Beat there from now on. NULL: nowhere. */
void beat_aim(struct beat *beat, const struct beat_aim *aim);

#endif
