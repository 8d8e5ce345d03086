/*
 * A window of one block moves over the file. Small batches are found several to a window; for large
 * ones only the block with the header is read.
 */
#include "broker/log/scan.h"

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

enum err scan_next(struct scan *scan, struct batch_info *info, int64_t *pos)
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
    *pos = scan->next;
    scan->next += (int64_t)size;
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
