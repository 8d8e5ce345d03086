/*
 * DeleteRecords. The leader moves its log start at once; followers hear of it in the answer to
 * their fetch and say so in the next one. The request waits until the low watermark, the smallest
 * start of all live replicas, has passed what was asked for, or its time is up: then the answer is
 * REQUEST_TIMED_OUT with the low watermark that was found at first, and the records are gone all
 * the same. Files follow with the next retention. The start is moved in the pool: the append lock
 * that it takes may be held across a slow write.
 *
 * Reference: Kafka's ReplicaManager.deleteRecords, DelayedDeleteRecords. Not in the metadata: 3;
 * an internal topic: 17; not led here: 6; a topic that is only compacted: 44; beyond the high
 * watermark: 1; an offline directory: 56.
 */
#include "broker/api/delete_records.h"

#include "broker/api/api.h"
#include "broker/delay/purgatory.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "gen/wire/delete_records.h"

struct slot {
    struct part *part; /* a reference until the answer when its low watermark was awaited; the
                          watches are in lists of the partition's */
    bool is_settled;
    int64_t need;
    struct delete_records_response_partition *out;
};

struct delete_op {
    struct delayed delayed;
    struct pool_job job;
    struct request *req;
    const struct api *api;
    const struct delete_records_request *body;
    struct delete_records_response resp;
    struct slot *slots;
    int slots_len;
    int64_t deadline_ms;
};

static void set_result(struct slot *slot, enum err err, int64_t low_watermark)
{
    slot->out->error_code = err_to_wire(err);
    slot->out->low_watermark = low_watermark;
}

static bool settle_one(struct slot *slot)
{
    int64_t low;

    if (slot->is_settled)
        return true;
    enum err err = part_get_low_watermark(slot->part, &low);
    if (err == ERR_OK && low < slot->need)
        return false;
    set_result(slot, err, low);
    slot->is_settled = true;
    return true;
}

/* Settles what is decided; false while any is not. */
static bool settle(struct delete_op *op)
{
    bool all = true;

    for (int i = 0; i < op->slots_len; i++)
        if (op->slots[i].part != NULL && !settle_one(&op->slots[i]))
            all = false;
    return all;
}

static void answer(struct delete_op *op)
{
    for (int i = 0; i < op->slots_len; i++) {
        struct slot *slot = &op->slots[i];

        if (slot->part == NULL)
            continue;
        if (!slot->is_settled)
            set_result(slot, ERR_REQUEST_TIMED_OUT, slot->out->low_watermark);
        part_unref(&slot->part);
    }
    request_answer(op->req, &op->resp);
}

static void wait_more(struct delete_op *op, int64_t timeout_ms);

static void on_wake(struct delayed *delayed, enum delayed_why why)
{
    struct delete_op *op = container_of(delayed, struct delete_op, delayed);
    int64_t left_ms = op->deadline_ms - reactor_now_ms(op->req->reactor);

    if (!settle(op) && why == DELAYED_MET && left_ms > 0)
        wait_more(op, left_ms);
    else
        answer(op);
}

static void wait_more(struct delete_op *op, int64_t timeout_ms)
{
    struct watch_node *nodes = arena_alloc(&op->req->arena, (size_t)op->slots_len * sizeof *nodes);

    delayed_init(&op->delayed, op->req->reactor, on_wake, nodes);
    for (int i = 0; i < op->slots_len; i++) {
        struct slot *slot = &op->slots[i];

        if (slot->part == NULL || slot->is_settled)
            continue;
        delayed_watch(&op->delayed, part_cleared(slot->part), slot->need);
        if (settle_one(slot)) /* before the watch was there */
            delayed_met(&op->delayed);
    }
    delayed_start(&op->delayed, true, timeout_ms);
}

static void delete_one(const struct parts_table *table, const struct image *image, struct str topic,
                       int64_t offset, struct slot *slot)
{
    struct part *part = parts_find(table, topic, slot->out->partition_index);
    enum err err =
        part == NULL ? api_why_not_here(image, topic, slot->out->partition_index) : ERR_OK;
    int64_t low = -1;

    if (err != ERR_UNKNOWN_TOPIC_OR_PARTITION && api_is_internal_topic(topic))
        err = ERR_INVALID_TOPIC_EXCEPTION;
    if (err == ERR_OK)
        err = part_delete_records(part, &offset, clock_mono_ms(), &low);
    set_result(slot, err, low);
    if (err == ERR_OK && low < offset) {
        slot->part = part_ref(part);
        slot->need = offset;
    }
}

static struct delete_op *prepare(struct request *req, const struct delete_records_request *body)
{
    struct arena *arena = &req->arena;
    struct delete_op *op = arena_zalloc(arena, 1, sizeof *op);
    int at = 0;

    op->req = req;
    delete_records_response_init(&op->resp);
    op->resp.topics_len = body->topics_len;
    op->resp.topics = arena_zalloc(arena, (size_t)body->topics_len + 1, sizeof *op->resp.topics);
    for (int32_t t = 0; t < body->topics_len; t++)
        op->slots_len += body->topics[t].partitions_len;
    op->slots = arena_zalloc(arena, (size_t)op->slots_len + 1, sizeof *op->slots);
    for (int32_t t = 0; t < body->topics_len; t++) {
        const struct delete_records_request_topic *topic = &body->topics[t];
        struct delete_records_response_topic *out = &op->resp.topics[t];

        delete_records_response_topic_init(out);
        out->name = topic->name;
        out->partitions_len = topic->partitions_len;
        out->partitions =
            arena_zalloc(arena, (size_t)topic->partitions_len + 1, sizeof *out->partitions);
        for (int32_t p = 0; p < topic->partitions_len; p++) {
            delete_records_response_partition_init(&out->partitions[p]);
            out->partitions[p].partition_index = topic->partitions[p].partition_index;
            op->slots[at++] = (struct slot){ .out = &out->partitions[p] };
        }
    }
    return op;
}

static void run(struct pool_job *job)
{
    struct delete_op *op = container_of(job, struct delete_op, job);
    const struct delete_records_request *body = op->body;
    const struct parts_table *table = parts_get_table(op->api->parts);
    struct image *image = meta_get_ref(op->api->meta);
    int at = 0;

    for (int32_t t = 0; t < body->topics_len; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_len; p++)
            delete_one(table, image, body->topics[t].name, body->topics[t].partitions[p].offset,
                       &op->slots[at++]);
    image_unref(&image);
    parts_put_table(&table);
}

static void done(struct pool_job *job)
{
    struct delete_op *op = container_of(job, struct delete_op, job);

    if (op->body->timeout_ms <= 0 || settle(op)) {
        answer(op);
        return;
    }
    op->deadline_ms = reactor_now_ms(op->req->reactor) + op->body->timeout_ms;
    wait_more(op, op->body->timeout_ms);
}

void api_delete_records(struct request *req, void *body, void *context)
{
    struct delete_op *op = prepare(req, body);

    op->api = context;
    op->body = body;
    op->job = (struct pool_job){ .run = run, .done = done, .reactor = req->reactor };
    pool_post(op->api->pool, &op->job);
}
