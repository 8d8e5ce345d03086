/*
 * stats - what a broker counts: the table stat.def as slots to count in, and as Prometheus text.
 *
 *     STAT_ADD(messages_in, n);                     one more count, some nanoseconds
 *     STAT_TIME_AT(request_time, stats_request(key, is_follower), us);
 *
 * Threads: any.
 */
#ifndef BROKER_TABLES_STATS_H
#define BROKER_TABLES_STATS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/stat.h"

#define STAT_REQUESTS 96 /* by API key, see stats_request() */

enum broker_stat_slot {
#define STAT(kind, field, n, label, name, help)                                                    \
    STAT_SLOT_##field, STAT_LAST_##field = STAT_SLOT_##field + (n)*STAT_WIDTH_##kind - 1,
#include "broker/tables/stat.def"
    STAT_SLOTS
};

#define STAT_ADD(field, n)       stat_add(STAT_SLOT_##field, (uint64_t)(n))
#define STAT_ADD_AT(field, i, n) stat_add(STAT_SLOT_##field + (unsigned)(i), (uint64_t)(n))
#define STAT_TIME(field, us)     stat_time(STAT_SLOT_##field, us)
#define STAT_TIME_AT(field, i, us)                                                                 \
    stat_time(STAT_SLOT_##field + (unsigned)(i)*STAT_WIDTH_HISTOGRAM, us)

/* Where a request of this API counts: a follower's fetch beside the consumers'. */
unsigned stats_request(int16_t key, bool is_follower);
/* As Prometheus text. */
void stats_print(FILE *out);

#endif
