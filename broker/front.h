/*
 * front - the side of a broker that clients see: its listeners, and the reactors on which their
 * connections and requests live.
 *
 * Clients that connect before front_serve() wait in the listeners' backlog; that they can connect
 * tells the controller that the process is there.
 *
 * Ownership:  borrows the dispatch table for life, lends out what it has.
 * Threads:    front_serve() on any, the rest by main.
 */
#ifndef BROKER_FRONT_H
#define BROKER_FRONT_H

#include <stddef.h>

#include "broker/net/conn.h"
#include "broker/net/dispatch.h"
#include "broker/tables/broker_conf.h"
#include "common/base/conf.h"
#include "common/base/err.h"
#include "common/io/reactor.h"

struct front;

/* Binds all listeners; the reactors can be posted to. It has been said what is wrong when this
 * fails. The dispatch table may be filled until front_start(). */
MUST_USE enum err front_open(const struct conf *conf, const struct broker_conf *settings,
                             const struct dispatch *dispatch, struct front **out);
/* The reactors run. */
void front_start(struct front *front);
/* Clients are let in, those first that have waited. */
void front_serve(struct front *front);
/* New ones are refused and connections end; requests that are at work are told. */
void front_close(struct front *front);
/* When every request has been ended. */
void front_stop(struct front **front);

/* So many reactors there are, each with a set of connections. */
size_t front_len(const struct front *front);
struct reactor **front_reactors(const struct front *front);
struct conns *const *front_conns(const struct front *front);
/* That settings->bind[i] has got. */
int front_port(const struct front *front, size_t i);

#endif
