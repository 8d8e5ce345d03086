/*
 * join_core: how a group comes together, generation by generation: who is asked, who is answered
 * what, who is fenced, what each time-out does. The answers are those of Kafka 3.9's
 * GroupCoordinator.
 */
#include "broker/group/group_core.h"

#include <check.h>
#include <stdio.h>

#include "tests/kit/group_kit.h"
#include "tests/kit/unit.h"

static struct group_kit kit;

static void setup(void)
{
    group_kit_init(&kit);
}

static void teardown(void)
{
    group_kit_fini(&kit);
}

static struct kit_call *call(int i)
{
    return &kit.calls[i];
}

static int join(struct kit_join how)
{
    return group_kit_join(&kit, &how);
}

#define JOIN(...) join((struct kit_join){ __VA_ARGS__ })
#define ANSWERED(i, code)                                                                          \
    do {                                                                                           \
        ck_assert(call(i)->answered);                                                              \
        ck_assert_int_eq(call(i)->err, code);                                                      \
    } while (0)
#define WAITS(i)    ck_assert(!call(i)->answered)
#define STATE(what) ck_assert_int_eq(group_state(kit.group), what)

START_TEST(a_group_of_one_goes_from_empty_to_stable)
{
    int j = JOIN(.client = "app");

    ANSWERED(j, ERR_OK);
    ck_assert_str_eq(call(j)->member, "app-u0");
    ck_assert_str_eq(call(j)->leader, "app-u0");
    ck_assert_str_eq(call(j)->protocol, "range");
    ck_assert_int_eq(call(j)->generation, 1);
    ck_assert_uint_eq(call(j)->members_len, 1);
    STATE(GROUP_COMPLETING);
    int s = group_kit_sync(&kit, "app-u0", 1, "app-u0=mine");
    WAITS(s); /* until it is stored */
    group_kit_stored(&kit, ERR_OK);
    ANSWERED(s, ERR_OK);
    ck_assert_str_eq(call(s)->assignment, "mine");
    STATE(GROUP_STABLE);
    ck_assert_int_eq(group_kit_heartbeat(&kit, "app-u0", 1), ERR_OK);
}
END_TEST

START_TEST(a_dynamic_member_first_learns_its_id)
{
    int j = JOIN(.need_id = true);

    ANSWERED(j, ERR_MEMBER_ID_REQUIRED);
    ck_assert_str_eq(call(j)->member, "c-u0");
    ck_assert_int_eq(call(j)->generation, -1);
    STATE(GROUP_EMPTY);
    int again = JOIN(.member = "c-u0", .need_id = true);
    ANSWERED(again, ERR_OK);
    ck_assert_str_eq(call(again)->member, "c-u0");
    /* an id is good for a session only */
    int late = JOIN(.need_id = true);
    ANSWERED(late, ERR_MEMBER_ID_REQUIRED);
    group_kit_pass(&kit, 10000);
    int too_late = JOIN(.member = "c-u2", .need_id = true);
    ANSWERED(too_late, ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

static int ask_for_ids(int n)
{
    int last = -1;

    for (int i = 0; i < n; i++) {
        kit.calls_len = 0; /* they are answered, and the kit keeps so many calls only */
        last = JOIN(.need_id = true);
        ANSWERED(last, ERR_MEMBER_ID_REQUIRED);
    }
    return last;
}

START_TEST(of_too_many_ids_those_handed_out_first_go)
{
    ask_for_ids(GROUP_PENDING_MAX);
    ck_assert_int_eq(group_kit_leave(&kit, "c-u0", NULL), ERR_OK); /* there is room for one again */
    int last = ask_for_ids(2);
    int first = JOIN(.member = "c-u1", .need_id = true);
    ANSWERED(first, ERR_UNKNOWN_MEMBER_ID); /* on which a client asks for another id */
    int second = JOIN(.member = "c-u2", .need_id = true);
    ANSWERED(second, ERR_OK);
    int newest = JOIN(.member = call(last)->member, .need_id = true);
    WAITS(newest); /* for the other member, and for all who have an id */
    group_kit_pass(&kit, 10000);
    ANSWERED(JOIN(.member = "c-u3", .need_id = true), ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(ids_end_each_in_its_own_time)
{
    JOIN(.need_id = true, .session_ms = 8000);
    JOIN(.need_id = true, .session_ms = 6000);
    JOIN(.need_id = true, .session_ms = 8000);
    JOIN(.need_id = true, .session_ms = 7000);
    group_kit_pass(&kit, 6000);
    ck_assert_int_eq(group_kit_leave(&kit, "c-u1", NULL), ERR_UNKNOWN_MEMBER_ID);
    group_kit_pass(&kit, 1000);
    ck_assert_int_eq(group_kit_leave(&kit, "c-u3", NULL), ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group_kit_leave(&kit, "c-u0", NULL), ERR_OK);
    group_kit_pass(&kit, 1000);
    ck_assert_int_eq(group_kit_leave(&kit, "c-u2", NULL), ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(a_static_member_never_has_to_ask_for_an_id)
{
    int j = JOIN(.instance = "i1", .need_id = true);

    ANSWERED(j, ERR_OK);
    ck_assert_str_eq(call(j)->member, "i1-u0");
}
END_TEST

START_TEST(an_id_that_was_handed_out_holds_the_rebalance_up)
{
    int first = group_kit_make_stable(&kit, 1);
    int pending = JOIN(.need_id = true);
    int leader = JOIN(.member = call(first)->member);

    WAITS(leader);
    int joined = JOIN(.member = call(pending)->member);
    ANSWERED(joined, ERR_OK);
    ANSWERED(leader, ERR_OK);
    ck_assert_uint_eq(call(leader)->members_len, 2);
    ck_assert_uint_eq(call(joined)->members_len, 0);
}
END_TEST

START_TEST(a_pending_member_may_leave)
{
    int first = group_kit_make_stable(&kit, 1);
    int pending = JOIN(.need_id = true);
    int leader = JOIN(.member = call(first)->member);

    WAITS(leader);
    ck_assert_int_eq(group_kit_leave(&kit, call(pending)->member, NULL), ERR_OK);
    ANSWERED(leader, ERR_OK);
}
END_TEST

START_TEST(the_first_rebalance_waits_for_more_as_long_as_they_come)
{
    kit.conf.initial_delay_ms = 3000;
    int a = JOIN(.client = "a", .rebalance_ms = 8000);
    group_kit_pass(&kit, 2000);
    int b = JOIN(.client = "b", .rebalance_ms = 8000);
    group_kit_pass(&kit, 1500); /* b has prolonged it */
    WAITS(a);
    group_kit_pass(&kit, 1500);
    int c = JOIN(.client = "c", .rebalance_ms = 8000);
    group_kit_pass(&kit, 1000); /* 6 s: c prolongs it too, but the end is at 8 s */
    WAITS(a);
    int d = JOIN(.client = "d", .rebalance_ms = 8000);
    group_kit_pass(&kit, 2000);
    for (int i = a; i <= d; i++)
        ANSWERED(i, ERR_OK);
    ck_assert_int_lt(b, c);
    ck_assert_int_eq(group_generation(kit.group), 1);
}
END_TEST

START_TEST(everybody_must_join_again_when_somebody_comes)
{
    int first = group_kit_make_stable(&kit, 2);
    const char *a = call(first)->member, *b = call(first + 1)->member;
    int newcomer = JOIN(.client = "new");

    STATE(GROUP_PREPARING);
    ck_assert_int_eq(group_kit_heartbeat(&kit, a, 1), ERR_REBALANCE_IN_PROGRESS);
    int ja = JOIN(.member = a), jb = JOIN(.member = b);
    ANSWERED(newcomer, ERR_OK);
    ANSWERED(ja, ERR_OK);
    ANSWERED(jb, ERR_OK);
    ck_assert_int_eq(call(jb)->generation, 2);
    ck_assert_str_eq(call(newcomer)->leader, a); /* the leader stays */
    ck_assert_uint_eq(call(ja)->members_len, 3);
    ck_assert_int_eq(group_kit_heartbeat(&kit, a, 1), ERR_ILLEGAL_GENERATION);
    ck_assert_int_eq(group_kit_heartbeat(&kit, "nobody", 2), ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(who_does_not_join_in_time_is_dropped_and_another_leads)
{
    int first = group_kit_make_stable(&kit, 3);
    const char *leader = call(first)->leader;
    int other = strcmp(call(first)->member, leader) == 0 ? first + 1 : first;
    int j = JOIN(.member = call(other)->member, .metadata = "changed");

    for (int i = 0; i < 6; i++) { /* the two are there, but do not join */
        WAITS(j);
        for (int k = first; k < first + 3; k++)
            if (k != other)
                ck_assert_int_eq(group_kit_heartbeat(&kit, call(k)->member, 1),
                                 ERR_REBALANCE_IN_PROGRESS);
        group_kit_pass(&kit, 9999);
    }
    group_kit_pass(&kit, 10);
    ANSWERED(j, ERR_OK);
    ck_assert_str_eq(call(j)->leader, call(other)->member);
    ck_assert_uint_eq(group_size(kit.group), 1);
}
END_TEST

START_TEST(sessions_end_and_the_rest_goes_on)
{
    int first = group_kit_make_stable(&kit, 2);
    const char *a = call(first)->member, *b = call(first + 1)->member;

    group_kit_pass(&kit, 9000);
    ck_assert_int_eq(group_kit_heartbeat(&kit, a, 1), ERR_OK);
    group_kit_pass(&kit, 2000);
    STATE(GROUP_PREPARING);
    ck_assert_int_eq(group_kit_heartbeat(&kit, b, 1), ERR_UNKNOWN_MEMBER_ID);
    int j = JOIN(.member = a);
    ANSWERED(j, ERR_OK);
    ck_assert_uint_eq(call(j)->members_len, 1);
    ck_assert_int_eq(call(j)->generation, 2);
}
END_TEST

START_TEST(the_last_to_go_leaves_an_empty_group_with_a_record)
{
    int first = group_kit_make_stable(&kit, 1);
    int stores = kit.stores;

    ck_assert_int_eq(group_kit_leave(&kit, call(first)->member, NULL), ERR_OK);
    STATE(GROUP_EMPTY);
    ck_assert_int_eq(kit.stores, stores + 1);
    ck_assert_int_eq(group_generation(kit.group), 2);
    ck_assert(str_is_null(group_protocol(kit.group)));
    ck_assert_int_eq(group_kit_leave(&kit, call(first)->member, NULL), ERR_UNKNOWN_MEMBER_ID);
    group_kit_stored(&kit, ERR_COORDINATOR_NOT_AVAILABLE); /* only said */
    STATE(GROUP_EMPTY);
}
END_TEST

START_TEST(a_follower_that_joins_unchanged_is_answered_at_once)
{
    int first = group_kit_make_stable(&kit, 2);
    int follower = strcmp(call(first)->member, call(first)->leader) == 0 ? first + 1 : first;
    int j = JOIN(.member = call(follower)->member);

    ANSWERED(j, ERR_OK);
    ck_assert_int_eq(call(j)->generation, 1);
    ck_assert_uint_eq(call(j)->members_len, 0);
    STATE(GROUP_STABLE);
    int s = group_kit_sync(&kit, call(follower)->member, 1, NULL);
    ANSWERED(s, ERR_OK);
    ck_assert_int_eq(call(s)->assignment[0], 'a');
    int changed = JOIN(.member = call(follower)->member, .metadata = "other");
    WAITS(changed);
    STATE(GROUP_PREPARING);
}
END_TEST

START_TEST(a_leader_that_joins_unchanged_makes_a_rebalance)
{
    int first = group_kit_make_stable(&kit, 2);
    int j = JOIN(.member = call(first)->leader);

    WAITS(j);
    STATE(GROUP_PREPARING);
}
END_TEST

START_TEST(while_completing_an_unchanged_join_gets_the_same_answer)
{
    int first = group_kit_join_all(&kit, 2);
    int j = JOIN(.member = call(first)->leader);

    ANSWERED(j, ERR_OK);
    ck_assert_int_eq(call(j)->generation, 1);
    ck_assert_uint_eq(call(j)->members_len, 2);
    int other = strcmp(call(first)->member, call(first)->leader) == 0 ? first + 1 : first;
    int s = group_kit_sync(&kit, call(other)->member, 1, NULL);
    WAITS(s);
    int changed = JOIN(.member = call(first)->leader, .metadata = "other");
    WAITS(changed);
    ANSWERED(s, ERR_REBALANCE_IN_PROGRESS);
}
END_TEST

START_TEST(protocols_are_voted_for)
{
    kit.conf.initial_delay_ms = 1000;
    JOIN(.client = "a", .protocols = "range,roundrobin");
    JOIN(.client = "b", .protocols = "roundrobin,range");
    JOIN(.client = "c", .protocols = "roundrobin,sticky,range");
    int stranger = JOIN(.client = "d", .protocols = "sticky");
    int none = JOIN(.client = "e", .protocols = ",");
    int type = JOIN(.client = "f", .type = "connect", .protocols = "range");

    ANSWERED(stranger, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ANSWERED(none, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ANSWERED(type, ERR_INCONSISTENT_GROUP_PROTOCOL);
    group_kit_pass(&kit, 2000);
    ck_assert(str_is(group_protocol(kit.group), "roundrobin"));
}
END_TEST

/* What costs time with the square of their number is bounded. */
START_TEST(nobody_knows_more_protocols_than_can_be_voted_for)
{
    char list[8 * (GROUP_PROTOCOLS_MAX + 1)] = "";
    size_t len = 0;

    for (int i = 0; i < GROUP_PROTOCOLS_MAX; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%sp%d", i > 0 ? "," : "", i);
    int first = group_kit_join(&kit, &(struct kit_join){ .protocols = list });
    ck_assert_int_eq(kit.calls[first].err, ERR_OK);
    snprintf(list + len, sizeof list - len, ",more");
    int second = group_kit_join(&kit, &(struct kit_join){ .protocols = list });
    ck_assert_int_eq(kit.calls[second].err, ERR_INCONSISTENT_GROUP_PROTOCOL);
    ck_assert_uint_eq(group_size(kit.group), 1);
}
END_TEST

START_TEST(an_empty_group_takes_any_type_but_none)
{
    int none = JOIN(.type = "");

    ANSWERED(none, ERR_INCONSISTENT_GROUP_PROTOCOL);
    int first = group_kit_make_stable(&kit, 1);
    group_kit_leave(&kit, call(first)->member, NULL);
    int j = JOIN(.type = "connect", .protocols = "v1");
    ANSWERED(j, ERR_OK);
    ck_assert(str_is(group_protocol_type(kit.group), "connect"));
}
END_TEST

START_TEST(a_sync_must_fit_member_generation_and_protocol)
{
    int first = group_kit_join_all(&kit, 1);
    const char *a = call(first)->member;

    ANSWERED(group_kit_sync(&kit, "x", 1, NULL), ERR_UNKNOWN_MEMBER_ID);
    ANSWERED(group_kit_sync(&kit, a, 0, NULL), ERR_ILLEGAL_GENERATION);
    ANSWERED(group_kit_sync_as(&kit, a, NULL, 1, "connect", "range", NULL),
             ERR_INCONSISTENT_GROUP_PROTOCOL);
    ANSWERED(group_kit_sync_as(&kit, a, NULL, 1, "consumer", "sticky", NULL),
             ERR_INCONSISTENT_GROUP_PROTOCOL);
    int s = group_kit_sync_as(&kit, a, NULL, 1, "consumer", "range", NULL);
    WAITS(s);
    group_kit_stored(&kit, ERR_OK);
    ANSWERED(s, ERR_OK);
    ck_assert_str_eq(call(s)->assignment, ""); /* it assigned nothing to itself */
}
END_TEST

START_TEST(an_assignment_that_cannot_be_stored_is_an_error_for_all)
{
    int first = group_kit_join_all(&kit, 2);
    int syncs[2];

    for (int i = 0; i < 2; i++)
        syncs[i] = group_kit_sync(&kit, call(first + i)->member, 1,
                                  strcmp(call(first + i)->member, call(first)->leader) == 0 ? "x=y"
                                                                                            : NULL);
    group_kit_stored(&kit, ERR_NOT_COORDINATOR);
    ANSWERED(syncs[0], ERR_NOT_COORDINATOR);
    ANSWERED(syncs[1], ERR_NOT_COORDINATOR);
    STATE(GROUP_PREPARING);
}
END_TEST

START_TEST(an_assignment_of_an_earlier_generation_comes_to_nothing)
{
    int first = group_kit_join_all(&kit, 2);
    const char *leader = call(first)->leader;
    int s = group_kit_sync(&kit, leader, 1, "x=old");
    uint64_t seq = kit.store_seq;
    int newcomer = JOIN(.client = "n");

    ANSWERED(s, ERR_REBALANCE_IN_PROGRESS);
    for (int i = 0; i < 2; i++)
        JOIN(.member = call(first + i)->member);
    ANSWERED(newcomer, ERR_OK);
    STATE(GROUP_COMPLETING);
    group_kit_stored_seq(&kit, seq, ERR_OK);
    STATE(GROUP_COMPLETING);
    group_kit_stored_seq(&kit, seq, ERR_NOT_COORDINATOR);
    STATE(GROUP_COMPLETING);
}
END_TEST

START_TEST(of_two_assignments_of_a_leader_the_later_counts)
{
    int first = group_kit_join_all(&kit, 1);
    const char *a = call(first)->member;
    char one[160], two[160];

    snprintf(one, sizeof one, "%s=one", a);
    snprintf(two, sizeof two, "%s=two", a);
    int s1 = group_kit_sync(&kit, a, 1, one);
    uint64_t seq1 = kit.store_seq;
    int s2 = group_kit_sync(&kit, a, 1, two);
    uint64_t seq2 = kit.store_seq;
    ANSWERED(s1, ERR_REBALANCE_IN_PROGRESS); /* its place was taken */
    group_kit_stored_seq(&kit, seq1, ERR_OK);
    WAITS(s2);
    group_kit_stored_seq(&kit, seq2, ERR_OK);
    ANSWERED(s2, ERR_OK);
    ck_assert_str_eq(call(s2)->assignment, "two");
}
END_TEST

START_TEST(who_joins_and_does_not_sync_is_dropped)
{
    int first = group_kit_join_all(&kit, 2);
    const char *leader = call(first)->leader;
    int other = strcmp(call(first)->member, leader) == 0 ? first + 1 : first;
    int s = group_kit_sync(&kit, leader, 1, NULL);

    group_kit_stored(&kit, ERR_OK);
    ANSWERED(s, ERR_OK);
    for (int i = 0; i < 6; i++) {
        STATE(GROUP_STABLE);
        group_kit_heartbeat(&kit, leader, 1);
        group_kit_heartbeat(&kit, call(other)->member, 1);
        group_kit_pass(&kit, 9999);
    }
    group_kit_heartbeat(&kit, leader, 1);
    group_kit_pass(&kit, 10);
    STATE(GROUP_PREPARING);
    ck_assert_int_eq(group_kit_heartbeat(&kit, call(other)->member, 1), ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

START_TEST(a_leader_that_dies_before_its_sync_does_not_hold_the_group_up)
{
    int first = group_kit_join_all(&kit, 2);
    const char *leader = call(first)->leader;
    int other = strcmp(call(first)->member, leader) == 0 ? first + 1 : first;
    int s = group_kit_sync(&kit, call(other)->member, 1, NULL);

    group_kit_pass(&kit, 10001); /* who waits in sync is excused, the leader is not */
    ANSWERED(s, ERR_REBALANCE_IN_PROGRESS);
    int j = JOIN(.member = call(other)->member);
    ANSWERED(j, ERR_OK);
    ck_assert_str_eq(call(j)->leader, call(other)->member);
}
END_TEST

START_TEST(a_new_member_waits_five_minutes_for_its_first_rebalance)
{
    int first = group_kit_make_stable(&kit, 1);
    const char *a = call(first)->member;
    int leader = JOIN(.member = a, .rebalance_ms = 1000000);
    ANSWERED(leader, ERR_OK);
    int n = JOIN(.client = "new", .rebalance_ms = 1000000);

    for (int i = 0; i < 31; i++) {
        group_kit_heartbeat(&kit, a, 2);
        group_kit_pass(&kit, 9999);
    }
    ANSWERED(n, ERR_UNKNOWN_MEMBER_ID);
    ck_assert_uint_eq(group_size(kit.group), 1);
}
END_TEST

START_TEST(a_member_that_waits_in_join_is_excused)
{
    int first = group_kit_make_stable(&kit, 2);
    int j = JOIN(.member = call(first)->member, .metadata = "x");

    for (int i = 0; i < 3; i++) {
        group_kit_pass(&kit, 9000);
        group_kit_heartbeat(&kit, call(first + 1)->member, 1);
    }
    WAITS(j);
    int other = JOIN(.member = call(first + 1)->member);
    ANSWERED(j, ERR_OK);
    ANSWERED(other, ERR_OK);
}
END_TEST

START_TEST(the_size_of_a_group_is_bounded)
{
    kit.conf.size_max = 2;
    int first = group_kit_make_stable(&kit, 2);
    int third = JOIN(.client = "third");

    ANSWERED(third, ERR_GROUP_MAX_SIZE_REACHED);
    ck_assert_str_eq(call(third)->member, "");
    STATE(GROUP_STABLE);
    /* lowered: the last to join again has to go */
    kit.conf.size_max = 1;
    int a = JOIN(.member = call(first)->leader);
    WAITS(a);
    int other = strcmp(call(first)->member, call(first)->leader) == 0 ? first + 1 : first;
    int b = JOIN(.member = call(other)->member);
    ANSWERED(b, ERR_GROUP_MAX_SIZE_REACHED);
    ANSWERED(a, ERR_OK);
    ck_assert_uint_eq(group_size(kit.group), 1);
}
END_TEST

START_TEST(a_static_member_comes_back_without_a_rebalance)
{
    int j = JOIN(.instance = "i1");
    int s = group_kit_sync(&kit, "i1-u0", 1, "i1-u0=mine");

    group_kit_stored(&kit, ERR_OK);
    ANSWERED(j, ERR_OK);
    ANSWERED(s, ERR_OK);
    int back = JOIN(.instance = "i1", .can_skip = true);
    WAITS(back); /* the new id is stored first */
    group_kit_stored(&kit, ERR_OK);
    ANSWERED(back, ERR_OK);
    ck_assert_str_eq(call(back)->member, "i1-u1");
    ck_assert_str_eq(call(back)->leader, "i1-u1");
    ck_assert(call(back)->skip);
    ck_assert_uint_eq(call(back)->members_len, 1);
    ck_assert_int_eq(call(back)->generation, 1);
    STATE(GROUP_STABLE);
    int sync = group_kit_sync_as(&kit, "i1-u1", "i1", 1, NULL, NULL, NULL);
    ANSWERED(sync, ERR_OK);
    ck_assert_str_eq(call(sync)->assignment, "mine");
    ck_assert_int_eq(group_heartbeat(kit.group, 1, STR("i1-u0"), STR("i1"), kit.now_ms),
                     ERR_FENCED_INSTANCE_ID);
    ck_assert_int_eq(group_heartbeat(kit.group, 1, STR("i1-u1"), STR("i2"), kit.now_ms),
                     ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group_heartbeat(kit.group, 1, STR("i1-u1"), STR("i1"), kit.now_ms), ERR_OK);
}
END_TEST

START_TEST(an_old_client_is_not_told_that_it_leads_again)
{
    JOIN(.instance = "i1");
    group_kit_sync(&kit, "i1-u0", 1, NULL);
    group_kit_stored(&kit, ERR_OK);
    int back = JOIN(.instance = "i1");
    group_kit_stored(&kit, ERR_OK);
    ck_assert_str_eq(call(back)->leader, "i1-u0");
    ck_assert(!call(back)->skip);
    ck_assert_uint_eq(call(back)->members_len, 0);
}
END_TEST

START_TEST(a_new_id_that_cannot_be_stored_is_taken_back)
{
    JOIN(.instance = "i1");
    group_kit_sync(&kit, "i1-u0", 1, NULL);
    group_kit_stored(&kit, ERR_OK);
    int back = JOIN(.instance = "i1");
    group_kit_stored(&kit, ERR_NOT_COORDINATOR);
    ANSWERED(back, ERR_NOT_COORDINATOR);
    ck_assert_int_eq(group_heartbeat(kit.group, 1, STR("i1-u0"), STR("i1"), kit.now_ms), ERR_OK);
}
END_TEST

START_TEST(the_same_instance_twice_fences_the_first)
{
    kit.conf.initial_delay_ms = 3000;
    int a = JOIN(.instance = "i1");
    int b = JOIN(.instance = "i1");

    ANSWERED(a, ERR_FENCED_INSTANCE_ID);
    WAITS(b);
    group_kit_pass(&kit, 6000);
    ANSWERED(b, ERR_OK);
    int stale = JOIN(.member = "i1-u0", .instance = "i1");
    ANSWERED(stale, ERR_FENCED_INSTANCE_ID);
    /* while completing, the leader may have assigned to the old id: once more */
    int s = group_kit_sync_as(&kit, "i1-u1", "i1", 1, NULL, NULL, NULL);
    int c = JOIN(.instance = "i1");
    ANSWERED(s, ERR_FENCED_INSTANCE_ID);
    ANSWERED(c, ERR_OK);
    ck_assert_int_eq(call(c)->generation, 2);
}
END_TEST

START_TEST(static_members_outlive_a_rebalance_until_their_session_ends)
{
    kit.conf.initial_delay_ms = 1000;
    JOIN(.instance = "i1", .session_ms = 100000, .rebalance_ms = 10000);
    JOIN(.instance = "i2", .session_ms = 100000, .rebalance_ms = 10000);
    kit.conf.initial_delay_ms = 0;
    group_kit_pass(&kit, 10000);
    group_kit_sync_as(&kit, "i1-u0", "i1", 1, NULL, NULL, NULL);
    group_kit_sync_as(&kit, "i2-u1", "i2", 1, NULL, NULL, NULL);
    group_kit_stored(&kit, ERR_OK);
    int again = JOIN(.member = "i2-u1", .instance = "i2", .metadata = "x", .session_ms = 100000,
                     .rebalance_ms = 10000);
    WAITS(again);
    group_kit_pass(&kit, 10000);
    ANSWERED(again, ERR_OK);
    ck_assert_uint_eq(group_size(kit.group), 2); /* i1 did not join, and stays */
    ck_assert_str_eq(call(again)->leader, "i2-u1");
}
END_TEST

START_TEST(an_operator_removes_a_static_member_by_its_instance)
{
    JOIN(.instance = "i1");
    ck_assert_int_eq(group_kit_leave(&kit, "", "i2"), ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group_kit_leave(&kit, "other", "i1"), ERR_FENCED_INSTANCE_ID);
    ck_assert_int_eq(group_kit_leave(&kit, "", NULL), ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(group_kit_leave(&kit, "", "i1"), ERR_OK);
    STATE(GROUP_EMPTY);
}
END_TEST

START_TEST(when_the_coordinator_moves_everybody_who_waits_is_told)
{
    int first = group_kit_make_stable(&kit, 2);
    int j = JOIN(.member = call(first)->member, .metadata = "x");

    group_kit_close(&kit);
    ANSWERED(j, ERR_NOT_COORDINATOR);
    STATE(GROUP_DEAD);
    ck_assert_int_eq(group_wake_ms(kit.group), GROUP_NEVER);
    ANSWERED(JOIN(.client = "x"), ERR_COORDINATOR_NOT_AVAILABLE);
    ANSWERED(group_kit_sync(&kit, "x", 1, NULL), ERR_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(group_kit_heartbeat(&kit, "x", 1), ERR_COORDINATOR_NOT_AVAILABLE);
    ck_assert_int_eq(group_kit_leave(&kit, "x", NULL), ERR_COORDINATOR_NOT_AVAILABLE);
}
END_TEST

START_TEST(a_member_that_leaves_while_it_waits_is_answered_all_the_same)
{
    int first = group_kit_join_all(&kit, 2);
    int other = strcmp(call(first)->member, call(first)->leader) == 0 ? first + 1 : first;
    int s = group_kit_sync(&kit, call(other)->member, 1, NULL);

    ck_assert_int_eq(group_kit_leave(&kit, call(other)->member, NULL), ERR_OK);
    ANSWERED(s, ERR_UNKNOWN_MEMBER_ID);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("join_core");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_group_of_one_goes_from_empty_to_stable);
    tcase_add_test(tc, a_dynamic_member_first_learns_its_id);
    tcase_add_test(tc, of_too_many_ids_those_handed_out_first_go);
    tcase_add_test(tc, ids_end_each_in_its_own_time);
    tcase_add_test(tc, a_static_member_never_has_to_ask_for_an_id);
    tcase_add_test(tc, an_id_that_was_handed_out_holds_the_rebalance_up);
    tcase_add_test(tc, a_pending_member_may_leave);
    tcase_add_test(tc, the_first_rebalance_waits_for_more_as_long_as_they_come);
    tcase_add_test(tc, everybody_must_join_again_when_somebody_comes);
    tcase_add_test(tc, who_does_not_join_in_time_is_dropped_and_another_leads);
    tcase_add_test(tc, sessions_end_and_the_rest_goes_on);
    tcase_add_test(tc, the_last_to_go_leaves_an_empty_group_with_a_record);
    tcase_add_test(tc, a_follower_that_joins_unchanged_is_answered_at_once);
    tcase_add_test(tc, a_leader_that_joins_unchanged_makes_a_rebalance);
    tcase_add_test(tc, while_completing_an_unchanged_join_gets_the_same_answer);
    tcase_add_test(tc, protocols_are_voted_for);
    tcase_add_test(tc, nobody_knows_more_protocols_than_can_be_voted_for);
    tcase_add_test(tc, an_empty_group_takes_any_type_but_none);
    tcase_add_test(tc, a_sync_must_fit_member_generation_and_protocol);
    tcase_add_test(tc, an_assignment_that_cannot_be_stored_is_an_error_for_all);
    tcase_add_test(tc, an_assignment_of_an_earlier_generation_comes_to_nothing);
    tcase_add_test(tc, of_two_assignments_of_a_leader_the_later_counts);
    tcase_add_test(tc, who_joins_and_does_not_sync_is_dropped);
    tcase_add_test(tc, a_leader_that_dies_before_its_sync_does_not_hold_the_group_up);
    tcase_add_test(tc, a_new_member_waits_five_minutes_for_its_first_rebalance);
    tcase_add_test(tc, a_member_that_waits_in_join_is_excused);
    tcase_add_test(tc, the_size_of_a_group_is_bounded);
    tcase_add_test(tc, a_static_member_comes_back_without_a_rebalance);
    tcase_add_test(tc, an_old_client_is_not_told_that_it_leads_again);
    tcase_add_test(tc, a_new_id_that_cannot_be_stored_is_taken_back);
    tcase_add_test(tc, the_same_instance_twice_fences_the_first);
    tcase_add_test(tc, static_members_outlive_a_rebalance_until_their_session_ends);
    tcase_add_test(tc, an_operator_removes_a_static_member_by_its_instance);
    tcase_add_test(tc, when_the_coordinator_moves_everybody_who_waits_is_told);
    tcase_add_test(tc, a_member_that_leaves_while_it_waits_is_answered_all_the_same);
    return unit_run(tc);
}
