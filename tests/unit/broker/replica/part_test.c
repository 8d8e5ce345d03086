/*
 * part: with a real log. What waits is woken when it should be, ends of an answer are those from
 * before its read, a follower takes nothing from a leader of another epoch, and cut logs tell.
 */
#include "broker/replica/part.h"

#include <check.h>
#include <string.h>

#include "broker/log/group_commit.h"
#include "common/base/mem.h"
#include "common/base/say.h"
#include "tests/kit/part_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;
static struct part *part;
static struct part_env env;
static struct part_effects effects;
static struct reactor *reactor;
static int proposals;
static int32_t proposed_len;
static int64_t now_ms;

static const int32_t both[] = { 1, 2 };

static void on_propose(void *ctx, struct part *which, const struct part_proposal *proposal)
{
    (void)ctx;
    ck_assert_ptr_eq(which, part);
    proposals++;
    proposed_len = proposal->members_len;
}

static void role(int32_t leader, int32_t epoch, int32_t partition_epoch, int32_t isr_len)
{
    part_kit_role(part,
                  &(struct part_kit_role){ .leader = leader,
                                           .epoch = epoch,
                                           .partition_epoch = partition_epoch,
                                           .isr = { .at = both, .n = (uint32_t)isr_len } },
                  now_ms, &effects);
}

static void setup(void)
{
    say_setup(SAY_ERROR, SAY_TEXT, "test");
    now_ms = 1000000;
    log_kit_init(&kit, NULL, NULL);
    ck_assert_int_eq(log_kit_open(&kit, true, 0), ERR_OK);
    env = (struct part_env){ .broker_id = 1, .propose = on_propose };
    struct log *log = log_ref(kit.log);
    part = part_new(&env, "t", UUID_ZERO, 0, &log, -1, 1, 30000);
    ck_assert_ptr_null(log);
    reactor = reactor_new();
}

static void teardown(void)
{
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    for (int i = 0; i < 4; i++)
        reactor_turn(reactor, false);
    part_unref(&part);
    reactor_free(&reactor);
    log_kit_fini(&kit);
}

static enum err append_batch(const struct kit_batch *from, int16_t acks,
                             struct log_appended *appended, int32_t *epoch)
{
    return part_kit_append(part, from, acks, kit.now_ms, now_ms, appended, epoch);
}

static enum err append_with(int count, int16_t acks, struct log_appended *appended, int32_t *epoch)
{
    return append_batch(&(struct kit_batch){ .count = count, .value_bytes = 10 }, acks, appended,
                        epoch);
}

static enum err append(int count)
{
    struct log_appended appended;
    int32_t epoch;

    return append_with(count, 1, &appended, &epoch);
}

/* Bytes as a leader of that epoch would send them, from this offset on. */
static void leaders_batch(struct buf *buf, int64_t offset, int count, int32_t epoch)
{
    buf->len = 0;
    part_kit_put(buf, &(struct kit_batch){ .count = count, .value_bytes = 10 }, offset, epoch);
}

static enum err follow(int32_t epoch, int64_t offset, int count, int64_t leader_hw,
                       int64_t leader_start, struct part_fetch_start *start)
{
    struct buf buf = BUF_EMPTY;

    if (count > 0)
        leaders_batch(&buf, offset, count, epoch);
    enum err err = part_follow(part, epoch, buf.bytes, buf.len, leader_hw, leader_start, kit.now_ms,
                               now_ms, start);
    buf_fini(&buf);
    return err;
}

static struct part_read fetch_of(int32_t replica, int64_t offset, int32_t epoch)
{
    struct part_read read = part_kit_fetch(replica, offset, epoch);

    read.note_follower = true;
    return read;
}

static enum err read_and_drop(struct part_read *read)
{
    enum err err = part_read(part, read, now_ms);

    if (read->range.len > 0)
        log_range_done(&read->range);
    return err;
}

struct waiter {
    struct delayed op;
    struct watch_node node;
    int completed;
};

static void on_complete(struct delayed *op, enum delayed_why why)
{
    (void)why;
    container_of(op, struct waiter, op)->completed++;
}

static void wait_on(struct waiter *waiter, struct watch_list *list, int64_t need)
{
    *waiter = (struct waiter){ 0 };
    delayed_init(&waiter->op, reactor, on_complete, &waiter->node);
    delayed_watch(&waiter->op, list, need);
    delayed_start(&waiter->op, true, 3600000);
}

static int completed(const struct waiter *waiter)
{
    for (int i = 0; i < 4; i++)
        reactor_turn(reactor, false);
    return waiter->completed;
}

START_TEST(produce_and_fetch_move_the_high_watermark)
{
    struct log_appended appended;
    struct waiter produce, consumer, follower;
    int32_t epoch;
    enum err err;

    ck_assert_int_eq(append(1), ERR_NOT_LEADER_OR_FOLLOWER);
    role(1, 3, 0, 2);
    ck_assert_int_eq(log_latest_epoch(kit.log), 3);
    wait_on(&follower, part_grown(part), 1);
    ck_assert_int_eq(append_with(5, -1, &appended, &epoch), ERR_OK);
    ck_assert_int_eq(epoch, 3);
    ck_assert_int_eq(appended.last_offset, 4);
    ck_assert_int_eq(completed(&follower), 1);
    wait_on(&produce, part_committed(part), 5);
    wait_on(&consumer, part_stable(part), 1);
    ck_assert_int_eq(part_check_acked(part, 5, 3, &err), PART_ACK_WAIT);

    struct part_read read = fetch_of(2, 0, 3);
    ck_assert_int_eq(part_read(part, &read, now_ms), ERR_OK);
    ck_assert_uint_gt(read.range.len, 0);
    log_range_done(&read.range);
    ck_assert_int_eq(completed(&produce), 0);
    read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(read.hw, 0); /* as it was before this fetch was noted */
    ck_assert_int_eq(completed(&produce), 1);
    ck_assert_int_eq(completed(&consumer), 1);
    ck_assert_int_eq(part_check_acked(part, 5, 3, &err), PART_ACK_DONE);
}
END_TEST

START_TEST(a_second_look_notes_nothing)
{
    struct part_info info;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 5, 3);
    read.note_follower = false;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 0);
}
END_TEST

START_TEST(reads_are_bounded_by_who_reads)
{
    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(-1, 0, -1);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(read.upper, 0);
    read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    read = fetch_of(-1, 0, -1);
    ck_assert_int_eq(part_read(part, &read, now_ms), ERR_OK);
    ck_assert_int_eq(read.upper, 5);
    ck_assert_uint_gt(read.range.len, 0);
    log_range_done(&read.range);
    read = fetch_of(-1, 6, -1);
    ck_assert_int_eq(read_and_drop(&read), ERR_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(read.hw, -1);
    read = fetch_of(2, 5, 2);
    ck_assert_int_eq(read_and_drop(&read), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(read.leader_epoch, 3);
}
END_TEST

START_TEST(who_parts_from_us_is_told_and_not_noted)
{
    struct part_info info;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    role(2, 4, 1, 2);
    role(1, 5, 2, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 8, 5);
    read.last_fetched_epoch = 4; /* it led in 4 and has records of it */
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert(read.diverging);
    ck_assert_int_eq(read.diverging_epoch, 3);
    ck_assert_int_eq(read.diverging_end, 5);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 0);
    read = fetch_of(2, 5, 5);
    read.last_fetched_epoch = 3;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert(!read.diverging);
    read = fetch_of(2, 5, 5);
    read.last_fetched_epoch = 9;
    ck_assert_int_eq(read_and_drop(&read), ERR_OFFSET_OUT_OF_RANGE);
}
END_TEST

START_TEST(lost_leadership_wakes_all)
{
    struct waiter produce, follower;
    enum err err;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    wait_on(&produce, part_committed(part), 5);
    wait_on(&follower, part_grown(part), 6);
    role(1, 3, 1, 1); /* fewer in sync: the produce looks again */
    ck_assert_int_eq(completed(&produce), 1);
    ck_assert_int_eq(completed(&follower), 0);
    role(2, 4, 2, 2);
    ck_assert(effects.lost_leadership && effects.start_fetching);
    ck_assert_int_eq(completed(&follower), 1);
    ck_assert_int_eq(part_check_acked(part, 6, 3, &err), PART_ACK_FAILED);
    ck_assert_int_eq(append(1), ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(too_few_in_sync_for_all)
{
    struct log_appended appended;
    struct validate_conf conf;
    int32_t epoch;

    part_get_validate_conf(part, &conf);
    part_set_conf(part, &conf, 2, 30000, now_ms);
    role(1, 3, 0, 1);
    ck_assert_int_eq(append_with(1, -1, &appended, &epoch), ERR_NOT_ENOUGH_REPLICAS);
    ck_assert_int_eq(log_leo(kit.log), 0);
    ck_assert_int_eq(append(1), ERR_OK);
}
END_TEST

START_TEST(what_follows_a_refused_batch_is_refused_for_the_same_reason)
{
    struct kit_batch batch = { .value_bytes = 10, .producer_id = 7 };
    struct log_appended appended;
    int32_t epoch;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    role(2, 4, 0, 2);
    batch.base_sequence = 1;
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_NOT_LEADER_OR_FOLLOWER);
    role(1, 5, 0, 2); /* it comes between two requests that were sent at once */
    batch.base_sequence = 2;
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_NOT_LEADER_OR_FOLLOWER);
    for (batch.base_sequence = 1; batch.base_sequence < 3; batch.base_sequence++)
        ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    now_ms += 60000; /* a gap that has nothing to do with it any more */
    batch.base_sequence = 9;
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}
END_TEST

/* The partition knows nothing of the producer: nothing but the refusal tells that this is not its
 * first batch. */
START_TEST(a_producer_does_not_begin_behind_a_refused_batch)
{
    struct kit_batch batch = { .value_bytes = 10, .producer_id = 7 };
    struct log_appended appended;
    int32_t epoch;

    role(2, 3, 0, 2);
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_NOT_LEADER_OR_FOLLOWER);
    role(1, 4, 0, 2);
    batch.base_sequence = 1;
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_NOT_LEADER_OR_FOLLOWER);
    for (batch.base_sequence = 0; batch.base_sequence < 2; batch.base_sequence++)
        ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    batch = (struct kit_batch){ .value_bytes = 10, .producer_id = 8, .base_sequence = 5 };
    now_ms += 60000; /* retention may have forgotten it */
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
}
END_TEST

START_TEST(a_duplicate_waits_for_the_sync_of_its_original)
{
    struct kit_batch batch = { .count = 5, .value_bytes = 10, .producer_id = 7 };
    struct log_appended appended;
    int32_t epoch;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    ck_assert(appended.is_duplicate && !appended.flush_due); /* none is wanted */
    kit.conf.flush_messages = 5;
    log_set_conf(kit.log, &kit.conf);
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    ck_assert(appended.is_duplicate && appended.flush_due);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    ck_assert_int_eq(append(5), ERR_OK); /* of another, not synced either */
    ck_assert_int_eq(append_batch(&batch, 1, &appended, &epoch), ERR_OK);
    ck_assert(appended.is_duplicate && !appended.flush_due);
}
END_TEST

START_TEST(a_follower_is_told_when_a_sync_is_due)
{
    struct part_fetch_start start;

    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(3, 0, 5, 0, 0, &start), ERR_OK);
    ck_assert(!start.flush_due); /* none is wanted */
    part_get_fetch_start(part, &start);
    ck_assert(!start.flush_due);
    kit.conf.flush_messages = 7;
    log_set_conf(kit.log, &kit.conf);
    ck_assert_int_eq(follow(3, 5, 1, 0, 0, &start), ERR_OK);
    ck_assert(!start.flush_due);
    ck_assert_int_eq(follow(3, 6, 1, 0, 0, &start), ERR_OK);
    ck_assert(start.flush_due);
    ck_assert_int_eq(start.offset, 7);
    ck_assert_int_eq(follow(3, 7, 0, 0, 0, &start), ERR_OK); /* nothing came */
    ck_assert(!start.flush_due);
    ck_assert_int_eq(follow(4, 7, 1, 0, 0, &start), ERR_FENCED_LEADER_EPOCH);
    ck_assert(!start.flush_due);
    part_get_fetch_start(part, &start); /* who begins to follow anew has the tail still */
    ck_assert(start.flush_due);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    part_get_fetch_start(part, &start);
    ck_assert(!start.flush_due);
}
END_TEST

START_TEST(a_leader_commits_what_is_synced)
{
    struct part_info info;

    kit.conf.flush_messages = 1;
    log_set_conf(kit.log, &kit.conf);
    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    part_synced(part, 3, now_ms); /* whoever says so: it is not on the disk */
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 0);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    part_synced(part, 3, now_ms);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 5);
}
END_TEST

START_TEST(a_new_leader_commits_its_tail_when_it_is_synced)
{
    struct part_fetch_start start;
    struct part_info info;
    struct waiter consumer;

    kit.conf.flush_messages = 1;
    log_set_conf(kit.log, &kit.conf);
    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(3, 0, 5, 0, 0, &start), ERR_OK);
    role(1, 4, 1, 2);
    ck_assert(effects.sync_tail);
    wait_on(&consumer, part_stable(part), 1);
    struct part_read read = fetch_of(2, 5, 4);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 0);
    ck_assert_int_eq(log_flush(kit.log), ERR_OK);
    part_synced(part, 4, now_ms);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 5);
    ck_assert_int_eq(completed(&consumer), 1);
    role(2, 5, 2, 2);
    role(1, 6, 3, 2);
    ck_assert(!effects.sync_tail);
}
END_TEST

START_TEST(proposals_leave_without_locks)
{
    role(1, 3, 0, 1);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(proposals, 1);
    ck_assert_int_eq(proposed_len, 2);
    part_resend(part, now_ms);
    ck_assert_int_eq(proposals, 2);
    part_decided(part, 1, ERR_INELIGIBLE_REPLICA, now_ms);
    part_resend(part, now_ms);
    ck_assert_int_eq(proposals, 2);
    part_stop(part, now_ms);
    now_ms += 100000;
    ck_assert_int_eq(append(5), ERR_OK);
    part_tick(part, now_ms);
    ck_assert_int_eq(proposals, 2);
}
END_TEST

/* ---- following ---- */

START_TEST(a_follower_appends_what_its_leader_sends)
{
    struct part_fetch_start start;
    struct part_info info;

    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(3, 0, 5, 3, 0, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 5);
    ck_assert_int_eq(start.last_epoch, 3);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 3);
    ck_assert_int_eq(follow(3, 5, 0, 5, 2, &start), ERR_OK); /* no records, only news */
    ck_assert_int_eq(start.log_start, 2);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 5);
    ck_assert_int_eq(info.log_start, 2);
}
END_TEST

START_TEST(a_leader_of_another_epoch_is_not_listened_to)
{
    struct part_fetch_start start;

    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(2, 0, 5, 3, 0, &start), ERR_FENCED_LEADER_EPOCH);
    role(2, 4, 1, 2);
    ck_assert_int_eq(follow(3, 0, 5, 3, 0, &start), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(part_follow_diverged(part, 3, 0, 0, now_ms, &start), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(part_follow_reset(part, 3, 7, 9, now_ms, &start), ERR_FENCED_LEADER_EPOCH);
    role(1, 5, 2, 2);
    ck_assert_int_eq(follow(5, 0, 5, 3, 0, &start), ERR_FENCED_LEADER_EPOCH);
    ck_assert_int_eq(log_leo(kit.log), 0);
}
END_TEST

START_TEST(damage_is_refused_and_the_log_stays)
{
    struct part_fetch_start start;
    struct buf buf = BUF_EMPTY;

    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(3, 0, 5, 0, 0, &start), ERR_OK);
    leaders_batch(&buf, 5, 5, 3);
    buf.bytes[buf.len - 3] ^= 1;
    ck_assert_int_eq(part_follow(part, 3, buf.bytes, buf.len, 0, 0, kit.now_ms, now_ms, &start),
                     ERR_CORRUPT_MESSAGE);
    ck_assert_int_eq(start.offset, 5);
    leaders_batch(&buf, 2, 5, 3); /* overlaps what is there */
    ck_assert_int_eq(part_follow(part, 3, buf.bytes, buf.len, 0, 0, kit.now_ms, now_ms, &start),
                     ERR_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(start.offset, 5);
    buf_fini(&buf);
}
END_TEST

START_TEST(an_empty_log_begins_with_the_batch_that_holds_its_start)
{
    struct part_fetch_start start;
    struct part_info info;

    role(2, 3, 0, 2);
    ck_assert_int_eq(part_follow_reset(part, 3, 95, 200, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 95);
    ck_assert_int_eq(follow(3, 90, 10, 200, 95, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 100);
    ck_assert_int_eq(start.log_start, 95);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 100);
    ck_assert_int_eq(follow(3, 90, 20, 200, 95, &start), ERR_OFFSET_OUT_OF_RANGE);
}
END_TEST

START_TEST(diverging_histories_are_cut)
{
    struct part_fetch_start start;
    struct part_info info;
    struct waiter follower;

    role(2, 3, 0, 2);
    ck_assert_int_eq(follow(3, 0, 8, 6, 0, &start), ERR_OK);
    role(1, 5, 1, 2);
    ck_assert_int_eq(append(1), ERR_OK); /* batch 8 of epoch 5 */
    role(2, 6, 2, 2);
    wait_on(&follower, part_grown(part), 100);
    ck_assert_int_eq(part_follow_diverged(part, 6, 3, 8, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 8);
    ck_assert_int_eq(start.last_epoch, 3);
    ck_assert_int_eq(completed(&follower), 1);
    ck_assert_int_eq(part_follow_diverged(part, 6, 2, 4, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 0); /* our first epoch begins there, and a batch is not split */
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 0);
}
END_TEST

START_TEST(resets_cut_restart_or_keep)
{
    struct part_fetch_start start;
    struct part_info info;

    role(2, 3, 0, 2);
    for (int64_t at = 0; at < 10; at++)
        ck_assert_int_eq(follow(3, at, 1, 6, 0, &start), ERR_OK);
    ck_assert_int_eq(part_follow_reset(part, 3, 0, 7, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 7);
    ck_assert_int_eq(part_follow_reset(part, 3, 5, 20, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 7);
    ck_assert_int_eq(part_follow_reset(part, 3, 50, 60, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 50);
    ck_assert_int_eq(start.last_epoch, -1);
    part_get_info(part, &info);
    ck_assert_int_eq(info.hw, 50);
    ck_assert_int_eq(info.log_start, 50);
}
END_TEST

/* ---- the rest ---- */

static enum err delete_to(int64_t offset, int64_t *low)
{
    return part_delete_records(part, &offset, now_ms, low);
}

START_TEST(records_are_deleted_up_to_the_high_watermark)
{
    int64_t low, to_hw = PART_DELETE_TO_HW;

    ck_assert_int_eq(delete_to(0, &low), ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_int_eq(low, -1);
    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 3, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(delete_to(4, &low), ERR_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_to(-2, &low), ERR_OFFSET_OUT_OF_RANGE);
    ck_assert_int_eq(delete_to(2, &low), ERR_OK);
    ck_assert_int_eq(low, 0); /* the follower still has them */
    ck_assert_int_eq(part_delete_records(part, &to_hw, now_ms, &low), ERR_OK);
    ck_assert_int_eq(to_hw, 3); /* what is to be waited for */
    ck_assert_int_eq(log_start_offset(kit.log), 3);
    read = fetch_of(2, 5, 3);
    read.replica_log_start = 3;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(delete_to(1, &low), ERR_OK);
    ck_assert_int_eq(low, 3);
}
END_TEST

START_TEST(nothing_is_deleted_where_the_settings_only_compact)
{
    int64_t low;

    role(1, 3, 0, 1);
    kit.conf.cleanup_delete = false;
    kit.conf.cleanup_compact = true;
    log_set_conf(kit.log, &kit.conf);
    ck_assert_int_eq(append(5), ERR_OK);
    ck_assert_int_eq(delete_to(2, &low), ERR_POLICY_VIOLATION);
    ck_assert_int_eq(low, -1);
    ck_assert_int_eq(log_start_offset(kit.log), 0);
}
END_TEST

static int cleared;

static void on_cleared(struct delayed *op, enum delayed_why why)
{
    (void)op;
    ck_assert_int_eq(why, DELAYED_MET);
    cleared++;
}

static void wait_cleared(struct delayed *op, struct watch_node *node, int64_t need)
{
    cleared = 0;
    delayed_init(op, reactor, on_cleared, node);
    delayed_watch(op, part_cleared(part), need);
    delayed_start(op, true, 60000);
}

START_TEST(a_deletion_waits_for_the_replicas_that_live)
{
    struct delayed op;
    struct watch_node node;
    int64_t low;

    role(1, 3, 0, 2);
    ck_assert_int_eq(append(5), ERR_OK);
    struct part_read read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(delete_to(4, &low), ERR_OK);
    wait_cleared(&op, &node, 4);
    read = fetch_of(2, 5, 3);
    read.replica_log_start = 3;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    reactor_turn(reactor, false);
    ck_assert_int_eq(cleared, 0);
    read.replica_log_start = 4;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    reactor_turn(reactor, false);
    ck_assert_int_eq(cleared, 1);

    ck_assert_int_eq(delete_to(5, &low), ERR_OK);
    wait_cleared(&op, &node, 5);
    part_set_live(part, 2, 20, false, now_ms); /* the dead are not waited for */
    reactor_turn(reactor, false);
    ck_assert_int_eq(cleared, 1);
    ck_assert_int_eq(part_get_low_watermark(part, &low), ERR_OK);
    ck_assert_int_eq(low, 5);

    wait_cleared(&op, &node, 6);
    role(2, 4, 1, 2);
    reactor_turn(reactor, false);
    ck_assert_int_eq(cleared, 1);
    ck_assert_int_eq(part_get_low_watermark(part, &low), ERR_NOT_LEADER_OR_FOLLOWER);
}
END_TEST

START_TEST(list_offsets_waits_for_a_new_leader_to_know)
{
    int64_t bound;
    int32_t epoch;

    role(2, 3, 0, 2);
    struct part_fetch_start start;
    ck_assert_int_eq(follow(3, 0, 5, 2, 0, &start), ERR_OK);
    role(1, 4, 1, 2);
    ck_assert_int_eq(part_list_bound(part, 4, true, PART_READ_UNCOMMITTED, &bound, &epoch),
                     ERR_OFFSET_NOT_AVAILABLE);
    ck_assert_int_eq(part_list_bound(part, 4, true, PART_READ_LOG_END, &bound, &epoch), ERR_OK);
    ck_assert_int_eq(bound, 5);
    struct part_read read = fetch_of(2, 5, 4);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(part_list_bound(part, 4, true, PART_READ_UNCOMMITTED, &bound, &epoch), ERR_OK);
    ck_assert_int_eq(bound, 5);
    ck_assert_int_eq(part_list_bound(part, 3, true, PART_READ_LOG_END, &bound, &epoch),
                     ERR_FENCED_LEADER_EPOCH);
}
END_TEST

/* Recovery reads markers anew; with a high watermark from the file nothing moves it past them. */
START_TEST(transactions_that_ended_before_a_crash_are_settled)
{
    struct kit_batch data = {
        .count = 3, .producer_id = 7, .base_sequence = 0, .transactional = 1
    };
    struct log *log;

    ck_assert_int_eq(log_kit_append(&kit, &data, 0, NULL), ERR_OK);
    ck_assert_int_eq(log_kit_marker(&kit, true, 7, 0), ERR_OK);
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    part_unref(&part);
    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, 0), ERR_OK);
    log = log_ref(kit.log);
    part = part_new(&env, "t", UUID_ZERO, 0, &log, 4, 1, 30000);
    role(1, 3, 0, 1);
    struct part_read read = fetch_of(-1, 0, -1);

    read.isolation = PART_READ_COMMITTED;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(read.hw, 4);
    ck_assert_int_eq(read.last_stable, 4);
}
END_TEST

/* The producers are read anew, and with them the marker, which was committed long ago. */
START_TEST(a_cut_above_the_high_watermark_leaves_transactions_settled)
{
    const struct kit_batch data = { .count = 3, .producer_id = 7, .transactional = true };
    struct part_read read = fetch_of(-1, 0, -1);
    struct part_fetch_start start;
    struct buf buf = BUF_EMPTY;
    struct waiter consumer;

    role(2, 3, 0, 2);
    part_kit_put(&buf, &data, 0, 3);
    uint8_t *marker = buf_reserve(&buf, BATCH_MARKER_BYTES);
    batch_marker_write(marker, true, 7, 0, 0, kit.now_ms);
    batch_stamp(marker, 3, 3);
    buf.len += BATCH_MARKER_BYTES;
    part_kit_put(&buf, &(struct kit_batch){ .count = 1 }, 4, 3);
    ck_assert_int_eq(part_follow(part, 3, buf.bytes, buf.len, 4, 0, kit.now_ms, now_ms, &start),
                     ERR_OK);
    buf_fini(&buf);
    read.isolation = PART_READ_COMMITTED;
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(read.last_stable, 4);
    wait_on(&consumer, part_stable(part), 4); /* of one that has read in the midst of the cut */
    ck_assert_int_eq(part_follow_diverged(part, 3, 3, 4, now_ms, &start), ERR_OK);
    ck_assert_int_eq(start.offset, 4);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert_int_eq(read.hw, 4);
    ck_assert_int_eq(read.last_stable, 4);
    ck_assert_int_eq(completed(&consumer), 1);
}
END_TEST

static bool has_changed(uint64_t *seen)
{
    uint64_t before = *seen;

    *seen = part_changes(part);
    return *seen != before;
}

START_TEST(what_a_read_could_notice_is_counted)
{
    uint64_t seen = part_changes(part);

    ck_assert_uint_ne(seen, 0);
    role(1, 3, 0, 2);
    ck_assert(has_changed(&seen));
    ck_assert_int_eq(append(5), ERR_OK);
    ck_assert(has_changed(&seen));
    struct part_read read = fetch_of(2, 5, 3);
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    ck_assert(has_changed(&seen)); /* the high watermark moved */
    ck_assert_int_eq(read_and_drop(&read), ERR_OK);
    part_tick(part, now_ms + 10);
    ck_assert(!has_changed(&seen)); /* it asks again, time passes */
    part_set_live(part, 2, 20, false, now_ms);
    ck_assert(has_changed(&seen));
    int64_t offset = 2;
    int64_t low_watermark;
    ck_assert_int_eq(part_delete_records(part, &offset, now_ms, &low_watermark), ERR_OK);
    ck_assert(has_changed(&seen));
    role(2, 4, 1, 2);
    ck_assert(has_changed(&seen));
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert(has_changed(&seen));
}
END_TEST

START_TEST(a_closed_partition_says_why_to_everybody)
{
    enum err why = _i == 0 ? ERR_NOT_LEADER_OR_FOLLOWER : ERR_UNKNOWN_TOPIC_OR_PARTITION;
    struct part_read read = fetch_of(-1, 0, -1);
    struct waiter waiter;
    int64_t bound;
    int32_t epoch;
    enum err err;

    role(1, 3, 0, 1);
    wait_on(&waiter, part_committed(part), 100);
    part_close(part, why);
    ck_assert_int_eq(completed(&waiter), 1);
    ck_assert_int_eq(part_check_acked(part, 100, 3, &err), PART_ACK_FAILED);
    ck_assert_int_eq(err, why);
    ck_assert_int_eq(append(1), why);
    ck_assert_int_eq(read_and_drop(&read), why);
    ck_assert_int_eq(part_list_bound(part, -1, true, PART_READ_LOG_END, &bound, &epoch), why);
}
END_TEST

/* Its log may have been opened again by then, in another partition with locks of its own. */
START_TEST(retention_leaves_the_log_of_a_closed_partition_alone)
{
    kit.conf.segment_bytes = 100;
    kit.conf.retention_bytes = 100;
    log_set_conf(kit.log, &kit.conf);
    role(1, 3, 0, 1);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(append(1), ERR_OK);
    ck_assert_uint_gt(part_retain(part, kit.now_ms, now_ms), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(append(1), ERR_OK);
    int64_t start = log_start_offset(kit.log);
    part_close(part, ERR_NOT_LEADER_OR_FOLLOWER);
    ck_assert_uint_eq(part_retain(part, kit.now_ms, now_ms), 0);
    ck_assert_int_eq(log_start_offset(kit.log), start);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("part");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, produce_and_fetch_move_the_high_watermark);
    tcase_add_test(tc, a_second_look_notes_nothing);
    tcase_add_test(tc, reads_are_bounded_by_who_reads);
    tcase_add_test(tc, who_parts_from_us_is_told_and_not_noted);
    tcase_add_test(tc, lost_leadership_wakes_all);
    tcase_add_test(tc, too_few_in_sync_for_all);
    tcase_add_test(tc, what_follows_a_refused_batch_is_refused_for_the_same_reason);
    tcase_add_test(tc, a_producer_does_not_begin_behind_a_refused_batch);
    tcase_add_test(tc, a_duplicate_waits_for_the_sync_of_its_original);
    tcase_add_test(tc, a_follower_is_told_when_a_sync_is_due);
    tcase_add_test(tc, a_leader_commits_what_is_synced);
    tcase_add_test(tc, a_new_leader_commits_its_tail_when_it_is_synced);
    tcase_add_test(tc, proposals_leave_without_locks);
    tcase_add_test(tc, a_follower_appends_what_its_leader_sends);
    tcase_add_test(tc, a_leader_of_another_epoch_is_not_listened_to);
    tcase_add_test(tc, damage_is_refused_and_the_log_stays);
    tcase_add_test(tc, an_empty_log_begins_with_the_batch_that_holds_its_start);
    tcase_add_test(tc, diverging_histories_are_cut);
    tcase_add_test(tc, resets_cut_restart_or_keep);
    tcase_add_test(tc, records_are_deleted_up_to_the_high_watermark);
    tcase_add_test(tc, nothing_is_deleted_where_the_settings_only_compact);
    tcase_add_test(tc, a_deletion_waits_for_the_replicas_that_live);
    tcase_add_test(tc, list_offsets_waits_for_a_new_leader_to_know);
    tcase_add_test(tc, transactions_that_ended_before_a_crash_are_settled);
    tcase_add_test(tc, a_cut_above_the_high_watermark_leaves_transactions_settled);
    tcase_add_test(tc, what_a_read_could_notice_is_counted);
    tcase_add_loop_test(tc, a_closed_partition_says_why_to_everybody, 0, 2);
    tcase_add_test(tc, retention_leaves_the_log_of_a_closed_partition_alone);
    return unit_run(tc);
}
