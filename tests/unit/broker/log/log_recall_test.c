/*
 * log_recall: a client that repeats any of its last five batches to a log that was opened anew is
 * told their old offsets, although a snapshot has the last one only; and what never came is not
 * taken for known.
 */
#include "broker/log/log_recall.h"

#include <check.h>

#include "tests/kit/log_kit.h"
#include "tests/kit/unit.h"

static struct log_kit kit;

static void start(void)
{
    log_kit_init(&kit, NULL, NULL);
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
}

static void stop(void)
{
    log_kit_fini(&kit);
}

static enum err put(int32_t seq, struct log_appended *out)
{
    return log_kit_append(
        &kit, &(struct kit_batch){ .count = 2, .producer_id = 7, .base_sequence = 2 * seq }, 0,
        out);
}

/* Records of nobody's between those of the producer. */
static void fill(int64_t bytes)
{
    for (int64_t left = bytes; left > 0; left -= 1 << 20)
        ck_assert_int_eq(
            log_kit_append(
                &kit, &(struct kit_batch){ .value_bytes = left < 1 << 20 ? (size_t)left : 1 << 20 },
                0, NULL),
            ERR_OK);
}

static void expect_new(int32_t seq)
{
    struct log_appended out;

    ck_assert_int_eq(put(seq, &out), ERR_OK);
    ck_assert(!out.is_duplicate);
}

static void expect_known(int32_t seq, int64_t offset)
{
    struct log_appended out;
    int64_t leo = log_leo(kit.log);

    ck_assert_int_eq(put(seq, &out), ERR_OK);
    ck_assert(out.is_duplicate);
    ck_assert_int_eq(out.first_offset, offset);
    ck_assert_int_eq(out.last_offset, offset + 1);
    ck_assert_int_eq(log_leo(kit.log), leo);
}

static void expect_unknown(int32_t seq)
{
    ck_assert_int_eq(put(seq, NULL), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}

static void reopen(void)
{
    log_kit_shut(&kit, true);
    ck_assert_int_eq(log_kit_open(&kit, true, -1), ERR_OK);
}

START_TEST(the_last_five_are_known_after_a_stop)
{
    for (int32_t seq = 0; seq < 7; seq++) {
        expect_new(seq);
        fill(10);
    }
    for (int round = 0; round < 2; round++) { /* the second snapshot has one of them, too */
        reopen();
        for (int32_t seq = 2; seq < 7; seq++)
            expect_known(seq, 3 * seq);
        expect_unknown(1);
        expect_unknown(8);
    }
    expect_new(7);
    expect_known(3, 9);
}
END_TEST

START_TEST(what_came_meanwhile_counts_among_the_five)
{
    for (int32_t seq = 0; seq < 5; seq++)
        expect_new(seq);
    reopen();
    expect_new(5);
    expect_new(6);
    expect_known(2, 4);
    expect_known(4, 8);
    expect_known(6, 12);
    expect_unknown(1);
}
END_TEST

START_TEST(they_are_known_after_a_crash_and_after_a_truncation)
{
    for (int32_t seq = 0; seq < 3; seq++)
        expect_new(seq);
    ck_assert_int_eq(log_flush_far(kit.log), ERR_OK);
    int64_t leo = log_leo(kit.log);

    log_kit_shut(&kit, false);
    ck_assert_int_eq(log_kit_open(&kit, false, leo), ERR_OK);
    expect_known(0, 0);
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    expect_new(3);
    ck_assert_int_eq(log_truncate_to(kit.log, leo), ERR_OK);
    expect_known(1, 2);
    expect_known(2, 4);
    expect_new(3);
}
END_TEST

START_TEST(what_never_came_is_not_known)
{
    expect_new(10); /* nobody knows it: it may begin anywhere */
    expect_new(11);
    reopen();
    expect_unknown(9);
    expect_unknown(0);
    expect_known(10, 0);
    expect_new(12);
}
END_TEST

/* The window ends in the middle of a large segment, or lies over several small ones. */
START_TEST(they_are_looked_for_as_far_as_it_may_matter)
{
    kit.conf.segment_bytes = _i == 0 ? 1 << 30 : 10 << 20;
    log_set_conf(kit.log, &kit.conf);
    expect_new(0);
    fill(9 << 20);
    expect_new(1);
    int64_t first = log_leo(kit.log);

    fill(LOG_RECALL_BYTES - (8 << 20));
    expect_new(2);
    fill(7 << 20);
    expect_new(3);
    reopen();
    ck_assert_uint_eq(log_segment_count(kit.log), _i == 0 ? 1 : 5);
    expect_unknown(0);
    expect_known(1, first - 2);
    expect_known(3, log_leo(kit.log) - 2);
    expect_new(4);
}
END_TEST

START_TEST(records_that_are_deleted_are_not_missed)
{
    for (int32_t seq = 0; seq < 3; seq++)
        expect_new(seq);
    ck_assert_int_eq(log_truncate_fully_and_start_at(kit.log, 100), ERR_OK);
    expect_new(8); /* nobody knows it any more */
    reopen();
    expect_known(8, 100);
    expect_unknown(1);
    ck_assert(log_advance_start(kit.log, 102));
    ck_assert_int_eq(log_roll(kit.log, kit.now_ms), ERR_OK);
    log_retain(kit.log, 102, kit.now_ms);
    reopen();
    ck_assert_uint_eq(log_segment_count(kit.log), 1);
    expect_unknown(7);
    expect_new(9);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("log_recall");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, the_last_five_are_known_after_a_stop);
    tcase_add_test(tc, what_came_meanwhile_counts_among_the_five);
    tcase_add_test(tc, they_are_known_after_a_crash_and_after_a_truncation);
    tcase_add_test(tc, what_never_came_is_not_known);
    tcase_add_loop_test(tc, they_are_looked_for_as_far_as_it_may_matter, 0, 2);
    tcase_add_test(tc, records_that_are_deleted_are_not_missed);
    return unit_run(tc);
}
