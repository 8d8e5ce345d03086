/*
 * group_replay: logs of __consumer_offsets that Kafka 3.9 wrote come back as the groups that it
 * had; markers decide what transactions committed; what is damaged or unknown is passed over, not
 * believed.
 */
#include "broker/group/group_replay.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/group/group_record.h"
#include "common/wire/batch.h"
#include "common/wire/legacy.h"
#include "common/wire/record.h"
#include "tests/kit/unit.h"

static const struct group_conf conf = { .size_max = INT32_MAX };
static struct group_replay replay;
static struct group_table table;
static struct arena arena;
static int64_t next_offset;
static size_t offsets;

static void setup(void)
{
    group_replay_init(&replay, &conf, 1700000000000);
    group_table_init(&table);
    arena_init(&arena, SIZE_MAX);
    next_offset = 0;
}

static void teardown(void)
{
    arena_fini(&arena);
    group_table_fini(&table);
    group_replay_fini(&replay);
}

static void end(void)
{
    group_replay_end(&replay, 1000, &table, &offsets);
}

static struct group *find(const char *id)
{
    struct group_slot *slot = group_table_find(&table, str_of(id));

    return slot != NULL ? slot->group : NULL;
}

/* -1 none, -2 a transaction has something open. */
static int64_t see(const char *id, const char *topic, int32_t partition)
{
    struct offset_value value;
    bool unstable;
    struct group *group = find(id);

    ck_assert_ptr_nonnull(group);
    bool found = offsets_get(group, str_of(topic), partition, &value, &unstable);
    return unstable ? -2 : found ? value.offset : -1;
}

/* ---- what Kafka wrote ---- */

static void read_recorded(int partition)
{
    const char *dir = unit_temp_dir();
    char command[1024], path[512];
    size_t len, used;

    snprintf(path, sizeof path, "%s/__consumer_offsets-%d/00000000000000000000.log", dir,
             partition);
    snprintf(command, sizeof command, "tar xzf '%s' -C '%s' ./__consumer_offsets-%d",
             unit_data("logs/broker1-clean-stop.tar.gz"), dir, partition);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
    char *bytes = unit_read_file(path, &len);
    ck_assert_int_eq(group_replay_bytes(&replay, (const uint8_t *)bytes, len, &used), ERR_OK);
    ck_assert_uint_eq(used, len);
    free(bytes);
    ck_assert_uint_eq(replay.skipped, 0);
    end();
}

START_TEST(groups_of_kafkas_log_are_there)
{
    read_recorded(2);
    struct group *group = find("grp-java");
    ck_assert_int_eq(group_state(group), GROUP_EMPTY);
    ck_assert(str_is(group_protocol_type(group), "consumer"));
    ck_assert(str_is_null(group_protocol(group)));
    ck_assert_int_eq(see("grp-java", "g-java-none", 0), 5);
    ck_assert_int_eq(see("grp-java", "plain", 3), -1);
    group = find("grp-static");
    ck_assert_int_eq(group_generation(group), 2);
    ck_assert_int_eq(see("grp-static", "g-rdk-none", 0), 40);
}
END_TEST

START_TEST(a_transaction_that_kafka_committed_counts)
{
    struct offset_value value;
    bool unstable;

    read_recorded(2);
    ck_assert(offsets_get(find("grp-txn"), STR("g-java-idem"), 0, &value, &unstable));
    ck_assert(!unstable);
    ck_assert_int_eq(value.offset, 10); /* 20 was aborted */
    ck_assert(str_is(value.metadata, "md"));
}
END_TEST

START_TEST(a_group_that_kafka_deleted_is_gone)
{
    read_recorded(3);
    ck_assert_ptr_null(find("newgroup"));
    ck_assert_ptr_nonnull(find("console-consumer-85070"));
}
END_TEST

START_TEST(static_members_of_kafkas_log)
{
    read_recorded(1);
    ck_assert_int_eq(see("grp-active-static", "g-java-gzip", 0), 40);
    ck_assert_int_eq(see("grp-rdk", "g-rdk-gzip", 0), 22);
}
END_TEST

/* ---- made up ---- */

struct pair {
    struct str key, value;
};

static void feed(struct batch_conf how, const struct pair *pairs, size_t len)
{
    struct batch_builder builder;
    uint8_t *batch;
    size_t size, used;

    how.base_offset = next_offset;
    batch_builder_init(&builder, &how);
    for (size_t i = 0; i < len; i++)
        batch_builder_add(&builder, 1, pairs[i].key, pairs[i].value, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    ck_assert_int_eq(group_replay_bytes(&replay, batch, size, &used), ERR_OK);
    ck_assert_uint_eq(used, size);
    batch_builder_fini(&builder);
    next_offset += (int64_t)len;
}

static struct pair offset_of(const char *group, int32_t partition, int64_t offset)
{
    struct offset_value value = {
        .offset = offset, .leader_epoch = -1, .metadata = STR_EMPTY, .commit_ms = 1, .expire_ms = -1
    };
    struct pair pair = { .key = group_record_write_offset_key(&arena, str_of(group), STR("t"),
                                                              partition),
                         .value = STR_NULL };

    if (offset >= 0)
        pair.value = group_record_write_offset(&arena, &value);
    return pair;
}

static void commit(const char *group, int32_t partition, int64_t offset)
{
    struct pair pair = offset_of(group, partition, offset);

    feed(BATCH_CONF_PLAIN, &pair, 1);
}

static void txn_commit(int64_t pid, const char *group, int32_t partition, int64_t offset)
{
    struct pair pair = offset_of(group, partition, offset);
    struct batch_conf how = BATCH_CONF_PLAIN;

    how.producer_id = pid;
    how.producer_epoch = 0;
    how.base_sequence = 0;
    how.transactional = true;
    feed(how, &pair, 1);
}

static void mark(int64_t pid, bool commits)
{
    uint8_t batch[BATCH_MARKER_BYTES];
    size_t used;

    batch_marker_write(batch, commits, pid, 0, 0, 1);
    batch_stamp(batch, next_offset++, 0);
    ck_assert_int_eq(group_replay_bytes(&replay, batch, sizeof batch, &used), ERR_OK);
}

START_TEST(the_last_record_of_a_key_counts)
{
    commit("g", 0, 1);
    commit("g", 1, 5);
    commit("g", 0, 2);
    commit("gone", 0, 1);
    commit("gone", 0, -1);
    end();
    ck_assert_int_eq(see("g", "t", 0), 2);
    ck_assert_int_eq(see("g", "t", 1), 5);
    ck_assert_ptr_null(find("gone"));
    ck_assert_uint_eq(offsets, 2);
    ck_assert_uint_eq(table.count, 1);
}
END_TEST

START_TEST(transactions_wait_for_their_markers)
{
    commit("g", 0, 1);
    txn_commit(7, "g", 0, 10);
    txn_commit(8, "g", 1, 20);
    txn_commit(9, "g", 2, 30);
    txn_commit(9, "h", 0, 40);
    mark(7, true);
    mark(8, false);
    mark(99, true); /* of nobody here */
    end();
    ck_assert_int_eq(see("g", "t", 0), 10);
    ck_assert_int_eq(see("g", "t", 1), -1);
    ck_assert_int_eq(see("g", "t", 2), -2);
    ck_assert_int_eq(see("h", "t", 0), -2);
    group_table_end_txn(&table, 9, true); /* the marker comes after the load */
    ck_assert_int_eq(see("g", "t", 2), 30);
    ck_assert_int_eq(see("h", "t", 0), 40);
}
END_TEST

START_TEST(a_plain_commit_after_a_transactions_wins)
{
    txn_commit(7, "g", 0, 10);
    commit("g", 0, 3);
    mark(7, true);
    end();
    ck_assert_int_eq(see("g", "t", 0), 3);
}
END_TEST

START_TEST(what_is_not_known_is_counted_and_passed_over)
{
    struct pair pairs[] = {
        { { "\0\3\0\1g", 5 }, { "\0\0", 2 } },             /* a newer protocol's */
        { STR_NULL, { "x", 1 } },                          /* no key */
        { { "\0\1\0\1g\0\1t", 8 }, { "", 0 } },            /* cut short */
        { { "\0\2\0\1g", 5 }, { "\0\x09", 2 } },           /* a version to come */
        { { "\0\1\0\1g\0\1t\0\0\0\0", 12 }, { "\0", 1 } }, /* a value cut short */
    };

    feed(BATCH_CONF_PLAIN, pairs, ARRAY_LEN(pairs));
    commit("g", 0, 1);
    end();
    ck_assert_uint_eq(replay.skipped, ARRAY_LEN(pairs));
    ck_assert_int_eq(see("g", "t", 0), 1);
}
END_TEST

START_TEST(compressed_and_old_records_are_read)
{
    struct batch_conf how = BATCH_CONF_PLAIN;
    struct pair pairs[] = { offset_of("g", 0, 1), offset_of("g", 1, 2) };
    struct buf old = BUF_EMPTY;
    struct pair third = offset_of("g", 2, 3);
    size_t used;

    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        how.codec = (enum codec)codec;
        feed(how, pairs, 2);
    }
    for (int magic = 0; magic <= 1; magic++)
        legacy_put(&old, magic, next_offset++, 1, false, third.key, third.value);
    ck_assert_int_eq(group_replay_bytes(&replay, old.bytes, old.len, &used), ERR_OK);
    ck_assert_uint_eq(used, old.len);
    buf_fini(&old);
    end();
    ck_assert_int_eq(see("g", "t", 1), 2);
    ck_assert_int_eq(see("g", "t", 2), 3);
}
END_TEST

START_TEST(a_cut_batch_is_left_for_the_next_read)
{
    struct batch_builder builder;
    struct batch_conf how = BATCH_CONF_PLAIN;
    struct pair pair = offset_of("g", 0, 1);
    uint8_t *batch;
    size_t size, used;

    batch_builder_init(&builder, &how);
    batch_builder_add(&builder, 1, pair.key, pair.value, NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    for (size_t len = 0; len < size; len++) {
        ck_assert_int_eq(group_replay_bytes(&replay, batch, len, &used), ERR_OK);
        ck_assert_uint_eq(used, 0);
    }
    ck_assert_int_eq(group_replay_bytes(&replay, batch, size, &used), ERR_OK);
    ck_assert_uint_eq(used, size);
    batch[16] = 9; /* no such format */
    ck_assert_int_ne(group_replay_bytes(&replay, batch, size, &used), ERR_OK);
    batch_builder_fini(&builder);
}
END_TEST

START_TEST(a_group_with_members_is_stable_and_must_be_heard_of)
{
    static const char bytes[] =
        "\0\3\0\1c\0\0\0\x07\0\1p\0\1m\0\0\0\0\0\0\0\5\0\0\0\1\0\1m\xff\xff\0\1i\0\1h"
        "\0\0\x03\xe8\0\0\x27\x10\0\0\0\1s\0\0\0\1a";
    struct str value = { bytes, sizeof bytes - 1 };
    struct pair pair = { group_record_write_group_key(&arena, STR("g")), value };
    struct pair none = { pair.key, STR_NULL };

    feed(BATCH_CONF_PLAIN, &pair, 1);
    commit("g", 0, 1);
    commit("h", 0, 1);
    struct pair other = { group_record_write_group_key(&arena, STR("h")), value };
    feed(BATCH_CONF_PLAIN, &other, 1);
    none.key = other.key;
    feed(BATCH_CONF_PLAIN, &none, 1); /* the group is gone, its offsets are not */
    ck_assert_uint_eq(replay.skipped, 0);
    end();
    ck_assert_int_eq(group_state(find("g")), GROUP_STABLE);
    ck_assert_int_eq(group_wake_ms(find("g")), 1000 + 10000);
    ck_assert_ptr_eq(group_table_first(&table)->group, find("g"));
    ck_assert_int_eq(group_state(find("h")), GROUP_EMPTY);
    ck_assert(str_is_null(group_protocol_type(find("h"))));
    ck_assert_int_eq(see("h", "t", 0), 1);
}
END_TEST

START_TEST(many_groups_are_found_again)
{
    char id[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "group-%d", i);
        commit(id, i % 7, i);
    }
    end();
    ck_assert_uint_eq(table.count, 1000);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(id, sizeof id, "group-%d", i);
        ck_assert_int_eq(see(id, "t", i % 7), i);
        group_table_remove(&table, group_table_find(&table, str_of(id)));
        ck_assert_ptr_null(find(id));
    }
    ck_assert_uint_eq(table.count, 500);
    struct group_cursor cursor = { 0 };
    size_t seen = 0;
    while (group_table_next(&table, &cursor) != NULL)
        seen++;
    ck_assert_uint_eq(seen, 500);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group_replay");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, groups_of_kafkas_log_are_there);
    tcase_add_test(tc, a_transaction_that_kafka_committed_counts);
    tcase_add_test(tc, a_group_that_kafka_deleted_is_gone);
    tcase_add_test(tc, static_members_of_kafkas_log);
    tcase_add_test(tc, the_last_record_of_a_key_counts);
    tcase_add_test(tc, transactions_wait_for_their_markers);
    tcase_add_test(tc, a_plain_commit_after_a_transactions_wins);
    tcase_add_test(tc, what_is_not_known_is_counted_and_passed_over);
    tcase_add_test(tc, compressed_and_old_records_are_read);
    tcase_add_test(tc, a_cut_batch_is_left_for_the_next_read);
    tcase_add_test(tc, a_group_with_members_is_stable_and_must_be_heard_of);
    tcase_add_test(tc, many_groups_are_found_again);
    return unit_run(tc);
}
