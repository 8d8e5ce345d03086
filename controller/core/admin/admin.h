/*
 * admin - what each forwarded request means: checks and plans when its turn comes, and the response
 * at the end. One file per request; jobs.c calls them.
 */
#ifndef CONTROLLER_CORE_ADMIN_ADMIN_H
#define CONTROLLER_CORE_ADMIN_ADMIN_H

#include "controller/core/core_int.h"

struct admin_kind {
    int16_t api_key;
    /* Sets job->n and items, deadline; then for every item either fails it or plans it. Called in a
     * round. Or sets again, and nothing else: in the next round. */
    void (*plan)(struct core *core, struct job *job);
    /* The response struct, in arena. */
    const void *(*answer)(struct core *core, struct job *job, struct arena *arena);
};

extern const struct admin_kind admin_create_topics, admin_delete_topics, admin_create_partitions,
    admin_alter_configs, admin_incremental_alter_configs, admin_elect_leaders,
    admin_alter_reassignments, admin_list_reassignments;

#endif
