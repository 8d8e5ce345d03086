/*
 * No record of an earlier run is shown before its batch's checksum was looked at. The first reader
 * pays for it; its read brings the bytes into the page cache, from where they are sent.
 *
 * The offset of a batch is not under its checksum. Where two neighbours do not go up, `disorder`
 * tells which of them is wrong: the other one is served. A wrong offset also leads lookups astray.
 * One that was raised stands in the way of those behind it: they are looked for behind it. One that
 * was lowered is passed over: whoever asks for what lies between two batches that do not touch has
 * the one between them looked at.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/log/disorder.h"
#include "broker/log/log_int.h"
#include "broker/log/scan.h"
#include "common/base/say.h"

#define READ_BYTES (256u << 10)

struct check {
    const struct segment *segment;
    int64_t next_base;      /* all offsets are below */
    int64_t pos;            /* all before is good */
    int64_t last;           /* offset of the last batch before pos */
    struct batch_info prev; /* that batch */
    int64_t prev_pos;       /* where it is, -1 none of the range */
    bool is_bad;            /* what stands at pos is not good */
    bool is_disorder;       /* it, or what stands in front of it */
    int64_t bad_front_pos;  /* it is not shown because of a batch there, -1: because of itself */
};

/* Whether the segment can have these offsets at all. */
static bool is_possible(const struct check *check, const struct batch_info *info)
{
    int64_t base = check->segment->base_offset;

    return info->base_offset >= base && info->last_offset >= info->base_offset &&
           info->last_offset - base <= INT32_MAX && info->last_offset < check->next_base;
}

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
        check->is_bad = !is_possible(check, &info);
        check->is_disorder = !check->is_bad && info.base_offset <= check->last;
        if (check->is_bad || check->is_disorder)
            return;
        check->last = info.last_offset;
        check->prev = info;
        check->prev_pos = check->pos;
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

    while (check->pos < end && want > 0 && !check->is_bad && !check->is_disorder && err == ERR_OK) {
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

/* Where headers can be read from up to pos: two entries of the index before this base. -1: nowhere
 * that is near. */
static int64_t start_before(struct log *log, struct segment *segment, int64_t base, int64_t pos)
{
    struct index_entry entry = { .key = base };
    struct index_saved saved;

    if (atomic_load(&segment->index_damaged))
        return 0;
    for (int i = 0; i < 2; i++) {
        int64_t key = entry.key - 1;

        lock_take(&log->lock);
        enum index_found where = index_find_recent(&segment->offsets, key, &entry, &saved);

        lock_drop(&log->lock);
        bool found = where == INDEX_FOUND;

        if (where == INDEX_LOOK_IN_FILE &&
            index_find_saved(&segment->offsets, &saved, key, &entry, &found) != ERR_OK)
            return -1;
        if (!found)
            return 0;
    }
    return entry.value < pos ? entry.value : -1;
}

/* What stands in front of a batch, by headers alone. */
struct front {
    struct batch_info info;   /* the batch in front of it */
    struct batch_info before; /* and the one in front of that */
    int64_t pos, before_pos;  /* of them, -1: there is none, or it is not known */
    int64_t last;             /* last offset in front, or DISORDER_NOT_KNOWN */
};

static enum err look_in_front(struct log *log, struct segment *segment, struct file *file,
                              int64_t base, int64_t pos, struct front *out)
{
    const struct front nothing = { .pos = -1, .before_pos = -1, .last = DISORDER_NOT_KNOWN };
    struct batch_info info;
    struct scan scan;
    int64_t at;
    int64_t from = start_before(log, segment, base, pos);
    enum err err;

    *out = nothing;
    if (from < 0)
        return ERR_OK;
    if (from == 0)
        out->last = segment->base_offset - 1;
    scan_init(&scan, file, from, pos);
    while ((err = scan_next(&scan, &info, &at)) == ERR_OK) {
        out->before = out->info;
        out->before_pos = out->pos;
        out->info = info;
        out->pos = at;
        out->last = info.last_offset;
    }
    if (err == ERR_CORRUPT_MESSAGE || scan.next != pos)
        *out = nothing;
    return err == ERR_NOT_FOUND || err == ERR_CORRUPT_MESSAGE ? ERR_OK : err;
}

/* Which is wrong, a good batch or the one at second_pos behind it? */
static enum err judge(struct log *log, struct segment *segment, struct file *file,
                      const struct verify_bounds *bounds, const struct batch_info *first,
                      int64_t first_pos, int64_t second_pos, enum disorder *out)
{
    struct disorder_rest rest = { second_pos, bounds->size, bounds->next_base };
    int64_t base = first->base_offset;
    struct batch_info second;
    struct front front;
    struct scan scan;
    enum err err = disorder_find(file, DISORDER_NOT_KNOWN, first, &rest, out);

    if (err != ERR_OK || *out == DISORDER_NONE)
        return err;
    /* Only now what they stand behind is worth a look. */
    scan_init(&scan, file, second_pos, bounds->size);
    if (scan_peek(&scan, &second) == ERR_OK && second.base_offset < base)
        base = second.base_offset; /* the other may have been raised */
    err = look_in_front(log, segment, file, base, first_pos, &front);
    return err == ERR_OK ? disorder_find(file, front.last, first, &rest, out) : err;
}

/* Whether the last batch that was good and what follows it go up. If not, the wrong one of them is
 * at check->pos afterwards, when it is one that the range shows. */
static enum err check_order(struct log *log, struct segment *segment, const struct log_range *range,
                            const struct verify_bounds *bounds, struct check *check)
{
    enum disorder which;

    if (check->is_bad || check->prev_pos < 0)
        return ERR_OK;
    enum err err =
        judge(log, segment, range->file, bounds, &check->prev, check->prev_pos, check->pos, &which);

    if (err != ERR_OK)
        return err;
    if (which == DISORDER_FIRST || which == DISORDER_EITHER) {
        check->pos = check->prev_pos;
        check->is_bad = true;
    } else {
        check->is_bad = check->is_disorder;
    }
    return ERR_OK;
}

static enum err is_good(struct file *file, int64_t pos, size_t size, bool *good)
{
    struct buf buf = BUF_EMPTY;
    enum err err = scan_batch(file, pos, size, &buf);

    *good = err == ERR_OK && batch_check(buf.bytes, size) == ERR_OK;
    buf_fini(&buf);
    return err == ERR_CORRUPT_MESSAGE ? ERR_OK : err;
}

/* Whether the batch in front is bad itself: it may have had what is asked for. */
static enum err is_front_bad(struct log *log, struct segment *segment,
                             const struct log_range *range, const struct verify_bounds *bounds,
                             const struct front *front, bool *is_bad)
{
    enum disorder which = DISORDER_NONE;
    bool good;
    enum err err = is_good(range->file, front->pos, front->info.size, &good);

    if (err == ERR_OK && good && front->before_pos >= 0)
        err = judge(log, segment, range->file, bounds, &front->before, front->before_pos,
                    front->pos, &which);
    *is_bad = !good || which == DISORDER_SECOND || which == DISORDER_EITHER ||
              front->info.base_offset < segment->base_offset;
    return err;
}

/* Of the first batch of a range that begins behind what is not verified: whether its own offset is
 * wrong, or that is asked for which a bad one in front of it may have had. */
static enum err check_front(struct log *log, struct segment *segment, const struct log_range *range,
                            const struct verify_bounds *bounds, int64_t offset, struct check *check)
{
    enum disorder which = DISORDER_NONE;
    struct batch_info info;
    struct front front;
    struct scan scan;
    bool good;

    scan_init(&scan, range->file, range->pos, bounds->size);
    enum err err = scan_peek(&scan, &info);

    if (err == ERR_CORRUPT_MESSAGE || err == ERR_NOT_FOUND)
        return ERR_OK; /* that is found soon enough */
    if (err == ERR_OK)
        err = look_in_front(log, segment, range->file, info.base_offset, range->pos, &front);
    if (err != ERR_OK || front.pos < 0)
        return err;
    if (info.base_offset > front.last) {
        if (info.magic < 2 || offset >= info.base_offset)
            return ERR_OK;
        check->bad_front_pos = front.pos;
        return is_front_bad(log, segment, range, bounds, &front, &check->is_bad);
    }
    err = is_good(range->file, front.pos, front.info.size, &good);
    if (err == ERR_OK && good)
        err = judge(log, segment, range->file, bounds, &front.info, front.pos, range->pos, &which);
    check->is_bad = which == DISORDER_SECOND || which == DISORDER_EITHER;
    return err;
}

/* The first batch is not good: is it the one that the segment has there, or did an index lie? */
static enum err blame(struct log *log, struct segment *segment, const struct verify_bounds *bounds,
                      const struct log_range *range, const struct check *check, int64_t offset)
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
                log->name, segment->base_offset,
                check->bad_front_pos >= 0 ? check->bad_front_pos : range->pos, offset);
    return ERR_CORRUPT_MESSAGE;
}

/* What the range shows up to check->pos is good. */
static enum err check_range(struct log *log, struct segment *segment,
                            const struct verify_bounds *bounds, const struct log_range *range,
                            int64_t offset, struct check *check)
{
    bool goes_on = range->pos == 0;

    *check = (struct check){ .segment = segment,
                             .next_base = bounds->next_base,
                             .pos = range->pos,
                             .last = segment->base_offset - 1,
                             .prev_pos = -1,
                             .bad_front_pos = -1 };
    lock_take(&log->lock);
    goes_on |= verified_has(&segment->verified, range->pos - 1, range->pos);
    lock_drop(&log->lock);
    enum err err = goes_on ? ERR_OK : check_front(log, segment, range, bounds, offset, check);

    if (err == ERR_OK)
        err = check_bytes(range, check);
    if (err == ERR_OK)
        err = check_order(log, segment, range, bounds, check);
    return err == ERR_NOT_FOUND ? ERR_CLOSED : err;
}

/* The first batch is not good. If its offset was raised it stands in the way of the one that is
 * looked for: the range then begins with that. */
static bool step_over(const struct verify_bounds *bounds, struct log_range *range, int64_t offset)
{
    struct batch_info info;
    struct scan scan;
    int64_t pos;

    scan_init(&scan, range->file, range->pos, bounds->end);
    enum err err = scan_next(&scan, &info, &pos);

    if (err == ERR_OK)
        err = scan_next(&scan, &info, &pos);
    if (err != ERR_OK || info.base_offset > offset)
        return false;
    while (info.last_offset < offset)
        if (scan_next(&scan, &info, &pos) != ERR_OK)
            return false;
    range->pos = pos;
    range->base_offset = info.base_offset;
    if ((int64_t)range->len > bounds->end - pos)
        range->len = (size_t)(bounds->end - pos);
    if (range->len < info.size)
        range->len = info.size;
    return true;
}

/* Whether all of it was looked at, and what stands in front of what is asked for, too. */
static bool is_known(struct log *log, struct segment *segment, const struct log_range *range,
                     int64_t offset)
{
    int64_t from = offset < range->base_offset && range->pos > 0 ? range->pos - 1 : range->pos;

    lock_take(&log->lock);
    bool is_known = verified_has(&segment->verified, from, range->pos + (int64_t)range->len);

    lock_drop(&log->lock);
    return is_known;
}

enum err log_verify_range(struct log *log, struct segment *segment,
                          const struct verify_bounds *bounds, struct log_range *range,
                          int64_t offset)
{
    struct check check;

    do {
        if (is_known(log, segment, range, offset))
            return ERR_OK;
        enum err err = check_range(log, segment, bounds, range, offset, &check);

        if (err != ERR_OK)
            return err;
        if (!log_range_is_valid(range))
            return ERR_CLOSED;
        lock_take(&log->lock);
        verified_add(&segment->verified, range->pos, check.pos);
        lock_drop(&log->lock);
        if (!check.is_bad)
            return ERR_OK;
    } while (check.pos == range->pos && step_over(bounds, range, offset));
    if (check.pos == range->pos)
        return blame(log, segment, bounds, range, &check, offset);
    range->len = (size_t)(check.pos - range->pos);
    range->was_cut = true;
    return ERR_OK;
}
