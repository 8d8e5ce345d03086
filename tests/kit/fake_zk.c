/*
 * The tree is linked (parent, children) and hashed by path. Every write goes through three
 * primitive changes, attach, detach and set, each of which can be taken back, so that a multi is
 * its operations one after the other and, when one fails, the same backwards. Watches fire after
 * the whole.
 */
#include "tests/kit/fake_zk.h"

#include <assert.h>
#include <check.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/base/mem.h"
#include "common/zk/zk_int.h"
#include "tests/kit/unit.h"

struct node {
    char *path;
    char *data; /* NULL: null */
    size_t len;
    int32_t version, cversion, n_children;
    int32_t next_number; /* of sequential children */
    bool forbidden;      /* to be read */
    int64_t czxid, mzxid, owner, ctime_ms, mtime_ms;
    struct node *parent, *child, *next, *prev;
    UT_hash_handle hh;
};

struct fake_watch {
    struct fake_watch *next;
    bool children, fired;
    enum zk_event event;
    char path[];
};

struct fake_client {
    struct zk base;
    struct fake_zk *fake;
    struct fake_client *next;
    int64_t session;
    int64_t killed; /* session that the client believes in no more */
    uint32_t turn;
    bool connected, expired, held;
    struct zk_call *waiting, **waiting_last; /* while not connected */
    struct zk_call *kept, **kept_last;       /* answered, held back */
    struct fake_watch *watches;
    bool lose;
    unsigned lose_skip;
    enum fake_loss loss;
    bool lose_read;
    unsigned lose_read_skip;
};

struct fake_zk {
    struct node *nodes; /* uthash by path */
    struct fake_client *clients;
    int64_t zxid, sessions, now_ms;
    uint64_t writes;
};

/* ---- the tree -------------------------------------------------------------------------------- */

static struct node *find(const struct fake_zk *fake, const char *path)
{
    struct node *node;

    HASH_FIND_STR(fake->nodes, path, node);
    return node;
}

static struct node *find_parent(const struct fake_zk *fake, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *text = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
    struct node *node = find(fake, text);

    free(text);
    return node;
}

static void attach(struct fake_zk *fake, struct node *node)
{
    struct node *parent = node->parent;

    HASH_ADD_KEYPTR(hh, fake->nodes, node->path, strlen(node->path), node);
    node->prev = NULL;
    node->next = parent->child;
    if (parent->child != NULL)
        parent->child->prev = node;
    parent->child = node;
    parent->n_children++;
    parent->cversion++;
}

static void detach(struct fake_zk *fake, struct node *node)
{
    HASH_DEL(fake->nodes, node);
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        node->parent->child = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    node->parent->n_children--;
    node->parent->cversion++;
}

static void node_free(struct node *node)
{
    free(node->path);
    free(node->data);
    free(node);
}

static struct zk_stat stat_of(const struct node *node)
{
    return (struct zk_stat){ .czxid = node->czxid,
                             .mzxid = node->mzxid,
                             .ctime_ms = node->ctime_ms,
                             .mtime_ms = node->mtime_ms,
                             .owner = node->owner,
                             .version = node->version,
                             .cversion = node->cversion,
                             .n_children = node->n_children };
}

/* ---- watches --------------------------------------------------------------------------------- */

static void watch_add(struct fake_client *client, const char *path, bool children)
{
    struct fake_watch *watch;

    for (watch = client->watches; watch != NULL; watch = watch->next) {
        if (!watch->fired && watch->children == children && strcmp(watch->path, path) == 0)
            return; /* the library tells once, however often it was asked */
    }
    watch = xcalloc(1, sizeof *watch + strlen(path) + 1);
    watch->children = children;
    memcpy(watch->path, path, strlen(path) + 1);
    watch->next = client->watches;
    client->watches = watch;
}

static void watches_tell(struct fake_client *client)
{
    for (struct fake_watch **at = &client->watches; *at != NULL && client->connected;) {
        struct fake_watch *watch = *at;

        if (!watch->fired) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        zk_post_node(&client->base, str_of(watch->path), watch->event);
        free(watch);
    }
}

static void watches_drop(struct fake_client *client)
{
    while (client->watches != NULL) {
        struct fake_watch *next = client->watches->next;

        free(client->watches);
        client->watches = next;
    }
}

static void fire(struct fake_zk *fake, const char *path, enum zk_event event)
{
    for (struct fake_client *client = fake->clients; client != NULL; client = client->next) {
        for (struct fake_watch *watch = client->watches; watch != NULL; watch = watch->next) {
            bool hit = watch->children ? event == ZK_NODE_CHILDREN || event == ZK_NODE_DELETED
                                       : event != ZK_NODE_CHILDREN;

            if (hit && !watch->fired && strcmp(watch->path, path) == 0) {
                watch->fired = true;
                watch->event = event;
            }
        }
        watches_tell(client);
    }
}

static void fire_with_parent(struct fake_zk *fake, struct node *parent, const char *path,
                             enum zk_event event)
{
    fire(fake, path, event);
    if (event != ZK_NODE_CHANGED)
        fire(fake, parent->path, ZK_NODE_CHILDREN);
}

/* ---- writes ---------------------------------------------------------------------------------- */

/* What one operation did, so that it can be taken back or told to watchers. */
struct undo {
    enum zk_op_kind kind;
    struct node *node; /* created, set, or deleted and detached */
    char *data;        /* set: what was there */
    size_t len;
    int32_t version;
    int64_t mzxid;
};

static void set_data(struct node *node, struct str data)
{
    node->data = str_is_null(data) ? NULL : xstrndup(data.ptr, data.len);
    node->len = data.len;
}

static enum err do_create(struct fake_zk *fake, const struct zk_op *op, int64_t session,
                          struct undo *undo)
{
    struct node *parent = find_parent(fake, op->path), *node;
    char *path;

    if (op->path[0] != '/' ||
        (op->path[1] != '\0' && op->path[strlen(op->path) - 1] == '/' && op->mode != ZK_SEQUENTIAL))
        return ERR_INVALID_REQUEST;
    if (parent == NULL)
        return ERR_NOT_FOUND;
    if (parent->owner != 0)
        return ERR_INVALID_REQUEST;
    path = op->mode == ZK_SEQUENTIAL ? xasprintf("%s%010" PRId32, op->path, parent->next_number)
                                     : xstrdup(op->path);
    if (find(fake, path) != NULL) {
        free(path);
        return ERR_EXISTS;
    }
    parent->next_number++;
    node = xcalloc(1, sizeof *node);
    node->path = path;
    node->parent = parent;
    node->czxid = node->mzxid = fake->zxid;
    node->owner = op->mode == ZK_EPHEMERAL ? session : 0;
    node->ctime_ms = node->mtime_ms = fake->now_ms;
    set_data(node, op->data);
    attach(fake, node);
    undo->node = node;
    return ERR_OK;
}

static enum err do_set(struct fake_zk *fake, const struct zk_op *op, struct undo *undo)
{
    struct node *node = find(fake, op->path);

    if (node == NULL)
        return ERR_NOT_FOUND;
    if (op->version != ZK_ANY_VERSION && op->version != node->version)
        return ERR_BAD_VERSION;
    *undo = (struct undo){ .kind = undo->kind,
                           .node = node,
                           .data = node->data,
                           .len = node->len,
                           .version = node->version,
                           .mzxid = node->mzxid };
    set_data(node, op->data);
    node->version++;
    node->mzxid = fake->zxid;
    node->mtime_ms = fake->now_ms;
    return ERR_OK;
}

static enum err do_delete(struct fake_zk *fake, const struct zk_op *op, struct undo *undo)
{
    struct node *node = find(fake, op->path);

    if (node == NULL)
        return ERR_NOT_FOUND;
    if (op->version != ZK_ANY_VERSION && op->version != node->version)
        return ERR_BAD_VERSION;
    if (node->n_children > 0)
        return ERR_NOT_EMPTY;
    detach(fake, node);
    undo->node = node;
    return ERR_OK;
}

static enum err do_check(struct fake_zk *fake, const struct zk_op *op)
{
    struct node *node = find(fake, op->path);

    if (node == NULL)
        return ERR_NOT_FOUND;
    return op->version == ZK_ANY_VERSION || op->version == node->version ? ERR_OK : ERR_BAD_VERSION;
}

static enum err do_op(struct fake_zk *fake, const struct zk_op *op, int64_t session,
                      struct undo *undo)
{
    *undo = (struct undo){ .kind = op->kind };
    switch (op->kind) {
    case ZK_OP_CHECK:
        return do_check(fake, op);
    case ZK_OP_CREATE:
        return do_create(fake, op, session, undo);
    case ZK_OP_SET:
        return do_set(fake, op, undo);
    case ZK_OP_DELETE:
        return do_delete(fake, op, undo);
    }
    return ERR_INVALID_REQUEST;
}

static void take_back(struct fake_zk *fake, struct undo *undo)
{
    struct node *node = undo->node;

    if (undo->kind == ZK_OP_CREATE) {
        node->parent->next_number--;
        detach(fake, node);
        node->parent->cversion -= 2;
        node_free(node);
    } else if (undo->kind == ZK_OP_SET) {
        free(node->data);
        node->data = undo->data;
        node->len = undo->len;
        node->version = undo->version;
        node->mzxid = undo->mzxid;
    } else if (undo->kind == ZK_OP_DELETE) {
        attach(fake, node);
        node->parent->cversion -= 2;
    }
}

static void settle(struct fake_zk *fake, struct undo *undo)
{
    struct node *node = undo->node;

    if (undo->kind == ZK_OP_CREATE) {
        fire_with_parent(fake, node->parent, node->path, ZK_NODE_CREATED);
    } else if (undo->kind == ZK_OP_SET) {
        free(undo->data);
        fire_with_parent(fake, node->parent, node->path, ZK_NODE_CHANGED);
    } else if (undo->kind == ZK_OP_DELETE) {
        fire_with_parent(fake, node->parent, node->path, ZK_NODE_DELETED);
        node_free(node);
    }
}

/* All or nothing; results may be NULL, else one for each in the arena. */
static enum err do_ops(struct fake_zk *fake, const struct zk_op *ops, size_t n, int64_t session,
                       struct zk_op_result *results, struct arena *arena)
{
    struct undo *undos = xcalloc(n, sizeof *undos);
    enum err err = ERR_OK;
    size_t done = 0;

    fake->zxid++;
    while (done < n && err == ERR_OK) {
        err = do_op(fake, &ops[done], session, &undos[done]);
        if (err == ERR_OK)
            done++;
    }
    for (size_t i = 0; results != NULL && i < n; i++) {
        results[i].err = err == ERR_OK ? ERR_OK : i == done ? err : ERR_OPERATION_NOT_ATTEMPTED;
        results[i].path = str_of(ops[i].path);
        if (err == ERR_OK && undos[i].node != NULL && ops[i].kind != ZK_OP_DELETE) {
            results[i].path = arena_str(arena, str_of(undos[i].node->path));
            results[i].path = str_of(arena_cstr(arena, results[i].path));
            results[i].stat = stat_of(undos[i].node);
        }
    }
    if (err == ERR_OK) {
        fake->writes++;
        for (size_t i = 0; i < n; i++)
            settle(fake, &undos[i]);
    } else {
        while (done > 0)
            take_back(fake, &undos[--done]);
    }
    free(undos);
    return err;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void do_read(struct fake_client *client, struct zk_call *call)
{
    struct node *node = find(client->fake, call->path);
    struct zk_answer *answer = &call->answer;

    answer->err = node == NULL ? ERR_NOT_FOUND : ERR_OK;
    if (node != NULL && node->forbidden && call->kind != ZK_CALL_EXISTS) {
        answer->err = ERR_CLUSTER_AUTHORIZATION_FAILED;
        return;
    }
    if (call->watch && (node != NULL || call->kind == ZK_CALL_EXISTS))
        watch_add(client, call->path, call->kind == ZK_CALL_CHILDREN);
    if (node == NULL)
        return;
    answer->stat = stat_of(node);
    if (call->kind == ZK_CALL_GET && node->data != NULL) {
        struct str data = { .ptr = node->data, .len = node->len };

        answer->data = (struct str){ .ptr = arena_cstr(&call->arena, data), .len = node->len };
    }
    if (call->kind == ZK_CALL_CHILDREN) {
        struct str *names = arena_zalloc(&call->arena, (size_t)node->n_children, sizeof *names);

        for (struct node *at = node->child; at != NULL; at = at->next) {
            const char *leaf = strrchr(at->path, '/') + 1;

            names[answer->n_children++] = str_of(arena_cstr(&call->arena, str_of(leaf)));
        }
        answer->children = names;
    }
}

static void do_write(struct fake_client *client, struct zk_call *call)
{
    static const enum zk_op_kind kinds[] = {
        [ZK_CALL_CREATE] = ZK_OP_CREATE, [ZK_CALL_SET] = ZK_OP_SET, [ZK_CALL_DELETE] = ZK_OP_DELETE
    };
    struct zk_op single;
    struct zk_op_result *results;
    const struct zk_op *ops = call->ops;
    size_t n = call->n_ops;

    if (call->kind != ZK_CALL_MULTI) {
        single = (struct zk_op){ .kind = kinds[call->kind],
                                 .path = call->path,
                                 .data = call->data,
                                 .mode = call->mode,
                                 .version = call->version };
        ops = &single;
        n = 1;
    }
    results = arena_zalloc(&call->arena, n, sizeof *results);
    call->answer.err = do_ops(client->fake, ops, n, client->session, results, &call->arena);
    if (call->kind == ZK_CALL_MULTI) {
        call->answer.n_results = n;
        call->answer.results = results;
    } else {
        call->answer.path = results[0].path;
        call->answer.stat = results[0].stat;
    }
}

static bool is_write(const struct zk_call *call)
{
    return call->kind >= ZK_CALL_CREATE && call->kind != ZK_CALL_SYNC;
}

static void answer(struct fake_client *client, struct zk_call *call)
{
    if (client->held) {
        call->next = NULL;
        *client->kept_last = call;
        client->kept_last = &call->next;
    } else {
        zk_call_finish(call);
    }
}

static void lose(struct fake_client *client, struct zk_call *call)
{
    client->lose = false;
    if (client->loss == FAKE_LOSS_APPLIED)
        do_write(client, call);
    call->answer = (struct zk_answer){ .err = ERR_CONNECTION_LOSS };
    if (call->kind == ZK_CALL_MULTI) {
        struct zk_op_result *results = arena_zalloc(&call->arena, call->n_ops, sizeof *results);

        for (size_t i = 0; i < call->n_ops; i++)
            results[i].err = ERR_CONNECTION_LOSS;
        call->answer.n_results = call->n_ops;
        call->answer.results = results;
    }
    answer(client, call);
}

static void carry_out(struct fake_client *client, struct zk_call *call)
{
    bool is_read = !is_write(call) && call->kind != ZK_CALL_SYNC;

    if (is_write(call) && client->lose && client->lose_skip-- == 0) {
        lose(client, call);
        return;
    }
    if (is_read && client->lose_read && client->lose_read_skip-- == 0) {
        client->lose_read = false;
        call->answer = (struct zk_answer){ .err = ERR_CONNECTION_LOSS };
    } else if (is_read) {
        do_read(client, call);
    } else if (is_write(call)) {
        do_write(client, call);
    }
    answer(client, call);
}

static void fake_submit(struct zk *zk, struct zk_call *call)
{
    struct fake_client *client = container_of(zk, struct fake_client, base);

    if (call->turn != client->turn) {
        zk_call_fail(call, ERR_SESSION_EXPIRED);
    } else if (client->connected) {
        carry_out(client, call);
    } else {
        call->next = NULL;
        *client->waiting_last = call;
        client->waiting_last = &call->next;
    }
}

static void calls_fail(struct zk_call **list, struct zk_call ***last, enum err err)
{
    struct zk_call *call = *list;

    *list = NULL;
    *last = list;
    while (call != NULL) {
        struct zk_call *next = call->next;

        zk_call_fail(call, err);
        call = next;
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void bury(struct fake_zk *fake, int64_t session)
{
    struct node *node, *next;

    HASH_ITER (hh, fake->nodes, node, next) {
        if (node->owner == session && session != 0) {
            struct zk_op op = zk_op_delete(node->path, ZK_ANY_VERSION);

            (void)do_ops(fake, &op, 1, 0, NULL, NULL);
        }
    }
}

static void tell_state(struct fake_client *client, enum zk_state state, bool is_new,
                       int64_t session, uint32_t turn)
{
    struct zk_session news = {
        .state = state, .is_new = is_new, .id = session, .timeout_ms = 18000, .turn = turn
    };

    zk_post_session(&client->base, &news, client->turn);
}

static void fake_stop(struct zk *zk)
{
    struct fake_client *client = container_of(zk, struct fake_client, base);

    client->connected = false;
    watches_drop(client);
    if (client->session != client->killed)
        bury(client->fake, client->session);
    calls_fail(&client->waiting, &client->waiting_last, ERR_CLOSED);
    calls_fail(&client->kept, &client->kept_last, ERR_CLOSED);
    for (struct fake_client **at = &client->fake->clients; *at != NULL; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
}

static void fake_free(struct zk *zk)
{
    free(container_of(zk, struct fake_client, base));
}

static const struct zk_ops fake_ops = { .submit = fake_submit,
                                        .stop = fake_stop,
                                        .free = fake_free };

struct zk *fake_zk_open(struct fake_zk *fake, struct mailbox *mailbox)
{
    struct fake_client *client = xcalloc(1, sizeof *client);

    zk_init(&client->base, &fake_ops, mailbox);
    client->fake = fake;
    client->waiting_last = &client->waiting;
    client->kept_last = &client->kept;
    client->next = fake->clients;
    fake->clients = client;
    client->turn = 1;
    client->session = ++fake->sessions;
    client->connected = true;
    tell_state(client, ZK_CONNECTED, true, client->session, client->turn);
    return &client->base;
}

static struct fake_client *client_of(struct zk *zk)
{
    assert(zk->ops == &fake_ops);
    return container_of(zk, struct fake_client, base);
}

void fake_zk_suspend(struct zk *zk)
{
    struct fake_client *client = client_of(zk);

    if (client->connected) {
        client->connected = false;
        tell_state(client, ZK_SUSPENDED, false, client->session, client->turn);
    }
}

void fake_zk_expire(struct zk *zk)
{
    struct fake_client *client = client_of(zk);
    int64_t session = client->session;

    watches_drop(client);
    client->connected = false;
    client->expired = true;
    client->turn++;
    client->session = 0;
    calls_fail(&client->kept, &client->kept_last, ERR_SESSION_EXPIRED);
    calls_fail(&client->waiting, &client->waiting_last, ERR_SESSION_EXPIRED);
    tell_state(client, ZK_EXPIRED, false, session, client->turn - 1);
    bury(client->fake, session);
}

void fake_zk_resume(struct zk *zk)
{
    struct fake_client *client = client_of(zk);
    bool is_new = client->expired;
    struct zk_call *call = client->waiting;

    if (client->connected)
        return;
    if (is_new)
        client->session = ++client->fake->sessions;
    client->expired = false;
    client->connected = true;
    tell_state(client, ZK_CONNECTED, is_new, client->session, client->turn);
    watches_tell(client);
    client->waiting = NULL;
    client->waiting_last = &client->waiting;
    while (call != NULL) {
        struct zk_call *next = call->next;

        carry_out(client, call);
        call = next;
    }
}

void fake_zk_kill(struct zk *zk)
{
    struct fake_client *client = client_of(zk);

    client->connected = false;
    client->killed = client->session;
    watches_drop(client);
}

void fake_zk_bury(struct zk *zk)
{
    struct fake_client *client = client_of(zk);

    bury(client->fake, client->killed);
}

void fake_zk_lose_write(struct zk *zk, unsigned skip, enum fake_loss loss)
{
    struct fake_client *client = client_of(zk);

    client->lose = true;
    client->lose_skip = skip;
    client->loss = loss;
}

void fake_zk_lose_read(struct zk *zk, unsigned skip)
{
    struct fake_client *client = client_of(zk);

    client->lose_read = true;
    client->lose_read_skip = skip;
}

void fake_zk_hold(struct zk *zk)
{
    client_of(zk)->held = true;
}

void fake_zk_release(struct zk *zk)
{
    struct fake_client *client = client_of(zk);
    struct zk_call *call = client->kept;

    client->held = false;
    client->kept = NULL;
    client->kept_last = &client->kept;
    while (call != NULL) {
        struct zk_call *next = call->next;

        zk_call_finish(call);
        call = next;
    }
}

/* ---- looking and meddling -------------------------------------------------------------------- */

struct fake_zk *fake_zk_new(void)
{
    struct fake_zk *fake = xcalloc(1, sizeof *fake);
    struct node *root = xcalloc(1, sizeof *root);

    fake->sessions = 0x100000000;
    fake->now_ms = 1700000000000;
    root->path = xstrdup("/");
    HASH_ADD_KEYPTR(hh, fake->nodes, root->path, 1, root);
    return fake;
}

void fake_zk_free(struct fake_zk **fake_ptr)
{
    struct fake_zk *fake = *fake_ptr;
    struct node *node, *next;

    *fake_ptr = NULL;
    if (fake == NULL)
        return;
    assert(fake->clients == NULL);
    HASH_ITER (hh, fake->nodes, node, next) {
        HASH_DEL(fake->nodes, node);
        node_free(node);
    }
    free(fake);
}

const char *fake_zk_data(const struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);

    if (node == NULL)
        return NULL;
    return node->data != NULL ? node->data : "";
}

int32_t fake_zk_version(const struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);

    return node != NULL ? node->version : -1;
}

int64_t fake_zk_czxid(const struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);

    return node != NULL ? node->czxid : -1;
}

int64_t fake_zk_owner(const struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);

    return node != NULL ? node->owner : -1;
}

size_t fake_zk_count(const struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);

    return node != NULL ? (size_t)node->n_children : 0;
}

void fake_zk_put(struct fake_zk *fake, const char *path, const char *data)
{
    struct zk_op op = zk_op_set(path, str_of(data), ZK_ANY_VERSION);

    if (find(fake, path) == NULL) {
        if (find_parent(fake, path) == NULL) {
            char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));

            fake_zk_put(fake, parent, NULL);
            free(parent);
        }
        op = zk_op_create(path, str_of(data), ZK_PERSISTENT);
    }
    ck_assert_int_eq(do_ops(fake, &op, 1, 0, NULL, NULL), ERR_OK);
}

void fake_zk_drop(struct fake_zk *fake, const char *path)
{
    struct node *node = find(fake, path);
    struct zk_op op = zk_op_delete(path, ZK_ANY_VERSION);

    if (node == NULL)
        return;
    while (node->child != NULL) {
        char *child = xstrdup(node->child->path);

        fake_zk_drop(fake, child);
        free(child);
    }
    ck_assert_int_eq(do_ops(fake, &op, 1, 0, NULL, NULL), ERR_OK);
}

void fake_zk_forbid(struct fake_zk *fake, const char *path, bool forbidden)
{
    struct node *node = find(fake, path);

    ck_assert_ptr_nonnull(node);
    node->forbidden = forbidden;
}

void fake_zk_load(struct fake_zk *fake, const char *name)
{
    char *file_name = xasprintf("zookeeper/%s", name), *text, *rest, *line;
    size_t len;

    rest = text = unit_read_file(unit_data(file_name), &len);
    free(file_name);
    while ((line = strsep(&rest, "\n")) != NULL) {
        json_t *entry = line[0] != '\0' ? json_loads(line, 0, NULL) : NULL;
        const char *path = json_string_value(json_object_get(entry, "path"));
        struct node *node;

        if (path == NULL)
            continue;
        fake_zk_put(fake, path, json_string_value(json_object_get(entry, "data")));
        node = find(fake, path);
        node->version = (int32_t)json_integer_value(json_object_get(entry, "version"));
        node->czxid = json_integer_value(json_object_get(entry, "czxid"));
        if (node->czxid > fake->zxid)
            fake->zxid = node->czxid;
        if (json_is_true(json_object_get(entry, "ephemeral")))
            node->owner = 1;
        json_decref(entry);
    }
    free(text);
}

uint64_t fake_zk_writes(const struct fake_zk *fake)
{
    return fake->writes;
}
