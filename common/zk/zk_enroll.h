/*
 * zk_enroll - a broker's registration: /brokers/ids/N in every session, and what must be there
 * before it.
 *
 * In each new session: the paths that Kafka's brokers create are created, /cluster/id is read or
 * made, the endpoints of the others are looked at, and the registration is written in the two steps
 * whose answer carries the czxid (the broker's epoch). After an expiry all that happens again by
 * itself.
 *
 * Ownership:  copies its options; what hooks are given is lent.
 * Threads:    the thread that owns zk. Hooks are called from the mailbox only.
 */
#ifndef COMMON_ZK_ZK_ENROLL_H
#define COMMON_ZK_ZK_ENROLL_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/str.h"
#include "common/model/node.h"
#include "common/zk/zk.h"

struct zk_enroll;

struct zk_enroll_hooks {
    /* The cluster's id, before anything of ours is written. False: it is not ours, go no further.
     */
    bool (*on_cluster_id)(void *arg, struct str id);
    /* Registered; session: keep id and password for the next start. */
    void (*on_enrolled)(void *arg, int64_t broker_epoch, const struct zk_session *session);
    /* The session has expired and the registration with it; on_enrolled follows one day. */
    void (*on_gone)(void *arg);
    /* Not without help: ERR_DUPLICATE_BROKER_REGISTRATION (another live session has the id, or
     * another broker one of our endpoints), ERR_CLUSTER_AUTHORIZATION_FAILED. text says it to the
     * operator. Tried again in the next session only, or by zk_enroll_again(). */
    void (*on_failed)(void *arg, enum err err, const char *text);
};

/* node: id, endpoints, rack. moldau: our version, written into the registration. */
struct zk_enroll *zk_enroll_new(struct zk *zk, const struct node *node, const char *moldau,
                                const struct zk_enroll_hooks *hooks, void *arg);
/* Another id than node's, for as long as on_cluster_id has not let it go further. */
void zk_enroll_set_id(struct zk_enroll *enroll, int32_t id);
/* Not from inside a hook, and before zk_close(), which drops the registration with its session. */
void zk_enroll_free(struct zk_enroll **enroll);
/* After on_failed. */
void zk_enroll_again(struct zk_enroll *enroll);
/* -1 while not registered. */
int64_t zk_enroll_epoch(const struct zk_enroll *enroll);

/* Creates those paths (zk_tree_start_paths or the like) that are missing, then calls done() once:
 * ERR_OK or the first error. */
void zk_enroll_paths(struct zk *zk, const char *const *paths, zk_done *done, void *arg);

#endif
