/*
 * kafka_groups: what Kafka 3.9's tool printed of two members that read two topics, byte for byte.
 */
#include "controller/cli/kafka_groups.h"

#include <check.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/wire/prim.h"
#include "tests/kit/unit.h"

#define FIRST  "member-1-69450ffe-7325-416c-b5b3-cdefebc5026a"
#define SECOND "member-2-7a0e0dd1-5189-4a13-b0a9-b6691419b88d"

static struct arena arena;
static struct describe_groups_response_member members[2];
static struct describe_groups_response_group group;
static struct group_view view;

/* plain: two partitions from first on; none: partition 0 of g-java-none besides. */
static struct wire_bytes assigned(int32_t first, bool none)
{
    uint8_t *bytes = arena_zalloc(&arena, 1, 200);
    struct wire_out out = wire_out_of(bytes, 200);

    wire_put_i16(&out, 1);
    wire_put_i32(&out, none ? 2 : 1);
    wire_put_str(&out, STR("plain"), false, false);
    wire_put_i32(&out, 2);
    wire_put_i32(&out, first);
    wire_put_i32(&out, first + 1);
    if (none) {
        wire_put_str(&out, STR("g-java-none"), false, false);
        wire_put_i32(&out, 1);
        wire_put_i32(&out, 0);
    }
    wire_put_i32(&out, -1);
    return (struct wire_bytes){ .data = bytes, .len = (int32_t)out.pos };
}

static void known(const char *topic, int32_t partition, int64_t committed, int64_t end)
{
    struct group_part *part = group_part(&view, str_of(topic), partition);

    part->at.committed = committed;
    part->at.end = end;
}

static void set_up(void)
{
    arena_init(&arena, SIZE_MAX);
    members[0] =
        (struct describe_groups_response_member){ .member_id = STR(SECOND),
                                                  .client_id = STR("member-2"),
                                                  .client_host = STR("/127.0.0.1"),
                                                  .member_assignment = assigned(2, false) };
    members[1] = (struct describe_groups_response_member){ .member_id = STR(FIRST),
                                                           .client_id = STR("member-1"),
                                                           .client_host = STR("/127.0.0.1"),
                                                           .member_assignment = assigned(0, true) };
    group = (struct describe_groups_response_group){ .group_state = STR("Stable"),
                                                     .protocol_type = STR("consumer"),
                                                     .protocol_data = STR("range"),
                                                     .members = members,
                                                     .members_len = 2 };
    group_view_init(&view, &arena, "grp-active");
    view.described = &group;
    known("plain", 0, 20, 20);
    known("g-java-none", 0, 40, 40);
    for (int32_t p = 1; p < 4; p++)
        known("plain", p, -1, 0);
}

static void tear_down(void)
{
    arena_fini(&arena);
}

static void check_printed(void (*print)(FILE *out), const char *want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    ck_assert_ptr_nonnull(out);
    print(out);
    fclose(out);
    ck_assert_str_eq(text, want);
    free(text);
}

static void offsets(FILE *out)
{
    kafka_print_offsets(&view, out);
}

#define HEAD_OFFSETS                                                                               \
    "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG           "  \
    "  CONSUMER-ID "
#define OF_FIRST  FIRST " /127.0.0.1      member-1"
#define OF_SECOND SECOND " /127.0.0.1      member-2"

START_TEST(offsets_are_printed_as_kafka_does)
{
    group_add_assigned(&view);
    check_printed(
        offsets, HEAD_OFFSETS
        "                                  HOST            CLIENT-ID"
        "\ngrp-active      plain           1          -               0               -         "
        "      " OF_FIRST
        "\ngrp-active      plain           0          20              20              0         "
        "      " OF_FIRST
        "\ngrp-active      g-java-none     0          40              40              0         "
        "      " OF_FIRST
        "\ngrp-active      plain           3          -               0               -         "
        "      " OF_SECOND
        "\ngrp-active      plain           2          -               0               -         "
        "      " OF_SECOND);
}
END_TEST

START_TEST(offsets_without_members_too)
{
    view.parts_len = 0;
    known("g-java-none", 0, 40, 40);
    for (int32_t p = 0; p < 4; p++)
        known("plain", p, 0, p == 0 ? 20 : 0);
    view.name = "grp-java";
    group.members_len = 0;
    check_printed(
        offsets, HEAD_OFFSETS
        "    HOST            CLIENT-ID"
        "\ngrp-java        plain           3          0               0               0         "
        "      -               -               -"
        "\ngrp-java        plain           2          0               0               0         "
        "      -               -               -"
        "\ngrp-java        plain           1          0               0               0         "
        "      -               -               -"
        "\ngrp-java        plain           0          0               20              20        "
        "      -               -               -"
        "\ngrp-java        g-java-none     0          40              40              0         "
        "      -               -               -");
}
END_TEST

static void verbose_members(FILE *out)
{
    kafka_print_members(&view, true, out);
}

static void plain_members(FILE *out)
{
    kafka_print_members(&view, false, out);
}

static void state(FILE *out)
{
    kafka_print_state(&view, "127.0.0.1:35102  (2)", out);
}

START_TEST(members_are_printed_as_kafka_does)
{
    check_printed(
        verbose_members,
        "\nGROUP           CONSUMER-ID                                   HOST            CLIENT-ID "
        "      #PARTITIONS     ASSIGNMENT\n"
        "grp-active      " SECOND " /127.0.0.1      member-2        2               (2,3)\n"
        "grp-active      " FIRST " /127.0.0.1      member-1        3               (0), (0,1)\n");
    members[1].group_instance_id = STR("inst-a");
    group.members = &members[1];
    group.members_len = 1;
    check_printed(
        plain_members,
        "\nGROUP           CONSUMER-ID                                   GROUP-INSTANCE-ID HOST    "
        "        CLIENT-ID       #PARTITIONS     \n"
        "grp-active      " FIRST
        " inst-a            /127.0.0.1      member-1        3               \n");
    group.members_len = 0;
    check_printed(plain_members, "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID     "
                                 "  #PARTITIONS     \n");
}
END_TEST

START_TEST(states_are_printed_as_kafka_does)
{
    check_printed(state,
                  "\nGROUP                     COORDINATOR (ID)          ASSIGNMENT-STRATEGY  "
                  "STATE           #MEMBERS\n"
                  "grp-active                127.0.0.1:35102  (2)      range                "
                  "Stable          2\n");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("kafka_groups");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, offsets_are_printed_as_kafka_does);
    tcase_add_test(tc, offsets_without_members_too);
    tcase_add_test(tc, members_are_printed_as_kafka_does);
    tcase_add_test(tc, states_are_printed_as_kafka_does);
    return unit_run(tc);
}
