/*
 * What a start makes of the segments that it finds.
 *
 * Below the recovery point all is on stable storage and is not looked at. An index that is missing
 * there, or cannot be right, is built anew from the headers of the batches; not a byte of the log
 * is changed for that.
 *
 * After an unclean stop, what is above the recovery point is read and checked, from the newest
 * index entry below it: indexes, aborted transactions, epochs and producers go on from there. The
 * first batch that is not whole and good ends the log. What follows it is one of two things:
 *
 *   a torn end   nothing good behind it: an append or its write-out was cut short. It is cut off.
 *   damage       good batches behind it, or later segments with records. Kafka deletes all that.
 *                Here it is set aside under names that neither Kafka nor we read,
 *                %020d.log.damaged and, when there is one already, .damaged2 to .damaged99, is
 *                reported with its offsets, and the log ends before it. Nobody removes these files
 *                but the operator, or the deletion of the topic.
 *
 * Setting aside begins with the newest segment and ends with the cut, each step durable before the
 * next: a crash between finds the damage again.
 *
 * A stop that is asked for meanwhile is seen every few MiB and ends it there, as a crash would:
 * what has been written by then, entries of indexes and snapshots above the recovery point, the
 * next start cuts before it begins anew.
 */
#include "broker/log/log_recover.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_entries.h"
#include "broker/log/log_int.h"
#include "broker/log/producer_batch.h"
#include "broker/log/scan.h"
#include "broker/tables/stats.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define COPY_BYTES   (1 << 20)
#define LOOK_BYTES   (4 << 20) /* of the log, between two looks for a stop */
#define DAMAGED      ".damaged"
#define DAMAGED_MOST 99

enum err log_went_through(struct log *log, int64_t bytes)
{
    struct log_env *env = log->env;

    if (!log->may_give_up || env->gives_up == NULL)
        return ERR_OK;
    log->unlooked_bytes += bytes;
    if (log->unlooked_bytes < LOOK_BYTES)
        return ERR_OK;
    log->unlooked_bytes = 0;
    return env->gives_up(env) ? ERR_SHUTTING_DOWN : ERR_OK;
}

/* --- batches that are read anew ------------------------------------------------------------------
 */

struct reading {
    struct log *log;
    struct segment *segment;
    int64_t producers_from; /* what batches below did is known */
    int64_t txns_from;      /* aborted transactions that end below are in the .txnindex */
};

static enum err note_producer(struct reading *reading, const uint8_t *batch,
                              const struct batch_info *info)
{
    struct producer_batch produced;
    struct producer_txn_end end;

    if (info->base_offset < reading->producers_from || !producer_batch_read(batch, info, &produced))
        return ERR_OK;
    producers_apply(reading->log->producers, &produced, &end);
    reading->log->producers_upto = info->last_offset + 1;
    if (!end.ended || !end.is_abort || end.last_offset < reading->txns_from)
        return ERR_OK;
    struct aborted_txn txn = { end.producer_id, end.first_offset, end.last_offset,
                               end.last_stable_offset };
    enum err err = segment_note_abort(reading->segment, &txn);

    if (reading->segment->txn_count == 0)
        log_names_changed(reading->log);
    reading->segment->txn_count += err == ERR_OK;
    return err;
}

static enum err note_epoch(struct log *log, const struct batch_info *info)
{
    if (info->leader_epoch <= epochs_latest(&log->epochs))
        return ERR_OK;
    epochs_assign(&log->epochs, info->leader_epoch, info->base_offset);
    atomic_store(&log->epochs_dirty, true);
    return ERR_OK;
}

static enum err on_recovered(void *ctx, const uint8_t *batch, const struct batch_info *info)
{
    struct reading *reading = ctx;
    enum err err = note_epoch(reading->log, info);

    if (err == ERR_OK)
        err = note_producer(reading, batch, info);
    return err == ERR_OK ? log_went_through(reading->log, (int64_t)info->size) : err;
}

static enum err on_reindexed(void *ctx, const uint8_t *batch, const struct batch_info *info)
{
    return note_producer(ctx, batch, info);
}

/* --- indexes -------------------------------------------------------------------------------------
 */

enum err log_reindex(struct log *log, struct segment *segment, int64_t now_ms)
{
    struct reading reading = { .log = log, .segment = segment };
    bool with_txns = segment->txns_damaged;
    struct log_conf conf;
    int64_t skipped;
    enum err err = ERR_OK;

    say_warn("index is missing or damaged, building it anew log=%s segment=%" PRId64, log->name,
             segment->base_offset);
    if (with_txns)
        err = log_rebuild_producers(log, segment->base_offset, now_ms);
    log_get_conf(log, &conf);
    if (err == ERR_OK)
        err = segment_reindex(segment, conf.index_interval_bytes, with_txns,
                              with_txns ? on_reindexed : NULL, &reading, &skipped);
    log_names_changed(log);
    if (err != ERR_OK)
        return err;
    atomic_store(&segment->index_damaged, false);
    segment->txns_damaged = false;
    if (skipped > 0) {
        STAT_ADD(log_damaged, 1);
        say_error("segment is damaged, part of it cannot be read log=%s segment=%" PRId64
                  " bytes=%" PRId64,
                  log->name, segment->base_offset, skipped);
    }
    return ERR_OK;
}

static bool has_flaw(const struct segment *segment)
{
    return atomic_load(&segment->index_damaged) || segment->txns_damaged;
}

/* Of the segments before the one numbered upto. */
static enum err mend_indexes(struct log *log, size_t upto, int64_t now_ms)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < upto && err == ERR_OK; i++) {
        if (!has_flaw(log->segments[i]))
            continue;
        err = log_reindex(log, log->segments[i], now_ms);
        if (err == ERR_OK)
            err = log_went_through(log, log->segments[i]->size);
    }
    return err;
}

/* Readers leave the indexes of a damaged segment alone: they can be written anew in their place. */
enum err log_mend(struct log *log)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i < log->segment_count && err == ERR_OK; i++) {
        struct segment *old = log->segments[i];

        if (!atomic_load(&old->index_damaged))
            continue;
        lock_take(&log->index_lock);
        lock_take(&log->lock);
        struct segment *mended = segment_copy(old);

        lock_drop(&log->lock);
        assert(!mended->txns_damaged); /* found at load, and mended then */
        err = log_reindex(log, mended, 0);
        if (err != ERR_OK) {
            mended->max_timestamp = old->max_timestamp;
            mended->max_timestamp_offset = old->max_timestamp_offset;
        }
        /* Whatever has come of it, the files are now as the copy has them. */
        lock_take(&log->lock);
        log->segments[i] = mended;
        lock_drop(&log->lock);
        segment_unref(&old);
        lock_drop(&log->index_lock);
    }
    return err;
}

/* --- setting aside -------------------------------------------------------------------------------
 */

/* A name for what was damaged that is not taken; malloc'ed. */
static enum err damaged_path(struct log *log, int64_t base, char **out)
{
    struct disk_stat st;

    for (int i = 1; i <= DAMAGED_MOST; i++) {
        char ending[32];

        snprintf(ending, sizeof ending, i == 1 ? ".log" DAMAGED : ".log" DAMAGED "%d", i);
        *out = log_file_path(log, base, ending);
        enum err err = disk_stat(log->env->disk, *out, &st);

        if (err == ERR_NOT_FOUND)
            return ERR_OK;
        free(*out);
        *out = NULL;
        if (err != ERR_OK)
            return err;
    }
    return ERR_EXISTS;
}

static enum err copy_rest(struct log *log, struct segment *segment, int64_t lost, const char *path)
{
    struct disk *disk = log->env->disk;
    uint8_t *bytes = xmalloc(COPY_BYTES);
    int to;
    enum err err = disk_open(disk, path, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &to);

    if (err != ERR_OK)
        goto free_bytes;
    for (int64_t at = 0; at < lost && err == ERR_OK;) {
        size_t want = lost - at < COPY_BYTES ? (size_t)(lost - at) : COPY_BYTES;
        size_t got;

        err = file_pread(segment->file, bytes, want, segment->size + at, &got);
        if (err == ERR_OK && got == 0)
            break;
        if (err == ERR_OK)
            err = disk_pwrite(disk, to, bytes, got, at);
        at += (int64_t)got;
    }
    if (err == ERR_OK)
        err = disk_sync(disk, to);
    disk_close(disk, to);
    if (err != ERR_OK) /* half of it would take room, and a name from the next attempt */
        disk_unlink(disk, path);
free_bytes:
    free(bytes);
    return err;
}

/* The last segment goes; its records stay under another name when there are any. */
static enum err set_last_aside(struct log *log)
{
    struct segment *segment = log->segments[log->segment_count - 1];
    char *path = NULL;
    enum err err = ERR_OK;

    if (segment->size > 0) {
        char *from = log_file_path(log, segment->base_offset, ".log");

        err = damaged_path(log, segment->base_offset, &path);
        if (err == ERR_OK)
            err = disk_rename(log->env->disk, from, path);
        if (err == ERR_OK)
            say_error("segment is set aside log=%s segment=%" PRId64 " bytes=%" PRId64 " file=%s",
                      log->name, segment->base_offset, segment->size, path);
        free(from);
        free(path);
    }
    return err == ERR_OK ? log_drop_segment(log, &log->segments[--log->segment_count], true) : err;
}

enum err log_set_aside(struct log *log)
{
    enum err err = ERR_OK;

    while (log->segment_count > 0 && err == ERR_OK)
        err = set_last_aside(log);
    return err == ERR_OK ? disk_sync_dir(log->env->disk, log->path) : err;
}

struct damage {
    int64_t lost;       /* bytes of the segment behind its last good batch */
    int64_t good_again; /* where the next good batch begins, -1 nowhere */
    bool later_records; /* segments behind it have some */
};

static enum err look_behind(struct log *log, size_t i, int64_t lost, int64_t last,
                            struct damage *out)
{
    struct segment *segment = log->segments[i];

    *out = (struct damage){ .lost = lost, .good_again = -1 };
    for (size_t j = i + 1; j < log->segment_count; j++)
        out->later_records |= log->segments[j]->size > 0;
    enum err err =
        scan_find_batch(segment->file, segment->size, segment->size + lost, last, &out->good_again);

    if (err != ERR_OK)
        out->good_again = -1;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* The log ends in segment i, whose good part ends with the offset last. */
static enum err end_here(struct log *log, size_t i, int64_t lost, int64_t last)
{
    struct segment *segment = log->segments[i];
    struct damage damage;
    char *path = NULL;
    enum err err = look_behind(log, i, lost, last, &damage);
    bool keep = damage.good_again >= 0 || damage.later_records;

    if (err != ERR_OK)
        return err;
    if (!keep) {
        say_info("torn end cut log=%s segment=%" PRId64 " leo=%" PRId64 " cut_bytes=%" PRId64,
                 log->name, segment->base_offset, last + 1, lost);
        while (log->segment_count > i + 1 && err == ERR_OK)
            err = log_drop_segment(log, &log->segments[--log->segment_count], true);
        return err;
    }
    STAT_ADD(log_damaged, 1);
    while (log->segment_count > i + 1 && err == ERR_OK)
        err = set_last_aside(log);
    if (err == ERR_OK)
        err = damaged_path(log, segment->base_offset, &path);
    if (err == ERR_OK)
        err = copy_rest(log, segment, lost, path);
    if (err == ERR_OK)
        err = disk_sync_dir(log->env->disk, log->path);
    if (err == ERR_OK)
        say_error("log is damaged before its end and ends there now, what follows is set aside "
                  "log=%s segment=%" PRId64 " pos=%" PRId64 " leo=%" PRId64 " bytes=%" PRId64
                  " good_again_at_pos=%" PRId64 " file=%s",
                  log->name, segment->base_offset, segment->size, last + 1, lost, damage.good_again,
                  path);
    free(path);
    return err;
}

/* --- recovery ------------------------------------------------------------------------------------
 */

/* Offset of the last record of a segment that was read up to its size. */
static enum err last_offset(struct log *log, struct segment *segment, int64_t *last)
{
    struct batch_info info;
    enum err err = segment_end(segment, last, &info);

    (void)log;
    *last -= 1;
    return err;
}

static enum err recover_one(struct log *log, size_t i, const struct segment_place *from,
                            struct reading *reading, bool *ended)
{
    struct segment *segment = log->segments[i];
    int64_t lost;
    int64_t last;
    enum err err = segment_recover(segment, from, log->conf.index_interval_bytes, on_recovered,
                                   reading, &lost);

    *ended = lost > 0;
    if (err == ERR_OK && lost > 0) {
        err = last_offset(log, segment, &last);
        if (err == ERR_OK)
            err = end_here(log, i, lost, last);
    }
    atomic_store(&segment->index_damaged, false);
    segment->txns_damaged = false;
    return err == ERR_OK ? segment_finish(segment, i + 1 == log->segment_count) : err;
}

/* Whether the file of epochs knows the batch that recovery begins with, if that was synced: it was
 * written before. */
static enum err check_epochs(struct log *log, struct segment *segment,
                             const struct segment_place *from, int64_t trusted_offset)
{
    uint8_t head[BATCH_HEADER_BYTES];
    struct batch_info info;
    size_t got;

    if (from->offset >= trusted_offset)
        return ERR_OK;
    enum err err = file_pread(segment->file, head, sizeof head, from->pos, &got);

    if (err == ERR_OK && got < sizeof head)
        return ERR_OK;
    if (err == ERR_OK)
        batch_info_read(head, &info);
    if (err != ERR_OK || info.leader_epoch < 0 ||
        epochs_at(&log->epochs, from->offset) == info.leader_epoch)
        return err;
    return log_rebuild_epochs(log);
}

enum err log_recover(struct log *log, int64_t trusted_offset, int64_t now_ms)
{
    struct reading reading = { .log = log };
    struct segment_place from;
    int64_t read_bytes = 0;
    bool ended = false;

    if (log->segment_count == 0)
        return ERR_OK;
    size_t i = log_floor_locked(log, trusted_offset);
    enum err err = mend_indexes(log, i, now_ms);

    /* What they say of offsets above may be of records that are gone. */
    log_drop_snapshots(log, INT64_MIN, trusted_offset);
    if (err == ERR_OK)
        err = segment_resume(log->segments[i], trusted_offset, &from);
    if (err == ERR_OK)
        err = check_epochs(log, log->segments[i], &from, trusted_offset);
    if (err != ERR_OK)
        return err;
    if (epochs_truncate_from_end(&log->epochs, from.offset))
        atomic_store(&log->epochs_dirty, true);
    /* When the whole segment is read, its .txnindex is empty and every transaction is looked at. */
    reading.txns_from = from.pos > 0 ? trusted_offset : from.offset;
    err = log_rebuild_producers_from(log, from.offset, from.pos > 0 ? trusted_offset : from.offset,
                                     now_ms, &reading.producers_from);
    for (; i < log->segment_count && err == ERR_OK && !ended; i++) {
        reading.segment = log->segments[i];
        err = recover_one(log, i, &from, &reading, &ended);
        read_bytes += log->segments[i]->size - from.pos;
        if (log->env->on_recovered != NULL)
            log->env->on_recovered(log->env, log->segments[i]->size - from.pos);
        if (err != ERR_OK || i + 1 == log->segment_count)
            break;
        err = segment_resume(log->segments[i + 1], INT64_MIN, &from);
        if (err == ERR_OK)
            err = log_snapshot(log, from.offset, false);
        if (err == ERR_NO_SPACE)
            err = ERR_OK; /* it saves the next start some work, no more */
    }
    lock_take(&log->producers_lock);
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    atomic_fetch_add(&log->appended_bytes, read_bytes);
    atomic_store(&log->env->appended, true);
    return err;
}

/* An empty segment that begins below the end of the one before it was begun for nothing: what came
 * next went into the old one. */
static enum err drop_void_segments(struct log *log)
{
    bool dropped = false;
    enum err err = ERR_OK;

    for (size_t i = 1; i < log->segment_count && err == ERR_OK;) {
        struct segment *segment = log->segments[i];
        struct batch_info last;
        int64_t end = 0;

        if (segment->size == 0)
            err = segment_end(log->segments[i - 1], &end, &last);
        if (err == ERR_CORRUPT_MESSAGE) /* it ends there, or later */
            err = ERR_OK;
        if (err != ERR_OK || end <= segment->base_offset) {
            i++;
            continue;
        }
        say_warn("dropping an empty segment, which lies in another log=%s segment=%" PRId64,
                 log->name, segment->base_offset);
        memmove(log->segments + i, log->segments + i + 1,
                (log->segment_count - i - 1) * sizeof *log->segments);
        log->segment_count--;
        err = log_entry_remove(
            log, &(struct log_entry){ .offset = segment->base_offset, .ending = ".snapshot" });
        enum err gone = log_drop_segment(log, &segment, true);

        err = err == ERR_OK ? gone : err;
        dropped = true;
    }
    return err == ERR_OK && dropped ? disk_sync_dir(log->env->disk, log->path) : err;
}

enum err log_settle_segments(struct log *log, const struct log_load *load, bool *recovered)
{
    int64_t next;
    struct batch_info last;
    enum err err = drop_void_segments(log);

    *recovered = !load->is_clean;
    if (err != ERR_OK)
        return err;
    if (!load->is_clean)
        return log_recover(log, load->recovery_point > 0 ? load->recovery_point : 0, load->now_ms);
    if (log->segment_count == 0)
        return ERR_OK;
    err = mend_indexes(log, log->segment_count, load->now_ms);
    if (err == ERR_OK)
        err = segment_end(log_active(log), &next, &last);
    if (err == ERR_OK && has_flaw(log_active(log)))
        return log_reindex(log, log_active(log), load->now_ms);
    if (err != ERR_CORRUPT_MESSAGE)
        return err;
    say_error(
        "log does not end as it was left, recovering its last segment log=%s segment=%" PRId64,
        log->name, log_active(log)->base_offset);
    *recovered = true;
    return log_recover(log, log_active(log)->base_offset, load->now_ms);
}

/* --- epochs --------------------------------------------------------------------------------------
 */

enum err log_rebuild_epochs(struct log *log)
{
    say_warn("epochs are missing or damaged, finding them anew log=%s", log->name);
    epochs_clear(&log->epochs);
    atomic_store(&log->epochs_dirty, true);
    for (size_t i = 0; i < log->segment_count; i++) {
        struct batch_info info;
        struct scan scan;
        int64_t pos;
        enum err err = ERR_OK;

        scan_init(&scan, log->segments[i]->file, 0, log->segments[i]->size);
        while (err == ERR_OK && (err = scan_next(&scan, &info, &pos)) == ERR_OK) {
            note_epoch(log, &info);
            err = log_went_through(log, (int64_t)info.size);
        }
        if (err != ERR_NOT_FOUND && err != ERR_CORRUPT_MESSAGE)
            return err;
    }
    return ERR_OK;
}
