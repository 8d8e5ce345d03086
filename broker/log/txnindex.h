/*
 * txnindex - the aborted transactions whose markers lie in a segment (.txnindex).
 *
 *     pos  0 size 2  version 0        pos 10 size 8  first offset     pos 26 size 8  last stable
 * offset pos  2 size 8  producer id      pos 18 size 8  last offset, the abort marker's, increasing
 *
 * All big-endian. The file is made with its first entry.
 */
#ifndef BROKER_LOG_TXNINDEX_H
#define BROKER_LOG_TXNINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/files.h"

#define TXNINDEX_ENTRY_BYTES 34

struct aborted_txn {
    int64_t producer_id;
    int64_t first_offset;
    int64_t last_offset;
    int64_t last_stable_offset;
};

/* At entry number at. */
MUST_USE enum err txnindex_write(struct file *file, int64_t at, const struct aborted_txn *txn);
/* False from each() ends the visit. */
MUST_USE enum err txnindex_each(struct file *file, int64_t count,
                                bool (*each)(void *ctx, const struct aborted_txn *txn), void *ctx);
/* ERR_CORRUPT_FILE: a version or an offset that cannot be. */
MUST_USE enum err txnindex_check(struct file *file, int64_t file_bytes, int64_t base_offset);

#endif
