/*
 * unit - run a Check case, and what unit tests need around it.
 */
#ifndef TESTS_KIT_UNIT_H
#define TESTS_KIT_UNIT_H

#include <check.h>

/* Runs the case (taking it), prints the summary, returns main's exit status. */
int unit_run(TCase *tc);
/* The same with another bound on the time that each test may take than a minute. */
int unit_run_within(TCase *tc, double seconds);

/* A fresh folder under $TMPDIR, removed with all in it when the test process ends. Static storage
 * of the caller's process; in a forked test each call gives another folder. */
const char *unit_temp_dir(void);

/* Absolute path of a file of tests/data, found from the working directory upwards. Static storage.
 */
const char *unit_data(const char *name);

/* Whole file, NUL-terminated, malloc'ed; *len without the NUL. Fails the test when it cannot be
 * read. */
char *unit_read_file(const char *path, size_t *len);

#endif
