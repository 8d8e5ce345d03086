/*
 * Two hashes with open addressing, by topic name and by topic id, made once and never changed.
 */
#include "broker/replica/parts_table.h"

#include <assert.h>
#include <stdlib.h>

#include "broker/replica/parts.h"
#include "common/base/mem.h"
#include "common/model/tp.h"

static uint64_t name_hash(struct str topic, int32_t partition)
{
    return (str_hash(topic) ^ (uint32_t)partition) * 0x9e3779b97f4a7c15u;
}

static void table_free(struct snap_head *head)
{
    struct parts_table *table = container_of(head, struct parts_table, head);

    for (size_t i = 0; i < table->count; i++)
        part_unref(&table->all[i]);
    free(table->all);
    free(table->by_name);
    free(table->by_id);
    free(table);
}

static void put(struct part **slots, size_t mask, uint64_t hash, struct part *part)
{
    size_t at = (size_t)(hash >> 20) & mask;

    while (slots[at] != NULL)
        at = (at + 1) & mask;
    slots[at] = part;
}

struct parts_table *parts_table_new(struct part **all, size_t count)
{
    struct parts_table *table = xcalloc(1, sizeof *table);
    size_t slots = 16;

    while (slots < count * 2)
        slots *= 2;
    snap_head_init(&table->head, table_free);
    table->count = count;
    table->mask = slots - 1;
    table->all = all;
    table->by_name = xcalloc(slots, sizeof(struct part *));
    table->by_id = xcalloc(slots, sizeof(struct part *));
    for (size_t i = 0; i < count; i++) {
        struct part *part = all[i];

        put(table->by_name, table->mask, name_hash(str_of(part_topic(part)), part_partition(part)),
            part);
        put(table->by_id, table->mask, tp_hash(part_topic_id(part), part_partition(part)), part);
    }
    return table;
}

struct part *parts_find(const struct parts_table *table, struct str topic, int32_t partition)
{
    size_t at = (size_t)(name_hash(topic, partition) >> 20) & table->mask;

    for (; table->by_name[at] != NULL; at = (at + 1) & table->mask) {
        struct part *part = table->by_name[at];

        if (part_partition(part) == partition && str_is(topic, part_topic(part)))
            return part;
    }
    return NULL;
}

struct part *parts_find_id(const struct parts_table *table, struct uuid topic_id, int32_t partition)
{
    size_t at = (size_t)(tp_hash(topic_id, partition) >> 20) & table->mask;

    for (; table->by_id[at] != NULL; at = (at + 1) & table->mask) {
        struct part *part = table->by_id[at];

        if (part_partition(part) == partition && uuid_eq(topic_id, part_topic_id(part)))
            return part;
    }
    return NULL;
}

size_t parts_count(const struct parts_table *table)
{
    return table->count;
}

struct part *parts_at(const struct parts_table *table, size_t i)
{
    assert(i < table->count);
    return table->all[i];
}
