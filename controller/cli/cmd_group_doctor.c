/*
 * group doctor: looks at groups, waits, looks again, and tells what is wrong, one problem for each
 * kind of trouble of a group. The wait is longer than clients commit by default, or every healthy
 * member would seem stalled.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/group.h"
#include "controller/cli/group_judge.h"
#include "controller/cli/rk.h"

#define INTERVAL_MS 6000 /* auto.commit.interval.ms of clients is 5 s */
#define NAMED_MAX   3    /* partitions that a problem names */

struct patient {
    struct group_view before, after;
};

/* Partitions, or members, that share a trouble. */
struct ward {
    int32_t n;
    struct str names[NAMED_MAX];
    const struct describe_groups_response_member *member; /* of the first of them */
};

struct doctor {
    struct cli *cli;
    struct report *report;
    struct table *table;
    int32_t problems;
    bool grave;
};

static enum err look(struct cli *cli, struct link *link, struct group_view *view, const char *name)
{
    enum err err;

    group_view_init(view, &cli->arena, name);
    err = group_ask_description(cli, link, view);
    if (err == ERR_OK)
        err = group_ask_committed(cli, link, view);
    if (err != ERR_OK)
        return err;
    group_add_assigned(view);
    return group_find_ends(cli, link, view) == CLI_OK ? ERR_OK : ERR_IO;
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct doctor *doctor, const char *group, enum group_trouble trouble,
                 const struct ward *ward, struct problem problem)
{
    struct cli *cli = doctor->cli;
    struct cell *row = table_row(doctor->table);

    problem.act = group_trouble_is_grave(trouble) || trouble == TROUBLE_STALLED;
    row[0] = cell_cstr(group);
    row[1] = cell_cstr(group_trouble_word(trouble));
    row[2] = cell_int(ward->n);
    row[3] = cell_cstr(problem.cause);
    row[4] = cell_cstr(problem.consequence);
    row[5] = cell_cstr(problem.next);
    doctor->problems++;
    doctor->grave = doctor->grave || group_trouble_is_grave(trouble);
    if (report_is_for_people(&cli->print))
        problem_print(stdout, cli->print.color, &problem);
}

/* "orders-3, orders-4 and 5 more" */
static const char *named(struct cli *cli, const struct ward *ward)
{
    const char *text = "";

    for (int32_t i = 0; i < ward->n && i < NAMED_MAX; i++)
        text = cli_text(cli, "%s%s%.*s", text, i > 0 ? ", " : "", STR_ARG(ward->names[i]));
    return ward->n > NAMED_MAX ? cli_text(cli, "%s and %d more", text, ward->n - NAMED_MAX) : text;
}

static const char *who(struct cli *cli, const struct ward *ward)
{
    return ward->member == NULL ? "nobody"
                                : cli_text(cli, "%.*s at %.*s", STR_ARG(ward->member->client_id),
                                           STR_ARG(ward->member->client_host));
}

static struct problem describe(struct cli *cli, const char *group, enum group_trouble trouble,
                               const struct ward *ward)
{
    const char *parts = named(cli, ward);
    const char *lag = cli_text(cli, "moldau group lag %s -w", group);
    const char *members = cli_text(cli, "moldau group members %s", group);

    switch (trouble) {
    case TROUBLE_LOST:
        return (struct problem){
            .cause =
                cli_text(cli, "%s: records of %s were deleted before it read them", group, parts),
            .consequence = "they are lost to it; it goes on where auto.offset.reset says",
            .next = cli_text(cli,
                             "moldau group offsets reset %s --to earliest        longer "
                             "retention helps the next time",
                             group)
        };
    case TROUBLE_NO_LEADER:
        return (struct problem){ .cause = cli_text(cli, "%s: %s has no leader", group, parts),
                                 .consequence = "nobody can read or write it",
                                 .next = "moldau cluster status" };
    case TROUBLE_BEYOND:
        return (struct problem){
            .cause = cli_text(cli, "%s: it committed offsets behind the end of %s", group, parts),
            .consequence = "the topic was made anew or its log was cut; what is written next is "
                           "skipped or reset",
            .next = cli_text(cli, "moldau group offsets reset %s --to earliest", group)
        };
    case TROUBLE_STALLED:
        return (struct problem){
            .cause = cli_text(cli, "%s: %s commits nothing of %s although there is more to read",
                              group, who(cli, ward), parts),
            .consequence = "it hangs, does not poll, or is slower than a look of ours; others do "
                           "not get its partitions while it heartbeats",
            .next = lag
        };
    case TROUBLE_REBALANCING:
        return (struct problem){
            .cause = cli_text(cli, "%s was rebalancing at both looks", group),
            .consequence = "nobody reads meanwhile; members join and leave again and again, or one "
                           "takes too long to come back",
            .next = members
        };
    case TROUBLE_GROWING:
        return (struct problem){ .cause = cli_text(cli, "%s: %s is written faster than %s reads it",
                                                   group, parts, who(cli, ward)),
                                 .consequence = "lag grows; beyond retention records are lost",
                                 .next = lag };
    case TROUBLE_NO_MEMBER:
        return (struct problem){
            .cause = cli_text(cli, "%s: no member reads %s", group, parts),
            .consequence = "its offsets are those of an earlier subscription, or its members do "
                           "not know the partition yet",
            .next = cli_text(cli,
                             "%s        or forget them: moldau group offsets delete %s -t "
                             "TOPIC",
                             members, group)
        };
    case TROUBLE_ABANDONED:
        return (struct problem){
            .cause = cli_text(cli, "%s has no members, and unread records in %s", group, parts),
            .consequence = "nobody reads them; offsets go after offsets.retention.minutes",
            .next = cli_text(cli, "start its consumers, or: moldau group delete %s", group)
        };
    case TROUBLE_IDLE:
        return (struct problem){ .cause =
                                     cli_text(cli, "%s: %d member%s no partition (%s)", group,
                                              ward->n, ward->n == 1 ? " has" : "s have", parts),
                                 .consequence =
                                     "there are more members than partitions; they only stand by",
                                 .next = members };
    default:
        return (struct problem){
            .cause = cli_text(cli, "%s: it has offsets of %s, which is not there any more", group,
                              parts),
            .consequence = "a topic made anew under that name would be read from a wrong place",
            .next = cli_text(cli, "moldau group offsets delete %s -t TOPIC --apply", group)
        };
    }
}

/* ---- judging --------------------------------------------------------------------------------- */

static struct part_look look_of(const struct group_part *part)
{
    return (struct part_look){ .at = part->at,
                               .is_there = part->is_there,
                               .has_leader = part->leader >= 0,
                               .has_member = part->member != NULL };
}

static void add(struct ward *ward, struct str name,
                const struct describe_groups_response_member *member)
{
    if (ward->n < NAMED_MAX)
        ward->names[ward->n] = name;
    if (ward->n++ == 0)
        ward->member = member;
}

static bool has_settled(const struct group_view *view)
{
    return str_is(view->described->group_state, "Stable");
}

static void judge(struct doctor *doctor, struct patient *patient)
{
    struct cli *cli = doctor->cli;
    struct group_view *view = &patient->after;
    const struct describe_groups_response_group *group = view->described;
    bool stable = has_settled(&patient->before) && has_settled(view);
    bool empty = !group_is_active(view);
    struct ward wards[TROUBLES + 1] = { 0 };

    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[i];
        struct part_look after = look_of(part);
        struct part_look before =
            look_of(group_part(&patient->before, part->topic, part->partition));

        add(&wards[group_judge_part(&before, &after, stable, empty)],
            arena_printf(&cli->arena, "%.*s-%d", STR_ARG(part->topic), part->partition),
            part->member);
    }
    for (int32_t i = 0; stable && i < group->members_len; i++) {
        const struct describe_groups_response_member *member = &group->members[i];

        if (str_is(group->protocol_type, "consumer") &&
            group_assigned_len(group_assignment(view, member)) == 0)
            add(&wards[TROUBLE_IDLE], member->client_id, member);
    }
    if (!empty && !has_settled(view) && group_is_active(&patient->before) &&
        !has_settled(&patient->before))
        wards[TROUBLE_REBALANCING].n = 1;
    for (int trouble = 0; trouble < TROUBLES; trouble++) {
        if (wards[trouble].n > 0)
            tell(doctor, view->name, (enum group_trouble)trouble, &wards[trouble],
                 describe(cli, view->name, (enum group_trouble)trouble, &wards[trouble]));
    }
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Those that are named, or all groups of consumers. */
static enum exit_code find_patients(struct cli *cli, struct link *link, struct patient **out,
                                    int32_t *len, bool *partial)
{
    struct group_listing *groups;
    int32_t n = 0, silent = 0;
    enum exit_code code;

    *partial = false;
    *len = 0;
    if (cli->args.operands_len > 0) {
        *len = cli->args.operands_len;
        *out = arena_zalloc(&cli->arena, (size_t)*len, sizeof **out);
        for (int32_t i = 0; i < *len; i++)
            (*out)[i].before.name = cli->args.operands[i];
        return CLI_OK;
    }
    code = group_list(cli, link, NULL, NULL, &groups, &n, &silent);
    if (code != CLI_OK)
        return code;
    *partial = silent > 0;
    *out = arena_zalloc(&cli->arena, (size_t)n + 1, sizeof **out);
    for (int32_t i = 0; i < n; i++)
        (*out)[(*len)++].before.name = arena_cstr(&cli->arena, groups[i].group.group_id);
    return CLI_OK;
}

static enum exit_code first_look(struct cli *cli, struct link *link, struct patient *patient)
{
    const char *name = patient->before.name;
    enum err err = look(cli, link, &patient->before, name);

    if (err == ERR_OK && str_is(patient->before.described->group_state, "Dead"))
        err = ERR_GROUP_ID_NOT_FOUND;
    return err == ERR_OK ? CLI_OK
                         : group_fail(cli, link, &patient->before, err,
                                      cli_text(cli, "look at group %s", name));
}

static enum exit_code second_look(struct doctor *doctor, struct link *link, struct patient *patient)
{
    struct cli *cli = doctor->cli;
    enum err err = look(cli, link, &patient->after, patient->before.name);

    if (err != ERR_OK)
        return group_fail(cli, link, &patient->before, err,
                          cli_text(cli, "look at group %s", patient->before.name));
    if (!str_is(patient->after.described->group_state, "Dead")) /* deleted meanwhile */
        judge(doctor, patient);
    return CLI_OK;
}

static void wait_ms(int64_t ms)
{
    struct timespec left = { .tv_sec = (time_t)(ms / 1000),
                             .tv_nsec = (long)(ms % 1000) * 1000000 };

    nanosleep(&left, NULL); /* a signal ends the program, or only the wait */
}

static enum exit_code examine(struct doctor *doctor, struct link *link, int64_t interval_ms,
                              bool *partial)
{
    struct cli *cli = doctor->cli;
    struct patient *patients;
    int32_t len;
    enum exit_code code = find_patients(cli, link, &patients, &len, partial);

    for (int32_t i = 0; code == CLI_OK && i < len; i++)
        code = first_look(cli, link, &patients[i]);
    if (code != CLI_OK)
        return code;
    if (len > 0)
        wait_ms(interval_ms);
    cli->deadline_ms = clock_mono_ms() + cli->timeout_ms;
    for (int32_t i = 0; code == CLI_OK && i < len; i++)
        code = second_look(doctor, link, &patients[i]);
    if (code == CLI_OK && report_is_for_people(&cli->print))
        printf("%s  %d group%s, %d problem%s\n",
               doctor->grave          ? "UNAVAILABLE"
               : doctor->problems > 0 ? "DEGRADED"
                                      : "HEALTHY",
               len, len == 1 ? "" : "s", doctor->problems, doctor->problems == 1 ? "" : "s");
    report_fact(doctor->report, "groups", cell_int(len));
    report_fact(doctor->report, "verdict",
                cell_cstr(doctor->grave          ? "unavailable"
                          : doctor->problems > 0 ? "degraded"
                                                 : "healthy"));
    return code;
}

enum exit_code cmd_group_doctor(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "group", .head = "GROUP" },
        { .key = "problem", .head = "PROBLEM" },
        { .key = "count", .head = "COUNT", .right = true },
        { .key = "cause", .head = "CAUSE" },
        { .key = "consequence", .head = "CONSEQUENCE" },
        { .key = "next", .head = "NEXT" },
        { .key = NULL },
    };
    struct doctor doctor = { .cli = cli, .report = report_new(&cli->arena) };
    const char *interval = args_text(&cli->args, "interval", NULL);
    int64_t interval_ms = INTERVAL_MS;
    bool partial = false;
    struct link *link;
    enum exit_code code;

    if (interval != NULL && !cli_parse_ms(interval, &interval_ms))
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--interval '%s' is no time", interval),
                        "what is meant is 6s or 1m", "moldau help group doctor");
    doctor.table = report_table(doctor.report, "problems", columns);
    code = link_open(cli, &link);
    if (code == CLI_OK)
        code = examine(&doctor, link, interval_ms, &partial);
    link_close(&link);
    if (code != CLI_OK)
        return code;
    if (!report_is_for_people(&cli->print))
        report_print(doctor.report, &cli->print, stdout);
    return doctor.grave ? CLI_UNAVAILABLE : doctor.problems > 0 || partial ? CLI_DEGRADED : CLI_OK;
}
