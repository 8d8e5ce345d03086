/*
 * kafka_tool - moldau under the names of Kafka's own tools: kafka-dump-log.sh,
 * kafka-consumer-groups.sh and others. What a tool's command line says becomes one of moldau's; its
 * exit codes are Kafka's, 0 and 1.
 *
 * Ownership:  the new arguments live in the arena given; texts of the old ones are borrowed.
 * Threads:    any.
 */
#ifndef CONTROLLER_CLI_KAFKA_TOOL_H
#define CONTROLLER_CLI_KAFKA_TOOL_H

#include <stdbool.h>

#include "common/base/arena.h"

/* False when argv[0] is no such name. Otherwise *out_argc and *out_argv are arguments for
 * args_parse(), behind the program's name. */
bool kafka_tool_args(int argc, char *const *argv, struct arena *arena, int *out_argc,
                     char ***out_argv);

#define KAFKA_TOOL_VERSION_TEXT "3.9.2" /* whose tools these are like */

/* What Kafka's tools answer before they look at the rest of a command line. */
enum kafka_tool_asks {
    KAFKA_TOOL_WORK,
    KAFKA_TOOL_HELP,    /* --help, or nothing at all: on stderr, and the exit code is 1 */
    KAFKA_TOOL_VERSION, /* --version, and the exit code is 0 */
};
enum kafka_tool_asks kafka_tool_asks(int argc, char *const *argv);

#endif
