/*
 * cli_kit - run the command line as a program: in a process of its own, in a folder, with what it
 * writes caught.
 */
#ifndef TESTS_KIT_CLI_KIT_H
#define TESTS_KIT_CLI_KIT_H

#include <stddef.h>

struct cli_outcome {
    int code;
    char *out, *err; /* NUL bytes in what was written are '0' here */
};

/* A command line, blanks between its words. A death by a signal fails the test. */
struct cli_outcome cli_kit_run(const char *dir, const char *line);
void cli_outcome_free(struct cli_outcome *outcome);

/* A command of the shell; fails the test when it fails. */
void cli_kit_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
