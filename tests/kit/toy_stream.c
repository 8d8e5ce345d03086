/*
 * What a toy's controller sends goes to brokers as it would over a stream: packed, and read with
 * all that a reader refuses. What no reader accepts cuts every broker off, so it fails the test.
 */
#include "tests/kit/toy_core.h"

#include <check.h>

#include "common/base/bytes.h"
#include "common/stream/stream_image.h"

static Control__Frame *unpack(const struct slice *packed)
{
    Control__Frame *frame;

    ck_assert_uint_eq(load_be32(packed->base) + 4, packed->len);
    frame = control__frame__unpack(NULL, packed->len - 4, packed->base + 4);
    ck_assert_ptr_nonnull(frame);
    return frame;
}

struct receiving {
    struct stream_image gather;
    struct image *whole;
};

static void on_piece(void *ctx, const struct slice *packed)
{
    struct receiving *r = ctx;
    Control__Frame *frame = unpack(packed);

    ck_assert_ptr_null(r->whole);
    ck_assert_int_eq(stream_image_on_piece(&r->gather, frame->image, &r->whole), ERR_OK);
    control__frame__free_unpacked(frame, NULL);
}

struct image *toy_send_image(const struct image *image)
{
    struct receiving r = { .whole = NULL };

    stream_image_init(&r.gather);
    stream_image_pack(image, 0, on_piece, &r);
    stream_image_fini(&r.gather);
    ck_assert_ptr_nonnull(r.whole);
    return r.whole;
}

struct image *toy_send_delta(const struct image *image, const struct image_delta *delta)
{
    struct slice packed = stream_image_pack_delta(delta);
    Control__Frame *frame = unpack(&packed);
    struct image_delta read;
    struct image *next;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    ck_assert_int_eq(stream_image_read_delta(frame->delta, &arena, &read), ERR_OK);
    next = image_apply(image, &read);
    arena_fini(&arena);
    control__frame__free_unpacked(frame, NULL);
    slice_unref(&packed);
    return next;
}
