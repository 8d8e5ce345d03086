/*
 * disorder - of two neighbouring batches whose offsets do not go up, which one is wrong.
 *
 * The offset that a batch begins with is not under its checksum; how many it spans is. One that was
 * damaged runs into a neighbour. Logs are dense but for what compaction takes, so the neighbours of
 * the two mostly tell: whoever fits to the batch on its other side is right.
 *
 * Units:    offsets are records, positions bytes of the file.
 * Errors:   disorder_find() as scan.h.
 */
#ifndef BROKER_LOG_DISORDER_H
#define BROKER_LOG_DISORDER_H

#include <stdint.h>

#include "broker/log/files.h"
#include "common/wire/batch.h"

enum disorder {
    DISORDER_NONE,
    DISORDER_FIRST,  /* it was raised */
    DISORDER_SECOND, /* it was lowered */
    DISORDER_EITHER, /* nothing tells: neither is to be shown */
};

#define DISORDER_NOT_KNOWN INT64_MIN

struct disorder_case {
    int64_t before; /* last offset in front of the first, or DISORDER_NOT_KNOWN */
    int64_t first_base, first_last;
    int64_t second_base, second_last;
    int64_t behind; /* base offset behind the second, or DISORDER_NOT_KNOWN */
};

enum disorder disorder_judge(const struct disorder_case *it);

/* What follows a good batch: where it lies, where the file ends, and the offset that goes on there
 * or DISORDER_NOT_KNOWN. */
struct disorder_rest {
    int64_t pos;
    int64_t end;
    int64_t next_base;
};

/* before: as above. DISORDER_NONE also when no good batch follows: its own reader meets that. */
MUST_USE enum err disorder_find(struct file *file, int64_t before, const struct batch_info *first,
                                const struct disorder_rest *rest, enum disorder *out);

#endif
