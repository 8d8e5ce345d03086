/*
 * One list of open, unpinned files, least recently used first. A pin takes its file off the list;
 * the last unpin puts it at the end. When more are open than allowed, the head is closed: its
 * number is taken under the lock, closed outside.
 *
 * A file whose days are numbered is not kept open for later: the last unpin closes it.
 *
 * A pin that finds the file closed opens it outside the lock. Two threads may do so at once; the
 * second one closes its own again.
 */
#include "broker/log/files.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/lock.h"
#include "common/base/mem.h"

struct file {
    struct files *files;    /* [I] */
    char *path;             /* [m] */
    atomic_uint refs;       /* [a] */
    unsigned pins;          /* [m] */
    int fd;                 /* [m] -1: closed */
    bool is_kept_closed;    /* [m] unless it is pinned */
    TAILQ_ENTRY(file) link; /* [m] in the list while open and not pinned */
};

struct files {
    struct disk *disk; /* [I] */
    size_t max_open;   /* [I] */
    struct lock lock;  /* rank LOCK_LEAF; guards [m] */
    size_t open_count; /* [m] */
    size_t file_count; /* [m] */
    TAILQ_HEAD(, file) idle;
};

struct files *files_new(struct disk *disk, size_t max_open)
{
    struct files *files = xcalloc(1, sizeof *files);

    files->disk = disk;
    files->max_open = max_open;
    lock_init(&files->lock, LOCK_LEAF);
    TAILQ_INIT(&files->idle);
    return files;
}

void files_free(struct files **files)
{
    if (*files == NULL)
        return;
    assert((*files)->file_count == 0);
    lock_fini(&(*files)->lock);
    free(*files);
    *files = NULL;
}

size_t files_open_count(struct files *files)
{
    lock_take(&files->lock);
    size_t count = files->open_count;

    lock_drop(&files->lock);
    return count;
}

struct disk *files_disk(const struct files *files)
{
    return files->disk;
}

struct file *file_new(struct files *files, const char *path)
{
    struct file *file = xcalloc(1, sizeof *file);

    file->files = files;
    file->path = xstrdup(path);
    file->fd = -1;
    atomic_init(&file->refs, 1);
    lock_take(&files->lock);
    files->file_count++;
    lock_drop(&files->lock);
    return file;
}

struct file *file_ref(struct file *file)
{
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed); /* the caller holds one */
    return file;
}

void file_unref(struct file **file)
{
    struct file *gone = *file;

    *file = NULL;
    if (gone == NULL || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct files *files = gone->files;

    assert(gone->pins == 0);
    lock_take(&files->lock);
    if (gone->fd >= 0) {
        TAILQ_REMOVE(&files->idle, gone, link);
        files->open_count--;
    }
    files->file_count--;
    lock_drop(&files->lock);
    if (gone->fd >= 0)
        disk_close(files->disk, gone->fd);
    free(gone->path);
    free(gone);
}

/* The number that is to be closed. */
static int let_go_locked(struct files *files, struct file *idle)
{
    int fd = idle->fd;

    TAILQ_REMOVE(&files->idle, idle, link);
    idle->fd = -1;
    files->open_count--;
    return fd;
}

/* The number of the file to close, -1 when there is none too many. */
static int evict_locked(struct files *files)
{
    struct file *oldest = TAILQ_FIRST(&files->idle);

    if (files->open_count <= files->max_open || oldest == NULL)
        return -1;
    return let_go_locked(files, oldest);
}

static void pin_locked(struct file *file)
{
    if (file->pins++ == 0)
        TAILQ_REMOVE(&file->files->idle, file, link);
}

static enum err pin(struct file *file, int flags, int *fd)
{
    struct files *files = file->files;

    lock_take(&files->lock);
    if (file->fd >= 0) {
        pin_locked(file);
        *fd = file->fd;
        lock_drop(&files->lock);
        return ERR_OK;
    }
    char *path = xstrdup(file->path);

    lock_drop(&files->lock);
    int opened;
    enum err err = disk_open(files->disk, path, flags, &opened);

    free(path);
    if (err != ERR_OK)
        return err;
    int surplus = -1;

    lock_take(&files->lock);
    if (file->fd >= 0) {
        pin_locked(file);
        surplus = opened;
    } else {
        file->fd = opened;
        file->pins = 1;
        files->open_count++;
        surplus = evict_locked(files);
    }
    *fd = file->fd;
    lock_drop(&files->lock);
    if (surplus >= 0)
        disk_close(files->disk, surplus);
    return ERR_OK;
}

enum err file_pin(struct file *file, int *fd)
{
    return pin(file, DISK_WRITE, fd);
}

enum err file_make(struct file *file)
{
    int fd;
    enum err err = pin(file, DISK_WRITE | DISK_CREATE, &fd);

    if (err == ERR_OK)
        file_unpin(file);
    return err;
}

void file_unpin(struct file *file)
{
    struct files *files = file->files;
    int surplus = -1;

    lock_take(&files->lock);
    assert(file->pins > 0);
    if (--file->pins == 0) {
        TAILQ_INSERT_TAIL(&files->idle, file, link);
        surplus = file->is_kept_closed ? let_go_locked(files, file) : evict_locked(files);
    }
    lock_drop(&files->lock);
    if (surplus >= 0)
        disk_close(files->disk, surplus);
}

void file_renamed(struct file *file, const char *path)
{
    char *old;

    lock_take(&file->files->lock);
    old = file->path;
    file->path = xstrdup(path);
    lock_drop(&file->files->lock);
    free(old);
}

void file_keep_closed(struct file *file)
{
    struct files *files = file->files;
    int fd = -1;

    lock_take(&files->lock);
    file->is_kept_closed = true;
    if (file->fd >= 0 && file->pins == 0)
        fd = let_go_locked(files, file);
    lock_drop(&files->lock);
    if (fd >= 0)
        disk_close(files->disk, fd);
}

enum err file_pread(struct file *file, void *into, size_t len, int64_t pos, size_t *got)
{
    int fd;
    enum err err = file_pin(file, &fd);

    if (err != ERR_OK)
        return err;
    err = disk_pread(file->files->disk, fd, into, len, pos, got);
    file_unpin(file);
    return err;
}

enum err file_pwrite(struct file *file, const void *from, size_t len, int64_t pos)
{
    int fd;
    enum err err = file_pin(file, &fd);

    if (err != ERR_OK)
        return err;
    err = disk_pwrite(file->files->disk, fd, from, len, pos);
    file_unpin(file);
    return err;
}

enum err file_truncate(struct file *file, int64_t size)
{
    int fd;
    enum err err = file_pin(file, &fd);

    if (err != ERR_OK)
        return err;
    err = disk_truncate(file->files->disk, fd, size);
    file_unpin(file);
    return err;
}

enum err file_sync(struct file *file)
{
    int fd;
    enum err err = file_pin(file, &fd);

    if (err != ERR_OK)
        return err;
    err = disk_sync_data(file->files->disk, fd);
    file_unpin(file);
    return err;
}
