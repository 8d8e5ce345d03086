/*
 * ring: read once after winning, to the end or not at all. What it is for is shown by write_test
 * and warm_test.
 */
#include "controller/shell/ring.h"

#include <check.h>

#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static int told;

static void on_read(void *arg, const struct ring_content *content)
{
    struct ring_read **read = arg;

    told++;
    (void)content;
    ring_read_stop(read);
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void set_up(void)
{
    told = 0;
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    fake_zk_put(
        fake, "/controllers/ring/1",
        "{\"version\":2,\"epoch\":1,\"number\":1,\"states\":[],\"configs\":[],\"topics\":[]}");
    zk = fake_zk_open(fake, &mailbox);
    run();
}

static void tear_down(void)
{
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

START_TEST(it_is_read_once)
{
    struct ring_read *read = ring_read_start(zk, on_read, &read);

    run();
    ck_assert_int_eq(told, 1);
    ck_assert_ptr_null(read);
}
END_TEST

/* The session ends with the read on its way; the seat is lost then, and with it the read. */
START_TEST(a_session_that_ends_leaves_it_to_be_stopped)
{
    struct ring_read *read;

    fake_zk_suspend(zk);
    read = ring_read_start(zk, on_read, &read);
    fake_zk_expire(zk);
    run();
    ck_assert_ptr_nonnull(read);
    ring_read_stop(&read);
    ck_assert_ptr_null(read);
    ck_assert_int_eq(told, 0);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ring");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, it_is_read_once);
    tcase_add_test(tc, a_session_that_ends_leaves_it_to_be_stopped);
    return unit_run(tc);
}
