/*
 * cluster status: the view, judged. What is wrong is told first, as problems with cause,
 * consequence and what to type next; then who there is. The exit code says the worst of it.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/cluster_view.h"
#include "controller/cli/topic.h"

#define PARTS_SHOWN  20
#define PROBLEMS_MAX 256
#define HUNG_NEXT    "look at its machine and its log; SIGKILL and start it again if it hangs"

struct judge {
    struct cli *cli;
    const struct cluster_view *view;
    const struct place *place;
    struct problem problems[PROBLEMS_MAX];
    int problems_len;
    enum exit_code code;
};

static void add(struct judge *judge, enum exit_code code, const char *cause,
                const char *consequence, const char *next)
{
    if (code > judge->code)
        judge->code = code;
    if (judge->problems_len < PROBLEMS_MAX)
        judge->problems[judge->problems_len++] = (struct problem){
            .act = code == CLI_UNAVAILABLE, .cause = cause, .consequence = consequence, .next = next
        };
}

static const char *plural(struct cli *cli, int32_t n, const char *one)
{
    return cli_text(cli, "%d %s%s", n, one, n == 1 ? "" : "s");
}

/* "orders-3, orders-7 and 12 more" of those that pass */
static const char *some_parts(struct judge *judge, bool (*passes)(const struct part_view *))
{
    const char *text = "";
    int n = 0;

    for (int i = 0; i < judge->view->parts_len; i++) {
        const struct part_view *at = &judge->view->parts[i];

        if (!passes(at))
            continue;
        if (n < 3)
            text = cli_text(judge->cli, "%s%s%.*s-%d", text, n > 0 ? ", " : "", STR_ARG(at->topic),
                            at->part->partition_index);
        n++;
    }
    return n > 3 ? cli_text(judge->cli, "%s and %d more", text, n - 3) : text;
}

static bool is_dark(const struct part_view *at)
{
    return part_is_offline(at->part);
}

static bool is_under_min(const struct part_view *at)
{
    return !part_is_offline(at->part) && at->part->isr_nodes_len < at->min_isr;
}

static bool is_last_copy(const struct part_view *at)
{
    return !part_is_offline(at->part) && at->part->isr_nodes_len <= 1 &&
           at->part->replica_nodes_len > 1;
}

static const char *why_down(struct cli *cli, const struct broker_view *broker)
{
    if (broker->loading != NULL)
        return cli_text(cli, "broker %d starts and opens its logs: %s", broker->id,
                        cluster_how_far(cli, broker->loading));
    const char *at =
        broker->host != NULL ? cli_text(cli, " at %s:%d", broker->host, broker->port) : "";

    switch (broker->answers) {
    case ERR_REFUSED:
        return cli_text(cli, "broker %d is down: nobody listens%s", broker->id, at);
    case ERR_TIMED_OUT:
        return cli_text(cli, "broker %d does not answer%s: it hangs, or the network to it does",
                        broker->id, at);
    case ERR_BROKER_NOT_AVAILABLE:
        return broker->is_registered
                   ? cli_text(cli,
                              "broker %d is registered%s, but not in service: it starts, or it "
                              "is fenced",
                              broker->id, at)
                   : cli_text(cli, "broker %d is down: it is not in the cluster", broker->id);
    default:
        return cli_text(cli, "broker %d cannot be asked%s: %s", broker->id, at,
                        err_text(broker->answers));
    }
}

static void judge_brokers(struct judge *judge)
{
    struct cli *cli = judge->cli;

    for (int i = 0; i < judge->view->brokers_len; i++) {
        const struct broker_view *broker = &judge->view->brokers[i];

        if (broker->answers == ERR_OK && broker->loading == NULL)
            continue;
        add(judge, CLI_DEGRADED, why_down(cli, broker),
            cli_text(cli, "%s lack%s its replica; %d of them ha%s no leader",
                     plural(cli, broker->missing, "partition"), broker->missing == 1 ? "s" : "",
                     broker->dark, broker->dark == 1 ? "s" : "ve"),
            broker->loading != NULL ? "wait: it is back when all are open"
            : judge->place->local
                ? cli_text(cli, "scripts/cluster start %d        scripts/cluster log %d -n 20",
                           broker->id, broker->id)
            : broker->answers == ERR_TIMED_OUT ? HUNG_NEXT
                                               : "look at its log and start it again");
    }
}

static void judge_parts(struct judge *judge)
{
    const struct cluster_view *view = judge->view;
    struct cli *cli = judge->cli;

    if (view->offline > 0)
        add(judge, CLI_UNAVAILABLE,
            cli_text(cli, "%s no leader: %s",
                     view->offline == 1 ? "1 partition has"
                                        : cli_text(cli, "%d partitions have", view->offline),
                     some_parts(judge, is_dark)),
            "nothing can be written to or read from there until one of the replicas that were in "
            "sync is back",
            "moldau topic list --unhealthy");
    if (view->under_min_isr > 0)
        add(judge, CLI_UNAVAILABLE,
            cli_text(cli, "%s below min.insync.replicas: %s",
                     plural(cli, view->under_min_isr, "partition"),
                     some_parts(judge, is_under_min)),
            "writes with acks=all are refused there", "moldau topic list --unhealthy");
    if (view->last_copy > 0)
        add(judge, CLI_UNAVAILABLE,
            cli_text(cli, "%s down to one in-sync replica: %s",
                     plural(cli, view->last_copy, "partition"), some_parts(judge, is_last_copy)),
            "one more loss there makes data unavailable", "moldau topic list --unhealthy");
}

/* When nothing else explains it. */
static void judge_lag(struct judge *judge)
{
    const struct cluster_view *view = judge->view;
    struct cli *cli = judge->cli;

    if (view->under_replicated > 0 && judge->problems_len == 0)
        add(judge, CLI_DEGRADED,
            cli_text(cli, "%s under-replicated", plural(cli, view->under_replicated, "partition")),
            "replicas are catching up, or cannot", "moldau topic list --unhealthy");
    if (view->under_replicated > 0 && judge->code < CLI_DEGRADED)
        judge->code = CLI_DEGRADED;
}

static void judge_controllers(struct judge *judge)
{
    const struct cluster_view *view = judge->view;
    struct cli *cli = judge->cli;
    bool works = false, any = false;

    for (int i = 0; i < view->controllers_len; i++)
        any = any || view->controllers[i].answers == ERR_OK;
    for (int i = 0; i < view->controllers_len; i++) {
        const struct controller_view *one = &view->controllers[i];
        const char *name = one->id >= 0 ? cli_text(cli, "controller %d", one->id) : "a controller";

        works = works || (one->is_active && one->answers == ERR_OK);
        if (one->answers == ERR_OK || one->is_broker)
            continue;
        add(judge, CLI_DEGRADED,
            one->answers == ERR_TIMED_OUT
                ? cli_text(cli, "%s does not answer at %s:%d: it hangs", name, one->host, one->port)
                : cli_text(cli, "%s is down: %s at %s:%d", name,
                           one->answers == ERR_REFUSED ? "nobody listens" : err_text(one->answers),
                           one->host, one->port),
            !any ? "no controller is left: leaders, in-sync replicas and topics cannot change"
            : one->is_active ? "it is still named the active one, another takes over"
                             : "there is one standby fewer",
            judge->place->local ? "scripts/cluster status" : "look at its log and start it again");
    }
    if (view->zookeeper_err != ERR_OK)
        return;
    if (view->active < 0)
        add(judge, CLI_DEGRADED, "no controller is active",
            "reading and writing go on; leaders, in-sync replicas and topics cannot change",
            judge->place->local ? "scripts/cluster start c1" : "start a moldau-controller");
    else if (!works && view->controllers_len == 0)
        add(judge, CLI_DEGRADED,
            cli_text(cli, "controller %d is named the active one, but it is not to be found",
                     view->active),
            "leaders, in-sync replicas and topics cannot change until another takes over", NULL);
}

static void judge_zookeeper(struct judge *judge)
{
    const struct cluster_view *view = judge->view;
    struct cli *cli = judge->cli;

    if (view->zookeeper_err == ERR_OK)
        return;
    if (view->zookeeper == NULL) {
        cli_note(cli, "note: no broker told where ZooKeeper is, so controllers are not shown; "
                      "--zookeeper HOST:PORT");
        return;
    }
    /* Brokers may name an address that only they can reach. */
    if (!view->zookeeper_is_given && strncmp(view->zookeeper, "127.", 4) != 0 &&
        strncmp(view->zookeeper, "localhost", 9) != 0) {
        cli_note(cli,
                 "note: ZooKeeper at %s does not answer from here, so controllers are not shown; "
                 "--zookeeper HOST:PORT if it has another address",
                 view->zookeeper);
        return;
    }
    add(judge, CLI_DEGRADED, cli_text(cli, "ZooKeeper at %s does not answer", view->zookeeper),
        "reading and writing go on; leaders, in-sync replicas and topics cannot change",
        judge->place->local ? "scripts/cluster status" : "look at the ensemble's logs");
}

/* ---- printing -------------------------------------------------------------------------------- */

static struct cell address_cell(struct cli *cli, const char *host, int32_t port)
{
    return host != NULL ? cell_cstr(cli_text(cli, "%s:%d", host, port)) : (struct cell){ 0 };
}

static struct cell since_cell(struct cli *cli, int64_t since_ms)
{
    return since_ms > 0 ? cell_text(print_time(&cli->arena, since_ms, false)) : (struct cell){ 0 };
}

static struct cell broker_state(const struct broker_view *broker)
{
    if (broker->loading != NULL)
        return cell_hinted(cell_cstr("loading"), HINT_DEGRADED);
    if (broker->answers == ERR_OK && broker->is_listed)
        return broker->missing > 0 ? cell_hinted(cell_cstr("catching up"), HINT_DEGRADED)
                                   : cell_cstr("up");
    if (broker->answers == ERR_TIMED_OUT)
        return cell_hinted(cell_cstr("does not answer"), HINT_ACT);
    if (broker->is_registered && broker->answers == ERR_BROKER_NOT_AVAILABLE)
        return cell_hinted(cell_cstr("not in service"), HINT_DEGRADED);
    return cell_hinted(cell_cstr("down"), HINT_ACT);
}

static void put_brokers(struct judge *judge, struct report *report)
{
    static const struct column columns[] = {
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "address", .head = "ADDRESS" },
        { .key = "state", .head = "STATE" },
        { .key = "leads", .head = "LEADS", .right = true },
        { .key = "replicas", .head = "REPLICAS", .right = true },
        { .key = "out_of_sync", .head = "OUT-OF-SYNC", .right = true },
        { .key = "answer_us", .head = "ANSWER-US", .right = true, .wide = true },
        { .key = "since", .head = "SINCE", .wide = true },
        { .key = "software", .head = "SOFTWARE", .wide = true },
        { .key = NULL },
    };
    struct table *table = report_table(report, "brokers", columns);

    for (int i = 0; i < judge->view->brokers_len; i++) {
        const struct broker_view *broker = &judge->view->brokers[i];
        struct cell *row = table_row(table);

        row[0] = cell_int(broker->id);
        row[1] = address_cell(judge->cli, broker->host, broker->port);
        row[2] = broker_state(broker);
        row[3] = cell_int(broker->leads);
        row[4] = cell_int(broker->holds);
        row[5] = cell_int(broker->missing);
        row[6] = broker->answers == ERR_OK ? cell_int(broker->answered_us) : (struct cell){ 0 };
        row[7] = since_cell(judge->cli, broker->since_ms);
        row[8] = cell_cstr(broker->software);
    }
    table_sort(table);
}

/* Directory by directory; no table when no broker starts. */
static void put_loading(struct judge *judge, struct report *report)
{
    static const struct column columns[] = {
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "dir", .head = "LOG-DIR" },
        { .key = "logs_loaded", .head = "LOADED", .right = true },
        { .key = "logs_total", .head = "OF", .right = true },
        { .key = "bytes_read", .head = "READ-ANEW", .right = true },
        { .key = "clean_stop", .head = "CLEAN-STOP" },
        { .key = "since", .head = "SINCE", .wide = true },
        { .key = NULL },
    };
    struct table *table = NULL;
    bool people = report_is_for_people(&judge->cli->print);

    for (int i = 0; i < judge->view->brokers_len; i++) {
        const struct zk_loading *loading = judge->view->brokers[i].loading;

        for (size_t d = 0; loading != NULL && d < loading->n; d++) {
            const struct zk_loading_dir *dir = &loading->dirs[d];

            if (table == NULL)
                table = report_table(report, "loading", columns);
            struct cell *row = table_row(table);

            row[0] = cell_int(judge->view->brokers[i].id);
            row[1] = cell_text(dir->dir);
            row[2] = cell_int(dir->loaded);
            row[3] = cell_int(dir->total);
            row[4] =
                people
                    ? cell_text(print_size(&judge->cli->arena, &judge->cli->print, dir->read_bytes))
                    : cell_int(dir->read_bytes);
            row[5] = cell_bool(dir->is_clean);
            row[6] = since_cell(judge->cli, loading->timestamp_ms);
        }
    }
    if (table != NULL)
        table_sort(table);
}

/* Without any broker that answers: what ZooKeeper says, when we know where it is. */
static void note_loading(struct cli *cli, const struct place *place)
{
    struct zk_seen seen;

    if (place->zookeeper == NULL || zk_look(cli, place->zookeeper, 1000, &seen) != ERR_OK)
        return;
    for (int i = 0; i < seen.loading_len; i++)
        cli_note(cli, "note: broker %d starts and opens its logs: %s", seen.loading[i].id,
                 cluster_how_far(cli, &seen.loading[i].how_far));
}

static void put_controllers(struct judge *judge, struct report *report)
{
    static const struct column columns[] = {
        { .key = "controller", .head = "CONTROLLER", .right = true },
        { .key = "address", .head = "ADDRESS" },
        { .key = "state", .head = "STATE" },
        { .key = "active", .head = "ACTIVE", .wide = true },
        { .key = "since", .head = "SINCE", .wide = true },
        { .key = NULL },
    };
    struct table *table = report_table(report, "controllers", columns);

    for (int i = 0; i < judge->view->controllers_len; i++) {
        const struct controller_view *one = &judge->view->controllers[i];
        struct cell *row = table_row(table);

        row[0] = one->id >= 0 ? cell_int(one->id) : (struct cell){ 0 };
        row[1] = address_cell(judge->cli, one->host, one->port);
        row[2] = one->answers == ERR_TIMED_OUT ? cell_hinted(cell_cstr("does not answer"), HINT_ACT)
                 : one->answers != ERR_OK      ? cell_hinted(cell_cstr("down"), HINT_ACT)
                                               : cell_cstr(one->is_active ? "active" : "standby");
        row[3] = cell_bool(one->is_active);
        row[4] = since_cell(judge->cli, one->since_ms);
    }
    table_sort(table);
}

static void put_parts(struct judge *judge, struct report *report)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "leader", .head = "LEADER", .right = true },
        { .key = "replicas", .head = "REPLICAS" },
        { .key = "isr", .head = "ISR" },
        { .key = "min_isr", .head = "MIN-ISR", .right = true },
        { .key = "state", .head = "STATE" },
        { .key = NULL },
    };
    struct table *table = report_table(report, "partitions", columns);
    bool all = judge->cli->print.shape != PRINT_TABLE;

    for (int i = 0; i < judge->view->parts_len && (all || i < PARTS_SHOWN); i++) {
        const struct part_view *at = &judge->view->parts[i];
        struct cell *row = table_row(table);

        row[0] = cell_text(at->topic);
        row[1] = cell_int(at->part->partition_index);
        row[2] = part_is_offline(at->part) ? (struct cell){ 0 } : cell_int(at->part->leader_id);
        row[3] = cell_ids(at->part->replica_nodes, at->part->replica_nodes_len);
        row[4] = cell_ids(at->part->isr_nodes, at->part->isr_nodes_len);
        row[5] = at->min_isr >= 0 ? cell_int(at->min_isr) : (struct cell){ 0 };
        row[6] = is_dark(at)        ? cell_hinted(cell_cstr("offline"), HINT_ACT)
                 : is_under_min(at) ? cell_hinted(cell_cstr("below min.isr"), HINT_ACT)
                 : is_last_copy(at) ? cell_hinted(cell_cstr("one copy left"), HINT_ACT)
                                    : cell_hinted(cell_cstr("under-replicated"), HINT_DEGRADED);
    }
}

static const char *verdict(const struct judge *judge)
{
    if (judge->code == CLI_UNAVAILABLE)
        return judge->view->offline > 0 ? "unavailable" : "at risk";
    return judge->code == CLI_DEGRADED ? "degraded" : "healthy";
}

static void print_for_people(struct judge *judge, int64_t now_ms)
{
    struct cli *cli = judge->cli;
    const struct cluster_view *view = judge->view;
    const char *active = view->active >= 0 ? cli_text(cli, "controller %d", view->active)
                         : view->zookeeper_err == ERR_OK ? "no controller"
                                                         : "controller not known";
    enum cell_hint hint = judge->code == CLI_UNAVAILABLE ? HINT_ACT
                          : judge->code == CLI_DEGRADED  ? HINT_DEGRADED
                                                         : HINT_NONE;
    const char *word = judge->code == CLI_UNAVAILABLE
                           ? (view->offline > 0 ? "UNAVAILABLE" : "AT RISK")
                       : judge->code == CLI_DEGRADED ? "DEGRADED"
                                                     : "HEALTHY";

    if (view->active >= 0 && view->controller_epoch >= 0)
        active = cli_text(cli, "%s (epoch %d, %.*s)", active, view->controller_epoch,
                          STR_ARG(print_age(&cli->arena, now_ms - view->active_since_ms)));
    printf("cluster %s  %s  %s  zookeeper %s  %s, %s\n",
           view->cluster_id != NULL ? view->cluster_id : "-",
           plural(cli, view->brokers_len, "broker"), active,
           view->zookeeper != NULL ? view->zookeeper : "-", plural(cli, view->topics, "topic"),
           plural(cli, view->partitions, "partition"));
    printf("%s%s%s", print_color(cli->print.color, hint), word,
           print_plain(cli->print.color && hint != HINT_NONE));
    if (judge->problems_len > 0)
        printf("  %s", plural(cli, judge->problems_len, "problem"));
    printf("  %.*s\n", STR_ARG(print_time(&cli->arena, now_ms, false)));
    for (int i = 0; i < judge->problems_len; i++)
        problem_print(stdout, cli->print.color, &judge->problems[i]);
    putchar('\n');
}

static void put_problems(struct judge *judge, struct report *report)
{
    static const struct column columns[] = {
        { .key = "severity" }, { .key = "cause" }, { .key = "consequence" },
        { .key = "next" },     { .key = NULL },
    };
    struct table *table = report_table(report, "problems", columns);

    for (int i = 0; i < judge->problems_len; i++) {
        struct cell *row = table_row(table);

        row[0] = cell_cstr(judge->problems[i].act ? "unavailable" : "degraded");
        row[1] = cell_cstr(judge->problems[i].cause);
        row[2] = cell_cstr(judge->problems[i].consequence);
        row[3] = cell_cstr(judge->problems[i].next);
    }
}

static void print_all(struct judge *judge)
{
    struct cli *cli = judge->cli;
    const struct cluster_view *view = judge->view;
    struct report *report = report_new(&cli->arena);
    int64_t now_ms = clock_wall_ms();
    bool people = report_is_for_people(&cli->print);

    report_fact(report, "verdict", cell_cstr(verdict(judge)));
    report_fact(report, "at", cell_text(print_time(&cli->arena, now_ms, false)));
    report_fact(report, "cluster_id", cell_cstr(view->cluster_id));
    report_fact(report, "zookeeper", cell_cstr(view->zookeeper));
    report_fact(report, "active_controller",
                view->active >= 0 ? cell_int(view->active) : (struct cell){ 0 });
    report_fact(report, "controller_epoch",
                view->controller_epoch >= 0 ? cell_int(view->controller_epoch)
                                            : (struct cell){ 0 });
    report_fact(report, "topics_count", cell_int(view->topics));
    report_fact(report, "partitions_count", cell_int(view->partitions));
    report_fact(report, "under_replicated", cell_int(view->under_replicated));
    report_fact(report, "offline", cell_int(view->offline));
    report_fact(report, "under_min_isr", cell_int(view->under_min_isr));
    put_brokers(judge, report);
    put_loading(judge, report);
    put_controllers(judge, report);
    put_parts(judge, report);
    if (!people)
        put_problems(judge, report);
    if (people)
        print_for_people(judge, now_ms);
    report_print(report, &cli->print, stdout);
    if (people && view->parts_len > PARTS_SHOWN && cli->print.shape != PRINT_WIDE)
        printf("%d more: moldau cluster status -o wide\n", view->parts_len - PARTS_SHOWN);
}

enum exit_code cmd_cluster_status(struct cli *cli)
{
    struct cluster_view view;
    struct judge *judge = arena_zalloc(&cli->arena, 1, sizeof *judge);
    struct place place;
    struct link *link = NULL;
    enum exit_code code = place_find(cli, &place);

    if (code != CLI_OK)
        return code;
    /* No broker at all is the worst that a cluster's state can be. */
    if (link_open_at(cli, &place, &link) != CLI_OK) {
        note_loading(cli, &place);
        return CLI_UNAVAILABLE;
    }
    code = cluster_look(cli, link, &view);
    if (code == CLI_OK) {
        judge->cli = cli;
        judge->view = &view;
        judge->place = link_place(link);
        judge_parts(judge);
        judge_brokers(judge);
        judge_controllers(judge);
        judge_zookeeper(judge);
        judge_lag(judge);
        print_all(judge);
        code = judge->code;
    }
    link_close(&link);
    return code;
}
