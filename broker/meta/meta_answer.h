/*
 * meta_answer - the image as clients ask for it: Metadata and DescribeCluster.
 *
 * Ownership:  answers borrow texts and ids from the image and the request, and memory from the
 * arena. Reference:  Kafka's KafkaApis.handleTopicMetadataRequest, MetadataCache.
 */
#ifndef BROKER_META_META_ANSWER_H
#define BROKER_META_META_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/model/image.h"
#include "gen/wire/describe_cluster.h"
#include "gen/wire/metadata.h"

/* Kafka's bit fields of all operations that a resource knows: what everybody may without an
 * authorizer. */
#define META_TOPIC_OPERATIONS   3576
#define META_CLUSTER_OPERATIONS 8096
#define META_NOT_ASKED          INT32_MIN

/* Brokers that are visible and have the listener; which cluster; we are "the controller". */
void meta_answer_cluster(const struct image *image, struct str listener, int32_t broker_id,
                         struct arena *arena, struct metadata_response *out);
/* One topic of the image into *out. */
void meta_answer_topic(const struct image *image, const struct image_topic *topic,
                       struct str listener, int16_t version, bool with_operations,
                       struct arena *arena, struct metadata_response_topic *out);
/* A topic that cannot be shown. */
void meta_answer_no_topic(struct str name, struct uuid id, enum err err,
                          struct metadata_response_topic *out);
void meta_answer_describe(const struct image *image, struct str listener, int32_t broker_id,
                          bool with_operations, struct arena *arena,
                          struct describe_cluster_response *out);

#endif
