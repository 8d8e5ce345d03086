/*
 * batch - a record batch (magic 2) as it lies in memory: read its header, check it, stamp it.
 *
 * A batch is a const uint8_t pointer at its first byte. The accessors read one field each and check
 * nothing: call batch_peek() first, which makes sure that a whole entry is there, and batch_check()
 * when the bytes come from outside. Entries of the old formats (magic 0 and 1) can be walked,
 * measured and checked here; what is inside them is common/wire/legacy's business.
 *
 * Units:      an offset counts records, size and len are bytes, times are ms since 1970.
 * Ownership:  none; everything borrows the caller's bytes.
 * Threads:    any.
 * Errors:     ERR_CORRUPT_MESSAGE for what cannot be a batch, ERR_NOT_FOUND for one cut short.
 */
#ifndef COMMON_WIRE_BATCH_H
#define COMMON_WIRE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/wire/codec.h"

#define BATCH_HEADER_BYTES 61 /* before the records of a batch */
#define BATCH_PREFIX_BYTES 12 /* base offset and length, not counted by the length */
#define BATCH_PEEK_BYTES   17 /* up to and with the magic: what batch_peek() needs at least */
#define BATCH_LEGACY_BYTES 14 /* least length of a magic 0 entry, not counting the prefix */

enum batch_pos {
    BATCH_POS_BASE_OFFSET = 0,
    BATCH_POS_LENGTH = 8,
    BATCH_POS_LEADER_EPOCH = 12,
    BATCH_POS_MAGIC = 16,
    BATCH_POS_CRC = 17,
    BATCH_POS_ATTRIBUTES = 21,
    BATCH_POS_LAST_OFFSET_DELTA = 23,
    BATCH_POS_BASE_TIMESTAMP = 27,
    BATCH_POS_MAX_TIMESTAMP = 35,
    BATCH_POS_PRODUCER_ID = 43,
    BATCH_POS_PRODUCER_EPOCH = 51,
    BATCH_POS_BASE_SEQUENCE = 53,
    BATCH_POS_COUNT = 57,
};

enum batch_attribute {
    BATCH_CODEC_MASK = 0x07,
    BATCH_APPEND_TIME = 0x08, /* timestamps are the leader's (LogAppendTime) */
    BATCH_TRANSACTIONAL = 0x10,
    BATCH_CONTROL = 0x20,
    BATCH_DELETE_HORIZON = 0x40, /* base timestamp is when compaction may drop tombstones */
};

/* --- any entry, magic 0 to 2 --- */

/* Size of the entry at bytes. ERR_OK: all of it is within len. ERR_NOT_FOUND: it is cut short;
 * *size is what it would need, 0 when not even that can be told. ERR_CORRUPT_MESSAGE: no entry
 * starts so (a zero-filled tail of a preallocated file, too). */
enum err batch_peek(const uint8_t *bytes, size_t len, size_t *size) MUST_USE;
/* What is behind the header: checksum and least length. Any magic. */
enum err batch_check(const uint8_t *batch, size_t size) MUST_USE;

static inline int8_t batch_magic(const uint8_t *batch)
{
    return (int8_t)batch[BATCH_POS_MAGIC];
}

static inline size_t batch_size(const uint8_t *batch)
{
    return BATCH_PREFIX_BYTES + (size_t)load_be32(batch + BATCH_POS_LENGTH);
}

/* Of magic 0 and 1: the offset of the entry, in a compressed one that of its last message. */
static inline int64_t batch_base_offset(const uint8_t *batch)
{
    return load_i64(batch + BATCH_POS_BASE_OFFSET);
}

int64_t batch_last_offset(const uint8_t *batch);
/* -1 in magic 0; of a magic 1 wrapper the largest inside. */
int64_t batch_max_timestamp(const uint8_t *batch);
/* 0..7; a number from CODEC_COUNT on is no codec. */
int batch_codec(const uint8_t *batch);

/* --- magic 2 only --- */

static inline int32_t batch_leader_epoch(const uint8_t *batch)
{
    return load_i32(batch + BATCH_POS_LEADER_EPOCH);
}

static inline uint32_t batch_crc(const uint8_t *batch)
{
    return load_be32(batch + BATCH_POS_CRC);
}

static inline int16_t batch_attributes(const uint8_t *batch)
{
    return load_i16(batch + BATCH_POS_ATTRIBUTES);
}

static inline bool batch_is(const uint8_t *batch, enum batch_attribute attribute)
{
    return ((unsigned)batch_attributes(batch) & attribute) != 0;
}

static inline int32_t batch_last_offset_delta(const uint8_t *batch)
{
    return load_i32(batch + BATCH_POS_LAST_OFFSET_DELTA);
}

static inline int64_t batch_base_timestamp(const uint8_t *batch)
{
    return load_i64(batch + BATCH_POS_BASE_TIMESTAMP);
}

static inline int64_t batch_producer_id(const uint8_t *batch)
{
    return load_i64(batch + BATCH_POS_PRODUCER_ID);
}

static inline int16_t batch_producer_epoch(const uint8_t *batch)
{
    return load_i16(batch + BATCH_POS_PRODUCER_EPOCH);
}

static inline int32_t batch_base_sequence(const uint8_t *batch)
{
    return load_i32(batch + BATCH_POS_BASE_SEQUENCE);
}

/* Sequence numbers wrap from 2147483647 to 0. */
static inline int32_t batch_sequence_add(int32_t sequence, int32_t more)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)more) & 0x7fffffffu);
}

/* -1 when the batch has none. */
static inline int32_t batch_last_sequence(const uint8_t *batch)
{
    int32_t base = batch_base_sequence(batch);

    return base < 0 ? -1 : batch_sequence_add(base, batch_last_offset_delta(batch));
}

static inline int32_t batch_count(const uint8_t *batch)
{
    return load_i32(batch + BATCH_POS_COUNT);
}

/* CRC-32C (Castagnoli) as the world writes it: of "123456789" it is e3069283. */
uint32_t batch_crc32c(const void *bytes, size_t len);
/* Computes the checksum of a batch whose covered bytes have changed, and stores it. */
void batch_seal(uint8_t *batch, size_t size);
/* What a leader gives: neither is covered by the checksum. */
void batch_stamp(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
/* Sets the largest timestamp and whose clock it is; seals anew only when that changed something. */
void batch_set_max_timestamp(uint8_t *batch, size_t size, bool append_time, int64_t timestamp_ms);

/* What appending one batch needs to know of it. */
struct batch_info {
    size_t size;         /* bytes, prefix included */
    int64_t base_offset; /* magic 0 and 1: as last_offset */
    int64_t last_offset;
    int64_t base_timestamp;       /* magic 0 and 1: as max_timestamp; with a delete horizon: that */
    int64_t max_timestamp;        /* -1 none */
    int64_t max_timestamp_offset; /* where an index may point for it: the last offset */
    int64_t producer_id;          /* -1 none, as in magic 0 and 1 */
    int32_t leader_epoch;         /* -1 in magic 0 and 1 */
    int32_t base_sequence;        /* -1 none */
    int32_t last_sequence;        /* -1 none */
    int32_t count;                /* -1 not told, as in magic 0 and 1 */
    int16_t producer_epoch;       /* -1 none */
    int8_t magic;
    uint8_t codec; /* enum codec, or an unknown number up to 7 */
    bool append_time;
    bool transactional;
    bool control;
    bool delete_horizon;
};

/* Reads the header of a peeked entry; checks nothing. */
void batch_info_read(const uint8_t *batch, struct batch_info *info);

#endif
