/*
 * A lookup in the file reads blocks of entries. Offsets grow evenly with positions, or nearly so:
 * the first block is read where the key should lie between the keys that are known to enclose it,
 * and that is mostly the right one. When it is not, the next guess is the middle, then again by
 * proportion, so that the worst file costs twice a binary search. Nothing is kept in memory: what
 * is read is a page or two of the page cache, whatever the size of the index.
 */
#include "broker/log/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define ENTRY_MAX  12
#define RECENT_MAX 512 /* entries that wait in memory */
#define BLOCK      128 /* entries read at a time */

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

enum err index_check(const struct index *index, int64_t log_bytes)
{
    uint8_t block[BLOCK * ENTRY_MAX];
    size_t size = entry_size(index);
    struct index_entry before = { INT64_MIN, index->kind == INDEX_OFFSET ? 0 : INT64_MIN };

    for (int64_t at = 0; at < index->saved; at += BLOCK) {
        int64_t n = index->saved - at < BLOCK ? index->saved - at : BLOCK;
        size_t got;
        enum err err = file_pread(index->file, block, (size_t)n * size, at * (int64_t)size, &got);

        if (err != ERR_OK)
            return err;
        if (got != (size_t)n * size)
            return ERR_CORRUPT_FILE;
        for (int64_t i = 0; i < n; i++) {
            struct index_entry entry = decode(index, block + (size_t)i * size);
            int64_t offset = index->kind == INDEX_OFFSET ? entry.key : entry.value;
            bool steps = index->kind == INDEX_OFFSET ? entry.value > before.value
                                                     : entry.value >= before.value;

            if (entry.key <= before.key || !steps || offset < index->base_offset ||
                (index->kind == INDEX_OFFSET && entry.value >= log_bytes))
                return ERR_CORRUPT_FILE;
            before = entry;
        }
    }
    return ERR_OK;
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

int64_t index_bytes(const struct index *index)
{
    return index_count(index) * (int64_t)entry_size(index);
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

enum err index_save(const struct index *index)
{
    uint8_t bytes[BLOCK * ENTRY_MAX];
    size_t size = entry_size(index);
    int64_t at = index->saved;

    if (index->recent_count > 0 && index->saved == 0) {
        enum err err = file_make(index->file);

        if (err != ERR_OK)
            return err;
    }
    for (size_t i = 0; i < index->recent_count;) {
        size_t n = 0;

        for (; n < BLOCK && i < index->recent_count; n++, i++)
            encode(index, bytes + n * size, &index->recent[i]);
        enum err err = file_pwrite(index->file, bytes, n * size, at * (int64_t)size);

        if (err != ERR_OK)
            return err;
        at += (int64_t)n;
    }
    return ERR_OK;
}

enum err index_write_whole(const struct index *index, struct disk *disk, const char *path)
{
    size_t size = entry_size(index);
    uint8_t *bytes = xmalloc(index->recent_count * size + 1);

    assert(index->saved == 0);
    for (size_t i = 0; i < index->recent_count; i++)
        encode(index, bytes + i * size, &index->recent[i]);
    enum err err = disk_replace_file(disk, path, bytes, index->recent_count * size, false);

    free(bytes);
    return err;
}

void index_saved(struct index *index, int64_t count)
{
    int64_t n = count - index->saved;

    if (n <= 0)
        return; /* somebody else has saved them, too */
    assert(n <= (int64_t)index->recent_count);
    index->saved = count;
    index->recent_count -= (size_t)n;
    memmove(index->recent, index->recent + n, index->recent_count * sizeof *index->recent);
}

enum index_found index_find_recent(const struct index *index, int64_t key, struct index_entry *out,
                                   struct index_saved *saved)
{
    size_t low = 0;
    size_t high = index->recent_count;

    *saved = (struct index_saved){ .count = index->saved };
    if (index->has_last && key >= index->last.key) {
        *out = index->last;
        return INDEX_FOUND;
    }
    if (high == 0 || index->recent[0].key > key) {
        saved->max_key = high == 0 ? index->last.key : index->recent[0].key;
        return index->saved > 0 ? INDEX_LOOK_IN_FILE : INDEX_NONE;
    }
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

/* All entries before low have keys at or below the one looked for, all from high on above. */
struct search {
    int64_t low;
    int64_t high;
    int64_t low_key; /* of the entry before low, when it is known */
    int64_t high_key;
    bool knows_low;
};

/* Where the block to be read next begins. */
static int64_t guess(const struct search *search, int64_t key, bool by_proportion)
{
    int64_t count = search->high - search->low;
    int64_t at = count / 2;

    if (by_proportion && search->knows_low && search->high_key > search->low_key)
        at = (int64_t)((double)count * ((double)key - (double)search->low_key) /
                       ((double)search->high_key - (double)search->low_key));
    at -= BLOCK / 2;
    if (at > count - BLOCK)
        at = count - BLOCK;
    return search->low + (at > 0 ? at : 0);
}

/* The last entry of the block with a key at or below; there is one. */
static struct index_entry pick(const struct index *index, const uint8_t *block, size_t count,
                               int64_t key)
{
    size_t low = 0;
    size_t high = count;

    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;

        if (decode(index, block + mid * entry_size(index)).key <= key)
            low = mid;
        else
            high = mid;
    }
    return decode(index, block + low * entry_size(index));
}

enum err index_find_saved(const struct index *index, const struct index_saved *saved, int64_t key,
                          struct index_entry *out, bool *found)
{
    uint8_t block[BLOCK * ENTRY_MAX];
    size_t size = entry_size(index);
    /* Of timestamps nobody knows where they begin. */
    struct search search = { .high = saved->count,
                             .high_key = saved->max_key,
                             .low_key = index->base_offset,
                             .knows_low = index->kind == INDEX_OFFSET };

    *found = false;
    for (int step = 0; search.low < search.high; step++) {
        int64_t at = guess(&search, key, step % 2 == 0);
        int64_t n = search.high - at < BLOCK ? search.high - at : BLOCK;
        size_t got;
        enum err err = file_pread(index->file, block, (size_t)n * size, at * (int64_t)size, &got);

        if (err != ERR_OK)
            return err;
        if (got != (size_t)n * size)
            return ERR_CORRUPT_FILE;
        struct index_entry first = decode(index, block);
        struct index_entry last = decode(index, block + (size_t)(n - 1) * size);

        if (first.key > key) {
            search.high = at;
            search.high_key = first.key;
            continue;
        }
        *found = true;
        if (last.key > key || at + n == search.high) {
            *out = pick(index, block, (size_t)n, key);
            return ERR_OK;
        }
        *out = last;
        search.low = at + n;
        search.low_key = last.key;
        search.knows_low = true;
    }
    return ERR_OK;
}

enum err index_find(const struct index *index, int64_t key, struct index_entry *out, bool *found)
{
    struct index_saved saved;
    enum index_found where = index_find_recent(index, key, out, &saved);

    *found = where == INDEX_FOUND;
    if (where != INDEX_LOOK_IN_FILE)
        return ERR_OK;
    return index_find_saved(index, &saved, key, out, found);
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
    /* Not synced: an entry that comes back leads to a batch that it can stand for, or is not
     * believed. */
    return truncate_file(index, low * (int64_t)entry_size(index));
}
