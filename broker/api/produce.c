/*
 * Produce (P3). Each partition's records are checked outside any lock, appended one partition after
 * the other, and answered together: at once for acks=1, after the high watermark has passed all of
 * them for acks=all, never for acks=0 (an error there closes the connection).
 *
 * Waiting has two halves that may end in any order: the high watermarks (a struct delayed) and the
 * disk syncs of topics with flush.messages (group commit). Whichever ends last answers.
 *
 * What would hold the reactor up for long is done elsewhere: from the first partition on that wants
 * many bytes compressed anew, or becomes many when it is unpacked, the appends are made in the
 * pool; from the first on whose directory has become slow, in that directory's lane, one request
 * after the other. The connection takes nothing up meanwhile, so that a client's order is kept;
 * when they are made the request goes on as ever.
 *
 * Errors (reference: Kafka's ReplicaManager.appendRecords): acks other than -1, 0, 1: 21 for each
 * partition; internal topic: 17; not in the metadata: 3; not led here: 6, with the leader as a hint
 * from v10 on (KIP-951); what validation and append say.
 */
#include "broker/api/produce.h"

#include <assert.h>
#include <stdatomic.h>

#include "broker/api/api.h"
#include "broker/log/group_commit.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/produce.h"

#define TRANSCODE_BYTES (32 << 10) /* of one request, compressed anew without a hop */

/* Of one request, unpacked and gone through without a hop: some milliseconds. What a compressed
 * batch becomes is known only once it has been unpacked, so that is tried up to this bound; what is
 * likely to pass it goes aside at once. */
#define UNPACK_BYTES     ((size_t)2 << 20)
#define UNPACK_RATIO     4 /* of bytes that compress well */
#define RECORD_BYTES_MIN 7

struct slot {
    const struct wire_records *records;
    struct part *part;    /* a reference while its records are awaited, else NULL */
    int64_t end;          /* offset after its last record */
    int32_t leader_epoch; /* in which they were appended */
    struct produce_response_partition *out;
    struct str topic;
    struct sync_wait sync;
    struct produce_op *op;
    _Atomic int sync_err; /* [a] enum err */
};

struct produce_op {
    struct delayed delayed;
    struct request *req;
    const struct api *api;
    struct produce_response resp;
    struct slot *slots;
    int slots_len;
    struct watch_node *watches; /* one per slot, for every wait; NULL before the first */
    int at;                     /* the slot that is next to be appended to */
    size_t transcoded;          /* bytes that had to be compressed anew */
    size_t unpacked;            /* bytes that have been unpacked and gone through */
    size_t record_errors;       /* in the answer */
    bool is_aside;              /* appending goes on where waiting harms nobody */
    struct lane *lane;          /* there; NULL: the pool */
    struct pool_job job;        /* that does it */
    int awaited;                /* slots with a part */
    int16_t acks;
    int32_t timeout_ms;
    int64_t deadline_ms; /* monotonic */
    bool any_error;      /* acks=0 */
    bool acked;          /* [o] the high watermarks are done with */
    bool synced;         /* [o] so are the syncs */
    atomic_int syncs;    /* [a] syncs that are out, and one while they are being posted */
};

/* ---- answering ---- */

static void add_hint(struct produce_op *op, const struct image *image, struct slot *slot,
                     struct produce_response_node_endpoint *endpoints, int32_t *endpoints_len)
{
    struct api_hint hint;

    if (!api_leader_hint(image, op->req, slot->topic, slot->out->index, &hint))
        return;
    slot->out->has_current_leader = true;
    slot->out->current_leader.leader_id = hint.leader;
    slot->out->current_leader.leader_epoch = hint.leader_epoch;
    if (hint.node == NULL)
        return;
    for (int32_t i = 0; i < *endpoints_len; i++)
        if (endpoints[i].node_id == hint.leader)
            return;
    struct produce_response_node_endpoint *endpoint = &endpoints[(*endpoints_len)++];
    produce_response_node_endpoint_init(endpoint);
    endpoint->node_id = hint.leader;
    endpoint->host = arena_str(&op->req->arena, hint.endpoint->host);
    endpoint->port = hint.endpoint->port;
    endpoint->rack = arena_str(&op->req->arena, hint.node->rack);
}

static void add_hints(struct produce_op *op)
{
    struct produce_response_node_endpoint *endpoints = NULL;
    struct image *image = NULL;
    int32_t len = 0;

    for (int i = 0; i < op->slots_len; i++) {
        if (op->slots[i].out->error_code != ERR_NOT_LEADER_OR_FOLLOWER)
            continue;
        if (image == NULL) {
            image = meta_get_ref(op->api->meta);
            endpoints = arena_zalloc(&op->req->arena, (size_t)op->slots_len, sizeof *endpoints);
        }
        add_hint(op, image, &op->slots[i], endpoints, &len);
    }
    image_unref(&image);
    op->resp.node_endpoints = endpoints;
    op->resp.node_endpoints_len = len;
}

static void release(struct produce_op *op)
{
    for (int i = 0; i < op->slots_len; i++)
        if (op->slots[i].part != NULL)
            part_unref(&op->slots[i].part);
}

static void set_error(struct produce_op *op, struct slot *slot, enum err err)
{
    slot->out->error_code = err_to_wire(err);
    if (err != ERR_OK) {
        slot->out->base_offset = -1;
        slot->out->log_append_time_ms = -1;
        op->any_error = true;
    }
}

static void count(const struct produce_op *op)
{
    STAT_ADD(produces, op->slots_len);
    for (int32_t i = 0; op->any_error && i < op->slots_len; i++) {
        if (op->slots[i].out->error_code != 0)
            STAT_ADD(failed_produces, 1);
    }
}

static void answer(struct produce_op *op)
{
    release(op);
    count(op);
    if (op->acks == 0) {
        if (op->any_error)
            request_fail_close(op->req, "a produce with acks=0 failed");
        else
            request_answer_none(op->req);
        return;
    }
    if (op->any_error && op->req->version >= 10)
        add_hints(op);
    request_answer(op->req, &op->resp);
}

/* Both halves are over: what came of each partition that was waited for? */
static void finish(struct produce_op *op, bool timed_out)
{
    for (int i = 0; i < op->slots_len; i++) {
        struct slot *slot = &op->slots[i];
        enum err err = (enum err)atomic_load_explicit(&slot->sync_err, memory_order_acquire);

        if (slot->part == NULL)
            continue;
        if (err == ERR_OK && op->acks == -1 &&
            part_check_acked(slot->part, slot->end, slot->leader_epoch, &err) == PART_ACK_WAIT)
            err = timed_out ? ERR_REQUEST_TIMED_OUT : ERR_NOT_LEADER_OR_FOLLOWER;
        if (err != ERR_OK)
            set_error(op, slot, err);
    }
    answer(op);
}

/* ---- waiting ---- */

static void wait_for_acks(struct produce_op *op, int64_t timeout_ms);

static bool is_decided(const struct slot *slot)
{
    enum err err;

    return part_check_acked(slot->part, slot->end, slot->leader_epoch, &err) != PART_ACK_WAIT;
}

static bool all_decided(const struct produce_op *op)
{
    for (int i = 0; i < op->slots_len; i++)
        if (op->slots[i].part != NULL && !is_decided(&op->slots[i]))
            return false;
    return true;
}

static void half_done(struct produce_op *op, bool timed_out)
{
    if (op->acked && op->synced)
        finish(op, timed_out);
}

static void on_acked(struct delayed *delayed, enum delayed_why why)
{
    struct produce_op *op = container_of(delayed, struct produce_op, delayed);

    /* Watches are also met when only the ISR changed: wait on with what time is left. */
    if (why == DELAYED_MET && !all_decided(op)) {
        int64_t left_ms = op->deadline_ms - reactor_now_ms(op->req->reactor);

        if (left_ms > 0) {
            wait_for_acks(op, left_ms);
            return;
        }
        why = DELAYED_TIMED_OUT;
    }
    op->acked = true;
    half_done(op, why == DELAYED_TIMED_OUT);
}

static void wait_for_acks(struct produce_op *op, int64_t timeout_ms)
{
    if (all_decided(op)) {
        op->acked = true;
        half_done(op, false);
        return;
    }
    if (op->watches == NULL)
        op->watches = arena_alloc(&op->req->arena, (size_t)op->slots_len * sizeof *op->watches);
    delayed_init(&op->delayed, op->req->reactor, on_acked, op->watches);
    for (int i = 0; i < op->slots_len; i++) {
        struct slot *slot = &op->slots[i];

        if (slot->part == NULL)
            continue;
        delayed_watch(&op->delayed, part_committed(slot->part), slot->end);
        if (is_decided(slot)) /* before the watch was there */
            delayed_met(&op->delayed);
    }
    delayed_start(&op->delayed, true, timeout_ms);
}

static void on_synced(struct request *req)
{
    struct produce_op *op = req->state;

    op->synced = true;
    half_done(op, false);
}

static void on_sync_done(struct sync_wait *wait, enum err err)
{
    struct slot *slot = container_of(wait, struct slot, sync);
    struct produce_op *op = slot->op;

    part_synced(slot->part, slot->leader_epoch, clock_mono_ms());
    atomic_store_explicit(&slot->sync_err, (int)err, memory_order_release);
    if (atomic_fetch_sub_explicit(&op->syncs, 1, memory_order_acq_rel) == 1)
        request_post(op->req, on_synced);
}

/* ---- appending ---- */

static void fill_record_errors(struct produce_op *op, struct slot *slot,
                               const struct validated *batch)
{
    struct arena *arena = &op->req->arena;

    op->record_errors += batch->record_error_count;
    slot->out->error_message = batch->error_message;
    slot->out->record_errors_len = (int32_t)batch->record_error_count;
    slot->out->record_errors =
        arena_zalloc(arena, batch->record_error_count + 1, sizeof *slot->out->record_errors);
    for (size_t i = 0; i < batch->record_error_count; i++) {
        produce_response_record_error_init(&slot->out->record_errors[i]);
        slot->out->record_errors[i].batch_index = batch->record_errors[i].batch_index;
        slot->out->record_errors[i].batch_index_error_message = batch->record_errors[i].message;
    }
}

static int64_t now_ms(const struct produce_op *op)
{
    return op->is_aside ? clock_mono_ms() : reactor_now_ms(op->req->reactor);
}

/* What its records are at least; by the header, which is refused later if that is not true. */
static size_t bytes_of_records(const struct wire_records *records)
{
    if (records->len < BATCH_HEADER_BYTES || batch_magic(records->data) != 2)
        return 0;
    int32_t count = batch_count(records->data);
    return count > 0 ? (size_t)count * RECORD_BYTES_MIN : 0;
}

static bool is_much_to_unpack(const struct produce_op *op, const struct wire_records *records)
{
    size_t likely = bytes_of_records(records);

    if (records->len >= BATCH_HEADER_BYTES && batch_codec(records->data) != CODEC_NONE)
        likely += (size_t)records->len * UNPACK_RATIO;
    return op->unpacked + likely >= UNPACK_BYTES;
}

/* Is this append one to be made elsewhere? */
static bool goes_aside(struct produce_op *op, struct part *part, const struct validate_conf *conf,
                       const struct wire_records *records)
{
    if (op->is_aside)
        return false;
    if (conf->compression != VALIDATE_KEEP_CODEC && records->len >= BATCH_HEADER_BYTES &&
        batch_codec(records->data) != conf->compression) {
        op->transcoded += (size_t)records->len;
        if (op->transcoded > TRANSCODE_BYTES)
            return true;
    }
    if (is_much_to_unpack(op, records))
        return true;
    if (!log_is_slow(part_log(part)))
        return false;
    op->lane = op->api->lanes[logs_dir_index(op->api->logs, part_log(part))];
    return true;
}

/* ERR_NOT_READY: nothing was done, go aside. */
static enum err append(struct produce_op *op, struct slot *slot, struct part *part)
{
    const struct wire_records *records = slot->records;
    struct request *req = op->req;
    struct validate_conf conf;
    struct validated batch;
    struct log_appended appended;
    int64_t wall_ms = clock_wall_ms();
    int32_t epoch;

    if (records->len < 0)
        return ERR_INVALID_RECORD;
    part_get_validate_conf(part, &conf);
    if (goes_aside(op, part, &conf, records))
        return ERR_NOT_READY;
    conf.unpack_max = op->is_aside ? 0 : UNPACK_BYTES - op->unpacked;
    conf.errors_max -= op->record_errors;
    /* The frame is this request's own memory: stamping in place harms nobody. */
    enum err err = validate_batches((uint8_t *)(uintptr_t)records->data, (size_t)records->len,
                                    req->version, &conf, wall_ms, &req->arena, &batch);
    if (err == ERR_NOT_READY)
        return err;
    op->unpacked += bytes_of_records(records) + batch.unpacked;
    slot->out->log_start_offset = log_start_offset(part_log(part));
    if (err != ERR_OK) {
        fill_record_errors(op, slot, &batch);
        if (err == ERR_MESSAGE_TOO_LARGE)
            STAT_ADD(bytes_rejected, records->len);
        if (err == ERR_CORRUPT_MESSAGE || err == ERR_MESSAGE_TOO_LARGE || batch.is_bad_request)
            slot->out->log_start_offset = -1;
        return err;
    }
    if (batch.bytes == NULL)
        return ERR_OK;
    if (batch.info.transactional)
        return ERR_INVALID_TXN_STATE; /* there is no transaction coordinator that could have begun
                                         one */
    err = part_append(part, &batch, op->acks, LOG_FROM_CLIENT, wall_ms, now_ms(op), &appended,
                      &epoch);
    if (err != ERR_OK) {
        if (err != ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && err != ERR_INVALID_PRODUCER_EPOCH)
            slot->out->log_start_offset = -1;
        return err;
    }
    STAT_ADD(bytes_in, batch.len);
    STAT_ADD(messages_in, appended.last_offset - appended.first_offset + 1);
    slot->out->base_offset = appended.first_offset;
    slot->out->log_append_time_ms = appended.log_append_time_ms;
    slot->out->log_start_offset = appended.log_start_offset;
    slot->end = appended.last_offset + 1;
    slot->leader_epoch = epoch;
    if (op->acks == -1 || appended.flush_due) {
        slot->part = part_ref(part);
        op->awaited++;
    }
    if (appended.flush_due) {
        slot->sync = (struct sync_wait){ .log = part_log(part),
                                         .upto_offset = appended.leo,
                                         .done = on_sync_done };
        atomic_fetch_add_explicit(&op->syncs, 1, memory_order_relaxed);
        group_commit_post(logs_group_commit(op->api->logs, part_log(part)), &slot->sync);
    }
    return ERR_OK;
}

static enum err check_partition(const struct produce_op *op, struct str topic)
{
    if (api_is_internal_topic(topic) && !str_is(op->req->client_id, "__admin_client"))
        return ERR_INVALID_TOPIC_EXCEPTION;
    return ERR_OK;
}

static bool append_one(struct produce_op *op, const struct parts_table *table, struct slot *slot)
{
    struct part *part = parts_find(table, slot->topic, slot->out->index);
    enum err err = check_partition(op, slot->topic);

    if (op->acks != -1 && op->acks != 0 && op->acks != 1)
        err = ERR_INVALID_REQUIRED_ACKS;
    if (err == ERR_OK && part == NULL) {
        struct image *image = meta_get_ref(op->api->meta);

        err = api_why_not_here(image, slot->topic, slot->out->index);
        image_unref(&image);
    }
    if (err == ERR_OK)
        err = append(op, slot, part);
    if (err == ERR_NOT_READY)
        return false;
    set_error(op, slot, err);
    return true;
}

/* False: the rest is to be made aside. */
static bool append_all(struct produce_op *op)
{
    const struct parts_table *table = parts_get_table(op->api->parts);

    while (op->at < op->slots_len && append_one(op, table, &op->slots[op->at]))
        op->at++;
    parts_put_table(&table);
    return op->at == op->slots_len;
}

/* Everything has been appended; on the reactor. */
static void go_on(struct produce_op *op)
{
    op->synced = atomic_fetch_sub_explicit(&op->syncs, 1, memory_order_acq_rel) == 1;
    op->acked = op->acks != -1 || op->awaited == 0;
    if (op->acked && op->synced) {
        answer(op);
    } else if (!op->acked) {
        op->deadline_ms = reactor_now_ms(op->req->reactor) + op->timeout_ms;
        wait_for_acks(op, op->timeout_ms);
    }
}

static void run_aside(struct pool_job *job)
{
    bool all = append_all(container_of(job, struct produce_op, job));

    assert(all);
}

static void done_aside(struct pool_job *job)
{
    struct produce_op *op = container_of(job, struct produce_op, job);

    request_release(op->req);
    go_on(op);
}

static void go_aside(struct produce_op *op)
{
    request_hold(op->req);
    op->is_aside = true;
    op->job =
        (struct pool_job){ .run = run_aside, .done = done_aside, .reactor = op->req->reactor };
    STAT_ADD(produces_aside, 1);
    if (op->lane != NULL)
        lane_post(op->lane, &op->job);
    else
        pool_post(op->api->pool, &op->job);
}

static struct produce_op *prepare(struct request *req, const struct produce_request *body,
                                  const struct api *api)
{
    struct arena *arena = &req->arena;
    struct produce_op *op = arena_zalloc(arena, 1, sizeof *op);
    int at = 0;

    op->req = req;
    op->api = api;
    req->state = op;
    produce_response_init(&op->resp);
    op->resp.responses_len = body->topics_len;
    op->resp.responses =
        arena_zalloc(arena, (size_t)body->topics_len + 1, sizeof *op->resp.responses);
    for (int32_t t = 0; t < body->topics_len; t++)
        op->slots_len += body->topics[t].partitions_len;
    op->slots = arena_zalloc(arena, (size_t)op->slots_len + 1, sizeof *op->slots);
    for (int32_t t = 0; t < body->topics_len; t++) {
        const struct produce_request_topic *topic = &body->topics[t];
        struct produce_response_topic *out = &op->resp.responses[t];

        produce_response_topic_init(out);
        out->name = topic->name;
        out->partition_responses_len = topic->partitions_len;
        out->partition_responses = arena_zalloc(arena, (size_t)topic->partitions_len + 1,
                                                sizeof *out->partition_responses);
        for (int32_t p = 0; p < topic->partitions_len; p++) {
            struct produce_response_partition *part = &out->partition_responses[p];

            produce_response_partition_init(part);
            part->index = topic->partitions[p].index;
            part->base_offset = -1;
            part->log_append_time_ms = -1;
            part->log_start_offset = -1;
            op->slots[at++] = (struct slot){ .records = &topic->partitions[p].records,
                                             .out = part,
                                             .topic = topic->name,
                                             .op = op };
        }
    }
    return op;
}

void api_produce(struct request *req, void *body, void *context)
{
    const struct api *api = context;
    const struct produce_request *produce = body;

    if (produce->acks == 0)
        request_expect_none(req);
    struct produce_op *op = prepare(req, produce, api);

    op->acks = produce->acks;
    op->timeout_ms = produce->timeout_ms;
    atomic_init(&op->syncs, 1); /* ours, until all are posted */
    if (append_all(op))
        go_on(op);
    else
        go_aside(op);
}
