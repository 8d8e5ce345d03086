/*
 * filter - what compaction leaves of a batch: all of it, some records in a new one, an empty one,
 * or nothing (Kafka: Cleaner.cleanInto with MemoryRecords.filterTo; tombstones by KIP-534).
 *
 * A record stays when it is the newest of its key, or newer than what the map knows; a delete
 * marker only until its horizon. What an aborted transaction wrote goes. The last batch of a
 * producer that is still known stays, if need be without records, for its sequence numbers. A new
 * batch keeps base offset, last offset, sequence, codec and whatever else readers and producers go
 * by.
 *
 * Units:      offsets count records, times are ms since 1970.
 * Ownership:  the caller's struct; map, txns and producers are borrowed, the rest is
 * filter_fini()'s. Threads:    one at a time.
 */
#ifndef BROKER_LOG_CLEAN_FILTER_H
#define BROKER_LOG_CLEAN_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/clean/keymap.h"
#include "broker/log/clean/txns.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"

/* The last that is known of a producer. */
struct filter_producer {
    int64_t producer_id;
    int64_t last_offset; /* of its data, -1 when only a marker is left */
    int16_t epoch;
};

/* A record on its way into the map. */
struct filter_pending {
    struct keymap_hash hash;
    int64_t offset;
};

#define FILTER_PENDING 16

struct filter {
    struct keymap *map;
    int64_t first_dirty; /* the map was made from here */
    int64_t map_end;     /* up to here; what comes later stays */
    struct txns *txns;
    const struct filter_producer *producers; /* by id */
    size_t producer_count;
    int64_t now_ms;
    int64_t delete_retention_ms;
    bool keep_legacy_deletes; /* delete markers of magic 0 and 1 stay */

    struct buf scratch;           /* [o] plain records of a compressed batch */
    struct buf inner;             /* [o] messages to be wrapped in one entry */
    struct batch_builder builder; /* [o] */
    struct record *kept;          /* [o] records that stay, of the batch at hand */
    size_t kept_count, kept_cap;
    struct keymap_hash *hashes; /* [o] of their keys, where the map has to be asked */
    size_t hash_cap;
    struct filter_pending pending[FILTER_PENDING]; /* [o] ring */
    size_t pending_next, pending_count;
    int64_t map_next; /* [o] no record that is still to come is below */

    /* What came of it. */
    int64_t records_in, records_out;
    int64_t keyless; /* dropped for want of a key */
};

void filter_init(struct filter *filter);
void filter_fini(struct filter *filter);
/* Gives back what large batches took. */
void filter_rest(struct filter *filter);

/* Appends what stays of one whole batch to *out. *aborted: an abort that its index must know, its
 * producer_id is -1 when there is none. ERR_CORRUPT_MESSAGE, ERR_INVALID_RECORD and those of
 * codecs: the batch is damaged. */
enum err filter_batch(struct filter *filter, const uint8_t *batch, const struct batch_info *info,
                      struct buf *out, struct aborted_txn *aborted) MUST_USE;

/* Forgets what a map that was not finished has left, and begins one at first_dirty. */
void filter_map_begin(struct filter *filter);
/* Puts the keys of a batch into the map, unless its transaction was aborted. ERR_EXISTS: the map is
 * full and map_end says how far it goes. Others as above. */
enum err filter_map_batch(struct filter *filter, const uint8_t *batch,
                          const struct batch_info *info) MUST_USE;
/* Puts in what still waits; ERR_EXISTS likewise. */
enum err filter_map_finish(struct filter *filter) MUST_USE;

#endif
