/*
 * seat - one controller's place in the cluster: its ephemeral /controllers/ids/N, and who holds
 * /controller.
 *
 * It registers in every session by itself, stands for election whenever /controller is absent, and
 * bumps /controller_epoch in the same multi in which it wins. It does not stand while a KRaft
 * controller owns the tree, /migration is there, or a broker is registered that is not one of ours,
 * or that it must not read; it says why, once, and looks again when that may have changed. What can
 * be read and is no registration does not count.
 *
 * Ownership:  what hooks are given is lent.
 * Threads:    the event thread. Hooks are called from the mailbox only.
 */
#ifndef CONTROLLER_SHELL_SEAT_H
#define CONTROLLER_SHELL_SEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/zk/zk.h"

struct seat;

/* Who is active, as far as ZooKeeper says. */
struct seat_holder {
    int32_t id;      /* -1: nobody */
    bool is_listed;  /* has a /controllers/ids/<id>: one of ours; then the address is known */
    struct str host; /* null unless listed; NUL-terminated */
    int32_t port;
};

struct seat_hooks {
    /* /controller is ours under this epoch; writes check that version of /controller_epoch. */
    void (*on_won)(void *arg, int32_t epoch, int32_t epoch_version);
    /* It was ours and is not any more. The seat stands again by itself. reason is static. */
    void (*on_lost)(void *arg, const char *reason);
    /* Somebody else holds it now, or nobody (also when it is us, after on_won). */
    void (*on_holder)(void *arg, const struct seat_holder *holder);
};

struct seat_options {
    struct zk *zk;
    int32_t controller_id;
    const char *host; /* of controller.listener, as others reach it; already listening there */
    int32_t port;
    int64_t pause_ms;        /* before standing again after a failure or a resignation; 0: 200 */
    struct reactor *reactor; /* whose thread this is: pauses are its timers */
};

/* Starts at once if the session is there, else when it comes. */
struct seat *seat_new(const struct seat_options *options, const struct seat_hooks *hooks,
                      void *arg);
/* Not from inside a hook, and before zk_close(), which gives everything up by ending the session.
 */
void seat_free(struct seat **seat);

bool seat_is_held(const struct seat *seat);
int32_t seat_epoch(const struct seat *seat);         /* while held */
int32_t seat_epoch_version(const struct seat *seat); /* while held */
const struct seat_holder *seat_holder(const struct seat *seat);

/* Gives /controller up (checking our epoch), on_lost follows; then pauses before it stands again,
 * so that another has the chance. */
void seat_resign(struct seat *seat, const char *reason);
/* The same, when the cluster cannot be served as it is: who would win at once would only refuse
 * again, and read everything for it. pause_ms: before it stands again. */
void seat_refuse(struct seat *seat, const char *reason, int64_t pause_ms);
/* A write was refused because the epoch has moved: on_lost follows, nothing is deleted. */
void seat_fenced(struct seat *seat);
/* The connections of the active controller `holder` are refused: its process is dead. Takes
 * /controller over in one multi, if it still holds it and is listed. on_won follows if that
 * succeeds; nothing if not. */
void seat_take_over(struct seat *seat, int32_t holder);

#endif
