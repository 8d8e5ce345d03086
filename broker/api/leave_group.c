/*
 * Up to version 2 one member leaves, and its error is the answer's.
 */
#include "broker/api/api.h"
#include "broker/api/join_group.h"
#include "broker/group/groups.h"
#include "gen/wire/leave_group.h"

#define BATCHED_VERSION 3

static void leave_one(struct request *req, const struct api *api,
                      const struct leave_group_request *asked)
{
    struct group_leaving member = { .member = asked->member_id };
    struct leave_group_response resp;

    leave_group_response_init(&resp);
    enum err err = groups_leave(api->groups, asked->group_id, &member, 1);
    resp.error_code = err_to_wire(err != ERR_OK ? err : member.err);
    request_answer(req, &resp);
}

void api_leave_group(struct request *req, void *body, void *context)
{
    const struct leave_group_request *asked = body;
    const struct api *api = context;
    struct arena *arena = &req->arena;
    struct leave_group_response resp;

    if (req->version < BATCHED_VERSION) {
        leave_one(req, api, asked);
        return;
    }
    size_t len = asked->members_len > 0 ? (size_t)asked->members_len : 0;
    struct group_leaving *members = arena_zalloc(arena, len + 1, sizeof *members);
    for (size_t i = 0; i < len; i++) {
        members[i].member = asked->members[i].member_id;
        members[i].instance = asked->members[i].group_instance_id;
        members[i].reason = asked->members[i].reason;
    }
    leave_group_response_init(&resp);
    enum err err = groups_leave(api->groups, asked->group_id, members, len);
    resp.error_code = err_to_wire(err);
    resp.members_len = 0;
    resp.members = arena_zalloc(arena, len + 1, sizeof *resp.members);
    for (size_t i = 0; err == ERR_OK && i < len; i++) {
        struct leave_group_response_member *out = &resp.members[resp.members_len++];

        leave_group_response_member_init(out);
        out->member_id = members[i].member;
        out->group_instance_id = members[i].instance;
        out->error_code = err_to_wire(members[i].err);
    }
    request_answer(req, &resp);
}
