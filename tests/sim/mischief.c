/*
 * Every history may have some kinds of faults and not others, so that rare mixes come up. What
 * happens when is a script, made beforehand: a history is made smaller by leaving tricks out of it.
 * A fault is put right by itself after a while, or at the end of the bad times.
 */
#include "tests/sim/sim.h"

static int any_broker(struct world *w)
{
    return (int)world_between(w, 0, w->conf.brokers - 1);
}

static int any_boss(struct world *w)
{
    return NODE_BOSS + (int)world_between(w, 0, w->conf.bosses - 1);
}

static int anybody(struct world *w)
{
    return world_chance(w, 80) ? any_broker(w) : any_boss(w);
}

static void run_restart(struct world *w, struct event *ev)
{
    proc_start(w, (int)ev->a);
}

static void run_resume(struct world *w, struct event *ev)
{
    proc_resume(w, (int)ev->a);
}

static void run_mend(struct world *w, struct event *ev)
{
    link_mend(w, (int)ev->a, (int)ev->b);
}

/* Mostly at once, sometimes long. */
static int64_t a_while_us(struct world *w)
{
    return (world_chance(w, 60) ? world_between(w, 1, 800) : world_between(w, 800, 8000)) * 1000;
}

static void power_off(struct world *w, int node)
{
    struct bro *b = &w->bros[node];

    if (!w->procs[node].machine_up || !promise_may_lose_tail(w, b))
        return;
    world_tell(w, "the machine of %s loses its power", node_name(node));
    promise_loses_tail(w, b);
    for (int p = 0; p < SIM_PARTS; p++)
        disk_lose_tail(&b->logs[p], world_between(w, b->logs[p].flushed, b->logs[p].leo));
    proc_power_off(w, node);
    world_at(w, a_while_us(w), NODE_WORLD, run_restart)->a = node;
}

/* One machine's, or everybody's where that is no excuse. */
static void fail_power(struct world *w)
{
    if (!w->conf.flush || world_chance(w, 60)) {
        power_off(w, any_broker(w));
        return;
    }
    for (int i = 0; i < w->conf.brokers; i++)
        power_off(w, i);
}

static void cut_one(struct world *w, int from, int to)
{
    int64_t us = a_while_us(w);
    struct event *ev;

    if (from == to || w->cut[from][to])
        return;
    world_tell(w, "nothing gets from %s to %s for %lld ms", node_name(from), node_name(to),
               (long long)us / 1000);
    link_cut(w, from, to);
    ev = world_at(w, us, NODE_WORLD, run_mend);
    ev->a = from;
    ev->b = to;
}

static void cut_some(struct world *w)
{
    int from = anybody(w), to = world_chance(w, 20) ? NODE_ZOO : anybody(w);
    bool both = world_chance(w, 70);

    if (world_chance(w, 25)) { /* from everybody */
        for (int node = 0; node < NODES; node++)
            if (node < w->conf.brokers ||
                (node >= NODE_BOSS && node < NODE_BOSS + w->conf.bosses)) {
                cut_one(w, from, node);
                cut_one(w, node, from);
            }
        return;
    }
    cut_one(w, from, to);
    if (both)
        cut_one(w, to, from);
}

static void expire_some(struct world *w)
{
    bool all = world_chance(w, 30);
    uint64_t sessions[NODES * 4];
    size_t n = 0;

    for (struct zoo_session *s = w->zoo->sessions; s != NULL && n < NODES * 4; s = s->next)
        if (all || world_chance(w, 25))
            sessions[n++] = s->id;
    world_tell(w, "%zu sessions expire", n);
    for (size_t i = 0; i < n; i++)
        zoo_expire(w, sessions[i]);
}

static void reset_some(struct world *w)
{
    struct conn *conn;

    world_tell(w, "some connections break");
    for (conn = w->conns; conn != NULL; conn = conn->next)
        if (world_chance(w, 30))
            conn_reset(w, conn);
}

static void kill_for_a_while(struct world *w, int node)
{
    int64_t us = a_while_us(w);

    world_tell(w, "%s is killed, back after %lld ms", node_name(node), (long long)us / 1000);
    proc_kill(w, node);
    world_at(w, us, NODE_WORLD, run_restart)->a = node;
}

static void pause_for_a_while(struct world *w, int node)
{
    int64_t us = a_while_us(w);

    world_tell(w, "%s is stopped, goes on after %lld ms", node_name(node), (long long)us / 1000);
    proc_pause(w, node);
    world_at(w, us, NODE_WORLD, run_resume)->a = node;
}

/* ---- what operators do ---- */

static int any_part(struct world *w)
{
    return (int)world_between(w, 0, w->zoo->tree.topic.n_parts - 1);
}

/* Sometimes several requests at once, in any order. */
static void move_some(struct world *w)
{
    int32_t ids[SIM_BROKERS];
    int n = w->conf.rf + (int)world_between(w, -1, 1), p = any_part(w);

    if (world_chance(w, 20)) {
        world_tell(w, "the reassignment of p%d is cancelled", p);
        admin_move(w, p, ids, 0);
        return;
    }
    if (n < 1 || n > w->conf.brokers)
        n = w->conf.rf;
    for (int i = 0; i < w->conf.brokers; i++)
        ids[i] = i + 1;
    for (int i = w->conf.brokers - 1; i > 0; i--) {
        int j = (int)world_between(w, 0, i);
        int32_t id = ids[i];

        ids[i] = ids[j];
        ids[j] = id;
    }
    world_tell(w, "p%d is to move to %d replicas, first %d", p, n, ids[0]);
    admin_move(w, p, ids, n);
    if (world_chance(w, 30))
        move_some(w);
}

static void delete_or_create(struct world *w)
{
    bool there = w->zoo->tree.topic.there;

    if (there && world_chance(w, 70)) {
        world_tell(w, "the topic is to be deleted");
        admin_delete(w);
        there = world_chance(w, 50); /* at once anew, or later */
    }
    /* the last few are for the end */
    if (!there && admin_may_create(w, 3)) {
        world_tell(w, "the topic is to be created");
        admin_create(w, (int)world_between(w, 1, SIM_PARTS), w->conf.rf);
    }
}

static void change_settings(struct world *w)
{
    int min_isr = world_chance(w, 60) ? (int)world_between(w, 1, 3) : 0;
    int unclean = world_chance(w, 50) ? world_chance(w, 30) : -1;

    if (min_isr == 0 && unclean < 0)
        min_isr = w->conf.min_isr;
    world_tell(w, "settings are to be min.insync.replicas=%d unclean=%d (0, -1: as they are)",
               min_isr, unclean);
    admin_config(w, min_isr, unclean);
}

/* One broker after the other: asked to stop, started, the next a little later. */
static void run_roll(struct world *w, struct event *ev)
{
    int node = (int)ev->a;
    struct event *next;

    if (node >= w->conf.brokers || w->quiet)
        return;
    if (ev->b == 0)
        bro_stop(w, node);
    else if (!w->procs[node].running && w->procs[node].machine_up)
        proc_start(w, node);
    next = world_at(w, 300000, NODE_WORLD, run_roll);
    next->a = node;
    next->b = ev->b + 1;
    if (ev->b >= 3 && w->procs[node].running && !w->bros[node].leaving) {
        next->a = node + 1;
        next->b = 0;
    }
}

/* ---- machines ---- */

static void run_room(struct world *w, struct event *ev)
{
    w->bros[ev->a].full = false;
    TRACE(w, "%s has room again", node_name((int)ev->a));
}

static void fill(struct world *w, int node)
{
    int64_t us = a_while_us(w);

    world_tell(w, "the disks of %s are full for %lld ms", node_name(node), (long long)us / 1000);
    w->bros[node].full = true;
    world_at(w, us, NODE_WORLD, run_room)->a = node;
}

/* Somebody mends it and starts the broker anew. */
static void run_mend_dir(struct world *w, struct event *ev)
{
    int node = (int)ev->a;

    w->bros[node].dirs_mended = true;
    if (w->quiet || !w->procs[node].running)
        return;
    proc_kill(w, node);
    world_at(w, 200000, NODE_WORLD, run_restart)->a = node;
}

static void lose_dir(struct world *w, int node)
{
    int dir = (int)world_between(w, 0, SIM_DIRS - 1);
    int64_t us = a_while_us(w);

    if (!promise_may_lose(w, &w->bros[node]))
        return;
    world_tell(w, "directory %d of %s fails for %lld ms", dir, node_name(node),
               (long long)us / 1000);
    bro_lose_dir(w, node, dir);
    world_at(w, us, NODE_WORLD, run_mend_dir)->a = node;
}

/* Its disks, or one of them, are replaced by empty ones, or are not mounted when it comes back. */
static void replace(struct world *w, int node)
{
    int dir = (int)world_between(w, -1, SIM_DIRS - 1);
    int64_t us = a_while_us(w);

    if (!promise_may_lose(w, &w->bros[node]))
        return;
    world_tell(w, "%s of %s is replaced, back after %lld ms",
               dir < 0 ? "every directory" : "a directory", node_name(node), (long long)us / 1000);
    proc_kill(w, node);
    bro_replace_dir(w, node, dir);
    world_at(w, us, NODE_WORLD, run_restart)->a = node;
}

static void jump(struct world *w, int node)
{
    int64_t ms = world_chance(w, 50) ? world_between(w, 1, 2000) : world_between(w, 2000, 100000);

    world_tell(w, "the clock of %s jumps by %lld ms", node_name(node), (long long)ms);
    node_jump(w, node, ms);
}

static void do_one(struct world *w, enum mischief what)
{
    int node;

    switch (what) {
    case MISCHIEF_KILL:
        kill_for_a_while(w, any_broker(w));
        break;
    case MISCHIEF_POWER:
        fail_power(w);
        break;
    case MISCHIEF_PAUSE:
        pause_for_a_while(w, anybody(w));
        break;
    case MISCHIEF_CUT:
        cut_some(w);
        break;
    case MISCHIEF_RESET:
        reset_some(w);
        break;
    case MISCHIEF_EXPIRE:
        expire_some(w);
        break;
    case MISCHIEF_ZK_LOSS:
        world_tell(w, "connections to ZooKeeper break");
        zoo_lose(w, anybody(w));
        zoo_lose(w, any_boss(w));
        break;
    case MISCHIEF_BOSS:
        kill_for_a_while(w, any_boss(w));
        break;
    case MISCHIEF_TAKE_OVER:
        node = any_boss(w);
        world_tell(w, "%s tries to take the seat over", node_name(node));
        boss_take_over(w, node - NODE_BOSS);
        break;
    case MISCHIEF_STOP:
        node = any_broker(w);
        world_tell(w, "%s is asked to stop", node_name(node));
        bro_stop(w, node);
        world_at(w, 3000000 + a_while_us(w), NODE_WORLD, run_restart)->a = node;
        break;
    case MISCHIEF_MOVE:
        move_some(w);
        break;
    case MISCHIEF_TOPIC:
        delete_or_create(w);
        break;
    case MISCHIEF_GROW:
        world_tell(w, "the topic is to grow");
        admin_grow(w);
        break;
    case MISCHIEF_CONFIG:
        change_settings(w);
        break;
    case MISCHIEF_ROLL:
        world_tell(w, "all brokers are restarted one after the other");
        world_at(w, 0, NODE_WORLD, run_roll);
        break;
    case MISCHIEF_CLOCK:
        jump(w, anybody(w));
        break;
    case MISCHIEF_FULL:
        fill(w, any_broker(w));
        break;
    case MISCHIEF_DIR:
        lose_dir(w, any_broker(w));
        break;
    case MISCHIEF_ELECT:
        world_tell(w, "preferred leaders are to be elected");
        admin_elect(w, any_part(w));
        break;
    case MISCHIEF_CROWD:
        crowd_trouble(w);
        break;
    case MISCHIEF_REPLACE:
        replace(w, any_broker(w));
        break;
    case MISCHIEF_ALL:
        break;
    }
}

void mischief_script(const struct sim_conf *conf, uint64_t seed, struct script *out)
{
    enum mischief kinds[32];
    uint64_t n = 0;
    int64_t at_ms = 0;
    struct rand rand;

    out->n = 0;
    for (uint32_t bit = 1; bit <= MISCHIEF_ALL; bit *= 2)
        if ((conf->mischief & bit) != 0)
            kinds[n++] = (enum mischief)bit;
    rand_seed(&rand, seed ^ 0x7121c5);
    while (n > 0 && at_ms < conf->faults_ms && out->n < SIM_TRICKS) {
        out->tricks[out->n++] = (struct trick){ .at_ms = at_ms,
                                                .what = kinds[rand_below(&rand, n)],
                                                .seed = rand_u64(&rand) };
        at_ms += 1 + (int64_t)rand_below(&rand, (uint64_t)(2 * conf->mischief_ms));
    }
}

/* Its own chance: what else happens does not change what it does. */
static void run_trick(struct world *w, struct event *ev)
{
    const struct trick *trick = &w->script->tricks[ev->a];
    struct rand rand = w->rand;

    if (w->quiet)
        return;
    rand_seed(&w->rand, trick->seed);
    do_one(w, trick->what);
    w->rand = rand;
}

void mischief_start(struct world *w)
{
    for (int i = 0; i < w->script->n; i++)
        world_at(w, w->script->tricks[i].at_ms * 1000, NODE_WORLD, run_trick)->a = i;
}

static void mend_disks(struct world *w, int node)
{
    struct bro *b = &w->bros[node];

    b->full = false;
    b->dirs_mended = true;
    if (b->bad_dir[0] || b->bad_dir[1])
        proc_kill(w, node);
}

void mischief_end(struct world *w)
{
    w->quiet = true;
    for (int from = 0; from < NODES; from++)
        for (int to = 0; to < NODES; to++)
            link_mend(w, from, to);
    for (int node = 0; node < NODE_ZOO; node++) {
        bool there =
            node < w->conf.brokers || (node >= NODE_BOSS && node < NODE_BOSS + w->conf.bosses);

        if (!there)
            continue;
        if (node < w->conf.brokers)
            mend_disks(w, node);
        proc_resume(w, node);
        proc_start(w, node);
    }
}
