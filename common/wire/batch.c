/*
 * The header of a batch, big-endian (positions are enum batch_pos):
 *
 *   pos len                            pos len
 *     0   8  base offset                27   8  base timestamp
 *     8   4  length of what follows     35   8  max timestamp
 *    12   4  leader epoch               43   8  producer id
 *    16   1  magic 2                    51   2  producer epoch
 *    17   4  CRC-32C of 21..end         53   4  base sequence
 *    21   2  attributes                 57   4  count of records
 *    23   4  last offset delta          61      records
 *
 * and of an entry of magic 0 or 1, whose checksum is the common CRC-32 of 16..end:
 *
 *     0   8  offset     8   4  length    12   4  crc    16   1  magic    17   1  attributes
 *    18   8  timestamp (magic 1 only), then key and value
 *
 * Offset, length and magic are where they always were, so a reader can walk a file of any mixture.
 */
#include "common/wire/batch.h"

#include <assert.h>
#include <isa-l/crc.h>
#include <limits.h>
#include <zlib.h>

enum {
    LEGACY_POS_CRC = 12,
    LEGACY_POS_ATTRIBUTES = 17,
    LEGACY_POS_TIMESTAMP = 18,
    LEGACY_V1_LEAST = 22, /* least length in magic 1: 8 more for the timestamp */
    V2_LEAST = BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES,
};

enum err batch_peek(const uint8_t *bytes, size_t len, size_t *size)
{
    *size = 0;
    if (len < BATCH_PEEK_BYTES)
        return ERR_NOT_FOUND;

    static const int32_t least[] = { BATCH_LEGACY_BYTES, LEGACY_V1_LEAST, V2_LEAST };
    int32_t length = load_i32(bytes + BATCH_POS_LENGTH);
    uint8_t magic = bytes[BATCH_POS_MAGIC];
    if (magic > 2 || length < least[magic])
        return ERR_CORRUPT_MESSAGE;
    *size = BATCH_PREFIX_BYTES + (size_t)length;
    return *size <= len ? ERR_OK : ERR_NOT_FOUND;
}

enum err batch_check(const uint8_t *batch, size_t size)
{
    bool sound;

    assert(size > BATCH_PEEK_BYTES);
    if (batch_magic(batch) >= 2)
        sound = size >= BATCH_HEADER_BYTES &&
                batch_crc32c(batch + BATCH_POS_ATTRIBUTES, size - BATCH_POS_ATTRIBUTES) ==
                    batch_crc(batch);
    else
        sound = crc32_z(0, batch + BATCH_POS_MAGIC, size - BATCH_POS_MAGIC) ==
                load_be32(batch + LEGACY_POS_CRC);
    return sound ? ERR_OK : ERR_CORRUPT_MESSAGE;
}

int64_t batch_last_offset(const uint8_t *batch)
{
    uint64_t base = (uint64_t)batch_base_offset(batch);

    if (batch_magic(batch) < 2)
        return (int64_t)base;
    return (int64_t)(base + (uint64_t)(int64_t)batch_last_offset_delta(batch)); /* may wrap */
}

int64_t batch_max_timestamp(const uint8_t *batch)
{
    switch (batch_magic(batch)) {
    case 0:
        return -1;
    case 1:
        return load_i64(batch + LEGACY_POS_TIMESTAMP);
    default:
        return load_i64(batch + BATCH_POS_MAX_TIMESTAMP);
    }
}

int batch_codec(const uint8_t *batch)
{
    if (batch_magic(batch) < 2)
        return batch[LEGACY_POS_ATTRIBUTES] & BATCH_CODEC_MASK;
    return (int)((unsigned)batch_attributes(batch) & BATCH_CODEC_MASK);
}

/* ISA-L neither inverts what it starts from nor what it returns, and takes what it reads as mutable
 * and its length as an int. */
uint32_t batch_crc32c(const void *bytes, size_t len)
{
    uint8_t *next = (uint8_t *)(uintptr_t)bytes;
    uint32_t crc = UINT32_MAX;

    while (len > 0) {
        int now = len > INT_MAX ? INT_MAX : (int)len;
        crc = crc32_iscsi(next, now, crc);
        next += now;
        len -= (size_t)now;
    }
    return ~crc;
}

void batch_seal(uint8_t *batch, size_t size)
{
    assert(size >= BATCH_HEADER_BYTES);
    store_be32(batch + BATCH_POS_CRC,
               batch_crc32c(batch + BATCH_POS_ATTRIBUTES, size - BATCH_POS_ATTRIBUTES));
}

void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch)
{
    store_i64(batch + BATCH_POS_BASE_OFFSET, base_offset);
    store_i32(batch + BATCH_POS_LEADER_EPOCH, leader_epoch);
}

void batch_set_max_timestamp(uint8_t *batch, size_t size, bool append_time, int64_t timestamp_ms)
{
    unsigned attributes = (unsigned)batch_attributes(batch);

    assert(batch_magic(batch) == 2);
    if (batch_is(batch, BATCH_APPEND_TIME) == append_time &&
        batch_max_timestamp(batch) == timestamp_ms)
        return;
    attributes &= 0x7fu & ~(unsigned)BATCH_APPEND_TIME; /* unused bits are written as 0 */
    attributes |= append_time ? BATCH_APPEND_TIME : 0u;
    store_i16(batch + BATCH_POS_ATTRIBUTES, (int16_t)attributes);
    store_i64(batch + BATCH_POS_MAX_TIMESTAMP, timestamp_ms);
    batch_seal(batch, size);
}

static void legacy_info_read(const uint8_t *batch, struct batch_info *info)
{
    int64_t timestamp = batch_max_timestamp(batch);

    *info = (struct batch_info){
        .base_timestamp = timestamp,
        .max_timestamp = timestamp,
        .producer_id = -1,
        .leader_epoch = -1,
        .base_sequence = -1,
        .last_sequence = -1,
        .count = -1,
        .producer_epoch = -1,
        .append_time =
            batch_magic(batch) == 1 && (batch[LEGACY_POS_ATTRIBUTES] & BATCH_APPEND_TIME),
    };
}

void batch_info_read(const uint8_t *batch, struct batch_info *info)
{
    if (batch_magic(batch) < 2)
        legacy_info_read(batch, info);
    else
        *info = (struct batch_info){
            .base_timestamp = batch_base_timestamp(batch),
            .max_timestamp = batch_max_timestamp(batch),
            .producer_id = batch_producer_id(batch),
            .leader_epoch = batch_leader_epoch(batch),
            .base_sequence = batch_base_sequence(batch),
            .last_sequence = batch_last_sequence(batch),
            .count = batch_count(batch),
            .producer_epoch = batch_producer_epoch(batch),
            .append_time = batch_is(batch, BATCH_APPEND_TIME),
            .transactional = batch_is(batch, BATCH_TRANSACTIONAL),
            .control = batch_is(batch, BATCH_CONTROL),
            .delete_horizon = batch_is(batch, BATCH_DELETE_HORIZON),
        };
    info->size = batch_size(batch);
    info->magic = batch_magic(batch);
    info->codec = (uint8_t)batch_codec(batch);
    info->base_offset = batch_base_offset(batch);
    info->last_offset = batch_last_offset(batch);
    info->max_timestamp_offset = info->last_offset;
}
