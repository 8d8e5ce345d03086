/*
 * A hash of producers by id, and one array of transactions by their first offset: those still open
 * and those that ended with a marker at or above the high watermark. Its head is the first unstable
 * offset. There are few of them at a time, so that inserting in the middle costs nothing.
 */
#include "broker/log/producers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"

struct seen_batch {
    int32_t first_seq;
    int32_t last_seq;
    int64_t first_offset;
    int64_t last_offset;
    int64_t timestamp_ms;
};

struct producer {
    int64_t id;
    int16_t epoch;
    uint8_t batch_count;
    int32_t coordinator_epoch;
    int64_t timestamp_ms;
    int64_t txn_first_offset;
    struct seen_batch batches[PRODUCER_BATCHES]; /* oldest first */
    UT_hash_handle hh;
};

struct txn {
    int64_t first_offset;
    int64_t last_offset; /* of its marker; -1 while it is open */
    int64_t producer_id;
};

struct producers {
    struct producer *by_id;
    struct txn *txns; /* by first_offset */
    size_t txn_count;
    size_t txn_cap;
};

#define SEQ_NONE (-1)

struct producers *producers_new(void)
{
    return xcalloc(1, sizeof(struct producers));
}

void producers_clear(struct producers *producers)
{
    struct producer *producer;
    struct producer *next;

    HASH_ITER (hh, producers->by_id, producer, next) {
        HASH_DEL(producers->by_id, producer);
        free(producer);
    }
    producers->txn_count = 0;
}

void producers_free(struct producers **producers)
{
    if (*producers == NULL)
        return;
    producers_clear(*producers);
    free((*producers)->txns);
    free(*producers);
    *producers = NULL;
}

struct producers *producers_copy(const struct producers *producers)
{
    struct producers *copy = producers_new();
    struct producer *producer;
    struct producer *next;

    HASH_ITER (hh, producers->by_id, producer, next) {
        struct producer *twin = xmemdup(producer, sizeof *producer);

        HASH_ADD(hh, copy->by_id, id, sizeof twin->id, twin);
    }
    if (producers->txn_count > 0)
        copy->txns = xmemdup(producers->txns, producers->txn_count * sizeof *producers->txns);
    copy->txn_count = producers->txn_count;
    copy->txn_cap = producers->txn_count;
    return copy;
}

static struct producer *find(const struct producers *producers, int64_t id)
{
    struct producer *producer;

    HASH_FIND(hh, producers->by_id, &id, sizeof id, producer);
    return producer;
}

static struct producer *find_or_add(struct producers *producers, int64_t id, int16_t epoch)
{
    struct producer *producer = find(producers, id);

    if (producer != NULL)
        return producer;
    producer = xcalloc(1, sizeof *producer);
    producer->id = id;
    producer->epoch = epoch;
    producer->coordinator_epoch = -1;
    producer->timestamp_ms = -1;
    producer->txn_first_offset = -1;
    HASH_ADD(hh, producers->by_id, id, sizeof producer->id, producer);
    return producer;
}

static const struct seen_batch *newest(const struct producer *producer)
{
    return producer->batch_count == 0 ? NULL : &producer->batches[producer->batch_count - 1];
}

static bool is_next_seq(int32_t last, int32_t next)
{
    return (int64_t)next == (int64_t)last + 1 || (next == 0 && last == INT32_MAX);
}

/* Kafka: ProducerAppendInfo.checkSequence. */
static enum err check_seq(const struct producer *producer, const struct producer_batch *batch)
{
    if (producer->epoch != batch->producer_epoch)
        return batch->first_seq == 0 ? ERR_OK : ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    int32_t last_seq = newest(producer) == NULL ? SEQ_NONE : newest(producer)->last_seq;

    return is_next_seq(last_seq, batch->first_seq) ? ERR_OK : ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

static bool find_dup(const struct producer *producer, const struct producer_batch *batch,
                     struct producer_dup *dup)
{
    if (producer->epoch != batch->producer_epoch)
        return false;
    for (size_t i = 0; i < producer->batch_count; i++) {
        const struct seen_batch *seen = &producer->batches[i];

        if (seen->first_seq != batch->first_seq || seen->last_seq != batch->last_seq)
            continue;
        *dup = (struct producer_dup){ seen->first_offset, seen->last_offset, seen->timestamp_ms };
        return true;
    }
    return false;
}

enum err producers_check(const struct producers *producers, const struct producer_batch *batch,
                         enum producer_origin origin, struct producer_dup *dup)
{
    const struct producer *producer =
        batch->producer_id < 0 ? NULL : find(producers, batch->producer_id);

    /* A producer that nobody knows may begin anywhere: retention may have forgotten it. */
    if (producer == NULL || origin == PRODUCER_REPLICATION)
        return ERR_OK;
    if (!batch->is_control && origin == PRODUCER_CLIENT && find_dup(producer, batch, dup))
        return ERR_DUPLICATE_SEQUENCE_NUMBER;
    if (batch->producer_epoch < producer->epoch)
        return ERR_INVALID_PRODUCER_EPOCH;
    if (batch->is_control)
        return batch->coordinator_epoch < producer->coordinator_epoch
                   ? ERR_TRANSACTION_COORDINATOR_FENCED
                   : ERR_OK;
    if (origin == PRODUCER_CLIENT) {
        enum err err = check_seq(producer, batch);

        if (err != ERR_OK)
            return err;
    }
    if (producer->txn_first_offset >= 0 && !batch->is_txn)
        return ERR_INVALID_TXN_STATE;
    return ERR_OK;
}

static void take_epoch(struct producer *producer, int16_t epoch)
{
    if (producer->epoch == epoch)
        return;
    producer->epoch = epoch;
    producer->batch_count = 0;
}

static void remember(struct producer *producer, const struct seen_batch *seen)
{
    if (producer->batch_count == PRODUCER_BATCHES) {
        memmove(producer->batches, producer->batches + 1,
                (PRODUCER_BATCHES - 1) * sizeof *producer->batches);
        producer->batch_count--;
    }
    producer->batches[producer->batch_count++] = *seen;
}

static void txn_insert(struct producers *producers, const struct txn *txn)
{
    size_t at = producers->txn_count;

    array_reserve(&producers->txns, &producers->txn_cap, producers->txn_count,
                  sizeof *producers->txns);
    while (at > 0 && producers->txns[at - 1].first_offset > txn->first_offset)
        at--;
    memmove(producers->txns + at + 1, producers->txns + at,
            (producers->txn_count - at) * sizeof *producers->txns);
    producers->txns[at] = *txn;
    producers->txn_count++;
}

static void txn_remove(struct producers *producers, size_t at)
{
    producers->txn_count--;
    memmove(producers->txns + at, producers->txns + at + 1,
            (producers->txn_count - at) * sizeof *producers->txns);
}

static void apply_marker(struct producers *producers, struct producer *producer,
                         const struct producer_batch *batch, struct producer_txn_end *end)
{
    take_epoch(producer, batch->producer_epoch);
    producer->coordinator_epoch = batch->coordinator_epoch;
    producer->timestamp_ms = batch->timestamp_ms;
    if (producer->txn_first_offset < 0)
        return;
    *end = (struct producer_txn_end){ .ended = true,
                                      .is_abort = batch->is_abort,
                                      .producer_id = batch->producer_id,
                                      .first_offset = producer->txn_first_offset,
                                      .last_offset = batch->last_offset,
                                      .last_stable_offset = batch->last_offset + 1 };
    producer->txn_first_offset = -1;
    for (size_t i = 0; i < producers->txn_count; i++)
        if (producers->txns[i].producer_id == batch->producer_id &&
            producers->txns[i].last_offset < 0)
            producers->txns[i].last_offset = batch->last_offset;
    for (size_t i = 0; i < producers->txn_count; i++)
        if (producers->txns[i].last_offset < 0) {
            end->last_stable_offset = producers->txns[i].first_offset;
            break;
        }
}

void producers_apply(struct producers *producers, const struct producer_batch *batch,
                     struct producer_txn_end *end)
{
    *end = (struct producer_txn_end){ .ended = false };
    if (batch->producer_id < 0)
        return;
    struct producer *producer = find_or_add(producers, batch->producer_id, batch->producer_epoch);

    if (batch->is_control) {
        apply_marker(producers, producer, batch, end);
        return;
    }
    take_epoch(producer, batch->producer_epoch);
    producer->timestamp_ms = batch->timestamp_ms;
    remember(producer, &(struct seen_batch){ .first_seq = batch->first_seq,
                                             .last_seq = batch->last_seq,
                                             .first_offset = batch->first_offset,
                                             .last_offset = batch->last_offset,
                                             .timestamp_ms = batch->timestamp_ms });
    if (batch->is_txn && producer->txn_first_offset < 0) {
        producer->txn_first_offset = batch->first_offset;
        txn_insert(producers, &(struct txn){ .first_offset = batch->first_offset,
                                             .last_offset = -1,
                                             .producer_id = batch->producer_id });
    }
}

int64_t producers_first_unstable(const struct producers *producers)
{
    return producers->txn_count == 0 ? -1 : producers->txns[0].first_offset;
}

void producers_on_hw(struct producers *producers, int64_t high_watermark)
{
    for (size_t i = producers->txn_count; i > 0; i--) {
        const struct txn *txn = &producers->txns[i - 1];

        if (txn->last_offset >= 0 && txn->last_offset < high_watermark)
            txn_remove(producers, i - 1);
    }
}

size_t producers_expire(struct producers *producers, int64_t now_ms, int64_t expiration_ms)
{
    struct producer *producer;
    struct producer *next;
    size_t count = 0;

    HASH_ITER (hh, producers->by_id, producer, next) {
        if (producer->txn_first_offset >= 0 || now_ms - producer->timestamp_ms < expiration_ms)
            continue;
        HASH_DEL(producers->by_id, producer);
        free(producer);
        count++;
    }
    return count;
}

void producers_on_start(struct producers *producers, int64_t log_start_offset)
{
    for (size_t i = producers->txn_count; i > 0; i--) {
        const struct txn *txn = &producers->txns[i - 1];

        if (txn->last_offset >= 0 && txn->last_offset < log_start_offset)
            txn_remove(producers, i - 1);
    }
}

size_t producers_count(const struct producers *producers)
{
    return HASH_COUNT(producers->by_id);
}

static struct producer_entry entry_of(const struct producer *producer)
{
    const struct seen_batch *last = newest(producer);

    return (struct producer_entry){
        .producer_id = producer->id,
        .producer_epoch = producer->epoch,
        .first_seq = last == NULL ? SEQ_NONE : last->first_seq,
        .last_seq = last == NULL ? SEQ_NONE : last->last_seq,
        .last_offset = last == NULL ? -1 : last->last_offset,
        .offset_delta = last == NULL ? 0 : (int32_t)(last->last_offset - last->first_offset),
        .timestamp_ms = producer->timestamp_ms,
        .coordinator_epoch = producer->coordinator_epoch,
        .txn_first_offset = producer->txn_first_offset,
    };
}

void producers_each(const struct producers *producers,
                    bool (*each)(void *ctx, const struct producer_entry *entry), void *ctx)
{
    struct producer *producer;
    struct producer *next;

    HASH_ITER (hh, producers->by_id, producer, next) {
        struct producer_entry entry = entry_of(producer);

        if (!each(ctx, &entry))
            return;
    }
}

bool producers_get(const struct producers *producers, int64_t producer_id,
                   struct producer_entry *out)
{
    const struct producer *producer = find(producers, producer_id);

    if (producer == NULL)
        return false;
    *out = entry_of(producer);
    return true;
}

void producers_load(struct producers *producers, const struct producer_entry *entry)
{
    struct producer *producer = find_or_add(producers, entry->producer_id, entry->producer_epoch);

    take_epoch(producer, entry->producer_epoch);
    producer->timestamp_ms = entry->timestamp_ms;
    producer->coordinator_epoch = entry->coordinator_epoch;
    producer->txn_first_offset = entry->txn_first_offset;
    producer->batch_count = 0;
    if (entry->last_offset >= 0) {
        int64_t first = (int64_t)entry->last_seq - entry->offset_delta;
        /* Wrapped: the last sequence is the count of records after 2^31 - 1. */
        int32_t first_seq = entry->last_seq < 0 ? SEQ_NONE
                            : first < 0         ? (int32_t)(first + INT32_MAX + 1)
                                                : (int32_t)first;

        remember(producer,
                 &(struct seen_batch){ .first_seq = first_seq,
                                       .last_seq = entry->last_seq,
                                       .first_offset = entry->last_offset - entry->offset_delta,
                                       .last_offset = entry->last_offset,
                                       .timestamp_ms = entry->timestamp_ms });
    }
    if (entry->txn_first_offset >= 0)
        txn_insert(producers, &(struct txn){ .first_offset = entry->txn_first_offset,
                                             .last_offset = -1,
                                             .producer_id = entry->producer_id });
}

static void recall(struct producer *producer, const struct producer *earlier)
{
    struct seen_batch all[2 * PRODUCER_BATCHES];
    size_t count = 0;

    while (count < earlier->batch_count &&
           earlier->batches[count].last_offset < producer->batches[0].first_offset) {
        all[count] = earlier->batches[count];
        count++;
    }
    memcpy(all + count, producer->batches, producer->batch_count * sizeof *all);
    count += producer->batch_count;
    size_t skip = count > PRODUCER_BATCHES ? count - PRODUCER_BATCHES : 0;

    producer->batch_count = (uint8_t)(count - skip);
    memcpy(producer->batches, all + skip, (count - skip) * sizeof *all);
}

void producers_recall(struct producers *producers, const struct producers *earlier)
{
    struct producer *producer;
    struct producer *next;

    HASH_ITER (hh, producers->by_id, producer, next) {
        const struct producer *twin = find(earlier, producer->id);

        if (twin != NULL && twin->epoch == producer->epoch && producer->batch_count > 0)
            recall(producer, twin);
    }
}
