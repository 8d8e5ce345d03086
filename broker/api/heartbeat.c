#include "broker/api/api.h"
#include "broker/api/join_group.h"
#include "broker/group/groups.h"
#include "gen/wire/heartbeat.h"

void api_heartbeat(struct request *req, void *body, void *context)
{
    const struct heartbeat_request *asked = body;
    const struct api *api = context;
    struct heartbeat_response resp;

    heartbeat_response_init(&resp);
    resp.error_code =
        err_to_wire(groups_heartbeat(api->groups, asked->group_id, asked->generation_id,
                                     asked->member_id, asked->group_instance_id));
    request_answer(req, &resp);
}
