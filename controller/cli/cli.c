/*
 * A run: parse, set up how to print, then the command's function. What a command leaves in stdout's
 * buffer is flushed here, and a full disk or a closed pipe at the other end is a failure too.
 */
#include "controller/cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "controller/cli/kafka_tool.h"

const char *cli_text(struct cli *cli, const char *format, ...)
{
    va_list args;
    char *text, *kept;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        abort();
    va_end(args);
    kept = arena_cstr(&cli->arena, str_of(text));
    free(text);
    return kept;
}

void problem_print(FILE *out, bool color, const struct problem *problem)
{
    fprintf(out, "  %s%s%s %s\n", print_color(color, problem->act ? HINT_ACT : HINT_DEGRADED),
            problem->act ? "✗" : "!", print_plain(color), problem->cause);
    if (problem->consequence != NULL)
        fprintf(out, "      %s\n", problem->consequence);
    if (problem->next != NULL)
        fprintf(out, "      next: %s\n", problem->next);
}

enum exit_code cli_fail(struct cli *cli, enum exit_code code, const char *cause,
                        const char *consequence, const char *next)
{
    struct problem problem = {
        .act = true, .cause = cause, .consequence = consequence, .next = next
    };

    fflush(stdout);
    problem_print(stderr, cli->color_err, &problem);
    return code;
}

void cli_note(struct cli *cli, const char *format, ...)
{
    va_list args;

    (void)cli;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

enum exit_code cli_code(enum err err)
{
    switch (err) {
    case ERR_OK:
        return CLI_OK;
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_NOT_FOUND:
    case ERR_UNKNOWN_TOPIC_ID:
        return CLI_NOT_FOUND;
    case ERR_POLICY_VIOLATION:
    case ERR_TOPIC_DELETION_DISABLED:
    case ERR_TOPIC_AUTHORIZATION_FAILED:
    case ERR_GROUP_AUTHORIZATION_FAILED:
    case ERR_CLUSTER_AUTHORIZATION_FAILED:
        return CLI_REFUSED;
    case ERR_TIMED_OUT:
    case ERR_REQUEST_TIMED_OUT:
        return CLI_TIMED_OUT;
    default:
        return CLI_FAILED;
    }
}

bool cli_parse_ms(const char *text, int64_t *ms)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = { { "ms", 1 },    { "s", 1000 },    { "", 1000 },
                  { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    size_t digits = strspn(text, "0123456789");
    int64_t number;

    if (digits > 12 || !str_to_i64((struct str){ .ptr = text, .len = digits }, &number))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (strcmp(text + digits, units[i].unit) == 0) {
            *ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

static bool wants_color(const struct cli *cli, int fd)
{
    const char *how = args_text(&cli->args, "color", "auto");
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    if (strcmp(how, "auto") != 0)
        return strcmp(how, "always") == 0;
    return isatty(fd) && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

bool cli_shape(const char *word, enum print_shape *shape)
{
    static const char *const words[] = { "table", "wide", "json", "ndjson", "csv", "name" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *shape = (enum print_shape)i;
            return true;
        }
    }
    return false;
}

static enum exit_code set_up(struct cli *cli)
{
    const char *timeout = args_text(&cli->args, "timeout", "30s");

    cli->print.color = wants_color(cli, STDOUT_FILENO);
    cli->color_err = wants_color(cli, STDERR_FILENO);
    cli->print.bytes = args_has(&cli->args, "bytes");
    (void)cli_shape(args_text(&cli->args, "output", "table"), &cli->print.shape);
    if (args_has(&cli->args, "json"))
        cli->print.shape = PRINT_JSON;
    cli->trace = args_has(&cli->args, "trace") ? stderr : NULL;
    if (!cli_parse_ms(timeout, &cli->timeout_ms) || cli->timeout_ms == 0)
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "--timeout '%s' is no time", timeout),
                        "what is meant is 500ms, 10s, 2m or 1h", NULL);
    cli->deadline_ms = clock_mono_ms() + cli->timeout_ms;
    return CLI_OK;
}

static bool typed_again(const char *warning, const char *name)
{
    char line[512];

    fprintf(stderr, "%s Type its name to go on: ", warning);
    fflush(stderr);
    if (fgets(line, sizeof line, stdin) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return strcmp(line, name) == 0;
}

enum exit_code cli_confirm(struct cli *cli, const char *warning, const char *name, const char *kept,
                           const char *next)
{
    if (args_has(&cli->args, "yes"))
        return CLI_OK;
    if (!isatty(STDIN_FILENO))
        return cli_fail(cli, CLI_REFUSED, cli_text(cli, "%s It wants to be confirmed", warning),
                        kept, next);
    if (!typed_again(warning, name))
        return cli_fail(cli, CLI_REFUSED, "that was not the name", kept, NULL);
    cli->deadline_ms = clock_mono_ms() + cli->timeout_ms; /* whoever types is not hurried */
    return CLI_OK;
}

enum exit_code cli_confirm_delete(struct cli *cli, const char *noun, const char *loses,
                                  const char *kept)
{
    const char *consequence = cli_text(cli, "nothing was deleted, %s", kept);
    enum exit_code code = CLI_OK;

    for (int i = 0; code == CLI_OK && i < cli->args.operands_len; i++) {
        const char *name = cli->args.operands[i];

        code = cli_confirm(cli, cli_text(cli, "This deletes %s %s.", loses, name), name,
                           consequence, cli_text(cli, "moldau %s delete %s --yes", noun, name));
    }
    return code;
}

const char *cli_ids(struct cli *cli, const int32_t *ids, size_t len)
{
    struct str text = STR_EMPTY;

    for (size_t i = 0; i < len; i++)
        text = arena_printf(&cli->arena, "%.*s%s%d", STR_ARG(text), i > 0 ? "," : "", ids[i]);
    return arena_cstr(&cli->arena, text);
}

const char *cli_count(struct cli *cli, int64_t n, const char *one)
{
    return cli_text(cli, "%lld %s%s", (long long)n, one, n == 1 ? "" : "s");
}

/* As Kafka's tools do: help on stderr, as of a command line that cannot be used. */
static enum exit_code answer_as_kafka(struct cli *cli, enum kafka_tool_asks asks, char *const *argv)
{
    char **words;
    int words_len;
    enum exit_code code;

    if (asks == KAFKA_TOOL_VERSION) {
        puts(KAFKA_TOOL_VERSION_TEXT " (moldau " MOLDAU_VERSION ")");
        return CLI_OK;
    }
    (void)kafka_tool_args(1, argv, &cli->arena, &words_len, &words); /* the name alone */
    code = args_parse(&cli->args, words_len, words);
    if (code == CLI_OK) {
        (void)help_command(cli, stderr);
        fputs("\n--version shows the version of Kafka that this is like, and moldau's own\n",
              stderr);
    }
    return CLI_FAILED;
}

static enum exit_code run_words(struct cli *cli, int argc, char *const *argv)
{
    enum exit_code code = args_parse(&cli->args, argc, argv);

    if (code == CLI_OK)
        code = set_up(cli);
    if (code == CLI_OK)
        code = args_has(&cli->args, "help") ? help_command(cli, stdout) : cli->args.cmd->run(cli);
    return code;
}

enum exit_code cli_main(int argc, char *const *argv)
{
    struct cli cli = { 0 };
    enum exit_code code;
    enum kafka_tool_asks asks;
    bool as_kafka;
    char **words;
    int words_len;

    thread_adopt(T_MAIN);
    say_setup(SAY_ERROR, SAY_TEXT, "moldau");
    signal(SIGPIPE, SIG_IGN);
    arena_init(&cli.arena, SIZE_MAX);
    as_kafka = kafka_tool_args(argc, argv, &cli.arena, &words_len, &words);
    asks = as_kafka ? kafka_tool_asks(argc, argv) : KAFKA_TOOL_WORK;
    if (asks != KAFKA_TOOL_WORK) {
        code = answer_as_kafka(&cli, asks, argv);
    } else if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("moldau " MOLDAU_VERSION);
        code = CLI_OK;
    } else {
        code = as_kafka ? run_words(&cli, words_len, words) : run_words(&cli, argc - 1, argv + 1);
    }
    args_fini(&cli.args);
    /* A reader that has read enough, as head does, is no failure. */
    if (fflush(stdout) != 0 && errno != EPIPE && code == CLI_OK) {
        fprintf(stderr, "moldau: cannot write: %s\n", strerror(errno));
        code = CLI_FAILED;
    }
    arena_fini(&cli.arena);
    return as_kafka && code != CLI_OK ? CLI_FAILED : code; /* Kafka's tools know no others */
}
