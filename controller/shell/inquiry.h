/*
 * inquiry - what an operator asks of a controller on the control stream: how it is, what it is busy
 * with, and that it gives up its seat.
 *
 * Ownership:  a status lives in the arena given.
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_INQUIRY_H
#define CONTROLLER_SHELL_INQUIRY_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "controller/core/core.h"
#include "gen/control.pb-c.h"

/* Who answers. */
struct inquiry {
    /* wants_resign: it may give up its seat, and says in the status whether it does. */
    void (*on_ask)(void *arg, bool wants_resign, struct arena *arena, Control__Status *status);
    void *arg;
};

/* Fills in what the core is busy with, the first of it. */
void inquiry_add_work(const struct core *core, int64_t now_ms, struct arena *arena,
                      Control__Status *status);

#endif
