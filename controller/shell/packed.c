/*
 * An image goes in pieces, so it has no largest size; a delta is one frame, and what one change may
 * touch has no bound: a deletion of very large topics, or a broker's death in a cluster of hundreds
 * of thousands of topics. All who were sent it would end their streams, and be sent the image then.
 */
#include "controller/shell/packed.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/stream/stream_image.h"

void packed_drop(struct packed *packed)
{
    for (size_t i = 0; i < packed->n; i++)
        slice_unref(&packed->pieces[i]);
    packed->n = packed->bytes = 0;
    image_unref(&packed->image);
}

void packed_fini(struct packed *packed)
{
    packed_drop(packed);
    free(packed->pieces);
    *packed = (struct packed){ 0 };
}

static void keep_piece(void *ctx, const struct slice *piece)
{
    struct packed *into = ctx;

    array_reserve(&into->pieces, &into->cap, into->n, sizeof *into->pieces);
    into->pieces[into->n++] = slice_ref(piece);
    into->bytes += piece->len;
}

void packed_send(struct packed *packed, struct image *image, struct stream *stream,
                 size_t backlog_bytes_max)
{
    if (packed->image != image) {
        packed_drop(packed);
        packed->image = image_ref(image);
        stream_image_pack(image, 0, keep_piece, packed);
    }
    stream_set_backlog_max(stream, backlog_bytes_max + 2 * packed->bytes);
    for (size_t i = 0; i < packed->n; i++)
        stream_send_packed(stream, &packed->pieces[i]);
}

bool packed_delta(const struct image_delta *delta, struct slice *out)
{
    *out = stream_image_pack_delta(delta);
    if (out->len <= STREAM_FRAME_BYTES_MAX)
        return true;
    say_info("a change is too large for one frame, sending the image bytes=%zu topics=%zu "
             "tombstones=%zu",
             out->len, delta->n_topics, delta->n_tombstones);
    slice_unref(out);
    return false;
}
