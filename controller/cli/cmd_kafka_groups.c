/*
 * kafka consumer-groups: Kafka's kafka-consumer-groups, as 3.9's ConsumerGroupCommand behaves. What
 * goes wrong with a group is told on stdout behind "Error: ", and the exit code is 0 all the same;
 * only a command line that cannot be used ends in 1, and, other than Kafka's, that nobody answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/cli/java_text.h"
#include "controller/cli/kafka_admin.h"
#include "controller/cli/kafka_groups.h"
#include "controller/cli/moment.h"

#define TIMEOUT_MS 5000 /* Kafka's default of --timeout */

static void error(const char *what)
{
    printf("\nError: %s\n", what);
}

/* Connection trouble; the exit code stays Kafka's. */
static enum exit_code failed(struct cli *cli, enum err err)
{
    error(cli_text(cli, "Executing consumer group command failed due to %s",
                   kafka_error(cli, err, NULL)));
    return CLI_OK;
}

/* ---- list ------------------------------------------------------------------------------------ */

/* Groups of consumers in the order of a HashMap of their names. */
static enum exit_code find_groups(struct cli *cli, struct link *link, const char *states,
                                  const char *types, struct group_listing **out, int32_t *len)
{
    struct group_listing *all;
    int32_t n = 0, silent;
    size_t *order;
    int32_t *hashes;
    enum exit_code code = group_list(cli, link, states, types, &all, &n, &silent);

    *len = 0;
    if (code != CLI_OK)
        return code;
    for (int32_t i = 0; i < n; i++) { /* Connect's workers and others are none */
        if (str_is(all[i].group.protocol_type, "consumer") || all[i].group.protocol_type.len == 0)
            all[(*len)++] = all[i];
    }
    *out = arena_alloc(&cli->arena, ((size_t)*len + 1) * sizeof **out);
    hashes = arena_alloc(&cli->arena, ((size_t)*len + 1) * sizeof *hashes);
    order = arena_alloc(&cli->arena, ((size_t)*len + 1) * sizeof *order);
    for (int32_t i = 0; i < *len; i++)
        hashes[i] = str_java_hash(all[i].group.group_id);
    java_hash_order(hashes, (size_t)*len, order);
    for (int32_t i = 0; i < *len; i++)
        (*out)[i] = all[order[i]];
    return CLI_OK;
}

static bool are_known(const char *list, const char *const *known, size_t known_len, bool any_case)
{
    struct str rest = str_of(list);

    while (!str_is_null(rest)) {
        struct str one = str_trim(str_split(rest, ',', &rest));
        bool found = false;

        for (size_t i = 0; i < known_len; i++)
            found = found || (one.len == strlen(known[i]) &&
                              (any_case ? strncasecmp(one.ptr, known[i], one.len)
                                        : strncmp(one.ptr, known[i], one.len)) == 0);
        if (!found)
            return false;
    }
    return true;
}

static const char *as_title(struct cli *cli, struct str text)
{
    char *out = arena_cstr(&cli->arena, text);

    if (out[0] >= 'a' && out[0] <= 'z')
        out[0] = (char)(out[0] - 'a' + 'A');
    return out;
}

static enum exit_code list(struct cli *cli, struct link *link)
{
    static const char *const states[] = {
        "PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty",
        "Assigning",          "Reconciling"
    };
    static const char *const types[] = { "classic", "consumer" };
    const char *state = args_text(&cli->args, "state", NULL),
               *type = args_text(&cli->args, "type", NULL);
    struct group_listing *groups = NULL;
    int32_t len, width = 15;
    enum exit_code code;

    if (state != NULL && state[0] != '\0' && !are_known(state, states, ARRAY_LEN(states), true))
        return kafka_usage(cli, cli_text(cli,
                                         "Invalid state list '%s'. Valid states are: "
                                         "PreparingRebalance, CompletingRebalance, Stable, Dead, "
                                         "Empty, Assigning, Reconciling",
                                         state));
    if (type != NULL && type[0] != '\0' && !are_known(type, types, ARRAY_LEN(types), true))
        return kafka_usage(cli, cli_text(cli,
                                         "Invalid types list '%s'. Valid types are: Classic, "
                                         "Consumer",
                                         type));
    code = find_groups(cli, link, state != NULL && state[0] != '\0' ? state : NULL,
                       type != NULL && type[0] != '\0' ? type : NULL, &groups, &len);
    for (int32_t i = 0; code == CLI_OK && i < len; i++)
        width = (int32_t)groups[i].group.group_id.len > width
                    ? (int32_t)groups[i].group.group_id.len
                    : width;
    if (code == CLI_OK && (state != NULL || type != NULL))
        printf("%-*s%s%s\n", width + 10, "GROUP", type != NULL ? " TYPE                " : "",
               state != NULL ? " STATE               " : "");
    for (int32_t i = 0; code == CLI_OK && i < len; i++) {
        const struct list_groups_response_group *group = &groups[i].group;

        if (state == NULL && type == NULL) {
            printf("%.*s\n", STR_ARG(group->group_id));
            continue;
        }
        printf("%-*.*s", width + 10, STR_ARG(group->group_id));
        if (type != NULL)
            printf(" %-20s", as_title(cli, group->group_type));
        if (state != NULL)
            printf(" %-20.*s", STR_ARG(group->group_state));
        putchar('\n');
    }
    return code;
}

/* ---- which groups ---------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Those of --group, or all there are, each once, by name. */
static enum exit_code wanted(struct cli *cli, struct link *link, const char ***out, int32_t *len)
{
    const char **names =
        arena_alloc(&cli->arena, ((size_t)cli->args.given_len + 1) * sizeof *names);
    struct group_listing *groups;
    int32_t n = 0, at = 0, kept = 0;
    const char *one;

    while ((one = args_next(&cli->args, "group", &at)) != NULL)
        names[n++] = one;
    if (args_has(&cli->args, "all-groups")) {
        enum exit_code code = find_groups(cli, link, NULL, NULL, &groups, &n);

        if (code != CLI_OK)
            return code;
        names = arena_alloc(&cli->arena, ((size_t)n + 1) * sizeof *names);
        for (int32_t i = 0; i < n; i++)
            names[i] = arena_cstr(&cli->arena, groups[i].group.group_id);
    }
    qsort(names, (size_t)n, sizeof *names, by_text);
    for (int32_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    }
    *out = names;
    *len = kept;
    return CLI_OK;
}

/* ---- describe -------------------------------------------------------------------------------- */

/* False when there are no rows to print; what is odd about the group has been said. */
static bool say_state(struct cli *cli, const struct group_view *view, int32_t rows)
{
    struct str state = view->described->group_state;

    if (str_is(state, "Dead")) {
        error(cli_text(cli, "Consumer group '%s' does not exist.", view->name));
        return false;
    }
    fflush(stdout);
    if (str_is(state, "Empty"))
        fprintf(stderr, "\nConsumer group '%s' has no active members.\n", view->name);
    else if (!str_is(state, "Stable"))
        fprintf(stderr, "\nWarning: Consumer group '%s' is rebalancing.\n", view->name);
    return rows > 0;
}

/* Kafka's tool looks at groups of consumers only: false, which has been said, when it is another.
 * around: what the exception about it is wrapped in. */
static bool is_of_consumers(struct cli *cli, const struct group_view *view, const char *around)
{
    struct str type = view->described->protocol_type;

    if (type.len == 0 || str_is(type, "consumer"))
        return true;
    error(cli_text(cli,
                   "Executing consumer group command failed due to %sjava.lang."
                   "IllegalArgumentException: GroupId %s is not a consumer group (%.*s).",
                   around, view->name, STR_ARG(type)));
    return false;
}

static enum exit_code describe_one(struct cli *cli, struct link *link, const char *name)
{
    bool members = args_has(&cli->args, "members"), state = args_has(&cli->args, "state");
    bool offsets = args_has(&cli->args, "offsets") || (!members && !state);
    struct group_view view;
    enum exit_code code = CLI_OK;
    enum err err;

    group_view_init(&view, &cli->arena, name);
    err = group_ask_description(cli, link, &view);
    if (err == ERR_OK && !is_of_consumers(cli, &view, ""))
        return CLI_OK;
    if (err == ERR_OK && offsets)
        err = group_ask_committed(cli, link, &view);
    if (err != ERR_OK)
        return failed(cli, err);
    if (offsets) {
        group_add_assigned(&view);
        code = group_find_ends(cli, link, &view);
        if (code == CLI_OK && say_state(cli, &view, view.parts_len))
            kafka_print_offsets(&view, stdout);
    } else if (members) {
        (void)say_state(cli, &view, view.described->members_len);
        kafka_print_members(&view, args_has(&cli->args, "verbose"), stdout);
    } else if (say_state(cli, &view, 1)) {
        const char *host = "?";
        int32_t port = 0;

        (void)link_broker(link, view.coordinator, &host, &port);
        kafka_print_state(&view, cli_text(cli, "%s:%d  (%d)", host, port, view.coordinator),
                          stdout);
    }
    return code;
}

static enum exit_code describe(struct cli *cli, struct link *link)
{
    const char **names;
    int32_t len;
    enum exit_code code;

    code = wanted(cli, link, &names, &len);
    for (int32_t i = 0; code == CLI_OK && i < len; i++)
        code = describe_one(cli, link, names[i]);
    return code;
}

/* ---- delete ---------------------------------------------------------------------------------- */

static const char *quoted(struct cli *cli, const char *list, const char *name)
{
    return cli_text(cli, "%s%s'%s'", list, list[0] != '\0' ? ", " : "", name);
}

static enum exit_code delete_groups(struct cli *cli, struct link *link)
{
    const char **names, *done = "", *problems = "";
    int32_t len;
    enum exit_code code;

    code = wanted(cli, link, &names, &len);
    for (int32_t i = 0; code == CLI_OK && i < len; i++) {
        struct group_view view;
        enum err err;

        group_view_init(&view, &cli->arena, names[i]);
        err = group_delete(cli, link, &view);
        if (err == ERR_OK)
            done = quoted(cli, done, names[i]);
        else
            problems = cli_text(cli,
                                "%s\n* Group '%s' could not be deleted due to: "
                                "java.util.concurrent.ExecutionException: %s",
                                problems, names[i], kafka_error(cli, err, NULL));
    }
    if (code != CLI_OK)
        return code;
    if (problems[0] == '\0') {
        printf("Deletion of requested consumer groups (%s) was successful.\n", done);
        return CLI_OK;
    }
    error(cli_text(cli, "Deletion of some consumer groups failed:%s", problems));
    if (done[0] != '\0')
        printf("\nThese consumer groups were deleted successfully: %s\n", done);
    return CLI_OK;
}

/* ---- reset ----------------------------------------------------------------------------------- */

struct reset {
    enum reset_how how;
    int64_t argument;
    const char *path; /* --from-file */
    bool given_up;    /* for an error that ends the whole command, and was said */
};

static enum exit_code read_reset(struct cli *cli, struct reset *reset)
{
    static const char *const scenarios[] = { "to-offset",   "to-current",  "to-datetime",
                                             "by-duration", "to-earliest", "to-latest",
                                             "shift-by",    "from-file" };
    const struct args *args = &cli->args;
    const char *text, *given = NULL;
    int64_t ago_ms;

    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        if (args_has(args, scenarios[i]))
            given = scenarios[i];
    }
    if (given == NULL)
        return kafka_usage(cli,
                           "Option '[reset-offsets]' requires one of the following scenarios: "
                           "[[to-offset], [to-current], [to-datetime], [from-file], [by-duration], "
                           "[to-earliest], [to-latest], [shift-by]]");
    text = args_text(args, given, NULL);
    reset->path = strcmp(given, "from-file") == 0 ? text : NULL;
    if (strcmp(given, "to-earliest") == 0)
        reset->how = RESET_EARLIEST;
    else if (strcmp(given, "to-latest") == 0)
        reset->how = RESET_LATEST;
    else if (strcmp(given, "to-current") == 0)
        reset->how = RESET_CURRENT;
    else if (strcmp(given, "to-offset") == 0 || reset->path != NULL)
        reset->how = RESET_OFFSET;
    else if (strcmp(given, "shift-by") == 0)
        reset->how = RESET_SHIFT;
    else
        reset->how = RESET_TIME;
    if ((strcmp(given, "to-offset") == 0 || reset->how == RESET_SHIFT) &&
        !str_to_i64(str_of(text + (text[0] == '+')), &reset->argument))
        return kafka_usage(cli,
                           cli_text(cli, "Cannot parse argument '%s' of option %s", text, given));
    if (strcmp(given, "to-datetime") == 0 && !moment_parse(text, clock_wall_ms(), &reset->argument))
        return kafka_usage(cli, cli_text(cli, "Error parsing timestamp '%s'", text));
    if (strcmp(given, "by-duration") == 0) {
        if (!moment_parse_duration(text, &ago_ms))
            return kafka_usage(cli, cli_text(cli, "Text cannot be parsed to a Duration: %s", text));
        reset->argument = clock_wall_ms() - ago_ms;
    }
    return CLI_OK;
}

static void warn(const char *text)
{
    kafka_warn("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", text);
}

/* at_time of each part becomes what the file says. */
static enum exit_code read_file(struct cli *cli, struct group_view *view, const char *path)
{
    FILE *file = fopen(path, "re");
    struct str bad;
    bool good;

    if (file == NULL)
        return kafka_usage(cli, cli_text(cli, "%s (%s)", path, strerror(errno)));
    good = group_read_offsets(view, file, false, &bad) == 0;
    fclose(file);
    if (good)
        return CLI_OK;
    return kafka_usage(cli,
                       cli_text(cli, "%s has a line that is no offset: %.*s", path, STR_ARG(bad)));
}

static enum exit_code choose_parts(struct cli *cli, struct link *link, struct group_view *view,
                                   const struct reset *reset)
{
    struct group_view committed;
    enum exit_code code = CLI_OK;
    const char *scope;
    enum err err;
    int at = 0;

    group_view_init(&committed, view->arena, view->name);
    committed.coordinator = view->coordinator;
    err = group_ask_committed(cli, link, &committed);
    if (err != ERR_OK)
        return failed(cli, err);
    if (reset->path != NULL)
        code = read_file(cli, view, reset->path);
    while (code == CLI_OK && !args_has(&cli->args, "all-topics") &&
           (scope = args_next(&cli->args, "topic", &at)) != NULL)
        code = group_add_scope(cli, link, view, scope);
    group_take_committed(view, &committed, args_has(&cli->args, "all-topics"));
    return code;
}

static const char *part_name(struct cli *cli, const struct group_part *part)
{
    return cli_text(cli, "%.*s-%d", STR_ARG(part->topic), part->partition);
}

/* Where a part goes, -1 nowhere, and what Kafka says about it. */
static int64_t plan_part(struct cli *cli, const struct reset *reset, const struct group_part *part)
{
    struct reset_step step =
        reset_plan(reset->how, reset->path != NULL ? part->at.at_time : reset->argument, &part->at);
    const char *name = part_name(cli, part);

    if (step.note == RESET_RAISED)
        warn(cli_text(cli,
                      "New offset (%" PRId64 ") is lower than earliest offset for topic "
                      "partition %s. Value will be set to %" PRId64,
                      step.asked, name, step.offset));
    if (step.note == RESET_LOWERED)
        warn(cli_text(cli,
                      "New offset (%" PRId64 ") is higher than latest offset for topic "
                      "partition %s. Value will be set to %" PRId64,
                      step.asked, name, step.offset));
    if (step.note == RESET_NONE_LATER)
        printf("\nWarn: Partition %d from topic %.*s is empty. Falling back to latest known "
               "offset.\n",
               part->partition, STR_ARG(part->topic));
    return step.offset;
}

static void print_reset(struct cli *cli, const struct group_view *view, const int64_t *offsets,
                        bool with_group)
{
    const size_t *order = kafka_part_order(view);

    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[order[i]];
        const char *number = cli_text(cli, "%" PRId64, offsets[order[i]]);

        if (offsets[order[i]] < 0)
            continue;
        if (args_has(&cli->args, "export"))
            printf("%s%s%.*s,%d,%s\n", with_group ? view->name : "", with_group ? "," : "",
                   STR_ARG(part->topic), part->partition, number);
        else
            printf("%-30s %-30.*s %-10d %-15s", view->name, STR_ARG(part->topic), part->partition,
                   number);
    }
}

/* Plans, carries out; *offsets NULL when the group is left alone, which has been said. */
static enum exit_code reset_one(struct cli *cli, struct link *link, struct group_view *view,
                                struct reset *reset, int64_t **offsets)
{
    enum err err = group_ask_description(cli, link, view);
    const size_t *order;
    enum exit_code code;

    *offsets = NULL;
    reset->given_up =
        err != ERR_OK || !is_of_consumers(cli, view, "java.util.concurrent.ExecutionException: ");
    if (err != ERR_OK)
        return failed(cli, err);
    if (reset->given_up)
        return CLI_OK;
    if (group_is_active(view)) {
        error(cli_text(cli,
                       "Assignments can only be reset if the group '%s' is inactive, but the "
                       "current state is %.*s.",
                       view->name, STR_ARG(view->described->group_state)));
        return CLI_OK;
    }
    code = choose_parts(cli, link, view, reset);
    if (code == CLI_OK)
        code = group_find_ends(cli, link, view);
    if (code != CLI_OK)
        return code;
    if (reset->how == RESET_TIME)
        group_find_times(cli, link, view, reset->argument);
    *offsets = arena_alloc(&cli->arena, ((size_t)view->parts_len + 1) * sizeof **offsets);
    order = kafka_part_order(view);
    for (int32_t i = 0; i < view->parts_len; i++) {
        const struct group_part *part = &view->parts[order[i]];

        if (reset->how == RESET_SHIFT && part->at.committed < 0)
            return kafka_usage(cli,
                               cli_text(cli,
                                        "Cannot shift offset for partition %s since there is no "
                                        "current committed offset",
                                        part_name(cli, part)));
        (*offsets)[order[i]] = plan_part(cli, reset, part);
    }
    if (!args_has(&cli->args, "execute") || args_has(&cli->args, "dry-run") || view->parts_len == 0)
        return CLI_OK;
    err = group_commit(cli, link, view, *offsets);
    for (int32_t i = 0; err == ERR_OK && i < view->parts_len; i++)
        err = (*offsets)[i] >= 0 ? view->parts[i].err : ERR_OK;
    if (err != ERR_OK)
        *offsets = NULL;
    return err == ERR_OK ? CLI_OK : failed(cli, err);
}

static enum exit_code reset_offsets(struct cli *cli, struct link *link)
{
    struct reset reset = { 0 };
    struct group_view *views;
    const char **names;
    int64_t **offsets;
    enum exit_code code;
    int32_t len;

    code = read_reset(cli, &reset);
    if (code == CLI_OK && reset.path == NULL && !args_has(&cli->args, "topic") &&
        !args_has(&cli->args, "all-topics"))
        return kafka_usage(cli,
                           "One of the reset scopes should be defined: --all-topics, --topic.");
    if (code == CLI_OK)
        code = wanted(cli, link, &names, &len);
    if (code != CLI_OK)
        return code;
    views = arena_alloc(&cli->arena, ((size_t)len + 1) * sizeof *views);
    offsets = arena_zalloc(&cli->arena, (size_t)len + 1, sizeof *offsets);
    for (int32_t i = 0; code == CLI_OK && !reset.given_up && i < len; i++) {
        group_view_init(&views[i], &cli->arena, names[i]);
        code = reset_one(cli, link, &views[i], &reset, &offsets[i]);
    }
    if (code != CLI_OK || reset.given_up)
        return code;
    if (!args_has(&cli->args, "export"))
        printf("\n%-30s %-30s %-10s %-15s", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET");
    for (int32_t i = 0; i < len; i++) {
        if (offsets[i] != NULL)
            print_reset(cli, &views[i], offsets[i], len > 1);
    }
    if (args_has(&cli->args, "export"))
        putchar('\n');
    return CLI_OK;
}

/* ---- delete-offsets -------------------------------------------------------------------------- */

static int by_topic_text(const void *a, const void *b)
{
    const struct group_part *left = a, *right = b;
    char one[300], other[300];

    snprintf(one, sizeof one, "%.*s%d", STR_ARG(left->topic), left->partition);
    snprintf(other, sizeof other, "%.*s%d", STR_ARG(right->topic), right->partition);
    return strcmp(one, other);
}

/* Adds the partitions of a scope; of a topic that is not there one of number -1. */
static enum exit_code add_topic(struct cli *cli, struct link *link, struct group_view *view,
                                const char *scope)
{
    struct metadata_response seen;
    struct str topic = str_of(scope);
    enum err err;

    if (strchr(scope, ':') != NULL)
        return group_add_scope(cli, link, view, scope);
    err = link_metadata(link, LINK_ANY, &topic, 1, &seen, view->arena);
    if (err != ERR_OK)
        return failed(cli, err);
    if (seen.topics_len == 1 && seen.topics[0].error_code == ERR_UNKNOWN_TOPIC_OR_PARTITION) {
        group_part(view, topic, -1)->err = ERR_UNKNOWN_TOPIC_OR_PARTITION;
        return CLI_OK;
    }
    return group_add_scope(cli, link, view, scope);
}

static enum exit_code delete_offsets(struct cli *cli, struct link *link)
{
    const char *name = args_text(&cli->args, "group", NULL), *scope, *topics = "";
    struct group_view view, missing;
    enum exit_code code = CLI_OK;
    enum err err = ERR_OK;
    int at = 0;

    group_view_init(&view, &cli->arena, name);
    while (code == CLI_OK && (scope = args_next(&cli->args, "topic", &at)) != NULL) {
        topics = cli_text(cli, "%s%s%s", topics, topics[0] != '\0' ? ", " : "", scope);
        code = add_topic(cli, link, &view, scope);
    }
    if (code != CLI_OK)
        return code;
    missing = view; /* those of number -1 are not asked about */
    group_view_init(&view, &cli->arena, name);
    for (int32_t i = 0; i < missing.parts_len; i++) {
        if (missing.parts[i].partition >= 0)
            (void)group_part(&view, missing.parts[i].topic, missing.parts[i].partition);
    }
    if (view.parts_len > 0)
        err = group_forget(cli, link, &view);
    for (int32_t i = 0; i < missing.parts_len; i++) {
        if (missing.parts[i].partition < 0)
            group_part(&view, missing.parts[i].topic, -1)->err = missing.parts[i].err;
    }
    for (int32_t i = 0; err == ERR_OK && i < view.parts_len; i++)
        err = view.parts[i].partition >= 0 ? view.parts[i].err : ERR_OK;
    if (err == ERR_OK)
        printf("Request succeed for deleting offsets with topic %s group %s\n", topics, name);
    else if (err == ERR_GROUP_SUBSCRIBED_TO_TOPIC || err == ERR_UNKNOWN_TOPIC_OR_PARTITION ||
             err == ERR_TOPIC_AUTHORIZATION_FAILED)
        error("Encounter some partition level error, see the follow-up details:");
    else
        error(strchr(kafka_error(cli, err, NULL), ':') + 2);
    printf("\n%-30s %-15s %-15s", "TOPIC", "PARTITION", "STATUS");
    qsort(view.parts, (size_t)view.parts_len, sizeof *view.parts, by_topic_text);
    for (int32_t i = 0; i < view.parts_len; i++) {
        const struct group_part *part = &view.parts[i];
        enum err one =
            part->err != ERR_OK ? part->err
            : err != ERR_GROUP_SUBSCRIBED_TO_TOPIC && err != ERR_UNKNOWN_TOPIC_OR_PARTITION
                ? err
                : ERR_OK;

        printf("%-30.*s %-15s %-15s", STR_ARG(part->topic),
               part->partition >= 0 ? cli_text(cli, "%d", part->partition) : "Not Provided",
               one != ERR_OK ? cli_text(cli, "Error: :%s", kafka_error(cli, one, NULL))
                             : "Successful");
    }
    return CLI_OK;
}

/* ---- the command ----------------------------------------------------------------------------- */

enum exit_code cmd_kafka_consumer_groups(struct cli *cli)
{
    static const struct kafka_action actions[] = { { "list", list, { NULL } },
                                                   { "describe", describe, { NULL } },
                                                   { "delete", delete_groups, { NULL } },
                                                   { "reset-offsets", reset_offsets, { NULL } },
                                                   { "delete-offsets", delete_offsets, { NULL } } };

    enum exit_code code = kafka_groups_check(cli);

    if (code != CLI_OK)
        return code;
    return kafka_run(cli, actions, ARRAY_LEN(actions),
                     "--list, --describe, --delete, --reset-offsets, --delete-offsets", TIMEOUT_MS);
}
