/*
 * Completion scripts, written out of cmd.def. What only the cluster knows (topics, groups, brokers)
 * they ask `moldau topic list -o name` and its like for, with a short time-out,
 * so that a dead cluster does not freeze the shell.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/cli/cli.h"

#define TOPICS      "moldau topic list -o name --timeout 1s 2>/dev/null"
#define BROKERS     "moldau broker list -o name --timeout 1s 2>/dev/null"
#define CONTROLLERS "moldau controller list -o name --timeout 1s 2>/dev/null"
#define GROUPS      "moldau group list -o name --timeout 1s 2>/dev/null"

/* What lists the operands that a command wants, topic create aside, whose topic is new; or NULL. */
static const char *lister(const struct cmd *cmd)
{
    if (strncmp(cmd->operands, "GROUP", 5) == 0)
        return GROUPS;
    if (strcmp(cmd->operands, "BROKER") == 0)
        return BROKERS;
    if (strcmp(cmd->operands, "CONTROLLER") == 0)
        return CONTROLLERS;
    if (strcmp(cmd->operands, "PARTITION") == 0)
        return TOPICS; /* a dash or a colon and numbers follow */
    return strcmp(cmd->operands, "TOPIC") == 0 && cmd->id != CMD_topic_create ? TOPICS : NULL;
}

/* Where the first n words of a command end. */
static size_t words_end(const char *words, int n)
{
    size_t len = strcspn(words, " ");

    while (--n > 0 && words[len] != '\0')
        len += 1 + strcspn(words + len + 1, " ");
    return len;
}

/* Whether a command is the first with these first len letters, which end a word. */
static bool is_first(int at, size_t len)
{
    for (int i = 0; i < at; i++) {
        if (strncmp(cmds[i].words, cmds[at].words, len) == 0 &&
            (cmds[i].words[len] == ' ' || cmds[i].words[len] == '\0'))
            return false;
    }
    return true;
}

static bool is_first_of_noun(int at)
{
    return is_first(at, words_end(cmds[at].words, 1));
}

static void put_firsts(const char *between)
{
    for (int i = 0; i < CMDS; i++) {
        if (is_first_of_noun(i))
            printf("%s%.*s", i > 0 ? between : "", (int)strcspn(cmds[i].words, " "), cmds[i].words);
    }
}

static void put_options(enum cmd_id cmd, const char *between)
{
    for (int i = 0; i < opts_len; i++) {
        if (opts[i].cmd == cmd)
            printf("%s--%s", between, opts[i].name);
    }
}

static bool is_choice_list(const struct opt *opt)
{
    return opt->value != NULL && strchr(opt->value, '|') != NULL &&
           strcspn(opt->value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(opt->value);
}

static void put_spaced(const char *choices)
{
    for (const char *at = choices; *at != '\0'; at++)
        putchar(*at == '|' ? ' ' : *at);
}

/* The words that may follow the first depth ones of a command, said once for all that share them.
 */
static void bash_noun(int at, int depth)
{
    size_t len = words_end(cmds[at].words, depth);

    if (cmds[at].words[len] == '\0' || !is_first(at, len))
        return;
    printf("    '%.*s'*) words='", (int)len, cmds[at].words);
    for (int i = at; i < CMDS; i++) {
        size_t end;

        if (strncmp(cmds[i].words, cmds[at].words, len + 1) != 0)
            continue;
        end = len + 1 + strcspn(cmds[i].words + len + 1, " ");
        if (is_first(i, end))
            printf(" %.*s", (int)(end - len - 1), cmds[i].words + len + 1);
    }
    puts("' ;;");
}

static void bash(void)
{
    puts("# moldau completion bash");
    puts("_moldau() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words='' cmd='' "
         "w\n"
         "    for w in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "        case $w in -*) ;; *) cmd=\"${cmd:+$cmd }$w\" ;; esac\n"
         "    done\n"
         "    case $prev in");
    for (int i = 0; i < opts_len; i++) {
        if (!is_choice_list(&opts[i]))
            continue;
        printf("    --%s) words='", opts[i].name);
        put_spaced(opts[i].value);
        puts("' ;;");
    }
    puts("    --topic|-t) words=$(" TOPICS ") ;;\n"
         "    --file|--command-config) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
         "    esac\n"
         "    if [ -z \"$words\" ]; then case $cmd in");
    for (int i = 0; i < CMDS; i++) {
        printf("    '%s'*) words='", cmds[i].words);
        put_options(cmds[i].id, " ");
        put_options(CMD_ALL, " ");
        fputs(strcmp(cmds[i].words, "completion") == 0 ? " bash zsh fish'" : "'", stdout);
        if (lister(&cmds[i]) != NULL)
            printf("; [ \"${cur#-}\" != \"$cur\" ] || words=$(%s)", lister(&cmds[i]));
        puts(" ;;");
    }
    for (int depth = CMD_WORDS_MAX - 1; depth > 0; depth--)
        for (int i = 0; i < CMDS; i++)
            bash_noun(i, depth);
    fputs("    *) words='", stdout);
    put_firsts(" ");
    puts("' ;;\n"
         "    esac; fi\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "}\n"
         "complete -F _moldau moldau");
}

/* zsh understands bash's kind when it is asked to. */
static void zsh(void)
{
    puts("#compdef moldau\n"
         "autoload -U +X bashcompinit && bashcompinit");
    bash();
}

static void quoted(const char *text)
{
    putchar('\'');
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\'' || *at == '\\')
            putchar('\\');
        putchar(*at);
    }
    putchar('\'');
}

static void fish_option(const struct opt *opt, const char *condition)
{
    printf("complete -c moldau%s -l %s", condition, opt->name);
    if (opt->letter != 0)
        printf(" -s %c", opt->letter);
    if (opt->value != NULL)
        fputs(" -r", stdout);
    if (is_choice_list(opt)) {
        fputs(" -f -a '", stdout);
        put_spaced(opt->value);
        putchar('\'');
    } else if (opt->value != NULL && strcmp(opt->value, "TOPIC") == 0) {
        fputs(" -f -a '(" TOPICS ")'", stdout);
    } else if (opt->value != NULL && strcmp(opt->value, "FILE") == 0) {
        fputs(" -F", stdout);
    }
    fputs(" -d ", stdout);
    quoted(opt->text);
    putchar('\n');
}

/* That the first depth words of a command have been typed. */
static void fish_condition(const char *words, int depth, char *out, size_t size)
{
    size_t at = 0, used = (size_t)snprintf(out, size, " -n '");

    for (int i = 1; i <= depth; i++) {
        size_t end = words_end(words, i);

        if (end <= at && i > 1)
            break;
        used += (size_t)snprintf(out + used, size - used, "%s__fish_seen_subcommand_from %.*s",
                                 i > 1 ? "; and " : "", (int)(end - at), words + at);
        at = end + 1;
    }
    snprintf(out + used, size - used, "'");
}

/* A command's word behind its first depth ones, said by the first command that has it there. */
static void fish_word(int at, int depth)
{
    const char *words = cmds[at].words;
    size_t len = words_end(words, depth), end = words_end(words, depth + 1);
    char condition[200];

    if (words[len] == '\0' || !is_first(at, end))
        return;
    fish_condition(words, depth, condition, sizeof condition);
    printf("complete -c moldau%.*s; and test (count (commandline -opc)) -eq %d' -a %.*s -d ",
           (int)strlen(condition) - 1, condition, depth + 1, (int)(end - len - 1), words + len + 1);
    quoted(words[end] == '\0' ? cmds[at].summary : "");
    putchar('\n');
}

static void fish(void)
{
    puts("# moldau completion fish\ncomplete -c moldau -f");
    for (int i = 0; i < CMDS; i++) {
        size_t len = strcspn(cmds[i].words, " ");
        char condition[200];

        if (is_first_of_noun(i)) {
            printf("complete -c moldau -n __fish_use_subcommand -a %.*s -d ", (int)len,
                   cmds[i].words);
            quoted(cmds[i].words[len] == '\0' ? cmds[i].summary : "");
            putchar('\n');
        }
        fish_condition(cmds[i].words, CMD_WORDS_MAX, condition, sizeof condition);
        for (int depth = 1; depth < CMD_WORDS_MAX; depth++)
            fish_word(i, depth);
        if (lister(&cmds[i]) != NULL)
            printf("complete -c moldau%s -a '(%s)'\n", condition, lister(&cmds[i]));
        if (strcmp(cmds[i].words, "completion") == 0)
            printf("complete -c moldau%s -a 'bash zsh fish'\n", condition);
        for (int j = 0; j < opts_len; j++) {
            if (opts[j].cmd == cmds[i].id)
                fish_option(&opts[j], condition);
        }
    }
    for (int j = 0; j < opts_len; j++) {
        if (opts[j].cmd == CMD_ALL)
            fish_option(&opts[j], "");
    }
}

enum exit_code cmd_completion(struct cli *cli)
{
    const char *shell = cli->args.operands[0];

    if (strcmp(shell, "bash") == 0)
        bash();
    else if (strcmp(shell, "zsh") == 0)
        zsh();
    else if (strcmp(shell, "fish") == 0)
        fish();
    else
        return cli_fail(cli, CLI_USAGE, cli_text(cli, "'%s' is no shell known here", shell),
                        "there are scripts for bash, zsh and fish", "moldau completion bash");
    return CLI_OK;
}
