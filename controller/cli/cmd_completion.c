/*
 * Completion scripts, written out of cmd.def. What only the cluster knows (topics) they ask
 * `moldau topic list -o name` for, with a short time-out, so that a dead cluster does not freeze
 * the shell.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/str.h"
#include "controller/cli/cli.h"

#define TOPICS "moldau topic list -o name --timeout 1s 2>/dev/null"

/* Commands that want a topic as an operand, topic create aside, whose topic is new. */
static bool wants_topics(const struct cmd *cmd)
{
    return strcmp(cmd->operands, "TOPIC") == 0 && cmd->id != CMD_topic_create;
}

static bool is_first_of_noun(int at)
{
    size_t len = strcspn(cmds[at].words, " ");

    for (int i = 0; i < at; i++) {
        if (strncmp(cmds[i].words, cmds[at].words, len) == 0 &&
            (cmds[i].words[len] == ' ' || cmds[i].words[len] == '\0'))
            return false;
    }
    return true;
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
        puts(wants_topics(&cmds[i]) ? "; [ \"${cur#-}\" != \"$cur\" ] || words=$(" TOPICS ") ;;"
                                    : " ;;");
    }
    for (int i = 0; i < CMDS; i++) {
        size_t len = strcspn(cmds[i].words, " ");

        if (cmds[i].words[len] == '\0' || !is_first_of_noun(i))
            continue;
        printf("    '%.*s'*) words='", (int)len, cmds[i].words);
        for (int j = i; j < CMDS; j++) {
            if (strncmp(cmds[j].words, cmds[i].words, len + 1) == 0)
                printf(" %s", cmds[j].words + len + 1);
        }
        puts("' ;;");
    }
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

static void fish(void)
{
    puts("# moldau completion fish\ncomplete -c moldau -f");
    for (int i = 0; i < CMDS; i++) {
        size_t len = strcspn(cmds[i].words, " ");
        char condition[160];

        if (is_first_of_noun(i)) {
            printf("complete -c moldau -n __fish_use_subcommand -a %.*s -d ", (int)len,
                   cmds[i].words);
            quoted(cmds[i].words[len] == '\0' ? cmds[i].summary : "");
            putchar('\n');
        }
        if (cmds[i].words[len] != '\0') {
            const char *verb = cmds[i].words + len + 1;

            printf("complete -c moldau -n '__fish_seen_subcommand_from %.*s; and test (count "
                   "(commandline -opc)) -eq 2' -a %s -d ",
                   (int)len, cmds[i].words, verb);
            quoted(cmds[i].summary);
            snprintf(condition, sizeof condition,
                     " -n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'",
                     (int)len, cmds[i].words, verb);
        } else {
            snprintf(condition, sizeof condition, " -n '__fish_seen_subcommand_from %s'",
                     cmds[i].words);
        }
        putchar('\n');
        if (wants_topics(&cmds[i]))
            printf("complete -c moldau%s -a '(" TOPICS ")'\n", condition);
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
