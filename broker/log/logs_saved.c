/*
 * The files of a directory that tell an offset of each of its logs: recovery points, starts, high
 * watermarks, how far they were compacted. They know a log by its name alone, and a topic that was
 * deleted and made again has the name of the former one: what a file says of that one must never be
 * taken for the new log's. Its start would hide records, or, being behind the end, have all of them
 * set aside; its recovery point would vouch for bytes that nobody has read.
 *
 * What each file holds is kept here. A log that goes leaves its entries in them: nobody asks for
 * them, and deleting thousands of logs writes nothing. Before a log is made whose name a file still
 * has, that file is written without the entries of all logs that are not here any more, and so of
 * thousands that are made only the first one pays. A crash before that leaves entries that the next
 * start finds listed and treats likewise; after it the files say nothing of a former log, and the
 * new one's directory is made only then.
 *
 * Whoever writes a file settles under the lock of the files which logs it names: none that has left
 * meanwhile, or its entry would come back behind the making of the new one.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/log_int.h"
#include "broker/log/log_swap.h"
#include "broker/log/logs_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"

static const char *const names[LOGS_FILES] = { [LOGS_POINTS] = RECOVERY_POINT_FILE,
                                               [LOGS_STARTS] = LOG_START_FILE,
                                               [LOGS_HWS] = HW_FILE,
                                               [LOGS_MARKS] = CLEANER_FILE };

char *logs_dir_file_path(const struct logs_dir *dir, enum logs_file which)
{
    return xasprintf("%s/%s", dir->path, names[which]);
}

enum err logs_dir_read_files(struct logs_dir *dir)
{
    enum err err = ERR_OK;

    lock_take(&dir->checkpoint_lock);
    for (int i = 0; i < LOGS_FILES && err == ERR_OK; i++) {
        char *path = logs_dir_file_path(dir, (enum logs_file)i);

        err = checkpoint_read(dir->env.disk, path, &dir->saved[i]);
        if (err == ERR_BAD_FORMAT) {
            say_error("cannot understand, doing without file=%s", path);
            err = ERR_OK;
        }
        free(path);
    }
    lock_drop(&dir->checkpoint_lock);
    return err;
}

int64_t logs_dir_saved(struct logs_dir *dir, enum logs_file which, const char *topic,
                       int32_t partition)
{
    lock_take(&dir->checkpoint_lock);
    int64_t offset = checkpoint_find(&dir->saved[which], topic, partition);

    lock_drop(&dir->checkpoint_lock);
    return offset;
}

enum err logs_dir_write_file_locked(struct logs_dir *dir, enum logs_file which,
                                    struct checkpoint *content)
{
    char *path = logs_dir_file_path(dir, which);

    lock_assert_held(&dir->checkpoint_lock);
    checkpoint_sort(content);
    enum err err = checkpoint_write(dir->env.disk, path, content);

    if (err == ERR_OK) {
        struct checkpoint old = dir->saved[which];

        dir->saved[which] = *content;
        *content = old;
    }
    checkpoint_fini(content);
    free(path);
    return err;
}

static bool is_here(struct logs_dir *dir, const struct checkpoint_entry *named)
{
    char *future = xasprintf("%s-%" PRId32 LOG_FUTURE_SUFFIX, named->topic, named->partition);
    char *plain = xasprintf("%s-%" PRId32, named->topic, named->partition);

    lock_take(&dir->logs->lock);
    const struct logs_entry *one = logs_find_locked(dir->logs, plain);
    const struct logs_entry *other = logs_find_locked(dir->logs, future);
    bool found = (one != NULL && one->dir == dir) || (other != NULL && other->dir == dir);

    lock_drop(&dir->logs->lock);
    free(plain);
    free(future);
    return found;
}

static enum err drop_absent_locked(struct logs_dir *dir, enum logs_file which)
{
    const struct checkpoint *old = &dir->saved[which];
    struct checkpoint kept;

    checkpoint_init(&kept);
    for (size_t i = 0; i < old->count; i++)
        if (is_here(dir, &old->entries[i]))
            checkpoint_add(&kept, old->entries[i].topic, old->entries[i].partition,
                           old->entries[i].offset);
    return logs_dir_write_file_locked(dir, which, &kept);
}

enum err logs_dir_forget_name(struct logs_dir *dir, const char *topic, int32_t partition)
{
    enum err err = ERR_OK;

    lock_take(&dir->checkpoint_lock);
    for (int i = 0; i < LOGS_FILES && err == ERR_OK; i++)
        if (checkpoint_find(&dir->saved[i], topic, partition) >= 0)
            err = drop_absent_locked(dir, (enum logs_file)i);
    lock_drop(&dir->checkpoint_lock);
    return err;
}

/* --- high watermarks and marks -------------------------------------------------------------------
 */

int64_t logs_saved_hw(struct logs *logs, const struct log *log)
{
    return logs_dir_saved(logs_dir_of(logs, log), LOGS_HWS, log_topic(log), log_partition(log));
}

/* Of a log that has no partition yet the file goes on saying what it does. */
static enum err write_hws(struct logs_dir *dir, int64_t (*hw_of)(void *ctx, struct log *log),
                          void *ctx)
{
    struct log **list;
    size_t count = logs_list(dir->logs, dir, &list);
    int64_t *hws = xcalloc(count + 1, sizeof *hws);
    struct checkpoint content;

    checkpoint_init(&content);
    for (size_t i = 0; i < count; i++)
        hws[i] = hw_of(ctx, list[i]);
    lock_take(&dir->checkpoint_lock);
    for (size_t i = 0; i < count; i++) {
        struct log *log = list[i];

        if (hws[i] < 0 && !log_is_future(log))
            hws[i] = checkpoint_find(&dir->saved[LOGS_HWS], log_topic(log), log_partition(log));
        if (hws[i] >= 0 && !atomic_load(&log->is_deleted))
            checkpoint_add(&content, log_topic(log), log_partition(log), hws[i]);
        log_unref(&list[i]);
    }
    enum err err = logs_dir_write_file_locked(dir, LOGS_HWS, &content);

    lock_drop(&dir->checkpoint_lock);
    free(hws);
    free(list);
    return err;
}

void logs_checkpoint_hw(struct logs *logs, int64_t (*hw_of)(void *ctx, struct log *log), void *ctx)
{
    for (size_t i = 0; i < logs->dir_count; i++) {
        struct logs_dir *dir = &logs->dirs[i];

        if (atomic_load(&dir->env.failed))
            continue;
        enum err err = write_hws(dir, hw_of, ctx);

        if (err != ERR_OK && err != ERR_NO_SPACE)
            logs_dir_fail(dir);
    }
}

int64_t logs_saved_mark(struct logs *logs, const struct log *log)
{
    return logs_dir_saved(logs_dir_of(logs, log), LOGS_MARKS, log_topic(log), log_partition(log));
}

enum err logs_save_marks(struct logs *logs, const char *path)
{
    struct logs_dir *dir = logs_dir_by_path(logs, path);
    struct checkpoint content;
    struct log **list;

    checkpoint_init(&content);
    lock_take(&dir->checkpoint_lock);
    size_t count = logs_list(logs, dir, &list);

    for (size_t i = 0; i < count; i++) {
        int64_t upto = log_cleaned_upto(list[i]);

        if (upto >= 0)
            checkpoint_add(&content, log_topic(list[i]), log_partition(list[i]), upto);
        log_unref(&list[i]);
    }
    enum err err = logs_dir_write_file_locked(dir, LOGS_MARKS, &content);

    lock_drop(&dir->checkpoint_lock);
    free(list);
    return err;
}
