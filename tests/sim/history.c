/*
 * One history: a cluster starts, things go wrong for a while, then everything is put right and has
 * to become whole within a bound. The seed decides the cluster's size, its settings, which kinds of
 * faults there are and everything that follows.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

#define HEAL_MS 90000

void history_conf(struct sim_conf *conf, uint64_t seed)
{
    static const int64_t sessions[] = { 3000, 6000, 18000 };
    static const int64_t lags[] = { 800, 2000, 10000 };
    struct rand rand;

    rand_seed(&rand, seed ^ 0x5eed);
    conf->brokers = 3 + (int)rand_below(&rand, 10) / 6;
    if (conf->brokers > 3)
        conf->brokers += (int)rand_below(&rand, 4);
    conf->bosses = 1 + (int)rand_below(&rand, 3);
    conf->parts = 1 + (int)rand_below(&rand, SIM_PARTS);
    conf->rf = 2 + (int)rand_below(&rand, 4) / 1 % 2;
    if (rand_below(&rand, 2) == 0)
        conf->rf = 3;
    conf->min_isr = 1 + (int)rand_below(&rand, 2);
    conf->session_ms = sessions[rand_below(&rand, 3)];
    conf->lag_max_ms = lags[rand_below(&rand, 3)];
    conf->heartbeat_ms = 1000;
    conf->delay_us = 200 + (int64_t)rand_below(&rand, 2) * 3000;
    conf->produce_ms = 10 + (int64_t)rand_below(&rand, 100);
    conf->faults_ms = 3000 + (int64_t)rand_below(&rand, 9000);
    conf->mischief_ms = 100 + (int64_t)rand_below(&rand, 1200);
    conf->clients = (int)rand_below(&rand, 2) * (1 + (int)rand_below(&rand, CROWD_MOST));
    conf->mischief = (uint32_t)rand_below(&rand, MISCHIEF_ALL + 1);
    conf->statics = (uint32_t)rand_below(&rand, 1u << CROWD_MOST);
    conf->statics &= (uint32_t)rand_below(&rand, 1u << CROWD_MOST); /* a quarter */
    if (rand_below(&rand, 3) == 0)                                  /* a few kinds at a time */
        conf->mischief &= (uint32_t)rand_below(&rand, MISCHIEF_ALL + 1);
    conf->in_files = rand_below(&rand, 2) == 0;
    conf->flush = rand_below(&rand, 3) == 0;
    if (conf->flush) /* all that had a record in sync must not be gone, see promise.c */
        conf->mischief &= ~(uint32_t)(MISCHIEF_DIR | MISCHIEF_REPLACE);
}

/* Somebody is still in a controlled shutdown. */
static bool leaving(const struct world *w)
{
    for (int i = 0; i < w->conf.brokers; i++)
        if (w->bros[i].leaving)
            return true;
    return false;
}

/* Leadership may still move to the preferred replicas: a few tries. */
static bool takes_records(struct world *w, int p)
{
    size_t acked = w->acked;

    for (int i = 0; i < 100 && !w->failed && w->acked == acked; i++) {
        if (i % 10 == 0)
            client_produce(w, p, -1);
        world_run_ms(w, 50);
    }
    return w->acked > acked;
}

void history_heal(struct world *w, struct verdict *out)
{
    const char *missing = "";
    int64_t from_ms = world_ms(w), asked_ms = 0;

    mischief_end(w);
    world_run_ms(w, leaving(w) ? 4000 : 0);
    while (!w->failed && !promise_is_whole(w, &missing)) {
        if (!w->zoo->tree.topic.there && !w->zoo->tree.mark && world_ms(w) - asked_ms > 3000 &&
            admin_may_create(w, 1)) {
            admin_create(w, w->conf.parts, w->conf.rf);
            asked_ms = world_ms(w);
        }
        if (world_ms(w) - from_ms > HEAL_MS) {
            world_fail(w, "7: not whole %d s after the last fault: no %s", HEAL_MS / 1000, missing);
            break;
        }
        world_run_ms(w, 50);
    }
    out->healed_ms = world_ms(w) - from_ms;
    for (int p = 0; p < w->zoo->tree.topic.n_parts && !w->failed; p++)
        if (!takes_records(w, p))
            world_fail(w, "7: whole, but partition %d takes no records", p);
    for (int i = 0; i < 400 && !w->failed && !promise_is_whole(w, &missing); i++)
        world_run_ms(w, 50);
    if (!w->failed && !promise_is_whole(w, &missing))
        world_fail(w, "7: no %s after a last record", missing);
    if (!w->failed)
        promise_end(w);
}

static void say_how(const struct world *w)
{
    size_t ring = (size_t)w->conf.ring;

    for (size_t i = 0; i < w->n_told; i++)
        printf("  %s\n", w->told[i]);
    if (w->n_told > 0)
        puts("  and in the end");
    for (size_t i = w->n_ring > ring ? w->n_ring - ring : 0; w->ring != NULL && i < w->n_ring; i++)
        puts(w->ring[i % ring]);
}

void history_end(struct world *w, struct verdict *out)
{
    out->ok = !w->failed;
    memcpy(out->why, w->why, sizeof out->why);
    out->steps = w->steps;
    out->acked = w->acked;
    out->failed_ms = w->failed_ms - w->script_ms;
    for (int at = 0; at < SIM_GENS * SIM_PARTS; at++)
        out->forfeited += w->forfeited[at];
    out->unclean = w->n_unclean;
    out->deleted = w->n_deleted;
    out->moved = w->n_moved;
    out->commits = w->crowd.n_commits;
    out->formed = w->crowd.n_formed;
    out->warm = w->n_warm;
    out->warm_topics = w->n_warm_topics;
    out->cold = w->n_cold;
    if (w->failed)
        say_how(w);
    world_fini(w);
}

void history_make(uint64_t seed, const struct sim_conf *conf, struct history *out)
{
    out->seed = seed;
    out->conf = *conf;
    history_conf(&out->conf, seed);
    mischief_script(&out->conf, seed, &out->script);
}

void history_tell(const struct history *history, struct verdict *out)
{
    const struct sim_conf *conf = &history->conf;
    static struct world world;
    struct world *w = &world;

    memset(out, 0, sizeof *out);
    world_init(w, history->seed, conf);
    w->script = &history->script;
    for (int i = 0; i < conf->bosses; i++)
        proc_start(w, NODE_BOSS + i);
    for (int i = 0; i < conf->brokers; i++)
        proc_start(w, i);
    client_start(w);
    crowd_start(w);
    if (world_chance(w, 80))
        world_run_ms(w, 1000);
    w->script_ms = world_ms(w);
    mischief_start(w);
    world_run_ms(w, conf->faults_ms);
    history_heal(w, out);
    history_end(w, out);
}

void history_run(uint64_t seed, const struct sim_conf *conf, struct verdict *out)
{
    static struct history history;

    history_make(seed, conf, &history);
    history_tell(&history, out);
}
