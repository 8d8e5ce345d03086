/*
 * prim: the encodings' check values, that no length is believed, that the first failure sticks,
 * tags in order and once, and what belongs to the sender: cuts for records out of line.
 */
#include "common/wire/prim.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/kit/unit.h"

static struct arena arena;

static void arena_up(void)
{
    arena_init(&arena, 1 << 20);
}

static void arena_down(void)
{
    arena_fini(&arena);
}

#define IN(...)                                                                                    \
    wire_in_of((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), &arena)

static void out_open(struct wire_out *out, uint8_t buffer[64])
{
    *out = wire_out_of(buffer, 64);
}

START_TEST(varints_are_as_kafka_writes_them)
{
    static const struct {
        int32_t value;
        size_t len;
        uint8_t bytes[5];
    } known[] = {
        { 0, 1, { 0x00 } },
        { -1, 1, { 0x01 } },
        { 1, 1, { 0x02 } },
        { -2, 1, { 0x03 } },
        { 63, 1, { 0x7e } },
        { -64, 1, { 0x7f } },
        { 64, 2, { 0x80, 0x01 } },
        { 300, 2, { 0xd8, 0x04 } },
        { INT32_MAX, 5, { 0xfe, 0xff, 0xff, 0xff, 0x0f } },
        { INT32_MIN, 5, { 0xff, 0xff, 0xff, 0xff, 0x0f } },
    };
    uint8_t buffer[64];
    struct wire_out out;

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        out_open(&out, buffer);
        wire_put_varint(&out, known[i].value);
        ck_assert_uint_eq(out.pos, known[i].len);
        ck_assert_uint_eq(varint_size(known[i].value), known[i].len);
        ck_assert_mem_eq(buffer, known[i].bytes, known[i].len);
        struct wire_in in = wire_in_of(buffer, out.pos, &arena);
        ck_assert_int_eq(wire_get_varint(&in), known[i].value);
        ck_assert_int_eq(in.err, ERR_OK);

        out_open(&out, buffer);
        wire_put_varlong(&out, known[i].value);
        ck_assert_mem_eq(buffer, known[i].bytes, known[i].len);
    }
    out_open(&out, buffer);
    wire_put_uvarint(&out, 300);
    ck_assert_mem_eq(buffer, "\xac\x02", 2);
}
END_TEST

START_TEST(varlongs_reach_both_ends)
{
    static const int64_t values[] = { INT64_MIN, INT64_MAX, INT64_MIN + 1, 0, -1, 1LL << 40 };
    uint8_t buffer[64];
    struct wire_out out;

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        out_open(&out, buffer);
        wire_put_varlong(&out, values[i]);
        ck_assert_uint_eq(out.pos, varlong_size(values[i]));
        struct wire_in in = wire_in_of(buffer, out.pos, &arena);
        ck_assert_int_eq(wire_get_varlong(&in), values[i]);
    }
}
END_TEST

START_TEST(varints_end)
{
    struct wire_in six = IN(0x80, 0x80, 0x80, 0x80, 0x80, 0x01);
    struct wire_in wide = IN(0xff, 0xff, 0xff, 0xff, 0x1f);
    struct wire_in cut = IN(0x80);
    struct wire_in padded = IN(0x81, 0x00);

    wire_get_uvarint(&six);
    ck_assert_int_eq(six.err, ERR_BAD_FORMAT);
    wire_get_uvarint(&wide);
    ck_assert_int_eq(wide.err, ERR_BAD_FORMAT);
    wire_get_uvarint(&cut);
    ck_assert_int_eq(cut.err, ERR_BAD_FORMAT);
    ck_assert_uint_eq(wire_get_uvarint(&padded), 1);
    ck_assert_int_eq(padded.err, ERR_OK);
}
END_TEST

START_TEST(numbers_are_big_endian)
{
    uint8_t buffer[64];
    struct wire_out out;

    out_open(&out, buffer);
    wire_put_i16(&out, 0x0102);
    wire_put_i32(&out, -2);
    wire_put_i64(&out, 0x0102030405060708);
    wire_put_f64(&out, 1.0);
    wire_put_bool(&out, true);
    wire_put_u16(&out, 0xfffe);
    wire_put_u32(&out, 0xfffffffd);
    static const uint8_t want[] = { 1, 2, 255, 255, 255,  254,  1,   2,   3,  4,
                                    5, 6, 7,   8,   0x3f, 0xf0, 0,   0,   0,  0,
                                    0, 0, 1,   255, 254,  255,  255, 255, 253 };
    ck_assert_uint_eq(out.pos, sizeof want);
    ck_assert_mem_eq(buffer, want, sizeof want);

    struct wire_in in = wire_in_of(buffer, out.pos, &arena);
    ck_assert_int_eq(wire_get_i16(&in), 0x0102);
    ck_assert_int_eq(wire_get_i32(&in), -2);
    ck_assert_int_eq(wire_get_i64(&in), 0x0102030405060708);
    ck_assert(wire_get_f64(&in) == 1.0);
    ck_assert(wire_get_bool(&in));
    ck_assert_uint_eq(wire_get_u16(&in), 0xfffe);
    ck_assert_uint_eq(wire_get_u32(&in), 0xfffffffd);
    ck_assert_uint_eq(wire_left(&in), 0);
}
END_TEST

START_TEST(null_and_empty_are_different)
{
    static const bool compacts[] = { false, true };

    for (size_t i = 0; i < ARRAY_LEN(compacts); i++) {
        uint8_t buffer[64];
        struct wire_out out;

        out_open(&out, buffer);
        wire_put_str(&out, STR_NULL, compacts[i], true);
        wire_put_str(&out, STR_EMPTY, compacts[i], true);
        wire_put_str(&out, STR("ab"), compacts[i], false);
        wire_put_bytes(&out, WIRE_BYTES_NULL, compacts[i], true);
        wire_put_bytes(&out, (struct wire_bytes){ NULL, 0 }, compacts[i], true);
        struct wire_in in = wire_in_of(buffer, out.pos, &arena);
        ck_assert(str_is_null(wire_get_str(&in, compacts[i], true)));
        struct str empty = wire_get_str(&in, compacts[i], true);
        ck_assert(!str_is_null(empty) && empty.len == 0);
        ck_assert(str_is(wire_get_str(&in, compacts[i], false), "ab"));
        ck_assert_int_eq(wire_get_bytes(&in, compacts[i], true).len, -1);
        ck_assert_int_eq(wire_get_bytes(&in, compacts[i], true).len, 0);
        ck_assert_int_eq(in.err, ERR_OK);
        ck_assert_uint_eq(wire_left(&in), 0);
    }
}
END_TEST

START_TEST(null_where_it_is_illegal_is_refused)
{
    struct wire_in plain = IN(0xff, 0xff), compact = IN(0x00), bytes = IN(0xff, 0xff, 0xff, 0xff);
    int32_t len;

    wire_get_str(&plain, false, false);
    ck_assert_int_eq(plain.err, ERR_BAD_FORMAT);
    wire_get_str(&compact, true, false);
    ck_assert_int_eq(compact.err, ERR_BAD_FORMAT);
    wire_get_bytes(&bytes, false, false);
    ck_assert_int_eq(bytes.err, ERR_BAD_FORMAT);
    struct wire_in array = IN(0xff, 0xff, 0xff, 0xff);
    ck_assert_ptr_null(wire_get_array(&array, false, false, 4, 4, &len));
    ck_assert_int_eq(array.err, ERR_BAD_FORMAT);
    ck_assert_int_eq(len, 0);
}
END_TEST

START_TEST(lengths_are_not_believed)
{
    struct wire_in below = IN(0xff, 0xfe, 1, 2), above = IN(0, 3, 'a', 'b');
    struct wire_in compact = IN(0xff, 0xff, 0xff, 0xff, 0x0f, 1);
    struct wire_in bytes = IN(0x7f, 0xff, 0xff, 0xff, 1), longest = IN(0x81, 0x80, 0x02, 0);

    wire_get_str(&below, false, true);
    ck_assert_int_eq(below.err, ERR_BAD_FORMAT);
    wire_get_str(&above, false, true);
    ck_assert_int_eq(above.err, ERR_BAD_FORMAT);
    wire_get_str(&compact, true, true);
    ck_assert_int_eq(compact.err, ERR_BAD_FORMAT);
    wire_get_bytes(&bytes, false, true);
    ck_assert_int_eq(bytes.err, ERR_BAD_FORMAT);
    wire_get_str(&longest, true, true); /* 32768: one more than any text */
    ck_assert_int_eq(longest.err, ERR_BAD_FORMAT);
}
END_TEST

START_TEST(a_count_beyond_the_input_takes_no_memory)
{
    struct wire_in in = IN(0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    const uint8_t *before = arena.next;
    int32_t len;

    ck_assert_ptr_null(wire_get_array(&in, false, true, 4, 1000, &len)); /* 11 bytes hold 2 */
    ck_assert_int_eq(in.err, ERR_BAD_FORMAT);
    ck_assert_int_eq(len, 0);
    ck_assert_ptr_eq(arena.next, before);

    struct wire_in fits = IN(0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8);
    ck_assert_ptr_nonnull(wire_get_array(&fits, false, true, 4, 1000, &len));
    ck_assert_int_eq(len, 2);
}
END_TEST

START_TEST(the_arenas_limit_refuses)
{
    struct wire_in in = IN(0, 0, 0, 2, 1, 2);
    int32_t len;

    ck_assert_ptr_null(wire_get_array(&in, false, true, 1, 1 << 20, &len));
    ck_assert_int_eq(in.err, ERR_TOO_LARGE);
}
END_TEST

START_TEST(the_first_failure_sticks)
{
    struct wire_in in = IN(0, 1, 2);

    ck_assert_int_eq(wire_get_i32(&in), 0);
    ck_assert_int_eq(in.err, ERR_BAD_FORMAT);
    ck_assert_uint_eq(wire_left(&in), 0); /* so the 3 bytes are not read as something else */
    ck_assert_int_eq(wire_get_i16(&in), 0);
    wire_fail(&in, ERR_TOO_LARGE);
    ck_assert_int_eq(in.err, ERR_BAD_FORMAT);
}
END_TEST

START_TEST(unknown_tags_are_skipped_by_size)
{
    struct wire_in in = IN(2, 0, 1, 'x', 9, 3, 'a', 'b', 'c', 77);

    wire_skip_tags(&in);
    ck_assert_int_eq(in.err, ERR_OK);
    ck_assert_int_eq(wire_get_i8(&in), 77);
}
END_TEST

START_TEST(tags_ascend)
{
    struct wire_in twice = IN(2, 1, 0, 1, 0), back = IN(2, 5, 0, 4, 0), more = IN(2, 5, 0);
    struct wire_in huge = IN(1, 0, 200, 1, 'a');

    wire_skip_tags(&twice);
    ck_assert_int_eq(twice.err, ERR_BAD_FORMAT);
    wire_skip_tags(&back);
    ck_assert_int_eq(back.err, ERR_BAD_FORMAT);
    wire_skip_tags(&more);
    ck_assert_int_eq(more.err, ERR_BAD_FORMAT);
    wire_skip_tags(&huge);
    ck_assert_int_eq(huge.err, ERR_BAD_FORMAT);
}
END_TEST

START_TEST(a_tags_payload_is_read_within_its_size)
{
    struct wire_in in = IN(1, 0, 2, 0, 7, 0, 0, 0, 9); /* a tag of 2 bytes, then an int32 */
    struct wire_tags tags = wire_get_tags(&in);
    uint32_t tag;

    ck_assert(wire_tag_next(&in, &tags, &tag));
    ck_assert_int_eq(wire_get_i16(&in), 7);
    ck_assert_uint_eq(wire_left(&in), 0); /* what follows is out of reach */
    ck_assert(!wire_tag_next(&in, &tags, &tag));
    ck_assert_int_eq(wire_get_i32(&in), 9);
    ck_assert_int_eq(in.err, ERR_OK);

    struct wire_in over = IN(1, 0, 2, 0, 7, 0, 0, 0, 9);
    tags = wire_get_tags(&over);
    ck_assert(wire_tag_next(&over, &tags, &tag));
    wire_get_i32(&over);
    ck_assert(!wire_tag_next(&over, &tags, &tag));
    ck_assert_int_eq(over.err, ERR_BAD_FORMAT);
    ck_assert_uint_eq(wire_left(&over), 0);

    struct wire_in under = IN(1, 0, 2, 0, 7, 0, 0, 0, 9);
    tags = wire_get_tags(&under);
    ck_assert(wire_tag_next(&under, &tags, &tag));
    wire_get_i8(&under);
    ck_assert(!wire_tag_next(&under, &tags, &tag));
    ck_assert_int_eq(under.err, ERR_BAD_FORMAT);
}
END_TEST

START_TEST(records_out_of_line_leave_a_cut)
{
    struct wire_records here = { .data = (const uint8_t *)"abc", .len = 3 };
    struct wire_records away = { .data = NULL, .len = 1000 };
    struct wire_out measure = wire_out_measure();
    struct wire_cut cuts[1];
    uint8_t buffer[64];

    for (int pass = 0; pass < 2; pass++) {
        struct wire_out writing = wire_out_of(buffer, 4 + 3 + 4 + 2);
        struct wire_out *out = pass == 0 ? &measure : &writing;

        out->cuts = cuts;
        out->cuts_cap = 1;
        wire_put_records(out, &here, false, true);
        wire_put_records(out, &away, false, true);
        wire_put_i16(out, 7);
        ck_assert_ptr_eq(cuts[0].records, &away);
        cuts[0].records = NULL;
        if (pass == 1) {
            ck_assert_uint_eq(out->pos, 13);
            ck_assert_int_eq(out->cuts_len, 1);
            ck_assert_uint_eq(cuts[0].pos, 11);
            ck_assert_mem_eq(buffer, "\0\0\0\3abc\0\0\3\xe8\0\7", 13);
        }
    }
    ck_assert_uint_eq(measure.pos, 1013);
    ck_assert_uint_eq(measure.away, 1000); /* the buffer needs the rest */
    ck_assert_int_eq(measure.cuts_len, 1);
}
END_TEST

START_TEST(a_text_too_long_is_cut_between_characters)
{
    size_t len = WIRE_STR_MAX + 1;
    char *text = xmalloc(len);
    struct wire_out measure = wire_out_measure();

    memset(text, 'a', len);
    memcpy(text + len - 3, "\xe2\x82\xac", 3); /* the limit falls into this character */
    wire_put_str(&measure, (struct str){ text, len }, false, false);
    ck_assert_uint_eq(measure.pos, 2 + len - 3);
    free(text);
}
END_TEST

START_TEST(writing_past_the_end_is_a_bug)
{
    uint8_t buffer[3];
    struct wire_out out = wire_out_of(buffer, sizeof buffer);

    wire_put_i32(&out, 1); /* aborts here */
}
END_TEST

START_TEST(writing_an_illegal_null_is_a_bug)
{
    uint8_t buffer[8];
    struct wire_out out = wire_out_of(buffer, sizeof buffer);

    wire_put_str(&out, STR_NULL, false, false); /* aborts here */
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("prim");

    tcase_add_checked_fixture(tc, arena_up, arena_down);
    tcase_add_test(tc, varints_are_as_kafka_writes_them);
    tcase_add_test(tc, varlongs_reach_both_ends);
    tcase_add_test(tc, varints_end);
    tcase_add_test(tc, numbers_are_big_endian);
    tcase_add_test(tc, null_and_empty_are_different);
    tcase_add_test(tc, null_where_it_is_illegal_is_refused);
    tcase_add_test(tc, lengths_are_not_believed);
    tcase_add_test(tc, a_count_beyond_the_input_takes_no_memory);
    tcase_add_test(tc, the_arenas_limit_refuses);
    tcase_add_test(tc, the_first_failure_sticks);
    tcase_add_test(tc, unknown_tags_are_skipped_by_size);
    tcase_add_test(tc, tags_ascend);
    tcase_add_test(tc, a_tags_payload_is_read_within_its_size);
    tcase_add_test(tc, records_out_of_line_leave_a_cut);
    tcase_add_test(tc, a_text_too_long_is_cut_between_characters);
    tcase_add_test_raise_signal(tc, writing_past_the_end_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, writing_an_illegal_null_is_a_bug, SIGABRT);
    return unit_run(tc);
}
