#include "broker/net/dispatch.h"

#include <assert.h>

#include "gen/wire/apis.h"

void dispatch_init(struct dispatch *dispatch, const struct handler *rows, size_t count,
                   void *context)
{
    *dispatch = (struct dispatch){ .context = context };
    for (size_t i = 0; i < count; i++) {
        const struct handler *row = &rows[i];

        assert(row->key >= 0 && row->key < DISPATCH_KEYS);
        assert(row->fn != NULL);
        assert(dispatch->by_key[row->key].fn == NULL);
        const struct wire_api *api = wire_api(row->key);
        assert(api != NULL);
        assert(row->min_version >= api->min_version);
        assert(row->max_version <= api->max_version);
        assert(row->min_version <= row->max_version);
        dispatch->by_key[row->key] = *row;
    }
}

const struct handler *dispatch_find(const struct dispatch *dispatch, int16_t key)
{
    if (key < 0 || key >= DISPATCH_KEYS || dispatch->by_key[key].fn == NULL)
        return NULL;
    return &dispatch->by_key[key];
}
