/*
 * First the dirty part is read from its first offset up to the first that cannot be compacted, or
 * until the map is full, which may be in the middle of a batch: what lies behind that is copied as
 * it is.
 *
 * Then all closed segments below that end are walked in groups, each of which fits one segment:
 * consecutive small ones become one. A group's survivors go to a .cleaned segment, which takes the
 * group's place before the next group begins. So a compaction needs room for one segment, and one
 * that is broken off has not been in vain.
 *
 * A segment by itself that keeps every batch as it is stays: nothing is written until the first
 * batch that changes, then what came before is copied.
 */
#include "broker/log/clean/rewrite.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/clean/filter.h"
#include "broker/log/log_swap.h"
#include "broker/log/scan.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define IO_BYTES_LEAST 4096

struct rewrite {
    struct rewrite_conf conf; /* [I] */
    struct keymap *map;
    struct txns txns;
    struct filter filter;
    struct buf in;  /* a piece of a segment */
    struct buf out; /* what is to be written behind the new segment's end */

    /* Of the log at hand. */
    struct log *log;
    struct log_conf log_conf;
    struct log_closed closed;
    const struct rewrite_range *range;
    struct rewrite_stats *stats;
    struct filter_producer *producers;
    int64_t legacy_horizon_ms; /* segments written to later keep delete markers of magic 0 and 1 */
};

struct rewrite *rewrite_new(const struct rewrite_conf *conf)
{
    struct rewrite *rewrite = xcalloc(1, sizeof *rewrite);

    rewrite->conf = *conf;
    if (rewrite->conf.io_bytes < IO_BYTES_LEAST)
        rewrite->conf.io_bytes = IO_BYTES_LEAST;
    rewrite->map = keymap_new(conf->map_bytes, conf->load_factor);
    txns_init(&rewrite->txns);
    filter_init(&rewrite->filter);
    return rewrite;
}

void rewrite_free(struct rewrite **rewrite)
{
    struct rewrite *gone = *rewrite;

    *rewrite = NULL;
    if (gone == NULL)
        return;
    filter_fini(&gone->filter);
    txns_fini(&gone->txns);
    keymap_free(&gone->map);
    buf_fini(&gone->in);
    buf_fini(&gone->out);
    free(gone);
}

/* --- reading -------------------------------------------------------------------------------------
 */

typedef enum err (*batch_fn)(struct rewrite *rewrite, void *ctx, const uint8_t *batch,
                             const struct batch_info *info);

static enum err go_on(const struct rewrite *rewrite, size_t bytes)
{
    if (log_is_gone(rewrite->log) || !rewrite->conf.go_on(rewrite->conf.ctx, bytes))
        return ERR_CLOSED;
    return ERR_OK;
}

/* Hands out whole batches of the piece just read; *used is how far that went, *next the offset that
 * the next one must not be below. */
static enum err each_in_piece(struct rewrite *rewrite, batch_fn each, void *ctx, int64_t *next,
                              size_t *used, size_t *wanted)
{
    enum err err = ERR_OK;

    *used = 0;
    while (*used < rewrite->in.len) {
        const uint8_t *batch = rewrite->in.bytes + *used;
        struct batch_info info;

        err = batch_peek(batch, rewrite->in.len - *used, wanted);
        if (err != ERR_OK)
            break;
        batch_info_read(batch, &info);
        if (info.base_offset < *next || info.last_offset < info.base_offset)
            return ERR_CORRUPT_MESSAGE; /* no checksum covers these */
        err = each(rewrite, ctx, batch, &info);
        if (err != ERR_OK)
            return err;
        *next = info.last_offset + 1;
        *used += info.size;
    }
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Visits the batches of a closed segment. each() may end it with an error of its own. */
static enum err each_batch(struct rewrite *rewrite, const struct segment *segment, batch_fn each,
                           void *ctx, int64_t *bytes_read)
{
    size_t room = rewrite->conf.io_bytes;
    int64_t next = segment->base_offset;
    int64_t pos = 0;
    enum err err = ERR_OK;

    while (pos < segment->size && err == ERR_OK) {
        int64_t left = segment->size - pos;
        size_t len = left < (int64_t)room ? (size_t)left : room;
        size_t used;
        size_t wanted = 0;

        rewrite->in.len = 0;
        err = file_pread(segment->file, buf_reserve(&rewrite->in, len), len, pos, &rewrite->in.len);
        if (err == ERR_OK)
            err = go_on(rewrite, rewrite->in.len);
        if (err == ERR_OK)
            err = each_in_piece(rewrite, each, ctx, &next, &used, &wanted);
        if (err != ERR_OK)
            break;
        pos += (int64_t)used;
        *bytes_read += (int64_t)used;
        if (used > 0)
            continue;
        if (wanted <= room || (int64_t)wanted > left)
            return ERR_CORRUPT_MESSAGE; /* a batch that is cut short in a closed segment */
        room = wanted;
    }
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

/* --- the map -------------------------------------------------------------------------------------
 */

static enum err map_batch(struct rewrite *rewrite, void *ctx, const uint8_t *batch,
                          const struct batch_info *info)
{
    (void)ctx;
    return filter_map_batch(&rewrite->filter, batch, info);
}

static enum err add_aborted(struct rewrite *rewrite, int64_t from, int64_t upto)
{
    struct aborted_txn *list;
    size_t count;
    enum err err = log_aborted_between(rewrite->log, from, upto, &list, &count);

    txns_add_aborted(&rewrite->txns, list, count);
    free(list);
    return err;
}

static int64_t next_base(const struct rewrite *rewrite, size_t i)
{
    return i + 1 < rewrite->closed.count ? rewrite->closed.segments[i + 1]->base_offset
                                         : rewrite->closed.active_base;
}

static enum err map_segment(struct rewrite *rewrite, size_t i, int64_t *upto)
{
    /* No index is asked where the dirty part begins: it may lie, and that is mostly here. */
    enum err err = each_batch(rewrite, rewrite->closed.segments[i], map_batch, NULL,
                              &rewrite->stats->map_bytes_read);

    if (err == ERR_OK)
        *upto = next_base(rewrite, i); /* whatever is missing before that was compacted away */
    return err;
}

static enum err make_map(struct rewrite *rewrite)
{
    const struct rewrite_range *range = rewrite->range;
    int64_t began_us = clock_mono_us();
    int64_t upto = range->first_dirty;

    keymap_clear(rewrite->map, range->secret, range->first_dirty);
    txns_clear(&rewrite->txns);
    filter_map_begin(&rewrite->filter);
    enum err err = add_aborted(rewrite, range->first_dirty, range->first_uncleanable);

    for (size_t i = 0; i < rewrite->closed.count && err == ERR_OK; i++)
        if (next_base(rewrite, i) > range->first_dirty &&
            rewrite->closed.segments[i]->base_offset < range->first_uncleanable)
            err = map_segment(rewrite, i, &upto);
    if (err == ERR_OK)
        err = filter_map_finish(&rewrite->filter);
    if (err != ERR_EXISTS)
        rewrite->filter.map_end = upto;
    rewrite->stats->upto = rewrite->filter.map_end;
    rewrite->stats->map_keys = (int64_t)keymap_count(rewrite->map);
    rewrite->stats->map_use = keymap_use(rewrite->map);
    rewrite->stats->map_us = clock_mono_us() - began_us;
    return err == ERR_EXISTS ? ERR_OK : err;
}

/* --- groups --------------------------------------------------------------------------------------
 */

/* Where the group that begins with segment i ends, of the first so many: as much as one segment may
 * hold. */
static size_t group_end(const struct rewrite *rewrite, size_t i, size_t count)
{
    struct segment *const *segments = rewrite->closed.segments;
    int64_t bytes = segments[i]->size;
    int64_t offsets = index_bytes(&segments[i]->offsets);
    int64_t times = index_bytes(&segments[i]->times);
    size_t end = i + 1;

    for (; end < count; end++) {
        int64_t last = end + 1 < count ? segments[end + 1]->base_offset - 1
                                       : rewrite->range->first_uncleanable - 1;

        bytes += segments[end]->size;
        offsets += index_bytes(&segments[end]->offsets);
        times += index_bytes(&segments[end]->times);
        if (bytes > rewrite->log_conf.segment_bytes ||
            offsets > rewrite->log_conf.index_max_bytes ||
            times > rewrite->log_conf.index_max_bytes ||
            (segments[end]->size > 0 && last - segments[i]->base_offset > INT32_MAX))
            break;
    }
    return end;
}

static int compare_producers(const void *a, const void *b)
{
    int64_t one = ((const struct filter_producer *)a)->producer_id;
    int64_t other = ((const struct filter_producer *)b)->producer_id;

    return one < other ? -1 : one > other;
}

/* As they are now: their last batches must stay. */
static void know_producers(struct rewrite *rewrite)
{
    struct producer_entry *list;
    size_t count;

    free(rewrite->producers);
    log_producers(rewrite->log, &list, &count);
    rewrite->producers = xmalloc((count > 0 ? count : 1) * sizeof *rewrite->producers);
    for (size_t i = 0; i < count; i++)
        rewrite->producers[i] = (struct filter_producer){ list[i].producer_id, list[i].last_offset,
                                                          list[i].producer_epoch };
    free(list);
    qsort(rewrite->producers, count, sizeof *rewrite->producers, compare_producers);
    rewrite->filter.producers = rewrite->producers;
    rewrite->filter.producer_count = count;
}

/* --- writing -------------------------------------------------------------------------------------
 */

/* The new segment of a group. */
struct target {
    struct segment *segment;      /* NULL: as yet nothing differs from the source */
    const struct segment *source; /* of a group of one, else NULL */
    int64_t source_pos;           /* all before that stays as it is */
};

static enum err write_out(struct rewrite *rewrite, struct target *target)
{
    size_t len = rewrite->out.len;

    if (len == 0)
        return ERR_OK;
    enum err err = file_pwrite(target->segment->file, rewrite->out.bytes, len,
                               target->segment->size - (int64_t)len);

    rewrite->out.len = 0;
    rewrite->stats->bytes_written += (int64_t)len;
    return err == ERR_OK ? go_on(rewrite, len) : err;
}

/* Tells the indexes of the batches from byte `from` of the output on. */
static enum err note_batches(struct rewrite *rewrite, struct target *target, size_t from)
{
    struct segment *segment = target->segment;
    struct batch_info info;
    enum err err = ERR_OK;

    for (size_t at = from; at < rewrite->out.len; at += info.size) {
        batch_info_read(rewrite->out.bytes + at, &info);
        if (segment->size + (int64_t)info.size > INT32_MAX)
            return ERR_TOO_LARGE; /* delete horizons can make a batch longer */
        segment_note(segment, &info, rewrite->log_conf.index_interval_bytes);
    }
    if (index_wants_save(&segment->offsets) || index_wants_save(&segment->times)) {
        err = index_save(&segment->offsets);
        if (err == ERR_OK)
            err = index_save(&segment->times);
        if (err == ERR_OK)
            segment_saved(segment);
    }
    return err;
}

static enum err begin_target(struct rewrite *rewrite, struct target *target, int64_t base_offset);

static enum err put_batch(struct rewrite *rewrite, struct target *target, size_t from)
{
    enum err err = note_batches(rewrite, target, from);

    if (err == ERR_OK && rewrite->out.len >= rewrite->conf.io_bytes)
        err = write_out(rewrite, target);
    return err;
}

/* The source's first bytes, which stay. */
static enum err copy_head(struct rewrite *rewrite, struct target *target)
{
    struct buf piece = BUF_EMPTY;
    struct batch_info info;
    struct scan scan;
    int64_t pos;
    enum err err = ERR_OK;

    scan_init(&scan, target->source->file, 0, target->source_pos);
    while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK) {
        size_t from = rewrite->out.len;

        err = scan_batch(target->source->file, pos, info.size, &piece);
        if (err != ERR_OK)
            break;
        buf_put(&rewrite->out, piece.bytes, piece.len);
        err = put_batch(rewrite, target, from);
    }
    buf_fini(&piece);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err begin_target(struct rewrite *rewrite, struct target *target, int64_t base_offset)
{
    struct buf waiting = rewrite->out; /* what the batch at hand has come to */

    assert(target->segment == NULL);
    enum err err = log_cleaned_new(rewrite->log, base_offset, &target->segment);

    if (err != ERR_OK || target->source_pos == 0)
        return err;
    rewrite->out = BUF_EMPTY;
    err = copy_head(rewrite, target);
    if (err == ERR_OK)
        err = write_out(rewrite, target);
    buf_fini(&rewrite->out);
    rewrite->out = waiting;
    return err;
}

static bool is_unchanged(const struct rewrite *rewrite, size_t from, const uint8_t *batch,
                         const struct batch_info *info)
{
    return rewrite->out.len - from == info->size &&
           memcmp(rewrite->out.bytes + from, batch, info->size) == 0;
}

static enum err copy_batch(struct rewrite *rewrite, void *ctx, const uint8_t *batch,
                           const struct batch_info *info)
{
    struct target *target = ctx;
    struct aborted_txn aborted;
    size_t from = rewrite->out.len;
    enum err err = filter_batch(&rewrite->filter, batch, info, &rewrite->out, &aborted);

    if (err != ERR_OK)
        return err;
    if (target->segment == NULL) {
        if (is_unchanged(rewrite, from, batch, info)) {
            rewrite->out.len = 0;
            target->source_pos += (int64_t)info->size;
            return ERR_OK;
        }
        err = begin_target(rewrite, target, target->source->base_offset);
        if (err != ERR_OK)
            return err;
        from = 0;
    }
    err = put_batch(rewrite, target, from);
    if (err != ERR_OK || aborted.producer_id < 0)
        return err;
    err = segment_note_abort(target->segment, &aborted);
    target->segment->txn_count += err == ERR_OK;
    return err;
}

static enum err copy_segment(struct rewrite *rewrite, size_t i, struct target *target)
{
    const struct segment *segment = rewrite->closed.segments[i];
    int64_t mtime_ms;
    enum err err = log_closed_mtime(rewrite->log, segment, &mtime_ms);

    if (err == ERR_OK)
        err = add_aborted(rewrite, segment->base_offset, next_base(rewrite, i));
    rewrite->filter.keep_legacy_deletes = mtime_ms > rewrite->legacy_horizon_ms;
    return err != ERR_OK
               ? err
               : each_batch(rewrite, segment, copy_batch, target, &rewrite->stats->bytes_read);
}

static enum err rewrite_group(struct rewrite *rewrite, size_t begin, size_t end)
{
    struct segment *const *old = rewrite->closed.segments + begin;
    struct target target = { 0 };
    enum err err = ERR_OK;

    know_producers(rewrite);
    rewrite->out.len = 0;
    if (end - begin == 1 && old[0]->txn_count == 0)
        target.source = old[0];
    else
        err = begin_target(rewrite, &target, old[0]->base_offset);
    for (size_t i = begin; i < end && err == ERR_OK; i++)
        err = copy_segment(rewrite, i, &target);
    if (err == ERR_OK && target.segment != NULL)
        err = write_out(rewrite, &target);
    rewrite->stats->segments_in += (int64_t)(end - begin);
    rewrite->stats->segments_out++;
    if (err == ERR_OK && target.segment != NULL)
        return log_swap(rewrite->log, &target.segment, old, end - begin);
    log_cleaned_drop(rewrite->log, &target.segment);
    return err;
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static enum err find_legacy_horizon(struct rewrite *rewrite)
{
    const struct segment *last = NULL;
    int64_t mtime_ms;

    rewrite->legacy_horizon_ms = 0;
    for (size_t i = 0; i < rewrite->closed.count; i++)
        if (rewrite->closed.segments[i]->base_offset < rewrite->range->first_dirty)
            last = rewrite->closed.segments[i];
    if (last == NULL)
        return ERR_OK;
    enum err err = log_closed_mtime(rewrite->log, last, &mtime_ms);

    rewrite->legacy_horizon_ms = mtime_ms - rewrite->log_conf.delete_retention_ms;
    return err;
}

static enum err rewrite_groups(struct rewrite *rewrite)
{
    size_t count = 0;
    enum err err = find_legacy_horizon(rewrite);

    while (count < rewrite->closed.count &&
           rewrite->closed.segments[count]->base_offset < rewrite->stats->upto)
        count++;
    txns_clear(&rewrite->txns);
    for (size_t i = 0; i < count && err == ERR_OK;) {
        size_t end = group_end(rewrite, i, count);

        err = rewrite_group(rewrite, i, end);
        i = end;
    }
    return err;
}

static void finish_stats(struct rewrite *rewrite, int64_t began_us)
{
    rewrite->stats->records_read = rewrite->filter.records_in;
    rewrite->stats->records_written = rewrite->filter.records_out;
    rewrite->stats->keyless = rewrite->filter.keyless;
    rewrite->stats->total_us = clock_mono_us() - began_us;
}

enum err rewrite_log(struct rewrite *rewrite, struct log *log, const struct rewrite_range *range,
                     struct rewrite_stats *stats)
{
    static const uint8_t no_secret[16];
    int64_t began_us = clock_mono_us();
    struct filter *filter = &rewrite->filter;

    assert(range->first_dirty <= range->first_uncleanable);
    *stats = (struct rewrite_stats){ .upto = range->first_dirty };
    rewrite->log = log;
    rewrite->range = range;
    rewrite->stats = stats;
    log_get_conf(log, &rewrite->log_conf);
    log_closed_get(log, &rewrite->closed);
    filter->map = rewrite->map;
    filter->txns = &rewrite->txns;
    filter->first_dirty = range->first_dirty;
    filter->now_ms = range->now_ms;
    filter->delete_retention_ms = rewrite->log_conf.delete_retention_ms;
    filter->records_in = filter->records_out = filter->keyless = 0;
    enum err err = make_map(rewrite);

    if (err == ERR_OK)
        err = rewrite_groups(rewrite);
    if (err == ERR_OK)
        log_note_cleaned(log, &rewrite->closed, stats->upto);
    else if (!log_is_offline(log) && log_was_cut(log, &rewrite->closed))
        err = ERR_CLOSED; /* whatever we have seen there */
    finish_stats(rewrite, began_us);
    log_closed_done(&rewrite->closed);
    keymap_clear(rewrite->map, no_secret, 0);
    filter_rest(filter);
    buf_fini(&rewrite->in);
    buf_fini(&rewrite->out);
    free(rewrite->producers);
    rewrite->producers = NULL;
    return err;
}
