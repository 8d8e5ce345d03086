/*
 * The window is read a megabyte at a time: small enough to stay in cache while a checksum is
 * computed over it, large enough that calls do not count. It grows for an entry that is larger.
 */
#include "controller/cli/log_file.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"

#define WINDOW_BYTES ((size_t)1 << 20)

enum err log_file_open(struct log_file *file, const char *path)
{
    *file = (struct log_file){ .disk = disk_posix(), .fd = -1 };
    enum err err = disk_open(file->disk, path, DISK_READ, &file->fd);

    if (err != ERR_OK)
        return err;
    err = disk_size(file->disk, file->fd, &file->size);
    if (err != ERR_OK)
        log_file_close(file);
    return err;
}

void log_file_close(struct log_file *file)
{
    if (file->fd >= 0)
        disk_close(file->disk, file->fd);
    file->fd = -1;
    free(file->window);
    file->window = NULL;
    file->len = file->cap = 0;
}

/* Makes the window begin at pos and hold at least len bytes, if the file has them. */
static enum err move(struct log_file *file, int64_t pos, size_t len)
{
    size_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;

    if ((int64_t)want > file->size - pos)
        want = (size_t)(file->size - pos);
    if (want > file->cap) {
        free(file->window);
        file->window = xmalloc(want);
        file->cap = want;
    }
    file->len = 0;
    enum err err = disk_pread(file->disk, file->fd, file->window, want, pos, &file->len);

    file->pos = pos;
    if (err != ERR_OK)
        file->len = 0;
    return err;
}

enum err log_file_show(struct log_file *file, int64_t pos, size_t len, const uint8_t **bytes)
{
    assert(pos >= 0);
    if (pos > file->size || (int64_t)len > file->size - pos)
        return ERR_NOT_FOUND;
    if (pos < file->pos || pos + (int64_t)len > file->pos + (int64_t)file->len) {
        enum err err = move(file, pos, len);

        if (err != ERR_OK)
            return err;
        if (len > file->len)
            return ERR_NOT_FOUND; /* it was cut since it was opened */
    }
    *bytes = file->window != NULL ? file->window + (pos - file->pos) : (const uint8_t *)"";
    return ERR_OK;
}

enum err log_file_entry(struct log_file *file, int64_t pos, int64_t end, const uint8_t **entry,
                        size_t *size)
{
    const uint8_t *bytes;

    if (end > file->size)
        end = file->size;
    if (end - pos <= BATCH_PEEK_BYTES)
        return ERR_NOT_FOUND;
    enum err err = log_file_show(file, pos, BATCH_PEEK_BYTES, &bytes);

    if (err != ERR_OK)
        return err;
    int64_t length = load_i32(bytes + BATCH_POS_LENGTH);

    if (length < BATCH_LEGACY_BYTES)
        return ERR_CORRUPT_MESSAGE;
    if (length > end - pos - BATCH_PREFIX_BYTES)
        return ERR_NOT_FOUND;
    *size = BATCH_PREFIX_BYTES + (size_t)length;
    size_t show = *size;

    if (batch_magic(bytes) >= 2 && show < BATCH_HEADER_BYTES)
        show = BATCH_HEADER_BYTES;
    err = log_file_show(file, pos, show, entry);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT_MESSAGE : err;
}
