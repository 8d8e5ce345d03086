/*
 * Clients: records with values never used twice go to whom some broker names as the leader, or to
 * anybody; nothing is sent again, so no value may be in a log twice. Consumers read from any
 * replica up to its high watermark; what they see is held against what is committed.
 */
#include "tests/sim/sim.h"

static struct bro *any_broker(struct world *w)
{
    return &w->bros[world_between(w, 0, w->conf.brokers - 1)];
}

static void send_to(struct world *w, int node, int p, int acks)
{
    struct event *ev;

    if (!w->procs[node].running)
        return;
    ev = world_at(w, world_delay_us(w), node, repl_on_produce);
    ev->a = w->value;
    ev->b = p;
    ev->c = acks;
    w->value += 3;
}

/* As metadata of a broker that answers says; -1: nobody. */
static int leader_by(struct world *w, const struct bro *b, int p)
{
    const struct image_topic *topic;
    const struct image_part *part;

    if (!w->procs[b->node].running || b->image == NULL)
        return -1;
    topic = image_topic_named(b->image, SIM_TOPIC);
    part = topic == NULL ? NULL : image_topic_part(topic, p);
    return part == NULL ? -1 : part->leader;
}

int client_leader(struct world *w, int p)
{
    int leader = leader_by(w, any_broker(w), p);

    return leader > 0 ? leader - 1 : -1;
}

void client_produce(struct world *w, int p, int acks)
{
    int leader = w->zoo->tree.states[p].leader;

    if (w->zoo->tree.states[p].there && leader > 0)
        send_to(w, leader - 1, p, acks);
}

static void run_produce(struct world *w, struct event *ev)
{
    int p = (int)world_between(w, 0, w->zoo->tree.topic.n_parts - 1);
    int acks = world_chance(w, 80) ? -1 : 1;
    int leader = leader_by(w, any_broker(w), p);

    (void)ev;
    if (world_chance(w, 15))
        leader = any_broker(w)->id;
    if (leader > 0)
        send_to(w, leader - 1, p, acks);
    if (!w->quiet)
        world_at(w, world_between(w, 1, 2 * w->conf.produce_ms) * 1000, NODE_WORLD, run_produce);
}

static void run_consume(struct world *w, struct event *ev)
{
    struct bro *b = any_broker(w);
    int p = (int)world_between(w, 0, w->zoo->tree.topic.n_parts - 1);
    const struct part_core *core = &b->reps[p].core;

    (void)ev;
    if (w->procs[b->node].running && !w->procs[b->node].paused && bro_serves(b, p) &&
        part_check_epoch(core, -1, false) == ERR_OK)
        promise_hw(w, b, p, core->hw > 16 ? core->hw - 16 : 0);
    world_at(w, world_between(w, 1, 200) * 1000, NODE_WORLD, run_consume);
}

void client_start(struct world *w)
{
    world_at(w, 0, NODE_WORLD, run_produce);
    world_at(w, 0, NODE_WORLD, run_consume);
}
