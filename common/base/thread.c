#include "common/base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static const struct {
    const char *name;
    const char *purpose;
} kinds[THREAD_KINDS] = {
    [T_ANY] = { "any", "a thread of a test or a library" },
#define THREAD(kind, name, purpose) [kind] = { name, purpose },
#include "common/base/thread.def"
#undef THREAD
};

static __thread enum thread_kind current_kind;
static __thread char current_name[16];

struct start {
    void (*run)(void *);
    void *arg;
    enum thread_kind kind;
    int index;
};

static void name_self(enum thread_kind kind, int index)
{
    current_kind = kind;
    if (index < 0)
        snprintf(current_name, sizeof current_name, "%s", kinds[kind].name);
    else
        snprintf(current_name, sizeof current_name, "%s-%d", kinds[kind].name, index % 10000);
}

static void *run_thread(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    name_self(start.kind, start.index);
    pthread_setname_np(pthread_self(), current_name);
    start.run(start.arg);
    return NULL;
}

static pthread_t create(enum thread_kind kind, int index, void (*run)(void *), void *arg)
{
    struct start *start = xmalloc(sizeof *start);
    sigset_t all, before;
    pthread_t handle;

    *start = (struct start){ .run = run, .arg = arg, .kind = kind, .index = index };
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&handle, NULL, run_thread, start);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        fprintf(stderr, "cannot start a thread: %s\n", strerror(failed));
        abort();
    }
    return handle;
}

void thread_start(struct thread *thread, enum thread_kind kind, int index, void (*run)(void *),
                  void *arg)
{
    thread->handle = create(kind, index, run, arg);
    thread->running = true;
}

void thread_start_detached(enum thread_kind kind, void (*run)(void *), void *arg)
{
    pthread_detach(create(kind, -1, run, arg));
}

void thread_join(struct thread *thread)
{
    if (!thread->running)
        return;
    pthread_join(thread->handle, NULL);
    thread->running = false;
}

void thread_adopt(enum thread_kind kind)
{
    name_self(kind, -1);
}

enum thread_kind thread_current(void)
{
    return current_kind;
}

const char *thread_name(void)
{
    return current_name[0] != '\0' ? current_name : kinds[T_ANY].name;
}

const char *thread_purpose(enum thread_kind kind)
{
    return kinds[kind].purpose;
}
