/*
 * offsets_core - what a group has committed: where it is in each partition.
 *
 * A commit is checked, marked (offsets_begin), appended to the log, and when it is committed there
 * taken over (offsets_end). Of two commits of one partition the one further down the log counts,
 * whichever is heard of first. Offsets of a transaction are kept apart until its marker comes.
 *
 * Kafka 3.9's GroupMetadata and GroupMetadataManager; KIP-211 for what expires when, KIP-447 for
 * require_stable.
 *
 * Units:      offset counts records of the partition consumed; `at` records of the log of
 *             __consumer_offsets. Times are ms since 1970; expire_ms -1: by the retention.
 * Ownership:  the group owns copies. What lookups lend lives until the group changes.
 * Threads:    one at a time.
 * Errors:     Kafka's codes.
 */
#ifndef BROKER_GROUP_OFFSETS_CORE_H
#define BROKER_GROUP_OFFSETS_CORE_H

#include "broker/group/group_core.h"

struct offset_value {
    int64_t offset;
    int32_t leader_epoch; /* -1 none */
    struct str metadata;
    int64_t commit_ms;
    int64_t expire_ms;
};

/* One partition of a commit. */
struct offset_item {
    struct str topic;
    int32_t partition;
    struct offset_value value;
    enum err err;  /* not OK: left out by all that follows */
    uint32_t born; /* of offsets_begin(), for offsets_end() */
};

/* ---- committing ---- */

/* May this be committed now? Refreshes the member's session. transactional: TxnOffsetCommit, whose
 * old versions name no member. */
enum err offsets_check(struct group *group, int32_t generation, struct str member,
                       struct str instance, bool transactional, int64_t now_ms);
/* OFFSET_METADATA_TOO_LARGE. */
enum err offsets_check_metadata(const struct group_conf *conf, struct str metadata);
/* Marks them as being stored. */
void offsets_begin(struct group *group, struct offset_item *items, size_t len);
/* Stored from `at` on in their order, those with an error left out; or not at all. */
void offsets_end(struct group *group, const struct offset_item *items, size_t len, enum err err,
                 int64_t at);

/* ---- transactions ---- */

/* As the log has it: pending until the marker. */
void offsets_txn_put(struct group *group, int64_t producer_id, struct str topic, int32_t partition,
                     const struct offset_value *value, int64_t at);
void offsets_txn_drop(struct group *group, int64_t producer_id, struct str topic,
                      int32_t partition);
/* The marker: into effect, or forgotten. */
void offsets_txn_end(struct group *group, int64_t producer_id, bool commit);
bool offsets_has_txn(const struct group *group, int64_t producer_id);

/* ---- from the log ---- */

void offsets_put(struct group *group, struct str topic, int32_t partition,
                 const struct offset_value *value, int64_t at);
void offsets_drop(struct group *group, struct str topic, int32_t partition);

/* ---- looking ---- */

/* False when nothing is committed. *unstable: something is on its way (KIP-447). */
bool offsets_get(const struct group *group, struct str topic, int32_t partition,
                 struct offset_value *out, bool *unstable);
/* Committed ones. */
size_t offsets_count(const struct group *group);
/* None committed and none on its way. */
bool offsets_is_bare(const struct group *group);

struct offset_cursor {
    size_t topic, at;
};
/* All committed ones by topic and partition; start with zeroes, false at the end. */
bool offsets_next(const struct group *group, struct offset_cursor *cursor, struct str *topic,
                  int32_t *partition, struct offset_value *out);

/* ---- forgetting: what is gone is noted for its tombstones, in the arena ---- */

struct offset_gone {
    struct str topic;
    int32_t partition;
};

struct offsets_gone {
    struct arena *arena;
    struct offset_gone *items; /* malloc'ed: the caller frees it */
    size_t len, cap;
};

void offsets_remove(struct group *group, struct str topic, int32_t partition,
                    struct offsets_gone *gone);
/* Those that stand before that offset in the log; INT64_MAX: all, and those on their way, too. */
void offsets_remove_topic(struct group *group, struct str topic, int64_t before,
                          struct offsets_gone *gone);
void offsets_remove_all(struct group *group, struct offsets_gone *gone);
/* When that expires which is kept for so long from then on. Clients choose both times, so what lies
 * outside of int64 is the nearest that does not: never, or long ago. */
int64_t offsets_expiry_ms(int64_t since_ms, int64_t kept_ms);
/* What offsets.retention.minutes no longer keeps (KIP-211). */
void offsets_expire(struct group *group, int64_t wall_ms, int64_t retention_ms,
                    struct offsets_gone *gone);

#endif
