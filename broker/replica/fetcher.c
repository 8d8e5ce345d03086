/*
 * One request at a time: pump() looks at what is to be done next (connect, ask for offsets, fetch)
 * whenever something has changed: an answer, a message, a timer. An answer is decoded where it was
 * received, and the records of each partition are appended from there.
 *
 *     follow -> pump -> connect -> on_open -> pump -> fetch -> on_fetched -> append ... -> pump
 *
 * A leader that cannot be reached is tried again after 20 to 40 ms, then more and more seldom, up
 * to a second; a new follow (the image names this leader, so it is there) starts over at once.
 *
 * A leader's name may take as long to be looked up as it likes: the loop has nowhere else to go,
 * but is there to be told.
 *
 * While a fetch waits at the leader for records, a partition that is followed newly would wait
 * along, up to replica.fetch.wait.max.ms, and with it every acks=all of a fail-over. So such a wait
 * is broken off: the connection is closed and made anew, which costs less than a millisecond; not
 * more often than BREAK_EVERY_MS. So it is when we have registered anew, for a leader that has
 * heard of that commits nothing until we have fetched in the new epoch.
 *
 * A link that loses what is sent on it says nothing. TCP sends again after a time that doubles with
 * each try, so that a connection that lived through a cut of ten seconds may stay silent for as
 * long after it, and with it every acks=all that counts on us. So an answer that is overdue by
 * PATIENCE_MS ends the connection, and a new one is tried until it stands. A leader that takes the
 * new one and is as silent on it is only slow: it is given twice the time, each time.
 *
 * Where a topic has flush.messages, the loop asks for a sync of what it has appended and goes on
 * with the other partitions (fetcher_sync.c).
 *
 * Shutdown: the reactor's thread is joined first; what is left is let go of by the caller, when the
 * disk is done with what it was asked for.
 */
#include "broker/replica/fetcher.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/replica/fetcher_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "gen/wire/apis.h"

#define FETCH_VERSION       17
#define FETCH_VERSION_LEAST 13 /* topic ids; 12: last fetched epochs */
#define LIST_VERSION        9
#define LIST_VERSION_LEAST  4 /* leader epochs */
#define CONNECT_TIMEOUT_MS  700
#define PATIENCE_MS         500
#define RETRY_FIRST_MS      40
#define RETRY_MAX_MS        1000
#define BREAK_AFTER_MS      5
#define BREAK_EVERY_MS      250
#define LINGER_MS           10000 /* a connection without partitions */
#define COUNT_EVERY_MS      500
#define FRAME_SLACK_BYTES   (256u * 1024 * 1024) /* first batches are sent whole, however large */

void fetcher_pump_later(struct fetcher *fetcher)
{
    reactor_defer(fetcher->reactor, &fetcher->pump);
}

static void on_pump(struct reactor_task *task)
{
    struct fetcher *fetcher = container_of(task, struct fetcher, pump);

    if (fetcher->count_due)
        fetcher_count(fetcher, true);
    fetcher_pump(fetcher);
}

/* ---- counting ---- */

void fetcher_count(struct fetcher *fetcher, bool now)
{
    int64_t now_ms = reactor_now_ms(fetcher->reactor), lag_max = 0;
    struct fetch_part *at;
    int32_t failed = 0;

    atomic_store_explicit(&fetcher->partitions, (int32_t)fetcher->core.count, memory_order_relaxed);
    if (!now && now_ms - fetcher->counted_ms < COUNT_EVERY_MS)
        return;
    fetcher->counted_ms = now_ms;
    fetcher->count_due = false;
    TAILQ_FOREACH (at, &fetcher->core.parts, link) {
        const struct follow *follow = at->owner;

        failed += at->state == FETCH_FAILED;
        if (follow->lag > lag_max)
            lag_max = follow->lag;
    }
    atomic_store_explicit(&fetcher->failed, failed, memory_order_relaxed);
    atomic_store_explicit(&fetcher->lag_max, lag_max, memory_order_relaxed);
}

/* ---- the connection ---- */

static void retry_later(struct fetcher *fetcher)
{
    int64_t half_ms = fetcher->retry_ms / 2;
    int64_t wait_ms = half_ms + (int64_t)rand_below(&fetcher->rand, (uint64_t)half_ms + 1);

    reactor_timer_set_ms(fetcher->reactor, &fetcher->retry, wait_ms);
    fetcher->retry_ms = fetcher->retry_ms * 2 < RETRY_MAX_MS ? fetcher->retry_ms * 2 : RETRY_MAX_MS;
}

static void retry_at_once(struct fetcher *fetcher)
{
    fetcher->retry_ms = RETRY_FIRST_MS;
    reactor_timer_cancel(fetcher->reactor, &fetcher->retry);
}

/* Nothing is in flight any more and the leader has forgotten us. */
static void lost(struct fetcher *fetcher)
{
    fetch_core_disconnected(&fetcher->core);
    fetcher->flight = FLIGHT_NONE;
    reactor_timer_cancel(fetcher->reactor, &fetcher->newcomer);
}

void fetcher_failed(struct fetcher *fetcher, enum err why)
{
    lost(fetcher);
    if (why == ERR_TIMED_OUT) /* which has been the wait */
        fetcher->retry_ms = RETRY_FIRST_MS;
    retry_later(fetcher);
    if (!fetcher->unreachable || why != ERR_REFUSED)
        say_limited(SAY_WARN,
                    "no connection to the leader, retrying leader=%d host=%s port=%d "
                    "err=%s",
                    fetcher->leader, fetcher->host != NULL ? fetcher->host : "", fetcher->port,
                    err_name(why));
    fetcher->unreachable = true;
}

static void drop(struct fetcher *fetcher)
{
    lookup_cancel(&fetcher->lookup);
    peer_close(fetcher->peer);
    lost(fetcher);
}

static void on_close(void *ctx, enum err why)
{
    struct fetcher *fetcher = ctx;

    atomic_store_explicit(&fetcher->lost_ms, clock_mono_ms(), memory_order_relaxed);
    fetcher_failed(fetcher, why);
}

static void on_open(void *ctx)
{
    struct fetcher *fetcher = ctx;

    fetcher->fetch_version = peer_version(fetcher->peer, API_FETCH, FETCH_VERSION);
    fetcher->list_version = peer_version(fetcher->peer, API_LIST_OFFSETS, LIST_VERSION);
    if (fetcher->fetch_version < FETCH_VERSION_LEAST ||
        fetcher->list_version < LIST_VERSION_LEAST) {
        peer_close(fetcher->peer);
        fetcher_failed(fetcher, ERR_UNSUPPORTED_VERSION);
        return;
    }
    atomic_store_explicit(&fetcher->lost_ms, 0, memory_order_relaxed);
    if (fetcher->unreachable)
        say_info("connected to the leader again leader=%d loop=%d", fetcher->leader,
                 fetcher->index);
    fetcher->unreachable = false;
    fetcher->retry_ms = RETRY_FIRST_MS;
    fetcher_pump(fetcher);
}

static void on_address(void *ctx, enum err err, const struct net_addr *addr)
{
    struct fetcher *fetcher = ctx;

    if (err == ERR_OK)
        err = peer_connect(fetcher->peer, addr);
    if (err != ERR_OK)
        fetcher_failed(fetcher, err);
}

static void on_retry(struct reactor_timer *timer)
{
    fetcher_pump(container_of(timer, struct fetcher, retry));
}

/* ---- silence ---- */

/* Left running from one fetch to the next: it looks when the last one was sent. */
static void look_in(struct fetcher *fetcher, int64_t wait_ms)
{
    reactor_timer_set_ms(fetcher->reactor, &fetcher->silence, wait_ms);
}

void fetcher_sent(struct fetcher *fetcher)
{
    /* This turn may have begun long ago: it has appended the answer before, to a slow disk. */
    fetcher->sent_ms = clock_mono_ms();
    fetcher->received = 0;
    if (!reactor_timer_is_set(&fetcher->silence))
        look_in(fetcher, fetcher->conf.wait_max_ms + fetcher->patience_ms);
}

void fetcher_heard(struct fetcher *fetcher)
{
    fetcher->patience_ms = PATIENCE_MS;
}

static void on_silence(struct reactor_timer *timer)
{
    struct fetcher *fetcher = container_of(timer, struct fetcher, silence);
    int64_t now_ms = reactor_now_ms(fetcher->reactor);
    int64_t left_ms;

    if (fetcher->flight == FLIGHT_NONE)
        return;
    if (peer_received(fetcher->peer) > fetcher->received) { /* a long answer on its way */
        fetcher->received = peer_received(fetcher->peer);
        fetcher->sent_ms = now_ms;
    }
    left_ms = fetcher->sent_ms + fetcher->conf.wait_max_ms + fetcher->patience_ms - now_ms;
    if (left_ms > 0) {
        look_in(fetcher, left_ms);
        return;
    }
    say_limited(SAY_WARN, "the leader is silent, connecting anew leader=%d silent_ms=%" PRId64,
                fetcher->leader, now_ms - fetcher->sent_ms);
    if (fetcher->patience_ms < fetcher->conf.request_timeout_ms)
        fetcher->patience_ms *= 2;
    drop(fetcher);
    retry_at_once(fetcher);
    fetcher_pump(fetcher);
}

/* ---- newcomers ---- */

/* A parked fetch keeps a newcomer waiting. One whose answer is under way will not be long. */
static void on_newcomer(struct reactor_timer *timer)
{
    struct fetcher *fetcher = container_of(timer, struct fetcher, newcomer);

    if (fetcher->flight != FLIGHT_FETCH || peer_is_receiving(fetcher->peer))
        return;
    fetcher->broke_ms = reactor_now_ms(fetcher->reactor);
    drop(fetcher);
    fetcher_pump(fetcher);
}

static void note_newcomer(struct fetcher *fetcher)
{
    int64_t now_ms = reactor_now_ms(fetcher->reactor);
    int64_t wait_ms = fetcher->broke_ms + BREAK_EVERY_MS - now_ms;

    if (fetcher->flight != FLIGHT_FETCH || reactor_timer_is_set(&fetcher->newcomer))
        return;
    reactor_timer_set_ms(fetcher->reactor, &fetcher->newcomer,
                         wait_ms > BREAK_AFTER_MS ? wait_ms : BREAK_AFTER_MS);
}

void fetcher_garbage(struct fetcher *fetcher, enum err err)
{
    peer_close(fetcher->peer);
    fetcher_failed(fetcher, err);
}

/* ---- what is to be done next ---- */

static void wake_in(struct fetcher *fetcher, int64_t wait_ms)
{
    reactor_timer_set_ms(fetcher->reactor, &fetcher->wake, wait_ms > 0 ? wait_ms : 0);
}

/* A list of throttled replicas that changed is seen here for those that may be held back; the
 * others learn with their next answer. */
static void look_at_quota(struct fetcher *fetcher, int64_t now_ms)
{
    struct repl_quota *quota = fetcher->conf.quota;
    struct fetch_part *at;
    int64_t wait_ms = 0;

    if (quota == NULL || !fetch_core_may_hold(&fetcher->core))
        return;
    TAILQ_FOREACH (at, &fetcher->core.changed, changed_link) {
        const struct follow *follow = at->owner;

        if (at->throttled && !part_is_throttled_follower(follow->part))
            fetch_core_throttle(&fetcher->core, at, false, at->in_sync);
    }
    if (fetch_core_may_hold(&fetcher->core))
        wait_ms = repl_quota_wait_ms(quota, now_ms);
    fetch_core_set_quota(&fetcher->core, wait_ms > 0 ? now_ms + wait_ms : 0);
}

void fetcher_pump(struct fetcher *fetcher)
{
    int64_t now_ms = reactor_now_ms(fetcher->reactor), wake_ms;
    struct fetch_ask ask;

    if (fetcher->gathered != NULL)
        fetcher_post_syncs(fetcher);
    if (fetcher->flight != FLIGHT_NONE || fetcher->host == NULL)
        return;
    if (fetcher->core.count == 0) {
        lookup_cancel(&fetcher->lookup);
        if (peer_is_closed(fetcher->peer))
            reactor_timer_cancel(fetcher->reactor, &fetcher->retry);
        else if (!reactor_timer_is_set(&fetcher->wake))
            wake_in(fetcher, LINGER_MS);
        return;
    }
    reactor_timer_cancel(fetcher->reactor, &fetcher->wake);
    if (peer_is_closed(fetcher->peer)) {
        if (!reactor_timer_is_set(&fetcher->retry) && !lookup_is_under_way(&fetcher->lookup))
            lookup_find(&fetcher->lookup, fetcher->host, fetcher->port);
        return;
    }
    if (!peer_is_open(fetcher->peer) || fetcher->broker_epoch < 0)
        return;
    if (fetcher->resets_due && fetcher_ask_offsets(fetcher))
        return;
    look_at_quota(fetcher, now_ms);
    if (fetch_core_ask(&fetcher->core, now_ms, &ask, &fetcher->scratch, &fetcher->scratch_cap,
                       &wake_ms))
        fetcher_send_fetch(fetcher, &ask, wake_ms);
    else if (wake_ms != INT64_MAX)
        wake_in(fetcher, wake_ms - now_ms);
}

static void on_wake(struct reactor_timer *timer)
{
    struct fetcher *fetcher = container_of(timer, struct fetcher, wake);

    if (fetcher->core.count == 0 && fetcher->flight == FLIGHT_NONE)
        drop(fetcher); /* idle for long */
    else
        fetcher_pump(fetcher);
}

/* ---- what others ask for ---- */

struct order {
    struct msg msg;
    struct fetcher *fetcher;
    struct part *part;    /* a reference; NULL for a source */
    int32_t leader_epoch; /* -1: unfollow */
    char *host;
    int32_t port;
    struct uuid incarnation;
    int64_t broker_epoch;
};

static struct order *order_new(struct fetcher *fetcher, void (*run)(struct msg *))
{
    struct order *order = xcalloc(1, sizeof *order);

    order->msg.run = run;
    order->fetcher = fetcher;
    return order;
}

static void let_go(struct follow *follow)
{
    part_unref(&follow->part);
    free(follow);
}

static void on_follow(struct msg *msg)
{
    struct order *order = container_of(msg, struct order, msg);
    struct fetcher *fetcher = order->fetcher;
    struct uuid id = part_topic_id(order->part);
    int32_t partition = part_partition(order->part);
    struct fetch_part *at = fetch_core_find(&fetcher->core, id, partition);
    struct part_fetch_start start;
    struct follow *follow = xcalloc(1, sizeof *follow);

    assert_on(T_FETCHER);
    if (at != NULL)
        let_go(at->owner);
    follow->part = order->part;
    part_get_fetch_start(follow->part, &start);
    at = fetch_core_add(&fetcher->core, id, partition, follow, order->leader_epoch, start.offset,
                        start.last_epoch, start.log_start);
    fetch_core_throttle(&fetcher->core, at, part_is_throttled_follower(follow->part), false);
    if (start.flush_due)
        fetcher_sync(fetcher, at);
    free(order);
    retry_at_once(fetcher);
    note_newcomer(fetcher);
    fetcher_count(fetcher, false);
    fetcher_pump_later(fetcher);
}

static void on_unfollow(struct msg *msg)
{
    struct order *order = container_of(msg, struct order, msg);
    struct fetcher *fetcher = order->fetcher;
    struct uuid id = part_topic_id(order->part);
    int32_t partition = part_partition(order->part);
    struct fetch_part *at = fetch_core_find(&fetcher->core, id, partition);

    assert_on(T_FETCHER);
    if (at != NULL && ((struct follow *)at->owner)->part == order->part)
        let_go(fetch_core_remove(&fetcher->core, id, partition));
    part_unref(&order->part);
    free(order);
    fetcher->count_due = true; /* once for all that a leader's death takes from us in one turn */
    fetcher_pump_later(fetcher);
}

/* A leader that left the image for a moment is still where it was, and so are we. */
static void on_source(struct msg *msg)
{
    struct order *order = container_of(msg, struct order, msg);
    struct fetcher *fetcher = order->fetcher;

    assert_on(T_FETCHER);
    if (order->broker_epoch >= 0) {
        if (fetcher->broker_epoch >= 0 && fetcher->broker_epoch != order->broker_epoch)
            note_newcomer(fetcher);
        fetcher->broker_epoch = order->broker_epoch;
    }
    if (order->host != NULL &&
        (fetcher->host == NULL || strcmp(fetcher->host, order->host) != 0 ||
         fetcher->port != order->port || !uuid_eq(fetcher->incarnation, order->incarnation))) {
        drop(fetcher);
        retry_at_once(fetcher);
        free(fetcher->host);
        fetcher->host = order->host;
        order->host = NULL;
        fetcher->port = order->port;
        fetcher->incarnation = order->incarnation;
    }
    free(order->host);
    free(order);
    fetcher_pump_later(fetcher);
}

void fetcher_follow(struct fetcher *fetcher, struct part *part, int32_t leader_epoch)
{
    struct order *order = order_new(fetcher, on_follow);

    order->part = part_ref(part);
    order->leader_epoch = leader_epoch;
    reactor_post(fetcher->reactor, &order->msg);
}

void fetcher_unfollow(struct fetcher *fetcher, struct part *part)
{
    struct order *order = order_new(fetcher, on_unfollow);

    order->part = part_ref(part);
    reactor_post(fetcher->reactor, &order->msg);
}

void fetcher_set_source(struct fetcher *fetcher, const struct fetcher_source *source)
{
    struct order *order = order_new(fetcher, on_source);

    if (!str_is_null(source->host))
        order->host = xstrndup(source->host.ptr, source->host.len);
    order->port = source->port;
    order->incarnation = source->incarnation;
    order->broker_epoch = source->broker_epoch;
    reactor_post(fetcher->reactor, &order->msg);
}

/* ---- its life ---- */

struct fetcher *fetcher_start(const struct fetchers_conf *conf, int32_t leader, int32_t index)
{
    struct fetcher *fetcher = xcalloc(1, sizeof *fetcher);
    char client_id[64];

    fetcher->conf = *conf;
    fetcher->leader = leader;
    fetcher->index = index;
    fetcher->broker_epoch = -1;
    fetcher->retry_ms = RETRY_FIRST_MS;
    fetcher->broke_ms = -BREAK_EVERY_MS;
    fetcher->patience_ms = PATIENCE_MS;
    atomic_init(&fetcher->posters, 0);
    fetcher->reactor = reactor_new();
    snprintf(client_id, sizeof client_id, "broker-%d-fetcher-%d", conf->broker_id, index);
    fetcher->peer =
        peer_new(fetcher->reactor,
                 &(struct peer_conf){
                     .client_id = client_id,
                     .frame_max_bytes = (size_t)conf->response_max_bytes + FRAME_SLACK_BYTES,
                     .connect_timeout_ms = conf->request_timeout_ms < CONNECT_TIMEOUT_MS
                                               ? conf->request_timeout_ms
                                               : CONNECT_TIMEOUT_MS,
                     .sock = { .receive_buffer_bytes = conf->receive_buffer_bytes },
                     .on_open = on_open,
                     .on_close = on_close,
                     .ctx = fetcher,
                 });
    lookup_init(&fetcher->lookup, conf->resolver, fetcher->reactor, on_address, fetcher);
    fetch_core_init(&fetcher->core, conf->backoff_ms);
    rand_seed_os(&fetcher->rand);
    reactor_timer_init(&fetcher->retry, on_retry);
    reactor_timer_init(&fetcher->wake, on_wake);
    reactor_timer_init(&fetcher->newcomer, on_newcomer);
    reactor_timer_init(&fetcher->silence, on_silence);
    reactor_task_init(&fetcher->pump, on_pump);
    arena_init(&fetcher->arena, SIZE_MAX);
    arena_init(&fetcher->answer_arena, SIZE_MAX);
    reactor_start(fetcher->reactor, T_FETCHER, (int)index);
    return fetcher;
}

void fetcher_stop(struct fetcher **fetcher_ptr)
{
    struct fetcher *fetcher = *fetcher_ptr;
    struct fetch_part *at;

    *fetcher_ptr = NULL;
    reactor_stop(fetcher->reactor);
    lookup_cancel(&fetcher->lookup);
    peer_free(&fetcher->peer);
    reactor_timer_cancel(fetcher->reactor, &fetcher->retry);
    reactor_timer_cancel(fetcher->reactor, &fetcher->wake);
    reactor_timer_cancel(fetcher->reactor, &fetcher->newcomer);
    reactor_timer_cancel(fetcher->reactor, &fetcher->silence);
    free(fetcher->host);
    fetcher->host = NULL; /* nothing is sent any more */
    fetcher_await_syncs(fetcher);
    reactor_undefer(fetcher->reactor, &fetcher->pump);
    while ((at = TAILQ_FIRST(&fetcher->core.parts)) != NULL)
        let_go(fetch_core_remove(&fetcher->core, at->topic_id, at->partition));
    reactor_free(&fetcher->reactor);
    fetch_core_fini(&fetcher->core);
    arena_fini(&fetcher->arena);
    arena_fini(&fetcher->answer_arena);
    free(fetcher->scratch);
    free(fetcher);
}

void fetcher_get_info(struct fetcher *fetcher, struct fetcher_info *out)
{
    *out = (struct fetcher_info){
        .partitions = atomic_load_explicit(&fetcher->partitions, memory_order_relaxed),
        .failed = atomic_load_explicit(&fetcher->failed, memory_order_relaxed),
        .lag_max = atomic_load_explicit(&fetcher->lag_max, memory_order_relaxed),
        .fetches = atomic_load_explicit(&fetcher->fetches, memory_order_relaxed),
        .bytes = atomic_load_explicit(&fetcher->bytes, memory_order_relaxed),
    };
}

int64_t fetcher_lost_ms(const struct fetcher *fetcher)
{
    return atomic_load_explicit(&fetcher->lost_ms, memory_order_relaxed);
}
