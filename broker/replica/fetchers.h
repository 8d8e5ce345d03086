/*
 * fetchers - which partition is fetched by which loop from whom.
 *
 * Ownership:  a follow holds a reference on the partition until the loop has let go of it.
 * Threads:    any; what is asked for reaches the loops as messages, in order.
 */
#ifndef BROKER_REPLICA_FETCHERS_H
#define BROKER_REPLICA_FETCHERS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/replica/part.h"
#include "broker/replica/repl_quota.h"
#include "common/io/resolver.h"
#include "common/model/image.h"

struct fetchers;

struct fetchers_conf {
    int32_t broker_id;
    int32_t per_leader;           /* num.replica.fetchers at first; at least one */
    const char *listener;         /* of the brokers' endpoints: inter.broker.listener.name */
    int32_t partition_max_bytes;  /* replica.fetch.max.bytes */
    int32_t response_max_bytes;   /* replica.fetch.response.max.bytes */
    int32_t min_bytes;            /* replica.fetch.min.bytes */
    int32_t wait_max_ms;          /* replica.fetch.wait.max.ms */
    int32_t backoff_ms;           /* replica.fetch.backoff.ms */
    int32_t request_timeout_ms;   /* replica.socket.timeout.ms */
    int32_t receive_buffer_bytes; /* replica.socket.receive.buffer.bytes */
    struct repl_quota *quota;     /* of the follower's; NULL: none */
    struct resolver *resolver;    /* of the leaders' names */
    struct logs *logs;            /* where syncs are waited for (flush.messages) */
};

struct fetchers *fetchers_start(const struct fetchers_conf *conf);
/* Stops every loop and lets go of every partition. What is asked for afterwards does nothing: the
 * control thread may still apply what comes while a broker stops. */
void fetchers_halt(struct fetchers *fetchers);
/* The same, if that was not done, and the end of it: nobody asks any more. */
void fetchers_stop(struct fetchers **fetchers);

/* Endpoints, and our own broker epoch, as of this image. */
void fetchers_set_image(struct fetchers *fetchers, const struct image *image);
/* Fetches part from leader in leader_epoch; replaces what was asked for it before. A leader whose
 * endpoint is not known yet is waited for. */
void fetchers_follow(struct fetchers *fetchers, struct part *part, int32_t leader,
                     int32_t leader_epoch);
/* Returns at once; an append under way still ends (part_follow() refuses it by the epoch). */
void fetchers_unfollow(struct fetchers *fetchers, struct part *part);

/* From now on so many loops for each leader. Waits until the ones before have ended what they were
 * at; one thread at a time calls it, and none that stops fetchers meanwhile. */
void fetchers_resize(struct fetchers *fetchers, int32_t per_leader);

/* Has the connection to that broker broken within the last within_ms, and not been made again?
 * Whoever asks knows before the controller has said so that a broker may just have died. Any
 * thread. */
bool fetchers_just_lost(struct fetchers *fetchers, int32_t broker, int64_t within_ms);

/* Of one loop. */
struct fetcher_info {
    int32_t partitions, failed;
    int64_t lag_max;  /* records behind the leader's high watermark, as of at most a second ago */
    uint64_t fetches; /* answered so far */
    uint64_t bytes;   /* of records appended so far */
};
/* note is called under a lock: it calls nothing of ours. */
void fetchers_each(struct fetchers *fetchers,
                   void (*note)(void *arg, int32_t leader, int32_t index,
                                const struct fetcher_info *info),
                   void *arg);

struct fetchers_info {
    int32_t loops, partitions, failed;
    int64_t lag_max; /* records behind the leader, of the partition most behind */
};
void fetchers_get_info(struct fetchers *fetchers, struct fetchers_info *out);

/* Which of n loops of a leader fetches it: Kafka's abs(31 * hash + partition) mod n, so that a
 * partition's load is found where an operator of Kafka looks for it. */
int32_t fetchers_index(struct str topic, int32_t partition, int32_t n);

#endif
