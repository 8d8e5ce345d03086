#include "broker/api/join_group.h"

#include "broker/api/api.h"
#include "broker/group/groups.h"
#include "common/base/mem.h"
#include "gen/wire/join_group.h"

#define NEED_KNOWN_ID_VERSION 4 /* KIP-394 */
#define NULL_NAMES_VERSION    7
#define SKIP_VERSION          9 /* KIP-814 */

struct join_op {
    struct group_join join;
    struct request *req;
};

static void on_joined(struct group_call *call)
{
    struct group_join *join = container_of(call, struct group_join, call);
    struct request *req = container_of(join, struct join_op, join)->req;
    struct join_group_response resp;

    join_group_response_init(&resp);
    resp.error_code = err_to_wire(join->err);
    resp.generation_id = join->generation;
    resp.protocol_type = join->protocol_type;
    resp.protocol_name = str_is_null(join->protocol) && req->version < NULL_NAMES_VERSION
                             ? STR_EMPTY
                             : join->protocol;
    resp.leader = join->leader;
    resp.skip_assignment = join->skip;
    resp.member_id = join->member;
    resp.members_len = (int32_t)join->members_len;
    resp.members = arena_alloc(&req->arena, (join->members_len + 1) * sizeof *resp.members);
    for (size_t i = 0; i < join->members_len; i++) {
        join_group_response_member_init(&resp.members[i]);
        resp.members[i].member_id = join->members[i].id;
        resp.members[i].group_instance_id = join->members[i].instance;
        resp.members[i].metadata = api_bytes(join->members[i].metadata);
    }
    request_answer(req, &resp);
}

static const struct group_protocol *read_protocols(struct arena *arena,
                                                   const struct join_group_request *asked)
{
    struct group_protocol *protocols =
        arena_alloc(arena, ((size_t)asked->protocols_len + 1) * sizeof *protocols);

    for (int32_t i = 0; i < asked->protocols_len; i++)
        protocols[i] =
            (struct group_protocol){ .name = asked->protocols[i].name,
                                     .metadata = api_text(asked->protocols[i].metadata) };
    return protocols;
}

void api_join_group(struct request *req, void *body, void *context)
{
    const struct join_group_request *asked = body;
    const struct api *api = context;
    struct join_op *op = arena_zalloc(&req->arena, 1, sizeof *op);
    bool is_static = !str_is_null(asked->group_instance_id);

    op->req = req;
    req->state = op;
    op->join.call =
        (struct group_call){ .reactor = req->reactor, .arena = &req->arena, .done = on_joined };
    op->join.group_id = asked->group_id;
    op->join.ev.join.member = asked->member_id;
    op->join.ev.join.instance = asked->group_instance_id;
    op->join.ev.join.client_id = req->client_id;
    op->join.ev.join.client_host = api_client_host(req);
    op->join.ev.join.protocol_type = asked->protocol_type;
    op->join.ev.join.reason = asked->reason;
    op->join.ev.join.protocols = read_protocols(&req->arena, asked);
    op->join.ev.join.protocols_len = asked->protocols_len;
    op->join.ev.join.session_ms = asked->session_timeout_ms;
    op->join.ev.join.rebalance_ms =
        req->version == 0 ? asked->session_timeout_ms : asked->rebalance_timeout_ms;
    op->join.ev.join.need_known_id = req->version >= NEED_KNOWN_ID_VERSION && !is_static;
    op->join.ev.join.can_skip = req->version >= SKIP_VERSION;
    groups_join(api->groups, &op->join);
}
