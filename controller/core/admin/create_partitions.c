/*
 * CreatePartitions: the new partitions are placed as if the topic had been created with them.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/admin/lists.h"
#include "controller/core/place.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"

#define MAX_PARTITIONS 100000

static bool is_reassigning(const struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        if (part != NULL && (part->adding.n > 0 || part->removing.n > 0))
            return true;
    }
    return false;
}

static struct ids *by_hand(struct core *core, struct job *job, size_t at,
                           const struct create_partitions_request_topic *asked, size_t n_new,
                           uint32_t factor)
{
    struct ids *replicas = arena_zalloc(&job->arena, n_new, sizeof *replicas);

    if ((size_t)asked->assignments_len != n_new) {
        job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "%zu partitions are new and %d have replicas", n_new, asked->assignments_len);
        return NULL;
    }
    for (size_t i = 0; i < n_new; i++) {
        replicas[i] = (struct ids){ .at = asked->assignments[i].broker_ids,
                                    .n = (uint32_t)asked->assignments[i].broker_ids_len };
        if (factor == 0 || replicas[i].n != factor || !ids_unique(replicas[i])) {
            job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT,
                          "each partition needs %u replicas, at least one and none twice", factor);
            return NULL;
        }
        for (uint32_t j = 0; j < factor; j++) {
            if (broker_get(core, replicas[i].at[j]) == NULL) {
                job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT, "there is no broker %d",
                              replicas[i].at[j]);
                return NULL;
            }
        }
    }
    return replicas;
}

static struct ids *by_rule(struct core *core, struct job *job, size_t at,
                           const struct image_topic *topic, size_t n_new, struct ids model)
{
    struct place_broker *brokers = arena_zalloc(&job->arena, core->n_brokers, sizeof *brokers);
    struct place place = { .brokers = brokers,
                           .first_partition = topic->n_parts,
                           .n_partitions = (int32_t)n_new,
                           .replication_factor = (int32_t)model.n };
    int32_t *out = arena_alloc(&job->arena, n_new * model.n * sizeof *out);
    struct ids *replicas = arena_zalloc(&job->arena, n_new, sizeof *replicas);
    bool found = false;

    for (size_t i = 0; i < core->n_brokers; i++) {
        struct node node = broker_node(core->brokers[i]);

        if (!node_is_visible(&node))
            continue;
        if (!found && model.n > 0 && node.id >= model.at[0]) {
            place.start = place.shift = place.n_brokers;
            found = true;
        }
        brokers[place.n_brokers++] = (struct place_broker){ node.id, node.rack };
    }
    if (place.n_brokers == 0 || place_replicas(&place, out) != ERR_OK) {
        job_fail_item(job, at, ERR_INVALID_REPLICATION_FACTOR,
                      "the topic has %u replicas and there are %zu brokers", model.n,
                      place.n_brokers);
        return NULL;
    }
    for (size_t i = 0; i < n_new; i++)
        replicas[i] = (struct ids){ .at = &out[i * model.n], .n = model.n };
    return replicas;
}

static void plan_topic(struct core *core, struct job *job, size_t at, bool twice)
{
    const struct create_partitions_request *req = job->request;
    const struct create_partitions_request_topic *asked = &req->topics[at];
    const struct image_topic *topic = image_topic_named(core->image, asked->name);
    const struct image_part *model = topic != NULL ? image_topic_part(topic, 0) : NULL;
    struct ids *replicas;
    size_t n_new;

    if (twice) {
        job_fail_item(job, at, ERR_INVALID_REQUEST, "topic %.*s is in the request twice",
                      STR_ARG(asked->name));
        return;
    }
    if (topics_is_doomed(core, asked->name)) {
        job_fail_item(job, at, ERR_INVALID_TOPIC_EXCEPTION, "the topic is queued for deletion");
        return;
    }
    if (model == NULL) {
        job_fail_item(job, at, ERR_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %.*s",
                      STR_ARG(asked->name));
        return;
    }
    if (is_reassigning(topic)) {
        job_fail_item(job, at, ERR_REASSIGNMENT_IN_PROGRESS,
                      "A partition reassignment is in progress for the topic '%.*s'.",
                      STR_ARG(asked->name));
        return;
    }
    if (asked->count <= topic->n_parts || asked->count > MAX_PARTITIONS) {
        job_fail_item(job, at, ERR_INVALID_PARTITIONS,
                      "the topic has %d partitions, %d is not more (at most %d)", topic->n_parts,
                      asked->count, MAX_PARTITIONS);
        return;
    }
    n_new = (size_t)(asked->count - topic->n_parts);
    replicas = asked->assignments_len >= 0 ? by_hand(core, job, at, asked, n_new, model->replicas.n)
                                           : by_rule(core, job, at, topic, n_new, model->replicas);
    if (replicas != NULL && !req->validate_only)
        job_open_item(job, at, topics_plan_grow(core, topic, n_new, replicas));
}

static void plan(struct core *core, struct job *job)
{
    const struct create_partitions_request *req = job->request;
    struct list_key *keys;
    bool *twins;

    for (int32_t i = 0; i < req->topics_len && !job->again; i++) {
        const struct image_topic *topic = image_topic_named(core->image, req->topics[i].name);

        job->again = topic != NULL && plan_sets_topic(core, topic->id);
    }
    if (job->again)
        return;
    job_setup(job, (size_t)req->topics_len, req->timeout_ms);
    keys = arena_zalloc(&job->arena, job->n, sizeof *keys);
    for (size_t i = 0; i < job->n; i++)
        keys[i].name = req->topics[i].name;
    twins = list_twins(&job->arena, keys, job->n);
    for (size_t i = 0; i < job->n; i++)
        plan_topic(core, job, i, twins[i]);
}

static const void *respond(struct core *core, struct job *job, struct arena *arena)
{
    const struct create_partitions_request *req = job->request;
    struct create_partitions_response *resp = arena_alloc(arena, sizeof *resp);

    (void)core;
    create_partitions_response_init(resp);
    resp->results_len = (int32_t)job->n;
    resp->results = arena_zalloc(arena, job->n, sizeof *resp->results);
    for (size_t i = 0; i < job->n; i++) {
        create_partitions_response_result_init(&resp->results[i]);
        resp->results[i].name = arena_str(arena, req->topics[i].name);
        resp->results[i].error_code = err_to_wire(job->items[i].err);
        resp->results[i].error_message = job_item_why(job, i, arena);
    }
    return resp;
}

const struct admin_kind admin_create_partitions = { API_CREATE_PARTITIONS, plan, respond };
