/*
 * Clients of a group, as Java's consumer behaves: find the coordinator, join, hand out partitions
 * if they lead, beat and commit; what an error means to them is what it means to Kafka's. They are
 * no processes of the cluster: requests and answers take their time and get lost with a coordinator
 * that dies. Some are static members (group.instance.id): they do not say that they leave, and in
 * their next life they come back by their instance to what they had.
 *
 * Checked: in one generation no partition has two owners; a commit counts only from the generation
 * that is, and one that was acknowledged is in the log of every later leader (the oracle's
 * business, as any acknowledged record); in the end the group is stable with those who live.
 */
#include "tests/sim/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define CALL_MS 8000 /* then an answer is given up: longer than a rebalance takes */

static int64_t pace_us(struct world *w)
{
    return world_between(w, 40, 160) * 1000;
}

static bool is_static(const struct world *w, int i)
{
    return (w->conf.statics >> i & 1) != 0;
}

static void forget(struct crowd_client *c)
{
    c->id[0] = '\0';
    c->generation = -1;
    c->coordinator = -1;
    c->owned = 0;
}

static void send(struct world *w, int i, struct crowd_request *req)
{
    struct crowd_client *c = &w->crowd.clients[i];
    struct event *ev;
    int to;

    if (c->coordinator < 0)
        c->coordinator = client_leader(w, CROWD_PART);
    to = c->coordinator;

    req->who = (struct crowd_who){ .client = i, .life = c->life, .call = ++w->ids };
    c->call = req->who.call;
    c->call_ms = world_ms(w);
    memcpy(req->id, c->id, sizeof req->id);
    if (is_static(w, i))
        snprintf(req->instance, sizeof req->instance, "i%d", i);
    req->generation = c->generation;
    if (req->ask == ASK_COMMIT && world_chance(w, 3))
        req->generation--; /* a thread that was held up since the last rebalance */
    if (to < 0 || !w->procs[to].running) {
        c->coordinator = -1;
        return; /* the time-out tells */
    }
    ev = world_at(w, world_delay_us(w), to, coord_on_request);
    ev->ptr = xmemdup(req, sizeof *req);
    ev->drop = free;
}

static void act(struct world *w, int i)
{
    struct crowd_client *c = &w->crowd.clients[i];
    struct crowd_request req = { .part = 0 };

    if (c->call != 0) {
        if (world_ms(w) - c->call_ms <= CALL_MS)
            return;
        c->call = 0;
        c->coordinator = -1;
        if (c->phase != CROWD_MEMBER)
            c->phase = CROWD_OUT;
    }
    switch (c->phase) {
    case CROWD_ABSENT:
        return;
    case CROWD_OUT:
        req.ask = ASK_JOIN;
        c->phase = CROWD_JOINING;
        c->owned = 0;
        break;
    case CROWD_JOINED:
        req.ask = ASK_SYNC;
        req.n_members = c->leads ? c->n_members : 0;
        memcpy(req.members, c->members, sizeof req.members);
        c->phase = CROWD_SYNCING;
        break;
    case CROWD_MEMBER:
        req.ask = ASK_BEAT;
        if (world_ms(w) - c->beat_ms < CROWD_SESSION_MS / 3) {
            if (c->owned == 0 || w->quiet || world_chance(w, 75))
                return;
            req.ask = ASK_COMMIT;
            req.part = __builtin_ctz(c->owned);
        } else {
            c->beat_ms = world_ms(w);
        }
        break;
    case CROWD_JOINING:
    case CROWD_SYNCING:
        c->phase = CROWD_OUT;
        return;
    }
    send(w, i, &req);
}

static void run_client(struct world *w, struct event *ev)
{
    if (w->crowd.clients[ev->a].paused_ms <= world_ms(w))
        act(w, (int)ev->a);
    world_at(w, pace_us(w), NODE_WORLD, run_client)->a = ev->a;
}

/* ---- answers ---- */

/* What Java's consumer makes of an error. */
static void on_error(struct crowd_client *c, enum err err)
{
    if (err == ERR_NOT_COORDINATOR || err == ERR_COORDINATOR_NOT_AVAILABLE) {
        c->coordinator = -1;
        if (c->phase != CROWD_MEMBER) /* it looks for the next one, and is a member yet */
            c->phase = CROWD_OUT;
        return;
    }
    c->phase = CROWD_OUT;
    c->owned = 0;
    /* The fenced end: another has their instance, which here is what their last process had sent
     * and came late. They are started again. */
    if (err == ERR_UNKNOWN_MEMBER_ID || err == ERR_FENCED_INSTANCE_ID)
        forget(c);
    else if (err == ERR_ILLEGAL_GENERATION)
        c->generation = -1;
}

static void check_owners(struct world *w, int i)
{
    const struct crowd_client *c = &w->crowd.clients[i];

    if (w->forfeited[part_of_gen(c->gen, CROWD_PART)])
        return; /* what was stored may be gone */
    for (int k = 0; k < w->crowd.n; k++) {
        const struct crowd_client *other = &w->crowd.clients[k];

        if (k != i && other->phase == CROWD_MEMBER && other->gen == c->gen &&
            other->generation == c->generation && (other->owned & c->owned) != 0)
            world_fail(w, "8: in generation %d two members own a partition", c->generation);
    }
}

static void on_joined(struct crowd_client *c, const struct crowd_answer *answer)
{
    memcpy(c->id, answer->id, sizeof c->id);
    memcpy(c->members, answer->members, sizeof c->members);
    c->generation = answer->generation;
    c->leads = answer->leads;
    c->n_members = answer->n_members;
    c->phase = CROWD_JOINED;
}

void crowd_on_answer(struct world *w, struct event *ev)
{
    const struct crowd_answer *answer = ev->ptr;
    struct crowd_client *c = &w->crowd.clients[answer->who.client];

    if (c->life != answer->who.life || c->call != answer->who.call)
        return;
    c->call = 0;
    if (answer->ask == ASK_JOIN && answer->err == ERR_MEMBER_ID_REQUIRED) {
        memcpy(c->id, answer->id, sizeof c->id);
        c->phase = CROWD_OUT;
    } else if (answer->err != ERR_OK && !(answer->ask == ASK_COMMIT && c->phase == CROWD_MEMBER &&
                                          answer->err == ERR_ILLEGAL_GENERATION)) {
        on_error(c, answer->err);
    } else if (answer->ask == ASK_JOIN && answer->err == ERR_OK) {
        on_joined(c, answer);
    } else if (answer->ask == ASK_SYNC) {
        c->phase = CROWD_MEMBER;
        c->owned = answer->owned;
        c->gen = answer->gen;
        c->beat_ms = world_ms(w);
        w->crowd.n_formed++;
        check_owners(w, answer->who.client);
    }
}

/* ---- what happens to them ---- */

void crowd_trouble(struct world *w)
{
    int i = (int)world_between(w, 0, CROWD_MOST - 1);
    struct crowd_client *c = &w->crowd.clients[i];
    struct crowd_request leave = { .ask = ASK_LEAVE };
    int64_t ms = world_between(w, 100, 2 * CROWD_SESSION_MS);

    if (i >= w->crowd.n)
        return;
    if (c->phase == CROWD_ABSENT) {
        world_tell(w, "client %d comes", i);
        forget(c);
        c->phase = CROWD_OUT;
        return;
    }
    switch (world_between(w, 0, 3)) {
    case 0:
        world_tell(w, "client %d dies without a word", i);
        c->phase = CROWD_ABSENT;
        break;
    case 1:
        world_tell(w, "client %d leaves", i);
        if (c->phase == CROWD_MEMBER && !is_static(w, i)) /* whose place is kept for them */
            send(w, i, &leave);
        c->phase = CROWD_ABSENT;
        break;
    case 2:
        world_tell(w, "client %d is restarted", i);
        c->phase = CROWD_OUT;
        break;
    default:
        world_tell(w, "client %d is held up for %lld ms", i, (long long)ms);
        c->paused_ms = world_ms(w) + ms;
        return;
    }
    c->life++;
    c->call = 0;
    forget(c);
}

/* ---- its life ---- */

void crowd_start(struct world *w)
{
    struct crowd *crowd = &w->crowd;

    crowd->n = w->conf.clients;
    for (int i = 0; i < crowd->n; i++) {
        forget(&crowd->clients[i]);
        crowd->clients[i].phase = CROWD_OUT;
        world_at(w, pace_us(w), NODE_WORLD, run_client)->a = i;
    }
}

void crowd_fini(struct world *w)
{
    for (size_t i = 0; i < w->crowd.n_papers; i++)
        free(w->crowd.papers[i].batch);
    free(w->crowd.papers);
}

bool crowd_is_settled(const struct world *w)
{
    const struct crowd *crowd = &w->crowd;
    int leader = w->zoo->tree.states[CROWD_PART].leader;
    size_t live = 0, members;
    int32_t generation;
    bool stable;

    if (crowd->n == 0)
        return true;
    if (leader <= 0 || !coord_shows(&w->bros[leader - 1], &members, &stable, &generation))
        return false;
    for (int i = 0; i < crowd->n; i++) {
        const struct crowd_client *c = &crowd->clients[i];

        live += c->phase != CROWD_ABSENT;
        if (c->phase != CROWD_ABSENT && (c->phase != CROWD_MEMBER || c->generation != generation))
            return false;
    }
    return stable && members == live;
}
