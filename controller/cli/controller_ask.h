/*
 * controller_ask - what the command line asks of a controller of ours: where the cluster is.
 *
 * Threads:    one; calls wait, up to cli->deadline_ms.
 */
#ifndef CONTROLLER_CLI_CONTROLLER_ASK_H
#define CONTROLLER_CLI_CONTROLLER_ASK_H

#include "common/model/ids.h"
#include "controller/cli/cli.h"
#include "controller/cli/place.h"
#include "gen/control.pb-c.h"

/* Fills place->zookeeper from the first controller of place->controllers that answers, and
 * place->brokers out of ZooKeeper. What is wrong has been said. */
enum exit_code controller_ask_brokers(struct cli *cli, struct place *place);

/* Whether the one at address answers a hello, as controller *id, within wait_ms; its ZooKeeper,
 * NULL if it does not tell. */
enum err controller_hello(struct cli *cli, const struct address *address, int64_t wait_ms,
                          int32_t *id, const char **zookeeper) MUST_USE;

/* What a controller says about itself. */
struct controller_status {
    int32_t id, holder; /* -1 not known, nobody */
    int32_t epoch;      /* of the active one, else -1 */
    const char *software;
    bool is_told; /* false: it is an older one, which knows of nothing below */
    bool is_active, is_connected, is_warm, is_busy, is_loading, resigns;
    int64_t load_parts, load_done;
    int64_t brokers, standbys, requests;
    int64_t works; /* in all; those that are told: */
    struct controller_work *work;
    int work_len;
};

struct controller_work {
    Control__Work__Kind what;
    const char *kind; /* the same in words */
    const char *topic;
    int32_t partition, broker; /* -1: none */
    struct ids adding, removing;
    int16_t api_key; /* -1: none */
    int64_t count, age_ms;
};

/* resign: it is to give up its seat, if anybody waits for it. */
enum err controller_ask_status(struct cli *cli, const struct address *address, int64_t wait_ms,
                               bool resign, struct controller_status *out) MUST_USE;

#endif
