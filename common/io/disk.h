/*
 * disk - the seam to files: a table of functions, the real one here, a forgetful one in tests/kit.
 *
 * Units:      sizes and positions are bytes, times are wall-clock ms.
 * Ownership:  paths are the caller's. A file number from disk_open() is given back to disk_close();
 *             those of disk_posix() are file descriptors and may be handed to sendfile(2).
 * Threads:    any, on the real disk.
 * Errors:     ERR_NO_SPACE, ERR_NOT_FOUND, ERR_EXISTS, ERR_LOCKED, else ERR_IO. Short writes and
 *             interruptions are dealt with inside. After a failed sync the state of the file is
 *             unknown; the caller must never take a later success for it.
 */
#ifndef COMMON_IO_DISK_H
#define COMMON_IO_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "common/base/err.h"

#define DISK_PATH_MAX 4096

/* How to open. Without DISK_WRITE a file is read only. */
enum disk_open_flags {
    DISK_READ = 0,
    DISK_WRITE = 1,
    DISK_CREATE = 2,    /* make it when it is missing */
    DISK_EXCLUSIVE = 4, /* with DISK_CREATE: ERR_EXISTS when it is there */
    DISK_TRUNCATE = 8,
};

struct disk_stat {
    int64_t size;
    int64_t mtime_ms;
    bool is_dir;
};

/* One name in a directory; never "." or "..". */
typedef void (*disk_name_fn)(void *ctx, const char *name, bool is_dir);

struct disk;

struct disk_ops {
    enum err (*open)(struct disk *disk, const char *path, int flags, int *file);
    enum err (*close)(struct disk *disk, int file);
    enum err (*pread)(struct disk *disk, int file, void *into, size_t len, int64_t pos,
                      size_t *got);
    bool (*is_warm)(struct disk *disk, int file, int64_t pos, size_t len);
    enum err (*pwritev)(struct disk *disk, int file, const struct iovec *iov, int iov_count,
                        int64_t pos);
    enum err (*sync_data)(struct disk *disk, int file);
    enum err (*sync)(struct disk *disk, int file);
    enum err (*sync_dir)(struct disk *disk, const char *path);
    bool (*can_sync_all)(struct disk *disk, int file);
    enum err (*sync_all)(struct disk *disk, int file);
    void (*write_out)(struct disk *disk, int file, int64_t pos, int64_t len);
    bool (*reserve)(struct disk *disk, int file, int64_t pos, int64_t len);
    enum err (*size)(struct disk *disk, int file, int64_t *size);
    enum err (*truncate)(struct disk *disk, int file, int64_t size);
    enum err (*stat)(struct disk *disk, const char *path, struct disk_stat *out);
    enum err (*set_mtime)(struct disk *disk, const char *path, int64_t mtime_ms);
    enum err (*rename)(struct disk *disk, const char *from, const char *to);
    enum err (*unlink)(struct disk *disk, const char *path);
    enum err (*mkdir)(struct disk *disk, const char *path);
    enum err (*rmdir)(struct disk *disk, const char *path);
    enum err (*list)(struct disk *disk, const char *path, disk_name_fn each, void *ctx);
    enum err (*lock)(struct disk *disk, const char *path, int *file);
    enum err (*space)(struct disk *disk, const char *path, int64_t *free_bytes,
                      int64_t *total_bytes);
};

struct disk {
    const struct disk_ops *ops; /* [I] */
};

/* The operating system's. Never freed. */
struct disk *disk_posix(void);

static inline MUST_USE enum err disk_open(struct disk *disk, const char *path, int flags, int *file)
{
    return disk->ops->open(disk, path, flags, file);
}

static inline enum err disk_close(struct disk *disk, int file)
{
    return disk->ops->close(disk, file);
}

/* Reads until len bytes or the end of the file; *got says how many. */
static inline MUST_USE enum err disk_pread(struct disk *disk, int file, void *into, size_t len,
                                           int64_t pos, size_t *got)
{
    return disk->ops->pread(disk, file, into, len, pos, got);
}

/* True when [pos, pos + len) is most likely in memory: its first and last page and every 128 KiB
 * between are probed, at most 10 probes. Never waits for the disk. */
static inline bool disk_is_warm(struct disk *disk, int file, int64_t pos, size_t len)
{
    return disk->ops->is_warm(disk, file, pos, len);
}

/* All of it or an error; after an error part of it may be there. At most 16 pieces. */
static inline MUST_USE enum err disk_pwritev(struct disk *disk, int file, const struct iovec *iov,
                                             int iov_count, int64_t pos)
{
    return disk->ops->pwritev(disk, file, iov, iov_count, pos);
}

static inline MUST_USE enum err disk_pwrite(struct disk *disk, int file, const void *from,
                                            size_t len, int64_t pos)
{
    union {
        const void *in;
        void *out;
    } bytes = { .in = from }; /* struct iovec knows no const */
    struct iovec iov = { .iov_base = bytes.out, .iov_len = len };

    return disk->ops->pwritev(disk, file, &iov, 1, pos);
}

/* The content and what is needed to read it back. */
static inline MUST_USE enum err disk_sync_data(struct disk *disk, int file)
{
    return disk->ops->sync_data(disk, file);
}

static inline MUST_USE enum err disk_sync(struct disk *disk, int file)
{
    return disk->ops->sync(disk, file);
}

/* Names that were made, renamed or removed in the directory. */
static inline MUST_USE enum err disk_sync_dir(struct disk *disk, const char *path)
{
    return disk->ops->sync_dir(disk, path);
}

/*
 * Everything on the file system that the open file is on, names included, as of this call; for the
 * price of a few syncs. Only a file system of which a failed write is certain to be told will do:
 * disk_can_sync_all(). The error of a write since the file was opened, or since the last call on
 * it, is told; whose file that was is not.
 */
static inline MUST_USE enum err disk_sync_all(struct disk *disk, int file)
{
    return disk->ops->sync_all(disk, file);
}

static inline bool disk_can_sync_all(struct disk *disk, int file)
{
    return disk->ops->can_sync_all(disk, file);
}

/* Starts writing dirty pages of the range without waiting; promises nothing. */
static inline void disk_write_out(struct disk *disk, int file, int64_t pos, int64_t len)
{
    disk->ops->write_out(disk, file, pos, len);
}

/* Takes room for [pos, pos + len) where that makes writing there cheaper; the file stays as long as
 * it is, and disk_truncate() to its own size gives back what was not used. False: not taken. */
static inline bool disk_reserve(struct disk *disk, int file, int64_t pos, int64_t len)
{
    return disk->ops->reserve(disk, file, pos, len);
}

static inline MUST_USE enum err disk_size(struct disk *disk, int file, int64_t *size)
{
    return disk->ops->size(disk, file, size);
}

/* Shorter or longer; new bytes are zero. */
static inline MUST_USE enum err disk_truncate(struct disk *disk, int file, int64_t size)
{
    return disk->ops->truncate(disk, file, size);
}

static inline MUST_USE enum err disk_stat(struct disk *disk, const char *path,
                                          struct disk_stat *out)
{
    return disk->ops->stat(disk, path, out);
}

static inline MUST_USE enum err disk_set_mtime(struct disk *disk, const char *path,
                                               int64_t mtime_ms)
{
    return disk->ops->set_mtime(disk, path, mtime_ms);
}

/* Replaces what `to` names. */
static inline MUST_USE enum err disk_rename(struct disk *disk, const char *from, const char *to)
{
    return disk->ops->rename(disk, from, to);
}

static inline enum err disk_unlink(struct disk *disk, const char *path)
{
    return disk->ops->unlink(disk, path);
}

static inline MUST_USE enum err disk_mkdir(struct disk *disk, const char *path)
{
    return disk->ops->mkdir(disk, path);
}

static inline enum err disk_rmdir(struct disk *disk, const char *path)
{
    return disk->ops->rmdir(disk, path);
}

/* Calls each() for every name, in no order. */
static inline MUST_USE enum err disk_list(struct disk *disk, const char *path, disk_name_fn each,
                                          void *ctx)
{
    return disk->ops->list(disk, path, each, ctx);
}

/* Makes the file when missing and locks it for this process until disk_close(); ERR_LOCKED. */
static inline MUST_USE enum err disk_lock(struct disk *disk, const char *path, int *file)
{
    return disk->ops->lock(disk, path, file);
}

static inline MUST_USE enum err disk_space(struct disk *disk, const char *path, int64_t *free_bytes,
                                           int64_t *total_bytes)
{
    return disk->ops->space(disk, path, free_bytes, total_bytes);
}

/* Helpers over any disk. --------------------------------------------------------------------- */

/* A directory and all in it; a missing one is fine. */
MUST_USE enum err disk_remove_tree(struct disk *disk, const char *path);
/* Makes every missing directory on the way. */
MUST_USE enum err disk_make_dirs(struct disk *disk, const char *path);
/* The whole file, NUL-terminated, malloc'ed; ERR_TOO_LARGE beyond max bytes. */
MUST_USE enum err disk_read_file(struct disk *disk, const char *path, size_t max, char **content,
                                 size_t *len);
/* Writes PATH.tmp and leaves it there, not synced; after an error there is none. */
MUST_USE enum err disk_draft_file(struct disk *disk, const char *path, const void *content,
                                  size_t len);
/* Writes PATH.tmp, syncs it, renames it over path; sync_dir also syncs the directory it is in. */
MUST_USE enum err disk_replace_file(struct disk *disk, const char *path, const void *content,
                                    size_t len, bool sync_dir);

#endif
