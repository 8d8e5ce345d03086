/*
 * log stats: one pass over the batches of every partition. What a batch's header says is counted
 * for all; keys need the records, which are decoded unless --headers-only.
 *
 * Distinct keys are estimated (HyperLogLog, Flajolet and others 2007; 2,048 registers, about 2.3 %
 * off), and the key with the largest share is found by counters that the frequent survive (Metwally
 * and others 2005, "space saving"): its share is at least what is told.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "common/base/mem.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "controller/cli/cli.h"
#include "controller/cli/log_file.h"
#include "controller/cli/verify_int.h"

#define PLAIN_BYTES_MAX ((size_t)1 << 30)
#define REGISTER_BITS   11
#define REGISTERS       (1 << REGISTER_BITS)
#define TOP_KEYS        64
#define SIZE_STEPS      4 /* buckets an octave: a quantile is told at most 19 % too large */
#define SIZE_BUCKETS    (32 * SIZE_STEPS)

struct top_key {
    uint64_t hash;
    int64_t count, over; /* over: how much of the count may be others' */
};

struct part_stats {
    const char *dir, *name; /* in the arena */
    int64_t segments, bytes, index_bytes;
    int64_t first_offset, next_offset; /* -1: empty */
    int64_t first_ms, last_ms;         /* of batches' timestamps, -1 none */
    int64_t batches, records, control_batches, txn_batches, idempotent_batches;
    int64_t largest_batch, record_batches; /* those whose records were looked at */
    int64_t codec_batches[CODEC_COUNT];
    int64_t plain_bytes, packed_bytes; /* of compressed batches */
    int64_t old_batches;               /* magic 0 and 1 */
    int64_t sizes[SIZE_BUCKETS];
    int64_t keyed, unkeyed, tombstones, key_bytes, value_bytes;
    uint8_t registers[REGISTERS];
    struct top_key top[TOP_KEYS];
    const char *damage; /* where reading had to stop, NULL nowhere */
};

struct stats {
    struct cli *cli;
    bool headers_only;
    struct part_stats **parts;
    size_t parts_len, parts_cap;
    struct buf plain;
};

/* ---- counting -------------------------------------------------------------------------------- */

/* FNV-1a, and a last mix, for its low bits are poor. */
static uint64_t hash_of(struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (uint8_t)key.ptr[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 33);
}

static void count_distinct(struct part_stats *part, uint64_t hash)
{
    size_t which = hash >> (64 - REGISTER_BITS);
    uint64_t rest = (hash << REGISTER_BITS) | (UINT64_C(1) << (REGISTER_BITS - 1));
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);

    if (rank > part->registers[which])
        part->registers[which] = rank;
}

static int64_t distinct_keys(const struct part_stats *part)
{
    double m = REGISTERS, sum = 0;
    int empty = 0;

    for (int i = 0; i < REGISTERS; i++) {
        sum += ldexp(1, -part->registers[i]);
        empty += part->registers[i] == 0;
    }
    double estimate = 0.7213 / (1 + 1.079 / m) * m * m / sum;

    if (estimate <= 2.5 * m && empty > 0)
        estimate = m * log(m / empty);
    return llround(estimate);
}

static void count_top(struct part_stats *part, uint64_t hash)
{
    struct top_key *least = &part->top[0];

    for (int i = 0; i < TOP_KEYS; i++) {
        struct top_key *at = &part->top[i];

        if (at->count > 0 && at->hash == hash) {
            at->count++;
            return;
        }
        if (at->count < least->count)
            least = at;
    }
    *least = (struct top_key){ .hash = hash, .count = least->count + 1, .over = least->count };
}

/* Records that surely have the most frequent key. */
static int64_t top_count(const struct part_stats *part)
{
    int64_t most = 0;

    for (int i = 0; i < TOP_KEYS; i++)
        if (part->top[i].count - part->top[i].over > most)
            most = part->top[i].count - part->top[i].over;
    return most;
}

static void count_record(struct part_stats *part, struct str key, struct str value)
{
    part->key_bytes += (int64_t)key.len;
    part->value_bytes += (int64_t)value.len;
    if (str_is_null(key)) {
        part->unkeyed++;
        return;
    }
    uint64_t hash = hash_of(key);

    part->keyed++;
    part->tombstones += str_is_null(value);
    count_distinct(part, hash);
    count_top(part, hash);
}

static int size_bucket(int64_t size)
{
    int bucket = (int)(log2((double)(size > 1 ? size : 1)) * SIZE_STEPS);

    return bucket < SIZE_BUCKETS ? bucket : SIZE_BUCKETS - 1;
}

/* The upper edge of the bucket in which the quantile lies; not above the largest. */
static int64_t size_quantile(const struct part_stats *part, double share)
{
    int64_t wanted = (int64_t)ceil(share * (double)part->batches), seen = 0;

    for (int i = 0; i < SIZE_BUCKETS; i++) {
        seen += part->sizes[i];
        if (seen >= wanted && seen > 0) {
            int64_t edge = (int64_t)exp2((double)(i + 1) / SIZE_STEPS);

            return edge < part->largest_batch ? edge : part->largest_batch;
        }
    }
    return 0;
}

/* ---- one partition --------------------------------------------------------------------------- */

static enum err look_inside(struct stats *stats, struct part_stats *part, const uint8_t *entry,
                            size_t size, const struct batch_info *info)
{
    struct legacy_message message;
    struct legacy_iter legacy;
    struct record_iter iter;
    struct record record;
    enum err err;

    if (info->magic < 2) {
        err = legacy_iter_init(&legacy, entry, size, PLAIN_BYTES_MAX, &stats->plain);
        while (err == ERR_OK && (err = legacy_next(&legacy, &message)) == ERR_OK) {
            part->records++;
            count_record(part, message.key, message.value);
        }
    } else {
        err = record_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, &stats->plain);
        while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
            count_record(part, record.key, record.value);
    }
    if (err != ERR_NOT_FOUND)
        return err;
    if (info->codec != CODEC_NONE) {
        part->plain_bytes += (int64_t)stats->plain.len;
        part->packed_bytes += (int64_t)size - (info->magic < 2 ? 0 : BATCH_HEADER_BYTES);
    }
    return ERR_OK;
}

static enum err count_batch(struct stats *stats, struct part_stats *part, const uint8_t *entry,
                            size_t size)
{
    struct batch_info info;

    if (batch_check(entry, size) != ERR_OK)
        return ERR_CORRUPT_MESSAGE;
    batch_info_read(entry, &info);
    part->batches++;
    part->old_batches += info.magic < 2;
    part->codec_batches[info.codec]++;
    part->sizes[size_bucket((int64_t)size)]++;
    if ((int64_t)size > part->largest_batch)
        part->largest_batch = (int64_t)size;
    if (part->first_offset < 0)
        part->first_offset = info.magic < 2 ? info.last_offset : info.base_offset;
    part->next_offset = info.last_offset + 1;
    if (info.max_timestamp >= 0) {
        if (part->first_ms < 0 || info.max_timestamp < part->first_ms)
            part->first_ms = info.max_timestamp;
        if (info.max_timestamp > part->last_ms)
            part->last_ms = info.max_timestamp;
    }
    part->control_batches += info.control;
    part->txn_batches += info.transactional;
    part->idempotent_batches += info.producer_id >= 0;
    if (info.control)
        return ERR_OK;
    part->records += info.magic < 2 ? 0 : info.count;
    return stats->headers_only ? ERR_OK : look_inside(stats, part, entry, size, &info);
}

static void count_segment(struct stats *stats, struct part_stats *part, const char *path)
{
    struct log_file file;
    const uint8_t *entry;
    int64_t pos = 0;
    size_t size;
    enum err err = log_file_open(&file, path);

    if (err != ERR_OK) {
        part->damage = cli_text(stats->cli, "%s: %s", path, err_text(err));
        return;
    }
    part->segments++;
    part->bytes += file.size;
    while ((err = log_file_entry(&file, pos, INT64_MAX, &entry, &size)) == ERR_OK &&
           (err = count_batch(stats, part, entry, size)) == ERR_OK)
        pos += (int64_t)size;
    /* Of a log that is written to, the end of the last batch may be missing: that is no damage. */
    if (err != ERR_NOT_FOUND)
        part->damage = cli_text(stats->cli, "%s at byte %" PRId64 ": %s", path, pos, err_text(err));
    log_file_close(&file);
}

struct names {
    struct cli *cli;
    const char *dir;
    const char **list;
    size_t len, cap;
    int64_t index_bytes;
};

static bool ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name), tail = strlen(ending);

    return len > tail && strcmp(name + len - tail, ending) == 0;
}

static void take_file(void *ctx, const char *name, bool is_dir)
{
    struct names *names = ctx;
    struct disk_stat stat;

    if (is_dir)
        return;
    const char *path = cli_text(names->cli, "%s/%s", names->dir, name);

    if (ends_in(name, "index") && disk_stat(disk_posix(), path, &stat) == ERR_OK)
        names->index_bytes += stat.size;
    if (!ends_in(name, ".log"))
        return;
    array_reserve(&names->list, &names->cap, names->len, sizeof *names->list);
    names->list[names->len++] = path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void count_part(struct stats *stats, const char *dir, const char *name)
{
    struct part_stats *part = arena_zalloc(&stats->cli->arena, 1, sizeof *part);
    struct names names = { .cli = stats->cli, .dir = cli_text(stats->cli, "%s/%s", dir, name) };
    enum err err = disk_list(disk_posix(), names.dir, take_file, &names);

    part->dir = dir;
    part->name = name;
    part->first_offset = part->next_offset = part->first_ms = part->last_ms = -1;
    if (err != ERR_OK)
        part->damage = cli_text(stats->cli, "%s: %s", names.dir, err_text(err));
    if (names.len > 0)
        qsort(names.list, names.len, sizeof *names.list, by_name);
    for (size_t i = 0; i < names.len && part->damage == NULL; i++)
        count_segment(stats, part, names.list[i]);
    part->index_bytes = names.index_bytes;
    free(names.list);
    array_reserve(&stats->parts, &stats->parts_cap, stats->parts_len, sizeof *stats->parts);
    stats->parts[stats->parts_len++] = part;
}

/* ---- what there is --------------------------------------------------------------------------- */

static bool is_part_name(const char *name)
{
    char *topic = NULL;
    int32_t partition;
    bool is_future;
    bool yes = !ends_in(name, "-delete") && !ends_in(name, "-stray") &&
               verify_parse_name(name, &topic, &partition, &is_future);

    free(topic);
    return yes;
}

static void take_dir(void *ctx, const char *name, bool is_dir)
{
    struct names *names = ctx;

    if (!is_dir || !is_part_name(name))
        return;
    array_reserve(&names->list, &names->cap, names->len, sizeof *names->list);
    names->list[names->len++] = cli_text(names->cli, "%s", name);
}

static enum exit_code take_operand(struct stats *stats, const char *given)
{
    struct cli *cli = stats->cli;
    char *path = arena_cstr(&cli->arena, str_of(given));
    struct names names = { .cli = cli, .dir = path };
    struct disk_stat stat;
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    enum err err = disk_stat(disk_posix(), path, &stat);

    if (err == ERR_OK && !stat.is_dir)
        err = ERR_NOT_FOUND;
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const char *meta = cli_text(cli, "%s/" META_FILE, path);

    if (err == ERR_OK && is_part_name(name) && disk_stat(disk_posix(), meta, &stat) != ERR_OK) {
        count_part(stats, slash == NULL ? "." : cli_text(cli, "%.*s", (int)(slash - path), path),
                   name);
        return CLI_OK;
    }
    if (err == ERR_OK)
        err = disk_list(disk_posix(), path, take_dir, &names);
    if (err != ERR_OK)
        return cli_fail(
            cli, err == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED,
            cli_text(cli, "%s: %s", given,
                     err == ERR_NOT_FOUND ? "there is no such directory" : err_text(err)),
            NULL, "moldau help log stats");
    if (names.len > 0)
        qsort(names.list, names.len, sizeof *names.list, by_name);
    for (size_t i = 0; i < names.len; i++)
        count_part(stats, path, names.list[i]);
    free(names.list);
    return CLI_OK;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* "zstd 80%, none 20%", by batches */
static const char *codecs(struct cli *cli, const struct part_stats *part)
{
    const char *text = "";
    bool told[CODEC_COUNT] = { false };

    for (int turn = 0; turn < CODEC_COUNT; turn++) {
        int most = -1;

        for (int i = 0; i < CODEC_COUNT; i++)
            if (!told[i] && part->codec_batches[i] > 0 &&
                (most < 0 || part->codec_batches[i] > part->codec_batches[most]))
                most = i;
        if (most < 0)
            break;
        told[most] = true;
        text = cli_text(cli, "%s%s%s %.0f%%", text, *text != '\0' ? ", " : "", codec_name(most),
                        100.0 * (double)part->codec_batches[most] / (double)part->batches);
    }
    return text;
}

/* Of a hundred. */
static struct cell share_cell(int64_t part, int64_t whole)
{
    return whole > 0 ? cell_int(llround(100.0 * (double)part / (double)whole)) : (struct cell){ 0 };
}

static struct cell time_cell(struct cli *cli, int64_t ms)
{
    return ms >= 0 ? cell_text(print_time(&cli->arena, ms, false)) : (struct cell){ 0 };
}

static struct cell offset_cell(int64_t offset)
{
    return offset >= 0 ? cell_int(offset) : (struct cell){ 0 };
}

static void put_part(struct stats *stats, struct table *table, const struct part_stats *part)
{
    struct cli *cli = stats->cli;
    struct cell *cell = table_row(table);
    bool has_keys = !stats->headers_only && part->damage == NULL;
    int64_t codec_cells[CODEC_COUNT];

    memcpy(codec_cells, part->codec_batches, sizeof codec_cells);
    *cell++ = cell_cstr(part->name);
    *cell++ = cell_size(part->bytes);
    *cell++ = cell_int(part->segments);
    *cell++ = offset_cell(part->first_offset);
    *cell++ = offset_cell(part->next_offset);
    *cell++ = cell_int(part->batches);
    *cell++ = cell_int(part->records);
    *cell++ = part->batches > 0 ? cell_size(part->bytes / part->batches) : (struct cell){ 0 };
    *cell++ = part->batches > 0 ? cell_size(size_quantile(part, 0.5)) : (struct cell){ 0 };
    *cell++ = part->batches > 0 ? cell_size(size_quantile(part, 0.99)) : (struct cell){ 0 };
    *cell++ = part->batches > 0 ? cell_size(part->largest_batch) : (struct cell){ 0 };
    *cell++ = cell_cstr(codecs(cli, part));
    *cell++ = has_keys ? share_cell(part->packed_bytes, part->plain_bytes) : (struct cell){ 0 };
    *cell++ = has_keys ? share_cell(part->keyed, part->keyed + part->unkeyed) : (struct cell){ 0 };
    *cell++ = has_keys ? cell_int(distinct_keys(part)) : (struct cell){ 0 };
    *cell++ = has_keys ? share_cell(top_count(part), part->keyed) : (struct cell){ 0 };
    *cell++ = has_keys ? cell_int(part->tombstones) : (struct cell){ 0 };
    *cell++ = cell_int(part->idempotent_batches);
    *cell++ = cell_int(part->txn_batches);
    *cell++ = cell_int(part->control_batches);
    *cell++ = cell_int(part->old_batches);
    *cell++ = cell_size(part->index_bytes);
    for (int i = 0; i < CODEC_COUNT; i++)
        *cell++ = cell_int(codec_cells[i]);
    *cell++ = time_cell(cli, part->first_ms);
    *cell++ = time_cell(cli, part->last_ms);
    *cell++ = cell_cstr(part->dir);
    *cell =
        part->damage != NULL ? cell_hinted(cell_cstr(part->damage), HINT_ACT) : (struct cell){ 0 };
}

static void print_all(struct stats *stats)
{
    static const struct column columns[] = {
        { .key = "log", .head = "LOG" },
        { .key = "bytes", .head = "SIZE", .right = true },
        { .key = "segments", .head = "SEGS", .right = true },
        { .key = "first_offset", .head = "FIRST", .right = true },
        { .key = "next_offset", .head = "NEXT", .right = true },
        { .key = "batches", .head = "BATCHES", .right = true },
        { .key = "records", .head = "RECORDS", .right = true },
        { .key = "batch_bytes_mean", .head = "BATCH", .right = true },
        { .key = "batch_bytes_p50", .head = "P50", .right = true, .wide = true },
        { .key = "batch_bytes_p99", .head = "P99", .right = true },
        { .key = "batch_bytes_max", .head = "MAX", .right = true, .wide = true },
        { .key = "compression", .head = "COMPRESSION" },
        { .key = "packed_percent", .head = "PACKED%", .right = true },
        { .key = "keyed_percent", .head = "KEYED%", .right = true },
        { .key = "distinct_keys", .head = "KEYS~", .right = true },
        { .key = "top_key_percent", .head = "TOP%", .right = true },
        { .key = "tombstones", .head = "TOMBS", .right = true },
        { .key = "idempotent_batches", .head = "IDEMPOTENT", .right = true, .wide = true },
        { .key = "transactional_batches", .head = "TXN", .right = true, .wide = true },
        { .key = "control_batches", .head = "CONTROL", .right = true, .wide = true },
        { .key = "old_format_batches", .head = "V0-V1", .right = true, .wide = true },
        { .key = "index_bytes", .head = "INDEXES", .right = true, .wide = true },
        { .key = "batches_none", .head = "NONE", .right = true, .wide = true },
        { .key = "batches_gzip", .head = "GZIP", .right = true, .wide = true },
        { .key = "batches_snappy", .head = "SNAPPY", .right = true, .wide = true },
        { .key = "batches_lz4", .head = "LZ4", .right = true, .wide = true },
        { .key = "batches_zstd", .head = "ZSTD", .right = true, .wide = true },
        { .key = "first_time", .head = "OLDEST", .wide = true },
        { .key = "last_time", .head = "NEWEST", .wide = true },
        { .key = "dir", .head = "DIR", .wide = true },
        { .key = "stopped_at", .head = "STOPPED-AT" },
        { .key = NULL },
    };
    struct report *report = report_new(&stats->cli->arena);
    struct table *table = report_table(report, "logs", columns);

    for (size_t i = 0; i < stats->parts_len; i++)
        put_part(stats, table, stats->parts[i]);
    report_print(report, &stats->cli->print, stdout);
}

enum exit_code cmd_log_stats(struct cli *cli)
{
    struct stats stats = { .cli = cli, .headers_only = args_has(&cli->args, "headers-only") };
    enum exit_code code = CLI_OK;

    for (int i = 0; i < cli->args.operands_len && code == CLI_OK; i++)
        code = take_operand(&stats, cli->args.operands[i]);
    if (code == CLI_OK)
        print_all(&stats);
    for (size_t i = 0; i < stats.parts_len && code == CLI_OK; i++)
        if (stats.parts[i]->damage != NULL)
            code = cli_fail(cli, CLI_FAILED, stats.parts[i]->damage,
                            "counting of that log ended there", "moldau log verify says more");
    free(stats.parts);
    buf_fini(&stats.plain);
    return code;
}
