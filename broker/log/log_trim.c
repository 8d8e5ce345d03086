/*
 * Where a log loses records: truncation at its end, retention at its start; and where it becomes
 * durable.
 *
 * A truncation counts itself twice, before and after: a reader or a queued range that holds an even
 * count which is still the count has met none.
 *
 * Segments that go are renamed to .deleted at once, so that the next start does not load them, and
 * their files are removed later: a reader may still be sending them. Even a name takes room, the
 * longer one a new block of the directory: when there is none the files are removed in the place of
 * being renamed, which needs none and makes some.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log.h"
#include "broker/log/log_int.h"
#include "broker/log/log_recover.h"
#include "broker/log/retain.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define PAGE_BYTES      4096
#define WRITE_OUT_BYTES (256 << 10)

/* --- removing segments -------------------------------------------------------------------------
 */

static void remove_file(struct log *log, const char *path, bool at_once)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    /* Nobody reads a future log, and later its files would not be where they are now. */
    if (!at_once && !log_is_future(log) && log->env->remove_later != NULL)
        log->env->remove_later(log->env, path, conf.file_delete_delay_ms);
    else
        disk_unlink(log->env->disk, path);
}

static void remove_files(struct log *log, const struct segment *segment, bool at_once)
{
    for (int i = 0; i < SEGMENT_FILES; i++) {
        char *path = xasprintf("%s%s.deleted", segment->stem, segment_endings[i]);

        remove_file(log, path, at_once);
        free(path);
    }
    log_names_changed(log);
}

void log_remove_segment_files(struct log *log, const struct segment *segment)
{
    remove_files(log, segment, false);
}

/* Out of the sight of the next start. A removal that finds no room is as bad as any error: the
 * segment would come back. */
static enum err put_away(struct log *log, struct segment *segment)
{
    enum err err = segment_rename(segment, "", ".deleted");

    if (err == ERR_NO_SPACE)
        err = segment_remove(segment);
    log_entries_forget(log);
    return err == ERR_NO_SPACE ? ERR_IO : err;
}

/* After it was put away. */
static void forget_segment(struct log *log, struct segment **segment, bool at_once)
{
    remove_files(log, *segment, at_once);
    segment_unref(segment);
}

enum err log_drop_segment(struct log *log, struct segment **segment, bool at_once)
{
    enum err err = put_away(log, *segment);

    forget_segment(log, segment, at_once);
    return err;
}

/* Takes segments [from, to) out of the list; *taken is malloc'ed. */
static void take_out(struct log *log, size_t from, size_t to, struct segment ***taken)
{
    size_t n = to - from;

    *taken = xmalloc((n > 0 ? n : 1) * sizeof **taken);
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    memcpy(*taken, log->segments + from, n * sizeof **taken);
    memmove(log->segments + from, log->segments + to,
            (log->segment_count - to) * sizeof *log->segments);
    log->segment_count -= n;
    if (to == log->segment_count + n)
        log_forget_tail_locked(log);
    lock_drop(&log->lock);
    lock_drop(&log->index_lock);
}

/* Drops the last segments, of which there are count; the newest first: a crash leaves no hole. Gone
 * for good when it returns, for their names may be wanted again. */
static enum err drop_last(struct log *log, size_t count)
{
    struct segment **gone;
    enum err err = ERR_OK;

    if (count == 0)
        return ERR_OK;
    take_out(log, log->segment_count - count, log->segment_count, &gone);
    for (size_t i = count; i > 0; i--) {
        enum err dropped = log_drop_segment(log, &gone[i - 1], true);

        err = err == ERR_OK ? dropped : err;
    }
    free(gone);
    return err == ERR_OK ? disk_sync_dir(log->env->disk, log->path) : err;
}

/* The last segment, which was closed, is appended to once more, by another struct. Who has the old
 * one goes on taking it for closed: a flush reads it under no lock, and a swap must not put in what
 * was made of it before. */
static void renew_active(struct log *log)
{
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    struct segment *old = log_active(log);

    log->segments[log->segment_count - 1] = segment_copy(old);
    lock_drop(&log->lock);
    lock_drop(&log->index_lock);
    segment_unref(&old);
}

enum err log_undo_roll(struct log *log)
{
    lock_take(&log->swap_lock);
    assert(log->segment_count > 1 && log_active(log)->size == 0);
    log_drop_snapshots(log, INT64_MIN, log_leo(log));
    /* Gone before anything is appended that its name would stand in the middle of. */
    enum err err = drop_last(log, 1);

    renew_active(log);
    lock_drop(&log->swap_lock);
    return log_failed(log, err == ERR_NO_SPACE ? ERR_IO : err, "drop an empty segment");
}

/* --- truncation --------------------------------------------------------------------------------
 */

static void begin_truncation(struct log *log)
{
    uint32_t count = atomic_fetch_add(&log->truncations, 1);

    assert((count & 1) == 0); /* the append lock is held: one at a time */
    atomic_store(&log->is_touched, true);
}

static void end_truncation(struct log *log)
{
    atomic_fetch_add(&log->truncations, 1);
}

static void lower(_Atomic int64_t *value, int64_t to)
{
    if (atomic_load(value) > to)
        atomic_store(value, to);
}

/* What the recovery-point file says must not be above what is synced: a segment that is filled and
 * rolled after the truncation would be trusted unread. */
static enum err lower_saved_point(struct log *log)
{
    return log->env->lower_recovery_point == NULL ? ERR_OK
                                                  : log->env->lower_recovery_point(log->env, log);
}

/* One new, empty segment in the place of all; the old ones were renamed before, since the new one
 * may have the name of one of them. *old is malloc'ed. */
static size_t swap_all(struct log *log, struct segment *segment, struct segment ***old)
{
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    size_t count = log->segment_count;

    *old = xmemdup(log->segments, count * sizeof **old);
    log->segments[0] = segment;
    log->segment_count = 1;
    log_forget_tail_locked(log);
    epochs_clear(&log->epochs);
    lock_drop(&log->lock);
    lock_drop(&log->index_lock);
    return count;
}

/* With the names of those that were put away. */
static enum err create_synced(struct log *log, struct segment *segment, const struct log_conf *conf)
{
    enum err err = segment_create(segment, conf);

    return err == ERR_OK ? disk_sync_dir(log->env->disk, log->path) : err;
}

static enum err start_over_locked(struct log *log, int64_t offset)
{
    struct segment **old;
    struct log_conf conf;
    enum err err = ERR_OK;

    lock_assert_held(&log->swap_lock);
    say_info("starting over log=%s at=%" PRId64, log->name, offset);
    log_get_conf(log, &conf);
    begin_truncation(log);
    for (size_t i = log->segment_count; i > 0 && err == ERR_OK; i--)
        err = put_away(log, log->segments[i - 1]);
    struct segment *segment = log_new_segment(log, offset, 0);

    if (err == ERR_OK)
        err = create_synced(log, segment, &conf);
    size_t count = swap_all(log, segment, &old);

    for (size_t i = 0; i < count; i++)
        forget_segment(log, &old[i], true);
    free(old);
    if (err == ERR_NO_SPACE) /* what went has made some */
        err = create_synced(log, segment, &conf);
    if (err == ERR_NO_SPACE)
        err = ERR_IO; /* there is nothing to append to */
    log_drop_snapshots(log, INT64_MAX, INT64_MAX);
    lock_take(&log->producers_lock);
    producers_clear(log->producers);
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    atomic_store(&log->epochs_dirty, true);
    lower(&log->recovery_point, offset);
    lower(&log->cleaned_upto, offset);
    atomic_store_explicit(&log->start, offset, memory_order_release);
    atomic_store_explicit(&log->leo, offset, memory_order_release);
    end_truncation(log);
    if (err == ERR_OK)
        err = log_save_epochs(log);
    if (err == ERR_NO_SPACE) /* they are written before a recovery point moves */
        err = ERR_OK;
    if (err == ERR_OK)
        err = lower_saved_point(log);
    return log_failed(log, err == ERR_NO_SPACE ? ERR_IO : err, "start over");
}

enum err log_truncate_fully_and_start_at(struct log *log, int64_t offset)
{
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    lock_take(&log->swap_lock);
    enum err err = start_over_locked(log, offset);

    lock_drop(&log->swap_lock);
    return err;
}

static enum err truncate_locked(struct log *log, int64_t offset)
{
    int64_t leo = log_leo(log);

    lock_assert_held(&log->swap_lock);
    if (offset >= leo) {
        lock_take(&log->lock);
        if (epochs_truncate_from_end(&log->epochs, leo))
            atomic_store(&log->epochs_dirty, true);
        lock_drop(&log->lock);
        return ERR_OK;
    }
    if (offset < log->segments[0]->base_offset)
        return start_over_locked(log, offset);
    say_info("truncating log=%s from=%" PRId64 " to=%" PRId64, log->name, leo, offset);
    begin_truncation(log);
    lower(&log->recovery_point, offset);
    lock_take(&log->lock);
    size_t keep = log_floor_locked(log, offset) + 1;

    lock_drop(&log->lock);
    /* What came after must be gone before anything is appended in its place. */
    enum err err = drop_last(log, log->segment_count - keep);

    lock_take(&log->lock);
    log_forget_tail_locked(log);
    lock_drop(&log->lock);
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    struct segment *old = log_active(log);
    struct segment *cut = segment_copy(old); /* the short lock is not held, and readers look on */

    lock_drop(&log->lock);
    if (err == ERR_OK)
        err = segment_truncate(cut, offset, &leo);
    lock_take(&log->lock);
    log->segments[keep - 1] = cut;
    lock_drop(&log->lock);
    lock_drop(&log->index_lock);
    segment_unref(&old);

    if (err == ERR_OK) {
        atomic_store_explicit(&log->leo, leo, memory_order_release);
        lock_take(&log->lock);
        epochs_truncate_from_end(&log->epochs, leo);
        lock_drop(&log->lock);
        atomic_store(&log->epochs_dirty, true);
        lower(&log->recovery_point, leo);
        lower(&log->cleaned_upto, leo);
        lower(&log->start, leo);
        log_drop_snapshots(log, INT64_MIN, leo);
        err = log_rebuild_producers(log, leo, 0);
    }
    end_truncation(log);
    if (err == ERR_OK)
        err = lower_saved_point(log);
    return log_failed(log, err == ERR_NO_SPACE ? ERR_IO : err, "truncate");
}

enum err log_truncate_to(struct log *log, int64_t offset)
{
    assert(offset >= 0);
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    lock_take(&log->swap_lock);
    enum err err = truncate_locked(log, offset);

    lock_drop(&log->swap_lock);
    return err;
}

/* --- the start -----------------------------------------------------------------------------------
 */

bool log_advance_start(struct log *log, int64_t offset)
{
    lock_take(&log->lock);
    bool moves = offset > atomic_load(&log->start) && offset <= log_leo(log);

    if (moves) {
        atomic_store_explicit(&log->start, offset, memory_order_release);
        if (epochs_truncate_from_start(&log->epochs, offset))
            atomic_store(&log->epochs_dirty, true);
        atomic_store(&log->is_touched, true);
    }
    lock_drop(&log->lock);
    if (!moves)
        return false;
    lock_take(&log->producers_lock);
    producers_on_start(log->producers, offset);
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    return true;
}

/* Of a segment whose records have no time, its file's is what counts, and that moves with every
 * append. */
static int64_t largest_timestamp(const struct segment *segment)
{
    struct disk_stat st;

    if (segment->max_timestamp < 0 && segment_stat(segment, &st) == ERR_OK)
        return st.mtime_ms;
    return segment_largest_timestamp(segment);
}

/* Whether the first segments are as old as the last entries of their time indexes say. Those of an
 * earlier run may have rotted; one that does not fit its batch is built anew by the next round. */
static bool are_times_right(struct log *log, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = log->segments[i];
        int64_t offset = segment->max_timestamp_offset;
        struct index_entry entry;
        struct batch_info info;
        bool found = false;
        int64_t pos;

        if (segment->verified.foreign == 0 || segment->max_timestamp < 0)
            continue;
        lock_take(&log->index_lock); /* nobody saves the index meanwhile */
        enum err err = index_find(&segment->offsets, offset, &entry, &found);

        lock_drop(&log->index_lock);
        if (err == ERR_OK)
            err = segment_find(segment, found ? &entry : NULL, segment->size, offset, &info, &pos);
        if (err == ERR_IO)
            return false;
        if (err == ERR_OK && info.max_timestamp == segment->max_timestamp)
            continue;
        atomic_store(&segment->index_damaged, true);
        return false;
    }
    return true;
}

static size_t retain_locked(struct log *log, int64_t high_watermark, int64_t now_ms)
{
    struct segment **gone;
    struct log_conf conf;

    lock_assert_held(&log->swap_lock);
    enum err err = log_mend(log);

    if (err != ERR_OK) {
        log_failed(log, err, "build index anew");
        return 0;
    }
    log_get_conf(log, &conf);
    struct retain_rules rules = {
        .high_watermark = high_watermark,
        .log_start = log_start_offset(log),
        .leo = log_leo(log),
        .now_ms = now_ms,
        .retention_ms = conf.cleanup_delete ? conf.retention_ms : -1,
        .retention_bytes = conf.cleanup_delete ? conf.retention_bytes : -1,
    };
    size_t count = log->segment_count;
    struct retain_segment *facts = xmalloc(count * sizeof *facts);

    for (size_t i = 0; i < count; i++)
        facts[i] = (struct retain_segment){
            .base_offset = log->segments[i]->base_offset,
            .size = log->segments[i]->size,
            .largest_timestamp = largest_timestamp(log->segments[i]),
        };
    size_t drop = retain_count(&rules, facts, count);

    free(facts);
    if (drop == 0 || !are_times_right(log, drop))
        return 0;
    if (drop == count) {
        if (log_roll_to(log, log_leo(log), now_ms) != ERR_OK)
            return 0;
    }
    int64_t start = log->segments[drop]->base_offset;

    log_advance_start(log, start);
    take_out(log, 0, drop, &gone);
    for (size_t i = 0; i < drop; i++) {
        err = log_drop_segment(log, &gone[i], false);
        if (err != ERR_OK)
            log_failed(log, err, "drop segment");
    }
    free(gone);
    log_drop_snapshots(log, start, INT64_MAX);
    say_info("deleted old segments log=%s segments=%zu start=%" PRId64, log->name, drop, start);
    return drop;
}

size_t log_retain(struct log *log, int64_t high_watermark, int64_t now_ms)
{
    /* A compaction under way would be for nothing. */
    if (log_is_offline(log) || atomic_load(&log->is_cleaning))
        return 0;
    lock_take(&log->swap_lock);
    size_t drop = retain_locked(log, high_watermark, now_ms);

    lock_drop(&log->swap_lock);
    return drop;
}

/* --- durability ----------------------------------------------------------------------------------
 */

struct flush {
    struct segment **segments;
    size_t count;
    int64_t bytes; /* appended by then, or fewer */
    int64_t leo;
    uint32_t truncations;
    bool last_has_aborts; /* the last one, which is being appended to, had a .txnindex by then */
};

static void flush_view(struct log *log, struct flush *flush)
{
    lock_take(&log->lock);
    flush->bytes = atomic_load(&log->appended_bytes); /* before leo, which may have moved on */
    flush->leo = log_leo(log);
    flush->truncations = atomic_load(&log->truncations);
    size_t from = log_floor_locked(log, log_recovery_point(log));

    flush->count = log->segment_count - from;
    flush->segments = xmalloc(flush->count * sizeof *flush->segments);
    for (size_t i = 0; i < flush->count; i++)
        flush->segments[i] = segment_ref(log->segments[from + i]);
    flush->last_has_aborts = log_active(log)->txn_count > 0;
    lock_drop(&log->lock);
}

/* Opens it wherever the log is just being renamed to; the stem is read under the lock, for the one
 * that a renamed log had is freed. */
static enum err open_snapshot(struct log *log, const struct segment *segment, int *fd)
{
    const char *dir;
    enum err err;

    do {
        lock_take(&log->lock);
        dir = log->path;
        char *path = xasprintf("%s.snapshot", segment->stem);

        lock_drop(&log->lock);
        err = disk_open(log->env->disk, path, DISK_WRITE, fd);
        free(path);
    } while (err == ERR_NOT_FOUND && log->path != dir);
    return err;
}

static enum err sync_snapshot(struct log *log, const struct segment *segment)
{
    int fd;
    enum err err = open_snapshot(log, segment, &fd);

    if (err != ERR_OK)
        return err == ERR_NOT_FOUND ? ERR_OK : err;
    err = disk_sync_data(log->env->disk, fd);
    disk_close(log->env->disk, fd);
    return err;
}

/* Here and below: what is not found may lie under the name that the log has meanwhile. */
static enum err sync_segment(struct log *log, const struct flush *flush, size_t at)
{
    struct segment *segment = flush->segments[at];
    bool is_active = at + 1 == flush->count;
    const char *dir;
    enum err err;

    do {
        dir = log->path;
        err = is_active ? file_sync(segment->file) : segment_sync(segment);
        if (err == ERR_OK && is_active && flush->last_has_aborts)
            err = file_sync(segment->txn_file);
    } while (err == ERR_NOT_FOUND && log_was_renamed(log, dir));
    return err == ERR_OK ? sync_snapshot(log, segment) : err;
}

static enum err save_indexes(struct log *log)
{
    const char *dir;
    enum err err;

    do {
        dir = log->path;
        err = log_save_indexes(log);
    } while (err == ERR_NOT_FOUND && log_was_renamed(log, dir));
    return err;
}

/* Who comes while another syncs them does so as well: only what has been synced may be taken for
 * it. */
static enum err sync_names(struct log *log)
{
    uint32_t names = atomic_load(&log->names);
    const char *dir;
    enum err err;

    if (names == atomic_load(&log->names_synced))
        return ERR_OK;
    do {
        dir = log->path;
        err = disk_sync_dir(log->env->disk, dir);
    } while (err == ERR_NOT_FOUND && log_was_renamed(log, dir));
    if (err == ERR_OK)
        atomic_store(&log->names_synced, names);
    return err;
}

/* A segment that was taken out meanwhile may have lost its files already: nothing is left to sync.
 */
static bool is_taken_out(struct log *log, const struct segment *segment)
{
    bool found = false;

    lock_take(&log->lock);
    for (size_t i = 0; i < log->segment_count && !found; i++)
        found = log->segments[i] == segment;
    lock_drop(&log->lock);
    return !found;
}

enum err log_flush(struct log *log)
{
    struct flush flush;
    enum err err = ERR_OK;

    if (log_is_offline(log) || atomic_load(&log->is_deleted))
        return ERR_KAFKA_STORAGE_ERROR;
    if (log_recovery_point(log) >= log_leo(log))
        return ERR_OK;
    int64_t began_us = clock_mono_us();

    flush_view(log, &flush);
    err = save_indexes(log);
    if (err == ERR_NO_SPACE)
        err = ERR_OK; /* recovery can do without */

    for (size_t i = 0; i < flush.count; i++) {
        if (err == ERR_OK)
            err = sync_segment(log, &flush, i);
        if (err == ERR_NOT_FOUND && is_taken_out(log, flush.segments[i]))
            err = ERR_OK;
        segment_unref(&flush.segments[i]);
    }
    free(flush.segments);
    STAT_TIME(log_flush, clock_mono_us() - began_us);
    if (err == ERR_OK)
        err = sync_names(log);
    if (err != ERR_OK)
        return log_failed(log, err == ERR_NO_SPACE ? ERR_IO : err, "flush");
    lock_take(&log->lock);
    if (atomic_load(&log->truncations) == flush.truncations && (flush.truncations & 1) == 0 &&
        flush.leo > atomic_load(&log->recovery_point)) {
        atomic_store_explicit(&log->recovery_point, flush.leo, memory_order_release);
        if (flush.bytes > atomic_load(&log->flushed_bytes))
            atomic_store(&log->flushed_bytes, flush.bytes);
    }
    lock_drop(&log->lock);
    return ERR_OK;
}

enum err log_flush_far(struct log *log)
{
    if (log_is_offline(log) || atomic_load(&log->is_deleted))
        return ERR_KAFKA_STORAGE_ERROR;
    enum err err = log_snapshot_now(log);

    /* A full disk takes no snapshot; it would save a start some work, no more. */
    if (err != ERR_OK && err != ERR_NO_SPACE)
        return log_failed(log, err, "write snapshot");
    return log_flush(log);
}

void log_flush_if_due(struct log *log, int64_t now_ms)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    if (conf.flush_ms == INT64_MAX)
        return;
    int64_t last = atomic_load(&log->last_flush_ms);

    if (last != 0 && now_ms - last < conf.flush_ms)
        return;
    atomic_store(&log->last_flush_ms, now_ms);
    enum err err = log_flush(log);

    (void)err; /* said where it happened; the directory is offline then */
}

/* A page that is half full would be written again, and a few pages are nothing that a sync would
 * have to wait for. */
static int64_t write_out_upto(const struct segment *segment)
{
    int64_t upto = segment->size - segment->size % PAGE_BYTES;

    return upto - segment->written_out >= WRITE_OUT_BYTES ? upto : segment->written_out;
}

bool log_wants_write_out_locked(const struct log *log)
{
    const struct segment *active = log_active(log);

    lock_assert_held(&log->lock);
    return write_out_upto(active) > active->written_out;
}

void log_write_out(struct log *log)
{
    int fd;

    if (log_is_offline(log))
        return;
    lock_take(&log->lock);
    struct segment *segment = segment_ref(log_active(log));
    int64_t from = segment->written_out;
    int64_t upto = write_out_upto(segment);

    segment->written_out = upto;
    lock_drop(&log->lock);
    if (upto > from && file_pin(segment->file, &fd) == ERR_OK) {
        disk_write_out(log->env->disk, fd, from, upto - from);
        file_unpin(segment->file);
    }
    segment_unref(&segment);
}
