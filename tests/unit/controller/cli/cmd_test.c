/*
 * cmd: argument vectors as people type them, and that the table is whole: every command has
 * examples of itself, no letter means two things.
 */
#include "controller/cli/cmd.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

#define PARSE(args, ...)                                                                           \
    args_parse(args, (int)ARRAY_LEN(((char *const[]){ __VA_ARGS__ })),                             \
               (char *const[]){ __VA_ARGS__ })

static char topic[] = "topic", create[] = "create", orders[] = "orders", dash_p[] = "-p",
            three[] = "3", dash_b[] = "-b", host[] = "h:1", consume[] = "consume";

START_TEST(options_stand_anywhere)
{
    static char joined[] = "--replication-factor=2", short_joined[] = "-cretention.ms=1";
    static char again[] = "--config", second[] = "a=b";
    struct args args;
    int64_t partitions = -1;
    int at = 0;

    ck_assert_int_eq(PARSE(&args, dash_b, host, topic, joined, create, dash_p, three, orders,
                           short_joined, again, second),
                     CLI_OK);
    ck_assert_int_eq(args.cmd->id, CMD_topic_create);
    ck_assert_int_eq(args.operands_len, 1);
    ck_assert_str_eq(args.operands[0], "orders");
    ck_assert(args_number(&args, "partitions", 1, 100, &partitions));
    ck_assert_int_eq(partitions, 3);
    ck_assert_str_eq(args_text(&args, "replication-factor", NULL), "2");
    ck_assert_str_eq(args_text(&args, "bootstrap-server", NULL), "h:1");
    ck_assert_str_eq(args_next(&args, "config", &at), "retention.ms=1");
    ck_assert_str_eq(args_next(&args, "config", &at), "a=b");
    ck_assert_ptr_null(args_next(&args, "config", &at));
    args_fini(&args);
}
END_TEST

START_TEST(a_value_may_begin_with_a_dash)
{
    static char offset[] = "-o", last[] = "-5", end[] = "--", strange[] = "-x";
    struct args args;

    ck_assert_int_eq(PARSE(&args, consume, offset, last, end, strange), CLI_OK);
    ck_assert_str_eq(args_text(&args, "offset", NULL), "-5");
    ck_assert_str_eq(args.operands[0], "-x");
    args_fini(&args);
}
END_TEST

START_TEST(what_cannot_be_used_is_refused)
{
    static char unknown[] = "--partition", acks[] = "--acks", two[] = "2", produce[] = "produce";
    static char craete[] = "craete", json[] = "--json=1";
    struct args args;
    int64_t partitions;

    ck_assert_int_eq(PARSE(&args, topic, create, orders, unknown, three), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, create), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, create, orders, three), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, create, orders, dash_p), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, create, orders, json), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, produce, acks, two), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, craete), CLI_USAGE);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, topic, create, orders, dash_p, orders), CLI_OK);
    ck_assert(!args_number(&args, "partitions", 1, 100, &partitions));
    args_fini(&args);
}
END_TEST

START_TEST(likely_words_are_suggested)
{
    ck_assert_str_eq(cmd_suggest("topic", "craete"), "create");
    ck_assert_str_eq(cmd_suggest("topic", "lst"), "list");
    ck_assert_str_eq(cmd_suggest(NULL, "topics"), "topic");
    ck_assert_str_eq(cmd_suggest(NULL, "prodcue"), "produce");
    ck_assert_ptr_null(cmd_suggest(NULL, "zzzzzz"));
}
END_TEST

START_TEST(a_command_may_have_three_words)
{
    static char group[] = "group", offsets[] = "offsets", get[] = "get", delete[] = "delete";
    struct args args;

    ck_assert_int_eq(PARSE(&args, group, dash_b, host, offsets, get, orders), CLI_OK);
    ck_assert_int_eq(args.cmd->id, CMD_group_offsets_get);
    ck_assert_str_eq(args.operands[0], "orders");
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, group, delete, offsets, get), CLI_OK);
    ck_assert_int_eq(args.cmd->id, CMD_group_delete);
    ck_assert_int_eq(args.operands_len, 2);
    args_fini(&args);
    ck_assert_int_eq(PARSE(&args, group, offsets), CLI_USAGE);
    args_fini(&args);
    ck_assert(cmd_is_noun("group") && cmd_is_noun("group offsets"));
    ck_assert(!cmd_is_noun("group offsets get") && !cmd_is_noun("grou"));
    ck_assert_str_eq(cmd_suggest("group offsets", "rest"), "reset");
    ck_assert_str_eq(cmd_suggest("group", "offset"), "offsets");
}
END_TEST

START_TEST(distance_counts_typing_errors)
{
    ck_assert_int_eq(text_distance("create", "create"), 0);
    ck_assert_int_eq(text_distance("craete", "create"), 1);
    ck_assert_int_eq(text_distance("crete", "create"), 1);
    ck_assert_int_eq(text_distance("creatte", "create"), 1);
    ck_assert_int_eq(text_distance("kreate", "create"), 1);
    ck_assert_int_eq(text_distance("", "list"), 4);
}
END_TEST

START_TEST(every_command_begins_with_an_example_of_itself)
{
    for (int i = 0; i < CMDS; i++) {
        char start[64];

        snprintf(start, sizeof start, "moldau %s", cmds[i].words);
        ck_assert_msg(strstr(cmds[i].examples, start) != NULL, "%s", cmds[i].words);
        ck_assert_int_eq(cmds[i].examples[strlen(cmds[i].examples) - 1], '\n');
        ck_assert_int_eq(cmds[i].id, i);
    }
}
END_TEST

START_TEST(no_option_means_two_things)
{
    for (int i = 0; i < opts_len; i++) {
        for (int j = 0; j < i; j++) {
            if (opts[i].cmd != opts[j].cmd)
                continue;
            ck_assert_str_ne(opts[i].name, opts[j].name);
            ck_assert_msg(opts[i].letter == 0 || opts[i].letter != opts[j].letter, "%s %s",
                          opts[i].name, opts[j].name);
        }
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("cmd");

    tcase_add_test(tc, options_stand_anywhere);
    tcase_add_test(tc, a_value_may_begin_with_a_dash);
    tcase_add_test(tc, what_cannot_be_used_is_refused);
    tcase_add_test(tc, likely_words_are_suggested);
    tcase_add_test(tc, a_command_may_have_three_words);
    tcase_add_test(tc, distance_counts_typing_errors);
    tcase_add_test(tc, every_command_begins_with_an_example_of_itself);
    tcase_add_test(tc, no_option_means_two_things);
    return unit_run(tc);
}
