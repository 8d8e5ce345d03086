/*
 * part_kit - one partition by itself, at broker 1 in its broker epoch 10; 2, in epoch 20, is the
 * other replica. What a controller says to it, a client sends, a leader answers, a follower asks.
 * What the partition stands on, and what time it is, is its test's own.
 *
 * Units:      wall_ms: of the records; now_ms: of the clock that only goes on.
 */
#ifndef TESTS_KIT_PART_KIT_H
#define TESTS_KIT_PART_KIT_H

#include "broker/replica/part.h"
#include "broker/replica/parts.h"
#include "common/model/ids.h"
#include "tests/kit/log_kit.h"

/* Of every topic, for a parts_conf: the defaults. */
void part_kit_conf(void *ctx, const struct image *image, struct str topic, struct part_conf *out);
/* For who cares for no proposal. */
void part_kit_propose(void *ctx, struct part *part, const struct part_proposal *proposal);

struct part_kit_role {
    int32_t leader, epoch, partition_epoch;
    struct ids isr; /* none: both */
    bool is_alone;  /* 2 does not live */
};
void part_kit_role(struct part *part, const struct part_kit_role *role, int64_t now_ms,
                   struct part_effects *effects);

/* One batch, checked as those of clients are. */
enum err part_kit_append(struct part *part, const struct kit_batch *from, int16_t acks,
                         int64_t wall_ms, int64_t now_ms, struct log_appended *appended,
                         int32_t *epoch);

/* As a leader of that epoch has it at that offset; behind what *into holds. */
void part_kit_put(struct buf *into, const struct kit_batch *from, int64_t offset, int32_t epoch);

/* A fetch of 2, or of a consumer (replica -1), that says which epoch it believes in. */
struct part_read part_kit_fetch(int32_t replica, int64_t offset, int32_t epoch);

#endif
