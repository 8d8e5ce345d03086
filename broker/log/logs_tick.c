/*
 * What time brings to the logs of a directory, on a thread of its own: a disk that hangs holds up
 * no other one's.
 *
 * Going through ten thousand logs takes milliseconds, and nearly always there is nothing to be done
 * for any: the tick does so only when some log has gathered enough to be written out, and is slower
 * while none does: a thread that wakes up for nothing costs more than an append.
 *
 * What is due goes by the clock that only goes on: the time of day may be set back by hours, and
 * nothing would be written out, synced or removed for so long.
 */
#include <stdlib.h>

#include "broker/log/log_int.h"
#include "broker/log/logs_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"

#define TICK_MS     100
#define CALM_MS     500 /* while there is nothing to be written out */
#define FAR_MS      250
#define FAR_LOOK_MS 10000 /* after appends: their syncs and what those bring */

STAILQ_HEAD(removal_queue, removal);

void logs_remove_later(struct logs_dir *dir, const char *path, int64_t at_ms)
{
    struct removal *removal = xcalloc(1, sizeof *removal);

    removal->path = xstrdup(path);
    removal->at_ms = at_ms;
    lock_take(&dir->logs->lock);
    STAILQ_INSERT_TAIL(&dir->removals, removal, link);
    lock_drop(&dir->logs->lock);
}

static void removal_free(struct removal *removal)
{
    free(removal->path);
    free(removal);
}

void logs_dir_forget_removals(struct logs_dir *dir)
{
    struct removal *removal;

    while ((removal = STAILQ_FIRST(&dir->removals)) != NULL) {
        STAILQ_REMOVE_HEAD(&dir->removals, link);
        removal_free(removal);
    }
}

static void remove_now(struct disk *disk, const char *path)
{
    struct disk_stat st;

    if (disk_stat(disk, path, &st) != ERR_OK)
        return;
    enum err err = st.is_dir ? disk_remove_tree(disk, path) : disk_unlink(disk, path);

    if (err != ERR_OK)
        say_warn("cannot remove path=%s err=%s", path, err_name(err));
}

static void remove_due(struct logs_dir *dir, int64_t now_ms)
{
    struct removal_queue due = STAILQ_HEAD_INITIALIZER(due);
    struct removal_queue rest = STAILQ_HEAD_INITIALIZER(rest);
    struct removal *removal;

    lock_take(&dir->logs->lock);
    while ((removal = STAILQ_FIRST(&dir->removals)) != NULL) {
        STAILQ_REMOVE_HEAD(&dir->removals, link);
        if (removal->at_ms <= now_ms)
            STAILQ_INSERT_TAIL(&due, removal, link);
        else
            STAILQ_INSERT_TAIL(&rest, removal, link);
    }
    STAILQ_CONCAT(&dir->removals, &rest);
    lock_drop(&dir->logs->lock);
    while ((removal = STAILQ_FIRST(&due)) != NULL) {
        STAILQ_REMOVE_HEAD(&due, link);
        remove_now(dir->env.disk, removal->path);
        removal_free(removal);
    }
}

static bool is_due(int64_t *next_ms, int64_t every_ms, int64_t now_ms)
{
    if (every_ms <= 0 || every_ms == INT64_MAX || now_ms < *next_ms)
        return false;
    *next_ms = now_ms + every_ms;
    return true;
}

void logs_dir_start_times(struct logs_dir *dir, int64_t now_ms)
{
    const struct logs_options *options = &dir->logs->options;

    dir->appended_ms = now_ms; /* what the start has read anew may be much */
    dir->next_checkpoint_ms = now_ms + options->checkpoint_ms;
    dir->next_start_ms = now_ms + options->start_checkpoint_ms;
    dir->next_producers_ms = now_ms + options->producer_check_ms;
}

static void tick_logs(struct logs_dir *dir, int64_t wall_ms, int64_t now_ms)
{
    const struct logs_options *options = &dir->logs->options;
    bool write_out = dir->write_out_wanted &&
                     is_due(&dir->next_write_out_ms,
                            options->write_out_ms > 0 ? options->write_out_ms : TICK_MS, now_ms);
    bool flush = is_due(&dir->next_flush_ms, options->flush_check_ms, now_ms);
    bool producers = is_due(&dir->next_producers_ms, options->producer_check_ms, now_ms);
    struct log **list;

    if (!write_out && !flush && !producers)
        return;
    if (write_out)
        dir->write_out_wanted = false;
    size_t count = logs_list(dir->logs, dir, &list);

    for (size_t i = 0; i < count; i++) {
        if (write_out)
            log_write_out(list[i]);
        if (flush)
            log_flush_if_due(list[i], now_ms);
        if (producers)
            log_expire_producers(list[i], wall_ms);
        log_unref(&list[i]);
    }
    free(list);
}

/* True while there is nothing that is to be done soon. */
static bool tick_dir(struct logs_dir *dir, int64_t wall_ms, int64_t now_ms)
{
    const struct logs_options *options = &dir->logs->options;

    if (options->no_threads && dir->commit != NULL)
        group_commit_turn(dir->commit);
    if (atomic_exchange_explicit(&dir->env.appended, false, memory_order_acquire))
        dir->appended_ms = now_ms;
    if (atomic_exchange_explicit(&dir->env.gathered, false, memory_order_acquire))
        dir->write_out_wanted = true;
    bool is_calm = !dir->write_out_wanted;

    tick_logs(dir, wall_ms, now_ms);
    if (now_ms - dir->appended_ms < FAR_LOOK_MS && is_due(&dir->next_far_ms, FAR_MS, now_ms))
        logs_dir_flush_far(dir);
    if (is_due(&dir->next_checkpoint_ms, options->checkpoint_ms, now_ms) ||
        is_due(&dir->next_start_ms, options->start_checkpoint_ms, now_ms))
        logs_dir_checkpoint(dir);
    remove_due(dir, now_ms);
    return is_calm;
}

static int64_t least(int64_t a_ms, int64_t b_ms)
{
    return b_ms > 0 && b_ms < a_ms ? b_ms : a_ms;
}

/* As slow as what is to be done regularly allows. */
static int64_t calm_ms(const struct logs_options *options)
{
    int64_t ms = least(CALM_MS, options->flush_check_ms);

    ms = least(ms, options->checkpoint_ms);
    ms = least(ms, options->start_checkpoint_ms);
    ms = least(ms, options->producer_check_ms);
    return ms > TICK_MS ? ms : TICK_MS;
}

void logs_tick(struct logs *logs, int64_t wall_ms, int64_t now_ms)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        (void)tick_dir(&logs->dirs[i], wall_ms, now_ms);
}

static void tick_run(void *arg)
{
    struct logs_dir *dir = arg;
    struct logs *logs = dir->logs;
    bool is_calm = true;

    lock_take(&logs->lock);
    while (!logs->stopping) {
        cond_wait_ms(&logs->wake, &logs->lock, is_calm ? calm_ms(&logs->options) : TICK_MS);
        if (logs->stopping)
            break;
        lock_drop(&logs->lock);
        is_calm = tick_dir(dir, clock_wall_ms(), clock_mono_ms());
        lock_take(&logs->lock);
    }
    lock_drop(&logs->lock);
}

void logs_start_ticking(struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        thread_start(&logs->dirs[i].ticker, T_TICK, (int)i, tick_run, &logs->dirs[i]);
}

void logs_stop_ticking(struct logs *logs)
{
    lock_take(&logs->lock);
    logs->stopping = true;
    cond_broadcast(&logs->wake);
    lock_drop(&logs->lock);
    for (size_t i = 0; i < logs->dir_count; i++)
        thread_join(&logs->dirs[i].ticker);
}
