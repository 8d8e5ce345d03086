/*
 * read_replica - which replica a consumer should read from (KIP-392).
 *
 * As Kafka's RackAwareReplicaSelector: the leader if it stands in the consumer's rack or nobody
 * does, else who is furthest of those in that rack.
 */
#ifndef BROKER_REPLICA_READ_REPLICA_H
#define BROKER_REPLICA_READ_REPLICA_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

/* A follower that is in sync and has the offset in question. */
struct reader {
    int32_t id;
    int64_t leo;
    int64_t behind_ms; /* since it had all that the leader has */
    struct str rack;   /* null: it is not to be sent to */
};

#define READ_FROM_LEADER (-1)

int32_t read_replica_choose(struct str rack, struct str leader_rack, const struct reader *readers,
                            size_t n);

#endif
