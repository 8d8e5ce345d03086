/*
 * A window of one block moves over the file. Small batches are found several to a window; for large
 * ones only the block with the header is read.
 *
 * Damage has no frames: behind it, every byte that could be the format of a batch whose header
 * makes sense is tried, and the checksum decides.
 */
#include "broker/log/scan.h"

#include <string.h>

#define FIND_BYTES (1 << 20)

void scan_init(struct scan *scan, struct file *file, int64_t pos, int64_t end)
{
    scan->file = file;
    scan->next = pos;
    scan->end = end;
    scan->window_pos = pos;
    scan->window_len = 0;
}

/* Makes the window show the header at scan->next; *len is how much of the batch it shows. */
static enum err show(struct scan *scan, const uint8_t **at, size_t *len)
{
    int64_t from = scan->next - scan->window_pos;
    int64_t left = scan->end - scan->next;
    int64_t want = left < BATCH_HEADER_BYTES ? left : BATCH_HEADER_BYTES;

    if (from < 0 || from + want > (int64_t)scan->window_len) {
        size_t room = left < SCAN_WINDOW_BYTES ? (size_t)left : SCAN_WINDOW_BYTES;
        enum err err = file_pread(scan->file, scan->window, room, scan->next, &scan->window_len);

        if (err == ERR_NOT_FOUND)
            return ERR_CLOSED;
        if (err != ERR_OK)
            return err;
        scan->window_pos = scan->next;
        from = 0;
    }
    *at = scan->window + from;
    *len = scan->window_len - (size_t)from;
    return ERR_OK;
}

enum err scan_peek(struct scan *scan, struct batch_info *info)
{
    const uint8_t *at;
    size_t len;
    size_t size;

    if (scan->next >= scan->end)
        return ERR_NOT_FOUND;
    enum err err = show(scan, &at, &len);

    if (err != ERR_OK)
        return err;
    err = batch_peek(at, len, &size);
    if (err == ERR_NOT_FOUND && (size == 0 || (int64_t)size > scan->end - scan->next))
        return ERR_NOT_FOUND;
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return err;
    batch_info_read(at, info);
    return ERR_OK;
}

enum err scan_next(struct scan *scan, struct batch_info *info, int64_t *pos)
{
    enum err err = scan_peek(scan, info);

    if (err != ERR_OK)
        return err;
    *pos = scan->next;
    scan->next += (int64_t)info->size;
    return ERR_OK;
}

enum err scan_batch(struct file *file, int64_t pos, size_t size, struct buf *into)
{
    size_t got;

    into->len = 0;
    enum err err = file_pread(file, buf_reserve(into, size), size, pos, &got);

    if (err != ERR_OK)
        return err;
    into->len = got;
    return got == size ? ERR_OK : ERR_CORRUPT_MESSAGE;
}

/* Whether a good batch begins at bytes, of which len are at hand; the rest is in the file. */
static enum err try_batch(struct file *file, const uint8_t *bytes, int64_t pos, int64_t end,
                          int64_t last, struct buf *buf)
{
    struct batch_info info;
    size_t size;

    if (batch_peek(bytes, BATCH_HEADER_BYTES, &size) == ERR_CORRUPT_MESSAGE ||
        size < BATCH_HEADER_BYTES || (int64_t)size > end - pos)
        return ERR_NOT_FOUND;
    batch_info_read(bytes, &info);
    if (info.base_offset <= last || info.last_offset < info.base_offset)
        return ERR_NOT_FOUND;
    enum err err = scan_batch(file, pos, size, buf);

    if (err == ERR_OK)
        err = batch_check(buf->bytes, size);
    return err == ERR_CORRUPT_MESSAGE ? ERR_NOT_FOUND : err;
}

enum err scan_find_batch(struct file *file, int64_t from, int64_t end, int64_t last, int64_t *pos)
{
    struct buf chunk = BUF_EMPTY;
    struct buf buf = BUF_EMPTY;
    enum err err = ERR_NOT_FOUND;

    while (err == ERR_NOT_FOUND && end - from >= BATCH_HEADER_BYTES) {
        size_t want = end - from < FIND_BYTES ? (size_t)(end - from) : FIND_BYTES;
        uint8_t *bytes = buf_reserve(&chunk, want);
        size_t got;

        err = file_pread(file, bytes, want, from, &got);
        if (err != ERR_OK || got < BATCH_HEADER_BYTES)
            break;
        size_t tries = got - BATCH_HEADER_BYTES + 1;

        err = ERR_NOT_FOUND;
        for (size_t i = 0; i < tries && err == ERR_NOT_FOUND; i++) {
            const uint8_t *magic = memchr(bytes + i + BATCH_POS_MAGIC, 2, tries - i);

            if (magic == NULL)
                break;
            i = (size_t)(magic - bytes) - BATCH_POS_MAGIC;
            *pos = from + (int64_t)i;
            err = try_batch(file, bytes + i, *pos, end, last, &buf);
        }
        from += (int64_t)tries;
    }
    buf_fini(&chunk);
    buf_fini(&buf);
    return err;
}
