/*
 * Syncs of what a leader has, where flush.messages asks for them: an append's caller waits for his,
 * and one that begins to lead may have got its last records as a follower, on their way to the disk
 * still. The core keeps the high watermark below them; the directory's group commit makes the sync,
 * for the control thread does not wait for a disk. A sync that failed ends the directory and with
 * it the partition; after a move to another one it is asked for again, of the log that is in its
 * place.
 */
#include <stdlib.h>

#include "broker/log/group_commit.h"
#include "broker/replica/parts_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

struct leader_sync {
    struct sync_wait wait;
    struct parts *parts;
    struct part *part; /* a reference, which keeps the log, too */
    int32_t leader_epoch;
};

void parts_post_sync(struct parts *parts, struct part *part, struct sync_wait *wait)
{
    struct log *log = part_log(part);

    wait->log = log;
    wait->upto_offset = log_leo(log);
    group_commit_post(logs_group_commit(parts->conf.logs, log), wait);
}

static void end(struct leader_sync *sync)
{
    struct parts *parts = sync->parts;

    part_unref(&sync->part);
    free(sync);
    lock_take(&parts->sync_lock);
    if (--parts->syncs == 0)
        cond_signal(&parts->synced); /* under the lock: they are freed when it is dropped */
    lock_drop(&parts->sync_lock);
}

static bool is_wanted(const struct leader_sync *sync)
{
    struct part_info info;

    part_get_info(sync->part, &info); /* offline: idle */
    return info.role == PART_LEADER && info.leader_epoch == sync->leader_epoch;
}

static void on_synced(struct sync_wait *wait, enum err err);

static void post(struct leader_sync *sync)
{
    sync->wait.done = on_synced;
    parts_post_sync(sync->parts, sync->part, &sync->wait);
}

static void on_synced(struct sync_wait *wait, enum err err)
{
    struct leader_sync *sync = container_of(wait, struct leader_sync, wait);

    part_synced(sync->part, sync->leader_epoch, clock_mono_ms());
    if (err != ERR_OK && is_wanted(sync))
        post(sync);
    else
        end(sync);
}

void parts_sync(struct parts *parts, struct part *part, int32_t leader_epoch)
{
    struct leader_sync *sync = xcalloc(1, sizeof *sync);

    sync->parts = parts;
    sync->part = part_ref(part);
    sync->leader_epoch = leader_epoch;
    lock_take(&parts->sync_lock);
    parts->syncs++;
    lock_drop(&parts->sync_lock);
    post(sync);
}

void parts_await_syncs(struct parts *parts)
{
    lock_take(&parts->sync_lock);
    while (parts->syncs > 0)
        cond_wait(&parts->synced, &parts->sync_lock);
    lock_drop(&parts->sync_lock);
}
