#include "broker/control/beat.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/stream/stream.h"
#include "common/stream/stream_image.h"

#define RECONNECT_MS 50

struct beat {
    struct beat_conf conf;
    char *cluster_id;
    struct reactor *reactor;
    struct stream *stream; /* [o] as all below */
    struct beat_aim aim;
    bool aimed, greeted;
    uint64_t number;
    struct reactor_timer timer;
    struct reactor_timer silence; /* begun with an aim and anew with every answer */
};

struct order {
    struct msg msg;
    struct beat *beat;
    bool aimed;
    struct beat_aim aim;
};

static bool is_stalled(const struct beat *beat)
{
    for (size_t i = 0; i < beat->conf.reactors_len; i++)
        if (reactor_busy_ms(beat->conf.reactors[i]) > beat->conf.stall_ms)
            return true;
    return beat->conf.control != NULL &&
           reactor_busy_ms(beat->conf.control) > beat->conf.control_stall_ms;
}

static void send_beat(struct beat *beat)
{
    Control__Heartbeat heartbeat = CONTROL__HEARTBEAT__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    heartbeat.broker_epoch = beat->aim.broker_epoch;
    heartbeat.has_broker_epoch = true;
    heartbeat.incarnation = stream_image_write_uuid(&beat->conf.incarnation);
    heartbeat.has_incarnation = true;
    heartbeat.number = ++beat->number;
    heartbeat.has_number = true;
    heartbeat.stalled = is_stalled(beat);
    heartbeat.has_stalled = true;
    frame.heartbeat = &heartbeat;
    stream_send(beat->stream, &frame);
}

static void send_hello(struct beat *beat)
{
    Control__Hello hello = CONTROL__HELLO__INIT;
    Control__Frame frame = CONTROL__FRAME__INIT;

    hello.protocol = STREAM_PROTOCOL;
    hello.has_protocol = true;
    hello.cluster_id = beat->cluster_id;
    hello.broker_id = beat->conf.broker_id;
    hello.has_broker_id = true;
    hello.broker_epoch = beat->aim.broker_epoch;
    hello.has_broker_epoch = true;
    hello.incarnation = stream_image_write_uuid(&beat->conf.incarnation);
    hello.has_incarnation = true;
    hello.heartbeats = true;
    hello.has_heartbeats = true;
    frame.hello = &hello;
    stream_send(beat->stream, &frame);
}

static void on_open(void *ctx)
{
    struct beat *beat = ctx;

    beat->greeted = true;
    stream_read_by_hand(beat->stream);
    send_hello(beat);
    send_beat(beat);
    reactor_timer_set_ms(beat->reactor, &beat->timer, beat->aim.interval_ms);
}

static void on_frame(void *ctx, const Control__Frame *frame)
{
    struct beat *beat = ctx;

    if (frame->heartbeat_answer != NULL)
        reactor_timer_set_ms(beat->reactor, &beat->silence, beat->aim.silence_ms);
}

static void on_silence(struct reactor_timer *timer)
{
    struct beat *beat = container_of(timer, struct beat, silence);

    beat->conf.on_silent(beat->conf.ctx, beat->aim.number);
}

static void hang_up(struct beat *beat)
{
    stream_close(&beat->stream);
    beat->greeted = false;
}

static void on_end(void *ctx, enum stream_end reason)
{
    struct beat *beat = ctx;

    (void)reason;
    hang_up(beat);
    reactor_timer_set_ms(beat->reactor, &beat->timer, RECONNECT_MS);
}

static const struct stream_handler handler = { .on_open = on_open,
                                               .on_frame = on_frame,
                                               .on_end = on_end };

static void on_timer(struct reactor_timer *timer)
{
    struct beat *beat = container_of(timer, struct beat, timer);

    if (!beat->aimed)
        return;
    if (beat->stream == NULL) {
        beat->stream = stream_connect(beat->reactor, &beat->aim.addr, NULL, &handler, beat);
    } else if (beat->greeted) {
        stream_read(beat->stream); /* the answer to the last one */
        if (beat->stream == NULL)
            return; /* that was its end */
        send_beat(beat);
        reactor_timer_set_ms(beat->reactor, &beat->timer, beat->aim.interval_ms);
    }
}

static void take_aim(struct msg *msg)
{
    struct order *order = container_of(msg, struct order, msg);
    struct beat *beat = order->beat;

    hang_up(beat);
    reactor_timer_cancel(beat->reactor, &beat->timer);
    reactor_timer_cancel(beat->reactor, &beat->silence);
    beat->aimed = order->aimed;
    beat->aim = order->aim;
    if (beat->aimed) {
        reactor_timer_set_ms(beat->reactor, &beat->timer, 0);
        reactor_timer_set_ms(beat->reactor, &beat->silence, beat->aim.silence_ms);
    }
    free(order);
}

void beat_aim(struct beat *beat, const struct beat_aim *aim)
{
    struct order *order = xcalloc(1, sizeof *order);

    order->msg.run = take_aim;
    order->beat = beat;
    order->aimed = aim != NULL;
    if (aim != NULL)
        order->aim = *aim;
    reactor_post(beat->reactor, &order->msg);
}

struct beat *beat_start(const struct beat_conf *conf)
{
    struct beat *beat = xcalloc(1, sizeof *beat);

    beat->conf = *conf;
    beat->cluster_id = xstrdup(conf->cluster_id);
    beat->reactor = reactor_new();
    reactor_timer_init(&beat->timer, on_timer);
    reactor_timer_init(&beat->silence, on_silence);
    reactor_start(beat->reactor, T_BEAT, -1);
    return beat;
}

static void end(void *arg)
{
    struct beat *beat = arg;

    reactor_timer_cancel(beat->reactor, &beat->timer);
    reactor_timer_cancel(beat->reactor, &beat->silence);
    hang_up(beat);
}

void beat_stop(struct beat **beat_ptr)
{
    struct beat *beat = *beat_ptr;

    *beat_ptr = NULL;
    reactor_call(beat->reactor, end, beat);
    reactor_stop(beat->reactor);
    reactor_free(&beat->reactor);
    free(beat->cluster_id);
    free(beat);
}
