/*
 * group list, show, members, lag: read, judge, print. lag -w asks again every second and prints
 * anew; the connections stay.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "controller/cli/group.h"
#include "controller/cli/group_print.h"
#include "controller/cli/rk.h"

#define WATCH_MS 1000

/* ---- list ------------------------------------------------------------------------------------ */

enum exit_code cmd_group_list(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "group", .head = "GROUP" },
        { .key = "state", .head = "STATE" },
        { .key = "protocol_type", .head = "PROTOCOL" },
        { .key = "type", .head = "TYPE", .wide = true },
        { .key = "coordinator", .head = "COORDINATOR", .right = true },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "groups", columns);
    struct group_listing *groups;
    int32_t len, silent = 0;
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = group_list(cli, link, args_text(&cli->args, "state", NULL), NULL, &groups, &len,
                          &silent);
    link_close(&link);
    if (code != CLI_OK)
        return code;
    for (int32_t i = 0; i < len; i++) {
        struct cell *row = table_row(table);

        row[0] = cell_text(groups[i].group.group_id);
        row[1] = group_state_cell(groups[i].group.group_state);
        row[2] = cell_text(groups[i].group.protocol_type);
        row[3] = cell_text(groups[i].group.group_type);
        row[4] = cell_int(groups[i].coordinator);
    }
    report_print(report, &cli->print, stdout);
    if (len == 0 && report_is_for_people(&cli->print))
        cli_note(cli, args_has(&cli->args, "state") ? "no group is in such a state"
                                                    : "no groups yet; the first consumer that "
                                                      "joins or commits makes one: moldau consume "
                                                      "TOPIC -g GROUP");
    return silent > 0 ? CLI_DEGRADED : CLI_OK;
}

/* ---- members --------------------------------------------------------------------------------- */

static enum exit_code members(struct cli *cli, struct link *link)
{
    struct group_view view;
    struct report *report = report_new(&cli->arena);
    enum exit_code code;

    group_view_init(&view, &cli->arena, cli->args.operands[0]);
    code = group_describe(cli, link, &view);
    if (code != CLI_OK)
        return code;
    group_print_members(report, &view);
    report_print(report, &cli->print, stdout);
    if (view.described->members_len == 0 && report_is_for_people(&cli->print))
        cli_note(cli, "group %s has no members: nobody reads for it", view.name);
    return CLI_OK;
}

enum exit_code cmd_group_members(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = members(cli, link);
    link_close(&link);
    return code;
}

/* ---- show and lag ---------------------------------------------------------------------------- */

/* Members and offsets, put together. */
static enum exit_code look(struct cli *cli, struct link *link, struct group_view *view)
{
    enum exit_code code = group_describe(cli, link, view);

    if (code == CLI_OK)
        code = group_add_committed(cli, link, view);
    if (code != CLI_OK)
        return code;
    group_add_assigned(view);
    return group_find_ends(cli, link, view);
}

static enum exit_code show(struct cli *cli, struct link *link, struct arena *arena,
                           const char *name, bool with_members)
{
    struct report *report = report_new(arena);
    struct group_view view;
    enum exit_code code;

    group_view_init(&view, arena, name);
    code = look(cli, link, &view);
    if (code != CLI_OK)
        return code;
    group_print_facts(report, &view);
    if (with_members)
        group_print_members(report, &view);
    group_print_lag(report, &view);
    if (report_is_for_people(&cli->print))
        group_print_heading(&view, stdout);
    report_print(report, &cli->print, stdout);
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

enum exit_code cmd_group_show(struct cli *cli)
{
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK)
        code = show(cli, link, &cli->arena, cli->args.operands[0], true);
    link_close(&link);
    return code;
}

static enum exit_code lag_once(struct cli *cli, struct link *link)
{
    enum exit_code code = CLI_OK;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    for (int i = 0; code == CLI_OK && i < cli->args.operands_len; i++) {
        if (i > 0 && report_is_for_people(&cli->print))
            putchar('\n');
        code = show(cli, link, &arena, cli->args.operands[i], false);
    }
    arena_fini(&arena);
    return code;
}

enum exit_code cmd_group_lag(struct cli *cli)
{
    const struct timespec pause = { .tv_sec = WATCH_MS / 1000 };
    bool watch = args_has(&cli->args, "watch");
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    if (code == CLI_OK && watch)
        rk_catch_signals();
    while (code == CLI_OK) {
        if (watch && cli->print.color)
            fputs("\033[H\033[J", stdout); /* home, and everything below is gone */
        code = lag_once(cli, link);
        if (fflush(stdout) != 0 || !watch || code != CLI_OK || rk_stopped())
            break;
        nanosleep(&pause, NULL);
        if (rk_stopped())
            break;
        if (report_is_for_people(&cli->print) && !cli->print.color)
            putchar('\n');
        cli->deadline_ms = clock_mono_ms() + cli->timeout_ms;
    }
    link_close(&link);
    return code;
}
