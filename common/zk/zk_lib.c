/*
 * The seam over Debian's libzookeeper_mt, and the life of its handles. One thread of ours per
 * struct zk is the library's only caller; the library's two threads do nothing but turn what they
 * are told into messages to it.
 *
 * A call waits until the session is connected and the window has room (zk_lib_asked.c), is sent and
 * comes back with its answer (zk_lib_request.c), and is failed by us if both library threads are
 * joined before that.
 *
 * A handle whose session has expired is dead: it is closed outside the message loop (its late
 * completions are in our mailbox and must be taken before the list is failed), the owner is told,
 * and after a pause that doubles with every failure, and varies so that a whole cluster does not
 * come back in step, a new handle is opened. Messages of older handles carry an older number and
 * are dropped.
 *
 * A server that is silent for longer than we have patience (zk_lib_patience.c) is left, and the
 * session lives on: with the same handle when it was connected, else with another one. A new handle
 * knows neither what we have seen nor what we watch: so it catches up with the leader (sync) before
 * anybody hears of it, and all that is watched is told to have changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zookeeper/zookeeper.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/base/thread.h"
#include "common/zk/zk.h"
#include "common/zk/zk_int.h"
#include "common/zk/zk_lib_int.h"

#define WINDOW_DEFAULT         1000
#define BACKOFF_MS_MIN_DEFAULT 50
#define BACKOFF_MS_MAX_DEFAULT 2000
#define DRAIN_MS               500

/*   [I] set before use   [z] the zk thread only */
struct zk_lib {
    struct zk base;
    struct thread thread;
    struct mailbox mailbox;                 /* of the zk thread */
    char *servers;                          /* [I] */
    int32_t timeout_ms;                     /* [I] asked for */
    int32_t window;                         /* [I] */
    bool make_chroot;                       /* [z] still to be looked at */
    int64_t backoff_ms_min, backoff_ms_max; /* [I] */

    zhandle_t *handle;           /* [z] NULL between sessions */
    struct link *link;           /* [z] what its callbacks get */
    uint32_t number;             /* [z] of the handle */
    unsigned first_server;       /* [z] that it tries */
    clientid_t session;          /* [z] that it goes on with; 0: a new one */
    uint32_t turn;               /* [z] */
    bool had_session;            /* [z] this handle was connected once */
    bool connected;              /* [z] */
    bool is_moved;               /* [z] goes on from another handle, not synced yet */
    bool is_moving;              /* [z] that one is being closed */
    struct zk_patience patience; /* [z] */
    struct msg synced;           /* after a move */
    int synced_rc;               /* of the message */
    bool watchful;               /* [I] */
    bool pinging;                /* [z] */
    struct msg ponged;           /* while pinging */
    int ponged_rc;               /* of the message */
    bool dead;                   /* [z] to be closed once the mailbox has been run */
    bool stopping;               /* [z] */
    int64_t backoff_ms;          /* [z] */
    int64_t open_at_ms;          /* [z] when the next handle is due */
    struct rand rand;            /* [z] */
    struct zk_asked asked;       /* [z] */
    struct msg stop;
};

/* Context of a handle's watchers; lives until the handle is closed. */
struct link {
    struct zk_lib *lib;
    uint32_t number;
};

struct heard {
    struct msg msg;
    struct zk_lib *lib;
    uint32_t number;
    int type, state;
    char path[];
};

/* ---- what the library's threads tell --------------------------------------------------------- */

static void on_call_completed(struct msg *msg);

void zk_lib_answered(struct zk_call *call)
{
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    call->msg.run = on_call_completed;
    mailbox_post(&lib->mailbox, &call->msg);
}

static void on_heard(struct msg *msg);

static void on_watch(zhandle_t *handle, int type, int state, const char *path, void *context)
{
    struct link *link = context;
    size_t len = path != NULL ? strlen(path) : 0;
    struct heard *heard = xmalloc(sizeof *heard + len + 1);

    (void)handle;
    *heard = (struct heard){ .msg = { .run = on_heard },
                             .lib = link->lib,
                             .number = link->number,
                             .type = type,
                             .state = state };
    memcpy(heard->path, path != NULL ? path : "", len + 1);
    mailbox_post(&link->lib->mailbox, &heard->msg);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void await_nothing(struct zk_lib *lib)
{
    zk_patience_rest(&lib->patience, lib->watchful && lib->connected);
}

/* It is on the list before it is sent: its completion may be faster than we are. */
static void call_send(struct zk_lib *lib)
{
    struct zk_call *call = zk_asked_send(&lib->asked);
    int rc;

    if (lib->asked.n_sent == 1 && !lib->pinging) /* else it has been awaited for a while */
        zk_patience_await(&lib->patience);
    if (call->watch)
        zk_asked_watch(&lib->asked, call->path);
    rc = zk_lib_request(lib->handle, call);
    if (rc != ZOK) {
        zk_asked_take_back(&lib->asked, call);
        zk_call_fail(call, zk_lib_err(rc));
    }
}

static void calls_send(struct zk_lib *lib)
{
    while (lib->asked.waiting != NULL && lib->connected && !lib->dead &&
           lib->asked.n_sent < lib->window)
        call_send(lib);
}

static void on_call_submitted(struct msg *msg)
{
    struct zk_call *call = container_of(msg, struct zk_call, msg);
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    if (call->turn != lib->turn) { /* made before its maker has heard of the expiry */
        zk_call_fail(call, ERR_SESSION_EXPIRED);
        return;
    }
    zk_asked_wait(&lib->asked, call);
    calls_send(lib);
}

static void on_call_completed(struct msg *msg)
{
    struct zk_call *call = container_of(msg, struct zk_call, msg);
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    zk_asked_take_back(&lib->asked, call);
    if (lib->is_moving && call->answer.err == ERR_SESSION_EXPIRED)
        call->answer.err = ERR_CONNECTION_LOSS; /* the handle was closed, not the session */
    if (call->answer.err != ERR_CONNECTION_LOSS)
        zk_patience_await(&lib->patience);
    if (lib->asked.n_sent == 0 && lib->connected && !lib->pinging)
        await_nothing(lib);
    zk_call_finish(call);
    calls_send(lib);
}

/* ---- the session ----------------------------------------------------------------------------- */

static void post_state(struct zk_lib *lib, enum zk_state state, bool is_new, uint32_t turn_next)
{
    const clientid_t *id = zoo_client_id(lib->handle);
    struct zk_session session = { .state = state,
                                  .is_new = is_new,
                                  .id = id->client_id,
                                  .timeout_ms = zoo_recv_timeout(lib->handle),
                                  .turn = lib->turn };

    memcpy(session.password, id->passwd, sizeof session.password);
    zk_post_session(&lib->base, &session, turn_next);
}

/* False: it is missing and could not be created; the handle has been marked for another try. */
static bool chroot_ensure(struct zk_lib *lib)
{
    struct Stat stat;
    int rc;
    enum err err;

    if (!lib->make_chroot)
        return true;
    rc = zoo_exists(lib->handle, "/", 0, &stat);
    err = rc == ZNONODE ? zk_lib_create_chroot(lib->servers) : zk_lib_err(rc);
    if (err == ERR_OK) {
        if (rc == ZNONODE)
            say_info("created the ZooKeeper chroot path=%s", strchr(lib->servers, '/'));
        lib->make_chroot = false;
        return true;
    }
    say_limited(SAY_WARN, "cannot look at the ZooKeeper chroot, trying again err=%s",
                err_name(err));
    lib->dead = true;
    return false;
}

/* Calls may go out. */
static void connected(struct zk_lib *lib)
{
    bool is_new = !lib->had_session;

    lib->had_session = true;
    lib->connected = true;
    await_nothing(lib);
    lib->backoff_ms = lib->backoff_ms_min;
    post_state(lib, ZK_CONNECTED, is_new, lib->turn);
    calls_send(lib);
}

static void suspended(struct zk_lib *lib)
{
    lib->connected = false;
    zk_patience_await(&lib->patience);
    post_state(lib, ZK_SUSPENDED, false, lib->turn);
}

/* A handle that failed or is gone is not moved any more, or will be connected once more. */
static void on_moved(struct msg *msg)
{
    struct zk_lib *lib = container_of(msg, struct zk_lib, synced);

    if (lib->synced_rc != ZOK || !lib->is_moved || lib->dead || lib->stopping)
        return;
    lib->is_moved = false;
    connected(lib);
    zk_asked_tell_watched(&lib->asked, &lib->base);
}

/* On a thread of the library's, which tells the end of each connection's calls before the next
 * connection: so the message is never there twice. */
static void on_synced(int rc, const char *path, const void *data)
{
    struct zk_lib *lib = (struct zk_lib *)(uintptr_t)data;

    (void)path;
    lib->synced_rc = rc;
    lib->synced.run = on_moved;
    mailbox_post(&lib->mailbox, &lib->synced);
}

static void on_session_state(struct zk_lib *lib, int state)
{
    if (state == ZOO_CONNECTED_STATE) {
        if (lib->is_moved)
            (void)zoo_async(lib->handle, "/", on_synced, lib); /* else it is lost again already */
        else if (!lib->connected && chroot_ensure(lib))
            connected(lib);
    } else if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
        if (state == ZOO_AUTH_FAILED_STATE)
            say_limited(SAY_ERROR, "ZooKeeper refuses to authenticate us");
        lib->dead = true;
    } else if (lib->connected) { /* connecting, associating */
        suspended(lib);
    }
}

static void on_heard(struct msg *msg)
{
    struct heard *heard = container_of(msg, struct heard, msg);
    struct zk_lib *lib = heard->lib;

    if (heard->number == lib->number && lib->handle != NULL && !lib->dead && !lib->stopping) {
        if (heard->type == ZOO_SESSION_EVENT)
            on_session_state(lib, heard->state);
        else if (heard->type == ZOO_CREATED_EVENT)
            zk_post_node(&lib->base, str_of(heard->path), ZK_NODE_CREATED);
        else if (heard->type == ZOO_DELETED_EVENT)
            zk_post_node(&lib->base, str_of(heard->path), ZK_NODE_DELETED);
        else if (heard->type == ZOO_CHANGED_EVENT)
            zk_post_node(&lib->base, str_of(heard->path), ZK_NODE_CHANGED);
        else if (heard->type == ZOO_CHILD_EVENT)
            zk_post_node(&lib->base, str_of(heard->path), ZK_NODE_CHILDREN);
    }
    free(heard);
}

static void retry_later(struct zk_lib *lib)
{
    int64_t pause_ms = lib->backoff_ms;

    pause_ms = pause_ms / 2 + (int64_t)rand_below(&lib->rand, (uint64_t)pause_ms + 1);
    lib->open_at_ms = clock_mono_ms() + pause_ms;
    lib->backoff_ms *= 2;
    if (lib->backoff_ms > lib->backoff_ms_max)
        lib->backoff_ms = lib->backoff_ms_max;
}

static void session_open(struct zk_lib *lib)
{
    const clientid_t *session = lib->session.client_id != 0 ? &lib->session : NULL;

    lib->link = xmalloc(sizeof *lib->link);
    *lib->link = (struct link){ .lib = lib, .number = ++lib->number };
    lib->is_moved = session != NULL;
    lib->handle = zk_lib_handle(lib->servers, lib->first_server, on_watch, lib->timeout_ms, session,
                                lib->link);
    zk_patience_await(&lib->patience);
    if (lib->handle == NULL) {
        say_limited(SAY_WARN, "cannot use the ZooKeeper servers, trying again servers=%s: %s",
                    lib->servers, strerror(errno));
        free(lib->link);
        lib->link = NULL;
        retry_later(lib);
    }
}

/* Gives what has been sent a moment to be answered: a handle that is closed with requests pending
 * loses memory as well as completions. */
static void sent_drain(struct zk_lib *lib)
{
    int64_t end_ms = clock_mono_ms() + DRAIN_MS, left_ms;

    while (lib->connected && lib->asked.n_sent > 0 && (left_ms = end_ms - clock_mono_ms()) > 0)
        mailbox_wait(&lib->mailbox, (int)left_ms);
}

static void handle_close(struct zk_lib *lib)
{
    zookeeper_close(lib->handle);
    lib->handle = NULL;
    lib->connected = lib->is_moved = lib->pinging = false;
    await_nothing(lib);
    free(lib->link);
    lib->link = NULL;
}

/* Should the library have connected in this very moment, the session is closed with the handle: as
 * if it had expired. */
static void move_on(struct zk_lib *lib)
{
    if (lib->had_session)
        lib->session = *zoo_client_id(lib->handle);
    if (lib->connected) /* what the library has told of its end is not heard any more */
        suspended(lib);
    lib->first_server++;
    lib->is_moving = true;
    handle_close(lib);
    mailbox_run(&lib->mailbox);
    zk_asked_fail_sent(&lib->asked, ERR_CONNECTION_LOSS);
    lib->is_moving = false;
    if (!lib->stopping)
        session_open(lib);
}

/* ---- silent servers -------------------------------------------------------------------------- */

static void on_ponged(struct msg *msg)
{
    struct zk_lib *lib = container_of(msg, struct zk_lib, ponged);

    lib->pinging = false;
    if (lib->ponged_rc == ZOK || lib->ponged_rc == ZNONODE)
        zk_patience_await(&lib->patience); /* the answers to what was sent meanwhile */
    if (lib->asked.n_sent == 0 && lib->connected)
        await_nothing(lib);
}

/* On a thread of the library's. */
static void on_pong(int rc, const struct Stat *stat, const void *data)
{
    struct zk_lib *lib = (struct zk_lib *)(uintptr_t)data;

    (void)stat;
    lib->ponged_rc = rc;
    lib->ponged.run = on_ponged;
    mailbox_post(&lib->mailbox, &lib->ponged);
}

static void ping(struct zk_lib *lib)
{
    zk_patience_await(&lib->patience);
    lib->pinging = true; /* before it is sent: its completion may be faster than we are */
    if (zoo_aexists(lib->handle, "/", 0, on_pong, lib) != ZOK)
        lib->pinging = false;
}

static void look(struct zk_lib *lib)
{
    bool is_idle = lib->connected && lib->asked.n_sent == 0 && !lib->pinging;

    switch (zk_patience_look(&lib->patience, zoo_state(lib->handle), is_idle)) {
    case ZK_LOOK_WAIT:
        break;
    case ZK_LOOK_PING:
        ping(lib);
        break;
    case ZK_LOOK_HANG_UP:
        say_limited(SAY_WARN, "a ZooKeeper server does not answer, leaving it");
        zk_lib_hang_up(lib->handle);
        break;
    case ZK_LOOK_MOVE_ON:
        say_limited(SAY_WARN, "a ZooKeeper server does not let us in, trying the next");
        move_on(lib);
        break;
    }
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Ends the handle: everything that was asked in its session is answered when this returns. */
static void session_end(struct zk_lib *lib)
{
    struct zk_session session;
    bool tell = lib->had_session;

    session = (struct zk_session){ .state = ZK_EXPIRED,
                                   .id = zoo_client_id(lib->handle)->client_id,
                                   .timeout_ms = zoo_recv_timeout(lib->handle),
                                   .turn = lib->turn };
    handle_close(lib);
    lib->had_session = false;
    lib->session = (clientid_t){ 0 };
    zk_asked_forget_watched(&lib->asked);
    if (tell)
        lib->turn++; /* what is submitted from here on was meant for the session that has ended */
    mailbox_run(&lib->mailbox); /* completions that came before the end */
    if (tell) {
        zk_asked_fail_sent(&lib->asked, ERR_SESSION_EXPIRED);
        zk_asked_fail_waiting(&lib->asked, ERR_SESSION_EXPIRED);
        zk_post_session(&lib->base, &session, lib->turn);
    }
}

static void zk_thread(void *arg)
{
    struct zk_lib *lib = arg;

    while (!lib->stopping) {
        int64_t wait_ms = zk_patience_look_in_ms(&lib->patience);

        if (lib->handle == NULL) {
            wait_ms = lib->open_at_ms - clock_mono_ms();
            if (wait_ms <= 0) {
                session_open(lib);
                continue;
            }
        }
        mailbox_wait(&lib->mailbox, (int)wait_ms);
        if (lib->dead && !lib->stopping) {
            session_end(lib);
            lib->dead = false;
            retry_later(lib);
        } else if (lib->handle != NULL && !lib->stopping &&
                   zk_patience_look_in_ms(&lib->patience) == 0) {
            look(lib);
        }
    }
    zk_asked_fail_waiting(&lib->asked, ERR_CLOSED);
    if (lib->handle != NULL) {
        sent_drain(lib);
        session_end(lib);
    }
    mailbox_run(&lib->mailbox);
    zk_asked_fail_sent(&lib->asked, ERR_CLOSED);
    zk_asked_fail_waiting(&lib->asked, ERR_CLOSED);
    zk_asked_forget_watched(&lib->asked);
}

/* ---- the seam -------------------------------------------------------------------------------- */

static void lib_submit(struct zk *zk, struct zk_call *call)
{
    struct zk_lib *lib = container_of(zk, struct zk_lib, base);

    call->msg.run = on_call_submitted;
    mailbox_post(&lib->mailbox, &call->msg);
}

static void on_stop(struct msg *msg)
{
    container_of(msg, struct zk_lib, stop)->stopping = true;
}

static void lib_stop(struct zk *zk)
{
    struct zk_lib *lib = container_of(zk, struct zk_lib, base);

    lib->stop.run = on_stop;
    mailbox_post(&lib->mailbox, &lib->stop);
    thread_join(&lib->thread);
}

static void lib_free(struct zk *zk)
{
    struct zk_lib *lib = container_of(zk, struct zk_lib, base);

    mailbox_fini(&lib->mailbox);
    free(lib->servers);
    free(lib);
}

static const struct zk_ops lib_ops = { .submit = lib_submit, .stop = lib_stop, .free = lib_free };

enum err zk_open(const struct zk_options *options, struct zk **out)
{
    struct zk_lib *lib;
    char *servers = zk_lib_servers(options->servers);

    *out = NULL;
    if (servers == NULL)
        return ERR_INVALID_CONFIG;
    lib = xcalloc(1, sizeof *lib);
    zk_init(&lib->base, &lib_ops, options->mailbox);
    mailbox_init(&lib->mailbox);
    rand_seed_os(&lib->rand);
    lib->servers = servers;
    lib->timeout_ms = options->session_timeout_ms;
    lib->window = options->window > 0 ? options->window : WINDOW_DEFAULT;
    lib->watchful = options->watchful;
    lib->make_chroot = options->make_chroot && strchr(servers, '/') != NULL;
    lib->backoff_ms_min =
        options->backoff_ms_min > 0 ? options->backoff_ms_min : BACKOFF_MS_MIN_DEFAULT;
    lib->backoff_ms_max =
        options->backoff_ms_max > 0 ? options->backoff_ms_max : BACKOFF_MS_MAX_DEFAULT;
    lib->backoff_ms = lib->backoff_ms_min;
    zk_patience_init(&lib->patience, servers, lib->timeout_ms);
    lib->first_server = (unsigned)rand_below(&lib->rand, UINT16_MAX);
    lib->turn = 1;
    thread_start(&lib->thread, T_ZK, -1, zk_thread, lib);
    *out = &lib->base;
    return ERR_OK;
}
