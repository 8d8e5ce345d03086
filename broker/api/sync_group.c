#include "broker/api/api.h"
#include "broker/api/join_group.h"
#include "broker/group/groups.h"
#include "common/base/mem.h"
#include "gen/wire/sync_group.h"

#define NAMES_VERSION 5 /* from here on the client says what it takes the group's protocol for */

struct sync_op {
    struct group_sync sync;
    struct request *req;
};

static void on_synced(struct group_call *call)
{
    struct group_sync *sync = container_of(call, struct group_sync, call);
    struct request *req = container_of(sync, struct sync_op, sync)->req;
    struct sync_group_response resp;

    sync_group_response_init(&resp);
    resp.error_code = err_to_wire(sync->err);
    resp.protocol_type = sync->protocol_type;
    resp.protocol_name = sync->protocol;
    resp.assignment = api_bytes(sync->assignment);
    request_answer(req, &resp);
}

static const struct group_assigned *read_assigned(struct arena *arena,
                                                  const struct sync_group_request *asked)
{
    struct group_assigned *assigned =
        arena_alloc(arena, ((size_t)asked->assignments_len + 1) * sizeof *assigned);

    for (int32_t i = 0; i < asked->assignments_len; i++)
        assigned[i] =
            (struct group_assigned){ .member = asked->assignments[i].member_id,
                                     .bytes = api_text(asked->assignments[i].assignment) };
    return assigned;
}

void api_sync_group(struct request *req, void *body, void *context)
{
    const struct sync_group_request *asked = body;
    const struct api *api = context;
    struct sync_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    req->state = op;
    op->sync.call =
        (struct group_call){ .reactor = req->reactor, .arena = &req->arena, .done = on_synced };
    if (req->version >= NAMES_VERSION &&
        (str_is_null(asked->protocol_type) || str_is_null(asked->protocol_name))) {
        op->sync.err = ERR_INCONSISTENT_GROUP_PROTOCOL;
        op->sync.assignment = STR_EMPTY;
        on_synced(&op->sync.call);
        return;
    }
    op->sync.group_id = asked->group_id;
    op->sync.ev.sync.member = asked->member_id;
    op->sync.ev.sync.instance = asked->group_instance_id;
    op->sync.ev.sync.generation = asked->generation_id;
    op->sync.ev.sync.protocol_type = asked->protocol_type;
    op->sync.ev.sync.protocol = asked->protocol_name;
    op->sync.ev.sync.assigned = read_assigned(&req->arena, asked);
    op->sync.ev.sync.assigned_len = asked->assignments_len;
    groups_sync(api->groups, &op->sync);
}
