/* help, version, --help, and the manual page: all of it out of cmd.def. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/cli/cli.h"

#define TEXT_COLUMN 36

static const struct {
    enum exit_code code;
    const char *text;
} codes[] = {
    { CLI_OK, "done; cluster status: healthy" },
    { CLI_FAILED, "failed" },
    { CLI_USAGE, "the command line cannot be used as it is" },
    { CLI_NOT_FOUND, "what was named is not there" },
    { CLI_REFUSED, "refused by a policy or a permission, or not confirmed" },
    { CLI_TIMED_OUT, "no answer in time" },
    { CLI_DEGRADED, "the cluster, or a group, is degraded; data is there and safe" },
    { CLI_UNAVAILABLE, "data is unavailable, or one more loss makes it so" },
};

static void print_option(const struct opt *opt, FILE *out)
{
    char left[256];
    int n = snprintf(left, sizeof left, "  %c%c%s --%s%s%s", opt->letter != 0 ? '-' : ' ',
                     opt->letter != 0 ? opt->letter : ' ', opt->letter != 0 ? "," : " ", opt->name,
                     opt->value != NULL ? " " : "", opt->value != NULL ? opt->value : "");

    if (n >= TEXT_COLUMN)
        fprintf(out, "%s\n%*s%s\n", left, TEXT_COLUMN, "", opt->text);
    else
        fprintf(out, "%-*s%s\n", TEXT_COLUMN, left, opt->text);
}

static void print_options(enum cmd_id cmd, FILE *out)
{
    for (int i = 0; i < opts_len; i++) {
        if (opts[i].cmd == cmd)
            print_option(&opts[i], out);
    }
}

static bool has_options(enum cmd_id cmd)
{
    for (int i = 0; i < opts_len; i++) {
        if (opts[i].cmd == cmd)
            return true;
    }
    return false;
}

static void print_indented(const char *text, const char *indent, FILE *out)
{
    struct str rest = str_of(text);

    while (rest.len > 0) {
        struct str line = str_split(rest, '\n', &rest);

        fprintf(out, "%s%.*s\n", indent, STR_ARG(line));
    }
}

static void print_command(const struct cmd *cmd, FILE *out)
{
    print_indented(cmd->examples, "  ", out);
    fprintf(out, "\nmoldau %s%s%s%s%s\n  %s\n", cmd->words, cmd->operands[0] != '\0' ? " " : "",
            cmd->operands, cmd->most < 0 ? "..." : "", has_options(cmd->id) ? " [OPTION]..." : "",
            cmd->summary);
    if (cmd->remarks[0] != '\0') {
        fputc('\n', out);
        print_indented(cmd->remarks, "  ", out);
    }
    if (has_options(cmd->id)) {
        fputs("\nOptions:\n", out);
        print_options(cmd->id, out);
    }
    fputs("\nOptions of every command:\n", out);
    print_options(CMD_ALL, out);
}

static void print_overview(const char *noun)
{
    size_t len = noun != NULL ? strlen(noun) : 0;

    if (noun == NULL)
        puts("  moldau topic create orders --partitions 12 --replication-factor 3\n"
             "  seq 1 100 | moldau produce orders\n"
             "  moldau consume orders -o start --exit\n"
             "  moldau cluster status\n"
             "  moldau topic list -o json -b broker1:9092\n"
             "\n"
             "moldau: the command line of a moldau cluster; of Apache Kafka's, too.\n");
    for (int i = 0; i < CMDS; i++) {
        char left[96];

        if (noun != NULL && (strncmp(cmds[i].words, noun, len) != 0 || cmds[i].words[len] != ' '))
            continue;
        snprintf(left, sizeof left, "%s %s%s", cmds[i].words, cmds[i].operands,
                 cmds[i].most < 0 ? "..." : "");
        printf("  %-32s %s\n", left, cmds[i].summary);
    }
    puts("\n  moldau help COMMAND      examples and options of a command\n"
         "  moldau help exit-codes   what exit codes say\n");
    if (noun == NULL)
        puts("Any one address is enough: -b of a broker, --controller, --zookeeper; or "
             "MOLDAU_BOOTSTRAP,\n"
             "MOLDAU_CONTROLLER, MOLDAU_ZOOKEEPER; or a file .moldau here or above with a line\n"
             "bootstrap=HOST:PORT. Beside a cluster of scripts/up no address is needed.");
}

static enum exit_code print_codes(struct cli *cli)
{
    static const struct column columns[] = {
        { .key = "code", .head = "CODE", .right = true },
        { .key = "meaning", .head = "MEANING" },
        { .key = NULL },
    };
    struct report *report = report_new(&cli->arena);
    struct table *table = report_table(report, "exit_codes", columns);

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct cell *row = table_row(table);

        row[0] = cell_int(codes[i].code);
        row[1] = cell_cstr(codes[i].text);
    }
    report_print(report, &cli->print, stdout);
    return CLI_OK;
}

/* ---- the manual page ------------------------------------------------------------------------- */

/* Text for roff: dashes and backslashes escaped, no line begins with a control character. */
static void roff(const char *text)
{
    bool begins = true;

    for (const char *at = text; *at != '\0'; at++) {
        if (begins && (*at == '.' || *at == '\''))
            fputs("\\&", stdout);
        begins = *at == '\n';
        if (*at == '\\')
            fputs("\\e", stdout);
        else if (*at == '-')
            fputs("\\-", stdout);
        else
            putchar(*at);
    }
}

static void roff_options(enum cmd_id cmd)
{
    for (int i = 0; i < opts_len; i++) {
        const struct opt *opt = &opts[i];

        if (opt->cmd != cmd)
            continue;
        fputs(".TP\n\\fB", stdout);
        if (opt->letter != 0)
            printf("\\-%c\\fR, \\fB", opt->letter);
        fputs("\\-\\-", stdout);
        roff(opt->name);
        fputs("\\fR", stdout);
        if (opt->value != NULL) {
            fputs(" \\fI", stdout);
            roff(opt->value);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        roff(opt->text);
        putchar('\n');
    }
}

static void print_man(void)
{
    puts(".TH MOLDAU 1 \"\" \"moldau " MOLDAU_VERSION "\"\n.SH NAME\n"
         "moldau \\- command line of a moldau cluster, and of Apache Kafka's\n.SH SYNOPSIS\n"
         "\\fBmoldau\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH EXAMPLES\n.nf");
    for (int i = 0; i < CMDS; i++)
        roff(cmds[i].examples);
    puts(".fi\n.SH COMMANDS");
    for (int i = 0; i < CMDS; i++) {
        fputs(".SS ", stdout);
        roff(cmds[i].words);
        printf(" %s%s\n", cmds[i].operands, cmds[i].most < 0 ? "..." : "");
        roff(cmds[i].summary);
        puts(".");
        if (cmds[i].remarks[0] != '\0') {
            puts(".PP");
            roff(cmds[i].remarks);
            putchar('\n');
        }
        roff_options(cmds[i].id);
    }
    puts(".SH \"OPTIONS OF EVERY COMMAND\"");
    roff_options(CMD_ALL);
    puts(".SH \"EXIT STATUS\"");
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        printf(".TP\n%d\n", codes[i].code);
        roff(codes[i].text);
        putchar('\n');
    }
    puts(".SH FILES\n.TP\n\\&.moldau\nhere or in a folder above: lines bootstrap=HOST:PORT,\n"
         "controller=HOST:PORT, zookeeper=HOST:PORT or command\\-config=FILE.\n"
         ".SH ENVIRONMENT\nMOLDAU_BOOTSTRAP, MOLDAU_CONTROLLER, MOLDAU_ZOOKEEPER,\n"
         "MOLDAU_COMMAND_CONFIG, NO_COLOR");
}

/* ---- commands -------------------------------------------------------------------------------- */

enum exit_code help_command(struct cli *cli, FILE *out)
{
    if (cli->args.cmd->id == CMD_help)
        return cmd_help(cli);
    print_command(cli->args.cmd, out);
    return CLI_OK;
}

enum exit_code cmd_help(struct cli *cli)
{
    char *words[CMD_WORDS_MAX] = { NULL };
    const struct cmd *cmd;
    const char *like, *all = "", *noun = NULL;
    int used, n = cli->args.operands_len;

    if (args_has(&cli->args, "man")) {
        print_man();
        return CLI_OK;
    }
    if (n == 0) {
        print_overview(NULL);
        return CLI_OK;
    }
    for (int i = 0; i < n; i++) {
        words[i] = arena_cstr(&cli->arena, str_of(cli->args.operands[i]));
        noun = i > 0 ? all : NULL;
        all = cli_text(cli, "%s%s%s", all, i > 0 ? " " : "", words[i]);
    }
    if (strcmp(all, "exit-codes") == 0)
        return print_codes(cli);
    cmd = cmd_find(n, words, &used);
    if (cmd != NULL && used == n) {
        print_command(cmd, stdout);
        return CLI_OK;
    }
    if (cmd_is_noun(all)) {
        print_overview(all);
        return CLI_OK;
    }
    like = cmd_suggest(noun, words[n - 1]);
    return cli_fail(cli, CLI_USAGE, cli_text(cli, "there is no command '%s'", all),
                    like != NULL ? cli_text(cli, "did you mean: %s%s%s", noun != NULL ? noun : "",
                                            noun != NULL ? " " : "", like)
                                 : NULL,
                    "moldau help");
}

enum exit_code cmd_version(struct cli *cli)
{
    struct report *report = report_new(&cli->arena);

    report_fact(report, "name", cell_cstr("moldau"));
    report_fact(report, "version", cell_cstr(MOLDAU_VERSION));
    if (cli->print.shape == PRINT_JSON || cli->print.shape == PRINT_NDJSON)
        report_print(report, &cli->print, stdout);
    else
        puts("moldau " MOLDAU_VERSION);
    return CLI_OK;
}
