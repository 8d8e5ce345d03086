/* The table of APIs knows which versions are flexible; the two exceptions are here. */
#include "common/wire/frame.h"

#include "gen/wire/apis.h"

static bool is_flexible(int16_t api_key, int16_t api_version)
{
    const struct wire_api *api = wire_api(api_key);

    return api != NULL && api_version >= api->flexible_since;
}

int frame_request_header_version(int16_t api_key, int16_t api_version)
{
    if (api_key == API_CONTROLLED_SHUTDOWN && api_version == 0)
        return 0;
    return is_flexible(api_key, api_version) ? 2 : 1;
}

int frame_response_header_version(int16_t api_key, int16_t api_version)
{
    return api_key != API_API_VERSIONS && is_flexible(api_key, api_version) ? 1 : 0;
}

enum err frame_request_header_decode(struct frame_request_header *out, struct wire_in *in)
{
    out->api_key = wire_get_i16(in);
    out->api_version = wire_get_i16(in);
    out->correlation_id = wire_get_i32(in);
    out->client_id = STR_NULL;

    int version = frame_request_header_version(out->api_key, out->api_version);
    if (version >= 1)
        out->client_id = wire_get_str(in, false, true); /* not compact, even in v2 */
    if (version >= 2)
        wire_skip_tags(in);
    return in->err;
}

void frame_request_header_encode(const struct frame_request_header *header, struct wire_out *out)
{
    int version = frame_request_header_version(header->api_key, header->api_version);

    wire_put_i16(out, header->api_key);
    wire_put_i16(out, header->api_version);
    wire_put_i32(out, header->correlation_id);
    if (version >= 1)
        wire_put_str(out, header->client_id, false, true);
    if (version >= 2)
        wire_put_uvarint(out, 0);
}

size_t frame_request_header_size(const struct frame_request_header *header)
{
    struct wire_out count = wire_out_measure();

    frame_request_header_encode(header, &count);
    return count.pos;
}

enum err frame_response_header_decode(int32_t *correlation_id, struct wire_in *in, int16_t api_key,
                                      int16_t api_version)
{
    *correlation_id = wire_get_i32(in);
    if (frame_response_header_version(api_key, api_version) >= 1)
        wire_skip_tags(in);
    return in->err;
}

void frame_response_header_encode(int32_t correlation_id, struct wire_out *out, int16_t api_key,
                                  int16_t api_version)
{
    wire_put_i32(out, correlation_id);
    if (frame_response_header_version(api_key, api_version) >= 1)
        wire_put_uvarint(out, 0);
}

size_t frame_response_header_size(int16_t api_key, int16_t api_version)
{
    return frame_response_header_version(api_key, api_version) >= 1 ? 5 : 4;
}
