/*
 * The file is small and written in one piece. Without sync it is only as good as the page cache,
 * which is enough: recovery checks the checksum and falls back to an older one.
 */
#include "broker/log/producers_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"

#define HEAD_BYTES     10
#define CRC_FROM       6
#define ENTRY_BYTES    46
#define FILE_BYTES_MAX (1u << 30)

struct writer {
    uint8_t *at;
};

static bool write_entry(void *ctx, const struct producer_entry *entry)
{
    struct writer *writer = ctx;
    uint8_t *at = writer->at;

    store_i64(at, entry->producer_id);
    store_i16(at + 8, entry->producer_epoch);
    store_i32(at + 10, entry->last_seq);
    store_i64(at + 14, entry->last_offset);
    store_i32(at + 22, entry->offset_delta);
    store_i64(at + 26, entry->timestamp_ms);
    store_i32(at + 34, entry->coordinator_epoch);
    store_i64(at + 38, entry->txn_first_offset);
    writer->at += ENTRY_BYTES;
    return true;
}

static enum err write_unsynced(struct disk *disk, const char *path, const uint8_t *bytes,
                               size_t len)
{
    int file;
    enum err err = disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);

    if (err != ERR_OK)
        return err;
    err = disk_pwrite(disk, file, bytes, len, 0);
    enum err closed = disk_close(disk, file);

    return err != ERR_OK ? err : closed;
}

enum err producers_file_write(struct disk *disk, const char *path,
                              const struct producers *producers, bool sync)
{
    size_t count = producers_count(producers);
    size_t len = HEAD_BYTES + count * ENTRY_BYTES;
    uint8_t *bytes = xmalloc(len);
    struct writer writer = { .at = bytes + HEAD_BYTES };

    producers_each(producers, write_entry, &writer);
    store_i16(bytes, 1);
    store_i32(bytes + 6, (int32_t)count);
    store_be32(bytes + 2, batch_crc32c(bytes + CRC_FROM, len - CRC_FROM));
    enum err err = sync ? disk_replace_file(disk, path, bytes, len, false)
                        : write_unsynced(disk, path, bytes, len);

    free(bytes);
    return err;
}

static struct producer_entry read_entry(const uint8_t *at)
{
    return (struct producer_entry){
        .producer_id = load_i64(at),
        .producer_epoch = load_i16(at + 8),
        .last_seq = load_i32(at + 10),
        .last_offset = load_i64(at + 14),
        .offset_delta = load_i32(at + 22),
        .timestamp_ms = load_i64(at + 26),
        .coordinator_epoch = load_i32(at + 34),
        .txn_first_offset = load_i64(at + 38),
    };
}

enum err producers_file_read(struct disk *disk, const char *path, struct producers *producers,
                             int64_t now_ms, int64_t expiration_ms)
{
    char *text;
    size_t len;
    enum err err = disk_read_file(disk, path, FILE_BYTES_MAX, &text, &len);

    if (err != ERR_OK)
        return err;
    const uint8_t *bytes = (const uint8_t *)text;

    err = ERR_CORRUPT_FILE;
    if (len < HEAD_BYTES || load_i16(bytes) != 1)
        goto free_text;
    int32_t count = load_i32(bytes + 6);

    if (count < 0 || len != HEAD_BYTES + (size_t)count * ENTRY_BYTES ||
        load_be32(bytes + 2) != batch_crc32c(bytes + CRC_FROM, len - CRC_FROM))
        goto free_text;
    for (int32_t i = 0; i < count; i++) {
        struct producer_entry entry = read_entry(bytes + HEAD_BYTES + (size_t)i * ENTRY_BYTES);

        if (entry.txn_first_offset >= 0 || now_ms - entry.timestamp_ms < expiration_ms)
            producers_load(producers, &entry);
    }
    err = ERR_OK;
free_text:
    free(text);
    return err;
}
