/*
 * A hash of chained slots, a binary heap of those slots by wake_ms, and a hash of open
 * transactions. A group's deadlines mostly move up, with every heartbeat, and the heap does not
 * hear of that: a slot is woken at the time it once gave, and put back at the time it gives then.
 */
#include "broker/group/group_table.h"

#include <assert.h>
#include <stdlib.h>
#include <uthash.h>

#define BUCKETS_FIRST 16

struct open_txn {
    int64_t producer_id;
    struct group_slot **slots;
    size_t len, cap;
    UT_hash_handle hh;
};

void group_table_init(struct group_table *table)
{
    *table = (struct group_table){ 0 };
}

static void free_txn(struct group_table *table, struct open_txn *txn)
{
    HASH_DEL(table->txns, txn);
    free(txn->slots);
    free(txn);
}

void group_table_fini(struct group_table *table)
{
    struct open_txn *txn, *next_txn;

    HASH_ITER (hh, table->txns, txn, next_txn)
        free_txn(table, txn);
    for (size_t i = 0; i < table->buckets_len; i++) {
        struct group_slot *slot = table->buckets[i];

        while (slot != NULL) {
            struct group_slot *next = slot->next;

            group_free(&slot->group);
            free(slot);
            slot = next;
        }
    }
    free(table->buckets);
    free(table->heap);
    group_table_init(table);
}

/* ---- by id ---- */

static size_t bucket_of(const struct group_table *table, uint32_t hash)
{
    return hash & (table->buckets_len - 1);
}

struct group_slot *group_table_find(const struct group_table *table, struct str id)
{
    if (table->count == 0)
        return NULL;
    uint32_t hash = (uint32_t)str_hash(id);
    struct group_slot *slot = table->buckets[bucket_of(table, hash)];
    while (slot != NULL && !(slot->hash == hash && str_eq(group_id(slot->group), id)))
        slot = slot->next;
    return slot;
}

static void grow(struct group_table *table)
{
    size_t old_len = table->buckets_len;
    struct group_slot **old = table->buckets;

    table->buckets_len = old_len == 0 ? BUCKETS_FIRST : old_len * 2;
    table->buckets = xcalloc(table->buckets_len, sizeof(void *));
    for (size_t i = 0; i < old_len; i++) {
        struct group_slot *slot = old[i];

        while (slot != NULL) {
            struct group_slot *next = slot->next;
            size_t at = bucket_of(table, slot->hash);

            slot->next = table->buckets[at];
            table->buckets[at] = slot;
            slot = next;
        }
    }
    free(old);
}

struct group_slot *group_table_add(struct group_table *table, struct group **group)
{
    struct group_slot *slot = xcalloc(1, sizeof *slot);

    if (table->count >= table->buckets_len)
        grow(table);
    slot->group = *group;
    *group = NULL;
    slot->number = ++table->last_number;
    slot->hash = (uint32_t)str_hash(group_id(slot->group));
    slot->wake_ms = GROUP_NEVER;
    size_t at = bucket_of(table, slot->hash);
    slot->next = table->buckets[at];
    table->buckets[at] = slot;
    table->count++;
    return slot;
}

struct group_slot *group_table_next(const struct group_table *table, struct group_cursor *cursor)
{
    struct group_slot *slot = cursor->next;

    while (slot == NULL && cursor->bucket < table->buckets_len)
        slot = table->buckets[cursor->bucket++];
    cursor->next = slot != NULL ? slot->next : NULL;
    return slot;
}

/* ---- by time ---- */

static void put(struct group_table *table, struct group_slot *slot, size_t place)
{
    table->heap[place] = slot;
    slot->place = place;
}

static void sift(struct group_table *table, struct group_slot *slot)
{
    size_t place = slot->place;

    while (place > 1 && table->heap[place / 2]->wake_ms > slot->wake_ms) {
        put(table, table->heap[place / 2], place);
        place /= 2;
    }
    for (;;) {
        size_t child = 2 * place;

        if (child > table->heap_len)
            break;
        if (child < table->heap_len &&
            table->heap[child + 1]->wake_ms < table->heap[child]->wake_ms)
            child++;
        if (table->heap[child]->wake_ms >= slot->wake_ms)
            break;
        put(table, table->heap[child], place);
        place = child;
    }
    put(table, slot, place);
}

static void leave_heap(struct group_table *table, struct group_slot *slot)
{
    struct group_slot *last = table->heap[table->heap_len--];

    if (last != slot) {
        put(table, last, slot->place);
        sift(table, last);
    }
    slot->place = 0;
    slot->wake_ms = GROUP_NEVER;
}

void group_table_woken(struct group_table *table, struct group_slot *slot)
{
    int64_t wake_ms = group_wake_ms(slot->group);

    if (slot->place != 0 && slot->wake_ms == wake_ms)
        return;
    if (wake_ms == GROUP_NEVER) {
        if (slot->place != 0)
            leave_heap(table, slot);
        return;
    }
    slot->wake_ms = wake_ms;
    if (slot->place == 0) {
        array_reserve(&table->heap, &table->heap_cap, table->heap_len + 1, sizeof(void *));
        put(table, slot, ++table->heap_len);
    }
    sift(table, slot);
}

struct group_slot *group_table_first(const struct group_table *table)
{
    return table->heap_len > 0 ? table->heap[1] : NULL;
}

/* ---- by transaction ---- */

static struct open_txn *find_txn(const struct group_table *table, int64_t producer_id)
{
    struct open_txn *txn;

    HASH_FIND(hh, table->txns, &producer_id, sizeof producer_id, txn);
    return txn;
}

void group_table_open_txn(struct group_table *table, int64_t producer_id, struct group_slot *slot)
{
    struct open_txn *txn = find_txn(table, producer_id);

    if (txn == NULL) {
        txn = xcalloc(1, sizeof *txn);
        txn->producer_id = producer_id;
        HASH_ADD(hh, table->txns, producer_id, sizeof producer_id, txn);
    }
    for (size_t i = 0; i < txn->len; i++)
        if (txn->slots[i] == slot)
            return;
    array_reserve(&txn->slots, &txn->cap, txn->len, sizeof(void *));
    txn->slots[txn->len++] = slot;
}

void group_table_end_txn(struct group_table *table, int64_t producer_id, bool commit)
{
    struct open_txn *txn = find_txn(table, producer_id);

    if (txn == NULL)
        return;
    for (size_t i = 0; i < txn->len; i++)
        offsets_txn_end(txn->slots[i]->group, producer_id, commit);
    free_txn(table, txn);
}

static void leave_txns(struct group_table *table, struct group_slot *slot)
{
    struct open_txn *txn, *next;

    HASH_ITER (hh, table->txns, txn, next) {
        for (size_t i = 0; i < txn->len; i++)
            if (txn->slots[i] == slot)
                txn->slots[i--] = txn->slots[--txn->len];
        if (txn->len == 0)
            free_txn(table, txn);
    }
}

void group_table_remove(struct group_table *table, struct group_slot *slot)
{
    struct group_slot **link = &table->buckets[bucket_of(table, slot->hash)];

    leave_txns(table, slot);
    if (slot->place != 0)
        leave_heap(table, slot);
    while (*link != slot)
        link = &(*link)->next;
    *link = slot->next;
    table->count--;
    group_free(&slot->group);
    free(slot);
}
