/*
 * A WRITE becomes a run: paths and bytes of every operation are made once; what is sent is decided
 * for each multi anew. That is because some operations mean "so that it is like this afterwards"
 * (settings are created or replaced, marks may be there or not, a partition's parents may or may
 * not exist, the block of producer ids may have been removed) while a multi knows only create, set
 * and delete: each has a form that is guessed first and changed when ZooKeeper refuses it, which
 * costs one more round trip and changes nothing, as a multi is all or nothing.
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
#include "controller/shell/ring.h"
#include "controller/shell/write_todo.h"

#define BATCH_OPS   500
#define BATCH_BYTES (256 * 1024)
#define FLIGHTS     4 /* multis on their way at once */

/* The parts of an operation in a multi; the ring's are the multi's own. */
enum role {
    ROLE_CHECK,
    ROLE_DIR,
    ROLE_PART_DIR,
    ROLE_PARENT,
    ROLE_PARENT_2,
    ROLE_MAIN,
    ROLE_RING_DIR,
    ROLE_RING,
};

struct group {
    size_t first, n; /* operations */
    bool done;
};

struct tag {
    size_t todo;
    enum role role;
};

enum flight_state { FLIGHT_HOME, FLIGHT_OUT, FLIGHT_LOST };

/* A multi on its way. */
struct flight {
    struct run *run;
    enum flight_state state;
    size_t first, last; /* groups; one past the last */
    struct zk_op *ops;
    struct tag *tags;
    size_t n_ops, cap_ops, cap_tags;
    uint64_t number; /* in the ring; 0: it touches nothing that belongs there */
    size_t looked;   /* at whose znode, after a lost connection */
};

struct run {
    struct writer *writer; /* NULL: reset */
    bool over;             /* no answer will come any more: the session has ended */
    struct zk *zk;
    struct arena arena;
    uint64_t batch;
    int32_t epoch_version;
    int32_t epoch;
    size_t n, n_groups, at; /* at: first group that is not done */
    size_t next;            /* first group that has not been sent, while flights are out */
    size_t tries;           /* since the last progress */
    unsigned out;           /* flights that are not home */
    enum err failed;        /* what ends the run once all flights are home */
    struct todos todos;
    struct group *groups;
    struct core_op_result *results;
    struct flight flights[FLIGHTS]; /* but for states only the first is used */
    struct zk_touched_part *parts;  /* room for what a multi touches */
    struct str *configs, *topics;
    /* a topic being deleted */
    const char **doomed;
    size_t n_doomed, cap_doomed, doomed_at, doomed_sent;
};

struct writer {
    struct zk *zk;
    struct sink sink;
    struct writer_hooks hooks;
    struct run *run;
    struct ring ring;
    uint64_t certain; /* number of the last multi up to which all outcomes have been told */
    bool doubtful;    /* the outcome of some multi of this seat was never found out */
};

static void run_go_on(struct run *run);

static struct run *run_new(struct writer *writer, const struct core_write *write,
                           int32_t epoch_version)
{
    struct run *run = xmalloc(sizeof *run);

    *run = (struct run){ .writer = writer,
                         .zk = writer->zk,
                         .batch = write->batch,
                         .epoch_version = epoch_version,
                         .epoch = write->controller_epoch,
                         .n = write->n };
    arena_init(&run->arena, SIZE_MAX);
    for (size_t i = 0; i < FLIGHTS; i++)
        run->flights[i].run = run;
    run->parts = arena_zalloc(&run->arena, run->n, sizeof *run->parts);
    run->configs = arena_zalloc(&run->arena, run->n, sizeof *run->configs);
    run->topics = arena_zalloc(&run->arena, run->n, sizeof *run->topics);
    todos_make(&run->todos, &run->arena, write);
    run->groups = arena_zalloc(&run->arena, run->n, sizeof *run->groups);
    run->results = arena_zalloc(&run->arena, run->n, sizeof *run->results);
    for (size_t i = 0; i < run->n; i++) {
        const struct core_op *op = &write->ops[i];

        if (i == 0 || op->group != write->ops[i - 1].group)
            run->groups[run->n_groups++].first = i;
        run->groups[run->n_groups - 1].n++;
        assert(op->kind != OP_TOPIC_DELETE || run->groups[run->n_groups - 1].n == 1);
    }
    return run;
}

static void run_free(struct run *run)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        free(run->flights[i].ops);
        free(run->flights[i].tags);
    }
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

static size_t group_of(const struct flight *flight, size_t todo)
{
    for (size_t i = flight->first; i < flight->last; i++) {
        const struct group *g = &flight->run->groups[i];

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

    for (size_t i = 0; i < run->n; i++)
        writer->doubtful |= run->results[i].err == ERR_CONNECTION_LOSS;
    if (!writer->doubtful)
        writer->certain = writer->ring.done;
    writer->run = NULL;
    sink.on_event(sink.arg, &event);
    run_free(run);
}

/* All that is not done yet ends like this. All flights are home. */
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
        if (writer->run != run) /* it was reset there, and freed */
            return;
    }
    run_end(run);
}

/* Every answer begins with this. The session's end takes the seat with it: writer_reset() follows.
 */
static bool is_over(struct run *run, enum err err)
{
    run->out--;
    run->over = run->over || err == ERR_SESSION_EXPIRED || err == ERR_CLOSED;
    if (run->writer == NULL && run->out == 0)
        run_free(run);
    else if (run->writer != NULL)
        return run->over;
    return true;
}

static void go_out(struct run *run)
{
    run->out++;
}

/* ---- packing ----------------------------------------------------------------------------------
 */

static void pack(struct flight *flight, struct zk_op op, size_t todo, enum role role)
{
    array_reserve(&flight->ops, &flight->cap_ops, flight->n_ops + 1, sizeof *flight->ops);
    array_reserve(&flight->tags, &flight->cap_tags, flight->n_ops + 1, sizeof *flight->tags);
    flight->ops[flight->n_ops] = op;
    flight->tags[flight->n_ops++] = (struct tag){ .todo = todo, .role = role };
}

static void pack_todo(struct flight *flight, size_t i)
{
    struct todo *todo = &flight->run->todos.at[i];

    if (todo->kind == OP_STATE_CREATE) {
        if (todo->dir->missing && !todo->dir->packed) {
            pack(flight, zk_op_create(todo->dir->path, STR_NULL, ZK_PERSISTENT), i, ROLE_DIR);
            todo->dir->packed = true;
        }
        if (!todo->part_dir_there)
            pack(flight, zk_op_create(todo->part_dir, STR_NULL, ZK_PERSISTENT), i, ROLE_PART_DIR);
    }
    switch (todo->form) {
    case FORM_SET:
        pack(flight, zk_op_set(todo->path, todo->data, todo->version), i, ROLE_MAIN);
        break;
    case FORM_CREATE:
        for (size_t p = 0; todo->kind == OP_CONFIG_SET && p < 2; p++) {
            if (todo->parents[p] != NULL)
                pack(flight, zk_op_create(todo->parents[p], STR_NULL, ZK_PERSISTENT), i,
                     p == 0 ? ROLE_PARENT : ROLE_PARENT_2);
        }
        pack(flight, zk_op_create(todo->path, todo->data, todo->mode), i, ROLE_MAIN);
        break;
    case FORM_DELETE:
        pack(flight, zk_op_delete(todo->path, todo->version), i, ROLE_MAIN);
        break;
    case FORM_NONE:
        break;
    }
}

static void pack_start(struct flight *flight)
{
    struct run *run = flight->run;

    flight->n_ops = 0;
    flight->number = 0;
    for (size_t i = 0; i < run->todos.n_dirs; i++)
        run->todos.dirs[i].packed = false;
    pack(flight, zk_op_check(ZK_CONTROLLER_EPOCH, run->epoch_version), 0, ROLE_CHECK);
}

/* The znodes of a topic that is marked go later, in multis without an entry: no controller of ours
 * deletes them before it has written the mark itself. Who knows of that has the topic no more, or
 * (a large one's tombstones come after the mark) finds the mark and deletes it again. */
static void touch(struct run *run, const struct todo *todo, struct zk_touched *touched)
{
    switch (todo->kind) {
    case OP_STATE_CREATE:
    case OP_STATE_SET:
        run->parts[touched->n_parts++] =
            (struct zk_touched_part){ .topic = todo->topic, .partition = todo->partition };
        break;
    case OP_CONFIG_SET:
        run->configs[touched->n_configs++] = str_of(todo->path + strlen(ZK_CONFIG "/"));
        break;
    case OP_TOPIC_CREATE:
    case OP_TOPIC_SET:
        run->topics[touched->n_topics++] = todo->topic;
        break;
    case OP_MARK_CREATE:
        run->topics[touched->n_topics++] = todo->topic;
        run->configs[touched->n_configs++] =
            arena_printf(&run->arena, "topics/%.*s", STR_ARG(todo->topic));
        break;
    default: /* read by every controller that wins */
        break;
    }
}

/* The ring's entry goes last. What is there already as it is wanted is named, too: of a mark it is
 * the deletion that counts. */
static void pack_ring(struct flight *flight)
{
    struct run *run = flight->run;
    struct ring *ring = &run->writer->ring;
    struct zk_touched touched = {
        .epoch = run->epoch, .parts = run->parts, .configs = run->configs, .topics = run->topics
    };
    struct zk_op ops[RING_OPS_MAX];
    size_t n;

    for (size_t i = flight->first; i < flight->last; i++) {
        const struct group *group = &run->groups[i];

        for (size_t k = group->first; !group->done && k < group->first + group->n; k++)
            touch(run, &run->todos.at[k], &touched);
    }
    if (touched.n_parts + touched.n_configs + touched.n_topics == 0)
        return;
    flight->number = touched.number = ring_take(ring);
    n = ring_ops(ring, &run->arena, &touched, ops);
    for (size_t i = 0; i < n; i++)
        pack(flight, ops[i], 0, i + 1 == n ? ROLE_RING : ROLE_RING_DIR);
}

static bool is_deletion(const struct run *run, size_t group)
{
    return run->todos.at[run->groups[group].first].kind == OP_TOPIC_DELETE;
}

/* One state that is there already: nothing that comes after it depends on what becomes of it. */
static bool is_plain(const struct run *run, size_t group)
{
    return run->groups[group].n == 1 &&
           run->todos.at[run->groups[group].first].kind == OP_STATE_SET;
}

/* Whole groups from `first` on that are not done, as many as fit; at least one. plain: as long as
 * they are. */
static void pack_groups(struct flight *flight, size_t first, bool plain)
{
    struct run *run = flight->run;
    size_t bytes = 0;

    pack_start(flight);
    flight->first = first;
    for (flight->last = first; flight->last < run->n_groups; flight->last++) {
        struct group *group = &run->groups[flight->last];
        size_t before = flight->n_ops;

        if (group->done)
            continue;
        if (is_deletion(run, flight->last) || (plain && !is_plain(run, flight->last)))
            break;
        for (size_t i = 0; i < group->n; i++)
            pack_todo(flight, group->first + i);
        bytes += zk_multi_bytes(flight->ops + before, flight->n_ops - before);
        if (before > 1 && (flight->n_ops > BATCH_OPS || bytes > BATCH_BYTES)) {
            for (size_t i = before; i < flight->n_ops; i++) {
                if (flight->tags[i].role == ROLE_DIR)
                    run->todos.at[flight->tags[i].todo].dir->packed = false;
            }
            flight->n_ops = before;
            break;
        }
    }
    pack_ring(flight);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

/* Another form of the operation that would do, after err; false: it has failed. */
static bool adapt(struct flight *flight, struct tag tag, enum err err)
{
    struct run *run = flight->run;
    struct todo *todo = &run->todos.at[tag.todo];

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
    case ROLE_RING_DIR:
    case ROLE_RING:
        return ring_adapt(&run->writer->ring, flight->number, tag.role == ROLE_RING, err);
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
    else if (todo->kind != OP_CONFIG_SET && todo->kind != OP_TOMBSTONES_SET &&
             todo->kind != OP_MOVES_SET && todo->kind != OP_ELIGIBLE_SET &&
             todo->kind != OP_PID_BLOCK_SET)
        return false;
    else if (todo->form == FORM_SET && err == ERR_NOT_FOUND)
        todo->form = FORM_CREATE;
    else if (todo->form == FORM_CREATE && err == ERR_EXISTS)
        todo->form = FORM_SET;
    else
        return false;
    return true;
}

/* The multi has been carried out. */
static void flight_done(struct flight *flight, const struct zk_answer *answer)
{
    struct run *run = flight->run;

    for (size_t i = flight->first; i < flight->last; i++) {
        struct group *group = &run->groups[i];

        for (size_t j = group->first; !group->done && j < group->first + group->n; j++)
            run->results[j] = (struct core_op_result){ .err = ERR_OK, .version = -1 };
        group->done = true;
    }
    for (size_t i = 1; i < flight->n_ops; i++) {
        const struct zk_op *op = &flight->ops[i];
        struct todo *todo = &run->todos.at[flight->tags[i].todo];
        int32_t *version = &run->results[flight->tags[i].todo].version;

        if (flight->tags[i].role == ROLE_DIR)
            todo->dir->missing = false;
        if (flight->tags[i].role != ROLE_MAIN)
            continue;
        if (op->kind == ZK_OP_CREATE)
            *version = 0;
        else if (answer != NULL && op->kind == ZK_OP_SET)
            *version = answer->results[i].stat.version;
        else if (op->kind == ZK_OP_SET && todo->version != ZK_ANY_VERSION)
            *version = todo->version + 1;
    }
    flight->state = FLIGHT_HOME;
    run->tries = 0;
    ring_done(&run->writer->ring, flight->number);
}

/* It has certainly not been carried out; what of it is still wanted goes with another. */
static void flight_not_done(struct flight *flight)
{
    flight->state = FLIGHT_HOME;
    if (flight->number > 0)
        ring_give_back(&flight->run->writer->ring, flight->number);
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

static enum zk_verdict judge(const struct flight *flight, const struct zk_answer *answer)
{
    const struct zk_op *op = &flight->ops[flight->looked];

    if (flight->tags[flight->looked].role != ROLE_RING)
        return zk_retry_judge(op, answer, 0);
    return answer->err == ERR_OK && str_eq(answer->data, op->data) ? ZK_DONE : ZK_NOT_DONE;
}

static void on_looked(void *arg, const struct zk_answer *answer)
{
    struct flight *flight = arg;
    struct run *run = flight->run;
    const char *path = flight->ops[flight->looked].path;

    if (is_over(run, answer->err))
        return;
    if (answer->err == ERR_CONNECTION_LOSS) {
        go_out(run);
        zk_get(run->zk, path, false, on_looked, flight);
        return;
    }
    switch (judge(flight, answer)) {
    case ZK_DONE:
        flight_done(flight, NULL);
        break;
    case ZK_NOT_DONE:
        flight_not_done(flight);
        break;
    case ZK_BEATEN:
        say_warn("the outcome of a write cannot be found out path=%s", path);
        flight->state = FLIGHT_HOME;
        run->failed = ERR_CONNECTION_LOSS;
        break;
    }
    run_go_on(run);
}

static void on_synced(void *arg, const struct zk_answer *answer)
{
    struct flight *flight = arg;
    struct run *run = flight->run;

    if (is_over(run, answer->err))
        return;
    go_out(run);
    if (answer->err == ERR_CONNECTION_LOSS)
        zk_sync(run->zk, on_synced, flight);
    else
        zk_get(run->zk, flight->ops[flight->looked].path, false, on_looked, flight);
}

/* How well the znode of an operation tells whether the multi was done. */
static int telling(const struct flight *flight, size_t i)
{
    const struct zk_op *op = &flight->ops[i];
    enum core_op_kind kind = flight->run->todos.at[flight->tags[i].todo].kind;

    if (flight->tags[i].role == ROLE_RING)
        return 4;
    if (flight->tags[i].role != ROLE_MAIN)
        return 0;
    if (op->kind == ZK_OP_SET && op->version != ZK_ANY_VERSION)
        return 3;
    return kind == OP_TOPIC_CREATE ? 2 : kind == OP_STATE_CREATE ? 1 : 0;
}

/* The multi was done as a whole or not at all, so one znode that tells is enough. Without one every
 * operation may be repeated. */
static void look(struct flight *flight)
{
    struct run *run = flight->run;
    size_t best = 0;

    for (size_t i = 1; i < flight->n_ops; i++) {
        if (telling(flight, i) > (best > 0 ? telling(flight, best) : 0))
            best = i;
    }
    flight->looked = best;
    if (best > 0) {
        go_out(run);
        zk_sync(run->zk, on_synced, flight);
        return;
    }
    flight_not_done(flight);
    run_go_on(run);
}

static void on_refused(struct flight *flight, const struct zk_answer *answer, size_t at)
{
    struct run *run = flight->run;
    struct tag tag = flight->tags[at];
    enum err err = answer->results[at].err;

    if (adapt(flight, tag, err) && run->tries++ <= 4 * run->n + 16)
        return;
    if (tag.role == ROLE_RING || tag.role == ROLE_RING_DIR) {
        say_error("cannot write to the ring path=%s err=%s", flight->ops[at].path, err_name(err));
        run->failed = err;
        return;
    }
    group_fail(run, group_of(flight, tag.todo), tag.todo, err);
}

static void on_multi(void *arg, const struct zk_answer *answer)
{
    struct flight *flight = arg;
    struct run *run = flight->run;
    size_t at = culprit(answer);

    if (is_over(run, answer->err))
        return;
    if (answer->err == ERR_OK) {
        flight_done(flight, answer);
    } else if (answer->err == ERR_CONNECTION_LOSS) {
        flight->state = FLIGHT_LOST;
    } else if (at == 0) {
        flight_not_done(flight);
        run->failed = ERR_FENCED;
    } else if (at == SIZE_MAX) { /* none of it is at fault: it was not even sent */
        say_error("cannot write to ZooKeeper operations=%zu bytes=%zu err=%s", flight->n_ops,
                  zk_multi_bytes(flight->ops, flight->n_ops), err_name(answer->err));
        for (size_t group = flight->first; group < flight->last; group++) {
            if (!run->groups[group].done)
                group_fail(run, group, run->groups[group].first, answer->err);
        }
        flight_not_done(flight);
    } else {
        on_refused(flight, answer, at);
        flight_not_done(flight);
    }
    run_go_on(run);
}

static void send(struct flight *flight)
{
    go_out(flight->run);
    flight->state = FLIGHT_OUT;
    zk_multi(flight->run->zk, flight->ops, flight->n_ops, on_multi, flight);
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
        run->doomed[run->flights[0].tags[at].todo] = NULL;
        delete_go_on(run);
    } else {
        group_fail(run, run->at, group->first, answer->err);
        run_go_on(run);
    }
}

static void delete_go_on(struct run *run)
{
    struct flight *flight = &run->flights[0];

    pack_start(flight);
    for (run->doomed_sent = run->doomed_at;
         run->doomed_sent < run->n_doomed && flight->n_ops < BATCH_OPS; run->doomed_sent++) {
        const char *path = run->doomed[run->doomed_sent];

        if (path != NULL)
            pack(flight, zk_op_delete(path, ZK_ANY_VERSION), run->doomed_sent, ROLE_MAIN);
    }
    if (flight->n_ops > 1) {
        go_out(run);
        zk_multi(run->zk, flight->ops, flight->n_ops, on_deleted, run);
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
    todo = &run->todos.at[run->groups[run->at].first];
    if (answer->err == ERR_CONNECTION_LOSS) {
        go_out(run);
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

/* Those that were sent last are looked at first, so that their numbers can be given back. */
static struct flight *last_lost(struct run *run)
{
    struct flight *last = NULL;

    for (size_t i = 0; i < FLIGHTS; i++) {
        struct flight *flight = &run->flights[i];

        if (flight->state == FLIGHT_LOST && (last == NULL || flight->first > last->first))
            last = flight;
    }
    return last;
}

/* Several multis of states may be out at once: they are carried out in the order sent, and none
 * needs the one before it. */
static void send_plain(struct run *run)
{
    for (size_t i = 0; i < FLIGHTS && run->next < run->n_groups; i++) {
        struct flight *flight = &run->flights[i];

        while (run->next < run->n_groups && run->groups[run->next].done)
            run->next++;
        if (flight->state != FLIGHT_HOME)
            continue;
        if (run->next == run->n_groups || !is_plain(run, run->next))
            break;
        pack_groups(flight, run->next, true);
        run->next = flight->last;
        send(flight);
    }
}

static bool any_lost(const struct run *run)
{
    for (size_t i = 0; i < FLIGHTS; i++) {
        if (run->flights[i].state == FLIGHT_LOST)
            return true;
    }
    return false;
}

/* Groups whose operations all turned out to be as wanted need no multi. */
static void run_go_on(struct run *run)
{
    while (run->at < run->n_groups && run->groups[run->at].done)
        run->at++;
    if (run->out > 0) {
        if (run->failed == ERR_OK && !any_lost(run))
            send_plain(run);
        return;
    }
    run->next = run->at;
    if (any_lost(run)) {
        look(last_lost(run));
    } else if (run->failed != ERR_OK) {
        run_fail(run, run->failed);
    } else if (run->at == run->n_groups) {
        run_end(run);
    } else if (is_deletion(run, run->at)) {
        go_out(run);
        zk_children(run->zk, run->todos.at[run->groups[run->at].first].path, false,
                    on_doomed_partitions, run);
    } else if (is_plain(run, run->at)) {
        send_plain(run);
    } else {
        pack_groups(&run->flights[0], run->at, false);
        send(&run->flights[0]);
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
    ring_reset(&writer->ring);
    writer->certain = 0;
    writer->doubtful = false;
    if (run == NULL)
        return;
    run->writer = NULL;
    if (run->out == 0)
        run_free(run);
    /* else its last answer frees it */
}

void writer_set_slots(struct writer *writer, const bool there[ZK_RING_SLOTS])
{
    ring_set_slots(&writer->ring, there);
}

bool writer_position(const struct writer *writer, uint64_t *number)
{
    *number = writer->certain;
    return !writer->doubtful;
}

void writer_is_known(struct writer *writer)
{
    writer->doubtful = false;
    if (writer->run == NULL)
        writer->certain = writer->ring.done;
}

void writer_free(struct writer **writer)
{
    if (*writer == NULL)
        return;
    writer_reset(*writer);
    free(*writer);
    *writer = NULL;
}
