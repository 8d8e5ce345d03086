/*
 * sync_wait - somebody who waits for a log to be on stable storage up to an offset.
 *
 * Ownership:  its poster's, in place until done() was called; done() may free it.
 * Threads:    done() runs on the directory's thread (T_DIR) and must not wait.
 * Errors:     the sync's own; NOT_LEADER_OR_FOLLOWER when the log was cut below the offset.
 */
#ifndef BROKER_LOG_SYNC_WAIT_H
#define BROKER_LOG_SYNC_WAIT_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/base/err.h"

struct log;

struct sync_wait {
    STAILQ_ENTRY(sync_wait) link;
    struct log *log;     /* lent until done() */
    int64_t upto_offset; /* all below must be on stable storage */
    void (*done)(struct sync_wait *wait, enum err err);
};

#endif
