/*
 * The names that labels take: requests as Kafka calls them, errors by their names.
 */
#include "broker/tables/stats.h"

#include <assert.h>

#include "common/base/err.h"
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

void stats_error(int16_t code)
{
    if (code >= -1 && code < STAT_ERRORS - 1)
        STAT_ADD_AT(errors, code + 1, 1);
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

static const char *error_at(unsigned i)
{
    return err_name((enum err)((int)i - 1));
}

static const struct stat_def defs[] = {
#define LABEL_AT_1             NULL
#define LABEL_AT_STAT_REQUESTS request_at
#define LABEL_AT_STAT_ERRORS   error_at
#define STAT(kind, field, n, label, name, help)                                                    \
    { STAT_KIND_##kind, STAT_SLOT_##field, n, label, LABEL_AT_##n, name, help },
#include "broker/tables/stat.def"
};

void stats_print(FILE *out, const struct broker_gauges *gauges)
{
    stat_print(out, defs, ARRAY_LEN(defs));
#define GAUGE(field, name, help) stat_print_gauge(out, name, NULL, help, (double)gauges->field);
#include "broker/tables/stat.def"
}
