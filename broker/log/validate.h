/*
 * validate - what a leader checks and rewrites in a produced batch before it appends it.
 *
 * validate_batches() does the work, outside any lock: the checks in Kafka's order, and where the
 * topic wants another codec, format or clock, a batch built anew. validate_stamp() does under the
 * append lock what only the append knows: offsets, leader epoch, append time.
 *
 * Units:      an offset counts records, sizes are bytes, times are ms since 1970.
 * Ownership:  the result points into the request's bytes when they can be appended in place (which
 *             stamping then writes to), else into the arena; messages are the arena's or literals.
 * Threads:    any; no state.
 * Errors:     Kafka's codes. A failed validation fills error_message and record_errors.
 *             ERR_NOT_READY: nothing was done, for it would take longer than the caller has time.
 */
#ifndef BROKER_LOG_VALIDATE_H
#define BROKER_LOG_VALIDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/err.h"
#include "common/base/str.h"
#include "common/wire/batch.h"
#include "common/wire/codec.h"

#define VALIDATE_KEEP_CODEC (-1)
#define VALIDATE_NO_VERSION (-1)

/* Of one answer. Kafka lists every record that is bad, which is no bound: a batch of a few KB can
 * have tens of millions of them. A client fails the whole batch whatever is listed, and whoever
 * looks for what is wrong with his records has seen it in far fewer than these. */
#define VALIDATE_RECORD_ERRORS_MAX 512

struct validate_conf {
    int32_t max_message_bytes;
    int compression;        /* an enum codec, or VALIDATE_KEEP_CODEC ("producer") */
    int gzip_level;         /* -1 default */
    int lz4_level;          /* 9 default */
    int zstd_level;         /* 3 default */
    int64_t before_max_ms;  /* message.timestamp.before.max.ms */
    int64_t after_max_ms;   /* message.timestamp.after.max.ms */
    size_t plain_bytes_max; /* a compressed batch that would become larger than this is refused */
    size_t unpack_max;      /* ERR_NOT_READY where it becomes larger than this; 0: no such bound */
    size_t errors_max;      /* bad records beyond these are counted only */
    bool append_time;       /* message.timestamp.type is LogAppendTime */
    bool compacted;         /* cleanup.policy includes compact: keys are required */
    bool ours;              /* written by this broker (coordinators, markers), not a client */
};

/* Kafka's defaults. */
#define VALIDATE_CONF_DEFAULT                                                                      \
    ((struct validate_conf){ .max_message_bytes = 1048588,                                         \
                             .compression = VALIDATE_KEEP_CODEC,                                   \
                             .gzip_level = -1,                                                     \
                             .lz4_level = 9,                                                       \
                             .zstd_level = 3,                                                      \
                             .before_max_ms = INT64_MAX,                                           \
                             .after_max_ms = 3600000,                                              \
                             .plain_bytes_max = 256u << 20,                                        \
                             .errors_max = VALIDATE_RECORD_ERRORS_MAX })

struct validate_record_error {
    int32_t batch_index; /* which record of the batch */
    struct str message;
};

struct validated {
    uint8_t *bytes; /* one batch of magic 2, or NULL when there was nothing to append */
    size_t len;
    bool is_bad_request;    /* refused before anything of the topic was looked at */
    bool in_place;          /* bytes are the request's own */
    bool append_time;       /* validate_stamp() puts its now into the batch */
    struct batch_info info; /* of bytes; offsets count from 0 until stamped */
    size_t unpacked;        /* bytes, at least what was decompressed; also when that failed */
    struct str error_message;
    struct validate_record_error *record_errors;
    size_t record_error_count; /* at most errors_max */
};

/* One partition's records of a produce request of this version; VALIDATE_NO_VERSION for a batch of
 * this broker's own. An entry cut short at the end is ignored, as Kafka does. */
enum err validate_batches(uint8_t *bytes, size_t len, int16_t version,
                          const struct validate_conf *conf, int64_t now_ms, struct arena *arena,
                          struct validated *out) MUST_USE;

/* Writes offsets, epoch and, where the topic wants it, the time into the batch; info follows. */
void validate_stamp(struct validated *validated, int64_t base_offset, int32_t leader_epoch,
                    int64_t now_ms);

#endif
