/*
 * meta: the latest image for every thread, also while it is replaced all the time.
 */
#include "broker/meta/meta.h"

#include <check.h>
#include <stdatomic.h>

#include "common/base/thread.h"
#include "tests/kit/unit.h"

START_TEST(nothing_at_first_then_the_latest)
{
    struct meta *meta = meta_new();
    struct image *image = image_new(1, 5, 3001, STR("c")), *got;

    ck_assert_ptr_null(meta_get_ref(meta));
    meta_publish(meta, image);
    image_unref(&image);
    got = meta_get_ref(meta);
    ck_assert_uint_eq(image_version(got), 5);
    image = image_new(1, 6, 3001, STR("c"));
    meta_publish(meta, image);
    image_unref(&image);
    ck_assert_uint_eq(image_version(got), 5); /* a reader keeps what it has */
    image_unref(&got);
    got = meta_get_ref(meta);
    ck_assert_uint_eq(image_version(got), 6);
    meta_free(&meta);
    ck_assert_ptr_null(meta);
    image_unref(&got);
}
END_TEST

static atomic_bool stop;

static void read_on(void *arg)
{
    uint64_t last = 0;

    while (!atomic_load(&stop)) {
        struct image *image = meta_get_ref(arg);

        if (image == NULL)
            continue;
        ck_assert_uint_ge(image_version(image), last);
        last = image_version(image);
        image_unref(&image);
    }
}

START_TEST(readers_never_see_an_older_one)
{
    struct meta *meta = meta_new();
    struct thread readers[2];

    for (int i = 0; i < 2; i++)
        thread_start(&readers[i], T_IO, i, read_on, meta);
    for (uint64_t version = 1; version < 2000; version++) {
        struct image *image = image_new(1, version, 3001, STR("c"));

        meta_publish(meta, image);
        image_unref(&image);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        thread_join(&readers[i]);
    meta_free(&meta);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("meta");

    tcase_add_test(tc, nothing_at_first_then_the_latest);
    tcase_add_test(tc, readers_never_see_an_older_one);
    return unit_run(tc);
}
