/*
 * offset_plan: lag as Kafka counts it, every way to reset at the edges of a log, and what people
 * and files say about offsets.
 */
#include "controller/cli/offset_plan.h"

#include <check.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

/* A log that was trimmed to 10 and ends at 100. */
static struct offset_state at(int64_t committed)
{
    return (struct offset_state){ .committed = committed, .first = 10, .end = 100, .at_time = -1 };
}

START_TEST(lag_is_what_is_left_to_read)
{
    struct offset_state state = at(40);
    int64_t lag;

    ck_assert(offset_lag(&state, &lag));
    ck_assert_int_eq(lag, 60);
    state = at(100);
    ck_assert(offset_lag(&state, &lag));
    ck_assert_int_eq(lag, 0);
    state = at(120); /* the log was cut, or the topic made anew */
    ck_assert(offset_lag(&state, &lag));
    ck_assert_int_eq(lag, -20);
    state = at(-1);
    ck_assert(!offset_lag(&state, &lag));
    state = at(40);
    state.end = -1;
    ck_assert(!offset_lag(&state, &lag));
}
END_TEST

START_TEST(what_retention_took_is_lost)
{
    struct offset_state state = at(3);

    ck_assert_int_eq(offset_lost(&state), 7);
    state = at(10);
    ck_assert_int_eq(offset_lost(&state), 0);
    state = at(-1);
    ck_assert_int_eq(offset_lost(&state), 0);
    state = at(3);
    state.first = -1;
    ck_assert_int_eq(offset_lost(&state), 0);
}
END_TEST

static const struct {
    enum reset_how how;
    int64_t argument, committed, at_time;
    int64_t offset;
    enum reset_note note;
} resets[] = {
    { RESET_EARLIEST, 0, 40, -1, 10, RESET_AS_ASKED },
    { RESET_LATEST, 0, 40, -1, 100, RESET_AS_ASKED },
    { RESET_CURRENT, 0, 40, -1, 40, RESET_AS_ASKED },
    { RESET_CURRENT, 0, 3, -1, 3, RESET_AS_ASKED },
    { RESET_CURRENT, 0, -1, -1, 100, RESET_NO_COMMITTED },
    { RESET_OFFSET, 10, 40, -1, 10, RESET_AS_ASKED },
    { RESET_OFFSET, 9, 40, -1, 10, RESET_RAISED },
    { RESET_OFFSET, 100, 40, -1, 100, RESET_AS_ASKED },
    { RESET_OFFSET, 101, 40, -1, 100, RESET_LOWERED },
    { RESET_TIME, 0, 40, 55, 55, RESET_AS_ASKED },
    { RESET_TIME, 0, 40, -1, 100, RESET_NONE_LATER },
    { RESET_SHIFT, -5, 40, -1, 35, RESET_AS_ASKED },
    { RESET_SHIFT, 60, 40, -1, 100, RESET_AS_ASKED },
    { RESET_SHIFT, 61, 40, -1, 100, RESET_LOWERED },
    { RESET_SHIFT, -31, 40, -1, 10, RESET_RAISED },
    { RESET_SHIFT, INT64_MAX, 40, -1, 100, RESET_LOWERED },
    { RESET_SHIFT, INT64_MIN, 40, -1, 10, RESET_RAISED },
    { RESET_SHIFT, 5, -1, -1, 100, RESET_NO_COMMITTED },
};

START_TEST(every_reset_ends_within_the_log)
{
    for (size_t i = 0; i < ARRAY_LEN(resets); i++) {
        struct offset_state state = at(resets[i].committed);
        struct reset_step step;

        state.at_time = resets[i].at_time;
        step = reset_plan(resets[i].how, resets[i].argument, &state);
        ck_assert_msg(step.offset == resets[i].offset && step.note == resets[i].note,
                      "%zu: %lld %d", i, (long long)step.offset, step.note);
    }
}
END_TEST

START_TEST(a_log_that_is_not_known_is_left_alone)
{
    struct offset_state state = at(40);

    state.end = -1;
    ck_assert_int_eq(reset_plan(RESET_LATEST, 0, &state).note, RESET_UNKNOWN);
    ck_assert_int_eq(reset_plan(RESET_LATEST, 0, &state).offset, -1);
}
END_TEST

START_TEST(where_to_is_read)
{
    enum reset_how how;
    int64_t argument;

    ck_assert(reset_parse("earliest", 0, &how, &argument) && how == RESET_EARLIEST);
    ck_assert(reset_parse("latest", 0, &how, &argument) && how == RESET_LATEST);
    ck_assert(reset_parse("current", 0, &how, &argument) && how == RESET_CURRENT);
    ck_assert(reset_parse("17", 0, &how, &argument) && how == RESET_OFFSET && argument == 17);
    ck_assert(reset_parse("@-1h", 7200000, &how, &argument) && how == RESET_TIME &&
              argument == 3600000);
    ck_assert(!reset_parse("@never", 0, &how, &argument));
    ck_assert(!reset_parse("-17", 0, &how, &argument));
    ck_assert(!reset_parse("early", 0, &how, &argument));
}
END_TEST

START_TEST(lines_of_files_are_read)
{
    struct offset_line line;

    ck_assert(offset_line_parse(STR("orders,3,17\n"), &line));
    ck_assert(str_is_null(line.group) && str_is(line.topic, "orders"));
    ck_assert_int_eq(line.partition, 3);
    ck_assert_int_eq(line.offset, 17);
    ck_assert(offset_line_parse(STR("\"a,b\", orders ,0,1"), &line));
    ck_assert(str_is(line.group, "a,b") && str_is(line.topic, "orders"));
    ck_assert(!offset_line_parse(STR("orders,3"), &line));
    ck_assert(!offset_line_parse(STR("topic,partition,offset"), &line));
    ck_assert(!offset_line_parse(STR("orders,-1,3"), &line));
    ck_assert(!offset_line_parse(STR("orders,1,-3"), &line));
    ck_assert(!offset_line_parse(STR("g,orders,1,3,4"), &line));
    ck_assert(!offset_line_parse(STR(""), &line));
}
END_TEST

START_TEST(scopes_are_read)
{
    struct str topic;
    int32_t parts[3], len;

    ck_assert(topic_scope_parse(STR("orders"), &topic, NULL, &len));
    ck_assert(str_is(topic, "orders") && len == 0);
    ck_assert(topic_scope_parse(STR("orders:0,2,5"), &topic, parts, &len));
    ck_assert_int_eq(len, 3);
    ck_assert(parts[0] == 0 && parts[1] == 2 && parts[2] == 5);
    ck_assert(!topic_scope_parse(STR("orders:0,x"), &topic, NULL, &len));
    ck_assert(!topic_scope_parse(STR("orders:-1"), &topic, NULL, &len));
    ck_assert(!topic_scope_parse(STR(":1"), &topic, NULL, &len));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("offset_plan");

    tcase_add_test(tc, lag_is_what_is_left_to_read);
    tcase_add_test(tc, what_retention_took_is_lost);
    tcase_add_test(tc, every_reset_ends_within_the_log);
    tcase_add_test(tc, a_log_that_is_not_known_is_left_alone);
    tcase_add_test(tc, where_to_is_read);
    tcase_add_test(tc, lines_of_files_are_read);
    tcase_add_test(tc, scopes_are_read);
    return unit_run(tc);
}
