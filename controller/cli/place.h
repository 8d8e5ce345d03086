/*
 * place - where the cluster is: addresses out of options, the environment, a .moldau file, or the
 * local cluster that scripts/up started; any one of a broker, a controller or ZooKeeper is enough.
 *
 * The first source that names any address wins, in this order:
 *   -b, --controller, --zookeeper
 *   MOLDAU_BOOTSTRAP, MOLDAU_CONTROLLER, MOLDAU_ZOOKEEPER
 *   .moldau in this folder or the nearest one above: bootstrap=..., controller=..., zookeeper=...
 *   run/cluster.json in this folder, above it, or in the checkout that the program lies in
 *   127.0.0.1:9092, 9093 and 9094
 *
 * Ownership:  all texts live in the arena.
 */
#ifndef CONTROLLER_CLI_PLACE_H
#define CONTROLLER_CLI_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/cli/cli.h"

struct address {
    const char *host;
    int32_t port;
};

struct place {
    struct address *brokers;
    int brokers_len;
    struct address *controllers;
    int controllers_len;
    const char *zookeeper; /* connect string, NULL: not known */
    const char *source;    /* for people: "-b", ".moldau in /home/x", ... */
    bool local;            /* a cluster of scripts/cluster, or the guess at one */
    const char
        *command_config; /* file with settings for librdkafka; of .moldau or the environment */
};

/* CLI_USAGE when an address cannot be read, and said. */
enum exit_code place_find(struct cli *cli, struct place *place);
/* "host:port,host:port" and "[::1]:9092"; default_port for those without one. False: not addresses.
 */
bool place_parse(struct arena *arena, const char *text, int32_t default_port, struct address **out,
                 int *len);
/* "h:p,h:p" */
const char *place_join(struct arena *arena, const struct address *addresses, int len);

#endif
