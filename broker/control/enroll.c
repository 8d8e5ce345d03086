/*
 * The hook that hears the cluster id holds the registration back until enroll_allow(); then the
 * attempt is made again and goes through. A registration that stands in the way is read, its
 * endpoint is probed, and the attempt repeated until it has gone or somebody has answered.
 */
#include "broker/control/enroll.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/net.h"
#include "common/zk/zk_enroll.h"
#include "common/zk/zk_tree.h"

#define RETRY_MS         100
#define PROBE_TIMEOUT_MS 500

struct enroll {
    struct enroll_conf conf;
    struct zk_enroll *registration;
    unsigned out; /* calls to ZooKeeper on their way */
    bool freed;   /* goes with the last of them */
    bool allowed;
    struct reactor_timer retry;
    struct lookup lookup; /* of whom to probe */
    struct reactor_timer probe_timer;
    struct net_sock *probe;
};

/* ---- somebody stands in the way: is he alive? ---- */

static void end_probe(struct enroll *enroll)
{
    lookup_cancel(&enroll->lookup);
    reactor_timer_cancel(enroll->conf.reactor, &enroll->probe_timer);
    if (enroll->probe != NULL)
        net_close(&enroll->probe);
}

static void probed(struct enroll *enroll, bool answered)
{
    end_probe(enroll);
    if (answered) {
        enroll->conf.on_refused(enroll->conf.ctx,
                                "another broker is registered with this broker.id "
                                "and answers on its endpoint");
        return;
    }
    /* Its session will expire, or is ended by us: until then its node stands in our way. */
    bool may_be_gone = enroll->conf.on_standing(enroll->conf.ctx);

    reactor_timer_set_ms(enroll->conf.reactor, &enroll->retry, may_be_gone ? 0 : RETRY_MS);
}

static void on_probe(void *arg, unsigned what)
{
    struct enroll *enroll = arg;

    (void)what;
    probed(enroll, net_connected(enroll->probe) == ERR_OK);
}

static void on_probe_timeout(struct reactor_timer *timer)
{
    probed(container_of(timer, struct enroll, probe_timer), false);
}

static void retry_later(struct enroll *enroll)
{
    reactor_timer_set_ms(enroll->conf.reactor, &enroll->retry, RETRY_MS);
}

/* However long that took: who may be there is not taken for dead because a name server is silent,
 * nor when the system gives that one up. */
static void on_address(void *arg, enum err err, const struct net_addr *addr)
{
    struct enroll *enroll = arg;

    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        retry_later(enroll);
        return;
    }
    if (err == ERR_OK)
        err = net_connect(enroll->conf.reactor, addr, NULL, on_probe, enroll, &enroll->probe);
    if (err == ERR_OK)
        reactor_timer_set_ms(enroll->conf.reactor, &enroll->probe_timer, PROBE_TIMEOUT_MS);
    else
        probed(enroll, false);
}

static void on_retry(struct reactor_timer *timer)
{
    zk_enroll_again(container_of(timer, struct enroll, retry)->registration);
}

static bool is_our_endpoint(const struct enroll *enroll, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < enroll->conf.self->n_endpoints; i++) {
        const struct endpoint *own = &enroll->conf.self->endpoints[i];

        if (own->port == endpoint->port && str_eq(own->host, endpoint->host))
            return true;
    }
    return false;
}

/* False: there is nobody to probe. */
static bool begin_probe(struct enroll *enroll, struct arena *arena, struct str json)
{
    const struct endpoint *endpoint;
    struct zk_registration reg;

    if (zk_parse_registration(arena, json, &reg) != ERR_OK || reg.node.n_endpoints == 0)
        return false;
    endpoint = node_inter_broker(&reg.node);
    if (endpoint == NULL)
        endpoint = &reg.node.endpoints[0];
    /* Where it claims our own endpoint it is dead: we are the ones who listen there. */
    if (is_our_endpoint(enroll, endpoint))
        return false;
    lookup_find(&enroll->lookup, arena_cstr(arena, endpoint->host), endpoint->port);
    return true;
}

/* What cannot be read says nothing of its owner; with another session another attempt comes. */
static void on_standing(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;
    struct arena arena;

    enroll->out--;
    if (enroll->freed) {
        if (enroll->out == 0)
            free(enroll);
        return;
    }
    if (answer->err == ERR_SESSION_EXPIRED || answer->err == ERR_CLOSED)
        return;
    if (answer->err != ERR_OK) { /* gone meanwhile, or lost with the connection */
        retry_later(enroll);
        return;
    }
    end_probe(enroll);
    arena_init(&arena, SIZE_MAX);
    if (!begin_probe(enroll, &arena, answer->data))
        probed(enroll, false);
    arena_fini(&arena);
}

/* ---- what the registration tells ---- */

static bool on_cluster_id(void *arg, struct str id)
{
    struct enroll *enroll = arg;
    char text[UUID_TEXT_LEN + 1];

    if (id.len != UUID_TEXT_LEN) {
        enroll->conf.on_refused(enroll->conf.ctx, "/cluster/id in ZooKeeper is no cluster id");
        return false;
    }
    memcpy(text, id.ptr, UUID_TEXT_LEN);
    text[UUID_TEXT_LEN] = '\0';
    enroll->conf.on_cluster_id(enroll->conf.ctx, text);
    return enroll->allowed;
}

static void on_enrolled(void *arg, int64_t broker_epoch, const struct zk_session *session)
{
    struct enroll *enroll = arg;

    (void)session;
    end_probe(enroll);
    say_info("registered in ZooKeeper broker=%d epoch=%" PRId64, enroll->conf.self->id,
             broker_epoch);
    enroll->conf.on_registered(enroll->conf.ctx, broker_epoch);
}

static void on_gone(void *arg)
{
    const struct enroll *enroll = arg;

    say_warn("the registration is gone with its session broker=%d", enroll->conf.self->id);
}

static void on_failed(void *arg, enum err err, const char *text)
{
    struct enroll *enroll = arg;
    struct arena arena;

    say_limited(SAY_WARN, "cannot register in ZooKeeper, trying again err=%s why=%s", err_name(err),
                text);
    if (err != ERR_DUPLICATE_BROKER_REGISTRATION) {
        retry_later(enroll);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    enroll->out++;
    zk_get(enroll->conf.zk, zk_path_broker(&arena, enroll->conf.self->id), false, on_standing,
           enroll);
    arena_fini(&arena);
}

struct enroll *enroll_new(const struct enroll_conf *conf)
{
    static const struct zk_enroll_hooks hooks = { .on_cluster_id = on_cluster_id,
                                                  .on_enrolled = on_enrolled,
                                                  .on_gone = on_gone,
                                                  .on_failed = on_failed };
    struct enroll *enroll = xcalloc(1, sizeof *enroll);

    enroll->conf = *conf;
    reactor_timer_init(&enroll->retry, on_retry);
    reactor_timer_init(&enroll->probe_timer, on_probe_timeout);
    lookup_init(&enroll->lookup, conf->resolver, conf->reactor, on_address, enroll);
    enroll->registration = zk_enroll_new(conf->zk, conf->self, conf->software, &hooks, enroll);
    return enroll;
}

void enroll_free(struct enroll **enroll_ptr)
{
    struct enroll *enroll = *enroll_ptr;

    *enroll_ptr = NULL;
    reactor_timer_cancel(enroll->conf.reactor, &enroll->retry);
    end_probe(enroll);
    zk_enroll_free(&enroll->registration);
    enroll->freed = true;
    if (enroll->out == 0)
        free(enroll);
}

void enroll_allow(struct enroll *enroll)
{
    enroll->allowed = true;
    zk_enroll_set_id(enroll->registration, enroll->conf.self->id); /* it may be new */
    zk_enroll_again(enroll->registration);
}

int64_t enroll_epoch(const struct enroll *enroll)
{
    /* The first hooks are called before zk_enroll_new() has returned. */
    return enroll->registration != NULL ? zk_enroll_epoch(enroll->registration) : -1;
}
