#include "broker/api/api.h"
#include "broker/api/describe_groups.h"
#include "gen/wire/consumer_group_describe.h"
#include "gen/wire/consumer_group_heartbeat.h"

void api_consumer_group_heartbeat(struct request *req, void *body, void *context)
{
    struct consumer_group_heartbeat_response resp;

    (void)body;
    (void)context;
    consumer_group_heartbeat_response_init(&resp);
    resp.error_code = err_to_wire(ERR_UNSUPPORTED_VERSION);
    request_answer(req, &resp);
}

void api_consumer_group_describe(struct request *req, void *body, void *context)
{
    const struct consumer_group_describe_request *asked = body;
    struct consumer_group_describe_response resp;

    (void)context;
    consumer_group_describe_response_init(&resp);
    resp.groups_len = asked->group_ids_len;
    resp.groups = arena_zalloc(&req->arena, (size_t)asked->group_ids_len + 1, sizeof *resp.groups);
    for (int32_t i = 0; i < asked->group_ids_len; i++) {
        consumer_group_describe_response_group_init(&resp.groups[i]);
        resp.groups[i].group_id = asked->group_ids[i];
        resp.groups[i].error_code = err_to_wire(ERR_UNSUPPORTED_VERSION);
    }
    request_answer(req, &resp);
}
