/*
 * Metadata answers from the image. Topics that are asked for by name, are not there and may be
 * created are first asked of the controller, and the answer waits for that: the client then has the
 * topic with its first answer, where Kafka makes it ask again.
 *
 * A client whose connection to a broker broke asks at once who leads now. When ours to that broker
 * broke in the same moment, the controller is about to say: the answer waits for it, shortly. Told
 * the dead leader instead, the Java client asks again after 100 ms, librdkafka when its timer of
 * one second looks at partitions without a connection.
 *
 * Errors (reference: Kafka's KafkaApis.handleTopicMetadataRequest): a bad name 17; an unknown topic
 * 3, or 5 when it is being created; the controller's error when it could not be; an unknown id 100;
 * a name and an id before version 12: 42 for each.
 */
#include "broker/api/metadata.h"

#include "broker/api/api.h"
#include "broker/api/internal_topic.h"
#include "broker/control/forward.h"
#include "broker/meta/meta_answer.h"

#include "common/base/mem.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_topics.h"

#define CREATE_VERSION    INTERNAL_CREATE_VERSION
#define CREATE_TIMEOUT_MS INTERNAL_CREATE_TIMEOUT_MS
#define LOST_RECENT_MS    400 /* a broker lost longer ago than this is waited for no more */
#define LOST_WAIT_MS      100 /* meanwhile later requests of the connection wait too */
#define LOST_LOOK_MS      2

struct metadata_op {
    struct forward_call call;
    struct request *req;
    const struct api *api;
    const struct metadata_request *body;
    struct create_topics_response created; /* topics_len 0: nothing was created */
    bool create_failed;                    /* no answer: they may come yet */
    struct reactor_timer look;             /* while a broker was just lost */
    int64_t until_ms;
};

static struct str listener_of(const struct request *req)
{
    return str_of(req->listener->name);
}

/* ---- one topic ---- */

static enum err missing_error(const struct metadata_op *op, struct str name)
{
    if (!api_is_topic_name(name))
        return ERR_INVALID_TOPIC_EXCEPTION;
    if (op->create_failed)
        return ERR_LEADER_NOT_AVAILABLE;
    for (int32_t i = 0; i < op->created.topics_len; i++) {
        const struct create_topics_response_topic *topic = &op->created.topics[i];

        if (!str_eq(topic->name, name))
            continue;
        return topic->error_code == 0 || topic->error_code == ERR_TOPIC_ALREADY_EXISTS ||
                       topic->error_code == ERR_REQUEST_TIMED_OUT
                   ? ERR_LEADER_NOT_AVAILABLE
                   : (enum err)topic->error_code;
    }
    return ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

static void answer_asked(const struct metadata_op *op, const struct image *image,
                         const struct metadata_request_topic *asked,
                         struct metadata_response_topic *out)
{
    const struct request *req = op->req;
    bool by_id = !uuid_is_zero(asked->topic_id);
    const struct image_topic *topic;

    if (req->version >= 10 && req->version < 12 && (by_id || asked->name.ptr == NULL)) {
        meta_answer_no_topic(asked->name.ptr != NULL ? asked->name : STR_EMPTY, asked->topic_id,
                             ERR_INVALID_REQUEST, out);
        return;
    }
    if (image == NULL) {
        meta_answer_no_topic(asked->name, asked->topic_id, ERR_LEADER_NOT_AVAILABLE, out);
        return;
    }
    topic = by_id ? image_topic(image, asked->topic_id) : image_topic_named(image, asked->name);
    if (topic != NULL)
        meta_answer_topic(image, topic, listener_of(req), req->version,
                          op->body->include_topic_authorized_operations,
                          (struct arena *)(uintptr_t)&req->arena, out);
    else if (by_id)
        meta_answer_no_topic(STR_NULL, asked->topic_id, ERR_UNKNOWN_TOPIC_ID, out);
    else
        meta_answer_no_topic(asked->name, UUID_ZERO, missing_error(op, asked->name), out);
}

static bool wants_all(const struct metadata_op *op)
{
    return op->body->topics_len < 0 || (op->req->version == 0 && op->body->topics_len == 0);
}

static void answer_all(const struct metadata_op *op, const struct image *image,
                       struct metadata_response *resp)
{
    struct arena *arena = &op->req->arena;
    struct image_cursor at = { 0 };
    const struct image_topic *topic;

    resp->topics = arena_zalloc(arena, image_n_topics(image) + 1, sizeof *resp->topics);
    resp->topics_len = 0;
    while ((topic = image_next_topic(image, &at)) != NULL)
        meta_answer_topic(image, topic, listener_of(op->req), op->req->version,
                          op->body->include_topic_authorized_operations, arena,
                          &resp->topics[resp->topics_len++]);
}

/* Kafka makes a set of the names too. */
static const bool *repeats_of(const struct metadata_op *op)
{
    size_t len = (size_t)op->body->topics_len;
    struct str *names = arena_alloc(&op->req->arena, (len + 1) * sizeof *names);

    for (size_t i = 0; i < len; i++) {
        const struct metadata_request_topic *asked = &op->body->topics[i];

        names[i] = uuid_is_zero(asked->topic_id)
                       ? asked->name
                       : (struct str){ .ptr = (const char *)asked->topic_id.bytes,
                                       .len = sizeof asked->topic_id.bytes };
    }
    return api_repeats(&op->req->arena, names, len);
}

static void answer_some(struct metadata_op *op, const struct image *image,
                        struct metadata_response *resp)
{
    const bool *repeats = repeats_of(op);

    resp->topics =
        arena_zalloc(&op->req->arena, (size_t)op->body->topics_len + 1, sizeof *resp->topics);
    for (int32_t i = 0; i < op->body->topics_len; i++)
        if (repeats == NULL || !repeats[i])
            answer_asked(op, image, &op->body->topics[i], &resp->topics[resp->topics_len++]);
}

static void answer(struct metadata_op *op)
{
    struct arena *arena = &op->req->arena;
    struct image *image = meta_get_ref(op->api->meta);
    struct metadata_response resp;

    metadata_response_init(&resp);
    resp.controller_id = -1;
    if (image != NULL)
        meta_answer_cluster(image, listener_of(op->req), op->api->broker_id, arena, &resp);
    resp.cluster_authorized_operations =
        op->body->include_cluster_authorized_operations ? META_CLUSTER_OPERATIONS : META_NOT_ASKED;
    resp.topics_len = 0;
    if (wants_all(op)) {
        if (image != NULL)
            answer_all(op, image, &resp);
    } else {
        answer_some(op, image, &resp);
    }
    request_answer(op->req, &resp);
    image_unref(&image);
}

/* ---- creating what is missing ---- */

static void on_created(struct forward_call *call, enum err err, const uint8_t *body, size_t len)
{
    struct metadata_op *op = container_of(call, struct metadata_op, call);

    op->create_failed = true;
    if (err == ERR_OK) {
        struct wire_in in =
            api_controller_answer(op->req, arena_dup(&op->req->arena, body, len), len);

        if (create_topics_response_decode(&op->created, &in, CREATE_VERSION) == ERR_OK)
            op->create_failed = false;
        else
            op->created.topics_len = 0;
    }
    answer(op);
}

static bool may_create(const struct metadata_op *op)
{
    return !wants_all(op) && (op->req->version < 4 || op->body->allow_auto_topic_creation) &&
           op->api->auto_create_topics;
}

/* False when there is nothing to create. */
static bool create_missing(struct metadata_op *op)
{
    struct arena *arena = &op->req->arena;
    struct image *image = meta_get_ref(op->api->meta);
    struct create_topics_request create;

    create_topics_request_init(&create);
    create.timeout_ms = CREATE_TIMEOUT_MS;
    create.topics = arena_zalloc(arena, (size_t)op->body->topics_len + 1, sizeof *create.topics);
    for (int32_t i = 0; image != NULL && i < op->body->topics_len; i++) {
        struct str name = op->body->topics[i].name;

        if (name.ptr == NULL || !api_is_topic_name(name) || image_topic_named(image, name) != NULL)
            continue;
        internal_topic_fill(op->api, name, arena, &create.topics[create.topics_len++]);
    }
    image_unref(&image);
    if (create.topics_len == 0)
        return false;

    struct wire_out out = { .cap = create_topics_request_size(&create, CREATE_VERSION) };
    out.base = arena_alloc(arena, out.cap);
    create_topics_request_encode(&create, &out, CREATE_VERSION);
    op->call = (struct forward_call){
        .reactor = op->req->reactor,
        .done = on_created,
        .api_key = API_CREATE_TOPICS,
        .api_version = CREATE_VERSION,
        .principal = str_of(op->req->principal),
        .client_id = op->req->client_id,
        .host = STR_EMPTY,
        .listener = listener_of(op->req),
        .body = out.base,
        .body_len = out.pos,
        .timeout_ms = CREATE_TIMEOUT_MS,
    };
    forward_send(op->api->forward, &op->call);
    return true;
}

/* ---- a broker that was just lost ---- */

static bool is_news_due(const struct metadata_op *op)
{
    struct image *image = meta_get_ref(op->api->meta);
    bool due = false;

    for (size_t i = 0; image != NULL && i < image_n_nodes(image) && !due; i++) {
        const struct node *node = image_node_at(image, i);

        due = node_is_visible(node) && node->id != op->api->broker_id &&
              fetchers_just_lost(op->api->fetchers, node->id, LOST_RECENT_MS);
    }
    image_unref(&image);
    return due;
}

static void on_look(struct reactor_timer *timer)
{
    struct metadata_op *op = container_of(timer, struct metadata_op, look);

    if (reactor_now_ms(op->req->reactor) < op->until_ms && is_news_due(op))
        reactor_timer_set_ms(op->req->reactor, timer, LOST_LOOK_MS);
    else
        answer(op);
}

static void answer_soon(struct metadata_op *op)
{
    if (op->body->topics_len == 0 || !is_news_due(op)) {
        answer(op);
        return;
    }
    op->until_ms = reactor_now_ms(op->req->reactor) + LOST_WAIT_MS;
    reactor_timer_init(&op->look, on_look);
    reactor_timer_set_ms(op->req->reactor, &op->look, LOST_LOOK_MS);
}

void api_metadata(struct request *req, void *body, void *context)
{
    struct metadata_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->api = context;
    op->body = body;
    req->state = op;
    if (!may_create(op) || !create_missing(op))
        answer_soon(op);
}

void api_describe_cluster(struct request *req, void *body, void *context)
{
    const struct describe_cluster_request *asked = body;
    const struct api *api = context;
    struct image *image = meta_get_ref(api->meta);
    struct describe_cluster_response resp;

    describe_cluster_response_init(&resp);
    if (asked->endpoint_type != 1) {
        /* 2 is the KRaft controllers' type, which this cluster does not have. */
        resp.error_code = req->version == 0           ? ERR_INVALID_REQUEST
                          : asked->endpoint_type == 2 ? ERR_MISMATCHED_ENDPOINT_TYPE
                                                      : ERR_UNSUPPORTED_ENDPOINT_TYPE;
        resp.error_message = STR("This endpoint belongs to brokers.");
        resp.cluster_id = STR_EMPTY;
    } else if (image == NULL) {
        resp.error_code = ERR_BROKER_NOT_AVAILABLE;
        resp.error_message = STR("This broker has not heard of the cluster yet.");
        resp.cluster_id = STR_EMPTY;
    } else {
        meta_answer_describe(image, listener_of(req), api->broker_id,
                             asked->include_cluster_authorized_operations, &req->arena, &resp);
    }
    request_answer(req, &resp);
    image_unref(&image);
}
