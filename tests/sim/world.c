/*
 * The queue is a heap by (time, number): what is asked for first at one time comes first, so a seed
 * decides everything.
 *
 * An event belongs to a process and to one life of it: when that has ended, it is dropped; while
 * the process is stopped, it is kept and comes, in order, when it goes on. A connection keeps the
 * order of what is sent on it; while its link is cut, what is sent is kept as TCP would send it
 * again.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define STANDING_MAX 20000 /* events at one time */

/* ---- chance and time ---- */

int64_t node_ms(const struct world *w, int node)
{
    const struct proc *proc = &w->procs[node];

    return proc->clock_ms + w->us / 1000 + w->us / 1000 * proc->clock_ppm / 1000000;
}

int64_t node_until_us(const struct world *w, int node, int64_t at_ms)
{
    int64_t in_us = (at_ms - node_ms(w, node)) * 1000;

    /* not before its clock says so, which counts whole milliseconds */
    return in_us <= 0 ? 0 : in_us - in_us / 1000000 * w->procs[node].clock_ppm + 1000;
}

void node_jump(struct world *w, int node, int64_t ms)
{
    w->procs[node].clock_ms += ms;
    if (node >= NODE_BOSS && w->procs[node].running)
        boss_on_jump(w, node - NODE_BOSS);
}

int64_t world_between(struct world *w, int64_t low, int64_t high)
{
    assert(low <= high);
    return low + (int64_t)rand_below(&w->rand, (uint64_t)(high - low) + 1);
}

bool world_chance(struct world *w, int percent)
{
    return (int)rand_below(&w->rand, 100) < percent;
}

struct uuid world_uuid(struct world *w)
{
    return rand_uuid(&w->rand);
}

/* Mostly short, now and then long. */
int64_t world_delay_us(struct world *w)
{
    int64_t base = w->conf.delay_us;

    if (w->quiet || rand_below(&w->rand, 64) != 0)
        return base / 2 + (int64_t)rand_below(&w->rand, (uint64_t)base);
    return base * world_between(w, 5, 100);
}

/* ---- words ---- */

bool world_traces(const struct world *w)
{
    return w->conf.trace || w->ring != NULL;
}

void world_trace(struct world *w, const char *format, ...)
{
    char line[160];
    va_list args;
    int len = snprintf(line, sizeof line, "%9.3f ", (double)w->us / 1000);

    va_start(args, format);
    vsnprintf(line + len, sizeof line - (size_t)len, format, args);
    va_end(args);
    if (w->conf.trace)
        puts(line);
    if (w->ring != NULL)
        memcpy(w->ring[w->n_ring++ % (size_t)w->conf.ring], line, sizeof line);
}

void world_fail(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->failed)
        return;
    w->failed = true;
    w->failed_ms = world_ms(w);
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
    TRACE(w, "FAILED %s", w->why);
}

void world_tell(struct world *w, const char *format, ...)
{
    char line[160];
    va_list args;
    int len = snprintf(line, sizeof line, "%9.3f ", (double)w->us / 1000);

    if (!world_traces(w))
        return;
    va_start(args, format);
    vsnprintf(line + len, sizeof line - (size_t)len, format, args);
    va_end(args);
    if (w->conf.tells) {
        array_reserve(&w->told, &w->cap_told, w->n_told, sizeof *w->told);
        memcpy(w->told[w->n_told++], line, sizeof line);
    }
    TRACE(w, "* %s", line + len);
}

const char *node_name(int node)
{
    static const char *const names[NODES] = {
        "b1", "b2", "b3", "b4", "b5", "b6", "b7", "", "c1", "c2", "c3", "", "", "", "", "zk",
    };

    return node == NODE_WORLD ? "world" : names[node];
}

/* ---- the queue ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void push(struct world *w, struct event *ev)
{
    size_t i = w->n_heap;

    array_reserve(&w->heap, &w->cap_heap, w->n_heap, sizeof(struct event *));
    w->n_heap++;
    ev->seq = ++w->seq;
    while (i > 0 && before(ev, w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = ev;
}

static struct event *pop(struct world *w)
{
    struct event *first = w->heap[0], *last = w->heap[--w->n_heap];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= w->n_heap)
            break;
        if (child + 1 < w->n_heap && before(w->heap[child + 1], w->heap[child]))
            child++;
        if (!before(w->heap[child], last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    if (w->n_heap > 0)
        w->heap[i] = last;
    return first;
}

static void event_end(struct event *ev)
{
    if (ev->ptr != NULL && ev->drop != NULL)
        ev->drop(ev->ptr);
    if (ev->conn != NULL)
        conn_unref(&ev->conn);
    free(ev);
}

static struct event *event_new(struct world *w, int node,
                               void (*run)(struct world *w, struct event *ev))
{
    struct event *ev = xcalloc(1, sizeof *ev);

    ev->run = run;
    ev->node = node;
    ev->life = node >= 0 ? w->procs[node].life : 0;
    return ev;
}

struct event *world_at(struct world *w, int64_t in_us, int node,
                       void (*run)(struct world *w, struct event *ev))
{
    struct event *ev = event_new(w, node, run);

    ev->at_us = w->us + in_us;
    push(w, ev);
    return ev;
}

static bool is_due(const struct world *w, const struct event *ev)
{
    const struct proc *proc;

    if (ev->conn != NULL && !ev->conn->open[ev->side])
        return false;
    if (ev->node == NODE_WORLD)
        return true;
    proc = &w->procs[ev->node];
    return proc->running && proc->life == ev->life;
}

bool world_step(struct world *w)
{
    struct event *ev;

    if (w->n_heap == 0)
        return false;
    ev = pop(w);
    w->standing = ev->at_us == w->us ? w->standing + 1 : 0;
    if (w->standing > STANDING_MAX)
        world_fail(w, "time stands still: somebody goes round in circles");
    w->us = ev->at_us;
    if (!is_due(w, ev)) {
        event_end(ev);
        return true;
    }
    if (ev->node >= 0 && w->procs[ev->node].paused) {
        struct proc *proc = &w->procs[ev->node];

        *proc->held_tail = ev;
        ev->next = NULL;
        proc->held_tail = &ev->next;
        return true;
    }
    w->steps++;
    ev->run(w, ev);
    event_end(ev);
    return true;
}

void world_run_ms(struct world *w, int64_t ms)
{
    int64_t until = w->us + ms * 1000;

    while (!w->failed && w->n_heap > 0 && w->heap[0]->at_us <= until)
        world_step(w);
    if (!w->failed)
        w->us = until;
}

/* ---- connections ---- */

struct conn *conn_ref(struct conn *conn)
{
    conn->refs++;
    return conn;
}

static void drop_held(struct conn *conn)
{
    for (int side = 0; side < 2; side++) {
        struct event *ev = conn->held[side], *next;

        conn->held[side] = NULL;
        conn->held_tail[side] = &conn->held[side];
        for (; ev != NULL; ev = next) {
            next = ev->next;
            event_end(ev);
        }
    }
}

void conn_unref(struct conn **connp)
{
    struct conn *conn = *connp;

    *connp = NULL;
    if (--conn->refs == 0)
        free(conn);
}

struct conn *conn_open(struct world *w, enum conn_kind kind, int from, int to)
{
    struct conn *conn = xcalloc(1, sizeof *conn);

    conn->kind = kind;
    conn->id = ++w->ids;
    conn->refs = 1; /* the world's */
    conn->node[0] = from;
    conn->node[1] = to;
    for (int side = 0; side < 2; side++) {
        conn->life[side] = w->procs[conn->node[side]].life;
        conn->open[side] = true;
        conn->ready_us[side] = w->us;
        conn->held_tail[side] = &conn->held[side];
    }
    conn->replica = -1;
    conn->next = w->conns;
    w->conns = conn;
    return conn;
}

struct event *conn_send(struct world *w, struct conn *conn, int from_side,
                        void (*run)(struct world *w, struct event *ev))
{
    int to_side = 1 - from_side;
    struct event *ev = event_new(w, conn->node[to_side], run);

    ev->life = conn->life[to_side];
    ev->conn = conn_ref(conn);
    ev->side = to_side;
    if (!link_is_up(w, conn->node[from_side], conn->node[to_side])) {
        *conn->held_tail[to_side] = ev;
        conn->held_tail[to_side] = &ev->next;
        return ev;
    }
    ev->at_us = w->us + world_delay_us(w);
    if (ev->at_us < conn->ready_us[to_side])
        ev->at_us = conn->ready_us[to_side];
    conn->ready_us[to_side] = ev->at_us;
    push(w, ev);
    return ev;
}

static void on_closed(struct world *w, struct conn *conn, int side)
{
    conn->open[side] = false;
    if (!w->procs[conn->node[side]].running || w->procs[conn->node[side]].life != conn->life[side])
        return;
    if (conn->kind == CONN_FETCH)
        repl_on_closed(w, conn, side);
    else if (side == 0)
        bro_on_stream_closed(w, conn);
    else
        boss_on_stream_closed(w, conn);
}

static void run_closed(struct world *w, struct event *ev)
{
    on_closed(w, ev->conn, ev->side);
}

void conn_close(struct world *w, struct conn *conn, int side)
{
    if (!conn->open[side])
        return;
    conn->open[side] = false;
    if (conn->open[1 - side])
        conn_send(w, conn, side, run_closed);
}

void conn_reset(struct world *w, struct conn *conn)
{
    drop_held(conn);
    for (int side = 0; side < 2; side++) {
        struct event *ev = event_new(w, conn->node[side], run_closed);

        ev->life = conn->life[side];
        ev->conn = conn_ref(conn);
        ev->side = side;
        ev->at_us = w->us + world_delay_us(w);
        push(w, ev);
    }
}

/* Nobody has an end of it any more. */
static void sweep(struct world *w)
{
    struct conn **at = &w->conns;

    while (*at != NULL) {
        struct conn *conn = *at;

        if (conn->open[0] || conn->open[1]) {
            at = &conn->next;
            continue;
        }
        *at = conn->next;
        drop_held(conn);
        conn_unref(&conn);
    }
}

bool link_is_up(const struct world *w, int from, int to)
{
    return !w->cut[from][to];
}

void link_cut(struct world *w, int from, int to)
{
    w->cut[from][to] = true;
    TRACE(w, "cut %s -> %s", node_name(from), node_name(to));
}

static void let_go(struct world *w, struct conn *conn, int to_side)
{
    struct event *ev = conn->held[to_side], *next;

    conn->held[to_side] = NULL;
    conn->held_tail[to_side] = &conn->held[to_side];
    for (; ev != NULL; ev = next) {
        next = ev->next;
        ev->at_us = w->us + world_delay_us(w);
        if (ev->at_us < conn->ready_us[to_side])
            ev->at_us = conn->ready_us[to_side];
        conn->ready_us[to_side] = ev->at_us;
        push(w, ev);
    }
}

void link_mend(struct world *w, int from, int to)
{
    if (!w->cut[from][to])
        return;
    TRACE(w, "mend %s -> %s", node_name(from), node_name(to));
    w->cut[from][to] = false;
    sweep(w);
    for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
        for (int side = 0; side < 2; side++)
            if (conn->node[1 - side] == from && conn->node[side] == to)
                let_go(w, conn, side);
}

/* ---- processes ---- */

static void end_held(struct proc *proc)
{
    struct event *ev = proc->held, *next;

    proc->held = NULL;
    proc->held_tail = &proc->held;
    for (; ev != NULL; ev = next) {
        next = ev->next;
        event_end(ev);
    }
}

void proc_start(struct world *w, int node)
{
    struct proc *proc = &w->procs[node];

    if (proc->running)
        return;
    TRACE(w, "start %s", node_name(node));
    if (!proc->machine_up) {
        proc->machine_up = true;
        proc->boot++;
        /* what is sent to it now is answered with a reset */
        for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
            for (int side = 0; side < 2; side++)
                if (conn->node[side] == node && !conn->open[side] && conn->open[1 - side])
                    conn_send(w, conn, side, run_closed);
    }
    sweep(w);
    proc->running = true;
    proc->paused = false;
    proc->life++;
    proc->zk.ready_us[0] = proc->zk.ready_us[1] = w->us;
    zoo_connect(w, node);
    if (node < NODE_BOSS)
        bro_start(w, node);
    else
        boss_start(w, node - NODE_BOSS);
}

static void proc_end(struct world *w, int node)
{
    struct proc *proc = &w->procs[node];

    proc->running = proc->paused = false;
    end_held(proc);
    zoo_forget_process(w, node);
    if (node < NODE_BOSS)
        bro_end(w, node);
    else
        boss_end(w, node - NODE_BOSS);
}

void proc_kill(struct world *w, int node)
{
    if (!w->procs[node].running)
        return;
    TRACE(w, "kill %s", node_name(node));
    for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
        for (int side = 0; side < 2; side++)
            if (conn->node[side] == node)
                conn_close(w, conn, side);
    proc_end(w, node);
    sweep(w);
}

void proc_power_off(struct world *w, int node)
{
    if (!w->procs[node].machine_up)
        return;
    TRACE(w, "power off %s", node_name(node));
    for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
        for (int side = 0; side < 2; side++)
            if (conn->node[side] == node)
                conn->open[side] = false;
    w->procs[node].machine_up = false;
    if (w->procs[node].running)
        proc_end(w, node);
    sweep(w);
}

void proc_pause(struct world *w, int node)
{
    if (!w->procs[node].running || w->procs[node].paused)
        return;
    TRACE(w, "pause %s", node_name(node));
    w->procs[node].paused = true;
}

void proc_resume(struct world *w, int node)
{
    struct proc *proc = &w->procs[node];
    struct event *ev = proc->held, *next;

    if (!proc->running || !proc->paused)
        return;
    TRACE(w, "resume %s", node_name(node));
    proc->paused = false;
    proc->held = NULL;
    proc->held_tail = &proc->held;
    for (; ev != NULL; ev = next) {
        next = ev->next;
        ev->at_us = w->us;
        push(w, ev);
    }
}

/* ---- its life ---- */

void world_init(struct world *w, uint64_t seed, const struct sim_conf *conf)
{
    memset(w, 0, sizeof *w);
    w->conf = *conf;
    w->seed = seed;
    rand_seed(&w->rand, seed);
    if (conf->ring > 0)
        w->ring = xcalloc((size_t)conf->ring, sizeof *w->ring);
    oracle_init(&w->oracle);
    for (int i = 0; i < NODES; i++) {
        w->procs[i].machine_up = true;
        w->procs[i].held_tail = &w->procs[i].held;
        w->procs[i].clock_ms = world_between(w, 0, 1000000000);
        w->procs[i].clock_ppm = (int)world_between(w, -5000, 5000);
    }
    w->zoo = zoo_new(w);
    for (int i = 0; i < conf->brokers; i++)
        bro_init(w, i);
    for (int i = 0; i < conf->bosses; i++)
        boss_init(w, i);
}

void world_fini(struct world *w)
{
    for (int i = 0; i < NODES; i++)
        if (w->procs[i].running)
            proc_kill(w, i);
    while (w->n_heap > 0)
        event_end(w->heap[--w->n_heap]);
    for (int i = 0; i < w->conf.brokers; i++)
        bro_fini(w, i);
    for (struct conn *conn = w->conns; conn != NULL; conn = conn->next)
        conn->open[0] = conn->open[1] = false;
    sweep(w);
    crowd_fini(w);
    zoo_free(&w->zoo);
    oracle_fini(&w->oracle);
    free(w->heap);
    free(w->ring);
    free(w->told);
}
