/*
 * Two messages for one thing: each resource is brought into one form, judged, and kept or taken out
 * where it stands.
 */
#include "broker/api/alter_screen.h"

#include "broker/api/thread_counts.h"
#include "broker/tables/settings.h"
#include "common/base/mem.h"
#include "gen/wire/alter_configs.h"
#include "gen/wire/apis.h"
#include "gen/wire/incremental_alter_configs.h"

enum { OF_BROKER = 4 };     /* resource type */
enum { OP_SET, OP_DELETE }; /* of IncrementalAlterConfigs */

struct screening {
    const struct api *api;
    struct request *req;
    struct image *image;
    struct alter_screen *out;
};

/* Whether it is refused; then that is noted. */
static bool judge(struct screening *screening, int8_t type, struct str name,
                  struct thread_change *change)
{
    struct arena *arena = &screening->req->arena;
    int64_t id;

    change->of_all = name.len == 0;
    if (type != OF_BROKER ||
        (!change->of_all && (!str_to_i64(name, &id) || id != screening->api->broker_id)))
        return false;
    struct str why =
        thread_counts_refusal(screening->api->settings, screening->image, change, arena);

    if (str_is_null(why))
        return false;
    why =
        arena_printf(arena,
                     "Invalid config value for resource ConfigResource(type=BROKER, name='%.*s'): "
                     "%.*s",
                     STR_ARG(name), STR_ARG(why));
    screening->out->refused[screening->out->n++] =
        (struct alter_refusal){ .resource_type = type, .resource_name = name, .why = why };
    return true;
}

static void screen_whole(struct screening *screening, struct alter_configs_request *body)
{
    struct arena *arena = &screening->req->arena;
    int32_t kept = 0;

    for (int32_t i = 0; i < body->resources_len; i++) {
        struct alter_configs_request_resource *r = &body->resources[i];
        struct thread_edit *edits = arena_zalloc(arena, (size_t)r->configs_len + 1, sizeof *edits);
        struct thread_change change = { .replaces = true,
                                        .n = (size_t)r->configs_len,
                                        .edits = edits };

        for (int32_t j = 0; j < r->configs_len; j++)
            edits[j] = (struct thread_edit){ r->configs[j].name, r->configs[j].value };
        if (!judge(screening, r->resource_type, r->resource_name, &change))
            body->resources[kept++] = *r;
    }
    body->resources_len = kept;
}

static void screen_edits(struct screening *screening,
                         struct incremental_alter_configs_request *body)
{
    struct arena *arena = &screening->req->arena;
    int32_t kept = 0;

    for (int32_t i = 0; i < body->resources_len; i++) {
        struct incremental_alter_configs_request_resource *r = &body->resources[i];
        struct thread_edit *edits = arena_zalloc(arena, (size_t)r->configs_len + 1, sizeof *edits);
        struct thread_change change = { .edits = edits };

        /* Lists are none of this. */
        for (int32_t j = 0; j < r->configs_len; j++)
            if (r->configs[j].config_operation == OP_SET ||
                r->configs[j].config_operation == OP_DELETE)
                edits[change.n++] = (struct thread_edit){ r->configs[j].name,
                                                          r->configs[j].config_operation == OP_SET
                                                              ? r->configs[j].value
                                                              : STR_NULL };
        if (!judge(screening, r->resource_type, r->resource_name, &change))
            body->resources[kept++] = *r;
    }
    body->resources_len = kept;
}

void alter_screen(const struct api *api, struct request *req, void *body, struct alter_screen *out)
{
    bool is_whole = req->key == API_ALTER_CONFIGS;
    int32_t *len = is_whole ? &((struct alter_configs_request *)body)->resources_len
                            : &((struct incremental_alter_configs_request *)body)->resources_len;
    struct screening screening = { .api = api, .req = req, .out = out };

    *out = (struct alter_screen){ .refused = arena_zalloc(&req->arena, (size_t)*len + 1,
                                                          sizeof *out->refused) };
    screening.image = meta_get_ref(api->meta);
    if (is_whole)
        screen_whole(&screening, body);
    else
        screen_edits(&screening, body);
    image_unref(&screening.image);
    out->nothing_left = out->n > 0 && *len == 0;
}

static void answer_whole(const struct alter_screen *screen, struct arena *arena,
                         struct alter_configs_response *response)
{
    struct alter_configs_response_resource *all =
        arena_zalloc(arena, (size_t)response->responses_len + screen->n, sizeof *all);

    for (int32_t i = 0; i < response->responses_len; i++)
        all[i] = response->responses[i];
    response->responses = all;
    for (size_t i = 0; i < screen->n; i++) {
        struct alter_configs_response_resource *one = &all[response->responses_len++];

        alter_configs_response_resource_init(one);
        one->resource_type = screen->refused[i].resource_type;
        one->resource_name = screen->refused[i].resource_name;
        one->error_code = err_to_wire(ERR_INVALID_REQUEST);
        one->error_message = screen->refused[i].why;
    }
}

static void answer_edits(const struct alter_screen *screen, struct arena *arena,
                         struct incremental_alter_configs_response *response)
{
    struct incremental_alter_configs_response_resource *all =
        arena_zalloc(arena, (size_t)response->responses_len + screen->n, sizeof *all);

    for (int32_t i = 0; i < response->responses_len; i++)
        all[i] = response->responses[i];
    response->responses = all;
    for (size_t i = 0; i < screen->n; i++) {
        struct incremental_alter_configs_response_resource *one = &all[response->responses_len++];

        incremental_alter_configs_response_resource_init(one);
        one->resource_type = screen->refused[i].resource_type;
        one->resource_name = screen->refused[i].resource_name;
        one->error_code = err_to_wire(ERR_INVALID_REQUEST);
        one->error_message = screen->refused[i].why;
    }
}

void alter_screen_answer(const struct alter_screen *screen, struct request *req, void *response)
{
    if (screen->n == 0)
        return;
    if (req->key == API_ALTER_CONFIGS)
        answer_whole(screen, &req->arena, response);
    else
        answer_edits(screen, &req->arena, response);
}
