/*
 * say: a line is one line whatever is in it, levels are kept, JSON is JSON, a flood is one line.
 */
#include "common/base/say.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/kit/unit.h"

static int reader;

/* stderr into a pipe: Check reports by its own. */
static void setup(void)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_ge(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
    say_setup(SAY_INFO, SAY_TEXT, "broker-1");
}

static const char *said(void)
{
    static char text[16384];
    ssize_t len = read(reader, text, sizeof text - 1);

    text[len > 0 ? len : 0] = '\0';
    return text;
}

START_TEST(levels_are_kept)
{
    say_debug("not this");
    ck_assert_str_eq(said(), "");
    say_info("this a=%d", 5);
    const char *line = said();
    ck_assert_ptr_nonnull(strstr(line, " INFO "));
    ck_assert_ptr_nonnull(strstr(line, "this a=5\n"));
    ck_assert_int_eq(line[10], 'T'); /* 2026-11-20T10:00:00.000Z */
    say_set_level(SAY_ERROR);
    say_warn("not this");
    ck_assert_str_eq(said(), "");
    ck_assert(!say_is_on(SAY_WARN));
    say_set_level(SAY_DEBUG);
    say_debug("now this");
    ck_assert_ptr_nonnull(strstr(said(), "now this"));
}
END_TEST

START_TEST(one_line_whatever_is_in_it)
{
    say_warn("a\nb\tc\x1b[31m");
    const char *line = said();
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_null(strchr(line, '\x1b'));
}
END_TEST

START_TEST(long_lines_are_cut)
{
    char *text = malloc(20000);

    memset(text, 'x', 19999);
    text[19999] = '\0';
    say_error("%s", text);
    const char *line = said();
    ck_assert_uint_lt(strlen(line), 16000);
    ck_assert_int_eq(line[strlen(line) - 1], '\n');
    memset(text, '"', 19999);
    say_setup(SAY_INFO, SAY_JSON, "broker-1");
    say_error("%s", text);
    line = said();
    ck_assert_ptr_nonnull(strstr(line, "\\\"\"}\n")); /* whole to the end */
    free(text);
}
END_TEST

START_TEST(json_escapes_what_it_must)
{
    say_setup(SAY_INFO, SAY_JSON, "broker-1");
    say_info("a \"quote\" and \\ and \n");
    const char *line = said();
    ck_assert_int_eq(line[0], '{');
    ck_assert_ptr_nonnull(strstr(line, "\"process\":\"broker-1\""));
    ck_assert_ptr_nonnull(strstr(line, "\"level\":\"INFO\""));
    ck_assert_ptr_nonnull(strstr(line, "\"message\":\"a \\\"quote\\\" and \\\\ and  \"}\n"));
}
END_TEST

START_TEST(a_flood_is_one_line)
{
    struct say_limit limit = { 0 };
    unsigned lost = 7;

    for (int i = 0; i < 100; i++)
        say_limited(SAY_WARN, "again n=%d", i);
    const char *line = said();
    ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
    ck_assert_ptr_nonnull(strstr(line, "again n=0"));
    ck_assert(say_limit_pass(&limit, &lost));
    ck_assert_uint_eq(lost, 0);
    ck_assert(!say_limit_pass(&limit, &lost));
    ck_assert(!say_limit_pass(&limit, &lost));
    atomic_store(&limit.next_us, 0); /* a second later */
    ck_assert(say_limit_pass(&limit, &lost));
    ck_assert_uint_eq(lost, 2);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("say");

    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, levels_are_kept);
    tcase_add_test(tc, one_line_whatever_is_in_it);
    tcase_add_test(tc, long_lines_are_cut);
    tcase_add_test(tc, json_escapes_what_it_must);
    tcase_add_test(tc, a_flood_is_one_line);
    return unit_run(tc);
}
