/*
 * thread - start and join threads of a known kind; say which kind a function is for.
 *
 * Threads: thread_start() blocks all signals in the new thread; signals are main's business.
 */
#ifndef COMMON_BASE_THREAD_H
#define COMMON_BASE_THREAD_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

enum thread_kind {
    T_ANY, /* a thread that nobody named: a test's, a library's */
#define THREAD(kind, name, purpose) kind,
#include "common/base/thread.def"
#undef THREAD
    THREAD_KINDS
};

struct thread {
    pthread_t handle;
    bool running; /* started and not yet joined */
};

/* Runs run(arg) on a new thread named after its kind and index ("reactor-1"; index < 0: no number).
 * Aborts when the system refuses a thread. */
void thread_start(struct thread *thread, enum thread_kind kind, int index, void (*run)(void *),
                  void *arg);
/* The same for one that nobody joins: for what may block for so long that no stop can wait for it.
 */
void thread_start_detached(enum thread_kind kind, void (*run)(void *), void *arg);
/* Waits for its end; nothing when it is not running. */
void thread_join(struct thread *thread);

/* Makes the calling thread one of that kind: main's, a test's. */
void thread_adopt(enum thread_kind kind);
enum thread_kind thread_current(void);
const char *thread_name(void);
const char *thread_purpose(enum thread_kind kind);

/* Owned code opens with this. A thread nobody named may do everything: tests run on it. */
#define assert_on(kind) assert(thread_current() == (kind) || thread_current() == T_ANY)

#endif
