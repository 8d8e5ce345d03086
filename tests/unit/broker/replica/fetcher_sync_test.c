/*
 * fetcher_sync: brokers in one process with a topic whose records are to be on the disk at once. A
 * follower's leader hears of them when they are there, also in a new role and after a move; a sync
 * that fails ends the directory; loops that stop wait for theirs. The other topics go on meanwhile.
 */
#include "broker/replica/fetchers.h"

#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/io/disk.h"
#include "tests/kit/replica_kit.h"
#include "tests/kit/unit.h"

static const int32_t both[] = { 1, 2 }, all[] = { 1, 2, 3 };

static struct kit_cluster cluster;
static int64_t plain_leo;

/* Topic 0 is synced, topic 1 is not. */
static void prepare(void)
{
    kit_cluster_init(&cluster);
    cluster.flushed_topic = "t0";
    plain_leo = 0;
}

/* 1 leads both topics and 2 follows with one loop. */
static void start(struct disk *on)
{
    prepare();
    cluster.disk = on;
    kit_cluster_start_pair(&cluster, 2);
}

/* What 2 could have named to 1 by now, it has: a later fetch of the same loop is known to 1. */
static void let_name(void)
{
    for (int i = 0; i < 3; i++) {
        kit_produce(&cluster, 1, 1, 0, 1, 1, 10);
        plain_leo++;
        kit_wait(&cluster, 1, 1, 0, plain_leo, plain_leo);
    }
}

static int64_t hw_at_leader(void)
{
    struct part_info info;

    kit_info(&cluster, 1, 0, 0, &info);
    return info.hw;
}

static int64_t synced(int32_t id)
{
    struct part *part = kit_part(&cluster, id, 0, 0);
    int64_t offset = log_recovery_point(part_log(part));

    part_unref(&part);
    return offset;
}

/* All that its log has; a loop may be about to ask for it. */
static void sync_now(int32_t id)
{
    struct part *part = kit_part(&cluster, id, 0, 0);
    struct log *log = part_log(part);

    do
        kit_sync(&cluster, id);
    while (log_recovery_point(log) < log_leo(log) && poll(NULL, 0, 1) == 0);
    part_unref(&part);
}

/* In the end; the runner's time limit is the bound. */
static void sync_until(int64_t hw)
{
    while (hw_at_leader() != hw && poll(NULL, 0, 1) == 0) {
        kit_sync(&cluster, 1);
        kit_sync(&cluster, 2);
    }
}

START_TEST(what_is_on_the_disk_is_named_and_nothing_else)
{
    start(NULL);
    for (int64_t leo = 5; leo <= 20; leo += 5) {
        int32_t first = leo % 10 == 0 ? 1 : 2;

        kit_produce(&cluster, 1, 0, 0, 1, 5, 10);
        kit_wait(&cluster, 2, 0, 0, leo, -1);
        sync_now(first); /* the one, then the other */
        let_name();
        ck_assert_int_eq(hw_at_leader(), leo - 5);
        ck_assert_int_eq(synced(first), leo);
        ck_assert_int_eq(synced(3 - first), leo - 5);
        sync_now(3 - first);
        kit_wait(&cluster, 1, 0, 0, leo, leo);
    }
    kit_same(&cluster, 1, 2, 0, 0);
    kit_cluster_end(&cluster);
}
END_TEST

/* With nobody else in the session there is no other request to wait for. */
START_TEST(a_loop_that_only_syncs_goes_on_when_that_is_done)
{
    prepare();
    cluster.fetch.wait_max_ms = 25000;
    kit_cluster_start_pair(&cluster, 1);
    for (int64_t leo = 1; leo <= 5; leo++) {
        kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
        sync_now(1);
        kit_wait(&cluster, 2, 0, 0, leo, -1);
        sync_now(2);
        ck_assert_int_lt(kit_wait(&cluster, 1, 0, 0, leo, leo), 10000);
    }
    kit_cluster_end(&cluster);
}
END_TEST

/* It goes on asking for the others, but not so that it could not name what is synced. */
START_TEST(a_long_poll_for_the_others_is_no_wait_for_the_synced)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));

    prepare();
    cluster.fetch.wait_max_ms = 25000;
    kit_cluster_start(&cluster, 2);
    kit_set_part(&cluster, 1, &state);
    kit_set_part(&cluster, 0, &state);
    for (int64_t leo = 1; leo <= 5; leo++) { /* a newcomer ends the wait of the first ones */
        kit_produce(&cluster, 1, 0, 0, 1, 1, 10);
        sync_now(1);
        kit_wait(&cluster, 2, 0, 0, leo, -1);
        let_name();
        kit_wait(&cluster, 2, 1, 0, plain_leo, plain_leo); /* there is no news for it to bring */
        sync_now(2);
        ck_assert_int_lt(kit_wait(&cluster, 1, 0, 0, leo, leo), 10000);
    }
    kit_cluster_end(&cluster);
}
END_TEST

/* 2 led and has records that are not on its disk; 1 has them from it, on none either. */
START_TEST(a_tail_from_the_role_before_is_synced_first)
{
    struct image_part state = kit_state(2, 1, 1, IDS_OF(both), IDS_OF(both));

    start(NULL);
    kit_set_part(&cluster, 0, &state);
    kit_produce(&cluster, 2, 0, 0, 1, 5, 10);
    kit_wait(&cluster, 1, 0, 0, 5, -1);
    state = kit_state(1, 2, 2, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    let_name();
    sync_now(_i == 0 ? 1 : 2); /* the leader's alone, or the follower's */
    let_name();
    ck_assert_int_eq(hw_at_leader(), 0);
    sync_until(5);
    ck_assert_int_eq(synced(1), 5);
    ck_assert_int_eq(synced(2), 5);
    kit_cluster_end(&cluster);
}
END_TEST

/* What the disk was asked for in an earlier epoch comes back in a later one. */
START_TEST(a_sync_that_comes_late_harms_nobody)
{
    struct image_part state = kit_state(1, 1, 1, IDS_OF(both), IDS_OF(both));

    start(NULL);
    kit_produce(&cluster, 1, 0, 0, 1, 5, 10);
    kit_wait(&cluster, 2, 0, 0, 5, -1);
    kit_set_part(&cluster, 0, &state);
    state = kit_state(1, 2, 2, IDS_OF(both), IDS_OF(both));
    kit_set_part(&cluster, 0, &state);
    sync_now(1); /* it leads in new epochs, too */
    let_name();
    ck_assert_int_eq(hw_at_leader(), 0);
    sync_until(5);
    kit_produce(&cluster, 1, 0, 0, 1, 5, 10); /* and one whose partition is gone by then */
    kit_wait(&cluster, 2, 0, 0, 10, -1);
    state = kit_state(1, 3, 3, IDS_OF(all), (struct ids){ both, 1 });
    state.replicas = (struct ids){ both, 1 };
    kit_set_part(&cluster, 0, &state);
    kit_wait_followed(&cluster, 2, 1);
    kit_sync(&cluster, 2);
    let_name();
    ck_assert_ptr_null(kit_part(&cluster, 2, 0, 0));
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- a disk that fails ---- */

static atomic_bool broken;
static struct disk_ops ops;
static struct disk disk = { &ops };

static enum err broken_sync(struct disk *self, int file)
{
    return atomic_load(&broken) ? ERR_IO : disk_posix()->ops->sync_data(self, file);
}

START_TEST(a_sync_that_fails_ends_the_directory)
{
    struct fetchers_info info;

    ops = *disk_posix()->ops;
    ops.sync_data = broken_sync;
    ops.sync = broken_sync;
    atomic_store(&broken, false);
    start(&disk);
    kit_produce(&cluster, 1, 0, 0, 1, 5, 10);
    kit_wait(&cluster, 2, 0, 0, 5, -1);
    sync_now(1);
    atomic_store(&broken, true);
    do {
        kit_sync(&cluster, 2);
        fetchers_get_info(cluster.brokers[2].fetchers, &info);
    } while (info.failed == 0 && poll(NULL, 0, 1) == 0);
    ck_assert_int_eq(hw_at_leader(), 0);
    struct part *part = kit_part(&cluster, 2, 0, 0);
    ck_assert(part_is_offline(part));
    part_unref(&part);
    atomic_store(&broken, false);
    kit_cluster_end(&cluster);
}
END_TEST

static enum err roomless_open(struct disk *self, const char *path, int flags, int *file)
{
    const char *dir = cluster.brokers[2].dir;

    if (dir != NULL && strncmp(path, dir, strlen(dir)) == 0 &&
        strstr(path, "00000000000000000020.log") != NULL)
        return ERR_NO_SPACE;
    return disk_posix()->ops->open(self, path, flags, file);
}

/* Three batches come in one answer, and there is no room for the third one's segment. */
START_TEST(what_was_taken_of_half_an_answer_is_synced_first)
{
    struct image_part state = kit_state(1, 0, 0, IDS_OF(both), IDS_OF(both));

    ops = *disk_posix()->ops;
    ops.open = roomless_open;
    prepare();
    cluster.disk = &disk;
    cluster.fetch.backoff_ms = 1;
    kit_cluster_start(&cluster, 2);
    kit_set_part(&cluster, 1, &state);
    kit_put_part(&cluster, 0, &state);
    kit_tell(&cluster, 1, &state, 0);
    kit_produce(&cluster, 1, 0, 0, 3, 10, 100);
    sync_now(1);
    cluster.log.segment_bytes = 3000; /* of 2's log alone */
    kit_tell(&cluster, 2, &state, 0);
    kit_wait(&cluster, 2, 0, 0, 20, -1);
    for (int i = 0; i < 10; i++)
        let_name();
    ck_assert_int_eq(hw_at_leader(), 0);
    sync_until(20);
    ck_assert_int_eq(synced(2), 20);
    kit_cluster_end(&cluster);
}
END_TEST

/* ---- threads ---- */

/* Leadership goes round, loops come and go, brokers stop while their disks are at work. */
START_TEST(roles_and_loops_change_beside_syncs)
{
    int64_t leo = 0;

    prepare();
    cluster.dir_threads = true;
    kit_cluster_start(&cluster, 3);
    for (int32_t round = 0; round < 12; round++) {
        int32_t leader = kit_turn(&cluster, round);

        fetchers_resize(cluster.brokers[leader % 3 + 1].fetchers, round % 2 + 1);
        leo = kit_turn_wait(&cluster, round);
    }
    kit_turn_same(&cluster);
    for (int32_t p = 0; p < KIT_TURN_PARTS; p++)
        kit_wait(&cluster, 3, 0, p, leo, leo);
    kit_produce(&cluster, 3, 0, 0, 20, 2, 50); /* nobody waits for these */
    kit_cluster_end(&cluster);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("fetcher_sync");

    tcase_add_test(tc, what_is_on_the_disk_is_named_and_nothing_else);
    tcase_add_test(tc, a_loop_that_only_syncs_goes_on_when_that_is_done);
    tcase_add_test(tc, a_long_poll_for_the_others_is_no_wait_for_the_synced);
    tcase_add_loop_test(tc, a_tail_from_the_role_before_is_synced_first, 0, 2);
    tcase_add_test(tc, a_sync_that_comes_late_harms_nobody);
    tcase_add_test(tc, a_sync_that_fails_ends_the_directory);
    tcase_add_test(tc, what_was_taken_of_half_an_answer_is_synced_first);
    tcase_add_test(tc, roles_and_loops_change_beside_syncs);
    return unit_run(tc);
}
