/*
 * A thread looks at all compacted logs without a lock, claims the dirtiest that nobody else has
 * claimed, looks at that one again, for another thread may just have been through with it, and
 * rewrites it. Then it writes how far that log is, lets old segments of compacted logs go, and
 * begins anew.
 *
 * A log that is deleted, moved or truncated meanwhile stops its compaction by itself (log_swap.h);
 * nobody has to wait for a cleaner.
 *
 * The throttle counts reads and writes of all threads: whoever is ahead of the rate sleeps.
 *
 * Threads and their memory are a crew. For other numbers of them a thread that does nothing else
 * sends one crew home and starts the next.
 */
#include "broker/log/clean/cleaner.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/clean/pick.h"
#include "broker/log/clean/rewrite.h"
#include "broker/log/log_swap.h"
#include "broker/tables/stats.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/base/thread.h"

#define PUT_OFF_MS        60000 /* after a full disk */
#define THROTTLE_AHEAD_US 300000

/*
 * [I] set before anyone else can see it    [a] atomic    [m] under lock    [o] its thread only
 */
struct worker {
    struct cleaner *cleaner; /* [I] */
    struct crew *crew;       /* [I] */
    struct thread thread;
    struct rewrite *rewrite;    /* [o] */
    struct rewrite_stats stats; /* [m] of the last compaction */
    double max_delay_seconds;   /* [m] in the last look */
};

struct crew {
    atomic_bool stopping; /* [a] */
    size_t count;         /* [I] at least one */
    struct worker workers[];
};

struct cleaner {
    struct cleaner_conf conf;      /* [I] but for numbers, which are [m] */
    bool is_changed;               /* [m] threads or sizes are not the crew's */
    struct thread keeper;          /* sees to it; none without threads */
    _Atomic uint32_t swapped_seen; /* [a] moves between directories that the files know of */
    atomic_bool stopping;          /* [a] */
    struct lock lock;              /* rank LOCK_LEAF */
    struct cond wake;              /* stopping */
    int64_t busy_until_us;  /* [m] when the bytes so far would have passed at the highest rate */
    double max_dirty_ratio; /* [m] */
    int64_t last_run_ms;    /* [m] */
    int64_t cleaning;       /* [m] */
    struct crew *crew;      /* [m] which; only the keeper changes it */
};

static bool is_stopping(const struct worker *worker)
{
    return atomic_load(&worker->cleaner->stopping) || atomic_load(&worker->crew->stopping);
}

/* --- how dirty -----------------------------------------------------------------------------------
 */

static int64_t first_timestamp(const struct segment *segment)
{
    uint8_t head[BATCH_HEADER_BYTES];
    struct batch_info info;
    size_t got;

    if (segment->size == 0 || file_pread(segment->file, head, sizeof head, 0, &got) != ERR_OK ||
        got < sizeof head)
        return -1;
    batch_info_read(head, &info);
    return info.max_timestamp;
}

static struct pick look(struct log *log, int64_t stable, int64_t now_ms)
{
    struct log_closed closed;
    struct log_conf conf;

    log_get_conf(log, &conf);
    log_closed_get(log, &closed);
    struct pick_segment *segments = xcalloc(closed.count + 1, sizeof *segments);

    for (size_t i = 0; i < closed.count; i++) {
        const struct segment *segment = closed.segments[i];

        segments[i] = (struct pick_segment){
            .base_offset = segment->base_offset,
            .size = segment->size,
            .largest_timestamp = segment_largest_timestamp(segment),
            .first_timestamp = conf.max_compaction_lag_ms < now_ms ? first_timestamp(segment) : -1,
        };
    }
    struct pick pick = pick_log(&(struct pick_log){
        .closed = segments,
        .closed_count = closed.count,
        .active_base = closed.active_base,
        .cleaned_upto = log_cleaned_upto(log),
        .start = closed.start,
        .leo = closed.leo,
        .stable = stable,
        .now_ms = now_ms,
        .min_lag_ms = conf.min_compaction_lag_ms,
        .max_lag_ms = conf.max_compaction_lag_ms,
        .min_ratio = conf.min_cleanable_dirty_ratio,
    });

    free(segments);
    log_closed_done(&closed);
    return pick;
}

/* A log that is worth compacting. */
struct candidate {
    struct log *log; /* a reference */
    double ratio;
};

struct survey {
    struct cleaner *cleaner;
    int64_t now_ms;
    struct candidate *list;
    size_t count, cap;
    double max_ratio;
    int64_t max_delay_ms;
};

static bool is_compacted(struct log *log)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    return conf.cleanup_compact && !log_is_uncleanable(log) && !log_is_gone(log);
}

static void note_reset(struct log *log, const struct pick *pick)
{
    struct log_conf conf;

    log_get_conf(log, &conf);
    if (!conf.cleanup_delete) /* there it is nothing to speak of */
        say_warn(
            "compaction begins at the start again, its mark is not in the log log=%s mark=%" PRId64
            " start=%" PRId64,
            log_name(log), log_cleaned_upto(log), pick->first_dirty);
    log_set_cleaned_upto(log, pick->first_dirty);
}

static void survey_one(void *ctx, struct log *log)
{
    struct survey *survey = ctx;
    const struct cleaner_conf *conf = &survey->cleaner->conf;

    if (!is_compacted(log) || log_clean_after(log) > survey->now_ms)
        return;
    int64_t stable = conf->stable_of(conf->ctx, log);

    if (stable < 0)
        return;
    struct pick pick = look(log, stable, survey->now_ms);
    double ratio = pick_ratio(&pick);

    if (pick.was_reset)
        note_reset(log, &pick);
    if (ratio > survey->max_ratio)
        survey->max_ratio = ratio;
    if (pick.delay_ms > survey->max_delay_ms)
        survey->max_delay_ms = pick.delay_ms;
    if (!pick.is_due)
        return;
    array_reserve(&survey->list, &survey->cap, survey->count, sizeof *survey->list);
    survey->list[survey->count++] = (struct candidate){ log_ref(log), ratio };
}

static int dirtiest_first(const void *a, const void *b)
{
    double one = ((const struct candidate *)a)->ratio;
    double other = ((const struct candidate *)b)->ratio;

    return one > other ? -1 : one < other;
}

/* --- checkpoint files ----------------------------------------------------------------------------
 */

static void read_mark(void *ctx, struct log *log)
{
    struct cleaner *cleaner = ctx;
    int64_t upto = log_is_gone(log) ? -1 : logs_saved_mark(cleaner->conf.logs, log);

    if (upto >= 0 && !log_is_future(log))
        log_set_cleaned_upto(log, upto);
}

static void write_marks(struct cleaner *cleaner, const char *dir)
{
    enum err err = logs_save_marks(cleaner->conf.logs, dir);

    if (err == ERR_OK)
        return;
    say_error("cannot write how far logs were compacted dir=%s err=%s", dir, err_name(err));
    if (err != ERR_NO_SPACE)
        logs_fail_dir(cleaner->conf.logs, dir);
}

/* --- one compaction ------------------------------------------------------------------------------
 */

/* A rewrite has read or written so much. */
static bool go_on(void *ctx, size_t bytes)
{
    struct worker *worker = ctx;
    struct cleaner *cleaner = worker->cleaner;

    lock_take(&cleaner->lock);
    double rate = cleaner->conf.max_bytes_per_second;

    if (rate > 0 && rate < 1e15) {
        int64_t now_us = clock_mono_us();

        if (cleaner->busy_until_us < now_us)
            cleaner->busy_until_us = now_us;
        cleaner->busy_until_us += (int64_t)((double)bytes / rate * 1e6);
        while (!is_stopping(worker) && cleaner->busy_until_us - now_us > THROTTLE_AHEAD_US) {
            cond_wait_ms(&cleaner->wake, &cleaner->lock,
                         (cleaner->busy_until_us - now_us - THROTTLE_AHEAD_US) / 1000 + 1);
            now_us = clock_mono_us();
        }
    }
    lock_drop(&cleaner->lock);
    return !is_stopping(worker);
}

static void say_stats(const struct log *log, int64_t from, const struct rewrite_stats *stats)
{
    say_info("compacted log=%s from=%" PRId64 " upto=%" PRId64 " keys=%" PRId64 " records=%" PRId64
             " kept=%" PRId64 " bytes=%" PRId64 " kept_bytes=%" PRId64 " segments=%" PRId64
             " into=%" PRId64 " map_ms=%" PRId64 " ms=%" PRId64,
             log_name(log), from, stats->upto, stats->map_keys, stats->records_read,
             stats->records_written, stats->bytes_read, stats->bytes_written, stats->segments_in,
             stats->segments_out, stats->map_us / 1000, stats->total_us / 1000);
    if (stats->keyless > 0)
        say_warn("records without a key were dropped from a compacted log log=%s records=%" PRId64,
                 log_name(log), stats->keyless);
}

static void mind(struct cleaner *cleaner, struct log *log, enum err err, int64_t now_ms)
{
    switch (err) {
    case ERR_OK:
    case ERR_CLOSED: /* somebody else's doing */
        return;
    case ERR_NO_SPACE:
        log_set_clean_after(log, now_ms + PUT_OFF_MS);
        say_limited(SAY_WARN, "disk full, compaction put off log=%s", log_name(log));
        return;
    case ERR_IO:
    case ERR_KAFKA_STORAGE_ERROR:
        if (!log_is_offline(log))
            logs_fail_dir(cleaner->conf.logs, log_parent_dir(log));
        return;
    default:
        log_set_uncleanable(log);
        say_error("log cannot be compacted and is left alone log=%s err=%s", log_name(log),
                  err_name(err));
    }
}

static void count_running(struct cleaner *cleaner, int64_t n)
{
    lock_take(&cleaner->lock);
    cleaner->cleaning += n;
    lock_drop(&cleaner->lock);
}

/* The log is claimed. */
static bool compact(struct worker *worker, struct log *log, int64_t now_ms)
{
    struct cleaner *cleaner = worker->cleaner;
    int64_t stable = cleaner->conf.stable_of(cleaner->conf.ctx, log);

    if (stable < 0)
        return false;
    struct pick pick = look(log, stable, now_ms);
    struct rewrite_range range = { .first_dirty = pick.first_dirty,
                                   .first_uncleanable = pick.first_uncleanable,
                                   .now_ms = now_ms };
    struct rewrite_stats stats;

    if (!pick.is_due)
        return false;
    rand_bytes_os(range.secret, sizeof range.secret);
    count_running(cleaner, 1);
    enum err err = rewrite_log(worker->rewrite, log, &range, &stats);

    count_running(cleaner, -1);
    STAT_ADD(cleaner_bytes_read, stats.map_bytes_read + stats.bytes_read);
    STAT_ADD(cleaner_bytes_written, stats.bytes_written);
    lock_take(&cleaner->lock);
    worker->stats = stats;
    lock_drop(&cleaner->lock);
    mind(cleaner, log, err, now_ms);
    if (err != ERR_OK)
        return false;
    say_stats(log, range.first_dirty, &stats);
    write_marks(cleaner, log_parent_dir(log));
    return true;
}

static void retain_one(void *ctx, struct log *log)
{
    struct cleaner *cleaner = ctx;

    if (is_compacted(log))
        cleaner->conf.retain(cleaner->conf.ctx, log);
}

/* A log that was moved has its mark with it, and the files do not know yet. */
static void follow_moves(struct cleaner *cleaner)
{
    uint32_t swapped = logs_swapped_count(cleaner->conf.logs);

    if (atomic_exchange(&cleaner->swapped_seen, swapped) == swapped)
        return;
    for (size_t i = 0; i < logs_dir_count(cleaner->conf.logs); i++) {
        struct logs_dir_info info;

        logs_dir_info(cleaner->conf.logs, i, &info);
        if (!info.is_offline)
            write_marks(cleaner, info.path);
    }
}

static bool turn(struct worker *worker, int64_t now_ms)
{
    struct cleaner *cleaner = worker->cleaner;
    struct survey survey = { .cleaner = cleaner, .now_ms = now_ms };
    bool done = false;

    follow_moves(cleaner);
    logs_each(cleaner->conf.logs, survey_one, &survey);
    lock_take(&cleaner->lock);
    cleaner->last_run_ms = clock_mono_ms();
    cleaner->max_dirty_ratio = survey.max_ratio;
    worker->max_delay_seconds = (double)survey.max_delay_ms / 1000;
    lock_drop(&cleaner->lock);
    if (survey.count > 0)
        qsort(survey.list, survey.count, sizeof *survey.list, dirtiest_first);
    for (size_t i = 0; i < survey.count; i++) {
        struct log *log = survey.list[i].log;

        if (!done && !is_stopping(worker) && log_clean_begin(log)) {
            done = compact(worker, log, now_ms);
            log_clean_end(log);
        }
        log_unref(&log);
    }
    free(survey.list);
    if (cleaner->conf.retain != NULL && !is_stopping(worker))
        logs_each(cleaner->conf.logs, retain_one, cleaner);
    return done;
}

bool cleaner_turn(struct cleaner *cleaner, int64_t now_ms)
{
    return turn(&cleaner->crew->workers[0], now_ms);
}

/* --- threads -------------------------------------------------------------------------------------
 */

static void run(void *arg)
{
    struct worker *worker = arg;
    struct cleaner *cleaner = worker->cleaner;

    while (!is_stopping(worker)) {
        if (turn(worker, clock_wall_ms()))
            continue;
        lock_take(&cleaner->lock);
        if (!is_stopping(worker))
            cond_wait_ms(&cleaner->wake, &cleaner->lock, cleaner->conf.backoff_ms);
        lock_drop(&cleaner->lock);
    }
}

static enum err check_conf(const struct cleaner_conf *conf, size_t workers)
{
    if (conf->load_factor <= 0 || conf->load_factor > 1) {
        say_error("log.cleaner.io.buffer.load.factor must be above 0 and at most 1");
        return ERR_INVALID_CONFIG;
    }
    /* Kafka's condition: a map that holds no key would never get anywhere. */
    int64_t slots = conf->dedupe_bytes / (int64_t)workers / 24;

    if ((double)slots * conf->load_factor <= 1) {
        say_error("log.cleaner.dedupe.buffer.size is too small for log.cleaner.threads=%" PRId32,
                  conf->threads);
        return ERR_INVALID_CONFIG;
    }
    return ERR_OK;
}

static struct crew *crew_start(struct cleaner *cleaner, const struct cleaner_conf *conf)
{
    size_t count = conf->threads > 0 ? (size_t)conf->threads : 1;
    struct crew *crew = xcalloc(1, sizeof *crew + count * sizeof crew->workers[0]);

    crew->count = count;
    for (size_t i = 0; i < count; i++) {
        struct worker *worker = &crew->workers[i];
        struct rewrite_conf rewrite = { .map_bytes = (size_t)conf->dedupe_bytes / count,
                                        .load_factor = conf->load_factor,
                                        .io_bytes = (size_t)conf->io_bytes / count / 2,
                                        .go_on = go_on,
                                        .ctx = worker };

        worker->cleaner = cleaner;
        worker->crew = crew;
        worker->rewrite = rewrite_new(&rewrite);
        if (conf->threads > 0)
            thread_start(&worker->thread, T_CLEANER, (int)i, run, worker);
    }
    return crew;
}

/* What it compacts is broken off. */
static void crew_stop(struct cleaner *cleaner, struct crew *crew)
{
    lock_take(&cleaner->lock);
    atomic_store(&crew->stopping, true);
    cond_broadcast(&cleaner->wake);
    lock_drop(&cleaner->lock);
    for (size_t i = 0; i < crew->count; i++) {
        thread_join(&crew->workers[i].thread);
        rewrite_free(&crew->workers[i].rewrite);
    }
}

static void keep_crew(void *arg)
{
    struct cleaner *cleaner = arg;

    lock_take(&cleaner->lock);
    while (!atomic_load(&cleaner->stopping)) {
        if (!cleaner->is_changed) {
            cond_wait(&cleaner->wake, &cleaner->lock);
            continue;
        }
        struct cleaner_conf conf = cleaner->conf;
        struct crew *old = cleaner->crew;

        cleaner->is_changed = false;
        lock_drop(&cleaner->lock);
        crew_stop(cleaner, old);
        struct crew *crew = crew_start(cleaner, &conf);

        say_info("compaction has other numbers now threads=%zu dedupe_bytes=%" PRId64
                 " io_bytes=%" PRId64,
                 crew->count, conf.dedupe_bytes, conf.io_bytes);
        lock_take(&cleaner->lock);
        cleaner->crew = crew;
        lock_drop(&cleaner->lock);
        free(old);
        lock_take(&cleaner->lock);
    }
    lock_drop(&cleaner->lock);
}

enum err cleaner_start(const struct cleaner_conf *conf, struct cleaner **out)
{
    enum err err = check_conf(conf, conf->threads > 0 ? (size_t)conf->threads : 1);

    *out = NULL;
    if (err != ERR_OK)
        return err;
    struct cleaner *cleaner = xcalloc(1, sizeof *cleaner);

    cleaner->conf = *conf;
    lock_init(&cleaner->lock, LOCK_LEAF);
    cond_init(&cleaner->wake);
    cleaner->last_run_ms = clock_mono_ms();
    atomic_store(&cleaner->swapped_seen, logs_swapped_count(conf->logs));
    logs_each(conf->logs, read_mark, cleaner);
    cleaner->crew = crew_start(cleaner, conf);
    if (conf->threads > 0)
        thread_start(&cleaner->keeper, T_CLEANER, -1, keep_crew, cleaner);
    *out = cleaner;
    return ERR_OK;
}

enum err cleaner_reconfigure(struct cleaner *cleaner, const struct cleaner_conf *conf)
{
    enum err err = ERR_OK;

    if (conf->threads < 1) {
        say_error("log.cleaner.threads must be at least 1 at run time");
        err = ERR_INVALID_CONFIG;
    }
    if (err == ERR_OK)
        err = check_conf(conf, (size_t)conf->threads);
    if (err != ERR_OK)
        return err;
    lock_take(&cleaner->lock);
    struct cleaner_conf *now = &cleaner->conf;

    cleaner->is_changed |=
        now->threads != conf->threads || now->dedupe_bytes != conf->dedupe_bytes ||
        now->io_bytes != conf->io_bytes || fabs(now->load_factor - conf->load_factor) > 1e-9;
    now->threads = conf->threads;
    now->dedupe_bytes = conf->dedupe_bytes;
    now->io_bytes = conf->io_bytes;
    now->load_factor = conf->load_factor;
    now->max_bytes_per_second = conf->max_bytes_per_second;
    now->backoff_ms = conf->backoff_ms;
    cleaner->busy_until_us = 0; /* what was waited for at the old rate */
    cond_broadcast(&cleaner->wake);
    lock_drop(&cleaner->lock);
    return ERR_OK;
}

size_t cleaner_threads(struct cleaner *cleaner)
{
    lock_take(&cleaner->lock);
    size_t count = cleaner->crew->count;

    lock_drop(&cleaner->lock);
    return count;
}

void cleaner_stop(struct cleaner **cleaner)
{
    struct cleaner *gone = *cleaner;

    *cleaner = NULL;
    if (gone == NULL)
        return;
    lock_take(&gone->lock);
    atomic_store(&gone->stopping, true);
    cond_broadcast(&gone->wake);
    lock_drop(&gone->lock);
    thread_join(&gone->keeper);
    crew_stop(gone, gone->crew);
    free(gone->crew);
    cond_fini(&gone->wake);
    lock_fini(&gone->lock);
    free(gone);
}

/* --- metrics -------------------------------------------------------------------------------------
 */

void cleaner_get_info(struct cleaner *cleaner, struct cleaner_info *out)
{
    int64_t read = 0;
    int64_t written = 0;

    *out = (struct cleaner_info){ 0 };
    lock_take(&cleaner->lock);
    for (size_t i = 0; i < cleaner->crew->count; i++) {
        const struct worker *worker = &cleaner->crew->workers[i];

        out->max_buffer_utilization = fmax(out->max_buffer_utilization, worker->stats.map_use);
        out->max_clean_seconds = fmax(out->max_clean_seconds, (double)worker->stats.total_us / 1e6);
        out->max_delay_seconds = fmax(out->max_delay_seconds, worker->max_delay_seconds);
        read += worker->stats.bytes_read;
        written += worker->stats.bytes_written;
    }
    out->recopy = read > 0 ? (double)written / (double)read : 0;
    out->max_dirty_ratio = cleaner->max_dirty_ratio;
    out->since_last_run_ms = clock_mono_ms() - cleaner->last_run_ms;
    out->cleaning = cleaner->cleaning;
    lock_drop(&cleaner->lock);
}

struct uncleanable {
    struct cleaner *cleaner;
    const char *dir;
    int64_t logs;
    int64_t bytes;
};

static void count_uncleanable(void *ctx, struct log *log)
{
    struct uncleanable *sum = ctx;
    const struct cleaner_conf *conf = &sum->cleaner->conf;

    if (!log_is_uncleanable(log) || strcmp(log_parent_dir(log), sum->dir) != 0)
        return;
    int64_t stable = conf->stable_of(conf->ctx, log);

    sum->logs++;
    if (stable >= 0)
        sum->bytes += look(log, stable, clock_wall_ms()).cleanable_bytes;
}

void cleaner_get_uncleanable(struct cleaner *cleaner, size_t dir, int64_t *logs, int64_t *bytes)
{
    struct logs_dir_info info;
    struct uncleanable sum = { .cleaner = cleaner };

    logs_dir_info(cleaner->conf.logs, dir, &info);
    sum.dir = info.path;
    logs_each(cleaner->conf.logs, count_uncleanable, &sum);
    *logs = sum.logs;
    *bytes = sum.bytes;
}
