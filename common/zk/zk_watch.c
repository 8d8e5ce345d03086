/*
 * A read with a watch answers and arms in one call. Absent znodes have no data to watch, so after
 * ERR_NOT_FOUND an exists-watch is set, whose answer says whether it has come meanwhile.
 *
 * What cannot be read (its ACL forbids it) has no watch either. Its existence, which no ACL hides,
 * is watched instead, and it is read once more under that watch, so that no change falls in
 * between.
 *
 * At most one read is out. News during a read, from a watch that an earlier read had left, makes it
 * stale and asks for one more. After a lost connection the read is simply made again (the session
 * sends it once it is connected); after an expiry it waits for the new session, where everything is
 * read anew. A new session that is met while a read of the old one is still out counts as news, as
 * that read will end with ERR_SESSION_EXPIRED.
 */
#include "common/zk/zk_watch.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/say.h"

struct zk_watch {
    struct zk *zk;
    struct zk_listener listener;
    enum zk_watch_kind kind;
    zk_watch_told *told;
    void *arg;
    bool tells_failures; /* of reading it */
    bool exists_watched; /* by an exists that has not fired since */
    bool reading;        /* an answer is awaited */
    bool stale;          /* read again after that */
    bool telling;        /* inside told() */
    bool stopped;        /* to be freed when neither */
    char path[];
};

static void on_read(void *arg, const struct zk_answer *answer);
static void on_absent(void *arg, const struct zk_answer *answer);

static void read_now(struct zk_watch *watch)
{
    watch->reading = true;
    watch->stale = false;
    if (watch->kind == ZK_WATCH_DATA)
        zk_get(watch->zk, watch->path, true, on_read, watch);
    else
        zk_children(watch->zk, watch->path, true, on_read, watch);
}

void zk_watch_again(struct zk_watch *watch)
{
    if (watch->reading)
        watch->stale = true;
    else
        read_now(watch);
}

static void on_node(struct zk_listener *listener, struct str path, enum zk_event event)
{
    struct zk_watch *watch = container_of(listener, struct zk_watch, listener);

    if (!str_is(path, watch->path))
        return;
    if (event == (watch->kind == ZK_WATCH_DATA ? ZK_NODE_CHILDREN : ZK_NODE_CHANGED) &&
        !watch->exists_watched)
        return;
    watch->exists_watched = false;
    zk_watch_again(watch);
}

static void on_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct zk_watch *watch = container_of(listener, struct zk_watch, listener);

    if (session->state != ZK_CONNECTED || !session->is_new)
        return;
    watch->exists_watched = false;
    zk_watch_again(watch);
}

static bool is_read(enum err err)
{
    return err == ERR_OK || err == ERR_NOT_FOUND;
}

/* The znode's own failure, not that of the connection or session. */
static bool is_unreadable(enum err err)
{
    return !is_read(err) && err != ERR_CONNECTION_LOSS && err != ERR_SESSION_EXPIRED &&
           err != ERR_CLOSED;
}

static void say_unreadable(const struct zk_watch *watch, enum err err)
{
    say_error("cannot watch a znode path=%s err=%s", watch->path, err_name(err));
}

/* True when there is nothing to tell and what is to be done has been. */
static bool is_failure(struct zk_watch *watch, enum err err)
{
    if (is_read(err))
        return false;
    if (watch->stopped)
        free(watch);
    else if (err == ERR_CONNECTION_LOSS)
        read_now(watch);
    else if (err == ERR_SESSION_EXPIRED && watch->stale)
        read_now(watch); /* the new session is here already */
    else if (is_unreadable(err))
        say_unreadable(watch, err);
    return true;
}

static void tell(struct zk_watch *watch, const struct zk_answer *answer)
{
    if (!watch->stopped && !is_read(answer->err) && !watch->tells_failures) {
        say_unreadable(watch, answer->err);
    } else if (!watch->stopped) {
        watch->telling = true;
        watch->told(watch->arg, answer);
        watch->telling = false;
    }
    if (watch->stopped && !watch->reading)
        free(watch);
    else if (watch->stale && !watch->reading)
        read_now(watch);
}

static void on_read(void *arg, const struct zk_answer *answer)
{
    struct zk_watch *watch = arg;

    watch->reading = false;
    if (!is_unreadable(answer->err) && is_failure(watch, answer->err))
        return;
    if (!watch->stopped &&
        (answer->err == ERR_NOT_FOUND || (is_unreadable(answer->err) && !watch->exists_watched))) {
        watch->reading = true;
        zk_exists(watch->zk, watch->path, true, on_absent, watch);
        return;
    }
    tell(watch, answer);
}

static void on_absent(void *arg, const struct zk_answer *answer)
{
    struct zk_watch *watch = arg;

    watch->reading = false;
    if (is_failure(watch, answer->err))
        return;
    watch->exists_watched = true;
    if (answer->err == ERR_OK && !watch->stopped)
        read_now(watch);
    else
        tell(watch, answer);
}

struct zk_watch *zk_watch_start(struct zk *zk, enum zk_watch_kind kind, const char *path,
                                zk_watch_told *told, void *arg)
{
    struct zk_watch *watch = xmalloc(sizeof *watch + strlen(path) + 1);

    *watch = (struct zk_watch){
        .zk = zk,
        .listener = { .on_session = on_session, .on_node = on_node },
        .kind = kind,
        .told = told,
        .arg = arg,
    };
    memcpy(watch->path, path, strlen(path) + 1);
    zk_listen(zk, &watch->listener);
    read_now(watch);
    return watch;
}

void zk_watch_tell_failures(struct zk_watch *watch)
{
    watch->tells_failures = true;
}

void zk_watch_stop(struct zk_watch **watch_ptr)
{
    struct zk_watch *watch = *watch_ptr;

    *watch_ptr = NULL;
    if (watch == NULL)
        return;
    zk_unlisten(watch->zk, &watch->listener);
    watch->stopped = true;
    if (!watch->reading && !watch->telling)
        free(watch);
}
