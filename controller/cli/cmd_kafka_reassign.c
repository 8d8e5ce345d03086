/*
 * kafka reassign-partitions: Kafka's kafka-reassign-partitions, as 3.9's ReassignPartitionsCommand
 * behaves: what it says, on stdout even where it fails, and that it ends in 1 then.
 *
 * Two things are not its: --generate moves as little as it can where Kafka's begins anew at a
 * random broker, and log directories in a file are refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/cli/admin.h"
#include "controller/cli/kafka_admin.h"
#include "controller/cli/moves_file.h"
#include "controller/cli/plan.h"
#include "controller/cli/throttle.h"
#include "controller/cli/topic.h"

#define TIMEOUT_MS 10000 /* Kafka's default of --timeout */

static enum exit_code error(const char *what)
{
    printf("Error: %s\n", what);
    return CLI_FAILED;
}

static enum exit_code failed(struct cli *cli, enum err err)
{
    return error(kafka_error(cli, err, NULL));
}

static struct ids ids_of(const int32_t *at, int32_t n)
{
    return (struct ids){ .at = at, .n = (uint32_t)n };
}

static int by_name(const void *a, const void *b)
{
    const struct moves_line *left = a, *right = b;
    int order = str_cmp(left->topic, right->topic);

    if (order != 0)
        return order;
    return (left->partition > right->partition) - (left->partition < right->partition);
}

/* "a-0,a-1" */
static const char *names_of(struct cli *cli, const struct moves_line *lines, int n)
{
    const char *text = "";

    for (int i = 0; i < n; i++)
        text = cli_text(cli, "%s%s%.*s-%d", text, i > 0 ? "," : "", STR_ARG(lines[i].topic),
                        lines[i].partition);
    return text;
}

/* The file of an option, sorted, without directories. */
static enum exit_code read_file(struct cli *cli, struct moves_line **lines, int *n)
{
    const char *path = args_text(&cli->args, "reassignment-json-file", NULL), *why;
    size_t len;
    char *text = moves_file_load(&cli->arena, path, &len);

    if (text == NULL)
        return error(cli_text(cli, "%s (%s)", path, strerror(errno)));
    if (!moves_file_read(&cli->arena, text, len, lines, n, &why))
        return error(why);
    if (*n == 0)
        return error("Partition reassignment data file is empty");
    qsort(*lines, (size_t)*n, sizeof **lines, by_name);
    for (int i = 0; i < *n; i++) {
        if (i > 0 && by_name(&(*lines)[i - 1], &(*lines)[i]) == 0)
            return error(cli_text(cli,
                                  "Partition reassignment contains duplicate topic "
                                  "partitions: %.*s-%d",
                                  STR_ARG((*lines)[i].topic), (*lines)[i].partition));
        if ((*lines)[i].dirs != NULL)
            return error(cli_text(cli,
                                  "%.*s-%d names log directories, which are not moved here: "
                                  "write \"any\"",
                                  STR_ARG((*lines)[i].topic), (*lines)[i].partition));
    }
    return CLI_OK;
}

/* ---- what there is --------------------------------------------------------------------------- */

struct now {
    struct moving *moving;
    int moving_len;
    struct part_at *parts; /* of the whole cluster */
    int len;
    struct metadata_response brokers;
};

static enum exit_code look(struct cli *cli, struct link *link, struct now *now)
{
    enum exit_code code = scope_all(cli, link, &now->parts, &now->len);
    enum err err;

    if (code != CLI_OK)
        return code;
    err = admin_moving(cli, link, &cli->arena, &now->moving, &now->moving_len);
    if (err == ERR_OK)
        err = link_metadata(link, LINK_ANY, NULL, 0, &now->brokers, &cli->arena);
    return err == ERR_OK ? CLI_OK : failed(cli, err);
}

static const struct metadata_response_partition *find(const struct now *now, struct str topic,
                                                      int32_t partition)
{
    const struct part_at *part = scope_part(now->parts, now->len, topic, partition);

    return part != NULL ? part->seen : NULL;
}

static const char *brokers_text(struct cli *cli, const struct now *now)
{
    int32_t *ids = arena_zalloc(&cli->arena, (size_t)now->brokers.brokers_len + 1, sizeof *ids);
    int32_t n = now->brokers.brokers_len;

    for (int32_t i = 0; i < n; i++) {
        int32_t at = i;

        for (; at > 0 && ids[at - 1] > now->brokers.brokers[i].node_id; at--)
            ids[at] = ids[at - 1];
        ids[at] = now->brokers.brokers[i].node_id;
    }
    return cli_ids(cli, ids, (size_t)n);
}

/* Of sorted lines, each topic once: "a,b". */
static const char *topics_text(struct cli *cli, const struct moves_line *lines, int n, int *topics)
{
    const char *text = "";

    *topics = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && str_eq(lines[i - 1].topic, lines[i].topic))
            continue;
        text = cli_text(cli, "%s%s%.*s", text, i > 0 ? "," : "", STR_ARG(lines[i].topic));
        (*topics)++;
    }
    return text;
}

static enum exit_code clear_throttles(struct cli *cli, struct link *link, const struct now *now,
                                      const struct moves_line *lines, int n)
{
    int topics;
    const char *names = topics_text(cli, lines, n, &topics);
    enum exit_code code = CLI_OK;

    printf("Clearing broker-level throttles on broker%s %s\n",
           now->brokers.brokers_len == 1 ? "" : "s", brokers_text(cli, now));
    for (int32_t i = 0; code == CLI_OK && i < now->brokers.brokers_len; i++)
        code = throttle_set_broker(cli, link, now->brokers.brokers[i].node_id, STR_NULL);
    printf("Clearing topic-level throttles on topic%s %s\n", topics == 1 ? "" : "s", names);
    for (int i = 0; code == CLI_OK && i < n; i++) {
        if ((i == 0 || !str_eq(lines[i - 1].topic, lines[i].topic)) &&
            find(now, lines[i].topic, lines[i].partition) != NULL)
            code = throttle_set_topic(cli, link, lines[i].topic, STR_NULL, STR_NULL);
    }
    return code;
}

/* ---- list ------------------------------------------------------------------------------------ */

static enum exit_code list(struct cli *cli, struct link *link)
{
    struct moving *moving;
    int len;
    enum err err = admin_moving(cli, link, &cli->arena, &moving, &len);

    if (err != ERR_OK)
        return failed(cli, err);
    if (len == 0) {
        puts("No partition reassignments found.");
        return CLI_OK;
    }
    puts("Current partition reassignments:");
    for (int i = 0; i < len; i++) {
        printf("%.*s-%d: replicas: %s.", STR_ARG(moving[i].topic), moving[i].partition,
               cli_ids(cli, moving[i].replicas.at, moving[i].replicas.n));
        if (moving[i].adding.n > 0)
            printf(" adding: %s.", cli_ids(cli, moving[i].adding.at, moving[i].adding.n));
        if (moving[i].removing.n > 0)
            printf(" removing: %s.", cli_ids(cli, moving[i].removing.at, moving[i].removing.n));
        putchar('\n');
    }
    return CLI_OK;
}

/* ---- verify ---------------------------------------------------------------------------------- */

static enum exit_code verify(struct cli *cli, struct link *link)
{
    struct now now;
    struct moves_line *lines;
    bool all_done = true;
    int n;
    enum exit_code code = read_file(cli, &lines, &n);

    if (code == CLI_OK)
        code = look(cli, link, &now);
    if (code != CLI_OK)
        return code;
    puts("Status of partition reassignment:");
    for (int i = 0; i < n; i++) {
        const struct metadata_response_partition *part =
            find(&now, lines[i].topic, lines[i].partition);
        struct ids has =
            part != NULL ? ids_of(part->replica_nodes, part->replica_nodes_len) : IDS_NONE;
        const char *name = names_of(cli, &lines[i], 1);

        if (admin_find_moving(now.moving, now.moving_len, lines[i].topic, lines[i].partition)) {
            printf("Reassignment of partition %s is still in progress.\n", name);
            all_done = false;
        } else if (ids_eq(has, lines[i].replicas)) {
            printf("Reassignment of partition %s is completed.\n", name);
        } else {
            printf("There is no active reassignment of partition %s, but replica set is %s rather "
                   "than %s.\n",
                   name, cli_ids(cli, has.at, has.n),
                   cli_ids(cli, lines[i].replicas.at, lines[i].replicas.n));
        }
    }
    putchar('\n');
    return all_done && !args_has(&cli->args, "preserve-throttles")
               ? clear_throttles(cli, link, &now, lines, n)
               : CLI_OK;
}

/* ---- execute --------------------------------------------------------------------------------- */

static enum exit_code check_lines(struct cli *cli, const struct now *now,
                                  const struct moves_line *lines, int n)
{
    for (int i = 0; i < n; i++) {
        for (uint32_t r = 0; r < lines[i].replicas.n; r++) {
            bool known = false;

            for (int32_t b = 0; b < now->brokers.brokers_len && !known; b++)
                known = now->brokers.brokers[b].node_id == lines[i].replicas.at[r];
            if (!known)
                return error(cli_text(cli, "Unknown broker id %d", lines[i].replicas.at[r]));
        }
    }
    for (int i = 0; i < n; i++) {
        bool there = false;

        for (int p = 0; p < now->len && !there; p++)
            there = str_eq(now->parts[p].topic, lines[i].topic);
        if (!there)
            return error(
                kafka_error(cli, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                            cli_text(cli, "Topic %.*s not found.", STR_ARG(lines[i].topic))));
        if (find(now, lines[i].topic, lines[i].partition) == NULL)
            return error(kafka_error(cli, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                                     cli_text(cli, "Unable to find partition: %.*s-%d",
                                              STR_ARG(lines[i].topic), lines[i].partition)));
    }
    return CLI_OK;
}

static void print_current(struct cli *cli, const struct planned *moves, int n)
{
    struct moves_line *lines = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *lines);

    for (int i = 0; i < n; i++)
        lines[i] = (struct moves_line){ .topic = moves[i].topic,
                                        .partition = moves[i].partition,
                                        .replicas = moves[i].from };
    puts("Current partition replica assignment\n");
    moves_file_write(stdout, lines, n);
    puts("\n\nSave this to use as the --reassignment-json-file option during rollback");
}

static enum exit_code start(struct cli *cli, struct link *link, const struct moves_line *lines,
                            int n)
{
    struct move *moves = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *moves);
    bool fine = true;
    enum err err;

    for (int i = 0; i < n; i++)
        moves[i] = (struct move){ .topic = lines[i].topic,
                                  .partition = lines[i].partition,
                                  .to = lines[i].replicas };
    err = admin_move(cli, link, moves, n);
    if (err != ERR_OK)
        return failed(cli, err);
    for (int i = 0; i < n; i++) {
        if (moves[i].err == ERR_OK)
            continue;
        if (fine)
            fputs("Error: Error reassigning partition(s):\n", stdout);
        printf("%.*s-%d: %s\n", STR_ARG(moves[i].topic), moves[i].partition,
               moves[i].why != NULL ? moves[i].why : err_text(moves[i].err));
        fine = false;
    }
    if (!fine)
        return CLI_FAILED;
    printf("Successfully started partition reassignment%s for %s\n", n == 1 ? "" : "s",
           names_of(cli, lines, n));
    return CLI_OK;
}

static enum exit_code execute(struct cli *cli, struct link *link)
{
    struct now now;
    struct moves_line *lines;
    struct planned *moves;
    int64_t throttle = -1;
    int n;
    enum exit_code code = read_file(cli, &lines, &n);

    if (code == CLI_OK && !args_number(&cli->args, "throttle", -1, INT64_MAX, &throttle))
        code = CLI_USAGE;
    if (code == CLI_OK)
        code = look(cli, link, &now);
    if (code == CLI_OK && now.moving_len > 0 && !args_has(&cli->args, "additional")) {
        puts("Cannot execute because there is an existing partition assignment.  Use --additional "
             "to override this and create a new partition assignment in addition to the existing "
             "one. The --additional flag can also be used to change the throttle by resubmitting "
             "the current reassignment.");
        return CLI_FAILED;
    }
    if (code == CLI_OK)
        code = check_lines(cli, &now, lines, n);
    if (code != CLI_OK)
        return code;
    moves = arena_zalloc(&cli->arena, (size_t)n, sizeof *moves);
    for (int i = 0; i < n; i++) {
        const struct metadata_response_partition *part =
            find(&now, lines[i].topic, lines[i].partition);

        moves[i] = (struct planned){ .topic = lines[i].topic,
                                     .partition = lines[i].partition,
                                     .from = ids_of(part->replica_nodes, part->replica_nodes_len),
                                     .to = lines[i].replicas };
    }
    print_current(cli, moves, n);
    if (throttle >= 0) {
        puts("Warning: You must run --verify periodically, until the reassignment completes, to "
             "ensure the throttle is removed.");
        code = throttle_set(cli, link, cli_text(cli, "%" PRId64, throttle), moves, n);
        if (code != CLI_OK)
            return code;
        printf("The inter-broker throttle limit was set to %" PRId64 " B/s\n", throttle);
    }
    return start(cli, link, lines, n);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

static enum exit_code cancel(struct cli *cli, struct link *link)
{
    struct now now;
    struct moves_line *lines;
    struct move *moves;
    const char *names = "";
    int n, active = 0;
    enum exit_code code = read_file(cli, &lines, &n);
    enum err err;

    if (code == CLI_OK)
        code = look(cli, link, &now);
    if (code != CLI_OK)
        return code;
    moves = arena_zalloc(&cli->arena, (size_t)n, sizeof *moves);
    for (int i = 0; i < n; i++) {
        if (admin_find_moving(now.moving, now.moving_len, lines[i].topic, lines[i].partition) ==
            NULL)
            continue;
        names = cli_text(cli, "%s%s%s", names, active > 0 ? "," : "", names_of(cli, &lines[i], 1));
        moves[active++] = (struct move){ .topic = lines[i].topic, .partition = lines[i].partition };
    }
    err = admin_move(cli, link, moves, active);
    if (err != ERR_OK)
        return failed(cli, err);
    for (int i = 0; i < active; i++) {
        if (moves[i].err != ERR_OK && moves[i].err != ERR_NO_REASSIGNMENT_IN_PROGRESS)
            return error(cli_text(cli, "Error cancelling partition reassignment for:\n%.*s-%d: %s",
                                  STR_ARG(moves[i].topic), moves[i].partition,
                                  moves[i].why != NULL ? moves[i].why : err_text(moves[i].err)));
    }
    if (active > 0)
        printf("Successfully cancelled partition reassignment%s for: %s\n", active == 1 ? "" : "s",
               names);
    else
        puts("None of the specified partition reassignments are active.");
    fputs("None of the specified partition moves are active.", stdout); /* as Kafka: no new line */
    if (args_has(&cli->args, "preserve-throttles")) {
        putchar('\n');
        return CLI_OK;
    }
    return clear_throttles(cli, link, &now, lines, n);
}

/* ---- generate -------------------------------------------------------------------------------- */

static enum exit_code read_topics(struct cli *cli, const char *const **out, int *n)
{
    const char *path = args_text(&cli->args, "topics-to-move-json-file", NULL), *why;
    const char **topics;
    struct str *names;
    size_t len;
    char *text = moves_file_load(&cli->arena, path, &len);

    if (text == NULL)
        return error(cli_text(cli, "%s (%s)", path, strerror(errno)));
    if (!moves_file_read_topics(&cli->arena, text, len, &names, n, &why))
        return error(why);
    topics = arena_zalloc(&cli->arena, (size_t)*n + 1, sizeof *topics);
    for (int i = 0; i < *n; i++)
        topics[i] = arena_cstr(&cli->arena, names[i]);
    *out = topics;
    return CLI_OK;
}

/* Only the listed brokers keep and get replicas, as evenly as can be. */
static enum exit_code spread_over(struct cli *cli, struct plan *plan)
{
    bool no_racks = args_has(&cli->args, "disable-rack-aware");
    int32_t *ids;
    int len;

    if (!scope_ids(&cli->arena, args_text(&cli->args, "broker-list", ""), &ids, &len))
        return error("Broker list contains duplicate entries, or none");
    for (int i = 0; i < plan->spread.brokers_len; i++) {
        struct spread_broker *broker = &plan->spread.brokers[i];
        bool listed = ids_has(ids_of(ids, len), broker->id);

        broker->is_drained = !listed;
        broker->gives = broker->gives && listed;
        broker->gets = broker->gets && listed;
        if (no_racks)
            broker->rack = STR_NULL;
    }
    if (spread_drain(&plan->spread) != ERR_OK)
        return error(cli_text(cli,
                              "org.apache.kafka.common.errors.InvalidReplicationFactorException: "
                              "Replication factor is larger than available brokers: %d.",
                              len));
    spread_even(&plan->spread);
    return CLI_OK;
}

static void print_lines(struct cli *cli, const struct plan *plan, bool proposed)
{
    struct moves_line *lines = arena_zalloc(&cli->arena, (size_t)plan->len + 1, sizeof *lines);
    int n = 0;

    for (int i = 0; i < plan->len; i++) {
        const struct metadata_response_partition *part = plan->parts[i].seen;
        const struct spread_part *to = &plan->spread.parts[i];

        if (to->is_fixed)
            continue;
        lines[n++] = (struct moves_line){
            .topic = plan->parts[i].topic,
            .partition = part->partition_index,
            .replicas = proposed ? ids_of(to->to, to->to_len)
                                 : ids_of(part->replica_nodes, part->replica_nodes_len),
        };
    }
    moves_file_write(stdout, lines, n);
    putchar('\n');
}

static enum exit_code generate(struct cli *cli, struct link *link)
{
    const char *const *topics;
    struct plan plan;
    int n;
    enum exit_code code = read_topics(cli, &topics, &n);

    if (code == CLI_OK)
        code = plan_read(cli, link, &plan);
    for (int t = 0; code == CLI_OK && t < n; t++) {
        bool there = false;

        for (int i = 0; i < plan.len && !there; i++)
            there = str_is(plan.parts[i].topic, topics[t]);
        if (!there)
            code = error(kafka_error(cli, ERR_UNKNOWN_TOPIC_OR_PARTITION,
                                     cli_text(cli, "Topic %s not found.", topics[t])));
    }
    if (code == CLI_OK)
        code = plan_only_topics(cli, link, &plan, topics, n);
    if (code != CLI_OK)
        return code;
    puts("Current partition replica assignment");
    print_lines(cli, &plan, false);
    code = spread_over(cli, &plan);
    if (code != CLI_OK)
        return code;
    puts("\nProposed partition reassignment configuration");
    print_lines(cli, &plan, true);
    return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum exit_code cmd_kafka_reassign_partitions(struct cli *cli)
{
    static const struct kafka_action actions[] = {
        { "generate", generate, { "broker-list", "topics-to-move-json-file" } },
        { "execute", execute, { "reassignment-json-file" } },
        { "verify", verify, { "reassignment-json-file" } },
        { "cancel", cancel, { "reassignment-json-file" } },
        { "list", list, { NULL } },
    };

    return kafka_run(cli, actions, ARRAY_LEN(actions),
                     "--generate, --execute, --verify, --cancel, --list", TIMEOUT_MS);
}
