/*
 * The files of a segment by their names: renamed, removed, kept closed. Whoever has one of them
 * open goes on reading it; who opens it later does so by the name that it was given last.
 */
#include <stdlib.h>

#include "broker/log/segment.h"
#include "common/base/mem.h"

const char *const segment_endings[SEGMENT_FILES] = { ".log", ".index", ".timeindex", ".txnindex" };

static void get_files(const struct segment *segment, struct file *files[SEGMENT_FILES])
{
    files[SEGMENT_LOG] = segment->file;
    files[SEGMENT_INDEX] = segment->offsets.file;
    files[SEGMENT_TIME] = segment->times.file;
    files[SEGMENT_TXN] = segment->txn_file;
}

void segment_keep_closed(struct segment *segment)
{
    struct file *files[SEGMENT_FILES];

    get_files(segment, files);
    for (int i = 0; i < SEGMENT_FILES; i++)
        file_keep_closed(files[i]);
}

void segment_name_files(struct segment *segment, const char *ending)
{
    struct file *files[SEGMENT_FILES];

    get_files(segment, files);
    for (int i = 0; i < SEGMENT_FILES; i++) {
        char *path = xasprintf("%s%s%s", segment->stem, segment_endings[i], ending);

        file_renamed(files[i], path);
        free(path);
    }
}

enum err segment_rename(struct segment *segment, const char *from_ending, const char *to_ending)
{
    struct disk *disk = files_disk(segment->files);
    struct file *files[SEGMENT_FILES];
    enum err result = ERR_OK;

    get_files(segment, files);
    for (int i = 0; i < SEGMENT_FILES; i++) {
        char *from = xasprintf("%s%s%s", segment->stem, segment_endings[i], from_ending);
        char *to = xasprintf("%s%s%s", segment->stem, segment_endings[i], to_ending);
        enum err err = disk_rename(disk, from, to);

        if (err == ERR_OK || err == ERR_NOT_FOUND)
            file_renamed(files[i], to);
        else if (result == ERR_OK)
            result = err;
        free(from);
        free(to);
    }
    return result;
}

/* Whoever still has the segment must not open another one that gets its name. */
enum err segment_remove(struct segment *segment)
{
    enum err result = ERR_OK;

    for (int i = 0; i < SEGMENT_FILES; i++) {
        char *path = xasprintf("%s%s", segment->stem, segment_endings[i]);
        enum err err = disk_unlink(files_disk(segment->files), path);

        if (err != ERR_OK && err != ERR_NOT_FOUND && result == ERR_OK)
            result = err;
        free(path);
    }
    segment_name_files(segment, ".deleted");
    return result;
}
