#include "broker/api/api.h"
#include "broker/api/describe_groups.h"
#include "broker/group/groups.h"
#include "gen/wire/delete_groups.h"

static bool is_repeated(const struct delete_groups_request *asked, int32_t at)
{
    for (int32_t i = 0; i < at; i++)
        if (str_eq(asked->groups_names[i], asked->groups_names[at]))
            return true;
    return false;
}

void api_delete_groups(struct request *req, void *body, void *context)
{
    const struct delete_groups_request *asked = body;
    const struct api *api = context;
    struct delete_groups_response resp;

    delete_groups_response_init(&resp);
    resp.results_len = 0;
    resp.results =
        arena_zalloc(&req->arena, (size_t)asked->groups_names_len + 1, sizeof *resp.results);
    for (int32_t i = 0; i < asked->groups_names_len; i++) {
        if (is_repeated(asked, i))
            continue; /* Kafka takes them for a set */
        struct delete_groups_response_result *out = &resp.results[resp.results_len++];
        delete_groups_response_result_init(out);
        out->group_id = asked->groups_names[i];
        out->error_code = err_to_wire(groups_delete(api->groups, asked->groups_names[i]));
    }
    request_answer(req, &resp);
}
