/*
 * There is no group and no transaction coordinator in this broker: who looks for one is told
 * COORDINATOR_NOT_AVAILABLE with the reason in words. Producer ids without a transactional id,
 * which is all that an idempotent producer needs, come from any broker.
 */
#include "broker/api/find_coordinator.h"

#include "broker/api/api.h"
#include "broker/txn/pids.h"
#include "common/base/mem.h"
#include "gen/wire/find_coordinator.h"
#include "gen/wire/init_producer_id.h"

#define KEY_GROUP       0
#define KEY_TRANSACTION 1
#define KEY_SHARE       2

static enum err check_type(const struct find_coordinator_request *asked, int16_t version,
                           struct str *why)
{
    if (asked->key_type == KEY_GROUP || asked->key_type == KEY_TRANSACTION) {
        *why = asked->key_type == KEY_GROUP ? STR("This broker does not coordinate consumer "
                                                  "groups: assign partitions yourself.")
                                            : STR("This broker does not coordinate transactions.");
        return ERR_COORDINATOR_NOT_AVAILABLE;
    }
    *why = STR("The key type is not known.");
    return asked->key_type == KEY_SHARE && version >= 6 ? ERR_COORDINATOR_NOT_AVAILABLE
                                                        : ERR_INVALID_REQUEST;
}

void api_find_coordinator(struct request *req, void *body, void *context)
{
    const struct find_coordinator_request *asked = body;
    struct find_coordinator_response resp;
    struct str why;
    enum err err = check_type(asked, req->version, &why);

    (void)context;
    find_coordinator_response_init(&resp);
    if (req->version < 4) {
        resp.error_code = err_to_wire(err);
        resp.error_message = why;
        resp.node_id = -1;
        resp.host = STR_EMPTY;
        resp.port = -1;
        request_answer(req, &resp);
        return;
    }
    resp.coordinators = arena_zalloc(&req->arena, (size_t)asked->coordinator_keys_len + 1,
                                     sizeof *resp.coordinators);
    for (int32_t i = 0; i < asked->coordinator_keys_len; i++) {
        struct find_coordinator_response_coordinator *out =
            &resp.coordinators[resp.coordinators_len++];

        find_coordinator_response_coordinator_init(out);
        out->key = asked->coordinator_keys[i];
        out->node_id = -1;
        out->host = STR_EMPTY;
        out->port = -1;
        out->error_code = err_to_wire(err);
        out->error_message = why;
    }
    request_answer(req, &resp);
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
