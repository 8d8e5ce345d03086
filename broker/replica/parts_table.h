/*
 * parts_table - the insides of the snapshot that lookups go to: parts makes them, requests hold
 * them.
 *
 * Ownership:  a table holds a reference on each of its partitions.
 */
#ifndef BROKER_REPLICA_PARTS_TABLE_H
#define BROKER_REPLICA_PARTS_TABLE_H

#include <stddef.h>

#include "broker/replica/part.h"
#include "common/base/snap.h"

struct parts_table {
    struct snap_head head;
    size_t count;
    size_t mask;           /* slots - 1, a power of two */
    struct part **by_name; /* open addressing, NULL: empty */
    struct part **by_id;
    struct part **all; /* count, each with a reference */
};

/* all: taken, with its references. */
struct parts_table *parts_table_new(struct part **all, size_t count);

#endif
