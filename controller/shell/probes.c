/*
 * Each probe is a struct on a list: looked up in the pool if it has to be, then a connecting socket
 * and a timer, whichever is first. One that is in the pool when everything ends is only marked; the
 * message that comes back frees it.
 */
#include "controller/shell/probes.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/io/net.h"
#include "common/io/pool.h"

struct probe {
    LIST_ENTRY(probe) link;
    struct probes *probes; /* NULL: nobody wants to know any more */
    struct net_sock *sock;
    struct reactor_timer timer;
    struct pool_job job;
    bool in_pool;
    char *host;
    int32_t port;
    int64_t timeout_ms;
    struct net_addr addr;
    enum err found;
    enum core_probe_result result;
    int32_t broker;
    uint64_t number;
    probes_done *done;
    void *arg;
};

struct probes {
    struct reactor *reactor;
    struct pool *pool; /* started by the first name */
    LIST_HEAD(, probe) all;
};

static void probe_free(struct probe *p)
{
    if (p->sock != NULL)
        net_close(&p->sock);
    free(p->host);
    free(p);
}

static void finish(struct probe *p, enum core_probe_result result)
{
    probes_done *done = p->done;
    void *arg = p->arg;
    int32_t broker = p->broker;
    uint64_t number = p->number;

    reactor_timer_cancel(p->probes->reactor, &p->timer);
    LIST_REMOVE(p, link);
    probe_free(p);
    done(arg, broker, number, result);
}

static void on_ready(void *arg, unsigned what)
{
    struct probe *p = arg;
    enum err err = net_connected(p->sock);

    (void)what;
    finish(p, err == ERR_OK ? PROBE_ANSWERED : err == ERR_REFUSED ? PROBE_REFUSED : PROBE_SILENT);
}

/* Time is up, or the result was known at once and is told from here. */
static void on_timer(struct reactor_timer *timer)
{
    struct probe *p = container_of(timer, struct probe, timer);

    finish(p, p->result);
}

static void begin(struct probe *p)
{
    enum err err = p->found;
    int64_t delay_ms = 0;

    p->result = PROBE_SILENT;
    if (err == ERR_OK) {
        err = net_connect(p->probes->reactor, &p->addr, NULL, on_ready, p, &p->sock);
        if (err == ERR_OK)
            delay_ms = p->timeout_ms;
        else if (err == ERR_REFUSED)
            p->result = PROBE_REFUSED;
    }
    reactor_timer_set_ms(p->probes->reactor, &p->timer, delay_ms);
}

static void look_up(struct pool_job *job)
{
    struct probe *p = container_of(job, struct probe, job);

    p->found = net_addr_find(p->host, p->port, &p->addr);
}

static void on_found(struct pool_job *job)
{
    struct probe *p = container_of(job, struct probe, job);

    p->in_pool = false;
    if (p->probes == NULL)
        probe_free(p);
    else
        begin(p);
}

static bool is_literal(const char *host)
{
    struct in6_addr addr;

    return inet_pton(AF_INET, host, &addr) == 1 || inet_pton(AF_INET6, host, &addr) == 1;
}

void probes_run(struct probes *probes, struct str host, int32_t port, int64_t timeout_ms,
                int32_t broker, uint64_t number, probes_done *done, void *arg)
{
    struct probe *p = xcalloc(1, sizeof *p);

    p->probes = probes;
    p->host = xstrndup(host.ptr != NULL ? host.ptr : "", host.len);
    p->port = port;
    p->timeout_ms = timeout_ms;
    p->broker = broker;
    p->number = number;
    p->done = done;
    p->arg = arg;
    reactor_timer_init(&p->timer, on_timer);
    LIST_INSERT_HEAD(&probes->all, p, link);
    if (host.len == 0) {
        p->found = ERR_NOT_FOUND; /* the wildcard is nobody's address */
        begin(p);
    } else if (is_literal(p->host)) {
        p->found = net_addr_find(p->host, port, &p->addr);
        begin(p);
    } else {
        if (probes->pool == NULL)
            probes->pool = pool_start(1);
        p->in_pool = true;
        p->job = (struct pool_job){ .run = look_up, .done = on_found, .reactor = probes->reactor };
        pool_post(probes->pool, &p->job);
    }
}

struct probes *probes_new(struct reactor *reactor)
{
    struct probes *probes = xcalloc(1, sizeof *probes);

    probes->reactor = reactor;
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
        p->probes = NULL;
        if (!p->in_pool)
            probe_free(p);
    }
    if (probes->pool != NULL)
        pool_stop(&probes->pool);
    free(probes);
}
