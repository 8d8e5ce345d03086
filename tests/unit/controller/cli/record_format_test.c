/*
 * record_format: what one side prints the other side reads; formats that cannot be used are told.
 */
#include "controller/cli/record_format.h"

#include <check.h>
#include <stdlib.h>

#include "tests/kit/unit.h"

static char *printed(const char *format, const struct record_text *record)
{
    struct arena arena;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    arena_init(&arena, SIZE_MAX);
    if (format != NULL)
        record_print(format, record, &arena, out);
    else
        record_print_json(record, &arena, out);
    fclose(out);
    arena_fini(&arena);
    return text;
}

#define CHECK_PRINTED(format, record, expected)                                                    \
    do {                                                                                           \
        char *text = printed(format, record);                                                      \
        ck_assert_str_eq(text, expected);                                                          \
        free(text);                                                                                \
    } while (0)

START_TEST(fields_are_printed)
{
    struct record_text record = { .topic = STR("orders"),
                                  .partition = 3,
                                  .offset = 42,
                                  .timestamp_ms = 1763643911042,
                                  .key = STR_NULL,
                                  .value = STR("v"),
                                  .headers_len = 2,
                                  .headers = { { STR("a"), STR("1") }, { STR("b"), STR_NULL } } };

    CHECK_PRINTED("%t %p %o %T %k|%v [%h] %K %S %%\\t\\x41\\n", &record,
                  "orders 3 42 1763643911042 |v [a=1,b=] -1 1 %\tA\n");
    CHECK_PRINTED("%d", &record, "2025-11-20T13:05:11.042Z");
    CHECK_PRINTED(NULL, &record,
                  "{\"topic\":\"orders\",\"partition\":3,\"offset\":42,"
                  "\"timestamp\":1763643911042,\"time\":\"2025-11-20T13:05:11.042Z\",\"key\":null,"
                  "\"value\":\"v\",\"headers\":[{\"name\":\"a\",\"value\":\"1\"},"
                  "{\"name\":\"b\",\"value\":null}]}");
    record.value = STR("\xff\xfe");
    record.headers_len = 0;
    record.timestamp_ms = -1;
    CHECK_PRINTED(NULL, &record,
                  "{\"topic\":\"orders\",\"partition\":3,\"offset\":42,\"timestamp\":-1,"
                  "\"key\":null,\"value\":null,\"value_base64\":\"//4=\",\"headers\":[]}");
}
END_TEST

START_TEST(lines_are_read)
{
    struct record_text record;

    ck_assert(record_read("%p %k %v", STR("3 k1 hello world"), &record));
    ck_assert_int_eq(record.partition, 3);
    ck_assert(str_is(record.key, "k1"));
    ck_assert(str_is(record.value, "hello world"));
    ck_assert(record_read("%T\\t%k\\t%v\\n", STR("17\tk\tv"), &record));
    ck_assert_int_eq(record.timestamp_ms, 17);
    ck_assert(str_is(record.value, "v"));
    ck_assert(record_read("%k: %v [%h]", STR("k: v [a=1,b=2]"), &record));
    ck_assert_int_eq(record.headers_len, 2);
    ck_assert(str_is(record.headers[1].value, "2"));
    ck_assert(!record_read("%p %v", STR("x y"), &record));
    ck_assert(!record_read("%k=%v", STR("no sign of it"), &record));
    ck_assert(!record_read("<%v", STR("v"), &record));
}
END_TEST

START_TEST(unusable_formats_are_told)
{
    ck_assert_ptr_null(record_format_wrong("%t %p %o %T %d %k %v %s %h %K %S %% \\n\\x0a", false));
    ck_assert_ptr_null(record_format_wrong("%p\\t%k %v", true));
    ck_assert_ptr_nonnull(record_format_wrong("%x", false));
    ck_assert_ptr_nonnull(record_format_wrong("%", false));
    ck_assert_ptr_nonnull(record_format_wrong("\\q", false));
    ck_assert_ptr_nonnull(record_format_wrong("\\x4", false));
    ck_assert_ptr_nonnull(record_format_wrong("%k%v", true));
    ck_assert_ptr_nonnull(record_format_wrong("%o %v", true));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("record_format");

    tcase_add_test(tc, fields_are_printed);
    tcase_add_test(tc, lines_are_read);
    tcase_add_test(tc, unusable_formats_are_told);
    return unit_run(tc);
}
