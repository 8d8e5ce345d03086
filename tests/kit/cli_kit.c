#include "tests/kit/cli_kit.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "controller/cli/cli.h"
#include "tests/kit/unit.h"

#define ARGS_MAX 32

void cli_kit_shell(const char *format, ...)
{
    va_list args;
    char *command;

    va_start(args, format);
    ck_assert_int_ge(vasprintf(&command, format, args), 0);
    va_end(args);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
    free(command);
}

static void redirect(const char *path, FILE *stream)
{
    if (freopen(path, "w", stream) == NULL)
        _exit(99);
}

static char *read_text(const char *path)
{
    size_t len;
    char *text = unit_read_file(path, &len);

    for (char *at = text; (at = memchr(at, '\0', len - (size_t)(at - text))) != NULL; at++)
        *at = '0';
    return text;
}

struct cli_outcome cli_kit_run(const char *dir, const char *line)
{
    char *words = xstrdup(line), *argv[ARGS_MAX], *out = xasprintf("%s/.out", dir),
         *err = xasprintf("%s/.err", dir);
    struct cli_outcome outcome;
    int argc = 0, status;

    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        ck_assert_int_lt(argc, ARGS_MAX);
        argv[argc++] = word;
    }
    fflush(NULL);
    pid_t child = fork();

    if (child == 0) {
        if (chdir(dir) != 0)
            _exit(98);
        redirect(out, stdout);
        redirect(err, stderr);
        int code = (int)cli_main(argc, argv);

        fflush(NULL);
        _exit(code);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    outcome.out = read_text(out);
    outcome.err = read_text(err);
    ck_assert_msg(WIFEXITED(status), "%s died: %d\n%s", line, status, outcome.err);
    outcome.code = WEXITSTATUS(status);
    free(words);
    free(out);
    free(err);
    return outcome;
}

void cli_outcome_free(struct cli_outcome *outcome)
{
    free(outcome->out);
    free(outcome->err);
}
