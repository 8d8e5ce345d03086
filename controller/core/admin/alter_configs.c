/*
 * AlterConfigs replaces all settings of a topic or of brokers, IncrementalAlterConfigs changes some
 * of them: two messages for one thing.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/admin/config_change.h"
#include "controller/core/admin/lists.h"
#include "gen/wire/alter_configs.h"
#include "gen/wire/apis.h"
#include "gen/wire/incremental_alter_configs.h"

#define CONFIG_TIMEOUT_MS 30000 /* these requests carry none */

/* Two resources of the request that are the same leave nobody to know which comes first. */
static void plan_all(struct core *core, struct job *job, struct config_change *changes)
{
    struct list_key *keys = arena_zalloc(&job->arena, job->n, sizeof *keys);
    bool *twins;

    for (size_t i = 0; i < job->n; i++)
        keys[i] = (struct list_key){ changes[i].resource_type, changes[i].resource_name };
    twins = list_twins(&job->arena, keys, job->n);
    for (size_t i = 0; i < job->n; i++) {
        changes[i].job = job;
        changes[i].item = i;
        if (twins[i])
            job_fail_item(job, i, ERR_INVALID_REQUEST, "Each resource must appear at most once.");
        else
            config_change_plan(core, &changes[i]);
    }
}

/* Settings and states do not share a plan. */
static bool shares_a_plan(const struct core *core)
{
    return core->making->n_parts > 0 || core->states_first;
}

static void plan_alter(struct core *core, struct job *job)
{
    const struct alter_configs_request *req = job->request;
    struct config_change *changes;

    job->again = shares_a_plan(core);
    if (job->again)
        return;
    job_setup(job, (size_t)req->resources_len, CONFIG_TIMEOUT_MS);
    changes = arena_zalloc(&job->arena, job->n + 1, sizeof *changes);
    for (size_t i = 0; i < job->n; i++) {
        const struct alter_configs_request_resource *r = &req->resources[i];
        struct config_edit *edits =
            arena_zalloc(&job->arena, (size_t)r->configs_len + 1, sizeof *edits);

        for (int32_t j = 0; j < r->configs_len; j++)
            edits[j] = (struct config_edit){ .name = r->configs[j].name,
                                             .value = r->configs[j].value,
                                             .operation = CONFIG_SET };
        changes[i] = (struct config_change){ .resource_type = r->resource_type,
                                             .resource_name = r->resource_name,
                                             .replaces = true,
                                             .validate_only = req->validate_only,
                                             .n = (size_t)r->configs_len,
                                             .edits = edits };
    }
    plan_all(core, job, changes);
}

static void plan_incremental(struct core *core, struct job *job)
{
    const struct incremental_alter_configs_request *req = job->request;
    struct config_change *changes;

    job->again = shares_a_plan(core);
    if (job->again)
        return;
    job_setup(job, (size_t)req->resources_len, CONFIG_TIMEOUT_MS);
    changes = arena_zalloc(&job->arena, job->n + 1, sizeof *changes);
    for (size_t i = 0; i < job->n; i++) {
        const struct incremental_alter_configs_request_resource *r = &req->resources[i];
        struct config_edit *edits =
            arena_zalloc(&job->arena, (size_t)r->configs_len + 1, sizeof *edits);

        for (int32_t j = 0; j < r->configs_len; j++)
            edits[j] = (struct config_edit){ .name = r->configs[j].name,
                                             .value = r->configs[j].value,
                                             .operation = r->configs[j].config_operation };
        changes[i] = (struct config_change){ .resource_type = r->resource_type,
                                             .resource_name = r->resource_name,
                                             .validate_only = req->validate_only,
                                             .n = (size_t)r->configs_len,
                                             .edits = edits };
    }
    plan_all(core, job, changes);
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
