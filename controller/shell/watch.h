/*
 * watch - what others change in ZooKeeper, to events of the core, while the seat is ours.
 *
 *   /brokers/ids and each registration -> BROKER_NODES     /admin/delete_topics -> DELETE_MARKS
 *   /brokers/topics                    -> TOPIC_NAMES       /config/changes      -> CONFIG_READ
 *   /isr_change_notification, /log_dir_event_notification: removed as they come
 *
 * A watch says that something has changed, never what: every change is a fresh read of the whole,
 * and the core compares. So one event may stand for many changes and none is missed.
 *
 * Threads:    the event thread. Events come from the mailbox only.
 */
#ifndef CONTROLLER_SHELL_WATCH_H
#define CONTROLLER_SHELL_WATCH_H

#include "common/zk/zk.h"
#include "controller/shell/load.h"
#include "controller/shell/sink.h"

struct cluster_watch;

/* loader: reads the settings that notifications name. */
struct cluster_watch *cluster_watch_new(struct zk *zk, struct loader *loader,
                                        const struct sink *sink);
void cluster_watch_free(struct cluster_watch **watch);

/* From the moment the seat is won, before the load (so no change falls between); events before the
 * core has had LOADED are its to drop. */
void cluster_watch_start(struct cluster_watch *watch);
/* The core has had LOADED: what was told before that is told again, and what old tools and brokers
 * leave behind for the first time. */
void cluster_watch_loaded(struct cluster_watch *watch);
/* The seat is lost: no event of it comes after this. */
void cluster_watch_stop(struct cluster_watch *watch);

#endif
