/*
 * zk_tree - every path and every value of Kafka 3.9's ZooKeeper tree, and the few of our own.
 *
 * Values are built byte for byte as Kafka 3.9 writes them (compact, keys in its order); they are
 * parsed as tolerantly as Kafka does: any order of keys, unknown keys passed over, every version it
 * ever wrote.
 *
 *   ours   /controllers/ids            since which epoch all who held the seat were ours
 *          /controllers/ids/N          address of a controller, ephemeral
 *          /controllers/eligible/...   who may lead a partition beside its ISR
 *          /controllers/tombstones/... replicas that a broker may delete, until it has said it did
 *          /controllers/ring/NNN       what the controller's last writes touched, for its successor
 *          /controllers/loading/N      how far a broker's logs are that starts, ephemeral
 *          /controllers/question       "are you there?" of a standby to the active controller
 *          "moldau" in /brokers/ids/N  the registration is one of ours
 *          "moldau_inter_broker" there the listener that brokers use
 *
 * Ownership:  paths and texts are NUL-terminated and live in the arena; parsed values point into
 * it. Errors:     ERR_BAD_FORMAT: not what Kafka would have written.
 */
#ifndef COMMON_ZK_ZK_TREE_H
#define COMMON_ZK_ZK_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/base/uuid.h"
#include "common/model/ids.h"
#include "common/model/image.h"
#include "common/model/leader_isr.h"
#include "common/model/node.h"

/* ---- paths ----------------------------------------------------------------------------------- */

#define ZK_CLUSTER_ID        "/cluster/id"
#define ZK_BROKER_IDS        "/brokers/ids"
#define ZK_BROKER_SEQID      "/brokers/seqid"
#define ZK_TOPICS            "/brokers/topics"
#define ZK_CONTROLLER        "/controller"
#define ZK_CONTROLLER_EPOCH  "/controller_epoch"
#define ZK_DELETE_TOPICS     "/admin/delete_topics"
#define ZK_REASSIGN          "/admin/reassign_partitions"
#define ZK_PREFERRED         "/admin/preferred_replica_election"
#define ZK_ISR_CHANGES       "/isr_change_notification"
#define ZK_LOG_DIR_EVENTS    "/log_dir_event_notification"
#define ZK_CONFIG            "/config"
#define ZK_CONFIG_CHANGES    "/config/changes"
#define ZK_CONFIG_CHANGE_SEQ "/config/changes/config_change_"
#define ZK_PID_BLOCK         "/latest_producer_id_block"
#define ZK_FEATURE           "/feature"
#define ZK_ACL               "/kafka-acl"
#define ZK_ACL_EXTENDED      "/kafka-acl-extended"
#define ZK_TOKENS            "/delegation_token/tokens"
#define ZK_CONSUMERS         "/consumers"
#define ZK_MIGRATION         "/migration"
#define ZK_SEATS             "/controllers/ids"
#define ZK_TOMBSTONES        "/controllers/tombstones"
#define ZK_ELIGIBLE          "/controllers/eligible"
#define ZK_RING              "/controllers/ring"
#define ZK_LOADING           "/controllers/loading"
#define ZK_QUESTION          "/controllers/question"
#define ZK_RING_SLOTS        256

/* What a broker of Kafka creates at its start when it is missing, parents before children; the
 * controller's own are in zk_tree_own_paths. NULL ends either list. */
extern const char *const zk_tree_start_paths[];
extern const char *const zk_tree_own_paths[];
/* Kinds of entities below /config, as in paths: "topics", ... NULL ends it. */
extern const char *const zk_tree_entity_types[];

const char *zk_path_broker(struct arena *arena, int32_t id);
const char *zk_path_loading(struct arena *arena, int32_t broker_id);
const char *zk_path_seat(struct arena *arena, int32_t controller_id);
const char *zk_path_topic(struct arena *arena, struct str topic);
const char *zk_path_partitions(struct arena *arena, struct str topic);
const char *zk_path_partition(struct arena *arena, struct str topic, int32_t partition);
const char *zk_path_state(struct arena *arena, struct str topic, int32_t partition);
const char *zk_path_delete_mark(struct arena *arena, struct str topic);
/* type "topics", name as in the tree (sanitised where Kafka sanitises; "alice/clients/app"). */
const char *zk_path_config(struct arena *arena, struct str type, struct str name);
const char *zk_path_tombstones(struct arena *arena, int32_t broker, struct uuid topic_id);
/* Of the write with that number. */
const char *zk_path_ring(struct arena *arena, uint64_t number);
const char *zk_path_eligible(struct arena *arena, struct uuid topic_id, int32_t partition);
const char *zk_path_child(struct arena *arena, const char *parent, struct str child);
/* The last component of a path. */
struct str zk_path_leaf(struct str path);
/* "7" of /brokers/ids/7, and so on: false when it is not a number of an id. */
bool zk_leaf_id(struct str leaf, int32_t *id);
bool zk_leaf_tombstones(struct str leaf, int32_t *broker, struct uuid *topic_id);
bool zk_leaf_eligible(struct str leaf, struct uuid *topic_id, int32_t *partition);

/* Names of users and clients in paths: URL-encoded, '*' as %2A and ' ' as %20. */
struct str zk_sanitize(struct arena *arena, struct str name);
enum err zk_unsanitize(struct arena *arena, struct str text, struct str *out) MUST_USE;

/* ---- values ---------------------------------------------------------------------------------- */

/* /cluster/id */
struct str zk_build_cluster_id(struct arena *arena, struct str id);
enum err zk_parse_cluster_id(struct arena *arena, struct str json, struct str *id) MUST_USE;

/* /brokers/ids/N. The node's id and epoch are not in the value: parsing leaves 0 and -1. */
struct zk_registration {
    struct node node;
    int32_t version; /* 5; parsed: 1 to 5 */
    int32_t jmx_port;
    int64_t timestamp_ms;
    struct str moldau; /* version of ours that registered; null: somebody else's broker */
};
struct str zk_build_registration(struct arena *arena, const struct zk_registration *reg);
enum err zk_parse_registration(struct arena *arena, struct str json,
                               struct zk_registration *out) MUST_USE;

/* /controller and /controller_epoch */
struct zk_holder {
    int32_t version; /* 2; parsed: 1 or 2 */
    int32_t id;
    int64_t timestamp_ms;
    int32_t kraft_epoch; /* -1; above 0 a KRaft controller owns the cluster */
};
struct str zk_build_holder(struct arena *arena, const struct zk_holder *holder);
enum err zk_parse_holder(struct arena *arena, struct str json, struct zk_holder *out) MUST_USE;
struct str zk_build_epoch(struct arena *arena, int32_t epoch);
enum err zk_parse_epoch(struct str text, int32_t *out) MUST_USE;

/* /controllers/ids/N; a port outside 1 to 65535 is ERR_BAD_FORMAT. */
struct zk_seat {
    struct str host;
    int32_t port;
    int64_t timestamp_ms;
};
struct str zk_build_seat(struct arena *arena, const struct zk_seat *seat);
enum err zk_parse_seat(struct arena *arena, struct str json, struct zk_seat *out) MUST_USE;

/* /controllers/loading/N: the log directories of a broker that does not serve yet. */
struct zk_loading_dir {
    struct str dir;
    bool is_clean; /* stopped cleanly */
    int64_t loaded, total;
    int64_t read_bytes; /* anew */
};
struct zk_loading {
    int64_t timestamp_ms; /* of its start */
    struct zk_loading_dir *dirs;
    size_t n;
};
struct str zk_build_loading(struct arena *arena, const struct zk_loading *loading);
enum err zk_parse_loading(struct arena *arena, struct str json, struct zk_loading *out) MUST_USE;

/* /brokers/topics/T */
struct zk_topic_part {
    int32_t index;
    struct ids replicas, adding, removing;
};
struct zk_topic {
    int32_t version; /* 3; parsed: 1 to 3 */
    struct uuid id;  /* zero: has none */
    size_t n_parts;
    const struct zk_topic_part *parts; /* parsed: in the order written */
};
struct str zk_build_topic(struct arena *arena, const struct zk_topic *topic);
enum err zk_parse_topic(struct arena *arena, struct str json, struct zk_topic *out) MUST_USE;

/* .../partitions/P/state; the partition epoch is the znode's version: parsing leaves -1. */
struct str zk_build_state(struct arena *arena, int32_t controller_epoch,
                          const struct leader_isr *state);
enum err zk_parse_state(struct arena *arena, struct str json, int32_t *controller_epoch,
                        struct leader_isr *out) MUST_USE;

/* /config/<type>/<name>: type and name do not count; settings in the order written. */
struct str zk_build_config(struct arena *arena, const struct image_config *config);
enum err zk_parse_config(struct arena *arena, struct str json, struct image_config *out) MUST_USE;

/* /config/changes/config_change_S; parsed of version 1 too. */
struct str zk_build_config_change(struct arena *arena, struct str type, struct str name);
enum err zk_parse_config_change(struct arena *arena, struct str json, struct str *type,
                                struct str *name) MUST_USE;

/* /latest_producer_id_block: last is inside the block. Null data, as before the first block, gives
 * first and last -1. */
struct zk_pid_block {
    int32_t broker;
    int64_t first, last;
};
struct str zk_build_pid_block(struct arena *arena, const struct zk_pid_block *block);
enum err zk_parse_pid_block(struct arena *arena, struct str json,
                            struct zk_pid_block *out) MUST_USE;

/* /feature */
struct zk_features {
    int32_t version; /* 2; parsed: 1 or 2 */
    int32_t status;  /* 0 disabled, 1 enabled */
    size_t n;        /* finalised features; none in 3.9's ZooKeeper mode */
    const struct zk_feature {
        struct str name;
        int32_t level_max;
    } * at;
};
/* Without features, which we never finalise. */
struct str zk_build_features(struct arena *arena);
enum err zk_parse_features(struct arena *arena, struct str json, struct zk_features *out) MUST_USE;

/* /admin/reassign_partitions, /admin/preferred_replica_election, isr_change_S: partitions by name;
 * replicas only in the first. */
struct zk_parts_named {
    size_t n;
    const struct zk_part_named {
        struct str topic;
        int32_t partition;
        struct ids replicas;
    } * at;
};
enum err zk_parse_parts_named(struct arena *arena, struct str json,
                              struct zk_parts_named *out) MUST_USE;
struct str zk_build_parts_named(struct arena *arena, const struct zk_parts_named *parts,
                                bool with_replicas);

/* log_dir_event_S: which broker lost a directory. */
enum err zk_parse_log_dir_event(struct arena *arena, struct str json, int32_t *broker) MUST_USE;

/* /controllers/ids; ours: every epoch of these was won by one of ours. Parsed of null data: none,
 * first above last. */
struct zk_ours {
    int32_t first, last;
};
struct str zk_build_ours(struct arena *arena, const struct zk_ours *ours);
enum err zk_parse_ours(struct arena *arena, struct str json, struct zk_ours *out) MUST_USE;

/* Who has all that is committed beside the ISR; ours. Void unless the partition's state is still
 * the one of these epochs. */
struct zk_eligible {
    int32_t controller_epoch; /* who wrote it */
    int32_t leader_epoch, partition_epoch;
    int32_t min_isr; /* below it the high watermark stood still */
    struct ids replicas;
};
struct str zk_build_eligible(struct arena *arena, const struct zk_eligible *eligible);
enum err zk_parse_eligible(struct arena *arena, struct str json, struct zk_eligible *out) MUST_USE;

/* Tombstones of one broker and topic; ours. */
struct zk_tombstones {
    struct str topic;
    size_t n;
    const struct zk_tombstone {
        int32_t partition;
        int32_t leader_epoch;
    } * at;
};
struct str zk_build_tombstones(struct arena *arena, const struct zk_tombstones *stones);
enum err zk_parse_tombstones(struct arena *arena, struct str json,
                             struct zk_tombstones *out) MUST_USE;

/* What one multi of a controller touched: partitions' states, settings, and topics' own znodes.
 * Part of that multi, so it is there if and only if the multi was done; ours.
 *
 * Version 1 did not name topics, and a multi of such a controller that touched nothing else left no
 * entry at all. It cannot mislead: a topic is believed by the version that came with it in the
 * control stream, and such a controller sends none. has_topics says it again. A reader of version 1
 * takes a younger entry for its own, passes over what it does not know, and is not misled either:
 * it reads all topics' znodes anyway. From now on a reader refuses what is younger than itself. */
struct zk_touched {
    int32_t epoch;   /* of the controller */
    uint64_t number; /* of the multi, counted from 1 in each epoch */
    bool has_topics; /* parsed: it would name topics if there were any */
    size_t n_parts;
    const struct zk_touched_part {
        struct str topic;
        int32_t partition;
    } * parts; /* those of one topic side by side, as far as that is convenient */
    size_t n_configs;
    const struct str *configs; /* "topics/a" */
    size_t n_topics;
    const struct str *topics; /* created, set, or marked to be deleted */
};
struct str zk_build_touched(struct arena *arena, const struct zk_touched *touched);
enum err zk_parse_touched(struct arena *arena, struct str json, struct zk_touched *out) MUST_USE;

#endif
