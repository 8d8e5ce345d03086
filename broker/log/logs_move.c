/*
 * A partition in two directories.
 *
 * Found at the start, that is what a crash in the middle of a move between directories leaves, or a
 * topic that was deleted and made again while one of the directories was away. Kafka refuses to
 * start then. Here the newer one is served: of two topics the one whose partition.metadata is
 * younger, of one topic's copies the one with the later epoch, then the longer one. The other is
 * parked as -stray: kept, reported, never deleted by a guess.
 */
#include <stdlib.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/logs_int.h"
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
