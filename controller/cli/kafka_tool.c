/*
 * Kafka's tools read their options with jopt-simple: long ones may be cut as long as they stay
 * unique, values follow behind a blank or "=", and some options do with or without a value. Our own
 * options have the same names, so a command line is rewritten word by word and then parsed as
 * usual.
 */
#include "controller/cli/kafka_tool.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/cli/cmd.h"

/* Options that have a value only if one follows, and the one they have otherwise. */
struct optional {
    const char *name;
    const char *value;
};

static const struct optional dump_log_optional[] = { { "key-decoder-class", "StringDecoder" },
                                                     { "value-decoder-class", "StringDecoder" },
                                                     { NULL, NULL } };

/* "" stands for no value: all states. */
static const struct optional groups_optional[] = { { "state", "" },
                                                   { "type", "" },
                                                   { NULL, NULL } };

static const struct optional none_optional[] = { { NULL, NULL } };

static const struct tool {
    const char *name; /* without .sh */
    enum cmd_id cmd;
    const struct optional *optional;
} tools[] = { { "kafka-consumer-groups", CMD_kafka_consumer_groups, groups_optional },
              { "kafka-dump-log", CMD_log_dump, dump_log_optional },
              { "kafka-leader-election", CMD_kafka_leader_election, none_optional },
              { "kafka-reassign-partitions", CMD_kafka_reassign_partitions, none_optional },
              { "kafka-topics", CMD_kafka_topics, none_optional } };

static const struct tool *find_tool(const char *argv0)
{
    const char *slash = strrchr(argv0, '/'), *name = slash != NULL ? slash + 1 : argv0;
    size_t len = strlen(name);

    if (len > 3 && strcmp(name + len - 3, ".sh") == 0)
        len -= 3;
    for (size_t i = 0; i < ARRAY_LEN(tools); i++)
        if (strlen(tools[i].name) == len && memcmp(tools[i].name, name, len) == 0)
            return &tools[i];
    return NULL;
}

/* The option of the command that a word means, whole or cut; NULL when there is none or several. */
static const struct opt *find_option(enum cmd_id cmd, struct str word)
{
    const struct opt *found = opt_by_name(cmd, word.ptr, word.len);

    for (int i = 0; found == NULL && i < opts_len; i++) {
        if (opts[i].cmd != cmd || !str_starts_with(str_of(opts[i].name), word))
            continue;
        for (int j = i + 1; j < opts_len; j++)
            if (opts[j].cmd == cmd && str_starts_with(str_of(opts[j].name), word))
                return NULL;
        found = &opts[i];
    }
    return found;
}

static const char *default_of(const struct tool *tool, const char *name)
{
    for (const struct optional *optional = tool->optional; optional->name != NULL; optional++)
        if (strcmp(optional->name, name) == 0)
            return optional->value;
    return NULL;
}

bool kafka_tool_args(int argc, char *const *argv, struct arena *arena, int *out_argc,
                     char ***out_argv)
{
    const struct tool *tool = argc > 0 ? find_tool(argv[0]) : NULL;
    char **out = arena_alloc(arena, (2 * (size_t)argc + 3) * sizeof *out);
    int n = 0;

    if (tool == NULL)
        return false;
    for (struct str rest = str_of(cmds[tool->cmd].words); !str_is_null(rest);)
        out[n++] = arena_cstr(arena, str_split(rest, ' ', &rest));
    for (int i = 1; i < argc; i++) {
        bool is_long = strncmp(argv[i], "--", 2) == 0 && argv[i][2] != '\0';
        struct str value, word = is_long ? str_split(str_of(argv[i] + 2), '=', &value) : STR_NULL;
        const struct opt *opt = is_long ? find_option(tool->cmd, word) : NULL;

        if (opt == NULL) {
            out[n++] = argv[i]; /* whatever it is, the parser says what is wrong with it */
            continue;
        }
        const char *otherwise = default_of(tool, opt->name);
        bool alone = str_is_null(value) && (i + 1 == argc || argv[i + 1][0] == '-');

        if (!str_is_null(value))
            out[n++] =
                arena_cstr(arena, arena_printf(arena, "--%s=%.*s", opt->name, STR_ARG(value)));
        else if (alone && otherwise != NULL)
            out[n++] = arena_cstr(arena, arena_printf(arena, "--%s=%s", opt->name, otherwise));
        else
            out[n++] = arena_cstr(arena, arena_printf(arena, "--%s", opt->name));
    }
    out[n] = NULL;
    *out_argc = n;
    *out_argv = out;
    return true;
}

enum kafka_tool_asks kafka_tool_asks(int argc, char *const *argv)
{
    enum kafka_tool_asks asks = argc == 1 ? KAFKA_TOOL_HELP : KAFKA_TOOL_WORK;

    for (int i = 1; i < argc && asks != KAFKA_TOOL_HELP; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            asks = KAFKA_TOOL_HELP;
        else if (strcmp(argv[i], "--version") == 0)
            asks = KAFKA_TOOL_VERSION;
    }
    return asks;
}
