/*
 * peek - one look into one replica's log: its ends, and when a record was written.
 *
 * Units:      offsets count records; times in ms since 1970. -1: not known.
 * Threads:    one; calls wait, up to cli->deadline_ms.
 * Errors:     those of link_ask() and what the broker answers.
 */
#ifndef CONTROLLER_CLI_PEEK_H
#define CONTROLLER_CLI_PEEK_H

#include "common/base/uuid.h"
#include "controller/cli/link.h"
#include "gen/wire/fetch.h"

struct peek_part {
    struct str topic;
    struct uuid topic_id;
    int32_t partition;
};

struct peek {
    int64_t first;          /* the log's start */
    int64_t high_watermark; /* as this replica knows it */
    int64_t offset;         /* of the first record at or after the one asked for; -1 none */
    int64_t timestamp_ms;   /* its */
};

/* Batches from an offset on, about so many bytes of them, as the broker answers. */
enum err peek_fetch(struct link *link, int32_t broker, const struct peek_part *part, int64_t offset,
                    int32_t bytes, struct arena *arena,
                    const struct fetch_response_partition **out) MUST_USE;
/* Reads at an offset, of a leader or a follower. Bytes read along the way go into arena. */
enum err peek_at(struct link *link, int32_t broker, const struct peek_part *part, int64_t offset,
                 struct arena *arena, struct peek *out) MUST_USE;
/* The log's end at a replica, whether it leads or not. */
enum err peek_end(struct link *link, int32_t broker, const struct peek_part *part,
                  struct arena *arena, int64_t *leo) MUST_USE;

/* The first record of a time or later, -1: there is none; of time -1 the log's end, for consumers.
 */
enum err peek_time(struct link *link, int32_t broker, const struct peek_part *part, int64_t time_ms,
                   struct arena *arena, int64_t *offset) MUST_USE;

/* The first record at or after an offset among fetched entries, of any magic, the last of which may
 * be cut short. ERR_NOT_FOUND: there is none. */
enum err peek_records(const uint8_t *bytes, size_t len, int64_t offset, int64_t *found,
                      int64_t *timestamp_ms) MUST_USE;

#endif
