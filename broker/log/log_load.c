/*
 * Opening a log, in this order:
 *
 *   1  leftovers of an interrupted compaction or deletion: .deleted and .cleaned go, complete .swap
 * files take the place of what they were made from 2  segments by name; an index without its .log
 * goes; one that is missing or cannot be right has its segment recovered 3  after an unclean stop,
 * every segment from the one with the recovery point on is read whole: its indexes, aborted
 * transactions and epochs are found anew, and the log ends before the first batch that is not whole
 * and good 4  the start and the end against the checkpoint, the epochs against both 5  the
 * producers: newest snapshot, and the batches behind it
 *
 * What lies below the recovery point is trusted without a look.
 */
#include "broker/log/log_load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/producer_batch.h"
#include "broker/log/producers_file.h"
#include "broker/log/scan.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/str.h"

#define OFFSET_DIGITS 20

/* --- names ---------------------------------------------------------------------------------------
 */

/* A file whose name begins with an offset. */
struct entry {
    int64_t offset;
    char ending[32]; /* ".log", ".index.swap" */
};

struct entries {
    struct entry *list;
    size_t count;
    size_t cap;
};

static void take_name(void *ctx, const char *name, bool is_dir)
{
    struct entries *entries = ctx;
    int64_t offset;

    if (is_dir || strlen(name) <= OFFSET_DIGITS || name[OFFSET_DIGITS] != '.' ||
        strlen(name + OFFSET_DIGITS) >= sizeof entries->list->ending ||
        !str_to_i64((struct str){ name, OFFSET_DIGITS }, &offset) || offset < 0)
        return;
    array_reserve(&entries->list, &entries->cap, entries->count, sizeof *entries->list);
    struct entry *entry = &entries->list[entries->count++];

    entry->offset = offset;
    snprintf(entry->ending, sizeof entry->ending, "%s", name + OFFSET_DIGITS);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *one = a;
    const struct entry *other = b;

    if (one->offset != other->offset)
        return one->offset < other->offset ? -1 : 1;
    return strcmp(one->ending, other->ending);
}

static enum err list_entries(struct log *log, struct entries *out)
{
    *out = (struct entries){ 0 };
    enum err err = disk_list(log->env->disk, log->path, take_name, out);

    if (out->count > 1)
        qsort(out->list, out->count, sizeof *out->list, compare_entries);
    return err;
}

static bool ends_in(const struct entry *entry, const char *ending)
{
    size_t have = strlen(entry->ending);
    size_t want = strlen(ending);

    return have >= want && strcmp(entry->ending + have - want, ending) == 0;
}

static enum err remove_entry(struct log *log, const struct entry *entry)
{
    char *path = log_file_path(log, entry->offset, entry->ending);
    enum err err = disk_unlink(log->env->disk, path);

    free(path);
    atomic_store(&log->names_dirty, true);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

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
static enum err sweep(struct log *log, const struct entries *entries, bool *swaps, int64_t *from,
                      int64_t *upto)
{
    int64_t cleaned = INT64_MAX;
    enum err err = ERR_OK;

    *swaps = false;
    *from = INT64_MAX;
    *upto = INT64_MIN;
    for (size_t i = 0; i < entries->count; i++)
        if (ends_in(&entries->list[i], ".cleaned") && entries->list[i].offset < cleaned)
            cleaned = entries->list[i].offset;
    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct entry *entry = &entries->list[i];
        bool is_swap = ends_in(entry, ".swap");
        int64_t end;

        if (ends_in(entry, ".deleted") || ends_in(entry, ".cleaned") ||
            (is_swap && entry->offset >= cleaned)) {
            err = remove_entry(log, entry);
            continue;
        }
        if (!is_swap)
            continue;
        *swaps = true;
        if (strcmp(entry->ending, ".log.swap") != 0)
            continue;
        err = swap_end(log, entry->offset, &end);
        *from = entry->offset < *from ? entry->offset : *from;
        *upto = end > *upto ? end : *upto;
    }
    return err;
}

static bool is_plain(const struct entry *entry)
{
    for (int i = 0; i < SEGMENT_FILES; i++)
        if (strcmp(entry->ending, segment_endings[i]) == 0)
            return true;
    return false;
}

static enum err finish_swaps(struct log *log, const struct entries *entries, int64_t from,
                             int64_t upto)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct entry *entry = &entries->list[i];

        if (is_plain(entry) && entry->offset >= from && entry->offset < upto)
            err = remove_entry(log, entry);
    }
    for (size_t i = 0; i < entries->count && err == ERR_OK; i++) {
        const struct entry *entry = &entries->list[i];
        char plain[sizeof entry->ending];

        if (!ends_in(entry, ".swap"))
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
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->path);
    return err;
}

static enum err clear_leftovers(struct log *log)
{
    struct entries entries;
    bool swaps;
    int64_t from;
    int64_t upto;
    enum err err = list_entries(log, &entries);

    if (err == ERR_OK)
        err = sweep(log, &entries, &swaps, &from, &upto);
    if (err == ERR_OK && swaps)
        err = finish_swaps(log, &entries, from, upto);
    free(entries.list);
    return err;
}

/* --- segments ------------------------------------------------------------------------------------
 */

struct recovery {
    struct log *log;
    struct segment *segment;
};

static enum err recover_batch(void *ctx, const uint8_t *batch, const struct batch_info *info)
{
    struct recovery *recovery = ctx;
    struct log *log = recovery->log;
    struct producer_batch produced;
    struct producer_txn_end end;

    if (info->leader_epoch > epochs_latest(&log->epochs)) {
        epochs_assign(&log->epochs, info->leader_epoch, info->base_offset);
        atomic_store(&log->epochs_dirty, true);
    }
    if (!producer_batch_read(batch, info, &produced))
        return ERR_OK;
    producers_apply(log->producers, &produced, &end);
    if (!end.ended || !end.is_abort)
        return ERR_OK;
    struct aborted_txn txn = { end.producer_id, end.first_offset, end.last_offset,
                               end.last_stable_offset };
    enum err err = segment_note_abort(recovery->segment, &txn);

    recovery->segment->txn_count += err == ERR_OK;
    return err;
}

static enum err recover_segment(struct log *log, struct segment *segment, int64_t *cut_bytes)
{
    struct recovery recovery = { log, segment };

    return segment_recover(segment, log->conf.index_interval_bytes, recover_batch, &recovery,
                           cut_bytes);
}

static enum err load_segment(struct log *log, int64_t base, const struct log_load *load)
{
    struct segment *segment = log_new_segment(log, base, load->now_ms);
    enum err err = segment_load(segment);
    int64_t cut;

    if (err == ERR_OK && segment->offsets.has_last &&
        segment->offsets.last.value >= segment->size && load->is_clean)
        err = ERR_CORRUPT_FILE;
    if (err != ERR_OK && err != ERR_CORRUPT_FILE) {
        segment_unref(&segment);
        return err;
    }
    log_add_segment_locked(log, segment);
    if (err == ERR_OK || !load->is_clean)
        return ERR_OK; /* an unclean stop is dealt with for all of them together */
    say_warn("index missing or damaged, rebuilding log=%s segment=%" PRId64, log->name, base);
    err = log_rebuild_producers(log, base, load->now_ms);
    if (err == ERR_OK)
        err = recover_segment(log, segment, &cut);
    if (err == ERR_OK && cut > 0)
        say_error("segment was damaged log=%s segment=%" PRId64 " cut_bytes=%" PRId64, log->name,
                  base, cut);
    return err;
}

static enum err load_segments(struct log *log, const struct log_load *load)
{
    struct entries entries;
    int64_t log_base = -1;
    enum err err = list_entries(log, &entries);

    /* By offset, then by ending: .index, .log, .snapshot, .timeindex, .txnindex. */
    for (size_t i = 0; i < entries.count && err == ERR_OK; i++)
        if (strcmp(entries.list[i].ending, ".log") == 0)
            err = load_segment(log, entries.list[i].offset, load);
    for (size_t i = 0; i < entries.count && err == ERR_OK; i++) {
        const struct entry *entry = &entries.list[i];

        if (!is_plain(entry))
            continue;
        bool has_log = false;

        for (size_t j = i; j < entries.count && entries.list[j].offset == entry->offset; j++)
            has_log |= strcmp(entries.list[j].ending, ".log") == 0;
        has_log |= log_base == entry->offset;
        if (has_log)
            log_base = entry->offset;
        else
            err = remove_entry(log, entry);
    }
    free(entries.list);
    return err;
}

/* Removes segments from index on. */
static void drop_from(struct log *log, size_t index)
{
    while (log->segment_count > index)
        log_drop_segment(log, &log->segments[--log->segment_count], true);
}

static enum err recover(struct log *log, const struct log_load *load)
{
    int64_t from = load->recovery_point > 0 ? load->recovery_point : 0;

    if (log->segment_count == 0)
        return ERR_OK;
    size_t i = log_floor_locked(log, from);
    enum err err = log_rebuild_producers(log, log->segments[i]->base_offset, load->now_ms);

    for (; i < log->segment_count && err == ERR_OK; i++) {
        int64_t cut = 0;

        err = recover_segment(log, log->segments[i], &cut);
        if (err != ERR_OK || cut == 0)
            continue;
        size_t later = log->segment_count - i - 1;

        if (later > 0)
            say_error("damaged before its end, later segments dropped log=%s segment=%" PRId64
                      " cut_bytes=%" PRId64 " segments=%zu",
                      log->name, log->segments[i]->base_offset, cut, later);
        else
            say_info("torn end cut log=%s segment=%" PRId64 " cut_bytes=%" PRId64, log->name,
                     log->segments[i]->base_offset, cut);
        drop_from(log, i + 1);
    }
    return err;
}

/* --- producers -----------------------------------------------------------------------------------
 */

void log_drop_snapshots(struct log *log, int64_t below, int64_t above)
{
    struct entries entries;

    if (list_entries(log, &entries) == ERR_OK)
        for (size_t i = 0; i < entries.count; i++)
            if (strcmp(entries.list[i].ending, ".snapshot") == 0 &&
                (entries.list[i].offset < below || entries.list[i].offset > above))
                (void)remove_entry(log, &entries.list[i]);
    free(entries.list);
}

/* Loads the newest good snapshot at or below upto; *from is its offset, or the start of the log. */
static enum err load_snapshot(struct log *log, int64_t upto, int64_t now_ms, struct producers *into,
                              int64_t *from, bool *found)
{
    struct entries entries;
    enum err err = list_entries(log, &entries);

    *found = false;
    for (size_t i = entries.count; i > 0 && err == ERR_OK && !*found; i--) {
        const struct entry *entry = &entries.list[i - 1];

        if (strcmp(entry->ending, ".snapshot") != 0 || entry->offset > upto)
            continue;
        char *path = log_file_path(log, entry->offset, entry->ending);

        producers_clear(into);
        err = producers_file_read(log->env->disk, path, into, now_ms,
                                  log->conf.producer_expiration_ms);
        free(path);
        if (err == ERR_OK) {
            *found = true;
            *from = entry->offset;
        } else if (err == ERR_CORRUPT_FILE) {
            say_warn("damaged snapshot removed log=%s offset=%" PRId64, log->name, entry->offset);
            producers_clear(into);
            err = remove_entry(log, entry);
        }
    }
    free(entries.list);
    return err;
}

static enum err replay_segment(const struct segment *segment, int64_t from, int64_t upto,
                               struct producers *into)
{
    struct index_entry entry = { .value = 0 };
    struct batch_info info;
    struct buf buf = BUF_EMPTY;
    struct scan scan;
    bool found;
    int64_t pos;
    enum err err = index_find(&segment->offsets, from, &entry, &found);

    scan_init(&scan, segment->file, found ? entry.value : 0, segment->size);
    while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK) {
        struct producer_batch produced;
        struct producer_txn_end end;
        uint8_t head[BATCH_HEADER_BYTES] = { 0 };
        const uint8_t *batch = head;

        if (info.base_offset >= upto)
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
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err log_rebuild_producers(struct log *log, int64_t upto_offset, int64_t now_ms)
{
    struct producers *fresh = producers_new();
    bool found;
    int64_t from = 0;
    enum err err = load_snapshot(log, upto_offset, now_ms, fresh, &from, &found);

    for (size_t i = 0; i < log->segment_count && err == ERR_OK; i++) {
        const struct segment *segment = log->segments[i];
        int64_t next = i + 1 < log->segment_count ? log->segments[i + 1]->base_offset : INT64_MAX;

        if (next > from && segment->base_offset < upto_offset && segment->size > 0 &&
            from < upto_offset)
            err = replay_segment(segment, from, upto_offset, fresh);
    }
    lock_take(&log->producers_lock);
    struct producers *old = log->producers;

    log->producers = fresh;
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    producers_free(&old);
    return err;
}

static bool is_segment_base(const struct log *log, int64_t offset)
{
    return log->segments[log_floor_locked(log, offset)]->base_offset == offset;
}

/* Keeps the snapshots at segment bases and the newest beyond the last base. */
static void drop_stray_snapshots(struct log *log)
{
    struct entries entries;
    int64_t newest = -1;

    if (list_entries(log, &entries) == ERR_OK) {
        for (size_t i = 0; i < entries.count; i++)
            if (strcmp(entries.list[i].ending, ".snapshot") == 0)
                newest = entries.list[i].offset;
        for (size_t i = 0; i < entries.count; i++)
            if (strcmp(entries.list[i].ending, ".snapshot") == 0 &&
                entries.list[i].offset != newest && !is_segment_base(log, entries.list[i].offset))
                (void)remove_entry(log, &entries.list[i]);
    }
    free(entries.list);
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
    lock_init(&log->epochs_lock, LOCK_LOG_EPOCHS);
    lock_init(&log->lock, LOCK_LOG);
    lock_init(&log->producers_lock, LOCK_PRODUCERS);
    epochs_init(&log->epochs);
    log->producers = producers_new();
    atomic_init(&log->first_unstable, -1);
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
    atomic_store(&log->names_dirty, true);
    return err;
}

static enum err read_small_files(struct log *log)
{
    char *epochs_path = xasprintf("%s/" EPOCHS_FILE, log->path);
    char *metadata_path = xasprintf("%s/" METADATA_FILE, log->path);
    enum err err = epochs_file_read(log->env->disk, epochs_path, &log->epochs);

    if (err == ERR_BAD_FORMAT) {
        say_warn("epochs unreadable, found anew where the log is read log=%s", log->name);
        err = ERR_OK;
    }
    if (err == ERR_OK)
        err = metadata_file_read(log->env->disk, metadata_path, &log->topic_id);
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
    atomic_store(&log->names_dirty, true);
    atomic_store(&log->is_touched, true);
    log_add_segment_locked(log, segment);
    return ERR_OK;
}

/* The end by the segments, the start by the checkpoint; the epochs within both. */
static enum err settle_ends(struct log *log, const struct log_load *load)
{
    int64_t start = load->start_offset > 0 ? load->start_offset : 0;
    int64_t leo = start;
    enum err err = ERR_OK;

    if (log->segment_count > 0)
        err = segment_next_offset(log_active(log), &leo);
    if (err == ERR_OK && log->segment_count > 0 && leo < start) {
        say_warn("log ends before its start, starting over log=%s leo=%" PRId64 " start=%" PRId64,
                 log->name, leo, start);
        drop_from(log, 0);
        epochs_clear(&log->epochs);
        log_drop_snapshots(log, INT64_MAX, INT64_MAX);
        atomic_store(&log->epochs_dirty, true);
        leo = start;
    }
    if (err == ERR_OK && log->segment_count == 0)
        err = start_empty(log, start, load->now_ms);
    if (err != ERR_OK)
        return err;
    if (log->segments[0]->base_offset > start)
        start = log->segments[0]->base_offset;
    atomic_store(&log->leo, leo);
    atomic_store(&log->start, start);
    int64_t safe = load->recovery_point > 0 ? load->recovery_point : 0;

    atomic_store(&log->recovery_point, load->is_clean || safe > leo ? leo : safe);
    bool cut = epochs_truncate_from_end(&log->epochs, leo);

    cut |= epochs_truncate_from_start(&log->epochs, start);
    if (cut)
        atomic_store(&log->epochs_dirty, true);
    return ERR_OK;
}

static enum err settle_producers(struct log *log, const struct log_load *load)
{
    int64_t leo = log_leo(log);

    log_drop_snapshots(log, INT64_MIN, leo);
    drop_stray_snapshots(log);
    enum err err = log_rebuild_producers(log, leo, load->now_ms);

    if (err == ERR_OK && !load->is_clean && log->segment_count > 0 && leo > log_start_offset(log))
        err = log_snapshot(log, leo, false);
    return err;
}

enum err log_open(struct log_env *env, const char *name, const char *topic, int32_t partition,
                  const struct log_conf *conf, const struct log_load *load, struct log **out)
{
    struct log *log = new_log(env, name, topic, partition, conf);
    enum err err = prepare_dir(log);

    if (err == ERR_OK)
        err = read_small_files(log);
    if (err == ERR_OK)
        err = clear_leftovers(log);
    if (err == ERR_OK)
        err = load_segments(log, load);
    if (err == ERR_OK && !load->is_clean)
        err = recover(log, load);
    if (err == ERR_OK)
        err = settle_ends(log, load);
    if (err == ERR_OK)
        err = settle_producers(log, load);
    if (err != ERR_OK) {
        say_error("cannot load log=%s err=%s", log->path, err_name(err));
        log_unref(&log);
        return err;
    }
    if (!load->is_clean)
        atomic_store(&log->is_touched, true);
    atomic_store(&log->saved_recovery_point, load->recovery_point);
    *out = log;
    return ERR_OK;
}

/* --- close and rename ----------------------------------------------------------------------------
 */

enum err log_close(struct log *log)
{
    struct segment *active = log_active(log);

    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (!atomic_load(&log->is_touched)) /* all but the epochs is as it was at the last close */
        return log_failed(log, log_save_epochs(log), "write epochs");
    lock_take(&log->lock);
    segment_close_times(active);
    lock_drop(&log->lock);
    enum err err = segment_save(active);

    if (err == ERR_OK) {
        lock_take(&log->lock);
        segment_saved(active);
        lock_drop(&log->lock);
        err = log_flush(log);
    }
    if (err == ERR_OK)
        err = segment_sync(active);
    if (err == ERR_OK && log_leo(log) > 0)
        err = log_snapshot(log, log_leo(log), true);
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->path);
    return err;
}

void log_abandon(struct log *log)
{
    atomic_store(&log->is_deleted, true);
}

void log_set_saved_recovery_point(struct log *log, int64_t offset)
{
    atomic_store(&log->saved_recovery_point, offset);
}

bool log_start_needs_saving(struct log *log)
{
    lock_take(&log->lock);
    bool needs = log_start_offset(log) > log->segments[0]->base_offset;

    lock_drop(&log->lock);
    return needs;
}

void log_write_behind(struct log *log)
{
    if (!log_is_offline(log) && !atomic_load(&log->is_deleted))
        log_failed(log, log_save_epochs(log), "write epochs");
}

static void rename_file(struct file *file, const char *stem, enum segment_file which)
{
    char *path = xasprintf("%s%s", stem, segment_endings[which]);

    file_renamed(file, path);
    free(path);
}

enum err log_rename(struct log *log, const char *name)
{
    char *path = xasprintf("%s/%s", log->env->dir, name);
    enum err err = disk_rename(log->env->disk, log->path, path);

    if (err != ERR_OK) {
        free(path);
        return log_failed(log, err, "rename log");
    }
    lock_take(&log->lock);
    size_t room = log->retired[0] == NULL ? 0 : 2;

    assert(log->retired[room] == NULL); /* future, then deleted or parked: not more than twice */
    log->retired[room] = log->path;
    log->retired[room + 1] = log->name;
    log->path = path;
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
    return log_failed(log, disk_sync_dir(log->env->disk, log->env->dir), "sync directory");
}
