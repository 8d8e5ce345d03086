/*
 * Lengths are compared with what is left before anything is made of them, and always by subtraction
 * from what is left, so that no sum can wrap.
 */
#include "common/wire/prim.h"

#include <assert.h>

void wire_fail(struct wire_in *in, enum err err)
{
    if (in->err == ERR_OK)
        in->err = err;
    in->pos = in->end;
}

double wire_get_f64(struct wire_in *in)
{
    uint64_t bits = (uint64_t)wire_get_i64(in);
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

struct uuid wire_get_uuid(struct wire_in *in)
{
    const uint8_t *at = wire_get(in, 16);
    struct uuid uuid = UUID_ZERO;

    if (at != NULL)
        memcpy(uuid.bytes, at, sizeof uuid.bytes);
    return uuid;
}

static uint64_t get_leb128(struct wire_in *in, unsigned bits)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < bits; shift += 7) {
        const uint8_t *at = wire_get(in, 1);

        if (at == NULL)
            return 0;
        uint64_t part = *at & 0x7f;
        if (bits - shift < 7 && part >> (bits - shift) != 0)
            break;
        value |= part << shift;
        if ((*at & 0x80) == 0)
            return value;
    }
    wire_fail(in, ERR_BAD_FORMAT);
    return 0;
}

uint32_t wire_get_uvarint(struct wire_in *in)
{
    if (in->pos < in->end && *in->pos < 0x80)
        return *in->pos++;
    return (uint32_t)get_leb128(in, 32);
}

int32_t wire_get_varint(struct wire_in *in)
{
    uint32_t raw = wire_get_uvarint(in);

    return (int32_t)(raw >> 1) ^ -(int32_t)(raw & 1);
}

int64_t wire_get_varlong(struct wire_in *in)
{
    uint64_t raw = get_leb128(in, 64);

    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}

/* Length of what follows, checked against what is left; -1 for a null that is legal here or for a
 * failure. */
static int32_t checked_len(struct wire_in *in, int64_t len, bool null_ok)
{
    if (len == -1 && null_ok)
        return -1;
    if (len < 0 || len > INT32_MAX || (uint64_t)len > wire_left(in)) {
        wire_fail(in, ERR_BAD_FORMAT);
        return -1;
    }
    return (int32_t)len;
}

struct str wire_get_str(struct wire_in *in, bool compact, bool null_ok)
{
    int64_t raw = compact ? (int64_t)wire_get_uvarint(in) - 1 : wire_get_i16(in);

    if (in->err != ERR_OK)
        return STR_NULL;
    if (raw > WIRE_STR_MAX) {
        wire_fail(in, ERR_BAD_FORMAT);
        return STR_NULL;
    }
    int32_t len = checked_len(in, raw, null_ok);
    if (len < 0)
        return STR_NULL;
    struct str text = { .ptr = (const char *)in->pos, .len = (size_t)len };
    in->pos += len;
    return text;
}

struct wire_bytes wire_get_bytes(struct wire_in *in, bool compact, bool null_ok)
{
    int64_t raw = compact ? (int64_t)wire_get_uvarint(in) - 1 : wire_get_i32(in);

    if (in->err != ERR_OK)
        return WIRE_BYTES_NULL;
    int32_t len = checked_len(in, raw, null_ok);
    if (len < 0)
        return WIRE_BYTES_NULL;
    struct wire_bytes bytes = { .data = in->pos, .len = len };
    in->pos += len;
    return bytes;
}

struct wire_records wire_get_records(struct wire_in *in, bool compact, bool null_ok)
{
    struct wire_bytes bytes = wire_get_bytes(in, compact, null_ok);

    return (struct wire_records){ .data = bytes.data, .len = bytes.len };
}

void *wire_get_array(struct wire_in *in, bool compact, bool null_ok, size_t wire_min,
                     size_t elem_size, int32_t *len)
{
    assert(wire_min > 0);

    *len = 0;
    int64_t count = compact ? (int64_t)wire_get_uvarint(in) - 1 : wire_get_i32(in);
    if (in->err != ERR_OK)
        return NULL;
    if (count == -1 && null_ok) {
        *len = -1;
        return NULL;
    }
    if (count < 0 || count > INT32_MAX || (uint64_t)count > wire_left(in) / wire_min) {
        wire_fail(in, ERR_BAD_FORMAT);
        return NULL;
    }
    if (count == 0)
        return NULL;
    void *array = arena_try(in->arena, (size_t)count, elem_size);
    if (array == NULL)
        wire_fail(in, ERR_TOO_LARGE);
    else
        *len = (int32_t)count;
    return array;
}

void *wire_get_nullable(struct wire_in *in, size_t size)
{
    if (wire_get_i8(in) < 0 || in->err != ERR_OK)
        return NULL;
    void *memory = arena_try(in->arena, 1, size);
    if (memory == NULL)
        wire_fail(in, ERR_TOO_LARGE);
    return memory;
}

struct wire_tags wire_get_tags(struct wire_in *in)
{
    return (struct wire_tags){ .end = NULL, .left = wire_get_uvarint(in), .last = -1 };
}

bool wire_tag_next(struct wire_in *in, struct wire_tags *tags, uint32_t *tag)
{
    if (tags->end != NULL) {
        if (in->pos != in->end)
            wire_fail(in, ERR_BAD_FORMAT); /* its size and its content disagree */
        in->end = tags->end;
        tags->end = NULL;
        if (in->err != ERR_OK)
            in->pos = in->end;
    }
    if (tags->left == 0 || in->err != ERR_OK)
        return false;
    tags->left--;
    *tag = wire_get_uvarint(in);
    size_t size = wire_get_uvarint(in);
    if (in->err != ERR_OK)
        return false;
    if (*tag <= tags->last || size > wire_left(in)) {
        wire_fail(in, ERR_BAD_FORMAT);
        return false;
    }
    tags->last = *tag;
    tags->end = in->end;
    in->end = in->pos + size;
    return true;
}

void wire_skip_tags_slow(struct wire_in *in)
{
    struct wire_tags tags = wire_get_tags(in);
    uint32_t tag;

    while (wire_tag_next(in, &tags, &tag))
        wire_tag_skip(in);
}

void wire_out_overflow(void)
{
    assert(!"a message outgrew the buffer measured for it");
    __builtin_unreachable();
}

void wire_put_f64(struct wire_out *out, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    wire_put_i64(out, (int64_t)bits);
}

static void put_raw(struct wire_out *out, const void *bytes, size_t len)
{
    uint8_t *to = wire_put(out, len);

    if (to != NULL && len > 0)
        memcpy(to, bytes, len);
}

void wire_put_uuid(struct wire_out *out, struct uuid value)
{
    put_raw(out, value.bytes, sizeof value.bytes);
}

static void put_leb128(struct wire_out *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t len = 0;

    for (; value >= 0x80; value >>= 7)
        bytes[len++] = (uint8_t)(value | 0x80);
    bytes[len++] = (uint8_t)value;
    put_raw(out, bytes, len);
}

static uint32_t zigzag32(int32_t value)
{
    return ((uint32_t)value << 1) ^ (uint32_t)(value >> 31);
}

static uint64_t zigzag64(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

void wire_put_uvarint(struct wire_out *out, uint32_t value)
{
    if (value < 0x80)
        wire_put_i8(out, (int8_t)value);
    else
        put_leb128(out, value);
}

void wire_put_varint(struct wire_out *out, int32_t value)
{
    put_leb128(out, zigzag32(value));
}

void wire_put_varlong(struct wire_out *out, int64_t value)
{
    put_leb128(out, zigzag64(value));
}

/* At most WIRE_STR_MAX bytes, not ending inside a character. */
static size_t fitting_len(struct str text)
{
    size_t len = text.len;

    if (len <= WIRE_STR_MAX)
        return len;
    len = WIRE_STR_MAX;
    while (len > WIRE_STR_MAX - 4 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80)
        len--;
    return len;
}

void wire_put_str(struct wire_out *out, struct str value, bool compact, bool null_ok)
{
    if (str_is_null(value)) {
        assert(null_ok);
        if (compact)
            wire_put_uvarint(out, 0);
        else
            wire_put_i16(out, -1);
        return;
    }
    size_t len = fitting_len(value);
    if (compact)
        wire_put_uvarint(out, (uint32_t)len + 1);
    else
        wire_put_i16(out, (int16_t)len);
    put_raw(out, value.ptr, len);
}

void wire_put_count(struct wire_out *out, int32_t len, bool compact, bool null_ok)
{
    assert(len >= (null_ok ? -1 : 0));
    if (compact)
        wire_put_uvarint(out, (uint32_t)(len + (int64_t)1));
    else
        wire_put_i32(out, len);
}

void wire_put_bytes(struct wire_out *out, struct wire_bytes value, bool compact, bool null_ok)
{
    wire_put_count(out, value.len, compact, null_ok);
    if (value.len > 0)
        put_raw(out, value.data, (size_t)value.len);
}

void wire_put_records(struct wire_out *out, const struct wire_records *value, bool compact,
                      bool null_ok)
{
    wire_put_count(out, value->len, compact, null_ok);
    if (value->len <= 0)
        return;
    if (value->data != NULL) {
        put_raw(out, value->data, (size_t)value->len);
        return;
    }
    out->away += (size_t)value->len;
    if (out->base == NULL)
        out->pos += (size_t)value->len;
    if (out->base == NULL && out->cuts == NULL) {
        out->cuts_len++;
        return;
    }
    assert(out->cuts_len < out->cuts_cap);
    out->cuts[out->cuts_len++] = (struct wire_cut){ .pos = out->pos, .records = value };
}

void wire_put_tag(struct wire_out *out, uint32_t tag, size_t size)
{
    assert(size <= INT32_MAX);
    wire_put_uvarint(out, tag);
    wire_put_uvarint(out, (uint32_t)size);
}

size_t uvarint_size(uint64_t value)
{
    size_t size = 1;

    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

size_t varint_size(int32_t value)
{
    return uvarint_size(zigzag32(value));
}

size_t varlong_size(int64_t value)
{
    return uvarint_size(zigzag64(value));
}
