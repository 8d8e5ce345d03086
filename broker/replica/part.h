/*
 * part - one partition hosted here: the shell of part_core around a log.
 *
 * Two locks: `append` for whoever changes the log's end or the role (held across the write),
 * `state` for the core (never across a system call). Followers' fetches and consumers' reads take
 * `state` only, and shortly. What the core's effects ask for (waking waiters, sending a proposal)
 * is done after both were dropped.
 *
 * Units:      offsets count records, sizes are bytes, now_ms is monotonic unless it says wall.
 * Ownership:  counted: part_ref() / part_unref(). It holds its log; ranges hold it too.
 * Threads:    any, apart from what is said below.
 * Errors:     Kafka's codes, as a client is to be told.
 */
#ifndef BROKER_REPLICA_PART_H
#define BROKER_REPLICA_PART_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/delay/purgatory.h"
#include "broker/log/log.h"
#include "broker/log/logs.h"
#include "broker/log/validate.h"
#include "broker/replica/part_core.h"
#include "broker/replica/repl_quota.h"
#include "common/base/err.h"
#include "common/base/uuid.h"

struct part;

/* Those to which the passing of time means something. Each with a reference. */
struct restless {
    _Atomic(struct part *) first; /* [a] */
};

/* What partitions tell the rest of the broker; one for all, outlives them. */
struct part_env {
    int32_t broker_id;
    struct restless *restless; /* NULL: part_tick() is called for each (tests) */
    void *ctx;
    /* Send this proposal to the controller. Called without locks; members are borrowed. */
    void (*propose)(void *ctx, struct part *part, const struct part_proposal *proposal);
};

/* log: taken. hw: from the checkpoint, -1 none. */
struct part *part_new(const struct part_env *env, const char *topic, struct uuid topic_id,
                      int32_t partition, struct log **log, int64_t hw, int32_t min_isr,
                      int64_t lag_max_ms);
struct part *part_ref(struct part *part);
void part_unref(struct part **part);

const char *part_topic(const struct part *part);
struct uuid part_topic_id(const struct part *part);
int32_t part_partition(const struct part *part);
/* Another one after a move to another directory; whoever has it may go on with it. */
struct log *part_log(const struct part *part);
/* The directory that its log is in has failed: nothing is served any more (KAFKA_STORAGE_ERROR),
 * roles and proposals rest; it stays that way until the process ends. */
bool part_is_offline(const struct part *part);
/* "orders-3" */
const char *part_name(const struct part *part);

/* A snapshot for describing, metrics, checkpoints. */
struct part_info {
    enum part_role role;
    int32_t leader, leader_epoch, partition_epoch;
    int32_t led_since; /* a leader: the epoch in which it began to lead without a break */
    int64_t hw, leo, log_start;
    int32_t isr_len, replicas_len;
    int32_t min_isr; /* as set, whatever the number of replicas */
    bool is_under_min_isr;
};
void part_get_info(struct part *part, struct part_info *out);

/* ---- settings ---- */

/* Of its log, and of the copy while it is being moved. */
void part_set_log_conf(struct part *part, const struct log_conf *conf);

/* What a produce is checked against, kept beside the partition for append.c. */
void part_set_conf(struct part *part, const struct validate_conf *validate, int32_t min_isr,
                   int64_t lag_max_ms, int64_t now_ms);
/* Whether it is one of the replicas that are throttled while they are copied, as a leader's and as
 * a follower's: leader.replication.throttled.replicas and its like for followers */
void part_set_throttled(struct part *part, bool as_leader, bool as_follower);
bool part_is_throttled_follower(const struct part *part);
void part_get_validate_conf(struct part *part, struct validate_conf *out);

/* ---- the leader's side ---- */

/* Appends one validated set as leader: stamps and writes it. *leader_epoch: in which it was
 * appended. NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS and what log_append_leader() says; a gap in
 * a producer's sequence soon after a refusal that asks to try again is refused for that reason.
 * Whoever gets flush_due asks for a sync and calls part_synced(): before that nothing of it is
 * committed. */
MUST_USE enum err part_append(struct part *part, struct validated *batch, int16_t acks,
                              enum log_origin origin, int64_t wall_ms, int64_t now_ms,
                              struct log_appended *out, int32_t *leader_epoch);
/* Has an append of the leader found no room since this was asked last? */
bool part_take_full(struct part *part);
/* Has all below `end`, appended in leader_epoch, been committed? See part_acked(). */
enum part_ack part_check_acked(struct part *part, int64_t end, int32_t leader_epoch, enum err *err);
/* Where a produce waits for its records to be committed: need = its end offset. Flushed when this
 * broker ceases to lead. A change of the ISR alone flushes it too: look again. */
struct watch_list *part_committed(struct part *part);
/* Where a follower's fetch waits for the log to grow: need = fetch offset + 1. */
struct watch_list *part_grown(struct part *part);
/* Where a read_committed fetch waits for the last stable offset. */
struct watch_list *part_stable(struct part *part);
/* Where a DeleteRecords waits for every live replica to have let go: need = the new start. */
struct watch_list *part_cleared(struct part *part);

enum part_isolation { PART_READ_UNCOMMITTED, PART_READ_COMMITTED, PART_READ_LOG_END };

struct part_read {
    /* in */
    int64_t offset;
    size_t max_bytes;
    bool min_one;                 /* the first batch whole, however large */
    int32_t current_leader_epoch; /* -1 unsaid */
    bool leader_only;             /* a version that may not be served by followers */
    bool ends_only; /* nothing is read: the reader is sent elsewhere, and told where the log ends */
    enum part_isolation isolation;
    /* in: a follower's fetch; replica -1: a consumer's */
    int32_t replica;
    int64_t replica_epoch;
    int64_t replica_log_start;
    int32_t last_fetched_epoch; /* -1 unsaid */
    bool note_follower; /* the first look at this fetch: move its leo; false on a second look */
    struct repl_quota *quota; /* of the leader's; NULL: none */
    /* out */
    struct log_range range; /* to be given back with log_range_done() when len > 0 */
    int64_t hw, last_stable, log_start;
    int64_t upper;                /* reading ends here */
    int32_t leader, leader_epoch; /* for the hints that KIP-951 sends along */
    bool in_sync;                 /* a follower that is in the ISR */
    bool is_throttled;            /* what is read counts for the quota */
    int64_t held_ms; /* nothing is read, for the quota is exceeded: look again then; 0: not */
    bool diverging;
    int32_t diverging_epoch;
    int64_t diverging_end;
};

/* Counts what part_read() could notice: the ends, the high watermark, roles, who lives. Asked
 * before a read, it is the same as long as the read would give the same, but that a directory may
 * fail. Never 0, and never one that another partition of that name had before. */
uint64_t part_changes(const struct part *part);

/* Reads, and for a follower notes how far it is. On an error hw, last_stable and log_start are -1
 * but for leader and leader_epoch. */
MUST_USE enum err part_read(struct part *part, struct part_read *read, int64_t now_ms);

/* Whom a consumer might read from in the leader's stead; see part_list_readers(). */
size_t part_get_readers(struct part *part, int64_t offset, int64_t now_ms, struct reader *out,
                        size_t cap);

/* Bound and epoch for ListOffsets: HW, LSO or leo by isolation. OFFSET_NOT_AVAILABLE while a new
 * leader's high watermark has not reached its epoch start. */
MUST_USE enum err part_list_bound(struct part *part, int32_t current_leader_epoch, bool leader_only,
                                  enum part_isolation isolation, int64_t *bound,
                                  int32_t *leader_epoch);
/* OffsetForLeaderEpoch; at the leader only, whoever asks: a follower may not have heard of the
 * epoch yet, and a consumer takes "never heard of it" for records that were lost. */
MUST_USE enum err part_epoch_end(struct part *part, int32_t current_leader_epoch, int32_t epoch,
                                 struct epoch_end *out);

/* ---- the follower's side; on the thread of the fetcher that owns it ---- */

struct part_fetch_start {
    int64_t offset;
    int32_t last_epoch; /* -1 none */
    int64_t log_start;
    bool flush_due; /* flush.messages is reached: sync the log before the offset is named */
};
void part_get_fetch_start(struct part *part, struct part_fetch_start *out);

/* Takes in what the leader of leader_epoch sent. FENCED_LEADER_EPOCH when we no longer follow in
 * it. *out: where to go on. */
MUST_USE enum err part_follow(struct part *part, int32_t leader_epoch, const uint8_t *bytes,
                              size_t len, int64_t leader_hw, int64_t leader_log_start,
                              int64_t wall_ms, int64_t now_ms, struct part_fetch_start *out);
/* Cuts where our history parts from the leader's. */
MUST_USE enum err part_follow_diverged(struct part *part, int32_t leader_epoch,
                                       int32_t diverging_epoch, int64_t diverging_end,
                                       int64_t now_ms, struct part_fetch_start *out);
/* After an out-of-range answer and with the leader's ends known. */
MUST_USE enum err part_follow_reset(struct part *part, int32_t leader_epoch, int64_t leader_start,
                                    int64_t leader_end, int64_t now_ms,
                                    struct part_fetch_start *out);

/* ---- on its way to another directory; but for the first on the thread that moves it (moves.h)
 * ----
 */

/* The copy in the making; NULL when there is none. */
struct log *part_get_future_ref(struct part *part);
/* Takes the log as the copy. */
void part_set_future(struct part *part, struct log **future);
/* The copy's reference is the caller's again; NULL when there is none (any more). */
struct log *part_take_future(struct part *part);
bool part_future_is_offline(struct part *part);
bool part_future_is_in(struct part *part, const char *dir);

struct part_copy {
    /* in */
    struct buf *buffer; /* for what is copied; grows to a batch's size */
    size_t max_bytes;
    int64_t wall_ms, now_ms;
    /* out */
    size_t copied;
    bool is_near;    /* little is left: swap */
    bool is_swapped; /* the copy is the log now */
};
/* Copies up to max_bytes, or one whole batch; cuts the copy first where it is not a beginning of
 * the log. When the partition is closed: why. */
MUST_USE enum err part_copy(struct part *part, struct part_copy *copy);
/* Copies the rest while nobody can append and puts the copy in the log's place; is_swapped stays
 * false when not all could be copied. When the partition is closed: why. */
MUST_USE enum err part_swap(struct part *part, struct logs *logs, struct part_copy *copy);

/* ---- role and time ---- */

/* The image says who leads. The log's epoch is assigned before anything can be appended in it.
 * Effects that others must carry out (start or stop fetching, a sync, refused) are copied to *out;
 * waiters and proposals have been seen to. May wait for a write in progress. */
void part_set_role(struct part *part, const struct part_event *role, int64_t now_ms,
                   struct part_effects *out);
/* The sync has ended, well or not, that sync_tail, or an append with flush_due, asked for in
 * leader_epoch: what is on the disk may be committed. Nothing when that epoch is over. Any thread.
 */
void part_synced(struct part *part, int32_t leader_epoch, int64_t now_ms);
void part_set_live(struct part *part, int32_t broker, int64_t broker_epoch, bool live,
                   int64_t now_ms);
void part_tick(struct part *part, int64_t now_ms);
/* part_tick() for all that are restless; how many those were. One thread. */
size_t part_tick_restless(struct restless *restless, int64_t now_ms);
/* Nobody ticks any more. */
void part_forget_restless(struct restless *restless);
/* A new stream: a pending proposal goes again. */
void part_resend(struct part *part, int64_t now_ms);
void part_decided(struct part *part, uint64_t proposal_id, enum err err, int64_t now_ms);
void part_stop(struct part *part, int64_t now_ms);
/* Every waiter is to look again. */
void part_wake_all(struct part *part);
/* Gone from here: nothing is served any more, every waiter is told why: NOT_LEADER_OR_FOLLOWER, or
 * UNKNOWN_TOPIC_OR_PARTITION when it is gone from the cluster, too. (Kafka:
 * ReplicaManager.getPartitionOrError) */
void part_close(struct part *part, enum err why);
/* Why it was closed; ERR_OK: it was not. */
enum err part_why_closed(struct part *part);

#define PART_DELETE_TO_HW (-1)
/* Moves the log start up to *offset, or to the high watermark, which *offset is then. The answer
 * may be a low watermark below it: replicas follow with their next fetch. OFFSET_OUT_OF_RANGE above
 * the high watermark, POLICY_VIOLATION when the topic's settings delete nothing,
 * NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. (Kafka: Partition.deleteRecordsOnLeader) */
MUST_USE enum err part_delete_records(struct part *part, int64_t *offset, int64_t now_ms,
                                      int64_t *low_watermark);
/* How far the log start has moved at every live replica; -1 and an error as above. */
MUST_USE enum err part_get_low_watermark(struct part *part, int64_t *low_watermark);
/* Deletes what the settings no longer keep, nothing once it is closed. Returns segments. */
size_t part_retain(struct part *part, int64_t wall_ms, int64_t now_ms);

#endif
