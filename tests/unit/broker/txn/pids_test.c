/*
 * pids: no id twice, one question at a time, and whoever waits is told, on its reactor.
 */
#include "broker/txn/pids.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

static struct reactor *reactor;
static struct pids *pids;
static int wanted;
static struct pids_waiter waiters[8];
static int done;

static void on_want(void *ctx)
{
    ck_assert_ptr_eq(ctx, &wanted);
    wanted++;
}

static void on_done(struct pids_waiter *waiter)
{
    (void)waiter;
    done++;
}

static void setup(void)
{
    wanted = done = 0;
    reactor = reactor_new();
    pids = pids_new(on_want, &wanted);
    for (int i = 0; i < 8; i++)
        waiters[i] = (struct pids_waiter){ .reactor = reactor, .done = on_done };
}

static void teardown(void)
{
    pids_free(&pids);
    reactor_free(&reactor);
}

static void run(void)
{
    for (int i = 0; i < 3; i++)
        reactor_turn(reactor, false);
}

START_TEST(the_first_waits_for_a_block)
{
    int64_t pid = -7;

    ck_assert(!pids_take(pids, &waiters[0], &pid));
    ck_assert(!pids_take(pids, &waiters[1], &pid));
    ck_assert_int_eq(pid, -7);
    ck_assert_int_eq(wanted, 1);
    pids_give(pids, 1000, 3);
    ck_assert_int_eq(done, 0); /* not from here */
    run();
    ck_assert_int_eq(done, 2);
    ck_assert_int_eq(waiters[0].pid, 1000);
    ck_assert_int_eq(waiters[1].pid, 1001);
    ck_assert(pids_take(pids, &waiters[2], &pid));
    ck_assert_int_eq(pid, 1002);
    ck_assert(!pids_take(pids, &waiters[2], &pid));
    ck_assert_int_eq(wanted, 2);
    pids_give(pids, 2000, 1);
    run();
    ck_assert_int_eq(waiters[2].pid, 2000);
}
END_TEST

START_TEST(a_small_block_asks_for_another)
{
    int64_t pid;

    for (int i = 0; i < 3; i++)
        ck_assert(!pids_take(pids, &waiters[i], &pid));
    pids_give(pids, 10, 2);
    ck_assert_int_eq(wanted, 2);
    run();
    ck_assert_int_eq(done, 2);
    pids_give(pids, 20, 2);
    ck_assert_int_eq(wanted, 2);
    run();
    ck_assert_int_eq(waiters[2].pid, 20);
}
END_TEST

START_TEST(a_failure_is_told_to_all_and_the_next_asks_again)
{
    int64_t pid;

    for (int i = 0; i < 3; i++)
        ck_assert(!pids_take(pids, &waiters[i], &pid));
    pids_fail(pids);
    run();
    ck_assert_int_eq(done, 3);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(waiters[i].pid, -1);
    ck_assert(!pids_take(pids, &waiters[4], &pid));
    ck_assert_int_eq(wanted, 2);
    pids_give(pids, 5, 1);
    run();
    ck_assert_int_eq(waiters[4].pid, 5);
}
END_TEST

/* Given up on, asked again, and then both answers come. */
START_TEST(a_late_block_is_welcome)
{
    int64_t pid;

    ck_assert(!pids_take(pids, &waiters[0], &pid));
    pids_fail(pids);
    run();
    pids_give(pids, 100, 10);
    ck_assert(pids_take(pids, &waiters[0], &pid));
    ck_assert_int_eq(pid, 100);
    pids_give(pids, 200, 10);
    ck_assert(pids_take(pids, &waiters[0], &pid));
    ck_assert_int_eq(pid, 200);
}
END_TEST

#define TAKERS 3
#define TAKES  4000

struct taker {
    struct thread thread;
    int64_t got[TAKES];
    int len;
    struct reactor *reactor;
};

struct told {
    struct pids_waiter waiter;
    bool is;
};

static void on_told(struct pids_waiter *waiter)
{
    container_of(waiter, struct told, waiter)->is = true;
}

static _Atomic int64_t next_block = 1;

static void want_racing(void *ctx)
{
    (void)ctx;
    /* The block may be used up, and the next one asked for, before this returns. */
    pids_give(pids, atomic_fetch_add(&next_block, 7), 7);
}

static void take_many(void *arg)
{
    struct taker *taker = arg;

    while (taker->len < TAKES) {
        struct told told = { .waiter = { .reactor = taker->reactor, .done = on_told } };
        int64_t pid;

        if (!pids_take(pids, &told.waiter, &pid)) {
            while (!told.is) /* the pid may be there before: the message counts */
                reactor_turn(taker->reactor, true);
            pid = told.waiter.pid;
        }
        taker->got[taker->len++] = pid;
    }
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

START_TEST(threads_never_get_the_same)
{
    static struct taker takers[TAKERS];
    static int64_t all[TAKERS * TAKES];

    pids_free(&pids);
    pids = pids_new(want_racing, NULL);
    for (int i = 0; i < TAKERS; i++)
        takers[i].reactor = reactor_new();
    for (int i = 0; i < TAKERS; i++)
        thread_start(&takers[i].thread, T_IO, i, take_many, &takers[i]);
    for (int i = 0; i < TAKERS; i++) {
        thread_join(&takers[i].thread);
        for (int k = 0; k < TAKES; k++)
            all[i * TAKES + k] = takers[i].got[k];
        reactor_free(&takers[i].reactor);
    }
    qsort(all, TAKERS * TAKES, sizeof *all, by_value);
    for (int i = 1; i < TAKERS * TAKES; i++)
        ck_assert_int_gt(all[i], all[i - 1]);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pids");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_first_waits_for_a_block);
    tcase_add_test(tc, a_small_block_asks_for_another);
    tcase_add_test(tc, a_failure_is_told_to_all_and_the_next_asks_again);
    tcase_add_test(tc, a_late_block_is_welcome);
    tcase_add_test(tc, threads_never_get_the_same);
    return unit_run(tc);
}
