/*
 * The producers of a log found again: the newest snapshot with a right checksum, then the headers
 * of the batches behind it. Whatever stands in a log that nobody has checked is passed over: the
 * state is a filter against duplicates, a log is served without it, too.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_entries.h"
#include "broker/log/log_int.h"
#include "broker/log/producer_batch.h"
#include "broker/log/producers_file.h"
#include "broker/log/scan.h"
#include "common/base/say.h"

static bool is_snapshot(const struct log_entry *entry)
{
    return strcmp(entry->ending, ".snapshot") == 0;
}

void log_drop_snapshots(struct log *log, int64_t below, int64_t above)
{
    struct log_entries entries;

    if (log_entries_list(log, &entries) == ERR_OK)
        for (size_t i = 0; i < entries.count; i++)
            if (is_snapshot(&entries.list[i]) &&
                (entries.list[i].offset < below || entries.list[i].offset > above))
                log_entry_remove(log, &entries.list[i]);
    log_entries_free(&entries);
}

static bool is_segment_base(const struct log *log, int64_t offset)
{
    return log->segments[log_floor_locked(log, offset)]->base_offset == offset;
}

void log_drop_stray_snapshots(struct log *log, int64_t above)
{
    struct log_entries entries;
    int64_t newest = -1;

    if (log_entries_list(log, &entries) == ERR_OK) {
        for (size_t i = 0; i < entries.count; i++)
            if (is_snapshot(&entries.list[i]) && entries.list[i].offset <= above)
                newest = entries.list[i].offset;
        for (size_t i = 0; i < entries.count; i++)
            if (is_snapshot(&entries.list[i]) &&
                (entries.list[i].offset > above || (entries.list[i].offset != newest &&
                                                    !is_segment_base(log, entries.list[i].offset))))
                log_entry_remove(log, &entries.list[i]);
    }
    log_entries_free(&entries);
}

/* Loads the newest good snapshot at or below upto; *from is its offset, or the start of the log. */
static enum err load_snapshot(struct log *log, int64_t upto, int64_t now_ms, struct producers *into,
                              int64_t *from)
{
    struct log_entries entries;
    enum err err = log_entries_list(log, &entries);
    struct log_conf conf;
    bool found = false;

    log_get_conf(log, &conf);
    for (size_t i = entries.count; i > 0 && err == ERR_OK && !found; i--) {
        const struct log_entry *entry = &entries.list[i - 1];

        if (!is_snapshot(entry) || entry->offset > upto)
            continue;
        char *path = log_file_path(log, entry->offset, entry->ending);

        producers_clear(into);
        err = producers_file_read(log->env->disk, path, into, now_ms, conf.producer_expiration_ms);
        free(path);
        if (err == ERR_OK) {
            found = true;
            *from = entry->offset;
        } else if (err == ERR_CORRUPT_FILE) {
            say_warn("damaged snapshot removed log=%s offset=%" PRId64, log->name, entry->offset);
            producers_clear(into);
            err = log_entry_remove(log, entry);
        }
    }
    log_entries_free(&entries);
    return err;
}

static enum err replay_segment(struct log *log, struct segment *segment, int64_t from, int64_t upto,
                               struct producers *into)
{
    struct index_entry entry;
    struct batch_info info;
    struct buf buf = BUF_EMPTY;
    struct scan scan;
    bool found;
    int64_t pos = 0;
    lock_take(&log->index_lock); /* nobody saves the index meanwhile */
    enum err err = index_find(&segment->offsets, from, &entry, &found);

    lock_drop(&log->index_lock);
    if (err == ERR_CORRUPT_FILE || err == ERR_NOT_FOUND)
        found = false;
    else if (err != ERR_OK)
        return err;
    err = segment_find(segment, found ? &entry : NULL, segment->size, from, &info, &pos);
    scan_init(&scan, segment->file, pos, segment->size);
    while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK) {
        struct producer_batch produced;
        struct producer_txn_end end;
        uint8_t head[BATCH_HEADER_BYTES] = { 0 };
        const uint8_t *batch = head;

        if (info.base_offset >= upto)
            break;
        err = log_went_through(log, (int64_t)info.size);
        if (err != ERR_OK)
            break;
        if (info.last_offset < from || info.producer_id < 0)
            continue;
        if (info.control) {
            err = scan_batch(segment->file, pos, info.size, &buf);
            batch = buf.bytes;
        }
        if (err == ERR_OK && producer_batch_read(batch, &info, &produced))
            producers_apply(into, &produced, &end);
    }
    buf_fini(&buf);
    if (err == ERR_CORRUPT_MESSAGE)
        say_error("log is damaged, what its producers did behind that is not known log=%s "
                  "segment=%" PRId64 " pos=%" PRId64,
                  log->name, segment->base_offset, scan.next);
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT_MESSAGE ? ERR_OK : err;
}

enum err log_rebuild_producers_from(struct log *log, int64_t upto_offset, int64_t newest_snapshot,
                                    int64_t now_ms, int64_t *known)
{
    struct producers *fresh = producers_new();
    int64_t from = 0;
    enum err err = load_snapshot(log, newest_snapshot, now_ms, fresh, &from);

    for (size_t i = 0; i < log->segment_count && err == ERR_OK && from < upto_offset; i++) {
        struct segment *segment = log->segments[i];
        int64_t next = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : INT64_MAX;

        if (next > from && segment->base_offset < upto_offset && segment->size > 0)
            err = replay_segment(log, segment, from, upto_offset, fresh);
    }
    *known = from > upto_offset ? from : upto_offset;
    lock_take(&log->producers_lock);
    struct producers *old = log->producers;

    log->producers = fresh;
    log->producers_upto = *known;
    log->recall_below = from;
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    producers_free(&old);
    return err;
}

enum err log_rebuild_producers(struct log *log, int64_t upto_offset, int64_t now_ms)
{
    int64_t known;

    return log_rebuild_producers_from(log, upto_offset, upto_offset, now_ms, &known);
}

static enum err write_snapshot(struct log *log, int64_t offset, const struct producers *producers)
{
    const char *dir;
    enum err err;

    do {
        dir = log->path;
        char *path = log_file_path(log, offset, ".snapshot");

        err = producers_file_write(log->env->disk, path, producers, false);
        free(path);
    } while (err == ERR_NOT_FOUND && log_was_renamed(log, dir));
    log_names_changed(log);
    return err;
}

/* Appends go on meanwhile: the offset is read before the producers, and theirs may be later. So may
 * a truncation, which removes the snapshots above it: one that appears behind that tells of records
 * that are no more, and once others are in their place recovery would begin with it. */
enum err log_snapshot_now(struct log *log)
{
    uint32_t truncations = atomic_load(&log->truncations); /* before all that it may change */
    int64_t offset = log_leo(log);
    int64_t old = log->stray_snapshot;

    lock_take(&log->producers_lock);
    struct producers *copy = producers_copy(log->producers);

    if (log->producers_upto > offset)
        offset = log->producers_upto;
    lock_drop(&log->producers_lock);
    enum err err = ERR_OK;

    if (offset > old)
        err = write_snapshot(log, offset, copy);
    producers_free(&copy);
    if (err != ERR_OK || offset <= old)
        return err;
    if ((truncations & 1) != 0 || atomic_load(&log->truncations) != truncations)
        return log_entry_remove(log,
                                &(struct log_entry){ .offset = offset, .ending = ".snapshot" });
    log->stray_snapshot = offset;
    lock_take(&log->lock);
    bool is_base = old < 0 || log->segments[log_floor_locked(log, old)]->base_offset == old;

    lock_drop(&log->lock);
    if (!is_base)
        log_entry_remove(log, &(struct log_entry){ .offset = old, .ending = ".snapshot" });
    return ERR_OK;
}
