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

/* Makes the .log; with preallocate as long as a segment gets. */
MUST_USE enum err segment_create(struct segment *segment, const struct log_conf *conf);
/* Takes over existing files as they are. ERR_CORRUPT_FILE: an index is missing or cannot be right,
 * the segment is to be recovered. */
MUST_USE enum err segment_load(struct segment *segment);

/* Takes note of one batch that has been written at the end: index, timestamps, size. */
void segment_note(struct segment *segment, const struct batch_info *info, int64_t interval_bytes);
/* An abort marker was written. */
MUST_USE enum err segment_note_abort(struct segment *segment, const struct aborted_txn *txn);
/* Writes what the indexes keep in memory. is_closing: adds the last time entry, cuts preallocated
 * room, makes missing index files. [m] is changed by segment_saved(). */
void segment_close_times(struct segment *segment);
MUST_USE enum err segment_save(struct segment *segment);
void segment_saved(struct segment *segment);
MUST_USE enum err segment_sync(struct segment *segment);

/* Largest timestamp, or the file's time when no record has one. */
int64_t segment_largest_timestamp(const struct segment *segment);

/* Position of the first batch whose last offset is at or above offset, not after limit; searched
 * from from_pos. ERR_NOT_FOUND: none. *info is that batch's. */
MUST_USE enum err segment_scan_to(const struct segment *segment, int64_t from_pos, int64_t limit,
                                  int64_t offset, struct batch_info *info, int64_t *pos);

/* Of a copy that nobody else sees yet. Cuts everything from the batch that holds offset, and syncs
 * that. *end_offset: offset, or the first of that batch. */
MUST_USE enum err segment_truncate(struct segment *segment, int64_t offset, int64_t *end_offset);

/* Renames all files: ending added ("" to ".deleted") or replaced. */
MUST_USE enum err segment_rename(struct segment *segment, const char *from_ending,
                                 const char *to_ending);

/*
 * Reads the whole file, checks every batch, rebuilds the indexes and cuts what follows the last
 * good one. each (may be NULL) sees every good batch, whole. *cut_bytes: how much went.
 */
MUST_USE enum err segment_recover(struct segment *segment, int64_t interval_bytes,
                                  enum err (*each)(void *ctx, const uint8_t *batch,
                                                   const struct batch_info *info),
                                  void *ctx, int64_t *cut_bytes);

/* Visits batches from pos on, whole and in order, up to end. Like the above without checks. */
MUST_USE enum err segment_each(const struct segment *segment, int64_t pos, int64_t end,
                               enum err (*each)(void *ctx, const uint8_t *batch,
                                                const struct batch_info *info),
                               void *ctx);

/* Offset after the last record; the base when it is empty. Reads from the last index entry on. */
MUST_USE enum err segment_next_offset(const struct segment *segment, int64_t *next);

#endif
