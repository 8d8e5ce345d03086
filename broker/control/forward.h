/*
 * forward - clients' admin requests up to the controller, with who asks; answers down.
 *
 * Ownership:  a call is the caller's, in place until done() was called.
 * Threads:    forward_send() from any; done() on the call's reactor, exactly once.
 * Errors:     NOT_CONTROLLER when no controller could be reached in time, REQUEST_TIMED_OUT when it
 * did not answer; what was asked for may have happened all the same. TOO_LARGE: for the control
 * stream, nothing of it is done.
 */
#ifndef BROKER_CONTROL_FORWARD_H
#define BROKER_CONTROL_FORWARD_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mailbox.h"
#include "common/base/str.h"
#include "common/io/reactor.h"

struct forward;

struct forward_call {
    struct reactor *reactor; /* where done() runs */
    /* body: the response's body in api_version, lent; only when err is OK. */
    void (*done)(struct forward_call *call, enum err err, const uint8_t *body, size_t len);
    int16_t api_key, api_version;
    struct str principal, client_id, host, listener; /* borrowed until done() */
    const uint8_t *body;                             /* the request's body, borrowed until done() */
    size_t body_len;
    int64_t timeout_ms;

    struct msg msg; /* the module's, as are the next ones */
    struct forward *forward;
    struct forward_call *next;
    uint64_t number;
    int64_t due_ms;
    enum err err;
    uint8_t *answer;
    size_t answer_len;
    int32_t controller_epoch; /* the answer waits until this has been applied here */
    uint64_t version;
};

void forward_send(struct forward *forward, struct forward_call *call);

#endif
