/*
 * snap: readers see whole objects, never freed ones; the last holder frees. Late reads are the
 * sanitizers' half: make test-unit SAN=address, SAN=thread.
 */
#include "common/base/snap.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

struct pair {
    struct snap_head head;
    int a, b; /* always the same */
};

static struct snap snap;
static _Atomic int alive;
static atomic_bool done;

static void free_pair(struct snap_head *head)
{
    struct pair *pair = container_of(head, struct pair, head);

    atomic_fetch_sub(&alive, 1);
    pair->a = -1;
    free(pair);
}

static void publish(int value)
{
    struct pair *pair = xmalloc(sizeof *pair);
    struct snap_head *head = &pair->head;

    snap_head_init(head, free_pair);
    pair->a = pair->b = value;
    atomic_fetch_add(&alive, 1);
    snap_publish(&snap, &head);
    ck_assert_ptr_null(head);
}

static struct pair *pair_of(struct snap_head *head)
{
    return container_of(head, struct pair, head);
}

START_TEST(nothing_before_the_first)
{
    struct snap_cache cache = { 0 };

    snap_init(&snap);
    ck_assert_ptr_null(snap_get_ref(&snap));
    ck_assert_ptr_null(snap_cache_get(&cache, &snap));
    publish(1);
    ck_assert_int_eq(pair_of(snap_cache_get(&cache, &snap))->a, 1);
    snap_cache_fini(&cache);
    snap_fini(&snap);
    ck_assert_int_eq(alive, 0);
}
END_TEST

START_TEST(a_holder_keeps_the_old_one)
{
    snap_init(&snap);
    publish(1);
    struct snap_head *old = snap_get_ref(&snap);
    publish(2);
    ck_assert_int_eq(pair_of(old)->a, 1);
    ck_assert_int_eq(alive, 2);
    struct snap_head *more = snap_ref(old);
    snap_unref(&old);
    ck_assert_ptr_null(old);
    ck_assert_int_eq(alive, 2);
    snap_unref(&more);
    ck_assert_int_eq(alive, 1);
    snap_fini(&snap);
    ck_assert_int_eq(alive, 0);
}
END_TEST

START_TEST(a_cache_follows_publications)
{
    struct snap_cache cache = { 0 };

    snap_init(&snap);
    for (int i = 1; i < 10; i++) {
        publish(i);
        ck_assert_int_eq(pair_of(snap_cache_get(&cache, &snap))->a, i);
        ck_assert_ptr_eq(snap_cache_get(&cache, &snap), cache.head);
        ck_assert_int_eq(alive, 1);
    }
    snap_cache_fini(&cache);
    snap_fini(&snap);
}
END_TEST

static void read_all(void *arg)
{
    struct snap_cache cache = { 0 };
    int before = 0;

    (void)arg;
    while (!atomic_load(&done)) {
        struct pair *pair = pair_of(snap_cache_get(&cache, &snap));
        struct snap_head *head = snap_get_ref(&snap);

        ck_assert_int_eq(pair->a, pair->b);
        ck_assert_int_ge(pair->a, before);
        before = pair->a;
        ck_assert_int_eq(pair_of(head)->a, pair_of(head)->b);
        snap_unref(&head);
    }
    snap_cache_fini(&cache);
}

START_TEST(readers_never_see_halves)
{
    struct thread threads[3];

    snap_init(&snap);
    publish(0);
    for (int i = 0; i < 3; i++)
        thread_start(&threads[i], T_IO, i, read_all, NULL);
    for (int i = 1; i <= 5000; i++)
        publish(i);
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++)
        thread_join(&threads[i]);
    snap_fini(&snap);
    ck_assert_int_eq(alive, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("snap");

    tcase_add_test(tc, nothing_before_the_first);
    tcase_add_test(tc, a_holder_keeps_the_old_one);
    tcase_add_test(tc, a_cache_follows_publications);
    tcase_add_test(tc, readers_never_see_halves);
    return unit_run(tc);
}
