/*
 * group: what a file of offsets says about the parts of a view, and what one view learns from
 * another. What is asked of brokers is shown by tests/cluster.
 */
#include "controller/cli/group.h"

#include <check.h>
#include <string.h>

#include "tests/kit/unit.h" /* unit_run */

static struct arena arena;
static struct group_view view;

static void a_group(void)
{
    arena_init(&arena, SIZE_MAX);
    group_view_init(&view, &arena, "g");
}

static void teardown(void)
{
    arena_fini(&arena);
}

static int read_text(const char *text, bool comments, struct str *bad)
{
    char bytes[256];
    FILE *file;
    int number;

    snprintf(bytes, sizeof bytes, "%s", text);
    file = fmemopen(bytes, strlen(bytes), "r");
    ck_assert_ptr_nonnull(file);
    number = group_read_offsets(&view, file, comments, bad);
    fclose(file);
    return number;
}

START_TEST(a_file_says_where_parts_are_to_stand)
{
    struct str bad;

    ck_assert_int_eq(read_text("t,0,7\n\n  \"t,u\",3,8  \ng,t,1,9\nother,t,2,5\n", true, &bad), 0);
    ck_assert_int_eq(view.parts_len, 3); /* nothing of the other group */
    ck_assert_int_eq(group_part(&view, STR("t"), 0)->at.at_time, 7);
    ck_assert_int_eq(group_part(&view, STR("t,u"), 3)->at.at_time, 8);
    ck_assert_int_eq(group_part(&view, STR("t"), 1)->at.at_time, 9);
    ck_assert_int_eq(view.parts_len, 3);
}
END_TEST

START_TEST(the_first_line_that_is_no_offset_ends_it)
{
    struct str bad;

    ck_assert_int_eq(read_text("t,0,7\n\n  nonsense \nt,1,8\n", true, &bad), 3);
    ck_assert(str_is(bad, "nonsense"));
    ck_assert_int_eq(view.parts_len, 1);
}
END_TEST

START_TEST(comments_are_ours_and_not_kafkas)
{
    struct str bad;

    ck_assert_int_eq(read_text("# of tonight\nt,0,7\n", true, &bad), 0);
    ck_assert_int_eq(view.parts_len, 1);
    ck_assert_int_eq(read_text("# of tonight\nt,0,7\n", false, &bad), 1);
    ck_assert(str_is(bad, "# of tonight"));
}
END_TEST

START_TEST(a_view_learns_what_is_committed)
{
    struct group_view committed;

    group_view_init(&committed, &arena, "g");
    group_part(&committed, STR("t"), 0)->at.committed = 10;
    group_part(&committed, STR("t"), 1)->at.committed = 11;
    (void)group_part(&view, STR("t"), 1);
    (void)group_part(&view, STR("u"), 1);
    group_take_committed(&view, &committed, false);
    ck_assert_int_eq(view.parts_len, 2);
    ck_assert_int_eq(group_part(&view, STR("t"), 1)->at.committed, 11);
    ck_assert_int_eq(group_part(&view, STR("u"), 1)->at.committed, -1);
    group_take_committed(&view, &committed, true);
    ck_assert_int_eq(view.parts_len, 3);
    ck_assert_int_eq(group_part(&view, STR("t"), 0)->at.committed, 10);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group");

    tcase_add_checked_fixture(tc, a_group, teardown);
    tcase_add_test(tc, a_file_says_where_parts_are_to_stand);
    tcase_add_test(tc, the_first_line_that_is_no_offset_ends_it);
    tcase_add_test(tc, comments_are_ours_and_not_kafkas);
    tcase_add_test(tc, a_view_learns_what_is_committed);
    return unit_run(tc);
}
