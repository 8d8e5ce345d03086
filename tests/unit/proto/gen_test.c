/*
 * The generator: one schema with every feature of the language gives exactly the C that is kept in
 * tests/data/wire/gen, twice the same, and schemas that make no sense are refused with their line.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

/* proto/gen.py on the schemas under from, into out; its messages into *said, to be freed. */
static int generate(const char *from, const char *out, char **said)
{
    char command[2048], root[512];
    size_t len;

    snprintf(root, sizeof root, "%s", unit_data("wire/gen"));
    root[strlen(root) - strlen("tests/data/wire/gen")] = '\0';
    snprintf(command, sizeof command,
             "/usr/bin/python3 %sproto/gen.py --from %s --out %s >%s/said 2>&1", root, from, out,
             out);
    int status = system(command);
    snprintf(command, sizeof command, "%s/said", out);
    *said = unit_read_file(command, &len);
    return status;
}

static void check_same(const char *dir, const char *name, const char *expected_name)
{
    char path[1024];
    size_t len, expected_len;

    snprintf(path, sizeof path, "wire/gen/%s", expected_name);
    char *expected = unit_read_file(unit_data(path), &expected_len);
    snprintf(path, sizeof path, "%s/wire/%s", dir, name);
    char *got = unit_read_file(path, &len);
    ck_assert_msg(strcmp(got, expected) == 0, "%s is not tests/data/wire/gen/%s", path,
                  expected_name);
    free(got);
    free(expected);
}

START_TEST(the_sample_becomes_the_expected_c)
{
    char from[512];

    snprintf(from, sizeof from, "%s", unit_data("wire/gen"));
    for (int round = 0; round < 2; round++) {
        const char *out = unit_temp_dir();
        char *said;

        ck_assert_int_eq(generate(from, out, &said), 0);
        ck_assert_str_eq(said, "");
        free(said);
        check_same(out, "sample_call.h", "sample_call.h.expected");
        check_same(out, "sample_call.c", "sample_call.c.expected");
        check_same(out, "apis.c", "apis.c.expected");
    }
}
END_TEST

START_TEST(nonsense_is_refused_with_its_line)
{
    static const struct {
        const char *schema, *complaint;
    } wrong[] = {
        { "api 1 Bad 0-2\nrequest\n    a int99\n", "bad.msg: bad_request has neither" },
        { "api 1 Bad 0-2\nrequest\n    a int8 3+\n", "bad.msg:3: versions 3+ are not within 0-2" },
        { "api 1 Bad 0-2\nrequest\n    a ?int8\n", "bad.msg:3: a: int8 cannot be null" },
        { "api 1 Bad 0-2\nrequest\n    a int8 tag 0\n", "bad.msg:3: a: tagged, but not flexible" },
        { "api 1 Bad 0-2\nrequest\n    a string = null\n", "bad.msg:3: a: null by default" },
        { "api 1 Bad 0-2\nrequest\n    a int8 = x\n", "bad.msg:3: " },
        { "api 1 Bad 0-2\nrequest\n    a int8 optional\n", "bad.msg:3: unknown mark optional" },
        { "api 1 Bad 0-2\nrequest\n    struct x\n        a int8\n    b x\n        c int8\n",
          "bad.msg:6: c stands under a field that is no new struct" },
        { "api 1 Bad 0-2\nrequest\n    b []x\n        a int8\n    struct x\n        a int8\n",
          "bad.msg:5: x is defined twice" },
        { "what 1\n", "bad.msg:1: what: expected api" },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        const char *dir = unit_temp_dir();
        char path[512], *said;

        snprintf(path, sizeof path, "%s/kafka", dir);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        snprintf(path, sizeof path, "%s/kafka/bad.msg", dir);
        FILE *file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        fputs(wrong[i].schema, file);
        fclose(file);
        ck_assert_int_ne(generate(dir, dir, &said), 0);
        ck_assert_msg(strstr(said, wrong[i].complaint) != NULL, "wanted %s, it said %s",
                      wrong[i].complaint, said);
        free(said);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("gen");

    tcase_add_test(tc, the_sample_becomes_the_expected_c);
    tcase_add_test(tc, nonsense_is_refused_with_its_line);
    return unit_run(tc);
}
