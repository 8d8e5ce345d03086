/*
 * zk_op - a write to ZooKeeper and what comes back, as values.
 *
 * Ownership:  borrow all that they point to.
 */
#ifndef COMMON_ZK_ZK_OP_H
#define COMMON_ZK_ZK_OP_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"

#define ZK_ANY_VERSION (-1)

struct zk_stat {
    int64_t czxid; /* of the creation: a broker's epoch */
    int64_t mzxid;
    int64_t ctime_ms, mtime_ms;
    int64_t owner; /* session of an ephemeral, else 0 */
    int32_t version;
    int32_t cversion;
    int32_t n_children;
};

struct zk_op_result {
    enum err err;
    struct str path;     /* create: with the number of a sequential node */
    struct zk_stat stat; /* set */
};

struct zk_answer {
    enum err err;
    struct str path;     /* asked for; create: as created. NUL-terminated */
    struct str data;     /* get: null when the znode's data is null; NUL-terminated */
    struct zk_stat stat; /* get, exists, children, set */
    size_t n_children;
    const struct str *children; /* in no order; each NUL-terminated */
    size_t n_results;           /* multi: as many as it had operations */
    const struct zk_op_result *results;
};

enum zk_mode {
    ZK_PERSISTENT,
    ZK_EPHEMERAL,
    ZK_SEQUENTIAL, /* persistent, ZooKeeper appends ten digits to the path */
};

enum zk_op_kind { ZK_OP_CHECK, ZK_OP_CREATE, ZK_OP_SET, ZK_OP_DELETE };

struct zk_op {
    enum zk_op_kind kind;
    const char *path;
    struct str data;   /* create, set */
    enum zk_mode mode; /* create */
    int32_t version;   /* check, set, delete */
};

static inline struct zk_op zk_op_check(const char *path, int32_t version)
{
    return (struct zk_op){ .kind = ZK_OP_CHECK, .path = path, .version = version };
}
static inline struct zk_op zk_op_create(const char *path, struct str data, enum zk_mode mode)
{
    return (struct zk_op){ .kind = ZK_OP_CREATE, .path = path, .data = data, .mode = mode };
}
static inline struct zk_op zk_op_set(const char *path, struct str data, int32_t version)
{
    return (struct zk_op){ .kind = ZK_OP_SET, .path = path, .data = data, .version = version };
}
static inline struct zk_op zk_op_delete(const char *path, int32_t version)
{
    return (struct zk_op){ .kind = ZK_OP_DELETE, .path = path, .version = version };
}

#endif
