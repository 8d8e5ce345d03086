/*
 * What lies beside a .log: its indexes, each entry held against the log, and the producers' state.
 *
 *     .index      pos 0 size 4  offset - base      pos 4 size 4  position in the .log
 *     .timeindex  pos 0 size 8  timestamp, ms      pos 8 size 4  offset - base
 *     .txnindex   broker/log/txnindex.h            .snapshot     broker/log/producers_file.h
 *
 * An index that was in use when its broker died has room for more entries behind the last one, all
 * zero. An entry about the base offset that is not the first one is such room, and the dump ends
 * there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "controller/cli/dump_int.h"

enum {
    INDEX_ENTRY = 8,
    TIME_ENTRY = 12,
    TXN_ENTRY = 34,
    SNAPSHOT_HEAD = 10,
    SNAPSHOT_ENTRY = 46,
    SNAPSHOT_CRC_FROM = 6,
    WARM_ENTRIES = 8192 / INDEX_ENTRY, /* that a search looks at first */
};

/* The three files of a segment, as far as a dump needs them. */
struct trio {
    struct dump *dump;
    const struct dump_file *file;
    int64_t base;
    struct log_file log;
    char *index; /* content */
    size_t index_len;
    char *times;
    size_t times_len;
    struct buf plain;
};

static const char *sibling(struct dump *dump, const struct dump_file *file, const char *ending)
{
    int dir = (int)(file->name - file->path);
    int stem = (int)strcspn(file->name, ".");

    return cli_text(dump->cli, "%.*s%.*s%s", dir, file->path, stem, file->name, ending);
}

static bool read_whole(struct dump *dump, const struct dump_file *file, const char *path,
                       char **content, size_t *len)
{
    enum err err = disk_read_file(disk_posix(), path, INT32_MAX, content, len);

    if (err != ERR_OK)
        return dump_fail(dump, file, "%s cannot be read: %s", path, err_text(err));
    return true;
}

static bool trio_open(struct trio *trio, bool with_times)
{
    struct dump *dump = trio->dump;
    const char *log = sibling(dump, trio->file, ".log");

    trio->log.fd = -1;
    if (!dump_base_offset(dump, trio->file, &trio->base))
        return false;
    enum err err = log_file_open(&trio->log, log);

    if (err != ERR_OK)
        return dump_fail(dump, trio->file, "%s cannot be opened: %s", log, err_text(err));
    if (!read_whole(dump, trio->file, sibling(dump, trio->file, ".index"), &trio->index,
                    &trio->index_len))
        return false;
    return !with_times ||
           read_whole(dump, trio->file, trio->file->path, &trio->times, &trio->times_len);
}

static void trio_close(struct trio *trio)
{
    log_file_close(&trio->log);
    free(trio->index);
    free(trio->times);
    buf_fini(&trio->plain);
}

static int64_t index_offset(const struct trio *trio, size_t i)
{
    return trio->base + load_i32(trio->index + i * INDEX_ENTRY);
}

static int32_t index_pos(const struct trio *trio, size_t i)
{
    return load_i32(trio->index + i * INDEX_ENTRY + 4);
}

static int64_t time_at(const struct trio *trio, size_t i)
{
    return load_i64(trio->times + i * TIME_ENTRY);
}

static int64_t time_offset(const struct trio *trio, size_t i)
{
    return trio->base + load_i32(trio->times + i * TIME_ENTRY + 8);
}

static bool bad_entry(struct trio *trio, size_t i, int64_t pos, enum err err)
{
    return dump_fail(trio->dump, trio->file, "entry %zu points to position %" PRId64 ": %s", i, pos,
                     err == ERR_NOT_FOUND ? "no whole batch is there" : err_text(err));
}

/* ---- .index ---------------------------------------------------------------------------------- */

static void say_sane(struct trio *trio)
{
    if (!dump_has_rows(trio->dump)) {
        printf("%s passed sanity check.\n", trio->file->path);
        return;
    }
    dump_row_begin(trio->dump, "sane");
    dump_row_text("file", str_of(trio->file->path));
    dump_row_end(trio->dump);
}

static void print_index_entry(struct dump *dump, int64_t offset, int64_t pos)
{
    if (!dump_has_rows(dump)) {
        printf("offset: %" PRId64 " position: %" PRId64 "\n", offset, pos);
        return;
    }
    dump_row_begin(dump, "index_entry");
    dump_row_int("offset", offset);
    dump_row_int("position", pos);
    dump_row_end(dump);
}

static void print_time_entry(struct dump *dump, int64_t timestamp, int64_t offset)
{
    if (!dump_has_rows(dump)) {
        printf("timestamp: %" PRId64 " offset: %" PRId64 "\n", timestamp, offset);
        return;
    }
    dump_row_begin(dump, "time_entry");
    dump_row_int("timestamp", timestamp);
    dump_row_int("offset", offset);
    dump_row_end(dump);
}

static bool index_is_sane(struct trio *trio, size_t entries)
{
    if (entries > 0 && index_offset(trio, entries - 1) < trio->base)
        return dump_fail(trio->dump, trio->file,
                         "its last offset %" PRId64 " is less than its base offset %" PRId64,
                         index_offset(trio, entries - 1), trio->base);
    if (trio->index_len % INDEX_ENTRY != 0)
        return dump_fail(trio->dump, trio->file, "its %zu bytes are not a multiple of %d",
                         trio->index_len, INDEX_ENTRY);
    say_sane(trio);
    return true;
}

static bool print_index(struct trio *trio)
{
    struct dump *dump = trio->dump;
    size_t entries = trio->index_len / INDEX_ENTRY;

    if (entries == 0) {
        if (!dump_has_rows(dump))
            printf("%s is empty.\n", trio->file->path);
        return true;
    }
    if (dump->sanity_only)
        return index_is_sane(trio, entries);
    for (size_t i = 0; i < entries; i++) {
        int64_t offset = index_offset(trio, i), pos = index_pos(trio, i);
        const uint8_t *entry;
        size_t size;

        if (offset == trio->base && i > 0)
            break;
        enum err err =
            pos < 0 ? ERR_NOT_FOUND
                    : log_file_entry(&trio->log, pos, pos + dump->max_message_bytes, &entry, &size);

        if (err != ERR_OK)
            return bad_entry(trio, i, pos, err);
        if (batch_last_offset(entry) != offset)
            dump_remark(dump, REMARK_INDEX, trio->file->absolute, offset, batch_last_offset(entry));
        if (!dump->verify_only)
            print_index_entry(dump, offset, pos);
    }
    return true;
}

bool dump_index(struct dump *dump, const struct dump_file *file)
{
    struct trio trio = { .dump = dump, .file = file };
    bool whole = trio_open(&trio, false) && print_index(&trio);

    trio_close(&trio);
    return whole;
}

/* ---- .timeindex ------------------------------------------------------------------------------ */

static size_t search(const struct trio *trio, int64_t offset, size_t low, size_t high)
{
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        int64_t found = index_offset(trio, middle);

        if (found == offset)
            return middle;
        if (found > offset)
            high = middle - 1;
        else
            low = middle;
    }
    return low;
}

/* Where Kafka's lookup of offset in the index makes a scan begin: room behind the entries takes
 * part in it, so the way of the search matters. */
static int64_t look_up(const struct trio *trio, int64_t offset)
{
    size_t entries = trio->index_len / INDEX_ENTRY;
    size_t warm = entries > WARM_ENTRIES + 1 ? entries - 1 - WARM_ENTRIES : 0;
    size_t slot;

    if (entries == 0)
        return 0;
    if (index_offset(trio, warm) < offset)
        slot = search(trio, offset, warm, entries - 1);
    else if (index_offset(trio, 0) > offset)
        return 0;
    else
        slot = search(trio, offset, 0, warm);
    return index_pos(trio, slot);
}

/* The largest timestamp of any record inside. */
static enum err newest_record(struct trio *trio, const uint8_t *entry, size_t size, int64_t *newest)
{
    struct batch_info info;
    enum err err = ERR_INVALID_RECORD;

    *newest = -1;
    batch_info_read(entry, &info);
    if (info.magic == 2 && size >= BATCH_HEADER_BYTES) {
        struct record_iter iter;
        struct record record;

        err = record_iter_init(&iter, entry, size, INT32_MAX, &trio->plain);
        while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
            if (record.timestamp > *newest)
                *newest = record.timestamp;
    } else if (info.magic < 2 && batch_peek(entry, size, &size) == ERR_OK) {
        struct legacy_iter iter;
        struct legacy_message message;

        err = legacy_iter_init(&iter, entry, size, INT32_MAX, &trio->plain);
        while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK)
            if (message.timestamp > *newest)
                *newest = message.timestamp;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Holds one entry against the log. False: the log cannot be read there. */
static bool check_time(struct trio *trio, size_t i, int64_t before)
{
    int64_t offset = time_offset(trio, i), pos = look_up(trio, offset), newest;
    const uint8_t *entry;
    size_t size;
    enum err err = ERR_NOT_FOUND;

    if (pos < 0 || pos > trio->log.size)
        return bad_entry(trio, i, pos, ERR_NOT_FOUND);
    while ((err = log_file_entry(&trio->log, pos, INT64_MAX, &entry, &size)) == ERR_OK &&
           batch_last_offset(entry) < offset)
        pos += (int64_t)size;
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        return bad_entry(trio, i, pos, err);
    if (err == ERR_NOT_FOUND || batch_last_offset(entry) != offset) {
        dump_remark(trio->dump, REMARK_NOT_FOUND, trio->file->path, offset,
                    err == ERR_OK ? batch_last_offset(entry) : -1);
        return true;
    }
    err = newest_record(trio, entry, size, &newest);
    if (err != ERR_OK)
        return bad_entry(trio, i, pos, err);
    if (newest != time_at(trio, i))
        dump_remark(trio->dump, REMARK_TIME, trio->file->absolute, time_at(trio, i), newest);
    if (before >= time_at(trio, i))
        dump_remark(trio->dump, REMARK_DISORDER, trio->file->absolute, time_at(trio, i), before);
    return true;
}

static bool times_are_sane(struct trio *trio, size_t entries)
{
    size_t last = entries - 1;

    if (entries > 0 && time_at(trio, last) < time_at(trio, 0))
        return dump_fail(trio->dump, trio->file,
                         "its last timestamp is %" PRId64
                         ", which is less than the first timestamp %" PRId64,
                         time_at(trio, last), time_at(trio, 0));
    if (entries > 0 && time_offset(trio, last) < trio->base)
        return dump_fail(trio->dump, trio->file,
                         "its last offset %" PRId64 " is less than its base offset %" PRId64,
                         time_offset(trio, last), trio->base);
    if (trio->times_len % TIME_ENTRY != 0)
        return dump_fail(trio->dump, trio->file, "its %zu bytes are not a multiple of %d",
                         trio->times_len, TIME_ENTRY);
    say_sane(trio);
    return true;
}

static bool print_times(struct trio *trio)
{
    size_t entries = trio->times_len / TIME_ENTRY;
    int64_t before = -1;

    if (trio->dump->sanity_only)
        return times_are_sane(trio, entries);
    for (size_t i = 0; i < entries; i++) {
        if (time_offset(trio, i) == trio->base && i > 0)
            break;
        if (!check_time(trio, i, before))
            return false;
        if (!trio->dump->verify_only)
            print_time_entry(trio->dump, time_at(trio, i), time_offset(trio, i));
        before = time_at(trio, i);
    }
    return true;
}

bool dump_time_index(struct dump *dump, const struct dump_file *file)
{
    struct trio trio = { .dump = dump, .file = file };
    bool whole = trio_open(&trio, true) && print_times(&trio);

    trio_close(&trio);
    return whole;
}

/* ---- .txnindex, .snapshot -------------------------------------------------------------------- */

/* Two bytes are written, and Kafka's tool reads the first. */
static int entry_version(const char *at)
{
    return (int8_t)at[0];
}

static void print_aborted(struct dump *dump, const char *at)
{
    if (!dump_has_rows(dump)) {
        printf("version: %d producerId: %" PRId64 " firstOffset: %" PRId64 " lastOffset: %" PRId64
               " lastStableOffset: %" PRId64 "\n",
               entry_version(at), load_i64(at + 2), load_i64(at + 10), load_i64(at + 18),
               load_i64(at + 26));
        return;
    }
    dump_row_begin(dump, "aborted_transaction");
    dump_row_int("version", entry_version(at));
    dump_row_int("producer_id", load_i64(at + 2));
    dump_row_int("first_offset", load_i64(at + 10));
    dump_row_int("last_offset", load_i64(at + 18));
    dump_row_int("last_stable_offset", load_i64(at + 26));
    dump_row_end(dump);
}

bool dump_txn_index(struct dump *dump, const struct dump_file *file)
{
    char *content;
    size_t len;
    bool whole = true;

    if (!read_whole(dump, file, file->path, &content, &len))
        return false;
    for (size_t pos = 0; whole && len - pos >= TXN_ENTRY; pos += TXN_ENTRY) {
        const char *at = content + pos;

        if (entry_version(at) > 0)
            whole = dump_fail(dump, file, "the entry at position %zu has the unknown version %d",
                              pos, entry_version(at));
        else
            print_aborted(dump, at);
    }
    free(content);
    return whole;
}

/* Sequences go round to 0. */
static int32_t first_sequence(int32_t last_seq, int32_t delta)
{
    return (int32_t)(((uint32_t)last_seq - (uint32_t)delta) &
                     (last_seq < delta ? INT32_MAX : UINT32_MAX));
}

static void row_producer(struct dump *dump, const char *at)
{
    int32_t last_seq = load_i32(at + 10), delta = load_i32(at + 22);
    bool has_data = load_i64(at + 14) >= 0;

    dump_row_begin(dump, "producer");
    dump_row_int("producer_id", load_i64(at));
    dump_row_int("producer_epoch", load_i16(at + 8));
    dump_row_int("coordinator_epoch", load_i32(at + 34));
    dump_row_optional("txn_first_offset", load_i64(at + 38) >= 0, load_i64(at + 38));
    dump_row_int("last_timestamp", load_i64(at + 26));
    dump_row_optional("first_sequence", has_data, first_sequence(last_seq, delta));
    dump_row_optional("last_sequence", has_data, last_seq);
    dump_row_optional("last_offset", has_data, load_i64(at + 14));
    dump_row_optional("offset_delta", has_data, delta);
    dump_row_end(dump);
}

static void print_producer(struct dump *dump, const char *at)
{
    int32_t last_seq = load_i32(at + 10), delta = load_i32(at + 22);
    int64_t last_offset = load_i64(at + 14), txn = load_i64(at + 38);

    if (dump_has_rows(dump)) {
        row_producer(dump, at);
        return;
    }
    printf("producerId: %" PRId64 " producerEpoch: %d coordinatorEpoch: %" PRId32, load_i64(at),
           load_i16(at + 8), load_i32(at + 34));
    if (txn >= 0)
        printf(" currentTxnFirstOffset: OptionalLong[%" PRId64 "]", txn);
    else
        printf(" currentTxnFirstOffset: OptionalLong.empty");
    printf(" lastTimestamp: %" PRId64 " ", load_i64(at + 26));
    if (last_offset >= 0) /* it has appended data, not only been fenced or ended */
        printf("firstSequence: %" PRId32 " lastSequence: %" PRId32 " lastOffset: %" PRId64
               " offsetDelta: %" PRId32 " timestamp: %" PRId64,
               first_sequence(last_seq, delta), last_seq, last_offset, delta, load_i64(at + 26));
    putchar('\n');
}

/* What Kafka's schema of a snapshot would say of these bytes; NULL when they fit it. */
static const char *misfit(struct dump *dump, const char *content, size_t len)
{
    static const struct {
        const char *name;
        size_t size;
    } fields[] = { { "producer_id", 8 },       { "epoch", 2 },
                   { "last_sequence", 4 },     { "last_offset", 8 },
                   { "offset_delta", 4 },      { "timestamp", 8 },
                   { "coordinator_epoch", 4 }, { "current_txn_first_offset", 8 } };
    static const char cut[] = "java.nio.BufferUnderflowException";
    size_t left = len - SNAPSHOT_HEAD;

    if (len < SNAPSHOT_HEAD)
        return cli_text(dump->cli, "Error reading field '%s': %s",
                        len < 2                   ? "version"
                        : len < SNAPSHOT_CRC_FROM ? "crc"
                                                  : "producer_entries",
                        cut);
    int32_t count = load_i32(content + SNAPSHOT_CRC_FROM);

    if (count < 0)
        return cli_text(dump->cli,
                        "Error reading field 'producer_entries': Array size %" PRId32
                        " cannot be negative",
                        count);
    if ((size_t)count > left)
        return cli_text(dump->cli,
                        "Error reading field 'producer_entries': Error reading array of size "
                        "%" PRId32 ", only %zu bytes available",
                        count, left);
    if (left / SNAPSHOT_ENTRY >= (size_t)count)
        return NULL;
    left %= SNAPSHOT_ENTRY;
    for (size_t i = 0;; left -= fields[i++].size)
        if (left < fields[i].size)
            return cli_text(dump->cli,
                            "Error reading field 'producer_entries': Error reading field '%s': %s",
                            fields[i].name, cut);
}

/* A broken snapshot is a complaint on stderr and no reason to stop: a start takes an older one. */
static void print_producers(struct dump *dump, const char *content, size_t len)
{
    const char *why_not = misfit(dump, content, len);

    if (why_not != NULL) {
        cli_note(dump->cli, "Snapshot failed schema validation: %s", why_not);
        return;
    }
    if (load_i16(content) != 1) {
        cli_note(dump->cli, "Snapshot contained an unknown file version %d", load_i16(content));
        return;
    }
    uint32_t crc = batch_crc32c(content + SNAPSHOT_CRC_FROM, len - SNAPSHOT_CRC_FROM);

    if (crc != load_be32(content + 2)) {
        cli_note(dump->cli,
                 "Snapshot is corrupt (CRC is no longer valid). Stored crc: %u. Computed crc: %u",
                 load_be32(content + 2), crc);
        return;
    }
    for (int32_t i = 0; i < load_i32(content + SNAPSHOT_CRC_FROM); i++)
        print_producer(dump, content + SNAPSHOT_HEAD + (size_t)i * SNAPSHOT_ENTRY);
}

bool dump_snapshot(struct dump *dump, const struct dump_file *file)
{
    char *content;
    size_t len;

    if (!read_whole(dump, file, file->path, &content, &len))
        return false;
    print_producers(dump, content, len);
    free(content);
    return true;
}
