/*
 * What is done to all partitions from time to time, and to the one that has a log.
 */
#include "broker/replica/parts.h"

#include <stdlib.h>

#include "common/base/mem.h"

static void each_part(struct parts *parts, void (*each)(struct part *, int64_t), int64_t now_ms)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < parts_count(table); i++)
        each(parts_at(table, i), now_ms);
    parts_put_table(&table);
}

void parts_tick(struct parts *parts, int64_t now_ms)
{
    each_part(parts, part_tick, now_ms);
}

void parts_resend(struct parts *parts, int64_t now_ms)
{
    each_part(parts, part_resend, now_ms);
}

void parts_stop(struct parts *parts, int64_t now_ms)
{
    each_part(parts, part_stop, now_ms);
}

void parts_result_fini(struct parts_result *result)
{
    free(result->failures);
    free(result->deleted);
    *result = (struct parts_result){ .err = ERR_OK };
}

void parts_tell_full(struct parts *parts, struct parts_result *out)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < parts_count(table); i++) {
        struct part *part = parts_at(table, i);
        struct part_info info;

        if (!part_take_full(part))
            continue;
        part_get_info(part, &info);
        if (info.role != PART_LEADER)
            continue;
        array_reserve(&out->failures, &out->failures_cap, out->failures_len, sizeof *out->failures);
        out->failures[out->failures_len++] =
            (struct parts_failure){ .topic_id = part_topic_id(part),
                                    .partition = part_partition(part),
                                    .leader_epoch = info.leader_epoch,
                                    .partition_epoch = info.partition_epoch,
                                    .err = ERR_OK,
                                    .yields = true };
    }
    parts_put_table(&table);
}

void parts_retain(struct parts *parts, int64_t wall_ms, int64_t now_ms)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < parts_count(table); i++)
        part_retain(parts_at(table, i), wall_ms, now_ms);
    parts_put_table(&table);
}

/* A reference to the partition of this log, NULL when there is none. */
static struct part *part_of_log(struct parts *parts, const struct log *log)
{
    const struct parts_table *table = parts_get_table(parts);
    struct part *part = parts_find(table, str_of(log_topic(log)), log_partition(log));

    part = part != NULL && part_log(part) == log ? part_ref(part) : NULL;
    parts_put_table(&table);
    return part;
}

void parts_retain_log(struct parts *parts, const struct log *log, int64_t wall_ms, int64_t now_ms)
{
    struct part *part = part_of_log(parts, log);

    if (part == NULL)
        return;
    part_retain(part, wall_ms, now_ms);
    part_unref(&part);
}

int64_t parts_stable_offset(struct parts *parts, const struct log *log)
{
    struct part *part = part_of_log(parts, log);
    struct part_info info;

    if (part == NULL)
        return -1;
    part_get_info(part, &info);
    int64_t stable = log_last_stable_offset(part_log(part), info.hw);

    part_unref(&part);
    return stable;
}
