/*
 * reactor: the order of things within a turn, timers in order of time, and the wake-up from other
 * threads.
 */
#include "common/io/reactor.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static int64_t now_us;
static int order[4096];
static int order_len;

static int64_t told_time(void *arg)
{
    (void)arg;
    return now_us;
}

static struct reactor *hand_driven(void)
{
    struct reactor *reactor = reactor_new();

    now_us = 1000000;
    order_len = 0;
    reactor_set_clock(reactor, told_time, NULL);
    return reactor;
}

struct timed {
    struct reactor_timer timer;
    int id;
};

static void note_timer(struct reactor_timer *timer)
{
    ck_assert(!reactor_timer_is_set(timer));
    order[order_len++] = container_of(timer, struct timed, timer)->id;
}

START_TEST(timers_run_in_order_of_time)
{
    struct reactor *reactor = hand_driven();
    static struct timed timed[1000];

    srandom(7);
    for (int i = 0; i < 1000; i++) {
        reactor_timer_init(&timed[i].timer, note_timer);
        timed[i].id = 1 + (int)(random() % 5000);
        reactor_timer_set_us(reactor, &timed[i].timer, timed[i].id);
    }
    for (int i = 0; i < 1000; i += 3) { /* moved */
        timed[i].id = 1 + (int)(random() % 5000);
        reactor_timer_set_us(reactor, &timed[i].timer, timed[i].id);
    }
    for (int i = 0; i < 1000; i += 5)
        reactor_timer_cancel(reactor, &timed[i].timer);
    for (now_us = 1000000; now_us <= 1005000; now_us += 50) {
        reactor_turn(reactor, true);
        for (int i = 0; i < order_len; i++)
            ck_assert_int_le(order[i], (int)(now_us - 1000000));
    }
    ck_assert_int_eq(order_len, 800);
    for (int i = 1; i < order_len; i++)
        ck_assert_int_le(order[i - 1], order[i]);
    reactor_free(&reactor);
}
END_TEST

struct work {
    struct reactor *reactor;
    struct reactor_task task, more;
    struct msg msg;
    int id, left;
};

static void note_task(struct reactor_task *task)
{
    order[order_len++] = container_of(task, struct work, task)->id;
}

static void note_more(struct reactor_task *task)
{
    struct work *work = container_of(task, struct work, more);

    order[order_len++] = 100 + work->id;
    reactor_defer(work->reactor, &work->task); /* still in this turn */
    if (work->left-- > 0)
        reactor_defer_next(work->reactor, &work->more); /* in the next */
}

START_TEST(deferred_tasks_run_once_at_the_end_of_the_turn)
{
    struct reactor *reactor = hand_driven();
    struct work a = { .reactor = reactor, .id = 1 }, b = { .reactor = reactor, .id = 2 };

    reactor_task_init(&a.task, note_task);
    reactor_task_init(&b.task, note_task);
    reactor_task_init(&a.more, note_more);
    a.left = 1;
    reactor_defer(reactor, &b.task);
    reactor_defer(reactor, &a.more);
    reactor_defer(reactor, &b.task);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 3);
    ck_assert_int_eq(order[0], 2);
    ck_assert_int_eq(order[1], 101);
    ck_assert_int_eq(order[2], 1);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 5);
    reactor_defer_next(reactor, &b.task);
    reactor_defer_next(reactor, &a.task);
    reactor_undefer(reactor, &a.task);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 5);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 6);
    ck_assert_int_eq(order[5], 2);
    reactor_free(&reactor);
}
END_TEST

static void on_byte(void *arg, unsigned what)
{
    char byte;

    ck_assert_uint_eq(what, REACTOR_READ);
    ck_assert_int_eq(read(*(int *)arg, &byte, 1), 1);
    order[order_len++] = byte;
}

START_TEST(watches_tell_as_long_as_it_is_so)
{
    struct reactor *reactor = hand_driven();
    int fds[2];

    ck_assert_int_eq(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
    struct watch *watch = watch_new(reactor, fds[0], on_byte, &fds[0]);
    ck_assert_int_eq(write(fds[1], "xy", 2), 2);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 0);
    watch_set(watch, REACTOR_READ);
    reactor_turn(reactor, true);
    reactor_turn(reactor, true);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 2);
    ck_assert_int_eq(write(fds[1], "z", 1), 1);
    watch_set(watch, 0);
    reactor_turn(reactor, true);
    ck_assert_int_eq(order_len, 2);
    watch_free(&watch);
    close(fds[0]);
    close(fds[1]);
    reactor_free(&reactor);
}
END_TEST

/* ---- with a thread ---- */

struct ball {
    struct msg msg;
    struct reactor *at, *other;
    int left;
    _Atomic int *done;
};

static void kick(struct msg *msg)
{
    struct ball *ball = container_of(msg, struct ball, msg);
    struct reactor *next = ball->other;

    ck_assert(reactor_is_here(ball->at));
    ck_assert(!reactor_is_here(ball->other));
    ck_assert_int_eq(thread_current(), T_REACTOR);
    if (--ball->left == 0) {
        atomic_store(ball->done, 1);
        return;
    }
    ball->other = ball->at;
    ball->at = next;
    reactor_post(next, msg);
}

static void nothing(void *arg)
{
    ++*(int *)arg;
}

START_TEST(messages_wake_the_sleeping)
{
    struct reactor *a = reactor_new(), *b = reactor_new();
    _Atomic int done = 0;
    struct ball ball = { .msg = { .run = kick }, .at = a, .other = b, .left = 2000, .done = &done };
    int calls = 0;

    reactor_start(a, T_REACTOR, 0);
    reactor_start(b, T_REACTOR, 1);
    reactor_post(a, &ball.msg);
    do /* once at least: the ball may be faster than we are */
        reactor_call(b, nothing, &calls);
    while (!atomic_load(&done));
    ck_assert_int_gt(calls, 0);
    ck_assert_uint_gt(reactor_turns(a), 0);
    reactor_stop(a);
    reactor_stop(b);
    ck_assert_int_eq(reactor_busy_ms(a), 0);
    reactor_call(b, nothing, &calls); /* not running: here and now */
    reactor_free(&a);
    reactor_free(&b);
}
END_TEST

struct alarm {
    struct reactor_timer timer;
    struct msg msg;
    struct reactor *reactor;
    _Atomic int rung;
};

static void ring(struct reactor_timer *timer)
{
    atomic_store(&container_of(timer, struct alarm, timer)->rung, 1);
}

static void set_alarm(void *arg)
{
    struct alarm *alarm = arg;

    reactor_timer_set_us(alarm->reactor, &alarm->timer, 1500);
}

START_TEST(a_sleeping_loop_wakes_for_its_timers)
{
    struct alarm alarm = { .reactor = reactor_new() };

    reactor_timer_init(&alarm.timer, ring);
    reactor_start(alarm.reactor, T_CONTROL, -1);
    for (int i = 0; i < 20; i++) {
        atomic_store(&alarm.rung, 0);
        reactor_call(alarm.reactor, set_alarm, &alarm);
        while (!atomic_load(&alarm.rung))
            ;
    }
    reactor_stop(alarm.reactor);
    reactor_free(&alarm.reactor);
}
END_TEST

#define LONG_MS 300

static void be_long(void *arg)
{
    struct reactor *reactor = arg;
    int64_t busy_ms;

    ck_assert_ptr_eq(reactor_current(), reactor);
    do
        busy_ms = reactor_busy_ms(reactor);
    while (busy_ms < LONG_MS);
    reactor_progress(reactor);
    ck_assert_int_lt(reactor_busy_ms(reactor), busy_ms);
}

START_TEST(a_long_turn_that_gets_on_is_not_stuck)
{
    struct reactor *reactor = reactor_new();

    ck_assert_ptr_null(reactor_current());
    reactor_progress(NULL);
    reactor_start(reactor, T_CONTROL, -1);
    reactor_call(reactor, be_long, reactor);
    reactor_stop(reactor);
    ck_assert_int_eq(reactor_busy_ms(reactor), 0);
    reactor_free(&reactor);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("reactor");

    tcase_add_test(tc, timers_run_in_order_of_time);
    tcase_add_test(tc, deferred_tasks_run_once_at_the_end_of_the_turn);
    tcase_add_test(tc, watches_tell_as_long_as_it_is_so);
    tcase_add_test(tc, messages_wake_the_sleeping);
    tcase_add_test(tc, a_long_turn_that_gets_on_is_not_stuck);
    tcase_add_test(tc, a_sleeping_loop_wakes_for_its_timers);
    return unit_run(tc);
}
