/*
 * Names that begin with anything else than an offset and a dot are not ours to look at.
 */
#include "broker/log/log_entries.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define OFFSET_DIGITS 20

static void take_name(void *ctx, const char *name, bool is_dir)
{
    struct log_entries *entries = ctx;
    int64_t offset;

    if (is_dir || strlen(name) <= OFFSET_DIGITS || name[OFFSET_DIGITS] != '.' ||
        strlen(name + OFFSET_DIGITS) >= sizeof entries->list->ending ||
        !str_to_i64((struct str){ name, OFFSET_DIGITS }, &offset) || offset < 0)
        return;
    array_reserve(&entries->list, &entries->cap, entries->count, sizeof *entries->list);
    struct log_entry *entry = &entries->list[entries->count++];

    entry->offset = offset;
    snprintf(entry->ending, sizeof entry->ending, "%s", name + OFFSET_DIGITS);
}

static int compare(const void *a, const void *b)
{
    const struct log_entry *one = a;
    const struct log_entry *other = b;

    if (one->offset != other->offset)
        return one->offset < other->offset ? -1 : 1;
    return strcmp(one->ending, other->ending);
}

static void copy_entries(struct log_entries *copy, const struct log_entries *entries)
{
    copy->count = copy->cap = entries->count;
    copy->list =
        entries->count == 0 ? NULL : xmemdup(entries->list, entries->count * sizeof *entries->list);
}

enum err log_entries_list(struct log *log, struct log_entries *out)
{
    *out = (struct log_entries){ 0 };
    if (log->listing.count > 0) {
        copy_entries(out, &log->listing);
        return ERR_OK;
    }
    enum err err = disk_list(log->env->disk, log->path, take_name, out);

    if (out->count > 1)
        qsort(out->list, out->count, sizeof *out->list, compare);
    if (err == ERR_OK && log->is_loading)
        copy_entries(&log->listing, out);
    return err;
}

void log_entries_forget(struct log *log)
{
    if (log->is_loading)
        log_entries_free(&log->listing);
}

void log_entries_free(struct log_entries *entries)
{
    free(entries->list);
    *entries = (struct log_entries){ 0 };
}

bool log_entry_ends_in(const struct log_entry *entry, const char *ending)
{
    size_t have = strlen(entry->ending);
    size_t want = strlen(ending);

    return have >= want && strcmp(entry->ending + have - want, ending) == 0;
}

bool log_entry_is_plain(const struct log_entry *entry)
{
    for (int i = 0; i < SEGMENT_FILES; i++)
        if (strcmp(entry->ending, segment_endings[i]) == 0)
            return true;
    return false;
}

enum err log_entry_remove(struct log *log, const struct log_entry *entry)
{
    char *path = log_file_path(log, entry->offset, entry->ending);
    enum err err = disk_unlink(log->env->disk, path);

    free(path);
    log_entries_forget(log);
    log_names_changed(log);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}
