/*
 * The first offset that cannot be compacted is the lowest of three: the last stable offset, the
 * base of the active segment, the base of the first dirty segment with a record younger than
 * min.compaction.lag.ms; moved down to the base of the segment that it lies in.
 *
 * A segment that holds the first dirty offset in its middle counts as clean and as dirty, as in
 * Kafka.
 */
#include "broker/log/clean/pick.h"

#include <assert.h>

/* Index of the closed segment that the offset lies in or behind; count when it is in the active
 * one. */
static size_t floor_of(const struct pick_log *log, int64_t offset)
{
    size_t i = 0;

    if (offset >= log->active_base)
        return log->closed_count;
    while (i + 1 < log->closed_count && log->closed[i + 1].base_offset <= offset)
        i++;
    return i;
}

static int64_t base_of(const struct pick_log *log, size_t i)
{
    return i < log->closed_count ? log->closed[i].base_offset : log->active_base;
}

static int64_t first_dirty(const struct pick_log *log, bool *was_reset)
{
    int64_t from = log->cleaned_upto >= 0 ? log->cleaned_upto : log->start;

    *was_reset = from < log->start || from > log->leo;
    return *was_reset ? log->start : from;
}

static int64_t first_uncleanable(const struct pick_log *log, int64_t from)
{
    int64_t upto = log->stable < log->active_base ? log->stable : log->active_base;

    if (log->min_lag_ms > 0)
        for (size_t i = floor_of(log, from); i < log->closed_count; i++)
            if (log->closed[i].largest_timestamp > log->now_ms - log->min_lag_ms) {
                if (log->closed[i].base_offset < upto)
                    upto = log->closed[i].base_offset;
                break;
            }
    return upto > from ? upto : from;
}

/* How much older than max.compaction.lag.ms the oldest dirty segment's first batch is. */
static int64_t delay(const struct pick_log *log, int64_t from)
{
    int64_t earliest = INT64_MAX;
    int64_t limit = log->max_lag_ms > log->now_ms ? 0 : log->now_ms - log->max_lag_ms;

    for (size_t i = floor_of(log, from); i < log->closed_count; i++) {
        int64_t first = log->closed[i].first_timestamp;

        if (first > 0 && first < earliest)
            earliest = first;
    }
    return earliest < limit ? limit - earliest : 0;
}

struct pick pick_log(const struct pick_log *log)
{
    struct pick pick = { 0 };

    assert(log->start <= log->leo);
    pick.first_dirty = first_dirty(log, &pick.was_reset);
    size_t end = floor_of(log, first_uncleanable(log, pick.first_dirty));

    pick.first_uncleanable = base_of(log, end);
    pick.delay_ms = delay(log, pick.first_dirty);
    for (size_t i = 0; i < log->closed_count; i++)
        if (log->closed[i].base_offset < pick.first_dirty)
            pick.clean_bytes += log->closed[i].size;
    if (pick.first_dirty < pick.first_uncleanable)
        for (size_t i = floor_of(log, pick.first_dirty); i < end; i++)
            pick.cleanable_bytes += log->closed[i].size;
    pick.is_due =
        pick.cleanable_bytes > 0 && (pick.delay_ms > 0 || pick_ratio(&pick) > log->min_ratio);
    return pick;
}

double pick_ratio(const struct pick *pick)
{
    int64_t total = pick->clean_bytes + pick->cleanable_bytes;

    return total > 0 ? (double)pick->cleanable_bytes / (double)total : 0;
}
