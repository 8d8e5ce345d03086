/*
 * write_todo - what a WRITE's operations are in ZooKeeper: path, bytes, and the form that is tried
 * first.
 *
 * Ownership:  all of it lives in the arena; nothing of the WRITE is kept.
 */
#ifndef CONTROLLER_SHELL_WRITE_TODO_H
#define CONTROLLER_SHELL_WRITE_TODO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/zk/zk_op.h"
#include "controller/core/core.h"

enum form {
    FORM_SET,
    FORM_CREATE,
    FORM_DELETE,
    FORM_NONE, /* it is as wanted already */
};

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
    struct str topic;       /* OP_TOPIC_DELETE; of states, topics and marks: a window onto path */
    int32_t partition;      /* of states */
};

struct todos {
    struct arena *arena;
    size_t n, n_dirs;
    struct todo *at; /* one for each operation */
    struct dir *dirs;
};

void todos_make(struct todos *todos, struct arena *arena, const struct core_write *write);

#endif
