/*
 * broker - owns every module of a broker process: start order, stop order, nothing else.
 *
 * Threads:    broker_start(), broker_stop() by main. on_fatal() on any thread.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>

#include "broker/tables/broker_conf.h"
#include "common/base/conf.h"
#include "common/base/err.h"

struct broker;

struct broker_hooks {
    /* The process must end: it has been said why. */
    void (*on_fatal)(void *ctx);
    /* Is a stop asked for? While broker_start() runs, by any thread; it must not wait. NULL: never.
     */
    bool (*is_stopping)(void *ctx);
    void *ctx;
};

/* Borrows both settings for life. On failure it has been said what is wrong. ERR_SHUTTING_DOWN: a
 * stop was asked for while logs were recovered or ZooKeeper was waited for. */
MUST_USE enum err broker_start(const struct conf *conf, const struct broker_conf *settings,
                               const struct broker_hooks *hooks, struct broker **out);
/* relieve: hand leaderships over first (controlled shutdown), if the settings want it. */
void broker_stop(struct broker **broker, bool relieve);

#endif
