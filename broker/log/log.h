/*
 * log - one partition's records on disk: an ordered set of segments, the epochs and the producers.
 *
 * It knows no replicas and no network. Its directory is Kafka 3.9's, byte for byte.
 *
 *     append   one pwritev of stamped batches, index when due, then the new end is published
 *     read     index lookup, at most a small scan, then a range of a file for sendfile
 *
 * Units:      an offset counts records, a pos bytes. leo is the offset after the last record.
 * Ownership:  log_ref() / log_unref(); the set of logs (logs.h) holds one, each holder of a
 *             struct log one more. A range holds a reference on its file and on the log.
 * Threads:    [append] calls need the partition's append lock, held by the caller; there is one
 * such caller at a time. All others are free for any thread at any time: they take a short lock
 * inside, never across a system call, and never wait for an append. Errors:     ERR_NO_SPACE: the
 * file was cut back to its previous end, the log goes on once there is room. ERR_IO: the directory
 * is offline from now on (told to the set of logs), every later call fails with
 * ERR_KAFKA_STORAGE_ERROR. The rest as said at each call.
 */
#ifndef BROKER_LOG_LOG_H
#define BROKER_LOG_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/epochs.h"
#include "broker/log/files.h"
#include "broker/log/log_conf.h"
#include "broker/log/producers.h"
#include "common/base/err.h"
#include "common/base/uuid.h"

struct log;
struct logs_dir;

/* --- what it is ------------------------------------------------------------------------------ */

struct log *log_ref(struct log *log);
void log_unref(struct log **log);

const char *log_topic(const struct log *log);
int32_t log_partition(const struct log *log);
/* "orders-3", with a suffix while it is a future, stray or deleted log. Changes by logs.h only. */
const char *log_name(const struct log *log);
/* It is a copy in the making, in the directory that the replica is being moved to. */
bool log_is_future(const struct log *log);
/* Zero when the directory has no partition.metadata. */
struct uuid log_topic_id(struct log *log);
/* Writes partition.metadata, once. ERR_INCONSISTENT_TOPIC_ID when it has another one. */
MUST_USE enum err log_adopt_topic_id(struct log *log, struct uuid topic_id);
/* The directory's path in log.dirs. */
const char *log_parent_dir(const struct log *log);
/* The directory has failed. */
bool log_is_offline(const struct log *log);

void log_set_conf(struct log *log, const struct log_conf *conf);
void log_get_conf(struct log *log, struct log_conf *out);

/* Atomic loads (acquire): what is below leo can be read. */
int64_t log_leo(const struct log *log);
int64_t log_start_offset(const struct log *log);
/* Everything below is on stable storage. */
int64_t log_recovery_point(const struct log *log);
/* Bytes of all segments. */
int64_t log_size_bytes(struct log *log);
size_t log_segment_count(struct log *log);
/* The base offset of the active segment. */
int64_t log_active_base(struct log *log);

/* --- append ---------------------------------------------------------------------------------- */

enum log_origin {
    LOG_FROM_CLIENT,      /* sequences and epochs are enforced */
    LOG_FROM_COORDINATOR, /* group and transaction state, markers: taken as they are */
};

struct log_appended {
    int64_t first_offset; /* of the records appended, or of the earlier append when duplicate */
    int64_t last_offset;
    int64_t log_append_time_ms; /* -1 unless the topic stamps, or of the earlier append */
    int64_t log_start_offset;
    int64_t leo;        /* after the append */
    size_t bytes;       /* written */
    bool is_duplicate;  /* nothing was written; ERR_OK all the same */
    bool flush_due;     /* flush.messages is reached: wait with group_commit (or log_flush) */
    bool epoch_changed; /* the epoch history has a new entry */
};

/*
 * [append] Appends whole v2 batches of len bytes as leader. They have been checked and, for
 * LogAppendTime, stamped (validate.h); here each gets its base offset and the leader epoch, in
 * place. A produced set with a producer id is one batch. ERR_RECORD_LIST_TOO_LARGE,
 * ERR_DUPLICATE_SEQUENCE_NUMBER never (see is_duplicate), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
 * ERR_INVALID_PRODUCER_EPOCH, ERR_INVALID_TXN_STATE, ERR_TRANSACTION_COORDINATOR_FENCED,
 * ERR_NO_SPACE, ERR_IO.
 */
MUST_USE enum err log_append_leader(struct log *log, uint8_t *bytes, size_t len,
                                    int32_t leader_epoch, enum log_origin origin, int64_t now_ms,
                                    struct log_appended *out);

/*
 * [append] Appends what a leader sent, byte for byte; a trailing part of a batch is left away. The
 * checksums are verified. Batches that lie wholly below leo are an ERR_OFFSET_OUT_OF_RANGE: the
 * caller has asked for something else. Offsets may jump forward.
 * ERR_CORRUPT_MESSAGE: nothing was written.
 */
MUST_USE enum err log_append_follower(struct log *log, const uint8_t *bytes, size_t len,
                                      int64_t now_ms, struct log_appended *out);

/* Whether appends to its directory have lately been so slow that a thread with other things to do
 * had better not wait for one: one took 200 ms, or 2 ms on the average, in the last five seconds.
 */
bool log_is_slow(const struct log *log);

/* [append] Starts a new segment unless the active one is empty. */
MUST_USE enum err log_roll(struct log *log, int64_t now_ms);

/* --- read ------------------------------------------------------------------------------------ */

/* Bytes of a segment file. Pin the file to send it; let go with log_range_done(). */
struct log_range {
    struct log *log;   /* a reference, NULL when len is 0 */
    struct file *file; /* a reference */
    int64_t pos;       /* of the first byte in the file */
    size_t len;
    int64_t base_offset;  /* of the first batch; may be below the offset asked for */
    int64_t segment_base; /* names the segment */
    int64_t upper_offset; /* no record of the range is at or above; see log_range_upper_offset() */
    uint32_t truncations; /* as of the lookup */
    uint16_t swaps;       /* likewise */
    bool was_cut;         /* there is more, left away because of max_bytes */
    bool is_recent;       /* near the end of the log: most likely in memory */
};

/*
 * Finds up to max_bytes from the batch that holds offset, bounded by upper_offset (no byte of a
 * batch that starts there or later). min_one: at least the first batch whole, however large.
 * Otherwise a first batch that does not fit gives an empty range. Ranges end with the segment; the
 * last batch may be cut. Empty at upper_offset or leo. ERR_OFFSET_OUT_OF_RANGE: offset is below the
 * start or above leo.
 */
MUST_USE enum err log_read(struct log *log, int64_t offset, int64_t upper_offset, size_t max_bytes,
                           bool min_one, struct log_range *out);
/* What log_range.truncations counts, as of now: odd while one is under way. */
uint32_t log_truncations(const struct log *log);
/* False when the log was truncated since: the bytes must not be sent any more. */
bool log_range_is_valid(const struct log_range *range);
/* What log_aborted_txns() says now still speaks of all records of the range. False in the rare case
 * that compaction has been over them twice since the lookup: look it up again. */
bool log_range_is_fresh(const struct log_range *range);
void log_range_done(struct log_range *range);
/* Copies bytes of the range from skip on; *got may be less than len at its end. ERR_CLOSED when the
 * log was truncated since or has deleted the segment. For coordinators, TLS, conversion. */
MUST_USE enum err log_range_read(const struct log_range *range, size_t skip, void *into, size_t len,
                                 size_t *got);

/* Bytes from offset up to upper_offset as far as cheaply known (what a waiting fetch is counted
 * by); exact within a segment, over all following segments by their sizes. */
int64_t log_bytes_between(struct log *log, int64_t offset, int64_t upper_offset);

enum log_timestamp {
    LOG_LATEST = -1,
    LOG_EARLIEST = -2,
    LOG_MAX_TIMESTAMP = -3,
    LOG_EARLIEST_LOCAL = -4,
    LOG_LATEST_TIERED = -5,
};

struct log_found {
    int64_t offset;       /* -1: no such record */
    int64_t timestamp_ms; /* -1 for the special ones, as in Kafka */
    int32_t leader_epoch; /* -1 when not known */
};

/* ListOffsets: the first record with timestamp or later and offset >= start, or one of the above;
 * LOG_LATEST gives leo: the caller bounds by HW or LSO. Reads the disk and may decompress. */
MUST_USE enum err log_find_timestamp(struct log *log, int64_t timestamp_ms, struct log_found *out);

/* ListOffsets 0 (Kafka's UnifiedLog.legacyFetchOffsetsBefore): where segments begin, and leo,
 * newest first, at most max of them, from the last one on whose file was not changed after
 * timestamp (or LOG_LATEST, LOG_EARLIEST). *offsets is malloc'ed. Looks at files. */
MUST_USE enum err log_offsets_before(struct log *log, int64_t timestamp_ms, int64_t now_ms,
                                     int32_t max, int64_t **offsets, size_t *count);

struct log_aborted {
    int64_t producer_id;
    int64_t first_offset;
};

/* The aborted transactions of a read_committed fetch of [from, upto). *list is malloc'ed, NULL when
 * there is none. ERR_NOT_LEADER_OR_FOLLOWER: the log was cut meanwhile; ERR_CORRUPT_FILE: its index
 * is damaged. */
MUST_USE enum err log_aborted_txns(struct log *log, int64_t from, int64_t upto,
                                   struct log_aborted **list, size_t *count);
/* The same, as the index has them (broker/log/txnindex.h). One may be listed again for the segments
 * behind. ERR_CLOSED: the log is gone. */
struct aborted_txn;
MUST_USE enum err log_aborted_between(struct log *log, int64_t from, int64_t upto,
                                      struct aborted_txn **list, size_t *count);
/* An offset that no record of the range reaches, for log_aborted_txns(). */
int64_t log_range_upper_offset(const struct log_range *range);

/* --- epochs ---------------------------------------------------------------------------------- */

/* [append] On becoming leader (epoch, leo), before any append. */
MUST_USE enum err log_assign_epoch(struct log *log, int32_t epoch, int64_t offset);
struct epoch_end log_epoch_end(struct log *log, int32_t epoch);
int32_t log_latest_epoch(struct log *log);
int32_t log_epoch_at(struct log *log, int64_t offset);

/* --- transactions and producers -------------------------------------------------------------- */

/* The last stable offset for readers when high_watermark is the given one. */
int64_t log_last_stable_offset(struct log *log, int64_t high_watermark);
/* The high watermark moved: transactions whose markers are below it are settled. */
void log_on_hw(struct log *log, int64_t high_watermark);
bool log_producer(struct log *log, int64_t producer_id, struct producer_entry *out);
/* A malloc'ed copy of all, NULL when there is none. */
void log_producers(struct log *log, struct producer_entry **list, size_t *count);
/* To be called now and then. */
void log_expire_producers(struct log *log, int64_t now_ms);

/* --- changing the ends ----------------------------------------------------------------------- */

/* [append] Drops everything from offset on, and the whole batch that contains it. Ranges lent
 * before become invalid. */
MUST_USE enum err log_truncate_to(struct log *log, int64_t offset);
/* [append] Drops everything; the next record has this offset. */
MUST_USE enum err log_truncate_fully_and_start_at(struct log *log, int64_t offset);
/* Moves the start up (DeleteRecords, a leader's start). Below it nothing is read any more; files go
 * by log_retain(). False when it was there already. The caller has checked it against its HW. */
bool log_advance_start(struct log *log, int64_t offset);
/* [append] Deletes segments that are below the start, or too old or too many by the settings, none
 * that holds a record at or above high_watermark. Returns how many. */
size_t log_retain(struct log *log, int64_t high_watermark, int64_t now_ms);

/* --- durability ------------------------------------------------------------------------------ */

/* Syncs all below leo and moves the recovery point. May be called by any thread, waits for the
 * disk. */
MUST_USE enum err log_flush(struct log *log);
/* As log_flush(), by the directory's thread, and leaves a snapshot of the producers, so that a
 * start after a crash need not look for them below the recovery point. */
MUST_USE enum err log_flush_far(struct log *log);
/* As log_flush(), but only when flush.ms has passed since the last one. A failure is said. */
void log_flush_if_due(struct log *log, int64_t now_ms);
/* Starts the write-out of what has been appended since the last call, if that is much, without
 * waiting. */
void log_write_out(struct log *log);

#endif
