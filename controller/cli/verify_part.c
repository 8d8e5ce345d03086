/*
 * One partition: what lies in its directory, by name; its small files; then its segments in the
 * order of their offsets, while the epochs and the state of the producers are followed from batch
 * to batch; and at the end the checkpoints of the directory that it is in.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/producers_file.h"
#include "common/base/mem.h"
#include "controller/cli/verify_int.h"

#define NAME_DIGITS 20

/* A file whose name begins with an offset. */
struct entry {
    int64_t offset;
    char *name;
};

struct entries {
    struct verify_part *part;
    struct entry *list;
    size_t len, cap;
    bool has_epochs, has_topic_id;
};

/* ---- findings -------------------------------------------------------------------------------- */

void verify_find(struct findings *findings, enum flaw flaw, const char *file, int64_t pos,
                 int64_t offset, const char *format, ...)
{
    va_list args;
    char *what;

    if (findings->len == findings->cap) {
        findings->cap = 2 * findings->cap + 8;
        findings->list = xrealloc(findings->list, findings->cap * sizeof *findings->list);
    }
    va_start(args, format);
    if (vasprintf(&what, format, args) < 0)
        abort();
    va_end(args);
    findings->list[findings->len++] = (struct finding){
        .flaw = flaw, .file = xstrdup(file), .pos = pos, .offset = offset, .what = what
    };
}

void findings_fini(struct findings *findings)
{
    for (size_t i = 0; i < findings->len; i++) {
        free(findings->list[i].file);
        free(findings->list[i].what);
    }
    free(findings->list);
    *findings = (struct findings){ 0 };
}

static const struct {
    const char *name;
    enum verify_level level;
    const char *meaning, *on_start;
} flaws[FLAWS] = {
#define FLAW(id, level, meaning, on_start) { #id, VERIFY_##level, meaning, on_start },
#include "controller/cli/verify.def"
#undef FLAW
};

enum verify_level flaw_level(enum flaw flaw)
{
    return flaws[flaw].level;
}

const char *flaw_name(enum flaw flaw)
{
    return flaws[flaw].name;
}

const char *flaw_meaning(enum flaw flaw)
{
    return flaws[flaw].meaning;
}

const char *flaw_on_start(enum flaw flaw)
{
    return flaws[flaw].on_start;
}

/* ---- names ----------------------------------------------------------------------------------- */

char *verify_path(const struct verify_part *part, int64_t base, const char *ending)
{
    return xasprintf("%s/%020" PRId64 "%s", part->path, base, ending);
}

static bool ends_in(const char *name, const char *ending)
{
    size_t len = strlen(name), tail = strlen(ending);

    return len > tail && strcmp(name + len - tail, ending) == 0;
}

static void add_entry(void *ctx, const char *name, bool is_dir)
{
    struct entries *entries = ctx;
    struct findings *findings = &entries->part->findings;
    struct str digits = { .ptr = name, .len = strspn(name, "0123456789") };
    int64_t offset;

    entries->has_epochs |= strcmp(name, EPOCHS_FILE) == 0;
    entries->has_topic_id |= strcmp(name, METADATA_FILE) == 0;
    if (strcmp(name, EPOCHS_FILE) == 0 || strcmp(name, METADATA_FILE) == 0 || ends_in(name, ".tmp"))
        return;
    if (is_dir || digits.len != NAME_DIGITS || name[NAME_DIGITS] != '.' ||
        !str_to_i64(digits, &offset) || offset > INT64_MAX - INT32_MAX) {
        verify_find(findings, FLAW_strange_file, entries->part->path, -1, -1, "%s", name);
        return;
    }
    if (entries->len == entries->cap) {
        entries->cap = 2 * entries->cap + 32;
        entries->list = xrealloc(entries->list, entries->cap * sizeof *entries->list);
    }
    entries->list[entries->len++] = (struct entry){ .offset = offset, .name = xstrdup(name) };
}

static int by_offset(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;

    if (left->offset != right->offset)
        return left->offset < right->offset ? -1 : 1;
    return strcmp(left->name, right->name);
}

static bool has(const struct entries *entries, int64_t offset, const char *ending)
{
    for (size_t i = 0; i < entries->len && entries->list[i].offset <= offset; i++)
        if (entries->list[i].offset == offset &&
            strcmp(entries->list[i].name + NAME_DIGITS, ending) == 0)
            return true;
    return false;
}

/* What is neither a segment's file nor a snapshot. */
static void check_names(struct entries *entries)
{
    struct verify_part *part = entries->part;

    for (size_t i = 0; i < entries->len; i++) {
        const struct entry *entry = &entries->list[i];
        const char *ending = entry->name + NAME_DIGITS;
        char *path = xasprintf("%s/%s", part->path, entry->name);

        if (ends_in(ending, ".deleted") || ends_in(ending, ".cleaned") || ends_in(ending, ".swap"))
            verify_find(&part->findings, FLAW_leftover, path, -1, entry->offset, "left behind");
        else if (strncmp(ending, ".log.damaged", strlen(".log.damaged")) == 0)
            verify_find(&part->findings, FLAW_set_aside, path, -1, entry->offset,
                        "damage that was found earlier");
        else if (strcmp(ending, ".index") == 0 || strcmp(ending, ".timeindex") == 0 ||
                 strcmp(ending, ".txnindex") == 0) {
            if (!has(entries, entry->offset, ".log"))
                verify_find(&part->findings, FLAW_orphan, path, -1, entry->offset,
                            "an index without its .log");
        } else if (strcmp(ending, ".log") != 0 && strcmp(ending, ".snapshot") != 0)
            verify_find(&part->findings, FLAW_strange_file, path, -1, -1, "of an unknown kind");
        free(path);
    }
}

/* ---- small files ----------------------------------------------------------------------------- */

static void read_small_files(struct entries *entries)
{
    struct verify_part *part = entries->part;
    char *epochs = xasprintf("%s/" EPOCHS_FILE, part->path);
    char *metadata = xasprintf("%s/" METADATA_FILE, part->path);
    struct uuid id;
    enum err err = epochs_file_read(disk_posix(), epochs, &part->epochs);
    struct disk_stat stat;

    if (disk_stat(disk_posix(), epochs, &stat) != ERR_OK || stat.size == 0)
        err = ERR_OK; /* none were written yet; check_ends() holds that against the batches */
    part->has_epochs = err == ERR_OK && part->epochs.count > 0;
    if (err != ERR_OK)
        verify_find(&part->findings, FLAW_epochs_damaged, epochs, -1, -1, "%s", err_text(err));
    err = entries->has_topic_id ? metadata_file_read(disk_posix(), metadata, &id) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND)
        verify_find(&part->findings, FLAW_topic_id_missing, metadata, -1, -1, "it is not there");
    else if (err != ERR_OK)
        verify_find(&part->findings, FLAW_topic_id_damaged, metadata, -1, -1, "%s", err_text(err));
    free(epochs);
    free(metadata);
}

/* ---- producers ------------------------------------------------------------------------------- */

static void compare_producer(struct verify_part *part, const char *path,
                             const struct producer_entry *entry)
{
    struct producer_entry now;
    const char *why = NULL;

    if (!producers_get(part->producers, entry->producer_id, &now))
        why = "no batch is from it";
    else if (now.producer_epoch != entry->producer_epoch)
        why = "it has another epoch";
    else if (now.last_offset != entry->last_offset || now.last_seq != entry->last_seq)
        why = "its last batch is another one";
    else if (now.txn_first_offset != entry->txn_first_offset)
        why = "its open transaction begins elsewhere";
    if (why != NULL)
        verify_find(&part->findings, FLAW_snapshot_wrong, path, -1, entry->last_offset,
                    "producer %" PRId64 ": %s", entry->producer_id, why);
}

struct comparison {
    struct verify_part *part;
    const char *path;
};

static bool compare_each(void *ctx, const struct producer_entry *entry)
{
    struct comparison *comparison = ctx;

    compare_producer(comparison->part, comparison->path, entry);
    return true;
}

/* first: what is before the first batch is taken from it. */
static void check_snapshot(struct verify_part *part, int64_t offset, bool first)
{
    char *path = verify_path(part, offset, ".snapshot");
    struct producers *listed = producers_new();
    struct comparison comparison = { part, path };
    enum err err = producers_file_read(disk_posix(), path, listed, 0, INT64_MAX);

    if (err == ERR_CORRUPT_FILE || err == ERR_BAD_FORMAT) {
        verify_find(&part->findings, FLAW_snapshot_damaged, path, -1, offset,
                    "its version, length or checksum is wrong");
    } else if (err != ERR_OK) {
        verify_find(&part->findings, FLAW_unreadable, path, -1, offset, "%s", err_text(err));
    } else if (first) {
        producers_free(&part->producers);
        part->producers = listed;
        listed = producers_new();
        part->producers_known = true;
    } else if (part->producers_known && !part->is_compacted) {
        producers_each(listed, compare_each, &comparison);
    }
    producers_free(&listed);
    free(path);
}

void verify_snapshots_upto(struct verify_part *part, int64_t offset)
{
    for (; part->snapshots_next < part->snapshots_len &&
           part->snapshots[part->snapshots_next] <= offset;
         part->snapshots_next++)
        check_snapshot(part, part->snapshots[part->snapshots_next], part->next_offset < 0);
}

/* ---- segments -------------------------------------------------------------------------------- */

static void list_snapshots(struct entries *entries)
{
    struct verify_part *part = entries->part;

    part->snapshots = xcalloc(entries->len + 1, sizeof *part->snapshots);
    for (size_t i = 0; i < entries->len; i++)
        if (strcmp(entries->list[i].name + NAME_DIGITS, ".snapshot") == 0)
            part->snapshots[part->snapshots_len++] = entries->list[i].offset;
}

static int64_t size_of(const struct verify_part *part, int64_t base)
{
    char *path = verify_path(part, base, ".log");
    struct disk_stat stat;
    int64_t size = disk_stat(disk_posix(), path, &stat) == ERR_OK ? stat.size : 0;

    free(path);
    return size;
}

static void check_segments(struct entries *entries)
{
    struct verify_part *part = entries->part;
    struct verify_segment *segments = xcalloc(entries->len + 1, sizeof *segments);
    size_t count = 0;

    for (size_t i = 0; i < entries->len; i++) {
        int64_t base = entries->list[i].offset;

        if (strcmp(entries->list[i].name + NAME_DIGITS, ".log") != 0)
            continue;
        if (count > 0)
            segments[count - 1].next_base = base;
        segments[count++] = (struct verify_segment){
            .base = base,
            .next_base = -1,
            .has_index = has(entries, base, ".index"),
            .has_times = has(entries, base, ".timeindex"),
            .has_txns = has(entries, base, ".txnindex"),
        };
    }
    for (size_t i = count; i > 1; i--)
        segments[i - 2].later_bytes =
            segments[i - 1].later_bytes + size_of(part, segments[i - 1].base);
    part->producers_known = count > 0 && segments[0].base == 0;
    if (count == 0)
        verify_find(&part->findings, FLAW_no_segments, part->path, -1, -1, "there is no .log");
    for (size_t i = 0; i < count; i++) {
        verify_segment_run(part, &segments[i]);
        if (part->next_offset < segments[i].base)
            part->next_offset = segments[i].base;
    }
    free(segments);
}

static void check_ends(struct verify_part *part)
{
    const struct verify_dir *dir = part->dir;
    int64_t leo = part->next_offset > 0 ? part->next_offset : 0;
    int64_t hw = dir->has_hws && !part->is_future
                     ? checkpoint_find(&dir->hws, part->topic, part->partition)
                     : -1;

    if (part->recovery_point > leo)
        verify_find(&part->findings, FLAW_recovery_beyond, part->path, -1, leo,
                    "the log ends at %" PRId64 ", its recovery point is %" PRId64, leo,
                    part->recovery_point);
    if (hw > leo)
        verify_find(&part->findings, FLAW_hw_beyond, part->path, -1, leo,
                    "the log ends at %" PRId64 ", its high watermark is %" PRId64, leo, hw);
    if (part->start_offset > leo)
        verify_find(&part->findings, FLAW_start_beyond, part->path, -1, leo,
                    "the log ends at %" PRId64 ", its start is %" PRId64, leo, part->start_offset);
    if (!part->has_epochs && part->last_epoch >= 0)
        verify_find(&part->findings, FLAW_epochs_damaged, part->path, -1, -1,
                    "batches have epochs and " EPOCHS_FILE " tells none");
    if (part->has_epochs && part->epochs.entries[part->epochs.count - 1].start_offset > leo)
        verify_find(&part->findings, FLAW_epochs_beyond, part->path, -1,
                    part->epochs.entries[part->epochs.count - 1].start_offset,
                    "epoch %" PRId32 " begins at %" PRId64 ", the log ends at %" PRId64,
                    part->epochs.entries[part->epochs.count - 1].epoch,
                    part->epochs.entries[part->epochs.count - 1].start_offset, leo);
}

void verify_part_run(struct verify_part *part)
{
    struct entries entries = { .part = part };
    const struct verify_dir *dir = part->dir;
    enum err err = disk_list(disk_posix(), part->path, add_entry, &entries);

    part->next_offset = -1;
    part->last_epoch = -1;
    part->recovery_point =
        dir->has_recovery ? checkpoint_find(&dir->recovery, part->topic, part->partition) : -1;
    part->start_offset =
        dir->has_starts ? checkpoint_find(&dir->starts, part->topic, part->partition) : -1;
    part->is_compacted = checkpoint_find(&dir->cleaned, part->topic, part->partition) >= 0;
    part->producers = producers_new();
    epochs_init(&part->epochs);
    if (err != ERR_OK) {
        verify_find(&part->findings, FLAW_unreadable, part->path, -1, -1, "%s", err_text(err));
    } else {
        if (entries.len > 0)
            qsort(entries.list, entries.len, sizeof *entries.list, by_offset);
        check_names(&entries);
        read_small_files(&entries);
        list_snapshots(&entries);
        check_segments(&entries);
        verify_snapshots_upto(part, INT64_MAX);
        check_ends(part);
    }
    for (size_t i = 0; i < entries.len; i++)
        free(entries.list[i].name);
    free(entries.list);
    producers_free(&part->producers);
    epochs_fini(&part->epochs);
    free(part->snapshots);
    part->snapshots = NULL;
    buf_fini(&part->plain);
}

void verify_part_fini(struct verify_part *part)
{
    findings_fini(&part->findings);
    free(part->path);
    free(part->topic);
}
