/*
 * The .log is the truth; what the indexes say can be found again by reading it (segment_recover).
 *
 * Writing: the log's appender writes the bytes itself and then has each batch noted. An index entry
 * falls due when more than index.interval.bytes have come since the last; it stands for the batch
 * about to be noted, so the first entry is never at position 0, as in Kafka. Entries gather in
 * memory. They are written when many wait, when the log is flushed, when the segment is rolled and
 * when the log closes. What a crash takes of them costs time only: recovery goes on from the newest
 * entry below the recovery point that is there.
 *
 * Where indexes are built anew below the recovery point, the .index is removed before the others
 * are touched and made when they are complete. Whatever comes between, a full disk or the end of
 * the process, a start that finds none builds all of them; one that found it would believe them,
 * as far as they had come.
 *
 * Nothing that an index says is believed without a look at the batch that it leads to: one that
 * does not hold what the entry promises marks the segment, and the search begins at its start.
 */
#include "broker/log/segment.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/disorder.h"
#include "broker/log/scan.h"
#include "common/base/mem.h"

#define READ_BYTES    (1u << 20)
#define RESERVE_BYTES (16 << 20)
#define RESERVE_FROM  (4 << 20) /* a segment that has come so far is likely to go on */

static struct file *file_of(struct files *files, const char *stem, enum segment_file which)
{
    char *path = xasprintf("%s%s", stem, segment_endings[which]);
    struct file *file = file_new(files, path);

    free(path);
    return file;
}

struct segment *segment_new(struct files *files, const char *dir, int64_t base_offset,
                            const struct log_conf *conf, int64_t now_ms, int64_t jitter_ms)
{
    struct segment *segment = xcalloc(1, sizeof *segment);

    atomic_init(&segment->refs, 1);
    segment->base_offset = base_offset;
    segment->files = files;
    segment->stem = xasprintf("%s/%020" PRId64, dir, base_offset);
    segment->file = file_of(files, segment->stem, SEGMENT_LOG);
    segment->txn_file = file_of(files, segment->stem, SEGMENT_TXN);
    struct file *index = file_of(files, segment->stem, SEGMENT_INDEX);
    struct file *times = file_of(files, segment->stem, SEGMENT_TIME);

    index_init(&segment->offsets, INDEX_OFFSET, index, base_offset, conf->index_max_bytes);
    index_init(&segment->times, INDEX_TIME, times, base_offset, conf->index_max_bytes);
    file_unref(&index);
    file_unref(&times);
    segment->max_timestamp = -1;
    segment->max_timestamp_offset = base_offset;
    segment->first_timestamp = INT64_MIN;
    segment->created_ms = now_ms;
    segment->mtime_ms = now_ms;
    segment->jitter_ms = jitter_ms;
    atomic_init(&segment->index_damaged, false);
    return segment;
}

struct segment *segment_copy(const struct segment *segment)
{
    struct segment *copy = xcalloc(1, sizeof *copy);
    size_t head = offsetof(struct segment, base_offset); /* the count is not ours to read */
    size_t mark = offsetof(struct segment, index_damaged);
    size_t tail = offsetof(struct segment, txns_damaged);

    memcpy((char *)copy + head, (const char *)segment + head, mark - head);
    memcpy((char *)copy + tail, (const char *)segment + tail, sizeof *copy - tail);
    atomic_init(&copy->refs, 1);
    atomic_init(&copy->index_damaged, atomic_load(&segment->index_damaged)); /* readers set it */
    copy->stem = xstrdup(segment->stem);
    file_ref(copy->file);
    file_ref(copy->txn_file);
    index_copy(&copy->offsets, &segment->offsets);
    index_copy(&copy->times, &segment->times);
    verified_init(&copy->verified, segment->verified.foreign);
    return copy;
}

struct segment *segment_ref(struct segment *segment)
{
    atomic_fetch_add_explicit(&segment->refs, 1, memory_order_relaxed); /* the caller holds one */
    return segment;
}

void segment_unref(struct segment **segment)
{
    struct segment *gone = *segment;

    *segment = NULL;
    if (gone == NULL || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    index_fini(&gone->offsets);
    index_fini(&gone->times);
    verified_fini(&gone->verified);
    file_unref(&gone->file);
    file_unref(&gone->txn_file);
    free(gone->stem);
    free(gone);
}

/* The indexes at once, empty: a Kafka that opens what a killed broker left takes a segment without
 * for damaged and reads it before the older ones, whose epochs it then no longer believes. */
enum err segment_create(struct segment *segment, const struct log_conf *conf)
{
    enum err err = file_make(segment->file);

    if (err == ERR_OK)
        err = file_make(segment->offsets.file);
    if (err == ERR_OK)
        err = file_make(segment->times.file);
    if (err == ERR_OK && conf->preallocate)
        err = file_truncate(segment->file, conf->segment_bytes);
    return err;
}

int64_t segment_reserve_upto(const struct segment *segment, size_t len, int64_t segment_bytes)
{
    int64_t end = segment->size + (int64_t)len;
    int64_t upto = end + RESERVE_BYTES < segment_bytes ? end + RESERVE_BYTES : segment_bytes;

    if (segment->size < RESERVE_FROM || end <= segment->reserved || upto <= end)
        return 0;
    return upto;
}

static enum err stat_file(const struct segment *segment, enum segment_file which,
                          struct disk_stat *st)
{
    char *path = xasprintf("%s%s", segment->stem, segment_endings[which]);
    enum err err = disk_stat(files_disk(segment->files), path, st);

    free(path);
    return err;
}

/* Without an .index it may be as incomplete as the others. */
static enum err load_txns(struct segment *segment)
{
    struct disk_stat st;
    struct disk_stat index_st;
    enum err err = stat_file(segment, SEGMENT_TXN, &st);

    if (err == ERR_NOT_FOUND)
        return ERR_OK;
    if (err == ERR_OK)
        err = txnindex_check(segment->txn_file, st.size, segment->base_offset);
    if (err == ERR_OK)
        segment->txn_count = st.size / TXNINDEX_ENTRY_BYTES;
    if (err == ERR_OK && stat_file(segment, SEGMENT_INDEX, &index_st) == ERR_NOT_FOUND)
        err = ERR_CORRUPT_FILE;
    segment->txns_damaged = err == ERR_CORRUPT_FILE;
    return err == ERR_CORRUPT_FILE ? ERR_OK : err;
}

static enum err load_index(struct segment *segment, struct index *index, enum segment_file which)
{
    struct disk_stat st;
    enum err err = stat_file(segment, which, &st);

    if (err == ERR_OK)
        err = index_load(index, st.size);
    /* A log from before there were time indexes has none; an empty one does. */
    if (err == ERR_CORRUPT_FILE || (err == ERR_NOT_FOUND && which == SEGMENT_INDEX))
        atomic_store(&segment->index_damaged, true);
    return err == ERR_CORRUPT_FILE || err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err segment_stat(const struct segment *segment, struct disk_stat *st)
{
    return stat_file(segment, SEGMENT_LOG, st);
}

enum err segment_load(struct segment *segment)
{
    struct disk_stat st;
    enum err err = stat_file(segment, SEGMENT_LOG, &st);

    if (err != ERR_OK)
        return err;
    segment->size = st.size;
    segment->written_out = st.size;
    segment->mtime_ms = st.mtime_ms;
    verified_init(&segment->verified, st.size);
    err = load_index(segment, &segment->offsets, SEGMENT_INDEX);
    if (err == ERR_OK)
        err = load_index(segment, &segment->times, SEGMENT_TIME);
    if (err == ERR_OK)
        err = load_txns(segment);
    if (err != ERR_OK)
        return err;
    if (segment->offsets.has_last && segment->offsets.last.value >= segment->size)
        atomic_store(&segment->index_damaged, true);
    if (segment->times.has_last) {
        segment->max_timestamp = segment->times.last.key;
        segment->max_timestamp_offset = segment->times.last.value;
    }
    return ERR_OK;
}

void segment_note(struct segment *segment, const struct batch_info *info, int64_t interval_bytes)
{
    if (info->max_timestamp > segment->max_timestamp) {
        segment->max_timestamp = info->max_timestamp;
        segment->max_timestamp_offset = info->last_offset;
    }
    if (segment->size == 0)
        segment->first_timestamp = info->max_timestamp;
    if (segment->bytes_since_index > interval_bytes) {
        index_add(&segment->offsets, info->last_offset, segment->size, false);
        index_add(&segment->times, segment->max_timestamp, segment->max_timestamp_offset, false);
        segment->bytes_since_index = 0;
    }
    segment->size += (int64_t)info->size;
    segment->bytes_since_index += (int64_t)info->size;
}

enum err segment_note_abort(struct segment *segment, const struct aborted_txn *txn)
{
    enum err err = file_make(segment->txn_file);

    return err != ERR_OK ? err : txnindex_write(segment->txn_file, segment->txn_count, txn);
}

void segment_close_times(struct segment *segment)
{
    if (segment->max_timestamp >= 0)
        index_add(&segment->times, segment->max_timestamp, segment->max_timestamp_offset, true);
}

enum err segment_save_indexes(const struct segment *segment)
{
    enum err err = file_make(segment->times.file);

    if (err == ERR_OK)
        err = index_save(&segment->times);
    if (err != ERR_OK || segment->unindexed)
        return err;
    err = file_make(segment->offsets.file);
    return err == ERR_OK ? index_save(&segment->offsets) : err;
}

enum err segment_save(struct segment *segment)
{
    int fd;
    int64_t size;
    enum err err = segment_save_indexes(segment);

    if (err == ERR_OK)
        err = file_pin(segment->file, &fd);
    if (err != ERR_OK)
        return err;
    err = disk_size(files_disk(segment->files), fd, &size);
    if (err == ERR_OK && (size > segment->size || segment->reserved > segment->size))
        err = disk_truncate(files_disk(segment->files), fd, segment->size);
    file_unpin(segment->file);
    return err;
}

void segment_saved(struct segment *segment)
{
    index_saved(&segment->times, index_count(&segment->times));
    if (!segment->unindexed)
        index_saved(&segment->offsets, index_count(&segment->offsets));
}

/* One that is being built anew is not there. */
static enum err sync_index(const struct segment *segment, struct file *file)
{
    enum err err = file_sync(file);

    return err == ERR_NOT_FOUND && atomic_load(&segment->index_damaged) ? ERR_OK : err;
}

enum err segment_sync(struct segment *segment)
{
    enum err err = file_sync(segment->file);

    if (err == ERR_OK)
        err = sync_index(segment, segment->offsets.file);
    if (err == ERR_OK)
        err = sync_index(segment, segment->times.file);
    if (err == ERR_OK && segment->txn_count > 0)
        err = file_sync(segment->txn_file);
    return err;
}

int64_t segment_largest_timestamp(const struct segment *segment)
{
    return segment->max_timestamp >= 0 ? segment->max_timestamp : segment->mtime_ms;
}

static enum err scan_to(const struct segment *segment, int64_t from_pos, int64_t limit,
                        int64_t offset, struct batch_info *info, int64_t *pos)
{
    struct scan scan;
    enum err err;

    scan_init(&scan, segment->file, from_pos, limit);
    while ((err = scan_next(&scan, info, pos)) == ERR_OK)
        if (info->last_offset >= offset)
            return ERR_OK;
    return err;
}

/* From where an entry of the index leads to. ERR_CORRUPT_FILE: to no batch that it can stand for.
 */
static enum err scan_from_hint(const struct segment *segment, const struct index_entry *hint,
                               int64_t limit, int64_t offset, struct batch_info *info, int64_t *pos)
{
    struct scan scan;

    if (hint->value <= 0 || hint->value >= limit)
        return ERR_CORRUPT_FILE;
    scan_init(&scan, segment->file, hint->value, limit);
    enum err err = scan_next(&scan, info, pos);

    if (err == ERR_CORRUPT_MESSAGE || err == ERR_NOT_FOUND)
        return ERR_CORRUPT_FILE;
    /* An entry of Kafka's stands for all batches of an append and has the last offset of all. */
    if (err == ERR_OK &&
        (info->base_offset < segment->base_offset || info->last_offset > hint->key))
        return ERR_CORRUPT_FILE;
    while (err == ERR_OK && info->last_offset < offset)
        err = scan_next(&scan, info, pos);
    return err;
}

enum err segment_find(struct segment *segment, const struct index_entry *hint, int64_t limit,
                      int64_t offset, struct batch_info *info, int64_t *pos)
{
    if (hint == NULL)
        return scan_to(segment, 0, limit, offset, info, pos);
    enum err err = scan_from_hint(segment, hint, limit, offset, info, pos);

    if (err != ERR_CORRUPT_FILE)
        return err;
    atomic_store(&segment->index_damaged, true);
    return scan_to(segment, 0, limit, offset, info, pos);
}

struct txn_count {
    int64_t below_offset;
    int64_t count;
};

static bool count_txn(void *ctx, const struct aborted_txn *txn)
{
    struct txn_count *count = ctx;

    count->count += txn->last_offset < count->below_offset;
    return txn->last_offset < count->below_offset;
}

static enum err truncate_txns(struct segment *segment, int64_t offset)
{
    struct txn_count count = { .below_offset = offset };

    if (segment->txn_count == 0)
        return ERR_OK;
    enum err err = txnindex_each(segment->txn_file, segment->txn_count, count_txn, &count);

    if (err != ERR_OK || count.count == segment->txn_count)
        return err;
    segment->txn_count = count.count;
    err = file_truncate(segment->txn_file, count.count * TXNINDEX_ENTRY_BYTES);
    return err == ERR_OK ? file_sync(segment->txn_file) : err;
}

enum err segment_truncate(struct segment *segment, int64_t offset, int64_t *end_offset)
{
    struct index_entry entry = { .value = 0 };
    struct batch_info info;
    bool found;
    int64_t pos;
    enum err err = index_find(&segment->offsets, offset, &entry, &found);

    if (err == ERR_CORRUPT_FILE) {
        found = false;
        err = ERR_OK;
    }
    if (err != ERR_OK)
        return err;
    err = segment_find(segment, found ? &entry : NULL, segment->size, offset, &info, &pos);
    if (err == ERR_NOT_FOUND)
        pos = segment->size;
    else if (err != ERR_OK)
        return err;
    else if (info.base_offset < offset)
        offset =
            info.base_offset; /* the batch goes whole, and with it what the indexes say of it */
    *end_offset = offset;
    err = index_truncate(&segment->offsets, offset);
    if (err == ERR_OK)
        err = index_truncate(&segment->times, offset);
    if (err == ERR_OK)
        err = truncate_txns(segment, offset);
    if (err == ERR_OK && pos < segment->size)
        err = file_truncate(segment->file, pos);
    /* What was cut must not come back behind what is appended next. */
    if (err == ERR_OK && pos < segment->size)
        err = file_sync(segment->file);
    if (err != ERR_OK)
        return err;
    segment->size = pos;
    segment->reserved = 0; /* cut with it */
    segment->written_out = segment->written_out < pos ? segment->written_out : pos;
    verified_init(&segment->verified,
                  segment->verified.foreign < pos ? segment->verified.foreign : pos);
    segment->bytes_since_index = 0;
    if (pos == 0)
        segment->first_timestamp = INT64_MIN;
    segment->max_timestamp = segment->times.has_last ? segment->times.last.key : -1;
    segment->max_timestamp_offset =
        segment->times.has_last ? segment->times.last.value : segment->base_offset;
    /* Records after the last time entry may be newer than it; their timestamps are needed when the
     * segment closes and for lookups by time. */
    struct scan scan;
    int64_t from = segment->offsets.has_last ? segment->offsets.last.value : 0;

    scan_init(&scan, segment->file, from, pos);
    while ((err = scan_next(&scan, &info, &from)) == ERR_OK)
        if (info.max_timestamp > segment->max_timestamp) {
            segment->max_timestamp = info.max_timestamp;
            segment->max_timestamp_offset = info.last_offset;
        }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* --- reading all of it -------------------------------------------------------------------------
 */

/* Whether a batch may follow one that ended with the offset last. */
static bool may_follow(const struct segment *segment, const struct batch_info *info, int64_t last)
{
    return info->last_offset > last && (info->magic < 2 || info->base_offset > last) &&
           info->last_offset >= info->base_offset &&
           info->last_offset - segment->base_offset <= INT32_MAX;
}

/* Whether the offset of a good batch, behind one that ended with the offset last, was raised: what
 * follows it, at pos, shows it. */
static enum err was_raised(const struct segment *segment, const struct batch_info *info,
                           int64_t last, int64_t pos, int64_t end, bool *raised)
{
    struct disorder_rest rest = { pos, end, DISORDER_NOT_KNOWN };
    enum disorder which;
    enum err err = disorder_find(segment->file, last, info, &rest, &which);

    *raised = which == DISORDER_FIRST || which == DISORDER_EITHER;
    return err;
}

/* Whether that is worth asking: bytes is what follows, as far as it is at hand. */
static bool may_be_raised(const struct batch_info *info, const uint8_t *bytes, size_t len)
{
    return len < sizeof(int64_t) || batch_base_offset(bytes) <= info->last_offset;
}

/* Walks good batches from a place up to end. *good is where the last one ended. */
static enum err walk(const struct segment *segment, const struct segment_place *from, int64_t end,
                     segment_batch_fn each, void *ctx, int64_t *good)
{
    struct buf buf = BUF_EMPTY;
    enum err err = ERR_OK;
    int64_t last = from->offset - 1;
    size_t want = READ_BYTES;

    *good = from->pos;
    while (*good < end && err == ERR_OK) {
        size_t got;
        size_t room = end - *good < (int64_t)want ? (size_t)(end - *good) : want;

        buf.len = 0;
        err = file_pread(segment->file, buf_reserve(&buf, room), room, *good, &got);
        if (err != ERR_OK)
            break;
        size_t at = 0;
        size_t size = 0;

        while (at < got && (err = batch_peek(buf.bytes + at, got - at, &size)) == ERR_OK) {
            const uint8_t *batch = buf.bytes + at;
            struct batch_info info;

            batch_info_read(batch, &info);
            if (batch_check(batch, size) != ERR_OK || !may_follow(segment, &info, last)) {
                err = ERR_CORRUPT_MESSAGE;
                break;
            }
            if (may_be_raised(&info, batch + size, got - at - size)) {
                bool raised;

                err = was_raised(segment, &info, last, *good + (int64_t)size, end, &raised);
                if (err == ERR_OK && raised)
                    err = ERR_CORRUPT_MESSAGE;
                if (err != ERR_OK)
                    break;
            }
            err = each(ctx, batch, &info);
            if (err != ERR_OK)
                break;
            last = info.last_offset;
            at += size;
            *good += (int64_t)size;
        }
        if (err != ERR_NOT_FOUND)
            continue;
        if (got < room || (int64_t)size > end - *good ||
            (size == 0 && *good + (int64_t)(got - at) >= end))
            break; /* cut short by the end of the file */
        want = size > READ_BYTES ? size : READ_BYTES;
        err = ERR_OK;
    }
    buf_fini(&buf);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT_MESSAGE : err;
}

/* Takes note of a batch and saves the indexes now and then. */
static enum err note_and_save(struct segment *segment, const struct batch_info *info,
                              int64_t interval_bytes)
{
    segment_note(segment, info, interval_bytes);
    if (!index_wants_save(&segment->times) &&
        (segment->unindexed || !index_wants_save(&segment->offsets)))
        return ERR_OK;
    enum err err = segment_save_indexes(segment);

    if (err == ERR_OK)
        segment_saved(segment);
    return err;
}

struct rebuild {
    struct segment *segment;
    int64_t interval_bytes;
    segment_batch_fn each;
    void *ctx;
};

static enum err rebuild_one(void *ctx, const uint8_t *batch, const struct batch_info *info)
{
    struct rebuild *rebuild = ctx;
    enum err err = note_and_save(rebuild->segment, info, rebuild->interval_bytes);

    return err != ERR_OK || rebuild->each == NULL ? err : rebuild->each(rebuild->ctx, batch, info);
}

/* As if the file ended at a place. The time index has been cut to it. */
static void stand_at(struct segment *segment, const struct segment_place *place)
{
    segment->size = place->pos;
    segment->first_timestamp = INT64_MIN;
    segment->bytes_since_index = 0;
    segment->max_timestamp = segment->times.has_last ? segment->times.last.key : -1;
    segment->max_timestamp_offset =
        segment->times.has_last ? segment->times.last.value : segment->base_offset;
}

/* Of a segment that nobody else sees: who reads the old file by this name goes on doing so. */
static enum err drop_index(struct segment *segment)
{
    struct disk *disk = files_disk(segment->files);
    char *path = xasprintf("%s%s", segment->stem, segment_endings[SEGMENT_INDEX]);
    char *dir = xstrndup(segment->stem, (size_t)(strrchr(segment->stem, '/') - segment->stem));
    enum err err = disk_unlink(disk, path);

    if (err == ERR_OK || err == ERR_NOT_FOUND)
        err = disk_sync_dir(disk, dir);
    if (err == ERR_OK) {
        file_unref(&segment->offsets.file);
        segment->offsets.file = file_of(segment->files, segment->stem, SEGMENT_INDEX);
        segment->unindexed = true;
    }
    free(dir);
    free(path);
    return err;
}

static enum err forget_indexes(struct segment *segment, bool with_txns)
{
    enum err err = index_reset(&segment->offsets);

    if (err == ERR_OK)
        err = index_reset(&segment->times);
    if (err == ERR_OK && with_txns) {
        segment->txn_count = 0;
        err = file_truncate(segment->txn_file, 0);
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
    }
    return err;
}

enum err segment_resume(struct segment *segment, int64_t trusted_offset, struct segment_place *from)
{
    struct index_entry entry;
    struct batch_info info;
    bool found = false;
    enum err err = ERR_OK;

    *from = (struct segment_place){ 0, segment->base_offset };
    if (trusted_offset > segment->base_offset && !atomic_load(&segment->index_damaged) &&
        !segment->txns_damaged) {
        err = index_check(&segment->offsets, segment->size);
        if (err == ERR_OK)
            err = index_check(&segment->times, segment->size);
        if (err == ERR_OK)
            err = index_find(&segment->offsets, trusted_offset - 1, &entry, &found);
        if (err == ERR_OK && found)
            err = scan_from_hint(segment, &entry, segment->size, 0, &info, &from->pos);
        if (err == ERR_OK && found) {
            *from = (struct segment_place){ entry.value, info.base_offset };
            /* The entry is made anew: who says that its offset is right? */
            err = index_truncate(&segment->offsets, info.base_offset);
            if (err == ERR_OK)
                err = index_truncate(&segment->times, info.base_offset);
            if (err == ERR_OK)
                err = truncate_txns(segment, trusted_offset);
        }
        if (err == ERR_CORRUPT_FILE || err == ERR_NOT_FOUND) {
            found = false;
            err = ERR_OK;
        }
    }
    if (err == ERR_OK && !found) {
        *from = (struct segment_place){ 0, segment->base_offset };
        if (trusted_offset > segment->base_offset)
            err = drop_index(segment);
        if (err == ERR_OK)
            err = forget_indexes(segment, true);
    }
    stand_at(segment, from);
    if (from->pos > 0)
        segment->bytes_since_index = INT32_MAX; /* the entry is due */
    return err;
}

enum err segment_recover(struct segment *segment, const struct segment_place *from,
                         int64_t interval_bytes, segment_batch_fn each, void *ctx, int64_t *lost)
{
    struct rebuild rebuild = { segment, interval_bytes, each, ctx };
    struct disk_stat st;
    int64_t good;
    enum err err = stat_file(segment, SEGMENT_LOG, &st);

    *lost = 0;
    if (err != ERR_OK)
        return err;
    segment->mtime_ms = st.mtime_ms;
    verified_fini(&segment->verified);
    verified_init(&segment->verified, from->pos);
    err = walk(segment, from, st.size, rebuild_one, &rebuild, &good);
    if (err == ERR_CORRUPT_MESSAGE)
        err = ERR_OK;
    assert(err != ERR_OK || segment->size == good);
    *lost = st.size - good;
    return err;
}

enum err segment_finish(struct segment *segment, bool is_last)
{
    struct disk_stat st;
    enum err err = stat_file(segment, SEGMENT_LOG, &st);

    if (err == ERR_OK && segment->size < st.size) {
        err = file_truncate(segment->file, segment->size);
        if (err == ERR_OK)
            err = file_sync(segment->file); /* what was cut must not come back */
    }
    segment->written_out = segment->size;
    if (err != ERR_OK)
        return err;
    segment->reserved = segment->size + RESERVE_BYTES; /* a crash may have left so much */
    if (is_last && !segment->unindexed)
        return ERR_OK;
    segment->unindexed = false;
    if (!is_last)
        segment_close_times(segment);
    err = is_last ? segment_save_indexes(segment) : segment_save(segment);
    if (err == ERR_OK)
        segment_saved(segment);
    return err;
}

/* Whether what scan shows next leaves a batch its offset. */
static enum err stands_in_order(const struct segment *segment, struct scan *scan,
                                const struct batch_info *info, int64_t last, bool *stands)
{
    struct batch_info next;
    bool raised = false;
    enum err err = scan_peek(scan, &next);

    *stands = true;
    if (err == ERR_NOT_FOUND || err == ERR_CORRUPT_MESSAGE)
        return ERR_OK;
    if (err == ERR_OK && next.base_offset <= info->last_offset)
        err = was_raised(segment, info, last, scan->next, scan->end, &raised);
    *stands = !raised;
    return err;
}

/* Goes on behind what is no batch. *skipped: how many bytes were none. */
static enum err skip_damage(struct segment *segment, struct scan *scan, int64_t last,
                            int64_t *skipped)
{
    int64_t from = scan->next;
    struct segment_place place;
    enum err err = scan_find_batch(segment->file, from + 1, scan->end, last, &place.pos);

    if (err != ERR_OK)
        place.pos = scan->end;
    *skipped += place.pos - from;
    segment->size = place.pos;
    scan_init(scan, segment->file, place.pos, scan->end);
    return err;
}

/* All is known: the others first, and to stay, then the .index. */
static enum err finish_reindex(struct segment *segment)
{
    char *path = xasprintf("%s%s", segment->stem, segment_endings[SEGMENT_INDEX]);

    segment_close_times(segment);
    enum err err = segment_save_indexes(segment);

    if (err == ERR_OK)
        err = file_sync(segment->times.file);
    if (err == ERR_OK && segment->txn_count > 0)
        err = file_sync(segment->txn_file);
    if (err == ERR_OK)
        err = index_write_whole(&segment->offsets, files_disk(segment->files), path);
    if (err == ERR_OK) {
        segment->unindexed = false;
        segment_saved(segment);
    }
    free(path);
    return err;
}

enum err segment_reindex(struct segment *segment, int64_t interval_bytes, bool with_txns,
                         segment_batch_fn each, void *ctx, int64_t *skipped)
{
    struct segment_place start = { 0, segment->base_offset };
    struct buf buf = BUF_EMPTY;
    int64_t last = segment->base_offset - 1;
    int64_t size = segment->size;
    struct batch_info info;
    struct scan scan;
    int64_t pos;
    enum err err = drop_index(segment);

    if (err == ERR_OK)
        err = forget_indexes(segment, with_txns);
    *skipped = 0;
    stand_at(segment, &start);
    scan_init(&scan, segment->file, 0, size);
    while (err == ERR_OK) {
        uint8_t head[BATCH_HEADER_BYTES] = { 0 };
        const uint8_t *batch = head;
        struct scan here = scan;

        err = scan_next(&scan, &info, &pos);
        bool follows = err == ERR_OK && may_follow(segment, &info, last);

        if (follows)
            err = stands_in_order(segment, &scan, &info, last, &follows);
        if (err == ERR_CORRUPT_MESSAGE || (err == ERR_NOT_FOUND && scan.next < size) ||
            (err == ERR_OK && !follows)) {
            scan = here;
            err = skip_damage(segment, &scan, last, skipped);
            continue;
        }
        if (err != ERR_OK)
            break;
        last = info.last_offset;
        err = note_and_save(segment, &info, interval_bytes);
        if (err == ERR_OK && each != NULL && info.control) {
            err = scan_batch(segment->file, pos, info.size, &buf);
            batch = buf.bytes;
        }
        if (err == ERR_OK && each != NULL)
            err = each(ctx, batch, &info);
    }
    buf_fini(&buf);
    segment->size = size;
    if (err != ERR_NOT_FOUND)
        return err;
    return finish_reindex(segment);
}

enum err segment_end(struct segment *segment, int64_t *next, struct batch_info *last)
{
    const struct index_entry *hint = segment->offsets.has_last ? &segment->offsets.last : NULL;
    struct scan scan;
    struct batch_info info;
    int64_t pos = 0;
    enum err err = ERR_OK;

    *next = segment->base_offset;
    *last = (struct batch_info){ .leader_epoch = -1 };
    if (hint != NULL)
        err = scan_from_hint(segment, hint, segment->size, 0, &info, &pos);
    if (err == ERR_CORRUPT_FILE) {
        atomic_store(&segment->index_damaged, true);
        pos = 0;
    } else if (err != ERR_OK)
        return err;
    scan_init(&scan, segment->file, pos, segment->size);
    while ((err = scan_next(&scan, &info, &pos)) == ERR_OK) {
        if (!may_follow(segment, &info, *next - 1))
            return ERR_CORRUPT_MESSAGE;
        *next = info.last_offset + 1;
        *last = info;
    }
    if (err != ERR_NOT_FOUND)
        return err;
    if ((hint != NULL && hint->key >= *next) ||
        (segment->times.has_last && segment->times.last.value >= *next))
        atomic_store(&segment->index_damaged, true);
    return scan.next == segment->size ? ERR_OK : ERR_CORRUPT_MESSAGE;
}
