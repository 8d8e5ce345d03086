/*
 * A lookup in the file first narrows down by single entries, then reads what remains in one go:
 * about as many calls as a 1 GiB segment has blocks of 4 KiB in the logarithm, ten, all in the page
 * cache.
 */
#include "broker/log/index.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define ENTRY_MAX    12
#define RECENT_MAX   512 /* entries that wait in memory */
#define READ_AT_ONCE 64  /* entries read in one go at the end of a search */

static size_t entry_size(const struct index *index)
{
    return index->kind == INDEX_OFFSET ? 8 : 12;
}

static void encode(const struct index *index, uint8_t *at, const struct index_entry *entry)
{
    if (index->kind == INDEX_OFFSET) {
        store_i32(at, (int32_t)(entry->key - index->base_offset));
        store_i32(at + 4, (int32_t)entry->value);
    } else {
        store_i64(at, entry->key);
        store_i32(at + 8, (int32_t)(entry->value - index->base_offset));
    }
}

static struct index_entry decode(const struct index *index, const uint8_t *at)
{
    if (index->kind == INDEX_OFFSET)
        return (struct index_entry){ index->base_offset + load_i32(at), load_i32(at + 4) };
    return (struct index_entry){ load_i64(at), index->base_offset + load_i32(at + 8) };
}

void index_init(struct index *index, enum index_kind kind, struct file *file, int64_t base_offset,
                int64_t max_bytes)
{
    *index = (struct index){ .kind = kind, .base_offset = base_offset, .file = file_ref(file) };
    index->max_entries = max_bytes / (int64_t)entry_size(index);
}

void index_fini(struct index *index)
{
    free(index->recent);
    index->recent = NULL;
    file_unref(&index->file);
}

void index_copy(struct index *copy, const struct index *index)
{
    *copy = *index;
    file_ref(copy->file);
    copy->recent_cap = index->recent_count;
    copy->recent = index->recent_count == 0
                       ? NULL
                       : xmemdup(index->recent, index->recent_count * sizeof *index->recent);
}

static enum err read_entry(const struct index *index, int64_t at, struct index_entry *out)
{
    uint8_t bytes[ENTRY_MAX];
    size_t size = entry_size(index);
    size_t got;
    enum err err = file_pread(index->file, bytes, size, at * (int64_t)size, &got);

    if (err != ERR_OK)
        return err;
    if (got != size)
        return ERR_CORRUPT_FILE;
    *out = decode(index, bytes);
    return ERR_OK;
}

enum err index_load(struct index *index, int64_t file_bytes)
{
    int64_t size = (int64_t)entry_size(index);

    index->recent_count = 0;
    index->saved = file_bytes / size;
    index->has_last = false;
    if (file_bytes % size != 0)
        return ERR_CORRUPT_FILE;
    if (index->saved == 0)
        return ERR_OK;
    enum err err = read_entry(index, index->saved - 1, &index->last);

    if (err != ERR_OK)
        return err;
    index->has_last = true;
    int64_t offset = index->kind == INDEX_OFFSET ? index->last.key : index->last.value;

    return offset < index->base_offset ||
                   (index->kind == INDEX_OFFSET && offset == index->base_offset && index->saved > 1)
               ? ERR_CORRUPT_FILE
               : ERR_OK;
}

/* The file is made with its first entries. */
static enum err truncate_file(struct index *index, int64_t size)
{
    enum err err = file_truncate(index->file, size);

    return err == ERR_NOT_FOUND && size == 0 ? ERR_OK : err;
}

enum err index_reset(struct index *index)
{
    index->saved = 0;
    index->recent_count = 0;
    index->has_last = false;
    return truncate_file(index, 0);
}

int64_t index_count(const struct index *index)
{
    return index->saved + (int64_t)index->recent_count;
}

bool index_is_full(const struct index *index)
{
    /* The time index keeps a slot for the entry that closes the segment. */
    return index_count(index) >= index->max_entries - (index->kind == INDEX_TIME ? 1 : 0);
}

void index_add(struct index *index, int64_t key, int64_t value, bool is_closing)
{
    if (index->kind == INDEX_TIME) {
        if (index_is_full(index) && (!is_closing || index_count(index) >= index->max_entries))
            return;
        if (index->has_last && (key <= index->last.key || value < index->last.value))
            return;
    } else {
        if (index_is_full(index))
            return;
        assert(!index->has_last || key > index->last.key);
    }
    array_reserve(&index->recent, &index->recent_cap, index->recent_count, sizeof *index->recent);
    index->last = (struct index_entry){ key, value };
    index->has_last = true;
    index->recent[index->recent_count++] = index->last;
}

bool index_wants_save(const struct index *index)
{
    return index->recent_count >= RECENT_MAX;
}

enum err index_save(struct index *index)
{
    uint8_t bytes[128 * ENTRY_MAX];
    size_t size = entry_size(index);
    int64_t at = index->saved;

    if (index->recent_count > 0 && index->saved == 0) {
        enum err err = file_make(index->file);

        if (err != ERR_OK)
            return err;
    }
    for (size_t i = 0; i < index->recent_count;) {
        size_t n = 0;

        for (; n < 128 && i < index->recent_count; n++, i++)
            encode(index, bytes + n * size, &index->recent[i]);
        enum err err = file_pwrite(index->file, bytes, n * size, at * (int64_t)size);

        if (err != ERR_OK)
            return err;
        at += (int64_t)n;
    }
    return ERR_OK;
}

void index_saved(struct index *index)
{
    index->saved += (int64_t)index->recent_count;
    index->recent_count = 0;
}

enum index_found index_find_recent(const struct index *index, int64_t key, struct index_entry *out,
                                   int64_t *saved)
{
    *saved = index->saved;
    if (index->recent_count == 0 || index->recent[0].key > key)
        return index->saved > 0 ? INDEX_LOOK_IN_FILE : INDEX_NONE;
    size_t low = 0;
    size_t high = index->recent_count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (index->recent[mid].key <= key)
            low = mid;
        else
            high = mid;
    }
    *out = index->recent[low];
    return INDEX_FOUND;
}

enum err index_find_saved(const struct index *index, int64_t saved, int64_t key,
                          struct index_entry *out, bool *found)
{
    uint8_t bytes[READ_AT_ONCE * ENTRY_MAX];
    size_t size = entry_size(index);
    int64_t low = 0; /* all before low are <= key, all from high on are > key */
    int64_t high = saved;
    size_t got;

    *found = false;
    while (high - low > READ_AT_ONCE) {
        int64_t mid = low + (high - low) / 2;
        struct index_entry entry;
        enum err err = read_entry(index, mid, &entry);

        if (err != ERR_OK)
            return err;
        if (entry.key <= key) {
            low = mid + 1;
            *out = entry;
            *found = true;
        } else {
            high = mid;
        }
    }
    size_t len = (size_t)(high - low) * size;

    if (len == 0)
        return ERR_OK;
    enum err err = file_pread(index->file, bytes, len, low * (int64_t)size, &got);

    if (err != ERR_OK)
        return err;
    for (size_t at = 0; at + size <= got; at += size) {
        struct index_entry entry = decode(index, bytes + at);

        if (entry.key > key)
            break;
        *out = entry;
        *found = true;
    }
    return ERR_OK;
}

enum err index_find(const struct index *index, int64_t key, struct index_entry *out, bool *found)
{
    int64_t saved;
    enum index_found where = index_find_recent(index, key, out, &saved);

    *found = where == INDEX_FOUND;
    if (where != INDEX_LOOK_IN_FILE)
        return ERR_OK;
    return index_find_saved(index, saved, key, out, found);
}

static int64_t offset_of(const struct index *index, const struct index_entry *entry)
{
    return index->kind == INDEX_OFFSET ? entry->key : entry->value;
}

enum err index_truncate(struct index *index, int64_t offset)
{
    int64_t saved = index->saved;
    int64_t low = 0;

    while (index->recent_count > 0 &&
           offset_of(index, &index->recent[index->recent_count - 1]) >= offset)
        index->recent_count--;
    if (index->recent_count > 0) {
        index->last = index->recent[index->recent_count - 1];
        return ERR_OK;
    }
    while (low < saved) {
        int64_t mid = low + (saved - low) / 2;
        struct index_entry entry;
        enum err err = read_entry(index, mid, &entry);

        if (err != ERR_OK)
            return err;
        if (offset_of(index, &entry) < offset)
            low = mid + 1;
        else
            saved = mid;
    }
    index->saved = low;
    index->has_last = low > 0;
    if (low > 0) {
        enum err err = read_entry(index, low - 1, &index->last);

        if (err != ERR_OK)
            return err;
    }
    return truncate_file(index, low * (int64_t)entry_size(index));
}
