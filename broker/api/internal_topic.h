/*
 * internal_topic - the topics that a broker makes itself, as its settings want them.
 *
 * Ownership:  what is filled in is the arena's.
 * Threads:    any.
 */
#ifndef BROKER_API_INTERNAL_TOPIC_H
#define BROKER_API_INTERNAL_TOPIC_H

#include "broker/api/api.h"
#include "gen/wire/create_topics.h"

#define INTERNAL_CREATE_VERSION    7
#define INTERNAL_CREATE_TIMEOUT_MS 5000

/* What asks the controller to create the topic: __consumer_offsets by offsets.topic.*, any other
 * by the cluster's defaults (Kafka's AutoTopicCreationManager). */
void internal_topic_fill(const struct api *api, struct str name, struct arena *arena,
                         struct create_topics_request_topic *out);

#endif
