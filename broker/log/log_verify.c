/*
 * No record of an earlier run is shown before its batch's checksum was looked at. The first reader
 * pays for it; its read brings the bytes into the page cache, from where they are sent.
 *
 * The offset of a batch is not under its checksum: one that does not lie behind the batch before it
 * makes the earlier of the two suspect, which may have been raised.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/log_int.h"
#include "broker/log/scan.h"
#include "common/base/say.h"

#define READ_BYTES (256u << 10)

struct check {
    int64_t pos;      /* all before is good */
    int64_t last;     /* offset of the last batch before pos */
    int64_t last_pos; /* of that batch, -1 none */
    bool is_bad;      /* what stands at pos is not */
};

/* The batches in a piece of the range, of which left bytes follow. *want: bytes that the next
 * needs. */
static void check_piece(struct check *check, const uint8_t *bytes, size_t len, size_t left,
                        size_t *want)
{
    size_t at = 0;

    *want = READ_BYTES;
    while (at < len) {
        struct batch_info info;
        size_t size;
        enum err err = batch_peek(bytes + at, len - at, &size);

        if (err == ERR_NOT_FOUND && (size > left - at || size == 0))
            *want = 0; /* cut short by the end of the range, or not even a header is left */
        else if (err == ERR_NOT_FOUND)
            *want = size > READ_BYTES ? size : READ_BYTES;
        else if (err != ERR_OK || batch_check(bytes + at, size) != ERR_OK)
            check->is_bad = true;
        if (err != ERR_OK || check->is_bad)
            return;
        batch_info_read(bytes + at, &info);
        if (info.base_offset <= check->last) {
            check->pos = check->last_pos >= 0 ? check->last_pos : check->pos;
            check->is_bad = true;
            return;
        }
        check->last = info.last_offset;
        check->last_pos = check->pos;
        check->pos += (int64_t)size;
        at += size;
    }
}

static enum err check_bytes(const struct log_range *range, struct check *check)
{
    int64_t end = range->pos + (int64_t)range->len;
    struct buf buf = BUF_EMPTY;
    size_t want = READ_BYTES;
    enum err err = ERR_OK;

    while (check->pos < end && want > 0 && !check->is_bad && err == ERR_OK) {
        size_t left = (size_t)(end - check->pos);
        size_t got;

        if (want > left)
            want = left;
        buf.len = 0;
        err = file_pread(range->file, buf_reserve(&buf, want), want, check->pos, &got);
        if (err == ERR_OK && got < want)
            err = ERR_CLOSED; /* it was cut meanwhile */
        if (err == ERR_OK)
            check_piece(check, buf.bytes, got, left, &want);
    }
    buf_fini(&buf);
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

/* The batch behind the last one of the range tells whether that has its right offset. */
static enum err check_next(const struct log_range *range, struct check *check,
                           const struct verify_bounds *bounds)
{
    uint8_t head[BATCH_HEADER_BYTES];
    int64_t next = bounds->next_base;
    size_t size;
    size_t got;

    if (check->is_bad || check->last_pos < 0)
        return ERR_OK;
    if (check->pos < bounds->size) {
        enum err err = file_pread(range->file, head, sizeof head, check->pos, &got);

        if (err != ERR_OK)
            return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
        if (batch_peek(head, got, &size) == ERR_CORRUPT_MESSAGE || got < BATCH_PEEK_BYTES)
            return ERR_OK; /* its own reader will meet that */
        next = batch_base_offset(head);
    }
    if (next > check->last)
        return ERR_OK;
    check->pos = check->last_pos;
    check->is_bad = true;
    return ERR_OK;
}

/* Where headers can be read from up to pos: what the index has for the batch before this base. -1:
 * nowhere that is near. */
static int64_t start_before(struct log *log, struct segment *segment, int64_t base, int64_t pos)
{
    struct index_saved saved;
    struct index_entry entry;

    if (atomic_load(&segment->index_damaged))
        return -1;
    lock_take(&log->lock);
    enum index_found where = index_find_recent(&segment->offsets, base - 1, &entry, &saved);

    lock_drop(&log->lock);
    bool found = where == INDEX_FOUND;

    if (where == INDEX_LOOK_IN_FILE &&
        index_find_saved(&segment->offsets, &saved, base - 1, &entry, &found) != ERR_OK)
        return -1;
    if (!found)
        return 0;
    return entry.value < pos ? entry.value : -1;
}

/* A reader may come to a batch past the one before it: an offset that was lowered shows by that one
 * alone. If it is that one that was raised, a gap before it shows. */
static enum err check_before(struct log *log, struct segment *segment,
                             const struct log_range *range, struct check *check)
{
    uint8_t head[BATCH_HEADER_BYTES];
    struct batch_info info;
    struct scan scan;
    int64_t last = segment->base_offset - 1, before = last;
    int64_t pos;
    size_t got;
    bool dense = true;
    enum err err = file_pread(range->file, head, sizeof head, range->pos, &got);

    if (err != ERR_OK || got < BATCH_PEEK_BYTES)
        return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
    int64_t base = batch_base_offset(head);
    int64_t from = start_before(log, segment, base, range->pos);

    if (from < 0)
        return ERR_OK;
    scan_init(&scan, range->file, from, range->pos);
    for (bool first = true; scan_next(&scan, &info, &pos) == ERR_OK; first = false) {
        dense = first || info.base_offset == last + 1;
        before = last;
        last = info.last_offset;
    }
    if (base <= last && (dense || base <= before))
        check->last = last;
    return ERR_OK;
}

/* The first batch is not good: is it the one that the segment has there, or did an index lie? */
static enum err blame(struct log *log, struct segment *segment, const struct verify_bounds *bounds,
                      const struct log_range *range, int64_t offset)
{
    struct batch_info info;
    int64_t pos;

    if (!atomic_load(&segment->index_damaged) &&
        segment_find(segment, NULL, bounds->size, offset, &info, &pos) == ERR_OK &&
        pos != range->pos) {
        atomic_store(&segment->index_damaged, true);
        return ERR_CLOSED;
    }
    say_limited(SAY_ERROR,
                "batch is damaged and not served log=%s segment=%" PRId64 " pos=%" PRId64
                " offset=%" PRId64,
                log->name, segment->base_offset, range->pos, offset);
    return ERR_CORRUPT_MESSAGE;
}

enum err log_verify_range(struct log *log, struct segment *segment,
                          const struct verify_bounds *bounds, struct log_range *range,
                          int64_t offset)
{
    int64_t end = range->pos + (int64_t)range->len;
    struct check check = { .pos = range->pos, .last = segment->base_offset - 1, .last_pos = -1 };

    lock_take(&log->lock);
    bool is_known = verified_has(&segment->verified, range->pos, end);
    bool goes_on = range->pos == 0 || verified_has(&segment->verified, range->pos - 1, range->pos);

    lock_drop(&log->lock);
    if (is_known)
        return ERR_OK;
    enum err err = goes_on ? ERR_OK : check_before(log, segment, range, &check);

    if (err == ERR_OK)
        err = check_bytes(range, &check);
    if (err == ERR_OK)
        err = check_next(range, &check, bounds);
    if (err != ERR_OK)
        return err;
    if (!log_range_is_valid(range))
        return ERR_CLOSED;
    lock_take(&log->lock);
    verified_add(&segment->verified, range->pos, check.pos);
    lock_drop(&log->lock);
    if (!check.is_bad)
        return ERR_OK;
    if (check.pos == range->pos)
        return blame(log, segment, bounds, range, offset);
    range->len = (size_t)(check.pos - range->pos);
    range->was_cut = true;
    return ERR_OK;
}
