/*
 * The operating system's files. A write goes on after a short count and after EINTR; what remains
 * an error is errno's. Positions are always given, so no file has a hidden one that threads could
 * share.
 */
#include "common/io/disk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common/base/mem.h"

#define PROBE_STEP         (128 * 1024)
#define PROBES_MAX         10
#define PIECES_MAX         16
#define LOCK_MODE          0644
#define FOLDER_MODE        0755
#define XFS_MAGIC          0x58465342 /* not in linux/magic.h everywhere */

#define RESERVE_FREE_SHARE 20 /* of the blocks: less free than one in so many, nothing is taken */

static enum err posix_open(struct disk *disk, const char *path, int flags, int *file)
{
    int how = O_CLOEXEC | ((flags & DISK_WRITE) ? O_RDWR : O_RDONLY);

    (void)disk;
    how |= (flags & DISK_CREATE) ? O_CREAT : 0;
    how |= (flags & DISK_EXCLUSIVE) ? O_EXCL : 0;
    how |= (flags & DISK_TRUNCATE) ? O_TRUNC : 0;
    do
        *file = open(path, how, LOCK_MODE);
    while (*file < 0 && errno == EINTR);
    return *file < 0 ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_close(struct disk *disk, int file)
{
    (void)disk;
    return close(file) < 0 && errno != EINTR ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_pread(struct disk *disk, int file, void *into, size_t len, int64_t pos,
                            size_t *got)
{
    size_t done = 0;

    (void)disk;
    while (done < len) {
        ssize_t n = pread(file, (char *)into + done, len - done, pos + (int64_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return ERR_OK;
}

static bool is_page_warm(int file, int64_t pos)
{
    char byte;
    struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

    return preadv2(file, &iov, 1, pos, RWF_NOWAIT) >= 0 || errno != EAGAIN;
}

static bool posix_is_warm(struct disk *disk, int file, int64_t pos, size_t len)
{
    size_t step = PROBE_STEP;

    (void)disk;
    if (len == 0)
        return true;
    if (len / step > PROBES_MAX - 2)
        step = len / (PROBES_MAX - 2);
    for (size_t at = 0; at < len; at += step)
        if (!is_page_warm(file, pos + (int64_t)at))
            return false;
    return is_page_warm(file, pos + (int64_t)len - 1);
}

static enum err posix_pwritev(struct disk *disk, int file, const struct iovec *iov, int iov_count,
                              int64_t pos)
{
    struct iovec left[PIECES_MAX];
    struct iovec *next = left;

    (void)disk;
    assert(iov_count > 0 && iov_count <= PIECES_MAX);
    memcpy(left, iov, sizeof *iov * (size_t)iov_count);
    while (iov_count > 0) {
        ssize_t n = pwritev(file, next, iov_count, pos);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        pos += n;
        while (iov_count > 0 && (size_t)n >= next->iov_len) {
            n -= (ssize_t)next->iov_len;
            next++;
            iov_count--;
        }
        if (iov_count > 0) {
            next->iov_base = (char *)next->iov_base + n;
            next->iov_len -= (size_t)n;
        }
    }
    return ERR_OK;
}

static enum err posix_sync_data(struct disk *disk, int file)
{
    (void)disk;
    while (fdatasync(file) < 0)
        if (errno != EINTR)
            return err_from_errno(errno);
    return ERR_OK;
}

static enum err posix_sync(struct disk *disk, int file)
{
    (void)disk;
    while (fsync(file) < 0)
        if (errno != EINTR)
            return err_from_errno(errno);
    return ERR_OK;
}

static enum err posix_sync_dir(struct disk *disk, const char *path)
{
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err err;

    if (file < 0)
        return err_from_errno(errno);
    err = posix_sync(disk, file);
    close(file);
    return err;
}

/* Since Linux 5.8 syncfs(2) tells of failed writes. A file system that is stacked on another one
 * or lives in a process does not hear of them, or not in time: those on which it is known to work.
 */
static bool posix_can_sync_all(struct disk *disk, int file)
{
    static const uint32_t kinds[] = { EXT4_SUPER_MAGIC, XFS_MAGIC, BTRFS_SUPER_MAGIC,
                                      F2FS_SUPER_MAGIC, TMPFS_MAGIC };
    struct utsname name;
    struct statfs fs;
    int major;
    int minor;

    (void)disk;
    if (uname(&name) < 0 || sscanf(name.release, "%d.%d", &major, &minor) != 2 || major < 5 ||
        (major == 5 && minor < 8) || fstatfs(file, &fs) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    return false;
}

static enum err posix_sync_all(struct disk *disk, int file)
{
    (void)disk;
    while (syncfs(file) < 0)
        if (errno != EINTR)
            return err_from_errno(errno);
    return ERR_OK;
}

static void posix_write_out(struct disk *disk, int file, int64_t pos, int64_t len)
{
    (void)disk;
    sync_file_range(file, pos, len, SYNC_FILE_RANGE_WRITE);
}

/* ext4 that delays allocation makes a reservation for each page that is written, at the cost of a
 * third of writing it; with the blocks there it is spared that. XFS reserves ahead by itself, and
 * where blocks are copied on writing it would be of no use. */
static bool posix_reserve(struct disk *disk, int file, int64_t pos, int64_t len)
{
    struct statfs fs;

    (void)disk;
    if (fstatfs(file, &fs) < 0 || fs.f_type != EXT4_SUPER_MAGIC ||
        fs.f_bavail < fs.f_blocks / RESERVE_FREE_SHARE)
        return false;
    return fallocate(file, FALLOC_FL_KEEP_SIZE, pos, len) == 0;
}

static enum err posix_size(struct disk *disk, int file, int64_t *size)
{
    struct stat st;

    (void)disk;
    if (fstat(file, &st) < 0)
        return err_from_errno(errno);
    *size = st.st_size;
    return ERR_OK;
}

static enum err posix_truncate(struct disk *disk, int file, int64_t size)
{
    (void)disk;
    while (ftruncate(file, size) < 0)
        if (errno != EINTR)
            return err_from_errno(errno);
    return ERR_OK;
}

static enum err posix_stat(struct disk *disk, const char *path, struct disk_stat *out)
{
    struct stat st;

    (void)disk;
    if (stat(path, &st) < 0)
        return err_from_errno(errno);
    out->size = st.st_size;
    out->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    out->is_dir = S_ISDIR(st.st_mode);
    return ERR_OK;
}

static enum err posix_set_mtime(struct disk *disk, const char *path, int64_t mtime_ms)
{
    struct timespec times[2] = {
        { .tv_nsec = UTIME_OMIT },
        { .tv_sec = mtime_ms / 1000, .tv_nsec = mtime_ms % 1000 * 1000000 },
    };

    (void)disk;
    return utimensat(AT_FDCWD, path, times, 0) < 0 ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_rename(struct disk *disk, const char *from, const char *to)
{
    (void)disk;
    return rename(from, to) < 0 ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_unlink(struct disk *disk, const char *path)
{
    (void)disk;
    return unlink(path) < 0 ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_mkdir(struct disk *disk, const char *path)
{
    (void)disk;
    return mkdir(path, FOLDER_MODE) < 0 ? err_from_errno(errno) : ERR_OK;
}

static enum err posix_rmdir(struct disk *disk, const char *path)
{
    (void)disk;
    return rmdir(path) < 0 ? err_from_errno(errno) : ERR_OK;
}

static bool is_dir(const char *folder, const struct dirent *entry)
{
    char path[DISK_PATH_MAX];
    struct stat st;

    if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK)
        return entry->d_type == DT_DIR;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum err posix_list(struct disk *disk, const char *path, disk_name_fn each, void *ctx)
{
    DIR *dir = opendir(path);
    enum err err = ERR_OK;

    (void)disk;
    if (dir == NULL)
        return err_from_errno(errno);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);

        if (entry == NULL) {
            err = errno != 0 ? err_from_errno(errno) : ERR_OK;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(ctx, entry->d_name, is_dir(path, entry));
    }
    closedir(dir);
    return err;
}

static enum err posix_lock(struct disk *disk, const char *path, int *file)
{
    enum err err = posix_open(disk, path, DISK_WRITE | DISK_CREATE, file);
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (err != ERR_OK)
        return err;
    /* Both kinds: Java takes the POSIX lock, but that one does not hold within one process. */
    if (flock(*file, LOCK_EX | LOCK_NB) == 0 && fcntl(*file, F_SETLK, &whole) == 0)
        return ERR_OK;
    err = errno == EWOULDBLOCK || errno == EACCES ? ERR_LOCKED : err_from_errno(errno);
    close(*file);
    return err;
}

static enum err posix_space(struct disk *disk, const char *path, int64_t *free_bytes,
                            int64_t *total_bytes)
{
    struct statvfs vfs;

    (void)disk;
    if (statvfs(path, &vfs) < 0)
        return err_from_errno(errno);
    *free_bytes = (int64_t)(vfs.f_bavail * vfs.f_frsize);
    *total_bytes = (int64_t)(vfs.f_blocks * vfs.f_frsize);
    return ERR_OK;
}

struct disk *disk_posix(void)
{
    static const struct disk_ops ops = {
        .open = posix_open,
        .close = posix_close,
        .pread = posix_pread,
        .is_warm = posix_is_warm,
        .pwritev = posix_pwritev,
        .sync_data = posix_sync_data,
        .sync = posix_sync,
        .sync_dir = posix_sync_dir,
        .can_sync_all = posix_can_sync_all,
        .sync_all = posix_sync_all,
        .write_out = posix_write_out,
        .reserve = posix_reserve,
        .size = posix_size,
        .truncate = posix_truncate,
        .stat = posix_stat,
        .set_mtime = posix_set_mtime,
        .rename = posix_rename,
        .unlink = posix_unlink,
        .mkdir = posix_mkdir,
        .rmdir = posix_rmdir,
        .list = posix_list,
        .lock = posix_lock,
        .space = posix_space,
    };
    static struct disk disk = { .ops = &ops };

    return &disk;
}
