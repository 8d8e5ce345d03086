/*
 * Some operations mean "so that it is like this afterwards": each has a form that is guessed here
 * and changed by write.c when ZooKeeper refuses it.
 */
#include "controller/shell/write_todo.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/zk/zk_tree.h"

static struct dir *dir_of(struct todos *todos, struct str topic)
{
    const char *path = zk_path_partitions(todos->arena, topic);
    struct dir *dir;

    for (size_t i = todos->n_dirs; i > 0; i--) {
        if (strcmp(todos->dirs[i - 1].path, path) == 0)
            return &todos->dirs[i - 1];
    }
    dir = &todos->dirs[todos->n_dirs++];
    *dir = (struct dir){ .path = path };
    return dir;
}

static struct str topic_data(struct todos *todos, const struct core_op *op)
{
    size_t n = op->topic_node.n_parts;
    struct zk_topic_part *parts = arena_zalloc(todos->arena, n, sizeof *parts);
    struct zk_topic topic = { .id = op->topic_node.id, .n_parts = n, .parts = parts };

    for (size_t i = 0; i < n; i++) {
        const struct core_op_part *part = &op->topic_node.parts[i];

        parts[i] = (struct zk_topic_part){ .index = part->index,
                                           .replicas = part->replicas,
                                           .adding = part->adding,
                                           .removing = part->removing };
    }
    return zk_build_topic(todos->arena, &topic);
}

static struct str tombstone_data(struct todos *todos, const struct core_tombstones *stones)
{
    struct zk_tombstone *at = arena_zalloc(todos->arena, stones->n, sizeof *at);

    for (size_t i = 0; i < stones->n; i++)
        at[i] = (struct zk_tombstone){ .partition = stones->parts[i].partition,
                                       .leader_epoch = stones->parts[i].leader_epoch };
    return zk_build_tombstones(
        todos->arena, &(struct zk_tombstones){ .topic = stones->topic, .n = stones->n, .at = at });
}

/* Kafka keeps emptied settings of topics and brokers and deletes those of users and clients. */
static enum form config_form(const struct image_config *config)
{
    bool kept = str_is(config->type, "topics") || str_is(config->type, "brokers");

    return config->n_settings == 0 && !kept ? FORM_DELETE : FORM_SET;
}

static void todo_make_config(struct todos *todos, struct todo *todo,
                             const struct image_config *config)
{
    struct str rest, user;

    todo->path = zk_path_config(todos->arena, config->type, config->name);
    todo->data = zk_build_config(todos->arena, config);
    todo->form = config_form(config);
    todo->version = ZK_ANY_VERSION;
    user = str_split(config->name, '/', &rest);
    if (str_is(config->type, "users") && !str_is_null(rest)) {
        todo->parents[0] = zk_path_config(todos->arena, config->type, user);
        todo->parents[1] = zk_path_child(todos->arena, todo->parents[0], STR("clients"));
    }
}

static struct str moves_data(struct todos *todos, const struct core_named_parts *moves)
{
    struct zk_part_named *at = arena_zalloc(todos->arena, moves->n, sizeof *at);

    for (size_t i = 0; i < moves->n; i++)
        at[i] = (struct zk_part_named){ .topic = moves->at[i].topic,
                                        .partition = moves->at[i].partition,
                                        .replicas = moves->at[i].replicas };
    return zk_build_parts_named(todos->arena, &(struct zk_parts_named){ .n = moves->n, .at = at },
                                true);
}

static struct str eligible_data(struct todos *todos, const struct core_eligible *eligible,
                                int32_t epoch)
{
    return zk_build_eligible(todos->arena,
                             &(struct zk_eligible){ .controller_epoch = epoch,
                                                    .leader_epoch = eligible->leader_epoch,
                                                    .partition_epoch = eligible->partition_epoch,
                                                    .min_isr = eligible->min_isr,
                                                    .replicas = eligible->replicas });
}

/* The topic's name where it stands in the path, behind prefix. */
static struct str topic_in(const char *path, const char *prefix, struct str topic)
{
    return (struct str){ .ptr = path + strlen(prefix), .len = topic.len };
}

static void todo_make(struct todos *todos, struct todo *todo, const struct core_op *op,
                      int32_t epoch)
{
    struct arena *arena = todos->arena;

    *todo = (struct todo){ .kind = op->kind, .version = op->version, .form = FORM_SET };
    switch (op->kind) {
    case OP_STATE_CREATE:
        todo->dir = dir_of(todos, op->topic);
        todo->part_dir = zk_path_partition(arena, op->topic, op->state.partition);
        todo->form = FORM_CREATE;
        __attribute__((fallthrough));
    case OP_STATE_SET:
        todo->path = zk_path_state(arena, op->topic, op->state.partition);
        todo->topic = topic_in(todo->path, ZK_TOPICS "/", op->topic);
        todo->partition = op->state.partition;
        todo->data = zk_build_state(arena, epoch, &op->state.state);
        break;
    case OP_TOPIC_CREATE:
        dir_of(todos, op->topic)->missing = true;
        todo->form = FORM_CREATE;
        __attribute__((fallthrough));
    case OP_TOPIC_SET:
        todo->path = zk_path_topic(arena, op->topic);
        todo->topic = topic_in(todo->path, ZK_TOPICS "/", op->topic);
        todo->data = topic_data(todos, op);
        break;
    case OP_TOPIC_DELETE:
        todo->topic = (struct str){ .ptr = arena_cstr(arena, op->topic), .len = op->topic.len };
        todo->path = zk_path_partitions(arena, op->topic);
        break;
    case OP_CONFIG_SET:
        todo_make_config(todos, todo, &op->config);
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
        todo->topic = topic_in(todo->path, ZK_DELETE_TOPICS "/", op->topic);
        todo->form = op->kind == OP_MARK_CREATE ? FORM_CREATE : FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    case OP_TOMBSTONES_SET:
        todo->path = zk_path_tombstones(arena, op->tombstones.broker, op->tombstones.topic_id);
        todo->data = tombstone_data(todos, &op->tombstones);
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
    case OP_MOVES_SET:
        todo->path = ZK_REASSIGN;
        todo->data = moves_data(todos, &op->moves);
        todo->form = op->moves.n > 0 ? FORM_SET : FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    case OP_ELIGIBLE_SET:
        todo->path = zk_path_eligible(arena, op->eligible.topic_id, op->eligible.partition);
        todo->data = eligible_data(todos, &op->eligible, epoch);
        /* mostly it is there already when it goes or changes, and not when it comes */
        todo->form = op->eligible.replicas.n > 0 ? FORM_SET : FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    case OP_ELECTIONS_DONE:
        todo->path = ZK_PREFERRED;
        todo->form = FORM_DELETE;
        todo->version = ZK_ANY_VERSION;
        break;
    }
}

/* A topic that is being created has no settings yet. */
static void guess_forms(struct todos *todos, const struct core_write *write)
{
    for (size_t i = 1; i < todos->n; i++) {
        if (write->ops[i].kind == OP_TOPIC_CREATE && write->ops[i - 1].kind == OP_CONFIG_SET &&
            write->ops[i].group == write->ops[i - 1].group)
            todos->at[i - 1].form = FORM_CREATE;
    }
}

void todos_make(struct todos *todos, struct arena *arena, const struct core_write *write)
{
    *todos = (struct todos){ .arena = arena, .n = write->n };
    todos->at = arena_zalloc(arena, write->n, sizeof *todos->at);
    todos->dirs = arena_zalloc(arena, write->n, sizeof *todos->dirs);
    for (size_t i = 0; i < write->n; i++)
        todo_make(todos, &todos->at[i], &write->ops[i], write->controller_epoch);
    guess_forms(todos, write);
}
