/*
 * cli - one run of `moldau`: its arguments, its clock, how it prints; and what it says when
 * something is wrong.
 *
 * Data goes to stdout, talk to stderr. Every problem has a cause, a consequence and the next
 * command to type.
 *
 * Ownership:  texts made on the way live in cli->arena, to the end of the run.
 * Threads:    one.
 */
#ifndef CONTROLLER_CLI_CLI_H
#define CONTROLLER_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "controller/cli/cmd.h"
#include "controller/cli/print.h"

struct cli {
    struct args args;
    struct arena arena;
    struct print print;  /* how to print on stdout */
    bool color_err;      /* colours on stderr */
    FILE *trace;         /* stderr with --trace, else NULL */
    int64_t timeout_ms;  /* --timeout */
    int64_t deadline_ms; /* of clock_mono_ms() */
    void *command;       /* the state of a command whose callbacks only know the run */
};

/* The whole program. */
enum exit_code cli_main(int argc, char *const *argv);

/* printf into the arena. */
const char *cli_text(struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "1,2,3" */
const char *cli_ids(struct cli *cli, const int32_t *ids, size_t len);
/* "1 partition", "2 partitions" */
const char *cli_count(struct cli *cli, int64_t n, const char *one);

struct problem {
    bool act;                /* somebody must act: red; else degraded: yellow */
    const char *cause;       /* what is the matter */
    const char *consequence; /* what that means; may be NULL */
    const char *next;        /* the next command; may be NULL */
};

void problem_print(FILE *out, bool color, const struct problem *problem);
/* Before operands are deleted: CLI_OK when --yes was given or each name is typed again on a
 * terminal, else CLI_REFUSED, which has been said. loses: what goes with them, "all data of topic";
 * kept: what a refusal leaves, "all data is still there". */
enum exit_code cli_confirm_delete(struct cli *cli, const char *noun, const char *loses,
                                  const char *kept);
/* Before something is done that cannot be undone: CLI_OK when --yes was given or name is typed on a
 * terminal, else CLI_REFUSED, which has been said. warning: a sentence; kept: what a refusal
 * leaves; next: the command that confirms it at once. */
enum exit_code cli_confirm(struct cli *cli, const char *warning, const char *name, const char *kept,
                           const char *next);
/* Says it on stderr, returns code. */
enum exit_code cli_fail(struct cli *cli, enum exit_code code, const char *cause,
                        const char *consequence, const char *next);
/* A remark on stderr. */
void cli_note(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The exit code that fits an error. */
enum exit_code cli_code(enum err err);
/* "500ms", "10s", "2m", "1h", "3d"; a number alone is seconds. False when it is none of these. */
bool cli_parse_ms(const char *text, int64_t *ms);

/* By the word of --output; false when it is none. */
bool cli_shape(const char *word, enum print_shape *shape);
/* --help of the command that is run. */
enum exit_code help_command(struct cli *cli, FILE *out);

#define CMD(id, words, operands, least, most, summary, examples, remarks)                          \
    enum exit_code cmd_##id(struct cli *cli);
#define OPT(cmd, name, letter, value, text)
#include "controller/cli/cmd.def"
#undef CMD
#undef OPT

#endif
