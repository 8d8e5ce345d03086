/*
 * group offsets get, reset, delete, export, import, and group delete. What changes offsets first
 * makes a plan: which partitions, where they stand, where they would stand. Only --apply carries it
 * out, and only while the group has no members, whose next commit would undo it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "controller/cli/group.h"
#include "controller/cli/moment.h"

static struct cell number_or_null(int64_t number)
{
    return number >= 0 ? cell_int(number) : (struct cell){ 0 };
}

/* Runs work on the group that the first operand names. */
static enum exit_code with_group(struct cli *cli,
                                 enum exit_code (*work)(struct cli *cli, struct link *link,
                                                        struct group_view *view))
{
    struct group_view view;
    struct link *link;
    enum exit_code code = link_open(cli, &link);

    group_view_init(&view, &cli->arena, cli->args.operands[0]);
    if (code == CLI_OK)
        code = work(cli, link, &view);
    link_close(&link);
    return code;
}

/* ---- get, export ----------------------------------------------------------------------------- */

/* All that the group has committed, in order. */
static enum exit_code find_committed(struct cli *cli, struct link *link, struct group_view *view)
{
    enum exit_code code = group_describe(cli, link, view);

    if (code == CLI_OK)
        code = group_add_committed(cli, link, view);
    if (code == CLI_OK)
        group_sort(view);
    return code;
}

static enum exit_code get(struct cli *cli, struct link *link, struct group_view *view)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "committed", .head = "COMMITTED", .right = true },
        { .key = "leader_epoch", .head = "EPOCH", .right = true },
        { .key = "metadata", .head = "METADATA" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "offsets", columns);
    enum exit_code code = find_committed(cli, link, view);

    if (code != CLI_OK)
        return code;
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];
        struct cell *row = table_row(table);

        row[0] = cell_text(part->topic);
        row[1] = cell_int(part->partition);
        row[2] = number_or_null(part->at.committed);
        row[3] = number_or_null(part->leader_epoch);
        row[4] = cell_text(part->metadata);
    }
    report_print(report, &cli->print, stdout);
    if (view->parts_len == 0 && report_is_for_people(&cli->print))
        cli_note(cli, "group %s has committed nothing", view->name);
    return CLI_OK;
}

enum exit_code cmd_group_offsets_get(struct cli *cli)
{
    return with_group(cli, get);
}

static enum exit_code export_them(struct cli *cli, struct link *link, struct group_view *view)
{
    enum exit_code code = find_committed(cli, link, view);

    if (code != CLI_OK)
        return code;
    for (int32_t i = 0; i < view->parts_len; i++) {
        if (view->parts[i].at.committed >= 0)
            printf("%.*s,%d,%" PRId64 "\n", STR_ARG(view->parts[i].topic), view->parts[i].partition,
                   view->parts[i].at.committed);
    }
    return CLI_OK;
}

enum exit_code cmd_group_offsets_export(struct cli *cli)
{
    return with_group(cli, export_them);
}

/* ---- reset, import --------------------------------------------------------------------------- */

struct reset {
    enum reset_how how;
    int64_t argument;
    const char *path;         /* of a file of offsets; NULL: none */
    struct reset_step *steps; /* of each part */
    int64_t *offsets;         /* the same, -1 where nothing is to be done */
    int32_t changes, unknown; /* parts that move, parts that cannot */
};

static enum exit_code usage(struct cli *cli, const char *cause, const char *meant)
{
    return cli_fail(cli, CLI_USAGE, cause, meant,
                    cli_text(cli, "moldau help %s", cli->args.cmd->words));
}

static enum exit_code read_reset(struct cli *cli, struct reset *reset)
{
    const char *to = args_text(&cli->args, "to", NULL),
               *shift = args_text(&cli->args, "shift", NULL),
               *ago = args_text(&cli->args, "by-duration", NULL),
               *path = args_text(&cli->args, "from-file", NULL);

    if ((to != NULL) + (shift != NULL) + (ago != NULL) + (path != NULL) != 1)
        return usage(cli, "where to reset to is not said, or twice",
                     "one of --to, --shift, --by-duration and --from-file is what this takes");
    reset->path = path;
    reset->how = RESET_OFFSET;
    if (to != NULL && !reset_parse(to, clock_wall_ms(), &reset->how, &reset->argument))
        return usage(cli, cli_text(cli, "'%s' is no place in a log", to),
                     "what is meant is earliest, latest, current, an offset, or @TIME such as "
                     "@2026-11-20T10:00 (UTC) and @-15m");
    if (shift != NULL) {
        reset->how = RESET_SHIFT;
        if (!str_to_i64(str_of(shift + (shift[0] == '+')), &reset->argument))
            return usage(cli, cli_text(cli, "--shift '%s' is no number", shift),
                         "what is meant is -100 to read the last hundred again, 100 to skip as "
                         "many");
    }
    if (ago != NULL) {
        int64_t ago_ms;

        reset->how = RESET_TIME;
        if (!cli_parse_ms(ago, &ago_ms) && !moment_parse_duration(ago, &ago_ms))
            return usage(cli, cli_text(cli, "--by-duration '%s' is no time", ago),
                         "what is meant is 15m, 6h, 2d, or PT1H30M");
        reset->argument = clock_wall_ms() - ago_ms;
    }
    return CLI_OK;
}

/* Adds the parts that a file names and puts the offset that it wants into at_time: the file is a
 * plan by itself. */
static enum exit_code read_file(struct cli *cli, struct group_view *view, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    struct str bad;
    int number;

    if (file == NULL)
        return usage(cli, cli_text(cli, "cannot read %s: %s", path, strerror(errno)),
                     "nothing was changed");
    number = group_read_offsets(view, file, true, &bad);
    if (file != stdin)
        fclose(file);
    if (number == 0)
        return CLI_OK;
    return usage(cli, cli_text(cli, "line %d of %s is no offset: %.*s", number, path, STR_ARG(bad)),
                 "nothing was changed; what is meant is TOPIC,PARTITION,OFFSET");
}

/* The parts that are to move: those of the file, of --topic, or all that have offsets. */
static enum exit_code choose_parts(struct cli *cli, struct link *link, struct group_view *view,
                                   const struct reset *reset)
{
    struct group_view committed;
    enum exit_code code = CLI_OK;
    const char *scope;
    int at = 0;

    group_view_init(&committed, view->arena, view->name);
    committed.coordinator = view->coordinator;
    code = group_add_committed(cli, link, &committed);
    if (code == CLI_OK && reset->path != NULL)
        code = read_file(cli, view, reset->path);
    while (code == CLI_OK && (scope = args_next(&cli->args, "topic", &at)) != NULL)
        code = group_add_scope(cli, link, view, scope);
    if (code == CLI_OK)
        group_take_committed(view, &committed,
                             reset->path == NULL && !args_has(&cli->args, "topic"));
    if (code == CLI_OK && view->parts_len == 0)
        return cli_fail(cli, CLI_NOT_FOUND,
                        cli_text(cli, "group %s has no offsets and no topic is named", view->name),
                        "there is nothing to reset",
                        cli_text(cli, "moldau group offsets reset %s -t TOPIC ...", view->name));
    return code;
}

static void plan(struct group_view *view, struct reset *reset)
{
    reset->steps = arena_zalloc(view->arena, (size_t)view->parts_len + 1, sizeof *reset->steps);
    reset->offsets = arena_zalloc(view->arena, (size_t)view->parts_len + 1, sizeof *reset->offsets);
    for (int32_t i = 0; i < view->parts_len; i++) {
        struct group_part *part = &view->parts[i];

        reset->steps[i] = reset->path != NULL
                              ? reset_plan(RESET_OFFSET, part->at.at_time, &part->at)
                              : reset_plan(reset->how, reset->argument, &part->at);
        reset->offsets[i] = -1;
        if (reset->steps[i].note == RESET_UNKNOWN)
            reset->unknown++;
        else if (reset->steps[i].offset != part->at.committed) {
            reset->offsets[i] = reset->steps[i].offset;
            reset->changes++;
        }
    }
}

static const char *step_note(struct group_view *view, const struct group_part *part,
                             const struct reset_step *step)
{
    if (part->err != ERR_OK)
        return err_text(part->err);
    if (!part->is_there)
        return "left alone: there is no such partition";
    if (step->note == RESET_RAISED || step->note == RESET_LOWERED)
        return arena_cstr(view->arena, arena_printf(view->arena, "%" PRId64 " is %s", step->asked,
                                                    reset_note_text(step->note)));
    if (step->note == RESET_AS_ASKED && step->offset == part->at.committed)
        return "as it is";
    return reset_note_text(step->note);
}

static void print_plan(struct cli *cli, struct group_view *view, const struct reset *reset,
                       bool applied)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "from", .head = "FROM", .right = true },
        { .key = "to", .head = "TO", .right = true },
        { .key = "first", .head = "FIRST", .right = true, .wide = true },
        { .key = "end", .head = "END", .right = true, .wide = true },
        { .key = "lag", .head = "LAG AFTER", .right = true },
        { .key = "note", .head = "NOTE" },
        { .key = NULL },
    };
    struct report *report = report_new(view->arena);
    struct table *table;

    report_fact(report, "group", cell_cstr(view->name));
    report_fact(report, "applied", cell_bool(applied));
    report_fact(report, "changes", cell_int(reset->changes));
    table = report_table(report, "partitions", columns);
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];
        struct offset_state after = part->at;
        struct cell *row = table_row(table);
        int64_t lag;

        after.committed = reset->steps[i].offset;
        row[0] = cell_text(part->topic);
        row[1] = cell_int(part->partition);
        row[2] = number_or_null(part->at.committed);
        row[3] = number_or_null(reset->steps[i].offset);
        row[4] = number_or_null(part->at.first);
        row[5] = number_or_null(part->at.end);
        if (offset_lag(&after, &lag))
            row[6] = cell_int(lag);
        row[7] = cell_cstr(step_note(view, part, &reset->steps[i]));
    }
    report_print(report, &cli->print, stdout);
    fflush(stdout);
}

static enum exit_code refuse_active(struct cli *cli, const struct group_view *view)
{
    return cli_fail(cli, CLI_REFUSED,
                    cli_text(cli, "group %s is %.*s with %d member%s", view->name,
                             STR_ARG(view->described->group_state), view->described->members_len,
                             view->described->members_len == 1 ? "" : "s"),
                    "nothing was changed: offsets that its members commit would undo a reset",
                    cli_text(cli,
                             "stop its consumers, then again; who they are: moldau group "
                             "members %s",
                             view->name));
}

static enum exit_code apply(struct cli *cli, struct link *link, struct group_view *view,
                            struct reset *reset)
{
    enum err err;
    int32_t failed = 0;

    err = reset->changes > 0 ? group_commit(cli, link, view, reset->offsets) : ERR_OK;
    if (err != ERR_OK)
        return group_fail(cli, link, view, err, cli_text(cli, "reset group %s", view->name));
    for (int32_t i = 0; i < view->parts_len; i++)
        failed += reset->offsets[i] >= 0 && view->parts[i].err != ERR_OK;
    print_plan(cli, view, reset, true);
    if (failed > 0)
        return cli_fail(cli, CLI_FAILED,
                        cli_text(cli, "%d of %d partitions were not reset", failed, reset->changes),
                        "the others are; the notes say why",
                        cli_text(cli, "moldau group offsets get %s", view->name));
    if (report_is_for_people(&cli->print))
        cli_note(cli, "reset %d partition%s", reset->changes, reset->changes == 1 ? "" : "s");
    return CLI_OK;
}

static enum exit_code do_reset(struct cli *cli, struct link *link, struct group_view *view,
                               struct reset *reset)
{
    enum err err = group_ask_description(cli, link, view);
    enum exit_code code;

    if (err != ERR_OK)
        return group_fail(cli, link, view, err, "look up the group");
    if (args_has(&cli->args, "apply") && group_is_active(view))
        return refuse_active(cli, view);
    code = choose_parts(cli, link, view, reset);
    if (code == CLI_OK)
        code = group_find_ends(cli, link, view);
    if (code != CLI_OK)
        return code;
    if (reset->how == RESET_TIME)
        group_find_times(cli, link, view, reset->argument);
    plan(view, reset);
    if (!args_has(&cli->args, "apply")) {
        print_plan(cli, view, reset, false);
        if (report_is_for_people(&cli->print))
            cli_note(cli, "nothing was changed; the same with --apply does it%s",
                     group_is_active(view) ? ", once the group has no members" : "");
    } else {
        code = apply(cli, link, view, reset);
    }
    if (code == CLI_OK && reset->unknown > 0)
        return cli_fail(cli, CLI_DEGRADED,
                        cli_text(cli, "%d partition%s not there or without a leader that answers",
                                 reset->unknown, reset->unknown == 1 ? " is" : "s are"),
                        "their offsets stay as they are", "moldau topic list --unhealthy");
    return code;
}

static enum exit_code reset(struct cli *cli, struct link *link, struct group_view *view)
{
    struct reset reset = { 0 };
    enum exit_code code = read_reset(cli, &reset);

    return code == CLI_OK ? do_reset(cli, link, view, &reset) : code;
}

enum exit_code cmd_group_offsets_reset(struct cli *cli)
{
    return with_group(cli, reset);
}

static enum exit_code import_them(struct cli *cli, struct link *link, struct group_view *view)
{
    struct reset reset = { .how = RESET_OFFSET, .path = cli->args.operands[1] };

    return do_reset(cli, link, view, &reset);
}

enum exit_code cmd_group_offsets_import(struct cli *cli)
{
    return with_group(cli, import_them);
}

/* ---- delete ---------------------------------------------------------------------------------- */

/* The committed offsets in the scopes of --topic. */
static enum exit_code choose_forgotten(struct cli *cli, struct link *link, struct group_view *view)
{
    struct group_view committed;
    enum exit_code code;
    const char *scope;
    int at = 0;

    if (!args_has(&cli->args, "topic"))
        return usage(cli, "no topic is named",
                     "what is meant is -t TOPIC or -t TOPIC:0,1; all of a group's offsets go with "
                     "the group");
    group_view_init(&committed, view->arena, view->name);
    committed.coordinator = view->coordinator;
    code = group_add_committed(cli, link, &committed);
    while (code == CLI_OK && (scope = args_next(&cli->args, "topic", &at)) != NULL) {
        int32_t len, *only, found = 0;
        struct str topic;

        if (!topic_scope_parse(str_of(scope), &topic, NULL, &len))
            return usage(cli, cli_text(cli, "'%s' names no partitions", scope),
                         "what is meant is TOPIC, or TOPIC:0,1,2");
        only = arena_zalloc(view->arena, (size_t)len + 1, sizeof *only);
        (void)topic_scope_parse(str_of(scope), &topic, only, &len);
        for (int32_t i = 0; i < committed.parts_len; i++) {
            const struct group_part *part = &committed.parts[i];
            bool wanted = len == 0 && str_eq(part->topic, topic);

            for (int32_t j = 0; j < len && str_eq(part->topic, topic); j++)
                wanted = wanted || only[j] == part->partition;
            if (wanted) {
                group_part(view, part->topic, part->partition)->at = part->at;
                found++;
            }
        }
        if (found == 0)
            return cli_fail(cli, CLI_NOT_FOUND,
                            cli_text(cli, "group %s has no offsets of %s", view->name, scope),
                            "nothing was changed",
                            cli_text(cli, "moldau group offsets get %s", view->name));
    }
    return code;
}

static void print_forgotten(struct cli *cli, struct group_view *view, bool applied)
{
    static const struct column columns[] = {
        { .key = "topic", .head = "TOPIC" },
        { .key = "partition", .head = "P", .right = true },
        { .key = "committed", .head = "COMMITTED", .right = true },
        { .key = "deleted", .head = "DELETED" },
        { .key = "note", .head = "NOTE" },
        { .key = NULL },
    };
    struct report *report = report_new(view->arena);
    struct table *table = report_table(report, "offsets", columns);

    group_sort(view);
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];
        struct cell *row = table_row(table);

        row[0] = cell_text(part->topic);
        row[1] = cell_int(part->partition);
        row[2] = number_or_null(part->at.committed);
        row[3] = cell_bool(applied && part->err == ERR_OK);
        row[4] = cell_cstr(part->err != ERR_OK ? err_text(part->err) : "");
    }
    report_print(report, &cli->print, stdout);
    fflush(stdout);
}

static enum exit_code forget(struct cli *cli, struct link *link, struct group_view *view)
{
    enum exit_code code = group_describe(cli, link, view);
    int32_t failed = 0;
    enum err err;

    if (code == CLI_OK)
        code = choose_forgotten(cli, link, view);
    if (code != CLI_OK)
        return code;
    if (!args_has(&cli->args, "apply")) {
        print_forgotten(cli, view, false);
        if (report_is_for_people(&cli->print))
            cli_note(cli, "nothing was changed; the same with --apply does it");
        return CLI_OK;
    }
    err = group_forget(cli, link, view);
    if (err != ERR_OK)
        return group_fail(cli, link, view, err,
                          cli_text(cli, "delete offsets of group %s", view->name));
    print_forgotten(cli, view, true);
    for (int32_t i = 0; i < view->parts_len; i++)
        failed += view->parts[i].err != ERR_OK;
    if (failed > 0)
        return cli_fail(cli, CLI_REFUSED,
                        cli_text(cli, "%d of %d offsets were not deleted", failed, view->parts_len),
                        "members of the group read those topics",
                        cli_text(cli, "moldau group members %s", view->name));
    return CLI_OK;
}

enum exit_code cmd_group_offsets_delete(struct cli *cli)
{
    return with_group(cli, forget);
}

enum exit_code cmd_group_delete(struct cli *cli)
{
    static const struct column columns[] = { { .key = "group" },
                                             { .key = "deleted" },
                                             { .key = NULL } };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "groups", columns);
    struct link *link = NULL;
    enum exit_code code =
        cli_confirm_delete(cli, "group", "all offsets of group", "its offsets are still there");

    if (code == CLI_OK)
        code = link_open(cli, &link);
    if (code != CLI_OK)
        return code;
    for (int i = 0; i < cli->args.operands_len; i++) {
        struct cell *row = table_row(table);
        struct group_view view;
        enum err err;

        group_view_init(&view, &cli->arena, cli->args.operands[i]);
        err = group_delete(cli, link, &view);
        row[0] = cell_cstr(view.name);
        row[1] = cell_bool(err == ERR_OK);
        if (err == ERR_OK && report_is_for_people(&cli->print))
            printf("deleted %s\n", view.name);
        else if (err != ERR_OK &&
                 (err != ERR_GROUP_ID_NOT_FOUND || !args_has(&cli->args, "if-exists")))
            code = group_fail(cli, link, &view, err, cli_text(cli, "delete group %s", view.name));
    }
    if (!report_is_for_people(&cli->print))
        report_print(report, &cli->print, stdout);
    link_close(&link);
    return code;
}
