/*
 * kafka_admin - what moldau has in common under the names of Kafka's administrative tools: their
 * time-outs and their file of client settings, Java's names of errors, the order of its sets.
 *
 * Ownership:  texts live in cli->arena.
 * Errors:     functions that return an exit code have said what is wrong, on stderr as Kafka's
 * tools do.
 */
#ifndef CONTROLLER_CLI_KAFKA_ADMIN_H
#define CONTROLLER_CLI_KAFKA_ADMIN_H

#include "controller/cli/link.h"

/* A command line that cannot be used. */
enum exit_code kafka_usage(struct cli *cli, const char *what);

/* Reads the client settings of an option ("command-config", "admin.config"), if it is given:
 * time-outs are honoured, what has no meaning here is passed over, and TLS or SASL are refused. */
enum exit_code kafka_read_conf(struct cli *cli, const char *option);

/* "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: message"; message NULL: ours.
 */
const char *kafka_error(struct cli *cli, enum err err, const char *message);

/* The numbers of n partitions in the order in which a HashSet of them is walked. */
struct kafka_part {
    struct str topic;
    int32_t partition;
};
/* The same of a HashMap by name that was made for n of them. */
size_t *kafka_map_order(struct arena *arena, const struct str *names, size_t n);
size_t *kafka_set_order(struct arena *arena, const struct kafka_part *parts, size_t n);

#endif
