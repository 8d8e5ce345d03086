/*
 * monitor - a standby's eye on the active controller: follows what it decides, and says when its
 * process is dead or hangs, long before its session in ZooKeeper expires.
 *
 * It keeps a connection to the holder of the seat. When that ends it connects again: refused means
 * dead; accepted means that nothing has happened, or that another process is there, which says so
 * when it is not active. When nothing is heard on it for the heartbeats' time-out, the holder is
 * asked through ZooKeeper whether it is there (see question): it may be our connection alone that
 * fails, and two controllers that cannot hear each other must not depose each other in turns.
 * Taking over is a matter of versions in ZooKeeper, so a wrong verdict costs a change of
 * controllers and no more. The standbys wait by rank, so that one of them is first.
 *
 * Ownership:  fills the standby, which is borrowed.
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_MONITOR_H
#define CONTROLLER_SHELL_MONITOR_H

#include <stdint.h>

#include "common/io/reactor.h"
#include "common/io/resolver.h"
#include "common/zk/zk.h"
#include "controller/core/standby.h"
#include "controller/shell/seat.h"

struct monitor;

struct monitor_conf {
    struct reactor *reactor;
    struct resolver *resolver; /* of the holder's name */
    struct zk *zk;
    int32_t controller_id;
    struct standby *standby;
    int64_t answer_ms; /* for the holder to answer a question in; 0: 1000 */
    /* The holder's process is dead. Called from the reactor. */
    void (*on_dead)(void *arg, int32_t holder);
    void *arg;
};

struct monitor *monitor_new(const struct monitor_conf *conf);
/* Before zk_close(). */
void monitor_free(struct monitor **monitor);
/* Whom to watch from now on; NULL, nobody or ourselves: nobody. */
void monitor_watch(struct monitor *monitor, const struct seat_holder *holder);

#endif
