/*
 * One table of logs by name, one struct per directory with a thread that does what time brings.
 *
 * A log that is deleted leaves the table first, then its directory is renamed; whoever still holds
 * it goes on reading the open files. Its files go after file.delete.delay.ms, or at the next start.
 */
#include "broker/log/logs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "broker/log/logs_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"

#define NAME_MAX_BYTES 255
#define FILES_AT_LEAST 64
#define FILES_FALLBACK 1024
#define MAX_DIRS       256
#define WISHES_MAX     100000 /* a client may wish for what never comes */

/* --- the table ---------------------------------------------------------------------------------
 */

static char *key_of(const char *topic, int32_t partition, bool is_future)
{
    return xasprintf("%s-%" PRId32 "%s", topic, partition, is_future ? "-future" : "");
}

void logs_entry_free(struct logs_entry *entry)
{
    if (entry == NULL)
        return;
    log_unref(&entry->log);
    free(entry->key);
    free(entry);
}

struct logs_entry *logs_find_locked(struct logs *logs, const char *key)
{
    struct logs_entry *entry;

    HASH_FIND_STR(logs->entries, key, entry);
    return entry;
}

enum err logs_put(struct logs *logs, struct logs_dir *dir, const char *key, struct log *log)
{
    struct logs_entry *entry = xcalloc(1, sizeof *entry);

    entry->key = xstrdup(key);
    entry->log = log;
    entry->dir = dir;
    lock_take(&logs->lock);
    struct logs_entry *old = logs_find_locked(logs, key);
    bool is_taken = old != NULL && !atomic_load(&old->dir->env.failed);

    if (old != NULL && !is_taken) { /* lost with its directory, and made anew since */
        HASH_DEL(logs->entries, old);
        old->dir->log_count--;
    }
    if (!is_taken) {
        HASH_ADD_KEYPTR(hh, logs->entries, entry->key, strlen(entry->key), entry);
        dir->log_count++;
    }
    lock_drop(&logs->lock);
    logs_entry_free(is_taken ? entry : old);
    return is_taken ? ERR_EXISTS : ERR_OK;
}

size_t logs_list(struct logs *logs, const struct logs_dir *dir, struct log ***list)
{
    struct logs_entry *entry;
    struct logs_entry *next;
    size_t count = 0;

    lock_take(&logs->lock);
    *list = xmalloc((HASH_COUNT(logs->entries) + 1) * sizeof **list);
    HASH_ITER (hh, logs->entries, entry, next)
        if (dir == NULL || entry->dir == dir)
            (*list)[count++] = log_ref(entry->log);
    lock_drop(&logs->lock);
    return count;
}

void logs_conf_of(struct logs *logs, const char *topic, struct log_conf *conf)
{
    *conf = LOG_CONF_DEFAULT;
    if (logs->options.conf_of != NULL)
        logs->options.conf_of(logs->options.ctx, topic, conf);
}

static struct log *get_ref(struct logs *logs, const char *topic, int32_t partition, bool is_future)
{
    char *key = key_of(topic, partition, is_future);
    struct log *log = NULL;

    lock_take(&logs->lock);
    struct logs_entry *entry = logs_find_locked(logs, key);

    if (entry != NULL && !atomic_load(&entry->dir->env.failed))
        log = log_ref(entry->log);
    lock_drop(&logs->lock);
    free(key);
    return log;
}

struct log *logs_get_ref(struct logs *logs, const char *topic, int32_t partition)
{
    return get_ref(logs, topic, partition, false);
}

struct log *logs_get_future_ref(struct logs *logs, const char *topic, int32_t partition)
{
    return get_ref(logs, topic, partition, true);
}

size_t logs_count(struct logs *logs)
{
    lock_take(&logs->lock);
    size_t count = HASH_COUNT(logs->entries);

    lock_drop(&logs->lock);
    return count;
}

void logs_each(struct logs *logs, void (*each)(void *ctx, struct log *log), void *ctx)
{
    struct log **list;
    size_t count = logs_list(logs, NULL, &list);

    for (size_t i = 0; i < count; i++) {
        each(ctx, list[i]);
        log_unref(&list[i]);
    }
    free(list);
}

void logs_set_conf(struct logs *logs, const char *topic, const struct log_conf *conf)
{
    struct log **list;
    size_t count = logs_list(logs, NULL, &list);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(log_topic(list[i]), topic) == 0)
            log_set_conf(list[i], conf);
        log_unref(&list[i]);
    }
    free(list);
}

/* --- making and deleting ------------------------------------------------------------------------
 */

struct logs_dir *logs_dir_by_path(const struct logs *logs, const char *path)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        if (strcmp(logs->dirs[i].path, path) == 0)
            return &logs->dirs[i];
    return NULL;
}

struct logs_dir *logs_dir_of(const struct logs *logs, const struct log *log)
{
    return logs_dir_by_path(logs, log_parent_dir(log));
}

bool logs_any_offline(const struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        if (atomic_load(&logs->dirs[i].env.failed))
            return true;
    return false;
}

bool logs_all_offline(const struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        if (!atomic_load(&logs->dirs[i].env.failed))
            return false;
    return true;
}

/* The live directory with the fewest logs and not passed over, NULL when there is none. */
static struct logs_dir *fewest(struct logs *logs, const bool passed_over[MAX_DIRS])
{
    struct logs_dir *best = NULL;

    lock_take(&logs->lock);
    for (size_t i = 0; i < logs->dir_count; i++)
        if (!passed_over[i] && !atomic_load(&logs->dirs[i].env.failed) &&
            (best == NULL || logs->dirs[i].log_count < best->log_count))
            best = &logs->dirs[i];
    lock_drop(&logs->lock);
    return best;
}

enum err logs_make(struct logs *logs, struct logs_dir *dir, const char *key, const char *name,
                   const char *topic, int32_t partition, struct log **out)
{
    struct log_conf conf;
    struct log_load load = {
        .is_clean = true, .recovery_point = -1, .start_offset = -1, .now_ms = clock_wall_ms()
    };

    logs_conf_of(logs, topic, &conf);
    enum err err = logs_dir_forget_name(dir, topic, partition);

    if (err == ERR_OK)
        err = log_open(&dir->env, name, topic, partition, &conf, &load, out);
    if (err == ERR_OK) {
        struct log *log = log_ref(*out);

        err = logs_put(logs, dir, key, log);
        if (err != ERR_OK)
            log_unref(out);
    } else if (err != ERR_NO_SPACE) {
        logs_dir_fail(dir);
        err = ERR_KAFKA_STORAGE_ERROR;
    }
    return err;
}

enum err logs_check_dir(const struct logs *logs, const char *path)
{
    const struct logs_dir *dir = logs_dir_by_path(logs, path);

    if (dir == NULL)
        return ERR_LOG_DIR_NOT_FOUND;
    return atomic_load(&dir->env.failed) ? ERR_KAFKA_STORAGE_ERROR : ERR_OK;
}

void logs_prefer_dir(struct logs *logs, const char *topic, int32_t partition, const char *path)
{
    struct logs_dir *dir = logs_dir_by_path(logs, path);
    char *key = key_of(topic, partition, false);
    struct logs_wish *wish;

    if (dir == NULL) {
        free(key);
        return;
    }
    lock_take(&logs->lock);
    HASH_FIND_STR(logs->wishes, key, wish);
    if (wish == NULL && HASH_COUNT(logs->wishes) < WISHES_MAX) {
        wish = xcalloc(1, sizeof *wish);
        wish->key = key;
        key = NULL;
        HASH_ADD_KEYPTR(hh, logs->wishes, wish->key, strlen(wish->key), wish);
    }
    if (wish != NULL)
        wish->dir = dir;
    lock_drop(&logs->lock);
    free(key);
}

/* The wish, which is then no more; NULL when there is none. */
static struct logs_dir *take_wish(struct logs *logs, const char *key)
{
    struct logs_dir *dir = NULL;
    struct logs_wish *wish;

    lock_take(&logs->lock);
    HASH_FIND_STR(logs->wishes, key, wish);
    if (wish != NULL) {
        dir = wish->dir;
        HASH_DEL(logs->wishes, wish);
        free(wish->key);
        free(wish);
    }
    lock_drop(&logs->lock);
    return dir != NULL && !atomic_load(&dir->env.failed) ? dir : NULL;
}

/* With its topic id; what there was no room for leaves nothing behind. */
static enum err make_whole(struct logs *logs, struct logs_dir *dir, const char *key,
                           const char *topic, int32_t partition, struct uuid topic_id,
                           struct log **out)
{
    char *path = xasprintf("%s/%s", dir->path, key);
    enum err err = logs_make(logs, dir, key, key, topic, partition, out);

    if (err == ERR_OK) {
        err = log_adopt_topic_id(*out, topic_id);
        if (err == ERR_NO_SPACE) {
            struct log *mine = logs_take_out(logs, key, *out);

            log_abandon(*out);
            log_unref(&mine);
            log_unref(out);
        }
    }
    if (err == ERR_NO_SPACE && disk_remove_tree(logs->disk, path) != ERR_OK)
        say_warn("cannot remove a log that there was no room for path=%s", path);
    free(path);
    return err;
}

/* A full directory is passed over. */
static enum err make_anywhere(struct logs *logs, struct logs_dir *first, const char *key,
                              const char *topic, int32_t partition, struct uuid topic_id,
                              struct log **out)
{
    bool passed_over[MAX_DIRS] = { false };
    struct logs_dir *dir = first != NULL ? first : fewest(logs, passed_over);
    enum err err = ERR_KAFKA_STORAGE_ERROR;

    while (dir != NULL) {
        err = make_whole(logs, dir, key, topic, partition, topic_id, out);
        if (err != ERR_NO_SPACE)
            return err;
        passed_over[dir->index] = true;
        dir = fewest(logs, passed_over);
    }
    return err;
}

enum err logs_create(struct logs *logs, const char *topic, int32_t partition, struct uuid topic_id,
                     bool is_new, const char *dir_path, struct log **out)
{
    enum err err = dir_path != NULL ? logs_check_dir(logs, dir_path) : ERR_OK;

    *out = logs_get_ref(logs, topic, partition);
    if (*out != NULL)
        return log_adopt_topic_id(*out, topic_id);
    if (err == ERR_OK && !is_new && logs_any_offline(logs))
        err = ERR_KAFKA_STORAGE_ERROR;
    if (err != ERR_OK)
        return err;
    char *key = key_of(topic, partition, false);

    err = dir_path != NULL
              ? make_whole(logs, logs_dir_by_path(logs, dir_path), key, topic, partition, topic_id,
                           out)
              : make_anywhere(logs, take_wish(logs, key), key, topic, partition, topic_id, out);
    free(key);
    return err;
}

struct log *logs_take_out(struct logs *logs, const char *key, const struct log *expected)
{
    struct log *log = NULL;

    lock_take(&logs->lock);
    struct logs_entry *entry = logs_find_locked(logs, key);

    if (entry != NULL && (expected == NULL || entry->log == expected)) {
        HASH_DEL(logs->entries, entry);
        entry->dir->log_count--;
        log = log_ref(entry->log);
        logs_entry_free(entry);
    }
    lock_drop(&logs->lock);
    return log;
}

void logs_random_hex(struct logs *logs, char out[33])
{
    lock_take(&logs->lock);
    uint64_t high = logs->rand_state += UINT64_C(0x9e3779b97f4a7c15);

    lock_drop(&logs->lock);
    uint64_t low = (high ^ (high >> 29)) * UINT64_C(0xbf58476d1ce4e5b9);

    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, high, low);
}

char *logs_parting_name(struct logs *logs, const struct log *log, const char *suffix)
{
    char tail[128];
    char topic[NAME_MAX_BYTES + 1];
    char hex[33];

    logs_random_hex(logs, hex);
    int len = snprintf(tail, sizeof tail, "-%" PRId32 ".%s%s", log_partition(log), hex, suffix);

    snprintf(topic, sizeof topic, "%.*s", NAME_MAX_BYTES - len, log_topic(log));
    return xasprintf("%s%s", topic, tail);
}

static enum err part_with(struct logs *logs, const char *topic, int32_t partition,
                          const char *suffix, bool remove)
{
    char *key = key_of(topic, partition, false);
    struct log *log = logs_take_out(logs, key, NULL);
    struct log_conf conf;

    free(key);
    if (log == NULL)
        return ERR_NOT_FOUND;
    char *name = logs_parting_name(logs, log, suffix);
    char *path = xasprintf("%s/%s", log_parent_dir(log), name);

    log_get_conf(log, &conf);
    if (!remove && log_close(log) != ERR_OK)
        say_warn("parked without a clean close log=%s", log_name(log));
    log_abandon(log);
    enum err err = log_is_offline(log) ? ERR_KAFKA_STORAGE_ERROR : log_rename(log, name);

    if (err == ERR_OK && remove)
        logs_remove_later(logs_dir_of(logs, log), path,
                          clock_mono_ms() + conf.file_delete_delay_ms);
    if (err == ERR_NO_SPACE && remove) /* for the new name: it needs none to be gone at once */
        err = log_remove(log, name);
    free(path);
    free(name);
    log_unref(&log);
    return err;
}

enum err logs_delete(struct logs *logs, const char *topic, int32_t partition)
{
    return part_with(logs, topic, partition, "-delete", true);
}

enum err logs_park(struct logs *logs, const char *topic, int32_t partition)
{
    return part_with(logs, topic, partition, "-stray", false);
}

/* --- directories -------------------------------------------------------------------------------
 */

size_t logs_dir_count(const struct logs *logs)
{
    return logs->dir_count;
}

void logs_dir_info(struct logs *logs, size_t index, struct logs_dir_info *out)
{
    struct logs_dir *dir = &logs->dirs[index];
    struct log **list;

    *out = (struct logs_dir_info){ .path = dir->path,
                                   .is_offline = atomic_load(&dir->env.failed),
                                   .was_clean = dir->was_clean,
                                   .is_new = dir->is_new,
                                   .free_bytes = -1,
                                   .total_bytes = -1 };
    out->logs = logs_list(logs, dir, &list);
    for (size_t i = 0; i < out->logs; i++)
        log_unref(&list[i]);
    free(list);
    if (!out->is_offline &&
        disk_space(logs->disk, dir->path, &out->free_bytes, &out->total_bytes) != ERR_OK)
        out->free_bytes = out->total_bytes = -1;
}

void logs_each_in(struct logs *logs, size_t index,
                  void (*each)(void *ctx, struct log *log, bool is_future), void *ctx)
{
    struct log **list;
    size_t count = logs_list(logs, &logs->dirs[index], &list);

    for (size_t i = 0; i < count; i++) {
        each(ctx, list[i], log_is_future(list[i]));
        log_unref(&list[i]);
    }
    free(list);
}

void logs_fail_dir(struct logs *logs, const char *path)
{
    struct logs_dir *dir = logs_dir_by_path(logs, path);

    if (dir != NULL)
        logs_dir_fail(dir);
}

size_t logs_dir_index(const struct logs *logs, const struct log *log)
{
    return logs_dir_of(logs, log)->index;
}

struct group_commit *logs_group_commit(struct logs *logs, const struct log *log)
{
    return logs_dir_of(logs, log)->commit;
}

struct files *logs_files(struct logs *logs)
{
    return logs->files;
}

struct disk *logs_disk(const struct logs *logs)
{
    return logs->disk;
}

void logs_checkpoint(struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        logs_dir_checkpoint(&logs->dirs[i]);
}

/* --- open and close ------------------------------------------------------------------------------
 */

static size_t default_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return FILES_FALLBACK;
    size_t half = (size_t)limit.rlim_cur / 2;

    return half < FILES_AT_LEAST ? FILES_AT_LEAST : half;
}

static struct logs *new_logs(const struct logs_options *options)
{
    struct logs *logs = xcalloc(1, sizeof *logs);
    int64_t now_ms = clock_mono_ms();

    assert(options->dir_count > 0 && options->dir_count <= MAX_DIRS);
    logs->options = *options;
    logs->disk = options->disk != NULL ? options->disk : disk_posix();
    logs->max_open_files = options->max_open_files > 0 ? options->max_open_files : default_files();
    logs->files = files_new(logs->disk, logs->max_open_files);
    lock_init(&logs->lock, LOCK_LOGS);
    cond_init(&logs->wake);
    rand_bytes_os(&logs->rand_state, sizeof logs->rand_state);
    if (options->cluster_id != NULL)
        snprintf(logs->cluster_id, sizeof logs->cluster_id, "%s", options->cluster_id);
    logs->dir_count = options->dir_count;
    logs->dirs = xcalloc(logs->dir_count, sizeof *logs->dirs);
    for (size_t i = 0; i < logs->dir_count; i++) {
        logs_dir_init(&logs->dirs[i], logs, i, options->dirs[i]);
        logs_dir_start_times(&logs->dirs[i], now_ms);
    }
    logs->options.dirs = NULL; /* borrowed until now */
    return logs;
}

static void forget(struct logs *logs)
{
    struct logs_entry *entry;
    struct logs_entry *next;
    struct logs_wish *wish, *next_wish;

    for (size_t i = 0; i < logs->dir_count; i++)
        group_commit_stop(&logs->dirs[i].commit);
    HASH_ITER (hh, logs->entries, entry, next) {
        HASH_DEL(logs->entries, entry);
        logs_entry_free(entry);
    }
    HASH_ITER (hh, logs->wishes, wish, next_wish) {
        HASH_DEL(logs->wishes, wish);
        free(wish->key);
        free(wish);
    }
    for (size_t i = 0; i < logs->dir_count; i++)
        logs_dir_fini(&logs->dirs[i]);
    files_free(&logs->files);
    cond_fini(&logs->wake);
    lock_fini(&logs->lock);
    free(logs->dirs);
    free(logs);
}

/* What protects us ends the start; what is broken ends a directory. */
static bool is_fatal(enum err err)
{
    return err == ERR_LOCKED || err == ERR_BAD_VERSION || err == ERR_INVALID_CONFIG ||
           err == ERR_INCONSISTENT_CLUSTER_ID || err == ERR_BAD_FORMAT;
}

static void close_dirs(struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        group_commit_stop(&logs->dirs[i].commit);
    for (size_t i = 0; i < logs->dir_count; i++)
        logs_dir_close(&logs->dirs[i]);
}

/* What was not clean does not become it, recovered whole or not: that it may have lost records is
 * for the controller to hear, and nobody has made a note of it yet. It is left as by a crash. */
static void give_up(struct logs *logs)
{
    for (size_t i = 0; i < logs->dir_count; i++)
        if (!logs->dirs[i].was_clean)
            atomic_store(&logs->dirs[i].env.failed, true);
    close_dirs(logs);
}

enum err logs_open(const struct logs_options *options, struct logs **out)
{
    struct logs *logs = new_logs(options);
    enum err err = ERR_OK;

    for (size_t i = 0; i < logs->dir_count && err == ERR_OK; i++) {
        err = logs_dir_prepare(&logs->dirs[i]);
        if (err == ERR_OK || is_fatal(err))
            continue;
        say_error("cannot use log directory dir=%s err=%s", logs->dirs[i].path, err_name(err));
        logs_dir_fail(&logs->dirs[i]);
        err = ERR_OK;
    }
    if (err == ERR_OK && logs_all_offline(logs))
        err = ERR_KAFKA_STORAGE_ERROR;
    for (size_t i = 0; i < logs->dir_count && err == ERR_OK; i++)
        logs->dirs[i].commit = group_commit_start(options->no_threads ? -1 : (int)i);
    if (err == ERR_OK && options->on_locked != NULL)
        options->on_locked(options->ctx, logs->options.broker_id);
    if (err == ERR_OK)
        logs_load(logs);
    if (err == ERR_OK && logs_all_offline(logs))
        err = ERR_KAFKA_STORAGE_ERROR;
    if (err == ERR_OK && atomic_load(&logs->given_up)) {
        give_up(logs);
        err = ERR_SHUTTING_DOWN;
    }
    if (err == ERR_OK && options->cluster_id != NULL)
        err = logs_set_cluster_id(logs, options->cluster_id);
    if (err != ERR_OK) {
        forget(logs);
        return err;
    }
    if (!options->no_threads)
        logs_start_ticking(logs);
    *out = logs;
    return ERR_OK;
}

void logs_close(struct logs **logs)
{
    struct logs *gone = *logs;

    *logs = NULL;
    if (gone == NULL)
        return;
    logs_stop_ticking(gone);
    close_dirs(gone);
    forget(gone);
}

void logs_abandon(struct logs **logs)
{
    struct logs *gone = *logs;

    *logs = NULL;
    if (gone == NULL)
        return;
    logs_stop_ticking(gone);
    /* The hints that still wait must not be synced: that would not be a crash. */
    for (size_t i = 0; i < gone->dir_count; i++)
        atomic_store(&gone->dirs[i].env.failed, true);
    forget(gone);
}
