/*
 * The half of the seam that is the same for the real thing and for a fake: calls are made here,
 * answers and news are delivered here.
 *
 * What comes back is put on a list and one message is posted for the whole list, so that thousands
 * of pipelined answers cost few wake-ups and closing leaves at most that one message behind, which
 * then ends the memory.
 */
#include "common/zk/zk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/zk/zk_int.h"

/* A path being created with all above it. */
struct zk_path_maker {
    struct zk *zk;
    zk_done *done;
    void *arg;
    size_t len; /* of the part that is being created */
    size_t full;
    char path[];
};

static void zk_deliver(struct msg *msg);

void zk_init(struct zk *zk, const struct zk_ops *ops, struct mailbox *mailbox)
{
    *zk = (struct zk){ .ops = ops,
                       .mailbox = mailbox,
                       .turn_next = 1,
                       .session = { .state = ZK_SUSPENDED, .turn = 1 },
                       .msg = { .run = zk_deliver } };
    zk->last = &zk->first;
    lock_init(&zk->lock, LOCK_LEAF);
}

/* ---- the way back ---------------------------------------------------------------------------- */

static void zk_post(struct zk *zk, struct zk_note *note)
{
    bool wake;

    note->next = NULL;
    lock_take(&zk->lock);
    *zk->last = note;
    zk->last = &note->next;
    wake = !zk->posted;
    zk->posted = true;
    lock_drop(&zk->lock);
    if (wake)
        mailbox_post(zk->mailbox, &zk->msg);
}

void zk_call_finish(struct zk_call *call)
{
    if (str_is_null(call->answer.path))
        call->answer.path = str_of(call->path);
    call->note.kind = ZK_NOTE_CALL;
    zk_post(call->zk, &call->note);
}

void zk_call_fail(struct zk_call *call, enum err err)
{
    call->answer = (struct zk_answer){ .err = err };
    zk_call_finish(call);
}

void zk_call_free(struct zk_call *call)
{
    arena_fini(&call->arena);
    free(call);
}

void zk_post_session(struct zk *zk, const struct zk_session *session, uint32_t turn_next)
{
    struct zk_session_note *note = xmalloc(sizeof *note);

    *note = (struct zk_session_note){ .note = { .kind = ZK_NOTE_SESSION },
                                      .session = *session,
                                      .turn_next = turn_next };
    zk_post(zk, &note->note);
}

void zk_post_node(struct zk *zk, struct str path, enum zk_event event)
{
    struct zk_node_note *note = xmalloc(sizeof *note + path.len + 1);

    *note = (struct zk_node_note){ .note = { .kind = ZK_NOTE_NODE }, .event = event };
    memcpy(note->text, path.ptr, path.len);
    note->text[path.len] = '\0';
    note->path = (struct str){ .ptr = note->text, .len = path.len };
    zk_post(zk, &note->note);
}

static void note_free(struct zk_note *note)
{
    if (note->kind == ZK_NOTE_CALL)
        zk_call_free(container_of(note, struct zk_call, note));
    else
        free(note);
}

/* The end of what a close finds undelivered: calls hear of it, news is no news any more. */
static void notes_close(struct zk_note *note)
{
    while (note != NULL) {
        struct zk_note *next = note->next;

        if (note->kind == ZK_NOTE_CALL) {
            struct zk_call *call = container_of(note, struct zk_call, note);
            struct zk_answer closed = { .err = ERR_CLOSED, .path = str_of(call->path) };

            if (call->done != NULL)
                call->done(call->arg, &closed);
        }
        note_free(note);
        note = next;
    }
}

static void tell_session(struct zk *zk, const struct zk_session_note *note)
{
    struct zk_listener *next;

    zk->session = note->session;
    zk->turn_next = note->turn_next;
    for (struct zk_listener *at = zk->listeners; at != NULL && !zk->closed; at = next) {
        next = at->next;
        if (at->on_session != NULL)
            at->on_session(at, &note->session);
    }
}

static void tell_node(struct zk *zk, const struct zk_node_note *note)
{
    struct zk_listener *next;

    for (struct zk_listener *at = zk->listeners; at != NULL && !zk->closed; at = next) {
        next = at->next;
        if (at->on_node != NULL)
            at->on_node(at, note->path, note->event);
    }
}

static void note_run(struct zk *zk, struct zk_note *note)
{
    switch (note->kind) {
    case ZK_NOTE_CALL: {
        struct zk_call *call = container_of(note, struct zk_call, note);

        if (call->done != NULL)
            call->done(call->arg, &call->answer);
        break;
    }
    case ZK_NOTE_SESSION:
        tell_session(zk, container_of(note, struct zk_session_note, note));
        break;
    case ZK_NOTE_NODE:
        tell_node(zk, container_of(note, struct zk_node_note, note));
        break;
    }
}

static void zk_destroy(struct zk *zk)
{
    lock_fini(&zk->lock);
    zk->ops->free(zk);
}

static void zk_deliver(struct msg *msg)
{
    struct zk *zk = container_of(msg, struct zk, msg);
    struct zk_note *note;
    bool posted;

    lock_take(&zk->lock);
    note = zk->first;
    zk->first = NULL;
    zk->last = &zk->first;
    zk->posted = false;
    lock_drop(&zk->lock);

    zk->draining = true;
    while (note != NULL) {
        struct zk_note *next = note->next;

        zk->rest = next;
        note_run(zk, note);
        note_free(note);
        note = zk->rest; /* a close inside has ended the rest */
    }
    zk->draining = false;
    if (!zk->closed)
        return;
    lock_take(&zk->lock);
    posted = zk->posted;
    lock_drop(&zk->lock);
    if (!posted) /* else the message that is still in the mailbox does this */
        zk_destroy(zk);
}

void zk_close(struct zk **zk_ptr)
{
    struct zk *zk = *zk_ptr;
    struct zk_note *rest, *first;
    bool posted;

    *zk_ptr = NULL;
    if (zk == NULL)
        return;
    assert(!zk->closed);
    zk->closed = true;
    zk->ops->stop(zk);
    rest = zk->rest;
    zk->rest = NULL;
    lock_take(&zk->lock);
    first = zk->first;
    zk->first = NULL;
    zk->last = &zk->first;
    posted = zk->posted;
    lock_drop(&zk->lock);
    notes_close(rest);
    notes_close(first);
    if (!posted && !zk->draining)
        zk_destroy(zk);
}

/* ---- listeners ------------------------------------------------------------------------------- */

/* In the order of joining: what was first to know a session is first to hear of the next. */
void zk_listen(struct zk *zk, struct zk_listener *listener)
{
    struct zk_listener **at = &zk->listeners;

    while (*at != NULL) {
        assert(*at != listener);
        at = &(*at)->next;
    }
    listener->next = NULL;
    *at = listener;
}

void zk_unlisten(struct zk *zk, struct zk_listener *listener)
{
    for (struct zk_listener **at = &zk->listeners; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            return;
        }
    }
}

const struct zk_session *zk_session(const struct zk *zk)
{
    return &zk->session;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct zk_call *call_new(struct zk *zk, enum zk_call_kind kind, const char *path,
                                zk_done *done, void *arg)
{
    struct zk_call *call = xmalloc(sizeof *call);

    assert(!zk->closed);
    memset(call, 0, offsetof(struct zk_call, arena));
    call->carrier = NULL;
    arena_init(&call->arena, SIZE_MAX);
    call->zk = zk;
    call->turn = zk->turn_next;
    call->kind = kind;
    call->version = ZK_ANY_VERSION;
    call->path = arena_cstr(&call->arena, str_of(path));
    call->done = done;
    call->arg = arg;
    return call;
}

static void call_submit(struct zk_call *call, size_t size_bytes)
{
    if (size_bytes > ZK_REQUEST_BYTES_MAX)
        zk_call_fail(call, ERR_TOO_LARGE);
    else
        call->zk->ops->submit(call->zk, call);
}

static struct str copy_data(struct arena *arena, struct str data)
{
    if (str_is_null(data))
        return STR_NULL;
    return (struct str){ .ptr = arena_cstr(arena, data), .len = data.len };
}

static void call_read(struct zk *zk, enum zk_call_kind kind, const char *path, bool watch,
                      zk_done *done, void *arg)
{
    struct zk_call *call = call_new(zk, kind, path, done, arg);

    call->watch = watch;
    call_submit(call, strlen(path));
}

void zk_get(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg)
{
    call_read(zk, ZK_CALL_GET, path, watch, done, arg);
}

void zk_exists(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg)
{
    call_read(zk, ZK_CALL_EXISTS, path, watch, done, arg);
}

void zk_children(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg)
{
    call_read(zk, ZK_CALL_CHILDREN, path, watch, done, arg);
}

void zk_sync(struct zk *zk, zk_done *done, void *arg)
{
    call_read(zk, ZK_CALL_SYNC, "/", false, done, arg);
}

void zk_create(struct zk *zk, const char *path, struct str data, enum zk_mode mode, zk_done *done,
               void *arg)
{
    struct zk_call *call = call_new(zk, ZK_CALL_CREATE, path, done, arg);

    call->data = copy_data(&call->arena, data);
    call->mode = mode;
    call_submit(call, strlen(path) + data.len);
}

void zk_set(struct zk *zk, const char *path, struct str data, int32_t version, zk_done *done,
            void *arg)
{
    struct zk_call *call = call_new(zk, ZK_CALL_SET, path, done, arg);

    call->data = copy_data(&call->arena, data);
    call->version = version;
    call_submit(call, strlen(path) + data.len);
}

void zk_delete(struct zk *zk, const char *path, int32_t version, zk_done *done, void *arg)
{
    struct zk_call *call = call_new(zk, ZK_CALL_DELETE, path, done, arg);

    call->version = version;
    call_submit(call, strlen(path));
}

size_t zk_multi_bytes(const struct zk_op *ops, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        /* 64: header, lengths, version, ACL */
        bytes += strlen(ops[i].path) + ops[i].data.len + 64;
    }
    return bytes;
}

void zk_multi(struct zk *zk, const struct zk_op *ops, size_t n, zk_done *done, void *arg)
{
    struct zk_call *call = call_new(zk, ZK_CALL_MULTI, n > 0 ? ops[0].path : "/", done, arg);

    assert(n > 0);
    call->n_ops = n;
    call->ops = arena_dup(&call->arena, ops, n * sizeof *ops);
    for (size_t i = 0; i < n; i++) {
        call->ops[i].path = arena_cstr(&call->arena, str_of(ops[i].path));
        call->ops[i].data = copy_data(&call->arena, ops[i].data);
    }
    call_submit(call, zk_multi_bytes(ops, n));
}

/* ---- a path with all above it ---------------------------------------------------------------- */

/* Optimistic: the leaf first; where its parent is missing, one level up, and down again. */
static void path_step(struct zk_path_maker *maker);

static void path_done(struct zk_path_maker *maker, enum err err)
{
    struct zk_answer answer = { .err = err, .path = { .ptr = maker->path, .len = maker->full } };

    if (maker->done != NULL)
        maker->done(maker->arg, &answer);
    free(maker);
}

static void on_path_created(void *arg, const struct zk_answer *answer)
{
    struct zk_path_maker *maker = arg;
    enum err err = answer->err;

    if (err == ERR_CONNECTION_LOSS) {
        path_step(maker); /* there already is as good */
    } else if (err == ERR_NOT_FOUND && maker->len > 1) {
        while (maker->len > 1 && maker->path[maker->len - 1] != '/')
            maker->len--;
        maker->len--;
        if (maker->len == 0) { /* the root is missing: a chroot that nobody has created */
            path_done(maker, err);
            return;
        }
        path_step(maker);
    } else if (err != ERR_OK && err != ERR_EXISTS) {
        path_done(maker, err);
    } else if (maker->len == maker->full) {
        path_done(maker, ERR_OK);
    } else {
        maker->len++;
        while (maker->len < maker->full && maker->path[maker->len] != '/')
            maker->len++;
        path_step(maker);
    }
}

static void path_step(struct zk_path_maker *maker)
{
    char *text = xstrndup(maker->path, maker->len);

    zk_create(maker->zk, text, STR_NULL, ZK_PERSISTENT, on_path_created, maker);
    free(text);
}

void zk_create_path(struct zk *zk, const char *path, zk_done *done, void *arg)
{
    size_t full = strlen(path);
    struct zk_path_maker *maker = xmalloc(sizeof *maker + full + 1);

    *maker =
        (struct zk_path_maker){ .zk = zk, .done = done, .arg = arg, .len = full, .full = full };
    memcpy(maker->path, path, full + 1);
    path_step(maker);
}
