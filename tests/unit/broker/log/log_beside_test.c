/*
 * A log in the middle of one thing when another thread does the next: a snapshot of producers that
 * a truncation has overtaken. The disk calls out where the other one is to come.
 */
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "broker/log/log_int.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;
static struct disk_ops ops;
static struct disk disk = { &ops };

/* Called once, before the next such call reaches the disk. */
static void (*before_open)(void);
static const char *opens; /* the ending of the name that is waited for */

static void call(void (**hook)(void))
{
    void (*now)(void) = *hook;

    *hook = NULL;
    if (now != NULL)
        now();
}

static enum err open_file(struct disk *unused, const char *path, int flags, int *file)
{
    size_t len = strlen(path);

    (void)unused;
    if (opens != NULL && len > strlen(opens) && strcmp(path + len - strlen(opens), opens) == 0)
        call(&before_open);
    return disk_open(disk_posix(), path, flags, file);
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    ops = *disk_posix()->ops;
    ops.open = open_file;
    before_open = NULL;
    opens = NULL;
    log_kit_init(&kit, &disk, unit_temp_dir());
    ck_assert_int_eq(log_kit_open(&kit, true, 0), ERR_OK);
}

static void teardown(void)
{
    log_kit_fini(&kit);
}

static void fill(int count)
{
    ck_assert_int_eq(
        log_kit_append(&kit, &(struct kit_batch){ .count = count, .value_bytes = 10 }, 3, NULL),
        ERR_OK);
}

/* ---- another thread ---- */

static void (*others)(void);
static pthread_t other;

static void *run_other(void *unused)
{
    (void)unused;
    others();
    return NULL;
}

/* Does it on another thread, to its end. */
static void aside(void (*what)(void))
{
    others = what;
    ck_assert_int_eq(pthread_create(&other, NULL, run_other, NULL), 0);
    pthread_join(other, NULL);
}

/* ---- truncation ---- */

static void cut(void)
{
    ck_assert_int_eq(log_truncate_to(kit.log, 10), ERR_OK);
}

static void cut_aside(void)
{
    aside(cut);
}

START_TEST(a_snapshot_of_what_was_cut_does_not_stay)
{
    const struct kit_batch batch = {
        .count = 5, .value_bytes = 10, .producer_id = 77, .base_sequence = 0
    };
    struct producer_entry entry;
    struct log_appended out;

    fill(10);
    ck_assert_int_eq(log_kit_append(&kit, &batch, 3, NULL), ERR_OK);
    opens = ".snapshot";
    before_open = cut_aside; /* what is about to be written was copied before */
    ck_assert_int_eq(log_flush_far(kit.log), ERR_OK);
    ck_assert(before_open == NULL);
    for (int i = 0; i < 10; i++) /* so much that recovery need not begin below it */
        ck_assert_int_eq(
            log_kit_append(&kit, &(struct kit_batch){ .count = 10, .value_bytes = 1000 }, 4, NULL),
            ERR_OK);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 110), ERR_OK);
    ck_assert(!log_producer(kit.log, 77, &entry));
    ck_assert_int_eq(log_kit_append(&kit, &batch, 5, &out), ERR_OK);
    ck_assert(!out.is_duplicate);
    ck_assert_int_eq(out.first_offset, 110);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_beside");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_snapshot_of_what_was_cut_does_not_stay);
    return unit_run(tc);
}
