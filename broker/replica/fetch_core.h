/*
 * fetch_core - a follower's side: what to ask one leader next, and what to do with its answer.
 *
 * One core per fetch loop (a connection to one leader) holds the partitions that the loop follows.
 * The loop asks fetch_core_ask() for the next request, gives every partition's answer to
 * fetch_core_decide(), does what it says to the log, and reports the log's new end with
 * fetch_core_set(). Requests are incremental fetch sessions (KIP-227); truncation is by the
 * diverging epoch that a leader answers (KIP-595's use of Fetch v12), resets follow Kafka's
 * AbstractFetcherThread.
 *
 * What a leader is told to be our log's end counts as written here. So where a topic wants its
 * records on the disk at once (flush.messages), the new end is named when it is there
 * (fetch_core_sync()); the others are asked for meanwhile.
 *
 * Units:      offsets count records; now_ms is monotonic time.
 * Ownership:  the core owns its struct fetch_part; `owner` is the shell's pointer, never looked at.
 */
#ifndef BROKER_REPLICA_FETCH_CORE_H
#define BROKER_REPLICA_FETCH_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/err.h"
#include "common/base/uuid.h"

enum fetch_state {
    FETCH_READY,   /* may be asked for */
    FETCH_DELAYED, /* in error: not before until_ms */
    FETCH_HELD,    /* throttled, and the quota is exceeded: not before quota_until_ms */
    FETCH_SYNCING, /* what it has is on its way to our disk: not named before */
    FETCH_RESET,   /* out of range: the leader is being asked for its offsets */
    FETCH_FAILED,  /* gave up until its role changes (KIP-461: the others go on) */
};

struct fetch_part {
    struct uuid topic_id;
    int32_t partition;
    void *owner;
    enum fetch_state state;
    int32_t leader_epoch; /* in which we follow */
    int64_t offset;       /* next to ask for: our log end */
    int32_t last_epoch;   /* of our last record, -1 none */
    int64_t log_start;
    int64_t until_ms;
    int64_t since_ms; /* syncing: since when */
    uint64_t sync_id; /* syncing: of this one, as told by fetch_core_sync() */
    int32_t tries;    /* failures in a row: each waits longer, up to backoff_ms */
    bool throttled;   /* what it copies counts for the quota */
    bool in_sync;     /* had all of the leader's high watermark by the last answer: not held back */

    bool in_session; /* the leader's session has it, as follows */
    bool asked;      /* is part of the request in flight, or was of the last one */
    bool queued;     /* in `changed` */
    int64_t sent_offset;
    int32_t sent_last_epoch;
    int32_t sent_leader_epoch;
    int64_t sent_log_start;
    TAILQ_ENTRY(fetch_part) link; /* in asking order: who delivered goes to the end */
    TAILQ_ENTRY(fetch_part) changed_link;
    struct fetch_part *hash_next;
};

struct fetch_forgotten {
    struct uuid topic_id;
    int32_t partition;
};

struct fetch_core {
    TAILQ_HEAD(fetch_parts, fetch_part) parts;
    struct fetch_parts changed;  /* those that the next ask looks at: new, moved on, waiting */
    uint32_t ready;              /* parts in FETCH_READY */
    uint32_t holdable;           /* parts that are throttled and not in sync */
    struct fetch_part **buckets; /* by topic id and partition */
    uint32_t buckets_len, count;
    int32_t session_id;                /* 0: none */
    int32_t session_epoch;             /* of the next request; 0 opens a session */
    struct fetch_forgotten *forgotten; /* leave the leader's session with the next request */
    size_t forgotten_len, forgotten_cap;
    uint64_t syncs;         /* begun so far */
    int32_t backoff_ms;     /* replica.fetch.backoff.ms: the longest wait of a partition in error */
    int64_t quota_until_ms; /* the quota is exceeded: who may be held back is, until then */
};

/* The first wait of a partition in error. Most such errors are a leader that has not heard yet that
 * it leads, which is a matter of milliseconds; a fixed second would be the longest part of a
 * fail-over. */
#define FETCH_FIRST_BACKOFF_MS 20

/* While something is being synced, the next request waits for it as long as this, for most disks
 * are done by then; after that the others are asked for, and that request comes back after half the
 * time that the sync has taken so far: whoever was synced meanwhile is named without delay. */
#define FETCH_SYNC_GRACE_MS 2

/* The next request: everything the shell needs to encode it. */
struct fetch_ask {
    int32_t session_id, session_epoch;
    struct fetch_part **parts; /* new or changed ones; borrowed until the next call */
    int32_t parts_len;
    const struct fetch_forgotten *forgotten;
    int32_t forgotten_len;
};

void fetch_core_init(struct fetch_core *core, int32_t backoff_ms);
void fetch_core_fini(struct fetch_core *core);

/* Follows (topic_id, partition) from `offset`; one that is there already starts anew. Returns it.
 */
struct fetch_part *fetch_core_add(struct fetch_core *core, struct uuid topic_id, int32_t partition,
                                  void *owner, int32_t leader_epoch, int64_t offset,
                                  int32_t last_epoch, int64_t log_start);
/* Stops; NULL when it was not there, else its owner. An answer in flight for it is ignored. */
void *fetch_core_remove(struct fetch_core *core, struct uuid topic_id, int32_t partition);
struct fetch_part *fetch_core_find(const struct fetch_core *core, struct uuid topic_id,
                                   int32_t partition);

/* Whether the partition is throttled, and in sync as of the latest answer. One that is newly
 * followed is not in sync. */
void fetch_core_throttle(struct fetch_core *core, struct fetch_part *part, bool throttled,
                         bool in_sync);
/* Is there any whom an exceeded quota would hold back? If not, nobody need look at the quota. */
bool fetch_core_may_hold(const struct fetch_core *core);
/* The quota is exceeded, and is to be looked at again at until_ms; 0: it is not. Holds for the asks
 * that follow. (Kafka: ReplicaFetcherThread.shouldFollowerThrottle) */
void fetch_core_set_quota(struct fetch_core *core, int64_t until_ms);

/* False when nothing can be asked for, or not yet. *wake_ms: when something else can be, INT64_MAX
 * for never; a request should not wait at the leader for longer than that. The parts array lives in
 * *scratch, which the caller frees at the end and passes again. */
bool fetch_core_ask(struct fetch_core *core, int64_t now_ms, struct fetch_ask *out,
                    struct fetch_part ***scratch, size_t *scratch_cap, int64_t *wake_ms);

/* The answer's top level. False: the session is lost (FETCH_SESSION_ID_NOT_FOUND,
 * INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR or any other error); ask again, fully,
 * and ignore the partitions. Any other error delays all. */
bool fetch_core_answered(struct fetch_core *core, enum err err, int32_t session_id, int64_t now_ms);
/* The connection failed, which says nothing about the partitions: the session is gone, an answer
 * cannot come any more. Who connects again waits as long as it sees fit. */
void fetch_core_disconnected(struct fetch_core *core);

struct fetch_answer {
    enum err err;
    bool diverging; /* with the two below */
    int32_t diverging_epoch;
    int64_t diverging_end;
    bool has_records;
};

enum fetch_verdict {
    FETCH_IGNORE,      /* not ours any more, or not what we asked for */
    FETCH_APPEND,      /* append the records (perhaps none), take over hw and log start */
    FETCH_TRUNCATE,    /* cut at fetch_truncation_point(), do not take over hw or log start */
    FETCH_ASK_OFFSETS, /* ListOffsets latest and earliest, then fetch_reset_point() */
    FETCH_BACK_OFF,    /* told to wait; say why */
    FETCH_GIVE_UP,     /* waits for a new role; say why */
};

/* What to do with one partition's answer. asked_epoch: the leader epoch of the request. */
enum fetch_verdict fetch_core_decide(struct fetch_core *core, struct fetch_part *part,
                                     const struct fetch_answer *answer, int64_t now_ms);

/* The log's state after the verdict was carried out: go on from there. */
void fetch_core_set(struct fetch_core *core, struct fetch_part *part, int64_t offset,
                    int32_t last_epoch, int64_t log_start, bool got_records);
/* The log refused (disk, corrupt batch): wait, or give up when for_good. */
void fetch_core_failed(struct fetch_core *core, struct fetch_part *part, bool for_good,
                       int64_t now_ms);
/* What the part has is on its way to the disk: it is not asked for until then. The number of that
 * sync: there may be another one by the time that this is done, or another role, or no such
 * partition. */
uint64_t fetch_core_sync(struct fetch_core *core, struct fetch_part *part, int64_t now_ms);
/* The partition that still waits for that sync; NULL: it is of no use any more. */
struct fetch_part *fetch_core_syncing(const struct fetch_core *core, struct uuid topic_id,
                                      int32_t partition, uint64_t sync_id);
/* It is on the disk: go on. When it cannot be had there: fetch_core_failed(). */
void fetch_core_synced(struct fetch_core *core, struct fetch_part *part);
/* The answer to FETCH_ASK_OFFSETS could not be had. */
void fetch_core_delay(struct fetch_core *core, struct fetch_part *part, int64_t now_ms);

/* Where to cut (reference: KIP-279). diverging: the leader's answer; own_epoch, own_end: our own
 * (largest epoch <= diverging epoch, its end offset), -1/-1 when we have none. */
int64_t fetch_truncation_point(int32_t diverging_epoch, int64_t diverging_end, int32_t own_epoch,
                               int64_t own_end, int64_t leo);

enum fetch_reset { FETCH_RESET_KEEP, FETCH_RESET_CUT, FETCH_RESET_RESTART };
/* After OFFSET_OUT_OF_RANGE: CUT the log at *offset, RESTART it empty at *offset, or KEEP it and go
 * on from *offset. */
enum fetch_reset fetch_reset_point(int64_t leo, int64_t leader_start, int64_t leader_end,
                                   int64_t *offset);

#endif
