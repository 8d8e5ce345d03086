/*
 * Syncs. A partition of a topic with flush.messages that has got its number of records is named to
 * its leader with its new end when that is on the disk. All of an answer that lie in one directory
 * are a crowd: they are posted to its group commit together, and come back as one message.
 * Meanwhile the core leaves them out (FETCH_SYNCING).
 *
 *     append -> fetcher_sync ... -> pump -> fetcher_post_syncs -> T_DIR -> on_crowd -> pump
 *
 * What comes back may find that the partition has got another role, or is gone: the core knows by
 * the number of the sync, and it counts for nothing then. A sync that failed ends the directory,
 * and with it the partition; after a move to another directory it may also have been asked of the
 * log that was left, and is looked at again.
 */
#include "broker/replica/fetcher_int.h"

#include <sched.h>
#include <stdlib.h>

#include "broker/log/group_commit.h"
#include "common/base/mem.h"

/* [o] the loop's   [d] the directory's thread until the crowd is back */
struct sync_item {
    struct sync_wait wait; /* [d] */
    struct sync_crowd *crowd;
    struct part *part; /* [o] a reference, which keeps the log, too */
    int32_t partition;
    struct uuid topic_id;
    uint64_t sync_id;
    enum err err; /* [d] */
};

struct sync_crowd {
    struct msg msg;
    struct fetcher *fetcher;
    struct group_commit *commit;
    struct sync_crowd *next; /* [o] while it gathers */
    struct sync_item *items; /* they move no more once they were posted */
    size_t len, cap;
    atomic_size_t left; /* [a] items that are not done */
};

static struct sync_crowd *crowd_for(struct fetcher *fetcher, struct group_commit *commit)
{
    struct sync_crowd *crowd = fetcher->gathered;

    while (crowd != NULL && crowd->commit != commit)
        crowd = crowd->next;
    if (crowd != NULL)
        return crowd;
    crowd = xcalloc(1, sizeof *crowd);
    crowd->fetcher = fetcher;
    crowd->commit = commit;
    crowd->next = fetcher->gathered;
    fetcher->gathered = crowd;
    return crowd;
}

void fetcher_sync(struct fetcher *fetcher, struct fetch_part *at)
{
    struct part *part = ((struct follow *)at->owner)->part;
    struct log *log = part_log(part);
    struct sync_crowd *crowd = crowd_for(fetcher, logs_group_commit(fetcher->conf.logs, log));

    array_reserve(&crowd->items, &crowd->cap, crowd->len, sizeof *crowd->items);
    crowd->items[crowd->len++] = (struct sync_item){
        .wait = { .log = log, .upto_offset = at->offset },
        .part = part_ref(part),
        .partition = at->partition,
        .topic_id = at->topic_id,
        .sync_id = fetch_core_sync(&fetcher->core, at, reactor_now_ms(fetcher->reactor)),
    };
}

/* ---- what comes back ---- */

/* Not synced, and nothing is wrong with its directory: the log is another one, or ends elsewhere.
 */
static void look_again(struct fetcher *fetcher, struct fetch_part *at)
{
    const struct follow *follow = at->owner;
    struct part_fetch_start start;

    part_get_fetch_start(follow->part, &start);
    fetch_core_synced(&fetcher->core, at);
    fetcher_go_on(fetcher, at, &start, false);
}

static void settle(struct fetcher *fetcher, const struct sync_item *item)
{
    struct fetch_part *at =
        fetch_core_syncing(&fetcher->core, item->topic_id, item->partition, item->sync_id);

    if (at == NULL)
        return;
    if (item->err == ERR_OK)
        fetch_core_synced(&fetcher->core, at);
    else if (part_is_offline(item->part)) /* which has been said */
        fetch_core_failed(&fetcher->core, at, true, reactor_now_ms(fetcher->reactor));
    else
        look_again(fetcher, at);
}

static void on_crowd(struct msg *msg)
{
    struct sync_crowd *crowd = container_of(msg, struct sync_crowd, msg);
    struct fetcher *fetcher = crowd->fetcher;

    for (size_t i = 0; i < crowd->len; i++) {
        settle(fetcher, &crowd->items[i]);
        part_unref(&crowd->items[i].part);
    }
    free(crowd->items);
    free(crowd);
    fetcher->crowds--;
    fetcher_pump_later(fetcher);
}

static void on_synced(struct sync_wait *wait, enum err err)
{
    struct sync_item *item = container_of(wait, struct sync_item, wait);
    struct sync_crowd *crowd = item->crowd;
    struct fetcher *fetcher = crowd->fetcher;

    item->err = err;
    /* The last one sees what the others noted. */
    if (atomic_fetch_sub_explicit(&crowd->left, 1, memory_order_acq_rel) != 1)
        return;
    reactor_post(fetcher->reactor, &crowd->msg);
    /* The message may have run by now; pairs with the acquire of who ends the mailbox. */
    atomic_fetch_sub_explicit(&fetcher->posters, 1, memory_order_release);
}

/* It is back on this thread at the earliest when this has returned. */
static void post_crowd(struct sync_crowd *crowd)
{
    crowd->msg.run = on_crowd;
    atomic_init(&crowd->left, crowd->len);
    for (size_t i = 0; i < crowd->len; i++) {
        crowd->items[i].crowd = crowd;
        crowd->items[i].wait.done = on_synced;
        group_commit_post(crowd->commit, &crowd->items[i].wait);
    }
}

void fetcher_post_syncs(struct fetcher *fetcher)
{
    struct sync_crowd *crowd;

    while ((crowd = fetcher->gathered) != NULL) {
        fetcher->gathered = crowd->next;
        fetcher->crowds++;
        atomic_fetch_add_explicit(&fetcher->posters, 1, memory_order_relaxed);
        post_crowd(crowd);
    }
}

void fetcher_await_syncs(struct fetcher *fetcher)
{
    if (fetcher->gathered != NULL)
        fetcher_post_syncs(fetcher);
    while (fetcher->crowds > 0)
        (void)reactor_turn(fetcher->reactor, true);
    while (atomic_load_explicit(&fetcher->posters, memory_order_acquire) > 0)
        sched_yield();
}
