/*
 * mailbox: every message runs once, those of one poster in order, and a sleeping reader is woken.
 * Races are the sanitizer's half: make test-unit SAN=thread.
 */
#include "common/base/mailbox.h"

#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

#define POSTERS 4
#define EACH    5000

struct note {
    struct msg msg;
    int poster, number;
};

static struct mailbox mailbox;
static int last[POSTERS];
static int runs;

static void run_note(struct msg *msg)
{
    struct note *note = container_of(msg, struct note, msg);

    ck_assert_int_eq(note->number, last[note->poster] + 1);
    last[note->poster] = note->number;
    runs++;
    free(note); /* a message may free itself */
}

static void post_note(int poster, int number)
{
    struct note *note = xmalloc(sizeof *note);

    *note = (struct note){ .msg.run = run_note, .poster = poster, .number = number };
    mailbox_post(&mailbox, &note->msg);
}

static void post_all(void *arg)
{
    int poster = *(int *)arg;

    for (int i = 1; i <= EACH; i++)
        post_note(poster, i);
}

START_TEST(many_posters_one_reader)
{
    struct thread threads[POSTERS];
    int names[POSTERS];

    mailbox_init(&mailbox);
    for (int i = 0; i < POSTERS; i++) {
        names[i] = i;
        thread_start(&threads[i], T_IO, i, post_all, &names[i]);
    }
    while (runs < POSTERS * EACH)
        mailbox_wait(&mailbox, 10000);
    for (int i = 0; i < POSTERS; i++)
        thread_join(&threads[i]);
    ck_assert_int_eq(mailbox_run(&mailbox), 0);
    mailbox_fini(&mailbox);
}
END_TEST

START_TEST(what_is_there_keeps_the_reader_awake)
{
    mailbox_init(&mailbox);
    post_note(0, 1);
    ck_assert(!mailbox_sleep(&mailbox));
    ck_assert_int_eq(mailbox_run(&mailbox), 1);
    ck_assert(mailbox_sleep(&mailbox));
    post_note(0, 2);
    struct pollfd poll_fd = { .fd = mailbox.wake_fd, .events = POLLIN };
    ck_assert_int_eq(poll(&poll_fd, 1, 0), 1); /* a sleeper was rung for */
    mailbox_wake(&mailbox);
    ck_assert_int_eq(poll(&poll_fd, 1, 0), 0);
    post_note(0, 3);
    ck_assert_int_eq(poll(&poll_fd, 1, 0), 0); /* nobody sleeps: nobody is rung for */
    ck_assert_int_eq(mailbox_run(&mailbox), 2);
    mailbox_fini(&mailbox);
}
END_TEST

START_TEST(who_watches_edges_need_not_empty_the_bell)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    mailbox_init(&mailbox);
    ck_assert_int_eq(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, mailbox.wake_fd, &event), 0);
    for (int i = 1; i <= 3; i++) {
        ck_assert(mailbox_sleep(&mailbox));
        ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, 0), 0);
        post_note(0, last[0] + 1);
        ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, 0), 1);
        mailbox_awake(&mailbox);
        post_note(0, last[0] + 2); /* not rung for */
        ck_assert_int_eq(mailbox_run(&mailbox), 2);
        ck_assert_int_eq(epoll_wait(epoll_fd, &event, 1, 0), 0);
    }
    mailbox_fini(&mailbox);
    close(epoll_fd);
}
END_TEST

START_TEST(waiting_ends_when_time_is_up)
{
    mailbox_init(&mailbox);
    ck_assert_int_eq(mailbox_wait(&mailbox, 10), 0);
    ck_assert_int_eq(mailbox_wait(&mailbox, 0), 0);
    mailbox_fini(&mailbox);
}
END_TEST

static struct msg again;
static int turns;

static void run_again(struct msg *msg)
{
    turns++;
    if (turns < 3)
        mailbox_post(&mailbox, msg);
}

START_TEST(a_message_may_post_itself_again)
{
    mailbox_init(&mailbox);
    again.run = run_again;
    mailbox_post(&mailbox, &again);
    ck_assert_int_eq(mailbox_run(&mailbox), 1); /* the next turn's */
    ck_assert_int_eq(mailbox_run(&mailbox), 1);
    ck_assert_int_eq(mailbox_run(&mailbox), 1);
    ck_assert_int_eq(mailbox_run(&mailbox), 0);
    ck_assert_int_eq(turns, 3);
    mailbox_fini(&mailbox);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("mailbox");

    tcase_add_test(tc, many_posters_one_reader);
    tcase_add_test(tc, what_is_there_keeps_the_reader_awake);
    tcase_add_test(tc, who_watches_edges_need_not_empty_the_bell);
    tcase_add_test(tc, waiting_ends_when_time_is_up);
    tcase_add_test(tc, a_message_may_post_itself_again);
    return unit_run(tc);
}
