/*
 * A member of a group: librdkafka joins, is assigned partitions, and goes on where the group's
 * committed offsets are. An offset is given to librdkafka to be committed only after its record has
 * left our buffer, so whatever ends this program, no record is committed that was not written;
 * after a crash the last few are written twice. What was given is committed every few seconds,
 * before partitions go to another member, and on leaving.
 *
 * With --exit it ends when every assigned partition was read to its end once; a rebalance begins
 * that anew.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "controller/cli/consume_int.h"

#define FLUSH_RECORDS 500

struct member {
    struct consumer *consumer;
    rd_kafka_topic_partition_list_t *written; /* next offset of each, not yet given to librdkafka */
    rd_kafka_topic_partition_list_t *open;    /* assigned and not read to its end yet */
    int unflushed;                            /* records */
    bool assigned;                            /* once at least */
};

/* Callbacks come from within rd_kafka_consumer_poll() and _close(), on this thread. */
static struct member *member_of(rd_kafka_t *rk)
{
    struct cli *cli = rd_kafka_opaque(rk);

    return ((struct consumer *)cli->command)->member;
}

static void flush(struct member *member)
{
    member->unflushed = 0;
    if (fflush(stdout) != 0 || member->written->cnt == 0)
        return;
    /* Of partitions that were taken away meanwhile it is refused, and nothing is lost by that. */
    (void)rd_kafka_offsets_store(member->consumer->rk, member->written);
    rd_kafka_topic_partition_list_destroy(member->written);
    member->written = rd_kafka_topic_partition_list_new(8);
}

static void add_to(rd_kafka_topic_partition_list_t *list, const char *topic, int32_t partition,
                   int64_t offset)
{
    rd_kafka_topic_partition_t *at = rd_kafka_topic_partition_list_find(list, topic, partition);

    if (at == NULL)
        at = rd_kafka_topic_partition_list_add(list, topic, partition);
    at->offset = offset;
}

static void say_rebalance(struct member *member, const char *what,
                          const rd_kafka_topic_partition_list_t *parts)
{
    struct cli *cli = member->consumer->cli;
    const char *text = "";

    if (cli->trace == NULL && !cli->print.color)
        return;
    for (int i = 0; i < parts->cnt; i++)
        text = cli_text(cli, "%s%s%d", text, i > 0 ? "," : "", parts->elems[i].partition);
    cli_note(cli, "%s %s", what, parts->cnt > 0 ? text : "no partition");
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *parts, void *opaque)
{
    struct member *member = member_of(rk);
    bool by_steps = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;

    (void)opaque;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        member->assigned = true;
        for (int i = 0; i < parts->cnt; i++)
            add_to(member->open, parts->elems[i].topic, parts->elems[i].partition, 0);
        say_rebalance(member, "assigned", parts);
        if (by_steps)
            rd_kafka_error_destroy(rd_kafka_incremental_assign(rk, parts));
        else
            rd_kafka_assign(rk, parts);
        return;
    }
    flush(member);
    if (!rd_kafka_assignment_lost(rk))
        (void)rd_kafka_commit(rk, NULL, 0);
    for (int i = 0; i < parts->cnt; i++)
        (void)rd_kafka_topic_partition_list_del(member->open, parts->elems[i].topic,
                                                parts->elems[i].partition);
    say_rebalance(member, "gave up", parts);
    if (by_steps)
        rd_kafka_error_destroy(rd_kafka_incremental_unassign(rk, parts));
    else
        rd_kafka_assign(rk, NULL);
}

void consume_group_set_up(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

static enum exit_code on_message(struct member *member, const rd_kafka_message_t *message)
{
    struct consumer *consumer = member->consumer;

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        (void)rd_kafka_topic_partition_list_del(member->open, rd_kafka_topic_name(message->rkt),
                                                message->partition);
        return CLI_OK;
    }
    if (message->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED) {
        cli_note(consumer->cli, "whoever reads this output held it up for so long that the group "
                                "went on without this member; it joins again");
        return CLI_OK;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        return consumer_failed(consumer, message->err,
                               cli_text(consumer->cli, "read for group %s", consumer->group));
    consumer_print(consumer, message);
    add_to(member->written, rd_kafka_topic_name(message->rkt), message->partition,
           message->offset + 1);
    if (++member->unflushed >= FLUSH_RECORDS)
        flush(member);
    return CLI_OK;
}

static bool is_done(const struct member *member)
{
    const struct consumer *consumer = member->consumer;

    return rk_stopped() || ferror(stdout) ||
           (consumer->most > 0 && consumer->printed >= consumer->most) ||
           (consumer->ends && member->assigned && member->open->cnt == 0);
}

static enum exit_code read_on(struct member *member)
{
    struct consumer *consumer = member->consumer;
    int64_t heard_ms = clock_mono_ms();
    enum exit_code code = CLI_OK;

    while (code == CLI_OK && !is_done(member)) {
        rd_kafka_message_t *message =
            rd_kafka_consumer_poll(consumer->rk, member->unflushed > 0 ? 0 : 50);

        if (message == NULL) {
            flush(member);
            if (consumer->ends && clock_mono_ms() - heard_ms > consumer->cli->timeout_ms)
                code = consumer_failed(
                    consumer, RD_KAFKA_RESP_ERR__TIMED_OUT,
                    cli_text(consumer->cli, "read to the end for group %s", consumer->group));
            continue;
        }
        heard_ms = clock_mono_ms();
        code = on_message(member, message);
        rd_kafka_message_destroy(message);
    }
    return code;
}

enum exit_code consume_as_member(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    struct member member = { .consumer = consumer,
                             .written = rd_kafka_topic_partition_list_new(8),
                             .open = rd_kafka_topic_partition_list_new(8) };
    rd_kafka_resp_err_t err;
    enum exit_code code = CLI_OK;

    consumer->member = &member;
    rk_catch_signals();
    rd_kafka_poll_set_consumer(consumer->rk);
    rd_kafka_topic_partition_list_add(topics, consumer->topic, RD_KAFKA_PARTITION_UA);
    err = rd_kafka_subscribe(consumer->rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        code = consumer_failed(consumer, err,
                               cli_text(consumer->cli, "join group %s", consumer->group));
    else
        code = read_on(&member);
    consumer_print_end(consumer);
    flush(&member);
    err = rd_kafka_consumer_close(consumer->rk); /* gives up all partitions, so it commits */
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && code == CLI_OK)
        code = consumer_failed(consumer, err,
                               cli_text(consumer->cli, "leave group %s", consumer->group));
    rd_kafka_topic_partition_list_destroy(member.written);
    rd_kafka_topic_partition_list_destroy(member.open);
    return code;
}
