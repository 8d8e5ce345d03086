/*
 * What is done to all partitions from time to time, and to the one that has a log.
 */
#include <string.h>

#include "broker/replica/parts_int.h"
#include "broker/replica/parts_table.h"

#define TICK_MS      250
#define CALM_TICK_MS 1000 /* while no partition waits for time to pass */

#include <stdlib.h>

#include "common/base/mem.h"

static void each_part(struct parts *parts, void (*each)(struct part *, int64_t), int64_t now_ms)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < parts_count(table); i++)
        each(parts_at(table, i), now_ms);
    parts_put_table(&table);
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

int64_t parts_tick(struct parts *parts, int64_t now_ms)
{
    int64_t half_ms = parts->conf.lag_max_ms / 2;
    int64_t calm_ms = half_ms < CALM_TICK_MS ? half_ms : CALM_TICK_MS;

    return part_tick_restless(&parts->restless, now_ms) > 0 || calm_ms < TICK_MS ? TICK_MS
                                                                                 : calm_ms;
}

void parts_on_dir_failed(struct parts *parts, const char *dir)
{
    const struct parts_table *table = parts_get_table(parts);

    for (size_t i = 0; i < table->count; i++) {
        struct part *part = table->all[i];

        if (strcmp(log_parent_dir(part_log(part)), dir) != 0)
            continue;
        if (parts->conf.fetchers != NULL)
            fetchers_unfollow(parts->conf.fetchers, part);
        part_wake_all(part);
    }
    parts_put_table(&table);
}

static int64_t hw_of(void *ctx, struct log *log)
{
    struct part *part = parts_find(ctx, str_of(log_topic(log)), log_partition(log));
    struct part_info info;

    if (part == NULL || part_log(part) != log)
        return -1;
    part_get_info(part, &info);
    return info.hw;
}

void parts_checkpoint_hw(struct parts *parts)
{
    if (!atomic_load_explicit(&parts->has_image, memory_order_acquire))
        return;
    const struct parts_table *table = parts_get_table(parts);
    logs_checkpoint_hw(parts->conf.logs, hw_of, (void *)(uintptr_t)table);
    parts_put_table(&table);
}

void parts_get_info(struct parts *parts, struct parts_info *out)
{
    const struct parts_table *table = parts_get_table(parts);

    *out =
        (struct parts_info){ .parts = table->count,
                             .strays = atomic_load_explicit(&parts->strays, memory_order_relaxed) };
    for (size_t i = 0; i < table->count; i++) {
        struct part_info info;

        part_get_info(table->all[i], &info);
        out->leading += info.role == PART_LEADER;
        out->under_min_isr += info.is_under_min_isr;
        out->under_replicated += info.role == PART_LEADER && info.isr_len < info.replicas_len;
    }
    parts_put_table(&table);
}
