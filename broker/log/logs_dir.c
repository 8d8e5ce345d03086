/*
 * One directory of logs, from its lock to its clean-stop mark.
 *
 * The mark is removed as soon as it was seen, before anything is loaded: whatever interrupts us
 * from then on, the next start recovers. It is written last, when every log was closed.
 *
 * Logs are loaded by several threads that draw names from one list.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/log/logs_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/str.h"

#define CLEAN_MARK    "{\"version\":0,\"brokerEpoch\":-1}"
#define THREADS_MAX   64
#define ROOM_LOOK_MS  500
#define SUFFIX_DELETE "-delete"
#define SUFFIX_STRAY  "-stray"
#define SUFFIX_FUTURE "-future"

static char *path_in(const struct logs_dir *dir, const char *name)
{
    return xasprintf("%s/%s", dir->path, name);
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t have = strlen(name);
    size_t want = strlen(suffix);

    return have > want && strcmp(name + have - want, suffix) == 0;
}

/* --- failures ----------------------------------------------------------------------------------
 */

static void on_env_failed(struct log_env *env)
{
    struct logs_dir *dir = container_of(env, struct logs_dir, env);
    struct logs_options *options = &dir->logs->options;

    say_error("log directory is offline dir=%s", dir->path);
    if (options->on_dir_failed != NULL)
        options->on_dir_failed(options->ctx, dir->path);
}

void logs_dir_fail(struct logs_dir *dir)
{
    if (!atomic_exchange(&dir->env.failed, true))
        on_env_failed(&dir->env);
}

static bool is_failed(const struct logs_dir *dir)
{
    return atomic_load(&dir->env.failed);
}

static void on_flush_later(struct log_env *env, struct log *log)
{
    struct logs_dir *dir = container_of(env, struct logs_dir, env);

    if (dir->commit != NULL)
        group_commit_hint(dir->commit, log);
}

static void on_remove_later(struct log_env *env, const char *path, int64_t delay_ms)
{
    struct logs_dir *dir = container_of(env, struct logs_dir, env);

    logs_remove_later(dir, path, clock_mono_ms() + delay_ms);
}

static void tell_progress(struct logs_dir *dir)
{
    const struct logs_options *options = &dir->logs->options;
    struct logs_progress progress = { .dir = dir->path,
                                      .index = dir->index,
                                      .is_clean = dir->was_clean,
                                      .loaded = atomic_load(&dir->load_done),
                                      .total = dir->load_total,
                                      .read_bytes = atomic_load(&dir->load_bytes) };

    if (options->on_progress != NULL)
        options->on_progress(options->ctx, &progress);
}

static void on_recovered(struct log_env *env, int64_t bytes)
{
    struct logs_dir *dir = container_of(env, struct logs_dir, env);

    atomic_fetch_add(&dir->load_bytes, bytes);
    tell_progress(dir);
}

static bool is_asked_to_stop(struct logs_dir *dir)
{
    const struct logs_options *options = &dir->logs->options;

    if (options->is_stopping == NULL || !options->is_stopping(options->ctx))
        return false;
    atomic_store(&dir->logs->given_up, true);
    return true;
}

/* Recovery may take minutes and is begun anew without harm; a directory that was stopped cleanly is
 * soon loaded. */
static bool gives_up(struct log_env *env)
{
    struct logs_dir *dir = container_of(env, struct logs_dir, env);

    return !dir->was_clean && is_asked_to_stop(dir);
}

/* --- checkpoints -------------------------------------------------------------------------------
 */

static enum err write_starts(struct logs_dir *dir)
{
    struct checkpoint starts;
    struct log **list;

    checkpoint_init(&starts);
    lock_take(&dir->checkpoint_lock);
    size_t count = logs_list(dir->logs, dir, &list);

    for (size_t i = 0; i < count; i++) {
        if (log_start_needs_saving(list[i]))
            checkpoint_add(&starts, log_topic(list[i]), log_partition(list[i]),
                           log_start_offset(list[i]));
        log_unref(&list[i]);
    }
    free(list);
    enum err err = logs_dir_write_file_locked(dir, LOGS_STARTS, &starts);

    lock_drop(&dir->checkpoint_lock);
    return err;
}

/* A full disk is no reason to give the directory up; the next turn may find room. */
static void mind(struct logs_dir *dir, enum err err, const char *doing)
{
    if (err == ERR_OK)
        return;
    say_error("checkpoint failed dir=%s doing=\"%s\" err=%s", dir->path, doing, err_name(err));
    if (err != ERR_NO_SPACE)
        logs_dir_fail(dir);
}

void logs_dir_checkpoint(struct logs_dir *dir)
{
    if (is_failed(dir))
        return;
    /* The epochs, which go with the points, say nothing of what is below the starts. */
    mind(dir, write_starts(dir), "write log starts");
    mind(dir, logs_dir_save_points(dir), "write recovery points");
}

static enum err on_lower_recovery_point(struct log_env *env, struct log *log)
{
    return logs_dir_lower_point(container_of(env, struct logs_dir, env), log);
}

/* --- prepare -----------------------------------------------------------------------------------
 */

/* Tools name directories by the whole path, and so does Kafka whatever the settings say. */
static char *absolute(const char *path)
{
    char here[DISK_PATH_MAX];

    if (path[0] == '/' || getcwd(here, sizeof here) == NULL)
        return xstrdup(path);
    return xasprintf("%s/%s", here, path);
}

void logs_dir_init(struct logs_dir *dir, struct logs *logs, size_t index, const char *path)
{
    *dir = (struct logs_dir){ .logs = logs, .index = index, .lock_fd = -1 };
    dir->path = absolute(path);
    dir->env.disk = logs->disk;
    dir->env.files = logs->files;
    dir->env.dir = dir->path;
    atomic_init(&dir->env.failed, false);
    dir->env.on_failed = on_env_failed;
    dir->env.flush_later = on_flush_later;
    dir->env.remove_later = on_remove_later;
    dir->env.on_recovered = on_recovered;
    dir->env.gives_up = gives_up;
    dir->env.lower_recovery_point = on_lower_recovery_point;
    lock_init(&dir->points_lock, LOCK_POINTS);
    lock_init(&dir->checkpoint_lock, LOCK_CHECKPOINT);
    STAILQ_INIT(&dir->removals);
    for (int i = 0; i < LOGS_FILES; i++)
        checkpoint_init(&dir->saved[i]);
}

void logs_dir_fini(struct logs_dir *dir)
{
    group_commit_stop(&dir->commit);
    logs_dir_forget_removals(dir);
    if (dir->lock_fd >= 0)
        disk_close(dir->env.disk, dir->lock_fd);
    for (int i = 0; i < LOGS_FILES; i++)
        checkpoint_fini(&dir->saved[i]);
    lock_fini(&dir->checkpoint_lock);
    lock_fini(&dir->points_lock);
    free(dir->path);
}

static enum err check_meta(struct logs_dir *dir)
{
    char *path = path_in(dir, META_FILE);
    enum err err = meta_file_read(dir->env.disk, path, &dir->meta);
    struct logs *logs = dir->logs;

    dir->has_meta = err == ERR_OK;
    dir->is_new = err == ERR_NOT_FOUND;
    if (dir->is_new)
        err = ERR_OK;
    else if (err == ERR_OK && dir->meta.version != 0) {
        say_error("meta.properties is of a version that we do not serve file=%s version=%d", path,
                  dir->meta.version);
        err = ERR_BAD_VERSION;
    } else if (err == ERR_OK && dir->meta.broker_id >= 0 && logs->options.broker_id >= 0 &&
               dir->meta.broker_id != logs->options.broker_id) {
        say_error("directory belongs to another broker file=%s broker.id=%" PRId32 " ours=%" PRId32,
                  path, dir->meta.broker_id, logs->options.broker_id);
        err = ERR_INVALID_CONFIG;
    } else if (err == ERR_OK && logs->cluster_id[0] != '\0' && dir->meta.cluster_id[0] != '\0' &&
               strcmp(logs->cluster_id, dir->meta.cluster_id) != 0) {
        say_error("directory belongs to another cluster file=%s cluster.id=%s ours=%s", path,
                  dir->meta.cluster_id, logs->cluster_id);
        err = ERR_INCONSISTENT_CLUSTER_ID;
    } else if (err == ERR_OK) {
        if (logs->cluster_id[0] == '\0')
            snprintf(logs->cluster_id, sizeof logs->cluster_id, "%s", dir->meta.cluster_id);
        if (logs->options.broker_id < 0)
            logs->options.broker_id = dir->meta.broker_id; /* the other directories must agree */
    } else if (err == ERR_BAD_FORMAT) {
        say_error("cannot understand file=%s", path);
    }
    free(path);
    return err;
}

enum err logs_dir_write_meta(struct logs_dir *dir)
{
    char *path = path_in(dir, META_FILE);

    dir->meta.version = 0;
    dir->meta.broker_id = dir->logs->options.broker_id;
    snprintf(dir->meta.cluster_id, sizeof dir->meta.cluster_id, "%s", dir->logs->cluster_id);
    enum err err = meta_file_write(dir->env.disk, path, &dir->meta, clock_wall_ms());

    dir->has_meta = err == ERR_OK;
    free(path);
    return err;
}

/* Sees whether the last stop was clean, and forgets it. */
static enum err take_clean_mark(struct logs_dir *dir)
{
    struct disk_stat st;
    char *path = path_in(dir, CLEAN_MARK_FILE);
    enum err err = disk_stat(dir->env.disk, path, &st);

    dir->was_clean = err == ERR_OK;
    if (err == ERR_OK)
        err = disk_unlink(dir->env.disk, path);
    if (err == ERR_OK)
        err = disk_sync_dir(dir->env.disk, dir->path);
    free(path);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err logs_dir_prepare(struct logs_dir *dir)
{
    char *lock_path = path_in(dir, LOCK_FILE);
    enum err err = disk_make_dirs(dir->env.disk, dir->path);

    if (err == ERR_OK)
        err = disk_lock(dir->env.disk, lock_path, &dir->lock_fd);
    if (err == ERR_LOCKED)
        say_error("log directory is in use by another process dir=%s", dir->path);
    if (err == ERR_OK)
        err = check_meta(dir);
    free(lock_path);
    if (err != ERR_OK)
        return err;
    err = take_clean_mark(dir);
    return err == ERR_OK ? logs_dir_read_files(dir) : err;
}

/* --- load --------------------------------------------------------------------------------------
 */

struct load_list {
    struct logs_dir *dir;
    char **names;
    size_t count;
    size_t cap;
    _Atomic size_t next;
};

/* "topic-3" or "topic-3.<32 hex>-future": *topic is malloc'ed. */
static bool parse_name(const char *name, char **topic, int32_t *partition, bool *is_future)
{
    struct str text = str_of(name);
    int64_t number;

    *is_future = ends_in(name, SUFFIX_FUTURE);
    if (*is_future) {
        size_t tail = strlen(SUFFIX_FUTURE) + 33;

        if (text.len <= tail || text.ptr[text.len - tail] != '.')
            return false;
        text.len -= tail;
    }
    size_t dash = text.len;

    while (dash > 0 && text.ptr[dash - 1] != '-')
        dash--;
    if (dash < 2 || !str_to_i64((struct str){ text.ptr + dash, text.len - dash }, &number) ||
        number < 0 || number > INT32_MAX)
        return false;
    *topic = xstrndup(text.ptr, dash - 1);
    *partition = (int32_t)number;
    return true;
}

static void take_dir(void *ctx, const char *name, bool is_dir)
{
    struct load_list *list = ctx;

    if (!is_dir || strcmp(name, "remote-log-index-cache") == 0 ||
        strcmp(name, "__cluster_metadata-0") == 0)
        return;
    array_reserve(&list->names, &list->cap, list->count, sizeof *list->names);
    list->names[list->count++] = xstrdup(name);
}

static enum err load_one(struct load_list *list, const char *name)
{
    struct logs_dir *dir = list->dir;
    struct log_conf conf;
    struct log *log;
    char *topic;
    int32_t partition;
    bool is_future;

    if (ends_in(name, SUFFIX_DELETE)) {
        char *path = path_in(dir, name);

        logs_remove_later(dir, path, 0);
        free(path);
        return ERR_OK;
    }
    if (ends_in(name, SUFFIX_STRAY)) {
        say_warn("stray log is kept and not served dir=%s/%s", dir->path, name);
        return ERR_OK;
    }
    if (!parse_name(name, &topic, &partition, &is_future)) {
        say_warn("not the directory of a log, left alone dir=%s/%s", dir->path, name);
        return ERR_OK;
    }
    logs_conf_of(dir->logs, topic, &conf);
    struct log_load load = {
        .is_clean = dir->was_clean,
        .recovery_point = logs_dir_saved(dir, LOGS_POINTS, topic, partition),
        .start_offset = logs_dir_saved(dir, LOGS_STARTS, topic, partition),
        .now_ms = clock_wall_ms(),
    };
    enum err err = log_open(&dir->env, name, topic, partition, &conf, &load, &log);

    if (err == ERR_OK) {
        char *key = xasprintf("%s-%" PRId32 "%s", topic, partition, is_future ? "-future" : "");

        err = logs_put_found(dir->logs, dir, key, log);
        free(key);
    }
    free(topic);
    return err;
}

/* What recovery writes on a full disk (indexes, transactions that were aborted) has to be there
 * before the log is served. A directory is not given up for that: somebody will make room. */
static enum err load_when_there_is_room(struct load_list *list, const char *name)
{
    const struct timespec pause = { .tv_nsec = ROOM_LOOK_MS * INT64_C(1000000) };
    enum err err;

    while ((err = load_one(list, name)) == ERR_NO_SPACE) {
        say_limited(SAY_ERROR, "disk full, waiting for room to recover a log dir=%s log=%s",
                    list->dir->path, name);
        if (is_asked_to_stop(list->dir))
            return ERR_SHUTTING_DOWN;
        if (is_failed(list->dir)) /* another log has met something worse */
            return err;
        nanosleep(&pause, NULL);
    }
    return err;
}

static void load_some(void *arg)
{
    struct load_list *list = arg;
    struct logs_dir *dir = list->dir;

    for (;;) {
        size_t i = atomic_fetch_add(&list->next, 1);

        if (i >= list->count || is_failed(dir) || gives_up(&dir->env))
            return;
        enum err err = load_when_there_is_room(list, list->names[i]);

        if (err == ERR_SHUTTING_DOWN)
            return;
        if (err != ERR_OK) {
            logs_dir_fail(dir);
            return;
        }
        atomic_fetch_add(&dir->load_done, 1);
        tell_progress(dir);
    }
}

static void free_names(struct load_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

static enum err list_dirs(struct logs_dir *dir, struct load_list *list)
{
    *list = (struct load_list){ .dir = dir };
    return disk_list(dir->env.disk, dir->path, take_dir, list);
}

void logs_dir_scan(struct logs_dir *dir)
{
    struct load_list list;

    if (list_dirs(dir, &list) != ERR_OK)
        logs_dir_fail(dir);
    free_names(&list);
    dir->load_total = list.count;
    tell_progress(dir);
}

/* Runs work on so many threads, or here. */
static void run_on(struct logs_dir *dir, void (*work)(void *), void *arg)
{
    struct thread threads[THREADS_MAX] = { 0 };
    int32_t count = dir->logs->options.no_threads ? 0 : dir->logs->options.recovery_threads;

    count = count < 1 ? 0 : count > THREADS_MAX ? THREADS_MAX : count;
    for (int32_t i = 1; i < count; i++)
        thread_start(&threads[i], T_IO, i, work, arg);
    work(arg);
    for (int32_t i = 1; i < count; i++)
        thread_join(&threads[i]);
}

void logs_dir_load(struct logs_dir *dir)
{
    struct load_list list;

    if (list_dirs(dir, &list) != ERR_OK)
        logs_dir_fail(dir);
    run_on(dir, load_some, &list);
    dir->is_loaded = !is_failed(dir) && atomic_load(&dir->load_done) == list.count;
    free_names(&list);
}

/* --- close -------------------------------------------------------------------------------------
 */

struct close_list {
    struct logs_dir *dir;
    struct log **logs;
    size_t count;
    bool together;
    _Atomic size_t next;
    _Atomic size_t failed;
};

static void close_some(void *arg)
{
    struct close_list *list = arg;

    for (;;) {
        size_t i = atomic_fetch_add(&list->next, 1);

        if (i >= list->count)
            return;
        enum err err =
            list->together ? log_close_unsynced(list->logs[i]) : log_close(list->logs[i]);

        if (err != ERR_OK)
            atomic_fetch_add(&list->failed, 1);
    }
}

/* An error of the common sync is final, too: whose data was lost is not known, and a sync of each
 * file might not tell any more. Without its mark the directory is recovered by the next start. */
static enum err finish_together(struct close_list *list)
{
    struct logs_dir *dir = list->dir;
    enum err err = list->failed > 0 ? ERR_IO : disk_sync_all(dir->env.disk, dir->lock_fd);
    bool is_synced = err == ERR_OK;

    for (size_t i = 0; i < list->count; i++) {
        enum err placed = log_close_rest(list->logs[i], is_synced);

        err = err == ERR_OK ? placed : err;
    }
    return err == ERR_OK ? disk_sync_all(dir->env.disk, dir->lock_fd) : err;
}

/* Many logs are synced together: file by file each costs five syncs. */
static enum err close_logs(struct logs_dir *dir)
{
    struct close_list list = { .dir = dir };
    size_t changed = 0;

    list.count = logs_list(dir->logs, dir, &list.logs);
    for (size_t i = 0; i < list.count; i++)
        changed += log_wants_close(list.logs[i]);
    list.together = logs_dir_syncs_together(dir, changed);
    run_on(dir, close_some, &list);
    enum err err = list.failed > 0 ? ERR_IO : ERR_OK;

    if (list.together)
        err = finish_together(&list);
    for (size_t i = 0; i < list.count; i++)
        log_unref(&list.logs[i]);
    free(list.logs);
    return err;
}

/* Of a directory that was loaded in part and stays as it was found: its files know logs that we do
 * not. */
static bool is_to_be_kept(const struct logs_dir *dir)
{
    return !dir->is_loaded && dir->was_clean;
}

void logs_dir_close(struct logs_dir *dir)
{
    char *mark = path_in(dir, CLEAN_MARK_FILE);
    char *lock_path = path_in(dir, LOCK_FILE);

    if (is_failed(dir) || (!dir->is_loaded && !is_to_be_kept(dir)))
        goto free_paths;
    int64_t began_us = clock_mono_us();
    enum err err = ERR_OK;

    if (!is_to_be_kept(dir)) {
        err = close_logs(dir);
        if (err == ERR_OK)
            err = write_starts(dir);
        if (err == ERR_OK)
            err = logs_dir_save_points(dir);
    }
    if (err == ERR_OK)
        err = disk_replace_file(dir->env.disk, mark, CLEAN_MARK, strlen(CLEAN_MARK), true);
    if (err == ERR_OK)
        disk_unlink(dir->env.disk, lock_path);
    if (err == ERR_OK)
        say_info("log directory closed dir=%s took_ms=%" PRId64, dir->path,
                 (clock_mono_us() - began_us) / 1000);
    else
        say_error("could not stop cleanly, the next start recovers dir=%s err=%s", dir->path,
                  err_name(err));
free_paths:
    free(mark);
    free(lock_path);
}

/* ---- who the directories belong to ---- */

const char *logs_cluster_id(const struct logs *logs)
{
    return logs->cluster_id;
}

int32_t logs_broker_id(const struct logs *logs)
{
    return logs->options.broker_id;
}

void logs_set_broker_id(struct logs *logs, int32_t broker_id)
{
    assert(logs->options.broker_id < 0);
    logs->options.broker_id = broker_id;
}

enum err logs_set_cluster_id(struct logs *logs, const char *cluster_id)
{
    if (logs->cluster_id[0] != '\0' && strcmp(logs->cluster_id, cluster_id) != 0) {
        say_error("log directories belong to another cluster cluster.id=%s ours=%s",
                  logs->cluster_id, cluster_id);
        return ERR_INCONSISTENT_CLUSTER_ID;
    }
    snprintf(logs->cluster_id, sizeof logs->cluster_id, "%s", cluster_id);
    for (size_t i = 0; i < logs->dir_count; i++) {
        struct logs_dir *dir = &logs->dirs[i];

        if (atomic_load(&dir->env.failed) ||
            (dir->has_meta && dir->meta.cluster_id[0] != '\0' && dir->meta.broker_id >= 0))
            continue;
        if (logs_dir_write_meta(dir) != ERR_OK)
            logs_dir_fail(dir);
    }
    return ERR_OK;
}
