/*
 * Which options of kafka-consumer-groups go together. Kafka looks at them before it connects, in
 * this order; it prints the options that it has beside its sentence.
 */
#include "common/base/mem.h"
#include "controller/cli/kafka_admin.h"
#include "controller/cli/kafka_groups.h"

/* Options that mean something only beside others. */
static const struct {
    const char *option, *beside[2];
} available[] = {
    { "members", { "describe" } },       { "offsets", { "describe" } },
    { "verbose", { "describe" } },       { "type", { "list" } },
    { "state", { "describe", "list" } },
};

/* The ways to say where offsets go: one at a time. */
static const char *const scenarios[] = { "to-offset", "to-datetime", "by-duration", "to-earliest",
                                         "to-latest", "to-current",  "shift-by",    "from-file" };

/* Options that exclude each other, whatever else is said. */
static const struct {
    const char *option, *other;
} excluded[] = {
    { "group", "all-groups" },
    { "group", "list" },
    { "topic", "list" },
    { "topic", "describe" },
};

static enum exit_code check_available(struct cli *cli)
{
    for (size_t i = 0; i < ARRAY_LEN(available); i++) {
        bool found = !args_has(&cli->args, available[i].option);

        for (size_t j = 0; j < ARRAY_LEN(available[i].beside); j++)
            found = found || (available[i].beside[j] != NULL &&
                              args_has(&cli->args, available[i].beside[j]));
        if (!found)
            return kafka_usage(cli, cli_text(cli,
                                             "Option(s) [%s] are unavailable given other options "
                                             "on the command line",
                                             available[i].option));
    }
    return CLI_OK;
}

static enum exit_code exclude(struct cli *cli, const char *option, const char *other)
{
    if (!args_has(&cli->args, option) || !args_has(&cli->args, other))
        return CLI_OK;
    return kafka_usage(
        cli, cli_text(cli, "Option \"[%s]\" can't be used with option \"[%s]\"", option, other));
}

static enum exit_code check_groups_named(struct cli *cli, const char *action)
{
    if (args_has(&cli->args, "group") || args_has(&cli->args, "all-groups"))
        return CLI_OK;
    return kafka_usage(
        cli,
        cli_text(cli, "Option [%s] takes one of these options: [all-groups], [group]", action));
}

static enum exit_code check_describe(struct cli *cli)
{
    const struct args *args = &cli->args;
    const char *state = args_text(args, "state", "");
    enum exit_code code = check_groups_named(cli, "describe");

    if (code != CLI_OK)
        return code;
    if (args_has(args, "members") + args_has(args, "offsets") + args_has(args, "state") > 1)
        return kafka_usage(cli, "Option [describe] takes at most one of these options: [members], "
                                "[offsets], [state]");
    if (state[0] != '\0')
        return kafka_usage(cli, "Option [describe] does not take a value for [state]");
    return CLI_OK;
}

static enum exit_code check_delete(struct cli *cli)
{
    enum exit_code code = check_groups_named(cli, "delete");

    if (code == CLI_OK && args_has(&cli->args, "topic"))
        return kafka_usage(cli, "The consumer does not support topic-specific offset deletion from "
                                "a consumer group.");
    return code;
}

static enum exit_code check_delete_offsets(struct cli *cli)
{
    if (args_has(&cli->args, "group") && args_has(&cli->args, "topic"))
        return CLI_OK;
    return kafka_usage(cli,
                       "Option [delete-offsets] takes the following options: [topic], [group]");
}

static enum exit_code check_reset(struct cli *cli)
{
    bool dry = args_has(&cli->args, "dry-run"), execute = args_has(&cli->args, "execute");
    enum exit_code code;

    if (dry && execute)
        return kafka_usage(cli, "Option [reset-offsets] only accepts one of [execute] and "
                                "[dry-run]");
    if (!dry && !execute)
        fprintf(stderr, "WARN: No action will be performed as the --execute option is missing."
                        "In a future major release, the default behavior of this command will be "
                        "to prompt the user before executing the reset rather than doing a dry "
                        "run. You should add the --dry-run option explicitly if you are scripting "
                        "this command and want to keep the current default behavior without "
                        "prompting.\n");
    code = check_groups_named(cli, "reset-offsets");
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++) {
        for (size_t j = 0; code == CLI_OK && j < ARRAY_LEN(scenarios); j++)
            code = i != j ? exclude(cli, scenarios[i], scenarios[j]) : CLI_OK;
    }
    return code;
}

enum exit_code kafka_groups_check(struct cli *cli)
{
    static const struct {
        const char *action;
        enum exit_code (*check)(struct cli *cli);
    } checks[] = {
        { "describe", check_describe },
        { "delete", check_delete },
        { "delete-offsets", check_delete_offsets },
        { "reset-offsets", check_reset },
    };
    enum exit_code code = check_available(cli);

    for (size_t i = 0; code == CLI_OK && i < ARRAY_LEN(checks); i++)
        code = args_has(&cli->args, checks[i].action) ? checks[i].check(cli) : CLI_OK;
    for (size_t i = 0; code == CLI_OK && i < ARRAY_LEN(excluded); i++)
        code = exclude(cli, excluded[i].option, excluded[i].other);
    return code;
}
