/*
 * leader_isr - who leads a partition, in which epoch, and who is in sync: the content of its state
 * in ZooKeeper.
 *
 * Units:      leader_epoch counts leaderships; partition_epoch counts writes of the state (its
 * version in ZooKeeper). Ownership:  borrows its isr.
 */
#ifndef COMMON_MODEL_LEADER_ISR_H
#define COMMON_MODEL_LEADER_ISR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/ids.h"

#define LEADER_NONE (-1)
/* No elections get there, not one a second for 34 years. What another hand has written above it is
 * not believed, so that counting on never overflows. */
#define LEADER_EPOCH_MAX (INT32_MAX / 2)

struct leader_isr {
    int32_t leader; /* LEADER_NONE when nobody can lead */
    int32_t leader_epoch;
    int32_t partition_epoch;
    bool recovering; /* elected uncleanly, nothing has been decided since */
    struct ids isr;  /* never empty once written */
};

/* <0, 0, >0: a is older than, as new as, newer than b. Leader epoch first, partition epoch next. */
static inline int leader_isr_cmp(const struct leader_isr *a, const struct leader_isr *b)
{
    if (a->leader_epoch != b->leader_epoch)
        return a->leader_epoch < b->leader_epoch ? -1 : 1;
    if (a->partition_epoch != b->partition_epoch)
        return a->partition_epoch < b->partition_epoch ? -1 : 1;
    return 0;
}

/* It can have been written by a controller. */
static inline bool leader_isr_valid(const struct leader_isr *state)
{
    return state->leader >= LEADER_NONE && state->leader_epoch >= 0 &&
           state->leader_epoch <= LEADER_EPOCH_MAX && ids_valid(state->isr);
}

#endif
