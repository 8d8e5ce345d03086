/*
 * control - this broker's end of the control path: its thread, its ZooKeeper session, its stream.
 *
 * Start order, for broker.c: control_start() connects to ZooKeeper; control_wait_cluster_id() gives
 * what the log directories are checked against; control_take_seqid() makes an id where none is
 * known; control_attach() names who applies and reports; and control_enroll() lets the broker
 * register and look for the controller.
 *
 * Threads:    start, wait, attach, enroll, leave and stop by main; the rest as said.
 */
#ifndef BROKER_CONTROL_CONTROL_H
#define BROKER_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/control/forward.h"
#include "broker/group/groups.h"
#include "broker/meta/meta.h"
#include "broker/replica/parts.h"
#include "broker/txn/pids.h"
#include "common/base/err.h"
#include "common/io/resolver.h"
#include "common/model/node.h"

struct control;

struct control_conf {
    const struct node *self;       /* id, rack, endpoints; borrowed */
    struct resolver *resolver;     /* of the names of controllers and other brokers */
    const char *zookeeper_connect; /* borrowed, as the rest */
    int32_t zookeeper_session_timeout_ms;
    const char *state_dir; /* where the session and the machine's boot id are kept */
    const char *software;
    bool clean_stop; /* the process before us stopped cleanly, and all it left can be read */
    bool new_dir;    /* a log directory is new: what lay in its place may be lost */
    int32_t min_isr; /* min.insync.replicas of the settings file */
    struct reactor *const *reactors; /* that a heartbeat is gated on */
    size_t reactors_len;
    /* Is a stop asked for? By who waits in control_wait_cluster_id() and control_take_seqid(). May
     * be NULL. */
    bool (*is_stopping)(void *ctx);
    /* This broker must not go on: why. On the control thread, once. */
    void (*on_fatal)(void *ctx, const char *why);
    /* The first image has been applied. On the control thread, once. */
    void (*on_ready)(void *ctx);
    void *ctx;
};

/* When the registration of an earlier process stands in the way and nobody answers there, its
 * session is ended. */
struct control *control_start(const struct control_conf *conf);
/* Waits for ZooKeeper; ERR_TIMED_OUT, ERR_SHUTTING_DOWN. id: 22 characters and NUL. */
MUST_USE enum err control_wait_cluster_id(struct control *control, int64_t timeout_ms, char id[23]);

/* A number that no other broker gets (see zk_seqid); ERR_TIMED_OUT, ERR_SHUTTING_DOWN or what
 * ZooKeeper says. self->id may be set until control_attach(). */
MUST_USE enum err control_take_seqid(struct control *control, int64_t timeout_ms, int32_t *number);

struct control_parties {
    struct parts *parts;
    struct groups *groups;
    struct meta *meta;
    struct pids *pids;
};
void control_attach(struct control *control, const struct control_parties *parties);
/* Who asks for admin requests to be forwarded; after control_attach(). */
struct forward *control_forward(struct control *control);
/* Registers, connects; from now on roles come. Clients' listeners are bound by now. */
void control_enroll(struct control *control);
/* Any thread: has a first image been applied? */
bool control_has_image(const struct control *control);

/* Any thread: for parts and logs. */
void control_propose(struct control *control, struct part *part,
                     const struct part_proposal *proposal);
void control_want_pids(struct control *control);
void control_dir_failed(struct control *control, const char *dir);

/* Controlled shutdown: asks until nothing is led any more that others could lead, at most `tries`
 * times with backoff_ms between. ERR_OK: relieved, or nothing has been led: before the first image
 * it returns at once. */
MUST_USE enum err control_leave(struct control *control, int tries, int64_t backoff_ms);
/* Ends stream and session: the registration goes at once. */
void control_stop(struct control **control);

struct control_info {
    int64_t broker_epoch; /* -1 not registered */
    int32_t controller_id, controller_epoch;
    uint64_t version;
    bool is_up;
};
/* Any thread. */
void control_get_info(struct control *control, struct control_info *out);

#endif
