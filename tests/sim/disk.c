/*
 * A log as broker/log keeps it, without its bytes. kill -9 leaves all that was written, a machine
 * that goes leaves what was flushed and a part of the rest. The file of epochs and the recovery
 * point are written where the real log writes them: after a cut, at a flush, and now and then.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/sim/sim.h"

#define SEGMENT 8 /* records */

void disk_init(struct disk_log *log)
{
    memset(log, 0, sizeof *log);
    log->gen = -1;
    epochs_init(&log->epochs);
    epochs_init(&log->epochs_file);
}

void disk_fini(struct disk_log *log)
{
    free(log->recs);
    epochs_fini(&log->epochs);
    epochs_fini(&log->epochs_file);
}

void disk_begin(struct disk_log *log, int gen, int dir)
{
    log->gen = gen;
    log->dir = dir;
    log->leo = log->flushed = log->recovery_file = log->hw_file = 0;
    epochs_clear(&log->epochs);
    epochs_clear(&log->epochs_file);
    log->epochs_dirty = false;
}

void disk_append(struct disk_log *log, struct oracle_rec rec)
{
    array_reserve(&log->recs, &log->cap, (size_t)log->leo, sizeof *log->recs);
    log->recs[log->leo] = rec;
    log->epochs_dirty |= epochs_assign(&log->epochs, rec.epoch, log->leo);
    log->leo++;
}

static void copy_epochs(const struct epochs *from, struct epochs *to)
{
    epochs_clear(to);
    for (size_t i = 0; i < from->count; i++)
        epochs_assign(to, from->entries[i].epoch, from->entries[i].start_offset);
}

void disk_save_epochs(struct disk_log *log)
{
    if (log->epochs_dirty)
        copy_epochs(&log->epochs, &log->epochs_file);
    log->epochs_dirty = false;
}

void disk_flush(struct disk_log *log)
{
    disk_save_epochs(log); /* first: what lies below the recovery point is not looked at again */
    log->flushed = log->leo;
}

void disk_cut(struct disk_log *log, int64_t offset)
{
    if (offset >= log->leo) {
        log->epochs_dirty |= epochs_truncate_from_end(&log->epochs, log->leo);
        return;
    }
    assert(offset >= 0);
    log->leo = offset;
    if (log->flushed > offset)
        log->flushed = offset;
    if (log->recovery_file > offset)
        log->recovery_file = offset;
    epochs_truncate_from_end(&log->epochs, offset);
    log->epochs_dirty = true;
    disk_save_epochs(log);
}

void disk_assign(struct disk_log *log, int32_t epoch, int64_t offset)
{
    log->epochs_dirty |= epochs_assign(&log->epochs, epoch, offset);
}

void disk_load(struct disk_log *log, bool is_clean)
{
    copy_epochs(&log->epochs_file, &log->epochs);
    log->epochs_dirty = false;
    /* whole segments, from the one with the recovery point on */
    int64_t from = log->recovery_file - log->recovery_file % SEGMENT;
    for (int64_t i = is_clean ? log->leo : from; i < log->leo; i++)
        if (log->recs[i].epoch > epochs_latest(&log->epochs))
            log->epochs_dirty |= epochs_assign(&log->epochs, log->recs[i].epoch, i);
    log->epochs_dirty |= epochs_truncate_from_end(&log->epochs, log->leo);
    disk_save_epochs(log);
}

void disk_lose_tail(struct disk_log *log, int64_t keep)
{
    assert(keep >= log->flushed && keep <= log->leo);
    log->leo = keep;
}
