/*
 * Each endpoint is a struct on a list: its address looked up, then a connecting socket and a timer,
 * whichever is first; the last one of a round tells what they have found. The kernel of a process
 * that is just dying may accept once more before it closes the listener, and resets that connection
 * then: so an answer counts when it has lasted for a moment, and is asked for again when it has
 * not.
 */
#include "controller/shell/probes.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/io/net.h"

#define LAST_MS  25 /* an accepted connection is an answer when it is open for so long */
#define AGAIN_MS 5  /* between a connection that was reset and the next */

enum probe_state { CONNECTING, LASTING, AGAIN, DECIDED };

/* What was asked for at once. Freed by the last of its probes. */
struct round {
    size_t left; /* probes without a result */
    enum core_probe_result result;
    int32_t broker;
    uint64_t number;
    probes_done *done;
    void *arg;
};

struct probe {
    LIST_ENTRY(probe) link;
    struct round *round;
    struct probes *probes;
    struct lookup lookup;
    struct net_sock *sock;
    struct reactor_timer timer;
    int64_t timeout_ms;
    struct net_addr addr;
    enum probe_state state;
    int64_t give_up_ms; /* on the reactor's clock */
    enum core_probe_result result;
};

struct probes {
    struct reactor *reactor;
    struct resolver *resolver;
    LIST_HEAD(, probe) all;
};

static void probe_free(struct probe *p)
{
    if (--p->round->left == 0)
        free(p->round);
    if (p->sock != NULL)
        net_close(&p->sock);
    free(p);
}

static void finish(struct probe *p, enum core_probe_result result)
{
    struct round *round = p->round;

    if (result != PROBE_REFUSED && round->result != PROBE_ANSWERED)
        round->result = result;

    struct round found = *round;

    reactor_timer_cancel(p->probes->reactor, &p->timer);
    LIST_REMOVE(p, link);
    probe_free(p);
    if (found.left == 1)
        found.done(found.arg, found.broker, found.number, found.result);
}

static void wait_ms(struct probe *p, enum probe_state state, int64_t delay_ms)
{
    p->state = state;
    reactor_timer_set_ms(p->probes->reactor, &p->timer, delay_ms);
}

static void connected(struct probe *p)
{
    enum err err = net_connected(p->sock);

    if (err != ERR_OK) {
        finish(p, err == ERR_REFUSED ? PROBE_REFUSED : PROBE_SILENT);
        return;
    }
    p->result = PROBE_ANSWERED;
    net_want(p->sock, NET_READ);
    wait_ms(p, LASTING, LAST_MS);
}

static void on_ready(void *arg, unsigned what)
{
    struct probe *p = arg;
    char byte;
    size_t got;

    (void)what;
    if (p->state == CONNECTING) {
        connected(p);
    } else if (net_read(p->sock, &byte, 1, &got) == ERR_OK) {
        finish(p, PROBE_ANSWERED); /* it even speaks */
    } else if (reactor_now_ms(p->probes->reactor) >= p->give_up_ms) {
        finish(p, PROBE_ANSWERED);
    } else {
        net_close(&p->sock);
        wait_ms(p, AGAIN, AGAIN_MS);
    }
}

static void connect_to(struct probe *p)
{
    int64_t left_ms = p->give_up_ms - reactor_now_ms(p->probes->reactor);
    enum err err = net_connect(p->probes->reactor, &p->addr, NULL, on_ready, p, &p->sock);

    if (err == ERR_OK) {
        wait_ms(p, CONNECTING, left_ms > 0 ? left_ms : 0);
        return;
    }
    p->sock = NULL;
    p->result = err == ERR_REFUSED ? PROBE_REFUSED : PROBE_SILENT;
    wait_ms(p, DECIDED, 0);
}

/* Time is up, or the result was known at once and is told from here. */
static void on_timer(struct reactor_timer *timer)
{
    struct probe *p = container_of(timer, struct probe, timer);

    if (p->state == AGAIN)
        connect_to(p);
    else
        finish(p, p->result);
}

static void begin(struct probe *p, enum err found)
{
    p->result = PROBE_SILENT;
    p->give_up_ms = reactor_now_ms(p->probes->reactor) + p->timeout_ms;
    if (found == ERR_OK)
        connect_to(p);
    else
        wait_ms(p, DECIDED, 0);
}

static void on_address(void *arg, enum err err, const struct net_addr *addr)
{
    struct probe *p = arg;

    if (err == ERR_OK)
        p->addr = *addr;
    begin(p, err);
}

static void ask(struct probes *probes, struct round *round, struct str host, int32_t port,
                int64_t timeout_ms)
{
    struct probe *p = xcalloc(1, sizeof *p);
    char *text = xstrndup(host.ptr != NULL ? host.ptr : "", host.len);

    p->probes = probes;
    p->round = round;
    p->timeout_ms = timeout_ms;
    reactor_timer_init(&p->timer, on_timer);
    lookup_init(&p->lookup, probes->resolver, probes->reactor, on_address, p);
    LIST_INSERT_HEAD(&probes->all, p, link);
    if (host.len == 0)
        begin(p, ERR_NOT_FOUND); /* the wildcard is nobody's address */
    else
        lookup_find(&p->lookup, text, port);
    free(text);
}

void probes_run(struct probes *probes, const struct core_probe *probe, int64_t timeout_ms,
                probes_done *done, void *arg)
{
    struct round *round = xcalloc(1, sizeof *round);

    assert(probe->n > 0);
    *round = (struct round){ .left = probe->n,
                             .result = PROBE_REFUSED,
                             .broker = probe->broker,
                             .number = probe->probe,
                             .done = done,
                             .arg = arg };
    for (size_t i = 0; i < probe->n; i++) /* none of them ends in here */
        ask(probes, round, probe->endpoints[i].host, probe->endpoints[i].port, timeout_ms);
}

struct probes *probes_new(struct reactor *reactor, struct resolver *resolver)
{
    struct probes *probes = xcalloc(1, sizeof *probes);

    probes->reactor = reactor;
    probes->resolver = resolver;
    LIST_INIT(&probes->all);
    return probes;
}

void probes_free(struct probes **probes_ptr)
{
    struct probes *probes = *probes_ptr;
    struct probe *p;

    *probes_ptr = NULL;
    if (probes == NULL)
        return;
    while ((p = LIST_FIRST(&probes->all)) != NULL) {
        LIST_REMOVE(p, link);
        reactor_timer_cancel(probes->reactor, &p->timer);
        lookup_cancel(&p->lookup);
        probe_free(p);
    }
    free(probes);
}
