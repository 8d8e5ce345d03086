/*
 * A chain of calls, each started by the answer of the one before; whatever fails on the way starts
 * the chain again after a short pause, unless the session has ended, when the next one does.
 *
 *   paths -> cluster id -> (allowed?) -> create and set in one multi -> epoch
 *                                          | EXISTS: whose? ours: take it; our last session's or a
 *                                          | dead one's: delete, again; a living one's: refuse
 *
 * The second operation of the multi is there for its answer: it carries the czxid (as Kafka does
 * it).
 */
#include "broker/control/enroll.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/io/net.h"
#include "common/zk/zk_tree.h"

#define RETRY_MS         100
#define PROBE_TIMEOUT_MS 500

struct enroll {
    struct enroll_conf conf;
    struct arena arena; /* of the present attempt */
    struct reactor_timer retry;
    struct reactor_timer probe_timer;
    struct net_sock *probe;
    size_t path_at; /* next of zk_tree_start_paths */
    bool allowed;
    bool have_cluster_id;
    bool running; /* a chain is under way */
    int64_t epoch;
    int64_t last_session; /* with which we registered before */
};

static void start(struct enroll *enroll);
static void make_next_path(struct enroll *enroll);
static void read_cluster_id(struct enroll *enroll);
static void register_now(struct enroll *enroll);

static void again(struct enroll *enroll, const char *what, enum err err)
{
    enroll->running = false;
    if (err == ERR_SESSION_EXPIRED)
        return; /* the next session starts it */
    say_limited(SAY_WARN, "registering in ZooKeeper, retrying step=%s err=%s", what, err_name(err));
    reactor_timer_set_ms(enroll->conf.reactor, &enroll->retry, RETRY_MS);
}

static void on_retry(struct reactor_timer *timer)
{
    start(container_of(timer, struct enroll, retry));
}

/* ---- paths and cluster id ---- */

static void on_path(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;

    if (answer->err != ERR_OK && answer->err != ERR_EXISTS) {
        again(enroll, "paths", answer->err);
        return;
    }
    enroll->path_at++;
    make_next_path(enroll);
}

static void make_next_path(struct enroll *enroll)
{
    const char *path = zk_tree_start_paths[enroll->path_at];

    if (path != NULL)
        zk_create_path(enroll->conf.zk, path, on_path, enroll);
    else
        read_cluster_id(enroll);
}

static void cluster_id_known(struct enroll *enroll, struct str id)
{
    char *text = arena_cstr(&enroll->arena, id);

    enroll->have_cluster_id = true;
    enroll->conf.on_cluster_id(enroll->conf.ctx, text);
    if (enroll->allowed)
        register_now(enroll);
    else
        enroll->running = false;
}

static void on_cluster_id_made(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;

    if (answer->err == ERR_OK || answer->err == ERR_EXISTS)
        read_cluster_id(enroll); /* whoever was first has decided */
    else
        again(enroll, "cluster id", answer->err);
}

static void make_cluster_id(struct enroll *enroll)
{
    char text[UUID_TEXT_LEN + 1];
    struct rand rand;

    rand_seed_os(&rand);
    uuid_print(rand_uuid(&rand), text);
    zk_create(enroll->conf.zk, ZK_CLUSTER_ID, zk_build_cluster_id(&enroll->arena, str_of(text)),
              ZK_PERSISTENT, on_cluster_id_made, enroll);
}

static void on_cluster_parent(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;

    if (answer->err == ERR_OK || answer->err == ERR_EXISTS)
        make_cluster_id(enroll);
    else
        again(enroll, "cluster id", answer->err);
}

static void on_cluster_id(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;
    struct str id;

    if (answer->err == ERR_NOT_FOUND) {
        zk_create_path(enroll->conf.zk, "/cluster", on_cluster_parent, enroll);
    } else if (answer->err != ERR_OK) {
        again(enroll, "cluster id", answer->err);
    } else if (zk_parse_cluster_id(&enroll->arena, answer->data, &id) != ERR_OK) {
        enroll->running = false;
        enroll->conf.on_refused(enroll->conf.ctx, "/cluster/id in ZooKeeper cannot be read");
    } else {
        cluster_id_known(enroll, id);
    }
}

static void read_cluster_id(struct enroll *enroll)
{
    zk_get(enroll->conf.zk, ZK_CLUSTER_ID, false, on_cluster_id, enroll);
}

/* ---- the registration ---- */

static const char *my_path(struct enroll *enroll)
{
    return zk_path_broker(&enroll->arena, enroll->conf.self->id);
}

static void registered(struct enroll *enroll, int64_t czxid)
{
    enroll->running = false;
    enroll->epoch = czxid;
    enroll->last_session = zk_session(enroll->conf.zk)->id;
    say_info("registered in ZooKeeper broker=%d epoch=%" PRId64, enroll->conf.self->id, czxid);
    enroll->conf.on_registered(enroll->conf.ctx, czxid);
}

static void on_old_deleted(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;

    if (answer->err == ERR_OK || answer->err == ERR_NOT_FOUND)
        register_now(enroll);
    else
        again(enroll, "replace", answer->err);
}

static void end_probe(struct enroll *enroll)
{
    reactor_timer_cancel(enroll->conf.reactor, &enroll->probe_timer);
    if (enroll->probe != NULL)
        net_close(&enroll->probe);
}

static void probed(struct enroll *enroll, bool answered)
{
    end_probe(enroll);
    if (answered) {
        enroll->running = false;
        enroll->conf.on_refused(enroll->conf.ctx,
                                "another broker is registered with this broker.id and answers on "
                                "its endpoint");
        return;
    }
    /* Its session will expire: until then its node stands in our way. */
    again(enroll, "wait for the session of the broker that had this id", ERR_EXISTS);
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

static bool is_our_endpoint(const struct enroll *enroll, const struct endpoint *endpoint)
{
    for (size_t i = 0; i < enroll->conf.self->n_endpoints; i++) {
        const struct endpoint *own = &enroll->conf.self->endpoints[i];

        if (own->port == endpoint->port && str_eq(own->host, endpoint->host))
            return true;
    }
    return false;
}

/* Is the broker alive whose registration stands there? Where it claims our own endpoint it is not:
 * we are the ones who listen there. */
static void probe_owner(struct enroll *enroll, struct str json)
{
    struct zk_registration reg;
    struct net_addr addr;

    if (zk_parse_registration(&enroll->arena, json, &reg) != ERR_OK || reg.node.n_endpoints == 0 ||
        is_our_endpoint(enroll, &reg.node.endpoints[0]) ||
        net_addr_find(arena_cstr(&enroll->arena, reg.node.endpoints[0].host),
                      reg.node.endpoints[0].port, &addr) != ERR_OK ||
        net_connect(enroll->conf.reactor, &addr, NULL, on_probe, enroll, &enroll->probe) !=
            ERR_OK) {
        probed(enroll, false);
        return;
    }
    reactor_timer_set_ms(enroll->conf.reactor, &enroll->probe_timer, PROBE_TIMEOUT_MS);
}

static void on_existing(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;
    int64_t owner = answer->stat.owner;

    if (answer->err == ERR_NOT_FOUND)
        register_now(enroll);
    else if (answer->err != ERR_OK)
        again(enroll, "look", answer->err);
    else if (owner == zk_session(enroll->conf.zk)->id)
        registered(enroll, answer->stat.czxid); /* our own attempt whose answer was lost */
    else if (owner == enroll->last_session)
        zk_delete(enroll->conf.zk, my_path(enroll), ZK_ANY_VERSION, on_old_deleted, enroll);
    else
        probe_owner(enroll, answer->data);
}

static void on_created(void *arg, const struct zk_answer *answer)
{
    struct enroll *enroll = arg;

    if (answer->err == ERR_OK)
        registered(enroll, answer->results[1].stat.czxid);
    else if (answer->err == ERR_EXISTS || answer->err == ERR_CONNECTION_LOSS)
        zk_get(enroll->conf.zk, my_path(enroll), false, on_existing, enroll);
    else
        again(enroll, "create", answer->err);
}

static void register_now(struct enroll *enroll)
{
    struct zk_registration reg = {
        .node = *enroll->conf.self,
        .version = 5,
        .jmx_port = -1,
        .timestamp_ms = clock_wall_ms(),
        .moldau = str_of(enroll->conf.software),
    };
    const char *path = my_path(enroll);
    struct zk_op ops[2] = {
        zk_op_create(path, STR_NULL, ZK_EPHEMERAL),
        zk_op_set(path, zk_build_registration(&enroll->arena, &reg), 0),
    };

    zk_multi(enroll->conf.zk, ops, 2, on_created, enroll);
}

/* ---- ---- */

static void start(struct enroll *enroll)
{
    if (enroll->running || zk_session(enroll->conf.zk)->state == ZK_EXPIRED)
        return;
    arena_reset(&enroll->arena);
    enroll->running = true;
    enroll->path_at = 0;
    if (enroll->have_cluster_id && enroll->allowed)
        register_now(enroll);
    else
        make_next_path(enroll);
}

struct enroll *enroll_new(const struct enroll_conf *conf)
{
    struct enroll *enroll = xcalloc(1, sizeof *enroll);

    enroll->conf = *conf;
    enroll->epoch = -1;
    enroll->last_session = 0;
    arena_init(&enroll->arena, SIZE_MAX);
    reactor_timer_init(&enroll->retry, on_retry);
    reactor_timer_init(&enroll->probe_timer, on_probe_timeout);
    return enroll;
}

void enroll_free(struct enroll **enroll_ptr)
{
    struct enroll *enroll = *enroll_ptr;

    *enroll_ptr = NULL;
    reactor_timer_cancel(enroll->conf.reactor, &enroll->retry);
    end_probe(enroll);
    arena_fini(&enroll->arena);
    free(enroll);
}

void enroll_on_session(struct enroll *enroll)
{
    enroll->epoch = -1;
    enroll->running = false; /* answers of the old session do not come any more */
    end_probe(enroll);
    start(enroll);
}

void enroll_allow(struct enroll *enroll)
{
    enroll->allowed = true;
    start(enroll);
}

int64_t enroll_epoch(const struct enroll *enroll)
{
    return enroll->epoch;
}
