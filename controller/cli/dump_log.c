/*
 * A .log: a line per batch or, in the old formats, per entry; with deep iteration a line per record
 * behind it. The checksum of each is computed, and a wrong one is no reason to stop: records are
 * printed as far as they can be read.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "controller/cli/dump_int.h"
#include "controller/cli/java_text.h"

#define PLAIN_BYTES_MAX ((size_t)1 << 30) /* of one decompressed batch */

struct walk {
    struct dump *dump;
    const struct dump_file *file;
    int64_t pos;         /* of the batch */
    int64_t last_offset; /* of the record before, -1 none */
    struct buf plain;
};

static const char *timestamp_type(const struct batch_info *info)
{
    if (info->magic == 0)
        return "NoTimestampType";
    return info->append_time ? "LogAppendTime" : "CreateTime";
}

static const char *yes_no(bool value)
{
    return value ? "true" : "false";
}

static void print_optional(const char *before, bool given, int64_t value)
{
    if (given)
        printf("%sOptionalLong[%" PRId64 "]", before, value);
    else
        printf("%sOptionalLong.empty", before);
}

/* As Kafka's tool has it, which takes only -1 for none here. */
static int32_t shown_last_sequence(const struct batch_info *info)
{
    int64_t last = (int64_t)info->base_sequence + (info->last_offset - info->base_offset);

    return info->base_sequence < -1 ? (int32_t)last : info->last_sequence;
}

static void print_batch(const uint8_t *entry, size_t size, const struct batch_info *info,
                        int64_t pos)
{
    bool v2 = info->magic >= 2;

    if (v2) {
        printf("baseOffset: %" PRId64 " lastOffset: %" PRId64 " count: %" PRId32
               " baseSequence: %" PRId32 " lastSequence: %" PRId32 " producerId: %" PRId64
               " producerEpoch: %d partitionLeaderEpoch: %" PRId32
               " isTransactional: %s isControl: %s",
               info->base_offset, info->last_offset, info->count, info->base_sequence,
               shown_last_sequence(info), info->producer_id, info->producer_epoch,
               info->leader_epoch, yes_no(info->transactional), yes_no(info->control));
        print_optional(" deleteHorizonMs: ", info->delete_horizon, info->base_timestamp);
    } else {
        printf("offset: %" PRId64, info->last_offset);
    }
    printf(" position: %" PRId64 " %s: %" PRId64 " size: %zu magic: %d compresscodec: %s crc: %u "
           "isvalid: %s\n",
           pos, timestamp_type(info), info->max_timestamp, size, info->magic,
           codec_name(info->codec), load_be32(entry + (v2 ? BATCH_POS_CRC : BATCH_PREFIX_BYTES)),
           yes_no(size > BATCH_PEEK_BYTES && batch_check(entry, size) == ERR_OK));
}

static void row_batch(struct dump *dump, const uint8_t *entry, size_t size,
                      const struct batch_info *info, int64_t pos)
{
    bool v2 = info->magic >= 2;

    dump_row_begin(dump, "batch");
    dump_row_optional("base_offset", v2, info->base_offset);
    dump_row_int("last_offset", info->last_offset);
    dump_row_optional("count", v2, info->count);
    dump_row_optional("base_sequence", v2, info->base_sequence);
    dump_row_optional("last_sequence", v2, shown_last_sequence(info));
    dump_row_optional("producer_id", v2, info->producer_id);
    dump_row_optional("producer_epoch", v2, info->producer_epoch);
    dump_row_optional("leader_epoch", v2, info->leader_epoch);
    dump_row_bool("is_transactional", v2 && info->transactional);
    dump_row_bool("is_control", v2 && info->control);
    dump_row_optional("delete_horizon_ms", v2 && info->delete_horizon, info->base_timestamp);
    dump_row_int("position", pos);
    dump_row_text("timestamp_type", str_of(timestamp_type(info)));
    dump_row_int("timestamp", info->max_timestamp);
    dump_row_int("size", (int64_t)size);
    dump_row_int("magic", info->magic);
    dump_row_text("compression", str_of(codec_name(info->codec)));
    dump_row_int("crc", load_be32(entry + (v2 ? BATCH_POS_CRC : BATCH_PREFIX_BYTES)));
    dump_row_bool("is_valid", size > BATCH_PEEK_BYTES && batch_check(entry, size) == ERR_OK);
    dump_row_end(dump);
}

static void note_offset(struct walk *walk, int64_t offset)
{
    if (walk->last_offset != -1 && offset != walk->last_offset + 1)
        dump_remark(walk->dump, REMARK_GAP, walk->file->absolute, walk->last_offset, offset);
    walk->last_offset = offset;
}

static int64_t size_of(struct str bytes)
{
    return str_is_null(bytes) ? -1 : (int64_t)bytes.len;
}

static void print_header_keys(struct dump *dump, struct str headers)
{
    struct record_header header;
    const char *comma = "";

    fputs(" headerKeys: [", stdout);
    while (record_header_next(&headers, &header)) {
        struct str key = java_utf8(&dump->scratch, header.key);

        fputs(comma, stdout);
        fwrite(key.ptr, 1, key.len, stdout);
        comma = ",";
    }
    putchar(']');
}

static bool print_control(struct walk *walk, const struct record *record)
{
    static const char *const kinds[] = { "ABORT",           "COMMIT",          "LEADER_CHANGE",
                                         "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER", "KRAFT_VERSION",
                                         "KRAFT_VOTERS" };
    int type = record->key.len >= 4 ? load_i16(record->key.ptr + 2) : -1;

    if (type == RECORD_ABORT || type == RECORD_COMMIT) {
        if (record->value.len < 6)
            return dump_fail(walk->dump, walk->file, "the marker at offset %" PRId64 " is cut",
                             record->offset);
        printf(" endTxnMarker: %s coordinatorEpoch: %" PRId32, kinds[type],
               load_i32(record->value.ptr + 2));
        return true;
    }
    if (type < 0 && record->key.len < 4)
        return dump_fail(walk->dump, walk->file,
                         "the control record at offset %" PRId64 " has no kind", record->offset);
    printf(" controlType: %s(%d)",
           type >= 0 && type < (int)(sizeof kinds / sizeof kinds[0]) ? kinds[type] : "UNKNOWN",
           type);
    return true;
}

static void row_place(struct dump *dump, const struct batch_info *info, int64_t offset,
                      int64_t timestamp, struct str key, struct str value)
{
    dump_row_begin(dump, "record");
    dump_row_int("offset", offset);
    if (dump->skip_metadata)
        return;
    dump_row_text("timestamp_type", str_of(timestamp_type(info)));
    dump_row_int("timestamp", timestamp);
    dump_row_optional("key_size", !str_is_null(key), size_of(key));
    dump_row_optional("value_size", !str_is_null(value), size_of(value));
}

/* An unknown kind of control record is told by its number; a marker that is cut has none. */
static bool row_control(struct walk *walk, const struct record *record)
{
    int type = record->key.len >= 4 ? load_i16(record->key.ptr + 2) : -1;
    bool is_marker = type == RECORD_ABORT || type == RECORD_COMMIT;

    if (record->key.len < 4 || (is_marker && record->value.len < 6))
        return dump_fail(walk->dump, walk->file, "the control record at offset %" PRId64 " is cut",
                         record->offset);
    dump_row_int("control_type", type);
    if (is_marker) {
        dump_row_text("end_txn_marker", type == RECORD_COMMIT ? STR("COMMIT") : STR("ABORT"));
        dump_row_int("coordinator_epoch", load_i32(record->value.ptr + 2));
    }
    return true;
}

static bool row_data(struct walk *walk, int64_t offset, struct str key, struct str value)
{
    struct str key_text, value_text;
    const char *why_not;

    if (!dump_decode(walk->dump, offset, key, value, &key_text, &value_text, &why_not))
        return dump_fail(walk->dump, walk->file, "%s", why_not);
    dump_row_text("key", key_text);
    dump_row_text("value", value_text);
    return true;
}

static void row_header_keys(struct dump *dump, struct str headers)
{
    struct record_header header;
    const char *comma = "";

    fputs(",\"header_keys\":[", stdout);
    while (record_header_next(&headers, &header)) {
        fputs(comma, stdout);
        print_json_text(stdout, java_utf8(&dump->scratch, header.key));
        comma = ",";
    }
    putchar(']');
}

/* What cannot be told ends the dump; the row is closed all the same. */
static bool row_record(struct walk *walk, const struct batch_info *info,
                       const struct record *record)
{
    struct dump *dump = walk->dump;
    bool whole = true;

    row_place(dump, info, record->offset, record->timestamp, record->key, record->value);
    if (!dump->skip_metadata) {
        dump_row_int("sequence",
                     info->base_sequence < 0
                         ? -1
                         : batch_sequence_add(info->base_sequence, record->offset_delta));
        row_header_keys(dump, record->headers);
        whole = !info->control || row_control(walk, record);
    }
    if (whole && dump->print_data && !info->control)
        whole = row_data(walk, record->offset, record->key, record->value);
    dump_row_end(dump);
    return whole;
}

static bool row_message(struct walk *walk, const struct batch_info *info, const uint8_t *at,
                        const struct legacy_message *message)
{
    struct dump *dump = walk->dump;
    bool whole = true;

    row_place(dump, info, message->offset, message->timestamp, message->key, message->value);
    if (!dump->skip_metadata) {
        dump_row_bool("is_valid", batch_check(at, batch_size(at)) == ERR_OK);
        dump_row_int("crc", load_be32(at + BATCH_PREFIX_BYTES));
    }
    if (dump->print_data)
        whole = row_data(walk, message->offset, message->key, message->value);
    dump_row_end(dump);
    return whole;
}

static bool print_data(struct walk *walk, int64_t offset, struct str key, struct str value)
{
    bool skip = walk->dump->skip_metadata;
    struct str key_text, value_text;
    const char *why_not;

    if (!dump_decode(walk->dump, offset, key, value, &key_text, &value_text, &why_not)) {
        putchar('\n');
        return dump_fail(walk->dump, walk->file, "%s", why_not);
    }
    if (!str_is_null(key_text)) {
        fputs(skip ? "| key: " : " key: ", stdout);
        fwrite(key_text.ptr, 1, key_text.len, stdout);
    }
    if (!str_is_null(value_text)) {
        fputs(" payload: ", stdout);
        fwrite(value_text.ptr, 1, value_text.len, stdout);
    }
    return true;
}

static void print_place(const struct batch_info *info, int64_t offset, int64_t timestamp,
                        struct str key, struct str value)
{
    printf("| offset: %" PRId64 " %s: %" PRId64 " keySize: %" PRId64 " valueSize: %" PRId64, offset,
           timestamp_type(info), timestamp, size_of(key), size_of(value));
}

static bool print_record(struct walk *walk, const struct batch_info *info,
                         const struct record *record)
{
    struct dump *dump = walk->dump;

    note_offset(walk, record->offset);
    if (dump_has_rows(dump)) {
        bool whole = row_record(walk, info, record);

        arena_reset(&dump->scratch);
        return whole;
    }
    if (!dump->skip_metadata) {
        print_place(info, record->offset, record->timestamp, record->key, record->value);
        printf(" sequence: %" PRId32,
               info->base_sequence < 0
                   ? -1
                   : batch_sequence_add(info->base_sequence, record->offset_delta));
        print_header_keys(dump, record->headers);
        if (info->control && !print_control(walk, record))
            return false;
    }
    if (dump->print_data && !info->control &&
        !print_data(walk, record->offset, record->key, record->value))
        return false;
    putchar('\n');
    arena_reset(&dump->scratch);
    return true;
}

static bool bad_records(struct walk *walk, const struct batch_info *info, enum err err)
{
    return dump_fail(walk->dump, walk->file,
                     "the records of the batch at position %" PRId64 " (offset %" PRId64
                     ") cannot be read: %s",
                     walk->pos, info->base_offset, err_text(err));
}

static bool print_records(struct walk *walk, const uint8_t *entry, size_t size,
                          const struct batch_info *info)
{
    struct record_iter iter;
    struct record record;
    enum err err = ERR_INVALID_RECORD;

    if (size >= BATCH_HEADER_BYTES && info->magic == 2)
        err = record_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, &walk->plain);
    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK) {
        if (!print_record(walk, info, &record))
            return false;
    }
    return err == ERR_NOT_FOUND || bad_records(walk, info, err);
}

static bool print_message(struct walk *walk, const struct batch_info *info, const uint8_t *at,
                          const struct legacy_message *message)
{
    struct dump *dump = walk->dump;

    note_offset(walk, message->offset);
    if (dump_has_rows(dump)) {
        bool whole = row_message(walk, info, at, message);

        arena_reset(&dump->scratch);
        return whole;
    }
    if (!dump->skip_metadata) {
        print_place(info, message->offset, message->timestamp, message->key, message->value);
        printf(" isValid: %s crc: %u}", yes_no(batch_check(at, batch_size(at)) == ERR_OK),
               load_be32(at + BATCH_PREFIX_BYTES));
    }
    if (dump->print_data && !print_data(walk, message->offset, message->key, message->value))
        return false;
    putchar('\n');
    arena_reset(&dump->scratch);
    return true;
}

static bool print_messages(struct walk *walk, const uint8_t *entry, size_t size,
                           const struct batch_info *info)
{
    struct legacy_iter iter;
    struct legacy_message message;
    size_t whole;
    enum err err = batch_peek(entry, size, &whole);

    if (err == ERR_OK)
        err = legacy_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, &walk->plain);
    iter.deep = false; /* a wrong checksum is printed, not refused */
    while (err == ERR_OK) {
        const uint8_t *at = iter.next;

        err = legacy_next(&iter, &message);
        if (err == ERR_OK && !print_message(walk, info, at, &message))
            return false;
    }
    return err == ERR_NOT_FOUND || bad_records(walk, info, err);
}

/* One entry: false when the walk ends, with or without success. */
static bool print_entry(struct walk *walk, const uint8_t *entry, size_t size)
{
    struct batch_info info;

    batch_info_read(entry, &info);
    if (codec_name(info.codec) == NULL)
        return dump_fail(walk->dump, walk->file,
                         "the batch at position %" PRId64 " names compression %d, which is none",
                         walk->pos, info.codec);
    if (info.magic < 0)
        return dump_fail(walk->dump, walk->file,
                         "the batch at position %" PRId64 " has magic %d, which is none", walk->pos,
                         info.magic);
    if (dump_has_rows(walk->dump))
        row_batch(walk->dump, entry, size, &info, walk->pos);
    else
        print_batch(entry, size, &info, walk->pos);
    if (!walk->dump->deep)
        return true;
    return info.magic >= 2 ? print_records(walk, entry, size, &info)
                           : print_messages(walk, entry, size, &info);
}

static bool walk_all(struct walk *walk, struct log_file *log)
{
    int64_t end = log->size < walk->dump->max_bytes ? log->size : walk->dump->max_bytes;
    const uint8_t *entry;
    size_t size;
    enum err err;

    while ((err = log_file_entry(log, walk->pos, end, &entry, &size)) == ERR_OK) {
        if (!print_entry(walk, entry, size))
            return false;
        walk->pos += (int64_t)size;
    }
    if (err == ERR_CORRUPT_MESSAGE)
        return dump_fail(walk->dump, walk->file,
                         "no batch begins at position %" PRId64 ": its size cannot be", walk->pos);
    if (err != ERR_NOT_FOUND)
        return dump_fail(walk->dump, walk->file, "reading failed: %s", err_text(err));
    if (walk->pos < end && walk->dump->max_bytes == INT32_MAX && dump_has_rows(walk->dump)) {
        dump_row_begin(walk->dump, "remark");
        dump_row_text("remark", STR("invalid_end"));
        dump_row_text("file", str_of(walk->file->path));
        dump_row_int("bytes", end - walk->pos);
        dump_row_end(walk->dump);
    } else if (walk->pos < end && walk->dump->max_bytes == INT32_MAX)
        printf("Found %" PRId64 " invalid bytes at the end of %s\n", end - walk->pos,
               walk->file->name);
    return true;
}

bool dump_log(struct dump *dump, const struct dump_file *file)
{
    struct walk walk = { .dump = dump, .file = file, .last_offset = -1 };
    struct log_file log;
    int64_t base;

    if (!dump_base_offset(dump, file, &base))
        return false;
    if (!dump_has_rows(dump))
        printf("Log starting offset: %" PRId64 "\n", base);
    enum err err = log_file_open(&log, file->path);

    if (err != ERR_OK)
        return dump_fail(dump, file, "it cannot be opened: %s", err_text(err));
    bool whole = walk_all(&walk, &log);

    buf_fini(&walk.plain);
    log_file_close(&log);
    return whole;
}
