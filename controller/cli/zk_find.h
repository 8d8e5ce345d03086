/*
 * zk_find - what the command line reads in ZooKeeper: where brokers and controllers are, and who is
 * the active controller.
 *
 * Ownership:  texts live in cli->arena.
 * Threads:    one; calls wait.
 */
#ifndef CONTROLLER_CLI_ZK_FIND_H
#define CONTROLLER_CLI_ZK_FIND_H

#include "common/base/uuid.h"
#include "common/model/ids.h"
#include "common/zk/zk_tree.h"
#include "controller/cli/cli.h"
#include "controller/cli/place.h"

/* Fills place->brokers from place->zookeeper, or from what a controller of place->controllers
 * knows. What is wrong has been said. */
enum exit_code zk_find_brokers(struct cli *cli, struct place *place);

struct zk_seen {
    struct zk_seen_broker {
        int32_t id;
        const char *host; /* NULL: none that is plaintext */
        int32_t port;
        const char *moldau; /* version of ours, NULL: somebody else's */
        int64_t since_ms;   /* wall clock; of its registration */
        int64_t epoch;      /* of its registration, -1 not known */
        struct str rack;    /* null: none */
    } * brokers;
    int brokers_len;
    struct zk_seen_controller {
        int32_t id;
        const char *host;
        int32_t port;
        int64_t since_ms;
    } * controllers; /* of ours; Kafka has none */
    int controllers_len;
    struct zk_seen_loading {
        int32_t id;
        struct zk_loading how_far;
    } * loading; /* brokers that start and do not serve yet */
    int loading_len;
    int32_t active; /* controller, -1 none */
    int64_t active_since_ms;
    int32_t epoch;          /* of the controller, -1 not known */
    const char *cluster_id; /* NULL: none */
};

/* ERR_TIMED_OUT: no server of connect answered within wait_ms. */
enum err zk_look(struct cli *cli, const char *connect, int64_t wait_ms,
                 struct zk_seen *seen) MUST_USE;

/* What only the tree tells of a partition. */
struct zk_seen_part {
    struct uuid topic_id; /* in, like the next two */
    struct str topic;
    int32_t partition;
    int32_t partition_epoch;  /* the version of its state, -1 not there */
    int32_t controller_epoch; /* of who wrote it */
    struct ids eligible;      /* who has all that is committed beside the ISR, ours */
};

enum err zk_look_parts(struct cli *cli, const char *connect, int64_t wait_ms,
                       struct zk_seen_part *parts, int n) MUST_USE;

#endif
