/*
 * conf: what a properties file may look like, types and bounds, that everything wrong is told at
 * once and with its place, and that what is ignored is told once.
 */
#include "common/base/conf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/props.h"
#include "tests/kit/unit.h"

struct values {
    bool yes;
    int16_t small;
    int32_t count;
    int64_t big;
    double ratio;
    const char *text;
    const char *secret;
    struct conf_list names;
    struct conf_list policy;
    int32_t kind;
    int64_t maybe;
    int32_t later;
};

static const struct conf_key keys[] = {
#define KEY(...) CONF_KEY(struct values, __VA_ARGS__)
    KEY(yes, BOOL, "a.yes", "true", 0, 0, NULL, RESTART, LIVE, "a yes"),
    KEY(small, INT16, "a.small", "3", INT16_MIN, INT16_MAX, NULL, RESTART, LIVE, "a small"),
    KEY(count, INT32, "a.count", "8", 1, INT32_MAX, NULL, CLUSTER, LIVE, "a count"),
    KEY(big, INT64, "a.big", "9223372036854775807", -1, INT64_MAX, NULL, RESTART, LIVE, "a big"),
    KEY(ratio, DOUBLE, "a.ratio", "0.5", 0, 1, NULL, RESTART, LIVE, "a ratio"),
    KEY(text, STRING, "a.text", NULL, 0, 0, NULL, PER_BROKER, LIVE, "a text"),
    KEY(secret, PASSWORD, "a.secret", NULL, 0, 0, NULL, RESTART, LIVE, "a secret"),
    KEY(names, LIST, "a.names", "", 0, 0, NULL, RESTART, LIVE, "some names"),
    KEY(policy, LIST, "a.policy", "delete", 0, 0, "delete|compact", RESTART, LIVE, "a policy"),
    KEY(kind, CHOICE, "a.kind", "two", 0, 0, "one|two|three", RESTART, LIVE, "a kind"),
    KEY(maybe, INT64, "a.maybe", NULL, 0, INT64_MAX, NULL, RESTART, LIVE, "a maybe"),
    KEY(later, INT32, "a.later", "1", 0, INT32_MAX, NULL, RESTART, LATER, "a later"),
};

static const char *const others[] = { "controller.id", "plug.", NULL };
static const struct conf_table table = {
    .keys = keys, .n_keys = ARRAY_LEN(keys), .values_size = sizeof(struct values), .others = others
};

static struct values values;
static struct conf *conf;

static void setup(void)
{
    conf = conf_new(&table, &values);
}

static void teardown(void)
{
    conf_free(&conf);
}

static void load(const char *text)
{
    conf_free(&conf);
    conf = conf_new(&table, &values);
    conf_read_text(conf, "f", str_of(text));
    conf_finish(conf);
}

START_TEST(defaults_are_there_at_once)
{
    ck_assert(values.yes);
    ck_assert_int_eq(values.small, 3);
    ck_assert_int_eq(values.count, 8);
    ck_assert_int_eq(values.big, INT64_MAX);
    ck_assert_double_eq(values.ratio, 0.5);
    ck_assert_ptr_null(values.text);
    ck_assert_uint_eq(values.names.n, 0);
    ck_assert_uint_eq(values.policy.n, 1);
    ck_assert_str_eq(values.policy.items[0], "delete");
    ck_assert_int_eq(values.kind, 1);
    ck_assert_int_eq(values.maybe, CONF_NULL_INT64);
}
END_TEST

START_TEST(a_file_as_java_reads_it)
{
    load("# a comment \\\n"
         "a.text=first\r\n"
         "! another\n"
         "\n"
         "  a.count : 9\n"
         "a.big 5\n"
         "a.text = one\\\n"
         "      two # no comment \\u0041\\tx\\=\n"
         "a.names=x, y ,,z\n"
         "a\\.kind=three");
    ck_assert_uint_eq(conf_n_problems(conf), 0);
    ck_assert_uint_eq(conf_n_warnings(conf), 0);
    ck_assert_int_eq(values.count, 9);
    ck_assert_int_eq(values.big, 5);
    ck_assert_str_eq(values.text, "onetwo # no comment A\tx=");
    ck_assert_uint_eq(values.names.n, 4);
    ck_assert_str_eq(values.names.items[1], "y");
    ck_assert_str_eq(values.names.items[2], "");
    ck_assert_int_eq(values.kind, 2);
}
END_TEST

START_TEST(keys_without_values_and_odd_ends)
{
    struct arena arena;
    struct props props;
    struct str key, value;

    arena_init(&arena, SIZE_MAX);
    props = props_open(STR("a\n=b\nc=\\"), &arena);
    ck_assert(props_next(&props, &key, &value));
    ck_assert(str_is(key, "a") && str_is(value, ""));
    ck_assert(props_next(&props, &key, &value));
    ck_assert(str_is(key, "") && str_is(value, "b"));
    ck_assert(props_next(&props, &key, &value));
    ck_assert(str_is(key, "c") && str_is(value, ""));
    ck_assert_int_eq(props.line, 3);
    ck_assert(!props_next(&props, &key, &value));
    props = props_open(STR("u=\\u12"), &arena);
    ck_assert(props_next(&props, &key, &value));
    ck_assert(props.bad_escape);
    props = props_open(STR("u=\\u00e9\\u20AC"), &arena);
    ck_assert(props_next(&props, &key, &value));
    ck_assert(str_is(value, "\xc3\xa9\xe2\x82\xac"));
    arena_fini(&arena);
}
END_TEST

START_TEST(everything_wrong_is_told_with_its_place)
{
    load("a.yes=perhaps\n"
         "a.small=40000\n"
         "a.count=0\n"
         "a.big=1k\n"
         "\n"
         "a.ratio=1.5\n"
         "a.policy=delete,shred\n"
         "a.kind=four\n"
         "listener.name.x.a.count=-1\n");
    ck_assert_uint_eq(conf_n_problems(conf), 8);
    ck_assert_str_eq(conf_problem_at(conf, 0), "f:1: a.yes=perhaps: must be true or false");
    ck_assert_str_eq(conf_problem_at(conf, 2),
                     "f:3: a.count=0: must be a whole number from 1 to 2147483647");
    ck_assert_str_eq(conf_problem_at(conf, 4), "f:6: a.ratio=1.5: must be a number from 0 to 1");
    ck_assert_str_eq(conf_problem_at(conf, 5),
                     "f:7: a.policy=delete,shred: may only hold delete, compact");
    ck_assert_str_eq(conf_problem_at(conf, 6), "f:8: a.kind=four: must be one of one, two, three");
    ck_assert_int_eq(values.count, 8); /* the default stays */
    ck_assert(!conf_is_set(conf, "a.count"));
}
END_TEST

START_TEST(what_is_ignored_is_told_once)
{
    load("no.such=1\nno.such=2\na.later=1\ncontroller.id=3\nplug.in=4\n");
    ck_assert_uint_eq(conf_n_problems(conf), 0);
    ck_assert_uint_eq(conf_n_warnings(conf), 1); /* a.later is at its default */
    ck_assert_str_eq(conf_warning_at(conf, 0), "f:2: no.such: no such setting, ignored");
    load("a.later=2\nlistener.name.x.a.count=4\nlistener.name.x.plain.a.text=t\n");
    ck_assert_uint_eq(conf_n_problems(conf), 0);
    ck_assert_uint_eq(conf_n_warnings(conf), 3);
    ck_assert_str_eq(conf_warning_at(conf, 0), "f:1: a.later=2: has no effect yet");
}
END_TEST

START_TEST(overrides_win_over_the_file)
{
    conf_read_text(conf, "f", STR("a.count=4\n"));
    conf_override(conf, "a.count=5");
    conf_override(conf, "a.text=x=y");
    conf_override(conf, "nonsense");
    conf_finish(conf);
    ck_assert_int_eq(values.count, 5);
    ck_assert_str_eq(values.text, "x=y");
    ck_assert_uint_eq(conf_n_problems(conf), 1);
    ck_assert(conf_is_set(conf, "a.count"));
    ck_assert(!conf_is_set(conf, "a.big"));
    ck_assert(str_is(conf_given(conf, "a.count"), "5"));
    ck_assert(str_is_null(conf_given(conf, "a.big")));
}
END_TEST

START_TEST(secrets_stay_out_of_messages)
{
    load("a.secret= hush \n");
    ck_assert_str_eq(values.secret, "hush "); /* spaces behind may belong to it */
    conf_problem(conf, "a.secret", "is too short");
    ck_assert_str_eq(conf_problem_at(conf, 0), "f:1: a.secret=[hidden]: is too short");
    conf_problem(conf, "a.count", "is what it is");
    ck_assert_str_eq(conf_problem_at(conf, 1), "a.count: is what it is");
}
END_TEST

START_TEST(a_missing_file_is_a_problem)
{
    conf_read_file(conf, "/no/such/file");
    ck_assert_uint_eq(conf_n_problems(conf), 1);
    ck_assert(strstr(conf_problem_at(conf, 0), "/no/such/file") != NULL);
}
END_TEST

START_TEST(values_are_shown_as_kafka_shows_them)
{
    struct arena arena;
    const struct conf_key *ratio = conf_find(&table, STR("a.ratio"));
    struct conf_key wide = *ratio;

    wide.min = INT64_MIN;
    wide.max = INT64_MAX;
    arena_init(&arena, SIZE_MAX);
    ck_assert(str_is(conf_show(conf_find(&table, STR("a.yes")), STR("TRUE"), &arena), "true"));
    ck_assert(str_is(conf_show(conf_find(&table, STR("a.count")), STR(" 07 "), &arena), "7"));
    ck_assert(str_is(conf_show(conf_find(&table, STR("a.names")), STR("a , b"), &arena), "a,b"));
    ck_assert(str_is_null(conf_show(ratio, STR_NULL, &arena)));
    ck_assert(str_is(conf_show(ratio, STR("1"), &arena), "1.0"));
    ck_assert(str_is(conf_show(ratio, STR("0.10"), &arena), "0.1"));
    ck_assert(str_is(conf_show(ratio, STR("0.0005"), &arena), "5.0E-4"));
    ck_assert(
        str_is(conf_show(&wide, STR("1.7976931348623157E308"), &arena), "1.7976931348623157E308"));
    ck_assert(str_is(conf_show(&wide, STR("1234567.5"), &arena), "1234567.5"));
    ck_assert(str_is(conf_show(&wide, STR("12345678"), &arena), "1.2345678E7"));
    ck_assert(str_is(conf_show(&wide, STR("0"), &arena), "0.0"));
    ck_assert(str_is(conf_show(&wide, STR("-3"), &arena), "-3.0"));
    arena_fini(&arena);
}
END_TEST

START_TEST(a_sample_file_reads_back_as_the_defaults)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    conf_print_sample(&table, out);
    conf_print_help(&table, out);
    fclose(out);
    ck_assert_ptr_nonnull(strstr(text, "#a.count=8"));
    ck_assert_ptr_null(strstr(text, "#a.later=1")); /* no use in offering it */
    ck_assert_ptr_nonnull(strstr(text, "a later"));
    free(text);
}
END_TEST

START_TEST(the_walk_gives_every_setting)
{
    struct str name, value;

    load("a.count=4\nmy.own=x\n");
    conf_setting_at(conf, 1, &name, &value);
    ck_assert(str_is(name, "my.own") && str_is(value, "x"));
    conf_setting_at(conf, 2, &name, &value);
    ck_assert(str_is_null(name));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("conf");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, defaults_are_there_at_once);
    tcase_add_test(tc, a_file_as_java_reads_it);
    tcase_add_test(tc, keys_without_values_and_odd_ends);
    tcase_add_test(tc, everything_wrong_is_told_with_its_place);
    tcase_add_test(tc, what_is_ignored_is_told_once);
    tcase_add_test(tc, overrides_win_over_the_file);
    tcase_add_test(tc, secrets_stay_out_of_messages);
    tcase_add_test(tc, a_missing_file_is_a_problem);
    tcase_add_test(tc, values_are_shown_as_kafka_shows_them);
    tcase_add_test(tc, a_sample_file_reads_back_as_the_defaults);
    tcase_add_test(tc, the_walk_gives_every_setting);
    return unit_run(tc);
}
