/*
 * choose - who leads now: one partition's state and what is known of its replicas in, a leader and
 * an ISR out.
 *
 * Kafka's rules (its Election class), with KIP-966's eligible leaders behind the ISR, but for
 * these: what dies leaves the ISR in the same decision, a partition without a leader that lives
 * keeps its ISR, and leader -1 is written only when the leader is gone for certain.
 */
#ifndef CONTROLLER_CORE_CHOOSE_H
#define CONTROLLER_CORE_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/image.h"

/* What is known of a replica; bits. */
enum replica_is {
    REPLICA_LIVE = 1,    /* may be elected */
    REPLICA_GONE = 2,    /* its broker is dead, or its directory has failed */
    REPLICA_CERTAIN = 4, /* with GONE: refused or expired, or a directory: not merely silent */
    REPLICA_LEAVING =
        8, /* its broker is a new process: what it was given before is to be taken away */
    REPLICA_UNCLEAN = 16,  /* with LEAVING: it may have lost records it had */
    REPLICA_STOPPING = 32, /* controlled shutdown */
    REPLICA_YIELDS = 64,   /* would rather not lead; only choose_other() looks at it */
};

/* The same order as part->replicas; an ISR member that is no replica counts as gone. */
struct choice {
    const struct image_part *part;
    const uint8_t *replicas;
    struct ids eligible; /* outside the ISR, with all that is committed */
    bool forced;         /* with unclean: nobody is waited for either */
    bool unclean;        /* whoever lives may lead when nobody in sync can be waited for */
};

/* False: everything may stay as it is. Else *next, with its isr in the caller's room for as many as
 * replicas and isr are. */
bool choose_leader(const struct choice *choice, struct leader_isr *next, int32_t *isr_room);
/* The partition's replicas become these, in the order in which they may lead: *next is the state
 * that goes with them, with isr in the caller's room. False when it cannot be done now without
 * losing what is committed: nobody of these is in sync, or the leader leaves and none of those in
 * sync lives. */
bool choose_among(const struct choice *choice, struct ids replicas, struct leader_isr *next,
                  int32_t *isr_room);
/* All of these are in sync and live, and somebody leads. */
bool choose_has_all(const struct choice *choice, struct ids replicas);
/* Leadership to the first replica: false when it leads already, is not live, or not in sync. */
bool choose_preferred(const struct choice *choice, struct leader_isr *next);
/* Leadership from one that would rather not lead to another one in sync; false: there is none. */
bool choose_other(const struct choice *choice, struct leader_isr *next);

#endif
