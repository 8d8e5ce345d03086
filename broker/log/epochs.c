/*
 * A sorted array; both columns increase, so that a position found by one is right for the other.
 */
#include "broker/log/epochs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void epochs_init(struct epochs *epochs)
{
    *epochs = (struct epochs){ 0 };
}

void epochs_fini(struct epochs *epochs)
{
    free(epochs->entries);
    epochs_init(epochs);
}

static const struct epoch_entry *last(const struct epochs *epochs)
{
    return epochs->count == 0 ? NULL : &epochs->entries[epochs->count - 1];
}

bool epochs_assign(struct epochs *epochs, int32_t epoch, int64_t offset)
{
    assert(epoch >= 0);
    assert(offset >= 0);
    const struct epoch_entry *newest = last(epochs);

    if (newest != NULL && newest->epoch == epoch && newest->start_offset <= offset)
        return false;
    while ((newest = last(epochs)) != NULL &&
           (newest->epoch >= epoch || newest->start_offset >= offset))
        epochs->count--;
    array_reserve(&epochs->entries, &epochs->cap, epochs->count, sizeof *epochs->entries);
    epochs->entries[epochs->count++] = (struct epoch_entry){ epoch, offset };
    return true;
}

/* How many entries have at most this epoch. */
static size_t count_upto_epoch(const struct epochs *epochs, int32_t epoch)
{
    size_t low = 0;
    size_t high = epochs->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (epochs->entries[mid].epoch <= epoch)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct epoch_end epochs_end_of(const struct epochs *epochs, int32_t epoch, int64_t leo)
{
    const struct epoch_entry *newest = last(epochs);
    struct epoch_end undefined = { EPOCH_NONE, OFFSET_NONE };

    if (epoch == EPOCH_NONE || newest == NULL || epoch > newest->epoch)
        return undefined;
    if (epoch == newest->epoch)
        return (struct epoch_end){ epoch, leo };
    size_t upto = count_upto_epoch(epochs, epoch);

    if (upto == 0)
        return (struct epoch_end){ epoch, epochs->entries[0].start_offset };
    return (struct epoch_end){ epochs->entries[upto - 1].epoch,
                               epochs->entries[upto].start_offset };
}

int32_t epochs_latest(const struct epochs *epochs)
{
    const struct epoch_entry *newest = last(epochs);

    return newest == NULL ? EPOCH_NONE : newest->epoch;
}

int32_t epochs_at(const struct epochs *epochs, int64_t offset)
{
    for (size_t i = epochs->count; i > 0; i--)
        if (epochs->entries[i - 1].start_offset <= offset)
            return epochs->entries[i - 1].epoch;
    return EPOCH_NONE;
}

bool epochs_truncate_from_end(struct epochs *epochs, int64_t offset)
{
    size_t before = epochs->count;

    while (epochs->count > 0 && last(epochs)->start_offset >= offset)
        epochs->count--;
    return epochs->count != before;
}

bool epochs_truncate_from_start(struct epochs *epochs, int64_t offset)
{
    size_t drop = 0;

    while (drop < epochs->count && epochs->entries[drop].start_offset <= offset)
        drop++;
    if (drop == 0 || (drop == 1 && epochs->entries[0].start_offset == offset))
        return false;
    epochs->entries[drop - 1].start_offset = offset;
    epochs->count -= drop - 1;
    memmove(epochs->entries, epochs->entries + drop - 1, epochs->count * sizeof *epochs->entries);
    return true;
}

void epochs_clear(struct epochs *epochs)
{
    epochs->count = 0;
}
