/*
 * thread: kinds, names, and that owned code notices the wrong thread.
 */
#include "common/base/thread.h"

#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/kit/unit.h"

struct seen {
    enum thread_kind kind;
    char name[16];
    char os_name[16];
    bool signals_blocked;
    atomic_bool is_done; /* of one that nobody joins */
};

static void look(void *arg)
{
    struct seen *seen = arg;
    sigset_t mask;

    seen->kind = thread_current();
    strncpy(seen->name, thread_name(), sizeof seen->name - 1);
    pthread_getname_np(pthread_self(), seen->os_name, sizeof seen->os_name);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    seen->signals_blocked = sigismember(&mask, SIGTERM) == 1;
}

START_TEST(a_thread_knows_what_it_is)
{
    struct thread thread = { 0 };
    struct seen seen = { 0 };

    thread_join(&thread); /* nothing to wait for */
    thread_start(&thread, T_REACTOR, 2, look, &seen);
    thread_join(&thread);
    ck_assert(!thread.running);
    thread_join(&thread);
    ck_assert_int_eq(seen.kind, T_REACTOR);
    ck_assert_str_eq(seen.name, "reactor-2");
    ck_assert_str_eq(seen.os_name, "reactor-2");
    ck_assert(seen.signals_blocked);
    thread_start(&thread, T_CONTROL, -1, look, &seen);
    thread_join(&thread);
    ck_assert_str_eq(seen.name, "control");
}
END_TEST

static void post_seen(void *arg)
{
    struct seen *seen = arg;

    look(seen);
    atomic_store(&seen->is_done, true);
}

START_TEST(a_detached_thread_knows_what_it_is)
{
    static struct seen seen; /* the thread may outlive the test */

    thread_start_detached(T_RESOLVE, post_seen, &seen);
    while (!atomic_load(&seen.is_done))
        sched_yield();
    ck_assert_int_eq(seen.kind, T_RESOLVE);
    ck_assert_str_eq(seen.os_name, "resolve");
    ck_assert(seen.signals_blocked);
}
END_TEST

START_TEST(a_thread_nobody_named_may_do_everything)
{
    ck_assert_int_eq(thread_current(), T_ANY);
    assert_on(T_REACTOR);
    thread_adopt(T_MAIN);
    ck_assert_int_eq(thread_current(), T_MAIN);
    assert_on(T_MAIN);
    ck_assert_str_eq(thread_name(), "main");
    ck_assert_uint_gt(strlen(thread_purpose(T_MAIN)), 3);
}
END_TEST

START_TEST(the_wrong_thread_is_a_bug)
{
    thread_adopt(T_MAIN);
    assert_on(T_REACTOR); /* aborts here */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("thread");

    tcase_add_test(tc, a_thread_knows_what_it_is);
    tcase_add_test(tc, a_detached_thread_knows_what_it_is);
    tcase_add_test(tc, a_thread_nobody_named_may_do_everything);
    tcase_add_test_raise_signal(tc, the_wrong_thread_is_a_bug, SIGABRT);
    return unit_run(tc);
}
