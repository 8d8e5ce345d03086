/*
 * group_table - the groups of one partition of __consumer_offsets: by id, by the time at which they
 * want to be woken, by the transactions that are open in them.
 *
 * Ownership:  the table owns its groups and slots; a slot stays where it is until it is removed.
 * Threads:    one at a time.
 */
#ifndef BROKER_GROUP_GROUP_TABLE_H
#define BROKER_GROUP_GROUP_TABLE_H

#include "broker/group/offsets_core.h"

struct group_slot {
    struct group *group;
    uint64_t number;         /* never used twice in a table */
    int64_t wake_ms;         /* what the heap goes by; not after group_wake_ms() */
    size_t place;            /* in the heap, from 1; 0: not in it */
    struct group_slot *next; /* the table's */
    uint32_t hash;           /* the table's */
    bool has_record;         /* while loading: of the group, not only of offsets */
};

struct open_txn;

struct group_table {
    struct group_slot **buckets;
    size_t buckets_len; /* a power of two, or 0 */
    size_t count;
    uint64_t last_number;
    struct group_slot **heap; /* from place 1 */
    size_t heap_len, heap_cap;
    struct open_txn *txns; /* by producer id */
};

void group_table_init(struct group_table *table);
void group_table_fini(struct group_table *table);

struct group_slot *group_table_find(const struct group_table *table, struct str id); /* NULL */
/* Takes the group; there must be none of that id. */
struct group_slot *group_table_add(struct group_table *table, struct group **group);
/* Frees the group too. */
void group_table_remove(struct group_table *table, struct group_slot *slot);

struct group_cursor {
    size_t bucket;
    struct group_slot *next;
};
/* In no order; start with zeroes, NULL at the end. The slot got last may be removed meanwhile. */
struct group_slot *group_table_next(const struct group_table *table, struct group_cursor *cursor);

/* To be called when a group may want to be woken earlier than before, or was woken. */
void group_table_woken(struct group_table *table, struct group_slot *slot);
/* Who wants to be woken first; NULL nobody. */
struct group_slot *group_table_first(const struct group_table *table);

/* The producer has a transaction open in the group. */
void group_table_open_txn(struct group_table *table, int64_t producer_id, struct group_slot *slot);
/* Its marker: in every group of the table that has offsets of it. */
void group_table_end_txn(struct group_table *table, int64_t producer_id, bool commit);

#endif
