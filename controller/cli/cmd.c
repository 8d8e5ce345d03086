/*
 * Options may stand anywhere, as --name value, --name=value, -n value or -nvalue; "--" ends them.
 * The first words that are not options name the command, so global options may come before it; a
 * value is told from a word by looking the option up among all commands while the command is not
 * known yet.
 */
#include "controller/cli/cmd.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/cli/cli.h"

const struct cmd cmds[CMDS] = {
#define CMD(id_, words_, operands_, least_, most_, summary_, examples_, remarks_)                  \
    { .id = CMD_##id_,                                                                             \
      .words = words_,                                                                             \
      .operands = operands_,                                                                       \
      .least = least_,                                                                             \
      .most = most_,                                                                               \
      .summary = summary_,                                                                         \
      .examples = examples_,                                                                       \
      .remarks = remarks_,                                                                         \
      .run = cmd_##id_ },
#define OPT(cmd, name, letter, value, text)
#include "controller/cli/cmd.def"
#undef CMD
#undef OPT
};

const struct opt opts[] = {
#define CMD(id, words, operands, least, most, summary, examples, remarks)
#define OPT(cmd, name, letter, value, text) { CMD_##cmd, name, letter, value, text },
#include "controller/cli/cmd.def"
#undef CMD
#undef OPT
};
const int opts_len = (int)ARRAY_LEN(opts);

const struct opt *opt_by_name(enum cmd_id cmd, const char *name, size_t len)
{
    for (int i = 0; i < opts_len; i++) {
        const struct opt *opt = &opts[i];

        if ((opt->cmd == cmd || opt->cmd == CMD_ALL || cmd == CMDS) && strlen(opt->name) == len &&
            memcmp(opt->name, name, len) == 0)
            return opt;
    }
    return NULL;
}

const struct opt *opt_by_letter(enum cmd_id cmd, char letter)
{
    for (int i = 0; i < opts_len; i++) {
        const struct opt *opt = &opts[i];

        if ((opt->cmd == cmd || opt->cmd == CMD_ALL) && opt->letter == letter)
            return opt; /* a command's own stand before those of all */
    }
    return NULL;
}

static int cmd_words_len(const struct cmd *cmd)
{
    int n = 1;

    for (const char *at = cmd->words; *at != '\0'; at++)
        n += *at == ' ';
    return n;
}

bool cmd_is_noun(const char *words)
{
    size_t len = strlen(words);

    for (int i = 0; i < CMDS; i++) {
        if (strncmp(cmds[i].words, words, len) == 0 && cmds[i].words[len] == ' ')
            return true;
    }
    return false;
}

const struct cmd *cmd_find(int n, char *const *words, int *used)
{
    for (int i = 0; i < CMDS; i++) {
        struct str rest = str_of(cmds[i].words);
        int at = 0;

        while (at < n && !str_is_null(rest) && str_is(str_split(rest, ' ', &rest), words[at]))
            at++;
        if (str_is_null(rest) && at == cmd_words_len(&cmds[i])) {
            *used = at;
            return &cmds[i];
        }
    }
    return NULL;
}

int text_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int before[64], last[64], now[64];

    if (n >= ARRAY_LEN(now) || m >= ARRAY_LEN(now))
        return 1000;
    memset(before, 0, sizeof before);
    for (size_t j = 0; j <= m; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = last[j - 1] + (a[i - 1] != b[j - 1]);

            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
        memcpy(before, last, sizeof before);
        memcpy(last, now, sizeof last);
    }
    return last[m];
}

static bool alike(const char *typed, const char *known, int *best)
{
    int distance = text_distance(typed, known);
    size_t len = strlen(typed);

    if (len >= 2 && strncmp(typed, known, len) == 0)
        distance = distance > 0 ? 1 : 0; /* a beginning counts as nearly it */
    if (distance >= *best || distance > (len <= 4 ? 2 : 3) || distance >= (int)len)
        return false;
    *best = distance;
    return true;
}

const char *cmd_suggest(const char *noun, const char *text)
{
    static char found[64];
    int best = 1000;

    found[0] = '\0';
    for (int i = 0; i < CMDS; i++) {
        size_t len = noun != NULL ? strlen(noun) : 0;
        struct str first, rest = str_of(cmds[i].words);
        char word[64];

        if (noun != NULL && (strncmp(cmds[i].words, noun, len) != 0 || cmds[i].words[len] != ' '))
            continue;
        if (noun != NULL)
            rest = str_of(cmds[i].words + len + 1);
        first = str_split(rest, ' ', &rest);
        snprintf(word, sizeof word, "%.*s", STR_ARG(first));
        if (alike(text, word, &best))
            snprintf(found, sizeof found, "%s", word);
    }
    return found[0] != '\0' ? found : NULL;
}

static const char *opt_suggest(enum cmd_id cmd, const char *text)
{
    const char *found = NULL;
    int best = 1000;

    for (int i = 0; i < opts_len; i++) {
        if ((opts[i].cmd == cmd || opts[i].cmd == CMD_ALL) && alike(text, opts[i].name, &best))
            found = opts[i].name;
    }
    return found;
}

/* ---- reading an argument vector -------------------------------------------------------------- */

static enum exit_code no_command(int n, char *const *words)
{
    char noun[128] = "", longer[2 * sizeof noun];
    const char *like;
    int known = 0;

    for (; known < n; known++) {
        snprintf(longer, sizeof longer, "%s%s%s", noun, known > 0 ? " " : "", words[known]);
        if (strlen(longer) >= sizeof noun || !cmd_is_noun(longer))
            break;
        memcpy(noun, longer, strlen(longer) + 1);
    }
    if (known == n) {
        fprintf(stderr, "moldau: %s wants a verb\n  next: moldau help %s\n", noun, noun);
        return CLI_USAGE;
    }
    like = cmd_suggest(known > 0 ? noun : NULL, words[known]);
    fprintf(stderr, "moldau: there is no command '%s%s%s'\n", noun, known > 0 ? " " : "",
            words[known]);
    if (like != NULL)
        fprintf(stderr, "  did you mean: moldau %s%s%s\n", noun, known > 0 ? " " : "", like);
    fprintf(stderr, "  next: moldau help%s%s\n", known > 0 ? " " : "", noun);
    return CLI_USAGE;
}

/* Splits "--name=value" or "-nvalue"; *value NULL when it is not in the same argument. */
static const struct opt *look_up(enum cmd_id cmd, const char *arg, const char **value)
{
    const struct opt *opt;

    *value = NULL;
    if (arg[1] == '-') {
        size_t len = strcspn(arg + 2, "=");

        opt = opt_by_name(cmd, arg + 2, len);
        if (arg[2 + len] == '=')
            *value = arg + 2 + len + 1;
        return opt;
    }
    opt = opt_by_letter(cmd, arg[1]);
    if (opt != NULL && arg[2] != '\0')
        *value = arg + 2;
    return opt;
}

/* The first words that are not options, as many as a command may have, to know it by. */
static int first_words(int argc, char *const *argv, char **words)
{
    int n = 0;

    for (int i = 0; i < argc && n < CMD_WORDS_MAX; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            const char *value;
            const struct opt *opt = look_up(CMDS, argv[i], &value);

            if (strcmp(argv[i], "--") == 0)
                break;
            if (opt == NULL)
                opt = argv[i][1] == '-' ? NULL : opt_by_letter(CMD_ALL, argv[i][1]);
            if (opt != NULL && opt->value != NULL && value == NULL)
                i++;
        } else {
            words[n++] = argv[i];
        }
    }
    return n;
}

static enum exit_code unknown_option(const struct cmd *cmd, const char *arg)
{
    const char *like = arg[1] == '-' ? opt_suggest(cmd->id, arg + 2) : NULL;

    fprintf(stderr, "moldau %s: there is no option '%s'\n", cmd->words, arg);
    if (like != NULL)
        fprintf(stderr, "  did you mean: --%s\n", like);
    fprintf(stderr, "  next: moldau help %s\n", cmd->words);
    return CLI_USAGE;
}

/* Whether value is one of "a|b|c"; anything is, where a placeholder in capitals stands among them.
 */
static bool is_choice(const char *choices, const char *value)
{
    struct str rest = str_of(choices);
    bool any = strchr(choices, '|') == NULL;

    while (!str_is_null(rest)) {
        struct str choice = str_split(rest, '|', &rest);

        if (str_is(choice, value))
            return true;
        if (strcspn(choice.ptr, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") < choice.len)
            any = true;
    }
    return any;
}

static enum exit_code take_option(struct args *args, int argc, char *const *argv, int *at)
{
    const char *arg = argv[*at], *value;
    const struct opt *opt = look_up(args->cmd->id, arg, &value);

    if (opt == NULL)
        return unknown_option(args->cmd, arg);
    if (opt->value == NULL && value != NULL) {
        fprintf(stderr, "moldau %s: --%s takes no value\n", args->cmd->words, opt->name);
        return CLI_USAGE;
    }
    if (opt->value != NULL && value == NULL) {
        if (*at + 1 >= argc) {
            fprintf(stderr, "moldau %s: --%s wants a value: %s\n", args->cmd->words, opt->name,
                    opt->value);
            return CLI_USAGE;
        }
        value = argv[++*at];
    }
    if (value != NULL && !is_choice(opt->value, value)) {
        fprintf(stderr, "moldau %s: --%s is one of %s, not '%s'\n", args->cmd->words, opt->name,
                opt->value, value);
        return CLI_USAGE;
    }
    args->given[args->given_len++] = (struct given){ .opt = opt, .value = value };
    return CLI_OK;
}

static enum exit_code check_operands(const struct args *args)
{
    const struct cmd *cmd = args->cmd;

    if (args_has(args, "help"))
        return CLI_OK;
    if (args->operands_len < cmd->least) {
        fprintf(stderr, "moldau %s: %s is missing\n  next: moldau help %s\n", cmd->words,
                cmd->operands, cmd->words);
        return CLI_USAGE;
    }
    if (cmd->most >= 0 && args->operands_len > cmd->most) {
        fprintf(stderr, "moldau %s: cannot use '%s'\n  next: moldau help %s\n", cmd->words,
                args->operands[cmd->most], cmd->words);
        return CLI_USAGE;
    }
    return CLI_OK;
}

enum exit_code args_parse(struct args *args, int argc, char *const *argv)
{
    char *words[CMD_WORDS_MAX];
    int n = first_words(argc, argv, words), skip = 0;
    bool options = true;
    enum exit_code code = CLI_OK;

    args->operands = xcalloc((size_t)argc + 1, sizeof *args->operands);
    args->given = xcalloc((size_t)argc + 1, sizeof *args->given);
    args->operands_len = args->given_len = 0;
    args->cmd = n > 0 ? cmd_find(n, words, &skip) : &cmds[CMD_help];
    if (args->cmd == NULL) {
        /* "moldau topic --help" asks about all that begins with "topic" */
        for (int i = 0; i < argc; i++) {
            if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
                args->cmd = &cmds[CMD_help];
                args->operands[args->operands_len++] = words[0];
                return CLI_OK;
            }
        }
        return no_command(n, words);
    }
    for (int i = 0; i < argc && code == CLI_OK; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1] != '\0')
            code = take_option(args, argc, argv, &i);
        else if (skip > 0)
            skip--;
        else
            args->operands[args->operands_len++] = argv[i];
    }
    return code == CLI_OK ? check_operands(args) : code;
}

void args_fini(struct args *args)
{
    free(args->operands);
    free(args->given);
    *args = (struct args){ 0 };
}

/* ---- asking ---------------------------------------------------------------------------------- */

static const struct given *last_given(const struct args *args, const char *name)
{
    for (int i = args->given_len - 1; i >= 0; i--) {
        if (strcmp(args->given[i].opt->name, name) == 0)
            return &args->given[i];
    }
    return NULL;
}

bool args_has(const struct args *args, const char *name)
{
    return last_given(args, name) != NULL;
}

const char *args_text(const struct args *args, const char *name, const char *otherwise)
{
    const struct given *given = last_given(args, name);

    return given != NULL ? given->value : otherwise;
}

const char *args_next(const struct args *args, const char *name, int *at)
{
    while (*at < args->given_len) {
        const struct given *given = &args->given[(*at)++];

        if (strcmp(given->opt->name, name) == 0)
            return given->value;
    }
    return NULL;
}

bool args_number(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *out)
{
    const struct given *given = last_given(args, name);
    int64_t value;

    if (given == NULL)
        return true;
    if (str_to_i64(str_of(given->value), &value) && value >= min && value <= max) {
        *out = value;
        return true;
    }
    fprintf(stderr, "moldau %s: --%s is a number from %lld to %lld, not '%s'\n", args->cmd->words,
            name, (long long)min, (long long)max, given->value);
    return false;
}
