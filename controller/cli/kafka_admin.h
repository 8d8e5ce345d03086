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
/* A line on stderr as Kafka's logger writes it. */
void kafka_warn(const char *class, const char *text);

/* Reads the client settings of an option ("command-config", "admin.config"), if it is given:
 * time-outs are honoured, what has no meaning here is passed over, keys that Java's client does not
 * know are warned of, and whatever promises protection (TLS, SASL) is refused. */
enum exit_code kafka_read_conf(struct cli *cli, const char *option);

/* What a tool can be told to do. */
struct kafka_action {
    const char *name; /* of its option */
    enum exit_code (*run)(struct cli *cli, struct link *link);
    const char *needs[2]; /* options without which it cannot be */
};
/* Runs the one action that the command line names, connected to the cluster. names: of all, as a
 * command line is refused that does not name exactly one. timeout_ms: what --timeout is unless
 * given; 0: the tool has no such option. */
enum exit_code kafka_run(struct cli *cli, const struct kafka_action *actions, size_t len,
                         const char *names, int64_t timeout_ms);

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
