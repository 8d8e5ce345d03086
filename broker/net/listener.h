/*
 * listener - accept, count, hand to a reactor for life.
 *
 * A door counts the connections of all listeners of a process: beyond max.connections.per.ip a new
 * one is closed, at max.connections, or when more would leave the logs without open files, the
 * listeners stop accepting until one ends. The inter-broker listener is exempt from the latter, if
 * clients have another (Kafka: ConnectionQuotas.protectedListener). (Kafka evicts a client to make
 * room for a broker; here a broker's connection is simply let in.)
 *
 * Ownership: a listener borrows conns and door; they, and its listener_info, outlive the
 *            connections that came by it.
 * Threads:   a listener belongs to the reactor it accepts on; a door is for any.
 * Errors:    ERR_EXISTS when the address is in use, else what net_listen() says.
 */
#ifndef BROKER_NET_LISTENER_H
#define BROKER_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/net/conn.h"
#include "broker/net/request.h"
#include "common/base/err.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

struct door;

struct door_conf {
    int per_ip_max; /* max.connections.per.ip; <= 0: no bound */
    int max;        /* max.connections; <= 0: no bound */
    int files_max;  /* what the limit of open files leaves room for; <= 0: no bound */
};

/* For files_max, by the limit of open files as it is now. Half of those are for logs (logs.c): a
 * client that opens connections until none is left would take directories offline. */
int door_files_max(void);
struct door *door_new(const struct door_conf *conf);
/* When every connection that it counted has ended. */
void door_free(struct door **door_ptr);
int door_count(struct door *door);
/* conn's: the connection is no more. */
void door_leave(struct door *door, const struct net_addr *peer);

struct listener;

struct listener_conf {
    const char *name;     /* copied, as are the next two */
    const char *protocol; /* "PLAINTEXT" */
    const char *host;     /* NULL or "": all addresses */
    int port;             /* 0: any free one */
    int backlog;          /* socket.listen.backlog.size */
    bool is_inter_broker; /* and for that alone */
};

/* Opens it, accepting nothing yet; on the reactor's thread or while that is not running. conns:
 * the sets to hand to, the array is copied. */
enum err listener_open(struct reactor *reactor, const struct listener_conf *conf, struct door *door,
                       struct conns *const *conns, size_t conns_count,
                       struct listener **out) MUST_USE;
/* Who connected meanwhile has been waiting in the backlog. Nothing once it was stopped. From any
 * thread, as listener_stop(). */
void listener_start(struct listener *listener);
/* Closes the socket: new connections are refused from now on. */
void listener_stop(struct listener *listener);
/* After its connections and their requests have ended. */
void listener_free(struct listener **listener_ptr);

const struct listener_info *listener_info(const struct listener *listener);
/* The port bound. */
int listener_port(const struct listener *listener);

#endif
