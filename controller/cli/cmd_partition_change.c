/*
 * partition elect, transfer, replicas.
 *
 * Kafka's protocol cannot name a new leader. It can elect the preferred one, which is the first
 * replica; so a transfer puts the wanted one first, by a reassignment that adds and removes nobody
 * and is done at once, and then has it elected. The order stays unless --once asks for it back:
 * with the old order the automatic rebalance would give the leadership back within minutes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "controller/cli/admin.h"
#include "controller/cli/moves.h"
#include "controller/cli/scope.h"
#include "controller/cli/topic.h"

#define PAUSE_MS 20

static struct ids ids_of(const int32_t *at, int32_t n)
{
    return (struct ids){ .at = at, .n = (uint32_t)n };
}

static const char *operands_text(struct cli *cli)
{
    const char *text = "";

    for (int i = 0; i < cli->args.operands_len; i++)
        text = cli_text(cli, "%s%s%s", text, i > 0 ? " " : "", cli->args.operands[i]);
    return text;
}

/* ---- elect ----------------------------------------------------------------------------------- */

static const char *why_not(struct cli *cli, const struct election *one)
{
    switch (one->err) {
    case ERR_PREFERRED_LEADER_NOT_AVAILABLE:
        return "its first replica is not there or not in sync";
    case ERR_ELIGIBLE_LEADERS_NOT_AVAILABLE:
        return "none of its replicas is there";
    default:
        return one->why != NULL ? one->why : cli_text(cli, "%s", err_text(one->err));
    }
}

static enum exit_code print_elections(struct cli *cli, const struct election *done, int len)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "result", .head = "RESULT" },
        { .key = "reason", .head = "WHY" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "elections", columns);
    enum exit_code code = CLI_OK;

    for (int i = 0; i < len; i++) {
        bool is_fine = done[i].err == ERR_OK || done[i].err == ERR_ELECTION_NOT_NEEDED;
        struct cell *row = table_row(table);

        row[0] = cell_text(done[i].topic);
        row[1] = cell_int(done[i].partition);
        row[2] = cell_hinted(cell_cstr(done[i].err == ERR_OK ? "elected"
                                       : is_fine             ? "led already"
                                                             : "failed"),
                             is_fine ? HINT_NONE : HINT_ACT);
        if (!is_fine) {
            row[3] = cell_cstr(why_not(cli, &done[i]));
            code = CLI_FAILED;
        }
    }
    report_print(report, &cli->print, stdout);
    if (len == 0 && report_is_for_people(&cli->print))
        cli_note(cli, "every partition has the leader that it should have");
    return code;
}

static enum exit_code elect(struct cli *cli, struct link *link, bool unclean)
{
    bool all = args_has(&cli->args, "all");
    struct election *wanted = NULL, *done;
    struct part_at *parts;
    int n = 0, len;
    enum exit_code code;
    enum err err;

    if (all == (cli->args.operands_len > 0))
        return cli_fail(cli, CLI_USAGE, "say which partitions, or --all", NULL,
                        "moldau help partition elect");
    if (!all) {
        code = scope_find(cli, link, cli->args.operands, cli->args.operands_len, &parts, &n);
        if (code != CLI_OK)
            return code;
        wanted = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *wanted);
        for (int i = 0; i < n; i++)
            wanted[i] = (struct election){ .topic = parts[i].topic,
                                           .partition = parts[i].seen->partition_index };
    }
    err = admin_elect(cli, link, unclean, wanted, n, &done, &len);
    if (err != ERR_OK)
        return link_fail(link, err, "elect leaders");
    return print_elections(cli, done, len);
}

enum exit_code cmd_partition_elect(struct cli *cli)
{
    bool unclean = args_has(&cli->args, "unclean");
    const char *name = args_has(&cli->args, "all") ? "all" : operands_text(cli);
    struct link *link;
    enum exit_code code = CLI_OK;

    if (unclean)
        code = cli_confirm(cli,
                           cli_text(cli,
                                    "An unclean election of %s throws away what the new leader "
                                    "does not have, acknowledged records as well.",
                                    name),
                           name, "nothing was elected, all data is as it was",
                           cli_text(cli, "moldau partition elect %s --unclean --yes",
                                    args_has(&cli->args, "all") ? "--all" : name));
    if (code != CLI_OK)
        return code;
    code = link_open(cli, &link);
    if (code == CLI_OK)
        code = elect(cli, link, unclean);
    link_close(&link);
    return code;
}

/* ---- transfer -------------------------------------------------------------------------------- */

/* The one partition that the first operand names. */
static enum exit_code find_one(struct cli *cli, struct link *link, struct part_at *out)
{
    struct part_at *parts = NULL;
    int len = 0;
    enum exit_code code = scope_find(cli, link, cli->args.operands, 1, &parts, &len);

    if (code != CLI_OK)
        return code;
    if (len != 1)
        return cli_fail(
            cli, CLI_USAGE,
            cli_text(cli, "%s has %d partitions; this is for one", cli->args.operands[0], len),
            NULL, cli_text(cli, "name it: %.*s-0", STR_ARG(parts[0].topic)));
    assert(parts[0].seen != NULL);
    *out = parts[0];
    return CLI_OK;
}

static enum exit_code reorder(struct cli *cli, struct link *link, const struct part_at *part,
                              struct ids to)
{
    struct move move = { .topic = part->topic, .partition = part->seen->partition_index, .to = to };
    enum err err = admin_move(cli, link, &move, 1);

    if (err != ERR_OK)
        return link_fail(link, err, "reorder the replicas");
    if (move.err != ERR_OK)
        return cli_fail(cli, cli_code(move.err),
                        cli_text(cli, "cannot reorder the replicas of %s: %s",
                                 scope_name(cli, move.topic, move.partition),
                                 move.why != NULL ? move.why : err_text(move.err)),
                        "its leader stays", "moldau reassign status");
    return CLI_OK;
}

/* Until whoever answers shows the replicas in that order, or that leader. */
static bool wait_seen(struct cli *cli, struct link *link, const struct part_at *part,
                      const struct ids *order, int32_t leader)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    struct metadata_response seen;

    do {
        enum err err = link_metadata(link, LINK_ANY, &part->topic, 1, &seen, &cli->arena);

        for (int32_t p = 0;
             err == ERR_OK && seen.topics_len == 1 && p < seen.topics[0].partitions_len; p++) {
            const struct metadata_response_partition *at = &seen.topics[0].partitions[p];

            if (at->partition_index == part->seen->partition_index &&
                (order == NULL ||
                 ids_eq(*order, ids_of(at->replica_nodes, at->replica_nodes_len))) &&
                (leader < 0 || at->leader_id == leader))
                return true;
        }
        nanosleep(&pause, NULL);
    } while (clock_mono_ms() < cli->deadline_ms);
    return false;
}

static enum exit_code elect_first(struct cli *cli, struct link *link, const struct part_at *part,
                                  int32_t to)
{
    const struct election wanted = { .topic = part->topic,
                                     .partition = part->seen->partition_index };
    struct election *done;
    int len;
    enum err err = admin_elect(cli, link, false, &wanted, 1, &done, &len);

    if (err == ERR_OK && len == 1 && done[0].err != ERR_ELECTION_NOT_NEEDED)
        err = done[0].err;
    if (err != ERR_OK)
        return cli_fail(cli, cli_code(err),
                        cli_text(cli, "broker %d was not elected: %s", to, err_text(err)),
                        cli_text(cli,
                                 "the replicas are in the new order, so it is the preferred "
                                 "leader; broker %d leads on",
                                 part->seen->leader_id),
                        cli_text(cli, "moldau partition elect %s",
                                 scope_name(cli, wanted.topic, wanted.partition)));
    return CLI_OK;
}

static enum exit_code print_transfer(struct cli *cli, const struct part_at *part, int32_t to,
                                     struct ids order, bool kept)
{
    static const struct column columns[] = { { .key = "topic" },    { .key = "partition" },
                                             { .key = "from" },     { .key = "to" },
                                             { .key = "replicas" }, { .key = NULL } };
    struct report *report = report_new(&cli->arena);
    struct cell *row;

    if (report_is_for_people(&cli->print)) {
        printf("broker %d leads %s, which broker %d led\n", to,
               scope_name(cli, part->topic, part->seen->partition_index), part->seen->leader_id);
        printf(kept ? "its replicas are %s now: broker %d is the preferred leader from here on\n"
                    : "its replicas are %s again: a preferred election, also the automatic one, "
                      "moves the leadership on to broker %d\n",
               cli_ids(cli, order.at, order.n), kept ? to : order.at[0]);
        return CLI_OK;
    }
    row = table_row(report_table(report, "transfers", columns));
    row[0] = cell_text(part->topic);
    row[1] = cell_int(part->seen->partition_index);
    row[2] = part->seen->leader_id >= 0 ? cell_int(part->seen->leader_id) : (struct cell){ 0 };
    row[3] = cell_int(to);
    row[4] = cell_ids(order.at, (int32_t)order.n);
    report_print(report, &cli->print, stdout);
    return CLI_OK;
}

static struct ids with_first(struct cli *cli, struct ids replicas, int32_t first)
{
    int32_t *at = arena_zalloc(&cli->arena, replicas.n + 1, sizeof *at);
    uint32_t n = 0;

    at[n++] = first;
    for (uint32_t i = 0; i < replicas.n; i++) {
        if (replicas.at[i] != first)
            at[n++] = replicas.at[i];
    }
    return (struct ids){ .at = at, .n = n };
}

static enum exit_code refuse_transfer(struct cli *cli, const struct part_at *part, int64_t to)
{
    const struct metadata_response_partition *seen = part->seen;

    assert(seen != NULL);
    struct ids replicas = ids_of(seen->replica_nodes, seen->replica_nodes_len);
    struct ids isr = ids_of(seen->isr_nodes, seen->isr_nodes_len);
    const char *name = scope_name(cli, part->topic, seen->partition_index);

    if (!ids_has(replicas, (int32_t)to))
        return cli_fail(cli, CLI_REFUSED,
                        cli_text(cli, "broker %lld has no replica of %s (%s have)", (long long)to,
                                 name, cli_ids(cli, replicas.at, replicas.n)),
                        "only a replica can lead",
                        cli_text(cli, "moldau partition replicas %s --to IDS", name));
    if (!ids_has(isr, (int32_t)to))
        return cli_fail(cli, CLI_REFUSED,
                        cli_text(cli, "broker %lld is not in sync for %s (in sync: %s)",
                                 (long long)to, name, cli_ids(cli, isr.at, isr.n)),
                        "as the leader it would throw away records that it does not have",
                        cli_text(cli, "moldau partition show %s", name));
    return CLI_OK;
}

static enum exit_code transfer(struct cli *cli, struct link *link)
{
    struct part_at part = { .seen = NULL };
    struct ids before, after;
    bool once = args_has(&cli->args, "once");
    int64_t to = -1;
    enum exit_code code = CLI_USAGE;

    if (args_number(&cli->args, "to", 0, INT32_MAX, &to))
        code = to >= 0 ? find_one(cli, link, &part)
                       : cli_fail(cli, CLI_USAGE, "say to whom: --to BROKER", NULL, NULL);
    if (code == CLI_OK)
        code = refuse_transfer(cli, &part, to);
    if (code != CLI_OK)
        return code;
    before = ids_of(part.seen->replica_nodes, part.seen->replica_nodes_len);
    after = with_first(cli, before, (int32_t)to);
    if (!ids_eq(before, after)) {
        code = reorder(cli, link, &part, after);
        if (code == CLI_OK && !wait_seen(cli, link, &part, &after, -1))
            code = cli_fail(cli, CLI_TIMED_OUT, "the new order of replicas is not seen yet",
                            "nobody was elected",
                            cli_text(cli, "moldau partition elect %s", cli->args.operands[0]));
    }
    if (code == CLI_OK)
        code = elect_first(cli, link, &part, (int32_t)to);
    if (code != CLI_OK)
        return code;
    if (once && !ids_eq(before, after))
        code = reorder(cli, link, &part, before);
    if (code == CLI_OK && !wait_seen(cli, link, &part, once ? &before : NULL, (int32_t)to))
        code = cli_fail(
            cli, CLI_TIMED_OUT,
            cli_text(cli, "broker %lld is elected, but not shown as leader yet", (long long)to),
            NULL, cli_text(cli, "moldau partition show %s", cli->args.operands[0]));
    return code == CLI_OK ? print_transfer(cli, &part, (int32_t)to, once ? before : after, !once)
                          : code;
}

enum exit_code cmd_partition_transfer(struct cli *cli)
{
    return link_run(cli, transfer);
}

/* ---- replicas -------------------------------------------------------------------------------- */

static enum exit_code replicas(struct cli *cli, struct link *link)
{
    const char *text = args_text(&cli->args, "to", NULL);
    struct part_at part = { .seen = NULL };
    struct planned move;
    const char *host;
    int32_t *to, port;
    int len, n;
    enum exit_code code;

    if (text == NULL)
        return cli_fail(cli, CLI_USAGE, "say where it is to be: --to 2,3,1",
                        "the first of them is the preferred leader", NULL);
    if (!scope_ids(&cli->arena, text, &to, &len))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no list of different brokers", text),
                        "what is meant is --to 2,3,1", NULL);
    code = find_one(cli, link, &part);
    for (int i = 0; code == CLI_OK && i < len; i++) {
        if (!link_broker(link, to[i], &host, &port))
            code = cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no broker %d", to[i]),
                            "nothing was done", "moldau broker list");
    }
    if (code != CLI_OK)
        return code;
    assert(part.seen != NULL);
    move = (struct planned){ .topic = part.topic,
                             .partition = part.seen->partition_index,
                             .from = ids_of(part.seen->replica_nodes, part.seen->replica_nodes_len),
                             .to = ids_of(to, len),
                             .leader = part.seen->leader_id,
                             .bytes = -1 };
    n = moves_only_changes(&move, 1);
    moves_measure(cli, link, &move, n);
    return moves_run(cli, link, &move, n, scope_name(cli, part.topic, part.seen->partition_index),
                     args_has(&cli->args, "apply"));
}

enum exit_code cmd_partition_replicas(struct cli *cli)
{
    return link_run(cli, replicas);
}
