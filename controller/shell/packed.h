/*
 * packed - images and deltas as frames: an image is packed once for all who are sent the same one,
 * and a delta that would be too long for a frame is none.
 *
 * Ownership:  holds the image that it has packed, until another one is or it is dropped.
 * Threads:    the reactor's.
 */
#ifndef CONTROLLER_SHELL_PACKED_H
#define CONTROLLER_SHELL_PACKED_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/slice.h"
#include "common/model/image.h"
#include "common/stream/stream.h"

struct packed {
    struct image *image; /* NULL: none */
    struct slice *pieces;
    size_t n, cap, bytes;
};

/* All zero is an empty one. */
void packed_drop(struct packed *packed);
void packed_fini(struct packed *packed);
/* Queues all of the image, with room for it and as much again beside backlog_bytes_max. */
void packed_send(struct packed *packed, struct image *image, struct stream *stream,
                 size_t backlog_bytes_max);
/* False: it is longer than who reads it allows, so that an image has to be sent in its place. */
bool packed_delta(const struct image_delta *delta, struct slice *out);

#endif
