/*
 * scope - the partitions that operands name: TOPIC-P and TOPIC:P for one, TOPIC:0,1,2 for some,
 * TOPIC for all.
 *
 * Ownership:  everything lives in cli->arena.
 * Errors:     functions that return an exit code have said what is wrong.
 */
#ifndef CONTROLLER_CLI_SCOPE_H
#define CONTROLLER_CLI_SCOPE_H

#include "common/base/uuid.h"
#include "controller/cli/link.h"

struct part_at {
    struct str topic;
    struct uuid topic_id;
    const struct metadata_response_partition *seen;
};

/* Of words, as they are now; sorted, none twice. CLI_NOT_FOUND: a topic or partition is not there.
 */
enum exit_code scope_find(struct cli *cli, struct link *link, const char *const *words, int n,
                          struct part_at **out, int *len);
/* All of the cluster's, of internal topics as well. */
enum exit_code scope_all(struct cli *cli, struct link *link, struct part_at **out, int *len);

/* Of sorted ones, as both leave them; NULL: it is not among them. */
const struct part_at *scope_part(const struct part_at *parts, int len, struct str topic,
                                 int32_t partition);

/* "orders-7" is orders and 7; false when no number stands behind the last dash. */
bool scope_split(struct str word, struct str *topic, int32_t *partition);
/* "1,2,3" as ids; false when it is no list of different ids. */
bool scope_ids(struct arena *arena, const char *text, int32_t **out, int *len);
/* "orders-7" */
const char *scope_name(struct cli *cli, struct str topic, int32_t partition);

#endif
