/*
 * fetcher, fetchers: real brokers in one process, over real sockets. A follower gets every byte of
 * its leader's, cuts what another leader never had, starts anew where the leader's log begins, and
 * none of it waits for longer than it must when leaders change, or for a name to be looked up.
 */
#include "broker/replica/fetchers.h"

#include <check.h>
#include <sched.h>
#include <poll.h>
#include <stdatomic.h>

#include "broker/replica/fetcher_int.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/kit/replica_kit.h"
#include "tests/kit/unit.h"

static const int32_t one[] = { 1 }, both[] = { 1, 2 };

static struct kit_cluster cluster;

START_TEST(a_follower_copies_its_leader)
{
    struct fetchers_info info;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 10, 5, 100);
    kit_wait(&cluster, 2, 0, 0, 50, -1);
    kit_wait(&cluster, 1, 0, 0, 50, 50);
    kit_wait(&cluster, 2, 0, 0, 50, 50);
    kit_same(&cluster, 1, 2, 0, 0);
    fetchers_get_info(cluster.brokers[2].fetchers, &info);
    ck_assert_int_eq(info.loops, 1);
    ck_assert_int_eq(info.partitions, 1);
    ck_assert_int_eq(info.failed, 0);
    kit_cluster_end(&cluster);
}
END_TEST

#define QUIET_PARTS 6

/* Records that come to one partition while most of the session is quiet, and their high watermark,
 * reach the follower, and so do changes of roles. */
START_TEST(what_stirs_in_a_quiet_session_is_seen)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));
    int64_t ends[QUIET_PARTS] = { 0 };

    kit_cluster_init(&cluster);
    cluster.note_every_ms = INT64_MAX; /* what is quiet is never looked at for its own sake */
    cluster.fetch.wait_max_ms = 20000;
    kit_cluster_start(&cluster, 2);
    for (state.index = 0; state.index < QUIET_PARTS; state.index++)
        kit_set_part(&cluster, 0, &state);
    for (int i = 0; i < 200; i++) {
        int32_t p = i % 3 != 0 ? 0 : i / 3 % QUIET_PARTS;

        kit_produce(&cluster, 1, 0, p, 1, 1, 10);
        ends[p]++;
        kit_wait(&cluster, 2, 0, p, ends[p], i % 10 == 0 ? ends[p] : -1);
        parts_tick(cluster.brokers[1].parts, clock_mono_ms()); /* as the control thread does */
    }
    for (int32_t p = 0; p < QUIET_PARTS; p++) {
        kit_wait(&cluster, 1, 0, p, ends[p], ends[p]);
        kit_wait(&cluster, 2, 0, p, ends[p], ends[p]);
        kit_same(&cluster, 1, 2, 0, p);
    }
    state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both)); /* the same leader in a new epoch */
    state.index = 4;
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 4, 1, 1, 10);
    kit_wait(&cluster, 2, 0, 4, ends[4] + 1, ends[4] + 1);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(what_is_larger_than_an_answer_comes_in_pieces)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(one));

    kit_cluster_init(&cluster);
    cluster.fetch.partition_max_bytes = 10000;
    cluster.fetch.response_max_bytes = 15000;
    kit_cluster_start(&cluster, 2);
    for (state.index = 0; state.index < 3; state.index++)
        kit_set_part(&cluster, 0, &state);
    for (int32_t p = 0; p < 3; p++)
        kit_produce(&cluster, 1, 0, p, 40, 3, 2000);
    for (int32_t p = 0; p < 3; p++) {
        kit_wait(&cluster, 2, 0, p, 120, 120);
        kit_same(&cluster, 1, 2, 0, p);
    }
    kit_produce(&cluster, 1, 0, 1, 1, 1, 500000); /* one batch larger than everything allowed */
    kit_wait(&cluster, 2, 0, 1, 121, 121);
    kit_same(&cluster, 1, 2, 0, 1);
    kit_cluster_end(&cluster);
}
END_TEST

/* replication reference, scenario 7: what only the old leader had is cut when it comes back. */
START_TEST(an_old_leader_cuts_what_nobody_else_had)
{
    struct image_part state;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 4, 2, 100);
    kit_wait(&cluster, 2, 0, 0, 8, 8);

    kit_broker_stop(&cluster, 2, true); /* so that it does not see the next ones */
    kit_produce(&cluster, 1, 0, 0, 3, 1, 100);
    kit_broker_stop(&cluster, 1, false);

    state = kit_state(2, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_put_part(&cluster, 0, &state);
    kit_broker_start(&cluster, 2);
    kit_produce(&cluster, 2, 0, 0, 1, 5, 50);
    kit_broker_start(&cluster, 1);
    kit_wait(&cluster, 1, 0, 0, 13, 13);
    kit_same(&cluster, 1, 2, 0, 0);
    kit_cluster_end(&cluster);
}
END_TEST

/* Scenario 11 (KIP-279): 1 leads in epochs 1 and 3, 2 in between, and each has records of its own
 * at the same offsets. Ends or high watermarks alone would leave 2's record in place. */
START_TEST(fast_leaders_are_told_apart_by_epochs)
{
    struct image_part state;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 4, 2, 100);
    kit_wait(&cluster, 2, 0, 0, 8, 8);

    kit_broker_stop(&cluster, 2, true);
    state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 2, 1, 100); /* 8 and 9 in epoch 1 */
    kit_broker_stop(&cluster, 1, true);
    state = kit_state(2, 2, 2, IDS_OF(both), IDS_OF(both));
    kit_put_part(&cluster, 0, &state);
    kit_broker_start(&cluster, 2);
    kit_produce(&cluster, 2, 0, 0, 1, 1, 77); /* another 8, in epoch 2 */
    kit_broker_stop(&cluster, 2, true);
    state = kit_state(1, 3, 3, IDS_OF(both), IDS_OF(both));
    kit_put_part(&cluster, 0, &state);
    kit_broker_start(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 1, 1, 50);
    kit_broker_start(&cluster, 2);
    kit_wait(&cluster, 2, 0, 0, 11, 11);
    kit_same(&cluster, 1, 2, 0, 0);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(a_log_that_ends_before_the_leaders_begins_starts_anew)
{
    struct image_part state;
    int64_t low;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 5, 1, 100);
    kit_wait(&cluster, 2, 0, 0, 5, 5);
    kit_broker_stop(&cluster, 2, true);
    state = kit_state(1, 0, 1, IDS_OF(both), IDS_OF(one));
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 100, 1, 100);
    struct part *part = kit_part(&cluster, 1, 0, 0);
    ck_assert_int_eq(part_delete_records(part, &(int64_t){ 60 }, clock_mono_ms(), &low), ERR_OK);
    part_unref(&part);
    kit_broker_start(&cluster, 2);
    kit_wait(&cluster, 2, 0, 0, 105, 105);
    struct part_info info;
    kit_info(&cluster, 2, 0, 0, &info);
    ck_assert_int_eq(info.log_start, 60);
    kit_cluster_end(&cluster);
}
END_TEST

/* Empty and far behind, with the leader's log starting inside a batch. */
START_TEST(a_new_replica_starts_where_the_leaders_log_starts)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(one), IDS_OF(one));
    int64_t low;

    kit_cluster_init(&cluster);
    kit_cluster_start(&cluster, 2);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 20, 10, 100);
    struct part *part = kit_part(&cluster, 1, 0, 0);
    ck_assert_int_eq(part_delete_records(part, &(int64_t){ 95 }, clock_mono_ms(), &low), ERR_OK);
    part_unref(&part);
    state = kit_state(1, 0, 1, IDS_OF(both), IDS_OF(one));
    kit_set_part(&cluster, 0, &state);
    kit_wait(&cluster, 2, 0, 0, 200, 200);
    /* Begun at a batch's start, and moved to the leader's after the high watermark. */
    struct part_info info = { .log_start = -1 };
    for (int ms = 0; ms < 20000 && info.log_start != 95 && poll(NULL, 0, 1) == 0; ms++)
        kit_info(&cluster, 2, 0, 0, &info);
    ck_assert_int_eq(info.log_start, 95);
    kit_cluster_end(&cluster);
}
END_TEST

/* The follower hears first that there is a new leader: it must not wait a whole back-off. */
START_TEST(a_leader_that_does_not_know_yet_is_asked_again_soon)
{
    struct image_part state;

    kit_cluster_init(&cluster);
    cluster.fetch.backoff_ms = 20000;
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 1, 1);

    state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_put_part(&cluster, 0, &state);
    kit_tell(&cluster, 2, &state, 0);
    poll(NULL, 0, 30); /* time for at least one refusal; the outcome does not depend on it */
    kit_tell(&cluster, 1, &state, 0);
    kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
    ck_assert_int_lt(kit_wait(&cluster, 2, 0, 0, 2, 2), 10000);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(a_newcomer_does_not_wait_for_a_parked_fetch)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));

    kit_cluster_init(&cluster);
    cluster.fetch.wait_max_ms = 25000;
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 1, 1);
    for (state.index = 1; state.index < 4; state.index++) {
        kit_set_part(&cluster, 0, &state);
        kit_produce(&cluster, 1, 0, state.index, 1, 1, 10);
        ck_assert_int_lt(kit_wait(&cluster, 2, 0, state.index, 1, -1), 10000);
    }
    kit_cluster_end(&cluster);
}
END_TEST

/* Its leader knows nothing of it in its new life until it has fetched. */
START_TEST(who_registers_anew_fetches_at_once)
{
    struct reader reader;
    int64_t ms = 0;

    kit_cluster_init(&cluster);
    cluster.fetch.wait_max_ms = 25000;
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 1, 1);
    struct part *part = kit_part(&cluster, 1, 0, 0);
    kit_broker_register(&cluster, 2);
    while (part_get_readers(part, 1, clock_mono_ms(), &reader, 1) == 0 && ms++ < 10000)
        poll(NULL, 0, 1);
    ck_assert_int_lt(ms, 10000);
    part_unref(&part);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(a_leader_that_moves_is_found_again)
{
    struct image_part state;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 3, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 3, 3);
    ck_assert(!fetchers_just_lost(cluster.brokers[2].fetchers, 1, 1000000));
    kit_broker_stop(&cluster, 1, true);
    while (!fetchers_just_lost(cluster.brokers[2].fetchers, 1, 1000000))
        sched_yield(); /* the news comes by the socket; the runner's time limit is the bound */
    ck_assert(!fetchers_just_lost(cluster.brokers[2].fetchers, 3, 1000000));
    kit_broker_start(&cluster, 1);
    state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 2, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 5, 5);
    ck_assert(!fetchers_just_lost(cluster.brokers[2].fetchers, 1, 1000000));
    kit_same(&cluster, 1, 2, 0, 0);
    kit_cluster_end(&cluster);
}
END_TEST

/* Leadership goes round among three while records are written; nobody ends up different. */
START_TEST(leaders_take_turns_and_logs_stay_the_same)
{
    kit_cluster_init(&cluster);
    cluster.fetch.per_leader = 2;
    kit_cluster_start(&cluster, 3);
    for (int32_t round = 0; round < 12; round++) {
        kit_turn(&cluster, round);
        kit_turn_wait(&cluster, round);
    }
    kit_turn_same(&cluster);
    kit_cluster_end(&cluster);
}
END_TEST

static void note_busy(void *arg, int32_t leader, int32_t index, const struct fetcher_info *info)
{
    int32_t *busy = arg;

    ck_assert_int_eq(leader, 1);
    ck_assert_int_lt(index, 4);
    busy[index] = info->partitions;
}

/* Of each loop of broker 2 so many; orders that are on their way to the loops are waited for. */
static void wait_for_spread(const int32_t *should)
{
    int32_t busy[4];

    for (int ms = 0; ms < 20000; ms++) {
        memset(busy, 0, sizeof busy);
        fetchers_each(cluster.brokers[2].fetchers, note_busy, busy);
        if (memcmp(busy, should, sizeof busy) == 0)
            return;
        poll(NULL, 0, 1);
    }
    ck_abort_msg("%d %d %d %d of %d %d %d %d", busy[0], busy[1], busy[2], busy[3], should[0],
                 should[1], should[2], should[3]);
}

/* In the middle of copying, and with roles that change meanwhile: every partition is fetched by its
 * loop of the new number, by no other, and nothing is appended twice or left out. */
START_TEST(the_number_of_loops_changes_under_way)
{
    static const int32_t numbers[] = { 2, 4, 0, 3 };
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));
    int64_t leo = 0;

    kit_cluster_init(&cluster);
    cluster.fetch.partition_max_bytes = 20000; /* so that each is asked for many times */
    kit_cluster_start(&cluster, 2);
    for (state.index = 0; state.index < 8; state.index++)
        kit_set_part(&cluster, 0, &state);
    for (int round = 0; round < 12; round++) {
        int32_t n = numbers[round % 4], should[4] = { 0 };
        struct fetchers_info info;

        for (int32_t p = 0; p < 8; p++)
            kit_produce(&cluster, 1, 0, p, 100, 1, 1000);
        leo += 100;
        fetchers_resize(cluster.brokers[2].fetchers, n);
        n = n > 0 ? n : 1;
        state.leader_epoch = state.partition_epoch = round + 1;
        for (state.index = 0; state.index < 8; state.index += 2)
            kit_set_part(&cluster, 0, &state);
        for (int32_t p = 0; p < 8; p++) {
            should[fetchers_index(kit_topic_name(0), p, n)]++;
            kit_wait(&cluster, 2, 0, p, leo, -1);
        }
        wait_for_spread(should);
        fetchers_get_info(cluster.brokers[2].fetchers, &info);
        ck_assert_int_eq(info.loops, n);
        ck_assert_int_eq(info.failed, 0);
    }
    for (int32_t p = 0; p < 8; p++)
        kit_same(&cluster, 1, 2, 0, p);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(a_partition_that_is_gone_is_let_go_of)
{
    struct image_part state;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 3, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 3, -1);
    state = kit_state(1, 0, 1, IDS_OF(one), IDS_OF(one));
    kit_set_part(&cluster, 0, &state);
    kit_wait_followed(&cluster, 2, 0);
    ck_assert_ptr_null(kit_part(&cluster, 2, 0, 0));
    kit_cluster_end(&cluster);
}
END_TEST

/* While a broker stops, deltas still come. */
START_TEST(the_halted_follow_nobody)
{
    struct image_part state;
    struct fetchers_info info;

    kit_cluster_init(&cluster);
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 3, 1, 10);
    kit_wait(&cluster, 2, 0, 0, 3, -1);
    fetchers_halt(cluster.brokers[2].fetchers);
    fetchers_resize(cluster.brokers[2].fetchers, 2);
    kit_produce(&cluster, 1, 0, 0, 3, 1, 10);
    state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    state.index = 1;
    kit_set_part(&cluster, 0, &state);
    state = kit_state(1, 2, 2, IDS_OF(one), IDS_OF(one));
    kit_set_part(&cluster, 0, &state);
    fetchers_get_info(cluster.brokers[2].fetchers, &info);
    ck_assert_int_eq(info.loops, 0);
    kit_cluster_end(&cluster);
}
END_TEST

static _Atomic int64_t limit;

static int64_t limit_now(void *ctx)
{
    (void)ctx;
    return atomic_load(&limit);
}

static void wait_for_info(int32_t id, int32_t partition, struct part_info *out, int64_t leo)
{
    for (int ms = 0; ms < 20000; ms++) {
        kit_info(&cluster, id, 0, partition, out);
        if (out->leo >= leo)
            return;
        poll(NULL, 0, 1);
    }
    ck_abort_msg("the log has not grown to %d", (int)leo);
}

/* 400 KB behind in a throttled partition, at 50 KB/s: the first second may copy a burst and no
 * more, while another partition and one in sync are copied at once; without a limit it ends. */
static void copy_throttled(bool by_leader)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(one));
    struct repl_quota_conf conf = { .samples = 11, .span_s = 1, .limit = limit_now };
    struct repl_quota *quota = repl_quota_new(&conf);
    struct part_info info;

    atomic_store(&limit, 50000);
    kit_cluster_init(&cluster);
    cluster.fetch.partition_max_bytes = 20000;
    if (by_leader) {
        cluster.leader_quota = quota;
        cluster.throttled_leaders = "1:1,0:1,7:2";
    } else {
        cluster.fetch.quota = quota;
        cluster.throttled_followers = "0:2,1:2,2:1";
    }
    kit_cluster_start(&cluster, 2);
    state.index = 1;
    state.isr = IDS_OF(both); /* listed, and in sync */
    kit_set_part(&cluster, 0, &state);
    kit_wait(&cluster, 1, 0, 1, 0, 0);
    poll(NULL, 0, 50);
    state.isr = IDS_OF(one);
    state.index = 0;
    state.replicas = IDS_OF(one);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 0, 200, 1, 2000); /* who kept up meanwhile would be in sync */
    state.replicas = IDS_OF(both);
    state.partition_epoch = 1;
    kit_set_part(&cluster, 0, &state);
    wait_for_info(2, 0, &info, 10);
    state.partition_epoch = 0;
    int64_t began_ms = clock_mono_ms();
    state.index = 2; /* not listed */
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 1, 0, 2, 200, 1, 2000);
    wait_for_info(2, 2, &info, 200);
    if (by_leader) { /* a follower that has new records is behind by its own light */
        kit_produce(&cluster, 1, 0, 1, 20, 1, 2000);
        wait_for_info(2, 1, &info, 20);
    }
    /* Held back, their 400 KB would take some 7 s; less than that may be the machine. */
    ck_assert_int_lt(clock_mono_ms() - began_ms, 4000);
    kit_info(&cluster, 2, 0, 0, &info);
    ck_assert_int_lt(info.leo, 150);
    int64_t held = info.leo;
    wait_for_info(2, 0, &info, held + 1); /* goes on, slowly */
    ck_assert_int_gt(repl_quota_rate(quota, clock_mono_ms()), 10000);
    atomic_store(&limit, INT64_MAX);
    kit_wait(&cluster, 2, 0, 0, 200, 200);
    kit_same(&cluster, 1, 2, 0, 0);
    kit_cluster_end(&cluster);
    repl_quota_free(&quota);
}

START_TEST(a_leader_throttles_who_is_listed_and_not_in_sync)
{
    copy_throttled(true);
}
END_TEST

START_TEST(a_follower_throttles_itself)
{
    copy_throttled(false);
}
END_TEST

START_TEST(a_leader_is_found_by_its_name)
{
    kit_cluster_init(&cluster);
    cluster.host = "a.test";
    kit_cluster_start_pair(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 10, 5, 100);
    kit_wait(&cluster, 2, 0, 0, 50, 50);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(a_loop_hears_orders_while_a_name_hangs)
{
    struct image_part state = kit_state(1, 1, 1, IDS_OF(one), IDS_OF(one));

    kit_cluster_init(&cluster);
    cluster.host = "hang.test";
    kit_cluster_start_pair(&cluster, 2);
    names_await_hanging(cluster.names, 1);
    kit_wait_followed(&cluster, 2, 2);
    kit_set_part(&cluster, 0, &state);
    kit_wait_followed(&cluster, 2, 1);
    kit_set_part(&cluster, 1, &state);
    kit_wait_followed(&cluster, 2, 0);
    state = kit_state(1, 2, 2, IDS_OF(both), IDS_OF(one));
    kit_set_part(&cluster, 0, &state);
    kit_wait_followed(&cluster, 2, 1);
    names_let_go(cluster.names, true);
    kit_produce(&cluster, 1, 0, 0, 10, 5, 100);
    kit_wait(&cluster, 2, 0, 0, 50, -1);
    kit_cluster_end(&cluster);
}
END_TEST

/* Nor does it follow a name that the image does not give any more. */
START_TEST(a_leader_that_moves_is_not_waited_for_where_it_was)
{
    kit_cluster_init(&cluster);
    cluster.host = "hang.test";
    kit_cluster_start_pair(&cluster, 1);
    names_await_hanging(cluster.names, 1);
    kit_broker_stop(&cluster, 1, true);
    cluster.host = "127.0.0.1";
    kit_broker_start(&cluster, 1);
    kit_produce(&cluster, 1, 0, 0, 10, 5, 100);
    kit_wait(&cluster, 2, 0, 0, 50, 50);
    kit_cluster_end(&cluster); /* while the name still hangs */
}
END_TEST

START_TEST(a_name_that_nobody_has_is_asked_for_again)
{
    kit_cluster_init(&cluster);
    cluster.host = "no.test";
    kit_cluster_start_pair(&cluster, 1);
    while (names_count(cluster.names) < 3)
        sched_yield();
    kit_cluster_end(&cluster);
}
END_TEST

static int64_t turn_began_ms;

/* As behind an append that took its time. */
static void send_late(void *arg)
{
    struct fetcher *fetcher = arg;

    turn_began_ms = reactor_now_ms(fetcher->reactor);
    while (clock_mono_ms() == turn_began_ms)
        sched_yield();
    fetcher_sent(fetcher);
}

/* Else what the loop itself has taken passes for its leader's silence. */
START_TEST(a_leaders_answer_is_due_from_when_it_was_asked)
{
    kit_cluster_init(&cluster);
    struct fetcher *fetcher = fetcher_start(&cluster.fetch, 1, 0);

    reactor_call(fetcher->reactor, send_late, fetcher);
    ck_assert_int_gt(fetcher->sent_ms, turn_began_ms);
    fetcher_stop(&fetcher);
    kit_cluster_end(&cluster);
}
END_TEST

START_TEST(loops_are_chosen_as_kafka_does)
{
    ck_assert_int_eq(fetchers_index(STR("a"), 0, 1), 0);
    ck_assert_int_eq(fetchers_index(STR("a"), 0, 100), 31 * 97 % 100);
    ck_assert_int_eq(fetchers_index(STR("a"), 3, 100), (31 * 97 + 3) % 100);
    /* "polygenelubricants" hashes to the most negative number: times 31 it still is. */
    ck_assert_int_eq(fetchers_index(STR("polygenelubricants"), 0, 7), 0);
    ck_assert_int_eq(fetchers_index(STR("polygenelubricants"), 1, 7), INT32_MAX % 7);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fetcher");

    tcase_add_test(tc, a_follower_copies_its_leader);
    tcase_add_test(tc, what_stirs_in_a_quiet_session_is_seen);
    tcase_add_test(tc, what_is_larger_than_an_answer_comes_in_pieces);
    tcase_add_test(tc, an_old_leader_cuts_what_nobody_else_had);
    tcase_add_test(tc, fast_leaders_are_told_apart_by_epochs);
    tcase_add_test(tc, a_log_that_ends_before_the_leaders_begins_starts_anew);
    tcase_add_test(tc, a_new_replica_starts_where_the_leaders_log_starts);
    tcase_add_test(tc, a_leader_that_does_not_know_yet_is_asked_again_soon);
    tcase_add_test(tc, a_newcomer_does_not_wait_for_a_parked_fetch);
    tcase_add_test(tc, who_registers_anew_fetches_at_once);
    tcase_add_test(tc, a_leader_that_moves_is_found_again);
    tcase_add_test(tc, leaders_take_turns_and_logs_stay_the_same);
    tcase_add_test(tc, the_number_of_loops_changes_under_way);
    tcase_add_test(tc, a_partition_that_is_gone_is_let_go_of);
    tcase_add_test(tc, the_halted_follow_nobody);
    tcase_add_test(tc, a_leader_throttles_who_is_listed_and_not_in_sync);
    tcase_add_test(tc, a_follower_throttles_itself);
    tcase_add_test(tc, a_leader_is_found_by_its_name);
    tcase_add_test(tc, a_loop_hears_orders_while_a_name_hangs);
    tcase_add_test(tc, a_leader_that_moves_is_not_waited_for_where_it_was);
    tcase_add_test(tc, a_name_that_nobody_has_is_asked_for_again);
    tcase_add_test(tc, a_leaders_answer_is_due_from_when_it_was_asked);
    tcase_add_test(tc, loops_are_chosen_as_kafka_does);
    return unit_run(tc);
}
