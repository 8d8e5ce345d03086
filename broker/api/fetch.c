/*
 * Fetch (P7). The session says which partitions, in which order. Each is read once; when that gives
 * at least min_bytes, or an error, or nothing may be waited for, it is answered at once. Else what
 * was read is let go of and the request waits: a consumer for the high watermark (or the last
 * stable offset), a follower for the log's end. When something moves, all is read again from
 * scratch.
 *
 * What lies far from the end of a log is looked for in the page cache (two probes that never wait);
 * when it is not there a thread of the pool reads it first, for sendfile would wait for the disk on
 * the reactor. The ends of a range speak for all of it: files go cold in long stretches.
 *
 * Record bytes stay in their files: an answer holds ranges that the connection sends with sendfile.
 * What is small is copied into the answer instead: a sendfile with the headers around it costs
 * three system calls and 10 us, reading and sending 1 KiB together 6 us, and the reader of the
 * other end finds the bytes in the cache. Even at 32 KiB; a network card may think otherwise there,
 * so less. Versions before 4 want another format, so their bytes are read and converted.
 *
 * Most partitions of a follower's session are quiet: nothing is to be read, all has been told, and
 * nothing has changed since. Those are neither read nor answered for, only watched. That a follower
 * still asks for them is noted now and then, long before it would be missed; one that is not in
 * sync is always noted.
 *
 * A follower's place is noted when the request arrives, and not again when it is read after a wait:
 * its log is still where it was. It learns the high watermark from the answer, so while that is on
 * the move its wait is short: a follower's high watermark is then at most HW_NEWS_MS behind on an
 * idle partition, and under load new records wake it anyway.
 */
#include "broker/api/fetch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/api/api.h"
#include "broker/api/fetch_session.h"
#include "broker/delay/purgatory.h"
#include "broker/tables/stats.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/codec.h"
#include "common/wire/legacy.h"
#include "gen/wire/fetch.h"

#define ANSWER_MAX_BYTES    (1 << 30) /* of records; there must be room for the rest in the frame */
#define HW_NEWS_MS          100
#define CONVERTED_MAX_BYTES (64u << 20) /* of a partition */
#define CONVERTED_FROM_MOST (64 << 20)  /* of an answer, before: it is in memory as a whole */
#define WARM_BYTES          (64 << 10)
#define READERS_MAX         32
#define COPIED_MAX_BYTES    (16 << 10) /* of a range */
#define COPIED_ALL_BYTES    (64 << 10) /* of an answer */

struct fetched {
    struct part *part; /* a reference while waiting or answering, else NULL */
    int32_t reader;    /* the replica to read from instead, READ_FROM_LEADER: none */
    struct part_read read;
    enum err err;
    uint64_t changes; /* part_changes() before the read */
    bool is_quiet;    /* it has not been read again */
    bool is_known;    /* as quiet to the session */
};

struct fetch_op {
    struct delayed delayed;
    struct request *req;
    const struct api *api;
    const struct fetch_request *body;
    struct fetch_plan plan;
    struct fetched *results; /* one per target */
    int32_t replica;         /* -1: a consumer */
    int64_t replica_epoch;
    bool first_look;
    int64_t asked_ms;
    struct watch_node *watches; /* one per target, for every wait; NULL before the first */
    struct pool_job job;        /* warms what is cold */
    int64_t deadline_ms;
    size_t bytes;
    size_t copied;    /* of them, into the answer */
    bool must_answer; /* an error, a divergence, a log start that a follower does not know */
    int64_t held_ms;  /* some partition is held back by the quota: look again then; 0: none */
    bool hw_is_news;  /* a follower does not know the latest high watermark of some partition */
};

/* ---- reading ---- */

static enum part_isolation isolation_of(const struct fetch_op *op)
{
    if (op->replica >= 0)
        return PART_READ_LOG_END;
    return op->body->isolation_level == 1 ? PART_READ_COMMITTED : PART_READ_UNCOMMITTED;
}

static size_t budget_of(const struct fetch_op *op)
{
    int32_t max = op->body->max_bytes;

    if (op->req->version < 3)
        max = INT32_MAX; /* there is a bound per partition only */
    else if (max > op->api->fetch_max_bytes && op->replica < 0)
        max = op->api->fetch_max_bytes;
    if (max > ANSWER_MAX_BYTES)
        max = ANSWER_MAX_BYTES;
    if (op->req->version < 4 && max > CONVERTED_FROM_MOST)
        max = CONVERTED_FROM_MOST;
    return max > 0 ? (size_t)max : 0;
}

static enum err find_part(struct fetch_op *op, const struct parts_table *table, int32_t i)
{
    const struct fetch_target *target = &op->plan.targets[i];
    struct part *part;

    if (!target->known_topic)
        return ERR_UNKNOWN_TOPIC_ID;
    part = parts_find(table, target->topic, target->partition);
    if (part == NULL) {
        struct image *image = meta_get_ref(op->api->meta);
        enum err err = api_why_not_here(image, target->topic, target->partition);

        image_unref(&image);
        return err;
    }
    if (op->req->version >= 13 && !uuid_eq(part_topic_id(part), target->topic_id))
        return ERR_INCONSISTENT_TOPIC_ID;
    op->results[i].part = part_ref(part);
    return ERR_OK;
}

/* The replica that a consumer who says where it stands is better served by. It is asked about at
 * the leader only, and not again until its metadata are renewed (KIP-392). */
static int32_t choose_reader(const struct fetch_op *op, struct part *part, int64_t offset)
{
    struct reader readers[READERS_MAX];
    struct str rack = op->body->rack_id;
    size_t n;

    if (!op->api->rack_aware || op->replica >= 0 || rack.len == 0 || op->req->version < 11)
        return READ_FROM_LEADER;
    n = part_get_readers(part, offset, reactor_now_ms(op->req->reactor), readers, READERS_MAX);
    if (n == 0)
        return READ_FROM_LEADER;
    struct image *image = meta_get_ref(op->api->meta);
    const struct node *self = image != NULL ? image_node(image, op->api->broker_id) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct node *node = image != NULL ? image_node(image, readers[i].id) : NULL;

        if (node != NULL && node_is_visible(node) &&
            node_endpoint(node, str_of(op->req->listener->name)) != NULL)
            readers[i].rack = node->rack;
    }
    int32_t chosen = read_replica_choose(rack, self != NULL ? self->rack : STR_NULL, readers, n);
    image_unref(&image);
    return chosen;
}

/* Has nothing come of this partition since a look that found nothing? */
static bool is_quiet(struct fetch_op *op, const struct parts_table *table, int32_t i)
{
    const struct fetch_target *target = &op->plan.targets[i];
    struct fetched *result = &op->results[i];
    struct part *part = result->part;

    if (target->quiet_at == 0 ||
        (op->first_look && op->asked_ms - target->noted_ms >= op->api->note_every_ms))
        return false;
    if (part == NULL)
        part = parts_find_id(table, target->topic_id, target->partition);
    if (part == NULL || part_changes(part) != target->quiet_at || part_is_offline(part))
        return false;
    if (op->first_look) {
        result->part = part_ref(part);
        result->reader = READ_FROM_LEADER;
        result->read.offset = result->read.upper = target->fetch_offset;
        result->changes = target->quiet_at;
        result->is_known = true;
    }
    return true;
}

/* A follower that has all there is and knows how far it is committed. */
static bool is_up_to_date(const struct fetch_op *op, const struct fetched *result)
{
    const struct part_read *read = &result->read;

    return op->replica >= 0 && op->plan.incremental && op->req->version >= 13 &&
           result->err == ERR_OK && read->in_sync && !read->diverging && !read->is_throttled &&
           read->offset == read->upper && read->hw == read->upper;
}

static bool is_told(const struct fetch_target *target, const struct part_read *read)
{
    return target->told_hw == read->hw && target->told_log_start == read->log_start;
}

static void read_one(struct fetch_op *op, const struct parts_table *table, int32_t i, size_t *left)
{
    struct fetch_target *target = &op->plan.targets[i];
    struct fetched *result = &op->results[i];
    size_t max = target->max_bytes > 0 ? (size_t)target->max_bytes : 0;

    result->is_quiet = is_quiet(op, table, i);
    if (result->is_quiet)
        return;
    if (result->part == NULL)
        result->err = find_part(op, table, i);
    result->is_known = false;
    if (op->first_look)
        target->noted_ms = op->asked_ms;
    result->changes = result->part != NULL ? part_changes(result->part) : 0;
    result->reader = result->part != NULL ? choose_reader(op, result->part, target->fetch_offset)
                                          : READ_FROM_LEADER;
    result->read = (struct part_read){
        .offset = target->fetch_offset,
        .max_bytes = max < *left ? max : *left,
        .min_one = op->req->version >= 3 && op->bytes == 0,
        .current_leader_epoch = target->current_leader_epoch,
        .leader_only = op->req->version < 11,
        .ends_only = result->reader != READ_FROM_LEADER,
        .isolation = isolation_of(op),
        .replica = op->replica,
        .replica_epoch = op->replica_epoch,
        .replica_log_start = target->log_start_offset,
        .last_fetched_epoch = target->last_fetched_epoch,
        .note_follower = op->first_look,
        .quota = op->api->leader_quota,
        .hw = -1,
        .last_stable = -1,
        .log_start = -1,
        .leader = -1,
        .leader_epoch = -1,
    };
    if (result->part != NULL)
        result->err = part_read(result->part, &result->read, reactor_now_ms(op->req->reactor));
    if (result->err != ERR_OK || result->read.diverging || result->reader != READ_FROM_LEADER)
        op->must_answer = true;
    if (result->read.held_ms > 0 && (op->held_ms == 0 || result->read.held_ms < op->held_ms))
        op->held_ms = result->read.held_ms;
    op->bytes += result->read.range.len;
    *left -= result->read.range.len < *left ? result->read.range.len : *left;
    if (op->replica >= 0 && result->err == ERR_OK &&
        (target->told_hw != result->read.hw || result->read.hw < result->read.upper))
        op->hw_is_news = true;
    /* Somebody may be waiting for the followers to let go of deleted records. */
    if (op->replica >= 0 && result->err == ERR_OK && target->told_log_start >= 0 &&
        target->told_log_start < result->read.log_start)
        op->must_answer = true;
    target->quiet_at =
        is_up_to_date(op, result) && is_told(target, &result->read) ? result->changes : 0;
}

static void read_all(struct fetch_op *op)
{
    const struct parts_table *table = parts_get_table(op->api->parts);
    size_t left = budget_of(op);

    op->bytes = 0;
    op->must_answer = false;
    op->hw_is_news = false;
    op->held_ms = 0;
    /* Who asks without a bound does not expect that the first leave nothing for the last. */
    int32_t n = op->plan.targets_len;
    int32_t first = op->req->version < 3 && n > 0
                        ? (int32_t)((uint32_t)op->req->correlation_id % (uint32_t)n)
                        : 0;
    for (int32_t i = 0; i < n; i++)
        read_one(op, table, (first + i) % n, &left);
    parts_put_table(&table);
    op->first_look = false;
}

static void drop_ranges(struct fetch_op *op)
{
    for (int32_t i = 0; i < op->plan.targets_len; i++)
        if (op->results[i].read.range.len > 0)
            log_range_done(&op->results[i].read.range);
}

/* ---- answering ---- */

_Static_assert(sizeof(struct log_range) <= RANGE_OWN_BYTES, "a range_ref holds a log_range");

static bool range_is_valid(const struct range_ref *ref)
{
    struct log_range range;

    memcpy(&range, ref->own, sizeof range);
    return log_range_is_valid(&range);
}

static void range_release(struct range_ref *ref)
{
    struct log_range range;

    memcpy(&range, ref->own, sizeof range);
    file_unpin(range.file);
    log_range_done(&range);
}

static const struct range_ops range_ops = { .is_valid = range_is_valid, .release = range_release };

/* The range outlives the request's arena: it is let go of when the last byte is sent. */
static enum err put_range(struct fetch_op *op, struct fetched *result, struct wire_records *records)
{
    struct range_ref *ref = arena_zalloc(&op->req->arena, 1, sizeof *ref);
    int fd;
    enum err err = file_pin(result->read.range.file, &fd);

    if (err != ERR_OK)
        return err;
    const struct log_range *range = &result->read.range;
    *ref = (struct range_ref){ .ops = &range_ops, .fd = fd, .pos = range->pos, .len = range->len };
    memcpy(ref->own, range, sizeof *range);
    *records = (struct wire_records){ .len = (int32_t)range->len, .ext = ref };
    result->read.range = (struct log_range){ .len = 0 };
    return ERR_OK;
}

/* What a version cannot be given: zstd where the topic is stored so (a batch of another topic may
 * still turn out to be, on conversion), and converted batches where the topic refuses them. */
static enum err check_version(const struct fetch_op *op, const struct fetched *result)
{
    struct validate_conf validate;
    struct log_conf conf;

    if (op->req->version >= 10 || result->part == NULL)
        return ERR_OK;
    part_get_validate_conf(result->part, &validate);
    if (validate.compression == CODEC_ZSTD)
        return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    log_get_conf(part_log(result->part), &conf);
    return op->req->version < 4 && op->replica < 0 && !conf.down_conversion
               ? ERR_UNSUPPORTED_VERSION
               : ERR_OK;
}

/* Versions 0-1 understand magic 0, 2-3 magic 1. */
static enum err put_converted(struct fetch_op *op, struct fetched *result,
                              struct wire_records *records)
{
    struct log_range *range = &result->read.range;
    uint8_t *plain = arena_alloc(&op->req->arena, range->len);
    struct buf out = BUF_EMPTY;
    size_t got = 0;
    enum err err = log_range_read(range, 0, plain, range->len, &got);

    if (err == ERR_OK)
        err = legacy_down(plain, got, op->req->version < 2 ? 0 : 1, result->read.offset,
                          CONVERTED_MAX_BYTES, &out);
    if (err == ERR_OK) {
        records->data = arena_dup(&op->req->arena, out.bytes, out.len);
        records->len = (int32_t)out.len;
    }
    buf_fini(&out);
    return err;
}

static bool is_small(const struct fetch_op *op, const struct log_range *range)
{
    return range->len <= COPIED_MAX_BYTES && op->copied + range->len <= COPIED_ALL_BYTES;
}

static enum err put_copy(struct fetch_op *op, struct fetched *result, struct wire_records *records)
{
    const struct log_range *range = &result->read.range;
    uint8_t *bytes = arena_alloc(&op->req->arena, range->len);
    size_t got = 0;
    enum err err = log_range_read(range, 0, bytes, range->len, &got);

    if (err == ERR_CLOSED)
        return ERR_NOT_LEADER_OR_FOLLOWER; /* the log was cut or its files are gone: ask again */
    if (err == ERR_OK && got < range->len)
        err = ERR_KAFKA_STORAGE_ERROR;
    if (err != ERR_OK)
        return err;
    op->copied += got;
    *records = (struct wire_records){ .data = bytes, .len = (int32_t)got };
    return ERR_OK;
}

static enum err put_records(struct fetch_op *op, struct fetched *result,
                            struct wire_records *records)
{
    *records = (struct wire_records){ .data = (const uint8_t *)"", .len = 0 };
    if (result->read.range.len == 0)
        return ERR_OK;
    if (op->req->version < 4)
        return put_converted(op, result, records);
    if (is_small(op, &result->read.range))
        return put_copy(op, result, records);
    return put_range(op, result, records);
}

static enum err put_aborted(struct fetch_op *op, struct fetched *result,
                            struct fetch_response_partition *out)
{
    struct log_aborted *list = NULL;
    size_t count = 0;

    if (op->replica >= 0 || op->body->isolation_level != 1 || op->req->version < 4)
        return ERR_OK;
    out->aborted_transactions_len = 0;
    if (result->read.range.len == 0)
        return ERR_OK;
    enum err err = log_aborted_txns(part_log(result->part), result->read.offset,
                                    log_range_upper_offset(&result->read.range), &list, &count);
    if (err == ERR_OK && !log_range_is_fresh(&result->read.range)) {
        free(list);
        err = ERR_NOT_LEADER_OR_FOLLOWER; /* an aborted record must not pass for a good one: ask
                                             again */
    }
    if (err != ERR_OK)
        return err;
    out->aborted_transactions =
        arena_zalloc(&op->req->arena, count + 1, sizeof *out->aborted_transactions);
    for (size_t i = 0; i < count; i++) {
        out->aborted_transactions[i].producer_id = list[i].producer_id;
        out->aborted_transactions[i].first_offset = list[i].first_offset;
    }
    out->aborted_transactions_len = (int32_t)count;
    free(list);
    return ERR_OK;
}

static void put_error(struct fetch_op *op, struct fetched *result,
                      struct fetch_response_partition *out, enum err err)
{
    out->error_code = err_to_wire(err);
    if (err == ERR_KAFKA_STORAGE_ERROR && op->req->version <= 5)
        out->error_code = ERR_NOT_LEADER_OR_FOLLOWER;
    out->high_watermark = -1;
    out->last_stable_offset = -1;
    out->log_start_offset = -1;
    if (op->req->version >= 16 && result->read.leader >= 0 &&
        (err == ERR_NOT_LEADER_OR_FOLLOWER || err == ERR_FENCED_LEADER_EPOCH)) {
        out->has_current_leader = true;
        out->current_leader.leader_id = result->read.leader;
        out->current_leader.leader_epoch = result->read.leader_epoch;
    }
}

/* False when an incremental answer leaves it out. */
static bool put_partition(struct fetch_op *op, int32_t i, struct fetch_response_partition *out)
{
    struct fetched *result = &op->results[i];
    const struct fetch_target *target = &op->plan.targets[i];
    enum err err = result->err;

    fetch_response_partition_init(out);
    out->partition_index = target->partition;
    out->records = (struct wire_records){ .data = (const uint8_t *)"", .len = 0 };
    out->aborted_transactions_len = -1;
    out->preferred_read_replica = -1;
    out->high_watermark = result->read.hw;
    out->last_stable_offset = result->read.last_stable;
    out->log_start_offset = result->read.log_start;
    if (err == ERR_OK)
        err = check_version(op, result);
    if (err == ERR_OK)
        err = put_aborted(op, result, out);
    if (err == ERR_OK)
        err = put_records(op, result, &out->records);
    if (err != ERR_OK)
        put_error(op, result, out, err);
    if (out->error_code == 0)
        out->preferred_read_replica = result->reader;
    if (result->read.diverging) {
        out->has_diverging_epoch = true;
        out->diverging_epoch.epoch = result->read.diverging_epoch;
        out->diverging_epoch.end_offset = result->read.diverging_end;
    }
    STAT_ADD(fetches, 1);
    if (out->error_code != 0)
        STAT_ADD(failed_fetches, 1);
    else if (op->replica >= 0)
        STAT_ADD(replication_bytes_out, out->records.len);
    else
        STAT_ADD(bytes_out, out->records.len);
    if (result->read.is_throttled && out->records.len > 0)
        repl_quota_add(op->api->leader_quota, (size_t)out->records.len,
                       reactor_now_ms(op->req->reactor));
    struct fetch_told told = {
        .hw = out->high_watermark,
        .log_start = out->log_start_offset,
        .has_records = out->records.len > 0,
        .has_error = out->error_code != 0 || result->read.diverging ||
                     out->preferred_read_replica != READ_FROM_LEADER,
        .quiet_at = is_up_to_date(op, result) ? result->changes : 0,
        .noted_ms = target->noted_ms,
    };
    return fetch_plan_tell(op->api->sessions, &op->plan, i, &told);
}

static void add_endpoints(struct fetch_op *op, struct fetch_response *resp)
{
    struct image *image = NULL;
    struct fetch_response_node_endpoint *endpoints = NULL;
    int32_t len = 0;

    for (int32_t t = 0; t < resp->responses_len; t++) {
        struct fetch_response_topic *topic = &resp->responses[t];

        for (int32_t p = 0; p < topic->partitions_len; p++) {
            struct fetch_response_partition *part = &topic->partitions[p];
            bool there = false;

            if (!part->has_current_leader)
                continue;
            if (image == NULL) {
                image = meta_get_ref(op->api->meta);
                endpoints = arena_zalloc(&op->req->arena, image != NULL ? image_n_nodes(image) : 0,
                                         sizeof *endpoints);
            }
            const struct node *node =
                image != NULL ? image_node(image, part->current_leader.leader_id) : NULL;
            const struct endpoint *endpoint =
                node != NULL && node_is_visible(node)
                    ? node_endpoint(node, str_of(op->req->listener->name))
                    : NULL;
            for (int32_t e = 0; e < len; e++)
                there |= endpoints[e].node_id == part->current_leader.leader_id;
            if (endpoint == NULL || there)
                continue;
            fetch_response_node_endpoint_init(&endpoints[len]);
            endpoints[len].node_id = node->id;
            endpoints[len].host = arena_str(&op->req->arena, endpoint->host);
            endpoints[len].port = endpoint->port;
            endpoints[len++].rack = arena_str(&op->req->arena, node->rack);
        }
    }
    image_unref(&image);
    resp->node_endpoints = endpoints;
    resp->node_endpoints_len = len;
}

static void release(struct fetch_op *op)
{
    drop_ranges(op);
    for (int32_t i = 0; i < op->plan.targets_len; i++)
        if (op->results[i].part != NULL)
            part_unref(&op->results[i].part);
    fetch_plan_fini(op->api->sessions, &op->plan);
}

/* Partitions of one topic that follow one another share its entry. */
static void answer(struct fetch_op *op)
{
    struct arena *arena = &op->req->arena;
    struct fetch_response resp;
    size_t n = (size_t)op->plan.targets_len;
    struct fetch_response_topic *topics = arena_alloc(arena, (n + 1) * sizeof *topics);
    struct fetch_response_partition *parts = arena_alloc(arena, (n + 1) * sizeof *parts);
    struct fetch_response_topic *topic = NULL;
    int32_t topics_len = 0;

    fetch_response_init(&resp);
    for (int32_t i = 0; i < op->plan.targets_len; i++) {
        const struct fetch_target *target = &op->plan.targets[i];
        const struct fetched *result = &op->results[i];

        if (result->is_quiet && result->is_known) {
            STAT_ADD(fetches, 1);
            continue;
        }
        if (!put_partition(op, i, parts))
            continue;
        if (topic == NULL || !uuid_eq(topic->topic_id, target->topic_id) ||
            !str_eq(topic->topic, target->topic)) {
            topic = &topics[topics_len++];
            fetch_response_topic_init(topic);
            topic->topic = target->topic;
            topic->topic_id = target->topic_id;
            topic->partitions = parts;
            topic->partitions_len = 0;
        }
        topic->partitions_len++;
        parts++;
    }
    resp.session_id = op->plan.session_id;
    resp.responses = topics;
    resp.responses_len = topics_len;
    if (op->req->version >= 16)
        add_endpoints(op, &resp);
    release(op);
    request_answer(op->req, &resp);
}

/* ---- cold pages ---- */

static bool is_cold(const struct fetch_op *op, const struct log_range *range)
{
    struct disk *disk = files_disk(logs_files(op->api->logs));
    int fd;

    if (range->len == 0 || range->is_recent || file_pin(range->file, &fd) != ERR_OK)
        return false;
    bool cold = !disk_is_warm(disk, fd, range->pos, 1) ||
                !disk_is_warm(disk, fd, range->pos + (int64_t)range->len - 1, 1);

    file_unpin(range->file);
    return cold;
}

static void run_warming(struct pool_job *job)
{
    struct fetch_op *op = container_of(job, struct fetch_op, job);
    uint8_t bytes[WARM_BYTES];

    for (int32_t i = 0; i < op->plan.targets_len; i++) {
        const struct log_range *range = &op->results[i].read.range;
        size_t got = 1;

        /* What cannot be read is found out again, and told, when it is sent. */
        for (size_t at = 0; at < range->len && got > 0; at += got)
            if (log_range_read(range, at, bytes, sizeof bytes, &got) != ERR_OK)
                break;
    }
}

static void done_warming(struct pool_job *job)
{
    answer(container_of(job, struct fetch_op, job));
}

static void answer_warm(struct fetch_op *op)
{
    bool cold = false;

    for (int32_t i = 0; i < op->plan.targets_len && !cold; i++)
        cold = is_cold(op, &op->results[i].read.range);
    if (!cold) {
        answer(op);
        return;
    }
    STAT_ADD(fetches_cold, 1);
    op->job =
        (struct pool_job){ .run = run_warming, .done = done_warming, .reactor = op->req->reactor };
    pool_post(op->api->pool, &op->job);
}

/* ---- waiting ---- */

static void wait_more(struct fetch_op *op, int64_t timeout_ms);

static bool is_enough(const struct fetch_op *op)
{
    int64_t min_bytes = op->body->min_bytes, budget = (int64_t)budget_of(op);

    if (min_bytes > budget)
        min_bytes = budget; /* Kafka: fetchMinBytes */
    return op->must_answer || op->plan.targets_len == 0 || (int64_t)op->bytes >= min_bytes;
}

static void on_wake(struct delayed *delayed, enum delayed_why why)
{
    struct fetch_op *op = container_of(delayed, struct fetch_op, delayed);
    int64_t left_ms = op->deadline_ms - reactor_now_ms(op->req->reactor);

    drop_ranges(op);
    read_all(op);
    if (why == DELAYED_MET && !is_enough(op) && left_ms > 0 && !request_is_dropped(op->req))
        wait_more(op, left_ms);
    else
        answer_warm(op);
}

static struct watch_list *list_of(const struct fetch_op *op, struct part *part)
{
    switch (isolation_of(op)) {
    case PART_READ_LOG_END:
        return part_grown(part);
    case PART_READ_COMMITTED:
        return part_stable(part);
    case PART_READ_UNCOMMITTED:
        break;
    }
    return part_committed(part);
}

/* The high watermark is moved first and transactions are settled then, which nothing counts: a read
 * in between sees the new high watermark, and where nothing was stable before. */
static bool is_settled_since(const struct fetch_op *op, const struct fetched *result)
{
    return isolation_of(op) == PART_READ_COMMITTED &&
           log_last_stable_offset(part_log(result->part), result->read.hw) !=
               result->read.last_stable;
}

/* Has any bound moved since the read that the watches start from, or a directory failed, which
 * nothing counts? */
static bool has_moved(const struct fetch_op *op)
{
    for (int32_t i = 0; i < op->plan.targets_len; i++) {
        const struct fetched *result = &op->results[i];
        struct part_info info;

        if (result->part != NULL && part_is_offline(result->part))
            return true;
        if (result->part == NULL)
            continue;
        if (is_settled_since(op, result))
            return true;
        if (part_changes(result->part) == result->changes)
            continue;
        part_get_info(result->part, &info);
        int64_t bound = op->replica >= 0 ? info.leo : info.hw;
        int64_t seen = op->replica >= 0 ? result->read.upper : result->read.hw;

        if (bound != seen || info.leader_epoch != result->read.leader_epoch ||
            (op->replica >= 0 && info.log_start != result->read.log_start))
            return true;
    }
    return false;
}

static void wait_more(struct fetch_op *op, int64_t timeout_ms)
{
    size_t n = (size_t)op->plan.targets_len;

    if (op->watches == NULL)
        op->watches = arena_alloc(&op->req->arena, n * sizeof *op->watches);
    if (op->hw_is_news && timeout_ms > HW_NEWS_MS)
        timeout_ms = HW_NEWS_MS;
    if (op->held_ms > 0 && timeout_ms > op->held_ms)
        timeout_ms = op->held_ms;
    delayed_init(&op->delayed, op->req->reactor, on_wake, op->watches);
    for (int32_t i = 0; i < op->plan.targets_len; i++) {
        struct fetched *result = &op->results[i];
        int64_t from =
            result->read.offset > result->read.upper ? result->read.offset : result->read.upper;

        if (result->part != NULL)
            delayed_watch(&op->delayed, list_of(op, result->part), from + 1);
    }
    delayed_start(&op->delayed, false, timeout_ms);
    if (has_moved(op))
        delayed_finish_later(&op->delayed);
}

static void on_drop(struct request *req)
{
    struct fetch_op *op = req->state;

    delayed_finish(&op->delayed, DELAYED_CANCELLED);
}

/* ---- taking it up ---- */

struct name_lookup {
    const struct api *api;
    struct image *image;
};

static const struct image *lookup_image(struct name_lookup *lookup)
{
    if (lookup->image == NULL)
        lookup->image = meta_get_ref(lookup->api->meta);
    return lookup->image;
}

static bool name_of(void *ctx, struct uuid id, struct str *name)
{
    const struct image *image = lookup_image(ctx);
    const struct image_topic *topic = image != NULL ? image_topic(image, id) : NULL;

    if (topic == NULL)
        return false;
    *name = topic->name;
    return true;
}

static bool id_of(void *ctx, struct str name, struct uuid *id)
{
    const struct image *image = lookup_image(ctx);
    const struct image_topic *topic = image != NULL ? image_topic_named(image, name) : NULL;

    if (topic == NULL)
        return false;
    *id = topic->id;
    return true;
}

static void answer_error(struct request *req, enum err err)
{
    struct fetch_response resp;

    fetch_response_init(&resp);
    resp.error_code = err_to_wire(err);
    request_answer(req, &resp);
}

void api_fetch(struct request *req, void *body, void *context)
{
    const struct api *api = context;
    const struct fetch_request *fetch = body;
    struct fetch_op *op = arena_zalloc(&req->arena, 1, sizeof *op);
    struct name_lookup lookup = { .api = api };
    const struct fetch_names names = { .name_of = name_of, .id_of = id_of, .ctx = &lookup };

    op->req = req;
    op->api = api;
    op->body = fetch;
    op->replica = req->version >= 15
                      ? (fetch->has_replica_state ? fetch->replica_state.replica_id : -1)
                      : fetch->replica_id;
    op->replica_epoch =
        req->version >= 15 && fetch->has_replica_state ? fetch->replica_state.replica_epoch : -1;
    op->first_look = true;
    op->asked_ms = reactor_now_ms(req->reactor);
    req->state = op;
    req->is_follower = op->replica >= 0;
    fetch_plan_make(api->sessions, fetch, req->version, op->replica >= 0, &names,
                    reactor_now_ms(req->reactor), &req->arena, &op->plan);
    image_unref(&lookup.image);
    if (op->plan.err != ERR_OK) {
        answer_error(req, op->plan.err);
        return;
    }
    op->results = arena_zalloc(&req->arena, (size_t)op->plan.targets_len + 1, sizeof *op->results);
    read_all(op);
    if (fetch->max_wait_ms <= 0 || is_enough(op)) {
        answer_warm(op);
        return;
    }
    op->deadline_ms = reactor_now_ms(req->reactor) + fetch->max_wait_ms;
    request_on_drop(req, on_drop);
    wait_more(op, fetch->max_wait_ms);
}
