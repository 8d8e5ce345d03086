/*
 * consume_int - what the two ways to consume share: partitions that are given, and those that a
 * group shares out. For cmd_consume.c and consume_group.c alone.
 */
#ifndef CONTROLLER_CLI_CONSUME_INT_H
#define CONTROLLER_CLI_CONSUME_INT_H

#include <regex.h>

#include "controller/cli/rk.h"

struct reader_part {
    int32_t partition;
    int64_t start; /* an offset, or librdkafka's words for one */
    int64_t end;   /* of what was there; INT64_MAX: no end */
    bool done;
};

struct consumer {
    struct cli *cli;
    rd_kafka_t *rk;
    rd_kafka_topic_t *rkt;
    rd_kafka_queue_t *queue;
    const char *topic;
    struct reader_part *parts;
    int32_t parts_len, left; /* partitions, and those not done */
    int64_t most, printed;   /* records; most 0: without bound */
    int64_t until_ms;        /* -1: none */
    bool ends;               /* --exit */
    const char *offset;      /* as it was typed */
    const char *format;
    const char *group; /* --group; NULL: none */
    regex_t pattern;
    bool has_pattern;
    struct member *member; /* of consume_group.c */
};

/* Unless --grep leaves it out. */
void consumer_print(struct consumer *consumer, const rd_kafka_message_t *message);
/* What the shape wants behind the last record. */
void consumer_print_end(struct consumer *consumer);
/* Says it; the exit code. */
enum exit_code consumer_failed(struct consumer *consumer, rd_kafka_resp_err_t err,
                               const char *doing);

/* Callbacks of a member, which find the consumer as cli->command. */
void consume_group_set_up(rd_kafka_conf_t *conf);
/* Joins consumer->group, reads, commits, leaves. */
enum exit_code consume_as_member(struct consumer *consumer);

#endif
