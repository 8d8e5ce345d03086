/*
 * sink - where the core's events go: into shell/events, or into a test.
 *
 * Ownership:  the event and all it points to are lent during the call: step the core then and
 * there. Threads:    the event thread, from the mailbox only: never inside a call that was made to
 * whoever has the sink, so effects may be carried out while the core's effects are walked.
 */
#ifndef CONTROLLER_SHELL_SINK_H
#define CONTROLLER_SHELL_SINK_H

#include "controller/core/core.h"

struct sink {
    void (*on_event)(void *arg, const struct core_event *event);
    void *arg;
};

#endif
