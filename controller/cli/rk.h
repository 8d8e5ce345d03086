/*
 * rk - librdkafka as produce and consume use it: where the cluster is, whose settings, what it
 * says.
 *
 * Settings, the later ones winning: ours, those of --command-config (or MOLDAU_COMMAND_CONFIG, or
 * command-config in .moldau), --set KEY=VALUE.
 *
 * Threads:    librdkafka's own; its callbacks are made from rd_kafka_poll() on ours.
 */
#ifndef CONTROLLER_CLI_RK_H
#define CONTROLLER_CLI_RK_H

#include <librdkafka/rdkafka.h>

#include "controller/cli/cli.h"
#include "controller/cli/topic.h"

/* A conf with the cluster's address and the user's settings to come: rk_finish() adds those. Also
 * looks whether the topic is there, unless settings of security keep our own client out. What is
 * wrong has been said; topic_parts: how many partitions, -1 when not looked. */
enum exit_code rk_begin(struct cli *cli, const char *topic, rd_kafka_conf_t **conf,
                        int32_t *topic_parts);
/* Ours; a value that librdkafka refuses is our bug or its version's. */
enum exit_code rk_set(struct cli *cli, rd_kafka_conf_t *conf, const char *key, const char *value);
/* Reads the user's settings into conf and makes the handle; takes conf. */
enum exit_code rk_finish(struct cli *cli, rd_kafka_type_t type, rd_kafka_conf_t **conf,
                         rd_kafka_t **rk);

/* --topic or the operand; NULL and said when there is neither. */
const char *rk_topic(struct cli *cli);

/* From now on SIGINT and SIGTERM do not end the program but make rk_stopped() true. */
void rk_catch_signals(void);
bool rk_stopped(void);

#endif
