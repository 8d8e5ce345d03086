/*
 * moves_file - Kafka's JSON of reassignments, as kafka-reassign-partitions reads and writes it:
 *   {"version":1,"partitions":[
 *     {"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any","any"]}]}
 *
 * Ownership:  what is read lives in the arena given.
 * Threads:    any.
 */
#ifndef CONTROLLER_CLI_MOVES_FILE_H
#define CONTROLLER_CLI_MOVES_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/model/ids.h"

struct moves_line {
    struct str topic;
    int32_t partition;
    struct ids replicas;
    const struct str *dirs; /* of each replica: a directory, or null for any; NULL: none is named */
};

/* False: *why says what is wrong with it. */
bool moves_file_read(struct arena *arena, const char *text, size_t len, struct moves_line **out,
                     int *n, const char **why);
/* {"topics":[{"topic":"a"}],"version":1}: which topics a plan is for. */
bool moves_file_read_topics(struct arena *arena, const char *text, size_t len, struct str **out,
                            int *n, const char **why);
/* {"partitions":[{"topic":"a","partition":0}]}: which partitions want an election. */
bool moves_file_read_parts(struct arena *arena, const char *text, size_t len,
                           struct moves_line **out, int *n, const char **why);
/* One line without an end of line. */
void moves_file_write(FILE *out, const struct moves_line *lines, int n);

/* All of a file, "-" for standard input; NULL and errno when it cannot be read. */
char *moves_file_load(struct arena *arena, const char *path, size_t *len);

#endif
