/*
 * zk_int - what the seam, the library's side of it and the fake of tests/kit share; nobody else.
 *
 * A call is made on the owner's thread, given to ops->submit(), answered once by zk_call_finish()
 * from any thread, and its done() is made on the owner's thread again. Session and node messages go
 * the same way, so the owner hears everything in the order in which it was posted.
 */
#ifndef COMMON_ZK_ZK_INT_H
#define COMMON_ZK_ZK_INT_H

#include "common/base/arena.h"
#include "common/base/lock.h"
#include "common/zk/zk.h"

enum zk_call_kind {
    ZK_CALL_GET,
    ZK_CALL_EXISTS,
    ZK_CALL_CHILDREN,
    ZK_CALL_CREATE,
    ZK_CALL_SET,
    ZK_CALL_DELETE,
    ZK_CALL_SYNC,
    ZK_CALL_MULTI,
};

enum zk_note_kind { ZK_NOTE_CALL, ZK_NOTE_SESSION, ZK_NOTE_NODE };

struct zk_note {
    struct zk_note *next;
    enum zk_note_kind kind;
};

struct zk_session_note {
    struct zk_note note;
    struct zk_session session;
    uint32_t turn_next; /* of calls made once this has been heard */
};

struct zk_node_note {
    struct zk_note note;
    enum zk_event event;
    struct str path;
    char text[];
};

struct zk_call {
    struct zk_note note; /* the way back */
    struct msg msg;      /* the way there, for who needs it */
    struct zk *zk;
    struct zk_call *next, *prev; /* in a list of whoever carries it out */
    uint32_t turn;               /* session in which the owner made it */
    enum zk_call_kind kind;
    bool watch;
    enum zk_mode mode;
    int32_t version;
    const char *path;
    struct str data;
    size_t n_ops;
    struct zk_op *ops;
    zk_done *done;
    void *arg;
    struct zk_answer answer;
    struct arena arena; /* all that call and answer point to */
    void *carrier;      /* of whoever carries it out; in the arena */
};

struct zk_ops {
    /* Takes the call. On the owner's thread. */
    void (*submit)(struct zk *zk, struct zk_call *call);
    /* Finishes every open call with ERR_CLOSED; nothing is posted once it has returned. */
    void (*stop)(struct zk *zk);
    void (*free)(struct zk *zk);
};

/* First member of what implements it.
 *   [I] set before use   [o] the owner's thread   [m] under lock */
struct zk {
    const struct zk_ops *ops;      /* [I] */
    struct mailbox *mailbox;       /* [I] */
    struct zk_listener *listeners; /* [o] */
    struct zk_session session;     /* [o] */
    uint32_t turn_next;            /* [o] */
    struct zk_note *rest;          /* [o] of what is being delivered */
    bool closed;                   /* [o] */
    bool draining;                 /* [o] */
    struct lock lock;
    struct zk_note *first, **last; /* [m] to be delivered */
    bool posted;                   /* [m] msg is in the mailbox */
    struct msg msg;
};

void zk_init(struct zk *zk, const struct zk_ops *ops, struct mailbox *mailbox);

/* Fills in nothing but memory: answer.err and the rest are the caller's. */
void zk_call_finish(struct zk_call *call);
/* With that error and nothing else. */
void zk_call_fail(struct zk_call *call, enum err err);
void zk_call_free(struct zk_call *call);

void zk_post_session(struct zk *zk, const struct zk_session *session, uint32_t turn_next);
void zk_post_node(struct zk *zk, struct str path, enum zk_event event);

#endif
