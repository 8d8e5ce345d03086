/*
 * forward_int - the control reactor's side of forward: used by control.c and nobody else.
 */
#ifndef BROKER_CONTROL_FORWARD_INT_H
#define BROKER_CONTROL_FORWARD_INT_H

#include "broker/control/forward.h"
#include "common/stream/stream.h"

struct forward_conf {
    struct reactor *reactor; /* the control reactor */
    bool (*is_up)(void *ctx);
    void (*send)(void *ctx, const Control__Frame *frame);
    void *ctx;
};

struct forward *forward_new(const struct forward_conf *conf);
/* Calls that are open are told NOT_CONTROLLER. */
void forward_free(struct forward **forward);
void forward_on_up(struct forward *forward);
void forward_on_down(struct forward *forward);
void forward_on_answer(struct forward *forward, const Control__AdminAnswer *answer);
/* (epoch, version) has been applied: answers that waited for it go out. */
void forward_on_applied(struct forward *forward, int32_t controller_epoch, uint64_t version);

#endif
