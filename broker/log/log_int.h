/*
 * log_int - the insides of a log, shared by log*.c and logs*.c and nobody else.
 */
#ifndef BROKER_LOG_LOG_INT_H
#define BROKER_LOG_LOG_INT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/log/log.h"
#include "broker/log/log_entries.h"
#include "broker/log/log_load.h"
#include "broker/log/segment.h"
#include "common/base/lock.h"

#define LOG_TAIL_BATCHES  32
#define LOG_FUTURE_SUFFIX "-future"

/* A batch near the end of the active segment: where a consumer that keeps up reads next. */
struct tail_batch {
    int64_t base_offset;
    int64_t last_offset;
    int64_t pos;
};

/*
 * Who may touch what:  [I] set before anyone else can see it, then never changed
 *                      [a] atomic
 *                      [p] changed by whoever holds the partition's append lock
 *                      [m] under lock; changed only by one who holds the append lock or, when
 *                          segments go, the swap lock, too
 *                      [l] under lock     [P] under producers_lock
 *                      [c] the directory's thread, before it runs and after it has ended: anybody
 */
struct log {
    atomic_uint refs;               /* [a] */
    struct log_env *env;            /* [I] */
    char *topic;                    /* [I] */
    int32_t partition;              /* [I] */
    _Atomic(char *) name;           /* [a] of the directory */
    _Atomic(char *) path;           /* [a] */
    char *retired[4];               /* [p] earlier names and paths: somebody may still read them */
    _Atomic int64_t leo;            /* [a] released after all that readers of it need */
    _Atomic int64_t start;          /* [a] */
    _Atomic int64_t recovery_point; /* [a] */
    _Atomic int64_t saved_recovery_point; /* [a] what the directory's file says */
    _Atomic int64_t first_unstable;       /* [a] -1 none */
    _Atomic uint32_t truncations;         /* [a] odd while one is under way */
    _Atomic uint32_t swaps;               /* [a] compacted segments that were put in */
    _Atomic int64_t last_flush_ms;        /* [a] */
    _Atomic int64_t appended_bytes;       /* [a] since the start, and what recovery has read */
    _Atomic int64_t flushed_bytes;        /* [a] of them, as of the recovery point */
    _Atomic int64_t saved_bytes;    /* [a] of them, as of the recovery point that is on file */
    _Atomic uint32_t names;         /* [a] how often files were made, renamed or removed */
    _Atomic uint32_t names_synced;  /* [a] what that was before the last sync of the directory */
    atomic_bool is_touched;         /* [a] changed since it was loaded from a clean stop */
    atomic_bool epochs_dirty;       /* [a] the file is behind */
    atomic_bool is_deleted;         /* [a] nothing is to be written any more */
    atomic_bool is_cleaning;        /* [a] one compacts it, see log_swap.h */
    atomic_bool is_uncleanable;     /* [a] */
    _Atomic int64_t cleaned_upto;   /* [a] -1 never */
    _Atomic int64_t clean_after_ms; /* [a] */

    struct lock swap_lock;     /* rank LOCK_LOG_SWAP: files are renamed, segments leave the list */
    struct lock epochs_lock;   /* rank LOCK_LOG_EPOCHS */
    bool epochs_drafted;       /* under epochs_lock: a newer file lies beside the file */
    struct lock index_lock;    /* rank LOCK_LOG_INDEX: who saves or cuts indexes */
    struct lock lock;          /* rank LOCK_LOG */
    struct log_conf conf;      /* [l] */
    struct epochs epochs;      /* [l] */
    struct uuid topic_id;      /* [l] */
    struct segment **segments; /* [m] by base offset, never empty */
    size_t segment_count;      /* [m] */
    size_t segment_cap;        /* [m] */
    struct tail_batch *tail;   /* [m] ring, NULL before the first append */
    size_t tail_next;          /* [m] */
    size_t tail_count;         /* [m] */
    uint64_t rand_state;       /* [p] for the jitter */

    bool is_loading;            /* nobody else has it yet */
    bool may_give_up;           /* while it is recovered: a stop ends that */
    int64_t unlooked_bytes;     /* gone through since a stop was looked for */
    struct log_entries listing; /* while it is loading: the directory as of the last look */

    struct lock producers_lock;  /* rank LOCK_PRODUCERS */
    struct producers *producers; /* [P] */
    int64_t producers_upto;      /* [P] after the last batch that they know of */
    int64_t recall_below;   /* [P] offset of the snapshot that they began with; 0: none, or what
                                   it leaves out has been looked for */
    int64_t stray_snapshot; /* [c] offset of the last one between two rolls, -1 none */
};

/* After a file was made, renamed or removed: the next flush syncs the directory. */
static inline void log_names_changed(struct log *log)
{
    atomic_fetch_add(&log->names, 1);
}

/* log_slow.c: the clock is that of the last timer tick, a few ms ago at most, for a tenth of the
 * price. */
int64_t log_coarse_ms(void);
void log_note_append_time(struct log *log, int64_t began_ms, int64_t ended_ms);

/* log.c */
struct segment *log_active(const struct log *log);
/* err, after marking the directory failed when it is one of the disk. */
enum err log_failed(struct log *log, enum err err, const char *doing);
/* Adds a segment after all others; it exists on disk. */
void log_add_segment_locked(struct log *log, struct segment *segment);
struct segment *log_new_segment(struct log *log, int64_t base_offset, int64_t now_ms);
/* Closes the active segment and starts one at base. */
enum err log_roll_to(struct log *log, int64_t base_offset, int64_t now_ms);
/* Index of the segment that an offset falls into. */
size_t log_floor_locked(const struct log *log, int64_t offset);
void log_publish_unstable_locked(struct log *log);
void log_forget_tail_locked(struct log *log);
/* Writes a producers' snapshot for offset. */
enum err log_snapshot(struct log *log, int64_t offset, bool sync);
/* Writes one for about now, instead of the one that was written so before. By the directory's
 * thread.
 */
enum err log_snapshot_now(struct log *log);
/* Of a segment that will not grow: adds the closing entry, writes and trims. */
enum err log_complete_indexes(struct log *log, struct segment *segment);
/* log_write_out() would find something to do. */
bool log_wants_write_out_locked(const struct log *log);
/* Writes the index entries that wait in memory. */
enum err log_save_indexes(struct log *log);
char *log_file_path(const struct log *log, int64_t offset, const char *ending);

/* log_recover.c: so many bytes have been gone through. ERR_SHUTTING_DOWN: while the log was
 * recovered a stop has been asked for. */
MUST_USE enum err log_went_through(struct log *log, int64_t bytes);

/* log_load.c: the directory has not the path any more that log->path was; waits for who is renaming
 * it. Something that was not found under that one is then to be looked for again. */
bool log_was_renamed(struct log *log, const char *path);

/* log_epochs.c */
bool log_epochs_are_behind(const struct log *log);
/* Writes the file of epochs when it is behind, synced. */
enum err log_save_epochs(struct log *log);
/* Writes it beside the old one, not synced; log_place_epochs() then puts it in place when it has
 * been synced meanwhile, or forgets it. */
enum err log_draft_epochs(struct log *log);
enum err log_place_epochs(struct log *log, bool is_synced);

/* log_producers.c: producers anew from the newest snapshot at or below offset and the batches up to
 * it.
 */
enum err log_rebuild_producers(struct log *log, int64_t upto_offset, int64_t now_ms);
/* As above, but a snapshot up to newest_snapshot will do, too: *known is then its offset. */
enum err log_rebuild_producers_from(struct log *log, int64_t upto_offset, int64_t newest_snapshot,
                                    int64_t now_ms, int64_t *known);
/* Removes snapshots below or above. */
void log_drop_snapshots(struct log *log, int64_t below, int64_t above);
/* Keeps the snapshots at segment bases and the newest one, none above. */
void log_drop_stray_snapshots(struct log *log, int64_t above);

/* log_verify.c: makes sure that what a range shows of an earlier run's bytes is good, once. The
 * range is cut before a batch that is not. ERR_CORRUPT_MESSAGE: that is the first. ERR_CLOSED: an
 * index has led astray, look again. */
struct verify_bounds {
    int64_t size;      /* of the segment */
    int64_t end;       /* nothing is shown from there on */
    int64_t next_base; /* no record of it has this offset or a later one */
};
MUST_USE enum err log_verify_range(struct log *log, struct segment *segment,
                                   const struct verify_bounds *bounds, struct log_range *range,
                                   int64_t offset);

/* log_trim.c: drops the last segment, which is empty; the one before has another struct then. */
MUST_USE enum err log_undo_roll(struct log *log);
/* log_trim.c: renames the files to .deleted and has them removed after a while. On a full disk they
 * are removed at once; what is left of them after an error is no longer the log's all the same. */
MUST_USE enum err log_drop_segment(struct log *log, struct segment **segment, bool at_once);
/* Has files that are .deleted already removed after a while. */
void log_remove_segment_files(struct log *log, const struct segment *segment);

#endif
