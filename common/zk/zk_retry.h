/*
 * zk_retry - after a lost connection: was it done? May it be sent again?
 *
 * A call that ended with ERR_CONNECTION_LOSS may or may not have been carried out. Reads are simply
 * repeated. For a write one looks at the znode, and this says what the look means.
 *
 *   set, delete with a version   there at that version: not done; one above with our bytes: done;
 *                                anything else: somebody else was faster
 *   create                       absent: not done; ours by bytes (and session, when ephemeral):
 * done create sequential            cannot be found out; repeating may make two
 */
#ifndef COMMON_ZK_ZK_RETRY_H
#define COMMON_ZK_ZK_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/zk/zk_op.h"

enum zk_retry {
    ZK_RETRY_NO,    /* the result is what it is */
    ZK_RETRY_AGAIN, /* send it again, nothing can go wrong */
    ZK_RETRY_LOOK,  /* read the znode, then zk_retry_judge() */
};

/* What to do about a read. */
enum zk_retry zk_retry_read(enum err err);
/* What to do about this write. */
enum zk_retry zk_retry_write(const struct zk_op *op, enum err err);

enum zk_verdict {
    ZK_DONE,     /* it was carried out */
    ZK_NOT_DONE, /* it was not: send it again */
    ZK_BEATEN,   /* the znode is neither as before nor as wanted */
};

/* What a look at the znode of op says. found: ERR_OK with data and stat, or ERR_NOT_FOUND.
 * session_id: of the session that sent it, for ephemerals. */
enum zk_verdict zk_retry_judge(const struct zk_op *op, const struct zk_answer *found,
                               int64_t session_id);

#endif
