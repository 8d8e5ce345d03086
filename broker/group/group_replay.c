#include "broker/group/group_replay.h"

#include "broker/group/group_record.h"
#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"

#define PLAIN_BYTES_MAX ((size_t)256 << 20) /* a compressed batch becomes no larger than this */

struct source {
    bool transactional;
    int64_t producer_id;
};

void group_replay_init(struct group_replay *replay, const struct group_conf *conf, int64_t wall_ms)
{
    *replay = (struct group_replay){ .conf = conf, .wall_ms = wall_ms, .scratch = BUF_EMPTY };
    group_table_init(&replay->table);
}

void group_replay_fini(struct group_replay *replay)
{
    group_table_fini(&replay->table);
    buf_fini(&replay->scratch);
}

static struct group_slot *find_slot(struct group_replay *replay, struct str id)
{
    if (replay->last == NULL || !str_eq(group_id(replay->last->group), id))
        replay->last = group_table_find(&replay->table, id);
    return replay->last;
}

static struct group_slot *need_slot(struct group_replay *replay, struct str id)
{
    if (find_slot(replay, id) == NULL) {
        struct group *group = group_new(replay->conf, id, replay->wall_ms);

        replay->last = group_table_add(&replay->table, &group);
    }
    return replay->last;
}

/* ---- records ---- */

static void forget_offset(struct group_replay *replay, const struct group_key *key,
                          const struct source *source)
{
    struct group_slot *slot = find_slot(replay, key->group);

    if (slot == NULL)
        return;
    if (source->transactional)
        offsets_txn_drop(slot->group, source->producer_id, key->topic, key->partition);
    else
        offsets_drop(slot->group, key->topic, key->partition);
}

static enum err take_offset(struct group_replay *replay, const struct group_key *key,
                            struct str value, int64_t at, const struct source *source)
{
    struct offset_value offset;
    enum err err = group_record_read_offset(value, &offset);

    if (err != ERR_OK)
        return err;
    struct group_slot *slot = need_slot(replay, key->group);
    if (source->transactional) {
        offsets_txn_put(slot->group, source->producer_id, key->topic, key->partition, &offset, at);
        group_table_open_txn(&replay->table, source->producer_id, slot);
    } else {
        offsets_put(slot->group, key->topic, key->partition, &offset, at);
    }
    return ERR_OK;
}

static enum err take_group(struct group_replay *replay, const struct group_key *key,
                           struct str value)
{
    struct group_metadata_value metadata;
    struct arena arena;
    int16_t version;

    if (str_is_null(value)) {
        struct group_slot *slot = find_slot(replay, key->group);

        if (slot != NULL) {
            group_unrestore(slot->group);
            slot->has_record = false;
        }
        return ERR_OK;
    }
    arena_init(&arena, SIZE_MAX);
    enum err err = group_record_read_group(value, &arena, &metadata, &version);
    if (err == ERR_OK) {
        struct group_slot *slot = need_slot(replay, key->group);

        group_unrestore(slot->group);
        group_restore(slot->group, &metadata, version);
        slot->has_record = true;
    }
    arena_fini(&arena);
    return err;
}

static void take_record(struct group_replay *replay, struct str key_bytes, struct str value,
                        int64_t at, const struct source *source)
{
    struct group_key key;
    enum err err = str_is_null(key_bytes) ? ERR_BAD_FORMAT : group_record_read_key(key_bytes, &key);

    replay->records++;
    if (err == ERR_OK) {
        switch (key.kind) {
        case GROUP_KEY_OFFSET:
            if (str_is_null(value))
                forget_offset(replay, &key, source);
            else
                err = take_offset(replay, &key, value, at, source);
            break;
        case GROUP_KEY_GROUP:
            err = take_group(replay, &key, value);
            break;
        case GROUP_KEY_OTHER:
            err = ERR_UNSUPPORTED_VERSION;
            break;
        }
    }
    replay->skipped += err != ERR_OK;
}

/* ---- batches ---- */

static enum err take_marker(struct group_replay *replay, struct record_iter *iter,
                            int64_t producer_id)
{
    enum record_control kind;
    struct record record;

    if (record_next(iter, &record) != ERR_OK)
        return ERR_OK; /* compaction has emptied it */
    enum err err = record_control_read(&record, &kind, NULL);
    if (err == ERR_OK && kind != RECORD_CONTROL_OTHER) {
        group_table_end_txn(&replay->table, producer_id, kind == RECORD_COMMIT);
    }
    return err;
}

static enum err take_batch(struct group_replay *replay, const uint8_t *batch, size_t size)
{
    struct source source = { .transactional = batch_is(batch, BATCH_TRANSACTIONAL),
                             .producer_id = batch_producer_id(batch) };
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, size, PLAIN_BYTES_MAX, &replay->scratch);

    if (err != ERR_OK)
        return err;
    if (batch_is(batch, BATCH_CONTROL))
        return take_marker(replay, &iter, source.producer_id);
    while ((err = record_next(&iter, &record)) == ERR_OK)
        take_record(replay, record.key, record.value, record.offset, &source);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Magic 0 and 1: what a cluster that was once old may still hold, for compaction keeps formats. */
static enum err take_legacy(struct group_replay *replay, const uint8_t *entry, size_t size)
{
    const struct source source = { .producer_id = -1 };
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err = legacy_iter_init(&iter, entry, size, PLAIN_BYTES_MAX, &replay->scratch);

    if (err != ERR_OK)
        return err;
    while ((err = legacy_next(&iter, &message)) == ERR_OK)
        take_record(replay, message.key, message.value, message.offset, &source);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err group_replay_bytes(struct group_replay *replay, const uint8_t *bytes, size_t len,
                            size_t *used)
{
    enum err err;
    size_t size;

    *used = 0;
    while ((err = batch_peek(bytes + *used, len - *used, &size)) == ERR_OK) {
        const uint8_t *batch = bytes + *used;
        int64_t last = batch_last_offset(batch);

        if (last >= replay->next_offset) {
            err = batch_magic(batch) == 2 ? take_batch(replay, batch, size)
                                          : take_legacy(replay, batch, size);
            if (err != ERR_OK)
                return ERR_CORRUPT_MESSAGE;
            replay->next_offset = last + 1;
        }
        *used += size;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void group_replay_end(struct group_replay *replay, int64_t now_ms, struct group_table *table,
                      size_t *offsets)
{
    struct group_event ev = { .kind = GROUP_EV_LOADED, .wall_ms = replay->wall_ms };
    struct group_cursor cursor = { 0 };
    struct group_slot *slot;

    *offsets = 0;
    while ((slot = group_table_next(&replay->table, &cursor)) != NULL) {
        struct group_effects effects;

        if (!slot->has_record && offsets_is_bare(slot->group)) {
            group_table_remove(&replay->table, slot); /* all of it is gone */
            continue;
        }
        *offsets += offsets_count(slot->group);
        group_effects_init(&effects);
        group_step(slot->group, &ev, now_ms, &effects);
        group_effects_fini(&effects);
        group_table_woken(&replay->table, slot);
    }
    replay->last = NULL;
    *table = replay->table;
    group_table_init(&replay->table);
}
