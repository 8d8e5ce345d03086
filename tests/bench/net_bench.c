/*
 * net_bench - what the connections of a broker cost: CPU of the reactor per request for some sizes
 * and depths, and memory per idle connection. One reactor, loopback, handlers that only answer.
 *
 *   net_bench [connections]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/net/conn.h"
#include "broker/net/listener.h"
#include "common/base/bytes.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "gen/wire/apis.h"

#define CONNS 8

struct bench {
    struct reactor *reactor;
    struct conns *conns;
    struct dispatch dispatch;
    struct listener *listener;
    struct budget memory;
    int fds[CONNS];
};

static void answer(struct request *req, void *body, void *context)
{
    void *resp = arena_alloc(&req->arena, req->api->response_size);

    (void)body;
    (void)context;
    req->api->response.init(resp);
    request_answer(req, resp);
}

static int dial(const struct bench *bench)
{
    struct net_addr addr;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd < 0 || net_addr_find("127.0.0.1", listener_port(bench->listener), &addr) != ERR_OK ||
        connect(fd, &addr.at.any, addr.len) < 0) {
        perror("connect");
        exit(1);
    }
    return fd;
}

static void start(struct bench *bench)
{
    static const struct handler rows[] = { { API_PRODUCE, 0, 11, HANDLER_PIPELINED, answer },
                                           { API_METADATA, 0, 12, 0, answer } };
    struct conns_conf conf = { .request_max_bytes = 100 << 20,
                               .idle_max_ms = 600000,
                               .memory = &bench->memory };
    struct listener_conf listener_conf = { .name = "PLAINTEXT", .protocol = "PLAINTEXT" };

    budget_init(&bench->memory, 1 << 30);
    dispatch_init(&bench->dispatch, rows, ARRAY_LEN(rows), NULL);
    bench->reactor = reactor_new();
    bench->conns = conns_new(bench->reactor, &conf, &bench->dispatch);
    if (listener_open(bench->reactor, &listener_conf, NULL, &bench->conns, 1, &bench->listener) !=
        ERR_OK)
        exit(1);
    reactor_start(bench->reactor, T_REACTOR, 0);
    listener_start(bench->listener);
}

/* A request of exactly len bytes in all; Kafka does not look behind the body either. */
static void fill(uint8_t *frame, size_t len, int16_t key)
{
    struct frame_request_header header = { .api_key = key, .api_version = 7 };
    const struct wire_api *api = wire_api(key);
    uint8_t body[512] = { 0 };
    struct wire_out out = wire_out_of(frame, len);

    api->request.init(body);
    memset(frame, 0, len);
    wire_put_i32(&out, (int32_t)len - 4);
    frame_request_header_encode(&header, &out);
    api->request.encode(body, &out, 7);
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void read_usage(void *usage)
{
    getrusage(RUSAGE_THREAD, usage);
}

static double cpu_us(const struct bench *bench)
{
    struct rusage usage;

    reactor_call(bench->reactor, read_usage, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void run(struct bench *bench, const char *name, int16_t key, size_t len, int depth,
                int conns)
{
    uint8_t *batch = xmalloc(len * (size_t)depth);
    uint8_t answers[65536];
    int64_t count = 0;

    for (int i = 0; i < depth; i++)
        fill(batch + len * (size_t)i, len, key);
    int64_t begun_us = clock_mono_us();
    double cpu_before = cpu_us(bench);
    size_t expect = 0;
    while (clock_mono_us() - begun_us < 1000000) {
        for (int c = 0; c < conns; c++) {
            size_t sent = 0;

            while (sent < len * (size_t)depth) {
                ssize_t n = send(bench->fds[c], batch + sent, len * (size_t)depth - sent, 0);

                must(n > 0, "send");
                sent += (size_t)n;
            }
        }
        for (int c = 0; c < conns; c++) {
            if (expect == 0) {
                must(recv(bench->fds[c], answers, 4, MSG_WAITALL | MSG_PEEK) == 4, "recv");
                expect = load_be32(answers) + 4;
            }
            size_t want = expect * (size_t)depth;
            must(recv(bench->fds[c], answers, want, MSG_WAITALL) == (ssize_t)want, "recv");
            count += depth;
        }
    }
    double used = cpu_us(bench) - cpu_before;
    double wall = (double)(clock_mono_us() - begun_us);
    printf("%-28s %8zu B x %2d on %d: %7.2f us CPU each, %8.0f/s, %5.0f%% busy\n", name, len, depth,
           conns, used / (double)count, (double)count / wall * 1e6, used / wall * 100);
    free(batch);
}

static void idle(struct bench *bench, int count)
{
    int *fds = xmalloc(sizeof *fds * (size_t)count);
    struct mallinfo2 before = mallinfo2();
    uint8_t frame[64], answer_bytes[64];

    fill(frame, sizeof frame, API_METADATA);
    for (int i = 0; i < count; i++) {
        fds[i] = dial(bench);
        must(send(fds[i], frame, sizeof frame, 0) == sizeof frame, "send");
        must(recv(fds[i], answer_bytes, sizeof answer_bytes, 0) > 0, "recv");
    }
    struct mallinfo2 after = mallinfo2();
    printf("%d idle connections that have been used: %zu bytes of heap each\n", count,
           (after.uordblks - before.uordblks) / (size_t)count);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    free(fds);
    while (conns_count(bench->conns) > CONNS)
        (void)cpu_us(bench);
    after = mallinfo2();
    printf("after they have gone: %td bytes more than before\n",
           (ptrdiff_t)after.uordblks - (ptrdiff_t)before.uordblks);
}

static void close_all(void *conns)
{
    conns_close_all(conns);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    int many = argc > 1 ? atoi(argv[1]) : 2000;
    struct rlimit files = { .rlim_cur = (rlim_t)many * 2 + 100,
                            .rlim_max = (rlim_t)many * 2 + 100 };

    mallopt(M_ARENA_MAX, 1); /* so that mallinfo2() sees all threads */
    setrlimit(RLIMIT_NOFILE, &files);
    start(&bench);
    for (int c = 0; c < CONNS; c++)
        bench.fds[c] = dial(&bench);
    run(&bench, "small, deep", API_PRODUCE, 100, 64, CONNS);
    run(&bench, "small, pipelined", API_PRODUCE, 100, 16, CONNS);
    run(&bench, "1 KiB, pipelined", API_PRODUCE, 1024, 16, CONNS);
    run(&bench, "1 KiB, one by one", API_PRODUCE, 1024, 1, CONNS);
    run(&bench, "goes alone, pipelined", API_METADATA, 100, 16, CONNS);
    run(&bench, "16 KiB", API_PRODUCE, 16384, 4, CONNS);
    run(&bench, "64 KiB", API_PRODUCE, 65536, 4, CONNS);
    run(&bench, "1 MiB", API_PRODUCE, 1 << 20, 1, CONNS);
    idle(&bench, many);
    listener_stop(bench.listener);
    reactor_call(bench.reactor, close_all, bench.conns);
    reactor_stop(bench.reactor);
    conns_free(&bench.conns);
    listener_free(&bench.listener);
    reactor_free(&bench.reactor);
    return 0;
}
