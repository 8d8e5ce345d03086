/*
 * Any bytes as a frame of the control stream, read by both ends: nothing crashes, and what passes
 * as an image or a delta can be applied and comes back the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/slice.h"
#include "common/stream/stream_image.h"
#include "controller/shell/uplink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Empty, so that whatever comes is new. */
static struct image *apply(const struct image_delta *delta)
{
    struct image *empty = image_new(0, 0, 1, STR("c"));
    struct image *image = image_apply(empty, delta);

    image_unref(&empty);
    return image;
}

static void read_delta(const Control__Delta *message, struct arena *arena)
{
    struct image_delta delta, again;

    if (stream_image_read_delta(message, arena, &delta) != ERR_OK)
        return;

    struct slice packed = stream_image_pack_delta(&delta);
    Control__Frame *frame = control__frame__unpack(NULL, packed.len - 4, packed.base + 4);

    assert(frame != NULL && frame->delta != NULL);
    assert(stream_image_read_delta(frame->delta, arena, &again) == ERR_OK);

    struct image *one = apply(&delta), *two = apply(&again);

    assert(image_eq(one, two));
    image_unref(&one);
    image_unref(&two);
    control__frame__free_unpacked(frame, NULL);
    slice_unref(&packed);
}

static void read_image(const Control__Image *message)
{
    struct stream_image gather;
    struct image *whole;

    stream_image_init(&gather);
    if (stream_image_on_piece(&gather, message, &whole) == ERR_OK)
        image_unref(&whole);
    stream_image_fini(&gather);
}

static void read_uplink(const Control__Frame *frame, struct arena *arena)
{
    static const struct uuid incarnation = { .bytes = { 1 } };
    struct core_event event;
    struct node node;
    enum err err = ERR_OK;

    if (frame->hello != NULL)
        err = stream_image_read_hello(frame->hello, arena, &node);
    if (frame->ack != NULL)
        err = uplink_ack(frame->ack, 1, arena, &event.acked);
    if (frame->alter_partition != NULL)
        err = uplink_alter(frame->alter_partition, 1, arena, &event.alter_partition);
    if (frame->dir_failed != NULL)
        err = uplink_dir_failed(frame->dir_failed, 1, arena, &event.dir_failed);
    if (frame->heartbeat != NULL)
        err = uplink_heartbeat(frame->heartbeat, 1, &incarnation, &event.heartbeat);
    (void)err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Control__Frame *frame = control__frame__unpack(NULL, size, data);
    struct arena arena;

    if (frame == NULL)
        return 0;
    arena_init(&arena, SIZE_MAX);
    read_uplink(frame, &arena);
    if (frame->delta != NULL)
        read_delta(frame->delta, &arena);
    if (frame->image != NULL)
        read_image(frame->image);
    arena_fini(&arena);
    control__frame__free_unpacked(frame, NULL);
    return 0;
}
