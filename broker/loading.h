/*
 * loading - how far the logs of a broker are that starts: for its status page, for its log, and in
 * ZooKeeper at /controllers/loading/<id>, where `moldau cluster status` looks, for a broker that
 * recovers serves nobody and is registered nowhere.
 *
 * ZooKeeper is not told of a start that takes less than a second.
 *
 * Threads:    loading_note(), loading_totals() and loading_print() from any; the rest by main.
 */
#ifndef BROKER_LOADING_H
#define BROKER_LOADING_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "broker/log/logs.h"

struct loading;

/* Of so many directories. */
struct loading *loading_new(size_t dirs);
/* ZooKeeper is told from now on, until loading_done(). */
void loading_publish(struct loading *loading, const char *zookeeper_connect, int32_t broker_id);
void loading_note(struct loading *loading, const struct logs_progress *progress);
/* All are open: what ZooKeeper was told is withdrawn. */
void loading_done(struct loading *loading);
void loading_free(struct loading **loading);

void loading_totals(struct loading *loading, size_t *loaded, size_t *total);
/* As members of a JSON object: "logs_loaded":…,"logs_total":…,"dirs":[…] */
void loading_print(struct loading *loading, FILE *out);

#endif
