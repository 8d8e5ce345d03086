/*
 * The ends of a log are answered at once. A search by time reads the disk and may decompress, so a
 * request that holds one goes to the pool as a whole and is answered when it comes back.
 *
 * Version 0 answers with offsets at which segments begin, by the times of their files (Kafka's
 * KafkaApis.handleListOffsetRequestV0, Partition.legacyFetchOffsetsForTimestamp).
 *
 * Reference: Kafka's ReplicaManager.fetchOffset, Partition.fetchOffsetForTimestamp. A new leader
 * whose high watermark has not reached its epoch's start does not know yet all that is committed:
 * to who asks for the end, or for what is not found below that high watermark, OFFSET_NOT_AVAILABLE
 * (LEADER_NOT_AVAILABLE before version 5), so that no client jumps back.
 */
#include "broker/api/list_offsets.h"

#include <stdlib.h>

#include "broker/api/api.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "gen/wire/list_offsets.h"
#include "gen/wire/offset_for_leader_epoch.h"

#define CONSUMER      (-1)
#define DEBUG_REPLICA (-2) /* asks any replica for its own ends */

struct list_op {
    struct pool_job job;
    struct request *req;
    const struct api *api;
    const struct list_offsets_request *body;
    struct list_offsets_response resp;
};

static enum part_isolation isolation_of(const struct list_offsets_request *body)
{
    if (body->replica_id >= 0 || body->replica_id == DEBUG_REPLICA)
        return PART_READ_LOG_END;
    return body->isolation_level == 1 ? PART_READ_COMMITTED : PART_READ_UNCOMMITTED;
}

/* Special timestamps came with versions: -3 with 7, -4 with 8, -5 with 9. */
static bool is_known_timestamp(int64_t timestamp, int16_t version)
{
    if (timestamp >= 0 || timestamp == LOG_LATEST || timestamp == LOG_EARLIEST)
        return true;
    return (timestamp == LOG_MAX_TIMESTAMP && version >= 7) ||
           (timestamp == LOG_EARLIEST_LOCAL && version >= 8) ||
           (timestamp == LOG_LATEST_TIERED && version >= 9);
}

static enum err find(struct part *part, const struct list_offsets_request *body, int16_t version,
                     const struct list_offsets_request_partition *asked, struct log_found *found)
{
    const struct log_found none = { .offset = -1, .timestamp_ms = -1, .leader_epoch = -1 };
    int64_t bound;
    int32_t epoch;
    bool is_start = asked->timestamp == LOG_EARLIEST || asked->timestamp == LOG_EARLIEST_LOCAL;
    enum err err, beyond = ERR_OK;

    *found = none;
    if (!is_known_timestamp(asked->timestamp, version))
        return ERR_UNSUPPORTED_VERSION;
    err = part_list_bound(part, asked->current_leader_epoch, body->replica_id != DEBUG_REPLICA,
                          isolation_of(body), &bound, &epoch);
    if (err == ERR_OFFSET_NOT_AVAILABLE) { /* what lies below is committed all the same */
        beyond = version < 5 ? ERR_LEADER_NOT_AVAILABLE : err;
        err = ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    if (asked->timestamp == LOG_LATEST) {
        found->offset = bound;
        found->leader_epoch = epoch;
        return beyond;
    }
    err = log_find_timestamp(part_log(part), asked->timestamp, found);
    if (err != ERR_OK || is_start || (found->offset >= 0 && found->offset < bound))
        return err;
    *found = none;
    return beyond;
}

/* To a consumer the end is the high watermark. */
static enum err find_old(struct part *part, const struct list_offsets_request *body,
                         const struct list_offsets_request_partition *asked, struct arena *arena,
                         struct list_offsets_response_partition *out)
{
    int64_t hw, *offsets;
    int32_t epoch;
    size_t count, above = 0;

    if (!is_known_timestamp(asked->timestamp, 0))
        return ERR_UNSUPPORTED_VERSION;
    enum err err = part_list_bound(part, -1, body->replica_id != DEBUG_REPLICA,
                                   PART_READ_UNCOMMITTED, &hw, &epoch);

    if (err == ERR_OK || err == ERR_OFFSET_NOT_AVAILABLE)
        err = log_offsets_before(part_log(part), asked->timestamp, clock_wall_ms(),
                                 asked->max_num_offsets, &offsets, &count);
    if (err != ERR_OK)
        return err;
    while (body->replica_id == CONSUMER && above < count && offsets[above] > hw)
        above++;
    if (above > 0)
        offsets[--above] = hw;
    out->old_style_offsets_len = (int32_t)(count - above);
    out->old_style_offsets = arena_dup(arena, offsets + above, (count - above) * sizeof *offsets);
    free(offsets);
    return ERR_OK;
}

static int compare_ids(const void *left, const void *right)
{
    int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;

    return (a > b) - (a < b);
}

/* In order, for is_asked_twice(): a request may name very many. */
static const int32_t *sort_ids(const struct list_offsets_request_topic *topic, struct arena *arena)
{
    size_t len = (size_t)topic->partitions_len;
    int32_t *ids = arena_alloc(arena, len * sizeof *ids);

    for (size_t i = 0; i < len; i++)
        ids[i] = topic->partitions[i].partition_index;
    qsort(ids, len, sizeof *ids, compare_ids);
    return ids;
}

static bool is_asked_twice(const int32_t *ids, int32_t len, int32_t id)
{
    const int32_t *at = bsearch(&id, ids, (size_t)len, sizeof *ids, compare_ids);

    return (at > ids && at[-1] == id) || (at + 1 < ids + len && at[1] == id);
}

static void look(struct list_op *op, const struct parts_table *table,
                 const struct list_offsets_request_topic *topic, const int32_t *ids, int32_t i,
                 struct list_offsets_response_partition *out)
{
    const struct list_offsets_request_partition *asked = &topic->partitions[i];
    struct part *part = parts_find(table, topic->name, asked->partition_index);
    struct log_found found = { .offset = -1, .timestamp_ms = -1, .leader_epoch = -1 };
    enum err err = ERR_OK;

    list_offsets_response_partition_init(out);
    out->partition_index = asked->partition_index;
    if (op->req->version > 0 && is_asked_twice(ids, topic->partitions_len, out->partition_index)) {
        err = ERR_INVALID_REQUEST;
    } else if (part == NULL) {
        struct image *image = meta_get_ref(op->api->meta);

        err = api_why_not_here(image, topic->name, asked->partition_index);
        image_unref(&image);
    } else if (op->req->version == 0) {
        err = find_old(part, op->body, asked, &op->req->arena, out);
    } else {
        err = find(part, op->body, op->req->version, asked, &found);
    }
    if (err != ERR_OK)
        found = (struct log_found){ .offset = -1, .timestamp_ms = -1, .leader_epoch = -1 };
    out->error_code = err_to_wire(err);
    out->offset = found.offset;
    out->timestamp = found.timestamp_ms;
    out->leader_epoch = found.leader_epoch;
}

static void look_at_all(struct list_op *op)
{
    const struct parts_table *table = parts_get_table(op->api->parts);
    struct arena *arena = &op->req->arena;

    op->resp.topics =
        arena_zalloc(arena, (size_t)op->body->topics_len + 1, sizeof *op->resp.topics);
    op->resp.topics_len = op->body->topics_len;
    for (int32_t t = 0; t < op->body->topics_len; t++) {
        const struct list_offsets_request_topic *topic = &op->body->topics[t];
        struct list_offsets_response_topic *out = &op->resp.topics[t];

        list_offsets_response_topic_init(out);
        out->name = topic->name;
        out->partitions_len = topic->partitions_len;
        out->partitions =
            arena_zalloc(arena, (size_t)topic->partitions_len + 1, sizeof *out->partitions);
        const int32_t *ids = sort_ids(topic, arena);

        for (int32_t i = 0; i < topic->partitions_len; i++)
            look(op, table, topic, ids, i, &out->partitions[i]);
    }
    parts_put_table(&table);
}

static void run(struct pool_job *job)
{
    look_at_all(container_of(job, struct list_op, job));
}

static void done(struct pool_job *job)
{
    struct list_op *op = container_of(job, struct list_op, job);

    request_answer(op->req, &op->resp);
}

static bool reads_disk(const struct list_offsets_request *body, int16_t version)
{
    if (version == 0)
        return true;
    for (int32_t t = 0; t < body->topics_len; t++)
        for (int32_t i = 0; i < body->topics[t].partitions_len; i++) {
            int64_t timestamp = body->topics[t].partitions[i].timestamp;

            if (timestamp >= 0 || timestamp == LOG_MAX_TIMESTAMP)
                return true;
        }
    return false;
}

void api_list_offsets(struct request *req, void *body, void *context)
{
    struct list_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->api = context;
    op->body = body;
    op->job = (struct pool_job){ .run = run, .done = done, .reactor = req->reactor };
    list_offsets_response_init(&op->resp);
    if (reads_disk(op->body, req->version)) {
        pool_post(op->api->pool, &op->job);
        return;
    }
    look_at_all(op);
    request_answer(req, &op->resp);
}

/* ---- OffsetForLeaderEpoch ---- */

static void epoch_end_of(const struct api *api, const struct parts_table *table, struct str topic,
                         const struct offset_for_leader_epoch_request_partition *asked,
                         struct offset_for_leader_epoch_response_partition *out)
{
    struct part *part = parts_find(table, topic, asked->partition);
    struct epoch_end end = { .epoch = -1, .end_offset = -1 };
    enum err err;

    offset_for_leader_epoch_response_partition_init(out);
    out->partition = asked->partition;
    if (part == NULL) {
        struct image *image = meta_get_ref(api->meta);

        err = api_why_not_here(image, topic, asked->partition);
        image_unref(&image);
    } else {
        err = part_epoch_end(part, asked->current_leader_epoch, asked->leader_epoch, &end);
    }
    out->error_code = err_to_wire(err);
    out->leader_epoch = end.epoch;
    out->end_offset = end.end_offset;
}

void api_offset_for_leader_epoch(struct request *req, void *body, void *context)
{
    const struct offset_for_leader_epoch_request *asked = body;
    const struct api *api = context;
    const struct parts_table *table = parts_get_table(api->parts);
    struct offset_for_leader_epoch_response resp;

    offset_for_leader_epoch_response_init(&resp);
    resp.topics = arena_zalloc(&req->arena, (size_t)asked->topics_len + 1, sizeof *resp.topics);
    resp.topics_len = asked->topics_len;
    for (int32_t t = 0; t < asked->topics_len; t++) {
        const struct offset_for_leader_epoch_request_topic *topic = &asked->topics[t];
        struct offset_for_leader_epoch_response_topic *out = &resp.topics[t];

        offset_for_leader_epoch_response_topic_init(out);
        out->topic = topic->topic;
        out->partitions_len = topic->partitions_len;
        out->partitions =
            arena_zalloc(&req->arena, (size_t)topic->partitions_len + 1, sizeof *out->partitions);
        for (int32_t i = 0; i < topic->partitions_len; i++)
            epoch_end_of(api, table, topic->topic, &topic->partitions[i], &out->partitions[i]);
    }
    parts_put_table(&table);
    request_answer(req, &resp);
}
