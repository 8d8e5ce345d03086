/*
 * What can be said in terms of the seam's functions, for the real disk and any other.
 */
#include "common/io/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct name_list {
    char **names;
    bool *is_dir;
    size_t count;
    size_t cap;
    size_t dir_cap;
};

static void name_add(void *ctx, const char *name, bool is_dir)
{
    struct name_list *list = ctx;

    array_reserve(&list->names, &list->cap, list->count, sizeof *list->names);
    array_reserve(&list->is_dir, &list->dir_cap, list->count, sizeof *list->is_dir);
    list->names[list->count] = xstrdup(name);
    list->is_dir[list->count++] = is_dir;
}

enum err disk_remove_tree(struct disk *disk, const char *path)
{
    struct name_list list = { 0 };
    enum err err = disk_list(disk, path, name_add, &list);

    for (size_t i = 0; i < list.count; i++) {
        char *child = xasprintf("%s/%s", path, list.names[i]);
        enum err one = list.is_dir[i] ? disk_remove_tree(disk, child) : disk_unlink(disk, child);

        if (one != ERR_OK && one != ERR_NOT_FOUND && err == ERR_OK)
            err = one;
        free(child);
        free(list.names[i]);
    }
    free(list.names);
    free(list.is_dir);
    if (err == ERR_OK)
        err = disk_rmdir(disk, path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err disk_make_dirs(struct disk *disk, const char *path)
{
    char *part = xstrdup(path);
    enum err err = ERR_OK;

    for (char *at = part + 1; err == ERR_OK; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        bool is_last = *at == '\0';
        struct disk_stat st;

        *at = '\0';
        err = disk_stat(disk, part, &st);
        if (err == ERR_NOT_FOUND)
            err = disk_mkdir(disk, part);
        if (err == ERR_EXISTS)
            err = ERR_OK;
        if (is_last)
            break;
        *at = '/';
    }
    free(part);
    return err;
}

enum err disk_read_file(struct disk *disk, const char *path, size_t max, char **content,
                        size_t *len)
{
    int file;
    int64_t size;
    size_t got = 0;
    char *bytes = NULL;
    enum err err = disk_open(disk, path, DISK_READ, &file);

    if (err != ERR_OK)
        return err;
    err = disk_size(disk, file, &size);
    if (err == ERR_OK && (uint64_t)size > max)
        err = ERR_TOO_LARGE;
    if (err == ERR_OK) {
        bytes = xmalloc((size_t)size + 1);
        err = disk_pread(disk, file, bytes, (size_t)size, 0, &got);
    }
    disk_close(disk, file);
    if (err != ERR_OK) {
        free(bytes);
        return err;
    }
    bytes[got] = '\0';
    *content = bytes;
    *len = got;
    return ERR_OK;
}

static enum err sync_parent(struct disk *disk, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash - path));
    enum err err = disk_sync_dir(disk, *parent == '\0' ? "/" : parent);

    free(parent);
    return err;
}

static enum err write_whole(struct disk *disk, const char *path, const void *content, size_t len,
                            bool sync)
{
    int file;
    enum err err = disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);

    if (err != ERR_OK)
        return err;
    if (len > 0)
        err = disk_pwrite(disk, file, content, len, 0);
    if (err == ERR_OK && sync)
        err = disk_sync(disk, file);
    enum err closed = disk_close(disk, file);

    return err == ERR_OK ? closed : err;
}

enum err disk_draft_file(struct disk *disk, const char *path, const void *content, size_t len)
{
    char *temp = xasprintf("%s.tmp", path);
    enum err err = write_whole(disk, temp, content, len, false);

    if (err != ERR_OK)
        disk_unlink(disk, temp);
    free(temp);
    return err;
}

enum err disk_replace_file(struct disk *disk, const char *path, const void *content, size_t len,
                           bool sync_dir)
{
    char *temp = xasprintf("%s.tmp", path);
    enum err err = write_whole(disk, temp, content, len, true);

    if (err == ERR_OK)
        err = disk_rename(disk, temp, path);
    if (err == ERR_OK && sync_dir)
        err = sync_parent(disk, path);
    if (err != ERR_OK)
        disk_unlink(disk, temp);
    free(temp);
    return err;
}
