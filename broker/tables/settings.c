/*
 * A setting counts at a level only if it may be set there: what may not change at run time is not
 * taken from the image, nor from <default> what is each broker's own. A text that is no value is
 * passed over, so the next level holds.
 */
#include "broker/tables/settings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define FILE_MAX BROKER_CONF_N

struct settings {
    const struct conf *conf;
    const struct broker_conf *broker;
    char id_text[16];
    size_t n_file; /* of the file, those that are valid and in the table */
    struct image_setting file[FILE_MAX];
};

/* Names for one thing, strongest first. */
static const char *const families[][4] = {
    { "log.retention.ms", "log.retention.minutes", "log.retention.hours" },
    { "log.roll.ms", "log.roll.hours" },
    { "log.roll.jitter.ms", "log.roll.jitter.hours" },
    { "log.flush.interval.ms", "log.flush.scheduler.interval.ms" },
    { "broker.id" },
    { "node.id" },
};

void settings_set_broker_id(struct settings *settings, int32_t broker_id)
{
    snprintf(settings->id_text, sizeof settings->id_text, "%" PRId32, broker_id);
}

struct settings *settings_new(const struct conf *conf, const struct broker_conf *broker,
                              int32_t broker_id)
{
    struct settings *settings = xcalloc(1, sizeof *settings);

    settings->conf = conf;
    settings->broker = broker;
    settings_set_broker_id(settings, broker_id);
    for (size_t i = 0; i < broker_conf_table.n_keys; i++) {
        const char *name = broker_conf_table.keys[i].name;

        if (conf_is_set(conf, name))
            settings->file[settings->n_file++] =
                (struct image_setting){ .key = str_of(name), .value = conf_given(conf, name) };
    }
    return settings;
}

void settings_free(struct settings **settings)
{
    free(*settings);
    *settings = NULL;
}

const struct broker_conf *settings_broker_conf(const struct settings *settings)
{
    return settings->broker;
}

const struct conf *settings_conf(const struct settings *settings)
{
    return settings->conf;
}

const struct image_config *settings_of_cluster(const struct image *image)
{
    return image == NULL ? NULL : image_config(image, STR("brokers"), STR("<default>"));
}

const struct image_config *settings_of_broker(const struct settings *settings,
                                              const struct image *image)
{
    return image == NULL ? NULL : image_config(image, STR("brokers"), str_of(settings->id_text));
}

static bool counts(const struct conf_key *key, struct str value, bool for_all)
{
    if (key->scope == CONF_RESTART || (for_all && key->scope == CONF_PER_BROKER))
        return false;
    return conf_check(key, value, NULL) == ERR_OK;
}

/* What of these changes counts, over what conf holds. */
static void inherit(struct topic_conf *conf, const struct image_config *changes, bool for_all)
{
    for (size_t i = 0; changes != NULL && i < changes->n_settings; i++) {
        const struct conf_key *key = conf_find(&broker_conf_table, changes->settings[i].key);

        if (key != NULL && counts(key, changes->settings[i].value, for_all))
            topic_conf_inherit(conf, for_all ? TOPIC_CONF_OF_CLUSTER : TOPIC_CONF_OF_BROKER, 1,
                               &changes->settings[i]);
    }
}

void settings_topic_conf(const struct settings *settings, const struct image *image,
                         struct str topic, struct topic_conf *out)
{
    const struct image_config *own =
        image == NULL ? NULL : image_config(image, STR("topics"), topic);

    topic_conf_init(out);
    topic_conf_inherit(out, TOPIC_CONF_OF_FILE, settings->n_file, settings->file);
    inherit(out, settings_of_cluster(image), true);
    inherit(out, settings_of_broker(settings, image), false);
    for (size_t i = 0; own != NULL && i < own->n_settings; i++) {
        /* what is damaged in ZooKeeper is passed over: the broker's value holds */
        if (topic_conf_set(out, own->settings[i].key, own->settings[i].value, NULL) != ERR_OK)
            continue;
    }
}

/* ---- who says what ---- */

/* The names that key's value may come from, strongest first. */
static size_t family_of(const struct conf_key *key, struct str names[4])
{
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        bool found = false;
        size_t n = 0;

        for (; n < 4 && families[f][n] != NULL; n++) {
            names[n] = str_of(families[f][n]);
            found = found || str_is(names[n], key->name);
        }
        if (found)
            return n;
    }
    names[0] = str_of(key->name);
    return 1;
}

static struct str changed(const struct image_config *changes, struct str name, bool for_all)
{
    const struct conf_key *key = conf_find(&broker_conf_table, name);
    struct str value = changes == NULL ? STR_NULL : image_config_value(changes, name);

    return !str_is_null(value) && counts(key, value, for_all) ? value : STR_NULL;
}

static struct str of_file(const struct settings *settings, struct str name)
{
    struct str value = conf_given(settings->conf, name.ptr);

    /* broker.id and node.id are one thing by two names */
    if (str_is_null(value) && str_is(name, "node.id"))
        value = conf_given(settings->conf, "broker.id");
    if (str_is_null(value) && str_is(name, "broker.id"))
        value = conf_given(settings->conf, "node.id");
    return value;
}

static struct str text_at(const struct settings *settings, const struct image *image,
                          struct str name, enum settings_source source)
{
    const struct conf_key *key = conf_find(&broker_conf_table, name);

    switch (source) {
    case SETTINGS_OF_BROKER:
        return changed(settings_of_broker(settings, image), name, false);
    case SETTINGS_OF_CLUSTER:
        return changed(settings_of_cluster(image), name, true);
    case SETTINGS_OF_FILE:
        return of_file(settings, name);
    default:
        /* what is set at run time only has a default, but Kafka shows none */
        return key->state == CONF_DYNAMIC ? STR_NULL : str_of(key->text);
    }
}

size_t settings_values(const struct settings *settings, const struct image *image,
                       const struct conf_key *key, struct settings_value out[SETTINGS_VALUES_MAX])
{
    struct str names[4];
    size_t n_names = family_of(key, names), n = 0;

    for (enum settings_source source = SETTINGS_OF_BROKER; source <= SETTINGS_OF_KAFKA; source++) {
        for (size_t i = 0; i < n_names; i++) {
            struct str text = text_at(settings, image, names[i], source);

            if (str_is_null(text) || (n == 0 && !str_is(names[i], key->name)))
                continue;
            out[n++] = (struct settings_value){ .name = names[i], .text = text, .source = source };
        }
    }
    return n;
}

int64_t settings_number(const struct settings *settings, const struct image *image,
                        enum broker_conf_index index)
{
    const struct conf_key *key = &broker_conf_table.keys[index];
    struct settings_value values[SETTINGS_VALUES_MAX];
    size_t n = settings_values(settings, image, key, values);
    int64_t number = CONF_NULL_INT64;

    if (n > 0 && !str_to_i64(str_trim(values[0].text), &number))
        return CONF_NULL_INT64;
    return number;
}

/* What was given has passed conf_check(), which takes the same numbers. */
double settings_real(const struct settings *settings, const struct image *image,
                     enum broker_conf_index index)
{
    const struct conf_key *key = &broker_conf_table.keys[index];
    struct settings_value values[SETTINGS_VALUES_MAX];
    char text[64] = "";

    if (settings_values(settings, image, key, values) > 0) {
        struct str value = str_trim(values[0].text);

        snprintf(text, sizeof text, "%.*s", STR_ARG(value));
    }
    return strtod(text, NULL);
}
