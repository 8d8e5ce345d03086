/*
 * DeleteTopics: marks, and answers when the topic's znodes are gone, so that its name is free
 * again.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "gen/wire/apis.h"
#include "gen/wire/delete_topics.h"

static void plan_topic(struct core *core, struct job *job, size_t at, struct str name,
                       struct uuid id)
{
    struct job_item *item = &job->items[at];
    const struct image_topic *topic;
    bool by_id = !uuid_is_zero(id);

    item->topic = str_is_null(name) ? STR_NULL : arena_str(&job->arena, name);
    item->topic_id = id;
    if (by_id != str_is_null(name)) {
        job_fail_item(job, at, ERR_INVALID_REQUEST, "give either a topic's name or its id");
        return;
    }
    if (!core->settings.delete_topic_enable) {
        job_fail_item(job, at,
                      job->api_version < 3 ? ERR_INVALID_REQUEST : ERR_TOPIC_DELETION_DISABLED,
                      "delete.topic.enable is false");
        return;
    }
    topic = by_id ? image_topic(core->image, id) : image_topic_named(core->image, name);
    if (topic == NULL && (by_id || !topics_is_doomed(core, name))) {
        job_fail_item(job, at, by_id ? ERR_UNKNOWN_TOPIC_ID : ERR_UNKNOWN_TOPIC_OR_PARTITION,
                      "there is no such topic");
        return;
    }
    if (topic != NULL) {
        item->topic = arena_str(&job->arena, topic->name);
        item->topic_id = topic->id;
        topics_doom(core, topic);
    }
    item->waits_for_deletion = true;
    job_open_item(job, at, NULL);
}

static void plan(struct core *core, struct job *job)
{
    const struct delete_topics_request *req = job->request;

    if (job->api_version >= 6) {
        job_setup(job, (size_t)req->topics_len, req->timeout_ms);
        for (int32_t i = 0; i < req->topics_len; i++)
            plan_topic(core, job, (size_t)i, req->topics[i].name, req->topics[i].topic_id);
    } else {
        job_setup(job, (size_t)req->topic_names_len, req->timeout_ms);
        for (int32_t i = 0; i < req->topic_names_len; i++)
            plan_topic(core, job, (size_t)i, req->topic_names[i], UUID_ZERO);
    }
}

static const void *respond(struct core *core, struct job *job, struct arena *arena)
{
    struct delete_topics_response *resp = arena_alloc(arena, sizeof *resp);

    (void)core;
    delete_topics_response_init(resp);
    resp->responses_len = (int32_t)job->n;
    resp->responses = arena_zalloc(arena, job->n, sizeof *resp->responses);
    for (size_t i = 0; i < job->n; i++) {
        struct delete_topics_response_topic *to = &resp->responses[i];

        delete_topics_response_topic_init(to);
        to->name =
            str_is_null(job->items[i].topic) ? STR_NULL : arena_str(arena, job->items[i].topic);
        to->topic_id = job->items[i].topic_id;
        to->error_code = err_to_wire(job->items[i].err);
        to->error_message = job_item_why(job, i, arena);
    }
    return resp;
}

const struct admin_kind admin_delete_topics = { API_DELETE_TOPICS, plan, respond };
