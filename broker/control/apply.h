/*
 * apply - image and deltas into the broker (C6, C7): roles first, then what clients see; then the
 * ack.
 *
 * Only what follows on what was applied is taken: an image of an epoch not below ours, a delta of
 * the same epoch and the next version. Anything of an older controller is dropped, a gap asks for a
 * new image.
 *
 * Threads:  all on the control reactor.
 */
#ifndef BROKER_CONTROL_APPLY_H
#define BROKER_CONTROL_APPLY_H

#include <stdint.h>

#include "broker/group/groups.h"
#include "broker/meta/meta.h"
#include "broker/replica/parts.h"
#include "common/stream/stream_image.h"

struct apply;

struct apply_conf {
    struct parts *parts;
    struct groups *groups; /* NULL: no coordinator (tests) */
    struct meta *meta;
    /* Sends the ack. */
    void (*send)(void *ctx, const Control__Frame *frame);
    /* What came does not fit: the stream must begin anew. */
    void (*restart)(void *ctx, const char *why);
    /* (epoch, version) has been applied. */
    void (*on_applied)(void *ctx, int32_t controller_epoch, uint64_t version);
    void *ctx;
};

struct apply *apply_new(const struct apply_conf *conf);
void apply_free(struct apply **apply);

/* A new stream: pieces of an image that had not ended are forgotten, and an image must come first.
 */
void apply_begin(struct apply *apply);
void apply_image(struct apply *apply, const Control__Image *piece, int64_t now_ms);
void apply_delta(struct apply *apply, const Control__Delta *delta, int64_t now_ms);

/* Now and then: whether there is room for what a full disk could not take. What is served by it is
 * told as a failure that is none any more. */
void apply_retry(struct apply *apply, int64_t now_ms);

/* Highest controller epoch seen, -1 none; version applied in it. */
int32_t apply_epoch(const struct apply *apply);
uint64_t apply_version(const struct apply *apply);

#endif
