/*
 * ZooKeeper, controllers and the stream: what is lost or late there changes no record.
 */
#include "tests/sim/stories/stories.h"

static void expire_all(struct world *w)
{
    uint64_t sessions[NODES * 2];
    size_t n = 0;

    for (struct zoo_session *s = w->zoo->sessions; s != NULL && n < NODES * 2; s = s->next)
        sessions[n++] = s->id;
    for (size_t i = 0; i < n; i++)
        zoo_expire(w, sessions[i]);
}

/* Who finds no controller for longer than the lag allows is out of sync for a reason. */
static void check_nobody_leaves(struct world *w, const uint32_t *in_sync)
{
    int64_t until_ms = world_ms(w) + (w->conf.lag_max_ms < 1000 ? w->conf.lag_max_ms : 1000);

    while (world_ms(w) < until_ms) {
        story_write(w, 1);
        world_run_ms(w, 20);
        for (int p = 0; p < w->conf.parts && !w->failed; p++)
            if (w->zoo->tree.states[p].n_isr < in_sync[p])
                world_fail(w, "a hiccup of ZooKeeper took a replica of partition %d out of sync",
                           p);
        if (w->failed)
            return;
    }
}

void story_hiccup(struct world *w)
{
    int32_t epochs[SIM_PARTS];
    uint32_t in_sync[SIM_PARTS];

    for (int p = 0; p < w->conf.parts; p++) {
        epochs[p] = w->zoo->tree.states[p].leader_epoch;
        in_sync[p] = w->zoo->tree.states[p].n_isr;
    }
    story_write(w, 2);
    expire_all(w);
    check_nobody_leaves(w, in_sync);
    world_run_ms(w, 100);
    for (int p = 0; p < w->conf.parts && !w->failed; p++)
        if (w->zoo->tree.states[p].leader_epoch != epochs[p] && story_leader(w, p) != p)
            world_fail(w, "a hiccup of ZooKeeper moved the leadership of partition %d", p);
}

void story_registers_in_mid_hello(struct world *w)
{
    int node = story_leader(w, 0);

    for (int i = 0; i < 5 && !w->failed; i++) {
        if (w->bros[node].stream != NULL)
            conn_reset(w, w->bros[node].stream);
        world_run_ms(w, world_between(w, 0, 20));
        zoo_expire(w, w->procs[node].zk.session);
        world_run_ms(w, world_between(w, 0, 40));
        story_write(w, 2);
    }
    proc_kill(w, story_follower(w, 0) >= 0 ? story_follower(w, 0) : node);
    story_write(w, 5);
}

void story_lost_answer(struct world *w)
{
    int out = story_follower(w, 0), leader = story_leader(w, 0);

    proc_kill(w, out);
    world_run_ms(w, 300);
    proc_start(w, out);
    for (int i = 0; i < 30 && !w->failed; i++) {
        story_write(w, 1);
        if (w->bros[leader].stream != NULL && world_chance(w, 40))
            conn_reset(w, w->bros[leader].stream);
        world_run_ms(w, world_between(w, 0, 60));
        if (i == 20 && world_chance(w, 50)) /* who may have joined now is asked for */
            proc_kill(w, leader);
    }
}

void story_two_bosses(struct world *w)
{
    int held = w->zoo->holder, leader = story_leader(w, 0);

    if (held < 0)
        return;
    proc_pause(w, NODE_BOSS + held);
    proc_kill(w, leader);
    world_run_ms(w, world_between(w, 0, 100));
    boss_take_over(w, 1 - held);
    /* what it has not heard of yet makes the first one write as soon as it goes on */
    world_run_ms(w, world_between(w, 0, 3000));
    story_write(w, 3);
    proc_resume(w, NODE_BOSS + held);
    world_run_ms(w, world_between(w, 0, 500));
    proc_start(w, leader);
}

void story_held_up_in_a_write(struct world *w)
{
    int held = w->zoo->holder, leader = story_leader(w, 0);

    if (held < 0)
        return;
    proc_kill(w, leader);
    for (int i = 0; i < 20000 && !w->failed && !w->bosses[held].writer.busy; i++)
        world_step(w);
    for (int64_t i = world_between(w, 0, 12); i > 0 && !w->failed; i--)
        world_step(w);
    proc_pause(w, NODE_BOSS + held);
    boss_take_over(w, 1 - held);
    world_run_ms(w, world_between(w, 5, 3000));
    story_write(w, 3);
    proc_resume(w, NODE_BOSS + held);
    world_run_ms(w, 500);
    proc_start(w, leader);
}

/* Until all who live are in the group. */
static void gather_crowd(struct world *w)
{
    w->conf.clients = CROWD_MOST;
    crowd_start(w);
    for (int i = 0; i < 200 && !w->failed && !crowd_is_settled(w); i++)
        world_run_ms(w, 50);
}

/* Their connections break: they look for their coordinator anew. */
static void break_calls(struct world *w)
{
    for (int i = 0; i < w->crowd.n; i++) {
        struct crowd_client *c = &w->crowd.clients[i];

        c->coordinator = -1;
        c->call = 0;
        if (c->phase != CROWD_MEMBER && c->phase != CROWD_ABSENT)
            c->phase = CROWD_OUT;
    }
}

static bool is_syncing(const struct world *w)
{
    for (int i = 0; i < w->crowd.n; i++)
        if (w->crowd.clients[i].phase == CROWD_SYNCING && w->crowd.clients[i].leads)
            return true;
    return false;
}

void story_group_uncommitted(struct world *w)
{
    int leader, next, last;

    gather_crowd(w);
    leader = story_leader(w, CROWD_PART);
    next = story_follower(w, CROWD_PART);
    last = 3 - leader - next;
    if (leader < 0 || next < 0)
        return;
    w->crowd.clients[0].phase = CROWD_ABSENT; /* a generation without it */
    w->crowd.clients[0].life++;
    for (int i = 0; i < 800 && !w->failed && !is_syncing(w); i++)
        world_run_ms(w, 10);
    story_cut(w, last, leader, true); /* and one that does not come to know of it */
    story_cut(w, last, next, true);
    world_run_ms(w, world_between(w, 0, 300));
    proc_kill(w, leader);
    break_calls(w);
    story_await_leader(w, CROWD_PART, leader, 3000);
    world_run_ms(w, world_between(w, 100, 4000));
    proc_kill(w, next);
    /* one does not hear of what comes now */
    w->crowd.clients[1].paused_ms = world_ms(w) + CROWD_SESSION_MS + CROWD_REBALANCE_MS;
    w->crowd.clients[0].phase = CROWD_OUT;
    break_calls(w);
    story_cut(w, last, leader, false);
    story_cut(w, last, next, false);
    world_run_ms(w, world_between(w, 3000, CROWD_SESSION_MS + CROWD_REBALANCE_MS));
    proc_start(w, leader);
    proc_start(w, next);
}

void story_group_split(struct world *w)
{
    int leader;

    gather_crowd(w);
    leader = story_leader(w, CROWD_PART);
    /* its coordinator goes on without the cluster, while somebody leaves */
    story_isolate(w, leader, true);
    w->crowd.clients[0].phase = CROWD_ABSENT;
    w->crowd.clients[0].life++;
    world_run_ms(w, world_between(w, 2000, 6000));
    for (int i = 1; i < 3; i++) { /* they look for it anew */
        w->crowd.clients[i].coordinator = -1;
        world_run_ms(w, world_between(w, 0, 3000));
    }
    story_isolate(w, leader, false);
    world_run_ms(w, world_between(w, 0, 2000));
}

void story_room_found_unheard(struct world *w)
{
    int out = story_follower(w, 0);
    struct bro *b = &w->bros[out];

    if (!promise_may_lose(w, b))
        return;
    proc_kill(w, out);
    bro_replace_dir(w, out, -1);
    b->full = true; /* the new disk, too */
    proc_start(w, out);
    for (int i = 0; i < 400 && !w->failed && (b->stream == NULL || b->fresh); i++)
        world_run_ms(w, 50);
    world_run_ms(w, world_between(w, 0, 500));
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, out, NODE_BOSS + i, true);
    b->full = false;
    world_run_ms(w, world_between(w, 0, 7000)); /* it tries again every five seconds */
    if (b->stream != NULL)
        conn_reset(w, b->stream);
    world_run_ms(w, 100);
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, out, NODE_BOSS + i, false);
    story_write(w, 5);
}
