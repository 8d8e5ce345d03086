/*
 * print: one report in every shape, byte for byte; units; text that is no UTF-8.
 */
#include "controller/cli/print.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/unit.h"

static const struct column columns[] = {
    { .key = "topic", .head = "TOPIC" },
    { .key = "partitions", .head = "PARTITIONS", .right = true },
    { .key = "isr", .head = "ISR", .wide = true },
    { .key = "internal", .head = "INTERNAL" },
    { .key = NULL },
};

static struct report *sample(struct arena *arena)
{
    static const int32_t isr[] = { 1, 2 };
    struct report *report = report_new(arena);
    struct table *table = report_table(report, "topics", columns);
    struct cell *row = table_row(table);

    row[0] = cell_cstr("zebra, \"z\"");
    row[1] = cell_int(12);
    row[2] = cell_ids(isr, 2);
    row[3] = cell_bool(false);
    row = table_row(table);
    row[0] = cell_cstr("a\xc3\xa9");
    row[1] = cell_int(3);
    table_sort(table);
    return report;
}

static char *printed(const struct report *report, enum print_shape shape)
{
    struct print print = { .shape = shape };
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    report_print(report, &print, out);
    fclose(out);
    return text;
}

#define CHECK_SHAPE(shape, expected)                                                               \
    do {                                                                                           \
        char *text = printed(report, shape);                                                       \
        ck_assert_str_eq(text, expected);                                                          \
        free(text);                                                                                \
    } while (0)

START_TEST(a_report_in_every_shape)
{
    struct arena arena;
    struct report *report;

    arena_init(&arena, SIZE_MAX);
    report = sample(&arena);
    CHECK_SHAPE(PRINT_TABLE, "TOPIC       PARTITIONS  INTERNAL\n"
                             "a\xc3\xa9                   3  -\n"
                             "zebra, \"z\"          12  false\n");
    CHECK_SHAPE(PRINT_WIDE, "TOPIC       PARTITIONS  ISR  INTERNAL\n"
                            "a\xc3\xa9                   3  -    -\n"
                            "zebra, \"z\"          12  1,2  false\n");
    CHECK_SHAPE(PRINT_JSON,
                "[\n"
                "  {\"topic\":\"a\xc3\xa9\",\"partitions\":3,\"isr\":null,\"internal\":null},\n"
                "  {\"topic\":\"zebra, \\\"z\\\"\",\"partitions\":12,\"isr\":[1,2],"
                "\"internal\":false}\n]\n");
    CHECK_SHAPE(PRINT_NDJSON,
                "{\"topic\":\"a\xc3\xa9\",\"partitions\":3,\"isr\":null,\"internal\":null}\n"
                "{\"topic\":\"zebra, \\\"z\\\"\",\"partitions\":12,\"isr\":[1,2],"
                "\"internal\":false}\n");
    CHECK_SHAPE(PRINT_CSV, "topic,partitions,isr,internal\n"
                           "a\xc3\xa9,3,,\n"
                           "\"zebra, \"\"z\"\"\",12,\"1,2\",false\n");
    CHECK_SHAPE(PRINT_NAME, "a\xc3\xa9\nzebra, \"z\"\n");
    arena_fini(&arena);
}
END_TEST

START_TEST(facts_make_an_object)
{
    struct arena arena;
    struct report *report;

    arena_init(&arena, SIZE_MAX);
    report = report_new(&arena);
    report_fact(report, "verdict", cell_cstr("healthy"));
    report_fact(report, "active", (struct cell){ 0 });
    report_table(report, "topics", columns);
    CHECK_SHAPE(PRINT_JSON, "{\n  \"verdict\": \"healthy\",\n  \"active\": null,\n"
                            "  \"topics\": []\n}\n");
    arena_fini(&arena);
}
END_TEST

START_TEST(json_text_is_always_valid)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    print_json_text(out, STR("a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80\xf0\x9f\x98\x80"));
    fclose(out);
    ck_assert_str_eq(text, "\"a\\\"\\\\\\n\\u0001\\ufffd\xc3\xa9\\ufffd\\ufffd\\ufffd"
                           "\xf0\x9f\x98\x80\"");
    free(text);
    ck_assert(print_is_utf8(STR("h\xc3\xa9")));
    ck_assert(!print_is_utf8(STR("h\xc3")));
}
END_TEST

START_TEST(units_are_for_people)
{
    struct print print = { 0 }, plain = { .bytes = true };
    struct arena arena;

    arena_init(&arena, SIZE_MAX);
    ck_assert(str_is(print_size(&arena, &print, 1023), "1023 B"));
    ck_assert(str_is(print_size(&arena, &print, 1288490189), "1.2 GiB"));
    ck_assert(str_is(print_size(&arena, &plain, 1288490189), "1288490189"));
    ck_assert(str_is(print_age(&arena, 250), "250ms"));
    ck_assert(str_is(print_age(&arena, 192000), "3m12s"));
    ck_assert(str_is(print_age(&arena, 532800000), "6d4h"));
    ck_assert(str_is(print_time(&arena, 1763643911042, false), "2025-11-20T13:05:11Z"));
    ck_assert(str_is(print_time(&arena, 1763643911042, true), "2025-11-20T13:05:11.042Z"));
    ck_assert(str_is(print_time(&arena, -1, true), "1969-12-31T23:59:59.999Z"));
    arena_fini(&arena);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("print");

    tcase_add_test(tc, a_report_in_every_shape);
    tcase_add_test(tc, facts_make_an_object);
    tcase_add_test(tc, json_text_is_always_valid);
    tcase_add_test(tc, units_are_for_people);
    return unit_run(tc);
}
