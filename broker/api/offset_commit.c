/*
 * Partitions that the cluster does not have are refused one by one (3); the rest is one commit. An
 * expiry of its own (versions 2 to 4) is told in ms from now.
 */
#include "broker/api/api.h"
#include "broker/api/offsets.h"
#include "broker/group/groups.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "gen/wire/offset_commit.h"

#define UNSAID (-1)

struct commit_op {
    struct offset_commit commit;
    struct request *req;
    const struct offset_commit_request *body;
};

static void answer(struct commit_op *op)
{
    struct arena *arena = &op->req->arena;
    const struct offset_item *item = op->commit.items;
    struct offset_commit_response resp;

    offset_commit_response_init(&resp);
    resp.topics_len = op->body->topics_len;
    resp.topics = arena_zalloc(arena, (size_t)resp.topics_len + 1, sizeof *resp.topics);
    for (int32_t t = 0; t < resp.topics_len; t++) {
        const struct offset_commit_request_topic *from = &op->body->topics[t];
        struct offset_commit_response_topic *to = &resp.topics[t];

        offset_commit_response_topic_init(to);
        to->name = from->name;
        to->partitions_len = from->partitions_len;
        to->partitions =
            arena_zalloc(arena, (size_t)from->partitions_len + 1, sizeof *to->partitions);
        for (int32_t i = 0; i < from->partitions_len; i++, item++) {
            offset_commit_response_partition_init(&to->partitions[i]);
            to->partitions[i].partition_index = from->partitions[i].partition_index;
            to->partitions[i].error_code = err_to_wire(item->err);
        }
    }
    request_answer(op->req, &resp);
}

static void on_committed(struct group_call *call)
{
    struct offset_commit *commit = container_of(call, struct offset_commit, call);

    answer(container_of(commit, struct commit_op, commit));
}

static struct offset_item read_item(const struct offset_commit_request *asked, struct str topic,
                                    const struct offset_commit_request_partition *part,
                                    int64_t wall_ms)
{
    return (struct offset_item){
        .topic = topic,
        .partition = part->partition_index,
        .value = { .offset = part->committed_offset,
                   .leader_epoch = part->committed_leader_epoch,
                   .metadata =
                       str_is_null(part->committed_metadata) ? STR_EMPTY : part->committed_metadata,
                   .commit_ms = part->commit_timestamp == UNSAID ? wall_ms : part->commit_timestamp,
                   .expire_ms = asked->retention_time_ms == UNSAID
                                    ? -1
                                    : offsets_expiry_ms(wall_ms, asked->retention_time_ms) },
    };
}

/* False when nothing is left to be committed. */
static bool read_items(struct commit_op *op, const struct api *api)
{
    const struct offset_commit_request *asked = op->body;
    struct image *image = meta_get_ref(api->meta);
    int64_t wall_ms = clock_wall_ms();
    bool any = false;

    for (int32_t t = 0; t < asked->topics_len; t++)
        op->commit.len += (size_t)asked->topics[t].partitions_len;
    op->commit.items =
        arena_alloc(&op->req->arena, (op->commit.len + 1) * sizeof *op->commit.items);
    struct offset_item *item = op->commit.items;
    for (int32_t t = 0; t < asked->topics_len; t++) {
        const struct offset_commit_request_topic *topic = &asked->topics[t];
        const struct image_topic *known =
            image != NULL ? image_topic_named(image, topic->name) : NULL;

        for (int32_t i = 0; i < topic->partitions_len; i++, item++) {
            *item = read_item(asked, topic->name, &topic->partitions[i], wall_ms);
            if (known == NULL || item->partition < 0 || item->partition >= known->n_parts)
                item->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
            any = any || item->err == ERR_OK;
        }
    }
    image_unref(&image);
    return any;
}

void api_offset_commit(struct request *req, void *body, void *context)
{
    const struct offset_commit_request *asked = body;
    const struct api *api = context;
    struct commit_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->body = asked;
    req->state = op;
    op->commit.call =
        (struct group_call){ .reactor = req->reactor, .arena = &req->arena, .done = on_committed };
    op->commit.group_id = asked->group_id;
    op->commit.member = str_is_null(asked->member_id) ? STR_EMPTY : asked->member_id;
    op->commit.instance = asked->group_instance_id;
    op->commit.generation = asked->generation_id_or_member_epoch;
    if (read_items(op, api))
        groups_commit(api->groups, &op->commit);
    else
        answer(op);
}
