/*
 * Any bytes as any message. What decodes must encode to the size that was measured, decode again,
 * and read the same; what does not must end in an error. make fuzz; build/fuzz/wire_fuzz
 * CORPUS_DIR.
 *
 * Input: key, version, and whether it is an answer, a byte each, then the message; key 255: a whole
 * request frame with its header.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/frame.h"
#include "common/wire/show.h"
#include "gen/wire/apis.h"

#define ARENA_LIMIT ((size_t)64 << 20)

/* What decoding may take: the arena doubles its blocks, and structs are larger than their bytes. */
#define MEMORY_PER_BYTE 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_again(const struct wire_codec *codec, const void *message, int16_t version,
                        struct arena *arena)
{
    size_t size = codec->size(message, version);
    uint8_t *bytes = xmalloc(size > 0 ? size : 1);
    struct wire_out out = wire_out_of(bytes, size);

    codec->encode(message, &out, version);
    must(out.pos == size);

    void *back = arena_alloc(arena, codec->shape->size);
    struct wire_in in = wire_in_of(bytes, size, arena);
    must(codec->decode(back, &in, version) == ERR_OK);
    must(wire_left(&in) == 0);
    must(str_eq(wire_show(codec->shape, message, version, arena),
                wire_show(codec->shape, back, version, arena)));
    must(codec->size(back, version) == size);
    free(bytes);
}

static void try_message(const struct wire_codec *codec, struct wire_in *in, int16_t version)
{
    void *message = arena_alloc(in->arena, codec->shape->size);
    size_t len = wire_left(in);

    if (codec->decode(message, in, version) == ERR_OK) {
        must(in->arena->total <= len * MEMORY_PER_BYTE + 65536);
        check_again(codec, message, version, in->arena);
    } else {
        must(in->arena->total <= len * MEMORY_PER_BYTE + 65536);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct frame_request_header header;

    if (size < 3)
        return 0;
    arena_init(&arena, ARENA_LIMIT);
    struct wire_in in = wire_in_of(data + 3, size - 3, &arena);
    if (data[0] == 255) {
        if (frame_request_header_decode(&header, &in) == ERR_OK) {
            const struct wire_api *api = wire_api(header.api_key);

            if (api != NULL)
                try_message(&api->request, &in, header.api_version);
        }
    } else {
        const struct wire_api *api = wire_api(data[0]);

        if (api != NULL)
            try_message(data[2] & 1 ? &api->response : &api->request, &in, (int8_t)data[1]);
    }
    arena_fini(&arena);
    return 0;
}
