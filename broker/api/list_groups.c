/*
 * Both filters take names in any case; one that is empty lets everything pass. All groups are of
 * the classic type.
 */
#include <strings.h>

#include "broker/api/api.h"
#include "broker/api/describe_groups.h"
#include "broker/group/groups.h"
#include "gen/wire/list_groups.h"

#define GROUP_TYPE "classic"

static bool passes(const struct str *filter, int32_t len, const char *name)
{
    size_t name_len = strlen(name);

    for (int32_t i = 0; i < len; i++)
        if (filter[i].len == name_len && strncasecmp(filter[i].ptr, name, name_len) == 0)
            return true;
    return len <= 0;
}

void api_list_groups(struct request *req, void *body, void *context)
{
    const struct list_groups_request *asked = body;
    const struct api *api = context;
    struct group_described *groups;
    struct list_groups_response resp;
    size_t len;

    list_groups_response_init(&resp);
    resp.error_code = err_to_wire(groups_list(api->groups, &req->arena, &groups, &len));
    resp.groups_len = 0;
    resp.groups = arena_zalloc(&req->arena, len + 1, sizeof *resp.groups);
    for (size_t i = 0; i < len; i++) {
        const char *state = group_state_name(groups[i].state);

        if (!passes(asked->states_filter, asked->states_filter_len, state) ||
            !passes(asked->types_filter, asked->types_filter_len, GROUP_TYPE))
            continue;
        struct list_groups_response_group *out = &resp.groups[resp.groups_len++];
        list_groups_response_group_init(out);
        out->group_id = groups[i].id;
        out->protocol_type = groups[i].protocol_type;
        out->group_state = str_of(state);
        out->group_type = STR(GROUP_TYPE);
    }
    request_answer(req, &resp);
}
