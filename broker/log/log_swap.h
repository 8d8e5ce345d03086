/*
 * log_swap - what compaction needs of a live log: its closed segments, a place to write others, and
 * those put in their place at once, whatever happens meanwhile (Kafka: LocalLog.replaceSegments).
 *
 * The log is appended to, read, truncated, cut at its start and deleted while it is compacted;
 * nobody waits for compaction longer than a swap takes. Closed segments do not change: when one has
 * left its log by the time of the swap, there is none.
 *
 * A reader that holds a range of an old segment may read on; its files go after
 * file.delete.delay.ms.
 *
 * Units:      offsets count records.
 * Ownership:  lists of segments hold references.
 * Threads:    any, one compaction of a log at a time: log_clean_begin().
 * Errors:     ERR_CLOSED: the log is not what it was, give up; ERR_NO_SPACE: nothing was changed.
 */
#ifndef BROKER_LOG_LOG_SWAP_H
#define BROKER_LOG_LOG_SWAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/log/log.h"
#include "broker/log/segment.h"

struct log_closed {
    struct segment **segments; /* all but the active one, oldest first */
    size_t count;
    int64_t active_base;
    int64_t start, leo;
    uint32_t truncations; /* as of now */
};

void log_closed_get(struct log *log, struct log_closed *out);
void log_closed_done(struct log_closed *closed);

/* True when the log was truncated since. */
bool log_was_cut(const struct log *log, const struct log_closed *closed);

/* When a closed segment was last written to, as its file says. */
MUST_USE enum err log_closed_mtime(struct log *log, const struct segment *segment,
                                   int64_t *mtime_ms);

/* An empty segment whose files end in .cleaned. Leftovers of that name go. */
MUST_USE enum err log_cleaned_new(struct log *log, int64_t base_offset, struct segment **out);
/* Takes it; its files go. */
void log_cleaned_drop(struct log *log, struct segment **cleaned);
/*
 * Takes a finished segment that is all of the old ones compacted, and puts it in their place. It is
 * saved and synced here and gets the time of the last of them. Old segments are the first of a
 * closed list or follow one another in it.
 */
MUST_USE enum err log_swap(struct log *log, struct segment **cleaned, struct segment *const *old,
                           size_t old_count);

/* ---- the state of compaction; kept with the log, in a file by whoever compacts ---- */

/* One at a time: false when it is being compacted. Retention waits meanwhile. */
bool log_clean_begin(struct log *log);
void log_clean_end(struct log *log);
/* It was deleted or has failed: no use to go on. */
bool log_is_gone(const struct log *log);
/* All below was compacted; -1 never. A truncation lowers it. */
int64_t log_cleaned_upto(const struct log *log);
void log_set_cleaned_upto(struct log *log, int64_t offset);
/* The closed segments were compacted up to offset; nothing when the log was truncated since. */
void log_note_cleaned(struct log *log, const struct log_closed *closed, int64_t offset);
/* Not to be tried again before this time, on whatever clock the caller uses. */
int64_t log_clean_after(const struct log *log);
void log_set_clean_after(struct log *log, int64_t at_ms);
/* Compaction has met something in it that it must not touch. */
bool log_is_uncleanable(const struct log *log);
void log_set_uncleanable(struct log *log);

#endif
