/*
 * question: it stands when nobody is there to answer, is answered by whoever is active, and says
 * nothing where it was replaced or ZooKeeper is away. Time is told, and stands still unless a test
 * lets it pass: whether a question was replaced in time is no matter of the machine.
 */
#include "controller/shell/question.h"

#include <check.h>

#include "common/base/say.h"
#include "common/zk/zk_tree.h"
#include "common/zk/zk_watch.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct reactor *reactor;
static struct fake_zk *fake;
static struct zk *standby, *active;
static struct question *question;
static int n_outcomes;
static enum question_outcome outcome;
static int64_t now_us;

static int64_t told_time(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_outcome(void *arg, enum question_outcome what)
{
    (void)arg;
    n_outcomes++;
    outcome = what;
}

static void settle(void)
{
    for (int i = 0; i < 30; i++)
        reactor_turn(reactor, false);
}

static void turn_for_a_while(void)
{
    reactor_turn(reactor, false);
    now_us += 200;
}

static void turn_until(int wanted)
{
    for (int i = 0; i < 5000 && n_outcomes < wanted; i++)
        turn_for_a_while();
    ck_assert_int_eq(n_outcomes, wanted);
}

static void set_up(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    n_outcomes = 0;
    now_us = 1000000;
    reactor = reactor_new();
    reactor_set_clock(reactor, told_time, NULL);
    fake = fake_zk_new();
    fake_zk_put(fake, "/controllers", NULL);
    standby = fake_zk_open(fake, reactor_mailbox(reactor));
    active = fake_zk_open(fake, reactor_mailbox(reactor));
    question = question_new(standby, reactor, 3002, on_outcome, NULL);
    settle();
}

static void tear_down(void)
{
    question_free(&question);
    zk_close(&standby);
    zk_close(&active);
    settle();
    fake_zk_free(&fake);
    reactor_free(&reactor);
}

START_TEST(it_stands_when_nobody_answers)
{
    for (int i = 1; i <= 2; i++) { /* the znode is missing the first time */
        question_ask(question, 5);
        turn_until(i);
        ck_assert_int_eq(outcome, QUESTION_STANDS);
    }
}
END_TEST

START_TEST(the_active_one_answers)
{
    struct zk_watch *watch = question_answer_start(active);

    for (int i = 1; i <= 2; i++) {
        question_ask(question, 5);
        turn_until(i);
        ck_assert_int_eq(outcome, QUESTION_ANSWERED);
    }
    zk_watch_stop(&watch);
    question_ask(question, 5); /* it hangs */
    turn_until(3);
    ck_assert_int_eq(outcome, QUESTION_STANDS);
}
END_TEST

START_TEST(what_was_replaced_says_nothing)
{
    question_ask(question, 20);
    settle();
    fake_zk_put(fake, ZK_QUESTION, "3003-another");
    turn_until(1);
    ck_assert_int_eq(outcome, QUESTION_UNKNOWN);
}
END_TEST

START_TEST(a_lost_session_says_nothing)
{
    question_ask(question, 400);
    settle();
    fake_zk_suspend(standby);
    for (int i = 0; i < 60; i++) { /* its look waits for the connection */
        now_us += 10000;
        settle();
    }
    ck_assert_int_eq(n_outcomes, 0);
    fake_zk_expire(standby);
    turn_until(1);
    ck_assert_int_eq(outcome, QUESTION_UNKNOWN);
}
END_TEST

START_TEST(one_that_was_dropped_is_not_told_of)
{
    question_ask(question, 1);
    question_drop(question);
    question_ask(question, 5);
    turn_until(1);
    for (int i = 0; i < 50; i++)
        turn_for_a_while();
    ck_assert_int_eq(n_outcomes, 1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("question");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, it_stands_when_nobody_answers);
    tcase_add_test(tc, the_active_one_answers);
    tcase_add_test(tc, what_was_replaced_says_nothing);
    tcase_add_test(tc, a_lost_session_says_nothing);
    tcase_add_test(tc, one_that_was_dropped_is_not_told_of);
    return unit_run(tc);
}
