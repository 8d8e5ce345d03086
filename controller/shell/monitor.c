/*
 * One timer says what comes next: connect, or tell that the holder is dead. A holder that answers
 * without being active may be one that has just won and does not know yet, so it is asked twice.
 */
#include "controller/shell/monitor.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/io/net.h"
#include "common/stream/stream.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"

#define RANK_MS      50
#define JITTER_MS    20
#define AGAIN_MS     200  /* between connections that come to nothing, growing from the next: */
#define AGAIN_MS_MIN 5    /* a dying process may accept one more */
#define VERDICT_MS   1000 /* after a verdict, until it is looked again whether it still stands */
#define IDLE_MAX     2    /* times that the holder says it is not active */
#define LISTED_MAX   64
#define CONNECT_MS   1000
#define FRAME_MAX    4096

enum next { CONNECT, VERDICT };

struct monitor {
    struct monitor_conf conf;
    struct zk_watch *watch;
    int32_t listed[LISTED_MAX]; /* controllers as of ZooKeeper */
    size_t n_listed;
    int32_t holder; /* -1: nobody is watched */
    char *host;
    int32_t port;
    struct stream *stream;
    int idle;         /* times in a row that it said it is not active */
    int64_t again_ms; /* before the next connection; 0 after one that was welcomed */
    enum next next;
    struct reactor_timer timer;
    struct rand rand;
};

static void after_ms(struct monitor *m, enum next next, int64_t delay_ms)
{
    m->next = next;
    reactor_timer_set_ms(m->conf.reactor, &m->timer, delay_ms);
}

/* Our place among those who may take over, from 0. */
static int64_t rank(const struct monitor *m)
{
    int64_t before = 0;

    for (size_t i = 0; i < m->n_listed; i++) {
        if (m->listed[i] != m->holder && m->listed[i] < m->conf.controller_id)
            before++;
    }
    return before;
}

static void found_dead(struct monitor *m, const char *why)
{
    int64_t delay_ms = rank(m) * RANK_MS + (int64_t)rand_below(&m->rand, JITTER_MS);

    say_warn("the active controller is gone, taking over controller=%d why=\"%s\" in_ms=%d",
             m->holder, why, (int)delay_ms);
    after_ms(m, VERDICT, delay_ms);
}

static void on_open(void *ctx)
{
    struct monitor *m = ctx;
    Control__Frame frame = CONTROL__FRAME__INIT;
    Control__Hello hello = CONTROL__HELLO__INIT;

    hello.has_protocol = 1;
    hello.protocol = STREAM_PROTOCOL;
    hello.has_controller_id = 1;
    hello.controller_id = m->conf.controller_id;
    frame.hello = &hello;
    stream_send(m->stream, &frame);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct monitor *m = ctx;

    if (frame->welcome != NULL) {
        m->again_ms = 0;
        m->idle = 0;
        return;
    }
    if (frame->goodbye == NULL)
        return;
    stream_close(&m->stream);
    if (frame->goodbye->has_reason &&
        frame->goodbye->reason == CONTROL__GOODBYE__REASON__NOT_ACTIVE && ++m->idle >= IDLE_MAX)
        found_dead(m, "its successor does not hold the seat");
    else
        after_ms(m, CONNECT, AGAIN_MS);
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct monitor *m = ctx;

    stream_close(&m->stream);
    if (reason == STREAM_REFUSED) {
        found_dead(m, "it refuses connections");
        return;
    }
    after_ms(m, CONNECT, m->again_ms);
    m->again_ms = m->again_ms == 0             ? AGAIN_MS_MIN
                  : m->again_ms * 2 > AGAIN_MS ? AGAIN_MS
                                               : m->again_ms * 2;
}

static const struct stream_handler handler = { .on_open = on_open,
                                               .on_frame = on_frame,
                                               .on_end = on_end };

static void connect_to(struct monitor *m)
{
    static const struct stream_conf conf = { .frame_bytes_max = FRAME_MAX,
                                             .connect_timeout_ms = CONNECT_MS };
    struct net_addr addr;

    /* A name may block here: a standby has nothing else to do. */
    if (net_addr_find(m->host, m->port, &addr) != ERR_OK) {
        say_limited(SAY_WARN, "cannot find the active controller's address controller=%d host=%s",
                    m->holder, m->host);
        after_ms(m, CONNECT, VERDICT_MS);
        return;
    }
    m->stream = stream_connect(m->conf.reactor, &addr, &conf, &handler, m);
}

static void on_timer(struct reactor_timer *timer)
{
    struct monitor *m = container_of(timer, struct monitor, timer);

    if (m->next == CONNECT) {
        connect_to(m);
        return;
    }
    after_ms(m, CONNECT, VERDICT_MS);
    m->idle = 0;
    m->conf.on_dead(m->conf.arg, m->holder);
}

static void on_listed(void *arg, const struct zk_answer *answer)
{
    struct monitor *m = arg;

    m->n_listed = 0;
    for (size_t i = 0; i < answer->n_children && m->n_listed < LISTED_MAX; i++) {
        if (zk_leaf_id(answer->children[i], &m->listed[m->n_listed]))
            m->n_listed++;
    }
}

static void stop(struct monitor *m)
{
    reactor_timer_cancel(m->conf.reactor, &m->timer);
    stream_close(&m->stream);
    free(m->host);
    m->host = NULL;
    m->holder = -1;
    m->idle = 0;
}

void monitor_watch(struct monitor *m, const struct seat_holder *holder)
{
    bool watched = holder != NULL && holder->id >= 0 && holder->is_listed &&
                   holder->id != m->conf.controller_id;

    if (watched && m->host != NULL && m->holder == holder->id && m->port == holder->port &&
        str_is(holder->host, m->host))
        return; /* heard of it again */
    stop(m);
    if (!watched)
        return;
    m->holder = holder->id;
    m->host = xstrndup(holder->host.ptr, holder->host.len);
    m->port = holder->port;
    after_ms(m, CONNECT, 0);
}

struct monitor *monitor_new(const struct monitor_conf *conf)
{
    struct monitor *m = xcalloc(1, sizeof *m);

    m->conf = *conf;
    m->holder = -1;
    rand_seed_os(&m->rand);
    reactor_timer_init(&m->timer, on_timer);
    m->watch = zk_watch_start(conf->zk, ZK_WATCH_CHILDREN, ZK_SEATS, on_listed, m);
    return m;
}

void monitor_free(struct monitor **monitor_ptr)
{
    struct monitor *m = *monitor_ptr;

    *monitor_ptr = NULL;
    if (m == NULL)
        return;
    stop(m);
    zk_watch_stop(&m->watch);
    free(m);
}
