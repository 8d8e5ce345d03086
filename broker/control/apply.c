#include "broker/control/apply.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/base/say.h"

struct apply {
    struct apply_conf conf;
    struct stream_image gather;
    struct image *image; /* a reference; NULL before the first one */
    int32_t epoch;       /* highest seen */
    uint64_t version;
    bool expects_image; /* on this stream */
    bool alarmed;       /* an image was refused: nothing is applied any more */
};

struct apply *apply_new(const struct apply_conf *conf)
{
    struct apply *apply = xcalloc(1, sizeof *apply);

    apply->conf = *conf;
    apply->epoch = -1;
    stream_image_init(&apply->gather);
    return apply;
}

void apply_free(struct apply **apply_ptr)
{
    struct apply *apply = *apply_ptr;

    *apply_ptr = NULL;
    stream_image_fini(&apply->gather);
    image_unref(&apply->image);
    free(apply);
}

int32_t apply_epoch(const struct apply *apply)
{
    return apply->epoch;
}

uint64_t apply_version(const struct apply *apply)
{
    return apply->version;
}

void apply_begin(struct apply *apply)
{
    stream_image_fini(&apply->gather);
    stream_image_init(&apply->gather);
    apply->expects_image = true;
}

static void fill_failure(const struct parts_failure *from, Control__PartitionFailure *to)
{
    control__partition_failure__init(to);
    to->topic_id = stream_image_write_uuid(&from->topic_id);
    to->has_topic_id = true;
    to->partition = from->partition;
    to->has_partition = true;
    to->leader_epoch = from->leader_epoch;
    to->has_leader_epoch = true;
    to->partition_epoch = from->partition_epoch;
    to->has_partition_epoch = true;
    to->error = err_to_wire(from->err);
    to->has_error = true;
    to->yields = to->has_yields = from->yields;
}

static void acknowledge(struct apply *apply, const struct parts_result *result)
{
    struct arena arena;
    Control__Ack ack = CONTROL__ACK__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    arena_init(&arena, SIZE_MAX);
    ack.controller_epoch = apply->epoch;
    ack.has_controller_epoch = true;
    ack.version = apply->version;
    ack.has_version = true;
    ack.n_failures = result->failures_len;
    ack.failures = arena_alloc(&arena, (result->failures_len + 1) * sizeof *ack.failures);
    for (size_t i = 0; i < result->failures_len; i++) {
        ack.failures[i] = arena_alloc(&arena, sizeof **ack.failures);
        fill_failure(&result->failures[i], ack.failures[i]);
    }
    ack.n_deleted = result->deleted_len;
    ack.deleted = stream_image_write_tombstones(result->deleted_len, result->deleted, &arena);
    frame.ack = &ack;
    apply->conf.send(apply->conf.ctx, &frame);
    arena_fini(&arena);
}

/* Takes the reference on image. */
static void take_over(struct apply *apply, struct image *image, const struct image_delta *delta,
                      int64_t now_ms)
{
    struct parts_result result;

    if (apply->alarmed) {
        image_unref(&image);
        return;
    }
    parts_apply(apply->conf.parts, image, delta, now_ms, &result);
    if (result.err != ERR_OK) {
        apply->alarmed = true;
        say_error("the controller's image was refused, this broker keeps to what it had err=%s",
                  err_name(result.err));
        image_unref(&image);
        parts_result_fini(&result);
        return;
    }
    if (apply->conf.groups != NULL)
        groups_apply(apply->conf.groups, apply->image, image, delta);
    image_unref(&apply->image);
    apply->image = image;
    apply->epoch = image_controller_epoch(image);
    apply->version = image_version(image);
    meta_publish(apply->conf.meta, image);
    acknowledge(apply, &result);
    parts_result_fini(&result);
    apply->conf.on_applied(apply->conf.ctx, apply->epoch, apply->version);
}

void apply_retry(struct apply *apply, int64_t now_ms)
{
    struct parts_result result;

    if (apply->alarmed || apply->expects_image || apply->image == NULL)
        return;
    parts_retry(apply->conf.parts, now_ms, &result);
    parts_tell_full(apply->conf.parts, &result);
    if (result.failures_len > 0)
        acknowledge(apply, &result);
    parts_result_fini(&result);
}

void apply_image(struct apply *apply, const Control__Image *piece, int64_t now_ms)
{
    struct image *image = NULL;

    if (stream_image_on_piece(&apply->gather, piece, &image) != ERR_OK) {
        apply->conf.restart(apply->conf.ctx, "a piece of an image that makes no sense");
        return;
    }
    if (image == NULL)
        return;
    if (image_controller_epoch(image) < apply->epoch) {
        image_unref(&image);
        apply->conf.restart(apply->conf.ctx, "an image of an older controller");
        return;
    }
    apply->expects_image = false;
    take_over(apply, image, NULL, now_ms);
}

void apply_delta(struct apply *apply, const Control__Delta *message, int64_t now_ms)
{
    struct arena arena;
    struct image_delta delta;

    if (apply->expects_image || apply->image == NULL) {
        apply->conf.restart(apply->conf.ctx, "a delta before the image");
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (stream_image_read_delta(message, &arena, &delta) != ERR_OK)
        apply->conf.restart(apply->conf.ctx, "a delta that makes no sense");
    else if (delta.controller_epoch < apply->epoch)
        say_warn("dropped a delta of an older controller epoch=%d", delta.controller_epoch);
    else if (delta.controller_epoch > apply->epoch || delta.version != apply->version + 1)
        apply->conf.restart(apply->conf.ctx, "a gap in the deltas");
    else
        take_over(apply, image_apply(apply->image, &delta), &delta, now_ms);
    arena_fini(&arena);
}
