/*
 * The seam over Debian's libzookeeper_mt. One thread of ours per struct zk is the library's only
 * caller; the library's two threads do nothing but turn what they are told into messages to it.
 *
 * A call waits until the session is connected and the window has room, is sent, and is on the list
 * of those sent until its completion comes. Closing a handle loses completions (ZOOKEEPER-2894), so
 * what is still on the list once both library threads are joined is failed by us.
 *
 * A handle whose session has expired is dead: it is closed outside the message loop (its late
 * completions are in our mailbox and must be taken before the list is failed), the owner is told,
 * and after a pause that doubles with every failure, and varies so that a whole cluster does not
 * come back in step, a new handle is opened. Messages of older handles carry an older number and
 * are dropped.
 *
 * The library waits for a silent server (hung, or cut off without a word) for two thirds of the
 * session's time-out, whether it connects or has requests out, and may then try another one like
 * it. We wait for `patience`: a second (four where there is no other server), doubled each time
 * that a server was reached, for the next ten seconds, so that one which is only slow, or far, is
 * given its time. Then a connection that is up is shut down; one that is not is left by opening
 * another handle that goes on with the session, at the next server. A new handle knows neither what
 * we have seen nor what we watch: so it catches up with the leader (sync) before anybody hears of
 * it, and all that is watched is told to have changed.
 */
#include <stdatomic.h>
#include <assert.h>
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
#define PATIENCE_MS            1000
#define PATIENCE_ALONE_MS      4000  /* where there is no other server to go to */
#define PATIENCE_KEPT_MS       10000 /* after it was used up */
#define LOOK_MS                1000  /* at a server that has something to answer */
#define HELD_UP_MS             500   /* later than due: it was we who were not there */

/*   [I] set before use   [z] the zk thread only   [a] atomic */
struct zk_lib {
    struct zk base;
    struct thread thread;
    struct mailbox mailbox;                 /* of the zk thread */
    char *servers;                          /* [I] */
    int32_t timeout_ms;                     /* [I] asked for */
    int32_t window;                         /* [I] */
    bool make_chroot;                       /* [z] still to be looked at */
    int64_t backoff_ms_min, backoff_ms_max; /* [I] */

    zhandle_t *handle;                      /* [z] NULL between sessions */
    struct link *link;                      /* [z] what its callbacks get */
    uint32_t number;                        /* [z] of the handle */
    unsigned first_server;                  /* [z] that it tries */
    clientid_t session;                     /* [z] that it goes on with; 0: a new one */
    uint32_t turn;                          /* [z] */
    bool had_session;                       /* [z] this handle was connected once */
    bool connected;                         /* [z] */
    bool is_moved;                          /* [z] goes on from another handle, not synced yet */
    bool is_moving;                         /* [z] that one is being closed */
    struct watched *watched;                /* [z] paths, in this session */
    int64_t patience_ms_min;                /* [I] */
    int64_t patience_ms;                    /* [z] */
    int64_t used_up_ms;                     /* [z] when it was, last */
    struct msg synced;                      /* after a move */
    int synced_rc;                          /* of the message */
    bool watchful;                          /* [I] */
    bool pinging;                           /* [z] */
    struct msg ponged;                      /* while pinging */
    int ponged_rc;                          /* of the message */
    int64_t silent_since_ms;                /* [z] an answer is awaited, or a connection */
    int64_t look_at_ms;                     /* [z] INT64_MAX: nothing is awaited */
    bool dead;                              /* [z] to be closed once the mailbox has been run */
    bool stopping;                          /* [z] */
    int64_t backoff_ms;                     /* [z] */
    int64_t open_at_ms;                     /* [z] when the next handle is due */
    struct rand rand;                       /* [z] */
    struct zk_call *waiting, *waiting_last; /* [z] not sent yet */
    struct zk_call *sent;                   /* [z] sent, newest first */
    int32_t n_sent;                         /* [z] */
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

/* A path that has had a watch in this session; it may have fired. */
struct watched {
    struct watched *next;
    char path[];
};

/* ---- words of the library -------------------------------------------------------------------- */

static struct zk_stat stat_of(const struct Stat *stat)
{
    return (struct zk_stat){ .czxid = stat->czxid,
                             .mzxid = stat->mzxid,
                             .ctime_ms = stat->ctime,
                             .mtime_ms = stat->mtime,
                             .owner = stat->ephemeralOwner,
                             .version = stat->version,
                             .cversion = stat->cversion,
                             .n_children = stat->numChildren };
}

/* ---- completions: on the library's threads --------------------------------------------------- */

static void on_call_completed(struct msg *msg);

static void call_back(struct zk_call *call, int rc)
{
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    call->answer.err = zk_lib_err(rc);
    call->msg.run = on_call_completed;
    mailbox_post(&lib->mailbox, &call->msg);
}

/* The library's completions hand back a const pointer to what we gave them. */
static struct zk_call *call_of(const void *data)
{
    return (struct zk_call *)(uintptr_t)data;
}

static void on_data(int rc, const char *value, int value_len, const struct Stat *stat,
                    const void *data)
{
    struct zk_call *call = call_of(data);

    if (rc == ZOK) {
        if (value != NULL && value_len >= 0) {
            struct str text = { .ptr = value, .len = (size_t)value_len };

            call->answer.data.ptr = arena_cstr(&call->arena, text);
            call->answer.data.len = text.len;
        }
        call->answer.stat = stat_of(stat);
    }
    call_back(call, rc);
}

static void on_stat(int rc, const struct Stat *stat, const void *data)
{
    struct zk_call *call = call_of(data);

    if (rc == ZOK && stat != NULL)
        call->answer.stat = stat_of(stat);
    call_back(call, rc);
}

static void on_children(int rc, const struct String_vector *names, const struct Stat *stat,
                        const void *data)
{
    struct zk_call *call = call_of(data);

    if (rc == ZOK && names != NULL) {
        struct str *out;

        call->answer.n_children = (size_t)names->count;
        out = arena_zalloc(&call->arena, call->answer.n_children, sizeof *out);
        for (size_t i = 0; i < call->answer.n_children; i++)
            out[i] = str_of(arena_cstr(&call->arena, str_of(names->data[i])));
        call->answer.children = out;
        call->answer.stat = stat_of(stat);
    }
    call_back(call, rc);
}

static void on_path(int rc, const char *path, const void *data)
{
    struct zk_call *call = call_of(data);

    if (rc == ZOK && path != NULL)
        call->answer.path = str_of(arena_cstr(&call->arena, str_of(path)));
    call_back(call, rc);
}

static void on_void(int rc, const void *data)
{
    call_back(call_of(data), rc);
}

/* What amulti writes into until its completion. */
struct multi_room {
    zoo_op_t *ops;
    zoo_op_result_t *results;
    struct Stat *stats;
};

static void on_multi(int rc, const void *data)
{
    struct zk_call *call = call_of(data);
    struct multi_room *room = call->carrier;
    struct zk_op_result *out = arena_zalloc(&call->arena, call->n_ops, sizeof *out);

    /* A request that got no answer has nothing to say of its operations. */
    for (size_t i = 0; i < call->n_ops; i++) {
        out[i].path = str_of(call->ops[i].path);
        out[i].err = zk_lib_err(rc);
        if (zk_lib_err(rc) == ERR_CONNECTION_LOSS || zk_lib_err(rc) == ERR_SESSION_EXPIRED)
            continue;
        out[i].err = zk_lib_err(room->results[i].err);
        if (rc != ZOK && out[i].err == ERR_OK)
            out[i].err = ERR_OPERATION_NOT_ATTEMPTED;
        if (rc == ZOK && call->ops[i].kind == ZK_OP_CREATE && room->results[i].value != NULL)
            out[i].path = str_of(room->results[i].value);
        if (rc == ZOK && call->ops[i].kind == ZK_OP_SET)
            out[i].stat = stat_of(&room->stats[i]);
    }
    call->answer.n_results = call->n_ops;
    call->answer.results = out;
    call_back(call, rc);
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

/* ---- patience ---------------------------------------------------------------------------------
 */

/* An answer is awaited from now on, or the next one. */
static void await(struct zk_lib *lib)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - lib->used_up_ms > PATIENCE_KEPT_MS)
        lib->patience_ms = lib->patience_ms_min;
    lib->silent_since_ms = now_ms;
    lib->look_at_ms = now_ms + LOOK_MS;
}

static void await_nothing(struct zk_lib *lib)
{
    lib->look_at_ms = lib->watchful && lib->connected ? clock_mono_ms() + LOOK_MS : INT64_MAX;
}

/* -1: no look is due. */
static int64_t look_in_ms(const struct zk_lib *lib)
{
    int64_t left_ms = lib->look_at_ms - clock_mono_ms();

    if (lib->look_at_ms == INT64_MAX)
        return -1;
    return left_ms > 0 ? left_ms : 0;
}

/* ---- watches, in case another handle goes on ---------------------------------------------------
 */

static void watched_add(struct zk_lib *lib, const char *path)
{
    struct watched *watched;

    for (watched = lib->watched; watched != NULL; watched = watched->next) {
        if (strcmp(watched->path, path) == 0)
            return;
    }
    watched = xmalloc(sizeof *watched + strlen(path) + 1);
    memcpy(watched->path, path, strlen(path) + 1);
    watched->next = lib->watched;
    lib->watched = watched;
}

static void watched_forget(struct zk_lib *lib)
{
    struct watched *watched;

    while ((watched = lib->watched) != NULL) {
        lib->watched = watched->next;
        free(watched);
    }
}

/* Whether it was the content or the children: who watches reads again. */
static void watched_tell(struct zk_lib *lib)
{
    for (const struct watched *at = lib->watched; at != NULL; at = at->next) {
        zk_post_node(&lib->base, str_of(at->path), ZK_NODE_CHANGED);
        zk_post_node(&lib->base, str_of(at->path), ZK_NODE_CHILDREN);
    }
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void sent_add(struct zk_lib *lib, struct zk_call *call)
{
    call->prev = NULL;
    call->next = lib->sent;
    if (lib->sent != NULL)
        lib->sent->prev = call;
    lib->sent = call;
    if (lib->n_sent++ == 0 && !lib->pinging) /* else it has been awaited for a while */
        await(lib);
}

static void sent_remove(struct zk_lib *lib, struct zk_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        lib->sent = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    lib->n_sent--;
}

static int mode_flags(enum zk_mode mode)
{
    switch (mode) {
    case ZK_PERSISTENT:
        return 0;
    case ZK_EPHEMERAL:
        return ZOO_EPHEMERAL;
    case ZK_SEQUENTIAL:
        return ZOO_SEQUENCE;
    }
    return 0;
}

/* -1 is the library's word for null. */
static int data_len(struct str data)
{
    return str_is_null(data) ? -1 : (int)data.len;
}

static int send_multi(struct zk_lib *lib, struct zk_call *call)
{
    struct multi_room *room = arena_alloc(&call->arena, sizeof *room);

    room->ops = arena_zalloc(&call->arena, call->n_ops, sizeof *room->ops);
    room->results = arena_zalloc(&call->arena, call->n_ops, sizeof *room->results);
    room->stats = arena_zalloc(&call->arena, call->n_ops, sizeof *room->stats);
    call->carrier = room;
    for (size_t i = 0; i < call->n_ops; i++) {
        const struct zk_op *op = &call->ops[i];
        zoo_op_t *to = &room->ops[i];
        size_t room_len = strlen(op->path) + 16; /* ten digits of a sequential node */

        switch (op->kind) {
        case ZK_OP_CHECK:
            zoo_check_op_init(to, op->path, op->version);
            break;
        case ZK_OP_CREATE:
            zoo_create_op_init(to, op->path, op->data.ptr, data_len(op->data), &ZOO_OPEN_ACL_UNSAFE,
                               mode_flags(op->mode), arena_zalloc(&call->arena, 1, room_len),
                               (int)room_len);
            break;
        case ZK_OP_SET:
            zoo_set_op_init(to, op->path, op->data.ptr, data_len(op->data), op->version,
                            &room->stats[i]);
            break;
        case ZK_OP_DELETE:
            zoo_delete_op_init(to, op->path, op->version);
            break;
        }
    }
    return zoo_amulti(lib->handle, (int)call->n_ops, room->ops, room->results, on_multi, call);
}

static int call_send(struct zk_lib *lib, struct zk_call *call)
{
    zhandle_t *handle = lib->handle;

    if (call->watch)
        watched_add(lib, call->path);
    switch (call->kind) {
    case ZK_CALL_GET:
        return zoo_aget(handle, call->path, call->watch, on_data, call);
    case ZK_CALL_EXISTS:
        return zoo_aexists(handle, call->path, call->watch, on_stat, call);
    case ZK_CALL_CHILDREN:
        return zoo_aget_children2(handle, call->path, call->watch, on_children, call);
    case ZK_CALL_CREATE:
        return zoo_acreate(handle, call->path, call->data.ptr, data_len(call->data),
                           &ZOO_OPEN_ACL_UNSAFE, mode_flags(call->mode), on_path, call);
    case ZK_CALL_SET:
        return zoo_aset(handle, call->path, call->data.ptr, data_len(call->data), call->version,
                        on_stat, call);
    case ZK_CALL_DELETE:
        return zoo_adelete(handle, call->path, call->version, on_void, call);
    case ZK_CALL_SYNC:
        return zoo_async(handle, call->path, on_path, call);
    case ZK_CALL_MULTI:
        return send_multi(lib, call);
    }
    return ZBADARGUMENTS;
}

static void calls_send(struct zk_lib *lib)
{
    while (lib->waiting != NULL && lib->connected && !lib->dead && lib->n_sent < lib->window) {
        struct zk_call *call = lib->waiting;
        int rc;

        lib->waiting = call->next;
        if (lib->waiting == NULL)
            lib->waiting_last = NULL;
        sent_add(lib, call); /* before it is sent: its completion may be faster than we are */
        rc = call_send(lib, call);
        if (rc != ZOK) {
            sent_remove(lib, call);
            zk_call_fail(call, zk_lib_err(rc));
        }
    }
}

static void on_call_submitted(struct msg *msg)
{
    struct zk_call *call = container_of(msg, struct zk_call, msg);
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    if (call->turn != lib->turn) { /* made before its maker has heard of the expiry */
        zk_call_fail(call, ERR_SESSION_EXPIRED);
        return;
    }
    call->next = NULL;
    if (lib->waiting_last != NULL)
        lib->waiting_last->next = call;
    else
        lib->waiting = call;
    lib->waiting_last = call;
    calls_send(lib);
}

static void on_call_completed(struct msg *msg)
{
    struct zk_call *call = container_of(msg, struct zk_call, msg);
    struct zk_lib *lib = container_of(call->zk, struct zk_lib, base);

    sent_remove(lib, call);
    if (lib->is_moving && call->answer.err == ERR_SESSION_EXPIRED)
        call->answer.err = ERR_CONNECTION_LOSS; /* the handle was closed, not the session */
    if (call->answer.err != ERR_CONNECTION_LOSS)
        await(lib);
    if (lib->n_sent == 0 && lib->connected && !lib->pinging)
        await_nothing(lib);
    zk_call_finish(call);
    calls_send(lib);
}

/* ---- the session ------------------------------------------------------------------------------
 */

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

/* A handle that failed or is gone is not moved any more, or will be connected once more. */
static void on_moved(struct msg *msg)
{
    struct zk_lib *lib = container_of(msg, struct zk_lib, synced);

    if (lib->synced_rc != ZOK || !lib->is_moved || lib->dead || lib->stopping)
        return;
    lib->is_moved = false;
    connected(lib);
    watched_tell(lib);
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
        lib->connected = false;
        await(lib);
        post_state(lib, ZK_SUSPENDED, false, lib->turn);
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
    await(lib);
    if (lib->handle == NULL) {
        say_limited(SAY_WARN, "cannot use the ZooKeeper servers, trying again servers=%s: %s",
                    lib->servers, strerror(errno));
        free(lib->link);
        lib->link = NULL;
        retry_later(lib);
    }
}

static void waiting_fail(struct zk_lib *lib, enum err err)
{
    while (lib->waiting != NULL) {
        struct zk_call *call = lib->waiting;

        lib->waiting = call->next;
        zk_call_fail(call, err);
    }
    lib->waiting_last = NULL;
}

static void calls_fail(struct zk_lib *lib, enum err err)
{
    while (lib->sent != NULL) {
        struct zk_call *call = lib->sent;

        sent_remove(lib, call);
        zk_call_fail(call, err);
    }
    waiting_fail(lib, err);
}

/* Gives what has been sent a moment to be answered: a handle that is closed with requests pending
 * loses memory as well as completions. */
static void sent_drain(struct zk_lib *lib)
{
    int64_t end_ms = clock_mono_ms() + DRAIN_MS, left_ms;

    while (lib->connected && lib->n_sent > 0 && (left_ms = end_ms - clock_mono_ms()) > 0)
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

static void be_patient(struct zk_lib *lib)
{
    int64_t most_ms = lib->timeout_ms * INT64_C(2) / 3; /* the library's own patience */

    lib->used_up_ms = clock_mono_ms();
    lib->patience_ms *= 2;
    if (lib->patience_ms > most_ms)
        lib->patience_ms = most_ms > lib->patience_ms_min ? most_ms : lib->patience_ms_min;
}

/* Should the library have connected in this very moment, the session is closed with the handle: as
 * if it had expired. */
static void move_on(struct zk_lib *lib)
{
    if (lib->had_session)
        lib->session = *zoo_client_id(lib->handle);
    lib->first_server++;
    lib->is_moving = true;
    handle_close(lib);
    mailbox_run(&lib->mailbox);
    while (lib->sent != NULL) {
        struct zk_call *call = lib->sent;

        sent_remove(lib, call);
        zk_call_fail(call, ERR_CONNECTION_LOSS);
    }
    lib->is_moving = false;
    if (!lib->stopping)
        session_open(lib);
}

static void on_ponged(struct msg *msg)
{
    struct zk_lib *lib = container_of(msg, struct zk_lib, ponged);

    lib->pinging = false;
    if (lib->ponged_rc == ZOK || lib->ponged_rc == ZNONODE)
        await(lib); /* the answers to what was sent meanwhile */
    if (lib->n_sent == 0 && lib->connected)
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
    await(lib);
    lib->pinging = true; /* before it is sent: its completion may be faster than we are */
    if (zoo_aexists(lib->handle, "/", 0, on_pong, lib) != ZOK)
        lib->pinging = false;
}

/* A server that cannot even be reached is no slow one: and once it can, that has to be noticed
 * soon, for TCP itself tries again after twice as long each time. */
static void look(struct zk_lib *lib)
{
    int64_t now_ms = clock_mono_ms(), silent_ms = now_ms - lib->silent_since_ms;
    int state = zoo_state(lib->handle);
    bool is_reached = state == ZOO_CONNECTED_STATE || state == ZOO_ASSOCIATING_STATE;

    if (now_ms - lib->look_at_ms > HELD_UP_MS) { /* first comes what there is to be heard */
        await(lib);
        return;
    }
    if (lib->connected && lib->n_sent == 0 && !lib->pinging) {
        ping(lib);
        return;
    }
    lib->look_at_ms = now_ms + LOOK_MS;
    if (is_reached && silent_ms < lib->patience_ms)
        return;
    if (is_reached)
        be_patient(lib);
    if (state == ZOO_CONNECTED_STATE) {
        say_limited(SAY_WARN, "a ZooKeeper server does not answer, leaving it");
        zk_lib_hang_up(lib->handle);
    } else if (is_reached || state == ZOO_CONNECTING_STATE) {
        say_limited(SAY_WARN, "a ZooKeeper server does not let us in, trying the next");
        move_on(lib);
    } /* else the library is between servers that refuse us */
}

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
    watched_forget(lib);
    if (tell)
        lib->turn++; /* what is submitted from here on was meant for the session that has ended */
    mailbox_run(&lib->mailbox); /* completions that came before the end */
    if (tell) {
        calls_fail(lib, ERR_SESSION_EXPIRED);
        zk_post_session(&lib->base, &session, lib->turn);
    }
}

static void zk_thread(void *arg)
{
    struct zk_lib *lib = arg;

    while (!lib->stopping) {
        int64_t wait_ms = look_in_ms(lib);

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
        } else if (lib->handle != NULL && !lib->stopping && look_in_ms(lib) == 0) {
            look(lib);
        }
    }
    waiting_fail(lib, ERR_CLOSED);
    if (lib->handle != NULL) {
        sent_drain(lib);
        session_end(lib);
    }
    mailbox_run(&lib->mailbox);
    calls_fail(lib, ERR_CLOSED);
    watched_forget(lib);
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
    lib->patience_ms_min =
        memchr(servers, ',', strcspn(servers, "/")) != NULL ? PATIENCE_MS : PATIENCE_ALONE_MS;
    lib->patience_ms = lib->patience_ms_min;
    await_nothing(lib);
    lib->first_server = (unsigned)rand_below(&lib->rand, UINT16_MAX);
    lib->turn = 1;
    thread_start(&lib->thread, T_ZK, -1, zk_thread, lib);
    *out = &lib->base;
    return ERR_OK;
}
