/*
 * reassign plan, apply, import, export, status, cancel. A plan is Kafka's JSON when it is kept in a
 * file, so that kafka-reassign-partitions can carry out ours and we can carry out its.
 */
#include <errno.h>
#include <string.h>

#include "controller/cli/admin.h"
#include "controller/cli/moves_file.h"
#include "controller/cli/plan.h"
#include "controller/cli/topic.h"

/* ---- plan ------------------------------------------------------------------------------------ */

static enum exit_code ids_option(struct cli *cli, const char *name, int32_t **ids, int *len)
{
    const char *text = args_text(&cli->args, name, NULL);

    *len = 0;
    if (text != NULL && !scope_ids(&cli->arena, text, ids, len))
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "--%s '%s' is no list of different brokers", name, text),
                        cli_text(cli, "what is meant is --%s 3,4", name), NULL);
    return CLI_OK;
}

static const char *const *topic_options(struct cli *cli, int *len)
{
    const char **topics =
                   arena_zalloc(&cli->arena, (size_t)cli->args.given_len + 1, sizeof *topics),
               *topic;
    int at = 0;

    *len = 0;
    while ((topic = args_next(&cli->args, "topic", &at)) != NULL)
        topics[(*len)++] = topic;
    return topics;
}

static enum exit_code too_few(struct cli *cli)
{
    return cli_fail(cli, CLI_REFUSED,
                    "some partition would have more replicas than there are brokers for them",
                    "nothing was planned", "moldau broker list");
}

static enum exit_code drain(struct cli *cli, struct plan *plan, const int32_t *ids, int len)
{
    struct spread_broker *broker;

    for (int i = 0; i < len; i++) {
        enum exit_code code = plan_broker(cli, plan, ids[i], &broker);

        if (code != CLI_OK)
            return code;
        broker->is_drained = true;
        broker->gets = broker->gives = false;
    }
    return spread_drain(&plan->spread) == ERR_OK ? CLI_OK : too_few(cli);
}

static enum exit_code even_out(struct cli *cli, struct plan *plan, const int32_t *ids, int len)
{
    struct spread_broker *broker;

    for (int i = 0; len > 0 && i < plan->spread.brokers_len; i++)
        plan->spread.brokers[i].gets = false;
    for (int i = 0; i < len; i++) {
        enum exit_code code = plan_broker(cli, plan, ids[i], &broker);

        if (code != CLI_OK)
            return code;
        if (!broker->gives)
            return cli_fail(cli, CLI_REFUSED,
                            cli_text(cli, "broker %d is down or is to be drained", ids[i]),
                            "nothing was planned", cli_text(cli, "moldau broker show %d", ids[i]));
        broker->gets = true;
        broker->gives = false;
    }
    spread_even(&plan->spread);
    return CLI_OK;
}

static enum exit_code save(struct cli *cli, const char *path, const struct planned *moves, int n)
{
    struct moves_line *lines = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *lines);
    FILE *out = fopen(path, "wxe");
    bool fine = out != NULL;

    for (int i = 0; i < n; i++)
        lines[i] = (struct moves_line){ .topic = moves[i].topic,
                                        .partition = moves[i].partition,
                                        .replicas = moves[i].to };
    if (fine) {
        moves_file_write(out, lines, n);
        fputc('\n', out);
        fine = fclose(out) == 0;
    }
    if (!fine)
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "cannot write %s: %s", path, strerror(errno)),
                        "the plan is not kept", NULL);
    cli_note(cli, "kept in %s; do it: moldau reassign apply %s", path, path);
    return CLI_OK;
}

struct wish {
    int32_t *drain, *add;
    int drain_len, add_len;
    bool even;
    int64_t factor;
    const char *const *topics;
    int topics_len;
};

static enum exit_code read_wish(struct cli *cli, struct wish *wish)
{
    enum exit_code code = ids_option(cli, "drain", &wish->drain, &wish->drain_len);

    if (code == CLI_OK)
        code = ids_option(cli, "add", &wish->add, &wish->add_len);
    if (code != CLI_OK)
        return code;
    wish->even = args_has(&cli->args, "even");
    wish->factor = 0;
    if (!args_number(&cli->args, "replication-factor", 1, INT16_MAX, &wish->factor))
        return CLI_USAGE;
    wish->topics = topic_options(cli, &wish->topics_len);
    if (wish->drain_len == 0 && wish->add_len == 0 && !wish->even && wish->factor == 0)
        return cli_fail(cli, CLI_USAGE,
                        "say what is wanted: --drain, --add, --even or "
                        "--replication-factor",
                        NULL, "moldau help reassign plan");
    return CLI_OK;
}

static const char *wish_text(struct cli *cli, const struct wish *wish)
{
    const char *text = "";

    if (wish->factor > 0)
        text = cli_text(cli, "%lld replicas", (long long)wish->factor);
    if (wish->drain_len > 0)
        text = cli_text(cli, "%s%sdrain broker %s", text, text[0] != '\0' ? ", " : "",
                        cli_ids(cli, wish->drain, (size_t)wish->drain_len));
    if (wish->add_len > 0)
        text = cli_text(cli, "%s%sonto broker %s", text, text[0] != '\0' ? ", " : "",
                        cli_ids(cli, wish->add, (size_t)wish->add_len));
    else if (wish->even)
        text = cli_text(cli, "%s%seven out", text, text[0] != '\0' ? ", " : "");
    return text;
}

static enum exit_code plan(struct cli *cli, struct link *link)
{
    const char *path = args_text(&cli->args, "save", NULL);
    struct planned *moves;
    struct wish wish;
    struct plan all;
    int n = 0;
    enum exit_code code = read_wish(cli, &wish);

    if (code == CLI_OK)
        code = plan_read(cli, link, &all);
    if (code == CLI_OK && wish.topics_len > 0)
        code = plan_only_topics(cli, link, &all, wish.topics, wish.topics_len);
    if (code == CLI_OK && wish.drain_len > 0)
        code = drain(cli, &all, wish.drain, wish.drain_len);
    if (code == CLI_OK && wish.factor > 0 &&
        spread_factor(&all.spread, (int32_t)wish.factor) != ERR_OK)
        code = too_few(cli);
    if (code == CLI_OK && (wish.even || wish.add_len > 0))
        code = even_out(cli, &all, wish.add, wish.add_len);
    if (code != CLI_OK)
        return code;
    moves = plan_moves(cli, &all, &n);
    code = moves_run(cli, link, moves, n, wish_text(cli, &wish), args_has(&cli->args, "apply"));
    return code == CLI_OK && path != NULL ? save(cli, path, moves, n) : code;
}

enum exit_code cmd_reassign_plan(struct cli *cli)
{
    return link_run(cli, plan);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum exit_code read_lines(struct cli *cli, const char *path, struct moves_line **lines,
                                 int *n)
{
    const char *why;
    size_t len;
    char *text = moves_file_load(&cli->arena, path, &len);

    if (text == NULL)
        return cli_fail(cli, CLI_FAILED, cli_text(cli, "cannot read %s: %s", path, strerror(errno)),
                        "nothing was done", NULL);
    if (!moves_file_read(&cli->arena, text, len, lines, n, &why))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "%s is no reassignment: %s", path, why),
                        "what is meant is {\"version\":1,\"partitions\":[{\"topic\":\"a\","
                        "\"partition\":0,\"replicas\":[1,2]}]}",
                        "moldau reassign export");
    for (int i = 0; i < *n; i++) {
        if ((*lines)[i].dirs != NULL)
            return cli_fail(cli, CLI_REFUSED,
                            cli_text(cli, "%s names log directories for %s", path,
                                     scope_name(cli, (*lines)[i].topic, (*lines)[i].partition)),
                            "moldau reassign moves replicas between brokers only, nothing was done",
                            "write \"any\" there, or leave log_dirs out");
    }
    return CLI_OK;
}

static enum exit_code import(struct cli *cli, struct link *link, bool apply)
{
    const char *path = cli->args.operands[0];
    struct moves_line *lines;
    struct planned *moves;
    struct part_at *parts = NULL;
    int n = 0, len = 0;
    enum exit_code code = read_lines(cli, path, &lines, &n);

    if (code == CLI_OK)
        code = scope_all(cli, link, &parts, &len);
    if (code != CLI_OK)
        return code;
    moves = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *moves);
    for (int i = 0; i < n; i++) {
        const struct part_at *part = scope_part(parts, len, lines[i].topic, lines[i].partition);

        if (part == NULL)
            return cli_fail(cli, CLI_NOT_FOUND,
                            cli_text(cli, "there is no partition %s",
                                     scope_name(cli, lines[i].topic, lines[i].partition)),
                            "nothing was done", "moldau topic list");
        moves[i] = (struct planned){ .topic = lines[i].topic,
                                     .partition = lines[i].partition,
                                     .from = { .at = part->seen->replica_nodes,
                                               .n = (uint32_t)part->seen->replica_nodes_len },
                                     .to = lines[i].replicas,
                                     .leader = part->seen->leader_id,
                                     .bytes = -1 };
    }
    n = moves_only_changes(moves, n);
    moves_measure(cli, link, moves, n);
    return moves_run(cli, link, moves, n, path, apply);
}

enum exit_code cmd_reassign_import(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = import(cli, link, args_has(&cli->args, "apply"));
    link_close(&link);
    return code;
}

enum exit_code cmd_reassign_apply(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = import(cli, link, true);
    link_close(&link);
    return code;
}

enum exit_code cmd_reassign_export(struct cli *cli)
{
    struct moves_line *lines;
    struct part_at *parts;
    struct link *link;
    int len = 0;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = cli->args.operands_len > 0
                   ? scope_find(cli, link, cli->args.operands, cli->args.operands_len, &parts, &len)
                   : scope_all(cli, link, &parts, &len);
    link_close(&link);
    if (code != CLI_OK)
        return code;
    lines = arena_zalloc(&cli->arena, (size_t)len + 1, sizeof *lines);
    for (int i = 0; i < len; i++)
        lines[i] =
            (struct moves_line){ .topic = parts[i].topic,
                                 .partition = parts[i].seen->partition_index,
                                 .replicas = { .at = parts[i].seen->replica_nodes,
                                               .n = (uint32_t)parts[i].seen->replica_nodes_len } };
    moves_file_write(stdout, lines, len);
    putchar('\n');
    return CLI_OK;
}

/* ---- status, cancel -------------------------------------------------------------------------- */

enum exit_code cmd_reassign_status(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = moves_status(cli, link, args_has(&cli->args, "watch"), NULL, 0);
    link_close(&link);
    return code;
}

/* What moves of the operands, or all of it. */
static enum exit_code find_moving(struct cli *cli, struct link *link, struct move **out, int *n)
{
    struct part_at *parts = NULL;
    struct moving *moving;
    int len = 0, moving_len;
    enum exit_code code = CLI_OK;
    enum err err;

    if (cli->args.operands_len > 0)
        code = scope_find(cli, link, cli->args.operands, cli->args.operands_len, &parts, &len);
    if (code != CLI_OK)
        return code;
    err = admin_moving(cli, link, &cli->arena, &moving, &moving_len);
    if (err != ERR_OK)
        return link_fail(link, err, "see what moves");
    *out = arena_zalloc(&cli->arena, (size_t)moving_len + 1, sizeof **out);
    *n = 0;
    for (int i = 0; i < moving_len; i++) {
        if (parts == NULL || scope_part(parts, len, moving[i].topic, moving[i].partition) != NULL)
            (*out)[(*n)++] =
                (struct move){ .topic = moving[i].topic, .partition = moving[i].partition };
    }
    return CLI_OK;
}

static enum exit_code cancel(struct cli *cli, struct link *link)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "cancelled", .head = "CANCELLED" },
        { .key = "error", .head = "ERROR" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "moves", columns);
    struct move *moves = NULL;
    int n = 0;
    enum exit_code code = find_moving(cli, link, &moves, &n);
    enum err err;

    if (code != CLI_OK)
        return code;
    err = admin_move(cli, link, moves, n);
    if (err != ERR_OK)
        return link_fail(link, err, "cancel moves");
    for (int i = 0; i < n; i++) {
        struct cell *row = table_row(table);
        bool gone = moves[i].err == ERR_NO_REASSIGNMENT_IN_PROGRESS; /* it ended meanwhile */

        row[0] = cell_text(moves[i].topic);
        row[1] = cell_int(moves[i].partition);
        row[2] = cell_bool(moves[i].err == ERR_OK);
        if (gone)
            row[3] = cell_cstr("it is there already");
        else if (moves[i].err != ERR_OK)
            row[3] = cell_cstr(moves[i].why != NULL ? moves[i].why : err_text(moves[i].err));
        if (moves[i].err != ERR_OK && !gone)
            code = cli_code(moves[i].err);
    }
    report_print(report, &cli->print, stdout);
    if (n == 0 && report_is_for_people(&cli->print))
        cli_note(cli, cli->args.operands_len > 0 ? "none of them moves" : "nothing moves");
    return code;
}

enum exit_code cmd_reassign_cancel(struct cli *cli)
{
    if (args_has(&cli->args, "all") == (cli->args.operands_len > 0))
        return cli_fail(cli, CLI_USAGE, "say which partitions, or --all", "nothing was cancelled",
                        "moldau reassign status");
    return link_run(cli, cancel);
}
