/*
 * AlterPartitionReassignments begins, replaces and cancels moves of partitions to other replicas;
 * ListPartitionReassignments shows those under way. Checks and answers are Kafka's, but that a
 * move which would drop the only replicas with all that is committed is refused.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "controller/core/admin/admin.h"
#include "controller/core/admin/lists.h"
#include "gen/wire/alter_partition_reassignments.h"
#include "gen/wire/apis.h"
#include "gen/wire/list_partition_reassignments.h"

/* ---- alter --------------------------------------------------------------------------------- */

struct asked {
    const struct image_topic *topic; /* NULL: there is none */
    const struct image_part *part;   /* the same */
    struct str name;
    int32_t partition;
    bool cancels;
    struct ids target;
};

/* In the plan's arena: a request that waits is listed anew in each round. */
static size_t list_asked(struct core *core, const struct job *job, struct asked **out)
{
    const struct alter_partition_reassignments_request *req = job->request;
    struct asked *asked;
    size_t n = 0;

    for (int32_t i = 0; i < req->topics_len; i++)
        n += (size_t)req->topics[i].partitions_len;
    *out = asked = arena_zalloc(&core->making->arena, n + 1, sizeof *asked);
    for (int32_t i = 0; i < req->topics_len; i++) {
        const struct alter_partition_reassignments_request_topic *t = &req->topics[i];
        const struct image_topic *topic = image_topic_named(core->image, t->name);

        for (int32_t j = 0; j < t->partitions_len; j++) {
            const struct alter_partition_reassignments_request_partition *p = &t->partitions[j];

            *asked++ = (struct asked){
                .topic = topic,
                .part = topic != NULL ? image_topic_part(topic, p->partition_index) : NULL,
                .name = t->name,
                .partition = p->partition_index,
                .cancels = p->replicas_len < 0,
                .target = { p->replicas, p->replicas_len > 0 ? (uint32_t)p->replicas_len : 0 },
            };
        }
    }
    return n;
}

/* More replicas than could ever be found: nothing else is asked of such a list. */
static bool is_too_long(const struct core *core, const struct asked *asked)
{
    size_t has = asked->part != NULL ? asked->part->replicas.n : 0;

    return asked->target.n > core->n_brokers + has;
}

/* what: in front of the target's replicas. */
static bool refuse(struct job *job, size_t at, const struct asked *asked, const char *what)
{
    struct brief replicas = { .len = 0 };

    brief_add_ids(&replicas, asked->target);
    job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT, "%s%.*s", what,
                  STR_ARG(brief_text(&replicas)));
    return false;
}

static bool target_is_good(struct core *core, struct job *job, size_t at, const struct asked *asked)
{
    struct ids has =
        asked->part != NULL ? reassign_origin(asked->part, &core->making->arena) : IDS_NONE;

    if (asked->target.n == 0) {
        job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "Empty replica list specified in partition reassignment.");
        return false;
    }
    if (is_too_long(core, asked))
        return refuse(job, at, asked, "Replica list is longer than there are brokers: ");
    if (!ids_unique(asked->target))
        return refuse(job, at, asked,
                      "Duplicate replica ids in partition reassignment replica list: ");
    for (uint32_t i = 0; i < asked->target.n; i++) {
        if (asked->target.at[i] < 0)
            return refuse(job, at, asked, "Invalid broker id in replica list: ");
    }
    for (uint32_t i = 0; i < asked->target.n; i++) {
        if (!ids_has(has, asked->target.at[i]) && !broker_is_live(core, asked->target.at[i]))
            return refuse(job, at, asked,
                          "Replica assignment has brokers that are not alive. Replica list: ");
    }
    return true;
}

/* True when the move is to be planned; else the item has failed. */
static bool aim(struct core *core, struct job *job, size_t at, struct asked *asked,
                struct move *move)
{
    struct arena *arena = &core->making->arena;

    if (!asked->cancels && !target_is_good(core, job, at, asked))
        return false;
    if (asked->cancels &&
        (asked->part == NULL || (asked->part->adding.n == 0 && asked->part->removing.n == 0))) {
        job_fail_item(job, at, ERR_NO_REASSIGNMENT_IN_PROGRESS, "%s",
                      err_text(ERR_NO_REASSIGNMENT_IN_PROGRESS));
        return false;
    }
    if (asked->part == NULL || topics_is_doomed(core, asked->name)) {
        job_fail_item(job, at, ERR_UNKNOWN_TOPIC_OR_PARTITION, "The partition does not exist.");
        return false;
    }
    if (asked->cancels)
        asked->target = reassign_origin(asked->part, arena);
    if (reassign_aim(core, asked->topic, asked->part, asked->target, arena, move) != ERR_OK) {
        job_fail_item(job, at, ERR_INVALID_REPLICA_ASSIGNMENT,
                      "None of the replicas that would stay can lead with all that is committed.");
        return false;
    }
    move->tag = at;
    return true;
}

/* Nobody who stays has shown yet that it lives. What is not in order is found out later. */
static bool waits_for_word(struct core *core, struct job *job, const struct asked *asked, size_t n)
{
    struct arena *arena = &core->making->arena;
    bool waits = false;

    for (size_t i = 0; i < n && !waits; i++) {
        struct ids target = asked[i].target;
        struct move move;

        if (asked[i].part == NULL || topics_is_doomed(core, asked[i].name))
            continue;
        if (asked[i].cancels)
            target = reassign_origin(asked[i].part, arena);
        if (target.n > 0 && !is_too_long(core, &asked[i]) && ids_unique(target) &&
            reassign_aim(core, asked[i].topic, asked[i].part, target, arena, &move) == ERR_OK)
            waits = !reassign_has_word(core, &move, &job->word);
    }
    return waits;
}

/* It has asked for a word, and nobody at all has given one since. */
static bool still_silent(struct core *core, const struct job *job)
{
    if (job->word == 0 || brokers_any_acked(core, job->word))
        return false;
    core->waits_word = true;
    if (job->word > core->word_version)
        core->word_version = job->word;
    return true;
}

static size_t drop_twins(struct job *job, struct move *moves, size_t n)
{
    size_t left = 0;

    reassign_sort(moves, n);
    for (size_t i = 0; i < n; i++) {
        if (left > 0 && moves[left - 1].part == moves[i].part)
            job_fail_item(job, moves[i].tag, ERR_INVALID_REQUEST,
                          "The partition is in the request twice.");
        else
            moves[left++] = moves[i];
    }
    return left;
}

static void plan_alter(struct core *core, struct job *job)
{
    const struct alter_partition_reassignments_request *req = job->request;
    struct asked *asked;
    size_t n, n_moves = 0;
    struct move *moves;

    job->again = core->making->has_settings;
    if (job->again)
        job->word = 0; /* it would be old by the time of the next plan */
    else
        job->again = still_silent(core, job);
    if (job->again)
        return;
    n = list_asked(core, job, &asked);
    for (size_t i = 0; i < n && !job->again; i++)
        job->again = asked[i].topic != NULL &&
                     (plan_sets_topic(core, asked[i].topic->id) ||
                      plan_find(core->making, asked[i].topic->id, asked[i].partition) != NULL);
    if (job->again)
        job->word = 0;
    job->again = job->again || waits_for_word(core, job, asked, n);
    if (job->again)
        return;
    job_setup(job, n, req->timeout_ms);
    moves = xcalloc(n + 1, sizeof *moves);
    for (size_t i = 0; i < n; i++)
        n_moves += aim(core, job, i, &asked[i], &moves[n_moves]);
    n_moves = drop_twins(job, moves, n_moves);
    reassign_plan_all(core, moves, n_moves);
    for (size_t i = 0; i < n_moves; i++) {
        job_open_item(job, moves[i].tag, NULL);
        job->items[moves[i].tag].part = moves[i].planned;
        wishes_drop_move(core, moves[i].topic->name, moves[i].part->index);
    }
    core->making->has_elections |= n_moves > 0;
    free(moves);
}

static const void *respond_alter(struct core *core, struct job *job, struct arena *arena)
{
    const struct alter_partition_reassignments_request *req = job->request;
    struct alter_partition_reassignments_response *resp = arena_alloc(arena, sizeof *resp);
    size_t at = 0;

    (void)core;
    alter_partition_reassignments_response_init(resp);
    resp->error_message = STR_NULL;
    resp->responses_len = req->topics_len;
    resp->responses = arena_zalloc(arena, (size_t)req->topics_len + 1, sizeof *resp->responses);
    for (int32_t i = 0; i < req->topics_len; i++) {
        struct alter_partition_reassignments_response_topic *to = &resp->responses[i];
        int32_t n = req->topics[i].partitions_len;

        alter_partition_reassignments_response_topic_init(to);
        to->name = arena_str(arena, req->topics[i].name);
        to->partitions_len = n;
        to->partitions = arena_zalloc(arena, (size_t)n + 1, sizeof *to->partitions);
        for (int32_t j = 0; j < n; j++, at++) {
            alter_partition_reassignments_response_partition_init(&to->partitions[j]);
            to->partitions[j].partition_index = req->topics[i].partitions[j].partition_index;
            to->partitions[j].error_code = err_to_wire(job->items[at].err);
            to->partitions[j].error_message = job_item_why(job, at, arena);
        }
    }
    return resp;
}

/* ---- list ---------------------------------------------------------------------------------- */

static void plan_list(struct core *core, struct job *job)
{
    const struct list_partition_reassignments_request *req = job->request;

    (void)core;
    job_setup(job, 0, req->timeout_ms > 0 ? req->timeout_ms : 1);
}

static int32_t *dup_ids(struct arena *arena, struct ids ids, int32_t *len)
{
    *len = (int32_t)ids.n;
    return arena_dup(arena, ids.at, ids.n * sizeof *ids.at);
}

static void show_part(const struct image_topic *topic, int32_t index, struct arena *arena,
                      struct list_partition_reassignments_response_topic *to)
{
    const struct image_part *part = image_topic_part(topic, index);
    struct list_partition_reassignments_response_partition *p;

    if (part == NULL || (part->adding.n == 0 && part->removing.n == 0))
        return;
    p = &to->partitions[to->partitions_len++];
    list_partition_reassignments_response_partition_init(p);
    p->partition_index = index;
    p->replicas = dup_ids(arena, part->replicas, &p->replicas_len);
    p->adding_replicas = dup_ids(arena, part->adding, &p->adding_replicas_len);
    p->removing_replicas = dup_ids(arena, part->removing, &p->removing_replicas_len);
}

/* Of the partitions named; indexes NULL: of all. */
static void show_topic(const struct image_topic *topic, const int32_t *indexes, int32_t n,
                       struct arena *arena, struct list_partition_reassignments_response *resp)
{
    struct list_partition_reassignments_response_topic *to = &resp->topics[resp->topics_len];

    if (topic == NULL)
        return;
    list_partition_reassignments_response_topic_init(to);
    to->name = arena_str(arena, topic->name);
    to->partitions = arena_zalloc(arena, (size_t)n + 1, sizeof *to->partitions);
    for (int32_t i = 0; i < n; i++)
        show_part(topic, indexes != NULL ? indexes[i] : i, arena, to);
    resp->topics_len += to->partitions_len > 0;
}

static bool any_moves(const struct image_topic *topic)
{
    for (int32_t i = 0; i < topic->n_parts; i++) {
        const struct image_part *part = image_topic_part(topic, i);

        if (part != NULL && (part->adding.n > 0 || part->removing.n > 0))
            return true;
    }
    return false;
}

static const void *respond_list(struct core *core, struct job *job, struct arena *arena)
{
    const struct list_partition_reassignments_request *req = job->request;
    struct list_partition_reassignments_response *resp = arena_alloc(arena, sizeof *resp);
    struct image_cursor at = { 0 };
    const struct image_topic *topic;
    size_t n_topics = req->topics_len >= 0 ? (size_t)req->topics_len : image_n_topics(core->image);

    list_partition_reassignments_response_init(resp);
    resp->error_message = STR_NULL;
    resp->topics = arena_zalloc(arena, n_topics + 1, sizeof *resp->topics);
    for (int32_t i = 0; i < req->topics_len; i++)
        show_topic(image_topic_named(core->image, req->topics[i].name),
                   req->topics[i].partition_indexes, req->topics[i].partition_indexes_len, arena,
                   resp);
    /* moving may hold some that have arrived, but never misses one */
    while (req->topics_len < 0 && core->n_moving > 0 &&
           (topic = image_next_topic(core->image, &at)) != NULL) {
        if (any_moves(topic))
            show_topic(topic, NULL, topic->n_parts, arena, resp);
    }
    return resp;
}

const struct admin_kind admin_alter_reassignments = { API_ALTER_PARTITION_REASSIGNMENTS, plan_alter,
                                                      respond_alter };
const struct admin_kind admin_list_reassignments = { API_LIST_PARTITION_REASSIGNMENTS, plan_list,
                                                     respond_list };
