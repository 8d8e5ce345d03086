/*
 * A partition's log on its way to another directory: the copy (future log) is filled from the
 * current one as a follower is from its leader, by whole batches and by epochs. Before each chunk
 * the epochs of both are compared, so that a copy that was ahead of a truncation, in this process
 * or in one before it, is cut where the histories part (Kafka: ReplicaAlterLogDirsThread); a chunk
 * is only appended when the log was not cut since.
 *
 * The last records are copied under the append lock, when little is left: then nobody can append,
 * the copy is whole, and takes the log's place. Who still holds the former log goes on reading its
 * open files.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/replica/fetch_core.h"
#include "broker/replica/part_int.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define NEAR_BYTES (256 * 1024) /* so much is copied while nobody can append */
#define ROUNDS_MAX 64           /* segments may end in between */

/* ---- the copy ---- */

struct log *part_get_future_ref(struct part *part)
{
    lock_take(&part->state);
    struct log *log = part->future != NULL ? log_ref(part->future) : NULL;

    lock_drop(&part->state);
    return log;
}

void part_set_future(struct part *part, struct log **future)
{
    struct log_conf conf;

    log_get_conf(part_log(part), &conf);
    log_set_conf(*future, &conf);
    lock_take(&part->state);
    assert(part->future == NULL);
    part->future = *future;
    lock_drop(&part->state);
    *future = NULL;
}

struct log *part_take_future(struct part *part)
{
    lock_take(&part->state);
    struct log *future = part->future;

    part->future = NULL;
    lock_drop(&part->state);
    part_look_at_low_watermark(part); /* a DeleteRecords may have waited for the copy */
    return future;
}

bool part_future_is_offline(struct part *part)
{
    struct log *future = part_get_future_ref(part);
    bool offline = future != NULL && log_is_offline(future);

    log_unref(&future);
    return offline;
}

bool part_future_is_in(struct part *part, const char *dir)
{
    struct log *future = part_get_future_ref(part);
    bool same = future != NULL && strcmp(log_parent_dir(future), dir) == 0;

    log_unref(&future);
    return same;
}

/* ---- copying ---- */

/* Cuts the copy where it is seen not to be a beginning of the log. */
static enum err cut_once(struct log *from, struct log *to)
{
    int32_t epoch = log_latest_epoch(to);
    int64_t start = log_start_offset(from), end = log_leo(from), at = log_leo(to);

    if (at < start)
        return log_truncate_fully_and_start_at(to, start);
    if (epoch >= 0 && at > log_start_offset(to)) {
        struct epoch_end theirs = log_epoch_end(from, epoch);

        if (theirs.epoch < 0)
            return log_truncate_fully_and_start_at(to, start);
        if (theirs.epoch < epoch || theirs.end_offset < at) {
            struct epoch_end own = log_epoch_end(to, theirs.epoch);

            return log_truncate_to(to, fetch_truncation_point(theirs.epoch, theirs.end_offset,
                                                              own.epoch, own.end_offset, at));
        }
    }
    return at > end ? log_truncate_to(to, end) : ERR_OK;
}

/* After a cut the copy ends in another epoch, which may be as unknown to the log as the one before:
 * it is asked for again until nothing is cut (KIP-279). Each round takes records or an epoch. */
static enum err agree(struct log *from, struct log *to)
{
    for (;;) {
        int64_t at = log_leo(to);
        int32_t epoch = log_latest_epoch(to);
        enum err err = cut_once(from, to);

        if (err != ERR_OK || (log_leo(to) == at && log_latest_epoch(to) == epoch))
            return err;
    }
}

static enum err append(struct log *to, const struct log_range *range, struct part_copy *copy)
{
    struct log_appended appended;
    size_t got;

    copy->buffer->len = 0;
    uint8_t *bytes = buf_reserve(copy->buffer, range->len);
    enum err err = log_range_read(range, 0, bytes, range->len, &got);

    if (err == ERR_CLOSED)
        return ERR_OK; /* cut or deleted meanwhile: the next round sees */
    if (err != ERR_OK)
        return err;
    /* A start inside a batch: the copy begins with the whole batch, as a follower does. */
    if (range->base_offset < log_leo(to) && log_leo(to) == log_start_offset(to))
        err = log_truncate_fully_and_start_at(to, range->base_offset);
    if (err == ERR_OK)
        err = log_append_follower(to, bytes, got, copy->wall_ms, &appended);
    if (err == ERR_OK)
        copy->copied += got;
    return err;
}

/* One range; copied stays when there is nothing to copy. Without the append lock the log may be cut
 * after they have agreed, and go on with other records at the same offsets: what was looked up then
 * is dropped, and the next round agrees anew. */
static enum err copy_some(struct log *from, struct log *to, struct part_copy *copy)
{
    uint32_t truncations = log_truncations(from);
    struct log_range range;
    enum err err = agree(from, to);

    if (err == ERR_OK)
        err = log_read(from, log_leo(to), log_leo(from), copy->max_bytes, true, &range);
    if (err == ERR_OFFSET_OUT_OF_RANGE)
        return ERR_OK; /* the log has changed since we agreed */
    if (err != ERR_OK)
        return err;
    if (range.len > 0) {
        if (range.truncations == truncations)
            err = append(to, &range, copy);
        log_range_done(&range);
    }
    if (err == ERR_OK) {
        int64_t start = log_start_offset(from), end = log_leo(to);

        log_advance_start(to, start < end ? start : end);
    }
    return err;
}

enum err part_copy(struct part *part, struct part_copy *copy)
{
    struct log *from = part_log(part);
    struct log *to = part->future; /* ours to change, see moves */
    int64_t start = log_start_offset(to);

    copy->copied = 0;
    copy->is_near = copy->is_swapped = false;
    enum err err = part_why_closed(part);

    if (err == ERR_OK && (part_is_offline(part) || log_is_offline(to)))
        err = ERR_KAFKA_STORAGE_ERROR;
    if (err == ERR_OK)
        err = copy_some(from, to, copy);

    if (err == ERR_OK && start != log_start_offset(to)) {
        log_retain(to, log_start_offset(to), copy->wall_ms);
        part_look_at_low_watermark(part);
    }
    copy->is_near = err == ERR_OK && log_leo(to) <= log_leo(from) &&
                    log_bytes_between(from, log_leo(to), log_leo(from)) <= NEAR_BYTES;
    return err;
}

/* ---- taking its place ---- */

/* The former log stays as long as the partition: readers may have been lent it. */
static void replace_locked(struct part *part)
{
    lock_assert_held(&part->state);
    array_reserve(&part->former, &part->former_cap, part->former_len, sizeof(struct log *));
    part->former[part->former_len++] = part_log(part);
    atomic_store(&part->log, part->future);
    part->future = NULL;
}

static enum err swap_locked(struct part *part, struct logs *logs, struct part_copy *copy,
                            struct aftermath *after)
{
    struct log *from = part_log(part), *to = part->future;
    enum err err = ERR_OK;
    struct part_info info;
    size_t before;

    lock_assert_held(&part->append);
    for (int i = 0; i < ROUNDS_MAX && err == ERR_OK; i++) {
        before = copy->copied;
        err = copy_some(from, to, copy);
        if (err == ERR_OK && copy->copied == before && log_leo(to) == log_leo(from))
            break;
    }
    if (err != ERR_OK || log_leo(to) != log_leo(from))
        return err;
    part_get_info(part, &info);
    log_on_hw(to, info.hw);
    err = logs_swap_future(logs, to);
    if (err != ERR_OK)
        return err;
    struct part_event ev = { .kind = PART_EV_LOG_START,
                             .log_start = { .log_start = log_start_offset(to) } };

    copy->is_swapped = true;
    lock_take(&part->state);
    replace_locked(part);
    part_step_locked(part, &ev, copy->now_ms, after);
    lock_drop(&part->state);
    return ERR_OK;
}

enum err part_swap(struct part *part, struct logs *logs, struct part_copy *copy)
{
    struct aftermath after = { .low_watermark = -1 };

    /* Nearly all of it, while others may still append. */
    enum err err = log_flush(part->future);

    if (err != ERR_OK)
        return err;
    lock_take(&part->append);
    err = part_why_closed(part);
    if (err == ERR_OK)
        err = swap_locked(part, logs, copy, &after);
    lock_drop(&part->append);
    if (copy->is_swapped)
        part_see_to(part, &after);
    return err;
}
