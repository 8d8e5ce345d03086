/*
 * kafka_groups - Kafka's kafka-consumer-groups: which options it takes together, and what it prints
 * of groups, its columns and its order, which is that of Java's hash maps.
 *
 * Ownership:  everything lives in the arena of the view or of the run.
 * Threads:    one.
 */
#ifndef CONTROLLER_CLI_KAFKA_GROUPS_H
#define CONTROLLER_CLI_KAFKA_GROUPS_H

#include <stdio.h>

#include "controller/cli/group.h"

/* Whether its options go together; what is wrong with them has been said. */
enum exit_code kafka_groups_check(struct cli *cli);

/* Numbers of view->parts in the order of a HashMap of them. */
const size_t *kafka_part_order(const struct group_view *view);

/* The rows of --describe --offsets, without a newline at the end, as 3.9 has none. */
void kafka_print_offsets(const struct group_view *view, FILE *out);
void kafka_print_members(const struct group_view *view, bool verbose, FILE *out);
/* coordinator: "host:port  (id)" */
void kafka_print_state(const struct group_view *view, const char *coordinator, FILE *out);
/* "(0), (0,1)": the partitions of each topic that a member is assigned, "-" of none. */
const char *kafka_assignment_text(const struct group_view *view,
                                  const struct describe_groups_response_member *member);

#endif
