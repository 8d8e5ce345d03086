/*
 * cmd - the commands of `moldau` as a table, and an argument vector read by it.
 *
 * Ownership:  the tables are static. Parsed arguments point into argv.
 * Errors:     what cannot be used ends in a usage error that args_parse() has said on stderr.
 */
#ifndef CONTROLLER_CLI_CMD_H
#define CONTROLLER_CLI_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cmd_id {
    CMD_ALL = -1, /* an option of every command */
#define CMD(id, words, operands, least, most, summary, examples, remarks) CMD_##id,
#define OPT(cmd, name, letter, value, text)
#include "controller/cli/cmd.def"
#undef CMD
#undef OPT
    CMDS
};

/* What every command's exit says. */
enum exit_code {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_REFUSED = 4,
    CLI_TIMED_OUT = 5,
    CLI_DEGRADED = 10,
    CLI_UNAVAILABLE = 20,
};

struct cli;

#define CMD_WORDS_MAX 3

struct cmd {
    enum cmd_id id;
    const char *words;    /* "topic create", up to CMD_WORDS_MAX */
    const char *operands; /* "TOPIC" */
    int least, most;      /* operands; most -1: any number */
    const char *summary;
    const char *examples; /* a line each */
    const char *remarks;
    enum exit_code (*run)(struct cli *cli);
};

struct opt {
    enum cmd_id cmd;
    const char *name;  /* without the dashes */
    char letter;       /* 0: none */
    const char *value; /* NULL: a switch */
    const char *text;
};

extern const struct cmd cmds[CMDS];
extern const struct opt opts[];
extern const int opts_len;

/* -o is the output's shape everywhere but where the command has an -o of its own. NULL: unknown. */
const struct opt *opt_by_name(enum cmd_id cmd, const char *name, size_t len);
const struct opt *opt_by_letter(enum cmd_id cmd, char letter);
/* By its words; *used how many of them there were. NULL: no such command. */
const struct cmd *cmd_find(int n, char *const *words, int *used);
/* Whether commands begin with these words and go on: "topic", "group offsets". */
bool cmd_is_noun(const char *words);
/* What is most like text among the words behind noun, or the first ones; NULL when nothing is. */
const char *cmd_suggest(const char *noun, const char *text);
/* Letters to add, drop, swap or change to make one text the other. */
int text_distance(const char *a, const char *b);

struct given {
    const struct opt *opt;
    const char *value; /* NULL for a switch */
};

struct args {
    const struct cmd *cmd;
    const char **operands;
    int operands_len;
    struct given *given;
    int given_len;
};

/* argv without the program's name. CLI_OK, or CLI_USAGE and said. args_fini() either way. */
enum exit_code args_parse(struct args *args, int argc, char *const *argv);
void args_fini(struct args *args);

bool args_has(const struct args *args, const char *name);
/* The last one given, or otherwise. */
const char *args_text(const struct args *args, const char *name, const char *otherwise);
/* The values of an option that may be repeated: start with *at = 0; NULL at the end. */
const char *args_next(const struct args *args, const char *name, int *at);
/* False when it is no number between min and max, and said. Leaves *out alone if not given. */
bool args_number(const struct args *args, const char *name, int64_t min, int64_t max, int64_t *out);

#endif
