/*
 * AlterConfigs replaces all settings of a topic, IncrementalAlterConfigs changes some of them. What
 * comes out is checked as a whole before it is stored. Settings of brokers cannot be changed at run
 * time here.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "gen/wire/alter_configs.h"
#include "gen/wire/apis.h"
#include "gen/wire/incremental_alter_configs.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { OP_SET, OP_DELETE, OP_APPEND, OP_SUBTRACT };
#define CONFIG_TIMEOUT_MS 30000 /* these requests carry none */

struct set { /* of settings, growing in the job's arena */
    struct image_setting *at;
    size_t n;
};

static struct image_setting *find(struct set *set, struct str key)
{
    for (size_t i = 0; i < set->n; i++) {
        if (str_eq(set->at[i].key, key))
            return &set->at[i];
    }
    return NULL;
}

static void put(struct set *set, struct str key, struct str value)
{
    struct image_setting *there = find(set, key);

    if (there == NULL)
        there = &set->at[set->n++];
    *there = (struct image_setting){ key, value };
}

static void drop(struct set *set, struct str key)
{
    struct image_setting *there = find(set, key);

    if (there != NULL)
        *there = set->at[--set->n];
}

/* The topic, or NULL and the item has failed. */
static const struct image_topic *topic_of(struct core *core, struct job *job, size_t at,
                                          int8_t type, struct str name)
{
    const struct image_topic *topic;

    if (type != RESOURCE_TOPIC) {
        job_fail_item(job, at, ERR_INVALID_REQUEST,
                      type == RESOURCE_BROKER
                          ? "settings of brokers cannot be changed at run time"
                          : "settings of this kind of resource cannot be changed");
        return NULL;
    }
    topic = image_topic_named(core->image, name);
    if (topic == NULL)
        job_fail_item(job, at, ERR_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %.*s",
                      STR_ARG(name));
    return topic;
}

static void plan_set(struct core *core, struct job *job, size_t at, struct str topic,
                     const struct set *set, bool validate_only)
{
    struct topic_conf conf;
    char why[TOPIC_CONF_WHY];
    enum err err = ERR_OK;

    topic_conf_init(&conf);
    topic_conf_inherit(&conf, core->settings.n_topic_defaults, core->settings.topic_defaults);
    for (size_t i = 0; i < set->n && err == ERR_OK; i++)
        err = topic_conf_set(&conf, set->at[i].key, set->at[i].value, why);
    if (err == ERR_OK)
        err = topic_conf_check(&conf, why);
    if (err != ERR_OK) {
        job_fail_item(job, at, err, "%s", why);
        return;
    }
    if (!validate_only)
        job_open_item(job, at, settings_plan(core, STR("topics"), topic, set->n, set->at, true));
}

static void plan_alter(struct core *core, struct job *job)
{
    const struct alter_configs_request *req = job->request;

    job_setup(job, (size_t)req->resources_len, CONFIG_TIMEOUT_MS);
    for (size_t i = 0; i < job->n; i++) {
        const struct alter_configs_request_resource *r = &req->resources[i];
        const struct image_topic *topic =
            topic_of(core, job, i, r->resource_type, r->resource_name);
        struct set set = { arena_zalloc(&job->arena, (size_t)r->configs_len, sizeof *set.at), 0 };

        if (topic == NULL)
            continue;
        for (int32_t j = 0; j < r->configs_len; j++)
            put(&set, r->configs[j].name, r->configs[j].value);
        plan_set(core, job, i, topic->name, &set, req->validate_only);
    }
}

/* APPEND and SUBTRACT on a list: what it was, with or without the words of value. */
static struct str change_list(struct job *job, struct str was, struct str value, bool append)
{
    struct str result = STR_EMPTY;
    struct str rest = was;

    while (!str_is_null(rest) && rest.len > 0) {
        struct str word = str_trim(str_split(rest, ',', &rest)), others = value;
        bool named = false;

        while (!str_is_null(others))
            named |= str_eq(str_trim(str_split(others, ',', &others)), word);
        if (!named)
            result = arena_printf(&job->arena, "%.*s%s%.*s", STR_ARG(result),
                                  result.len > 0 ? "," : "", STR_ARG(word));
    }
    if (append)
        result = arena_printf(&job->arena, "%.*s%s%.*s", STR_ARG(result), result.len > 0 ? "," : "",
                              STR_ARG(value));
    return result;
}

static bool change_one(struct core *core, struct job *job, size_t at, struct str topic,
                       struct set *set,
                       const struct incremental_alter_configs_request_config *change)
{
    int key = topic_conf_find(change->name);
    struct topic_conf conf;
    char buf[128];

    switch (change->config_operation) {
    case OP_SET:
        put(set, change->name, change->value);
        return true;
    case OP_DELETE:
        if (key >= 0) {
            drop(set, change->name);
            return true;
        }
        break;
    case OP_APPEND:
    case OP_SUBTRACT:
        if (key < 0 || str_is_null(change->value) ||
            (topic_conf_keys[key].type != TOPIC_CONF_LIST && topic_conf_keys[key].choices != NULL &&
             topic_conf_keys[key].type != TOPIC_CONF_TEXT))
            break;
        if (topic_conf_keys[key].type != TOPIC_CONF_LIST &&
            topic_conf_keys[key].type != TOPIC_CONF_TEXT)
            break;
        view_topic_conf(core, topic, &conf);
        put(set, change->name,
            change_list(job, topic_conf_text(&conf, (enum topic_conf_index)key, buf, sizeof buf),
                        change->value, change->config_operation == OP_APPEND));
        return true;
    default:
        job_fail_item(job, at, ERR_INVALID_REQUEST, "there is no operation %d on a setting",
                      change->config_operation);
        return false;
    }
    job_fail_item(job, at, ERR_INVALID_CONFIG, "\"%.*s\" is no setting for that operation",
                  STR_ARG(change->name));
    return false;
}

static void plan_incremental(struct core *core, struct job *job)
{
    const struct incremental_alter_configs_request *req = job->request;

    job_setup(job, (size_t)req->resources_len, CONFIG_TIMEOUT_MS);
    for (size_t i = 0; i < job->n; i++) {
        const struct incremental_alter_configs_request_resource *r = &req->resources[i];
        const struct image_topic *topic =
            topic_of(core, job, i, r->resource_type, r->resource_name);
        const struct image_config *old;
        struct set set = { NULL, 0 };
        bool good = true;

        if (topic == NULL)
            continue;
        old = image_config(core->image, STR("topics"), topic->name);
        set.at =
            arena_zalloc(&job->arena, (size_t)r->configs_len + (old != NULL ? old->n_settings : 0),
                         sizeof *set.at);
        for (size_t j = 0; old != NULL && j < old->n_settings; j++)
            put(&set, old->settings[j].key, old->settings[j].value);
        for (int32_t j = 0; j < r->configs_len && good; j++)
            good = change_one(core, job, i, topic->name, &set, &r->configs[j]);
        if (good)
            plan_set(core, job, i, topic->name, &set, req->validate_only);
    }
}

static const void *respond_alter(struct core *core, struct job *job, struct arena *arena)
{
    const struct alter_configs_request *req = job->request;
    struct alter_configs_response *resp = arena_alloc(arena, sizeof *resp);

    (void)core;
    alter_configs_response_init(resp);
    resp->responses_len = (int32_t)job->n;
    resp->responses = arena_zalloc(arena, job->n, sizeof *resp->responses);
    for (size_t i = 0; i < job->n; i++) {
        alter_configs_response_resource_init(&resp->responses[i]);
        resp->responses[i].resource_type = req->resources[i].resource_type;
        resp->responses[i].resource_name = arena_str(arena, req->resources[i].resource_name);
        resp->responses[i].error_code = err_to_wire(job->items[i].err);
        resp->responses[i].error_message = job_item_why(job, i, arena);
    }
    return resp;
}

static const void *respond_incremental(struct core *core, struct job *job, struct arena *arena)
{
    const struct incremental_alter_configs_request *req = job->request;
    struct incremental_alter_configs_response *resp = arena_alloc(arena, sizeof *resp);

    (void)core;
    incremental_alter_configs_response_init(resp);
    resp->responses_len = (int32_t)job->n;
    resp->responses = arena_zalloc(arena, job->n, sizeof *resp->responses);
    for (size_t i = 0; i < job->n; i++) {
        incremental_alter_configs_response_resource_init(&resp->responses[i]);
        resp->responses[i].resource_type = req->resources[i].resource_type;
        resp->responses[i].resource_name = arena_str(arena, req->resources[i].resource_name);
        resp->responses[i].error_code = err_to_wire(job->items[i].err);
        resp->responses[i].error_message = job_item_why(job, i, arena);
    }
    return resp;
}

const struct admin_kind admin_alter_configs = { API_ALTER_CONFIGS, plan_alter, respond_alter };
const struct admin_kind admin_incremental_alter_configs = { API_INCREMENTAL_ALTER_CONFIGS,
                                                            plan_incremental, respond_incremental };
