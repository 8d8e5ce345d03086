/*
 * Logs of many new partitions at once: whichever thread is free makes the next one.
 */
#include <stdatomic.h>

#include "broker/log/logs.h"
#include "broker/log/logs_int.h"
#include "common/base/thread.h"
#include "common/io/reactor.h"

#define AHEAD_THREADS 8
#define AHEAD_FEW     16 /* as many are made one by one */

struct ahead {
    struct logs *logs;
    const struct logs_wanted *wanted;
    size_t n;
    atomic_size_t next;     /* [a] relaxed: it hands out numbers, nothing else */
    struct reactor *waiter; /* that waits for all of them; NULL: none */
};

static void create_ahead(void *arg)
{
    struct ahead *ahead = arg;
    size_t i;

    while ((i = atomic_fetch_add_explicit(&ahead->next, 1, memory_order_relaxed)) < ahead->n) {
        const struct logs_wanted *wanted = &ahead->wanted[i];
        struct log *log = NULL;

        (void)!logs_create(ahead->logs, wanted->topic, wanted->partition, wanted->topic_id,
                           wanted->is_new, NULL, &log);
        if (log != NULL)
            log_unref(&log);
        reactor_progress(ahead->waiter);
    }
}

void logs_create_ahead(struct logs *logs, const struct logs_wanted *wanted, size_t n)
{
    struct ahead ahead = { .logs = logs, .wanted = wanted, .n = n, .waiter = reactor_current() };
    struct thread threads[AHEAD_THREADS] = { 0 };

    if (n < AHEAD_FEW || logs->options.no_threads)
        return;
    atomic_init(&ahead.next, 0);
    for (int i = 0; i < AHEAD_THREADS; i++)
        thread_start(&threads[i], T_IO, i, create_ahead, &ahead);
    for (int i = 0; i < AHEAD_THREADS; i++)
        thread_join(&threads[i]);
}
