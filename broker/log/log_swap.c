/*
 * A swap is Kafka's: the new files are complete and synced as .cleaned; they become .swap; the old
 * ones become .deleted, oldest first; .swap is taken off. What the next start finds is undone as
 * long as there is a .cleaned and finished from the first .swap on (log_load.c).
 *
 * Beyond Kafka the directory is synced before the old files are touched: a file system that makes
 * renames durable out of order must not lose both.
 *
 * Whoever changes the list of segments or renames its files, an append's new segment apart, holds
 * the swap lock. So a swap sees the files as the list has them. Only the exchange in the list is
 * done under the lock that readers and appends take.
 */
#include "broker/log/log_swap.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define CLEANED ".cleaned"
#define SWAP    ".swap"

/* --- closed segments -----------------------------------------------------------------------------
 */

void log_closed_get(struct log *log, struct log_closed *out)
{
    lock_take(&log->lock);
    out->count = log->segment_count - 1;
    out->segments = xmalloc((out->count > 0 ? out->count : 1) * sizeof *out->segments);
    for (size_t i = 0; i < out->count; i++)
        out->segments[i] = segment_ref(log->segments[i]);
    out->active_base = log_active(log)->base_offset;
    out->start = log_start_offset(log);
    out->leo = log_leo(log);
    out->truncations = atomic_load(&log->truncations);
    lock_drop(&log->lock);
}

void log_closed_done(struct log_closed *closed)
{
    for (size_t i = 0; i < closed->count; i++)
        segment_unref(&closed->segments[i]);
    free(closed->segments);
    *closed = (struct log_closed){ 0 };
}

bool log_was_cut(const struct log *log, const struct log_closed *closed)
{
    return atomic_load(&log->truncations) != closed->truncations;
}

enum err log_closed_mtime(struct log *log, const struct segment *segment, int64_t *mtime_ms)
{
    struct disk_stat st = { 0 };

    lock_take(&log->swap_lock); /* or the name may change under us */
    enum err err = segment_stat(segment, &st);

    lock_drop(&log->swap_lock);
    *mtime_ms = st.mtime_ms;
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

/* --- the new segment -----------------------------------------------------------------------------
 */

static void remove_files(struct log *log, const struct segment *segment, const char *ending)
{
    for (int i = 0; i < SEGMENT_FILES; i++) {
        char *path = xasprintf("%s%s%s", segment->stem, segment_endings[i], ending);

        disk_unlink(log->env->disk, path);
        free(path);
    }
}

enum err log_cleaned_new(struct log *log, int64_t base_offset, struct segment **out)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    lock_take(&log->swap_lock);
    struct segment *segment = segment_new(log->env->files, log->path, base_offset, &conf, 0, 0);

    lock_drop(&log->swap_lock);
    segment_name_files(segment, CLEANED);
    remove_files(log, segment, CLEANED);
    enum err err = file_make(segment->file);

    if (err != ERR_OK)
        segment_unref(&segment);
    *out = segment;
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

void log_cleaned_drop(struct log *log, struct segment **cleaned)
{
    if (*cleaned != NULL)
        remove_files(log, *cleaned, CLEANED);
    segment_unref(cleaned);
}

/* Complete and on stable storage, still .cleaned. Takes its time; nobody is kept waiting. */
static enum err finish_cleaned(struct log *log, struct segment *cleaned, int64_t mtime_ms)
{
    char *path = xasprintf("%s%s" CLEANED, cleaned->stem, segment_endings[SEGMENT_LOG]);

    segment_close_times(cleaned);
    enum err err = segment_save(cleaned);

    if (err == ERR_OK) {
        segment_saved(cleaned);
        err = segment_sync(cleaned);
    }
    if (err == ERR_OK)
        err = disk_set_mtime(log->env->disk, path, mtime_ms);
    cleaned->mtime_ms = mtime_ms;
    free(path);
    return err;
}

/* --- the swap ------------------------------------------------------------------------------------
 */

/* Index of the first old segment, when all of them stand in the list one after the other and the
 * active one is not among them; else -1. */
static ptrdiff_t place_locked(const struct log *log, struct segment *const *old, size_t count)
{
    size_t at = log_floor_locked(log, old[0]->base_offset);

    if (at + count >= log->segment_count)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (log->segments[at + i] != old[i])
            return -1;
    return (ptrdiff_t)at;
}

static bool has_place(struct log *log, struct segment *const *old, size_t count)
{
    lock_take(&log->lock);
    bool found = place_locked(log, old, count) >= 0;

    lock_drop(&log->lock);
    return found && !log_is_gone(log);
}

static enum err rename_all(struct log *log, struct segment *cleaned, struct segment *const *old,
                           size_t count)
{
    enum err err = disk_sync_dir(log->env->disk, log->path);

    for (size_t i = 0; i < count && err == ERR_OK; i++)
        err = segment_rename(old[i], "", ".deleted");
    if (err == ERR_OK)
        err = segment_rename(cleaned, SWAP, "");
    return err;
}

static void exchange(struct log *log, struct segment *cleaned, struct segment *const *old,
                     size_t count)
{
    lock_take(&log->lock);
    ptrdiff_t at = place_locked(log, old, count);

    assert(at >= 0); /* the swap lock is held */
    struct segment **place = log->segments + at;

    place[0] = cleaned;
    memmove(place + 1, place + count,
            (log->segment_count - (size_t)at - count) * sizeof *log->segments);
    log->segment_count -= count - 1;
    atomic_fetch_add(&log->swaps, 1);
    lock_drop(&log->lock);
    for (size_t i = 0; i < count; i++) { /* the list's references */
        struct segment *gone = old[i];

        segment_unref(&gone);
    }
}

static void remove_old(struct log *log, struct segment *const *old, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        log_remove_segment_files(log, old[i]);
        if (i == 0)
            continue;
        char *path = log_file_path(log, old[i]->base_offset, ".snapshot");

        disk_unlink(log->env->disk, path); /* it belongs to the base of a segment */
        free(path);
    }
}

static enum err swap_locked(struct log *log, struct segment **cleaned, struct segment *const *old,
                            size_t count)
{
    lock_assert_held(&log->swap_lock);
    if (!has_place(log, old, count))
        return ERR_CLOSED;
    enum err err = segment_rename(*cleaned, CLEANED, SWAP);

    if (err != ERR_OK) {
        remove_files(log, *cleaned, SWAP);
        return err;
    }
    err = rename_all(log, *cleaned, old, count);
    if (err != ERR_OK)
        return err == ERR_NO_SPACE ? ERR_IO : err; /* half way: the next start finishes it */
    atomic_store(&log->is_touched, true);
    exchange(log, *cleaned, old, count);
    *cleaned = NULL;
    err = disk_sync_dir(log->env->disk, log->path);
    if (err != ERR_OK)
        return err == ERR_NO_SPACE ? ERR_IO : err;
    remove_old(log, old, count);
    return ERR_OK;
}

enum err log_swap(struct log *log, struct segment **cleaned, struct segment *const *old,
                  size_t old_count)
{
    assert(old_count > 0);
    assert((*cleaned)->base_offset == old[0]->base_offset);
    int64_t mtime_ms;
    enum err err = has_place(log, old, old_count)
                       ? log_closed_mtime(log, old[old_count - 1], &mtime_ms)
                       : ERR_CLOSED;

    if (err == ERR_OK)
        err = finish_cleaned(log, *cleaned, mtime_ms);
    if (err == ERR_OK) {
        lock_take(&log->swap_lock);
        err = swap_locked(log, cleaned, old, old_count);
        lock_drop(&log->swap_lock);
    }
    if (*cleaned != NULL)
        log_cleaned_drop(log, cleaned);
    if (err == ERR_NOT_FOUND)
        err = log_is_gone(log) ? ERR_CLOSED : ERR_IO;
    return err == ERR_CLOSED ? err : log_failed(log, err, "swap in a compacted segment");
}

/* --- state ---------------------------------------------------------------------------------------
 */

bool log_clean_begin(struct log *log)
{
    bool idle = false;

    return atomic_compare_exchange_strong(&log->is_cleaning, &idle, true);
}

void log_clean_end(struct log *log)
{
    atomic_store(&log->is_cleaning, false);
}

bool log_is_gone(const struct log *log)
{
    return atomic_load(&log->is_deleted) || log_is_offline(log);
}

int64_t log_cleaned_upto(const struct log *log)
{
    return atomic_load(&log->cleaned_upto);
}

void log_set_cleaned_upto(struct log *log, int64_t offset)
{
    atomic_store(&log->cleaned_upto, offset);
}

void log_note_cleaned(struct log *log, const struct log_closed *closed, int64_t offset)
{
    lock_take(&log->swap_lock); /* no truncation is under way */
    if (atomic_load(&log->truncations) == closed->truncations)
        atomic_store(&log->cleaned_upto, offset);
    lock_drop(&log->swap_lock);
}

int64_t log_clean_after(const struct log *log)
{
    return atomic_load(&log->clean_after_ms);
}

void log_set_clean_after(struct log *log, int64_t at_ms)
{
    atomic_store(&log->clean_after_ms, at_ms);
}

bool log_is_uncleanable(const struct log *log)
{
    return atomic_load(&log->is_uncleanable);
}

void log_set_uncleanable(struct log *log)
{
    atomic_store(&log->is_uncleanable, true);
}
