/*
 * beat: beats come from a thread of their own, and say so when one of the threads that do the work
 * does not get on any more.
 */
#include "broker/control/beat.h"

#include <check.h>
#include <semaphore.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/stream/stream.h"
#include "tests/kit/unit.h" /* unit_run */

static struct reactor *reactor; /* the controller's, driven by hand */
static struct net_listener *listener;
static struct stream *stream;
static bool is_stalled; /* what the last beat said */
static int n_beats;

/* ---- the controller ---- */

static void on_frame(void *ctx, const Control__Frame *frame)
{
    (void)ctx;
    if (frame->heartbeat == NULL)
        return;
    is_stalled = frame->heartbeat->stalled;
    n_beats++;
}

static const struct stream_handler handler = { .on_frame = on_frame };

static void on_accept(void *arg, const struct net_accepted *accepted)
{
    (void)arg;
    ck_assert_int_ge(accepted->fd, 0);
    stream = stream_accept(reactor, accepted->fd, NULL, &handler, NULL);
}

static void on_silent(void *ctx, uint64_t aim)
{
    (void)ctx;
    (void)aim;
}

static void start(void)
{
    struct net_addr addr;

    reactor = reactor_new();
    n_beats = 0;
    ck_assert_int_eq(net_addr_find("127.0.0.1", 0, &addr), ERR_OK);
    ck_assert_int_eq(net_listen(reactor, &addr, 0, on_accept, NULL, &listener), ERR_OK);
}

static void finish(void)
{
    stream_close(&stream);
    net_listener_close(&listener);
    reactor_free(&reactor);
}

static void aim_here(struct beat *beat)
{
    struct beat_aim aim = { .broker_epoch = 1, .interval_ms = 5, .silence_ms = 600000 };

    net_listener_addr(listener, &aim.addr);
    beat_aim(beat, &aim);
}

/* For a beat that says so; the test's time-out bounds it. */
static void wait_for(bool stalled)
{
    int seen = n_beats;

    while (n_beats == seen || is_stalled != stalled) {
        reactor_turn(reactor, false);
        usleep(500);
    }
}

/* ---- a thread that is stuck ---- */

struct stuck {
    struct msg msg;
    sem_t until;
};

static void be_stuck(struct msg *msg)
{
    while (sem_wait(&container_of(msg, struct stuck, msg)->until) != 0)
        ;
}

static void a_stall_of_it_is_said(struct reactor *worker, const struct beat_conf *conf)
{
    struct beat *beat = beat_start(conf);
    struct stuck stuck = { .msg = { .run = be_stuck } };

    sem_init(&stuck.until, 0, 0);
    aim_here(beat);
    wait_for(false);
    reactor_post(worker, &stuck.msg);
    wait_for(true); /* and beats go on */
    wait_for(true);
    sem_post(&stuck.until);
    wait_for(false);
    beat_stop(&beat);
    sem_destroy(&stuck.until);
}

START_TEST(a_stuck_thread_is_told_of)
{
    struct reactor *worker = reactor_new();
    struct beat_conf conf = {
        .cluster_id = "c", .stall_ms = 600000, .control_stall_ms = 600000, .on_silent = on_silent
    };

    start();
    reactor_start(worker, _i == 0 ? T_REACTOR : T_CONTROL, -1);
    if (_i == 0) {
        conf.reactors = &worker;
        conf.reactors_len = 1;
        conf.stall_ms = 50;
    } else {
        conf.control = worker;
        conf.control_stall_ms = 50;
    }
    a_stall_of_it_is_said(worker, &conf);
    reactor_stop(worker);
    reactor_free(&worker);
    finish();
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("beat");

    tcase_add_loop_test(tc, a_stuck_thread_is_told_of, 0, 2);
    return unit_run(tc);
}
