/*
 * An entry of magic 0 or 1, big-endian:
 *
 *   pos len
 *     0   8  offset
 *     8   4  length of what follows
 *    12   4  CRC-32 of 16..end
 *    16   1  magic
 *    17   1  attributes: bits 0-2 codec, bit 3 LogAppendTime (magic 1)
 *    18   8  timestamp (magic 1 only)
 *            key:   INT32 length (-1 null), bytes
 *            value: INT32 length (-1 null), bytes
 *
 * With a codec the value is another such set, compressed. The entry's offset is that of the last
 * message inside. In magic 0 those inside tell their offsets; in magic 1 they count from 0, and the
 * whole set is shifted so that the last one meets the entry's. Some producers leave the entry's
 * offset 0, which then shifts nothing.
 */
#include "common/wire/legacy.h"

#include <assert.h>
#include <zlib.h>

#include "common/wire/batch.h"
#include "common/wire/record.h"

enum {
    POS_CRC = 12,
    POS_ATTRIBUTES = 17,
    POS_TIMESTAMP = 18,
    POS_KEY_V0 = 18,
    POS_KEY_V1 = 26,
};

/* --- reading --- */

static const uint8_t *bytes_read(const uint8_t *next, const uint8_t *end, struct str *bytes)
{
    if (end - next < 4)
        return NULL;
    int32_t len = load_i32(next);
    next += 4;
    if (len < 0) {
        *bytes = STR_NULL;
        return len == -1 ? next : NULL;
    }
    if (len > end - next)
        return NULL;
    *bytes = (struct str){ .ptr = (const char *)next, .len = (size_t)len };
    return next + len;
}

/* One peeked entry as it stands; key and value must fill it. */
static enum err entry_read(const uint8_t *entry, size_t size, struct legacy_message *message)
{
    bool v1 = batch_magic(entry) == 1;
    const uint8_t *end = entry + size;

    message->offset = batch_base_offset(entry);
    message->timestamp = v1 ? load_i64(entry + POS_TIMESTAMP) : -1;
    message->nested = batch_codec(entry) != CODEC_NONE;
    const uint8_t *next = bytes_read(entry + (v1 ? POS_KEY_V1 : POS_KEY_V0), end, &message->key);
    if (next == NULL)
        return ERR_INVALID_RECORD;
    return bytes_read(next, end, &message->value) == end ? ERR_OK : ERR_INVALID_RECORD;
}

/* Offset of the last message inside; that all can be walked and are of the same magic. */
static enum err last_inside(const struct legacy_iter *iter, int64_t *last)
{
    const uint8_t *next = iter->next;

    if (next == iter->end)
        return ERR_INVALID_RECORD;
    while (next < iter->end) {
        size_t size;
        if (batch_peek(next, (size_t)(iter->end - next), &size) != ERR_OK)
            return ERR_CORRUPT_MESSAGE;
        if (batch_magic(next) != iter->magic)
            return ERR_INVALID_RECORD;
        *last = batch_base_offset(next);
        next += size;
    }
    return ERR_OK;
}

static enum err open_compressed(struct legacy_iter *iter, const uint8_t *entry, size_t size,
                                size_t limit, struct buf *scratch)
{
    struct legacy_message outer;
    int codec = batch_codec(entry);
    int64_t last = 0;

    if (codec >= CODEC_ZSTD) /* younger than these formats */
        return ERR_INVALID_RECORD;
    enum err err = entry_read(entry, size, &outer);
    if (err != ERR_OK)
        return err;
    if (str_is_null(outer.value))
        return ERR_INVALID_RECORD;
    scratch->len = 0;
    err = codec_decompress((enum codec)codec, iter->magic, (const uint8_t *)outer.value.ptr,
                           outer.value.len, limit, scratch);
    if (err != ERR_OK)
        return err;
    iter->next = scratch->bytes;
    iter->end = scratch->bytes + scratch->len;
    iter->deep = true;
    err = last_inside(iter, &last);
    if (err != ERR_OK || iter->magic == 0 || outer.offset == 0)
        return err;
    if (last > outer.offset)
        return ERR_INVALID_RECORD;
    iter->shift = (int64_t)((uint64_t)outer.offset - (uint64_t)last);
    return ERR_OK;
}

enum err legacy_iter_init(struct legacy_iter *iter, const uint8_t *entry, size_t size, size_t limit,
                          struct buf *scratch)
{
    *iter = (struct legacy_iter){
        .next = entry,
        .end = entry + size,
        .append_time = -1,
        .magic = batch_magic(entry),
    };
    assert(iter->magic == 0 || iter->magic == 1);
    if (iter->magic == 1 && (entry[POS_ATTRIBUTES] & BATCH_APPEND_TIME))
        iter->append_time = load_i64(entry + POS_TIMESTAMP);
    if (batch_codec(entry) == CODEC_NONE)
        return ERR_OK;
    return open_compressed(iter, entry, size, limit, scratch);
}

enum err legacy_next(struct legacy_iter *iter, struct legacy_message *message)
{
    size_t size;

    if (iter->next == iter->end)
        return ERR_NOT_FOUND;
    if (batch_peek(iter->next, (size_t)(iter->end - iter->next), &size) != ERR_OK)
        return ERR_CORRUPT_MESSAGE;
    if (iter->deep && batch_check(iter->next, size) != ERR_OK)
        return ERR_CORRUPT_MESSAGE;
    enum err err = entry_read(iter->next, size, message);
    if (err != ERR_OK)
        return err;
    message->offset = (int64_t)((uint64_t)message->offset + (uint64_t)iter->shift);
    if (iter->append_time != -1)
        message->timestamp = iter->append_time;
    iter->next += size;
    return ERR_OK;
}

/* --- writing --- */

static uint8_t *bytes_write(uint8_t *to, struct str bytes)
{
    if (str_is_null(bytes)) {
        store_i32(to, -1);
        return to + 4;
    }
    store_be32(to, (uint32_t)bytes.len);
    if (bytes.len > 0)
        memcpy(to + 4, bytes.ptr, bytes.len);
    return to + 4 + bytes.len;
}

static void entry_write(struct buf *out, int magic, int64_t offset, int64_t timestamp_ms,
                        unsigned attributes, struct str key, struct str value)
{
    size_t head = magic == 0 ? POS_KEY_V0 : POS_KEY_V1;
    size_t size = head + 4 + key.len + 4 + value.len;
    uint8_t *to = buf_reserve(out, size);

    assert(magic == 0 || magic == 1);
    assert(size <= INT32_MAX);
    store_i64(to, offset);
    store_be32(to + BATCH_POS_LENGTH, (uint32_t)(size - BATCH_PREFIX_BYTES));
    to[BATCH_POS_MAGIC] = (uint8_t)magic;
    to[POS_ATTRIBUTES] = (uint8_t)attributes;
    if (magic == 1)
        store_i64(to + POS_TIMESTAMP, timestamp_ms);
    bytes_write(bytes_write(to + head, key), value);
    store_be32(to + POS_CRC, (uint32_t)crc32_z(0, to + BATCH_POS_MAGIC, size - BATCH_POS_MAGIC));
    out->len += size;
}

void legacy_put(struct buf *out, int magic, int64_t offset, int64_t timestamp_ms, bool append_time,
                struct str key, struct str value)
{
    unsigned attributes = magic == 1 && append_time ? BATCH_APPEND_TIME : 0u;

    entry_write(out, magic, offset, timestamp_ms, attributes, key, value);
}

enum err legacy_wrap(struct buf *out, int magic, enum codec codec, int64_t last_offset,
                     int64_t timestamp_ms, bool append_time, const struct buf *messages)
{
    struct buf packed = BUF_EMPTY;
    unsigned attributes = (unsigned)codec;

    assert(codec != CODEC_NONE);
    if (magic == 1 && append_time)
        attributes |= BATCH_APPEND_TIME;
    enum err err =
        codec_compress(codec, CODEC_LEVEL_DEFAULT, magic, messages->bytes, messages->len, &packed);
    if (err == ERR_OK)
        entry_write(out, magic, last_offset, timestamp_ms, attributes, STR_NULL,
                    (struct str){ (const char *)packed.bytes, packed.len });
    buf_fini(&packed);
    return err;
}

/* --- down --- */

/* One entry on its way down. */
struct descent {
    int to_magic;
    int codec;
    bool append_time;
    int64_t first_offset; /* of the request: plain messages before it are left out */
    int64_t base_offset;  /* of the first message that goes on, -1 before it */
    int64_t last_offset;
    int64_t max_timestamp;
    struct buf *to; /* where messages go: the output, or what is to be compressed */
};

static void descend_message(struct descent *descent, int64_t offset, int64_t timestamp_ms,
                            struct str key, struct str value)
{
    int64_t written = offset;

    if (descent->codec == CODEC_NONE && offset < descent->first_offset)
        return;
    if (descent->base_offset == -1)
        descent->base_offset = offset;
    descent->last_offset = offset;
    if (timestamp_ms > descent->max_timestamp)
        descent->max_timestamp = timestamp_ms;
    if (descent->codec != CODEC_NONE && descent->to_magic == 1)
        written = offset - descent->base_offset;
    legacy_put(descent->to, descent->to_magic, written, timestamp_ms, descent->append_time, key,
               value);
}

static enum err descend_records(struct descent *descent, const uint8_t *entry, size_t size,
                                size_t limit, struct buf *scratch)
{
    enum err err;

    if (batch_magic(entry) == 2) {
        struct record_iter iter;
        struct record record;

        err = record_iter_init(&iter, entry, size, limit, scratch);
        while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
            descend_message(descent, record.offset, record.timestamp, record.key, record.value);
    } else {
        struct legacy_iter iter;
        struct legacy_message message;

        err = legacy_iter_init(&iter, entry, size, limit, scratch);
        while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK)
            descend_message(descent, message.offset, message.timestamp, message.key, message.value);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err descend(const uint8_t *entry, size_t size, int to_magic, int64_t first_offset,
                        size_t limit, struct buf *out)
{
    struct buf inner = BUF_EMPTY, scratch = BUF_EMPTY;
    struct batch_info info;

    batch_info_read(entry, &info);
    struct descent descent = {
        .to_magic = to_magic,
        .codec = info.codec,
        .append_time = info.append_time,
        .first_offset = first_offset,
        .base_offset = -1,
        .max_timestamp = -1,
        .to = info.codec == CODEC_NONE ? out : &inner,
    };
    enum err err = descend_records(&descent, entry, size, limit, &scratch);
    if (err == ERR_OK && inner.len > 0)
        err = legacy_wrap(out, to_magic, (enum codec)descent.codec, descent.last_offset,
                          descent.max_timestamp, descent.append_time, &inner);
    buf_fini(&scratch);
    buf_fini(&inner);
    return err;
}

enum err legacy_down(const uint8_t *bytes, size_t len, int to_magic, int64_t first_offset,
                     size_t limit, struct buf *out)
{
    size_t pos = 0, size, before = out->len;

    assert(to_magic == 0 || to_magic == 1);
    while (pos < len && batch_peek(bytes + pos, len - pos, &size) == ERR_OK) {
        const uint8_t *entry = bytes + pos;
        int magic = batch_magic(entry);
        enum err err = ERR_OK;

        pos += size;
        if (magic <= to_magic) {
            buf_put(out, entry, size);
        } else if (magic < 2 || !batch_is(entry, BATCH_CONTROL)) {
            if (batch_codec(entry) == CODEC_ZSTD)
                return out->len > before ? ERR_OK : ERR_UNSUPPORTED_COMPRESSION_TYPE;
            err = descend(entry, size, to_magic, first_offset, limit, out);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}
