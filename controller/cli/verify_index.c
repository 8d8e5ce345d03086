/*
 * The indexes of a segment are sorted as its batches are, so they are held against them on one
 * walk: each index has an entry that waits for its batch to go by.
 *
 *     .index      an entry is right when a batch begins at its position, and no offset of that
 * batch is above the entry's: a search that finds the entry scans forward from there .timeindex
 * right when no batch up to the entry's offset has a larger timestamp, and the batch that ends at
 * this offset has just this one .txnindex   of a log that was never compacted: what the markers in
 * the segment have ended
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"
#include "common/wire/batch.h"
#include "controller/cli/verify_int.h"

enum { INDEX_ENTRY = 8, TIME_ENTRY = 12, TXN_ENTRY = 34, CHUNK_BYTES = 1 << 20 };

/* ---- .index ---------------------------------------------------------------------------------- */

static int64_t index_offset(const struct verify_indexes *indexes)
{
    return indexes->segment->base + load_be32(indexes->index + indexes->index_at);
}

static int64_t index_pos(const struct verify_indexes *indexes)
{
    return load_i32(indexes->index + indexes->index_at + 4);
}

static bool has_index(const struct verify_indexes *indexes)
{
    return indexes->index_len - indexes->index_at >= INDEX_ENTRY;
}

static void bad_index(struct verify_indexes *indexes, const char *why)
{
    verify_find(&indexes->part->findings, indexes->is_stale ? FLAW_index_stale : FLAW_index_wrong,
                indexes->index_path, (int64_t)indexes->index_at, index_offset(indexes),
                "the entry (offset %" PRId64 ", position %" PRId64 "): %s", index_offset(indexes),
                index_pos(indexes), why);
}

static void next_index(struct verify_indexes *indexes)
{
    indexes->last_index_offset = index_offset(indexes);
    indexes->last_index_pos = index_pos(indexes);
    indexes->index_at += INDEX_ENTRY;
}

/* Those that point before pos, at which a batch begins, have missed theirs. */
static void pass_index(struct verify_indexes *indexes, int64_t pos)
{
    for (; has_index(indexes) && index_pos(indexes) < pos; next_index(indexes)) {
        if (index_pos(indexes) <= indexes->last_index_pos ||
            index_offset(indexes) <= indexes->last_index_offset)
            bad_index(indexes, "it is not behind the entry before");
        else
            bad_index(indexes, "no batch begins there");
    }
}

static void check_index(struct verify_indexes *indexes, const struct batch_info *info, int64_t pos)
{
    pass_index(indexes, pos);
    for (; has_index(indexes) && index_pos(indexes) == pos; next_index(indexes)) {
        if (index_offset(indexes) <= indexes->last_index_offset)
            bad_index(indexes, "its offset is not above that of the entry before");
        else if (index_offset(indexes) < info->base_offset)
            bad_index(indexes, "the batch there begins behind that offset");
    }
}

/* ---- .timeindex ------------------------------------------------------------------------------ */

static int64_t time_stamp(const struct verify_indexes *indexes)
{
    return load_i64(indexes->times + indexes->times_at);
}

static int64_t time_offset(const struct verify_indexes *indexes)
{
    return indexes->segment->base + load_be32(indexes->times + indexes->times_at + 8);
}

static bool has_time(const struct verify_indexes *indexes)
{
    return indexes->times_len - indexes->times_at >= TIME_ENTRY;
}

static void bad_time(struct verify_indexes *indexes, const char *why)
{
    verify_find(&indexes->part->findings, indexes->is_stale ? FLAW_index_stale : FLAW_times_wrong,
                indexes->times_path, (int64_t)indexes->times_at, time_offset(indexes),
                "the entry (timestamp %" PRId64 ", offset %" PRId64 "): %s", time_stamp(indexes),
                time_offset(indexes), why);
}

static void next_time(struct verify_indexes *indexes)
{
    indexes->last_time = time_stamp(indexes);
    indexes->last_time_offset = time_offset(indexes);
    indexes->times_at += TIME_ENTRY;
}

/* info NULL: the end of the segment. */
static void check_times(struct verify_indexes *indexes, const struct batch_info *info)
{
    int64_t upto = info != NULL ? info->last_offset : INT64_MAX;

    for (; has_time(indexes) && time_offset(indexes) <= upto; next_time(indexes)) {
        if (time_stamp(indexes) <= indexes->last_time ||
            time_offset(indexes) < indexes->last_time_offset)
            bad_time(indexes, "it is not behind the entry before");
        else if (info == NULL || time_offset(indexes) < info->last_offset)
            bad_time(indexes, "no batch ends at that offset");
        else if (indexes->max_timestamp > time_stamp(indexes))
            bad_time(indexes, "a batch before it is newer");
        else if (info->max_timestamp != time_stamp(indexes))
            bad_time(indexes, "the batch there has another timestamp");
    }
}

/* ---- .txnindex ------------------------------------------------------------------------------- */

/* Compaction takes transactions away, and of a log whose beginning is gone not all are known. */
static bool txns_tell(const struct verify_indexes *indexes)
{
    return !indexes->part->is_compacted && indexes->part->producers_known;
}

static const struct aborted_txn *waiting_txn(const struct verify_indexes *indexes)
{
    return indexes->txns_at < indexes->txns_len ? &indexes->txns[indexes->txns_at] : NULL;
}

static void bad_txn(struct verify_indexes *indexes, int64_t last_offset, const char *why)
{
    verify_find(&indexes->part->findings,
                indexes->is_stale ? FLAW_index_stale : FLAW_txnindex_wrong, indexes->txns_path,
                (int64_t)indexes->txns_at * TXN_ENTRY, last_offset,
                "the transaction aborted at offset %" PRId64 ": %s", last_offset, why);
}

void verify_indexes_abort(struct verify_indexes *indexes, const struct producer_txn_end *end)
{
    const struct aborted_txn *txn;

    if (!txns_tell(indexes))
        return;
    for (; (txn = waiting_txn(indexes)) != NULL && txn->last_offset < end->last_offset;
         indexes->txns_at++)
        bad_txn(indexes, txn->last_offset, "no marker there ends one");
    if (txn == NULL || txn->last_offset != end->last_offset) {
        bad_txn(indexes, end->last_offset, "it is not listed");
        return;
    }
    if (txn->producer_id != end->producer_id || txn->first_offset != end->first_offset ||
        txn->last_stable_offset != end->last_stable_offset)
        bad_txn(indexes, end->last_offset,
                "it is listed with another producer, beginning or stable offset");
    indexes->txns_at++;
}

static void read_txns(struct verify_indexes *indexes)
{
    struct findings *findings = &indexes->part->findings;
    const struct verify_segment *segment = indexes->segment;
    int64_t last = segment->base - 1;
    char *content;
    size_t len;

    indexes->txns_path = verify_path(indexes->part, segment->base, ".txnindex");
    if (!segment->has_txns)
        return;
    enum err err = disk_read_file(disk_posix(), indexes->txns_path, INT32_MAX, &content, &len);

    if (err != ERR_OK) {
        verify_find(findings, FLAW_unreadable, indexes->txns_path, -1, -1, "%s", err_text(err));
        return;
    }
    indexes->txns = xcalloc(len / TXN_ENTRY + 1, sizeof *indexes->txns);
    for (size_t pos = 0; pos + TXN_ENTRY <= len; pos += TXN_ENTRY) {
        struct aborted_txn *txn = &indexes->txns[indexes->txns_len];

        txn->producer_id = load_i64(content + pos + 2);
        txn->first_offset = load_i64(content + pos + 10);
        txn->last_offset = load_i64(content + pos + 18);
        txn->last_stable_offset = load_i64(content + pos + 26);
        if (load_i16(content + pos) != 0 || txn->last_offset <= last ||
            txn->first_offset > txn->last_offset ||
            (segment->next_base >= 0 && txn->last_offset >= segment->next_base)) {
            verify_find(findings, FLAW_txnindex_damaged, indexes->txns_path, (int64_t)pos, -1,
                        "an entry that cannot be: version %d, offsets %" PRId64 " to %" PRId64,
                        load_i16(content + pos), txn->first_offset, txn->last_offset);
            indexes->part->producers_known = false; /* nothing to compare with any more */
            break;
        }
        last = txn->last_offset;
        indexes->txns_len++;
    }
    if (len % TXN_ENTRY != 0)
        verify_find(findings, FLAW_txnindex_damaged, indexes->txns_path, (int64_t)len, -1,
                    "its length %zu is not a multiple of %d", len, TXN_ENTRY);
    free(content);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Bytes of the file up to the last one that is not zero: an index in use has megabytes of room. */
static enum err used_bytes(struct log_file *file, int64_t *used)
{
    const uint8_t *bytes;

    for (*used = file->size; *used > 0;) {
        int64_t from = *used > CHUNK_BYTES ? (*used - 1) / CHUNK_BYTES * CHUNK_BYTES : 0;
        enum err err = log_file_show(file, from, (size_t)(*used - from), &bytes);

        if (err != ERR_OK)
            return err;
        while (*used > from && bytes[*used - from - 1] == 0)
            --*used;
        if (*used > from)
            return ERR_OK;
    }
    return ERR_OK;
}

/* Reads an index whole; *len is without room at its end. */
static char *read_index(struct verify_indexes *indexes, const char *path, bool is_there,
                        int64_t entry, size_t *len)
{
    struct findings *findings = &indexes->part->findings;

    *len = 0;
    if (!is_there) {
        verify_find(findings, FLAW_index_missing, path, -1, -1, "it is not there");
        return NULL;
    }
    struct log_file file;
    const uint8_t *bytes = NULL;
    int64_t used = 0;
    enum err err = log_file_open(&file, path);

    if (err == ERR_OK)
        err = used_bytes(&file, &used);
    used = (used + entry - 1) / entry * entry;
    if (used > file.size)
        used = file.size;
    if (err == ERR_OK)
        err = log_file_show(&file, 0, (size_t)used, &bytes);
    if (err != ERR_OK) {
        verify_find(findings, FLAW_unreadable, path, -1, -1, "%s", err_text(err));
        log_file_close(&file);
        return NULL;
    }
    if (file.size % entry != 0)
        verify_find(findings, FLAW_index_damaged, path, file.size, -1,
                    "its length %" PRId64 " is not a multiple of %" PRId64, file.size, entry);
    else if (used + entry < file.size) /* one entry of zero can be meant: the base offset's */
        verify_find(findings, indexes->part->dir->was_clean ? FLAW_index_damaged : FLAW_index_room,
                    path, used, -1, "%" PRId64 " bytes of zero behind its entries",
                    file.size - used);
    *len = (size_t)used;
    char *content = xmalloc(*len + 1);

    memcpy(content, bytes, *len);
    log_file_close(&file);
    return content;
}

void verify_indexes_open(struct verify_indexes *indexes, struct verify_part *part,
                         const struct verify_segment *segment)
{
    *indexes = (struct verify_indexes){
        .part = part,
        .segment = segment,
        .index_path = verify_path(part, segment->base, ".index"),
        .times_path = verify_path(part, segment->base, ".timeindex"),
        .is_stale = !part->dir->was_clean &&
                    (segment->next_base < 0 || segment->next_base > part->recovery_point),
        .last_index_offset = segment->base - 1,
        .last_index_pos = -1,
        .last_time = INT64_MIN,
        .last_time_offset = segment->base - 1,
        .max_timestamp = -1,
    };
    indexes->index = read_index(indexes, indexes->index_path, segment->has_index, INDEX_ENTRY,
                                &indexes->index_len);
    indexes->times = read_index(indexes, indexes->times_path, segment->has_times, TIME_ENTRY,
                                &indexes->times_len);
    read_txns(indexes);
}

void verify_indexes_batch(struct verify_indexes *indexes, const struct batch_info *info,
                          int64_t pos)
{
    check_index(indexes, info, pos);
    if (info->max_timestamp > indexes->max_timestamp)
        indexes->max_timestamp = info->max_timestamp;
    check_times(indexes, info);
}

void verify_indexes_close(struct verify_indexes *indexes, int64_t end)
{
    const struct aborted_txn *txn;

    pass_index(indexes, end);
    for (; has_index(indexes); next_index(indexes))
        bad_index(indexes, "it points behind the end of the segment");
    check_times(indexes, NULL);
    for (; txns_tell(indexes) && (txn = waiting_txn(indexes)) != NULL; indexes->txns_at++)
        bad_txn(indexes, txn->last_offset, "no marker there ends one");
    free(indexes->index);
    free(indexes->times);
    free(indexes->txns);
    free(indexes->index_path);
    free(indexes->times_path);
    free(indexes->txns_path);
}
