/*
 * fetcher - one loop that copies partitions from one leader: a thread, a connection, a fetch_core.
 *
 * Ownership:  a follow holds a reference on its partition until the loop has let go of it.
 * Threads:    any; what is asked for reaches the loop as messages, in order. fetcher_stop() is not
 * for the loop's own thread.
 * Errors:     none to the caller: the loop says what is wrong, and tries again.
 */
#ifndef BROKER_REPLICA_FETCHER_H
#define BROKER_REPLICA_FETCHER_H

#include <stdint.h>

#include "broker/replica/fetchers.h"
#include "common/base/str.h"
#include "common/base/uuid.h"

struct fetcher;

/* conf is copied, but for its texts, which outlive the loop. It waits to be told of its leader. */
struct fetcher *fetcher_start(const struct fetchers_conf *conf, int32_t leader, int32_t index);
void fetcher_stop(struct fetcher **fetcher_ptr);

/* What the image says: where the leader listens, in which process, and our own broker epoch. host
 * null, broker_epoch -1: not known, what was known stays. Without a host the loop does not connect,
 * without an epoch it does not fetch. */
struct fetcher_source {
    struct str host;
    int32_t port;
    struct uuid incarnation;
    int64_t broker_epoch;
};
void fetcher_set_source(struct fetcher *fetcher, const struct fetcher_source *source);

void fetcher_follow(struct fetcher *fetcher, struct part *part, int32_t leader_epoch);
void fetcher_unfollow(struct fetcher *fetcher, struct part *part);

void fetcher_get_info(struct fetcher *fetcher, struct fetcher_info *out);

/* When its connection broke (monotonic), 0 while it stands or none is wanted. Any thread. */
int64_t fetcher_lost_ms(const struct fetcher *fetcher);

#endif
