/*
 * zk_watch - standing watches on a handful of paths: the content now, and again after every change.
 *
 * ZooKeeper's watches fire once and say only that something changed. A zk_watch reads and re-arms
 * in one call, so nothing falls in between; changes that come while it reads are one more read. It
 * lives through lost connections and expired sessions: whatever happened meanwhile, the next
 * content is told.
 *
 * Ownership:  zk_watch_stop() before the argument of told() goes, and before zk_close().
 * Threads:    the owner's of zk. Called back from the mailbox only.
 */
#ifndef COMMON_ZK_ZK_WATCH_H
#define COMMON_ZK_ZK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/zk/zk.h"

enum zk_watch_kind {
    ZK_WATCH_DATA,     /* answer: data and stat */
    ZK_WATCH_CHILDREN, /* answer: children and stat */
};

struct zk_watch;

/* ERR_OK, or ERR_NOT_FOUND: it is absent. Other errors are dealt with inside: what cannot be read
 * is said, and read again once it is changed, removed or made anew (a change of its ACL is no such
 * change). May stop the watch. */
typedef void zk_watch_told(void *arg, const struct zk_answer *answer);

/* Reads at once if the session is there. Keep far below 1,000 of them. */
struct zk_watch *zk_watch_start(struct zk *zk, enum zk_watch_kind kind, const char *path,
                                zk_watch_told *told, void *arg);
/* Called right after the start: what cannot be read is told with its error rather than said. */
void zk_watch_tell_failures(struct zk_watch *watch);
/* Not called back any more. Before zk_close(). */
void zk_watch_stop(struct zk_watch **watch);
/* Reads and tells again although nothing may have changed. */
void zk_watch_again(struct zk_watch *watch);

#endif
