/*
 * zk_lib_int - shared by the sources over libzookeeper_mt; nobody else.
 */
#ifndef COMMON_ZK_ZK_LIB_INT_H
#define COMMON_ZK_ZK_LIB_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <zookeeper/zookeeper.h>

#include "common/base/err.h"
#include "common/zk/zk.h"

struct zk_call;

/* ---- zk_once.c, zk_lib_net.c ----------------------------------------------------------------- */

/* The library's result codes as ours. */
enum err zk_lib_err(int rc);

/* Opens a handle whose complaints go to say, and which tries the servers in turn, the one of that
 * number first. NULL and errno as zookeeper_init2(). */
zhandle_t *zk_lib_handle(const char *servers, unsigned first, watcher_fn watcher,
                         int32_t timeout_ms, const clientid_t *id, void *context);

/* The list of servers with others in front, malloc'ed: `by` of them go to the end. */
char *zk_lib_turn(const char *servers, unsigned by);

/* Ends a connection whose server does not answer. The session lives on; the library goes to the
 * next server. */
void zk_lib_hang_up(zhandle_t *handle);

/* The connect string without a trailing slash, malloc'ed; NULL when it cannot be right. */
char *zk_lib_servers(const char *servers);

/* Creates the chroot that servers names, with all above it. Blocks. */
enum err zk_lib_create_chroot(const char *servers);

/* ---- zk_lib_request.c: one call and its answer ----------------------------------------------- */

/* Hands the call to the library: ZOK, and zk_lib_answered() follows once, perhaps before this
 * returns; closing the handle may lose it. Else it is not sent, and the code says why. */
int zk_lib_request(zhandle_t *handle, struct zk_call *call);
/* zk_lib.c: the call has its answer. On a thread of the library's. */
void zk_lib_answered(struct zk_call *call);

/* ---- zk_lib_asked.c: calls and watches ------------------------------------------------------- */

/* The calls that wait, those that are sent, and the paths that are watched. The zk thread's only;
 * zeroed: none. Holds a call until it is taken back or failed. */
struct zk_asked {
    struct zk_call *waiting, *waiting_last; /* not sent yet, in order */
    struct zk_call *sent;                   /* newest first */
    int32_t n_sent;
    struct watched *watched; /* in this session */
};

void zk_asked_wait(struct zk_asked *asked, struct zk_call *call);
/* The first that waits, which there is, is from now on one of those sent. */
struct zk_call *zk_asked_send(struct zk_asked *asked);
/* A call that was sent is so no more: it has its answer, or could not be sent. */
void zk_asked_take_back(struct zk_asked *asked, struct zk_call *call);
/* Answers all of them with that error. */
void zk_asked_fail_waiting(struct zk_asked *asked, enum err err);
void zk_asked_fail_sent(struct zk_asked *asked, enum err err);

void zk_asked_watch(struct zk_asked *asked, const char *path);
void zk_asked_forget_watched(struct zk_asked *asked);
/* Tells the listeners of zk that all that is watched has changed. */
void zk_asked_tell_watched(const struct zk_asked *asked, struct zk *zk);

/* ---- zk_lib_patience.c: with a server that is silent ----------------------------------------- */

/* The zk thread's only. */
struct zk_patience {
    int64_t ms_min, ms;      /* at first, and now */
    int64_t library_ms;      /* the library's own, which ends it anyway */
    int64_t used_up_ms;      /* when it was, last */
    int64_t silent_since_ms; /* an answer is awaited, or a connection */
    int64_t look_at_ms;      /* INT64_MAX: nothing is awaited */
};

enum zk_look {
    ZK_LOOK_WAIT,    /* nothing to be done, look again later */
    ZK_LOOK_PING,    /* ask it something */
    ZK_LOOK_HANG_UP, /* shut the connection down */
    ZK_LOOK_MOVE_ON, /* to the next server, with another handle */
};

/* Nothing is awaited. timeout_ms: the session's. */
void zk_patience_init(struct zk_patience *patience, const char *servers, int32_t timeout_ms);
/* An answer is awaited from now on, or the next one; or a connection. */
void zk_patience_await(struct zk_patience *patience);
/* Nothing is awaited any more; is_watchful: a look is due all the same. */
void zk_patience_rest(struct zk_patience *patience, bool is_watchful);
/* When the next look is due; -1: none is. */
int64_t zk_patience_look_in_ms(const struct zk_patience *patience);
/* Takes a look that is due. state: the handle's; is_idle: connected, and nothing is out. */
enum zk_look zk_patience_look(struct zk_patience *patience, int state, bool is_idle);

#endif
