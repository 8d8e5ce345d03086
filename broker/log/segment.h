/*
 * segment - one .log file with its indexes.
 *
 * The struct is open to the files of broker/log and to nobody else. A segment that was taken out of
 * its log lives until its last reader lets go; its files may be renamed or gone by then.
 *
 * Units:      offsets are records, sizes and positions bytes.
 * Threads:    [I] never changes. [m] under the lock of its log; one writer, the appender, may read
 *             them without. The indexes: see index.h.
 */
#ifndef BROKER_LOG_SEGMENT_H
#define BROKER_LOG_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/log/files.h"
#include "broker/log/index.h"
#include "broker/log/log_conf.h"
#include "broker/log/txnindex.h"
#include "broker/log/verified.h"
#include "common/wire/batch.h"

struct segment {
    atomic_uint refs;             /* [a] */
    int64_t base_offset;          /* [I] */
    struct files *files;          /* [I] */
    char *stem;                   /* [m] path without ending */
    struct file *file;            /* [I] .log */
    struct file *txn_file;        /* [I] .txnindex, may not exist */
    struct index offsets;         /* [m] .index */
    struct index times;           /* [m] .timeindex */
    int64_t size;                 /* [m] of the .log */
    int64_t txn_count;            /* [m] entries of the .txnindex */
    int64_t max_timestamp;        /* [m] -1 when not known */
    int64_t max_timestamp_offset; /* [m] */
    int64_t first_timestamp;      /* [m] largest of the first batch, INT64_MIN when not known yet */
    int64_t mtime_ms;             /* [m] of the .log when it was loaded */
    int64_t bytes_since_index;    /* [m] */
    int64_t created_ms;           /* [I] of this struct */
    int64_t jitter_ms;            /* [I] off segment.ms */
    int64_t written_out;          /* [m] write-out has been started up to here */
    int64_t reserved;             /* [m] the disk has room for the .log up to here; 0: not known */
    atomic_bool index_damaged;    /* [a] an index has led astray: to be built anew */
    bool txns_damaged;            /* [m] the .txnindex, likewise; known at load */
    bool unindexed;               /* [m] the .index is missing until all are built anew */
    struct verified verified;     /* [m] which bytes may be served */
};

/* A border between two batches. */
struct segment_place {
    int64_t pos;
    int64_t offset; /* of the batch that begins there */
};

/* Endings of the files, in the order that deletion takes them. */
enum segment_file { SEGMENT_LOG, SEGMENT_INDEX, SEGMENT_TIME, SEGMENT_TXN, SEGMENT_FILES };
extern const char *const segment_endings[SEGMENT_FILES];

/* Does not touch the disk. dir: the log's directory. */
struct segment *segment_new(struct files *files, const char *dir, int64_t base_offset,
                            const struct log_conf *conf, int64_t now_ms, int64_t jitter_ms);
/* Under the log's lock. The same files, a state of its own: what is changed on the copy is not seen
 * by readers of the other. */
struct segment *segment_copy(const struct segment *segment);
struct segment *segment_ref(struct segment *segment);
void segment_unref(struct segment **segment);

/* Makes the .log, with preallocate as long as a segment gets, and both indexes, empty. */
MUST_USE enum err segment_create(struct segment *segment, const struct log_conf *conf);
/* Takes over existing files as they are. Indexes that are missing or cannot be right are marked
 * damaged; without an .index, all of them. */
MUST_USE enum err segment_load(struct segment *segment);

/* Of the appender: len bytes are about to be written at the end. Where room on the disk should be
 * taken up to ahead of them, not beyond segment_bytes; 0: there is enough, or it does not pay. */
int64_t segment_reserve_upto(const struct segment *segment, size_t len, int64_t segment_bytes);
/* Takes note of one batch that has been written at the end: index, timestamps, size. */
void segment_note(struct segment *segment, const struct batch_info *info, int64_t interval_bytes);
/* An abort marker was written. */
MUST_USE enum err segment_note_abort(struct segment *segment, const struct aborted_txn *txn);
/* Adds the last time entry. */
void segment_close_times(struct segment *segment);
/* Writes what the indexes keep in memory and makes those that are missing; the .index last, and not
 * while it has to be missing. A copy will do. */
MUST_USE enum err segment_save_indexes(const struct segment *segment);
/* The same, and cuts preallocated and reserved room. segment_saved() then takes note of it. */
MUST_USE enum err segment_save(struct segment *segment);
void segment_saved(struct segment *segment);
MUST_USE enum err segment_sync(struct segment *segment);

/* Of the .log as the disk has it. */
MUST_USE enum err segment_stat(const struct segment *segment, struct disk_stat *st);
/* The files have this ending behind their names (.cleaned); nothing is renamed. */
void segment_name_files(struct segment *segment, const char *ending);
/* No file is open any more but for who is reading it. */
void segment_keep_closed(struct segment *segment);

/* Largest timestamp, or the file's time when no record has one. */
int64_t segment_largest_timestamp(const struct segment *segment);

/* Position of the first batch whose last offset is at or above offset, not after limit. hint: what
 * the index says, NULL nothing; one that cannot be right is passed over and the segment marked.
 * *info is that batch's. ERR_NOT_FOUND: none. */
MUST_USE enum err segment_find(struct segment *segment, const struct index_entry *hint,
                               int64_t limit, int64_t offset, struct batch_info *info,
                               int64_t *pos);

/* Of a copy that nobody else sees yet. Cuts everything from the batch that holds offset, and syncs
 * that. *end_offset: offset, or the first of that batch. */
MUST_USE enum err segment_truncate(struct segment *segment, int64_t offset, int64_t *end_offset);

/* Renames all files: ending added ("" to ".deleted") or replaced. */
MUST_USE enum err segment_rename(struct segment *segment, const char *from_ending,
                                 const char *to_ending);

/* Removes all files under the names that the list of the log knows; one that is not there is no
 * error. The .log first: the others are nothing without it. */
MUST_USE enum err segment_remove(struct segment *segment);

typedef enum err (*segment_batch_fn)(void *ctx, const uint8_t *batch,
                                     const struct batch_info *info);

/*
 * After a crash, of a segment that was loaded: where reading anew has to begin when all below
 * trusted_offset is on stable storage; from there on the indexes are cut. The start of the segment
 * when the indexes are of no use.
 */
MUST_USE enum err segment_resume(struct segment *segment, int64_t trusted_offset,
                                 struct segment_place *from);
/*
 * Reads what follows, checks every batch and rebuilds the indexes, up to the last good one: *lost
 * is how many bytes of the file come after it, still there. each (may be NULL) sees every good
 * batch, whole.
 */
MUST_USE enum err segment_recover(struct segment *segment, const struct segment_place *from,
                                  int64_t interval_bytes, segment_batch_fn each, void *ctx,
                                  int64_t *lost);
/* Cuts what segment_recover() has left over, synced. Of a segment that will not grow it completes
 * and saves the indexes; of the last one it leaves that to whoever writes them next. */
MUST_USE enum err segment_finish(struct segment *segment, bool is_last);
/*
 * Builds the indexes anew from the batches' headers; no byte of the log is changed. The .index is
 * gone first and is made last, whole: until then nobody believes the others. *skipped: bytes that
 * are no batch. with_txns: the .txnindex is emptied, too, and is for each to fill, which
 * sees the header of every batch, and of control batches all.
 */
MUST_USE enum err segment_reindex(struct segment *segment, int64_t interval_bytes, bool with_txns,
                                  segment_batch_fn each, void *ctx, int64_t *skipped);

/* Where the records end (an index that says otherwise is marked), and the header of the last batch
 * (epoch -1 when it is empty). Reads from the last index entry on. ERR_CORRUPT_MESSAGE when that is
 * not where the file ends. */
MUST_USE enum err segment_end(struct segment *segment, int64_t *next, struct batch_info *last);

#endif
