/*
 * Everybody goes and comes back: an accident must not decide who is in sync.
 */
#include "tests/sim/stories/stories.h"

static void kill_all(struct world *w)
{
    for (int i = 0; i < w->conf.brokers; i++)
        proc_kill(w, i);
}

static void kill_bosses(struct world *w)
{
    for (int i = 0; i < w->conf.bosses; i++)
        proc_kill(w, NODE_BOSS + i);
}

static void start_all(struct world *w, int64_t apart_ms)
{
    int first = (int)world_between(w, 0, w->conf.brokers - 1);

    for (int i = 0; i < w->conf.brokers; i++) {
        proc_start(w, (first + i) % w->conf.brokers);
        world_run_ms(w, world_between(w, 0, apart_ms));
    }
}

void story_cold_start(struct world *w)
{
    story_write(w, 5);
    kill_all(w);
    if (world_chance(w, 50)) {
        kill_bosses(w);
        proc_start(w, NODE_BOSS);
    }
    world_run_ms(w, world_between(w, 0, 30000));
    start_all(w, world_chance(w, 50) ? 10 : 20000);
}

static void lose_power(struct world *w, int node)
{
    struct bro *b = &w->bros[node];

    if (!promise_may_lose_tail(w, b))
        return;
    promise_loses_tail(w, b);
    for (int p = 0; p < w->conf.parts; p++)
        disk_lose_tail(&b->logs[p], b->logs[p].flushed);
    proc_power_off(w, node);
}

void story_cold_start_after_power_loss(struct world *w)
{
    int victim = story_leader(w, 0);

    story_write(w, 5);
    kill_bosses(w); /* nobody is left to take anybody out of an ISR */
    lose_power(w, victim);
    kill_all(w);
    proc_start(w, NODE_BOSS);
    world_run_ms(w, world_between(w, 0, 3000));
    proc_start(w, victim); /* alone: it must wait for who has everything */
    world_run_ms(w, world_between(w, 0, 20000));
    start_all(w, 3000);
}

void story_lost_tail_twice(struct world *w)
{
    int victim = story_follower(w, 0);

    story_write(w, 5);
    lose_power(w, victim);
    story_isolate(w, victim, true);
    proc_start(w, victim);
    world_run_ms(w, world_between(w, 0, 500));
    proc_kill(w, victim); /* nobody has heard of it */
    kill_all(w);
    story_isolate(w, victim, false);
    proc_start(w, victim);
    world_run_ms(w, world_between(w, 500, 20000));
    start_all(w, 3000);
}

/* A machine loses its tail, and its next process is heard, but goes before it is decided upon, for
 * who is left has not answered yet. So it counts as eligible, and once the last one has lost its
 * tail, too, as in sync: until it comes back, and says of its own what it has lost. */
void story_lost_tail_heard(struct world *w)
{
    int victim = story_leader(w, 0), third = story_follower(w, 0), last = 3 - victim - third;

    story_write(w, 5);
    lose_power(w, victim);
    proc_kill(w, third);
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, last, NODE_BOSS + i, true);
    world_run_ms(w, world_between(w, 0, 20));
    proc_start(w, victim);
    for (int i = 0; i < 100 && !w->failed && w->bros[victim].introduced == 0; i++)
        world_run_ms(w, 1);
    proc_kill(w, victim);
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, last, NODE_BOSS + i, false);
    story_await_leader(w, 0, victim, 2000);
    proc_kill(w, last);
    world_run_ms(w, world_between(w, 0, 300));
    lose_power(w, last);
    if (world_chance(w, 30)) {
        kill_bosses(w);
        proc_start(w, NODE_BOSS);
    }
    proc_start(w, last);
    world_run_ms(w, world_between(w, 0, 8000));
    proc_start(w, victim);
    world_run_ms(w, world_between(w, 0, 8000));
    start_all(w, 3000);
}

/* The power fails in the middle of writes and of fail-overs; whoever comes back first. */
void story_power_fails_everywhere(struct world *w)
{
    w->conf.flush = true; /* if it was not; then what there is counts as synced */
    for (int i = 0; i < w->conf.brokers; i++)
        for (int p = 0; p < w->conf.parts; p++)
            (void)bro_sync(&w->bros[i], p, w->bros[i].logs[p].gen);
    for (int64_t rounds = world_between(w, 1, 4); rounds > 0 && !w->failed; rounds--) {
        story_write(w, (int)world_between(w, 1, 8));
        int leader = story_leader(w, 0);
        if (leader >= 0 && world_chance(w, 70)) {
            proc_kill(w, leader);
            story_await_leader(w, 0, leader, 2000);
            world_run_ms(w, world_between(w, 0, 8));
            story_write(w, world_chance(w, 30) ? (int)world_between(w, 1, 8) : 0);
        }
        for (int i = 0; i < w->conf.brokers; i++)
            lose_power(w, i);
        world_run_ms(w, world_between(w, 0, 3000));
        start_all(w, world_chance(w, 50) ? 10 : 3000);
        for (int ms = 0; ms < 20000 && !w->failed && story_leader(w, 0) < 0; ms += 20)
            world_run_ms(w, 20);
    }
}

void story_power_cut_beside_a_death(struct world *w)
{
    int leader = story_leader(w, 0), gone = story_follower(w, 0), last;

    story_write(w, 5);
    proc_kill(w, gone);
    for (int i = 0; i < 40 && story_in_isr(w, 0, gone); i++)
        story_write(w, 20);
    story_write(w, 5);
    last = story_follower(w, 0);
    if (story_leader(w, 0) != leader || last < 0)
        return;
    if (world_chance(w, 70)) { /* nobody is told */
        lose_power(w, leader);
        world_run_ms(w, world_between(w, 0, 5));
        proc_kill(w, last);
    } else {
        proc_kill(w, last);
        world_run_ms(w, world_between(w, 0, 2));
        lose_power(w, leader);
    }
    world_run_ms(w, world_between(w, 500, 8000));
    proc_start(w, world_chance(w, 50) ? leader : last);
    world_run_ms(w, world_between(w, 0, 8000));
    start_all(w, 100);
}

/* All others die, one after the other. False: that went another way. */
static bool leave_alone(struct world *w, int last)
{
    for (int follower; (follower = story_follower(w, 0)) >= 0;) {
        proc_kill(w, follower);
        for (int i = 0; i < 40 && story_in_isr(w, 0, follower); i++)
            story_write(w, 20);
        if (story_leader(w, 0) != last || story_in_isr(w, 0, follower))
            return false;
        story_write(w, 3);
    }
    return true;
}

/* All but one die, one after the other; the last one's machine loses its tail. With two in sync
 * wanted for every acknowledgement nothing may be lost, whoever comes back first. */
void story_last_one_standing(struct world *w)
{
    int last = story_leader(w, 0);

    story_write(w, 5);
    if (!leave_alone(w, last))
        return;
    if (world_chance(w, 30)) {
        kill_bosses(w);
        proc_start(w, NODE_BOSS);
    }
    lose_power(w, last);
    world_run_ms(w, world_between(w, 0, 8000));
    if (world_chance(w, 70))
        proc_start(w, last);
    world_run_ms(w, world_between(w, 0, 20000));
    start_all(w, 5000);
}

/* False: nobody heard the wish. */
static bool want_min_isr(struct world *w, int min_isr)
{
    admin_config(w, min_isr, 0);
    for (int i = 0; i < 200000 && !w->failed && w->zoo->tree.config.min_isr != min_isr; i++)
        world_step(w);
    return w->zoo->tree.config.min_isr == min_isr;
}

/* The last one was not told that it may go on alone: who was in sync with it before has all that
 * was acknowledged, and leads. */
void story_lowered_unheard(struct world *w)
{
    int last = story_leader(w, 0);

    if (!want_min_isr(w, 2))
        return;
    world_run_ms(w, 500);
    story_write(w, 5);
    if (!leave_alone(w, last) || !want_min_isr(w, 1))
        return;
    lose_power(w, last);
    proc_kill(w, last);
    if (world_chance(w, 50)) {
        kill_bosses(w);
        proc_start(w, NODE_BOSS);
    } else if (w->zoo->holder >= 0) {
        proc_kill(w, NODE_BOSS + w->zoo->holder);
    }
    world_run_ms(w, world_between(w, 0, 3000));
    for (int i = 0; i < w->conf.brokers; i++)
        if (i != last)
            proc_start(w, i);
    if (!story_await_leader(w, 0, last, 60000) && !w->failed)
        world_fail(w, "nobody leads, for settings that the leader was never told of");
}

void story_old_life_joins(struct world *w)
{
    int out = story_follower(w, 0), leader = story_leader(w, 0);

    proc_kill(w, out);
    story_write(w, 5);
    world_run_ms(w, 2000); /* it has left the ISR */
    proc_start(w, out);
    /* what the leader proposes once it has caught up is not heard */
    while (!w->failed && w->bros[out].stream == NULL)
        world_run_ms(w, 1);
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, leader, NODE_BOSS + i, true);
    story_write(w, (int)world_between(w, 1, 10));
    if (promise_may_lose(w, &w->bros[out])) {
        promise_loses(w, &w->bros[out]);
        for (int p = 0; p < w->conf.parts; p++)
            disk_lose_tail(&w->bros[out].logs[p], w->bros[out].logs[p].flushed);
        proc_power_off(w, out);
        story_cut(w, leader, out, true);
        world_run_ms(w, world_between(w, 0, 50));
        proc_start(w, out);
        world_run_ms(w, world_between(w, 50, 400));
    }
    for (int i = 0; i < w->conf.bosses; i++)
        story_cut(w, leader, NODE_BOSS + i, false);
    world_run_ms(w, 200);
    story_cut(w, leader, out, false);
    story_write(w, 5);
}
