/*
 * A fetch of one byte brings the first batch whole, as Kafka has it since KIP-74. From version 11
 * on a follower answers consumers as well. A log's end beyond the high watermark is told to replica
 * -2, which is what Kafka's own debugging tools call themselves.
 */
#include "controller/cli/peek.h"

#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "gen/wire/apis.h"
#include "gen/wire/list_offsets.h"

#define CONSUMER_REPLICA (-1)
#define DEBUG_REPLICA    (-2)
#define TIMESTAMP_LATEST (-1)
#define PLAIN_BYTES_MAX  ((size_t)1 << 30) /* of one decompressed batch */

static enum err in_batch(const uint8_t *entry, size_t size, int64_t offset, struct buf *plain,
                         int64_t *found, int64_t *timestamp_ms)
{
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, plain);

    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK) {
        if (record.offset >= offset) {
            *found = record.offset;
            *timestamp_ms = record.timestamp;
            return ERR_OK;
        }
    }
    return err;
}

static enum err in_legacy(const uint8_t *entry, size_t size, int64_t offset, struct buf *plain,
                          int64_t *found, int64_t *timestamp_ms)
{
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err = legacy_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, plain);

    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK) {
        if (message.offset >= offset) {
            *found = message.offset;
            *timestamp_ms = message.timestamp;
            return ERR_OK;
        }
    }
    return err;
}

enum err peek_records(const uint8_t *bytes, size_t len, int64_t offset, int64_t *found,
                      int64_t *timestamp_ms)
{
    struct buf plain = BUF_EMPTY;
    enum err err = ERR_NOT_FOUND;
    size_t size;

    while (err == ERR_NOT_FOUND && len > 0) {
        if (batch_peek(bytes, len, &size) != ERR_OK)
            break;
        err = batch_check(bytes, size);
        if (err == ERR_OK)
            err = batch_magic(bytes) < 2
                      ? in_legacy(bytes, size, offset, &plain, found, timestamp_ms)
                      : in_batch(bytes, size, offset, &plain, found, timestamp_ms);
        bytes += size;
        len -= size;
    }
    buf_fini(&plain);
    return err;
}

enum err peek_fetch(struct link *link, int32_t broker, const struct peek_part *part, int64_t offset,
                    int32_t bytes, struct arena *arena, const struct fetch_response_partition **out)
{
    struct fetch_request request;
    struct fetch_request_topic topic;
    struct fetch_request_partition at;
    struct fetch_response response;
    enum err err;

    fetch_request_init(&request);
    fetch_request_topic_init(&topic);
    fetch_request_partition_init(&at);
    request.min_bytes = 0;
    request.max_bytes = bytes;
    request.topics = &topic;
    request.topics_len = 1;
    topic.topic = part->topic;
    topic.topic_id = part->topic_id;
    topic.partitions = &at;
    topic.partitions_len = 1;
    at.partition = part->partition;
    at.fetch_offset = offset;
    at.partition_max_bytes = bytes;
    err = link_ask(link, broker, API_FETCH, &request, &response, arena);
    if (err == ERR_OK)
        err = (enum err)response.error_code;
    if (err != ERR_OK)
        return err;
    if (response.responses_len != 1 || response.responses[0].partitions_len != 1)
        return ERR_BAD_FORMAT;
    *out = &response.responses[0].partitions[0];
    return (enum err)(*out)->error_code;
}

enum err peek_at(struct link *link, int32_t broker, const struct peek_part *part, int64_t offset,
                 struct arena *arena, struct peek *out)
{
    const struct fetch_response_partition *got;
    enum err err = peek_fetch(link, broker, part, offset, 1, arena, &got);

    *out = (struct peek){ -1, -1, -1, -1 };
    if (err != ERR_OK)
        return err;
    out->first = got->log_start_offset;
    out->high_watermark = got->high_watermark;
    if (got->records.len <= 0)
        return ERR_OK;
    err = peek_records(got->records.data, (size_t)got->records.len, offset, &out->offset,
                       &out->timestamp_ms);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err ask_offset(struct link *link, int32_t broker, const struct peek_part *part,
                           int32_t replica, int64_t time_ms, struct arena *arena, int64_t *offset)
{
    struct list_offsets_request request;
    struct list_offsets_request_topic topic;
    struct list_offsets_request_partition at;
    struct list_offsets_response response;
    enum err err;

    *offset = -1;
    list_offsets_request_init(&request);
    list_offsets_request_topic_init(&topic);
    list_offsets_request_partition_init(&at);
    request.replica_id = replica;
    request.topics = &topic;
    request.topics_len = 1;
    topic.name = part->topic;
    topic.partitions = &at;
    topic.partitions_len = 1;
    at.partition_index = part->partition;
    at.timestamp = time_ms;
    err = link_ask(link, broker, API_LIST_OFFSETS, &request, &response, arena);
    if (err != ERR_OK)
        return err;
    if (response.topics_len != 1 || response.topics[0].partitions_len != 1)
        return ERR_BAD_FORMAT;
    *offset = response.topics[0].partitions[0].offset;
    return (enum err)response.topics[0].partitions[0].error_code;
}

enum err peek_end(struct link *link, int32_t broker, const struct peek_part *part,
                  struct arena *arena, int64_t *leo)
{
    return ask_offset(link, broker, part, DEBUG_REPLICA, TIMESTAMP_LATEST, arena, leo);
}

enum err peek_time(struct link *link, int32_t broker, const struct peek_part *part, int64_t time_ms,
                   struct arena *arena, int64_t *offset)
{
    return ask_offset(link, broker, part, CONSUMER_REPLICA, time_ms, arena, offset);
}
