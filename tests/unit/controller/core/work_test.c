/* work: what an operator is told of changes on their way. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/kit/core_kit.h"
#include "tests/kit/unit.h" /* unit_run */

static char told[512];

static void note(void *arg, const struct core_work *work)
{
    static const char *const kinds[] = { "move",     "deletion", "files", "request",
                                         "shutdown", "wish",     "write" };
    size_t len = strlen(told);

    (void)arg;
    snprintf(told + len, sizeof told - len, "%s %.*s-%d b%d +%u -%u %lld;", kinds[work->kind],
             STR_ARG(work->topic), work->partition, work->broker, work->adding.n, work->removing.n,
             (long long)work->count);
}

static const char *work(void)
{
    told[0] = '\0';
    core_each_work(toy.core, toy.now_ms, note, NULL);
    return told;
}

static void three_brokers(void)
{
    toy_up(&toy, 3);
}

START_TEST(an_idle_controller_has_nothing_to_do)
{
    toy_create(&toy, "t", 2, IDS(1, 2));
    ck_assert_str_eq(work(), "");
}
END_TEST

START_TEST(a_move_is_told_until_it_is_there_and_then_its_files)
{
    toy_create(&toy, "t", 2, IDS(1, 2));
    MOVES("t", 1, IDS(3, 1));
    ck_assert_str_eq(work(), "move t-1 b-1 +1 -1 1;");
    toy_propose(&toy, 1, "t", 1, IDS(1, 2, 3));
    ASSIGNS("t", 1, "3,1");
    ck_assert_str_eq(work(), "files --1 b2 +0 -0 1;");
}
END_TEST

START_TEST(who_is_not_active_has_nothing_to_do)
{
    toy_create(&toy, "t", 1, IDS(1, 2));
    MOVES("t", 0, IDS(3, 1));
    toy_step(&toy, (struct core_event){ .kind = CORE_RESIGNED });
    ck_assert_str_eq(work(), "");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("work");

    tcase_add_checked_fixture(tc, three_brokers, core_kit_end_anyhow);
    tcase_add_test(tc, an_idle_controller_has_nothing_to_do);
    tcase_add_test(tc, a_move_is_told_until_it_is_there_and_then_its_files);
    tcase_add_test(tc, who_is_not_active_has_nothing_to_do);
    return unit_run(tc);
}
