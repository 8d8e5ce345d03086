/*
 * purgatory: a waiter is completed exactly once, by whoever is first: a mover, the timer, itself.
 * The last tests let threads race for it.
 */
#include "broker/delay/purgatory.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

#define WATCHES 3

struct waiter {
    struct delayed op;
    struct watch_node nodes[WATCHES];
    int completed;
    enum delayed_why why;
};

static struct reactor *reactor;
static struct watch_list lists[WATCHES];
static struct waiter waiter;
static int64_t now_us;

static int64_t told_time(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_complete(struct delayed *op, enum delayed_why why)
{
    struct waiter *w = container_of(op, struct waiter, op);

    w->completed++;
    w->why = why;
}

static void setup(void)
{
    now_us = 1000000;
    reactor = reactor_new();
    reactor_set_clock(reactor, told_time, NULL);
    for (int i = 0; i < WATCHES; i++)
        watch_list_init(&lists[i]);
    waiter = (struct waiter){ 0 };
    delayed_init(&waiter.op, reactor, on_complete, waiter.nodes);
}

static void teardown(void)
{
    for (int i = 0; i < WATCHES; i++) {
        ck_assert(watch_list_is_empty(&lists[i]));
        watch_list_fini(&lists[i]);
    }
    reactor_free(&reactor);
}

static void watch_all(bool all)
{
    for (int i = 0; i < WATCHES; i++)
        delayed_watch(&waiter.op, &lists[i], 100 + i);
    delayed_start(&waiter.op, all, 50);
}

static void run(void)
{
    for (int i = 0; i < 4; i++)
        reactor_turn(reactor, false);
}

START_TEST(all_must_be_met)
{
    watch_all(true);
    watch_list_reach(&lists[0], 100);
    watch_list_reach(&lists[2], 500);
    watch_list_reach(&lists[1], 100); /* not far enough */
    run();
    ck_assert_int_eq(waiter.completed, 0);
    watch_list_reach(&lists[1], 101);
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
    now_us += 100000;
    run();
    ck_assert_int_eq(waiter.completed, 1);
}
END_TEST

START_TEST(any_will_do)
{
    watch_all(false);
    watch_list_reach(&lists[1], 101);
    watch_list_reach(&lists[0], 100);
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert(watch_list_is_empty(&lists[2]));
}
END_TEST

START_TEST(time_runs_out)
{
    watch_all(true);
    watch_list_reach(&lists[0], 100);
    now_us += 49000;
    run();
    ck_assert_int_eq(waiter.completed, 0);
    now_us += 2000;
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_TIMED_OUT);
}
END_TEST

START_TEST(what_is_met_while_watches_are_added_counts)
{
    delayed_watch(&waiter.op, &lists[0], 100);
    watch_list_reach(&lists[0], 100);
    run();
    ck_assert_int_eq(waiter.completed, 0); /* it has not begun */
    delayed_watch(&waiter.op, &lists[1], 100);
    delayed_start(&waiter.op, true, 50);
    run();
    ck_assert_int_eq(waiter.completed, 0);
    watch_list_reach(&lists[1], 100);
    run();
    ck_assert_int_eq(waiter.completed, 1);
}
END_TEST

/* Nobody moves that bound again: the waiter says so himself, while others still hold him up. */
START_TEST(what_was_there_before_its_watch_counts)
{
    delayed_watch(&waiter.op, &lists[0], 100);
    delayed_met(&waiter.op);
    ck_assert(watch_list_is_empty(&lists[0]));
    delayed_watch(&waiter.op, &lists[1], 100);
    delayed_start(&waiter.op, true, 50);
    run();
    ck_assert_int_eq(waiter.completed, 0);
    watch_list_reach(&lists[1], 100);
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
}
END_TEST

START_TEST(a_mover_and_the_waiter_count_a_watch_once)
{
    delayed_watch(&waiter.op, &lists[0], 100);
    watch_list_reach(&lists[0], 100);
    delayed_met(&waiter.op);
    delayed_watch(&waiter.op, &lists[1], 100);
    delayed_start(&waiter.op, true, 50);
    run();
    ck_assert_int_eq(waiter.completed, 0);
    watch_list_reach(&lists[1], 100);
    run();
    ck_assert_int_eq(waiter.completed, 1);
}
END_TEST

START_TEST(what_was_met_before_the_start_completes_it)
{
    delayed_watch(&waiter.op, &lists[0], 100);
    delayed_watch(&waiter.op, &lists[1], 100);
    watch_list_reach(&lists[1], 100);
    delayed_start(&waiter.op, false, 50);
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
}
END_TEST

START_TEST(nothing_to_wait_for_is_met)
{
    delayed_start(&waiter.op, true, 50);
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
}
END_TEST

START_TEST(the_waiter_may_end_it_himself)
{
    watch_all(true);
    delayed_finish(&waiter.op, DELAYED_CANCELLED);
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_CANCELLED);
    delayed_finish(&waiter.op, DELAYED_MET);
    watch_list_flush(&lists[0]);
    run();
    ck_assert_int_eq(waiter.completed, 1);
}
END_TEST

/* A mover was first, its message is on the way: ending it changes nothing. */
START_TEST(who_comes_second_does_nothing)
{
    watch_all(false);
    watch_list_flush(&lists[0]);
    delayed_finish(&waiter.op, DELAYED_TIMED_OUT);
    ck_assert_int_eq(waiter.completed, 0);
    now_us += 100000;
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
}
END_TEST

START_TEST(flush_meets_whatever_is_needed)
{
    delayed_watch(&waiter.op, &lists[0], INT64_MAX - 1);
    delayed_start(&waiter.op, true, 50);
    watch_list_reach(&lists[0], 1000000);
    run();
    ck_assert_int_eq(waiter.completed, 0);
    watch_list_flush(&lists[0]);
    run();
    ck_assert_int_eq(waiter.completed, 1);
}
END_TEST

START_TEST(only_those_in_reach_are_met)
{
    static struct waiter many[50];

    for (int i = 0; i < 50; i++) {
        many[i] = (struct waiter){ 0 };
        delayed_init(&many[i].op, reactor, on_complete, many[i].nodes);
        delayed_watch(&many[i].op, &lists[0], (i * 37) % 50);
        delayed_start(&many[i].op, true, 50);
    }
    watch_list_reach(&lists[0], 24);
    run();
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(many[i].completed, (i * 37) % 50 <= 24);
    watch_list_reach(&lists[0], 24); /* a cheap look: nothing is that low any more */
    watch_list_reach(&lists[0], 49);
    run();
    for (int i = 0; i < 50; i++)
        ck_assert_int_eq(many[i].completed, 1);
}
END_TEST

START_TEST(what_ends_later_ends_in_the_next_turn)
{
    watch_all(true);
    delayed_finish_later(&waiter.op);
    delayed_finish_later(&waiter.op);
    delayed_finish(&waiter.op, DELAYED_CANCELLED);
    watch_list_flush(&lists[0]);
    ck_assert_int_eq(waiter.completed, 0);
    now_us += 100000; /* its time is over, but it has ended before */
    run();
    ck_assert_int_eq(waiter.completed, 1);
    ck_assert_int_eq(waiter.why, DELAYED_MET);
}
END_TEST

#define CROWD 200000

/* Whoever goes must not look at all the others: this would not end before the test's time is up. */
START_TEST(a_crowd_at_one_partition_may_go_one_by_one)
{
    struct waiter *crowd = xcalloc(CROWD, sizeof *crowd);

    for (int i = 0; i < CROWD; i++) {
        delayed_init(&crowd[i].op, reactor, on_complete, crowd[i].nodes);
        delayed_watch(&crowd[i].op, &lists[0], 100 + (i % 2));
        delayed_start(&crowd[i].op, false, 1000);
    }
    for (int i = 0; i < CROWD; i++) {
        delayed_finish(&crowd[i].op, DELAYED_CANCELLED);
        ck_assert_int_eq(crowd[i].completed, 1);
    }
    free(crowd);
}
END_TEST

/* ---- races ---- */

#define RACERS 2
#define ROUNDS 3000

/* A bound that moves up, and waiters on two reactors that wait for its next step. */
struct race {
    struct watch_list list;
    _Atomic int64_t bound;
    atomic_int left;
    atomic_bool stop;
};

struct racer {
    struct delayed op;
    struct watch_node node;
    struct race *race;
    struct reactor *reactor;
    struct msg go;
    int64_t seen;
    int rounds, met, timed_out;
};

static void wait_once(struct racer *racer)
{
    struct race *race = racer->race;
    int64_t bound = atomic_load(&race->bound);

    racer->seen = bound;
    delayed_init(&racer->op, racer->reactor, racer->op.complete, &racer->node);
    delayed_watch(&racer->op, &race->list, bound + 1);
    delayed_start(&racer->op, racer->rounds % 2 == 0, racer->rounds % 7 == 0 ? 0 : 5000);
    if (atomic_load(&race->bound) > bound)
        delayed_finish(&racer->op, DELAYED_MET);
}

static void on_go(struct msg *msg)
{
    wait_once(container_of(msg, struct racer, go));
}

static void on_race(struct delayed *op, enum delayed_why why)
{
    struct racer *racer = container_of(op, struct racer, op);

    ck_assert(!racer->node.linked);
    if (why == DELAYED_MET) {
        ck_assert_int_gt(atomic_load(&racer->race->bound), racer->seen);
        racer->met++;
    } else {
        racer->timed_out++;
    }
    if (++racer->rounds == ROUNDS) {
        atomic_fetch_sub(&racer->race->left, 1);
        return;
    }
    /* Not from here: complete() may come out of wait_once(). */
    reactor_post(racer->reactor, &racer->go);
}

static void mover(void *arg)
{
    struct race *race = arg;

    while (atomic_load(&race->left) > 0) {
        int64_t bound = atomic_fetch_add(&race->bound, 1) + 1;

        watch_list_reach(&race->list, bound);
    }
}

START_TEST(movers_and_waiters_race_and_none_is_lost)
{
    static struct racer racers[RACERS];
    static struct race race;
    struct thread movers[2];

    watch_list_init(&race.list);
    atomic_init(&race.bound, 0);
    atomic_init(&race.left, RACERS);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .race = &race, .reactor = reactor_new() };
        racers[i].op.complete = on_race;
        racers[i].go.run = on_go;
        reactor_start(racers[i].reactor, T_REACTOR, i);
        reactor_post(racers[i].reactor, &racers[i].go);
    }
    for (int i = 0; i < 2; i++)
        thread_start(&movers[i], T_IO, i, mover, &race);
    for (int i = 0; i < 2; i++)
        thread_join(&movers[i]);
    for (int i = 0; i < RACERS; i++) {
        reactor_stop(racers[i].reactor);
        ck_assert_int_eq(racers[i].rounds, ROUNDS);
        ck_assert_int_gt(racers[i].met, 0);
        reactor_free(&racers[i].reactor);
    }
    ck_assert(watch_list_is_empty(&race.list));
    watch_list_fini(&race.list);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("purgatory");

    tcase_set_timeout(tc, 20);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, all_must_be_met);
    tcase_add_test(tc, any_will_do);
    tcase_add_test(tc, time_runs_out);
    tcase_add_test(tc, what_is_met_while_watches_are_added_counts);
    tcase_add_test(tc, what_was_there_before_its_watch_counts);
    tcase_add_test(tc, a_mover_and_the_waiter_count_a_watch_once);
    tcase_add_test(tc, what_was_met_before_the_start_completes_it);
    tcase_add_test(tc, nothing_to_wait_for_is_met);
    tcase_add_test(tc, the_waiter_may_end_it_himself);
    tcase_add_test(tc, who_comes_second_does_nothing);
    tcase_add_test(tc, flush_meets_whatever_is_needed);
    tcase_add_test(tc, only_those_in_reach_are_met);
    tcase_add_test(tc, what_ends_later_ends_in_the_next_turn);
    tcase_add_test(tc, a_crowd_at_one_partition_may_go_one_by_one);
    tcase_add_test(tc, movers_and_waiters_race_and_none_is_lost);
    return unit_run(tc);
}
