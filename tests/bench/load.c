/*
 * load - produce and consume load on librdkafka, for the benchmarks.
 *
 *   load produce -b HOST:PORT,… -t TOPIC -p PARTITIONS [options]     as fast as it goes
 *   load latency …  -r RATE                                          at a rate; percentiles
 *   load single  …  -j CONNECTIONS                                   one record per request, one in
 * flight load consume …                                                   from the start to the
 * end, no group
 *
 * Prints one JSON object. Times are CLOCK_MONOTONIC, so that a trace (-T FILE, a line "partition
 * made_us answered_us error" per record) can be held against what the caller did to the cluster.
 *
 * Records travel with their creation time as opaque pointer: no memory per record, no lookup per
 * answer. Every worker is a thread with a client instance of its own; what they count is added up
 * at the end.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CONF    64
#define MAX_SAMPLES (8U << 20)

struct options {
    const char *mode;
    const char *brokers;
    const char *topic;
    const char *trace;
    int32_t partitions;
    size_t size;
    int64_t count;  /* records of all workers; 0: by time */
    double seconds; /* measured, after warm-up */
    double warm;    /* seconds not measured */
    double rate;    /* records per second of all workers; 0: as fast as it goes */
    int workers;
    bool again;                 /* consume from the start once more when the end has been reached */
    const char *conf[MAX_CONF]; /* key=value of librdkafka */
    int confs;
};

struct worker {
    const struct options *opt;
    rd_kafka_t *rk;
    pthread_t thread;
    int index;
    int64_t sent;
    int64_t answered; /* measured ones */
    int64_t bytes;
    int64_t errors;
    int64_t first_us; /* of the first and last measured answer */
    int64_t last_us;
    uint32_t *samples; /* microseconds */
    size_t samples_len;
    FILE *trace;
    char last_error[128];
};

static atomic_bool stopping;
static int64_t measure_from_us;

static int64_t now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static void on_signal(int sig)
{
    (void)sig;
    atomic_store(&stopping, true);
}

/* --- clients -----------------------------------------------------------------------------------
 */

static void set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char err[256];

    if (rd_kafka_conf_set(conf, key, value, err, sizeof err) != RD_KAFKA_CONF_OK)
        die(key, err);
}

static void count_answer(struct worker *w, int64_t made_us, size_t len)
{
    int64_t now = now_us();

    if (made_us < measure_from_us)
        return;
    if (w->answered++ == 0)
        w->first_us = now;
    w->last_us = now;
    w->bytes += (int64_t)len;
    if (w->samples_len < MAX_SAMPLES)
        w->samples[w->samples_len++] = (uint32_t)(now - made_us);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct worker *w = opaque;
    int64_t made_us = (int64_t)(intptr_t)m->_private;

    (void)rk;
    if (w->trace != NULL)
        fprintf(w->trace, "%" PRId32 " %" PRId64 " %" PRId64 " %d\n", m->partition, made_us,
                now_us(), (int)m->err);
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        w->errors++;
        snprintf(w->last_error, sizeof w->last_error, "%s", rd_kafka_err2str(m->err));
        return;
    }
    count_answer(w, made_us, m->len);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
    struct worker *w = opaque;

    (void)rk;
    snprintf(w->last_error, sizeof w->last_error, "%s: %s",
             rd_kafka_err2name((rd_kafka_resp_err_t)err), reason);
}

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    const char *most = getenv("LOAD_LOG"); /* 3: errors, 7: with -X debug=… */

    (void)rk;
    if (most != NULL && level <= atoi(most))
        fprintf(stderr, "load: %" PRId64 " %s: %s\n", now_us(), fac, text);
}

static rd_kafka_t *client(struct worker *w, rd_kafka_type_t type)
{
    const struct options *o = w->opt;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char err[256];
    char pair[256];

    set(conf, "bootstrap.servers", o->brokers);
    if (type == RD_KAFKA_PRODUCER) {
        bool slow = strcmp(o->mode, "produce") != 0;
        set(conf, "linger.ms", slow ? "0" : "5");
        if (strcmp(o->mode, "single") == 0)
            set(conf, "max.in.flight", "1");
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        set(conf, "group.id", "load");
        set(conf, "enable.auto.commit", "false");
        set(conf, "enable.partition.eof", "true");
        set(conf, "fetch.message.max.bytes", "1048576");
        set(conf, "queued.min.messages", "1000000");
    }
    for (int i = 0; i < o->confs; i++) {
        snprintf(pair, sizeof pair, "%s", o->conf[i]);
        char *eq = strchr(pair, '=');
        if (eq == NULL)
            die(pair, "key=value expected");
        *eq = '\0';
        set(conf, pair, eq + 1);
    }
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_opaque(conf, w);
    rd_kafka_t *rk = rd_kafka_new(type, conf, err, sizeof err);
    if (rk == NULL)
        die("client", err);
    return rk;
}

/* --- producing ---------------------------------------------------------------------------------
 */

/* Bytes that compress about as well as JSON lines do, different at every position. */
static char *payload(size_t size)
{
    static const char words[] =
        "{\"name\":\"moldau\",\"river\":true,\"length\":430,\"mouth\":\"elbe\",\"id\":";
    char *out = malloc(size);
    uint32_t x = 2463534242U;

    if (out == NULL)
        die("payload", "no memory");
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        out[i] = x % 4 != 0 ? words[i % (sizeof words - 1)] : (char)('0' + x % 10);
    }
    return out;
}

static void send_one(struct worker *w, rd_kafka_topic_t *topic, char *data)
{
    int32_t partition = (int32_t)((w->sent + w->index) % w->opt->partitions);

    while (rd_kafka_produce(topic, partition, 0, data, w->opt->size, NULL, 0,
                            (void *)(intptr_t)now_us()) !=
           0) { // NOLINT: the time rides in the pointer
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(w->rk, 10);
    }
    w->sent++;
}

static void sleep_until(int64_t due_us)
{
    struct timespec ts = { .tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

/* A rate is kept by the clock, not by the answers: a stall shows in full in the latencies. */
static void *feed(void *arg)
{
    struct worker *w = arg;
    const struct options *o = w->opt;
    char *data = payload(o->size);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(w->rk, o->topic, NULL);
    int64_t start = now_us();
    int64_t end = start + (int64_t)((o->warm + o->seconds) * 1e6);
    int64_t count = o->count / o->workers;
    double gap_us = o->rate > 0 ? 1e6 * o->workers / o->rate : 0;
    bool single = strcmp(o->mode, "single") == 0;

    while (!atomic_load(&stopping) && (o->count > 0 ? w->sent < count : now_us() < end)) {
        if (gap_us > 0)
            sleep_until(start + (int64_t)((double)w->sent * gap_us));
        send_one(w, topic, data);
        if (single)
            while (rd_kafka_outq_len(w->rk) > 0)
                rd_kafka_poll(w->rk, 100);
        else if (gap_us == 0 && w->sent % 64 == 0)
            rd_kafka_poll(w->rk, 0);
    }
    rd_kafka_topic_destroy(topic);
    return data;
}

/* With a rate, a second thread polls, so that answers are noted when they come. */
static void *poll_answers(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(&stopping))
        rd_kafka_poll(w->rk, 50);
    return NULL;
}

static void produce(struct worker *workers, const struct options *o)
{
    void *data;
    pthread_t poller = 0;

    for (int i = 0; i < o->workers; i++)
        workers[i].rk = client(&workers[i], RD_KAFKA_PRODUCER);
    /* Connections and metadata are not part of what is measured. */
    for (int i = 0; i < o->workers; i++) {
        const struct rd_kafka_metadata *md;
        rd_kafka_topic_t *topic = rd_kafka_topic_new(workers[i].rk, o->topic, NULL);
        rd_kafka_resp_err_t err = rd_kafka_metadata(workers[i].rk, 0, topic, &md, 15000);
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            die("metadata", rd_kafka_err2str(err));
        rd_kafka_metadata_destroy(md);
        rd_kafka_topic_destroy(topic);
    }
    measure_from_us = now_us() + (int64_t)(o->warm * 1e6);
    if (o->rate > 0 && o->workers == 1)
        pthread_create(&poller, NULL, poll_answers, &workers[0]);
    for (int i = 0; i < o->workers; i++)
        pthread_create(&workers[i].thread, NULL, feed, &workers[i]);
    for (int i = 0; i < o->workers; i++) {
        pthread_join(workers[i].thread, &data);
        if (poller == 0)
            rd_kafka_flush(workers[i].rk, 120000);
        else
            while (rd_kafka_outq_len(workers[i].rk) > 0 && !atomic_load(&stopping))
                sleep_until(now_us() + 1000);
        free(data);
    }
    atomic_store(&stopping, true);
    if (poller != 0)
        pthread_join(poller, NULL);
    for (int i = 0; i < o->workers; i++)
        rd_kafka_destroy(workers[i].rk);
}

/* --- consuming ---------------------------------------------------------------------------------
 */

static void consume(struct worker *w, const struct options *o)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(o->partitions);
    int32_t ended = 0;
    int64_t deadline = now_us() + (int64_t)(o->seconds * 1e6);

    w->rk = client(w, RD_KAFKA_CONSUMER);
    for (int32_t p = 0; p < o->partitions; p++)
        rd_kafka_topic_partition_list_add(list, o->topic, p)->offset = 0;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(w->rk);
    rd_kafka_message_t **got = malloc(sizeof *got * 10000);

    measure_from_us = w->first_us = now_us();
    rd_kafka_assign(w->rk, list);
    while (!atomic_load(&stopping) && now_us() < deadline) {
        if (ended == o->partitions) {
            if (!o->again)
                break;
            rd_kafka_assign(w->rk, list);
            ended = 0;
        }
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, got, 10000);
        for (ssize_t i = 0; i < n; i++) {
            if (got[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                ended++;
            } else if (got[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                w->errors++;
                snprintf(w->last_error, sizeof w->last_error, "%s",
                         rd_kafka_message_errstr(got[i]));
            } else {
                w->answered++;
                w->bytes += (int64_t)got[i]->len;
            }
            rd_kafka_message_destroy(got[i]);
        }
    }
    w->last_us = now_us();
    free((void *)got);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(w->rk);
    rd_kafka_destroy(w->rk);
}

/* --- what came of it ---------------------------------------------------------------------------
 */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static double percentile_ms(const uint32_t *sorted, size_t len, double p)
{
    return len == 0 ? 0 : sorted[(size_t)((double)(len - 1) * p)] / 1000.0;
}

static void report(struct worker *workers, const struct options *o)
{
    struct worker all = { .first_us = INT64_MAX };
    size_t len = 0;

    for (int i = 0; i < o->workers; i++) {
        const struct worker *w = &workers[i];
        all.sent += w->sent;
        all.answered += w->answered;
        all.bytes += w->bytes;
        all.errors += w->errors;
        all.samples_len += w->samples_len;
        if (w->answered > 0 && w->first_us < all.first_us)
            all.first_us = w->first_us;
        if (w->last_us > all.last_us)
            all.last_us = w->last_us;
        if (w->last_error[0] != '\0')
            memcpy(all.last_error, w->last_error, sizeof all.last_error);
    }
    /* Producers are measured from when they may begin: librdkafka's first batch is part of the
     * work. */
    int64_t from = measure_from_us < all.first_us ? measure_from_us : all.first_us;
    double seconds = all.answered > 0 ? (double)(all.last_us - from) / 1e6 : 0;
    all.samples = malloc(sizeof *all.samples * (all.samples_len + 1));
    for (int i = 0; i < o->workers; i++) {
        memcpy(all.samples + len, workers[i].samples, sizeof *all.samples * workers[i].samples_len);
        len += workers[i].samples_len;
    }
    qsort(all.samples, len, sizeof *all.samples, by_value);
    printf("{\"mode\":\"%s\",\"records\":%" PRId64 ",\"bytes\":%" PRId64
           ",\"seconds\":%.3f,\"errors\":%" PRId64 ",\"records_per_s\":%.1f,\"mb_per_s\":%.2f",
           o->mode, all.answered, all.bytes, seconds, all.errors,
           seconds > 0 ? (double)all.answered / seconds : 0,
           seconds > 0 ? (double)all.bytes / seconds / 1e6 : 0);
    if (len > 0)
        printf(",\"ms\":{\"p50\":%.3f,\"p90\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":"
               "%.3f}",
               percentile_ms(all.samples, len, 0.5), percentile_ms(all.samples, len, 0.9),
               percentile_ms(all.samples, len, 0.95), percentile_ms(all.samples, len, 0.99),
               percentile_ms(all.samples, len, 0.999), percentile_ms(all.samples, len, 1));
    for (char *c = all.last_error; *c != '\0'; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ')
            *c = ' ';
    printf(",\"librdkafka\":\"%s\",\"last_error\":\"%s\"}\n", rd_kafka_version_str(),
           all.last_error);
    free(all.samples);
}

static _Noreturn void usage(void)
{
    fprintf(stderr,
            "usage: load produce|latency|single|consume -b BROKERS -t TOPIC -p PARTITIONS\n"
            "  -s BYTES  -n RECORDS | -d SECONDS  -w WARM_SECONDS  -r RATE  -j WORKERS  -T TRACE\n"
            "  -a             consume: again from the start, until -d SECONDS have passed\n"
            "  -X key=value   any setting of librdkafka, e.g. -X acks=all\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct options o = {
        .partitions = 1, .size = 100, .seconds = 10, .workers = 1, .topic = "load"
    };
    int c;

    if (argc < 2)
        usage();
    o.mode = argv[1];
    optind = 2;
    while ((c = getopt(argc, argv, "ab:t:p:s:n:d:w:r:j:T:X:")) != -1) {
        switch (c) {
        case 'a':
            o.again = true;
            break;
        case 'b':
            o.brokers = optarg;
            break;
        case 't':
            o.topic = optarg;
            break;
        case 'p':
            o.partitions = (int32_t)strtol(optarg, NULL, 10);
            break;
        case 's':
            o.size = strtoul(optarg, NULL, 10);
            break;
        case 'n':
            o.count = strtoll(optarg, NULL, 10);
            break;
        case 'd':
            o.seconds = strtod(optarg, NULL);
            break;
        case 'w':
            o.warm = strtod(optarg, NULL);
            break;
        case 'r':
            o.rate = strtod(optarg, NULL);
            break;
        case 'j':
            o.workers = (int)strtol(optarg, NULL, 10);
            break;
        case 'T':
            o.trace = optarg;
            break;
        case 'X':
            if (o.confs == MAX_CONF)
                usage();
            o.conf[o.confs++] = optarg;
            break;
        default:
            usage();
        }
    }
    if (o.brokers == NULL || o.partitions < 1 || o.workers < 1 ||
        (o.trace != NULL && o.workers > 1))
        usage();
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);

    struct worker *workers = calloc((size_t)o.workers, sizeof *workers);
    for (int i = 0; i < o.workers; i++) {
        workers[i].opt = &o;
        workers[i].index = i;
        workers[i].samples =
            malloc(sizeof(uint32_t) * MAX_SAMPLES); /* pages are taken when touched */
    }
    if (o.trace != NULL && (workers[0].trace = fopen(o.trace, "w")) == NULL)
        die(o.trace, strerror(errno));
    if (workers[0].trace != NULL && o.rate > 0) /* somebody may read it as it grows */
        setvbuf(workers[0].trace, NULL, _IOLBF, 0);
    if (strcmp(o.mode, "consume") == 0)
        consume(&workers[0], &o);
    else if (strcmp(o.mode, "produce") == 0 || strcmp(o.mode, "latency") == 0 ||
             strcmp(o.mode, "single") == 0)
        produce(workers, &o);
    else
        usage();
    if (workers[0].trace != NULL)
        fclose(workers[0].trace);
    report(workers, &o);
    for (int i = 0; i < o.workers; i++)
        free(workers[i].samples);
    free(workers);
    return 0;
}
