/*
 * topic_conf - the settings of a topic: what Kafka 3.9 has, checked, over what the broker's
 * settings and the topic's own say.
 *
 *     struct topic_conf conf;
 *     topic_conf_load(&conf, n_defaults, defaults, image_config(image, STR("topics"), name));
 *     if (size > conf.max_message_bytes) ...
 *
 * Ownership:  a struct topic_conf is a value, but for its texts (throttled replicas, format
 * version), which it borrows from the settings it was loaded from. Errors:     ERR_INVALID_CONFIG
 * with a sentence in `why`.
 */
#ifndef COMMON_MODEL_TOPIC_CONF_H
#define COMMON_MODEL_TOPIC_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/model/image.h"

/* Bits of cleanup_policy */
enum { TOPIC_CLEANUP_DELETE = 1, TOPIC_CLEANUP_COMPACT = 2 };

/* Values of compression_type, of timestamp_type: the places of the choices in topic_conf.def */
enum topic_compression {
    TOPIC_COMPRESSION_NONE,
    TOPIC_COMPRESSION_ZSTD,
    TOPIC_COMPRESSION_LZ4,
    TOPIC_COMPRESSION_SNAPPY,
    TOPIC_COMPRESSION_GZIP,
    TOPIC_COMPRESSION_PRODUCER,
};
enum topic_timestamp { TOPIC_CREATE_TIME, TOPIC_LOG_APPEND_TIME };

enum topic_conf_type {
    TOPIC_CONF_BOOL,
    TOPIC_CONF_INT32,
    TOPIC_CONF_INT64,
    TOPIC_CONF_DOUBLE,
    TOPIC_CONF_CHOICE,
    TOPIC_CONF_LIST,
    TOPIC_CONF_TEXT,
};

/* Kafka's numbers of DescribeConfigs */
enum topic_conf_source {
    TOPIC_CONF_OF_TOPIC = 1,
    TOPIC_CONF_OF_BROKER = 2,  /* changed at run time for that broker */
    TOPIC_CONF_OF_CLUSTER = 3, /* changed at run time for all */
    TOPIC_CONF_OF_FILE = 4,
    TOPIC_CONF_DEFAULT = 5,
};

enum topic_conf_index {
#define TOPIC_CONF(field, type, name, text, min, max, choices, doc) TOPIC_CONF_AT_##field,
#include "common/model/topic_conf.def"
    TOPIC_CONF_N
};

#define TOPIC_CONF_C_BOOL   bool
#define TOPIC_CONF_C_INT32  int32_t
#define TOPIC_CONF_C_INT64  int64_t
#define TOPIC_CONF_C_DOUBLE double
#define TOPIC_CONF_C_CHOICE int32_t  /* place in the choices */
#define TOPIC_CONF_C_LIST   uint32_t /* one bit for each choice */
#define TOPIC_CONF_C_TEXT   struct str

struct topic_conf {
#define TOPIC_CONF(field, type, name, text, min, max, choices, doc) TOPIC_CONF_C_##type field;
#include "common/model/topic_conf.def"
    uint8_t source[TOPIC_CONF_N]; /* enum topic_conf_source */
};

struct topic_conf_key {
    const char *name;
    enum topic_conf_type type;
    const char *text; /* default */
    const char *choices;
    const char *doc;
    double min, max; /* of DOUBLE; 64-bit bounds are kept exactly inside */
};

/* By name's order in topic_conf.def, which is not quite the alphabet's. */
extern const struct topic_conf_key topic_conf_keys[TOPIC_CONF_N];

#define TOPIC_CONF_WHY 256 /* bytes that a reason takes at most */

/* The place of that name, or -1. */
int topic_conf_find(struct str name);
/* Kafka's defaults. */
void topic_conf_init(struct topic_conf *conf);
/* Takes over the broker-wide settings of that source that topics inherit; what is not one of these,
 * or is not valid, is passed over. Not over what the topic has set. */
void topic_conf_inherit(struct topic_conf *conf, enum topic_conf_source source, size_t n,
                        const struct image_setting *settings);
/* One setting of the topic's own. */
enum err topic_conf_set(struct topic_conf *conf, struct str name, struct str value,
                        char why[TOPIC_CONF_WHY]) MUST_USE;
/* The rules between settings. */
enum err topic_conf_check(const struct topic_conf *conf, char why[TOPIC_CONF_WHY]) MUST_USE;
/* Defaults, broker-wide settings of a file, the topic's own (NULL: none); a damaged one is passed
 * over. */
void topic_conf_load(struct topic_conf *conf, size_t n_defaults,
                     const struct image_setting *defaults, const struct image_config *own);
/* Is the replica of partition at broker one of a list of throttled replicas? */
bool topic_conf_is_throttled(struct str list, int32_t partition, int32_t broker);
/* The effective value as text into buf (TEXT values: lent, buf unused). */
struct str topic_conf_text(const struct topic_conf *conf, enum topic_conf_index at, char *buf,
                           size_t size);

#endif
