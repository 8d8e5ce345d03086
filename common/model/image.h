/*
 * image - the whole cluster's metadata at one (controller epoch, version): immutable, counted.
 *
 * The controller makes a new image out of the last one and a delta, sends the delta, and every
 * broker makes the same image out of its own last one. Images share what a delta does not touch, so
 * a change of one partition costs about one partition, however large the cluster is.
 *
 * Ownership:  image_unref() by the last holder frees it. All that lookups lend lives as long as the
 * image. Deltas borrow everything they point to; what an image keeps it has copied. Threads:    any
 * may read and count. Until it is shared, an image may be filled with image_add().
 */
#ifndef COMMON_MODEL_IMAGE_H
#define COMMON_MODEL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/base/uuid.h"
#include "common/model/ids.h"
#include "common/model/leader_isr.h"
#include "common/model/node.h"
#include "common/model/tp.h"

/* ---- what an image holds, as values ------------------------------------------------------------
 */

struct image_part {
    int32_t index;
    int32_t leader; /* LEADER_NONE */
    int32_t leader_epoch;
    int32_t partition_epoch;
    bool recovering;
    struct ids replicas; /* in the order of preference */
    struct ids isr;
    struct ids adding;   /* reassignment: also in replicas */
    struct ids removing; /* reassignment: still in replicas */
    struct ids offline;  /* replicas on a failed log directory of a broker that is there */
};

#define IMAGE_PARTS_MAX (1 << 20) /* of one topic */

struct image_parts; /* private: some partitions, shared between images */

struct image_topic {
    struct uuid id;
    struct str name;             /* NUL-terminated too */
    int32_t version;             /* of the znode that says all replicas here; -1: not known */
    int32_t n_parts;             /* indexes 0 .. n_parts - 1 */
    struct image_parts **chunks; /* private: image_topic_part() */
};

struct image_setting {
    struct str key;
    struct str value; /* null is possible in a request, never in an image */
};

/* All settings of one entity as ZooKeeper has them; none at all once emptied. */
struct image_config {
    struct str type; /* "topics", "brokers", "clients", "users", "ips" */
    struct str name; /* as in ZooKeeper's path, "<default>" included */
    size_t n_settings;
    const struct image_setting *settings;
};

/* Broker `broker` may delete its files of this partition, if its leader epoch there is not above.
 */
struct image_tombstone {
    int32_t broker;
    struct uuid topic_id;
    struct str topic;
    int32_t partition;
    int32_t leader_epoch;
};

/* ---- deltas -------------------------------------------------------------------------------------
 */

/* Each says the version of the topic's znode anew: one that does not leaves it unknown, for what
 * has changed may have come with another one. So a sender that knows nothing of versions leaves
 * none. */
struct image_topic_change {
    struct uuid id;
    struct str name;
    size_t n_parts;
    const struct image_part *parts; /* new ones, or changed ones whole */
    bool has_version;
    int32_t version;
};

/* Applied in the order of its members. What is not there when it should go is passed over. */
struct image_delta {
    int32_t controller_epoch;
    uint64_t version; /* one above the version before it */

    size_t n_brokers;
    const struct node *brokers; /* new or changed */
    struct ids brokers_gone;
    size_t n_topics_gone;
    const struct uuid *topics_gone;
    size_t n_topics;
    const struct image_topic_change *topics;
    size_t n_configs;
    const struct image_config
        *configs; /* each replaces that entity's; without settings: none left */
    size_t n_tombstones;
    const struct image_tombstone *tombstones;
    size_t n_tombstones_gone;
    const struct image_tombstone *tombstones_gone; /* by broker, topic id and partition */
};

bool image_delta_is_empty(const struct image_delta *delta);

/* What is not valid is in no image: who reads a stream refuses all that it comes with, so who reads
 * ZooKeeper leaves it out. A name is that of a directory, too; leader epochs may be any from -1. */
bool image_topic_name_valid(struct str name);
bool image_part_valid(const struct image_part *part);
bool image_tombstone_valid(const struct image_tombstone *tombstone);

/* ---- images -------------------------------------------------------------------------------------
 */

struct image;

/* Empty, one reference. */
struct image *image_new(int32_t controller_epoch, uint64_t version, int32_t controller_id,
                        struct str cluster_id);
/* Fills an image that nobody else has a reference on: a full image is an empty one and some of
 * these (epoch and version of the pieces do not count). */
void image_add(struct image *image, const struct image_delta *piece);
/* The image after delta, with one reference; its epoch and version are the delta's. An entry of a
 * partition that is older than the image's of the same topic id is passed over: epochs never go
 * back. If its replicas are others, the topic's version is not known afterwards. */
struct image *image_apply(const struct image *image, const struct image_delta *delta);
struct image *image_ref(const struct image *image);
/* Leaves NULL behind; NULL inside is fine. */
void image_unref(struct image **image);

int32_t image_controller_epoch(const struct image *image);
uint64_t image_version(const struct image *image);
int32_t image_controller_id(const struct image *image);
struct str image_cluster_id(const struct image *image);

/* Brokers by ascending id, the dead ones included. */
size_t image_n_nodes(const struct image *image);
const struct node *image_node_at(const struct image *image, size_t i);
const struct node *image_node(const struct image *image, int32_t id); /* NULL */

size_t image_n_topics(const struct image *image);
size_t image_n_parts(const struct image *image); /* of all topics */
const struct image_topic *image_topic(const struct image *image, struct uuid id);        /* NULL */
const struct image_topic *image_topic_named(const struct image *image, struct str name); /* NULL */
const struct image_part *image_topic_part(const struct image_topic *topic,
                                          int32_t index); /* NULL */
const struct image_part *image_part(const struct image *image, struct uuid topic_id,
                                    int32_t index); /* NULL */
/* NULL when the entity has no settings. */
const struct image_config *image_config(const struct image *image, struct str type,
                                        struct str name);
/* Null when it is not set for that entity. */
struct str image_config_value(const struct image_config *config, struct str key);
size_t image_n_configs(const struct image *image);
size_t image_n_tombstones(const struct image *image);
const struct image_tombstone *image_tombstone(const struct image *image, int32_t broker,
                                              struct uuid topic_id, int32_t partition); /* NULL */

static inline struct leader_isr image_part_state(const struct image_part *part)
{
    return (struct leader_isr){ .leader = part->leader,
                                .leader_epoch = part->leader_epoch,
                                .partition_epoch = part->partition_epoch,
                                .recovering = part->recovering,
                                .isr = part->isr };
}

/* Walks: zero a cursor, call until NULL. The order is that of hashes: the same for equal content
 * built in any order, but of no meaning. struct image_cursor at = { 0 }; while ((topic =
 * image_next_topic(image, &at)) != NULL) ...                                     */
struct image_cursor {
    const void *stack[18];
    uint16_t next[18];
    int depth;
};

const struct image_topic *image_next_topic(const struct image *image, struct image_cursor *at);
const struct image_config *image_next_config(const struct image *image, struct image_cursor *at);
const struct image_tombstone *image_next_tombstone(const struct image *image,
                                                   struct image_cursor *at);

/* Same content, epoch and version: what the simulator compares both ends with. */
bool image_eq(const struct image *a, const struct image *b);

#endif
