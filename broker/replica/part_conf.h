/*
 * part_conf - a topic's settings as its partitions and logs want them.
 *
 * Threads: any.
 */
#ifndef BROKER_REPLICA_PART_CONF_H
#define BROKER_REPLICA_PART_CONF_H

#include "broker/replica/parts.h"
#include "broker/tables/settings.h"

/* As struct parts_conf's conf_of wants it: ctx is the struct settings. image may be NULL. */
void part_conf_of(void *ctx, const struct image *image, struct str topic, struct part_conf *out);

/* As struct logs_conf's conf_of wants it, before there is an image: the broker's own settings. */
void part_conf_of_log(void *ctx, const char *topic, struct log_conf *out);

/* The translation alone. */
void part_conf_from(const struct topic_conf *conf, int64_t producer_expiration_ms,
                    struct part_conf *out);

#endif
