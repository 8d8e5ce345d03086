/*
 * A WRITE becomes a run: paths and bytes of every operation are made once; what is sent is decided
 * for each multi anew. That is because some operations mean "so that it is like this afterwards"
 * (settings are created or replaced, marks may be there or not, a partition's parents may or may
 * not exist) while a multi knows only create, set and delete: each has a form that is guessed first
 * and changed when ZooKeeper refuses it, which costs one more round trip and changes nothing, as a
 * multi is all or nothing.
 *
 *   pack groups, check first -> multi -> OK: those groups are done, pack the next
 *                                     -> the check failed: fenced, everything left fails
 *                                     -> an operation failed: another form, or its group is out;
 * again
 *                                     -> connection lost: look at one znode; done, or again
 *
 * Deleting a topic is no group but as many multis as it takes, of deletes that may all find
 * nothing.
 */
#include "controller/shell/write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/zk/zk_retry.h"
#include "common/zk/zk_tree.h"

#define BATCH_OPS   500
#define BATCH_BYTES (256 * 1024)

enum form {
    FORM_SET,
    FORM_CREATE,
    FORM_DELETE,
    FORM_NONE, /* it is as wanted already */
};

/* The parts of an operation in a multi. */
enum role { ROLE_CHECK, ROLE_DIR, ROLE_PART_DIR, ROLE_PARENT, ROLE_PARENT_2, ROLE_MAIN };

/* /brokers/topics/T/partitions: made with the first state that finds it missing. */
struct dir {
    const char *path;
    bool missing; /* as far as we know */
    bool packed;  /* in this multi already */
};

struct todo {
    enum core_op_kind kind;
    enum form form;
    enum zk_mode mode;
    const char *path;
    struct str data;
    int32_t version;
    struct dir *dir;      /* OP_STATE_CREATE */
    const char *part_dir; /* OP_STATE_CREATE */
    bool part_dir_there;
    const char *parents[2]; /* settings of users' clients: NULL when there */
    struct str topic;       /* OP_TOPIC_DELETE */
};

struct group {
    size_t first, n; /* operations */
    bool done;
};

struct tag {
    size_t todo;
    enum role role;
};

struct run {
    struct writer *writer; /* NULL: reset */
    bool over;             /* no answer will come any more: the session has ended */
    struct zk *zk;
    struct arena arena;
    uint64_t batch;
    int32_t epoch_version;
    size_t n, n_groups, at; /* at: first group that is not done */
    size_t last;            /* one past the last group of this multi */
    size_t tries;           /* since the last progress */
    struct todo *todos;
    struct group *groups;
    struct dir *dirs; /* as many as operations at most */
    size_t n_dirs;
    struct core_op_result *results;
    /* the multi on its way */
    struct zk_op *ops;
    struct tag *tags;
    size_t n_ops, cap_ops, cap_tags;
    size_t looked; /* at whose znode, after a lost connection */
    /* a topic being deleted */
    const char **doomed;
    size_t n_doomed, cap_doomed, doomed_at, doomed_sent;
};

struct writer {
    struct zk *zk;
    struct sink sink;
    struct writer_hooks hooks;
    struct run *run;
};

static void run_go_on(struct run *run);

/* ---- making todos -----------------------------------------------------------------------------
 */

static struct dir *dir_of(struct run *run, struct str topic)
{
    const char *path = zk_path_partitions(&run->arena, topic);
    struct dir *dir;

    for (size_t i = run->n_dirs; i > 0; i--) {
        if (strcmp(run->dirs[i - 1].path, path) == 0)
            return &run->dirs[i - 1];
    }
    dir = &run->dirs[run->n_dirs++];
    *dir = (struct dir){ .path = path };
    return dir;
}

static struct str topic_data(struct run *run, const struct core_op *op)
{
    size_t n = op->topic_node.n_parts;
    struct zk_topic_part *parts = arena_zalloc(&run->arena, n, sizeof *parts);
    struct zk_topic topic = { .id = op->topic_node.id, .n_parts = n, .parts = parts };

    for (size_t i = 0; i < n; i++) {
        const struct core_op_part *part = &op->topic_node.parts[i];

        parts[i] = (struct zk_topic_part){ .index = part->index,
                                           .replicas = part->replicas,
                                           .adding = part->adding,
                                           .removing = part->removing };
    }
    return zk_build_topic(&run->arena, &topic);
}

static struct str tombstone_data(struct run *run, const struct core_tombstones *stones)
{
    struct zk_tombstone *at = arena_zalloc(&run->arena, stones->n, sizeof *at);

    for (size_t i = 0; i < stones->n; i++)
        at[i] = (struct zk_tombstone){ .partition = stones->parts[i].partition,
                                       .leader_epoch = stones->parts[i].leader_epoch };
    return zk_build_tombstones(
        &run->arena, &(struct zk_tombstones){ .topic = stones->topic, .n = stones->n, .at = at });
}

/* Kafka keeps emptied settings of topics and brokers and deletes those of users and clients. */
static enum form config_form(const struct image_config *config)
{
    bool kept = str_is(config->type, "topics") || str_is(config->type, "brokers");

    return config->n_settings == 0 && !kept ? FORM_DELETE : FORM_SET;
}

static void todo_make_config(struct run *run, struct todo *todo, const struct image_config *config)
{
    struct str rest, user;

    todo->path = zk_path_config(&run->arena, config->type, config->name);
    todo->data = zk_build_config(&run->arena, config);
    todo->form = config_form(config);
    todo->version = ZK_ANY_VERSION;
    user = str_split(config->name, '/', &rest);
    if (str_is(config->type, "users") && !str_is_null(rest)) {
        todo->parents[0] = zk_path_config(&run->arena, config->type, user);
        todo->parents[1] = zk_path_child(&run->arena, todo->parents[0], STR("clients"));
    }
}

static void todo_make(struct run *run, struct todo *todo, const struct core_op *op, int32_t epoch)
{
    struct arena *arena = &run->arena;

    *todo = (struct todo){ .kind = op->kind, .version = op->version, .form = FORM_SET };
    switch (op->kind) {
    case OP_STATE_CREATE:
        todo->dir = dir_of(run, op->topic);
        todo->part_dir = zk_path_partition(arena, op->topic, op->state.partition);
        todo->form = FORM_CREATE;
        __attribute__((fallthrough));
    case OP_STATE_SET:
        todo->path = zk_path_state(arena, op->topic, op->state.partition);
        todo->data = zk_build_state(arena, epoch, &op->state.state);
        break;
    case OP_TOPIC_CREATE:
        dir_of(run, op->topic)->missing = true;
        todo->form = FORM_CREATE;
        __attribute__((fallthrough));
    case OP_TOPIC_SET:
        todo->path = zk_path_topic(arena, op->topic);
        todo->data = topic_data(run, op);
        break;
    case OP_TOPIC_DELETE:
        todo->topic = (struct str){ .ptr = arena_cstr(arena, op->topic), .len = op->topic.len };
        todo->path = zk_path_partitions(arena, op->topic);
        break;
    case OP_CONFIG_SET:
        todo_make_config(run, todo, &op->config);
        break;
    case OP_CONFIG_NOTIFY:
        todo->path = ZK_CONFIG_CHANGE_SEQ;
        todo->data = zk_build_config_change(arena, op->config.type, op->config.name);
        todo->form = FORM_CREATE;
        todo->mode = ZK_SEQUENTIAL;
        break;
    case OP_MARK_CREATE:
    case OP_MARK_DELETE:
        todo->path = zk_path_delete_mark(arena, op->topic);
        todo->form = op->kind == OP_MARK_CREATE ? FORM_CREATE : FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    case OP_TOMBSTONES_SET:
        todo->path = zk_path_tombstones(arena, op->tombstones.broker, op->tombstones.topic_id);
        todo->data = tombstone_data(run, &op->tombstones);
        todo->form = op->tombstones.n > 0 ? FORM_CREATE : FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    case OP_PID_BLOCK_SET:
        todo->path = ZK_PID_BLOCK;
        todo->data =
            zk_build_pid_block(arena, &(struct zk_pid_block){ .broker = op->pid_block.broker,
                                                              .first = op->pid_block.first,
                                                              .last = op->pid_block.last });
        break;
    }
}

/* A topic that is being created has no settings yet. */
static void guess_forms(struct run *run, const struct core_write *write)
{
    for (size_t i = 1; i < run->n; i++) {
        if (write->ops[i].kind == OP_TOPIC_CREATE && write->ops[i - 1].kind == OP_CONFIG_SET &&
            write->ops[i].group == write->ops[i - 1].group)
            run->todos[i - 1].form = FORM_CREATE;
    }
}

static struct run *run_new(struct writer *writer, const struct core_write *write,
                           int32_t epoch_version)
{
    struct run *run = xmalloc(sizeof *run);

    *run = (struct run){ .writer = writer,
                         .zk = writer->zk,
                         .batch = write->batch,
                         .epoch_version = epoch_version,
                         .n = write->n };
    arena_init(&run->arena, SIZE_MAX);
    run->todos = arena_zalloc(&run->arena, run->n, sizeof *run->todos);
    run->groups = arena_zalloc(&run->arena, run->n, sizeof *run->groups);
    run->dirs = arena_zalloc(&run->arena, run->n, sizeof *run->dirs);
    run->results = arena_zalloc(&run->arena, run->n, sizeof *run->results);
    for (size_t i = 0; i < run->n; i++) {
        const struct core_op *op = &write->ops[i];

        todo_make(run, &run->todos[i], op, write->controller_epoch);
        if (i == 0 || op->group != write->ops[i - 1].group)
            run->groups[run->n_groups++].first = i;
        run->groups[run->n_groups - 1].n++;
        assert(op->kind != OP_TOPIC_DELETE || run->groups[run->n_groups - 1].n == 1);
    }
    guess_forms(run, write);
    return run;
}

static void run_free(struct run *run)
{
    free(run->ops);
    free(run->tags);
    free(run->doomed);
    arena_fini(&run->arena);
    free(run);
}

/* ---- results ----------------------------------------------------------------------------------
 */

static void group_fail(struct run *run, size_t group, size_t at, enum err err)
{
    struct group *g = &run->groups[group];

    for (size_t i = g->first; i < g->first + g->n; i++)
        run->results[i] =
            (struct core_op_result){ .err = i == at ? err : ERR_CLOSED, .version = -1 };
    g->done = true;
}

static size_t group_of(const struct run *run, size_t todo)
{
    for (size_t i = run->at; i < run->last; i++) {
        const struct group *g = &run->groups[i];

        if (todo >= g->first && todo < g->first + g->n)
            return i;
    }
    assert(false);
    return 0;
}

static void run_end(struct run *run)
{
    struct writer *writer = run->writer;
    struct sink sink = writer->sink;
    struct core_event event = {
        .kind = CORE_WRITE_DONE,
        .write_done = { .batch = run->batch, .n = run->n, .results = run->results },
    };

    writer->run = NULL;
    sink.on_event(sink.arg, &event);
    run_free(run);
}

/* All that is not done yet ends like this. */
static void run_fail(struct run *run, enum err err)
{
    struct writer *writer = run->writer;

    for (size_t i = run->at; i < run->n_groups; i++) {
        if (!run->groups[i].done) {
            group_fail(run, i, SIZE_MAX, err);
            for (size_t j = 0; j < run->groups[i].n; j++)
                run->results[run->groups[i].first + j].err = err;
        }
    }
    if (err == ERR_FENCED && writer->hooks.on_fenced != NULL) {
        writer->hooks.on_fenced(writer->hooks.arg);
        if (run->writer == NULL) { /* it was reset there */
            run_free(run);
            return;
        }
    }
    run_end(run);
}

/* The session's end takes the seat with it: writer_reset() follows. */
static bool is_over(struct run *run, enum err err)
{
    if (run->writer == NULL) {
        run_free(run);
        return true;
    }
    run->over = err == ERR_SESSION_EXPIRED || err == ERR_CLOSED;
    return run->over;
}

/* ---- packing ----------------------------------------------------------------------------------
 */

static void pack(struct run *run, struct zk_op op, size_t todo, enum role role)
{
    array_reserve(&run->ops, &run->cap_ops, run->n_ops + 1, sizeof *run->ops);
    array_reserve(&run->tags, &run->cap_tags, run->n_ops + 1, sizeof *run->tags);
    run->ops[run->n_ops] = op;
    run->tags[run->n_ops++] = (struct tag){ .todo = todo, .role = role };
}

static void pack_todo(struct run *run, size_t i)
{
    struct todo *todo = &run->todos[i];

    if (todo->kind == OP_STATE_CREATE) {
        if (todo->dir->missing && !todo->dir->packed) {
            pack(run, zk_op_create(todo->dir->path, STR_NULL, ZK_PERSISTENT), i, ROLE_DIR);
            todo->dir->packed = true;
        }
        if (!todo->part_dir_there)
            pack(run, zk_op_create(todo->part_dir, STR_NULL, ZK_PERSISTENT), i, ROLE_PART_DIR);
    }
    switch (todo->form) {
    case FORM_SET:
        pack(run, zk_op_set(todo->path, todo->data, todo->version), i, ROLE_MAIN);
        break;
    case FORM_CREATE:
        for (size_t p = 0; todo->kind == OP_CONFIG_SET && p < 2; p++) {
            if (todo->parents[p] != NULL)
                pack(run, zk_op_create(todo->parents[p], STR_NULL, ZK_PERSISTENT), i,
                     p == 0 ? ROLE_PARENT : ROLE_PARENT_2);
        }
        pack(run, zk_op_create(todo->path, todo->data, todo->mode), i, ROLE_MAIN);
        break;
    case FORM_DELETE:
        pack(run, zk_op_delete(todo->path, todo->version), i, ROLE_MAIN);
        break;
    case FORM_NONE:
        break;
    }
}

static void pack_start(struct run *run)
{
    run->n_ops = 0;
    for (size_t i = 0; i < run->n_dirs; i++)
        run->dirs[i].packed = false;
    pack(run, zk_op_check(ZK_CONTROLLER_EPOCH, run->epoch_version), 0, ROLE_CHECK);
}

static bool is_deletion(const struct run *run, size_t group)
{
    return run->todos[run->groups[group].first].kind == OP_TOPIC_DELETE;
}

/* Whole groups from the first that is not done, as many as fit; at least one. */
static void pack_groups(struct run *run)
{
    size_t bytes = 0;

    pack_start(run);
    for (run->last = run->at; run->last < run->n_groups; run->last++) {
        struct group *group = &run->groups[run->last];
        size_t before = run->n_ops;

        if (group->done)
            continue;
        if (is_deletion(run, run->last))
            break;
        for (size_t i = 0; i < group->n; i++)
            pack_todo(run, group->first + i);
        bytes += zk_multi_bytes(run->ops + before, run->n_ops - before);
        if (before > 1 && (run->n_ops > BATCH_OPS || bytes > BATCH_BYTES)) {
            for (size_t i = before; i < run->n_ops; i++) {
                if (run->tags[i].role == ROLE_DIR)
                    run->todos[run->tags[i].todo].dir->packed = false;
            }
            run->n_ops = before;
            break;
        }
    }
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Another form of the operation that would do, after err; false: it has failed. */
static bool adapt(struct run *run, struct tag tag, enum err err)
{
    struct todo *todo = &run->todos[tag.todo];

    switch (tag.role) {
    case ROLE_DIR:
        todo->dir->missing = false;
        return err == ERR_EXISTS;
    case ROLE_PART_DIR:
        if (err == ERR_EXISTS)
            todo->part_dir_there = true;
        else if (err == ERR_NOT_FOUND && !todo->dir->packed)
            todo->dir->missing = true;
        else
            return false;
        return true;
    case ROLE_PARENT:
    case ROLE_PARENT_2:
        todo->parents[tag.role == ROLE_PARENT_2] = NULL;
        return err == ERR_EXISTS;
    case ROLE_CHECK:
    case ROLE_MAIN:
        break;
    }
    if (todo->kind == OP_MARK_CREATE && err == ERR_EXISTS)
        todo->form = FORM_NONE;
    else if (todo->form == FORM_DELETE && err == ERR_NOT_FOUND)
        todo->form = FORM_NONE;
    else if (todo->form == FORM_DELETE && err == ERR_NOT_EMPTY && todo->kind == OP_CONFIG_SET)
        todo->form = FORM_SET; /* users have clients below them */
    else if (todo->kind != OP_CONFIG_SET && todo->kind != OP_TOMBSTONES_SET)
        return false;
    else if (todo->form == FORM_SET && err == ERR_NOT_FOUND)
        todo->form = FORM_CREATE;
    else if (todo->form == FORM_CREATE && err == ERR_EXISTS)
        todo->form = FORM_SET;
    else
        return false;
    return true;
}

/* The multi of groups at … last has been carried out. */
static void groups_done(struct run *run, const struct zk_answer *answer)
{
    for (size_t i = run->at; i < run->last; i++) {
        struct group *group = &run->groups[i];

        for (size_t j = group->first; !group->done && j < group->first + group->n; j++)
            run->results[j] = (struct core_op_result){ .err = ERR_OK, .version = -1 };
        group->done = true;
    }
    for (size_t i = 1; i < run->n_ops; i++) {
        struct todo *todo = &run->todos[run->tags[i].todo];
        int32_t *version = &run->results[run->tags[i].todo].version;

        if (run->tags[i].role == ROLE_DIR)
            todo->dir->missing = false;
        if (run->tags[i].role != ROLE_MAIN)
            continue;
        if (run->ops[i].kind == ZK_OP_CREATE)
            *version = 0;
        else if (answer != NULL && run->ops[i].kind == ZK_OP_SET)
            *version = answer->results[i].stat.version;
        else if (run->ops[i].kind == ZK_OP_SET && todo->version != ZK_ANY_VERSION)
            *version = todo->version + 1;
    }
    run->at = run->last;
    run->tries = 0;
    run_go_on(run);
}

static size_t culprit(const struct zk_answer *answer)
{
    for (size_t i = 0; i < answer->n_results; i++) {
        if (answer->results[i].err != ERR_OK &&
            answer->results[i].err != ERR_OPERATION_NOT_ATTEMPTED)
            return i;
    }
    return SIZE_MAX;
}

static void on_looked(void *arg, const struct zk_answer *answer)
{
    struct run *run = arg;
    const struct zk_op *op;

    if (is_over(run, answer->err))
        return;
    op = &run->ops[run->looked];
    if (answer->err == ERR_CONNECTION_LOSS) {
        zk_get(run->zk, op->path, false, on_looked, run);
        return;
    }
    switch (zk_retry_judge(op, answer, 0)) {
    case ZK_DONE:
        groups_done(run, NULL);
        break;
    case ZK_NOT_DONE:
        run_go_on(run);
        break;
    case ZK_BEATEN:
        say_warn("the outcome of a write cannot be found out path=%s", op->path);
        run_fail(run, ERR_CONNECTION_LOSS);
        break;
    }
}

static void on_synced(void *arg, const struct zk_answer *answer)
{
    struct run *run = arg;

    if (is_over(run, answer->err))
        return;
    if (answer->err == ERR_CONNECTION_LOSS)
        zk_sync(run->zk, on_synced, run);
    else
        zk_get(run->zk, run->ops[run->looked].path, false, on_looked, run);
}

/* How well the znode of an operation tells whether the multi was done. */
static int telling(const struct run *run, size_t i)
{
    const struct zk_op *op = &run->ops[i];
    enum core_op_kind kind = run->todos[run->tags[i].todo].kind;

    if (run->tags[i].role != ROLE_MAIN)
        return 0;
    if (op->kind == ZK_OP_SET && op->version != ZK_ANY_VERSION)
        return 3;
    return kind == OP_TOPIC_CREATE ? 2 : kind == OP_STATE_CREATE ? 1 : 0;
}

/* The multi was done as a whole or not at all, so one znode that tells is enough. Without one every
 * operation may be repeated. */
static void look(struct run *run)
{
    size_t best = 0;

    for (size_t i = 1; i < run->n_ops; i++) {
        if (telling(run, i) > (best > 0 ? telling(run, best) : 0))
            best = i;
    }
    run->looked = best;
    if (best > 0)
        zk_sync(run->zk, on_synced, run);
    else
        run_go_on(run);
}

static void on_multi(void *arg, const struct zk_answer *answer)
{
    struct run *run = arg;
    size_t at = culprit(answer), group;
    struct tag tag;

    if (is_over(run, answer->err))
        return;
    if (answer->err == ERR_OK) {
        groups_done(run, answer);
    } else if (answer->err == ERR_CONNECTION_LOSS) {
        look(run);
    } else if (at == 0) {
        run_fail(run, ERR_FENCED);
    } else if (at == SIZE_MAX) { /* none of it is at fault: it was not even sent */
        say_error("cannot write to ZooKeeper operations=%zu bytes=%zu err=%s", run->n_ops,
                  zk_multi_bytes(run->ops, run->n_ops), err_name(answer->err));
        for (group = run->at; group < run->last; group++) {
            if (!run->groups[group].done)
                group_fail(run, group, run->groups[group].first, answer->err);
        }
        run_go_on(run);
    } else {
        tag = run->tags[at];
        if (!adapt(run, tag, answer->results[at].err) || run->tries++ > 4 * run->n + 16)
            group_fail(run, group_of(run, tag.todo), tag.todo, answer->results[at].err);
        run_go_on(run);
    }
}

/* ---- deleting a topic --------------------------------------------------------------------------
 */

static void doom(struct run *run, const char *path)
{
    array_reserve(&run->doomed, &run->cap_doomed, run->n_doomed + 1, sizeof *run->doomed);
    run->doomed[run->n_doomed++] = path;
}

static void delete_go_on(struct run *run);

static void on_deleted(void *arg, const struct zk_answer *answer)
{
    struct run *run = arg;
    size_t at = culprit(answer);
    struct group *group;

    if (is_over(run, answer->err))
        return;
    group = &run->groups[run->at];
    if (answer->err == ERR_OK) {
        run->doomed_at = run->doomed_sent;
        delete_go_on(run);
    } else if (answer->err == ERR_CONNECTION_LOSS) {
        delete_go_on(run); /* what is gone already does not matter */
    } else if (at == 0) {
        run_fail(run, ERR_FENCED);
    } else if (at != SIZE_MAX && answer->results[at].err == ERR_NOT_FOUND) {
        run->doomed[run->tags[at].todo] = NULL;
        delete_go_on(run);
    } else {
        group_fail(run, run->at, group->first, answer->err);
        run_go_on(run);
    }
}

static void delete_go_on(struct run *run)
{
    pack_start(run);
    for (run->doomed_sent = run->doomed_at;
         run->doomed_sent < run->n_doomed && run->n_ops < BATCH_OPS; run->doomed_sent++) {
        const char *path = run->doomed[run->doomed_sent];

        if (path != NULL)
            pack(run, zk_op_delete(path, ZK_ANY_VERSION), run->doomed_sent, ROLE_MAIN);
    }
    if (run->n_ops > 1) {
        zk_multi(run->zk, run->ops, run->n_ops, on_deleted, run);
    } else if (run->doomed_sent < run->n_doomed) {
        run->doomed_at = run->doomed_sent;
        delete_go_on(run);
    } else {
        run->results[run->groups[run->at].first] =
            (struct core_op_result){ .err = ERR_OK, .version = -1 };
        run->groups[run->at].done = true;
        run_go_on(run);
    }
}

static void on_doomed_partitions(void *arg, const struct zk_answer *answer)
{
    struct run *run = arg;
    struct todo *todo;

    if (is_over(run, answer->err))
        return;
    todo = &run->todos[run->groups[run->at].first];
    if (answer->err == ERR_CONNECTION_LOSS) {
        zk_children(run->zk, todo->path, false, on_doomed_partitions, run);
        return;
    }
    run->n_doomed = run->doomed_at = 0;
    for (size_t i = 0; i < answer->n_children; i++) {
        const char *part = zk_path_child(&run->arena, todo->path, answer->children[i]);

        doom(run, zk_path_child(&run->arena, part, STR("state")));
        doom(run, part);
    }
    doom(run, todo->path);
    doom(run, zk_path_topic(&run->arena, todo->topic));
    doom(run, zk_path_config(&run->arena, STR("topics"), todo->topic));
    doom(run, zk_path_delete_mark(&run->arena, todo->topic));
    delete_go_on(run);
}

/* ---- the run -----------------------------------------------------------------------------------
 */

/* Groups whose operations all turned out to be as wanted need no multi. */
static void run_go_on(struct run *run)
{
    while (run->at < run->n_groups && run->groups[run->at].done)
        run->at++;
    if (run->at == run->n_groups) {
        run_end(run);
    } else if (is_deletion(run, run->at)) {
        zk_children(run->zk, run->todos[run->groups[run->at].first].path, false,
                    on_doomed_partitions, run);
    } else {
        pack_groups(run);
        zk_multi(run->zk, run->ops, run->n_ops, on_multi, run);
    }
}

struct writer *writer_new(struct zk *zk, const struct sink *sink, const struct writer_hooks *hooks)
{
    struct writer *writer = xmalloc(sizeof *writer);

    *writer = (struct writer){ .zk = zk, .sink = *sink, .hooks = *hooks };
    return writer;
}

void writer_run(struct writer *writer, const struct core_write *write, int32_t epoch_version)
{
    assert(writer->run == NULL);
    assert(write->n > 0);
    writer->run = run_new(writer, write, epoch_version);
    run_go_on(writer->run);
}

bool writer_is_busy(const struct writer *writer)
{
    return writer->run != NULL;
}

void writer_reset(struct writer *writer)
{
    struct run *run = writer->run;

    writer->run = NULL;
    if (run == NULL)
        return;
    run->writer = NULL;
    if (run->over)
        run_free(run);
    /* else its answer frees it */
}

void writer_free(struct writer **writer)
{
    if (*writer == NULL)
        return;
    writer_reset(*writer);
    free(*writer);
    *writer = NULL;
}
