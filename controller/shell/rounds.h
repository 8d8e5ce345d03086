/*
 * rounds - looks at every topic's znode now and then: has another hand changed it?
 *
 * Tools of before 2.8 grow topics and move partitions by writing to ZooKeeper. A watch on each
 * topic would tell at once, but 100,000 of them are sent again in one packet with each new
 * connection. So the active controller goes round instead, asking for versions only, a few at a
 * time: a topic that has another version than known, and a second later still, is to be read again.
 *
 * Threads:    the event thread.
 */
#ifndef CONTROLLER_SHELL_ROUNDS_H
#define CONTROLLER_SHELL_ROUNDS_H

#include <stdint.h>

#include "common/base/str.h"
#include "common/base/uuid.h"
#include "common/io/reactor.h"
#include "common/model/image.h"
#include "common/zk/zk.h"

struct rounds;

struct rounds_conf {
    struct zk *zk;
    struct reactor *reactor;
    int64_t rest_ms;                                  /* between two rounds */
    int64_t again_ms;                                 /* until the second look */
    const struct image *(*image)(void *arg);          /* as it is now */
    int32_t (*version)(void *arg, struct uuid topic); /* known of the topic's znode, -1 none */
    void (*on_changed)(void *arg, struct str topic);
    void *arg;
};

/* Begins with a rest. */
struct rounds *rounds_start(const struct rounds_conf *conf);
/* NULL inside is fine, NULL is left behind. */
void rounds_stop(struct rounds **rounds);

#endif
