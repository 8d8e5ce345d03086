/*
 * net_rig - connections over socketpairs on a reactor driven by hand, with time as told and
 * handlers that keep their requests until the test ends them.
 *
 * Produce and Fetch are pipelined, Heartbeat and Metadata go alone, ApiVersions is the real one.
 */
#ifndef TESTS_KIT_NET_RIG_H
#define TESTS_KIT_NET_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/net/conn.h"
#include "broker/net/dispatch.h"
#include "broker/net/request.h"
#include "gen/wire/apis.h"

#define RIG_HELD_MAX 4096

struct net_rig {
    struct reactor *reactor;
    struct conns *conns;
    struct dispatch dispatch;
    struct listener_info listener;
    struct budget memory;
    int64_t now_us;
    int client;                         /* the other end of the connection made by net_rig_init() */
    bool answer_at_once;                /* instead of holding */
    struct request *held[RIG_HELD_MAX]; /* in the order handled */
    int held_count;
    int handled;
    uint8_t got[8 * 1024 * 1024]; /* what the client has read and not looked at */
    size_t got_len;
};

/* conf may be NULL. The connection exists already. Static storage of the test process. */
struct net_rig *net_rig_new(const struct conns_conf *conf);
/* Closes all and checks that nothing is left. */
void net_rig_end(struct net_rig *rig);

/* Another client. */
int net_rig_connect(struct net_rig *rig);
/* As many turns as are needed for everything that can happen now. */
void net_rig_run(struct net_rig *rig);
void net_rig_pass_ms(struct net_rig *rig, int64_t ms);

/* A request of that kind with default fields; returns the frame's bytes. */
size_t net_rig_frame(uint8_t *into, int16_t key, int16_t version, int32_t correlation_id);
void net_rig_send(struct net_rig *rig, int16_t key, int32_t correlation_id);
void net_rig_send_bytes(struct net_rig *rig, const void *bytes, size_t len);

/* Ends a held request with a default answer. */
void net_rig_answer(struct net_rig *rig, int index);
/* What a default handler would answer with, in the request's arena. */
void *net_rig_response(struct request *req);

/* Reads what there is to read; true when the server has closed. */
bool net_rig_read(struct net_rig *rig);
/* Runs and reads: takes the next answer off what came; its correlation id, or -1 when there is no
 * whole one. frame, len: all of it after the length prefix; may be NULL. */
int32_t net_rig_next(struct net_rig *rig, const uint8_t **frame, size_t *len);
bool net_rig_is_closed(struct net_rig *rig);

/* ---- real sockets, which wait ---- */

/* A connection to a port of this machine. */
int net_rig_dial(int port);
/* A request of that kind with default fields. */
void net_rig_send_to(int fd, int16_t key, int32_t correlation_id);
/* The correlation id of the next answer, -1 when the connection is closed. */
int32_t net_rig_receive_from(int fd);

#endif
