/*
 * Ties go to whoever was level with the leader last, then to the higher id, as in Kafka, so that
 * both send the same consumers to the same place.
 */
#include "broker/replica/read_replica.h"

#include <stdbool.h>

static bool is_better(const struct reader *a, const struct reader *b)
{
    if (a->leo != b->leo)
        return a->leo > b->leo;
    if (a->behind_ms != b->behind_ms)
        return a->behind_ms < b->behind_ms;
    return a->id > b->id;
}

int32_t read_replica_choose(struct str rack, struct str leader_rack, const struct reader *readers,
                            size_t n)
{
    const struct reader *best = NULL;

    if (rack.len == 0 || str_eq(rack, leader_rack))
        return READ_FROM_LEADER;
    for (size_t i = 0; i < n; i++)
        if (str_eq(readers[i].rack, rack) && (best == NULL || is_better(&readers[i], best)))
            best = &readers[i];
    return best != NULL ? best->id : READ_FROM_LEADER;
}
