/*
 * One .log from its first byte to its last. A batch that is not good is reported with what a start
 * makes of it, which depends on three things: whether anything is trusted there (a clean stop, or
 * the recovery point above it), whether good batches follow in the file, and whether segments do.
 * Behind a bad batch the walk goes on with the next good one, wherever it begins.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log/disorder.h"
#include "broker/log/producer_batch.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "controller/cli/verify_int.h"

#define PLAIN_BYTES_MAX ((size_t)1 << 30)

struct walk {
    struct verify_part *part;
    const struct verify_segment *segment;
    char *path;
    struct log_file log;
    struct verify_indexes indexes;
    int64_t pos;
};

static int64_t expected(const struct walk *walk)
{
    return walk->part->next_offset > walk->segment->base ? walk->part->next_offset
                                                         : walk->segment->base;
}

/* ---- a bad place ----------------------------------------------------------------------------- */

static bool could_follow(const struct walk *walk, const uint8_t *entry, int64_t left)
{
    size_t size;
    enum err err = batch_peek(entry, BATCH_PEEK_BYTES, &size);

    return err != ERR_CORRUPT_MESSAGE && (int64_t)size <= left &&
           batch_base_offset(entry) >= expected(walk) &&
           batch_base_offset(entry) <= walk->segment->base + INT32_MAX;
}

/* The next good batch behind pos, -1 none. */
static int64_t find_good(struct walk *walk, int64_t pos)
{
    const uint8_t *entry;
    size_t size;

    for (int64_t at = pos; walk->log.size - at > BATCH_PEEK_BYTES; at++) {
        if (log_file_show(&walk->log, at, BATCH_PEEK_BYTES, &entry) != ERR_OK)
            return -1;
        if (could_follow(walk, entry, walk->log.size - at) &&
            log_file_entry(&walk->log, at, INT64_MAX, &entry, &size) == ERR_OK &&
            batch_check(entry, size) == ERR_OK)
            return at;
    }
    return -1;
}

static bool all_zero(struct walk *walk, int64_t pos)
{
    const uint8_t *bytes;

    for (int64_t at = pos; at < walk->log.size;) {
        size_t n = walk->log.size - at > 4096 ? 4096 : (size_t)(walk->log.size - at);

        if (log_file_show(&walk->log, at, n, &bytes) != ERR_OK)
            return false;
        for (size_t i = 0; i < n; i++)
            if (bytes[i] != 0)
                return false;
        at += (int64_t)n;
    }
    return true;
}

static bool is_trusted(const struct walk *walk)
{
    return walk->part->dir->was_clean || expected(walk) < walk->part->recovery_point;
}

static const char *what_start_does(const struct walk *walk, bool more)
{
    if (walk->part->dir->was_clean)
        return "nothing: after a clean stop it is not read again";
    if (is_trusted(walk))
        return "nothing: it lies below the recovery point";
    return more ? "the log ends here; what follows is set aside as .log.damaged and reported"
                : "it is cut off";
}

/* Says what is wrong at walk->pos and moves to the next good batch. False: there is none. */
static bool bad_place(struct walk *walk, const char *what)
{
    struct findings *findings = &walk->part->findings;
    int64_t good = find_good(walk, walk->pos + 1);
    int64_t end = good >= 0 ? good : walk->log.size;
    bool more = good >= 0 || walk->segment->later_bytes > 0;
    bool torn = !more && !is_trusted(walk);

    if (good < 0 && all_zero(walk, walk->pos) && walk->segment->next_base < 0)
        verify_find(findings, FLAW_unused_room, walk->path, walk->pos, expected(walk),
                    "%" PRId64 " bytes of zero behind the last batch", end - walk->pos);
    else
        verify_find(findings, torn ? FLAW_torn_end : FLAW_bad_batch, walk->path, walk->pos,
                    expected(walk), "%s; %" PRId64 " bytes up to %s", what, end - walk->pos,
                    good >= 0 ? "the next good batch" : "the end");
    if (findings->len > 0 && flaw_on_start(findings->list[findings->len - 1].flaw) == NULL)
        findings->list[findings->len - 1].on_start = what_start_does(walk, more);
    walk->pos = end;
    return good >= 0;
}

/* ---- a good one ------------------------------------------------------------------------------ */

static const char *bad_record(const struct batch_info *info, const struct record *record,
                              int64_t *last)
{
    if (record->offset <= *last)
        return "offsets of its records do not increase";
    if (record->offset > info->last_offset)
        return "a record lies behind the batch's last offset";
    *last = record->offset;
    return NULL;
}

static void check_records(struct walk *walk, const uint8_t *entry, const struct batch_info *info)
{
    struct verify_part *part = walk->part;
    struct record_iter iter;
    struct record record;
    int64_t last = info->base_offset - 1;
    const char *why = NULL;
    enum err err = record_iter_init(&iter, entry, info->size, PLAIN_BYTES_MAX, &part->plain);

    while (err == ERR_OK && why == NULL && (err = record_next(&iter, &record)) == ERR_OK) {
        part->records++;
        why = bad_record(info, &record, &last);
    }
    if (why == NULL && err != ERR_NOT_FOUND)
        why = err_text(err);
    if (why == NULL && !part->is_compacted &&
        info->count != info->last_offset - info->base_offset + 1)
        why = "it holds fewer records than offsets";
    if (why != NULL)
        verify_find(&part->findings, FLAW_bad_records, walk->path, walk->pos, info->base_offset,
                    "the records of the batch up to offset %" PRId64 ": %s", info->last_offset,
                    why);
}

static void check_messages(struct walk *walk, const uint8_t *entry, const struct batch_info *info)
{
    struct verify_part *part = walk->part;
    struct legacy_iter iter;
    struct legacy_message message;
    int64_t last = part->next_offset - 1;
    const char *why = NULL;
    enum err err = legacy_iter_init(&iter, entry, info->size, PLAIN_BYTES_MAX, &part->plain);

    while (err == ERR_OK && why == NULL && (err = legacy_next(&iter, &message)) == ERR_OK) {
        part->records++;
        if (message.offset <= last || message.offset > info->last_offset)
            why = "offsets of its messages do not increase up to its own";
        last = message.offset;
    }
    if (why == NULL && err != ERR_NOT_FOUND)
        why = err_text(err);
    if (why != NULL)
        verify_find(&part->findings, FLAW_bad_records, walk->path, walk->pos, info->base_offset,
                    "the messages of the entry with offset %" PRId64 ": %s", info->last_offset,
                    why);
}

static void check_epoch(struct walk *walk, const struct batch_info *info)
{
    struct verify_part *part = walk->part;

    if (info->magic < 2 || (info->leader_epoch < 0 && part->last_epoch < 0 && !part->has_epochs))
        return; /* of a leader that knew no epochs */
    if (info->leader_epoch < part->last_epoch)
        verify_find(&part->findings, FLAW_epochs_disorder, walk->path, walk->pos, info->base_offset,
                    "epoch %" PRId32 " behind epoch %" PRId32, info->leader_epoch,
                    part->last_epoch);
    part->last_epoch = info->leader_epoch;
    if (part->has_epochs && epochs_at(&part->epochs, info->base_offset) != info->leader_epoch &&
        info->base_offset >= part->start_offset)
        verify_find(&part->findings, FLAW_epoch_differs, walk->path, walk->pos, info->base_offset,
                    "the batch has epoch %" PRId32 ", " EPOCHS_FILE " says %" PRId32,
                    info->leader_epoch, epochs_at(&part->epochs, info->base_offset));
}

static void follow_producer(struct walk *walk, const uint8_t *entry, const struct batch_info *info)
{
    struct verify_part *part = walk->part;
    struct producer_batch produced;
    struct producer_txn_end end;

    verify_snapshots_upto(part, info->base_offset);
    if (!producer_batch_read(entry, info, &produced)) {
        if (info->control && info->count > 0 && info->producer_id >= 0)
            verify_find(&part->findings, FLAW_bad_marker, walk->path, walk->pos, info->base_offset,
                        "a control batch that is no marker");
        return;
    }
    producers_apply(part->producers, &produced, &end);
    if (end.ended && end.is_abort)
        verify_indexes_abort(&walk->indexes, &end);
}

/* False: offsets are out of order, and following them would be of no use. */
static bool check_offsets(struct walk *walk, const struct batch_info *info)
{
    struct verify_part *part = walk->part;
    const struct verify_segment *segment = walk->segment;
    int64_t next = expected(walk);
    const char *why = NULL;

    if (info->last_offset < info->base_offset)
        why = "its last offset is less than its first";
    else if (info->last_offset < next)
        why = "it is behind a batch with larger offsets";
    else if (info->magic == 2 && info->base_offset < next)
        why = "it overlaps the batch before";
    else if (segment->next_base >= 0 && info->last_offset >= segment->next_base)
        why = "it reaches into the next segment";
    else if (info->last_offset > segment->base + INT32_MAX)
        why = "its offset is too far from its segment's";
    if (why != NULL) {
        verify_find(&part->findings, FLAW_offsets_disorder, walk->path, walk->pos,
                    info->base_offset, "offsets %" PRId64 " to %" PRId64 ": %s", info->base_offset,
                    info->last_offset, why);
        part->findings.list[part->findings.len - 1].on_start = what_start_does(walk, true);
        return false;
    }
    if (part->next_offset >= 0 && !part->is_compacted && info->magic == 2 &&
        info->base_offset > part->next_offset) {
        verify_find(&part->findings, FLAW_offsets_missing, walk->path, walk->pos, info->base_offset,
                    "offsets %" PRId64 " to %" PRId64 " are not there; further gaps are not told",
                    part->next_offset, info->base_offset - 1);
        part->is_compacted = true; /* or as good as: what counts on all batches cannot be held */
    }
    return true;
}

/* The good batch at pos; false: there is none. */
static bool batch_at(struct walk *walk, int64_t pos, struct batch_info *info)
{
    const uint8_t *entry;
    size_t size;

    if (log_file_entry(&walk->log, pos, INT64_MAX, &entry, &size) != ERR_OK ||
        batch_peek(entry, size, &size) != ERR_OK || batch_check(entry, size) != ERR_OK)
        return false;
    batch_info_read(entry, info);
    return true;
}

/* Whether the batch behind one that is in order so far shows that its offset was raised; a start
 * goes by the same. What was shown of the file is not valid any more. */
static bool is_raised(struct walk *walk, const struct batch_info *info, int64_t *next_base)
{
    int64_t pos = walk->pos + (int64_t)info->size;
    const uint8_t *head;
    struct batch_info second, behind;

    if (info->base_offset < expected(walk) ||
        log_file_show(&walk->log, pos, BATCH_PEEK_BYTES, &head) != ERR_OK ||
        batch_base_offset(head) > info->last_offset || !batch_at(walk, pos, &second))
        return false;
    *next_base = second.base_offset;
    struct disorder_case it = { expected(walk) - 1, info->base_offset,  info->last_offset,
                                second.base_offset, second.last_offset, DISORDER_NOT_KNOWN };

    pos += (int64_t)second.size;
    if (batch_at(walk, pos, &behind))
        it.behind = behind.base_offset;
    else if (pos == walk->log.size && walk->segment->next_base >= 0)
        it.behind = walk->segment->next_base;
    enum disorder which = disorder_judge(&it);

    return which == DISORDER_FIRST || which == DISORDER_EITHER;
}

static void find_raised(struct walk *walk, const struct batch_info *info, int64_t next_base)
{
    struct findings *findings = &walk->part->findings;

    walk->part->batches++;
    verify_find(findings, FLAW_offsets_disorder, walk->path, walk->pos, info->base_offset,
                "offsets %" PRId64 " to %" PRId64 ": the batch behind it begins at %" PRId64,
                info->base_offset, info->last_offset, next_base);
    findings->list[findings->len - 1].on_start = what_start_does(walk, true);
}

static void check_batch(struct walk *walk, const uint8_t *entry, const struct batch_info *info)
{
    struct verify_part *part = walk->part;

    part->batches++;
    if (!check_offsets(walk, info))
        return;
    check_epoch(walk, info);
    if (!part->headers_only && info->magic == 2)
        check_records(walk, entry, info);
    else if (!part->headers_only)
        check_messages(walk, entry, info);
    follow_producer(walk, entry, info);
    verify_indexes_batch(&walk->indexes, info, walk->pos);
    part->next_offset = info->last_offset + 1;
}

/* One entry: false at the end. */
static bool step(struct walk *walk)
{
    const uint8_t *entry;
    size_t size;
    struct batch_info info;
    enum err err = log_file_entry(&walk->log, walk->pos, INT64_MAX, &entry, &size);

    if (err == ERR_NOT_FOUND)
        return walk->pos < walk->log.size && bad_place(walk, "a batch is cut short");
    if (err == ERR_CORRUPT_MESSAGE || (err == ERR_OK && batch_peek(entry, size, &size) != ERR_OK))
        return bad_place(walk, "no batch begins here");
    if (err != ERR_OK) {
        verify_find(&walk->part->findings, FLAW_unreadable, walk->path, walk->pos, -1, "%s",
                    err_text(err));
        return false;
    }
    if (batch_check(entry, size) != ERR_OK)
        return bad_place(walk, "the checksum of a batch is wrong");
    batch_info_read(entry, &info);
    int64_t next_base;

    if (is_raised(walk, &info, &next_base))
        find_raised(walk, &info, next_base);
    else if (log_file_entry(&walk->log, walk->pos, INT64_MAX, &entry, &size) == ERR_OK)
        check_batch(walk, entry, &info);
    walk->pos += (int64_t)size;
    return true;
}

void verify_segment_run(struct verify_part *part, const struct verify_segment *segment)
{
    struct walk walk = { .part = part, .segment = segment };

    walk.path = verify_path(part, segment->base, ".log");
    enum err err = log_file_open(&walk.log, walk.path);

    if (err != ERR_OK) {
        verify_find(&part->findings, FLAW_unreadable, walk.path, -1, segment->base, "%s",
                    err_text(err));
    } else {
        part->bytes += walk.log.size;
        verify_indexes_open(&walk.indexes, part, segment);
        while (step(&walk))
            ;
        verify_indexes_close(&walk.indexes, walk.log.size);
        log_file_close(&walk.log);
    }
    part->segments++;
    free(walk.path);
}
