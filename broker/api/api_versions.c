/*
 * A version that we do not know is answered in version 0 with UNSUPPORTED_VERSION and the one row
 * that tells the client which versions of this request we do know; any other request of an unknown
 * version ends the connection before it comes to a handler.
 */
#include "broker/api/api_versions.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>

#include "broker/net/dispatch.h"
#include "broker/net/request.h"
#include "common/base/err.h"
#include "gen/wire/api_versions.h"
#include "gen/wire/apis.h"

/* [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])? */
static bool is_name(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool at_end = i == 0 || i == text.len - 1;

        if (!(c < 0x80 && isalnum(c)) && (at_end || (c != '-' && c != '.')))
            return false;
    }
    return text.len > 0;
}

static struct api_versions_response_api_key row_of(const struct handler *handler)
{
    return (struct api_versions_response_api_key){ .api_key = handler->key,
                                                   .min_version = handler->min_version,
                                                   .max_version = handler->max_version };
}

void api_versions_handle(struct request *req, void *body, void *context)
{
    const struct dispatch *table = request_dispatch(req);
    const struct api_versions_request *asked = body;
    struct api_versions_response_api_key rows[DISPATCH_KEYS];
    struct api_versions_response resp;

    (void)context;
    api_versions_response_init(&resp);
    resp.api_keys = rows;
    if (asked == NULL) {
        resp.error_code = err_to_wire(ERR_UNSUPPORTED_VERSION);
        rows[resp.api_keys_len++] = row_of(dispatch_find(table, API_API_VERSIONS));
        request_answer_in(req, &resp, 0);
        return;
    }
    if (req->version >= 3 &&
        !(is_name(asked->client_software_name) && is_name(asked->client_software_version))) {
        resp.error_code = err_to_wire(ERR_INVALID_REQUEST);
        request_answer(req, &resp);
        return;
    }
    for (int16_t key = 0; key < DISPATCH_KEYS; key++) {
        const struct handler *handler = dispatch_find(table, key);

        if (handler != NULL)
            rows[resp.api_keys_len++] = row_of(handler);
    }
    request_answer(req, &resp);
}
