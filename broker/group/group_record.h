/*
 * group_record - what __consumer_offsets holds, to bytes and back.
 *
 *     key 0, 1   group, topic, partition    value 0..4   an offset that was committed
 *     key 2      group                      value 0..4   a group's members and their assignment
 *     key 3..    groups of other protocols  not ours to read
 *
 * A null value says that it is gone. Written are the versions that Kafka 3.9 writes: key 1 with
 * value 3 (1 when the commit brought its own time of expiry), key 2 with value 3.
 *
 * Ownership:  what is read borrows from the bytes, what is written is the arena's.
 * Threads:    any; no state.
 * Errors:     ERR_BAD_FORMAT for bytes that are no such record; ERR_UNSUPPORTED_VERSION for a
 *             version that Kafka 3.9 does not know either.
 */
#ifndef BROKER_GROUP_GROUP_RECORD_H
#define BROKER_GROUP_GROUP_RECORD_H

#include "broker/group/offsets_core.h"
#include "gen/records/group_metadata.h"

enum group_key_kind { GROUP_KEY_OFFSET, GROUP_KEY_GROUP, GROUP_KEY_OTHER };

struct group_key {
    enum group_key_kind kind;
    int16_t version;
    struct str group;
    struct str topic;
    int32_t partition;
};

/* Which partition of __consumer_offsets keeps the group: |hash| % partitions, with Java's
 * String.hashCode() over UTF-16. */
int32_t group_record_partition(struct str group, int32_t partitions);

enum err group_record_read_key(struct str bytes, struct group_key *out) MUST_USE;
enum err group_record_read_offset(struct str bytes, struct offset_value *out) MUST_USE;
enum err group_record_read_group(struct str bytes, struct arena *arena,
                                 struct group_metadata_value *out, int16_t *version) MUST_USE;

struct str group_record_write_offset_key(struct arena *arena, struct str group, struct str topic,
                                         int32_t partition);
struct str group_record_write_offset(struct arena *arena, const struct offset_value *value);
struct str group_record_write_group_key(struct arena *arena, struct str group);
/* As it is now; in Completing with the assignment that the leader has just handed in. */
struct str group_record_write_group(struct arena *arena, const struct group *group);

#endif
