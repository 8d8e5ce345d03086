/*
 * stat - counters and histograms that cost no contention: each thread writes its own copy, the
 * scrape adds the copies up.
 *
 * A program has a stat.def; its stats.h makes slots, a table and STAT_… macros out of it. Counting
 * works from the first instruction on and in any thread; a copy outlives its thread and is taken
 * over by the next one.
 *
 * Units:      histograms take microseconds and are printed in milliseconds, as Kafka's names say.
 * Threads:    any; a scrape may see one thread's count and not yet another's.
 * Errors:     none.
 */
#ifndef COMMON_BASE_STAT_H
#define COMMON_BASE_STAT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Slots in a thread's copy; pages of it that nobody writes are never there. */
#define STAT_SLOTS_MAX 16384

/* A histogram's buckets end at 8, 12, 16, 24, 32 ... microseconds, the last but one at 134 s. */
#define STAT_BUCKETS         50
#define STAT_WIDTH_COUNTER   1
#define STAT_WIDTH_HISTOGRAM (STAT_BUCKETS + 1) /* and the sum */

enum stat_kind { STAT_KIND_COUNTER, STAT_KIND_HISTOGRAM };

struct stat_def {
    enum stat_kind kind;
    unsigned slot; /* first */
    unsigned n;    /* how many there are, told apart by the label; 1: no label */
    const char *label;
    const char *(*label_at)(unsigned i); /* NULL from it: no such one */
    const char *name;
    const char *help;
};

typedef _Atomic(uint64_t) stat_slot;

extern _Thread_local stat_slot *stat_mine;

/* The first count of a thread. */
stat_slot *stat_join(void);

static inline void stat_add(unsigned slot, uint64_t n)
{
    stat_slot *mine = stat_mine != NULL ? stat_mine : stat_join();

    /* only this thread writes here: a plain add, made of two accesses that no reader can tear */
    atomic_store_explicit(&mine[slot], atomic_load_explicit(&mine[slot], memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Which bucket of a histogram takes this; above the last bound: the last bucket. */
static inline unsigned stat_bucket(int64_t us)
{
    if (us <= 8)
        return 0;

    uint64_t below = (uint64_t)us - 1;
    unsigned octave = 63 - (unsigned)__builtin_clzll(below);
    unsigned bucket = 1 + (octave - 3) * 2 + (unsigned)(below >> (octave - 1) & 1);

    return bucket < STAT_BUCKETS ? bucket : STAT_BUCKETS - 1;
}

static inline void stat_time(unsigned slot, int64_t us)
{
    stat_add(slot + stat_bucket(us), 1);
    stat_add(slot + STAT_BUCKETS, us > 0 ? (uint64_t)us : 0);
}

/* ---- scraping ---- */

/* All threads' counts of one slot. */
uint64_t stat_sum(unsigned slot);
/* In microseconds, the bound that share (0..1) of a histogram's values do not pass; 0 when empty.
 */
int64_t stat_quantile_us(unsigned slot, double share);
/* Prometheus text. What has a label and never counted is left out. */
void stat_print(FILE *out, const struct stat_def *defs, size_t n_defs);
/* One value that is asked for, not counted; labels: "a=\"b\"" or NULL. Same names one after the
 * other: help NULL from the second on. */
void stat_print_gauge(FILE *out, const char *name, const char *labels, const char *help,
                      double value);

#endif
