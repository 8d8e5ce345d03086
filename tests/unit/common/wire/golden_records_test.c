/*
 * Logs written by Kafka 3.9 from a Java producer (java-*), librdkafka (rdk-*), transactions,
 * compaction and the old formats: every batch must pass its checks and hold exactly the records
 * that Kafka's own consumer listed, and building it again must keep them.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

#define LIMIT ((size_t)1 << 20)

/* A log file and where in its listing we are. */
struct golden {
    uint8_t *log;
    size_t len;
    char *listing;
    char *line; /* next */
    int seen;
};

static void golden_open(struct golden *golden, const char *name)
{
    char path[128];
    size_t len;

    snprintf(path, sizeof path, "records/%s.log", name);
    golden->log = (uint8_t *)unit_read_file(unit_data(path), &golden->len);
    snprintf(path, sizeof path, "records/%s.jsonl", name);
    golden->listing = unit_read_file(unit_data(path), &len);
    golden->line = strchr(golden->listing, '\n') + 1; /* behind the line about the whole */
    golden->seen = 0;
}

static void golden_close(struct golden *golden)
{
    ck_assert_msg(*golden->line == '\0', "the listing goes on with: %.200s", golden->line);
    ck_assert_int_gt(golden->seen, 0);
    free(golden->log);
    free(golden->listing);
}

static json_t *golden_next(struct golden *golden)
{
    char *end = strchr(golden->line, '\n');

    ck_assert_msg(end != NULL, "more records than listed");
    json_t *line = json_loadb(golden->line, (size_t)(end - golden->line), 0, NULL);
    ck_assert_ptr_nonnull(line);
    golden->line = end + 1;
    golden->seen++;
    return line;
}

static void assert_text(struct str bytes, const json_t *expected)
{
    if (json_is_null(expected)) {
        ck_assert(str_is_null(bytes));
        return;
    }
    ck_assert(json_is_string(expected));
    ck_assert_uint_eq(bytes.len, json_string_length(expected));
    ck_assert_mem_eq(bytes.ptr, json_string_value(expected), bytes.len);
}

static void assert_common(json_t *line, int64_t offset, int64_t timestamp, struct str key,
                          struct str value)
{
    ck_assert_int_eq(offset, json_integer_value(json_object_get(line, "offset")));
    ck_assert_int_eq(timestamp, json_integer_value(json_object_get(line, "timestamp")));
    assert_text(key, json_object_get(line, "key"));
    assert_text(value, json_object_get(line, "value"));
}

static void assert_record(struct golden *golden, const struct record *record, bool append_time)
{
    json_t *line = golden_next(golden);
    json_t *headers = json_object_get(line, "headers");
    const char *type = json_string_value(json_object_get(line, "timestampType"));
    struct str rest = record->headers;
    struct record_header header;
    size_t i = 0;

    assert_common(line, record->offset, record->timestamp, record->key, record->value);
    ck_assert_str_eq(type, append_time ? "LogAppendTime" : "CreateTime");
    ck_assert_uint_eq((size_t)record->header_count, json_array_size(headers));
    while (record_header_next(&rest, &header)) {
        json_t *pair = json_array_get(headers, i++);
        assert_text(header.key, json_array_get(pair, 0));
        assert_text(header.value, json_array_get(pair, 1));
    }
    ck_assert_uint_eq(i, json_array_size(headers));
    json_decref(line);
}

static void read_batch(struct golden *golden, const uint8_t *batch, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct record_iter iter;
    struct record record;
    enum err err;
    enum record_control kind;

    ck_assert_int_eq(record_iter_init(&iter, batch, size, LIMIT, &scratch), ERR_OK);
    while ((err = record_next(&iter, &record)) == ERR_OK) {
        if (batch_is(batch, BATCH_CONTROL))
            ck_assert_int_eq(record_control_read(&record, &kind, NULL), ERR_OK);
        else
            assert_record(golden, &record, batch_is(batch, BATCH_APPEND_TIME));
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    buf_fini(&scratch);
}

static void read_legacy(struct golden *golden, const uint8_t *entry, size_t size)
{
    struct buf scratch = BUF_EMPTY;
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err;

    ck_assert_int_eq(legacy_iter_init(&iter, entry, size, LIMIT, &scratch), ERR_OK);
    while ((err = legacy_next(&iter, &message)) == ERR_OK) {
        json_t *line = golden_next(golden);
        assert_common(line, message.offset, message.timestamp, message.key, message.value);
        json_decref(line);
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    buf_fini(&scratch);
}

static void read_all(struct golden *golden, const uint8_t *log, size_t len)
{
    size_t pos = 0, size;
    int64_t last_offset = -1;

    while (pos < len) {
        ck_assert_int_eq(batch_peek(log + pos, len - pos, &size), ERR_OK);
        ck_assert_int_eq(batch_check(log + pos, size), ERR_OK);
        if (batch_magic(log + pos) == 2)
            read_batch(golden, log + pos, size);
        else
            read_legacy(golden, log + pos, size);
        ck_assert_int_gt(batch_last_offset(log + pos), last_offset);
        last_offset = batch_last_offset(log + pos);
        pos += size;
    }
}

static const char *const names[] = {
    "java-none",   "java-gzip",  "java-snappy", "java-lz4",       "java-zstd", "rdk-none",
    "rdk-gzip",    "rdk-snappy", "rdk-lz4",     "rdk-zstd",       "txn",       "append-time-gzip",
    "compact-txn", "v0-none",    "v0-gzip",     "v0-snappy",      "v0-lz4",    "v1-none",
    "v1-gzip",     "v1-snappy",  "v1-lz4",      "v1-append-time", "mixed",
};

START_TEST(holds_what_the_consumer_listed)
{
    struct golden golden;

    golden_open(&golden, names[_i]);
    read_all(&golden, golden.log, golden.len);
    golden_close(&golden);
}
END_TEST

/* As it is, but with another codec: what recompression and compaction do. */
static void build_again(const uint8_t *batch, size_t size, enum codec codec, struct buf *out)
{
    struct buf scratch = BUF_EMPTY;
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct record_iter iter;
    struct record record;
    struct batch_info was, is;
    uint8_t *again;
    size_t again_size;

    batch_info_read(batch, &was);
    conf.base_offset = was.base_offset;
    conf.producer_id = was.producer_id;
    conf.producer_epoch = was.producer_epoch;
    conf.base_sequence = was.base_sequence;
    conf.leader_epoch = was.leader_epoch;
    conf.transactional = was.transactional;
    conf.control = was.control;
    conf.append_time = was.append_time ? was.max_timestamp : -1;
    conf.delete_horizon = was.delete_horizon ? was.base_timestamp : -1;
    conf.codec = codec;
    batch_builder_init(&builder, &conf);
    ck_assert_int_eq(record_iter_init(&iter, batch, size, LIMIT, &scratch), ERR_OK);
    while (record_next(&iter, &record) == ERR_OK)
        batch_builder_copy(&builder, record.offset_delta, &record);
    ck_assert_int_eq(
        batch_builder_finish(&builder, batch_last_offset_delta(batch), &again, &again_size),
        ERR_OK);
    if (was.count > 0) {
        batch_info_read(again, &is);
        ck_assert_int_eq(is.last_offset, was.last_offset);
        ck_assert_int_eq(is.last_sequence, was.last_sequence);
        ck_assert_int_eq(is.max_timestamp, was.max_timestamp);
        ck_assert_int_eq(is.count, was.count);
        /* Java's uncompressed bytes are ours, to the last bit. */
        if (codec == CODEC_NONE && was.codec == CODEC_NONE && !was.append_time) {
            ck_assert_uint_eq(again_size, size);
            ck_assert_mem_eq(again, batch, size);
        }
    }
    buf_put(out, again, again_size);
    batch_builder_fini(&builder);
    buf_fini(&scratch);
}

START_TEST(survives_being_built_again_with_any_codec)
{
    for (enum codec codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct buf again = BUF_EMPTY;
        struct golden golden;
        size_t pos = 0, size;

        golden_open(&golden, names[_i]);
        for (; pos < golden.len; pos += size) {
            ck_assert_int_eq(batch_peek(golden.log + pos, golden.len - pos, &size), ERR_OK);
            build_again(golden.log + pos, size, codec, &again);
        }
        read_all(&golden, again.bytes, again.len);
        golden_close(&golden);
        buf_fini(&again);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("golden_records");

    tcase_add_loop_test(tc, holds_what_the_consumer_listed, 0, ARRAY_LEN(names));
    tcase_add_loop_test(tc, survives_being_built_again_with_any_codec, 0, 13); /* magic 2 only */
    return unit_run(tc);
}
