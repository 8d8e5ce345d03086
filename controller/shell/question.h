/*
 * question - "are you there?", asked of the active controller and answered by it through
 * ZooKeeper, when nothing is heard of it on the network.
 *
 * A standby writes its question into /controllers/question; who is active and not stuck empties it.
 * A question that still stands some time later means that the active controller hangs, or has lost
 * ZooKeeper itself: either way it decides nothing any more. Who answers and is not heard is cut off
 * from this standby alone, and left in peace.
 *
 * Threads:    the event thread; done() comes from the mailbox or a timer.
 */
#ifndef CONTROLLER_SHELL_QUESTION_H
#define CONTROLLER_SHELL_QUESTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/io/reactor.h"
#include "common/zk/zk.h"

struct question;

enum question_outcome {
    QUESTION_ANSWERED,
    QUESTION_STANDS,  /* nobody answered in time */
    QUESTION_UNKNOWN, /* ZooKeeper did not let us find out */
};

struct question *question_new(struct zk *zk, struct reactor *reactor, int32_t controller_id,
                              void (*done)(void *arg, enum question_outcome outcome), void *arg);
/* Before zk_close(); NULL inside is fine, NULL is left behind. */
void question_free(struct question **question);
/* One at a time: an earlier one is not told of any more. */
void question_ask(struct question *question, int64_t within_ms);
void question_drop(struct question *question);

/* The active controller's part. */
struct zk_watch;
struct zk_watch *question_answer_start(struct zk *zk);

#endif
