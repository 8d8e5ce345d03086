/*
 * cluster_view - the whole cluster as it can be seen from here, gathered from brokers, ZooKeeper
 * and controllers, whatever of these is down.
 *
 * Ownership:  everything lives in cli->arena.
 */
#ifndef CONTROLLER_CLI_CLUSTER_VIEW_H
#define CONTROLLER_CLI_CLUSTER_VIEW_H

#include "controller/cli/link.h"
#include "controller/cli/zk_find.h"

struct broker_view {
    int32_t id;
    const char *host; /* NULL: not known */
    int32_t port;
    const char *software; /* "moldau 0.1.0"; NULL: not known or Kafka's */
    bool is_listed;       /* in metadata: clients are sent to it */
    bool is_registered;   /* in ZooKeeper; false, too, when that cannot be asked */
    enum err answers;     /* ERR_OK, or why not */
    int64_t answered_us;
    int64_t since_ms;                 /* of its registration; 0 not known */
    int64_t epoch;                    /* of the same; -1 not known */
    struct str rack;                  /* null: none, or not known */
    int32_t leads, holds;             /* partitions */
    int32_t missing;                  /* partitions it holds and is not in sync for */
    int32_t dark;                     /* of those, without any leader */
    const struct zk_loading *loading; /* it starts and opens its logs; NULL: it does not */
};

struct controller_view {
    int32_t id;
    const char *host;
    int32_t port;
    bool is_active;
    bool is_broker;     /* Kafka's: one of the brokers */
    bool is_registered; /* ZooKeeper lists it */
    enum err answers;
    int64_t since_ms; /* of its registration; 0 not known */
};

struct part_view {
    struct str topic;
    const struct metadata_response_partition *part;
    int32_t min_isr; /* -1 not known */
    bool is_internal;
};

struct cluster_view {
    const char *cluster_id; /* NULL: not known */
    struct broker_view *brokers;
    int brokers_len;
    struct controller_view *controllers;
    int controllers_len;
    int32_t active, controller_epoch; /* -1 not known */
    int64_t active_since_ms;
    const char *zookeeper;   /* NULL: nobody told */
    bool zookeeper_is_given; /* by the user or by scripts/cluster, not by a broker */
    enum err zookeeper_err;  /* ERR_OK: it answered */
    int32_t topics, partitions;
    struct part_view *parts; /* those that lack something */
    int parts_len;
    int32_t offline, under_replicated, under_min_isr, last_copy;
};

/* "812 of 2,000 logs" of all its directories. */
const char *cluster_how_far(struct cli *cli, const struct zk_loading *loading);

/* Gathers; what cannot be reached is left out or marked. */
enum exit_code cluster_look(struct cli *cli, struct link *link, struct cluster_view *view);

#endif
