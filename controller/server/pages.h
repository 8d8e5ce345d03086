/*
 * pages - what a controller shows over HTTP: /status for people and scripts, /metrics for
 * Prometheus.
 *
 * Threads:    rendered on the HTTP thread; what they show is fetched from the event thread.
 */
#ifndef CONTROLLER_SERVER_PAGES_H
#define CONTROLLER_SERVER_PAGES_H

#include "common/base/err.h"
#include "common/io/http.h"
#include "controller/shell/events.h"

/* port 0: any free one. The page's server is stopped before events are. */
enum err pages_start(struct events *events, const char *host, int port, struct http **out) MUST_USE;

#endif
