/*
 * A record (varints are zigzag, least significant seven bits first):
 *
 *   length VARINT   of all that follows
 *   attributes INT8, timestamp delta VARLONG, offset delta VARINT
 *   key length VARINT (-1 null), key;  value length VARINT (-1 null), value
 *   count of headers VARINT, each: key length VARINT, key, value length VARINT (-1 null), value
 *
 * Reading walks them once and checks everything on the way: each part lies within its record, a
 * record ends exactly where its length says, the last one where the batch ends.
 *
 * Building writes records behind room for a header. finish() fills the header in where the records
 * stand, or, with a codec, puts header and compressed records into a second buffer.
 */
#include "common/wire/record.h"

#include <assert.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"

/* --- varints --- */

enum { VARINT_BYTES_MAX = 5, VARLONG_BYTES_MAX = 10 };

/* Past the varint, or NULL when it is too long or cut. */
static inline const uint8_t *varint_read(const uint8_t *next, const uint8_t *end, int32_t *value)
{
    uint32_t raw = 0;

    if (next < end && *next < 0x80) { /* most of them */
        raw = *next++;
        *value = (int32_t)((raw >> 1) ^ (0u - (raw & 1)));
        return next;
    }
    for (unsigned shift = 0; shift < 7 * VARINT_BYTES_MAX && next < end; shift += 7) {
        uint8_t byte = *next++;
        raw |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int32_t)((raw >> 1) ^ (0u - (raw & 1)));
            return next;
        }
    }
    return NULL;
}

static inline const uint8_t *varlong_read(const uint8_t *next, const uint8_t *end, int64_t *value)
{
    uint64_t raw = 0;

    for (unsigned shift = 0; shift < 7 * VARLONG_BYTES_MAX && next < end; shift += 7) {
        uint8_t byte = *next++;
        raw |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = (int64_t)((raw >> 1) ^ (0u - (raw & 1)));
            return next;
        }
    }
    return NULL;
}

static uint8_t *varlong_write(uint8_t *to, int64_t value)
{
    uint64_t raw = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);

    while (raw >= 0x80) {
        *to++ = (uint8_t)(raw | 0x80);
        raw >>= 7;
    }
    *to++ = (uint8_t)raw;
    return to;
}

static size_t varlong_size(int64_t value)
{
    uint64_t raw = ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
    size_t size = 1;

    for (; raw >= 0x80; raw >>= 7)
        size++;
    return size;
}

/* A length and that many bytes; length -1 is null, where that is allowed. NULL when it is wrong. */
static inline const uint8_t *bytes_read(const uint8_t *next, const uint8_t *end, bool nullable,
                                        struct str *bytes)
{
    int32_t len;

    next = varint_read(next, end, &len);
    if (next == NULL)
        return NULL;
    if (len < 0) {
        *bytes = STR_NULL;
        return nullable && len == -1 ? next : NULL;
    }
    if (len > end - next)
        return NULL;
    *bytes = (struct str){ .ptr = (const char *)next, .len = (size_t)len };
    return next + len;
}

/* --- reading --- */

enum err record_iter_init(struct record_iter *iter, const uint8_t *batch, size_t size, size_t limit,
                          struct buf *scratch)
{
    int codec = batch_codec(batch);

    assert(batch_magic(batch) == 2);
    assert(size >= BATCH_HEADER_BYTES);
    *iter = (struct record_iter){
        .next = batch + BATCH_HEADER_BYTES,
        .end = batch + size,
        .base_offset = batch_base_offset(batch),
        .base_timestamp = batch_base_timestamp(batch),
        .append_time = batch_is(batch, BATCH_APPEND_TIME) ? batch_max_timestamp(batch) : -1,
        .left = batch_count(batch),
    };
    if (iter->left < 0)
        return ERR_INVALID_RECORD;
    if (codec == CODEC_NONE)
        return ERR_OK;
    if (codec >= CODEC_COUNT)
        return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    if (iter->left == 0 && iter->next == iter->end)
        return ERR_OK; /* what compaction keeps of a producer's last batch */
    assert(scratch != NULL);
    scratch->len = 0;
    enum err err = codec_decompress((enum codec)codec, 2, iter->next,
                                    (size_t)(iter->end - iter->next), limit, scratch);
    if (err != ERR_OK)
        return err;
    iter->next = scratch->bytes;
    iter->end = scratch->bytes + scratch->len;
    return ERR_OK;
}

static inline const uint8_t *headers_read(const uint8_t *next, const uint8_t *end, int32_t count)
{
    struct str skipped;

    for (int32_t i = 0; i < count; i++) {
        next = bytes_read(next, end, false, &skipped);
        if (next == NULL)
            return NULL;
        next = bytes_read(next, end, true, &skipped);
        if (next == NULL)
            return NULL;
    }
    return next;
}

/* Past what precedes the key: attributes and the two deltas. */
static inline const uint8_t *deltas_read(const uint8_t *next, const uint8_t *end,
                                         int64_t *timestamp_delta, int32_t *offset_delta)
{
    if (next >= end)
        return NULL;
    next = varlong_read(next + 1, end, timestamp_delta);
    return next != NULL ? varint_read(next, end, offset_delta) : NULL;
}

static inline const uint8_t *body_read(const uint8_t *next, const uint8_t *end,
                                       int64_t *timestamp_delta, struct record *record)
{
    next = deltas_read(next, end, timestamp_delta, &record->offset_delta);
    if (next == NULL)
        return NULL;
    next = bytes_read(next, end, true, &record->key);
    if (next == NULL)
        return NULL;
    next = bytes_read(next, end, true, &record->value);
    if (next == NULL)
        return NULL;
    next = varint_read(next, end, &record->header_count);
    if (next == NULL || record->header_count < 0)
        return NULL;
    record->headers = (struct str){ .ptr = (const char *)next, .len = (size_t)(end - next) };
    return headers_read(next, end, record->header_count);
}

enum err record_next(struct record_iter *iter, struct record *record)
{
    const uint8_t *start = iter->next;
    int64_t timestamp_delta;
    int32_t len;

    if (iter->left == 0)
        return iter->next == iter->end ? ERR_NOT_FOUND : ERR_INVALID_RECORD;
    const uint8_t *next = varint_read(start, iter->end, &len);
    if (next == NULL || len < 0 || len > iter->end - next)
        return ERR_INVALID_RECORD;
    const uint8_t *end = next + len;
    if (body_read(next, end, &timestamp_delta, record) != end)
        return ERR_INVALID_RECORD;
    record->raw = (struct str){ .ptr = (const char *)start, .len = (size_t)(end - start) };
    record->offset =
        (int64_t)((uint64_t)iter->base_offset + (uint64_t)(int64_t)record->offset_delta);
    record->timestamp = iter->append_time != -1
                            ? iter->append_time
                            : (int64_t)((uint64_t)iter->base_timestamp + (uint64_t)timestamp_delta);
    iter->next = end;
    iter->left--;
    return ERR_OK;
}

bool record_header_next(struct str *rest, struct record_header *header)
{
    const uint8_t *next = (const uint8_t *)rest->ptr;
    const uint8_t *end = next + rest->len;

    if (rest->len == 0)
        return false;
    next = bytes_read(next, end, false, &header->key);
    assert(next != NULL); /* record_next() has been here */
    next = bytes_read(next, end, true, &header->value);
    assert(next != NULL);
    *rest = (struct str){ .ptr = (const char *)next, .len = (size_t)(end - next) };
    return true;
}

/* key: version INT16, type INT16. value of abort and commit: version INT16, coordinator epoch
 * INT32. Later versions may append to both. */
enum err record_control_read(const struct record *record, enum record_control *kind,
                             int32_t *coordinator_epoch)
{
    if (record->key.len < 4 || load_i16(record->key.ptr) < 0)
        return ERR_INVALID_RECORD;
    int16_t type = load_i16(record->key.ptr + 2);
    if (type != RECORD_ABORT && type != RECORD_COMMIT) {
        *kind = RECORD_CONTROL_OTHER;
        return ERR_OK;
    }
    *kind = type == RECORD_COMMIT ? RECORD_COMMIT : RECORD_ABORT;
    if (record->value.len < 6 || load_i16(record->value.ptr) < 0)
        return ERR_INVALID_RECORD;
    if (coordinator_epoch != NULL)
        *coordinator_epoch = load_i32(record->value.ptr + 2);
    return ERR_OK;
}

/* --- building --- */

void batch_builder_init(struct batch_builder *builder, const struct batch_conf *conf)
{
    *builder = (struct batch_builder){ .plain = BUF_EMPTY, .packed = BUF_EMPTY };
    batch_builder_reset(builder, conf);
}

void batch_builder_fini(struct batch_builder *builder)
{
    buf_fini(&builder->plain);
    buf_fini(&builder->packed);
}

void batch_builder_reset(struct batch_builder *builder, const struct batch_conf *conf)
{
    builder->conf = *conf;
    builder->plain.len = 0;
    builder->packed.len = 0;
    memset(buf_reserve(&builder->plain, BATCH_HEADER_BYTES), 0, BATCH_HEADER_BYTES);
    builder->plain.len = BATCH_HEADER_BYTES;
    builder->base_timestamp = conf->delete_horizon;
    builder->max_timestamp = -1;
    builder->last_delta = -1;
    builder->count = 0;
}

/* Counts the record in and returns its timestamp delta. */
static int64_t count_in(struct batch_builder *builder, int32_t offset_delta, int64_t timestamp_ms)
{
    assert(offset_delta > builder->last_delta);
    if (builder->count == 0 && builder->conf.delete_horizon == -1)
        builder->base_timestamp = timestamp_ms;
    if (timestamp_ms > builder->max_timestamp)
        builder->max_timestamp = timestamp_ms;
    builder->last_delta = offset_delta;
    builder->count++;
    return (int64_t)((uint64_t)timestamp_ms - (uint64_t)builder->base_timestamp);
}

/* Writes the length and what precedes the key, for a record whose key and all else takes tail_len
 * bytes; there is room for those, too, where it returns. */
static uint8_t *head_write(struct batch_builder *builder, int64_t timestamp_delta,
                           int32_t offset_delta, size_t tail_len)
{
    size_t len = 1 + varlong_size(timestamp_delta) + varlong_size(offset_delta) + tail_len;

    assert(len <= INT32_MAX);
    uint8_t *to = buf_reserve(&builder->plain, VARINT_BYTES_MAX + len);
    to = varlong_write(to, (int64_t)len);
    *to++ = 0; /* attributes */
    to = varlong_write(to, timestamp_delta);
    return varlong_write(to, offset_delta);
}

static size_t bytes_size(struct str bytes)
{
    if (str_is_null(bytes))
        return 1;
    assert(bytes.len <= INT32_MAX);
    return varlong_size((int64_t)bytes.len) + bytes.len;
}

static uint8_t *bytes_write(uint8_t *to, struct str bytes)
{
    if (str_is_null(bytes))
        return varlong_write(to, -1);
    to = varlong_write(to, (int64_t)bytes.len);
    if (bytes.len > 0)
        memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

void batch_builder_add(struct batch_builder *builder, int64_t timestamp_ms, struct str key,
                       struct str value, const struct record_header *headers, size_t count)
{
    int32_t offset_delta = builder->last_delta + 1;
    int64_t timestamp_delta = count_in(builder, offset_delta, timestamp_ms);
    size_t tail = bytes_size(key) + bytes_size(value) + varlong_size((int64_t)count);

    for (size_t i = 0; i < count; i++) {
        assert(!str_is_null(headers[i].key));
        tail += bytes_size(headers[i].key) + bytes_size(headers[i].value);
    }
    uint8_t *to = head_write(builder, timestamp_delta, offset_delta, tail);
    to = bytes_write(to, key);
    to = bytes_write(to, value);
    to = varlong_write(to, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        to = bytes_write(to, headers[i].key);
        to = bytes_write(to, headers[i].value);
    }
    builder->plain.len = (size_t)(to - builder->plain.bytes);
}

void batch_builder_copy(struct batch_builder *builder, int32_t offset_delta,
                        const struct record *record)
{
    int64_t timestamp_delta = count_in(builder, offset_delta, record->timestamp);
    const uint8_t *next = (const uint8_t *)record->raw.ptr;
    const uint8_t *end = next + record->raw.len;
    int64_t old_timestamp_delta;
    int32_t old;

    next = varint_read(next, end, &old);
    assert(next != NULL); /* record_next() has been here */
    next = deltas_read(next, end, &old_timestamp_delta, &old);
    assert(next != NULL);
    uint8_t *to = head_write(builder, timestamp_delta, offset_delta, (size_t)(end - next));
    memcpy(to, next, (size_t)(end - next));
    to += end - next;
    builder->plain.len = (size_t)(to - builder->plain.bytes);
}

size_t batch_builder_size(const struct batch_builder *builder)
{
    return builder->plain.len;
}

static void header_write(const struct batch_builder *builder, int32_t last_offset_delta,
                         uint8_t *batch, size_t size)
{
    const struct batch_conf *conf = &builder->conf;
    unsigned attributes = (unsigned)conf->codec;

    attributes |= conf->append_time != -1 ? BATCH_APPEND_TIME : 0u;
    attributes |= conf->transactional ? BATCH_TRANSACTIONAL : 0u;
    attributes |= conf->control ? BATCH_CONTROL : 0u;
    attributes |= conf->delete_horizon != -1 ? BATCH_DELETE_HORIZON : 0u;
    assert(size - BATCH_PREFIX_BYTES <= INT32_MAX);
    batch_stamp(batch, conf->base_offset, conf->leader_epoch);
    store_be32(batch + BATCH_POS_LENGTH, (uint32_t)(size - BATCH_PREFIX_BYTES));
    batch[BATCH_POS_MAGIC] = 2;
    store_i16(batch + BATCH_POS_ATTRIBUTES, (int16_t)attributes);
    store_i32(batch + BATCH_POS_LAST_OFFSET_DELTA, last_offset_delta);
    store_i64(batch + BATCH_POS_BASE_TIMESTAMP, builder->base_timestamp);
    store_i64(batch + BATCH_POS_MAX_TIMESTAMP,
              conf->append_time != -1 ? conf->append_time : builder->max_timestamp);
    store_i64(batch + BATCH_POS_PRODUCER_ID, conf->producer_id);
    store_i16(batch + BATCH_POS_PRODUCER_EPOCH, conf->producer_epoch);
    store_i32(batch + BATCH_POS_BASE_SEQUENCE, conf->base_sequence);
    store_i32(batch + BATCH_POS_COUNT, builder->count);
    batch_seal(batch, size);
}

enum err batch_builder_finish(struct batch_builder *builder, int32_t last_offset_delta,
                              uint8_t **batch, size_t *size)
{
    struct buf *whole = &builder->plain;

    if (last_offset_delta == -1)
        last_offset_delta = builder->last_delta;
    assert(last_offset_delta >= 0);
    assert(last_offset_delta >= builder->last_delta);
    if (builder->conf.codec != CODEC_NONE && builder->count > 0) {
        whole = &builder->packed;
        whole->len = 0;
        memset(buf_reserve(whole, BATCH_HEADER_BYTES), 0, BATCH_HEADER_BYTES);
        whole->len = BATCH_HEADER_BYTES;
        enum err err = codec_compress(builder->conf.codec, builder->conf.level, 2,
                                      builder->plain.bytes + BATCH_HEADER_BYTES,
                                      builder->plain.len - BATCH_HEADER_BYTES, whole);
        if (err != ERR_OK)
            return err;
    }
    header_write(builder, last_offset_delta, whole->bytes, whole->len);
    *batch = whole->bytes;
    *size = whole->len;
    return ERR_OK;
}

void batch_marker_write(uint8_t batch[static BATCH_MARKER_BYTES], bool commit, int64_t producer_id,
                        int16_t producer_epoch, int32_t coordinator_epoch, int64_t timestamp_ms)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    char key[4], value[6];
    uint8_t *bytes;
    size_t size;

    store_i16(key, 0);
    store_i16(key + 2, commit ? RECORD_COMMIT : RECORD_ABORT);
    store_i16(value, 0);
    store_i32(value + 2, coordinator_epoch);
    conf.producer_id = producer_id;
    conf.producer_epoch = producer_epoch;
    conf.transactional = true;
    conf.control = true;
    batch_builder_init(&builder, &conf);
    batch_builder_add(&builder, timestamp_ms, (struct str){ key, sizeof key },
                      (struct str){ value, sizeof value }, NULL, 0);
    enum err err = batch_builder_finish(&builder, -1, &bytes, &size);
    assert(err == ERR_OK);
    assert(size == BATCH_MARKER_BYTES);
    memcpy(batch, bytes, size);
    batch_builder_fini(&builder);
}
