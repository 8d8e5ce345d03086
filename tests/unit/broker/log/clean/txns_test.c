/*
 * txns: whose data is let go, which markers still mark something, over all interleavings of two
 * producers.
 */
#include "broker/log/clean/txns.h"

#include <check.h>

#include "common/wire/record.h"
#include "tests/kit/unit.h"

static struct txns txns;
static struct aborted_txn kept;

static void start(void)
{
    txns_init(&txns);
}

static void end(void)
{
    txns_fini(&txns);
}

static bool data(int64_t producer_id, int64_t first, int64_t last)
{
    return txns_on_data(&txns, &(struct batch_info){ .base_offset = first,
                                                     .last_offset = last,
                                                     .producer_id = producer_id,
                                                     .magic = 2,
                                                     .transactional = producer_id >= 0 });
}

static bool marker(bool commit, int64_t producer_id, int64_t offset)
{
    uint8_t batch[BATCH_MARKER_BYTES];
    struct batch_info info;

    batch_marker_write(batch, commit, producer_id, 0, 0, 0);
    batch_stamp(batch, offset, 0);
    batch_info_read(batch, &info);
    return txns_on_control(&txns, batch, &info, &kept);
}

static void will_abort(int64_t producer_id, int64_t first, int64_t last)
{
    txns_add_aborted(&txns, &(struct aborted_txn){ producer_id, first, last, last + 1 }, 1);
}

START_TEST(data_of_an_aborted_transaction_goes_and_its_marker_stays)
{
    will_abort(1, 10, 20);
    ck_assert(!data(1, 5, 9)); /* before it: committed */
    ck_assert(!marker(true, 1, 9));
    ck_assert(data(1, 10, 12));
    ck_assert(!data(2, 13, 13));
    ck_assert(!data(-1, 14, 14));
    ck_assert(data(1, 15, 15));
    ck_assert(!marker(false, 1, 20));
    ck_assert_int_eq(kept.producer_id, 1);
    ck_assert_int_eq(kept.first_offset, 10);
    ck_assert_int_eq(kept.last_offset, 20);
    ck_assert(!data(1, 21, 22)); /* another one */
    ck_assert(!marker(true, 2, 23));
    ck_assert_int_eq(kept.producer_id, -1);
}
END_TEST

START_TEST(a_marker_without_data_may_go)
{
    will_abort(1, 10, 20);
    ck_assert(marker(false, 1, 20));
    ck_assert_int_eq(kept.producer_id, -1);
    ck_assert(marker(false, 2, 21)); /* no index knows of it */
    ck_assert(marker(true, 3, 22));
    ck_assert(!data(3, 23, 23));
    ck_assert(!marker(true, 3, 24));
    ck_assert(marker(true, 3, 25));
}
END_TEST

START_TEST(a_transaction_told_of_twice_is_one)
{
    will_abort(1, 10, 30);
    ck_assert(data(1, 10, 12));
    will_abort(1, 10, 30); /* by the index behind the next segment */
    ck_assert(data(1, 20, 22));
    ck_assert(!marker(false, 1, 30));
    ck_assert(!data(1, 31, 31));
}
END_TEST

START_TEST(transactions_come_in_the_order_of_their_first_offsets)
{
    for (int64_t i = 20; i > 0; i--)
        will_abort(i % 2, i * 10, i * 10 + 5);
    for (int64_t i = 1; i <= 20; i++) {
        ck_assert_int_eq(data(i % 2, i * 10, i * 10), true);
        ck_assert(!data(2, i * 10 + 1, i * 10 + 1));
        ck_assert(!marker(false, i % 2, i * 10 + 5));
        ck_assert_int_eq(kept.first_offset, i * 10);
        ck_assert(!data(i % 2, i * 10 + 6, i * 10 + 6));
        ck_assert(!marker(true, i % 2, i * 10 + 7));
    }
}
END_TEST

START_TEST(an_emptied_control_batch_marks_nothing)
{
    uint8_t batch[BATCH_HEADER_BYTES] = { [BATCH_POS_MAGIC] = 2 };
    struct batch_info info = { .last_offset = 5, .producer_id = 1, .control = true, .count = 0 };

    ck_assert(txns_on_control(&txns, batch, &info, &kept));
    ck_assert_int_eq(kept.producer_id, -1);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("txns");

    tcase_add_checked_fixture(tc, start, end);
    tcase_add_test(tc, data_of_an_aborted_transaction_goes_and_its_marker_stays);
    tcase_add_test(tc, a_marker_without_data_may_go);
    tcase_add_test(tc, a_transaction_told_of_twice_is_one);
    tcase_add_test(tc, transactions_come_in_the_order_of_their_first_offsets);
    tcase_add_test(tc, an_emptied_control_batch_marks_nothing);
    return unit_run(tc);
}
