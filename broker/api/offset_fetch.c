/*
 * A partition without a commit is offset -1 and no error (version 0 says 3, as it did when it
 * looked in ZooKeeper). What goes wrong for the group as a whole is told with each partition up to
 * version 1, once from version 2 on, once for each group from version 8 on.
 */
#include <stdlib.h>

#include "broker/api/api.h"
#include "broker/api/offsets.h"
#include "broker/group/groups.h"
#include "gen/wire/offset_fetch.h"

#define GROUP_ERROR_VERSION 2
#define BATCHED_VERSION     8

/* One group's answer, before it takes the shape of its version. */
struct fetched {
    struct offset_asked *asked; /* topics one after the other */
    size_t len;
    enum err err;
};

/* What it comes to when none of this broker's versions of the request differ. */
struct shown {
    int64_t offset;
    int32_t leader_epoch;
    struct str metadata;
    int16_t error_code;
};

static struct shown show(const struct offset_asked *asked, int16_t version)
{
    if (asked->err == ERR_OK && asked->found)
        return (struct shown){ .offset = asked->value.offset,
                               .leader_epoch = asked->value.leader_epoch,
                               .metadata = asked->value.metadata };
    enum err err =
        asked->err == ERR_OK && version == 0 ? ERR_UNKNOWN_TOPIC_OR_PARTITION : asked->err;
    return (struct shown){
        .offset = -1, .leader_epoch = -1, .metadata = STR_EMPTY, .error_code = err_to_wire(err)
    };
}

/* How many of the same topic stand here one after the other. */
static size_t run_of(const struct fetched *fetched, size_t at)
{
    size_t n = 1;

    while (at + n < fetched->len && str_eq(fetched->asked[at + n].topic, fetched->asked[at].topic))
        n++;
    return n;
}

static void fetch_all(const struct api *api, struct str group_id, bool stable, struct arena *arena,
                      struct fetched *out)
{
    out->err = groups_fetch_all(api->groups, group_id, stable, arena, &out->asked, &out->len);
}

static int by_partition(const void *left, const void *right)
{
    const struct offset_asked *a = *(struct offset_asked *const *)left;
    const struct offset_asked *b = *(struct offset_asked *const *)right;
    int order = str_cmp(a->topic, b->topic);

    if (order == 0)
        order = (a->partition > b->partition) - (a->partition < b->partition);
    return order != 0 ? order : (a > b) - (a < b);
}

/* Each partition once, as Kafka's map has it: its metadata may be a thousand times as long as its
 * number. */
static void drop_repeats(struct fetched *fetched, struct arena *arena)
{
    struct offset_asked **sorted = arena_alloc(arena, (fetched->len + 1) * sizeof *sorted);
    bool *repeats = arena_zalloc(arena, fetched->len + 1, sizeof *repeats);
    size_t kept = 0;

    for (size_t i = 0; i < fetched->len; i++)
        sorted[i] = &fetched->asked[i];
    qsort(sorted, fetched->len, sizeof(struct offset_asked *), by_partition);
    for (size_t i = 1; i < fetched->len; i++)
        if (sorted[i - 1]->partition == sorted[i]->partition &&
            str_cmp(sorted[i - 1]->topic, sorted[i]->topic) == 0)
            repeats[sorted[i] - fetched->asked] = true;
    for (size_t i = 0; i < fetched->len; i++)
        if (!repeats[i])
            fetched->asked[kept++] = fetched->asked[i];
    fetched->len = kept;
}

static void fetch_some(const struct api *api, struct str group_id, bool stable, struct arena *arena,
                       struct fetched *out)
{
    drop_repeats(out, arena);
    out->err = groups_fetch(api->groups, group_id, stable, out->asked, out->len, arena);
}

static void add_asked(struct fetched *out, struct str topic, const int32_t *partitions, int32_t len)
{
    for (int32_t i = 0; i < len; i++)
        out->asked[out->len++] =
            (struct offset_asked){ .topic = topic, .partition = partitions[i] };
}

/* ---- up to version 7 ---- */

static void put_topics(struct request *req, struct fetched *fetched,
                       struct offset_fetch_response *resp)
{
    struct arena *arena = &req->arena;

    resp->topics = arena_zalloc(arena, fetched->len + 1, sizeof *resp->topics);
    resp->topics_len = 0;
    for (size_t at = 0; at < fetched->len;) {
        struct offset_fetch_response_topic *topic = &resp->topics[resp->topics_len++];
        size_t n = run_of(fetched, at);

        offset_fetch_response_topic_init(topic);
        topic->name = fetched->asked[at].topic;
        topic->partitions_len = (int32_t)n;
        topic->partitions = arena_zalloc(arena, n, sizeof *topic->partitions);
        for (size_t i = 0; i < n; i++, at++) {
            struct shown shown = show(&fetched->asked[at], req->version);
            struct offset_fetch_response_partition *part = &topic->partitions[i];

            offset_fetch_response_partition_init(part);
            part->partition_index = fetched->asked[at].partition;
            part->committed_offset = shown.offset;
            part->committed_leader_epoch = shown.leader_epoch;
            part->metadata = shown.metadata;
            part->error_code = shown.error_code;
        }
    }
}

static void fetch_one(struct request *req, const struct api *api,
                      const struct offset_fetch_request *asked)
{
    struct arena *arena = &req->arena;
    struct fetched fetched = { .err = ERR_OK };
    struct offset_fetch_response resp;
    size_t n = 0;

    offset_fetch_response_init(&resp);
    if (asked->topics_len < 0) {
        fetch_all(api, asked->group_id, asked->require_stable, arena, &fetched);
    } else {
        for (int32_t t = 0; t < asked->topics_len; t++)
            n += (size_t)asked->topics[t].partition_indexes_len;
        fetched.asked = arena_alloc(arena, (n + 1) * sizeof *fetched.asked);
        for (int32_t t = 0; t < asked->topics_len; t++)
            add_asked(&fetched, asked->topics[t].name, asked->topics[t].partition_indexes,
                      asked->topics[t].partition_indexes_len);
        fetch_some(api, asked->group_id, asked->require_stable, arena, &fetched);
    }
    if (fetched.err != ERR_OK && req->version >= GROUP_ERROR_VERSION) {
        resp.error_code = err_to_wire(fetched.err);
        fetched.len = 0;
    }
    for (size_t i = 0; fetched.err != ERR_OK && i < fetched.len; i++)
        fetched.asked[i].err = fetched.err;
    put_topics(req, &fetched, &resp);
    request_answer(req, &resp);
}

/* ---- from version 8 on ---- */

static void put_group(struct request *req, const struct fetched *fetched,
                      struct offset_fetch_response_group *out)
{
    struct arena *arena = &req->arena;
    size_t len = fetched->err == ERR_OK ? fetched->len : 0;

    out->error_code = err_to_wire(fetched->err);
    out->topics = arena_zalloc(arena, len + 1, sizeof *out->topics);
    out->topics_len = 0;
    for (size_t at = 0; at < len;) {
        struct offset_fetch_response_group_topic *topic = &out->topics[out->topics_len++];
        size_t n = run_of(fetched, at);

        offset_fetch_response_group_topic_init(topic);
        topic->name = fetched->asked[at].topic;
        topic->partitions_len = (int32_t)n;
        topic->partitions = arena_zalloc(arena, n, sizeof *topic->partitions);
        for (size_t i = 0; i < n; i++, at++) {
            struct shown shown = show(&fetched->asked[at], req->version);
            struct offset_fetch_response_group_partition *part = &topic->partitions[i];

            offset_fetch_response_group_partition_init(part);
            part->partition_index = fetched->asked[at].partition;
            part->committed_offset = shown.offset;
            part->committed_leader_epoch = shown.leader_epoch;
            part->metadata = shown.metadata;
            part->error_code = shown.error_code;
        }
    }
}

static void fetch_group(struct request *req, const struct api *api,
                        const struct offset_fetch_request_group *asked, bool stable,
                        struct fetched *fetched)
{
    struct arena *arena = &req->arena;
    size_t n = 0;

    if (asked->topics_len < 0) {
        fetch_all(api, asked->group_id, stable, arena, fetched);
        return;
    }
    for (int32_t t = 0; t < asked->topics_len; t++)
        n += (size_t)asked->topics[t].partition_indexes_len;
    fetched->asked = arena_alloc(arena, (n + 1) * sizeof *fetched->asked);
    for (int32_t t = 0; t < asked->topics_len; t++)
        add_asked(fetched, asked->topics[t].name, asked->topics[t].partition_indexes,
                  asked->topics[t].partition_indexes_len);
    fetch_some(api, asked->group_id, stable, arena, fetched);
}

static const bool *repeats_of(struct request *req, const struct offset_fetch_request *asked)
{
    size_t len = (size_t)asked->groups_len;
    struct str *names = arena_alloc(&req->arena, (len + 1) * sizeof *names);

    for (size_t i = 0; i < len; i++)
        names[i] = asked->groups[i].group_id;
    return api_repeats(&req->arena, names, len);
}

static void fetch_many(struct request *req, const struct api *api,
                       const struct offset_fetch_request *asked)
{
    struct offset_fetch_response resp;

    offset_fetch_response_init(&resp);
    resp.groups = arena_zalloc(&req->arena, (size_t)asked->groups_len + 1, sizeof *resp.groups);
    resp.groups_len = 0;
    const bool *repeats = repeats_of(req, asked);
    for (int32_t i = 0; i < asked->groups_len; i++) {
        struct fetched fetched = { .err = ERR_OK };

        if (repeats != NULL && repeats[i])
            continue;
        struct offset_fetch_response_group *out = &resp.groups[resp.groups_len++];
        fetch_group(req, api, &asked->groups[i], asked->require_stable, &fetched);
        offset_fetch_response_group_init(out);
        out->group_id = asked->groups[i].group_id;
        put_group(req, &fetched, out);
    }
    request_answer(req, &resp);
}

void api_offset_fetch(struct request *req, void *body, void *context)
{
    if (req->version < BATCHED_VERSION)
        fetch_one(req, context, body);
    else
        fetch_many(req, context, body);
}
