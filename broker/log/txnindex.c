/*
 * There are few aborted transactions: entries are read one block at a time, from the first.
 */
#include "broker/log/txnindex.h"

#include "common/base/bytes.h"

#define BLOCK_ENTRIES 32

enum err txnindex_write(struct file *file, int64_t at, const struct aborted_txn *txn)
{
    uint8_t bytes[TXNINDEX_ENTRY_BYTES];

    store_i16(bytes, 0);
    store_i64(bytes + 2, txn->producer_id);
    store_i64(bytes + 10, txn->first_offset);
    store_i64(bytes + 18, txn->last_offset);
    store_i64(bytes + 26, txn->last_stable_offset);
    return file_pwrite(file, bytes, sizeof bytes, at * TXNINDEX_ENTRY_BYTES);
}

enum err txnindex_each(struct file *file, int64_t count,
                       bool (*each)(void *ctx, const struct aborted_txn *txn), void *ctx)
{
    uint8_t bytes[BLOCK_ENTRIES * TXNINDEX_ENTRY_BYTES];

    for (int64_t at = 0; at < count; at += BLOCK_ENTRIES) {
        int64_t n = count - at < BLOCK_ENTRIES ? count - at : BLOCK_ENTRIES;
        size_t got;
        enum err err = file_pread(file, bytes, (size_t)n * TXNINDEX_ENTRY_BYTES,
                                  at * TXNINDEX_ENTRY_BYTES, &got);

        if (err != ERR_OK)
            return err;
        for (size_t i = 0; (i + 1) * TXNINDEX_ENTRY_BYTES <= got; i++) {
            const uint8_t *entry = bytes + i * TXNINDEX_ENTRY_BYTES;
            struct aborted_txn txn = {
                .producer_id = load_i64(entry + 2),
                .first_offset = load_i64(entry + 10),
                .last_offset = load_i64(entry + 18),
                .last_stable_offset = load_i64(entry + 26),
            };

            if (load_i16(entry) != 0)
                return ERR_CORRUPT_FILE;
            if (!each(ctx, &txn))
                return ERR_OK;
        }
    }
    return ERR_OK;
}

struct check {
    int64_t base_offset;
    int64_t last_offset;
    bool ok;
};

static bool check_one(void *ctx, const struct aborted_txn *txn)
{
    struct check *check = ctx;

    check->ok = txn->last_offset >= check->base_offset && txn->last_offset > check->last_offset;
    check->last_offset = txn->last_offset;
    return check->ok;
}

enum err txnindex_check(struct file *file, int64_t file_bytes, int64_t base_offset)
{
    struct check check = { .base_offset = base_offset, .last_offset = -1, .ok = true };

    if (file_bytes % TXNINDEX_ENTRY_BYTES != 0)
        return ERR_CORRUPT_FILE;
    enum err err = txnindex_each(file, file_bytes / TXNINDEX_ENTRY_BYTES, check_one, &check);

    return err == ERR_OK && !check.ok ? ERR_CORRUPT_FILE : err;
}
