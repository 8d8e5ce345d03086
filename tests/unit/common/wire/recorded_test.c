/*
 * Real exchanges: what clients and brokers of Kafka 3.9.2 said to each other (tests/data/wire).
 * Every request and answer must read as Kafka's own classes read it, and come back byte for byte.
 * Then the same frames damaged: cut at every byte, every byte changed; nothing may happen but an
 * error or a message that can be written again. Reads past a frame's end are the sanitizer's half
 * of this test: make test-unit SAN=address.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "common/wire/show.h"
#include "gen/wire/apis.h"
#include "tests/kit/unit.h"

#define LONGEST_DAMAGED                                                                            \
    400 /* bytes: every byte of a frame is damaged, so the cost is quadratic                       \
         */

/* One line of recorded.tsv. */
struct exchange {
    const char *number, *scenario;
    int16_t key, version, answer_version;
    const char *request, *client_id, *request_json; /* request: hex without the length */
    const char *response, *response_json;           /* "-": none */
};

static bool next_exchange(gzFile file, char *line, int cap, struct exchange *out)
{
    char *word[10];

    if (gzgets(file, line, cap) == NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(word); i++) {
        word[i] = strsep(&line, "\t\n");
        ck_assert_ptr_nonnull(word[i]);
    }
    *out = (struct exchange){ word[0],
                              word[1],
                              (int16_t)atoi(word[2]),
                              (int16_t)atoi(word[3]),
                              (int16_t)atoi(word[4]),
                              word[5],
                              word[6],
                              word[7],
                              word[8],
                              word[9] };
    return true;
}

static gzFile open_recorded(char **line, int *cap)
{
    gzFile file = gzopen(unit_data("wire/recorded.tsv.gz"), "rb");

    ck_assert_ptr_nonnull(file);
    *cap = 1 << 20;
    *line = xmalloc((size_t)*cap);
    return file;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* Allocated to the byte, so that the sanitizer sees one too many. */
static uint8_t *from_hex(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    uint8_t *bytes = xmalloc(*len > 0 ? *len : 1);

    for (size_t i = 0; i < *len; i++)
        bytes[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return bytes;
}

static uint8_t *encoded(const struct wire_codec *codec, const void *message, int16_t version,
                        size_t *len)
{
    *len = codec->size(message, version);
    uint8_t *bytes = xmalloc(*len > 0 ? *len : 1);
    struct wire_out out = wire_out_of(bytes, *len);

    codec->encode(message, &out, version);
    ck_assert_uint_eq(out.pos, *len);
    return bytes;
}

/* The message that starts at in->pos; number names it in failures. */
static void check_message(const struct wire_codec *codec, struct wire_in *in, int16_t version,
                          const char *json, const char *number, int *not_canonical)
{
    void *message = arena_alloc(in->arena, codec->shape->size);
    const uint8_t *start = in->pos;
    size_t len;

    ck_assert_msg(codec->decode(message, in, version) == ERR_OK, "%s: refused", number);
    struct str shown = wire_show(codec->shape, message, version, in->arena);
    ck_assert_msg(str_is(shown, json), "%s reads\n%s\nKafka reads\n%s", number, shown.ptr, json);

    uint8_t *again = encoded(codec, message, version, &len);
    if (len != (size_t)(in->pos - start) || memcmp(again, start, len) != 0)
        ++*not_canonical;
    free(again);
}

/* What is no request of Kafka 3.9 in ZooKeeper mode: true, having checked that we refuse it. */
static bool is_refused(const struct exchange *e, struct wire_in *in)
{
    const struct wire_api *api = wire_api(e->key);

    if (api != NULL && strcmp(e->request_json, "-") == 0) {
        void *message = arena_alloc(in->arena, api->request_size);

        ck_assert_msg(api->request.decode(message, in, e->version) != ERR_OK, "%s", e->number);
    }
    return api == NULL || strcmp(e->request_json, "-") == 0;
}

static void check_exchange(const struct exchange *e, struct arena *arena, int *messages,
                           int *not_canonical)
{
    size_t len;
    uint8_t *bytes = from_hex(e->request, &len);
    struct wire_in in = wire_in_of(bytes, len, arena);
    struct frame_request_header header;
    enum err err = frame_request_header_decode(&header, &in);
    int32_t correlation_id;

    if (err == ERR_OK) {
        ck_assert_int_eq(header.api_key, e->key);
        ck_assert_int_eq(header.api_version, e->version);
        if (e->client_id[0] == '"')
            ck_assert(header.client_id.len == strlen(e->client_id) - 2 &&
                      memcmp(header.client_id.ptr, e->client_id + 1, header.client_id.len) == 0);
    } else {
        ck_assert_str_eq(e->request_json, "-");
    }
    if (err == ERR_OK && !is_refused(e, &in)) {
        check_message(&wire_api(e->key)->request, &in, e->version, e->request_json, e->number,
                      not_canonical);
        ++*messages;
    }
    if (strcmp(e->response, "-") != 0) {
        size_t answer_len;
        uint8_t *answer = from_hex(e->response, &answer_len);

        in = wire_in_of(answer, answer_len, arena);
        ck_assert_int_eq(
            frame_response_header_decode(&correlation_id, &in, e->key, e->answer_version), ERR_OK);
        ck_assert_int_eq(correlation_id, header.correlation_id);
        check_message(&wire_api(e->key)->response, &in, e->answer_version, e->response_json,
                      e->number, not_canonical);
        ck_assert_msg(wire_left(&in) == 0, "%s: bytes left", e->number);
        ++*messages;
        free(answer);
    }
    free(bytes);
}

START_TEST(recorded_exchanges_read_as_kafka_reads_them)
{
    struct exchange e;
    struct arena arena;
    char *line;
    int cap, messages = 0, not_canonical = 0;
    gzFile file = open_recorded(&line, &cap);

    while (next_exchange(file, line, cap, &e)) {
        arena_init(&arena, 1 << 26);
        check_exchange(&e, &arena, &messages, &not_canonical);
        arena_fini(&arena);
    }
    gzclose(file);
    free(line);
    ck_assert_int_gt(messages, 4500);
    /* One recorded request carries a tagged field that nobody knows, which we do not repeat. */
    ck_assert_int_eq(not_canonical, 1);
}
END_TEST

/* len bytes somehow damaged, in memory of their own. */
static void try_damaged(const struct wire_codec *codec, const uint8_t *damaged, size_t len,
                        int16_t version)
{
    uint8_t *bytes = xmalloc(len > 0 ? len : 1);
    struct arena arena;

    memcpy(bytes, damaged, len);
    arena_init(&arena, 1 << 20);
    void *message = arena_alloc(&arena, codec->shape->size);
    struct wire_in in = wire_in_of(bytes, len, &arena);
    if (codec->decode(message, &in, version) == ERR_OK) {
        size_t again_len;

        free(encoded(codec, message, version, &again_len));
    }
    arena_fini(&arena);
    free(bytes);
}

static void damage(const struct wire_codec *codec, const struct wire_in *in, int16_t version)
{
    static const uint8_t flips[] = { 0x01, 0x80, 0xff };
    size_t len = wire_left(in);
    uint8_t copy[LONGEST_DAMAGED];

    if (len > sizeof copy)
        return;
    for (size_t cut = 0; cut < len; cut++)
        try_damaged(codec, in->pos, cut, version);
    memcpy(copy, in->pos, len);
    for (size_t at = 0; at < len; at++) {
        for (size_t i = 0; i < ARRAY_LEN(flips); i++) {
            copy[at] ^= flips[i];
            try_damaged(codec, copy, len, version);
            copy[at] ^= flips[i];
        }
    }
}

START_TEST(damaged_frames_do_no_harm)
{
    static bool done[API_KEY_MAX + 1][32]; /* one exchange of each version */
    struct exchange e;
    char *line;
    int cap, damaged = 0;
    gzFile file = open_recorded(&line, &cap);

    while (next_exchange(file, line, cap, &e)) {
        if (strcmp(e.request_json, "-") == 0 || strcmp(e.response, "-") == 0 ||
            wire_api(e.key) == NULL || e.version != e.answer_version || done[e.key][e.version])
            continue;
        size_t len;
        uint8_t *bytes = from_hex(e.request, &len);
        struct wire_in in = wire_in_of(bytes, len, NULL);
        struct frame_request_header header;
        int32_t correlation_id;

        ck_assert_int_eq(frame_request_header_decode(&header, &in), ERR_OK);
        damage(&wire_api(e.key)->request, &in, e.version);
        free(bytes);
        bytes = from_hex(e.response, &len);
        in = wire_in_of(bytes, len, NULL);
        ck_assert_int_eq(frame_response_header_decode(&correlation_id, &in, e.key, e.version),
                         ERR_OK);
        damage(&wire_api(e.key)->response, &in, e.version);
        free(bytes);
        done[e.key][e.version] = true;
        damaged++;
    }
    gzclose(file);
    free(line);
    ck_assert_int_gt(damaged, 250);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("recorded");

    tcase_add_test(tc, recorded_exchanges_read_as_kafka_reads_them);
    tcase_add_test(tc, damaged_frames_do_no_harm);
    return unit_run(tc);
}
