/*
 * txns - which batches of a log belong to aborted transactions, and which markers have nothing left
 * to mark, as compaction walks over it (Kafka: CleanedTransactionMetadata).
 *
 * Units:      offsets count records.
 * Ownership:  the caller's struct; txns_fini() frees what is inside.
 * Threads:    one at a time.
 */
#ifndef BROKER_LOG_CLEAN_TXNS_H
#define BROKER_LOG_CLEAN_TXNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/txnindex.h"
#include "common/wire/batch.h"

struct txns {
    struct aborted_txn *ahead; /* heap, lowest first offset first: not reached yet */
    size_t ahead_count, ahead_cap;
    struct txn_open *open; /* hash by producer: being walked over */
};

void txns_init(struct txns *txns);
void txns_fini(struct txns *txns);
/* Forgets all. */
void txns_clear(struct txns *txns);

/* What the transaction indexes say of the segment that comes next; the same one may come twice. */
void txns_add_aborted(struct txns *txns, const struct aborted_txn *list, size_t count);

/* A batch of data. True when its transaction was aborted. */
bool txns_on_data(struct txns *txns, const struct batch_info *info);
/* A control batch. True when it marks the end of nothing that was met. An abort that still marks
 * something is put into *kept, whose producer_id is -1 otherwise: an index must know it. */
bool txns_on_control(struct txns *txns, const uint8_t *batch, const struct batch_info *info,
                     struct aborted_txn *kept);

#endif
