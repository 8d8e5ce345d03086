/*
 * pool: every job runs once, off the reactor, and comes back to it; stopping runs what was posted;
 * as many threads as are asked for.
 */
#include "common/io/pool.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

struct job {
    struct pool_job job;
    _Atomic int ran;
    int back;
};

static int back_count;

static void run(struct pool_job *pool_job)
{
    ck_assert_int_eq(thread_current(), T_IO);
    atomic_fetch_add(&container_of(pool_job, struct job, job)->ran, 1);
}

static void done(struct pool_job *pool_job)
{
    struct job *job = container_of(pool_job, struct job, job);

    ck_assert_int_eq(atomic_load(&job->ran), 1);
    job->back++;
    back_count++;
}

START_TEST(jobs_come_back)
{
    static struct job jobs[500];
    struct reactor *reactor = reactor_new();
    struct pool *pool = pool_start(3);

    back_count = 0;
    for (int i = 0; i < 500; i++) {
        jobs[i].job = (struct pool_job){ .run = run, .done = done, .reactor = reactor };
        pool_post(pool, &jobs[i].job);
    }
    while (back_count < 500)
        reactor_turn(reactor, true);
    for (int i = 0; i < 500; i++)
        ck_assert_int_eq(jobs[i].back, 1);
    ck_assert_uint_eq(pool_waiting(pool), 0);
    pool_stop(&pool);
    reactor_free(&reactor);
}
END_TEST

START_TEST(stopping_runs_what_was_posted)
{
    static struct job jobs[100];
    struct pool *pool = pool_start(1);

    for (int i = 0; i < 100; i++) {
        jobs[i].job = (struct pool_job){ .run = run };
        pool_post(pool, &jobs[i].job);
    }
    pool_stop(&pool);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(atomic_load(&jobs[i].ran), 1);
}
END_TEST

struct meeting {
    pthread_barrier_t all;
    struct guest {
        struct pool_job job;
        pthread_barrier_t *all;
    } guests[8];
};

static void meet(struct pool_job *job)
{
    /* For ever, unless as many threads are there. */
    pthread_barrier_wait(container_of(job, struct guest, job)->all);
}

static _Atomic int at_once, alone_count;

static void run_alone(struct pool_job *job)
{
    (void)job;
    ck_assert_int_eq(atomic_fetch_add(&at_once, 1), 0);
    atomic_fetch_add(&alone_count, 1);
    atomic_fetch_sub(&at_once, 1);
}

static void meet_all(struct pool *pool, struct meeting *meeting, int count)
{
    pthread_barrier_init(&meeting->all, NULL, (unsigned)count + 1);
    for (int i = 0; i < count; i++) {
        meeting->guests[i] = (struct guest){ .job = { .run = meet }, .all = &meeting->all };
        pool_post(pool, &meeting->guests[i].job);
    }
    pthread_barrier_wait(&meeting->all);
}

START_TEST(it_grows_and_shrinks)
{
    static struct meeting meetings[4];
    static struct pool_job alone[200];
    struct pool *pool = pool_start(1);

    meet_all(pool, &meetings[0], 1);
    pool_resize(pool, 8);
    meet_all(pool, &meetings[1], 8);
    pool_resize(pool, 1);
    for (int i = 0; i < 200; i++) {
        alone[i] = (struct pool_job){ .run = run_alone };
        pool_post(pool, &alone[i]);
    }
    meet_all(pool, &meetings[2], 1); /* behind them */
    ck_assert_int_eq(atomic_load(&alone_count), 200);
    pool_resize(pool, 3);
    meet_all(pool, &meetings[3], 3);
    pool_stop(&pool);
}
END_TEST

struct in_lane {
    struct pool_job job;
    int number;
};

static _Atomic int running, last_number;

static void run_in_order(struct pool_job *pool_job)
{
    struct in_lane *job = container_of(pool_job, struct in_lane, job);

    ck_assert_int_eq(atomic_fetch_add(&running, 1), 0); /* alone */
    ck_assert_int_eq(atomic_exchange(&last_number, job->number), job->number - 1);
    atomic_fetch_sub(&running, 1);
}

START_TEST(a_lane_runs_one_after_the_other)
{
    static struct in_lane jobs[1000];
    struct pool *pool = pool_start(4);
    struct lane *lane = lane_new(pool);

    for (int i = 0; i < 1000; i++) {
        jobs[i] = (struct in_lane){ .job = { .run = run_in_order }, .number = i + 1 };
        lane_post(lane, &jobs[i].job);
    }
    pool_stop(&pool);
    ck_assert_int_eq(atomic_load(&last_number), 1000);
    lane_free(&lane);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("pool");

    tcase_add_test(tc, jobs_come_back);
    tcase_add_test(tc, stopping_runs_what_was_posted);
    tcase_add_test(tc, it_grows_and_shrinks);
    tcase_add_test(tc, a_lane_runs_one_after_the_other);
    return unit_run(tc);
}
