/*
 * prim - Kafka's primitive types, read from and written to memory. Generated codecs stand on these.
 *
 * Reading: a cursor whose first failure sticks. After it every read gives 0, null or nothing, so a
 * decoder reads straight on and looks at in.err once, at its end.
 * Writing: into memory measured before. A wire_out without base only counts (wire_out_measure), so
 * one walk over a message is both its size and its encoding.
 *
 * Records that live elsewhere (a file range that sendfile carries) have data NULL and len > 0: they
 * are "out of line". Measuring counts them, writing leaves them out and notes a cut: the place in
 * the buffer where they belong. The sender sends base up to cuts[0].pos, then the bytes of
 * cuts[0].records, then base up to cuts[1].pos, and so on; the frame's length is the measured one.
 * The buffer needs the measured size less the sum of the lengths out of line; encoding into a
 * wire_out_measure() counts both, and the cuts; given room for these it notes whose they are.
 *
 * Units:      bytes; len -1 is Kafka's null.
 * Ownership:  what is read borrows from the input; arrays come out of in->arena.
 * Threads:    none of its own.
 * Errors:     ERR_BAD_FORMAT for bytes that cannot be meant, ERR_TOO_LARGE when the arena's limit
 *             refuses. Writing past cap, or null where the version has none, is our bug.
 */
#ifndef COMMON_WIRE_PRIM_H
#define COMMON_WIRE_PRIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/base/uuid.h"

#define WIRE_STR_MAX INT16_MAX /* bytes of a text on the wire */

struct wire_bytes {
    const uint8_t *data;
    int32_t len; /* -1 null */
};

struct wire_records {
    const uint8_t *data; /* NULL with len > 0: out of line, see above */
    int32_t len;         /* -1 null */
    void *ext;           /* whatever the maker wants to find again at a cut */
};

#define WIRE_BYTES_NULL   ((struct wire_bytes){ .data = NULL, .len = -1 })
#define WIRE_RECORDS_NULL ((struct wire_records){ .data = NULL, .len = -1 })

struct wire_in {
    const uint8_t *pos;  /* next byte to read */
    const uint8_t *end;  /* one past the last; of the payload while inside a tagged field */
    struct arena *arena; /* for arrays */
    enum err err;        /* first failure; then pos == end */
};

struct wire_cut {
    size_t pos; /* in the buffer: the records belong before this byte */
    const struct wire_records *records;
};

struct wire_out {
    uint8_t *base; /* NULL: only count */
    size_t pos;    /* bytes written, or counted */
    size_t cap;
    struct wire_cut *cuts;
    int cuts_len, cuts_cap; /* cuts_len also when only counting: how many there will be */
    size_t away;            /* bytes out of line, part of pos only when counting */
};

static inline struct wire_in wire_in_of(const void *bytes, size_t len, struct arena *arena)
{
    return (struct wire_in){ .pos = bytes, .end = (const uint8_t *)bytes + len, .arena = arena };
}

static inline struct wire_out wire_out_of(void *base, size_t cap)
{
    return (struct wire_out){ .base = base, .cap = cap };
}

static inline struct wire_out wire_out_measure(void)
{
    return (struct wire_out){ .base = NULL };
}

/* --- reading ---------------------------------------------------------------------------------- */

static inline size_t wire_left(const struct wire_in *in)
{
    return (size_t)(in->end - in->pos);
}

/* The first failure stays. */
void wire_fail(struct wire_in *in, enum err err) __attribute__((cold));

/* len bytes where they lie, or NULL and failed. */
static inline const uint8_t *wire_get(struct wire_in *in, size_t len)
{
    const uint8_t *at = in->pos;

    if (__builtin_expect(wire_left(in) < len, 0)) {
        wire_fail(in, ERR_BAD_FORMAT);
        return NULL;
    }
    in->pos += len;
    return at;
}

static inline int8_t wire_get_i8(struct wire_in *in)
{
    const uint8_t *at = wire_get(in, 1);

    return at != NULL ? (int8_t)*at : 0;
}

static inline bool wire_get_bool(struct wire_in *in)
{
    return wire_get_i8(in) != 0;
}

#define WIRE_GET_DEFINE(name, type, load, size)                                                    \
    static inline type wire_get_##name(struct wire_in *in)                                         \
    {                                                                                              \
        const uint8_t *at = wire_get(in, size);                                                    \
                                                                                                   \
        return at != NULL ? load(at) : 0;                                                          \
    }
WIRE_GET_DEFINE(i16, int16_t, load_i16, 2)
WIRE_GET_DEFINE(u16, uint16_t, load_be16, 2)
WIRE_GET_DEFINE(i32, int32_t, load_i32, 4)
WIRE_GET_DEFINE(u32, uint32_t, load_be32, 4)
WIRE_GET_DEFINE(i64, int64_t, load_i64, 8)

double wire_get_f64(struct wire_in *in);
struct uuid wire_get_uuid(struct wire_in *in);
/* LEB128 of at most 5 bytes. Padding zeroes are accepted, bits beyond 32 are not. */
uint32_t wire_get_uvarint(struct wire_in *in);
/* Zig-zag; only records use these. */
int32_t wire_get_varint(struct wire_in *in);
int64_t wire_get_varlong(struct wire_in *in);

/* compact: length + 1 as uvarint instead of a fixed length. null_ok: null is legal here. */
struct str wire_get_str(struct wire_in *in, bool compact, bool null_ok);
struct wire_bytes wire_get_bytes(struct wire_in *in, bool compact, bool null_ok);
struct wire_records wire_get_records(struct wire_in *in, bool compact, bool null_ok);

/* Count of an array and zeroed memory for it: elements of elem_size, each at least wire_min (> 0)
 * bytes on the wire; more than can be left is refused before any memory is taken. *len is -1 for
 * null, 0 after a failure; both give NULL. */
void *wire_get_array(struct wire_in *in, bool compact, bool null_ok, size_t wire_min,
                     size_t elem_size, int32_t *len);
/* The mark before a nullable struct: zeroed memory for it, or NULL for null and after a failure. */
void *wire_get_nullable(struct wire_in *in, size_t size);

/*
 * Tagged fields, at the end of every struct of a flexible version:
 *     struct wire_tags tags = wire_get_tags(in);
 *     uint32_t tag;
 *     while (wire_tag_next(in, &tags, &tag))
 *         read all of the payload, or wire_tag_skip(in)
 */
struct wire_tags {
    const uint8_t *end; /* of what surrounds the open payload; NULL when none is open */
    uint32_t left;      /* fields to come */
    int64_t last;       /* tag before, -1 at first */
};

struct wire_tags wire_get_tags(struct wire_in *in);
bool wire_tag_next(struct wire_in *in, struct wire_tags *tags, uint32_t *tag);
void wire_skip_tags_slow(struct wire_in *in);

static inline void wire_tag_skip(struct wire_in *in)
{
    in->pos = in->end;
}

/* Where no tag is known. */
static inline void wire_skip_tags(struct wire_in *in)
{
    if (__builtin_expect(in->pos < in->end && *in->pos == 0, 1))
        in->pos++;
    else
        wire_skip_tags_slow(in);
}

/* --- writing ---------------------------------------------------------------------------------- */

void wire_out_overflow(void) __attribute__((cold, noreturn));

/* Room for len bytes; NULL while only counting. */
static inline uint8_t *wire_put(struct wire_out *out, size_t len)
{
    size_t pos = out->pos;

    out->pos += len;
    if (out->base == NULL)
        return NULL;
    if (__builtin_expect(len > out->cap - pos, 0))
        wire_out_overflow();
    return out->base + pos;
}

static inline void wire_put_i8(struct wire_out *out, int8_t value)
{
    uint8_t *to = wire_put(out, 1);

    if (to != NULL)
        *to = (uint8_t)value;
}

static inline void wire_put_bool(struct wire_out *out, bool value)
{
    wire_put_i8(out, value);
}

#define WIRE_PUT_DEFINE(name, type, store, size)                                                   \
    static inline void wire_put_##name(struct wire_out *out, type value)                           \
    {                                                                                              \
        uint8_t *to = wire_put(out, size);                                                         \
                                                                                                   \
        if (to != NULL)                                                                            \
            store(to, value);                                                                      \
    }
WIRE_PUT_DEFINE(i16, int16_t, store_i16, 2)
WIRE_PUT_DEFINE(u16, uint16_t, store_be16, 2)
WIRE_PUT_DEFINE(i32, int32_t, store_i32, 4)
WIRE_PUT_DEFINE(u32, uint32_t, store_be32, 4)
WIRE_PUT_DEFINE(i64, int64_t, store_i64, 8)

void wire_put_f64(struct wire_out *out, double value);
void wire_put_uuid(struct wire_out *out, struct uuid value);
void wire_put_uvarint(struct wire_out *out, uint32_t value);
void wire_put_varint(struct wire_out *out, int32_t value);
void wire_put_varlong(struct wire_out *out, int64_t value);

/* A text longer than WIRE_STR_MAX is cut there, between characters: only what we compose around a
 * client's own text can get that long, and a cut message beats a crash that a client can cause. */
void wire_put_str(struct wire_out *out, struct str value, bool compact, bool null_ok);
void wire_put_bytes(struct wire_out *out, struct wire_bytes value, bool compact, bool null_ok);
/* By pointer: a cut keeps it. */
void wire_put_records(struct wire_out *out, const struct wire_records *value, bool compact,
                      bool null_ok);
/* Count of an array, -1 for null. */
void wire_put_count(struct wire_out *out, int32_t len, bool compact, bool null_ok);
/* Before a tagged field's payload of size bytes. */
void wire_put_tag(struct wire_out *out, uint32_t tag, size_t size);

/* Bytes on the wire. */
size_t uvarint_size(uint64_t value);
size_t varint_size(int32_t value);
size_t varlong_size(int64_t value);

#endif
