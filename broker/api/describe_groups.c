#include "broker/api/describe_groups.h"

#include "broker/api/api.h"
#include "broker/group/groups.h"
#include "broker/meta/meta_answer.h"
#include "gen/wire/describe_groups.h"

/* Bits of READ, DELETE and DESCRIBE: what everybody may without an authorizer. */
#define GROUP_OPERATIONS 328

static void put_members(struct arena *arena, const struct group_described *group,
                        struct describe_groups_response_group *out)
{
    out->members_len = (int32_t)group->members_len;
    out->members = arena_zalloc(arena, group->members_len + 1, sizeof *out->members);
    for (size_t i = 0; i < group->members_len; i++) {
        const struct group_member_info *from = &group->members[i];
        struct describe_groups_response_member *to = &out->members[i];

        describe_groups_response_member_init(to);
        to->member_id = from->id;
        to->group_instance_id = from->instance;
        to->client_id = from->client_id;
        to->client_host = from->client_host;
        to->member_metadata = api_bytes(from->metadata);
        to->member_assignment = api_bytes(from->assignment);
    }
}

static void describe(struct request *req, const struct api *api, struct str group_id,
                     bool with_operations, struct describe_groups_response_group *out)
{
    struct group_described group;
    enum err err = groups_describe(api->groups, group_id, &req->arena, &group);

    describe_groups_response_group_init(out);
    out->error_code = err_to_wire(err);
    out->group_id = group_id;
    out->group_state = err == ERR_OK ? str_of(group_state_name(group.state)) : STR_EMPTY;
    out->protocol_type = group.protocol_type;
    out->protocol_data = group.protocol;
    put_members(&req->arena, &group, out);
    out->authorized_operations =
        err == ERR_OK && with_operations ? GROUP_OPERATIONS : META_NOT_ASKED;
}

void api_describe_groups(struct request *req, void *body, void *context)
{
    const struct describe_groups_request *asked = body;
    struct describe_groups_response resp;

    describe_groups_response_init(&resp);
    resp.groups_len = 0;
    resp.groups = arena_zalloc(&req->arena, (size_t)asked->groups_len + 1, sizeof *resp.groups);
    const bool *repeats = api_repeats(&req->arena, asked->groups, (size_t)asked->groups_len);
    for (int32_t i = 0; i < asked->groups_len; i++)
        if (repeats == NULL || !repeats[i])
            describe(req, context, asked->groups[i], asked->include_authorized_operations,
                     &resp.groups[resp.groups_len++]);
    request_answer(req, &resp);
}
