/*
 * The recovery points of a directory's logs, and the files of epochs that have to be there before
 * a point may move: recovery reads no batch below it.
 *
 * The points are looked at first, the epochs of all logs whose file is behind are written next,
 * which may take its time and is done without a lock that others wait for, and the file of points
 * last. A log whose epochs could not be written, or that was truncated meanwhile, keeps the point
 * that it has on file. Thousands of files at once, after a change of roles, cost two syncs of the
 * file system instead of two for each.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/logs_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define FEW 16 /* files are synced one by one */

struct point {
    struct log *log; /* a reference */
    int64_t offset;
    int64_t bytes;
    uint32_t truncations;
    bool moves;      /* what hangs on it is on stable storage */
    bool is_drafted; /* its epochs */
};

struct points {
    struct point *list;
    size_t count;
};

static struct points take_points(struct logs_dir *dir)
{
    struct log **logs;
    struct points points = { .count = logs_list(dir->logs, dir, &logs) };

    points.list = xcalloc(points.count + 1, sizeof *points.list);
    for (size_t i = 0; i < points.count; i++) {
        struct point *point = &points.list[i];

        point->log = logs[i];
        point->truncations = atomic_load(&logs[i]->truncations); /* before the point */
        point->offset = log_point_to_save(logs[i], &point->bytes);
    }
    free(logs);
    return points;
}

static void let_go(struct points *points)
{
    for (size_t i = 0; i < points->count; i++)
        log_unref(&points->list[i].log);
    free(points->list);
}

/* --- epochs --------------------------------------------------------------------------------------
 */

bool logs_dir_syncs_together(const struct logs_dir *dir, size_t files)
{
    size_t few = dir->logs->options.sync_few > 0 ? dir->logs->options.sync_few : FEW;

    return files > few && dir->lock_fd >= 0 && disk_can_sync_all(dir->env.disk, dir->lock_fd);
}

static enum err draft_all(struct points *points)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < points->count && (err == ERR_OK || err == ERR_NO_SPACE); i++) {
        struct point *point = &points->list[i];

        if (!log_epochs_are_behind(point->log))
            continue;
        err = log_draft_epochs(point->log);
        point->is_drafted = err == ERR_OK;
    }
    return err == ERR_NO_SPACE ? ERR_OK : err;
}

/* Puts the drafts in place, or drops them; the first error. */
static enum err place_all(struct points *points, bool is_synced)
{
    enum err first = ERR_OK;

    for (size_t i = 0; i < points->count; i++) {
        if (!points->list[i].is_drafted)
            continue;
        enum err err = log_place_epochs(points->list[i].log, is_synced);

        first = first == ERR_OK ? err : first;
    }
    return first;
}

/* Whatever goes wrong is left to the syncs of single files, which say whose fault it is: what may
 * have no good draft is behind once more, and counts as not drafted. */
static void save_together(struct logs_dir *dir, struct points *points)
{
    struct disk *disk = dir->env.disk;
    enum err err = draft_all(points);

    if (err == ERR_OK)
        err = disk_sync_all(disk, dir->lock_fd);
    enum err placed = place_all(points, err == ERR_OK);

    if (err == ERR_OK && placed == ERR_OK)
        err = disk_sync_all(disk, dir->lock_fd); /* the names */
    if (err == ERR_OK && placed == ERR_OK)
        return;
    for (size_t i = 0; i < points->count; i++) {
        if (points->list[i].is_drafted)
            atomic_store(&points->list[i].log->epochs_dirty, true);
        points->list[i].is_drafted = false;
    }
}

/* Settles which of the points may move. */
static void save_epochs(struct logs_dir *dir, struct points *points)
{
    size_t behind = 0;

    for (size_t i = 0; i < points->count; i++)
        behind += log_epochs_are_behind(points->list[i].log);
    if (logs_dir_syncs_together(dir, behind))
        save_together(dir, points);
    for (size_t i = 0; i < points->count; i++) {
        struct log *log = points->list[i].log;
        enum err err = log_is_offline(log) ? ERR_KAFKA_STORAGE_ERROR : ERR_OK;

        /* Drafted while the first of them was, and given another epoch since: that one is above. */
        if (err == ERR_OK && !points->list[i].is_drafted)
            err = log_failed(log, log_save_epochs(log), "write epochs");
        points->list[i].moves = err == ERR_OK;
    }
}

/* --- points --------------------------------------------------------------------------------------
 */

/* What the file may say of a log, below 0 nothing. */
static int64_t offset_of(const struct point *point)
{
    int64_t saved = atomic_load(&point->log->saved_recovery_point);
    int64_t now = log_recovery_point(point->log);

    if (point->moves && (point->truncations & 1) == 0 &&
        atomic_load(&point->log->truncations) == point->truncations)
        return point->offset;
    return saved < now ? saved : now;
}

static enum err write_points_locked(struct logs_dir *dir, const struct points *points)
{
    struct checkpoint file;
    int64_t *offsets = xcalloc(points->count + 1, sizeof *offsets);

    lock_assert_held(&dir->checkpoint_lock);
    checkpoint_init(&file);
    for (size_t i = 0; i < points->count; i++) {
        struct log *log = points->list[i].log;

        offsets[i] = offset_of(&points->list[i]);
        if (offsets[i] >= 0 && !log_is_future(log) && !atomic_load(&log->is_deleted))
            checkpoint_add(&file, log_topic(log), log_partition(log), offsets[i]);
    }
    enum err err = logs_dir_write_file_locked(dir, LOGS_POINTS, &file);

    for (size_t i = 0; i < points->count && err == ERR_OK; i++)
        if (offsets[i] == points->list[i].offset)
            log_point_saved(points->list[i].log, offsets[i], points->list[i].bytes);
        else if (offsets[i] >= 0)
            atomic_store(&points->list[i].log->saved_recovery_point, offsets[i]);
    free(offsets);
    return err;
}

enum err logs_dir_save_points(struct logs_dir *dir)
{
    lock_take(&dir->points_lock);
    struct points points = take_points(dir);

    save_epochs(dir, &points);
    lock_take(&dir->checkpoint_lock);
    enum err err = write_points_locked(dir, &points);

    lock_drop(&dir->checkpoint_lock);
    let_go(&points);
    lock_drop(&dir->points_lock);
    return err;
}

/* A full disk must not take the directory offline. */
static enum err lower_in_place_locked(struct logs_dir *dir, struct log *log)
{
    char *path = logs_dir_file_path(dir, LOGS_POINTS);
    int64_t point = log_recovery_point(log);
    enum err err =
        checkpoint_lower_in_place(dir->env.disk, path, log_topic(log), log_partition(log), point);

    lock_assert_held(&dir->checkpoint_lock);
    if (err == ERR_OK) {
        checkpoint_lower(&dir->saved[LOGS_POINTS], log_topic(log), log_partition(log), point);
        atomic_store(&log->saved_recovery_point, point);
    }
    free(path);
    return err;
}

/* Looked at under the lock: a point that is being written may be the one before the truncation. */
enum err logs_dir_lower_point(struct logs_dir *dir, struct log *log)
{
    enum err err = ERR_OK;

    lock_take(&dir->checkpoint_lock);
    if (atomic_load(&log->saved_recovery_point) > log_recovery_point(log)) {
        struct points points = take_points(dir);

        err = write_points_locked(dir, &points);
        let_go(&points);
        if (err == ERR_NO_SPACE)
            err = lower_in_place_locked(dir, log);
    }
    lock_drop(&dir->checkpoint_lock);
    return err;
}
