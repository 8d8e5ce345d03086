/*
 * settings - a broker's settings as they are now: what was changed at run time, which the image
 * has, over the file, over the defaults.
 *
 * Nothing is kept but the file: whoever asks brings the image, so that one answer is of one moment.
 *
 * Ownership:  borrows the struct conf and broker_conf it is made of. Texts are lent by it, by the
 *             image or by the arena.
 * Threads:    any.
 */
#ifndef BROKER_TABLES_SETTINGS_H
#define BROKER_TABLES_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "broker/tables/broker_conf.h"
#include "common/model/image.h"
#include "common/model/topic_conf.h"

struct settings;

/* Kafka's numbers of DescribeConfigs */
enum settings_source {
    SETTINGS_OF_TOPIC = 1,
    SETTINGS_OF_BROKER = 2,  /* changed at run time for this broker */
    SETTINGS_OF_CLUSTER = 3, /* changed at run time for all */
    SETTINGS_OF_FILE = 4,    /* or of --override */
    SETTINGS_OF_KAFKA = 5,   /* the default */
    SETTINGS_OF_LOGGER = 6,
};

/* broker_id: -1 while it is not known. */
struct settings *settings_new(const struct conf *conf, const struct broker_conf *broker,
                              int32_t broker_id);
/* What it was found or made to be; before anybody asks for what an image says of this broker. */
void settings_set_broker_id(struct settings *settings, int32_t broker_id);
void settings_free(struct settings **settings);

const struct broker_conf *settings_broker_conf(const struct settings *settings);
const struct conf *settings_conf(const struct settings *settings);
/* What was changed at run time for all brokers, for this one; NULL: nothing. image may be NULL. */
const struct image_config *settings_of_cluster(const struct image *image);
const struct image_config *settings_of_broker(const struct settings *settings,
                                              const struct image *image);

/* Settings of a topic: its own, over this broker's, over the defaults. image may be NULL. */
void settings_topic_conf(const struct settings *settings, const struct image *image,
                         struct str topic, struct topic_conf *out);

struct settings_value {
    struct str name, text;
    enum settings_source source;
};
#define SETTINGS_VALUES_MAX 16

/* Everything that says something about key, which is one of broker_conf_table's, strongest first;
 * the first one's text is in force when its name is key's. Other names that come before key's own
 * are left out, as Kafka does. */
size_t settings_values(const struct settings *settings, const struct image *image,
                       const struct conf_key *key, struct settings_value out[SETTINGS_VALUES_MAX]);
/* The number in force of an INT32 or INT64 key. */
int64_t settings_number(const struct settings *settings, const struct image *image,
                        enum broker_conf_index index);
/* Of a DOUBLE key. */
double settings_real(const struct settings *settings, const struct image *image,
                     enum broker_conf_index index);

#endif
