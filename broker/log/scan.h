/*
 * scan - read batch headers of a segment file one after the other, without reading the records.
 *
 * Ownership:  the caller's stack holds it; it borrows the file.
 * Errors:     ERR_NOT_FOUND at the end, also when the last batch is cut short; ERR_CORRUPT_MESSAGE
 * when what stands there is no batch;
 *             ERR_CLOSED when the file is gone; else the disk's.
 */
#ifndef BROKER_LOG_SCAN_H
#define BROKER_LOG_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "broker/log/files.h"
#include "common/wire/batch.h"

#define SCAN_WINDOW_BYTES 4096

struct scan {
    struct file *file;
    int64_t next;       /* position of the next batch */
    int64_t end;        /* nothing is read from here on */
    int64_t window_pos; /* what the window shows */
    size_t window_len;
    uint8_t window[SCAN_WINDOW_BYTES];
};

void scan_init(struct scan *scan, struct file *file, int64_t pos, int64_t end);
MUST_USE enum err scan_next(struct scan *scan, struct batch_info *info, int64_t *pos);
/* As scan_next(), which then gives the same. */
MUST_USE enum err scan_peek(struct scan *scan, struct batch_info *info);
/* Looks behind damage: the first good batch of [from, end), begun anywhere, with offsets above
 * last. Format 2 only. ERR_NOT_FOUND: none. */
MUST_USE enum err scan_find_batch(struct file *file, int64_t from, int64_t end, int64_t last,
                                  int64_t *pos);
/* The whole batch at pos, appended to the emptied *into. */
MUST_USE enum err scan_batch(struct file *file, int64_t pos, size_t size, struct buf *into);

#endif
