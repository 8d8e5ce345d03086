/*
 * Opening a log, in this order:
 *
 *   1  leftovers of an interrupted compaction or deletion: .deleted and .cleaned go, complete .swap
 *      files take the place of what they were made from
 *   2  segments by name; an index without its .log goes
 *   3  what a crash or damage has left of them is put right (log_recover)
 *   4  the start and the end against the checkpoints, the epochs against both
 *   5  the producers, when recovery has not found them: newest snapshot, and the batches behind it
 */
#include "broker/log/log_load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_entries.h"
#include "broker/log/log_int.h"
#include "broker/log/log_recover.h"
#include "broker/log/scan.h"
#include "broker/tables/stats.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/str.h"

/* --- leftovers -----------------------------------------------------------------------------------
 */

/* Offset after the last record of a segment under its .swap name. */
static enum err swap_end(struct log *log, int64_t base, int64_t *end)
{
    char *path = log_file_path(log, base, ".log.swap");
    struct file *file = file_new(log->env->files, path);
    struct disk_stat st;
    struct scan scan;
    struct batch_info info;
    int64_t pos;
    enum err err = disk_stat(log->env->disk, path, &st);

    *end = base;
    scan_init(&scan, file, 0, err == ERR_OK ? st.size : 0);
    while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK)
        *end = info.last_offset + 1;
    file_unref(&file);
    free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Deleted and half-written files go. *swaps: complete ones are left; their span is [*from, *upto).
 */
static enum err sweep(struct log *log, const struct log_entries *entries, bool *swaps,
                      int64_t *from, int64_t *upto)
{
    int64_t cleaned = INT64_MAX;
    enum err err = ERR_OK;

    *swaps = false;
    *from = INT64_MAX;
    *upto = INT64_MIN;
    for (size_t i = 0; i < entries->count; i++)
        if (log_entry_ends_in(&entries->list[i], ".cleaned") && entries->list[i].offset < cleaned)
            cleaned = entries->list[i].offset;
    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct log_entry *entry = &entries->list[i];
        bool is_swap = log_entry_ends_in(entry, ".swap");
        int64_t end;

        if (log_entry_ends_in(entry, ".deleted") || log_entry_ends_in(entry, ".cleaned") ||
            (is_swap && entry->offset >= cleaned)) {
            err = log_entry_remove(log, entry);
            continue;
        }
        if (!is_swap)
            continue;
        *swaps = true;
        if (strcmp(entry->ending, ".log.swap") != 0)
            continue;
        err = swap_end(log, entry->offset, &end);
        if (end == entry->offset) /* nothing stayed: the old files of that name go all the same */
            end++;
        *from = entry->offset < *from ? entry->offset : *from;
        *upto = end > *upto ? end : *upto;
    }
    return err;
}

static enum err finish_swaps(struct log *log, const struct log_entries *entries, int64_t from,
                             int64_t upto)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct log_entry *entry = &entries->list[i];

        if (log_entry_is_plain(entry) && entry->offset >= from && entry->offset < upto)
            err = log_entry_remove(log, entry);
    }
    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct log_entry *entry = &entries->list[i];
        char plain[sizeof entry->ending];

        if (!log_entry_ends_in(entry, ".swap"))
            continue;
        snprintf(plain, sizeof plain, "%.*s", (int)(strlen(entry->ending) - strlen(".swap")),
                 entry->ending);
        char *old_path = log_file_path(log, entry->offset, entry->ending);
        char *new_path = log_file_path(log, entry->offset, plain);

        err = disk_rename(log->env->disk, old_path, new_path);
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
        free(old_path);
        free(new_path);
    }
    log_entries_forget(log);
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->path);
    return err;
}

static enum err clear_leftovers(struct log *log)
{
    struct log_entries entries;
    bool swaps;
    int64_t from;
    int64_t upto;
    enum err err = log_entries_list(log, &entries);

    if (err == ERR_OK)
        err = sweep(log, &entries, &swaps, &from, &upto);
    if (err == ERR_OK && swaps)
        err = finish_swaps(log, &entries, from, upto);
    log_entries_free(&entries);
    return err;
}

/* --- segments ------------------------------------------------------------------------------------
 */

static enum err load_segments(struct log *log, const struct log_load *load)
{
    struct log_entries entries;
    int64_t log_base = -1;
    enum err err = log_entries_list(log, &entries);

    /* By offset, then by ending: .index, .log, .snapshot, .timeindex, .txnindex. */
    for (size_t i = 0; i < entries.count && err == ERR_OK; i++) {
        if (strcmp(entries.list[i].ending, ".log") != 0)
            continue;
        struct segment *segment = log_new_segment(log, entries.list[i].offset, load->now_ms);

        err = segment_load(segment);
        if (err == ERR_OK)
            log_add_segment_locked(log, segment);
        else
            segment_unref(&segment);
    }
    for (size_t i = 0; i < entries.count && err == ERR_OK; i++) {
        const struct log_entry *entry = &entries.list[i];

        if (!log_entry_is_plain(entry))
            continue;
        bool has_log = false;

        for (size_t j = i; j < entries.count && entries.list[j].offset == entry->offset; j++)
            has_log |= strcmp(entries.list[j].ending, ".log") == 0;
        has_log |= log_base == entry->offset;
        if (has_log)
            log_base = entry->offset;
        else
            err = log_entry_remove(log, entry);
    }
    log_entries_free(&entries);
    return err;
}

/* --- open ----------------------------------------------------------------------------------------
 */

static struct log *new_log(struct log_env *env, const char *name, const char *topic,
                           int32_t partition, const struct log_conf *conf)
{
    struct log *log = xcalloc(1, sizeof *log);

    atomic_init(&log->refs, 1);
    log->env = env;
    log->topic = xstrdup(topic);
    log->partition = partition;
    log->name = xstrdup(name);
    log->path = xasprintf("%s/%s", env->dir, name);
    log->conf = *conf;
    lock_init(&log->swap_lock, LOCK_LOG_SWAP);
    lock_init(&log->epochs_lock, LOCK_LOG_EPOCHS);
    lock_init(&log->index_lock, LOCK_LOG_INDEX);
    lock_init(&log->lock, LOCK_LOG);
    lock_init(&log->producers_lock, LOCK_PRODUCERS);
    epochs_init(&log->epochs);
    log->producers = producers_new();
    atomic_init(&log->first_unstable, -1);
    atomic_init(&log->cleaned_upto, -1);
    log->stray_snapshot = -1;
    log->rand_state = str_hash(str_of(name));
    return log;
}

static enum err prepare_dir(struct log *log)
{
    struct disk_stat st;
    enum err err = disk_stat(log->env->disk, log->path, &st);

    if (err != ERR_NOT_FOUND)
        return err;
    err = disk_mkdir(log->env->disk, log->path);
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->env->dir);
    log_names_changed(log);
    return err;
}

/* *no_epochs: there is no file that tells them. */
static enum err read_small_files(struct log *log, bool *no_epochs)
{
    char *epochs_path = xasprintf("%s/" EPOCHS_FILE, log->path);
    char *metadata_path = xasprintf("%s/" METADATA_FILE, log->path);
    enum err err = epochs_file_read(log->env->disk, epochs_path, &log->epochs);

    *no_epochs = err == ERR_BAD_FORMAT || err == ERR_NOT_FOUND;
    if (*no_epochs)
        err = ERR_OK;
    if (err == ERR_OK)
        err = metadata_file_read(log->env->disk, metadata_path, &log->topic_id);
    if (err == ERR_BAD_FORMAT) {
        /* As with a log from before there were ids: the controller's next word gives it one. */
        say_error(
            "partition.metadata is damaged, the topic's id is taken from the controller log=%s",
            log->name);
        err = disk_unlink(log->env->disk, metadata_path);
    }
    if (err == ERR_NOT_FOUND)
        err = ERR_OK;
    free(epochs_path);
    free(metadata_path);
    return err;
}

static enum err start_empty(struct log *log, int64_t offset, int64_t now_ms)
{
    struct segment *segment = log_new_segment(log, offset, now_ms);
    enum err err = segment_create(segment, &log->conf);

    if (err != ERR_OK) {
        segment_unref(&segment);
        return err;
    }
    log_names_changed(log);
    atomic_store(&log->is_touched, true);
    log_add_segment_locked(log, segment);
    return ERR_OK;
}

static void settle_recovery_point(struct log *log, const struct log_load *load, int64_t leo)
{
    int64_t safe = load->recovery_point > 0 ? load->recovery_point : 0;

    if (safe > leo && log->segment_count > 0) {
        STAT_ADD(log_damaged, 1);
        say_error("log ends before what was on stable storage, records are gone log=%s leo=%" PRId64
                  " recovery_point=%" PRId64,
                  log->name, leo, safe);
    }
    atomic_store(&log->recovery_point, load->is_clean || safe > leo ? leo : safe);
}

/* Batches tell their epoch, too: a file that says something else is damaged or of another time. */
static enum err settle_epochs(struct log *log, bool no_epochs, const struct batch_info *last)
{
    int64_t leo = log_leo(log);
    enum err err = ERR_OK;
    bool cut = epochs_truncate_from_end(&log->epochs, leo);

    bool begins_late =
        log->epochs.count == 0 || log->epochs.entries[0].start_offset > log_start_offset(log);

    if (last->leader_epoch >= 0 && last->last_offset >= log_start_offset(log) &&
        ((no_epochs && begins_late) ||
         epochs_at(&log->epochs, last->last_offset) != last->leader_epoch)) {
        err = log_rebuild_epochs(log);
        cut |= epochs_truncate_from_end(&log->epochs, leo);
    }
    cut |= epochs_truncate_from_start(&log->epochs, log_start_offset(log));
    if (cut)
        atomic_store(&log->epochs_dirty, true);
    return err;
}

/* Where the log ends, and its last batch, which the one before has when the last segment is empty.
 */
static enum err find_end(struct log *log, int64_t *leo, struct batch_info *last)
{
    int64_t before;
    enum err err = segment_end(log_active(log), leo, last);

    if (err != ERR_OK || log_active(log)->size > 0 || log->segment_count < 2)
        return err;
    err = segment_end(log->segments[log->segment_count - 2], &before, last);
    return err == ERR_CORRUPT_MESSAGE ? ERR_OK : err; /* its last good one will do */
}

/* The end by the segments, the start by the checkpoint; the epochs within both. */
static enum err settle_ends(struct log *log, const struct log_load *load, bool no_epochs)
{
    int64_t start = load->start_offset > 0 ? load->start_offset : 0;
    int64_t leo = start;
    struct batch_info last = { .leader_epoch = -1 };
    enum err err = ERR_OK;

    if (log->segment_count > 0)
        err = find_end(log, &leo, &last);
    if (err == ERR_OK && log->segment_count > 0 && leo < start) {
        /* Most likely all that is there was deleted by request; but a damaged file of starts would
         * say the same. */
        say_error("log ends before its start, starting over log=%s leo=%" PRId64 " start=%" PRId64,
                  log->name, leo, start);
        err = log_set_aside(log);
        epochs_clear(&log->epochs);
        log_drop_snapshots(log, INT64_MAX, INT64_MAX);
        atomic_store(&log->epochs_dirty, true);
        last.leader_epoch = -1;
        leo = start;
    }
    settle_recovery_point(log, load, leo);
    if (err == ERR_OK && log->segment_count == 0)
        err = start_empty(log, start, load->now_ms);
    if (err != ERR_OK)
        return err;
    if (log->segments[0]->base_offset > start)
        start = log->segments[0]->base_offset;
    atomic_store(&log->leo, leo);
    atomic_store(&log->start, start);
    return settle_epochs(log, no_epochs, &last);
}

/* After recovery they are known. A snapshot of them would be for nothing: it lies above the
 * recovery point. */
static enum err settle_producers(struct log *log, const struct log_load *load, bool recovered)
{
    int64_t leo = log_leo(log);

    log_drop_stray_snapshots(log, leo);
    if (recovered && log->producers_upto <= leo)
        return ERR_OK;
    return log_rebuild_producers(log, leo, load->now_ms);
}

enum err log_open(struct log_env *env, const char *name, const char *topic, int32_t partition,
                  const struct log_conf *conf, const struct log_load *load, struct log **out)
{
    struct log *log = new_log(env, name, topic, partition, conf);
    bool no_epochs = false;
    bool recovered = false;
    enum err err = prepare_dir(log);

    log->is_loading = true;
    log->may_give_up = !load->is_clean;
    if (err == ERR_OK)
        err = read_small_files(log, &no_epochs);
    if (err == ERR_OK)
        err = clear_leftovers(log);
    if (err == ERR_OK)
        err = load_segments(log, load);
    if (err == ERR_OK)
        err = log_settle_segments(log, load, &recovered);
    if (err == ERR_OK)
        err = settle_ends(log, load, no_epochs);
    if (err == ERR_OK)
        err = settle_producers(log, load, recovered);
    log_entries_forget(log);
    log->is_loading = false;
    log->may_give_up = false;
    if (err != ERR_OK) {
        if (err != ERR_SHUTTING_DOWN)
            say_limited(SAY_ERROR, "cannot load log=%s err=%s", log->path, err_name(err));
        log_unref(&log);
        return err;
    }
    if (recovered)
        atomic_store(&log->is_touched, true);
    atomic_store(&log->saved_recovery_point, load->recovery_point);
    *out = log;
    return ERR_OK;
}

/* --- close and rename ----------------------------------------------------------------------------
 */

enum err log_close(struct log *log)
{
    lock_take(&log->lock); /* a log that is parked may be being compacted */
    struct segment *active = log_active(log);

    lock_drop(&log->lock);
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (!atomic_load(&log->is_touched)) /* all but the epochs is as it was at the last close */
        return log_failed(log, log_save_epochs(log), "write epochs");
    enum err err = log_complete_indexes(log, active);

    if (err == ERR_OK)
        err = log_save_epochs(log);

    /* Of a log without a record there is nothing that a power failure could take. */
    if (err == ERR_OK && log_leo(log) == 0)
        return ERR_OK;
    if (err == ERR_OK)
        err = log_flush(log);
    if (err == ERR_OK)
        err = segment_sync(active);
    if (err == ERR_OK && log_leo(log) > 0)
        err = log_snapshot(log, log_leo(log), true);
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->path);
    return err;
}

bool log_wants_close(struct log *log)
{
    return atomic_load(&log->is_touched) || log_epochs_are_behind(log);
}

enum err log_close_unsynced(struct log *log)
{
    enum err err = ERR_OK;

    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (atomic_load(&log->is_touched)) {
        err = log_complete_indexes(log, log_active(log));
        if (err == ERR_OK && log_leo(log) > 0)
            err = log_snapshot(log, log_leo(log), false);
    }
    if (err == ERR_OK)
        err = log_draft_epochs(log);
    return log_failed(log, err, "close log");
}

enum err log_close_rest(struct log *log, bool is_synced)
{
    enum err err = log_place_epochs(log, is_synced);

    if (err == ERR_OK && is_synced)
        atomic_store_explicit(&log->recovery_point, log_leo(log), memory_order_release);
    return log_failed(log, err, "write epochs");
}

void log_abandon(struct log *log)
{
    atomic_store(&log->is_deleted, true);
}

void log_keep_closed(struct log *log)
{
    lock_take(&log->lock);
    size_t count = log->segment_count;
    struct segment **segments = xcalloc(count, sizeof(struct segment *));

    for (size_t i = 0; i < count; i++)
        segments[i] = segment_ref(log->segments[i]);
    lock_drop(&log->lock);
    for (size_t i = 0; i < count; i++) {
        segment_keep_closed(segments[i]);
        segment_unref(&segments[i]);
    }
    free(segments);
}

int64_t log_point_to_save(struct log *log, int64_t *bytes)
{
    *bytes = atomic_load(&log->flushed_bytes); /* before the point, which may have moved on */
    return log_recovery_point(log);
}

void log_point_saved(struct log *log, int64_t offset, int64_t bytes)
{
    atomic_store(&log->saved_recovery_point, offset);
    atomic_store(&log->saved_bytes, bytes);
}

void log_unscanned(struct log *log, int64_t *unflushed, int64_t *unsaved)
{
    int64_t saved = atomic_load(&log->saved_bytes);
    int64_t flushed = atomic_load(&log->flushed_bytes);
    int64_t appended = atomic_load(&log->appended_bytes);

    *unflushed = appended - flushed;
    *unsaved = appended - saved;
}

bool log_start_needs_saving(struct log *log)
{
    lock_take(&log->lock);
    bool needs = log_start_offset(log) > log->segments[0]->base_offset;

    lock_drop(&log->lock);
    return needs;
}

static void rename_file(struct file *file, const char *stem, enum segment_file which)
{
    char *path = xasprintf("%s%s", stem, segment_endings[which]);

    file_renamed(file, path);
    free(path);
}

static void take_name_locked(struct log *log, const char *name)
{
    lock_assert_held(&log->swap_lock);
    lock_take(&log->lock);
    size_t room = log->retired[0] == NULL ? 0 : 2;

    assert(log->retired[room] == NULL); /* future, then deleted or parked: not more than twice */
    log->retired[room] = log->path;
    log->retired[room + 1] = log->name;
    log->path = xasprintf("%s/%s", log->env->dir, name);
    log->name = xstrdup(name);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct segment *segment = log->segments[i];

        free(segment->stem);
        segment->stem = log_file_path(log, segment->base_offset, "");
        rename_file(segment->file, segment->stem, SEGMENT_LOG);
        rename_file(segment->offsets.file, segment->stem, SEGMENT_INDEX);
        rename_file(segment->times.file, segment->stem, SEGMENT_TIME);
        rename_file(segment->txn_file, segment->stem, SEGMENT_TXN);
    }
    lock_drop(&log->lock);
}

/* The directory gets another name, or goes. */
static enum err part_from_name(struct log *log, const char *name, bool remove)
{
    char *path = xasprintf("%s/%s", log->env->dir, name);

    lock_take(&log->swap_lock);
    lock_take(&log->epochs_lock); /* their file is written beside itself and renamed */
    enum err err = remove ? disk_remove_tree(log->env->disk, log->path)
                          : disk_rename(log->env->disk, log->path, path);

    if (err == ERR_OK)
        take_name_locked(log, name);
    lock_drop(&log->epochs_lock);
    lock_drop(&log->swap_lock);
    free(path);
    if (err != ERR_OK)
        return log_failed(log, err, remove ? "remove log" : "rename log");
    return log_failed(log, disk_sync_dir(log->env->disk, log->env->dir), "sync directory");
}

enum err log_rename(struct log *log, const char *name)
{
    return part_from_name(log, name, false);
}

enum err log_remove(struct log *log, const char *name)
{
    assert(atomic_load(&log->is_deleted));
    log_keep_closed(log);
    return part_from_name(log, name, true);
}

bool log_was_renamed(struct log *log, const char *path)
{
    lock_take(&log->swap_lock); /* a directory that has its new name, and nobody knows yet */
    bool was_renamed = log->path != path;

    lock_drop(&log->swap_lock);
    return was_renamed;
}
