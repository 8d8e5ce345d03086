/*
 * ListOffsets by time: the first segment that has a record so new, its time index, then its
 * batches, last the records of the one that must hold it. Version 0 goes by the times of the files.
 */
#include <assert.h>
#include <stdlib.h>

#include "broker/log/log.h"
#include "broker/log/log_int.h"
#include "broker/log/scan.h"
#include "common/base/mem.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"

#define BATCH_BYTES_MAX (1u << 30) /* of a decompressed batch */

struct wanted {
    int64_t timestamp_ms;
    int64_t start_offset;
    struct log_found *found;
};

static bool is_it(const struct wanted *wanted, int64_t offset, int64_t timestamp_ms)
{
    if (timestamp_ms < wanted->timestamp_ms || offset < wanted->start_offset)
        return false;
    wanted->found->offset = offset;
    wanted->found->timestamp_ms = timestamp_ms;
    return true;
}

/* ERR_NOT_FOUND: no record of the batch is the one. */
static enum err look_into(const struct wanted *wanted, const uint8_t *batch, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, size, BATCH_BYTES_MAX, &scratch);

    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
        if (is_it(wanted, record.offset, record.timestamp))
            break;
    buf_fini(&scratch);
    return err;
}

static enum err look_into_legacy(const struct wanted *wanted, const uint8_t *entry, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err = legacy_iter_init(&iter, entry, size, BATCH_BYTES_MAX, &scratch);

    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK)
        if (is_it(wanted, message.offset, message.timestamp))
            break;
    buf_fini(&scratch);
    return err;
}

static enum err search(const struct segment *segment, int64_t pos, int64_t end,
                       const struct wanted *wanted)
{
    struct buf buf = BUF_EMPTY;
    struct batch_info info;
    struct scan scan;
    enum err err;

    scan_init(&scan, segment->file, pos, end);
    while ((err = scan_next(&scan, &info, &pos)) == ERR_OK) {
        if (info.max_timestamp < wanted->timestamp_ms || info.last_offset < wanted->start_offset)
            continue;
        err = scan_batch(segment->file, pos, info.size, &buf);
        if (err == ERR_OK)
            err = batch_check(buf.bytes, buf.len);
        if (err != ERR_OK)
            break;
        err = info.magic >= 2 ? look_into(wanted, buf.bytes, buf.len)
                              : look_into_legacy(wanted, buf.bytes, buf.len);
        if (err != ERR_NOT_FOUND)
            break;
    }
    if (err == ERR_OK)
        wanted->found->leader_epoch = info.leader_epoch;
    buf_fini(&buf);
    return err;
}

/* What an index of the segment says of a key; a damaged one says nothing. */
static enum err ask_index(struct log *log, struct segment *segment, const struct index *index,
                          int64_t key, struct index_entry *entry, bool *found)
{
    struct index_saved saved;
    enum err err = ERR_OK;

    *found = false;
    if (atomic_load(&segment->index_damaged))
        return ERR_OK;
    lock_take(&log->lock);
    enum index_found where = index_find_recent(index, key, entry, &saved);

    lock_drop(&log->lock);
    if (where == INDEX_LOOK_IN_FILE)
        err = index_find_saved(index, &saved, key, entry, found);
    else
        *found = where == INDEX_FOUND;
    if (err != ERR_CORRUPT_FILE)
        return err;
    atomic_store(&segment->index_damaged, true);
    *found = false;
    return ERR_OK;
}

/* The batch that holds offset, or the first behind it. */
static enum err locate(struct log *log, struct segment *segment, int64_t offset, int64_t end,
                       struct batch_info *info, int64_t *pos)
{
    struct index_entry entry;
    bool found;
    enum err err = ask_index(log, segment, &segment->offsets, offset, &entry, &found);

    if (err != ERR_OK)
        return err;
    return segment_find(segment, found ? &entry : NULL, end, offset, info, pos);
}

/* Position from which a search by time has to begin. */
static enum err begin_at(struct log *log, struct segment *segment, int64_t timestamp_ms,
                         int64_t start_offset, int64_t *pos, int64_t *end)
{
    struct index_entry entry;
    struct batch_info info;
    bool found;

    lock_take(&log->lock);
    *end = segment->size;
    lock_drop(&log->lock);
    enum err err = ask_index(log, segment, &segment->times, timestamp_ms, &entry, &found);

    if (err == ERR_OK && found && entry.value > start_offset) {
        err = locate(log, segment, entry.value, *end, &info, pos);
        /* The entry stands for the batch with that time; if not, it may hide an earlier one. */
        if (err == ERR_OK && info.max_timestamp == entry.key && info.base_offset <= entry.value)
            return ERR_OK;
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    if (err == ERR_OK)
        err = locate(log, segment, start_offset, *end, &info, pos);
    return err;
}

/* The first segment from index on with a record so new, or the one with the newest of all. */
static struct segment *pick_locked(const struct log *log, size_t *index, int64_t *timestamp_ms)
{
    if (*timestamp_ms != LOG_MAX_TIMESTAMP) {
        for (; *index < log->segment_count; ++*index)
            if (segment_largest_timestamp(log->segments[*index]) >= *timestamp_ms)
                return log->segments[*index];
        return NULL;
    }
    struct segment *best = NULL;

    for (size_t i = 0; i < log->segment_count; i++)
        if (log->segments[i]->max_timestamp >= 0 &&
            (best == NULL || log->segments[i]->max_timestamp > best->max_timestamp))
            best = log->segments[i];
    if (best != NULL)
        *timestamp_ms = best->max_timestamp;
    *index = log->segment_count;
    return best;
}

static enum err find_by_time(struct log *log, int64_t timestamp_ms, struct log_found *out)
{
    struct wanted wanted = { .start_offset = log_start_offset(log), .found = out };
    enum err err = ERR_NOT_FOUND;

    for (size_t index = 0; err == ERR_NOT_FOUND; index++) {
        int64_t pos = 0;
        int64_t end = 0;

        lock_take(&log->lock);
        struct segment *segment = pick_locked(log, &index, &timestamp_ms);

        if (segment != NULL)
            segment_ref(segment);
        lock_drop(&log->lock);
        if (segment == NULL)
            return ERR_OK;
        wanted.timestamp_ms = timestamp_ms;
        err = begin_at(log, segment, timestamp_ms, wanted.start_offset, &pos, &end);
        if (err == ERR_OK)
            err = search(segment, pos, end, &wanted);
        segment_unref(&segment);
    }
    return err;
}

enum err log_find_timestamp(struct log *log, int64_t timestamp_ms, struct log_found *out)
{
    *out = (struct log_found){ .offset = -1, .timestamp_ms = -1, .leader_epoch = -1 };
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    switch (timestamp_ms) {
    case LOG_LATEST:
        out->offset = log_leo(log);
        out->leader_epoch = log_latest_epoch(log);
        return ERR_OK;
    case LOG_EARLIEST:
    case LOG_EARLIEST_LOCAL:
        out->offset = log_start_offset(log);
        out->leader_epoch = log_epoch_at(log, out->offset);
        return ERR_OK;
    case LOG_LATEST_TIERED:
        return ERR_OK;
    default:
        break;
    }
    uint32_t before = atomic_load(&log->truncations);
    enum err err = find_by_time(log, timestamp_ms, out);

    if (err == ERR_OK)
        return err;
    *out = (struct log_found){ .offset = -1, .timestamp_ms = -1, .leader_epoch = -1 };
    if (before != atomic_load(&log->truncations))
        return ERR_NOT_LEADER_OR_FOLLOWER; /* it was cut meanwhile: ask again */
    return err == ERR_IO ? log_failed(log, err, "read") : err;
}

/* ---- version 0 ---- */

struct old_offset {
    int64_t offset;
    char *path; /* NULL: the end of the log, as of now */
};

/* As of one moment, oldest first; *count may be 1 more than there are segments. */
static struct old_offset *list_segments(struct log *log, size_t *count)
{
    int64_t start = log_start_offset(log);

    lock_take(&log->lock);
    struct old_offset *list = xcalloc(log->segment_count + 1, sizeof *list);

    for (*count = 0; *count < log->segment_count; ++*count) {
        const struct segment *segment = log->segments[*count];

        list[*count].offset = segment->base_offset > start ? segment->base_offset : start;
        list[*count].path = xasprintf("%s%s", segment->stem, segment_endings[SEGMENT_LOG]);
    }
    if (log->segments[*count - 1]->size > 0)
        list[(*count)++].offset = log_leo(log);
    lock_drop(&log->lock);
    return list;
}

/* A file that is gone meanwhile is of no time, as in Java. */
static int64_t changed_ms(const struct log *log, const struct old_offset *old, int64_t now_ms)
{
    struct disk_stat st;

    if (old->path == NULL)
        return now_ms;
    return disk_stat(log->env->disk, old->path, &st) == ERR_OK ? st.mtime_ms : 0;
}

enum err log_offsets_before(struct log *log, int64_t timestamp_ms, int64_t now_ms, int32_t max,
                            int64_t **offsets, size_t *count)
{
    size_t all, upto;

    *offsets = NULL;
    *count = 0;
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (max < 0)
        return ERR_UNKNOWN_SERVER_ERROR; /* where Kafka fails to make the array */

    struct old_offset *list = list_segments(log, &all);

    upto = timestamp_ms == LOG_EARLIEST ? 1 : all;
    if (timestamp_ms != LOG_EARLIEST && timestamp_ms != LOG_LATEST)
        while (upto > 0 && changed_ms(log, &list[upto - 1], now_ms) > timestamp_ms)
            upto--;
    *offsets = xcalloc(upto + 1, sizeof **offsets);
    for (; upto > 0 && *count < (size_t)max; upto--)
        (*offsets)[(*count)++] = list[upto - 1].offset;
    for (size_t i = 0; i < all; i++)
        free(list[i].path);
    free(list);
    return ERR_OK;
}
