/*
 * The loop drives libevent one turn at a time (EVLOOP_ONCE), and does timers itself: a binary heap
 * of pointers into the callers' structs, and one timerfd, set only when the earliest deadline comes
 * to lie before what it is set to. libevent's own precise timers cost 128 bytes each and a
 * timerfd_settime() in every turn; without them its clock is milliseconds off. A cancelled timer
 * leaves the timerfd as it is: at worst one wake-up for nothing.
 *
 * Whether the thread sleeps is told to the mailbox just before libevent waits, and taken back by
 * whichever callback comes first, so posts to a busy reactor cost no system call. The mailbox's
 * eventfd and the timerfd are watched edge-triggered and never read: each write and each expiry is
 * an edge, whatever was left in them.
 *
 * The clock is read at most once a turn, when somebody asks.
 */
#include "common/io/reactor.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/lock.h"
#include "common/base/mem.h"

struct tasks {
    struct reactor_task *first;
    struct reactor_task **last; /* where the next one is hung */
};

/* [I] before start   [o] the loop's thread   [a] atomic */
struct reactor {
    struct event_base *base;       /* [o] */
    struct mailbox mailbox;        /* posted to by any */
    struct event wake_event;       /* [o] on the mailbox */
    struct event alarm_event;      /* [o] on alarm_fd */
    int alarm_fd;                  /* [I] timerfd of the heap's first */
    int64_t alarm_us;              /* [o] what it is set to; 0: not set */
    struct reactor_timer **heap;   /* [o] from place 1; place 0 is unused */
    size_t heap_count;             /* [o] */
    size_t heap_cap;               /* [o] */
    struct tasks now;              /* [o] run at the end of this turn */
    struct tasks later;            /* [o] run at the end of the next */
    int64_t now_us;                /* [o] 0: not read yet in this turn */
    int64_t (*clock)(void *);      /* [I] NULL: the real one */
    void *clock_arg;               /* [I] */
    bool asleep;                   /* [o] the mailbox was told so */
    bool stopped;                  /* [o] */
    struct msg stop_msg;           /* reactor_stop()'s */
    struct thread thread;          /* the starter's */
    atomic_bool running;           /* [a] a thread drives it */
    _Atomic uint64_t turns;        /* [a] relaxed: a count to look at */
    _Atomic int64_t busy_since_us; /* [a] relaxed; 0: waiting */
};

static __thread struct reactor *here;

static void tasks_init(struct tasks *tasks)
{
    tasks->first = NULL;
    tasks->last = &tasks->first;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* The first callback of a turn ends the sleep. */
static void begin_work(struct reactor *reactor)
{
    if (!reactor->asleep)
        return;
    reactor->asleep = false;
    mailbox_awake(&reactor->mailbox);
    atomic_store_explicit(&reactor->busy_since_us, reactor_now_us(reactor), memory_order_relaxed);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct reactor *reactor = arg;

    (void)fd;
    (void)what;
    begin_work(reactor); /* or it was written as we woke up for something else */
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    struct reactor *reactor = arg;

    (void)fd;
    (void)what;
    begin_work(reactor);
    /* It has not been set anew since it fired: that is done right before waiting only, and epoll
     * looks once more at what it is about to tell. */
    reactor->alarm_us = 0;
}

struct reactor *reactor_new(void)
{
    struct reactor *reactor = xcalloc(1, sizeof *reactor);
    struct event_config *config = event_config_new();

    must(config != NULL, "event_config_new");
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    event_config_require_features(config, EV_FEATURE_ET);
    reactor->base = event_base_new_with_config(config);
    event_config_free(config);
    must(reactor->base != NULL, "event_base_new");

    mailbox_init(&reactor->mailbox);
    event_assign(&reactor->wake_event, reactor->base, reactor->mailbox.wake_fd,
                 EV_READ | EV_PERSIST | EV_ET, on_wake, reactor);
    must(event_add(&reactor->wake_event, NULL) == 0, "event_add");
    reactor->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    must(reactor->alarm_fd >= 0, "timerfd_create");
    event_assign(&reactor->alarm_event, reactor->base, reactor->alarm_fd,
                 EV_READ | EV_PERSIST | EV_ET, on_alarm, reactor);
    must(event_add(&reactor->alarm_event, NULL) == 0, "event_add");
    tasks_init(&reactor->now);
    tasks_init(&reactor->later);
    return reactor;
}

void reactor_free(struct reactor **reactor_ptr)
{
    struct reactor *reactor = *reactor_ptr;

    *reactor_ptr = NULL;
    if (reactor == NULL)
        return;
    assert(!atomic_load(&reactor->running));
    event_del(&reactor->wake_event);
    event_del(&reactor->alarm_event);
    close(reactor->alarm_fd);
    mailbox_fini(&reactor->mailbox);
    event_base_free(reactor->base);
    free(reactor->heap);
    free(reactor);
}

struct event_base *reactor_base(struct reactor *reactor)
{
    return reactor->base;
}

/* ---- the loop ---- */

int64_t reactor_now_us(const struct reactor *reactor)
{
    struct reactor *r = (struct reactor *)(uintptr_t)reactor; /* a cache, filled on demand */

    if (r->now_us == 0)
        r->now_us = r->clock != NULL ? r->clock(r->clock_arg) : clock_mono_us();
    return r->now_us;
}

int64_t reactor_now_ms(const struct reactor *reactor)
{
    return reactor_now_us(reactor) / 1000;
}

void reactor_set_clock(struct reactor *reactor, int64_t (*now_us)(void *), void *arg)
{
    reactor->clock = now_us;
    reactor->clock_arg = arg;
    reactor->now_us = 0;
}

static void arm(struct reactor *reactor)
{
    int64_t due_us = reactor->heap[1]->due_us;

    if (reactor->alarm_us != 0 && reactor->alarm_us <= due_us)
        return;
    struct itimerspec at = { .it_value = { .tv_sec = due_us / 1000000,
                                           .tv_nsec = due_us % 1000000 * 1000 } };
    must(timerfd_settime(reactor->alarm_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0, "timerfd_settime");
    reactor->alarm_us = due_us;
}

/* May the loop wait? If so the alarm is set and posters have been told. */
static bool go_to_sleep(struct reactor *reactor)
{
    if (reactor->now.first != NULL || reactor->clock != NULL)
        return false;
    if (reactor->heap_count > 0) {
        if (reactor->heap[1]->due_us <= reactor_now_us(reactor))
            return false;
        arm(reactor);
    }
    if (!mailbox_sleep(&reactor->mailbox))
        return false;
    reactor->asleep = true;
    atomic_store_explicit(&reactor->busy_since_us, 0, memory_order_relaxed);
    return true;
}

static void run_timers(struct reactor *reactor)
{
    if (reactor->heap_count == 0)
        return;
    int64_t now_us = reactor_now_us(reactor);
    while (reactor->heap_count > 0 && reactor->heap[1]->due_us <= now_us) {
        struct reactor_timer *timer = reactor->heap[1];

        reactor_timer_cancel(reactor, timer);
        timer->run(timer);
    }
}

static void run_tasks(struct reactor *reactor)
{
    while (reactor->now.first != NULL) {
        struct reactor_task *task = reactor->now.first;

        reactor_undefer(reactor, task);
        task->run(task);
    }
    if (reactor->later.first != NULL) {
        reactor->now = reactor->later;
        reactor->now.first->prev = &reactor->now.first;
        tasks_init(&reactor->later);
    }
}

bool reactor_turn(struct reactor *reactor, bool wait)
{
    assert(reactor_is_here(reactor));
    bool sleeping = wait && go_to_sleep(reactor);

    reactor->now_us = 0;
    atomic_fetch_add_explicit(&reactor->turns, 1, memory_order_relaxed);
    if (!sleeping && atomic_load_explicit(&reactor->busy_since_us, memory_order_relaxed) != 0)
        atomic_store_explicit(&reactor->busy_since_us, reactor_now_us(reactor),
                              memory_order_relaxed);
    event_base_loop(reactor->base, EVLOOP_ONCE | (sleeping ? 0 : EVLOOP_NONBLOCK));
    begin_work(reactor);
    mailbox_run(&reactor->mailbox);
    run_timers(reactor);
    run_tasks(reactor);
    reactor->now_us = 0;
    return !reactor->stopped;
}

static void run_loop(void *arg)
{
    struct reactor *reactor = arg;

    here = reactor;
    reactor_progress(reactor); /* it may find something to do before it has ever slept */
    while (reactor_turn(reactor, true))
        ;
    here = NULL;
}

static void on_stop(struct msg *msg)
{
    container_of(msg, struct reactor, stop_msg)->stopped = true;
}

void reactor_start(struct reactor *reactor, enum thread_kind kind, int index)
{
    assert(!atomic_load(&reactor->running));
    reactor->stopped = false;
    atomic_store(&reactor->running, true);
    thread_start(&reactor->thread, kind, index, run_loop, reactor);
}

void reactor_stop(struct reactor *reactor)
{
    if (!atomic_load(&reactor->running))
        return;
    assert(!reactor_is_here(reactor));
    reactor->stop_msg.run = on_stop;
    reactor_post(reactor, &reactor->stop_msg);
    thread_join(&reactor->thread);
    reactor->stopped = false;
    atomic_store(&reactor->running, false);
    atomic_store_explicit(&reactor->busy_since_us, 0, memory_order_relaxed);
}

/* ---- from other threads ---- */

bool reactor_is_here(const struct reactor *reactor)
{
    return here == reactor || !atomic_load_explicit(&reactor->running, memory_order_acquire);
}

struct mailbox *reactor_mailbox(struct reactor *reactor)
{
    return &reactor->mailbox;
}

void reactor_post(struct reactor *reactor, struct msg *msg)
{
    mailbox_post(&reactor->mailbox, msg);
}

struct call {
    struct msg msg;
    void (*fn)(void *);
    void *arg;
    struct lock lock;
    struct cond cond;
    bool done; /* [m] */
};

static void run_call(struct msg *msg)
{
    struct call *call = container_of(msg, struct call, msg);

    call->fn(call->arg);
    lock_take(&call->lock);
    call->done = true;
    cond_signal(&call->cond); /* under the lock: the caller's stack goes when it is dropped */
    lock_drop(&call->lock);
}

void reactor_call(struct reactor *reactor, void (*fn)(void *), void *arg)
{
    if (reactor_is_here(reactor)) {
        fn(arg);
        return;
    }
    struct call call = { .msg = { .run = run_call }, .fn = fn, .arg = arg };
    lock_init(&call.lock, LOCK_LEAF);
    cond_init(&call.cond);
    reactor_post(reactor, &call.msg);
    lock_take(&call.lock);
    while (!call.done)
        cond_wait(&call.cond, &call.lock);
    lock_drop(&call.lock);
    cond_fini(&call.cond);
    lock_fini(&call.lock);
}

uint64_t reactor_turns(const struct reactor *reactor)
{
    return atomic_load_explicit(&reactor->turns, memory_order_relaxed);
}

int64_t reactor_busy_ms(const struct reactor *reactor)
{
    int64_t since_us = atomic_load_explicit(&reactor->busy_since_us, memory_order_relaxed);

    return since_us == 0 ? 0 : (clock_mono_us() - since_us) / 1000;
}

void reactor_progress(struct reactor *reactor)
{
    if (reactor != NULL)
        atomic_store_explicit(&reactor->busy_since_us, clock_mono_us(), memory_order_relaxed);
}

struct reactor *reactor_current(void)
{
    return here;
}

/* ---- timers ---- */

static void put(struct reactor *reactor, size_t place, struct reactor_timer *timer)
{
    reactor->heap[place] = timer;
    timer->place = place;
}

/* Moves the timer towards the root or the leaves from place, a hole, until it fits. */
static void sift(struct reactor *reactor, size_t place, struct reactor_timer *timer)
{
    struct reactor_timer **heap = reactor->heap;
    size_t count = reactor->heap_count;

    while (place > 1 && timer->due_us < heap[place / 2]->due_us) {
        put(reactor, place, heap[place / 2]);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;

        if (child > count)
            break;
        if (child < count && heap[child + 1]->due_us < heap[child]->due_us)
            child++;
        if (heap[child]->due_us >= timer->due_us)
            break;
        put(reactor, place, heap[child]);
        place = child;
    }
    put(reactor, place, timer);
}

void reactor_timer_set_us(struct reactor *reactor, struct reactor_timer *timer, int64_t delay_us)
{
    assert(timer->run != NULL);
    int64_t now_us = reactor_now_us(reactor);

    if (delay_us < 1)
        delay_us = 1; /* the next turn at the earliest */
    timer->due_us = delay_us > INT64_MAX - now_us ? INT64_MAX : now_us + delay_us;
    if (timer->place == 0) {
        array_reserve(&reactor->heap, &reactor->heap_cap, reactor->heap_count + 1,
                      sizeof(struct reactor_timer *));
        timer->place = ++reactor->heap_count;
    }
    sift(reactor, timer->place, timer);
}

void reactor_timer_cancel(struct reactor *reactor, struct reactor_timer *timer)
{
    size_t place = timer->place;

    if (place == 0)
        return;
    assert(reactor->heap[place] == timer);
    struct reactor_timer *last = reactor->heap[reactor->heap_count--];
    timer->place = 0;
    if (last != timer)
        sift(reactor, place, last);
}

/* ---- the end of a turn ---- */

static void hang(struct tasks *tasks, struct reactor_task *task)
{
    assert(task->run != NULL);
    task->next = NULL;
    task->prev = tasks->last;
    *tasks->last = task;
    tasks->last = &task->next;
}

void reactor_defer(struct reactor *reactor, struct reactor_task *task)
{
    if (task->prev == NULL)
        hang(&reactor->now, task);
}

void reactor_defer_next(struct reactor *reactor, struct reactor_task *task)
{
    if (task->prev == NULL)
        hang(&reactor->later, task);
}

void reactor_undefer(struct reactor *reactor, struct reactor_task *task)
{
    if (task->prev == NULL)
        return;
    *task->prev = task->next;
    if (task->next != NULL)
        task->next->prev = task->prev;
    else if (reactor->now.last == &task->next)
        reactor->now.last = task->prev;
    else
        reactor->later.last = task->prev;
    task->prev = NULL;
    task->next = NULL;
}

/* ---- file descriptors ---- */

struct watch {
    struct reactor *reactor;
    void (*on_ready)(void *arg, unsigned what);
    void *arg;
    unsigned what;
    struct event in; /* two events, so that adding WRITE is one epoll_ctl and READ stays */
    struct event out;
};

static void on_in(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    begin_work(watch->reactor);
    watch->on_ready(watch->arg, REACTOR_READ);
}

static void on_out(evutil_socket_t fd, short what, void *arg)
{
    struct watch *watch = arg;

    (void)fd;
    (void)what;
    begin_work(watch->reactor);
    watch->on_ready(watch->arg, REACTOR_WRITE);
}

struct watch *watch_new(struct reactor *reactor, int fd, void (*on_ready)(void *arg, unsigned what),
                        void *arg)
{
    struct watch *watch = xcalloc(1, sizeof *watch);

    assert(reactor_is_here(reactor));
    watch->reactor = reactor;
    watch->on_ready = on_ready;
    watch->arg = arg;
    event_assign(&watch->in, reactor->base, fd, EV_READ | EV_PERSIST, on_in, watch);
    event_assign(&watch->out, reactor->base, fd, EV_WRITE | EV_PERSIST, on_out, watch);
    return watch;
}

static void set_one(struct event *event, bool want)
{
    must((want ? event_add(event, NULL) : event_del(event)) == 0, "epoll_ctl");
}

void watch_set(struct watch *watch, unsigned what)
{
    unsigned changed = watch->what ^ what;

    if (changed & REACTOR_READ)
        set_one(&watch->in, what & REACTOR_READ);
    if (changed & REACTOR_WRITE)
        set_one(&watch->out, what & REACTOR_WRITE);
    watch->what = what;
}

unsigned watch_get(const struct watch *watch)
{
    return watch->what;
}

void watch_free(struct watch **watch_ptr)
{
    struct watch *watch = *watch_ptr;

    *watch_ptr = NULL;
    if (watch == NULL)
        return;
    watch_set(watch, 0);
    free(watch);
}
