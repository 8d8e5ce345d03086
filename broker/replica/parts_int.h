/*
 * parts_int - the insides of the set of partitions, shared by parts*.c and nobody else.
 */
#ifndef BROKER_REPLICA_PARTS_INT_H
#define BROKER_REPLICA_PARTS_INT_H

#include <stdatomic.h>

#include "broker/replica/parts.h"
#include "common/base/lock.h"
#include "common/base/snap.h"

struct roomless;

struct parts {
    struct parts_conf conf; /* [I] */
    struct part_env env;    /* [I] */
    struct restless restless;
    struct snap table;         /* of struct parts_table */
    struct image *image;       /* as last applied, NULL: none yet; parts_apply() only */
    struct roomless *roomless; /* likewise: what found no room */
    size_t roomless_len, roomless_cap;
    atomic_bool has_image; /* [a] an image was applied: the set is whole */
    atomic_size_t strays;  /* [a] parked by this process */
    struct lock sync_lock; /* rank LOCK_LEAF */
    struct cond synced;    /* there are none */
    size_t syncs;          /* under sync_lock: of parts_sync(), not done */
};

/* ---- parts_sync.c ---- */

/* Asks for a sync of what a leader has, and calls part_synced(). */
void parts_sync(struct parts *parts, struct part *part, int32_t leader_epoch);
/* Returns when no such sync is left; the partitions are closed. */
void parts_await_syncs(struct parts *parts);

#endif
