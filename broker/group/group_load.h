/*
 * group_load - read a shard back from its log when it becomes ours.
 *
 * Threads: begun by the control thread, done by the pool: a buffer's worth of log at a time, each
 *          partition for itself, so that many are read at once and other work gets its turn.
 */
#ifndef BROKER_GROUP_GROUP_LOAD_H
#define BROKER_GROUP_GROUP_LOAD_H

#include "broker/group/groups_int.h"

/* The shard is LOADING in this life; it becomes OURS when all has been read, unless it has another
 * life by then. */
void group_load_begin(struct group_shard *shard, struct part *part, uint64_t life, int32_t epoch);
/* On its home reactor, once groups->stopped is set: nothing waits any more for being committed. */
void group_load_cancel(struct group_shard *shard);
/* Takes all that the table has and frees it, in the pool. */
void group_load_discard(struct groups *groups, struct group_table *table);

#endif
