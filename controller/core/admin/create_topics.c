/*
 * CreateTopics: checked topic by topic in Kafka's order; each that passes is stored in a multi of
 * its own.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/admin/lists.h"
#include "controller/core/place.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_topics.h"

#define MAX_PARTITIONS 100000 /* of one request's topic; beyond it is a slip of the pen */

static bool name_passes(struct core *core, struct job *job, size_t at, struct str name)
{
    struct str other = names_like(core, name);
    const char *why;

    if (image_topic_named(core->image, name) != NULL ||
        (!str_is_null(other) && str_eq(other, name))) {
        job_fail_item(job, at, ERR_TOPIC_ALREADY_EXISTS, "topic %.*s exists already",
                      STR_ARG(name));
        return false;
    }
    if (topics_is_doomed(core, name)) {
        job_fail_item(job, at, ERR_TOPIC_ALREADY_EXISTS, "topic %.*s is marked for deletion",
                      STR_ARG(name));
        return false;
    }
    if (unread_has(core, name)) {
        job_fail_item(job, at, ERR_TOPIC_ALREADY_EXISTS,
                      "topic %.*s exists already, and its znode cannot be read", STR_ARG(name));
        return false;
    }
    if (!topics_name_ok(name, &why)) {
        job_fail_item(job, at, ERR_INVALID_TOPIC_EXCEPTION, "%s", why);
        return false;
    }
    if (!str_is_null(other)) {
        job_fail_item(job, at, ERR_INVALID_TOPIC_EXCEPTION,
                      "topic %.*s differs from %.*s only in '.' and '_'", STR_ARG(name),
                      STR_ARG(other));
        return false;
    }
    return true;
}

static bool settings_pass(struct core *core, struct job *job, size_t at,
                          const struct create_topics_request_topic *topic,
                          struct image_setting *settings)
{
    struct topic_conf conf;
    char why[TOPIC_CONF_WHY];
    enum err err = ERR_OK;

    view_topic_defaults(core, &conf);
    for (int32_t i = 0; i < topic->configs_len && err == ERR_OK; i++) {
        settings[i] = (struct image_setting){ topic->configs[i].name, topic->configs[i].value };
        if (!str_is_text(settings[i].key) || !str_is_text(settings[i].value)) {
            job_fail_item(job, at, ERR_INVALID_CONFIG,
                          "Names and values of settings are UTF-8 without NUL");
            return false;
        }
        err = topic_conf_set(&conf, settings[i].key, settings[i].value, why);
    }
    if (err == ERR_OK)
        err = topic_conf_check(&conf, why);
    if (err != ERR_OK)
        job_fail_item(job, at, err, "%s", why);
    return err == ERR_OK;
}

/* Replicas by the client's own list. */
static struct ids *by_hand(struct core *core, struct job *job, size_t at,
                           const struct create_topics_request_topic *topic)
{
    struct ids *replicas =
        arena_zalloc(&job->arena, (size_t)topic->assignments_len, sizeof *replicas);

    for (int32_t i = 0; i < topic->assignments_len; i++) {
        const struct create_topics_request_assignment *a = &topic->assignments[i];
        struct ids ids = { .at = a->broker_ids, .n = (uint32_t)a->broker_ids_len };

        if (a->partition_index < 0 || a->partition_index >= topic->assignments_len ||
            replicas[a->partition_index].n != 0 || ids.n == 0 || ids.n > core->n_brokers ||
            !ids_unique(ids) ||
            (i > 0 && ids.n != (uint32_t)topic->assignments[0].broker_ids_len)) {
            job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "partitions must count from 0, each with as many replicas, none twice");
            return NULL;
        }
        for (uint32_t j = 0; j < ids.n; j++) {
            const struct broker *b = broker_get(core, ids.at[j]);

            if (b == NULL || (b->state == NODE_DEAD && !b->registered)) {
                job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT, "there is no broker %d",
                              ids.at[j]);
                return NULL;
            }
        }
        replicas[a->partition_index] = ids;
    }
    job->items[at].n_partitions = topic->assignments_len;
    job->items[at].replication_factor = (int16_t)topic->assignments[0].broker_ids_len;
    return replicas;
}

/* Replicas by Kafka's rule over the brokers that can be seen. */
static struct ids *by_rule(struct core *core, struct job *job, size_t at,
                           const struct create_topics_request_topic *topic)
{
    int32_t n = topic->num_partitions != -1 ? topic->num_partitions : core->settings.num_partitions;
    int32_t factor = topic->replication_factor != -1 ? topic->replication_factor
                                                     : core->settings.default_replication_factor;
    struct place_broker *brokers = arena_zalloc(&job->arena, core->n_brokers, sizeof *brokers);
    struct place place = { .brokers = brokers, .n_partitions = n, .replication_factor = factor };
    struct ids *replicas;
    int32_t *out;

    if (n <= 0 || n > MAX_PARTITIONS) {
        job_fail_item(job, at, ERR_INVALID_PARTITIONS,
                      "the number of partitions must be from 1 to %d", MAX_PARTITIONS);
        return NULL;
    }
    for (size_t i = 0; i < core->n_brokers; i++) {
        struct node node = broker_node(core->brokers[i]);

        if (node_is_visible(&node))
            brokers[place.n_brokers++] = (struct place_broker){ node.id, node.rack };
    }
    if (factor <= 0 || (size_t)factor > place.n_brokers) {
        job_fail_item(job, at, ERR_INVALID_REPLICATION_FACTOR,
                      "the replication factor is %d and there are %zu brokers", factor,
                      place.n_brokers);
        return NULL;
    }
    place.start = core_chance(core) % place.n_brokers;
    place.shift = core_chance(core) % place.n_brokers;
    out = arena_alloc(&job->arena, (size_t)n * (size_t)factor * sizeof *out);
    replicas = arena_zalloc(&job->arena, (size_t)n, sizeof *replicas);
    if (place_replicas(&place, out) != ERR_OK) {
        job_fail_item(job, at, ERR_INVALID_REPLICATION_FACTOR, "too few brokers");
        return NULL;
    }
    for (int32_t i = 0; i < n; i++)
        replicas[i] = (struct ids){ .at = &out[i * factor], .n = (uint32_t)factor };
    job->items[at].n_partitions = n;
    job->items[at].replication_factor = (int16_t)factor;
    return replicas;
}

static struct uuid new_id(struct core *core)
{
    struct uuid id;
    uint64_t bits[2];

    do {
        bits[0] = core_chance(core);
        bits[1] = core_chance(core);
    } while (!uuid_from_random((const uint8_t *)bits, &id) || image_topic(core->image, id) != NULL);
    return id;
}

static void plan_topic(struct core *core, struct job *job, size_t at, bool twice)
{
    const struct create_topics_request *req = job->request;
    const struct create_topics_request_topic *topic = &req->topics[at];
    struct image_setting *settings =
        arena_zalloc(&job->arena, (size_t)topic->configs_len, sizeof *settings);
    struct image_config config = { .type = STR("topics"),
                                   .name = topic->name,
                                   .n_settings = (size_t)topic->configs_len,
                                   .settings = settings };
    struct ids *replicas;

    if (twice) {
        job_fail_item(job, at, ERR_INVALID_REQUEST, "topic %.*s is in the request twice",
                      STR_ARG(topic->name));
        return;
    }
    if (!name_passes(core, job, at, topic->name))
        return;
    if (topic->assignments_len > 0 &&
        (topic->num_partitions != -1 || topic->replication_factor != -1)) {
        job_fail_item(job, at, ERR_INVALID_REQUEST,
                      "give either an assignment or numbers of partitions and replicas");
        return;
    }
    replicas =
        topic->assignments_len > 0 ? by_hand(core, job, at, topic) : by_rule(core, job, at, topic);
    if (replicas == NULL || !settings_pass(core, job, at, topic, settings) || req->validate_only)
        return;
    job->items[at].topic_id = new_id(core);
    job_open_item(job, at,
                  topics_plan_create(core, topic->name, job->items[at].topic_id,
                                     (size_t)job->items[at].n_partitions, replicas, &config));
}

static void plan(struct core *core, struct job *job)
{
    const struct create_topics_request *req = job->request;
    struct list_key *keys;
    bool *twins;

    job_setup(job, (size_t)req->topics_len, req->timeout_ms);
    keys = arena_zalloc(&job->arena, job->n, sizeof *keys);
    for (size_t i = 0; i < job->n; i++)
        keys[i].name = req->topics[i].name;
    twins = list_twins(&job->arena, keys, job->n);
    for (size_t i = 0; i < job->n; i++)
        plan_topic(core, job, i, twins[i]);
}

/* The effective settings of the new topic (KIP-525): Kafka shows those at the broker that was
 * asked, which may have been changed there alone; here, those of all brokers. */
static void describe(const struct core *core, const struct create_topics_request_topic *asked,
                     struct create_topics_response_topic *to, struct arena *arena)
{
    struct topic_conf conf;
    char buf[64];

    view_topic_defaults(core, &conf);
    for (int32_t i = 0; i < asked->configs_len; i++) {
        if (topic_conf_set(&conf, asked->configs[i].name, asked->configs[i].value, NULL) != ERR_OK)
            continue;
    }
    to->configs = arena_zalloc(arena, TOPIC_CONF_N, sizeof *to->configs);
    to->configs_len = TOPIC_CONF_N;
    for (int at = 0; at < TOPIC_CONF_N; at++) {
        create_topics_response_config_init(&to->configs[at]);
        to->configs[at].name = str_of(topic_conf_keys[at].name);
        to->configs[at].value =
            arena_str(arena, topic_conf_text(&conf, (enum topic_conf_index)at, buf, sizeof buf));
        to->configs[at].config_source = (int8_t)conf.source[at];
    }
}

static const void *respond(struct core *core, struct job *job, struct arena *arena)
{
    const struct create_topics_request *req = job->request;
    struct create_topics_response *resp = arena_alloc(arena, sizeof *resp);

    create_topics_response_init(resp);
    resp->topics_len = req->topics_len;
    resp->topics = arena_zalloc(arena, job->n, sizeof *resp->topics);
    for (size_t i = 0; i < job->n; i++) {
        struct create_topics_response_topic *to = &resp->topics[i];

        create_topics_response_topic_init(to);
        to->name = arena_str(arena, req->topics[i].name);
        to->error_code = err_to_wire(job->items[i].err);
        to->error_message = job_item_why(job, i, arena);
        if (job->items[i].err != ERR_OK)
            continue;
        to->topic_id = job->items[i].topic_id;
        to->num_partitions = job->items[i].n_partitions;
        to->replication_factor = job->items[i].replication_factor;
        describe(core, &req->topics[i], to, arena);
    }
    return resp;
}

const struct admin_kind admin_create_topics = { API_CREATE_TOPICS, plan, respond };
