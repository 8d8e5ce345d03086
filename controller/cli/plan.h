/*
 * plan - the whole cluster as spread takes it, and what spread makes of it as moves.
 *
 * Ownership:  everything lives in cli->arena.
 * Errors:     functions that return an exit code have said what is wrong.
 */
#ifndef CONTROLLER_CLI_PLAN_H
#define CONTROLLER_CLI_PLAN_H

#include "controller/cli/moves.h"
#include "controller/cli/scope.h"
#include "controller/cli/spread.h"

struct plan {
    struct spread spread;
    struct part_at *parts; /* of each part of the spread */
    int len;
};

/* Reads brokers, racks, partitions and their sizes. Brokers that metadata does not list but that
 * hold replicas are part of it; they neither get nor give. What moves already is fixed. */
enum exit_code plan_read(struct cli *cli, struct link *link, struct plan *plan);
/* Fixes all partitions but those of these topics, "a" and "b"; CLI_NOT_FOUND: one is not there. */
enum exit_code plan_only_topics(struct cli *cli, struct link *link, struct plan *plan,
                                const char *const *topics, int n);
/* The broker; CLI_NOT_FOUND, and said, when there is none. */
enum exit_code plan_broker(struct cli *cli, struct plan *plan, int32_t id,
                           struct spread_broker **out);
/* What changes. */
struct planned *plan_moves(struct cli *cli, const struct plan *plan, int *n);

#endif
