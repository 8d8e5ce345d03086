/*
 * stat: nothing counted is lost, whatever threads come and go; buckets and their bounds agree;
 * what is printed is Prometheus text. Races are the sanitizer's half: make test-unit SAN=thread.
 */
#include "common/base/stat.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/thread.h"
#include "tests/kit/unit.h"

enum { REQUESTS = 0, TIME = 10, PLAIN = TIME + STAT_WIDTH_HISTOGRAM };

static void count_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++)
        stat_add(PLAIN, 2);
}

START_TEST(threads_that_come_and_go_lose_nothing)
{
    for (int round = 0; round < 5; round++) {
        struct thread threads[4];

        for (int i = 0; i < 4; i++)
            thread_start(&threads[i], T_IO, i, count_many, NULL);
        stat_sum(PLAIN); /* a scrape in between disturbs nothing */
        for (int i = 0; i < 4; i++)
            thread_join(&threads[i]);
    }
    stat_add(PLAIN, 1);
    ck_assert_uint_eq(stat_sum(PLAIN), 5 * 4 * 20000 + 1);
}
END_TEST

START_TEST(buckets_end_where_they_say)
{
    ck_assert_uint_eq(stat_bucket(-5), 0);
    ck_assert_uint_eq(stat_bucket(0), 0);
    ck_assert_uint_eq(stat_bucket(8), 0);
    ck_assert_uint_eq(stat_bucket(9), 1);
    ck_assert_uint_eq(stat_bucket(12), 1);
    ck_assert_uint_eq(stat_bucket(13), 2);
    ck_assert_uint_eq(stat_bucket(16), 2);
    ck_assert_uint_eq(stat_bucket(17), 3);
    ck_assert_uint_eq(stat_bucket(INT64_MAX), STAT_BUCKETS - 1);
    for (int64_t us = 1; us < 200000000; us += us / 7 + 1)
        ck_assert_uint_le(stat_bucket(us), stat_bucket(us + 1));
}
END_TEST

START_TEST(quantiles_are_within_half_an_octave)
{
    ck_assert_int_eq(stat_quantile_us(TIME, 0.5), 0);
    for (int i = 0; i < 99; i++)
        stat_time(TIME, 100);
    stat_time(TIME, 50000);
    ck_assert_int_eq(stat_quantile_us(TIME, 0.5), 128);
    ck_assert_int_eq(stat_quantile_us(TIME, 0.99), 128);
    ck_assert_int_eq(stat_quantile_us(TIME, 1), 65536);
}
END_TEST

static const char *label_at(unsigned i)
{
    static const char *const names[] = { "Produce", "Fetch", NULL };

    return names[i];
}

static const struct stat_def defs[] = {
    { STAT_KIND_COUNTER, REQUESTS, 3, "request", label_at, "requests_total", "how many" },
    { STAT_KIND_HISTOGRAM, TIME, 1, NULL, NULL, "timems", "how long" },
    { STAT_KIND_COUNTER, PLAIN, 1, NULL, NULL, "plain_total", "just so" },
};

START_TEST(printed_as_prometheus_reads_it)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    stat_add(REQUESTS + 1, 7);
    stat_time(TIME, 10);
    stat_time(TIME, 1000);
    stat_print(out, defs, ARRAY_LEN(defs));
    stat_print_gauge(out, "depth", NULL, "how deep", 3);
    stat_print_gauge(out, "dir", "path=\"/a\"", NULL, 0.5);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "# HELP requests_total how many\n"
                                       "# TYPE requests_total counter\n"
                                       "requests_total{request=\"Fetch\"} 7\n"
                                       "# HELP timems"));
    ck_assert_ptr_nonnull(strstr(text, "timems_bucket{le=\"0.008\"} 0\n"
                                       "timems_bucket{le=\"0.012\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "timems_bucket{le=\"+Inf\"} 2\n"
                                       "timems_sum 1.010\ntimems_count 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "plain_total 0\n"));
    ck_assert_ptr_nonnull(strstr(text, "# TYPE depth gauge\ndepth 3\n"));
    ck_assert_ptr_nonnull(strstr(text, "dir{path=\"/a\"} 0.5\n"));
    free(text);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("stat");

    tcase_add_test(tc, threads_that_come_and_go_lose_nothing);
    tcase_add_test(tc, buckets_end_where_they_say);
    tcase_add_test(tc, quantiles_are_within_half_an_octave);
    tcase_add_test(tc, printed_as_prometheus_reads_it);
    return unit_run(tc);
}
