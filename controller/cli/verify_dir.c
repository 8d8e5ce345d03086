/*
 * A directory of logs: whose it is, how it was left, whether somebody has it now, and what its
 * checkpoints say. The lock is only asked about: taking it would make the file.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "controller/cli/verify_int.h"

#define PARTING_BYTES 33 /* "." and 32 hex digits before -future and the like */

bool verify_parse_name(const char *name, char **topic, int32_t *partition, bool *is_future)
{
    static const char future[] = "-future";
    size_t len = strlen(name), tail = sizeof future - 1;
    int64_t number;

    *is_future = len > tail && strcmp(name + len - tail, future) == 0;
    if (*is_future) {
        if (len <= tail + PARTING_BYTES || name[len - tail - PARTING_BYTES] != '.')
            return false;
        len -= tail + PARTING_BYTES;
    }
    size_t dash = len;

    while (dash > 0 && name[dash - 1] != '-')
        dash--;
    if (dash < 2 || !str_to_i64((struct str){ name + dash, len - dash }, &number) || number < 0 ||
        number > INT32_MAX)
        return false;
    *topic = xstrndup(name, dash - 1);
    *partition = (int32_t)number;
    return true;
}

/* Java locks with fcntl, ours is both. */
static bool is_locked(const char *path)
{
    struct flock whole = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool locked;

    if (fd < 0)
        return false;
    locked = fcntl(fd, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    if (!locked && flock(fd, LOCK_SH | LOCK_NB) != 0)
        locked = true;
    close(fd);
    return locked;
}

static bool exists(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    struct disk_stat stat;
    bool there = disk_stat(disk_posix(), path, &stat) == ERR_OK;

    free(path);
    return there;
}

static bool read_checkpoint(struct verify_dir *dir, const char *name, struct checkpoint *out)
{
    char *path = xasprintf("%s/%s", dir->path, name);
    enum err err = checkpoint_read(disk_posix(), path, out);

    if (err != ERR_OK && dir->is_data_dir)
        verify_find(&dir->findings, FLAW_checkpoint_damaged, path, -1, -1, "%s", err_text(err));
    free(path);
    if (err != ERR_OK) {
        checkpoint_fini(out);
        checkpoint_init(out);
    }
    checkpoint_sort(out);
    return err == ERR_OK;
}

static void read_meta(struct verify_dir *dir)
{
    char *path = xasprintf("%s/" META_FILE, dir->path);
    struct meta meta;
    enum err err = meta_file_read(disk_posix(), path, &meta);

    if (err == ERR_NOT_FOUND)
        verify_find(&dir->findings, FLAW_meta_missing, path, -1, -1, "it is not there");
    else if (err != ERR_OK)
        verify_find(&dir->findings, FLAW_meta_damaged, path, -1, -1, "%s", err_text(err));
    else if (meta.version != 0)
        verify_find(&dir->findings, FLAW_meta_damaged, path, -1, -1,
                    "version %d, which is that of a KRaft broker", meta.version);
    else if (meta.broker_id < 0 || meta.cluster_id[0] == '\0')
        verify_find(&dir->findings, FLAW_meta_damaged, path, -1, -1,
                    "it names no broker or no cluster");
    free(path);
}

void verify_dir_init(struct verify_dir *dir, const char *path, bool is_data_dir)
{
    char *lock = xasprintf("%s/" LOCK_FILE, path);

    *dir = (struct verify_dir){ .path = path, .is_data_dir = is_data_dir };
    checkpoint_init(&dir->recovery);
    checkpoint_init(&dir->starts);
    checkpoint_init(&dir->hws);
    checkpoint_init(&dir->cleaned);
    dir->was_clean = exists(path, CLEAN_MARK_FILE);
    dir->in_use = is_locked(lock);
    dir->has_recovery = read_checkpoint(dir, RECOVERY_POINT_FILE, &dir->recovery);
    dir->has_starts = read_checkpoint(dir, LOG_START_FILE, &dir->starts);
    dir->has_hws = read_checkpoint(dir, HW_FILE, &dir->hws);
    (void)read_checkpoint(dir, CLEANER_FILE, &dir->cleaned);
    if (is_data_dir)
        read_meta(dir);
    if (dir->in_use)
        verify_find(&dir->findings, FLAW_in_use, lock, -1, -1, "it is locked");
    free(lock);
}

void verify_dir_fini(struct verify_dir *dir)
{
    checkpoint_fini(&dir->recovery);
    checkpoint_fini(&dir->starts);
    checkpoint_fini(&dir->hws);
    checkpoint_fini(&dir->cleaned);
    findings_fini(&dir->findings);
}
