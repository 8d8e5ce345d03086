/*
 * load - ZooKeeper to events of the core: everything once the seat is ours, single things when the
 * core wants them again.
 *
 * Everything: what is missing of Kafka's paths is created, /cluster/id too; old notifications are
 * dropped, brokers, topics, states, settings, deletion marks, tombstones and the block of producer
 * ids are read, pipelined, and LOADED is sent. Progress is said once a second. A standby that has
 * followed its predecessor reads the topics, states and settings only that may have changed since.
 * What we cannot serve safely (ACLs, delegation tokens, finalised features) is refused with the
 * reason, and so is what cannot be read, but for registrations, which are left out, and states and
 * topics, which are told as unreadable, and settings, which are told as unread, or not at all when
 * they are read for themselves: each is the matter of one broker, partition, topic or entity. Of
 * the topics only when the core knows them, or when they were never led: one that has states nobody
 * knows the replicas of, and who is not told of them parks their logs.
 *
 * Threads:    the event thread. Events and hooks come from the mailbox only.
 * Errors:     a lost connection is waited out and read again; a session's end ends what runs
 *             silently, for the seat is lost with it.
 */
#ifndef CONTROLLER_SHELL_LOAD_H
#define CONTROLLER_SHELL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/zk/zk.h"
#include "controller/core/core.h"
#include "controller/core/standby.h"
#include "controller/shell/sink.h"

struct loader;

struct loader_hooks {
    /* It must not be served like this: resign. text for the operator, lent. */
    void (*on_refused)(void *arg, const char *text);
    /* Does the core know this topic, and will it go by that when it is given a LOADED of this
     * epoch? NULL: it knows none. */
    bool (*knows)(void *arg, struct str topic, int32_t epoch);
    void *arg;
};

struct loader *loader_new(struct zk *zk, const struct sink *sink, const struct loader_hooks *hooks);
void loader_free(struct loader **loader);

/* As the effect RELOAD says; its event follows. RELOAD_ALL: after winning too, with all else zero.
 * One that runs already is started over. epoch goes into LOADED. */
void loader_run(struct loader *loader, const struct core_reload *reload, int32_t epoch);
/* What the next RELOAD_ALL need not read, for standby_judge() has believed it. Borrowed until its
 * LOADED, or loader_reset(). NULL: it reads everything. */
void loader_believe(struct loader *loader, const struct standby *known);
/* How far a RELOAD_ALL is that runs: partitions found so far and those read, or known; false: none
 * runs. */
bool loader_progress(const struct loader *loader, size_t *n_parts, size_t *n_done);
/* CONFIG_READ of one entity ("topics", name), if its settings can be read. */
void loader_run_config(struct loader *loader, struct str type, struct str name);
/* The seat is lost: nothing that was asked before this is answered. */
void loader_reset(struct loader *loader);

#endif
