/*
 * record - walk the records inside a batch of magic 2, and build such batches.
 *
 * Units:      an offset counts records, lengths are bytes, times are ms since 1970.
 * Ownership:  keys, values and headers point into the batch, or into the scratch buffer it was
 *             decompressed to; they live as long as that. A builder owns what it builds.
 * Threads:    one at a time.
 * Errors:     ERR_INVALID_RECORD for bytes that are not the records the header promised, besides
 *             those of common/wire/codec.
 */
#ifndef COMMON_WIRE_RECORD_H
#define COMMON_WIRE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/wire/codec.h"

/* --- reading --- */

struct record {
    int64_t offset;
    int64_t timestamp;    /* -1 none */
    int32_t offset_delta; /* as written */
    int32_t header_count;
    struct str key;     /* may be null */
    struct str value;   /* may be null: a tombstone */
    struct str headers; /* their bytes, checked: walk with record_headers() */
    struct str raw;     /* the whole record, its length prefix included */
};

struct record_header {
    struct str key;
    struct str value; /* may be null */
};

/* Stands before the next record. */
struct record_iter {
    const uint8_t *next;
    const uint8_t *end;
    int64_t base_offset;
    int64_t base_timestamp;
    int64_t append_time; /* overrides every record's, unless -1 */
    int32_t left;        /* records that the header promises from here */
};

/* Over a peeked batch of magic 2. A compressed one is decompressed into *scratch (emptied first),
 * up to limit bytes; scratch may be NULL when the caller knows that it is not. */
enum err record_iter_init(struct record_iter *iter, const uint8_t *batch, size_t size, size_t limit,
                          struct buf *scratch) MUST_USE;
/* ERR_OK: *record is the next one. ERR_NOT_FOUND: there are no more, and no bytes are left over.
 * Every byte of a record, headers included, has been checked when it is handed out. */
enum err record_next(struct record_iter *iter, struct record *record) MUST_USE;
/* Hands out the next header of *rest and cuts it off; false at the end. Start with *rest =
 * record.headers. */
bool record_header_next(struct str *rest, struct record_header *header);

/* Control records of transactions. */
enum record_control { RECORD_ABORT = 0, RECORD_COMMIT = 1, RECORD_CONTROL_OTHER = -1 };

/* The kind by its key; of commit and abort also *coordinator_epoch, which may be NULL. */
enum err record_control_read(const struct record *record, enum record_control *kind,
                             int32_t *coordinator_epoch) MUST_USE;

/* --- building --- */

struct batch_conf {
    int64_t base_offset;
    int64_t producer_id;
    int64_t append_time;    /* -1: records keep their own time (CreateTime) */
    int64_t delete_horizon; /* -1 none */
    int32_t leader_epoch;
    int32_t base_sequence;
    int16_t producer_epoch;
    bool transactional;
    bool control;
    enum codec codec;
    int level; /* of the codec; CODEC_LEVEL_DEFAULT */
};

/* No producer, CreateTime, base offset 0, leader epoch -1, uncompressed. */
#define BATCH_CONF_PLAIN                                                                           \
    ((struct batch_conf){ .producer_id = -1,                                                       \
                          .append_time = -1,                                                       \
                          .delete_horizon = -1,                                                    \
                          .leader_epoch = -1,                                                      \
                          .base_sequence = -1,                                                     \
                          .producer_epoch = -1,                                                    \
                          .level = CODEC_LEVEL_DEFAULT })

struct batch_builder {
    struct batch_conf conf;
    struct buf plain;  /* header room, then records as yet uncompressed */
    struct buf packed; /* the finished batch when a codec was at work */
    int64_t base_timestamp;
    int64_t max_timestamp;
    int32_t last_delta; /* -1 before the first */
    int32_t count;
};

void batch_builder_init(struct batch_builder *builder, const struct batch_conf *conf);
void batch_builder_fini(struct batch_builder *builder);
/* Starts another batch with the memory of the last. */
void batch_builder_reset(struct batch_builder *builder, const struct batch_conf *conf);
/* At the next offset. A key or value may be null; headers may be NULL when count is 0. */
void batch_builder_add(struct batch_builder *builder, int64_t timestamp_ms, struct str key,
                       struct str value, const struct record_header *headers, size_t count);
/* As it was read, at offset delta >= that of the last record. Keeps key, value and headers. */
void batch_builder_copy(struct batch_builder *builder, int32_t offset_delta,
                        const struct record *record);
/* Bytes of the batch so far, before compression. */
size_t batch_builder_size(const struct batch_builder *builder);
/* The batch, sealed; it is the builder's until reset or fini. last_offset_delta: -1 for that of the
 * last record; compaction keeps the batch's own. A batch without records needs one. */
enum err batch_builder_finish(struct batch_builder *builder, int32_t last_offset_delta,
                              uint8_t **batch, size_t *size) MUST_USE;

#define BATCH_MARKER_BYTES 78

/* The batch that ends a transaction, base offset 0. */
void batch_marker_write(uint8_t batch[static BATCH_MARKER_BYTES], bool commit, int64_t producer_id,
                        int16_t producer_epoch, int32_t coordinator_epoch, int64_t timestamp_ms);

#endif
