/*
 * resolver: a name that hangs holds up neither the loop that asks nor another name; each asker is
 * answered once, on its own reactor, or never when it has cancelled, wherever the answer is by
 * then. That nothing is lost or read late is the sanitizers' half.
 */
#include "common/io/resolver.h"

#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/names.h"
#include "tests/kit/unit.h"

struct asker {
    struct lookup lookup;
    int answers;
    enum err err;
    char addr[NET_ADDR_TEXT]; /* "": none */
};

static struct reactor *reactor;
static struct names *names;
static struct resolver *resolver;
static struct asker askers[RESOLVER_THREADS + 2];

static void on_done(void *arg, enum err err, const struct net_addr *addr)
{
    struct asker *asker = arg;

    ck_assert(reactor_is_here(asker->lookup.reactor));
    ck_assert(!lookup_is_under_way(&asker->lookup));
    ck_assert((err == ERR_OK) == (addr != NULL));
    asker->answers++;
    asker->err = err;
    asker->addr[0] = '\0';
    if (addr != NULL)
        net_addr_print(addr, asker->addr);
}

static void init(struct asker *asker, struct reactor *on)
{
    memset(asker, 0, sizeof *asker);
    lookup_init(&asker->lookup, resolver, on, on_done, asker);
}

static void set_up(void)
{
    reactor = reactor_new();
    names = names_new();
    resolver = resolver_new(names_look, names);
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        init(&askers[i], reactor);
}

static void tear_down(void)
{
    for (size_t i = 0; i < ARRAY_LEN(askers); i++)
        lookup_cancel(&askers[i].lookup);
    names_let_go(names, true);
    if (reactor != NULL)
        reactor_free(&reactor);
    resolver_free(&resolver);
    names_free(&names);
}

static void await(const struct asker *asker, int answers)
{
    while (asker->answers < answers)
        reactor_turn(reactor, true);
    ck_assert_int_eq(asker->answers, answers);
}

START_TEST(a_literal_is_answered_at_once)
{
    static const struct {
        const char *host, *addr;
    } literals[] = { { "127.0.0.1", "127.0.0.1:9092" },
                     { "10.1.2.3", "10.1.2.3:9092" },
                     { "::1", "[::1]:9092" } };

    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        lookup_find(&askers[i].lookup, literals[i].host, 9092);
        ck_assert_int_eq(askers[i].answers, 1);
        ck_assert_int_eq(askers[i].err, ERR_OK);
        ck_assert_str_eq(askers[i].addr, literals[i].addr);
    }
    lookup_find(&askers[3].lookup, "", 9092); /* the wildcard */
    lookup_find(&askers[4].lookup, NULL, 9092);
    ck_assert_int_eq(askers[3].answers + askers[4].answers, 2);
    ck_assert_str_eq(askers[3].addr, askers[4].addr);
    ck_assert_int_eq(names_count(names), 0);
}
END_TEST

/* Ports come out of ZooKeeper, where anybody may have written them. */
START_TEST(a_port_that_nobody_can_listen_on_has_no_address)
{
    static const int ports[] = { -1, 0, 65536, 70000 };

    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct asker *asker = &askers[i];

        lookup_find(&asker->lookup, "127.0.0.1", ports[i]);
        lookup_find(&asker->lookup, "a.test", ports[i]);
        ck_assert_int_eq(asker->answers, 2);
        ck_assert_int_eq(asker->err, ERR_NOT_FOUND);
    }
    ck_assert_int_eq(names_count(names), 0);
}
END_TEST

START_TEST(a_name_is_answered_on_the_reactor)
{
    lookup_find(&askers[0].lookup, "a.test", 9092);
    ck_assert_int_eq(askers[0].answers, 0);
    ck_assert(lookup_is_under_way(&askers[0].lookup));
    await(&askers[0], 1);
    ck_assert_int_eq(askers[0].err, ERR_OK);
    ck_assert_str_eq(askers[0].addr, "127.0.0.1:9092");
    lookup_find(&askers[0].lookup, "no.test", 1);
    await(&askers[0], 2);
    ck_assert_int_eq(askers[0].err, ERR_NOT_FOUND);
    lookup_find(&askers[0].lookup, "mute.test", 1);
    await(&askers[0], 3);
    ck_assert_int_eq(askers[0].err, ERR_REQUEST_TIMED_OUT);
}
END_TEST

START_TEST(the_machines_own_resolver_is_asked)
{
    struct resolver *real = resolver_new(NULL, NULL);
    struct lookup *lookup = &askers[0].lookup;

    lookup_init(lookup, real, reactor, on_done, &askers[0]);
    lookup_find(lookup, "localhost", 80);
    await(&askers[0], 1);
    ck_assert_int_eq(askers[0].err, ERR_OK);
    ck_assert(strcmp(askers[0].addr, "127.0.0.1:80") == 0 ||
              strcmp(askers[0].addr, "[::1]:80") == 0);
    lookup_find(lookup, "no.such.host.invalid", 80);
    await(&askers[0], 2);
    ck_assert_int_ne(askers[0].err, ERR_OK); /* whether somebody has told or not */
    resolver_free(&real);
}
END_TEST

static bool ticked;

static void on_tick(struct reactor_timer *timer)
{
    (void)timer;
    ticked = true;
}

START_TEST(a_name_that_hangs_holds_nobody_up)
{
    struct reactor_timer timer;

    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    names_await_hanging(names, 1);
    ticked = false;
    reactor_timer_init(&timer, on_tick);
    reactor_timer_set_ms(reactor, &timer, 1);
    while (!ticked)
        reactor_turn(reactor, true);
    lookup_find(&askers[1].lookup, "b.test", 2);
    await(&askers[1], 1);
    ck_assert_int_eq(askers[0].answers, 0);
    names_let_go(names, true);
    await(&askers[0], 1);
    ck_assert_str_eq(askers[0].addr, "127.0.0.1:1");
}
END_TEST

START_TEST(all_who_ask_for_a_name_share_a_look_up)
{
    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    names_await_hanging(names, 1);
    lookup_find(&askers[1].lookup, "hang.a.test", 2);
    lookup_find(&askers[2].lookup, "hang.a.test", 3);
    lookup_cancel(&askers[1].lookup);
    names_let_go(names, true);
    await(&askers[0], 1);
    await(&askers[2], 1);
    ck_assert_str_eq(askers[0].addr, "127.0.0.1:1");
    ck_assert_str_eq(askers[2].addr, "127.0.0.1:3");
    ck_assert_int_eq(askers[1].answers, 0);
    ck_assert_int_eq(names_count(names), 1);
}
END_TEST

/* And what nobody wants any more does not wait along. */
START_TEST(more_names_than_threads_wait_for_one)
{
    struct asker *unwanted = &askers[RESOLVER_THREADS], *last = &askers[RESOLVER_THREADS + 1];

    for (int i = 0; i < RESOLVER_THREADS; i++) {
        char host[32];

        snprintf(host, sizeof host, "hang.%d.test", i);
        lookup_find(&askers[i].lookup, host, i + 1);
    }
    names_await_hanging(names, RESOLVER_THREADS);
    lookup_find(&unwanted->lookup, "a.test", 1);
    lookup_find(&last->lookup, "b.test", 2);
    lookup_cancel(&unwanted->lookup);
    for (int i = 0; i < 100; i++)
        reactor_turn(reactor, false);
    ck_assert_int_eq(last->answers, 0);
    names_let_go(names, true);
    await(last, 1);
    for (int i = 0; i < RESOLVER_THREADS; i++)
        await(&askers[i], 1);
    ck_assert_int_eq(unwanted->answers, 0);
    ck_assert_int_eq(names_count(names), RESOLVER_THREADS + 1);
}
END_TEST

START_TEST(another_question_replaces_the_first)
{
    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    lookup_find(&askers[0].lookup, "b.test", 2);
    await(&askers[0], 1);
    ck_assert_str_eq(askers[0].addr, "127.0.0.1:2");
}
END_TEST

START_TEST(who_asks_again_and_again_has_the_answer_of_the_first_look_up)
{
    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    names_await_hanging(names, 1);
    lookup_cancel(&askers[0].lookup);
    names_let_go(names, true);
    lookup_find(&askers[0].lookup, "hang.a.test", 2); /* it has ended, or is about to */
    while (askers[0].answers == 0)
        reactor_turn(reactor, true);
    ck_assert_str_eq(askers[0].addr, "127.0.0.1:2");
    ck_assert_int_eq(names_count(names), 1);
    lookup_find(&askers[0].lookup, "hang.a.test", 3); /* it may have moved meanwhile */
    await(&askers[0], 2);
    ck_assert_int_eq(names_count(names), 2);
}
END_TEST

START_TEST(who_has_gone_is_not_told)
{
    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    names_await_hanging(names, 1);
    lookup_cancel(&askers[0].lookup);
    lookup_cancel(&askers[0].lookup);
    reactor_free(&reactor); /* and with it where the answer would go */
    names_let_go(names, true);
}
END_TEST

/* _i: what becomes of the message: it is run, or never. */
START_TEST(who_goes_when_the_answer_is_on_its_way_is_not_told)
{
    lookup_find(&askers[0].lookup, "a.test", 1);
    while (atomic_load(&reactor_mailbox(reactor)->head) == NULL)
        sched_yield();
    lookup_cancel(&askers[0].lookup);
    if (_i == 0) {
        for (int i = 0; i < 3; i++)
            reactor_turn(reactor, false);
    }
    ck_assert_int_eq(askers[0].answers, 0);
}
END_TEST

START_TEST(an_end_does_not_wait_for_a_name_that_hangs)
{
    lookup_find(&askers[0].lookup, "hang.a.test", 1);
    names_await_hanging(names, 1);
    lookup_cancel(&askers[0].lookup);
    resolver_free(&resolver);
}
END_TEST

#define ROUNDS 300
#define LOOPS  3

static struct loop {
    struct reactor *reactor;
    struct asker askers[4];
    int asked, cancelled;
} loops[LOOPS];

static void ask_many(void *arg)
{
    static const char *const hosts[] = { "a.test", "b.test", "no.test", "127.0.0.1", "hang.test" };
    struct loop *loop = arg;

    for (size_t i = 0; i < ARRAY_LEN(loop->askers); i++) {
        struct lookup *lookup = &loop->askers[i].lookup;

        loop->cancelled += lookup_is_under_way(lookup);
        if (loop->asked % 3 == 0)
            lookup_cancel(lookup);
        lookup_find(lookup, hosts[loop->asked++ % (int)ARRAY_LEN(hosts)], 1);
    }
}

START_TEST(many_loops_ask_and_cancel_at_once)
{
    names_let_go(names, true);
    for (int i = 0; i < LOOPS; i++) {
        loops[i] = (struct loop){ .reactor = reactor_new() };
        for (size_t j = 0; j < ARRAY_LEN(loops[i].askers); j++)
            init(&loops[i].askers[j], loops[i].reactor);
        reactor_start(loops[i].reactor, T_FETCHER, i);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < LOOPS; i++)
            reactor_call(loops[i].reactor, ask_many, &loops[i]);
    for (int i = 0; i < LOOPS; i++) {
        int answers = 0;

        reactor_stop(loops[i].reactor);
        for (size_t j = 0; j < ARRAY_LEN(loops[i].askers); j++) {
            loops[i].cancelled += lookup_is_under_way(&loops[i].askers[j].lookup);
            lookup_cancel(&loops[i].askers[j].lookup);
            answers += loops[i].askers[j].answers;
        }
        reactor_free(&loops[i].reactor);
        ck_assert_int_eq(answers + loops[i].cancelled, loops[i].asked);
        ck_assert_int_gt(answers, 0);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("resolver");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_literal_is_answered_at_once);
    tcase_add_test(tc, a_port_that_nobody_can_listen_on_has_no_address);
    tcase_add_test(tc, a_name_is_answered_on_the_reactor);
    tcase_add_test(tc, the_machines_own_resolver_is_asked);
    tcase_add_test(tc, a_name_that_hangs_holds_nobody_up);
    tcase_add_test(tc, all_who_ask_for_a_name_share_a_look_up);
    tcase_add_test(tc, more_names_than_threads_wait_for_one);
    tcase_add_test(tc, another_question_replaces_the_first);
    tcase_add_test(tc, who_asks_again_and_again_has_the_answer_of_the_first_look_up);
    tcase_add_test(tc, who_has_gone_is_not_told);
    tcase_add_loop_test(tc, who_goes_when_the_answer_is_on_its_way_is_not_told, 0, 2);
    tcase_add_test(tc, an_end_does_not_wait_for_a_name_that_hangs);
    tcase_add_test(tc, many_loops_ask_and_cancel_at_once);
    return unit_run(tc);
}
