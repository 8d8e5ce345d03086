/*
 * produce: bytes from a file or pipe become records, librdkafka sends them. While the input is
 * silent its callbacks are served, so reports come when they come. Ctrl-C ends the input, not what
 * is on its way: that is still waited for, and the summary says what was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/record_format.h"
#include "controller/cli/rk.h"

#define DELIVERY_MS    60000 /* unless --timeout is given */
#define READ_BYTES     65536
#define LINE_BYTES_MAX (256 * 1024 * 1024)

enum mode { MODE_ASYNC, MODE_SYNC, MODE_FORGET };

struct producer {
    struct cli *cli;
    rd_kafka_t *rk;
    const char *topic;
    enum mode mode;
    int32_t partition;    /* -1: the partitioner's */
    const char *format;   /* of a line, NULL: by key_delimiter */
    struct str delimiter; /* null: lines are values */
    struct str key;       /* of every record; null: none */
    bool null_when_empty; /* -Z */
    bool verbose;
    int64_t rate, most; /* records a second, in all; 0 without bound */
    int64_t sent, acked, failed;
    int64_t start_us;
    rd_kafka_resp_err_t first_err;
    int fd;
    char *buf; /* input not yet taken: from pos to len */
    size_t pos, len, cap;
    bool at_end;
};

/* ---- reports --------------------------------------------------------------------------------- */

static void report_one(struct producer *producer, const rd_kafka_message_t *message)
{
    int64_t took_us = clock_mono_us() - (int64_t)(intptr_t)message->_private;

    if (report_is_for_people(&producer->cli->print))
        printf("partition %d  offset %" PRId64 "  %" PRId64 " us%s%s\n", message->partition,
               message->offset, took_us, message->err ? "  " : "",
               message->err ? rd_kafka_err2str(message->err) : "");
    else
        printf("{\"partition\":%d,\"offset\":%" PRId64 ",\"us\":%" PRId64 ",\"error\":%s%s%s}\n",
               message->partition, message->offset, took_us, message->err ? "\"" : "",
               message->err ? rd_kafka_err2name(message->err) : "null", message->err ? "\"" : "");
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct cli *cli = opaque;
    struct producer *producer = cli->command;

    (void)rk;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->failed++;
        if (producer->first_err == RD_KAFKA_RESP_ERR_NO_ERROR)
            producer->first_err = message->err;
    } else {
        producer->acked++;
    }
    if (producer->verbose)
        report_one(producer, message);
}

/* ---- input ----------------------------------------------------------------------------------- */

/* More bytes; false at the end of the input or when told to stop. */
static bool fill(struct producer *producer)
{
    if (producer->pos > 0) {
        memmove(producer->buf, producer->buf + producer->pos, producer->len - producer->pos);
        producer->len -= producer->pos;
        producer->pos = 0;
    }
    array_reserve(&producer->buf, &producer->cap, producer->len + READ_BYTES, 1);
    while (!producer->at_end && !rk_stopped()) {
        struct pollfd poller = { .fd = producer->fd, .events = POLLIN };
        ssize_t n;

        rd_kafka_poll(producer->rk, 0);
        if (poll(&poller, 1, 50) <= 0)
            continue;
        n = read(producer->fd, producer->buf + producer->len, READ_BYTES);
        if (n > 0) {
            producer->len += (size_t)n;
            return true;
        }
        if (n == 0 || (errno != EINTR && errno != EAGAIN))
            producer->at_end = true;
    }
    return false;
}

/* The next line without its end, the last one whether it has an end or not. */
static bool next_line(struct producer *producer, struct str *line)
{
    size_t looked = producer->pos;

    for (;;) {
        char *end = producer->len > looked
                        ? memchr(producer->buf + looked, '\n', producer->len - looked)
                        : NULL;
        size_t from = producer->pos;

        if (end != NULL) {
            *line = (struct str){ .ptr = producer->buf + from,
                                  .len = (size_t)(end - producer->buf) - from };
            producer->pos += line->len + 1;
            return true;
        }
        looked = producer->len - from;
        if (looked > LINE_BYTES_MAX || !fill(producer))
            break;
    }
    if (rk_stopped() || producer->len == producer->pos)
        return false;
    *line =
        (struct str){ .ptr = producer->buf + producer->pos, .len = producer->len - producer->pos };
    producer->pos = producer->len;
    return true;
}

static bool all_input(struct producer *producer, struct str *whole)
{
    while (fill(producer) && producer->len < LINE_BYTES_MAX)
        ;
    *whole = (struct str){ .ptr = producer->buf, .len = producer->len };
    return !rk_stopped();
}

/* ---- sending --------------------------------------------------------------------------------- */

static bool make_record(struct producer *producer, struct str line, struct record_text *record)
{
    *record = (struct record_text){ .partition = -1, .timestamp_ms = -1, .value = line };
    if (producer->format != NULL && !record_read(producer->format, line, record))
        return false;
    if (producer->delimiter.len > 0) {
        const char *at =
            memmem(line.ptr, line.len, producer->delimiter.ptr, producer->delimiter.len);

        if (at != NULL) {
            size_t used = (size_t)(at - line.ptr);

            record->key = (struct str){ .ptr = line.ptr, .len = used };
            used += producer->delimiter.len;
            record->value = (struct str){ .ptr = line.ptr + used, .len = line.len - used };
        }
    }
    if (record->key.ptr == NULL)
        record->key = producer->key;
    if (record->partition < 0)
        record->partition = producer->partition;
    if (producer->null_when_empty && record->value.len == 0)
        record->value = STR_NULL;
    if (producer->null_when_empty && record->key.len == 0)
        record->key = STR_NULL;
    return true;
}

static rd_kafka_headers_t *make_headers(struct producer *producer, const struct record_text *record)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(8);
    const char *one;
    int at = 0;

    while ((one = args_next(&producer->cli->args, "header", &at)) != NULL) {
        struct str value, name = str_split(str_of(one), '=', &value);

        rd_kafka_header_add(headers, name.ptr, (ssize_t)name.len, value.ptr, (ssize_t)value.len);
    }
    for (int i = 0; i < record->headers_len; i++)
        rd_kafka_header_add(headers, record->headers[i].name.ptr,
                            (ssize_t)record->headers[i].name.len, record->headers[i].value.ptr,
                            (ssize_t)record->headers[i].value.len);
    return headers;
}

static void keep_rate(struct producer *producer)
{
    int64_t due_us, wait_us;

    if (producer->rate == 0)
        return;
    due_us = producer->start_us + producer->sent * 1000000 / producer->rate;
    while ((wait_us = due_us - clock_mono_us()) > 0 && !rk_stopped()) {
        if (wait_us >= 2000) {
            rd_kafka_poll(producer->rk, wait_us > 100000 ? 100 : (int)(wait_us / 1000));
        } else {
            const struct timespec pause = { .tv_nsec = wait_us * 1000 };

            nanosleep(&pause, NULL);
        }
    }
}

static rd_kafka_resp_err_t send_record(struct producer *producer, const struct record_text *record)
{
    rd_kafka_headers_t *headers = make_headers(producer, record);
    rd_kafka_resp_err_t err;

    do {
        err = rd_kafka_producev(
            producer->rk, RD_KAFKA_V_TOPIC(producer->topic),
            RD_KAFKA_V_PARTITION(record->partition < 0 ? RD_KAFKA_PARTITION_UA : record->partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY((void *)(uintptr_t)record->key.ptr, record->key.len),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)record->value.ptr, record->value.len),
            RD_KAFKA_V_TIMESTAMP(record->timestamp_ms < 0 ? 0 : record->timestamp_ms),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE((void *)(intptr_t)clock_mono_us()),
            RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
            rd_kafka_poll(producer->rk, 50);
    } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL && !rk_stopped());
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_headers_destroy(headers);
    return err;
}

/* One record on its way, or counted as failed; false when there is no use in going on. */
static bool send_one(struct producer *producer, const struct record_text *record)
{
    rd_kafka_resp_err_t err;

    keep_rate(producer);
    err = send_record(producer, record);
    producer->sent++;
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        producer->failed++;
        if (producer->first_err == RD_KAFKA_RESP_ERR_NO_ERROR)
            producer->first_err = err;
        return err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    }
    rd_kafka_poll(producer->rk, 0);
    /* librdkafka gives up by itself after message.timeout.ms. */
    while (producer->mode == MODE_SYNC && producer->acked + producer->failed < producer->sent)
        rd_kafka_poll(producer->rk, 100);
    return producer->mode != MODE_SYNC || producer->failed == 0;
}

static enum exit_code send_all(struct producer *producer)
{
    struct cli *cli = producer->cli;
    struct record_text *record = arena_zalloc(&cli->arena, 1, sizeof *record);
    bool whole = args_has(&cli->args, "whole");
    struct str line;

    producer->start_us = clock_mono_us();
    while ((producer->most == 0 || producer->sent < producer->most) &&
           (whole ? all_input(producer, &line) : next_line(producer, &line))) {
        if (!make_record(producer, line, record))
            return cli_fail(cli, CLI_FAILED,
                            cli_text(cli, "line %" PRId64 " does not fit the format '%s'",
                                     producer->sent + 1, producer->format),
                            "the lines before it were sent", "moldau cheat formats");
        if (!send_one(producer, record) || whole)
            break;
    }
    return CLI_OK;
}

/* ---- set up and sum up ----------------------------------------------------------------------- */

static enum exit_code set_up(struct producer *producer, rd_kafka_conf_t *conf)
{
    struct cli *cli = producer->cli;
    const char *acks = args_text(&cli->args, "acks", producer->mode == MODE_FORGET ? "0" : "all");
    bool idempotent = strcmp(acks, "all") == 0 && !args_has(&cli->args, "no-idempotence");
    int64_t delivery_ms = args_has(&cli->args, "timeout") ? cli->timeout_ms : DELIVERY_MS;
    const struct {
        const char *key, *value;
    } settings[] = {
        { "acks", acks },
        { "enable.idempotence", idempotent ? "true" : "false" },
        { "message.timeout.ms", cli_text(cli, "%" PRId64, delivery_ms) },
        { "linger.ms", args_text(&cli->args, "linger", producer->mode == MODE_SYNC ? "0" : "5") },
        { "batch.size", args_text(&cli->args, "batch-size", "1000000") },
        { "compression.type", args_text(&cli->args, "compression", "none") },
        { "partitioner", args_text(&cli->args, "partitioner", "murmur2_random") },
    };

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        enum exit_code code = rk_set(cli, conf, settings[i].key, settings[i].value);

        if (code != CLI_OK)
            return code;
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    return CLI_OK;
}

static enum exit_code sum_up(struct producer *producer)
{
    struct cli *cli = producer->cli;
    double seconds = (double)(clock_mono_us() - producer->start_us) / 1e6;
    int64_t lost = producer->sent - producer->acked;
    const char *word = producer->mode == MODE_FORGET ? "sent" : "acknowledged";

    if (report_is_for_people(&cli->print)) {
        cli_note(cli, "%" PRId64 " record%s %s in %.3f s (%.0f a second)%s", producer->acked,
                 producer->acked == 1 ? "" : "s", word, seconds,
                 seconds > 0 ? (double)producer->acked / seconds : 0.0,
                 producer->mode == MODE_FORGET ? "; nobody said whether they arrived" : "");
    } else {
        printf("{\"topic\":");
        print_json_text(stdout, str_of(producer->topic));
        printf(",\"sent\":%" PRId64 ",\"acknowledged\":%" PRId64 ",\"failed\":%" PRId64
               ",\"seconds\":%.6f}\n",
               producer->sent, producer->acked, lost, seconds);
    }
    if (lost == 0)
        return CLI_OK;
    return cli_fail(
        cli, producer->first_err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT ? CLI_TIMED_OUT : CLI_FAILED,
        cli_text(cli, "%" PRId64 " record%s not acknowledged: %s", lost,
                 lost == 1 ? " was" : "s were",
                 producer->first_err != RD_KAFKA_RESP_ERR_NO_ERROR
                     ? rd_kafka_err2str(producer->first_err)
                     : "no answer yet"),
        "they may or may not have been written", "moldau cluster status");
}

static enum exit_code read_options(struct producer *producer)
{
    struct cli *cli = producer->cli;
    const char *mode = args_text(&cli->args, "mode", "async");
    const char *path = args_text(&cli->args, "file", NULL), *header;
    const char *wrong = NULL;
    int64_t partition = -1, ignored;
    int at = 0;

    producer->mode = strcmp(mode, "sync") == 0     ? MODE_SYNC
                     : strcmp(mode, "forget") == 0 ? MODE_FORGET
                                                   : MODE_ASYNC;
    producer->verbose = args_has(&cli->args, "verbose");
    producer->null_when_empty = args_has(&cli->args, "null");
    producer->format = args_text(&cli->args, "format", NULL);
    producer->delimiter = str_of(args_text(&cli->args, "key-delimiter", NULL));
    producer->key = str_of(args_text(&cli->args, "key", NULL));
    if (!args_number(&cli->args, "partition", 0, INT32_MAX, &partition) ||
        !args_number(&cli->args, "count", 1, INT64_MAX, &producer->most) ||
        !args_number(&cli->args, "rate", 1, 100000000, &producer->rate) ||
        !args_number(&cli->args, "linger", 0, 900000, &ignored) ||
        !args_number(&cli->args, "batch-size", 1, INT32_MAX, &ignored))
        return CLI_USAGE;
    producer->partition = (int32_t)partition;
    while ((header = args_next(&cli->args, "header", &at)) != NULL) {
        if (header[0] == '=' || strchr(header, '=') == NULL)
            return cli_fail(cli, CLI_USAGE, cli_text(cli, "--header '%s' is no NAME=VALUE", header),
                            "nothing was sent", NULL);
    }
    if (producer->format != NULL)
        wrong = record_format_wrong(producer->format, true);
    if (wrong != NULL)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--format has %s", wrong), "nothing was sent",
                        "moldau cheat formats");
    if (path != NULL)
        producer->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (producer->fd < 0)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "cannot read %s: %s", path, strerror(errno)),
                        "nothing was sent", NULL);
    return CLI_OK;
}

static enum exit_code run(struct producer *producer)
{
    struct cli *cli = producer->cli;
    rd_kafka_conf_t *conf = NULL;
    int32_t parts;
    enum exit_code code = rk_begin(cli, producer->topic, &conf, &parts);

    if (code == CLI_OK && parts >= 0 && producer->partition >= parts)
        code = cli_fail(cli, CLI_NOT_FOUND,
                        cli_text(cli, "topic %s has no partition %d, only 0 to %d", producer->topic,
                                 producer->partition, parts - 1),
                        "nothing was sent", cli_text(cli, "moldau topic show %s", producer->topic));
    if (code == CLI_OK)
        code = set_up(producer, conf);
    if (code == CLI_OK)
        code = rk_finish(cli, RD_KAFKA_PRODUCER, &conf, &producer->rk);
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    if (code != CLI_OK)
        return code;
    if (isatty(producer->fd))
        cli_note(cli, "type records, a line each; Ctrl-D ends");
    rk_catch_signals();
    code = send_all(producer);
    while (rd_kafka_outq_len(producer->rk) > 0)
        rd_kafka_flush(producer->rk, 1000);
    if (code == CLI_OK)
        code = sum_up(producer);
    rd_kafka_destroy(producer->rk);
    return code;
}

enum exit_code cmd_produce(struct cli *cli)
{
    struct producer producer = { .cli = cli, .topic = rk_topic(cli), .fd = STDIN_FILENO };
    enum exit_code code;

    if (producer.topic == NULL)
        return CLI_USAGE;
    cli->command = &producer;
    code = read_options(&producer);
    if (code == CLI_OK)
        code = run(&producer);
    free(producer.buf);
    if (producer.fd > STDIN_FILENO)
        close(producer.fd);
    return code;
}
