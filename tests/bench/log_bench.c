/*
 * log_bench DIR - what an append, a lookup, a read and a start cost, on one thread.
 *
 * Prints one line a figure. DIR is made and removed. What the machine itself can do is measured
 * beside it, by the same amount of bytes: write(2) into the page cache for appends; sendfile(2) of
 * a plain file through a loopback connection for reads, from the page cache and from the disk.
 * "of_limit" is what the log reaches of that.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/logs.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "common/wire/batch.h"
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

static size_t sync_few; /* 0: as the broker does it */

static struct logs *open_logs(const char *dir)
{
    const char *dirs[] = { dir };
    struct logs_options options = { .dirs = dirs,
                                    .dir_count = 1,
                                    .broker_id = 1,
                                    .recovery_threads = 2,
                                    .sync_few = sync_few,
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

/* Bytes per us of the same writes to a plain file. */
static double plain_writes(const char *path, const uint8_t *bytes, size_t size, int count)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    int64_t begin = clock_mono_us();

    for (int i = 0; i < count; i++)
        if (pwrite(fd, bytes, size, (off_t)size * i) != (ssize_t)size)
            must(ERR_IO);
    double us = (double)(clock_mono_us() - begin);

    close(fd);
    return (double)size * count / us;
}

static void bench_append(struct log *log, const char *plain, size_t bytes, int count)
{
    struct buf buf = BUF_EMPTY;
    struct log_appended out;
    size_t size = make_batch(&buf, bytes);
    double limit = plain_writes(plain, buf.bytes, size, count);
    int64_t begin = clock_mono_us();

    for (int i = 0; i < count; i++)
        must(log_append_leader(log, buf.bytes, size, 0, LOG_FROM_CLIENT, 1700000000000, &out));
    double us = (double)(clock_mono_us() - begin);

    printf("append batch_bytes=%zu per_second=%.0f us=%.2f mib_per_second=%.0f of_limit=%.2f\n",
           size, count * 1e6 / us, us / count, (double)size * count / us * 1e6 / 1048576,
           (double)size * count / us / limit);
    buf_fini(&buf);
}

/* --- reads ---------------------------------------------------------------------------------------
 */

struct pipe {
    int from;
    int to;
    struct thread thread;
};

static void drain(void *arg)
{
    const struct pipe *pipe = arg;
    static char bytes[1 << 18];

    while (read(pipe->to, bytes, sizeof bytes) > 0)
        ;
}

static void pipe_open(struct pipe *pipe)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM, 0);

    pipe->from = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(door, (struct sockaddr *)&address, len) != 0 || listen(door, 1) != 0 ||
        getsockname(door, (struct sockaddr *)&address, &len) != 0 ||
        connect(pipe->from, (struct sockaddr *)&address, len) != 0 ||
        (pipe->to = accept(door, NULL, NULL)) < 0)
        must(ERR_IO);
    close(door);
    thread_start(&pipe->thread, T_IO, 0, drain, pipe);
}

static void pipe_close(struct pipe *pipe)
{
    close(pipe->from);
    thread_join(&pipe->thread);
    close(pipe->to);
}

static void ship(const struct pipe *pipe, int fd, int64_t pos, size_t len)
{
    off_t at = pos;

    while (len > 0) {
        ssize_t sent = sendfile(pipe->from, fd, &at, len);

        if (sent <= 0)
            must(ERR_IO);
        len -= (size_t)sent;
    }
}

static void forget_pages(const char *path)
{
    int fd = open(path, O_RDWR);

    if (fd < 0 || fdatasync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        must(ERR_IO);
    close(fd);
}

static double ship_plain(const char *path, int64_t bytes)
{
    struct pipe pipe;
    int fd = open(path, O_RDONLY);
    int64_t begin = clock_mono_us();

    pipe_open(&pipe);
    for (int64_t at = 0; at < bytes; at += 1 << 20)
        ship(&pipe, fd, at, bytes - at < 1 << 20 ? (size_t)(bytes - at) : 1 << 20);
    pipe_close(&pipe);
    close(fd);
    return (double)bytes / (double)(clock_mono_us() - begin);
}

static double ship_log(struct log *log)
{
    struct pipe pipe;
    int64_t bytes = 0;
    int64_t begin = clock_mono_us();

    pipe_open(&pipe);
    for (int64_t at = log_start_offset(log); at < log_leo(log);) {
        uint8_t head[BATCH_HEADER_BYTES];
        struct batch_info info;
        struct log_range range;
        size_t got;
        int fd;

        must(log_read(log, at, INT64_MAX, 1 << 20, true, &range));
        must(file_pin(range.file, &fd));
        ship(&pipe, fd, range.pos, range.len);
        file_unpin(range.file);
        bytes += (int64_t)range.len;
        /* As a consumer does: go on behind the last whole batch. All are of one size. */
        must(log_range_read(&range, 0, head, sizeof head, &got));
        batch_info_read(head, &info);
        at = info.base_offset +
             (int64_t)(range.len / info.size) * (info.last_offset + 1 - info.base_offset);
        log_range_done(&range);
    }
    pipe_close(&pipe);
    return (double)bytes / (double)(clock_mono_us() - begin);
}

/* dir was left by a run before: its bytes are verified when they are first read. */
static void bench_ship(const char *dir, const char *plain)
{
    struct logs *logs = open_logs(dir);
    struct log *log = logs_get_ref(logs, "bench", 0);
    struct disk_stat st;
    char path[DISK_PATH_MAX];

    snprintf(path, sizeof path, "%s/bench-0/%020d.log", dir, 0);
    must(disk_stat(disk_posix(), plain, &st));
    double warm = ship_plain(plain, st.size);
    double first = ship_log(log);
    double again = ship_log(log);

    printf("read warm mib_per_second=%.0f of_limit=%.2f first_time_after_start=%.2f\n",
           again * 1e6 / 1048576, again / warm, first / warm);
    forget_pages(plain);
    double cold = ship_plain(plain, st.size);

    log_unref(&log);
    logs_abandon(&logs);
    forget_pages(path);
    logs = open_logs(dir);
    log = logs_get_ref(logs, "bench", 0);
    forget_pages(path);
    first = ship_log(log);
    forget_pages(path);
    again = ship_log(log);
    printf("read cold mib_per_second=%.0f of_limit=%.2f first_time_after_start=%.2f\n",
           again * 1e6 / 1048576, again / cold, first / cold);
    log_unref(&log);
    logs_abandon(&logs);
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

/* What a clean stop costs when every log has something new. */
static void bench_stop(const char *dir, const char *how, size_t few)
{
    sync_few = few;
    struct logs *logs = open_logs(dir);
    struct buf buf = BUF_EMPTY;
    size_t size = make_batch(&buf, 500);

    for (int i = 0; i < PARTITIONS; i++) {
        struct log *log = logs_get_ref(logs, "t", i);
        struct log_appended out;

        must(log_append_leader(log, buf.bytes, size, 1, LOG_FROM_CLIENT, 1700000000000, &out));
        log_unref(&log);
    }
    int64_t begin = clock_mono_us();

    logs_close(&logs);
    printf("close synced_%s partitions=%d ms=%" PRId64 "\n", how, PARTITIONS,
           (clock_mono_us() - begin) / 1000);
    buf_fini(&buf);
    sync_few = 0;
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
    bench_stop(dir, "together", 0);
    bench_stop(dir, "one_by_one", SIZE_MAX);
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

    char plain[DISK_PATH_MAX];

    snprintf(plain, sizeof plain, "%s/plain", argv[1]);
    must(logs_create(logs, "bench", 0, id, true, NULL, &log));
    bench_append(log, plain, 16384, BATCHES);
    bench_read(log, "tail", log_leo(log) - 20, log_leo(log));
    bench_read(log, "anywhere", 0, log_leo(log));
    log_unref(&log);
    must(logs_create(logs, "small", 0, id, true, NULL, &log));
    char small[DISK_PATH_MAX];

    snprintf(small, sizeof small, "%s/plain-small", argv[1]);
    bench_append(log, small, 1024, BATCHES * 5);
    bench_read(log, "anywhere_small", 0, log_leo(log));
    log_unref(&log);
    logs_abandon(&logs);
    bench_ship(argv[1], plain);
    must(disk_remove_tree(disk_posix(), argv[1]));
    bench_start(argv[1]);
    must(disk_remove_tree(disk_posix(), argv[1]));
    return 0;
}
