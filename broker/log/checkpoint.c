/*
 * Checkpoint files are lines:
 *
 *     0                      version
 *     2                      how many entries follow
 *     orders 0 1234          topic partition offset; leader-epoch-checkpoint: epoch offset
 *     orders 1 99
 *
 * A file is written beside, synced and renamed over the old one, so a reader sees one or the other.
 */
#include "broker/log/checkpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (256u << 20)
#define SECTOR_BYTES   512 /* that a disk writes whole or not at all */

/* --- text --------------------------------------------------------------------------------------
 */

struct text {
    char *bytes;
    size_t len;
    size_t cap;
};

static void text_put(struct text *text, const char *line)
{
    size_t len = strlen(line);

    array_reserve(&text->bytes, &text->cap, text->len + len, 1);
    memcpy(text->bytes + text->len, line, len);
    text->len += len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of the line, cut off its front. */
static struct str next_word(struct str *line)
{
    size_t from = 0;

    if (line->len == 0) /* no line at all has no place to point to */
        return *line;
    while (from < line->len && is_space(line->ptr[from]))
        from++;
    size_t to = from;

    while (to < line->len && !is_space(line->ptr[to]))
        to++;
    struct str word = { line->ptr + from, to - from };

    line->ptr += to;
    line->len -= to;
    return word;
}

static bool next_i64(struct str *line, int64_t *out)
{
    return str_to_i64(next_word(line), out);
}

static bool next_i32(struct str *line, int32_t *out)
{
    int64_t wide;

    if (!next_i64(line, &wide) || wide < INT32_MIN || wide > INT32_MAX)
        return false;
    *out = (int32_t)wide;
    return true;
}

static bool is_all_read(struct str line)
{
    return str_trim(line).len == 0;
}

/* Version and count; *rest then starts at the first entry. */
static bool read_head(struct str *rest, int64_t *count)
{
    struct str after;
    int64_t version;
    struct str line = str_split(*rest, '\n', &after);

    if (!str_to_i64(str_trim(line), &version) || version != 0)
        return false;
    line = str_split(after, '\n', rest);
    return str_to_i64(str_trim(line), count) && *count >= 0;
}

/* A file that must be there: parse() makes out of its text what out points to. */
static enum err parse_file(struct disk *disk, const char *path,
                           bool (*parse)(struct str text, void *out), void *out)
{
    char *text;
    size_t len;
    enum err err = disk_read_file(disk, path, FILE_BYTES_MAX, &text, &len);

    if (err != ERR_OK)
        return err;
    if (!parse((struct str){ text, len }, out))
        err = ERR_BAD_FORMAT;
    free(text);
    return err;
}

/* --- topic-offset checkpoints --------------------------------------------------------------------
 */

void checkpoint_init(struct checkpoint *checkpoint)
{
    *checkpoint = (struct checkpoint){ 0 };
}

void checkpoint_fini(struct checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->count; i++)
        free(checkpoint->entries[i].topic);
    free(checkpoint->entries);
    checkpoint_init(checkpoint);
}

static void add_taken(struct checkpoint *checkpoint, char *topic, int32_t partition, int64_t offset)
{
    array_reserve(&checkpoint->entries, &checkpoint->cap, checkpoint->count,
                  sizeof *checkpoint->entries);
    checkpoint->entries[checkpoint->count++] =
        (struct checkpoint_entry){ topic, partition, offset };
}

void checkpoint_add(struct checkpoint *checkpoint, const char *topic, int32_t partition,
                    int64_t offset)
{
    add_taken(checkpoint, xstrdup(topic), partition, offset);
}

static int compare_entries(const void *a, const void *b)
{
    const struct checkpoint_entry *one = a;
    const struct checkpoint_entry *other = b;
    int by_topic = strcmp(one->topic, other->topic);

    if (by_topic != 0)
        return by_topic;
    return (one->partition > other->partition) - (one->partition < other->partition);
}

void checkpoint_sort(struct checkpoint *checkpoint)
{
    if (checkpoint->count > 1)
        qsort(checkpoint->entries, checkpoint->count, sizeof *checkpoint->entries, compare_entries);
}

static struct checkpoint_entry *find_entry(const struct checkpoint *checkpoint, const char *topic,
                                           int32_t partition)
{
    size_t low = 0;
    size_t high = checkpoint->count;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct checkpoint_entry *entry = &checkpoint->entries[mid];
        int by_topic = strcmp(entry->topic, topic);

        if (by_topic == 0 && entry->partition == partition)
            return entry;
        if (by_topic < 0 || (by_topic == 0 && entry->partition < partition))
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

int64_t checkpoint_find(const struct checkpoint *checkpoint, const char *topic, int32_t partition)
{
    const struct checkpoint_entry *entry = find_entry(checkpoint, topic, partition);

    return entry != NULL ? entry->offset : -1;
}

void checkpoint_lower(struct checkpoint *checkpoint, const char *topic, int32_t partition,
                      int64_t offset)
{
    struct checkpoint_entry *entry = find_entry(checkpoint, topic, partition);

    if (entry != NULL && entry->offset > offset)
        entry->offset = offset;
}

static bool parse_checkpoint(struct str rest, struct checkpoint *out)
{
    int64_t count;

    if (!read_head(&rest, &count))
        return false;
    for (int64_t i = 0; i < count; i++) {
        struct str line = str_split(rest, '\n', &rest);
        struct str topic = next_word(&line);
        int32_t partition;
        int64_t offset;

        if (topic.len == 0 || !next_i32(&line, &partition) || !next_i64(&line, &offset) ||
            !is_all_read(line))
            return false;
        add_taken(out, xstrndup(topic.ptr, topic.len), partition, offset);
    }
    return is_all_read(rest) || str_trim(rest).len == 0;
}

/* ERR_OK with NULL when the file is missing or empty. */
static enum err read_text(struct disk *disk, const char *path, char **text, size_t *len)
{
    enum err err = disk_read_file(disk, path, FILE_BYTES_MAX, text, len);

    if (err == ERR_OK && *len > 0)
        return ERR_OK;
    if (err == ERR_OK)
        free(*text);
    *text = NULL;
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err checkpoint_read(struct disk *disk, const char *path, struct checkpoint *out)
{
    char *text;
    size_t len;
    enum err err = read_text(disk, path, &text, &len);

    checkpoint_init(out);
    if (err != ERR_OK || text == NULL)
        return err;
    bool ok = parse_checkpoint((struct str){ text, len }, out);

    free(text);
    if (!ok) {
        checkpoint_fini(out);
        return ERR_BAD_FORMAT;
    }
    checkpoint_sort(out);
    return ERR_OK;
}

enum err checkpoint_write(struct disk *disk, const char *path, const struct checkpoint *checkpoint)
{
    struct text text = { 0 };
    char line[400];

    snprintf(line, sizeof line, "0\n%zu\n", checkpoint->count);
    text_put(&text, line);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const struct checkpoint_entry *entry = &checkpoint->entries[i];

        snprintf(line, sizeof line, "%s %" PRId32 " %" PRId64 "\n", entry->topic, entry->partition,
                 entry->offset);
        text_put(&text, line);
    }
    enum err err = disk_replace_file(disk, path, text.bytes, text.len, true);

    free(text.bytes);
    return err;
}

/* The digits of an entry's offset in the text, "" when it is not listed. */
static struct str find_digits(struct str text, const char *topic, int32_t partition)
{
    int64_t count;
    struct str rest = text;

    if (!read_head(&rest, &count))
        return STR_NULL;
    while (rest.ptr != NULL && rest.len > 0) {
        struct str line = str_split(rest, '\n', &rest);
        struct str name = next_word(&line);
        int32_t number;

        if (str_is(name, topic) && next_i32(&line, &number) && number == partition)
            return next_word(&line);
    }
    return STR_NULL;
}

static enum err write_digits(struct disk *disk, const char *path, int64_t pos, size_t len,
                             int64_t offset)
{
    char digits[32];
    int file;
    enum err err = disk_open(disk, path, DISK_WRITE, &file);

    if (err != ERR_OK)
        return err;
    snprintf(digits, sizeof digits, "%0*" PRId64, (int)len, offset);
    err = disk_pwrite(disk, file, digits, len, pos);
    if (err == ERR_OK)
        err = disk_sync_data(disk, file);
    disk_close(disk, file);
    return err;
}

static enum err remove_synced(struct disk *disk, const char *path)
{
    char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    enum err err = disk_unlink(disk, path);

    if (err == ERR_OK)
        err = disk_sync_dir(disk, dir);
    free(dir);
    return err;
}

enum err checkpoint_lower_in_place(struct disk *disk, const char *path, const char *topic,
                                   int32_t partition, int64_t offset)
{
    char *text;
    size_t len;
    enum err err = read_text(disk, path, &text, &len);

    if (err != ERR_OK || text == NULL)
        return err;
    struct str digits = find_digits((struct str){ text, len }, topic, partition);
    int64_t old;
    int64_t pos = digits.ptr - text;
    bool tears = pos / SECTOR_BYTES != (pos + (int64_t)digits.len - 1) / SECTOR_BYTES;

    if (!str_is_null(digits) && str_to_i64(digits, &old) && old > offset) {
        err = tears ? ERR_NO_SPACE : write_digits(disk, path, pos, digits.len, offset);
        if (err == ERR_NO_SPACE) /* on a file system that never writes in place, too */
            err = remove_synced(disk, path);
    }
    free(text);
    return err;
}

/* --- leader-epoch-checkpoint -------------------------------------------------------------------
 */

static bool parse_epochs(struct str rest, void *into)
{
    struct epochs *out = into;
    int64_t count;

    if (!read_head(&rest, &count))
        return false;
    for (int64_t i = 0; i < count; i++) {
        struct str line = str_split(rest, '\n', &rest);
        int32_t epoch;
        int64_t offset;

        if (!next_i32(&line, &epoch) || !next_i64(&line, &offset) || !is_all_read(line) ||
            epoch < 0 || offset < 0 || epoch <= epochs_latest(out) ||
            (out->count > 0 && offset <= out->entries[out->count - 1].start_offset))
            return false;
        epochs_assign(out, epoch, offset);
    }
    return is_all_read(rest);
}

enum err epochs_file_read(struct disk *disk, const char *path, struct epochs *out)
{
    epochs_init(out);
    enum err err = parse_file(disk, path, parse_epochs, out);

    if (err == ERR_BAD_FORMAT)
        epochs_fini(out);
    return err;
}

static struct text print_epochs(const struct epochs *epochs)
{
    struct text text = { 0 };
    char line[64];

    snprintf(line, sizeof line, "0\n%zu\n", epochs->count);
    text_put(&text, line);
    for (size_t i = 0; i < epochs->count; i++) {
        snprintf(line, sizeof line, "%" PRId32 " %" PRId64 "\n", epochs->entries[i].epoch,
                 epochs->entries[i].start_offset);
        text_put(&text, line);
    }
    return text;
}

enum err epochs_file_draft(struct disk *disk, const char *path, const struct epochs *epochs)
{
    struct text text = print_epochs(epochs);
    enum err err = disk_draft_file(disk, path, text.bytes, text.len);

    free(text.bytes);
    return err;
}

enum err epochs_file_write(struct disk *disk, const char *path, const struct epochs *epochs)
{
    struct text text = print_epochs(epochs);
    enum err err = disk_replace_file(disk, path, text.bytes, text.len, true);

    free(text.bytes);
    return err;
}

/* --- partition.metadata --------------------------------------------------------------------------
 */

static bool value_of(struct str line, const char *name, struct str *value)
{
    struct str want = str_of(name);

    line = str_trim(line);
    if (!str_starts_with(line, want))
        return false;
    *value = str_trim((struct str){ line.ptr + want.len, line.len - want.len });
    return true;
}

static bool parse_metadata(struct str rest, void *into)
{
    struct uuid *topic_id = into;
    struct str value;
    int64_t version;
    struct str line = str_split(rest, '\n', &rest);

    if (!value_of(line, "version:", &value) || !str_to_i64(value, &version) || version != 0)
        return false;
    line = str_split(rest, '\n', &rest);
    return value_of(line, "topic_id:", &value) && uuid_parse(value, topic_id) &&
           !uuid_is_zero(*topic_id);
}

enum err metadata_file_read(struct disk *disk, const char *path, struct uuid *topic_id)
{
    return parse_file(disk, path, parse_metadata, topic_id);
}

enum err metadata_file_write(struct disk *disk, const char *path, struct uuid topic_id)
{
    char id[UUID_TEXT_LEN + 1];
    char text[64];

    uuid_print(topic_id, id);
    int len = snprintf(text, sizeof text, "version: 0\ntopic_id: %s", id);

    return disk_replace_file(disk, path, text, (size_t)len, true);
}

/* --- meta.properties ---------------------------------------------------------------------------
 */

static void copy_value(char *into, size_t size, struct str value)
{
    size_t len = value.len < size ? value.len : size - 1;

    memcpy(into, value.ptr, len);
    into[len] = '\0';
}

static bool parse_meta_line(struct str line, struct meta *out)
{
    struct str value;
    int64_t number;

    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == '!')
        return true;
    struct str key = str_trim(str_split(line, '=', &value));

    if (str_is_null(value))
        return false;
    value = str_trim(value);
    if (str_is(key, "cluster.id"))
        copy_value(out->cluster_id, sizeof out->cluster_id, value);
    else if (str_is(key, "directory.id"))
        copy_value(out->directory_id, sizeof out->directory_id, value);
    else if (str_is(key, "version") || str_is(key, "broker.id")) {
        if (!str_to_i64(value, &number) || number < INT32_MIN || number > INT32_MAX)
            return false;
        if (str_is(key, "version"))
            out->version = (int)number;
        else
            out->broker_id = (int32_t)number;
    }
    return true;
}

static bool parse_meta(struct str rest, void *into)
{
    struct meta *out = into;

    while (rest.ptr != NULL)
        if (!parse_meta_line(str_split(rest, '\n', &rest), out))
            return false;
    return out->version >= 0;
}

enum err meta_file_read(struct disk *disk, const char *path, struct meta *out)
{
    *out = (struct meta){ .version = -1, .broker_id = -1 };
    return parse_file(disk, path, parse_meta, out);
}

enum err meta_file_write(struct disk *disk, const char *path, const struct meta *meta,
                         int64_t now_ms)
{
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm utc;
    char date[64];
    char text[400];

    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%a %b %d %H:%M:%S UTC %Y", &utc);
    int len =
        snprintf(text, sizeof text, "#\n#%s\nbroker.id=%" PRId32 "\nversion=%d\ncluster.id=%s\n",
                 date, meta->broker_id, meta->version, meta->cluster_id);

    if (meta->directory_id[0] != '\0')
        len += snprintf(text + len, sizeof text - (size_t)len, "directory.id=%s\n",
                        meta->directory_id);
    return disk_replace_file(disk, path, text, (size_t)len, true);
}
