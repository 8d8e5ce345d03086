/*
 * The table says where in the struct a setting lives and what it may be; one function stores a text
 * into a place. A text that is not valid changes nothing.
 */
#include "common/model/topic_conf.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    size_t at; /* in struct topic_conf */
    int64_t min, max;
};

struct heir {
    enum topic_conf_index index;
    const char *name;
    int64_t factor;
};

const struct topic_conf_key topic_conf_keys[TOPIC_CONF_N] = {
#define TOPIC_CONF(field, type, name, text, min, max, choices, doc)                                \
    { name, TOPIC_CONF_##type, text, choices, doc, (double)(min), (double)(max) },
#include "common/model/topic_conf.def"
};

static const struct place places[TOPIC_CONF_N] = {
#define TOPIC_CONF(field, type, name, text, min, max, choices, doc)                                \
    { offsetof(struct topic_conf, field), min, max },
#include "common/model/topic_conf.def"
};

static const struct heir heirs[] = {
#define TOPIC_INHERIT(field, name, factor) { TOPIC_CONF_AT_##field, name, factor },
#include "common/model/topic_conf.def"
};

static enum err say_why(char *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

static enum err say_why(char *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (why != NULL)
        vsnprintf(why, TOPIC_CONF_WHY, format, args);
    va_end(args);
    return ERR_INVALID_CONFIG;
}

int topic_conf_find(struct str name)
{
    for (int i = 0; i < TOPIC_CONF_N; i++) {
        if (str_is(name, topic_conf_keys[i].name))
            return i;
    }
    return -1;
}

/* Place of word in "a|b|c", or -1. */
static int choice_of(const char *choices, struct str word)
{
    struct str rest = str_of(choices);

    for (int i = 0; !str_is_null(rest); i++) {
        if (str_eq(str_split(rest, '|', &rest), word))
            return i;
    }
    return -1;
}

static struct str choice_at(const char *choices, int at)
{
    struct str rest = str_of(choices), word;

    do {
        word = str_split(rest, '|', &rest);
    } while (at-- > 0);
    return word;
}

static enum err parse_list(const char *choices, struct str text, uint32_t *out)
{
    uint32_t bits = 0;

    for (struct str rest = text; !str_is_null(rest);) {
        int at = choice_of(choices, str_trim(str_split(rest, ',', &rest)));

        if (at < 0)
            return ERR_INVALID_CONFIG;
        bits |= 1U << at;
    }
    if (bits == 0)
        return ERR_INVALID_CONFIG;
    *out = bits;
    return ERR_OK;
}

static bool parse_bool(struct str text, bool *out)
{
    char lower[6] = "";

    if (text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++)
        lower[i] =
            (char)(text.ptr[i] >= 'A' && text.ptr[i] <= 'Z' ? text.ptr[i] | 32 : text.ptr[i]);
    *out = strcmp(lower, "true") == 0;
    return *out || strcmp(lower, "false") == 0;
}

static bool parse_double(struct str text, double *out)
{
    char copy[64], *end;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *out = strtod(copy, &end);
    return errno == 0 && *end == '\0' && isfinite(*out);
}

/* "*", nothing, or partition:broker,partition:broker */
static bool throttled_ok(struct str text)
{
    if (text.len == 0 || str_is(text, "*"))
        return true;
    for (struct str rest = text; !str_is_null(rest);) {
        struct str one = str_trim(str_split(rest, ',', &rest));
        struct str broker, partition = str_split(one, ':', &broker);
        int64_t number;

        if (one.len > 0 &&
            (!str_to_i64(str_trim(partition), &number) || number < 0 || str_is_null(broker) ||
             !str_to_i64(str_trim(broker), &number) || number < 0))
            return false;
    }
    return true;
}

bool topic_conf_is_throttled(struct str list, int32_t partition, int32_t broker)
{
    if (str_is(str_trim(list), "*"))
        return true;
    for (struct str rest = list; rest.len > 0;) {
        struct str broker_text,
            part_text = str_split(str_split(rest, ',', &rest), ':', &broker_text);
        int64_t p, b;

        if (str_to_i64(str_trim(part_text), &p) && str_to_i64(str_trim(broker_text), &b) &&
            p == partition && b == broker)
            return true;
    }
    return false;
}

static enum err store_number(struct topic_conf *conf, int at, int64_t number, char *why)
{
    const struct topic_conf_key *key = &topic_conf_keys[at];
    const struct place *place = &places[at];
    char *to = (char *)conf + place->at;

    if (number < place->min || number > place->max)
        return say_why(why,
                       "%" PRId64 " is no value for %s: it must be from %" PRId64 " to %" PRId64,
                       number, key->name, place->min, place->max);
    /* the one number with a hole in its range */
    if (at == TOPIC_CONF_AT_compression_gzip_level && number == 0)
        return say_why(why, "0 is no value for %s: it must be -1 or from 1 to 9", key->name);
    if (key->type == TOPIC_CONF_INT32)
        *(int32_t *)(void *)to = (int32_t)number;
    else
        *(int64_t *)(void *)to = number;
    return ERR_OK;
}

static enum err store(struct topic_conf *conf, int at, struct str text, char *why)
{
    const struct topic_conf_key *key = &topic_conf_keys[at];
    void *to = (char *)conf + places[at].at;
    int64_t number;
    double real;
    bool yes;
    int choice;

    if (key->type != TOPIC_CONF_TEXT)
        text = str_trim(text);
    switch (key->type) {
    case TOPIC_CONF_BOOL:
        if (!parse_bool(text, &yes))
            break;
        *(bool *)to = yes;
        return ERR_OK;
    case TOPIC_CONF_INT32:
    case TOPIC_CONF_INT64:
        if (!str_to_i64(text, &number))
            break;
        return store_number(conf, at, number, why);
    case TOPIC_CONF_DOUBLE:
        if (!parse_double(text, &real) || real < key->min || real > key->max)
            break;
        *(double *)to = real;
        return ERR_OK;
    case TOPIC_CONF_CHOICE:
        if ((choice = choice_of(key->choices, text)) < 0)
            break;
        *(int32_t *)to = choice;
        return ERR_OK;
    case TOPIC_CONF_LIST:
        if (parse_list(key->choices, text, to) != ERR_OK)
            break;
        return ERR_OK;
    case TOPIC_CONF_TEXT:
        if (key->choices != NULL && !throttled_ok(text))
            break;
        *(struct str *)to = text;
        return ERR_OK;
    }
    return say_why(why, "\"%.*s\" is no value for %s", (int)(text.len < 80 ? text.len : 80),
                   text.ptr != NULL ? text.ptr : "", key->name);
}

void topic_conf_init(struct topic_conf *conf)
{
    memset(conf, 0, sizeof *conf);
    for (int at = 0; at < TOPIC_CONF_N; at++) {
        enum err err = store(conf, at, str_of(topic_conf_keys[at].text), NULL);

        (void)err; /* the table's own texts: the unit test stores them all */
        conf->source[at] = TOPIC_CONF_DEFAULT;
    }
}

void topic_conf_inherit(struct topic_conf *conf, enum topic_conf_source source, size_t n,
                        const struct image_setting *settings)
{
    for (size_t h = 0; h < sizeof heirs / sizeof heirs[0]; h++) {
        int at = (int)heirs[h].index;

        if (conf->source[at] == TOPIC_CONF_OF_TOPIC)
            continue;
        for (size_t i = 0; i < n; i++) {
            int64_t number;
            enum err err;

            if (!str_is(settings[i].key, heirs[h].name))
                continue;
            if (heirs[h].factor == 1) {
                err = store(conf, at, settings[i].value, NULL);
            } else if (str_to_i64(str_trim(settings[i].value), &number)) {
                if (number > INT64_MAX / heirs[h].factor)
                    number = INT64_MAX;
                else
                    number = number < 0 ? -1 : number * heirs[h].factor;
                err = store_number(conf, at, number, NULL);
            } else {
                err = ERR_INVALID_CONFIG;
            }
            if (err == ERR_OK)
                conf->source[at] = (uint8_t)source;
        }
    }
}

enum err topic_conf_set(struct topic_conf *conf, struct str name, struct str value,
                        char why[TOPIC_CONF_WHY])
{
    int at = topic_conf_find(name);

    if (at < 0)
        return say_why(why, "there is no topic setting named \"%.*s\"",
                       (int)(name.len < 120 ? name.len : 120), name.ptr != NULL ? name.ptr : "");
    if (str_is_null(value))
        return say_why(why, "%s has no value", topic_conf_keys[at].name);

    enum err err = store(conf, at, value, why);

    if (err == ERR_OK)
        conf->source[at] = TOPIC_CONF_OF_TOPIC;
    return err;
}

enum err topic_conf_check(const struct topic_conf *conf, char why[TOPIC_CONF_WHY])
{
    if (conf->min_compaction_lag_ms > conf->max_compaction_lag_ms)
        return say_why(why, "min.compaction.lag.ms must not be above max.compaction.lag.ms");
    if (conf->remote_storage_enable)
        return say_why(why, "remote.storage.enable: there is no remote storage here");
    if (conf->source[TOPIC_CONF_AT_remote_log_copy_disable] == TOPIC_CONF_OF_TOPIC ||
        conf->source[TOPIC_CONF_AT_remote_log_delete_on_disable] == TOPIC_CONF_OF_TOPIC)
        return say_why(why, "remote.log.copy.disable and remote.log.delete.on.disable are not for "
                            "clusters on ZooKeeper");
    return ERR_OK;
}

void topic_conf_load(struct topic_conf *conf, size_t n_defaults,
                     const struct image_setting *defaults, const struct image_config *own)
{
    topic_conf_init(conf);
    topic_conf_inherit(conf, TOPIC_CONF_OF_FILE, n_defaults, defaults);
    for (size_t i = 0; own != NULL && i < own->n_settings; i++) {
        if (topic_conf_set(conf, own->settings[i].key, own->settings[i].value, NULL) != ERR_OK)
            continue;
    }
}

static struct str list_text(const char *choices, uint32_t bits, char *buf, size_t size)
{
    size_t len = 0;

    for (int at = 0; bits >> at != 0; at++) {
        struct str word = choice_at(choices, at);

        if ((bits >> at & 1) == 0)
            continue;
        len += (size_t)snprintf(buf + len, size - len, "%s%.*s", len > 0 ? "," : "", STR_ARG(word));
        if (len >= size)
            len = size - 1;
    }
    return (struct str){ .ptr = buf, .len = len };
}

struct str topic_conf_text(const struct topic_conf *conf, enum topic_conf_index at, char *buf,
                           size_t size)
{
    const struct topic_conf_key *key = &topic_conf_keys[at];
    const void *from = (const char *)conf + places[at].at;

    switch (key->type) {
    case TOPIC_CONF_BOOL:
        return *(const bool *)from ? STR("true") : STR("false");
    case TOPIC_CONF_INT32:
        snprintf(buf, size, "%" PRId32, *(const int32_t *)from);
        break;
    case TOPIC_CONF_INT64:
        snprintf(buf, size, "%" PRId64, *(const int64_t *)from);
        break;
    case TOPIC_CONF_DOUBLE:
        /* as Java prints doubles of this size: with a point */
        snprintf(buf, size, "%.15g", *(const double *)from);
        if (strpbrk(buf, ".e") == NULL)
            snprintf(buf, size, "%.1f", *(const double *)from);
        break;
    case TOPIC_CONF_CHOICE:
        return choice_at(key->choices, *(const int32_t *)from);
    case TOPIC_CONF_LIST:
        return list_text(key->choices, *(const uint32_t *)from, buf, size);
    case TOPIC_CONF_TEXT:
        return *(const struct str *)from;
    }
    return str_of(buf);
}
