/*
 * One attempt after the other, each a chain of calls:
 *
 *   paths -> /cluster/id (made when missing) -> the others' endpoints -> multi[create, set]
 *
 * The multi creates the znode without data and sets it, because only the answer of a set carries
 * the stat with the czxid; so the znode has version 1, as Kafka's. "There already" may be our own
 * first attempt whose answer was lost (this session), an earlier session of this process that
 * ZooKeeper has not dropped yet (ZOOKEEPER-2985): removed; or somebody else, who is not to be
 * disturbed.
 */
#include "common/zk/zk_enroll.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/zk/zk_tree.h"

struct zk_enroll {
    struct zk *zk;
    struct node *node;
    char *moldau;
    struct zk_enroll_hooks hooks;
    void *arg;
    struct zk_listener listener;
    unsigned out; /* calls on their way */
    bool freed;   /* goes with the last of them */
    bool running; /* an attempt is */
    int64_t epoch;
    int64_t session; /* in which we registered last; 0: never */
    unsigned reads;  /* of the others' registrations */
    char *clash;     /* malloc'ed: why we must not register */
};

/* ---- paths ----------------------------------------------------------------------------------- */

struct paths {
    zk_done *done;
    void *arg;
    unsigned left;
    enum err err;
};

static void on_path(void *arg, const struct zk_answer *answer)
{
    struct paths *paths = arg;
    struct zk_answer sum;

    if (paths->err == ERR_OK)
        paths->err = answer->err;
    if (--paths->left > 0)
        return;
    sum = (struct zk_answer){ .err = paths->err, .path = answer->path };
    paths->done(paths->arg, &sum);
    free(paths);
}

void zk_enroll_paths(struct zk *zk, const char *const *names, zk_done *done, void *arg)
{
    struct paths *paths = xmalloc(sizeof *paths);

    *paths = (struct paths){ .done = done, .arg = arg };
    for (const char *const *name = names; *name != NULL; name++)
        paths->left++;
    for (const char *const *name = names; *name != NULL; name++)
        zk_create_path(zk, *name, on_path, paths);
}

/* ---- attempts ---------------------------------------------------------------------------------
 */

static void enroll_end(struct zk_enroll *enroll)
{
    free(enroll->node);
    free(enroll->moldau);
    free(enroll->clash);
    free(enroll);
}

/* Every answer begins with this. False: there is nobody, or no session, to go on with. */
static bool is_back(struct zk_enroll *enroll, const struct zk_answer *answer)
{
    enroll->out--;
    if (enroll->freed) {
        if (enroll->out == 0)
            enroll_end(enroll);
        return false;
    }
    return answer->err != ERR_SESSION_EXPIRED && answer->err != ERR_CLOSED;
}

static void fail(struct zk_enroll *enroll, enum err err, const char *text)
{
    enroll->running = false;
    enroll->hooks.on_failed(enroll->arg, err, text);
}

static void fail_at(struct zk_enroll *enroll, enum err err, const char *path)
{
    char text[256];

    snprintf(text, sizeof text, "ZooKeeper refuses us path=%s err=%s", path, err_name(err));
    fail(enroll, err, text);
}

static void put_registration(struct zk_enroll *enroll);

static void enrolled(struct zk_enroll *enroll, int64_t czxid)
{
    const struct zk_session *session = zk_session(enroll->zk);

    enroll->running = false;
    enroll->epoch = czxid;
    enroll->session = session->id;
    enroll->hooks.on_enrolled(enroll->arg, czxid, session);
}

static void on_earlier_removed(void *arg, const struct zk_answer *answer)
{
    if (is_back(arg, answer))
        put_registration(arg);
}

static void on_earlier_read(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    char text[160];

    if (!is_back(enroll, answer))
        return;
    if (answer->err == ERR_NOT_FOUND || answer->err == ERR_CONNECTION_LOSS) {
        put_registration(enroll);
    } else if (answer->err != ERR_OK) {
        fail_at(enroll, answer->err, answer->path.ptr);
    } else if (answer->stat.owner == zk_session(enroll->zk)->id) {
        enrolled(enroll, answer->stat.czxid);
    } else if (enroll->session != 0 && answer->stat.owner == enroll->session) {
        enroll->out++;
        zk_delete(enroll->zk, answer->path.ptr, ZK_ANY_VERSION, on_earlier_removed, enroll);
    } else {
        snprintf(text, sizeof text,
                 "another session has registered our id broker=%" PRId32 " its_session=0x%" PRIx64,
                 enroll->node->id, (uint64_t)answer->stat.owner);
        fail(enroll, ERR_DUPLICATE_BROKER_REGISTRATION, text);
    }
}

static void on_put(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    struct arena arena;

    if (!is_back(enroll, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_OK) {
        enrolled(enroll, answer->results[1].stat.czxid);
    } else if (answer->err == ERR_CONNECTION_LOSS || answer->err == ERR_EXISTS) {
        enroll->out++;
        zk_get(enroll->zk, zk_path_broker(&arena, enroll->node->id), false, on_earlier_read,
               enroll);
    } else {
        fail_at(enroll, answer->err, zk_path_broker(&arena, enroll->node->id));
    }
    arena_fini(&arena);
}

static void put_registration(struct zk_enroll *enroll)
{
    struct arena arena;
    const char *path;
    struct zk_registration reg = { .node = *enroll->node,
                                   .jmx_port = -1,
                                   .timestamp_ms = clock_wall_ms(),
                                   .moldau = str_of(enroll->moldau) };
    struct zk_op ops[2];

    arena_init(&arena, SIZE_MAX);
    path = zk_path_broker(&arena, enroll->node->id);
    ops[0] = zk_op_create(path, STR_NULL, ZK_EPHEMERAL);
    ops[1] = zk_op_set(path, zk_build_registration(&arena, &reg), 0);
    enroll->out++;
    zk_multi(enroll->zk, ops, 2, on_put, enroll);
    arena_fini(&arena);
}

/* ---- the others --------------------------------------------------------------------------------
 */

static void look_at_others(struct zk_enroll *enroll);

static void others_done(struct zk_enroll *enroll)
{
    if (enroll->reads > 0)
        return;
    if (enroll->clash != NULL)
        fail(enroll, ERR_DUPLICATE_BROKER_REGISTRATION, enroll->clash);
    else
        put_registration(enroll);
}

static void compare(struct zk_enroll *enroll, int32_t id, const struct node *other)
{
    for (size_t i = 0; i < enroll->node->n_endpoints; i++) {
        const struct endpoint *ours = &enroll->node->endpoints[i];

        for (size_t j = 0; j < other->n_endpoints && enroll->clash == NULL; j++) {
            const struct endpoint *theirs = &other->endpoints[j];

            if (ours->port == theirs->port && str_eq(ours->host, theirs->host))
                enroll->clash = xasprintf("another broker is registered with our endpoint "
                                          "broker=%" PRId32 " endpoint=%.*s:%" PRId32,
                                          id, STR_ARG(ours->host), ours->port);
        }
    }
}

static void on_other(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    struct zk_registration reg;
    struct arena arena;
    int32_t id;

    if (!is_back(enroll, answer))
        return;
    enroll->reads--;
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_CONNECTION_LOSS) {
        enroll->reads++;
        enroll->out++;
        zk_get(enroll->zk, answer->path.ptr, false, on_other, enroll);
    } else if (answer->err == ERR_OK && zk_leaf_id(zk_path_leaf(answer->path), &id) &&
               zk_parse_registration(&arena, answer->data, &reg) == ERR_OK) {
        compare(enroll, id, &reg.node);
    }
    arena_fini(&arena);
    others_done(enroll);
}

static void on_others(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    struct arena arena;

    if (!is_back(enroll, answer))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        look_at_others(enroll);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    for (size_t i = 0; i < answer->n_children; i++) {
        int32_t id;

        if (!zk_leaf_id(answer->children[i], &id) || id == enroll->node->id)
            continue;
        enroll->reads++;
        enroll->out++;
        zk_get(enroll->zk, zk_path_broker(&arena, id), false, on_other, enroll);
    }
    arena_fini(&arena);
    others_done(enroll);
}

static void look_at_others(struct zk_enroll *enroll)
{
    free(enroll->clash);
    enroll->clash = NULL;
    enroll->reads = 0;
    enroll->out++;
    zk_children(enroll->zk, ZK_BROKER_IDS, false, on_others, enroll);
}

/* ---- the cluster --------------------------------------------------------------------------------
 */

static void read_cluster_id(struct zk_enroll *enroll);

static void on_cluster_id_made(void *arg, const struct zk_answer *answer)
{
    if (is_back(arg, answer))
        read_cluster_id(arg); /* ours or that of whoever was first */
}

static void on_cluster_parent(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    struct arena arena;
    struct rand rand;
    char text[UUID_TEXT_LEN + 1];

    if (!is_back(enroll, answer))
        return;
    if (answer->err != ERR_OK) {
        fail_at(enroll, answer->err, ZK_CLUSTER_ID);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    rand_seed_os(&rand);
    uuid_print(rand_uuid(&rand), text);
    enroll->out++;
    zk_create(enroll->zk, ZK_CLUSTER_ID, zk_build_cluster_id(&arena, str_of(text)), ZK_PERSISTENT,
              on_cluster_id_made, enroll);
    arena_fini(&arena);
}

static void on_cluster_id(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;
    struct arena arena;
    struct str id;

    if (!is_back(enroll, answer))
        return;
    arena_init(&arena, SIZE_MAX);
    if (answer->err == ERR_CONNECTION_LOSS) {
        read_cluster_id(enroll);
    } else if (answer->err == ERR_NOT_FOUND) {
        enroll->out++;
        zk_create_path(enroll->zk, "/cluster", on_cluster_parent, enroll);
    } else if (answer->err != ERR_OK) {
        fail_at(enroll, answer->err, ZK_CLUSTER_ID);
    } else if (zk_parse_cluster_id(&arena, answer->data, &id) != ERR_OK) {
        fail(enroll, ERR_BAD_FORMAT, "cannot read the cluster's id path=" ZK_CLUSTER_ID);
    } else if (enroll->hooks.on_cluster_id(enroll->arg, id)) {
        look_at_others(enroll);
    } else {
        enroll->running = false;
    }
    arena_fini(&arena);
}

static void read_cluster_id(struct zk_enroll *enroll)
{
    enroll->out++;
    zk_get(enroll->zk, ZK_CLUSTER_ID, false, on_cluster_id, enroll);
}

static void on_paths_made(void *arg, const struct zk_answer *answer)
{
    struct zk_enroll *enroll = arg;

    if (!is_back(enroll, answer))
        return;
    if (answer->err != ERR_OK)
        fail_at(enroll, answer->err, answer->path.ptr);
    else
        read_cluster_id(enroll);
}

/* ---- the module ---------------------------------------------------------------------------------
 */

void zk_enroll_again(struct zk_enroll *enroll)
{
    if (enroll->running || enroll->epoch >= 0)
        return;
    enroll->running = true;
    enroll->out++;
    zk_enroll_paths(enroll->zk, zk_tree_start_paths, on_paths_made, enroll);
}

static void on_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct zk_enroll *enroll = container_of(listener, struct zk_enroll, listener);

    if (session->state == ZK_CONNECTED && session->is_new) {
        zk_enroll_again(enroll);
    } else if (session->state == ZK_EXPIRED) {
        bool was_there = enroll->epoch >= 0;

        enroll->running = false;
        enroll->epoch = -1;
        if (was_there)
            enroll->hooks.on_gone(enroll->arg);
    }
}

struct zk_enroll *zk_enroll_new(struct zk *zk, const struct node *node, const char *moldau,
                                const struct zk_enroll_hooks *hooks, void *arg)
{
    struct zk_enroll *enroll = xcalloc(1, sizeof *enroll);

    enroll->zk = zk;
    enroll->node = node_dup(node);
    enroll->moldau = xstrdup(moldau);
    enroll->hooks = *hooks;
    enroll->arg = arg;
    enroll->epoch = -1;
    enroll->listener.on_session = on_session;
    zk_listen(zk, &enroll->listener);
    if (zk_session(zk)->state == ZK_CONNECTED)
        zk_enroll_again(enroll);
    return enroll;
}

void zk_enroll_set_id(struct zk_enroll *enroll, int32_t id)
{
    enroll->node->id = id;
}

void zk_enroll_free(struct zk_enroll **enroll_ptr)
{
    struct zk_enroll *enroll = *enroll_ptr;

    *enroll_ptr = NULL;
    if (enroll == NULL)
        return;
    zk_unlisten(enroll->zk, &enroll->listener);
    enroll->freed = true;
    if (enroll->out == 0)
        enroll_end(enroll);
}

int64_t zk_enroll_epoch(const struct zk_enroll *enroll)
{
    return enroll->epoch;
}
