/*
 * compact_bench make|run|check DIR RECORDS KEYS VALUE_BYTES CODEC - a log to compact, the
 * compaction of it on one thread, and what must be left of it by a model of its own.
 *
 *   make    writes DIR/compact-0: record i has the offset i and a key of its number's hash
 *   run     compacts it, DIR/compact-0 being no broker's, and prints what that cost
 *   check   reads it, whoever has compacted it, and fails unless exactly the newest record of every
 *           key is there, delete markers included
 *
 * Prints one JSON object. The model never looks at the log: it knows how records are made.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/log/clean/rewrite.h"
#include "broker/log/logs.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"

#define BATCH_RECORDS 100
#define SEGMENT_BYTES (256 << 20)
#define SENTINELS     10 /* records behind, in the active segment */
#define VALUE_MAX     65536

static int64_t record_count;
static int64_t key_count;
static size_t value_bytes;
static enum codec codec;

static void must(enum err err, const char *doing)
{
    if (err == ERR_OK)
        return;
    fprintf(stderr, "compact_bench: %s: %s\n", doing, err_name(err));
    exit(1);
}

static void require(bool holds, const char *what, int64_t offset)
{
    if (holds)
        return;
    fprintf(stderr, "compact_bench: %s offset=%" PRId64 "\n", what, offset);
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* --- how record i is made ------------------------------------------------------------------------
 */

static int64_t key_of(int64_t i)
{
    return i < record_count ? (int64_t)(mix((uint64_t)i) % (uint64_t)key_count) : -1 - i;
}

static bool is_delete(int64_t i)
{
    return mix(~(uint64_t)i) % 50 == 0;
}

/* Half of it is noise. */
static void value_of(int64_t i, char *into)
{
    for (size_t at = 0; at < value_bytes; at += 16) {
        uint64_t noise = mix((uint64_t)i * 1000003 + at);
        size_t left = value_bytes - at;
        char piece[17];

        snprintf(piece, sizeof piece, "%08" PRIx64 "........", noise & 0xffffffffu);
        memcpy(into + at, piece, left < 16 ? left : 16);
    }
}

/* --- make ----------------------------------------------------------------------------------------
 */

static void conf_of(void *ctx, const char *topic, struct log_conf *conf)
{
    (void)ctx;
    (void)topic;
    conf->segment_bytes = SEGMENT_BYTES;
    conf->cleanup_delete = false;
    conf->cleanup_compact = true;
}

static struct logs *open_logs(const char *dir)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = -1,
                                    .no_threads = true,
                                    .conf_of = conf_of,
                                    .flush_check_ms = INT64_MAX,
                                    .checkpoint_ms = INT64_MAX,
                                    .start_checkpoint_ms = INT64_MAX };
    struct logs *logs;

    must(logs_open(&options, &logs), "open");
    return logs;
}

static void append(struct log *log, struct batch_builder *builder, int64_t first, int64_t count,
                   int64_t now_ms)
{
    static char value[VALUE_MAX];
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct log_appended out;
    char key[32];
    uint8_t *bytes;
    size_t size;

    conf.codec = codec;
    batch_builder_reset(builder, &conf);
    for (int64_t i = first; i < first + count; i++) {
        snprintf(key, sizeof key, "key-%012" PRId64, key_of(i));
        value_of(i, value);
        batch_builder_add(builder, now_ms, str_of(key),
                          is_delete(i) ? STR_NULL : (struct str){ value, value_bytes }, NULL, 0);
    }
    must(batch_builder_finish(builder, -1, &bytes, &size), "build");
    must(log_append_leader(log, bytes, size, 0, LOG_FROM_CLIENT, now_ms, &out), "append");
}

static void make(const char *dir)
{
    struct logs *logs = open_logs(dir);
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    int64_t now_ms = clock_wall_ms();
    struct log *log;

    batch_builder_init(&builder, &conf);
    must(logs_create(logs, "compact", 0, (struct uuid){ .bytes = { 1 } }, true, NULL, &log),
         "create");
    for (int64_t i = 0; i < record_count; i += BATCH_RECORDS)
        append(log, &builder, i,
               record_count - i < BATCH_RECORDS ? record_count - i : BATCH_RECORDS, now_ms);
    must(log_roll(log, now_ms), "roll");
    append(log, &builder, record_count, SENTINELS, now_ms);
    printf("{\"bytes\": %" PRId64 ", \"segments\": %zu}\n", log_size_bytes(log),
           log_segment_count(log));
    batch_builder_fini(&builder);
    log_unref(&log);
    logs_close(&logs);
}

/* --- run -----------------------------------------------------------------------------------------
 */

static bool go_on(void *ctx, size_t bytes)
{
    (void)ctx;
    (void)bytes;
    return true;
}

static double cpu_seconds(void)
{
    struct rusage use;

    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void run(const char *dir)
{
    struct logs *logs = open_logs(dir);
    struct log *log = logs_get_ref(logs, "compact", 0);
    /* The broker's defaults for one thread. */
    struct rewrite_conf conf = {
        .map_bytes = 128 << 20, .load_factor = 0.9, .io_bytes = 256 << 10, .go_on = go_on
    };
    struct rewrite *rewrite = rewrite_new(&conf);
    struct rewrite_range range = { .first_uncleanable = log_active_base(log),
                                   .now_ms = clock_wall_ms() };
    struct rewrite_stats stats;
    double cpu = cpu_seconds();

    rand_bytes_os(range.secret, sizeof range.secret);
    must(rewrite_log(rewrite, log, &range, &stats), "compact");
    printf("{\"seconds\": %.3f, \"map_seconds\": %.3f, \"cpu_seconds\": %.3f, \"bytes\": %" PRId64
           ", \"bytes_written\": %" PRId64 ", \"records\": %" PRId64 ", \"kept\": %" PRId64
           ", \"keys\": %" PRId64 "}\n",
           (double)stats.total_us / 1e6, (double)stats.map_us / 1e6, cpu_seconds() - cpu,
           stats.bytes_read, stats.bytes_written, stats.records_read, stats.records_written,
           stats.map_keys);
    rewrite_free(&rewrite);
    log_unref(&log);
    logs_close(&logs);
}

/* --- check ---------------------------------------------------------------------------------------
 */

static void check_record(const struct record *record, const int64_t *newest)
{
    static char want[VALUE_MAX];
    int64_t i = record->offset;
    char key[32];

    snprintf(key, sizeof key, "key-%012" PRId64, key_of(i));
    value_of(i, want);
    require(str_eq(record->key, str_of(key)), "another key than was written", i);
    require(i >= record_count || newest[key_of(i)] == i, "not the newest of its key", i);
    if (is_delete(i))
        require(str_is_null(record->value), "a value where there was none", i);
    else
        require(str_eq(record->value, (struct str){ want, value_bytes }),
                "another value than was written", i);
}

static int64_t check_bytes(const uint8_t *bytes, size_t len, const int64_t *newest,
                           struct buf *scratch, int64_t *count)
{
    int64_t next = 0;

    for (size_t at = 0; at < len; at += batch_size(bytes + at)) {
        struct record_iter iter;
        struct record record;
        size_t size = batch_size(bytes + at);

        must(batch_check(bytes + at, size), "check a batch");
        must(record_iter_init(&iter, bytes + at, size, 1 << 30, scratch), "read a batch");
        for (; record_next(&iter, &record) == ERR_OK; ++*count)
            check_record(&record, newest);
        next = batch_last_offset(bytes + at) + 1;
    }
    return next;
}

static void check(const char *dir)
{
    int64_t *newest = xmalloc((size_t)key_count * sizeof *newest);
    struct logs *logs = open_logs(dir);
    struct log *log = logs_get_ref(logs, "compact", 0);
    struct buf bytes = BUF_EMPTY;
    struct buf scratch = BUF_EMPTY;
    int64_t keys = 0;
    int64_t count = 0;

    memset(newest, -1, (size_t)key_count * sizeof *newest);
    for (int64_t i = 0; i < record_count; i++) {
        keys += newest[key_of(i)] < 0;
        newest[key_of(i)] = i;
    }
    for (int64_t next = 0; next < log_leo(log);) {
        struct log_range range;
        size_t got;

        must(log_read(log, next, INT64_MAX, 8 << 20, true, &range), "read");
        bytes.len = 0;
        must(log_range_read(&range, 0, buf_reserve(&bytes, range.len), range.len, &got), "read");
        log_range_done(&range);
        size_t whole = 0;
        size_t size;

        while (batch_peek(bytes.bytes + whole, got - whole, &size) == ERR_OK)
            whole += size;
        int64_t after = check_bytes(bytes.bytes, whole, newest, &scratch, &count);

        require(after > next, "no more records", next);
        next = after;
    }
    require(count == keys + SENTINELS, "some newest record is missing, of so many", count);
    printf("{\"survivors\": %" PRId64 ", \"bytes\": %" PRId64 ", \"segments\": %zu}\n", count,
           log_size_bytes(log), log_segment_count(log));
    buf_fini(&bytes);
    buf_fini(&scratch);
    free(newest);
    log_unref(&log);
    logs_close(&logs);
}

static int64_t number(const char *text, int64_t least, int64_t most)
{
    int64_t value;

    if (str_to_i64(str_of(text), &value) && value >= least && value <= most)
        return value;
    fprintf(stderr, "compact_bench: not a number between %" PRId64 " and %" PRId64 ": %s\n", least,
            most, text);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: compact_bench make|run|check DIR RECORDS KEYS VALUE_BYTES CODEC\n");
        return 2;
    }
    say_set_level(SAY_WARN);
    record_count = number(argv[3], 1, INT64_C(1) << 40);
    key_count = number(argv[4], 1, 1 << 28);
    value_bytes = (size_t)number(argv[5], 0, VALUE_MAX);
    int named = codec_from_name(argv[6], strlen(argv[6]));

    if (named < 0) {
        fprintf(stderr, "compact_bench: no codec: %s\n", argv[6]);
        return 2;
    }
    codec = (enum codec)named;
    if (strcmp(argv[1], "make") == 0)
        make(argv[2]);
    else if (strcmp(argv[1], "run") == 0)
        run(argv[2]);
    else
        check(argv[2]);
    return 0;
}
