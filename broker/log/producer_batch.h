/*
 * producer_batch - what the producers' state needs to know of a batch, read from its bytes.
 */
#ifndef BROKER_LOG_PRODUCER_BATCH_H
#define BROKER_LOG_PRODUCER_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/producers.h"
#include "common/wire/batch.h"

/* False when the batch says nothing about a producer: none, an old format, a control batch that
 * compaction has emptied or of another kind. Only a control batch needs more bytes than its header.
 */
bool producer_batch_read(const uint8_t *batch, const struct batch_info *info,
                         struct producer_batch *out);

#endif
