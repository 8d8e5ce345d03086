/*
 * ZooKeeper by meaning. A request goes out, is executed at once when it arrives and its answer
 * comes back, both in order. When the connection breaks, every open request ends with
 * CONNECTION_LOSS, and what was on its way is executed or not, as chance will have it. A session
 * that was not heard of for its time-out expires: its ephemerals go, and those who watch are told
 * some time later.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

/* ---- requests ---- */

static void req_end(struct zreq *req)
{
    if (req->drop != NULL && req->ptr != NULL)
        req->drop(req->ptr);
    free(req);
}

static void drop_req(void *ptr)
{
    req_end(ptr);
}

static void unlink_req(struct zk_client *zk, struct zreq *req)
{
    struct zreq **at = &zk->out;

    while (*at != NULL && *at != req)
        at = &(*at)->next;
    if (*at == req)
        *at = req->next;
}

static struct event *carry(struct world *w, struct zreq *req, int64_t at_us, int node,
                           void (*run)(struct world *w, struct event *ev))
{
    struct event *ev = world_at(w, at_us - w->us, node, run);

    if (node >= 0)
        ev->life = req->life;
    ev->ptr = req;
    ev->drop = drop_req;
    return ev;
}

/* Home: the request is this event's alone. */
static void run_done(struct world *w, struct event *ev)
{
    struct zreq *req = ev->ptr;

    req->done(w, req, (enum err)ev->a);
}

static void run_answer(struct world *w, struct event *ev)
{
    struct zreq *req = ev->ptr;

    if (req->over) /* its connection was lost meanwhile, somebody else has said so */
        return;
    ev->ptr = NULL;
    unlink_req(&w->procs[req->node].zk, req);
    carry(w, req, w->us, req->node, run_done)->a = ev->a;
}

static int64_t in_order(struct world *w, int64_t *ready_us)
{
    int64_t at_us = w->us + world_delay_us(w);

    if (at_us < *ready_us)
        at_us = *ready_us;
    *ready_us = at_us;
    return at_us;
}

static bool is_back(const struct world *w, const struct zreq *req)
{
    const struct proc *proc = &w->procs[req->node];

    return proc->life == req->life && proc->running && proc->zk.link != req->link;
}

static void run_exec(struct world *w, struct event *ev)
{
    struct zreq *req = ev->ptr;
    bool lives = zoo_session_lives(w, (uint64_t)ev->b);

    /* what was under way when its connection broke may still arrive, but not after the next one */
    if (lives && (!req->over || (world_chance(w, 50) && !is_back(w, req))))
        req->exec(w, req);
    if (req->over)
        return;
    ev->ptr = NULL;
    carry(w, req, in_order(w, &w->procs[req->node].zk.ready_us[1]), NODE_WORLD, run_answer)->a =
        lives ? ERR_OK : ERR_SESSION_EXPIRED;
}

/* Ends it at home with err; what of it is still on its way ends with its event. */
static struct zreq *twin(const struct zreq *req)
{
    struct zreq *copy = xcalloc(1, sizeof *copy);

    *copy = *req;
    copy->next = NULL;
    return copy;
}

static void run_give_up(struct world *w, struct event *ev)
{
    if (w->procs[ev->node].zk.link == (uint64_t)ev->a)
        zoo_lose(w, ev->node);
}

struct zreq *zoo_call(struct world *w, int node, void (*exec)(struct world *, struct zreq *),
                      void (*done)(struct world *, struct zreq *, enum err))
{
    struct zk_client *zk = &w->procs[node].zk;
    struct zreq *req = xcalloc(1, sizeof *req), **tail = &zk->out;

    req->node = node;
    req->life = w->procs[node].life;
    req->exec = exec;
    req->done = done;
    req->link = zk->link;
    if (!zk->connected) {
        carry(w, req, w->us + 5000, node, run_done)->a =
            zk->session == 0 ? ERR_SESSION_EXPIRED : ERR_CONNECTION_LOSS;
        return req;
    }
    while (*tail != NULL)
        tail = &(*tail)->next;
    *tail = req;
    if (!link_is_up(w, node, NODE_ZOO) || !link_is_up(w, NODE_ZOO, node)) {
        /* until the connection is given up */
        world_at(w, world_between(w, 100, 1000) * 1000, node, run_give_up)->a = (int64_t)zk->link;
        return req;
    }
    req->sent = true;
    carry(w, req, in_order(w, &zk->ready_us[0]), NODE_WORLD, run_exec)->b = (int64_t)zk->session;
    return req;
}

/* ---- sessions ---- */

bool zoo_session_lives(const struct world *w, uint64_t session)
{
    for (const struct zoo_session *s = w->zoo->sessions; s != NULL; s = s->next)
        if (s->id == session)
            return true;
    return false;
}

static void on_session(struct world *w, int node, bool is_new)
{
    TRACE(w, "%s has %s ZooKeeper session", node_name(node), is_new ? "a new" : "kept its");
    if (node < NODE_BOSS)
        bro_on_session(w, node, is_new);
    else
        boss_on_session(w, node - NODE_BOSS, is_new);
}

static bool is_near(const struct world *w, int node)
{
    return link_is_up(w, node, NODE_ZOO) && link_is_up(w, NODE_ZOO, node);
}

static void run_connect(struct world *w, struct event *ev);

static void run_check(struct world *w, struct event *ev)
{
    struct zoo_session *s = w->zoo->sessions;
    int64_t every_us = w->conf.session_ms * 1000 / 4;

    while (s != NULL && s->id != (uint64_t)ev->a)
        s = s->next;
    if (s == NULL)
        return;

    struct proc *proc = &w->procs[s->node];
    bool mine = proc->running && proc->life == s->life && proc->zk.session == s->id;

    if (mine && proc->zk.connected && !proc->paused) {
        if (is_near(w, s->node))
            s->heard_us = w->us;
        else
            zoo_lose(w, s->node);
    }
    if (w->us - s->heard_us >= w->conf.session_ms * 1000)
        zoo_expire(w, s->id);
    else
        world_at(w, every_us, NODE_WORLD, run_check)->a = ev->a;
}

static void new_session(struct world *w, int node)
{
    struct zoo_session *s = xcalloc(1, sizeof *s);
    struct zk_client *zk = &w->procs[node].zk;

    s->id = ++w->ids;
    s->node = node;
    s->life = w->procs[node].life;
    s->heard_us = w->us;
    s->next = w->zoo->sessions;
    w->zoo->sessions = s;
    zk->session = s->id;
    zk->connected = true;
    zk->link++;
    world_at(w, w->conf.session_ms * 1000 / 4, NODE_WORLD, run_check)->a = (int64_t)s->id;
    on_session(w, node, true);
}

static void run_connect(struct world *w, struct event *ev)
{
    struct zk_client *zk = &w->procs[ev->node].zk;

    if (zk->connected)
        return;
    if (!is_near(w, ev->node)) {
        world_at(w, 100000 + world_delay_us(w), ev->node, run_connect);
        return;
    }
    if (zk->session == 0 || !zoo_session_lives(w, zk->session)) {
        new_session(w, ev->node);
        return;
    }
    for (struct zoo_session *s = w->zoo->sessions; s != NULL; s = s->next)
        if (s->id == zk->session)
            s->heard_us = w->us;
    zk->connected = true;
    zk->link++;
    on_session(w, ev->node, false);
}

void zoo_connect(struct world *w, int node)
{
    w->procs[node].zk.session = 0;
    w->procs[node].zk.connected = false;
    world_at(w, 2 * world_delay_us(w), node, run_connect);
}

/* Requests that are open end at home with err. */
static void end_open(struct world *w, int node, enum err err)
{
    struct zk_client *zk = &w->procs[node].zk;
    struct zreq *req = zk->out, *next;

    zk->out = NULL;
    for (; req != NULL; req = next) {
        next = req->next;
        req->next = NULL;
        if (!req->sent) {
            carry(w, req, w->us, node, run_done)->a = err;
            continue;
        }
        /* it is on its way and may be executed; what it points to goes home with its twin, a
         * request that can do without it looks at nothing else */
        struct zreq *home = twin(req);
        req->over = true;
        req->ptr = NULL;
        if (req->keep != NULL)
            req->ptr = req->keep(home->ptr);
        carry(w, home, w->us, node, run_done)->a = err;
    }
}

void zoo_lose(struct world *w, int node)
{
    struct zk_client *zk = &w->procs[node].zk;

    if (!w->procs[node].running || !zk->connected)
        return;
    TRACE(w, "%s loses its connection to ZooKeeper", node_name(node));
    zk->connected = false;
    end_open(w, node, ERR_CONNECTION_LOSS);
    world_at(w, world_between(w, 1, w->quiet ? 50 : 500) * 1000, node, run_connect);
}

static void run_expired(struct world *w, struct event *ev)
{
    struct zk_client *zk = &w->procs[ev->node].zk;

    if (zk->session != (uint64_t)ev->a || !zk->connected)
        return; /* or it learns of it when it connects */
    TRACE(w, "%s learns that its session has expired", node_name(ev->node));
    zk->connected = false;
    zk->session = 0;
    end_open(w, ev->node, ERR_SESSION_EXPIRED);
    world_at(w, 2 * world_delay_us(w), ev->node, run_connect);
}

void zoo_expire(struct world *w, uint64_t session)
{
    struct zoo *zoo = w->zoo;
    struct zoo_session **at = &zoo->sessions, *gone;
    bool regs = false;

    while (*at != NULL && (*at)->id != session)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    gone = *at;
    *at = gone->next;
    TRACE(w, "the session of %s ends", node_name(gone->node));
    for (int i = 0; i < SIM_BROKERS; i++)
        if (zoo->regs[i].there && zoo->regs[i].session == session) {
            zoo->regs[i].there = false;
            zoo->zxid++;
            regs = true;
        }
    for (int i = 0; i < SIM_BOSSES; i++)
        if (zoo->seats[i] == session)
            zoo->seats[i] = 0;
    if (zoo->holder >= 0 && zoo->holder_session == session)
        zoo_set_holder(w, -1, 0);
    if (regs)
        zoo_reg_changed(w);
    if (w->procs[gone->node].running && w->procs[gone->node].life == gone->life)
        world_at(w, world_delay_us(w), gone->node, run_expired)->a = (int64_t)session;
    free(gone);
}

void zoo_forget_process(struct world *w, int node)
{
    struct zk_client *zk = &w->procs[node].zk;
    struct zreq *req = zk->out, *next;

    zk->out = NULL;
    zk->connected = false;
    zk->session = 0;
    for (; req != NULL; req = next) {
        next = req->next;
        req->over = true;
        if (!req->sent)
            req_end(req);
    }
}

/* ---- watches ---- */

static void run_regs(struct world *w, struct event *ev)
{
    boss_on_regs(w, ev->node - NODE_BOSS);
}

void zoo_reg_changed(struct world *w)
{
    for (int i = 0; i < w->conf.bosses; i++)
        if (w->procs[NODE_BOSS + i].running)
            world_at(w, world_delay_us(w), NODE_BOSS + i, run_regs);
}

static void run_seat(struct world *w, struct event *ev)
{
    if (ev->node < NODE_BOSS)
        bro_on_seat(w, ev->node);
    else
        boss_on_seat(w, ev->node - NODE_BOSS);
}

void zoo_set_holder(struct world *w, int holder, uint64_t session)
{
    w->zoo->holder = holder;
    w->zoo->holder_session = session;
    for (int node = 0; node < NODE_ZOO; node++)
        if (w->procs[node].running)
            world_at(w, world_delay_us(w), node, run_seat);
}

/* ---- its life ---- */

struct zoo *zoo_new(struct world *w)
{
    struct zoo *zoo = xcalloc(1, sizeof *zoo);

    zoo->holder = -1;
    zoo->zxid = 100;
    zoo_tree_init(w, &zoo->tree);
    for (size_t i = 0; i < sizeof zoo->buried / sizeof(int32_t); i++)
        (&zoo->buried[0][0][0])[i] = NO_STONE;
    return zoo;
}

void zoo_free(struct zoo **zoop)
{
    struct zoo *zoo = *zoop;
    struct zoo_session *s = zoo->sessions, *next;

    *zoop = NULL;
    for (; s != NULL; s = next) {
        next = s->next;
        free(s);
    }
    free(zoo);
}
