/* The walk runs twice: once to count, once to write into what was counted. */
#include "common/wire/show.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/prim.h"

struct sink {
    char *text; /* NULL: only count */
    size_t len;
    int16_t version;
    const struct wire_show_java *java; /* NULL: our own way */
    struct arena *arena;
};

static void put_text(struct sink *to, const char *text, size_t len)
{
    if (to->text != NULL && len > 0)
        memcpy(to->text + to->len, text, len);
    to->len += len;
}

static void put_word(struct sink *to, const char *word)
{
    put_text(to, word, strlen(word));
}

static void put_quoted(struct sink *to, struct str text)
{
    static const char named[] = "\bb\tt\nn\ff\rr";

    put_word(to, "\"");
    for (size_t i = 0; i < text.len; i++) {
        char escaped[8];
        unsigned char c = (unsigned char)text.ptr[i];
        const char *name = to->java != NULL && c < 0x20 && c > 0 ? strchr(named, c) : NULL;

        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (name != NULL)
            snprintf(escaped, sizeof escaped, "\\%c", name[1]);
        else if (c < 0x20)
            snprintf(escaped, sizeof escaped, to->java != NULL ? "\\u%04X" : "\\u%04x", c);
        else
            snprintf(escaped, sizeof escaped, "%c", c);
        put_word(to, escaped);
    }
    put_word(to, "\"");
}

static void put_base64(struct sink *to, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    put_word(to, "\"");
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        char four[4];

        if (have > 1)
            bits |= (uint32_t)bytes[i + 1] << 8;
        if (have > 2)
            bits |= bytes[i + 2];
        four[0] = digits[bits >> 18];
        four[1] = digits[(bits >> 12) & 63];
        four[2] = have > 1 ? digits[(bits >> 6) & 63] : '=';
        four[3] = have > 2 ? digits[bits & 63] : '=';
        put_text(to, four, sizeof four);
    }
    put_word(to, "\"");
}

static void put_double(struct sink *to, double value)
{
    char text[40];

    if (isnan(value))
        put_word(to, "\"NaN\"");
    else if (isinf(value))
        put_word(to, value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    else {
        snprintf(text, sizeof text, "%.17g", value);
        put_word(to, text);
    }
}

static int64_t integer(enum wire_kind kind, const void *at)
{
    switch (kind) {
    case WIRE_INT8:
        return *(const int8_t *)at;
    case WIRE_INT16:
        return *(const int16_t *)at;
    case WIRE_UINT16:
        return *(const uint16_t *)at;
    case WIRE_INT32:
        return *(const int32_t *)at;
    case WIRE_UINT32:
        return *(const uint32_t *)at;
    default:
        assert(kind == WIRE_INT64);
        return *(const int64_t *)at;
    }
}

static void put_bytes(struct sink *to, const struct wire_field *field,
                      const struct wire_bytes *bytes)
{
    struct str shown = STR_NULL;

    if (bytes->len < 0) {
        put_word(to, "null");
        return;
    }
    if (to->java != NULL && to->java->bytes != NULL)
        shown = to->java->bytes(to->java->ctx, field, bytes, to->arena);
    if (str_is_null(shown))
        put_base64(to, bytes->data, (size_t)bytes->len);
    else
        put_text(to, shown.ptr, shown.len);
}

/* The name with what follows the quote; "protocol_type" is protocolType in Java. */
static void put_name(struct sink *to, const char *name)
{
    put_word(to, "\"");
    for (const char *at = name; *at != '\0'; at++) {
        char c = *at;

        if (to->java != NULL && c == '_' && at[1] >= 'a' && at[1] <= 'z')
            c = (char)(*++at - 'a' + 'A');
        put_text(to, &c, 1);
    }
}

static void put_struct(struct sink *to, const struct wire_shape *shape, const void *message);

static void put_value(struct sink *to, const struct wire_field *field, const void *at)
{
    char text[32];

    switch (field->kind) {
    case WIRE_BOOL:
        put_word(to, *(const bool *)at ? "true" : "false");
        return;
    case WIRE_FLOAT64:
        put_double(to, *(const double *)at);
        return;
    case WIRE_UUID:
        uuid_print(*(const struct uuid *)at, text);
        put_quoted(to, str_of(text));
        return;
    case WIRE_STRING:
        if (str_is_null(*(const struct str *)at))
            put_word(to, "null");
        else
            put_quoted(to, *(const struct str *)at);
        return;
    case WIRE_BYTES:
        put_bytes(to, field, at);
        return;
    case WIRE_RECORDS:
        snprintf(text, sizeof text, "%d", ((const struct wire_records *)at)->len);
        put_word(to, ((const struct wire_records *)at)->len < 0 ? "null" : text);
        return;
    case WIRE_STRUCT:
        put_struct(to, field->shape, at);
        return;
    default:
        snprintf(text, sizeof text, "%" PRId64, integer(field->kind, at));
        put_word(to, text);
    }
}

static size_t kind_size(const struct wire_field *field)
{
    switch (field->kind) {
    case WIRE_BOOL:
        return sizeof(bool);
    case WIRE_INT8:
        return 1;
    case WIRE_INT16:
    case WIRE_UINT16:
        return 2;
    case WIRE_INT32:
    case WIRE_UINT32:
        return 4;
    case WIRE_INT64:
        return 8;
    case WIRE_FLOAT64:
        return sizeof(double);
    case WIRE_UUID:
        return sizeof(struct uuid);
    case WIRE_STRING:
        return sizeof(struct str);
    case WIRE_BYTES:
        return sizeof(struct wire_bytes);
    case WIRE_RECORDS:
        return sizeof(struct wire_records);
    case WIRE_STRUCT:
        return field->shape->size;
    }
    assert(!"a kind that shape.h does not have");
    return 0;
}

static void put_field(struct sink *to, const struct wire_field *field, const uint8_t *message)
{
    const uint8_t *at = message + field->pos;
    const uint8_t *first = NULL; /* element, or what the pointer points to */

    if (field->pointer || field->array)
        memcpy(&first, at, sizeof first);
    if (field->pointer) {
        if (first == NULL)
            put_word(to, "null");
        else
            put_value(to, field, first);
        return;
    }
    if (!field->array) {
        put_value(to, field, at);
        return;
    }
    int32_t len = *(const int32_t *)(const void *)(message + field->len_pos);
    if (len < 0) {
        put_word(to, "null");
        return;
    }
    put_word(to, "[");
    for (int32_t i = 0; i < len; i++) {
        if (i > 0)
            put_word(to, ",");
        put_value(to, field, first + (size_t)i * kind_size(field));
    }
    put_word(to, "]");
}

/* Whether a tagged field has its default, that is, is not on the wire. */
static bool is_default(const struct wire_field *field, const uint8_t *message, const uint8_t *fresh)
{
    const uint8_t *at = message + field->pos, *untouched = fresh + field->pos;

    if (field->array)
        return memcmp(message + field->len_pos, fresh + field->len_pos, sizeof(int32_t)) == 0 &&
               *(const int32_t *)(const void *)(message + field->len_pos) <= 0;
    if (field->kind == WIRE_STRUCT && !field->pointer)
        return !*(const bool *)(message + field->has_pos);
    if (field->pointer)
        return memcmp(at, untouched, sizeof(void *)) == 0;
    if (field->kind == WIRE_STRING)
        return str_eq(*(const struct str *)(const void *)at,
                      *(const struct str *)(const void *)untouched);
    if (field->kind == WIRE_BYTES || field->kind == WIRE_RECORDS)
        return false; /* no schema tags these */
    return memcmp(at, untouched, kind_size(field)) == 0;
}

static void put_struct(struct sink *to, const struct wire_shape *shape, const void *message)
{
    void *fresh = xmalloc(shape->size);
    const char *comma = "";

    shape->init(fresh);
    put_word(to, "{");
    for (int i = 0; i < shape->fields_len; i++) {
        const struct wire_field *field = &shape->fields[i];

        if (to->version < field->since || to->version > field->until ||
            (field->tag >= 0 && is_default(field, message, fresh)))
            continue;
        put_word(to, comma);
        comma = ",";
        put_name(to, field->name);
        if (field->kind == WIRE_RECORDS &&
            ((const struct wire_records *)(const void *)((const uint8_t *)message + field->pos))
                    ->len >= 0)
            put_word(to, "_size_in_bytes");
        put_word(to, "\":");
        put_field(to, field, message);
    }
    put_word(to, "}");
    free(fresh);
}

static struct str show(struct sink sink, const struct wire_shape *shape, const void *message)
{
    put_struct(&sink, shape, message);
    size_t len = sink.len;
    sink.text = arena_alloc(sink.arena, len + 1);
    sink.len = 0;
    put_struct(&sink, shape, message);
    assert(sink.len == len);
    sink.text[len] = '\0';
    return (struct str){ .ptr = sink.text, .len = len };
}

struct str wire_show(const struct wire_shape *shape, const void *message, int16_t version,
                     struct arena *arena)
{
    return show((struct sink){ .version = version, .arena = arena }, shape, message);
}

struct str wire_show_as_java(const struct wire_shape *shape, const void *message, int16_t version,
                             const struct wire_show_java *java, struct arena *arena)
{
    return show((struct sink){ .version = version, .java = java, .arena = arena }, shape, message);
}
