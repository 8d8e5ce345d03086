/*
 * The body is encoded anew from the decoded struct rather than kept as bytes, so that what the
 * controller gets is canonical, less what is refused here (alter_screen). When no answer comes, the
 * client is told so in its API's own way: the shapes differ, so the error goes into every item that
 * was asked for.
 */
#include "broker/api/forwarded.h"

#include "broker/api/alter_screen.h"
#include "broker/api/api.h"
#include "broker/control/forward.h"
#include "common/base/mem.h"
#include "gen/wire/alter_configs.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"
#include "gen/wire/create_topics.h"
#include "gen/wire/delete_topics.h"
#include "gen/wire/elect_leaders.h"
#include "gen/wire/incremental_alter_configs.h"
#include "gen/wire/list_partition_reassignments.h"

#define TIMEOUT_DEFAULT_MS 30000
#define TIMEOUT_GRACE_MS                                                                           \
    1000 /* the controller keeps the request's own time; we wait a little longer */

struct forwarded_op {
    struct forward_call call;
    struct request *req;
    void *body;
    struct alter_screen screen; /* what was not even asked for */
};

static void refuse_create(struct forwarded_op *op, enum err err,
                          struct create_topics_response *resp)
{
    const struct create_topics_request *asked = op->body;

    resp->topics =
        arena_zalloc(&op->req->arena, (size_t)asked->topics_len + 1, sizeof *resp->topics);
    for (int32_t i = 0; i < asked->topics_len; i++) {
        struct create_topics_response_topic *out = &resp->topics[resp->topics_len++];

        create_topics_response_topic_init(out);
        out->name = asked->topics[i].name;
        out->error_code = err_to_wire(err);
        out->error_message = str_of(err_text(err));
        out->configs_len = -1;
    }
}

static void refuse_delete(struct forwarded_op *op, enum err err,
                          struct delete_topics_response *resp)
{
    const struct delete_topics_request *asked = op->body;
    bool by_state = op->req->version >= 6;
    int32_t n = by_state ? asked->topics_len : asked->topic_names_len;

    resp->responses = arena_zalloc(&op->req->arena, (size_t)n + 1, sizeof *resp->responses);
    for (int32_t i = 0; i < n; i++) {
        struct delete_topics_response_topic *out = &resp->responses[resp->responses_len++];

        delete_topics_response_topic_init(out);
        out->name = by_state ? asked->topics[i].name : asked->topic_names[i];
        if (by_state)
            out->topic_id = asked->topics[i].topic_id;
        out->error_code = err_to_wire(err);
        out->error_message = str_of(err_text(err));
    }
}

static void refuse_partitions(struct forwarded_op *op, enum err err,
                              struct create_partitions_response *resp)
{
    const struct create_partitions_request *asked = op->body;

    resp->results =
        arena_zalloc(&op->req->arena, (size_t)asked->topics_len + 1, sizeof *resp->results);
    for (int32_t i = 0; i < asked->topics_len; i++) {
        struct create_partitions_response_result *out = &resp->results[resp->results_len++];

        create_partitions_response_result_init(out);
        out->name = asked->topics[i].name;
        out->error_code = err_to_wire(err);
        out->error_message = str_of(err_text(err));
    }
}

static void refuse_alter(struct forwarded_op *op, enum err err, struct alter_configs_response *resp)
{
    const struct alter_configs_request *asked = op->body;

    resp->responses =
        arena_zalloc(&op->req->arena, (size_t)asked->resources_len + 1, sizeof *resp->responses);
    for (int32_t i = 0; i < asked->resources_len; i++) {
        struct alter_configs_response_resource *out = &resp->responses[resp->responses_len++];

        alter_configs_response_resource_init(out);
        out->resource_type = asked->resources[i].resource_type;
        out->resource_name = asked->resources[i].resource_name;
        out->error_code = err_to_wire(err);
        out->error_message = str_of(err_text(err));
    }
}

static void refuse_incremental(struct forwarded_op *op, enum err err,
                               struct incremental_alter_configs_response *resp)
{
    const struct incremental_alter_configs_request *asked = op->body;

    resp->responses =
        arena_zalloc(&op->req->arena, (size_t)asked->resources_len + 1, sizeof *resp->responses);
    for (int32_t i = 0; i < asked->resources_len; i++) {
        struct incremental_alter_configs_response_resource *out =
            &resp->responses[resp->responses_len++];

        incremental_alter_configs_response_resource_init(out);
        out->resource_type = asked->resources[i].resource_type;
        out->resource_name = asked->resources[i].resource_name;
        out->error_code = err_to_wire(err);
        out->error_message = str_of(err_text(err));
    }
}

/* Every item that the controller was, or would have been, asked for gets the error. */
static void refuse(struct forwarded_op *op, enum err err)
{
    void *resp = arena_zalloc(&op->req->arena, 1, op->req->api->response_size);

    op->req->api->response.init(resp);
    switch (op->req->key) {
    case API_CREATE_TOPICS:
        refuse_create(op, err, resp);
        break;
    case API_DELETE_TOPICS:
        refuse_delete(op, err, resp);
        break;
    case API_CREATE_PARTITIONS:
        refuse_partitions(op, err, resp);
        break;
    case API_ALTER_CONFIGS:
        refuse_alter(op, err, resp);
        break;
    case API_INCREMENTAL_ALTER_CONFIGS:
        refuse_incremental(op, err, resp);
        break;
    case API_ELECT_LEADERS:
        ((struct elect_leaders_response *)resp)->error_code = err_to_wire(err);
        break;
    case API_ALTER_PARTITION_REASSIGNMENTS:
        ((struct alter_partition_reassignments_response *)resp)->error_code = err_to_wire(err);
        break;
    case API_LIST_PARTITION_REASSIGNMENTS:
        ((struct list_partition_reassignments_response *)resp)->error_code = err_to_wire(err);
        break;
    default:
        request_fail_close(op->req, "no controller answered an admin request");
        return;
    }
    alter_screen_answer(&op->screen, op->req, resp);
    request_answer(op->req, resp);
}

static void on_answer(struct forward_call *call, enum err err, const uint8_t *body, size_t len)
{
    struct forwarded_op *op = container_of(call, struct forwarded_op, call);
    const struct wire_api *api = op->req->api;

    if (err == ERR_OK) {
        void *resp = arena_zalloc(&op->req->arena, 1, api->response_size);
        struct wire_in in = api_controller_answer(op->req, body, len);

        err = api->response.decode(resp, &in, op->req->version);
        if (err == ERR_OK) {
            alter_screen_answer(&op->screen, op->req, resp);
            request_answer(op->req, resp);
            return;
        }
        err = ERR_UNKNOWN_SERVER_ERROR;
    }
    refuse(op, err);
}

static int64_t timeout_of(const struct forwarded_op *op)
{
    switch (op->req->key) {
    case API_CREATE_TOPICS:
        return ((const struct create_topics_request *)op->body)->timeout_ms;
    case API_DELETE_TOPICS:
        return ((const struct delete_topics_request *)op->body)->timeout_ms;
    case API_CREATE_PARTITIONS:
        return ((const struct create_partitions_request *)op->body)->timeout_ms;
    case API_ELECT_LEADERS:
        return ((const struct elect_leaders_request *)op->body)->timeout_ms;
    case API_ALTER_PARTITION_REASSIGNMENTS:
        return ((const struct alter_partition_reassignments_request *)op->body)->timeout_ms;
    case API_LIST_PARTITION_REASSIGNMENTS:
        return ((const struct list_partition_reassignments_request *)op->body)->timeout_ms;
    default:
        return TIMEOUT_DEFAULT_MS;
    }
}

void api_forwarded(struct request *req, void *body, void *context)
{
    const struct api *api = context;
    struct forwarded_op *op = arena_zalloc(&req->arena, 1, sizeof *op);
    struct wire_out out = { 0 };
    int64_t timeout_ms;

    op->req = req;
    op->body = body;
    if (req->key == API_ALTER_CONFIGS || req->key == API_INCREMENTAL_ALTER_CONFIGS)
        alter_screen(api, req, body, &op->screen);
    if (op->screen.nothing_left) {
        refuse(op, ERR_OK);
        return;
    }
    out.cap = req->api->request.size(body, req->version);
    out.base = arena_alloc(&req->arena, out.cap);
    req->api->request.encode(body, &out, req->version);
    timeout_ms = timeout_of(op);
    op->call = (struct forward_call){
        .reactor = req->reactor,
        .done = on_answer,
        .api_key = req->key,
        .api_version = req->version,
        .principal = str_of(req->principal),
        .client_id = req->client_id,
        .host = STR_EMPTY,
        .listener = str_of(req->listener->name),
        .body = out.base,
        .body_len = out.pos,
        .timeout_ms = (timeout_ms > 0 ? timeout_ms : 0) + TIMEOUT_GRACE_MS,
    };
    forward_send(api->forward, &op->call);
}
