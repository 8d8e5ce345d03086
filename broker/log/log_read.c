/*
 * Reading. A lookup holds the log's lock while it looks into memory: the ring of recent batches,
 * which answers every consumer that keeps up, then the index entries that are not in their file
 * yet. What the memory does not know is read without a lock, on a counted segment.
 *
 * A truncation meanwhile makes what was read meaningless: its counter moves before it cuts and
 * again after, and a lookup that saw it move starts over.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log.h"
#include "broker/log/log_int.h"
#include "broker/log/scan.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define RECENT_BYTES (64 << 20)
#define TRIES_MAX    100

/* Where a batch lies. */
struct place {
    int64_t pos;
    int64_t end_pos; /* of the batch */
    int64_t base_offset;
};

/* The first recent batch whose last offset is at or above offset. */
static bool place_in_tail_locked(const struct log *log, int64_t offset, struct place *out)
{
    int64_t end = log_active(log)->size;
    size_t at = log->tail_next;

    *out = (struct place){ end, end, offset };
    for (size_t i = 0; i < log->tail_count; i++) {
        at = (at + LOG_TAIL_BATCHES - 1) % LOG_TAIL_BATCHES;
        const struct tail_batch *batch = &log->tail[at];

        if (batch->last_offset < offset)
            return true; /* *out is the batch behind this one, or the end */
        *out = (struct place){ batch->pos, end, batch->base_offset };
        end = batch->pos;
        if (batch->base_offset <= offset)
            return true;
    }
    return false; /* older than all of them, or just before the oldest */
}

/* Without a lock: the first batch of the segment that ends at or after offset. */
static enum err place_by_index(struct segment *segment, enum index_found where,
                               struct index_entry entry, const struct index_saved *saved,
                               int64_t size, int64_t offset, struct place *out)
{
    struct batch_info info;
    bool found = where == INDEX_FOUND;
    enum err err = ERR_OK;

    if (where == INDEX_LOOK_IN_FILE)
        err = index_find_saved(&segment->offsets, saved, offset, &entry, &found);
    if (err == ERR_CORRUPT_FILE) {
        atomic_store(&segment->index_damaged, true);
        found = false;
    } else if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_CLOSED : err; /* the file has just been removed */
    err = segment_find(segment, found ? &entry : NULL, size, offset, &info, &out->pos);
    if (err != ERR_OK)
        return err;
    out->base_offset = info.base_offset;
    out->end_pos = out->pos + (int64_t)info.size;
    return ERR_OK;
}

/* What of a segment a lookup needs after the lock is dropped. */
struct view {
    struct segment *segment; /* a reference */
    size_t index;            /* its place in the list */
    int64_t size;
    int64_t next_base; /* INT64_MAX for the active one */
    uint32_t truncations;
    uint16_t swaps;
    bool in_memory; /* place is valid */
    struct place place;
    enum index_found where;
    struct index_entry entry;
    struct index_saved saved;
};

static void view_take_locked(struct log *log, size_t index, int64_t offset, struct view *view)
{
    struct segment *segment = log->segments[index];
    bool is_active = index + 1 == log->segment_count;

    *view = (struct view){ .segment = segment_ref(segment), .index = index };
    view->size = segment->size;
    view->next_base = is_active ? INT64_MAX : log->segments[index + 1]->base_offset;
    view->truncations = atomic_load_explicit(&log->truncations, memory_order_acquire);
    view->swaps = (uint16_t)atomic_load(&log->swaps);
    view->in_memory = is_active && place_in_tail_locked(log, offset, &view->place);
    view->where = INDEX_NONE;
    if (!view->in_memory && !atomic_load_explicit(&segment->index_damaged, memory_order_relaxed))
        view->where = index_find_recent(&segment->offsets, offset, &view->entry, &view->saved);
}

static enum err view_place(struct view *view, int64_t offset)
{
    if (view->in_memory)
        return ERR_OK;
    return place_by_index(view->segment, view->where, view->entry, &view->saved, view->size, offset,
                          &view->place);
}

static bool is_unchanged(const struct log *log, uint32_t truncations)
{
    return (truncations & 1) == 0 &&
           atomic_load_explicit(&log->truncations, memory_order_acquire) == truncations;
}

/* Where the batches at or above upper begin in the viewed segment. */
static enum err end_of(struct log *log, struct view *view, int64_t upper, int64_t *end)
{
    struct view other;

    *end = view->size;
    if (upper >= view->next_base)
        return ERR_OK;
    lock_take(&log->lock);
    if (!is_unchanged(log, view->truncations) || view->index >= log->segment_count ||
        log->segments[view->index] != view->segment) {
        size_t index = 0;

        /* Segments went from the front: find it again. */
        while (index < log->segment_count && log->segments[index] != view->segment)
            index++;
        if (index == log->segment_count) {
            lock_drop(&log->lock);
            return ERR_CLOSED;
        }
        view->index = index;
    }
    view_take_locked(log, view->index, upper, &other);
    lock_drop(&log->lock);
    enum err err = view_place(&other, upper);

    if (err == ERR_OK)
        *end = other.place.pos;
    else if (err == ERR_NOT_FOUND)
        *end = other.size < view->size ? other.size : view->size;
    segment_unref(&other.segment);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static void fill_range(struct log *log, const struct view *view, int64_t end, size_t max_bytes,
                       bool min_one, struct log_range *out)
{
    size_t len = end > view->place.pos ? (size_t)(end - view->place.pos) : 0;
    size_t first = (size_t)(view->place.end_pos - view->place.pos);

    if (len > max_bytes) {
        out->was_cut = true;
        if (max_bytes >= first)
            len = max_bytes;
        else
            len = min_one ? first : 0;
    }
    if (len == 0)
        return;
    out->log = log_ref(log);
    out->file = file_ref(view->segment->file);
    out->pos = view->place.pos;
    out->len = len;
    out->base_offset = view->place.base_offset;
    out->segment_base = view->segment->base_offset;
    out->truncations = view->truncations;
    out->swaps = view->swaps;
    out->is_recent = view->next_base == INT64_MAX && view->size - out->pos < RECENT_BYTES;
    if (view->next_base < out->upper_offset)
        out->upper_offset = view->next_base;
}

/* One attempt; ERR_CLOSED: things moved, try again. */
static enum err try_read(struct log *log, int64_t offset, int64_t upper, size_t max_bytes,
                         bool min_one, struct log_range *out)
{
    enum err err = ERR_NOT_FOUND;

    for (size_t step = 0; err == ERR_NOT_FOUND; step++) {
        struct view view;
        int64_t end = 0;

        lock_take(&log->lock);
        size_t index = log_floor_locked(log, offset) + step;

        if (index >= log->segment_count) {
            bool moved = (atomic_load(&log->truncations) & 1) != 0;

            lock_drop(&log->lock);
            return moved ? ERR_CLOSED : ERR_OK;
        }
        view_take_locked(log, index, offset, &view);
        lock_drop(&log->lock);
        if (view.segment->base_offset >= upper) {
            segment_unref(&view.segment);
            return ERR_OK;
        }
        err = view_place(&view, offset);
        if (err == ERR_OK)
            err = end_of(log, &view, upper, &end);
        if (!is_unchanged(log, view.truncations))
            err = ERR_CLOSED;
        if (err == ERR_OK)
            fill_range(log, &view, end, max_bytes, min_one, out);
        if (err == ERR_OK && out->len > 0) {
            int64_t leo = log_leo(log);
            struct verify_bounds bounds = { view.size, end,
                                            view.next_base < leo ? view.next_base : leo };

            err = log_verify_range(log, view.segment, &bounds, out, offset);
        }
        if (err != ERR_OK)
            log_range_done(out);
        segment_unref(&view.segment);
    }
    return err;
}

enum err log_read(struct log *log, int64_t offset, int64_t upper_offset, size_t max_bytes,
                  bool min_one, struct log_range *out)
{
    int64_t leo = log_leo(log);

    *out = (struct log_range){ 0 };
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (offset < log_start_offset(log) || offset > leo)
        return ERR_OFFSET_OUT_OF_RANGE;
    int64_t upper = upper_offset < leo ? upper_offset : leo;

    out->base_offset = offset;
    out->upper_offset = upper;
    if (offset >= upper)
        return ERR_OK;
    for (int i = 0; i < TRIES_MAX; i++) {
        enum err err = try_read(log, offset, upper, max_bytes, min_one, out);

        /* Retention or a truncation may have passed us by. */
        if (offset < log_start_offset(log) || offset > log_leo(log)) {
            log_range_done(out);
            return ERR_OFFSET_OUT_OF_RANGE;
        }
        if (err == ERR_OK || err == ERR_CORRUPT_MESSAGE)
            return err;
        if (err != ERR_CLOSED)
            return log_failed(log, err, "read");
        upper = upper < log_leo(log) ? upper : log_leo(log);
        if (offset >= upper)
            return ERR_OK;
    }
    return ERR_NOT_LEADER_OR_FOLLOWER;
}

uint32_t log_truncations(const struct log *log)
{
    return atomic_load_explicit(&log->truncations, memory_order_acquire);
}

bool log_range_is_valid(const struct log_range *range)
{
    return range->len == 0 || is_unchanged(range->log, range->truncations);
}

/* The first compaction that meets aborted records drops them but keeps their entry in the index; it
 * takes another to drop that. */
bool log_range_is_fresh(const struct log_range *range)
{
    return range->len == 0 || (uint16_t)(atomic_load(&range->log->swaps) - range->swaps) < 2;
}

void log_range_done(struct log_range *range)
{
    file_unref(&range->file);
    log_unref(&range->log);
    range->len = 0;
}

enum err log_range_read(const struct log_range *range, size_t skip, void *into, size_t len,
                        size_t *got)
{
    *got = 0;
    if (skip >= range->len)
        return ERR_OK;
    if (len > range->len - skip)
        len = range->len - skip;
    enum err err = file_pread(range->file, into, len, range->pos + (int64_t)skip, got);

    if (err == ERR_NOT_FOUND)
        return ERR_CLOSED; /* retention has removed the segment */
    if (err != ERR_OK)
        return log_failed(range->log, err, "read");
    return log_range_is_valid(range) ? ERR_OK : ERR_CLOSED;
}

int64_t log_range_upper_offset(const struct log_range *range)
{
    return range->upper_offset;
}

/* Position near offset by what memory knows, else the segment's start. */
static int64_t rough_pos_locked(const struct log *log, size_t index, int64_t offset)
{
    struct place place;
    struct index_entry entry;
    struct index_saved saved;

    if (index + 1 == log->segment_count) {
        if (offset >= log_leo(log))
            return log_active(log)->size;
        if (place_in_tail_locked(log, offset, &place))
            return place.pos;
    }
    if (index_find_recent(&log->segments[index]->offsets, offset, &entry, &saved) == INDEX_FOUND)
        return entry.value;
    return 0;
}

int64_t log_bytes_between(struct log *log, int64_t offset, int64_t upper_offset)
{
    int64_t bytes = 0;

    if (offset >= upper_offset)
        return 0;
    lock_take(&log->lock);
    size_t from = log_floor_locked(log, offset);
    size_t to = log_floor_locked(log, upper_offset);

    for (size_t i = from; i < to; i++)
        bytes += log->segments[i]->size;
    bytes += rough_pos_locked(log, to, upper_offset) - rough_pos_locked(log, from, offset);
    lock_drop(&log->lock);
    return bytes > 0 ? bytes : 0;
}

/* --- aborted transactions ------------------------------------------------------------------------
 */

struct collect {
    struct aborted_txn *list;
    size_t count;
    size_t cap;
    int64_t from;
    int64_t upto;
    bool done;
};

static bool collect_one(void *ctx, const struct aborted_txn *txn)
{
    struct collect *collect = ctx;

    if (txn->last_offset >= collect->from && txn->first_offset < collect->upto) {
        array_reserve(&collect->list, &collect->cap, collect->count, sizeof *collect->list);
        collect->list[collect->count++] = *txn;
    }
    collect->done = txn->last_stable_offset >= collect->upto;
    return !collect->done;
}

enum err log_aborted_between(struct log *log, int64_t from, int64_t upto, struct aborted_txn **list,
                             size_t *count)
{
    struct collect collect = { .from = from, .upto = upto };
    int64_t at = from;
    enum err err = ERR_OK;

    while (err == ERR_OK && !collect.done && at < INT64_MAX) {
        lock_take(&log->lock);
        size_t index = log_floor_locked(log, at);
        struct segment *segment = segment_ref(log->segments[index]);
        int64_t entries = segment->txn_count;

        at = index + 1 < log->segment_count ? log->segments[index + 1]->base_offset : INT64_MAX;
        lock_drop(&log->lock);
        if (entries > 0)
            err = txnindex_each(segment->txn_file, entries, collect_one, &collect);
        segment_unref(&segment);
    }
    if (err != ERR_OK) {
        free(collect.list);
        collect = (struct collect){ 0 };
    }
    *list = collect.list;
    *count = collect.count;
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

enum err log_aborted_txns(struct log *log, int64_t from, int64_t upto, struct log_aborted **list,
                          size_t *count)
{
    struct aborted_txn *found;
    enum err err = log_aborted_between(log, from, upto, &found, count);

    *list = NULL;
    if (err == ERR_CLOSED) /* a truncation or retention has passed us by */
        return ERR_NOT_LEADER_OR_FOLLOWER;
    if (err == ERR_CORRUPT_FILE) {
        say_limited(SAY_ERROR, "damaged transaction index, read refused log=%s", log->path);
        return err;
    }
    if (err != ERR_OK)
        return log_failed(log, err, "read transaction index");
    if (*count > 0)
        *list = xcalloc(*count, sizeof **list);
    for (size_t i = 0; i < *count; i++)
        (*list)[i] = (struct log_aborted){ found[i].producer_id, found[i].first_offset };
    free(found);
    return ERR_OK;
}
