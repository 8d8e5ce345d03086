/*
 * offsets_core: who may commit when, what is seen of a commit before and after it is stored, which
 * of several counts, what transactions keep back, and what expires (KIP-211).
 */
#include "broker/group/offsets_core.h"

#include <check.h>
#include <stdlib.h>

#include "tests/kit/group_kit.h"
#include "tests/kit/unit.h"

#define DAY_MS 86400000LL

static struct group_kit kit;
static struct arena arena;
static struct offsets_gone gone;

static void setup(void)
{
    group_kit_init(&kit);
    arena_init(&arena, SIZE_MAX);
    gone = (struct offsets_gone){ .arena = &arena };
}

static void teardown(void)
{
    free(gone.items);
    arena_fini(&arena);
    group_kit_fini(&kit);
}

static struct offset_item item(const char *topic, int32_t partition, int64_t offset)
{
    return (struct offset_item){ .topic = str_of(topic),
                                 .partition = partition,
                                 .value = { .offset = offset,
                                            .leader_epoch = 7,
                                            .metadata = STR("m"),
                                            .commit_ms = kit.wall_ms,
                                            .expire_ms = -1 } };
}

static void commit_at(const char *topic, int32_t partition, int64_t offset, int64_t at)
{
    struct offset_item one = item(topic, partition, offset);

    offsets_begin(kit.group, &one, 1);
    offsets_end(kit.group, &one, 1, ERR_OK, at);
}

/* -1: none; -2: unstable. */
static int64_t see(const char *topic, int32_t partition, bool stable)
{
    struct offset_value value;
    bool unstable;
    bool found = offsets_get(kit.group, str_of(topic), partition, &value, &unstable);

    if (stable && unstable)
        return -2;
    return found ? value.offset : -1;
}

static enum err check(int32_t generation, const char *member)
{
    return offsets_check(kit.group, generation, str_of(member), STR_NULL, false, kit.now_ms);
}

START_TEST(a_commit_is_seen_once_it_is_stored)
{
    struct offset_item items[2] = { item("t", 0, 10), item("t", 1, 20) };

    offsets_begin(kit.group, items, 2);
    ck_assert_int_eq(see("t", 0, false), -1);
    ck_assert_int_eq(see("t", 0, true), -2);
    ck_assert(!offsets_is_bare(kit.group));
    offsets_end(kit.group, items, 2, ERR_OK, 100);
    ck_assert_int_eq(see("t", 0, true), 10);
    ck_assert_int_eq(see("t", 1, true), 20);
    ck_assert_uint_eq(offsets_count(kit.group), 2);
}
END_TEST

START_TEST(a_commit_that_fails_leaves_what_was_there)
{
    commit_at("t", 0, 5, 1);
    struct offset_item items[2] = { item("t", 0, 10), item("u", 0, 1) };

    offsets_begin(kit.group, items, 2);
    offsets_end(kit.group, items, 2, ERR_REQUEST_TIMED_OUT, -1);
    ck_assert_int_eq(see("t", 0, true), 5);
    ck_assert_int_eq(see("u", 0, true), -1);
    ck_assert_uint_eq(offsets_count(kit.group), 1);
}
END_TEST

START_TEST(the_one_further_down_the_log_counts)
{
    struct offset_item first = item("t", 0, 10), second = item("t", 0, 3);

    offsets_begin(kit.group, &first, 1);
    offsets_begin(kit.group, &second, 1);
    offsets_end(kit.group, &second, 1, ERR_OK, 101); /* heard of first, written later */
    ck_assert_int_eq(see("t", 0, true), -2);
    offsets_end(kit.group, &first, 1, ERR_OK, 100);
    ck_assert_int_eq(see("t", 0, true), 3); /* going back is allowed */
}
END_TEST

START_TEST(items_with_an_error_of_their_own_are_left_out)
{
    struct offset_item items[3] = { item("t", 0, 1), item("t", 1, 2), item("t", 2, 3) };

    items[1].err = ERR_OFFSET_METADATA_TOO_LARGE;
    offsets_begin(kit.group, items, 3);
    offsets_end(kit.group, items, 3, ERR_OK, 50);
    ck_assert_int_eq(see("t", 0, true), 1);
    ck_assert_int_eq(see("t", 1, true), -1);
    ck_assert_int_eq(see("t", 2, true), 3);
}
END_TEST

START_TEST(what_is_deleted_while_a_commit_is_on_its_way_stays_deleted)
{
    struct offset_item one = item("t", 0, 10);

    offsets_begin(kit.group, &one, 1);
    offsets_remove_topic(kit.group, STR("t"), INT64_MAX, &gone);
    ck_assert_uint_eq(gone.len, 0); /* nothing of it was in the log */
    struct offset_item again = item("t", 0, 20);
    offsets_begin(kit.group, &again, 1);
    offsets_end(kit.group, &one, 1, ERR_OK, 100);
    ck_assert_int_eq(see("t", 0, false), -1);
    offsets_end(kit.group, &again, 1, ERR_OK, 101);
    ck_assert_int_eq(see("t", 0, true), 20);
}
END_TEST

START_TEST(only_members_of_the_generation_commit_to_a_group_that_has_some)
{
    ck_assert_int_eq(check(-1, ""), ERR_OK); /* nobody there: a simple consumer */
    ck_assert_int_eq(check(3, "x"), ERR_UNKNOWN_MEMBER_ID);
    int first = group_kit_join_all(&kit, 1);
    const char *member = kit.calls[first].member;

    ck_assert_int_eq(check(1, member), ERR_REBALANCE_IN_PROGRESS); /* completing */
    group_kit_sync(&kit, member, 1, NULL);
    group_kit_stored(&kit, ERR_OK);
    ck_assert_int_eq(check(1, member), ERR_OK);
    ck_assert_int_eq(check(0, member), ERR_ILLEGAL_GENERATION);
    ck_assert_int_eq(check(1, "x"), ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(check(-1, ""), ERR_UNKNOWN_MEMBER_ID);
    ck_assert_int_eq(offsets_check(kit.group, -1, STR_EMPTY, STR_NULL, true, kit.now_ms), ERR_OK);
    group_kit_join(&kit, &(struct kit_join){ .client = "new" });
    ck_assert_int_eq(group_state(kit.group), GROUP_PREPARING);
    ck_assert_int_eq(check(1, member), ERR_OK); /* what it has done since counts */
    group_kit_close(&kit);
    ck_assert_int_eq(check(1, member), ERR_COORDINATOR_NOT_AVAILABLE);
}
END_TEST

START_TEST(a_commit_is_a_sign_of_life)
{
    int first = group_kit_make_stable(&kit, 1);

    for (int i = 0; i < 3; i++) {
        group_kit_pass(&kit, 9000);
        ck_assert_int_eq(check(1, kit.calls[first].member), ERR_OK);
    }
}
END_TEST

START_TEST(metadata_is_measured_as_java_does)
{
    char text[4 * 4097];

    memset(text, 'x', sizeof text);
    ck_assert_int_eq(offsets_check_metadata(&kit.conf, (struct str){ text, 4096 }), ERR_OK);
    ck_assert_int_eq(offsets_check_metadata(&kit.conf, (struct str){ text, 4097 }),
                     ERR_OFFSET_METADATA_TOO_LARGE);
    for (int i = 0; i < 4096; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3); /* one unit, three bytes */
    ck_assert_int_eq(offsets_check_metadata(&kit.conf, (struct str){ text, 3 * 4096 }), ERR_OK);
    for (int i = 0; i < 2049; i++)
        memcpy(text + 4 * i, "\xf0\x9f\x98\x80", 4); /* two units */
    ck_assert_int_eq(offsets_check_metadata(&kit.conf, (struct str){ text, 4 * 2048 }), ERR_OK);
    ck_assert_int_eq(offsets_check_metadata(&kit.conf, (struct str){ text, 4 * 2049 }),
                     ERR_OFFSET_METADATA_TOO_LARGE);
}
END_TEST

START_TEST(a_transaction_keeps_its_offsets_back_until_the_marker)
{
    struct offset_item one = item("t", 0, 10);

    commit_at("t", 0, 5, 1);
    offsets_txn_put(kit.group, 77, STR("t"), 0, &one.value, 10);
    ck_assert_int_eq(see("t", 0, true), -2);
    ck_assert_int_eq(see("t", 0, false), 5);
    ck_assert(offsets_has_txn(kit.group, 77));
    offsets_txn_end(kit.group, 77, false);
    ck_assert_int_eq(see("t", 0, true), 5);
    offsets_txn_put(kit.group, 78, STR("t"), 0, &one.value, 20);
    offsets_txn_end(kit.group, 78, true);
    ck_assert_int_eq(see("t", 0, true), 10);
    /* a plain commit further down wins over a transaction decided later */
    offsets_txn_put(kit.group, 79, STR("t"), 0, &one.value, 30);
    commit_at("t", 0, 99, 31);
    offsets_txn_end(kit.group, 79, true);
    ck_assert_int_eq(see("t", 0, true), 99);
}
END_TEST

static size_t expire_after(int64_t ms)
{
    gone.len = 0;
    offsets_expire(kit.group, kit.wall_ms + ms, 7 * DAY_MS, &gone);
    return gone.len;
}

START_TEST(a_simple_consumers_commits_expire_each_by_its_own_time)
{
    commit_at("t", 0, 1, 1);
    kit.wall_ms += DAY_MS;
    commit_at("t", 1, 1, 2);
    ck_assert_uint_eq(expire_after(6 * DAY_MS - 1), 0);
    ck_assert_uint_eq(expire_after(6 * DAY_MS), 1);
    ck_assert_int_eq(gone.items[0].partition, 0);
    ck_assert_uint_eq(expire_after(7 * DAY_MS), 1);
    ck_assert(offsets_is_bare(kit.group));
}
END_TEST

START_TEST(an_empty_groups_commits_expire_since_it_became_empty)
{
    int first = group_kit_make_stable(&kit, 1);

    commit_at("t", 0, 1, 1);
    kit.wall_ms += 30 * DAY_MS;
    group_kit_leave(&kit, kit.calls[first].member, NULL);
    ck_assert_uint_eq(expire_after(7 * DAY_MS - 1), 0);
    ck_assert_uint_eq(expire_after(7 * DAY_MS), 1);
}
END_TEST

START_TEST(a_group_at_work_keeps_what_it_subscribes_to)
{
    static const char subscription[] = "\0\0\0\0\0\1\0\1t\xff\xff\xff\xff";
    struct group_event ev = { .kind = GROUP_EV_JOIN };
    struct group_protocol protocol = { STR("range"), { subscription, sizeof subscription - 1 } };
    struct group_effects effects;
    struct kit_call call = { 0 };

    ev.join.who = &call;
    ev.join.member = STR_EMPTY;
    ev.join.instance = STR_NULL;
    ev.join.client_id = STR("c");
    ev.join.client_host = STR("/h");
    ev.join.protocol_type = STR("consumer");
    ev.join.protocols = &protocol;
    ev.join.protocols_len = 1;
    ev.join.session_ms = 10000;
    ev.join.rebalance_ms = 10000;
    ev.join.uuid = STR("u");
    group_effects_init(&effects);
    group_step(kit.group, &ev, kit.now_ms, &effects);
    group_effects_fini(&effects);
    commit_at("t", 0, 1, 1);
    commit_at("old", 0, 1, 2);
    ck_assert_uint_eq(expire_after(70 * DAY_MS), 0); /* not while a rebalance goes on */
    group_effects_init(&effects);
    struct group_event sync = { .kind = GROUP_EV_SYNC,
                                .sync = { .who = &call,
                                          .member = STR("c-u"),
                                          .instance = STR_NULL,
                                          .protocol_type = STR_NULL,
                                          .protocol = STR_NULL,
                                          .generation = 1 } };
    group_step(kit.group, &sync, kit.now_ms, &effects);
    uint64_t seq = effects.store_seq;
    group_effects_fini(&effects);
    kit.calls_len = 0;
    call.is_sync = true;
    group_kit_stored_seq(&kit, seq, ERR_OK);
    ck_assert_int_eq(group_state(kit.group), GROUP_STABLE);
    ck_assert(group_subscribes(kit.group, STR("t")));
    ck_assert(!group_subscribes(kit.group, STR("old")));
    ck_assert_uint_eq(expire_after(70 * DAY_MS), 1);
    ck_assert(str_is(gone.items[0].topic, "old"));
}
END_TEST

START_TEST(a_group_of_which_nothing_is_known_keeps_all)
{
    group_kit_make_stable(&kit, 1); /* its metadata is "m": no subscription */
    commit_at("t", 0, 1, 1);
    ck_assert(!group_knows_subscriptions(kit.group));
    ck_assert(group_subscribes(kit.group, STR("whatever")));
    ck_assert_uint_eq(expire_after(70 * DAY_MS), 0);
}
END_TEST

START_TEST(a_commit_with_a_time_of_its_own_goes_by_that)
{
    struct offset_item one = item("t", 0, 1);

    one.value.expire_ms = kit.wall_ms + 1000;
    offsets_begin(kit.group, &one, 1);
    ck_assert_uint_eq(expire_after(2000), 0); /* on its way */
    offsets_end(kit.group, &one, 1, ERR_OK, 1);
    ck_assert_uint_eq(expire_after(999), 0);
    ck_assert_uint_eq(expire_after(1000), 1);
}
END_TEST

START_TEST(no_time_that_a_client_chooses_runs_over)
{
    struct offset_item one = item("t", 0, 1);

    ck_assert_int_eq(offsets_expiry_ms(kit.wall_ms, 1000), kit.wall_ms + 1000);
    ck_assert_int_eq(offsets_expiry_ms(kit.wall_ms, INT64_MAX - kit.wall_ms), INT64_MAX);
    ck_assert_int_eq(offsets_expiry_ms(kit.wall_ms, INT64_MAX - kit.wall_ms + 1), INT64_MAX);
    ck_assert_int_eq(offsets_expiry_ms(kit.wall_ms, INT64_MAX), INT64_MAX);
    ck_assert_int_eq(offsets_expiry_ms(-1, INT64_MIN), INT64_MIN);
    one.value.expire_ms = offsets_expiry_ms(kit.wall_ms, INT64_MAX);
    offsets_begin(kit.group, &one, 1);
    offsets_end(kit.group, &one, 1, ERR_OK, 1);
    ck_assert_uint_eq(expire_after(70 * DAY_MS), 0);
}
END_TEST

static void commit_dated(int32_t partition, int64_t commit_ms)
{
    struct offset_item one = item("t", partition, 1);

    one.value.commit_ms = commit_ms;
    offsets_begin(kit.group, &one, 1);
    offsets_end(kit.group, &one, 1, ERR_OK, 1 + partition);
}

START_TEST(a_commit_of_the_end_of_time_is_kept_and_one_of_its_beginning_is_not)
{
    commit_dated(0, INT64_MAX);
    commit_dated(1, INT64_MIN);
    ck_assert_uint_eq(expire_after(0), 1);
    ck_assert_int_eq(gone.items[0].partition, 1);
    ck_assert_uint_eq(expire_after(70 * DAY_MS), 0);
}
END_TEST

START_TEST(all_that_is_removed_is_noted_once)
{
    for (int32_t p = 9; p >= 0; p--)
        commit_at(p % 2 == 0 ? "even" : "odd", p, p, 10 + p);
    offsets_remove(kit.group, STR("even"), 4, &gone);
    offsets_remove(kit.group, STR("even"), 4, &gone);
    offsets_remove(kit.group, STR("never"), 4, &gone);
    ck_assert_uint_eq(gone.len, 1);
    offsets_remove_topic(kit.group, STR("odd"), INT64_MAX, &gone);
    ck_assert_uint_eq(gone.len, 6);
    offsets_remove_all(kit.group, &gone);
    ck_assert_uint_eq(gone.len, 10);
    ck_assert(offsets_is_bare(kit.group));
}
END_TEST

START_TEST(the_walk_is_in_order)
{
    struct offset_cursor cursor = { 0 };
    struct offset_value value;
    struct str topic;
    int32_t partition, seen = 0, last = -1;

    for (int32_t i = 0; i < 100; i++)
        commit_at("t", i * 37 % 100, i, 1000 + i);
    while (offsets_next(kit.group, &cursor, &topic, &partition, &value)) {
        ck_assert_int_gt(partition, last);
        last = partition;
        seen++;
    }
    ck_assert_int_eq(seen, 100);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("offsets_core");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_commit_is_seen_once_it_is_stored);
    tcase_add_test(tc, a_commit_that_fails_leaves_what_was_there);
    tcase_add_test(tc, the_one_further_down_the_log_counts);
    tcase_add_test(tc, items_with_an_error_of_their_own_are_left_out);
    tcase_add_test(tc, what_is_deleted_while_a_commit_is_on_its_way_stays_deleted);
    tcase_add_test(tc, only_members_of_the_generation_commit_to_a_group_that_has_some);
    tcase_add_test(tc, a_commit_is_a_sign_of_life);
    tcase_add_test(tc, metadata_is_measured_as_java_does);
    tcase_add_test(tc, a_transaction_keeps_its_offsets_back_until_the_marker);
    tcase_add_test(tc, a_simple_consumers_commits_expire_each_by_its_own_time);
    tcase_add_test(tc, an_empty_groups_commits_expire_since_it_became_empty);
    tcase_add_test(tc, a_group_at_work_keeps_what_it_subscribes_to);
    tcase_add_test(tc, a_group_of_which_nothing_is_known_keeps_all);
    tcase_add_test(tc, a_commit_with_a_time_of_its_own_goes_by_that);
    tcase_add_test(tc, no_time_that_a_client_chooses_runs_over);
    tcase_add_test(tc, a_commit_of_the_end_of_time_is_kept_and_one_of_its_beginning_is_not);
    tcase_add_test(tc, all_that_is_removed_is_noted_once);
    tcase_add_test(tc, the_walk_is_in_order);
    return unit_run(tc);
}
