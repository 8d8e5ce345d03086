/*
 * Three passes, each going on where the one before stopped, oldest first, until one refuses: start
 * offset, size, time. No segment goes that holds a record which is not committed.
 */
#include "broker/log/retain.h"

#include <assert.h>
#include <stdbool.h>

static int64_t next_base(const struct retain_rules *rules, const struct retain_segment *segments,
                         size_t count, size_t i)
{
    return i + 1 < count ? segments[i + 1].base_offset : rules->leo;
}

static bool may_go(const struct retain_rules *rules, const struct retain_segment *segments,
                   size_t count, size_t i)
{
    bool is_empty_active = i + 1 == count && segments[i].size == 0;

    return !is_empty_active && rules->high_watermark >= next_base(rules, segments, count, i);
}

size_t retain_count(const struct retain_rules *rules, const struct retain_segment *segments,
                    size_t count)
{
    size_t drop = 0;
    int64_t excess = -rules->retention_bytes;

    assert(count > 0);
    while (drop < count && may_go(rules, segments, count, drop) && drop + 1 < count &&
           next_base(rules, segments, count, drop) <= rules->log_start)
        drop++;
    for (size_t i = drop; i < count; i++)
        excess += segments[i].size;
    while (rules->retention_bytes >= 0 && drop < count && may_go(rules, segments, count, drop) &&
           excess >= segments[drop].size)
        excess -= segments[drop++].size;
    while (rules->retention_ms >= 0 && drop < count && may_go(rules, segments, count, drop) &&
           rules->now_ms - segments[drop].largest_timestamp > rules->retention_ms)
        drop++;
    return drop;
}
