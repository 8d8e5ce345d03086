/*
 * topic alter, topic partitions add. Settings are changed at once, checked by the cluster. Whatever
 * copies data, or sends keys elsewhere, is a plan first.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "controller/cli/admin.h"
#include "controller/cli/plan.h"
#include "controller/cli/topic.h"
#include "gen/wire/apis.h"
#include "gen/wire/create_partitions.h"

#define PAUSE_MS 10

/* ---- settings -------------------------------------------------------------------------------- */

static enum exit_code read_changes(struct cli *cli, struct change **out, int *n)
{
    struct str topic = str_of(cli->args.operands[0]);
    const char *text;
    int at = 0;

    *out = arena_zalloc(&cli->arena, (size_t)cli->args.given_len + 1, sizeof **out);
    *n = 0;
    while ((text = args_next(&cli->args, "config", &at)) != NULL) {
        struct change *change = &(*out)[(*n)++];

        *change = (struct change){ .type = RESOURCE_TOPIC, .name = topic };
        change->key = str_trim(str_split(str_of(text), '=', &change->value));
        if (str_is_null(change->value) || change->key.len == 0)
            return cli_fail(cli, CLI_USAGE, cli_text(cli, "--config '%s' has no value", text),
                            "what is meant is retention.ms=3600000; --unset goes back to the "
                            "default",
                            NULL);
    }
    at = 0;
    while ((text = args_next(&cli->args, "unset", &at)) != NULL)
        (*out)[(*n)++] = (struct change){
            .type = RESOURCE_TOPIC, .name = topic, .key = str_of(text), .value = STR_NULL
        };
    return CLI_OK;
}

/* Reads what the settings are, then changes them. */
static enum exit_code change_settings(struct cli *cli, struct link *link, struct change *changes,
                                      int n, bool dry, struct report *report)
{
    static const struct column columns[] = {
        { .key = "name", .head = "SETTING" },
        { .key = "from", .head = "FROM" },
        { .key = "to", .head = "TO" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "configs", columns);
    struct str *before = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof *before);
    enum err err;

    for (int i = 0; i < n; i++)
        before[i] =
            admin_setting(cli, link, LINK_ANY, RESOURCE_TOPIC, changes[i].name, changes[i].key);
    err = admin_change(cli, link, changes, n, dry);
    if (err != ERR_OK)
        return link_fail(link, err, "change the topic");
    if (n > 0 && changes[0].err != ERR_OK)
        return cli_fail(
            cli, cli_code(changes[0].err),
            cli_text(cli, "cannot change topic %.*s: %s", STR_ARG(changes[0].name),
                     changes[0].why != NULL ? changes[0].why : err_text(changes[0].err)),
            "nothing was changed",
            cli_text(cli, "moldau topic show %.*s -o wide", STR_ARG(changes[0].name)));
    for (int i = 0; i < n; i++) {
        struct cell *row = table_row(table);

        row[0] = cell_text(changes[i].key);
        row[1] = cell_text(before[i]);
        row[2] = str_is_null(changes[i].value) ? cell_hinted(cell_cstr("(default)"), HINT_DIM)
                                               : cell_text(changes[i].value);
    }
    return CLI_OK;
}

/* ---- replication factor ---------------------------------------------------------------------- */

static enum exit_code change_factor(struct cli *cli, struct link *link, int64_t factor)
{
    const char *topic = cli->args.operands[0];
    struct planned *moves;
    struct plan plan;
    int n;
    enum exit_code code = plan_read(cli, link, &plan);

    if (code == CLI_OK)
        code = plan_only_topics(cli, link, &plan, &topic, 1);
    if (code != CLI_OK)
        return code;
    if (spread_factor(&plan.spread, (int32_t)factor) != ERR_OK)
        return cli_fail(
            cli, CLI_REFUSED,
            cli_text(cli, "there are fewer than %" PRId64 " brokers for a replica each", factor),
            "nothing was planned", "moldau broker list");
    moves = plan_moves(cli, &plan, &n);
    return moves_run(
        cli, link, moves, n,
        cli_text(cli, "%s with %s of each partition", topic, cli_count(cli, factor, "replica")),
        args_has(&cli->args, "apply"));
}

static enum exit_code alter(struct cli *cli, struct link *link)
{
    const struct metadata_response_topic *topic;
    struct report *report = report_new(&cli->arena);
    struct change *changes;
    int64_t factor = 0;
    bool dry = args_has(&cli->args, "dry-run");
    int n;
    enum exit_code code = read_changes(cli, &changes, &n);

    if (code == CLI_OK && !args_number(&cli->args, "replication-factor", 1, INT16_MAX, &factor))
        code = CLI_USAGE;
    if (code == CLI_OK && n == 0 && factor == 0)
        code = cli_fail(cli, CLI_USAGE, "nothing is to be changed",
                        "what can be is --config, --unset and --replication-factor",
                        "moldau help topic alter");
    if (code == CLI_OK && n > 0 && factor > 0)
        code =
            cli_fail(cli, CLI_USAGE, "settings and the replication factor are changed one by one",
                     "settings change at once, replicas by a plan", NULL);
    if (code == CLI_OK)
        code = topic_find(cli, link, cli->args.operands[0], &topic);
    if (code == CLI_OK && factor > 0)
        return change_factor(cli, link, factor);
    if (code == CLI_OK)
        code = change_settings(cli, link, changes, n, dry, report);
    if (code != CLI_OK)
        return code;
    report_print(report, &cli->print, stdout);
    if (dry && report_is_for_people(&cli->print))
        cli_note(cli, "the cluster would accept that; nothing was changed");
    return CLI_OK;
}

enum exit_code cmd_topic_alter(struct cli *cli)
{
    return link_run(cli, alter);
}

/* ---- partitions ------------------------------------------------------------------------------ */

static enum err judge_growth(const void *response)
{
    const struct create_partitions_response *grown = response;

    return grown->results_len == 1 ? (enum err)grown->results[0].error_code : ERR_BAD_FORMAT;
}

static enum exit_code grow(struct cli *cli, struct link *link, int32_t to, bool dry)
{
    struct create_partitions_request request;
    struct create_partitions_request_topic topic;
    struct create_partitions_response response = { .results_len = 0 };
    enum err err;

    create_partitions_request_init(&request);
    create_partitions_request_topic_init(&topic);
    topic.name = str_of(cli->args.operands[0]);
    topic.count = to;
    topic.assignments_len = -1;
    request.topics = &topic;
    request.topics_len = 1;
    request.timeout_ms = admin_left_ms(cli);
    request.validate_only = dry;
    err =
        admin_ask(cli, link, API_CREATE_PARTITIONS, &request, &response, &cli->arena, judge_growth);
    if (err == ERR_OK)
        return CLI_OK;
    if (response.results_len != 1 || response.results[0].error_code != (int16_t)err)
        return link_fail(link, err, "add partitions");
    return cli_fail(cli, cli_code(err),
                    cli_text(cli, "cannot add partitions to %s: %s", cli->args.operands[0],
                             response.results[0].error_message.len > 0
                                 ? arena_cstr(&cli->arena, response.results[0].error_message)
                                 : err_text(err)),
                    "nothing was added",
                    cli_text(cli, "moldau topic show %s", cli->args.operands[0]));
}

static bool shows_all(const struct metadata_response *seen, int32_t to)
{
    if (seen->topics_len != 1 || seen->topics[0].partitions_len != to)
        return false;
    for (int32_t p = 0; p < to; p++) {
        if (part_is_offline(&seen->topics[0].partitions[p]))
            return false;
    }
    return true;
}

/* Until every broker that answers shows all of them with leaders. */
static bool wait_grown(struct cli *cli, struct link *link, int32_t to, int *brokers)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    struct str name = str_of(cli->args.operands[0]);
    const int32_t *ids = topic_live_brokers(cli, link, brokers);

    for (int i = 0; i < *brokers; i++) {
        struct metadata_response seen;

        while (link_metadata(link, ids[i], &name, 1, &seen, &cli->arena) == ERR_OK &&
               !shows_all(&seen, to)) {
            if (clock_mono_ms() >= cli->deadline_ms)
                return false;
            nanosleep(&pause, NULL);
        }
    }
    return true;
}

/* What becomes of keys. */
static void warn_keys(struct cli *cli, struct link *link)
{
    struct str topic = str_of(cli->args.operands[0]);
    struct str policy =
        admin_setting(cli, link, LINK_ANY, RESOURCE_TOPIC, topic, STR("cleanup.policy"));
    struct problem problem = {
        .cause = "records with keys go to other partitions than before",
        .consequence = "what was written with a key stays where it is, what follows is elsewhere: "
                       "their order is lost, and joins by key miss",
        .next = "where that matters, copy into a new topic: moldau cheat copy",
    };

    if (policy.len > 0 && memmem(policy.ptr, policy.len, "compact", 7) != NULL)
        problem.consequence = "the topic is compacted: old values of a key stay in their old "
                              "partition for ever, beside newer ones in another";
    fflush(stdout);
    problem_print(stderr, cli->color_err, &problem);
}

static void print_growth(struct cli *cli, int32_t from, int32_t to, bool applied, int brokers)
{
    struct report *report = report_new(&cli->arena);

    if (report_is_for_people(&cli->print)) {
        printf("%s: %d partitions %s %d", cli->args.operands[0], from,
               applied ? "have become" : "would become", to);
        if (applied)
            printf(", known to %s", cli_count(cli, brokers, "broker"));
        putchar('\n');
        return;
    }
    report_fact(report, "topic", cell_cstr(cli->args.operands[0]));
    report_fact(report, "from", cell_int(from));
    report_fact(report, "to", cell_int(to));
    report_fact(report, "applied", cell_bool(applied));
    report_print(report, &cli->print, stdout);
}

static enum exit_code add_partitions(struct cli *cli, struct link *link)
{
    const struct metadata_response_topic *topic = NULL;
    bool apply = args_has(&cli->args, "apply");
    int64_t to = 0;
    int brokers = 0;
    enum exit_code code = CLI_USAGE;

    if (args_number(&cli->args, "to", 1, INT32_MAX, &to))
        code = to > 0
                   ? topic_find(cli, link, cli->args.operands[0], &topic)
                   : cli_fail(cli, CLI_USAGE, "say how many there are to be: --to 12", NULL, NULL);
    if (code == CLI_OK)
        code = grow(cli, link, (int32_t)to, !apply);
    if (code != CLI_OK)
        return code;
    if (apply && !wait_grown(cli, link, (int32_t)to, &brokers))
        return cli_fail(cli, CLI_TIMED_OUT,
                        "they are made, but not every broker shows them with a leader yet",
                        "clients may have to wait for them",
                        cli_text(cli, "moldau topic show %s", cli->args.operands[0]));
    assert(topic != NULL);
    print_growth(cli, topic->partitions_len, (int32_t)to, apply, brokers);
    if (!apply) {
        warn_keys(cli, link);
        if (report_is_for_people(&cli->print))
            cli_note(cli, "nothing was done yet: --apply does it; partitions cannot be taken away "
                          "again");
    }
    return CLI_OK;
}

enum exit_code cmd_topic_partitions_add(struct cli *cli)
{
    return link_run(cli, add_partitions);
}
