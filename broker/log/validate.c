/*
 * The checks come in the order in which Kafka makes them, since what a client is told of a batch
 * that is wrong twice depends on it:
 *
 *   request   one whole batch of magic 2 (Produce v3 on); zstd from v7 on
 *   entries   each: base offset, size, checksum
 *   batch     one only, counts, control bit, sequence
 *   records   each: shape, key, timestamp; the first bad ones are gathered, all are counted
 *   rebuilt   size once more
 *
 * A batch that needs no change but in its header goes on in place. It is built anew when the topic
 * wants another codec, when it comes as magic 0 or 1, or when its offset deltas do not count 0, 1,
 * 2. Kafka lets such deltas of an uncompressed batch into the log; we do not, for no reader of that
 * log could rely on its offsets any more.
 *
 * Damaged compressed bytes are answered with UNKNOWN_SERVER_ERROR: that is what comes of Kafka's
 * exception, and CORRUPT_MESSAGE would have clients send the same bytes again.
 */
#include "broker/log/validate.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "common/wire/legacy.h"
#include "common/wire/record.h"

/* More would not fit a batch's length, whatever the settings say. */
#define PLAIN_BYTES_MAX ((size_t)1 << 30)

struct work {
    const struct validate_conf *conf;
    struct arena *arena;
    struct validated *out;
    int64_t now_ms;
    size_t plain_max;
    int source_codec;
    enum codec target_codec;
    size_t errors_cap;
    size_t bad_records;
    bool bad_timestamp;    /* one of the record errors is a timestamp's */
    int64_t max_timestamp; /* of the records so far */
    struct buf scratch;    /* records decompressed */
};

#define FAIL(work, err, ...)                                                                       \
    ((work)->out->error_message = arena_printf((work)->arena, __VA_ARGS__), (err))

static size_t unpack_limit(const struct work *work)
{
    size_t most = work->conf->unpack_max;

    return most > 0 && most < work->plain_max ? most : work->plain_max;
}

/* Errors of codecs and iterators, as a client should see them. */
static enum err fail_records(struct work *work, enum err err)
{
    work->out->record_errors = NULL; /* the whole batch is to blame, as with Kafka's exception */
    work->out->record_error_count = 0;
    switch (err) {
    case ERR_INVALID_RECORD:
        return FAIL(work, err, "The records of the batch are malformed");
    case ERR_CORRUPT_MESSAGE:
        return FAIL(work, err, "A message inside the compressed set is damaged");
    case ERR_TOO_LARGE:
        if (unpack_limit(work) < work->plain_max)
            return ERR_NOT_READY;
        return FAIL(work, ERR_MESSAGE_TOO_LARGE,
                    "The batch decompresses to more than the allowed %zu bytes", work->plain_max);
    default:
        return FAIL(work, ERR_UNKNOWN_SERVER_ERROR, "The batch cannot be decompressed");
    }
}

/* --- request and entries --- */

static enum err check_request(struct work *work, const uint8_t *bytes, size_t len, int16_t version)
{
    size_t size, next;
    enum err err = batch_peek(bytes, len, &size);

    if (err == ERR_CORRUPT_MESSAGE)
        return FAIL(work, err, "The bytes do not start with a record batch");
    if (err != ERR_OK)
        return FAIL(work, ERR_INVALID_RECORD, "No record batch in a produce request of version %d",
                    version);
    if (batch_magic(bytes) != 2)
        return FAIL(work, ERR_INVALID_RECORD,
                    "Message format %d in a produce request of version %d, which takes 2 only",
                    batch_magic(bytes), version);
    if (version < 7 && batch_codec(bytes) == CODEC_ZSTD)
        return FAIL(work, ERR_UNSUPPORTED_COMPRESSION_TYPE,
                    "A produce request of version %d cannot carry zstd", version);
    err = batch_peek(bytes + size, len - size, &next);
    if (err == ERR_OK)
        return FAIL(work, ERR_INVALID_RECORD,
                    "More than one record batch in a produce request of version %d", version);
    if (err == ERR_CORRUPT_MESSAGE)
        return FAIL(work, err, "What follows the record batch is damaged");
    return ERR_OK;
}

static enum err check_entry(struct work *work, const uint8_t *entry, size_t size)
{
    if (batch_magic(entry) == 2 && !work->conf->ours && batch_base_offset(entry) != 0)
        return FAIL(work, ERR_INVALID_RECORD, "The base offset of a batch must be 0, not %" PRId64,
                    batch_base_offset(entry));
    if (size > (size_t)work->conf->max_message_bytes)
        return FAIL(work, ERR_MESSAGE_TOO_LARGE,
                    "The batch of %zu bytes is larger than the topic's limit of %" PRId32, size,
                    work->conf->max_message_bytes);
    enum err err = batch_check(entry, size);
    return err == ERR_OK ? ERR_OK : FAIL(work, err, "The checksum of the batch does not match");
}

/* Checks every whole entry; *whole is where the last one ends, *count how many there are. */
static enum err check_entries(struct work *work, const uint8_t *bytes, size_t len, size_t *whole,
                              size_t *count)
{
    size_t pos = 0, size;
    enum err err;

    *count = 0;
    while ((err = batch_peek(bytes + pos, len - pos, &size)) == ERR_OK) {
        err = check_entry(work, bytes + pos, size);
        if (err != ERR_OK)
            return err;
        int codec = batch_codec(bytes + pos);
        if (codec >= CODEC_COUNT)
            return FAIL(work, ERR_UNKNOWN_SERVER_ERROR, "There is no compression type %d", codec);
        if (codec != CODEC_NONE)
            work->source_codec = codec;
        pos += size;
        (*count)++;
    }
    *whole = pos;
    return err == ERR_NOT_FOUND ? ERR_OK : FAIL(work, err, "The bytes hold no record batch");
}

/* --- one batch, one record --- */

static enum err check_batch(struct work *work, const uint8_t *batch)
{
    int32_t delta = batch_last_offset_delta(batch);
    int32_t count = batch_count(batch);

    if (work->conf->ours)
        return ERR_OK;
    if (delta < 0 || count <= 0 || count - 1 != delta)
        return FAIL(work, ERR_INVALID_RECORD,
                    "The batch says that it has %" PRId32 " records and %" PRId64 " offsets", count,
                    (int64_t)delta + 1);
    if (batch_is(batch, BATCH_CONTROL))
        return FAIL(work, ERR_INVALID_RECORD, "Control batches are not for clients to write");
    if (batch_producer_id(batch) >= 0 && batch_base_sequence(batch) < 0)
        return FAIL(work, ERR_INVALID_RECORD,
                    "Sequence %" PRId32 " in a batch of producer id %" PRId64,
                    batch_base_sequence(batch), batch_producer_id(batch));
    return ERR_OK;
}

static bool has_room(const struct work *work)
{
    return work->out->record_error_count < work->conf->errors_max;
}

static void add_error(struct work *work, int32_t index, struct str message)
{
    struct validated *out = work->out;

    work->bad_records++;
    if (!has_room(work))
        return;
    if (out->record_error_count == work->errors_cap) {
        size_t cap = work->errors_cap == 0 ? 8 : work->errors_cap * 2;
        struct validate_record_error *more =
            arena_alloc(work->arena, cap * sizeof *out->record_errors);

        if (out->record_error_count > 0)
            memcpy(more, out->record_errors, out->record_error_count * sizeof *more);
        out->record_errors = more;
        work->errors_cap = cap;
    }
    out->record_errors[out->record_error_count++] =
        (struct validate_record_error){ .batch_index = index, .message = message };
}

/* a - b > limit, without wrapping. */
static bool later_by(int64_t a, int64_t b, int64_t limit)
{
    int64_t diff;

    return __builtin_sub_overflow(a, b, &diff) ? a > b : diff > limit;
}

static struct str tell_timestamp(struct work *work, int64_t timestamp)
{
    return arena_printf(work->arena,
                        "Timestamp %" PRId64 " is more than %" PRId64 " ms before or %" PRId64
                        " ms after the broker's %" PRId64,
                        timestamp, work->conf->before_max_ms, work->conf->after_max_ms,
                        work->now_ms);
}

/* leaders_clock: the batch says that its timestamps are a leader's. */
static void check_record(struct work *work, int32_t index, int64_t timestamp, bool has_key,
                         bool leaders_clock)
{
    const struct validate_conf *conf = work->conf;

    if (conf->compacted && !has_key) {
        add_error(work, index, STR("A record of a compacted topic needs a key"));
        return;
    }
    if (!conf->append_time && timestamp != -1) {
        if (later_by(work->now_ms, timestamp, conf->before_max_ms) ||
            later_by(timestamp, work->now_ms, conf->after_max_ms)) {
            work->bad_timestamp = true;
            add_error(work, index, has_room(work) ? tell_timestamp(work, timestamp) : STR_EMPTY);
        }
    } else if (leaders_clock) {
        work->bad_timestamp = true;
        add_error(work, index, STR("A producer cannot set the timestamp type LogAppendTime"));
    }
    if (timestamp > work->max_timestamp)
        work->max_timestamp = timestamp;
}

static enum err judge_records(struct work *work)
{
    if (work->bad_records == 0)
        return ERR_OK;
    if (work->bad_timestamp)
        return FAIL(work, ERR_INVALID_TIMESTAMP, "Timestamps of the batch are not acceptable");
    return FAIL(work, ERR_INVALID_RECORD, "%zu records of the batch are not acceptable",
                work->bad_records);
}

/* --- building anew --- */

static int target_level(const struct work *work)
{
    switch (work->target_codec) {
    case CODEC_GZIP:
        return work->conf->gzip_level;
    case CODEC_LZ4:
        return work->conf->lz4_level;
    case CODEC_ZSTD:
        return work->conf->zstd_level;
    case CODEC_NONE:
    case CODEC_SNAPPY:
    case CODEC_COUNT:
        break;
    }
    return CODEC_LEVEL_DEFAULT;
}

/* Takes what was built over into the arena. */
static enum err finish(struct work *work, struct batch_builder *builder)
{
    uint8_t *batch;
    size_t size;
    enum err err = batch_builder_finish(builder, -1, &batch, &size);

    if (err != ERR_OK)
        return FAIL(work, ERR_UNKNOWN_SERVER_ERROR, "The batch cannot be compressed");
    if (size > (size_t)work->conf->max_message_bytes)
        return FAIL(work, ERR_MESSAGE_TOO_LARGE,
                    "The batch, built anew with %zu bytes, is larger than the topic's limit of "
                    "%" PRId32,
                    size, work->conf->max_message_bytes);
    work->out->bytes = arena_dup(work->arena, batch, size);
    work->out->len = size;
    return ERR_OK;
}

static enum err rebuild(struct work *work, const uint8_t *batch, struct record_iter iter)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    struct record record;
    int32_t delta = 0;

    conf.producer_id = batch_producer_id(batch);
    conf.producer_epoch = batch_producer_epoch(batch);
    conf.base_sequence = batch_base_sequence(batch);
    conf.transactional = batch_is(batch, BATCH_TRANSACTIONAL);
    conf.control = batch_is(batch, BATCH_CONTROL);
    conf.codec = work->target_codec;
    conf.level = target_level(work);
    batch_builder_init(&builder, &conf);
    while (record_next(&iter, &record) == ERR_OK)
        batch_builder_copy(&builder, delta++, &record);
    enum err err = finish(work, &builder);
    batch_builder_fini(&builder);
    return err;
}

/* --- magic 2 --- */

static enum err take_batch(struct work *work, uint8_t *batch, size_t size)
{
    struct record_iter iter;
    struct record record;
    bool leaders_clock = batch_is(batch, BATCH_APPEND_TIME);
    bool counted = true;
    int32_t index = 0;

    enum err err = check_batch(work, batch);
    if (err != ERR_OK)
        return err;
    err = record_iter_init(&iter, batch, size, unpack_limit(work), &work->scratch);
    if (err != ERR_OK)
        return fail_records(work, err);
    struct record_iter start = iter;
    while ((err = record_next(&iter, &record)) == ERR_OK) {
        counted = counted && record.offset_delta == index;
        check_record(work, index, record.timestamp, !str_is_null(record.key), leaders_clock);
        index++;
    }
    if (err != ERR_NOT_FOUND)
        return fail_records(work, err);
    err = judge_records(work);
    if (err != ERR_OK)
        return err;
    /* A plain control batch stays plain, whatever the topic wants. */
    if (batch_is(batch, BATCH_CONTROL) && batch_codec(batch) == CODEC_NONE)
        work->target_codec = CODEC_NONE;
    if (!counted || (int)work->target_codec != batch_codec(batch))
        return rebuild(work, batch, start);
    work->out->bytes = batch;
    work->out->len = size;
    work->out->in_place = true;
    if (!work->conf->append_time)
        batch_set_max_timestamp(batch, size, false, work->max_timestamp);
    return ERR_OK;
}

/* --- magic 0 and 1 --- */

/* One entry's messages into the builder; *index counts through all entries of the request. */
static enum err take_entry(struct work *work, struct batch_builder *builder, const uint8_t *entry,
                           size_t size)
{
    struct batch_info info;
    struct legacy_iter iter;
    struct legacy_message message;
    int32_t index = 0;

    batch_info_read(entry, &info);
    enum err err = legacy_iter_init(&iter, entry, size, unpack_limit(work), &work->scratch);
    if (err != ERR_OK)
        return fail_records(work, err);
    while ((err = legacy_next(&iter, &message)) == ERR_OK) {
        if (iter.deep && message.nested)
            add_error(work, index, STR("A compressed message inside a compressed message"));
        else
            check_record(work, index, message.timestamp, !str_is_null(message.key),
                         info.append_time);
        batch_builder_add(builder, message.timestamp, message.key, message.value, NULL, 0);
        index++;
    }
    if (err != ERR_NOT_FOUND)
        return fail_records(work, err);
    return judge_records(work);
}

static enum err take_legacy(struct work *work, const uint8_t *bytes, size_t len)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    int8_t magic = batch_magic(bytes);
    enum err err = ERR_OK;

    conf.codec = work->target_codec;
    conf.level = target_level(work);
    batch_builder_init(&builder, &conf);
    for (size_t pos = 0; err == ERR_OK && pos < len; pos += batch_size(bytes + pos)) {
        if (batch_magic(bytes + pos) != magic)
            err = FAIL(work, ERR_INVALID_RECORD, "Message formats %d and %d in one request", magic,
                       batch_magic(bytes + pos));
        else
            err = take_entry(work, &builder, bytes + pos, batch_size(bytes + pos));
    }
    if (err == ERR_OK)
        err = finish(work, &builder);
    batch_builder_fini(&builder);
    return err;
}

/* --- all together --- */

static enum err validate(struct work *work, uint8_t *bytes, size_t len, int16_t version)
{
    size_t whole, count;
    enum err err = ERR_OK;

    if (version >= 3)
        err = check_request(work, bytes, len, version);
    work->out->is_bad_request = err != ERR_OK;
    if (err == ERR_OK)
        err = check_entries(work, bytes, len, &whole, &count);
    if (err != ERR_OK || count == 0)
        return err;
    work->target_codec = work->conf->compression == VALIDATE_KEEP_CODEC
                             ? (enum codec)work->source_codec
                             : (enum codec)work->conf->compression;
    if (count > 1 && (batch_magic(bytes) == 2 || work->source_codec != CODEC_NONE))
        return FAIL(work, ERR_INVALID_RECORD,
                    "A compressed batch, or one of format 2, must come alone");
    if (batch_magic(bytes) == 2)
        err = take_batch(work, bytes, whole);
    else
        err = take_legacy(work, bytes, whole);
    if (err == ERR_OK)
        batch_info_read(work->out->bytes, &work->out->info);
    return err;
}

enum err validate_batches(uint8_t *bytes, size_t len, int16_t version,
                          const struct validate_conf *conf, int64_t now_ms, struct arena *arena,
                          struct validated *out)
{
    uint8_t nothing[BATCH_HEADER_BYTES] = { 0 };
    struct work work = {
        .conf = conf,
        .arena = arena,
        .out = out,
        .now_ms = now_ms,
        .plain_max =
            conf->plain_bytes_max < PLAIN_BYTES_MAX ? conf->plain_bytes_max : PLAIN_BYTES_MAX,
        .max_timestamp = -1,
        .scratch = BUF_EMPTY,
    };

    assert(conf->compression >= VALIDATE_KEEP_CODEC && conf->compression < CODEC_COUNT);
    *out = (struct validated){ .append_time = conf->append_time, .error_message = STR_NULL };
    enum err err =
        validate(&work, bytes != NULL ? bytes : nothing, bytes != NULL ? len : 0, version);
    /* One that failed has not told how far it came, but made no more room than it filled or would
     * have. */
    out->unpacked = err == ERR_OK ? work.scratch.len : work.scratch.cap;
    buf_fini(&work.scratch);
    return err;
}

void validate_stamp(struct validated *validated, int64_t base_offset, int32_t leader_epoch,
                    int64_t now_ms)
{
    assert(validated->bytes != NULL);
    batch_stamp(validated->bytes, base_offset, leader_epoch);
    if (validated->append_time)
        batch_set_max_timestamp(validated->bytes, validated->len, true, now_ms);
    batch_info_read(validated->bytes, &validated->info);
}
