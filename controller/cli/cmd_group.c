/*
 * group list, show, members, lag: read, judge, print. lag -w asks again every second and prints
 * anew; the connections stay.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/group.h"
#include "controller/cli/group_print.h"
#include "controller/cli/rk.h"
#include "controller/cli/silence.h"

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
    return link_run(cli, members);
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
    code = group_find_ends(cli, link, view);
    if (code == CLI_OK)
        group_find_ages(link, view);
    return code;
}

/* What was committed where, and since when it is, from look to look. */
struct still {
    struct still *next;
    struct str group, topic;
    int32_t partition;
    int64_t committed;
    int64_t since_ms; /* of clock_mono_ms() */
    bool more;        /* or earlier */
};

struct stills {
    struct arena arena;
    bool seen; /* there was a look before */
    struct still *buckets[1024];
};

static struct still *find_still(struct stills *stills, const char *group,
                                const struct group_part *part)
{
    uint64_t hash = str_hash(part->topic) * 31 + str_hash(str_of(group)) +
                    (uint64_t)part->partition * 0x9e3779b97f4a7c15u;
    struct still **bucket = &stills->buckets[(hash >> 20) % ARRAY_LEN(stills->buckets)], *still;

    for (still = *bucket; still != NULL; still = still->next) {
        if (still->partition == part->partition && str_eq(still->topic, part->topic) &&
            str_is(still->group, group))
            return still;
    }
    still = arena_zalloc(&stills->arena, 1, sizeof *still);
    *still = (struct still){ .next = *bucket,
                             .group = arena_str(&stills->arena, str_of(group)),
                             .topic = arena_str(&stills->arena, part->topic),
                             .partition = part->partition,
                             .committed = INT64_MIN };
    *bucket = still;
    return still;
}

/* Who has something to read and commits nothing from look to look does not poll. The first look
 * brings what the group's log knows. */
static void note_still(struct stills *stills, struct group_view *view)
{
    int64_t now_ms = clock_mono_ms(), lag;

    for (int32_t i = 0; i < view->parts_len; i++) {
        struct group_part *part = &view->parts[i];
        struct still *still = find_still(stills, view->name, part);
        bool waits = part->member != NULL && offset_lag(&part->at, &lag) && lag > 0;

        if (still->committed != part->at.committed || !waits) {
            still->committed = part->at.committed;
            still->since_ms = now_ms - part->still_ms;
            still->more = part->still_more;
        }
        part->still_ms = now_ms - still->since_ms;
        part->still_more = still->more;
    }
}

static enum exit_code show(struct cli *cli, struct link *link, struct arena *arena,
                           const char *name, bool with_members, struct stills *stills)
{
    struct report *report = report_new(arena);
    struct group_view view;
    enum exit_code code;

    group_view_init(&view, arena, name);
    code = look(cli, link, &view);
    if (code != CLI_OK)
        return code;
    if (stills == NULL || !stills->seen)
        silence_find(link, &view);
    if (stills != NULL)
        note_still(stills, &view);
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
        code = show(cli, link, &cli->arena, cli->args.operands[0], true, NULL);
    link_close(&link);
    return code;
}

/* A line for each group. One that cannot be asked now is told and left out. */
static enum exit_code lag_of_all(struct cli *cli, struct link *link, struct arena *arena)
{
    static const struct column columns[] = {
        { .key = "group", .head = "GROUP" },
        { .key = "state", .head = "STATE" },
        { .key = "members", .head = "MEMBERS", .right = true },
        { .key = "partitions", .head = "PARTITIONS", .right = true },
        { .key = "total_lag", .head = "LAG", .right = true },
        { .key = "oldest_unread_ms", .head = "AGE", .right = true },
        { .key = "notes", .head = "NOTES", .right = true },
        { .key = NULL },
    };
    struct report *report = report_new(arena);
    struct table *table = report_table(report, "groups", columns);
    struct group_listing *groups;
    int32_t len, silent = 0;
    enum exit_code code = group_list(cli, link, NULL, NULL, &groups, &len, &silent);

    for (int32_t i = 0; code == CLI_OK && i < len; i++) {
        struct group_view view;
        struct cell *row;
        int32_t notes = 0;
        bool act;

        group_view_init(&view, arena, arena_cstr(arena, groups[i].group.group_id));
        if (look(cli, link, &view) != CLI_OK) {
            silent++;
            continue;
        }
        for (int32_t p = 0; p < view.parts_len; p++)
            notes += group_part_note(&view, &view.parts[p], &act)[0] != '\0';
        row = table_row(table);
        row[0] = cell_cstr(view.name);
        row[1] = group_state_cell(view.described->group_state);
        row[2] = cell_int(view.described->members_len);
        row[3] = cell_int(view.parts_len);
        row[4] = cell_int(group_total_lag(&view));
        row[5] = cell_age(group_oldest(&view));
        row[6] = cell_int(notes);
    }
    if (code != CLI_OK)
        return code;
    report_print(report, &cli->print, stdout);
    if (len == 0 && report_is_for_people(&cli->print))
        cli_note(cli, "no groups yet");
    if (ferror(stdout))
        return CLI_FAILED;
    return silent > 0 ? CLI_DEGRADED : CLI_OK;
}

static enum exit_code lag_once(struct cli *cli, struct link *link, struct stills *stills)
{
    enum exit_code code = CLI_OK;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (cli->args.operands_len == 0)
        code = lag_of_all(cli, link, &arena);
    for (int i = 0; code == CLI_OK && i < cli->args.operands_len; i++) {
        if (i > 0 && report_is_for_people(&cli->print))
            putchar('\n');
        code = show(cli, link, &arena, cli->args.operands[i], false, stills);
    }
    stills->seen = true;
    arena_fini(&arena);
    return code;
}

/* Looks once or, with --watch, every second. */
static enum exit_code lag(struct cli *cli, struct link *link, struct stills *stills)
{
    const struct timespec pause = { .tv_sec = WATCH_MS / 1000 };
    bool watch = args_has(&cli->args, "watch");

    if (watch)
        rk_catch_signals();
    for (;;) {
        enum exit_code code;

        if (watch && cli->print.color)
            fputs("\033[H\033[J", stdout); /* home, and everything below is gone */
        code = lag_once(cli, link, stills);
        if (fflush(stdout) != 0 || !watch || (code != CLI_OK && code != CLI_DEGRADED) ||
            rk_stopped())
            return code;
        nanosleep(&pause, NULL);
        if (rk_stopped())
            return code;
        if (report_is_for_people(&cli->print) && !cli->print.color)
            putchar('\n');
        cli->deadline_ms = clock_mono_ms() + cli->timeout_ms;
    }
}

enum exit_code cmd_group_lag(struct cli *cli)
{
    struct stills *stills = xcalloc(1, sizeof *stills);
    struct link *link = NULL;
    enum exit_code code = CLI_OK;

    arena_init(&stills->arena, SIZE_MAX);
    if (args_has(&cli->args, "all") && cli->args.operands_len > 0)
        code =
            cli_fail(cli, CLI_USAGE, "--all goes without a group", NULL, "moldau help group lag");
    if (code == CLI_OK)
        code = link_open(cli, &link);
    if (code == CLI_OK)
        code = lag(cli, link, stills);
    link_close(&link);
    arena_fini(&stills->arena);
    free(stills);
    return code;
}
