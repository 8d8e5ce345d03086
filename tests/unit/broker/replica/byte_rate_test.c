/*
 * byte_rate: the rate is Kafka's SimpleRate over samples, and whoever waits as long as it says
 * finds it at the limit: neither earlier (checked millisecond by millisecond), nor much later.
 */
#include "broker/replica/byte_rate.h"

#include <check.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rand.h"
#include "tests/kit/unit.h"

static struct byte_rate rate;

static void setup(void)
{
    byte_rate_init(&rate, 11, 1000);
}

static void teardown(void)
{
    byte_rate_fini(&rate);
}

START_TEST(nothing_is_no_rate)
{
    ck_assert_double_eq(byte_rate_get(&rate, 5), 0);
    ck_assert_int_eq(byte_rate_wait_ms(&rate, 1, 5), 0);
}
END_TEST

START_TEST(a_burst_counts_over_one_span_at_first)
{
    byte_rate_add(&rate, 5000, 100);
    ck_assert_double_eq(byte_rate_get(&rate, 100), 5000);
    ck_assert_double_eq(byte_rate_get(&rate, 1100), 5000);
    ck_assert_double_eq(byte_rate_get(&rate, 2100), 2500);
    ck_assert_double_eq(byte_rate_get(&rate, 5100), 1000);
    ck_assert_double_eq(byte_rate_get(&rate, 11099), 5000.0 * 1000 / 10999);
    ck_assert_double_eq(byte_rate_get(&rate, 11100), 0);
}
END_TEST

START_TEST(a_steady_flow_is_its_rate)
{
    int64_t now_ms = 7;

    for (; now_ms < 40000; now_ms += 50)
        byte_rate_add(&rate, 100, now_ms);
    ck_assert_double_ge(byte_rate_get(&rate, now_ms), 1950);
    ck_assert_double_le(byte_rate_get(&rate, now_ms), 2050);
    ck_assert_int_ge(rate.used, 10);
}
END_TEST

START_TEST(waiting_ends_when_the_rate_is_at_the_limit)
{
    byte_rate_add(&rate, 5000, 100);
    ck_assert_int_eq(byte_rate_wait_ms(&rate, 5000, 100), 0);
    ck_assert_int_eq(byte_rate_wait_ms(&rate, 2500, 100), 2001);
    ck_assert_int_eq(byte_rate_wait_ms(&rate, 1000, 1100), 4001);
    ck_assert_int_eq(byte_rate_wait_ms(&rate, 1, 1100), 10000); /* until it is forgotten */
}
END_TEST

static struct byte_rate copy_of(const struct byte_rate *from)
{
    struct byte_rate copy = *from;

    copy.samples = xmemdup(from->samples, (size_t)from->n * sizeof *from->samples);
    return copy;
}

START_TEST(nobody_waits_too_long_or_not_long_enough)
{
    struct rand rand;

    rand_seed(&rand, 1);
    for (int round = 0; round < 300; round++) {
        int64_t now_ms = (int64_t)rand_below(&rand, 1000);
        int64_t limit = 1 + (int64_t)rand_below(&rand, 2000);

        teardown();
        byte_rate_init(&rate, 1 + (int32_t)rand_below(&rand, 5),
                       1 + (int64_t)rand_below(&rand, 200));
        for (int i = 0; i < 12; i++) {
            byte_rate_add(&rate, (int64_t)rand_below(&rand, 1000), now_ms);
            now_ms += (int64_t)rand_below(&rand, 150);
        }
        int64_t wait_ms = byte_rate_wait_ms(&rate, limit, now_ms);

        for (int64_t ms = 0; ms < wait_ms - 1; ms++) {
            struct byte_rate copy = copy_of(&rate);

            ck_assert_double_gt(byte_rate_get(&copy, now_ms + ms), (double)limit);
            byte_rate_fini(&copy);
        }
        ck_assert_double_le(byte_rate_get(&rate, now_ms + wait_ms), (double)limit);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("byte_rate");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_no_rate);
    tcase_add_test(tc, a_burst_counts_over_one_span_at_first);
    tcase_add_test(tc, a_steady_flow_is_its_rate);
    tcase_add_test(tc, waiting_ends_when_the_rate_is_at_the_limit);
    tcase_add_test(tc, nobody_waits_too_long_or_not_long_enough);
    return unit_run(tc);
}
