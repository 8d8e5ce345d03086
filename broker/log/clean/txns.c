/*
 * A transaction is open from its first batch, for an aborted one from its first offset, to its
 * marker. A commit's marker may go when no batch of it was met, an abort's when no data was: what
 * was met in this pass may be what a reader holds, so its marker stays until a later one.
 */
#include "broker/log/clean/txns.h"

#include <stdlib.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/wire/record.h"

struct txn_open {
    int64_t producer_id;
    bool is_aborted;   /* txn is valid */
    bool is_committed; /* data was met that no abort claims */
    bool has_data;     /* of the aborted one */
    struct aborted_txn txn;
    UT_hash_handle hh;
};

void txns_init(struct txns *txns)
{
    *txns = (struct txns){ 0 };
}

void txns_clear(struct txns *txns)
{
    struct txn_open *open;
    struct txn_open *next;

    HASH_ITER (hh, txns->open, open, next) {
        HASH_DEL(txns->open, open);
        free(open);
    }
    txns->ahead_count = 0;
}

void txns_fini(struct txns *txns)
{
    txns_clear(txns);
    free(txns->ahead);
    *txns = (struct txns){ 0 };
}

/* --- the heap ------------------------------------------------------------------------------------
 */

static void swap(struct aborted_txn *a, struct aborted_txn *b)
{
    struct aborted_txn kept = *a;

    *a = *b;
    *b = kept;
}

void txns_add_aborted(struct txns *txns, const struct aborted_txn *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        array_reserve(&txns->ahead, &txns->ahead_cap, txns->ahead_count, sizeof *txns->ahead);
        size_t at = txns->ahead_count++;

        txns->ahead[at] = list[i];
        for (; at > 0 && txns->ahead[(at - 1) / 2].first_offset > txns->ahead[at].first_offset;
             at = (at - 1) / 2)
            swap(&txns->ahead[at], &txns->ahead[(at - 1) / 2]);
    }
}

static struct aborted_txn pop(struct txns *txns)
{
    struct aborted_txn first = txns->ahead[0];
    size_t count = --txns->ahead_count;

    txns->ahead[0] = txns->ahead[count];
    for (size_t at = 0;;) {
        size_t least = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (txns->ahead[child].first_offset < txns->ahead[least].first_offset)
                least = child;
        if (least == at)
            return first;
        swap(&txns->ahead[at], &txns->ahead[least]);
        at = least;
    }
}

/* --- the walk ------------------------------------------------------------------------------------
 */

static struct txn_open *get(struct txns *txns, int64_t producer_id)
{
    struct txn_open *open;

    HASH_FIND(hh, txns->open, &producer_id, sizeof producer_id, open);
    return open;
}

static struct txn_open *get_or_add(struct txns *txns, int64_t producer_id)
{
    struct txn_open *open = get(txns, producer_id);

    if (open != NULL)
        return open;
    open = xcalloc(1, sizeof *open);
    open->producer_id = producer_id;
    HASH_ADD(hh, txns->open, producer_id, sizeof open->producer_id, open);
    return open;
}

static void drop_if_closed(struct txns *txns, struct txn_open *open)
{
    if (open->is_aborted || open->is_committed)
        return;
    HASH_DEL(txns->open, open);
    free(open);
}

static void reach(struct txns *txns, int64_t offset)
{
    while (txns->ahead_count > 0 && txns->ahead[0].first_offset <= offset) {
        struct aborted_txn txn = pop(txns);
        struct txn_open *open = get_or_add(txns, txn.producer_id);

        if (open->is_aborted)
            continue; /* told of by two segments */
        open->is_aborted = true;
        open->has_data = false;
        open->txn = txn;
    }
}

bool txns_on_data(struct txns *txns, const struct batch_info *info)
{
    if (txns->ahead_count > 0)
        reach(txns, info->last_offset);
    if (!info->transactional)
        return false;
    struct txn_open *open = get_or_add(txns, info->producer_id);

    if (open->is_aborted)
        open->has_data = true;
    else
        open->is_committed = true;
    return open->is_aborted;
}

static bool control_kind(const uint8_t *batch, const struct batch_info *info,
                         enum record_control *kind)
{
    struct record_iter iter;
    struct record record;
    struct buf scratch = BUF_EMPTY;
    bool ok = record_iter_init(&iter, batch, info->size, (size_t)1 << 20, &scratch) == ERR_OK &&
              record_next(&iter, &record) == ERR_OK &&
              record_control_read(&record, kind, NULL) == ERR_OK;

    buf_fini(&scratch);
    return ok;
}

bool txns_on_control(struct txns *txns, const uint8_t *batch, const struct batch_info *info,
                     struct aborted_txn *kept)
{
    enum record_control kind;

    kept->producer_id = -1;
    reach(txns, info->last_offset);
    if (info->count == 0)
        return true; /* emptied by an earlier pass */
    if (!control_kind(batch, info, &kind) || kind == RECORD_CONTROL_OTHER)
        return false;
    struct txn_open *open = get(txns, info->producer_id);

    if (open == NULL)
        return true;
    bool marks_nothing;

    if (kind == RECORD_ABORT) {
        marks_nothing = !open->is_aborted || !open->has_data;
        if (!marks_nothing)
            *kept = open->txn;
        open->is_aborted = false;
    } else {
        marks_nothing = !open->is_committed;
        open->is_committed = false;
    }
    drop_if_closed(txns, open);
    return marks_nothing;
}
