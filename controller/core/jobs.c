/*
 * Clients' requests. A new one is looked at when no WRITE is out: what it may do goes into the
 * plan, the rest fails at once. When all its items are stored and published, it waits until every
 * live broker has applied that, so that what follows at any broker sees it: at most a second, or
 * the request's own time-out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/core_int.h"

#define SETTLE_MS 1000
#define NEW_MS    30000 /* what could not be begun until then is given up */

static const struct admin_kind *const kinds[] = {
    &admin_create_topics,       &admin_delete_topics,      &admin_create_partitions,
    &admin_elect_leaders,       &admin_alter_configs,      &admin_incremental_alter_configs,
    &admin_alter_reassignments, &admin_list_reassignments,
};

static const struct admin_kind *kind_of(int16_t api_key)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (kinds[i]->api_key == api_key)
            return kinds[i];
    }
    return NULL;
}

static void answer(struct core *core, const struct job *job, enum err err, const void *response)
{
    emit(core, CORE_DO_ANSWER_ADMIN)->answer_admin =
        (struct core_answer_admin){ .id = job->id,
                                    .stream = job->stream,
                                    .api_key = job->api_key,
                                    .api_version = job->api_version,
                                    .err = err,
                                    .response = response,
                                    .controller_epoch = core->controller_epoch,
                                    .version = job->wait_version };
}

static void job_end(struct core *core, struct job *job)
{
    TAILQ_REMOVE(&core->jobs, job, link);
    arena_fini(&job->arena);
    free(job->items);
    free(job);
}

void jobs_on_admin(struct core *core, const struct core_admin *admin)
{
    struct job *job = xcalloc(1, sizeof *job);

    arena_init(&job->arena, SIZE_MAX);
    job->id = admin->id;
    job->stream = admin->stream;
    job->api_key = admin->api_key;
    job->api_version = admin->api_version;
    job->request = admin->request;
    job->came_ms = core->now_ms;
    job->deadline_ms = core->now_ms + NEW_MS;
    TAILQ_INSERT_TAIL(&core->jobs, job, link);
    if (kind_of(admin->api_key) == NULL) {
        answer(core, job, ERR_UNSUPPORTED_VERSION, NULL);
        job_end(core, job);
    }
}

void jobs_drop_all(struct core *core)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&core->jobs)) != NULL) {
        if (core->out != NULL && !job->answered)
            answer(core, job, ERR_NOT_CONTROLLER, NULL);
        job_end(core, job);
    }
}

/* ---- items
 * --------------------------------------------------------------------------------------------- */

void job_setup(struct job *job, size_t n, int64_t timeout_ms)
{
    job->n = n;
    job->items = xcalloc(n + 1, sizeof *job->items);
    job->timeout_ms = timeout_ms;
}

void job_open_item(struct job *job, size_t item, struct plan_item *plan)
{
    job->items[item].open = true;
    job->n_open++;
    if (plan != NULL) {
        plan->job = job;
        plan->job_item = item;
    }
}

void job_fail_item(struct job *job, size_t item, enum err err, const char *format, ...)
{
    char text[JOB_WHY_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    job->items[item].err = err;
    job->items[item].why = arena_cstr(&job->arena, str_of(text));
}

void job_item_done(struct core *core, struct job *job, size_t item, enum err err, const char *why)
{
    struct job_item *it = &job->items[item];

    (void)core;
    if (!it->open)
        return;
    it->open = false;
    job->n_open--;
    if (err == ERR_OK)
        job->changed = true;
    else if (err == ERR_EXISTS)
        it->err = ERR_TOPIC_ALREADY_EXISTS;
    else
        it->err = err < ERR_OURS_BEFORE_FIRST ? err : ERR_UNKNOWN_SERVER_ERROR;
    if (why != NULL)
        it->why = arena_cstr(&job->arena, str_of(why));
    else if (err != ERR_OK)
        it->why = err_text(err);
}

struct str job_item_why(const struct job *job, size_t item, struct arena *arena)
{
    const struct job_item *it = &job->items[item];

    if (it->err == ERR_OK)
        return STR_NULL;
    return arena_str(arena, str_of(it->why != NULL ? it->why : err_text(it->err)));
}

void jobs_on_deleted(struct core *core)
{
    struct job *job;

    TAILQ_FOREACH (job, &core->jobs, link) {
        for (size_t i = 0; i < job->n; i++) {
            if (job->items[i].waits_for_deletion && job->items[i].open &&
                !topics_is_doomed(core, job->items[i].topic))
                job_item_done(core, job, i, ERR_OK, NULL);
        }
    }
}

void jobs_on_elected(struct core *core, const struct plan *plan,
                     const struct core_op_result *results)
{
    struct job *job;

    (void)plan;
    TAILQ_FOREACH (job, &core->jobs, link) {
        for (size_t i = 0; i < job->n; i++) {
            const struct plan_part *part = job->items[i].part;

            if (part == NULL)
                continue;
            job->items[i].part = NULL;
            job_item_done(core, job, i,
                          part->item != NULL ? part->item->err : results[part->op].err, NULL);
        }
    }
}

/* ---- from round to round
 * --------------------------------------------------------------------------------- */

void jobs_plan(struct core *core)
{
    struct job *job;

    TAILQ_FOREACH (job, &core->jobs, link) {
        if (job->phase != JOB_NEW)
            continue;
        job->again = false;
        kind_of(job->api_key)->plan(core, job);
        if (job->again)
            continue;
        job->phase = JOB_WRITING;
        job->deadline_ms = job->timeout_ms > 0 ? job->came_ms + job->timeout_ms : NEVER_MS;
        /* a client that does not wait is told so, and its wish is carried out all the same */
        if (job->timeout_ms <= 0 && job->n_open > 0)
            job->deadline_ms = core->now_ms;
    }
}

static void give_answer(struct core *core, struct job *job)
{
    const struct admin_kind *kind = kind_of(job->api_key);

    answer(core, job, ERR_OK, kind->answer(core, job, &core->out->arena));
    job->answered = true;
}

static void too_late(struct core *core, struct job *job, bool all)
{
    (void)core;
    for (size_t i = 0; i < job->n; i++) {
        if (job->items[i].err == ERR_OK && (all || job->items[i].open)) {
            job->items[i].err = ERR_REQUEST_TIMED_OUT;
            job->items[i].why = "the change goes on, but was not seen everywhere in time";
        }
    }
}

static void job_settle(struct core *core, struct job *job)
{
    bool late = core->now_ms >= job->deadline_ms;

    if (job->phase == JOB_WRITING && job->n_open == 0) {
        job->phase = JOB_SETTLING;
        job->wait_version = core->version;
        if (job->changed && core->now_ms + SETTLE_MS < job->deadline_ms)
            job->deadline_ms = core->now_ms + SETTLE_MS;
    }
    if (job->phase == JOB_WRITING) {
        if (late && !job->answered) {
            too_late(core, job, true);
            give_answer(core, job);
            job->deadline_ms = NEVER_MS;
        }
        return;
    }
    if (job->answered) {
        job_end(core, job);
        return;
    }
    if (job->changed && !late && !brokers_all_acked(core, job->wait_version))
        return;
    if (job->changed && late && core->now_ms >= job->came_ms + job->timeout_ms)
        too_late(core, job, true);
    give_answer(core, job);
    job_end(core, job);
}

void jobs_settle(struct core *core)
{
    struct job *job, *next;

    for (job = TAILQ_FIRST(&core->jobs); job != NULL; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->phase != JOB_NEW) {
            job_settle(core, job);
        } else if (core->now_ms >= job->deadline_ms) {
            answer(core, job, ERR_REQUEST_TIMED_OUT, NULL); /* and nothing of it is done */
            job_end(core, job);
        }
    }
}

int64_t jobs_next_ms(const struct core *core)
{
    const struct job *job;
    int64_t at = NEVER_MS;

    TAILQ_FOREACH (job, &core->jobs, link) {
        if (job->deadline_ms < at)
            at = job->deadline_ms;
    }
    return at;
}
