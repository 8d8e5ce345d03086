/*
 * kafka leader-election: Kafka's kafka-leader-election, as 3.9's LeaderElectionCommand behaves.
 * What was elected and what had its leader already is told on stdout, in the order of Java's sets;
 * a failure is told there too and counted on stderr, and ends in 1.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "controller/cli/admin.h"
#include "controller/cli/kafka_admin.h"
#include "controller/cli/moves_file.h"

static enum exit_code read_scope(struct cli *cli, struct election **out, int *n)
{
    const char *topic = args_text(&cli->args, "topic", NULL);
    const char *path = args_text(&cli->args, "path-to-json-file", NULL);
    bool all = args_has(&cli->args, "all-topic-partitions");
    struct moves_line *lines;
    const char *why;
    int64_t partition = -1;
    size_t len;
    char *text;

    *out = NULL;
    *n = 0;
    if ((topic != NULL) + (path != NULL) + all != 1)
        return kafka_usage(cli, "One and only one of the following options is required: topic, "
                                "all-topic-partitions, path-to-json-file");
    if (!args_number(&cli->args, "partition", 0, INT32_MAX, &partition))
        return CLI_USAGE;
    if (topic != NULL && partition < 0)
        return kafka_usage(cli, "Missing required option(s): partition");
    if (topic == NULL && partition >= 0)
        return kafka_usage(cli, "Option partition is only allowed if topic is used");
    if (all)
        return CLI_OK;
    if (topic != NULL) {
        *out = arena_zalloc(&cli->arena, 1, sizeof **out);
        **out = (struct election){ .topic = str_of(topic), .partition = (int32_t)partition };
        *n = 1;
        return CLI_OK;
    }
    text = moves_file_load(&cli->arena, path, &len);
    if (text == NULL)
        return kafka_usage(cli, cli_text(cli, "%s: %s", path, strerror(errno)));
    if (!moves_file_read_parts(&cli->arena, text, len, &lines, n, &why))
        return kafka_usage(cli, cli_text(cli, "%s: %s", path, why));
    *out = arena_zalloc(&cli->arena, (size_t)*n + 1, sizeof **out);
    for (int i = 0; i < *n; i++)
        (*out)[i] = (struct election){ .topic = lines[i].topic, .partition = lines[i].partition };
    return CLI_OK;
}

static const char *name_of(struct cli *cli, const struct election *one)
{
    return cli_text(cli, "%.*s-%d", STR_ARG(one->topic), one->partition);
}

/* Those with that result, after a text; nothing when there are none. */
static void print_those(struct cli *cli, const char *before, const struct election *done, int len,
                        enum err err)
{
    struct kafka_part *parts = arena_zalloc(&cli->arena, (size_t)len + 1, sizeof *parts);
    size_t n = 0, *order;

    for (int i = 0; i < len; i++) {
        if (done[i].err == err)
            parts[n++] =
                (struct kafka_part){ .topic = done[i].topic, .partition = done[i].partition };
    }
    if (n == 0)
        return;
    order = kafka_set_order(&cli->arena, parts, n);
    fputs(before, stdout);
    for (size_t i = 0; i < n; i++)
        printf("%s%.*s-%d", i > 0 ? ", " : " ", STR_ARG(parts[order[i]].topic),
               parts[order[i]].partition);
    putchar('\n');
}

static enum exit_code print_result(struct cli *cli, const char *type, const struct election *done,
                                   int len)
{
    int failed = 0;

    print_those(cli,
                cli_text(cli, "Successfully completed leader election (%s) for partitions", type),
                done, len, ERR_OK);
    print_those(cli, "Valid replica already elected for partitions", done, len,
                ERR_ELECTION_NOT_NEEDED);
    for (int i = 0; i < len; i++) {
        if (done[i].err == ERR_OK || done[i].err == ERR_ELECTION_NOT_NEEDED)
            continue;
        printf("Error completing leader election (%s) for partition: %s: %s\n", type,
               name_of(cli, &done[i]), kafka_error(cli, done[i].err, done[i].why));
        failed++;
    }
    if (failed == 0)
        return CLI_OK;
    fflush(stdout);
    fprintf(stderr, "%d replica(s) could not be elected\n", failed);
    return CLI_FAILED;
}

enum exit_code cmd_kafka_leader_election(struct cli *cli)
{
    const char *type = args_text(&cli->args, "election-type", NULL);
    bool unclean = type != NULL && strcasecmp(type, "unclean") == 0;
    struct election *wanted, *done;
    struct link *link;
    int n, len;
    enum exit_code code;
    enum err err;

    if (type == NULL)
        return kafka_usage(cli, "Missing required option(s): election-type");
    if (!unclean && strcasecmp(type, "preferred") != 0)
        return kafka_usage(
            cli, cli_text(cli, "Cannot parse argument '%s' of option election-type", type));
    code = read_scope(cli, &wanted, &n);
    if (code == CLI_OK)
        code = kafka_read_conf(cli, "admin.config");
    if (code != CLI_OK)
        return code;
    code = link_open(cli, &link);
    if (code == CLI_OK) {
        err = admin_elect(cli, link, unclean, wanted, n, &done, &len);
        if (err == ERR_OK) {
            code = print_result(cli, unclean ? "UNCLEAN" : "PREFERRED", done, len);
        } else {
            fprintf(stderr, "Error completing leader election: %s\n", kafka_error(cli, err, NULL));
            code = CLI_FAILED;
        }
    }
    link_close(&link);
    return code;
}
