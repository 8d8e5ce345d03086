/*
 * controller_ask - what the command line asks of a controller of ours: where the cluster is.
 *
 * Threads:    one; calls wait, up to cli->deadline_ms.
 */
#ifndef CONTROLLER_CLI_CONTROLLER_ASK_H
#define CONTROLLER_CLI_CONTROLLER_ASK_H

#include "controller/cli/cli.h"
#include "controller/cli/place.h"

/* Fills place->zookeeper from the first controller of place->controllers that answers, and
 * place->brokers out of ZooKeeper. What is wrong has been said. */
enum exit_code controller_ask_brokers(struct cli *cli, struct place *place);

/* Whether the one at address answers a hello, as controller *id, within wait_ms; its ZooKeeper,
 * NULL if it does not tell. */
enum err controller_hello(struct cli *cli, const struct address *address, int64_t wait_ms,
                          int32_t *id, const char **zookeeper) MUST_USE;

#endif
