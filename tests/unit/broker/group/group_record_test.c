/*
 * group_record: the bytes of __consumer_offsets are Kafka's, both ways, and groups go to the
 * partitions that Kafka would put them in.
 */
#include "broker/group/group_record.h"

#include <check.h>

#include "tests/kit/group_kit.h"
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

#define BYTES(text) ((struct str){ .ptr = "" text, .len = sizeof(text) - 1 })

START_TEST(groups_are_spread_as_kafka_spreads_them)
{
    const struct {
        const char *id;
        int32_t partition;
    } known[] = {
        { "", 0 },
        { "test", 48 },
        { "my-group", 12 },
        { "console-consumer-12345", 6 },
        { "order-service", 26 },
        { "polygenelubricants", 0 }, /* its hash has no absolute value */
        { "gr\xc3\xbcppe", 12 },
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        ck_assert_int_eq(group_record_partition(str_of(known[i].id), 50), known[i].partition);
    /* U+1F600 is two units: 31 * 0xd83d + 0xde00 */
    ck_assert_int_eq(group_record_partition(STR("\xf0\x9f\x98\x80"), 1000000),
                     (31 * 0xd83d + 0xde00) % 1000000);
}
END_TEST

START_TEST(an_offset_is_written_as_kafka_does)
{
    struct offset_value value = { .offset = 10,
                                  .leader_epoch = -1,
                                  .metadata = STR_EMPTY,
                                  .commit_ms = 1700000000000,
                                  .expire_ms = -1 };

    ck_assert(str_eq(group_record_write_offset_key(&arena, STR("g"), STR("t"), 0),
                     BYTES("\0\1\0\1g\0\1t\0\0\0\0")));
    ck_assert(str_eq(group_record_write_offset(&arena, &value),
                     BYTES("\0\3\0\0\0\0\0\0\0\x0a\xff\xff\xff\xff\0\0\0\0\1\x8b\xcf\xe5\x68\0")));
    ck_assert(str_eq(group_record_write_group_key(&arena, STR("g")), BYTES("\0\2\0\1g")));
    value.expire_ms = 1; /* only version 1 can say so */
    ck_assert(str_eq(group_record_write_offset(&arena, &value),
                     BYTES("\0\1\0\0\0\0\0\0\0\x0a\0\0\0\0\1\x8b\xcf\xe5\x68\0\0\0\0\0\0\0\0\1")));
}
END_TEST

START_TEST(all_versions_of_an_offset_are_read)
{
    static const struct {
        struct str bytes;
        int32_t leader_epoch;
        int64_t expire_ms;
    } known[] = {
        { { "\0\0\0\0\0\0\0\0\0\x0a\0\1m\0\0\0\0\0\0\0\5", 21 }, -1, -1 },
        { { "\0\1\0\0\0\0\0\0\0\x0a\0\1m\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6", 29 }, -1, 6 },
        { { "\0\2\0\0\0\0\0\0\0\x0a\0\1m\0\0\0\0\0\0\0\5", 21 }, -1, -1 },
        { { "\0\3\0\0\0\0\0\0\0\x0a\0\0\0\7\0\1m\0\0\0\0\0\0\0\5", 25 }, 7, -1 },
        { { "\0\4\0\0\0\0\0\0\0\x0a\0\0\0\7\2m\0\0\0\0\0\0\0\5\0", 25 }, 7, -1 },
    };
    struct offset_value value;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        ck_assert_int_eq(group_record_read_offset(known[i].bytes, &value), ERR_OK);
        ck_assert_int_eq(value.offset, 10);
        ck_assert_int_eq(value.commit_ms, 5);
        ck_assert(str_is(value.metadata, "m"));
        ck_assert_int_eq(value.leader_epoch, known[i].leader_epoch);
        ck_assert_int_eq(value.expire_ms, known[i].expire_ms);
    }
    ck_assert_int_eq(group_record_read_offset(BYTES("\0\5\0"), &value), ERR_UNSUPPORTED_VERSION);
    ck_assert_int_eq(group_record_read_offset(BYTES("\0\3\0"), &value), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(keys_are_told_apart)
{
    struct group_key key;

    ck_assert_int_eq(group_record_read_key(BYTES("\0\0\0\1g\0\1t\0\0\0\x09"), &key), ERR_OK);
    ck_assert_int_eq(key.kind, GROUP_KEY_OFFSET);
    ck_assert_int_eq(key.partition, 9);
    ck_assert(str_is(key.topic, "t"));
    ck_assert_int_eq(group_record_read_key(BYTES("\0\2\0\1g"), &key), ERR_OK);
    ck_assert_int_eq(key.kind, GROUP_KEY_GROUP);
    ck_assert(str_is(key.group, "g"));
    ck_assert_int_eq(group_record_read_key(BYTES("\0\5\0\1g\0\1m"), &key), ERR_OK);
    ck_assert_int_eq(key.kind, GROUP_KEY_OTHER);
    ck_assert_int_eq(group_record_read_key(BYTES("\0\1\0\x09g"), &key), ERR_BAD_FORMAT);
    ck_assert_int_eq(group_record_read_key(BYTES(""), &key), ERR_BAD_FORMAT);
}
END_TEST

START_TEST(a_group_comes_back_as_it_was)
{
    static struct group_kit kit;
    struct group_metadata_value value;
    struct group_member_info was, is;
    int16_t version;

    group_kit_init(&kit);
    group_kit_make_stable(&kit, 3);
    struct str bytes = group_record_write_group(&arena, kit.group);
    ck_assert_int_eq(group_record_read_group(bytes, &arena, &value, &version), ERR_OK);
    ck_assert_int_eq(version, 3);
    struct group *group = group_new(&kit.conf, STR("g"), 0);
    group_restore(group, &value, version);
    ck_assert_int_eq(group_state(group), GROUP_STABLE);
    ck_assert_int_eq(group_generation(group), 1);
    ck_assert(str_eq(group_protocol(group), group_protocol(kit.group)));
    ck_assert(str_eq(group_protocol_type(group), group_protocol_type(kit.group)));
    ck_assert_int_eq(group_state_wall_ms(group), group_state_wall_ms(kit.group));
    ck_assert_uint_eq(group_size(group), 3);
    for (size_t i = 0; i < 3; i++) {
        group_member_at(kit.group, i, &was);
        group_member_at(group, i, &is);
        ck_assert(str_eq(was.id, is.id));
        ck_assert(str_eq(was.client_host, is.client_host));
        ck_assert(str_eq(was.metadata, is.metadata));
        ck_assert(str_eq(was.assignment, is.assignment));
        ck_assert_int_eq(was.session_ms, is.session_ms);
        ck_assert_int_eq(was.rebalance_ms, is.rebalance_ms);
        ck_assert(was.is_leader == is.is_leader);
    }
    ck_assert(str_eq(group_record_write_group(&arena, group), bytes));
    group_free(&group);
    group_kit_fini(&kit);
}
END_TEST

START_TEST(an_empty_group_and_one_of_an_old_version)
{
    struct group_metadata_value value;
    struct group_conf conf = { .size_max = INT32_MAX };
    int16_t version;

    struct group *group = group_new(&conf, STR("g"), 5);
    ck_assert(str_eq(group_record_write_group(&arena, group),
                     BYTES("\0\3\0\0\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\5\0\0\0\0")));
    /* version 0: no rebalance time-out, no time of the state */
    struct str old = BYTES("\0\0\0\1c\0\0\0\x07\0\1p\0\1m\0\0\0\1\0\1m\0\1i\0\1h\0\0\x27\x10"
                           "\0\0\0\1s\0\0\0\1a");
    ck_assert_int_eq(group_record_read_group(old, &arena, &value, &version), ERR_OK);
    group_restore(group, &value, version);
    struct group_member_info info;
    group_member_at(group, 0, &info);
    ck_assert_int_eq(info.rebalance_ms, 10000);
    ck_assert(str_is_null(info.instance));
    ck_assert_int_eq(group_state_wall_ms(group), -1);
    ck_assert_int_eq(group_generation(group), 7);
    ck_assert_int_eq(group_record_read_group(BYTES("\0\x09\0"), &arena, &value, &version),
                     ERR_UNSUPPORTED_VERSION);
    group_free(&group);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("group_record");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, groups_are_spread_as_kafka_spreads_them);
    tcase_add_test(tc, an_offset_is_written_as_kafka_does);
    tcase_add_test(tc, all_versions_of_an_offset_are_read);
    tcase_add_test(tc, keys_are_told_apart);
    tcase_add_test(tc, a_group_comes_back_as_it_was);
    tcase_add_test(tc, an_empty_group_and_one_of_an_old_version);
    return unit_run(tc);
}
