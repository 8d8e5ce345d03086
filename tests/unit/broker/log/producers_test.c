/*
 * producers: sequences and epochs are enforced as Kafka enforces them, and the first unstable
 * offset follows the transactions.
 */
#include "broker/log/producers.h"

#include <check.h>

#include "tests/kit/unit.h"

static struct producers *producers;
static struct producer_dup dup;
static struct producer_txn_end end;
static int64_t next_offset;

static void start(void)
{
    producers = producers_new();
    next_offset = 0;
}

static void stop(void)
{
    producers_free(&producers);
}

static struct producer_batch data(int64_t id, int16_t epoch, int32_t first_seq, int32_t count)
{
    int64_t last = (int64_t)first_seq + count - 1;

    return (struct producer_batch){ .producer_id = id,
                                    .producer_epoch = epoch,
                                    .first_seq = first_seq,
                                    .last_seq = (int32_t)(last & INT32_MAX),
                                    .first_offset = next_offset,
                                    .last_offset = next_offset + count - 1,
                                    .timestamp_ms = next_offset };
}

static enum err put_from(enum producer_origin origin, struct producer_batch batch)
{
    enum err err = producers_check(producers, &batch, origin, &dup);

    if (err == ERR_OK) {
        producers_apply(producers, &batch, &end);
        next_offset = batch.last_offset + 1;
    }
    return err;
}

static enum err put(struct producer_batch batch)
{
    return put_from(PRODUCER_CLIENT, batch);
}

static enum err txn(int64_t id, int32_t seq)
{
    struct producer_batch batch = data(id, 0, seq, 1);

    batch.is_txn = true;
    return put(batch);
}

static enum err marker(int64_t id, int16_t epoch, int32_t coordinator_epoch, bool is_abort)
{
    struct producer_batch batch = data(id, epoch, -1, 1);

    batch.is_txn = true;
    batch.is_control = true;
    batch.is_abort = is_abort;
    batch.coordinator_epoch = coordinator_epoch;
    return put_from(PRODUCER_COORDINATOR, batch);
}

START_TEST(sequences_go_on)
{
    ck_assert_int_eq(put(data(1, 0, 0, 5)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 5, 5)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 11, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 0, 4, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 0, 10, 1)), ERR_OK);
}
END_TEST

START_TEST(an_unknown_producer_may_begin_anywhere)
{
    ck_assert_int_eq(put(data(1, 0, 100, 5)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 104, 5)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}
END_TEST

START_TEST(the_last_five_batches_are_known_again)
{
    for (int32_t seq = 0; seq < 7; seq++)
        ck_assert_int_eq(put(data(1, 0, seq, 1)), ERR_OK);
    for (int32_t seq = 2; seq < 7; seq++) {
        ck_assert_int_eq(put(data(1, 0, seq, 1)), ERR_DUPLICATE_SEQUENCE_NUMBER);
        ck_assert_int_eq(dup.first_offset, seq);
        ck_assert_int_eq(dup.timestamp_ms, seq);
    }
    ck_assert_int_eq(put(data(1, 0, 1, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
}
END_TEST

/* As after a start: of each only the last batch, and what was there before. */
static struct producers *reload(void)
{
    struct producers *before = producers;
    struct producer_entry entry;

    producers = producers_new();
    ck_assert(producers_get(before, 1, &entry));
    producers_load(producers, &entry);
    return before;
}

START_TEST(what_was_left_out_is_put_before_what_is_known)
{
    for (int32_t seq = 0; seq < 4; seq++)
        ck_assert_int_eq(put(data(1, 0, seq, 1)), ERR_OK);
    struct producers *before = reload();

    ck_assert_int_eq(put(data(1, 0, 1, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 0, 4, 1)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 5, 1)), ERR_OK);
    producers_recall(producers, before);
    for (int32_t seq = 1; seq < 6; seq++) {
        ck_assert_int_eq(put(data(1, 0, seq, 1)), ERR_DUPLICATE_SEQUENCE_NUMBER);
        ck_assert_int_eq(dup.first_offset, seq);
    }
    ck_assert_int_eq(put(data(1, 0, 0, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 0, 7, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 0, 6, 1)), ERR_OK);
    producers_free(&before);
}
END_TEST

START_TEST(what_was_left_out_makes_nobody_known_and_no_epoch_older)
{
    ck_assert_int_eq(put(data(2, 0, 0, 1)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 0, 1)), ERR_OK);
    struct producers *before = reload();

    ck_assert_int_eq(put(data(1, 1, 0, 1)), ERR_OK);
    producers_recall(producers, before);
    ck_assert_uint_eq(producers_count(producers), 1);
    ck_assert_int_eq(put(data(1, 1, 0, 1)), ERR_DUPLICATE_SEQUENCE_NUMBER);
    ck_assert_int_eq(dup.first_offset, 2);
    ck_assert_int_eq(put(data(1, 0, 1, 1)), ERR_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(put(data(1, 1, 1, 1)), ERR_OK);
    producers_free(&before);
}
END_TEST

START_TEST(a_new_epoch_begins_at_zero)
{
    ck_assert_int_eq(put(data(1, 3, 0, 5)), ERR_OK);
    ck_assert_int_eq(put(data(1, 2, 5, 1)), ERR_INVALID_PRODUCER_EPOCH);
    ck_assert_int_eq(put(data(1, 4, 5, 1)), ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    ck_assert_int_eq(put(data(1, 4, 0, 1)), ERR_OK);
    ck_assert_int_eq(put(data(1, 3, 5, 1)), ERR_INVALID_PRODUCER_EPOCH);
}
END_TEST

START_TEST(sequences_wrap)
{
    ck_assert_int_eq(put(data(1, 0, INT32_MAX - 1, 2)), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 0, 2)), ERR_OK);
    ck_assert_int_eq(put(data(2, 0, INT32_MAX, 3)), ERR_OK); /* wraps inside: last is 1 */
    ck_assert_int_eq(put(data(2, 0, 2, 1)), ERR_OK);
}
END_TEST

START_TEST(replication_is_believed)
{
    ck_assert_int_eq(put(data(1, 3, 0, 5)), ERR_OK);
    ck_assert_int_eq(put_from(PRODUCER_REPLICATION, data(1, 2, 77, 1)), ERR_OK);
}
END_TEST

START_TEST(the_first_unstable_offset_follows_transactions)
{
    ck_assert_int_eq(producers_first_unstable(producers), -1);
    ck_assert_int_eq(txn(1, 0), ERR_OK); /* offset 0 */
    ck_assert_int_eq(txn(2, 0), ERR_OK); /* 1 */
    ck_assert_int_eq(txn(1, 1), ERR_OK); /* 2 */
    ck_assert_int_eq(producers_first_unstable(producers), 0);
    ck_assert_int_eq(marker(1, 0, 5, true), ERR_OK); /* 3 */
    ck_assert(end.ended && end.is_abort);
    ck_assert_int_eq(end.first_offset, 0);
    ck_assert_int_eq(end.last_offset, 3);
    ck_assert_int_eq(end.last_stable_offset, 1);
    ck_assert_int_eq(producers_first_unstable(producers), 0); /* the marker is not replicated */
    producers_on_hw(producers, 3);
    ck_assert_int_eq(producers_first_unstable(producers), 0);
    producers_on_hw(producers, 4);
    ck_assert_int_eq(producers_first_unstable(producers), 1);
    ck_assert_int_eq(marker(2, 0, 5, false), ERR_OK);
    ck_assert(end.ended && !end.is_abort);
    producers_on_hw(producers, 100);
    ck_assert_int_eq(producers_first_unstable(producers), -1);
    ck_assert_int_eq(marker(2, 0, 4, false), ERR_TRANSACTION_COORDINATOR_FENCED);
    ck_assert_int_eq(marker(2, 0, 5, false), ERR_OK);
    ck_assert(!end.ended);
}
END_TEST

START_TEST(plain_data_does_not_mix_with_a_transaction)
{
    ck_assert_int_eq(txn(1, 0), ERR_OK);
    ck_assert_int_eq(put(data(1, 0, 1, 1)), ERR_INVALID_TXN_STATE);
}
END_TEST

START_TEST(old_producers_are_forgotten_open_transactions_never)
{
    ck_assert_int_eq(put(data(1, 0, 0, 1)), ERR_OK);
    ck_assert_int_eq(txn(2, 0), ERR_OK);
    ck_assert_uint_eq(producers_expire(producers, 1000, 1000), 1);
    ck_assert_uint_eq(producers_count(producers), 1);
    struct producers *copy = producers_copy(producers);

    ck_assert_int_eq(producers_first_unstable(copy), 1);
    producers_free(&copy);
}
END_TEST

START_TEST(a_loaded_producer_knows_its_last_batch)
{
    struct producer_entry entry;

    ck_assert_int_eq(put(data(1, 0, INT32_MAX, 3)), ERR_OK);
    ck_assert(producers_get(producers, 1, &entry));
    struct producers *other = producers_new();

    producers_load(other, &entry);
    struct producer_batch again = data(1, 0, INT32_MAX, 3);

    ck_assert_int_eq(producers_check(other, &again, PRODUCER_CLIENT, &dup),
                     ERR_DUPLICATE_SEQUENCE_NUMBER);
    ck_assert_int_eq(dup.first_offset, 0);
    producers_free(&other);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("producers");

    tcase_add_checked_fixture(tc, start, stop);
    tcase_add_test(tc, sequences_go_on);
    tcase_add_test(tc, an_unknown_producer_may_begin_anywhere);
    tcase_add_test(tc, the_last_five_batches_are_known_again);
    tcase_add_test(tc, what_was_left_out_is_put_before_what_is_known);
    tcase_add_test(tc, what_was_left_out_makes_nobody_known_and_no_epoch_older);
    tcase_add_test(tc, a_new_epoch_begins_at_zero);
    tcase_add_test(tc, sequences_wrap);
    tcase_add_test(tc, replication_is_believed);
    tcase_add_test(tc, the_first_unstable_offset_follows_transactions);
    tcase_add_test(tc, plain_data_does_not_mix_with_a_transaction);
    tcase_add_test(tc, old_producers_are_forgotten_open_transactions_never);
    tcase_add_test(tc, a_loaded_producer_knows_its_last_batch);
    return unit_run(tc);
}
