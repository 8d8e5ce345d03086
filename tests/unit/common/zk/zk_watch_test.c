/*
 * zk_watch: tells the content first and after every change, folds changes that come close together,
 * survives lost connections and sessions, goes on with what could not be read, and is silent once
 * stopped.
 */
#include "common/zk/zk_watch.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct mailbox mailbox;
static struct fake_zk *fake;
static struct zk *zk;
static struct zk_watch *watch;

static struct {
    int times;
    enum err err;
    char data[32];
    size_t n_children;
    bool stop;
} told;

static void tell(void *arg, const struct zk_answer *answer)
{
    (void)arg;
    told.times++;
    told.err = answer->err;
    told.n_children = answer->n_children;
    snprintf(told.data, sizeof told.data, "%.*s", STR_ARG(answer->data));
    if (told.stop)
        zk_watch_stop(&watch);
}

static void run(void)
{
    while (mailbox_run(&mailbox) > 0) {
    }
}

static void set_up(void)
{
    memset(&told, 0, sizeof told);
    mailbox_init(&mailbox);
    fake = fake_zk_new();
    zk = fake_zk_open(fake, &mailbox);
    run();
}

static void tear_down(void)
{
    zk_watch_stop(&watch);
    zk_close(&zk);
    run();
    fake_zk_free(&fake);
    mailbox_fini(&mailbox);
}

START_TEST(content_is_told_first_and_after_every_change)
{
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    ck_assert_int_eq(told.err, ERR_NOT_FOUND);
    fake_zk_put(fake, "/a", "1");
    run();
    ck_assert_str_eq(told.data, "1");
    fake_zk_put(fake, "/a", "2");
    run();
    ck_assert_str_eq(told.data, "2");
    fake_zk_drop(fake, "/a");
    run();
    ck_assert_int_eq(told.err, ERR_NOT_FOUND);
    ck_assert_int_eq(told.times, 4);
}
END_TEST

/* _i: 0: a change keeps the ACL, 1: it is made anew with another; a change of an ACL tells nobody.
 */
START_TEST(what_cannot_be_read_is_read_after_its_next_change)
{
    fake_zk_put(fake, "/a", "1");
    fake_zk_forbid(fake, "/a", true);
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    fake_zk_put(fake, "/a", "2");
    run();
    ck_assert_int_eq(told.times, 0);
    if (_i == 0) {
        fake_zk_forbid(fake, "/a", false);
    } else {
        fake_zk_drop(fake, "/a");
        run();
        ck_assert_int_eq(told.err, ERR_NOT_FOUND);
    }
    fake_zk_put(fake, "/a", "3");
    run();
    ck_assert_str_eq(told.data, "3");
    ck_assert_int_eq(told.times, 1 + _i);
    fake_zk_put(fake, "/a", "4");
    run();
    ck_assert_str_eq(told.data, "4");
}
END_TEST

/* _i: so many answers have come when it changes. */
START_TEST(no_change_falls_between_the_reads_of_what_cannot_be_read)
{
    fake_zk_put(fake, "/a", "1");
    fake_zk_forbid(fake, "/a", true);
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    for (int i = 0; i < _i; i++)
        mailbox_run(&mailbox);
    fake_zk_drop(fake, "/a");
    fake_zk_put(fake, "/a", "2");
    run();
    ck_assert_int_eq(told.err, ERR_OK);
    ck_assert_str_eq(told.data, "2");
}
END_TEST

START_TEST(that_it_cannot_be_read_is_told_to_who_asks)
{
    fake_zk_put(fake, "/a", "1");
    fake_zk_forbid(fake, "/a", true);
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    zk_watch_tell_failures(watch);
    run();
    ck_assert_int_eq(told.times, 1);
    ck_assert_int_eq(told.err, ERR_CLUSTER_AUTHORIZATION_FAILED);
    fake_zk_expire(zk);
    fake_zk_resume(zk);
    run();
    ck_assert_int_eq(told.times, 2);
    fake_zk_drop(fake, "/a");
    run();
    ck_assert_int_eq(told.err, ERR_NOT_FOUND);
}
END_TEST

START_TEST(changes_close_together_are_one)
{
    fake_zk_put(fake, "/p", NULL);
    watch = zk_watch_start(zk, ZK_WATCH_CHILDREN, "/p", tell, NULL);
    run();
    fake_zk_put(fake, "/p/a", NULL);
    fake_zk_put(fake, "/p/b", NULL);
    fake_zk_put(fake, "/p/c", NULL);
    run();
    ck_assert_int_eq((int)told.n_children, 3);
    ck_assert_int_eq(told.times, 2);
}
END_TEST

START_TEST(a_change_while_reading_is_not_missed)
{
    fake_zk_put(fake, "/a", "1");
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    fake_zk_hold(zk);
    fake_zk_put(fake, "/a", "2");
    run(); /* reads "2", which is held back */
    fake_zk_put(fake, "/a", "3");
    run();
    fake_zk_release(zk);
    run();
    ck_assert_str_eq(told.data, "3");
}
END_TEST

START_TEST(what_changed_while_the_session_was_lost_is_told)
{
    fake_zk_put(fake, "/a", "1");
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    fake_zk_suspend(zk);
    fake_zk_put(fake, "/a", "2");
    run();
    ck_assert_str_eq(told.data, "1");
    fake_zk_resume(zk);
    run();
    ck_assert_str_eq(told.data, "2");
    fake_zk_expire(zk);
    fake_zk_put(fake, "/a", "3");
    run();
    fake_zk_resume(zk);
    run();
    ck_assert_str_eq(told.data, "3");
}
END_TEST

START_TEST(an_expiry_that_is_heard_late_is_survived)
{
    fake_zk_put(fake, "/a", "1");
    fake_zk_expire(zk);
    fake_zk_resume(zk); /* the new session is in the mailbox, not heard of yet */
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    ck_assert_str_eq(told.data, "1");
}
END_TEST

START_TEST(stopped_it_is_silent)
{
    told.stop = true;
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    run();
    ck_assert_int_eq(told.times, 1);
    fake_zk_put(fake, "/a", "1");
    run();
    ck_assert_int_eq(told.times, 1);
    told.stop = false;
    watch = zk_watch_start(zk, ZK_WATCH_DATA, "/a", tell, NULL);
    zk_watch_stop(&watch); /* with its read on the way */
    run();
    ck_assert_int_eq(told.times, 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("zk_watch");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, content_is_told_first_and_after_every_change);
    tcase_add_loop_test(tc, what_cannot_be_read_is_read_after_its_next_change, 0, 2);
    tcase_add_loop_test(tc, no_change_falls_between_the_reads_of_what_cannot_be_read, 0, 5);
    tcase_add_test(tc, that_it_cannot_be_read_is_told_to_who_asks);
    tcase_add_test(tc, changes_close_together_are_one);
    tcase_add_test(tc, a_change_while_reading_is_not_missed);
    tcase_add_test(tc, what_changed_while_the_session_was_lost_is_told);
    tcase_add_test(tc, an_expiry_that_is_heard_late_is_survived);
    tcase_add_test(tc, stopped_it_is_silent);
    return unit_run(tc);
}
