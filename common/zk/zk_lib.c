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
 * come back in step, a new handle is opened. Messages of older handles carry an older turn and are
 * dropped.
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
    uint32_t turn;                          /* [z] */
    bool had_session;                       /* [z] this handle was connected once */
    bool connected;                         /* [z] */
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
    uint32_t turn;
};

struct heard {
    struct msg msg;
    struct zk_lib *lib;
    uint32_t turn;
    int type, state;
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
                             .turn = link->turn,
                             .type = type,
                             .state = state };
    memcpy(heard->path, path != NULL ? path : "", len + 1);
    mailbox_post(&link->lib->mailbox, &heard->msg);
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
    lib->n_sent++;
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

static void on_session_state(struct zk_lib *lib, int state)
{
    if (state == ZOO_CONNECTED_STATE) {
        bool is_new = !lib->had_session;

        if (lib->connected || !chroot_ensure(lib))
            return;
        lib->had_session = true;
        lib->connected = true;
        lib->backoff_ms = lib->backoff_ms_min;
        post_state(lib, ZK_CONNECTED, is_new, lib->turn);
        calls_send(lib);
    } else if (state == ZOO_EXPIRED_SESSION_STATE || state == ZOO_AUTH_FAILED_STATE) {
        if (state == ZOO_AUTH_FAILED_STATE)
            say_limited(SAY_ERROR, "ZooKeeper refuses to authenticate us");
        lib->dead = true;
    } else if (lib->connected) { /* connecting, associating */
        lib->connected = false;
        post_state(lib, ZK_SUSPENDED, false, lib->turn);
    }
}

static void on_heard(struct msg *msg)
{
    struct heard *heard = container_of(msg, struct heard, msg);
    struct zk_lib *lib = heard->lib;

    if (heard->turn == lib->turn && lib->handle != NULL && !lib->dead && !lib->stopping) {
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
    lib->link = xmalloc(sizeof *lib->link);
    *lib->link = (struct link){ .lib = lib, .turn = lib->turn };
    lib->handle = zk_lib_handle(lib->servers, on_watch, lib->timeout_ms, NULL, lib->link);
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

/* Ends the handle: everything that was asked in its session is answered when this returns. */
static void session_end(struct zk_lib *lib)
{
    struct zk_session session;
    bool tell = lib->had_session;

    session = (struct zk_session){ .state = ZK_EXPIRED,
                                   .id = zoo_client_id(lib->handle)->client_id,
                                   .timeout_ms = zoo_recv_timeout(lib->handle),
                                   .turn = lib->turn };
    zookeeper_close(lib->handle);
    lib->handle = NULL;
    lib->connected = false;
    lib->had_session = false;
    free(lib->link);
    lib->link = NULL;
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
        int64_t wait_ms = -1;

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
        }
    }
    waiting_fail(lib, ERR_CLOSED);
    if (lib->handle != NULL) {
        sent_drain(lib);
        session_end(lib);
    }
    mailbox_run(&lib->mailbox);
    calls_fail(lib, ERR_CLOSED);
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
    lib->make_chroot = options->make_chroot && strchr(servers, '/') != NULL;
    lib->backoff_ms_min =
        options->backoff_ms_min > 0 ? options->backoff_ms_min : BACKOFF_MS_MIN_DEFAULT;
    lib->backoff_ms_max =
        options->backoff_ms_max > 0 ? options->backoff_ms_max : BACKOFF_MS_MAX_DEFAULT;
    lib->backoff_ms = lib->backoff_ms_min;
    lib->turn = 1;
    thread_start(&lib->thread, T_ZK, -1, zk_thread, lib);
    *out = &lib->base;
    return ERR_OK;
}
