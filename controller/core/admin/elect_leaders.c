/*
 * ElectLeaders: the preferred replica of partitions, or, on demand and in danger of loss, any
 * replica that lives of partitions that have no leader.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/choose.h"
#include "gen/wire/apis.h"
#include "gen/wire/elect_leaders.h"

enum { ELECT_PREFERRED, ELECT_UNCLEAN };

/* What the client named, or every partition. */
struct wish {
    struct str topic;
    int32_t partition;
};

static struct wish *list_wishes(struct core *core, struct job *job, size_t *n)
{
    const struct elect_leaders_request *req = job->request;
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    struct wish *wishes;
    size_t cap = 0;

    *n = 0;
    if (req->topic_partitions_len < 0)
        cap = image_n_parts(core->image);
    for (int32_t i = 0; i < req->topic_partitions_len; i++)
        cap += (size_t)req->topic_partitions[i].partitions_len;
    wishes = arena_zalloc(&job->arena, cap, sizeof *wishes);
    for (int32_t i = 0; i < req->topic_partitions_len; i++) {
        const struct elect_leaders_request_topic *t = &req->topic_partitions[i];

        for (int32_t j = 0; j < t->partitions_len; j++)
            wishes[(*n)++] = (struct wish){ t->topic, t->partitions[j] };
    }
    while (req->topic_partitions_len < 0 && (topic = image_next_topic(core->image, &at)) != NULL) {
        for (int32_t j = 0; j < topic->n_parts; j++) {
            if (image_topic_part(topic, j) != NULL)
                wishes[(*n)++] = (struct wish){ arena_str(&job->arena, topic->name), j };
        }
    }
    return wishes;
}

static void plan_one(struct core *core, struct job *job, size_t at, const struct wish *wish,
                     int8_t type)
{
    const struct image_topic *topic = image_topic_named(core->image, wish->topic);
    const struct image_part *part =
        topic != NULL ? view_part(core, topic->id, wish->partition) : NULL;
    struct arena *arena = &core->making->arena;
    struct leader_isr next;

    if (topic == NULL || part == NULL || part->leader_epoch < 0) {
        job_fail_item(job, at, ERR_UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
        return;
    }
    if (topics_is_doomed(core, wish->topic)) {
        job_fail_item(job, at, ERR_INVALID_TOPIC_EXCEPTION, "The topic is being deleted");
        return;
    }
    if (type == ELECT_PREFERRED) {
        if (part->replicas.n > 0 && part->leader == part->replicas.at[0]) {
            job_fail_item(job, at, ERR_ELECTION_NOT_NEEDED, "the preferred replica leads already");
            return;
        }
        if (plan_find(core->making, topic->id, wish->partition) != NULL ||
            !part_prefer(core, part, arena, &next)) {
            job_fail_item(job, at, ERR_PREFERRED_LEADER_NOT_AVAILABLE,
                          "the preferred replica is not live or not in sync");
            return;
        }
    } else {
        const struct broker *leader =
            part->leader == LEADER_NONE ? NULL : broker_get(core, part->leader);

        if (leader != NULL && leader->state != NODE_DEAD) {
            job_fail_item(job, at, ERR_ELECTION_NOT_NEEDED, "the partition has a leader");
            return;
        }
        if (plan_find(core->making, topic->id, wish->partition) != NULL ||
            !part_decide_uncleanly(core, topic, part, arena, &next)) {
            job_fail_item(job, at, ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE, "no replica lives");
            return;
        }
    }
    job_open_item(job, at, NULL);
    core->making->has_elections = true;
    job->items[at].part = plan_state(core, topic, part, &next);
}

static void plan(struct core *core, struct job *job)
{
    const struct elect_leaders_request *req = job->request;
    int8_t type = job->api_version == 0 ? ELECT_PREFERRED : req->election_type;
    struct wish *wishes;
    size_t n;

    job->again = core->making->has_settings;
    if (job->again)
        return;
    wishes = list_wishes(core, job, &n);
    job_setup(job, n, req->timeout_ms);
    for (size_t i = 0; i < n; i++) {
        job->items[i].topic = wishes[i].topic;
        job->items[i].n_partitions = wishes[i].partition;
        /* what costs records is done for no word that is not understood */
        if (type == ELECT_PREFERRED || type == ELECT_UNCLEAN)
            plan_one(core, job, i, &wishes[i], type);
        else
            job_fail_item(job, i, ERR_INVALID_REQUEST, "Unknown election type %d", type);
    }
}

static const void *respond(struct core *core, struct job *job, struct arena *arena)
{
    const struct elect_leaders_request *req = job->request;
    struct elect_leaders_response *resp = arena_alloc(arena, sizeof *resp);
    struct elect_leaders_response_topic *to = NULL;
    bool all = req->topic_partitions_len < 0;

    (void)core;
    elect_leaders_response_init(resp);
    resp->replica_election_results =
        arena_zalloc(arena, job->n, sizeof *resp->replica_election_results);
    for (size_t i = 0; i < job->n; i++) {
        struct elect_leaders_response_partition *part;

        assert(!str_is_null(job->items[i].topic));
        /* who asks for all is not told where nothing was needed */
        if (all && job->items[i].err == ERR_ELECTION_NOT_NEEDED)
            continue;
        if (to == NULL || !str_eq(to->topic, job->items[i].topic)) {
            to = &resp->replica_election_results[resp->replica_election_results_len++];
            elect_leaders_response_topic_init(to);
            to->topic = arena_str(arena, job->items[i].topic);
            to->partition_result = arena_zalloc(arena, job->n - i, sizeof *to->partition_result);
        }
        part = &to->partition_result[to->partition_result_len++];
        elect_leaders_response_partition_init(part);
        part->partition_id = job->items[i].n_partitions;
        part->error_code = err_to_wire(job->items[i].err);
        part->error_message = job_item_why(job, i, arena);
    }
    return resp;
}

const struct admin_kind admin_elect_leaders = { API_ELECT_LEADERS, plan, respond };
