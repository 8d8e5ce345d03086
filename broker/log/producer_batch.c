/*
 * A marker's kind and coordinator epoch stand in its only record.
 */
#include "broker/log/producer_batch.h"

#include "common/wire/record.h"

static bool read_marker(const uint8_t *batch, const struct batch_info *info,
                        struct producer_batch *out)
{
    struct record_iter iter;
    struct record record;
    enum record_control kind;
    struct buf scratch = BUF_EMPTY;
    bool ok = record_iter_init(&iter, batch, info->size, info->size, &scratch) == ERR_OK &&
              record_next(&iter, &record) == ERR_OK &&
              record_control_read(&record, &kind, &out->coordinator_epoch) == ERR_OK &&
              kind != RECORD_CONTROL_OTHER;

    if (ok)
        out->is_abort = kind == RECORD_ABORT;
    buf_fini(&scratch);
    return ok;
}

bool producer_batch_read(const uint8_t *batch, const struct batch_info *info,
                         struct producer_batch *out)
{
    if (info->producer_id < 0)
        return false;
    *out = (struct producer_batch){
        .producer_id = info->producer_id,
        .producer_epoch = info->producer_epoch,
        .first_seq = info->base_sequence,
        .last_seq = info->last_sequence,
        .first_offset = info->base_offset,
        .last_offset = info->last_offset,
        .timestamp_ms = info->max_timestamp,
        .is_txn = info->transactional,
        .is_control = info->control,
        .coordinator_epoch = -1,
    };
    return !info->control || read_marker(batch, info, out);
}
