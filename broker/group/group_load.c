/*
 * Read up to the log's end as it is now, replay; when nothing is left, look under the shard's lock
 * whether the end has moved meanwhile (a marker of a transaction may be appended while we read; our
 * own appends wait for us) and read on if so, else publish the table. Whatever is published later
 * than the shard's life allows is thrown away instead.
 *
 * Nothing is published before all that was there at the beginning is committed: what an earlier
 * leader wrote may still be lost with us, and its generation would then be given out again, to
 * other owners. (Kafka 3.9 serves such groups at once.) With followers that is a round trip; a
 * partition under its min.insync.replicas keeps loading until enough replicas are in sync.
 *
 * Where segments have just moved (a compaction, another directory) it reads again. What is damaged
 * is passed over, loudly: of a partition's commits an older one counts then, while all that stands
 * behind it is as good as ever. A log that cannot be read is loaded as far as it could be, as Kafka
 * does: to answer nobody for ever would be worse.
 */
#include "broker/group/group_load.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/group/group_replay.h"
#include "common/base/clock.h"
#include "common/base/say.h"

#define PROGRESS_MS     1000
#define READS_IN_A_TURN 4
#define COMMIT_LOOK_MS  1000
#define DAMAGED_MAX     100000 /* offsets passed over; a log with more is given up */
#define MOVED_MAX       1000   /* in a row; a file that is gone for good is, too */

struct group_load {
    struct pool_job job;
    struct group_shard *shard;
    struct part *part; /* a reference */
    uint64_t life;
    int32_t epoch;
    struct group_replay replay;
    uint8_t *buffer;
    size_t buffer_cap;
    int64_t damaged; /* offsets passed over */
    int moved;       /* reads in a row that found files moved */

    int64_t need; /* the high watermark that it waits for */
    LIST_ENTRY(group_load) waits_link;
    struct delayed delayed;
    struct watch_node watch;
    struct msg msg;
};

/* ---- what the operator hears ---- */

static void note_begin(struct groups *groups)
{
    lock_take(&groups->report_lock);
    struct load_report *report = &groups->report;
    if (report->running++ == 0) {
        *report = (struct load_report){ .running = 1,
                                        .started_ms = clock_mono_ms(),
                                        .said_ms = clock_mono_ms() };
    }
    lock_drop(&groups->report_lock);
}

static void note_progress(struct groups *groups, size_t records)
{
    int64_t now_ms = clock_mono_ms();

    lock_take(&groups->report_lock);
    groups->report.records += records;
    bool due = now_ms - groups->report.said_ms >= PROGRESS_MS;
    if (due)
        groups->report.said_ms = now_ms;
    struct load_report report = groups->report;
    lock_drop(&groups->report_lock);
    if (due)
        say_info("loading groups partitions_left=%zu records=%zu ms=%" PRId64, report.running,
                 report.records, now_ms - report.started_ms);
}

static void note_end(struct groups *groups, const struct group_load *load, bool published,
                     size_t groups_len, size_t offsets)
{
    lock_take(&groups->report_lock);
    groups->report.running--;
    groups->report.skipped += load->replay.skipped;
    if (published) {
        groups->report.partitions++;
        groups->report.groups += groups_len;
        groups->report.offsets += offsets;
    }
    struct load_report report = groups->report;
    lock_drop(&groups->report_lock);
    if (report.running > 0 || report.records == 0)
        return;
    say_info("coordinates groups of more partitions partitions=%zu groups=%zu offsets=%zu "
             "records=%zu ms=%" PRId64,
             report.partitions, report.groups, report.offsets, report.records,
             clock_mono_ms() - report.started_ms);
    if (report.skipped > 0)
        say_warn("passed over records of " GROUPS_TOPIC " that are not known here records=%zu",
                 report.skipped);
}

/* ---- reading ---- */

static enum err read_some(struct group_load *load, int64_t end, bool *done)
{
    struct log *log = part_log(load->part);
    size_t before = load->replay.records, got = 0, used = 0;
    struct log_range range;
    enum err err = log_read(log, load->replay.next_offset, end,
                            (size_t)load->shard->groups->conf.load_bytes, true, &range);

    *done = err != ERR_OK || range.len == 0;
    if (*done)
        return err;
    if (range.len > load->buffer_cap) {
        free(load->buffer);
        load->buffer_cap = range.len;
        load->buffer = xmalloc(load->buffer_cap);
    }
    err = log_range_read(&range, 0, load->buffer, range.len, &got);
    log_range_done(&range);
    if (err == ERR_OK)
        err = group_replay_bytes(&load->replay, load->buffer, got, &used);
    if (err == ERR_OK && used == 0)
        err = ERR_CORRUPT_MESSAGE; /* not even one batch, though whole ones were asked for */
    note_progress(load->shard->groups, load->replay.records - before);
    return err;
}

/* Can it go on after this error? */
static bool goes_on(struct group_load *load, enum err err, int64_t end)
{
    if (err == ERR_CLOSED || err == ERR_NOT_LEADER_OR_FOLLOWER)
        return ++load->moved < MOVED_MAX; /* files moved under the read */
    if (err != ERR_CORRUPT_MESSAGE || load->replay.next_offset >= end ||
        load->damaged == DAMAGED_MAX)
        return false;
    say_limited(SAY_ERROR, "passing over damaged groups partition=%d offset=%" PRId64,
                load->shard->partition, load->replay.next_offset);
    load->damaged++;
    load->replay.next_offset++; /* in the middle of a batch it is found, and passed over, again */
    return true;
}

static enum err read_on(struct group_load *load, bool *done)
{
    int64_t end = log_leo(part_log(load->part));
    enum err err = read_some(load, end, done);

    if (err == ERR_OK)
        load->moved = 0;
    else if (goes_on(load, err, end))
        *done = false;
    else
        return err;
    return ERR_OK;
}

/* ---- the end ---- */

static void end(struct group_load *load, bool published, size_t groups_len, size_t offsets)
{
    struct groups *groups = load->shard->groups;

    note_end(groups, load, published, groups_len, offsets);
    group_replay_fini(&load->replay);
    part_unref(&load->part);
    free(load->buffer);
    free(load);
    atomic_fetch_sub_explicit(&groups->jobs, 1, memory_order_release);
}

static bool is_wanted_locked(const struct group_load *load)
{
    return load->shard->state == SHARD_LOADING && load->shard->life == load->life;
}

static bool is_wanted(struct group_load *load)
{
    lock_take(&load->shard->lock);
    bool wanted = is_wanted_locked(load);
    lock_drop(&load->shard->lock);
    return wanted;
}

/* False when there is more to read first. */
static bool publish(struct group_load *load, bool whole)
{
    struct group_shard *shard = load->shard;
    struct group_table table;
    size_t offsets;

    lock_take(&shard->lock);
    bool wanted = is_wanted_locked(load);
    bool at_end = !whole || load->replay.next_offset >= log_leo(part_log(load->part));
    lock_drop(&shard->lock);
    if (wanted && !at_end)
        return false;
    if (!wanted) {
        end(load, false, 0, 0);
        return true;
    }
    group_replay_end(&load->replay, clock_mono_ms(), &table, &offsets);
    size_t count = table.count;
    lock_take(&shard->lock);
    wanted = is_wanted_locked(load);
    bool any_owed = false;
    if (wanted) {
        assert(shard->table.count == 0);
        shard->table = table;
        shard->state = SHARD_OURS;
        any_owed = groups_forget_owed_locked(shard);
        shard_arm_locked(shard);
    }
    lock_drop(&shard->lock);
    if (any_owed)
        shard_drain(shard);
    if (!wanted)
        group_table_fini(&table);
    end(load, wanted, count, offsets);
    return true;
}

/* ---- waiting until it is committed, on the shard's home reactor ---- */

static bool is_committed(const struct group_load *load)
{
    struct part_info info;

    part_get_info(load->part, &info);
    return info.hw >= load->need;
}

static void on_committed(struct delayed *delayed, enum delayed_why why)
{
    struct group_load *load = container_of(delayed, struct group_load, delayed);

    (void)why; /* it looks again, and whether it is wanted still */
    LIST_REMOVE(load, waits_link);
    pool_post(load->shard->groups->conf.pool, &load->job);
}

static void on_wait(struct msg *msg)
{
    struct group_load *load = container_of(msg, struct group_load, msg);
    struct group_shard *shard = load->shard;

    if (atomic_load_explicit(&shard->groups->stopped, memory_order_relaxed)) {
        pool_post(shard->groups->conf.pool, &load->job);
        return;
    }
    LIST_INSERT_HEAD(&shard->loads, load, waits_link);
    delayed_init(&load->delayed, shard->home, on_committed, &load->watch);
    delayed_watch(&load->delayed, part_committed(load->part), load->need);
    delayed_start(&load->delayed, true, COMMIT_LOOK_MS);
    if (is_committed(load) || !is_wanted(load)) /* before the watch was there */
        delayed_finish(&load->delayed, DELAYED_MET);
}

void group_load_cancel(struct group_shard *shard)
{
    struct group_load *next;

    for (struct group_load *load = LIST_FIRST(&shard->loads); load != NULL; load = next) {
        next = LIST_NEXT(load, waits_link);
        delayed_finish(&load->delayed, DELAYED_CANCELLED);
    }
}

static void run(struct pool_job *job)
{
    struct group_load *load = container_of(job, struct group_load, job);
    bool done = false;
    enum err err = ERR_OK;

    for (int i = 0; i < READS_IN_A_TURN && !done && err == ERR_OK; i++) {
        if (!is_wanted(load)) {
            end(load, false, 0, 0);
            return;
        }
        err = read_on(load, &done);
    }
    if (err != ERR_OK)
        say_error("could not read all groups back, serving what could be read partition=%d "
                  "offset=%" PRId64 " err=%s",
                  load->shard->partition, load->replay.next_offset, err_name(err));
    if ((done || err != ERR_OK) && !is_committed(load)) {
        load->msg.run = on_wait;
        reactor_post(load->shard->home, &load->msg);
        return;
    }
    if ((done || err != ERR_OK) && publish(load, err == ERR_OK))
        return;
    pool_post(load->shard->groups->conf.pool, &load->job);
}

void group_load_begin(struct group_shard *shard, struct part *part, uint64_t life, int32_t epoch)
{
    struct group_load *load = xcalloc(1, sizeof *load);
    int64_t start = log_start_offset(part_log(part));

    load->shard = shard;
    load->part = part_ref(part);
    load->life = life;
    load->epoch = epoch;
    load->job.run = run;
    group_replay_init(&load->replay, &shard->groups->conf.group, clock_wall_ms());
    load->replay.next_offset = start;
    atomic_fetch_add_explicit(&shard->groups->jobs, 1, memory_order_relaxed);
    note_begin(shard->groups);
    load->need = log_leo(part_log(part));
    if (start < load->need || !publish(load, true))
        pool_post(shard->groups->conf.pool, &load->job);
}

/* ---- letting go ---- */

struct discard {
    struct pool_job job;
    struct groups *groups;
    struct group_table table;
};

static void run_discard(struct pool_job *job)
{
    struct discard *discard = container_of(job, struct discard, job);
    struct groups *groups = discard->groups;

    group_table_fini(&discard->table);
    free(discard);
    atomic_fetch_sub_explicit(&groups->jobs, 1, memory_order_release);
}

void group_load_discard(struct groups *groups, struct group_table *table)
{
    if (table->count == 0) {
        group_table_fini(table); /* what its groups have left behind */
        return;
    }
    struct discard *discard = xcalloc(1, sizeof *discard);
    discard->groups = groups;
    discard->job.run = run_discard;
    discard->table = *table;
    group_table_init(table);
    atomic_fetch_add_explicit(&groups->jobs, 1, memory_order_relaxed);
    pool_post(groups->conf.pool, &discard->job);
}
