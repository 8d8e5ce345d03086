/*
 * streams - the controller's listener and everything that is connected to it: brokers' streams,
 * their second connections for heartbeats, standbys that watch us.
 *
 * A standby says goodbye to every hello and names the active controller. From winning the seat
 * until everything is loaded hellos wait; then they are welcomed, become numbered streams and
 * events of the core. Standbys that follow us are sent the image, every delta, and how far we are.
 *
 * Ownership:  effects are borrowed; images and answers are packed at once. The image that standbys
 *             follow is counted.
 * Threads:    the event thread. Events come from its reactor, never inside a call made here.
 * Errors:     a peer that breaks the rules is told why with a goodbye, the operator with a line.
 */
#ifndef CONTROLLER_SHELL_STREAMS_H
#define CONTROLLER_SHELL_STREAMS_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/io/net.h"
#include "common/io/reactor.h"
#include "controller/core/core.h"
#include "controller/shell/inquiry.h"
#include "controller/shell/seat.h"
#include "controller/shell/sink.h"

struct streams;

struct streams_conf {
    struct reactor *reactor;
    const struct sink *sink;
    int32_t controller_id;
    uint32_t heartbeat_interval_ms, heartbeat_timeout_ms; /* brokers are told */
    size_t backlog_bytes_max;                             /* 0: that of stream.h */
    const char *zookeeper_connect; /* told to who asks where the cluster is; NULL: not told */
    const struct inquiry *inquiry; /* who answers operators; NULL: nobody */
};

struct streams *streams_new(const struct streams_conf *conf);
/* Whatever is queued is not sent any more. */
void streams_free(struct streams **streams);
enum err streams_listen(struct streams *streams, const struct net_addr *addr) MUST_USE;
int streams_port(const struct streams *streams);

/* Who is active, for those who ask here while we are not. */
void streams_set_holder(struct streams *streams, const struct seat_holder *holder);
/* The seat is ours: hellos wait. */
void streams_won(struct streams *streams, int32_t controller_epoch);
/* The core is ready for them, or has loaded again: image is what standbys follow from. */
void streams_loaded(struct streams *streams, const struct image *image);
/* For so long we have had no connection to ZooKeeper, 0: there is one. Goes with what is told next
 * of how far we are. */
void streams_cut_off(struct streams *streams, uint32_t since_ms);
/* How far we are: to all standbys now, and to new ones. number: the ring's, if known. */
void streams_standing(struct streams *streams, const struct image *image, bool is_known,
                      uint64_t number);
/* The seat is lost, the core has forgotten everything: goodbye to all. */
void streams_lost(struct streams *streams);

/* The core's effects. A stream that has ended meanwhile is passed over. */
void streams_send_image(struct streams *streams, const struct core_send_image *effect);
void streams_send_delta(struct streams *streams, const struct core_send_delta *effect);
void streams_answer_alter(struct streams *streams, const struct core_answer_alter *effect);
void streams_answer_shutdown(struct streams *streams, const struct core_answer_shutdown *effect);
void streams_answer_pid_block(struct streams *streams, const struct core_answer_pid_block *effect);
void streams_answer_admin(struct streams *streams, const struct core_answer_admin *effect);
void streams_end(struct streams *streams, const struct core_end_stream *effect);

struct streams_counts {
    size_t connections, brokers, standbys, admins;
    uint64_t refused; /* since the start */
};
void streams_counts(const struct streams *streams, struct streams_counts *out);

#endif
