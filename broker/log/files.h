/*
 * files - files that are opened on demand, in a bounded number, and lent by counted references.
 *
 * A log has hundreds of segments and a broker thousands of logs; few of their files are in use at a
 * time. A file is opened by the first file_pin(), stays open while it is pinned and for as long
 * after as the bound allows; then the one that was not used for longest is closed.
 *
 * Ownership:  file_new() gives one reference; a range that waits in a socket's queue holds another.
 *             The path may be renamed or removed under an open file; file_renamed() tells.
 * Threads:    any; one short lock for the whole set. Opening happens outside it.
 */
#ifndef BROKER_LOG_FILES_H
#define BROKER_LOG_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "common/io/disk.h"

struct files;
struct file;

struct files *files_new(struct disk *disk, size_t max_open);
/* All files must be gone. */
void files_free(struct files **files);
size_t files_open_count(struct files *files);
struct disk *files_disk(const struct files *files);

/* Names a file; does not touch the disk. Opened for reading and writing; ERR_NOT_FOUND while it is
 * missing. */
struct file *file_new(struct files *files, const char *path);
struct file *file_ref(struct file *file);
/* The last one closes. */
void file_unref(struct file **file);

/* Opens it if it is not and keeps it so until file_unpin(); *fd is for struct disk. */
MUST_USE enum err file_pin(struct file *file, int *fd);
void file_unpin(struct file *file);

/* Makes the file when it is missing. */
MUST_USE enum err file_make(struct file *file);
void file_renamed(struct file *file, const char *path);
/* From now on it is open only while it is pinned: what is removed takes no room for our sake. */
void file_keep_closed(struct file *file);

/* One call each, pinned meanwhile. */
MUST_USE enum err file_pread(struct file *file, void *into, size_t len, int64_t pos, size_t *got);
MUST_USE enum err file_pwrite(struct file *file, const void *from, size_t len, int64_t pos);
MUST_USE enum err file_truncate(struct file *file, int64_t size);
MUST_USE enum err file_sync(struct file *file);

#endif
