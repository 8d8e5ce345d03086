/*
 * thread_counts - whether settings that are numbers of threads may change so at run time.
 *
 * As in Kafka: to one at least, and in one step to no less than half and no more than double of
 * what is in force (DynamicThreadPool, LogCleaner, DataPlaneAcceptor: validateReconfiguration). The
 * broker that is asked judges by what is in force with it: nobody else knows its file.
 *
 * Ownership:  borrows all; texts come from the arena.
 * Threads:    any.
 */
#ifndef BROKER_API_THREAD_COUNTS_H
#define BROKER_API_THREAD_COUNTS_H

#include <stdbool.h>
#include <stddef.h>

#include "broker/tables/settings.h"
#include "common/base/arena.h"

struct thread_edit {
    struct str name, value; /* value null: the setting is taken back */
};

struct thread_change {
    bool of_all;   /* brokers, else of this one */
    bool replaces; /* what is not named is taken back (AlterConfigs) */
    size_t n;
    const struct thread_edit *edits;
};

/* Null: it may. Else why not, in Kafka's words. What is no number at all is for others to refuse.
 * image may be NULL. */
struct str thread_counts_refusal(const struct settings *settings, const struct image *image,
                                 const struct thread_change *change, struct arena *arena);

#endif
