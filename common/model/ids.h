/*
 * ids - a list of broker ids: replicas, ISR. Order matters to Kafka (the first replica is
 * preferred).
 *
 * Ownership:  a struct ids owns nothing; at points into whatever holds it.
 */
#ifndef COMMON_MODEL_IDS_H
#define COMMON_MODEL_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct ids {
    const int32_t *at;
    uint32_t n;
};

#define IDS_MAX  4096 /* brokers in one list; looking for repetitions is quadratic */

#define IDS_NONE ((struct ids){ .at = 0, .n = 0 })
/* Of a C array: IDS_OF(array) */
#define IDS_OF(array)                                                                              \
    ((struct ids){ .at = (array), .n = (uint32_t)(sizeof(array) / sizeof *(array)) })

static inline bool ids_has(struct ids ids, int32_t id)
{
    for (uint32_t i = 0; i < ids.n; i++) {
        if (ids.at[i] == id)
            return true;
    }
    return false;
}

/* Same ids in the same order. */
static inline bool ids_eq(struct ids a, struct ids b)
{
    if (a.n != b.n)
        return false;
    for (uint32_t i = 0; i < a.n; i++) {
        if (a.at[i] != b.at[i])
            return false;
    }
    return true;
}

/* Every id of part is in whole. */
static inline bool ids_within(struct ids part, struct ids whole)
{
    for (uint32_t i = 0; i < part.n; i++) {
        if (!ids_has(whole, part.at[i]))
            return false;
    }
    return true;
}

/* No id twice. */
static inline bool ids_unique(struct ids ids)
{
    for (uint32_t i = 1; i < ids.n; i++) {
        if (ids_has((struct ids){ .at = ids.at, .n = i }, ids.at[i]))
            return false;
    }
    return true;
}

/* Brokers: not too many, none negative, none twice. */
static inline bool ids_valid(struct ids ids)
{
    if (ids.n > IDS_MAX)
        return false;
    for (uint32_t i = 0; i < ids.n; i++) {
        if (ids.at[i] < 0)
            return false;
    }
    return ids_unique(ids);
}

#endif
