/*
 * zk - a ZooKeeper session: calls go out without waiting, results, watches and states come back as
 * messages.
 *
 *   on the owner's thread       the zk thread                    ZooKeeper's library
 *   zk_get(…, done, arg)  --->  keeps it until connected,  --->  sends it
 *   done(arg, answer)     <---  takes it off its list      <---  completion
 *
 * The zk thread is the one caller of the client library and may block in it (name look-ups,
 * closing); the owner never does. It keeps calls back while there is no connection, so only what
 * had really been sent can end with ERR_CONNECTION_LOSS. After an expiry every call that is open
 * ends with ERR_SESSION_EXPIRED, then listeners hear of it, then a new session is opened by itself,
 * with pauses that grow and vary; nothing of the old session is heard of any more. A server that is
 * silent (hung, or cut off) is left for another one after a second or two, with the session.
 *
 * Units:      versions are those of znodes, -1 for any; times in milliseconds; owner is a session
 *             id.
 * Ownership:  calls copy what they are given. Answers are lent until done() returns.
 * Threads:    everything on the owner's thread, the one that runs the mailbox, and all callbacks
 *             are made there. Callbacks may make calls, and may close.
 * Errors:     ERR_NOT_FOUND, ERR_EXISTS, ERR_BAD_VERSION, ERR_NOT_EMPTY;
 *             ERR_CONNECTION_LOSS: may or may not have been done, zk_retry says what to do;
 *             ERR_SESSION_EXPIRED: may have been done; ERR_TOO_LARGE: not sent;
 *             ERR_CLUSTER_AUTHORIZATION_FAILED: the znode's ACL;
 *             ERR_CLOSED: from inside zk_close(), which ends every open call, whoever has
 *             been freed meanwhile; no more calls may be made.
 *             In a multi that failed the operation at fault has its error, the others have
 *             ERR_OPERATION_NOT_ATTEMPTED.
 */
#ifndef COMMON_ZK_ZK_H
#define COMMON_ZK_ZK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/mailbox.h"
#include "common/base/str.h"
#include "common/zk/zk_op.h"

/* A request is at most this large, data and paths together: the server drops the connection at
 * 1 MiB, which would look like a lost connection for ever. */
#define ZK_REQUEST_BYTES_MAX (900 * 1024)

struct zk; /* the real thing, or a fake of tests/kit */

/* ---- the session ----------------------------------------------------------------------------- */

enum zk_state {
    ZK_CONNECTED, /* calls go out */
    ZK_SUSPENDED, /* the connection is lost, the session may still be there: calls wait */
    ZK_EXPIRED,   /* session, ephemerals and watches are gone; a new session follows by itself */
};

struct zk_session {
    enum zk_state state;
    bool is_new;        /* CONNECTED for the first time in this session */
    int64_t id;         /* the session's; 0 before the first one */
    int32_t timeout_ms; /* as granted by the server, which may not be what was asked for */
    uint32_t turn;      /* counts sessions of this struct zk, from 1 */
    uint8_t password[16];
};

enum zk_event {
    ZK_NODE_CREATED,
    ZK_NODE_DELETED,
    ZK_NODE_CHANGED,
    ZK_NODE_CHILDREN,
};

/* Part of whoever wants to hear; removed before that is freed. Either function may be NULL. */
struct zk_listener {
    struct zk_listener *next;
    void (*on_session)(struct zk_listener *listener, const struct zk_session *session);
    /* A watch fired: something has changed there, or may have, read again. */
    void (*on_node)(struct zk_listener *listener, struct str path, enum zk_event event);
};

struct zk_options {
    const char *servers;        /* "host:port,host:port/chroot" */
    int32_t session_timeout_ms; /* asked for */
    struct mailbox *mailbox;    /* of the owner's thread */
    int32_t window;             /* most requests on their way; 0: 1000 */
    bool make_chroot;           /* create the chroot when it is missing */
    bool watchful; /* ask something every second: a silent server is left before it is needed */
    int64_t backoff_ms_min, backoff_ms_max; /* between sessions; 0: 50 and 2000 */
};

/* Returns at once; the first session comes with ZK_CONNECTED. ERR_INVALID_CONFIG: servers cannot be
 * right. */
enum err zk_open(const struct zk_options *options, struct zk **out) MUST_USE;
/* Closes the session on the server, which drops our ephemerals; waits for that, some 5 s at worst.
 * Open calls end with ERR_CLOSED before it returns; afterwards no callback is made. Leaves NULL
 * behind. */
void zk_close(struct zk **zk);

void zk_listen(struct zk *zk, struct zk_listener *listener);
void zk_unlisten(struct zk *zk, struct zk_listener *listener);
/* As of the last message that has been delivered. */
const struct zk_session *zk_session(const struct zk *zk);

/* Ends the session (id, password) of an earlier process, so that its ephemerals go. Blocks up to
 * wait_ms; needs no struct zk. Only when that process is known to be dead. ERR_OK also when it had
 * ended already; ERR_TIMED_OUT: no server answered; ERR_SHUTTING_DOWN: *give_up, which another
 * thread may set and which may be NULL, has become true before. */
enum err zk_close_session(const char *servers, int64_t id, const uint8_t password[16],
                          int32_t wait_ms, const atomic_bool *give_up) MUST_USE;

/* ---- calls ----------------------------------------------------------------------------------- */

typedef void zk_done(void *arg, const struct zk_answer *answer);

/* watch: listeners hear of the next change (once). On ERR_NOT_FOUND only exists leaves a watch. */
void zk_get(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg);
void zk_exists(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg);
void zk_children(struct zk *zk, const char *path, bool watch, zk_done *done, void *arg);

/* Null data is not empty data. */
void zk_create(struct zk *zk, const char *path, struct str data, enum zk_mode mode, zk_done *done,
               void *arg);
/* With all that is missing above it, persistent and with null data; there already is fine. */
void zk_create_path(struct zk *zk, const char *path, zk_done *done, void *arg);
void zk_set(struct zk *zk, const char *path, struct str data, int32_t version, zk_done *done,
            void *arg);
void zk_delete(struct zk *zk, const char *path, int32_t version, zk_done *done, void *arg);
/* The server we are connected to catches up with the leader: reads made after it see every write
 * that was committed before it. */
void zk_sync(struct zk *zk, zk_done *done, void *arg);

/* All or nothing. */
void zk_multi(struct zk *zk, const struct zk_op *ops, size_t n, zk_done *done, void *arg);
/* What those operations cost of ZK_REQUEST_BYTES_MAX. */
size_t zk_multi_bytes(const struct zk_op *ops, size_t n);

#endif
