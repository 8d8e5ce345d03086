/*
 * The span that is read is the longest of a few with not too many records in it: a busy coordinator
 * writes millions in ten minutes, an idle one none. A commit of a transaction counts like any
 * other, whatever becomes of it: who makes it is at work.
 */
#include "controller/cli/silence.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "controller/cli/peek.h"
#include "gen/records/group_metadata.h"
#include "gen/records/offset_commit.h"

#define OFFSETS_TOPIC   "__consumer_offsets"
#define RECORDS_MAX     50000
#define FETCH_BYTES     (1 << 20)
#define PLAIN_BYTES_MAX ((size_t)1 << 30) /* of one decompressed batch */
#define TIME_LATEST     (-1)

/* ---- reading --------------------------------------------------------------------------------- */

static void note_record(struct group_view *view, const struct record *record)
{
    struct wire_in in = wire_in_of(record->key.ptr, record->key.len, NULL);
    int16_t version = wire_get_i16(&in);

    if (in.err != ERR_OK || version < 0)
        return;
    if (version <= OFFSET_COMMIT_KEY_MAX_VERSION) {
        struct offset_commit_key key;

        if (offset_commit_key_decode(&key, &in, version) != ERR_OK ||
            !str_is(key.group, view->name))
            return;
        for (int32_t i = 0; i < view->parts_len; i++)
            if (view->parts[i].partition == key.partition &&
                str_eq(view->parts[i].topic, key.topic))
                view->parts[i].committed_ms = record->timestamp;
    } else if (version == GROUP_METADATA_KEY_MAX_VERSION) {
        struct group_metadata_key key;

        if (group_metadata_key_decode(&key, &in, version) == ERR_OK &&
            str_is(key.group, view->name))
            view->settled_ms = record->timestamp;
    }
}

static enum err read_batch(const uint8_t *batch, size_t size, struct buf *plain,
                           struct group_view *view)
{
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, size, PLAIN_BYTES_MAX, plain);

    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK) {
        if (!str_is_null(record.key))
            note_record(view, &record);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err silence_read(const uint8_t *bytes, size_t len, struct group_view *view, int64_t *next)
{
    struct buf plain = BUF_EMPTY;
    enum err err = ERR_OK;
    size_t size;

    while (err == ERR_OK && len > 0 && batch_peek(bytes, len, &size) == ERR_OK) {
        err = batch_check(bytes, size);
        /* Kafka has not written older formats there for many years. */
        if (err == ERR_OK && batch_magic(bytes) == 2 && !batch_is(bytes, BATCH_CONTROL))
            err = read_batch(bytes, size, &plain, view);
        if (err == ERR_OK)
            *next = batch_last_offset(bytes) + 1;
        bytes += size;
        len -= size;
    }
    buf_fini(&plain);
    return err;
}

/* ---- judging --------------------------------------------------------------------------------- */

static bool waits(const struct group_part *part)
{
    int64_t lag;

    return part->member != NULL && offset_lag(&part->at, &lag) && lag > 0;
}

void silence_judge(struct group_view *view, int64_t now_ms, int64_t span_ms)
{
    for (int32_t i = 0; i < view->parts_len; i++) {
        struct group_part *part = &view->parts[i];
        /* Before its generation began a member could not commit. */
        int64_t last_ms =
            part->committed_ms > view->settled_ms ? part->committed_ms : view->settled_ms;

        if (!waits(part))
            continue;
        part->still_more = last_ms <= 0;
        part->still_ms = last_ms <= 0 ? span_ms : now_ms > last_ms ? now_ms - last_ms : 0;
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Where the coordinator writes about the group; false when that is not known. */
static bool find_log(struct link *link, const struct group_view *view, struct arena *arena,
                     struct peek_part *log, int32_t *leader)
{
    struct str topic = STR(OFFSETS_TOPIC);
    int32_t hash = str_java_hash(str_of(view->name));
    uint32_t magnitude = hash == INT32_MIN ? 0 : hash < 0 ? (uint32_t)-hash : (uint32_t)hash;
    struct metadata_response seen;

    if (link_metadata(link, LINK_ANY, &topic, 1, &seen, arena) != ERR_OK || seen.topics_len != 1 ||
        seen.topics[0].partitions_len <= 0)
        return false;
    *log = (struct peek_part){ .topic = topic,
                               .topic_id = seen.topics[0].topic_id,
                               .partition =
                                   (int32_t)(magnitude % (uint32_t)seen.topics[0].partitions_len) };
    *leader = -1;
    for (int32_t i = 0; i < seen.topics[0].partitions_len; i++)
        if (seen.topics[0].partitions[i].partition_index == log->partition)
            *leader = seen.topics[0].partitions[i].leader_id;
    return *leader >= 0;
}

static enum err read_log(struct link *link, int32_t leader, const struct peek_part *log,
                         int64_t next, int64_t end, struct group_view *view)
{
    const struct fetch_response_partition *got;
    enum err err = ERR_OK;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    while (err == ERR_OK && next < end) {
        int64_t before = next;

        arena_reset(&arena);
        err = peek_fetch(link, leader, log, next, FETCH_BYTES, &arena, &got);
        if (err == ERR_OK && got->records.len > 0)
            err = silence_read(got->records.data, (size_t)got->records.len, view, &next);
        if (err == ERR_OK && next == before)
            err = ERR_BAD_FORMAT;
    }
    arena_fini(&arena);
    return err;
}

static void look(struct link *link, struct group_view *view, struct arena *arena)
{
    static const int64_t spans_ms[] = { 600000, 60000, 15000 };
    int64_t now_ms = clock_wall_ms(), from, end;
    struct peek_part log;
    int32_t leader;

    if (!find_log(link, view, arena, &log, &leader) ||
        peek_time(link, leader, &log, TIME_LATEST, arena, &end) != ERR_OK)
        return;
    for (size_t i = 0; i < ARRAY_LEN(spans_ms); i++) {
        if (peek_time(link, leader, &log, now_ms - spans_ms[i], arena, &from) != ERR_OK)
            return;
        if (from < 0)
            from = end; /* nothing is that young */
        if (end - from > RECORDS_MAX)
            continue;
        if (read_log(link, leader, &log, from, end, view) == ERR_OK)
            silence_judge(view, now_ms, spans_ms[i]);
        return;
    }
}

void silence_find(struct link *link, struct group_view *view)
{
    struct arena arena;
    bool any = false;

    for (int32_t i = 0; i < view->parts_len; i++)
        any = any || waits(&view->parts[i]);
    if (!any || !str_is(view->described->group_state, "Stable"))
        return;
    arena_init(&arena, SIZE_MAX);
    look(link, view, &arena);
    arena_fini(&arena);
}
