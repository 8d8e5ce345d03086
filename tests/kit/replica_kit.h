/*
 * replica_kit - a few brokers in this process: logs in temporary folders, partitions, fetch loops,
 * and a real listener that serves Produce, Fetch and ListOffsets. The test is their controller.
 */
#ifndef TESTS_KIT_REPLICA_KIT_H
#define TESTS_KIT_REPLICA_KIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/api/api.h"
#include "broker/net/conn.h"
#include "broker/net/listener.h"
#include "broker/replica/fetchers.h"
#include "broker/replica/parts.h"
#include "broker/replica/peer.h"
#include "common/wire/codec.h"
#include "common/base/lock.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/names.h"

#define KIT_BROKERS    3
#define KIT_TURN_PARTS 4

struct kit_cluster;

struct kit_broker {
    struct kit_cluster *cluster;
    int32_t id;
    int64_t epoch;
    const char *dir;
    bool up;
    atomic_bool is_stopped; /* its threads and partitions are gone */
    struct logs *logs;
    struct parts *parts;
    struct fetchers *fetchers;
    struct reactor *reactor;
    struct conns *conns;
    struct door *door;
    struct listener *listener;
    struct dispatch dispatch;
    struct budget memory;
    struct pool *pool;
    struct lane *lane; /* of its directory */
    struct api api;
};

/* What a leader asked for, as copied. */
struct kit_proposal {
    int32_t broker;
    struct uuid topic_id;
    int32_t partition, leader_epoch, partition_epoch;
    uint64_t id;
    int32_t members[8];
    int32_t members_len;
};

struct kit_cluster {
    struct kit_broker brokers[KIT_BROKERS + 1]; /* by id, from 1 */
    struct image *image;
    struct names *names; /* of brokers */
    const char *host;    /* of every broker; 127.0.0.1 at first */
    struct fetchers_conf fetch;
    struct log_conf log;
    const char *flushed_topic; /* has flush.messages=1; NULL: none */
    bool dir_threads;          /* of every broker; else kit_sync() */
    int32_t min_isr;
    const char *throttled_leaders, *throttled_followers; /* of every topic; NULL: none */
    struct repl_quota *leader_quota;                     /* of every broker; NULL: none */
    int64_t note_every_ms;                               /* of every broker */
    struct disk *disk;                                   /* of every broker; NULL: the real one */
    int64_t next_epoch;
    struct lock lock;
    struct kit_proposal proposals[256]; /* [m] */
    int proposals_len;                  /* [m] */
};

/* Starts brokers 1 to n. Settings may be changed before. */
void kit_cluster_init(struct kit_cluster *cluster);
void kit_cluster_start(struct kit_cluster *cluster, int n);
/* Starts 1 and 2. Of the first `topics` topics 1 leads partition 0 in epoch 0, and 2, which is in
 * the ISR, follows. */
void kit_cluster_start_pair(struct kit_cluster *cluster, int topics);
void kit_cluster_end(struct kit_cluster *cluster);

/* The broker's files stay; clean: it closes its logs. The others hear that it is dead. */
void kit_broker_stop(struct kit_cluster *cluster, int32_t id, bool clean);
/* With a new broker epoch and another port; the image that says so is given to all, and to itself
 * whole. */
void kit_broker_start(struct kit_cluster *cluster, int32_t id);

struct uuid kit_topic_id(int n);
/* "t0", "t1", ... */
struct str kit_topic_name(int n);

/* The new state of a partition of topic n, in the image only. */
void kit_put_part(struct kit_cluster *cluster, int topic, const struct image_part *part);
/* Gives the last delta (or whole: all of the image) to one broker. */
void kit_tell(struct kit_cluster *cluster, int32_t id, const struct image_part *part, int topic);
/* Both, to every broker that is up. */
void kit_set_part(struct kit_cluster *cluster, int topic, const struct image_part *part);
/* Accepts what leaders have proposed so far. */
void kit_accept(struct kit_cluster *cluster);

/* A reference; NULL when the broker does not host it. */
struct part *kit_part(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition);
/* It registers anew, as after its session has expired: a new broker epoch in the same process. */
void kit_broker_register(struct kit_cluster *cluster, int32_t id);
/* Appends `batches` batches of `count` records as leader; fails the test unless that works. */
void kit_produce(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition, int batches,
                 int count, size_t value_bytes);
void kit_info(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition,
              struct part_info *out);

/* The syncs that are waited for in the broker's directory are made now. */
void kit_sync(struct kit_cluster *cluster, int32_t id);

/* Waits, accepting proposals, until both logs end at leo and both high watermarks are hw; -1: any.
 * Returns how many ms that took; fails the test after 20 s. */
int64_t kit_wait(struct kit_cluster *cluster, int32_t id, int topic, int32_t partition, int64_t leo,
                 int64_t hw);
/* The logs of both brokers hold the same bytes. */
void kit_same(struct kit_cluster *cluster, int32_t a, int32_t b, int topic, int32_t partition);

/* Waits until the broker follows at most n partitions; the runner's time limit is the bound. */
void kit_wait_followed(struct kit_cluster *cluster, int32_t id, int32_t n);

/* Leadership of t0's partitions goes round among brokers 1 to 3, all in the ISR. In each round,
 * counted from 0, the next one leads in a new epoch and appends to every partition. Returns who. */
int32_t kit_turn(struct kit_cluster *cluster, int32_t round);
/* Waits until all three have the records of that round and of those before; their number. */
int64_t kit_turn_wait(struct kit_cluster *cluster, int32_t round);
/* The logs of all three hold the same bytes. */
void kit_turn_same(struct kit_cluster *cluster);

/* A client of one broker, driven by the test's own thread. */
struct kit_client {
    struct reactor *reactor;
    struct peer *peer;
    bool answered;
    enum err err;
    int16_t version;
    struct buf answer; /* its bytes */
};
void kit_client_start(struct kit_client *client, struct kit_cluster *cluster, int32_t id);
void kit_client_send(struct kit_client *client, int16_t key, int16_t version, const void *body);
/* Waits for the answer; fails the test after 20 s. */
void kit_client_wait(struct kit_client *client);
void kit_client_end(struct kit_client *client);

/* All replicas, the given leader and ISR. */
struct image_part kit_state(int32_t leader, int32_t leader_epoch, int32_t partition_epoch,
                            struct ids replicas, struct ids isr);

#endif
