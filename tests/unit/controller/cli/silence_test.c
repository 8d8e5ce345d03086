/*
 * silence: who is said to commit nothing, out of the records of a group's log, and for how long.
 */
#include "controller/cli/silence.h"

#include <check.h>
#include <string.h>

#include "common/wire/batch.h"
#include "common/wire/record.h"
#include "gen/records/group_metadata.h"
#include "gen/records/offset_commit.h"
#include "tests/kit/unit.h"

#define NOW  1700000600000
#define SPAN 600000

static struct arena arena;
static struct describe_groups_response_member member;
static struct group_view view;
static struct buf log_bytes;
static int64_t next_base;

static void set_up(void)
{
    arena_init(&arena, SIZE_MAX);
    group_view_init(&view, &arena, "billing");
    for (int32_t p = 0; p < 2; p++) {
        struct group_part *part = group_part(&view, STR("orders"), p);

        part->member = &member;
        part->at.committed = 10;
        part->at.end = 20;
    }
    log_bytes = BUF_EMPTY;
    next_base = 100;
}

static void tear_down(void)
{
    buf_fini(&log_bytes);
    arena_fini(&arena);
}

static void put(struct str key, int64_t at_ms, enum codec codec, bool control)
{
    struct batch_builder builder = { 0 };
    struct batch_conf conf = BATCH_CONF_PLAIN;
    uint8_t *batch;
    size_t size;

    conf.base_offset = next_base++;
    conf.codec = codec;
    conf.control = control;
    batch_builder_init(&builder, &conf);
    batch_builder_add(&builder, at_ms, key, STR("value"), NULL, 0);
    ck_assert_int_eq(batch_builder_finish(&builder, -1, &batch, &size), ERR_OK);
    buf_put(&log_bytes, batch, size);
    batch_builder_fini(&builder);
}

static struct str commit_key(const char *group, const char *topic, int32_t partition)
{
    struct offset_commit_key key = { .group = str_of(group),
                                     .topic = str_of(topic),
                                     .partition = partition };
    uint8_t *bytes = arena_alloc(&arena, 200);
    struct wire_out out = wire_out_of(bytes, 200);

    wire_put_i16(&out, 1);
    offset_commit_key_encode(&key, &out, 1);
    return (struct str){ .ptr = (const char *)bytes, .len = out.pos };
}

static struct str group_key(const char *group)
{
    struct group_metadata_key key = { .group = str_of(group) };
    uint8_t *bytes = arena_alloc(&arena, 200);
    struct wire_out out = wire_out_of(bytes, 200);

    wire_put_i16(&out, 2);
    group_metadata_key_encode(&key, &out, 2);
    return (struct str){ .ptr = (const char *)bytes, .len = out.pos };
}

static void look(void)
{
    int64_t next = -1;

    ck_assert_int_eq(silence_read(log_bytes.bytes, log_bytes.len, &view, &next), ERR_OK);
    ck_assert_int_eq(next, next_base > 100 ? next_base : -1);
    silence_judge(&view, NOW, SPAN);
}

static void is_silent(int32_t p, int64_t for_ms, bool more)
{
    ck_assert_int_eq(view.parts[p].still_ms, for_ms);
    ck_assert_int_eq(view.parts[p].still_more, more);
}

START_TEST(the_last_commit_of_each_partition_counts)
{
    put(commit_key("billing", "orders", 0), NOW - 90000, CODEC_NONE, false);
    put(commit_key("billing", "orders", 1), NOW - 80000, CODEC_ZSTD, false);
    put(commit_key("billing", "orders", 0), NOW - 1000, CODEC_NONE, false);
    look();
    is_silent(0, 1000, false);
    is_silent(1, 80000, false);
}
END_TEST

START_TEST(who_committed_nothing_is_silent_for_all_that_was_read)
{
    put(commit_key("other", "orders", 0), NOW - 10, CODEC_NONE, false);
    put(commit_key("billing", "orders2", 0), NOW - 10, CODEC_NONE, false);
    put(commit_key("billing", "orders", 7), NOW - 10, CODEC_NONE, false);
    put(STR("\0\7unknown"), NOW - 10, CODEC_NONE, false);
    put(STR("\0\0\0\1"), NOW - 10, CODEC_NONE, true); /* a marker of a transaction */
    put(STR_NULL, NOW - 10, CODEC_NONE, false);
    look();
    is_silent(0, SPAN, true);
    is_silent(1, SPAN, true);
}
END_TEST

START_TEST(a_new_generation_begins_anew)
{
    put(commit_key("billing", "orders", 0), NOW - 90000, CODEC_NONE, false);
    put(group_key("billing"), NOW - 3000, CODEC_NONE, false);
    put(group_key("other"), NOW - 1, CODEC_NONE, false);
    look();
    is_silent(0, 3000, false);
    is_silent(1, 3000, false);
}
END_TEST

START_TEST(only_who_has_something_to_read)
{
    view.parts[0].at.committed = 20;
    view.parts[1].member = NULL;
    look();
    is_silent(0, 0, false);
    is_silent(1, 0, false);
}
END_TEST

START_TEST(clocks_may_differ)
{
    put(commit_key("billing", "orders", 0), NOW + 500, CODEC_NONE, false);
    look();
    is_silent(0, 0, false);
}
END_TEST

START_TEST(damaged_bytes_are_an_error)
{
    int64_t next = -1;

    put(commit_key("billing", "orders", 0), NOW - 10, CODEC_NONE, false);
    put(commit_key("billing", "orders", 1), NOW - 10, CODEC_NONE, false);
    log_bytes.len -= 3; /* cut short: to be read again from there */
    ck_assert_int_eq(silence_read(log_bytes.bytes, log_bytes.len, &view, &next), ERR_OK);
    ck_assert_int_eq(next, 101);
    log_bytes.bytes[70] ^= 1;
    ck_assert_int_ne(silence_read(log_bytes.bytes, log_bytes.len, &view, &next), ERR_OK);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("silence");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, the_last_commit_of_each_partition_counts);
    tcase_add_test(tc, who_committed_nothing_is_silent_for_all_that_was_read);
    tcase_add_test(tc, a_new_generation_begins_anew);
    tcase_add_test(tc, only_who_has_something_to_read);
    tcase_add_test(tc, clocks_may_differ);
    tcase_add_test(tc, damaged_bytes_are_an_error);
    return unit_run(tc);
}
