/*
 * controller list, status, ops, resign. ZooKeeper lists controllers, each is asked itself on its
 * own address. Of Apache Kafka the controller is one of the brokers, and there is nobody to ask.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/wire/shape.h"
#include "controller/cli/cluster_view.h"
#include "controller/cli/controller_ask.h"
#include "gen/wire/apis.h"

#define ASK_MS    1500
#define PAUSE_MS  20
#define SWITCH_MS 15000 /* for another one to be active */

struct one {
    const struct controller_view *view;
    enum err err;
    struct controller_status status;
};

struct all {
    struct cluster_view view;
    struct one *at;
    int len;
};

static void ask(struct cli *cli, struct one *one)
{
    const struct address address = { .host = one->view->host, .port = one->view->port };

    one->err = controller_ask_status(cli, &address, ASK_MS, false, &one->status);
}

static enum exit_code look(struct cli *cli, struct all *all)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    *all = (struct all){ .len = 0 };
    if (code == CLI_OK)
        code = cluster_look(cli, link, &all->view);
    link_close(&link);
    if (code != CLI_OK)
        return code;
    all->at = arena_zalloc(&cli->arena, (size_t)all->view.controllers_len + 1, sizeof *all->at);
    for (int i = 0; i < all->view.controllers_len; i++) {
        struct one *one = &all->at[all->len++];

        one->view = &all->view.controllers[i];
        if (one->view->is_broker)
            one->err = one->view->answers; /* Kafka's */
        else
            ask(cli, one);
    }
    return CLI_OK;
}

static const char *state_of(struct cli *cli, const struct one *one)
{
    const struct controller_status *status = &one->status;

    if (one->err != ERR_OK)
        return one->err == ERR_REFUSED ? "down" : "does not answer";
    if (!status->is_told)
        return one->view->is_active ? "active" : "standby";
    if (status->is_loading)
        return cli_text(cli, "loading %" PRId64 " of %" PRId64, status->load_done,
                        status->load_parts);
    if (status->is_active)
        return "active";
    if (!status->is_connected)
        return "without ZooKeeper";
    return status->is_warm ? "standby, warm" : "standby, cold";
}

static enum cell_hint hint_of(const struct one *one)
{
    if (one->err != ERR_OK)
        return HINT_ACT;
    return one->status.is_told && (one->status.is_loading || !one->status.is_connected)
               ? HINT_DEGRADED
               : HINT_NONE;
}

static enum exit_code nobody(struct cli *cli)
{
    return cli_fail(cli, CLI_NOT_FOUND, "no controller is known here",
                    "ZooKeeper does not answer, or no moldau-controller is registered there",
                    "moldau cluster status");
}

enum exit_code cmd_controller_list(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "controller", .head = "CONTROLLER", .right = true },
        { .key = "address", .head = "ADDRESS" },
        { .key = "active", .head = "ACTIVE" },
        { .key = "epoch", .head = "EPOCH", .right = true },
        { .key = "state", .head = "STATE" },
        { .key = "since", .head = "SINCE" },
        { .key = "software", .head = "VERSION", .wide = true },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "controllers", columns);
    struct all all;
    enum exit_code code = look(cli, &all);

    if (code != CLI_OK)
        return code;
    for (int i = 0; i < all.len; i++) {
        const struct one *one = &all.at[i];
        bool active = one->view->is_active;
        int64_t since_ms = active ? all.view.active_since_ms : one->view->since_ms;
        struct cell *row = table_row(table);

        if (one->view->id >= 0)
            row[0] = cell_int(one->view->id);
        row[1] = cell_cstr(cli_text(cli, "%s:%d", one->view->host, one->view->port));
        row[2] = cell_bool(active);
        if (active && all.view.controller_epoch >= 0)
            row[3] = cell_int(all.view.controller_epoch);
        row[4] = cell_hinted(cell_cstr(state_of(cli, one)), hint_of(one));
        if (since_ms > 0)
            row[5] = cell_text(print_time(&cli->arena, since_ms, false));
        row[6] = cell_cstr(one->status.software);
        if (one->err != ERR_OK)
            code = CLI_DEGRADED;
    }
    if (all.len == 0)
        return nobody(cli);
    table_sort(table);
    report_print(report, &cli->print, stdout);
    return all.view.active < 0 ? CLI_DEGRADED : code;
}

/* The one with the id of the first operand, or the active one. */
static enum exit_code choose(struct cli *cli, const struct all *all, const struct one **out)
{
    int64_t id = all->view.active;

    if (cli->args.operands_len > 0 &&
        (!str_to_i64(str_of(cli->args.operands[0]), &id) || id < 0 || id > INT32_MAX))
        return cli_fail(cli, CLI_USAGE,
                        cli_text(cli, "'%s' is no controller's id", cli->args.operands[0]), NULL,
                        "moldau controller list");
    for (int i = 0; i < all->len; i++) {
        if (all->at[i].view->id == id && id >= 0) {
            *out = &all->at[i];
            return CLI_OK;
        }
    }
    if (cli->args.operands_len > 0)
        return cli_fail(cli, CLI_NOT_FOUND, cli_text(cli, "there is no controller %" PRId64, id),
                        NULL, "moldau controller list");
    return all->len == 0 ? nobody(cli)
                         : cli_fail(cli, CLI_DEGRADED, "no controller is active",
                                    "leaders, in-sync replicas and topics cannot change",
                                    "moldau controller list");
}

/* That it told its status; says what is the matter otherwise. */
static enum exit_code must_tell(struct cli *cli, const struct one *one)
{
    assert(one != NULL);
    if (one->view->is_broker)
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "controller %d is a broker of Apache Kafka", one->view->id),
                        "it has no answer to this", "moldau controller list");
    if (one->err != ERR_OK)
        return cli_fail(cli, one->err == ERR_TIMED_OUT ? CLI_TIMED_OUT : CLI_FAILED,
                        cli_text(cli, "controller %d does not answer at %s:%d: %s", one->view->id,
                                 one->view->host, one->view->port, err_text(one->err)),
                        NULL, "moldau controller list");
    if (!one->status.is_told)
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "controller %d is of an older version", one->view->id),
                        "it does not know the question", NULL);
    return CLI_OK;
}

/* The one that is asked for, with all that it tells of itself. */
static enum exit_code look_at_one(struct cli *cli, struct all *all, const struct one **one)
{
    enum exit_code code = look(cli, all);

    if (code == CLI_OK)
        code = choose(cli, all, one);
    return code == CLI_OK ? must_tell(cli, *one) : code;
}

/* ---- status ---------------------------------------------------------------------------------- */

enum exit_code cmd_controller_status(struct cli *cli)
{
    struct report *report = report_new(&cli->arena);
    const struct controller_status *status;
    const struct one *one = NULL;
    struct all all;
    enum exit_code code = look_at_one(cli, &all, &one);

    if (code != CLI_OK)
        return code;
    status = &one->status;
    report_fact(report, "controller", cell_int(status->id));
    report_fact(report, "address",
                cell_cstr(cli_text(cli, "%s:%d", one->view->host, one->view->port)));
    report_fact(report, "state", cell_cstr(state_of(cli, one)));
    report_fact(report, "active", cell_bool(status->is_active));
    report_fact(report, "epoch", status->epoch >= 0 ? cell_int(status->epoch) : (struct cell){ 0 });
    report_fact(report, "holder",
                status->holder >= 0 ? cell_int(status->holder) : (struct cell){ 0 });
    report_fact(report, "zookeeper_connected", cell_bool(status->is_connected));
    report_fact(report, "warm", cell_bool(status->is_warm));
    report_fact(report, "busy", cell_bool(status->is_busy));
    report_fact(report, "brokers", cell_int(status->brokers));
    report_fact(report, "standbys", cell_int(status->standbys));
    report_fact(report, "requests", cell_int(status->requests));
    report_fact(report, "operations", cell_int(status->works));
    report_fact(report, "software", cell_cstr(status->software));
    if (!report_is_for_people(&cli->print)) {
        report_print(report, &cli->print, stdout);
        return CLI_OK;
    }
    printf("controller %d at %s:%d  %s", status->id, one->view->host, one->view->port,
           state_of(cli, one));
    if (status->is_active)
        printf("  epoch %d  %s connected  %s\n%s on the way%s", status->epoch,
               cli_count(cli, status->brokers, "broker"),
               cli_count(cli, status->standbys, "following standby"),
               cli_count(cli, status->works, "change"),
               status->works > 0 ? ": moldau controller ops" : "");
    else if (status->holder >= 0)
        printf("  active is controller %d", status->holder);
    printf("\n");
    return CLI_OK;
}

/* ---- ops ------------------------------------------------------------------------------------- */

static const char *describe(struct cli *cli, const struct controller_work *work)
{
    const struct wire_api *api;

    switch (work->what) {
    case CONTROL__WORK__KIND__MOVE:
        return cli_text(cli, "%s%s%s%s%s", work->adding.n > 0 ? "copied to " : "",
                        cli_ids(cli, work->adding.at, work->adding.n),
                        work->adding.n > 0 && work->removing.n > 0 ? ", " : "",
                        work->removing.n > 0 ? "leaves " : "",
                        cli_ids(cli, work->removing.at, work->removing.n));
    case CONTROL__WORK__KIND__DELETION:
        return cli_text(cli, "%s go", cli_count(cli, work->count, "partition"));
    case CONTROL__WORK__KIND__FILES:
        return cli_text(cli, "%s to delete", cli_count(cli, work->count, "replica"));
    case CONTROL__WORK__KIND__REQUEST:
        api = work->api_key >= 0 ? wire_api(work->api_key) : NULL;
        return cli_text(cli, "%s, %s to do", api != NULL ? api->name : "a request",
                        cli_count(cli, work->count, "part"));
    case CONTROL__WORK__KIND__SHUTDOWN:
        return "wants others to lead its partitions";
    default:
        return work->topic != NULL
                   ? "asked for by an old tool, in ZooKeeper"
                   : cli_text(cli, "%s being stored", cli_count(cli, work->count, "operation"));
    }
}

enum exit_code cmd_controller_ops(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "kind", .head = "KIND" },
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "broker", .head = "BROKER", .right = true },
        { .key = "adding", .head = "ADDING", .wide = true },
        { .key = "removing", .head = "REMOVING", .wide = true },
        { .key = "count", .head = "COUNT", .right = true, .wide = true },
        { .key = "age_ms", .head = "AGE", .right = true },
        { .key = "what", .head = "WHAT" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "operations", columns);
    const struct one *one = NULL;
    struct all all;
    enum exit_code code = look_at_one(cli, &all, &one);

    if (code != CLI_OK)
        return code;
    for (int i = 0; i < one->status.work_len; i++) {
        const struct controller_work *work = &one->status.work[i];
        struct cell *row = table_row(table);

        row[0] = cell_cstr(work->kind);
        row[1] = cell_cstr(work->topic);
        if (work->partition >= 0)
            row[2] = cell_int(work->partition);
        if (work->broker >= 0)
            row[3] = cell_int(work->broker);
        row[4] = cell_ids(work->adding.at, (int32_t)work->adding.n);
        row[5] = cell_ids(work->removing.at, (int32_t)work->removing.n);
        row[6] = cell_int(work->count);
        row[7] = cell_age(work->age_ms);
        row[8] = cell_cstr(describe(cli, work));
    }
    report_print(report, &cli->print, stdout);
    if (one->status.works > one->status.work_len)
        cli_note(cli, "%" PRId64 " more are not told", one->status.works - one->status.work_len);
    if (one->status.works == 0 && report_is_for_people(&cli->print))
        cli_note(cli, one->status.is_active ? "nothing is on its way"
                                            : "it is not the active one, so it has nothing to do");
    return CLI_OK;
}

/* ---- resign ---------------------------------------------------------------------------------- */

/* Another one that is active, asked of all in turns. */
static const struct one *wait_for_another(struct cli *cli, struct all *all, int32_t before)
{
    const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
    int64_t deadline_ms = clock_mono_ms() + SWITCH_MS;

    while (clock_mono_ms() < deadline_ms) {
        for (int i = 0; i < all->len; i++) {
            struct one *one = &all->at[i];

            if (one->view->id == before || one->view->is_broker)
                continue;
            ask(cli, one);
            if (one->err == ERR_OK && one->status.is_active)
                return one;
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static enum exit_code resign(struct cli *cli, struct all *all, const struct one *one)
{
    const struct address address = { .host = one->view->host, .port = one->view->port };
    struct report *report = report_new(&cli->arena);
    struct controller_status status;
    const struct one *next;
    int64_t start_ms = clock_mono_ms();
    enum err err = controller_ask_status(cli, &address, ASK_MS, true, &status);

    if (err != ERR_OK)
        return cli_fail(
            cli, cli_code(err),
            cli_text(cli, "controller %d does not answer: %s", one->view->id, err_text(err)),
            "it is not known whether it resigned", "moldau controller list");
    if (!status.resigns)
        return cli_fail(
            cli, CLI_REFUSED,
            cli_text(cli, "controller %d does not resign: %s", one->view->id,
                     status.is_active ? "no standby follows it" : "it is not the active one"),
            "it stays as it is", "moldau controller list");
    next = wait_for_another(cli, all, one->view->id);
    if (next == NULL)
        return cli_fail(cli, CLI_TIMED_OUT,
                        cli_text(cli,
                                 "controller %d gave up its seat, and none of the others is "
                                 "seen to be active yet",
                                 one->view->id),
                        "it may have taken the seat again", "moldau controller list");
    report_fact(report, "from", cell_int(one->view->id));
    report_fact(report, "to", cell_int(next->view->id));
    report_fact(report, "epoch", cell_int(next->status.epoch));
    report_fact(report, "took_ms", cell_int(clock_mono_ms() - start_ms));
    if (report_is_for_people(&cli->print))
        printf("controller %d resigned; controller %d is active, epoch %d, after %" PRId64 " ms\n",
               one->view->id, next->view->id, next->status.epoch, clock_mono_ms() - start_ms);
    else
        report_print(report, &cli->print, stdout);
    return CLI_OK;
}

enum exit_code cmd_controller_resign(struct cli *cli)
{
    const struct one *one = NULL;
    struct all all;
    enum exit_code code = look(cli, &all);
    const char *id;

    if (code == CLI_OK)
        code = choose(cli, &all, &one);
    if (code == CLI_OK)
        code = must_tell(cli, one);
    if (code != CLI_OK)
        return code;
    assert(one != NULL);
    id = cli_text(cli, "%d", one->view->id);
    code = cli_confirm(cli, cli_text(cli, "Controller %s gives up its seat to a standby.", id), id,
                       "it stays active", "moldau controller resign --yes");
    return code == CLI_OK ? resign(cli, &all, one) : code;
}
