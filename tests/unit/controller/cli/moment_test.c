/*
 * moment: dates, zones, ages and ISO durations, and what is none of them.
 */
#include "controller/cli/moment.h"

#include <check.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define NOW INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */

START_TEST(times_are_read)
{
    static const struct {
        const char *text;
        int64_t wall_ms; /* -1: none */
    } times[] = {
        { "2023-11-14T22:13:20", NOW },
        { "2023-11-14T22:13:20Z", NOW },
        { "2023-11-14T22:13:20.5", NOW + 500 },
        { "2023-11-14T22:13:20.057Z", NOW + 57 },
        { "2023-11-15T00:13:20+02:00", NOW },
        { "2023-11-14T16:43:20-0530", NOW },
        { "2023-11-14T22:13", NOW - 20000 },
        { "2023-11-14", NOW - 80000000 },
        { "1700000000000", NOW },
        { "-15m", NOW - 900000 },
        { "-1d", NOW - 86400000 },
        { "", -1 },
        { "tomorrow", -1 },
        { "2023-11-14T22:13:20X", -1 },
        { "2023-11-14T22:13:20+2", -1 },
        { "2023-13-14", -1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        int64_t wall_ms = -1;
        bool good = moment_parse(times[i].text, NOW, &wall_ms);

        ck_assert_msg(good == (times[i].wall_ms >= 0), "%s", times[i].text);
        if (good)
            ck_assert_msg(wall_ms == times[i].wall_ms, "%s: %lld", times[i].text,
                          (long long)wall_ms);
    }
}
END_TEST

START_TEST(durations_are_read_as_java_does)
{
    static const struct {
        const char *text;
        bool good;
        int64_t ms;
    } durations[] = {
        { "P1D", true, 86400000 },   { "P1DT2H30M", true, 95400000 },
        { "PT0.5S", true, 500 },     { "pt15m", true, 900000 },
        { "-PT1H", true, -3600000 }, { "PT-6H3M", true, -21420000 },
        { "P", false, 0 },           { "PT", false, 0 },
        { "P1DT", false, 0 },        { "P1H", false, 0 },
        { "PT1D", false, 0 },        { "PT1M1H", false, 0 },
        { "1D", false, 0 },          { "PT1.5H", false, 0 },
        { "P1Y", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
        int64_t ms = 0;

        ck_assert_msg(moment_parse_duration(durations[i].text, &ms) == durations[i].good, "%s",
                      durations[i].text);
        if (durations[i].good)
            ck_assert_msg(ms == durations[i].ms, "%s: %lld", durations[i].text, (long long)ms);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("moment");

    tcase_add_test(tc, times_are_read);
    tcase_add_test(tc, durations_are_read_as_java_does);
    return unit_run(tc);
}
