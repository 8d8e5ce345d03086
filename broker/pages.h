/*
 * pages - what a broker shows over HTTP at metrics.listener: /metrics for Prometheus, /status as
 * JSON.
 *
 * They are there before the logs are loaded, and show how far that is.
 *
 * Ownership:  borrows what the source points to, until pages_stop().
 * Threads:    pages are made on the T_HTTP thread; they take short locks only, none of the data
 * path's.
 */
#ifndef BROKER_PAGES_H
#define BROKER_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "broker/control/control.h"
#include "broker/group/groups.h"
#include "broker/loading.h"
#include "broker/log/clean/cleaner.h"
#include "broker/log/logs.h"
#include "broker/net/conn.h"
#include "broker/replica/parts.h"
#include "common/base/err.h"

struct pages;

struct pages_source {
    int32_t broker_id;
    struct parts *parts;
    struct groups *groups;
    struct fetchers *fetchers;
    struct moves *moves;
    struct repl_quota *leader_quota, *follower_quota, *moves_quota;
    struct logs *logs;
    struct cleaner *cleaner; /* NULL: logs are not compacted */
    struct control *control;
    struct conns *const *conns;
    size_t conns_len;
};

/* listener: "host:port". loading is borrowed. It has been said what is wrong when this fails. */
MUST_USE enum err pages_start(const char *listener, int32_t broker_id, struct loading *loading,
                              struct pages **out);
/* All is there to be shown from now on. */
void pages_ready(struct pages *pages, const struct pages_source *source);
void pages_stop(struct pages **pages);

#endif
