/*
 * A failing history made smaller, as delta debugging does: without half of its tricks, a quarter,
 * and so on down to single ones; then shorter, with fewer brokers, controllers and partitions; and
 * all of it again until nothing more can go. What is left out changes what chance brings later, so
 * that most attempts end well and prove nothing; those that fail are gone on with, whichever
 * promise they break.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define RUNS_MAX   4000
#define LINES_LAST 40

struct search {
    struct history *best;
    struct history *trial;
    struct verdict *verdict; /* of the best */
    int runs;
};

/* Keeps the trial when it fails too. */
static bool fails(struct search *s)
{
    struct verdict verdict;

    if (s->runs >= RUNS_MAX)
        return false;
    s->runs++;
    history_tell(s->trial, &verdict);
    if (verdict.ok)
        return false;
    *s->best = *s->trial;
    *s->verdict = verdict;
    return true;
}

static void take_out(struct script *script, int from, int n)
{
    memmove(&script->tricks[from], &script->tricks[from + n],
            (size_t)(script->n - from - n) * sizeof script->tricks[0]);
    script->n -= n;
}

static bool fewer_tricks(struct search *s)
{
    bool any = false;

    for (int n = s->best->script.n; n > 0; n /= 2)
        for (int from = 0; from + n <= s->best->script.n;) {
            *s->trial = *s->best;
            take_out(&s->trial->script, from, n);
            if (fails(s))
                any = true; /* what follows has moved up */
            else
                from += n;
        }
    return any;
}

static bool shorter(struct search *s)
{
    struct script *script = &s->trial->script;
    bool any = false;

    *s->trial = *s->best;
    while (script->n > 0 && script->tricks[script->n - 1].at_ms > s->verdict->failed_ms)
        script->n--;
    if (s->verdict->failed_ms > 0 && s->trial->conf.faults_ms > s->verdict->failed_ms + 1)
        s->trial->conf.faults_ms = s->verdict->failed_ms + 1;
    if (s->trial->conf.faults_ms < s->best->conf.faults_ms || script->n < s->best->script.n)
        any |= fails(s);
    /* gaps between tricks, half as long */
    for (int i = 0; i < s->best->script.n; i++) {
        int64_t since = i > 0 ? s->best->script.tricks[i - 1].at_ms : 0;
        int64_t less = (s->best->script.tricks[i].at_ms - since) / 2;

        *s->trial = *s->best;
        for (int j = i; j < script->n; j++)
            script->tricks[j].at_ms -= less;
        s->trial->conf.faults_ms -= less;
        if (less >= 10)
            any |= fails(s);
    }
    return any;
}

static bool less(struct search *s, int *value, int least)
{
    bool any = false;

    for (;;) {
        *s->trial = *s->best;
        if (*value <= least)
            return any;
        --*value;
        if (!fails(s))
            return any;
        any = true;
    }
}

static bool smaller(struct search *s)
{
    struct sim_conf *conf = &s->trial->conf;
    bool any = less(s, &conf->brokers, s->best->conf.rf > 3 ? s->best->conf.rf : 3);

    any |= less(s, &conf->bosses, 1);
    any |= less(s, &conf->parts, 1);
    any |= less(s, &conf->rf, 2);
    return any;
}

bool shrink(struct history *history, struct verdict *out)
{
    struct history *trial = xcalloc(1, sizeof *trial);
    struct search s = { .best = history, .trial = trial, .verdict = out };

    history_tell(history, out);
    if (!out->ok)
        while (smaller(&s) | shorter(&s) | fewer_tricks(&s)) {
        }
    free(trial);
    return !out->ok;
}

int shrink_and_tell(uint64_t seed, const struct sim_conf *conf)
{
    struct history *history = xcalloc(1, sizeof *history);
    const struct sim_conf *made = &history->conf;
    struct verdict verdict;
    int tricks;

    history_make(seed, conf, history);
    history->conf.trace = false;
    history->conf.ring = 0;
    tricks = history->script.n;
    if (!shrink(history, &verdict)) {
        printf("seed %" PRIu64 " does not fail\n", seed);
        free(history);
        return 1;
    }
    printf(
        "the shortest that was found: %d of %d tricks, %d brokers, %d controllers, %d partitions "
        "of %d replicas, min.insync.replicas=%d, sessions of %" PRId64 " ms, lag %" PRId64 " ms\n",
        history->script.n, tricks, made->brokers, made->bosses, made->parts, made->rf,
        made->min_isr, made->session_ms, made->lag_max_ms);
    history->conf.tells = true;
    history->conf.ring = LINES_LAST;
    history_tell(history, &verdict);
    printf("FAILED %s\n", verdict.why);
    free(history);
    return 0;
}
