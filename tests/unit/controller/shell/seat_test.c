/*
 * seat: registers, wins with an epoch of its own, loses by every way there is, stands again, takes
 * over from the dead, and does not stand where it must not.
 */
#include "controller/shell/seat.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/io/reactor.h"
#include "tests/kit/fake_zk.h"
#include "tests/kit/unit.h"

static struct reactor *reactor;
static struct fake_zk *fake;
static int64_t now_us;

struct man {
    struct zk *zk;
    struct seat *seat;
    int won, lost, told;
    int32_t epoch, version, holder;
    char reason[64], address[64];
};
static struct man a, b;

static int64_t clock_us(void *arg)
{
    (void)arg;
    return now_us;
}

static void on_won(void *arg, int32_t epoch, int32_t epoch_version)
{
    struct man *man = arg;

    man->won++;
    man->epoch = epoch;
    man->version = epoch_version;
}

static void on_lost(void *arg, const char *reason)
{
    struct man *man = arg;

    man->lost++;
    snprintf(man->reason, sizeof man->reason, "%s", reason);
}

static void on_holder(void *arg, const struct seat_holder *holder)
{
    struct man *man = arg;

    man->told++;
    man->holder = holder->id;
    snprintf(man->address, sizeof man->address, "%.*s:%d", STR_ARG(holder->host), holder->port);
}

static void man_start(struct man *man, int32_t id)
{
    struct seat_hooks hooks = { on_won, on_lost, on_holder };
    struct seat_options options = {
        .controller_id = id, .host = "127.0.0.1", .port = 9190 + id, .reactor = reactor
    };

    *man = (struct man){ .holder = -2 };
    man->zk = options.zk = fake_zk_open(fake, reactor_mailbox(reactor));
    man->seat = seat_new(&options, &hooks, man);
}

static void man_stop(struct man *man)
{
    seat_free(&man->seat);
    zk_close(&man->zk);
}

/* Until nothing happens any more, for so long. */
static void run_ms(int64_t ms)
{
    int64_t end_us = now_us + ms * 1000;

    for (; now_us <= end_us; now_us += 5000) {
        for (int i = 0; i < 20; i++)
            reactor_turn(reactor, false);
    }
}

static void set_up(void)
{
    now_us = 1000000;
    reactor = reactor_new();
    reactor_set_clock(reactor, clock_us, NULL);
    fake = fake_zk_new();
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
}

static void tear_down(void)
{
    man_stop(&a);
    man_stop(&b);
    run_ms(10);
    fake_zk_free(&fake);
    reactor_free(&reactor);
}

static const char *epoch(void)
{
    return fake_zk_data(fake, "/controller_epoch");
}

START_TEST(the_first_one_wins_with_epoch_1)
{
    man_start(&a, 3001);
    run_ms(50);
    ck_assert_int_eq(a.won, 1);
    ck_assert_int_eq(a.epoch, 1);
    ck_assert_int_eq(a.version, 1);
    ck_assert_str_eq(epoch(), "1");
    ck_assert_int_eq(fake_zk_version(fake, "/controller_epoch"), 1);
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/controller"), "\"brokerid\":3001"));
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/controllers/ids/3001"), "\"port\":12191"));
    ck_assert_int_eq(a.holder, 3001);
}
END_TEST

START_TEST(it_is_known_since_when_all_were_ours)
{
    man_start(&a, 1);
    run_ms(50);
    ck_assert_str_eq(fake_zk_data(fake, "/controllers/ids"),
                     "{\"version\":1,\"first\":1,\"last\":1}");
    fake_zk_drop(fake, "/controller");
    run_ms(5000);
    ck_assert_str_eq(epoch(), "2");
    ck_assert_str_eq(fake_zk_data(fake, "/controllers/ids"),
                     "{\"version\":1,\"first\":1,\"last\":2}");
    fake_zk_put(fake, "/controller_epoch", "3"); /* another one was there */
    fake_zk_drop(fake, "/controller");
    run_ms(5000);
    ck_assert_str_eq(epoch(), "4");
    ck_assert_str_eq(fake_zk_data(fake, "/controllers/ids"),
                     "{\"version\":1,\"first\":4,\"last\":4}");
}
END_TEST

START_TEST(the_second_one_learns_the_first_ones_address)
{
    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    ck_assert_int_eq(b.won, 0);
    ck_assert_int_eq(b.holder, 1);
    ck_assert_str_eq(b.address, "127.0.0.1:9191");
}
END_TEST

/* Without it nobody would notice that the holder is dead before its session ends. _i: so many reads
 * later the answer is lost. */
START_TEST(the_address_is_asked_for_again_when_an_answer_is_lost)
{
    man_start(&a, 3001);
    run_ms(50);
    man_start(&b, 3002);
    fake_zk_lose_read(b.zk, (unsigned)_i);
    run_ms(50);
    ck_assert_int_eq(b.holder, 3001);
    ck_assert_str_eq(b.address, "127.0.0.1:12191");
}
END_TEST

START_TEST(an_expiry_moves_the_seat)
{
    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    fake_zk_expire(a.zk);
    run_ms(500);
    ck_assert_int_eq(a.lost, 1);
    ck_assert_int_eq(b.won, 1);
    ck_assert_int_eq(b.epoch, 2);
    fake_zk_resume(a.zk);
    run_ms(500);
    ck_assert_int_eq(a.holder, 2);
    ck_assert_int_eq(a.won, 1);
    ck_assert_ptr_nonnull(fake_zk_data(fake, "/controllers/ids/1"));
}
END_TEST

START_TEST(an_operator_may_force_an_election)
{
    man_start(&a, 1);
    run_ms(50);
    fake_zk_drop(fake, "/controller");
    run_ms(2000);
    ck_assert_int_eq(a.lost, 1);
    ck_assert_int_eq(a.won, 2);
    ck_assert_int_eq(a.epoch, 2);
}
END_TEST

START_TEST(resigning_gives_another_the_chance)
{
    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    seat_resign(a.seat, "a test");
    run_ms(500);
    ck_assert_str_eq(a.reason, "a test");
    ck_assert_int_eq(b.won, 1);
    ck_assert_int_eq(a.holder, 2);
    ck_assert(!seat_is_held(a.seat) && seat_is_held(b.seat));
}
END_TEST

/* Two that cannot serve the cluster must not win in turns all the time. */
START_TEST(who_cannot_serve_stands_again_much_later)
{
    man_start(&a, 1);
    run_ms(50);
    seat_refuse(a.seat, "a test", 10000);
    run_ms(9000);
    ck_assert_str_eq(a.reason, "a test");
    ck_assert_int_eq(a.won, 1);
    man_start(&b, 2);
    run_ms(50);
    ck_assert_int_eq(b.won, 1); /* it has not tried yet */
    seat_refuse(b.seat, "a test", 10000);
    run_ms(9000);
    ck_assert_int_eq(a.won, 2);
    ck_assert_int_eq(b.won, 1);
    seat_resign(a.seat, "another test"); /* the usual pause again */
    run_ms(500);
    ck_assert_int_eq(a.won, 3);
}
END_TEST

START_TEST(a_dead_holder_is_replaced_in_one_multi)
{
    uint64_t writes;

    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    fake_zk_kill(a.zk); /* its ephemerals stay */
    writes = fake_zk_writes(fake);
    seat_take_over(b.seat, 1);
    run_ms(50);
    ck_assert_int_eq(b.won, 1);
    ck_assert_int_eq(b.epoch, 2);
    ck_assert_uint_eq(fake_zk_writes(fake), writes + 1);
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/controller"), "\"brokerid\":2"));
    fake_zk_bury(a.zk);
    run_ms(500);
    ck_assert_int_eq(b.lost, 0);
}
END_TEST

/* _i: so many reads later the answer is lost. */
START_TEST(a_dead_holder_is_replaced_although_an_answer_is_lost)
{
    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    fake_zk_kill(a.zk);
    fake_zk_lose_read(b.zk, (unsigned)_i);
    seat_take_over(b.seat, 1);
    run_ms(20);
    ck_assert_int_eq(b.won, 1);
}
END_TEST

START_TEST(a_holder_that_is_not_listed_is_not_replaced)
{
    fake_zk_put(fake, "/controller", "{\"version\":2,\"brokerid\":1,\"timestamp\":\"1\"}");
    fake_zk_put(fake, "/controller_epoch", "12");
    man_start(&b, 2);
    run_ms(50);
    ck_assert_int_eq(b.holder, 1);
    seat_take_over(b.seat, 1);
    run_ms(500);
    ck_assert_int_eq(b.won, 0);
    fake_zk_drop(fake, "/controller");
    run_ms(500);
    ck_assert_int_eq(b.epoch, 13);
}
END_TEST

START_TEST(a_fenced_holder_loses_without_deleting)
{
    man_start(&a, 1);
    run_ms(50);
    man_start(&b, 2);
    run_ms(50);
    seat_take_over(b.seat, 1); /* wrongly: a lives */
    run_ms(5);
    seat_fenced(a.seat);
    seat_fenced(a.seat);
    run_ms(500);
    ck_assert_int_eq(a.lost, 1);
    ck_assert_int_eq(b.won, 1);
    ck_assert_int_eq(b.lost, 0);
    ck_assert_int_eq(a.holder, 2);
}
END_TEST

/* /controller is still ours then, and nobody else will ever be told that it is free. */
START_TEST(who_is_fenced_by_a_strange_hand_stands_again)
{
    man_start(&a, 3001);
    run_ms(50);
    ck_assert_int_eq(a.won, 1);
    fake_zk_put(fake, "/controller_epoch", "7");
    seat_fenced(a.seat);
    run_ms(1000);
    ck_assert_int_eq(a.lost, 1);
    ck_assert_int_eq(a.won, 2);
    ck_assert_int_eq(a.epoch, 8);
    ck_assert_str_eq(epoch(), "8");
}
END_TEST

START_TEST(a_lost_answer_of_the_election_is_found_out)
{
    fake_zk_put(fake, "/controllers/ids", NULL);
    fake_zk_put(fake, "/controller_epoch", "7");
    man_start(&a, 1);
    fake_zk_lose_write(a.zk, 2, FAKE_LOSS_APPLIED); /* path, registration, election */
    run_ms(50);
    ck_assert_int_eq(a.won, 1);
    ck_assert_int_eq(a.epoch, 8);
    ck_assert_str_eq(epoch(), "8");
    fake_zk_drop(fake, "/controller");
    fake_zk_lose_write(a.zk, 0, FAKE_LOSS_NOT_APPLIED);
    run_ms(2000);
    ck_assert_int_eq(a.won, 2);
    ck_assert_int_eq(a.epoch, 9);
}
END_TEST

START_TEST(an_earlier_process_of_ours_is_replaced_at_once)
{
    struct man old;

    man_start(&old, 1);
    run_ms(50);
    ck_assert_int_eq(old.won, 1);
    seat_free(&old.seat);
    fake_zk_kill(old.zk);
    man_start(&a, 1);
    run_ms(200);
    ck_assert_int_eq(a.won, 1);
    ck_assert_int_eq(a.epoch, 2);
    zk_close(&old.zk);
}
END_TEST

START_TEST(another_with_our_id_is_waited_for)
{
    fake_zk_put(fake, "/controllers/ids/1",
                "{\"version\":1,\"host\":\"other\",\"port\":1,\"timestamp\":\"1\"}");
    man_start(&a, 1);
    run_ms(3000);
    ck_assert_int_eq(a.won, 0);
    fake_zk_drop(fake, "/controllers/ids/1");
    run_ms(3000);
    ck_assert_int_eq(a.won, 1);
}
END_TEST

START_TEST(it_does_not_stand_beside_others)
{
    static const char *const ours = "{\"version\":5,\"endpoints\":[],\"moldau\":\"1\","
                                    "\"listener_security_protocol_map\":{}}";
    static const char *const java = "{\"version\":5,\"endpoints\":[],"
                                    "\"listener_security_protocol_map\":{}}";

    fake_zk_put(fake, "/brokers/ids/1", ours);
    fake_zk_put(fake, "/brokers/ids/2", java);
    man_start(&a, 3001);
    run_ms(3000);
    ck_assert_int_eq(a.won, 0);
    fake_zk_put(fake, "/migration", "{}");
    fake_zk_drop(fake, "/brokers/ids/2");
    run_ms(3000);
    ck_assert_int_eq(a.won, 0);
    fake_zk_drop(fake, "/migration");
    run_ms(3000);
    ck_assert_int_eq(a.won, 1);
}
END_TEST

START_TEST(what_is_no_registration_keeps_nobody_from_standing)
{
    fake_zk_put(fake, "/brokers/ids/1", "{\"version\":");
    fake_zk_put(fake, "/brokers/ids/2", "{}");
    fake_zk_forbid(fake, "/brokers/ids/2", true); /* who knows what it says */
    man_start(&a, 3001);
    run_ms(3000);
    ck_assert_int_eq(a.won, 0);
    fake_zk_forbid(fake, "/brokers/ids/2", false);
    run_ms(3000);
    ck_assert_int_eq(a.won, 1);
}
END_TEST

START_TEST(a_kraft_controller_is_left_alone)
{
    fake_zk_put(fake, "/controllers/ids/5", "{\"version\":1,\"host\":\"h\",\"port\":1}");
    fake_zk_put(fake, "/controller",
                "{\"version\":2,\"brokerid\":5,\"timestamp\":\"1\",\"kraftControllerEpoch\":3}");
    man_start(&a, 1);
    run_ms(50);
    seat_take_over(a.seat, 5);
    run_ms(1000);
    ck_assert_int_eq(a.won, 0);
    ck_assert_ptr_nonnull(strstr(fake_zk_data(fake, "/controller"), "\"brokerid\":5"));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("seat");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_first_one_wins_with_epoch_1);
    tcase_add_test(tc, it_is_known_since_when_all_were_ours);
    tcase_add_test(tc, the_second_one_learns_the_first_ones_address);
    tcase_add_loop_test(tc, the_address_is_asked_for_again_when_an_answer_is_lost, 0, 3);
    tcase_add_test(tc, an_expiry_moves_the_seat);
    tcase_add_test(tc, an_operator_may_force_an_election);
    tcase_add_test(tc, resigning_gives_another_the_chance);
    tcase_add_test(tc, who_cannot_serve_stands_again_much_later);
    tcase_add_test(tc, a_dead_holder_is_replaced_in_one_multi);
    tcase_add_loop_test(tc, a_dead_holder_is_replaced_although_an_answer_is_lost, 0, 7);
    tcase_add_test(tc, a_holder_that_is_not_listed_is_not_replaced);
    tcase_add_test(tc, a_fenced_holder_loses_without_deleting);
    tcase_add_test(tc, who_is_fenced_by_a_strange_hand_stands_again);
    tcase_add_test(tc, a_lost_answer_of_the_election_is_found_out);
    tcase_add_test(tc, an_earlier_process_of_ours_is_replaced_at_once);
    tcase_add_test(tc, another_with_our_id_is_waited_for);
    tcase_add_test(tc, it_does_not_stand_beside_others);
    tcase_add_test(tc, what_is_no_registration_keeps_nobody_from_standing);
    tcase_add_test(tc, a_kraft_controller_is_left_alone);
    return unit_run(tc);
}
