/*
 * What a start after a crash has to read is bounded: when a quarter of the bound has not been
 * synced, the logs with most of it are synced by the directory's thread; when a quarter of it has
 * been synced but the file of recovery points does not say so yet, that is written. What comes in
 * while the disk works has the other half.
 */
#include <stdlib.h>

#include "broker/log/logs_int.h"
#include "common/base/mem.h"

struct dirty {
    struct log *log; /* a reference */
    int64_t unflushed;
};

static int most_first(const void *a, const void *b)
{
    const struct dirty *one = a;
    const struct dirty *other = b;

    return (one->unflushed < other->unflushed) - (one->unflushed > other->unflushed);
}

static void flush_dir(struct logs_dir *dir, int64_t bound)
{
    struct log **list;
    size_t count = logs_list(dir->logs, dir, &list);
    struct dirty *dirty = xmalloc((count + 1) * sizeof *dirty);
    int64_t unflushed = 0;
    int64_t unsaved = 0;

    for (size_t i = 0; i < count; i++) {
        int64_t saved;

        dirty[i].log = list[i];
        log_unscanned(list[i], &dirty[i].unflushed, &saved);
        unflushed += dirty[i].unflushed;
        unsaved += saved;
    }
    if (unsaved - unflushed > bound / 4)
        logs_dir_checkpoint(dir);
    if (unflushed > bound / 4) {
        qsort(dirty, count, sizeof *dirty, most_first);
        for (size_t i = 0; i < count && unflushed > bound / 16; i++) {
            group_commit_hint(dir->commit, dirty[i].log);
            unflushed -= dirty[i].unflushed;
        }
    }
    for (size_t i = 0; i < count; i++)
        log_unref(&dirty[i].log);
    free(dirty);
    free(list);
}

void logs_dir_flush_far(struct logs_dir *dir)
{
    int64_t bound = dir->logs->options.unscanned_max_bytes;

    if (bound > 0 && dir->commit != NULL && !atomic_load(&dir->env.failed))
        flush_dir(dir, bound);
}
