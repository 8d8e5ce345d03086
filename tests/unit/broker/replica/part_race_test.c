/*
 * part: what happens in the very moment in which another thread is in the middle of its call. The
 * disk below calls out from there, so that nothing is left to chance: a fetch never gives records
 * of another epoch than it was asked in, half of an answer counts, and a log's start and its end
 * move one after the other.
 */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "broker/replica/part_int.h"
#include "common/base/say.h"
#include "tests/kit/log_kit.h"
#include "tests/kit/part_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;
static struct part *part;
static struct part_env env;
static int64_t now_ms;

/* ---- a disk that calls out, once, on another thread ---- */

static struct disk_ops ops;
static struct disk disk = { &ops };
static void (*on_read)(void);
static void (*on_rename)(void);
static const char *no_space_for; /* a file that cannot be made */

static void *run_hook(void *arg)
{
    void (**hook)(void) = arg;

    (*hook)();
    return NULL;
}

static void call_out(void (**hook)(void))
{
    void (*now)(void) = *hook;
    pthread_t thread;

    if (now == NULL)
        return;
    *hook = NULL;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_hook, &now), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static enum err hooked_pread(struct disk *self, int file, void *into, size_t len, int64_t pos,
                             size_t *got)
{
    enum err err = disk_posix()->ops->pread(self, file, into, len, pos, got);

    call_out(&on_read);
    return err;
}

static enum err hooked_rename(struct disk *self, const char *from, const char *to)
{
    call_out(&on_rename);
    return disk_posix()->ops->rename(self, from, to);
}

static enum err hooked_open(struct disk *self, const char *path, int flags, int *file)
{
    if (no_space_for != NULL && strstr(path, no_space_for) != NULL && (flags & DISK_CREATE) != 0)
        return ERR_NO_SPACE;
    return disk_posix()->ops->open(self, path, flags, file);
}

/* ---- the partition ---- */

static void role(int32_t leader, int32_t epoch)
{
    struct part_effects effects;

    part_kit_role(
        part, &(struct part_kit_role){ .leader = leader, .epoch = epoch, .partition_epoch = epoch },
        now_ms, &effects);
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    now_ms = 1000000;
    ops = *disk_posix()->ops;
    ops.pread = hooked_pread;
    ops.open = hooked_open;
    ops.rename = hooked_rename;
    on_read = NULL;
    on_rename = NULL;
    no_space_for = NULL;
    log_kit_init(&kit, &disk, NULL);
    ck_assert_int_eq(log_kit_open(&kit, true, 0), ERR_OK);
    env = (struct part_env){ .broker_id = 1, .propose = part_kit_propose };
    struct log *log = log_ref(kit.log);
    part = part_new(&env, "t", UUID_ZERO, 0, &log, -1, 1, 30000);
}

static void teardown(void)
{
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    part_unref(&part);
    log_kit_fini(&kit);
}

static void append(int count)
{
    struct log_appended appended;
    int32_t epoch;

    ck_assert_int_eq(part_kit_append(part,
                                     &(struct kit_batch){ .count = count, .value_bytes = 100 }, 1,
                                     kit.now_ms, now_ms, &appended, &epoch),
                     ERR_OK);
}

/* An answer of a leader in this epoch: batches of so many records each, from offset on. */
static struct part_fetch_start went_on; /* what the last follow() left behind */

static enum err follow(int32_t epoch, int64_t offset, int batches, int count, int64_t leader_hw,
                       int64_t leader_start)
{
    struct buf buf = BUF_EMPTY;

    for (int i = 0; i < batches; i++, offset += count) {
        size_t at = buf.len;

        kit_batch_put(&buf, &(struct kit_batch){ .count = count, .value_bytes = 100 });
        batch_stamp(buf.bytes + at, offset, epoch);
    }
    enum err err = part_follow(part, epoch, buf.bytes, buf.len, leader_hw, leader_start, kit.now_ms,
                               now_ms, &went_on);
    buf_fini(&buf);
    return err;
}

/* Another led meanwhile, and all from 10 on is its: as a follower, and perhaps as the leader that
 * it has become again. */
static void follow_another(void)
{
    struct part_fetch_start start;

    role(2, 5);
    ck_assert_int_eq(part_follow_diverged(part, 5, 3, 10, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 10);
    ck_assert_int_eq(follow(5, 10, 200, 1, 10, 0), ERR_OK);
}

static void lead_again(void)
{
    follow_another();
    role(1, 6);
}

START_TEST(a_fetch_never_gives_records_of_a_later_epoch)
{
    bool second_look = (_i & 1) != 0, says_epoch = (_i & 2) != 0, leads_again = (_i & 4) != 0;
    enum err should = says_epoch ? ERR_FENCED_LEADER_EPOCH : ERR_NOT_LEADER_OR_FOLLOWER;

    role(1, 3);
    for (int i = 0; i < 100; i++)
        append(1);
    struct part_read read = part_kit_fetch(2, 60, says_epoch ? 3 : -1);
    read.note_follower = !second_look;
    on_read = leads_again ? lead_again : follow_another;
    enum err err = part_read(part, &read, now_ms);
    ck_assert(on_read == NULL);
    ck_assert_int_eq(err, should);
    ck_assert_uint_eq(read.range.len, 0);
    ck_assert_int_eq(read.hw, -1);
}
END_TEST

/* Three batches of which two fit a segment, and no room for another. */
START_TEST(what_came_before_a_failure_belongs_to_the_epoch_it_came_in)
{
    struct part_info info;

    kit.conf.segment_bytes = 3000;
    kit.conf.flush_messages = 1;
    log_set_conf(kit.log, &kit.conf);
    role(2, 5);
    no_space_for = "00000000000000000020.log";
    ck_assert_int_eq(follow(5, 0, 3, 10, 15, 0), ERR_NO_SPACE);
    no_space_for = NULL;
    ck_assert_int_eq(went_on.offset, 20);
    ck_assert(went_on.flush_due); /* what was taken is as good as the rest */
    ck_assert_int_eq(log_leo(kit.log), 20);
    part_get_info(part, &info);
    ck_assert_int_eq(info.leo, 20);
    ck_assert_int_eq(info.hw, 15);

    role(1, 6);
    ck_assert_int_eq(log_epoch_end(kit.log, 5).end_offset, 20);
    struct part_read read = part_kit_fetch(2, 20, 6); /* a follower that has the same */
    read.last_fetched_epoch = 5;
    ck_assert_int_eq(part_read(part, &read, now_ms), ERR_OK);
    ck_assert(!read.diverging);
}
END_TEST

/* ---- the log's start ---- */

/* Whoever gets the append lock may cut the log: by then the core must have its start. */
static struct {
    pthread_t thread;
    atomic_bool has_append;
    int64_t log_start, core_start;
} cutter;

static void *cut(void *arg)
{
    lock_take(&part->append);
    cutter.log_start = log_start_offset(kit.log);
    cutter.core_start = part->core.log_start; /* whoever may change it is held up */
    atomic_store(&cutter.has_append, true);
    lock_drop(&part->append);
    return arg;
}

static void cutter_start(void)
{
    ck_assert_int_eq(pthread_create(&cutter.thread, NULL, cut, NULL), 0);
}

static void cutter_join(void)
{
    ck_assert_int_eq(pthread_join(cutter.thread, NULL), 0);
}

static atomic_bool holds_state;

/* Holds all that would tell the core, until the cutter has come first, or has not for a while. */
static void *hold_state(void *arg)
{
    lock_take(&part->state);
    atomic_store(&holds_state, true);
    for (int ms = 0; ms < 100 && !atomic_load(&cutter.has_append); ms++)
        poll(NULL, 0, 1);
    lock_drop(&part->state);
    return arg;
}

static pthread_t holder;

static void hold_up(void)
{
    ck_assert_int_eq(pthread_create(&holder, NULL, hold_state, NULL), 0);
    while (!atomic_load(&holds_state))
        sched_yield();
    cutter_start();
}

START_TEST(retention_tells_the_core_before_the_log_can_be_cut)
{
    kit.conf.segment_bytes = 3000;
    kit.conf.retention_bytes = 3000;
    log_set_conf(kit.log, &kit.conf);
    role(2, 3);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(follow(3, 10 * i, 1, 10, 60, 0), ERR_OK);
    on_rename = hold_up;
    ck_assert_uint_gt(part_retain(part, kit.now_ms, now_ms), 0);
    ck_assert(on_rename == NULL);
    cutter_join();
    ck_assert_int_eq(pthread_join(holder, NULL), 0);
    ck_assert_int_gt(cutter.log_start, 0);
    ck_assert_int_eq(cutter.core_start, cutter.log_start);
}
END_TEST

static void *hold_waiters(void *arg)
{
    struct watch_list *list = part_grown(part);

    lock_take(&list->lock);
    atomic_store(&holds_state, true);
    while (!atomic_load(&cutter.has_append))
        sched_yield();
    lock_drop(&list->lock);
    return arg;
}

static void *follow_on(void *arg)
{
    ck_assert_int_eq(follow(3, 0, 1, 10, 10, 5), ERR_OK);
    return arg;
}

static void on_grown(struct delayed *op, enum delayed_why why)
{
    (void)op;
    ck_assert_int_eq(why, DELAYED_MET);
}

/* Who is woken by the records holds their follower up, which has let go of the append lock. */
START_TEST(a_leaders_start_is_taken_over_with_its_records)
{
    struct reactor *reactor = reactor_new();
    struct watch_node node;
    struct delayed waiter;
    pthread_t follower;

    role(2, 3);
    delayed_init(&waiter, reactor, on_grown, &node);
    delayed_watch(&waiter, part_grown(part), 1);
    delayed_start(&waiter, true, 3600000);
    ck_assert_int_eq(pthread_create(&holder, NULL, hold_waiters, NULL), 0);
    while (!atomic_load(&holds_state))
        sched_yield();
    ck_assert_int_eq(pthread_create(&follower, NULL, follow_on, NULL), 0);
    while (log_leo(kit.log) == 0)
        sched_yield();
    cutter_start();
    cutter_join();
    ck_assert_int_eq(pthread_join(holder, NULL), 0);
    ck_assert_int_eq(pthread_join(follower, NULL), 0);
    ck_assert_int_eq(cutter.log_start, 5);
    ck_assert_int_eq(cutter.core_start, 5);
    for (int i = 0; i < 4; i++)
        reactor_turn(reactor, false);
    reactor_free(&reactor);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part_race");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_fetch_never_gives_records_of_a_later_epoch, 0, 8);
    tcase_add_test(tc, what_came_before_a_failure_belongs_to_the_epoch_it_came_in);
    tcase_add_test(tc, retention_tells_the_core_before_the_log_can_be_cut);
    tcase_add_test(tc, a_leaders_start_is_taken_over_with_its_records);
    return unit_run(tc);
}
