/*
 * A call waits for a stream, then for its answer, then until this broker has applied what the
 * answer tells of, so that a client that hears "created" finds the topic here. What was sent on a
 * stream that ended is not sent again: it may have been done.
 */
#include "broker/control/forward.h"

#include <stdlib.h>
#include <string.h>

#include "broker/control/forward_int.h"
#include "common/base/mem.h"
#include "common/stream/stream.h" /* STREAM_FRAME_BYTES_MAX */

#define TICK_MS 100

/* Who asks is named beside it in its frame; no client id is longer than 32 KiB. */
#define BODY_BYTES_MAX (STREAM_FRAME_BYTES_MAX - 256 * 1024)

struct forward {
    struct forward_conf conf;
    struct forward_call *calls; /* [o] all that are open */
    uint64_t number;
    int32_t applied_epoch;
    uint64_t applied_version;
    struct reactor_timer tick;
    bool closed;
};

static void run_done(struct msg *msg)
{
    struct forward_call *call = container_of(msg, struct forward_call, msg);
    uint8_t *answer = call->answer;

    call->done(call, call->err, answer, call->answer_len); /* the call may be gone after this */
    free(answer);
}

static void tell(struct forward_call *call, enum err err)
{
    call->err = err;
    call->msg.run = run_done;
    reactor_post(call->reactor, &call->msg);
}

static void send_call(struct forward *forward, struct forward_call *call)
{
    Control__AdminRequest request = CONTROL__ADMIN_REQUEST__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;
    char *texts[4] = { xstrndup(call->principal.ptr, call->principal.len),
                       xstrndup(call->client_id.ptr, call->client_id.len),
                       xstrndup(call->host.ptr, call->host.len),
                       xstrndup(call->listener.ptr, call->listener.len) };

    call->number = ++forward->number;
    request.number = call->number;
    request.has_number = true;
    request.api_key = call->api_key;
    request.has_api_key = true;
    request.api_version = call->api_version;
    request.has_api_version = true;
    request.principal = texts[0];
    request.client_id = texts[1];
    request.host = texts[2];
    request.listener = texts[3];
    request.body.data = (uint8_t *)(uintptr_t)call->body;
    request.body.len = call->body_len;
    request.has_body = true;
    frame.admin_request = &request;
    forward->conf.send(forward->conf.ctx, &frame);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
}

static void take(struct msg *msg)
{
    struct forward_call *call = container_of(msg, struct forward_call, msg);
    struct forward *forward = call->forward;

    if (forward->closed) {
        tell(call, ERR_NOT_CONTROLLER);
        return;
    }
    if (call->body_len >
        BODY_BYTES_MAX) { /* it would end the stream, and with the next try another */
        tell(call, ERR_TOO_LARGE);
        return;
    }
    call->due_ms = reactor_now_ms(forward->conf.reactor) + call->timeout_ms;
    call->next = forward->calls;
    forward->calls = call;
    if (forward->conf.is_up(forward->conf.ctx))
        send_call(forward, call);
    if (!reactor_timer_is_set(&forward->tick))
        reactor_timer_set_ms(forward->conf.reactor, &forward->tick, TICK_MS);
}

void forward_send(struct forward *forward, struct forward_call *call)
{
    call->forward = forward;
    call->number = 0;
    call->answer = NULL;
    call->answer_len = 0;
    call->msg.run = take;
    reactor_post(forward->conf.reactor, &call->msg);
}

static bool is_applied(const struct forward *forward, const struct forward_call *call)
{
    return call->controller_epoch < forward->applied_epoch ||
           (call->controller_epoch == forward->applied_epoch &&
            call->version <= forward->applied_version);
}

/* Tells, and takes out of the list, every call that decide() gives an error or ERR_OK for. */
static void sweep(struct forward *forward,
                  bool (*decide)(struct forward *, struct forward_call *, enum err *))
{
    struct forward_call **at = &forward->calls;

    while (*at != NULL) {
        struct forward_call *call = *at;
        enum err err;

        if (decide(forward, call, &err)) {
            *at = call->next;
            tell(call, err);
        } else {
            at = &call->next;
        }
    }
}

static bool decide_timed_out(struct forward *forward, struct forward_call *call, enum err *err)
{
    *err = call->number == 0 ? ERR_NOT_CONTROLLER : ERR_REQUEST_TIMED_OUT;
    if (call->answer != NULL)
        *err = ERR_OK; /* done, only not applied here yet */
    return reactor_now_ms(forward->conf.reactor) >= call->due_ms;
}

static bool decide_sent(struct forward *forward, struct forward_call *call, enum err *err)
{
    (void)forward;
    *err = ERR_NOT_CONTROLLER;
    return call->number != 0 && call->answer == NULL;
}

static bool decide_applied(struct forward *forward, struct forward_call *call, enum err *err)
{
    *err = ERR_OK;
    return call->answer != NULL && is_applied(forward, call);
}

static bool decide_all(struct forward *forward, struct forward_call *call, enum err *err)
{
    (void)forward;
    (void)call;
    *err = ERR_NOT_CONTROLLER;
    return true;
}

static void on_tick(struct reactor_timer *timer)
{
    struct forward *forward = container_of(timer, struct forward, tick);

    sweep(forward, decide_timed_out);
    if (forward->calls != NULL)
        reactor_timer_set_ms(forward->conf.reactor, &forward->tick, TICK_MS);
}

void forward_on_up(struct forward *forward)
{
    for (struct forward_call *call = forward->calls; call != NULL; call = call->next)
        if (call->number == 0)
            send_call(forward, call);
}

void forward_on_down(struct forward *forward)
{
    sweep(forward, decide_sent);
}

void forward_on_answer(struct forward *forward, const Control__AdminAnswer *answer)
{
    struct forward_call **at = &forward->calls;

    while (*at != NULL && (*at)->number != answer->number)
        at = &(*at)->next;
    struct forward_call *call = *at;
    if (call == NULL || !answer->has_number || call->answer != NULL)
        return;
    if (!answer->has_body) {
        *at = call->next;
        tell(call, answer->has_error && answer->error != 0 ? (enum err)answer->error
                                                           : ERR_UNKNOWN_SERVER_ERROR);
        return;
    }
    call->answer = xmemdup(answer->body.data, answer->body.len);
    call->answer_len = answer->body.len;
    call->controller_epoch = answer->has_controller_epoch ? answer->controller_epoch : -1;
    call->version = answer->has_version ? answer->version : 0;
    sweep(forward, decide_applied);
}

void forward_on_applied(struct forward *forward, int32_t controller_epoch, uint64_t version)
{
    forward->applied_epoch = controller_epoch;
    forward->applied_version = version;
    sweep(forward, decide_applied);
}

struct forward *forward_new(const struct forward_conf *conf)
{
    struct forward *forward = xcalloc(1, sizeof *forward);

    forward->conf = *conf;
    forward->applied_epoch = -1;
    reactor_timer_init(&forward->tick, on_tick);
    return forward;
}

void forward_free(struct forward **forward_ptr)
{
    struct forward *forward = *forward_ptr;

    *forward_ptr = NULL;
    forward->closed = true;
    reactor_timer_cancel(forward->conf.reactor, &forward->tick);
    sweep(forward, decide_all);
    free(forward);
}
