/*
 * Most batches of a log that is worth compacting lose all their records. The map knows which
 * offsets are the newest of a key, so such a batch is let go by its header alone. Every batch whose
 * records are read had its checksum checked when the map was made or is checked here: what is
 * damaged must not get a fresh checksum.
 */
#include "broker/log/clean/filter.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/legacy.h"

#define PLAIN_BYTES_MAX ((size_t)1 << 30) /* of one batch */

void filter_init(struct filter *filter)
{
    *filter = (struct filter){ .scratch = BUF_EMPTY, .inner = BUF_EMPTY };
    batch_builder_init(&filter->builder, &BATCH_CONF_PLAIN);
}

void filter_fini(struct filter *filter)
{
    buf_fini(&filter->scratch);
    buf_fini(&filter->inner);
    batch_builder_fini(&filter->builder);
    free(filter->kept);
    free(filter->hashes);
}

void filter_rest(struct filter *filter)
{
    buf_fini(&filter->scratch);
    buf_fini(&filter->inner);
    batch_builder_fini(&filter->builder);
    batch_builder_init(&filter->builder, &BATCH_CONF_PLAIN);
    free(filter->kept);
    filter->kept = NULL;
    filter->kept_count = filter->kept_cap = 0;
    free(filter->hashes);
    filter->hashes = NULL;
    filter->hash_cap = 0;
}

/* --- one record ----------------------------------------------------------------------------------
 */

/* The map has to be asked by the key of this one: its offset does not tell. */
static bool needs_hash(const struct filter *filter, int64_t offset)
{
    return offset < filter->first_dirty || !keymap_knows_newest(filter->map);
}

/* hash: of its key, NULL where it is not needed. */
static bool stays(struct filter *filter, int64_t offset, struct str key, bool has_value,
                  bool keep_deletes, const struct keymap_hash *hash)
{
    if (offset >= filter->map_end)
        return true;
    if (str_is_null(key)) {
        filter->keyless++;
        return false;
    }
    if (!has_value && !keep_deletes)
        return false;
    if (!needs_hash(filter, offset))
        return keymap_has_newest(filter->map, offset, offset);
    assert(hash != NULL);
    return offset >= keymap_get_hash(filter->map, *hash);
}

static int compare_ids(const void *key, const void *element)
{
    int64_t id = *(const int64_t *)key;
    int64_t other = ((const struct filter_producer *)element)->producer_id;

    return id < other ? -1 : id > other;
}

/* Does a producer's next sequence number hang on this batch? */
static bool is_last_of_producer(const struct filter *filter, const struct batch_info *info)
{
    if (info->producer_id < 0 || filter->producer_count == 0)
        return false;
    const struct filter_producer *known =
        bsearch(&info->producer_id, filter->producers, filter->producer_count,
                sizeof *filter->producers, compare_ids);

    if (known == NULL)
        return false;
    return known->last_offset >= 0 ? info->last_offset == known->last_offset
                                   : info->control && info->producer_epoch == known->epoch;
}

/* --- magic 0 and 1 -------------------------------------------------------------------------------
 */

/* What stays of a compressed entry is wrapped again, offsets of magic 1 counting from its first. */
static enum err wrap_legacy(struct filter *filter, const uint8_t *batch,
                            const struct batch_info *info, struct buf *out)
{
    struct legacy_iter iter;
    struct legacy_message message;
    int64_t base = -1;
    int64_t last = -1;
    int64_t newest_ms = -1;
    size_t i = 0;
    enum err err = legacy_iter_init(&iter, batch, info->size, PLAIN_BYTES_MAX, &filter->scratch);

    filter->inner.len = 0;
    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK) {
        if (i == filter->kept_count || filter->kept[i].offset != message.offset)
            continue;
        i++;
        base = base < 0 ? message.offset : base;
        last = message.offset;
        newest_ms = message.timestamp > newest_ms ? message.timestamp : newest_ms;
        legacy_put(info->codec == CODEC_NONE ? out : &filter->inner, info->magic,
                   info->magic == 1 && info->codec != CODEC_NONE ? message.offset - base
                                                                 : message.offset,
                   message.timestamp, info->append_time, message.key, message.value);
    }
    if (err != ERR_NOT_FOUND)
        return err;
    return info->codec == CODEC_NONE ? ERR_OK
                                     : legacy_wrap(out, info->magic, (enum codec)info->codec, last,
                                                   newest_ms, info->append_time, &filter->inner);
}

static void keep(struct filter *filter, const struct record *record)
{
    array_reserve(&filter->kept, &filter->kept_cap, filter->kept_count, sizeof *filter->kept);
    filter->kept[filter->kept_count++] = *record;
}

static enum err filter_legacy(struct filter *filter, const uint8_t *batch,
                              const struct batch_info *info, struct buf *out)
{
    struct legacy_iter iter;
    struct legacy_message message;
    size_t count = 0;
    enum err err = batch_check(batch, info->size);

    filter->kept_count = 0;
    if (err == ERR_OK)
        err = legacy_iter_init(&iter, batch, info->size, PLAIN_BYTES_MAX, &filter->scratch);
    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK) {
        struct keymap_hash hash = keymap_hash(filter->map, message.key);

        count++;
        if (stays(filter, message.offset, message.key, !str_is_null(message.value),
                  filter->keep_legacy_deletes, &hash))
            keep(filter, &(struct record){ .offset = message.offset });
    }
    if (err != ERR_NOT_FOUND)
        return err;
    filter->records_in += (int64_t)count;
    filter->records_out += (int64_t)filter->kept_count;
    if (filter->kept_count == count)
        buf_put(out, batch, info->size);
    else if (filter->kept_count > 0)
        return wrap_legacy(filter, batch, info, out);
    return ERR_OK;
}

/* --- magic 2 -------------------------------------------------------------------------------------
 */

static struct batch_conf conf_like(const struct batch_info *info, int64_t delete_horizon)
{
    return (struct batch_conf){
        .base_offset = info->base_offset,
        .producer_id = info->producer_id,
        .append_time = info->append_time ? info->max_timestamp : -1,
        .delete_horizon = delete_horizon,
        .leader_epoch = info->leader_epoch,
        .base_sequence = info->base_sequence,
        .producer_epoch = info->producer_epoch,
        .transactional = info->transactional,
        .control = info->control,
        .codec = (enum codec)info->codec,
        .level = CODEC_LEVEL_DEFAULT,
    };
}

static enum err finish(struct filter *filter, const struct batch_info *info, struct buf *out)
{
    uint8_t *bytes;
    size_t size;
    enum err err = batch_builder_finish(
        &filter->builder, (int32_t)(info->last_offset - info->base_offset), &bytes, &size);

    if (err == ERR_OK)
        buf_put(out, bytes, size);
    return err;
}

static enum err put_empty(struct filter *filter, const struct batch_info *info, struct buf *out)
{
    struct batch_conf conf = conf_like(info, -1);
    size_t at = out->len;

    conf.codec = CODEC_NONE;
    batch_builder_reset(&filter->builder, &conf);
    enum err err = finish(filter, info, out);

    if (err == ERR_OK)
        batch_set_max_timestamp(out->bytes + at, out->len - at, info->append_time,
                                info->max_timestamp);
    return err;
}

static enum err put_kept(struct filter *filter, const struct batch_info *info, int64_t horizon,
                         struct buf *out)
{
    struct batch_conf conf = conf_like(info, horizon);

    batch_builder_reset(&filter->builder, &conf);
    for (size_t i = 0; i < filter->kept_count; i++)
        batch_builder_copy(&filter->builder, filter->kept[i].offset_delta, &filter->kept[i]);
    return finish(filter, info, out);
}

/* All records of the batch into filter->kept, and their places in the map on the way to the cache.
 */
static enum err read_records(struct filter *filter, const uint8_t *batch,
                             const struct batch_info *info)
{
    struct record_iter iter;
    struct record record;
    bool by_hash = !info->control && needs_hash(filter, info->base_offset);
    enum err err = batch_check(batch, info->size);

    filter->kept_count = 0;
    if (err == ERR_OK)
        err = record_iter_init(&iter, batch, info->size, PLAIN_BYTES_MAX, &filter->scratch);
    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK) {
        if (by_hash && !str_is_null(record.key)) {
            array_reserve(&filter->hashes, &filter->hash_cap, filter->kept_count,
                          sizeof *filter->hashes);
            filter->hashes[filter->kept_count] = keymap_hash(filter->map, record.key);
        }
        keep(filter, &record);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Collects what stays of the records. *deletes: there are delete markers among it. */
static enum err select_records(struct filter *filter, const uint8_t *batch,
                               const struct batch_info *info, bool *deletes)
{
    bool expired = info->delete_horizon && filter->now_ms >= info->base_timestamp;
    enum err err = read_records(filter, batch, info);
    size_t kept = 0;

    *deletes = false;
    for (size_t i = 0; i < filter->kept_count && err == ERR_OK; i++) {
        const struct record *record = &filter->kept[i];
        const struct keymap_hash *hash = filter->hashes != NULL ? &filter->hashes[i] : NULL;
        bool has_value = !str_is_null(record->value);

        if (!info->control &&
            !stays(filter, record->offset, record->key, has_value, !expired, hash))
            continue;
        *deletes |= !has_value;
        filter->kept[kept++] = *record;
    }
    filter->kept_count = kept;
    return err;
}

/* No record of it can stay; its header says so. */
static bool is_all_old(const struct filter *filter, const struct batch_info *info)
{
    return !info->control && info->base_offset >= filter->first_dirty &&
           info->last_offset < filter->map_end && keymap_knows_newest(filter->map) &&
           !keymap_has_newest(filter->map, info->base_offset, info->last_offset);
}

enum err filter_batch(struct filter *filter, const uint8_t *batch, const struct batch_info *info,
                      struct buf *out, struct aborted_txn *aborted)
{
    bool marks_nothing = false;
    bool discard;
    bool deletes;

    aborted->producer_id = -1;
    if (info->control) {
        marks_nothing = txns_on_control(filter->txns, batch, info, aborted);
        discard = marks_nothing && info->delete_horizon && info->base_timestamp <= filter->now_ms;
    } else {
        discard = txns_on_data(filter->txns, info);
    }
    if (info->magic < 2)
        return filter_legacy(filter, batch, info, out);
    filter->records_in += info->count;
    if (discard || is_all_old(filter, info))
        return is_last_of_producer(filter, info) ? put_empty(filter, info, out) : ERR_OK;
    enum err err = select_records(filter, batch, info, &deletes);

    if (err != ERR_OK)
        return err;
    filter->records_out += (int64_t)filter->kept_count;
    if (filter->kept_count == 0)
        return is_last_of_producer(filter, info) ? put_empty(filter, info, out) : ERR_OK;
    bool new_horizon = (deletes || marks_nothing) && !info->delete_horizon;

    if ((int64_t)filter->kept_count == info->count && !new_horizon) {
        buf_put(out, batch, info->size);
        return ERR_OK;
    }
    int64_t horizon = new_horizon            ? filter->now_ms + filter->delete_retention_ms
                      : info->delete_horizon ? info->base_timestamp
                                             : -1;

    return put_kept(filter, info, horizon, out);
}

/* --- making the map ------------------------------------------------------------------------------
 */

void filter_map_begin(struct filter *filter)
{
    filter->pending_count = 0;
    filter->map_next = filter->first_dirty;
}

static enum err put_oldest(struct filter *filter)
{
    size_t at = (filter->pending_next + FILTER_PENDING - filter->pending_count) % FILTER_PENDING;
    const struct filter_pending *oldest = &filter->pending[at];

    if (!keymap_put_hash(filter->map, oldest->hash, oldest->offset)) {
        filter->map_end = oldest->offset;
        return ERR_EXISTS;
    }
    filter->pending_count--;
    return ERR_OK;
}

enum err filter_map_finish(struct filter *filter)
{
    enum err err = ERR_OK;

    while (filter->pending_count > 0 && err == ERR_OK)
        err = put_oldest(filter);
    return err;
}

/* A key waits in the ring while its place in the map comes into the cache. */
static enum err map_one(struct filter *filter, int64_t offset, struct str key)
{
    if (offset < filter->first_dirty)
        return ERR_OK;
    if (offset < filter->map_next)
        return ERR_INVALID_RECORD; /* offsets do not increase */
    filter->map_next = offset + 1;
    if (str_is_null(key))
        return ERR_OK;
    enum err err = filter->pending_count == FILTER_PENDING ? put_oldest(filter) : ERR_OK;

    filter->pending[filter->pending_next] =
        (struct filter_pending){ keymap_hash(filter->map, key), offset };
    filter->pending_next = (filter->pending_next + 1) % FILTER_PENDING;
    filter->pending_count++;
    return err;
}

static enum err map_legacy(struct filter *filter, const uint8_t *batch,
                           const struct batch_info *info)
{
    struct legacy_iter iter;
    struct legacy_message message;
    enum err err = legacy_iter_init(&iter, batch, info->size, PLAIN_BYTES_MAX, &filter->scratch);

    while (err == ERR_OK && (err = legacy_next(&iter, &message)) == ERR_OK)
        if ((err = map_one(filter, message.offset, message.key)) != ERR_OK)
            break;
    return err;
}

static enum err map_records(struct filter *filter, const uint8_t *batch,
                            const struct batch_info *info)
{
    struct record_iter iter;
    struct record record;
    enum err err = record_iter_init(&iter, batch, info->size, PLAIN_BYTES_MAX, &filter->scratch);

    while (err == ERR_OK && (err = record_next(&iter, &record)) == ERR_OK)
        if ((err = map_one(filter, record.offset, record.key)) != ERR_OK)
            break;
    return err;
}

enum err filter_map_batch(struct filter *filter, const uint8_t *batch,
                          const struct batch_info *info)
{
    struct aborted_txn unused;
    enum err err = ERR_NOT_FOUND;

    if (info->last_offset < filter->first_dirty)
        return ERR_OK;
    if (info->control)
        txns_on_control(filter->txns, batch, info, &unused);
    else if (!txns_on_data(filter->txns, info)) {
        err = batch_check(batch, info->size);
        if (err == ERR_OK)
            err = info->magic < 2 ? map_legacy(filter, batch, info)
                                  : map_records(filter, batch, info);
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
