/*
 * producers - what a log knows of its idempotent and transactional producers: the last sequences,
 * the epochs, the open transactions and with them the first unstable offset.
 *
 * The rules are those of Kafka's ProducerStateManager and ProducerAppendInfo. An append is checked
 * first, which changes nothing, then written, then applied. A leader checks every batch of an
 * append before it writes: exact as long as a producer occurs once in it, and a produced set with a
 * producer id is one batch.
 *
 * Units:    offsets are records; times are ms as stamped in batches.
 * Threads:  one at a time; the log guards it.
 */
#ifndef BROKER_LOG_PRODUCERS_H
#define BROKER_LOG_PRODUCERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define PRODUCER_BATCHES                                                                           \
    5 /* remembered per producer, so that up to 5 requests may be in flight                        \
       */

struct producers;

enum producer_origin {
    PRODUCER_CLIENT,      /* sequences and epochs are enforced */
    PRODUCER_COORDINATOR, /* epochs are: a coordinator's records have no sequences */
    PRODUCER_REPLICATION, /* taken as it is: the leader, or an earlier run, has checked it */
};

/* A batch as the producers see it. */
struct producer_batch {
    int64_t producer_id; /* -1: not idempotent, nothing to do */
    int16_t producer_epoch;
    int32_t first_seq;
    int32_t last_seq;
    int64_t first_offset; /* assigned; ignored by check */
    int64_t last_offset;
    int64_t timestamp_ms; /* the batch's max timestamp */
    bool is_txn;
    bool is_control;
    bool is_abort;             /* of a control batch: ABORT, else COMMIT */
    int32_t coordinator_epoch; /* of a control batch */
};

/* The earlier append that a duplicate repeats. */
struct producer_dup {
    int64_t first_offset;
    int64_t last_offset;
    int64_t timestamp_ms;
};

/* A transaction that a marker has just ended. */
struct producer_txn_end {
    bool ended; /* false: the marker ended nothing */
    bool is_abort;
    int64_t producer_id;
    int64_t first_offset;       /* of its data */
    int64_t last_offset;        /* the marker's own */
    int64_t last_stable_offset; /* the log's, after it */
};

/* One producer, as files and DescribeProducers show it. */
struct producer_entry {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t first_seq; /* of the last batch, -1 none */
    int32_t last_seq;
    int64_t last_offset; /* of the last data batch, -1 none */
    int32_t offset_delta;
    int64_t timestamp_ms;
    int32_t coordinator_epoch;
    int64_t txn_first_offset; /* -1: no open transaction */
};

struct producers *producers_new(void);
void producers_free(struct producers **producers);
struct producers *producers_copy(const struct producers *producers);

/*
 * May this batch be appended?
 * ERR_DUPLICATE_SEQUENCE_NUMBER with *dup filled: answer with the old offsets, write nothing.
 * Else ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, ERR_INVALID_PRODUCER_EPOCH, ERR_INVALID_TXN_STATE,
 * ERR_TRANSACTION_COORDINATOR_FENCED.
 */
MUST_USE enum err producers_check(const struct producers *producers,
                                  const struct producer_batch *batch, enum producer_origin origin,
                                  struct producer_dup *dup);

/* Takes note of an appended batch. *end says which transaction it ended. */
void producers_apply(struct producers *producers, const struct producer_batch *batch,
                     struct producer_txn_end *end);

/* The first offset that is part of an undecided transaction, or of one whose marker is not below
 * the high watermark yet; -1 when there is none. */
int64_t producers_first_unstable(const struct producers *producers);
/* Markers below the high watermark are replicated: forgets their transactions. */
void producers_on_hw(struct producers *producers, int64_t high_watermark);

/* Producers without an open transaction whose last append is expiration_ms old. Returns how many.
 */
size_t producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms);
/* Forgets transactions that began below the new start (Kafka: onLogStartOffsetIncremented). */
void producers_on_start(struct producers *producers, int64_t log_start_offset);
void producers_clear(struct producers *producers);

size_t producers_count(const struct producers *producers);
/* Visits all, in no order; of a stopped visit (each returned false) the rest is left out. */
void producers_each(const struct producers *producers,
                    bool (*each)(void *ctx, const struct producer_entry *entry), void *ctx);
/* False when unknown. */
bool producers_get(const struct producers *producers, int64_t producer_id,
                   struct producer_entry *out);
/* Puts one back as a snapshot has it. */
void producers_load(struct producers *producers, const struct producer_entry *entry);
/* Puts the batches that earlier knows of a producer before those known here: of the same epoch,
 * before the oldest one here, up to PRODUCER_BATCHES. Nobody becomes known by it, and what may come
 * next stays the same. */
void producers_recall(struct producers *producers, const struct producers *earlier);
#endif
