/*
 * group_commit - one fdatasync for all appends that wait for it.
 *
 * flush.messages=1 asks for a sync per append. Instead of one each, an append posts what it waits
 * for and goes on; the directory's thread takes all that wait, syncs each log once, and tells them.
 *
 * Ownership:  see sync_wait.h.
 * Threads:    post from any thread; done() runs on the directory's thread.
 * Errors:     the sync's own; a failed sync is final for the directory.
 */
#ifndef BROKER_LOG_GROUP_COMMIT_H
#define BROKER_LOG_GROUP_COMMIT_H

#include "broker/log/log.h"
#include "broker/log/sync_wait.h"

struct group_commit;

/* index names the thread; below 0 there is none and somebody calls group_commit_turn(). */
struct group_commit *group_commit_start(int index);
/* Does all that waits now. */
void group_commit_turn(struct group_commit *commit);
/* What waits is synced first. */
void group_commit_stop(struct group_commit **commit);
/* done() may be called before this returns, when it is there already. */
void group_commit_post(struct group_commit *commit, struct sync_wait *wait);
/* Asks for the log to be synced at leisure; nobody is told. */
void group_commit_hint(struct group_commit *commit, struct log *log);

#endif
