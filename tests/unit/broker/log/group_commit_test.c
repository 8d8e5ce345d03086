/*
 * group_commit: one sync serves all who wait for it, nobody is told before it, everybody is told
 * how it went.
 */
#include "broker/log/group_commit.h"

#include <check.h>

#include "common/base/mem.h"
#include "tests/kit/fake_disk.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

#define WAITS 50

struct told {
    struct sync_wait wait;
    int times;
    enum err err;
};

static struct fake_disk *fake;
static struct log_kit kit;
static struct group_commit *commit;
static struct told told[WAITS];

static void on_done(struct sync_wait *wait, enum err err)
{
    struct told *me = container_of(wait, struct told, wait);

    me->times++;
    me->err = err;
    if (err == ERR_OK)
        ck_assert_int_ge(log_recovery_point(wait->log), wait->upto_offset);
}

static void start(void)
{
    fake = fake_disk_new();
    log_kit_init(&kit, fake_disk_base(fake), "/d");
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
    commit = group_commit_start(-1);
}

static void stop(void)
{
    group_commit_stop(&commit);
    log_kit_fini(&kit);
    fake_disk_free(&fake);
}

static void append_and_wait(int i)
{
    ck_assert_int_eq(log_kit_append(&kit, &(struct kit_batch){ .value_bytes = 10 }, 0, NULL),
                     ERR_OK);
    told[i] = (struct told){
        .wait = { .log = kit.log, .upto_offset = log_leo(kit.log), .done = on_done }
    };
    group_commit_post(commit, &told[i].wait);
}

static void expect_told(int from, int upto, int times, enum err err)
{
    for (int i = from; i < upto; i++) {
        ck_assert_int_eq(told[i].times, times);
        if (times > 0)
            ck_assert_int_eq(told[i].err, err);
    }
}

START_TEST(one_sync_serves_all_who_wait)
{
    append_and_wait(0);
    group_commit_turn(commit);
    uint64_t before = fake_disk_syncs(fake);

    append_and_wait(1);
    group_commit_turn(commit);
    uint64_t of_one = fake_disk_syncs(fake) - before;

    ck_assert_uint_gt(of_one, 0);
    for (int i = 2; i < WAITS; i++)
        append_and_wait(i);
    expect_told(2, WAITS, 0, ERR_OK);
    before = fake_disk_syncs(fake);
    group_commit_turn(commit);
    expect_told(0, WAITS, 1, ERR_OK);
    ck_assert_uint_eq(fake_disk_syncs(fake) - before, of_one);
}
END_TEST

START_TEST(all_are_told_of_a_sync_that_failed)
{
    for (int i = 0; i < 10; i++)
        append_and_wait(i);
    fake_disk_fail_syncs(fake, true);
    group_commit_turn(commit);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(told[i].times, 1);
        ck_assert_int_ne(told[i].err, ERR_OK);
    }
    /* Nor is it tried again as if nothing had been. */
    fake_disk_fail_syncs(fake, false);
    told[0].times = 0;
    group_commit_post(commit, &told[0].wait);
    group_commit_turn(commit);
    expect_told(0, 1, 1, ERR_KAFKA_STORAGE_ERROR);
}
END_TEST

START_TEST(what_was_cut_is_not_waited_for)
{
    for (int i = 0; i < 4; i++)
        append_and_wait(i);
    ck_assert_int_eq(log_truncate_to(kit.log, 2), ERR_OK);
    group_commit_turn(commit);
    expect_told(0, 2, 1, ERR_OK);
    expect_told(2, 4, 1, ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(a_stop_serves_who_still_waits)
{
    append_and_wait(0);
    group_commit_stop(&commit);
    expect_told(0, 1, 1, ERR_OK);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group_commit");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, one_sync_serves_all_who_wait);
    tcase_add_test(tc, all_are_told_of_a_sync_that_failed);
    tcase_add_test(tc, what_was_cut_is_not_waited_for);
    tcase_add_test(tc, a_stop_serves_who_still_waits);
    return unit_run(tc);
}
