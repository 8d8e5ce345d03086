/*
 * thread_counts: a number of threads changes within half and double of what is in force, whichever
 * level that comes from and whichever is changed; nothing else is held up.
 */
#include "broker/api/thread_counts.h"

#include <check.h>
#include <stdio.h>

#include "tests/kit/unit.h"

static struct arena arena;
static struct conf *conf;
static struct broker_conf values;
static struct settings *settings;
static struct image *image;

static void start(const char *file)
{
    arena_init(&arena, SIZE_MAX);
    conf = conf_new(&broker_conf_table, &values);
    conf_read_text(conf, "test", str_of(file));
    conf_finish(conf);
    broker_conf_derive(conf, &values);
    settings = settings_new(conf, &values, 1);
    image = image_new(1, 1, 3001, STR("cluster"));
}

static void setup(void)
{
    start("num.io.threads=6\nlog.cleaner.threads=4\n");
}

static void teardown(void)
{
    image_unref(&image);
    settings_free(&settings);
    conf_free(&conf);
    arena_fini(&arena);
}

/* As if this had been changed for the broker, or for "<default>". */
static void has(const char *name, const char *key, const char *value)
{
    struct image_setting setting = { str_of(key), str_of(value) };
    struct image_config config = { STR("brokers"), str_of(name), 1, &setting };

    image_add(image, &(struct image_delta){ .n_configs = 1, .configs = &config });
}

static const char *refusal(bool of_all, bool replaces, const char *key, const char *value)
{
    static char text[200];
    struct thread_edit edit = { str_of(key), str_of(value) };
    struct thread_change change = {
        .of_all = of_all, .replaces = replaces, .n = key == NULL ? 0 : 1, .edits = &edit
    };
    struct str why = thread_counts_refusal(settings, image, &change, &arena);

    snprintf(text, sizeof text, "%.*s", STR_ARG(why));
    return text;
}

#define HERE(key, value) refusal(false, false, key, value)
#define ALL(key, value)  refusal(true, false, key, value)

START_TEST(from_half_to_double)
{
    ck_assert_str_eq(HERE("num.io.threads", "3"), "");
    ck_assert_str_eq(HERE("num.io.threads", "6"), "");
    ck_assert_str_eq(HERE("num.io.threads", "12"), "");
    ck_assert_str_eq(HERE("num.io.threads", "2"),
                     "Dynamic thread count update validation failed for num.io.threads=2, value "
                     "should be at least half the current value 6");
    ck_assert_str_eq(HERE("num.io.threads", "13"),
                     "Dynamic thread count update validation failed for num.io.threads=13, value "
                     "should not be greater than double the current value 6");
    ck_assert_str_eq(HERE("num.network.threads", "1"), ""); /* half of 3, as Java divides */
    ck_assert_str_ne(HERE("num.network.threads", "7"), "");
    ck_assert_str_ne(HERE("num.replica.fetchers", "3"), "");
    ck_assert_str_ne(HERE("num.recovery.threads.per.data.dir", "3"), "");
    ck_assert_str_ne(HERE("background.threads", "4"), "");
}
END_TEST

START_TEST(compaction_has_words_of_its_own)
{
    ck_assert_str_eq(HERE("log.cleaner.threads", "2"), "");
    ck_assert_str_eq(HERE("log.cleaner.threads", "8"), "");
    ck_assert_str_eq(HERE("log.cleaner.threads", "0"), "Log cleaner threads should be at least 1");
    ck_assert_str_eq(HERE("log.cleaner.threads", "1"),
                     "Log cleaner threads cannot be reduced to less than half the current value 4");
    ck_assert_str_eq(
        HERE("log.cleaner.threads", "9"),
        "Log cleaner threads cannot be increased to more than double the current value 4");
}
END_TEST

START_TEST(where_nothing_is_compacted_the_number_does_not_matter)
{
    teardown();
    start("log.cleaner.enable=false\n");
    ck_assert_str_eq(HERE("log.cleaner.threads", "0"), "");
    ck_assert_str_eq(HERE("log.cleaner.threads", "100"), "");
}
END_TEST

START_TEST(levels_hide_each_other)
{
    has("<default>", "num.io.threads", "12");
    ck_assert_str_ne(ALL("num.io.threads", "25"), "");
    ck_assert_str_eq(ALL("num.io.threads", "24"), "");
    ck_assert_str_eq(ALL("num.io.threads", NULL), ""); /* 6, half */
    ck_assert_str_eq(HERE("num.io.threads", "24"), "");
    has("1", "num.io.threads", "24");
    ck_assert_str_eq(ALL("num.io.threads", "1000"), ""); /* 24 it stays */
    ck_assert_str_eq(HERE("num.io.threads", NULL), "");
    has("<default>", "num.io.threads", "6");
    ck_assert_str_ne(HERE("num.io.threads", NULL), ""); /* from 24 to 6 */
}
END_TEST

START_TEST(who_replaces_all_takes_back_what_is_not_named)
{
    has("1", "log.cleaner.threads", "16");
    ck_assert_str_ne(refusal(false, true, NULL, NULL), "");
    ck_assert_str_ne(refusal(false, true, "message.max.bytes", "1"), "");
    ck_assert_str_eq(refusal(false, true, "log.cleaner.threads", "8"), "");
    ck_assert_str_eq(refusal(true, true, NULL, NULL), ""); /* the other level has none */
}
END_TEST

START_TEST(the_rest_is_for_others_to_judge)
{
    ck_assert_str_eq(HERE("num.io.threads", "many"), "");
    ck_assert_str_eq(HERE("num.io.threads", "0"), ""); /* below the table's least */
    ck_assert_str_eq(HERE("message.max.bytes", "1"), "");
    ck_assert_str_eq(HERE("no.such", "1"), "");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("thread_counts");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, from_half_to_double);
    tcase_add_test(tc, compaction_has_words_of_its_own);
    tcase_add_test(tc, where_nothing_is_compacted_the_number_does_not_matter);
    tcase_add_test(tc, levels_hide_each_other);
    tcase_add_test(tc, who_replaces_all_takes_back_what_is_not_named);
    tcase_add_test(tc, the_rest_is_for_others_to_judge);
    return unit_run(tc);
}
