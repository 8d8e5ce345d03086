/*
 * log_entries - the files of a log's directory whose names begin with an offset.
 *
 * Ownership:  log_entries_free() releases a list.
 */
#ifndef BROKER_LOG_LOG_ENTRIES_H
#define BROKER_LOG_LOG_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/io/disk.h"

struct log;

struct log_entry {
    int64_t offset;
    char ending[32]; /* ".log", ".index.swap" */
};

/* By offset, then by ending. */
struct log_entries {
    struct log_entry *list;
    size_t count;
    size_t cap;
};

/* ERR_NOT_FOUND when there is no directory. While a log is loading the last look is remembered,
 * until log_entries_forget(): whoever makes, renames or removes such a file calls that. */
MUST_USE enum err log_entries_list(struct log *log, struct log_entries *out);
void log_entries_forget(struct log *log);
void log_entries_free(struct log_entries *entries);

bool log_entry_ends_in(const struct log_entry *entry, const char *ending);
/* .log or an index of a segment in use. */
bool log_entry_is_plain(const struct log_entry *entry);
/* Removes the file; a missing one is fine. */
enum err log_entry_remove(struct log *log, const struct log_entry *entry);

#endif
