/*
 * One call as a request of the library's, and what comes back as the call's answer.
 *
 * The zk thread hands the call to the library, which calls back once, on a thread of its own, with
 * what it lends for that moment: so everything is copied into the call's arena there, and the call
 * is handed back with its answer. Until then nobody else touches it. A multi needs room that the
 * library writes into meanwhile; that is in the arena, too.
 */
#include <string.h>

#include "common/zk/zk_int.h"
#include "common/zk/zk_lib_int.h"

/* ---- completions: on the library's threads --------------------------------------------------- */

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

static void call_back(struct zk_call *call, int rc)
{
    call->answer.err = zk_lib_err(rc);
    zk_lib_answered(call);
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

/* ---- requests: on the zk thread -------------------------------------------------------------- */

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

static int send_multi(zhandle_t *handle, struct zk_call *call)
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
    return zoo_amulti(handle, (int)call->n_ops, room->ops, room->results, on_multi, call);
}

int zk_lib_request(zhandle_t *handle, struct zk_call *call)
{
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
        return send_multi(handle, call);
    }
    return ZBADARGUMENTS;
}
