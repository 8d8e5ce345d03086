/*
 * Copies hang in a list that only grows at its head, so a reader needs no lock. A thread that ends
 * marks its copy free and leaves its counts in it; a new thread takes a free copy and counts on.
 * So there are as many copies as there were ever threads at once.
 */
#include "common/base/stat.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>

#include "common/base/mem.h"

struct copy {
    struct copy *next; /* [I] */
    atomic_bool taken; /* [a] by a thread that lives */
    stat_slot slots[STAT_SLOTS_MAX];
};

static _Atomic(struct copy *) copies; /* [a] newest first */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_end;

_Thread_local stat_slot *stat_mine;

static void leave(void *arg)
{
    struct copy *copy = arg;

    stat_mine = NULL;
    /* pairs with the acquire in take_free(): the next thread goes on from our last counts */
    atomic_store_explicit(&copy->taken, false, memory_order_release);
}

static void make_key(void)
{
    int err = pthread_key_create(&at_end, leave);

    assert(err == 0);
}

static struct copy *take_free(void)
{
    struct copy *copy = atomic_load_explicit(&copies, memory_order_acquire);

    for (; copy != NULL; copy = copy->next) {
        bool taken = false;

        if (atomic_compare_exchange_strong_explicit(&copy->taken, &taken, true,
                                                    memory_order_acquire, memory_order_relaxed))
            return copy;
    }
    return NULL;
}

stat_slot *stat_join(void)
{
    struct copy *copy = take_free();

    pthread_once(&once, make_key);
    if (copy == NULL) {
        copy = xcalloc(1, sizeof *copy);
        atomic_init(&copy->taken, true);
        copy->next = atomic_load_explicit(&copies, memory_order_relaxed);
        /* release: whoever finds the copy finds it zeroed and linked */
        while (!atomic_compare_exchange_weak_explicit(&copies, &copy->next, copy,
                                                      memory_order_release, memory_order_relaxed))
            continue;
    }
    pthread_setspecific(at_end, copy);
    stat_mine = copy->slots;
    return stat_mine;
}

uint64_t stat_sum(unsigned slot)
{
    uint64_t sum = 0;

    assert(slot < STAT_SLOTS_MAX);
    for (struct copy *copy = atomic_load_explicit(&copies, memory_order_acquire); copy != NULL;
         copy = copy->next)
        sum += atomic_load_explicit(&copy->slots[slot], memory_order_relaxed);
    return sum;
}

static int64_t bound_us(unsigned bucket)
{
    return INT64_C(1) * (bucket % 2 == 0 ? 8 : 12) << bucket / 2;
}

int64_t stat_quantile_us(unsigned slot, double share)
{
    uint64_t counts[STAT_BUCKETS], all = 0, seen = 0;

    for (unsigned i = 0; i < STAT_BUCKETS; i++)
        all += counts[i] = stat_sum(slot + i);
    for (unsigned i = 0; i < STAT_BUCKETS; i++) {
        seen += counts[i];
        if (seen > 0 && (double)seen >= share * (double)all)
            return bound_us(i);
    }
    return 0;
}

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_histogram(FILE *out, const struct stat_def *def, unsigned slot,
                            const char *label_text)
{
    const char *comma = *label_text != '\0' ? "," : "";
    const char *open = *label_text != '\0' ? "{" : "", *close = *label_text != '\0' ? "}" : "";
    uint64_t seen = 0;

    for (unsigned i = 0; i < STAT_BUCKETS - 1; i++) {
        seen += stat_sum(slot + i);
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", def->name, label_text, comma,
                (double)bound_us(i) / 1000, seen);
    }
    seen += stat_sum(slot + STAT_BUCKETS - 1);
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", def->name, label_text, comma, seen);
    fprintf(out, "%s_sum%s%s%s %.3f\n", def->name, open, label_text, close,
            (double)stat_sum(slot + STAT_BUCKETS) / 1000);
    fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", def->name, open, label_text, close, seen);
}

static bool has_counted(unsigned slot, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        if (stat_sum(slot + i) > 0)
            return true;
    }
    return false;
}

static void print_def(FILE *out, const struct stat_def *def)
{
    bool counter = def->kind == STAT_KIND_COUNTER;
    unsigned width = counter ? STAT_WIDTH_COUNTER : STAT_WIDTH_HISTOGRAM;

    print_head(out, def->name, counter ? "counter" : "histogram", def->help);
    for (unsigned i = 0; i < def->n; i++) {
        unsigned slot = def->slot + i * width;
        const char *label = def->n > 1 ? def->label_at(i) : NULL;
        char text[128] = "";

        if (def->n > 1 && (label == NULL || !has_counted(slot, width)))
            continue;
        if (label != NULL)
            snprintf(text, sizeof text, "%s=\"%s\"", def->label, label);
        if (!counter)
            print_histogram(out, def, slot, text);
        else if (label != NULL)
            fprintf(out, "%s{%s} %" PRIu64 "\n", def->name, text, stat_sum(slot));
        else
            fprintf(out, "%s %" PRIu64 "\n", def->name, stat_sum(slot));
    }
}

void stat_print(FILE *out, const struct stat_def *defs, size_t n_defs)
{
    for (size_t i = 0; i < n_defs; i++)
        print_def(out, &defs[i]);
}

void stat_print_gauge(FILE *out, const char *name, const char *labels, const char *help,
                      double value)
{
    if (help != NULL)
        print_head(out, name, "gauge", help);
    if (labels != NULL)
        fprintf(out, "%s{%s} %.15g\n", name, labels, value);
    else
        fprintf(out, "%s %.15g\n", name, value);
}
