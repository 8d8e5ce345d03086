/*
 * DescribeLogDirs: each directory of log.dirs with the replicas in it, how large they are and how
 * far behind. A replica that is being moved here is shown too, as a future one, with what it lacks
 * of the current. An offline directory has an error and nothing else. Asking a file system for its
 * room may wait for a disk, so the whole is done in the pool.
 *
 * Reference: Kafka's ReplicaManager.describeLogDirs.
 */
#include "broker/api/describe_log_dirs.h"

#include <stdlib.h>
#include <string.h>

#include "broker/api/api.h"
#include "common/base/mem.h"
#include "gen/wire/describe_log_dirs.h"

struct dirs_op {
    struct pool_job job;
    struct request *req;
    const struct api *api;
    const struct describe_log_dirs_request *body;
    struct describe_log_dirs_response resp;
};

struct found {
    struct str topic; /* the arena's */
    struct describe_log_dirs_response_partition out;
};

/* One directory on its way into the answer. */
struct scan {
    const struct dirs_op *op;
    const struct parts_table *table;
    struct found *found; /* malloc'ed */
    size_t len, cap;
};

/* A null list of topics asks for all; what is asked for twice is shown once. */
static bool is_asked_for(const struct describe_log_dirs_request *body, const char *topic,
                         int32_t partition)
{
    if (body->topics_len < 0)
        return true;
    for (int32_t t = 0; t < body->topics_len; t++) {
        if (!str_is(body->topics[t].topic, topic))
            continue;
        for (int32_t p = 0; p < body->topics[t].partitions_len; p++)
            if (body->topics[t].partitions[p] == partition)
                return true;
    }
    return false;
}

/* -1: the replica is not served here. */
static int64_t lag_of(const struct scan *scan, struct log *log, bool is_future)
{
    struct part *part = parts_find(scan->table, str_of(log_topic(log)), log_partition(log));
    struct part_info info;

    if (part == NULL || part_is_offline(part))
        return -1;
    part_get_info(part, &info);
    if (is_future)
        return info.leo - log_leo(log);
    return info.hw > log_leo(log) ? info.hw - log_leo(log) : 0;
}

static void note_log(void *ctx, struct log *log, bool is_future)
{
    struct scan *scan = ctx;

    if (!is_asked_for(scan->op->body, log_topic(log), log_partition(log)))
        return;
    array_reserve(&scan->found, &scan->cap, scan->len, sizeof *scan->found);
    struct found *found = &scan->found[scan->len++];

    describe_log_dirs_response_partition_init(&found->out);
    found->topic = arena_str(&scan->op->req->arena, str_of(log_topic(log)));
    found->out.partition_index = log_partition(log);
    found->out.partition_size = log_size_bytes(log);
    found->out.offset_lag = lag_of(scan, log, is_future);
    found->out.is_future_key = is_future;
}

static int by_topic(const void *left, const void *right)
{
    const struct found *a = left, *b = right;
    size_t len = a->topic.len < b->topic.len ? a->topic.len : b->topic.len;
    int order = memcmp(a->topic.ptr, b->topic.ptr, len);

    if (order != 0)
        return order;
    if (a->topic.len != b->topic.len)
        return a->topic.len < b->topic.len ? -1 : 1;
    return (a->out.partition_index > b->out.partition_index) -
           (a->out.partition_index < b->out.partition_index);
}

static void put_topics(const struct scan *scan, struct describe_log_dirs_response_result *out)
{
    struct arena *arena = &scan->op->req->arena;
    struct describe_log_dirs_response_topic *topic = NULL;
    struct describe_log_dirs_response_partition *parts =
        arena_zalloc(arena, scan->len + 1, sizeof *parts);

    if (scan->len > 0)
        qsort(scan->found, scan->len, sizeof *scan->found, by_topic);
    out->topics = arena_zalloc(arena, scan->len + 1, sizeof *out->topics);
    for (size_t i = 0; i < scan->len; i++) {
        if (topic == NULL || !str_eq(topic->name, scan->found[i].topic)) {
            topic = &out->topics[out->topics_len++];
            describe_log_dirs_response_topic_init(topic);
            topic->name = scan->found[i].topic;
            topic->partitions = parts;
        }
        *parts++ = scan->found[i].out;
        topic->partitions_len++;
    }
}

static void describe_dir(const struct dirs_op *op, const struct parts_table *table, size_t index,
                         struct describe_log_dirs_response_result *out)
{
    struct scan scan = { .op = op, .table = table };
    struct logs_dir_info info;

    describe_log_dirs_response_result_init(out);
    logs_dir_info(op->api->logs, index, &info);
    out->log_dir = str_of(info.path);
    if (info.is_offline) {
        out->error_code = ERR_KAFKA_STORAGE_ERROR;
        return;
    }
    out->total_bytes = info.total_bytes;
    out->usable_bytes = info.free_bytes;
    logs_each_in(op->api->logs, index, note_log, &scan);
    put_topics(&scan, out);
    free(scan.found);
}

static void run(struct pool_job *job)
{
    struct dirs_op *op = container_of(job, struct dirs_op, job);
    const struct parts_table *table = parts_get_table(op->api->parts);
    size_t count = logs_dir_count(op->api->logs);

    describe_log_dirs_response_init(&op->resp);
    op->resp.results = arena_zalloc(&op->req->arena, count, sizeof *op->resp.results);
    op->resp.results_len = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        describe_dir(op, table, i, &op->resp.results[i]);
    parts_put_table(&table);
}

static void done(struct pool_job *job)
{
    struct dirs_op *op = container_of(job, struct dirs_op, job);

    request_answer(op->req, &op->resp);
}

void api_describe_log_dirs(struct request *req, void *body, void *context)
{
    struct dirs_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->api = context;
    op->body = body;
    op->job = (struct pool_job){ .run = run, .done = done, .reactor = req->reactor };
    pool_post(op->api->pool, &op->job);
}
