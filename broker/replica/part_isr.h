/*
 * part_isr - who lags, who has caught up, and the proposal in flight. A part of part_core; nobody
 * else includes it.
 *
 * One change at a time (KAFKA-12686): a proposal is unchanged until the controller's decision shows
 * as a later epoch or as a refusal for good, so an answer that was lost or comes late cannot
 * confuse it.
 */
#ifndef BROKER_REPLICA_PART_ISR_H
#define BROKER_REPLICA_PART_ISR_H

#include "broker/replica/part_core.h"

/* After r fetched: propose it as a member if it may join. */
void part_isr_expand(struct part_core *core, const struct part_replica *r, int64_t now_ms,
                     struct part_effects *out);
/* Propose to drop who lags; send again what has been pending for long. */
void part_isr_tick(struct part_core *core, int64_t now_ms, struct part_effects *out);
void part_isr_resend(struct part_core *core, int64_t now_ms, struct part_effects *out);
void part_isr_decided(struct part_core *core, const struct part_event *ev, int64_t now_ms);

#endif
