/*
 * log_bench DIR - what an append, a lookup and a start cost, on one thread.
 *
 * Prints one line a figure. DIR is made and removed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/logs.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/wire/record.h"

#define BATCHES    40000
#define LOOKUPS    200000
#define PARTITIONS 2000

static void must(enum err err)
{
    if (err == ERR_OK)
        return;
    fprintf(stderr, "log_bench: %s\n", err_name(err));
    exit(1);
}

static struct logs *open_logs(const char *dir)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .recovery_threads = 2,
                                    .flush_check_ms = INT64_MAX,
                                    .checkpoint_ms = 60000,
                                    .start_checkpoint_ms = 60000 };
    struct logs *logs;

    must(logs_open(&options, &logs));
    return logs;
}

static size_t make_batch(struct buf *buf, size_t bytes)
{
    struct batch_conf conf = BATCH_CONF_PLAIN;
    struct batch_builder builder;
    char value[1024] = { 0 };
    uint8_t *batch;
    size_t size;

    batch_builder_init(&builder, &conf);
    while (batch_builder_size(&builder) < bytes)
        batch_builder_add(&builder, 1700000000000, STR("key"),
                          (struct str){ value, bytes < 2048 ? bytes / 2 : sizeof value }, NULL, 0);
    must(batch_builder_finish(&builder, -1, &batch, &size));
    buf_put(buf, batch, size);
    batch_builder_fini(&builder);
    return size;
}

static void bench_append(struct log *log, size_t bytes, int count)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;
    size_t size = make_batch(&buf, bytes);
    int64_t begin = clock_mono_us();

    for (int i = 0; i < count; i++)
        must(log_append_leader(log, buf.bytes, size, 0, LOG_FROM_CLIENT, 1700000000000, &out));
    double us = (double)(clock_mono_us() - begin);

    printf("append batch_bytes=%zu per_second=%.0f us=%.2f mib_per_second=%.0f\n", size,
           count * 1e6 / us, us / count, (double)size * count / us * 1e6 / 1048576);
    buf_fini(&buf);
}

static void bench_read(struct log *log, const char *what, int64_t from, int64_t upto)
{
    uint64_t seed = 1;
    int64_t begin = clock_mono_us();

    for (int i = 0; i < LOOKUPS; i++) {
        struct log_range range;

        seed = seed * UINT64_C(6364136223846793005) + 1;
        int64_t offset = from + (int64_t)((seed >> 33) % (uint64_t)(upto - from));

        must(log_read(log, offset, INT64_MAX, 1 << 20, true, &range));
        log_range_done(&range);
    }
    printf("lookup %s ns=%.0f\n", what, (double)(clock_mono_us() - begin) * 1000 / LOOKUPS);
}

static void bench_start(const char *dir)
{
    struct logs *logs = open_logs(dir);
    const struct uuid id = { .bytes = { 1 } };
    int64_t begin = clock_mono_us();

    for (int i = 0; i < PARTITIONS; i++) {
        struct log *log;
        struct buf buf = BUF_EMPTY;
        struct log_appended out;
        size_t size = make_batch(&buf, 500);

        must(logs_create(logs, "t", i, id, true, NULL, &log));
        must(log_append_leader(log, buf.bytes, size, 0, LOG_FROM_CLIENT, 1700000000000, &out));
        log_unref(&log);
        buf_fini(&buf);
    }
    printf("create partitions=%d ms=%" PRId64 "\n", PARTITIONS, (clock_mono_us() - begin) / 1000);
    begin = clock_mono_us();
    logs_close(&logs);
    printf("close partitions=%d ms=%" PRId64 "\n", PARTITIONS, (clock_mono_us() - begin) / 1000);
    begin = clock_mono_us();
    logs = open_logs(dir);
    printf("open clean partitions=%d ms=%" PRId64 "\n", PARTITIONS,
           (clock_mono_us() - begin) / 1000);
    logs_abandon(&logs);
    begin = clock_mono_us();
    logs = open_logs(dir);
    printf("open after a crash partitions=%d ms=%" PRId64 "\n", PARTITIONS,
           (clock_mono_us() - begin) / 1000);
    logs_abandon(&logs);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: log_bench DIR\n");
        return 2;
    }
    say_set_level(SAY_ERROR);
    struct logs *logs = open_logs(argv[1]);
    const struct uuid id = { .bytes = { 1 } };
    struct log *log;

    must(logs_create(logs, "bench", 0, id, true, NULL, &log));
    bench_append(log, 16384, BATCHES);
    bench_read(log, "tail", log_leo(log) - 20, log_leo(log));
    bench_read(log, "anywhere", 0, log_leo(log));
    log_unref(&log);
    must(logs_create(logs, "small", 0, id, true, NULL, &log));
    bench_append(log, 1024, BATCHES * 5);
    bench_read(log, "anywhere_small", 0, log_leo(log));
    log_unref(&log);
    logs_abandon(&logs);
    must(disk_remove_tree(disk_posix(), argv[1]));
    bench_start(argv[1]);
    must(disk_remove_tree(disk_posix(), argv[1]));
    return 0;
}
