/*
 * What has been asked of ZooKeeper, as lists: the calls that wait, those that are sent, and the
 * paths that are watched.
 *
 * A call waits, is sent, and is on the list of those sent until its completion comes. Closing a
 * handle loses completions (ZOOKEEPER-2894), so what is still there when both library threads are
 * joined is failed from here. Watches end with their handle without a word: whoever goes on with
 * the session by another one tells every path that had one to have changed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/zk/zk_int.h"
#include "common/zk/zk_lib_int.h"

/* A path that has had a watch in this session; it may have fired. */
struct watched {
    struct watched *next;
    char path[];
};

void zk_asked_wait(struct zk_asked *asked, struct zk_call *call)
{
    call->next = NULL;
    if (asked->waiting_last != NULL)
        asked->waiting_last->next = call;
    else
        asked->waiting = call;
    asked->waiting_last = call;
}

static struct zk_call *waiting_take(struct zk_asked *asked)
{
    struct zk_call *call = asked->waiting;

    asked->waiting = call->next;
    if (asked->waiting == NULL)
        asked->waiting_last = NULL;
    return call;
}

struct zk_call *zk_asked_send(struct zk_asked *asked)
{
    struct zk_call *call = waiting_take(asked);

    call->prev = NULL;
    call->next = asked->sent;
    if (asked->sent != NULL)
        asked->sent->prev = call;
    asked->sent = call;
    asked->n_sent++;
    return call;
}

void zk_asked_take_back(struct zk_asked *asked, struct zk_call *call)
{
    if (call->prev != NULL)
        call->prev->next = call->next;
    else
        asked->sent = call->next;
    if (call->next != NULL)
        call->next->prev = call->prev;
    asked->n_sent--;
}

void zk_asked_fail_waiting(struct zk_asked *asked, enum err err)
{
    while (asked->waiting != NULL)
        zk_call_fail(waiting_take(asked), err);
}

void zk_asked_fail_sent(struct zk_asked *asked, enum err err)
{
    while (asked->sent != NULL) {
        struct zk_call *call = asked->sent;

        zk_asked_take_back(asked, call);
        zk_call_fail(call, err);
    }
}

void zk_asked_watch(struct zk_asked *asked, const char *path)
{
    struct watched *watched;

    for (watched = asked->watched; watched != NULL; watched = watched->next) {
        if (strcmp(watched->path, path) == 0)
            return;
    }
    watched = xmalloc(sizeof *watched + strlen(path) + 1);
    memcpy(watched->path, path, strlen(path) + 1);
    watched->next = asked->watched;
    asked->watched = watched;
}

void zk_asked_forget_watched(struct zk_asked *asked)
{
    struct watched *watched;

    while ((watched = asked->watched) != NULL) {
        asked->watched = watched->next;
        free(watched);
    }
}

/* Whether it was the content or the children: who watches reads again. */
void zk_asked_tell_watched(const struct zk_asked *asked, struct zk *zk)
{
    for (const struct watched *at = asked->watched; at != NULL; at = at->next) {
        zk_post_node(zk, str_of(at->path), ZK_NODE_CHANGED);
        zk_post_node(zk, str_of(at->path), ZK_NODE_CHILDREN);
    }
}
