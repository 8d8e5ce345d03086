/*
 * log_file - a file of a log directory, read only and by position: entries of a .log one after the
 * other, in memory through a window that moves.
 *
 * Walking follows Kafka's FileLogInputStream: an entry is what its length field says, whatever its
 * magic; less than a header or than the length at the end is no entry.
 *
 * Units:      positions and sizes are bytes.
 * Ownership:  what is shown is the file's, until the next call.
 * Threads:    one.
 * Errors:     those of common/io/disk; ERR_CORRUPT_MESSAGE for a length that no entry has.
 */
#ifndef CONTROLLER_CLI_LOG_FILE_H
#define CONTROLLER_CLI_LOG_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "common/io/disk.h"

struct log_file {
    struct disk *disk;
    int fd;
    int64_t size;    /* when it was opened */
    int64_t pos;     /* of the window */
    size_t len;      /* of the window */
    size_t cap;      /* of its memory */
    uint8_t *window; /* [o] */
};

MUST_USE enum err log_file_open(struct log_file *file, const char *path);
void log_file_close(struct log_file *file);

/* len bytes at pos; ERR_NOT_FOUND when the file ends before. */
MUST_USE enum err log_file_show(struct log_file *file, int64_t pos, size_t len,
                                const uint8_t **bytes);
/* The entry at pos and its size, within end. ERR_NOT_FOUND: nothing whole is left. An entry of
 * magic 2 shows at least a header, even when it says that it is smaller. */
MUST_USE enum err log_file_entry(struct log_file *file, int64_t pos, int64_t end,
                                 const uint8_t **entry, size_t *size);

#endif
