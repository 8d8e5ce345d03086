/*
 * log_recover - what a start makes of the segments of one log: recovery after a crash, indexes and
 * epochs built anew.
 *
 * Threads: as log_load.h: nobody else has the log yet. log_reindex() also later, by the holder of
 * the append lock. Errors:  the disk's. Damage is no error: it is dealt with and said.
 */
#ifndef BROKER_LOG_LOG_RECOVER_H
#define BROKER_LOG_LOG_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/log_load.h"

struct segment;

/* Segments have been loaded: mends what is amiss and finds the end of the last one. *recovered: the
 * log has been read anew from somewhere, and its producers are known. */
MUST_USE enum err log_settle_segments(struct log *log, const struct log_load *load,
                                      bool *recovered);
/* Reads what is above trusted_offset anew. */
MUST_USE enum err log_recover(struct log *log, int64_t trusted_offset, int64_t now_ms);
/* Takes all segments out of the log and keeps those with records under other names. */
MUST_USE enum err log_set_aside(struct log *log);
/* The indexes of one segment from its batches; also the .txnindex when that was damaged, which
 * leaves the producers as of the end of the segment. */
MUST_USE enum err log_reindex(struct log *log, struct segment *segment, int64_t now_ms);
/* [append] Builds the indexes anew that have led a reader astray. */
MUST_USE enum err log_mend(struct log *log);
/* The epochs from the headers of all batches. */
MUST_USE enum err log_rebuild_epochs(struct log *log);

#endif
