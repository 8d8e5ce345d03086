/*
 * moves - a plan of where replicas are to be: shown, carried out, followed.
 *
 * Ownership:  everything lives in cli->arena, but for what moves_follow() makes while it goes on.
 * Threads:    one; calls wait.
 * Errors:     functions that return an exit code have said what is wrong.
 */
#ifndef CONTROLLER_CLI_MOVES_H
#define CONTROLLER_CLI_MOVES_H

#include "common/model/ids.h"
#include "controller/cli/link.h"

struct planned {
    struct str topic;
    int32_t partition;
    struct ids from, to;
    int32_t leader; /* -1 none */
    int64_t bytes;  /* of one replica; -1 not known */
};

/* How many brokers get a copy that have none. */
uint32_t planned_copies(const struct planned *move);

/* Drops what stays as it is; -> how many are left. */
int moves_only_changes(struct planned *moves, int n);
/* Fills bytes out of the leaders' log directories. */
void moves_measure(struct cli *cli, struct link *link, struct planned *moves, int n);

/* Prints the plan and, with apply, carries it out, under a throttle where --throttle asks for one;
 * with --watch follows it to its end. what: "drain broker 3", for people. */
enum exit_code moves_run(struct cli *cli, struct link *link, struct planned *moves, int n,
                         const char *what, bool apply);

/* What moves now, once or, with watch, until nothing does; Ctrl-C detaches. begun: what was started
 * just before and counts even when it is there already; may be none. */
enum exit_code moves_status(struct cli *cli, struct link *link, bool watch,
                            const struct planned *begun, int n);

#endif
