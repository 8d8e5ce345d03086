#include "broker/api/api.h"
#include "broker/api/offsets.h"
#include "broker/group/groups.h"
#include "gen/wire/offset_delete.h"

struct delete_op {
    struct offset_unwanted *unwanted; /* those that the cluster has; others are refused before */
    size_t len;
    int16_t **codes; /* where each one's error goes */
};

/* The answer with what is refused at once; the rest is gathered. */
static void prepare(struct request *req, const struct api *api,
                    const struct offset_delete_request *asked, struct offset_delete_response *resp,
                    struct delete_op *op)
{
    struct arena *arena = &req->arena;
    struct image *image = meta_get_ref(api->meta);
    size_t n = 0;

    for (int32_t t = 0; t < asked->topics_len; t++)
        n += (size_t)asked->topics[t].partitions_len;
    op->unwanted = arena_alloc(arena, (n + 1) * sizeof *op->unwanted);
    op->codes = arena_alloc(arena, (n + 1) * sizeof *op->codes);
    resp->topics_len = asked->topics_len;
    resp->topics = arena_zalloc(arena, (size_t)asked->topics_len + 1, sizeof *resp->topics);
    for (int32_t t = 0; t < asked->topics_len; t++) {
        const struct offset_delete_request_topic *from = &asked->topics[t];
        struct offset_delete_response_topic *to = &resp->topics[t];
        const struct image_topic *known =
            image != NULL ? image_topic_named(image, from->name) : NULL;

        offset_delete_response_topic_init(to);
        to->name = from->name;
        to->partitions_len = from->partitions_len;
        to->partitions =
            arena_zalloc(arena, (size_t)from->partitions_len + 1, sizeof *to->partitions);
        for (int32_t i = 0; i < from->partitions_len; i++) {
            struct offset_delete_response_partition *part = &to->partitions[i];

            offset_delete_response_partition_init(part);
            part->partition_index = from->partitions[i].partition_index;
            if (known == NULL || image_topic_part(known, part->partition_index) == NULL) {
                part->error_code = err_to_wire(ERR_UNKNOWN_TOPIC_OR_PARTITION);
                continue;
            }
            op->codes[op->len] = &part->error_code;
            op->unwanted[op->len++] =
                (struct offset_unwanted){ .topic = from->name, .partition = part->partition_index };
        }
    }
    image_unref(&image);
}

void api_offset_delete(struct request *req, void *body, void *context)
{
    const struct offset_delete_request *asked = body;
    const struct api *api = context;
    struct offset_delete_response resp;
    struct delete_op op = { 0 };

    offset_delete_response_init(&resp);
    prepare(req, api, asked, &resp, &op);
    /* asked even if nothing is left: about the group there may be an error of its own */
    enum err err = groups_delete_offsets(api->groups, asked->group_id, op.unwanted, op.len);

    resp.error_code = err_to_wire(err);
    if (err != ERR_OK)
        resp.topics_len = 0;
    for (size_t i = 0; i < op.len; i++)
        *op.codes[i] = err_to_wire(op.unwanted[i].err);
    request_answer(req, &resp);
}
