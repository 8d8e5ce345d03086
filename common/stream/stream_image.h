/*
 * stream_image - images and deltas to messages of the control stream and back.
 *
 * Sending packs each image, in pieces, and each delta once, for all streams it goes to. Receiving
 * believes nothing: lengths of ids, numbers of brokers and partitions, enums and repetitions are
 * checked before a value is made of them.
 *
 * Ownership:  packed slices are the caller's. What is read from a message borrows from the message
 *             and from the arena; images copy.
 * Errors:     ERR_BAD_FORMAT for whatever does not make sense.
 */
#ifndef COMMON_STREAM_STREAM_IMAGE_H
#define COMMON_STREAM_STREAM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/slice.h"
#include "common/base/uuid.h"
#include "common/model/image.h"
#include "common/model/node.h"
#include "gen/control.pb-c.h"

#define STREAM_IMAGE_PIECE_BYTES (1024 * 1024)

/* ---- sending --------------------------------------------------------------------------------- */

/* Calls emit for each piece in order; a piece passes piece_bytes (0: STREAM_IMAGE_PIECE_BYTES) by
 * no more than its last entry. */
void stream_image_pack(const struct image *image, size_t piece_bytes,
                       void (*emit)(void *ctx, const struct slice *packed), void *ctx);
struct slice stream_image_pack_delta(const struct image_delta *delta);

/* ---- receiving ------------------------------------------------------------------------------- */

/* Gathers the pieces of one image. After an error, or for another image, fini and init. */
struct stream_image {
    struct image *image; /* NULL before the first piece */
    uint32_t next_piece;
};

void stream_image_init(struct stream_image *gather);
void stream_image_fini(struct stream_image *gather);
/* *out: the whole image, the caller's reference, with the last piece; else NULL. A piece numbered 0
 * begins anew. */
enum err stream_image_on_piece(struct stream_image *gather, const Control__Image *piece,
                               struct image **out) MUST_USE;
enum err stream_image_read_delta(const Control__Delta *message, struct arena *arena,
                                 struct image_delta *out) MUST_USE;

/* ---- parts of other messages ----------------------------------------------------------------- */

/* 16 bytes, not all zero. */
enum err stream_image_read_uuid(ProtobufCBinaryData bytes, struct uuid *out) MUST_USE;
/* Lent by uuid. */
ProtobufCBinaryData stream_image_write_uuid(const struct uuid *uuid);

/* Who says hello: id, epoch, incarnation, rack and endpoints; state NODE_LIVE. */
enum err stream_image_read_hello(const Control__Hello *hello, struct arena *arena,
                                 struct node *out) MUST_USE;
/* Sets those fields of hello. The rest is untouched. */
void stream_image_write_hello(Control__Hello *hello, const struct node *node, struct arena *arena);

enum err stream_image_read_tombstones(size_t n, Control__Tombstone *const *messages,
                                      struct arena *arena,
                                      const struct image_tombstone **out) MUST_USE;
Control__Tombstone **stream_image_write_tombstones(size_t n,
                                                   const struct image_tombstone *tombstones,
                                                   struct arena *arena);

#endif
