/*
 * One timer says what comes next: connect, or tell that the holder is dead. A holder that answers
 * without being active may be one that has just won and does not know yet, so it is asked twice.
 *
 * Before a connection comes the look-up of the holder's name, which may take as long as it likes:
 * there is nobody else to turn to, and whoever has it next is heard of meanwhile.
 *
 * The other timer is the silence: begun with the first Standing and anew with every frame, so a
 * holder that sends none (of an older version) is not listened to. Where not even a connection can
 * be made, whatever the holder does, it begins without: a machine that is gone says nothing.
 *
 * A holder that is cut off from ZooKeeper says so. It can decide nothing and not give its seat up;
 * when we have been connected for as long, the trouble is not ZooKeeper's, and we take it.
 */
#include "controller/shell/monitor.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/base/say.h"
#include "common/io/net.h"
#include "common/stream/stream.h"
#include "common/stream/stream_image.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"
#include "controller/shell/question.h"

#define RANK_MS      50
#define JITTER_MS    20
#define AGAIN_MS     200  /* between connections that come to nothing, growing from the next: */
#define AGAIN_MS_MIN 5    /* a dying process may accept one more */
#define VERDICT_MS   1000 /* after a verdict, until it is looked again whether it still stands */
#define IDLE_MAX     2    /* times that the holder says it is not active */
#define LISTED_MAX   64
#define CONNECT_MS   1000
#define SILENCE_MS   1000 /* unless the holder's Welcome says otherwise */
#define ANSWER_MS    1000
#define CUT_OFF_MS   2000 /* from ZooKeeper: time to find a server that can be reached */

enum next { CONNECT, VERDICT };

struct monitor {
    struct monitor_conf conf;
    struct zk_watch *watch;
    int32_t listed[LISTED_MAX]; /* controllers as of ZooKeeper */
    size_t n_listed;
    int32_t holder; /* -1: nobody is watched */
    char *host;
    int32_t port;
    struct lookup lookup; /* of host, before the stream */
    struct stream *stream;
    int idle;         /* times in a row that it said it is not active */
    int64_t again_ms; /* before the next connection; 0 after one that was welcomed */
    enum next next;
    struct reactor_timer timer;
    struct stream_image gather; /* the pieces of an image that is coming */
    struct reactor_timer silence;
    int64_t silence_ms;
    bool is_loaded; /* the holder has said that it is */
    bool is_asking; /* through ZooKeeper */
    struct zk_listener listener;
    int64_t connected_ms; /* to ZooKeeper since then, -1: we are not */
    struct question *question;
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
    hello.has_follows = hello.follows = 1;
    frame.hello = &hello;
    stream_send(m->stream, &frame);
}

/* ---- following ------------------------------------------------------------------------------- */

static void again(struct monitor *m, const char *why)
{
    say_warn("cannot follow the active controller, starting over controller=%d why=\"%s\"",
             m->holder, why);
    standby_forget(m->conf.standby);
    stream_close(&m->stream);
    reactor_timer_cancel(m->conf.reactor, &m->silence);
    after_ms(m, CONNECT, AGAIN_MS);
}

static void on_image(struct monitor *m, const Control__Image *piece)
{
    struct image *image;

    if (stream_image_on_piece(&m->gather, piece, &image) != ERR_OK)
        again(m, "an image that makes no sense");
    else if (image != NULL)
        standby_on_image(m->conf.standby, &image);
}

/* One that does not follow on what is known is answered by an image that is on its way, or else by
 * the Standing after it. */
static void on_delta(struct monitor *m, const Control__Delta *message)
{
    struct image_delta delta;
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    if (stream_image_read_delta(message, &arena, &delta) != ERR_OK)
        again(m, "a delta that makes no sense");
    else
        (void)standby_on_delta(m->conf.standby, &delta);
    arena_fini(&arena);
}

static bool is_cut_off(const struct monitor *m, const Control__Frame *frame)
{
    return frame->standing != NULL && frame->standing->has_cut_off_ms &&
           frame->standing->cut_off_ms >= CUT_OFF_MS && m->connected_ms >= 0 &&
           reactor_now_ms(m->conf.reactor) - m->connected_ms >= CUT_OFF_MS;
}

static void on_standing(struct monitor *m, const Control__Standing *standing)
{
    m->is_loaded = standing->has_version && standing->version > 0;
    if (!m->is_loaded)
        return;
    if (standby_image(m->conf.standby) == NULL)
        again(m, "a gap in the deltas");
    else if (standing->has_number)
        standby_on_position(m->conf.standby, standing->controller_epoch, standing->version,
                            standing->number);
}

/* ---- the holder ------------------------------------------------------------------------------ */

static void on_silence(struct reactor_timer *timer)
{
    struct monitor *m = container_of(timer, struct monitor, silence);

    if (!m->is_loaded) { /* its successor would have to read everything too, and be as silent */
        reactor_timer_set_ms(m->conf.reactor, timer, m->silence_ms);
        return;
    }
    say_warn("the active controller is not heard, asking through ZooKeeper controller=%d "
             "silent_ms=%d",
             m->holder, (int)m->silence_ms);
    m->is_asking = true;
    question_ask(m->question, m->conf.answer_ms > 0 ? m->conf.answer_ms : ANSWER_MS);
}

static void on_outcome(void *arg, enum question_outcome outcome)
{
    struct monitor *m = arg;

    m->is_asking = false;
    if (outcome == QUESTION_STANDS) {
        found_dead(m, "it neither sends nor answers through ZooKeeper");
        reactor_timer_set_ms(m->conf.reactor, &m->silence, m->silence_ms + VERDICT_MS);
        return;
    }
    if (outcome == QUESTION_ANSWERED)
        say_warn("the active controller answers through ZooKeeper only, leaving it alone "
                 "controller=%d",
                 m->holder);
    reactor_timer_set_ms(m->conf.reactor, &m->silence, m->silence_ms);
}

static void ask_no_more(struct monitor *m)
{
    m->is_asking = false;
    question_drop(m->question);
}

static void heard(struct monitor *m, const Control__Frame *frame)
{
    ask_no_more(m);
    if (is_cut_off(m, frame)) {
        if (!reactor_timer_is_set(&m->timer))
            found_dead(m, "it is cut off from ZooKeeper");
    } else if (m->next == VERDICT) { /* not dead after all */
        reactor_timer_cancel(m->conf.reactor, &m->timer);
    }
    if (frame->standing != NULL || reactor_timer_is_set(&m->silence))
        reactor_timer_set_ms(m->conf.reactor, &m->silence, m->silence_ms);
}

static void on_welcome(struct monitor *m, const Control__Welcome *welcome)
{
    m->again_ms = 0;
    m->idle = 0;
    m->is_loaded = false;
    m->silence_ms = welcome->has_heartbeat_timeout_ms && welcome->heartbeat_timeout_ms > 0
                        ? welcome->heartbeat_timeout_ms
                        : SILENCE_MS;
    stream_image_fini(&m->gather);
}

static void on_goodbye(struct monitor *m, const Control__Goodbye *goodbye)
{
    stream_close(&m->stream);
    reactor_timer_cancel(m->conf.reactor, &m->silence);
    if (goodbye->has_reason && goodbye->reason == CONTROL__GOODBYE__REASON__NOT_ACTIVE &&
        ++m->idle >= IDLE_MAX)
        found_dead(m, "its successor does not hold the seat");
    else
        after_ms(m, CONNECT, AGAIN_MS);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct monitor *m = ctx;

    heard(m, frame);
    if (frame->welcome != NULL)
        on_welcome(m, frame->welcome);
    else if (frame->image != NULL)
        on_image(m, frame->image);
    else if (frame->delta != NULL)
        on_delta(m, frame->delta);
    else if (frame->standing != NULL)
        on_standing(m, frame->standing);
    else if (frame->goodbye != NULL)
        on_goodbye(m, frame->goodbye);
}

/* A connection that a hung holder's kernel accepts is no sign of life: the silence goes on over
 * connections that end. */
static void on_end(void *ctx, enum stream_end reason)
{
    struct monitor *m = ctx;

    stream_close(&m->stream);
    if (reason == STREAM_TIMED_OUT) {
        m->is_loaded = true; /* loading would not keep its kernel from answering */
        if (!m->is_asking && !reactor_timer_is_set(&m->silence))
            reactor_timer_set_ms(m->conf.reactor, &m->silence, m->silence_ms);
    }
    if (reason == STREAM_REFUSED) {
        ask_no_more(m);
        reactor_timer_cancel(m->conf.reactor, &m->silence);
        found_dead(m, "it refuses connections");
        return;
    }
    if (m->next == VERDICT && reactor_timer_is_set(&m->timer))
        return; /* connects again after it */
    after_ms(m, CONNECT, m->again_ms);
    m->again_ms = m->again_ms == 0             ? AGAIN_MS_MIN
                  : m->again_ms * 2 > AGAIN_MS ? AGAIN_MS
                                               : m->again_ms * 2;
}

static const struct stream_handler handler = { .on_open = on_open,
                                               .on_frame = on_frame,
                                               .on_end = on_end };

static void on_address(void *arg, enum err err, const struct net_addr *addr)
{
    static const struct stream_conf conf = { .connect_timeout_ms = CONNECT_MS };
    struct monitor *m = arg;

    if (err == ERR_OK) {
        m->stream = stream_connect(m->conf.reactor, addr, &conf, &handler, m);
        return;
    }
    say_limited(SAY_WARN, "cannot find the active controller's address controller=%d host=%s",
                m->holder, m->host);
    if (m->next != VERDICT || !reactor_timer_is_set(&m->timer)) /* else it is looked after that */
        after_ms(m, CONNECT, VERDICT_MS);
}

static void on_timer(struct reactor_timer *timer)
{
    struct monitor *m = container_of(timer, struct monitor, timer);

    if (m->next == CONNECT) {
        if (m->stream == NULL && !lookup_is_under_way(&m->lookup))
            lookup_find(&m->lookup, m->host, m->port);
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
    reactor_timer_cancel(m->conf.reactor, &m->silence);
    ask_no_more(m);
    lookup_cancel(&m->lookup);
    stream_close(&m->stream);
    stream_image_fini(&m->gather);
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

static void on_session(struct zk_listener *listener, const struct zk_session *session)
{
    struct monitor *m = container_of(listener, struct monitor, listener);

    m->connected_ms = session->state == ZK_CONNECTED ? reactor_now_ms(m->conf.reactor) : -1;
}

struct monitor *monitor_new(const struct monitor_conf *conf)
{
    struct monitor *m = xcalloc(1, sizeof *m);

    m->conf = *conf;
    m->holder = -1;
    rand_seed_os(&m->rand);
    m->silence_ms = SILENCE_MS;
    stream_image_init(&m->gather);
    lookup_init(&m->lookup, conf->resolver, conf->reactor, on_address, m);
    reactor_timer_init(&m->timer, on_timer);
    reactor_timer_init(&m->silence, on_silence);
    m->question = question_new(conf->zk, conf->reactor, conf->controller_id, on_outcome, m);
    m->watch = zk_watch_start(conf->zk, ZK_WATCH_CHILDREN, ZK_SEATS, on_listed, m);
    m->listener.on_session = on_session;
    zk_listen(conf->zk, &m->listener);
    on_session(&m->listener, zk_session(conf->zk));
    return m;
}

void monitor_free(struct monitor **monitor_ptr)
{
    struct monitor *m = *monitor_ptr;

    *monitor_ptr = NULL;
    if (m == NULL)
        return;
    stop(m);
    question_free(&m->question);
    zk_unlisten(m->conf.zk, &m->listener);
    zk_watch_stop(&m->watch);
    free(m);
}
