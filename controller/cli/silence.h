/*
 * silence - since when the members of a group commit nothing, out of one look.
 *
 * No broker says when an offset was committed, or whether a member polls: its heartbeats go on
 * without. But each commit is a record of __consumer_offsets with its time, and so is each
 * generation of the group, and consumers may read that log. Its last minutes tell.
 *
 * Units:      times in ms since 1970, spans in ms.
 * Ownership:  everything lives in the view's arena.
 * Threads:    one; silence_find() waits, up to cli->deadline_ms.
 */
#ifndef CONTROLLER_CLI_SILENCE_H
#define CONTROLLER_CLI_SILENCE_H

#include "controller/cli/group.h"

/* Sets still_ms and still_more of parts with unread records and a member, of a group that is
 * stable. What cannot be known, because the log is not to be read or there is too much of it, is
 * left at 0. Needs leaders and ends, as of group_find_ends(). */
void silence_find(struct link *link, struct group_view *view);

/* Takes commits and generations of the group out of fetched entries, the last of which may be cut
 * short; *next becomes the offset behind the last whole one. */
enum err silence_read(const uint8_t *bytes, size_t len, struct group_view *view,
                      int64_t *next) MUST_USE;
/* What was read since now_ms - span_ms, as still_ms and still_more. */
void silence_judge(struct group_view *view, int64_t now_ms, int64_t span_ms);

#endif
