/*
 * A write with a version can be recognised afterwards: ZooKeeper counts one up for each, so our
 * write left exactly one more than we had asked for, and our bytes. A write without a version (any)
 * is recognised by its bytes alone, which is why it may be repeated: the same bytes again do no
 * harm, and what somebody else wrote in between would have been overwritten by a slower first
 * attempt just as well.
 */
#include "common/zk/zk_retry.h"

enum zk_retry zk_retry_read(enum err err)
{
    return err == ERR_CONNECTION_LOSS ? ZK_RETRY_AGAIN : ZK_RETRY_NO;
}

enum zk_retry zk_retry_write(const struct zk_op *op, enum err err)
{
    if (err != ERR_CONNECTION_LOSS)
        return ZK_RETRY_NO;
    switch (op->kind) {
    case ZK_OP_CHECK:
        return ZK_RETRY_AGAIN;
    case ZK_OP_CREATE:
        return op->mode == ZK_SEQUENTIAL ? ZK_RETRY_NO : ZK_RETRY_LOOK;
    case ZK_OP_SET:
    case ZK_OP_DELETE:
        return op->version == ZK_ANY_VERSION ? ZK_RETRY_AGAIN : ZK_RETRY_LOOK;
    }
    return ZK_RETRY_NO;
}

static bool same_data(struct str a, struct str b)
{
    /* Null and empty come back alike from some servers. */
    return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

static enum zk_verdict judge_create(const struct zk_op *op, const struct zk_answer *found,
                                    int64_t session_id)
{
    if (found->err == ERR_NOT_FOUND)
        return ZK_NOT_DONE;
    if (op->mode == ZK_EPHEMERAL)
        return found->stat.owner == session_id ? ZK_DONE : ZK_BEATEN;
    return found->stat.owner == 0 && same_data(found->data, op->data) ? ZK_DONE : ZK_BEATEN;
}

static enum zk_verdict judge_set(const struct zk_op *op, const struct zk_answer *found)
{
    if (found->err == ERR_NOT_FOUND)
        return ZK_BEATEN;
    if (op->version == ZK_ANY_VERSION)
        return same_data(found->data, op->data) ? ZK_DONE : ZK_NOT_DONE;
    if (found->stat.version == op->version)
        return ZK_NOT_DONE;
    return found->stat.version == op->version + 1 && same_data(found->data, op->data) ? ZK_DONE
                                                                                      : ZK_BEATEN;
}

enum zk_verdict zk_retry_judge(const struct zk_op *op, const struct zk_answer *found,
                               int64_t session_id)
{
    switch (op->kind) {
    case ZK_OP_CHECK:
        return found->err == ERR_OK && found->stat.version == op->version ? ZK_NOT_DONE : ZK_BEATEN;
    case ZK_OP_CREATE:
        return judge_create(op, found, session_id);
    case ZK_OP_SET:
        return judge_set(op, found);
    case ZK_OP_DELETE:
        if (found->err == ERR_NOT_FOUND)
            return ZK_DONE;
        return op->version == ZK_ANY_VERSION || found->stat.version == op->version ? ZK_NOT_DONE
                                                                                   : ZK_BEATEN;
    }
    return ZK_BEATEN;
}
