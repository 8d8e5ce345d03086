/*
 * zk_seqid: every number is given out once, whatever is missing or lost on the way.
 */
#include "common/zk/zk_seqid.h"

#include <check.h>

#include "common/zk/zk_tree.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct zk_seqid seqid;

static struct {
    int calls;
    enum err err;
    int32_t number;
} got;

static void on_number(void *arg, enum err err, int32_t number)
{
    (void)arg;
    got.calls++;
    got.err = err;
    got.number = number;
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void take(int32_t expected)
{
    got.calls = 0;
    zk_seqid_take(&seqid, zk, on_number, NULL);
    run();
    ck_assert_int_eq(got.calls, 1);
    ck_assert_int_eq(got.err, ERR_OK);
    ck_assert_int_eq(got.number, expected);
}

static void start(void)
{
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    zk = fake_zk_open(fake, &mailbox);
    run();
}

static void stop(void)
{
    zk_close(&zk);
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

START_TEST(numbers_go_up_from_one)
{
    take(1); /* the path was not there */
    take(2);
    ck_assert_int_eq(fake_zk_version(fake, ZK_BROKER_SEQID), 2);
}
END_TEST

START_TEST(a_lost_answer_costs_a_number_at_most)
{
    take(1);
    fake_zk_lose_write(zk, 0, FAKE_LOSS_APPLIED);
    take(3);
    fake_zk_lose_write(zk, 0, FAKE_LOSS_NOT_APPLIED);
    take(4);
}
END_TEST

START_TEST(an_expired_session_is_outlived)
{
    fake_zk_suspend(zk);
    got.calls = 0;
    zk_seqid_take(&seqid, zk, on_number, NULL);
    run();
    ck_assert_int_eq(got.calls, 0);
    fake_zk_expire(zk);
    run();
    fake_zk_resume(zk);
    run();
    ck_assert_int_eq(got.calls, 1);
    ck_assert_int_eq(got.number, 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_seqid");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, numbers_go_up_from_one);
    tcase_add_test(tc, a_lost_answer_costs_a_number_at_most);
    tcase_add_test(tc, an_expired_session_is_outlived);
    return unit_run(tc);
}
