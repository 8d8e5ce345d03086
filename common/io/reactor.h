/*
 * reactor - one thread, one event base: its mailbox, its timers, its file descriptors.
 *
 * A loop turn is: wait for events (not at all when something is due), run their callbacks, run the
 * mailbox, run the timers that are due, run what was deferred. What many callbacks of a turn ask
 * for (one flush per connection, one wake per waiting fetch) is deferred, and so done once.
 *
 * Units:     _us and _ms as named, of the monotonic clock.
 * Ownership: timers, tasks and messages are part of whatever they are about; they must be idle when
 *            that is freed. A watch is freed by its owner, also inside its own callback.
 * Threads:   one loop per reactor, on a thread of the kind given to reactor_start(). From other
 *            threads: reactor_post(), reactor_call(), reactor_turns(), reactor_busy_ms(),
 *            reactor_progress(), reactor_stop(). A reactor that was not started is driven by hand,
 *            with reactor_turn(), by one thread.
 */
#ifndef COMMON_IO_REACTOR_H
#define COMMON_IO_REACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/mailbox.h"
#include "common/base/thread.h"

struct reactor;
struct event_base; /* libevent's; for common/io only */

struct reactor *reactor_new(void);
/* It must not be running. Messages that nobody has run are lost. */
void reactor_free(struct reactor **reactor_ptr);

void reactor_start(struct reactor *reactor, enum thread_kind kind, int index);
/* Runs what was posted before, ends the loop, joins the thread. Nothing runs on it afterwards. */
void reactor_stop(struct reactor *reactor);

/* One turn by hand; wait: block until there is something to do. Returns false once stopped. */
bool reactor_turn(struct reactor *reactor, bool wait);
/* Time as told instead of the clock's, for tests: timers follow it, reactor_turn() never waits. */
void reactor_set_clock(struct reactor *reactor, int64_t (*now_us)(void *), void *arg);

/* The time at which this turn's callbacks began. */
int64_t reactor_now_us(const struct reactor *reactor);
int64_t reactor_now_ms(const struct reactor *reactor);

/* ---- from other threads ---- */

void reactor_post(struct reactor *reactor, struct msg *msg);
/* For who posts by mailbox. */
struct mailbox *reactor_mailbox(struct reactor *reactor);
/* Runs fn(arg) on the reactor's thread and returns when it has run; at once when the reactor is not
 * running or the caller is on it. The caller holds no lock. */
void reactor_call(struct reactor *reactor, void (*fn)(void *), void *arg);
/* True on the loop's own thread, and everywhere while it is not running. */
bool reactor_is_here(const struct reactor *reactor);
/* Turns begun so far. */
uint64_t reactor_turns(const struct reactor *reactor);
/* How long the present turn has been at work, or has not got on; 0 while it waits for events. What
 * a heartbeat is gated on: a reactor that is busy for long is stuck. */
int64_t reactor_busy_ms(const struct reactor *reactor);
/* The turn under way is long, but has got on by one step. By its own thread, or one that it waits
 * for. NULL: nothing. */
void reactor_progress(struct reactor *reactor);
/* The one whose loop runs on this thread; NULL: none. */
struct reactor *reactor_current(void);

/* ---- timers ---- */

struct reactor_timer {
    int64_t due_us;                       /* [o] */
    size_t place;                         /* [o] in the reactor's heap, from 1; 0: not set */
    void (*run)(struct reactor_timer *t); /* [I] called once per set, with the timer not set */
};

static inline void reactor_timer_init(struct reactor_timer *timer,
                                      void (*run)(struct reactor_timer *))
{
    *timer = (struct reactor_timer){ .run = run };
}
static inline bool reactor_timer_is_set(const struct reactor_timer *timer)
{
    return timer->place != 0;
}
/* Due delay_us after now; moves it when it is set already. */
void reactor_timer_set_us(struct reactor *reactor, struct reactor_timer *timer, int64_t delay_us);
static inline void reactor_timer_set_ms(struct reactor *reactor, struct reactor_timer *timer,
                                        int64_t delay_ms)
{
    reactor_timer_set_us(reactor, timer,
                         delay_ms > INT64_MAX / 2000 ? INT64_MAX / 2 : delay_ms * 1000);
}
/* Fine when it is not set. */
void reactor_timer_cancel(struct reactor *reactor, struct reactor_timer *timer);

/* ---- the end of a turn ---- */

struct reactor_task {
    struct reactor_task *next;
    struct reactor_task **prev; /* [o] NULL: not deferred */
    void (*run)(struct reactor_task *task);
};

static inline void reactor_task_init(struct reactor_task *task, void (*run)(struct reactor_task *))
{
    *task = (struct reactor_task){ .run = run };
}
static inline bool reactor_task_is_deferred(const struct reactor_task *task)
{
    return task->prev != NULL;
}
/* Runs at the end of this turn, once, after all that was deferred before; nothing when it is
 * deferred already. */
void reactor_defer(struct reactor *reactor, struct reactor_task *task);
/* Runs at the end of the next turn, which does not wait: for who has had his share of this one. */
void reactor_defer_next(struct reactor *reactor, struct reactor_task *task);
void reactor_undefer(struct reactor *reactor, struct reactor_task *task);

/* ---- file descriptors ---- */

enum {
    REACTOR_READ = 1,  /* there are bytes, or the end of the stream */
    REACTOR_WRITE = 2, /* there is room */
};

struct watch;

/* Watches nothing yet. on_ready: which of the watched events there are; called as long as that is
 * so (level-triggered). */
struct watch *watch_new(struct reactor *reactor, int fd, void (*on_ready)(void *arg, unsigned what),
                        void *arg);
/* Changes what is watched; nothing when that is as it was. */
void watch_set(struct watch *watch, unsigned what);
unsigned watch_get(const struct watch *watch);
/* Before fd is closed. */
void watch_free(struct watch **watch_ptr);

/* For the other modules of common/io, on the reactor's thread. */
struct event_base *reactor_base(struct reactor *reactor);

#endif
