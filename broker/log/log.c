/*
 * An append, step by step: stamp and look at each batch; ask the producers; roll if due; one
 * pwritev behind the end of the active segment; then, under the short lock, tell indexes, epochs
 * and the ring of recent batches; then the producers; last the new end is published, which is what
 * makes it visible.
 *
 * A write that fails leaves nothing: the file is cut back to its former length. If not even that
 * works the directory is given up.
 */
#include "broker/log/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/checkpoint.h"
#include "broker/log/log_int.h"
#include "broker/log/log_recall.h"
#include "broker/log/producer_batch.h"
#include "broker/log/producers_file.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

/* --- what it is --------------------------------------------------------------------------------
 */

struct log *log_ref(struct log *log)
{
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed); /* the caller holds one */
    return log;
}

void log_unref(struct log **log)
{
    struct log *gone = *log;

    *log = NULL;
    if (gone == NULL || atomic_fetch_sub_explicit(&gone->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < gone->segment_count; i++)
        segment_unref(&gone->segments[i]);
    free(gone->segments);
    free(gone->tail);
    epochs_fini(&gone->epochs);
    producers_free(&gone->producers);
    lock_fini(&gone->epochs_lock);
    lock_fini(&gone->index_lock);
    lock_fini(&gone->lock);
    lock_fini(&gone->producers_lock);
    free(gone->topic);
    free(gone->name);
    free(gone->path);
    for (size_t i = 0; i < ARRAY_LEN(gone->retired); i++)
        free(gone->retired[i]);
    free(gone);
}

const char *log_topic(const struct log *log)
{
    return log->topic;
}

int32_t log_partition(const struct log *log)
{
    return log->partition;
}

const char *log_name(const struct log *log)
{
    return log->name;
}

bool log_is_future(const struct log *log)
{
    const char *name = log->name;
    size_t len = strlen(name);
    size_t tail = strlen(LOG_FUTURE_SUFFIX);

    return len > tail && strcmp(name + len - tail, LOG_FUTURE_SUFFIX) == 0;
}

const char *log_parent_dir(const struct log *log)
{
    return log->env->dir;
}

bool log_is_offline(const struct log *log)
{
    return atomic_load_explicit(&log->env->failed, memory_order_relaxed); /* a flag by itself */
}

int64_t log_leo(const struct log *log)
{
    return atomic_load_explicit(&log->leo, memory_order_acquire); /* pairs with append's release */
}

int64_t log_start_offset(const struct log *log)
{
    return atomic_load_explicit(&log->start, memory_order_acquire);
}

int64_t log_recovery_point(const struct log *log)
{
    return atomic_load_explicit(&log->recovery_point, memory_order_acquire);
}

void log_set_conf(struct log *log, const struct log_conf *conf)
{
    lock_take(&log->lock);
    log->conf = *conf;
    lock_drop(&log->lock);
}

void log_get_conf(struct log *log, struct log_conf *out)
{
    lock_take(&log->lock);
    *out = log->conf;
    lock_drop(&log->lock);
}

int64_t log_size_bytes(struct log *log)
{
    int64_t size = 0;

    lock_take(&log->lock);
    for (size_t i = 0; i < log->segment_count; i++)
        size += log->segments[i]->size;
    lock_drop(&log->lock);
    return size;
}

size_t log_segment_count(struct log *log)
{
    lock_take(&log->lock);
    size_t count = log->segment_count;

    lock_drop(&log->lock);
    return count;
}

int64_t log_active_base(struct log *log)
{
    lock_take(&log->lock);
    int64_t base = log_active(log)->base_offset;

    lock_drop(&log->lock);
    return base;
}

char *log_file_path(const struct log *log, int64_t offset, const char *ending)
{
    return xasprintf("%s/%020" PRId64 "%s", log->path, offset, ending);
}

struct uuid log_topic_id(struct log *log)
{
    lock_take(&log->lock);
    struct uuid id = log->topic_id;

    lock_drop(&log->lock);
    return id;
}

enum err log_adopt_topic_id(struct log *log, struct uuid topic_id)
{
    struct uuid have = log_topic_id(log);

    if (uuid_eq(have, topic_id) || uuid_is_zero(topic_id))
        return ERR_OK;
    if (!uuid_is_zero(have))
        return ERR_INCONSISTENT_TOPIC_ID;
    char *path = xasprintf("%s/" METADATA_FILE, log->path);
    enum err err = metadata_file_write(log->env->disk, path, topic_id);

    free(path);
    if (err != ERR_OK)
        return log_failed(log, err, "write partition.metadata");
    lock_take(&log->lock);
    log->topic_id = topic_id;
    lock_drop(&log->lock);
    return ERR_OK;
}

enum err log_failed(struct log *log, enum err err, const char *doing)
{
    if (err == ERR_OK)
        return err;
    if (err == ERR_NO_SPACE) {
        say_limited(SAY_ERROR, "disk full, write refused log=%s doing=\"%s\"", log->path, doing);
        return err;
    }
    if (atomic_load(&log->is_deleted))
        return ERR_KAFKA_STORAGE_ERROR;
    say_limited(SAY_ERROR, "log failed log=%s doing=\"%s\" err=%s", log->path, doing,
                err_name(err));
    if (!atomic_exchange(&log->env->failed, true) && log->env->on_failed != NULL)
        log->env->on_failed(log->env);
    return ERR_IO;
}

/* --- segments ----------------------------------------------------------------------------------
 */

/* For who holds the append lock but no other: a swap may move the list. */
static struct segment *active_of(struct log *log)
{
    lock_take(&log->lock);
    struct segment *active = log_active(log);

    lock_drop(&log->lock);
    return active;
}

struct segment *log_active(const struct log *log)
{
    assert(log->segment_count > 0);
    return log->segments[log->segment_count - 1];
}

size_t log_floor_locked(const struct log *log, int64_t offset)
{
    size_t low = 0;
    size_t high = log->segment_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (log->segments[mid]->base_offset <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

void log_forget_tail_locked(struct log *log)
{
    log->tail_count = 0;
    log->tail_next = 0;
}

void log_add_segment_locked(struct log *log, struct segment *segment)
{
    assert(log->segment_count == 0 || segment->base_offset > log_active(log)->base_offset);
    array_reserve(&log->segments, &log->segment_cap, log->segment_count, sizeof *log->segments);
    log->segments[log->segment_count++] = segment;
    log_forget_tail_locked(log);
}

struct segment *log_new_segment(struct log *log, int64_t base_offset, int64_t now_ms)
{
    struct log_conf conf;
    int64_t jitter;

    log_get_conf(log, &conf);
    jitter = conf.segment_jitter_ms < conf.segment_ms ? conf.segment_jitter_ms : conf.segment_ms;
    log->rand_state =
        log->rand_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (jitter > 0)
        jitter = (int64_t)((log->rand_state >> 20) % (uint64_t)jitter);
    return segment_new(log->env->files, log->path, base_offset, &conf, now_ms, jitter);
}

enum err log_snapshot(struct log *log, int64_t offset, bool sync)
{
    char *path = log_file_path(log, offset, ".snapshot");

    lock_take(&log->producers_lock);
    /* A copy, so that the file is written without the lock. */
    struct producers *copy = producers_copy(log->producers);

    lock_drop(&log->producers_lock);
    enum err err = producers_file_write(log->env->disk, path, copy, sync);

    producers_free(&copy);
    free(path);
    log_entries_forget(log);
    log_names_changed(log);
    return err;
}

enum err log_complete_indexes(struct log *log, struct segment *segment)
{
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    segment_close_times(segment);
    lock_drop(&log->lock);
    enum err err = segment_save(segment);

    if (err == ERR_OK) {
        lock_take(&log->lock);
        segment_saved(segment);
        lock_drop(&log->lock);
    }
    lock_drop(&log->index_lock);
    return err;
}

/* Somebody may append meanwhile: what waits is copied, and then taken note of as far as it was. */
enum err log_save_indexes(struct log *log)
{
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    struct segment *segment = log_active(log);
    struct segment *copy = NULL;

    if ((segment->offsets.recent_count > 0 && !segment->unindexed) ||
        segment->times.recent_count > 0)
        copy = segment_copy(segment);
    lock_drop(&log->lock);
    enum err err = ERR_OK;

    if (copy != NULL) {
        err = segment_save_indexes(copy);
        lock_take(&log->lock);
        /* Rolling and truncation wait for the index lock: it is still the last one. */
        if (err == ERR_OK) {
            index_saved(&segment->times, index_count(&copy->times));
            if (!copy->unindexed)
                index_saved(&segment->offsets, index_count(&copy->offsets));
        }
        lock_drop(&log->lock);
        segment_unref(&copy);
    }
    lock_drop(&log->index_lock);
    return err;
}

/* What is left of a segment that could not be made would be the end of the log to the next start,
 * or stand in the midst of what fits into the old one; a snapshot for its base behind a gap tells
 * nothing of who appends into that gap. */
static enum err unmake_segment(struct log *log, struct segment **segment, enum err err)
{
    enum err unmade = segment_remove(*segment);

    segment_unref(segment);
    log_drop_snapshots(log, INT64_MIN, log_leo(log));
    if (unmade == ERR_OK)
        unmade = disk_sync_dir(log->env->disk, log->path);
    return unmade == ERR_OK ? err : ERR_IO;
}

enum err log_roll_to(struct log *log, int64_t base_offset, int64_t now_ms)
{
    struct segment *old = active_of(log);
    struct segment *segment;
    struct log_conf conf;

    assert(base_offset > old->base_offset);
    atomic_store(&log->is_touched, true);
    log_get_conf(log, &conf);
    enum err err = log_complete_indexes(log, old);

    /* Before anything comes after it: a segment that lost its end in a power failure at the border
     * of two batches looks whole, and between compacted segments gaps are normal. The early
     * write-out has left little to wait for. */
    if (err == ERR_OK)
        err = segment_sync(old);
    if (err != ERR_OK)
        return log_failed(log, err, "close segment");
    err = log_snapshot(log, base_offset, false);
    if (err != ERR_OK)
        return log_failed(log, err, "write snapshot");
    segment = log_new_segment(log, base_offset, now_ms);
    err = segment_create(segment, &conf);
    if (err != ERR_OK)
        return log_failed(log, unmake_segment(log, &segment, err), "start segment");
    log_names_changed(log);
    lock_take(&log->index_lock);
    lock_take(&log->lock);
    old->mtime_ms = now_ms; /* what its age is by when its records have no time */
    log_add_segment_locked(log, segment);
    lock_drop(&log->lock);
    lock_drop(&log->index_lock);
    if (log->env->flush_later != NULL)
        log->env->flush_later(log->env, log);
    return ERR_OK;
}

enum err log_roll(struct log *log, int64_t now_ms)
{
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    if (active_of(log)->size == 0)
        return ERR_OK;
    return log_roll_to(log, log_leo(log), now_ms);
}

/* The first batch's largest timestamp, read once; -1 when it has none. */
static enum err first_timestamp(struct log *log, struct segment *segment, int64_t *out)
{
    uint8_t head[BATCH_HEADER_BYTES];
    struct batch_info info;
    size_t got;

    if (segment->first_timestamp == INT64_MIN) {
        enum err err = file_pread(segment->file, head, sizeof head, 0, &got);

        if (err != ERR_OK)
            return err;
        info.max_timestamp = -1;
        if (got == sizeof head)
            batch_info_read(head, &info);
        lock_take(&log->lock); /* somebody may be copying it */
        segment->first_timestamp = info.max_timestamp;
        lock_drop(&log->lock);
    }
    *out = segment->first_timestamp;
    return ERR_OK;
}

/* What an append is about to add. */
struct addition {
    size_t bytes;
    int64_t first_offset;
    int64_t last_offset;
    int64_t max_timestamp;
};

/* An active segment is never compacted: it must not hold records back for longer than they may
 * wait for that (KIP-354, LogConfig.maxSegmentMs). */
static int64_t longest_segment_ms(const struct log_conf *conf)
{
    return conf->cleanup_compact && conf->max_compaction_lag_ms > 0 &&
                   conf->max_compaction_lag_ms < conf->segment_ms
               ? conf->max_compaction_lag_ms
               : conf->segment_ms;
}

/* Kafka: LogSegment.shouldRoll. */
static enum err should_roll(struct log *log, struct segment *active, const struct log_conf *conf,
                            const struct addition *add, int64_t now_ms, bool *roll)
{
    int64_t segment_ms = longest_segment_ms(conf);
    int64_t limit_ms = segment_ms > active->jitter_ms ? segment_ms - active->jitter_ms : 0;
    int64_t waited_ms;

    lock_take(&log->lock); /* somebody may be saving the indexes */
    bool is_full = index_is_full(&active->offsets) || index_is_full(&active->times);

    lock_drop(&log->lock);
    *roll = active->size > conf->segment_bytes - (int64_t)add->bytes || is_full ||
            add->last_offset - active->base_offset > INT32_MAX;
    if (active->size == 0) {
        *roll = add->last_offset - active->base_offset > INT32_MAX;
        return ERR_OK;
    }
    if (*roll)
        return ERR_OK;
    enum err err = first_timestamp(log, active, &waited_ms);

    if (err != ERR_OK)
        return err;
    waited_ms = waited_ms >= 0 && add->max_timestamp >= 0 ? add->max_timestamp - waited_ms
                                                          : now_ms - active->created_ms;
    *roll = waited_ms > limit_ms;
    return ERR_OK;
}

/* --- append ------------------------------------------------------------------------------------
 */

static void tail_push_locked(struct log *log, const struct batch_info *info, int64_t pos)
{
    if (log->tail == NULL)
        log->tail = xcalloc(LOG_TAIL_BATCHES, sizeof *log->tail);
    log->tail[log->tail_next] = (struct tail_batch){ info->base_offset, info->last_offset, pos };
    log->tail_next = (log->tail_next + 1) % LOG_TAIL_BATCHES;
    if (log->tail_count < LOG_TAIL_BATCHES)
        log->tail_count++;
}

/* Refused or not, it is not asked for again before that is full. */
static void reserve(struct log *log, struct segment *active, int fd, size_t len,
                    int64_t segment_bytes)
{
    int64_t from = active->reserved > active->size ? active->reserved : active->size;
    int64_t upto = segment_reserve_upto(active, len, segment_bytes);

    if (upto <= from)
        return;
    disk_reserve(log->env->disk, fd, from, upto - from);
    lock_take(&log->lock);
    active->reserved = upto;
    lock_drop(&log->lock);
}

static enum err write_bytes(struct log *log, struct segment *active, const uint8_t *bytes,
                            size_t len, int64_t segment_bytes)
{
    int fd;
    enum err err = file_pin(active->file, &fd);

    if (err != ERR_OK)
        return log_failed(log, err, "open segment");
    if (!atomic_load_explicit(&log->is_touched, memory_order_relaxed)) /* read by close only */
        atomic_store(&log->is_touched, true);
    reserve(log, active, fd, len, segment_bytes);
    err = disk_pwrite(log->env->disk, fd, bytes, len, active->size);
    if (err != ERR_OK) {
        enum err cut = disk_truncate(log->env->disk, fd, active->size);

        /* Half of it must not come back behind what is appended next. */
        if (cut == ERR_OK)
            cut = disk_sync_data(log->env->disk, fd);
        err = log_failed(log, cut == ERR_OK ? err : ERR_IO, "append");
    }
    file_unpin(active->file);
    return err;
}

void log_publish_unstable_locked(struct log *log)
{
    lock_assert_held(&log->producers_lock);
    atomic_store_explicit(&log->first_unstable, producers_first_unstable(log->producers),
                          memory_order_release);
}

static enum err note_producer(struct log *log, struct segment *active, const uint8_t *batch,
                              const struct batch_info *info)
{
    struct producer_batch produced;
    struct producer_txn_end end;

    if (!producer_batch_read(batch, info, &produced))
        return ERR_OK;
    lock_take(&log->producers_lock);
    producers_apply(log->producers, &produced, &end);
    log->producers_upto = info->last_offset + 1;
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
    if (!end.ended || !end.is_abort)
        return ERR_OK;
    enum err err = segment_note_abort(
        active, &(struct aborted_txn){ end.producer_id, end.first_offset, end.last_offset,
                                       end.last_stable_offset });
    if (err != ERR_OK)
        return err;
    if (active->txn_count == 0) /* the file is new: a sync that leaves out its name forgets it */
        log_names_changed(log);
    lock_take(&log->lock);
    active->txn_count++;
    lock_drop(&log->lock);
    return ERR_OK;
}

/* Whole, checked, stamped batches to the end of the log. */
static enum err append(struct log *log, const uint8_t *bytes, const struct addition *add,
                       int64_t now_ms, struct log_appended *out)
{
    struct log_conf conf;
    struct batch_info info;
    bool roll;

    lock_take(&log->lock);
    struct segment *active = log_active(log);

    conf = log->conf;
    lock_drop(&log->lock);
    /* A follower rolled to a batch behind a gap and found no room for it, and what comes now lies
     * in that gap. */
    if (active->base_offset > add->first_offset) {
        enum err err = log_undo_roll(log);

        if (err != ERR_OK)
            return err;
        active = active_of(log);
    }
    enum err err = should_roll(log, active, &conf, add, now_ms, &roll);

    if (err != ERR_OK)
        return log_failed(log, err, "read segment");
    if (roll) {
        int64_t leo = log_leo(log);
        int64_t base = add->first_offset > leo ? add->first_offset : leo;

        if (base > active->base_offset) {
            err = log_roll_to(log, base, now_ms);
            if (err != ERR_OK)
                return err;
            active = active_of(log);
        }
    }
    err = write_bytes(log, active, bytes, add->bytes, conf.segment_bytes);
    if (err != ERR_OK)
        return err;
    lock_take(&log->lock);
    for (size_t at = 0; at < add->bytes; at += info.size) {
        batch_info_read(bytes + at, &info);
        tail_push_locked(log, &info, active->size);
        segment_note(active, &info, conf.index_interval_bytes);
        if (info.leader_epoch >= 0 &&
            epochs_assign(&log->epochs, info.leader_epoch, info.base_offset)) {
            out->epoch_changed = true;
            atomic_store(&log->epochs_dirty, true);
        }
    }
    bool save = index_wants_save(&active->offsets) || index_wants_save(&active->times);
    bool gathered = log_wants_write_out_locked(log);

    lock_drop(&log->lock);
    for (size_t at = 0; at < add->bytes; at += info.size) {
        batch_info_read(bytes + at, &info);
        if (info.producer_id >= 0)
            err = note_producer(log, active, bytes + at, &info);
        if (err != ERR_OK)
            return log_failed(log, ERR_IO, "write transaction index"); /* the batch is there */
    }
    if (save) {
        err = log_save_indexes(log);
        if (err != ERR_OK && err != ERR_NO_SPACE)
            return log_failed(log, err, "write index");
    }
    atomic_fetch_add_explicit(&log->appended_bytes, (int64_t)add->bytes, memory_order_relaxed);
    /* Looked at first: storing takes the line from everybody else who appends. Pairs with the
     * exchange of the tick, which then finds the segment's new size under the lock. */
    if (!atomic_load_explicit(&log->env->appended, memory_order_relaxed))
        atomic_store_explicit(&log->env->appended, true, memory_order_release);
    if (gathered && !atomic_load_explicit(&log->env->gathered, memory_order_relaxed))
        atomic_store_explicit(&log->env->gathered, true, memory_order_release);
    /* Pairs with the acquire of log_leo(): who sees the new end finds all of the above. */
    atomic_store_explicit(&log->leo, add->last_offset + 1, memory_order_release);
    out->leo = add->last_offset + 1;
    out->log_start_offset = log_start_offset(log);
    out->bytes += add->bytes;
    out->flush_due = conf.flush_messages != INT64_MAX &&
                     out->leo - log_recovery_point(log) >= conf.flush_messages;
    return ERR_OK;
}

static void add_batch(struct addition *add, const struct batch_info *info)
{
    if (add->bytes == 0) {
        add->first_offset = info->base_offset;
        add->max_timestamp = -1;
    }
    add->bytes += info->size;
    add->last_offset = info->last_offset;
    if (info->max_timestamp > add->max_timestamp)
        add->max_timestamp = info->max_timestamp;
}

static enum err check_producer(struct log *log, const struct producer_batch *batch,
                               enum log_origin origin, struct producer_dup *dup)
{
    lock_take(&log->producers_lock);
    enum err err =
        producers_check(log->producers, batch,
                        origin == LOG_FROM_CLIENT ? PRODUCER_CLIENT : PRODUCER_COORDINATOR, dup);

    lock_drop(&log->producers_lock);
    return err;
}

static enum err ask_producers(struct log *log, const uint8_t *batch, const struct batch_info *info,
                              enum log_origin origin, struct log_appended *out)
{
    struct producer_batch produced;
    struct producer_dup dup;

    if (!producer_batch_read(batch, info, &produced))
        return ERR_OK;
    enum err err = check_producer(log, &produced, origin, &dup);

    /* Or it repeats one that was known before the start. */
    if (err == ERR_OUT_OF_ORDER_SEQUENCE_NUMBER && log_can_recall(log)) {
        err = log_recall_producers(log);
        if (err == ERR_OK)
            err = check_producer(log, &produced, origin, &dup);
    }
    if (err == ERR_DUPLICATE_SEQUENCE_NUMBER) {
        out->is_duplicate = true;
        out->first_offset = dup.first_offset;
        out->last_offset = dup.last_offset;
        out->log_append_time_ms = dup.timestamp_ms;
    }
    return err;
}

enum err log_append_leader(struct log *log, uint8_t *bytes, size_t len, int32_t leader_epoch,
                           enum log_origin origin, int64_t now_ms, struct log_appended *out)
{
    struct addition add = { 0 };
    struct batch_info info;
    int64_t next = log_leo(log);

    *out = (struct log_appended){ .first_offset = next,
                                  .last_offset = next - 1,
                                  .log_append_time_ms = -1,
                                  .log_start_offset = log_start_offset(log),
                                  .leo = next };
    assert(len > 0);
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    lock_take(&log->lock);
    int64_t segment_bytes = log->conf.segment_bytes;

    lock_drop(&log->lock);
    if (len > (uint64_t)segment_bytes)
        return ERR_RECORD_LIST_TOO_LARGE;
    for (size_t at = 0; at < len; at += info.size) {
        size_t size;
        enum err err = batch_peek(bytes + at, len - at, &size);

        assert(err == ERR_OK); /* the caller has checked them */
        batch_stamp(bytes + at, next, leader_epoch);
        batch_info_read(bytes + at, &info);
        if (info.producer_id >= 0) {
            err = ask_producers(log, bytes + at, &info, origin, out);
            if (err == ERR_DUPLICATE_SEQUENCE_NUMBER)
                return ERR_OK;
            if (err != ERR_OK)
                return err;
        }
        next = info.last_offset + 1;
        add_batch(&add, &info);
        if (info.append_time)
            out->log_append_time_ms = info.max_timestamp;
    }
    out->last_offset = add.last_offset;
    int64_t began_ms = log_coarse_ms();
    enum err err = append(log, bytes, &add, now_ms, out);

    log_note_append_time(log, began_ms, log_coarse_ms());
    return err;
}

enum err log_append_follower(struct log *log, const uint8_t *bytes, size_t len, int64_t now_ms,
                             struct log_appended *out)
{
    int64_t next = log_leo(log);
    size_t whole = 0;
    size_t size;
    enum err err = ERR_OK;

    *out = (struct log_appended){ .first_offset = next,
                                  .last_offset = next - 1,
                                  .log_append_time_ms = -1,
                                  .log_start_offset = log_start_offset(log),
                                  .leo = next };
    if (log_is_offline(log))
        return ERR_KAFKA_STORAGE_ERROR;
    for (; whole < len; whole += size) {
        struct batch_info info;

        err = batch_peek(bytes + whole, len - whole, &size);
        if (err != ERR_OK)
            break;
        if (batch_check(bytes + whole, size) != ERR_OK)
            return ERR_CORRUPT_MESSAGE;
        batch_info_read(bytes + whole, &info);
        if (info.magic < 2)
            info.base_offset = info.last_offset;
        if (info.base_offset < next || info.last_offset < info.base_offset)
            return info.last_offset < next || info.base_offset < next ? ERR_OFFSET_OUT_OF_RANGE
                                                                      : ERR_CORRUPT_MESSAGE;
        if (whole == 0)
            out->first_offset = info.base_offset;
        next = info.last_offset + 1;
    }
    if (err == ERR_CORRUPT_MESSAGE)
        return err;
    lock_take(&log->lock);
    size_t piece_max = (size_t)log->conf.segment_bytes;

    lock_drop(&log->lock);
    /* What a leader with larger segments sends at once may not fit one of ours. */
    for (size_t at = 0; at < whole;) {
        struct addition add = { 0 };
        const uint8_t *piece = bytes + at;
        struct batch_info info;

        while (at < whole) {
            batch_info_read(bytes + at, &info);
            /* Nor may offsets that jump, as after compaction, be too far apart for the indexes. */
            if (add.bytes > 0 && (add.bytes + info.size > piece_max ||
                                  info.last_offset - add.first_offset > INT32_MAX))
                break;
            add_batch(&add, &info);
            at += info.size;
        }
        err = append(log, piece, &add, now_ms, out);
        if (err != ERR_OK)
            return err;
        out->last_offset = add.last_offset;
    }
    return ERR_OK;
}

/* --- producers ---------------------------------------------------------------------------------
 */

int64_t log_last_stable_offset(struct log *log, int64_t high_watermark)
{
    int64_t unstable = atomic_load_explicit(&log->first_unstable, memory_order_acquire);
    int64_t start = log_start_offset(log);

    if (unstable >= 0 && unstable < start)
        unstable = start;
    return unstable >= 0 && unstable < high_watermark ? unstable : high_watermark;
}

void log_on_hw(struct log *log, int64_t high_watermark)
{
    if (atomic_load_explicit(&log->first_unstable, memory_order_relaxed) < 0)
        return; /* no transaction waits; one that begins now is not below the high watermark */
    lock_take(&log->producers_lock);
    producers_on_hw(log->producers, high_watermark);
    log_publish_unstable_locked(log);
    lock_drop(&log->producers_lock);
}

bool log_producer(struct log *log, int64_t producer_id, struct producer_entry *out)
{
    lock_take(&log->producers_lock);
    bool found = producers_get(log->producers, producer_id, out);

    lock_drop(&log->producers_lock);
    return found;
}

struct producer_list {
    struct producer_entry *entries;
    size_t count;
};

static bool list_producer(void *ctx, const struct producer_entry *entry)
{
    struct producer_list *list = ctx;

    list->entries[list->count++] = *entry;
    return true;
}

void log_producers(struct log *log, struct producer_entry **list, size_t *count)
{
    struct producer_list found = { 0 };

    lock_take(&log->producers_lock);
    size_t n = producers_count(log->producers);

    if (n > 0) {
        found.entries = xmalloc(n * sizeof *found.entries);
        producers_each(log->producers, list_producer, &found);
    }
    lock_drop(&log->producers_lock);
    *list = found.entries;
    *count = found.count;
}

void log_expire_producers(struct log *log, int64_t now_ms)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    lock_take(&log->producers_lock);
    producers_expire(log->producers, now_ms, conf.producer_expiration_ms);
    lock_drop(&log->producers_lock);
}
