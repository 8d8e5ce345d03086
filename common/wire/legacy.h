/*
 * legacy - message sets of magic 0 and 1: walk what is inside, convert from and to magic 2.
 *
 * Old producers (Produce v0-2) send them, old consumers (Fetch v0-3) want them, and segments
 * written by old brokers still hold them.
 *
 * Units:      an offset counts records, lengths are bytes, times are ms since 1970.
 * Ownership:  messages point into the entry or the scratch buffer.
 * Threads:    one at a time.
 * Errors:     ERR_CORRUPT_MESSAGE, ERR_INVALID_RECORD, and those of common/wire/codec.
 */
#ifndef COMMON_WIRE_LEGACY_H
#define COMMON_WIRE_LEGACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/wire/codec.h"

struct legacy_message {
    int64_t offset;    /* absolute */
    int64_t timestamp; /* -1 none, always so in magic 0 */
    struct str key;    /* may be null */
    struct str value;  /* may be null */
    bool nested;       /* says that it is compressed, inside a compressed one */
};

/* Stands before the next message of one entry. */
struct legacy_iter {
    const uint8_t *next;
    const uint8_t *end;
    int64_t shift;       /* added to the offsets as written */
    int64_t append_time; /* overrides every message's, unless -1 */
    int8_t magic;
    bool deep; /* inside a compressed entry: each message has a checksum of its own to check */
};

/* Over a peeked and checked entry; a compressed one is decompressed into *scratch, up to limit. */
enum err legacy_iter_init(struct legacy_iter *iter, const uint8_t *entry, size_t size, size_t limit,
                          struct buf *scratch) MUST_USE;
/* ERR_NOT_FOUND at the end. */
enum err legacy_next(struct legacy_iter *iter, struct legacy_message *message) MUST_USE;

/* Appends one plain message to *out. append_time: the timestamp is the leader's (magic 1). */
void legacy_put(struct buf *out, int magic, int64_t offset, int64_t timestamp_ms, bool append_time,
                struct str key, struct str value);

/* Appends one entry that holds these messages compressed. last_offset and timestamp_ms: of the last
 * and of the newest; offsets inside count from 0 in magic 1. */
enum err legacy_wrap(struct buf *out, int magic, enum codec codec, int64_t last_offset,
                     int64_t timestamp_ms, bool append_time, const struct buf *messages) MUST_USE;

/* Converts whole entries of any magic for an old fetch that understands magic 0 or 1, appending
 * to *out: headers, producers and control batches go, compression stays. Entries of that magic or
 * lower are copied as they are. Messages below first_offset are left out of converted ones.
 * A zstd batch ends it, and is ERR_UNSUPPORTED_COMPRESSION_TYPE when nothing stands before it: what
 * does is read first, then the client asks from there and hears of it. A cut tail is dropped. */
enum err legacy_down(const uint8_t *bytes, size_t len, int to_magic, int64_t first_offset,
                     size_t limit, struct buf *out) MUST_USE;

#endif
