/*
 * The client's half of the toy: requests that live until they are answered, answers as far as tests
 * look at them, and what is in its ZooKeeper as short texts.
 */
#include "tests/kit/toy_core.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"
#include "gen/wire/elect_leaders.h"
#include "gen/wire/incremental_alter_configs.h"
#include "gen/wire/list_partition_reassignments.h"

static void set_ids(int32_t *to, struct ids ids)
{
    ck_assert_uint_le(ids.n, 8);
    if (ids.n > 0)
        memcpy(to, ids.at, ids.n * sizeof *to);
}

static void take_message(struct toy *toy, size_t i, int16_t code, struct str message)
{
    if (i < ARRAY_LEN(toy->errors))
        toy->errors[i] = code;
    if (i == 0)
        snprintf(toy->message, sizeof toy->message, "%.*s", STR_ARG(message));
}

static void take_listed(struct toy *toy, const struct list_partition_reassignments_response *r)
{
    int len = 0;

    toy->listed[0] = '\0';
    for (int32_t i = 0; i < r->topics_len; i++) {
        for (int32_t j = 0; j < r->topics[i].partitions_len; j++) {
            const struct list_partition_reassignments_response_partition *p =
                &r->topics[i].partitions[j];

            len += snprintf(toy->listed + len, sizeof toy->listed - (size_t)len, "%.*s-%d",
                            STR_ARG(r->topics[i].name), p->partition_index);
            for (int32_t k = 0; k < p->replicas_len; k++)
                len += snprintf(toy->listed + len, sizeof toy->listed - (size_t)len, "%c%d",
                                k == 0 ? ' ' : ',', p->replicas[k]);
            for (int32_t k = 0; k < p->adding_replicas_len; k++)
                len += snprintf(toy->listed + len, sizeof toy->listed - (size_t)len, " +%d",
                                p->adding_replicas[k]);
            for (int32_t k = 0; k < p->removing_replicas_len; k++)
                len += snprintf(toy->listed + len, sizeof toy->listed - (size_t)len, " -%d",
                                p->removing_replicas[k]);
            len += snprintf(toy->listed + len, sizeof toy->listed - (size_t)len, ";");
        }
    }
}

static void look_for(struct toy *toy, const struct create_topics_response_topic *topic)
{
    for (int32_t i = 0; toy->looks_for != NULL && i < topic->configs_len; i++) {
        const struct create_topics_response_config *config = &topic->configs[i];

        if (str_is(config->name, toy->looks_for))
            snprintf(toy->seen, sizeof toy->seen, "%.*s %d", STR_ARG(config->value),
                     config->config_source);
    }
}

void toy_answered(struct toy *toy, const struct core_answer_admin *a)
{
    toy->n_answers++;
    toy->answer_err = a->err;
    if (a->err != ERR_OK) {
        toy_forget_request(toy, a->id);
        return;
    }
    if (a->api_key == API_CREATE_TOPICS) {
        const struct create_topics_response *r = a->response;

        for (int32_t i = 0; i < r->topics_len; i++)
            take_message(toy, (size_t)i, r->topics[i].error_code, r->topics[i].error_message);
        if (r->topics_len > 0)
            look_for(toy, &r->topics[0]);
    } else if (a->api_key == API_DELETE_TOPICS) {
        const struct delete_topics_response *r = a->response;

        for (int32_t i = 0; i < r->responses_len; i++)
            take_message(toy, (size_t)i, r->responses[i].error_code, r->responses[i].error_message);
    } else if (a->api_key == API_CREATE_PARTITIONS) {
        const struct create_partitions_response *r = a->response;

        for (int32_t i = 0; i < r->results_len; i++)
            take_message(toy, (size_t)i, r->results[i].error_code, r->results[i].error_message);
    } else if (a->api_key == API_ELECT_LEADERS) {
        const struct elect_leaders_response *r = a->response;

        for (int32_t i = 0; i < r->replica_election_results_len; i++)
            take_message(toy, (size_t)i,
                         r->replica_election_results[i].partition_result[0].error_code,
                         r->replica_election_results[i].partition_result[0].error_message);
    } else if (a->api_key == API_ALTER_PARTITION_REASSIGNMENTS) {
        const struct alter_partition_reassignments_response *r = a->response;

        for (int32_t i = 0; i < r->responses_len; i++)
            take_message(toy, (size_t)i, r->responses[i].partitions[0].error_code,
                         r->responses[i].partitions[0].error_message);
    } else if (a->api_key == API_LIST_PARTITION_REASSIGNMENTS) {
        take_listed(toy, a->response);
    } else if (a->api_key == API_INCREMENTAL_ALTER_CONFIGS) {
        const struct incremental_alter_configs_response *r = a->response;

        for (int32_t i = 0; i < r->responses_len; i++)
            take_message(toy, (size_t)i, r->responses[i].error_code, r->responses[i].error_message);
    }
    toy_forget_request(toy, a->id);
}

/* Lives until it is answered, as the core asks for. */
struct toy_request {
    struct toy_request *next;
    uint64_t id;
    char name[64];
    int32_t ids[4];
    struct create_topics_request_assignment assignments[TOY_PARTS];
    struct create_topics_request_topic topic;
    struct create_topics_request req;
    char key[64], value[256];
    struct incremental_alter_configs_request_config config;
    struct incremental_alter_configs_request_resource resource;
    struct incremental_alter_configs_request alter;
};

static struct toy_request *request_new(struct toy *toy)
{
    struct toy_request *asked = xcalloc(1, sizeof *asked);

    asked->id = ++toy->requests;
    asked->next = toy->asked;
    toy->asked = asked;
    return asked;
}

void toy_forget_request(struct toy *toy, uint64_t id)
{
    struct toy_request **at = &toy->asked;

    while (*at != NULL) {
        struct toy_request *asked = *at;

        if (id == 0 || asked->id == id) {
            *at = asked->next;
            free(asked);
        } else {
            at = &asked->next;
        }
    }
}

void toy_create(struct toy *toy, const char *name, size_t n_parts, struct ids replicas)
{
    struct toy_request *asked = request_new(toy);

    create_topics_request_init(&asked->req);
    create_topics_request_topic_init(&asked->topic);
    set_ids(asked->ids, replicas);
    snprintf(asked->name, sizeof asked->name, "%s", name);
    asked->topic.name = str_of(asked->name);
    asked->topic.num_partitions = -1;
    asked->topic.replication_factor = -1;
    asked->topic.assignments = asked->assignments;
    asked->topic.assignments_len = (int32_t)n_parts;
    for (size_t i = 0; i < n_parts; i++)
        asked->assignments[i] = (struct create_topics_request_assignment){ (int32_t)i, asked->ids,
                                                                           (int32_t)replicas.n };
    asked->req.topics = &asked->topic;
    asked->req.topics_len = 1;
    asked->req.timeout_ms = 30000;
    toy_step(toy, (struct core_event){ .kind = CORE_ADMIN,
                                       .admin = { .id = asked->id,
                                                  .stream = 1,
                                                  .api_key = API_CREATE_TOPICS,
                                                  .api_version = 7,
                                                  .request = &asked->req } });
}

static int ask_as(struct toy *toy, uint64_t id, int16_t api_key, int16_t api_version,
                  const void *request)
{
    toy->errors[0] = toy->errors[1] = -99;
    toy_step(toy, (struct core_event){ .kind = CORE_ADMIN,
                                       .admin = { .id = id,
                                                  .stream = 1,
                                                  .api_key = api_key,
                                                  .api_version = api_version,
                                                  .request = request } });
    return toy->errors[0];
}

int toy_ask(struct toy *toy, int16_t api_key, int16_t api_version, const void *request)
{
    return ask_as(toy, ++toy->requests, api_key, api_version, request);
}

int toy_delete(struct toy *toy, const char *name)
{
    static struct delete_topics_request_topic topic;
    static struct delete_topics_request req;

    delete_topics_request_init(&req);
    delete_topics_request_topic_init(&topic);
    topic.name = str_of(name);
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    return toy_ask(toy, API_DELETE_TOPICS, 6, &req);
}

int toy_edit(struct toy *toy, const char *topic, int8_t operation, const char *key,
             const char *value)
{
    struct toy_request *asked = request_new(toy);

    incremental_alter_configs_request_init(&asked->alter);
    incremental_alter_configs_request_resource_init(&asked->resource);
    incremental_alter_configs_request_config_init(&asked->config);
    snprintf(asked->name, sizeof asked->name, "%s", topic);
    snprintf(asked->key, sizeof asked->key, "%s", key);
    asked->config.name = str_of(asked->key);
    asked->config.value = STR_NULL;
    if (value != NULL) {
        snprintf(asked->value, sizeof asked->value, "%s", value);
        asked->config.value = str_of(asked->value);
    }
    asked->config.config_operation = operation;
    asked->resource.resource_type = 2;
    asked->resource.resource_name = str_of(asked->name);
    asked->resource.configs = &asked->config;
    asked->resource.configs_len = 1;
    asked->alter.resources = &asked->resource;
    asked->alter.resources_len = 1;
    return ask_as(toy, asked->id, API_INCREMENTAL_ALTER_CONFIGS, 1, &asked->alter);
}

int toy_alter(struct toy *toy, const char *topic, const char *key, const char *value)
{
    return toy_edit(toy, topic, 0, key, value);
}

int toy_grow(struct toy *toy, const char *name, int32_t count)
{
    static struct create_partitions_request_topic topic;
    static struct create_partitions_request req;

    create_partitions_request_init(&req);
    create_partitions_request_topic_init(&topic);
    topic.name = str_of(name);
    topic.count = count;
    topic.assignments_len = -1;
    req.topics = &topic;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    return toy_ask(toy, API_CREATE_PARTITIONS, 3, &req);
}

int toy_elect(struct toy *toy, int8_t type, const char *name)
{
    static int32_t zero;
    static struct elect_leaders_request_topic topic;
    static struct elect_leaders_request req;

    elect_leaders_request_init(&req);
    elect_leaders_request_topic_init(&topic);
    topic.topic = str_of(name);
    topic.partitions = &zero;
    topic.partitions_len = 1;
    req.election_type = type;
    req.topic_partitions = &topic;
    req.topic_partitions_len = 1;
    req.timeout_ms = 30000;
    return toy_ask(toy, API_ELECT_LEADERS, 2, &req);
}

int toy_reassign(struct toy *toy, const char *topic, int32_t partition, struct ids target)
{
    static struct alter_partition_reassignments_request_partition part;
    static struct alter_partition_reassignments_request_topic one;
    static struct alter_partition_reassignments_request req;
    static int32_t ids[8];

    alter_partition_reassignments_request_init(&req);
    alter_partition_reassignments_request_topic_init(&one);
    alter_partition_reassignments_request_partition_init(&part);
    set_ids(ids, target);
    part.partition_index = partition;
    part.replicas = ids;
    part.replicas_len = target.n > 0 ? (int32_t)target.n : -1;
    one.name = str_of(topic);
    one.partitions = &part;
    one.partitions_len = 1;
    req.topics = &one;
    req.topics_len = 1;
    req.timeout_ms = 30000;
    return toy_ask(toy, API_ALTER_PARTITION_REASSIGNMENTS, 0, &req);
}

static int show_ids(char *text, size_t size, const char *before, const int32_t *ids, uint32_t n)
{
    int len = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < n; i++)
        len += snprintf(text + len, size - (size_t)len, "%s%d", i > 0 ? "," : before, ids[i]);
    return len;
}

const char *toy_assigned(struct toy *toy, const char *topic, int32_t partition)
{
    static char text[128];
    const struct toy_part *part = toy_part(toy, topic, partition);
    int len = show_ids(text, sizeof text, "", part->replicas, part->n_replicas);

    len += show_ids(text + len, sizeof text - (size_t)len, " +", part->adding, part->n_adding);
    show_ids(text + len, sizeof text - (size_t)len, " -", part->removing, part->n_removing);
    return text;
}

const char *toy_eligible(struct toy *toy, const char *topic, int32_t partition)
{
    static char text[64];
    const struct toy_part *part = toy_part(toy, topic, partition);
    bool good = part->eligible.leader_epoch == part->state.leader_epoch &&
                part->eligible.partition_epoch == part->state.partition_epoch;

    text[0] = '\0';
    if (part->has_eligible)
        show_ids(text, sizeof text, good ? "" : "void: ", part->eligible_ids,
                 part->eligible.replicas.n);
    return text;
}

const char *toy_stones(struct toy *toy, const char *topic)
{
    static char text[512];
    const struct toy_topic *t = toy_topic(toy, topic);
    int len = 0;

    text[0] = '\0';
    for (size_t i = 0; t != NULL && i < toy->n_stones; i++) {
        const struct image_tombstone *s = &toy->stones[i];

        if (uuid_eq(s->topic_id, t->id))
            len += snprintf(text + len, sizeof text - (size_t)len, "%s%d:%d@%d", len > 0 ? " " : "",
                            s->broker, s->partition, s->leader_epoch);
    }
    return text;
}

const char *toy_show(struct toy *toy, const char *name, int32_t partition)
{
    static char text[128];
    const struct toy_part *part = toy_part(toy, name, partition);
    int len;

    if (!part->has_state)
        return "none";
    len = snprintf(text, sizeof text, "%d/", part->state.leader);
    for (uint32_t i = 0; i < part->state.isr.n; i++)
        len +=
            snprintf(text + len, sizeof text - (size_t)len, "%s%d", i > 0 ? "," : "", part->isr[i]);
    snprintf(text + len, sizeof text - (size_t)len, " %d %d", part->state.leader_epoch,
             part->state.partition_epoch);
    return text;
}

static const struct image *image_of(const struct toy *toy, int32_t id)
{
    return id == 0 ? core_image(toy->core) : toy->brokers[id].image;
}

const struct image_part *toy_known(struct toy *toy, int32_t id, const char *topic,
                                   int32_t partition)
{
    return image_part(image_of(toy, id), toy_topic(toy, topic)->id, partition);
}

struct str toy_setting(const struct toy *toy, int32_t id, const char *topic, const char *key)
{
    return image_config_value(image_config(image_of(toy, id), STR("topics"), str_of(topic)),
                              str_of(key));
}

enum node_state toy_state(const struct toy *toy, int32_t id)
{
    const struct node *node = image_node(core_image(toy->core), id);

    return node != NULL ? node->state : NODE_DEAD;
}
