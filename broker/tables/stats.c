/*
 * The names that a label takes: requests as Kafka calls them.
 */
#include "broker/tables/stats.h"

#include <assert.h>

#include "common/base/mem.h"
#include "gen/wire/apis.h"

#define FETCH_FOLLOWER (STAT_REQUESTS - 1) /* beyond every key that is served */

static_assert(STAT_SLOTS <= STAT_SLOTS_MAX, "a thread's copy is too small");

unsigned stats_request(int16_t key, bool is_follower)
{
    if (key == API_FETCH && is_follower)
        return FETCH_FOLLOWER;
    return key >= 0 && key < FETCH_FOLLOWER ? (unsigned)key : FETCH_FOLLOWER - 1;
}

static const char *request_at(unsigned i)
{
    const struct wire_api *api = i == FETCH_FOLLOWER ? NULL : wire_api((int16_t)i);

    if (i == API_FETCH)
        return "FetchConsumer";
    if (i == FETCH_FOLLOWER)
        return "FetchFollower";
    return api != NULL ? api->name : NULL;
}

static const struct stat_def defs[] = {
#define LABEL_AT_1             NULL
#define LABEL_AT_STAT_REQUESTS request_at
#define STAT(kind, field, n, label, name, help)                                                    \
    { STAT_KIND_##kind, STAT_SLOT_##field, n, label, LABEL_AT_##n, name, help },
#include "broker/tables/stat.def"
};

void stats_print(FILE *out)
{
    stat_print(out, defs, ARRAY_LEN(defs));
}
