/*
 * lock: one at a time, in the order of the ranks, by its owner; conditions wait and time out.
 */
#include "common/base/lock.h"

#include <check.h>
#include <signal.h>

#include "common/base/clock.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

static struct lock outer, inner;

static void setup(void)
{
    lock_init(&outer, LOCK_GROUP);
    lock_init(&inner, LOCK_LEAF);
}

static int counter;

static void count(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20000; i++) {
        lock_take(&outer);
        counter++;
        lock_drop(&outer);
    }
}

START_TEST(one_at_a_time)
{
    struct thread threads[4];

    for (int i = 0; i < 4; i++)
        thread_start(&threads[i], T_IO, i, count, NULL);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    ck_assert_int_eq(counter, 80000);
    lock_fini(&outer);
    lock_fini(&inner);
}
END_TEST

START_TEST(the_owner_is_known)
{
    ck_assert(!lock_is_mine(&outer));
    lock_take(&outer);
    ck_assert(lock_is_mine(&outer));
    lock_take(&inner);
    lock_drop(&outer); /* not the last one taken: fine */
    ck_assert(lock_is_mine(&inner));
    lock_drop(&inner);
    ck_assert(lock_try(&outer));
    lock_drop(&outer);
}
END_TEST

static void try_it(void *arg)
{
    *(bool *)arg = lock_try(&outer);
}

START_TEST(a_taken_lock_is_not_had_by_trying)
{
    struct thread thread;
    bool had = true;

    lock_take(&outer);
    thread_start(&thread, T_IO, 0, try_it, &had);
    thread_join(&thread);
    ck_assert(!had);
    lock_drop(&outer);
}
END_TEST

START_TEST(the_wrong_order_is_a_bug)
{
    lock_take(&inner);
    lock_take(&outer); /* aborts here */
}
END_TEST

START_TEST(the_same_rank_twice_is_a_bug)
{
    struct lock twin;

    lock_init(&twin, LOCK_GROUP);
    lock_take(&outer);
    lock_take(&twin); /* aborts here */
}
END_TEST

START_TEST(dropping_what_is_not_mine_is_a_bug)
{
    lock_drop(&outer); /* aborts here */
}
END_TEST

struct gate {
    struct lock lock;
    struct cond cond;
    bool open;
    bool passed;
};

static void pass(void *arg)
{
    struct gate *gate = arg;

    lock_take(&gate->lock);
    while (!gate->open)
        cond_wait(&gate->cond, &gate->lock);
    ck_assert(lock_is_mine(&gate->lock));
    gate->passed = true;
    lock_drop(&gate->lock);
}

START_TEST(a_waiter_is_woken)
{
    struct gate gate = { 0 };
    struct thread thread;

    lock_init(&gate.lock, LOCK_LEAF);
    cond_init(&gate.cond);
    thread_start(&thread, T_IO, 0, pass, &gate);
    lock_take(&gate.lock);
    gate.open = true;
    cond_signal(&gate.cond);
    cond_broadcast(&gate.cond);
    lock_drop(&gate.lock);
    thread_join(&thread);
    ck_assert(gate.passed);
    cond_fini(&gate.cond);
    lock_fini(&gate.lock);
}
END_TEST

START_TEST(waiting_ends_when_time_is_up)
{
    struct cond cond;
    int64_t before = clock_mono_ms();

    cond_init(&cond);
    lock_take(&outer);
    ck_assert(!cond_wait_ms(&cond, &outer, 20));
    ck_assert(!cond_wait_ms(&cond, &outer, -5));
    ck_assert(lock_is_mine(&outer));
    lock_drop(&outer);
    ck_assert_int_ge(clock_mono_ms() - before, 20);
    cond_fini(&cond);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("lock");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, one_at_a_time);
    tcase_add_test(tc, the_owner_is_known);
    tcase_add_test(tc, a_taken_lock_is_not_had_by_trying);
    tcase_add_test_raise_signal(tc, the_wrong_order_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, the_same_rank_twice_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, dropping_what_is_not_mine_is_a_bug, SIGABRT);
    tcase_add_test(tc, a_waiter_is_woken);
    tcase_add_test(tc, waiting_ends_when_time_is_up);
    return unit_run(tc);
}
