/*
 * Orders reach a thread through its queue and are carried out between two steps of copying, so that
 * a future log has one writer and needs no lock of its own. Each turn every move copies one chunk:
 * none starves. A move that failed for now (no room) waits for backoff_ms.
 *
 * A partition is closed first and forgotten then. So none that is closed is taken up: the order to
 * forget it may have been carried out already. One that is closed while it is moved rests until
 * that order comes, or the process ends.
 *
 * What is copied counts for the quota, and nobody copies while that is exceeded.
 */
#include "broker/replica/moves.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/fetchers.h"
#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/base/thread.h"

#define NEVER_MS INT64_MAX

struct move {
    struct part *part; /* a reference */
    int64_t due_ms;    /* not before; NEVER_MS: its partition is closed */
    TAILQ_ENTRY(move) link;
};

enum order_kind { ORDER_BEGIN, ORDER_ADOPT, ORDER_FORGET };

struct order {
    enum order_kind kind;
    struct part *part; /* a reference */
    const char *dir;   /* ORDER_BEGIN; lent by who waits */
    enum err *err;     /* his, too; NULL: nobody waits */
    bool *done;        /* [m] */
    STAILQ_ENTRY(order) link;
};

STAILQ_HEAD(order_list, order);

/* [m] under lock   [o] the thread's own */
struct mover {
    struct moves *moves;      /* [I] */
    struct lock lock;         /* rank LOCK_POOL */
    struct cond wake;         /* the thread's */
    struct cond carried;      /* an order with somebody who waits was carried out */
    struct order_list orders; /* [m] */
    bool stopping;            /* [m] */
    TAILQ_HEAD(, move) all;   /* [o] */
    struct buf buffer;        /* [o] empty while nothing is moved */
    struct thread thread;     /* [I] */
};

struct moves {
    struct moves_conf conf; /* [I] */
    struct mover *movers;   /* [I] */
    _Atomic int32_t moving; /* [a] */
    _Atomic int64_t bytes;  /* [a] */
};

/* ---- throttle ---- */

static int64_t wait_for_rate_ms(struct moves *moves)
{
    return moves->conf.quota != NULL ? repl_quota_wait_ms(moves->conf.quota, clock_mono_ms()) : 0;
}

static void note_bytes(struct moves *moves, size_t bytes)
{
    atomic_fetch_add_explicit(&moves->bytes, (int64_t)bytes, memory_order_relaxed);
    if (moves->conf.quota != NULL)
        repl_quota_add(moves->conf.quota, bytes, clock_mono_ms());
}

/* ---- one move ---- */

static struct move *find(struct mover *mover, const struct part *part)
{
    struct move *move;

    TAILQ_FOREACH (move, &mover->all, link)
        if (move->part == part)
            return move;
    return NULL;
}

static void add(struct mover *mover, struct part *part, struct log **future)
{
    struct move *move = xcalloc(1, sizeof *move);

    say_info("moving %s from=%s to=%s at=%" PRId64, part_name(part), log_parent_dir(part_log(part)),
             log_parent_dir(*future), log_leo(*future));
    part_set_future(part, future);
    move->part = part_ref(part);
    TAILQ_INSERT_TAIL(&mover->all, move, link);
    atomic_fetch_add_explicit(&mover->moves->moving, 1, memory_order_relaxed);
}

/* The copy is let go of, and its files with it unless its directory has failed. */
static void drop(struct mover *mover, struct move *move, bool delete)
{
    struct log *future = part_take_future(move->part);

    if (future != NULL && delete &&logs_delete_future(mover->moves->conf.logs, future) != ERR_OK)
        say_warn("cannot delete the copy log=%s", log_name(future));
    log_unref(&future);
    TAILQ_REMOVE(&mover->all, move, link);
    part_unref(&move->part);
    free(move);
    atomic_fetch_sub_explicit(&mover->moves->moving, 1, memory_order_relaxed);
}

static void on_failed(struct mover *mover, struct move *move, enum err err, int64_t now_ms)
{
    if (part_why_closed(move->part) != ERR_OK) {
        move->due_ms = NEVER_MS;
        return;
    }
    if (part_is_offline(move->part) || part_future_is_offline(move->part)) {
        say_error("move has ended, a directory is offline %s", part_name(move->part));
        drop(mover, move, false);
        return;
    }
    say_limited(SAY_WARN, "cannot copy for now, trying again %s err=%s", part_name(move->part),
                err_name(err));
    move->due_ms = now_ms + mover->moves->conf.backoff_ms;
}

/* Copies a chunk, and when that leaves little, the rest at once and in the log's place with it. */
static void step(struct mover *mover, struct move *move)
{
    struct moves *moves = mover->moves;
    int64_t now_ms = clock_mono_ms();
    struct part_copy copy = { .buffer = &mover->buffer,
                              .max_bytes = moves->conf.chunk_bytes,
                              .wall_ms = clock_wall_ms(),
                              .now_ms = now_ms };
    enum err err = part_copy(move->part, &copy);

    note_bytes(moves, copy.copied);
    if (err == ERR_OK && copy.is_near) {
        copy.copied = 0;
        err = part_swap(move->part, moves->conf.logs, &copy);
        note_bytes(moves, copy.copied);
    }
    if (err != ERR_OK) {
        on_failed(mover, move, err, now_ms);
    } else if (copy.is_swapped) {
        say_info("moved %s to=%s", part_name(move->part), log_parent_dir(part_log(move->part)));
        drop(mover, move, false);
        logs_checkpoint(
            moves->conf.logs); /* recovery points and starts are with their logs again */
    }
}

/* ---- orders ---- */

static enum err begin(struct mover *mover, struct part *part, const char *dir)
{
    struct logs *logs = mover->moves->conf.logs;
    struct move *move = find(mover, part);
    struct log *future = NULL;
    enum err err = part_why_closed(part);

    if (err != ERR_OK)
        return err == ERR_NOT_LEADER_OR_FOLLOWER ? ERR_REPLICA_NOT_AVAILABLE : err;
    if (move != NULL && part_future_is_in(part, dir))
        return ERR_OK;
    if (move != NULL) {
        say_info("move has been called off %s", part_name(part));
        drop(mover, move, true);
    }
    if (strcmp(log_parent_dir(part_log(part)), dir) == 0)
        return ERR_OK;
    err = logs_create_future(logs, part_topic(part), part_partition(part), part_topic_id(part), dir,
                             &future);
    if (err == ERR_OK)
        add(mover, part, &future);
    return err;
}

static void adopt(struct mover *mover, struct part *part)
{
    struct logs *logs = mover->moves->conf.logs;
    struct log *future = logs_get_future_ref(logs, part_topic(part), part_partition(part));

    if (future == NULL || find(mover, part) != NULL) {
        log_unref(&future);
        return;
    }
    struct uuid id = log_topic_id(future);

    if (uuid_eq(id, part_topic_id(part)) &&
        strcmp(log_parent_dir(future), log_parent_dir(part_log(part))) != 0) {
        add(mover, part, &future);
        return;
    }
    say_warn("a copy that is of no use is deleted log=%s", log_name(future));
    if (logs_delete_future(logs, future) != ERR_OK)
        say_warn("cannot delete the copy log=%s", log_name(future));
    log_unref(&future);
}

static void carry_out(struct mover *mover, struct order *order)
{
    enum err err = ERR_OK;
    struct move *move;

    switch (order->kind) {
    case ORDER_BEGIN:
        err = begin(mover, order->part, order->dir);
        break;
    case ORDER_ADOPT:
        adopt(mover, order->part);
        break;
    case ORDER_FORGET:
        move = find(mover, order->part);
        if (move != NULL)
            drop(mover, move, true);
        break;
    }
    if (order->done != NULL) {
        lock_take(&mover->lock);
        *order->err = err;
        *order->done = true;
        cond_broadcast(&mover->carried);
        lock_drop(&mover->lock);
    }
    part_unref(&order->part);
    free(order);
}

static void post_locked(struct mover *mover, const struct order *from)
{
    struct order *order = xmemdup(from, sizeof *from);

    part_ref(order->part);
    STAILQ_INSERT_TAIL(&mover->orders, order, link);
    cond_signal(&mover->wake);
}

/* ---- the thread ---- */

/* One chunk of each move that may; how long nothing is to be done afterwards. */
static int64_t turn(struct mover *mover)
{
    struct move *move, *next;
    int64_t wait_ms = INT64_MAX;

    for (move = TAILQ_FIRST(&mover->all); move != NULL; move = next) {
        int64_t rest_ms = move->due_ms - clock_mono_ms();
        int64_t rate_ms = wait_for_rate_ms(mover->moves);

        next = TAILQ_NEXT(move, link);
        if (move->due_ms == NEVER_MS)
            continue;
        if (rate_ms > rest_ms)
            rest_ms = rate_ms;
        if (rest_ms <= 0) {
            step(mover, move);
            rest_ms = 0;
        }
        if (rest_ms < wait_ms)
            wait_ms = rest_ms;
    }
    if (TAILQ_EMPTY(&mover->all)) {
        buf_fini(&mover->buffer);
        return INT64_MAX;
    }
    return wait_ms;
}

static void run(void *arg)
{
    struct mover *mover = arg;
    struct order *order;
    int64_t wait_ms = INT64_MAX;

    lock_take(&mover->lock);
    for (;;) {
        while (!mover->stopping && STAILQ_EMPTY(&mover->orders) && wait_ms > 0) {
            if (wait_ms == INT64_MAX)
                cond_wait(&mover->wake, &mover->lock);
            else if (!cond_wait_ms(&mover->wake, &mover->lock, wait_ms))
                break;
        }
        while ((order = STAILQ_FIRST(&mover->orders)) != NULL) {
            STAILQ_REMOVE_HEAD(&mover->orders, link);
            lock_drop(&mover->lock);
            carry_out(mover, order);
            lock_take(&mover->lock);
        }
        if (mover->stopping)
            break;
        lock_drop(&mover->lock);
        wait_ms = turn(mover);
        lock_take(&mover->lock);
    }
    lock_drop(&mover->lock);
}

/* ---- from outside ---- */

static struct mover *mover_of(struct moves *moves, const struct part *part)
{
    return &moves->movers[fetchers_index(str_of(part_topic(part)), part_partition(part),
                                         moves->conf.threads)];
}

enum err moves_begin(struct moves *moves, struct part *part, const char *dir)
{
    struct mover *mover = mover_of(moves, part);
    enum err err = ERR_SHUTTING_DOWN;
    bool done = false;
    struct order order = {
        .kind = ORDER_BEGIN, .part = part, .dir = dir, .err = &err, .done = &done
    };

    lock_take(&mover->lock);
    if (!mover->stopping)
        post_locked(mover, &order);
    else
        done = true;
    while (!done)
        cond_wait(&mover->carried, &mover->lock);
    lock_drop(&mover->lock);
    return err;
}

static void post(struct moves *moves, enum order_kind kind, struct part *part)
{
    struct mover *mover = mover_of(moves, part);

    lock_take(&mover->lock);
    if (!mover->stopping)
        post_locked(mover, &(struct order){ .kind = kind, .part = part });
    lock_drop(&mover->lock);
}

void moves_adopt(struct moves *moves, struct part *part)
{
    struct log *future =
        logs_get_future_ref(moves->conf.logs, part_topic(part), part_partition(part));

    if (future == NULL)
        return;
    log_unref(&future);
    post(moves, ORDER_ADOPT, part);
}

void moves_forget(struct moves *moves, struct part *part)
{
    post(moves, ORDER_FORGET, part);
}

void moves_get_info(struct moves *moves, struct moves_info *out)
{
    *out = (struct moves_info){
        .moving = atomic_load_explicit(&moves->moving, memory_order_relaxed),
        .bytes = atomic_load_explicit(&moves->bytes, memory_order_relaxed),
    };
}

struct moves *moves_start(const struct moves_conf *conf)
{
    struct moves *moves = xcalloc(1, sizeof *moves);

    assert(conf->threads > 0);
    moves->conf = *conf;
    moves->movers = xcalloc((size_t)conf->threads, sizeof *moves->movers);
    for (int32_t i = 0; i < conf->threads; i++) {
        struct mover *mover = &moves->movers[i];

        mover->moves = moves;
        lock_init(&mover->lock, LOCK_POOL);
        cond_init(&mover->wake);
        cond_init(&mover->carried);
        STAILQ_INIT(&mover->orders);
        TAILQ_INIT(&mover->all);
        thread_start(&mover->thread, T_MOVER, i, run, mover);
    }
    return moves;
}

static void mover_stop(struct mover *mover)
{
    struct move *move;

    lock_take(&mover->lock);
    mover->stopping = true;
    cond_signal(&mover->wake);
    lock_drop(&mover->lock);
    thread_join(&mover->thread);
    while ((move = TAILQ_FIRST(&mover->all)) != NULL)
        drop(mover, move, false);
    buf_fini(&mover->buffer);
    cond_fini(&mover->wake);
    cond_fini(&mover->carried);
    lock_fini(&mover->lock);
}

void moves_stop(struct moves **moves_ptr)
{
    struct moves *moves = *moves_ptr;

    *moves_ptr = NULL;
    for (int32_t i = 0; i < moves->conf.threads; i++)
        mover_stop(&moves->movers[i]);
    free(moves->movers);
    free(moves);
}
