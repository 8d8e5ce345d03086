/*
 * Kafka's clients compare texts: names are lower case, lists are joined by commas without spaces,
 * doubles look as Java prints them, null is null. A setting's source is that of its strongest
 * synonym, and a default when it has none.
 *
 * Differences between versions (is_default in v0, synonyms from v1, types and texts from v3) are
 * the encoder's; all members are filled here.
 */
#include "broker/api/describe_configs.h"

#include "broker/net/dispatch.h"
#include "broker/tables/settings.h"
#include "common/base/mem.h"
#include "common/base/say.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_LOGGER = 8 };

enum config_type {
    CONFIG_UNKNOWN,
    CONFIG_BOOLEAN,
    CONFIG_STRING,
    CONFIG_INT,
    CONFIG_SHORT,
    CONFIG_LONG,
    CONFIG_DOUBLE,
    CONFIG_LIST,
    CONFIG_CLASS,
    CONFIG_PASSWORD,
};

struct describe {
    const struct api *api;
    const struct image *image;
    const struct describe_configs_request *req;
    const struct describe_configs_request_resource *resource;
    struct describe_configs_response_result *result;
    size_t cap; /* of result->configs */
    struct arena *arena;
};

static enum config_type wire_type_of(enum conf_type type)
{
    static const uint8_t types[] = {
        [CONF_BOOL] = CONFIG_BOOLEAN,  [CONF_INT16] = CONFIG_SHORT,
        [CONF_INT32] = CONFIG_INT,     [CONF_INT64] = CONFIG_LONG,
        [CONF_DOUBLE] = CONFIG_DOUBLE, [CONF_STRING] = CONFIG_STRING,
        [CONF_CLASS] = CONFIG_CLASS,   [CONF_LIST] = CONFIG_LIST,
        [CONF_CHOICE] = CONFIG_STRING, [CONF_PASSWORD] = CONFIG_PASSWORD,
    };
    return (enum config_type)types[type];
}

static enum config_type topic_wire_type(enum topic_conf_index at)
{
    switch (topic_conf_keys[at].type) {
    case TOPIC_CONF_BOOL:
        return CONFIG_BOOLEAN;
    case TOPIC_CONF_INT32:
        return CONFIG_INT;
    case TOPIC_CONF_INT64:
        return CONFIG_LONG;
    case TOPIC_CONF_DOUBLE:
        return CONFIG_DOUBLE;
    case TOPIC_CONF_LIST:
        return CONFIG_LIST;
    case TOPIC_CONF_CHOICE:
        return CONFIG_STRING;
    case TOPIC_CONF_TEXT: /* the lists of throttled replicas have a form to keep to */
        return topic_conf_keys[at].choices != NULL ? CONFIG_LIST : CONFIG_STRING;
    }
    return CONFIG_UNKNOWN;
}

/* ---- building the answer ---- */

static bool is_asked(const struct describe *describe, struct str name)
{
    const struct describe_configs_request_resource *resource = describe->resource;

    if (resource->configuration_keys_len <= 0)
        return true;
    for (int32_t i = 0; i < resource->configuration_keys_len; i++) {
        if (str_eq(resource->configuration_keys[i], name))
            return true;
    }
    return false;
}

/* One more; its synonyms have room for n. */
static struct describe_configs_response_config *
put_config(struct describe *describe, struct str name, enum config_type type, size_t n_synonyms)
{
    struct describe_configs_response_result *result = describe->result;

    if ((size_t)result->configs_len == describe->cap) {
        size_t cap = describe->cap * 2 + 16;
        struct describe_configs_response_config *more =
            arena_zalloc(describe->arena, cap, sizeof *more);

        for (size_t i = 0; i < describe->cap; i++)
            more[i] = result->configs[i];
        result->configs = more;
        describe->cap = cap;
    }

    struct describe_configs_response_config *config = &result->configs[result->configs_len++];

    describe_configs_response_config_init(config);
    config->name = name;
    config->config_type = (int8_t)type;
    config->is_sensitive = type == CONFIG_UNKNOWN || type == CONFIG_PASSWORD;
    config->synonyms = arena_zalloc(describe->arena, n_synonyms + 1, sizeof *config->synonyms);
    config->documentation = STR_NULL;
    config->value = STR_NULL;
    return config;
}

static void put_synonym(struct describe_configs_response_config *config, struct str name,
                        struct str value, enum settings_source source)
{
    struct describe_configs_response_synonym *synonym = &config->synonyms[config->synonyms_len++];

    describe_configs_response_synonym_init(synonym);
    synonym->name = name;
    synonym->value = config->is_sensitive ? STR_NULL : value;
    synonym->source = (int8_t)source;
}

/* Once value and synonyms are in: what follows from them. */
static void seal_config(const struct describe *describe,
                        struct describe_configs_response_config *config, const char *doc)
{
    config->config_source =
        config->synonyms_len > 0 ? config->synonyms[0].source : (int8_t)SETTINGS_OF_KAFKA;
    config->is_default = config->config_source == SETTINGS_OF_KAFKA;
    if (config->is_sensitive)
        config->value = STR_NULL;
    if (!describe->req->include_synonyms)
        config->synonyms_len = 0;
    if (describe->req->include_documentation)
        config->documentation = str_of(doc);
}

static void fail(struct describe *describe, enum err err, struct str message)
{
    describe->result->error_code = err_to_wire(err);
    describe->result->error_message = message;
}

/* ---- topics ---- */

/* The broker's setting in the same unit, or NULL: the last one named. */
static const char *broker_name_of(enum topic_conf_index at)
{
    static const struct {
        enum topic_conf_index at;
        const char *name;
    } heirs[] = {
#define TOPIC_INHERIT(field, name, factor) { TOPIC_CONF_AT_##field, name },
#include "common/model/topic_conf.def"
    };
    const char *name = NULL;

    for (size_t i = 0; i < ARRAY_LEN(heirs); i++)
        name = heirs[i].at == at ? heirs[i].name : name;
    return name;
}

static struct str topic_text(const struct topic_conf *conf, enum topic_conf_index at,
                             struct arena *arena)
{
    char text[128];

    return arena_str(arena, topic_conf_text(conf, at, text, sizeof text));
}

static void describe_topic_key(struct describe *describe, const struct topic_conf *conf,
                               const struct image_config *own, enum topic_conf_index at)
{
    const struct topic_conf_key *key = &topic_conf_keys[at];
    const char *broker_name = broker_name_of(at);
    const struct conf_key *broker_key =
        broker_name == NULL ? NULL : conf_find(&broker_conf_table, str_of(broker_name));
    struct settings_value values[SETTINGS_VALUES_MAX];
    size_t n = broker_key == NULL
                   ? 0
                   : settings_values(describe->api->settings, describe->image, broker_key, values);
    struct describe_configs_response_config *config =
        put_config(describe, str_of(key->name), topic_wire_type(at), n + 1);
    bool is_own = conf->source[at] == TOPIC_CONF_OF_TOPIC;

    config->value = topic_text(conf, at, describe->arena);
    /* a list is shown in the order it was given in */
    if (key->type == TOPIC_CONF_LIST && is_own)
        config->value =
            conf_show(broker_key, image_config_value(own, config->name), describe->arena);
    else if (key->type == TOPIC_CONF_LIST && n > 0)
        config->value = conf_show(broker_key, values[0].text, describe->arena);
    if (is_own)
        put_synonym(config, config->name, config->value, SETTINGS_OF_TOPIC);
    for (size_t i = 0; i < n; i++)
        put_synonym(config, values[i].name, values[i].text, values[i].source);
    seal_config(describe, config, key->doc);
}

static void describe_topic(struct describe *describe)
{
    struct str name = describe->resource->resource_name;
    struct topic_conf conf;

    if (!api_is_topic_name(name)) {
        fail(describe, ERR_INVALID_TOPIC_EXCEPTION, str_of(err_text(ERR_INVALID_TOPIC_EXCEPTION)));
        return;
    }
    if (describe->image == NULL || image_topic_named(describe->image, name) == NULL) {
        fail(describe, ERR_UNKNOWN_TOPIC_OR_PARTITION,
             str_of(err_text(ERR_UNKNOWN_TOPIC_OR_PARTITION)));
        return;
    }

    const struct image_config *own = image_config(describe->image, STR("topics"), name);

    settings_topic_conf(describe->api->settings, describe->image, name, &conf);
    for (enum topic_conf_index at = 0; at < TOPIC_CONF_N; at++) {
        if (is_asked(describe, str_of(topic_conf_keys[at].name)))
            describe_topic_key(describe, &conf, own, at);
    }
}

/* ---- brokers ---- */

static void describe_broker_key(struct describe *describe, const struct conf_key *key)
{
    struct settings_value values[SETTINGS_VALUES_MAX];
    size_t n = settings_values(describe->api->settings, describe->image, key, values);

    if (key->state == CONF_DYNAMIC && n == 0)
        return;

    struct describe_configs_response_config *config =
        put_config(describe, str_of(key->name), wire_type_of(key->type), n);

    config->read_only = key->scope == CONF_RESTART;
    if (n > 0)
        config->value = conf_show(key, values[0].text, describe->arena);
    for (size_t i = 0; i < n; i++)
        put_synonym(config, values[i].name, values[i].text, values[i].source);
    seal_config(describe, config, key->doc);
}

/* A name that is no key of the table: with a listener in front it has a type, otherwise nobody
 * knows what is in it, so it is not shown. */
static void describe_other(struct describe *describe, struct str name, struct str value,
                           enum settings_source source)
{
    const struct conf_key *key = conf_find_scoped(&broker_conf_table, name);

    for (int32_t i = 0; i < describe->result->configs_len; i++) {
        if (str_eq(describe->result->configs[i].name, name))
            return; /* a stronger one has been shown */
    }

    struct describe_configs_response_config *config =
        put_config(describe, name, key == NULL ? CONFIG_UNKNOWN : wire_type_of(key->type), 1);

    config->value = value;
    config->read_only = key == NULL || key->scope == CONF_RESTART;
    put_synonym(config, name, value, source);
    seal_config(describe, config, key == NULL ? NULL : key->doc);
}

static void describe_changed_others(struct describe *describe, const struct image_config *changes,
                                    enum settings_source source)
{
    for (size_t i = 0; changes != NULL && i < changes->n_settings; i++) {
        struct str name = changes->settings[i].key;

        if (conf_find(&broker_conf_table, name) == NULL && is_asked(describe, name))
            describe_other(describe, name, changes->settings[i].value, source);
    }
}

static void describe_this_broker(struct describe *describe)
{
    const struct settings *settings = describe->api->settings;
    const struct conf *conf = settings_conf(settings);
    struct str name, value;

    for (size_t i = 0; i < broker_conf_table.n_keys; i++) {
        const struct conf_key *key = &broker_conf_table.keys[i];

        if (key->state != CONF_HIDDEN && key->state != CONF_INNER &&
            is_asked(describe, str_of(key->name)))
            describe_broker_key(describe, key);
    }
    describe_changed_others(describe, settings_of_broker(settings, describe->image),
                            SETTINGS_OF_BROKER);
    describe_changed_others(describe, settings_of_cluster(describe->image), SETTINGS_OF_CLUSTER);
    for (size_t i = 0; conf_setting_at(conf, i, &name, &value), !str_is_null(name); i++) {
        if (conf_find(&broker_conf_table, name) == NULL && is_asked(describe, name))
            describe_other(describe, name, value, SETTINGS_OF_FILE);
    }
}

/* What was changed at run time for all brokers, and nothing else. */
static void describe_cluster(struct describe *describe)
{
    const struct image_config *changes = settings_of_cluster(describe->image);

    for (size_t i = 0; changes != NULL && i < changes->n_settings; i++) {
        struct str name = changes->settings[i].key, value = changes->settings[i].value;
        const struct conf_key *key = conf_find(&broker_conf_table, name);

        if (!is_asked(describe, name))
            continue;
        if (key == NULL) {
            describe_other(describe, name, value, SETTINGS_OF_CLUSTER);
            continue;
        }

        struct describe_configs_response_config *config =
            put_config(describe, name, wire_type_of(key->type), 1);

        config->value = conf_show(key, value, describe->arena);
        config->read_only = key->scope == CONF_RESTART;
        put_synonym(config, name, value, SETTINGS_OF_CLUSTER);
        seal_config(describe, config, key->doc);
    }
}

/* True when the name is this broker's number; else the failure is in the result. */
static bool is_me(struct describe *describe)
{
    struct str name = describe->resource->resource_name;
    int64_t id;

    if (!str_to_i64(name, &id)) {
        fail(describe, ERR_INVALID_REQUEST, STR("a broker's name is its number"));
        return false;
    }
    if (id != describe->api->broker_id) {
        fail(describe, ERR_INVALID_REQUEST,
             arena_printf(describe->arena,
                          "this is broker %d; ask broker %.*s about itself, or about \"\" for "
                          "what was changed for all",
                          describe->api->broker_id, STR_ARG(name)));
        return false;
    }
    return true;
}

static void describe_broker(struct describe *describe)
{
    if (describe->resource->resource_name.len == 0)
        describe_cluster(describe);
    else if (is_me(describe))
        describe_this_broker(describe);
}

static void describe_logger(struct describe *describe)
{
    static const struct {
        enum say_level level;
        const char *name; /* as log4j calls it */
    } levels[] = {
        { SAY_DEBUG, "DEBUG" }, { SAY_INFO, "INFO" }, { SAY_WARN, "WARN" }, { SAY_ERROR, "ERROR" }
    };
    size_t at = 0;

    if (!is_me(describe) || !is_asked(describe, STR("root")))
        return;
    while (at + 1 < ARRAY_LEN(levels) && !say_is_on(levels[at].level))
        at++;

    struct describe_configs_response_config *config =
        put_config(describe, STR("root"), CONFIG_UNKNOWN, 0);

    config->is_sensitive = false;
    config->value = str_of(levels[at].name);
    config->config_source = SETTINGS_OF_LOGGER;
}

/* ---- the request ---- */

static void describe_resource(struct describe *describe)
{
    switch (describe->resource->resource_type) {
    case RESOURCE_TOPIC:
        describe_topic(describe);
        break;
    case RESOURCE_BROKER:
        describe_broker(describe);
        break;
    case RESOURCE_LOGGER:
        describe_logger(describe);
        break;
    default:
        fail(describe, ERR_INVALID_REQUEST,
             arena_printf(describe->arena, "resources of type %d are not described here",
                          describe->resource->resource_type));
        break;
    }
}

/* Of those that are asked for with all their settings: a few bytes ask for tens of kilobytes. */
static const bool *repeats_of(const struct describe_configs_request *req, struct arena *arena)
{
    size_t len = (size_t)req->resources_len;
    struct str *names = arena_alloc(arena, (len + 1) * sizeof *names);

    for (size_t i = 0; i < len; i++) {
        const struct describe_configs_request_resource *r = &req->resources[i];

        names[i] = r->configuration_keys_len > 0 ? arena_printf(arena, "#%zu", i)
                                                 : arena_printf(arena, "%d:%.*s", r->resource_type,
                                                                STR_ARG(r->resource_name));
    }
    return api_repeats(arena, names, len);
}

void describe_configs_answer(const struct api *api, const struct image *image,
                             const struct describe_configs_request *req, struct arena *arena,
                             struct describe_configs_response *resp)
{
    describe_configs_response_init(resp);
    resp->results = arena_zalloc(arena, (size_t)req->resources_len + 1, sizeof *resp->results);
    const bool *repeats = repeats_of(req, arena);
    for (int32_t i = 0; i < req->resources_len; i++) {
        if (repeats != NULL && repeats[i])
            continue;
        struct describe describe = { .api = api,
                                     .image = image,
                                     .req = req,
                                     .resource = &req->resources[i],
                                     .result = &resp->results[resp->results_len++],
                                     .arena = arena };

        describe_configs_response_result_init(describe.result);
        describe.result->error_message = STR_NULL;
        describe.result->resource_type = describe.resource->resource_type;
        describe.result->resource_name = describe.resource->resource_name;
        describe_resource(&describe);
    }
}

void describe_configs_handle(struct request *req, void *body, void *context)
{
    const struct api *api = context;
    struct image *image = meta_get_ref(api->meta);
    struct describe_configs_response resp;

    describe_configs_answer(api, image, body, &req->arena, &resp);
    request_answer(req, &resp);
    image_unref(&image);
}
