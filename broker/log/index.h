/*
 * index - the sparse indexes of a segment: offset to position (.index), timestamp to offset
 * (.timeindex).
 *
 *     .index      pos 0 size 4  offset - base offset        .timeindex  pos 0 size 8  timestamp, ms
 *                 pos 4 size 4  position in the .log                    pos 8 size 4  offset - base
 *
 * All big-endian. The newest entries wait in memory and are written a page at a time: whoever needs
 * the file complete calls index_save(). A crash loses them, and recovery builds them again.
 *
 * Units:      key and value are absolute: (offset, pos) and (timestamp ms, offset).
 * Threads:    one writer. Readers call index_find_recent() under the lock under which the writer
 *             calls index_add() and index_saved(), and index_find_saved() under none. Whoever saves
 *             holds a lock of the log's against others who save or truncate (LOCK_LOG_INDEX).
 * Errors:     ERR_CORRUPT_FILE when the file is shorter than it should be or says what cannot be.
 *             What an index says is a hint: the caller looks at the batch that it leads to.
 */
#ifndef BROKER_LOG_INDEX_H
#define BROKER_LOG_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/files.h"

enum index_kind { INDEX_OFFSET, INDEX_TIME };

struct index_entry {
    int64_t key;
    int64_t value;
};

struct index {
    enum index_kind kind;       /* [I] */
    int64_t base_offset;        /* [I] */
    int64_t max_entries;        /* most that the file may hold */
    int64_t saved;              /* entries in the file */
    struct index_entry *recent; /* entries that are not in the file yet */
    size_t recent_count;
    size_t recent_cap;
    struct index_entry last; /* the newest of all */
    bool has_last;
    struct file *file; /* [I] a reference */
};

/* Does not touch the disk. */
void index_init(struct index *index, enum index_kind kind, struct file *file, int64_t base_offset,
                int64_t max_bytes);
void index_fini(struct index *index);
/* *copy is overwritten. */
void index_copy(struct index *copy, const struct index *index);

/* Believes the file: its length says how many entries there are. ERR_CORRUPT_FILE when that or the
 * last entry cannot be right. */
MUST_USE enum err index_load(struct index *index, int64_t file_bytes);
/* Reads the whole file, which has been loaded: ERR_CORRUPT_FILE unless keys and values increase and
 * stay in the segment, which is log_bytes long. */
MUST_USE enum err index_check(const struct index *index, int64_t log_bytes);
/* Forgets all entries and empties the file. */
MUST_USE enum err index_reset(struct index *index);

int64_t index_count(const struct index *index);
/* What all its entries take in the file. */
int64_t index_bytes(const struct index *index);
bool index_is_full(const struct index *index);
/* As Kafka does: offsets must increase; a time entry that is not newer is left out. A full time
 * index takes one more entry when its segment closes. */
void index_add(struct index *index, int64_t key, int64_t value, bool is_closing);
/* True when enough entries wait to be written. */
bool index_wants_save(const struct index *index);
/* Writes what waits; index_saved() with the count of before then takes note of it. A copy may be
 * saved in the place of the index itself. */
MUST_USE enum err index_save(const struct index *index);
/* Writes all entries, none of which is in the file, in the place of the file, which is called path:
 * synced, and at once or not at all. */
MUST_USE enum err index_write_whole(const struct index *index, struct disk *disk, const char *path);
/* The first count entries are in the file now. */
void index_saved(struct index *index, int64_t count);

enum index_found { INDEX_FOUND, INDEX_NONE, INDEX_LOOK_IN_FILE };

/* The saved entries as index_find_recent() saw them. */
struct index_saved {
    int64_t count;
    int64_t max_key; /* all are at or below */
};

/* The largest entry whose key is at most the given one. INDEX_LOOK_IN_FILE: it is in the file; ask
 * index_find_saved() with *saved. */
enum index_found index_find_recent(const struct index *index, int64_t key, struct index_entry *out,
                                   struct index_saved *saved);
MUST_USE enum err index_find_saved(const struct index *index, const struct index_saved *saved,
                                   int64_t key, struct index_entry *out, bool *found);
/* Writer only: both in one. */
MUST_USE enum err index_find(const struct index *index, int64_t key, struct index_entry *out,
                             bool *found);

/* Drops entries about offset and later ones. Saved entries are cut off the file. */
MUST_USE enum err index_truncate(struct index *index, int64_t offset);

#endif
