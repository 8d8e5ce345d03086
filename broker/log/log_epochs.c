/*
 * The epochs of a log live in memory and their file is behind: a change of role writes nothing.
 * What hangs on the file is that recovery reads no batch below the recovery point of the
 * directory's file: before that point moves, and at a clean stop, the epochs are written. Above it
 * recovery finds them in the headers of the batches.
 *
 * Of many logs at once each file is drafted beside the old one, one sync serves all the drafts,
 * and each is renamed over the old one then (logs_epochs).
 */
#include <assert.h>
#include <stdlib.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log.h"
#include "broker/log/log_int.h"
#include "common/base/mem.h"

enum err log_assign_epoch(struct log *log, int32_t epoch, int64_t offset)
{
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    lock_take(&log->lock);
    if (epochs_assign(&log->epochs, epoch, offset))
        atomic_store(&log->epochs_dirty, true);
    lock_drop(&log->lock);
    return ERR_OK;
}

struct epoch_end log_epoch_end(struct log *log, int32_t epoch)
{
    lock_take(&log->lock);
    struct epoch_end end = epochs_end_of(&log->epochs, epoch, log_leo(log));

    lock_drop(&log->lock);
    return end;
}

int32_t log_latest_epoch(struct log *log)
{
    lock_take(&log->lock);
    int32_t epoch = epochs_latest(&log->epochs);

    lock_drop(&log->lock);
    return epoch;
}

int32_t log_epoch_at(struct log *log, int64_t offset)
{
    lock_take(&log->lock);
    int32_t epoch = epochs_at(&log->epochs, offset);

    lock_drop(&log->lock);
    return epoch;
}

/* --- the file ------------------------------------------------------------------------------------
 */

static char *epochs_path(const struct log *log)
{
    return xasprintf("%s/" EPOCHS_FILE, log->path);
}

static void copy_epochs(struct log *log, struct epochs *copy)
{
    epochs_init(copy);
    lock_take(&log->lock);
    for (size_t i = 0; i < log->epochs.count; i++)
        epochs_assign(copy, log->epochs.entries[i].epoch, log->epochs.entries[i].start_offset);
    lock_drop(&log->lock);
}

/* Writes the file with this function; whoever comes meanwhile waits, or the older state may end up
 * in it, and one takes away the other's temporary file. Who finds it clean after waiting knows
 * that it holds what he came for. */
static enum err write_file_locked(struct log *log, enum err (*write)(struct disk *, const char *,
                                                                     const struct epochs *))
{
    struct epochs copy;

    lock_assert_held(&log->epochs_lock);
    atomic_store(&log->epochs_dirty, false);
    copy_epochs(log, &copy);
    char *path = epochs_path(log);
    enum err err = write(log->env->disk, path, &copy);

    free(path);
    epochs_fini(&copy);
    if (err != ERR_OK)
        atomic_store(&log->epochs_dirty, true);
    return err;
}

bool log_epochs_are_behind(const struct log *log)
{
    return atomic_load(&log->epochs_dirty);
}

enum err log_save_epochs(struct log *log)
{
    enum err err = ERR_OK;

    lock_take(&log->epochs_lock);
    if (log->epochs_drafted || atomic_load(&log->epochs_dirty)) {
        log->epochs_drafted = false; /* ours is newer, and takes its name */
        err = write_file_locked(log, epochs_file_write);
    }
    lock_drop(&log->epochs_lock);
    return err;
}

enum err log_draft_epochs(struct log *log)
{
    enum err err = ERR_OK;

    lock_take(&log->epochs_lock);
    if (atomic_load(&log->epochs_dirty)) {
        err = write_file_locked(log, epochs_file_draft);
        log->epochs_drafted = err == ERR_OK;
    }
    lock_drop(&log->epochs_lock);
    return err;
}

enum err log_place_epochs(struct log *log, bool is_synced)
{
    enum err err = ERR_OK;

    lock_take(&log->epochs_lock);
    if (log->epochs_drafted) {
        char *path = epochs_path(log);
        char *draft = xasprintf("%s.tmp", path);

        log->epochs_drafted = false;
        err = is_synced ? disk_rename(log->env->disk, draft, path) : ERR_OK;
        if (!is_synced || err != ERR_OK) {
            disk_unlink(log->env->disk, draft);
            atomic_store(&log->epochs_dirty, true);
        }
        free(draft);
        free(path);
    }
    lock_drop(&log->epochs_lock);
    return err;
}
