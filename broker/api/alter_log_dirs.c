/*
 * AlterReplicaLogDirs: which directory of this broker a replica is to be in. Answered when the move
 * has begun; DescribeLogDirs shows how far it is. A replica that is not here yet is made in that
 * directory when it comes; the answer says REPLICA_NOT_AVAILABLE for now, or that there is no such
 * topic. Directories are made
 * and locks of copying threads waited for, so the whole is done in the pool.
 *
 * Reference: Kafka's ReplicaManager.alterReplicaLogDirs, with its errors: a name that has no room
 * for "-future": 17; a directory that is not in log.dirs: 57; one that is offline, or any of them
 * while a copy is to be made: 56.
 */
#include "broker/api/alter_log_dirs.h"

#include <stdio.h>

#include "broker/api/api.h"
#include "broker/replica/moves.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/alter_replica_log_dirs.h"

#define NAME_MAX_BYTES      255
#define FUTURE_SUFFIX_BYTES 40 /* ".<32 hex>-future" */

struct alter_op {
    struct pool_job job;
    struct request *req;
    const struct api *api;
    const struct alter_replica_log_dirs_request *body;
    struct alter_replica_log_dirs_response resp;
};

static enum err alter(const struct alter_op *op, const struct parts_table *table, const char *dir,
                      struct str topic, int32_t partition)
{
    struct part *part = parts_find(table, topic, partition);
    char *name = arena_cstr(&op->req->arena, topic);

    if (topic.len + (size_t)snprintf(NULL, 0, "-%d", partition) + FUTURE_SUFFIX_BYTES >
        NAME_MAX_BYTES)
        return ERR_INVALID_TOPIC_EXCEPTION;
    enum err err = logs_check_dir(op->api->logs, dir);

    if (err != ERR_OK)
        return err;
    if (part == NULL) {
        struct image *image = meta_get_ref(op->api->meta);
        enum err why = api_why_not_here(image, topic, partition);

        image_unref(&image);
        logs_prefer_dir(op->api->logs, name, partition, dir);
        return why == ERR_NOT_LEADER_OR_FOLLOWER ? ERR_REPLICA_NOT_AVAILABLE : why;
    }
    return part_is_offline(part) ? ERR_KAFKA_STORAGE_ERROR : moves_begin(op->api->moves, part, dir);
}

static void alter_topic(struct alter_op *op, const struct parts_table *table, const char *dir,
                        const struct alter_replica_log_dirs_request_topic *topic)
{
    struct alter_replica_log_dirs_response_result *out = &op->resp.results[op->resp.results_len++];

    alter_replica_log_dirs_response_result_init(out);
    out->topic_name = topic->name;
    out->partitions_len = topic->partitions_len;
    out->partitions =
        arena_zalloc(&op->req->arena, (size_t)topic->partitions_len + 1, sizeof *out->partitions);
    for (int32_t p = 0; p < topic->partitions_len; p++) {
        enum err err = alter(op, table, dir, topic->name, topic->partitions[p]);

        if (err != ERR_OK)
            say_limited(SAY_WARN, "cannot move " TP_FMT " dir=%s err=%s", STR_ARG(topic->name),
                        topic->partitions[p], dir, err_name(err));
        alter_replica_log_dirs_response_partition_init(&out->partitions[p]);
        out->partitions[p].partition_index = topic->partitions[p];
        out->partitions[p].error_code = err_to_wire(err);
    }
}

static void run(struct pool_job *job)
{
    struct alter_op *op = container_of(job, struct alter_op, job);
    const struct parts_table *table = parts_get_table(op->api->parts);
    const struct alter_replica_log_dirs_request *body = op->body;
    size_t topics = 0;

    for (int32_t d = 0; d < body->dirs_len; d++)
        topics += (size_t)body->dirs[d].topics_len;
    alter_replica_log_dirs_response_init(&op->resp);
    op->resp.results = arena_zalloc(&op->req->arena, topics + 1, sizeof *op->resp.results);
    for (int32_t d = 0; d < body->dirs_len; d++) {
        const char *dir = arena_cstr(&op->req->arena, body->dirs[d].path);

        for (int32_t t = 0; t < body->dirs[d].topics_len; t++)
            alter_topic(op, table, dir, &body->dirs[d].topics[t]);
    }
    parts_put_table(&table);
}

static void done(struct pool_job *job)
{
    struct alter_op *op = container_of(job, struct alter_op, job);

    request_answer(op->req, &op->resp);
}

void api_alter_log_dirs(struct request *req, void *body, void *context)
{
    struct alter_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->api = context;
    op->body = body;
    op->job = (struct pool_job){ .run = run, .done = done, .reactor = req->reactor };
    pool_post(op->api->pool, &op->job);
}
