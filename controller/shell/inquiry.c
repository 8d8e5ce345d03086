/* A frame to a stranger is small, so long lists are cut; their length is told. */
#include "controller/shell/inquiry.h"

#include <string.h>

#define WORKS_MAX 200

struct adding {
    struct arena *arena;
    Control__Status *status;
};

static int32_t *ids_dup(struct arena *arena, struct ids ids)
{
    return arena_dup(arena, ids.at, ids.n * sizeof *ids.at);
}

static void add(void *arg, const struct core_work *work)
{
    const struct adding *adding = arg;
    Control__Status *status = adding->status;
    struct arena *arena = adding->arena;
    Control__Work *out;

    status->works++;
    if (status->n_work == WORKS_MAX)
        return;
    out = arena_alloc(arena, sizeof *out);
    control__work__init(out);
    out->has_kind = 1;
    out->kind = (Control__Work__Kind)work->kind;
    if (!str_is_null(work->topic))
        out->topic = arena_cstr(arena, work->topic);
    out->has_partition = work->partition >= 0;
    out->partition = work->partition;
    out->has_broker = work->broker >= 0;
    out->broker = work->broker;
    out->n_adding = work->adding.n;
    out->adding = ids_dup(arena, work->adding);
    out->n_removing = work->removing.n;
    out->removing = ids_dup(arena, work->removing);
    out->has_api_key = work->api_key >= 0;
    out->api_key = work->api_key;
    out->has_count = 1;
    out->count = work->count;
    out->has_age_ms = work->age_ms >= 0;
    out->age_ms = work->age_ms;
    status->work[status->n_work++] = out;
}

void inquiry_add_work(const struct core *core, int64_t now_ms, struct arena *arena,
                      Control__Status *status)
{
    struct adding adding = { .arena = arena, .status = status };

    status->has_works = 1;
    status->works = 0;
    status->n_work = 0;
    status->work = arena_alloc(arena, WORKS_MAX * sizeof(Control__Work *));
    core_each_work(core, now_ms, add, &adding);
}
