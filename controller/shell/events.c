/*
 * Start: listen, open the session, stand for the seat; follow whoever has it. Won: watch ZooKeeper,
 * read the ring, load what is not known for certain, and when LOADED comes, step the core with it
 * and let the brokers in. Lost: the core forgets, what was on its way is not waited for, the
 * brokers are told. All of it happens in callbacks of one reactor, none of which is ever made
 * inside a call of ours, so a step is never inside a step.
 *
 * Stop: the session is closed first, which frees the seat for another; only then are brokers told
 * to look for it.
 */
#include "controller/shell/events.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/say.h"
#include "common/io/net.h"
#include "common/io/reactor.h"
#include "common/zk/zk.h"
#include "common/zk/zk_watch.h"
#include "controller/shell/inquiry.h"
#include "controller/shell/load.h"
#include "controller/shell/monitor.h"
#include "controller/shell/probes.h"
#include "controller/shell/question.h"
#include "controller/shell/ring.h"
#include "controller/shell/rounds.h"
#include "controller/shell/seat.h"
#include "controller/shell/watch.h"
#include "controller/shell/write.h"

#define PROBE_TIMEOUT_MS 500
#define GOODBYES_MS      1200 /* at the stop */
#define LOOK_MS          10
#define ROUNDS_REST_MS   5000
#define ROUNDS_AGAIN_MS  1000
#define REFUSED_MS       10000 /* before standing again in a cluster that could not be served */

struct events {
    struct events_conf conf;
    struct reactor *reactor;
    struct resolver *resolver; /* of probes and monitor */
    struct core *core;
    struct core_effects effects;
    bool stepping;
    struct sink sink;
    struct inquiry inquiry;
    struct reactor_timer wake;
    struct zk *zk;
    struct seat *seat;
    struct loader *loader;
    struct cluster_watch *watch;
    struct writer *writer;
    struct streams *streams;
    struct monitor *monitor;
    struct standby *standby;         /* what is known of the cluster while another is active */
    struct ring_read *ring_read;     /* after winning */
    struct rounds *rounds;           /* while the seat is ours and the cluster is loaded */
    struct zk_watch *questions;      /* of standbys, while the seat is ours */
    struct reactor_timer standing;   /* a sign of life for standbys, while the seat is ours */
    const struct image *stood_image; /* what they were told last; not a reference */
    uint64_t stood_number;
    int64_t cut_off_since_ms; /* from ZooKeeper, while the seat is ours; 0: we are not */
    bool stood_known;
    struct probes *probes;
    uint64_t steps, writes, deltas;
};

static void step(void *arg, const struct core_event *event);

/* ---- effects --------------------------------------------------------------------------------- */

static void on_probed(void *arg, int32_t broker, uint64_t number, enum core_probe_result result)
{
    struct events *events = arg;
    struct core_event event = { .kind = CORE_PROBED,
                                .probed = { .broker = broker, .probe = number, .result = result } };

    step(events, &event);
}

static void do_write(struct events *events, const struct core_write *write)
{
    if (!seat_is_held(events->seat))
        return; /* RESIGNED is on its way */
    events->writes++;
    writer_run(events->writer, write, seat_epoch_version(events->seat));
}

static void do_reload(struct events *events, const struct core_reload *reload)
{
    if (seat_is_held(events->seat))
        loader_run(events->loader, reload, seat_epoch(events->seat));
}

static void do_say(const struct core_say *say)
{
    static const enum say_level levels[] = { [CORE_SAY_ERROR] = SAY_ERROR,
                                             [CORE_SAY_WARN] = SAY_WARN,
                                             [CORE_SAY_INFO] = SAY_INFO,
                                             [CORE_SAY_DEBUG] = SAY_DEBUG };

    say_line(levels[say->level], "%.*s", STR_ARG(say->text));
}

static void do_wake_at(struct events *events, const struct core_wake_at *wake)
{
    int64_t delay_ms = wake->at_ms - reactor_now_ms(events->reactor);

    reactor_timer_set_ms(events->reactor, &events->wake, delay_ms > 0 ? delay_ms : 0);
}

static void carry_out(struct events *events, const struct core_effect *effect)
{
    switch (effect->kind) {
    case CORE_DO_WRITE:
        do_write(events, &effect->write);
        return;
    case CORE_DO_RELOAD:
        do_reload(events, &effect->reload);
        return;
    case CORE_DO_RESIGN:
        seat_resign(events->seat, effect->resign.reason);
        return;
    case CORE_DO_SEND_IMAGE:
        streams_send_image(events->streams, &effect->send_image);
        return;
    case CORE_DO_SEND_DELTA:
        events->deltas++;
        streams_send_delta(events->streams, &effect->send_delta);
        return;
    case CORE_DO_ANSWER_ALTER:
        streams_answer_alter(events->streams, &effect->answer_alter);
        return;
    case CORE_DO_ANSWER_SHUTDOWN:
        streams_answer_shutdown(events->streams, &effect->answer_shutdown);
        return;
    case CORE_DO_ANSWER_PID_BLOCK:
        streams_answer_pid_block(events->streams, &effect->answer_pid_block);
        return;
    case CORE_DO_ANSWER_ADMIN:
        streams_answer_admin(events->streams, &effect->answer_admin);
        return;
    case CORE_DO_END_STREAM:
        streams_end(events->streams, &effect->end_stream);
        return;
    case CORE_DO_PROBE:
        probes_run(events->probes, &effect->probe, PROBE_TIMEOUT_MS, on_probed, events);
        return;
    case CORE_DO_SAY:
        do_say(&effect->say);
        return;
    case CORE_DO_WAKE_AT:
        do_wake_at(events, &effect->wake_at);
        return;
    case CORE_N_EFFECTS:
        break;
    }
    assert(effect->kind < CORE_N_EFFECTS);
}

/* How far we are, when that has changed, or anyhow. */
static void tell_standing(struct events *events, bool anyhow)
{
    const struct image *image = core_is_active(events->core) ? core_image(events->core) : NULL;
    uint64_t number;
    bool is_known = writer_position(events->writer, &number);

    if (core_withholds(events->core) && events->stood_number < number)
        number = events->stood_number;
    if (!anyhow && image == events->stood_image && number == events->stood_number &&
        is_known == events->stood_known)
        return;
    events->stood_image = image;
    events->stood_number = number;
    events->stood_known = is_known;
    streams_standing(events->streams, image, is_known, number);
}

static void note_cut_off(struct events *events)
{
    int64_t now_ms = reactor_now_ms(events->reactor);

    if (zk_session(events->zk)->state == ZK_CONNECTED)
        events->cut_off_since_ms = 0;
    else if (events->cut_off_since_ms == 0)
        events->cut_off_since_ms = now_ms;
    streams_cut_off(events->streams, events->cut_off_since_ms == 0
                                         ? 0
                                         : (uint32_t)(now_ms - events->cut_off_since_ms + 1));
}

static void on_standing(struct reactor_timer *timer)
{
    struct events *events = container_of(timer, struct events, standing);

    note_cut_off(events);
    tell_standing(events, true);
    reactor_timer_set_ms(events->reactor, timer, events->conf.heartbeat_interval_ms);
}

static const struct image *image_now(void *arg)
{
    const struct events *events = arg;

    return core_is_active(events->core) ? core_image(events->core) : NULL;
}

static int32_t topic_version(void *arg, struct uuid id)
{
    const struct events *events = arg;

    return core_topic_version(events->core, id);
}

static void on_topic_changed(void *arg, struct str topic)
{
    struct events *events = arg;

    if (core_is_busy(events->core))
        return; /* a write of ours that takes its time would look like it; the next round looks
                   again */
    say_info("another hand has changed a topic, reading it topic=%.*s", STR_ARG(topic));
    do_reload(events, &(struct core_reload){ .what = RELOAD_TOPIC, .topic = topic });
}

static void on_loaded(struct events *events)
{
    struct rounds_conf rounds = { .zk = events->zk,
                                  .reactor = events->reactor,
                                  .rest_ms = ROUNDS_REST_MS,
                                  .again_ms = ROUNDS_AGAIN_MS,
                                  .image = image_now,
                                  .version = topic_version,
                                  .on_changed = on_topic_changed,
                                  .arg = events };

    rounds_stop(&events->rounds);
    events->rounds = rounds_start(&rounds);
    standby_forget(events->standby);
    writer_is_known(events->writer);
    streams_loaded(events->streams, core_image(events->core));
    cluster_watch_loaded(events->watch);
}

static void step(void *arg, const struct core_event *event)
{
    struct events *events = arg;

    assert(!events->stepping);
    events->stepping = true;
    events->steps++;
    core_step(events->core, event, reactor_now_ms(events->reactor), &events->effects);
    for (size_t i = 0; i < events->effects.n; i++)
        carry_out(events, &events->effects.at[i]);
    core_effects_reset(&events->effects);
    if (event->kind == CORE_LOADED && core_is_active(events->core))
        on_loaded(events);
    if (core_is_active(events->core) && events->writer != NULL)
        tell_standing(events, false);
    events->stepping = false;
}

static void on_wake(struct reactor_timer *timer)
{
    struct core_event event = { .kind = CORE_TICK };

    step(container_of(timer, struct events, wake), &event);
}

/* ---- the seat -------------------------------------------------------------------------------- */

static void load(struct events *events)
{
    struct core_reload all = { .what = RELOAD_ALL };

    loader_run(events->loader, &all, seat_epoch(events->seat));
}

static void on_ring(void *arg, const struct ring_content *ring)
{
    struct events *events = arg;
    const char *why = ring->is_whole ? standby_judge(events->standby, seat_epoch(events->seat),
                                                     ring->n, ring->touched)
                                     : "the ring has an entry that cannot be read";

    writer_set_slots(events->writer, ring->slots);
    if (why == NULL) {
        for (size_t i = 0; i < ring->n_configs; i++)
            standby_doubt_config(events->standby, ring->configs[i]);
        loader_believe(events->loader, events->standby);
    } else {
        say_info("reading everything: %s", why);
    }
    ring_read_stop(&events->ring_read);
    load(events);
}

static void on_won(void *arg, int32_t epoch, int32_t epoch_version)
{
    struct events *events = arg;

    (void)epoch_version;
    monitor_watch(events->monitor, NULL);
    streams_won(events->streams, epoch);
    cluster_watch_start(events->watch);
    events->questions = question_answer_start(events->zk);
    events->stood_image = NULL;
    on_standing(&events->standing);
    events->ring_read = ring_read_start(events->zk, on_ring, events);
}

/* What runs because the seat was ours. */
static void stop_acting(struct events *events)
{
    ring_read_stop(&events->ring_read);
    rounds_stop(&events->rounds);
    zk_watch_stop(&events->questions);
    reactor_timer_cancel(events->reactor, &events->standing);
    standby_forget(events->standby);
}

static void on_lost(void *arg, const char *reason)
{
    struct events *events = arg;
    struct core_event event = { .kind = CORE_RESIGNED };

    (void)reason;
    stop_acting(events);
    cluster_watch_stop(events->watch);
    loader_reset(events->loader);
    writer_reset(events->writer);
    step(events, &event);
    reactor_timer_cancel(events->reactor, &events->wake);
    streams_lost(events->streams);
}

static void on_holder(void *arg, const struct seat_holder *holder)
{
    struct events *events = arg;

    streams_set_holder(events->streams, holder);
    monitor_watch(events->monitor, seat_is_held(events->seat) ? NULL : holder);
}

static void on_dead(void *arg, int32_t holder)
{
    struct events *events = arg;

    seat_take_over(events->seat, holder);
}

static void on_fenced(void *arg)
{
    struct events *events = arg;

    seat_fenced(events->seat);
}

static void on_refused(void *arg, const char *text)
{
    struct events *events = arg;

    say_error("cannot serve this cluster, giving the seat up and looking again later in_ms=%d "
              "why=\"%s\"",
              REFUSED_MS, text);
    seat_refuse(events->seat, "it cannot serve this cluster", REFUSED_MS);
}

static bool knows(void *arg, struct str topic, int32_t epoch)
{
    struct events *events = arg;
    const struct image *image = core_image(events->core);

    return image != NULL && image_controller_epoch(image) == epoch &&
           image_topic_named(image, topic) != NULL;
}

/* ---- start ----------------------------------------------------------------------------------- */

static enum err listen_there(struct events *events)
{
    const struct events_conf *conf = &events->conf;
    struct net_addr addr;
    enum err err = net_addr_find(conf->host, conf->port, &addr);

    if (err == ERR_OK)
        err = streams_listen(events->streams, &addr);
    if (err != ERR_OK) {
        say_error("cannot listen controller.listener=%s:%d err=\"%s\"", conf->host, conf->port,
                  err_text(err));
        return err;
    }
    events->conf.port = streams_port(events->streams);
    say_info("listening for brokers host=%s port=%d", conf->host, events->conf.port);
    return ERR_OK;
}

static enum err open_session(struct events *events)
{
    struct zk_options options = { .servers = events->conf.zookeeper_connect,
                                  .session_timeout_ms = events->conf.session_timeout_ms,
                                  .mailbox = reactor_mailbox(events->reactor),
                                  .make_chroot = true,
                                  .watchful = true };
    enum err err = zk_open(&options, &events->zk);

    if (err != ERR_OK)
        say_error("cannot use zookeeper.connect=%s err=\"%s\"", events->conf.zookeeper_connect,
                  err_text(err));
    return err;
}

static void stand(void *arg)
{
    static const struct seat_hooks seat_hooks = { .on_won = on_won,
                                                  .on_lost = on_lost,
                                                  .on_holder = on_holder };
    struct events *events = arg;
    struct loader_hooks loader_hooks = { .on_refused = on_refused, .knows = knows, .arg = events };
    struct writer_hooks writer_hooks = { .on_fenced = on_fenced, .arg = events };
    struct seat_options seat = { .zk = events->zk,
                                 .controller_id = events->conf.core.controller_id,
                                 .host = events->conf.host,
                                 .port = events->conf.port,
                                 .reactor = events->reactor };
    struct monitor_conf monitor = { .reactor = events->reactor,
                                    .resolver = events->resolver,
                                    .zk = events->zk,
                                    .controller_id = events->conf.core.controller_id,
                                    .standby = events->standby,
                                    .on_dead = on_dead,
                                    .arg = events };

    events->loader = loader_new(events->zk, &events->sink, &loader_hooks);
    events->watch = cluster_watch_new(events->zk, events->loader, &events->sink);
    events->writer = writer_new(events->zk, &events->sink, &writer_hooks);
    events->monitor = monitor_new(&monitor);
    events->seat = seat_new(&seat, &seat_hooks, events);
}

/* ---- looking in ------------------------------------------------------------------------------ */

struct looking {
    struct events *events;
    struct events_view *out;
};

static void look(void *arg)
{
    struct looking *looking = arg;
    struct events *events = looking->events;
    const struct image *image =
        core_is_active(events->core) ? core_image(events->core) : standby_image(events->standby);
    bool is_holder = seat_is_held(events->seat);
    const struct seat_holder *holder = seat_holder(events->seat);

    *looking->out = (struct events_view){
        .controller_id = events->conf.core.controller_id,
        .is_active = core_is_active(events->core),
        .is_holder = is_holder,
        .holder = is_holder        ? events->conf.core.controller_id
                  : holder != NULL ? holder->id
                                   : -1,
        .epoch = is_holder ? seat_epoch(events->seat) : -1,
        .is_connected = zk_session(events->zk)->state == ZK_CONNECTED,
        .steps = events->steps,
        .writes = events->writes,
        .deltas = events->deltas,
        .image = image != NULL ? image_ref(image) : NULL,
    };
    looking->out->is_busy = core_is_active(events->core) && core_is_busy(events->core);
    looking->out->is_warm = !is_holder && standby_image(events->standby) != NULL;
    looking->out->is_loading =
        is_holder &&
        loader_progress(events->loader, &looking->out->load_parts, &looking->out->load_done);
    streams_counts(events->streams, &looking->out->streams);
}

/* Of a person. A seat that nobody waits for is not given up: it would only be won again. */
static void on_ask(void *arg, bool wants_resign, struct arena *arena, Control__Status *status)
{
    struct events *events = arg;
    struct events_view view;
    struct looking looking = { .events = events, .out = &view };

    if (events->seat == NULL)
        return; /* we stop */
    look(&looking);
    image_unref(&view.image);
    status->has_active = status->has_holder = status->has_zookeeper_connected = 1;
    status->active = view.is_active;
    status->holder = view.holder;
    status->zookeeper_connected = view.is_connected;
    status->has_warm = status->has_busy = status->has_brokers = 1;
    status->warm = view.is_warm;
    status->busy = view.is_busy;
    status->brokers = (uint32_t)view.streams.brokers;
    status->has_standbys = status->has_requests = status->has_resigns = 1;
    status->standbys = (uint32_t)view.streams.standbys;
    status->requests = (uint32_t)view.streams.admins;
    status->has_load_parts = status->has_load_done = view.is_loading;
    status->load_parts = view.load_parts;
    status->load_done = view.load_done;
    inquiry_add_work(events->core, reactor_now_ms(events->reactor), arena, status);
    status->resigns = wants_resign && view.is_active && view.streams.standbys > 0;
    if (status->resigns)
        seat_resign(events->seat, "an operator asked for it");
}

enum err events_start(const struct events_conf *conf, struct events **out)
{
    struct events *events = xcalloc(1, sizeof *events);
    struct streams_conf streams = { .sink = &events->sink,
                                    .inquiry = &events->inquiry,
                                    .zookeeper_connect = conf->zookeeper_connect,
                                    .controller_id = conf->core.controller_id,
                                    .heartbeat_interval_ms = conf->heartbeat_interval_ms,
                                    .heartbeat_timeout_ms =
                                        (uint32_t)conf->core.heartbeat_timeout_ms };
    enum err err;

    events->conf = *conf;
    events->reactor = reactor_new();
    events->sink = (struct sink){ .on_event = step, .arg = events };
    events->inquiry = (struct inquiry){ .on_ask = on_ask, .arg = events };
    events->core = core_new(&conf->core, conf->seed);
    core_effects_init(&events->effects);
    events->standby = standby_new();
    reactor_timer_init(&events->wake, on_wake);
    reactor_timer_init(&events->standing, on_standing);
    streams.reactor = events->reactor;
    events->streams = streams_new(&streams);
    events->resolver = resolver_new(NULL, NULL);
    events->probes = probes_new(events->reactor, events->resolver);
    err = listen_there(events);
    if (err != ERR_OK)
        goto fail;
    err = open_session(events);
    if (err != ERR_OK)
        goto fail;
    stand(events);
    reactor_start(events->reactor, T_EVENT, -1);
    *out = events;
    return ERR_OK;

fail:
    standby_free(&events->standby);
    probes_free(&events->probes);
    streams_free(&events->streams);
    core_effects_fini(&events->effects);
    core_free(&events->core);
    reactor_free(&events->reactor);
    resolver_free(&events->resolver);
    free(events);
    return err;
}

int events_port(const struct events *events)
{
    return events->conf.port;
}

/* ---- stop ------------------------------------------------------------------------------------ */

static void begin_stop(void *arg)
{
    struct events *events = arg;
    struct core_event event = { .kind = CORE_RESIGNED };
    bool was_active = core_is_active(events->core);

    stop_acting(events);
    monitor_free(&events->monitor);
    cluster_watch_free(&events->watch);
    loader_free(&events->loader);
    writer_free(&events->writer);
    seat_free(&events->seat);
    zk_close(&events->zk);
    if (was_active)
        step(events, &event);
    reactor_timer_cancel(events->reactor, &events->wake);
    probes_free(&events->probes);
    streams_lost(events->streams);
}

struct count {
    struct events *events;
    size_t connections;
};

static void count_connections(void *arg)
{
    struct count *count = arg;
    struct streams_counts counts;

    streams_counts(count->events->streams, &counts);
    count->connections = counts.connections;
}

static void end_streams(void *arg)
{
    struct events *events = arg;

    streams_free(&events->streams);
}

void events_stop(struct events **events_ptr)
{
    struct events *events = *events_ptr;
    struct timespec pause = { .tv_nsec = LOOK_MS * 1000 * 1000 };
    struct count count = { .events = events };

    *events_ptr = NULL;
    if (events == NULL)
        return;
    reactor_call(events->reactor, begin_stop, events);
    for (int64_t waited_ms = 0; waited_ms < GOODBYES_MS; waited_ms += LOOK_MS) {
        reactor_call(events->reactor, count_connections, &count);
        if (count.connections == 0)
            break;
        nanosleep(&pause, NULL);
    }
    reactor_call(events->reactor, end_streams, events);
    reactor_stop(events->reactor);
    standby_free(&events->standby);
    core_effects_fini(&events->effects);
    core_free(&events->core);
    reactor_free(&events->reactor);
    resolver_free(&events->resolver);
    free(events);
}

void events_look(struct events *events, struct events_view *out)
{
    struct looking looking = { .events = events, .out = out };

    reactor_call(events->reactor, look, &looking);
}
