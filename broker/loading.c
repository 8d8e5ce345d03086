/*
 * The thread that tells ZooKeeper owns a session of its own and sleeps in its mailbox: the end of
 * loading is a message, so that it does not hold up the start. The znode is ephemeral and set once
 * a second; one that a process before us has left vanishes with its session and is made anew then.
 */
#include "broker/loading.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "common/zk/zk.h"
#include "common/zk/zk_tree.h"

#define QUIET_MS   1000 /* of a start that is quicker ZooKeeper is not told */
#define EVERY_MS   1000
#define SAY_MS     5000
#define SESSION_MS 6000

struct loading_dir {
    char *path;
    bool is_clean;
    size_t loaded, total;
    int64_t read_bytes;
};

/* [I] set before anyone else can see it    [m] under lock    [o] the thread's */
struct loading {
    struct lock lock;         /* rank LOCK_LEAF */
    struct loading_dir *dirs; /* [m] */
    size_t dir_count;         /* [I] */
    int64_t began_ms;         /* [I] wall clock */
    int64_t next_say_ms;      /* [m] monotonic */
    char *zookeeper_connect;  /* [I] */
    int32_t broker_id;        /* [I] */
    struct thread thread;     /* main's */
    struct mailbox mailbox;   /* [o] */
    struct zk *zk;            /* [o] */
    bool is_done;             /* [o] */
    bool is_asking;           /* [o] a call is on its way */
    struct msg done;
};

struct loading *loading_new(size_t dirs)
{
    struct loading *loading = xcalloc(1, sizeof *loading);

    lock_init(&loading->lock, LOCK_LEAF);
    loading->dirs = xcalloc(dirs, sizeof *loading->dirs);
    loading->dir_count = dirs;
    loading->began_ms = clock_wall_ms();
    loading->next_say_ms = clock_mono_ms() + SAY_MS;
    return loading;
}

static void sum_locked(const struct loading *loading, size_t *loaded, size_t *total)
{
    *loaded = 0;
    *total = 0;
    for (size_t i = 0; i < loading->dir_count; i++) {
        *loaded += loading->dirs[i].loaded;
        *total += loading->dirs[i].total;
    }
}

/* Of two threads the one that was further may be here first. */
void loading_note(struct loading *loading, const struct logs_progress *progress)
{
    int64_t now_ms = clock_mono_ms();
    size_t loaded, total;

    lock_take(&loading->lock);
    struct loading_dir *dir = &loading->dirs[progress->index];

    if (dir->path == NULL)
        dir->path = xstrdup(progress->dir);
    dir->is_clean = progress->is_clean;
    dir->total = progress->total;
    if (progress->loaded > dir->loaded)
        dir->loaded = progress->loaded;
    if (progress->read_bytes > dir->read_bytes)
        dir->read_bytes = progress->read_bytes;
    bool is_due = now_ms >= loading->next_say_ms;

    if (is_due)
        loading->next_say_ms = now_ms + SAY_MS;
    sum_locked(loading, &loaded, &total);
    lock_drop(&loading->lock);
    if (is_due)
        say_info("loading logs loaded=%zu total=%zu", loaded, total);
}

void loading_totals(struct loading *loading, size_t *loaded, size_t *total)
{
    lock_take(&loading->lock);
    sum_locked(loading, loaded, total);
    lock_drop(&loading->lock);
}

/* As ZooKeeper is told, in the arena. */
static struct str print_value(struct loading *loading, struct arena *arena)
{
    struct zk_loading value = { .timestamp_ms = loading->began_ms };

    value.dirs = arena_zalloc(arena, loading->dir_count, sizeof *value.dirs);
    lock_take(&loading->lock);
    for (size_t i = 0; i < loading->dir_count; i++) {
        const struct loading_dir *dir = &loading->dirs[i];

        if (dir->path != NULL)
            value.dirs[value.n++] =
                (struct zk_loading_dir){ .dir = str_of(arena_cstr(arena, str_of(dir->path))),
                                         .is_clean = dir->is_clean,
                                         .loaded = (int64_t)dir->loaded,
                                         .total = (int64_t)dir->total,
                                         .read_bytes = dir->read_bytes };
    }
    lock_drop(&loading->lock);
    return zk_build_loading(arena, &value);
}

void loading_print(struct loading *loading, FILE *out)
{
    struct arena arena;
    size_t loaded, total;

    arena_init(&arena, SIZE_MAX);
    struct str value = print_value(loading, &arena);
    const char *members = memmem(value.ptr, value.len, "\"timestamp\"", strlen("\"timestamp\""));

    loading_totals(loading, &loaded, &total);
    /* Without the version of the znode, and the brace. */
    fprintf(out, "\"logs_loaded\":%zu,\"logs_total\":%zu,%.*s", loaded, total,
            (int)(value.ptr + value.len - 1 - members), members);
    arena_fini(&arena);
}

/* ---- ZooKeeper ---- */

static void on_done(struct msg *msg)
{
    struct loading *loading = container_of(msg, struct loading, done);

    loading->is_done = true;
}

/* Whatever the answer is, the next turn tries again. */
static void on_answered(void *arg, const struct zk_answer *answer)
{
    struct loading *loading = arg;

    (void)answer;
    loading->is_asking = false;
}

static void on_path(void *arg, const struct zk_answer *answer)
{
    struct loading *loading = arg;
    struct arena arena;

    if (answer->err != ERR_OK) {
        loading->is_asking = false;
        return;
    }
    arena_init(&arena, SIZE_MAX);
    zk_create(loading->zk, zk_path_loading(&arena, loading->broker_id),
              print_value(loading, &arena), ZK_EPHEMERAL, on_answered, loading);
    arena_fini(&arena);
}

static void on_set(void *arg, const struct zk_answer *answer)
{
    struct loading *loading = arg;

    loading->is_asking = answer->err == ERR_NOT_FOUND;
    if (loading->is_asking)
        zk_create_path(loading->zk, ZK_LOADING, on_path, loading);
}

static void tell(struct loading *loading)
{
    struct arena arena;

    if (loading->is_asking)
        return;
    arena_init(&arena, SIZE_MAX);
    loading->is_asking = true;
    zk_set(loading->zk, zk_path_loading(&arena, loading->broker_id), print_value(loading, &arena),
           -1, on_set, loading);
    arena_fini(&arena);
}

static void wait_ms(struct loading *loading, int64_t ms)
{
    int64_t until_ms = clock_mono_ms() + ms;
    int64_t now_ms;

    while (!loading->is_done && (now_ms = clock_mono_ms()) < until_ms)
        mailbox_wait(&loading->mailbox, (int)(until_ms - now_ms));
}

/* Closing the session takes the znode away. */
static void run(void *arg)
{
    struct loading *loading = arg;
    struct zk_options options = { .servers = loading->zookeeper_connect,
                                  .session_timeout_ms = SESSION_MS,
                                  .mailbox = &loading->mailbox };

    wait_ms(loading, QUIET_MS);
    if (loading->is_done || zk_open(&options, &loading->zk) != ERR_OK)
        return;
    while (!loading->is_done) {
        tell(loading);
        wait_ms(loading, EVERY_MS);
    }
    zk_close(&loading->zk);
    mailbox_run(&loading->mailbox); /* a message that is still inside frees the session */
}

void loading_publish(struct loading *loading, const char *zookeeper_connect, int32_t broker_id)
{
    if (broker_id < 0)
        return;
    loading->zookeeper_connect = xstrdup(zookeeper_connect);
    loading->broker_id = broker_id;
    loading->done.run = on_done;
    mailbox_init(&loading->mailbox);
    thread_start(&loading->thread, T_LOADING, -1, run, loading);
}

void loading_done(struct loading *loading)
{
    if (!loading->thread.running)
        return;
    mailbox_post(&loading->mailbox, &loading->done);
    thread_join(&loading->thread);
    mailbox_fini(&loading->mailbox);
}

void loading_free(struct loading **loading_ptr)
{
    struct loading *loading = *loading_ptr;

    *loading_ptr = NULL;
    if (loading == NULL)
        return;
    loading_done(loading);
    for (size_t i = 0; i < loading->dir_count; i++)
        free(loading->dirs[i].path);
    free(loading->dirs);
    free(loading->zookeeper_connect);
    lock_fini(&loading->lock);
    free(loading);
}
