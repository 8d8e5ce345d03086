/* moves_file: Kafka's JSON of reassignments, as its own tool wrote it and as people get it wrong.
 */
#include "controller/cli/moves_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, SIZE_MAX);
}

static void teardown(void)
{
    arena_fini(&arena);
}

static bool read_it(const char *text, struct moves_line **lines, int *n, const char **why)
{
    return moves_file_read(&arena, text, strlen(text), lines, n, why);
}

START_TEST(what_was_written_is_read)
{
    static const char text[] =
        "{\"version\":1,\"partitions\":[{\"topic\":\"ep2\",\"partition\":0,\"replicas\":[2,3],"
        "\"log_dirs\":[\"any\",\"any\"]},{\"topic\":\"reasg\",\"partition\":12,\"replicas\":[3],"
        "\"log_dirs\":[\"/data/b\"]}]}";
    struct moves_line *lines;
    const char *why;
    char *out;
    size_t len;
    int n;

    ck_assert(read_it(text, &lines, &n, &why));
    ck_assert_int_eq(n, 2);
    ck_assert(str_is(lines[0].topic, "ep2"));
    ck_assert_uint_eq(lines[0].replicas.n, 2);
    ck_assert_int_eq(lines[0].replicas.at[1], 3);
    ck_assert_ptr_null(lines[0].dirs); /* any of them */
    ck_assert_int_eq(lines[1].partition, 12);
    ck_assert(str_is(lines[1].dirs[0], "/data/b"));

    FILE *file = open_memstream(&out, &len);
    moves_file_write(file, lines, n);
    fclose(file);
    ck_assert_str_eq(out, text);
    free(out);
}
END_TEST

START_TEST(what_is_wrong_is_told)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "not json", "line 1, column 3: '[' or '{' expected near 'not'" },
        { "{}", "it has no list named partitions" },
        { "[]", "it has no list named partitions" },
        { "{\"version\":2,\"partitions\":[]}", "its version is not 1" },
        { "{\"partitions\":[{\"partition\":0,\"replicas\":[1]}]}", "an entry has no topic" },
        { "{\"partitions\":[{\"topic\":\"a\",\"replicas\":[1]}]}", "an entry has no partition" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":-1,\"replicas\":[1]}]}",
          "an entry has no partition" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":0}]}",
          "a partition has no list of replicas" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[]}]}",
          "a partition has no list of replicas" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[\"1\"]}]}",
          "a replica is no broker id" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[1,1]}]}",
          "a partition names a broker twice" },
        { "{\"partitions\":[{\"topic\":\"a\",\"partition\":0,\"replicas\":[1],\"log_dirs\":[]}]}",
          "log_dirs has not as many entries as replicas" },
    };
    struct moves_line *lines;
    const char *why;
    int n;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        ck_assert_msg(!read_it(wrong[i].text, &lines, &n, &why), "%s", wrong[i].text);
        ck_assert_str_eq(why, wrong[i].why);
    }
}
END_TEST

START_TEST(other_lists_of_its_tools)
{
    static const char topics[] = "{\"topics\":[{\"topic\":\"a\"},{\"topic\":\"b\"}],\"version\":1}";
    static const char parts[] = "{\"partitions\":[{\"topic\":\"a\",\"partition\":3}]}";
    struct moves_line *lines;
    struct str *names;
    const char *why;
    int n;

    ck_assert(moves_file_read_topics(&arena, topics, strlen(topics), &names, &n, &why));
    ck_assert_int_eq(n, 2);
    ck_assert(str_is(names[1], "b"));
    ck_assert(moves_file_read_parts(&arena, parts, strlen(parts), &lines, &n, &why));
    ck_assert_int_eq(n, 1);
    ck_assert_int_eq(lines[0].partition, 3);
    ck_assert(!moves_file_read_topics(&arena, parts, strlen(parts), &names, &n, &why));
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("moves_file");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, what_was_written_is_read);
    tcase_add_test(tc, what_is_wrong_is_told);
    tcase_add_test(tc, other_lists_of_its_tools);
    return unit_run(tc);
}
