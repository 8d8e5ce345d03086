/*
 * Who coordinates a group is who leads its partition of __consumer_offsets, by the image; any
 * broker can tell. The first who asks has the topic created, and is answered once it is there;
 * those who ask meanwhile are told COORDINATOR_NOT_AVAILABLE, as is everybody while there are too
 * few brokers for its replicas. Producer ids without a transactional id, which is all that an
 * idempotent producer needs, come from any broker; there is no transaction coordinator.
 */
#include "broker/api/find_coordinator.h"

#include <stdatomic.h>

#include "broker/api/api.h"
#include "broker/api/internal_topic.h"
#include "broker/control/forward.h"
#include "broker/group/group_record.h"
#include "broker/group/groups.h"
#include "broker/txn/pids.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/apis.h"
#include "gen/wire/find_coordinator.h"
#include "gen/wire/init_producer_id.h"

#define KEY_GROUP       0
#define KEY_TRANSACTION 1
#define KEY_SHARE       2

struct find_op {
    struct forward_call call;
    struct request *req;
    struct api *api;
    const struct find_coordinator_request *body;
};

struct found {
    enum err err;
    struct str why; /* in place of the error's own text; null: that */
    int32_t node;
    struct str host;
    int32_t port;
};

static struct found not_found(enum err err, struct str why)
{
    return (struct found){ .err = err, .why = why, .node = -1, .host = STR_EMPTY, .port = -1 };
}

static struct found find_group(const struct find_op *op, const struct image *image, struct str key)
{
    const struct image_topic *topic =
        image != NULL ? image_topic_named(image, STR(GROUPS_TOPIC)) : NULL;
    struct api_hint hint;

    if (topic == NULL || topic->n_parts == 0 ||
        !api_leader_hint(image, op->req, topic->name, group_record_partition(key, topic->n_parts),
                         &hint) ||
        hint.node == NULL)
        return not_found(ERR_COORDINATOR_NOT_AVAILABLE, STR("The coordinator is not available."));
    return (struct found){ .why = STR_NULL,
                           .node = hint.leader,
                           .host = arena_str(&op->req->arena, hint.endpoint->host),
                           .port = hint.endpoint->port };
}

static struct found find(const struct find_op *op, const struct image *image, struct str key)
{
    switch (op->body->key_type) {
    case KEY_GROUP:
        return find_group(op, image, key);
    case KEY_TRANSACTION:
        return not_found(ERR_COORDINATOR_NOT_AVAILABLE,
                         STR("This broker does not coordinate transactions."));
    case KEY_SHARE:
        if (op->req->version >= 6)
            return not_found(ERR_COORDINATOR_NOT_AVAILABLE,
                             STR("This broker does not coordinate share groups."));
        break;
    default:
        break;
    }
    return not_found(ERR_INVALID_REQUEST, STR("The key type is not known."));
}

static void answer_one(struct find_op *op, const struct image *image)
{
    struct find_coordinator_response resp;
    struct found found = find(op, image, op->body->key);

    find_coordinator_response_init(&resp);
    resp.error_code = err_to_wire(found.err);
    resp.error_message = found.err == ERR_OK ? STR("NONE") : found.why;
    resp.node_id = found.node;
    resp.host = found.host;
    resp.port = found.port;
    request_answer(op->req, &resp);
}

static void answer_many(struct find_op *op, const struct image *image)
{
    struct find_coordinator_response resp;

    find_coordinator_response_init(&resp);
    resp.coordinators = arena_zalloc(&op->req->arena, (size_t)op->body->coordinator_keys_len + 1,
                                     sizeof *resp.coordinators);
    for (int32_t i = 0; i < op->body->coordinator_keys_len; i++) {
        struct find_coordinator_response_coordinator *out =
            &resp.coordinators[resp.coordinators_len++];
        struct found found = find(op, image, op->body->coordinator_keys[i]);

        find_coordinator_response_coordinator_init(out);
        out->key = op->body->coordinator_keys[i];
        out->node_id = found.node;
        out->host = found.host;
        out->port = found.port;
        out->error_code = err_to_wire(found.err);
        out->error_message = found.err == ERR_OK ? STR_EMPTY : found.why;
    }
    request_answer(op->req, &resp);
}

static void answer(struct find_op *op)
{
    struct image *image = meta_get_ref(op->api->meta);

    if (op->req->version < 4)
        answer_one(op, image);
    else
        answer_many(op, image);
    image_unref(&image);
}

/* ---- creating the topic ---- */

static void say_refused(struct find_op *op, const uint8_t *body, size_t len)
{
    struct create_topics_response resp;
    struct wire_in in = api_controller_answer(op->req, arena_dup(&op->req->arena, body, len), len);

    if (create_topics_response_decode(&resp, &in, INTERNAL_CREATE_VERSION) != ERR_OK ||
        resp.topics_len != 1)
        return;
    const struct create_topics_response_topic *topic = &resp.topics[0];
    if (topic->error_code == 0 || topic->error_code == ERR_TOPIC_ALREADY_EXISTS ||
        topic->error_code == ERR_REQUEST_TIMED_OUT)
        return;
    say_limited(SAY_WARN,
                GROUPS_TOPIC " cannot be created, groups have to wait err=%d why=\"%.*s\"",
                topic->error_code, STR_ARG(topic->error_message));
}

static void on_created(struct forward_call *call, enum err err, const uint8_t *body, size_t len)
{
    struct find_op *op = container_of(call, struct find_op, call);

    atomic_store_explicit(&op->api->creating_offsets, false, memory_order_release);
    if (err == ERR_OK)
        say_refused(op, body, len);
    answer(op);
}

static bool is_missing(const struct find_op *op)
{
    if (op->body->key_type != KEY_GROUP)
        return false;
    struct image *image = meta_get_ref(op->api->meta);
    bool missing = image != NULL && image_topic_named(image, STR(GROUPS_TOPIC)) == NULL;
    image_unref(&image);
    return missing;
}

static void create(struct find_op *op)
{
    struct arena *arena = &op->req->arena;
    struct create_topics_request request;

    create_topics_request_init(&request);
    request.timeout_ms = INTERNAL_CREATE_TIMEOUT_MS;
    request.topics = arena_zalloc(arena, 1, sizeof *request.topics);
    request.topics_len = 1;
    internal_topic_fill(op->api, STR(GROUPS_TOPIC), arena, &request.topics[0]);

    struct wire_out out = { .cap = create_topics_request_size(&request, INTERNAL_CREATE_VERSION) };
    out.base = arena_alloc(arena, out.cap);
    create_topics_request_encode(&request, &out, INTERNAL_CREATE_VERSION);
    op->call = (struct forward_call){
        .reactor = op->req->reactor,
        .done = on_created,
        .api_key = API_CREATE_TOPICS,
        .api_version = INTERNAL_CREATE_VERSION,
        .principal = str_of(op->req->principal),
        .client_id = op->req->client_id,
        .host = STR_EMPTY,
        .listener = str_of(op->req->listener->name),
        .body = out.base,
        .body_len = out.pos,
        .timeout_ms = INTERNAL_CREATE_TIMEOUT_MS,
    };
    forward_send(op->api->forward, &op->call);
}

void api_find_coordinator(struct request *req, void *body, void *context)
{
    struct find_op *op = arena_zalloc(&req->arena, 1, sizeof *op);

    op->req = req;
    op->api = context;
    op->body = body;
    req->state = op;
    /* one at a time, by whoever comes first */
    if (is_missing(op) &&
        !atomic_exchange_explicit(&op->api->creating_offsets, true, memory_order_acq_rel))
        create(op);
    else
        answer(op);
}

/* ---- InitProducerId ---- */

struct init_op {
    struct pids_waiter waiter;
    struct request *req;
};

static void answer_pid(struct request *req, enum err err, int64_t pid)
{
    struct init_producer_id_response resp;

    init_producer_id_response_init(&resp);
    resp.error_code = err_to_wire(err);
    resp.producer_id = err == ERR_OK ? pid : -1;
    resp.producer_epoch = err == ERR_OK ? 0 : -1;
    request_answer(req, &resp);
}

static void on_pid(struct pids_waiter *waiter)
{
    struct init_op *op = container_of(waiter, struct init_op, waiter);

    /* The controller gives the blocks; what a client does about this error is to ask again. */
    answer_pid(op->req, waiter->pid >= 0 ? ERR_OK : ERR_COORDINATOR_LOAD_IN_PROGRESS, waiter->pid);
}

void api_init_producer_id(struct request *req, void *body, void *context)
{
    const struct init_producer_id_request *asked = body;
    const struct api *api = context;
    int64_t pid;

    if ((asked->producer_id >= 0) != (asked->producer_epoch >= 0) ||
        (asked->transactional_id.ptr != NULL && asked->transactional_id.len == 0)) {
        answer_pid(req, ERR_INVALID_REQUEST, -1);
        return;
    }
    if (asked->transactional_id.ptr != NULL) {
        answer_pid(req, ERR_NOT_COORDINATOR, -1);
        return;
    }
    struct init_op *op = arena_zalloc(&req->arena, 1, sizeof *op);
    op->req = req;
    op->waiter = (struct pids_waiter){ .reactor = req->reactor, .done = on_pid };
    if (pids_take(api->pids, &op->waiter, &pid))
        answer_pid(req, ERR_OK, pid);
}
