/*
 * resolver - the address of a host name, looked up without holding up the loop that asks.
 *
 * getaddrinfo() blocks for as long as the machine's resolver likes, 5 to 30 s where a name server
 * is silent. So it is called on threads of their own, and what it says comes to the asker's reactor
 * as a message. A literal address is answered at once, without a detour.
 *
 * It is getaddrinfo() nevertheless, for it alone goes by what the machine's administrator has set
 * up (nsswitch.conf and its modules, gai.conf, changes of resolv.conf while we run), of which evdns
 * and c-ares know a part; and getaddrinfo_a() is the same call on threads that are not ours, whose
 * work cannot be abandoned either.
 *
 * A name is looked up once at a time, whoever asks for it meanwhile, and has a thread of its own
 * while it is: one that hangs holds up nobody who wants another, until RESOLVER_THREADS of them
 * hang; then the next waits until getaddrinfo() gives one of those up. Nothing waits in a queue but
 * names that somebody wants, so the queue is no longer than the list of askers.
 *
 * Ownership:  a lookup is part of who asks; it must be idle when that is freed: lookup_cancel().
 * Threads:    a lookup belongs to its reactor, or to who has stopped that.
 * Errors:     ERR_NOT_FOUND when there is no address, also for a port that nobody can listen on;
 *             ERR_REQUEST_TIMED_OUT when it is not known, for no name server has answered, or it
 *             has not said: who asks again may hear of an address. The reason is said here.
 */
#ifndef COMMON_IO_RESOLVER_H
#define COMMON_IO_RESOLVER_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/io/net.h"
#include "common/io/reactor.h"

#define RESOLVER_THREADS 16

struct resolver;

/* Seam: the address of host, its port left 0; else why not, a text that stays. It may block. */
typedef enum err resolver_look(void *arg, const char *host, struct net_addr *out, const char **why);

/* look NULL: the machine's own. Starts no thread before a name is asked for. */
struct resolver *resolver_new(resolver_look *look, void *arg);
/* Every lookup is idle, and the reactors that asked run no more. Does not wait: a thread that is in
 * a look-up ends after it. */
void resolver_free(struct resolver **resolver_ptr);

/* Called once per lookup_find() that is not cancelled, with the lookup idle. addr is NULL with an
 * error. */
typedef void lookup_done(void *arg, enum err err, const struct net_addr *addr);

/* One question at a time. */
struct lookup {
    struct resolver *resolver; /* [I] */
    struct reactor *reactor;   /* [I] where done() is called */
    lookup_done *done;         /* [I] */
    void *arg;                 /* [I] */
    struct asked *asked;       /* [o] NULL: idle */
};

void lookup_init(struct lookup *lookup, struct resolver *resolver, struct reactor *reactor,
                 lookup_done *done, void *arg);
/* What it was asked before is cancelled. done() is called from inside when no thread is needed: for
 * a literal address, for NULL and "", the wildcard, for a port outside 1 to 65535, and for a name
 * whose look-up was cancelled and has ended within the last seconds: so who asks for a slow name
 * again and again, and never waits for long, has it in the end. */
void lookup_find(struct lookup *lookup, const char *host, int port);
/* done() is not called any more. Fine when it is idle. */
void lookup_cancel(struct lookup *lookup);

static inline bool lookup_is_under_way(const struct lookup *lookup)
{
    return lookup->asked != NULL;
}

#endif
