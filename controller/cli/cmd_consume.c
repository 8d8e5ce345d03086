/*
 * consume: partitions are assigned one by one into one queue, without a group (with one:
 * consume_group.c). A partition is done
 * at the offset where it ended when reading began (--exit) or at a moment (--until); when all are,
 * or after -n records, or on Ctrl-C, it ends. Offsets out of range are an error, not a jump.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/consume_int.h"
#include "controller/cli/moment.h"
#include "controller/cli/record_format.h"
#include "controller/cli/rk.h"

/* ---- where to begin -------------------------------------------------------------------------- */

enum exit_code consumer_failed(struct consumer *consumer, rd_kafka_resp_err_t err,
                               const char *doing)
{
    struct cli *cli = consumer->cli;
    bool late = err == RD_KAFKA_RESP_ERR__TIMED_OUT;

    return cli_fail(cli, late ? CLI_TIMED_OUT : CLI_FAILED,
                    cli_text(cli, "cannot %s: %s", doing, rd_kafka_err2str(err)),
                    "nothing more is read", "moldau cluster status");
}

static int left_ms(const struct cli *cli)
{
    int64_t left = cli->deadline_ms - clock_mono_ms();

    return left < 1 ? 1 : left > 600000 ? 600000 : (int)left;
}

/* Where each partition stood at a moment. */
static enum exit_code start_at_time(struct consumer *consumer, int64_t wall_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(consumer->parts_len);
    enum exit_code code = CLI_OK;
    rd_kafka_resp_err_t err;

    for (int32_t i = 0; i < consumer->parts_len; i++)
        rd_kafka_topic_partition_list_add(list, consumer->topic, consumer->parts[i].partition)
            ->offset = wall_ms;
    err = rd_kafka_offsets_for_times(consumer->rk, list, left_ms(consumer->cli));
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        code = consumer_failed(consumer, err, "find the offsets of that time");
    for (int32_t i = 0; code == CLI_OK && i < consumer->parts_len; i++) {
        const rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_find(list, consumer->topic, consumer->parts[i].partition);

        if (at->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            code = consumer_failed(consumer, at->err, "find the offsets of that time");
        else /* nothing that late yet: what comes */
            consumer->parts[i].start = at->offset >= 0 ? at->offset : RD_KAFKA_OFFSET_END;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

static enum exit_code find_start(struct consumer *consumer)
{
    const char *text = consumer->offset;
    int64_t number = 0, moment;

    if (text[0] == '@') {
        if (!moment_parse(text + 1, clock_wall_ms(), &moment))
            return cli_fail(consumer->cli, CLI_USAGE,
                            cli_text(consumer->cli, "'%s' is no time", text),
                            "what is meant is @2026-11-20T10:00 (UTC), @-15m or ms since 1970",
                            "moldau help consume");
        return start_at_time(consumer, moment);
    }
    if (strcmp(text, "start") == 0)
        number = RD_KAFKA_OFFSET_BEGINNING;
    else if (strcmp(text, "end") == 0)
        number = RD_KAFKA_OFFSET_END;
    else if (!str_to_i64(str_of(text), &number))
        return cli_fail(consumer->cli, CLI_USAGE,
                        cli_text(consumer->cli, "'%s' is no place to begin", text),
                        "what is meant is start, end, an offset, -N for the last N, or @TIME",
                        "moldau help consume");
    else if (number < 0)
        number = RD_KAFKA_OFFSET_TAIL(-number);
    for (int32_t i = 0; i < consumer->parts_len; i++)
        consumer->parts[i].start = number;
    return CLI_OK;
}

/* With --exit: how far to read each partition; one with nothing to read is done. */
static enum exit_code find_ends(struct consumer *consumer)
{
    for (int32_t i = 0; i < consumer->parts_len; i++) {
        struct reader_part *part = &consumer->parts[i];
        int64_t low, high;
        rd_kafka_resp_err_t err;

        part->end = INT64_MAX;
        if (!consumer->ends)
            continue;
        err = rd_kafka_query_watermark_offsets(consumer->rk, consumer->topic, part->partition, &low,
                                               &high, left_ms(consumer->cli));
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return consumer_failed(
                consumer, err,
                cli_text(consumer->cli, "find the end of partition %d", part->partition));
        part->end = high;
        if (part->start <= RD_KAFKA_OFFSET_TAIL(0)) { /* the last so many of what is read */
            int64_t last = RD_KAFKA_OFFSET_TAIL(0) - part->start;

            part->start = high - low > last ? high - last : low;
        }
        if (high == low || part->start >= high || part->start == RD_KAFKA_OFFSET_END) {
            part->done = true;
            consumer->left--;
        }
    }
    return CLI_OK;
}

/* ---- printing -------------------------------------------------------------------------------- */

static struct str text_of(const void *bytes, size_t len)
{
    return bytes != NULL ? (struct str){ .ptr = bytes, .len = len } : STR_NULL;
}

static void fill_record(const struct consumer *consumer, const rd_kafka_message_t *message,
                        struct record_text *record)
{
    rd_kafka_headers_t *headers;
    rd_kafka_timestamp_type_t type;

    *record = (struct record_text){ .topic = str_of(consumer->topic),
                                    .partition = message->partition,
                                    .offset = message->offset,
                                    .timestamp_ms = rd_kafka_message_timestamp(message, &type),
                                    .key = text_of(message->key, message->key_len),
                                    .value = text_of(message->payload, message->len) };
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    for (size_t i = 0; i < RECORD_HEADERS_MAX; i++) {
        const char *name;
        const void *value;
        size_t len;

        if (rd_kafka_header_get_all(headers, i, &name, &value, &len) != RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        record->headers[i].name = str_of(name);
        record->headers[i].value = text_of(value, len);
        record->headers_len++;
    }
}

static bool text_matches(const regex_t *pattern, struct str text)
{
    regmatch_t whole = { .rm_so = 0, .rm_eo = (regoff_t)text.len };

    return text.ptr != NULL && regexec(pattern, text.ptr, 1, &whole, REG_STARTEND) == 0;
}

void consumer_print(struct consumer *consumer, const rd_kafka_message_t *message)
{
    static const char csv_format[] = "%p,%o,%T,%k,%v\\n";
    struct record_text record;
    struct arena arena;

    fill_record(consumer, message, &record);
    if (consumer->has_pattern && !text_matches(&consumer->pattern, record.key) &&
        !text_matches(&consumer->pattern, record.value))
        return;
    arena_init(&arena, SIZE_MAX);
    switch (consumer->cli->print.shape) {
    case PRINT_JSON:
        fputs(consumer->printed > 0 ? ",\n  " : "[\n  ", stdout);
        record_print_json(&record, &arena, stdout);
        break;
    case PRINT_NDJSON:
        record_print_json(&record, &arena, stdout);
        putchar('\n');
        break;
    case PRINT_CSV:
        if (consumer->printed == 0)
            puts("partition,offset,timestamp,key,value");
        record_print(csv_format, &record, &arena, stdout);
        break;
    case PRINT_NAME:
        record_print("%t-%p/%o\\n", &record, &arena, stdout);
        break;
    case PRINT_WIDE:
        record_print("%d  %p/%o  %k  %v  %h\\n", &record, &arena, stdout);
        break;
    case PRINT_TABLE:
        record_print(consumer->format, &record, &arena, stdout);
        break;
    }
    arena_fini(&arena);
    consumer->printed++;
}

void consumer_print_end(struct consumer *consumer)
{
    if (consumer->cli->print.shape == PRINT_JSON)
        fputs(consumer->printed > 0 ? "\n]\n" : "[]\n", stdout);
    fflush(stdout);
    if (consumer->cli->print.color)
        cli_note(consumer->cli, "%" PRId64 " record%s", consumer->printed,
                 consumer->printed == 1 ? "" : "s");
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct reader_part *part_of(struct consumer *consumer, int32_t partition)
{
    for (int32_t i = 0; i < consumer->parts_len; i++) {
        if (consumer->parts[i].partition == partition)
            return &consumer->parts[i];
    }
    return NULL;
}

static void part_done(struct consumer *consumer, struct reader_part *part)
{
    if (part->done)
        return;
    part->done = true;
    consumer->left--;
    rd_kafka_consume_stop(consumer->rkt, part->partition);
}

static enum exit_code on_message(struct consumer *consumer, const rd_kafka_message_t *message)
{
    struct reader_part *part = part_of(consumer, message->partition);
    rd_kafka_timestamp_type_t type;

    if (part == NULL || part->done)
        return CLI_OK;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        /* A leader that was just elected may not know yet how far all is committed. */
        if (consumer->ends && message->offset >= part->end)
            part_done(consumer, part);
        return CLI_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
        return cli_fail(consumer->cli, CLI_NOT_FOUND,
                        cli_text(consumer->cli, "partition %d has no offset %s", part->partition,
                                 consumer->offset),
                        "nothing more is read",
                        cli_text(consumer->cli, "moldau topic show %s --offsets", consumer->topic));
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return consumer_failed(consumer, message->err,
                               cli_text(consumer->cli, "read partition %d", part->partition));
    if (message->offset >= part->end ||
        (consumer->until_ms >= 0 &&
         rd_kafka_message_timestamp(message, &type) >= consumer->until_ms)) {
        part_done(consumer, part);
        return CLI_OK;
    }
    consumer_print(consumer, message);
    if (message->offset + 1 >= part->end)
        part_done(consumer, part);
    return CLI_OK;
}

static enum exit_code start_parts(struct consumer *consumer)
{
    for (int32_t i = 0; i < consumer->parts_len; i++) {
        struct reader_part *part = &consumer->parts[i];

        if (!part->done && rd_kafka_consume_start_queue(consumer->rkt, part->partition, part->start,
                                                        consumer->queue) != 0)
            return consumer_failed(consumer, rd_kafka_last_error(), "begin to read");
    }
    return CLI_OK;
}

static enum exit_code read_all(struct consumer *consumer)
{
    struct cli *cli = consumer->cli;
    int64_t heard_ms = clock_mono_ms();
    enum exit_code code = start_parts(consumer);

    while (code == CLI_OK && consumer->left > 0 && !rk_stopped() && !ferror(stdout) &&
           (consumer->most == 0 || consumer->printed < consumer->most)) {
        rd_kafka_message_t *message = rd_kafka_consume_queue(consumer->queue, 50);

        rd_kafka_poll(consumer->rk, 0);
        if (message == NULL) {
            fflush(stdout);
            if (consumer->ends && clock_mono_ms() - heard_ms > cli->timeout_ms)
                code = consumer_failed(consumer, RD_KAFKA_RESP_ERR__TIMED_OUT, "read to the end");
            continue;
        }
        heard_ms = clock_mono_ms();
        code = on_message(consumer, message);
        rd_kafka_message_destroy(message);
    }
    consumer_print_end(consumer);
    for (int32_t i = 0; i < consumer->parts_len; i++)
        part_done(consumer, &consumer->parts[i]);
    return code;
}

/* ---- set up ---------------------------------------------------------------------------------- */

static enum exit_code read_options(struct consumer *consumer)
{
    struct cli *cli = consumer->cli;
    const char *until = args_text(&cli->args, "until", NULL);
    const char *grep = args_text(&cli->args, "grep", NULL), *one, *wrong;
    int at = 0;

    consumer->group = args_text(&cli->args, "group", NULL);
    consumer->ends = args_has(&cli->args, "exit");
    consumer->offset = consumer->ends ? "start" : "end";
    /* -o is the place to begin here; elsewhere the output's shape, and people mix them up. */
    while ((one = args_next(&cli->args, "offset", &at)) != NULL) {
        if (!cli_shape(one, &cli->print.shape))
            consumer->offset = one;
    }
    consumer->format = args_text(&cli->args, "format", "%v\\n");
    if (!args_number(&cli->args, "count", 1, INT64_MAX, &consumer->most))
        return CLI_USAGE;
    if (consumer->group != NULL &&
        (until != NULL || args_has(&cli->args, "partition") ||
         (strcmp(consumer->offset, "start") != 0 && strcmp(consumer->offset, "end") != 0)))
        return cli_fail(cli, CLI_USAGE,
                        "a group shares the partitions out itself and goes on where it was",
                        "with --group there is no --partition and no --until, and --offset, for "
                        "where it has not read yet, is start or end",
                        "moldau help group offsets reset");
    consumer->until_ms = -1;
    if (until != NULL &&
        !moment_parse(until + (until[0] == '@'), clock_wall_ms(), &consumer->until_ms))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no time", until),
                        "what is meant is @2026-11-20T10:00 (UTC), @-15m or ms since 1970", NULL);
    wrong = record_format_wrong(consumer->format, false);
    if (wrong != NULL)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--format has %s", wrong), NULL,
                        "moldau cheat formats");
    if (grep != NULL && regcomp(&consumer->pattern, grep, REG_EXTENDED) != 0)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no regular expression", grep), NULL,
                        NULL);
    consumer->has_pattern = grep != NULL;
    return CLI_OK;
}

/* Those of --partition, or all n. */
static enum exit_code choose_parts(struct consumer *consumer, int32_t n)
{
    struct cli *cli = consumer->cli;
    struct str rest = str_of(args_text(&cli->args, "partition", NULL));
    int32_t most = n;

    for (size_t i = 0; i < rest.len; i++)
        most += rest.ptr[i] == ',';
    consumer->parts = arena_zalloc(&cli->arena, (size_t)most + 1, sizeof *consumer->parts);
    while (!str_is_null(rest)) {
        struct str one = str_trim(str_split(rest, ',', &rest));
        int64_t id;

        if (!str_to_i64(one, &id) || id < 0)
            return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%.*s' is no partition", STR_ARG(one)),
                            "what is meant is 0,3,7", NULL);
        if (id >= n)
            return cli_fail(cli, CLI_NOT_FOUND,
                            cli_text(cli, "topic %s has no partition %" PRId64 ", only 0 to %d",
                                     consumer->topic, id, n - 1),
                            NULL, cli_text(cli, "moldau topic show %s", consumer->topic));
        if (part_of(consumer, (int32_t)id) == NULL)
            consumer->parts[consumer->parts_len++].partition = (int32_t)id;
    }
    for (int32_t i = 0; consumer->parts_len < n && !args_has(&cli->args, "partition"); i++)
        consumer->parts[consumer->parts_len++].partition = i;
    consumer->left = consumer->parts_len;
    return CLI_OK;
}

/* How many partitions, asked through librdkafka, where our own client may not connect. */
static enum exit_code count_parts(struct consumer *consumer, int32_t *n)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t err =
        rd_kafka_metadata(consumer->rk, 0, consumer->rkt, &metadata, left_ms(consumer->cli));

    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return consumer_failed(consumer, err, "look up the topic");
    *n = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
    err = metadata->topic_cnt == 1 ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    rd_kafka_metadata_destroy(metadata);
    return *n > 0 ? CLI_OK : consumer_failed(consumer, err, "look up the topic");
}

static enum exit_code set_up(struct consumer *consumer, rd_kafka_conf_t *conf)
{
    const char *isolation = args_text(&consumer->cli->args, "isolation", "committed");
    bool member = consumer->group != NULL;
    const struct {
        const char *key, *value;
    } settings[] = {
        { "enable.partition.eof", "true" },
        { "group.id",
          member ? consumer->group : "moldau" }, /* not joined where partitions are given */
        { "enable.auto.commit", member ? "true" : "false" },
        { "enable.auto.offset.store", "false" },
        { "auto.offset.reset", !member                                  ? "error"
                               : strcmp(consumer->offset, "start") == 0 ? "earliest"
                                                                        : "latest" },
        { "fetch.wait.max.ms", "100" },
        { "isolation.level",
          strcmp(isolation, "committed") == 0 ? "read_committed" : "read_uncommitted" },
    };

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        enum exit_code code = rk_set(consumer->cli, conf, settings[i].key, settings[i].value);

        if (code != CLI_OK)
            return code;
    }
    return CLI_OK;
}

static enum exit_code run(struct consumer *consumer)
{
    struct cli *cli = consumer->cli;
    rd_kafka_conf_t *conf = NULL;
    int32_t n = -1;
    enum exit_code code = rk_begin(cli, consumer->topic, &conf, &n);

    if (code == CLI_OK)
        code = set_up(consumer, conf);
    if (code == CLI_OK && consumer->group != NULL)
        consume_group_set_up(conf);
    if (code == CLI_OK)
        code = rk_finish(cli, RD_KAFKA_CONSUMER, &conf, &consumer->rk);
    if (conf != NULL)
        rd_kafka_conf_destroy(conf);
    if (code != CLI_OK)
        return code;
    if (consumer->group != NULL) {
        code = consume_as_member(consumer);
        rd_kafka_destroy(consumer->rk);
        return code;
    }
    consumer->rkt = rd_kafka_topic_new(consumer->rk, consumer->topic, NULL);
    consumer->queue = rd_kafka_queue_new(consumer->rk);
    rk_catch_signals();
    if (n < 0)
        code = count_parts(consumer, &n);
    if (code == CLI_OK)
        code = choose_parts(consumer, n);
    if (code == CLI_OK)
        code = find_start(consumer);
    if (code == CLI_OK)
        code = find_ends(consumer);
    if (code == CLI_OK)
        code = read_all(consumer);
    fflush(stdout);
    rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_topic_destroy(consumer->rkt);
    rd_kafka_destroy(consumer->rk);
    return code;
}

enum exit_code cmd_consume(struct cli *cli)
{
    struct consumer *consumer = arena_zalloc(&cli->arena, 1, sizeof *consumer);
    enum exit_code code;

    cli->command = consumer;
    consumer->cli = cli;
    consumer->topic = rk_topic(cli);
    if (consumer->topic == NULL)
        return CLI_USAGE;
    code = read_options(consumer);
    if (code == CLI_OK)
        code = run(consumer);
    if (consumer->has_pattern)
        regfree(&consumer->pattern);
    return code;
}
