/*
 * Waits gather in a queue while the thread syncs. It takes the whole queue at once: the first wait
 * of a log syncs it, the others find it synced. While one fdatasync runs, the next crowd gathers.
 */
#include "broker/log/group_commit.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/thread.h"

STAILQ_HEAD(wait_queue, sync_wait);

struct group_commit {
    struct lock lock;        /* rank LOCK_POOL; guards [m] */
    struct cond wake;        /* something came, or stop */
    struct wait_queue waits; /* [m] */
    struct log **hints;      /* [m] references */
    size_t hint_count;       /* [m] */
    size_t hint_cap;         /* [m] */
    bool stopping;           /* [m] */
    struct thread thread;    /* [I] */
};

static enum err sync_upto(struct log *log, int64_t offset)
{
    /* A truncation beside a sync keeps the recovery point where it is: once more. */
    for (int tries = 0; log_recovery_point(log) < offset; tries++) {
        if (log_leo(log) < offset || tries == 10)
            return ERR_NOT_LEADER_OR_FOLLOWER;
        enum err err = log_flush(log);

        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

void group_commit_turn(struct group_commit *commit)
{
    struct wait_queue waits = STAILQ_HEAD_INITIALIZER(waits);
    struct sync_wait *wait;

    lock_take(&commit->lock);
    STAILQ_CONCAT(&waits, &commit->waits);
    struct log **hints = commit->hints;
    size_t hint_count = commit->hint_count;

    commit->hints = NULL;
    commit->hint_count = 0;
    commit->hint_cap = 0;
    lock_drop(&commit->lock);
    while ((wait = STAILQ_FIRST(&waits)) != NULL) {
        STAILQ_REMOVE_HEAD(&waits, link);
        wait->done(wait, sync_upto(wait->log, wait->upto_offset));
    }
    for (size_t i = 0; i < hint_count; i++) {
        enum err err = log_flush_far(hints[i]);

        (void)err; /* said where it happened; the directory is offline then */
        log_unref(&hints[i]);
    }
    free(hints);
}

static bool has_work(const struct group_commit *commit)
{
    return !STAILQ_EMPTY(&commit->waits) || commit->hint_count > 0;
}

static void run(void *arg)
{
    struct group_commit *commit = arg;

    lock_take(&commit->lock);
    while (!commit->stopping || has_work(commit)) {
        if (!has_work(commit)) {
            cond_wait(&commit->wake, &commit->lock);
            continue;
        }
        lock_drop(&commit->lock);
        group_commit_turn(commit);
        lock_take(&commit->lock);
    }
    lock_drop(&commit->lock);
}

struct group_commit *group_commit_start(int index)
{
    struct group_commit *commit = xcalloc(1, sizeof *commit);

    lock_init(&commit->lock, LOCK_POOL);
    cond_init(&commit->wake);
    STAILQ_INIT(&commit->waits);
    if (index >= 0)
        thread_start(&commit->thread, T_DIR, index, run, commit);
    return commit;
}

void group_commit_stop(struct group_commit **commit)
{
    struct group_commit *gone = *commit;

    *commit = NULL;
    if (gone == NULL)
        return;
    lock_take(&gone->lock);
    gone->stopping = true;
    cond_signal(&gone->wake);
    lock_drop(&gone->lock);
    thread_join(&gone->thread);
    group_commit_turn(gone);
    lock_fini(&gone->lock);
    cond_fini(&gone->wake);
    free(gone);
}

void group_commit_post(struct group_commit *commit, struct sync_wait *wait)
{
    lock_take(&commit->lock);
    STAILQ_INSERT_TAIL(&commit->waits, wait, link);
    cond_signal(&commit->wake);
    lock_drop(&commit->lock);
}

void group_commit_hint(struct group_commit *commit, struct log *log)
{
    lock_take(&commit->lock);
    bool is_known = false;

    for (size_t i = 0; i < commit->hint_count; i++)
        is_known |= commit->hints[i] == log;
    if (!is_known) {
        array_reserve(&commit->hints, &commit->hint_cap, commit->hint_count, sizeof *commit->hints);
        commit->hints[commit->hint_count++] = log_ref(log);
        cond_signal(&commit->wake);
    }
    lock_drop(&commit->lock);
}
