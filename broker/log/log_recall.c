/*
 * One pass over headers of batches. The first of them is found by halving: the index knows where an
 * offset is, and what is looked for is the offset of a place.
 */
#include "broker/log/log_recall.h"

#include "broker/log/log_int.h"
#include "broker/log/producer_batch.h"
#include "broker/log/scan.h"

bool log_can_recall(struct log *log)
{
    lock_take(&log->producers_lock);
    bool can = log->recall_below > 0;

    lock_drop(&log->producers_lock);
    return can;
}

/* A border between batches at or before pos, the last that the index knows. The segment's start
 * when it knows none. */
static enum err find_border(struct log *log, struct segment *segment, int64_t pos,
                            struct index_entry *border)
{
    int64_t low = segment->base_offset;
    int64_t high = log_leo(log);
    enum err err = ERR_OK;

    *border = (struct index_entry){ .key = low, .value = 0 };
    lock_take(&log->index_lock); /* nobody saves the index meanwhile */
    while (high - low > 1 && err == ERR_OK) {
        int64_t middle = low + (high - low) / 2;
        struct index_entry entry;
        bool found;

        err = index_find(&segment->offsets, middle, &entry, &found);
        if (err == ERR_OK && found && entry.value > pos) {
            high = middle;
        } else {
            low = middle;
            if (err == ERR_OK && found)
                *border = entry;
        }
    }
    lock_drop(&log->index_lock);
    return err;
}

static enum err read_segment(struct segment *segment, const struct index_entry *from, int64_t below,
                             struct producers *into)
{
    struct batch_info info;
    struct scan scan;
    int64_t pos = 0;
    enum err err =
        segment_find(segment, from->value > 0 ? from : NULL, segment->size, from->key, &info, &pos);

    scan_init(&scan, segment->file, pos, segment->size);
    while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK &&
           info.base_offset < below) {
        struct producer_txn_end end;
        struct producer_batch batch;

        /* Only of a marker are the bytes looked at, and markers are not repeated by clients. */
        if (!info.control && producer_batch_read(scan.window, &info, &batch))
            producers_apply(into, &batch, &end);
    }
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT_MESSAGE ? ERR_OK : err;
}

/* About where offset is in the segment, which holds it or ends before it. */
static enum err find_pos(struct log *log, struct segment *segment, int64_t offset, int64_t *pos)
{
    struct index_entry entry;
    bool found;

    lock_take(&log->index_lock);
    enum err err = index_find(&segment->offsets, offset, &entry, &found);

    lock_drop(&log->index_lock);
    *pos = err == ERR_OK && found ? entry.value : 0;
    return err;
}

/* Of what lies below an offset, the last LOG_RECALL_BYTES, oldest first. Under the swap lock. */
static enum err read_last(struct log *log, int64_t below, struct producers *into)
{
    int64_t left = LOG_RECALL_BYTES;
    int64_t end;

    if (below <= log->segments[0]->base_offset)
        return ERR_OK;
    lock_take(&log->lock);
    size_t last = log_floor_locked(log, below - 1);

    lock_drop(&log->lock);
    size_t first = last;
    enum err err = find_pos(log, log->segments[last], below, &end);

    for (; err == ERR_OK && end < left && first > 0; end = log->segments[first]->size) {
        left -= end;
        first--;
    }
    for (size_t i = first; i <= last && err == ERR_OK; i++) {
        struct index_entry from = { .key = log->segments[i]->base_offset };

        if (i == first && end > left)
            err = find_border(log, log->segments[i], end - left, &from);
        if (err == ERR_OK)
            err = read_segment(log->segments[i], &from, below, into);
    }
    /* Without an index it is not worth the time. */
    return err == ERR_CORRUPT_FILE || err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err log_recall_producers(struct log *log)
{
    struct producers *earlier = producers_new();

    lock_take(&log->swap_lock); /* what is read stays where it is */
    lock_take(&log->producers_lock);
    int64_t below = log->recall_below;

    lock_drop(&log->producers_lock);
    enum err err = read_last(log, below, earlier);

    lock_drop(&log->swap_lock);
    if (err == ERR_OK) {
        lock_take(&log->producers_lock);
        producers_recall(log->producers, earlier);
        log->recall_below = 0;
        lock_drop(&log->producers_lock);
    }
    producers_free(&earlier);
    return err == ERR_OK ? ERR_OK : log_failed(log, err, "read segment");
}
