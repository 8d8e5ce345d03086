/*
 * A name that is asked for goes on a list, and a thread is started for it unless there are enough;
 * a thread takes names from that list until none waits, and ends. Looking names up is rare (at a
 * connection that is made anew), so no thread sits idle.
 *
 *     lookup_find -> WAITING -> (thread) UNDER_WAY -> told: a message to each asker's reactor
 *                                                  -> KEPT, when they all have gone
 *
 * What an asker gets is a struct asked: the name's until it is answered, then on the list of those
 * told until its message is run. Which of the two is decided under the lock, and the message is
 * posted under it: so who cancels after his reactor has stopped knows that nothing is posted to it
 * any more, and may free it. The messages that such a reactor has not run are freed at the end.
 *
 * A KEPT address goes to the first who asks: the next look-up is a new one, for the address may
 * have changed and be why he asks again.
 *
 * resolver_free() cannot wait for a thread that hangs in getaddrinfo(), and nobody can end it: the
 * last thread to leave frees what they share. Hence they are detached.
 */
#include "common/io/resolver.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"

#define KEEP_MS 10000 /* an address that nobody has waited for */
#define SLOW_MS 1000  /* the operator is told */

enum name_state { WAITING, UNDER_WAY, KEPT };

/*   [I] set before others see it   [m] under the resolver's lock   [o] the asker's reactor */
struct asked {
    struct msg msg;
    struct resolver *resolver; /* [I] */
    struct reactor *reactor;   /* [I] */
    int port;                  /* [I] */
    struct name *name;         /* [m] NULL: told */
    LIST_ENTRY(asked) link;    /* [m] of the name's, or of those told */
    struct lookup *lookup;     /* [o] NULL: cancelled */
    enum err err;              /* [I] when told */
    struct net_addr addr;      /* [I] when told */
};

LIST_HEAD(asked_list, asked);

struct name {
    TAILQ_ENTRY(name) link;   /* [m] */
    char *host;               /* [I] */
    enum name_state state;    /* [m] */
    struct asked_list askers; /* [m] */
    struct net_addr addr;     /* [m] when KEPT */
    int64_t until_ms;         /* [m] when KEPT */
};

struct resolver {
    resolver_look *look;      /* [I] */
    void *arg;                /* [I] */
    struct lock lock;         /* rank LOCK_LEAF */
    TAILQ_HEAD(, name) names; /* [m] in the order in which they were first asked for */
    struct asked_list told;   /* [m] */
    int threads;              /* [m] */
    bool closed;              /* [m] the last thread frees it */
};

static enum err look_up(void *arg, const char *host, struct net_addr *out, const char **why)
{
    (void)arg;
    return net_addr_find_why(host, 0, out, why);
}

/* ---- names ---- */

static struct name *find_name_locked(struct resolver *resolver, const char *host)
{
    struct name *name;

    lock_assert_held(&resolver->lock);
    TAILQ_FOREACH (name, &resolver->names, link)
        if (strcmp(name->host, host) == 0)
            return name;
    return NULL;
}

static struct name *add_name_locked(struct resolver *resolver, const char *host)
{
    struct name *name = xcalloc(1, sizeof *name);

    lock_assert_held(&resolver->lock);
    name->host = xstrdup(host);
    name->state = WAITING;
    LIST_INIT(&name->askers);
    TAILQ_INSERT_TAIL(&resolver->names, name, link);
    return name;
}

static void drop_name_locked(struct resolver *resolver, struct name *name)
{
    lock_assert_held(&resolver->lock);
    assert(LIST_EMPTY(&name->askers));
    TAILQ_REMOVE(&resolver->names, name, link);
    free(name->host);
    free(name);
}

static void drop_stale_locked(struct resolver *resolver, int64_t now_ms)
{
    struct name *name = TAILQ_FIRST(&resolver->names);

    lock_assert_held(&resolver->lock);
    while (name != NULL) {
        struct name *next = TAILQ_NEXT(name, link);

        if (name->state == KEPT && name->until_ms <= now_ms)
            drop_name_locked(resolver, name);
        name = next;
    }
}

/* ---- answers ---- */

static void on_told(struct msg *msg)
{
    struct asked *asked = container_of(msg, struct asked, msg);
    struct lookup *lookup = asked->lookup;
    enum err err = asked->err;
    struct net_addr addr = asked->addr;

    lock_take(&asked->resolver->lock);
    LIST_REMOVE(asked, link);
    lock_drop(&asked->resolver->lock);
    free(asked);
    if (lookup == NULL)
        return;
    lookup->asked = NULL;
    lookup->done(lookup->arg, err, err == ERR_OK ? &addr : NULL);
}

static void tell_locked(struct resolver *resolver, struct asked *asked, enum err err,
                        const struct net_addr *addr)
{
    lock_assert_held(&resolver->lock);
    LIST_REMOVE(asked, link);
    LIST_INSERT_HEAD(&resolver->told, asked, link);
    asked->name = NULL;
    asked->err = err;
    if (err == ERR_OK) {
        asked->addr = *addr;
        net_addr_set_port(&asked->addr, asked->port);
    }
    asked->msg.run = on_told;
    reactor_post(asked->reactor, &asked->msg);
}

static void answer_locked(struct resolver *resolver, struct name *name, enum err err,
                          const struct net_addr *addr)
{
    int64_t now_ms = clock_mono_ms();
    struct asked *asked;

    lock_assert_held(&resolver->lock);
    drop_stale_locked(resolver, now_ms);
    if (LIST_EMPTY(&name->askers) && err == ERR_OK && !resolver->closed) {
        name->state = KEPT;
        name->addr = *addr;
        name->until_ms = now_ms + KEEP_MS;
        return;
    }
    while ((asked = LIST_FIRST(&name->askers)) != NULL)
        tell_locked(resolver, asked, err, addr);
    drop_name_locked(resolver, name);
}

/* ---- the threads ---- */

static void destroy(struct resolver *resolver)
{
    assert(TAILQ_EMPTY(&resolver->names));
    lock_fini(&resolver->lock);
    free(resolver);
}

static enum err look(const struct resolver *resolver, const char *host, struct net_addr *addr)
{
    int64_t began_ms = clock_mono_ms(), took_ms;
    const char *why = NULL;
    enum err err = resolver->look(resolver->arg, host, addr, &why);

    took_ms = clock_mono_ms() - began_ms;
    if (err != ERR_OK)
        say_limited(SAY_WARN, "cannot look up a host name host=%s why=\"%s\" took_ms=%" PRId64,
                    host, why != NULL ? why : err_text(err), took_ms);
    else if (took_ms >= SLOW_MS)
        say_limited(SAY_WARN, "looking up a host name takes long host=%s took_ms=%" PRId64, host,
                    took_ms);
    return err;
}

static struct name *next_locked(struct resolver *resolver)
{
    struct name *name;

    lock_assert_held(&resolver->lock);
    TAILQ_FOREACH (name, &resolver->names, link)
        if (name->state == WAITING)
            return name;
    return NULL;
}

static void run(void *arg)
{
    struct resolver *resolver = arg;
    struct name *name;

    lock_take(&resolver->lock);
    while ((name = next_locked(resolver)) != NULL) {
        struct net_addr addr;

        name->state = UNDER_WAY;
        lock_drop(&resolver->lock);
        enum err err = look(resolver, name->host, &addr);
        lock_take(&resolver->lock);
        answer_locked(resolver, name, err, &addr);
    }
    bool is_last = --resolver->threads == 0 && resolver->closed;
    lock_drop(&resolver->lock);
    if (is_last)
        destroy(resolver);
}

struct resolver *resolver_new(resolver_look *look_seam, void *arg)
{
    struct resolver *resolver = xcalloc(1, sizeof *resolver);

    resolver->look = look_seam != NULL ? look_seam : look_up;
    resolver->arg = arg;
    lock_init(&resolver->lock, LOCK_LEAF);
    TAILQ_INIT(&resolver->names);
    LIST_INIT(&resolver->told);
    return resolver;
}

void resolver_free(struct resolver **resolver_ptr)
{
    struct resolver *resolver = *resolver_ptr;
    struct asked *asked;
    struct name *name;

    *resolver_ptr = NULL;
    if (resolver == NULL)
        return;
    lock_take(&resolver->lock);
    resolver->closed = true;
    name = TAILQ_FIRST(&resolver->names);
    while (name != NULL) {
        struct name *next = TAILQ_NEXT(name, link);

        assert(LIST_EMPTY(&name->askers));
        if (name->state != UNDER_WAY) /* else its thread's */
            drop_name_locked(resolver, name);
        name = next;
    }
    while ((asked = LIST_FIRST(&resolver->told)) != NULL) {
        assert(asked->lookup == NULL);
        LIST_REMOVE(asked, link);
        free(asked);
    }
    bool is_last = resolver->threads == 0;
    lock_drop(&resolver->lock);
    if (is_last)
        destroy(resolver);
}

/* ---- lookups ---- */

void lookup_init(struct lookup *lookup, struct resolver *resolver, struct reactor *reactor,
                 lookup_done *done, void *arg)
{
    assert(resolver != NULL);
    *lookup = (struct lookup){ .resolver = resolver, .reactor = reactor, .done = done, .arg = arg };
}

/* True: *addr is that of a name whose look-up nobody has waited for. */
static bool take_kept_locked(struct resolver *resolver, const char *host, struct net_addr *addr)
{
    struct name *name;

    lock_assert_held(&resolver->lock);
    drop_stale_locked(resolver, clock_mono_ms());
    name = find_name_locked(resolver, host);
    if (name == NULL || name->state != KEPT)
        return false;
    *addr = name->addr;
    drop_name_locked(resolver, name);
    return true;
}

/* True: a thread is to be started. */
static bool ask_locked(struct lookup *lookup, const char *host, int port)
{
    struct resolver *resolver = lookup->resolver;
    struct name *name = find_name_locked(resolver, host);
    struct asked *asked = xcalloc(1, sizeof *asked);
    bool is_new = name == NULL;

    lock_assert_held(&resolver->lock);
    if (is_new)
        name = add_name_locked(resolver, host);
    *asked = (struct asked){ .resolver = resolver,
                             .reactor = lookup->reactor,
                             .port = port,
                             .name = name,
                             .lookup = lookup };
    LIST_INSERT_HEAD(&name->askers, asked, link);
    lookup->asked = asked;
    if (!is_new || resolver->threads == RESOLVER_THREADS)
        return false;
    resolver->threads++;
    return true;
}

void lookup_find(struct lookup *lookup, const char *host, int port)
{
    struct resolver *resolver = lookup->resolver;
    struct net_addr addr;
    bool is_known, starts = false;

    lookup_cancel(lookup);
    if (port < 1 || port > 65535) {
        say_limited(SAY_WARN, "a port that nobody can listen on host=%s port=%d",
                    host != NULL ? host : "", port);
        lookup->done(lookup->arg, ERR_NOT_FOUND, NULL);
        return;
    }
    is_known = net_addr_literal(host, port, &addr) == ERR_OK;
    if (!is_known) {
        lock_take(&resolver->lock);
        is_known = take_kept_locked(resolver, host, &addr);
        if (is_known)
            net_addr_set_port(&addr, port);
        else
            starts = ask_locked(lookup, host, port);
        lock_drop(&resolver->lock);
    }
    if (starts)
        thread_start_detached(T_RESOLVE, run, resolver);
    if (is_known)
        lookup->done(lookup->arg, ERR_OK, &addr);
}

void lookup_cancel(struct lookup *lookup)
{
    struct resolver *resolver = lookup->resolver;
    struct asked *asked = lookup->asked;

    if (asked == NULL)
        return;
    lookup->asked = NULL;
    lock_take(&resolver->lock);
    struct name *name = asked->name;
    if (name == NULL) {
        asked->lookup = NULL; /* its message is on its way, and frees it */
    } else {
        LIST_REMOVE(asked, link);
        free(asked);
        if (name->state == WAITING && LIST_EMPTY(&name->askers))
            drop_name_locked(resolver, name);
    }
    lock_drop(&resolver->lock);
}
