/*
 * A partition in two directories, on purpose or found so.
 *
 * A move makes a future log in the other directory, which somebody fills. When it is whole, it is
 * renamed to the log's name first and the former log to -delete then, as Kafka does, so that at any
 * moment one of them is there under its own name.
 *
 * Two logs of one name, found at the start, are what a crash in the middle of a move between
 * directories leaves, or a topic that was deleted and made again while one of the directories was
 * away. Kafka refuses to start then. Here the newer one is served: of two topics the one whose
 * partition.metadata is younger, of one topic's copies the one with the later epoch, then the
 * longer one. The other is parked as -stray: kept, reported, never deleted by a guess.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/log_swap.h"
#include "broker/log/logs_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

static int64_t made_at_ms(const struct log *log)
{
    struct disk_stat st;
    char *path = xasprintf("%s/" METADATA_FILE, log->path);
    enum err err = disk_stat(log->env->disk, path, &st);

    free(path);
    return err == ERR_OK ? st.mtime_ms : -1;
}

static bool is_newer(struct log *log, struct log *other)
{
    struct uuid id = log_topic_id(log), other_id = log_topic_id(other);
    int32_t epoch = log_latest_epoch(log), other_epoch = log_latest_epoch(other);

    if (!uuid_eq(id, other_id))
        return made_at_ms(log) > made_at_ms(other);
    return epoch != other_epoch ? epoch > other_epoch : log_leo(log) > log_leo(other);
}

static enum err park_twin(struct logs *logs, struct log *log, const struct log *kept)
{
    char *name = logs_parting_name(logs, log, "-stray");

    say_error("log is in two directories, parked=%s/%s kept=%s", log_parent_dir(log), name,
              log_parent_dir(kept));
    log_abandon(log);
    enum err err = log_rename(log, name);

    free(name);
    return err;
}

static struct log *served(struct logs *logs, const char *key)
{
    lock_take(&logs->lock);
    struct log *log = log_ref(logs_find_locked(logs, key)->log);

    lock_drop(&logs->lock);
    return log;
}

/* Puts log in the place of twin; false when another thread was first. */
static bool supplant(struct logs *logs, struct logs_dir *dir, const char *key, struct log *log,
                     struct log *twin)
{
    lock_take(&logs->lock);
    struct logs_entry *entry = logs_find_locked(logs, key);
    bool same = entry->log == twin;
    struct log *old = NULL;

    if (same) {
        old = entry->log;
        entry->log = log_ref(log);
        entry->dir->log_count--;
        entry->dir = dir;
        dir->log_count++;
    }
    lock_drop(&logs->lock);
    log_unref(&old);
    return same;
}

static enum err settle(struct logs *logs, struct logs_dir *dir, const char *key, struct log *log)
{
    for (;;) {
        struct log *twin = served(logs, key);
        bool wins = is_newer(log, twin);
        enum err err = ERR_CLOSED;

        if (!wins)
            err = park_twin(logs, log, twin);
        else if (supplant(logs, dir, key, log, twin))
            err = park_twin(logs, twin, log);
        log_unref(&twin);
        if (err != ERR_CLOSED)
            return err;
    }
}

enum err logs_put_found(struct logs *logs, struct logs_dir *dir, const char *key, struct log *log)
{
    log_ref(log); /* logs_put() takes one, whatever comes of it */
    enum err err = logs_put(logs, dir, key, log);

    if (err == ERR_EXISTS)
        err = settle(logs, dir, key, log);
    log_unref(&log);
    return err;
}

/* ---- a move between directories ---- */

/* What is compacted by now is copied so. What is compacted while it is copied may not be: of that
 * the copy's mark says nothing. */
static void keep_mark(struct logs *logs, struct log *future)
{
    struct log *log = logs_get_ref(logs, log_topic(future), log_partition(future));

    if (log != NULL)
        log_set_cleaned_upto(future, log_cleaned_upto(log));
    log_unref(&log);
}

enum err logs_create_future(struct logs *logs, const char *topic, int32_t partition,
                            struct uuid topic_id, const char *dir_path, struct log **out)
{
    struct logs_dir *dir = logs_dir_by_path(logs, dir_path);

    if (dir == NULL)
        return ERR_LOG_DIR_NOT_FOUND;
    /* Another copy may lie in a directory that is away. */
    if (logs_any_offline(logs))
        return ERR_KAFKA_STORAGE_ERROR;
    char *plain = xasprintf("%s-%" PRId32, topic, partition);
    char *key = xasprintf("%s" LOG_FUTURE_SUFFIX, plain);
    char hex[33];

    logs_random_hex(logs, hex);
    char *name = xasprintf("%s.%s" LOG_FUTURE_SUFFIX, plain, hex);
    enum err err = logs_make(logs, dir, key, name, topic, partition, out);

    if (err == ERR_OK) {
        keep_mark(logs, *out);
        err = log_adopt_topic_id(*out, topic_id);
        if (err != ERR_OK) {
            if (logs_delete_future(logs, *out) != ERR_OK)
                say_warn("cannot delete the copy log=%s", name);
            log_unref(out);
        }
    }
    free(name);
    free(key);
    free(plain);
    return err;
}

/* The former log's directory is renamed and its files go later. It lives on in memory with its
 * partition, for readers that were lent it; an open file would keep its room all that time. Its
 * waiters for syncs are served: what they wait for is on stable storage, in the log that took its
 * place. */
static void part_with_former(struct logs *logs, struct logs_dir *dir, struct log *former)
{
    struct log_conf conf;

    if (atomic_load(&dir->env.failed)) {
        log_abandon(former);
        return;
    }
    char *name = logs_parting_name(logs, former, "-delete");
    char *path = xasprintf("%s/%s", dir->path, name);

    log_get_conf(former, &conf);
    log_abandon(former);
    if (log_rename(former, name) == ERR_OK)
        logs_remove_later(dir, path, clock_mono_ms() + conf.file_delete_delay_ms);
    log_keep_closed(former);
    free(path);
    free(name);
}

/* The future log gets the former's place in the table. Returns where the former lies. */
static struct logs_dir *put_in_place(struct logs *logs, const char *plain, const char *key)
{
    lock_take(&logs->lock);
    struct logs_entry *entry = logs_find_locked(logs, plain);
    struct logs_entry *future = logs_find_locked(logs, key);
    struct logs_dir *dir = entry->dir;
    struct log *former = entry->log;

    HASH_DEL(logs->entries, future);
    entry->log = future->log;
    entry->dir = future->dir;
    future->log = former;
    dir->log_count--;
    logs_entry_free(future);
    lock_drop(&logs->lock);
    return dir;
}

/* An epoch in which nothing was appended has no batch that could have brought it along. */
static void take_over_epochs(struct log *from, struct log *to)
{
    struct epochs copy;

    epochs_init(&copy);
    lock_take(&from->lock);
    for (size_t i = 0; i < from->epochs.count; i++)
        epochs_assign(&copy, from->epochs.entries[i].epoch, from->epochs.entries[i].start_offset);
    lock_drop(&from->lock);
    lock_take(&to->lock);
    for (size_t i = 0; i < copy.count; i++)
        if (copy.entries[i].epoch > epochs_latest(&to->epochs) &&
            epochs_assign(&to->epochs, copy.entries[i].epoch, copy.entries[i].start_offset))
            atomic_store(&to->epochs_dirty, true);
    lock_drop(&to->lock);
    epochs_fini(&copy);
}

uint32_t logs_swapped_count(const struct logs *logs)
{
    return atomic_load(&logs->swapped);
}

enum err logs_swap_future(struct logs *logs, struct log *future)
{
    char *plain = xasprintf("%s-%" PRId32, log_topic(future), log_partition(future));
    char *key = xasprintf("%s" LOG_FUTURE_SUFFIX, plain);
    struct log *former = logs_get_ref(logs, log_topic(future), log_partition(future));
    struct logs_dir *former_dir = NULL;
    enum err err = former == NULL || log_is_offline(future) ? ERR_KAFKA_STORAGE_ERROR : ERR_OK;
    struct log_conf conf;

    if (err == ERR_OK) {
        take_over_epochs(former, future);
        log_get_conf(former, &conf);
        if (conf.flush_messages != INT64_MAX)
            err = log_flush(future);
    }
    if (err == ERR_OK)
        err = log_rename(future, plain);
    if (err == ERR_OK) {
        former_dir = put_in_place(logs, plain, key);
        if (conf.flush_messages != INT64_MAX)
            atomic_store_explicit(&former->recovery_point, log_leo(former), memory_order_release);
        part_with_former(logs, former_dir, former);
        atomic_fetch_add(&logs->swapped, 1);
    }
    log_unref(&former);
    free(key);
    free(plain);
    return err;
}

enum err logs_delete_future(struct logs *logs, struct log *future)
{
    char *key =
        xasprintf("%s-%" PRId32 LOG_FUTURE_SUFFIX, log_topic(future), log_partition(future));
    char *name = logs_parting_name(logs, future, "-delete");
    char *path = xasprintf("%s/%s", log_parent_dir(future), name);
    struct log *mine = logs_take_out(logs, key, future);
    enum err err = mine == NULL ? ERR_NOT_FOUND : ERR_OK;

    if (err == ERR_OK) {
        log_abandon(mine);
        err = log_is_offline(mine) ? ERR_KAFKA_STORAGE_ERROR : log_rename(mine, name);
    }
    if (err == ERR_OK)
        logs_remove_later(logs_dir_by_path(logs, log_parent_dir(future)), path, clock_mono_ms());
    log_unref(&mine);
    free(path);
    free(name);
    free(key);
    return err;
}
