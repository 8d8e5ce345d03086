/*
 * frame - what precedes the message in a frame: Kafka's request and response headers.
 *
 * A frame is an int32 length, then a header, then the message. Which header follows from the api
 * key and version alone: request header v2 and response header v1 where the version is flexible, v1
 * and v0 before; and two exceptions of Kafka's: ControlledShutdown v0 has no client id, and an
 * ApiVersions response never has tags, since the client cannot know yet what the server speaks.
 *
 * Ownership:  a decoded client id borrows from the input.
 * Errors:     ERR_BAD_FORMAT. Unknown keys and versions are decoded as far as they tell, so that
 * the caller can say what was asked: header.api_key and api_version are set with ERR_OK.
 */
#ifndef COMMON_WIRE_FRAME_H
#define COMMON_WIRE_FRAME_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/wire/prim.h"

#define FRAME_LEN_BYTES 4 /* the length itself, which does not count itself */

struct frame_request_header {
    int16_t api_key;
    int16_t api_version;
    int32_t correlation_id;
    struct str client_id; /* null stays null */
};

/* Reads the header; the message follows at in->pos. An unknown key counts as not flexible. */
enum err frame_request_header_decode(struct frame_request_header *out, struct wire_in *in) MUST_USE;
size_t frame_request_header_size(const struct frame_request_header *header);
void frame_request_header_encode(const struct frame_request_header *header, struct wire_out *out);

/* The response to (api_key, api_version) has its correlation id, then tags if its header is v1. */
enum err frame_response_header_decode(int32_t *correlation_id, struct wire_in *in, int16_t api_key,
                                      int16_t api_version) MUST_USE;
size_t frame_response_header_size(int16_t api_key, int16_t api_version);
void frame_response_header_encode(int32_t correlation_id, struct wire_out *out, int16_t api_key,
                                  int16_t api_version);

/* 0, 1, 2 and 0, 1. A version above the highest counts as the highest would. */
int frame_request_header_version(int16_t api_key, int16_t api_version);
int frame_response_header_version(int16_t api_key, int16_t api_version);

#endif
