/*
 * Other threads touch a struct delayed only under the lock of a list that holds one of its watches,
 * so once its owner has taken every watch out, nobody can reach it any more: that is what makes it
 * safe to live in a request's arena. One may go on after that: he who has set `done`, until he has
 * posted the message without which the owner does not end it. He posts without the lock, for the
 * first that a reactor does when it wakes up is to take its watches out of that list.
 *
 * `open` starts one too high and is corrected by delayed_start(), so that watches that are met
 * while the others are still being added do not complete it early.
 */
#include "broker/delay/purgatory.h"

#include <assert.h>

#include "common/base/mem.h"

#define OPEN_BIAS (1 << 28)

void watch_list_init(struct watch_list *list)
{
    lock_init(&list->lock, LOCK_PURGATORY);
    TAILQ_INIT(&list->nodes);
    atomic_init(&list->smallest, INT64_MAX);
}

void watch_list_fini(struct watch_list *list)
{
    assert(TAILQ_EMPTY(&list->nodes));
    lock_fini(&list->lock);
}

bool watch_list_is_empty(const struct watch_list *list)
{
    return atomic_load_explicit(&list->smallest, memory_order_relaxed) == INT64_MAX;
}

static void unlink_locked(struct watch_list *list, struct watch_node *node)
{
    TAILQ_REMOVE(&list->nodes, node, link);
    node->linked = false;
}

/* None left has a smaller need than floor: the first that has just that ends the search. Those who
 * wait for the next record of a partition wait for the same, so that is mostly the head. */
static void note_smallest_locked(struct watch_list *list, int64_t floor)
{
    struct watch_node *node;
    int64_t smallest = INT64_MAX;

    TAILQ_FOREACH (node, &list->nodes, link) {
        if (node->need < smallest)
            smallest = node->need;
        if (smallest <= floor)
            break;
    }
    atomic_store_explicit(&list->smallest, smallest, memory_order_seq_cst);
}

/* One with that need has gone. */
static void note_gone_locked(struct watch_list *list, int64_t need)
{
    int64_t smallest = atomic_load_explicit(&list->smallest, memory_order_relaxed);

    if (need <= smallest)
        note_smallest_locked(list, smallest);
}

/* One watch less to wait for; after the last one the reactor is to be told. */
static void met_locked(struct delayed *op, struct delayed ***last)
{
    if (atomic_fetch_sub_explicit(&op->open, 1, memory_order_acq_rel) != 1)
        return;
    if (!atomic_exchange_explicit(&op->done, true, memory_order_acq_rel)) {
        op->next_met = NULL;
        **last = op;
        *last = &op->next_met;
    }
}

/* Each may be gone as soon as it is posted. */
static void post_all(struct delayed *met)
{
    while (met != NULL) {
        struct delayed *op = met;

        met = op->next_met;
        reactor_post(op->reactor, &op->msg);
    }
}

static void reach(struct watch_list *list, int64_t bound)
{
    struct watch_node *node, *next;
    struct delayed *met = NULL, **last = &met;
    bool changed = false;

    lock_take(&list->lock);
    for (node = TAILQ_FIRST(&list->nodes); node != NULL; node = next) {
        next = TAILQ_NEXT(node, link);
        if (node->need > bound)
            continue;
        unlink_locked(list, node);
        changed = true;
        met_locked(node->op, &last);
    }
    if (changed)
        note_smallest_locked(list, bound < INT64_MAX ? bound + 1 : bound);
    lock_drop(&list->lock);
    post_all(met);
}

void watch_list_reach(struct watch_list *list, int64_t bound)
{
    /* Pairs with the store in delayed_watch(): the mover has published its bound before it looks
     * here, the waiter adds its watch before it looks at the bound, so one of them sees the other.
     */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&list->smallest, memory_order_seq_cst) <= bound)
        reach(list, bound);
}

void watch_list_flush(struct watch_list *list)
{
    reach(list, INT64_MAX);
}

static void remove_watches(struct delayed *op)
{
    for (int i = 0; i < op->watches_len; i++) {
        struct watch_node *node = &op->watches[i];

        lock_take(&node->list->lock);
        if (node->linked) {
            unlink_locked(node->list, node);
            note_gone_locked(node->list, node->need);
        }
        lock_drop(&node->list->lock);
    }
    op->watches_len = 0;
}

static void end(struct delayed *op, enum delayed_why why)
{
    reactor_timer_cancel(op->reactor, &op->timer);
    remove_watches(op);
    op->complete(op, why);
}

static void on_met(struct msg *msg)
{
    end(container_of(msg, struct delayed, msg), DELAYED_MET);
}

void delayed_finish(struct delayed *op, enum delayed_why why)
{
    if (!atomic_exchange_explicit(&op->done, true, memory_order_acq_rel))
        end(op, why);
}

void delayed_finish_later(struct delayed *op)
{
    if (!atomic_exchange_explicit(&op->done, true, memory_order_acq_rel))
        reactor_post(op->reactor, &op->msg);
}

static void on_timer(struct reactor_timer *timer)
{
    delayed_finish(container_of(timer, struct delayed, timer), DELAYED_TIMED_OUT);
}

void delayed_init(struct delayed *op, struct reactor *reactor,
                  void (*complete)(struct delayed *, enum delayed_why), struct watch_node *watches)
{
    op->reactor = reactor;
    op->complete = complete;
    op->watches = watches;
    op->watches_len = 0;
    atomic_init(&op->open, OPEN_BIAS);
    atomic_init(&op->done, false);
    reactor_timer_init(&op->timer, on_timer);
    op->msg = (struct msg){ .run = on_met };
}

void delayed_watch(struct delayed *op, struct watch_list *list, int64_t need)
{
    struct watch_node *node = &op->watches[op->watches_len++];

    *node = (struct watch_node){ .list = list, .op = op, .need = need, .linked = true };
    lock_take(&list->lock);
    TAILQ_INSERT_TAIL(&list->nodes, node, link);
    if (need < atomic_load_explicit(&list->smallest, memory_order_relaxed))
        atomic_store_explicit(&list->smallest, need, memory_order_seq_cst);
    lock_drop(&list->lock);
    atomic_thread_fence(memory_order_seq_cst); /* before the caller looks at the bound again */
}

void delayed_met(struct delayed *op)
{
    struct watch_node *node = &op->watches[op->watches_len - 1];

    lock_take(&node->list->lock);
    if (node->linked) {
        unlink_locked(node->list, node);
        note_gone_locked(node->list, node->need);
        /* Never the last one: the bias is still on it. */
        atomic_fetch_sub_explicit(&op->open, 1, memory_order_acq_rel);
    }
    lock_drop(&node->list->lock);
}

void delayed_start(struct delayed *op, bool all, int64_t timeout_ms)
{
    int correction = OPEN_BIAS - (all ? op->watches_len : 1);

    reactor_timer_set_ms(op->reactor, &op->timer, timeout_ms > 0 ? timeout_ms : 0);
    /* What is left is what must still be met; at or below zero it is met already. With `any`, later
     * ones that are met take it further below, which completes nothing twice: done is exchanged
     * once. */
    if (atomic_fetch_sub_explicit(&op->open, correction, memory_order_acq_rel) - correction <= 0 &&
        !atomic_exchange_explicit(&op->done, true, memory_order_acq_rel))
        reactor_post(op->reactor, &op->msg);
}
