/*
 * group_replay - a log of __consumer_offsets, read from its start, into a table of groups.
 *
 * The last record of a key counts. Offsets of transactions wait for their markers; those without
 * one stay pending. Groups with members are Stable then, all others Empty.
 *
 * Units:      offsets count records of the log that is read.
 * Ownership:  the table is the replay's until group_replay_end() gives it away.
 * Threads:    one at a time.
 * Errors:     ERR_CORRUPT_MESSAGE: bytes that are no record batches; nothing after them is read.
 *             Single records that make no sense are counted and passed over, as are those of
 *             protocols that we do not know: left by a newer broker, they are not ours to judge.
 */
#ifndef BROKER_GROUP_GROUP_REPLAY_H
#define BROKER_GROUP_GROUP_REPLAY_H

#include "broker/group/group_table.h"
#include "common/wire/codec.h"

struct group_replay {
    const struct group_conf *conf;
    struct group_table table;
    struct buf scratch;      /* decompressed records */
    struct group_slot *last; /* of the record before: most come in rows */
    int64_t wall_ms;
    int64_t next_offset; /* after the last batch taken in */
    size_t records;      /* walked */
    size_t skipped;      /* passed over, see above */
};

void group_replay_init(struct group_replay *replay, const struct group_conf *conf, int64_t wall_ms);
void group_replay_fini(struct group_replay *replay);
/* Takes in whole batches; *used: how many bytes of the len they were. Batches below next_offset are
 * passed over. */
enum err group_replay_bytes(struct group_replay *replay, const uint8_t *bytes, size_t len,
                            size_t *used) MUST_USE;
/* All has been read: the table, its groups' sessions begun at now_ms. *offsets: how many. */
void group_replay_end(struct group_replay *replay, int64_t now_ms, struct group_table *table,
                      size_t *offsets);

#endif
