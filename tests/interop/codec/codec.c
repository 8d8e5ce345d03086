/*
 * codec - our half of the cross-check against Kafka's own message classes.
 *
 *   codec list             every message, a line each: NAME FIRST_VERSION LAST_VERSION
 *   codec make SEED ROUNDS made-up messages, ROUNDS of each version: NAME VERSION HEX JSON
 *   codec answer           for each line NAME VERSION HEX of stdin: what we encode after decoding
 * it, as HEX JSON, or "error ERROR_NAME"
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/wire/show.h"
#include "gen/records/consumer_protocol.h"
#include "gen/records/group_metadata.h"
#include "gen/records/offset_commit.h"
#include "gen/records/transaction_log.h"
#include "gen/wire/apis.h"

struct message {
    struct wire_codec codec;
    int16_t since, until;
};

#define RECORD(name)                                                                               \
    static void name##_any_init(void *m)                                                           \
    {                                                                                              \
        name##_init(m);                                                                            \
    }                                                                                              \
    static enum err name##_any_decode(void *out, struct wire_in *in, int16_t version)              \
    {                                                                                              \
        return name##_decode(out, in, version);                                                    \
    }                                                                                              \
    static size_t name##_any_size(const void *m, int16_t version)                                  \
    {                                                                                              \
        return name##_size(m, version);                                                            \
    }                                                                                              \
    static void name##_any_encode(const void *m, struct wire_out *out, int16_t version)            \
    {                                                                                              \
        name##_encode(m, out, version);                                                            \
    }
#define USE(name, NAME)                                                                            \
    {                                                                                              \
        { &name##_shape, name##_any_init, name##_any_decode, name##_any_size, name##_any_encode }, \
            NAME##_MIN_VERSION, NAME##_MAX_VERSION                                                 \
    }

RECORD(offset_commit_key)
RECORD(offset_commit_value)
RECORD(group_metadata_key)
RECORD(group_metadata_value)
RECORD(transaction_log_key)
RECORD(transaction_log_value)
RECORD(consumer_protocol_subscription)
RECORD(consumer_protocol_assignment)

static const struct message records[] = {
    USE(offset_commit_key, OFFSET_COMMIT_KEY),
    USE(offset_commit_value, OFFSET_COMMIT_VALUE),
    USE(group_metadata_key, GROUP_METADATA_KEY),
    USE(group_metadata_value, GROUP_METADATA_VALUE),
    USE(transaction_log_key, TRANSACTION_LOG_KEY),
    USE(transaction_log_value, TRANSACTION_LOG_VALUE),
    USE(consumer_protocol_subscription, CONSUMER_PROTOCOL_SUBSCRIPTION),
    USE(consumer_protocol_assignment, CONSUMER_PROTOCOL_ASSIGNMENT),
};

/* The i-th of all messages; false past the last. */
static bool message_at(int i, struct message *out)
{
    int key = i / 2;

    if (key > API_KEY_MAX) {
        size_t record = (size_t)(i - 2 * (API_KEY_MAX + 1));

        if (record >= ARRAY_LEN(records))
            return false;
        *out = records[record];
        return true;
    }
    const struct wire_api *api = wire_api((int16_t)key);
    *out = (struct message){ .since = 0, .until = -1 };
    if (api != NULL)
        *out = (struct message){ i % 2 == 0 ? api->request : api->response, api->min_version,
                                 api->max_version };
    return true;
}

/* --- making messages up ------------------------------------------------------------------------
 */

static uint64_t state;

static uint64_t chance(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state * 0x2545f4914f6cdd1d >> 16) % below;
}

static int64_t any_int(void)
{
    switch (chance(6)) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return INT64_MIN;
    case 3:
        return INT64_MAX;
    case 4:
        return (int64_t)chance(300);
    default:
        return (int64_t)((chance(1 << 30) << 34) ^ (chance(1 << 30) << 15) ^ chance(1 << 15));
    }
}

static int32_t any_len(void)
{
    uint64_t kind = chance(20);

    return (int32_t)(kind == 0 ? chance(20000) : kind == 1 ? 120 + chance(16) : chance(12));
}

static struct str any_str(struct arena *arena)
{
    static const char *parts[] = {
        "a", "Z", "0", ".", "\"", "\\", "\n", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\x98"
    };
    int32_t len = any_len();
    char *text = arena_alloc(arena, (size_t)len * 4 + 1);
    size_t have = 0;

    for (int32_t i = 0; i < len && have < 32000; i++) {
        const char *part = parts[chance(ARRAY_LEN(parts))];

        memcpy(text + have, part, strlen(part));
        have += strlen(part);
    }
    return (struct str){ .ptr = text, .len = have };
}

static const uint8_t *any_bytes(struct arena *arena, int32_t len)
{
    uint8_t *bytes = arena_alloc(arena, (size_t)len + 1);

    for (int32_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)chance(256);
    return bytes;
}

static void make_struct(const struct wire_shape *shape, uint8_t *message, int16_t version,
                        struct arena *arena);

static void make_value(const struct wire_field *field, void *at, int16_t version, bool null_ok,
                       struct arena *arena)
{
    bool null = null_ok && chance(4) == 0;
    int32_t len;

    switch (field->kind) {
    case WIRE_BOOL:
        *(bool *)at = chance(2) == 0;
        return;
    case WIRE_INT8:
        *(int8_t *)at = (int8_t)any_int();
        return;
    case WIRE_INT16:
    case WIRE_UINT16:
        *(uint16_t *)at = (uint16_t)any_int();
        return;
    case WIRE_INT32:
    case WIRE_UINT32:
        *(uint32_t *)at = (uint32_t)any_int();
        return;
    case WIRE_INT64:
        *(int64_t *)at = any_int();
        return;
    case WIRE_FLOAT64:
        *(double *)at = (double)any_int() / 7;
        return;
    case WIRE_UUID:
        if (chance(4) != 0)
            memcpy(at, any_bytes(arena, 16), 16);
        return;
    case WIRE_STRING:
        *(struct str *)at = null ? STR_NULL : any_str(arena);
        return;
    case WIRE_BYTES:
        len = any_len();
        *(struct wire_bytes *)at =
            null ? WIRE_BYTES_NULL
                 : (struct wire_bytes){ .data = any_bytes(arena, len), .len = len };
        return;
    case WIRE_RECORDS:
        len = any_len();
        *(struct wire_records *)at =
            null ? WIRE_RECORDS_NULL
                 : (struct wire_records){ .data = any_bytes(arena, len), .len = len };
        return;
    case WIRE_STRUCT:
        make_struct(field->shape, at, version, arena);
        return;
    }
}

static size_t elem_size(const struct wire_field *field)
{
    static const size_t sizes[] = {
        [WIRE_BOOL] = sizeof(bool),
        [WIRE_INT8] = 1,
        [WIRE_INT16] = 2,
        [WIRE_UINT16] = 2,
        [WIRE_INT32] = 4,
        [WIRE_UINT32] = 4,
        [WIRE_INT64] = 8,
        [WIRE_FLOAT64] = sizeof(double),
        [WIRE_UUID] = sizeof(struct uuid),
        [WIRE_STRING] = sizeof(struct str),
        [WIRE_BYTES] = sizeof(struct wire_bytes),
        [WIRE_RECORDS] = sizeof(struct wire_records),
    };

    return field->kind == WIRE_STRUCT ? field->shape->size : sizes[field->kind];
}

/* Kafka leaves a tagged struct out whose fields all have their defaults, we go by its has_ flag: a
 * first field that is surely not the default makes the two agree. */
static void make_tagged_struct(const struct wire_field *field, uint8_t *message, int16_t version,
                               struct arena *arena)
{
    const struct wire_field *first = &field->shape->fields[0];
    uint8_t *at = message + field->pos;

    if (chance(2) == 0)
        return;
    *(bool *)(message + field->has_pos) = true;
    make_struct(field->shape, at, version, arena);
    assert(first->kind == WIRE_INT32 || first->kind == WIRE_INT64);
    at[first->pos] = 5;
}

static void make_field(const struct wire_field *field, uint8_t *message, int16_t version,
                       struct arena *arena)
{
    bool null_ok = version >= field->null_since && version <= field->null_until;
    uint8_t *at = message + field->pos;

    if (field->array) {
        int32_t len = null_ok && chance(4) == 0 ? -1 : (int32_t)chance(4);
        uint8_t *elems = arena_zalloc(arena, (size_t)(len > 0 ? len : 0), elem_size(field));

        for (int32_t i = 0; i < len; i++)
            make_value(field, elems + (size_t)i * elem_size(field), version, false, arena);
        memcpy(at, &elems, sizeof elems);
        memcpy(message + field->len_pos, &len, sizeof len);
    } else if (field->pointer) {
        void *one = chance(3) == 0 ? NULL : arena_zalloc(arena, 1, field->shape->size);

        if (one != NULL)
            make_struct(field->shape, one, version, arena);
        memcpy(at, &one, sizeof one);
    } else if (field->kind == WIRE_STRUCT && field->tag >= 0) {
        make_tagged_struct(field, message, version, arena);
    } else if (field->tag < 0 || chance(2) == 0) {
        make_value(field, at, version, null_ok, arena);
    }
}

static void make_struct(const struct wire_shape *shape, uint8_t *message, int16_t version,
                        struct arena *arena)
{
    shape->init(message);
    for (int i = 0; i < shape->fields_len; i++) {
        const struct wire_field *field = &shape->fields[i];

        if (version >= field->since && version <= field->until)
            make_field(field, message, version, arena);
    }
}

/* --- talking -----------------------------------------------------------------------------------
 */

static void print_message(const struct message *m, const void *message, int16_t version,
                          struct arena *arena)
{
    size_t size = m->codec.size(message, version);
    uint8_t *bytes = xmalloc(size + 1);
    struct wire_out out = wire_out_of(bytes, size);

    m->codec.encode(message, &out, version);
    assert(out.pos == size);
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    printf("%s %s\n", size == 0 ? "-" : "", wire_show(m->codec.shape, message, version, arena).ptr);
    free(bytes);
}

static void make_all(int rounds)
{
    struct message m;

    for (int i = 0; message_at(i, &m); i++) {
        for (int version = m.since; version <= m.until; version++) {
            for (int round = 0; round < rounds; round++) {
                struct arena arena;

                arena_init(&arena, SIZE_MAX);
                uint8_t *message = arena_alloc(&arena, m.codec.shape->size);
                make_struct(m.codec.shape, message, (int16_t)version, &arena);
                printf("%s %d ", m.codec.shape->name, version);
                print_message(&m, message, (int16_t)version, &arena);
                arena_fini(&arena);
            }
        }
    }
}

static bool message_named(const char *name, struct message *out)
{
    for (int i = 0; message_at(i, out); i++)
        if (out->codec.shape != NULL && strcmp(out->codec.shape->name, name) == 0)
            return true;
    return false;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void answer(const char *name, int16_t version, const char *hex)
{
    struct message m;
    struct arena arena;

    if (!message_named(name, &m)) {
        printf("error no such message\n");
        return;
    }
    size_t len = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    uint8_t *bytes = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));

    arena_init(&arena, SIZE_MAX);
    void *message = arena_alloc(&arena, m.codec.shape->size);
    struct wire_in in = wire_in_of(bytes, len, &arena);
    enum err err = m.codec.decode(message, &in, version);
    if (err != ERR_OK)
        printf("error %s\n", err_name(err));
    else if (in.pos != in.end)
        printf("error %zu bytes left\n", (size_t)(in.end - in.pos));
    else
        print_message(&m, message, version, &arena);
    arena_fini(&arena);
    free(bytes);
}

static void answer_all(void)
{
    char *line = NULL;
    size_t cap = 0;

    while (getline(&line, &cap, stdin) > 0) {
        char *rest = line;
        const char *name = strsep(&rest, " \n");
        const char *version = strsep(&rest, " \n");
        const char *hex = strsep(&rest, " \n");

        assert(hex != NULL);
        answer(name, (int16_t)atoi(version), hex);
    }
    free(line);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "make") == 0) {
        state = strtoull(argv[2], NULL, 10) * 2654435761u + 88172645463325252u;
        make_all(atoi(argv[3]));
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "answer") == 0) {
        answer_all();
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        struct message m;

        for (int i = 0; message_at(i, &m); i++)
            if (m.codec.shape != NULL)
                printf("%s %d %d\n", m.codec.shape->name, m.since, m.until);
        return 0;
    }
    fprintf(stderr, "usage: codec list | make SEED ROUNDS | answer\n");
    return 2;
}
