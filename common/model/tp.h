/*
 * tp - a topic-partition by its topic's id and name.
 *
 * The id decides whether two topics are the same one: a name that was deleted and created again has
 * another id. The name is for people, paths and requests of clients that do not know ids.
 *
 * Ownership:  a struct tp owns nothing; the name is borrowed.
 */
#ifndef COMMON_MODEL_TP_H
#define COMMON_MODEL_TP_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"
#include "common/base/uuid.h"

struct tp {
    struct uuid topic_id;
    struct str topic; /* may be null where only the id is known */
    int32_t partition;
};

/* For printf, as Kafka names it: say_info("moved " TP_FMT, TP_ARG(tp)) */
#define TP_FMT     "%.*s-%d"
#define TP_ARG(tp) STR_ARG((tp).topic), (tp).partition

/* By id and partition; the name does not count. */
static inline bool tp_eq(struct tp a, struct tp b)
{
    return a.partition == b.partition && uuid_eq(a.topic_id, b.topic_id);
}

static inline uint64_t tp_hash(struct uuid topic_id, int32_t partition)
{
    uint64_t halves[2];

    memcpy(halves, topic_id.bytes, sizeof halves);
    halves[0] ^= halves[1] * UINT64_C(0x9e3779b97f4a7c15);
    halves[0] += (uint64_t)(uint32_t)partition * UINT64_C(0xd6e8feb86659fd93);
    halves[0] ^= halves[0] >> 32;
    return halves[0] * UINT64_C(0xd6e8feb86659fd93);
}

#endif
